//! What one statement sees: a snapshot of the engines with the transaction's own writes on top.
//!
//! A view of command c sees the writes of commands below c, never those of its own: that is why
//! `INSERT INTO t SELECT … FROM t` ends. Cursors merge the engine's rows with the write set's, both refilled in batches;
//! the write set's lock is held for one refill only.

use crate::TxnManager;
use crate::snapshot::Snapshot;
use crate::write_set::{EVERY_COMMAND, WriteSet};
use bytes::Bytes;
use heddle_catalog::CatalogSnapshot;
use heddle_engines::point::{OwnPoint, PointBatch, PointCursor, PointScan, TIME_KEY_BYTES, split_point_key};
use heddle_engines::{KeyRange, Row, RowCursor, RowReader};
use heddle_types::{LogIndex, Result, StorageId};
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

/// Rows fetched at once from the engine, and keys visited at once in the write set.
const REFILL_ROWS: usize = 256;

/// What one statement sees.
pub struct ReadView {
    sight: Arc<Sight>,
    catalog: Arc<CatalogSnapshot>,
}

/// The part of a view that its cursors share: as long as one lives, the write set keeps the versions it sees.
struct Sight {
    snapshot: Snapshot,
    writes: Arc<RwLock<WriteSet>>,
    command: u32,
    newest: Option<Newest>,
}

/// Reads the newest version of a row whose lock is held ([`crate::in_flight`]).
pub(crate) struct Newest {
    pub manager: Arc<TxnManager>,
    /// The highest index read that may not be visible yet.
    pub depends: Arc<AtomicU64>,
}

impl Newest {
    fn get(&self, snapshot: &Snapshot, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        match self.manager.in_flight.get(storage, key, self.manager.visible()) {
            Some((index, row)) => {
                self.depends.fetch_max(index.0, atomic::Ordering::Relaxed);
                Ok(row.map(|row| Row { key: Bytes::copy_from_slice(key), index, row }))
            }
            // Asked after the look: an image that was gone by then is of a commit that is visible now.
            None if self.manager.visible() == snapshot.index => snapshot.reader.get(storage, key),
            None => self.manager.snapshot().reader.get(storage, key),
        }
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        if self.command != EVERY_COMMAND {
            self.writes.write().close_reader(self.command);
        }
    }
}

impl ReadView {
    /// A view of `command`, whose reader the write set has registered.
    pub(crate) fn new(
        snapshot: Snapshot,
        writes: Arc<RwLock<WriteSet>>,
        command: u32,
        catalog: Arc<CatalogSnapshot>,
    ) -> Self {
        Self { sight: Arc::new(Sight { snapshot, writes, command, newest: None }), catalog }
    }

    /// A view of every write of the transaction over the newest state; its scans see what is visible in `snapshot`.
    pub(crate) fn newest(
        newest: Newest,
        snapshot: Snapshot,
        writes: Arc<RwLock<WriteSet>>,
        catalog: Arc<CatalogSnapshot>,
    ) -> Self {
        Self { sight: Arc::new(Sight { snapshot, writes, command: EVERY_COMMAND, newest: Some(newest) }), catalog }
    }

    /// Its snapshot's index: a row with a higher one changed since.
    pub fn index(&self) -> LogIndex {
        self.sight.snapshot.index
    }

    /// Its catalog (own DDL included).
    pub fn catalog(&self) -> &Arc<CatalogSnapshot> {
        &self.catalog
    }
}

impl ReadView {
    /// Opens a columnar scan of a time-series table. At least one cursor.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    pub fn scan_points(&self, scan: &PointScan) -> Result<Vec<Box<dyn PointCursor>>> {
        self.sight.snapshot.reader.points.scan_points(scan, self.own_points(scan.storage)?)
    }

    /// The newest point of each series that `scan` would give, in series order.
    ///
    /// # Errors
    /// As [`Self::scan_points`].
    pub fn last_points(&self, scan: &PointScan) -> Result<Vec<PointBatch>> {
        self.sight.snapshot.reader.points.last_points(scan, self.own_points(scan.storage)?)
    }

    /// Keys of the series that may have points, ascending: a superset.
    ///
    /// # Errors
    /// As [`Self::scan_points`].
    pub fn series(&self, storage: StorageId) -> Result<Vec<Bytes>> {
        let mut series = self.sight.snapshot.reader.points.series(storage)?;
        let own = self.own_points(storage)?;
        if !own.is_empty() {
            for (key, _) in own {
                series.push(key.slice(..key.len().saturating_sub(TIME_KEY_BYTES)));
            }
            series.sort();
            series.dedup();
        }
        Ok(series)
    }

    /// Times between which all points of a time-series table lie, both included (none do: the first is above the last); None
    /// when that is not known at once.
    ///
    /// # Errors
    /// `XX001` when an own point is malformed.
    pub fn time_range(&self, storage: StorageId) -> Result<Option<(i64, i64)>> {
        let Some((mut first, mut last)) = self.sight.snapshot.reader.points.time_range(storage) else {
            return Ok(None);
        };
        for (key, _) in self.own_points(storage)? {
            let (_, time) = split_point_key(&key)?;
            (first, last) = (first.min(time), last.max(time));
        }
        Ok(Some((first, last)))
    }

    /// Bytes of the files of a time-series table.
    pub fn disk_bytes(&self, storage: StorageId) -> u64 {
        self.sight.snapshot.reader.points.disk_bytes(storage)
    }

    /// The transaction's own points, ascending.
    fn own_points(&self, storage: StorageId) -> Result<Vec<OwnPoint>> {
        let mut own = VecDeque::new();
        let all = (&Bound::Unbounded, &Bound::Unbounded);
        self.sight.writes(storage)?.range(storage, all, false, self.sight.command, usize::MAX, &mut own);
        Ok(own.into())
    }
}

impl Sight {
    /// The write set, fit for reading a storage.
    fn writes(&self, storage: StorageId) -> Result<RwLockReadGuard<'_, WriteSet>> {
        let writes = self.writes.read();
        if !writes.is_folded(storage) {
            return Ok(writes);
        }
        drop(writes);
        let mut writes = self.writes.write();
        writes.unfold(storage)?;
        Ok(RwLockWriteGuard::downgrade(writes))
    }
}

impl RowReader for ReadView {
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        let own = self.sight.writes(storage)?.get(storage, key, self.sight.command);
        match own {
            Some(row) => Ok(row.map(|row| own_row(Bytes::copy_from_slice(key), row))),
            None => match &self.sight.newest {
                Some(newest) => newest.get(&self.sight.snapshot, storage, key),
                None => self.sight.snapshot.reader.get(storage, key),
            },
        }
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        let touched = self.sight.writes(storage)?.touches(storage);
        // An empty range would make the ordered map panic; the engine answers it.
        if !touched || range.is_empty() {
            return self.sight.snapshot.reader.scan(storage, range, reverse);
        }
        let base = self.sight.snapshot.reader.scan(storage, range.clone(), reverse)?;
        let base = BaseSide { cursor: base, rows: VecDeque::new(), done: false, scratch: Vec::new() };
        let own = OwnSide { sight: Arc::clone(&self.sight), storage, range, rows: VecDeque::new(), done: false };
        Ok(Box::new(OverlayCursor { base, own, reverse }))
    }

    /// Without the transaction's own rows.
    fn estimate_rows(&self, storage: StorageId) -> u64 {
        self.sight.snapshot.reader.estimate_rows(storage)
    }
}

/// The transaction's own rows have index 0: they are newer than any snapshot, and nobody else's.
fn own_row(key: Bytes, row: Bytes) -> Row {
    Row { key, index: LogIndex(0), row }
}

struct OverlayCursor {
    base: BaseSide,
    own: OwnSide,
    reverse: bool,
}

impl RowCursor for OverlayCursor {
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let mut room = max;
        while room > 0 {
            self.base.fill()?;
            self.own.fill(self.reverse);
            let order = match (self.base.rows.front(), self.own.rows.front()) {
                (None, None) => return Ok(false),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(base), Some((own, _))) if self.reverse => own.cmp(&base.key),
                (Some(base), Some((own, _))) => base.key.cmp(own),
            };
            if order.is_le() {
                let row = self.base.rows.pop_front().expect("it has a front");
                if order.is_lt() {
                    out.push(row);
                    room -= 1;
                    continue;
                }
            }
            if let (key, Some(row)) = self.own.rows.pop_front().expect("it has a front") {
                out.push(own_row(key, row));
                room -= 1;
            }
        }
        Ok(true)
    }
}

/// The engine's rows.
struct BaseSide {
    cursor: Box<dyn RowCursor>,
    rows: VecDeque<Row>,
    scratch: Vec<Row>,
    done: bool,
}

impl BaseSide {
    fn fill(&mut self) -> Result<()> {
        while self.rows.is_empty() && !self.done {
            self.done = !self.cursor.next_batch(REFILL_ROWS, &mut self.scratch)?;
            self.rows.extend(self.scratch.drain(..));
        }
        Ok(())
    }
}

/// The write set's rows; `range` is what is still to be visited.
struct OwnSide {
    sight: Arc<Sight>,
    storage: StorageId,
    range: KeyRange,
    rows: VecDeque<(Bytes, Option<Bytes>)>,
    done: bool,
}

impl OwnSide {
    fn fill(&mut self, reverse: bool) {
        while self.rows.is_empty() && !self.done {
            let bounds = (&self.range.lower, &self.range.upper);
            let writes = self.sight.writes.read();
            let last = writes.range(self.storage, bounds, reverse, self.sight.command, REFILL_ROWS, &mut self.rows);
            match last {
                Some(key) if reverse => self.range.upper = Bound::Excluded(key),
                Some(key) => self.range.lower = Bound::Excluded(key),
                None => self.done = true,
            }
            // The last key visited may have been the end of the range.
            self.done |= self.range.is_empty();
        }
    }
}
