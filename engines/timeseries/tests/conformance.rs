//! The time-series engine passes the suite that every row engine passes, through [`Rows`], which stores rows as points.
//!
//! A key becomes a series and a time in the same order, the row a field, beside the raw key and the index of the entry: a
//! flushed point says only that it was written at or below its segment's sequence.

use bytes::Bytes;
use heddle_engines::conformance;
use heddle_engines::point::{NamedType, PartitionInterval, PointEngine, SeriesLayout, point_key};
use heddle_engines::{KeyRange, Row, RowChange, RowCursor, RowEngine, RowGlance, RowReader, RowVersions};
use heddle_env::Env;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::{Datum, LogIndex, PgType, Result, StorageId, key, oid};
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

/// Entries that defined a storage: the first one it is in, and those that drop it. Replay defines it there again, and nowhere else.
type Definitions = Arc<Mutex<BTreeMap<StorageId, BTreeSet<LogIndex>>>>;

struct Rows {
    engine: Arc<dyn PointEngine>,
    definitions: Definitions,
}

fn layout() -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty };
    SeriesLayout {
        tags: vec![named("key", PgType::new(oid::BYTEA))],
        time: named("time", PgType::new(oid::TIMESTAMPTZ)),
        fields: vec![
            named("raw", PgType::new(oid::BYTEA)),
            named("row", PgType::new(oid::BYTEA)),
            named("index", PgType::new(oid::INT8)),
        ],
        partition: PartitionInterval::Micros(3),
    }
}

/// Keys of the random operations share series, and their times partitions; other keys have a series of their own.
fn point(raw: &[u8]) -> Bytes {
    let digits = raw.strip_prefix(b"key").and_then(|digits| std::str::from_utf8(digits).ok());
    let (series, time) = match digits.and_then(|digits| digits.parse::<u64>().ok()) {
        Some(n) => (vec![b'k', (n / 8) as u8], (n % 8) as i64),
        None => (raw.to_vec(), 0),
    };
    let mut out = Vec::new();
    key::encode(&mut out, &Datum::Bytea(series.into()), key::KeyOrder::default());
    point_key(&out, time)
}

fn storage(id: StorageId) -> StorageId {
    StorageId(id.0 | 1 << 31)
}

fn row(row: Row) -> Row {
    let values = layout().row_layout().decode(&row.row).expect("it was encoded");
    let [Datum::Bytea(key), Datum::Bytea(bytes), Datum::Int8(index)] = &values[..] else { panic!("{values:?}") };
    assert!(row.index >= LogIndex(*index as u64), "written at {} at the latest, not at {index}", row.index);
    assert_eq!(point(key), row.key);
    let key = Bytes::copy_from_slice(key);
    Row { key, index: LogIndex(*index as u64), row: Bytes::copy_from_slice(bytes) }
}

/// Points come in blocks of their own: those of rows are taken apart.
fn one_by_one(change: RowChange) -> Vec<RowChange> {
    let RowChange::Rows { storage, block } = change else { return vec![change] };
    let put = |i: usize| {
        let (key, row) = block.shared(i);
        RowChange::Put { storage, key, row }
    };
    (0..block.len()).map(put).collect()
}

impl RowEngine for Rows {
    fn versions(&self) -> Arc<dyn RowVersions> {
        Arc::new(Versions(self.engine.versions()))
    }

    /// The parts come in a wrapper made anew each time, so that they never look the same twice.
    fn glance(&self, visible: &dyn Fn() -> LogIndex, read: &mut dyn FnMut(&dyn RowGlance)) {
        let (versions, index) = (self.versions(), visible());
        read(&(index, versions.reader(index)));
    }

    fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        let mut out = Vec::new();
        let mut definitions = self.definitions.lock();
        for change in changes.into_iter().flat_map(one_by_one) {
            let defined = definitions.entry(storage(change.storage())).or_insert_with(|| BTreeSet::from([index]));
            if matches!(change, RowChange::DropStorage { .. }) {
                defined.insert(index);
            }
            if defined.contains(&index) {
                let layout = layout().encode();
                out.push(RowChange::DefineSeries { storage: storage(change.storage()), layout });
            }
            let change = match change {
                RowChange::Put { storage: id, key, row } => {
                    let values =
                        [Datum::Bytea(key[..].into()), Datum::Bytea(row[..].into()), Datum::Int8(index.0 as i64)];
                    let row = layout().row_layout().encode(&values).into();
                    RowChange::Put { storage: storage(id), key: point(&key), row }
                }
                RowChange::Delete { storage: id, key } => RowChange::Delete { storage: storage(id), key: point(&key) },
                RowChange::DropStorage { storage: id } => RowChange::DropStorage { storage: storage(id) },
                other => panic!("{other:?}"),
            };
            out.push(change);
        }
        self.engine.apply(index, out);
    }

    fn unmerged_bytes(&self) -> usize {
        self.engine.unmerged_bytes()
    }

    fn seal(&self, force: bool) -> bool {
        self.engine.seal(force)
    }

    fn merge(&self, visible: LogIndex) -> Result<LogIndex> {
        let flushed = self.engine.merge(visible);
        self.engine.compact();
        flushed
    }

    fn flushed_index(&self) -> LogIndex {
        self.engine.flushed_index()
    }

    fn verify(&self) -> Result<()> {
        self.engine.verify()
    }
}

struct Versions(Arc<dyn RowVersions>);

impl RowVersions for Versions {
    fn reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn RowReader> {
        Arc::new(Reader(Arc::clone(&self.0).reader(index)))
    }
}

struct Reader(Arc<dyn RowReader>);

impl RowReader for Reader {
    fn get(&self, id: StorageId, key: &[u8]) -> Result<Option<Row>> {
        Ok(self.0.get(storage(id), &point(key))?.map(row))
    }

    fn scan(&self, id: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        let bound = |bound: Bound<Bytes>| bound.map(|key| point(&key));
        let range = KeyRange { lower: bound(range.lower), upper: bound(range.upper) };
        Ok(Box::new(Cursor(self.0.scan(storage(id), range, reverse)?)))
    }

    fn estimate_rows(&self, id: StorageId) -> u64 {
        self.0.estimate_rows(storage(id))
    }
}

struct Cursor(Box<dyn RowCursor>);

impl RowCursor for Cursor {
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let mut rows = Vec::new();
        let more = self.0.next_batch(max, &mut rows)?;
        out.extend(rows.into_iter().map(row));
        Ok(more)
    }
}

/// Opens over the same disk every time.
fn factory() -> impl FnMut() -> Arc<dyn RowEngine> {
    let env = Env::in_memory(1);
    let definitions = Definitions::default();
    move || {
        let mut config = TimeseriesConfig::new(PathBuf::from("/series"), 8192);
        (config.chunk_rows, config.compaction_rows) = (7, 1);
        let engine = open(env.clone(), config).expect("a healthy disk");
        Arc::new(Rows { engine, definitions: Arc::clone(&definitions) })
    }
}

#[test]
fn timeseries_passes_scenarios() {
    conformance::run_scenarios(|| Box::new(factory()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn timeseries_passes_random_operations(operations in conformance::operations(60)) {
        conformance::check_operations(&mut factory(), &operations);
    }
}
