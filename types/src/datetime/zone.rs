//! Time zones: IANA names from the bundled database, POSIX forms and fixed offsets.
//!
//! The database knows the years -9999 to 9999. Later years use the same year of the last 400-year cycle, whose calendar
//! is the same; earlier ones the first offset.

use super::abbrev::{self, Abbreviation};
use super::civil::DAY_US;
use crate::{Error, Result, SqlState};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use std::sync::Arc;

/// Microseconds in 400 Gregorian years.
const CYCLE_US: i64 = 146_097 * DAY_US;
/// 9900-01-01: above this instants are folded down by whole cycles.
const FOLD_FROM_US: i64 = 2_896_413 * DAY_US;
/// -9900-01-01: below this the first offset holds.
const FLOOR_US: i64 = -4_335_475 * DAY_US;

#[derive(Clone, Debug)]
enum Rule {
    Fixed(i32),
    Named(TimeZone),
}

/// A time zone: IANA name, fixed offset or POSIX form, as SET TIME ZONE accepts.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Arc<str>,
    /// What the abbreviation of a fixed zone is.
    short: Arc<str>,
    rule: Rule,
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

fn fold(us: i64) -> i64 {
    if us >= FOLD_FROM_US {
        return us - ((us - FOLD_FROM_US) / CYCLE_US + 1) * CYCLE_US;
    }
    us.max(FLOOR_US)
}

fn instant(us: i64) -> Timestamp {
    Timestamp::from_microsecond(fold(us)).expect("folded into jiff's range")
}

impl Zone {
    /// UTC
    pub fn utc() -> Self {
        Self { name: "UTC".into(), short: "UTC".into(), rule: Rule::Fixed(0) }
    }

    /// A fixed offset in seconds east, named as PostgreSQL does (`<+05>-05`).
    pub fn fixed(east: i32) -> Self {
        let form = |east: i32| {
            let (sign, a) = (if east < 0 { '-' } else { '+' }, east.abs());
            match (a / 60 % 60, a % 60) {
                (0, 0) => format!("{sign}{:02}", a / 3600),
                (m, 0) => format!("{sign}{:02}:{m:02}", a / 3600),
                (m, s) => format!("{sign}{:02}:{m:02}:{s:02}", a / 3600),
            }
        };
        let short = form(east);
        let west = if east == 0 { "+00".to_owned() } else { form(-east) };
        Self { name: format!("<{short}>{west}").into(), short: short.into(), rule: Rule::Fixed(east) }
    }

    /// Looks a name up (case-insensitive IANA name, abbreviation, `+05:30`, POSIX). `22023` `time zone "x" not recognized`.
    pub fn parse(name: &str) -> Result<Self> {
        match abbrev::lookup(&name.to_ascii_lowercase()) {
            // Names that are both (UTC, EST, CET …): the zone wins where it has rules of its own.
            Some(Abbreviation::Fixed(east)) => match Self::lookup(name) {
                Some(zone) => Ok(zone),
                None => Ok(Self {
                    name: name.to_ascii_uppercase().into(),
                    short: name.to_ascii_uppercase().into(),
                    rule: Rule::Fixed(east),
                }),
            },
            Some(Abbreviation::Dynamic(zone)) => Self::lookup(zone).ok_or_else(|| not_recognized(name)),
            None => Self::lookup(name).ok_or_else(|| not_recognized(name)),
        }
    }

    /// A zone by IANA name or POSIX form, abbreviations apart: PostgreSQL's pg_tzset.
    pub(crate) fn lookup(name: &str) -> Option<Self> {
        if name.is_empty() || name.len() > 255 || !name.is_ascii() {
            return None;
        }
        if matches!(name.to_ascii_lowercase().as_str(), "utc" | "gmt") {
            let name: Arc<str> = name.to_ascii_uppercase().into();
            return Some(Self { short: name.clone(), name, rule: Rule::Fixed(0) });
        }
        if !name.eq_ignore_ascii_case("etc/unknown")
            && let Ok(tz) = TimeZone::get(name)
        {
            let canonical: Arc<str> = tz.iana_name().unwrap_or(name).into();
            return Some(Self { short: canonical.clone(), name: canonical, rule: Rule::Named(tz) });
        }
        Self::posix(name)
    }

    /// `UTC+3`, `FOO5BAR`, `<+05>-05`, `+05:30`: offsets count west of Greenwich.
    fn posix(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let (short, rest) = match upper.strip_prefix('<') {
            Some(quoted) => quoted.split_once('>')?,
            None => upper.split_at(upper.find(|c: char| !c.is_ascii_alphabetic())?),
        };
        let (west, used) = posix_offset(rest)?;
        let tail = &rest[used..];
        let rule = if tail.is_empty() {
            Rule::Fixed(-west)
        } else {
            // Without rules of its own a daylight zone follows the United States', as in PostgreSQL.
            let spec = if tail.contains(',') { upper.clone() } else { format!("{upper},M3.2.0,M11.1.0") };
            Rule::Named(TimeZone::posix(&spec).ok()?)
        };
        let short: Arc<str> = if short.is_empty() { "".into() } else { short.into() };
        Some(Self { name: upper.into(), short, rule })
    }

    /// The canonical name SHOW TimeZone reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offset when it never changes.
    pub fn fixed_offset(&self) -> Option<i32> {
        match &self.rule {
            Rule::Fixed(east) => Some(*east),
            Rule::Named(tz) => tz.to_fixed_offset().ok().map(|o| o.seconds()),
        }
    }

    /// Seconds east of UTC at a UTC instant (microseconds since 1970).
    pub fn offset_at(&self, utc_us: i64) -> i32 {
        match &self.rule {
            Rule::Fixed(east) => *east,
            Rule::Named(tz) => tz.to_offset(instant(utc_us)).seconds(),
        }
    }

    /// Seconds east of UTC for a local time, by PostgreSQL's rule for gaps and overlaps: in a gap the offset before the
    /// change, in an overlap the one after it (standard time in both when clocks move for summer).
    pub fn offset_for_local(&self, local_us: i64) -> i32 {
        let tz = match &self.rule {
            Rule::Fixed(east) => return *east,
            Rule::Named(tz) => tz,
        };
        let local: DateTime = jiff::tz::Offset::UTC.to_datetime(instant(local_us));
        match tz.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.seconds(),
            AmbiguousOffset::Gap { before, .. } => before.seconds(),
            AmbiguousOffset::Fold { after, .. } => after.seconds(),
        }
    }

    /// Seconds east for a local time written with an abbreviation of this zone.
    pub(crate) fn offset_for_abbreviation(&self, local_us: i64, abbreviation: &str) -> i32 {
        let local = self.offset_for_local(local_us);
        let Rule::Named(tz) = &self.rule else { return local };
        let at = instant(local_us.saturating_sub(i64::from(local) * 1_000_000));
        let same = |a: &str| a.eq_ignore_ascii_case(abbreviation);
        if same(tz.to_offset_info(at).abbreviation()) {
            return local;
        }
        let before = tz.preceding(at).find(|t| same(t.abbreviation())).map(|t| t.offset());
        // A rule that goes on for ever is looked at for one cycle of changes only.
        let found = before.or_else(|| tz.following(at).take(400).find(|t| same(t.abbreviation())).map(|t| t.offset()));
        found.map_or(local, |o| o.seconds())
    }

    /// Abbreviation at a UTC instant (`PST`, or a numeric form).
    pub fn abbreviation_at(&self, utc_us: i64) -> String {
        match &self.rule {
            Rule::Fixed(_) => self.short.to_string(),
            Rule::Named(tz) => tz.to_offset_info(instant(utc_us)).abbreviation().to_owned(),
        }
    }

    /// UTC instant to local time. The ends of the range saturate.
    pub fn to_local(&self, utc_us: i64) -> i64 {
        utc_us.saturating_add(i64::from(self.offset_at(utc_us)) * 1_000_000)
    }

    /// Local time to UTC instant; `None` outside of the range.
    pub fn to_utc(&self, local_us: i64) -> Option<i64> {
        local_us
            .checked_sub(i64::from(self.offset_for_local(local_us)) * 1_000_000)
            .filter(|t| super::is_valid_timestamp(*t))
    }
}

/// `time zone "x" not recognized`
pub(crate) fn not_recognized(name: &str) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized"))
}

/// `[+-]hh[:mm[:ss]]` as seconds, and its length.
fn posix_offset(s: &str) -> Option<(i32, usize)> {
    let b = s.as_bytes();
    let negative = b.first() == Some(&b'-');
    let mut at = usize::from(matches!(b.first(), Some(b'-' | b'+')));
    let mut seconds = 0;
    for (part, scale) in [3600, 60, 1].into_iter().enumerate() {
        if part > 0 {
            if b.get(at) != Some(&b':') {
                break;
            }
            at += 1;
        }
        let len = b[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if len == 0 || len > 3 {
            return None;
        }
        let n: i32 = s[at..at + len].parse().ok()?;
        if n > if part == 0 { 167 } else { 59 } {
            return None;
        }
        seconds += n * scale;
        at += len;
    }
    Some((if negative { -seconds } else { seconds }, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datetime::days_from_civil;

    #[test]
    fn names_and_offsets_equal_postgresql() {
        let summer = days_from_civil(2024, 7, 1) * DAY_US;
        let cases = [
            ("utc", "UTC", 0, "UTC"),
            ("america/new_york", "America/New_York", -4 * 3600, "EDT"),
            ("+05:30", "+05:30", -19_800, ""),
            ("utc+3", "UTC+3", -10_800, "UTC"),
            ("foo5bar", "FOO5BAR", -4 * 3600, "BAR"),
            ("<+05>-05", "<+05>-05", 18_000, "+05"),
            ("PST", "PST", -8 * 3600, "PST"),
        ];
        for (input, name, east, short) in cases {
            let z = Zone::parse(input).expect(input);
            assert_eq!((z.name(), z.offset_at(summer)), (name, east), "{input}");
            assert_eq!(z.abbreviation_at(summer), short, "{input}");
        }
        for bad in ["", "nowhere", "é", "America/Nowhere", "x".repeat(300).as_str()] {
            let e = Zone::parse(bad).expect_err(bad);
            assert_eq!(e.message(), format!("time zone \"{bad}\" not recognized"));
        }
        assert_eq!(Zone::fixed(18_000).name(), "<+05>-05");
        assert_eq!(Zone::fixed(19_800).name(), "<+05:30>-05:30");
    }

    #[test]
    fn far_years_keep_their_rules() {
        let z = Zone::parse("America/New_York").expect("a known zone");
        let at = |y, m| days_from_civil(y, m, 1) * DAY_US;
        assert_eq!(z.offset_at(at(200_000, 7)), -4 * 3600);
        assert_eq!(z.offset_at(at(200_000, 1)), -5 * 3600);
        assert_eq!(z.offset_at(i64::MAX - 1), -5 * 3600);
        assert_eq!(z.offset_for_local(i64::MIN + 1), z.offset_at(at(-4000, 1)));
    }
}
