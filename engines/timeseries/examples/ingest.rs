//! How fast the engine takes points in, flushes, compacts and scans: `cargo run --release -p heddle-timeseries --example ingest`.
//!
//! 500 hosts, ten integer metrics each (random walks within 0..100), one point every ten seconds for a day.

use bytes::Bytes;
use heddle_engines::point::{NamedType, PartitionInterval, PointEngine, PointScan, SeriesLayout, point_key};
use heddle_engines::{KeyRange, RowChange};
use heddle_env::Env;
use heddle_env::random::SeededRandom;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::{Datum, LogIndex, PgType, Result, StorageId, key, oid};
use std::ops::Bound;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const STORAGE: StorageId = StorageId(1 << 31);
const METRICS: usize = 10;
const HOSTS: usize = 500;
const STEPS: i64 = 8640;
const STEP_US: i64 = 10_000_000;
/// 2016-01-01 00:00 UTC, as TSBS has it.
const START_US: i64 = 1_451_606_400_000_000;
/// Steps in one log entry.
const ENTRY_STEPS: i64 = 4;

fn layout() -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty: PgType::new(ty) };
    SeriesLayout {
        tags: vec![named("hostname", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: (0..METRICS).map(|n| named(&format!("m{n}"), oid::INT8)).collect(),
        partition: PartitionInterval::DEFAULT,
    }
}

fn series(host: usize) -> Bytes {
    let mut out = Vec::new();
    key::encode(&mut out, &Datum::Text(format!("host_{host}").into()), key::KeyOrder::default());
    out.into()
}

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from).join("heddle-ingest");
    let _ = std::fs::remove_dir_all(&dir);
    let engine = open(Env::real(), TimeseriesConfig::new(dir.clone(), 64 << 20))?;
    let rows = load(&*engine)?;
    scan_all(&*engine, rows, "everything");
    scan_some(&*engine);
    engine.verify()?;
    let _ = std::fs::remove_dir_all(&dir);
    Ok(())
}

fn load(engine: &dyn PointEngine) -> Result<u64> {
    let random = SeededRandom::new(1);
    let tuple = layout().row_layout();
    let keys: Vec<Bytes> = (0..HOSTS).map(series).collect();
    let mut walk = vec![[50i64; METRICS]; HOSTS];
    engine.apply(LogIndex(1), vec![RowChange::DefineSeries { storage: STORAGE, layout: layout().encode() }]);
    let (mut rows, mut index) = (0, 1);
    let (mut applying, mut flushing, mut compacting) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for first in (0..STEPS).step_by(ENTRY_STEPS as usize) {
        index += 1;
        let mut changes = Vec::new();
        for step in first..first + ENTRY_STEPS {
            for (host, values) in walk.iter_mut().enumerate() {
                values.iter_mut().for_each(|v| *v = (*v + random.below(3) as i64 - 1).clamp(0, 100));
                let row = tuple.encode(&values.map(Datum::Int8)).into();
                let key = point_key(&keys[host], START_US + step * STEP_US);
                changes.push(RowChange::Put { storage: STORAGE, key, row });
            }
        }
        rows += changes.len() as u64;
        let start = Instant::now();
        let before = engine.versions();
        engine.apply(LogIndex(index), changes);
        engine.seal(false);
        applying += start.elapsed();
        if !std::ptr::addr_eq(std::sync::Arc::as_ptr(&before), std::sync::Arc::as_ptr(&engine.versions())) {
            drop(before);
            let start = Instant::now();
            engine.merge(LogIndex(index))?;
            flushing += start.elapsed();
            let start = Instant::now();
            while engine.compact() {}
            compacting += start.elapsed();
        }
    }
    scan_all(engine, rows, "everything, a part of it in memory");
    report("apply", rows, applying);
    let start = Instant::now();
    engine.seal(true);
    engine.merge(LogIndex(index))?;
    report("flush", rows, flushing + start.elapsed());
    let start = Instant::now();
    while engine.compact() {}
    report("compaction", rows, compacting + start.elapsed());
    let bytes = engine.point_versions().point_reader(LogIndex(index)).disk_bytes(STORAGE);
    println!("{:40} {:8.3} bytes per value", "on disk", bytes as f64 / (rows * METRICS as u64) as f64);
    Ok(rows)
}

fn scan_all(engine: &dyn PointEngine, rows: u64, what: &str) {
    for cursors in [1, 2] {
        let start = Instant::now();
        let found = scan(engine, vec![KeyRange::all()], (i64::MIN, i64::MAX), (0..METRICS).collect(), cursors);
        assert_eq!(found, rows);
        report(&format!("scan of {what}, {cursors} cursor(s)"), rows, start.elapsed());
    }
    let start = Instant::now();
    let found = scan(engine, vec![KeyRange::all()], (i64::MIN, i64::MAX), vec![3], 1);
    report(&format!("scan of {what}, one field"), found, start.elapsed());
}

fn scan_some(engine: &dyn PointEngine) {
    let one = |host: usize| KeyRange { lower: Bound::Included(series(host)), upper: Bound::Included(series(host)) };
    let hour = (START_US, START_US + 3_600_000_000 - 1);
    for (what, series, times) in [
        ("one host, one hour", vec![one(77)], hour),
        ("one host, all day", vec![one(77)], (i64::MIN, i64::MAX)),
        ("all hosts, one hour", vec![KeyRange::all()], hour),
    ] {
        let start = Instant::now();
        let found = scan(engine, series, times, vec![0, 1], 1);
        report(&format!("scan of {what}"), found, start.elapsed());
    }
    let reader = engine.versions().reader(LogIndex(u64::MAX));
    let start = Instant::now();
    let gets = 2000;
    for n in 0..gets {
        let key = point_key(&series(n * 7 % HOSTS), START_US + (n as i64 * 131 % STEPS) * STEP_US);
        assert!(reader.get(STORAGE, &key).expect("a healthy disk").is_some());
    }
    report("get", gets as u64, start.elapsed());
}

fn scan(engine: &dyn PointEngine, series: Vec<KeyRange>, times: (i64, i64), fields: Vec<usize>, cursors: usize) -> u64 {
    let (from_us, to_us) = times;
    let scan = PointScan {
        storage: STORAGE,
        layout: std::sync::Arc::new(layout()),
        series,
        from_us,
        to_us,
        fields,
        conditions: Vec::new(),
        versions: false,
        batch_rows: 8192,
        any_order: false,
        blocks: None,
        cursors,
    };
    let reader = engine.point_versions().point_reader(LogIndex(u64::MAX));
    let cursors = reader.scan_points(&scan, Vec::new()).expect("a healthy disk");
    std::thread::scope(|scope| {
        let count = |mut cursor: Box<dyn heddle_engines::point::PointCursor>| {
            let mut rows = 0;
            while let Some(batch) = cursor.next_batch().expect("a healthy disk") {
                rows += batch.rows() as u64;
            }
            rows
        };
        let threads: Vec<_> = cursors.into_iter().map(|cursor| scope.spawn(move || count(cursor))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it counts")).sum()
    })
}

fn report(what: &str, rows: u64, time: Duration) {
    let seconds = time.as_secs_f64();
    println!("{what:40} {:8.3} s  {:10.0} rows/s  ({rows} rows)", seconds, rows as f64 / seconds);
}
