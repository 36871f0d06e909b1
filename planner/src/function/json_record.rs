//! json_to_record and json_to_recordset: objects as rows of the columns that the query lists.
//!
//! The binder calls `heddle_json_rows(json, names, types, many)`; types are OIDs.

use super::error::invalid;
use super::json_raw::{self as raw, Kind};
use super::{CallTypes, Registry};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef};
use heddle_types::arrow::{column, datum_at};
use heddle_types::{Datum, Error, Oid, PgType, Result, oid, text};

/// Rows per chunk.
const CHUNK: usize = 1024;

type Emit<'a> = &'a mut dyn FnMut(Vec<ArrayRef>) -> Result<bool>;

/// A member as a value of a column's type: json stays json, arrays become arrays, the rest is read as text.
fn value(json: &str, ty: PgType, cx: &EvalContext) -> Result<Datum> {
    if raw::kind(json) == Kind::Null && ty.oid != oid::JSON && ty.oid != oid::JSONB {
        return Ok(Datum::Null);
    }
    if matches!(ty.oid, oid::JSON | oid::JSONB) {
        return text::parse(json.trim(), ty, &cx.text);
    }
    if ty.element().is_some() && raw::kind(json) == Kind::Array {
        return text::parse(&array_text(json), ty, &cx.text);
    }
    match raw::text(json) {
        Some(s) => text::parse(&s, ty, &cx.text),
        None => Ok(Datum::Null),
    }
}

/// `[1, [2, "a"]]` as `{"1",{"2","a"}}`
fn array_text(json: &str) -> String {
    let one = |e: &str| match raw::kind(e) {
        Kind::Null => "NULL".to_owned(),
        Kind::Array => array_text(e),
        _ => {
            let s = raw::text(e).unwrap_or_default();
            format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    format!("{{{}}}", raw::elements(json).map(one).collect::<Vec<_>>().join(","))
}

fn list(args: &[ArrayRef], types: &[PgType], at: usize) -> Vec<Datum> {
    match datum_at(&args[at], types[at], 0) {
        Datum::Array(a) => a.elements.clone(),
        _ => vec![],
    }
}

fn rows(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], emit: Emit<'_>) -> Result<()> {
    if args[0].is_null(0) {
        return Ok(());
    }
    let Datum::Text(json) = datum_at(&args[0], ty.args[0], 0) else {
        return Err(Error::internal("json_to_record without json"));
    };
    let names = list(args, ty.args, 1);
    let types: Vec<PgType> =
        list(args, ty.args, 2).iter().map(|d| PgType::new(Oid(d.as_i64().unwrap_or(0) as u32))).collect();
    let many = datum_at(&args[3], ty.args[3], 0) == Datum::Bool(true);
    let function = if many { "json_to_recordset" } else { "json_to_record" };
    let mut objects: Box<dyn Iterator<Item = &str>> = match (many, raw::kind(&json)) {
        (true, Kind::Array) => Box::new(raw::elements(&json)),
        (false, Kind::Object) => Box::new(std::iter::once(&*json)),
        (true, Kind::Object) => return Err(invalid(format!("cannot call {function} on an object"))),
        (true, _) => return Err(invalid(format!("cannot call {function} on a scalar"))),
        (false, Kind::Array) => return Err(invalid("cannot call json_to_record on an array")),
        (false, _) => return Err(invalid("cannot call json_to_record on a scalar")),
    };
    loop {
        let mut columns: Vec<Vec<Datum>> = vec![vec![]; types.len()];
        let mut n = 0;
        for object in objects.by_ref().take(CHUNK) {
            if raw::kind(object) != Kind::Object {
                return Err(invalid(format!("argument of {function} must be an array of objects")));
            }
            n += 1;
            for ((name, ty), out) in names.iter().zip(&types).zip(&mut columns) {
                let member = raw::member(object, name.as_text().unwrap_or_default());
                out.push(member.map_or(Ok(Datum::Null), |m| value(m, *ty, cx))?);
            }
        }
        if n == 0 {
            return Ok(());
        }
        let arrays = columns.iter().zip(&types).map(|(c, ty)| column(c, *ty)).collect::<Result<Vec<_>>>()?;
        if !emit(arrays)? {
            return Ok(());
        }
    }
}

pub(super) fn register(r: &mut Registry) {
    r.set("heddle_json_rows(json,_text,_int8,bool)", rows, &[]);
    r.set("heddle_json_rows(jsonb,_text,_int8,bool)", rows, &[]);
}
