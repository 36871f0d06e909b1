//! Aggregates out of blocks and the rest of the rows are those of all rows, whatever lies where.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use heddle_engines::point::blocks::{BlockScan, Pieces, Summary};
use heddle_engines::point::{
    NamedType, OwnPoint, PartitionInterval, PointBatch, PointEngine, PointScan, Points, SeriesLayout, point_key,
};
use heddle_engines::{KeyRange, RowChange};
use heddle_env::Env;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::{Datum, LogIndex, PgType, StorageId, key, oid};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

const STORAGE: StorageId = StorageId(1 << 31);
const HOSTS: u64 = 3;
/// Points of a series; one every ten microseconds.
const STEPS: i64 = 5000;
const STEP_US: i64 = 10;

fn layout() -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty: PgType::new(ty) };
    SeriesLayout {
        tags: vec![named("host", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: vec![named("v", oid::INT8), named("f", oid::FLOAT8)],
        partition: PartitionInterval::Micros(30_000),
    }
}

fn series(host: u64) -> Bytes {
    key::encode_row([&Datum::Text(format!("host{host}").into())]).into()
}

fn tuple(time: i64, salt: i64) -> Bytes {
    let v = if time % 70 == 0 { Datum::Null } else { Datum::Int8(time * 31 % 977 + salt) };
    layout().row_layout().encode(&[v, Datum::Float8((time % 64) as f64 / 4.0)]).into()
}

/// An engine and the index of its last entry.
struct Life {
    engine: Arc<dyn PointEngine>,
    index: u64,
}

impl Life {
    fn new() -> Self {
        let mut config = TimeseriesConfig::new(PathBuf::from("/d"), 1 << 30);
        config.chunk_rows = 700;
        let engine: Arc<dyn PointEngine> = open(Env::in_memory(5), config).expect("a healthy disk");
        engine.apply(LogIndex(1), vec![RowChange::DefineSeries { storage: STORAGE, layout: layout().encode() }]);
        Self { engine, index: 1 }
    }

    fn apply(&mut self, changes: Vec<RowChange>) {
        self.index += 1;
        self.engine.apply(LogIndex(self.index), changes);
    }

    fn put(&mut self, host: u64, steps: Range<i64>, salt: i64) {
        let put = |step: i64| {
            let time = step * STEP_US;
            RowChange::Put { storage: STORAGE, key: point_key(&series(host), time), row: tuple(time, salt) }
        };
        self.apply(steps.map(put).collect());
    }

    fn delete(&mut self, host: u64, step: i64) {
        let key = point_key(&series(host), step * STEP_US);
        self.apply(vec![RowChange::Delete { storage: STORAGE, key }]);
    }

    fn flush(&self) {
        self.engine.seal(true);
        self.engine.merge(LogIndex(self.index)).expect("a healthy disk");
    }

    fn scan(&self, times: (i64, i64), blocks: Option<BlockScan>, own: &[OwnPoint]) -> Vec<Points> {
        let scan = PointScan {
            storage: STORAGE,
            layout: Arc::new(layout()),
            series: vec![KeyRange::all()],
            from_us: times.0,
            to_us: times.1,
            fields: vec![0, 1],
            conditions: vec![],
            versions: false,
            batch_rows: 1000,
            any_order: false,
            blocks,
            cursors: 2,
        };
        let reader = self.engine.point_versions().point_reader(LogIndex(u64::MAX));
        let mut out = Vec::new();
        for mut cursor in reader.scan_points(&scan, own.to_vec()).expect("a healthy disk") {
            while let Some(points) = cursor.next_points().expect("a healthy disk") {
                out.push(points);
            }
        }
        out
    }

    /// Compares sums over all points with sums over blocks and what they leave; how many blocks there were.
    fn check(&self, own: &[OwnPoint]) -> usize {
        let mut blocks = 0;
        for times in [(i64::MIN, i64::MAX), (0, 20_479), (10_240, 30_719), (777, 41_111), (50_000, 60_000)] {
            for width_us in [None, Some(10_240), Some(30_000), Some(100), Some(1 << 40)] {
                let pieces = width_us.map(|width_us| Pieces { width_us, origin_us: 0 });
                let whole = self.scan(times, None, own);
                let parts = self.scan(times, Some(BlockScan { pieces }), own);
                blocks += parts.iter().filter(|p| matches!(p, Points::Blocks(_))).count();
                assert_eq!(sums(&parts, pieces), sums(&whole, pieces), "{times:?} {pieces:?}");
            }
        }
        blocks
    }
}

/// Points, and for each field count, sum and extremes.
type Sums = (u64, [Option<(u64, f64, f64, f64)>; 2]);

fn sums(points: &[Points], pieces: Option<Pieces>) -> BTreeMap<(Bytes, i64), Sums> {
    let mut out: BTreeMap<(Bytes, i64), Sums> = BTreeMap::new();
    let piece = |us: i64| pieces.map_or(0, |p| (us - p.origin_us).div_euclid(p.width_us));
    let add = |to: &mut Option<(u64, f64, f64, f64)>, (n, sum, min, max): (u64, f64, f64, f64)| {
        let was = to.unwrap_or((0, 0.0, f64::MAX, f64::MIN));
        *to = Some((was.0 + n, was.1 + sum, was.2.min(min), was.3.max(max)));
    };
    for points in points {
        match points {
            Points::Rows(batch) => {
                for (key, us, values) in rows(batch) {
                    let sums = out.entry((key, piece(us))).or_default();
                    sums.0 += 1;
                    for (to, v) in sums.1.iter_mut().zip(values) {
                        if let Some(v) = v {
                            add(to, (1, v, v, v));
                        }
                    }
                }
            }
            Points::Blocks(known) => {
                for (at, block) in known.blocks.iter().enumerate() {
                    let sums = out.entry((known.series.clone(), piece(block.first_us))).or_default();
                    sums.0 += block.rows;
                    for (to, field) in sums.1.iter_mut().zip(&known.fields) {
                        match field[at].values {
                            Some(Summary::Int { min, max, sum }) => {
                                add(to, (field[at].count, sum as f64, min as f64, max as f64));
                            }
                            Some(Summary::Float { min, max, sum }) => add(to, (field[at].count, sum, min, max)),
                            None => assert_eq!(field[at].count, 0),
                        }
                    }
                }
            }
        }
    }
    out
}

fn rows(batch: &PointBatch) -> Vec<(Bytes, i64, [Option<f64>; 2])> {
    let keys = batch.series.iter().flat_map(|(key, rows)| std::iter::repeat_n(key.clone(), *rows));
    let times = batch.time.as_primitive::<TimestampMicrosecondType>();
    let (v, f) = (batch.fields[0].as_primitive::<Int64Type>(), batch.fields[1].as_primitive::<Float64Type>());
    let row = |(i, key): (usize, Bytes)| {
        let v = v.is_valid(i).then(|| v.value(i) as f64);
        (key, times.value(i), [v, f.is_valid(i).then(|| f.value(i))])
    };
    keys.enumerate().map(row).collect()
}

#[test]
fn blocks_and_rows_make_the_whole() {
    let mut life = Life::new();
    for host in 0..HOSTS {
        life.put(host, 0..STEPS, 0);
    }
    assert_eq!(life.check(&[]), 0, "nothing is known of a memtable");
    life.flush();
    assert!(life.check(&[]) > 0, "flushed blocks are known");

    // The transaction's own points lie over blocks of one series.
    let own = vec![
        (point_key(&series(0), 15), Some(tuple(15, 3))),
        (point_key(&series(0), 20_000), Some(tuple(20_000, 100_000))),
        (point_key(&series(0), 25_000), None),
    ];
    assert!(life.check(&own) > 0);

    // Newer rows and tombstones in memory, then in a segment of their own, then all in one.
    life.put(1, 100..200, 50);
    life.put(2, STEPS..STEPS + 2000, 0);
    life.delete(0, 1500);
    life.delete(2, 4000);
    assert!(life.check(&[]) > 0);
    assert!(life.check(&own) > 0);
    life.flush();
    assert!(life.check(&own) > 0);
    for round in 0..5 {
        life.put(round % HOSTS, 4000..4000 + 300 * round as i64, round as i64);
        life.flush();
        assert!(life.check(&[]) > 0);
    }
    assert_eq!(life.engine.point_versions().point_reader(LogIndex(u64::MAX)).time_range(STORAGE), Some((0, 69_990)));
    life.apply(vec![RowChange::DropStorage { storage: STORAGE }]);
    assert_eq!(life.check(&[]), 0);
}
