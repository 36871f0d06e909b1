//! How the columns of a group of rows are encoded: numbers, dates and times by steps or pco, the rest by zstd, NULLs beside them.
//!
//! A column of a group is a head (what the pages share, may be empty) and pages, which are decoded alone. Byte tables in
//! docs/formats/segment.md; [`super::column_reader`] reads.

use super::blob::put_blob;
use super::coding;
use super::items::put_items;
use super::numbers::{self, Packed};
use super::steps::Stepped;
use super::times::encode_runs;
use arrow::array::{Array, ArrayRef, AsArray, BooleanBufferBuilder};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, TimestampMicrosecondType};
use heddle_engines::point::SeriesLayout;
use heddle_types::arrow::data_type;
use std::ops::Range;

/// Rows of a page: what the reader of a few rows decodes at most.
pub const PAGE_ROWS: usize = 4096;
/// Rows of a group: what a scan holds in memory, compressed, and a writer as it came.
pub const GROUP_ROWS: usize = 32 * PAGE_ROWS;

/// How a page begins: no NULLs, nothing else, or some; then which rows have a value follows.
pub const NO_NULLS: u8 = 0;
/// See [`NO_NULLS`].
pub const ALL_NULL: u8 = 1;
/// See [`NO_NULLS`].
pub const SOME_NULLS: u8 = 2;

/// What stands for the types of time and the first `fields` fields in the sidecar.
pub fn type_codes(layout: &SeriesLayout, fields: usize) -> Vec<u8> {
    let columns = [&layout.time].into_iter().chain(layout.fields.iter().take(fields));
    columns.map(|column| type_code(&data_type(column.ty))).collect()
}

fn type_code(ty: &DataType) -> u8 {
    match ty {
        DataType::Boolean => 1,
        DataType::Int16 => 2,
        DataType::Int32 => 3,
        DataType::Int64 => 4,
        DataType::Float32 => 5,
        DataType::Float64 => 6,
        DataType::UInt32 => 7,
        DataType::Date32 => 8,
        DataType::Time64(_) => 9,
        DataType::Timestamp(_, None) => 10,
        DataType::Timestamp(_, Some(_)) => 11,
        DataType::Utf8 => 12,
        DataType::Binary => 13,
        DataType::FixedSizeBinary(_) => 14,
        other => unreachable!("no field is a {other}"),
    }
}

/// Runs `$call` with `$T` as the Arrow type of `$ty` if it is one of numbers, else `$other`.
macro_rules! with_numbers {
    (@ $ty:expr, $T:ident, $call:expr, $other:expr, $($pattern:pat => $type:ident),*) => {
        match $ty {
            $($pattern => {
                type $T = arrow::datatypes::$type;
                $call
            })*
            _ => $other,
        }
    };
    ($ty:expr, $T:ident => $call:expr, _ => $other:expr) => {
        with_numbers!(@ $ty, $T, $call, $other,
            DataType::Int16 => Int16Type, DataType::Int32 => Int32Type, DataType::Int64 => Int64Type,
            DataType::UInt32 => UInt32Type, DataType::Float32 => Float32Type, DataType::Float64 => Float64Type,
            DataType::Date32 => Date32Type, DataType::Time64(_) => Time64MicrosecondType,
            DataType::Timestamp(_, _) => TimestampMicrosecondType)
    };
}
pub(super) use with_numbers;

/// The rows of each page of a group of `rows`.
fn pages(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(PAGE_ROWS).map(move |start| start..rows.min(start + PAGE_ROWS))
}

/// Encodes the times of a group.
pub fn encode_times(column: &ArrayRef) -> Packed {
    let times = &column.as_primitive::<TimestampMicrosecondType>().values()[..];
    let runs: Option<Vec<_>> = pages(times.len()).map(|rows| encode_runs(&times[rows])).collect();
    match runs {
        Some(pages) => Packed { head: Vec::new(), pages },
        None => numbers::pack(times, &pages(times.len()).map(|rows| rows.len()).collect::<Vec<_>>()),
    }
}

/// Encodes a field of a group.
pub fn encode(column: &ArrayRef) -> Packed {
    with_numbers!(column.data_type(), T => encode_numbers::<T>(column), _ => {
        let page = |rows: Range<usize>| encode_page(&column.slice(rows.start, rows.len()));
        Packed { head: Vec::new(), pages: pages(column.len()).map(page).collect() }
    })
}

fn encode_numbers<T: ArrowPrimitiveType<Native: Stepped>>(column: &ArrayRef) -> Packed {
    let numbers = column.as_primitive::<T>();
    let mut prefixes: Vec<Vec<u8>> = Vec::new();
    let mut counts = Vec::new();
    for rows in pages(column.len()) {
        let (mut prefix, page) = (Vec::new(), column.slice(rows.start, rows.len()));
        put_nulls(&mut prefix, &page);
        prefixes.push(prefix);
        counts.push(rows.len() - page.null_count());
    }
    let mut packed = match column.null_count() {
        0 => coding::pack(&numbers.values()[..], &counts),
        _ => coding::pack(&numbers.iter().flatten().collect::<Vec<_>>(), &counts),
    };
    for (page, mut prefix) in packed.pages.iter_mut().zip(prefixes) {
        prefix.append(page);
        *page = prefix;
    }
    packed
}

/// A page of values that are not numbers.
fn encode_page(page: &ArrayRef) -> Vec<u8> {
    let mut out = Vec::new();
    put_nulls(&mut out, page);
    let present = (0..page.len()).filter(|row| page.is_valid(*row));
    if page.null_count() == page.len() {
        return out;
    }
    match page.data_type() {
        DataType::Boolean => put_blob(&mut out, &bits(page.as_boolean().values())),
        DataType::Utf8 => {
            let column = page.as_string::<i32>();
            put_items(&mut out, &present.map(|row| column.value(row).as_bytes()).collect::<Vec<_>>(), None);
        }
        DataType::Binary => {
            let column = page.as_binary::<i32>();
            put_items(&mut out, &present.map(|row| column.value(row)).collect::<Vec<_>>(), None);
        }
        DataType::FixedSizeBinary(width) => {
            let column = page.as_fixed_size_binary();
            let items: Vec<_> = present.map(|row| column.value(row)).collect();
            put_items(&mut out, &items, Some(*width as usize));
        }
        other => unreachable!("no field is a {other}"),
    }
    out
}

fn put_nulls(out: &mut Vec<u8>, page: &ArrayRef) {
    match page.nulls() {
        Some(nulls) if nulls.null_count() == page.len() => out.push(ALL_NULL),
        Some(nulls) if nulls.null_count() > 0 => {
            out.push(SOME_NULLS);
            put_blob(out, &bits(nulls.inner()));
        }
        _ => out.push(NO_NULLS),
    }
}

/// Eight in a byte, the first one lowest; 0 after the end.
fn bits(bits: &BooleanBuffer) -> Vec<u8> {
    let mut out = BooleanBufferBuilder::new(bits.len());
    out.append_buffer(bits);
    out.finish().inner().as_slice()[..bits.len().div_ceil(8)].to_vec()
}
