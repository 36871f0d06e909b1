//! numeric as bytes: the compact form of rows and Arrow columns, and PostgreSQL's binary wire form.
//!
//! Compact form: kind u8 (0 finite, 1 NaN, 2 Infinity, 3 -Infinity); finite values go on with the scale (u16 LE) and the
//! unscaled integer, two's complement, little-endian, in the fewest bytes (none for zero).

use super::repr::pow10_big;
use super::{Numeric, Repr, SCALE_MAX};
use crate::{Error, Result, SqlState};
use num_bigint::{BigInt, BigUint, Sign};
use num_traits::{ToPrimitive, Zero};

const FINITE: u8 = 0;
const NAN: u8 = 1;
const POS_INF: u8 = 2;
const NEG_INF: u8 = 3;

/// More than 131072 + 16383 digits never occur: log256(10) = 0.41524 bytes a digit.
const UNSCALED_BYTES_MAX: usize = 61_300;

impl Numeric {
    /// Compact bytes for rows and Arrow; equal numbers with different display scales differ here (use [`crate::key`] to compare).
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(11);
        self.write_bytes(&mut out);
        out
    }

    /// Appends [`Self::to_bytes`].
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Small { mantissa, scale } => write_parts(out, *mantissa, *scale),
            Repr::Big { mantissa, scale } => {
                out.push(FINITE);
                out.extend_from_slice(&scale.to_le_bytes());
                out.extend_from_slice(&mantissa.to_signed_bytes_le());
            }
            Repr::NaN => out.push(NAN),
            Repr::PosInf => out.push(POS_INF),
            Repr::NegInf => out.push(NEG_INF),
        }
    }

    /// Reads [`Self::to_bytes`]; `XX001` on malformed bytes.
    #[inline]
    pub fn from_bytes(b: &[u8]) -> Result<Self> {
        if let Some((unscaled, scale)) = small_parts(b).filter(|(_, scale)| *scale <= SCALE_MAX) {
            return Ok(Self::from_parts(unscaled.into(), scale));
        }
        check_bytes(b)?;
        Ok(match *b {
            [FINITE, s0, s1, ref m @ ..] => from_unscaled_bytes(m, u16::from_le_bytes([s0, s1])),
            [POS_INF] => Self::INFINITY,
            [NEG_INF] => Self::NEG_INFINITY,
            _ => Self::NAN,
        })
    }

    /// PostgreSQL's binary wire form.
    pub fn to_wire(&self, out: &mut Vec<u8>) {
        let (weight, digits) = self.base10000();
        let sign: u16 = match self.0 {
            Repr::NaN => 0xc000,
            Repr::PosInf => 0xd000,
            Repr::NegInf => 0xf000,
            _ if self.signum() < 0 => 0x4000,
            _ => 0,
        };
        out.extend_from_slice(&(digits.len() as u16).to_be_bytes());
        out.extend_from_slice(&(weight as i16).to_be_bytes());
        out.extend_from_slice(&sign.to_be_bytes());
        // PostgreSQL lets the infinities' flag bit through into the scale; readers ignore it, byte comparisons do not.
        let dscale = if self.is_infinite() { 0x20 } else { self.dscale() };
        out.extend_from_slice(&dscale.to_be_bytes());
        digits.iter().for_each(|d| out.extend_from_slice(&d.to_be_bytes()));
    }

    /// Reads PostgreSQL's binary wire form; `22P03`.
    pub fn from_wire(b: &[u8]) -> Result<Self> {
        let word = |i: usize| b.get(2 * i..2 * i + 2).map(|w| u16::from_be_bytes([w[0], w[1]]));
        let (Some(ndigits), Some(weight), Some(sign), Some(dscale)) = (word(0), word(1), word(2), word(3)) else {
            return Err(bad_wire("insufficient data left in message"));
        };
        let weight = i64::from(weight as i16);
        match sign {
            0 | 0x4000 => {}
            0xc000 => return Ok(Self::NAN),
            0xd000 => return Ok(Self::INFINITY),
            0xf000 => return Ok(Self::NEG_INFINITY),
            _ => return Err(bad_wire("invalid sign in external \"numeric\" value")),
        }
        if dscale > SCALE_MAX {
            return Err(bad_wire("invalid scale in external \"numeric\" value"));
        }
        let body = &b[8..];
        if body.len() < 2 * usize::from(ndigits) {
            return Err(bad_wire("insufficient data left in message"));
        }
        if body.len() > 2 * usize::from(ndigits) {
            return Err(bad_wire("incorrect binary data format"));
        }
        let digits: Vec<u16> = body.chunks_exact(2).map(|d| u16::from_be_bytes([d[0], d[1]])).collect();
        if digits.iter().any(|d| *d > 9999) {
            return Err(bad_wire("invalid digit in external \"numeric\" value"));
        }
        let m = unscaled_from_base10000(&digits, weight, i64::from(dscale));
        let m = BigInt::from_biguint(if sign == 0 { Sign::Plus } else { Sign::Minus }, m);
        Self::checked_big(m, i64::from(dscale))
    }

    /// Weight of the first digit and the base-10000 digits, without zeros at either end.
    fn base10000(&self) -> (i64, Vec<u16>) {
        let Some((m, scale)) = self.big_parts() else { return (0, Vec::new()) };
        if m.is_zero() {
            return (0, Vec::new());
        }
        let fraction = i64::from(scale).div_euclid(4) + i64::from(scale % 4 != 0);
        let m = m.magnitude() * pow10_big((fraction * 4 - i64::from(scale)) as u32).magnitude();
        let text = m.to_string();
        let mut digits = Vec::with_capacity(text.len() / 4 + 1);
        let head = text.len() % 4;
        let groups = std::iter::once(&text.as_bytes()[..head]).chain(text.as_bytes()[head..].chunks(4));
        for group in groups.filter(|g| !g.is_empty()) {
            digits.push(group.iter().fold(0u16, |n, b| n * 10 + u16::from(b - b'0')));
        }
        let weight = digits.len() as i64 - fraction - 1;
        while digits.last() == Some(&0) {
            digits.pop();
        }
        (weight, digits)
    }
}

/// Unscaled integer and scale of [`Numeric::to_bytes`] when they are few, as those of ordinary columns are: what kernels look
/// at before they build a [`Numeric`].
#[inline]
pub fn small_parts(b: &[u8]) -> Option<(i64, u16)> {
    let [FINITE, s0, s1, m @ ..] = b else { return None };
    let unscaled = match *m {
        [] => 0,
        [a] => i64::from(a as i8),
        [a, b] => i64::from(i16::from_le_bytes([a, b])),
        [a, b, c] => i64::from(i32::from_le_bytes([0, a, b, c]) >> 8),
        [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
        [a, b, c, d, e] => i64::from_le_bytes([0, 0, 0, a, b, c, d, e]) >> 24,
        [a, b, c, d, e, f] => i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16,
        [a, b, c, d, e, f, g] => i64::from_le_bytes([0, a, b, c, d, e, f, g]) >> 8,
        [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
        _ => return None,
    };
    Some((unscaled, u16::from_le_bytes([*s0, *s1])))
}

/// Appends [`Numeric::to_bytes`] of a finite value.
#[inline]
pub fn write_parts(out: &mut Vec<u8>, unscaled: i128, scale: u16) {
    let mut bytes = [0; 19];
    bytes[1..3].copy_from_slice(&scale.to_le_bytes());
    bytes[3..].copy_from_slice(&unscaled.to_le_bytes());
    // All of them, then back: a copy of a known length is a few instructions.
    let end = out.len() + 3 + significant_bytes(unscaled);
    out.extend_from_slice(&bytes);
    out.truncate(end);
}

/// Checks everything [`Numeric::from_bytes`] relies on, without building the value.
#[inline]
pub(crate) fn check_bytes(b: &[u8]) -> Result<()> {
    let sound = match *b {
        [NAN | POS_INF | NEG_INF] => true,
        [FINITE, s0, s1, ref m @ ..] => u16::from_le_bytes([s0, s1]) <= SCALE_MAX && m.len() <= UNSCALED_BYTES_MAX,
        _ => false,
    };
    if sound { Ok(()) } else { Err(Error::new(SqlState::DATA_CORRUPTED, "malformed numeric value")) }
}

/// Most fraction digits of a [`short`] numeric.
const SHORT_SCALE_MAX: u16 = 18;

/// The unscaled integer and the scale of compact bytes that hold a number of few digits.
pub(crate) fn short(b: &[u8]) -> Option<(i64, usize)> {
    let (unscaled, scale) = small_parts(b)?;
    (scale <= SHORT_SCALE_MAX).then_some((unscaled, scale.into()))
}

fn from_unscaled_bytes(m: &[u8], scale: u16) -> Numeric {
    if m.len() > 16 {
        return Numeric::from_big(BigInt::from_signed_bytes_le(m), scale);
    }
    let negative = m.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide[..m.len()].copy_from_slice(m);
    Numeric::from_parts(i128::from_le_bytes(wide), scale)
}

/// Bytes of the shortest two's complement form; 0 for zero.
#[inline]
fn significant_bytes(m: i128) -> usize {
    if m == 0 {
        return 0;
    }
    let redundant = if m < 0 { m.leading_ones() } else { m.leading_zeros() };
    // One sign bit stays.
    (128 - redundant as usize) / 8 + 1
}

/// |value| × 10^dscale, truncated.
fn unscaled_from_base10000(digits: &[u16], weight: i64, dscale: i64) -> BigUint {
    let mut text = String::with_capacity(digits.len() * 4 + 1);
    text.push('0');
    digits.iter().for_each(|d| text.push_str(&format!("{d:04}")));
    let m: BigUint = text.parse().expect("only digits");
    // The last digit stands for 10000^(weight - n + 1).
    let shift = (weight - digits.len() as i64 + 1) * 4 + dscale;
    let p = pow10_big(shift.unsigned_abs() as u32).to_biguint().unwrap_or_default();
    if m.to_u8() == Some(0) {
        m
    } else if shift >= 0 {
        m * p
    } else {
        m / p
    }
}

fn bad_wire(message: &str) -> Error {
    Error::new(SqlState::INVALID_BINARY_REPRESENTATION, message)
}
