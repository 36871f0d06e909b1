//! [`SegmentCursor`]: rows of a segment, decoded batch by batch.
//!
//! Parquet's push decoder says which bytes it needs: the pages of one row group that the wanted rows lie in. They are read
//! at once, each 64 KiB once, and checked before the decoder sees them.

use super::Segment;
use super::columns::{field_column, time_column};
use super::error::{damaged, decode_error};
use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray, new_null_array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use heddle_types::arrow::data_type;
use heddle_types::{Error, Result};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReader, RowSelection, RowSelectionPolicy};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::errors::ParquetError;
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
    decoder: ParquetPushDecoder,
    /// Of the present row group.
    group: Option<ParquetRecordBatchReader>,
    /// Decoded rows that were not given out yet.
    decoded: Option<RecordBatch>,
    /// Rows that were not given out yet.
    ranges: VecDeque<Range<u64>>,
}

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
        let groups = select(metadata, &ranges);
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), columns);
        let builder = ParquetPushDecoderBuilder::new_with_metadata(metadata.clone())
            .with_projection(mask)
            .with_batch_size(batch_rows.max(1))
            .with_row_groups(groups.numbers);
        let builder = match groups.selection {
            // Runs are long: a mask would decode what lies between them.
            Some(rows) => builder.with_row_selection(rows).with_row_selection_policy(RowSelectionPolicy::Selectors),
            None => builder,
        };
        let decoder = builder.build().map_err(|e| decode_error(segment.file.path(), e))?;
        let ranges = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        Ok(Self { segment, fields, decoder, group: None, decoded: None, ranges })
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
            match guarded(&path, || self.decoder.try_next_reader())? {
                DecodeResult::NeedsData(ranges) => self.read(&ranges)?,
                DecodeResult::Data(group) => {
                    // The group holds on to what it needs.
                    self.decoder.clear_all_ranges();
                    self.group = Some(group);
                }
                DecodeResult::Finished => return Ok(None),
            }
        }
    }

    fn read(&mut self, ranges: &[Range<u64>]) -> Result<()> {
        let file = &self.segment.file;
        let (ranges, bytes) = file.read_runs(ranges)?.into_iter().unzip();
        self.decoder.push_ranges(ranges, bytes).map_err(|e| decode_error(file.path(), e))
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

/// Row groups to read, and which of their rows (`None` = all).
struct Groups {
    numbers: Vec<usize>,
    selection: Option<RowSelection>,
}

fn select(metadata: &ArrowReaderMetadata, ranges: &[Range<u64>]) -> Groups {
    let mut numbers = Vec::new();
    // Row numbers within the chosen groups.
    let (mut chosen, mut total) = (Vec::new(), 0usize);
    let mut start = 0u64;
    for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
        let end = start + group.num_rows() as u64;
        let first = ranges.partition_point(|range| range.end <= start);
        let inside = ranges[first..].iter().take_while(|range| range.start < end);
        let before = chosen.len();
        for range in inside.filter(|range| !range.is_empty()) {
            let (from, to) = (range.start.max(start) - start, range.end.min(end) - start);
            chosen.push(total + from as usize..total + to as usize);
        }
        if chosen.len() > before {
            numbers.push(number);
            total += group.num_rows() as usize;
        }
        start = end;
    }
    let all = chosen.iter().map(ExactSizeIterator::len).sum::<usize>() == total;
    let selection = (!all).then(|| RowSelection::from_consecutive_ranges(chosen.into_iter(), total));
    Groups { numbers, selection }
}

/// What a caller of [`Segment::scan`] must keep.
pub(super) fn check_ranges(rows: u64, ranges: &[Range<u64>]) -> Result<()> {
    let ascending = ranges.is_sorted_by(|a, b| a.end <= b.start);
    let inside = ranges.iter().all(|range| range.start <= range.end && range.end <= rows);
    if ascending && inside { Ok(()) } else { Err(Error::internal("row ranges of a segment are not in order")) }
}
