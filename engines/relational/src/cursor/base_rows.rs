//! The rows of one storage in the base, shown in redb's own pages.

use crate::base::{BaseView, FENCE_BYTES, Leaves, base_key, storage_end};
use crate::leaf::{Leaf, LeafRow};
use heddle_engines::{KeyRange, SeeRow};
use heddle_types::{LogIndex, Result, StorageId};
use redb::AccessGuard;
use std::ops::{Bound, Range};
use std::sync::Arc;

pub(super) struct BaseRows {
    /// The leaf at hand and which of its rows are still to come. (Declared before the base: the read transaction must outlive it.)
    leaf: Option<(AccessGuard<'static, &'static [u8]>, Range<usize>)>,
    /// None at the end.
    leaves: Option<Leaves>,
    range: KeyRange,
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
            let mut place = Vec::with_capacity(FENCE_BYTES + key.len());
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
        let leaves = base.leaves((lower.as_ref().map(|key| &key[..]), upper.as_ref().map(|key| &key[..])))?;
        Ok(Self { leaf: None, leaves: Some(leaves), range: range.clone(), reverse, dropped, base: Arc::clone(base) })
    }

    /// No rows.
    pub fn nothing(base: &Arc<BaseView>) -> Self {
        let (range, base) = (KeyRange::all(), Arc::clone(base));
        Self { leaf: None, leaves: None, range, reverse: false, dropped: LogIndex(0), base }
    }

    /// The key of the next row.
    pub fn head(&mut self) -> Result<Option<&[u8]>> {
        loop {
            let Some(row) = self.next_row()? else { return Ok(None) };
            if row.index > self.dropped {
                break;
            }
            self.pass();
        }
        Ok(self.next_row()?.map(|row| row.key))
    }

    /// Steps over the next row, which somebody has looked at.
    pub fn pass(&mut self) {
        if let Some((_, rows)) = &mut self.leaf {
            step(rows, self.reverse);
        }
    }

    /// Shows the next row, which somebody has looked at.
    pub fn show(&mut self, see: &mut SeeRow<'_>) -> Result<()> {
        if let Some(LeafRow { key, index, row }) = self.next_row()? {
            see(key, index, row)?;
            self.pass();
        }
        Ok(())
    }

    /// Shows up to `max` rows; false at the end.
    pub fn visit(&mut self, max: usize, see: &mut SeeRow<'_>) -> Result<bool> {
        let mut left = max;
        while left > 0 {
            if !self.has_row()? {
                return Ok(false);
            }
            let Some((leaf, rows)) = &mut self.leaf else { return Ok(false) };
            let leaf = Leaf::open(leaf.value())?;
            while left > 0
                && let Some(at) = step(rows, self.reverse)
            {
                let LeafRow { key, index, row } = leaf.row(at)?;
                if index > self.dropped {
                    see(key, index, row)?;
                    left -= 1;
                }
            }
        }
        Ok(true)
    }

    /// The next row, hidden or not.
    fn next_row(&mut self) -> Result<Option<LeafRow<'_>>> {
        if !self.has_row()? {
            return Ok(None);
        }
        let Some((leaf, rows)) = &self.leaf else { return Ok(None) };
        step(&mut rows.clone(), self.reverse).map(|at| Leaf::open(leaf.value())?.row(at)).transpose()
    }

    /// Makes sure that the leaf at hand has a row to come; false at the end.
    fn has_row(&mut self) -> Result<bool> {
        while self.leaf.as_ref().is_none_or(|(_, rows)| rows.is_empty()) {
            let Some(leaves) = &mut self.leaves else { return Ok(false) };
            let next = if self.reverse { leaves.next_back() } else { leaves.next() };
            let Some(entry) = next else {
                (self.leaf, self.leaves) = (None, None);
                return Ok(false);
            };
            let (_, leaf) = entry.map_err(|e| self.base.failure.explain(&e))?;
            let rows = Leaf::open(leaf.value())?.within(&self.range)?;
            self.leaf = Some((leaf, rows));
        }
        Ok(true)
    }
}

/// Takes the next one of `rows`.
fn step(rows: &mut Range<usize>, reverse: bool) -> Option<usize> {
    if reverse { rows.next_back() } else { rows.next() }
}
