//! Building blocks below numeric's arithmetic: powers of ten, digit counts, rounding division.

use super::{INTEGER_DIGITS_MAX, Numeric, Repr, SCALE_MAX};
use crate::{Error, Result, SqlState};
use num_bigint::{BigInt, Sign};
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

/// Powers of ten that fit in an i128.
const POW10: [i128; 39] = {
    let mut table = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// 10^n if it fits in an i128.
pub(super) fn pow10(n: u16) -> Option<i128> {
    POW10.get(usize::from(n)).copied()
}

/// 10^n.
pub(super) fn pow10_big(n: u32) -> BigInt {
    match POW10.get(n as usize) {
        Some(p) => BigInt::from(*p),
        None => BigInt::from(10).pow(n),
    }
}

/// `m / d`, rounded half away from zero; `d` is positive.
pub(super) fn div_round(m: i128, d: i128) -> i128 {
    let (q, r) = (m / d, m % d);
    let up = r.unsigned_abs() >= d.unsigned_abs() - r.unsigned_abs();
    if up { q + m.signum() } else { q }
}

/// `m / d`, rounded half away from zero; `d` may be negative.
pub(super) fn div_round_big(m: &BigInt, d: &BigInt) -> BigInt {
    let (q, r) = m.abs().div_rem(&d.abs());
    let q = if r * 2 >= d.abs() { q + 1 } else { q };
    if (m.sign() == Sign::Minus) != (d.sign() == Sign::Minus) { -q } else { q }
}

/// Number of decimal digits of a non-zero integer.
pub(super) fn digits_big(m: &BigInt) -> i64 {
    // 2^(bits-1) <= |m| < 2^bits, so the estimate is at most one too low.
    let low = ((m.bits().saturating_sub(1)) as f64 * std::f64::consts::LOG10_2 - 1e-6).max(0.0) as u32;
    let mut n = low;
    let mut p = pow10_big(low);
    let m = m.abs();
    while p <= m {
        p *= 10;
        n += 1;
    }
    i64::from(n)
}

/// The error for values beyond PostgreSQL's limits.
pub(super) fn overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

impl Numeric {
    /// From a big unscaled integer; the scale is within bounds.
    pub(super) fn from_big(mantissa: BigInt, scale: u16) -> Self {
        match mantissa.to_i128() {
            Some(mantissa) => Self(Repr::Small { mantissa, scale }),
            None => Self(Repr::Big { mantissa: Box::new(mantissa), scale }),
        }
    }

    /// [`Self::from_big`] with PostgreSQL's limits: too long a fraction is rounded, too long an integer part is `22003`.
    pub(super) fn checked_big(mantissa: BigInt, scale: i64) -> Result<Self> {
        let max = i64::from(SCALE_MAX);
        let (mantissa, scale) = if scale > max {
            (div_round_big(&mantissa, &pow10_big((scale - max) as u32)), max)
        } else {
            (mantissa, scale)
        };
        // Below 2^435400 < 10^131072 no count is needed.
        if mantissa.bits() > 435_400 && digits_big(&mantissa) - scale > INTEGER_DIGITS_MAX {
            return Err(overflow());
        }
        Ok(Self::from_big(mantissa, scale as u16))
    }

    /// Decimal exponent of the first digit (0 for 1..9, -1 for 0.1), and `None` for zero and the specials.
    pub(super) fn exponent(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small { mantissa: 0, .. } => None,
            Repr::Small { mantissa, scale } => Some(i64::from(mantissa.unsigned_abs().ilog10()) - i64::from(*scale)),
            Repr::Big { mantissa, scale } => Some(digits_big(mantissa) - 1 - i64::from(*scale)),
            _ => None,
        }
    }

    /// PostgreSQL's view of the value: weight of the first base-10000 digit and that digit; (0, 0) for zero.
    pub(super) fn weight_and_first_digit(&self) -> (i64, i64) {
        let Some(exponent) = self.exponent() else { return (0, 0) };
        let weight = exponent.div_euclid(4);
        (weight, self.digits_from(weight).unwrap_or(0))
    }

    /// floor(|self| / 10000^weight): the base-10000 digits at and above `weight` as one integer, if it fits.
    pub(super) fn digits_from(&self, weight: i64) -> Option<i64> {
        let scale = i64::from(self.dscale());
        let drop = scale + weight * 4;
        if let (Repr::Small { mantissa, .. }, true) = (&self.0, drop >= 0) {
            let d = u16::try_from(drop).ok().and_then(pow10);
            return d.map_or(Some(0), |d| i64::try_from(mantissa.unsigned_abs() / d.unsigned_abs()).ok());
        }
        let (m, _) = self.big_parts()?;
        let p = pow10_big(u32::try_from(drop.unsigned_abs()).ok()?);
        if drop >= 0 { (m.abs() / p).to_i64() } else { (m.abs() * p).to_i64() }
    }

    /// Unscaled integer at another scale (rounding half away from zero); finite values only.
    pub(super) fn unscaled_at(&self, scale: i64) -> BigInt {
        let Some((m, s)) = self.big_parts() else { return BigInt::zero() };
        let by = scale - i64::from(s);
        if by >= 0 { m * pow10_big(by as u32) } else { div_round_big(&m, &pow10_big(by.unsigned_abs() as u32)) }
    }
}
