//! to_char of timestamps and intervals.

use super::calendar::{JULIAN_1970, day_of_week, day_of_year, iso_week, iso_year_start};
use super::date::{DAYS, Field, Key, MONTHS, ROMAN, find};
use super::{Modifiers, Node, bad_format, ordinal_suffix, parse};
use heddle_types::datetime::{DAY_US, Zone, civil_from_days, days_from_civil};
use heddle_types::{Error, Interval, Result};

/// A point in time or a span taken apart.
struct Parts {
    interval: bool,
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
    day_of_year: i64,
    /// Days since 1970; what PostgreSQL's calendar functions make of the fields of an interval.
    days: i64,
    zone: Option<(String, i32)>,
}

/// to_char(timestamp or timestamptz, template): NULL for infinities and empty templates.
pub(super) fn timestamp(t: i64, zone: Option<&Zone>, template: &str) -> Result<Option<String>> {
    if template.is_empty() || super::dt::is_inf_ts(t) {
        return Ok(None);
    }
    let offset = zone.map_or(0, |z| z.offset_at(t));
    let local = t.saturating_add(i64::from(offset) * 1_000_000);
    let days = local.div_euclid(DAY_US);
    let (year, month, day) = civil_from_days(days);
    let time = local.rem_euclid(DAY_US);
    let secs = time / 1_000_000;
    let parts = Parts {
        interval: false,
        year,
        month: i64::from(month),
        day: i64::from(day),
        hour: secs / 3600,
        minute: secs / 60 % 60,
        second: secs % 60,
        us: time % 1_000_000,
        day_of_year: day_of_year(year, month, day),
        days,
        zone: zone.map(|z| (z.abbreviation_at(t), offset)),
    };
    parts.format(template).map(Some)
}

/// to_char(interval, template)
pub(super) fn interval(i: Interval, template: &str) -> Result<Option<String>> {
    if template.is_empty() {
        return Ok(None);
    }
    let (year, month) = (i64::from(i.months / 12), i64::from(i.months % 12));
    let secs = i.us / 1_000_000;
    let parts = Parts {
        interval: true,
        year,
        month,
        day: i64::from(i.days),
        hour: secs / 3600,
        minute: secs / 60 % 60,
        second: secs % 60,
        us: i.us % 1_000_000,
        day_of_year: i64::from(i.months) * 30 + i64::from(i.days),
        days: days_from_civil(year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) as u32 + 1, 1)
            + i64::from(i.days)
            - 1,
        zone: None,
    };
    parts.format(template).map(Some)
}

fn not_for_intervals() -> Error {
    bad_format("invalid format specification for an interval value")
        .hint("Intervals are not tied to specific calendar dates.")
}

/// `%0*d`: the sign counts.
fn zeros(v: i64, width: usize) -> String {
    format!("{v:0width$}")
}

impl Parts {
    fn format(&self, template: &str) -> Result<String> {
        let mut out = String::new();
        for node in parse(template, true, find) {
            match node {
                Node::Action(f, m) => self.field(&mut out, f, m)?,
                Node::Separator(c) | Node::Space(c) | Node::Char(c) => out.push(c),
            }
        }
        Ok(out)
    }

    /// The year as people count it: there is no year 0.
    fn counted(&self, year: i64) -> i64 {
        if self.interval || year > 0 { year } else { 1 - year }
    }

    fn iso_year_start(&self) -> (i64, i64) {
        let (year, _) = iso_week(self.days);
        (year, iso_year_start(year))
    }

    fn field(&self, out: &mut String, f: Field, m: Modifiers) -> Result<()> {
        let calendar_only = matches!(
            f.key,
            Key::Era(..)
                | Key::Month(_)
                | Key::Mon(_)
                | Key::Day(_)
                | Key::Dy(_)
                | Key::Weekday
                | Key::IsoWeekday
                | Key::ZoneName(_)
                | Key::ZoneHour
                | Key::ZoneMinute
                | Key::Offset
        );
        if self.interval && calendar_only {
            return Err(not_for_intervals());
        }
        match self.number(f.key, m.fill) {
            Some(text) => {
                out.push_str(&text);
                if let Some(case) = m.ordinal {
                    out.push_str(ordinal_suffix(&text, case));
                }
            }
            None => self.word(out, f.key, m.fill),
        }
        Ok(())
    }

    /// Patterns that print a number, and so may take an ordinal suffix.
    fn number(&self, key: Key, fill: bool) -> Option<String> {
        // Negative numbers get one column more.
        let padded = |v: i64, width: usize| match fill {
            true => v.to_string(),
            false => zeros(v, if v < 0 { width + 1 } else { width }),
        };
        let fraction = |digits: u32| zeros(self.us / 10i64.pow(6 - digits), digits as usize);
        Some(match key {
            Key::Hour12 => {
                let h = if self.hour % 12 == 0 { 12 } else { self.hour % 12 };
                let width = if self.hour >= 0 { 2 } else { 3 };
                if fill { h.to_string() } else { zeros(h, width) }
            }
            Key::Hour24 => padded(self.hour, 2),
            Key::Minute => padded(self.minute, 2),
            Key::Second => padded(self.second, 2),
            Key::Millis => fraction(3),
            Key::Micros => fraction(6),
            Key::Fraction(d) => fraction(d),
            Key::SecondOfDay => (self.hour * 3600 + self.minute * 60 + self.second).to_string(),
            Key::MonthNumber => padded(self.month, 2),
            Key::DayOfMonth if fill => self.day.to_string(),
            Key::DayOfMonth => zeros(self.day, 2),
            Key::DayOfYear if fill => self.day_of_year.to_string(),
            Key::DayOfYear => zeros(self.day_of_year, 3),
            Key::IsoDayOfYear => {
                let v = self.days - self.iso_year_start().1 + 1;
                if fill { v.to_string() } else { zeros(v, 3) }
            }
            Key::Weekday => (i64::from(day_of_week(self.days)) + 1).to_string(),
            Key::IsoWeekday => match day_of_week(self.days) {
                0 => 7,
                d => d,
            }
            .to_string(),
            Key::Week => padded((self.day_of_year - 1) / 7 + 1, 2),
            Key::IsoWeek => padded(i64::from(iso_week(self.days).1), 2),
            Key::WeekOfMonth => ((self.day - 1) / 7 + 1).to_string(),
            Key::Quarter if self.month == 0 => return None,
            Key::Quarter => ((self.month - 1) / 3 + 1).to_string(),
            Key::Century => {
                let c = match self.year {
                    y if self.interval => y / 100,
                    y if y > 0 => (y - 1) / 100 + 1,
                    y => y / 100 - 1,
                };
                if (-99..=99).contains(&c) { padded(c, 2) } else { c.to_string() }
            }
            Key::Julian => (self.days + JULIAN_1970).to_string(),
            Key::YearComma => {
                let y = self.counted(self.year);
                format!("{},{:03}", y / 1000, y - y / 1000 * 1000)
            }
            Key::Year(n) => Self::year(self.counted(self.year), n, fill),
            Key::IsoYear(n) => Self::year(self.counted(self.iso_year_start().0), n, fill),
            _ => return None,
        })
    }

    fn year(y: i64, digits: u8, fill: bool) -> String {
        let v = if digits < 4 { y % 10i64.pow(u32::from(digits)) } else { y };
        let width = usize::from(digits) + usize::from(y < 0 && digits > 1);
        if fill { v.to_string() } else { zeros(v, width) }
    }

    fn word(&self, out: &mut String, key: Key, fill: bool) {
        let padded = |word: String, width: usize| if fill { word } else { format!("{word:<width$}") };
        let dotted = |dots: bool, plain: &'static str, dotted: &'static str| if dots { dotted } else { plain };
        match key {
            Key::Meridian(case, dots) => {
                let late = self.hour % 24 >= 12;
                let word = if late { dotted(dots, "PM", "P.M.") } else { dotted(dots, "AM", "A.M.") };
                out.push_str(&case.of(word));
            }
            Key::Era(case, dots) => {
                let word = if self.year <= 0 { dotted(dots, "BC", "B.C.") } else { dotted(dots, "AD", "A.D.") };
                out.push_str(&case.of(word));
            }
            Key::Month(case) => out.push_str(&padded(case.of(MONTHS[self.month as usize - 1]), 9)),
            Key::Mon(case) => out.push_str(&case.of(&MONTHS[self.month as usize - 1][..3])),
            Key::Day(case) => out.push_str(&padded(case.of(DAYS[day_of_week(self.days) as usize]), 9)),
            Key::Dy(case) => out.push_str(&case.of(&DAYS[day_of_week(self.days) as usize][..3])),
            Key::MonthRoman(case) if self.month != 0 || self.year != 0 => {
                let at = match self.month {
                    // Twelve months of an interval became a year.
                    0 => {
                        if self.year >= 0 {
                            0
                        } else {
                            11
                        }
                    }
                    m if m < 0 => -(m + 1),
                    m => 12 - m,
                };
                out.push_str(&padded(case.of(ROMAN[at as usize]), 4));
            }
            Key::ZoneName(case) => {
                if let Some((name, _)) = &self.zone {
                    let upper = case == super::date::Case::Upper;
                    out.push_str(&if upper { name.clone() } else { name.to_lowercase() });
                }
            }
            Key::ZoneHour | Key::ZoneMinute | Key::Offset => self.offset(out, key, fill),
            _ => {}
        }
    }

    fn offset(&self, out: &mut String, key: Key, fill: bool) {
        let offset = self.zone.as_ref().map_or(0, |z| z.1);
        let sign = if offset >= 0 { '+' } else { '-' };
        let (hours, minutes) = (offset.abs() / 3600, offset.abs() % 3600 / 60);
        match key {
            Key::ZoneHour => out.push_str(&format!("{sign}{hours:02}")),
            Key::ZoneMinute => out.push_str(&format!("{minutes:02}")),
            _ => {
                out.push(sign);
                out.push_str(&if fill { hours.to_string() } else { format!("{hours:02}") });
                if minutes != 0 {
                    out.push_str(&format!(":{minutes:02}"));
                }
            }
        }
    }
}
