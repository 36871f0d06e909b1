//! How one non-NULL value lies on disk: the codec that rows and arrays share. The class comes from the type, not from the bytes.
//!
//! | class | bytes |
//! |---|---|
//! | bool | 0 or 1 |
//! | int2/4/8, float4/8, date, time, timestamp, oid | fixed width, little-endian |
//! | interval, uuid | 16 bytes |
//! | text, bytea, numeric, array | length varint, then the bytes |
//!
//! Reading checks everything: bytes from disk may be anything, and must answer `XX001`, never a panic.

use crate::arrow::{bytes_at, is_null_at, primitive, sixteen_at, text_at};
use crate::pgtype::Class;
use crate::{Datum, Error, Interval, Numeric, PgArray, Result, SqlState};
use arrow::array::types::{
    Date32Type, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType, UInt32Type,
};
use arrow::array::{ArrayRef, AsArray};
use std::sync::Arc;

/// `XX001`
pub(crate) fn corrupted(what: &str) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, what)
}

/// Appends an unsigned LEB128 integer.
pub(crate) fn write_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// The rest of a stored tuple.
pub(crate) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `n` bytes.
    #[inline]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(|| corrupted("stored value ends early"))?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    #[inline]
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(|| corrupted("stored value ends early"))?;
        self.0 = rest;
        Ok(*head)
    }

    /// An unsigned LEB128 integer.
    #[inline]
    pub fn varint(&mut self) -> Result<u64> {
        let mut v = 0u64;
        for shift in (0..63).step_by(7) {
            let [b] = self.fixed::<1>()?;
            v |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Ok(v);
            }
        }
        Err(corrupted("stored length is malformed"))
    }

    /// A length and that many bytes.
    #[inline]
    pub fn sized(&mut self) -> Result<&'a [u8]> {
        let n = usize::try_from(self.varint()?).map_err(|_| corrupted("stored length is malformed"))?;
        self.take(n)
    }

    /// One byte, 0 or 1.
    pub fn bool(&mut self) -> Result<bool> {
        match self.fixed::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(corrupted("stored boolean is neither 0 nor 1")),
        }
    }

    /// Steps over a value of `class` without looking at it.
    pub fn skip(&mut self, class: Class) -> Result<()> {
        match width(class) {
            Some(n) => self.take(n.into())?,
            None => self.sized()?,
        };
        Ok(())
    }

    /// Reads a value of `class`.
    pub fn value(&mut self, class: Class) -> Result<Datum> {
        let bytes = match width(class) {
            Some(n) => self.take(n.into())?,
            None => self.sized()?,
        };
        value(class, bytes)
    }
}

/// The value of `class` that these bytes are, without the length that may stand before them.
pub(crate) fn value(class: Class, bytes: &[u8]) -> Result<Datum> {
    Ok(match class {
        Class::Bool => Datum::Bool(Reader(bytes).bool()?),
        Class::Int2 => Datum::Int2(i16::from_le_bytes(fixed(bytes)?)),
        Class::Int4 => Datum::Int4(i32::from_le_bytes(fixed(bytes)?)),
        Class::Int8 => Datum::Int8(i64::from_le_bytes(fixed(bytes)?)),
        Class::Float4 => Datum::Float4(f32::from_le_bytes(fixed(bytes)?)),
        Class::Float8 => Datum::Float8(f64::from_le_bytes(fixed(bytes)?)),
        Class::Numeric => Datum::Numeric(Numeric::from_bytes(bytes)?),
        Class::Text => Datum::Text(text(bytes)?.into()),
        Class::Bytea => Datum::Bytea(bytes.into()),
        Class::Date => Datum::Date(i32::from_le_bytes(fixed(bytes)?)),
        Class::Time => Datum::Time(i64::from_le_bytes(fixed(bytes)?)),
        Class::Timestamp => Datum::Timestamp(i64::from_le_bytes(fixed(bytes)?)),
        Class::Interval => Datum::Interval(Interval::from_bytes(fixed(bytes)?)),
        Class::Uuid => Datum::Uuid(fixed(bytes)?),
        Class::Oid => Datum::Oid(u32::from_le_bytes(fixed(bytes)?)),
        Class::Array => Datum::Array(Arc::new(PgArray::from_bytes(bytes)?)),
    })
}

/// Bytes that are a stored text.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| corrupted("stored text is not UTF-8"))
}

/// Bytes that are a value of fixed width.
#[inline]
pub(crate) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| corrupted("stored value has another width"))
}

/// Bytes of a class of fixed width.
pub(crate) fn width(class: Class) -> Option<u8> {
    match class {
        Class::Bool => Some(1),
        Class::Int2 => Some(2),
        Class::Int4 | Class::Float4 | Class::Date | Class::Oid => Some(4),
        Class::Int8 | Class::Float8 | Class::Time | Class::Timestamp => Some(8),
        Class::Interval | Class::Uuid => Some(16),
        Class::Numeric | Class::Text | Class::Bytea | Class::Array => None,
    }
}

/// Appends a value; NULL appends nothing (the bitmap says it).
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Datum) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push((*v).into()),
        Datum::Int2(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Int4(v) | Datum::Date(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Float4(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Float8(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Oid(v) => out.extend_from_slice(&v.to_le_bytes()),
        Datum::Interval(v) => out.extend_from_slice(&v.to_bytes()),
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Text(v) => write_sized(out, v.as_bytes()),
        Datum::Bytea(v) => write_sized(out, v),
        Datum::Numeric(v) => write_sized(out, &v.to_bytes()),
        Datum::Array(v) => write_sized(out, &v.to_bytes()),
    }
}

/// Appends row `i` of a column of `class`; NULL appends nothing.
pub(crate) fn write_at(out: &mut Vec<u8>, column: &ArrayRef, class: Class, i: usize) {
    if is_null_at(column, i) {
        return;
    }
    match class {
        Class::Bool => out.push(column.as_boolean().value(i).into()),
        Class::Int2 => out.extend_from_slice(&primitive::<Int16Type>(column, i).to_le_bytes()),
        Class::Int4 => out.extend_from_slice(&primitive::<Int32Type>(column, i).to_le_bytes()),
        Class::Int8 => out.extend_from_slice(&primitive::<Int64Type>(column, i).to_le_bytes()),
        Class::Float4 => out.extend_from_slice(&primitive::<Float32Type>(column, i).to_le_bytes()),
        Class::Float8 => out.extend_from_slice(&primitive::<Float64Type>(column, i).to_le_bytes()),
        Class::Date => out.extend_from_slice(&primitive::<Date32Type>(column, i).to_le_bytes()),
        Class::Time => out.extend_from_slice(&primitive::<Time64MicrosecondType>(column, i).to_le_bytes()),
        Class::Timestamp => out.extend_from_slice(&primitive::<TimestampMicrosecondType>(column, i).to_le_bytes()),
        Class::Oid => out.extend_from_slice(&primitive::<UInt32Type>(column, i).to_le_bytes()),
        Class::Interval | Class::Uuid => out.extend_from_slice(&sixteen_at(column, i)),
        Class::Text => write_sized(out, text_at(column, i).as_bytes()),
        // Their bytes in a column are those in a row.
        Class::Bytea | Class::Numeric | Class::Array => write_sized(out, bytes_at(column, i)),
    }
}

fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
