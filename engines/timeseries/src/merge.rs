//! [`Merger`]: the points of one partition out of all its sources, in (series key, time) order, one per (series, time).
//!
//! Scans, flushes and compactions all are this merge. Sources are ordered newest first: of rows for the same point the first
//! source that has one decides, and a tombstone there means that the point is gone. Each source is sorted and has each point
//! once ([`crate::source`]).
//!
//! Within a series the source with the lowest time goes ahead up to the next time of any other source, found by galloping. So
//! sources that do not overlap pass through in whole runs, and where they do, only rows that meet are looked at one by one.

use crate::bounds::Bounds;
use crate::columns::{Columns, Gather, Gathered};
use crate::source::Source;
use bytes::Bytes;
use heddle_types::Result;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

/// What a merge hands out.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// Is [`Gathered::written`] wanted?
    pub written: bool,
    /// Are tombstones wanted ([`Merger::take_deletes`])?
    pub deletes: bool,
    /// Are columns gathered side by side? Statements leave the other cores to each other.
    pub all_cores: bool,
}

/// See the module.
pub struct Merger {
    /// Newest first.
    sources: Vec<Source>,
    from_us: i64,
    to_us: i64,
    /// The next series of each source.
    series: BinaryHeap<Reverse<(Bytes, usize)>>,
    current: Bytes,
    /// The sources that have rows of the current series left, the one with the lowest time (of equal ones the newest) last.
    heads: Vec<Head>,
    gather: Gather,
    /// Tombstones met, if wanted.
    deletes: Option<Vec<(Bytes, i64)>>,
}

/// Where a source stands in the current series.
struct Head {
    source: usize,
    rows: Range<u64>,
    /// Those after a gap, last ranges first.
    more: Vec<Range<u64>>,
    time: i64,
}

impl Head {
    fn place(&self) -> Reverse<(i64, usize)> {
        Reverse((self.time, self.source))
    }
}

impl Merger {
    /// Merges `sources`, newest first, whose series are chosen already; times are cut to `bounds`.
    pub fn new(sources: Vec<Source>, bounds: &Bounds, options: &MergeOptions) -> Self {
        let series =
            sources.iter().enumerate().filter_map(|(n, s)| Some(Reverse((s.next_series()?.clone(), n)))).collect();
        Self {
            gather: Gather::new(sources.len(), options),
            sources,
            from_us: bounds.from_us,
            to_us: bounds.to_us,
            series,
            current: Bytes::new(),
            heads: Vec::new(),
            deletes: options.deletes.then(Vec::new),
        }
    }

    /// The next batch; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Gathered>> {
        while self.gather.room() > 0 && !self.gather.is_good() {
            if self.heads.is_empty() && !self.next_series()? {
                break;
            }
            self.advance()?;
        }
        self.gather.finish()
    }

    /// Tombstones met since the last call, ascending.
    pub fn take_deletes(&mut self) -> Vec<(Bytes, i64)> {
        self.deletes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Makes heads of the next series that has rows; false at the end.
    fn next_series(&mut self) -> Result<bool> {
        while self.heads.is_empty() {
            let Some(Reverse((series, _))) = self.series.peek() else { return Ok(false) };
            self.current = series.clone();
            while let Some(Reverse((series, source))) = self.series.peek()
                && *series == self.current
            {
                let source = *source;
                self.series.pop();
                let Some(run) = self.sources[source].take_run() else { continue };
                if let Some(next) = self.sources[source].next_series() {
                    self.series.push(Reverse((next.clone(), source)));
                }
                let head = self.head(source, run.rows, run.more)?;
                self.heads.extend(head);
            }
        }
        self.heads.sort_unstable_by_key(Head::place);
        Ok(true)
    }

    /// Where `source` stands at the first of `rows`, or of `more`, within the times.
    fn head(&mut self, source: usize, mut rows: Range<u64>, mut more: Vec<Range<u64>>) -> Result<Option<Head>> {
        loop {
            if rows.is_empty() {
                let Some(next) = more.pop() else { return Ok(None) };
                rows = next;
                continue;
            }
            let (columns, offset) = self.sources[source].at(rows.start)?;
            let end = columns.rows().min(offset + (rows.end - rows.start) as usize);
            let skip = gallop(&columns.time[offset..end], |time| *time < self.from_us);
            if offset + skip < end {
                let time = columns.time[offset + skip];
                rows.start += skip as u64;
                return Ok((time <= self.to_us).then_some(Head { source, rows, more, time }));
            }
            rows.start += (end - offset) as u64;
        }
    }

    /// Goes on with `source` at `rows`.
    fn put_back(&mut self, source: usize, rows: Range<u64>, more: Vec<Range<u64>>) -> Result<()> {
        if let Some(head) = self.head(source, rows, more)? {
            let at = self.heads.partition_point(|other| other.place() < head.place());
            self.heads.insert(at, head);
        }
        Ok(())
    }

    /// Takes rows from the head with the lowest time, up to the next time of any other.
    fn advance(&mut self) -> Result<()> {
        let Some(Head { source, rows, more, time }) = self.heads.pop() else { return Ok(()) };
        // What older sources have at that time is replaced.
        while let Some(Head { source, rows, more, .. }) = self.heads.pop_if(|other| other.time == time) {
            self.put_back(source, rows.start + 1..rows.end, more)?;
        }
        let limit = self.heads.last().map(|next| next.time);
        let (columns, offset) = self.sources[source].at(rows.start)?;
        let columns = Arc::clone(columns);
        let end = columns.rows().min(offset + (rows.end - rows.start) as usize);
        let end = end.min(offset + self.gather.room());
        let times = &columns.time[offset..end];
        let mut taken = limit.map_or(times.len(), |limit| gallop(times, |time| *time < limit));
        if times[taken - 1] > self.to_us {
            taken = gallop(times, |time| *time <= self.to_us);
        }
        self.emit(source, &columns, offset..offset + taken);
        self.put_back(source, rows.start + taken as u64..rows.end, more)
    }

    fn emit(&mut self, source: usize, columns: &Arc<Columns>, rows: Range<usize>) {
        let Some(deleted) = &columns.deleted else {
            return self.gather.push(source, columns, &self.current, rows);
        };
        let mut start = rows.start;
        for row in rows.clone() {
            if deleted.value(row) {
                if start < row {
                    self.gather.push(source, columns, &self.current, start..row);
                }
                start = row + 1;
                if let Some(deletes) = &mut self.deletes {
                    deletes.push((self.current.clone(), columns.time[row]));
                }
            }
        }
        if start < rows.end {
            self.gather.push(source, columns, &self.current, start..rows.end);
        }
    }
}

/// How many of the first `items`, which are sorted, are `before`: quick when it is few, logarithmic when it is many.
pub fn gallop<T>(items: &[T], before: impl Fn(&T) -> bool) -> usize {
    let mut step = 1;
    let mut low = 0;
    while low + step <= items.len() && before(&items[low + step - 1]) {
        low += step;
        step *= 2;
    }
    let high = items.len().min(low + step);
    low + items[low..high].partition_point(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gallop_counts_as_partition_point_does() {
        let times: Vec<i64> = (0..100).map(|n| n * 2).collect();
        for limit in -1..205 {
            for len in [0, 1, 2, 3, 50, 100] {
                let times = &times[..len];
                assert_eq!(gallop(times, |t| *t < limit), times.partition_point(|&t| t < limit), "{limit} of {len}");
            }
        }
    }
}
