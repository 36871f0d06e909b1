//! Token rewrites inside table definitions, where sqlparser's grammar is narrower than PostgreSQL's.
//!
//! - the options of `AS IDENTITY (…)` may come in any order; sqlparser takes them in one
//! - `toast.name` among storage parameters becomes one quoted word
//! - `WITHOUT OIDS`, which is always so, goes

use super::cursor::Cursor;
use super::scan::{Piece, Tok};
use super::sequence;
use heddle_types::Result;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, Word};

/// The tokens as sqlparser can read them.
pub(super) fn definition(c: &Cursor<'_>, tokens: &[Tok]) -> Result<Vec<Tok>> {
    let mut out: Vec<Tok> = Vec::with_capacity(tokens.len());
    let mut i = 0;
    while i < tokens.len() {
        let open = |at: usize| tokens.get(at).is_some_and(|t| t.token == Token::LParen);
        if is(tokens, i, "as") && is(tokens, i + 1, "identity") && open(i + 2) {
            out.extend_from_slice(&tokens[i..i + 3]);
            i = identity_options(c, tokens, i + 3, &mut out)?;
        } else if is(tokens, i, "with") && open(i + 1) {
            out.extend_from_slice(&tokens[i..i + 2]);
            i = storage_parameters(tokens, i + 2, &mut out);
        } else if is(tokens, i, "without") && is(tokens, i + 1, "oids") {
            i += 2;
        } else {
            out.push(tokens[i].clone());
            i += 1;
        }
    }
    Ok(out)
}

/// Copies options from `i` up to the closing bracket, sorted as sqlparser wants them.
fn identity_options(c: &Cursor<'_>, tokens: &[Tok], i: usize, out: &mut Vec<Tok>) -> Result<usize> {
    let mut inner = Cursor { piece: Piece { tokens, terminator: c.piece.terminator }, at: i, ..c.clone() };
    let mut options = Vec::new();
    loop {
        let from = inner.at;
        if sequence::option(&mut inner)?.is_none() {
            break;
        }
        options.push((rank(tokens, from), &tokens[from..inner.at]));
    }
    options.sort_by_key(|(rank, _)| *rank);
    options.into_iter().for_each(|(_, run)| out.extend_from_slice(run));
    Ok(inner.at)
}

fn rank(tokens: &[Tok], at: usize) -> usize {
    let at = at + usize::from(is(tokens, at, "no"));
    let order = ["increment", "minvalue", "maxvalue", "start", "cache", "cycle"];
    order.iter().position(|w| is(tokens, at, w)).unwrap_or(order.len())
}

/// Copies up to the closing bracket, joining `a . b` into one word.
fn storage_parameters(tokens: &[Tok], mut i: usize, out: &mut Vec<Tok>) -> usize {
    while i < tokens.len() && tokens[i].token != Token::RParen {
        match (&tokens[i].token, tokens.get(i + 1).map(|t| &t.token), tokens.get(i + 2).map(|t| &t.token)) {
            (Token::Word(a), Some(Token::Period), Some(Token::Word(b))) => {
                let value = format!("{}.{}", a.value, b.value);
                let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
                out.push(Tok { token: Token::Word(word), ..tokens[i].clone() });
                i += 3;
            }
            _ => {
                out.push(tokens[i].clone());
                i += 1;
            }
        }
    }
    i
}

fn is(tokens: &[Tok], i: usize, word: &str) -> bool {
    matches!(tokens.get(i).map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}
