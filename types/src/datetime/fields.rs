//! extract and date_trunc, with PostgreSQL 15's units, scales, refusals and treatment of infinities.

use super::civil::{self, Civil, DAY_US};
use super::lex::{self, Delta, Unit, Word};
use super::zone::Zone;
use crate::{Error, Interval, Numeric, Result, SqlState};

/// A field or unit as extract and date_trunc name it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Unit(Unit),
    Epoch,
    ZoneHour,
    ZoneMinute,
}

fn field(name: &str, type_name: &str) -> Result<Field> {
    let lower = name.to_ascii_lowercase();
    match (lex::delta(&lower), lex::word(&lower)) {
        (Some(Delta::Unit(Unit::Zone)), _) if lower.starts_with("timezone_h") => Ok(Field::ZoneHour),
        (Some(Delta::Unit(Unit::Zone)), _) if lower.starts_with("timezone_m") => Ok(Field::ZoneMinute),
        (Some(Delta::Unit(u)), _) | (None, Some(Word::Unit(u))) => Ok(Field::Unit(u)),
        (None, Some(Word::Epoch)) => Ok(Field::Epoch),
        _ => Err(unrecognized(name, type_name)),
    }
}

fn unrecognized(name: &str, type_name: &str) -> Error {
    let message = format!("unit \"{name}\" not recognized for type {type_name}");
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn unsupported(name: &str, type_name: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("unit \"{name}\" not supported for type {type_name}"))
}

const TIMESTAMP: &str = "timestamp without time zone";
const TIMESTAMPTZ: &str = "timestamp with time zone";

fn int(v: i64) -> Numeric {
    Numeric::from_i64(v)
}

/// Year as SQL counts: there is no year 0.
fn sql_year(y: i64) -> i64 {
    if y > 0 { y } else { y - 1 }
}

fn decade(y: i64) -> i64 {
    if y >= 0 { y / 10 } else { -((8 - (y - 1)) / 10) }
}

/// Century (`n` = 100) or millennium (`n` = 1000).
fn hundreds(y: i64, n: i64) -> i64 {
    if y > 0 { (y + n - 1) / n } else { -((n - 1 - (y - 1)) / n) }
}

/// What the infinities answer: an infinity for what grows for ever, NULL for what comes round.
fn infinite(f: Field, positive: bool) -> Result<Option<Numeric>> {
    use Unit::{Century, Decade, IsoYear, Julian, Millennium, Year};
    let grows = matches!(f, Field::Epoch | Field::Unit(Year | Decade | Century | Millennium | Julian | IsoYear));
    if !grows {
        return Ok(None);
    }
    Numeric::parse(if positive { "Infinity" } else { "-Infinity" }).map(Some)
}

/// Fields of a date; `None` when the field needs a clock.
fn date_field(f: Field, days: i64) -> Option<i64> {
    let (y, m, d) = civil::civil_from_days(days);
    let Field::Unit(unit) = f else { return None };
    Some(match unit {
        Unit::Day => d.into(),
        Unit::Month => m.into(),
        Unit::Quarter => i64::from(m - 1) / 3 + 1,
        Unit::Week => civil::iso_week(days).1.into(),
        Unit::Year => sql_year(y),
        Unit::Decade => decade(y),
        Unit::Century => hundreds(y, 100),
        Unit::Millennium => hundreds(y, 1000),
        Unit::Julian => civil::julian_day(days),
        Unit::IsoYear => sql_year(civil::iso_week(days).0),
        Unit::Dow => civil::day_of_week(days).into(),
        Unit::IsoDow => i64::from(civil::day_of_week(days) + 6) % 7 + 1,
        Unit::Doy => civil::day_of_year(y, m, d),
        _ => return None,
    })
}

/// Fields of a clock; `None` for others.
fn clock_field(f: Field, time: i64) -> Option<Numeric> {
    let Field::Unit(unit) = f else { return None };
    Some(match unit {
        Unit::Microsecond => int(time % 60_000_000),
        Unit::Millisecond => Numeric::from_parts((time % 60_000_000).into(), 3),
        Unit::Second => Numeric::from_parts((time % 60_000_000).into(), 6),
        Unit::Minute => int(time / 60_000_000 % 60),
        Unit::Hour => int(time / 3_600_000_000),
        _ => return None,
    })
}

/// The Julian date with its fraction of a day.
fn julian(ts: i64) -> Result<Numeric> {
    let days = int(civil::julian_day(ts.div_euclid(DAY_US)));
    days.add(&int(ts.rem_euclid(DAY_US)).div(&int(DAY_US))?)
}

fn extract_local(name: &str, f: Field, local: i64, type_name: &str) -> Result<Numeric> {
    if f == Field::Unit(Unit::Julian) {
        return julian(local);
    }
    clock_field(f, local.rem_euclid(DAY_US))
        .or_else(|| date_field(f, local.div_euclid(DAY_US)).map(int))
        .ok_or_else(|| unsupported(name, type_name))
}

/// extract(field from timestamp); `None` is NULL.
///
/// # Errors
/// `22023` unknown field, `0A000` a field that the type does not have.
pub fn extract_timestamp(name: &str, ts: i64) -> Result<Option<Numeric>> {
    let f = field(name, TIMESTAMP)?;
    if ts == i64::MAX || ts == i64::MIN {
        return infinite(f, ts > 0);
    }
    match f {
        Field::Epoch => Ok(Some(Numeric::from_parts(ts.into(), 6))),
        f => extract_local(name, f, ts, TIMESTAMP).map(Some),
    }
}

/// extract(field from timestamptz), in local time; `None` is NULL.
///
/// # Errors
/// `22023` unknown field, `0A000` a field that the type does not have.
pub fn extract_timestamptz(name: &str, ts: i64, zone: &Zone) -> Result<Option<Numeric>> {
    let f = field(name, TIMESTAMPTZ)?;
    if ts == i64::MAX || ts == i64::MIN {
        return infinite(f, ts > 0);
    }
    let east = i64::from(zone.offset_at(ts));
    Ok(Some(match f {
        Field::Epoch => Numeric::from_parts(ts.into(), 6),
        Field::Unit(Unit::Zone) => int(east),
        Field::ZoneHour => int(east / 3600),
        Field::ZoneMinute => int(east / 60 % 60),
        f => extract_local(name, f, zone.to_local(ts), TIMESTAMPTZ)?,
    }))
}

/// extract(field from date); `None` is NULL.
///
/// # Errors
/// `22023` unknown field, `0A000` a field that the type does not have.
pub fn extract_date(name: &str, date: i32) -> Result<Option<Numeric>> {
    let f = field(name, "date")?;
    if date_field(f, 0).is_none() && f != Field::Epoch {
        return Err(unsupported(name, "date"));
    }
    if date == i32::MAX || date == i32::MIN {
        return infinite(f, date > 0);
    }
    Ok(Some(match f {
        Field::Epoch => int(i64::from(date) * 86_400),
        f => int(date_field(f, date.into()).ok_or_else(|| unsupported(name, "date"))?),
    }))
}

/// extract(field from time).
///
/// # Errors
/// `22023` unknown field, `0A000` a field that the type does not have.
pub fn extract_time(name: &str, t: i64) -> Result<Numeric> {
    const TYPE: &str = "time without time zone";
    match field(name, TYPE)? {
        Field::Epoch => Ok(Numeric::from_parts(t.into(), 6)),
        f => clock_field(f, t).ok_or_else(|| unsupported(name, TYPE)),
    }
}

/// extract(field from interval).
///
/// # Errors
/// `22023` unknown field, `0A000` a field that the type does not have.
pub fn extract_interval(name: &str, i: Interval) -> Result<Numeric> {
    let years = i64::from(i.months) / 12;
    let f = field(name, "interval")?;
    if f == Field::Epoch {
        // A year is 365.25 days here, a month 30.
        let seconds = years * 31_557_600 + i64::from(i.months) % 12 * 2_592_000 + i64::from(i.days) * 86_400;
        return Ok(Numeric::from_parts(i128::from(seconds) * 1_000_000 + i128::from(i.us), 6));
    }
    if let Some(v) = clock_field(f, i.us) {
        return Ok(v);
    }
    let Field::Unit(unit) = f else { return Err(unsupported(name, "interval")) };
    Ok(int(match unit {
        Unit::Day => i.days.into(),
        Unit::Month => i64::from(i.months) % 12,
        Unit::Quarter => i64::from(i.months) % 12 / 3 + 1,
        Unit::Year => years,
        Unit::Decade => years / 10,
        Unit::Century => years / 100,
        Unit::Millennium => years / 1000,
        _ => return Err(unsupported(name, "interval")),
    }))
}

/// The unit of date_trunc, which only knows interval's words.
fn trunc_unit(name: &str, type_name: &str) -> Result<Unit> {
    match lex::delta(&name.to_ascii_lowercase()) {
        Some(Delta::Unit(Unit::Zone)) => Err(unsupported(name, type_name)),
        Some(Delta::Unit(u)) => Ok(u),
        _ => Err(unrecognized(name, type_name)),
    }
}

/// The length of the units that divide a day.
fn clock_unit(unit: Unit) -> Option<i64> {
    Some(match unit {
        Unit::Microsecond => 1,
        Unit::Millisecond => 1_000,
        Unit::Second => 1_000_000,
        Unit::Minute => 60_000_000,
        Unit::Hour => 3_600_000_000,
        _ => return None,
    })
}

/// Length and one start (microseconds of local time) of what date_trunc cuts to when all such pieces are equally long: weeks and
/// shorter ones. None for others and for words that are no unit.
pub fn fixed_unit(name: &str) -> Option<(i64, i64)> {
    /// 1970-01-05
    const MONDAY_US: i64 = 4 * DAY_US;
    match trunc_unit(name, TIMESTAMP).ok()? {
        Unit::Day => Some((DAY_US, 0)),
        Unit::Week => Some((7 * DAY_US, MONDAY_US)),
        unit => clock_unit(unit).map(|length| (length, 0)),
    }
}

fn trunc_local(unit: Unit, ts: i64) -> Result<i64> {
    if let Some(len) = clock_unit(unit) {
        return Ok(ts - ts.rem_euclid(len));
    }
    let days = ts.div_euclid(DAY_US);
    let c = Civil::from_timestamp(ts);
    let y = c.year;
    let first = |y: i64| civil::days_from_civil(y, 1, 1);
    let start = match unit {
        Unit::Day => days,
        Unit::Week => days - (i64::from(civil::day_of_week(days)) + 6) % 7,
        Unit::Month => civil::days_from_civil(y, c.month, 1),
        Unit::Quarter => civil::days_from_civil(y, (c.month - 1) / 3 * 3 + 1, 1),
        Unit::Year => first(y),
        Unit::Decade if y > 0 => first(y / 10 * 10),
        Unit::Decade => first(-((8 - (y - 1)) / 10) * 10),
        Unit::Century if y > 0 => first((y + 99) / 100 * 100 - 99),
        Unit::Century => first(-((99 - (y - 1)) / 100) * 100 + 1),
        _ if y > 0 => first((y + 999) / 1000 * 1000 - 999),
        _ => first(-((999 - (y - 1)) / 1000) * 1000 + 1),
    };
    start
        .checked_mul(DAY_US)
        .filter(|t| civil::is_valid_timestamp(*t))
        .ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}

/// date_trunc(unit, timestamp).
///
/// # Errors
/// `22023` unknown unit, `0A000` a unit one cannot truncate to, `22008`.
pub fn trunc_timestamp(name: &str, ts: i64) -> Result<i64> {
    if ts == i64::MAX || ts == i64::MIN {
        return Ok(ts);
    }
    trunc_local(trunc_unit(name, TIMESTAMP)?, ts)
}

/// date_trunc(unit, timestamptz[, zone]): truncates local time; from days on the offset is found anew.
///
/// # Errors
/// `22023` unknown unit, `0A000` a unit one cannot truncate to, `22008`.
pub fn trunc_timestamptz(name: &str, ts: i64, zone: &Zone) -> Result<i64> {
    if ts == i64::MAX || ts == i64::MIN {
        return Ok(ts);
    }
    let unit = trunc_unit(name, TIMESTAMPTZ)?;
    let local = zone.to_local(ts);
    let start = trunc_local(unit, local)?;
    if clock_unit(unit).is_some() {
        return Ok(ts - (local - start));
    }
    zone.to_utc(start).ok_or_else(|| Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range"))
}

/// date_trunc(unit, interval).
///
/// # Errors
/// `22023` unknown unit, `0A000` a unit one cannot truncate to.
pub fn trunc_interval(name: &str, i: Interval) -> Result<Interval> {
    let unit = trunc_unit(name, "interval")?;
    if let Some(len) = clock_unit(unit) {
        return Ok(Interval { us: i.us - i.us % len, ..i });
    }
    let months = match unit {
        Unit::Day => return Ok(Interval { us: 0, ..i }),
        Unit::Week => {
            return Err(unsupported(name, "interval").detail("Months usually have fractional weeks."));
        }
        Unit::Month => 1,
        Unit::Quarter => 3,
        Unit::Year => 12,
        Unit::Decade => 120,
        Unit::Century => 1200,
        _ => 12_000,
    };
    Ok(Interval { months: i.months - i.months % months, days: 0, us: 0 })
}
