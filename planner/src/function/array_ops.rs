//! Functions that make arrays out of arrays: `||`, array_append, array_remove and their kin; and what [`super::array`] shares
//! with them.

use super::compare::datum_order;
use super::error::out_of_range;
use super::{CallTypes, Comparison, Registry, ScalarKernel};
use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::arrow::{ColumnBuilder, datum_at};
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState};
use std::sync::Arc;

/// Most elements of an array.
const ELEMENTS_MAX: usize = 134_217_727;
/// PostgreSQL's limit for one allocation; arrays beyond it are refused there too.
const BYTES_MAX: usize = 0x3fff_ffff;

/// `2202E`
pub(super) fn dims_error(message: impl Into<String>) -> Error {
    Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// `22004`
pub(super) fn not_null_error(message: &str) -> Error {
    Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
}

/// `0A000` in PostgreSQL's own words.
pub(super) fn unsupported(message: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

/// Runs `f` over the rows as values; it sees NULLs.
pub(super) fn map(
    ty: &CallTypes<'_>,
    args: &[ArrayRef],
    n: usize,
    mut f: impl FnMut(&[Datum]) -> Result<Datum>,
) -> Result<ArrayRef> {
    let mut out = ColumnBuilder::new(ty.ret, n);
    let mut row = Vec::with_capacity(args.len());
    for i in 0..n {
        row.clear();
        row.extend(args.iter().zip(ty.args).map(|(a, t)| datum_at(a, *t, i)));
        match f(&row)? {
            Datum::Null => out.append_null(),
            v => out.append(&v)?,
        }
    }
    Ok(out.finish())
}

/// The element type of an array argument.
pub(super) fn elem_of(ty: PgType, a: &PgArray) -> PgType {
    ty.element().unwrap_or(PgType::new(a.elem))
}

/// Equal, NULL to NULL too.
pub(super) fn same(a: &Datum, b: &Datum, elem: PgType) -> bool {
    datum_order(a, b, elem).is_eq()
}

/// Fails for element types without `=`.
pub(super) fn equality(elem: PgType) -> Result<()> {
    if super::comparison(elem.oid, Comparison::Eq).is_some() {
        return Ok(());
    }
    let message = format!("could not identify an equality operator for type {}", elem.sql_name());
    Err(Error::new(SqlState::UNDEFINED_FUNCTION, message))
}

/// The number of elements that lengths give; `54000` beyond the limits.
pub(super) fn count(lens: &[i32]) -> Result<usize> {
    let too_big = || {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message)
    };
    let mut total = usize::from(!lens.is_empty());
    for len in lens {
        let len = usize::try_from(*len).map_err(|_| too_big())?;
        total = total.checked_mul(len).filter(|t| *t <= ELEMENTS_MAX).ok_or_else(too_big)?;
    }
    if total.saturating_mul(size_of::<Datum>()) > BYTES_MAX {
        return Err(too_big());
    }
    Ok(total)
}

fn array(v: &Datum) -> Option<&Arc<PgArray>> {
    match v {
        Datum::Array(a) => Some(a),
        _ => None,
    }
}

fn incompatible(detail: impl Into<String>) -> Error {
    dims_error("cannot concatenate incompatible arrays").detail(detail)
}

/// array || array: of equal depth end to end, or one as an element of the other.
fn concat(a: &PgArray, b: &PgArray) -> Result<PgArray> {
    let (n, m) = (a.dims.len(), b.dims.len());
    if n == 0 {
        return Ok(b.clone());
    }
    if m == 0 {
        return Ok(a.clone());
    }
    let differing = "Arrays with differing dimensions are not compatible for concatenation.";
    let (mut dims, added) = if n == m {
        if a.dims[1..] != b.dims[1..] {
            return Err(incompatible("Arrays with differing element dimensions are not compatible for concatenation."));
        }
        (a.dims.clone(), b.dims[0].0)
    } else if n == m + 1 {
        if a.dims[1..] != b.dims[..] {
            return Err(incompatible(differing));
        }
        (a.dims.clone(), 1)
    } else if m == n + 1 {
        if b.dims[1..] != a.dims[..] {
            return Err(incompatible(differing));
        }
        (b.dims.clone(), 1)
    } else {
        let detail = format!("Arrays of {n} and {m} dimensions are not compatible for concatenation.");
        return Err(incompatible(detail));
    };
    dims[0].0 = dims[0].0.checked_add(added).ok_or_else(|| out_of_range("integer"))?;
    count(&dims.iter().map(|d| d.0).collect::<Vec<_>>())?;
    dims[0].1.checked_add(dims[0].0).ok_or_else(|| {
        Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, format!("array lower bound is too large: {}", dims[0].1))
    })?;
    let mut elements = a.elements.clone();
    elements.extend_from_slice(&b.elements);
    Ok(PgArray { elem: a.elem, dims, elements })
}

fn cat(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        Ok(match (array(&row[0]), array(&row[1])) {
            (Some(a), Some(b)) => Datum::Array(Arc::new(concat(a, b)?)),
            (None, _) => row[1].clone(),
            (_, None) => row[0].clone(),
        })
    })
}

/// One element more, at the end or the front (which keeps the lower bound).
fn extend(ty: &CallTypes<'_>, a: &Datum, v: &Datum, front: bool) -> Result<Datum> {
    let elem = ty.ret.element().map_or(ty.ret.oid, |e| e.oid);
    let Some(a) = array(a) else {
        return Ok(Datum::Array(Arc::new(PgArray::from_vec(elem, vec![v.clone()]))));
    };
    if a.dims.len() > 1 {
        return Err(Error::new(SqlState("22000"), "argument must be empty or one-dimensional array"));
    }
    let (len, low) = a.dims.first().copied().unwrap_or((0, 1));
    // The new element's subscript must exist.
    if front { low.checked_sub(1) } else { low.checked_add(len) }.ok_or_else(|| out_of_range("integer"))?;
    count(&[len + 1])?;
    let mut elements = Vec::with_capacity(a.elements.len() + 1);
    if front {
        elements.push(v.clone());
    }
    elements.extend_from_slice(&a.elements);
    if !front {
        elements.push(v.clone());
    }
    Ok(Datum::Array(Arc::new(PgArray { elem, dims: vec![(len + 1, low)], elements })))
}

fn append(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| extend(ty, &row[0], &row[1], false))
}

fn prepend(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| extend(ty, &row[1], &row[0], true))
}

fn remove(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        let Some(a) = array(&row[0]) else { return Ok(Datum::Null) };
        if a.dims.len() > 1 {
            return Err(unsupported("removing elements from multidimensional arrays is not supported"));
        }
        let elem = elem_of(ty.args[0], a);
        equality(elem)?;
        let elements: Vec<Datum> = a.elements.iter().filter(|e| !same(e, &row[1], elem)).cloned().collect();
        let dims = match a.dims.first() {
            Some((_, low)) if !elements.is_empty() => vec![(elements.len() as i32, *low)],
            _ => vec![],
        };
        Ok(Datum::Array(Arc::new(PgArray { elem: a.elem, dims, elements })))
    })
}

fn replace(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        let Some(a) = array(&row[0]) else { return Ok(Datum::Null) };
        let elem = elem_of(ty.args[0], a);
        equality(elem)?;
        let put = |e: &Datum| if same(e, &row[1], elem) { row[2].clone() } else { e.clone() };
        let elements = a.elements.iter().map(put).collect();
        Ok(Datum::Array(Arc::new(PgArray { elem: a.elem, dims: a.dims.clone(), elements })))
    })
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("array_cat(anycompatiblearray,anycompatiblearray)", cat as ScalarKernel);
    r.scalar("array_append(anycompatiblearray,anycompatible)", append);
    r.scalar("array_prepend(anycompatible,anycompatiblearray)", prepend);
    r.scalar("array_remove(anycompatiblearray,anycompatible)", remove);
    r.scalar("array_replace(anycompatiblearray,anycompatible,anycompatible)", replace);
}
