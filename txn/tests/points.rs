//! Points in transactions: single ones and blocks, as their own transaction and others see them.

mod harness;

use bytes::Bytes;
use harness::{open, run};
use heddle_engines::KeyRange;
use heddle_engines::RowReader;
use heddle_engines::block::PointBlock;
use heddle_engines::point::{NamedType, PartitionInterval, PointScan, SeriesLayout, point_key, split_point_key};
use heddle_txn::{Isolation, ReadView, Transaction};
use heddle_types::{Datum, PgType, StorageId, key, oid};
use std::collections::BTreeMap;
use std::sync::Arc;

fn storage() -> StorageId {
    StorageId::series(StorageId(20_000))
}

fn layout() -> Arc<SeriesLayout> {
    let named = |name: &str, ty| NamedType { name: name.to_owned(), ty: PgType::new(ty) };
    Arc::new(SeriesLayout {
        tags: vec![named("host", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: vec![named("v", oid::INT8)],
        partition: PartitionInterval::DEFAULT,
    })
}

fn series(host: &str) -> Bytes {
    key::encode_row([&Datum::text(host)]).into()
}

fn block(points: &[(&str, i64, i64)]) -> PointBlock {
    let mut hosts: Vec<&str> = points.iter().map(|p| p.0).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let code = |host| hosts.iter().position(|h| *h == host).unwrap() as u32;
    let values: Vec<i64> = points.iter().map(|p| p.2).collect();
    PointBlock {
        series: hosts.iter().map(|h| series(h)).collect(),
        codes: points.iter().map(|p| code(p.0)).collect(),
        time: points.iter().map(|p| p.1).collect(),
        fields: vec![
            heddle_types::arrow::column(
                &values.into_iter().map(Datum::Int8).collect::<Vec<_>>(),
                PgType::new(oid::INT8),
            )
            .unwrap(),
        ],
    }
}

fn put(txn: &Arc<Transaction>, host: &str, time: i64, value: i64) {
    let row = layout().row_layout().encode(&[Datum::Int8(value)]);
    txn.put(storage(), point_key(&series(host), time), row.into()).unwrap();
}

/// (host, time) -> value by a columnar scan, which the row scan and the gets must agree with.
fn points(view: &ReadView) -> BTreeMap<(String, i64), i64> {
    let scan = PointScan {
        storage: storage(),
        layout: layout(),
        series: vec![KeyRange::all()],
        from_us: i64::MIN,
        to_us: i64::MAX,
        fields: vec![0],
        conditions: Vec::new(),
        versions: false,
        batch_rows: 3,
        any_order: false,
        blocks: None,
        cursors: 2,
    };
    let mut found = BTreeMap::new();
    for mut cursor in view.scan_points(&scan).unwrap() {
        while let Some(batch) = cursor.next_batch().unwrap() {
            let mut i = 0;
            for (series, rows) in &batch.series {
                let Datum::Text(host) = key::decode(&mut &series[..], heddle_types::Class::Text).unwrap() else {
                    panic!("a text tag")
                };
                for _ in 0..*rows {
                    let value = heddle_types::arrow::datum_at(&batch.fields[0], PgType::new(oid::INT8), i);
                    let Datum::Timestamp(time) =
                        heddle_types::arrow::datum_at(&batch.time, PgType::new(oid::TIMESTAMPTZ), i)
                    else {
                        panic!("a time")
                    };
                    found.insert((host.to_string(), time), value.as_i64().unwrap());
                    i += 1;
                }
            }
            assert_eq!(i, batch.rows());
        }
    }
    let mut rows = Vec::new();
    while view.scan(storage(), KeyRange::all(), false).unwrap().next_batch(1 << 20, &mut rows).unwrap() {}
    assert_eq!(rows.len(), found.len());
    for row in rows {
        let (of, time) = split_point_key(&row.key).unwrap();
        let host = key::decode(&mut &of[..], heddle_types::Class::Text).unwrap();
        let value = layout().row_layout().decode(&row.row).unwrap()[0].as_i64();
        assert_eq!(found.get(&(host.as_text().unwrap().to_owned(), time)).copied(), value);
        assert_eq!(view.get(storage(), &row.key).unwrap().map(|r| r.row), Some(row.row));
    }
    found
}

fn expect(view: &ReadView, expected: &[(&str, i64, i64)]) {
    let expected: BTreeMap<_, _> = expected.iter().map(|(h, t, v)| ((h.to_string(), *t), *v)).collect();
    assert_eq!(points(view), expected);
}

#[test]
fn blocks_and_single_points_count_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let manager = open(dir.path());
    run(async {
        let txn = manager.begin(Isolation::ReadCommitted, false);
        txn.statement();
        txn.define_series(storage(), &layout()).unwrap();
        put(&txn, "a", 1, 10);
        txn.put_points(storage(), &layout(), &block(&[("a", 1, 11), ("b", 1, 20), ("a", 2, 12), ("a", 2, 13)]))
            .unwrap();
        let view = txn.statement();
        expect(&view, &[("a", 1, 11), ("a", 2, 13), ("b", 1, 20)]);
        put(&txn, "b", 1, 21);
        expect(&view, &[("a", 1, 11), ("a", 2, 13), ("b", 1, 20)]);
        txn.put_points(storage(), &layout(), &block(&[("b", 1, 22)])).unwrap();
        put(&txn, "b", 1, 23);
        txn.put_points(storage(), &layout(), &block(&[("c", 1, 30)])).unwrap();
        put(&txn, "b", 1, 24);
        txn.delete(storage(), point_key(&series("a"), 1)).unwrap();
        let expected = [("a", 2, 13), ("b", 1, 24), ("c", 1, 30)];
        expect(&txn.statement(), &expected);
        txn.commit().await.unwrap();
        expect(&manager.begin(Isolation::ReadCommitted, true).statement(), &expected);
        manager.shutdown();
        let again = open(dir.path());
        expect(&again.begin(Isolation::ReadCommitted, true).statement(), &expected);
    });
}

#[test]
fn savepoints_undo_blocks_read_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let manager = open(dir.path());
    run(async {
        let txn = manager.begin(Isolation::ReadCommitted, false);
        txn.statement();
        txn.define_series(storage(), &layout()).unwrap();
        txn.put_points(storage(), &layout(), &block(&[("a", 1, 10)])).unwrap();
        for read_before_undo in [false, true] {
            let mark = txn.savepoint();
            txn.statement();
            txn.put_points(storage(), &layout(), &block(&[("a", 1, 99), ("z", 1, 99)])).unwrap();
            put(&txn, "a", 1, 98);
            if read_before_undo {
                expect(&txn.statement(), &[("a", 1, 98), ("z", 1, 99)]);
            }
            txn.rollback_to(mark);
            expect(&txn.statement(), &[("a", 1, 10)]);
        }
        txn.commit().await.unwrap();
        expect(&manager.begin(Isolation::ReadCommitted, true).statement(), &[("a", 1, 10)]);
    });
}

#[test]
fn blocks_stream_and_rolled_back_ones_are_dead() {
    let dir = tempfile::tempdir().unwrap();
    let manager = open(dir.path());
    run(async {
        let txn = manager.begin(Isolation::ReadCommitted, false);
        txn.statement();
        txn.define_series(storage(), &layout()).unwrap();
        // Three blocks of about 800 kB each: past the size from which write sets stream.
        let large = |first: i64| {
            let points: Vec<_> = (first..first + 40_000).map(|t| ("a", t, t)).collect();
            block(&points)
        };
        txn.put_points(storage(), &layout(), &large(0)).unwrap();
        let mark = txn.savepoint();
        txn.put_points(storage(), &layout(), &large(1_000_000)).unwrap();
        txn.put_points(storage(), &layout(), &large(2_000_000)).unwrap();
        txn.rollback_to(mark);
        txn.put_points(storage(), &layout(), &large(40_000)).unwrap();
        txn.commit().await.unwrap();
        let found = points(&manager.begin(Isolation::ReadCommitted, true).statement());
        assert_eq!(found.len(), 80_000);
        assert!(found.iter().all(|((_, t), v)| t == v && *t < 80_000));
    });
}
