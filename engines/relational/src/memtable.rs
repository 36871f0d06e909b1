//! A memtable: the newest entries, every version of every row they wrote, in key order.
//!
//! The apply loop inserts, readers walk it at the same moment without locks. Once sealed it never changes; once merged it
//! leaves [`crate::versions::Parts`], and goes when the last reader that holds it is gone.

use crate::filter::{Filter, KeyHash};
use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use heddle_engines::RowChange;
use heddle_types::{LogIndex, StorageId};
use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a version costs besides its key and row: skiplist node, two `Bytes`, allocator slack.
const VERSION_BYTES: usize = 144;

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

/// See the module.
#[derive(Default)]
pub struct Memtable {
    rows: VersionMap,
    filter: Filter,
    drops: SkipMap<(StorageId, Reverse<LogIndex>), ()>,
    bytes: AtomicUsize,
    highest: AtomicU64,
}

impl Memtable {
    /// Inserts one entry. Only the apply loop calls it.
    pub fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        let mut bytes = 0;
        for change in changes {
            bytes += VERSION_BYTES;
            match change {
                RowChange::Put { storage, key, row } => {
                    bytes += key.len() + row.len();
                    self.filter.insert(KeyHash::of(storage, &key));
                    self.rows.insert(VersionKey::newest(storage, key, index), Some(row));
                }
                RowChange::Delete { storage, key } => {
                    bytes += key.len();
                    self.filter.insert(KeyHash::of(storage, &key));
                    self.rows.insert(VersionKey::newest(storage, key, index), None);
                }
                RowChange::DropStorage { storage } => {
                    self.drops.insert((storage, Reverse(index)), ());
                }
                // The time-series engine's, whose storages are not here.
                RowChange::Points { .. } | RowChange::DefineSeries { .. } | RowChange::Expire { .. } => {}
            }
        }
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.highest.store(index.0, Ordering::Release);
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Index of its last entry; 0 when it has none.
    pub fn highest(&self) -> LogIndex {
        LogIndex(self.highest.load(Ordering::Acquire))
    }

    /// All versions.
    pub fn rows(&self) -> &VersionMap {
        &self.rows
    }

    /// The newest version of a row at `at.index` or below: its index and row. `hash` is that of the row's key.
    pub fn newest(&self, hash: KeyHash, at: &VersionKey) -> Option<(LogIndex, Option<Bytes>)> {
        if !self.filter.may_have(hash) {
            return None;
        }
        let entry = self.rows.lower_bound(Bound::Included(at))?;
        let found = entry.key();
        (found.storage == at.storage && found.key == at.key).then(|| (found.index.0, entry.value().clone()))
    }

    /// May there be a version of the key with this hash? False: there is none.
    pub fn may_have(&self, hash: KeyHash) -> bool {
        self.filter.may_have(hash)
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
