//! The contract between the transaction layer and the storage engines, the change encoding that travels in the log, an
//! in-memory model, and the conformance suite that every engine passes.
//!
//! Engines see only committed changes, in log order. Reads go through views: a [`RowVersions`] is an immutable set of parts; a
//! reader over it at a log index sees exactly the changes at or below that index.
//!
//! Invariants (see the design's "Snapshots, versions, visibility")
//! 1. `apply` never reads state; an entry carries its full effect. An entry at or below a part's index is skipped for that part.
//! 2. Memtables are sealed only between entries. A sealed memtable is merged only once visible_index has reached its highest
//!    index, and the new `RowVersions` is stored before visible_index moves on; so the base needs no versions.
//! 3. A reader keeps what it saw alive by Arcs; nothing is copied.

pub mod block;
pub mod change;
pub mod condition;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod model;
pub mod parallel;
pub mod point;
pub mod rows;
pub mod run;

pub use change::RowChange;

use bytes::Bytes;
use heddle_types::{LogIndex, Result, StorageId};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// A stored row: its key, the index of the log entry that wrote it, its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Memcomparable key.
    pub key: Bytes,
    /// Log index of the last write (0 for the transaction's own uncommitted writes).
    pub index: LogIndex,
    /// Encoded tuple.
    pub row: Bytes,
}

/// A range of keys within one storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// Lower end.
    pub lower: Bound<Bytes>,
    /// Upper end.
    pub upper: Bound<Bytes>,
}

impl KeyRange {
    /// Everything.
    pub fn all() -> Self {
        Self { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// Can no key lie in it? Ordered maps panic on such ranges, so engines ask first.
    pub fn is_empty(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (Bound::Included(lower) | Bound::Excluded(lower), Bound::Included(upper) | Bound::Excluded(upper)) => {
                lower >= upper
            }
        }
    }

    /// Does `key` lie in it?
    pub fn contains(&self, key: &[u8]) -> bool {
        let (lower, upper) = (self.lower.as_ref().map(|end| &end[..]), self.upper.as_ref().map(|end| &end[..]));
        RangeBounds::<[u8]>::contains(&(lower, upper), key)
    }

    /// Every key that starts with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let upper = heddle_types::key::prefix_end(prefix).map_or(Bound::Unbounded, |end| Bound::Excluded(end.into()));
        Self { lower: Bound::Included(Bytes::copy_from_slice(prefix)), upper }
    }
}

/// What [`RowCursor::visit`] calls for each row: its key, the index of its last write, its encoded tuple.
pub type SeeRow<'a> = dyn FnMut(&[u8], LogIndex, &[u8]) -> Result<()> + 'a;

/// Walks rows in key order.
pub trait RowCursor: Send {
    /// Appends up to `max` rows to `out`; false when nothing is left (rows may have been appended with it).
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool>;

    /// Shows up to `max` rows where they lie; false when nothing is left.
    ///
    /// # Errors
    /// As [`Self::next_batch`], and those of `see`, which ends the visit: where it goes on then is not said.
    fn visit(&mut self, max: usize, see: &mut SeeRow<'_>) -> Result<bool> {
        let mut rows = Vec::new();
        let more = self.next_batch(max, &mut rows)?;
        rows.iter().try_for_each(|row| see(&row.key, row.index, &row.row))?;
        Ok(more)
    }
}

/// Reads rows at one point in time.
pub trait RowReader: Send + Sync {
    /// The row under `key`, if visible here.
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>>;
    /// Rows in `range`, ascending or descending.
    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>>;
    /// About how many rows a storage has, for the planner.
    fn estimate_rows(&self, storage: StorageId) -> u64;
}

/// Reads single rows of one moment, of which nothing is kept.
pub trait RowGlance {
    /// The moment: changes at or below it are seen.
    fn index(&self) -> LogIndex;
    /// Shows the row under `key` to `see`, without a copy where the engine can help it. False: there is none.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    fn look(&self, storage: StorageId, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;
}

/// A reader and its index.
impl RowGlance for (LogIndex, Arc<dyn RowReader>) {
    fn index(&self) -> LogIndex {
        self.0
    }

    fn look(&self, storage: StorageId, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.1.get(storage, key)?;
        found.iter().for_each(|row| see(&row.row));
        Ok(found.is_some())
    }
}

/// An immutable set of parts of a row engine.
pub trait RowVersions: Send + Sync {
    /// A reader that sees changes at or below `index`, which must not be lower than what the base already merged.
    fn reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn RowReader>;
}

/// A row engine. `apply` is called by the apply loop alone, `merge` and `drop_unused` by one maintenance thread alone.
pub trait RowEngine: Send + Sync {
    /// Current parts. Cheap, lock-free.
    fn versions(&self) -> Arc<dyn RowVersions>;
    /// Calls `read` once with a view of now, which ends with the call. `visible` tells visible_index: it is asked when the parts
    /// are at hand, and both are taken again if the parts were replaced meanwhile.
    fn glance(&self, visible: &dyn Fn() -> LogIndex, read: &mut dyn FnMut(&dyn RowGlance)) {
        loop {
            let versions = self.versions();
            let index = visible();
            if std::ptr::addr_eq(Arc::as_ptr(&versions), Arc::as_ptr(&self.versions())) {
                return read(&(index, versions.reader(index)));
            }
        }
    }
    /// Applies one committed entry. `index` grows with every call. An entry at or below [`Self::flushed_index`] is skipped.
    fn apply(&self, index: LogIndex, changes: Vec<RowChange>);
    /// Bytes in memtables that are not merged yet, sealed ones included.
    fn unmerged_bytes(&self) -> usize;
    /// Seals the active memtable (between entries: called by the apply loop) when it is over its size, or when `force` and
    /// an entry came since it was begun (with or without changes). Did it?
    fn seal(&self, force: bool) -> bool;
    /// Merges every sealed memtable whose highest index is at or below `visible` into the base, durably. Returns the flushed index.
    ///
    /// # Errors
    /// None for a full disk: it waits and retries inside. Any other write error ends the process.
    fn merge(&self, visible: LogIndex) -> Result<LogIndex>;
    /// Does a share of the rewriting of the base that may wait (compaction). Is more due? Called by the thread that merges, in between.
    fn compact(&self) -> bool {
        false
    }
    /// Everything at or below survives a restart without the log.
    fn flushed_index(&self) -> LogIndex;
    /// Checks every checksum of the base; the names of what is broken.
    fn verify(&self) -> Result<()>;
}
