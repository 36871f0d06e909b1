//! Interval input: PostgreSQL 15's DecodeInterval and DecodeISO8601Interval.

use super::IntervalStyle;
use super::lex::{self, Delta, Fault, Kind, Unit};
use super::parts::{Stop, decode_clock, fraction, leading_int};
use super::round::{DAY_BIT, HOUR_BIT, MINUTE_BIT, MONTH_BIT, SECOND_BIT, YEAR_BIT, interval_range, round_interval};
use crate::{Error, Interval, Result, SqlState};

/// interval input in any style; `typmod` says which field a bare number is and how to round (-1: none).
///
/// # Errors
/// `22007`, `22015` `interval field value out of range`, `22008`.
pub fn parse_interval(s: &str, style: IntervalStyle, typmod: i32) -> Result<Interval> {
    let range = interval_range(typmod);
    let decoded = lex::split(s).and_then(|fields| decode(&fields, range, style));
    let decoded = match decoded {
        Err(Fault::Format) => decode_iso(s),
        other => other,
    };
    let parts = decoded.map_err(|f| match f {
        Fault::Overflow | Fault::MonthDay => {
            Error::new(SqlState::INTERVAL_FIELD_OVERFLOW, format!("interval field value out of range: \"{s}\""))
        }
        f => Stop::Fault(f).report(s, "interval"),
    })?;
    let months = i64::from(parts.years) * 12 + i64::from(parts.months);
    let months =
        i32::try_from(months).map_err(|_| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
    round_interval(Interval { months, days: parts.days, us: parts.us }, typmod)
}

/// The sums of what was read.
#[derive(Default)]
struct Parts {
    years: i32,
    months: i32,
    days: i32,
    us: i64,
}

type Step<T = ()> = std::result::Result<T, Fault>;

fn small(v: i64) -> Step<i32> {
    i32::try_from(v).map_err(|_| Fault::Overflow)
}

impl Parts {
    fn add_years(&mut self, v: i64, scale: i32, fraction: f64) -> Step {
        let years = small(v)?.checked_mul(scale).and_then(|y| self.years.checked_add(y));
        self.years = years.ok_or(Fault::Overflow)?;
        self.add_months((fraction * f64::from(scale) * 12.0).round_ties_even() as i64, 0.0)
    }

    fn add_months(&mut self, v: i64, fraction: f64) -> Step {
        self.months = self.months.checked_add(small(v)?).ok_or(Fault::Overflow)?;
        self.add_fraction_of_days(fraction, 30.0)
    }

    fn add_days(&mut self, v: i64, scale: i32) -> Step {
        let days = small(v)?.checked_mul(scale).and_then(|d| self.days.checked_add(d));
        self.days = days.ok_or(Fault::Overflow)?;
        Ok(())
    }

    fn add_fraction_of_days(&mut self, fraction: f64, scale: f64) -> Step {
        if fraction == 0.0 {
            return Ok(());
        }
        let days = (fraction * scale).trunc();
        self.add_days(days as i64, 1)?;
        self.add_fraction(fraction * scale - days, 86_400_000_000.0)
    }

    /// Rounds half toward zero, as PostgreSQL does here.
    fn add_fraction(&mut self, fraction: f64, scale: f64) -> Step {
        if fraction == 0.0 {
            return Ok(());
        }
        let scaled = fraction * scale;
        let mut us = scaled.trunc() as i64;
        let rest = scaled - us as f64;
        us += i64::from(rest > 0.5) - i64::from(rest < -0.5);
        self.us = self.us.checked_add(us).ok_or(Fault::Overflow)?;
        Ok(())
    }

    fn add_us(&mut self, v: i64, fraction: f64, scale: i64) -> Step {
        let us = v.checked_mul(scale).and_then(|u| self.us.checked_add(u));
        self.us = us.ok_or(Fault::Overflow)?;
        self.add_fraction(fraction, scale as f64)
    }

    fn add(&mut self, unit: Unit, v: i64, f: f64) -> Step {
        match unit {
            Unit::Microsecond => self.add_us(v, f, 1),
            Unit::Millisecond => self.add_us(v, f, 1000),
            Unit::Second => self.add_us(v, f, 1_000_000),
            Unit::Minute => self.add_us(v, f, 60_000_000),
            Unit::Hour => self.add_us(v, f, 3_600_000_000),
            Unit::Day => {
                self.add_days(v, 1)?;
                self.add_fraction(f, 86_400_000_000.0)
            }
            Unit::Week => {
                self.add_days(v, 7)?;
                self.add_fraction_of_days(f, 7.0)
            }
            Unit::Month => self.add_months(v, f),
            Unit::Year => self.add_years(v, 1, f),
            Unit::Decade => self.add_years(v, 10, f),
            Unit::Century => self.add_years(v, 100, f),
            Unit::Millennium => self.add_years(v, 1000, f),
            _ => Err(Fault::Format),
        }
    }

    fn negate(&mut self) -> Step {
        let neg = |v: i32| v.checked_neg().ok_or(Fault::Overflow);
        self.us = self.us.checked_neg().ok_or(Fault::Overflow)?;
        (self.years, self.months, self.days) = (neg(self.years)?, neg(self.months)?, neg(self.days)?);
        Ok(())
    }
}

/// One bit per unit that may occur once; a second with a fraction takes the smaller ones too.
fn mask_of(unit: Unit, with_fraction: bool) -> u32 {
    match unit {
        Unit::Second if with_fraction => mask_of(Unit::Second, false) | 1 | 2,
        Unit::Microsecond => 1,
        Unit::Millisecond => 2,
        unit => 4 << unit as u32,
    }
}

fn clock_mask() -> u32 {
    mask_of(Unit::Hour, false) | mask_of(Unit::Minute, false) | mask_of(Unit::Second, true)
}

/// What a number without a unit is, by the interval's declared fields.
fn default_unit(range: i32) -> Unit {
    const YEAR_MONTH: i32 = YEAR_BIT | MONTH_BIT;
    const DAY_HOUR: i32 = DAY_BIT | HOUR_BIT;
    const HOUR_MINUTE: i32 = HOUR_BIT | MINUTE_BIT;
    const DAY_MINUTE: i32 = DAY_BIT | HOUR_BIT | MINUTE_BIT;
    match range {
        YEAR_BIT => Unit::Year,
        MONTH_BIT | YEAR_MONTH => Unit::Month,
        DAY_BIT => Unit::Day,
        HOUR_BIT | DAY_HOUR => Unit::Hour,
        MINUTE_BIT | HOUR_MINUTE | DAY_MINUTE => Unit::Minute,
        _ => Unit::Second,
    }
}

/// Reads right to left, so that a unit is known before its number.
fn decode(fields: &[(Kind, String)], range: i32, style: IntervalStyle) -> Step<Parts> {
    let signed = |f: &(Kind, String)| f.1.starts_with(['-', '+']);
    let all_negative = style == IntervalStyle::SqlStandard
        && fields.first().is_some_and(|f| f.1.starts_with('-'))
        && !fields[1..].iter().any(signed);
    let mut parts = Parts::default();
    let (mut mask, mut unit, mut ago) = (0u32, None, false);
    for (kind, text) in fields.iter().rev() {
        let seen = match kind {
            Kind::Time => {
                parts.us = clock_us(text, range)?;
                if all_negative {
                    parts.us = -parts.us.abs();
                }
                unit = Some(Unit::Day);
                clock_mask()
            }
            Kind::Tz if text[1..].contains(':') && clock_us(&text[1..], range).is_ok() => {
                let us = clock_us(&text[1..], range)?;
                parts.us = if text.starts_with('-') || all_negative { -us } else { us };
                unit = Some(Unit::Day);
                clock_mask()
            }
            Kind::Tz | Kind::Date | Kind::Number => {
                let (u, v, f) = decode_number(text, unit.unwrap_or_else(|| default_unit(range)))?;
                let (v, f) = if all_negative { (-v.abs(), -f.abs()) } else { (v, f) };
                parts.add(u, v, f)?;
                unit = Some(if u == Unit::Hour { Unit::Day } else { u });
                mask_of(u, f != 0.0)
            }
            Kind::Str | Kind::Special => {
                match lex::delta(text).ok_or(Fault::Format)? {
                    Delta::Ignore => {}
                    Delta::Ago => {
                        ago = true;
                        unit = None;
                    }
                    Delta::Unit(u) => unit = Some(u),
                }
                0
            }
        };
        if mask & seen != 0 {
            return Err(Fault::Format);
        }
        mask |= seen;
    }
    if mask == 0 {
        return Err(Fault::Format);
    }
    if ago {
        parts.negate()?;
    }
    Ok(parts)
}

/// The unit, integer part and fraction of a number field; `1-2` is years and months.
fn decode_number(text: &str, unit: Unit) -> Step<(Unit, i64, f64)> {
    let negative = text.starts_with('-');
    let (v, rest) = leading_i64(text)?;
    if let Some(tail) = rest.strip_prefix('-') {
        let (m, rest) = leading_int(tail)?;
        if !(0..12).contains(&m) {
            return Err(Fault::Overflow);
        }
        if !rest.is_empty() {
            return Err(Fault::Format);
        }
        let m = if negative { -m } else { m };
        let months = v.checked_mul(12).and_then(|v| v.checked_add(m)).ok_or(Fault::Overflow)?;
        return Ok((Unit::Month, months, 0.0));
    }
    if rest.is_empty() {
        return Ok((unit, v, 0.0));
    }
    if !rest.starts_with('.') {
        return Err(Fault::Format);
    }
    let f = fraction(rest)?;
    Ok((unit, v, if negative { -f } else { f }))
}

/// Digits with sign at the start as i64, and what follows.
fn leading_i64(s: &str) -> Step<(i64, &str)> {
    let sign = usize::from(s.starts_with(['-', '+']));
    let len = sign + s[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if len == sign {
        return Ok((0, &s[sign..]));
    }
    Ok((s[..len].parse().map_err(|_| Fault::Overflow)?, &s[len..]))
}

/// `hh:mm[:ss[.fff]]` in microseconds; hours are not bounded by a day.
fn clock_us(text: &str, range: i32) -> Step<i64> {
    let (big, rest) = leading_i64(text)?;
    let mut hours = big;
    // The common decoder reads minutes and seconds; hours may need 64 bits.
    let (h, mut m, mut s, us) = decode_clock(&format!("0{rest}"))?;
    debug_assert_eq!(h, 0);
    let dots_only = rest.matches(':').count() == 1;
    if dots_only && (rest.contains('.') || range == MINUTE_BIT | SECOND_BIT) {
        // mm:ss
        if !rest.contains('.') {
            s = m;
        }
        m = hours;
        hours = 0;
    }
    if hours < 0 || !(0..=59).contains(&m) || !(0..=60).contains(&s) || !(0..=1_000_000).contains(&us) {
        return Err(Fault::Overflow);
    }
    let small = (m * 60 + s) * 1_000_000 + us;
    hours.checked_mul(3_600_000_000).and_then(|u| u.checked_add(small)).ok_or(Fault::Overflow)
}

/// A number of the ISO form: its integer part, fraction (same sign) and what follows.
fn iso_number(s: &str) -> Step<(i64, f64, &str)> {
    if !s.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') {
        return Err(Fault::Format);
    }
    let (v, rest) = leading_i64(s)?;
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let len = rest.strip_prefix('.').map_or(0, |tail| 1 + digits(tail));
    let head = s.len() - rest.len() + len;
    if !s[..head].bytes().any(|b| b.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    let f = if len == 0 { 0.0 } else { fraction(&rest[..len])? };
    Ok((v, if s.starts_with('-') { -f } else { f }, &rest[len..]))
}

fn iso_width(s: &str) -> usize {
    s.strip_prefix('-').unwrap_or(s).bytes().take_while(u8::is_ascii_digit).count()
}

/// `P1Y2M3DT4H5M6S`, `P0001-02-03T04:05:06`, `P00010203T040506`.
fn decode_iso(s: &str) -> Step<Parts> {
    let mut parts = Parts::default();
    let mut rest = s.strip_prefix('P').filter(|r| !r.is_empty()).ok_or(Fault::Format)?;
    let (mut date, mut have) = (true, false);
    while !rest.is_empty() {
        if let Some(r) = rest.strip_prefix('T') {
            (date, have, rest) = (false, false, r);
            continue;
        }
        let width = iso_width(rest);
        let (v, f, after) = iso_number(rest)?;
        let designator = after.chars().next();
        rest = designator.map_or("", |c| &after[c.len_utf8()..]);
        let unit = match (date, designator) {
            (true, Some('Y')) => Unit::Year,
            (true, Some('M')) => Unit::Month,
            (true, Some('W')) => Unit::Week,
            (true, Some('D')) => Unit::Day,
            (false, Some('H')) => Unit::Hour,
            (false, Some('M')) => Unit::Minute,
            (false, Some('S')) => Unit::Second,
            (true, None | Some('T')) if width == 8 && !have => {
                parts.add(Unit::Year, v / 10_000, 0.0)?;
                parts.add(Unit::Month, v / 100 % 100, 0.0)?;
                parts.add(Unit::Day, v % 100, f)?;
                (date, have) = (false, false);
                continue;
            }
            (false, None) if width == 6 && !have => {
                parts.add(Unit::Hour, v / 10_000, 0.0)?;
                parts.add(Unit::Minute, v / 100 % 100, 0.0)?;
                parts.add(Unit::Second, v % 100, f)?;
                return Ok(parts);
            }
            (true, None | Some('T' | '-')) if !have => {
                rest = iso_extended(&mut parts, [Unit::Year, Unit::Month, Unit::Day], '-', (v, f), after)?;
                (date, have) = (false, false);
                continue;
            }
            (false, None | Some(':')) if !have => {
                let end = iso_extended(&mut parts, [Unit::Hour, Unit::Minute, Unit::Second], ':', (v, f), after)?;
                return if end.is_empty() { Ok(parts) } else { Err(Fault::Format) };
            }
            _ => return Err(Fault::Format),
        };
        parts.add(unit, v, f)?;
        have = true;
    }
    Ok(parts)
}

/// The rest of `y-m-d` or `h:m:s` after its first number; returns what follows (a `T` is taken).
fn iso_extended<'a>(
    parts: &mut Parts,
    units: [Unit; 3],
    sep: char,
    first: (i64, f64),
    after: &'a str,
) -> Step<&'a str> {
    parts.add(units[0], first.0, first.1)?;
    let mut rest = after;
    for unit in &units[1..] {
        match rest.strip_prefix(sep) {
            Some(r) => {
                let (v, f, next) = iso_number(r)?;
                parts.add(*unit, v, f)?;
                rest = next;
            }
            None => break,
        }
    }
    match rest.strip_prefix('T') {
        Some(r) if sep == '-' => Ok(r),
        _ if rest.is_empty() => Ok(rest),
        _ => Err(Fault::Format),
    }
}
