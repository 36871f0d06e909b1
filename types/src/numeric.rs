//! PostgreSQL's numeric: exact decimal with a display scale, NaN and the infinities.
//!
//! Called by everything that touches SQL numbers: literals, kernels, keys, rows, both wire forms. Values whose unscaled
//! integer fits in an i128 (all sums and products of ordinary money columns) never allocate; the others carry a big integer.
//!
//! Invariants
//! 1. `Big` is used only when the unscaled integer does not fit in an i128, so each (value, scale) has one representation.
//! 2. A finite value is unscaled × 10^-scale with 0 <= scale <= 16383, and prints exactly `scale` fraction digits.
//! 3. Equality, order and hash look at the value, never at the scale.
//!
//! Where to read next: `text` (parse, format, float casts), `arith` (+ - * / % and rounding with PostgreSQL's result
//! scales), `math` (sqrt, exp, ln, power), `bytes` (stored form and wire form).

mod arith;
mod bytes;
mod math;
mod repr;
mod text;

use num_bigint::BigInt;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

pub(crate) use bytes::{check_bytes, short};
pub use bytes::{small_parts, write_parts};
use repr::{pow10, pow10_big};

/// Largest display scale a stored value can have (NUMERIC_DSCALE_MAX).
pub const SCALE_MAX: u16 = 16383;

/// Most digits before the decimal point.
pub const INTEGER_DIGITS_MAX: i64 = 131_072;

/// An exact decimal. Equality, ordering and hashing ignore the display scale (`1.0 = 1.00`); NaN equals itself and is greatest.
#[derive(Clone, Debug)]
pub struct Numeric(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Small { mantissa: i128, scale: u16 },
    Big { mantissa: Box<BigInt>, scale: u16 },
    NaN,
    PosInf,
    NegInf,
}

impl Numeric {
    /// Not a number: greatest of all, equal to itself.
    pub const NAN: Self = Self(Repr::NaN);
    /// Infinity.
    pub const INFINITY: Self = Self(Repr::PosInf);
    /// -Infinity.
    pub const NEG_INFINITY: Self = Self(Repr::NegInf);
    /// 0 with scale 0.
    pub const ZERO: Self = Self::from_parts(0, 0);
    /// 1 with scale 0.
    pub const ONE: Self = Self::from_parts(1, 0);

    /// From an integer (scale 0).
    pub const fn from_i64(v: i64) -> Self {
        Self::from_parts(v as i128, 0)
    }

    /// From i128 unscaled and a scale.
    #[inline]
    pub const fn from_parts(unscaled: i128, scale: u16) -> Self {
        Self(Repr::Small { mantissa: unscaled, scale })
    }

    /// Unscaled integer and scale, when finite and the integer fits: the fast path of kernels.
    #[inline]
    pub fn to_parts(&self) -> Option<(i128, u16)> {
        match self.0 {
            Repr::Small { mantissa, scale } => Some((mantissa, scale)),
            _ => None,
        }
    }

    /// Number of digits printed after the point.
    pub fn dscale(&self) -> u16 {
        match self.0 {
            Repr::Small { scale, .. } | Repr::Big { scale, .. } => scale,
            _ => 0,
        }
    }

    /// NaN?
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// Infinity or -Infinity?
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::PosInf | Repr::NegInf)
    }

    /// Neither NaN nor infinite?
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Small { .. } | Repr::Big { .. })
    }

    /// Zero of any scale?
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Small { mantissa: 0, .. })
    }

    /// -1, 0 or 1; NaN counts as 1.
    pub(crate) fn signum(&self) -> i32 {
        match &self.0 {
            Repr::Small { mantissa, .. } => mantissa.signum() as i32,
            Repr::Big { mantissa, .. } if mantissa.sign() == num_bigint::Sign::Minus => -1,
            Repr::NegInf => -1,
            _ => 1,
        }
    }

    /// Unscaled integer and scale of a finite value.
    fn big_parts(&self) -> Option<(BigInt, u16)> {
        match &self.0 {
            Repr::Small { mantissa, scale } => Some((BigInt::from(*mantissa), *scale)),
            Repr::Big { mantissa, scale } => Some(((**mantissa).clone(), *scale)),
            _ => None,
        }
    }
}

impl From<i64> for Numeric {
    fn from(v: i64) -> Self {
        Self::from_i64(v)
    }
}

impl PartialEq for Numeric {
    fn eq(&self, o: &Self) -> bool {
        self.cmp(o) == Ordering::Equal
    }
}
impl Eq for Numeric {}
impl PartialOrd for Numeric {
    fn partial_cmp(&self, o: &Self) -> Option<Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Numeric {
    fn cmp(&self, o: &Self) -> Ordering {
        if let (Repr::Small { mantissa: a, scale: s }, Repr::Small { mantissa: b, scale: t }) = (&self.0, &o.0) {
            if s == t {
                return a.cmp(b);
            }
            let up = |m: i128, by: u16| pow10(by).and_then(|p| m.checked_mul(p));
            let scaled = if s < t { up(*a, t - s).map(|a| (a, *b)) } else { up(*b, s - t).map(|b| (*a, b)) };
            if let Some((a, b)) = scaled {
                return a.cmp(&b);
            }
        }
        self.rank().cmp(&o.rank()).then_with(|| cmp_finite(self, o))
    }
}

impl Numeric {
    /// Place among -inf < finite negative < zero < finite positive < inf < NaN.
    fn rank(&self) -> i32 {
        match self.0 {
            Repr::NegInf => -2,
            Repr::PosInf => 2,
            Repr::NaN => 3,
            _ => self.signum(),
        }
    }
}

/// Orders two values of equal rank.
fn cmp_finite(a: &Numeric, b: &Numeric) -> Ordering {
    match (a.big_parts(), b.big_parts()) {
        (Some((a, s)), Some((b, t))) if s < t => (a * pow10_big(u32::from(t - s))).cmp(&b),
        (Some((a, s)), Some((b, t))) => a.cmp(&(b * pow10_big(u32::from(s - t)))),
        _ => Ordering::Equal,
    }
}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, h: &mut H) {
        match &self.trim_scale().0 {
            Repr::Small { mantissa, scale } => (0u8, mantissa, scale).hash(h),
            Repr::Big { mantissa, scale } => (1u8, mantissa, scale).hash(h),
            Repr::NaN => 2u8.hash(h),
            Repr::PosInf => 3u8.hash(h),
            Repr::NegInf => 4u8.hash(h),
        }
    }
}
