//! What every row engine must do, as functions a test calls with a way to make the engine.
//!
//! A *factory* opens the engine over one place: the second call opens what the first left behind. The suite keeps the log
//! of everything applied and, after opening, replays what lies above [`RowEngine::flushed_index`], as a server does.
//! The truth is a plain map of the newest rows; a snapshot is a copy of it, compared with what a held reader says.
//!
//! [`run_scenarios`] has the named situations, [`check_operations`] runs [`operations`] that proptest invents and shrinks.

use crate::rows::RowBlockBuilder;
use crate::{KeyRange, Row, RowChange, RowCursor, RowEngine, RowReader};
use bytes::Bytes;
use heddle_types::{LogIndex, StorageId};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Opens the engine, or opens it again. The one opened before is gone by then.
pub type Factory<'a> = dyn FnMut() -> Arc<dyn RowEngine> + 'a;

/// A block (storage, keys, length of its values), then one change: (storage, key, new value length or none to delete).
pub type BlockAndChange = (u8, BTreeSet<u8>, u8, (u8, u8, Option<u8>));

/// Something that happens to an engine.
#[derive(Clone, Debug)]
pub enum Operation {
    /// One entry: (storage, key, new value length or none to delete).
    Apply(Vec<(u8, u8, Option<u8>)>),
    /// One entry with blocks of rows between single changes.
    Bulk(Vec<BlockAndChange>),
    /// An entry that drops a storage.
    Drop(u8),
    /// An entry for some other engine.
    ApplyNothing,
    /// Seals; forced or not.
    Seal(bool),
    /// Lets visible_index come up to this far behind the last entry, and merges.
    Merge(u8),
    /// Holds a snapshot of the newest state.
    Snapshot,
    /// Holds a snapshot as far behind as `visible_index` allows.
    SnapshotOld,
    /// Compares the n-th held snapshot with its copy.
    Check(u8, Scan),
    /// Lets the n-th snapshot go.
    Release(u8),
    /// Stops and starts.
    Reopen,
}

/// How a storage is read.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Which.
    pub storage: u8,
    /// (kind, key): 0 unbounded, 1 included, 2 excluded.
    pub lower: (u8, u8),
    /// As `lower`.
    pub upper: (u8, u8),
    /// Descending?
    pub reverse: bool,
    /// Rows per batch.
    pub batch: usize,
}

fn scan_strategy() -> impl Strategy<Value = Scan> {
    let bound = || (0..3u8, 0..KEYS);
    (0..STORAGES, bound(), bound(), any::<bool>(), 1..9usize).prop_map(|(storage, lower, upper, reverse, batch)| Scan {
        storage,
        lower,
        upper,
        reverse,
        batch,
    })
}

/// Few, so that operations meet.
const STORAGES: u8 = 3;
const KEYS: u8 = 24;

/// Up to `max` random operations.
pub fn operations(max: usize) -> impl Strategy<Value = Vec<Operation>> {
    let change = || (0..STORAGES, 0..KEYS, proptest::option::weighted(0.7, 0..200u8));
    let block = (0..STORAGES, proptest::collection::btree_set(0..KEYS, 0..12), 0..200u8, change());
    let operation = prop_oneof![
        12 => proptest::collection::vec(change(), 1..12).prop_map(Operation::Apply),
        6 => proptest::collection::vec(block, 1..4).prop_map(Operation::Bulk),
        1 => (0..STORAGES).prop_map(Operation::Drop),
        1 => Just(Operation::ApplyNothing),
        4 => any::<bool>().prop_map(Operation::Seal),
        4 => (0..4u8).prop_map(Operation::Merge),
        4 => Just(Operation::Snapshot),
        2 => Just(Operation::SnapshotOld),
        8 => (any::<u8>(), scan_strategy()).prop_map(|(n, scan)| Operation::Check(n, scan)),
        2 => any::<u8>().prop_map(Operation::Release),
        1 => Just(Operation::Reopen),
    ];
    proptest::collection::vec(operation, 1..max)
}

/// Applies `operations` and compares every answer with the truth.
///
/// # Panics
/// When the engine is wrong.
pub fn check_operations(factory: &mut Factory<'_>, operations: &[Operation]) {
    let mut bench = Bench::new(factory);
    for operation in operations {
        bench.run(operation);
    }
    bench.check_everything();
    bench.engine().verify().expect("every checksum holds");
    bench.reopen();
    bench.check_everything();
}

/// Runs every scenario, each with a factory for a place of its own.
///
/// # Panics
/// When the engine is wrong.
pub fn run_scenarios<'a>(mut place: impl FnMut() -> Box<Factory<'a>>) {
    snapshot_held_through_ten_merges(&mut *place());
    drop_storage_seen_by_old_readers_only(&mut *place());
    scans_honour_all_bounds(&mut *place());
    key_with_many_versions(&mut *place());
    last_change_of_an_entry_wins(&mut *place());
    entries_flushed_are_skipped(&mut *place());
    storages_do_not_touch(&mut *place());
    large_scans_in_batches(&mut *place());
    blocks_large_and_overlapping(&mut *place());
}

/// A snapshot reads its own state however much is merged, dropped and rewritten after it.
pub fn snapshot_held_through_ten_merges(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    for round in 0..12u8 {
        let changes = (0..KEYS).map(|key| (0, key, ((key + round) % 5 != 0).then_some(round))).collect();
        bench.run(&Operation::Apply(changes));
        bench.run(&Operation::Snapshot);
        bench.run(&Operation::Seal(true));
        if round == 6 {
            bench.run(&Operation::Drop(0));
            bench.run(&Operation::Seal(true));
        }
        bench.run(&Operation::Merge(0));
        bench.check_everything();
    }
    assert_eq!(bench.snapshots.len(), 12);
}

/// Readers older than the entry that dropped a storage see it; newer ones see only what was written after it.
pub fn drop_storage_seen_by_old_readers_only(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    let rows = |len| Operation::Apply((0..KEYS).flat_map(|key| [(0, key, Some(len)), (1, key, Some(len))]).collect());
    bench.run(&rows(1));
    bench.run(&Operation::Seal(true));
    bench.run(&Operation::Merge(0));
    bench.run(&rows(2));
    bench.run(&Operation::Snapshot);
    bench.run(&Operation::Drop(0));
    bench.run(&Operation::Snapshot);
    bench.check_everything();
    bench.run(&Operation::Apply(vec![(0, 7, Some(3))]));
    bench.run(&Operation::Snapshot);
    for _ in 0..2 {
        bench.check_everything();
        bench.run(&Operation::Seal(true));
        bench.run(&Operation::Merge(0));
    }
    bench.check_everything();
    let rows_left: Vec<usize> =
        bench.snapshots.iter().map(|s| s.truth.keys().filter(|k| k.0 == StorageId(0)).count()).collect();
    assert_eq!(rows_left, [usize::from(KEYS), 0, 1]);
    bench.reopen();
    bench.check_everything();
}

/// Every pair of bounds, both directions, rows in base, sealed and active memtables, tombstones among them.
pub fn scans_honour_all_bounds(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    bench.run(&Operation::Apply((0..KEYS).step_by(2).map(|key| (1, key, Some(1))).collect()));
    bench.run(&Operation::Seal(true));
    bench.run(&Operation::Merge(0));
    bench.run(&Operation::Apply((0..KEYS).step_by(3).map(|key| (1, key, (key % 2 == 1).then_some(2))).collect()));
    bench.run(&Operation::Seal(true));
    bench.run(&Operation::Apply((0..KEYS).step_by(5).map(|key| (1, key, Some(3))).collect()));
    bench.run(&Operation::Snapshot);
    let ends = [(0, 0), (1, 0), (2, 0), (1, 5), (2, 5), (1, 6), (2, 6), (1, KEYS), (2, KEYS)];
    for lower in ends {
        for upper in ends {
            for reverse in [false, true] {
                let scan = Scan { storage: 1, lower, upper, reverse, batch: 4 };
                bench.run(&Operation::Check(0, scan));
            }
        }
    }
}

/// A hot key: readers in between find their version without tripping over the others, in both directions.
pub fn key_with_many_versions(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    for n in 0..150u8 {
        bench.run(&Operation::Apply(vec![(0, 4, Some(n)), (0, 5, (n % 7 != 0).then_some(n)), (0, n % KEYS, Some(n))]));
        if n % 10 == 0 {
            bench.run(&Operation::Snapshot);
        }
        if n == 70 {
            bench.run(&Operation::Seal(true));
        }
    }
    bench.check_everything();
    bench.run(&Operation::Merge(0));
    bench.check_everything();
}

/// Within one entry a later change of a key replaces an earlier one.
pub fn last_change_of_an_entry_wins(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    bench.run(&Operation::Apply(vec![
        (0, 1, Some(1)),
        (0, 1, None),
        (0, 2, None),
        (0, 2, Some(2)),
        (0, 3, Some(3)),
        (0, 3, Some(4)),
    ]));
    bench.run(&Operation::Snapshot);
    bench.check_everything();
    bench.run(&Operation::Seal(true));
    bench.run(&Operation::Merge(0));
    bench.check_everything();
    bench.reopen();
    bench.check_everything();
}

/// An entry at or below the flushed index changes nothing.
pub fn entries_flushed_are_skipped(factory: &mut Factory<'_>) {
    let mut bench = Bench::new(factory);
    bench.run(&Operation::Apply(vec![(0, 1, Some(1)), (0, 2, Some(1))]));
    bench.run(&Operation::Apply(vec![(0, 1, None)]));
    bench.run(&Operation::Seal(true));
    bench.run(&Operation::Merge(0));
    bench.run(&Operation::Reopen);
    let engine = bench.engine();
    let flushed = engine.flushed_index();
    for (index, changes) in bench.log.iter().filter(|(index, _)| *index <= flushed) {
        engine.apply(*index, changes.clone());
    }
    if flushed > LogIndex(0) {
        assert_eq!(engine.unmerged_bytes(), 0, "entries that survived already take no memory");
    }
    bench.check_everything();
}

/// Neighbouring and extreme storage numbers, empty keys, and keys that look like other storages' prefixes.
pub fn storages_do_not_touch(factory: &mut Factory<'_>) {
    let engine = factory();
    let ids = [0, 1, 255, 256, u64::MAX - 1, u64::MAX];
    let keys: [&[u8]; 5] = [b"", b"\0", b"\0\0\0\0\0\0\0\x01", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"k"];
    let put = |&(id, key): &(u64, &'static [u8])| RowChange::Put {
        storage: StorageId(id),
        key: Bytes::from_static(key),
        row: Bytes::from(format!("{id}")),
    };
    let all: Vec<_> = ids.iter().flat_map(|&id| keys.iter().map(move |&key| (id, key))).collect();
    engine.apply(LogIndex(1), all.iter().map(put).collect());
    for merged in [false, true] {
        if merged {
            engine.seal(true);
            engine.merge(LogIndex(1)).expect("a healthy disk");
        }
        let reader = engine.versions().reader(LogIndex(1));
        for id in ids {
            let mut want: Vec<&[u8]> = keys.to_vec();
            want.sort_unstable();
            for reverse in [false, true] {
                let rows = collect(&*reader, StorageId(id), KeyRange::all(), reverse, 2);
                assert!(rows.iter().all(|row| row.row == format!("{id}").as_bytes()));
                assert_eq!(rows.iter().map(|row| &row.key[..]).collect::<Vec<_>>(), want);
                want.reverse();
            }
            assert_eq!(reader.get(StorageId(id), b"missing").expect("a healthy disk"), None);
        }
    }
}

/// More rows than any buffer inside an engine holds, read in uneven batches.
pub fn large_scans_in_batches(factory: &mut Factory<'_>) {
    const ROWS: u32 = 5000;
    let engine = factory();
    let put = |n: u32, index: u64| RowChange::Put {
        storage: StorageId(9),
        key: Bytes::copy_from_slice(&n.to_be_bytes()),
        row: Bytes::from(vec![index as u8; 300]),
    };
    engine.apply(LogIndex(1), (0..ROWS).map(|n| put(n, 1)).collect());
    engine.seal(true);
    engine.merge(LogIndex(1)).expect("a healthy disk");
    engine.apply(LogIndex(2), (0..ROWS).filter(|n| n % 3 == 0).map(|n| put(n, 2)).collect());
    let gone = |n: u32| RowChange::Delete { storage: StorageId(9), key: Bytes::copy_from_slice(&n.to_be_bytes()) };
    engine.apply(LogIndex(3), (0..ROWS).filter(|n| n % 5 == 0).map(gone).collect());
    let reader = engine.versions().reader(LogIndex(3));
    for reverse in [false, true] {
        let rows = collect(&*reader, StorageId(9), KeyRange::all(), reverse, 777);
        let mut want: Vec<(u32, u64)> =
            (0..ROWS).filter(|n| n % 5 != 0).map(|n| (n, 1 + u64::from(n % 3 == 0))).collect();
        if reverse {
            want.reverse();
        }
        assert_eq!(rows.len(), want.len());
        for (row, (n, index)) in rows.iter().zip(want) {
            assert_eq!((&row.key[..], row.index), (&n.to_be_bytes()[..], LogIndex(index)));
            assert_eq!(row.row, vec![index as u8; 300]);
        }
    }
}

/// Loads in blocks, whose keys overlap or not, between single changes; read before and after they are merged.
pub fn blocks_large_and_overlapping(factory: &mut Factory<'_>) {
    const STORAGE: StorageId = StorageId(9);
    let engine = factory();
    let key = |n: u32| n.to_be_bytes();
    let block = |keys: &mut dyn Iterator<Item = u32>, index: u64| {
        let mut block = RowBlockBuilder::default();
        keys.for_each(|n| assert!(block.push(&key(n), &[index as u8; 40])));
        RowChange::Rows { storage: STORAGE, block: block.finish() }
    };
    let single = |n: u32, row: Option<u8>| match row {
        Some(byte) => RowChange::Put { storage: STORAGE, key: Bytes::copy_from_slice(&key(n)), row: vec![byte].into() },
        None => RowChange::Delete { storage: STORAGE, key: Bytes::copy_from_slice(&key(n)) },
    };
    // One after another; interleaved; over what is there; a single change before a block, and after one.
    engine.apply(LogIndex(1), (0..8).map(|b| block(&mut (b * 1000..(b + 1) * 1000), 1)).collect());
    engine.apply(LogIndex(2), (0..8).map(|b| block(&mut (8000 + b..12_000).step_by(8), 2)).collect());
    engine.apply(LogIndex(3), vec![single(5, None), block(&mut (0..12_000).step_by(5), 3), single(10, None)]);
    engine.apply(LogIndex(4), vec![block(&mut (0..12_000).step_by(500), 4), single(500, Some(9))]);
    let mut truth: BTreeMap<u32, (u64, Vec<u8>)> =
        (0..12_000).map(|n| (n, (1 + u64::from(n >= 8000), vec![]))).collect();
    truth.extend((0..12_000).step_by(5).map(|n| (n, (3, vec![]))));
    truth.remove(&10);
    truth.extend((0..12_000).step_by(500).map(|n| (n, (4, vec![]))));
    for (index, row) in truth.values_mut() {
        *row = vec![*index as u8; 40];
    }
    truth.insert(500, (4, vec![9]));
    for merged in [false, true] {
        if merged {
            engine.seal(true);
            engine.merge(LogIndex(4)).expect("a healthy disk");
        }
        let reader = engine.versions().reader(LogIndex(4));
        for reverse in [false, true] {
            let rows = collect(&*reader, STORAGE, KeyRange::all(), reverse, 777);
            let mut want: Vec<_> =
                truth.iter().map(|(n, (index, row))| (key(*n).to_vec(), *index, row.clone())).collect();
            if reverse {
                want.reverse();
            }
            let got: Vec<_> = rows.iter().map(|r| (r.key.to_vec(), r.index.0, r.row.to_vec())).collect();
            assert_eq!(got, want);
        }
        for n in (0..12_100).step_by(7) {
            let got = reader.get(STORAGE, &key(n)).expect("a healthy disk").map(|r| (r.index.0, r.row.to_vec()));
            assert_eq!(got, truth.get(&n).cloned(), "{n}");
        }
    }
}

type Truth = BTreeMap<(StorageId, Bytes), (LogIndex, Bytes)>;

struct Snapshot {
    reader: Arc<dyn RowReader>,
    truth: Truth,
}

/// An engine beside the truth about it.
struct Bench<'a, 'b> {
    factory: &'a mut Factory<'b>,
    /// None only while reopening.
    engine: Option<Arc<dyn RowEngine>>,
    log: Vec<(LogIndex, Vec<RowChange>)>,
    /// The newest state, and the states that may still be asked for, by index.
    truth: Truth,
    recent: BTreeMap<LogIndex, Truth>,
    visible: LogIndex,
    snapshots: Vec<Snapshot>,
}

impl<'a, 'b> Bench<'a, 'b> {
    fn new(factory: &'a mut Factory<'b>) -> Self {
        let engine = Some(factory());
        let recent = BTreeMap::from([(LogIndex(0), Truth::new())]);
        Self {
            factory,
            engine,
            log: Vec::new(),
            truth: Truth::new(),
            recent,
            visible: LogIndex(0),
            snapshots: Vec::new(),
        }
    }

    fn engine(&self) -> Arc<dyn RowEngine> {
        Arc::clone(self.engine.as_ref().expect("open"))
    }

    fn last(&self) -> LogIndex {
        self.log.last().map_or(LogIndex(0), |(index, _)| *index)
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Apply(changes) => self.apply(changes.iter().map(|&c| change(c, self.last().next())).collect()),
            Operation::Bulk(blocks) => {
                let index = self.last().next();
                self.apply(blocks.iter().flat_map(|b| bulk(b, index)).collect());
            }
            Operation::Drop(storage) => {
                self.apply(vec![RowChange::DropStorage { storage: StorageId(u64::from(*storage)) }])
            }
            Operation::ApplyNothing => self.apply(Vec::new()),
            Operation::Seal(force) => drop(self.engine().seal(*force)),
            Operation::Merge(behind) => self.merge(u64::from(*behind)),
            Operation::Snapshot => self.snapshot(self.last()),
            Operation::SnapshotOld => {
                self.snapshot(self.visible);
                self.glance(self.visible);
            }
            Operation::Check(n, scan) if !self.snapshots.is_empty() => {
                self.snapshots[usize::from(*n) % self.snapshots.len()].check(scan);
            }
            Operation::Release(n) if !self.snapshots.is_empty() => {
                let n = usize::from(*n) % self.snapshots.len();
                self.snapshots.remove(n);
            }
            Operation::Check(..) | Operation::Release(_) => {}
            Operation::Reopen => self.reopen(),
        }
    }

    fn apply(&mut self, changes: Vec<RowChange>) {
        let index = self.last().next();
        for change in &changes {
            match change.clone() {
                RowChange::Put { storage, key, row } => {
                    self.truth.insert((storage, key), (index, row));
                }
                RowChange::Delete { storage, key } => {
                    self.truth.remove(&(storage, key));
                }
                RowChange::DropStorage { storage } => self.truth.retain(|key, _| key.0 != storage),
                RowChange::Rows { storage, block } => {
                    for (key, row) in (0..block.len()).map(|i| block.shared(i)) {
                        self.truth.insert((storage, key), (index, row));
                    }
                }
                // They change no row; blocks of points are not part of this suite.
                RowChange::Points { .. } | RowChange::DefineSeries { .. } | RowChange::Expire { .. } => {}
            }
        }
        self.recent.insert(index, self.truth.clone());
        self.engine().apply(index, changes.clone());
        self.log.push((index, changes));
    }

    fn merge(&mut self, behind: u64) {
        self.visible = self.visible.max(LogIndex(self.last().0.saturating_sub(behind)));
        self.recent = self.recent.split_off(&self.visible);
        let flushed = self.engine().merge(self.visible).expect("a healthy disk");
        assert!(flushed <= self.visible, "nothing above visible_index is merged");
        assert_eq!(flushed, self.engine().flushed_index());
    }

    fn snapshot(&mut self, index: LogIndex) {
        let reader = self.engine().versions().reader(index);
        self.snapshots.push(Snapshot { reader, truth: self.recent[&index].clone() });
    }

    /// Single rows, of which nothing is kept.
    fn glance(&self, index: LogIndex) {
        let mut calls = 0;
        self.engine().glance(&|| index, &mut |view| {
            calls += 1;
            assert_eq!(view.index(), index);
            for (storage, n) in (0..STORAGES).flat_map(|s| (0..=KEYS).map(move |n| (StorageId(u64::from(s)), n))) {
                let mut seen = None;
                let found = view.look(storage, &key(n), &mut |row| seen = Some(Bytes::copy_from_slice(row)));
                assert_eq!(found.expect("a healthy disk"), seen.is_some());
                let want = self.recent[&index].get(&(storage, key(n)));
                assert_eq!(seen.as_ref(), want.map(|(_, row)| row), "look {storage} {n}");
            }
        });
        assert_eq!(calls, 1, "the view is given once");
    }

    fn reopen(&mut self) {
        self.snapshots.clear();
        let flushed = self.engine().flushed_index();
        self.engine = None;
        let engine = (self.factory)();
        assert!(engine.flushed_index() >= flushed, "what was flushed survives");
        for (index, changes) in &self.log {
            if *index > engine.flushed_index() {
                engine.apply(*index, changes.clone());
            }
        }
        self.engine = Some(engine);
    }

    fn check_everything(&mut self) {
        self.snapshot(self.last());
        for snapshot in &self.snapshots {
            for storage in 0..STORAGES {
                for reverse in [false, true] {
                    snapshot.check(&Scan { storage, lower: (0, 0), upper: (0, 0), reverse, batch: 7 });
                }
                snapshot.check_gets(StorageId(u64::from(storage)));
            }
        }
        self.snapshots.pop();
        self.glance(self.last());
    }
}

impl Snapshot {
    fn check(&self, scan: &Scan) {
        let storage = StorageId(u64::from(scan.storage));
        let range = KeyRange { lower: bound(scan.lower), upper: bound(scan.upper) };
        let inside = |key: &Bytes| {
            let above = match &range.lower {
                Bound::Included(lower) => key >= lower,
                Bound::Excluded(lower) => key > lower,
                Bound::Unbounded => true,
            };
            let below = match &range.upper {
                Bound::Included(upper) => key <= upper,
                Bound::Excluded(upper) => key < upper,
                Bound::Unbounded => true,
            };
            above && below
        };
        let kept = self.truth.iter().filter(|((id, key), _)| *id == storage && inside(key));
        let mut want: Vec<Row> =
            kept.map(|((_, key), (index, row))| Row { key: key.clone(), index: *index, row: row.clone() }).collect();
        if scan.reverse {
            want.reverse();
        }
        assert_eq!(collect(&*self.reader, storage, range.clone(), scan.reverse, scan.batch), want, "{scan:?}");
    }

    fn check_gets(&self, storage: StorageId) {
        for n in 0..=KEYS {
            let got = self.reader.get(storage, &key(n)).expect("a healthy disk");
            let want = self.truth.get(&(storage, key(n)));
            assert_eq!(got.map(|row| (row.index, row.row)), want.cloned(), "get {storage} {n}");
        }
    }
}

fn key(n: u8) -> Bytes {
    Bytes::from(format!("key{n:03}"))
}

fn bound((kind, n): (u8, u8)) -> Bound<Bytes> {
    match kind {
        0 => Bound::Unbounded,
        1 => Bound::Included(key(n)),
        _ => Bound::Excluded(key(n)),
    }
}

fn change((storage, n, len): (u8, u8, Option<u8>), index: LogIndex) -> RowChange {
    let storage = StorageId(u64::from(storage));
    match len {
        Some(len) => RowChange::Put { storage, key: key(n), row: Bytes::from(vec![index.0 as u8; usize::from(len)]) },
        None => RowChange::Delete { storage, key: key(n) },
    }
}

/// A block of rows, and a single change after it.
fn bulk((storage, keys, len, single): &BlockAndChange, index: LogIndex) -> [RowChange; 2] {
    let mut block = RowBlockBuilder::default();
    let row = vec![index.0 as u8; usize::from(*len)];
    keys.iter().for_each(|n| assert!(block.push(&key(*n), &row), "it is small"));
    [RowChange::Rows { storage: StorageId(u64::from(*storage)), block: block.finish() }, change(*single, index)]
}

/// The rows of a range, read in batches, and visited: the same ones.
fn collect(reader: &dyn RowReader, storage: StorageId, range: KeyRange, reverse: bool, batch: usize) -> Vec<Row> {
    let rows = collect_batches(reader, storage, range.clone(), reverse, batch);
    let mut visited = Vec::new();
    let mut cursor: Box<dyn RowCursor> = reader.scan(storage, range, reverse).expect("a healthy disk");
    loop {
        let before = visited.len();
        let mut see = |key: &[u8], index: LogIndex, row: &[u8]| {
            visited.push(Row { key: Bytes::copy_from_slice(key), index, row: Bytes::copy_from_slice(row) });
            Ok(())
        };
        let more = cursor.visit(batch, &mut see).expect("a healthy disk");
        assert!(visited.len() - before <= batch, "at most {batch} rows a call");
        if !more {
            assert_eq!(visited, rows);
            return rows;
        }
    }
}

fn collect_batches(
    reader: &dyn RowReader,
    storage: StorageId,
    range: KeyRange,
    reverse: bool,
    batch: usize,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut cursor: Box<dyn RowCursor> = reader.scan(storage, range, reverse).expect("a healthy disk");
    loop {
        let before = rows.len();
        let more = cursor.next_batch(batch, &mut rows).expect("a healthy disk");
        assert!(rows.len() - before <= batch, "at most {batch} rows a call");
        if !more {
            assert!(!cursor.next_batch(batch, &mut rows).expect("a healthy disk"), "the end stays the end");
            return rows;
        }
        assert!(rows.len() > before, "true without a row would loop");
    }
}
