//! numeric's text form, and the casts from and to floats, which PostgreSQL defines through text.

use super::repr::{overflow, pow10, pow10_big};
use super::{INTEGER_DIGITS_MAX, Numeric, Repr, SCALE_MAX};
use crate::{Error, Result, SqlState};
use num_bigint::{BigInt, Sign};

/// Exponents beyond this are refused before any digit is looked at, as in PostgreSQL.
const EXPONENT_MAX: i64 = i32::MAX as i64 / 2;

impl Numeric {
    /// Parses PostgreSQL's input syntax (blanks around, sign, exponent, NaN, Infinity). `22P02`, `22003`.
    pub fn parse(s: &str) -> Result<Self> {
        if let Some(n) = plain(s) {
            return Ok(n);
        }
        let invalid = || {
            Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid input syntax for type numeric: \"{s}\""))
        };
        let body = s.trim_matches(is_space);
        if let Some(special) = parse_special(body) {
            return Ok(special);
        }
        let (negative, unsigned) = match body.as_bytes().first() {
            Some(b'-') => (true, &body[1..]),
            Some(b'+') => (false, &body[1..]),
            _ => (false, body),
        };
        let (digits, exponent) = split_exponent(unsigned).ok_or_else(invalid)?;
        let (int, frac) = digits.split_once('.').unwrap_or((digits, ""));
        if int.len() + frac.len() == 0 || !int.bytes().chain(frac.bytes()).all(|b| b.is_ascii_digit()) {
            return Err(invalid());
        }
        if exponent.abs() >= EXPONENT_MAX {
            return Err(overflow());
        }
        from_digits(negative, int, frac, exponent)
    }

    /// PostgreSQL's text form with exactly `dscale` fraction digits.
    pub fn format(&self) -> String {
        let (negative, digits, scale) = match &self.0 {
            Repr::Small { mantissa, scale } => {
                (*mantissa < 0, mantissa.unsigned_abs().to_string(), usize::from(*scale))
            }
            Repr::Big { mantissa, scale } => {
                (mantissa.sign() == Sign::Minus, mantissa.magnitude().to_string(), usize::from(*scale))
            }
            Repr::NaN => return "NaN".to_owned(),
            Repr::PosInf => return "Infinity".to_owned(),
            Repr::NegInf => return "-Infinity".to_owned(),
        };
        let mut out = String::with_capacity(digits.len().max(scale + 1) + 2);
        if negative {
            out.push('-');
        }
        let point = digits.len().saturating_sub(scale);
        out.push_str(if point == 0 { "0" } else { &digits[..point] });
        if scale > 0 {
            out.push('.');
            out.extend(std::iter::repeat_n('0', scale.saturating_sub(digits.len())));
            out.push_str(&digits[point..]);
        }
        out
    }

    /// As PostgreSQL casts float8 to numeric (15 significant digits); float4 uses 6.
    pub fn from_f64(v: f64) -> Self {
        from_float(v, 15)
    }

    /// As PostgreSQL casts float4 to numeric.
    pub fn from_f32(v: f32) -> Self {
        from_float(f64::from(v), 6)
    }

    /// Nearest float8 (infinite when out of its range).
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            // Both operands are exact, so the one division rounds correctly.
            Repr::Small { mantissa, scale } if mantissa.unsigned_abs() < 1 << 53 && *scale <= 22 => {
                *mantissa as f64 / pow10(*scale).expect("22 < 39") as f64
            }
            Repr::NaN => f64::NAN,
            Repr::PosInf => f64::INFINITY,
            Repr::NegInf => f64::NEG_INFINITY,
            _ => self.format().parse().expect("a formatted finite numeric is a float literal"),
        }
    }

    /// Nearest float4 (infinite when out of its range), without rounding twice.
    pub fn to_f32(&self) -> f32 {
        match &self.0 {
            Repr::NaN => f32::NAN,
            Repr::PosInf => f32::INFINITY,
            Repr::NegInf => f32::NEG_INFINITY,
            _ => self.format().parse().expect("a formatted finite numeric is a float literal"),
        }
    }
}

impl Numeric {
    /// The digits without zeros at either end, and the exponent `e` with |self| = 0.DIGITS × 10^e. For a finite value that is not zero.
    pub(crate) fn significant_digits(&self) -> (Vec<u8>, i32) {
        let mut digits = match &self.0 {
            Repr::Small { mantissa, .. } => mantissa.unsigned_abs().to_string(),
            Repr::Big { mantissa, .. } => mantissa.magnitude().to_string(),
            _ => String::new(),
        }
        .into_bytes();
        let exponent = digits.len() as i32 - i32::from(self.dscale());
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        (digits, exponent)
    }
}

impl std::fmt::Display for Numeric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.format())
    }
}

/// What C's isspace accepts.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

fn parse_special(s: &str) -> Option<Numeric> {
    if s.eq_ignore_ascii_case("nan") {
        return Some(Numeric::NAN);
    }
    let (negative, name) = match s.as_bytes().first()? {
        b'-' => (true, &s[1..]),
        b'+' => (false, &s[1..]),
        _ => (false, s),
    };
    let infinite = name.eq_ignore_ascii_case("infinity") || name.eq_ignore_ascii_case("inf");
    infinite.then_some(if negative { Numeric::NEG_INFINITY } else { Numeric::INFINITY })
}

/// Splits `1.5e-3` into (`1.5`, -3); `None` when the exponent is malformed. Huge exponents saturate.
fn split_exponent(s: &str) -> Option<(&str, i64)> {
    let Some(at) = s.find(['e', 'E']) else { return Some((s, 0)) };
    let exponent = &s[at + 1..];
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse::<i64>().unwrap_or(EXPONENT_MAX);
    Some((&s[..at], if exponent.starts_with('-') { -magnitude } else { magnitude }))
}

/// The value of `int.frac` × 10^exponent.
/// Up to eighteen digits, maybe a minus, maybe a point: what nearly every number is.
fn plain(s: &str) -> Option<Numeric> {
    let digits = s.strip_prefix('-').unwrap_or(s);
    if digits.len() > 18 || digits.is_empty() || digits == "." {
        return None;
    }
    let (mut mantissa, mut scale) = (0i128, None);
    for b in digits.bytes() {
        match (b, &mut scale) {
            (b'0'..=b'9', scale) => {
                mantissa = mantissa * 10 + i128::from(b - b'0');
                if let Some(scale) = scale {
                    *scale += 1;
                }
            }
            (b'.', scale @ None) => *scale = Some(0),
            _ => return None,
        }
    }
    Some(Numeric::from_parts(if digits.len() < s.len() { -mantissa } else { mantissa }, scale.unwrap_or(0)))
}

fn from_digits(negative: bool, int: &str, frac: &str, exponent: i64) -> Result<Numeric> {
    let scale = frac.len() as i64 - exponent;
    let dscale = u16::try_from(scale.max(0)).ok().filter(|s| *s <= SCALE_MAX).ok_or_else(overflow)?;
    let all: String = [int, frac].concat();
    let digits = all.trim_start_matches('0');
    if digits.is_empty() {
        return Ok(Numeric::from_parts(0, dscale));
    }
    if digits.len() as i64 - scale > INTEGER_DIGITS_MAX {
        return Err(overflow());
    }
    let append = (-scale).max(0);
    if digits.len() as i64 + append <= 38 {
        let m: i128 = digits.parse().expect("at most 38 digits");
        let m = m * pow10(append as u16).expect("at most 38 digits");
        return Ok(Numeric::from_parts(if negative { -m } else { m }, dscale));
    }
    let m: BigInt = digits.parse().expect("only digits");
    let m = m * pow10_big(append as u32);
    Ok(Numeric::from_big(if negative { -m } else { m }, dscale))
}

/// `printf("%.*g")`, read back: `digits` significant digits without trailing zeros.
fn from_float(v: f64, digits: usize) -> Numeric {
    if v.is_nan() {
        return Numeric::NAN;
    }
    if v.is_infinite() {
        return if v > 0.0 { Numeric::INFINITY } else { Numeric::NEG_INFINITY };
    }
    let text = format!("{:.*e}", digits - 1, v);
    let (mantissa, exponent) = text.split_once('e').expect("LowerExp prints an exponent");
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    Numeric::parse(&format!("{mantissa}e{exponent}")).expect("float8's exponents are within numeric's")
}
