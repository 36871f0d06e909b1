//! Text forms straight from Arrow columns: what result rows are made of. No Datum and no allocation for the usual types.

use super::{TextSettings, format, format_f32, format_f64, format_text, push_int};
use crate::{PgType, datetime, oid};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes as dt;

/// Appends the text form of row `i` of an Arrow column without building a Datum where that is cheaper. The value is not NULL.
pub fn format_at(out: &mut Vec<u8>, array: &ArrayRef, i: usize, ty: PgType, settings: &TextSettings) {
    if !format_direct(out, array, i, ty, settings) {
        let value = crate::arrow::datum_at(array, ty, i);
        format(out, &value, ty, settings);
    }
}

/// True when the type has a direct path and the array is what the type says.
fn format_direct(out: &mut Vec<u8>, array: &ArrayRef, i: usize, ty: PgType, settings: &TextSettings) -> bool {
    macro_rules! primitive {
        ($arrow:ty, $v:ident => $body:expr) => {
            match array.as_primitive_opt::<$arrow>() {
                Some(a) => {
                    let $v = a.value(i);
                    $body
                }
                None => return false,
            }
        };
    }
    match ty.oid {
        oid::BOOL => match array.as_boolean_opt() {
            Some(a) => out.push(if a.value(i) { b't' } else { b'f' }),
            None => return false,
        },
        oid::INT2 => primitive!(dt::Int16Type, v => push_int(out, v.into())),
        oid::INT4 => primitive!(dt::Int32Type, v => push_int(out, v.into())),
        oid::INT8 => primitive!(dt::Int64Type, v => push_int(out, v)),
        oid::OID => primitive!(dt::UInt32Type, v => push_int(out, v.into())),
        oid::FLOAT4 => primitive!(dt::Float32Type, v => format_f32(out, v, settings.extra_float_digits)),
        oid::FLOAT8 => primitive!(dt::Float64Type, v => format_f64(out, v, settings.extra_float_digits)),
        oid::DATE => primitive!(dt::Date32Type, v => datetime::format_date(out, v, &settings.datetime)),
        oid::TIME => primitive!(dt::Time64MicrosecondType, v => datetime::format_time(out, v)),
        oid::TIMESTAMP => {
            primitive!(dt::TimestampMicrosecondType, v => datetime::format_timestamp(out, v, &settings.datetime));
        }
        oid::TIMESTAMPTZ => {
            primitive!(dt::TimestampMicrosecondType, v => datetime::format_timestamptz(out, v, &settings.datetime));
        }
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CHAR | oid::JSON | oid::JSONB | oid::UNKNOWN => {
            match array.as_string_opt::<i32>() {
                Some(a) => format_text(out, a.value(i), ty),
                None => return false,
            }
        }
        oid::BYTEA => match array.as_binary_opt::<i32>() {
            Some(a) => super::bytes::format_bytea(out, a.value(i), settings.bytea_escape),
            None => return false,
        },
        _ => return false,
    }
    debug_assert!(!array.is_null(i), "the caller prints NULL");
    true
}
