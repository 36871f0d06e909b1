//! Row values: their text form, and json out of them.

use super::array_ops::map;
use super::{CallTypes, Registry, json_build};
use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::json::push_string;
use heddle_types::{Datum, PgType, Result};

/// Mode bit: the row of a FROM item, NULL when all its columns are (an outer join found no row).
pub(crate) const ROW_WHOLE: i32 = 1;
/// Mode bit: line feeds between the members of the json object.
pub(crate) const ROW_PRETTY: i32 = 2;

/// Names, mode, fields and their types.
type Parts<'a> = (&'a [Datum], i32, &'a [Datum], &'a [PgType]);

/// The parts of one row; None for a row that is not there.
fn parts<'a>(row: &'a [Datum], types: &'a [PgType]) -> Option<Parts<'a>> {
    let [Datum::Array(names), Datum::Int4(mode), fields @ ..] = row else { return None };
    let absent = mode & ROW_WHOLE != 0 && !fields.is_empty() && fields.iter().all(Datum::is_null);
    (!absent).then_some((&names.elements, *mode, fields, &types[2..]))
}

/// `(1,"a b",)`
fn text(fields: &[Datum], types: &[PgType], cx: &EvalContext) -> Result<String> {
    let mut out = String::from("(");
    for (i, (v, ty)) in fields.iter().zip(types).enumerate() {
        if i > 0 {
            out.push(',');
        }
        if !v.is_null() {
            push_field(&mut out, &super::cast::to_text(v, *ty, cx)?);
        }
    }
    out.push(')');
    Ok(out)
}

fn push_field(out: &mut String, s: &str) {
    let special = |c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || c.is_ascii_whitespace() || c == '\u{b}';
    if !s.is_empty() && !s.contains(special) {
        out.push_str(s);
        return;
    }
    out.push('"');
    for c in s.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
}

fn json(names: &[Datum], mode: i32, fields: &[Datum], types: &[PgType], cx: &EvalContext) -> Result<String> {
    let between = if mode & ROW_PRETTY != 0 { ",\n " } else { "," };
    let mut out = String::from("{");
    for (i, ((name, v), ty)) in names.iter().zip(fields).zip(types).enumerate() {
        if i > 0 {
            out.push_str(between);
        }
        push_string(&mut out, name.as_text().unwrap_or_default());
        out.push(':');
        out.push_str(&json_build::to_json(v, *ty, Some(cx))?);
    }
    out.push('}');
    Ok(out)
}

fn row(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| match parts(row, ty.args) {
        Some((_, _, fields, types)) => text(fields, types, cx).map(Datum::text),
        None => Ok(Datum::Null),
    })
}

fn row_json(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    map(ty, args, n, |row| match parts(row, ty.args) {
        Some((names, mode, fields, types)) => json(names, mode, fields, types, cx).map(Datum::text),
        None => Ok(Datum::Null),
    })
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("heddle_row(_text,int4,any)", row);
    r.scalar("heddle_row_json(_text,int4,any)", row_json);
}
