//! [`SegmentCursor`]: rows of a segment, decoded batch by batch.
//!
//! The wanted rows become a selection of each row group they lie in; [`super::group`] reads and decodes one after the other.

use super::Segment;
use super::columns::{field_column, time_column};
use super::error::{damaged, decode_error};
use super::group::{self, Wanted};
use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use heddle_types::arrow::data_type;
use heddle_types::{Error, Result};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Contiguous rows of a segment.
#[derive(Clone, Debug)]
pub struct SegmentBatch {
    /// Row number of the first one.
    pub first_row: u64,
    /// Times, with the zone of the layout's type; `values()` are the microseconds, without a copy.
    pub time: TimestampMicrosecondArray,
    /// The fields asked for.
    pub fields: Vec<ArrayRef>,
}

impl SegmentBatch {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}

/// Walks rows of a segment, ascending.
pub struct SegmentCursor {
    segment: Arc<Segment>,
    /// Where each field asked for comes from.
    fields: Vec<Source>,
    /// Columns of the file that are decoded, ascending.
    columns: Vec<usize>,
    levels: FieldLevels,
    batch_rows: usize,
    /// Row groups that were not come to yet.
    groups: std::vec::IntoIter<GroupRows>,
    /// The present one.
    group: Option<ParquetRecordBatchReader>,
    /// Decoded rows that were not given out yet.
    decoded: Option<RecordBatch>,
    /// Rows that were not given out yet.
    ranges: VecDeque<Range<u64>>,
}

/// A row group's number, and which of its rows are wanted (`None` = all).
type GroupRows = (usize, Option<RowSelection>);

/// Where a field's values come from.
enum Source {
    /// A column of the decoded batches.
    Column(usize),
    /// The segment does not have it: NULL.
    Missing(DataType),
}

impl SegmentCursor {
    pub(super) fn open(
        segment: Arc<Segment>,
        fields: &[usize],
        ranges: Vec<Range<u64>>,
        batch_rows: usize,
    ) -> Result<Self> {
        let metadata = segment.metadata()?;
        let (columns, fields) = plan_columns(&segment, fields);
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), columns.iter().copied());
        let levels = parquet_to_arrow_field_levels(metadata.parquet_schema(), mask, None)
            .map_err(|e| decode_error(segment.file.path(), e))?;
        let groups = select(metadata.metadata(), &ranges).into_iter();
        let ranges = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        let batch_rows = batch_rows.max(1);
        Ok(Self { segment, fields, columns, levels, batch_rows, groups, group: None, decoded: None, ranges })
    }

    /// The next batch, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch (names the file), `58030` on read errors.
    pub fn next_batch(&mut self) -> Result<Option<SegmentBatch>> {
        let Some(range) = self.ranges.front().cloned() else { return Ok(None) };
        let decoded = match self.decoded.take() {
            Some(decoded) => decoded,
            None => self.decode()?.ok_or_else(|| damaged(self.segment.file.path(), "It has too few rows."))?,
        };
        let n = decoded.num_rows().min((range.end - range.start) as usize);
        if n < decoded.num_rows() {
            self.decoded = Some(decoded.slice(n, decoded.num_rows() - n));
        }
        match range.start + n as u64 {
            end if end == range.end => drop(self.ranges.pop_front()),
            end => self.ranges[0].start = end,
        }
        Ok(Some(self.batch(range.start, &decoded.slice(0, n))))
    }

    fn batch(&self, first_row: u64, rows: &RecordBatch) -> SegmentBatch {
        let time = rows.column(0).as_primitive::<TimestampMicrosecondType>().clone();
        let field = |source: &Source| match source {
            Source::Column(place) => Arc::clone(rows.column(*place)),
            Source::Missing(ty) => new_null_array(ty, rows.num_rows()),
        };
        SegmentBatch { first_row, time, fields: self.fields.iter().map(field).collect() }
    }

    /// The next rows of any row group, never none.
    fn decode(&mut self) -> Result<Option<RecordBatch>> {
        let path = self.segment.file.path().to_owned();
        loop {
            if let Some(group) = &mut self.group {
                match guarded(&path, || group.next().transpose().map_err(ParquetError::from))? {
                    Some(rows) if rows.num_rows() > 0 => return Ok(Some(rows)),
                    Some(_) => continue,
                    None => self.group = None,
                }
            }
            let Some((group, rows)) = self.groups.next() else { return Ok(None) };
            let metadata = self.segment.metadata()?.metadata();
            let (columns, levels, batch_rows) = (&self.columns[..], &self.levels, self.batch_rows);
            let wanted = Wanted { group, columns, levels, rows, batch_rows };
            self.group = Some(guarded(&path, || group::open(&self.segment, metadata, wanted))?);
        }
    }
}

/// Runs a step of the decoder. Its bytes passed their checksums; if it still panics over them, that is one statement's error.
fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(result) => result.map_err(|e| decode_error(path, e)),
        Err(_) => Err(damaged(path, "The decoder gave up.")),
    }
}

/// Columns of the file to decode (time first), and where each of `fields` is then found.
fn plan_columns(segment: &Segment, fields: &[usize]) -> (Vec<usize>, Vec<Source>) {
    let layout = &segment.layout;
    let mut present: Vec<usize> = fields.iter().copied().filter(|field| *field < segment.meta.fields).collect();
    present.sort_unstable();
    present.dedup();
    let source = |field: &usize| match present.binary_search(field) {
        Ok(place) => Source::Column(place + 1),
        Err(_) => Source::Missing(data_type(layout.fields[*field].ty)),
    };
    let sources = fields.iter().map(source).collect();
    let columns = present.iter().map(|field| field_column(layout, *field));
    ([time_column(layout)].into_iter().chain(columns).collect(), sources)
}

/// The row groups that `ranges` lie in.
fn select(metadata: &ParquetMetaData, ranges: &[Range<u64>]) -> Vec<GroupRows> {
    let mut groups = Vec::new();
    let mut start = 0u64;
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let (rows, end) = (group.num_rows() as usize, start + group.num_rows() as u64);
        let first = ranges.partition_point(|range| range.end <= start);
        let inside = ranges[first..].iter().take_while(|range| range.start < end).filter(|range| !range.is_empty());
        let inside =
            inside.map(|range| (range.start.max(start) - start) as usize..(range.end.min(end) - start) as usize);
        let wanted: usize = inside.clone().map(|range| range.len()).sum();
        if wanted > 0 {
            let part = (wanted < rows).then(|| RowSelection::from_consecutive_ranges(inside, rows));
            groups.push((number, part));
        }
        start = end;
    }
    groups
}

/// What a caller of [`Segment::scan`] must keep.
pub(super) fn check_ranges(rows: u64, ranges: &[Range<u64>]) -> Result<()> {
    let ascending = ranges.is_sorted_by(|a, b| a.end <= b.start);
    let inside = ranges.iter().all(|range| range.start <= range.end && range.end <= rows);
    if ascending && inside { Ok(()) } else { Err(Error::internal("row ranges of a segment are not in order")) }
}
