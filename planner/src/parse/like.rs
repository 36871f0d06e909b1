//! `LIKE table [INCLUDING | EXCLUDING option] …` among the elements of CREATE TABLE: travels as a column whose name begins with
//! [`LIKE_MARK`] and goes on with the options' bits; its type is the table's name.

use super::cursor::Cursor;
use super::rewrite::{is, quoted};
use super::scan::{Piece, Tok};
use heddle_types::Result;
use sqlparser::tokenizer::Token;

/// How the name of such a column begins.
pub(crate) const LIKE_MARK: &str = "\0like";

/// What of the table is copied besides columns and NOT NULL; each is the bit of its place.
pub(crate) const LIKE_OPTIONS: [&str; 9] =
    ["defaults", "constraints", "indexes", "comments", "identity", "generated", "statistics", "storage", "compression"];

/// The tokens of a CREATE TABLE with such elements in their new form.
pub(super) fn elements(c: &Cursor<'_>, tokens: &[Tok]) -> Result<Vec<Tok>> {
    let mut out = Vec::with_capacity(tokens.len());
    let (mut i, mut depth) = (0, 0usize);
    while let Some(t) = tokens.get(i) {
        let opens = match t.token {
            Token::LParen => {
                depth += 1;
                depth == 1
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Comma => depth == 1,
            _ => false,
        };
        out.push(t.clone());
        i += 1;
        if opens && is(tokens, i, "like") {
            i = element(c, tokens, i, &mut out)?;
        }
    }
    Ok(out)
}

fn element(c: &Cursor<'_>, tokens: &[Tok], at: usize, out: &mut Vec<Tok>) -> Result<usize> {
    let mut c = Cursor { piece: Piece { tokens, terminator: c.piece.terminator }, at: at + 1, ..c.clone() };
    let place = c.at;
    let name = c.name()?;
    let mut bits = 0u32;
    loop {
        let including = c.take("including");
        if !including && !c.take("excluding") {
            break;
        }
        let chosen = match LIKE_OPTIONS.iter().position(|o| c.take(o)) {
            Some(n) => 1 << n,
            None if c.take("all") => (1 << LIKE_OPTIONS.len()) - 1,
            None => return Err(c.unexpected()),
        };
        bits = if including { bits | chosen } else { bits & !chosen };
    }
    out.push(quoted(&format!("{LIKE_MARK}{bits}"), &tokens[at]));
    for (n, part) in name.iter().enumerate() {
        if n > 0 {
            out.push(Tok { token: Token::Period, ..tokens[place].clone() });
        }
        out.push(quoted(part, &tokens[place]));
    }
    Ok(c.at)
}
