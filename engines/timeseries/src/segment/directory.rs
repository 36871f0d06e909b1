//! Where the pages of a segment lie in its data file: groups of rows, in each the columns, in each the head and the pages.
//!
//! A group is encoded as a whole; the pages of all its columns hold the same rows. Lengths are kept, places follow.

use super::SegmentMeta;
use super::columns::{GROUP_ROWS, PAGE_ROWS};
use super::data_file::HEADER_BYTES;
use super::error::Malformed;
use super::varint::{Input, put};
use std::ops::Range;

/// All groups, in row order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its rows.
    pub rows: Range<u64>,
    /// Time, then the fields.
    pub columns: Vec<Column>,
}

/// Where a column of a group lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    start: u64,
    /// Bytes from `start` to the end of the head, and of each page.
    ends: Vec<u32>,
}

impl Group {
    /// How many pages each column has.
    pub fn pages(&self) -> usize {
        (self.rows.end - self.rows.start).div_ceil(PAGE_ROWS as u64) as usize
    }

    /// Rows of page `n`.
    pub fn page_rows(&self, n: usize) -> Range<u64> {
        let start = self.rows.start + (n * PAGE_ROWS) as u64;
        start..self.rows.end.min(start + PAGE_ROWS as u64)
    }

    /// The page that holds `row`.
    pub fn page_of(&self, row: u64) -> usize {
        (row - self.rows.start) as usize / PAGE_ROWS
    }
}

impl Column {
    /// Where the head lies.
    pub fn head(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.ends[0])
    }

    /// Where these pages lie.
    pub fn pages(&self, pages: Range<usize>) -> Range<u64> {
        self.start + u64::from(self.ends[pages.start])..self.start + u64::from(self.ends[pages.end])
    }
}

impl Directory {
    /// The groups.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Place of the group that holds `row`, which some group does.
    pub fn group_of(&self, row: u64) -> usize {
        self.groups.partition_point(|group| group.rows.end <= row)
    }

    /// Where the data file ends so far.
    pub fn end(&self) -> u64 {
        let last = self.groups.last().and_then(|group| group.columns.last());
        last.map_or(HEADER_BYTES, |column| column.pages(0..column.ends.len() - 1).end)
    }

    /// Adds a group of `rows` rows; of each column the lengths of head and pages.
    pub fn push(&mut self, rows: u64, columns: &[Vec<u32>]) -> Result<(), Malformed> {
        let mut start = self.end();
        let first = self.groups.last().map_or(0, |group| group.rows.end);
        let end = first.checked_add(rows).ok_or_else(|| Malformed::new("it has too many rows"))?;
        let mut group = Group { rows: first..end, columns: Vec::with_capacity(columns.len()) };
        for lengths in columns {
            let mut end = 0u32;
            let mut add = |length: &u32| {
                end = end.checked_add(*length)?;
                Some(end)
            };
            let ends: Option<Vec<u32>> = lengths.iter().map(&mut add).collect();
            let ends = ends.ok_or_else(|| Malformed::new("a column is too long"))?;
            group.columns.push(Column { start, ends });
            start = start.checked_add(end.into()).ok_or_else(|| Malformed::new("the data file is too long"))?;
        }
        self.groups.push(group);
        Ok(())
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put(out, self.groups.len() as u128);
        for group in &self.groups {
            put(out, (group.rows.end - group.rows.start).into());
            for column in &group.columns {
                let mut before = 0;
                for end in &column.ends {
                    put(out, (end - before).into());
                    before = *end;
                }
            }
        }
    }

    /// Reads that of `meta`'s segment.
    pub fn decode(input: &mut Input<'_>, meta: &SegmentMeta) -> Result<Self, Malformed> {
        let cut = || Malformed::new("its directory is cut short");
        let mut this = Self::default();
        for _ in 0..input.count().ok_or_else(cut)? {
            let rows = input.u64().filter(|rows| (1..=GROUP_ROWS as u64).contains(rows)).ok_or_else(cut)?;
            let lengths = 1 + rows.div_ceil(PAGE_ROWS as u64);
            let mut columns = Vec::new();
            for _ in 0..=meta.fields {
                let take = |_| input.u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(cut);
                columns.push((0..lengths).map(take).collect::<Result<_, _>>()?);
            }
            this.push(rows, &columns)?;
        }
        let rows = this.groups.last().map_or(0, |group| group.rows.end);
        if rows != meta.rows || this.end() != meta.file_bytes {
            return Err(Malformed::new("its directory is not that of its data file"));
        }
        Ok(this)
    }
}
