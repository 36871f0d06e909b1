//! Values to binary wire forms.

use super::{EPOCH_2000_DAYS, EPOCH_2000_US};
use crate::{Datum, PgArray, PgType, oid};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes as dt;

/// Appends the binary form (network order, without the length word). `value` is not NULL.
pub fn encode(out: &mut Vec<u8>, value: &Datum, ty: PgType) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push(u8::from(*v)),
        Datum::Int2(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Int4(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Int8(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Float4(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Float8(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Numeric(v) => v.to_wire(out),
        Datum::Text(s) => encode_text(out, s, ty),
        Datum::Bytea(b) => out.extend_from_slice(b),
        Datum::Date(d) => out.extend_from_slice(&wire_date(*d).to_be_bytes()),
        Datum::Time(t) => out.extend_from_slice(&t.to_be_bytes()),
        Datum::Timestamp(t) => out.extend_from_slice(&wire_timestamp(*t).to_be_bytes()),
        Datum::Interval(i) => {
            out.extend_from_slice(&i.us.to_be_bytes());
            out.extend_from_slice(&i.days.to_be_bytes());
            out.extend_from_slice(&i.months.to_be_bytes());
        }
        Datum::Uuid(u) => out.extend_from_slice(u),
        Datum::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Array(a) => encode_array(out, a, ty),
    }
}

fn wire_date(d: i32) -> i32 {
    if d == i32::MIN || d == i32::MAX { d } else { d.saturating_sub(EPOCH_2000_DAYS) }
}

fn wire_timestamp(t: i64) -> i64 {
    if t == i64::MIN || t == i64::MAX { t } else { t.saturating_sub(EPOCH_2000_US) }
}

fn encode_text(out: &mut Vec<u8>, s: &str, ty: PgType) {
    match ty.oid {
        // The version byte of jsonb's wire form.
        oid::JSONB => {
            out.push(1);
            out.extend_from_slice(s.as_bytes());
        }
        oid::CHAR => out.push(s.chars().next().map_or(0, |c| u8::try_from(c).unwrap_or(s.as_bytes()[0]))),
        oid::VOID => {}
        _ => crate::text::format_text(out, s, ty),
    }
}

fn encode_array(out: &mut Vec<u8>, a: &PgArray, ty: PgType) {
    let elem = PgType { oid: a.elem, typmod: if ty.oid == oid::INT2VECTOR { -1 } else { ty.typmod } };
    let dims = if a.elements.is_empty() { &[][..] } else { &a.dims[..] };
    out.extend_from_slice(&(dims.len() as i32).to_be_bytes());
    out.extend_from_slice(&i32::from(a.elements.iter().any(Datum::is_null)).to_be_bytes());
    out.extend_from_slice(&a.elem.0.to_be_bytes());
    for (n, low) in dims {
        out.extend_from_slice(&n.to_be_bytes());
        out.extend_from_slice(&low.to_be_bytes());
    }
    for v in &a.elements {
        if v.is_null() {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        encode(out, v, elem);
        let len = (out.len() - at - 4) as i32;
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    }
}

/// Appends the binary form of row `i` of an Arrow column. The value is not NULL.
pub fn encode_at(out: &mut Vec<u8>, array: &ArrayRef, i: usize, ty: PgType) {
    if !encode_direct(out, array, i, ty) {
        let value = crate::arrow::datum_at(array, ty, i);
        encode(out, &value, ty);
    }
}

fn encode_direct(out: &mut Vec<u8>, array: &ArrayRef, i: usize, ty: PgType) -> bool {
    macro_rules! primitive {
        ($arrow:ty, $v:ident => $wire:expr) => {
            match array.as_primitive_opt::<$arrow>() {
                Some(a) => {
                    let $v = a.value(i);
                    out.extend_from_slice(&$wire.to_be_bytes());
                }
                None => return false,
            }
        };
    }
    match ty.oid {
        oid::BOOL => match array.as_boolean_opt() {
            Some(a) => out.push(u8::from(a.value(i))),
            None => return false,
        },
        oid::INT2 => primitive!(dt::Int16Type, v => v),
        oid::INT4 => primitive!(dt::Int32Type, v => v),
        oid::INT8 => primitive!(dt::Int64Type, v => v),
        oid::OID => primitive!(dt::UInt32Type, v => v),
        oid::FLOAT4 => primitive!(dt::Float32Type, v => v),
        oid::FLOAT8 => primitive!(dt::Float64Type, v => v),
        oid::DATE => primitive!(dt::Date32Type, v => wire_date(v)),
        oid::TIME => primitive!(dt::Time64MicrosecondType, v => v),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => primitive!(dt::TimestampMicrosecondType, v => wire_timestamp(v)),
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CHAR | oid::JSON | oid::JSONB | oid::UNKNOWN => {
            match array.as_string_opt::<i32>() {
                Some(a) => encode_text(out, a.value(i), ty),
                None => return false,
            }
        }
        oid::BYTEA => match array.as_binary_opt::<i32>() {
            Some(a) => out.extend_from_slice(a.value(i)),
            None => return false,
        },
        oid::UUID => match array.as_fixed_size_binary_opt() {
            Some(a) => out.extend_from_slice(a.value(i)),
            None => return false,
        },
        _ => return false,
    }
    true
}
