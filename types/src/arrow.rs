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
//! | arrays | Binary ([`crate::PgArray::to_bytes`]) |
//! | unknown, void | Utf8 |

use crate::{Datum, PgType, Result};
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

/// The Arrow type of a PostgreSQL type.
pub fn data_type(_ty: PgType) -> DataType { todo!() }

/// Row `i` of `array`, which holds values of `ty`.
pub fn datum_at(_array: &ArrayRef, _ty: PgType, _i: usize) -> Datum { todo!() }

/// `n` copies of `value` as a column of `ty`.
pub fn repeat(_value: &Datum, _ty: PgType, _n: usize) -> Result<ArrayRef> { todo!() }

/// A column from values.
pub fn column(_values: &[Datum], _ty: PgType) -> Result<ArrayRef> { todo!() }

/// Builds one column of one PostgreSQL type.
pub enum ColumnBuilder {}

impl ColumnBuilder {
    /// A builder for `ty` with room for `capacity` rows.
    pub fn new(_ty: PgType, _capacity: usize) -> Self { todo!() }
    /// Appends a value; `XX000` when its class is not the column's.
    pub fn append(&mut self, _value: &Datum) -> Result<()> { todo!() }
    /// Appends NULL.
    pub fn append_null(&mut self) { todo!() }
    /// The column; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef { todo!() }
}

/// The canonical sort key of each value (see [`crate::key`]) as a Binary column; NULL stays NULL.
pub fn sort_key(_array: &ArrayRef, _ty: PgType) -> Result<ArrayRef> { todo!() }

/// True when Arrow's equality and order over the column are PostgreSQL's, so that no sort key is needed.
pub fn native_order(_ty: PgType) -> bool { todo!() }
