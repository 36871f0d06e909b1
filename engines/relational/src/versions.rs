//! What readers see: the parts of the engine at one moment, and point reads over them.
//!
//! [`Versions`] is replaced by seal and merge, never by a commit. Whoever drops the last handle of one pays nothing: the
//! parts go to the reaper thread, because freeing a memtable walks all of it and ending a redb read transaction takes a lock.

use crate::backend::damaged;
use crate::base::{BaseView, base_key, row_index};
use crate::cursor::Cursor;
use crate::memtable::{Memtable, VersionKey};
use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowCursor, RowReader, RowVersions};
use heddle_types::{LogIndex, Result, StorageId};
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// The parts, newest first.
#[derive(Clone)]
pub struct Parts {
    /// Takes inserts.
    pub active: Arc<Memtable>,
    /// Newest first.
    pub sealed: Vec<Arc<Memtable>>,
    /// Everything older.
    pub base: Arc<BaseView>,
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
        let at = VersionKey::newest(storage, Bytes::copy_from_slice(key), self.index);
        for table in parts.memtables() {
            if let Some((index, row)) = table.newest(&at) {
                let row = row.filter(|_| index > dropped);
                return Ok(row.map(|row| Row { key: at.key, index, row }));
            }
        }
        let row = base_row(&parts.base, &at)?;
        Ok(row.filter(|row| row.index > dropped))
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        Ok(Box::new(Cursor::open(Arc::clone(&self.versions), self.index, storage, range, reverse)?))
    }
}

fn base_row(base: &BaseView, at: &VersionKey) -> Result<Option<Row>> {
    let mut place = Vec::with_capacity(8 + at.key.len());
    base_key(&mut place, at.storage, &at.key);
    let Some(value) = base.rows.get(&place[..]).map_err(|e| base.failure.explain(&e))? else { return Ok(None) };
    let value = value.value();
    let index = row_index(value).ok_or_else(|| damaged("a row of the relational base has no log index"))?;
    Ok(Some(Row { key: at.key.clone(), index, row: Bytes::copy_from_slice(&value[8..]) }))
}
