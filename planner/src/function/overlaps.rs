//! OVERLAPS: do two periods of time share a moment? Each is given by two times, or by a time and a length.

use super::kernel::{Time, Ts, kn};
use super::{Registry, dt};
use heddle_types::datetime::arith::add_time;
use heddle_types::{Interval, Result};

/// PostgreSQL's rule: ends in any order, a NULL end leaves a moment, and what cannot be decided is NULL.
fn periods(s1: Option<i64>, e1: Option<i64>, s2: Option<i64>, e2: Option<i64>) -> Option<bool> {
    let (s1, e1) = ordered(s1, e1)?;
    let (s2, e2) = ordered(s2, e2)?;
    match s1.cmp(&s2) {
        std::cmp::Ordering::Greater => within(s1, e1, e2),
        std::cmp::Ordering::Less => within(s2, e2, e1),
        std::cmp::Ordering::Equal => (e1.is_some() && e2.is_some()).then_some(true),
    }
}

/// The later period starts at `start`: does the earlier one, up to `end`, still run then?
fn within(start: i64, own_end: Option<i64>, end: Option<i64>) -> Option<bool> {
    if start < end? { Some(true) } else { own_end.map(|_| false) }
}

fn ordered(s: Option<i64>, e: Option<i64>) -> Option<(i64, Option<i64>)> {
    match (s, e) {
        (None, None) => None,
        (None, Some(e)) => Some((e, None)),
        (Some(s), Some(e)) if s > e => Some((e, Some(s))),
        (Some(s), e) => Some((s, e)),
    }
}

fn after(
    start: Option<i64>,
    length: Option<Interval>,
    add: impl Fn(i64, Interval) -> Result<i64>,
) -> Result<Option<i64>> {
    start.zip(length).map(|(s, l)| add(s, l)).transpose()
}

macro_rules! family {
    ($r:ident, $cx:ident, $ty:ident, $name:literal, $add:expr) => {
        $r.scalar(
            concat!("overlaps(", $name, ",", $name, ",", $name, ",", $name, ")"),
            kn!(|a: Option<$ty>, b: Option<$ty>, c: Option<$ty>, d: Option<$ty>| -> Option<bool> {
                let us = |t: Option<$ty>| t.map(|t| t.0);
                Ok(periods(us(a), us(b), us(c), us(d)))
            }),
        );
        $r.scalar(
            concat!("overlaps(", $name, ",interval,", $name, ",interval)"),
            kn!($cx, _ty; |a: Option<$ty>, b: Option<Interval>, c: Option<$ty>, d: Option<Interval>| -> Option<bool> {
                let (a, c) = (a.map(|t| t.0), c.map(|t| t.0));
                Ok(periods(a, after(a, b, $add)?, c, after(c, d, $add)?))
            }),
        );
        $r.scalar(
            concat!("overlaps(", $name, ",interval,", $name, ",", $name, ")"),
            kn!($cx, _ty; |a: Option<$ty>, b: Option<Interval>, c: Option<$ty>, d: Option<$ty>| -> Option<bool> {
                let (a, c) = (a.map(|t| t.0), c.map(|t| t.0));
                Ok(periods(a, after(a, b, $add)?, c, d.map(|t| t.0)))
            }),
        );
        $r.scalar(
            concat!("overlaps(", $name, ",", $name, ",", $name, ",interval)"),
            kn!($cx, _ty; |a: Option<$ty>, b: Option<$ty>, c: Option<$ty>, d: Option<Interval>| -> Option<bool> {
                let (a, c) = (a.map(|t| t.0), c.map(|t| t.0));
                Ok(periods(a, b.map(|t| t.0), c, after(c, d, $add)?))
            }),
        );
    };
}

pub(super) fn register(r: &mut Registry) {
    family!(r, cx, Ts, "timestamp", |t, l| Ok(dt::ts_add(Ts(t), l)?.0));
    family!(r, cx, Ts, "timestamptz", |t, l| Ok(dt::tstz_add(Ts(t), l, &cx.text.datetime.zone)?.0));
    family!(r, cx, Time, "time", |t, l| Ok(add_time(t, l)));
}
