//! One row at a time, as plain values: what rows that are read and changed by key go through.
//!
//! Forms that need Arrow (CASE, IN, arrays …) and functions without a quick form are computed over arrays of one; each part of
//! an expression is computed once, one way or the other.

use super::{Columns, eval, no_param};
use crate::bound::{Call, ColId, Expr};
use crate::context::EvalContext;
use crate::function::{self, CallTypes, Kind, quick};
use arrow::array::ArrayRef;
use heddle_types::{Datum, Error, PgType, Result};

/// The row.
pub(crate) struct OneRow<'a> {
    /// A column's value
    pub value: &'a dyn Fn(ColId, PgType) -> Option<Datum>,
    /// The same as an array
    pub array: &'a dyn Fn(ColId) -> Option<ArrayRef>,
}

/// Evaluates `expr` over the row.
///
/// # Errors
/// As [`eval`].
pub(crate) fn eval_one(expr: &Expr, row: &OneRow<'_>, ctx: &EvalContext) -> Result<Datum> {
    match expr {
        Expr::Column { id, ty } | Expr::Outer { id, ty } => {
            (row.value)(*id, *ty).ok_or_else(|| Error::internal(format!("column {} is not in scope", id.0)))
        }
        Expr::Param { index, .. } => ctx.params.get(*index).cloned().ok_or_else(|| no_param(*index)),
        Expr::Literal { value, .. } => Ok(value.clone()),
        Expr::Call(c) => call(c, row, ctx),
        Expr::And(list) => junction(list, false, row, ctx),
        Expr::Or(list) => junction(list, true, row, ctx),
        Expr::Not(e) => Ok(match eval_one(e, row, ctx)? {
            Datum::Bool(b) => Datum::Bool(!b),
            other => other,
        }),
        Expr::IsNull(e) => Ok(Datum::Bool(eval_one(e, row, ctx)?.is_null())),
        _ => {
            let array = eval(expr, &Columns { rows: 1, get: row.array }, ctx)?;
            Ok(heddle_types::arrow::datum_at(&array, expr.ty(), 0))
        }
    }
}

/// AND (`stop` = false) or OR (`stop` = true): what follows a part that gives `stop` is not computed.
fn junction(list: &[Expr], stop: bool, row: &OneRow<'_>, ctx: &EvalContext) -> Result<Datum> {
    let mut all = Datum::Bool(!stop);
    for part in list {
        match eval_one(part, row, ctx)? {
            Datum::Bool(b) if b == stop => return Ok(Datum::Bool(stop)),
            Datum::Bool(_) => {}
            _ => all = Datum::Null,
        }
    }
    Ok(all)
}

fn call(call: &Call, row: &OneRow<'_>, ctx: &EvalContext) -> Result<Datum> {
    let args = call.args.iter().map(|a| eval_one(a, row, ctx)).collect::<Result<Vec<_>>>()?;
    let f = function::by_id(call.func)
        .ok_or_else(|| Error::internal(format!("function with OID {} does not exist", call.func.0)))?;
    if f.strict && args.iter().any(Datum::is_null) {
        return Ok(Datum::Null);
    }
    if let Some(value) = quick::call(f, &args) {
        return value;
    }
    let kernel = match f.kind {
        Kind::Scalar(k) | Kind::Compare(_, k) => k,
        _ => return Err(Error::internal(format!("function {} is not scalar", f.name))),
    };
    let types: Vec<PgType> = call.args.iter().map(Expr::ty).collect();
    let arrays = args
        .iter()
        .zip(&types)
        .map(|(value, ty)| heddle_types::arrow::repeat(value, *ty, 1))
        .collect::<Result<Vec<_>>>()?;
    let out = kernel(ctx, &CallTypes { args: &types, ret: call.ty }, &arrays, 1)?;
    Ok(heddle_types::arrow::datum_at(&out, call.ty, 0))
}
