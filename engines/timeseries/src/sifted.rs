//! [`Sifted`]: the points of one segment that fulfil a scan's conditions, where no other part has points of these series and
//! times. So conditions may be tested before anything else is read:
//!
//!   block statistics -> the tested columns -> rows that fulfil the conditions -> the other columns of those rows
//!
//! The segment is read group by group, so that no page is decoded twice for one column.

use crate::bounds::Bounds;
use crate::columns::Gathered;
use crate::segment::{FieldStatistics, FieldValues, GROUP_ROWS, Segment, SegmentCursor};
use crate::shape::Shape;
use crate::sieve::{Sieve, kept};
use crate::source::{SourceRun, joined, segment_runs};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::{FilterBuilder, concat};
use arrow::error::ArrowError;
use bytes::Bytes;
use heddle_engines::condition::{FieldCondition, FieldTest, all_hold};
use heddle_types::key::compare_floats;
use heddle_types::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Rows looked at in one go: those of a group, so that what its pages share is read once.
const WINDOW_ROWS: u64 = GROUP_ROWS as u64;
/// Rows decoded together: what of some columns fits into a cache.
const BATCH_ROWS: usize = 16 << 10;

/// See the module.
pub struct Sifted {
    segment: Arc<Segment>,
    shape: Arc<Shape>,
    sieve: Arc<Sieve>,
    /// First and last time.
    times: (i64, i64),
    batch_rows: usize,
    written: bool,
    /// What statistics leave and was not read yet.
    runs: VecDeque<SourceRun>,
    /// Points found, and how many of them were handed out.
    found: Option<(Gathered, usize)>,
}

/// Columns in pieces.
struct Pieces(Vec<(usize, Vec<ArrayRef>)>);

impl Pieces {
    /// None yet of these fields, which ascend.
    fn of(fields: impl Iterator<Item = usize>) -> Self {
        Self(fields.map(|field| (field, Vec::new())).collect())
    }

    /// Adds a piece of each field.
    fn push(&mut self, piece: impl Fn(usize) -> Result<ArrayRef>) -> Result<()> {
        for (field, pieces) in &mut self.0 {
            pieces.push(piece(*field)?);
        }
        Ok(())
    }

    /// The pieces of one; `None` when it is not among them.
    fn of_field(&self, field: usize) -> Option<&[ArrayRef]> {
        let place = self.0.binary_search_by_key(&field, |(field, _)| *field).ok()?;
        Some(&self.0[place].1)
    }
}

impl Sifted {
    /// The points of `segment` within `bounds`; `written`: are log indexes wanted?
    pub fn open(
        segment: Arc<Segment>,
        shape: Arc<Shape>,
        sieve: Arc<Sieve>,
        bounds: &Bounds,
        batch_rows: usize,
        written: bool,
    ) -> Result<Self> {
        let runs = prune(&segment, &sieve.conditions, segment_runs(&segment, bounds))?;
        let times = (bounds.from_us, bounds.to_us);
        Ok(Self { segment, shape, sieve, times, batch_rows: batch_rows.max(1), written, runs, found: None })
    }

    /// The next batch; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Gathered>> {
        loop {
            if let Some((found, done)) = &mut self.found {
                let rows = *done..found.time.len().min(*done + self.batch_rows);
                if !rows.is_empty() {
                    *done = rows.end;
                    return Ok(Some(slice(found, rows)));
                }
                self.found = None;
            }
            let window = self.next_window();
            if window.is_empty() {
                return Ok(None);
            }
            self.found = self.read(&window)?.map(|found| (found, 0));
        }
    }

    /// Runs up to the next border between windows.
    fn next_window(&mut self) -> Vec<SourceRun> {
        let Some(first) = self.runs.front() else { return Vec::new() };
        let end = (first.rows.start / WINDOW_ROWS + 1) * WINDOW_ROWS;
        let mut window = Vec::new();
        while let Some(run) = self.runs.front_mut().filter(|run| run.rows.start < end) {
            let rows = run.rows.start..run.rows.end.min(end);
            window.push(SourceRun::new(run.series.clone(), rows.clone()));
            run.rows.start = rows.end;
            if run.rows.is_empty() {
                self.runs.pop_front();
            }
        }
        window
    }

    /// The points of a window that fulfil the conditions.
    fn read(&self, window: &[SourceRun]) -> Result<Option<Gathered>> {
        let (rows, tested) = self.test(window)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let others = self.shown().filter(|field| tested.of_field(*field).is_none()).collect();
        let (time, others) = self.read_rows(others, rows.clone())?;
        let shown =
            |field| tested.of_field(field).or_else(|| others.of_field(field)).expect("all that is shown was read");
        let found = Gathered {
            series: counted(window, &rows),
            fields: self.shown().map(|field| joined_pieces(shown(field))).collect::<Result<_>>()?,
            written: self.written.then(|| vec![self.segment.meta().sequence.0; time.len()].into()),
            time: time.into(),
        };
        // Blocks at either end may reach further than the times that are wanted.
        let inside = BooleanBuffer::collect_bool(found.time.len(), |i| self.has_time(found.time[i]));
        kept(found, &inside)
    }

    /// The fields that are handed out.
    fn shown(&self) -> impl Iterator<Item = usize> {
        self.sieve.shown.iter().map(|place| self.sieve.fields[*place])
    }

    /// The rows of a window that fulfil the conditions, and what is shown of the tested fields in them.
    fn test(&self, window: &[SourceRun]) -> Result<(Vec<Range<u64>>, Pieces)> {
        let mut tested: Vec<usize> = self.sieve.conditions.iter().map(|c| c.field).collect();
        tested.sort_unstable();
        tested.dedup();
        let mut rows: Vec<Range<u64>> = Vec::new();
        let mut pieces = Pieces::of(tested.iter().copied().filter(|field| self.shown().any(|shown| shown == *field)));
        let mut cursor = self.scan(&tested, joined(window))?.without_times();
        while let Some(batch) = cursor.next_batch()? {
            let columns = self.columns(&tested, batch.fields, batch.rows)?;
            let column = |field| &columns[tested.binary_search(&field).expect("it is one of them")];
            let keep = all_hold(&self.sieve.conditions, batch.rows, column)?;
            for (start, end) in keep.set_slices() {
                append(&mut rows, batch.first_row + start as u64..batch.first_row + end as u64);
            }
            let keep = FilterBuilder::new(&BooleanArray::new(keep, None)).optimize().build();
            pieces.push(|field| keep.filter(column(field)).map_err(failed))?;
        }
        Ok((rows, pieces))
    }

    /// The times and the values of `fields` (any order, some more than once) in `rows`.
    fn read_rows(&self, mut fields: Vec<usize>, rows: Vec<Range<u64>>) -> Result<(Vec<i64>, Pieces)> {
        fields.sort_unstable();
        fields.dedup();
        let mut time = Vec::new();
        let mut pieces = Pieces::of(fields.iter().copied());
        let mut cursor = self.scan(&fields, rows)?;
        while let Some(batch) = cursor.next_rows()? {
            time.extend_from_slice(batch.time.values());
            let columns = self.columns(&fields, batch.fields, batch.rows)?;
            pieces.push(|field| Ok(Arc::clone(&columns[fields.binary_search(&field).expect("it is one of them")])))?;
        }
        Ok((time, pieces))
    }

    /// Reads as many of `fields`, which ascend, as the segment has.
    fn scan(&self, fields: &[usize], rows: Vec<Range<u64>>) -> Result<SegmentCursor> {
        let known = self.segment.meta().fields;
        self.segment.scan(&fields[..fields.partition_point(|field| *field < known)], rows, BATCH_ROWS)
    }

    /// Adds to columns that [`Self::scan`] read those of younger fields.
    fn columns(&self, fields: &[usize], mut stored: Vec<ArrayRef>, rows: usize) -> Result<Vec<ArrayRef>> {
        for field in &fields[stored.len()..] {
            stored.push(self.shape.missing(*field, rows)?);
        }
        Ok(stored)
    }

    fn has_time(&self, time_us: i64) -> bool {
        (self.times.0..=self.times.1).contains(&time_us)
    }
}

/// What is left of runs without the blocks whose statistics say that no point fulfils the conditions.
fn prune(segment: &Segment, conditions: &[FieldCondition], runs: Vec<SourceRun>) -> Result<VecDeque<SourceRun>> {
    let mut out: VecDeque<SourceRun> = VecDeque::new();
    let blocks = segment.blocks();
    let block_of = |row: u64| blocks.ends().partition_point(|end| *end <= row);
    let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return Ok(out) };
    let all = block_of(first.rows.start)..block_of(last.rows.end - 1) + 1;
    let known = conditions.iter().map(|c| segment.statistics(c.field, all.clone())).collect::<Result<Vec<_>>>()?;
    for run in runs {
        for block in block_of(run.rows.start)..block_of(run.rows.end - 1) + 1 {
            let may = |(condition, known): (&FieldCondition, &Option<FieldStatistics>)| {
                let (at, rows) = (block - all.start, blocks.row_count(block));
                known.as_ref().is_none_or(|known| may_hold(&condition.test, known, at, rows))
            };
            if blocks.is_counted(block) && !conditions.iter().zip(&known).all(may) {
                continue;
            }
            let rows = blocks.rows(block);
            let (start, end) = (rows.start.max(run.rows.start), rows.end.min(run.rows.end));
            match out.back_mut() {
                Some(last) if last.rows.end == start && last.series == run.series => last.rows.end = end,
                _ => out.push_back(SourceRun::new(run.series.clone(), start..end)),
            }
        }
    }
    Ok(out)
}

/// May a test hold for a value of the block at place `at`, which has `rows` rows?
fn may_hold(test: &FieldTest, known: &FieldStatistics, at: usize, rows: u32) -> bool {
    match (*test, &known.values) {
        (FieldTest::Null, _) => known.nulls[at] > 0,
        _ if known.nulls[at] == rows => false,
        (FieldTest::Int(comparison, value), FieldValues::Ints(all)) => {
            comparison.may_hold(all.min[at].cmp(&value), all.max[at].cmp(&value))
        }
        (FieldTest::Float(comparison, value), FieldValues::Floats(all)) => {
            comparison.may_hold(compare_floats(all.min[at], value), compare_floats(all.max[at], value))
        }
        _ => true,
    }
}

/// Adds a range behind the others.
fn append(ranges: &mut Vec<Range<u64>>, next: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == next.start => last.end = next.end,
        _ => ranges.push(next),
    }
}

/// How many of `rows` each run has.
fn counted(window: &[SourceRun], rows: &[Range<u64>]) -> Vec<(Bytes, usize)> {
    let mut out: Vec<(Bytes, usize)> = Vec::new();
    let mut left = rows;
    for run in window {
        left = &left[left.partition_point(|range| range.end <= run.rows.start)..];
        let here = left.iter().take_while(|range| range.start < run.rows.end);
        let within = |range: &Range<u64>| range.end.min(run.rows.end) - range.start.max(run.rows.start);
        let n = here.map(within).sum::<u64>() as usize;
        match out.last_mut() {
            _ if n == 0 => {}
            Some((last, rows)) if *last == run.series => *rows += n,
            _ => out.push((run.series.clone(), n)),
        }
    }
    out
}

fn joined_pieces(pieces: &[ArrayRef]) -> Result<ArrayRef> {
    match pieces {
        [one] => Ok(Arc::clone(one)),
        _ => concat(&pieces.iter().map(|piece| &**piece).collect::<Vec<&dyn Array>>()).map_err(failed),
    }
}

fn slice(found: &Gathered, rows: Range<usize>) -> Gathered {
    let mut at = 0;
    let mut series = Vec::new();
    for (key, n) in &found.series {
        let here = at.max(rows.start)..(at + n).min(rows.end);
        at += n;
        if !here.is_empty() {
            series.push((key.clone(), here.len()));
        }
    }
    let time: ScalarBuffer<i64> = found.time.slice(rows.start, rows.len());
    Gathered {
        series,
        time,
        fields: found.fields.iter().map(|field| field.slice(rows.start, rows.len())).collect(),
        written: found.written.as_ref().map(|written| written.slice(rows.start, rows.len())),
    }
}

fn failed(e: ArrowError) -> Error {
    Error::internal(format!("points cannot be filtered: {e}"))
}
