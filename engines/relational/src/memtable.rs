//! A memtable: the newest entries, every version of every row they wrote, in key order.
//!
//! Single changes are in a skip list, blocks of rows in sorted runs: taking in a load of millions of rows sorts it, if it is
//! not sorted, and inserts nothing. Of two versions with one index the skip list's counts.
//!
//! The apply loop inserts, readers walk it at the same moment without locks. Once sealed it never changes; once merged it
//! leaves [`crate::versions::Parts`], and goes when the last reader that holds it is gone.

use crate::filter::{Filter, KeyHash};
use arc_swap::ArcSwap;
use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use heddle_engines::RowChange;
use heddle_engines::rows::RowBlock;
use heddle_engines::run::{Run, Runs};
use heddle_types::{LogIndex, StorageId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What a version costs besides its key and row: skiplist node, two `Bytes`, allocator slack.
const VERSION_BYTES: usize = 144;
/// Rows of one entry whose keys the filter takes: more would fill it.
const FILTERED_ROWS_MAX: usize = 100_000;

/// A version's place. Newer versions of a row come before older ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    /// Which table or index.
    pub storage: StorageId,
    /// Memcomparable key.
    pub key: Bytes,
    /// Index of the entry that wrote it.
    pub index: Reverse<LogIndex>,
}

impl VersionKey {
    /// Before or at the newest version that a reader at `index` may see.
    pub fn newest(storage: StorageId, key: Bytes, index: LogIndex) -> Self {
        Self { storage, key, index: Reverse(index) }
    }

    /// Before every version of `key`.
    pub fn before(storage: StorageId, key: Bytes) -> Self {
        Self::newest(storage, key, LogIndex(u64::MAX))
    }

    /// After every version of `key` (indexes start at 1).
    pub fn after(storage: StorageId, key: Bytes) -> Self {
        Self::newest(storage, key, LogIndex(0))
    }
}

/// Key ordered map of versions. A version without a row is a tombstone.
pub type VersionMap = SkipMap<VersionKey, Option<Bytes>>;

/// Sorted runs by storage; the tag of a block is its index.
pub type RunMap = BTreeMap<StorageId, Runs>;

/// See the module.
#[derive(Default)]
pub struct Memtable {
    rows: VersionMap,
    runs: ArcSwap<RunMap>,
    has_runs: AtomicBool,
    filter: Filter,
    /// There are rows in runs whose keys the filter does not have.
    unfiltered: AtomicBool,
    drops: SkipMap<(StorageId, Reverse<LogIndex>), ()>,
    bytes: AtomicUsize,
    highest: AtomicU64,
}

impl Memtable {
    /// Inserts one entry. Only the apply loop calls it.
    pub fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        let mut bytes = 0;
        let mut bulk = changes.iter().any(|c| matches!(c, RowChange::Rows { .. })).then(Bulk::default);
        for change in changes {
            match change {
                RowChange::Put { storage, key, row } => {
                    bulk.iter_mut().for_each(|bulk| bulk.note_single(storage));
                    bytes += self.insert(storage, key, index, Some(row));
                }
                RowChange::Delete { storage, key } => {
                    bulk.iter_mut().for_each(|bulk| bulk.note_single(storage));
                    bytes += self.insert(storage, key, index, None);
                }
                RowChange::Rows { storage, block } => {
                    let block = bulk.as_mut().and_then(|bulk| bulk.take(storage, block));
                    if let Some(block) = block {
                        for (key, row) in (0..block.len()).map(|i| block.shared(i)) {
                            bytes += self.insert(storage, key, index, Some(row));
                        }
                    }
                }
                RowChange::DropStorage { storage } => {
                    bytes += VERSION_BYTES;
                    self.drops.insert((storage, Reverse(index)), ());
                }
                // The time-series engine's, whose storages are not here.
                RowChange::Points { .. } | RowChange::DefineSeries { .. } | RowChange::Expire { .. } => {}
            }
        }
        if let Some(bulk) = bulk {
            bytes += self.insert_runs(index, bulk.blocks);
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.highest.store(index.0, Ordering::Release);
    }

    /// Returns what it takes.
    fn insert(&self, storage: StorageId, key: Bytes, index: LogIndex, row: Option<Bytes>) -> usize {
        let bytes = VERSION_BYTES + key.len() + row.as_ref().map_or(0, Bytes::len);
        self.filter.insert(KeyHash::of(storage, &key));
        self.rows.insert(VersionKey::newest(storage, key, index), row);
        bytes
    }

    /// Returns what they take.
    fn insert_runs(&self, index: LogIndex, blocks: BTreeMap<StorageId, Vec<RowBlock>>) -> usize {
        let mut bytes = 0;
        let rows: usize = blocks.values().flatten().map(RowBlock::len).sum();
        if rows > FILTERED_ROWS_MAX {
            self.unfiltered.store(true, Ordering::Release);
        }
        let mut runs = RunMap::clone(&self.runs.load());
        for (storage, blocks) in blocks {
            for block in &blocks {
                bytes += VERSION_BYTES + block.bytes().len() + block.len() * Run::ENTRY_BYTES;
                if rows <= FILTERED_ROWS_MAX {
                    (0..block.len()).for_each(|i| self.filter.insert(KeyHash::of(storage, block.key(i))));
                }
            }
            let tagged = blocks.into_iter().map(|block| (block, index.0)).collect();
            runs.entry(storage).or_default().push(Run::new(tagged));
        }
        self.runs.store(Arc::new(runs));
        self.has_runs.store(true, Ordering::Release);
        bytes
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Index of its last entry; 0 when it has none.
    pub fn highest(&self) -> LogIndex {
        LogIndex(self.highest.load(Ordering::Acquire))
    }

    /// All versions that are not in runs.
    pub fn rows(&self) -> &VersionMap {
        &self.rows
    }

    /// The runs; none in most memtables.
    pub fn runs(&self) -> Option<Arc<RunMap>> {
        self.has_runs.load(Ordering::Acquire).then(|| self.runs.load_full())
    }

    /// The newest version of a row at `at.index` or below: its index and row. Ask [`Self::may_have`] first.
    pub fn newest(&self, at: &VersionKey) -> Option<(LogIndex, Option<Bytes>)> {
        let single = self.newest_single(at);
        if !self.has_runs.load(Ordering::Acquire) {
            return single;
        }
        let runs = self.runs.load();
        let bulk = runs.get(&at.storage).and_then(|runs| runs.newest(&at.key, at.index.0.0));
        match (single, bulk) {
            (Some((index, _)), Some((tag, row))) if tag > index.0 => Some((LogIndex(tag), Some(row))),
            (None, Some((tag, row))) => Some((LogIndex(tag), Some(row))),
            (single, _) => single,
        }
    }

    fn newest_single(&self, at: &VersionKey) -> Option<(LogIndex, Option<Bytes>)> {
        let entry = self.rows.lower_bound(Bound::Included(at))?;
        let found = entry.key();
        (found.storage == at.storage && found.key == at.key).then(|| (found.index.0, entry.value().clone()))
    }

    /// May there be a version of the key with this hash? False: there is none.
    pub fn may_have(&self, hash: KeyHash) -> bool {
        self.filter.may_have(hash) || self.unfiltered.load(Ordering::Acquire)
    }

    /// The newest entry at `index` or below that dropped `storage`; 0 when none did.
    pub fn dropped_at(&self, storage: StorageId, index: LogIndex) -> LogIndex {
        if self.drops.is_empty() {
            return LogIndex(0);
        }
        match self.drops.lower_bound(Bound::Included(&(storage, Reverse(index)))) {
            Some(entry) if entry.key().0 == storage => entry.key().1.0,
            _ => LogIndex(0),
        }
    }

    /// Every dropped storage with the newest entry that dropped it.
    pub fn drops(&self) -> Vec<(StorageId, LogIndex)> {
        let mut drops: Vec<(StorageId, LogIndex)> = self.drops.iter().map(|e| (e.key().0, e.key().1.0)).collect();
        drops.dedup_by_key(|(storage, _)| *storage); // the newest comes first
        drops
    }
}

/// The blocks of one entry that become runs.
#[derive(Default)]
struct Bulk {
    blocks: BTreeMap<StorageId, Vec<RowBlock>>,
    /// Storages that had a single change: what is in a run counts less, so later blocks of theirs must not become one.
    singles: BTreeSet<StorageId>,
}

impl Bulk {
    fn note_single(&mut self, storage: StorageId) {
        self.singles.insert(storage);
    }

    /// Gives the block back when its rows are to be inserted one by one.
    fn take(&mut self, storage: StorageId, block: RowBlock) -> Option<RowBlock> {
        if self.singles.contains(&storage) {
            return Some(block);
        }
        self.blocks.entry(storage).or_default().push(block);
        None
    }
}
