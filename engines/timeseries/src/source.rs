//! [`Source`]: what one part of the engine puts into a merge: runs of rows by series, one row per point.

use crate::blocks::BlockFinder;
use crate::bounds::Bounds;
use crate::chunk::{Chunk, Run, Section};
use crate::columns::{Columns, Written};
use crate::segment::{Segment, SegmentCursor, Tombstones};
use crate::shape::{Shape, damaged};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use bytes::Bytes;
use heddle_types::{LogIndex, Result};
use std::ops::Range;
use std::sync::Arc;
use std::vec::IntoIter;

/// Rows of one series.
#[derive(Clone, Debug)]
pub struct SourceRun {
    /// Its key.
    pub series: Bytes,
    /// Row numbers within the source; may reach beyond the times that are wanted.
    pub rows: Range<u64>,
    /// More of them after a gap, last ranges first.
    pub more: Vec<Range<u64>>,
}

impl SourceRun {
    /// Rows without a gap.
    pub fn new(series: Bytes, rows: Range<u64>) -> Self {
        Self { series, rows, more: Vec::new() }
    }
}

/// See the module.
pub struct Source {
    runs: IntoIter<SourceRun>,
    /// No row is before the first or after the second time.
    span: (i64, i64),
    columns: Arc<Columns>,
    /// Row number of the first row in `columns`.
    first_row: u64,
    more: Option<SegmentRows>,
}

/// Where the rows of a segment come from.
struct SegmentRows {
    cursor: SegmentCursor,
    segment: Arc<Segment>,
    shape: Arc<Shape>,
    fields: Arc<[usize]>,
}

/// Which versions of a memtable's rows count.
#[derive(Clone, Copy, Debug)]
pub struct Visibility {
    /// Written at or below.
    pub at: LogIndex,
    /// Written above.
    pub dropped: LogIndex,
}

impl Source {
    /// The rows of a section of a chunk that a reader sees. `columns` are the chunk's with the fields that are wanted.
    pub fn chunk(
        chunk: &Chunk,
        columns: &Arc<Columns>,
        section: &Section,
        bounds: &Bounds,
        visibility: Visibility,
    ) -> Result<Option<Self>> {
        let runs = chunk.runs_within(section, bounds);
        if runs.is_empty() || chunk.lowest() > visibility.at {
            return Ok(None);
        }
        if chunk.is_all_visible(visibility.at, visibility.dropped) {
            return Ok(Some(Self::memory(Arc::clone(columns), runs, section)));
        }
        let mut rows = Vec::new();
        let mut cut = Vec::new();
        for run in &runs {
            let start = rows.len();
            chunk.visible_rows(run, visibility.at, visibility.dropped, &mut rows);
            if start < rows.len() {
                cut.push(Run { series: run.series.clone(), rows: start..rows.len() });
            }
        }
        if cut.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::memory(Arc::new(columns.take(&rows)?), cut, section)))
    }

    /// All rows of a section of a chunk, in which each point is once.
    pub fn whole(chunk: &Chunk, columns: &Arc<Columns>, section: &Section, bounds: &Bounds) -> Option<Self> {
        let runs = chunk.runs_within(section, bounds);
        (!runs.is_empty()).then(|| Self::memory(Arc::clone(columns), runs, section))
    }

    fn memory(columns: Arc<Columns>, runs: Vec<Run>, section: &Section) -> Self {
        let wide = |rows: Range<usize>| rows.start as u64..rows.end as u64;
        let runs: Vec<SourceRun> = runs.into_iter().map(|run| SourceRun::new(run.series, wide(run.rows))).collect();
        Self { runs: runs.into_iter(), span: (section.min_us, section.max_us), columns, first_row: 0, more: None }
    }

    /// The points of a segment, but for those that `finder` takes out as blocks.
    pub fn segment(
        segment: &Arc<Segment>,
        shape: &Arc<Shape>,
        fields: &Arc<[usize]>,
        bounds: &Bounds,
        batch_rows: usize,
        finder: Option<&mut BlockFinder<'_>>,
    ) -> Result<Option<Self>> {
        if !bounds.meets(segment.meta().min_us, segment.meta().max_us) {
            return Ok(None);
        }
        let mut runs = segment_runs(segment, bounds);
        if let Some(finder) = finder {
            runs = runs.into_iter().filter_map(|run| without_blocks(segment, run, finder)).collect();
        }
        if runs.is_empty() {
            return Ok(None);
        }
        let stored: Vec<usize> = fields.iter().copied().filter(|field| *field < segment.meta().fields).collect();
        let cursor = segment.scan(&stored, joined(&runs), batch_rows)?;
        let more =
            SegmentRows { cursor, segment: Arc::clone(segment), shape: Arc::clone(shape), fields: Arc::clone(fields) };
        let columns = Arc::new(Columns {
            time: ScalarBuffer::from(Vec::new()),
            fields: Vec::new(),
            written: Written::At(segment.meta().sequence),
            deleted: None,
        });
        let span = (segment.meta().min_us, segment.meta().max_us);
        Ok(Some(Self { runs: runs.into_iter(), span, columns, first_row: 0, more: Some(more) }))
    }

    /// The tombstones of a segment.
    pub fn tombstones(deletes: &Tombstones, sequence: LogIndex, bounds: &Bounds) -> Option<Self> {
        let mut time = Vec::new();
        let mut runs = Vec::new();
        for (series, times) in deletes.iter().filter(|(series, _)| bounds.has_series(series)) {
            let start = time.len() as u64;
            time.extend(times.iter().filter(|time| bounds.has_time(**time)));
            if start < time.len() as u64 {
                runs.push(SourceRun::new(series.clone(), start..time.len() as u64));
            }
        }
        let deleted = Some(BooleanBuffer::new_set(time.len()));
        let span = time.iter().fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(*time), last.max(*time)));
        // Rows that are tombstones never hand out fields.
        let columns = Columns { time: time.into(), fields: Vec::new(), written: Written::At(sequence), deleted };
        let columns = Arc::new(columns);
        (!runs.is_empty()).then(|| Self { runs: runs.into_iter(), span, columns, first_row: 0, more: None })
    }

    /// The runs that are left.
    pub fn runs(&self) -> &[SourceRun] {
        self.runs.as_slice()
    }

    /// How many rows it has, if all of them are in memory and none is a tombstone; else 0.
    pub fn rows_in_memory(&self) -> usize {
        match self.more.is_none() && self.columns.deleted.is_none() {
            true => self.runs().iter().map(|run| (run.rows.end - run.rows.start) as usize).sum(),
            false => 0,
        }
    }

    /// First and last time of a run of rows in memory, or those of the whole segment.
    pub fn times(&self, run: &SourceRun) -> (i64, i64) {
        match &self.more {
            Some(_) => self.span,
            None => (self.columns.time[run.rows.start as usize], self.columns.time[run.rows.end as usize - 1]),
        }
    }

    /// No row is before the first or after the second time.
    pub fn span(&self) -> (i64, i64) {
        self.span
    }

    /// The series whose run comes next.
    pub fn next_series(&self) -> Option<&Bytes> {
        self.runs.as_slice().first().map(|run| &run.series)
    }

    /// The next run.
    pub fn take_run(&mut self) -> Option<SourceRun> {
        self.runs.next()
    }

    /// The columns that hold row `row`, and where in them. Rows are asked for in ascending order.
    pub fn at(&mut self, row: u64) -> Result<(&Arc<Columns>, usize)> {
        while row >= self.first_row + self.columns.rows() as u64 {
            let more = self.more.as_mut().ok_or_else(|| damaged("a chunk of points is shorter than its runs"))?;
            (self.first_row, self.columns) = more.next()?;
        }
        Ok((&self.columns, (row - self.first_row) as usize))
    }
}

impl SegmentRows {
    fn next(&mut self) -> Result<(u64, Arc<Columns>)> {
        let ended = || damaged(format!("segment {} has fewer points than its series", self.segment.meta().id.0));
        let batch = self.cursor.next_batch()?.ok_or_else(ended)?;
        let mut stored = batch.fields.into_iter();
        let rows = batch.time.len();
        let column = |field: &usize| match *field < self.segment.meta().fields {
            true => stored.next().ok_or_else(|| damaged("a segment has too few columns")),
            false => self.shape.missing(*field, rows),
        };
        let fields = self.fields.iter().map(column).collect::<Result<_>>()?;
        let written = Written::At(self.segment.meta().sequence);
        let columns = Columns { time: batch.time.values().clone(), fields, written, deleted: None };
        Ok((batch.first_row, Arc::new(columns)))
    }
}

/// The runs of a segment within `bounds`.
pub fn segment_runs(segment: &Segment, bounds: &Bounds) -> Vec<SourceRun> {
    let series = segment.series();
    let places = bounds.places(series, |entry| &entry.key).into_iter().flatten();
    let run = |at: usize| {
        let entry = &series[at];
        if !bounds.meets(entry.min_us, entry.max_us) {
            return None;
        }
        let is_whole = bounds.from_us <= entry.min_us && entry.max_us <= bounds.to_us;
        let rows = match is_whole {
            true => entry.first_row..entry.first_row + entry.rows,
            false => segment.rows_between(at, bounds.from_us, bounds.to_us),
        };
        (!rows.is_empty()).then(|| SourceRun::new(entry.key.clone(), rows))
    };
    places.filter_map(run).collect()
}

/// What blocks leave of a run.
fn without_blocks(segment: &Arc<Segment>, run: SourceRun, finder: &mut BlockFinder<'_>) -> Option<SourceRun> {
    let Some(entry) = segment.find(&run.series) else { return Some(run) };
    let mut left = finder.take(segment, entry, run.rows);
    left.reverse();
    let rows = left.pop()?;
    Some(SourceRun { series: run.series, rows, more: left })
}

/// The rows of all runs, neighbours joined.
pub fn joined(runs: &[SourceRun]) -> Vec<Range<u64>> {
    let mut out: Vec<Range<u64>> = Vec::new();
    for rows in runs.iter().flat_map(|run| std::iter::once(&run.rows).chain(run.more.iter().rev())) {
        match out.last_mut() {
            Some(last) if last.end == rows.start => last.end = rows.end,
            _ => out.push(rows.clone()),
        }
    }
    out
}
