//! What readers see: the parts of the engine at one moment, and point reads over them.
//!
//! [`Versions`] is replaced by seal and merge, never by a commit. Whoever drops the last handle of one pays nothing: the
//! parts go to the reaper thread, because freeing a memtable walks all of it and ending a redb read transaction takes a lock.

use crate::base::{BaseView, FENCE_BYTES, base_key};
use crate::cache::{Cached, RowCache};
use crate::cursor::Cursor;
use crate::filter::KeyHash;
use crate::leaf::Leaf;
use crate::memtable::{Memtable, VersionKey};
use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowCursor, RowGlance, RowReader, RowVersions};
use heddle_types::{LogIndex, Result, StorageId};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// Rows that enter the cache with one that is read, while it is not full. Warms it in a sixteenth of the reads.
const READ_AHEAD_ROWS: usize = 16;

/// The parts, newest first.
#[derive(Clone)]
pub struct Parts {
    /// Takes inserts.
    pub active: Arc<Memtable>,
    /// Newest first.
    pub sealed: Vec<Arc<Memtable>>,
    /// Everything older.
    pub base: Arc<BaseView>,
    /// Rows of this base and of others.
    pub cache: Arc<RowCache>,
}

impl Parts {
    /// Active and sealed memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    /// Rows of `storage` written at or below the answer are hidden from a reader at `index`.
    pub fn dropped_at(&self, storage: StorageId, index: LogIndex) -> LogIndex {
        let base = self.base.drops.get(&storage).copied().unwrap_or_default();
        self.memtables().map(|table| table.dropped_at(storage, index)).fold(base, LogIndex::max)
    }
}

/// See the module.
pub struct Versions {
    /// None only while dropped.
    parts: Option<Parts>,
    reaper: Sender<Parts>,
}

impl Versions {
    /// Parts whose end is left to `reaper`.
    pub fn new(parts: Parts, reaper: Sender<Parts>) -> Self {
        Self { parts: Some(parts), reaper }
    }

    /// The parts.
    pub fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("taken only by drop")
    }

    /// Other parts with the same reaper.
    pub fn with(&self, parts: Parts) -> Self {
        Self::new(parts, self.reaper.clone())
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // Without a reaper (the engine is gone) they go here.
            let _ = self.reaper.send(parts);
        }
    }
}

impl RowVersions for Versions {
    fn reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn RowReader> {
        Arc::new(Reader { versions: self, index })
    }
}

struct Reader {
    versions: Arc<Versions>,
    index: LogIndex,
}

impl RowReader for Reader {
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        let copy = |index, row: Found<'_>| Row { key: Bytes::copy_from_slice(key), index, row: row.into_bytes() };
        self.versions.parts().look(self.index, storage, key, copy)
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        Ok(Box::new(Cursor::open(Arc::clone(&self.versions), self.index, storage, range, reverse)?))
    }

    /// Rows of the base and of blocks that wait for a merge; single ones that wait are not counted.
    fn estimate_rows(&self, storage: StorageId) -> u64 {
        let parts = self.versions.parts();
        let bulk = |table: &Arc<Memtable>| {
            let runs = table.runs()?;
            Some(runs.get(&storage)?.iter().map(|run| run.len() as u64).sum::<u64>())
        };
        let base = parts.base.counts.get(&storage).copied().unwrap_or(0);
        base + parts.memtables().filter_map(bulk).sum::<u64>()
    }
}

/// Parts at an index, for as long as somebody looks.
pub struct Glance<'a> {
    /// The parts.
    pub parts: &'a Parts,
    /// The index.
    pub index: LogIndex,
}

impl RowGlance for Glance<'_> {
    fn index(&self) -> LogIndex {
        self.index
    }

    fn look(&self, storage: StorageId, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let seen = self.parts.look(self.index, storage, key, |_, row| see(row.bytes()))?;
        Ok(seen.is_some())
    }
}

/// A row where it was found.
enum Found<'a> {
    Memtable(Bytes),
    Base(&'a [u8]),
}

impl Found<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Memtable(row) => row,
            Self::Base(row) => row,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Memtable(row) => row,
            Self::Base(row) => Bytes::copy_from_slice(row),
        }
    }
}

impl Parts {
    /// Shows the row under `key`, as a reader at `index` finds it, and the index of its entry to `see`.
    fn look<T>(
        &self,
        index: LogIndex,
        storage: StorageId,
        key: &[u8],
        see: impl FnOnce(LogIndex, Found<'_>) -> T,
    ) -> Result<Option<T>> {
        let dropped = self.dropped_at(storage, index);
        let hash = KeyHash::of(storage, key);
        let mut at = None;
        for table in self.memtables().filter(|table| table.may_have(hash)) {
            let at = at.get_or_insert_with(|| VersionKey::newest(storage, Bytes::copy_from_slice(key), index));
            if let Some((index, row)) = table.newest(at) {
                return Ok(row.filter(|_| index > dropped).map(|row| see(index, Found::Memtable(row))));
            }
        }
        let see = |index, row: &[u8]| (index > dropped).then(|| see(index, Found::Base(row)));
        Ok(self.look_in_base(hash, storage, key, see)?.flatten())
    }

    /// The same in the base alone.
    fn look_in_base<T>(
        &self,
        hash: KeyHash,
        storage: StorageId,
        key: &[u8],
        see: impl FnOnce(LogIndex, &[u8]) -> T,
    ) -> Result<Option<T>> {
        let has_room = match self.cache.get(hash, storage, key, self.base.epoch) {
            Cached::Row(row) => return Ok(Some(row.show(see))),
            Cached::Miss { has_room } => has_room,
        };
        let mut place = Vec::with_capacity(FENCE_BYTES + key.len());
        base_key(&mut place, storage, key);
        let Some(leaf) = self.base.leaf(&place)? else { return Ok(None) };
        let leaf = Leaf::open(leaf.value())?;
        let Ok(at) = leaf.find(key)? else { return Ok(None) };
        // Those behind it come along: an empty cache fills sooner.
        for next in at + 1..leaf.len().min(at + if has_room { READ_AHEAD_ROWS } else { 1 }) {
            let row = leaf.row(next)?;
            self.cache.put(KeyHash::of(storage, row.key), storage, row.key, self.base.epoch, (row.index, row.row));
        }
        let row = leaf.row(at)?;
        self.cache.put(hash, storage, key, self.base.epoch, (row.index, row.row));
        Ok(Some(see(row.index, row.row)))
    }
}
