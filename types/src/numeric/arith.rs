//! numeric's exact operators and rounding, with PostgreSQL's result scales and rules for NaN and the infinities.

use super::repr::{div_round, div_round_big, pow10, pow10_big};
use super::{Numeric, Repr};
use crate::{Error, Result, SqlState};
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{ToPrimitive, Zero};

/// Significant digits a quotient has at least (NUMERIC_MIN_SIG_DIGITS).
pub(super) const SIG_DIGITS_MIN: i64 = 16;
/// Largest scale a quotient or function result gets by itself (NUMERIC_MAX_DISPLAY_SCALE).
pub(super) const RESULT_SCALE_MAX: i64 = 1000;
/// round() and trunc() clamp their argument to this (NUMERIC_MAX_RESULT_SCALE).
const ROUND_SCALE_MAX: i32 = 2000;

impl Numeric {
    /// Sum. (All five follow PostgreSQL's result scales, NaN and infinity rules.)
    pub fn add(&self, o: &Self) -> Result<Self> {
        if let (Repr::Small { mantissa: a, scale: s }, Repr::Small { mantissa: b, scale: t }) = (&self.0, &o.0)
            && let Some((a, b, scale)) = align(*a, *s, *b, *t)
            && let Some(sum) = a.checked_add(b)
        {
            return Ok(Self::from_parts(sum, scale));
        }
        match (&self.0, &o.0) {
            (Repr::NaN, _) | (_, Repr::NaN) | (Repr::PosInf, Repr::NegInf) | (Repr::NegInf, Repr::PosInf) => {
                Ok(Self::NAN)
            }
            (Repr::PosInf, _) | (_, Repr::PosInf) => Ok(Self::INFINITY),
            (Repr::NegInf, _) | (_, Repr::NegInf) => Ok(Self::NEG_INFINITY),
            _ => {
                let scale = i64::from(self.dscale().max(o.dscale()));
                Self::checked_big(self.unscaled_at(scale) + o.unscaled_at(scale), scale)
            }
        }
    }

    /// Difference.
    pub fn sub(&self, o: &Self) -> Result<Self> {
        if let (Repr::Small { mantissa: a, scale: s }, Repr::Small { mantissa: b, scale: t }) = (&self.0, &o.0)
            && let Some((a, b, scale)) = align(*a, *s, *b, *t)
            && let Some(difference) = a.checked_sub(b)
        {
            return Ok(Self::from_parts(difference, scale));
        }
        self.add(&o.neg())
    }

    /// Product.
    pub fn mul(&self, o: &Self) -> Result<Self> {
        if let (Repr::Small { mantissa: a, scale: s }, Repr::Small { mantissa: b, scale: t }) = (&self.0, &o.0)
            && let Some(product) = a.checked_mul(*b)
            && s + t <= super::SCALE_MAX
        {
            return Ok(Self::from_parts(product, s + t));
        }
        if self.is_nan() || o.is_nan() {
            return Ok(Self::NAN);
        }
        let (Some((a, s)), Some((b, t))) = (self.big_parts(), o.big_parts()) else {
            return Ok(infinity_times(self.signum() * o.signum()));
        };
        Self::checked_big(a * b, i64::from(s) + i64::from(t))
    }

    /// Quotient with PostgreSQL's select_div_scale; `22012`.
    pub fn div(&self, o: &Self) -> Result<Self> {
        if let (Repr::Small { mantissa: a, scale: 0 }, Repr::Small { mantissa: b, scale: 0 }) = (&self.0, &o.0)
            && let Some(quotient) = quick_quotient(*a, *b)
        {
            return Ok(quotient);
        }
        match self.divide_special(o)? {
            Some(special) => Ok(special),
            None => self.div_at(o, self.div_scale(o)),
        }
    }

    /// Quotient truncated toward zero to an integer, PostgreSQL's `div(a, b)`; `22012`.
    pub fn div_trunc(&self, o: &Self) -> Result<Self> {
        if let Some(special) = self.divide_special(o)? {
            return Ok(special);
        }
        let scale = i64::from(self.dscale().max(o.dscale()));
        Self::checked_big(self.unscaled_at(scale) / o.unscaled_at(scale), 0)
    }

    /// Remainder truncated toward zero; `22012`.
    pub fn rem(&self, o: &Self) -> Result<Self> {
        if self.is_nan() || o.is_nan() {
            return Ok(Self::NAN);
        }
        if o.is_zero() {
            return Err(division_by_zero());
        }
        match (&self.0, &o.0) {
            (Repr::Small { mantissa: a, scale: s }, Repr::Small { mantissa: b, scale: t }) => {
                if let Some((a, b, scale)) = align(*a, *s, *b, *t) {
                    return Ok(Self::from_parts(a.wrapping_rem(b), scale));
                }
            }
            (Repr::PosInf | Repr::NegInf, _) => return Ok(Self::NAN),
            (_, Repr::PosInf | Repr::NegInf) => return Ok(self.clone()),
            _ => {}
        }
        let scale = i64::from(self.dscale().max(o.dscale()));
        Self::checked_big(self.unscaled_at(scale) % o.unscaled_at(scale), scale)
    }

    /// Negation.
    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Small { mantissa, scale } => match mantissa.checked_neg() {
                Some(m) => Self::from_parts(m, *scale),
                None => Self::from_big(-BigInt::from(*mantissa), *scale),
            },
            Repr::Big { mantissa, scale } => Self::from_big(-(**mantissa).clone(), *scale),
            Repr::NaN => Self::NAN,
            Repr::PosInf => Self::NEG_INFINITY,
            Repr::NegInf => Self::INFINITY,
        }
    }

    /// Absolute value.
    pub fn abs(&self) -> Self {
        if self.signum() < 0 { self.neg() } else { self.clone() }
    }

    /// -1, 0, 1 (NaN gives NaN as PostgreSQL's sign()).
    pub fn sign(&self) -> Self {
        if self.is_nan() { Self::NAN } else { Self::from_i64(self.signum().into()) }
    }

    /// Rounds half away from zero to `scale` digits (may be negative).
    pub fn round(&self, scale: i32) -> Self {
        self.rescale(scale.clamp(-ROUND_SCALE_MAX, ROUND_SCALE_MAX), div_round, div_round_big)
    }

    /// Truncates toward zero to `scale` digits.
    pub fn trunc(&self, scale: i32) -> Self {
        self.rescale(scale.clamp(-ROUND_SCALE_MAX, ROUND_SCALE_MAX), |m, d| m / d, |m, d| m / d)
    }

    /// Smallest integer >= self.
    pub fn ceil(&self) -> Self {
        self.rescale(0, |m, d| m.div_euclid(d) + i128::from(m.rem_euclid(d) != 0), |m, d| m.div_ceil(d))
    }

    /// Largest integer <= self.
    pub fn floor(&self) -> Self {
        self.rescale(0, |m, d| m.div_euclid(d), |m, d| m.div_floor(d))
    }

    /// The same value with the fewest fraction digits (PostgreSQL's trim_scale).
    pub fn trim_scale(&self) -> Self {
        match &self.0 {
            Repr::Small { mantissa, scale } => {
                let (mut m, mut s) = (*mantissa, *scale);
                if m == 0 {
                    s = 0;
                }
                while s > 0 && m % 10 == 0 {
                    m /= 10;
                    s -= 1;
                }
                Self::from_parts(m, s)
            }
            Repr::Big { mantissa, scale } => trim_big(mantissa, *scale),
            _ => self.clone(),
        }
    }

    /// Fewest fraction digits that hold the value (PostgreSQL's min_scale).
    pub fn min_scale(&self) -> u16 {
        self.trim_scale().dscale()
    }

    /// Rounded half away from zero; `None` when out of range or not finite.
    pub fn to_i64(&self) -> Option<i64> {
        self.to_i128().and_then(|v| i64::try_from(v).ok())
    }

    /// Rounded half away from zero; `None` when out of range or not finite.
    pub fn to_i128(&self) -> Option<i128> {
        match &self.0 {
            Repr::Small { mantissa, scale: 0 } => Some(*mantissa),
            Repr::Small { .. } | Repr::Big { .. } => self.unscaled_at(0).to_i128(),
            _ => None,
        }
    }

    /// Is the value a whole number? Infinities are, NaN is not, as in PostgreSQL.
    pub fn is_integral(&self) -> bool {
        !self.is_nan() && self.min_scale() == 0
    }

    /// Applies numeric(p, s): rounds, `22003` with PostgreSQL's detail when it does not fit.
    pub fn apply_typmod(&self, typmod: i32) -> Result<Self> {
        let Some((precision, scale)) = crate::PgType::with_typmod(crate::oid::NUMERIC, typmod).numeric_precision()
        else {
            return Ok(self.clone());
        };
        if self.is_nan() {
            return Ok(Self::NAN);
        }
        if self.is_infinite() {
            let detail = format!("A field with precision {precision}, scale {scale} cannot hold an infinite value.");
            return Err(field_overflow().detail(detail));
        }
        let rounded = self.round(scale.into());
        let digits_max = i64::from(precision) - i64::from(scale);
        if rounded.exponent().is_some_and(|e| e >= digits_max) {
            let bound = if digits_max != 0 { format!("10^{digits_max}") } else { "1".to_owned() };
            let detail = format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
            );
            return Err(field_overflow().detail(detail));
        }
        Ok(rounded)
    }

    /// NaN, infinity and zero cases of division; `None` when both are finite and the divisor is not zero.
    fn divide_special(&self, o: &Self) -> Result<Option<Self>> {
        if self.is_nan() || o.is_nan() {
            return Ok(Some(Self::NAN));
        }
        if o.is_zero() {
            return Err(division_by_zero());
        }
        Ok(match (self.is_infinite(), o.is_infinite()) {
            (true, true) => Some(Self::NAN),
            (true, false) => Some(infinity_times(self.signum() * o.signum())),
            (false, true) => Some(Self::ZERO),
            (false, false) => None,
        })
    }

    /// PostgreSQL's select_div_scale: at least 16 significant digits, never less than either input shows.
    fn div_scale(&self, o: &Self) -> i64 {
        let (w1, d1) = self.weight_and_first_digit();
        let (w2, d2) = o.weight_and_first_digit();
        // With equal first digits the first operand is assumed smaller.
        let quotient_weight = w1 - w2 - i64::from(d1 <= d2);
        let scale = SIG_DIGITS_MIN - quotient_weight * 4;
        scale.max(self.dscale().into()).max(o.dscale().into()).clamp(0, RESULT_SCALE_MAX)
    }

    /// Quotient of finite values rounded to `scale`; the divisor is not zero.
    pub(super) fn div_at(&self, o: &Self, scale: i64) -> Result<Self> {
        let shift = scale + i64::from(o.dscale()) - i64::from(self.dscale());
        if let (Repr::Small { mantissa: a, .. }, Repr::Small { mantissa: b, .. }) = (&self.0, &o.0)
            && let Some(p) = u16::try_from(shift).ok().and_then(pow10)
            && let Some(a) = a.checked_mul(p)
            && let (Some(a), Some(d)) = (if *b < 0 { a.checked_neg() } else { Some(a) }, b.checked_abs())
        {
            return Ok(Self::from_parts(div_round(a, d), scale as u16));
        }
        let (a, b) = (self.unscaled_or_zero(), o.unscaled_or_zero());
        let p = pow10_big(shift.unsigned_abs() as u32);
        let q = if shift >= 0 { div_round_big(&(a * p), &b) } else { div_round_big(&a, &(b * p)) };
        Self::checked_big(q, scale)
    }

    fn unscaled_or_zero(&self) -> BigInt {
        self.big_parts().map_or_else(BigInt::zero, |(m, _)| m)
    }

    /// Changes the scale, dividing by a power of ten with `small` or `big` when digits go.
    fn rescale(&self, scale: i32, small: fn(i128, i128) -> i128, big: fn(&BigInt, &BigInt) -> BigInt) -> Self {
        let dscale = scale.max(0) as u16;
        let drop = i32::from(self.dscale()) - scale;
        if let Repr::Small { mantissa, .. } = self.0 {
            let p = u16::try_from(drop.unsigned_abs()).ok().and_then(pow10);
            let restore = pow10(scale.min(0).unsigned_abs() as u16);
            let m = match (p, drop > 0) {
                (Some(p), true) => restore.and_then(|r| small(mantissa, p).checked_mul(r)),
                (Some(p), false) => mantissa.checked_mul(p),
                (None, _) => None,
            };
            if let Some(m) = m {
                return Self::from_parts(m, dscale);
            }
        }
        let Some((m, _)) = self.big_parts() else { return self.clone() };
        let p = pow10_big(drop.unsigned_abs());
        let m = if drop > 0 { big(&m, &p) * pow10_big(scale.min(0).unsigned_abs()) } else { m * p };
        Self::from_big(m, dscale)
    }
}

/// The quotient of integers of ordinary size, in steps that 64 bits hold: what averages are made of.
fn quick_quotient(a: i128, b: i128) -> Option<Numeric> {
    /// A remainder below it has room for [`STEP_DIGITS`] more digits.
    const DIVISOR_MAX: u64 = 100_000_000_000;
    const STEP_DIGITS: u32 = 8;
    let (n, d) = (u64::try_from(a.unsigned_abs()).ok()?, u64::try_from(b.unsigned_abs()).ok()?);
    if d == 0 || d > DIVISOR_MAX {
        return None;
    }
    let ((w1, d1), (w2, d2)) = (weight_of(n), weight_of(d));
    // As in `div_scale`.
    let scale = (SIG_DIGITS_MIN - (w1 - w2 - i64::from(d1 <= d2)) * 4).max(0) as u32;
    let (mut quotient, mut rest, mut left) = (u128::from(n / d), n % d, scale);
    while left > 0 {
        let digits = left.min(STEP_DIGITS);
        let power = 10u64.pow(digits);
        let more = rest * power;
        quotient = quotient * u128::from(power) + u128::from(more / d);
        rest = more % d;
        left -= digits;
    }
    quotient += u128::from(rest * 2 >= d);
    let mantissa = i128::try_from(quotient).ok()?;
    Some(Numeric::from_parts(if (a < 0) == (b < 0) { mantissa } else { -mantissa }, scale as u16))
}

/// Weight and value of the first base-10000 digit.
fn weight_of(v: u64) -> (i64, u64) {
    match v {
        0..10_000 => (0, v),
        10_000..100_000_000 => (1, v / 10_000),
        100_000_000..1_000_000_000_000 => (2, v / 100_000_000),
        1_000_000_000_000..10_000_000_000_000_000 => (3, v / 1_000_000_000_000),
        _ => (4, v / 10_000_000_000_000_000),
    }
}

/// Both integers at the larger scale, if that fits.
fn align(a: i128, s: u16, b: i128, t: u16) -> Option<(i128, i128, u16)> {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match s.cmp(&t) {
        Equal => Some((a, b, s)),
        Less => Some((a.checked_mul(pow10(t - s)?)?, b, t)),
        Greater => Some((a, b.checked_mul(pow10(s - t)?)?, s)),
    }
}

/// Infinity times a value of this sign.
fn infinity_times(sign: i32) -> Numeric {
    match sign {
        0 => Numeric::NAN,
        1.. => Numeric::INFINITY,
        _ => Numeric::NEG_INFINITY,
    }
}

fn trim_big(mantissa: &BigInt, scale: u16) -> Numeric {
    let (mut m, mut s) = (mantissa.clone(), scale);
    // Large steps first: a thousand zeros must not cost a thousand divisions.
    for step in [4096u16, 512, 64, 8, 1] {
        let p = pow10_big(step.into());
        while s >= step {
            let (q, r) = m.div_rem(&p);
            if !r.is_zero() {
                break;
            }
            (m, s) = (q, s - step);
        }
    }
    Numeric::from_big(m, s)
}

/// `22012`
pub(super) fn division_by_zero() -> Error {
    Error::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn field_overflow() -> Error {
    Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_quotients_are_those_of_long_division() {
        let mut numbers: Vec<i128> = vec![0, 1, 2, 3, 7, 9999, 10_000, 10_001, 99_999_999, 100_000_000, 99_999_999_999];
        numbers.extend([100_000_000_000, 999_999_999_999, 10_000_000_000_000_000, i64::MAX.into(), u64::MAX.into()]);
        let mut v = 1u64;
        for _ in 0..60 {
            v = v.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            numbers.extend([(v >> 40).into(), (v >> 20).into(), i128::from(v >> 50) - 9000]);
        }
        for a in &numbers {
            for b in numbers.iter().flat_map(|b| [*b, -*b]).filter(|b| *b != 0) {
                let (x, y) = (Numeric::from_parts(*a, 0), Numeric::from_parts(b, 0));
                let slow = x.div_at(&y, x.div_scale(&y)).expect("in range");
                let quick = x.div(&y).expect("in range");
                assert_eq!((quick.to_bytes(), quick.dscale()), (slow.to_bytes(), slow.dscale()), "{a} / {b}");
            }
        }
    }
}
