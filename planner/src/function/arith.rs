//! Arithmetic operators of numbers, dates, times and intervals.
//!
//! Integers and floats go through vectorised loops: compute everything, notice trouble in one flag, and look for the
//! offending row (that is not NULL) only then.

use super::error::{division_by_zero, float_overflow, float_underflow, out_of_range};
use super::kernel::{Date, NumericBuilder, Time, Ts, cast_array, k, union_nulls};
use super::{CallTypes, Registry, ScalarKernel, dt};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, ArrowPrimitiveType, BinaryArray, PrimitiveArray};
use arrow::datatypes::*;
use heddle_types::datetime::DAY_US;
use heddle_types::numeric::{SCALE_MAX, small_parts};
use heddle_types::{Error, Interval, Numeric, Result, SqlState};
use std::cmp::Ordering;
use std::sync::Arc;

/// Computes with an overflow flag per row; the flag counts only where neither side is NULL.
fn int_binary<T: ArrowPrimitiveType>(
    args: &[ArrayRef],
    f: impl Fn(T::Native, T::Native) -> (T::Native, bool),
    error: impl Fn() -> Error,
) -> Result<ArrayRef> {
    let a = cast_array::<PrimitiveArray<T>>(&args[0])?.values();
    let b = cast_array::<PrimitiveArray<T>>(&args[1])?.values();
    let mut any = false;
    let out: Vec<T::Native> = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| {
            let (v, bad) = f(*a, *b);
            any |= bad;
            v
        })
        .collect();
    let nulls = union_nulls(args);
    if any {
        let valid = |i: usize| nulls.as_ref().is_none_or(|n| n.is_valid(i));
        if a.iter().zip(b.iter()).enumerate().any(|(i, (a, b))| f(*a, *b).1 && valid(i)) {
            return Err(error());
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(out.into(), nulls)))
}

macro_rules! int_op {
    ($ty:ty, $f:expr, $err:expr) => {{
        fn kernel(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
            int_binary::<$ty>(args, $f, $err)
        }
        kernel as ScalarKernel
    }};
}

/// Computes floats; `suspicious` is a cheap test of the result, `check` decides with the operands.
fn float_binary<T: ArrowPrimitiveType>(
    args: &[ArrayRef],
    f: impl Fn(T::Native, T::Native) -> T::Native,
    suspicious: impl Fn(T::Native) -> bool,
    check: impl Fn(T::Native, T::Native, T::Native) -> Result<()>,
) -> Result<ArrayRef> {
    let a = cast_array::<PrimitiveArray<T>>(&args[0])?.values();
    let b = cast_array::<PrimitiveArray<T>>(&args[1])?.values();
    let out: Vec<T::Native> = a.iter().zip(b.iter()).map(|(a, b)| f(*a, *b)).collect();
    let nulls = union_nulls(args);
    if out.iter().fold(false, |any, v| any | suspicious(*v)) {
        for (i, v) in out.iter().enumerate() {
            if suspicious(*v) && nulls.as_ref().is_none_or(|n| n.is_valid(i)) {
                check(a[i], b[i], *v)?;
            }
        }
    }
    Ok(Arc::new(PrimitiveArray::<T>::new(out.into(), nulls)))
}

macro_rules! float_op {
    ($ty:ty, $f:expr, $check:expr) => {{
        fn kernel(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], _: usize) -> Result<ArrayRef> {
            float_binary::<$ty>(args, $f, |v| !v.is_finite() || v == 0.0, $check)
        }
        kernel as ScalarKernel
    }};
}

macro_rules! float_ops {
    ($r:expr, $t:ty, $ty:ty, $add:literal, $sub:literal, $mul:literal, $div:literal) => {
        $r.scalar(
            $add,
            float_op!($ty, |a, b| a + b, |a: $t, b: $t, v: $t| add_check(
                v.is_infinite(),
                a.is_infinite() || b.is_infinite()
            )),
        );
        $r.scalar(
            $sub,
            float_op!($ty, |a, b| a - b, |a: $t, b: $t, v: $t| add_check(
                v.is_infinite(),
                a.is_infinite() || b.is_infinite()
            )),
        );
        $r.scalar(
            $mul,
            float_op!($ty, |a, b| a * b, |a: $t, b: $t, v: $t| {
                add_check(v.is_infinite(), a.is_infinite() || b.is_infinite())?;
                if v == 0.0 && a != 0.0 && b != 0.0 { Err(float_underflow()) } else { Ok(()) }
            }),
        );
        $r.scalar(
            $div,
            float_op!($ty, |a, b| a / b, |a: $t, b: $t, v: $t| {
                if b == 0.0 && !a.is_nan() {
                    return Err(division_by_zero());
                }
                add_check(v.is_infinite(), a.is_infinite())?;
                if v == 0.0 && a != 0.0 && !b.is_infinite() { Err(float_underflow()) } else { Ok(()) }
            }),
        );
    };
}

fn add_check(infinite: bool, allowed: bool) -> Result<()> {
    if infinite && !allowed { Err(float_overflow()) } else { Ok(()) }
}

macro_rules! int_ops {
    ($r:expr, $t:ty, $ty:ty, $name:literal, [$add:literal, $sub:literal, $mul:literal, $div:literal, $rem:expr,
     $and:literal, $or:literal, $xor:literal, $not:literal, $neg:literal, $plus:literal, $abs:expr]) => {
        $r.scalar($add, int_op!($ty, |a: $t, b: $t| a.overflowing_add(b), || out_of_range($name)));
        $r.scalar($sub, int_op!($ty, |a: $t, b: $t| a.overflowing_sub(b), || out_of_range($name)));
        $r.scalar($mul, int_op!($ty, |a: $t, b: $t| a.overflowing_mul(b), || out_of_range($name)));
        $r.scalar($div, k!(|a: $t, b: $t| -> $t {
            if b == 0 { return Err(division_by_zero()); }
            a.checked_div(b).ok_or_else(|| out_of_range($name))
        }));
        $r.scalars($rem, k!(|a: $t, b: $t| -> $t {
            if b == 0 { return Err(division_by_zero()); }
            Ok(a.wrapping_rem(b))
        }));
        $r.scalar($and, int_op!($ty, |a: $t, b: $t| (a & b, false), || out_of_range($name)));
        $r.scalar($or, int_op!($ty, |a: $t, b: $t| (a | b, false), || out_of_range($name)));
        $r.scalar($xor, int_op!($ty, |a: $t, b: $t| (a ^ b, false), || out_of_range($name)));
        $r.scalar($not, k!(|a: $t| -> $t = !a));
        $r.scalar($neg, k!(|a: $t| -> $t { a.checked_neg().ok_or_else(|| out_of_range($name)) }));
        $r.scalar($plus, k!(|a: $t| -> $t = a));
        $r.scalars($abs, k!(|a: $t| -> $t { a.checked_abs().ok_or_else(|| out_of_range($name)) }));
    };
}

pub(super) fn register(r: &mut Registry) {
    integers(r);
    floats(r);
    numerics(r);
    dates(r);
    intervals(r);
}

fn integers(r: &mut Registry) {
    int_ops!(
        r,
        i16,
        Int16Type,
        "smallint",
        [
            "int2pl(int2,int2)",
            "int2mi(int2,int2)",
            "int2mul(int2,int2)",
            "int2div(int2,int2)",
            &["int2mod(int2,int2)", "mod(int2,int2)"],
            "int2and(int2,int2)",
            "int2or(int2,int2)",
            "int2xor(int2,int2)",
            "int2not(int2)",
            "int2um(int2)",
            "int2up(int2)",
            &["int2abs(int2)", "abs(int2)"]
        ]
    );
    int_ops!(
        r,
        i32,
        Int32Type,
        "integer",
        [
            "int4pl(int4,int4)",
            "int4mi(int4,int4)",
            "int4mul(int4,int4)",
            "int4div(int4,int4)",
            &["int4mod(int4,int4)", "mod(int4,int4)"],
            "int4and(int4,int4)",
            "int4or(int4,int4)",
            "int4xor(int4,int4)",
            "int4not(int4)",
            "int4um(int4)",
            "int4up(int4)",
            &["int4abs(int4)", "abs(int4)"]
        ]
    );
    int_ops!(
        r,
        i64,
        Int64Type,
        "bigint",
        [
            "int8pl(int8,int8)",
            "int8mi(int8,int8)",
            "int8mul(int8,int8)",
            "int8div(int8,int8)",
            &["int8mod(int8,int8)", "mod(int8,int8)"],
            "int8and(int8,int8)",
            "int8or(int8,int8)",
            "int8xor(int8,int8)",
            "int8not(int8)",
            "int8um(int8)",
            "int8up(int8)",
            &["int8abs(int8)", "abs(int8)"]
        ]
    );
    // C shifts on x86 use the low bits of the count; int2 is widened first.
    r.scalar("int2shl(int2,int4)", k!(|a: i16, b: i32| -> i16 = i32::from(a).wrapping_shl(b as u32) as i16));
    r.scalar("int2shr(int2,int4)", k!(|a: i16, b: i32| -> i16 = i32::from(a).wrapping_shr(b as u32) as i16));
    r.scalar("int4shl(int4,int4)", k!(|a: i32, b: i32| -> i32 = a.wrapping_shl(b as u32)));
    r.scalar("int4shr(int4,int4)", k!(|a: i32, b: i32| -> i32 = a.wrapping_shr(b as u32)));
    r.scalar("int8shl(int8,int4)", k!(|a: i64, b: i32| -> i64 = a.wrapping_shl(b as u32)));
    r.scalar("int8shr(int8,int4)", k!(|a: i64, b: i32| -> i64 = a.wrapping_shr(b as u32)));
}

fn floats(r: &mut Registry) {
    float_ops!(
        r,
        f32,
        Float32Type,
        "float4pl(float4,float4)",
        "float4mi(float4,float4)",
        "float4mul(float4,float4)",
        "float4div(float4,float4)"
    );
    float_ops!(
        r,
        f64,
        Float64Type,
        "float8pl(float8,float8)",
        "float8mi(float8,float8)",
        "float8mul(float8,float8)",
        "float8div(float8,float8)"
    );
    r.scalar("float4um(float4)", k!(|a: f32| -> f32 = -a));
    r.scalar("float8um(float8)", k!(|a: f64| -> f64 = -a));
    r.scalar("float4up(float4)", k!(|a: f32| -> f32 = a));
    r.scalar("float8up(float8)", k!(|a: f64| -> f64 = a));
    r.scalars(&["float4abs(float4)", "abs(float4)"], k!(|a: f32| -> f32 = a.abs()));
    r.scalars(&["float8abs(float8)", "abs(float8)"], k!(|a: f64| -> f64 = a.abs()));
}

/// An operator of numerics: `small` where both are short, as mostly, `whole` where it has no answer.
fn numeric_binary(
    args: &[ArrayRef],
    n: usize,
    small: impl Fn((i64, u16), (i64, u16)) -> Option<(i128, u16)>,
    whole: impl Fn(&Numeric, &Numeric) -> Result<Numeric>,
) -> Result<ArrayRef> {
    let (a, b) = (cast_array::<BinaryArray>(&args[0])?, cast_array::<BinaryArray>(&args[1])?);
    let nulls = union_nulls(args);
    let mut out = NumericBuilder::new(n);
    for i in 0..n {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(i)) {
            out.push_null();
            continue;
        }
        let (x, y) = (a.value(i), b.value(i));
        match small_parts(x).zip(small_parts(y)).and_then(|(x, y)| small(x, y)) {
            Some((unscaled, scale)) => out.push_parts(unscaled, scale)?,
            None => out.push(&whole(&Numeric::from_bytes(x)?, &Numeric::from_bytes(y)?)?)?,
        }
    }
    Ok(out.finish())
}

macro_rules! numeric_op {
    ($small:expr, $whole:expr) => {{
        fn kernel(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
            numeric_binary(args, n, $small, $whole)
        }
        kernel as ScalarKernel
    }};
}

/// Both at the larger scale. Of two integers of 64 bits none gets too long on the way.
#[inline]
fn aligned((a, s): (i64, u16), (b, t): (i64, u16)) -> Option<(i128, i128, u16)> {
    const POW10: [i64; 19] = {
        let mut table = [1; 19];
        let mut i = 1;
        while i < table.len() {
            table[i] = table[i - 1] * 10;
            i += 1;
        }
        table
    };
    let up = |v: i64, by: u16| Some(i128::from(v) * i128::from(*POW10.get(usize::from(by))?));
    match s.cmp(&t) {
        Ordering::Equal => Some((a.into(), b.into(), s)),
        Ordering::Less => Some((up(a, t - s)?, b.into(), t)),
        Ordering::Greater => Some((a.into(), up(b, s - t)?, s)),
    }
}

fn numerics(r: &mut Registry) {
    r.scalar(
        "numeric_add(numeric,numeric)",
        numeric_op!(|a, b| aligned(a, b).map(|(a, b, scale)| (a + b, scale)), Numeric::add),
    );
    r.scalar(
        "numeric_sub(numeric,numeric)",
        numeric_op!(|a, b| aligned(a, b).map(|(a, b, scale)| (a - b, scale)), Numeric::sub),
    );
    r.scalar(
        "numeric_mul(numeric,numeric)",
        numeric_op!(
            |(a, s), (b, t)| (s + t <= SCALE_MAX).then(|| (i128::from(a) * i128::from(b), s + t)),
            Numeric::mul
        ),
    );
    r.scalar("numeric_div(numeric,numeric)", k!(|a: Numeric, b: Numeric| -> Numeric { a.div(&b) }));
    r.scalars(
        &["numeric_mod(numeric,numeric)", "mod(numeric,numeric)"],
        k!(|a: Numeric, b: Numeric| -> Numeric { a.rem(&b) }),
    );
    r.scalar("numeric_uminus(numeric)", k!(|a: Numeric| -> Numeric = a.neg()));
    r.scalar("numeric_uplus(numeric)", k!(|a: Numeric| -> Numeric = a));
    r.scalars(&["numeric_abs(numeric)", "abs(numeric)"], k!(|a: Numeric| -> Numeric = a.abs()));
}

fn dates(r: &mut Registry) {
    r.scalar("date_pli(date,int4)", k!(|a: Date, b: i32| -> Date { date_plus(a, i64::from(b)) }));
    r.scalar("integer_pl_date(int4,date)", k!(|b: i32, a: Date| -> Date { date_plus(a, i64::from(b)) }));
    r.scalar("date_mii(date,int4)", k!(|a: Date, b: i32| -> Date { date_plus(a, -i64::from(b)) }));
    r.scalar(
        "date_mi(date,date)",
        k!(|a: Date, b: Date| -> i32 {
            if dt::is_inf_date(a.0) || dt::is_inf_date(b.0) {
                return Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
            }
            Ok(a.0.wrapping_sub(b.0))
        }),
    );
    r.scalar("date_pl_interval(date,interval)", k!(|a: Date, b: Interval| -> Ts { dt::ts_add(dt::date_to_ts(a)?, b) }));
    r.scalar("interval_pl_date(interval,date)", k!(|b: Interval, a: Date| -> Ts { dt::ts_add(dt::date_to_ts(a)?, b) }));
    r.scalar(
        "date_mi_interval(date,interval)",
        k!(|a: Date, b: Interval| -> Ts { dt::ts_add(dt::date_to_ts(a)?, dt::interval_neg(b)?) }),
    );
    r.scalar("datetime_pl(date,time)", k!(|a: Date, b: Time| -> Ts { date_time(a, b) }));
    r.scalar("timedate_pl(time,date)", k!(|b: Time, a: Date| -> Ts { date_time(a, b) }));
    r.scalar("timestamp_pl_interval(timestamp,interval)", k!(|a: Ts, b: Interval| -> Ts { dt::ts_add(a, b) }));
    r.scalar("interval_pl_timestamp(interval,timestamp)", k!(|b: Interval, a: Ts| -> Ts { dt::ts_add(a, b) }));
    r.scalar(
        "timestamp_mi_interval(timestamp,interval)",
        k!(|a: Ts, b: Interval| -> Ts { dt::ts_add(a, dt::interval_neg(b)?) }),
    );
    r.scalar(
        "timestamptz_pl_interval(timestamptz,interval)",
        k!(cx, _ty; |a: Ts, b: Interval| -> Ts { dt::tstz_add(a, b, &cx.text.datetime.zone) }),
    );
    r.scalar(
        "interval_pl_timestamptz(interval,timestamptz)",
        k!(cx, _ty; |b: Interval, a: Ts| -> Ts { dt::tstz_add(a, b, &cx.text.datetime.zone) }),
    );
    r.scalar(
        "timestamptz_mi_interval(timestamptz,interval)",
        k!(cx, _ty; |a: Ts, b: Interval| -> Ts {
            dt::tstz_add(a, dt::interval_neg(b)?, &cx.text.datetime.zone)
        }),
    );
    r.scalar("timestamp_mi(timestamp,timestamp)", k!(|a: Ts, b: Ts| -> Interval { dt::ts_diff(a, b) }));
    r.scalar("timestamptz_mi(timestamptz,timestamptz)", k!(|a: Ts, b: Ts| -> Interval { dt::ts_diff(a, b) }));
    r.scalar(
        "time_mi_time(time,time)",
        k!(|a: Time, b: Time| -> Interval = Interval { months: 0, days: 0, us: a.0 - b.0 }),
    );
    r.scalar("time_pl_interval(time,interval)", k!(|a: Time, b: Interval| -> Time = time_plus(a, b.us)));
    r.scalar("interval_pl_time(interval,time)", k!(|b: Interval, a: Time| -> Time = time_plus(a, b.us)));
    r.scalar("time_mi_interval(time,interval)", k!(|a: Time, b: Interval| -> Time = time_plus(a, -(b.us % DAY_US))));
}

fn date_plus(d: Date, by: i64) -> Result<Date> {
    if dt::is_inf_date(d.0) {
        return Ok(d);
    }
    dt::check_date(i64::from(d.0) + by).map(Date)
}

fn date_time(d: Date, t: Time) -> Result<Ts> {
    let midnight = dt::date_to_ts(d)?;
    if dt::is_inf_ts(midnight.0) {
        return Ok(midnight);
    }
    dt::check_ts(i128::from(midnight.0) + i128::from(t.0)).map(Ts)
}

/// Wraps around midnight; days and months of the interval do not count.
fn time_plus(t: Time, us: i64) -> Time {
    Time((t.0 + us % DAY_US).rem_euclid(DAY_US))
}

fn intervals(r: &mut Registry) {
    r.scalar("interval_pl(interval,interval)", k!(|a: Interval, b: Interval| -> Interval { dt::interval_add(a, b) }));
    r.scalar(
        "interval_mi(interval,interval)",
        k!(|a: Interval, b: Interval| -> Interval {
            Ok(Interval {
                months: a.months.checked_sub(b.months).ok_or_else(dt::interval_range)?,
                days: a.days.checked_sub(b.days).ok_or_else(dt::interval_range)?,
                us: a.us.checked_sub(b.us).ok_or_else(dt::interval_range)?,
            })
        }),
    );
    r.scalar("interval_um(interval)", k!(|a: Interval| -> Interval { dt::interval_neg(a) }));
    r.scalar(
        "interval_mul(interval,float8)",
        k!(|a: Interval, f: f64| -> Interval { dt::interval_scale(a, |v| v * f) }),
    );
    r.scalar(
        "mul_d_interval(float8,interval)",
        k!(|f: f64, a: Interval| -> Interval { dt::interval_scale(a, |v| v * f) }),
    );
    r.scalar(
        "interval_div(interval,float8)",
        k!(|a: Interval, f: f64| -> Interval {
            if f == 0.0 {
                return Err(division_by_zero());
            }
            dt::interval_scale(a, |v| v / f)
        }),
    );
}
