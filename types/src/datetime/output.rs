//! Dates, times and timestamps as text, by DateStyle.

use super::civil::{Civil, DAY_US, civil_from_days, day_of_week};
use super::{DateFormat, DateOrder, DateTimeSettings};
use crate::text::push_int;
use crate::text::{push_2, push_padded};

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Appends a date.
pub fn format_date(out: &mut Vec<u8>, days: i32, s: &DateTimeSettings) {
    if days == i32::MAX || days == i32::MIN {
        return push_infinity(out, days > 0);
    }
    let (y, m, d) = civil_from_days(days.into());
    let dmy = s.order == DateOrder::Dmy;
    match s.format {
        DateFormat::Iso => push_ymd(out, y, m, d),
        DateFormat::Sql => push_mdy(out, y, m, d, b'/', dmy),
        DateFormat::German => push_mdy(out, y, m, d, b'.', true),
        DateFormat::Postgres => push_mdy(out, y, m, d, b'-', dmy),
    }
    push_bc(out, y);
}

/// Appends a time of day.
pub fn format_time(out: &mut Vec<u8>, t: i64) {
    push_clock(out, &Civil::from_time(t));
}

/// Appends a timestamp without zone.
pub fn format_timestamp(out: &mut Vec<u8>, ts: i64, s: &DateTimeSettings) {
    push_timestamp(out, ts, s, None);
}

/// Appends a timestamptz in the session's zone.
pub fn format_timestamptz(out: &mut Vec<u8>, ts: i64, s: &DateTimeSettings) {
    if ts == i64::MAX || ts == i64::MIN {
        return push_infinity(out, ts > 0);
    }
    let east = s.zone.offset_at(ts);
    // The ends of the range may leave i64 by the offset: the fields are computed apart from the day then.
    let local = i128::from(ts) + i128::from(east) * 1_000_000;
    let days = local.div_euclid(DAY_US.into()) as i64;
    let (year, month, day) = civil_from_days(days);
    let c = Civil { year, month, day, ..Civil::from_time(local.rem_euclid(DAY_US.into()) as i64) };
    push_civil(out, &c, s, Some((ts, east)));
}

fn push_timestamp(out: &mut Vec<u8>, ts: i64, s: &DateTimeSettings, zone: Option<(i64, i32)>) {
    if ts == i64::MAX || ts == i64::MIN {
        return push_infinity(out, ts > 0);
    }
    push_civil(out, &Civil::from_timestamp(ts), s, zone);
}

fn push_civil(out: &mut Vec<u8>, c: &Civil, s: &DateTimeSettings, zone: Option<(i64, i32)>) {
    let dmy = s.order == DateOrder::Dmy;
    match s.format {
        DateFormat::Iso => push_ymd(out, c.year, c.month, c.day),
        DateFormat::Sql => push_mdy(out, c.year, c.month, c.day, b'/', dmy),
        DateFormat::German => push_mdy(out, c.year, c.month, c.day, b'.', true),
        DateFormat::Postgres => {
            out.extend_from_slice(DAYS[day_of_week(c.days()) as usize].as_bytes());
            out.push(b' ');
            let month = MONTHS[c.month as usize - 1].as_bytes();
            if dmy {
                push_2(out, c.day);
                out.push(b' ');
                out.extend_from_slice(month);
            } else {
                out.extend_from_slice(month);
                out.push(b' ');
                push_2(out, c.day);
            }
        }
    }
    out.push(b' ');
    push_clock(out, c);
    if s.format == DateFormat::Postgres {
        out.push(b' ');
        push_padded(out, year_of_era(c.year), 4);
    }
    match zone {
        None => {}
        Some((_, east)) if s.format == DateFormat::Iso => push_offset(out, east),
        Some((ts, east)) => {
            let short = s.zone.abbreviation_at(ts);
            if short.is_empty() {
                push_offset(out, east);
            } else {
                out.push(b' ');
                out.extend_from_slice(&short.as_bytes()[..short.floor_char_boundary(10)]);
            }
        }
    }
    push_bc(out, c.year);
}

fn push_infinity(out: &mut Vec<u8>, positive: bool) {
    out.extend_from_slice(if positive { b"infinity" } else { b"-infinity" });
}

fn year_of_era(y: i64) -> u64 {
    if y > 0 { y as u64 } else { (1 - y) as u64 }
}

fn push_bc(out: &mut Vec<u8>, y: i64) {
    if y <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn push_ymd(out: &mut Vec<u8>, y: i64, m: u32, d: u32) {
    push_padded(out, year_of_era(y), 4);
    out.push(b'-');
    push_2(out, m);
    out.push(b'-');
    push_2(out, d);
}

fn push_mdy(out: &mut Vec<u8>, y: i64, m: u32, d: u32, sep: u8, dmy: bool) {
    let (first, second) = if dmy { (d, m) } else { (m, d) };
    push_2(out, first);
    out.push(sep);
    push_2(out, second);
    out.push(sep);
    push_padded(out, year_of_era(y), 4);
}

fn push_clock(out: &mut Vec<u8>, c: &Civil) {
    push_2(out, c.hour);
    out.push(b':');
    push_2(out, c.minute);
    out.push(b':');
    push_2(out, c.second);
    push_fraction(out, c.us);
}

/// `.ffffff` without trailing zeros; nothing for zero.
pub(super) fn push_fraction(out: &mut Vec<u8>, us: u32) {
    if us == 0 {
        return;
    }
    out.push(b'.');
    push_padded(out, us.into(), 6);
    while out.last() == Some(&b'0') {
        out.pop();
    }
}

/// `+hh[:mm[:ss]]`
pub(super) fn push_offset(out: &mut Vec<u8>, east: i32) {
    out.push(if east < 0 { b'-' } else { b'+' });
    let a = east.unsigned_abs();
    if a / 3600 < 100 {
        push_2(out, a / 3600)
    } else {
        push_int(out, (a / 3600).into())
    }
    if !a.is_multiple_of(3600) {
        out.push(b':');
        push_2(out, a / 60 % 60);
        if !a.is_multiple_of(60) {
            out.push(b':');
            push_2(out, a % 60);
        }
    }
}
