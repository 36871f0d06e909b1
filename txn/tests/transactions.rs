//! Visibility, own writes, savepoints, isolation, DDL, against a real log and a real engine.

mod harness;

use harness::*;
use heddle_catalog::{CatalogEdit, DatabaseDef, Object, POSTGRES_DB};
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::{Isolation, Savepoint};
use heddle_types::Oid;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn commit_is_visible_to_later_statements_only() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let reader = begin(&m);
        let before = reader.statement();
        let w = begin(&m);
        put(&w, 1, "a");
        assert_eq!(get(&reader.statement(), 1), None, "no dirty read");
        let index = w.commit().await.unwrap().unwrap();
        assert!(m.visible() >= index);
        assert_eq!(get(&before, 1), None);
        let after = reader.statement();
        assert_eq!(get(&after, 1).as_deref(), Some("a"));
        assert_eq!(after.get(T, &key(1)).unwrap().unwrap().index, index);
        assert_eq!(begin(&m).commit().await.unwrap(), None, "nothing written, nothing logged");
        m.shutdown();
    });
}

#[test]
fn statement_sees_earlier_commands_but_not_itself() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let setup = begin(&m);
        (0..5).for_each(|n| put(&setup, n * 10, "base"));
        setup.commit().await.unwrap();
        let t = begin(&m);
        // INSERT INTO t SELECT … FROM t: writes ahead of the cursor are not met.
        let view = t.statement();
        let mut cursor = view.scan(T, KeyRange::all(), false).unwrap();
        let (mut out, mut seen) = (Vec::new(), 0);
        loop {
            let more = cursor.next_batch(1, &mut out).unwrap();
            for row in out.drain(..) {
                seen += 1;
                put(&t, u64::from_be_bytes(row.key[..].try_into().unwrap()) + 1, "copy");
            }
            if !more {
                break;
            }
        }
        assert_eq!(seen, 5);
        assert_eq!(rows(&view).len(), 5);
        assert_eq!(rows(&t.newest()).len(), 10);
        let next = t.statement();
        assert_eq!(rows(&next).len(), 10);
        t.delete(T, key(0)).unwrap();
        put(&t, 10, "new");
        assert_eq!(get(&next, 0).as_deref(), Some("base"));
        assert_eq!(get(&next, 10).as_deref(), Some("base"));
        assert_eq!(get(&t.newest(), 0), None);
        assert_eq!(get(&t.statement(), 10).as_deref(), Some("new"));
        assert_eq!(next.get(T, &key(1)).unwrap().unwrap().index.0, 0, "own writes have index 0");
        t.rollback();
        assert_eq!(committed(&m).len(), 5);
        assert_eq!(t.put(T, key(1), key(1)).unwrap_err().code().0, "25P02");
    });
}

#[test]
fn repeatable_read_keeps_its_snapshot_and_catalog() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let setup = begin(&m);
        (0..100).for_each(|n| put(&setup, n, "v0"));
        setup.commit().await.unwrap();
        let rr = m.begin(Isolation::RepeatableRead, false);
        let first = rows(&rr.statement());
        for round in 1..=10 {
            let w = begin(&m);
            (0..100).filter(|n| n % round == 0).for_each(|n| put(&w, n, &format!("v{round}")));
            w.delete(T, key(round)).unwrap();
            let db = DatabaseDef {
                oid: Oid(30000 + round as u32),
                name: format!("d{round}"),
                series: None,
                comments: vec![],
            };
            w.edit_catalog(vec![CatalogEdit::Put(Object::Database(db))]).unwrap();
            w.commit().await.unwrap();
            m.checkpoint().await.unwrap();
            assert_eq!(rows(&rr.statement()), first, "after {round} merges");
            assert!(rr.catalog().database("d1").is_none());
            assert!(m.catalog().database(&format!("d{round}")).is_some());
        }
        assert_ne!(rows(&rr.newest()), first);
        assert_eq!(committed(&m).len(), 90);
        m.verify().unwrap();
    });
}

#[test]
fn modes_are_set_before_the_first_statement() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let t = begin(&m);
        t.set_mode(Some(Isolation::RepeatableRead), Some(true)).unwrap();
        t.statement();
        let e = t.set_mode(Some(Isolation::ReadCommitted), None).unwrap_err();
        assert_eq!(
            (e.code().0, e.message()),
            ("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
        );
        assert_eq!(t.set_mode(None, Some(false)).unwrap_err().code().0, "25001");
        assert_eq!(t.put(T, key(1), key(1)).unwrap_err().code().0, "25006");
    });
}

#[test]
fn ddl_is_visible_atomically_and_undone_with_savepoints() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        assert!(m.catalog().schema(POSTGRES_DB, "public").is_some());
        let database = |oid, name: &str| {
            CatalogEdit::Put(Object::Database(DatabaseDef {
                oid: Oid(oid),
                name: name.into(),
                series: None,
                comments: vec![],
            }))
        };
        let t = begin(&m);
        t.edit_catalog(vec![database(30000, "a")]).unwrap();
        let from = t.catalog().from_index();
        let mark = t.savepoint();
        t.edit_catalog(vec![database(30001, "b"), database(30000, "c")]).unwrap();
        assert!(t.catalog().database("b").is_some() && t.catalog().database("a").is_none());
        assert_ne!(t.catalog().from_index(), from, "every state has its own version");
        assert!(m.catalog().database("a").is_none());
        t.rollback_to(mark);
        assert!(t.statement().catalog().database("b").is_none());
        assert!(t.catalog().database("a").is_some());
        let old = m.catalog();
        let index = t.commit().await.unwrap().unwrap();
        assert_eq!(m.catalog().from_index(), index);
        assert!(m.catalog().database("a").is_some() && m.catalog().database("b").is_none());
        assert!(old.database("a").is_none());
        m.shutdown();
        drop((t, m));
        let m = open(dir.path());
        assert!(m.catalog().database("a").is_some());
        assert_eq!(m.catalog().databases().len(), 2);
    });
}

#[test]
fn storage_dropped_at_commit_is_empty_afterwards() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let t = begin(&m);
        put(&t, 1, "a");
        t.commit().await.unwrap();
        let reader = begin(&m);
        let view = reader.statement();
        let t = begin(&m);
        let mark = t.savepoint();
        t.drop_storage(T).unwrap();
        t.rollback_to(mark);
        t.drop_storage(T).unwrap();
        t.commit().await.unwrap();
        assert_eq!(rows(&view).len(), 1);
        assert_eq!(committed(&m).len(), 0);
    });
}

#[test]
fn commit_feed_carries_what_was_committed() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let mut feed = m.subscribe();
        let t = begin(&m);
        put(&t, 1, "a");
        put(&t, 1, "b");
        let index = t.commit().await.unwrap().unwrap();
        let event = feed.recv().await.unwrap();
        assert_eq!((event.index, event.changes.len()), (index, 1));
    });
}

#[test]
fn write_set_too_large_is_refused() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        config.write_set_bytes_max = 1000;
        let m = heddle_txn::TxnManager::open(heddle_env::Env::real(), config).unwrap();
        let t = begin(&m);
        let e = (0..100).find_map(|n| t.put(T, key(n), vec![0; 100].into()).err()).unwrap();
        assert_eq!(e.code().0, "54000");
        t.rollback();
        assert_eq!(committed(&m).len(), 0);
    });
}

#[test]
fn moved_keys_are_followed() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let since = m.visible();
        for (old, new) in [(1, 2), (2, 3)] {
            let t = begin(&m);
            t.delete(T, key(old)).unwrap();
            put(&t, new, "x");
            t.note_key_change(TABLE, key(old), key(new));
            let mark = t.savepoint();
            t.note_key_change(TABLE, key(new), key(99));
            t.rollback_to(mark);
            t.commit().await.unwrap();
        }
        let t = begin(&m);
        assert_eq!(t.moved_to(TABLE, &key(1), since), Some(key(3)));
        assert_eq!(t.moved_to(TABLE, &key(1), m.visible()), None);
        assert_eq!(t.moved_to(Oid(1), &key(1), since), None);
    });
}

#[derive(Clone, Debug)]
enum Op {
    Put(u64, u8),
    Big(u64, u8),
    Delete(u64),
    Bulk(BTreeSet<u64>, u8),
    Statement,
    Savepoint,
    RollbackTo(usize),
    Release(usize),
    Check,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..12u64, any::<u8>()).prop_map(|(k, v)| Op::Put(k, v)),
        2 => (0..12u64, any::<u8>()).prop_map(|(k, v)| Op::Big(k, v)),
        2 => (0..12u64).prop_map(Op::Delete),
        3 => (proptest::collection::btree_set(0..12u64, 1..8), any::<u8>()).prop_map(|(keys, v)| Op::Bulk(keys, v)),
        4 => Just(Op::Statement),
        3 => Just(Op::Savepoint),
        2 => any::<usize>().prop_map(Op::RollbackTo),
        1 => any::<usize>().prop_map(Op::Release),
        2 => Just(Op::Check),
    ];
    proptest::collection::vec(op, 1..60)
}

type Rows = BTreeMap<u64, String>;

/// Runs the operations in one transaction beside a model that copies its rows at every mark; reopens and compares.
fn check_ops(ops: &[Op]) {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let m = open(dir.path());
        let setup = begin(&m);
        (0..6).for_each(|n| put(&setup, n, "base"));
        setup.commit().await.unwrap();
        let t = begin(&m);
        let mut now: Rows = (0..6).map(|n| (n, "base".to_owned())).collect();
        let mut marks: Vec<(Savepoint, Rows)> = Vec::new();
        let mut views = vec![(t.statement(), now.clone())];
        for op in ops {
            match op {
                Op::Put(k, v) | Op::Big(k, v) => {
                    let row = v.to_string().repeat(if matches!(op, Op::Big(..)) { 200_000 } else { 1 });
                    put(&t, *k, &row);
                    now.insert(*k, row);
                }
                Op::Delete(k) => {
                    t.delete(T, key(*k)).unwrap();
                    now.remove(k);
                }
                Op::Bulk(keys, v) => {
                    let row = v.to_string().repeat(20_000);
                    put_block(&t, keys, &row);
                    now.extend(keys.iter().map(|k| (*k, row.clone())));
                }
                Op::Statement => {
                    if views.len() > 3 {
                        views.remove(0);
                    }
                    views.push((t.statement(), now.clone()));
                }
                Op::Savepoint => marks.push((t.savepoint(), now.clone())),
                Op::RollbackTo(n) if !marks.is_empty() => {
                    marks.truncate(n % marks.len() + 1);
                    let (mark, rows) = marks.last().unwrap();
                    t.rollback_to(*mark);
                    now.clone_from(rows);
                    // Open cursors of undone statements are the session's business, as in PostgreSQL.
                    views = vec![(t.statement(), now.clone())];
                }
                Op::Release(n) if !marks.is_empty() => {
                    let at = n % marks.len();
                    t.release(marks[at].0);
                    marks.truncate(at);
                }
                Op::Check => views.iter().for_each(|(view, expected)| {
                    assert!(rows(view).into_iter().eq(expected.clone()), "a statement's view changed");
                }),
                Op::RollbackTo(_) | Op::Release(_) => {}
            }
        }
        assert!(rows(&t.newest()).into_iter().eq(now.clone()));
        drop(views);
        t.commit().await.unwrap();
        assert!(committed(&m).into_iter().eq(now.clone()));
        let copy = crash_copy(dir.path());
        drop((t, setup, m));
        for dir in [copy.path(), dir.path()] {
            assert!(committed(&open(dir)).into_iter().eq(now.clone()), "after reopening");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn savepoints_random_equal_the_model(ops in ops()) {
        check_ops(&ops);
    }
}
