//! Changes to the text of stored queries, token by token: what is not touched stays as it was written.

use super::scan::{self, Source, Tok};
use crate::bind::fold_identifier;
use crate::function::quote_ident;
use heddle_types::Result;
use sqlparser::tokenizer::Token;

/// A `*` of a select list and the columns it stood for when the query was bound.
#[derive(Clone, Debug)]
pub(crate) struct Star {
    /// Where it (or `t.*`) begins, 1-based
    pub pos: u32,
    /// (table, column); an empty table for merged columns
    pub columns: Vec<(String, String)>,
}

/// Writes `new` wherever the identifier `old` stands, but for function calls.
///
/// # Errors
/// When the text is no SQL.
pub(crate) fn rename(text: &str, old: &str, new: &str) -> Result<String> {
    let source = Source::new(text);
    let tokens = scan::tokenize(&source)?;
    let is_old = |i: usize| {
        let called = tokens.get(i + 1).is_some_and(|t| t.token == Token::LParen);
        match &tokens[i].token {
            Token::Word(w) => !called && fold_identifier(&w.value, w.quote_style.is_some()) == old,
            _ => false,
        }
    };
    let changes = (0..tokens.len()).filter(|i| is_old(*i)).map(|i| (tokens[i].start, tokens[i].end, quote_ident(new)));
    Ok(replaced(&source, changes.collect()))
}

/// Writes out the stars of `text`, which begins at character `offset` of the statement that was bound.
///
/// # Errors
/// When the text is no SQL.
pub(crate) fn expand_stars(text: &str, offset: usize, stars: &[Star]) -> Result<String> {
    let source = Source::new(text);
    let tokens = scan::tokenize(&source)?;
    let mut changes: Vec<(usize, usize, String)> = Vec::new();
    for star in stars {
        let Some(start) = (star.pos as usize).checked_sub(1 + offset) else { continue };
        let Some(first) = tokens.iter().position(|t| t.start == start) else { continue };
        let Some(end) = tokens[first..].iter().find(|t: &&Tok| t.token == Token::Mul).map(|t| t.end) else { continue };
        if changes.iter().any(|(s, _, _)| *s == start) {
            continue;
        }
        let column = |(table, column): &(String, String)| match table.as_str() {
            "" => quote_ident(column),
            table => format!("{}.{}", quote_ident(table), quote_ident(column)),
        };
        let columns: Vec<String> = star.columns.iter().map(column).collect();
        changes.push((start, end, columns.join(", ")));
    }
    changes.sort();
    Ok(replaced(&source, changes))
}

/// The text with character ranges replaced; ascending and apart from each other.
fn replaced(source: &Source<'_>, changes: Vec<(usize, usize, String)>) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for (start, end, new) in changes {
        out.push_str(source.slice(at, start));
        out.push_str(&new);
        at = end;
    }
    out.push_str(source.slice(at, source.len()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_and_nothing_else() {
        let text = "SELECT a, 'a', t.a AS \"A\", a(1) -- a\nFROM t";
        assert_eq!(rename(text, "a", "Ü x").unwrap(), "SELECT \"Ü x\", 'a', t.\"Ü x\" AS \"A\", a(1) -- a\nFROM t");
        assert_eq!(rename("select A from \"a\"", "a", "b").unwrap(), "select b from b");
    }

    #[test]
    fn stars_are_written_out() {
        let star = |pos, columns: &[(&str, &str)]| Star {
            pos,
            columns: columns.iter().map(|(t, c)| ((*t).to_owned(), (*c).to_owned())).collect(),
        };
        let stars = [star(18, &[("t", "a"), ("", "b")]), star(21, &[("u", "C")])];
        let text = "SELECT *, u.* FROM t";
        assert_eq!(expand_stars(text, 10, &stars).unwrap(), "SELECT t.a, b, u.\"C\" FROM t");
    }
}
