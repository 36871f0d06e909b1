//! bytea: parts, bits, and the text encodings hex, base64 and escape; digests.

use super::Registry;
use super::error::invalid;
use super::kernel::k;
use heddle_types::{Error, Result, SqlState};
use md5::{Digest, Md5};
use sha2::{Sha224, Sha256, Sha384, Sha512};

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn hex(b: &[u8]) -> String {
    b.iter().map(|b| format!("{b:02x}")).collect()
}

/// Base64 with a line feed after each 76 characters, as MIME and PostgreSQL have it.
fn base64(b: &[u8]) -> String {
    let mut out = String::with_capacity(b.len() * 4 / 3 + 4);
    for (i, chunk) in b.chunks(3).enumerate() {
        if i > 0 && i % 19 == 0 {
            out.push('\n');
        }
        let word = chunk.iter().fold(0u32, |w, b| (w << 8) | u32::from(*b)) << (8 * (3 - chunk.len()));
        for j in 0..4 {
            let c = ALPHABET[(word >> (18 - 6 * j) & 63) as usize];
            out.push(if j <= chunk.len() { char::from(c) } else { '=' });
        }
    }
    out
}

/// Zero bytes, bytes above 127 and backslashes escaped.
fn escape(b: &[u8]) -> String {
    let mut out = String::with_capacity(b.len());
    for b in b {
        match b {
            b'\\' => out.push_str("\\\\"),
            0 | 128.. => out.push_str(&format!("\\{b:03o}")),
            b => out.push(char::from(*b)),
        }
    }
    out
}

fn unknown(encoding: &str) -> Error {
    invalid(format!("unrecognized encoding: \"{encoding}\""))
}

fn encode(b: &[u8], encoding: &str) -> Result<String> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => Ok(hex(b)),
        "base64" => Ok(base64(b)),
        "escape" => Ok(escape(b)),
        _ => Err(unknown(encoding)),
    }
}

fn decode(s: &str, encoding: &str) -> Result<Vec<u8>> {
    match encoding.to_ascii_lowercase().as_str() {
        "hex" => from_hex(s),
        "base64" => from_base64(s),
        "escape" => from_escape(s),
        _ => Err(unknown(encoding)),
    }
}

fn from_hex(s: &str) -> Result<Vec<u8>> {
    let mut digits = Vec::with_capacity(s.len());
    for c in s.chars().filter(|c| !matches!(c, ' ' | '\n' | '\t' | '\r')) {
        let d = c.to_digit(16).ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))?;
        digits.push(d as u8);
    }
    if digits.len() % 2 != 0 {
        return Err(invalid("invalid hexadecimal data: odd number of digits"));
    }
    Ok(digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}

fn from_base64(s: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(s.len() * 3 / 4);
    let (mut word, mut have, mut end) = (0u32, 0, 0);
    for c in s.chars().filter(|c| !matches!(c, ' ' | '\t' | '\n' | '\r')) {
        let value = if c == '=' {
            if end == 0 {
                end = match have {
                    2 => 1,
                    3 => 2,
                    _ => return Err(invalid("unexpected \"=\" while decoding base64 sequence")),
                };
            }
            0
        } else {
            let at = ALPHABET.iter().position(|a| char::from(*a) == c).filter(|_| end == 0);
            at.ok_or_else(|| invalid(format!("invalid symbol \"{c}\" found while decoding base64 sequence")))? as u32
        };
        word = word << 6 | value;
        have += 1;
        if have == 4 {
            let bytes = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
            out.extend_from_slice(&bytes[..if end == 0 { 3 } else { end }]);
            (word, have) = (0, 0);
        }
    }
    if have != 0 {
        return Err(invalid("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

fn from_escape(s: &str) -> Result<Vec<u8>> {
    let bad = || Error::new(SqlState("22P02"), "invalid input syntax for type bytea");
    let b = s.as_bytes();
    let mut out = Vec::with_capacity(b.len());
    let mut i = 0;
    while i < b.len() {
        if b[i] != b'\\' {
            out.push(b[i]);
            i += 1;
        } else if b.get(i + 1) == Some(&b'\\') {
            out.push(b'\\');
            i += 2;
        } else {
            let digits = b.get(i + 1..i + 4).ok_or_else(bad)?;
            if !(b'0'..=b'3').contains(&digits[0]) || digits.iter().any(|d| !(b'0'..=b'7').contains(d)) {
                return Err(bad());
            }
            out.push(digits.iter().fold(0, |v, d| v << 3 | (d - b'0')));
            i += 4;
        }
    }
    Ok(out)
}

fn substr(b: &[u8], start: i32, len: Option<i32>) -> Result<Vec<u8>> {
    if len.is_some_and(|l| l < 0) {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let size = b.len() as i64;
    let from = (i64::from(start).max(1) - 1).min(size);
    let end = len.map_or(size, |l| (i64::from(start) + i64::from(l) - 1).clamp(from, size));
    Ok(b[from as usize..end.max(from) as usize].to_vec())
}

fn position(b: &[u8], part: &[u8]) -> i32 {
    if part.is_empty() {
        return 1;
    }
    b.windows(part.len()).position(|w| w == part).map_or(0, |i| i as i32 + 1)
}

fn trim(b: &[u8], set: &[u8], left: bool, right: bool) -> Vec<u8> {
    let keep = |b: &u8| !set.contains(b);
    let from = if left { b.iter().position(keep).unwrap_or(b.len()) } else { 0 };
    let to = if right { b.iter().rposition(keep).map_or(from, |i| i + 1) } else { b.len() };
    b[from..to.max(from)].to_vec()
}

/// The index of a byte (or of a bit's byte) within a value.
fn index(b: &[u8], i: i64, units: i64) -> Result<usize> {
    let size = b.len() as i64 * units;
    if (0..size).contains(&i) {
        return Ok(i as usize);
    }
    let e = format!("index {i} out of valid range, 0..{}", size - 1);
    Err(Error::new(SqlState("2202E"), e))
}

fn set_byte(b: &[u8], i: i32, v: i32) -> Result<Vec<u8>> {
    let i = index(b, i.into(), 1)?;
    let mut out = b.to_vec();
    out[i] = v as u8;
    Ok(out)
}

fn set_bit(b: &[u8], i: i64, v: i32) -> Result<Vec<u8>> {
    let i = index(b, i, 8)?;
    if !(0..=1).contains(&v) {
        return Err(invalid("new bit must be 0 or 1"));
    }
    let mut out = b.to_vec();
    out[i / 8] = out[i / 8] & !(1 << (i % 8)) | (v as u8) << (i % 8);
    Ok(out)
}

fn overlay(b: &[u8], with: &[u8], start: i32, len: i32) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let tail = start.checked_add(len).ok_or_else(|| super::error::out_of_range("integer"))?;
    Ok([&substr(b, 1, Some(start - 1))?, with, &substr(b, tail, None)?].concat())
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("encode(bytea,text)", k!(|b: &[u8], e: &str| -> String { encode(b, e) }));
    r.scalar("decode(text,text)", k!(|s: &str, e: &str| -> Vec<u8> { decode(s, e) }));
    r.scalar("md5(text)", k!(|s: &str| -> String = hex(&Md5::digest(s.as_bytes()))));
    r.scalar("md5(bytea)", k!(|s: &[u8]| -> String = hex(&Md5::digest(s))));
    r.scalar("sha224(bytea)", k!(|s: &[u8]| -> Vec<u8> = Sha224::digest(s).to_vec()));
    r.scalar("sha256(bytea)", k!(|s: &[u8]| -> Vec<u8> = Sha256::digest(s).to_vec()));
    r.scalar("sha384(bytea)", k!(|s: &[u8]| -> Vec<u8> = Sha384::digest(s).to_vec()));
    r.scalar("sha512(bytea)", k!(|s: &[u8]| -> Vec<u8> = Sha512::digest(s).to_vec()));
    r.scalars(
        &["substr(bytea,int4)", "substring(bytea,int4)"],
        k!(|b: &[u8], a: i32| -> Vec<u8> { substr(b, a, None) }),
    );
    r.scalars(
        &["substr(bytea,int4,int4)", "substring(bytea,int4,int4)"],
        k!(|b: &[u8], a: i32, n: i32| -> Vec<u8> { substr(b, a, Some(n)) }),
    );
    r.scalar("position(bytea,bytea)", k!(|b: &[u8], p: &[u8]| -> i32 = position(b, p)));
    r.scalar("btrim(bytea,bytea)", k!(|b: &[u8], s: &[u8]| -> Vec<u8> = trim(b, s, true, true)));
    r.scalar("ltrim(bytea,bytea)", k!(|b: &[u8], s: &[u8]| -> Vec<u8> = trim(b, s, true, false)));
    r.scalar("rtrim(bytea,bytea)", k!(|b: &[u8], s: &[u8]| -> Vec<u8> = trim(b, s, false, true)));
    r.scalar("get_byte(bytea,int4)", k!(|b: &[u8], i: i32| -> i32 { Ok(i32::from(b[index(b, i.into(), 1)?])) }));
    r.scalar("set_byte(bytea,int4,int4)", k!(|b: &[u8], i: i32, v: i32| -> Vec<u8> { set_byte(b, i, v) }));
    r.scalar(
        "get_bit(bytea,int8)",
        k!(|b: &[u8], i: i64| -> i32 {
            let i = index(b, i, 8)?;
            Ok(i32::from(b[i / 8] >> (i % 8) & 1))
        }),
    );
    r.scalar("set_bit(bytea,int8,int4)", k!(|b: &[u8], i: i64, v: i32| -> Vec<u8> { set_bit(b, i, v) }));
    r.scalar("bit_count(bytea)", k!(|b: &[u8]| -> i64 = b.iter().map(|b| i64::from(b.count_ones())).sum()));
    r.scalar(
        "overlay(bytea,bytea,int4)",
        k!(|b: &[u8], w: &[u8], a: i32| -> Vec<u8> { overlay(b, w, a, w.len() as i32) }),
    );
    r.scalar(
        "overlay(bytea,bytea,int4,int4)",
        k!(|b: &[u8], w: &[u8], a: i32, n: i32| -> Vec<u8> { overlay(b, w, a, n) }),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        for e in ["hex", "base64", "escape"] {
            assert_eq!(decode(&encode(&all, e).unwrap(), e).unwrap(), all, "{e}");
        }
        assert_eq!(encode(b"a\\\x00", "escape").unwrap(), "a\\\\\\000");
        assert_eq!(base64(b"ab"), "YWI=");
        assert_eq!(hex(&Md5::digest(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
    }
}
