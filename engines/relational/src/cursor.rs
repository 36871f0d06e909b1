//! Scans: a merge of the memtables' versions and the base's rows, in key order, either way.
//!
//! A memtable is read in chunks (seek, walk, remember where), because a walk that borrows the skiplist cannot be kept. Base
//! rows of one chunk share one buffer, so that a row costs no allocation. The newest version of a key decides; of two with one
//! index the skip list's, which comes before its memtable's runs.

mod run_rows;

use crate::backend::damaged;
use crate::base::{BaseView, base_key, row_index, storage_end};
use crate::memtable::{Memtable, VersionKey};
use crate::versions::Versions;
use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowCursor};
use heddle_types::{LogIndex, Result, StorageId};
use redb::Range;
use run_rows::RunRows;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

/// Rows read ahead from a part.
const CHUNK_ROWS: usize = 256;
/// Bytes of base rows that share a buffer; a kept row keeps its buffer.
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
            let base =
                BaseRows { range: None, ahead: VecDeque::new(), reverse, dropped, base: Arc::clone(&parts.base) };
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
        let (goal, reverse) = (out.len() + max, self.reverse);
        while out.len() < goal {
            self.tables.retain_mut(Part::fill);
            let Some(first) = self.first_in_tables() else {
                return self.base.append(goal - out.len(), out);
            };
            let mut replaced = false;
            while out.len() < goal {
                let Some(row) = self.base.peek()? else { break };
                replaced = row.key == first;
                if replaced || precedes(reverse, &first, &row.key) {
                    break;
                }
                out.extend(self.base.ahead.pop_front());
            }
            if out.len() == goal {
                break;
            }
            if replaced {
                self.base.ahead.pop_front();
            }
            if let Some(TableRow { key, index, row: Some(row) }) = self.pop_tables(&first) {
                out.push(Row { key, index, row });
            }
        }
        Ok(true)
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

struct BaseRows {
    /// None at the end.
    range: Option<Range<'static, &'static [u8], &'static [u8]>>,
    ahead: VecDeque<Row>,
    reverse: bool,
    dropped: LogIndex,
    base: Arc<BaseView>,
}

impl BaseRows {
    fn open(
        base: &Arc<BaseView>,
        storage: StorageId,
        range: &KeyRange,
        reverse: bool,
        dropped: LogIndex,
    ) -> Result<Self> {
        let place = |key: &[u8]| {
            let mut place = Vec::with_capacity(8 + key.len());
            base_key(&mut place, storage, key);
            place
        };
        let lower = match &range.lower {
            Bound::Unbounded => Bound::Included(place(b"")),
            bound => bound.as_ref().map(|key| place(key)),
        };
        let upper = match &range.upper {
            Bound::Unbounded => storage_end(storage).map_or(Bound::Unbounded, Bound::Excluded),
            bound => bound.as_ref().map(|key| place(key)),
        };
        let bounds = (lower.as_ref().map(|key| &key[..]), upper.as_ref().map(|key| &key[..]));
        let range = base.rows.range::<&[u8]>(bounds).map_err(|e| base.failure.explain(&e))?;
        Ok(Self { range: Some(range), ahead: VecDeque::new(), reverse, dropped, base: Arc::clone(base) })
    }

    fn peek(&mut self) -> Result<Option<&Row>> {
        if self.ahead.is_empty() && self.range.is_some() {
            let mut rows = Vec::with_capacity(CHUNK_ROWS);
            while rows.is_empty() && self.range.is_some() {
                self.read(CHUNK_ROWS, &mut rows)?;
            }
            self.ahead = rows.into();
        }
        Ok(self.ahead.front())
    }

    /// Appends up to `max` rows; false at the end.
    fn append(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let goal = out.len() + max;
        let here = max.min(self.ahead.len());
        out.extend(self.ahead.drain(..here));
        while out.len() < goal && self.range.is_some() {
            self.read(goal - out.len(), out)?;
        }
        Ok(self.range.is_some() || !self.ahead.is_empty())
    }

    /// Appends a chunk of at most `max` rows that share one buffer.
    fn read(&mut self, max: usize, out: &mut Vec<Row>) -> Result<()> {
        let Some(range) = &mut self.range else { return Ok(()) };
        let mut bytes = Vec::with_capacity(CHUNK_BYTES.min(max.saturating_mul(128)));
        let mut marks: Vec<(LogIndex, usize, usize)> = Vec::with_capacity(max.min(1024));
        let mut ended = false;
        while marks.len() < max && bytes.len() < CHUNK_BYTES {
            let next = if self.reverse { range.next_back() } else { range.next() };
            let Some(entry) = next else {
                ended = true;
                break;
            };
            let (key, value) = entry.map_err(|e| self.base.failure.explain(&e))?;
            let (key, value) = (key.value(), value.value());
            let index = row_index(value).ok_or_else(|| damaged("a row of the relational base has no log index"))?;
            if index <= self.dropped {
                continue;
            }
            bytes.extend_from_slice(&key[8..]);
            let key_end = bytes.len();
            bytes.extend_from_slice(&value[8..]);
            marks.push((index, key_end, bytes.len()));
        }
        if ended {
            self.range = None;
        }
        let bytes = Bytes::from(bytes);
        let mut start = 0;
        out.extend(marks.into_iter().map(|(index, key_end, end)| {
            let row = Row { key: bytes.slice(start..key_end), index, row: bytes.slice(key_end..end) };
            start = end;
            row
        }));
        Ok(())
    }
}
