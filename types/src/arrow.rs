//! How a column of each PostgreSQL type lies in memory.
//!
//! | class | Arrow |
//! |---|---|
//! | bool, int2/4/8, float4/8 | Boolean, Int16/32/64, Float32/64 |
//! | numeric | Binary ([`crate::Numeric::to_bytes`]) |
//! | text-like, json, jsonb, "char", name | Utf8 |
//! | bytea | Binary |
//! | date | Date32 |
//! | time | Time64(us) |
//! | timestamp / timestamptz | Timestamp(us, None) / Timestamp(us, "UTC") |
//! | interval, uuid | FixedSizeBinary(16) |
//! | oid, reg* | UInt32 |
//! | arrays, int2vector | Binary ([`crate::PgArray::to_bytes`]) |
//! | unknown, void | Utf8 |
//!
//! Called by the engines' scans (through [`crate::row::RowLayout::decode_into`]), the planner's kernels and the wire writers.
//! The bytes of numeric and array columns are checked when they enter a builder, so that reading a column cannot fail.

mod builder;

pub use builder::ColumnBuilder;

use crate::{Class, Datum, Interval, Numeric, PgArray, PgType, Result, key, oid};
use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt32Type,
};
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, TimeUnit};
use std::sync::Arc;

/// The Arrow type of a PostgreSQL type.
pub fn data_type(ty: PgType) -> DataType {
    match ty.class() {
        Class::Bool => DataType::Boolean,
        Class::Int2 => DataType::Int16,
        Class::Int4 => DataType::Int32,
        Class::Int8 => DataType::Int64,
        Class::Float4 => DataType::Float32,
        Class::Float8 => DataType::Float64,
        Class::Numeric | Class::Bytea | Class::Array => DataType::Binary,
        Class::Text => DataType::Utf8,
        Class::Date => DataType::Date32,
        Class::Time => DataType::Time64(TimeUnit::Microsecond),
        Class::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, zone(ty)),
        Class::Interval | Class::Uuid => DataType::FixedSizeBinary(16),
        Class::Oid => DataType::UInt32,
    }
}

/// The zone in the Arrow type: timestamptz is UTC, timestamp has none.
fn zone(ty: PgType) -> Option<Arc<str>> {
    (ty.oid == oid::TIMESTAMPTZ).then(|| "UTC".into())
}

/// Row `i` of `array`, which holds values of `ty`.
///
/// # Panics
/// When the column's Arrow type is not [`data_type`]'s, which is a bug of the plan that made it.
pub fn datum_at(array: &ArrayRef, ty: PgType, i: usize) -> Datum {
    if is_null_at(array, i) {
        return Datum::Null;
    }
    match ty.class() {
        Class::Bool => Datum::Bool(array.as_boolean().value(i)),
        Class::Int2 => Datum::Int2(primitive::<Int16Type>(array, i)),
        Class::Int4 => Datum::Int4(primitive::<Int32Type>(array, i)),
        Class::Int8 => Datum::Int8(primitive::<Int64Type>(array, i)),
        Class::Float4 => Datum::Float4(primitive::<Float32Type>(array, i)),
        Class::Float8 => Datum::Float8(primitive::<Float64Type>(array, i)),
        Class::Numeric => Datum::Numeric(numeric_at(array, i)),
        Class::Text => Datum::Text(text_at(array, i).into()),
        Class::Bytea => Datum::Bytea(bytes_at(array, i).into()),
        Class::Date => Datum::Date(primitive::<Date32Type>(array, i)),
        Class::Time => Datum::Time(primitive::<Time64MicrosecondType>(array, i)),
        Class::Timestamp => Datum::Timestamp(primitive::<TimestampMicrosecondType>(array, i)),
        Class::Interval => Datum::Interval(Interval::from_bytes(sixteen_at(array, i))),
        Class::Uuid => Datum::Uuid(sixteen_at(array, i)),
        Class::Oid => Datum::Oid(primitive::<UInt32Type>(array, i)),
        Class::Array => {
            let bytes = bytes_at(array, i);
            Datum::Array(Arc::new(PgArray::from_bytes(bytes).expect("checked when it entered the column")))
        }
    }
}

/// Is row `i` NULL? An all-NULL column of Arrow's Null type has no null bitmap.
pub fn is_null_at(array: &ArrayRef, i: usize) -> bool {
    array.is_null(i) || *array.data_type() == DataType::Null
}

/// The numeric in row `i`, which is not NULL.
pub fn numeric_at(array: &ArrayRef, i: usize) -> Numeric {
    Numeric::from_bytes(bytes_at(array, i)).expect("checked when it entered the column")
}

/// The string in row `i`, which is not NULL.
pub fn text_at(array: &ArrayRef, i: usize) -> &str {
    match array.data_type() {
        DataType::Utf8View => array.as_string_view().value(i),
        DataType::LargeUtf8 => array.as_string::<i64>().value(i),
        _ => array.as_string::<i32>().value(i),
    }
}

/// The bytes in row `i`, which is not NULL.
pub fn bytes_at(array: &ArrayRef, i: usize) -> &[u8] {
    match array.data_type() {
        DataType::BinaryView => array.as_binary_view().value(i),
        DataType::LargeBinary => array.as_binary::<i64>().value(i),
        _ => array.as_binary::<i32>().value(i),
    }
}

/// The number in row `i`, which is not NULL.
pub(crate) fn primitive<T: ArrowPrimitiveType>(array: &ArrayRef, i: usize) -> T::Native {
    array.as_primitive::<T>().value(i)
}

/// The sixteen bytes in row `i`, which is not NULL.
pub(crate) fn sixteen_at(array: &ArrayRef, i: usize) -> [u8; 16] {
    array.as_fixed_size_binary().value(i).try_into().expect("the column is FixedSizeBinary(16)")
}

/// `n` copies of `value` as a column of `ty`.
pub fn repeat(value: &Datum, ty: PgType, n: usize) -> Result<ArrayRef> {
    if let (Datum::Numeric(v), Class::Numeric) = (value, ty.class()) {
        let bytes = v.to_bytes();
        builder::check_room(0, bytes.len().saturating_mul(n))?;
        let ends = OffsetBuffer::from_repeated_length(bytes.len(), n);
        return Ok(Arc::new(BinaryArray::new(ends, bytes.repeat(n).into(), None)));
    }
    let mut builder = ColumnBuilder::new(ty, n);
    for _ in 0..n {
        builder.append(value)?;
    }
    Ok(builder.finish())
}

/// A column from values.
pub fn column(values: &[Datum], ty: PgType) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(ty, values.len());
    for value in values {
        builder.append(value)?;
    }
    Ok(builder.finish())
}

/// The canonical sort key of each value (see [`crate::key`]; without the NULL marker) as a Binary column; NULL stays NULL.
pub fn sort_key(array: &ArrayRef, ty: PgType) -> Result<ArrayRef> {
    let mut out = BinaryBuilder::with_capacity(array.len(), array.len() * 12);
    let class = ty.class();
    let mut scratch = Vec::new();
    for i in 0..array.len() {
        if is_null_at(array, i) {
            out.append_null();
            continue;
        }
        match class {
            Class::Float4 => out.append_value(key::float4(primitive::<Float32Type>(array, i))),
            Class::Float8 => out.append_value(key::float8(primitive::<Float64Type>(array, i))),
            Class::Interval => out.append_value(key::interval(Interval::from_bytes(sixteen_at(array, i)))),
            _ => {
                scratch.clear();
                match class {
                    Class::Numeric => key::numeric(&mut scratch, &Numeric::from_bytes(bytes_at(array, i))?),
                    Class::Text if ty.oid == oid::JSONB => key::jsonb(&mut scratch, text_at(array, i))?,
                    _ => key::encode_value(&mut scratch, &datum_at(array, ty, i)),
                }
                builder::check_room(out.values_slice().len(), scratch.len())?;
                out.append_value(&scratch);
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

/// True when Arrow's equality and order over the column are PostgreSQL's, so that no sort key is needed.
pub fn native_order(ty: PgType) -> bool {
    match ty.class() {
        Class::Float4 | Class::Float8 | Class::Numeric | Class::Interval | Class::Array => false,
        _ => ty.oid != oid::JSONB,
    }
}
