//! The functions behind ordered-set aggregates: of a fraction (or several) and of the sorted values without NULLs.

use super::{CallTypes, Registry};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef};
use heddle_types::arrow::{ColumnBuilder, datum_at};
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState};
use std::sync::Arc;

/// A fraction of the sorted values.
type At = fn(&[Datum], f64) -> Result<Datum>;

fn checked(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    let shown = heddle_types::text::to_string(
        &Datum::Float8(fraction),
        PgType::new(heddle_types::oid::FLOAT8),
        &heddle_types::text::TextSettings::default(),
    );
    let message = format!("percentile value {shown} is not between 0 and 1");
    Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
}

/// Between the two values around the fraction.
fn continuous(values: &[Datum], fraction: f64) -> Result<Datum> {
    let at = fraction * (values.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    if low == high {
        return Ok(values[low].clone());
    }
    let part = at - at.floor();
    match (&values[low], &values[high]) {
        (Datum::Float8(a), Datum::Float8(b)) => Ok(Datum::Float8(a + part * (b - a))),
        (Datum::Interval(a), Datum::Interval(b)) => {
            let step = b.checked_sub(*a)?.checked_mul(part)?;
            Ok(Datum::Interval(a.checked_add(step)?))
        }
        _ => Err(Error::internal("percentile_cont over another type")),
    }
}

fn discrete(values: &[Datum], fraction: f64) -> Result<Datum> {
    let row = (fraction * values.len() as f64).ceil().max(1.0) as usize;
    Ok(values[row - 1].clone())
}

/// One row: NULL without values, an array for an array of fractions.
fn one(ty: &CallTypes<'_>, args: &[ArrayRef], i: usize, at: At) -> Result<Datum> {
    let Datum::Array(values) = datum_at(&args[1], ty.args[1], i) else { return Ok(Datum::Null) };
    if values.elements.is_empty() {
        return Ok(Datum::Null);
    }
    match datum_at(&args[0], ty.args[0], i) {
        Datum::Float8(f) => at(&values.elements, checked(f)?),
        Datum::Array(fractions) => {
            let each = |f: &Datum| match f {
                Datum::Float8(f) => at(&values.elements, checked(*f)?),
                _ => Ok(Datum::Null),
            };
            let elements = fractions.elements.iter().map(each).collect::<Result<Vec<_>>>()?;
            Ok(Datum::Array(Arc::new(PgArray { elem: values.elem, dims: fractions.dims.clone(), elements })))
        }
        _ => Ok(Datum::Null),
    }
}

fn fractions(ty: &CallTypes<'_>, args: &[ArrayRef], n: usize, at: At) -> Result<ArrayRef> {
    let mut out = ColumnBuilder::new(ty.ret, n);
    for i in 0..n {
        let null = args.iter().any(|a| a.is_null(i));
        out.append(&if null { Datum::Null } else { one(ty, args, i, at)? })?;
    }
    Ok(out.finish())
}

/// The value that comes most often, the first such one.
fn mode(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = ColumnBuilder::new(ty.ret, n);
    for i in 0..n {
        let value = match datum_at(&args[0], ty.args[0], i) {
            Datum::Array(values) => most_frequent(&values.elements),
            _ => Datum::Null,
        };
        out.append(&value)?;
    }
    Ok(out.finish())
}

fn most_frequent(sorted: &[Datum]) -> Datum {
    let (mut best, mut best_count) = (Datum::Null, 0);
    for run in sorted.chunk_by(same) {
        if run.len() > best_count {
            (best, best_count) = (run[0].clone(), run.len());
        }
    }
    best
}

/// Equal as a key, so 1.0 and 1.00 are one value.
fn same(a: &Datum, b: &Datum) -> bool {
    heddle_types::key::compare(a, b).is_eq()
}

pub(super) fn register(r: &mut Registry) {
    for sig in [
        "heddle_percentile_cont(float8,_float8)",
        "heddle_percentile_cont(float8,_interval)",
        "heddle_percentile_cont(_float8,_float8)",
        "heddle_percentile_cont(_float8,_interval)",
    ] {
        r.scalar(sig, |_, ty, args, n| fractions(ty, args, n, continuous));
    }
    for sig in ["heddle_percentile_disc(float8,anyarray)", "heddle_percentile_disc(_float8,anyarray)"] {
        r.scalar(sig, |_, ty, args, n| fractions(ty, args, n, discrete));
    }
    r.scalar("heddle_mode(anyarray)", mode);
}
