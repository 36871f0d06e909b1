//! IN lists, `op ANY/ALL (array)` and ARRAY[…].

use super::{Columns, eval, eval_constant, on_rows, operator, visit};
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::function::FuncId;
use crate::function::error::arrow_error;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute;
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState};
use std::collections::HashSet;
use std::sync::Arc;

/// Above this many constants an IN list is looked up in a set.
const SET_ABOVE: usize = 8;

pub(super) fn in_list(
    expr: &Expr,
    list: &[Expr],
    equals: FuncId,
    columns: &Columns<'_>,
    ctx: &EvalContext,
) -> Result<ArrayRef> {
    let left = eval(expr, columns, ctx)?;
    let one_type = list.iter().all(|e| same_form(e.ty(), expr.ty()));
    if list.len() > SET_ABOVE && one_type && list.iter().all(visit::is_constant) {
        return in_set(&left, expr.ty(), list, ctx);
    }
    let mut state: Vec<Option<bool>> = vec![Some(false); columns.rows];
    let mut open: Vec<u32> = (0..columns.rows as u32).collect();
    for item in list {
        if open.is_empty() {
            break;
        }
        let rows = UInt32Array::from(open.clone());
        let mine = if open.len() == columns.rows { Arc::clone(&left) } else { take(&left, &rows)? };
        let theirs = on_rows(columns, &rows, |c| eval(item, c, ctx))?;
        let hit = operator(equals, [expr.ty(), item.ty()], [mine, theirs], ctx)?;
        let mut at = 0;
        open.retain(|row| {
            let v = hit.is_valid(at).then(|| hit.value(at));
            at += 1;
            match v {
                Some(true) => state[*row as usize] = Some(true),
                None => state[*row as usize] = None,
                Some(false) => {}
            }
            v != Some(true)
        });
    }
    Ok(Arc::new(BooleanArray::from(state)))
}

fn same_form(a: PgType, b: PgType) -> bool {
    heddle_types::arrow::data_type(a) == heddle_types::arrow::data_type(b)
        && heddle_types::arrow::native_order(a) == heddle_types::arrow::native_order(b)
}

fn take(array: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef> {
    compute::take(array, rows, None).map_err(arrow_error)
}

fn in_set(left: &ArrayRef, ty: PgType, list: &[Expr], ctx: &EvalContext) -> Result<ArrayRef> {
    let values = list.iter().map(|e| eval_constant(e, ctx)).collect::<Result<Vec<_>>>()?;
    let has_null = values.iter().any(Datum::is_null);
    let keys = heddle_types::arrow::sort_key(&heddle_types::arrow::column(&values, ty)?, ty)?;
    let set: HashSet<&[u8]> = keys.as_binary::<i32>().iter().flatten().collect();
    let mine = heddle_types::arrow::sort_key(left, ty)?;
    let out: BooleanArray = mine
        .as_binary::<i32>()
        .iter()
        .map(|k| match k {
            None => None,
            Some(k) if set.contains(k) => Some(true),
            Some(_) if has_null => None,
            Some(_) => Some(false),
        })
        .collect();
    Ok(Arc::new(out))
}

pub(super) fn any_array(
    expr: &Expr,
    array: &Expr,
    op: FuncId,
    all: bool,
    columns: &Columns<'_>,
    ctx: &EvalContext,
) -> Result<ArrayRef> {
    let left = eval(expr, columns, ctx)?;
    let arrays = eval(array, columns, ctx)?;
    let elem = array.ty().element().ok_or_else(|| Error::internal("ANY over something that is no array"))?;
    let elem = PgType::new(elem.oid);
    let (mut row_of, mut elements) = (vec![], vec![]);
    for row in 0..columns.rows {
        if let Datum::Array(a) = heddle_types::arrow::datum_at(&arrays, array.ty(), row) {
            row_of.extend(std::iter::repeat_n(row as u32, a.elements.len()));
            elements.extend(a.elements.iter().cloned());
        }
    }
    let theirs = heddle_types::arrow::column(&elements, elem)?;
    let mine = take(&left, &UInt32Array::from(row_of.clone()))?;
    let hits = operator(op, [expr.ty(), elem], [mine, theirs], ctx)?;
    let mut state: Vec<Option<bool>> = (0..columns.rows).map(|r| arrays.is_valid(r).then_some(all)).collect();
    for (at, row) in row_of.iter().enumerate() {
        let s = &mut state[*row as usize];
        let v = hits.is_valid(at).then(|| hits.value(at));
        // The deciding value wins over NULL, NULL over the neutral one.
        if *s != Some(!all) && v != Some(all) {
            *s = v;
        }
    }
    Ok(Arc::new(BooleanArray::from(state)))
}

pub(super) fn construct(elements: &[Expr], ty: PgType, columns: &Columns<'_>, ctx: &EvalContext) -> Result<ArrayRef> {
    let elem = ty.element().ok_or_else(|| Error::internal("ARRAY[] of a type without array"))?;
    let parts = elements.iter().map(|e| eval(e, columns, ctx)).collect::<Result<Vec<_>>>()?;
    let nested = elements.first().is_some_and(|e| e.ty().element().is_some());
    let mut out = Vec::with_capacity(columns.rows);
    for row in 0..columns.rows {
        let values: Vec<Datum> =
            parts.iter().zip(elements).map(|(a, e)| heddle_types::arrow::datum_at(a, e.ty(), row)).collect();
        let array = if nested { stack(elem, values)? } else { PgArray::from_vec(elem.oid, values) };
        out.push(Datum::Array(Arc::new(array)));
    }
    heddle_types::arrow::column(&out, ty)
}

/// ARRAY[a, b] of arrays: one dimension more.
fn stack(elem: PgType, values: Vec<Datum>) -> Result<PgArray> {
    let mismatch = || {
        let text = "multidimensional arrays must have array expressions with matching dimensions";
        Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, text)
    };
    let count =
        i32::try_from(values.len()).map_err(|_| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array too large"))?;
    let (mut dims, mut elements) = (None, vec![]);
    for value in values {
        let inner = match value {
            Datum::Array(a) => a,
            _ => Arc::new(PgArray::from_vec(elem.oid, vec![])),
        };
        match &dims {
            None => dims = Some(inner.dims.clone()),
            Some(d) if *d != inner.dims => return Err(mismatch()),
            Some(_) => {}
        }
        elements.extend(inner.elements.iter().cloned());
    }
    let inner = dims.unwrap_or_default();
    if inner.is_empty() {
        return Ok(PgArray::from_vec(elem.oid, vec![]));
    }
    if inner.len() >= 6 {
        let text = format!("number of array dimensions ({}) exceeds the maximum allowed (6)", inner.len() + 1);
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
    }
    let dims = std::iter::once((count, 1)).chain(inner).collect();
    Ok(PgArray { elem: elem.oid, dims, elements })
}
