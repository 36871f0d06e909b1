//! Text forms of every type, both ways: what `::text`, literals, COPY text and result rows use.

use crate::datetime::DateTimeSettings;
use crate::{Datum, PgType, Result};

/// The session settings that text forms depend on.
#[derive(Clone, Debug)]
pub struct TextSettings {
    /// DateStyle, IntervalStyle, TimeZone and the statement's "now".
    pub datetime: DateTimeSettings,
    /// bytea_output = 'escape'
    pub bytea_escape: bool,
    /// extra_float_digits; > 0 prints shortest round-trip.
    pub extra_float_digits: i32,
}

/// Parses PostgreSQL's input syntax of `ty` and applies its modifier as an explicit-length input would (varchar(n) too long: `22001`).
///
/// # Errors
/// `22P02`, `22003`, `22007`, `22008`, `22001` with PostgreSQL's wording. reg* names need a catalog and are resolved by the planner: here only digits.
pub fn parse(_s: &str, _ty: PgType, _settings: &TextSettings) -> Result<Datum> { todo!() }

/// Appends PostgreSQL's output form. `value` is not NULL. char(n) is padded to n.
pub fn format(_out: &mut Vec<u8>, _value: &Datum, _ty: PgType, _settings: &TextSettings) { todo!() }

/// [`format`] as a String.
pub fn to_string(value: &Datum, ty: PgType, settings: &TextSettings) -> String {
    let mut out = Vec::new();
    format(&mut out, value, ty, settings);
    String::from_utf8(out).expect("text forms are UTF-8")
}

/// Appends the text form of row `i` of an Arrow column without building a Datum where that is cheaper. The value is not NULL.
pub fn format_at(_out: &mut Vec<u8>, _array: &arrow::array::ArrayRef, _i: usize, _ty: PgType, _settings: &TextSettings) { todo!() }
