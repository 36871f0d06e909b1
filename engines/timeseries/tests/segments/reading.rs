//! What is written comes back.

use super::*;
use heddle_timeseries::segment::{BLOCK_ROWS_MAX, COUNTED_ROWS_MIN, FieldValues, SegmentBatch, SegmentCursor};
use proptest::prelude::*;
use std::ops::Range;

/// The rows that `next_rows` gives are those of `ranges`, which `check` is told one by one.
fn assert_rows(mut cursor: SegmentCursor, ranges: &[Range<u64>], mut check: impl FnMut(u64, &SegmentBatch, usize)) {
    let mut rows = ranges.iter().cloned().flatten().peekable();
    while let Some(batch) = cursor.next_rows().expect("as written") {
        assert_eq!(rows.peek(), Some(&batch.first_row));
        assert!(batch.rows > 0);
        (0..batch.rows).for_each(|i| check(rows.next().expect("as many"), &batch, i));
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn every_type_comes_back() {
    let layout = layout(&TYPES);
    let model = model(&layout, [1, 2, 30], 500, 1_000);
    let env = env();
    let meta = write(&env, &layout, &model, 333).expect("a healthy disk");
    assert_eq!((meta.rows, meta.min_us, meta.max_us), (1500, 1_000_000, 1_499_000));
    assert_eq!((meta.partition, meta.sequence, meta.fields), (-3, LogIndex(99), TYPES.len()));
    let segment = open(&env, &layout, &meta).expect("as written");
    assert_eq!(read(&segment, &layout).expect("as written"), model);
    segment.verify().expect("as written");
    for ((key, time), values) in model.iter().step_by(97) {
        assert_eq!(segment.get(key, *time).expect("as written").as_ref(), Some(values));
        assert_eq!(segment.get(key, *time + 1).expect("as written"), None);
    }
    assert_eq!(segment.get(&series(3), 1_000_000).expect("as written"), None);
}

#[test]
fn pages_and_row_groups_are_crossed() {
    let layout = layout(&[PgType::new(oid::INT8)]);
    let env = env();
    let mut writer = writer(&env, &layout).expect("a healthy disk");
    let (per_series, hosts) = (100_000u64, 12u64);
    for s in 0..hosts {
        let rows = per_series as usize;
        let values = arrow::array::Int64Array::from_iter_values((0..per_series).map(|n| (s * per_series + n) as i64));
        let time = (0..per_series as i64).collect();
        writer.push(&Points { series: vec![(series(s), rows)], time, fields: vec![Arc::new(values)] }).expect("room");
    }
    let meta = writer.finish().expect("a healthy disk");
    let segment = open(&env, &layout, &meta).expect("as written");
    let total = per_series * hosts;
    let border = 1 << 20;
    for ranges in [
        vec![0..total / 2, total / 2..total],
        vec![0..1, 8191..8193, 70_000..200_000, border - 1..border + 1, total - 1..total],
        vec![border..border + 5, total..total],
        vec![],
        vec![5..5, 9..10],
    ] {
        let mut cursor = segment.scan(&[0], ranges.clone(), 5000).expect("in order");
        let mut rows = ranges.iter().cloned().flatten();
        while let Some(batch) = cursor.next_batch().expect("as written") {
            assert!((1..=5000).contains(&batch.rows));
            for (i, row) in (batch.first_row..).take(batch.rows).enumerate() {
                assert_eq!(rows.next(), Some(row));
                let value = datum_at(&batch.fields[0], PgType::new(oid::INT8), i);
                assert_eq!((value, batch.time.value(i)), (Datum::Int8(row as i64), (row % per_series) as i64));
            }
        }
        assert_eq!(rows.next(), None);
        assert_rows(segment.scan(&[0], ranges.clone(), 5000).expect("in order"), &ranges, |row, batch, i| {
            let value = datum_at(&batch.fields[0], PgType::new(oid::INT8), i);
            assert_eq!((value, batch.time.value(i)), (Datum::Int8(row as i64), (row % per_series) as i64));
        });
    }
    assert!(
        segment.scan(&[0], vec![5..9, 8..10], 10).is_err() && segment.scan(&[0], vec![0..1, 1..total + 1], 10).is_err()
    );
}

#[test]
fn small_steps_come_back() {
    let layout =
        layout(&[PgType::new(oid::INT4), PgType::new(oid::INT8), PgType::new(oid::FLOAT8), PgType::new(oid::TEXT)]);
    let (per_series, hosts) = (7000u64, 21u64);
    let total = per_series * hosts;
    let mixed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let step = |at: &mut i64, row: u64| {
        *at += i64::from(mixed(row).count_ones() % 4) - 1;
        Some(*at)
    };
    let walk: Vec<i64> = (0..total).scan(0, step).collect();
    let value = |row: u64| {
        let walk = walk[row as usize];
        let second = if mixed(row).is_multiple_of(5) { Datum::Null } else { Datum::Int8(walk - (1 << 40)) };
        vec![Datum::Int4(walk as i32), second, Datum::Float8(walk as f64 / 100.0), Datum::text(format!("{}", row % 9))]
    };
    let env = env();
    let mut writer = writer(&env, &layout).expect("a healthy disk");
    for s in 0..hosts {
        let rows: Model = (0..per_series).map(|n| ((series(s), n as i64), value(s * per_series + n))).collect();
        writer.push(&points(&layout, &rows)).expect("a healthy disk");
    }
    let segment = open(&env, &layout, &writer.finish().expect("a healthy disk")).expect("as written");
    for ranges in [
        std::iter::once(0..total).collect(),
        vec![0..1, 1023..1025, 2047..2048, 4095..4097, 9000..13_000],
        (0..total).step_by(1700).map(|row| row..total.min(row + 3)).collect(),
        vec![5000..5001, 7900..7901, 8191..8192, 130_000..140_000, total - 1..total],
    ] {
        let check = |row: u64, batch: &SegmentBatch, i: usize| {
            let expected = value(row);
            for (column, field) in batch.fields.iter().zip([2, 0, 1, 3]) {
                assert_eq!(datum_at(column, layout.fields[field].ty, i), expected[field], "row {row}");
            }
        };
        let scan = || segment.scan(&[2, 0, 1, 3], ranges.clone(), 3000).expect("in order");
        let mut cursor = scan();
        let mut rows = ranges.iter().cloned().flatten();
        while let Some(batch) = cursor.next_batch().expect("as written") {
            for (i, row) in (batch.first_row..).take(batch.rows).enumerate() {
                assert_eq!(rows.next(), Some(row));
                check(row, &batch, i);
            }
        }
        assert_eq!(rows.next(), None);
        assert_rows(scan(), &ranges, check);
        assert_rows(scan().without_times(), &ranges, |row, batch, i| {
            assert!(batch.time.is_empty());
            check(row, batch, i);
        });
    }
}

#[test]
fn long_values_come_back() {
    let layout = layout(&[PgType::new(oid::TEXT)]);
    let text = |n: i64| format!("{n:08}").repeat(1 << 17);
    let env = env();
    let mut writer = writer(&env, &layout).expect("a healthy disk");
    for push in 0..4i64 {
        let rows: Model =
            (0..30).map(|n| ((series(1), push * 30 + n), vec![Datum::text(text(push * 30 + n))])).collect();
        writer.push(&points(&layout, &rows)).expect("a healthy disk");
    }
    let segment = open(&env, &layout, &writer.finish().expect("a healthy disk")).expect("as written");
    let check = |n: u64, batch: &SegmentBatch, i: usize| {
        assert_eq!(batch.time.value(i), n as i64);
        assert!(row(&batch.fields, &layout, i) == [Datum::text(text(n as i64))]);
    };
    let ranges = [0..3, 57..120];
    let scan = || segment.scan(&[0], ranges.to_vec(), 7).expect("in order");
    let (mut cursor, mut expected) = (scan(), ranges.iter().cloned().flatten());
    while let Some(batch) = cursor.next_batch().expect("as written") {
        (0..batch.rows).for_each(|i| check(expected.next().expect("as many"), &batch, i));
    }
    assert_eq!(expected.next(), None);
    assert_rows(scan(), &ranges, check);
}

#[test]
fn younger_fields_are_null() {
    let old = layout(&TYPES[..2]);
    let (env, model) = (env(), model(&old, [1], 50, 7));
    let meta = write(&env, &old, &model, 50).expect("a healthy disk");
    let new = layout(&TYPES);
    let segment = open(&env, &new, &meta).expect("as written");
    let expected: Model = model
        .into_iter()
        .map(|(key, mut values)| {
            (key, {
                values.resize(TYPES.len(), Datum::Null);
                values
            })
        })
        .collect();
    assert_eq!(read(&segment, &new).expect("as written"), expected);
    let ((key, time), values) = expected.first_key_value().expect("fifty");
    assert_eq!(segment.get(key, *time).expect("as written").as_ref(), Some(values));
    // In any order, and more than once.
    let batch =
        segment.scan(&[5, 1, 0, 1], vec![3..4, 9..9], 10).expect("fields").next_batch().expect("read").expect("a row");
    let types = batch.fields.iter().map(|column| column.data_type().clone());
    let expected = [5, 1, 0, 1].map(|field: usize| heddle_types::arrow::data_type(TYPES[field]));
    assert!(types.eq(expected));
    assert_eq!(segment.statistics(5, 0..1).expect("none"), None);
}

#[test]
fn tombstones_come_back() {
    let layout = layout(&TYPES[..1]);
    let env = env();
    let mut writer = writer(&env, &layout).expect("a healthy disk");
    let times = [i64::MIN, -5, 0, 1_000, i64::MAX];
    for s in [2, 3, 90] {
        times.iter().try_for_each(|time| writer.delete(&series(s), *time)).expect("ascending");
    }
    assert!(writer.delete(&series(3), 0).is_err());
    let meta = writer.finish().expect("a healthy disk");
    assert_eq!((meta.rows, meta.deletes, meta.min_us, meta.max_us), (0, 15, i64::MAX, i64::MIN));
    let segment = open(&env, &layout, &meta).expect("as written");
    let deletes = segment.deletes();
    assert!(
        deletes
            .iter()
            .map(|(key, times)| (key.clone(), times.to_vec()))
            .eq([2, 3, 90].map(|s| (series(s), times.to_vec())))
    );
    assert!(deletes.contains(&series(3), -5) && !deletes.contains(&series(3), -4) && !deletes.contains(&series(4), -5));
    assert_eq!(read(&segment, &layout).expect("nothing"), Model::new());
    segment.verify().expect("as written");
}

#[test]
fn wrong_order_is_refused() {
    let layout = layout(&TYPES[..1]);
    let one = |s, time| points(&layout, [(&(series(s), time), &vec![Datum::Null])]);
    let env = env();
    let mut writer = writer(&env, &layout).expect("a healthy disk");
    writer.push(&one(5, 10)).expect("the first");
    for bad in [one(5, 10), one(5, 9), one(4, 50)] {
        assert!(writer.push(&bad).is_err());
    }
    let mut short = one(6, 1);
    short.fields.clear();
    assert!(writer.push(&short).is_err());
    drop(writer);
    assert!(env.disk.list(dir()).expect("a folder").is_empty(), "an unfinished segment leaves nothing");
}

#[test]
fn statistics_are_those_of_the_rows() {
    let types = [oid::INT4, oid::FLOAT8, oid::TEXT].map(PgType::new);
    let layout = layout(&types);
    let model = model(&layout, [1, 2], 2500, 10_000_000);
    let env = env();
    let meta = write(&env, &layout, &model, 777).expect("a healthy disk");
    let segment = open(&env, &layout, &meta).expect("as written");
    let values: Vec<&Vec<Datum>> = model.values().collect();
    let blocks = segment.blocks();
    let statistics = |field| segment.statistics(field, 0..blocks.len()).expect("as written");
    let ints = statistics(0).expect("integers");
    let FieldValues::Ints(all) = &ints.values else { panic!("{ints:?}") };
    for n in 0..blocks.len() {
        let rows = blocks.rows(n);
        let rows = &values[rows.start as usize..rows.end as usize];
        let present: Vec<i64> = rows.iter().filter_map(|row| row[0].as_i64()).collect();
        assert_eq!(ints.nulls[n] as usize, rows.len() - present.len());
        assert_eq!(all.sum[n], present.iter().map(|v| i128::from(*v)).sum::<i128>());
        assert_eq!((Some(&all.min[n]), Some(&all.max[n])), (present.iter().min(), present.iter().max()));
        assert_eq!((Some(&all.first[n]), Some(&all.last[n])), (present.first(), present.last()));
    }
    assert!(matches!(statistics(1).expect("floats").values, FieldValues::Floats(_)));
    assert_eq!(statistics(2), None);
}

#[test]
fn blocks_end_with_hours_and_days() {
    const SECOND: i64 = 1_000_000;
    // A point every so many seconds, from one minute before midnight on; how many rows the blocks then have.
    let cases: [(i64, usize, &[u64]); 6] = [
        (10, 1000, &[366, 360, 274]),
        (1, 5000, &[1024, 1024, 1024, 588, 1024, 316]),
        (60, 4000, &[301, 300, 300, 300, 240]),
        (900, 300, &[97, 96, 96, 11]),
        (3600, 100, &[73, 27]),
        (3600, 3, &[3]),
    ];
    let layout = layout(&[PgType::new(oid::INT2)]);
    for (step, rows, expected) in cases {
        let env = env();
        let mut writer = writer(&env, &layout).expect("a healthy disk");
        let time: Vec<i64> = (0..rows as i64).map(|n| (-60 + n * step) * SECOND).collect();
        for part in time.chunks(333) {
            let series = vec![(series(1), part.len())];
            let fields = vec![arrow::array::new_null_array(&arrow::datatypes::DataType::Int16, part.len())];
            writer.push(&Points { series, time: part.to_vec(), fields }).expect("a healthy disk");
        }
        let segment = open(&env, &layout, &writer.finish().expect("a healthy disk")).expect("as written");
        let blocks = segment.blocks();
        let found: Vec<u64> = (0..blocks.len()).map(|n| blocks.rows(n)).map(|rows| rows.end - rows.start).collect();
        assert_eq!(found[..expected.len().min(found.len())], *expected, "every {step} s: {found:?}");
        for n in 0..blocks.len() {
            let rows = blocks.rows(n);
            assert_eq!(blocks.first_us()[n], time[rows.start as usize]);
            assert_eq!(blocks.last_us()[n], time[rows.end as usize - 1]);
            assert_eq!(blocks.is_counted(n), rows.end - rows.start >= COUNTED_ROWS_MIN);
        }
        assert_eq!(segment.series()[0].blocks, 0..blocks.len());
    }
}

/// A few series with points at irregular times.
fn some_points() -> impl Strategy<Value = BTreeMap<u64, Vec<i64>>> {
    let times = prop::collection::btree_set(prop_oneof![-4000i64..4000, any::<i64>()], 1..60);
    prop::collection::btree_map(0u64..50, times.prop_map(|set| set.into_iter().collect()), 0..6)
}

fn some_ranges(rows: u64) -> impl Strategy<Value = Vec<Range<u64>>> {
    prop::collection::btree_set(0..=rows, 0..12).prop_map(|ends| {
        let ends: Vec<u64> = ends.into_iter().collect();
        ends.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_points_come_back(
        times in some_points(),
        types in prop::collection::vec(prop::sample::select(TYPES.to_vec()), 0..5),
        push in 1usize..100,
        batch_rows in 1usize..50,
        ranges in some_ranges(400),
        seed in any::<u64>(),
    ) {
        let layout = layout(&types);
        let mut model = Model::new();
        for (s, times) in &times {
            for time in times {
                let values = types.iter().zip(0..).map(|(ty, i): (_, u64)| value(*ty, seed ^ (*time as u64) ^ i)).collect();
                model.insert((series(*s), *time), values);
            }
        }
        let env = env();
        let meta = write(&env, &layout, &model, push).expect("a healthy disk");
        let segment = open(&env, &layout, &meta).expect("as written");
        prop_assert_eq!(&read(&segment, &layout).expect("as written"), &model);
        let rows: Vec<_> = model.iter().collect();
        let ranges: Vec<_> = ranges.into_iter().map(|r| r.start.min(meta.rows)..r.end.min(meta.rows)).collect();
        let fields: Vec<usize> = (0..types.len()).collect();
        let mut cursor = segment.scan(&fields, ranges.clone(), batch_rows).expect("in order");
        assert_rows(segment.scan(&fields, ranges.clone(), batch_rows).expect("in order"), &ranges, |number, batch, i| {
            let ((_, time), values) = rows[number as usize];
            assert_eq!((batch.time.value(i), &row(&batch.fields, &layout, i)), (*time, values));
        });
        let mut expected = ranges.into_iter().flatten();
        while let Some(batch) = cursor.next_batch().expect("as written") {
            prop_assert!((1..=batch_rows).contains(&batch.rows));
            for (i, number) in (batch.first_row..).take(batch.rows).enumerate() {
                prop_assert_eq!(expected.next(), Some(number));
                let ((_, time), values) = rows[number as usize];
                prop_assert_eq!((batch.time.value(i), &row(&batch.fields, &layout, i)), (*time, values));
            }
        }
        prop_assert_eq!(expected.next(), None);
    }

    #[test]
    fn rows_between_misses_nothing(
        steps in prop::collection::vec(1i64..1000, 1..4000),
        bounds in prop::collection::vec((-10i64..2_000_000, -10i64..2_000_000), 20),
        end in prop_oneof![Just(None), Just(Some(i64::MAX))],
    ) {
        let layout = layout(&[]);
        let mut times: Vec<i64> = steps.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
        times.extend(end);
        let keys = [series(1), series(2)];
        let env = env();
        let mut writer = writer(&env, &layout).expect("a healthy disk");
        for key in &keys {
            let points = Points { series: vec![(key.clone(), times.len())], time: times.clone(), fields: vec![] };
            writer.push(&points).expect("a healthy disk");
        }
        let segment = open(&env, &layout, &writer.finish().expect("a healthy disk")).expect("as written");
        let whole = [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (i64::MIN, 0), (5, 4)];
        for (from, to) in bounds.into_iter().chain(whole) {
            for entry in 0..2 {
                let first = segment.series()[entry].first_row;
                let found = segment.rows_between(entry, from, to);
                let wanted: Vec<u64> = (first..).zip(&times).filter(|(_, t)| (from..=to).contains(*t)).map(|(row, _)| row).collect();
                prop_assert!(wanted.iter().all(|row| found.contains(row)), "{found:?} {wanted:?}");
                prop_assert!(found.end - found.start < wanted.len() as u64 + 2 * BLOCK_ROWS_MAX);
                prop_assert!(found.is_empty() || (first <= found.start && found.end <= first + times.len() as u64));
            }
        }
    }
}
