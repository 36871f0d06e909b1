//! Intervals as text, by IntervalStyle: PostgreSQL's EncodeInterval.

use super::IntervalStyle;
use super::output::push_fraction;
use crate::Interval;
use crate::text::{push_2, push_int, push_padded};

struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    us: i64,
}

impl Parts {
    fn of(i: Interval) -> Self {
        Self {
            year: i64::from(i.months) / 12,
            month: i64::from(i.months) % 12,
            day: i.days.into(),
            hour: i.us / 3_600_000_000,
            minute: i.us / 60_000_000 % 60,
            second: i.us / 1_000_000 % 60,
            us: i.us % 1_000_000,
        }
    }

    /// `ss[.ffffff]` without sign.
    fn push_seconds(&self, out: &mut Vec<u8>, two_digits: bool) {
        if two_digits {
            push_2(out, self.second.unsigned_abs() as u32)
        } else {
            push_int(out, self.second.abs())
        }
        push_fraction(out, self.us.unsigned_abs() as u32);
    }

    /// `:mm:ss[.ffffff]`
    fn push_tail(&self, out: &mut Vec<u8>) {
        out.push(b':');
        push_2(out, self.minute.unsigned_abs() as u32);
        out.push(b':');
        self.push_seconds(out, true);
    }
}

/// Appends an interval.
pub fn format_interval(out: &mut Vec<u8>, i: Interval, style: IntervalStyle) {
    match style {
        IntervalStyle::Postgres => postgres(out, i),
        IntervalStyle::PostgresVerbose => verbose(out, &Parts::of(i)),
        IntervalStyle::SqlStandard => sql_standard(out, i),
        IntervalStyle::Iso8601 => iso(out, i),
    }
}

fn postgres(out: &mut Vec<u8>, i: Interval) {
    let p = Parts::of(i);
    let (mut first, mut negative) = (true, false);
    for (v, unit) in [(p.year, "year"), (p.month, "mon"), (p.day, "day")] {
        if v == 0 {
            continue;
        }
        if !first {
            out.push(b' ');
        }
        if negative && v > 0 {
            out.push(b'+');
        }
        push_int(out, v);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if v != 1 {
            out.push(b's');
        }
        (first, negative) = (false, v < 0);
    }
    if first || i.us != 0 {
        if !first {
            out.push(b' ');
        }
        if i.us < 0 {
            out.push(b'-');
        } else if negative {
            out.push(b'+');
        }
        push_padded(out, p.hour.unsigned_abs(), 2);
        p.push_tail(out);
    }
}

fn verbose(out: &mut Vec<u8>, p: &Parts) {
    out.push(b'@');
    let (mut zero, mut before) = (true, false);
    let units = [(p.year, "year"), (p.month, "mon"), (p.day, "day"), (p.hour, "hour"), (p.minute, "min")];
    for (v, unit) in units {
        if v == 0 {
            continue;
        }
        let shown = if zero {
            before = v < 0;
            v.abs()
        } else if before {
            -v
        } else {
            v
        };
        out.push(b' ');
        push_int(out, shown);
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if shown != 1 {
            out.push(b's');
        }
        zero = false;
    }
    if p.second != 0 || p.us != 0 {
        out.push(b' ');
        if p.second < 0 || p.us < 0 {
            if zero {
                before = true;
            } else if !before {
                out.push(b'-');
            }
        } else if before {
            out.push(b'-');
        }
        p.push_seconds(out, false);
        out.extend_from_slice(if p.second.abs() != 1 || p.us != 0 { b" secs" } else { b" sec" });
        zero = false;
    }
    if zero {
        out.extend_from_slice(b" 0");
    }
    if before {
        out.extend_from_slice(b" ago");
    }
}

fn sql_standard(out: &mut Vec<u8>, i: Interval) {
    let negative = i.months < 0 || i.days < 0 || i.us < 0;
    let positive = i.months > 0 || i.days > 0 || i.us > 0;
    let p = Parts::of(i);
    let sign = |v: bool| if v { b'-' } else { b'+' };
    if !negative && !positive {
        out.push(b'0');
        return;
    }
    if (negative && positive) || (i.months != 0 && (i.days != 0 || i.us != 0)) {
        out.push(sign(i.months < 0));
        push_int(out, p.year.abs());
        out.push(b'-');
        push_int(out, p.month.abs());
        out.extend_from_slice(&[b' ', sign(i.days < 0)]);
        push_int(out, p.day.abs());
        out.extend_from_slice(&[b' ', sign(i.us < 0)]);
        push_int(out, p.hour.abs());
        p.push_tail(out);
        return;
    }
    if negative {
        out.push(b'-');
    }
    if i.months != 0 {
        push_int(out, p.year.abs());
        out.push(b'-');
        push_int(out, p.month.abs());
        return;
    }
    if i.days != 0 {
        push_int(out, p.day.abs());
        out.push(b' ');
    }
    push_int(out, p.hour.abs());
    p.push_tail(out);
}

fn iso(out: &mut Vec<u8>, i: Interval) {
    if i == Interval::default() {
        out.extend_from_slice(b"PT0S");
        return;
    }
    let p = Parts::of(i);
    out.push(b'P');
    push_part(out, p.year, b'Y');
    push_part(out, p.month, b'M');
    push_part(out, p.day, b'D');
    if i.us == 0 {
        return;
    }
    out.push(b'T');
    push_part(out, p.hour, b'H');
    push_part(out, p.minute, b'M');
    if p.second != 0 || p.us != 0 {
        if i.us < 0 {
            out.push(b'-');
        }
        p.push_seconds(out, false);
        out.push(b'S');
    }
}

fn push_part(out: &mut Vec<u8>, v: i64, unit: u8) {
    if v != 0 {
        push_int(out, v);
        out.push(unit);
    }
}
