//! json and jsonb out of SQL values: build_object, build_array, to_json, json_object.

use super::array_ops::{dims_error, map, not_null_error};
use super::error::invalid;
use super::{CallTypes, Registry, ScalarKernel, json_build};
use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::json::{normalize, push_string};
use heddle_types::{Datum, Error, PgArray, PgType, Result, oid};

/// The key in argument `i` (0-based) of build_object.
fn key(v: &Datum, ty: PgType, i: usize, jsonb: bool, cx: &EvalContext) -> Result<String> {
    if v.is_null() {
        return Err(if jsonb {
            invalid(format!("argument {}: key must not be null", i + 1))
        } else {
            invalid(format!("argument {} cannot be null", i + 1)).hint("Object keys should be text.")
        });
    }
    if matches!(v, Datum::Array(_)) || matches!(ty.oid, oid::JSON | oid::JSONB) {
        return Err(invalid("key value must be scalar, not array, composite, or json"));
    }
    json_build::key_text(v, ty, Some(cx))
}

fn object_text(cx: &EvalContext, ty: &CallTypes<'_>, row: &[Datum], jsonb: bool) -> Result<String> {
    if row.len() % 2 == 1 {
        let name = if jsonb { "jsonb_build_object" } else { "json_build_object" };
        return Err(invalid("argument list must have even number of elements")
            .hint(format!("The arguments of {name}() must consist of alternating keys and values.")));
    }
    let mut out = String::from("{");
    for (i, pair) in row.chunks_exact(2).enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        push_string(&mut out, &key(&pair[0], ty.args[i * 2], i * 2, jsonb, cx)?);
        out.push_str(" : ");
        out.push_str(&json_build::to_json(&pair[1], ty.args[i * 2 + 1], Some(cx))?);
    }
    out.push('}');
    Ok(out)
}

fn array_text(cx: &EvalContext, ty: &CallTypes<'_>, row: &[Datum]) -> Result<String> {
    let parts = row.iter().zip(ty.args).map(|(v, t)| json_build::to_json(v, *t, Some(cx)));
    Ok(format!("[{}]", parts.collect::<Result<Vec<_>>>()?.join(", ")))
}

/// jsonb results are normalised; json keeps the text as built.
fn finish(text: String, ret: PgType) -> Result<Datum> {
    Ok(Datum::text(if ret.oid == oid::JSONB { normalize(&text)? } else { text }))
}

fn build_object(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let jsonb = ty.ret.oid == oid::JSONB;
    map(ty, args, n, |row| finish(object_text(cx, ty, row, jsonb)?, ty.ret))
}

fn build_array(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| finish(array_text(cx, ty, row)?, ty.ret))
}

fn to_json(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| match &row[0] {
        Datum::Null => Ok(Datum::Null),
        v => finish(json_build::to_json(v, ty.args[0], Some(cx))?, ty.ret),
    })
}

/// array_to_json with line feeds between the elements of the outermost dimension.
fn array_to_json_pretty(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| match (&row[0], &row[1]) {
        (Datum::Null, _) | (_, Datum::Null) => Ok(Datum::Null),
        (v, Datum::Bool(true)) => {
            let plain = json_build::to_json(v, ty.args[0], Some(cx))?;
            let parts: Vec<&str> = super::json_raw::elements(&plain).collect();
            Ok(Datum::text(format!("[{}]", parts.join(",\n "))))
        }
        (v, _) => finish(json_build::to_json(v, ty.args[0], Some(cx))?, ty.ret),
    })
}

fn members_text(pairs: impl Iterator<Item = (Datum, Datum)>) -> Result<String> {
    let mut out = String::from("{");
    for (i, (k, v)) in pairs.enumerate() {
        let Some(k) = k.as_text() else { return Err(not_null_error("null value not allowed for object key")) };
        if i > 0 {
            out.push_str(", ");
        }
        push_string(&mut out, k);
        out.push_str(" : ");
        match v.as_text() {
            Some(v) => push_string(&mut out, v),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(out)
}

/// json_object(text[]): alternating, or pairs in a second dimension.
fn from_pairs(a: &PgArray) -> Result<String> {
    match a.dims.as_slice() {
        [] => {}
        [(n, _)] if n % 2 == 0 => {}
        [_] => return Err(dims_error("array must have even number of elements")),
        [_, (2, _)] => {}
        [_, _] => return Err(dims_error("array must have two columns")),
        _ => return Err(dims_error("wrong number of array subscripts")),
    }
    members_text(a.elements.chunks_exact(2).map(|p| (p[0].clone(), p[1].clone())))
}

fn from_lists(keys: &PgArray, values: &PgArray) -> Result<String> {
    if keys.dims.len() > 1 || keys.dims.len() != values.dims.len() {
        return Err(dims_error("wrong number of array subscripts"));
    }
    if keys.elements.len() != values.elements.len() {
        return Err(dims_error("mismatched array dimensions"));
    }
    members_text(keys.elements.iter().cloned().zip(values.elements.iter().cloned()))
}

fn object(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| match row {
        [Datum::Array(a)] => finish(from_pairs(a)?, ty.ret),
        [Datum::Array(k), Datum::Array(v)] => finish(from_lists(k, v)?, ty.ret),
        _ => Ok(Datum::Null),
    })
}

/// Composite values do not exist here.
fn row_to_json(_: &EvalContext, _: &CallTypes<'_>, _: &[ArrayRef], _: usize) -> Result<ArrayRef> {
    Err(Error::unsupported("row_to_json"))
}

pub(super) fn register(r: &mut Registry) {
    let object_sigs =
        ["json_build_object(any)", "json_build_object()", "jsonb_build_object(any)", "jsonb_build_object()"];
    r.scalars(&object_sigs, build_object as ScalarKernel);
    let array_sigs = ["json_build_array(any)", "json_build_array()", "jsonb_build_array(any)", "jsonb_build_array()"];
    r.scalars(&array_sigs, build_array);
    r.scalars(&["to_json(anyelement)", "to_jsonb(anyelement)", "array_to_json(anyarray)"], to_json);
    r.scalar("array_to_json(anyarray,bool)", array_to_json_pretty);
    let text_sigs =
        ["json_object(_text)", "json_object(_text,_text)", "jsonb_object(_text)", "jsonb_object(_text,_text)"];
    r.scalars(&text_sigs, object);
    r.scalars(&["row_to_json(record)", "row_to_json(record,bool)"], row_to_json);
}
