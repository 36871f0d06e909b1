//! Locks as sessions meet them, counters, large streamed sets, recovery, checkpoints.

mod harness;

use harness::*;
use heddle_engines::RowReader;
use heddle_env::Env;
use heddle_txn::{Counter, Isolation, Locked, RelationLock, RowLock, TxnManager, Wait};
use heddle_types::{Oid, StorageId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

async fn increment(m: Arc<TxnManager>) {
    let t = begin(&m);
    t.lock_relation(TABLE, RelationLock::RowExclusive, Wait::Block).await.unwrap();
    t.lock_row(TABLE, &key(1), RowLock::NoKeyUpdate, Wait::Block).await.unwrap();
    let n: u64 = get(&t.newest(), 1).unwrap().parse().unwrap();
    tokio::task::yield_now().await;
    put(&t, 1, &(n + 1).to_string());
    t.commit().await.unwrap();
}

#[test]
fn thousand_increments_under_a_row_lock_lose_nothing() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let t = begin(&m);
        put(&t, 1, "0");
        t.commit().await.unwrap();
        let tasks: Vec<_> = (0..1000).map(|_| tokio::task::spawn_local(increment(Arc::clone(&m)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(committed(&m), pairs(&[(1, "1000")]));
    });
}

#[test]
fn increments_from_many_threads_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let m = open(dir.path());
    run(async {
        let t = begin(&m);
        put(&t, 1, "0");
        t.commit().await.unwrap();
    });
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                run(async {
                    for _ in 0..100 {
                        increment(Arc::clone(&m)).await;
                    }
                });
            });
        }
    });
    assert_eq!(committed(&m), pairs(&[(1, "400")]));
}

#[test]
fn waiter_sees_what_the_holder_committed() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let a = begin(&m);
        a.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap();
        put(&a, 1, "a");
        let b = begin(&m);
        let view = b.statement();
        let waiting = tokio::task::spawn_local(async move {
            let locked = b.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap();
            assert_eq!(locked, Locked::Acquired { waited: true });
            (get(&view, 1), get(&b.newest(), 1))
        });
        tokio::task::yield_now().await;
        a.commit().await.unwrap();
        assert_eq!(waiting.await.unwrap(), (None, Some("a".to_owned())));
    });
}

#[test]
fn commit_dropped_while_it_waits_happens_and_frees_its_locks() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        for n in 0..50 {
            let a = begin(&m);
            a.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap();
            put(&a, 1, &n.to_string());
            let mut commit = Box::pin(a.commit());
            let _ = std::future::Future::poll(
                commit.as_mut(),
                &mut std::task::Context::from_waker(std::task::Waker::noop()),
            );
            drop(commit);
            drop(a);
            let b = begin(&m);
            b.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap();
            assert_eq!(get(&b.newest(), 1), Some(n.to_string()), "the lock comes after the commit");
        }
    });
}

#[test]
fn lock_waits_end_by_timeout_deadlock_and_cancel() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let (a, b) = (begin(&m), begin(&m));
        a.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap();
        b.lock_row(TABLE, &key(2), RowLock::Update, Wait::Block).await.unwrap();
        b.set_lock_timeout(Duration::from_millis(20));
        let e = b.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap_err();
        assert_eq!((e.code().0, e.message()), ("55P03", "canceling statement due to lock timeout"));
        b.set_lock_timeout(Duration::ZERO);
        let one = key(1);
        let cancelled =
            tokio::time::timeout(Duration::from_millis(10), b.lock_row(TABLE, &one, RowLock::Share, Wait::Block));
        assert!(cancelled.await.is_err());
        let a2 = Arc::clone(&a);
        let waiting =
            tokio::task::spawn_local(async move { a2.lock_row(TABLE, &key(2), RowLock::Update, Wait::Block).await });
        tokio::task::yield_now().await;
        let e = b.lock_row(TABLE, &key(1), RowLock::Update, Wait::Block).await.unwrap_err();
        assert_eq!((e.code().0, e.message()), ("40P01", "deadlock detected"));
        b.rollback();
        assert_eq!(waiting.await.unwrap().unwrap(), Locked::Acquired { waited: true });
        let c = begin(&m);
        assert_eq!(c.lock_row(TABLE, &key(1), RowLock::KeyShare, Wait::Skip).await.unwrap(), Locked::Skipped);
        assert_eq!(c.lock_row(TABLE, &key(1), RowLock::KeyShare, Wait::NoWait).await.unwrap_err().code().0, "55P03");
        drop(a);
        c.lock_row(TABLE, &key(1), RowLock::KeyShare, Wait::NoWait).await.unwrap();
        c.lock_key(Oid(5), b"k").await.unwrap();
        c.lock_name("relation name", b"public.t").await.unwrap();
    });
}

/// Keys in key order, as slices.
fn slices(keys: &[bytes::Bytes]) -> Vec<&[u8]> {
    keys.iter().map(|k| &k[..]).collect()
}

#[test]
fn claimed_keys_are_locked_for_others_only() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let index = Oid(20001);
        let (a, b) = (begin(&m), begin(&m));
        let keys: Vec<_> = (0..1000).map(key).collect();
        assert!(a.claim_keys(index, T, &slices(&keys)).unwrap());
        assert!(!a.claim_keys(index, T, &slices(&keys[5..6])).unwrap(), "claimed before");
        assert!(!b.claim_keys(index, T, &slices(&keys[5..6])).unwrap());
        assert!(b.claim_keys(Oid(20002), T, &slices(&keys)).unwrap(), "another index");
        a.lock_key(index, &key(7)).await.unwrap();
        b.lock_key(index, &key(1000)).await.unwrap();
        b.set_lock_timeout(Duration::from_millis(20));
        assert_eq!(b.lock_key(index, &key(8)).await.unwrap_err().code().0, "55P03");
        b.set_lock_timeout(Duration::ZERO);
        let nine = key(9);
        let mut waits = Box::pin(b.lock_key(index, &nine));
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(waits.as_mut().poll(cx).is_pending())).await);
        assert_eq!(a.lock_key(index, &key(1000)).await.unwrap_err().code().0, "40P01", "he waits for us");
        put(&a, 9, "a");
        a.commit().await.unwrap();
        assert_eq!(waits.await.unwrap(), Locked::Acquired { waited: true });
        assert_eq!(get(&b.newest(), 9), Some("a".to_owned()));
        assert!(!b.claim_keys(index, T, &slices(&[key(9), key(10)])).unwrap(), "the row is there");
        assert!(b.claim_keys(index, T, &slices(&[key(10), key(11)])).unwrap(), "nothing was claimed in vain");
        put(&b, 12, "b");
        assert!(!b.claim_keys(index, T, &slices(&[key(12)])).unwrap(), "written by itself");
    });
}

#[test]
fn claims_are_given_up_with_their_savepoint() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let index = Oid(20001);
        let (a, b) = (begin(&m), begin(&m));
        let keys: Vec<_> = (0..10).map(key).collect();
        assert!(a.claim_keys(index, T, &slices(&keys[..2])).unwrap());
        let outer = a.savepoint();
        assert!(a.claim_keys(index, T, &slices(&keys[2..4])).unwrap());
        let inner = a.savepoint();
        assert!(a.claim_keys(index, T, &slices(&keys[4..6])).unwrap());
        a.release(inner);
        // Somebody waits for one of each.
        let waits = |n: u64| {
            let b = std::sync::Arc::clone(&b);
            tokio::task::spawn_local(async move { b.lock_key(index, &key(n)).await.map(|_| n) })
        };
        let (kept, undone) = (waits(1), [waits(3), waits(5)]);
        tokio::task::yield_now().await;
        a.rollback_to(outer);
        for wait in undone {
            wait.await.unwrap().unwrap();
        }
        assert!(!kept.is_finished());
        assert!(!a.claim_keys(index, T, &slices(&keys[3..4])).unwrap(), "it is his now");
        assert!(a.claim_keys(index, T, &slices(&keys[2..3])).unwrap());
        a.rollback();
        kept.await.unwrap().unwrap();
        assert!(b.claim_keys(index, T, &slices(&keys[6..])).unwrap());
    });
}

#[test]
fn counters_are_unique_across_tasks_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = HashSet::new();
    let mut last_row = 0;
    for round in 0..3 {
        let m = open(dir.path());
        run(async {
            let draw = |counter| {
                let m = Arc::clone(&m);
                async move { m.draw(counter).await.unwrap() }
            };
            let tasks: Vec<_> = (0..100).map(|_| tokio::task::spawn_local(draw(Counter::Oid))).collect();
            for task in tasks {
                assert!(seen.insert(task.await.unwrap()), "drawn twice");
            }
            assert!(m.draw_storage().await.unwrap() >= StorageId(16384));
            let row_ids = Counter::RowId(TABLE);
            let first = m.draw_many(row_ids, 100_000).await.unwrap();
            assert!(first > last_row);
            let next = m.draw(row_ids).await.unwrap();
            assert!(next >= first + 100_000);
            last_row = next;
            if round == 1 {
                m.shutdown();
                assert_eq!(m.draw_many(row_ids, 1 << 20).await.unwrap_err().code().0, "57P01");
            }
        });
    }
    assert!(seen.iter().all(|&oid| oid >= 16384));
}

#[test]
fn large_set_streams_with_savepoints_and_survives() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let row = |tag: &str, n: u64| format!("{tag}{n}-{}", "x".repeat(1000));
        let write = |t: &heddle_txn::Transaction, tag: &str, range: std::ops::Range<u64>| {
            range.for_each(|n| put(t, n, &row(tag, n)));
        };
        let aborted = begin(&m);
        write(&aborted, "no", 0..4000);
        let open_for_ever = begin(&m);
        write(&open_for_ever, "never", 0..4000);
        let before = m.visible();
        let t = begin(&m);
        t.statement();
        write(&t, "a", 0..3000);
        let first = t.savepoint();
        t.statement();
        write(&t, "b", 1000..5000);
        let second = t.savepoint();
        write(&t, "c", 0..2500);
        t.rollback_to(second);
        write(&t, "d", 0..10);
        t.rollback_to(first);
        t.statement();
        write(&t, "e", 2990..3100);
        t.delete(T, key(5)).unwrap();
        put(&t, 9999, &"big".repeat(1 << 20));
        aborted.rollback();
        assert_eq!(begin(&m).statement().get(T, &key(1)).unwrap(), None, "parts have no effect");
        t.commit().await.unwrap();
        assert!(m.visible().0 > before.0 + 5, "it was streamed");
        let mut expected: Vec<_> = (0..2990).filter(|n| *n != 5).map(|n| (n, row("a", n))).collect();
        expected.extend((2990..3100).map(|n| (n, row("e", n))));
        expected.push((9999, "big".repeat(1 << 20)));
        assert!(committed(&m) == expected);
        let copy = crash_copy(dir.path());
        drop((t, aborted, m, open_for_ever));
        for dir in [copy.path(), dir.path()] {
            let m = open(dir);
            assert!(committed(&m) == expected, "after reopening");
            m.checkpoint().await.unwrap();
            assert!(committed(&m) == expected, "after a checkpoint");
            drop(m);
            assert!(committed(&open(dir)) == expected, "after checkpoint and reopening");
        }
    });
}

#[test]
fn log_and_memtables_stay_bounded_while_writing() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.unmerged_bytes_max = 4 << 20;
    let m = TxnManager::open(Env::real(), config).unwrap();
    run(async {
        let reader = m.begin(Isolation::RepeatableRead, true);
        let empty = rows(&reader.statement());
        for round in 0..60u64 {
            let t = begin(&m);
            (0..500).for_each(|n| put(&t, (round * 7919 + n * 13) % 2000, &format!("{round}-{}", "y".repeat(1000))));
            t.commit().await.unwrap();
        }
        assert_eq!(rows(&reader.statement()), empty);
        let n = committed(&m).len();
        m.checkpoint().await.unwrap();
        let log_bytes: u64 =
            std::fs::read_dir(dir.path().join("log")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(log_bytes <= 20 << 20, "60 MiB were written, {log_bytes} bytes of log are left");
        assert_eq!(committed(&m).len(), n);
        let copy = crash_copy(dir.path());
        assert_eq!(committed(&open(copy.path())), committed(&m));
    });
}

#[test]
fn rolled_back_sets_do_not_fill_the_log() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let t = begin(&m);
        put(&t, 1, "kept");
        t.commit().await.unwrap();
        m.checkpoint().await.unwrap();
        for _ in 0..8 {
            let t = begin(&m);
            (0..4000).for_each(|n| put(&t, n, &"z".repeat(1000)));
            t.rollback();
            drop(t);
        }
        m.checkpoint().await.unwrap();
        // The last Abort may have come after the look; the next checkpoint sees it.
        m.checkpoint().await.unwrap();
        let log_bytes: u64 =
            std::fs::read_dir(dir.path().join("log")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert!(log_bytes <= 16 << 20, "32 MiB were rolled back, {log_bytes} bytes of log are left");
        let copy = crash_copy(dir.path());
        assert_eq!(committed(&open(copy.path())), committed(&m));
    });
}

#[test]
fn open_set_keeps_its_log_through_checkpoints() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let long = begin(&m);
        (0..4000).for_each(|n| put(&long, 100_000 + n, &"z".repeat(1000)));
        for round in 0..10 {
            let t = begin(&m);
            (0..1000).for_each(|n| put(&t, n, &format!("{round}{}", "y".repeat(1000))));
            t.commit().await.unwrap();
            m.checkpoint().await.unwrap();
        }
        long.commit().await.unwrap();
        let copy = crash_copy(dir.path());
        assert_eq!(committed(&m).len(), 5000);
        assert!(committed(&open(copy.path())) == committed(&m));
    });
}

#[test]
fn folder_crashed_at_any_commit_has_whole_transactions() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        for round in 0..20u64 {
            let t = begin(&m);
            (0..10).for_each(|n| put(&t, n, &round.to_string()));
            t.commit().await.unwrap();
            if round % 5 == 4 {
                let copy = crash_copy(dir.path());
                let reopened = committed(&open(copy.path()));
                assert!(reopened.iter().all(|(_, row)| *row == round.to_string()));
                assert_eq!(reopened.len(), 10);
            }
        }
    });
}

#[test]
fn transaction_dropped_open_is_rolled_back() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let t = begin(&m);
        t.lock_relation(TABLE, RelationLock::AccessExclusive, Wait::Block).await.unwrap();
        put(&t, 1, "a");
        drop(t);
        let t = begin(&m);
        let locked = t.lock_relation(TABLE, RelationLock::AccessExclusive, Wait::NoWait).await.unwrap();
        assert_eq!(locked, Locked::Acquired { waited: false });
        assert_eq!(committed(&m).len(), 0);
    });
}

#[test]
fn sums_stay_constant_while_others_transfer_and_merge() {
    const ACCOUNTS: u64 = 50;
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.relational.memtable_bytes_max = 64 << 10;
    let m = TxnManager::open(Env::real(), config).unwrap();
    let sum = |view: &heddle_txn::ReadView| -> i64 {
        let rows = rows(view);
        assert_eq!(rows.len() as u64, ACCOUNTS);
        rows.iter().map(|(_, row)| row.split(' ').next().unwrap().parse::<i64>().unwrap()).sum()
    };
    let padding = "p".repeat(200);
    run(async {
        let t = begin(&m);
        (0..ACCOUNTS).for_each(|n| put(&t, n, "100"));
        t.commit().await.unwrap();
    });
    let transfer = |seed: u64, round: u64| {
        let (m, padding) = (Arc::clone(&m), &padding);
        async move {
            let from = (seed * 31 + round * 7) % ACCOUNTS;
            let to = (from + 1 + (seed + round * 13) % (ACCOUNTS - 1)) % ACCOUNTS;
            let t = begin(&m);
            for n in [from.min(to), from.max(to)] {
                t.lock_row(TABLE, &key(n), RowLock::NoKeyUpdate, Wait::Block).await.unwrap();
            }
            let view = t.newest();
            for (n, amount) in [(from, -1), (to, 1)] {
                let balance: i64 = get(&view, n).unwrap().split(' ').next().unwrap().parse().unwrap();
                put(&t, n, &format!("{} {padding}", balance + amount));
            }
            t.commit().await.unwrap();
        }
    };
    std::thread::scope(|scope| {
        let (m, sum) = (&m, &sum);
        for seed in 0..3 {
            scope.spawn(move || {
                run(async {
                    for round in 0..400 {
                        transfer(seed, round).await;
                    }
                });
            });
        }
        scope.spawn(move || {
            run(async {
                for round in 0..30 {
                    let t = m.begin(Isolation::RepeatableRead, true);
                    let first = rows(&t.statement());
                    assert_eq!(sum(&begin(m).statement()), 100 * ACCOUNTS as i64);
                    if round % 10 == 0 {
                        m.checkpoint().await.unwrap();
                    }
                    assert!(rows(&t.statement()) == first);
                    assert_eq!(sum(&t.statement()), 100 * ACCOUNTS as i64);
                }
            });
        });
    });
    assert_eq!(sum(&begin(&m).statement()), 100 * ACCOUNTS as i64);
    let copy = crash_copy(dir.path());
    assert_eq!(sum(&begin(&open(copy.path())).statement()), 100 * ACCOUNTS as i64);
}

/// A set streams while others commit, and commits while they are being merged: the log must keep its Parts until its own
/// Commit is merged.
#[test]
fn purge_spares_the_parts_of_a_commit_that_is_not_merged() {
    run(async {
        for round in 0..4 {
            let dir = tempfile::tempdir().unwrap();
            let m = open(dir.path());
            let a = begin(&m);
            let filler = "a".repeat(64 << 10);
            // Two log segments of Parts.
            (0..144).for_each(|n| put(&a, n, &filler));
            let b = begin(&m);
            // More than a memtable: its Commit seals and starts a merge.
            let row = "b".repeat(32 << 10);
            (1000..1040 + round).for_each(|n| put(&b, n, &row));
            b.commit().await.unwrap();
            a.put(T, key(5000), key(1)).unwrap();
            a.delete(T, key(0)).unwrap();
            a.commit().await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            let crashed = crash_copy(dir.path());
            let copy = open(crashed.path());
            assert_eq!(begin(&copy).statement().get(T, &key(143)).unwrap().unwrap().row.len(), filler.len());
        }
    });
}
