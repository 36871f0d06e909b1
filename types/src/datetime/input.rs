//! Date, time and timestamp input: PostgreSQL 15's DecodeDateTime and DecodeTimeOnly, step by step, so that odd spellings
//! are taken and refused alike.

use super::abbrev::{self, Abbreviation};
use super::civil::{self, Civil, DAY_US};
use super::iso;
use super::lex::{self, Fault, Kind, Unit, Word};
use super::parts::{Stop, decode_clock, decode_offset, fraction, fraction_us, leading_int};
use super::zone::{Zone, not_recognized};
use super::{DateOrder, DateTimeSettings};
use crate::{Error, Result, SqlState};

// Which fields are there. A field seen twice is an error.
const YEAR: u32 = 1;
const MONTH: u32 = 1 << 1;
const DAY: u32 = 1 << 2;
const HOUR: u32 = 1 << 3;
const MINUTE: u32 = 1 << 4;
const SECOND: u32 = 1 << 5;
const SUBSECOND: u32 = 1 << 6;
const ZONE: u32 = 1 << 7;
const DTZ: u32 = 1 << 8;
const DOY: u32 = 1 << 9;
const AMPM: u32 = 1 << 10;
const ADBC: u32 = 1 << 11;
const DOW: u32 = 1 << 12;
const DTZMOD: u32 = 1 << 13;
const RESERVED: u32 = 1 << 14;
const DATE: u32 = YEAR | MONTH | DAY;
const SECONDS: u32 = SECOND | SUBSECOND;
const TIME: u32 = HOUR | MINUTE | SECONDS;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Fields,
    Epoch,
    Late,
    Early,
}

/// Everything known so far.
struct Decoder<'a> {
    settings: &'a DateTimeSettings,
    time_only: bool,
    mask: u32,
    year: i64,
    month: i64,
    day: i64,
    yday: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
    outcome: Outcome,
    /// Seconds east.
    offset: i64,
    named: Option<Zone>,
    abbreviation: Option<(Zone, String)>,
    pm: Option<bool>,
    bc: bool,
    two_digits: bool,
    text_month: bool,
    julian: bool,
    prefix: Option<Unit>,
}

type Step<T = u32> = std::result::Result<T, Stop>;

fn bad<T>() -> Step<T> {
    Err(Stop::Fault(Fault::Format))
}

fn atoi(s: &str) -> i64 {
    s.parse().unwrap_or(i64::from(i32::MAX))
}

impl<'a> Decoder<'a> {
    fn new(settings: &'a DateTimeSettings, time_only: bool) -> Self {
        Self {
            settings,
            time_only,
            mask: 0,
            year: 0,
            month: 0,
            day: 0,
            yday: 0,
            hour: 0,
            minute: 0,
            second: 0,
            us: 0,
            outcome: Outcome::Fields,
            offset: 0,
            named: None,
            abbreviation: None,
            pm: None,
            bc: false,
            two_digits: false,
            text_month: false,
            julian: false,
            prefix: None,
        }
    }

    fn run(&mut self, s: &str) -> Step<()> {
        let fields = lex::split(s)?;
        for i in 0..fields.len() {
            let Some(seen) = self.field(&fields, i)? else { continue };
            if seen & self.mask != 0 {
                return bad();
            }
            self.mask |= seen;
        }
        self.validate()?;
        self.apply_half_day()?;
        if self.time_only { self.finish_time() } else { self.finish_date() }
    }

    fn field(&mut self, fields: &[(Kind, String)], i: usize) -> Step<Option<u32>> {
        let (kind, text) = (fields[i].0, fields[i].1.as_str());
        let seen = match kind {
            Kind::Date if self.time_only => self.date_in_time(fields, i)?,
            Kind::Date => self.date_field(text)?,
            Kind::Time => {
                if self.prefix.take().is_some_and(|p| p != Unit::Time) {
                    return bad();
                }
                self.clock(text)?;
                if !self.time_only && self.time_overflows() {
                    return Err(Fault::Overflow.into());
                }
                TIME
            }
            Kind::Tz => {
                self.offset = decode_offset(text)?;
                ZONE
            }
            Kind::Number if self.prefix.is_some() => self.prefixed_number(text)?,
            Kind::Number if self.time_only => self.number_in_time(fields, i)?,
            Kind::Number => self.number_field(text)?,
            Kind::Str | Kind::Special => return self.word_field(fields, i),
        };
        Ok(Some(seen))
    }

    fn date_field(&mut self, text: &str) -> Step {
        if self.prefix == Some(Unit::Julian) {
            let (jd, rest) = leading_int(text)?;
            if jd < 0 {
                return Err(Fault::Overflow.into());
            }
            self.set_julian(jd);
            self.offset = decode_offset(rest)?;
            self.prefix = None;
            return Ok(DATE | TIME | ZONE);
        }
        if self.prefix.is_none() && self.mask & (MONTH | DAY) != (MONTH | DAY) {
            return self.decode_date(text);
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) || self.prefix.is_some() {
            if self.prefix.take().is_some_and(|p| p != Unit::Time) || self.mask & TIME == TIME {
                return bad();
            }
            return self.time_with_offset(text, self.mask);
        }
        self.zone_name(text)
    }

    /// `hhmmss-zz`
    fn time_with_offset(&mut self, text: &str, mask: u32) -> Step {
        let Some(at) = text.find('-') else { return bad() };
        self.offset = decode_offset(&text[at..])?;
        Ok(self.number_run(&text[..at], mask)? | ZONE)
    }

    fn zone_name(&mut self, text: &str) -> Step {
        self.named = Some(Zone::lookup(text).ok_or_else(|| Stop::Error(not_recognized(text)))?);
        Ok(ZONE)
    }

    fn date_in_time(&mut self, fields: &[(Kind, String)], i: usize) -> Step {
        let text = &fields[i].1;
        let last = fields[fields.len() - 1].0;
        if i == 0 && fields.len() >= 2 && (last == Kind::Date || fields[1].0 == Kind::Time) {
            return self.decode_date(text);
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return self.zone_name(text);
        }
        if self.mask & TIME == TIME {
            return bad();
        }
        self.prefix = None;
        self.time_with_offset(text, self.mask | DATE)
    }

    fn number_in_time(&mut self, fields: &[(Kind, String)], i: usize) -> Step {
        let text = &fields[i].1;
        match text.find('.') {
            Some(_) if i == 0 && fields.len() >= 2 && fields[fields.len() - 1].0 == Kind::Date => {
                self.decode_date(text)
            }
            Some(at) if at > 2 => self.number_run(text, self.mask | DATE),
            Some(_) => bad(),
            None if text.len() > 4 => self.number_run(text, self.mask | DATE),
            None => self.number(text, self.mask | DATE, false),
        }
    }

    fn number_field(&mut self, text: &str) -> Step {
        match text.find('.') {
            Some(_) if self.mask & DATE == 0 => self.decode_date(text),
            Some(at) if at > 2 => self.number_run(text, self.mask),
            _ if text.len() >= 6 && (self.mask & DATE == 0 || self.mask & TIME == 0) => {
                self.number_run(text, self.mask)
            }
            _ => self.number(text, self.mask, self.text_month),
        }
    }

    fn set_julian(&mut self, jd: i64) {
        let (y, m, d) = civil::civil_from_days(jd - civil::JULIAN_1970);
        (self.year, self.month, self.day) = (y, m.into(), d.into());
        self.julian = true;
    }

    /// A number after a unit word (`y2001m02d04`, `J2451187`, `T040506`).
    fn prefixed_number(&mut self, text: &str) -> Step {
        let unit = self.prefix.take().expect("the caller saw a prefix");
        let (v, rest) = leading_int(text)?;
        let decimal = rest.starts_with('.');
        if (decimal && !matches!(unit, Unit::Julian | Unit::Time | Unit::Second)) || (!decimal && !rest.is_empty()) {
            return bad();
        }
        Ok(match unit {
            Unit::Year => set(&mut self.year, v, YEAR),
            Unit::Month if self.mask & (MONTH | HOUR) == (MONTH | HOUR) => set(&mut self.minute, v, MINUTE),
            Unit::Month => set(&mut self.month, v, MONTH),
            Unit::Day => set(&mut self.day, v, DAY),
            Unit::Hour => set(&mut self.hour, v, HOUR),
            Unit::Minute => set(&mut self.minute, v, MINUTE),
            Unit::Second => {
                self.second = v;
                if decimal {
                    self.us = fraction_us(rest)?;
                    SECONDS
                } else {
                    SECOND
                }
            }
            Unit::Julian => {
                if v < 0 {
                    return Err(Fault::Overflow.into());
                }
                self.set_julian(v);
                if decimal {
                    self.set_time((fraction(rest)? * DAY_US as f64) as i64);
                    DATE | TIME
                } else {
                    DATE
                }
            }
            Unit::Time => match self.number_run(text, self.mask | DATE)? {
                TIME => TIME,
                _ => return bad(),
            },
            _ => return bad(),
        })
    }

    fn set_time(&mut self, t: i64) {
        let c = Civil::from_time(t);
        (self.hour, self.minute, self.second) = (c.hour.into(), c.minute.into(), c.second.into());
        self.us = c.us.into();
    }

    /// Local date and time of "now".
    fn now(&self) -> i64 {
        self.settings.zone.to_local(self.settings.now)
    }

    fn set_date(&mut self, days: i64) {
        let (y, m, d) = civil::civil_from_days(days);
        (self.year, self.month, self.day) = (y, m.into(), d.into());
    }

    fn word_field(&mut self, fields: &[(Kind, String)], i: usize) -> Step<Option<u32>> {
        let text = fields[i].1.as_str();
        match abbrev::lookup(text) {
            Some(Abbreviation::Fixed(east)) => {
                self.offset = east.into();
                return Ok(Some(ZONE));
            }
            Some(Abbreviation::Dynamic(name)) => {
                let zone = Zone::lookup(name).ok_or_else(|| Stop::Error(not_recognized(name)))?;
                self.abbreviation = Some((zone, text.to_owned()));
                return Ok(Some(ZONE));
            }
            None => {}
        }
        let Some(word) = lex::word(text) else {
            self.named = Some(Zone::lookup(text).ok_or(Fault::Format)?);
            return Ok(Some(ZONE));
        };
        let seen = match word {
            Word::Ignore => return Ok(None),
            Word::Now | Word::Allballs => self.reserved(word),
            Word::Today | Word::Tomorrow | Word::Yesterday | Word::Epoch | Word::Late | Word::Early
                if !self.time_only =>
            {
                self.reserved(word)
            }
            Word::Month(m) if !self.time_only => {
                let mut seen = MONTH;
                if self.mask & (MONTH | DAY) == MONTH && !self.text_month && (1..=31).contains(&self.month) {
                    self.day = self.month;
                    seen = DAY;
                }
                self.text_month = true;
                self.month = m.into();
                seen
            }
            Word::Dst => {
                self.offset += 3600;
                DTZMOD | DTZ
            }
            Word::Pm(pm) => {
                self.pm = Some(pm);
                AMPM
            }
            Word::Bc(bc) => {
                self.bc = bc;
                ADBC
            }
            Word::Dow if !self.time_only => DOW,
            Word::Unit(u) => {
                self.prefix = Some(u);
                0
            }
            Word::IsoTime => {
                let next = fields.get(i + 1).map(|f| f.0);
                let dated = self.time_only || self.mask & DATE == DATE;
                if !dated || !matches!(next, Some(Kind::Number | Kind::Time | Kind::Date)) {
                    return bad();
                }
                self.prefix = Some(Unit::Time);
                0
            }
            _ => return bad(),
        };
        Ok(Some(seen))
    }

    fn reserved(&mut self, word: Word) -> u32 {
        let day = self.now().div_euclid(DAY_US);
        match word {
            Word::Now => {
                self.set_time(self.now().rem_euclid(DAY_US));
                if self.time_only {
                    return TIME;
                }
                self.set_date(day);
                self.julian = true;
                self.offset = self.settings.zone.offset_at(self.settings.now).into();
                return DATE | TIME | ZONE;
            }
            Word::Allballs => {
                self.set_time(0);
                self.offset = 0;
                return TIME | ZONE;
            }
            Word::Yesterday => self.set_date(day - 1),
            Word::Tomorrow => self.set_date(day + 1),
            Word::Today => self.set_date(day),
            Word::Epoch => self.outcome = Outcome::Epoch,
            Word::Late => self.outcome = Outcome::Late,
            _ => self.outcome = Outcome::Early,
        }
        if matches!(word, Word::Yesterday | Word::Today | Word::Tomorrow) { DATE } else { RESERVED }
    }

    /// A date with separators: PostgreSQL's DecodeDate.
    fn decode_date(&mut self, text: &str) -> Step {
        let b = text.as_bytes();
        let mut parts: Vec<&str> = Vec::new();
        let mut i = 0;
        while i < b.len() {
            while i < b.len() && !b[i].is_ascii_alphanumeric() {
                i += 1;
            }
            let start = i;
            let digits = b.get(i).ok_or(Fault::Format)?.is_ascii_digit();
            while i < b.len() && if digits { b[i].is_ascii_digit() } else { b[i].is_ascii_alphabetic() } {
                i += 1;
            }
            parts.push(&text[start..i]);
            // The separator, whatever it is.
            i += 1;
        }
        let mut mask = self.mask;
        let mut seen = 0;
        let mut text_month = false;
        for part in parts.iter().filter(|p| p.starts_with(|c: char| c.is_ascii_alphabetic())) {
            match lex::word(part) {
                Some(Word::Ignore) => continue,
                Some(Word::Month(m)) if mask & MONTH == 0 => self.month = m.into(),
                _ => return bad(),
            }
            text_month = true;
            mask |= MONTH;
            seen |= MONTH;
        }
        for part in parts.iter().filter(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
            let one = self.number(part, mask, text_month)?;
            if mask & one != 0 {
                return bad();
            }
            mask |= one;
            seen |= one;
        }
        if mask & !(DOY | ZONE) != DATE { bad() } else { Ok(seen) }
    }

    /// `hh:mm[:ss[.fff]]`: PostgreSQL's DecodeTime.
    fn clock(&mut self, text: &str) -> Step<()> {
        let (h, m, s, us) = decode_clock(text)?;
        if !(0..=59).contains(&m) || h < 0 || !(0..=60).contains(&s) || !(0..=1_000_000).contains(&us) {
            return Err(Fault::Overflow.into());
        }
        (self.hour, self.minute, self.second, self.us) = (h, m, s, us);
        Ok(())
    }

    fn time_overflows(&self) -> bool {
        let t = (self.hour * 60 + self.minute) * 60 + self.second;
        !(0..=24).contains(&self.hour)
            || !(0..=59).contains(&self.minute)
            || !(0..=60).contains(&self.second)
            || t * 1_000_000 + self.us > DAY_US
    }

    /// A number whose meaning depends on what is there already: PostgreSQL's DecodeNumber.
    fn number(&mut self, text: &str, mask: u32, text_month: bool) -> Step {
        let (v, rest) = leading_int(text)?;
        let int_len = text.len() - rest.len();
        if int_len == 0 {
            return bad();
        }
        if rest.starts_with('.') {
            if int_len > 2 {
                return self.number_run(text, mask | DATE);
            }
            self.us = fraction_us(rest)?;
        } else if !rest.is_empty() {
            return bad();
        }
        let len = text.len();
        if len == 3 && mask & DATE == YEAR && (1..=366).contains(&v) {
            self.yday = v;
            return Ok(DOY | MONTH | DAY);
        }
        let order = self.settings.order;
        let have = mask & DATE;
        let seen = if have == 0 {
            match order {
                _ if len >= 3 => YEAR,
                DateOrder::Ymd => YEAR,
                DateOrder::Dmy => DAY,
                DateOrder::Mdy => MONTH,
            }
        } else if have == YEAR || have == DAY {
            MONTH
        } else if have == MONTH {
            if text_month && (len >= 3 || order == DateOrder::Ymd) { YEAR } else { DAY }
        } else if have == (YEAR | MONTH) {
            if text_month && len >= 3 && self.two_digits {
                // The first number was the day after all.
                self.day = self.year;
                self.year = v;
                self.two_digits = false;
                return Ok(DAY);
            }
            DAY
        } else if have == (MONTH | DAY) {
            YEAR
        } else if have == DATE {
            return self.number_run(text, mask);
        } else {
            return bad();
        };
        match seen {
            YEAR => {
                self.year = v;
                self.two_digits = len <= 2;
            }
            MONTH => self.month = v,
            _ => self.day = v,
        }
        Ok(seen)
    }

    /// Digits run together: yyyymmdd, yymmdd, hhmmss[.fff], hhmm. PostgreSQL's DecodeNumberField.
    fn number_run(&mut self, text: &str, mask: u32) -> Step {
        let mut digits = text;
        if let Some(at) = text.find('.') {
            self.us = fraction_us(&text[at..])?;
            digits = &text[..at];
        } else if mask & DATE != DATE && text.len() >= 6 {
            let (rest, day) = text.split_at(text.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            (self.year, self.month, self.day) = (atoi(year), atoi(month), atoi(day));
            if self.year > i64::from(i32::MAX) {
                return Err(Fault::Overflow.into());
            }
            self.two_digits |= year.len() == 2;
            return Ok(DATE);
        }
        if mask & TIME != TIME && digits.bytes().all(|b| b.is_ascii_digit()) {
            if digits.len() == 6 {
                (self.hour, self.minute, self.second) = (atoi(&digits[..2]), atoi(&digits[2..4]), atoi(&digits[4..]));
                return Ok(TIME);
            }
            if digits.len() == 4 {
                (self.hour, self.minute, self.second) = (atoi(&digits[..2]), atoi(&digits[2..]), 0);
                return Ok(TIME);
            }
        }
        bad()
    }

    /// PostgreSQL's ValidateDate.
    fn validate(&mut self) -> Step<()> {
        if self.mask & YEAR != 0 && !self.julian {
            if self.two_digits && !self.bc {
                self.year += if self.year < 70 {
                    2000
                } else if self.year < 100 {
                    1900
                } else {
                    0
                };
            } else if self.year <= 0 {
                return Err(Fault::Overflow.into());
            } else if self.bc {
                self.year = 1 - self.year;
            }
        }
        if self.mask & DOY != 0 {
            self.set_date(civil::days_from_civil(self.year, 1, 1) + self.yday - 1);
        }
        if (self.mask & MONTH != 0 && !(1..=12).contains(&self.month))
            || (self.mask & DAY != 0 && !(1..=31).contains(&self.day))
        {
            return Err(Fault::MonthDay.into());
        }
        if self.mask & DATE == DATE && self.day > i64::from(civil::days_in_month(self.year, self.month as u32)) {
            return Err(Fault::Overflow.into());
        }
        Ok(())
    }

    fn apply_half_day(&mut self) -> Step<()> {
        match self.pm {
            Some(_) if self.hour > 12 => Err(Fault::Overflow.into()),
            Some(false) if self.hour == 12 => {
                self.hour = 0;
                Ok(())
            }
            Some(true) if self.hour != 12 => {
                self.hour += 12;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish_date(&mut self) -> Step<()> {
        if self.outcome != Outcome::Fields {
            return Ok(());
        }
        if self.mask & DATE != DATE {
            return bad();
        }
        if self.mask & DTZMOD != 0 && (self.named.is_some() || self.abbreviation.is_some() || self.mask & ZONE == 0) {
            return bad();
        }
        let local = self.local().map_or(i64::MAX - 1, |t| t);
        if let Some(zone) = &self.named {
            self.offset = zone.offset_for_local(local).into();
        } else if let Some((zone, short)) = &self.abbreviation {
            self.offset = zone.offset_for_abbreviation(local, short).into();
        } else if self.mask & ZONE == 0 {
            self.offset = self.settings.zone.offset_for_local(local).into();
        }
        Ok(())
    }

    fn finish_time(&mut self) -> Step<()> {
        if self.time_overflows() {
            return Err(Fault::Overflow.into());
        }
        if self.mask & TIME != TIME {
            return bad();
        }
        // A zone whose offset depends on the date needs one, even though time throws the zone away.
        let needs_date = self.named.as_ref().is_some_and(|z| z.fixed_offset().is_none());
        if needs_date && self.mask & DATE != DATE {
            return bad();
        }
        Ok(())
    }

    fn days(&self) -> i64 {
        civil::days_from_civil(self.year, self.month as u32, self.day as u32)
    }

    fn time(&self) -> i64 {
        ((self.hour * 60 + self.minute) * 60 + self.second) * 1_000_000 + self.us
    }

    /// The local time; `None` when it does not fit.
    fn local(&self) -> Option<i64> {
        self.days().checked_mul(DAY_US)?.checked_add(self.time())
    }
}

fn set(field: &mut i64, v: i64, seen: u32) -> u32 {
    *field = v;
    seen
}

fn out_of_range(what: &str, s: &str) -> Error {
    Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{s}\""))
}

/// date input: days since 1970, or an infinity.
///
/// # Errors
/// `22007`, `22008`, `22009`, `22023` (zone name).
pub fn parse_date(s: &str, settings: &DateTimeSettings) -> Result<i32> {
    match iso::date(s) {
        Some(days) => Ok(days),
        None => decode_date(s, settings),
    }
}

fn decode_date(s: &str, settings: &DateTimeSettings) -> Result<i32> {
    let mut d = Decoder::new(settings, false);
    d.run(s).map_err(|e| e.report(s, "date"))?;
    match d.outcome {
        Outcome::Epoch => Ok(0),
        Outcome::Late => Ok(i32::MAX),
        Outcome::Early => Ok(i32::MIN),
        Outcome::Fields => {
            let days = Some(d.days()).filter(|d| civil::is_valid_date(*d)).and_then(|d| i32::try_from(d).ok());
            days.ok_or_else(|| out_of_range("date", s))
        }
    }
}

/// time input: microseconds since midnight.
///
/// # Errors
/// `22007`, `22008`, `22009`, `22023` (zone name).
pub fn parse_time(s: &str, settings: &DateTimeSettings) -> Result<i64> {
    let mut d = Decoder::new(settings, true);
    d.run(s).map_err(|e| e.report(s, "time"))?;
    Ok(d.time())
}

/// timestamp input (a zone is read and ignored): microseconds since 1970, or an infinity.
///
/// # Errors
/// `22007`, `22008`, `22009`, `22023` (zone name).
pub fn parse_timestamp(s: &str, settings: &DateTimeSettings) -> Result<i64> {
    parse_stamp(s, settings, "timestamp", false)
}

/// timestamptz input: microseconds since 1970 UTC, or an infinity.
///
/// # Errors
/// `22007`, `22008`, `22009`, `22023` (zone name).
pub fn parse_timestamptz(s: &str, settings: &DateTimeSettings) -> Result<i64> {
    parse_stamp(s, settings, "timestamp with time zone", true)
}

fn parse_stamp(s: &str, settings: &DateTimeSettings, type_name: &str, zoned: bool) -> Result<i64> {
    let Some(stamp) = iso::stamp(s) else { return decode_stamp(s, settings, type_name, zoned) };
    if !zoned {
        return Ok(stamp.local);
    }
    let east = stamp.east.unwrap_or_else(|| settings.zone.offset_for_local(stamp.local).into());
    Ok(stamp.local - east * 1_000_000)
}

fn decode_stamp(s: &str, settings: &DateTimeSettings, type_name: &str, zoned: bool) -> Result<i64> {
    let mut d = Decoder::new(settings, false);
    d.run(s).map_err(|e| e.report(s, type_name))?;
    match d.outcome {
        Outcome::Epoch => Ok(0),
        Outcome::Late => Ok(i64::MAX),
        Outcome::Early => Ok(i64::MIN),
        Outcome::Fields => {
            let east = if zoned { d.offset * 1_000_000 } else { 0 };
            let us = i128::from(d.days()) * i128::from(DAY_US) + i128::from(d.time()) - i128::from(east);
            let ts = i64::try_from(us).ok().filter(|t| super::is_valid_timestamp(*t));
            ts.ok_or_else(|| out_of_range("timestamp", s))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_decoder_agrees() {
        let dates = ["0001-01-01", "1969-12-31", "2000-02-29", "1900-02-29", "2024-02-30", "2024-13-01", "9999-12-31"];
        let clocks =
            ["00:00:00", "23:59:59", "12:60:00", "12:00:60", "24:00:00", "2:00:00", "12:34", "12:34:56.", "ab:00:00"];
        let fractions = ["", ".5", ".000001", ".123456", ".1234567"];
        let zones = ["", "Z", "+00", "-03", "+0530", "-11:30", "+14:59", "+15", "+1", " UTC", "z", "+05:3", "PST"];
        for (zone, order) in
            [("UTC", DateOrder::Mdy), ("America/New_York", DateOrder::Dmy), ("Asia/Kolkata", DateOrder::Ymd)]
        {
            let zone = Zone::parse(zone).expect("a known zone");
            let s = DateTimeSettings { zone, order, ..DateTimeSettings::default() };
            for date in dates {
                assert_eq!(parse_date(date, &s).ok(), decode_date(date, &s).ok(), "{date}");
                for (clock, between) in clocks.iter().flat_map(|c| [(c, ' '), (c, 'T')]) {
                    for text in fractions.iter().flat_map(|f| zones.map(|z| format!("{date}{between}{clock}{f}{z}"))) {
                        for zoned in [false, true] {
                            let (fast, slow) =
                                (parse_stamp(&text, &s, "t", zoned), decode_stamp(&text, &s, "t", zoned));
                            assert_eq!(fast.ok(), slow.ok(), "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn relative_words_follow_now_and_zone() {
        let zone = Zone::parse("America/New_York").expect("a known zone");
        // 2024-07-01 02:00 UTC is still 30 June in New York.
        let now = civil::days_from_civil(2024, 7, 1) * DAY_US + 7_200_000_000;
        let s = DateTimeSettings { zone, now, ..DateTimeSettings::default() };
        let june = civil::days_from_civil(2024, 6, 30);
        let day = |w| parse_date(w, &s).map(i64::from).ok();
        assert_eq!(day("today"), Some(june));
        assert_eq!(day("now"), Some(june));
        assert_eq!(day("tomorrow"), Some(june + 1));
        assert_eq!(day("yesterday"), Some(june - 1));
        assert_eq!(parse_timestamptz("now", &s).ok(), Some(now));
        assert_eq!(parse_timestamp("now", &s).ok(), Some(now - 4 * civil::HOUR_US));
        assert_eq!(parse_timestamptz("today", &s).ok(), Some(june * DAY_US + 4 * civil::HOUR_US));
        assert_eq!(parse_timestamp("tomorrow 12:00", &s).ok(), Some((june + 1) * DAY_US + 12 * civil::HOUR_US));
        assert_eq!(parse_time("now", &s).ok(), Some(22 * civil::HOUR_US));
        assert_eq!(parse_timestamptz("today allballs", &s).ok(), Some(june * DAY_US));
    }
}
