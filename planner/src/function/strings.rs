//! String functions. Positions and lengths count characters.

use super::cast::to_text;
use super::error::invalid;
use super::kernel::k;
use super::{CallTypes, Registry, reg};
use crate::context::EvalContext;
use arrow::array::{Array, ArrayRef, StringBuilder};
use heddle_types::arrow::datum_at;
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

/// Longest result repeat, lpad and rpad may make: PostgreSQL's 1 GB minus its header.
const STRING_BYTES_MAX: usize = 0x3fff_ffff - 4;

fn chars(s: &str) -> i32 {
    s.chars().count() as i32
}

fn substr(s: &str, start: i32, len: Option<i32>) -> Result<String> {
    if len.is_some_and(|l| l < 0) {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let from = i64::from(start).max(1) - 1;
    let end = len.map_or(i64::MAX, |l| i64::from(start) + i64::from(l) - 1);
    Ok(s.chars().skip(from as usize).take((end - from).max(0) as usize).collect())
}

fn left(s: &str, n: i32) -> String {
    let n = if n < 0 { (chars(s) + n).max(0) } else { n };
    s.chars().take(n as usize).collect()
}

fn right(s: &str, n: i32) -> String {
    let skip = if n < 0 { i64::from(n).abs() } else { (i64::from(chars(s)) - i64::from(n)).max(0) };
    s.chars().skip(skip as usize).collect()
}

fn pad(s: &str, n: i32, fill: &str, at_left: bool) -> Result<String> {
    let n = n.max(0) as usize;
    let have = s.chars().count();
    if have >= n || fill.is_empty() {
        return Ok(s.chars().take(n).collect());
    }
    check_len(n)?;
    let padding = fill.chars().cycle().take(n - have);
    Ok(if at_left { padding.chain(s.chars()).collect() } else { s.chars().chain(padding).collect() })
}

fn check_len(bytes: usize) -> Result<()> {
    if bytes > STRING_BYTES_MAX {
        return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large"));
    }
    Ok(())
}

/// Letters that have no single capital, such as ß, stay: as in PostgreSQL, one letter is always one letter.
fn upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
}

fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    if mapped.len() == 1 { mapped.next().unwrap_or(c) } else { c }
}

fn initcap(s: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        if inside {
            out.push(lower(c))
        } else {
            out.push(upper(c))
        }
        inside = c.is_alphanumeric();
    }
    out
}

fn position(s: &str, sub: &str) -> i32 {
    s.find(sub).map_or(0, |at| chars(&s[..at]) + 1)
}

fn translate(s: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    s.chars()
        .filter_map(|c| match from.chars().position(|f| f == c) {
            None => Some(c),
            Some(i) => to.get(i).copied(),
        })
        .collect()
}

fn split_part(s: &str, sep: &str, n: i32) -> Result<String> {
    if n == 0 {
        return Err(invalid("field position must not be zero"));
    }
    let parts: Vec<&str> = if sep.is_empty() || s.is_empty() { vec![s] } else { s.split(sep).collect() };
    let i = if n > 0 { i64::from(n) - 1 } else { parts.len() as i64 + i64::from(n) };
    Ok(usize::try_from(i).ok().and_then(|i| parts.get(i)).copied().unwrap_or("").to_owned())
}

/// A string literal; with a backslash inside it gets the E form.
pub(super) fn quote_literal(s: &str) -> String {
    let body = s.replace('\'', "''");
    if s.contains('\\') { format!("E'{}'", body.replace('\\', "\\\\")) } else { format!("'{body}'") }
}

fn concat(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 16);
    for i in 0..n {
        let mut s = String::new();
        for (a, t) in args.iter().zip(ty.args).filter(|(a, _)| a.is_valid(i)) {
            s.push_str(&concat_text(a, *t, i, cx)?);
        }
        out.append_value(s);
    }
    Ok(Arc::new(out.finish()))
}

/// concat prints booleans as their output function does.
fn concat_text(a: &ArrayRef, t: heddle_types::PgType, i: usize, cx: &EvalContext) -> Result<String> {
    match datum_at(a, t, i) {
        heddle_types::Datum::Bool(b) => Ok(if b { "t" } else { "f" }.to_owned()),
        v => to_text(&v, t, cx),
    }
}

fn concat_ws(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 16);
    for i in 0..n {
        if args[0].is_null(i) {
            out.append_null();
            continue;
        }
        let sep = to_text(&datum_at(&args[0], ty.args[0], i), ty.args[0], cx)?;
        let mut parts = Vec::new();
        for (a, t) in args.iter().zip(ty.args).skip(1).filter(|(a, _)| a.is_valid(i)) {
            parts.push(concat_text(a, *t, i, cx)?);
        }
        out.append_value(parts.join(&sep));
    }
    Ok(Arc::new(out.finish()))
}

/// text || anynonarray and the reverse: the other side in its text form.
fn cat_any(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 16);
    for i in 0..n {
        if args[0].is_null(i) || args[1].is_null(i) {
            out.append_null();
            continue;
        }
        let mut s = to_text(&datum_at(&args[0], ty.args[0], i), ty.args[0], cx)?;
        s.push_str(&to_text(&datum_at(&args[1], ty.args[1], i), ty.args[1], cx)?);
        out.append_value(s);
    }
    Ok(Arc::new(out.finish()))
}

/// quote_literal(anyelement), quote_nullable: NULL is the word for the latter.
fn quote_any(cx: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let mut out = StringBuilder::with_capacity(n, n * 16);
    for i in 0..n {
        match args[0].is_null(i) {
            true => out.append_value("NULL"),
            false => out.append_value(quote_literal(&to_text(&datum_at(&args[0], ty.args[0], i), ty.args[0], cx)?)),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn chr(n: i32) -> Result<String> {
    let limit = |m: String| Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, m);
    match n {
        0 => Err(limit("null character not permitted".to_owned())),
        n if n < 0 => Err(limit("character number must be positive".to_owned())),
        n => char::from_u32(n as u32)
            .map(String::from)
            .ok_or_else(|| limit(format!("requested character not valid for encoding: {n}"))),
    }
}

fn overlay(s: &str, with: &str, start: i32, len: i32) -> Result<String> {
    if start <= 0 {
        return Err(Error::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let tail = start.checked_add(len).ok_or_else(|| super::error::out_of_range("integer"))?;
    Ok(format!("{}{with}{}", substr(s, 1, Some(start - 1))?, substr(s, tail, None)?))
}

pub(super) fn register(r: &mut Registry) {
    lengths(r);
    parts(r);
    changes(r);
    r.scalars(&["concat(any)"], concat);
    r.scalars(&["concat_ws(text,any)"], concat_ws);
    r.scalar("textcat(text,text)", k!(|a: &str, b: &str| -> String = format!("{a}{b}")));
    r.scalars(&["textanycat(text,anynonarray)", "anytextcat(anynonarray,text)"], cat_any);
    r.scalar("byteacat(bytea,bytea)", k!(|a: &[u8], b: &[u8]| -> Vec<u8> = [a, b].concat()));
    r.scalar("quote_ident(text)", k!(|s: &str| -> String = reg::quote_ident(s)));
    r.scalar("quote_literal(text)", k!(|s: &str| -> String = quote_literal(s)));
    r.scalars(&["quote_nullable(text)", "quote_nullable(anyelement)", "quote_literal(anyelement)"], quote_any);
}

fn lengths(r: &mut Registry) {
    r.scalars(
        &[
            "length(text)",
            "char_length(text)",
            "character_length(text)",
            "length(bpchar)",
            "char_length(bpchar)",
            "character_length(bpchar)",
        ],
        k!(|s: &str| -> i32 = chars(s)),
    );
    r.scalar("octet_length(text)", k!(|s: &str| -> i32 = s.len() as i32));
    // The blanks that char(n) is padded with are not kept, but they count.
    r.scalar(
        "octet_length(bpchar)",
        k!(_cx, ty; |s: &str| -> i32 = s.len() as i32 + (ty.args[0].typmod - 4 - s.chars().count() as i32).max(0)),
    );
    r.scalars(&["octet_length(bytea)", "length(bytea)"], k!(|s: &[u8]| -> i32 = s.len() as i32));
    r.scalar("bit_length(text)", k!(|s: &str| -> i32 = s.len() as i32 * 8));
    r.scalars(&["position(text,text)", "strpos(text,text)"], k!(|s: &str, p: &str| -> i32 = position(s, p)));
    r.scalar("ascii(text)", k!(|s: &str| -> i32 = s.chars().next().map_or(0, |c| c as i32)));
    r.scalar("starts_with(text,text)", k!(|s: &str, p: &str| -> bool = s.starts_with(p)));
}

fn parts(r: &mut Registry) {
    r.scalars(&["substr(text,int4)", "substring(text,int4)"], k!(|s: &str, a: i32| -> String { substr(s, a, None) }));
    r.scalars(
        &["substr(text,int4,int4)", "substring(text,int4,int4)"],
        k!(|s: &str, a: i32, n: i32| -> String { substr(s, a, Some(n)) }),
    );
    r.scalar("left(text,int4)", k!(|s: &str, n: i32| -> String = left(s, n)));
    r.scalar("right(text,int4)", k!(|s: &str, n: i32| -> String = right(s, n)));
    r.scalar("split_part(text,text,int4)", k!(|s: &str, p: &str, n: i32| -> String { split_part(s, p, n) }));
    r.scalar("overlay(text,text,int4)", k!(|s: &str, w: &str, a: i32| -> String { overlay(s, w, a, chars(w)) }));
    r.scalar("overlay(text,text,int4,int4)", k!(|s: &str, w: &str, a: i32, n: i32| -> String { overlay(s, w, a, n) }));
    r.scalar("btrim(text)", k!(|s: &str| -> String = s.trim_matches(' ').to_owned()));
    r.scalar("ltrim(text)", k!(|s: &str| -> String = s.trim_start_matches(' ').to_owned()));
    r.scalar("rtrim(text)", k!(|s: &str| -> String = s.trim_end_matches(' ').to_owned()));
    r.scalar("btrim(text,text)", k!(|s: &str, c: &str| -> String = s.trim_matches(|x| c.contains(x)).to_owned()));
    r.scalar("ltrim(text,text)", k!(|s: &str, c: &str| -> String = s.trim_start_matches(|x| c.contains(x)).to_owned()));
    r.scalar("rtrim(text,text)", k!(|s: &str, c: &str| -> String = s.trim_end_matches(|x| c.contains(x)).to_owned()));
}

fn changes(r: &mut Registry) {
    r.scalar("upper(text)", k!(|s: &str| -> String = s.chars().map(upper).collect()));
    r.scalar("lower(text)", k!(|s: &str| -> String = s.chars().map(lower).collect()));
    r.scalar("initcap(text)", k!(|s: &str| -> String = initcap(s)));
    r.scalar("lpad(text,int4)", k!(|s: &str, n: i32| -> String { pad(s, n, " ", true) }));
    r.scalar("lpad(text,int4,text)", k!(|s: &str, n: i32, f: &str| -> String { pad(s, n, f, true) }));
    r.scalar("rpad(text,int4)", k!(|s: &str, n: i32| -> String { pad(s, n, " ", false) }));
    r.scalar("rpad(text,int4,text)", k!(|s: &str, n: i32, f: &str| -> String { pad(s, n, f, false) }));
    r.scalar(
        "repeat(text,int4)",
        k!(|s: &str, n: i32| -> String {
            let n = n.max(0) as usize;
            check_len(s.len().saturating_mul(n))?;
            Ok(s.repeat(n))
        }),
    );
    r.scalar(
        "replace(text,text,text)",
        k!(|s: &str, a: &str, b: &str| -> String = if a.is_empty() { s.to_owned() } else { s.replace(a, b) }),
    );
    r.scalar("translate(text,text,text)", k!(|s: &str, a: &str, b: &str| -> String = translate(s, a, b)));
    r.scalar("reverse(text)", k!(|s: &str| -> String = s.chars().rev().collect()));
    r.scalar("chr(int4)", k!(|n: i32| -> String { chr(n) }));
    r.scalar("to_hex(int4)", k!(|n: i32| -> String = format!("{n:x}")));
    r.scalar("to_hex(int8)", k!(|n: i64| -> String = format!("{n:x}")));
}
