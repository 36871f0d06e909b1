//! Token rewrites for PostgreSQL forms that sqlparser's grammar lacks. Each keeps the places of the tokens it replaces.
//!
//! - `TABLE t` becomes `SELECT * FROM t`
//! - `FOR NO KEY UPDATE` and `FOR KEY SHARE` become `FOR UPDATE` and `FOR SHARE` (stronger, never weaker)
//! - `FOR UPDATE OF a, b` becomes `FOR UPDATE OF a FOR UPDATE OF b`
//! - `BETWEEN SYMMETRIC` is marked with the prefix operator `@-@`, which no type we have uses

use super::scan::Tok;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// Applies all rewrites.
pub(super) fn rewrite(tokens: &[Tok]) -> Vec<Tok> {
    let mut out: Vec<Tok> = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        if is(tokens, i, "table") && begins_query(&out) {
            out.extend(words("SELECT * FROM", &tokens[i]));
            i += 1;
        } else if is(tokens, i, "for") {
            i += lock_clause(tokens, i, &mut out);
        } else if is(tokens, i, "symmetric") && i > 0 && is(tokens, i - 1, "between") {
            out.push(Tok { token: Token::AtDashAt, ..tokens[i].clone() });
            i += 1;
        } else if is(tokens, i, "asymmetric") && i > 0 && is(tokens, i - 1, "between") {
            i += 1;
        } else {
            out.push(tokens[i].clone());
            i += 1;
        }
    }
    out
}

fn is(tokens: &[Tok], i: usize, word: &str) -> bool {
    matches!(tokens.get(i).map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// New words at the place of an old token.
fn words(text: &str, place: &Tok) -> Vec<Tok> {
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize().expect("constant text tokenizes");
    tokens
        .into_iter()
        .filter(|t| !matches!(t, Token::Whitespace(_)))
        .map(|token| Tok { token, ..place.clone() })
        .collect()
}

fn begins_query(before: &[Tok]) -> bool {
    let last = before.len().wrapping_sub(1);
    match before.last().map(|t| &t.token) {
        None | Some(Token::LParen) => true,
        Some(Token::Word(_)) => {
            let verbs = ["union", "all", "except", "intersect", "explain", "analyze", "verbose"];
            verbs.iter().any(|w| is(before, last, w))
        }
        _ => false,
    }
}

/// Rewrites `FOR …` at `i`; answers how many tokens it used.
fn lock_clause(tokens: &[Tok], i: usize, out: &mut Vec<Tok>) -> usize {
    let (strength, skip) = if is(tokens, i + 1, "no") && is(tokens, i + 2, "key") && is(tokens, i + 3, "update") {
        (i + 3, 4)
    } else if is(tokens, i + 1, "key") && is(tokens, i + 2, "share") {
        (i + 2, 3)
    } else if is(tokens, i + 1, "update") || is(tokens, i + 1, "share") {
        (i + 1, 2)
    } else {
        out.push(tokens[i].clone());
        return 1;
    };
    let head = [tokens[i].clone(), tokens[strength].clone()];
    out.extend(head.clone());
    let mut at = i + skip;
    if !is(tokens, at, "of") {
        return skip;
    }
    let of = tokens[at].clone();
    out.push(of.clone());
    at += 1;
    while matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(_))) {
        out.push(tokens[at].clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t.token != Token::Comma) {
            break;
        }
        at += 1;
        wait_clause(tokens, at, out);
        out.extend(head.clone());
        out.push(of.clone());
    }
    at - i
}

/// Copies NOWAIT or SKIP LOCKED that ends the list starting at `at`, so that every clause has it.
fn wait_clause(tokens: &[Tok], at: usize, out: &mut Vec<Tok>) {
    let mut end = at;
    while matches!(tokens.get(end).map(|t| &t.token), Some(Token::Word(_)))
        && tokens.get(end + 1).is_some_and(|t| t.token == Token::Comma)
    {
        end += 2;
    }
    if is(tokens, end + 1, "nowait") {
        out.push(tokens[end + 1].clone());
    } else if is(tokens, end + 1, "skip") && is(tokens, end + 2, "locked") {
        out.extend(tokens[end + 1..end + 3].iter().cloned());
    }
}
