//! MERGE: PostgreSQL's grammar is checked on the tokens, and what sqlparser's lacks travels under names that no identifier can have.
//!
//! - `DO NOTHING` is an UPDATE or INSERT of the column [`MERGE_NOTHING`]
//! - `INSERT DEFAULT VALUES` is an INSERT of the column [`MERGE_DEFAULTS`]
//! - `OVERRIDING …` is one more column at the front: [`MERGE_SYSTEM`] or [`MERGE_USER`]
//! - a source that is a join gets brackets

use super::cursor::Cursor;
use super::rewrite::{is, quoted, words};
use super::scan::Tok;
use heddle_types::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

/// The column of DO NOTHING.
pub(crate) const MERGE_NOTHING: &str = "\0nothing";
/// The column of INSERT DEFAULT VALUES.
pub(crate) const MERGE_DEFAULTS: &str = "\0defaults";
/// The first column under OVERRIDING SYSTEM VALUE.
pub(crate) const MERGE_SYSTEM: &str = "\0system";
/// The first column under OVERRIDING USER VALUE.
pub(crate) const MERGE_USER: &str = "\0user";

/// The tokens of a statement that may be, or hold, a MERGE.
///
/// # Errors
/// `42601`, and `0A000` for a MERGE inside WITH.
pub(super) fn merge(c: &Cursor<'_>, tokens: Vec<Tok>) -> Result<Vec<Tok>> {
    let begins = |w: &str| is(&tokens, 0, w);
    if !(begins("merge") || begins("with") || begins("explain")) {
        return Ok(tokens);
    }
    let mut depth = 0usize;
    for (i, t) in tokens.iter().enumerate() {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ if !is(&tokens, i, "merge") => {}
            _ if depth == 0 && (i == 0 || is(&tokens, i + 1, "into")) => {
                let mut out = tokens[..i].to_vec();
                Rewrite { c, tokens: &tokens, at: i, out: &mut out }.statement()?;
                return Ok(out);
            }
            _ if depth > 0 && tokens[i - 1].token == Token::LParen && is(&tokens, i + 1, "into") => {
                return Err(inside_with(c, &tokens, i));
            }
            _ => {}
        }
    }
    Ok(tokens)
}

/// PostgreSQL points at the query's name: `name [(column, …)] AS [[NOT] MATERIALIZED] (MERGE …`.
fn inside_with(c: &Cursor<'_>, tokens: &[Tok], merge: usize) -> Error {
    let named = (0..merge).rev().find(|i| is(tokens, *i, "as")).and_then(|i| match tokens[i - 1].token {
        Token::RParen => (0..i).rev().find(|i| tokens[*i].token == Token::LParen).map(|open| open - 1),
        _ => Some(i - 1),
    });
    let pos = named.and_then(|i| super::scan::position(tokens[i].start - c.base()));
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, "MERGE not supported in WITH query").at(pos)
}

/// A walk over the MERGE that writes what sqlparser can read.
struct Rewrite<'a> {
    c: &'a Cursor<'a>,
    tokens: &'a [Tok],
    at: usize,
    out: &'a mut Vec<Tok>,
}

impl Rewrite<'_> {
    fn statement(&mut self) -> Result<()> {
        self.copy(1);
        self.keep("into")?;
        if self.is("only") {
            self.at += 1;
        }
        let using = self.next(self.at, "using").ok_or_else(|| self.unexpected(self.tokens.len()))?;
        if let Some(bracket) = (self.at..using).find(|i| self.tokens[*i].token == Token::LParen) {
            return Err(self.unexpected(bracket));
        }
        self.copy(using + 1 - self.at);
        self.source()?;
        while self.at < self.tokens.len() {
            self.clause()?;
        }
        Ok(())
    }

    /// The source and ON's condition, up to the first WHEN. The condition begins after the last ON.
    fn source(&mut self) -> Result<()> {
        let when = self.next(self.at, "when").ok_or_else(|| self.unexpected(self.tokens.len()))?;
        let mut on = None;
        let mut from = self.at;
        while let Some(found) = self.next(from, "on").filter(|i| *i < when) {
            on = Some(found);
            from = found + 1;
        }
        let on = on.ok_or_else(|| self.unexpected(when))?;
        let joins = self.next(self.at, "join").is_some_and(|i| i < on);
        if joins {
            self.out.push(Tok { token: Token::LParen, ..self.tokens[self.at].clone() });
        }
        self.copy(on - self.at);
        if joins {
            self.out.push(Tok { token: Token::RParen, ..self.tokens[on].clone() });
        }
        self.copy(when - on);
        Ok(())
    }

    /// `WHEN [NOT] MATCHED [AND condition] THEN action`
    fn clause(&mut self) -> Result<()> {
        self.keep("when")?;
        let matched = !self.is("not");
        if !matched {
            self.copy(1);
        }
        self.keep("matched")?;
        if self.is("and") {
            self.until("then")?;
        }
        self.keep("then")?;
        match () {
            () if self.is("do") => self.nothing(matched)?,
            () if matched && self.is("delete") => self.copy(1),
            () if matched && self.is("update") => self.update(),
            () if !matched && self.is("insert") => self.insert()?,
            () => return Err(self.unexpected(self.at)),
        }
        if self.at < self.tokens.len() && !self.is("when") { Err(self.unexpected(self.at)) } else { Ok(()) }
    }

    fn nothing(&mut self, matched: bool) -> Result<()> {
        if !is(self.tokens, self.at + 1, "nothing") {
            return Err(self.unexpected(self.at + 1));
        }
        let place = &self.tokens[self.at];
        self.at += 2;
        if matched {
            self.out.extend(words("UPDATE SET", place));
            self.out.push(quoted(MERGE_NOTHING, place));
            self.out.extend(words("= NULL", place));
        } else {
            self.out.extend(words("INSERT", place));
            self.only_column(MERGE_NOTHING, place);
        }
        Ok(())
    }

    /// `(name) VALUES (NULL)`
    fn only_column(&mut self, name: &str, place: &Tok) {
        self.out.extend(words("(", place));
        self.out.push(quoted(name, place));
        self.out.extend(words(") VALUES (NULL)", place));
    }

    /// Up to the next WHEN; clauses that other statements have after SET end it too.
    fn update(&mut self) {
        let ends = ["when", "where", "returning"].iter().filter_map(|w| self.next(self.at, w)).min();
        self.copy(ends.unwrap_or(self.tokens.len()) - self.at);
    }

    /// `INSERT [(column, …)] [OVERRIDING {SYSTEM | USER} VALUE] {VALUES (…) | DEFAULT VALUES}`
    fn insert(&mut self) -> Result<()> {
        self.copy(1);
        let columns = self.out.len();
        if self.tokens.get(self.at).is_some_and(|t| t.token == Token::LParen) {
            self.brackets()?;
        }
        if self.is("overriding") {
            let place = &self.tokens[self.at];
            let name = match () {
                () if is(self.tokens, self.at + 1, "system") => MERGE_SYSTEM,
                () if is(self.tokens, self.at + 1, "user") => MERGE_USER,
                () => return Err(self.unexpected(self.at + 1)),
            };
            self.at += 2;
            self.take("value")?;
            let mark = quoted(name, place);
            if self.out.len() == columns {
                self.out.extend(words("(", place));
                self.out.push(mark);
                self.out.extend(words(")", place));
            } else {
                self.out.splice(columns + 1..columns + 1, [mark, Tok { token: Token::Comma, ..place.clone() }]);
            }
        } else if self.is("default") && self.out.len() == columns {
            let place = &self.tokens[self.at];
            self.at += 1;
            self.take("values")?;
            self.only_column(MERGE_DEFAULTS, place);
            return Ok(());
        }
        self.keep("values")?;
        self.brackets()
    }

    fn is(&self, word: &str) -> bool {
        is(self.tokens, self.at, word)
    }

    fn copy(&mut self, n: usize) {
        self.out.extend_from_slice(&self.tokens[self.at..self.at + n]);
        self.at += n;
    }

    fn take(&mut self, word: &str) -> Result<()> {
        if !self.is(word) {
            return Err(self.unexpected(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn keep(&mut self, word: &str) -> Result<()> {
        self.take(word)?;
        self.at -= 1;
        self.copy(1);
        Ok(())
    }

    fn until(&mut self, word: &str) -> Result<()> {
        let at = self.next(self.at, word).ok_or_else(|| self.unexpected(self.tokens.len()))?;
        self.copy(at - self.at);
        Ok(())
    }

    fn brackets(&mut self) -> Result<()> {
        let mut depth = 0usize;
        for i in self.at..self.tokens.len() {
            match self.tokens[i].token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ if depth == 0 => return Err(self.unexpected(i)),
                _ => {}
            }
            if depth == 0 {
                self.copy(i + 1 - self.at);
                return Ok(());
            }
        }
        Err(self.unexpected(self.tokens.len()))
    }

    /// The next such word from `i` on that stands in no brackets and no CASE.
    fn next(&self, i: usize, word: &str) -> Option<usize> {
        let mut depth = 0usize;
        (i..self.tokens.len()).find(|i| {
            match self.tokens[*i].token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                _ if is(self.tokens, *i, "case") => depth += 1,
                _ if is(self.tokens, *i, "end") => depth = depth.saturating_sub(1),
                _ => return depth == 0 && is(self.tokens, *i, word),
            }
            false
        })
    }

    fn unexpected(&self, at: usize) -> Error {
        self.c.source.syntax_error(self.tokens.get(at).or(self.c.semicolon.as_ref()))
    }
}
