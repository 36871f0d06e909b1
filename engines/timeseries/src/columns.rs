//! [`Columns`]: rows of one source, sorted by (series key, time), as Arrow arrays; and [`Gather`], which makes one batch out
//! of pieces of several of them.
//!
//! A batch that is one piece of one source is a slice of it and costs nothing. Otherwise long pieces are copied whole, and
//! short ones through arrow's `interleave`.

use crate::merge::MergeOptions;
use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, UInt32Array, make_array};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use bytes::Bytes;
use heddle_engines::parallel;
use heddle_types::{Error, LogIndex, Result};
use std::ops::Range;
use std::sync::Arc;

/// A batch that is one piece up to the end of a source's columns is not filled up with others if it has this part of its rows.
const GOOD_BATCH: usize = 4;
/// Pieces of at least this many rows on average are copied whole.
const LONG_PIECE_ROWS: usize = 8;
/// Fewer values than this are gathered sooner than threads are started.
const PARALLEL_VALUES_MIN: usize = 64 << 10;
/// A batch ends above this many bytes of strings: arrow counts them in 32 bits.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// When rows were written.
#[derive(Clone, Debug)]
pub enum Written {
    /// All by (or before) one entry.
    At(LogIndex),
    /// Row by row.
    Each(ScalarBuffer<u64>),
}

impl Written {
    /// Log index of row `i`.
    pub fn index(&self, i: usize) -> LogIndex {
        match self {
            Self::At(index) => *index,
            Self::Each(indexes) => LogIndex(indexes[i]),
        }
    }
}

/// Rows by columns.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Microseconds.
    pub time: ScalarBuffer<i64>,
    /// The fields somebody asked for.
    pub fields: Vec<ArrayRef>,
    /// Log indexes.
    pub written: Written,
    /// Rows that are tombstones; `None` = no row is.
    pub deleted: Option<BooleanBuffer>,
}

impl Columns {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }

    /// Is row `i` a tombstone?
    pub fn is_deleted(&self, i: usize) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| deleted.value(i))
    }

    /// These rows alone.
    pub fn take(&self, rows: &[u32]) -> Result<Self> {
        let places = UInt32Array::from(rows.to_vec());
        let fields = self.fields.iter().map(|f| take(f, &places, None)).collect::<Result<_, _>>().map_err(failed)?;
        let at = |i: &u32| *i as usize;
        let written = match &self.written {
            Written::At(index) => Written::At(*index),
            Written::Each(indexes) => Written::Each(rows.iter().map(|i| indexes[at(i)]).collect()),
        };
        let deleted = self.deleted.as_ref().map(|deleted| rows.iter().map(|i| deleted.value(at(i))).collect());
        Ok(Self { time: rows.iter().map(|i| self.time[at(i)]).collect(), fields, written, deleted })
    }

    /// Memory of the columns.
    pub fn bytes(&self) -> usize {
        let written = if matches!(self.written, Written::Each(_)) { self.rows() * 8 } else { 0 };
        let fields: usize = self.fields.iter().map(|f| f.get_array_memory_size()).sum();
        self.rows() * 8 + written + fields + self.deleted.as_ref().map_or(0, |d| d.len() / 8)
    }

    fn string_bytes(&self, rows: &Range<usize>) -> usize {
        self.fields.iter().map(|field| string_bytes(field, rows)).sum()
    }

    fn has_strings(&self) -> bool {
        self.fields.iter().any(|field| matches!(field.data_type(), DataType::Utf8 | DataType::Binary))
    }
}

fn string_bytes(array: &ArrayRef, rows: &Range<usize>) -> usize {
    let within = |offsets: &[i32]| (offsets[rows.end] - offsets[rows.start]) as usize;
    match array.data_type() {
        DataType::Utf8 => within(array.as_string::<i32>().value_offsets()),
        DataType::Binary => within(array.as_binary::<i32>().value_offsets()),
        _ => 0,
    }
}

fn failed(e: ArrowError) -> Error {
    Error::internal(format!("columns of points do not fit together: {e}"))
}

/// A batch of merged rows.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// Series with their rows, in row order.
    pub series: Vec<(Bytes, usize)>,
    /// Microseconds.
    pub time: ScalarBuffer<i64>,
    /// The fields asked for.
    pub fields: Vec<ArrayRef>,
    /// Log indexes, if they were asked for.
    pub written: Option<ScalarBuffer<u64>>,
}

#[derive(Clone, Copy)]
struct Piece {
    part: usize,
    start: usize,
    rows: usize,
}

/// Collects pieces of sources until a batch is full.
pub struct Gather {
    rows_max: usize,
    want_written: bool,
    all_cores: bool,
    parts: Vec<Arc<Columns>>,
    /// Of each part: has it columns of strings?
    strings: Vec<bool>,
    /// The part that each source put in last.
    newest: Vec<Option<usize>>,
    pieces: Vec<Piece>,
    series: Vec<(Bytes, usize)>,
    rows: usize,
    bytes: usize,
}

impl Gather {
    /// For `sources` sources.
    pub fn new(sources: usize, options: &MergeOptions) -> Self {
        Self {
            rows_max: options.batch_rows.max(1),
            want_written: options.written,
            all_cores: options.all_cores,
            parts: Vec::new(),
            strings: Vec::new(),
            newest: vec![None; sources],
            pieces: Vec::new(),
            series: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Rows that still fit; 0 = the batch is full.
    pub fn room(&self) -> usize {
        if self.bytes > BATCH_BYTES_MAX { 0 } else { self.rows_max - self.rows }
    }

    /// Is it better to hand this batch out as it is than to copy, so that more fits in?
    pub fn is_good(&self) -> bool {
        match self.pieces[..] {
            [Piece { part, start, rows }] => {
                start + rows == self.parts[part].rows() && rows * GOOD_BATCH >= self.rows_max
            }
            _ => false,
        }
    }

    /// Appends rows of `series` out of what `source` has in `columns`.
    pub fn push(&mut self, source: usize, columns: &Arc<Columns>, series: &Bytes, rows: Range<usize>) {
        match self.series.last_mut() {
            Some((last, n)) if last == series => *n += rows.len(),
            _ => self.series.push((series.clone(), rows.len())),
        }
        self.push_rows(source, columns, rows);
    }

    /// The same for a series that did not come last.
    pub fn push_next(&mut self, source: usize, columns: &Arc<Columns>, series: Bytes, rows: Range<usize>) {
        self.series.push((series, rows.len()));
        self.push_rows(source, columns, rows);
    }

    fn push_rows(&mut self, source: usize, columns: &Arc<Columns>, rows: Range<usize>) {
        let known = self.newest[source].filter(|part| Arc::ptr_eq(&self.parts[*part], columns));
        let part = known.unwrap_or_else(|| {
            self.parts.push(Arc::clone(columns));
            self.strings.push(columns.has_strings());
            self.parts.len() - 1
        });
        self.newest[source] = Some(part);
        if self.strings[part] {
            self.bytes += columns.string_bytes(&rows);
        }
        self.rows += rows.len();
        match self.pieces.last_mut() {
            Some(last) if last.part == part && last.start + last.rows == rows.start => last.rows += rows.len(),
            _ => self.pieces.push(Piece { part, start: rows.start, rows: rows.len() }),
        }
    }

    /// The batch, `None` without rows; empty again after that.
    pub fn finish(&mut self) -> Result<Option<Gathered>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let fields = match self.pieces[..] {
            [Piece { part, start, rows }] => self.parts[part].fields.iter().map(|f| f.slice(start, rows)).collect(),
            _ => self.gather_fields()?,
        };
        let gathered = Gathered { time: self.time(), written: self.written(), series: self.take_series(), fields };
        self.parts.clear();
        self.strings.clear();
        self.newest.fill(None);
        self.pieces.clear();
        (self.rows, self.bytes) = (0, 0);
        Ok(Some(gathered))
    }

    fn take_series(&mut self) -> Vec<(Bytes, usize)> {
        std::mem::take(&mut self.series)
    }

    fn time(&self) -> ScalarBuffer<i64> {
        if let [Piece { part, start, rows }] = self.pieces[..] {
            return self.parts[part].time.slice(start, rows);
        }
        let mut out = Vec::with_capacity(self.rows);
        for p in &self.pieces {
            out.extend_from_slice(&self.parts[p.part].time[p.start..p.start + p.rows]);
        }
        out.into()
    }

    fn written(&self) -> Option<ScalarBuffer<u64>> {
        if !self.want_written {
            return None;
        }
        let mut out = Vec::with_capacity(self.rows);
        for p in &self.pieces {
            match &self.parts[p.part].written {
                Written::At(index) => out.resize(out.len() + p.rows, index.0),
                Written::Each(indexes) => out.extend_from_slice(&indexes[p.start..p.start + p.rows]),
            }
        }
        Some(out.into())
    }

    fn gather_fields(&self) -> Result<Vec<ArrayRef>> {
        let fields = 0..self.parts[0].fields.len();
        let places: Vec<(usize, usize)> = match self.pieces.len() * LONG_PIECE_ROWS <= self.rows {
            true => Vec::new(),
            false => self.pieces.iter().flat_map(|p| (p.start..p.start + p.rows).map(|row| (p.part, row))).collect(),
        };
        let gather = |f: usize| match places.is_empty() {
            true => self.copy_pieces(f).map_err(failed),
            false => self.interleave_rows(f, &places).map_err(failed),
        };
        match self.all_cores && fields.len() * self.rows >= PARALLEL_VALUES_MIN {
            true => parallel::map(fields.collect(), gather).into_iter().collect(),
            false => fields.map(gather).collect(),
        }
    }

    fn interleave_rows(&self, field: usize, places: &[(usize, usize)]) -> Result<ArrayRef, ArrowError> {
        let arrays: Vec<&dyn Array> = self.parts.iter().map(|part| &*part.fields[field]).collect();
        interleave(&arrays, places)
    }

    fn copy_pieces(&self, field: usize) -> Result<ArrayRef, ArrowError> {
        let data: Vec<_> = self.parts.iter().map(|part| part.fields[field].to_data()).collect();
        let mut out = MutableArrayData::new(data.iter().collect(), false, self.rows);
        for p in &self.pieces {
            out.try_extend(p.part, p.start, p.start + p.rows)?;
        }
        Ok(make_array(out.freeze()))
    }
}
