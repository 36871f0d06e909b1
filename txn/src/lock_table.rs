//! The lock table: who holds what, who waits for it. Queues are fair, waits are futures, deadlocks are found when a wait
//! begins ([`crate::deadlock`]).
//!
//! Called by [`crate::Transaction`] through its [`LockOwner`]. An uncontended lock costs one shard's mutex and the
//! owner's own.
//!
//! Invariants
//! 1. A key that an owner holds or waits for is in its `held` map before it is in the table, so [`LockOwner::release_all`] finds it.
//! 2. Nobody is granted a mode that conflicts with another holder's.
//! 3. Somebody who comes later waits behind a conflicting waiter, unless that waiter waits for him anyway (an upgrade), or
//!    the order of the queue is all that makes a deadlock.
//! 4. Order of mutexes: detector, then owner's `held` or one shard; never two shards, never a shard and `held`.

use crate::claim::Claims;
use crate::deadlock::{self, Waits};
use crate::lock::{LockKey, Locked, Mode, Modes, Wait};
use foldhash::quality::RandomState;
use heddle_types::{Error, Oid, Result, SqlState, TxnId};
use parking_lot::Mutex;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;

const SHARDS: usize = 64;

/// All locks of one data folder.
pub(crate) struct LockTable {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    tickets: AtomicU64,
    /// How many unique keys are in the shards.
    unique: AtomicUsize,
    /// Keys that are locked without being here.
    claims: Claims,
    /// Who waits for what; only waiters touch it.
    pub(crate) waits: Mutex<Waits>,
}

type Shard = HashMap<LockKey, LockObject, RandomState>;

/// Holders and queue of one lockable thing.
#[derive(Default)]
struct LockObject {
    holders: Vec<(TxnId, Modes)>,
    queue: VecDeque<Waiting>,
}

/// A place in a queue.
struct Waiting {
    txn: TxnId,
    mode: Mode,
    ticket: u64,
    granted: oneshot::Sender<()>,
}

/// Answer of a shard.
enum Request {
    Granted,
    Busy,
    /// Not here, but claimed by him.
    Claimed(Weak<LockOwner>),
    Queued {
        ticket: u64,
        /// Somebody in the queue is behind us who came before.
        jumped: bool,
        receiver: oneshot::Receiver<()>,
    },
}

/// Somebody that a waiter waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocker {
    pub txn: TxnId,
    /// He only stands before us in the queue; his ticket there.
    pub ahead: Option<u64>,
}

impl LockTable {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            tickets: AtomicU64::new(0),
            unique: AtomicUsize::new(0),
            claims: Claims::default(),
            waits: Mutex::default(),
        }
    }

    fn shard(&self, key: &LockKey) -> &Mutex<Shard> {
        // The high bits: the maps inside the shards use their own hasher.
        let at = (self.hasher.hash_one(key) >> 32) as usize % SHARDS;
        &self.shards[at]
    }

    fn request(&self, txn: TxnId, key: &LockKey, mode: Mode, wait: Wait) -> Request {
        let mut shard = self.shard(key).lock();
        let object = match shard.entry(key.clone()) {
            Entry::Vacant(entry) => {
                // Counted before claims are looked at: who claims looks the other way round.
                self.unique.fetch_add(usize::from(key.is_unique()), Ordering::SeqCst);
                if let Some(owner) = self.claims.holder(txn, key) {
                    self.unique.fetch_sub(1, Ordering::SeqCst);
                    return Request::Claimed(owner);
                }
                entry.insert(LockObject { holders: vec![(txn, mode.bit())], queue: VecDeque::new() });
                return Request::Granted;
            }
            Entry::Occupied(entry) => entry.into_mut(),
        };
        let at = match object.place(key, txn, mode) {
            None => {
                object.hold(txn, mode);
                return Request::Granted;
            }
            Some(at) => at,
        };
        if wait != Wait::Block {
            return Request::Busy;
        }
        let (granted, receiver) = oneshot::channel();
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
        let jumped = at < object.queue.len();
        object.queue.insert(at, Waiting { txn, mode, ticket, granted });
        Request::Queued { ticket, jumped, receiver }
    }

    /// Enters `txn` as a holder of a key that it claimed.
    fn hold(&self, txn: TxnId, key: &LockKey) {
        let mut shard = self.shard(key).lock();
        let object = shard.entry(key.clone()).or_insert_with(|| {
            self.unique.fetch_add(1, Ordering::SeqCst);
            LockObject::default()
        });
        object.hold(txn, Mode::EXCLUSIVE);
    }

    /// Is any of these unique keys locked or awaited by somebody?
    fn has_any(&self, index: Oid, keys: &[&[u8]]) -> bool {
        self.unique.load(Ordering::SeqCst) > 0
            && keys.iter().any(|key| {
                let key = LockKey::Unique(index, (*key).into());
                self.shard(&key).lock().contains_key(&key)
            })
    }

    /// Leaves the queue. False when the lock was granted meanwhile (or the owner has ended).
    fn dequeue(&self, key: &LockKey, ticket: u64) -> bool {
        let mut shard = self.shard(key).lock();
        let Some(object) = shard.get_mut(key) else { return false };
        let Some(at) = object.queue.iter().position(|w| w.ticket == ticket) else { return false };
        object.queue.remove(at);
        object.grant(key);
        if object.is_unused() {
            shard.remove(key);
            self.unique.fetch_sub(usize::from(key.is_unique()), Ordering::SeqCst);
        }
        true
    }

    /// Gives up whatever `txn` holds of `key` or waits for.
    fn release(&self, txn: TxnId, key: &LockKey) {
        let mut shard = self.shard(key).lock();
        let Some(object) = shard.get_mut(key) else { return };
        object.holders.retain(|(holder, _)| *holder != txn);
        object.queue.retain(|w| w.txn != txn);
        object.grant(key);
        if object.is_unused() {
            shard.remove(key);
            self.unique.fetch_sub(usize::from(key.is_unique()), Ordering::SeqCst);
        }
    }

    /// Leaves `txn` only `modes` of what it holds of `key`.
    fn reduce(&self, txn: TxnId, key: &LockKey, modes: Modes) {
        let mut shard = self.shard(key).lock();
        let Some(object) = shard.get_mut(key) else { return };
        for (_, held) in object.holders.iter_mut().filter(|(holder, _)| *holder == txn) {
            *held &= modes;
        }
        object.holders.retain(|(_, held)| *held != 0);
        object.grant(key);
        if object.is_unused() {
            shard.remove(key);
            self.unique.fetch_sub(usize::from(key.is_unique()), Ordering::SeqCst);
        }
    }

    /// Does anybody hold `key` in a mode that conflicts with `mode`, or wait for such a mode?
    pub(crate) fn is_contested(&self, key: &LockKey, mode: Mode) -> bool {
        let shard = self.shard(key).lock();
        let Some(object) = shard.get(key) else { return false };
        let held = object.holders.iter().fold(0, |all, (_, modes)| all | modes);
        let modes = object.queue.iter().fold(held, |all, waiter| all | waiter.mode.bit());
        modes & key.conflicts(mode) != 0
    }

    /// Whom the waiter with this ticket waits for; nobody when it waits no longer.
    pub(crate) fn blockers(&self, key: &LockKey, ticket: u64) -> Vec<Blocker> {
        let shard = self.shard(key).lock();
        let Some(object) = shard.get(key) else { return Vec::new() };
        let Some(at) = object.queue.iter().position(|w| w.ticket == ticket) else { return Vec::new() };
        let (txn, conflicts) = (object.queue[at].txn, key.conflicts(object.queue[at].mode));
        let holders = object.holders.iter().filter(|(holder, modes)| *holder != txn && modes & conflicts != 0);
        let ahead = object.queue.iter().take(at).filter(|w| w.txn != txn && w.mode.bit() & conflicts != 0);
        holders
            .map(|(holder, _)| Blocker { txn: *holder, ahead: None })
            .chain(ahead.map(|w| Blocker { txn: w.txn, ahead: Some(w.ticket) }))
            .collect()
    }

    /// Who in the queue would wait for the waiter with this ticket if it stood in front of `ahead`, with their tickets.
    pub(crate) fn conflicting_from(&self, key: &LockKey, ticket: u64, ahead: u64) -> Vec<(TxnId, u64)> {
        let shard = self.shard(key).lock();
        let Some(object) = shard.get(key) else { return Vec::new() };
        let Some(me) = object.queue.iter().find(|w| w.ticket == ticket) else { return Vec::new() };
        let passed = object.queue.iter().skip_while(|w| w.ticket != ahead).take_while(|w| w.ticket != ticket);
        let conflicts = key.conflicts(me.mode);
        passed.filter(|w| w.txn != me.txn && w.mode.bit() & conflicts != 0).map(|w| (w.txn, w.ticket)).collect()
    }

    /// Moves a waiter in front of another and grants what can be granted now.
    pub(crate) fn move_ahead(&self, key: &LockKey, ticket: u64, of: u64) {
        let mut shard = self.shard(key).lock();
        let Some(object) = shard.get_mut(key) else { return };
        let position = |ticket| object.queue.iter().position(|w| w.ticket == ticket);
        if let (Some(from), Some(to)) = (position(ticket), position(of))
            && to < from
        {
            let waiter = object.queue.remove(from).expect("it is there");
            object.queue.insert(to, waiter);
            object.grant(key);
        }
    }

    /// Locks held or awaited, for tests.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().len()).sum()
    }
}

impl LockObject {
    /// `None` when `mode` can be had now, else where in the queue to wait.
    fn place(&self, key: &LockKey, txn: TxnId, mode: Mode) -> Option<usize> {
        let conflicts = key.conflicts(mode);
        let (mut mine, mut others) = (0, 0);
        for (holder, modes) in &self.holders {
            *if *holder == txn { &mut mine } else { &mut others } |= modes;
        }
        let held = conflicts & others != 0;
        let mut ahead = 0;
        for (at, waiter) in self.queue.iter().enumerate() {
            // He waits for what we hold: waiting behind him would be a deadlock, so we go before him.
            if waiter.txn != txn && key.conflicts(waiter.mode) & mine != 0 {
                return (held || conflicts & ahead != 0).then_some(at);
            }
            ahead |= waiter.mode.bit();
        }
        (held || conflicts & ahead != 0).then_some(self.queue.len())
    }

    fn hold(&mut self, txn: TxnId, mode: Mode) {
        match self.holders.iter_mut().find(|(holder, _)| *holder == txn) {
            Some((_, modes)) => *modes |= mode.bit(),
            None => self.holders.push((txn, mode.bit())),
        }
    }

    /// Grants in queue order whatever conflicts neither with a holder nor with somebody who waits before.
    fn grant(&mut self, key: &LockKey) {
        let (mut ahead, mut at) = (0, 0);
        while let Some(waiter) = self.queue.get(at) {
            let (txn, mode) = (waiter.txn, waiter.mode);
            let conflicts = key.conflicts(mode);
            let held = self.holders.iter().any(|(holder, modes)| *holder != txn && modes & conflicts != 0);
            if held || conflicts & ahead != 0 {
                ahead |= mode.bit();
                at += 1;
                continue;
            }
            let waiter = self.queue.remove(at).expect("it is there");
            self.hold(txn, mode);
            // When the waiter has just gone away, its cleanup finds the lock granted and keeps it until the end.
            let _ = waiter.granted.send(());
        }
    }

    fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.queue.is_empty()
    }
}

/// A transaction as the lock table knows it.
pub(crate) struct LockOwner {
    pub(crate) txn: TxnId,
    table: Arc<LockTable>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    /// Modes held per key; none while the first wait for it lasts.
    locks: HashMap<LockKey, Modes, RandomState>,
    /// Savepoints: their numbers, ascending, and how long `journal` was then.
    marks: Vec<(u32, usize)>,
    /// What was held of a key before each grant since the oldest savepoint.
    journal: Vec<(LockKey, Modes)>,
    ended: bool,
}

impl LockOwner {
    pub(crate) fn new(txn: TxnId, table: Arc<LockTable>) -> Arc<Self> {
        Arc::new(Self { txn, table, held: Mutex::default() })
    }

    /// Acquires `mode` on `key`, waiting at most `timeout` (zero = no bound). Dropping the future leaves the queue.
    ///
    /// # Errors
    /// `40P01` when waiting would close a circle, `55P03` on timeout or with [`Wait::NoWait`].
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        key: LockKey,
        mode: Mode,
        wait: Wait,
        timeout: Duration,
    ) -> Result<Locked> {
        if self.expect_lock(&key, mode)? {
            return Ok(Locked::Acquired { waited: false });
        }
        let request = loop {
            match self.table.request(self.txn, &key, mode, wait) {
                Request::Claimed(owner) => match owner.upgrade() {
                    Some(owner) => owner.make_lock(&key),
                    // Its claims are about to go.
                    None => tokio::task::yield_now().await,
                },
                other => break other,
            }
        };
        let (ticket, jumped, mut receiver) = match request {
            Request::Claimed(_) => unreachable!("the loop goes on"),
            Request::Granted => {
                self.note_granted(&key, mode)?;
                return Ok(Locked::Acquired { waited: false });
            }
            Request::Busy => {
                self.forget_unheld(&key);
                return match wait {
                    Wait::Skip => Ok(Locked::Skipped),
                    _ => Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, "could not obtain lock")),
                };
            }
            Request::Queued { ticket, jumped, receiver } => (ticket, jumped, receiver),
        };
        let pending = Pending { owner: self, key, mode, ticket };
        deadlock::check(&self.table, self.txn, &pending.key, mode, (ticket, jumped))?;
        let granted = if timeout.is_zero() {
            (&mut receiver).await.is_ok()
        } else {
            match tokio::time::timeout(timeout, &mut receiver).await {
                Ok(answer) => answer.is_ok(),
                Err(_) => {
                    let message = "canceling statement due to lock timeout";
                    return Err(Error::new(SqlState::LOCK_NOT_AVAILABLE, message));
                }
            }
        };
        drop(pending);
        if !granted {
            return Err(ended());
        }
        Ok(Locked::Acquired { waited: true })
    }

    /// Claims unique keys of `index`, ascending, instead of locking each. False, and nothing was done, when anybody has, awaits or
    /// claims one of them.
    pub(crate) fn claim(self: &Arc<Self>, index: Oid, keys: &[&[u8]]) -> Result<bool> {
        let mark = {
            let held = self.held.lock();
            if held.ended {
                return Err(ended());
            }
            held.marks.last().map_or(0, |(mark, _)| *mark)
        };
        if !self.table.claims.add(self, index, mark, keys) {
            return Ok(false);
        }
        let taken = self.table.has_any(index, keys);
        if taken || self.held.lock().ended {
            self.unclaim_all(self.table.claims.remove(self.txn, index, mark, keys));
        }
        Ok(!taken)
    }

    /// Gives up keys that [`Self::claim`] has just claimed.
    pub(crate) fn unclaim(&self, index: Oid, keys: &[&[u8]]) {
        let mark = self.held.lock().marks.last().map_or(0, |(mark, _)| *mark);
        self.unclaim_all(self.table.claims.remove(self.txn, index, mark, keys));
    }

    /// Releases locks that were made of claims.
    fn unclaim_all(&self, made: Vec<LockKey>) {
        for key in made {
            self.held.lock().locks.remove(&key);
            self.table.release(self.txn, &key);
        }
    }

    /// Somebody else asks for a key that this owner claims: from now on it is a lock like any other.
    fn make_lock(&self, key: &LockKey) {
        {
            let mut held = self.held.lock();
            if held.ended || !self.table.claims.note_made(self.txn, key) {
                return;
            }
            *held.locks.entry(key.clone()).or_default() |= Mode::EXCLUSIVE.bit();
        }
        self.table.hold(self.txn, key);
        if !self.held.lock().locks.contains_key(key) {
            // It was given up meanwhile.
            self.table.release(self.txn, key);
        }
    }

    /// Releases everything; waits that still run fail. The owner cannot lock again.
    pub(crate) fn release_all(&self) {
        let locks = {
            let mut held = self.held.lock();
            held.ended = true;
            held.marks.clear();
            held.journal = Vec::new();
            std::mem::take(&mut held.locks)
        };
        // The locks that were made of them are among `locks`.
        self.table.claims.remove_since(self.txn, 0);
        for key in locks.into_keys() {
            self.table.release(self.txn, &key);
        }
    }

    /// Releases rows and unique keys: the place of the commit in the log is fixed. The owner cannot lock again.
    pub(crate) fn release_early(&self) {
        let early: Vec<LockKey> = {
            let mut held = self.held.lock();
            held.ended = true;
            held.locks.extract_if(|key, _| key.goes_early()).map(|(key, _)| key).collect()
        };
        early.iter().for_each(|key| self.table.release(self.txn, key));
    }

    /// Remembers what is held now under the number of a savepoint.
    pub(crate) fn savepoint(&self, id: u32) {
        let mut held = self.held.lock();
        let length = held.journal.len();
        held.marks.push((id, length));
    }

    /// Forgets a savepoint and those after it; their locks stay.
    pub(crate) fn release_savepoint(&self, id: u32) {
        let mut held = self.held.lock();
        held.marks.retain(|(mark, _)| *mark < id);
        if held.marks.is_empty() {
            held.journal = Vec::new();
        }
        let outer = held.marks.last().map_or(0, |(mark, _)| *mark);
        drop(held);
        self.table.claims.release_savepoint(self.txn, id, outer);
    }

    /// Gives up what was acquired since a savepoint, which stays. No lock may be asked for meanwhile.
    pub(crate) fn rollback_to(&self, id: u32) {
        let mut before: HashMap<LockKey, Modes> = HashMap::new();
        {
            let mut held = self.held.lock();
            let Some(at) = held.marks.iter().position(|(mark, _)| *mark == id) else { return };
            held.marks.truncate(at + 1);
            let length = held.marks[at].1;
            let undone = held.journal.split_off(length);
            // From the end: the first grant of a key knows what was held at the savepoint.
            before.extend(undone.into_iter().rev());
            for (key, modes) in &before {
                match *modes {
                    0 => held.locks.remove(key),
                    modes => held.locks.insert(key.clone(), modes),
                };
            }
        }
        for (key, modes) in before {
            self.table.reduce(self.txn, &key, modes);
        }
        self.unclaim_all(self.table.claims.remove_since(self.txn, id));
    }

    /// True when `key` is held well enough already; otherwise notes that it is about to be asked for.
    fn expect_lock(&self, key: &LockKey, mode: Mode) -> Result<bool> {
        let mut held = self.held.lock();
        if held.ended {
            return Err(ended());
        }
        if let Some(modes) = held.locks.get(key) {
            return Ok(key.covers(*modes, mode));
        }
        held.locks.insert(key.clone(), 0);
        Ok(false)
    }

    fn note_granted(&self, key: &LockKey, mode: Mode) -> Result<()> {
        let mut held = self.held.lock();
        if held.ended {
            drop(held);
            self.table.release(self.txn, key);
            return Err(ended());
        }
        let modes = held.locks.entry(key.clone()).or_default();
        let before = *modes;
        *modes |= mode.bit();
        if !held.marks.is_empty() {
            held.journal.push((key.clone(), before));
        }
        Ok(())
    }

    fn forget_unheld(&self, key: &LockKey) {
        let mut held = self.held.lock();
        if held.locks.get(key) == Some(&0) {
            held.locks.remove(key);
        }
    }
}

/// A wait. Its end, whatever the reason, leaves queue and wait list, or notes the lock as held.
struct Pending<'a> {
    owner: &'a LockOwner,
    key: LockKey,
    mode: Mode,
    ticket: u64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let table = &self.owner.table;
        table.waits.lock().remove(self.owner.txn, self.ticket);
        // Not in the queue: granted. (Or the owner has ended; then noting it releases it again.)
        if !table.dequeue(&self.key, self.ticket) {
            let _ = self.owner.note_granted(&self.key, self.mode);
        }
    }
}

fn ended() -> Error {
    Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, "the transaction has already ended")
}

#[cfg(test)]
mod tests;
