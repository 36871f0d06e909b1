//! Deadlock search: a newcomer to a queue looks for a circle that it closes.
//!
//! Called when a wait begins, under the mutex of [`Waits`], so searches come one after the other and the one that
//! begins last sees every wait of the circle. Edges are read from the queues themselves, shard by shard: a circle, once
//! closed, stays, so reading them one after the other misses none.
//!
//! A circle that exists only because somebody waits behind a waiter (not a holder) is broken by letting him pass, as
//! PostgreSQL does, if that makes no other circle; otherwise the newcomer gets `40P01`.

use crate::lock::{LockKey, Mode};
use crate::lock_table::{Blocker, LockTable};
use heddle_types::{Error, Result, SqlState, TxnId};
use std::collections::{HashMap, HashSet};

/// Most times a queue is rearranged for one newcomer.
const REARRANGEMENTS_MAX: usize = 32;

/// One wait.
#[derive(Clone)]
struct WaitFor {
    key: LockKey,
    mode: Mode,
    ticket: u64,
}

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Waits {
    by_txn: HashMap<TxnId, Vec<WaitFor>>,
    /// Everybody that somebody waits for, and some that nobody waits for any more: a newcomer that is not in it closes no
    /// circle. That keeps a long queue on one hot row cheap.
    blockers: HashSet<TxnId>,
}

/// `blockers` is made anew when it is larger than this and than twice the number of waiters.
const BLOCKERS_MIN: usize = 1024;

impl Waits {
    pub(crate) fn remove(&mut self, txn: TxnId, ticket: u64) {
        if let Some(waits) = self.by_txn.get_mut(&txn) {
            waits.retain(|w| w.ticket != ticket);
            if waits.is_empty() {
                self.by_txn.remove(&txn);
            }
        }
    }

    fn note_blockers(&mut self, table: &LockTable, key: &LockKey, ticket: u64) {
        if self.blockers.len() > BLOCKERS_MIN.max(2 * self.by_txn.len()) {
            let waits = self.by_txn.values().flatten();
            self.blockers = waits.flat_map(|w| table.blockers(&w.key, w.ticket)).map(|b| b.txn).collect();
        }
        self.blockers.extend(table.blockers(key, ticket).into_iter().map(|b| b.txn));
    }

    /// Everybody who waits, with a key that he waits for and his ticket there.
    pub(crate) fn list(&self) -> Vec<(TxnId, LockKey, u64)> {
        let first = |(txn, waits): (&TxnId, &Vec<WaitFor>)| waits.first().map(|w| (*txn, w.key.clone(), w.ticket));
        self.by_txn.iter().filter_map(first).collect()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_txn.is_empty()
    }
}

/// A step of a circle.
#[derive(Clone)]
struct Edge {
    waiter: TxnId,
    wait: WaitFor,
    blocker: TxnId,
    ahead: Option<u64>,
}

/// Registers the wait and looks for a circle through it. `jumped`: others in the queue wait for it from now on.
///
/// # Errors
/// `40P01` when there is one that no rearrangement of queues breaks.
pub(crate) fn check(
    table: &LockTable,
    txn: TxnId,
    key: &LockKey,
    mode: Mode,
    (ticket, jumped): (u64, bool),
) -> Result<()> {
    let mut waits = table.waits.lock();
    waits.by_txn.entry(txn).or_default().push(WaitFor { key: key.clone(), mode, ticket });
    waits.note_blockers(table, key, ticket);
    if jumped {
        waits.blockers.insert(txn);
    }
    if !waits.blockers.contains(&txn) {
        return Ok(());
    }
    for _ in 0..REARRANGEMENTS_MAX {
        let Some(circle) = find_circle(table, &waits, txn) else { return Ok(()) };
        let soft = circle
            .iter()
            .find_map(|e| e.ahead.filter(|ahead| can_pass(table, &waits, e, *ahead)).map(|ahead| (e, ahead)));
        let Some((edge, ahead)) = soft else { return Err(deadlock_detected(&circle)) };
        table.move_ahead(&edge.wait.key, edge.wait.ticket, ahead);
        waits.blockers.insert(edge.waiter);
    }
    find_circle(table, &waits, txn).map_or(Ok(()), |circle| Err(deadlock_detected(&circle)))
}

/// Depth first, without recursion: a chain of waiters may be long.
fn find_circle(table: &LockTable, waits: &Waits, start: TxnId) -> Option<Vec<Edge>> {
    let mut seen = HashSet::from([start]);
    let mut path: Vec<Edge> = Vec::new();
    let mut levels = vec![edges(table, waits, start, start, &seen)];
    while let Some(level) = levels.last_mut() {
        let Some(edge) = level.pop() else {
            levels.pop();
            path.pop();
            continue;
        };
        let blocker = edge.blocker;
        if blocker == start {
            path.push(edge);
            return Some(path);
        }
        if seen.insert(blocker) {
            path.push(edge);
            levels.push(edges(table, waits, blocker, start, &seen));
        }
    }
    None
}

/// May the waiter of `edge` pass everybody from `ahead` on? Those then wait for it, so it must not wait for any of them in
/// another way: that would be a new circle, and perhaps one without the newcomer.
fn can_pass(table: &LockTable, waits: &Waits, edge: &Edge, ahead: u64) -> bool {
    let passed = table.conflicting_from(&edge.wait.key, edge.wait.ticket, ahead);
    let is_passed = |blocker: &Blocker| blocker.ahead.is_some_and(|ticket| passed.iter().any(|(_, t)| *t == ticket));
    let mut todo = Vec::new();
    for wait in waits.by_txn.get(&edge.waiter).into_iter().flatten() {
        let blockers = table.blockers(&wait.key, wait.ticket).into_iter();
        todo.extend(blockers.filter(|b| wait.ticket != edge.wait.ticket || !is_passed(b)).map(|b| b.txn));
    }
    let mut seen = HashSet::new();
    while let Some(txn) = todo.pop() {
        if passed.iter().any(|(t, _)| *t == txn) {
            return false;
        }
        if seen.insert(txn) {
            let waits = waits.by_txn.get(&txn).into_iter().flatten();
            todo.extend(waits.flat_map(|w| table.blockers(&w.key, w.ticket)).map(|b| b.txn));
        }
    }
    true
}

/// The edges from `waiter` that lead to `start` or to somebody not seen yet.
fn edges(table: &LockTable, waits: &Waits, waiter: TxnId, start: TxnId, seen: &HashSet<TxnId>) -> Vec<Edge> {
    let waits = waits.by_txn.get(&waiter).into_iter().flatten();
    waits
        .flat_map(|wait| {
            let blockers = table.blockers(&wait.key, wait.ticket).into_iter();
            let new = blockers.filter(|b| b.txn == start || !seen.contains(&b.txn));
            new.map(|b| Edge { waiter, wait: wait.clone(), blocker: b.txn, ahead: b.ahead })
        })
        .collect()
}

fn deadlock_detected(circle: &[Edge]) -> Error {
    let lines: Vec<String> = circle
        .iter()
        .map(|e| {
            let what = e.wait.key.describe(e.wait.mode, e.blocker);
            format!("Process {} waits for {what}; blocked by process {}.", e.waiter, e.blocker)
        })
        .collect();
    Error::new(SqlState::DEADLOCK_DETECTED, "deadlock detected")
        .detail(lines.join("\n"))
        .hint("See server log for query details.")
}
