//! A memtable: the newest entries, as chunks of columns per storage ([`crate::chunk`]) and the few changes that are no points.
//!
//! The apply loop appends, readers look at the same moment: a lock per storage is held for pointer work only, while chunks
//! are frozen outside of it. Once sealed a memtable never changes; once flushed it leaves [`crate::versions::Parts`], and goes
//! when the last reader that holds it is gone.

use crate::chunk::{Chunk, OpenRows};
use crate::shape::Shape;
use bytes::Bytes;
use heddle_engines::RowChange;
use heddle_engines::block::PointBlock;
use heddle_engines::point::{SeriesLayout, TIME_KEY_BYTES, split_point_key};
use heddle_env::fail_stop;
use heddle_types::{Error, LogIndex, Result, StorageId};
use parking_lot::{RwLock, RwLockReadGuard};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A block below a chunk's rows divided by this is taken in row by row.
const SMALL_BLOCKS_IN_CHUNK: usize = 16;
/// What a change takes that is no point.
const CHANGE_BYTES: usize = 256;

/// See the module.
pub struct Memtable {
    chunk_rows: usize,
    storages: RwLock<Storages>,
    bytes: AtomicUsize,
    highest: AtomicU64,
}

/// What was written, by storage.
#[derive(Default)]
struct Storages {
    points: BTreeMap<StorageId, Arc<Table>>,
    layouts: BTreeMap<StorageId, (LogIndex, Arc<Shape>)>,
    /// Ascending.
    drops: BTreeMap<StorageId, Vec<LogIndex>>,
    expired: BTreeMap<StorageId, i64>,
}

/// The points of one storage.
#[derive(Default)]
pub struct Table {
    rows: RwLock<TableRows>,
}

/// Rows of a table.
#[derive(Default)]
pub struct TableRows {
    /// Oldest first.
    pub chunks: Vec<Arc<Chunk>>,
    /// Newer than all chunks.
    pub open: OpenRows,
}

impl Memtable {
    /// An empty one; a chunk of it has up to `chunk_rows` rows.
    pub fn new(chunk_rows: usize) -> Self {
        Self { chunk_rows, storages: RwLock::default(), bytes: AtomicUsize::new(0), highest: AtomicU64::new(0) }
    }

    /// The memtable that comes after this one.
    pub fn successor(&self) -> Self {
        Self::new(self.chunk_rows)
    }

    /// Takes one entry in. Only the apply loop calls it. `shape_of` knows the storages that were defined before this memtable.
    pub fn apply(&self, index: LogIndex, changes: Vec<RowChange>, shape_of: impl Fn(StorageId) -> Option<Arc<Shape>>) {
        let mut writer: Option<Writer> = None;
        for change in changes {
            match change {
                RowChange::Put { storage, key, row } => {
                    self.writer(&mut writer, storage, &shape_of).push(index, key, Some(row));
                }
                RowChange::Delete { storage, key } => {
                    self.writer(&mut writer, storage, &shape_of).push(index, key, None);
                }
                RowChange::Rows { storage, block } => {
                    let writer = self.writer(&mut writer, storage, &shape_of);
                    for (key, row) in (0..block.len()).map(|i| block.shared(i)) {
                        writer.push(index, key, Some(row));
                    }
                }
                RowChange::Points { storage, block } => {
                    let block = PointBlock::decode(&block).unwrap_or_else(|e| cannot_apply(index, &e));
                    self.writer(&mut writer, storage, &shape_of).take(index, &block);
                }
                RowChange::DropStorage { storage } => {
                    self.change(|storages| storages.drops.entry(storage).or_default().push(index));
                }
                RowChange::DefineSeries { storage, layout } => {
                    writer = None;
                    let layout = SeriesLayout::decode(&layout).unwrap_or_else(|e| cannot_apply(index, &e));
                    self.change(|storages| storages.layouts.insert(storage, (index, Shape::new(layout))));
                }
                RowChange::Expire { storage, before_us } => self.change(|storages| {
                    let expired = storages.expired.entry(storage).or_insert(i64::MIN);
                    *expired = before_us.max(*expired);
                }),
            }
        }
        self.highest.store(index.0, Ordering::Release);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Storages) -> T) {
        change(&mut self.storages.write());
        self.bytes.fetch_add(CHANGE_BYTES, Ordering::Relaxed);
    }

    /// The writer of `storage`: the last one, if it is its.
    fn writer<'a, 'b>(
        &'a self,
        last: &'b mut Option<Writer<'a>>,
        storage: StorageId,
        shape_of: &impl Fn(StorageId) -> Option<Arc<Shape>>,
    ) -> &'b Writer<'a> {
        if last.as_ref().is_none_or(|writer| writer.storage != storage) {
            let shape = self.layout(storage).or_else(|| shape_of(storage));
            let table = Arc::clone(self.storages.write().points.entry(storage).or_default());
            *last = Some(Writer { storage, shape, table, memtable: self });
        }
        last.as_ref().expect("just set")
    }

    /// Freezes what is open, before the memtable is sealed.
    pub fn freeze(&self, shape_of: impl Fn(StorageId) -> Option<Arc<Shape>>) {
        let tables = self.storages.read().points.clone();
        for (storage, table) in tables {
            let shape = self.layout(storage).or_else(|| shape_of(storage));
            Writer { storage, shape, table, memtable: self }.freeze();
        }
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Index of its last entry; 0 when it has none.
    pub fn highest(&self) -> LogIndex {
        LogIndex(self.highest.load(Ordering::Acquire))
    }

    /// Did its entries change nothing?
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// The newest layout of a storage that was defined here.
    pub fn layout(&self, storage: StorageId) -> Option<Arc<Shape>> {
        self.storages.read().layouts.get(&storage).map(|(_, shape)| Arc::clone(shape))
    }

    /// The newest entry at or below `at` that dropped `storage`; 0 when none did.
    pub fn dropped_at(&self, storage: StorageId, at: LogIndex) -> LogIndex {
        let storages = self.storages.read();
        let drops = storages.drops.get(&storage);
        drops.into_iter().flatten().rev().copied().find(|&index| index <= at).unwrap_or_default()
    }

    /// The points of a storage.
    pub fn table(&self, storage: StorageId) -> Option<Arc<Table>> {
        self.storages.read().points.get(&storage).cloned()
    }

    /// Everything that was changed, for a flush.
    pub fn changes(&self) -> Changes {
        let storages = self.storages.read();
        let drops = storages.drops.iter().filter_map(|(storage, drops)| Some((*storage, *drops.last()?)));
        Changes {
            layouts: storages.layouts.clone(),
            drops: drops.collect(),
            expired: storages.expired.clone(),
            points: storages.points.clone(),
        }
    }
}

/// What a memtable changed.
pub struct Changes {
    /// New and grown layouts, and the entries that defined them.
    pub layouts: BTreeMap<StorageId, (LogIndex, Arc<Shape>)>,
    /// Storages with the last entry that dropped them.
    pub drops: BTreeMap<StorageId, LogIndex>,
    /// First times that stay.
    pub expired: BTreeMap<StorageId, i64>,
    /// Points.
    pub points: BTreeMap<StorageId, Arc<Table>>,
}

impl Table {
    /// A look at the rows; held for pointer work only.
    pub fn rows(&self) -> RwLockReadGuard<'_, TableRows> {
        self.rows.read()
    }
}

/// Appends to a table.
struct Writer<'a> {
    storage: StorageId,
    shape: Option<Arc<Shape>>,
    table: Arc<Table>,
    memtable: &'a Memtable,
}

impl Writer<'_> {
    fn push(&self, index: LogIndex, key: Bytes, row: Option<Bytes>) {
        let (_, time_us) = split_point_key(&key).unwrap_or_else(|e| cannot_apply(index, &e));
        let series = key.slice(..key.len() - TIME_KEY_BYTES);
        let is_full = {
            let mut rows = self.table.rows.write();
            let before = rows.open.bytes();
            rows.open.push(&series, time_us, index, row);
            self.memtable.bytes.fetch_add(rows.open.bytes() - before, Ordering::Relaxed);
            rows.open.is_full(self.memtable.chunk_rows)
        };
        if is_full {
            self.freeze();
        }
    }

    /// Takes a block in; a small one by rows, so that chunks stay large.
    fn take(&self, index: LogIndex, block: &PointBlock) {
        let Some(shape) = &self.shape else { cannot_apply(index, &self.undefined()) };
        if block.rows() * SMALL_BLOCKS_IN_CHUNK < self.memtable.chunk_rows {
            for i in 0..block.rows() {
                self.push(index, block.key(i), Some(block.row(i, &shape.layout, &shape.tuple)));
            }
            return;
        }
        self.freeze();
        let chunk = Chunk::from_block(block, index, shape).unwrap_or_else(|e| cannot_apply(index, &e));
        self.memtable.bytes.fetch_add(chunk.bytes(), Ordering::Relaxed);
        self.table.rows.write().chunks.push(Arc::new(chunk));
    }

    fn freeze(&self) {
        // Nobody else writes, so what is read here is still all of it below.
        let chunk = {
            let rows = self.table.rows.read();
            if rows.open.is_empty() {
                return;
            }
            self.chunk(&rows.open).unwrap_or_else(|e| cannot_apply(LogIndex(0), &e))
        };
        self.memtable.bytes.fetch_add(chunk.bytes(), Ordering::Relaxed);
        let open = {
            let mut rows = self.table.rows.write();
            rows.chunks.push(Arc::new(chunk));
            std::mem::take(&mut rows.open)
        };
        self.memtable.bytes.fetch_sub(open.bytes(), Ordering::Relaxed);
    }

    fn chunk(&self, open: &OpenRows) -> Result<Chunk> {
        let shape = self.shape.as_ref().ok_or_else(|| self.undefined())?;
        open.freeze(shape, &shape.fields)
    }

    fn undefined(&self) -> Error {
        Error::internal(format!("time-series storage {} has points but no layout", self.storage))
    }
}

/// Every replica would meet it, and none could go on.
fn cannot_apply(index: LogIndex, error: &Error) -> ! {
    fail_stop(&format!("log entry {index} cannot be applied to the time series: {error}"))
}
