//! [`SegmentCursor`]: rows of a segment, decoded batch by batch.
//!
//! What is wanted of a group of rows is read at once ([`OpenGroup`]). Its pages are then decoded one after the other, each once, as
//! far as rows of it are wanted; as many together as make a batch. Batches are slices of that, or all that is wanted of a group.

use super::Segment;
use super::column_reader::{self, ColumnReader};
use super::directory::Group;
use super::error::{Failure, Malformed, guarded};
use super::steps::STRETCH;
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use bytes::Bytes;
use heddle_types::arrow::data_type;
use heddle_types::{Error, Result};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Pages are not decoded together above this many bytes of long values: Arrow counts them in 32 bits.
const WINDOW_BYTES_MAX: usize = 64 << 20;

/// Number of the column of times; those of fields follow.
const TIME: usize = 0;

/// Fewer rows between two that are wanted are decoded with them.
const SKIPPED_ROWS_MIN: u64 = STRETCH as u64;

/// Rows of a segment.
#[derive(Clone, Debug)]
pub struct SegmentBatch {
    /// Row number of the first one.
    pub first_row: u64,
    /// How many there are.
    pub rows: usize,
    /// Times, with the zone of the layout's type; `values()` are the microseconds, without a copy. Empty when they are left out.
    pub time: TimestampMicrosecondArray,
    /// The fields asked for.
    pub fields: Vec<ArrayRef>,
}

/// Walks rows of a segment, ascending.
pub struct SegmentCursor {
    segment: Arc<Segment>,
    /// Where each field asked for comes from.
    fields: Vec<Source>,
    /// Columns that are decoded, ascending: 0 is the time, then the fields.
    columns: Vec<usize>,
    batch_rows: usize,
    /// Rows that were not given out yet; none is empty.
    ranges: VecDeque<Range<u64>>,
    group: Option<OpenGroup>,
    window: Option<Window>,
}

/// Where a field's values come from.
enum Source {
    /// Number of the column.
    Column(usize),
    /// The segment does not have it: NULL.
    Missing(DataType),
}

/// Decoded rows.
struct Window {
    /// From the first to the last one; batches are cut out of windows that have all between them.
    rows: Range<u64>,
    count: usize,
    columns: Vec<ArrayRef>,
}

/// What is decoded of a page.
struct WantedPage {
    number: usize,
    /// Rows of the page, ascending, none of these empty.
    wanted: Vec<Range<usize>>,
}

impl SegmentCursor {
    pub(super) fn new(segment: Arc<Segment>, fields: &[usize], ranges: Vec<Range<u64>>, batch_rows: usize) -> Self {
        let (columns, fields) = plan_columns(&segment, fields);
        let ranges = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        let batch_rows = batch_rows.max(1);
        Self { segment, fields, columns, batch_rows, ranges, group: None, window: None }
    }

    /// Leaves out the times. This comes before the first batch.
    #[must_use]
    pub fn without_times(mut self) -> Self {
        self.columns.retain(|column| *column != TIME);
        self
    }

    /// The next contiguous rows, never none; `None` at the end.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch (names the file), `58030` on read errors.
    pub fn next_batch(&mut self) -> Result<Option<SegmentBatch>> {
        let Some(range) = self.ranges.front().cloned() else { return Ok(None) };
        if self.window.as_ref().is_none_or(|window| !window.rows.contains(&range.start)) {
            let group = self.segment.sidecar.directory.group_of(range.start);
            let pages = window_pages(
                &self.segment.sidecar.directory.groups()[group],
                range.start,
                &self.ranges,
                self.batch_rows,
            );
            self.window = Some(self.decode(group, range.start, pages)?);
        }
        let window = self.window.as_ref().expect("just decoded");
        let end = range.end.min(window.rows.end).min(range.start + self.batch_rows as u64);
        let start = (range.start - window.rows.start) as usize;
        let batch = self.batch(window, range.start, start..start + (end - range.start) as usize);
        self.drop_rows(end);
        Ok(Some(batch))
    }

    /// The wanted rows of the next group, without what lies between them, never none; `None` at the end. Of rows with long values
    /// it may be a part of them.
    ///
    /// # Errors
    /// As [`Self::next_batch`].
    pub fn next_rows(&mut self) -> Result<Option<SegmentBatch>> {
        let Some(first_row) = self.ranges.front().map(|range| range.start) else { return Ok(None) };
        let group = self.segment.sidecar.directory.group_of(first_row);
        let pages = wanted_rows(&self.segment.sidecar.directory.groups()[group], &self.ranges);
        let window = self.decode(group, first_row, pages)?;
        self.drop_rows(window.rows.end);
        Ok(Some(self.batch(&window, first_row, 0..window.count)))
    }

    fn batch(&self, window: &Window, first_row: u64, places: Range<usize>) -> SegmentBatch {
        let (start, rows) = (places.start, places.len());
        let at =
            |column: usize| self.columns.binary_search(&column).ok().map(|at| window.columns[at].slice(start, rows));
        let time = at(TIME).map(|times| times.as_primitive::<TimestampMicrosecondType>().clone());
        let field = |source: &Source| match source {
            Source::Column(column) => at(*column).expect("it is decoded"),
            Source::Missing(ty) => new_null_array(ty, rows),
        };
        let fields = self.fields.iter().map(field).collect();
        SegmentBatch { first_row, rows, time: time.unwrap_or_else(|| Vec::<i64>::new().into()), fields }
    }

    /// Rows before `end` were given out.
    fn drop_rows(&mut self, end: u64) {
        while let Some(range) = self.ranges.front_mut().filter(|range| range.start < end) {
            range.start = range.end.min(end);
            if range.is_empty() {
                self.ranges.pop_front();
            }
        }
    }

    /// Decodes pages of a group, the first of which has `row` as its first row that is wanted.
    fn decode(&mut self, number: usize, row: u64, pages: Vec<WantedPage>) -> Result<Window> {
        let segment = Arc::clone(&self.segment);
        let path = segment.file.path();
        let mut group = match self.group.take().filter(|group| group.number == number) {
            Some(group) => group,
            None => guarded(path, || OpenGroup::read(&segment, number, &self.columns, &self.ranges))?,
        };
        // After a failure its readers may hold half of a page.
        let window = guarded(path, || Ok(group.decode(&segment, row, &pages)?))?;
        self.group = Some(group);
        Ok(window)
    }
}

/// A group of rows whose wanted pages are in memory.
struct OpenGroup {
    number: usize,
    /// Bytes by their place in the file, ascending.
    runs: Vec<(Range<u64>, Bytes)>,
    /// With its place in the group's columns.
    columns: Vec<(usize, Box<dyn ColumnReader>)>,
}

impl OpenGroup {
    /// Reads heads and pages of `columns` that hold rows of `ranges`.
    fn read(
        segment: &Segment,
        number: usize,
        columns: &[usize],
        ranges: &VecDeque<Range<u64>>,
    ) -> Result<Self, Failure> {
        let group = &segment.sidecar.directory.groups()[number];
        let pages = wanted_pages(group, ranges);
        let mut bytes = Vec::new();
        for &column in columns {
            let place = &group.columns[column];
            bytes.push(place.head());
            bytes.extend(pages.iter().map(|run| place.pages(run.clone())));
        }
        let runs = segment.file.read_runs(&bytes).map_err(Failure::Read)?;
        let mut this = Self { number, runs, columns: Vec::with_capacity(columns.len()) };
        for &column in columns {
            let head = this.bytes(group.columns[column].head())?;
            let reader = match column {
                TIME => column_reader::times(&data_type(segment.layout.time.ty), &head)?,
                _ => {
                    let ty = data_type(segment.layout.fields[column - 1].ty);
                    column_reader::field(&ty, &head, segment.sidecar.version)?
                }
            };
            this.columns.push((column, reader));
        }
        Ok(this)
    }

    fn bytes(&self, wanted: Range<u64>) -> Result<Bytes, Malformed> {
        bytes_in(&self.runs, wanted)
    }

    /// Decodes `pages`, but not all where values are long. `row` is the first one that is wanted.
    fn decode(&mut self, segment: &Segment, row: u64, pages: &[WantedPage]) -> Result<Window, Malformed> {
        let group = &segment.sidecar.directory.groups()[self.number];
        let rows = pages.iter().map(WantedPage::rows).sum();
        self.columns.iter_mut().for_each(|(_, reader)| reader.reserve(rows));
        let (mut end, mut count) = (row, 0);
        for page in pages {
            let rows = group.page_rows(page.number);
            let mut bytes = 0;
            for (column, reader) in &mut self.columns {
                let place = group.columns[*column].pages(page.number..page.number + 1);
                reader.page(&bytes_in(&self.runs, place)?, (rows.end - rows.start) as usize, &page.wanted)?;
                bytes += reader.bytes();
            }
            end = page.wanted.last().map_or(end, |last| rows.start + last.end as u64);
            count += page.rows();
            if bytes > WINDOW_BYTES_MAX {
                break;
            }
        }
        let columns = self.columns.iter_mut().map(|(_, reader)| reader.finish());
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        if columns.iter().any(|column| column.len() != count) {
            return Err(Malformed::new("columns have different numbers of rows"));
        }
        Ok(Window { rows: row..end, count, columns })
    }
}

impl WantedPage {
    fn rows(&self) -> usize {
        self.wanted.iter().map(Range::len).sum()
    }
}

fn bytes_in(runs: &[(Range<u64>, Bytes)], wanted: Range<u64>) -> Result<Bytes, Malformed> {
    let after = runs.partition_point(|(run, _)| run.start <= wanted.start);
    match after.checked_sub(1).map(|at| &runs[at]) {
        Some((run, bytes)) if wanted.end <= run.end => {
            Ok(bytes.slice((wanted.start - run.start) as usize..(wanted.end - run.start) as usize))
        }
        _ => Err(Malformed::new("a page was not read")),
    }
}

/// Runs of pages of `group` that hold rows of `ranges`.
fn wanted_pages(group: &Group, ranges: &VecDeque<Range<u64>>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let first = ranges.partition_point(|range| range.end <= group.rows.start);
    for range in ranges.range(first..).take_while(|range| range.start < group.rows.end) {
        let start = group.page_of(range.start.max(group.rows.start));
        let end = group.page_of(range.end.min(group.rows.end) - 1) + 1;
        match runs.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            _ => runs.push(start..end),
        }
    }
    runs
}

/// The rows of `ranges` in `group`.
fn wanted_rows(group: &Group, ranges: &VecDeque<Range<u64>>) -> Vec<WantedPage> {
    let mut pages: Vec<WantedPage> = Vec::new();
    for range in ranges.iter().take_while(|range| range.start < group.rows.end) {
        for number in group.page_of(range.start)..group.page_of(range.end.min(group.rows.end) - 1) + 1 {
            let rows = group.page_rows(number);
            let wanted =
                (range.start.max(rows.start) - rows.start) as usize..(range.end.min(rows.end) - rows.start) as usize;
            match pages.last_mut() {
                Some(last) if last.number == number => last.wanted.push(wanted),
                _ => pages.push(WantedPage { number, wanted: vec![wanted] }),
            }
        }
    }
    pages
}

/// The pages that are decoded together from `row` on, which is wanted: while they are wanted to their end and there are too few
/// rows for a batch.
fn window_pages(group: &Group, row: u64, ranges: &VecDeque<Range<u64>>, batch_rows: usize) -> Vec<WantedPage> {
    let (mut pages, mut end) = (Vec::new(), row);
    for number in group.page_of(row)..group.pages() {
        let rows = group.page_rows(number);
        let Some(wanted_to) = wanted_to(ranges, end..rows.end) else { break };
        let wanted = (end - rows.start) as usize..(wanted_to - rows.start) as usize;
        pages.push(WantedPage { number, wanted: vec![wanted] });
        end = wanted_to;
        if end < rows.end || end - row >= batch_rows as u64 {
            break;
        }
    }
    pages
}

/// How far the rows of `rows` are wanted, but for small gaps; `None` when the first ones are not.
fn wanted_to(ranges: &VecDeque<Range<u64>>, rows: Range<u64>) -> Option<u64> {
    let mut end = rows.start;
    let first = ranges.partition_point(|range| range.end <= rows.start);
    for range in ranges.range(first..).take_while(|range| range.start < rows.end) {
        if range.start > end + SKIPPED_ROWS_MIN {
            break;
        }
        end = range.end.min(rows.end);
    }
    (end > rows.start).then_some(end)
}

/// Columns to decode (time first), and where each of `fields` comes from.
fn plan_columns(segment: &Segment, fields: &[usize]) -> (Vec<usize>, Vec<Source>) {
    let mut present: Vec<usize> = fields.iter().copied().filter(|field| *field < segment.meta.fields).collect();
    present.sort_unstable();
    present.dedup();
    let source = |field: &usize| match *field < segment.meta.fields {
        true => Source::Column(field + 1),
        false => Source::Missing(data_type(segment.layout.fields[*field].ty)),
    };
    let sources = fields.iter().map(source).collect();
    ([TIME].into_iter().chain(present.iter().map(|field| field + 1)).collect(), sources)
}

/// What a caller of [`Segment::scan`] must keep.
pub(super) fn check_ranges(rows: u64, ranges: &[Range<u64>]) -> Result<()> {
    let ascending = ranges.is_sorted_by(|a, b| a.end <= b.start);
    let inside = ranges.iter().all(|range| range.start <= range.end && range.end <= rows);
    if ascending && inside { Ok(()) } else { Err(Error::internal("row ranges of a segment are not in order")) }
}
