//! Blocks: runs of rows of one series, the unit of statistics. They end where hours and days of UTC end, so that buckets of
//! regular points are whole blocks.

use super::error::Malformed;
use super::packed_columns::{put_columns, take_columns};
use super::varint::Input;
use std::ops::Range;

/// A block ends when it has so many rows,
pub const ROWS_MAX: u64 = 1024;
/// or where an hour ends if it has so many,
const HOUR_ROWS_MIN: u64 = 256;
/// or where a day ends if it has so many.
const DAY_ROWS_MIN: u64 = 64;
/// Blocks of fewer rows have no statistics: their rows are read as quickly.
pub const COUNTED_ROWS_MIN: u64 = 64;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// Does a block of `rows` rows whose last one is at `last_us` end before a row at `next_us`?
pub fn ends(rows: u64, last_us: i64, next_us: i64) -> bool {
    let crosses = |step: i64| last_us.div_euclid(step) != next_us.div_euclid(step);
    rows >= ROWS_MAX || (rows >= HOUR_ROWS_MIN && crosses(HOUR_US)) || (rows >= DAY_ROWS_MIN && crosses(DAY_US))
}

/// How many of `times`, ascending and not none, lie in the hour of the first one.
pub fn within_hour(times: &[i64]) -> usize {
    let hour = times[0].div_euclid(HOUR_US);
    times.partition_point(|time| time.div_euclid(HOUR_US) == hour)
}

/// All blocks of a segment, in row order, numbered from 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Row number after the last row of each.
    ends: Vec<u64>,
    /// Lowest time of each.
    first_us: Vec<i64>,
    /// Highest time of each.
    last_us: Vec<i64>,
}

impl Blocks {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Rows of block `n`.
    pub fn rows(&self, n: usize) -> Range<u64> {
        let start = if n == 0 { 0 } else { self.ends[n - 1] };
        start..self.ends[n]
    }

    /// Row number after the last row of each block.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// Lowest time of each block.
    pub fn first_us(&self) -> &[i64] {
        &self.first_us
    }

    /// Highest time of each block.
    pub fn last_us(&self) -> &[i64] {
        &self.last_us
    }

    /// How many rows block `n` has.
    pub fn row_count(&self, n: usize) -> u32 {
        let rows = self.rows(n);
        (rows.end - rows.start) as u32
    }

    /// Has block `n` statistics (for fields that have any)?
    pub fn is_counted(&self, n: usize) -> bool {
        u64::from(self.row_count(n)) >= COUNTED_ROWS_MIN
    }

    /// Adds a block.
    pub fn push(&mut self, rows: u64, first_us: i64, last_us: i64) {
        self.ends.push(self.ends.last().unwrap_or(&0) + rows);
        self.first_us.push(first_us);
        self.last_us.push(last_us);
    }

    /// Appends their bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let rows = (0..self.len()).map(|n| self.row_count(n).into()).collect();
        let spans = self.first_us.iter().zip(&self.last_us);
        let spans = spans.map(|(first, last)| last.wrapping_sub(*first)).collect();
        put_columns(out, &[rows, self.first_us.clone(), spans]);
    }

    /// Reads `n` blocks.
    pub(super) fn decode(input: &mut Input<'_>, n: usize) -> Result<Self, Malformed> {
        let [rows, first_us, spans] = take_columns::<i64, 3>(input, n)?.read_all()?;
        let mut this = Self::default();
        let mut end = 0u64;
        for ((rows, first), span) in rows.into_iter().zip(first_us).zip(spans) {
            let last = first.wrapping_add(span);
            if !(1..=ROWS_MAX as i64).contains(&rows) || last < first {
                return Err(Malformed::new("a block has no rows, too many, or ends before it begins"));
            }
            end += rows as u64;
            this.ends.push(end);
            this.first_us.push(first);
            this.last_us.push(last);
        }
        Ok(this)
    }
}
