//! Arrays: subscripts and slices, shape, search and text forms. What builds new arrays is in [`super::array_ops`].

use super::array_ops::{count, dims_error, elem_of, equality, map, not_null_error, same, unsupported};
use super::kernel::{cast_array, k, kn};
use super::{CallTypes, Registry, ScalarKernel, cast};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, BinaryArray, Int32Array};
use heddle_types::arrow::{ColumnBuilder, datum_at};
use heddle_types::{Datum, Error, PgArray, PgType, Result, SqlState, oid};
use std::fmt::Write;
use std::sync::Arc;

/// Most dimensions of an array.
pub(super) const DIMS_MAX: usize = 6;

/// The subscripts of each row, columns of int4.
fn subscripts(args: &[ArrayRef]) -> Result<Vec<&Int32Array>> {
    args[1..].iter().map(cast_array::<Int32Array>).collect()
}

fn check_subscripts(n: usize) -> Result<()> {
    if n <= DIMS_MAX {
        return Ok(());
    }
    let message = format!("number of array dimensions ({n}) exceeds the maximum allowed ({DIMS_MAX})");
    Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message))
}

/// Place of an element in row-major order; `None` outside the array.
fn offset(a: &PgArray, subs: impl Iterator<Item = i32>) -> Option<usize> {
    let mut at = 0i64;
    for (&(len, low), s) in a.dims.iter().zip(subs) {
        let i = i64::from(s) - i64::from(low);
        if i < 0 || i >= i64::from(len) {
            return None;
        }
        at = at * i64::from(len) + i;
    }
    usize::try_from(at).ok()
}

/// `a[i]`, `a[i][j]`: NULL outside the bounds and with another number of subscripts than dimensions.
fn get(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    check_subscripts(args.len() - 1)?;
    let arrays = cast_array::<BinaryArray>(&args[0])?;
    let subs = subscripts(args)?;
    let mut out = ColumnBuilder::new(ty.ret, n);
    for i in 0..n {
        if args.iter().any(|a| a.is_null(i)) {
            out.append_null();
            continue;
        }
        let a = PgArray::from_bytes(arrays.value(i))?;
        let place = (a.dims.len() == subs.len()).then(|| offset(&a, subs.iter().map(|s| s.value(i)))).flatten();
        match place.and_then(|p| a.elements.get(p)) {
            Some(v) if !v.is_null() => out.append(v)?,
            _ => out.append_null(),
        }
    }
    Ok(out.finish())
}

/// The part of `a` within `bounds` (lower, upper by dimension; dimensions without bounds whole), renumbered from 1.
pub(super) fn slice(a: &PgArray, bounds: &[(i32, i32)]) -> PgArray {
    let empty = PgArray { elem: a.elem, dims: vec![], elements: vec![] };
    if a.dims.is_empty() || bounds.len() > a.dims.len() {
        return empty;
    }
    let mut ranges = Vec::with_capacity(a.dims.len());
    for (d, &(len, low)) in a.dims.iter().enumerate() {
        let high = i64::from(low) + i64::from(len) - 1;
        let (from, to) = bounds
            .get(d)
            .map_or((i64::from(low), high), |b| (i64::from(b.0).max(i64::from(low)), i64::from(b.1).min(high)));
        if from > to {
            return empty;
        }
        // In range of the dimension, so of usize.
        ranges.push(((from - i64::from(low)) as usize, (to - from + 1) as usize));
    }
    let mut elements = Vec::with_capacity(ranges.iter().map(|r| r.1).product());
    copy_block(a, &ranges, 0, 0, &mut elements);
    PgArray { elem: a.elem, dims: ranges.iter().map(|r| (r.1 as i32, 1)).collect(), elements }
}

fn copy_block(a: &PgArray, ranges: &[(usize, usize)], dim: usize, base: usize, out: &mut Vec<Datum>) {
    let (from, len) = ranges[dim];
    let start = base * a.dims[dim].0 as usize + from;
    if dim + 1 == ranges.len() {
        out.extend_from_slice(&a.elements[start..start + len]);
        return;
    }
    for i in start..start + len {
        copy_block(a, ranges, dim + 1, i, out);
    }
}

fn slices(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    check_subscripts((args.len() - 1) / 2)?;
    let arrays = cast_array::<BinaryArray>(&args[0])?;
    let subs = subscripts(args)?;
    let mut out = ColumnBuilder::new(ty.ret, n);
    for i in 0..n {
        if args.iter().any(|a| a.is_null(i)) {
            out.append_null();
            continue;
        }
        let a = PgArray::from_bytes(arrays.value(i))?;
        let bounds: Vec<(i32, i32)> = subs.chunks_exact(2).map(|b| (b[0].value(i), b[1].value(i))).collect();
        out.append(&Datum::Array(Arc::new(slice(&a, &bounds))))?;
    }
    Ok(out.finish())
}

fn dimension(a: &PgArray, dim: i32) -> Option<(i32, i32)> {
    usize::try_from(i64::from(dim) - 1).ok().and_then(|d| a.dims.get(d)).copied()
}

fn dims_text(a: &PgArray) -> Option<String> {
    let mut out = String::new();
    for (len, low) in &a.dims {
        // Writing to a String cannot fail.
        let _ = write!(out, "[{low}:{}]", i64::from(*low) + i64::from(*len) - 1);
    }
    (!out.is_empty()).then_some(out)
}

/// Every element of `b` that is not NULL in `a`; a NULL in `b` is in nothing.
fn contains(a: &PgArray, b: &PgArray, elem: PgType) -> bool {
    b.elements.iter().all(|x| !x.is_null() && a.elements.iter().any(|y| same(x, y, elem)))
}

fn overlaps(a: &PgArray, b: &PgArray, elem: PgType) -> bool {
    b.elements.iter().any(|x| !x.is_null() && a.elements.iter().any(|y| same(x, y, elem)))
}

macro_rules! relation {
    (|$a:ident, $b:ident, $e:ident| $body:expr) => {
        k!(_cx, ty; |$a: PgArray, $b: PgArray| -> bool {
            let $e = elem_of(ty.args[0], &$a);
            equality($e)?;
            Ok($body)
        })
    };
}

/// Positions (in the array's own numbering) of elements that are not distinct from `wanted`.
fn positions_of<'a>(a: &'a PgArray, wanted: &'a Datum, elem: PgType) -> Result<impl Iterator<Item = i32> + 'a> {
    if a.dims.len() > 1 {
        return Err(unsupported("searching for elements in multidimensional arrays is not supported"));
    }
    equality(elem)?;
    let low = a.dims.first().map_or(1, |d| d.1);
    Ok(a.elements
        .iter()
        .enumerate()
        .filter(move |(_, e)| same(e, wanted, elem))
        .map(move |(i, _)| (i64::from(low) + i as i64) as i32))
}

fn position(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        let Datum::Array(a) = &row[0] else { return Ok(Datum::Null) };
        let from = match row.get(2) {
            None => i32::MIN,
            Some(Datum::Int4(v)) => *v,
            Some(_) if a.elements.is_empty() => return Ok(Datum::Null),
            Some(_) => return Err(not_null_error("initial position must not be null")),
        };
        let found = positions_of(a, &row[1], elem_of(ty.args[0], a))?.find(|p| *p >= from);
        Ok(found.map_or(Datum::Null, Datum::Int4))
    })
}

fn positions(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        let Datum::Array(a) = &row[0] else { return Ok(Datum::Null) };
        let all = positions_of(a, &row[1], elem_of(ty.args[0], a))?.map(Datum::Int4).collect();
        Ok(Datum::Array(Arc::new(PgArray::from_vec(oid::INT4, all))))
    })
}

/// The text of an element as its output function gives it.
fn element_text(v: &Datum, ty: PgType, cx: &EvalContext) -> Result<String> {
    match v {
        Datum::Bool(b) => Ok(if *b { "t" } else { "f" }.to_owned()),
        _ => cast::to_text(v, ty, cx),
    }
}

fn to_string(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        let (Datum::Array(a), Datum::Text(sep)) = (&row[0], &row[1]) else { return Ok(Datum::Null) };
        let for_null = row.get(2).and_then(Datum::as_text);
        let elem = elem_of(ty.args[0], a);
        let mut out = String::new();
        let mut first = true;
        for v in &a.elements {
            let text = match (v, for_null) {
                (Datum::Null, None) => continue,
                (Datum::Null, Some(s)) => s.to_owned(),
                _ => element_text(v, elem, cx)?,
            };
            if !first {
                out.push_str(sep);
            }
            first = false;
            out.push_str(&text);
        }
        Ok(Datum::text(out))
    })
}

/// The fields of string_to_array and string_to_table: no separator = characters, an empty one = the whole.
fn fields(s: &str, sep: Option<&str>, null: Option<&str>) -> Vec<Datum> {
    let field = |f: &str| if null == Some(f) { Datum::Null } else { Datum::text(f) };
    match sep {
        _ if s.is_empty() => vec![],
        None => s.chars().map(|c| field(c.encode_utf8(&mut [0; 4]))).collect(),
        Some("") => vec![field(s)],
        Some(sep) => s.split(sep).map(field).collect(),
    }
}

fn from_string(s: Option<&str>, sep: Option<&str>, null: Option<&str>) -> Option<PgArray> {
    s.map(|s| PgArray::from_vec(oid::TEXT, fields(s, sep, null)))
}

fn string_to_table(
    _: &EvalContext,
    ty: &CallTypes<'_>,
    args: &[ArrayRef],
    emit: &mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>,
) -> Result<()> {
    let row: Vec<Datum> = args.iter().zip(ty.args).map(|(a, t)| datum_at(a, *t, 0)).collect();
    let Some(s) = row[0].as_text() else { return Ok(()) };
    let all = fields(s, row[1].as_text(), row.get(2).and_then(Datum::as_text));
    if !all.is_empty() {
        emit(vec![heddle_types::arrow::column(&all, PgType::new(oid::TEXT))?])?;
    }
    Ok(())
}

/// A one-dimensional int4[] without NULLs.
fn sizes(v: &Datum) -> Result<Vec<i32>> {
    let Datum::Array(a) = v else { return Err(not_null_error("dimension array or low bound array cannot be null")) };
    if a.dims.len() > 1 {
        return Err(dims_error("wrong number of array subscripts").detail("Dimension array must be one dimensional."));
    }
    let one = |d: &Datum| match d {
        Datum::Int4(v) => Ok(*v),
        _ => Err(not_null_error("dimension values cannot be null")),
    };
    a.elements.iter().map(one).collect()
}

fn fill(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| {
        if row[1..].iter().any(Datum::is_null) {
            return Err(not_null_error("dimension array or low bound array cannot be null"));
        }
        let lens = sizes(&row[1])?;
        check_subscripts(lens.len())?;
        let lows = match row.get(2) {
            Some(v) => sizes(v)?,
            None => vec![1; lens.len()],
        };
        if lows.len() != lens.len() {
            let detail = "Low bound array has different size than dimensions array.";
            return Err(dims_error("wrong number of array subscripts").detail(detail));
        }
        let total = count(&lens)?;
        let dims: Vec<(i32, i32)> = lens.into_iter().zip(lows).collect();
        for (len, low) in &dims {
            if low.checked_add(*len).is_none() {
                let message = format!("array lower bound is too large: {low}");
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
            }
        }
        let elem = ty.args[0].oid;
        let dims = if total == 0 { vec![] } else { dims };
        Ok(Datum::Array(Arc::new(PgArray { elem, dims, elements: vec![row[0].clone(); total] })))
    })
}

fn trim(a: &PgArray, n: i32) -> Result<PgArray> {
    let (len, low) = a.dims.first().copied().unwrap_or((0, 1));
    if n < 0 || n > len {
        return Err(dims_error(format!("number of elements to trim must be between 0 and {len}")));
    }
    Ok(slice(a, &[(low, (i64::from(low) + i64::from(len) - i64::from(n) - 1) as i32)]))
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("heddle_array_get(anyarray,_int4)", get as ScalarKernel);
    r.scalar("heddle_array_slice(anyarray,_int4)", slices);
    r.scalar("array_length(anyarray,int4)", k!(|a: PgArray, d: i32| -> Option<i32> = dimension(&a, d).map(|d| d.0)));
    r.scalar("array_lower(anyarray,int4)", k!(|a: PgArray, d: i32| -> Option<i32> = dimension(&a, d).map(|d| d.1)));
    r.scalar(
        "array_upper(anyarray,int4)",
        k!(|a: PgArray, d: i32| -> Option<i32> = dimension(&a, d).map(|(len, low)| low.wrapping_add(len - 1))),
    );
    r.scalar("array_dims(anyarray)", k!(|a: PgArray| -> Option<String> = dims_text(&a)));
    r.scalar("array_ndims(anyarray)", k!(|a: PgArray| -> Option<i32> = Some(a.dims.len() as i32).filter(|n| *n > 0)));
    r.scalar("cardinality(anyarray)", k!(|a: PgArray| -> i32 = a.elements.len() as i32));
    r.scalar("arraycontains(anyarray,anyarray)", relation!(|a, b, e| contains(&a, &b, e)));
    r.scalar("arraycontained(anyarray,anyarray)", relation!(|a, b, e| contains(&b, &a, e)));
    r.scalar("arrayoverlap(anyarray,anyarray)", relation!(|a, b, e| overlaps(&a, &b, e)));
    r.scalars(
        &["array_position(anycompatiblearray,anycompatible)", "array_position(anycompatiblearray,anycompatible,int4)"],
        position,
    );
    r.scalar("array_positions(anycompatiblearray,anycompatible)", positions);
    r.scalars(&["array_to_string(anyarray,text)", "array_to_string(anyarray,text,text)"], to_string);
    r.scalar(
        "string_to_array(text,text)",
        kn!(|s: Option<&str>, sep: Option<&str>| -> Option<PgArray> { Ok(from_string(s, sep, None)) }),
    );
    r.scalar(
        "string_to_array(text,text,text)",
        kn!(|s: Option<&str>, sep: Option<&str>, null: Option<&str>| -> Option<PgArray> {
            Ok(from_string(s, sep, null))
        }),
    );
    r.set("string_to_table(text,text)", string_to_table, &[]);
    r.set("string_to_table(text,text,text)", string_to_table, &[]);
    r.scalars(&["array_fill(anyelement,_int4)", "array_fill(anyelement,_int4,_int4)"], fill);
    r.scalar("trim_array(anyarray,int4)", k!(|a: PgArray, n: i32| -> PgArray { trim(&a, n) }));
}
