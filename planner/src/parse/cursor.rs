//! A walk over the tokens of one statement, for the statement forms we parse ourselves; and the way into sqlparser.

use super::Ast;
use super::scan::{Piece, Source, Tok, position, positioned};
use super::{Deep, Places};
use crate::bind::fold_identifier;
use heddle_types::{Error, PgType, Result, SqlState};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

/// sqlparser counts its own frames; ours limits tokens before, and `recursive` grows the stack.
const RECURSION_MAX: usize = 20_000;

/// A place in a statement.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub source: &'a Source<'a>,
    pub piece: Piece<'a>,
    pub at: usize,
    /// The `;` that ended the statement, for error messages.
    pub semicolon: Option<Tok>,
}

impl<'a> Cursor<'a> {
    pub fn new(source: &'a Source<'a>, piece: Piece<'a>) -> Self {
        let semicolon = piece.terminator.and_then(|_| {
            let end = piece.tokens.last()?.end;
            let gap = source.slice(end, source.len()).chars().position(|c| c == ';')?;
            Some(Tok { token: Token::SemiColon, start: end + gap, end: end + gap + 1 })
        });
        Self { source, piece, at: 0, semicolon }
    }

    pub fn peek(&self) -> Option<&'a Tok> {
        self.peek_nth(0)
    }

    pub fn peek_nth(&self, n: usize) -> Option<&'a Tok> {
        self.piece.tokens.get(self.at + n)
    }

    /// Is the token `n` ahead this unquoted word?
    pub fn is_nth(&self, n: usize, word: &str) -> bool {
        matches!(self.peek_nth(n).map(|t| &t.token), Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
    }

    pub fn is(&self, word: &str) -> bool {
        self.is_nth(0, word)
    }

    /// Takes the word if it comes next.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Takes a run of words, or none of them.
    pub fn take_all(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(i, w)| self.is_nth(i, w));
        self.at += if found { words.len() } else { 0 };
        found
    }

    pub fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|t| t.token == *token);
        self.at += usize::from(found);
        found
    }

    pub fn expect(&mut self, word: &str) -> Result<()> {
        if self.take(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub fn expect_token(&mut self, token: &Token) -> Result<()> {
        if self.take_token(token) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The error for the token that comes next.
    pub fn unexpected(&self) -> Error {
        self.source.syntax_error(self.peek().or(self.semicolon.as_ref()))
    }

    pub fn end(&self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected()) }
    }

    /// An identifier, folded and cut.
    pub fn identifier(&mut self) -> Result<String> {
        match self.peek().map(|t| &t.token) {
            Some(Token::Word(w)) => {
                self.at += 1;
                Ok(fold_identifier(&w.value, w.quote_style.is_some()))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// A dotted name.
    pub fn name(&mut self) -> Result<Vec<String>> {
        let mut parts = vec![self.identifier()?];
        while self.take_token(&Token::Period) {
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    pub fn string(&mut self) -> Option<String> {
        let text = match self.peek().map(|t| &t.token)? {
            Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s) | Token::UnicodeStringLiteral(s) => s.clone(),
            Token::DollarQuotedString(d) => d.value.clone(),
            _ => return None,
        };
        self.at += 1;
        Some(text)
    }

    /// A number with an optional sign, as written.
    pub fn number(&mut self) -> Option<String> {
        let negative = self.peek().is_some_and(|t| t.token == Token::Minus);
        let sign = usize::from(negative || self.peek().is_some_and(|t| t.token == Token::Plus));
        let Some(Token::Number(n, _)) = self.peek_nth(sign).map(|t| &t.token) else { return None };
        self.at += sign + 1;
        Some(if negative { format!("-{n}") } else { n.clone() })
    }

    /// Does a number with an optional sign come next?
    pub fn is_number(&self) -> bool {
        self.clone().number().is_some()
    }

    /// The rest of the statement as a piece of its own.
    pub fn rest(&self) -> Piece<'a> {
        Piece { tokens: &self.piece.tokens[self.at..], terminator: self.piece.terminator }
    }

    /// Character index at which the statement begins.
    pub fn base(&self) -> usize {
        self.piece.tokens.first().map_or(0, |t| t.start)
    }

    /// Runs a sqlparser rule over `tokens` (positions count from the statement's start); all of them must be used.
    pub fn run<T>(
        &self,
        tokens: &[Tok],
        rule: impl FnOnce(&mut Parser<'_>) -> std::result::Result<T, ParserError>,
    ) -> Result<T> {
        let base = self.base();
        let dialect = PostgreSqlDialect {};
        let mut parser = Parser::new(&dialect)
            .with_recursion_limit(RECURSION_MAX)
            .with_tokens_with_locations(positioned(tokens, base));
        let value = rule(&mut parser).map_err(|e| self.parser_error(tokens, base, &e))?;
        let next = parser.peek_token();
        if next.token == Token::EOF {
            return Ok(value);
        }
        let start = base + (next.span.start.column.max(1) - 1) as usize;
        let Some(at) = tokens.iter().position(|t| t.start == start) else {
            return Err(self.source.syntax_error(self.semicolon.as_ref()));
        };
        // ORDER and GROUP without BY: sqlparser does not take them, PostgreSQL misses what should follow.
        let begun = matches!(&tokens[at].token, Token::Word(w) if w.quote_style.is_none()
            && ["order", "group"].iter().any(|k| w.value.eq_ignore_ascii_case(k)));
        Err(self.source.syntax_error(tokens.get(at + usize::from(begun)).or(self.semicolon.as_ref())))
    }

    /// The tokens up to the bracket that closes the one just taken (or the end), and moves past it.
    pub fn bracketed(&mut self) -> Result<&'a [Tok]> {
        let from = self.at;
        let mut depth = 1;
        while let Some(t) = self.peek() {
            match t.token {
                Token::LParen => depth += 1,
                Token::RParen => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Ok(&self.piece.tokens[from..self.at - 1]);
            }
        }
        Err(self.unexpected())
    }

    pub fn expression(&self, tokens: &[Tok]) -> Result<Ast> {
        let places = Places::of(tokens, self.base());
        Ok(Ast::Expr(Deep::new(self.run(tokens, |p| p.parse_expr())?, places)))
    }

    pub fn data_type(&self, tokens: &[Tok]) -> Result<PgType> {
        let ty = self.run(tokens, |p| p.parse_data_type())?;
        crate::bind::resolve_type(&ty).map_err(|e| e.at(tokens.first().and_then(|t| position(t.start - self.base()))))
    }

    fn parser_error(&self, tokens: &[Tok], base: usize, e: &ParserError) -> Error {
        let message = match e {
            ParserError::RecursionLimitExceeded => {
                return Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded");
            }
            ParserError::ParserError(m) | ParserError::TokenizerError(m) => m,
        };
        let found_end = message.contains("found: EOF") || message.ends_with("EOF");
        let column = message.rsplit_once("Column: ").and_then(|(_, c)| c.trim().parse::<usize>().ok());
        match column {
            Some(column) if !found_end => {
                let start = base + column.max(1) - 1;
                let tok = tokens.iter().rev().find(|t| t.start <= start);
                self.source.syntax_error(tok.or(self.semicolon.as_ref()))
            }
            _ => self.source.syntax_error(self.after(tokens)),
        }
    }

    /// What follows the tokens a rule was given: the blame for an unfinished one.
    fn after(&self, tokens: &[Tok]) -> Option<&Tok> {
        let end = tokens.last().map_or(0, |t| t.end);
        self.piece.tokens.iter().find(|t| t.start >= end).or(self.semicolon.as_ref())
    }
}
