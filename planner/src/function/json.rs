//! json and jsonb: what reads them. Operators `->`, `#>`, `@>`, `?`, comparisons, typeof, lengths and casts to scalars.

use super::error::invalid;
use super::json_raw::{self as raw, Kind};
use super::jsonval::{Json, order, order_text};
use super::kernel::{cast_array, k};
use super::{CallTypes, Comparison::*, Registry, ScalarKernel};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, PgArray, Result, oid};
use std::sync::Arc;

/// The strings of a text[] (`None` for NULLs).
pub(super) fn strings(a: &PgArray) -> Vec<Option<String>> {
    a.elements.iter().map(|e| e.as_text().map(str::to_owned)).collect()
}

/// The path of row `i`: a text[] column, or text columns when a variadic function was called; `None` with a NULL in it.
fn path_at(ty: &CallTypes<'_>, args: &[ArrayRef], i: usize) -> Option<Vec<String>> {
    let steps = match (args.get(1), ty.args.get(1)) {
        (Some(a), Some(t)) if t.element().is_some() => match datum_at(a, *t, i) {
            Datum::Array(a) => strings(&a),
            _ => return None,
        },
        _ => {
            args[1..].iter().zip(&ty.args[1..]).map(|(a, t)| datum_at(a, *t, i).as_text().map(str::to_owned)).collect()
        }
    };
    steps.into_iter().collect()
}

fn extract(ty: &CallTypes<'_>, args: &[ArrayRef], n: usize, as_text: bool) -> Result<ArrayRef> {
    let json = cast_array::<StringArray>(&args[0])?;
    let mut out = StringBuilder::with_capacity(n, n * 8);
    for i in 0..n {
        let path = if json.is_null(i) { None } else { path_at(ty, args, i) };
        match path.as_deref().and_then(|p| raw::walk(json.value(i), p)) {
            Some(v) if as_text => out.append_option(raw::text(v)),
            v => out.append_option(v),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn extract_path(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    extract(ty, args, n, false)
}

fn extract_path_text(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    extract(ty, args, n, true)
}

/// `-> n`. A jsonb scalar counts as an array of itself, as PostgreSQL stores it.
fn element<'a>(ty: &CallTypes<'_>, s: &'a str, i: i32) -> Option<&'a str> {
    if ty.args[0].oid == oid::JSONB && raw::kind(s).is_scalar() {
        return matches!(i, 0 | -1).then_some(s);
    }
    raw::element(s, i.into())
}

/// The order of jsonb on whole values equals the order of their text only by luck: parse.
macro_rules! jsonb_cmp {
    ($is:ident) => {
        k!(|a: &str, b: &str| -> bool = order_text(a, b).$is())
    };
}

/// `a @> b` of whole values: only the top level lets an array contain a bare scalar.
pub(super) fn contains(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(_), Json::Object(_)) | (Json::Array(_), Json::Array(_)) => deep_contains(a, b),
        (Json::Object(_), _) | (_, Json::Object(_)) | (_, Json::Array(_)) => false,
        (Json::Array(items), scalar) => items.iter().any(|i| order(i, scalar).is_eq()),
        (a, b) => order(a, b).is_eq(),
    }
}

fn deep_contains(a: &Json, b: &Json) -> bool {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match (a, b) {
        (Json::Object(_), Json::Object(wanted)) => {
            wanted.iter().all(|(k, v)| a.member(k).is_some_and(|have| deep_contains(have, v)))
        }
        (Json::Array(items), Json::Array(wanted)) => {
            wanted.iter().all(|w| items.iter().any(|have| deep_contains(have, w)))
        }
        (a, b) => a.kind() == b.kind() && order(a, b).is_eq(),
    })
}

/// `?`: a key of an object, a string of an array, or the string itself.
fn exists(s: &str, key: &str) -> bool {
    match raw::kind(s) {
        Kind::Object => raw::members(s).any(|(k, _)| k == key),
        Kind::Array => raw::elements(s).any(|e| raw::kind(e) == Kind::String && raw::text(e).is_some_and(|t| t == key)),
        Kind::String => raw::text(s).is_some_and(|t| t == key),
        _ => false,
    }
}

fn array_length(s: &str) -> Result<i32> {
    match raw::kind(s) {
        Kind::Array => Ok(raw::elements(s).count() as i32),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }
}

fn comparisons(r: &mut Registry) {
    r.compare("jsonb_eq(jsonb,jsonb)", Eq, jsonb_cmp!(is_eq));
    r.compare("jsonb_ne(jsonb,jsonb)", Ne, jsonb_cmp!(is_ne));
    r.compare("jsonb_lt(jsonb,jsonb)", Lt, jsonb_cmp!(is_lt));
    r.compare("jsonb_le(jsonb,jsonb)", Le, jsonb_cmp!(is_le));
    r.compare("jsonb_gt(jsonb,jsonb)", Gt, jsonb_cmp!(is_gt));
    r.compare("jsonb_ge(jsonb,jsonb)", Ge, jsonb_cmp!(is_ge));
}

pub(super) fn register(r: &mut Registry) {
    comparisons(r);
    let field = k!(|s: &str, key: &str| -> Option<String> = raw::member(s, key).map(str::to_owned));
    r.scalars(&["json_object_field(json,text)", "jsonb_object_field(jsonb,text)"], field);
    let field_text = k!(|s: &str, key: &str| -> Option<String> = raw::member(s, key).and_then(raw::text));
    r.scalars(&["json_object_field_text(json,text)", "jsonb_object_field_text(jsonb,text)"], field_text);
    let item = k!(_cx, ty; |s: &str, i: i32| -> Option<String> {
        Ok(element(ty, s, i).map(str::to_owned))
    });
    r.scalars(&["json_array_element(json,int4)", "jsonb_array_element(jsonb,int4)"], item);
    let item_text = k!(_cx, ty; |s: &str, i: i32| -> Option<String> { Ok(element(ty, s, i).and_then(raw::text)) });
    r.scalars(&["json_array_element_text(json,int4)", "jsonb_array_element_text(jsonb,int4)"], item_text);
    r.scalars(&["json_extract_path(json,_text)", "jsonb_extract_path(jsonb,_text)"], extract_path as ScalarKernel);
    r.scalars(&["json_extract_path_text(json,_text)", "jsonb_extract_path_text(jsonb,_text)"], extract_path_text);
    r.scalar(
        "jsonb_contains(jsonb,jsonb)",
        k!(|a: &str, b: &str| -> bool = contains(&Json::parse(a)?, &Json::parse(b)?)),
    );
    r.scalar(
        "jsonb_contained(jsonb,jsonb)",
        k!(|a: &str, b: &str| -> bool = contains(&Json::parse(b)?, &Json::parse(a)?)),
    );
    r.scalar("jsonb_exists(jsonb,text)", k!(|s: &str, key: &str| -> bool = exists(s, key)));
    r.scalar(
        "jsonb_exists_any(jsonb,_text)",
        k!(|s: &str, keys: PgArray| -> bool = strings(&keys).iter().flatten().any(|k| exists(s, k))),
    );
    r.scalar(
        "jsonb_exists_all(jsonb,_text)",
        k!(|s: &str, keys: PgArray| -> bool = strings(&keys).iter().flatten().all(|k| exists(s, k))),
    );
    r.scalars(&["json_typeof(json)", "jsonb_typeof(jsonb)"], k!(|s: &str| -> String = raw::kind(s).name().to_owned()));
    r.scalars(&["json_array_length(json)", "jsonb_array_length(jsonb)"], k!(|s: &str| -> i32 { array_length(s) }));
}
