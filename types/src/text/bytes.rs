//! bytea: hex and escape forms.

use crate::{Error, Result, SqlState};

/// bytea input, hex (`\x…`) or escape.
///
/// # Errors
/// `22023` for bad hex digits, `22P02` for a bad escape sequence, as PostgreSQL.
pub fn parse_bytea(s: &str) -> Result<Vec<u8>> {
    match s.strip_prefix("\\x") {
        Some(hex) => parse_hex(hex),
        None => parse_escape(s.as_bytes()),
    }
}

fn hex_digit(s: &str, at: usize) -> Result<u8> {
    let b = s.as_bytes()[at];
    match b {
        b'0'..=b'9' => Ok(b - b'0'),
        b'a'..=b'f' => Ok(b - b'a' + 10),
        b'A'..=b'F' => Ok(b - b'A' + 10),
        _ => {
            let c = s[at..].chars().next().unwrap_or('?');
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid hexadecimal digit: \"{c}\"")))
        }
    }
}

fn parse_hex(s: &str) -> Result<Vec<u8>> {
    let b = s.as_bytes();
    let mut out = Vec::with_capacity(b.len() / 2);
    let mut i = 0;
    while i < b.len() {
        if matches!(b[i], b' ' | b'\n' | b'\t' | b'\r') {
            i += 1;
            continue;
        }
        let high = hex_digit(s, i)?;
        if i + 1 >= b.len() {
            let message = "invalid hexadecimal data: odd number of digits";
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        out.push(high << 4 | hex_digit(s, i + 1)?);
        i += 2;
    }
    Ok(out)
}

fn parse_escape(b: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while i < b.len() {
        if b[i] != b'\\' {
            out.push(b[i]);
            i += 1;
            continue;
        }
        match b[i + 1..] {
            [b'\\', ..] => {
                out.push(b'\\');
                i += 2;
            }
            [h @ b'0'..=b'3', m @ b'0'..=b'7', l @ b'0'..=b'7', ..] => {
                out.push((h - b'0') << 6 | (m - b'0') << 3 | (l - b'0'));
                i += 4;
            }
            _ => {
                let message = "invalid input syntax for type bytea";
                return Err(Error::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
            }
        }
    }
    Ok(out)
}

/// Appends bytea in the form `bytea_output` names.
pub(crate) fn format_bytea(out: &mut Vec<u8>, b: &[u8], escape: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    if !escape {
        out.reserve(2 + 2 * b.len());
        out.extend_from_slice(b"\\x");
        for v in b {
            out.extend_from_slice(&[HEX[usize::from(v >> 4)], HEX[usize::from(v & 15)]]);
        }
        return;
    }
    for v in b {
        match v {
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x20..=0x7e => out.push(*v),
            _ => out.extend_from_slice(&octal(*v)),
        }
    }
}

/// `\ooo`
pub(crate) fn octal(v: u8) -> [u8; 4] {
    [b'\\', b'0' + (v >> 6), b'0' + (v >> 3 & 7), b'0' + (v & 7)]
}
