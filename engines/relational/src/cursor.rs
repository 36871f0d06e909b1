//! Scans: a merge of the memtables' versions and the base's rows, in key order, either way.
//!
//! A memtable is read in chunks (seek, walk, remember where), because a walk that borrows the skiplist cannot be kept. Base
//! rows are shown in redb's pages; what is kept of them is copied into chunks. The newest version of a key decides; of two with
//! one index the skip list's, which comes before its memtable's runs.

mod base_rows;
mod run_rows;

use crate::memtable::{Memtable, VersionKey};
use crate::versions::Versions;
use base_rows::BaseRows;
use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowCursor, SeeRow};
use heddle_types::{LogIndex, Result, StorageId};
use run_rows::RunRows;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

/// Rows read ahead from a part.
const CHUNK_ROWS: usize = 256;
/// Bytes of rows that share a buffer; a kept row keeps its buffer.
const CHUNK_BYTES: usize = 64 << 10;
/// Versions of one row walked over before it is quicker to seek.
const WALK_MAX: usize = 16;

/// Walks the rows of one storage that one reader sees.
pub struct Cursor {
    // Declared first, dropped first: the read transaction must outlive its range, and ends on the reaper.
    base: BaseRows,
    /// Newest first; exhausted ones are gone.
    tables: Vec<Part>,
    reverse: bool,
    _versions: Arc<Versions>,
}

impl Cursor {
    /// A cursor over `range` of `storage` as of `index`.
    pub fn open(
        versions: Arc<Versions>,
        index: LogIndex,
        storage: StorageId,
        range: KeyRange,
        reverse: bool,
    ) -> Result<Self> {
        let parts = versions.parts();
        let dropped = parts.dropped_at(storage, index);
        if range.is_empty() {
            let base = BaseRows::nothing(&parts.base);
            return Ok(Self { base, tables: Vec::new(), reverse, _versions: versions });
        }
        let base = BaseRows::open(&parts.base, storage, &range, reverse, dropped)?;
        let mut tables = Vec::new();
        for table in parts.memtables() {
            if !table.rows().is_empty() {
                tables.push(Part::List(TableRows::open(table, index, storage, &range, reverse, dropped)));
            }
            let runs = table.runs();
            for run in runs.iter().filter_map(|runs| runs.get(&storage)).flat_map(|runs| runs.iter()) {
                tables.push(Part::Run(RunRows::open(run, index, &range, reverse, dropped)));
            }
        }
        Ok(Self { base, tables, reverse, _versions: versions })
    }

    /// Takes the first row of the memtables: the newest of those with the first key.
    fn pop_tables(&mut self, first: &Bytes) -> Option<TableRow> {
        let mut newest: Option<TableRow> = None;
        for table in &mut self.tables {
            if let Some(row) = table.ahead().pop_front_if(|row| row.key == *first)
                && newest.as_ref().is_none_or(|newest| newest.index < row.index)
            {
                newest = Some(row);
            }
        }
        newest
    }

    fn first_in_tables(&mut self) -> Option<Bytes> {
        let heads = self.tables.iter_mut().filter_map(|table| table.ahead().front()).map(|row| &row.key);
        heads.reduce(|a, b| if precedes(self.reverse, b, a) { b } else { a }).cloned()
    }
}

impl RowCursor for Cursor {
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let mut chunk = Chunk::new(max);
        let more = self.visit(max, &mut |key, index, row| {
            chunk.push(key, index, row, out);
            Ok(())
        })?;
        chunk.finish(out);
        Ok(more)
    }

    fn visit(&mut self, max: usize, see: &mut SeeRow<'_>) -> Result<bool> {
        let mut left = max;
        while left > 0 {
            self.tables.retain_mut(Part::fill);
            let Some(first) = self.first_in_tables() else {
                return self.base.visit(left, see);
            };
            let reverse = self.reverse;
            while left > 0 && self.base.head()?.is_some_and(|key| precedes(reverse, key, &first)) {
                self.base.show(see)?;
                left -= 1;
            }
            if left == 0 {
                break;
            }
            if self.base.head()?.is_some_and(|key| key == &first[..]) {
                self.base.pass();
            }
            if let Some(TableRow { key, index, row: Some(row) }) = self.pop_tables(&first) {
                see(&key, index, &row)?;
                left -= 1;
            }
        }
        Ok(true)
    }
}

/// Rows in one buffer, so that a row costs no allocation.
struct Chunk {
    bytes: Vec<u8>,
    /// Where keys and rows end.
    marks: Vec<(LogIndex, usize, usize)>,
}

impl Chunk {
    fn new(rows: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(CHUNK_BYTES.min(rows.saturating_mul(128))),
            marks: Vec::with_capacity(rows.min(1024)),
        }
    }

    fn push(&mut self, key: &[u8], index: LogIndex, row: &[u8], out: &mut Vec<Row>) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(row);
        self.marks.push((index, key_end, self.bytes.len()));
        if self.bytes.len() >= CHUNK_BYTES {
            self.finish(out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Row>) {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let mut start = 0;
        out.extend(self.marks.drain(..).map(|(index, key_end, end)| {
            let row = Row { key: bytes.slice(start..key_end), index, row: bytes.slice(key_end..end) };
            start = end;
            row
        }));
    }
}

/// Does `a` come before `b` in this direction?
fn precedes(reverse: bool, a: &[u8], b: &[u8]) -> bool {
    if reverse { a > b } else { a < b }
}

/// The newest visible version of a row in one memtable; a tombstone has no row.
struct TableRow {
    key: Bytes,
    index: LogIndex,
    row: Option<Bytes>,
}

/// A part of a memtable that is walked.
enum Part {
    List(TableRows),
    Run(RunRows),
}

impl Part {
    /// Reads ahead when nothing is; false at the end.
    fn fill(&mut self) -> bool {
        match self {
            Self::List(rows) => rows.fill(),
            Self::Run(rows) => rows.fill(),
        }
    }

    fn ahead(&mut self) -> &mut VecDeque<TableRow> {
        match self {
            Self::List(rows) => &mut rows.ahead,
            Self::Run(rows) => &mut rows.ahead,
        }
    }
}

struct TableRows {
    table: Arc<Memtable>,
    storage: StorageId,
    index: LogIndex,
    dropped: LogIndex,
    reverse: bool,
    /// What is not read yet; `None` at the end.
    left: Option<(Bound<VersionKey>, Bound<VersionKey>)>,
    ahead: VecDeque<TableRow>,
}

impl TableRows {
    fn open(
        table: &Arc<Memtable>,
        index: LogIndex,
        storage: StorageId,
        range: &KeyRange,
        reverse: bool,
        dropped: LogIndex,
    ) -> Self {
        let lower = match &range.lower {
            Bound::Included(key) => Bound::Included(VersionKey::before(storage, key.clone())),
            Bound::Excluded(key) => Bound::Excluded(VersionKey::after(storage, key.clone())),
            Bound::Unbounded => Bound::Included(VersionKey::before(storage, Bytes::new())),
        };
        let upper = match &range.upper {
            Bound::Included(key) => Bound::Included(VersionKey::after(storage, key.clone())),
            Bound::Excluded(key) => Bound::Excluded(VersionKey::before(storage, key.clone())),
            Bound::Unbounded => match storage.0.checked_add(1) {
                Some(next) => Bound::Excluded(VersionKey::before(StorageId(next), Bytes::new())),
                None => Bound::Unbounded,
            },
        };
        let (table, left) = (Arc::clone(table), Some((lower, upper)));
        Self { table, storage, index, dropped, reverse, left, ahead: VecDeque::new() }
    }

    /// Reads ahead when nothing is; false at the end.
    fn fill(&mut self) -> bool {
        while self.ahead.is_empty() {
            let Some(range) = self.left.take() else { return false };
            self.left = if self.reverse { self.fill_backward(range) } else { self.fill_forward(range) };
        }
        true
    }

    fn push(&mut self, key: Bytes, index: LogIndex, row: Option<Bytes>) {
        // Nothing older than a hidden version can be visible, so it need not hide anything either.
        if index > self.dropped {
            self.ahead.push_back(TableRow { key, index, row });
        }
    }

    /// Versions of a row come newest first: the first one that is visible is it.
    fn fill_forward(
        &mut self,
        range: (Bound<VersionKey>, Bound<VersionKey>),
    ) -> Option<(Bound<VersionKey>, Bound<VersionKey>)> {
        let table = Arc::clone(&self.table);
        let upper = range.1.clone();
        let mut done: Option<Bytes> = None;
        let mut walked = 0;
        for entry in table.rows().range(range) {
            let at = entry.key();
            let is_done = done.as_ref() == Some(&at.key);
            if is_done || at.index.0 > self.index {
                walked += 1;
                if walked <= WALK_MAX {
                    continue;
                }
                let lower = if is_done {
                    Bound::Excluded(VersionKey::after(self.storage, at.key.clone()))
                } else {
                    Bound::Included(VersionKey::newest(self.storage, at.key.clone(), self.index))
                };
                return Some((lower, upper));
            }
            walked = 0;
            done = Some(at.key.clone());
            self.push(at.key.clone(), at.index.0, entry.value().clone());
            if self.ahead.len() >= CHUNK_ROWS {
                return Some((Bound::Excluded(VersionKey::after(self.storage, at.key.clone())), upper));
            }
        }
        None
    }

    /// Versions of a row come oldest first: the last one that is visible is it.
    fn fill_backward(
        &mut self,
        range: (Bound<VersionKey>, Bound<VersionKey>),
    ) -> Option<(Bound<VersionKey>, Bound<VersionKey>)> {
        let table = Arc::clone(&self.table);
        let lower = range.0.clone();
        let mut candidate: Option<TableRow> = None;
        let mut current: Option<Bytes> = None;
        let mut walked = 0;
        for entry in table.rows().range(range).rev() {
            let at = entry.key();
            if current.as_ref() != Some(&at.key) {
                if let Some(TableRow { key, index, row }) = candidate.take() {
                    self.push(key, index, row);
                }
                if self.ahead.len() >= CHUNK_ROWS {
                    // Every version of `at.key` is still to come.
                    return Some((lower, Bound::Included(VersionKey::after(self.storage, at.key.clone()))));
                }
                current = Some(at.key.clone());
                walked = 0;
            }
            walked += 1;
            if walked > WALK_MAX {
                let sought = VersionKey::newest(self.storage, at.key.clone(), self.index);
                if let Some((index, row)) = table.newest(&sought) {
                    self.push(sought.key.clone(), index, row);
                }
                return Some((lower, Bound::Excluded(VersionKey::before(self.storage, sought.key))));
            }
            if at.index.0 <= self.index {
                candidate = Some(TableRow { key: at.key.clone(), index: at.index.0, row: entry.value().clone() });
            }
        }
        if let Some(TableRow { key, index, row }) = candidate {
            self.push(key, index, row);
        }
        None
    }
}
