//! Pieces that date, time and interval input share: numbers, clock times, offsets, and how faults are worded.

use super::lex::Fault;
use crate::{Error, SqlState};

/// Why decoding stopped: a fault that the caller words, or an error that is complete.
pub(super) enum Stop {
    Fault(Fault),
    Error(Error),
}

impl From<Fault> for Stop {
    fn from(f: Fault) -> Self {
        Stop::Fault(f)
    }
}

impl Stop {
    /// The error for input `s` of a type.
    pub(super) fn report(self, s: &str, type_name: &str) -> Error {
        let fault = match self {
            Stop::Error(e) => return e,
            Stop::Fault(f) => f,
        };
        let range = |what: &str| format!("{what} out of range: \"{s}\"");
        match fault {
            Fault::Format => Error::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{s}\""),
            ),
            Fault::Overflow => Error::new(SqlState::DATETIME_FIELD_OVERFLOW, range("date/time field value")),
            Fault::MonthDay => Error::new(SqlState::DATETIME_FIELD_OVERFLOW, range("date/time field value"))
                .hint("Perhaps you need a different \"datestyle\" setting."),
            Fault::Displacement => Error::new(SqlState("22009"), range("time zone displacement")),
        }
    }
}

/// strtoint: the digits (with sign) at the start, and what follows. No digits give 0, as C does.
pub(super) fn leading_int(s: &str) -> std::result::Result<(i64, &str), Fault> {
    let sign = usize::from(s.starts_with(['-', '+']));
    let len = s[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return Ok((0, s));
    }
    let n: i32 = s[..sign + len].parse().map_err(|_| Fault::Overflow)?;
    Ok((n.into(), &s[sign + len..]))
}

/// `.ddd` to a fraction; nothing else may follow.
pub(super) fn fraction(s: &str) -> std::result::Result<f64, Fault> {
    if s == "." {
        return Ok(0.0);
    }
    if !s[1..].bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    format!("0{s}").parse().map_err(|_| Fault::Format)
}

/// `.ddd` to microseconds, rounded half to even.
pub(super) fn fraction_us(s: &str) -> std::result::Result<i64, Fault> {
    Ok((fraction(s)? * 1e6).round_ties_even() as i64)
}

/// hours, minutes, seconds, microseconds of `hh:mm`, `hh:mm:ss[.fff]` and `mm:ss.fff`, not range checked.
pub(super) fn decode_clock(text: &str) -> std::result::Result<(i64, i64, i64, i64), Fault> {
    let (h, rest) = leading_int(text)?;
    let rest = rest.strip_prefix(':').ok_or(Fault::Format)?;
    let (m, rest) = leading_int(rest)?;
    if rest.is_empty() {
        return Ok((h, m, 0, 0));
    }
    if rest.starts_with('.') {
        return Ok((0, h, m, fraction_us(rest)?));
    }
    let rest = rest.strip_prefix(':').ok_or(Fault::Format)?;
    let (s, rest) = leading_int(rest)?;
    match rest {
        "" => Ok((h, m, s, 0)),
        _ if rest.starts_with('.') => Ok((h, m, s, fraction_us(rest)?)),
        _ => Err(Fault::Format),
    }
}

/// `+hh[:mm[:ss]]`, `+hhmm` to seconds east.
pub(super) fn decode_offset(text: &str) -> std::result::Result<i64, Fault> {
    let negative = text.starts_with('-');
    let body = text.strip_prefix(['-', '+']).ok_or(Fault::Format)?;
    let int = |s| leading_int(s).map_err(|_| Fault::Displacement);
    let (mut h, mut rest) = int(body)?;
    let (mut m, mut s) = (0, 0);
    if let Some(r) = rest.strip_prefix(':') {
        (m, rest) = int(r)?;
        if let Some(r) = rest.strip_prefix(':') {
            (s, rest) = int(r)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (h, m) = (h / 100, h % 100);
    }
    if !(0..=15).contains(&h) || !(0..60).contains(&m) || !(0..60).contains(&s) {
        return Err(Fault::Displacement);
    }
    if !rest.is_empty() {
        return Err(Fault::Format);
    }
    let east = (h * 60 + m) * 60 + s;
    Ok(if negative { -east } else { east })
}
