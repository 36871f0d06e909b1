//! Floats that are decimals of few digits, as sensors give them: 72.4 is 724 over a power of ten. The integers are coded in their place.
//!
//! pco finds such multiples, too, but not that they walk in small steps.

/// Most digits behind the point.
pub const DIGITS_MAX: u8 = 9;
/// Integers up to this are floats.
const UNSCALED_MAX: f64 = (1u64 << 53) as f64;

/// Numbers of fields, which may be such decimals.
pub trait Decimal: Copy {
    /// The integer that, scaled, gives these very bits, if there is one.
    fn unscaled(self, digits: u8) -> Option<i64>;
    /// An integer over a power of ten.
    fn scaled(unscaled: i64, digits: u8) -> Self;
}

macro_rules! floats {
    ($($t:ty),*) => { $(impl Decimal for $t {
        fn unscaled(self, digits: u8) -> Option<i64> {
            let unscaled = (f64::from(self) * power(digits)).round();
            let found = (unscaled.abs() <= UNSCALED_MAX).then_some(unscaled as i64)?;
            (Self::scaled(found, digits).to_bits() == self.to_bits()).then_some(found)
        }
        #[inline]
        fn scaled(unscaled: i64, digits: u8) -> Self {
            (unscaled as f64 / power(digits)) as Self
        }
    })* };
}
floats!(f32, f64);

macro_rules! integers {
    ($($t:ty),*) => { $(impl Decimal for $t {
        fn unscaled(self, _: u8) -> Option<i64> {
            None
        }
        fn scaled(unscaled: i64, _: u8) -> Self {
            unscaled as Self
        }
    })* };
}
integers!(i16, i32, i64, u32);

/// Exact: it has far less than 53 bits.
fn power(digits: u8) -> f64 {
    10u64.pow(digits.min(DIGITS_MAX).into()) as f64
}

/// How many digits all of `values` have behind the point at most, and the integers; `None` when one is no such decimal.
pub fn unscaled<T: Decimal>(values: &[T]) -> Option<(u8, Vec<i64>)> {
    let enough = |digits: u8, value: &T| (digits..=DIGITS_MAX).find(|digits| value.unscaled(*digits).is_some());
    let digits = values.iter().try_fold(0, enough)?;
    let all = values.iter().map(|value| value.unscaled(digits)).collect::<Option<_>>()?;
    Some((digits, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_come_back() {
        let values: Vec<f64> = (-5000..5000).map(|n| f64::from(n * 7) / 1000.0).collect();
        let (digits, all) = unscaled(&values).expect("three digits");
        assert_eq!((digits, all[0], all[9999]), (3, -35_000, 34_993));
        assert!(all.iter().zip(&values).all(|(n, v)| f64::scaled(*n, digits).to_bits() == v.to_bits()));
        let (digits, all) = unscaled(&[0.1f32, 21.5, -3.0]).expect("one digit");
        assert_eq!((digits, &all[..]), (1, &[1, 215, -30][..]));
        assert_eq!(unscaled::<f64>(&[0.0, 5.0, 1e15]).map(|(digits, _)| digits), Some(0));
    }

    #[test]
    fn other_floats_are_none() {
        for value in [-0.0, f64::NAN, f64::INFINITY, 1e300, f64::MIN_POSITIVE, std::f64::consts::PI, 1e16 + 2.0] {
            assert_eq!(unscaled(&[1.5, value]), None, "{value}");
        }
        // Many digits at both ends do not fit together.
        assert_eq!(unscaled(&[4e15, 0.001]), None);
        assert_eq!(unscaled(&[7i64]), None);
    }
}
