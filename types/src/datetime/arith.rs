//! Date and time arithmetic: what `+`, `-`, `age` and the casts between date types do.
//!
//! Months are added first and the day clipped to the month's length; then days; then microseconds. For timestamptz months
//! and days move the local clock time in the session's zone, microseconds the instant.

use super::civil::{self, Civil, DAY_US};
use super::zone::Zone;
use crate::{Error, Interval, Result, SqlState};

fn timestamp_range() -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

fn date_range(what: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}

fn is_infinite(ts: i64) -> bool {
    ts == i64::MAX || ts == i64::MIN
}

/// Moves a local timestamp by whole months, clipping the day.
fn add_months(ts: i64, months: i32) -> Result<i64> {
    if months == 0 {
        return Ok(ts);
    }
    let mut c = Civil::from_timestamp(ts);
    let total = c.year * 12 + i64::from(c.month) - 1 + i64::from(months);
    (c.year, c.month) = (total.div_euclid(12), total.rem_euclid(12) as u32 + 1);
    c.day = c.day.min(civil::days_in_month(c.year, c.month));
    c.timestamp().ok_or_else(timestamp_range)
}

fn add_days(ts: i64, days: i32) -> Result<i64> {
    ts.checked_add(i64::from(days) * DAY_US).filter(|t| civil::is_valid_timestamp(*t)).ok_or_else(timestamp_range)
}

/// timestamp + interval.
///
/// # Errors
/// `22008` out of range.
pub fn add_timestamp(ts: i64, i: Interval) -> Result<i64> {
    if is_infinite(ts) {
        return Ok(ts);
    }
    let ts = add_days(add_months(ts, i.months)?, i.days)?;
    ts.checked_add(i.us).filter(|t| civil::is_valid_timestamp(*t)).ok_or_else(timestamp_range)
}

/// timestamptz + interval: months and days keep the local clock time.
///
/// # Errors
/// `22008` out of range.
pub fn add_timestamptz(ts: i64, i: Interval, zone: &Zone) -> Result<i64> {
    if is_infinite(ts) {
        return Ok(ts);
    }
    let mut ts = ts;
    if i.months != 0 {
        ts = zone.to_utc(add_months(zone.to_local(ts), i.months)?).ok_or_else(timestamp_range)?;
    }
    if i.days != 0 {
        ts = zone.to_utc(add_days(zone.to_local(ts), i.days)?).ok_or_else(timestamp_range)?;
    }
    ts.checked_add(i.us).filter(|t| civil::is_valid_timestamp(*t)).ok_or_else(timestamp_range)
}

/// date + interval, which is a timestamp.
///
/// # Errors
/// `22008` out of range.
pub fn add_date_interval(date: i32, i: Interval) -> Result<i64> {
    add_timestamp(date_to_timestamp(date)?, i)
}

/// date + integer.
///
/// # Errors
/// `22008` out of range.
pub fn add_date(date: i32, days: i32) -> Result<i32> {
    if date == i32::MAX || date == i32::MIN {
        return Ok(date);
    }
    date.checked_add(days).filter(|d| civil::is_valid_date((*d).into())).ok_or_else(|| date_range("date"))
}

/// date - date in days.
///
/// # Errors
/// `22008` for infinite dates.
pub fn date_difference(a: i32, b: i32) -> Result<i32> {
    if [a, b].iter().any(|d| *d == i32::MAX || *d == i32::MIN) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    a.checked_sub(b).ok_or_else(|| date_range("date"))
}

/// time + interval: months and days are ignored, the clock wraps.
pub fn add_time(t: i64, i: Interval) -> i64 {
    (t + i.us % DAY_US).rem_euclid(DAY_US)
}

/// time - time.
pub fn time_difference(a: i64, b: i64) -> Interval {
    Interval { months: 0, days: 0, us: a - b }
}

/// timestamp - timestamp: days of 24 hours and the rest.
///
/// # Errors
/// `22008` for infinities or overflow.
pub fn timestamp_difference(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let us = a.checked_sub(b).ok_or_else(|| date_range("interval"))?;
    Ok(Interval { months: 0, days: (us / DAY_US) as i32, us: us % DAY_US })
}

/// age(a, b) of timestamps: years, months, days and time counted field by field.
///
/// # Errors
/// `22008` for infinities.
pub fn age(a: i64, b: i64) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_range());
    }
    let negative = a < b;
    let (late, early) = (Civil::from_timestamp(a.max(b)), Civil::from_timestamp(a.min(b)));
    let mut us = late.time() - early.time();
    let mut days = i64::from(late.day) - i64::from(early.day);
    let mut months = (late.year - early.year) * 12 + i64::from(late.month) - i64::from(early.month);
    if us < 0 {
        us += DAY_US;
        days -= 1;
    }
    while days < 0 {
        // PostgreSQL borrows from the month of the second argument when the age is negative.
        days += i64::from(if negative {
            civil::days_in_month(Civil::from_timestamp(a).year, Civil::from_timestamp(a).month)
        } else {
            civil::days_in_month(early.year, early.month)
        });
        months -= 1;
    }
    let sign = if negative { -1 } else { 1 };
    Ok(Interval { months: (months * sign) as i32, days: (days * sign) as i32, us: us * sign })
}

/// age(a, b) of timestamptz: as of local times.
///
/// # Errors
/// `22008` for infinities.
pub fn age_timestamptz(a: i64, b: i64, zone: &Zone) -> Result<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(timestamp_range());
    }
    age(zone.to_local(a), zone.to_local(b))
}

/// The cast date -> timestamp.
///
/// # Errors
/// `22008` `date out of range for timestamp`.
pub fn date_to_timestamp(date: i32) -> Result<i64> {
    match date {
        i32::MAX => Ok(i64::MAX),
        i32::MIN => Ok(i64::MIN),
        d => i64::from(d)
            .checked_mul(DAY_US)
            .filter(|t| civil::is_valid_timestamp(*t))
            .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp")),
    }
}

/// The cast date -> timestamptz: local midnight.
///
/// # Errors
/// `22008` `date out of range for timestamp`.
pub fn date_to_timestamptz(date: i32, zone: &Zone) -> Result<i64> {
    timestamp_to_timestamptz(date_to_timestamp(date)?, zone)
}

/// The cast timestamp -> date.
pub fn timestamp_to_date(ts: i64) -> i32 {
    match ts {
        i64::MAX => i32::MAX,
        i64::MIN => i32::MIN,
        ts => ts.div_euclid(DAY_US) as i32,
    }
}

/// The cast timestamp -> timestamptz.
///
/// # Errors
/// `22008` out of range.
pub fn timestamp_to_timestamptz(ts: i64, zone: &Zone) -> Result<i64> {
    if is_infinite(ts) { Ok(ts) } else { zone.to_utc(ts).ok_or_else(timestamp_range) }
}

/// The cast timestamptz -> timestamp: local time.
pub fn timestamptz_to_timestamp(ts: i64, zone: &Zone) -> i64 {
    if is_infinite(ts) { ts } else { zone.to_local(ts) }
}

/// make_date(); negative years are BC.
///
/// # Errors
/// `22008` `date field value out of range: 2024-02-30`.
pub fn make_date(year: i32, month: i32, day: i32) -> Result<i32> {
    let wrong = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if year == 0 || !(1..=12).contains(&month) || day < 1 {
        return Err(wrong());
    }
    let y = if year < 0 { i64::from(year) + 1 } else { year.into() };
    if day as u32 > civil::days_in_month(y, month as u32) {
        return Err(wrong());
    }
    let days = civil::days_from_civil(y, month as u32, day as u32);
    if !civil::is_valid_date(days) {
        let message = format!("date out of range: {year}-{month:02}-{day:02}");
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message));
    }
    Ok(days as i32)
}

/// make_time().
///
/// # Errors
/// `22008` `time field value out of range: 25:00:00`.
pub fn make_time(hour: i32, minute: i32, second: f64) -> Result<i64> {
    let wrong = || {
        let message = format!("time field value out of range: {hour}:{minute:02}:{second:02}");
        Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
    };
    if !(0..=24).contains(&hour) || !(0..=59).contains(&minute) || !(0.0..=60.0).contains(&second) {
        return Err(wrong());
    }
    let us = (second * 1e6).round_ties_even() as i64;
    let t = (i64::from(hour) * 60 + i64::from(minute)) * 60_000_000 + us;
    if t > DAY_US { Err(wrong()) } else { Ok(t) }
}

/// make_timestamp().
///
/// # Errors
/// `22008`.
pub fn make_timestamp(year: i32, month: i32, day: i32, hour: i32, minute: i32, second: f64) -> Result<i64> {
    let date = make_date(year, month, day)?;
    let time = make_time(hour, minute, second)?;
    i64::from(date)
        .checked_mul(DAY_US)
        .and_then(|t| t.checked_add(time))
        .filter(|t| civil::is_valid_timestamp(*t))
        .ok_or_else(|| {
            let message = format!("timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{second:02}");
            Error::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
        })
}
