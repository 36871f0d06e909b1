//! sqrt, exp, ln, log and power over numeric: correctly rounded results at the scales PostgreSQL chooses.
//!
//! All work in decimal fixed point on big integers with guard digits. PostgreSQL's own results carry a little rounding
//! error in their last digit now and then; its scales we follow exactly.

use super::arith::{RESULT_SCALE_MAX, SIG_DIGITS_MIN, division_by_zero};
use super::repr::{digits_big, div_round_big, overflow, pow10_big};
use super::{INTEGER_DIGITS_MAX, Numeric, Repr};
use crate::{Error, Result, SqlState};
use num_bigint::BigInt;
use num_traits::{One, ToPrimitive, Zero};

/// Digits computed beyond the asked scale.
const GUARD_DIGITS: i64 = 12;
/// exp() of more than this overflows (three times NUMERIC_MAX_RESULT_SCALE).
const EXP_MAX: f64 = 6000.0;
/// PostgreSQL's own digits, so that scales chosen with it agree.
#[expect(clippy::approx_constant, reason = "PostgreSQL's own digits")]
const LOG10_E: f64 = 0.434294481903252;

impl Numeric {
    /// Square root; `2201F` for negative input.
    pub fn sqrt(&self) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Self::NAN),
            Repr::PosInf => return Ok(Self::INFINITY),
            _ if self.signum() < 0 => return Err(bad_power("cannot take square root of a negative number")),
            _ => {}
        }
        let (weight, _) = self.weight_and_first_digit();
        let root_weight = (weight * 4).div_euclid(2) + 1;
        let scale = result_scale(root_weight, &[self]);
        // floor(sqrt(x * 100^(scale+1))) has one digit too many, and that digit decides the rounding.
        let square = self.unscaled_at(2 * (scale + 1));
        Self::checked_big(div_round_big(&square.sqrt(), &BigInt::from(10)), scale)
    }

    /// e^self; `22003` on overflow.
    pub fn exp(&self) -> Result<Self> {
        match self.0 {
            Repr::NaN => return Ok(Self::NAN),
            Repr::PosInf => return Ok(Self::INFINITY),
            Repr::NegInf => return Ok(Self::ZERO),
            _ => {}
        }
        let digits = (self.to_f64() * LOG10_E).clamp(-2000.0, 2000.0) as i64;
        exp_at(self, result_scale(digits, &[self]))
    }

    /// Natural logarithm; `2201E` for zero and negative input.
    pub fn ln(&self) -> Result<Self> {
        if let Some(special) = self.log_special()? {
            return Ok(special);
        }
        let scale = result_scale(ln_dweight(self), &[self]);
        Ok(from_fixed(&ln_fixed(self, scale + GUARD_DIGITS), scale + GUARD_DIGITS, scale))
    }

    /// Logarithm to base 10; `2201E`.
    pub fn log10(&self) -> Result<Self> {
        self.log(&Self::from_i64(10))
    }

    /// Logarithm to `base` (PostgreSQL's `log(base, self)`); `2201E`, `22012` for base 1.
    pub fn log(&self, base: &Self) -> Result<Self> {
        if self.is_nan() || base.is_nan() {
            return Ok(Self::NAN);
        }
        let (special_base, special) = (base.log_special()?, self.log_special()?);
        match (special_base.is_some(), special.is_some()) {
            (true, true) => return Ok(Self::NAN),
            (true, false) => return Ok(Self::ZERO),
            (false, true) => return Ok(Self::INFINITY),
            (false, false) => {}
        }
        let (base_weight, weight) = (ln_dweight(base), ln_dweight(self));
        let scale = result_scale(weight - base_weight, &[self, base]);
        // Each logarithm needs the result's digits relative to its own size.
        let extra = (-base_weight).max(0) * 2 + weight.max(0) + (weight - base_weight).max(0);
        let w = scale + GUARD_DIGITS + extra;
        let (num, den) = (ln_fixed(self, w), ln_fixed(base, w));
        if den.is_zero() {
            return Err(division_by_zero());
        }
        Self::checked_big(div_round_big(&(num * pow10_big(scale as u32)), &den), scale)
    }

    /// self^exponent; `2201F` for 0^negative and negative^fraction, `22003` on overflow.
    pub fn power(&self, exponent: &Self) -> Result<Self> {
        if self.is_nan() {
            return Ok(if exponent.is_zero() { Self::ONE } else { Self::NAN });
        }
        if exponent.is_nan() {
            return Ok(if *self == Self::ONE { Self::ONE } else { Self::NAN });
        }
        if self.signum() == 0 && exponent.signum() < 0 {
            return Err(bad_power("zero raised to a negative power is undefined"));
        }
        if self.signum() < 0 && !exponent.is_integral() {
            return Err(bad_power("a negative number raised to a non-integer power yields a complex result"));
        }
        if self.is_infinite() || exponent.is_infinite() {
            return Ok(power_infinite(self, exponent));
        }
        match exponent.to_i64().and_then(|e| i32::try_from(e).ok()) {
            Some(e) if exponent.is_integral() => {
                let scale = SIG_DIGITS_MIN.max(self.dscale().into()).min(RESULT_SCALE_MAX);
                power_int(self, e, scale)
            }
            _ => power_general(self, exponent),
        }
    }

    /// Logarithm's special cases: infinity and the refusals.
    fn log_special(&self) -> Result<Option<Self>> {
        let refuse = |m: &str| Err(Error::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, m));
        match self.0 {
            Repr::NaN => Ok(Some(Self::NAN)),
            Repr::PosInf => Ok(Some(Self::INFINITY)),
            _ if self.is_zero() => refuse("cannot take logarithm of zero"),
            _ if self.signum() < 0 => refuse("cannot take logarithm of a negative number"),
            _ => Ok(None),
        }
    }
}

/// At least 16 significant digits for a result of decimal weight `dweight`, and no fewer than the inputs show.
fn result_scale(dweight: i64, inputs: &[&Numeric]) -> i64 {
    let shown = inputs.iter().map(|n| i64::from(n.dscale())).max().unwrap_or(0);
    (SIG_DIGITS_MIN - dweight).max(shown).clamp(0, RESULT_SCALE_MAX)
}

/// PostgreSQL's estimate_ln_dweight: the decimal weight of ln(x), from the first digits.
fn ln_dweight(x: &Numeric) -> i64 {
    let near_one = *x >= Numeric::from_parts(9, 1) && *x <= Numeric::from_parts(11, 1);
    if near_one {
        let Ok(d) = x.sub(&Numeric::ONE) else { return 0 };
        let (weight, first) = d.weight_and_first_digit();
        return if first == 0 { 0 } else { weight * 4 + i64::from(first.ilog10()) };
    }
    let (weight, first) = x.weight_and_first_digit();
    if first == 0 {
        return 0;
    }
    // Two base-10000 digits if there are two.
    let (digits, shift) = match x.min_scale() as i64 + weight * 4 {
        more if more > 0 || weight > 0 => (x.digits_from(weight - 1).unwrap_or(first), weight - 1),
        _ => (first, weight),
    };
    let ln = (digits as f64).ln() + (shift * 4) as f64 * std::f64::consts::LN_10;
    ln.abs().log10() as i64
}

/// Rounds a fixed-point value with `w` digits to `scale`.
fn from_fixed(v: &BigInt, w: i64, scale: i64) -> Numeric {
    Numeric::from_big(div_round_big(v, &pow10_big((w - scale) as u32)), scale as u16)
}

/// 2 × atanh(num/den) × 10^w by its Taylor series; |num/den| is at most 1/3.
fn atanh2(num: &BigInt, den: &BigInt, one: &BigInt) -> BigInt {
    let z = num * one / den;
    let square = &z * &z / one;
    let (mut power, mut sum, mut n) = (z, BigInt::zero(), 1u32);
    while !power.is_zero() {
        sum += &power / n;
        power = power * &square / one;
        n += 2;
    }
    sum * 2
}

fn ln2_fixed(one: &BigInt) -> BigInt {
    atanh2(&BigInt::one(), &BigInt::from(3), one)
}

/// ln(x) × 10^w, a few units in the last places off.
fn ln_fixed(x: &Numeric, w: i64) -> BigInt {
    let Some((m, s)) = x.big_parts() else { return BigInt::zero() };
    // x = y * 2^k with y in (0.5, 2): both of m and 10^s are moved by bits.
    let den = pow10_big(s.into());
    let k = m.bits() as i64 - den.bits() as i64;
    // k * ln2's error grows with k.
    let guard = i64::from(k.unsigned_abs().max(1).ilog10()) + 4;
    let one = pow10_big((w + guard) as u32);
    let (num, den) = if k >= 0 { (m, den << k as usize) } else { (m << k.unsigned_abs() as usize, den) };
    let ln_y = atanh2(&(&num - &den), &(&num + &den), &one);
    let sum = ln_y + ln2_fixed(&one) * k;
    div_round_big(&sum, &pow10_big(guard as u32))
}

/// e^x rounded to `scale`; `22003` on overflow, zero on underflow.
fn exp_at(x: &Numeric, scale: i64) -> Result<Numeric> {
    let approx = x.to_f64();
    if approx.abs() >= EXP_MAX {
        return if approx > 0.0 { Err(overflow()) } else { Ok(Numeric::from_parts(0, scale as u16)) };
    }
    let digits = (approx * LOG10_E).max(0.0) as i64;
    let w = scale + digits + GUARD_DIGITS + 6;
    let one = pow10_big(w as u32);
    let xf = x.unscaled_at(w);
    let ln2 = ln2_fixed(&one);
    let k = div_round_big(&xf, &ln2).to_i64().unwrap_or(0);
    // r = x - k ln2 is within ln2/2; halve it eight times, square the result eight times.
    let r = (xf - &ln2 * k) >> 8usize;
    let (mut term, mut sum, mut n) = (one.clone(), one.clone(), 1u32);
    while !term.is_zero() {
        term = term * &r / &one / n;
        sum += &term;
        n += 1;
        if term == -BigInt::one() {
            break;
        }
    }
    for _ in 0..8 {
        sum = &sum * &sum / &one;
    }
    let v = if k >= 0 { sum << k as usize } else { sum >> k.unsigned_abs() as usize };
    Numeric::checked_big(div_round_big(&v, &pow10_big((w - scale) as u32)), scale)
}

/// POSIX's cases of pow() with an infinity; errors and NaN are already out.
fn power_infinite(base: &Numeric, exponent: &Numeric) -> Numeric {
    let one = Numeric::ONE;
    if *base == one || exponent.is_zero() {
        return one;
    }
    if base.is_zero() {
        return Numeric::ZERO;
    }
    if exponent.is_infinite() {
        return match base.abs().cmp(&one) {
            std::cmp::Ordering::Equal => one,
            c if (c == std::cmp::Ordering::Greater) == (exponent.signum() > 0) => Numeric::INFINITY,
            _ => Numeric::ZERO,
        };
    }
    if exponent.signum() < 0 {
        return Numeric::ZERO;
    }
    let odd = exponent.rem(&Numeric::from_i64(2)).is_ok_and(|r| !r.is_zero());
    if base.signum() < 0 && odd { Numeric::NEG_INFINITY } else { Numeric::INFINITY }
}

/// base^e rounded to `scale`.
fn power_int(base: &Numeric, e: i32, scale: i64) -> Result<Numeric> {
    let Some((m, s)) = base.big_parts() else { return Ok(Numeric::NAN) };
    let fixed = |v: Numeric| Ok(v.round(scale as i32));
    if e == 0 {
        return fixed(Numeric::ONE);
    }
    if m.is_zero() {
        return fixed(Numeric::ZERO);
    }
    let log10 = decimal_log(&m, s) * f64::from(e);
    if log10 > INTEGER_DIGITS_MAX as f64 + 1.0 {
        return Err(overflow());
    }
    if log10 < -(scale as f64) - 2.0 {
        return fixed(Numeric::ZERO);
    }
    // Significant digits: all of the integer part, the fraction, and what repeated squaring loses.
    let digits = log10.max(0.0) as i64 + scale + 20 + i64::from(e.unsigned_abs().ilog10());
    let (m, exp10) = power_float(&m, -i64::from(s), e.unsigned_abs(), digits);
    if e > 0 {
        return Numeric::checked_big(shift10(&m, exp10 + scale), scale);
    }
    // 1 / (m * 10^exp10) at `scale`.
    let shift = scale - exp10;
    let q = if shift >= 0 { div_round_big(&pow10_big(shift as u32), &m) } else { BigInt::zero() };
    Numeric::checked_big(q, scale)
}

/// log10 of |m| × 10^-s as a float.
fn decimal_log(m: &BigInt, s: u16) -> f64 {
    let bits = m.bits().saturating_sub(64);
    let top = (m.magnitude() >> bits as usize).to_f64().unwrap_or(1.0);
    top.log10() + bits as f64 * std::f64::consts::LOG10_2 - f64::from(s)
}

/// (m × 10^x)^e as (mantissa of about `digits` digits, exponent), by squaring.
fn power_float(m: &BigInt, x: i64, mut e: u32, digits: i64) -> (BigInt, i64) {
    let (mut base, mut base_x) = (m.clone(), x);
    let (mut acc, mut acc_x) = (BigInt::one(), 0i64);
    while e > 0 {
        if e & 1 == 1 {
            (acc, acc_x) = shorten(acc * &base, acc_x + base_x, digits);
        }
        e >>= 1;
        if e > 0 {
            (base, base_x) = shorten(&base * &base, base_x * 2, digits);
        }
    }
    (acc, acc_x)
}

/// Drops low digits beyond `digits`.
fn shorten(m: BigInt, x: i64, digits: i64) -> (BigInt, i64) {
    // The cheap test first: counting digits costs a power of ten.
    if (m.bits() as f64) * std::f64::consts::LOG10_2 <= digits as f64 {
        return (m, x);
    }
    let drop = digits_big(&m) - digits;
    if drop <= 0 {
        return (m, x);
    }
    (div_round_big(&m, &pow10_big(drop as u32)), x + drop)
}

/// m × 10^by, rounded.
fn shift10(m: &BigInt, by: i64) -> BigInt {
    let p = pow10_big(by.unsigned_abs() as u32);
    if by >= 0 { m * p } else { div_round_big(m, &p) }
}

/// base^exponent for exponents that are not small integers: e^(exponent × ln(base)).
fn power_general(base: &Numeric, exponent: &Numeric) -> Result<Numeric> {
    if base.is_zero() {
        return Ok(Numeric::from_parts(0, SIG_DIGITS_MIN as u16));
    }
    let negative = base.signum() < 0 && exponent.rem(&Numeric::from_i64(2))?.signum() != 0;
    let base = base.abs();
    let dweight = ln_dweight(&base);
    let ln_at = |digits: i64| Numeric::from_big(ln_fixed(&base, digits), digits as u16);
    let estimate = ln_at((8 - dweight).max(0)).mul(exponent)?.to_f64();
    if estimate.abs() > EXP_MAX * 1.0034 {
        return if estimate > 0.0 { Err(overflow()) } else { Ok(Numeric::from_parts(0, RESULT_SCALE_MAX as u16)) };
    }
    let digits = (estimate * LOG10_E) as i64;
    let scale = result_scale(digits, &[&base, exponent]);
    // The product needs scale + digits correct places; the logarithm as many more as the exponent is long.
    let exponent_digits = exponent.exponent().unwrap_or(0).max(0);
    let ln = ln_at(scale + digits.max(0) + exponent_digits + GUARD_DIGITS);
    let power = exp_at(&ln.mul(exponent)?, scale)?;
    Ok(if negative { power.neg() } else { power })
}

fn bad_power(message: &str) -> Error {
    Error::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, message)
}
