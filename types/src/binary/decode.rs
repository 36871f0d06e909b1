//! Binary wire forms to values. The bytes come from a client and are never trusted.

use super::{EPOCH_2000_DAYS, EPOCH_2000_US};
use crate::arrow::ColumnBuilder;
use crate::text::check_utf8;
use crate::{Datum, Error, Interval, Numeric, Oid, PgArray, PgType, Result, SqlState, coerce, datetime, json, oid};
use std::sync::Arc;

/// PostgreSQL's MAXDIM.
const DIMS_MAX: usize = 6;

fn incorrect() -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "incorrect binary data format")
}

/// Reads a binary parameter. `22P03` (`incorrect binary data format`), `22021` for bad UTF-8 or NUL, `22P02` for bad json.
pub fn decode(bytes: &[u8], ty: PgType) -> Result<Datum> {
    let value = match ty.oid {
        oid::BOOL => Datum::Bool(fixed::<1>(bytes)?[0] != 0),
        oid::INT2 => Datum::Int2(i16::from_be_bytes(fixed(bytes)?)),
        oid::INT4 => Datum::Int4(i32::from_be_bytes(fixed(bytes)?)),
        oid::INT8 => Datum::Int8(i64::from_be_bytes(fixed(bytes)?)),
        oid::FLOAT4 => Datum::Float4(f32::from_be_bytes(fixed(bytes)?)),
        oid::FLOAT8 => Datum::Float8(f64::from_be_bytes(fixed(bytes)?)),
        oid::NUMERIC => Datum::Numeric(Numeric::from_wire(bytes)?),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::UNKNOWN => Datum::text(check_utf8(bytes)?),
        oid::NAME => {
            let s = check_utf8(bytes)?;
            if s.len() > 63 {
                return Err(Error::new(SqlState::NAME_TOO_LONG, "identifier too long")
                    .detail("Identifier must be less than 64 characters."));
            }
            Datum::text(s)
        }
        oid::CHAR => {
            let b = fixed::<1>(bytes)?[0];
            Datum::text(if b == 0 { String::new() } else { char::from(b).to_string() })
        }
        oid::JSON => {
            let s = check_utf8(bytes)?;
            json::validate(s)?;
            Datum::text(s)
        }
        oid::JSONB => decode_jsonb(bytes)?,
        oid::BYTEA => Datum::Bytea(bytes.into()),
        oid::DATE => Datum::Date(decode_date(i32::from_be_bytes(fixed(bytes)?))?),
        oid::TIME => Datum::Time(decode_time(i64::from_be_bytes(fixed(bytes)?))?),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => Datum::Timestamp(decode_timestamp(i64::from_be_bytes(fixed(bytes)?))?),
        oid::INTERVAL => {
            let b: [u8; 16] = fixed(bytes)?;
            let word = |at: usize| i32::from_be_bytes(b[at..at + 4].try_into().expect("four bytes"));
            let us = i64::from_be_bytes(b[..8].try_into().expect("eight bytes"));
            Datum::Interval(Interval { us, days: word(8), months: word(12) })
        }
        oid::UUID => Datum::Uuid(fixed(bytes)?),
        oid::OID | oid::XID | oid::REGPROC | oid::REGCLASS | oid::REGTYPE | oid::REGNAMESPACE | oid::REGROLE => {
            Datum::Oid(u32::from_be_bytes(fixed(bytes)?))
        }
        oid::VOID => Datum::text(""),
        _ => match ty.element() {
            Some(elem) => return decode_array(bytes, elem),
            None if ty.oid == oid::INT2VECTOR => return decode_array(bytes, PgType::new(oid::INT2)),
            None if ty.oid == oid::OIDVECTOR => return decode_array(bytes, PgType::new(oid::OID)),
            None => {
                let message = format!("no binary input function available for type {}", ty.info().name);
                return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message));
            }
        },
    };
    coerce::apply_typmod(value, ty, false)
}

/// [`decode`]s a value of `ty` and appends it to a column of that type, without a Datum for the usual types.
///
/// # Errors
/// As [`decode`]; `54000` when the column is full. Nothing was appended then.
pub fn decode_into(column: &mut ColumnBuilder, bytes: &[u8], ty: PgType) -> Result<()> {
    match (column, ty.oid) {
        (ColumnBuilder::Int2(b), oid::INT2) => b.append_value(i16::from_be_bytes(fixed(bytes)?)),
        (ColumnBuilder::Int4(b), oid::INT4) => b.append_value(i32::from_be_bytes(fixed(bytes)?)),
        (ColumnBuilder::Int8(b), oid::INT8) => b.append_value(i64::from_be_bytes(fixed(bytes)?)),
        (ColumnBuilder::Float4(b), oid::FLOAT4) => b.append_value(f32::from_be_bytes(fixed(bytes)?)),
        (ColumnBuilder::Float8(b), oid::FLOAT8) => b.append_value(f64::from_be_bytes(fixed(bytes)?)),
        (ColumnBuilder::Timestamp(b), oid::TIMESTAMP | oid::TIMESTAMPTZ) if ty.typmod < 0 => {
            b.append_value(decode_timestamp(i64::from_be_bytes(fixed(bytes)?))?);
        }
        (column, oid::TEXT) => column.append_text(check_utf8(bytes)?)?,
        (column, oid::VARCHAR) if ty.typmod < 0 => column.append_text(check_utf8(bytes)?)?,
        (column, _) => column.append(&decode(bytes, ty)?)?,
    }
    Ok(())
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    match bytes.len().cmp(&N) {
        std::cmp::Ordering::Less => Err(Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message")),
        std::cmp::Ordering::Equal => Ok(bytes.try_into().expect("the length was compared")),
        std::cmp::Ordering::Greater => Err(incorrect()),
    }
}

fn decode_jsonb(bytes: &[u8]) -> Result<Datum> {
    match bytes.split_first() {
        None => Err(Error::new(SqlState::PROTOCOL_VIOLATION, "no data left in message")),
        Some((1, text)) => Ok(Datum::text(json::normalize(check_utf8(text)?)?)),
        Some((v, _)) => Err(Error::internal(format!("unsupported jsonb version number {v}"))),
    }
}

fn decode_date(wire: i32) -> Result<i32> {
    if wire == i32::MIN || wire == i32::MAX {
        return Ok(wire);
    }
    wire.checked_add(EPOCH_2000_DAYS)
        .filter(|d| datetime::is_valid_date((*d).into()))
        .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"))
}

fn decode_time(wire: i64) -> Result<i64> {
    if (0..=datetime::DAY_US).contains(&wire) {
        return Ok(wire);
    }
    Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"))
}

fn decode_timestamp(wire: i64) -> Result<i64> {
    if wire == i64::MIN || wire == i64::MAX {
        return Ok(wire);
    }
    wire.checked_add(EPOCH_2000_US)
        .filter(|t| datetime::is_valid_timestamp(*t))
        .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .0
            .split_at_checked(n)
            .ok_or_else(|| Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"))?;
        self.0 = rest;
        Ok(head)
    }

    fn int(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().expect("four bytes")))
    }
}

fn decode_array(bytes: &[u8], elem: PgType) -> Result<Datum> {
    let mut r = Reader(bytes);
    let bad = |message: String| Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message);
    let ndim = r.int()?;
    if ndim < 0 {
        return Err(bad(format!("invalid number of dimensions: {ndim}")));
    }
    if ndim as usize > DIMS_MAX {
        let message = format!("number of array dimensions ({ndim}) exceeds the maximum allowed ({DIMS_MAX})");
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let flags = r.int()?;
    if flags != 0 && flags != 1 {
        return Err(bad("invalid array flags".to_owned()));
    }
    let wire_elem = Oid(r.int()? as u32);
    if wire_elem != elem.oid {
        let message = format!(
            "binary data has array element type {wire_elem} ({}) instead of expected {} ({})",
            PgType::new(wire_elem).sql_name(),
            elem.oid,
            PgType::new(elem.oid).sql_name()
        );
        return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
    }
    let mut dims = Vec::with_capacity(ndim as usize);
    let mut total: i64 = if ndim == 0 { 0 } else { 1 };
    for _ in 0..ndim {
        let (n, low) = (r.int()?, r.int()?);
        total = total.saturating_mul(n.into());
        if n < 0 || low.checked_add(n).is_none() || total > 134_217_727 {
            let message = "array size exceeds the maximum allowed (134217727)";
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
        dims.push((n, low));
    }
    // Each element has a length word: a count that the bytes cannot hold is refused before anything is reserved.
    if total as usize > r.0.len() / 4 {
        return Err(Error::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"));
    }
    let mut elements = Vec::with_capacity(total as usize);
    for _ in 0..total {
        let len = r.int()?;
        elements.push(match len {
            -1 => Datum::Null,
            n if n < 0 => {
                return Err(Error::new(SqlState::INVALID_BINARY_REPRESENTATION, "insufficient data left in message"));
            }
            n => decode(r.take(n as usize)?, elem)?,
        });
    }
    if !r.0.is_empty() {
        return Err(incorrect());
    }
    if elements.is_empty() {
        dims.clear();
    }
    Ok(Datum::Array(Arc::new(PgArray { elem: elem.oid, dims, elements })))
}
