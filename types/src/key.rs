//! Memcomparable keys: byte order equals SQL order. Used for storage keys, and as the canonical sort key on which
//! grouping, joins and ordering of types run whose PostgreSQL equality is not Arrow's (numeric, interval, -0.0, arrays).
//!
//! A key column is a marker (0 NULL first, 1 value, 2 NULL last), then the value's bytes:
//!
//! | class | bytes (all inverted when descending) |
//! |---|---|
//! | bool, intN, date, time, timestamp, oid | big-endian, sign bit flipped |
//! | floatN | -0 as 0, one NaN; negative: all bits flipped, else the sign bit |
//! | numeric | sign class; exponent u32 (bias 2^31); digit pairs + 1, end 0; both inverted for negative values |
//! | text, bytea | bytes with 00 as 00 ff, end 00 00 |
//! | interval | total microseconds, 10 bytes, biased |
//! | uuid | 16 bytes |
//! | array | elements (marker and value, NULLs last), end 00, then ndim u8 and dimensions and lower bounds |
//!
//! These bytes are on disk: changing them needs a new storage format. Text is in byte order (collation "C"), json and
//! jsonb by their text.

mod decode;
mod jsonb;

pub use decode::{decode, numeric_value};
pub(crate) use jsonb::jsonb;

use crate::arrow::{datum_at, is_null_at, primitive, text_at};
use crate::{Class, Datum, Interval, Numeric, PgArray, PgType};
use arrow::array::ArrayRef;
use arrow::datatypes::{Int32Type, Int64Type};
use std::cmp::Ordering;

/// Index keys above this many bytes are refused with `54000`, as in PostgreSQL.
pub const KEY_BYTES_MAX: usize = 2704;

const NULL_FIRST: u8 = 0;
const VALUE: u8 = 1;
const NULL_LAST: u8 = 2;
/// Ends an array's elements: below every marker that can follow.
const ARRAY_END: u8 = 0;

/// How one key column is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KeyOrder {
    /// Descending.
    pub desc: bool,
    /// NULLs before values.
    pub nulls_first: bool,
}

/// Appends one value: self-delimiting, so that columns concatenate.
pub fn encode(out: &mut Vec<u8>, value: &Datum, order: KeyOrder) {
    if value.is_null() {
        out.push(if order.nulls_first { NULL_FIRST } else { NULL_LAST });
        return;
    }
    out.push(VALUE);
    let start = out.len();
    encode_value(out, value);
    if order.desc {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// [`encode`] of row `i` of a column of `ty` in its type's own form.
pub fn encode_at(out: &mut Vec<u8>, column: &ArrayRef, ty: PgType, i: usize, order: KeyOrder) {
    let plain = match ty.class() {
        _ if order.desc || is_null_at(column, i) => false,
        Class::Int4 => push_value(out, &flip4(primitive::<Int32Type>(column, i))),
        Class::Int8 => push_value(out, &flip8(primitive::<Int64Type>(column, i))),
        Class::Text => {
            encode_text(out, text_at(column, i));
            true
        }
        _ => false,
    };
    if !plain {
        encode(out, &datum_at(column, ty, i), order);
    }
}

fn push_value(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    out.push(VALUE);
    out.extend_from_slice(bytes);
    true
}

/// [`encode`] of a text that is no Datum, ascending.
pub fn encode_text(out: &mut Vec<u8>, text: &str) {
    out.push(VALUE);
    escaped(out, text.as_bytes());
}

/// A whole ascending key.
pub fn encode_row<'a>(values: impl IntoIterator<Item = &'a Datum>) -> Vec<u8> {
    let mut out = Vec::new();
    for v in values {
        encode(&mut out, v, KeyOrder::default());
    }
    out
}

/// The smallest key above every key that starts with `prefix`; `None` when there is none (all 0xff).
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// SQL order of two values of one class, NULLs last: what the keys' byte order says.
pub fn compare(a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) | (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b))
        | (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => compare_floats((*a).into(), (*b).into()),
        (Datum::Float8(a), Datum::Float8(b)) => compare_floats(*a, *b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Interval(a), Datum::Interval(b)) => a.total_us().cmp(&b.total_us()),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => compare_arrays(a, b),
        // Values of different classes are never compared; the order only has to be one.
        _ => encode_row([a]).cmp(&encode_row([b])),
    }
}

/// PostgreSQL's float order: NaN equals itself and is greatest, -0 equals 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn compare_arrays(a: &PgArray, b: &PgArray) -> Ordering {
    let elements = a.elements.iter().zip(&b.elements).map(|(a, b)| compare(a, b)).find(|o| o.is_ne());
    elements
        .unwrap_or(Ordering::Equal)
        .then_with(|| a.elements.len().cmp(&b.elements.len()))
        .then_with(|| a.dims.len().cmp(&b.dims.len()))
        .then_with(|| a.dims.iter().map(|d| d.0).cmp(b.dims.iter().map(|d| d.0)))
        .then_with(|| a.dims.iter().map(|d| d.1).cmp(b.dims.iter().map(|d| d.1)))
}

/// The value's bytes without a marker, ascending; nothing for NULL.
pub(crate) fn encode_value(out: &mut Vec<u8>, value: &Datum) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push((*v).into()),
        Datum::Int2(v) => out.extend_from_slice(&((*v as u16) ^ (1 << 15)).to_be_bytes()),
        Datum::Int4(v) | Datum::Date(v) => out.extend_from_slice(&flip4(*v)),
        Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) => out.extend_from_slice(&flip8(*v)),
        Datum::Float4(v) => out.extend_from_slice(&float4(*v)),
        Datum::Float8(v) => out.extend_from_slice(&float8(*v)),
        Datum::Numeric(v) => numeric(out, v),
        Datum::Text(v) => escaped(out, v.as_bytes()),
        Datum::Bytea(v) => escaped(out, v),
        Datum::Interval(v) => out.extend_from_slice(&interval(*v)),
        Datum::Uuid(v) => out.extend_from_slice(v),
        Datum::Oid(v) => out.extend_from_slice(&v.to_be_bytes()),
        Datum::Array(v) => array(out, v),
    }
}

fn flip4(v: i32) -> [u8; 4] {
    ((v as u32) ^ (1 << 31)).to_be_bytes()
}

fn flip8(v: i64) -> [u8; 8] {
    ((v as u64) ^ (1 << 63)).to_be_bytes()
}

/// A float4's key bytes.
pub(crate) fn float4(v: f32) -> [u8; 4] {
    // Adding 0 turns -0 into 0.
    let bits = if v.is_nan() { f32::NAN.to_bits() & 0x7fff_ffff } else { (v + 0.0).to_bits() };
    (if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }).to_be_bytes()
}

/// A float8's key bytes.
pub(crate) fn float8(v: f64) -> [u8; 8] {
    let bits = if v.is_nan() { f64::NAN.to_bits() & !(1 << 63) } else { (v + 0.0).to_bits() };
    (if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }).to_be_bytes()
}

/// An interval's key bytes: |total| < 2^74, so 80 bits hold it with a bias.
pub(crate) fn interval(v: Interval) -> [u8; 10] {
    let biased = (v.total_us() + (1 << 79)) as u128;
    biased.to_be_bytes()[6..].try_into().expect("16 - 6 = 10")
}

/// A numeric's key bytes.
pub(crate) fn numeric(out: &mut Vec<u8>, v: &Numeric) {
    let class = match (v.is_nan(), v.is_infinite(), v.signum()) {
        (true, ..) => 0x60,
        (_, true, 1..) => 0x50,
        (_, true, _) => 0x10,
        (_, _, 1..) => 0x40,
        (_, _, 0) => 0x30,
        _ => 0x20,
    };
    out.push(class);
    if !matches!(class, 0x20 | 0x40) {
        return;
    }
    let start = out.len();
    match v.to_parts().filter(|(unscaled, _)| unscaled.unsigned_abs() < 10_u128.pow(18)) {
        Some((unscaled, scale)) => short_digits(out, unscaled.unsigned_abs() as u64, scale), // fits: just compared
        None => {
            let (digits, exponent) = v.significant_digits();
            out.extend_from_slice(&flip4(exponent));
            for pair in digits.chunks(2) {
                let low = pair.get(1).map_or(0, |d| d - b'0');
                out.push((pair[0] - b'0') * 10 + low + 1);
            }
        }
    }
    out.push(0);
    if class == 0x20 {
        out[start..].iter_mut().for_each(|b| *b = !*b);
    }
}

/// Exponent and digit pairs of a number above 0 and below 10^18.
fn short_digits(out: &mut Vec<u8>, unscaled: u64, scale: u16) {
    let digits = unscaled.ilog10() + 1;
    out.extend_from_slice(&flip4(digits as i32 - i32::from(scale)));
    let mut rest = if digits % 2 == 1 { unscaled * 10 } else { unscaled };
    while rest.is_multiple_of(100) {
        rest /= 100;
    }
    let mut pairs = [0; 9];
    let mut at = pairs.len();
    while rest > 0 {
        at -= 1;
        pairs[at] = (rest % 100) as u8 + 1;
        rest /= 100;
    }
    out.extend_from_slice(&pairs[at..]);
}

fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.split_inclusive(|b| *b == 0) {
        out.extend_from_slice(part);
        if part.last() == Some(&0) {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

fn array(out: &mut Vec<u8>, a: &PgArray) {
    a.elements.iter().for_each(|e| encode(out, e, KeyOrder::default()));
    out.push(ARRAY_END);
    out.push(a.dims.len() as u8);
    a.dims.iter().for_each(|d| out.extend_from_slice(&flip4(d.0)));
    a.dims.iter().for_each(|d| out.extend_from_slice(&flip4(d.1)));
}
