//! Locks that go before their commit is durable: who gets them, what he sees, what nobody is told too early.

mod harness;

use bytes::Bytes;
use harness::*;
use heddle_engines::RowReader;
use heddle_txn::{Isolation, Locked, RelationLock, RowLock, Transaction, TxnManager, Wait};
use heddle_types::{LogIndex, Result, StorageId};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_local};

/// A manager with row 1 = "old" and row 2 = "two", the gate closed.
async fn closed(dir: &Path) -> (Arc<TxnManager>, Arc<Gate>) {
    let (m, gate) = open_gated(dir);
    let t = begin(&m);
    put(&t, 1, "old");
    put(&t, 2, "two");
    t.commit().await.unwrap();
    gate.close();
    (m, gate)
}

async fn lock(t: &Transaction, n: u64, wait: Wait) -> Result<Locked> {
    t.lock_row(TABLE, &key(n), RowLock::Update, wait).await
}

/// Locks row 1, writes it and proposes the commit, which then waits for the disk.
async fn commit_of(m: &Arc<TxnManager>, row: Option<&str>) -> JoinHandle<Result<Option<LogIndex>>> {
    let t = begin(m);
    t.lock_relation(TABLE, RelationLock::RowExclusive, Wait::Block).await.unwrap();
    lock(&t, 1, Wait::Block).await.unwrap();
    match row {
        Some(row) => put(&t, 1, row),
        None => t.delete(T, key(1)).unwrap(),
    }
    let commit = spawn_local(async move { t.commit().await });
    pause().await;
    assert!(!commit.is_finished());
    commit
}

/// Long enough for everything that can go on to do so.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn waits(task: &JoinHandle<impl Sized>) -> bool {
    pause().await;
    !task.is_finished()
}

#[test]
fn next_holder_reads_what_is_not_durable_and_commits_behind_it() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let first = commit_of(&m, Some("first")).await;
        let t = begin(&m);
        let view = t.statement();
        assert_eq!(lock(&t, 1, Wait::NoWait).await.unwrap(), Locked::Acquired { waited: false });
        assert_eq!(get(&view, 1), Some("old".to_owned()), "a snapshot sees what is visible");
        let row = t.newest().get(T, &key(1)).unwrap().unwrap();
        assert_eq!(row.row, "first");
        assert!(row.index > view.index() && t.depends_on() == row.index);
        put(&t, 1, "second");
        let second = spawn_local(async move { t.commit().await });
        assert!(waits(&second).await && !first.is_finished());
        assert_eq!(committed(&m), pairs(&[(1, "old"), (2, "two")]));
        gate.open();
        let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
        assert!(first < second);
        assert_eq!(committed(&m), pairs(&[(1, "second"), (2, "two")]));
    });
}

#[test]
fn one_hot_row_is_committed_many_times_in_one_sync() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let mut commits = vec![];
        for n in 0..100 {
            let t = begin(&m);
            lock(&t, 1, Wait::NoWait).await.unwrap();
            let before = get(&t.newest(), 1).unwrap();
            assert_eq!(before, if n == 0 { "old".to_owned() } else { (n - 1).to_string() });
            put(&t, 1, &n.to_string());
            commits.push(spawn_local(async move { t.commit().await }));
            tokio::task::yield_now().await;
        }
        gate.open();
        for commit in commits {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(committed(&m), pairs(&[(1, "99"), (2, "two")]));
    });
}

#[test]
fn deleted_and_not_durable_is_gone_for_the_next_holder() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let first = commit_of(&m, None).await;
        let t = begin(&m);
        lock(&t, 1, Wait::NoWait).await.unwrap();
        assert_eq!(get(&t.newest(), 1), None);
        assert!(t.depends_on() > m.visible());
        gate.open();
        first.await.unwrap().unwrap();
        t.settled().await.unwrap();
        assert_eq!(get(&t.newest(), 1), None);
    });
}

#[test]
fn who_wrote_nothing_ends_when_what_he_read_is_durable() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let first = commit_of(&m, Some("first")).await;
        let t = begin(&m);
        lock(&t, 1, Wait::NoWait).await.unwrap();
        assert_eq!(get(&t.newest(), 1), Some("first".to_owned()));
        let settled = {
            let t = Arc::clone(&t);
            spawn_local(async move { t.settled().await })
        };
        let commit = spawn_local(async move { t.commit().await });
        assert!(waits(&settled).await && !commit.is_finished());
        gate.open();
        settled.await.unwrap().unwrap();
        assert_eq!(commit.await.unwrap().unwrap(), None);
        first.await.unwrap().unwrap();
    });
}

#[test]
fn rolled_back_reader_leaves_the_image() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let first = commit_of(&m, Some("first")).await;
        let t = begin(&m);
        lock(&t, 1, Wait::NoWait).await.unwrap();
        put(&t, 1, "undone");
        t.rollback();
        let t = begin(&m);
        lock(&t, 1, Wait::NoWait).await.unwrap();
        assert_eq!(get(&t.newest(), 1), Some("first".to_owned()));
        gate.open();
        first.await.unwrap().unwrap();
        assert_eq!(get(&t.newest(), 1), Some("first".to_owned()));
    });
}

#[test]
fn unique_keys_and_shared_row_locks_go_too_but_relations_stay() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let a = begin(&m);
        a.lock_relation(TABLE, RelationLock::RowExclusive, Wait::Block).await.unwrap();
        a.lock_key(TABLE, &key(5)).await.unwrap();
        a.lock_row(TABLE, &key(2), RowLock::KeyShare, Wait::Block).await.unwrap();
        put(&a, 5, "five");
        let commit = spawn_local(async move { a.commit().await });
        pause().await;
        let b = begin(&m);
        b.lock_key(TABLE, &key(5)).await.unwrap();
        assert_eq!(get(&b.newest(), 5), Some("five".to_owned()), "a duplicate");
        lock(&b, 2, Wait::NoWait).await.unwrap();
        assert!(b.lock_relation(TABLE, RelationLock::AccessExclusive, Wait::NoWait).await.is_err());
        let everything = spawn_local(async move {
            b.everything_visible().await.unwrap();
            rows(&b.newest())
        });
        assert!(waits(&everything).await && !commit.is_finished());
        gate.open();
        assert_eq!(everything.await.unwrap(), pairs(&[(1, "old"), (2, "two"), (5, "five")]));
        commit.await.unwrap().unwrap();
    });
}

#[test]
fn locks_of_large_and_of_foreign_sets_stay() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let large: Box<dyn Fn(&Transaction)> = Box::new(|t| (0..300).for_each(|n| put(t, 1000 + n, "row")));
        let dropping: Box<dyn Fn(&Transaction)> = Box::new(|t| t.drop_storage(StorageId(20_001)).unwrap());
        let streamed: Box<dyn Fn(&Transaction)> =
            Box::new(|t| t.put(T, key(7), Bytes::from(vec![0; 2 << 20])).unwrap());
        for (n, write) in [large, dropping, streamed].into_iter().enumerate() {
            let a = begin(&m);
            lock(&a, n as u64 + 1, Wait::Block).await.unwrap();
            write(&a);
            let commit = spawn_local(async move { a.commit().await });
            pause().await;
            let b = begin(&m);
            assert!(lock(&b, n as u64 + 1, Wait::NoWait).await.is_err(), "{n}");
            gate.open();
            commit.await.unwrap().unwrap();
            gate.close();
        }
        gate.open();
    });
}

#[test]
fn dropped_commit_keeps_its_image_until_it_is_visible() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let first = commit_of(&m, Some("first")).await;
        first.abort();
        assert!(first.await.is_err());
        let t = begin(&m);
        lock(&t, 1, Wait::NoWait).await.unwrap();
        assert_eq!(get(&t.newest(), 1), Some("first".to_owned()));
        gate.open();
        t.settled().await.unwrap();
        assert_eq!(get(&t.newest(), 1), Some("first".to_owned()));
        assert_eq!(committed(&m), pairs(&[(1, "first"), (2, "two")]));
    });
}

#[test]
fn repeatable_read_meets_an_index_its_snapshot_does_not_see() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let (m, gate) = closed(dir.path()).await;
        let t = m.begin(Isolation::RepeatableRead, false);
        let view = t.statement();
        let seen = view.get(T, &key(1)).unwrap().unwrap().index;
        let first = commit_of(&m, Some("first")).await;
        lock(&t, 1, Wait::NoWait).await.unwrap();
        assert!(t.newest().get(T, &key(1)).unwrap().unwrap().index > seen, "which is 40001");
        gate.open();
        first.await.unwrap().unwrap();
    });
}

/// Sums of hot rows under early release, from many threads, with the gate opening and closing.
#[test]
fn transfers_between_hot_rows_lose_nothing() {
    const ROWS: u64 = 4;
    let dir = tempfile::tempdir().unwrap();
    let (m, gate) = open_gated(dir.path());
    run(async {
        let t = begin(&m);
        (0..ROWS).for_each(|n| put(&t, n, "100"));
        t.commit().await.unwrap();
    });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u64)
            .map(|worker| {
                let m = &m;
                scope.spawn(move || {
                    run(async {
                        for round in 0..200 {
                            // In key order, so that nobody meets a deadlock.
                            let (from, to) = ((worker + round) % ROWS, (worker + round + 1 + round % 3) % ROWS);
                            let t = begin(m);
                            for n in [from.min(to), from.max(to)] {
                                t.lock_row(TABLE, &key(n), RowLock::NoKeyUpdate, Wait::Block).await.unwrap();
                            }
                            let amount = |n| get(&t.newest(), n).unwrap().parse::<i64>().unwrap();
                            let (a, b) = (amount(from), amount(to));
                            put(&t, from, &(a - 1).to_string());
                            put(&t, to, &(b + 1).to_string());
                            match round % 7 {
                                0 => t.rollback(),
                                _ => assert!(t.commit().await.unwrap().is_some()),
                            }
                            let sum: i64 = committed(m).iter().map(|(_, v)| v.parse::<i64>().unwrap()).sum();
                            assert_eq!(sum, 100 * ROWS as i64);
                        }
                    });
                })
            })
            .collect();
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                gate.close();
                std::thread::sleep(Duration::from_millis(2));
                gate.open();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        workers.into_iter().for_each(|w| w.join().unwrap());
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
