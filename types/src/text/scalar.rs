//! bool, uuid, name, "char" and the reg* types.

use super::bytes::octal;
use super::integer::{invalid_syntax, is_space, parse_oid};
use crate::{Error, PgType, Result, SqlState, oid};

/// NAMEDATALEN - 1.
const NAME_BYTES_MAX: usize = 63;

/// bool input: unique prefixes of true, false, yes, no, on, off, and 1, 0; blanks around, any case.
///
/// # Errors
/// `22P02`.
pub fn parse_bool(s: &str) -> Result<bool> {
    match s {
        "t" | "true" | "1" => return Ok(true),
        "f" | "false" | "0" => return Ok(false),
        _ => {}
    }
    let t = s.trim_matches(|c: char| c.is_ascii() && is_space(c as u8)).to_ascii_lowercase();
    let prefix = |w: &str, min: usize| t.len() >= min && w.starts_with(&t);
    if prefix("true", 1) || prefix("yes", 1) || t == "on" || t == "1" {
        return Ok(true);
    }
    if prefix("false", 1) || prefix("no", 1) || prefix("off", 2) || t == "0" {
        return Ok(false);
    }
    Err(invalid_syntax("boolean", s))
}

/// uuid input: hex digits in either case, a hyphen after any group of four, maybe braces around.
pub(crate) fn parse_uuid(s: &str) -> Result<[u8; 16]> {
    let invalid = || invalid_syntax("uuid", s);
    let b = s.as_bytes();
    let braces = b.first() == Some(&b'{');
    let mut i = usize::from(braces);
    let mut out = [0u8; 16];
    for (n, byte) in out.iter_mut().enumerate() {
        let pair = b.get(i..i + 2).filter(|p| p.iter().all(u8::is_ascii_hexdigit)).ok_or_else(invalid)?;
        let digit = |c: u8| (c as char).to_digit(16).expect("checked to be hex") as u8;
        *byte = digit(pair[0]) << 4 | digit(pair[1]);
        i += 2;
        if b.get(i) == Some(&b'-') && n % 2 == 1 && n < 15 {
            i += 1;
        }
    }
    if braces {
        if b.get(i) != Some(&b'}') {
            return Err(invalid());
        }
        i += 1;
    }
    if i == b.len() { Ok(out) } else { Err(invalid()) }
}

/// Appends the canonical uuid form.
pub(crate) fn format_uuid(out: &mut Vec<u8>, u: &[u8; 16]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, v) in u.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.extend_from_slice(&[HEX[usize::from(v >> 4)], HEX[usize::from(v & 15)]]);
    }
}

/// At most 63 bytes, cut between characters.
pub(crate) fn truncate_name(s: &str) -> &str {
    &s[..s.floor_char_boundary(NAME_BYTES_MAX)]
}

/// "char" input: the first byte, or `\ooo`. A byte from 0x80 on is kept as the character with that number.
pub(crate) fn parse_char(s: &str) -> String {
    let byte = match s.as_bytes() {
        [] => return String::new(),
        [b'\\', h @ b'0'..=b'3', m @ b'0'..=b'7', l @ b'0'..=b'7'] => (h - b'0') << 6 | (m - b'0') << 3 | (l - b'0'),
        [first, ..] => *first,
    };
    if byte == 0 { String::new() } else { char::from(byte).to_string() }
}

/// "char" output: ASCII as it is, high bytes as `\ooo`.
pub(crate) fn format_char(out: &mut Vec<u8>, s: &str) {
    match s.chars().next() {
        None => {}
        Some(c) if c.is_ascii() => out.push(c as u8),
        Some(c) => out.extend_from_slice(&octal(u8::try_from(c).unwrap_or(s.as_bytes()[0]))),
    }
}

/// reg* input without a catalog: digits, or `-` for none.
pub(crate) fn parse_reg(s: &str, ty: PgType) -> Result<u32> {
    if s == "-" {
        return Ok(0);
    }
    if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) {
        return parse_oid(s);
    }
    let (code, kind) = match ty.oid {
        oid::REGCLASS => (SqlState::UNDEFINED_TABLE, "relation"),
        oid::REGPROC => (SqlState::UNDEFINED_FUNCTION, "function"),
        oid::REGNAMESPACE => (SqlState::INVALID_SCHEMA_NAME, "schema"),
        oid::REGROLE => (SqlState::UNDEFINED_OBJECT, "role"),
        _ => (SqlState::UNDEFINED_OBJECT, "type"),
    };
    Err(Error::new(code, format!("{kind} \"{s}\" does not exist")))
}
