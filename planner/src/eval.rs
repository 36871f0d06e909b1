//! Evaluates bound expressions over columns without DataFusion: point plans, EvalPlanQual, defaults, constant folding,
//! and the inside of every scalar expression that DataFusion has no native form for.
//!
//! Invariant: AND, OR, CASE, COALESCE and IN are lazy by row. What a row does not reach is not computed for it, so
//! `x <> 0 AND 1 / x > 2` never divides by zero. Columns are cut down to the rows still in question instead of branching per row.

mod array;
mod logic;
mod single;
pub mod visit;

pub(crate) use single::{OneRow, eval_one};

use crate::bound::{Call, ColId, Expr};
use crate::context::EvalContext;
use crate::function::{self, CallTypes, FuncId, Kind, ScalarKernel};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute;
use heddle_types::{Datum, Error, PgType, Result};
use std::sync::Arc;

/// Columns by id, all `rows` long.
pub struct Columns<'a> {
    /// Number of rows
    pub rows: usize,
    /// Finds a column
    pub get: &'a dyn Fn(ColId) -> Option<ArrayRef>,
}

/// Evaluates `expr`. Sub-queries are not possible here (`XX000`): plans that need them go through DataFusion.
/// Outer references are looked up like columns.
///
/// # Errors
/// What the kernels raise (22003, 22012 …).
pub fn eval(expr: &Expr, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    match expr {
        Expr::Column { id, .. } | Expr::Outer { id, .. } => {
            (columns.get)(*id).ok_or_else(|| Error::internal(format!("column {} is not in scope", id.0)))
        }
        Expr::Param { index, ty } => {
            let value = ctx.params.get(*index).cloned().ok_or_else(|| no_param(*index))?;
            heddle_types::arrow::repeat(&value, *ty, columns.rows)
        }
        Expr::Literal { value, ty } => heddle_types::arrow::repeat(value, *ty, columns.rows),
        Expr::Call(call) => eval_call(call, columns, ctx),
        Expr::And(list) => logic::junction(list, false, columns, ctx),
        Expr::Or(list) => logic::junction(list, true, columns, ctx),
        Expr::Not(e) => {
            let a = eval(e, columns, ctx)?;
            Ok(Arc::new(compute::not(boolean(&a)?).map_err(function::error::arrow_error)?))
        }
        Expr::IsNull(e) => {
            let a = eval(e, columns, ctx)?;
            Ok(Arc::new(compute::is_null(&a).map_err(function::error::arrow_error)?))
        }
        Expr::NotDistinct(a, b) => not_distinct(a, b, columns, ctx),
        Expr::Case { branches, otherwise, ty } => logic::case(branches, otherwise, *ty, columns, ctx),
        Expr::Coalesce { args, ty } => logic::coalesce(args, *ty, columns, ctx),
        Expr::InList { expr, list, equals } => array::in_list(expr, list, *equals, columns, ctx),
        Expr::AnyArray { expr, array, op, all } => array::any_array(expr, array, *op, *all, columns, ctx),
        Expr::Array { elements, ty } => array::construct(elements, *ty, columns, ctx),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::Quantified { .. } | Expr::ArrayQuery { .. } => {
            Err(Error::internal("a sub-query cannot be evaluated without a plan"))
        }
    }
}

/// Evaluates an expression without columns.
///
/// # Errors
/// As [`eval`].
pub fn eval_constant(expr: &Expr, ctx: &EvalContext) -> Result<Datum> {
    eval_one(expr, &OneRow { value: &|_, _| None, array: &|_| None }, ctx)
}

/// The rows for which a predicate is true (NULL counts as false).
///
/// # Errors
/// As [`eval`].
pub fn filter(predicate: &Expr, columns: &Columns<'_>, ctx: &EvalContext) -> Result<BooleanArray> {
    let array = eval(predicate, columns, ctx)?;
    let array = boolean(&array)?;
    if array.null_count() == 0 { Ok(array.clone()) } else { Ok(compute::prep_null_mask_filter(array)) }
}

fn no_param(index: usize) -> Error {
    Error::new(heddle_types::SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${}", index + 1))
}

/// The column as booleans; anything else is a bug of the binder.
pub(crate) fn boolean(array: &ArrayRef) -> Result<&BooleanArray> {
    array
        .as_boolean_opt()
        .ok_or_else(|| Error::internal(format!("expected a boolean column, got {}", array.data_type())))
}

/// The kernel of a scalar function.
pub(crate) fn kernel(func: FuncId) -> Result<ScalarKernel> {
    let f =
        function::by_id(func).ok_or_else(|| Error::internal(format!("function with OID {} does not exist", func.0)))?;
    match f.kind {
        Kind::Scalar(k) | Kind::Compare(_, k) => Ok(k),
        _ => Err(Error::internal(format!("function {} is not scalar", f.name))),
    }
}

fn eval_call(call: &Call, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    let args = call.args.iter().map(|a| eval(a, columns, ctx)).collect::<Result<Vec<_>>>()?;
    let types: Vec<PgType> = call.args.iter().map(Expr::ty).collect();
    kernel(call.func)?(ctx, &CallTypes { args: &types, ret: call.ty }, &args, columns.rows)
}

/// Calls a two-argument operator that answers bool.
fn operator(func: FuncId, types: [PgType; 2], args: [ArrayRef; 2], ctx: &EvalContext) -> Result<BooleanArray> {
    let rows = args[0].len();
    let types = CallTypes { args: &types, ret: PgType::new(heddle_types::oid::BOOL) };
    let out = kernel(func)?(ctx, &types, &args, rows)?;
    boolean(&out).cloned()
}

fn not_distinct(a: &Expr, b: &Expr, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    let (x, y) = (eval(a, columns, ctx)?, eval(b, columns, ctx)?);
    let (x, y) = (comparable(&x, a.ty())?, comparable(&y, b.ty())?);
    let out = arrow::compute::kernels::cmp::not_distinct(&x, &y).map_err(function::error::arrow_error)?;
    Ok(Arc::new(out))
}

/// The column itself where Arrow compares it as PostgreSQL does, its sort key otherwise.
pub(crate) fn comparable(array: &ArrayRef, ty: PgType) -> Result<ArrayRef> {
    if heddle_types::arrow::native_order(ty) { Ok(Arc::clone(array)) } else { heddle_types::arrow::sort_key(array, ty) }
}

/// Evaluates `f` over the rows in `rows` only.
fn on_rows<T>(columns: &Columns<'_>, rows: &UInt32Array, f: impl FnOnce(&Columns<'_>) -> Result<T>) -> Result<T> {
    if rows.len() == columns.rows {
        return f(columns);
    }
    let get = |id: ColId| {
        let whole = (columns.get)(id)?;
        Some(compute::take(&whole, rows, None).expect("row numbers are within the column"))
    };
    f(&Columns { rows: rows.len(), get: &get })
}

#[cfg(test)]
mod tests;
