//! One row group on its way into Parquet's reader: which bytes are wanted, how they are read, checked and decompressed.
//!
//! Called by [`super::cursor`], once for each row group it comes to.
//!
//! Parquet would decompress pages itself, with fresh zstd contexts for every column of every scan: for the pages of a few rows
//! that costs as much as all the rest. So it is told that the columns are not compressed, and gets pages that were
//! decompressed here, with one context per thread.

use super::Segment;
use bytes::{Buf, Bytes};
use parquet::arrow::FieldLevels;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;
use zstd::bulk::Decompressor;

/// No page is larger: the writer ends them at a megabyte, but one value may be longer than that.
const PAGE_BYTES_MAX: u64 = 2 << 30;

thread_local! {
    static ZSTD: RefCell<Decompressor<'static>> = RefCell::new(Decompressor::default());
}

/// What is read of a row group.
pub struct Wanted<'a> {
    /// Its number.
    pub group: usize,
    /// Places of the columns.
    pub columns: &'a [usize],
    /// What these columns are.
    pub levels: &'a FieldLevels,
    /// Rows of the group; `None` = all.
    pub rows: Option<RowSelection>,
    /// Most rows of a batch.
    pub batch_rows: usize,
}

/// Reads the pages that hold the wanted rows; a reader that decodes them.
pub fn open(
    segment: &Arc<Segment>,
    metadata: &ParquetMetaData,
    wanted: Wanted<'_>,
) -> Result<ParquetRecordBatchReader> {
    let group = Group::read(segment, metadata, &wanted)?;
    ParquetRecordBatchReader::try_new_with_row_groups(wanted.levels, &group, wanted.batch_rows, wanted.rows)
}

/// A row group whose wanted pages are in memory.
struct Group<'a> {
    metadata: &'a ParquetMetaData,
    number: usize,
    pages: Arc<Pages>,
}

impl<'a> Group<'a> {
    fn read(segment: &Arc<Segment>, metadata: &'a ParquetMetaData, wanted: &Wanted<'_>) -> Result<Self> {
        let number = wanted.group;
        let mut group = Self { metadata, number, pages: Arc::new(Pages::none(segment)) };
        let mut ranges = Vec::new();
        for column in wanted.columns {
            group.add_ranges(&mut ranges, *column, wanted.rows.as_ref())?;
        }
        let runs = segment.file.read_runs(&ranges).map_err(|e| ParquetError::External(Box::new(e)))?;
        group.pages = Arc::new(Pages { segment: Arc::clone(segment), runs });
        Ok(group)
    }

    /// Where the pages of a column that hold `rows` lie, and its dictionary.
    fn add_ranges(&self, ranges: &mut Vec<Range<u64>>, column: usize, rows: Option<&RowSelection>) -> Result<()> {
        let (start, len) = self.chunks().column(column).byte_range();
        let pages = self.pages_of(column)?;
        match rows {
            None => ranges.push(start..start + len),
            Some(rows) => {
                // What lies before the first page is the dictionary.
                ranges.extend(pages.first().map(|page| start..page.offset as u64).filter(|range| !range.is_empty()));
                ranges.extend(rows.scan_ranges(pages));
            }
        }
        Ok(())
    }

    fn chunks(&self) -> &'a RowGroupMetaData {
        self.metadata.row_group(self.number)
    }

    fn pages_of(&self, column: usize) -> Result<&'a [PageLocation]> {
        let index = self.metadata.offset_index().and_then(|groups| groups.get(self.number)?.get(column));
        let index = index.ok_or_else(|| ParquetError::General("the file has no offset index".to_owned()))?;
        Ok(index.page_locations())
    }
}

impl RowGroups for Group<'_> {
    fn num_rows(&self) -> usize {
        self.chunks().num_rows() as usize
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let chunk = self.chunks().column(column);
        let raw = chunk.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
        let locations = Some(self.pages_of(column)?.to_vec());
        let reader = SerializedPageReader::new(Arc::clone(&self.pages), &raw, self.num_rows(), locations)?;
        Ok(Box::new(OneChunk(Some(DecompressingReader(reader)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.chunks()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

/// Bytes of pages, by their place in the file.
struct Pages {
    segment: Arc<Segment>,
    /// Ascending.
    runs: Vec<(Range<u64>, Bytes)>,
}

impl Pages {
    fn none(segment: &Arc<Segment>) -> Self {
        Self { segment: Arc::clone(segment), runs: Vec::new() }
    }
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.segment.file.len()
    }
}

impl ChunkReader for Pages {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let (run, bytes) = self.runs.iter().find(|(run, _)| run.contains(&start)).ok_or_else(unexpected)?;
        Ok(bytes.slice((start - run.start) as usize..).reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start + length as u64;
        let after = self.runs.partition_point(|(run, _)| run.start <= start);
        match after.checked_sub(1).map(|at| &self.runs[at]) {
            Some((run, bytes)) if end <= run.end => {
                Ok(bytes.slice((start - run.start) as usize..(end - run.start) as usize))
            }
            // Where many short ranges lie close together the decoder reads on through the pages between them.
            _ => self.segment.file.read(start..end).map_err(|e| ParquetError::External(Box::new(e))),
        }
    }
}

fn unexpected() -> ParquetError {
    ParquetError::General("pages are read by their location".to_owned())
}

/// The pages of one column chunk.
struct OneChunk(Option<DecompressingReader>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|reader| Ok(Box::new(reader) as _))
    }
}

impl PageIterator for OneChunk {}

/// Decompresses the pages that pass by.
struct DecompressingReader(SerializedPageReader<Pages>);

impl Iterator for DecompressingReader {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for DecompressingReader {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        self.0.get_next_page()?.map(decompress_page).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.0.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.0.at_record_boundary()
    }
}

fn decompress_page(mut page: Page) -> Result<Page> {
    match &mut page {
        Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = decompress(buf)?,
        Page::DataPageV2 { .. } => return Err(ParquetError::NYI("data pages of version 2".to_owned())),
    }
    Ok(page)
}

fn decompress(bytes: &[u8]) -> Result<Bytes> {
    let size = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
    let size = size.filter(|size| *size <= PAGE_BYTES_MAX);
    let size = size.ok_or_else(|| ParquetError::General("a page does not say its size".to_owned()))?;
    Ok(ZSTD.with_borrow_mut(|zstd| zstd.decompress(bytes, size as usize))?.into())
}
