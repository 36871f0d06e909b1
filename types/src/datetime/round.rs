//! Precision modifiers: time(p), timestamp(p), interval(p) and interval's field lists.

use crate::{Error, Interval, Result, SqlState};

// Bits of an interval modifier's upper half, numbered as PostgreSQL's field types.
pub(super) const MONTH_BIT: i32 = 1 << 1;
pub(super) const YEAR_BIT: i32 = 1 << 2;
pub(super) const DAY_BIT: i32 = 1 << 3;
pub(super) const HOUR_BIT: i32 = 1 << 10;
pub(super) const MINUTE_BIT: i32 = 1 << 11;
pub(super) const SECOND_BIT: i32 = 1 << 12;
const FULL_RANGE: i32 = 0x7fff;

const SCALES: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// The unit of a precision; `None` when nothing is rounded away.
fn scale(precision: i32) -> Option<i64> {
    usize::try_from(precision).ok().and_then(|p| SCALES.get(p)).copied().filter(|s| *s > 1)
}

/// Half away from zero. `v` is far enough from the extremes or the result saturates.
fn round_half_away(v: i64, scale: i64) -> i64 {
    let half = scale / 2;
    let shifted = if v >= 0 { v.saturating_add(half) } else { v.saturating_sub(half) };
    shifted / scale * scale
}

/// Applies time(p).
pub fn round_time(t: i64, typmod: i32) -> i64 {
    scale(typmod).map_or(t, |s| round_half_away(t, s))
}

/// Applies timestamp(p). Rounding counts from 2000-01-01, as PostgreSQL's does.
///
/// # Errors
/// `22008` when rounding leaves the range.
pub fn round_timestamp(ts: i64, typmod: i32) -> Result<i64> {
    let Some(s) = scale(typmod) else { return Ok(ts) };
    if ts == i64::MAX || ts == i64::MIN {
        return Ok(ts);
    }
    let epoch = crate::binary::EPOCH_2000_US;
    let rounded = round_half_away(ts.saturating_sub(epoch), s) + epoch;
    if super::is_valid_timestamp(rounded) {
        return Ok(rounded);
    }
    Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}

/// The field bits of an interval modifier.
pub(super) fn interval_range(typmod: i32) -> i32 {
    if typmod < 0 { FULL_RANGE } else { (typmod >> 16) & FULL_RANGE }
}

/// Applies an interval modifier: drops fields below its last one and rounds seconds.
///
/// # Errors
/// `22008` when rounding overflows.
pub fn round_interval(i: Interval, typmod: i32) -> Result<Interval> {
    if typmod < 0 {
        return Ok(i);
    }
    let range = interval_range(typmod);
    let mut i = i;
    if range & SECOND_BIT == 0 && range != FULL_RANGE {
        let unit = if range & MINUTE_BIT != 0 { 60_000_000 } else { 3_600_000_000 };
        if range & (MINUTE_BIT | HOUR_BIT) != 0 {
            i.us -= i.us % unit;
        } else if range & DAY_BIT != 0 {
            i.us = 0;
        } else if range & MONTH_BIT != 0 {
            (i.days, i.us) = (0, 0);
        } else if range & YEAR_BIT != 0 {
            (i.months, i.days, i.us) = (i.months / 12 * 12, 0, 0);
        }
    }
    if let Some(s) = scale(typmod & 0xffff) {
        let half = s / 2;
        let moved = if i.us >= 0 { i.us.checked_add(half) } else { i.us.checked_sub(half) };
        let moved = moved.ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
        i.us = moved / s * s;
    }
    Ok(i)
}
