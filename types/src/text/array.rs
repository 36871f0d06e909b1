//! Array literals: any dimensions up to six, lower bounds, quoting both ways, NULL elements; and int2vector.
//!
//! The checks and their order are those of PostgreSQL 15's ArrayCount and ReadArrayStr.

use super::integer::{is_space, push_int};
use super::{TextSettings, format, parse};
use crate::{Datum, Error, PgArray, PgType, Result, SqlState, oid};
use std::sync::Arc;

/// PostgreSQL's MAXDIM.
const DIMS_MAX: usize = 6;
/// PostgreSQL's MaxArraySize.
const ELEMENTS_MAX: i64 = 134_217_727;

fn malformed(s: &str, detail: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{s}\"")).detail(detail)
}

fn malformed_bare(s: &str) -> Error {
    Error::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{s}\""))
}

fn too_many_dims(n: usize) -> Error {
    Error::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({n}) exceeds the maximum allowed ({DIMS_MAX})"),
    )
}

/// Parses an array literal whose elements are `elem`.
///
/// # Errors
/// `22P02` `malformed array literal` with DETAIL, `2202E` for bad bounds, `54000` for too many dimensions, and the
/// element type's own errors.
pub fn parse_array(s: &str, elem: PgType, settings: &TextSettings) -> Result<PgArray> {
    let b = s.as_bytes();
    let mut at = skip_spaces(b, 0);
    let bounds = parse_bounds(s, &mut at)?;
    if bounds.is_some() {
        if b.get(at) != Some(&b'=') {
            return Err(malformed(s, "Missing \"=\" after array dimensions."));
        }
        at = skip_spaces(b, at + 1);
        if b.get(at) != Some(&b'{') {
            return Err(malformed(s, "Array contents must start with \"{\"."));
        }
    } else if b.get(at) != Some(&b'{') {
        return Err(malformed(s, "Array value must start with \"{\" or dimension information."));
    }
    let shape = count(s, at)?;
    let dims = match bounds {
        None => shape.iter().map(|n| (*n, 1)).collect::<Vec<_>>(),
        Some(bounds) => {
            if bounds.len() != shape.len() || bounds.iter().zip(&shape).any(|(b, n)| b.0 != *n) {
                return Err(malformed(s, "Specified array dimensions do not match array contents."));
            }
            bounds
        }
    };
    let total = dims.iter().try_fold(1i64, |n, d| n.checked_mul(d.0.into()).filter(|n| *n <= ELEMENTS_MAX));
    if total.is_none() {
        return Err(Error::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})"),
        ));
    }
    for (n, low) in &dims {
        if low.checked_add(*n).is_none() {
            let message = format!("array lower bound is too large: {low}");
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
        }
    }
    let elements = read_elements(s, at, elem, settings)?;
    if elements.is_empty() || dims.is_empty() {
        return Ok(PgArray { elem: elem.oid, dims: vec![], elements: vec![] });
    }
    Ok(PgArray { elem: elem.oid, dims, elements })
}

fn skip_spaces(b: &[u8], mut at: usize) -> usize {
    while at < b.len() && is_space(b[at]) {
        at += 1;
    }
    at
}

/// `[l:u][n]…` as (length, lower bound) pairs; `None` when the literal starts with its braces.
fn parse_bounds(s: &str, at: &mut usize) -> Result<Option<Vec<(i32, i32)>>> {
    let b = s.as_bytes();
    let mut dims = Vec::new();
    loop {
        *at = skip_spaces(b, *at);
        if b.get(*at) != Some(&b'[') {
            break;
        }
        *at += 1;
        if dims.len() >= DIMS_MAX {
            return Err(too_many_dims(dims.len() + 1));
        }
        let first = read_bound(s, at)?;
        let (low, high) = if b.get(*at) == Some(&b':') {
            *at += 1;
            (first, read_bound(s, at).map_err(|_| malformed(s, "Missing array dimension value."))?)
        } else {
            (1, first)
        };
        if b.get(*at) != Some(&b']') {
            return Err(malformed(s, "Missing \"]\" after array dimensions."));
        }
        *at += 1;
        if high < low {
            let message = "upper bound cannot be less than lower bound";
            return Err(Error::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message));
        }
        let n = i64::from(high) - i64::from(low) + 1;
        // A length that does not fit cannot match the contents, which the caller compares.
        let n = i32::try_from(n).unwrap_or(i32::MAX);
        dims.push((n, low));
    }
    Ok((!dims.is_empty()).then_some(dims))
}

fn read_bound(s: &str, at: &mut usize) -> Result<i32> {
    let rest = &s[*at..];
    let len = rest.bytes().take_while(|c| c.is_ascii_digit() || matches!(c, b'-' | b'+')).count();
    if len == 0 {
        return Err(malformed(s, "\"[\" must introduce explicitly-specified array dimensions."));
    }
    *at += len;
    // PostgreSQL reads with atoi; what does not fit cannot be a usable bound.
    rest[..len].parse().map_err(|_| malformed(s, "\"[\" must introduce explicitly-specified array dimensions."))
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    NoLevel,
    LevelStarted,
    ElemStarted,
    QuotedStarted,
    QuotedCompleted,
    ElemDelimited,
    LevelCompleted,
    LevelDelimited,
}

/// The shape of the braces at `start`, with every syntax check. PostgreSQL's ArrayCount.
fn count(s: &str, start: usize) -> Result<Vec<i32>> {
    use State::*;
    let b = s.as_bytes();
    let unexpected = |c: u8| malformed(s, format!("Unexpected \"{}\" character.", c as char));
    let end = || malformed(s, "Unexpected end of input.");
    let ragged = || malformed(s, "Multidimensional arrays must have sub-arrays with matching dimensions.");
    let mut state = NoLevel;
    let mut dims: Vec<i32> = Vec::new();
    let (mut seen, mut done): ([i32; DIMS_MAX], [i32; DIMS_MAX]) = ([0; DIMS_MAX], [0; DIMS_MAX]);
    let (mut level, mut quoted, mut empty) = (0usize, false, true);
    let mut i = start;
    loop {
        let mut item_done = false;
        while !item_done {
            if state == ElemStarted || state == QuotedStarted {
                empty = false;
            }
            let c = *b.get(i).ok_or_else(end)?;
            match c {
                b'\\' => {
                    if !matches!(state, LevelStarted | ElemStarted | QuotedStarted | ElemDelimited) {
                        return Err(unexpected(c));
                    }
                    if state != QuotedStarted {
                        state = ElemStarted;
                    }
                    i += 1;
                    if i >= b.len() {
                        return Err(end());
                    }
                }
                b'"' => {
                    if !matches!(state, LevelStarted | QuotedStarted | ElemDelimited) {
                        return Err(malformed(s, "Unexpected array element."));
                    }
                    quoted = !quoted;
                    state = if quoted { QuotedStarted } else { QuotedCompleted };
                }
                b'{' if !quoted => {
                    if !matches!(state, NoLevel | LevelStarted | LevelDelimited) {
                        return Err(unexpected(c));
                    }
                    state = LevelStarted;
                    if level >= DIMS_MAX {
                        return Err(too_many_dims(level + 1));
                    }
                    seen[level] = 0;
                    level += 1;
                    if dims.len() < level {
                        dims.push(0);
                        done[level - 1] = 0;
                    }
                }
                b'}' if !quoted => {
                    let ok = matches!(state, ElemStarted | QuotedCompleted | LevelCompleted)
                        || (state == LevelStarted && level == 1 && empty);
                    if !ok {
                        return Err(unexpected(c));
                    }
                    if level == 0 {
                        return Err(malformed(s, "Unmatched \"}\" character."));
                    }
                    seen[level - 1] += i32::from(state != LevelStarted);
                    state = LevelCompleted;
                    let n = seen[level - 1];
                    if done[level - 1] > 0 && dims[level - 1] != n {
                        return Err(ragged());
                    }
                    done[level - 1] += 1;
                    dims[level - 1] = n;
                    level -= 1;
                    if level == 0 {
                        item_done = true;
                    } else {
                        // An element of the enclosing level ended: its delimiter or brace follows.
                        i += 1;
                        continue;
                    }
                }
                b',' if !quoted => {
                    if !matches!(state, ElemStarted | QuotedCompleted | LevelCompleted) {
                        return Err(unexpected(c));
                    }
                    state = if state == LevelCompleted { LevelDelimited } else { ElemDelimited };
                    item_done = true;
                    seen[level - 1] += 1;
                }
                c if !quoted && is_space(c) => {}
                _ if !quoted => {
                    if !matches!(state, LevelStarted | ElemStarted | ElemDelimited) {
                        return Err(malformed(s, "Unexpected array element."));
                    }
                    state = ElemStarted;
                }
                _ => {}
            }
            i += 1;
        }
        if level == 0 {
            break;
        }
    }
    if b[i..].iter().any(|c| !is_space(*c)) {
        return Err(malformed(s, "Junk after closing right brace."));
    }
    if empty { Ok(vec![]) } else { Ok(dims) }
}

/// The elements in order; [`count`] has checked the syntax.
fn read_elements(s: &str, start: usize, elem: PgType, settings: &TextSettings) -> Result<Vec<Datum>> {
    let b = s.as_bytes();
    let mut out = Vec::new();
    let mut depths: Vec<usize> = Vec::new();
    let mut text: Vec<u8> = Vec::new();
    // Length of `text` up to the last character that is not an unquoted blank.
    let mut keep = 0;
    let (mut any, mut has_quotes, mut in_quotes) = (false, false, false);
    let mut level = 0usize;
    let mut i = start;
    while i < b.len() {
        let c = b[i];
        match c {
            b'\\' => {
                i += 1;
                let escaped = *b.get(i).ok_or_else(|| malformed_bare(s))?;
                text.push(escaped);
                (any, has_quotes, keep) = (true, true, text.len());
            }
            b'"' => {
                in_quotes = !in_quotes;
                (any, has_quotes, keep) = (true, true, text.len());
            }
            _ if in_quotes => {
                text.push(c);
                keep = text.len();
            }
            b'{' => level += 1,
            b',' | b'}' => {
                if any {
                    text.truncate(keep);
                    out.push(read_element(&text, has_quotes, elem, settings)?);
                    depths.push(level);
                }
                text.clear();
                (any, has_quotes, keep) = (false, false, 0);
                if c == b'}' {
                    level = level.checked_sub(1).ok_or_else(|| malformed_bare(s))?;
                    if level == 0 {
                        break;
                    }
                }
            }
            c if is_space(c) => {
                if any {
                    text.push(c);
                }
            }
            c => {
                text.push(c);
                (any, keep) = (true, text.len());
            }
        }
        i += 1;
    }
    if depths.windows(2).any(|w| w[0] != w[1]) {
        return Err(malformed(s, "Multidimensional arrays must have sub-arrays with matching dimensions."));
    }
    Ok(out)
}

fn read_element(text: &[u8], quoted: bool, elem: PgType, settings: &TextSettings) -> Result<Datum> {
    if !quoted && text.eq_ignore_ascii_case(b"null") {
        return Ok(Datum::Null);
    }
    // Only whole characters were copied, but an escape can cut none: bytes come in input order.
    let text = std::str::from_utf8(text).map_err(|_| {
        Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"")
    })?;
    parse(text, elem, settings)
}

/// Appends an array's text form. `ty` is the array type; its modifier applies to the elements.
pub fn format_array(out: &mut Vec<u8>, a: &PgArray, ty: PgType, settings: &TextSettings) {
    if a.elements.is_empty() || a.dims.is_empty() {
        out.extend_from_slice(b"{}");
        return;
    }
    if a.dims.iter().any(|d| d.1 != 1) {
        for (n, low) in &a.dims {
            out.push(b'[');
            push_int(out, (*low).into());
            out.push(b':');
            push_int(out, i64::from(*low) + i64::from(*n) - 1);
            out.push(b']');
        }
        out.push(b'=');
    }
    let elem = PgType { oid: a.elem, typmod: ty.typmod };
    let mut next = 0;
    let mut buf = Vec::new();
    format_level(out, a, 0, &mut next, elem, settings, &mut buf);
}

fn format_level(
    out: &mut Vec<u8>,
    a: &PgArray,
    depth: usize,
    next: &mut usize,
    elem: PgType,
    settings: &TextSettings,
    buf: &mut Vec<u8>,
) {
    out.push(b'{');
    for i in 0..a.dims[depth].0 {
        if i > 0 {
            out.push(b',');
        }
        if depth + 1 < a.dims.len() {
            format_level(out, a, depth + 1, next, elem, settings, buf);
            continue;
        }
        match a.elements.get(*next) {
            None | Some(Datum::Null) => out.extend_from_slice(b"NULL"),
            Some(v) => {
                buf.clear();
                format(buf, v, elem, settings);
                push_element(out, buf);
            }
        }
        *next += 1;
    }
    out.push(b'}');
}

fn push_element(out: &mut Vec<u8>, text: &[u8]) {
    let special = |c: &u8| matches!(c, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(*c);
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for c in text {
        if matches!(c, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*c);
    }
    out.push(b'"');
}

/// int2vector input: integers with blanks between.
pub(crate) fn parse_int2vector(s: &str) -> Result<Datum> {
    let mut elements = Vec::new();
    for word in s.split(|c: char| c.is_ascii() && is_space(c as u8)).filter(|w| !w.is_empty()) {
        elements.push(Datum::Int2(super::parse_i16(word)?));
    }
    let dims = if elements.is_empty() { vec![] } else { vec![(elements.len() as i32, 0)] };
    Ok(Datum::Array(Arc::new(PgArray { elem: oid::INT2, dims, elements })))
}

/// int2vector output.
pub(crate) fn format_int2vector(out: &mut Vec<u8>, a: &PgArray) {
    for (i, v) in a.elements.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        push_int(out, v.as_i64().unwrap_or_default());
    }
}
