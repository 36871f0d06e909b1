//! Set-returning functions over json and jsonb: elements, members, keys.

use super::error::invalid;
use super::json_raw::{self as raw, Kind};
use super::kernel::cast_array;
use super::{CallTypes, Registry};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, StringArray};
use heddle_types::{Result, oid};
use std::sync::Arc;

/// Rows per chunk.
const CHUNK: usize = 8192;

type Emit<'a> = &'a mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>;

/// How messages differ between json and jsonb.
fn is_jsonb(ty: &CallTypes<'_>) -> bool {
    ty.args[0].oid == oid::JSONB
}

fn text_column(values: Vec<Option<String>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn elements(ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>, as_text: bool) -> Result<()> {
    if args[0].is_null(0) {
        return Ok(());
    }
    let s = cast_array::<StringArray>(&args[0])?.value(0);
    let name = if as_text { "json_array_elements_text" } else { "json_array_elements" };
    match (raw::kind(s), is_jsonb(ty)) {
        (Kind::Array, _) => {}
        (Kind::Object, true) => return Err(invalid("cannot extract elements from an object")),
        (_, true) => return Err(invalid("cannot extract elements from a scalar")),
        (Kind::Object, false) => return Err(invalid(format!("cannot call {name} on a non-array"))),
        (_, false) => return Err(invalid(format!("cannot call {name} on a scalar"))),
    }
    let mut all = raw::elements(s);
    loop {
        let value = |v: &str| if as_text { raw::text(v) } else { Some(v.to_owned()) };
        let chunk: Vec<Option<String>> = all.by_ref().take(CHUNK).map(value).collect();
        if chunk.is_empty() || !emit(vec![text_column(chunk)])? {
            return Ok(());
        }
    }
}

fn array_elements(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    elements(ty, args, emit, false)
}

fn array_elements_text(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    elements(ty, args, emit, true)
}

fn members(ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>, as_text: bool) -> Result<()> {
    if args[0].is_null(0) {
        return Ok(());
    }
    let s = cast_array::<StringArray>(&args[0])?.value(0);
    let name = if as_text { "jsonb_each_text" } else { "jsonb_each" };
    match (raw::kind(s), is_jsonb(ty)) {
        (Kind::Object, _) => {}
        (_, true) => return Err(invalid(format!("cannot call {name} on a non-object"))),
        (Kind::Array, false) => return Err(invalid("cannot deconstruct an array as an object")),
        (_, false) => return Err(invalid("cannot deconstruct a scalar")),
    }
    let mut all = raw::members(s);
    loop {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for (key, value) in all.by_ref().take(CHUNK) {
            keys.push(Some(key));
            values.push(if as_text { raw::text(value) } else { Some(value.to_owned()) });
        }
        if keys.is_empty() || !emit(vec![text_column(keys), text_column(values)])? {
            return Ok(());
        }
    }
}

fn each(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    members(ty, args, emit, false)
}

fn each_text(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    members(ty, args, emit, true)
}

fn object_keys(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if args[0].is_null(0) {
        return Ok(());
    }
    let s = cast_array::<StringArray>(&args[0])?.value(0);
    let name = if is_jsonb(ty) { "jsonb_object_keys" } else { "json_object_keys" };
    match raw::kind(s) {
        Kind::Object => {}
        Kind::Array => return Err(invalid(format!("cannot call {name} on an array"))),
        _ => return Err(invalid(format!("cannot call {name} on a scalar"))),
    }
    let mut all = raw::members(s);
    loop {
        let chunk: Vec<Option<String>> = all.by_ref().take(CHUNK).map(|m| Some(m.0)).collect();
        if chunk.is_empty() || !emit(vec![text_column(chunk)])? {
            return Ok(());
        }
    }
}

pub(super) fn register(r: &mut Registry) {
    r.set("json_array_elements(json)", array_elements, &[("value", oid::JSON)]);
    r.set("jsonb_array_elements(jsonb)", array_elements, &[("value", oid::JSONB)]);
    r.set("json_array_elements_text(json)", array_elements_text, &[("value", oid::TEXT)]);
    r.set("jsonb_array_elements_text(jsonb)", array_elements_text, &[("value", oid::TEXT)]);
    r.set("json_each(json)", each, &[("key", oid::TEXT), ("value", oid::JSON)]);
    r.set("jsonb_each(jsonb)", each, &[("key", oid::TEXT), ("value", oid::JSONB)]);
    r.set("json_each_text(json)", each_text, &[("key", oid::TEXT), ("value", oid::TEXT)]);
    r.set("jsonb_each_text(jsonb)", each_text, &[("key", oid::TEXT), ("value", oid::TEXT)]);
    r.set("json_object_keys(json)", object_keys, &[]);
    r.set("jsonb_object_keys(jsonb)", object_keys, &[]);
}
