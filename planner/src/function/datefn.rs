//! Date and time functions: extract, date_trunc, age, make_*, zones. The calendar itself is [`heddle_types::datetime`].

use super::error::invalid;
use super::kernel::{Date, Time, Ts, k};
use super::{Registry, dt};
use heddle_types::datetime::{DAY_US, Zone, arith, fields};
use heddle_types::{Error, Interval, Numeric, Result, SqlState};

fn float(n: Option<Numeric>) -> Option<f64> {
    n.map(|n| n.to_f64())
}

fn bin(stride: Interval, t: Ts, origin: Ts) -> Result<Ts> {
    if stride.months != 0 {
        return Err(Error::unsupported("timestamps cannot be binned into intervals containing months or years: this"));
    }
    if dt::is_inf_ts(t.0) || dt::is_inf_ts(origin.0) {
        return Ok(t);
    }
    let step = i128::from(stride.days) * i128::from(DAY_US) + i128::from(stride.us);
    if step <= 0 {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let off = i128::from(t.0) - i128::from(origin.0);
    dt::check_ts(i128::from(origin.0) + off.div_euclid(step) * step).map(Ts)
}

fn from_epoch(s: f64) -> Result<Ts> {
    if s.is_nan() {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp cannot be NaN"));
    }
    if s.is_infinite() {
        return Ok(Ts(if s > 0.0 { i64::MAX } else { i64::MIN }));
    }
    let us = (s * 1e6).round_ties_even();
    if us.abs() >= 9.2e18 {
        return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("timestamp out of range: \"{s}\"")));
    }
    dt::check_ts(us as i128).map(Ts)
}

fn zone_of(iv: Interval) -> Result<Zone> {
    if iv.months != 0 || iv.days != 0 {
        return Err(invalid("interval time zone must not include months or days"));
    }
    Ok(Zone::fixed((iv.us / 1_000_000) as i32))
}

fn justify_hours(iv: Interval) -> Result<Interval> {
    let mut days = i64::from(iv.days) + iv.us / DAY_US;
    let mut us = iv.us % DAY_US;
    if days > 0 && us < 0 {
        (days, us) = (days - 1, us + DAY_US);
    } else if days < 0 && us > 0 {
        (days, us) = (days + 1, us - DAY_US);
    }
    Ok(Interval { months: iv.months, days: i32::try_from(days).map_err(|_| dt::interval_range())?, us })
}

fn justify_days(iv: Interval) -> Result<Interval> {
    let mut months = i64::from(iv.months) + i64::from(iv.days / 30);
    let mut days = iv.days % 30;
    if months > 0 && days < 0 {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && days > 0 {
        (months, days) = (months + 1, days - 30);
    }
    Ok(Interval { months: i32::try_from(months).map_err(|_| dt::interval_range())?, days, us: iv.us })
}

/// Days into months, time into days, then one sign for all.
fn justify(iv: Interval) -> Result<Interval> {
    let total = i128::from(iv.days) * i128::from(DAY_US) + i128::from(iv.us);
    let days = (total / i128::from(DAY_US)) as i64;
    let us = (total % i128::from(DAY_US)) as i64;
    let mut months = i64::from(iv.months) + days / 30;
    let (mut days, mut us) = ((days % 30) as i32, us);
    if months > 0 && (days < 0 || (days == 0 && us < 0)) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || (days == 0 && us > 0)) {
        (months, days) = (months + 1, days - 30);
    }
    if days > 0 && us < 0 {
        (days, us) = (days - 1, us + DAY_US);
    } else if days < 0 && us > 0 {
        (days, us) = (days + 1, us - DAY_US);
    }
    Ok(Interval { months: i32::try_from(months).map_err(|_| dt::interval_range())?, days, us })
}

fn make_interval(y: i32, mo: i32, w: i32, d: i32, h: i32, mi: i32, s: f64) -> Result<Interval> {
    let months = y.checked_mul(12).and_then(|m| m.checked_add(mo)).ok_or_else(dt::interval_range)?;
    let days = w.checked_mul(7).and_then(|m| m.checked_add(d)).ok_or_else(dt::interval_range)?;
    let us = i128::from(h) * 3_600_000_000 + i128::from(mi) * 60_000_000 + (s * 1e6).round_ties_even() as i128;
    if !s.is_finite() {
        return Err(dt::interval_range());
    }
    Ok(Interval { months, days, us: i64::try_from(us).map_err(|_| dt::interval_range())? })
}

pub(super) fn register(r: &mut Registry) {
    extract(r);
    truncate(r);
    zones(r);
    make(r);
    r.scalar("age(timestamp,timestamp)", k!(|a: Ts, b: Ts| -> Interval { arith::age(a.0, b.0) }));
    r.scalar(
        "age(timestamptz,timestamptz)",
        k!(cx, _ty; |a: Ts, b: Ts| -> Interval { arith::age_timestamptz(a.0, b.0, &cx.text.datetime.zone) }),
    );
    r.scalar(
        "age(timestamp)",
        k!(cx, _ty; |a: Ts| -> Interval {
            let today = dt::to_local(Ts(cx.text.datetime.now), &cx.text.datetime.zone)?.0;
            arith::age(today - today.rem_euclid(DAY_US), a.0)
        }),
    );
    r.scalar(
        "age(timestamptz)",
        k!(cx, _ty; |a: Ts| -> Interval {
            let zone = &cx.text.datetime.zone;
            let today = dt::to_local(Ts(cx.text.datetime.now), zone)?.0;
            arith::age_timestamptz(dt::to_utc(Ts(today - today.rem_euclid(DAY_US)), zone)?.0, a.0, zone)
        }),
    );
    r.scalars(&["isfinite(timestamp)", "isfinite(timestamptz)"], k!(|a: Ts| -> bool = !dt::is_inf_ts(a.0)));
    r.scalar("isfinite(date)", k!(|a: Date| -> bool = !dt::is_inf_date(a.0)));
    r.scalar("isfinite(interval)", k!(|a: Interval| -> bool = true));
    r.scalar("justify_hours(interval)", k!(|a: Interval| -> Interval { justify_hours(a) }));
    r.scalar("justify_days(interval)", k!(|a: Interval| -> Interval { justify_days(a) }));
    r.scalar("justify_interval(interval)", k!(|a: Interval| -> Interval { justify(a) }));
}

fn extract(r: &mut Registry) {
    r.scalar("extract(text,timestamp)", k!(|f: &str, a: Ts| -> Option<Numeric> { fields::extract_timestamp(f, a.0) }));
    r.scalar("extract(text,timestamptz)", k!(cx, _ty; |f: &str, a: Ts| -> Option<Numeric> { fields::extract_timestamptz(f, a.0, &cx.text.datetime.zone) }));
    r.scalar("extract(text,date)", k!(|f: &str, a: Date| -> Option<Numeric> { fields::extract_date(f, a.0) }));
    r.scalar("extract(text,time)", k!(|f: &str, a: Time| -> Numeric { fields::extract_time(f, a.0) }));
    r.scalar("extract(text,interval)", k!(|f: &str, a: Interval| -> Numeric { fields::extract_interval(f, a) }));
    r.scalar(
        "date_part(text,timestamp)",
        k!(|f: &str, a: Ts| -> Option<f64> { Ok(float(fields::extract_timestamp(f, a.0)?)) }),
    );
    r.scalar("date_part(text,timestamptz)", k!(cx, _ty; |f: &str, a: Ts| -> Option<f64> { Ok(float(fields::extract_timestamptz(f, a.0, &cx.text.datetime.zone)?)) }));
    r.scalar(
        "date_part(text,date)",
        k!(|f: &str, a: Date| -> Option<f64> { Ok(float(fields::extract_timestamp(f, dt::date_to_ts(a)?.0)?)) }),
    );
    r.scalar("date_part(text,time)", k!(|f: &str, a: Time| -> f64 { Ok(fields::extract_time(f, a.0)?.to_f64()) }));
    r.scalar(
        "date_part(text,interval)",
        k!(|f: &str, a: Interval| -> f64 { Ok(fields::extract_interval(f, a)?.to_f64()) }),
    );
}

fn truncate(r: &mut Registry) {
    r.scalar("date_trunc(text,timestamp)", k!(|f: &str, a: Ts| -> Ts { fields::trunc_timestamp(f, a.0).map(Ts) }));
    r.scalar(
        "date_trunc(text,timestamptz)",
        k!(cx, _ty; |f: &str, a: Ts| -> Ts { fields::trunc_timestamptz(f, a.0, &cx.text.datetime.zone).map(Ts) }),
    );
    r.scalar(
        "date_trunc(text,timestamptz,text)",
        k!(|f: &str, a: Ts, z: &str| -> Ts { fields::trunc_timestamptz(f, a.0, &Zone::parse(z)?).map(Ts) }),
    );
    r.scalar("date_trunc(text,interval)", k!(|f: &str, a: Interval| -> Interval { fields::trunc_interval(f, a) }));
    r.scalars(
        &["date_bin(interval,timestamp,timestamp)", "date_bin(interval,timestamptz,timestamptz)"],
        k!(|s: Interval, a: Ts, o: Ts| -> Ts { bin(s, a, o) }),
    );
}

fn zones(r: &mut Registry) {
    r.scalar("timezone(text,timestamptz)", k!(|z: &str, a: Ts| -> Ts { dt::to_local(a, &Zone::parse(z)?) }));
    r.scalar("timezone(text,timestamp)", k!(|z: &str, a: Ts| -> Ts { dt::to_utc(a, &Zone::parse(z)?) }));
    r.scalar("timezone(interval,timestamptz)", k!(|z: Interval, a: Ts| -> Ts { dt::to_local(a, &zone_of(z)?) }));
    r.scalar("timezone(interval,timestamp)", k!(|z: Interval, a: Ts| -> Ts { dt::to_utc(a, &zone_of(z)?) }));
}

fn make(r: &mut Registry) {
    r.scalar("to_timestamp(float8)", k!(|s: f64| -> Ts { from_epoch(s) }));
    r.scalar("make_date(int4,int4,int4)", k!(|y: i32, m: i32, d: i32| -> Date { arith::make_date(y, m, d).map(Date) }));
    r.scalar(
        "make_time(int4,int4,float8)",
        k!(|h: i32, m: i32, s: f64| -> Time { arith::make_time(h, m, s).map(Time) }),
    );
    r.scalar(
        "make_timestamp(int4,int4,int4,int4,int4,float8)",
        k!(|y: i32, mo: i32, d: i32, h: i32, m: i32, s: f64| -> Ts {
            arith::make_timestamp(y, mo, d, h, m, s).map(Ts)
        }),
    );
    r.scalar(
        "make_timestamptz(int4,int4,int4,int4,int4,float8)",
        k!(cx, _ty; |y: i32, mo: i32, d: i32, h: i32, m: i32, s: f64| -> Ts {
            dt::to_utc(Ts(arith::make_timestamp(y, mo, d, h, m, s)?), &cx.text.datetime.zone)
        }),
    );
    r.scalar(
        "make_timestamptz(int4,int4,int4,int4,int4,float8,text)",
        k!(|y: i32, mo: i32, d: i32, h: i32, m: i32, s: f64, zone: &str| -> Ts {
            dt::to_utc(Ts(arith::make_timestamp(y, mo, d, h, m, s)?), &Zone::parse(zone)?)
        }),
    );
    r.scalar(
        "make_interval(int4,int4,int4,int4,int4,int4,float8)",
        k!(|y: i32, mo: i32, w: i32, d: i32, h: i32, m: i32, s: f64| -> Interval {
            make_interval(y, mo, w, d, h, m, s)
        }),
    );
}
