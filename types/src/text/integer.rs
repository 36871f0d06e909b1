//! Integers and OIDs: PostgreSQL's pg_strtoint and oidin, and digits without allocation.

use crate::{Error, Result, SqlState};

/// C's isspace in the C locale, which PostgreSQL's input functions use.
pub(crate) fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// `invalid input syntax for type …` (`22P02`).
pub(crate) fn invalid_syntax(type_name: &str, s: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type {type_name}: \"{s}\""))
}

fn out_of_range(type_name: &str, s: &str) -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("value \"{s}\" is out of range for type {type_name}"))
}

/// Parses within `min..=max`. As in PostgreSQL overflow is reported before trailing garbage is looked at.
fn parse_signed(s: &str, min: i64, max: i64, type_name: &str) -> Result<i64> {
    let b = s.as_bytes();
    if let Some(v) = plain(b).filter(|v| (min..=max).contains(v)) {
        return Ok(v);
    }
    let mut i = b.iter().take_while(|c| is_space(**c)).count();
    let negative = b.get(i) == Some(&b'-');
    if matches!(b.get(i), Some(b'-' | b'+')) {
        i += 1;
    }
    let first = i;
    // Accumulated negatively, so that the minimum needs no special case.
    let mut v: i64 = 0;
    while let Some(d) = b.get(i).filter(|c| c.is_ascii_digit()) {
        v = v
            .checked_mul(10)
            .and_then(|v| v.checked_sub(i64::from(d - b'0')))
            .filter(|v| *v >= min)
            .ok_or_else(|| out_of_range(type_name, s))?;
        i += 1;
    }
    if i == first || !b[i..].iter().all(|c| is_space(*c)) {
        return Err(invalid_syntax(type_name, s));
    }
    if negative {
        return Ok(v);
    }
    v.checked_neg().filter(|v| *v <= max).ok_or_else(|| out_of_range(type_name, s))
}

/// Digits with maybe a minus, too few to overflow: what nearly every integer is.
fn plain(b: &[u8]) -> Option<i64> {
    let digits = b.strip_prefix(b"-").unwrap_or(b);
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let mut v = 0;
    for b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        v = v * 10 + i64::from(digit);
    }
    Some(if digits.len() < b.len() { -v } else { v })
}

/// int2 input.
///
/// # Errors
/// `22P02`, `22003`.
pub fn parse_i16(s: &str) -> Result<i16> {
    parse_signed(s, i16::MIN.into(), i16::MAX.into(), "smallint").map(|v| v as i16)
}

/// int4 input.
///
/// # Errors
/// `22P02`, `22003`.
pub fn parse_i32(s: &str) -> Result<i32> {
    parse_signed(s, i32::MIN.into(), i32::MAX.into(), "integer").map(|v| v as i32)
}

/// int8 input.
///
/// # Errors
/// `22P02`, `22003`.
pub fn parse_i64(s: &str) -> Result<i64> {
    parse_signed(s, i64::MIN, i64::MAX, "bigint")
}

/// oid input: as PostgreSQL, negative int4 values wrap.
///
/// # Errors
/// `22P02`, `22003`.
pub fn parse_oid(s: &str) -> Result<u32> {
    let v = parse_signed(s, i64::MIN, i64::MAX, "oid")?;
    if let Ok(v) = u32::try_from(v) {
        return Ok(v);
    }
    i32::try_from(v).map(|v| v as u32).map_err(|_| out_of_range("oid", s))
}

const PAIRS: &[u8; 200] = b"00010203040506070809101112131415161718192021222324252627282930313233343536373839\
4041424344454647484950515253545556575859606162636465666768697071727374757677787980818283848586878889\
90919293949596979899";

/// Appends a decimal integer.
pub fn push_int(out: &mut Vec<u8>, v: i64) {
    let mut buf = [0u8; 20];
    let at = digits(v, &mut buf);
    out.extend_from_slice(&buf[at..]);
}

/// Writes a number to the end of `buf`, which has room for 20 bytes at least; where it begins.
pub(super) fn digits(v: i64, buf: &mut [u8]) -> usize {
    let mut at = buf.len();
    let mut n = v.unsigned_abs();
    while n >= 100 {
        let pair = (n % 100) as usize * 2;
        n /= 100;
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if n >= 10 {
        let pair = n as usize * 2;
        at -= 2;
        buf[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        buf[at] = b'0' + n as u8;
    }
    if v < 0 {
        at -= 1;
        buf[at] = b'-';
    }
    at
}

/// Appends exactly two digits of a number below 100.
pub(crate) fn push_2(out: &mut Vec<u8>, n: u32) {
    let pair = (n % 100) as usize * 2;
    out.extend_from_slice(&PAIRS[pair..pair + 2]);
}

/// Appends a non-negative number with at least `width` digits.
pub(crate) fn push_padded(out: &mut Vec<u8>, n: u64, width: usize) {
    let start = out.len();
    push_int(out, n as i64);
    let missing = width.saturating_sub(out.len() - start);
    if missing > 0 {
        out.splice(start..start, std::iter::repeat_n(b'0', missing));
    }
}
