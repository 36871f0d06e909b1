//! Weekdays, ISO weeks and Julian days out of day numbers.

use heddle_types::datetime::{civil_from_days, days_from_civil};

/// Julian day of 1970-01-01.
pub(super) const JULIAN_1970: i64 = 2_440_588;

/// Sunday is 0.
pub(super) fn day_of_week(days: i64) -> u32 {
    (days + 4).rem_euclid(7) as u32
}

/// January 1st is 1.
pub(super) fn day_of_year(year: i64, month: u32, day: u32) -> i64 {
    days_from_civil(year, month, day) - days_from_civil(year, 1, 1) + 1
}

/// The Monday of week 1: the week with January 4th.
pub(super) fn iso_year_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 3).rem_euclid(7)
}

/// ISO year and week.
pub(super) fn iso_week(days: i64) -> (i64, u32) {
    let (year, ..) = civil_from_days(days);
    let year = match () {
        () if days < iso_year_start(year) => year - 1,
        () if days >= iso_year_start(year + 1) => year + 1,
        () => year,
    };
    (year, ((days - iso_year_start(year)) / 7 + 1) as u32)
}
