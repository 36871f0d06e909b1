//! Queues, upgrades, cancellation and deadlocks, scripted and at random.

use super::*;
use crate::lock::{RelationLock, RowLock};
use crate::waiting::LockWait;
use heddle_types::Oid;
use proptest::prelude::*;
use std::collections::HashSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

const NO_LIMIT: Duration = Duration::ZERO;

fn owners<const N: usize>() -> (Arc<LockTable>, [Arc<LockOwner>; N]) {
    let table = Arc::new(LockTable::new());
    let owners = std::array::from_fn(|n| LockOwner::new(TxnId(n as u64 + 1), Arc::clone(&table)));
    (table, owners)
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn row(n: u8) -> LockKey {
    LockKey::Row(Oid(9), Arc::from([n]))
}

macro_rules! acquire {
    ($owner:expr, $key:expr, $mode:expr) => {
        pin!($owner.acquire($key, Mode::from($mode), Wait::Block, NO_LIMIT))
    };
}

fn state(answer: Poll<Result<Locked>>) -> &'static str {
    match answer {
        Poll::Pending => "waits",
        Poll::Ready(Ok(Locked::Acquired { waited: false })) => "has",
        Poll::Ready(Ok(Locked::Acquired { waited: true })) => "got",
        Poll::Ready(Ok(Locked::Skipped)) => "skips",
        Poll::Ready(Err(e)) => e.code().0,
    }
}

#[test]
fn rollback_to_savepoint_gives_back_what_came_after_it() {
    let (table, [a, b, c]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Share))), "has");
    a.savepoint(1);
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Update))), "has", "an upgrade");
    a.savepoint(2);
    assert_eq!(state(poll(acquire!(a, row(2), RowLock::Share))), "has");
    assert_eq!(state(poll(acquire!(a, row(2), RowLock::Update))), "has");
    assert_eq!(state(poll(acquire!(a, row(3), RowLock::Update))), "has");
    let mut wb = acquire!(b, row(2), RowLock::Update);
    assert_eq!(state(poll(wb.as_mut())), "waits");
    let mut wc = acquire!(c, row(1), RowLock::Share);
    assert_eq!(state(poll(wc.as_mut())), "waits");
    a.rollback_to(2);
    assert_eq!(state(poll(wb.as_mut())), "got");
    assert_eq!(state(poll(acquire!(b, row(3), RowLock::Update))), "has");
    assert_eq!(state(poll(wc.as_mut())), "waits", "the upgrade came before savepoint 2");
    a.rollback_to(1);
    assert_eq!(state(poll(wc.as_mut())), "got", "only the share is left");
    let mut wb = acquire!(b, row(1), RowLock::Update);
    assert_eq!(state(poll(wb.as_mut())), "waits", "the share of before the savepoint is kept");
    c.release_all();
    assert_eq!(state(poll(wb.as_mut())), "waits");
    a.release_all();
    assert_eq!(state(poll(wb.as_mut())), "got");
    b.release_all();
    assert_eq!(table.len(), 0);
}

#[test]
fn released_savepoint_keeps_its_locks_for_the_outer_one() {
    let (table, [a, b]) = owners();
    a.savepoint(1);
    a.savepoint(2);
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Update))), "has");
    a.release_savepoint(2);
    let mut wb = acquire!(b, row(1), RowLock::Update);
    assert_eq!(state(poll(wb.as_mut())), "waits");
    a.rollback_to(1);
    assert_eq!(state(poll(wb.as_mut())), "got");
    assert_eq!(state(poll(acquire!(a, row(2), RowLock::Update))), "has");
    a.release_savepoint(1);
    a.release_all();
    b.release_all();
    assert_eq!(table.len(), 0);
}

/// (waiter, event, blockers), by waiter.
fn waiting(table: &LockTable) -> Vec<(u64, &'static str, Vec<u64>)> {
    let numbers = |w: LockWait| (w.txn.0, w.event, w.blockers.iter().map(|t| t.0).collect::<Vec<u64>>());
    let mut all: Vec<_> = table.waiting().into_iter().map(numbers).collect();
    all.sort_unstable();
    all
}

#[test]
fn waits_have_postgresql_s_names() {
    let (table, [a, b, c, d, e]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Update))), "has");
    let mut wb = acquire!(b, row(1), RowLock::Update);
    let mut wc = acquire!(c, row(1), RowLock::Share);
    let mut wd = acquire!(d, row(1), RowLock::Share);
    for wait in [wb.as_mut(), wc.as_mut(), wd.as_mut()] {
        assert_eq!(state(poll(wait)), "waits");
    }
    let all = [(2, "transactionid", vec![1]), (3, "tuple", vec![2]), (4, "tuple", vec![2])];
    assert_eq!(waiting(&table), all);
    a.release_all();
    let all = [(3, "transactionid", vec![2]), (4, "transactionid", vec![2])];
    assert_eq!(waiting(&table), all, "2 has it, though it was not polled yet");
    assert_eq!(state(poll(wb.as_mut())), "got");

    let relation = LockKey::Relation(Oid(5));
    assert_eq!(state(poll(acquire!(b, relation.clone(), RelationLock::AccessShare))), "has");
    let mut we = acquire!(e, relation.clone(), RelationLock::AccessExclusive);
    assert_eq!(state(poll(we.as_mut())), "waits");
    assert_eq!(waiting(&table)[2..], [(5, "relation", vec![2])]);
    b.release_all();
    for wait in [wc.as_mut(), wd.as_mut(), we.as_mut()] {
        assert_eq!(state(poll(wait)), "got");
    }
    assert!(waiting(&table).is_empty());
    for owner in [&c, &d, &e] {
        owner.release_all();
    }
    assert_eq!(table.len(), 0);
}

#[test]
fn queue_is_fair_and_shares() {
    let (table, [a, b, c, d]) = owners();
    let table_lock = LockKey::Relation(Oid(5));
    assert_eq!(state(poll(acquire!(a, table_lock.clone(), RelationLock::AccessShare))), "has");
    let mut wb = acquire!(b, table_lock.clone(), RelationLock::AccessExclusive);
    assert_eq!(state(poll(wb.as_mut())), "waits");
    let mut wc = acquire!(c, table_lock.clone(), RelationLock::AccessShare);
    assert_eq!(state(poll(wc.as_mut())), "waits", "behind a conflicting waiter");
    let mut wd = acquire!(d, table_lock.clone(), RelationLock::AccessShare);
    assert_eq!(state(poll(wd.as_mut())), "waits");
    a.release_all();
    assert_eq!(state(poll(wb.as_mut())), "got");
    assert_eq!(state(poll(wc.as_mut())), "waits");
    b.release_all();
    assert_eq!(state(poll(wc.as_mut())), "got");
    assert_eq!(state(poll(wd.as_mut())), "got", "readers come together");
    c.release_all();
    d.release_all();
    assert_eq!(table.len(), 0);
    assert_eq!(state(poll(acquire!(a, table_lock, RelationLock::AccessShare))), "25P02", "it has ended");
}

#[test]
fn upgrader_goes_before_who_waits_for_it() {
    let (_, [a, b]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Share))), "has");
    let mut wb = acquire!(b, row(1), RowLock::Update);
    assert_eq!(state(poll(wb.as_mut())), "waits");
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Update))), "has");
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::KeyShare))), "has");
    a.release_all();
    assert_eq!(state(poll(wb.as_mut())), "got");
}

#[test]
fn two_upgraders_are_a_deadlock() {
    let (_, [a, b]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Share))), "has");
    assert_eq!(state(poll(acquire!(b, row(1), RowLock::Share))), "has");
    let mut wa = acquire!(a, row(1), RowLock::Update);
    assert_eq!(state(poll(wa.as_mut())), "waits");
    assert_eq!(state(poll(acquire!(b, row(1), RowLock::Update))), "40P01");
    b.release_all();
    assert_eq!(state(poll(wa.as_mut())), "got");
}

#[test]
fn cancelled_wait_wakes_the_next() {
    let (table, [a, b, c]) = owners();
    let key = LockKey::Relation(Oid(5));
    assert_eq!(state(poll(acquire!(a, key.clone(), RelationLock::AccessShare))), "has");
    let mut wb = Box::pin(b.acquire(key.clone(), RelationLock::AccessExclusive.into(), Wait::Block, NO_LIMIT));
    assert_eq!(state(poll(wb.as_mut())), "waits");
    let mut wc = acquire!(c, key.clone(), RelationLock::AccessShare);
    assert_eq!(state(poll(wc.as_mut())), "waits");
    drop(wb);
    assert_eq!(state(poll(wc.as_mut())), "got");
    [&a, &b, &c].iter().for_each(|o| o.release_all());
    assert_eq!(table.len(), 0);
    assert!(table.waits.lock().is_empty());
}

#[test]
fn wait_granted_but_dropped_is_released_at_the_end() {
    let (table, [a, b]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::Update))), "has");
    let mut wb = Box::pin(b.acquire(row(1), RowLock::Update.into(), Wait::Block, NO_LIMIT));
    assert_eq!(state(poll(wb.as_mut())), "waits");
    a.release_all();
    drop(wb);
    assert_eq!(table.len(), 1);
    b.release_all();
    assert_eq!(table.len(), 0);
}

#[test]
fn deadlock_over_three_names_everybody() {
    let (_, [a, b, c]) = owners();
    for (n, owner) in (1..).zip([&a, &b, &c]) {
        assert_eq!(state(poll(acquire!(owner, row(n), RowLock::Update))), "has");
    }
    let mut wa = acquire!(a, row(2), RowLock::Update);
    let mut wb = acquire!(b, row(3), RowLock::Update);
    assert_eq!((state(poll(wa.as_mut())), state(poll(wb.as_mut()))), ("waits", "waits"));
    let Poll::Ready(Err(e)) = poll(acquire!(c, row(1), RowLock::Update)) else { panic!("a deadlock") };
    assert_eq!((e.code().0, e.message()), ("40P01", "deadlock detected"));
    let detail = "Process 3 waits for ShareLock on transaction 1; blocked by process 1.\n\
                  Process 1 waits for ShareLock on transaction 2; blocked by process 2.\n\
                  Process 2 waits for ShareLock on transaction 3; blocked by process 3.";
    assert_eq!(e.fields().detail.as_deref(), Some(detail));
    c.release_all();
    assert_eq!(state(poll(wb.as_mut())), "got");
}

#[test]
fn deadlock_by_queue_order_alone_is_resolved() {
    let (_, [a, b, c]) = owners();
    let key = LockKey::Relation(Oid(5));
    assert_eq!(state(poll(acquire!(a, key.clone(), RelationLock::AccessShare))), "has");
    assert_eq!(state(poll(acquire!(c, row(1), RowLock::Update))), "has");
    let mut wb = acquire!(b, key.clone(), RelationLock::AccessExclusive);
    assert_eq!(state(poll(wb.as_mut())), "waits");
    let mut wc = acquire!(c, key, RelationLock::AccessShare);
    assert_eq!(state(poll(wc.as_mut())), "waits", "behind b, for order's sake only");
    let mut wa = acquire!(a, row(1), RowLock::Update);
    assert_eq!(state(poll(wa.as_mut())), "waits", "c -> b -> a -> c is broken by letting c pass b");
    assert_eq!(state(poll(wc.as_mut())), "got");
    c.release_all();
    assert_eq!(state(poll(wa.as_mut())), "got");
    a.release_all();
    assert_eq!(state(poll(wb.as_mut())), "got");
}

#[test]
fn no_wait_and_skip_do_not_queue() {
    let (table, [a, b]) = owners();
    assert_eq!(state(poll(acquire!(a, row(1), RowLock::NoKeyUpdate))), "has");
    assert_eq!(state(poll(acquire!(b, row(1), RowLock::KeyShare))), "has");
    let skip = pin!(b.acquire(row(1), RowLock::Share.into(), Wait::Skip, NO_LIMIT));
    assert_eq!(state(poll(skip)), "skips");
    let no_wait = pin!(b.acquire(row(1), RowLock::Share.into(), Wait::NoWait, NO_LIMIT));
    assert_eq!(state(poll(no_wait)), "55P03");
    a.release_all();
    b.release_all();
    assert_eq!(table.len(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Lock(usize, u8, u8),
    Cancel(usize),
    End(usize),
}

const OWNERS: usize = 5;

type Acquiring = Pin<Box<dyn Future<Output = Result<Locked>>>>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..OWNERS, 0..3u8, 0..8u8).prop_map(|(o, k, m)| Step::Lock(o, k, m)),
        1 => (0..OWNERS).prop_map(Step::Cancel),
        1 => (0..OWNERS).prop_map(Step::End),
    ];
    proptest::collection::vec(step, 1..60)
}

const RELATION_MODES: [RelationLock; 8] = [
    RelationLock::AccessShare,
    RelationLock::RowShare,
    RelationLock::RowExclusive,
    RelationLock::ShareUpdateExclusive,
    RelationLock::Share,
    RelationLock::ShareRowExclusive,
    RelationLock::Exclusive,
    RelationLock::AccessExclusive,
];

/// No two holders conflict, nobody waits without a reason, and no circle of waits is left.
fn check_table(table: &LockTable, waiting: &[TxnId]) {
    let mut blocked_by: HashMap<TxnId, Vec<TxnId>> = HashMap::new();
    for n in 0..3 {
        let key = LockKey::Relation(Oid(n));
        let tickets: Vec<_> = {
            let shard = table.shard(&key).lock();
            let Some(object) = shard.get(&key) else { continue };
            for (a, modes) in &object.holders {
                let conflicts = RELATION_MODES.map(Mode::from).into_iter().filter(|m| modes & m.bit() != 0);
                let conflicts = conflicts.fold(0, |all, m| all | key.conflicts(m));
                assert!(object.holders.iter().all(|(b, modes)| a == b || modes & conflicts == 0));
            }
            object.queue.iter().map(|w| (w.txn, w.ticket)).collect()
        };
        for (txn, ticket) in tickets {
            let blockers = table.blockers(&key, ticket);
            assert!(!blockers.is_empty(), "it could be granted");
            blocked_by.entry(txn).or_default().extend(blockers.iter().map(|b| b.txn));
        }
    }
    assert_eq!(blocked_by.len(), waiting.len());
    let mut free = true;
    while free {
        let still: HashSet<TxnId> = blocked_by.keys().copied().collect();
        blocked_by.retain(|_, blockers| blockers.iter().any(|b| still.contains(b)));
        free = blocked_by.len() < still.len();
    }
    assert!(blocked_by.is_empty(), "a deadlock was not found");
}

fn check_steps(steps: Vec<Step>) {
    let (table, mut owners) = owners::<OWNERS>();
    let mut waits: Vec<Option<Acquiring>> = (0..OWNERS).map(|_| None).collect();
    let mut next = OWNERS as u64;
    for step in steps {
        match step {
            Step::Lock(o, key, mode) if waits[o].is_none() => {
                let owner = Arc::clone(&owners[o]);
                let mode = RELATION_MODES[usize::from(mode)].into();
                let key = LockKey::Relation(Oid(key.into()));
                waits[o] = Some(Box::pin(async move { owner.acquire(key, mode, Wait::Block, NO_LIMIT).await }));
            }
            Step::Lock(..) => {}
            Step::Cancel(o) => waits[o] = None,
            Step::End(o) => {
                waits[o] = None;
                owners[o].release_all();
                next += 1;
                owners[o] = LockOwner::new(TxnId(next), Arc::clone(&table));
            }
        }
        // A victim ends, and a newcomer may let somebody pass: both let others go on.
        for o in (0..OWNERS).cycle().take(OWNERS * OWNERS) {
            if let Some(Poll::Ready(answer)) = waits[o].as_mut().map(|w| poll(w.as_mut())) {
                waits[o] = None;
                if let Err(e) = answer {
                    assert_eq!(e.code(), SqlState::DEADLOCK_DETECTED);
                    owners[o].release_all();
                    next += 1;
                    owners[o] = LockOwner::new(TxnId(next), Arc::clone(&table));
                }
            }
        }
        let waiting: Vec<TxnId> = (0..OWNERS).filter(|&o| waits[o].is_some()).map(|o| owners[o].txn).collect();
        check_table(&table, &waiting);
    }
    drop(waits);
    owners.iter().for_each(|o| o.release_all());
    assert_eq!(table.len(), 0);
    assert!(table.waits.lock().is_empty());
}

#[test]
fn waiter_does_not_pass_whom_it_waits_for_anyway() {
    // Found at random: 2 passed the upgrader 0, whose other lock it also waited for.
    let lock = |(owner, key, mode)| Step::Lock(owner, key, mode);
    check_steps([(0, 1, 2), (3, 1, 0), (0, 1, 7), (2, 2, 0), (2, 1, 4), (3, 2, 7)].map(lock).into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn locks_random_never_conflict_and_never_hang(steps in steps()) {
        check_steps(steps);
    }
}
