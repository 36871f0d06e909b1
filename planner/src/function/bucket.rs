//! time_bucket: the start of the span of time that a moment lies in.
//!
//! Two families, by the order of the arguments, each with the rules of the systems it comes from:
//!
//!   time_bucket(interval, time [, origin])   counts from Monday 2000-01-03 (months: from January 2000), in UTC
//!   time_bucket(time, 'N unit')              counts from Monday 0001-01-01, in the session's time zone

use super::Registry;
use super::dt;
use super::error::invalid;
use super::kernel::{Date, Ts, k};
use heddle_engines::point::blocks::Pieces;
use heddle_types::datetime::fields::fixed_unit;
use heddle_types::datetime::{DAY_US, Zone, civil_from_days, days_from_civil};
use heddle_types::{Datum, Interval, Result};

/// Monday 2000-01-03
const ORIGIN_US: i64 = 10_959 * DAY_US;
/// Monday 0001-01-01
const FIRST_MONDAY_US: i64 = -719_162 * DAY_US;
const JANUARY_2000: i64 = 2000 * 12;
const JANUARY_1: i64 = 12;

/// A width, greater than zero.
#[derive(Clone, Copy)]
enum Width {
    Months(i64),
    Micros(i128),
}

impl Width {
    fn of(i: Interval) -> Result<Self> {
        let us = i128::from(i.days) * i128::from(DAY_US) + i128::from(i.us);
        match (i.months, us) {
            (0, us) if us > 0 => Ok(Self::Micros(us)),
            (months, 0) if months > 0 => Ok(Self::Months(months.into())),
            (months, us) if months != 0 && us != 0 => Err(invalid("month intervals cannot have day or time component")),
            _ => Err(invalid("period must be greater than 0")),
        }
    }

    /// `3 days`, `1mon`
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let bad = || invalid(format!("invalid bucket width: \"{text}\""));
        let n: i64 = text[..digits].parse().map_err(|_| bad())?;
        if n == 0 {
            return Err(invalid("period must be greater than 0"));
        }
        let us = |unit: i64| Ok(Self::Micros(i128::from(n) * i128::from(unit)));
        let months = |unit: i64| n.checked_mul(unit).filter(|n| *n < 1 << 31).map(Self::Months).ok_or_else(bad);
        match text[digits..].trim().to_ascii_lowercase().as_str() {
            "ns" | "nsec" | "nsecs" | "nanosecond" | "nanoseconds" if n % 1000 == 0 => {
                Ok(Self::Micros(i128::from(n / 1000)))
            }
            "us" | "usec" | "usecs" | "microsecond" | "microseconds" => us(1),
            "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => us(1000),
            "s" | "sec" | "secs" | "second" | "seconds" => us(1_000_000),
            "m" | "min" | "mins" | "minute" | "minutes" => us(60_000_000),
            "h" | "hr" | "hrs" | "hour" | "hours" => us(3_600_000_000),
            "d" | "day" | "days" => us(DAY_US),
            "w" | "week" | "weeks" => us(7 * DAY_US),
            "mon" | "mons" | "month" | "months" => months(1),
            "y" | "yr" | "yrs" | "year" | "years" => months(12),
            _ => Err(bad()),
        }
    }
}

/// The bucket of a time that counts in its own clock.
fn bucket(width: Width, t: i64, origin_us: i64, origin_month: i64) -> Result<i64> {
    if dt::is_inf_ts(t) {
        return Ok(t);
    }
    match width {
        Width::Micros(us) => {
            let off = i128::from(t) - i128::from(origin_us);
            dt::check_ts(i128::from(origin_us) + off.div_euclid(us) * us)
        }
        Width::Months(n) => {
            let (year, month, _) = civil_from_days(t.div_euclid(DAY_US));
            let number = year * 12 + i64::from(month) - 1;
            let first = origin_month + (number - origin_month).div_euclid(n) * n;
            let day = days_from_civil(first.div_euclid(12), first.rem_euclid(12) as u32 + 1, 1);
            dt::check_ts(i128::from(day) * i128::from(DAY_US))
        }
    }
}

/// Pieces of time of one width, without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FixedBuckets {
    width_us: i64,
    /// Where one of them starts; not negative and below the width.
    origin_us: i64,
}

impl FixedBuckets {
    /// Widest pieces: no time is so far from the origin that the distance would not fit.
    const WIDTH_US_MAX: i128 = 1 << 60;

    /// The pieces that function `name` (`time_bucket`, `date_trunc`) cuts with these arguments besides the time; `zone` when the time
    /// has one. None when their widths differ (months, days in a zone whose offset changes) and for what the function refuses.
    pub fn of(name: &str, args: &[Datum], zone: Option<&Zone>) -> Option<Self> {
        let east = || zone.map_or(Some(0), |z| z.fixed_offset()).map(|seconds| i64::from(seconds) * 1_000_000);
        match (name, args) {
            ("time_bucket", [Datum::Interval(width)]) => Self::new(Width::of(*width).ok()?, ORIGIN_US),
            ("time_bucket", [Datum::Interval(width), Datum::Timestamp(origin)]) => {
                Self::new(Width::of(*width).ok()?, Some(*origin).filter(|o| !dt::is_inf_ts(*o))?)
            }
            ("time_bucket", [Datum::Text(width)]) => Self::new(Width::parse(width).ok()?, FIRST_MONDAY_US - east()?),
            ("date_trunc", [Datum::Text(unit)]) => {
                let (width, origin) = fixed_unit(unit)?;
                Self::new(Width::Micros(width.into()), origin - east()?)
            }
            _ => None,
        }
    }

    fn new(width: Width, origin_us: i64) -> Option<Self> {
        let Width::Micros(us) = width else { return None };
        let width_us = i64::try_from(us).ok().filter(|us| i128::from(*us) <= Self::WIDTH_US_MAX)?;
        Some(Self { width_us, origin_us: origin_us.rem_euclid(width_us) })
    }

    /// The start of the piece that holds `t`, which is finite.
    ///
    /// # Errors
    /// `22008` when no timestamp is as early.
    pub fn start(&self, t: i64) -> Result<i64> {
        dt::check_ts(i128::from(t) - i128::from((t - self.origin_us).rem_euclid(self.width_us)))
    }

    /// As an engine knows them.
    pub fn pieces(&self) -> Pieces {
        Pieces { width_us: self.width_us, origin_us: self.origin_us }
    }

    /// The start of the `n`-th piece before the one that starts at `start`.
    pub fn back(&self, start: i64, n: i64) -> i64 {
        start.saturating_sub(self.width_us.saturating_mul(n))
    }

    /// The start of the next piece.
    pub fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.width_us)
    }
}

fn by_interval(width: Interval, t: Ts) -> Result<Ts> {
    bucket(Width::of(width)?, t.0, ORIGIN_US, JANUARY_2000).map(Ts)
}

fn from_origin(width: Interval, t: Ts, origin: Ts) -> Result<Ts> {
    if dt::is_inf_ts(origin.0) {
        return Err(invalid("origin must be finite"));
    }
    let (year, month, _) = civil_from_days(origin.0.div_euclid(DAY_US));
    bucket(Width::of(width)?, t.0, origin.0, year * 12 + i64::from(month) - 1).map(Ts)
}

fn of_date(width: Interval, date: Date) -> Result<Date> {
    if width.us % DAY_US != 0 {
        return Err(invalid("interval must not have sub-day precision"));
    }
    Ok(dt::ts_to_date(by_interval(width, dt::date_to_ts(date)?)?))
}

fn by_unit(t: Ts, text: &str, zone: Option<&Zone>) -> Result<Ts> {
    let width = Width::parse(text)?;
    let plain = |t: i64| bucket(width, t, FIRST_MONDAY_US, JANUARY_1);
    let Some(zone) = zone.filter(|_| !dt::is_inf_ts(t.0)) else { return plain(t.0).map(Ts) };
    let local = dt::to_local(t, zone)?;
    let start = plain(local.0)?;
    match width {
        // Within a day the clock that shows `t` goes on, also where an hour comes twice.
        Width::Micros(us) if us < i128::from(DAY_US) => {
            dt::check_ts(i128::from(start) - i128::from(local.0) + i128::from(t.0)).map(Ts)
        }
        _ => dt::to_utc(Ts(start), zone),
    }
}

pub(super) fn register(r: &mut Registry) {
    r.scalars(
        &["time_bucket(interval,timestamptz)", "time_bucket(interval,timestamp)"],
        k!(|w: Interval, t: Ts| -> Ts { by_interval(w, t) }),
    );
    r.scalars(
        &["time_bucket(interval,timestamptz,timestamptz)", "time_bucket(interval,timestamp,timestamp)"],
        k!(|w: Interval, t: Ts, o: Ts| -> Ts { from_origin(w, t, o) }),
    );
    r.scalar("time_bucket(interval,date)", k!(|w: Interval, d: Date| -> Date { of_date(w, d) }));
    r.scalar(
        "time_bucket(timestamptz,text)",
        k!(cx, _ty; |t: Ts, w: &str| -> Ts { by_unit(t, w, Some(&cx.text.datetime.zone)) }),
    );
    r.scalar("time_bucket(timestamp,text)", k!(|t: Ts, w: &str| -> Ts { by_unit(t, w, None) }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::SqlState;
    use heddle_types::datetime::{DateTimeSettings, parse_timestamp};

    fn ts(text: &str) -> Ts {
        Ts(parse_timestamp(text, &DateTimeSettings::default()).expect("a timestamp"))
    }

    #[test]
    fn buckets_start_where_their_family_says() {
        let day = Interval::new(0, 1, 0);
        let week = Interval::new(0, 7, 0);
        let quarter = Interval::new(3, 0, 0);
        let t = ts("2026-07-15 13:45:00");
        assert_eq!(by_interval(day, t).expect("in range"), ts("2026-07-15"));
        assert_eq!(by_interval(week, t).expect("in range"), ts("2026-07-13"));
        assert_eq!(by_interval(quarter, t).expect("in range"), ts("2026-07-01"));
        assert_eq!(by_unit(t, "1 week", None).expect("in range"), ts("2026-07-13"));
        assert_eq!(by_unit(t, "15m", None).expect("in range"), ts("2026-07-15 13:45:00"));
        assert_eq!(by_unit(ts("0001-03-05"), "1y", None).expect("in range"), ts("0001-01-01"));
        assert_eq!(from_origin(day, t, ts("2000-01-01 06:00")).expect("in range"), ts("2026-07-15 06:00"));
        assert_eq!(by_interval(day, ts("1969-12-31 23:59")).expect("in range"), ts("1969-12-31"));
    }

    #[test]
    fn days_follow_the_zone() {
        let zone = Zone::parse("America/New_York").expect("a zone");
        let got = by_unit(ts("2026-07-15 02:00"), "1d", Some(&zone)).expect("in range");
        assert_eq!(got, ts("2026-07-14 04:00"), "midnight there is four o'clock in UTC");
        // 01:30 comes twice on this day; each keeps its own hour.
        let second = by_unit(ts("2026-11-01 06:30"), "1h", Some(&zone)).expect("in range");
        assert_eq!(second, ts("2026-11-01 06:00"));
    }

    /// Over times before and after every origin, the pieces are those that the functions cut.
    #[test]
    fn fixed_buckets_are_those_of_the_functions() {
        let east = Zone::fixed(5 * 3600 + 1800);
        let times = (-40..40).flat_map(|n| [n * 7 * DAY_US / 3 + 17, n * 3_600_000_000, n * 3_600_000_000 - 1]);
        for t in times.chain([ORIGIN_US, FIRST_MONDAY_US, FIRST_MONDAY_US - 1]) {
            let check = |name: &str, args: &[Datum], zone: Option<&Zone>, expected: Result<i64>| {
                let pieces = FixedBuckets::of(name, args, zone).expect("of one width");
                let (start, expected) = (pieces.start(t).expect("in range"), expected.expect("in range"));
                assert_eq!(start, expected, "{name} {args:?} {t}");
                assert!(
                    start <= t && t < pieces.end(start) && pieces.start(pieces.end(start)).expect("in range") > start
                );
            };
            for width in [Interval::new(0, 0, 60_000_000), Interval::new(0, 1, 0), Interval::new(0, 7, 13)] {
                check("time_bucket", &[Datum::Interval(width)], None, by_interval(width, Ts(t)).map(|t| t.0));
                let origin = ts("2026-07-15 06:30");
                let args = [Datum::Interval(width), Datum::Timestamp(origin.0)];
                check("time_bucket", &args, None, from_origin(width, Ts(t), origin).map(|t| t.0));
            }
            for width in ["90s", "1 hour", "2d", "1w"] {
                let args = [Datum::Text(width.into())];
                check("time_bucket", &args, None, by_unit(Ts(t), width, None).map(|t| t.0));
                check("time_bucket", &args, Some(&east), by_unit(Ts(t), width, Some(&east)).map(|t| t.0));
            }
            for unit in ["microseconds", "milliseconds", "second", "minute", "hour", "day", "Week"] {
                use heddle_types::datetime::fields::{trunc_timestamp, trunc_timestamptz};
                let args = [Datum::Text(unit.into())];
                check("date_trunc", &args, None, trunc_timestamp(unit, t));
                check("date_trunc", &args, Some(&east), trunc_timestamptz(unit, t, &east));
            }
        }
    }

    #[test]
    fn buckets_of_several_widths_are_not_fixed() {
        let berlin = Zone::parse("Europe/Berlin").expect("a zone");
        let month = [Datum::Interval(Interval::new(1, 0, 0))];
        assert_eq!(FixedBuckets::of("time_bucket", &month, None), None);
        for text in ["month", "year", "fortnight"] {
            assert_eq!(FixedBuckets::of("date_trunc", &[Datum::Text(text.into())], None), None, "{text}");
        }
        assert_eq!(FixedBuckets::of("date_trunc", &[Datum::Text("hour".into())], Some(&berlin)), None);
        assert_eq!(FixedBuckets::of("time_bucket", &[Datum::Text("1mon".into())], None), None);
        assert_eq!(FixedBuckets::of("time_bucket", &[Datum::Null], None), None);
    }

    #[test]
    fn bad_widths_are_refused() {
        for text in ["0s", "-1d", "1d1h", "1.5h", "", "d", "1 fortnight", "5ns"] {
            let error = by_unit(ts("2026-01-01"), text, None).expect_err(text);
            assert_eq!(error.code(), SqlState::INVALID_PARAMETER_VALUE, "{text}");
        }
        let mixed = by_interval(Interval::new(1, 1, 0), ts("2026-01-01")).expect_err("mixed");
        assert_eq!(mixed.code(), SqlState::INVALID_PARAMETER_VALUE);
    }
}
