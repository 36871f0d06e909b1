//! What readers see: the parts of the engine at one moment, and point reads over them.
//!
//! [`Versions`] is replaced by seal and merge, never by a commit. Whoever drops the last handle of one pays nothing: the
//! parts go to the reaper thread, because freeing a memtable walks all of it and ending a redb read transaction takes a lock.

use crate::backend::damaged;
use crate::base::{BaseView, base_key, row_index};
use crate::cache::{Cached, RowCache};
use crate::cursor::Cursor;
use crate::filter::KeyHash;
use crate::memtable::{Memtable, VersionKey};
use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowCursor, RowReader, RowVersions};
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
        let parts = self.versions.parts();
        let dropped = parts.dropped_at(storage, self.index);
        let hash = KeyHash::of(storage, key);
        let at = VersionKey::newest(storage, Bytes::copy_from_slice(key), self.index);
        for table in parts.memtables() {
            if let Some((index, row)) = table.newest(hash, &at) {
                let row = row.filter(|_| index > dropped);
                return Ok(row.map(|row| Row { key: at.key, index, row }));
            }
        }
        let found = parts.base_row(hash, &at)?.filter(|(index, _)| *index > dropped);
        Ok(found.map(|(index, row)| Row { key: at.key, index, row }))
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

impl Parts {
    /// The row in the base.
    fn base_row(&self, hash: KeyHash, at: &VersionKey) -> Result<Option<(LogIndex, Bytes)>> {
        let has_room = match self.cache.get(hash, at.storage, &at.key, self.base.epoch) {
            Cached::Row(index, row) => return Ok(Some((index, row))),
            Cached::Miss { has_room } => has_room,
        };
        let mut place = Vec::with_capacity(8 + at.key.len());
        base_key(&mut place, at.storage, &at.key);
        if has_room {
            return self.read_ahead(&place);
        }
        let explain = |e| self.base.failure.explain(&e);
        let Some(value) = self.base.rows.get(&place[..]).map_err(explain)? else { return Ok(None) };
        let (index, row) = split_value(value.value())?;
        self.cache.put(hash, at.storage, &at.key, self.base.epoch, (index, row));
        Ok(Some((index, Bytes::copy_from_slice(row))))
    }

    /// The row at `place`. It and those behind it enter the cache: they are on the same page, and an empty cache fills sooner.
    fn read_ahead(&self, place: &[u8]) -> Result<Option<(LogIndex, Bytes)>> {
        let explain = |e| self.base.failure.explain(&e);
        let mut found = None;
        for (n, entry) in self.base.rows.range::<&[u8]>(place..).map_err(explain)?.take(READ_AHEAD_ROWS).enumerate() {
            let (key, value) = entry.map_err(explain)?;
            if n == 0 && key.value() != place {
                break;
            }
            let (index, row) = split_value(value.value())?;
            if n == 0 {
                found = Some((index, Bytes::copy_from_slice(row)));
            }
            let Some((storage, key)) = key.value().split_first_chunk() else { break };
            let storage = StorageId(u64::from_be_bytes(*storage));
            self.cache.put(KeyHash::of(storage, key), storage, key, self.base.epoch, (index, row));
        }
        Ok(found)
    }
}

/// Log index and row.
fn split_value(value: &[u8]) -> Result<(LogIndex, &[u8])> {
    let index = row_index(value).ok_or_else(|| damaged("a row of the relational base has no log index"))?;
    Ok((index, &value[8..]))
}
