//! Where the tokens of a statement stand, for error positions that the syntax tree does not keep: operators after a cast,
//! opening brackets, key words.
//!
//! Made by [`super::utility`] with the tree, asked by the binder. All positions are 1-based characters of the statement's text.

use super::scan::Tok;
use sqlparser::tokenizer::Token;

/// Statements with more tokens (bulk INSERTs) do without.
const TOKENS_MAX: usize = 20_000;

/// What stands at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Open,
    Close,
    /// `::`, with the position of what follows the type (and the brackets closed there).
    Cast(u32),
    Star,
    /// An unquoted word, in lower case.
    Word(Box<str>),
    Other,
}

/// The tokens of one statement, ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<(u32, Kind)>);

impl Places {
    /// The places of `tokens`, counted from the character index `base`.
    pub(super) fn of(tokens: &[Tok], base: usize) -> Self {
        if tokens.len() > TOKENS_MAX {
            return Self::default();
        }
        let at = |index: usize| u32::try_from(index - base + 1).unwrap_or(u32::MAX);
        let kind = |i: usize| match &tokens[i].token {
            Token::LParen => Kind::Open,
            Token::RParen => Kind::Close,
            Token::Mul => Kind::Star,
            Token::DoubleColon => {
                let mut next = type_end(tokens, i + 1);
                while matches!(tokens.get(next).map(|t| &t.token), Some(Token::RParen | Token::RBracket)) {
                    next += 1;
                }
                let end = tokens.get(next).map_or_else(|| tokens[next - 1].end, |t| t.start);
                Kind::Cast(at(end))
            }
            Token::Word(w) if w.quote_style.is_none() => Kind::Word(w.value.to_ascii_lowercase().into()),
            _ => Kind::Other,
        };
        Self((0..tokens.len()).map(|i| (at(tokens[i].start), kind(i))).collect())
    }

    fn index(&self, pos: u32) -> Option<usize> {
        self.0.binary_search_by_key(&pos, |(at, _)| *at).ok()
    }

    /// The opening bracket right before `pos`, else `pos`.
    pub(crate) fn opened(&self, pos: Option<u32>) -> Option<u32> {
        let before = pos.and_then(|p| self.index(p)).and_then(|i| self.0.get(i.checked_sub(1)?));
        before.filter(|(_, kind)| *kind == Kind::Open).map_or(pos, |(at, _)| Some(*at))
    }

    /// What follows an opening bracket at `pos`, else `pos`.
    pub(crate) fn inside(&self, pos: Option<u32>) -> Option<u32> {
        match pos.and_then(|p| self.index(p)) {
            Some(i) if self.0[i].1 == Kind::Open => self.0.get(i + 1).map(|(at, _)| *at),
            _ => pos,
        }
    }

    /// The token before `pos` that is no opening bracket: a prefix operator.
    pub(crate) fn prefix(&self, pos: Option<u32>) -> Option<u32> {
        let at = self.index(pos?)?;
        self.0[..at].iter().rev().find(|(_, kind)| *kind != Kind::Open).map(|(at, _)| *at)
    }

    /// The token after the one at `pos`.
    pub(crate) fn next(&self, pos: Option<u32>) -> Option<u32> {
        let at = self.index(pos?)?;
        self.0.get(at + 1).map(|(at, _)| *at)
    }

    /// What follows the `::` at `pos` and its type; `pos` itself when there is none.
    pub(crate) fn after_cast(&self, pos: Option<u32>) -> Option<u32> {
        match pos.and_then(|p| self.index(p)).map(|i| &self.0[i].1) {
            Some(Kind::Cast(after)) => Some(*after),
            _ => pos,
        }
    }

    /// The first `*` after `pos`.
    pub(crate) fn star(&self, pos: Option<u32>) -> Option<u32> {
        let at = self.index(pos?)?;
        self.0[at..].iter().find(|(_, kind)| *kind == Kind::Star).map(|(at, _)| *at)
    }

    /// The first of these words after `pos`.
    pub(crate) fn word_after(&self, pos: Option<u32>, word: &str) -> Option<u32> {
        let at = self.index(pos?)?;
        self.0[at..].iter().find(|(_, kind)| matches!(kind, Kind::Word(w) if **w == *word)).map(|(at, _)| *at)
    }

    /// The `CONSTRAINT`, `PRIMARY` or `UNIQUE` that begins the key which names a column at `pos`.
    pub(crate) fn key_before(&self, pos: Option<u32>) -> Option<u32> {
        let at = self.index(pos?)?;
        let is = |i: usize, word: &str| matches!(&self.0[i].1, Kind::Word(w) if **w == *word);
        let key = (0..at).rev().find(|i| is(*i, "primary") || is(*i, "unique"))?;
        let first = if key >= 2 && is(key - 2, "constraint") { key - 2 } else { key };
        Some(self.0[first].0)
    }
}

/// Index of the token after the type name that begins at `i`.
fn type_end(tokens: &[Tok], mut i: usize) -> usize {
    let word = |i: usize| match tokens.get(i).map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => w.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    let is = |i: usize, token: &Token| tokens.get(i).is_some_and(|t| t.token == *token);
    let first = word(i);
    i += 1;
    while is(i, &Token::Period) {
        i += 2;
    }
    if (first == "double" && word(i) == "precision") || (first.starts_with("char") && word(i) == "varying") {
        i += 1;
    }
    if is(i, &Token::LParen) {
        while i < tokens.len() && !is(i, &Token::RParen) {
            i += 1;
        }
        i += 1;
    }
    if first.starts_with("time") && matches!(word(i).as_str(), "with" | "without") && word(i + 1) == "time" {
        i += 3;
    }
    while is(i, &Token::LBracket) {
        i += if is(i + 1, &Token::RBracket) { 2 } else { 3 };
    }
    i.min(tokens.len())
}

#[cfg(test)]
mod tests {
    use super::super::scan::{Source, tokenize};
    use super::*;

    fn places(sql: &str) -> Places {
        Places::of(&tokenize(&Source::new(sql)).unwrap(), 0)
    }

    #[test]
    fn casts_end_after_their_type() {
        for (sql, cast, after) in [
            ("'a'::text + 1", 4, 11),
            ("('a'::text) + 1", 5, 13),
            ("a::numeric(4,2) + 1", 2, 17),
            ("a::timestamp(3) with time zone + 1", 2, 32),
            ("a::double precision[] + 1", 2, 23),
            ("a::pg_catalog.int4[3] + 1", 2, 23),
            ("'1'::int::uuid", 4, 9),
            ("a::int", 2, 7),
        ] {
            assert_eq!(places(sql).after_cast(Some(cast)), Some(after), "{sql}");
        }
        assert_eq!(places("a + 1").after_cast(Some(3)), Some(3));
    }

    #[test]
    fn neighbours_are_found() {
        let p = places("SELECT (SELECT - (a)), PRIMARY KEY (b), count(DISTINCT *)");
        assert_eq!(p.opened(Some(9)), Some(8));
        assert_eq!(p.opened(Some(1)), Some(1));
        assert_eq!(p.prefix(Some(19)), Some(16));
        assert_eq!(p.key_before(Some(37)), Some(24));
        assert_eq!(p.star(Some(41)), Some(56));
        assert_eq!(p.next(Some(24)), Some(32));
        assert_eq!(p.word_after(Some(1), "key"), Some(32));
        assert_eq!(p.opened(None), None);
    }
}
