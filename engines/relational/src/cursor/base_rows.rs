//! The rows of one storage in the base, shown in redb's own pages.

use crate::backend::damaged;
use crate::base::{BaseView, base_key, row_index, storage_end};
use heddle_engines::{KeyRange, SeeRow};
use heddle_types::{Error, LogIndex, Result, StorageId};
use redb::{AccessGuard, Range};
use std::ops::Bound;
use std::sync::Arc;

/// Bytes of the storage before a key, and of the log index before a row.
const PREFIX_BYTES: usize = 8;

type Guard = AccessGuard<'static, &'static [u8]>;

pub(super) struct BaseRows {
    /// The next row, once somebody has looked at it. (Declared before the base: the read transaction must outlive it.)
    head: Option<(Guard, Guard, LogIndex)>,
    /// None at the end.
    range: Option<Range<'static, &'static [u8], &'static [u8]>>,
    reverse: bool,
    dropped: LogIndex,
    base: Arc<BaseView>,
}

impl BaseRows {
    pub fn open(
        base: &Arc<BaseView>,
        storage: StorageId,
        range: &KeyRange,
        reverse: bool,
        dropped: LogIndex,
    ) -> Result<Self> {
        let place = |key: &[u8]| {
            let mut place = Vec::with_capacity(PREFIX_BYTES + key.len());
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
        Ok(Self { head: None, range: Some(range), reverse, dropped, base: Arc::clone(base) })
    }

    /// No rows.
    pub fn nothing(base: &Arc<BaseView>) -> Self {
        Self { head: None, range: None, reverse: false, dropped: LogIndex(0), base: Arc::clone(base) }
    }

    /// The key of the next row.
    pub fn head(&mut self) -> Result<Option<&[u8]>> {
        if self.head.is_none() {
            self.head = self.next()?;
        }
        Ok(self.head.as_ref().map(|(key, ..)| &key.value()[PREFIX_BYTES..]))
    }

    /// Steps over the next row.
    pub fn pass(&mut self) {
        self.head = None;
    }

    /// Shows the next row, which somebody has looked at.
    pub fn show(&mut self, see: &mut SeeRow<'_>) -> Result<()> {
        match self.head.take() {
            Some((key, row, index)) => see(&key.value()[PREFIX_BYTES..], index, &row.value()[PREFIX_BYTES..]),
            None => Ok(()),
        }
    }

    /// Shows up to `max` rows; false at the end.
    pub fn visit(&mut self, max: usize, see: &mut SeeRow<'_>) -> Result<bool> {
        let mut left = max;
        if self.head.is_some() && left > 0 {
            self.show(see)?;
            left -= 1;
        }
        let Some(range) = &mut self.range else { return Ok(false) };
        // The loop of every scan: nothing is moved that need not be.
        while left > 0 {
            let next = if self.reverse { range.next_back() } else { range.next() };
            let Some(entry) = next else {
                self.range = None;
                return Ok(false);
            };
            let (key, row) = entry.map_err(|e| self.base.failure.explain(&e))?;
            let row = row.value();
            let index = row_index(row).ok_or_else(without_index)?;
            if index > self.dropped {
                see(&key.value()[PREFIX_BYTES..], index, &row[PREFIX_BYTES..])?;
                left -= 1;
            }
        }
        Ok(true)
    }

    fn next(&mut self) -> Result<Option<(Guard, Guard, LogIndex)>> {
        let Some(range) = &mut self.range else { return Ok(None) };
        loop {
            let next = if self.reverse { range.next_back() } else { range.next() };
            let Some(entry) = next else { break };
            let (key, row) = entry.map_err(|e| self.base.failure.explain(&e))?;
            let index = row_index(row.value()).ok_or_else(without_index)?;
            if index > self.dropped {
                return Ok(Some((key, row, index)));
            }
        }
        self.range = None;
        Ok(None)
    }
}

fn without_index() -> Error {
    damaged("a row of the relational base has no log index")
}
