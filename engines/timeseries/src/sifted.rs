//! [`Sifted`]: the points of one segment that fulfil a scan's conditions, where no other part has points of these series and
//! times. So conditions may be tested before anything else is read:
//!
//!   block statistics -> the tested columns -> rows that fulfil the conditions -> the other columns near those rows
//!
//! The segment is read group by group, so that no page is decoded twice for one column.

use crate::bounds::Bounds;
use crate::columns::Gathered;
use crate::segment::{FieldStatistics, FieldValues, GROUP_ROWS, Segment};
use crate::shape::Shape;
use crate::sieve::Sieve;
use crate::source::{SourceRun, joined, segment_runs};
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::{concat, take};
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
/// Rows between two that are wanted which are rather decoded than skipped.
const GAP_ROWS: u64 = 1024;

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

/// Columns in pieces, to be joined.
type Pieces = Vec<Vec<ArrayRef>>;

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
        let mut tested: Vec<usize> = self.sieve.conditions.iter().map(|c| c.field).collect();
        tested.sort_unstable();
        tested.dedup();
        let (mut rows, mut time): (Vec<u64>, Vec<i64>) = (Vec::new(), Vec::new());
        let mut pieces: Pieces = vec![Vec::new(); self.sieve.fields.len()];
        self.scan(&tested, joined(window), |first_row, times, columns| {
            let column = |field| &columns[tested.binary_search(&field).expect("it is one of them")];
            let keep = all_hold(&self.sieve.conditions, times.len(), column)?;
            let keep = &keep & &BooleanBuffer::collect_bool(times.len(), |i| self.has_time(times[i]));
            let places: UInt32Array = keep.set_indices().map(|i| i as u32).collect::<Vec<_>>().into();
            rows.extend(places.values().iter().map(|i| first_row + u64::from(*i)));
            time.extend(places.values().iter().map(|i| times[*i as usize]));
            for (field, column) in tested.iter().zip(columns) {
                pieces[self.sieve.place(*field)].push(take(column, &places, None).map_err(failed)?);
            }
            Ok(())
        })?;
        if rows.is_empty() {
            return Ok(None);
        }
        self.read_others(&tested, &rows, &mut pieces)?;
        let shown = |place: &usize| {
            let parts: Vec<&dyn Array> = pieces[*place].iter().map(|piece| &**piece).collect();
            concat(&parts).map_err(failed)
        };
        let sequence = self.segment.meta().sequence.0;
        Ok(Some(Gathered {
            series: counted(window, &rows),
            fields: self.sieve.shown.iter().map(shown).collect::<Result<_>>()?,
            written: self.written.then(|| vec![sequence; rows.len()].into()),
            time: time.into(),
        }))
    }

    /// The fields that were not tested, at `rows`.
    fn read_others(&self, tested: &[usize], rows: &[u64], pieces: &mut Pieces) -> Result<()> {
        let shown = self.sieve.shown.iter().map(|place| self.sieve.fields[*place]);
        let mut others: Vec<usize> = shown.filter(|field| tested.binary_search(field).is_err()).collect();
        others.sort_unstable();
        others.dedup();
        if others.is_empty() {
            return Ok(());
        }
        let mut left = rows;
        self.scan(&others, near(rows), |first_row, times, columns| {
            let end = first_row + times.len() as u64;
            let (here, rest) = left.split_at(left.partition_point(|row| *row < end));
            left = rest;
            let places: UInt32Array = here.iter().map(|row| (row - first_row) as u32).collect::<Vec<_>>().into();
            for (field, column) in others.iter().zip(columns) {
                pieces[self.sieve.place(*field)].push(take(column, &places, None).map_err(failed)?);
            }
            Ok(())
        })
    }

    /// Calls `each` with (first row, times, `fields`) for batches of the rows in `ranges`.
    fn scan(
        &self,
        fields: &[usize],
        ranges: Vec<Range<u64>>,
        mut each: impl FnMut(u64, &[i64], &[ArrayRef]) -> Result<()>,
    ) -> Result<()> {
        let known = self.segment.meta().fields;
        let stored: Vec<usize> = fields.iter().copied().filter(|field| *field < known).collect();
        let mut cursor = self.segment.scan(&stored, ranges, BATCH_ROWS)?;
        while let Some(batch) = cursor.next_batch()? {
            let rows = batch.time.len();
            let mut columns = batch.fields;
            for field in &fields[stored.len()..] {
                // They are ascending, so the younger ones come last.
                columns.push(self.shape.missing(*field, rows)?);
            }
            each(batch.first_row, batch.time.values(), &columns)?;
        }
        Ok(())
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

/// Ranges that hold all `rows`, which ascend.
fn near(rows: &[u64]) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for row in rows {
        match out.last_mut() {
            Some(last) if row - last.end < GAP_ROWS => last.end = row + 1,
            _ => out.push(*row..row + 1),
        }
    }
    out
}

/// How many of `rows` each run has.
fn counted(window: &[SourceRun], rows: &[u64]) -> Vec<(Bytes, usize)> {
    let mut out: Vec<(Bytes, usize)> = Vec::new();
    let mut left = rows;
    for run in window {
        let (here, rest) = left.split_at(left.partition_point(|row| *row < run.rows.end));
        left = rest;
        match out.last_mut() {
            _ if here.is_empty() => {}
            Some((last, n)) if *last == run.series => *n += here.len(),
            _ => out.push((run.series.clone(), here.len())),
        }
    }
    out
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
