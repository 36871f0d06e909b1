//! Set-returning functions: generate_series, unnest, generate_subscripts, string_to_table. Rows come in chunks.

use super::error::invalid;
use super::kernel::{FromCol, Ts};
use super::{CallTypes, Registry, SetKernel, dt};
use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::arrow::{column, datum_at};
use heddle_types::{Datum, Interval, Numeric, PgType, Result, oid};

/// Rows per chunk.
const CHUNK: usize = 8192;

type Emit<'a> = &'a mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>;

/// Emits what `next` yields, in chunks, until it ends or the consumer stops.
fn stream(ty: PgType, emit: Emit<'_>, mut next: impl FnMut() -> Result<Option<Datum>>) -> Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(256);
        while chunk.len() < CHUNK {
            match next()? {
                Some(v) => chunk.push(v),
                None => break,
            }
        }
        let full = chunk.len() == CHUNK;
        if !chunk.is_empty() && !emit(vec![column(&chunk, ty)?])? {
            return Ok(());
        }
        if !full {
            return Ok(());
        }
    }
}

fn any_null(args: &[ArrayRef]) -> bool {
    args.iter().any(|a| a.is_null(0))
}

fn zero_step() -> heddle_types::Error {
    invalid("step size cannot equal zero")
}

fn get<'a, T: FromCol<'a>>(a: &'a ArrayRef) -> Result<T> {
    T::get(&T::open(a)?, 0)
}

fn ints(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if any_null(args) {
        return Ok(());
    }
    let arg = |i: usize| datum_at(&args[i], ty.args[i], 0).as_i64().unwrap_or(0);
    let (mut at, stop) = (Some(arg(0)), arg(1));
    let step = if args.len() > 2 { arg(2) } else { 1 };
    if step == 0 {
        return Err(zero_step());
    }
    let wide = ty.args[0].oid == oid::INT8;
    stream(PgType::new(ty.args[0].oid), emit, || {
        let Some(v) = at.filter(|v| if step > 0 { *v <= stop } else { *v >= stop }) else { return Ok(None) };
        at = v.checked_add(step);
        Ok(Some(if wide { Datum::Int8(v) } else { Datum::Int4(v as i32) }))
    })
}

fn numerics(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if any_null(args) {
        return Ok(());
    }
    let (mut at, stop) = (get::<Numeric>(&args[0])?, get::<Numeric>(&args[1])?);
    let step = if args.len() > 2 { get::<Numeric>(&args[2])? } else { Numeric::ONE };
    for (v, what) in [(&at, "start value"), (&stop, "stop value"), (&step, "step size")] {
        if !v.is_finite() {
            return Err(invalid(format!("{what} cannot be {}", if v.is_nan() { "NaN" } else { "infinity" })));
        }
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    let up = step > Numeric::ZERO;
    stream(PgType::new(oid::NUMERIC), emit, || {
        if if up { at > stop } else { at < stop } {
            return Ok(None);
        }
        let next = at.add(&step)?;
        Ok(Some(Datum::Numeric(std::mem::replace(&mut at, next))))
    })
}

fn times(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if any_null(args) {
        return Ok(());
    }
    let (mut at, stop, step) = (get::<Ts>(&args[0])?, get::<Ts>(&args[1])?, get::<Interval>(&args[2])?);
    let sign = step.total_us().signum();
    if sign == 0 {
        return Err(zero_step());
    }
    let zone = (ty.args[0].oid == oid::TIMESTAMPTZ).then_some(&cx.text.datetime.zone);
    stream(PgType::new(ty.args[0].oid), emit, || {
        if if sign > 0 { at > stop } else { at < stop } {
            return Ok(None);
        }
        let v = at;
        at = match zone {
            Some(z) => dt::tstz_add(at, step, z)?,
            None => dt::ts_add(at, step)?,
        };
        Ok(Some(Datum::Timestamp(v.0)))
    })
}

fn unnest(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    let Datum::Array(a) = datum_at(&args[0], ty.args[0], 0) else { return Ok(()) };
    let elem = PgType::new(a.elem);
    let mut items = a.elements.iter();
    stream(elem, emit, || Ok(items.next().cloned()))
}

fn subscripts(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if any_null(args) {
        return Ok(());
    }
    let Datum::Array(a) = datum_at(&args[0], ty.args[0], 0) else { return Ok(()) };
    let dim = get::<i32>(&args[1])?;
    let reverse = args.len() > 2 && get::<bool>(&args[2])?;
    let Some((len, low)) = usize::try_from(i64::from(dim) - 1).ok().and_then(|d| a.dims.get(d)).copied() else {
        return Ok(());
    };
    let mut i = 0;
    stream(PgType::new(oid::INT4), emit, || {
        if i >= len {
            return Ok(None);
        }
        let v = if reverse { low + len - 1 - i } else { low + i };
        i += 1;
        Ok(Some(Datum::Int4(v)))
    })
}

pub(super) fn register(r: &mut Registry) {
    for sig in [
        "generate_series(int4,int4)",
        "generate_series(int4,int4,int4)",
        "generate_series(int8,int8)",
        "generate_series(int8,int8,int8)",
    ] {
        r.set(sig, ints as SetKernel, &[]);
    }
    for sig in ["generate_series(numeric,numeric)", "generate_series(numeric,numeric,numeric)"] {
        r.set(sig, numerics as SetKernel, &[]);
    }
    for sig in ["generate_series(timestamp,timestamp,interval)", "generate_series(timestamptz,timestamptz,interval)"] {
        r.set(sig, times as SetKernel, &[]);
    }
    r.set("unnest(anyarray)", unnest, &[]);
    r.set("generate_subscripts(anyarray,int4)", subscripts, &[]);
    r.set("generate_subscripts(anyarray,int4,bool)", subscripts, &[]);
}
