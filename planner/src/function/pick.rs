//! greatest and least: the binder brings the arguments to one type; NULLs do not count. num_nulls and num_nonnulls count them.

use super::{CallTypes, Registry, ScalarKernel};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, Int32Array, make_comparator, new_null_array};
use arrow::compute::{SortOptions, interleave};
use heddle_types::arrow::{datum_at, native_order, sort_key};
use heddle_types::{Datum, Error, Result};
use std::cmp::Ordering;
use std::sync::Arc;

/// The index of the winning argument per row, or that of the NULL column after them.
fn pick(ty: &CallTypes<'_>, args: &[ArrayRef], n: usize, wanted: Ordering) -> Result<ArrayRef> {
    let Some(first) = args.first() else { return Err(Error::internal("greatest or least without arguments")) };
    // Types whose Arrow order is not PostgreSQL's compare by their sort keys.
    let keys = args
        .iter()
        .zip(ty.args)
        .map(|(a, t)| if native_order(*t) { Ok(a.clone()) } else { sort_key(a, *t) })
        .collect::<Result<Vec<_>>>()?;
    let mut best: Vec<usize> = (0..n).map(|i| if first.is_valid(i) { 0 } else { args.len() }).collect();
    for j in 1..args.len() {
        let against = (0..j)
            .map(|b| make_comparator(&keys[j], &keys[b], SortOptions::default()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(super::error::arrow_error)?;
        for (i, b) in best.iter_mut().enumerate() {
            if args[j].is_valid(i) && (*b == args.len() || against[*b](i, i) == wanted) {
                *b = j;
            }
        }
    }
    let null = new_null_array(first.data_type(), 1);
    let sources: Vec<&dyn Array> = args.iter().chain([&null]).map(|a| a.as_ref()).collect();
    let at: Vec<(usize, usize)> =
        best.into_iter().enumerate().map(|(i, b)| (b, if b == args.len() { 0 } else { i })).collect();
    interleave(&sources, &at).map_err(super::error::arrow_error)
}

/// How many arguments are NULL (or not), or how many elements of a VARIADIC array.
fn count(args: &[ArrayRef], ty: &CallTypes<'_>, n: usize, nulls: bool) -> Result<ArrayRef> {
    let one = |i: usize| match args {
        [array] if ty.args.first().is_some_and(|t| t.element().is_some()) => match datum_at(array, ty.args[0], i) {
            Datum::Array(a) => Some(a.elements.iter().filter(|e| e.is_null() == nulls).count() as i32),
            _ => None,
        },
        _ => Some(args.iter().filter(|a| a.is_null(i) == nulls).count() as i32),
    };
    Ok(Arc::new((0..n).map(one).collect::<Int32Array>()))
}

pub(super) fn register(r: &mut Registry) {
    let greatest: ScalarKernel = |_: &EvalContext, ty, args, n| pick(ty, args, n, Ordering::Greater);
    let least: ScalarKernel = |_: &EvalContext, ty, args, n| pick(ty, args, n, Ordering::Less);
    r.scalar("greatest(anycompatiblearray)", greatest);
    r.scalar("least(anycompatiblearray)", least);
    r.scalar("num_nulls(any)", |_, ty, args, n| count(args, ty, n, true));
    r.scalar("num_nonnulls(any)", |_, ty, args, n| count(args, ty, n, false));
}
