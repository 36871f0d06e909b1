//! LIKE and ILIKE. Patterns compile once per distinct value in a row; the usual shapes (exact, prefix, suffix, contains) are string searches.

use super::kernel::{cast_array, k, union_nulls};
use super::{CallTypes, Registry, ScalarKernel};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, BinaryArray, BooleanBuilder, StringArray};
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    One,
    Many,
    Char(char),
    /// A lone escape at the end: an error, but only once the walk gets here with text left.
    Dangling,
}

enum Pattern {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Contains(String),
    General(Vec<Token>),
}

impl Pattern {
    fn compile(p: &str) -> Pattern {
        let mut tokens = Vec::with_capacity(p.len());
        let mut chars = p.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '%' => Token::Many,
                '_' => Token::One,
                '\\' => chars.next().map_or(Token::Dangling, Token::Char),
                c => Token::Char(c),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::Many && *b == Token::Many);
        let text = |t: &[Token]| {
            t.iter().map(|t| if let Token::Char(c) = t { Some(*c) } else { None }).collect::<Option<String>>()
        };
        let inner = |from: usize, to: usize| tokens.get(from..to).and_then(text);
        let n = tokens.len();
        let starts = tokens.first() == Some(&Token::Many);
        let ends = tokens.last() == Some(&Token::Many);
        if let Some(s) = text(&tokens) {
            return Pattern::Exact(s);
        }
        if starts
            && ends
            && let Some(s) = inner(1, n - 1)
        {
            return Pattern::Contains(s);
        }
        if ends && let Some(s) = inner(0, n - 1) {
            return Pattern::Prefix(s);
        }
        if starts && let Some(s) = inner(1, n) {
            return Pattern::Suffix(s);
        }
        Pattern::General(tokens)
    }

    fn matches(&self, s: &str) -> Result<bool> {
        Ok(match self {
            Pattern::Exact(p) => s == p,
            Pattern::Prefix(p) => s.starts_with(p.as_str()),
            Pattern::Suffix(p) => s.ends_with(p.as_str()),
            Pattern::Contains(p) => s.contains(p.as_str()),
            Pattern::General(tokens) => return general(tokens, s),
        })
    }
}

/// Greedy with one point to return to: linear in practice, never exponential.
fn general(tokens: &[Token], s: &str) -> Result<bool> {
    let (mut t, mut rest) = (0, s);
    let mut back: Option<(usize, &str)> = None;
    loop {
        let mut chars = rest.chars();
        match tokens.get(t) {
            Some(Token::Many) => {
                back = Some((t + 1, rest));
                t += 1;
                continue;
            }
            Some(Token::One) => {
                if chars.next().is_some() {
                    rest = chars.as_str();
                    t += 1;
                    continue;
                }
            }
            Some(Token::Char(c)) => {
                if chars.next() == Some(*c) {
                    rest = chars.as_str();
                    t += 1;
                    continue;
                }
            }
            Some(Token::Dangling) => {
                if !rest.is_empty() {
                    return Err(Error::new(
                        SqlState::INVALID_ESCAPE_SEQUENCE,
                        "LIKE pattern must not end with escape character",
                    ));
                }
            }
            None if rest.is_empty() => return Ok(true),
            None => {}
        }
        let Some((bt, brest)) = back else { return Ok(false) };
        let mut chars = brest.chars();
        if chars.next().is_none() {
            return Ok(false);
        }
        rest = chars.as_str();
        t = bt;
        back = Some((bt, rest));
    }
}

fn run(args: &[ArrayRef], n: usize, fold: bool, negate: bool) -> Result<ArrayRef> {
    let (values, patterns) = (cast_array::<StringArray>(&args[0])?, cast_array::<StringArray>(&args[1])?);
    let nulls = union_nulls(args);
    let mut out = BooleanBuilder::with_capacity(n);
    let mut compiled: Option<(&str, Pattern)> = None;
    for i in 0..n {
        if nulls.as_ref().is_some_and(|b| b.is_null(i)) {
            out.append_null();
            continue;
        }
        let p = patterns.value(i);
        if compiled.as_ref().is_none_or(|c| c.0 != p) {
            compiled = Some((p, if fold { Pattern::compile(&p.to_lowercase()) } else { Pattern::compile(p) }));
        }
        let Some((_, pattern)) = &compiled else { continue };
        let hit =
            if fold { pattern.matches(&values.value(i).to_lowercase())? } else { pattern.matches(values.value(i))? };
        out.append_value(hit != negate);
    }
    Ok(Arc::new(out.finish()))
}

macro_rules! like {
    ($fold:literal, $negate:literal) => {{
        fn kernel(_: &EvalContext, _: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
            run(args, n, $fold, $negate)
        }
        kernel as ScalarKernel
    }};
}

/// LIKE over bytea: the same walk over bytes seen as Latin-1 characters.
fn bytes_like(negate: bool, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let (values, patterns) = (cast_array::<BinaryArray>(&args[0])?, cast_array::<BinaryArray>(&args[1])?);
    let nulls = union_nulls(args);
    let latin = |b: &[u8]| b.iter().map(|b| char::from(*b)).collect::<String>();
    let mut out = BooleanBuilder::with_capacity(n);
    for i in 0..n {
        if nulls.as_ref().is_some_and(|b| b.is_null(i)) {
            out.append_null();
        } else {
            out.append_value(Pattern::compile(&latin(patterns.value(i))).matches(&latin(values.value(i)))? != negate);
        }
    }
    Ok(Arc::new(out.finish()))
}

/// Rewrites a pattern with another escape character to one with backslash.
fn like_escape(p: &str, esc: &str) -> Result<String> {
    let mut e = esc.chars();
    let (first, second) = (e.next(), e.next());
    if second.is_some() {
        return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
            .hint("Escape string must be empty or one character."));
    }
    let Some(esc) = first else { return Ok(p.replace('\\', "\\\\")) };
    if esc == '\\' {
        return Ok(p.to_owned());
    }
    let mut out = String::with_capacity(p.len());
    let mut after_escape = false;
    for c in p.chars() {
        if c == esc && !after_escape {
            out.push('\\');
            after_escape = true;
        } else if c == '\\' && !after_escape {
            out.push_str("\\\\");
        } else {
            out.push(c);
            after_escape = false;
        }
    }
    Ok(out)
}

pub(super) fn register(r: &mut Registry) {
    r.scalars(
        &[
            "textlike(text,text)",
            "bpcharlike(bpchar,text)",
            "namelike(name,text)",
            "like(text,text)",
            "like(name,text)",
        ],
        like!(false, false),
    );
    r.scalars(
        &[
            "textnlike(text,text)",
            "bpcharnlike(bpchar,text)",
            "namenlike(name,text)",
            "notlike(text,text)",
            "notlike(name,text)",
        ],
        like!(false, true),
    );
    r.scalars(&["texticlike(text,text)", "bpchariclike(bpchar,text)", "nameiclike(name,text)"], like!(true, false));
    r.scalars(&["texticnlike(text,text)", "bpcharicnlike(bpchar,text)", "nameicnlike(name,text)"], like!(true, true));
    r.scalars(&["bytealike(bytea,bytea)", "like(bytea,bytea)"], |_, _, a, n| bytes_like(false, a, n));
    r.scalars(&["byteanlike(bytea,bytea)", "notlike(bytea,bytea)"], |_, _, a, n| bytes_like(true, a, n));
    r.scalar("like_escape(text,text)", k!(|p: &str, e: &str| -> String { like_escape(p, e) }));
}
