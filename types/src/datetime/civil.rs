//! The proleptic Gregorian calendar: day numbers, fields, ISO weeks, ranges.
//!
//! Years count astronomically: year 0 is 1 BC.

/// Microseconds in a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600_000_000;
/// Microseconds in a minute.
pub const MINUTE_US: i64 = 60_000_000;
/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// The Julian day number of 1970-01-01.
pub const JULIAN_1970: i64 = 2_440_588;
/// 4714-11-24 BC, the first day PostgreSQL has.
pub const FIRST_DAY: i64 = -JULIAN_1970;

/// (year, month, day) of a day number; year 0 is 1 BC.
pub fn civil_from_days(days: i64) -> (i64, u32, u32) {
    // Eras of 400 years that begin on 1 March, so that the leap day is the last of its year.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let d = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let m = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(m <= 2), m, d)
}

/// The day number of a date.
pub fn days_from_civil(y: i64, m: u32, d: u32) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let mp = (i64::from(m) + 9) % 12;
    let doy = (153 * mp + 2) / 5 + i64::from(d) - 1;
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    era * 146_097 + doe - 719_468
}

/// Gregorian leap year?
pub fn is_leap(y: i64) -> bool {
    y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)
}

/// Days in a month (1..=12).
pub fn days_in_month(y: i64, m: u32) -> u32 {
    match m {
        2 => 28 + u32::from(is_leap(y)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 = Sunday.
pub fn day_of_week(days: i64) -> u32 {
    (days + 4).rem_euclid(7) as u32
}

/// 1..=366.
pub fn day_of_year(y: i64, m: u32, d: u32) -> i64 {
    days_from_civil(y, m, d) - days_from_civil(y, 1, 1) + 1
}

/// The Julian day number.
pub fn julian_day(days: i64) -> i64 {
    days + JULIAN_1970
}

/// The Monday of ISO week 1 of a year.
pub fn iso_year_start(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (i64::from(day_of_week(fourth)) + 6) % 7
}

/// (ISO year, ISO week) of a day number.
pub fn iso_week(days: i64) -> (i64, u32) {
    let (y, _, _) = civil_from_days(days);
    let year = if days >= iso_year_start(y + 1) {
        y + 1
    } else if days >= iso_year_start(y) {
        y
    } else {
        y - 1
    };
    (year, ((days - iso_year_start(year)) / 7 + 1) as u32)
}

/// A finite date in PostgreSQL's range?
pub fn is_valid_date(days: i64) -> bool {
    (FIRST_DAY..days_from_civil(5_874_898, 1, 1)).contains(&days)
}

/// A finite timestamp in our range (the top thirty years of PostgreSQL's do not fit)?
pub fn is_valid_timestamp(us: i64) -> bool {
    (FIRST_DAY * DAY_US..i64::MAX).contains(&us)
}

/// A timestamp taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Civil {
    /// Astronomical year
    pub year: i64,
    /// 1..=12
    pub month: u32,
    /// 1..=31
    pub day: u32,
    /// 0..=24
    pub hour: u32,
    /// 0..=59
    pub minute: u32,
    /// 0..=60
    pub second: u32,
    /// Microseconds of the second
    pub us: u32,
}

impl Civil {
    /// Takes a finite timestamp apart.
    pub fn from_timestamp(ts: i64) -> Self {
        let (year, month, day) = civil_from_days(ts.div_euclid(DAY_US));
        Self { year, month, day, ..Self::from_time(ts.rem_euclid(DAY_US)) }
    }

    /// Takes a time of day apart; the date stays zero.
    pub fn from_time(t: i64) -> Self {
        Self {
            hour: (t / HOUR_US) as u32,
            minute: (t / MINUTE_US % 60) as u32,
            second: (t / SECOND_US % 60) as u32,
            us: (t % SECOND_US) as u32,
            ..Self::default()
        }
    }

    /// Microseconds since midnight.
    pub fn time(&self) -> i64 {
        i64::from(self.hour) * HOUR_US
            + i64::from(self.minute) * MINUTE_US
            + i64::from(self.second) * SECOND_US
            + i64::from(self.us)
    }

    /// The day number.
    pub fn days(&self) -> i64 {
        days_from_civil(self.year, self.month, self.day)
    }

    /// The timestamp; `None` outside of the range.
    pub fn timestamp(&self) -> Option<i64> {
        let us = i128::from(self.days()) * i128::from(DAY_US) + i128::from(self.time());
        i64::try_from(us).ok().filter(|t| is_valid_timestamp(*t))
    }
}
