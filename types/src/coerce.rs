//! Length coercion: what a type modifier does to a value of that type.
//!
//! Called for casts and for every value stored into a column with a modifier. Lengths count characters, not bytes.

use crate::{Datum, Error, PgArray, PgType, Result, SqlState, datetime, oid};
use std::sync::Arc;

/// Applies `ty.typmod`. `explicit` is a cast written by the user: varchar(n)/char(n) truncate then; otherwise excess that
/// is not blank is `22001` (`value too long for type character varying(3)`). numeric rounds or `22003`; time(p), timestamp(p), interval(p) round.
pub fn apply_typmod(value: Datum, ty: PgType, explicit: bool) -> Result<Datum> {
    match value {
        Datum::Text(s) => Ok(Datum::Text(apply_text(s, ty, explicit)?)),
        value if ty.typmod < 0 => Ok(value),
        Datum::Numeric(n) if ty.typmod >= 4 => Ok(Datum::Numeric(n.apply_typmod(ty.typmod)?)),
        Datum::Time(t) => Ok(Datum::Time(datetime::round_time(t, ty.typmod))),
        Datum::Timestamp(t) => Ok(Datum::Timestamp(datetime::round_timestamp(t, ty.typmod)?)),
        Datum::Interval(i) => Ok(Datum::Interval(datetime::round_interval(i, ty.typmod)?)),
        Datum::Array(a) => apply_elements(a, ty, explicit),
        value => Ok(value),
    }
}

fn apply_elements(a: Arc<PgArray>, ty: PgType, explicit: bool) -> Result<Datum> {
    let Some(elem) = ty.element() else { return Ok(Datum::Array(a)) };
    let elements = a.elements.iter().map(|v| apply_typmod(v.clone(), elem, explicit)).collect::<Result<Vec<_>>>()?;
    Ok(Datum::Array(Arc::new(PgArray { elem: a.elem, dims: a.dims.clone(), elements })))
}

fn apply_text(s: Arc<str>, ty: PgType, explicit: bool) -> Result<Arc<str>> {
    let fixed = ty.oid == oid::BPCHAR;
    if !fixed && ty.oid != oid::VARCHAR {
        return Ok(s);
    }
    let s = match cut(&s, ty.typmod) {
        None => s,
        Some(at) if explicit || s[at..].bytes().all(|b| b == b' ') => Arc::from(&s[..at]),
        Some(_) => {
            let message = format!("value too long for type {}", ty.sql_name());
            return Err(Error::new(SqlState::STRING_DATA_RIGHT_TRUNCATION, message));
        }
    };
    if fixed && s.ends_with(' ') {
        return Ok(Arc::from(s.trim_end_matches(' ')));
    }
    Ok(s)
}

/// Where to cut a string that has more characters than the modifier allows.
fn cut(s: &str, typmod: i32) -> Option<usize> {
    let max = usize::try_from(typmod.checked_sub(4)?).ok()?;
    if typmod < 4 || s.len() <= max {
        return None;
    }
    s.char_indices().nth(max).map(|(at, _)| at)
}

/// How many blanks char(n) output adds.
pub(crate) fn missing_blanks(s: &str, typmod: i32) -> usize {
    let n = usize::try_from(typmod.saturating_sub(4)).unwrap_or(0);
    // Enough characters even if all are ASCII is the common case; count only when it matters.
    if s.is_ascii() { n.saturating_sub(s.len()) } else { n.saturating_sub(s.chars().count()) }
}
