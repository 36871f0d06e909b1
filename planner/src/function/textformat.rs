//! format(text, …): `%s`, `%I`, `%L`, `%%` with positions and widths.

use super::cast::to_text;
use super::error::invalid;
use super::{CallTypes, Registry, reg, strings};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, StringBuilder};
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, Error, PgType, Result, SqlState};
use std::sync::Arc;

/// The arguments of one row, those of a VARIADIC array spread out.
struct Row {
    values: Vec<(Datum, PgType)>,
    next: usize,
}

impl Row {
    fn take(&mut self, position: Option<usize>) -> Result<(Datum, PgType)> {
        let at = position.unwrap_or(self.next);
        self.next = at + 1;
        self.values.get(at).cloned().ok_or_else(|| invalid("too few arguments for format()"))
    }
}

/// A decimal number at the start; `None` when there is no digit.
fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Option<i32>> {
    let mut value: Option<i32> = None;
    while let Some(d) = chars.peek().and_then(|c| c.to_digit(10)) {
        let v = value.unwrap_or(0).checked_mul(10).and_then(|v| v.checked_add(d as i32));
        let too_big = || Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range");
        value = Some(v.ok_or_else(too_big)?);
        chars.next();
    }
    Ok(value)
}

fn position(n: i32) -> Result<usize> {
    if n == 0 {
        return Err(invalid("format specifies argument 0, but arguments are numbered from 1"));
    }
    Ok(n as usize - 1)
}

fn unterminated() -> Error {
    invalid("unterminated format() type specifier").hint("For a single \"%\" use \"%%\".")
}

fn one(cx: &EvalContext, template: &str, row: &mut Row) -> Result<String> {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let (mut at, mut width, mut left) = (None, 0, false);
        let mut number = digits(&mut chars)?;
        if let Some(n) = number
            && chars.next_if_eq(&'$').is_some()
        {
            at = Some(position(n)?);
            number = None;
        }
        if number.is_none() {
            while chars.next_if_eq(&'-').is_some() {
                left = true;
            }
            if chars.next_if_eq(&'*').is_some() {
                width = star_width(cx, &mut chars, row)?;
            } else {
                number = digits(&mut chars)?;
            }
        }
        if let Some(n) = number {
            width = n;
        }
        let kind = chars.next().ok_or_else(unterminated)?;
        if !matches!(kind, 's' | 'I' | 'L') {
            return Err(invalid(format!("unrecognized format() type specifier \"{kind}\""))
                .hint("For a single \"%\" use \"%%\"."));
        }
        let text = argument(cx, kind, row.take(at)?)?;
        pad(&mut out, &text, width, left);
    }
    Ok(out)
}

/// `*` or `*n$`: the width is an argument.
fn star_width(cx: &EvalContext, chars: &mut std::iter::Peekable<std::str::Chars<'_>>, row: &mut Row) -> Result<i32> {
    let at = match digits(chars)? {
        None => None,
        Some(n) => {
            chars.next_if_eq(&'$').ok_or_else(|| invalid("width argument position must be ended by \"$\""))?;
            Some(position(n)?)
        }
    };
    let (value, ty) = row.take(at)?;
    match value {
        Datum::Null => Ok(0),
        value => heddle_types::text::parse(&to_text(&value, ty, cx)?, PgType::new(heddle_types::oid::INT4), &cx.text)
            .map(|v| v.as_i64().unwrap_or(0) as i32),
    }
}

fn argument(cx: &EvalContext, kind: char, (value, ty): (Datum, PgType)) -> Result<String> {
    if value.is_null() {
        return match kind {
            's' => Ok(String::new()),
            'L' => Ok("NULL".to_owned()),
            _ => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "null values cannot be formatted as an SQL identifier",
            )),
        };
    }
    let text = match value {
        Datum::Bool(b) => if b { "t" } else { "f" }.to_owned(),
        value => to_text(&value, ty, cx)?,
    };
    Ok(match kind {
        'I' => reg::quote_ident(&text),
        'L' => strings::quote_literal(&text),
        _ => text,
    })
}

/// A negative width aligns left too.
fn pad(out: &mut String, text: &str, width: i32, left: bool) {
    let blanks = (width.unsigned_abs() as usize).saturating_sub(text.chars().count());
    let fill = " ".repeat(blanks);
    if left || width < 0 {
        out.push_str(text);
        out.push_str(&fill);
    } else {
        out.push_str(&fill);
        out.push_str(text);
    }
}

fn format(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 16);
    for i in 0..n {
        let Datum::Text(template) = datum_at(&args[0], ty.args[0], i) else {
            out.append_null();
            continue;
        };
        let values = args.iter().zip(ty.args).skip(1).map(|(a, t)| (datum_at(a, *t, i), *t)).collect();
        out.append_value(one(cx, &template, &mut Row { values, next: 0 })?);
    }
    Ok(Arc::new(out.finish()))
}

pub(super) fn register(r: &mut Registry) {
    r.scalars(&["format(text)", "format(text,any)"], format);
}
