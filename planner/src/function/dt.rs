//! Calendar arithmetic shared by operators, casts and functions: adding intervals, zone shifts, range checks.

use super::kernel::{Date, Ts};
use heddle_types::datetime::{DAY_US, Zone, civil_from_days, days_from_civil};
use heddle_types::{Error, Interval, Result, SqlState};

/// First representable timestamp: 4714-11-24 BC (PostgreSQL's 4713-01-01 BC Julian start).
pub(crate) const TS_MIN: i64 = -210_866_803_200_000_000;
/// First timestamp past the range (294247-01-01 would be the next year; i64::MAX itself is infinity).
pub(crate) const TS_END: i64 = i64::MAX;
/// First date (Julian day 0).
const DATE_MIN: i64 = -2_440_588;
/// Past the last date (5874898-01-01).
const DATE_END: i64 = 2_147_483_493 - 2_440_588 + 1;

/// `22008 timestamp out of range`
pub(crate) fn ts_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

/// `22008 date out of range`
pub(crate) fn date_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
}

/// `22008 interval out of range`
pub(crate) fn interval_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// Is it infinity or -infinity?
pub(crate) fn is_inf_ts(t: i64) -> bool {
    t == i64::MIN || t == i64::MAX
}

/// Is it infinity or -infinity?
pub(crate) fn is_inf_date(d: i32) -> bool {
    d == i32::MIN || d == i32::MAX
}

/// A finite timestamp within PostgreSQL's range.
pub(crate) fn check_ts(t: i128) -> Result<i64> {
    if t < i128::from(TS_MIN) || t >= i128::from(TS_END) { Err(ts_range()) } else { Ok(t as i64) }
}

/// A finite date within PostgreSQL's range.
pub(crate) fn check_date(d: i64) -> Result<i32> {
    if (DATE_MIN..DATE_END).contains(&d) { Ok(d as i32) } else { Err(date_range()) }
}

/// Days and microseconds of the day.
pub(crate) fn split(t: i64) -> (i64, i64) {
    (t.div_euclid(DAY_US), t.rem_euclid(DAY_US))
}

/// Midnight of a date, infinities kept.
pub(crate) fn date_to_ts(d: Date) -> Result<Ts> {
    match d.0 {
        i32::MIN => Ok(Ts(i64::MIN)),
        i32::MAX => Ok(Ts(i64::MAX)),
        d => check_ts(i128::from(d) * i128::from(DAY_US))
            .map(Ts)
            .map_err(|_| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    }
}

/// The date of a timestamp, infinities kept.
pub(crate) fn ts_to_date(t: Ts) -> Date {
    match t.0 {
        i64::MIN => Date(i32::MIN),
        i64::MAX => Date(i32::MAX),
        t => Date(split(t).0 as i32),
    }
}

/// Local clock reading of an instant.
pub(crate) fn to_local(t: Ts, zone: &Zone) -> Result<Ts> {
    if is_inf_ts(t.0) {
        return Ok(t);
    }
    check_ts(i128::from(t.0) + i128::from(zone.offset_at(t.0)) * 1_000_000).map(Ts)
}

/// The instant of a local clock reading.
pub(crate) fn to_utc(t: Ts, zone: &Zone) -> Result<Ts> {
    if is_inf_ts(t.0) {
        return Ok(t);
    }
    check_ts(i128::from(t.0) - i128::from(zone.offset_for_local(t.0)) * 1_000_000).map(Ts)
}

/// Days in a month.
pub(crate) fn days_in_month(y: i64, m: u32) -> u32 {
    let next = if m == 12 { days_from_civil(y + 1, 1, 1) } else { days_from_civil(y, m + 1, 1) };
    (next - days_from_civil(y, m, 1)) as u32
}

/// Adds months, clipping the day to the month's length.
pub(crate) fn add_months(t: i64, months: i32) -> Result<i64> {
    let (days, us) = split(t);
    let (y, m, d) = civil_from_days(days);
    let total = y * 12 + i64::from(m) - 1 + i64::from(months);
    let (y, m) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    if !(-5000..=300_000).contains(&y) {
        return Err(ts_range());
    }
    let d = d.min(days_in_month(y, m));
    check_ts(i128::from(days_from_civil(y, m, d)) * i128::from(DAY_US) + i128::from(us))
}

/// timestamp + interval.
pub(crate) fn ts_add(t: Ts, iv: Interval) -> Result<Ts> {
    if is_inf_ts(t.0) {
        return Ok(t);
    }
    let mut v = t.0;
    if iv.months != 0 {
        v = add_months(v, iv.months)?;
    }
    if iv.days != 0 {
        v = check_ts(i128::from(v) + i128::from(iv.days) * i128::from(DAY_US))?;
    }
    check_ts(i128::from(v) + i128::from(iv.us)).map(Ts)
}

/// timestamptz + interval: months and days on the local calendar, the rest on the time line.
pub(crate) fn tstz_add(t: Ts, iv: Interval, zone: &Zone) -> Result<Ts> {
    if is_inf_ts(t.0) {
        return Ok(t);
    }
    let mut v = t;
    if iv.months != 0 || iv.days != 0 {
        let local = to_local(v, zone)?;
        v = to_utc(ts_add(local, Interval { months: iv.months, days: iv.days, us: 0 })?, zone)?;
    }
    check_ts(i128::from(v.0) + i128::from(iv.us)).map(Ts)
}

/// -interval
pub(crate) fn interval_neg(iv: Interval) -> Result<Interval> {
    Ok(Interval {
        months: iv.months.checked_neg().ok_or_else(interval_range)?,
        days: iv.days.checked_neg().ok_or_else(interval_range)?,
        us: iv.us.checked_neg().ok_or_else(interval_range)?,
    })
}

/// interval + interval
pub(crate) fn interval_add(a: Interval, b: Interval) -> Result<Interval> {
    Ok(Interval {
        months: a.months.checked_add(b.months).ok_or_else(interval_range)?,
        days: a.days.checked_add(b.days).ok_or_else(interval_range)?,
        us: a.us.checked_add(b.us).ok_or_else(interval_range)?,
    })
}

fn ts_round(v: f64) -> f64 {
    (v * 1e6).round_ties_even() / 1e6
}

/// interval × factor with PostgreSQL's cascade of fractions (months to days, days to time).
pub(crate) fn interval_scale(iv: Interval, by: impl Fn(f64) -> f64) -> Result<Interval> {
    let fit = |v: f64| {
        if v.is_nan() || v > f64::from(i32::MAX) || v < f64::from(i32::MIN) {
            Err(interval_range())
        } else {
            Ok(v as i32)
        }
    };
    let months_f = by(f64::from(iv.months));
    let months = fit(months_f)?;
    let days_f = by(f64::from(iv.days));
    let mut days = fit(days_f)?;
    let month_days = ts_round((months_f - f64::from(months)) * 30.0);
    let mut secs = ts_round((days_f - f64::from(days) + month_days - month_days.trunc()) * 86_400.0);
    if secs.abs() >= 86_400.0 {
        let whole = (secs / 86_400.0).trunc();
        days = days.checked_add(whole as i32).ok_or_else(interval_range)?;
        secs -= whole * 86_400.0;
    }
    days = days.checked_add(month_days as i32).ok_or_else(interval_range)?;
    let us = (by(iv.us as f64) + secs * 1e6).round_ties_even();
    if us.is_nan() || us >= 9.223_372_036_854_775e18 || us <= -9.223_372_036_854_775e18 {
        return Err(interval_range());
    }
    Ok(Interval { months, days, us: us as i64 })
}

/// Difference of instants: days and time, never months.
pub(crate) fn ts_diff(a: Ts, b: Ts) -> Result<Interval> {
    if is_inf_ts(a.0) || is_inf_ts(b.0) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let us = i64::try_from(i128::from(a.0) - i128::from(b.0)).map_err(|_| interval_range())?;
    Ok(Interval { months: 0, days: (us / DAY_US) as i32, us: us % DAY_US })
}
