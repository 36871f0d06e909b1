//! PostgreSQL's interval: three fields that are never folded into each other, and the arithmetic that cascades between them.
//!
//! Called by the planner's kernels and by date-time input. Adding an interval to a timestamp needs a calendar and is in
//! [`crate::datetime`].

use crate::{Error, Result, SqlState};

const DAY_US: i64 = 86_400_000_000;
const MONTH_DAYS: i32 = 30;

/// Months, days and microseconds, kept apart as PostgreSQL does. Compare with [`Interval::total_us`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    /// Months
    pub months: i32,
    /// Days
    pub days: i32,
    /// Microseconds
    pub us: i64,
}

impl Interval {
    /// The length for comparison: a month is 30 days, a day 24 hours.
    pub fn total_us(self) -> i128 {
        (i128::from(self.months) * 30 + i128::from(self.days)) * 86_400_000_000 + i128::from(self.us)
    }
    /// Sixteen bytes: months, days (i32 LE), us (i64 LE). The Arrow form (FixedSizeBinary(16)) and the row form.
    pub fn to_bytes(self) -> [u8; 16] {
        let mut b = [0; 16];
        b[..4].copy_from_slice(&self.months.to_le_bytes());
        b[4..8].copy_from_slice(&self.days.to_le_bytes());
        b[8..].copy_from_slice(&self.us.to_le_bytes());
        b
    }
    /// Reads [`Self::to_bytes`].
    pub fn from_bytes(b: [u8; 16]) -> Self {
        let le = |r: std::ops::Range<usize>| i32::from_le_bytes(b[r].try_into().expect("four bytes"));
        Self { months: le(0..4), days: le(4..8), us: i64::from_le_bytes(b[8..].try_into().expect("eight bytes")) }
    }
}

impl Interval {
    /// An interval from its fields.
    pub const fn new(months: i32, days: i32, us: i64) -> Self {
        Self { months, days, us }
    }

    /// Sum, field by field; `22008`.
    pub fn checked_add(self, o: Self) -> Result<Self> {
        self.fields(self.months.checked_add(o.months), self.days.checked_add(o.days), self.us.checked_add(o.us))
    }

    /// Difference, field by field; `22008`.
    pub fn checked_sub(self, o: Self) -> Result<Self> {
        self.fields(self.months.checked_sub(o.months), self.days.checked_sub(o.days), self.us.checked_sub(o.us))
    }

    /// Negation; `22008`.
    pub fn checked_neg(self) -> Result<Self> {
        self.fields(self.months.checked_neg(), self.days.checked_neg(), self.us.checked_neg())
    }

    /// Product with a number: fractions cascade from months to days to microseconds; `22008`.
    pub fn checked_mul(self, factor: f64) -> Result<Self> {
        self.scale(|v| v * factor)
    }

    /// Quotient; `22012`, `22008`.
    pub fn checked_div(self, divisor: f64) -> Result<Self> {
        if divisor == 0.0 {
            return Err(Error::new(SqlState::DIVISION_BY_ZERO, "division by zero"));
        }
        self.scale(|v| v / divisor)
    }

    /// Turns each 24 hours into a day, with all of days and time of one sign; `22008`.
    pub fn justify_hours(self) -> Result<Self> {
        let mut r = self.carry_hours()?;
        if r.days > 0 && r.us < 0 {
            (r.days, r.us) = (r.days - 1, r.us + DAY_US);
        } else if r.days < 0 && r.us > 0 {
            (r.days, r.us) = (r.days + 1, r.us - DAY_US);
        }
        Ok(r)
    }

    /// Turns each 30 days into a month, with months and days of one sign; `22008`.
    pub fn justify_days(self) -> Result<Self> {
        let mut r = self.carry_days()?;
        if r.months > 0 && r.days < 0 {
            (r.months, r.days) = (r.months - 1, r.days + MONTH_DAYS);
        } else if r.months < 0 && r.days > 0 {
            (r.months, r.days) = (r.months + 1, r.days - MONTH_DAYS);
        }
        Ok(r)
    }

    /// Both, with all three fields of one sign; `22008`.
    pub fn justify_interval(self) -> Result<Self> {
        let mut r = self;
        // Carrying first where the signs agree keeps the sums below from overflowing when the result would fit.
        if (r.days > 0 && r.us > 0) || (r.days < 0 && r.us < 0) {
            r = r.carry_hours()?;
        }
        if (r.days > 0 && r.months > 0) || (r.days < 0 && r.months < 0) {
            r = r.carry_days()?;
        }
        r = r.carry_hours()?.carry_days()?;
        if r.months > 0 && (r.days < 0 || (r.days == 0 && r.us < 0)) {
            (r.months, r.days) = (r.months - 1, r.days + MONTH_DAYS);
        } else if r.months < 0 && (r.days > 0 || (r.days == 0 && r.us > 0)) {
            (r.months, r.days) = (r.months + 1, r.days - MONTH_DAYS);
        }
        if r.days > 0 && r.us < 0 {
            (r.days, r.us) = (r.days - 1, r.us + DAY_US);
        } else if r.days < 0 && r.us > 0 {
            (r.days, r.us) = (r.days + 1, r.us - DAY_US);
        }
        Ok(r)
    }

    fn carry_hours(self) -> Result<Self> {
        // |us| / day is below 107 million, so it is an i32.
        let days = self.days.checked_add((self.us / DAY_US) as i32);
        self.fields(Some(self.months), days, Some(self.us % DAY_US))
    }

    fn carry_days(self) -> Result<Self> {
        let months = self.months.checked_add(self.days / MONTH_DAYS);
        self.fields(months, Some(self.days % MONTH_DAYS), Some(self.us))
    }

    fn fields(self, months: Option<i32>, days: Option<i32>, us: Option<i64>) -> Result<Self> {
        match (months, days, us) {
            (Some(months), Some(days), Some(us)) => Ok(Self { months, days, us }),
            _ => Err(out_of_range()),
        }
    }

    /// PostgreSQL's interval_mul and interval_div: the same floating-point steps in the same order.
    fn scale(self, f: impl Fn(f64) -> f64) -> Result<Self> {
        let (months_f, days_f) = (f(self.months.into()), f(self.days.into()));
        let (months, days) = (whole_i32(months_f)?, whole_i32(days_f)?);
        let month_rest_days = round_us((months_f - f64::from(months)) * f64::from(MONTH_DAYS));
        let whole_rest_days = month_rest_days as i32;
        let day_seconds = DAY_US as f64 / 1e6;
        let rest = days_f - f64::from(days) + month_rest_days - f64::from(whole_rest_days);
        let mut seconds = round_us(rest * day_seconds);
        // Rounding can make 24:00:00, and the cascade even more.
        let extra_days = if seconds.abs() >= day_seconds { (seconds / day_seconds) as i32 } else { 0 };
        seconds -= f64::from(extra_days) * day_seconds;
        let days =
            days.checked_add(extra_days).and_then(|d| d.checked_add(whole_rest_days)).ok_or_else(out_of_range)?;
        let us = (f(self.us as f64) + seconds * 1e6).round_ties_even();
        // 2^63 itself is not an i64.
        if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&us) {
            return Err(out_of_range());
        }
        Ok(Self { months, days, us: us as i64 })
    }
}

/// Truncates; NaN and what does not fit is `22008`.
fn whole_i32(v: f64) -> Result<i32> {
    if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&v) { Ok(v as i32) } else { Err(out_of_range()) }
}

/// Rounds to microseconds.
fn round_us(v: f64) -> f64 {
    (v * 1e6).round_ties_even() / 1e6
}

/// `22008`
pub fn out_of_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}
