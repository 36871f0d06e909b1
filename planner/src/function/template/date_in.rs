//! to_date and to_timestamp.

use super::calendar::{JULIAN_1970, iso_year_start};
use super::date::{Convention, DAYS, Field, Key, MONTHS, ROMAN, find};
use super::{Modifiers, Node, bad_format, is_separator, is_space, parse};
use crate::function::dt;
use heddle_types::datetime::{DAY_US, civil_from_days, days_from_civil};
use heddle_types::{Error, Result, SqlState};

/// to_date(text, template): days since 1970.
pub(super) fn date(text: &str, template: &str) -> Result<i32> {
    let m = read(text, template)?;
    let out = || Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date out of range: \"{text}\""));
    let c = m.civil(text)?;
    if !(-4713..=5_874_898).contains(&c.0) {
        return Err(out());
    }
    dt::check_date(days_from_civil(c.0, c.1, c.2)).map_err(|_| out())
}

/// to_timestamp(text, template): the local time and, if the text named one, its offset from UTC in seconds.
pub(super) fn timestamp(text: &str, template: &str) -> Result<(i64, Option<i32>)> {
    let m = read(text, template)?;
    let (y, mo, d) = m.civil(text)?;
    let us = m.time(text)?;
    if !(-4800..=300_000).contains(&y) {
        return Err(dt::ts_range());
    }
    let local = dt::check_ts(i128::from(days_from_civil(y, mo, d)) * i128::from(DAY_US) + i128::from(us))?;
    if m.zone_sign == 0 {
        return Ok((local, None));
    }
    let (h, min) = (m.get(Slot::ZoneHour), m.get(Slot::ZoneMinute));
    if !(0..=15).contains(&h) || !(0..60).contains(&min) {
        let e = format!("time zone displacement out of range: \"{text}\"");
        return Err(Error::new(SqlState("22009"), e));
    }
    Ok((local, Some((m.zone_sign * (h * 3600 + min * 60)) as i32)))
}

/// What a field sets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Slot {
    Hour,
    Late,
    Minute,
    Second,
    SecondOfDay,
    Millis,
    Micros,
    Weekday,
    Day,
    DayOfYear,
    Month,
    Year,
    Bc,
    Week,
    WeekOfMonth,
    Century,
    Julian,
    ZoneHour,
    ZoneMinute,
}
const SLOTS: usize = Slot::ZoneMinute as usize + 1;

#[derive(Default)]
struct Fields {
    slots: [i64; SLOTS],
    convention: Option<Convention>,
    twelve_hours: bool,
    /// Digits the year was asked for
    year_size: u8,
    zone_sign: i64,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Characters skipped beyond those the template has
    extra: i64,
    f: Fields,
}

fn read(text: &str, template: &str) -> Result<Fields> {
    let nodes = parse(template, true, find);
    let mut r = Reader { text, at: 0, extra: 0, f: Fields::default() };
    let mut exact = false;
    for (i, node) in nodes.iter().enumerate() {
        if r.rest().is_empty() {
            break;
        }
        let action = match node {
            Node::Action(f, m) => Some((*f, *m)),
            _ => None,
        };
        let is_fx = action.is_some_and(|a| a.0.key == Key::Exact);
        if !exact && !is_fx && (action.is_some() || i == 0) {
            r.extra += r.blanks();
        }
        match (node, action) {
            (_, Some((field, m))) => {
                r.f.set_convention(field)?;
                exact |= is_fx;
                let tail = &nodes[i + 1..];
                r.field(field, m, tail.first())?;
                if !exact {
                    r.extra = r.blanks();
                }
            }
            (Node::Char(_), _) if !exact && r.extra > 0 => r.extra -= 1,
            (Node::Char(_), _) => r.skip(),
            _ if exact => r.skip(),
            _ => {
                r.extra -= 1;
                if r.rest().chars().next().is_some_and(|c| is_space(c) || is_separator(c)) {
                    r.skip();
                    r.extra += 1;
                }
            }
        }
    }
    Ok(r.f)
}

/// Is what follows a field certainly no digit, so that the field may take all digits there are?
fn ends_field(m: Modifiers, next: Option<&Node<Field>>) -> bool {
    match next {
        _ if m.ordinal.is_some() => true,
        None => true,
        Some(Node::Action(f, _)) => !f.is_digit(),
        Some(Node::Separator(c) | Node::Space(c) | Node::Char(c)) => !c.is_ascii_digit(),
    }
}

/// strtol: blanks, sign, digits; the value and the bytes it took (0 if no number).
fn long(s: &str) -> (Option<i64>, usize) {
    let blanks = s.len() - s.trim_start_matches(is_space).len();
    let rest = &s[blanks..];
    let sign = usize::from(rest.starts_with(['+', '-']));
    let digits = rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return (Some(0), 0);
    }
    (rest[..sign + digits].parse().ok(), blanks + sign + digits)
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self) {
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
    }

    fn blanks(&mut self) -> i64 {
        let n = self.rest().len() - self.rest().trim_start_matches(is_space).len();
        self.at += n;
        n as i64
    }

    /// A number of at most `len` digits (or all there are, when nothing but digits can follow); its value and the bytes it took.
    fn int(&mut self, field: Field, len: usize, m: Modifiers, next: Option<&Node<Field>>) -> Result<(i64, usize)> {
        let start = self.at;
        self.blanks();
        let rest = self.rest();
        let copy: String = rest.chars().take(len).collect();
        let hint = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let value = if m.fill || ends_field(m, next) {
            let (v, used) = long(rest);
            self.at = if used == 0 { start } else { self.at + used };
            v
        } else {
            if rest.len() < len {
                let e = format!("source string too short for \"{}\" formatting field", field.name);
                let detail = format!("Field requires {len} characters, but only {} remain.", rest.len());
                return Err(bad_format(e).detail(detail).hint(hint));
            }
            let (v, used) = long(&copy);
            if used > 0 && used < len {
                let e = format!("invalid value \"{copy}\" for \"{}\"", field.name);
                let detail = format!("Field requires {len} characters, but only {used} could be parsed.");
                return Err(bad_format(e).detail(detail).hint(hint));
            }
            self.at = if used == 0 { start } else { self.at + used };
            v
        };
        if self.at == start {
            let e = format!("invalid value \"{copy}\" for \"{}\"", field.name);
            return Err(bad_format(e).detail("Value must be an integer."));
        }
        match value.filter(|v| i32::try_from(*v).is_ok()) {
            Some(v) => Ok((v, self.at - start)),
            None => Err(Error::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{}\" in source string is out of range", field.name),
            )
            .detail("Value must be in the range -2147483648 to 2147483647.")),
        }
    }

    /// The word of a list at this place, without regard to case.
    fn word(&mut self, field: Field, words: &[&str]) -> Result<i64> {
        let rest = self.rest();
        let hit = words.iter().position(|w| rest.get(..w.len()).is_some_and(|s| s.eq_ignore_ascii_case(w)));
        match hit {
            Some(i) => {
                self.at += words[i].len();
                Ok(i as i64)
            }
            None => {
                let copy = rest.split(is_space).next().unwrap_or("");
                Err(bad_format(format!("invalid value \"{copy}\" for \"{}\"", field.name))
                    .detail("The given value did not match any of the allowed values for this field."))
            }
        }
    }

    fn number(
        &mut self,
        slot: Slot,
        field: Field,
        len: usize,
        m: Modifiers,
        next: Option<&Node<Field>>,
    ) -> Result<usize> {
        let (v, used) = self.int(field, len, m, next)?;
        self.f.set(slot, v, field)?;
        if m.ordinal.is_some() {
            self.skip();
            self.skip();
        }
        Ok(used)
    }

    fn field(&mut self, field: Field, m: Modifiers, next: Option<&Node<Field>>) -> Result<()> {
        let len = field.name.len();
        let short: Vec<&str> = match field.key {
            Key::Mon(_) => MONTHS.iter().map(|w| &w[..3]).collect(),
            Key::Dy(_) => DAYS.iter().map(|w| &w[..3]).collect(),
            _ => vec![],
        };
        match field.key {
            Key::Exact => {}
            Key::Meridian(_, dots) => {
                let words: [&str; 2] = if dots { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let v = self.word(field, &words)?;
                self.f.set(Slot::Late, v, field)?;
                self.f.twelve_hours = true;
            }
            Key::Era(_, dots) => {
                let words: [&str; 2] = if dots { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let v = self.word(field, &words)?;
                self.f.set(Slot::Bc, v, field)?;
            }
            Key::Hour12 => {
                self.number(Slot::Hour, field, 2, m, next)?;
                self.f.twelve_hours = true;
            }
            Key::Hour24 => drop(self.number(Slot::Hour, field, 2, m, next)?),
            Key::Minute => drop(self.number(Slot::Minute, field, len, m, next)?),
            Key::Second => drop(self.number(Slot::Second, field, len, m, next)?),
            Key::SecondOfDay => drop(self.number(Slot::SecondOfDay, field, len, m, next)?),
            Key::Millis => self.fraction(Slot::Millis, 3, 3, field, m, next)?,
            Key::Micros => self.fraction(Slot::Micros, 6, 6, field, m, next)?,
            Key::Fraction(n) => self.fraction(Slot::Micros, n as usize, 6, field, m, next)?,
            Key::ZoneName(_) | Key::Offset => {
                let e = format!("formatting field \"{}\" is only supported in to_char", field.name);
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, e));
            }
            Key::ZoneHour => self.zone_hour(field, m, next)?,
            Key::ZoneMinute => {
                if self.f.zone_sign == 0 {
                    self.f.zone_sign = 1;
                }
                self.number(Slot::ZoneMinute, field, 2, m, next)?;
            }
            Key::Month(_) => {
                let v = self.word(field, &MONTHS)?;
                self.f.set(Slot::Month, v + 1, field)?;
            }
            Key::Mon(_) => {
                let v = self.word(field, &short)?;
                self.f.set(Slot::Month, v + 1, field)?;
            }
            Key::MonthRoman(_) => {
                let v = self.word(field, &ROMAN)?;
                self.f.set(Slot::Month, 12 - v, field)?;
            }
            Key::MonthNumber => drop(self.number(Slot::Month, field, len, m, next)?),
            Key::Day(_) => {
                let v = self.word(field, &DAYS)?;
                self.f.set(Slot::Weekday, v + 1, field)?;
            }
            Key::Dy(_) => {
                let v = self.word(field, &short)?;
                self.f.set(Slot::Weekday, v + 1, field)?;
            }
            Key::DayOfYear | Key::IsoDayOfYear => drop(self.number(Slot::DayOfYear, field, 3, m, next)?),
            Key::DayOfMonth => drop(self.number(Slot::Day, field, len, m, next)?),
            Key::Weekday => drop(self.number(Slot::Weekday, field, 1, m, next)?),
            Key::IsoWeekday => {
                self.number(Slot::Weekday, field, 1, m, next)?;
                // Monday is 1 there and 2 here.
                let d = &mut self.f.slots[Slot::Weekday as usize];
                *d = if *d >= 7 { 1 } else { *d + 1 };
            }
            Key::Week | Key::IsoWeek => drop(self.number(Slot::Week, field, len, m, next)?),
            Key::WeekOfMonth => drop(self.number(Slot::WeekOfMonth, field, len, m, next)?),
            Key::Quarter => drop(self.int(field, len, m, next)?),
            Key::Century => drop(self.number(Slot::Century, field, len, m, next)?),
            Key::Julian => drop(self.number(Slot::Julian, field, len, m, next)?),
            Key::YearComma => self.year_with_comma(field, m)?,
            Key::Year(n) | Key::IsoYear(n) => self.year(n, field, m, next)?,
        }
        Ok(())
    }

    /// 25 is 0.25 as 250 is; 025 is not.
    fn fraction(
        &mut self,
        slot: Slot,
        len: usize,
        unit: u32,
        field: Field,
        m: Modifiers,
        next: Option<&Node<Field>>,
    ) -> Result<()> {
        let used = self.number(slot, field, len, m, next)?;
        self.f.slots[slot as usize] *= 10i64.pow(unit.saturating_sub(used as u32));
        Ok(())
    }

    /// A minus before TZH may already be gone as a separator.
    fn zone_hour(&mut self, field: Field, m: Modifiers, next: Option<&Node<Field>>) -> Result<()> {
        match self.rest().chars().next() {
            Some(c @ ('+' | '-' | ' ')) => {
                self.f.zone_sign = if c == '-' { -1 } else { 1 };
                self.at += 1;
            }
            _ => {
                let swallowed = self.extra > 0 && self.text[..self.at].ends_with('-');
                self.f.zone_sign = if swallowed { -1 } else { 1 };
            }
        }
        self.number(Slot::ZoneHour, field, 2, m, next).map(drop)
    }

    fn year_with_comma(&mut self, field: Field, m: Modifiers) -> Result<()> {
        let bad = || bad_format("invalid input string for \"Y,YYY\"");
        let (thousands, used) = long(self.rest());
        let after = self.rest().get(used..).and_then(|r| r.strip_prefix(',')).filter(|_| used > 0).ok_or_else(bad)?;
        let digits = after.bytes().take(3).take_while(u8::is_ascii_digit).count();
        let years: i64 = after[..digits].parse().map_err(|_| bad())?;
        self.f.set(Slot::Year, thousands.unwrap_or(0).saturating_mul(1000).saturating_add(years), field)?;
        self.f.year_size = 4;
        self.at += used + 1 + digits;
        if m.ordinal.is_some() {
            self.skip();
            self.skip();
        }
        Ok(())
    }

    fn year(&mut self, n: u8, field: Field, m: Modifiers, next: Option<&Node<Field>>) -> Result<()> {
        let used = self.number(Slot::Year, field, usize::from(n), m, next)?;
        if n < 4 && used < 4 {
            let y = &mut self.f.slots[Slot::Year as usize];
            // The year nearest to 2020.
            *y += match *y {
                y if y < 70 => 2000,
                y if y < 100 => 1900,
                y if y < 520 => 2000,
                y if y < 1000 => 1000,
                _ => 0,
            };
        }
        self.f.year_size = n;
        Ok(())
    }
}

impl Fields {
    fn get(&self, slot: Slot) -> i64 {
        self.slots[slot as usize]
    }

    fn set(&mut self, slot: Slot, v: i64, field: Field) -> Result<()> {
        let old = &mut self.slots[slot as usize];
        if *old != 0 && *old != v {
            let e = format!("conflicting values for \"{}\" field in formatting string", field.name);
            return Err(bad_format(e).detail("This value contradicts a previous setting for the same field type."));
        }
        *old = v;
        Ok(())
    }

    fn set_convention(&mut self, field: Field) -> Result<()> {
        match (self.convention, field.convention()) {
            (Some(a), Some(b)) if a != b => Err(bad_format("invalid combination of date conventions")
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template.")),
            (None, new @ Some(_)) => {
                self.convention = new;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Astronomical year; None if no field says it.
    fn year(&self) -> Option<i64> {
        let (year, bc) = (self.get(Slot::Year), self.get(Slot::Bc) != 0);
        let century = if bc { -self.get(Slot::Century) } else { self.get(Slot::Century) };
        match (year, century) {
            (0, 0) => None,
            (0, c) if c >= 0 => Some((c - 1) * 100 + 1),
            (0, c) => Some(c * 100 + 1),
            (y, c) if c != 0 && self.year_size <= 2 => Some(match y % 100 {
                0 => c * 100 + i64::from(c < 0),
                y if c < 0 => y + c * 100,
                y => y + (c - 1) * 100,
            }),
            (y, _) => {
                let y = if bc { -y } else { y };
                Some(if y < 0 { y + 1 } else { y })
            }
        }
    }

    /// The date: year, month, day.
    fn civil(&self, text: &str) -> Result<(i64, u32, u32)> {
        let overflow =
            || Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("date/time field value out of range: \"{text}\""));
        let (mut y, mut mo, mut d) = (self.year().unwrap_or(0), 1i64, 1i64);
        let from_days = |days: i64| {
            let (y, m, d) = civil_from_days(days);
            (y, i64::from(m), i64::from(d))
        };
        let (mut day, mut day_of_year) = (self.get(Slot::Day), self.get(Slot::DayOfYear));
        let iso = self.convention == Some(Convention::Iso);
        if self.get(Slot::Julian) != 0 {
            (y, mo, d) = from_days(self.get(Slot::Julian) - JULIAN_1970);
        }
        let week = self.get(Slot::Week);
        if week != 0 && iso {
            let wday = match self.get(Slot::Weekday) {
                0 => 0,
                1 => 6,
                w => w - 2,
            };
            (y, mo, d) = from_days(iso_year_start(y) + (week - 1) * 7 + wday);
        } else if week != 0 {
            day_of_year = (week - 1) * 7 + 1;
        }
        if self.get(Slot::WeekOfMonth) != 0 {
            day = (self.get(Slot::WeekOfMonth) - 1) * 7 + 1;
        }
        if day != 0 {
            d = day;
        }
        if self.get(Slot::Month) != 0 {
            mo = self.get(Slot::Month);
        }
        if day_of_year != 0 && (mo <= 1 || d <= 1) {
            if y == 0 && self.get(Slot::Bc) == 0 {
                return Err(bad_format("cannot calculate day of year without year information"));
            }
            if iso {
                (y, mo, d) = from_days(iso_year_start(y) - 1 + day_of_year);
            } else {
                if !(1..=366).contains(&day_of_year) {
                    return Err(overflow());
                }
                let (_, m, dd) = from_days(days_from_civil(y, 1, 1) + day_of_year - 1);
                if day_of_year == 366 && m == 1 {
                    return Err(overflow());
                }
                mo = if mo <= 1 { m } else { mo };
                d = if d <= 1 { dd } else { d };
            }
        }
        let month = u32::try_from(mo).ok().filter(|m| (1..=12).contains(m)).ok_or_else(overflow)?;
        let last =
            if self.year().is_some() || iso || self.get(Slot::Julian) != 0 { dt::days_in_month(y, month) } else { 31 };
        let day = u32::try_from(d).ok().filter(|d| (1..=last).contains(d)).ok_or_else(overflow)?;
        Ok((y, month, day))
    }

    /// Microseconds since midnight.
    fn time(&self, text: &str) -> Result<i64> {
        let of_day = self.get(Slot::SecondOfDay);
        let either = |slot: Slot, other: i64| if self.get(slot) != 0 { self.get(slot) } else { other };
        let mut hour = either(Slot::Hour, of_day / 3600);
        let minute = either(Slot::Minute, of_day % 3600 / 60);
        let second = either(Slot::Second, of_day % 60);
        if self.twelve_hours {
            if !(1..=12).contains(&hour) {
                return Err(bad_format(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            hour = hour % 12 + if self.get(Slot::Late) != 0 { 12 } else { 0 };
        }
        let us = self.get(Slot::Millis) * 1000 + self.get(Slot::Micros);
        let ok = (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1_000_000).contains(&us);
        if !ok {
            let e = format!("date/time field value out of range: \"{text}\"");
            return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, e));
        }
        Ok((hour * 3600 + minute * 60 + second) * 1_000_000 + us)
    }
}
