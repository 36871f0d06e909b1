//! Text forms of every type, both ways: what `::text`, literals, COPY text and result rows use.
//!
//! Called by the binder (literals), COPY, the casts and the frontends (result rows). Every form equals PostgreSQL 15's;
//! `tests/text_pg.rs` holds answers captured from it. Dates and times are in [`crate::datetime`], json in [`crate::json`].

mod array;
mod bytes;
mod cells;
mod column;
mod float;
mod integer;
mod into;
mod rows;
mod scalar;
mod utf8;

pub use array::{format_array, parse_array};
pub use bytes::parse_bytea;
pub use cells::Cells;
pub use column::format_at;
pub use float::{format_f32, format_f64, parse_f32, parse_f64};
pub(crate) use integer::{is_space, push_2, push_padded};
pub use integer::{parse_i16, parse_i32, parse_i64, parse_oid, push_int};
pub use into::parse_into;
pub use rows::DataRows;
pub use scalar::parse_bool;
pub use utf8::check_utf8;

use crate::datetime::{self, DateTimeSettings};
use crate::{Datum, Numeric, PgType, Result, coerce, json, oid};

/// The session settings that text forms depend on.
#[derive(Clone, Debug)]
pub struct TextSettings {
    /// DateStyle, IntervalStyle, TimeZone and the statement's "now".
    pub datetime: DateTimeSettings,
    /// bytea_output = 'escape'
    pub bytea_escape: bool,
    /// extra_float_digits; > 0 prints shortest round-trip.
    pub extra_float_digits: i32,
    /// Names of reg* values; without it they print as numbers.
    pub reg_names: Option<RegNames>,
}

/// Finds the name of a reg* value (type, OID) in the catalog.
#[derive(Clone)]
pub struct RegNames(pub std::sync::Arc<dyn Fn(crate::Oid, u32) -> Option<String> + Send + Sync>);

impl std::fmt::Debug for RegNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RegNames")
    }
}

impl Default for TextSettings {
    fn default() -> Self {
        Self { datetime: DateTimeSettings::default(), bytea_escape: false, extra_float_digits: 1, reg_names: None }
    }
}

/// Parses PostgreSQL's input syntax of `ty` and applies its modifier as an explicit-length input would (varchar(n) too long: `22001`).
///
/// # Errors
/// `22P02`, `22003`, `22007`, `22008`, `22001` with PostgreSQL's wording. reg* names need a catalog and are resolved by the planner: here only digits.
pub fn parse(s: &str, ty: PgType, settings: &TextSettings) -> Result<Datum> {
    let dt = &settings.datetime;
    let value = match ty.oid {
        oid::TEXT | oid::UNKNOWN => Datum::text(s),
        oid::VARCHAR if ty.typmod < 0 => Datum::text(s),
        oid::VARCHAR | oid::BPCHAR => return coerce::apply_typmod(Datum::text(s), ty, false),
        oid::NAME => Datum::text(scalar::truncate_name(s)),
        oid::CHAR => Datum::text(scalar::parse_char(s)),
        oid::BOOL => Datum::Bool(parse_bool(s)?),
        oid::INT2 => Datum::Int2(parse_i16(s)?),
        oid::INT4 => Datum::Int4(parse_i32(s)?),
        oid::INT8 => Datum::Int8(parse_i64(s)?),
        oid::FLOAT4 => Datum::Float4(parse_f32(s)?),
        oid::FLOAT8 => Datum::Float8(parse_f64(s)?),
        oid::NUMERIC => {
            let n = Numeric::parse(s)?;
            Datum::Numeric(if ty.typmod < 4 { n } else { n.apply_typmod(ty.typmod)? })
        }
        oid::BYTEA => Datum::Bytea(parse_bytea(s)?.into()),
        oid::UUID => Datum::Uuid(scalar::parse_uuid(s)?),
        oid::JSON => {
            json::validate(s)?;
            Datum::text(s)
        }
        oid::JSONB => Datum::text(json::normalize(s)?),
        oid::OID => Datum::Oid(parse_oid(s)?),
        oid::REGPROC | oid::REGCLASS | oid::REGTYPE | oid::REGNAMESPACE | oid::REGROLE => {
            Datum::Oid(scalar::parse_reg(s, ty)?)
        }
        oid::DATE => Datum::Date(datetime::parse_date(s, dt)?),
        oid::TIME => Datum::Time(datetime::round_time(datetime::parse_time(s, dt)?, ty.typmod)),
        oid::TIMESTAMP => Datum::Timestamp(datetime::round_timestamp(datetime::parse_timestamp(s, dt)?, ty.typmod)?),
        oid::TIMESTAMPTZ => {
            Datum::Timestamp(datetime::round_timestamp(datetime::parse_timestamptz(s, dt)?, ty.typmod)?)
        }
        oid::INTERVAL => Datum::Interval(datetime::parse_interval(s, dt.interval, ty.typmod)?),
        oid::INT2VECTOR => array::parse_int2vector(s)?,
        oid::VOID => Datum::text(""),
        _ => return parse_other(s, ty, settings),
    };
    Ok(value)
}

fn parse_other(s: &str, ty: PgType, settings: &TextSettings) -> Result<Datum> {
    match ty.element() {
        Some(elem) => Ok(Datum::Array(std::sync::Arc::new(parse_array(s, elem, settings)?))),
        None => Err(crate::Error::new(
            crate::SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot accept a value of type {}", ty.info().name),
        )),
    }
}

/// Appends PostgreSQL's output form. `value` is not NULL. char(n) is padded to n.
pub fn format(out: &mut Vec<u8>, value: &Datum, ty: PgType, settings: &TextSettings) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push(if *v { b't' } else { b'f' }),
        Datum::Int2(v) => push_int(out, i64::from(*v)),
        Datum::Int4(v) => push_int(out, i64::from(*v)),
        Datum::Int8(v) => push_int(out, *v),
        Datum::Float4(v) => format_f32(out, *v, settings.extra_float_digits),
        Datum::Float8(v) => format_f64(out, *v, settings.extra_float_digits),
        Datum::Numeric(v) => out.extend_from_slice(v.format().as_bytes()),
        Datum::Text(s) => format_text(out, s, ty),
        Datum::Bytea(b) => bytes::format_bytea(out, b, settings.bytea_escape),
        Datum::Date(d) => datetime::format_date(out, *d, &settings.datetime),
        Datum::Time(t) => datetime::format_time(out, *t),
        Datum::Timestamp(t) if ty.oid == oid::TIMESTAMPTZ => {
            datetime::format_timestamptz(out, *t, &settings.datetime);
        }
        Datum::Timestamp(t) => datetime::format_timestamp(out, *t, &settings.datetime),
        Datum::Interval(i) => datetime::format_interval(out, *i, settings.datetime.interval),
        Datum::Uuid(u) => scalar::format_uuid(out, u),
        Datum::Oid(v) => format_oid(out, *v, ty, settings),
        Datum::Array(a) if matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR) => array::format_int2vector(out, a),
        Datum::Array(a) => format_array(out, a, ty, settings),
    }
}

/// An oid as a number, a reg* value by the name it stands for.
pub(crate) fn format_oid(out: &mut Vec<u8>, value: u32, ty: PgType, settings: &TextSettings) {
    if matches!(ty.oid, oid::OID | oid::XID | oid::UNKNOWN) {
        return push_int(out, i64::from(value));
    }
    match settings.reg_names.as_ref().and_then(|names| (names.0)(ty.oid, value)) {
        Some(name) => out.extend_from_slice(name.as_bytes()),
        None if value == 0 => out.push(b'-'),
        None => push_int(out, i64::from(value)),
    }
}

/// Text-like values: blanks for char(n), escapes for "char"; all others as they are.
pub(crate) fn format_text(out: &mut Vec<u8>, s: &str, ty: PgType) {
    match ty.oid {
        oid::BPCHAR if ty.typmod > 4 => {
            out.extend_from_slice(s.as_bytes());
            let missing = coerce::missing_blanks(s, ty.typmod);
            out.resize(out.len() + missing, b' ');
        }
        oid::CHAR => scalar::format_char(out, s),
        _ => out.extend_from_slice(s.as_bytes()),
    }
}

/// [`format`] as a String.
pub fn to_string(value: &Datum, ty: PgType, settings: &TextSettings) -> String {
    let mut out = Vec::new();
    format(&mut out, value, ty, settings);
    String::from_utf8(out).expect("text forms are UTF-8")
}
