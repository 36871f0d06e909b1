//! Random lives of the engine beside the model engine: late points, overwrites, partial updates, deletes, growing layouts,
//! flushes, compactions in pieces, long snapshots, dropped storages, retention, a transaction's own points, restarts.

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use heddle_engines::block::PointBlock;
use heddle_engines::condition::{Comparison, FieldCondition, FieldTest};
use heddle_engines::model::ModelEngine;
use heddle_engines::point::{
    NamedType, OwnPoint, PartitionInterval, PointBatch, PointEngine, PointReader, PointScan, SeriesLayout, point_key,
    split_point_key,
};
use heddle_engines::{KeyRange, RowChange, RowEngine};
use heddle_env::Env;
use heddle_timeseries::compact::Policy;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, LogIndex, PgType, StorageId, key, oid};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

const STORAGES: u8 = 2;
const SERIES: u8 = 5;
const TIMES: i64 = 24;
const PARTITION: i64 = 8;
/// Fields of the first layout, and of the largest.
const FIELDS: (usize, usize) = (3, 5);

fn storage(n: u8) -> StorageId {
    StorageId::series(StorageId(u64::from(n)))
}

fn series(n: u8) -> Bytes {
    let mut out = Vec::new();
    key::encode(&mut out, &Datum::Text(format!("host{n}").into()), key::KeyOrder::default());
    key::encode(&mut out, &Datum::Int4(i32::from(n % 2)), key::KeyOrder::default());
    out.into()
}

fn layout(fields: usize) -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty };
    let types = [
        PgType::new(oid::FLOAT8),
        PgType::new(oid::TEXT),
        PgType::new(oid::INT4),
        PgType::new(oid::NUMERIC),
        PgType::new(oid::BOOL),
    ];
    SeriesLayout {
        tags: vec![named("host", PgType::new(oid::TEXT)), named("n", PgType::new(oid::INT4))],
        time: named("ts", PgType::new(oid::TIMESTAMPTZ)),
        fields: types[..fields].iter().enumerate().map(|(n, ty)| named(&format!("f{n}"), *ty)).collect(),
        partition: PartitionInterval::Micros(PARTITION),
    }
}

/// The tuple of a point; its fields follow from the seed, some of them NULL.
fn row(fields: usize, seed: u8) -> Bytes {
    let n = i64::from(seed);
    let values = [
        Datum::Float8(n as f64 / 4.0),
        Datum::Text("x".repeat(usize::from(seed % 7)).into()),
        Datum::Int4(i32::from(seed)),
        Datum::Numeric(n.into()),
        Datum::Bool(seed.is_multiple_of(2)),
    ];
    let value = |(at, value): (usize, &Datum)| if (seed >> at) % 4 == 3 { Datum::Null } else { value.clone() };
    let values: Vec<Datum> = values[..fields].iter().enumerate().map(value).collect();
    layout(fields).row_layout().encode(&values).into()
}

/// The same points as [`row`] makes, as a block.
fn block(fields: usize, points: &[(u8, i64, u8)]) -> PointBlock {
    let (layout, tuple) = (layout(fields), layout(fields).row_layout());
    let rows: Vec<Vec<Datum>> = points.iter().map(|p| tuple.decode(&row(fields, p.2)).expect("a tuple")).collect();
    let column = |at: usize| {
        let values: Vec<Datum> = rows.iter().map(|row| row[at].clone()).collect();
        heddle_types::arrow::column(&values, layout.fields[at].ty).expect("they are of the type")
    };
    PointBlock {
        series: (0..SERIES).map(series).collect(),
        codes: points.iter().map(|p| u32::from(p.0)).collect(),
        time: points.iter().map(|p| p.1).collect(),
        fields: (0..fields).map(column).collect(),
    }
}

#[derive(Clone, Debug)]
enum Operation {
    /// Points of one storage as a block: (series, time, seed).
    Block(u8, Vec<(u8, i64, u8)>),
    /// (storage, series, time, seed of the row or none to delete)
    Write(Vec<(u8, u8, i64, Option<u8>)>),
    Nothing,
    Grow(u8),
    Drop(u8),
    Expire(u8, i64),
    Seal(bool),
    Merge(u8),
    Snapshot,
    Check(u8, Check),
    Release(u8),
    Reopen,
}

#[derive(Clone, Debug)]
struct Check {
    storage: u8,
    /// Series from, up to (excluded), and the other way to ask: each by itself.
    series: (u8, u8, bool),
    times: (i64, i64),
    fields: Vec<bool>,
    batch_rows: usize,
    cursors: usize,
    own: Vec<(u8, i64, Option<u8>)>,
    conditions: Vec<FieldCondition>,
    reverse: bool,
    bounds: (u8, u8),
}

fn condition() -> impl Strategy<Value = FieldCondition> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let comparison = prop::sample::select(vec![Less, LessOrEqual, Equal, NotEqual, GreaterOrEqual, Greater]);
    (0..FIELDS.0, comparison, 0..4u8, any::<u8>()).prop_map(|(field, comparison, kind, value)| {
        let test = match (kind, field) {
            (0, _) => FieldTest::Null,
            (_, 0) => FieldTest::Float(comparison, f64::from(value) / 4.0),
            (_, 2) => FieldTest::Int(comparison, i64::from(value)),
            _ => FieldTest::NotNull,
        };
        FieldCondition { field, test }
    })
}

fn check() -> impl Strategy<Value = Check> {
    let own = (0..SERIES, 0..TIMES, proptest::option::weighted(0.7, any::<u8>()));
    (
        0..STORAGES,
        (0..SERIES, 0..=SERIES, any::<bool>()),
        prop_oneof![Just((i64::MIN, i64::MAX)), (0..TIMES, 0..TIMES)],
        proptest::collection::vec(any::<bool>(), FIELDS.1),
        1..40usize,
        1..4usize,
        (proptest::collection::vec(own, 0..6), proptest::collection::vec(condition(), 0..3)),
        any::<bool>(),
        (0..3u8, 0..3u8),
    )
        .prop_map(|(storage, series, times, fields, batch_rows, cursors, (own, conditions), reverse, bounds)| {
            Check { storage, series, times, fields, batch_rows, cursors, own, conditions, reverse, bounds }
        })
}

fn operations(max: usize) -> impl Strategy<Value = Vec<Operation>> {
    let point = (0..STORAGES, 0..SERIES, 0..TIMES, proptest::option::weighted(0.8, any::<u8>()));
    let operation = prop_oneof![
        12 => proptest::collection::vec(point, 1..20).prop_map(Operation::Write),
        4 => (0..STORAGES, proptest::collection::vec((0..SERIES, 0..TIMES, any::<u8>()), 0..30))
            .prop_map(|(s, points)| Operation::Block(s, points)),
        1 => Just(Operation::Nothing),
        1 => (0..STORAGES).prop_map(Operation::Grow),
        1 => (0..STORAGES).prop_map(Operation::Drop),
        1 => (0..STORAGES, 0..TIMES).prop_map(|(s, t)| Operation::Expire(s, t)),
        4 => any::<bool>().prop_map(Operation::Seal),
        5 => (0..3u8).prop_map(Operation::Merge),
        4 => Just(Operation::Snapshot),
        8 => (any::<u8>(), check()).prop_map(|(n, check)| Operation::Check(n, check)),
        2 => any::<u8>().prop_map(Operation::Release),
        1 => Just(Operation::Reopen),
    ];
    proptest::collection::vec(operation, 1..max)
}

struct Snapshot {
    index: LogIndex,
    reader: Arc<dyn PointReader>,
    /// Fields of each storage at that moment.
    fields: BTreeMap<u8, usize>,
}

struct Bench {
    env: Env,
    config: TimeseriesConfig,
    engine: Option<Arc<dyn PointEngine>>,
    model: Arc<ModelEngine>,
    log: Vec<(LogIndex, Vec<RowChange>)>,
    fields: BTreeMap<u8, usize>,
    expired: BTreeMap<u8, i64>,
    snapshots: Vec<Snapshot>,
}

/// (series, time, index of the last write, fields)
type Point = (Bytes, i64, u64, Vec<Datum>);

impl Bench {
    fn new() -> Self {
        let env = Env::in_memory(7);
        let mut config = TimeseriesConfig::new(PathBuf::from("/data/series"), 12_000);
        (config.chunk_rows, config.compaction_rows) = (16, 1);
        // So that compactions often leave older segments.
        (config.busy, config.idle) = (Policy { files_min: 3, ratio: 1 }, Policy { files_min: 2, ratio: 1 });
        let engine = Some(open(env.clone(), config.clone()).expect("a healthy disk"));
        let mut bench = Self {
            env,
            config,
            engine,
            model: Arc::new(ModelEngine::new()),
            log: Vec::new(),
            fields: BTreeMap::new(),
            expired: BTreeMap::new(),
            snapshots: Vec::new(),
        };
        let defined = (0..STORAGES).map(|n| bench.define(n, FIELDS.0)).collect();
        bench.apply(defined);
        bench
    }

    fn engine(&self) -> &Arc<dyn PointEngine> {
        self.engine.as_ref().expect("open")
    }

    fn last(&self) -> LogIndex {
        self.log.last().map_or(LogIndex(0), |(index, _)| *index)
    }

    fn define(&mut self, n: u8, fields: usize) -> RowChange {
        self.fields.insert(n, fields);
        RowChange::DefineSeries { storage: storage(n), layout: layout(fields).encode() }
    }

    fn apply(&mut self, changes: Vec<RowChange>) {
        let index = self.last().next();
        self.model.apply(index, changes.clone());
        self.engine().apply(index, changes.clone());
        self.log.push((index, changes));
        self.engine().seal(false);
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Write(points) => {
                let change = |&(n, s, time, seed): &(u8, u8, i64, Option<u8>)| {
                    let (storage, key) = (storage(n), point_key(&series(s), time));
                    match seed {
                        // Nothing is written any more that has expired already.
                        _ if time < self.expired.get(&n).copied().unwrap_or(i64::MIN) => None,
                        Some(seed) => Some(RowChange::Put { storage, key, row: row(self.fields[&n], seed) }),
                        None => Some(RowChange::Delete { storage, key }),
                    }
                };
                let changes = points.iter().filter_map(change).collect();
                self.apply(changes);
            }
            Operation::Block(n, points) => {
                let kept = |(_, time, _): &&(u8, i64, u8)| *time >= self.expired.get(n).copied().unwrap_or(i64::MIN);
                let points: Vec<_> = points.iter().filter(kept).copied().collect();
                let block = block(self.fields[n], &points).encode();
                self.apply(vec![RowChange::Points { storage: storage(*n), block }]);
            }
            Operation::Nothing => self.apply(Vec::new()),
            Operation::Grow(n) => {
                let fields = (self.fields[n] + 1).min(FIELDS.1);
                let change = self.define(*n, fields);
                self.apply(vec![change]);
            }
            Operation::Drop(n) => {
                let fields = self.fields[n];
                let changes = vec![RowChange::DropStorage { storage: storage(*n) }, self.define(*n, fields)];
                self.apply(changes);
            }
            Operation::Expire(n, before_us) => {
                let expired = self.expired.entry(*n).or_insert(i64::MIN);
                *expired = *before_us.max(expired);
                self.apply(vec![RowChange::Expire { storage: storage(*n), before_us: *before_us }]);
            }
            Operation::Seal(force) => drop(self.engine().seal(*force)),
            Operation::Merge(behind) => {
                let visible = LogIndex(self.last().0.saturating_sub(u64::from(*behind)));
                let flushed = self.engine().merge(visible.max(self.engine().flushed_index())).expect("a healthy disk");
                assert_eq!(flushed, self.engine().flushed_index());
                self.engine().compact();
            }
            Operation::Snapshot => self.snapshot(),
            Operation::Check(n, check) if !self.snapshots.is_empty() => {
                let n = usize::from(*n) % self.snapshots.len();
                self.check(&self.snapshots[n], check);
            }
            Operation::Release(n) if !self.snapshots.is_empty() => {
                let n = usize::from(*n) % self.snapshots.len();
                self.snapshots.remove(n);
            }
            Operation::Check(..) | Operation::Release(_) => {}
            Operation::Reopen => self.reopen(),
        }
    }

    fn snapshot(&mut self) {
        let index = self.last();
        let reader = self.engine().point_versions().point_reader(index);
        self.snapshots.push(Snapshot { index, reader, fields: self.fields.clone() });
    }

    fn reopen(&mut self) {
        self.snapshots.clear();
        let flushed = self.engine().flushed_index();
        self.engine = None;
        let engine = open(self.env.clone(), self.config.clone()).expect("what it left behind");
        assert!(engine.flushed_index() >= flushed, "what was flushed survives");
        // Above the flushed index, as the log has it, and a little below, which is skipped.
        for (index, changes) in self.log.iter().filter(|(index, _)| index.0 + 2 > engine.flushed_index().0) {
            engine.apply(*index, changes.clone());
        }
        self.engine = Some(engine);
    }

    fn check(&self, snapshot: &Snapshot, check: &Check) {
        let fields = snapshot.fields[&check.storage];
        let wanted: Vec<usize> = (0..fields).filter(|f| check.fields[*f]).collect();
        let expired = self.expired.get(&check.storage).copied().unwrap_or(i64::MIN);
        let scan = PointScan {
            storage: storage(check.storage),
            layout: Arc::new(layout(fields)),
            series: ranges(check.series),
            from_us: check.times.0.max(expired),
            to_us: check.times.1,
            fields: wanted.clone(),
            conditions: check.conditions.clone(),
            versions: true,
            batch_rows: check.batch_rows,
            any_order: false,
            blocks: None,
            cursors: check.cursors,
        };
        let own: BTreeMap<Bytes, Option<Bytes>> = check
            .own
            .iter()
            .map(|&(s, time, seed)| (point_key(&series(s), time), seed.map(|seed| row(fields, seed))))
            .collect();
        let own: Vec<OwnPoint> = own.into_iter().collect();
        let model = self.model.point_versions().point_reader(snapshot.index);
        let got = points(&*snapshot.reader, &scan, own.clone());
        let want = points(&*model, &scan, own.clone());
        assert_eq!(without_index(&got), without_index(&want), "{scan:?}");
        for (got, want) in got.iter().zip(&want) {
            assert_eq!((got.2 == 0, got.2 >= want.2), (want.2 == 0, true), "index of {got:?}, written at {}", want.2);
        }
        let loose = points(&*snapshot.reader, &PointScan { any_order: true, ..scan.clone() }, own.clone());
        assert_eq!(loose, got, "in any order: {scan:?}");
        let last = |reader: &dyn PointReader| {
            let mut points = Vec::new();
            for batch in reader.last_points(&scan, own.clone()).expect("a healthy disk") {
                decode(&batch, &scan, &mut points);
            }
            points
        };
        let (got, want) = (last(&*snapshot.reader), last(&*model));
        assert_eq!(without_index(&got), without_index(&want), "last of {scan:?}");
        for (got, want) in got.iter().zip(&want) {
            assert_eq!((got.2 == 0, got.2 >= want.2), (want.2 == 0, true), "index of {got:?}, written at {}", want.2);
        }
        self.check_rows(snapshot, &*model, check, expired);
    }

    fn check_rows(&self, snapshot: &Snapshot, model: &dyn PointReader, check: &Check, expired: i64) {
        let end = |kind: u8, s: u8, time: i64| match kind {
            0 => Bound::Unbounded,
            1 => Bound::Included(point_key(&series(s), time)),
            _ => Bound::Excluded(point_key(&series(s), time)),
        };
        let lower = end(check.bounds.0, check.series.0, check.times.0);
        let range = KeyRange { lower, upper: end(check.bounds.1, check.series.1, check.times.1) };
        let id = storage(check.storage);
        let tuple = layout(FIELDS.1).row_layout();
        let read = |reader: &dyn PointReader| {
            let mut rows = Vec::new();
            let mut cursor = reader.scan(id, range.clone(), check.reverse).expect("a healthy disk");
            while cursor.next_batch(check.batch_rows, &mut rows).expect("a healthy disk") {}
            let decoded = rows.into_iter().map(|row| (row.key, tuple.decode(&row.row).expect("a tuple")));
            decoded.filter(|(key, _)| split_point_key(key).expect("a key").1 >= expired).collect::<Vec<_>>()
        };
        assert_eq!(read(&*snapshot.reader), read(model), "{range:?} reverse {}", check.reverse);
        for s in 0..SERIES {
            for time in (expired.max(0)..TIMES).step_by(3) {
                let key = point_key(&series(s), time);
                let get = |reader: &dyn PointReader| {
                    let row = reader.get(id, &key).expect("a healthy disk");
                    row.map(|row| (row.key, tuple.decode(&row.row).expect("a tuple")))
                };
                assert_eq!(get(&*snapshot.reader), get(model), "get {s} at {time}");
            }
        }
        let mut known = snapshot.reader.series(id).expect("a healthy disk");
        assert!(known.is_sorted_by(|a, b| a < b));
        known.retain(|key| model.series(id).expect("a model").contains(key));
        if expired == i64::MIN {
            assert_eq!(known, model.series(id).expect("a model"), "no series is missing");
        }
    }

    fn check_everything(&mut self) {
        self.snapshot();
        for snapshot in &self.snapshots {
            for storage in 0..STORAGES {
                for (cursors, batch_rows) in [(1, 1000), (3, 2)] {
                    let check = Check {
                        storage,
                        series: (0, SERIES, false),
                        times: (i64::MIN, i64::MAX),
                        fields: vec![true; FIELDS.1],
                        batch_rows,
                        cursors,
                        own: Vec::new(),
                        conditions: Vec::new(),
                        reverse: cursors == 3,
                        bounds: (0, 0),
                    };
                    self.check(snapshot, &check);
                }
            }
        }
        self.snapshots.pop();
    }
}

fn ranges((from, to, each): (u8, u8, bool)) -> Vec<KeyRange> {
    match each {
        true => (from..to)
            .step_by(2)
            .map(|s| KeyRange { lower: Bound::Included(series(s)), upper: Bound::Included(series(s)) })
            .collect(),
        false => vec![KeyRange { lower: Bound::Included(series(from)), upper: Bound::Excluded(series(to)) }],
    }
}

fn without_index(points: &[Point]) -> Vec<(&Bytes, i64, &Vec<Datum>)> {
    points.iter().map(|(series, time, _, fields)| (series, *time, fields)).collect()
}

/// What a scan gives, in the order of the contract; each cursor is checked to be in order by itself, if it promises one.
fn points(reader: &dyn PointReader, scan: &PointScan, own: Vec<OwnPoint>) -> Vec<Point> {
    let mut all = Vec::new();
    let place = |p: &Point| (p.1.div_euclid(PARTITION), p.0.clone(), p.1);
    for mut cursor in reader.scan_points(scan, own).expect("a healthy disk") {
        let mut points = Vec::new();
        while let Some(batch) = cursor.next_batch().expect("a healthy disk") {
            assert!((1..=scan.batch_rows).contains(&batch.rows()), "{} rows", batch.rows());
            decode(&batch, scan, &mut points);
        }
        assert!(scan.any_order || points.is_sorted_by(|a, b| place(a) < place(b)), "{points:?}");
        assert!(cursor.next_batch().expect("a healthy disk").is_none(), "the end stays the end");
        all.extend(points);
    }
    all.sort_by_key(place);
    assert!(all.is_sorted_by(|a, b| place(a) < place(b)), "cursors share no point");
    all
}

fn decode(batch: &PointBatch, scan: &PointScan, out: &mut Vec<Point>) {
    let versions = batch.versions.as_ref().expect("asked for");
    let types = layout(FIELDS.1).fields;
    let mut at = 0;
    for (series, rows) in &batch.series {
        assert!(*rows > 0);
        for i in at..at + rows {
            let fields = batch.fields.iter().zip(&scan.fields).map(|(column, f)| datum_at(column, types[*f].ty, i));
            let time = batch.time.as_primitive::<TimestampMicrosecondType>().value(i);
            out.push((series.clone(), time, versions.value(i), fields.collect()));
        }
        at += rows;
    }
    assert_eq!(at, batch.rows());
    assert_eq!(batch.time.data_type(), &heddle_types::arrow::data_type(PgType::new(oid::TIMESTAMPTZ)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn engine_answers_as_the_model_does(operations in operations(60)) {
        let mut bench = Bench::new();
        for operation in &operations {
            bench.run(operation);
        }
        bench.check_everything();
        bench.engine().verify().expect("every checksum holds");
        bench.reopen();
        bench.check_everything();
        bench.engine().seal(true);
        for _ in 0..20 {
            bench.engine().merge(bench.last()).expect("a healthy disk");
            bench.engine().compact();
        }
        bench.check_everything();
        bench.reopen();
        bench.check_everything();
    }
}
