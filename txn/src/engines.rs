//! The engines as one: a change goes to the engine its storage belongs to, a reader asks the right one.
//!
//! Both are told of every entry, with or without changes for them, so that both know how far the log has been applied.
//! Each is sealed and merged on its own; what the log may let go of is what both have.

use heddle_engines::point::{PointEngine, PointReader, PointVersions};
use heddle_engines::{KeyRange, Row, RowChange, RowCursor, RowEngine, RowReader, RowVersions};
use heddle_types::{LogIndex, Result, StorageId};
use std::sync::Arc;

/// The relational and the time-series engine.
pub(crate) struct Engines {
    pub rows: Arc<dyn RowEngine>,
    pub points: Arc<dyn PointEngine>,
}

/// The parts of both at one moment.
pub(crate) struct Versions {
    rows: Arc<dyn RowVersions>,
    points: Arc<dyn PointVersions>,
}

/// Reads both at one index.
#[derive(Clone)]
pub(crate) struct Reader {
    rows: Arc<dyn RowReader>,
    pub points: Arc<dyn PointReader>,
}

impl Engines {
    pub fn versions(&self) -> Versions {
        Versions { rows: self.rows.versions(), points: self.points.point_versions() }
    }

    pub fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        let (points, rows): (Vec<_>, Vec<_>) = match changes.iter().any(|c| c.storage().is_series()) {
            true => changes.into_iter().partition(|c| c.storage().is_series()),
            false => (Vec::new(), changes),
        };
        self.rows.apply(index, rows);
        self.points.apply(index, points);
    }

    /// Everything at or below is in the bases of both.
    pub fn flushed_index(&self) -> LogIndex {
        self.rows.flushed_index().min(self.points.flushed_index())
    }

    /// The newest entry that a base has.
    pub fn newest_flushed_index(&self) -> LogIndex {
        self.rows.flushed_index().max(self.points.flushed_index())
    }

    pub fn unmerged_bytes(&self) -> usize {
        self.rows.unmerged_bytes() + self.points.unmerged_bytes()
    }

    /// Seals what is full, and beside it a row memtable without rows: that costs nothing, and lets the log go. (Empty points
    /// need no seal for that.)
    pub fn seal(&self, force: bool) {
        let sealed = self.rows.seal(force);
        if self.points.seal(force) && !sealed && self.rows.unmerged_bytes() == 0 {
            self.rows.seal(true);
        }
    }

    /// Merges and flushes what is sealed and visible.
    pub fn merge(&self, visible: LogIndex) -> Result<LogIndex> {
        let rows = self.rows.merge(visible)?;
        Ok(rows.min(self.points.merge(visible)?))
    }

    /// Does a share of the rewriting that may wait; is there more?
    pub fn compact(&self) -> bool {
        let rows = self.rows.compact();
        self.points.compact() || rows
    }

    pub fn verify(&self) -> Result<()> {
        self.rows.verify()?;
        self.points.verify()
    }
}

impl Versions {
    /// Are they the same parts, not only equal ones?
    pub fn same(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.rows), Arc::as_ptr(&other.rows))
            && std::ptr::addr_eq(Arc::as_ptr(&self.points), Arc::as_ptr(&other.points))
    }

    pub fn reader(self, index: LogIndex) -> Reader {
        Reader { rows: self.rows.reader(index), points: self.points.point_reader(index) }
    }

    /// Recognises these parts later without keeping them.
    pub fn mark(&self) -> Mark {
        Mark(Arc::downgrade(&self.rows), Arc::downgrade(&self.points))
    }
}

/// See [`Versions::mark`]. Weak, so that the address is not given to others.
pub(crate) struct Mark(std::sync::Weak<dyn RowVersions>, std::sync::Weak<dyn PointVersions>);

impl Mark {
    pub fn is(&self, now: &Versions) -> bool {
        std::ptr::addr_eq(self.0.as_ptr(), Arc::as_ptr(&now.rows))
            && std::ptr::addr_eq(self.1.as_ptr(), Arc::as_ptr(&now.points))
    }
}

impl RowReader for Reader {
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        match storage.is_series() {
            true => self.points.get(storage, key),
            false => self.rows.get(storage, key),
        }
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        match storage.is_series() {
            true => self.points.scan(storage, range, reverse),
            false => self.rows.scan(storage, range, reverse),
        }
    }

    fn estimate_rows(&self, storage: StorageId) -> u64 {
        match storage.is_series() {
            true => self.points.estimate_rows(storage),
            false => self.rows.estimate_rows(storage),
        }
    }
}
