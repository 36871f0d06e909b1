//! Points that come late, out of order and again give the same answers as the same points in order.

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use heddle_engines::point::{NamedType, PartitionInterval, PointEngine, PointScan, SeriesLayout, point_key};
use heddle_engines::{KeyRange, RowChange};
use heddle_env::Env;
use heddle_env::random::SeededRandom;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::{Datum, LogIndex, PgType, StorageId, key, oid};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

const STORAGE: StorageId = StorageId(1 << 31);
const HOSTS: u64 = 20;
const STEPS: u64 = 1500;
/// Points of one log entry, and entries between two flushes.
const ENTRY: usize = 100;
const FLUSH_ENTRIES: u64 = 37;

fn layout() -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty: PgType::new(ty) };
    SeriesLayout {
        tags: vec![named("host", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: vec![named("v", oid::INT8)],
        partition: PartitionInterval::Micros(400),
    }
}

/// (host, time)
type Point = (u64, u64);

fn in_order() -> Vec<Point> {
    (0..STEPS).flat_map(|time| (0..HOSTS).map(move |host| (host, time))).collect()
}

/// One in ten comes up to 200 points late, one in a hundred up to all of them, one in twenty twice.
fn late() -> Vec<Point> {
    let random = SeededRandom::new(42);
    let mut places: Vec<(u64, Point)> = Vec::new();
    for (at, point) in (0..).zip(in_order()) {
        let delay = match random.below(100) {
            0 => random.below(HOSTS * STEPS),
            1..=10 => random.below(200),
            _ => 0,
        };
        places.push((at + delay, point));
        if random.below(20) == 0 {
            places.push((at + random.below(HOSTS * STEPS / 2), point));
        }
    }
    places.sort_unstable();
    places.into_iter().map(|(_, point)| point).collect()
}

fn load(points: &[Point], compacted: bool) -> Arc<dyn PointEngine> {
    let mut config = TimeseriesConfig::new(PathBuf::from("/d"), 1 << 30);
    config.chunk_rows = 512;
    let engine = open(Env::in_memory(3), config).expect("a healthy disk");
    let define = RowChange::DefineSeries { storage: STORAGE, layout: layout().encode() };
    engine.apply(LogIndex(1), vec![define]);
    for (index, entry) in (2..).zip(points.chunks(ENTRY)) {
        let put = |&(host, time): &Point| {
            let row = layout().row_layout().encode(&[Datum::Int8((host * 1_000_000 + time) as i64)]).into();
            RowChange::Put { storage: STORAGE, key: point_key(&series(host), time as i64), row }
        };
        engine.apply(LogIndex(index), entry.iter().map(put).collect());
        if index.is_multiple_of(FLUSH_ENTRIES) {
            engine.seal(true);
            engine.merge(LogIndex(index)).expect("a healthy disk");
            while compacted && engine.compact() {}
        }
    }
    engine
}

fn series(host: u64) -> Bytes {
    let mut out = Vec::new();
    key::encode(&mut out, &Datum::Text(format!("host{host:03}").into()), key::KeyOrder::default());
    out.into()
}

fn read(
    engine: &dyn PointEngine,
    series: Vec<KeyRange>,
    times: (i64, i64),
    batch_rows: usize,
) -> Vec<(Bytes, i64, i64)> {
    let (from_us, to_us) = times;
    let scan = PointScan {
        storage: STORAGE,
        layout: Arc::new(layout()),
        series,
        from_us,
        to_us,
        fields: vec![0],
        conditions: Vec::new(),
        versions: false,
        batch_rows,
        any_order: false,
        blocks: None,
        cursors: 1,
    };
    let reader = engine.point_versions().point_reader(LogIndex(u64::MAX));
    let mut out = Vec::new();
    for mut cursor in reader.scan_points(&scan, Vec::new()).expect("a healthy disk") {
        while let Some(batch) = cursor.next_batch().expect("a healthy disk") {
            let keys = batch.series.iter().flat_map(|(key, rows)| std::iter::repeat_n(key, *rows));
            let times = batch.time.as_primitive::<TimestampMicrosecondType>().values();
            let values = batch.fields[0].as_primitive::<Int64Type>().values();
            out.extend(keys.zip(times).zip(values).map(|((key, time), v)| (key.clone(), *time, *v)));
        }
    }
    out
}

#[test]
fn flushes_leave_compaction_for_later() {
    let (all, times) = (vec![KeyRange::all()], (i64::MIN, i64::MAX));
    let engine = load(&late(), false);
    engine.seal(true);
    engine.merge(LogIndex(100_000)).expect("a healthy disk");
    let stored = || engine.point_versions().point_reader(LogIndex(u64::MAX)).estimate_rows(STORAGE);
    let (answer, rows) = (read(&*engine, all.clone(), times, 1000), stored());
    while engine.compact() {}
    assert!(stored() < rows, "points that were written twice are joined: {rows}");
    assert!(answer == read(&*engine, all, times, 1000));
    assert!(!engine.compact(), "nothing is left to do");
}

#[test]
fn late_points_give_the_answers_of_sorted_ones() {
    let late = late();
    assert!(late.len() > in_order().len());
    let (sorted, late) = (load(&in_order(), true), load(&late, true));
    let one = |host| KeyRange { lower: Bound::Included(series(host)), upper: Bound::Included(series(host)) };
    for round in 0..2 {
        for batch_rows in [100_000, 1000, 17] {
            let all = read(&*sorted, vec![KeyRange::all()], (i64::MIN, i64::MAX), batch_rows);
            assert_eq!(all.len() as u64, HOSTS * STEPS);
            assert!(all == read(&*late, vec![KeyRange::all()], (i64::MIN, i64::MAX), batch_rows), "{batch_rows}");
        }
        for host in 0..HOSTS {
            for times in [(0, 10), (390, 410), (700, 1200), (1499, 1499), (0, 1499)] {
                let want = read(&*sorted, vec![one(host)], times, 1000);
                assert_eq!(want.len() as i64, times.1 - times.0 + 1);
                assert!(want == read(&*late, vec![one(host)], times, 1000), "{host} {times:?}");
            }
        }
        if round == 0 {
            for engine in [&sorted, &late] {
                engine.seal(true);
                engine.merge(LogIndex(100_000)).expect("a healthy disk");
                while engine.compact() {}
                let reader = engine.point_versions().point_reader(LogIndex(u64::MAX));
                let stored = reader.estimate_rows(STORAGE);
                assert!(
                    stored * 19 <= HOSTS * STEPS * 20,
                    "few points are stored twice once all is compacted: {stored}"
                );
            }
        }
    }
}
