//! Block statistics: NULLs, minimum, maximum, sum, first and last value of each number column, per block ([`super::blocks`]).
//!
//! The writer gathers them ([`Gatherer`]), the sidecar keeps them encoded ([`super::statistics_column`]), aggregates over whole
//! blocks are answered from them ([`FieldStatistics`]). Columns of other types have none.

use super::blocks::{Blocks, COUNTED_ROWS_MIN};
use super::statistics_column::encode;
use super::varint::put;
use arrow::array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow::array::{Array, ArrayRef, AsArray};
use heddle_types::{Class, PgType};
use std::ops::Range;

/// Blocks that are encoded together, which bounds what a writer holds.
pub const CHUNK_BLOCKS: usize = 8192;

/// Statistics of one field in consecutive blocks. Where a block is not counted ([`super::Blocks::is_counted`]) or has only NULLs, its
/// entries mean nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldStatistics {
    /// Rows of each block that are NULL.
    pub nulls: Vec<u32>,
    /// About the others.
    pub values: FieldValues,
}

/// One entry per block in every column.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValues {
    /// int2, int4, int8; sums are exact
    Ints(Summaries<i64, i128>),
    /// float4, float8; order as in PostgreSQL (NaN is greatest), sums are added in row order
    Floats(Summaries<f64, f64>),
}

/// First and last are those of the lowest and highest time that has a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summaries<T, S> {
    /// Minimum.
    pub min: Vec<T>,
    /// Maximum.
    pub max: Vec<T>,
    /// Sum.
    pub sum: Vec<S>,
    /// First.
    pub first: Vec<T>,
    /// Last.
    pub last: Vec<T>,
}

/// Do columns of this type have statistics?
pub fn counted(ty: PgType) -> bool {
    is_float(ty) || matches!(ty.class(), Class::Int2 | Class::Int4 | Class::Int8)
}

/// Are these statistics of floats?
pub fn is_float(ty: PgType) -> bool {
    matches!(ty.class(), Class::Float4 | Class::Float8)
}

impl FieldStatistics {
    /// Of no blocks.
    pub(super) fn empty(float: bool) -> Self {
        let values = match float {
            true => FieldValues::Floats(Summaries::default()),
            false => FieldValues::Ints(Summaries::default()),
        };
        Self { nulls: Vec::new(), values }
    }

    pub(super) fn drop_first(&mut self, n: usize) {
        self.nulls.drain(..n);
        match &mut self.values {
            FieldValues::Ints(all) => all.drop_first(n),
            FieldValues::Floats(all) => all.drop_first(n),
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.nulls.extend(other.nulls);
        match (&mut self.values, other.values) {
            (FieldValues::Ints(all), FieldValues::Ints(more)) => all.append(more),
            (FieldValues::Floats(all), FieldValues::Floats(more)) => all.append(more),
            _ => unreachable!("of one field"),
        }
    }

    /// Appends entries that mean nothing.
    pub(super) fn push_nothing(&mut self, blocks: usize) {
        (0..blocks).for_each(|_| self.push(0, nothing(self)));
    }

    fn push(&mut self, nulls: u32, block: Open) {
        self.nulls.push(nulls);
        match (&mut self.values, block) {
            (FieldValues::Ints(all), Open::Int(Some(one))) => all.push(one),
            (FieldValues::Floats(all), Open::Float(Some(one))) => all.push(one),
            (FieldValues::Ints(all), _) => all.push(Summary::default()),
            (FieldValues::Floats(all), _) => all.push(Summary::default()),
        }
    }
}

impl<T, S> Summaries<T, S> {
    fn drop_first(&mut self, n: usize) {
        for column in [&mut self.min, &mut self.max, &mut self.first, &mut self.last] {
            column.drain(..n);
        }
        self.sum.drain(..n);
    }

    fn append(&mut self, other: Self) {
        self.min.extend(other.min);
        self.max.extend(other.max);
        self.sum.extend(other.sum);
        self.first.extend(other.first);
        self.last.extend(other.last);
    }

    pub(super) fn push(&mut self, one: Summary<T, S>) {
        self.min.push(one.min);
        self.max.push(one.max);
        self.sum.push(one.sum);
        self.first.push(one.first);
        self.last.push(one.last);
    }
}

/// One block's values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary<T, S> {
    pub min: T,
    pub max: T,
    pub sum: S,
    pub first: T,
    pub last: T,
}

/// A block that is being gathered; `None` = no value yet.
#[derive(Clone, Copy, Debug)]
enum Open {
    Int(Option<Summary<i64, i128>>),
    Float(Option<Summary<f64, f64>>),
}

/// Gathers the statistics of one column, block by block.
pub struct Gatherer {
    class: Class,
    nulls: u32,
    open: Open,
    /// Blocks that are not encoded yet.
    done: FieldStatistics,
    /// Rows of each of them; 0 = not counted.
    rows: Vec<u32>,
    /// Encoded chunks.
    bytes: Vec<u8>,
}

impl Gatherer {
    /// For a column of `ty`; `None` when its type has none.
    pub fn new(ty: PgType) -> Option<Self> {
        let done = FieldStatistics::empty(is_float(ty));
        let this =
            Self { class: ty.class(), nulls: 0, open: nothing(&done), done, rows: Vec::new(), bytes: Vec::new() };
        counted(ty).then_some(this)
    }

    /// Adds a column whose first row has the number `first`: rows of the current block, then blocks numbered `ended`, which end in
    /// it, then rows of the next one.
    pub fn add_blocks(&mut self, column: &ArrayRef, first: u64, blocks: &Blocks, ended: Range<usize>) {
        let mut at = 0;
        for block in ended {
            let end = (blocks.rows(block).end - first) as usize;
            self.add(column, at..end);
            self.end_block(blocks.row_count(block));
            at = end;
        }
        self.add(column, at..column.len());
    }

    /// Adds rows to the current block.
    fn add(&mut self, column: &ArrayRef, rows: Range<usize>) {
        match self.class {
            Class::Int2 => self.add_ints::<Int16Type>(column, rows),
            Class::Int4 => self.add_ints::<Int32Type>(column, rows),
            Class::Int8 => self.add_ints::<Int64Type>(column, rows),
            Class::Float4 => self.add_floats::<Float32Type>(column, rows),
            _ => self.add_floats::<Float64Type>(column, rows),
        }
    }

    fn add_ints<T: ArrowPrimitiveType<Native: Into<i64>>>(&mut self, column: &ArrayRef, rows: Range<usize>) {
        let Open::Int(mut open) = self.open else { return };
        self.nulls += each::<T>(column, rows, |v| {
            let v: i64 = v.into();
            let block = open.get_or_insert(Summary { min: v, max: v, sum: 0, first: v, last: v });
            (block.min, block.max) = (block.min.min(v), block.max.max(v));
            (block.sum, block.last) = (block.sum + i128::from(v), v);
        });
        self.open = Open::Int(open);
    }

    fn add_floats<T: ArrowPrimitiveType<Native: Into<f64>>>(&mut self, column: &ArrayRef, rows: Range<usize>) {
        let Open::Float(mut open) = self.open else { return };
        self.nulls += each::<T>(column, rows, |v| {
            let v: f64 = v.into();
            match &mut open {
                Some(block) => {
                    block.min = if is_less(v, block.min) { v } else { block.min };
                    block.max = if is_less(block.max, v) { v } else { block.max };
                    (block.sum, block.last) = (block.sum + v, v);
                }
                none => *none = Some(Summary { min: v, max: v, sum: v, first: v, last: v }),
            }
        });
        self.open = Open::Float(open);
    }

    /// Ends the block, which has `rows` rows.
    pub fn end_block(&mut self, rows: u32) {
        let nothing = nothing(&self.done);
        let (nulls, open) = (std::mem::take(&mut self.nulls), std::mem::replace(&mut self.open, nothing));
        let is_counted = u64::from(rows) >= COUNTED_ROWS_MIN;
        let (rows, nulls, open) = if is_counted { (rows, nulls, open) } else { (0, 0, nothing) };
        self.done.push(nulls, open);
        self.rows.push(rows);
        if self.rows.len() == CHUNK_BLOCKS {
            self.encode_chunk();
        }
    }

    fn encode_chunk(&mut self) {
        let empty = FieldStatistics::empty(matches!(self.open, Open::Float(_)));
        let (done, rows) = (std::mem::replace(&mut self.done, empty), std::mem::take(&mut self.rows));
        let mut chunk = Vec::new();
        if rows.iter().any(|rows| *rows > 0) {
            encode(&done, &rows, &mut chunk);
        }
        put(&mut self.bytes, chunk.len() as u128);
        self.bytes.extend_from_slice(&chunk);
    }

    /// Of all blocks, encoded.
    pub fn finish(mut self) -> Vec<u8> {
        if !self.rows.is_empty() {
            self.encode_chunk();
        }
        self.bytes
    }
}

fn nothing(statistics: &FieldStatistics) -> Open {
    match statistics.values {
        FieldValues::Ints(_) => Open::Int(None),
        FieldValues::Floats(_) => Open::Float(None),
    }
}

/// PostgreSQL's order: NaN above everything.
fn is_less(a: f64, b: f64) -> bool {
    a < b || (b.is_nan() && !a.is_nan())
}

/// Calls `f` for each value in `rows` that is not NULL; how many are.
fn each<T: ArrowPrimitiveType>(column: &ArrayRef, rows: Range<usize>, mut f: impl FnMut(T::Native)) -> u32 {
    let column = column.as_primitive::<T>();
    let values = &column.values()[rows.clone()];
    let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else {
        values.iter().for_each(|v| f(*v));
        return 0;
    };
    let mut skipped = 0;
    for (row, v) in rows.zip(values) {
        if nulls.is_valid(row) {
            f(*v);
        } else {
            skipped += 1;
        }
    }
    skipped
}
