//! [`ColumnBuilder`]: values in, one Arrow column out.

use super::zone;
use crate::numeric::check_bytes;
use crate::stored::{Reader, fixed, text};
use crate::{Class, Datum, Error, PgArray, PgType, Result, SqlState};
use arrow::array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, FixedSizeBinaryBuilder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow::array::{ArrayBuilder, ArrayRef};
use std::sync::Arc;

/// Builds one column of one PostgreSQL type.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// bool
    Bool(BooleanBuilder),
    /// int2
    Int2(Int16Builder),
    /// int4
    Int4(Int32Builder),
    /// int8
    Int8(Int64Builder),
    /// float4
    Float4(Float32Builder),
    /// float8
    Float8(Float64Builder),
    /// numeric, as its bytes
    Numeric(BinaryBuilder),
    /// text-like
    Text(StringBuilder),
    /// bytea
    Bytea(BinaryBuilder),
    /// date
    Date(Date32Builder),
    /// time
    Time(Time64MicrosecondBuilder),
    /// timestamp, timestamptz
    Timestamp(TimestampMicrosecondBuilder),
    /// interval
    Interval(FixedSizeBinaryBuilder),
    /// uuid
    Uuid(FixedSizeBinaryBuilder),
    /// oid and reg*
    Oid(UInt32Builder),
    /// Arrays, as their bytes
    Array(BinaryBuilder),
}

/// Runs `$body` with `$b` bound to whichever builder `$self` holds.
macro_rules! each {
    ($self:expr, $b:ident => $body:expr) => {
        match $self {
            ColumnBuilder::Bool($b) => $body,
            ColumnBuilder::Int2($b) => $body,
            ColumnBuilder::Int4($b) => $body,
            ColumnBuilder::Int8($b) => $body,
            ColumnBuilder::Float4($b) => $body,
            ColumnBuilder::Float8($b) => $body,
            ColumnBuilder::Text($b) => $body,
            ColumnBuilder::Numeric($b) | ColumnBuilder::Bytea($b) | ColumnBuilder::Array($b) => $body,
            ColumnBuilder::Date($b) => $body,
            ColumnBuilder::Time($b) => $body,
            ColumnBuilder::Timestamp($b) => $body,
            ColumnBuilder::Interval($b) | ColumnBuilder::Uuid($b) => $body,
            ColumnBuilder::Oid($b) => $body,
        }
    };
}

impl ColumnBuilder {
    /// A builder for `ty` with room for `capacity` rows.
    pub fn new(ty: PgType, capacity: usize) -> Self {
        let binary = || BinaryBuilder::with_capacity(capacity, capacity * 16);
        match ty.class() {
            Class::Bool => Self::Bool(BooleanBuilder::with_capacity(capacity)),
            Class::Int2 => Self::Int2(Int16Builder::with_capacity(capacity)),
            Class::Int4 => Self::Int4(Int32Builder::with_capacity(capacity)),
            Class::Int8 => Self::Int8(Int64Builder::with_capacity(capacity)),
            Class::Float4 => Self::Float4(Float32Builder::with_capacity(capacity)),
            Class::Float8 => Self::Float8(Float64Builder::with_capacity(capacity)),
            Class::Numeric => Self::Numeric(binary()),
            Class::Text => Self::Text(StringBuilder::with_capacity(capacity, capacity * 16)),
            Class::Bytea => Self::Bytea(binary()),
            Class::Date => Self::Date(Date32Builder::with_capacity(capacity)),
            Class::Time => Self::Time(Time64MicrosecondBuilder::with_capacity(capacity)),
            Class::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity).with_timezone_opt(zone(ty)))
            }
            Class::Interval => Self::Interval(FixedSizeBinaryBuilder::with_capacity(capacity, 16)),
            Class::Uuid => Self::Uuid(FixedSizeBinaryBuilder::with_capacity(capacity, 16)),
            Class::Oid => Self::Oid(UInt32Builder::with_capacity(capacity)),
            Class::Array => Self::Array(binary()),
        }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        each!(self, b => b.len())
    }

    /// No rows yet?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a value; `XX000` when its class is not the column's.
    pub fn append(&mut self, value: &Datum) -> Result<()> {
        match (self, value) {
            (b, Datum::Null) => b.append_null(),
            (Self::Bool(b), Datum::Bool(v)) => b.append_value(*v),
            (Self::Int2(b), Datum::Int2(v)) => b.append_value(*v),
            (Self::Int4(b), Datum::Int4(v)) => b.append_value(*v),
            (Self::Int8(b), Datum::Int8(v)) => b.append_value(*v),
            (Self::Float4(b), Datum::Float4(v)) => b.append_value(*v),
            (Self::Float8(b), Datum::Float8(v)) => b.append_value(*v),
            (Self::Numeric(b), Datum::Numeric(v)) => append_bytes(b, &v.to_bytes())?,
            (Self::Text(b), Datum::Text(v)) => append_text(b, v)?,
            (Self::Bytea(b), Datum::Bytea(v)) => append_bytes(b, v)?,
            (Self::Date(b), Datum::Date(v)) => b.append_value(*v),
            (Self::Time(b), Datum::Time(v)) => b.append_value(*v),
            (Self::Timestamp(b), Datum::Timestamp(v)) => b.append_value(*v),
            (Self::Interval(b), Datum::Interval(v)) => append_sixteen(b, v.to_bytes()),
            (Self::Uuid(b), Datum::Uuid(v)) => append_sixteen(b, *v),
            (Self::Oid(b), Datum::Oid(v)) => b.append_value(*v),
            (Self::Array(b), Datum::Array(v)) => append_bytes(b, &v.to_bytes())?,
            (b, v) => return Err(wrong_class(b, v.class())),
        }
        Ok(())
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        each!(self, b => b.append_null());
    }

    /// Appends a string to a text column; `XX000` when it is none.
    pub fn append_text(&mut self, s: &str) -> Result<()> {
        match self {
            Self::Text(b) => append_text(b, s),
            b => Err(wrong_class(b, Some(Class::Text))),
        }
    }

    /// The column; the builder is empty again.
    pub fn finish(&mut self) -> ArrayRef {
        each!(self, b => Arc::new(b.finish()))
    }

    /// [`Self::finish`], leaving room for `capacity` rows; strings and bytes for as many as there were.
    pub fn finish_with(&mut self, capacity: usize) -> ArrayRef {
        let bytes = match self {
            Self::Text(b) => b.values_slice().len(),
            Self::Numeric(b) | Self::Bytea(b) | Self::Array(b) => b.values_slice().len(),
            _ => 0,
        };
        let next = match self {
            Self::Text(_) => Self::Text(StringBuilder::with_capacity(capacity, bytes)),
            Self::Numeric(_) => Self::Numeric(BinaryBuilder::with_capacity(capacity, bytes)),
            Self::Bytea(_) => Self::Bytea(BinaryBuilder::with_capacity(capacity, bytes)),
            Self::Array(_) => Self::Array(BinaryBuilder::with_capacity(capacity, bytes)),
            Self::Bool(_) => Self::Bool(BooleanBuilder::with_capacity(capacity)),
            Self::Int2(_) => Self::Int2(Int16Builder::with_capacity(capacity)),
            Self::Int4(_) => Self::Int4(Int32Builder::with_capacity(capacity)),
            Self::Int8(_) => Self::Int8(Int64Builder::with_capacity(capacity)),
            Self::Date(_) => Self::Date(Date32Builder::with_capacity(capacity)),
            // The others keep their type's details; their room grows as it is needed.
            _ => return self.finish(),
        };
        std::mem::replace(self, next).finish()
    }

    /// Appends a stored value of `class` (without its length) and builds no [`Datum`].
    pub(crate) fn append_stored(&mut self, class: Class, bytes: &[u8]) -> Result<()> {
        match (self, class) {
            (Self::Bool(b), Class::Bool) => b.append_value(Reader(bytes).bool()?),
            (Self::Int2(b), Class::Int2) => b.append_value(i16::from_le_bytes(fixed(bytes)?)),
            (Self::Int4(b), Class::Int4) => b.append_value(i32::from_le_bytes(fixed(bytes)?)),
            (Self::Int8(b), Class::Int8) => b.append_value(i64::from_le_bytes(fixed(bytes)?)),
            (Self::Float4(b), Class::Float4) => b.append_value(f32::from_le_bytes(fixed(bytes)?)),
            (Self::Float8(b), Class::Float8) => b.append_value(f64::from_le_bytes(fixed(bytes)?)),
            (Self::Numeric(b), Class::Numeric) => {
                check_bytes(bytes)?;
                append_bytes(b, bytes)?;
            }
            (Self::Text(b), Class::Text) => append_text(b, text(bytes)?)?,
            (Self::Bytea(b), Class::Bytea) => append_bytes(b, bytes)?,
            (Self::Date(b), Class::Date) => b.append_value(i32::from_le_bytes(fixed(bytes)?)),
            (Self::Time(b), Class::Time) => b.append_value(i64::from_le_bytes(fixed(bytes)?)),
            (Self::Timestamp(b), Class::Timestamp) => b.append_value(i64::from_le_bytes(fixed(bytes)?)),
            (Self::Interval(b), Class::Interval) | (Self::Uuid(b), Class::Uuid) => append_sixteen(b, fixed(bytes)?),
            (Self::Oid(b), Class::Oid) => b.append_value(u32::from_le_bytes(fixed(bytes)?)),
            (Self::Array(b), Class::Array) => {
                PgArray::from_bytes(bytes)?;
                append_bytes(b, bytes)?;
            }
            (b, class) => return Err(wrong_class(b, Some(class))),
        }
        Ok(())
    }
}

fn append_bytes(b: &mut BinaryBuilder, v: &[u8]) -> Result<()> {
    check_room(b.values_slice().len(), v.len())?;
    b.append_value(v);
    Ok(())
}

fn append_text(b: &mut StringBuilder, v: &str) -> Result<()> {
    check_room(b.values_slice().len(), v.len())?;
    b.append_value(v);
    Ok(())
}

fn append_sixteen(b: &mut FixedSizeBinaryBuilder, v: [u8; 16]) {
    b.append_value(v).expect("the builder is FixedSizeBinary(16)");
}

/// Arrow's 32-bit offsets end at 2 GiB a column; `54000` there instead of its panic.
pub(super) fn check_room(used: usize, more: usize) -> Result<()> {
    if used + more <= i32::MAX as usize {
        return Ok(());
    }
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "batch of rows exceeds two gigabytes in one column"))
}

fn wrong_class(b: &ColumnBuilder, class: Option<Class>) -> Error {
    let column = format!("{b:?}");
    let column = column.split('(').next().unwrap_or_default();
    Error::internal(format!("value of class {class:?} in a column of class {column}"))
}
