//! Time-series DDL. sqlparser reads the columns, the clauses around them are ours:
//!
//!   CREATE TABLE t (ts timestamptz NOT NULL, v float8) TAGS (host text NOT NULL) PRIMARY TAGS (host) RETENTIONS 30d …
//!   CREATE TABLE t (…) USING timeseries WITH (time = 'ts', primary_tags = 'host', …)
//!   CREATE TS DATABASE d RETENTIONS 30d …
//!   ALTER TABLE t SET RETENTIONS = 30d
//!
//! The tags' columns join the table's own, as its last; what clauses say travels as [`Clause`]s, which the binder reads.

use super::cursor::Cursor;
use super::scan::{Tok, position};
use super::{Ast, Deep, Kind, Places, rewrite};
use crate::bind::fold_identifier;
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::{CreateTable, Statement};
use sqlparser::tokenizer::Token;

/// Options of the WITH spelling; each has the meaning of a clause.
const OPTIONS: &[&str] = &["time", "primary_tags", "tags", "retention", "partition_interval", "precision"];
/// First words of the clauses that make a table a time-series table, or may only follow one's columns.
const CLAUSES: &[&str] = &["tags", "attributes", "retentions", "activetime"];

/// A statement that sqlparser has no tree for.
#[derive(Clone, Debug)]
pub enum SeriesStatement {
    /// CREATE TABLE
    Table {
        /// Columns and name
        table: Box<CreateTable>,
        /// So many of the last columns were declared as TAGS.
        tag_columns: usize,
        /// Everything else
        clauses: Vec<Clause>,
    },
    /// CREATE TS DATABASE
    Database {
        /// Its name
        name: String,
        /// IF NOT EXISTS
        if_not_exists: bool,
        /// RETENTIONS and PARTITION INTERVAL
        clauses: Vec<Clause>,
    },
    /// ALTER TABLE … SET RETENTIONS
    Retention {
        /// The table's name
        table: Vec<String>,
        /// Where it stands
        position: Option<u32>,
        /// The duration
        clause: Clause,
    },
}

/// A clause or option, under the name it has in the WITH spelling.
#[derive(Clone, Debug)]
pub struct Clause {
    /// `time`, `retention` …, lower case
    pub name: String,
    /// What it says
    pub value: Written,
    /// Where it stands (1-based characters)
    pub position: Option<u32>,
}

/// The value of a clause.
#[derive(Clone, Debug)]
pub enum Written {
    /// Names, folded, with their places
    Names(Vec<(String, Option<u32>)>),
    /// A duration, a number, or the text of an option
    Text(String),
}

/// `CREATE TABLE t (…)` with what makes it a time-series table; None for any other CREATE TABLE.
pub(super) fn create_table(c: &mut Cursor<'_>) -> Result<Option<Kind>> {
    let Some((open, close)) = columns(c) else { return Ok(None) };
    c.at = close + 1;
    if c.take("using") {
        return using(c, open, close).map(Some);
    }
    let ours = CLAUSES.iter().any(|w| c.is(w)) || (c.is("partition") && c.is_nth(1, "interval")) || with_options(c);
    if !ours {
        c.at = 0;
        return Ok(None);
    }
    let tags = if c.take("tags") || c.take("attributes") { Some(bracket(c)?) } else { None };
    let mut clauses = vec![];
    if tags.is_some() {
        let at = here(c);
        c.expect("primary")?;
        if !(c.take("tags") || c.take("attributes")) {
            return Err(c.unexpected());
        }
        clauses.push(Clause { name: "primary_tags".into(), value: Written::Names(names(c)?), position: at });
    }
    while c.peek().is_some() {
        clauses.push(clause(c)?);
    }
    table(c, (open, close), tags, clauses).map(Some)
}

/// Where the list of columns opens and closes, when the statement has the usual beginning.
fn columns(c: &Cursor<'_>) -> Option<(usize, usize)> {
    let mut c = c.clone();
    c.at = 1;
    while ["temp", "temporary", "unlogged", "global", "local"].iter().any(|w| c.take(w)) {}
    c.take("table").then_some(())?;
    c.take_all(&["if", "not", "exists"]);
    c.name().ok()?;
    let open = c.at;
    c.take_token(&Token::LParen).then_some(())?;
    c.bracketed().ok()?;
    Some((open, c.at - 1))
}

/// `WITH (retention = …)` without USING: PostgreSQL's storage parameters have other names.
fn with_options(c: &Cursor<'_>) -> bool {
    let mut c = c.clone();
    c.take("with") && c.take_token(&Token::LParen) && OPTIONS.iter().any(|w| c.is(w))
}

/// `USING method …`
fn using(c: &mut Cursor<'_>, open: usize, close: usize) -> Result<Kind> {
    let method = c.identifier()?;
    match method.as_str() {
        "timeseries" => {}
        // What every other table is.
        "heap" => {
            let tokens: Vec<Tok> = c.piece.tokens[..=close].iter().chain(&c.piece.tokens[c.at..]).cloned().collect();
            let tokens = super::like::elements(c, &rewrite::rewrite(&tokens))?;
            let statement = c.run(&tokens, |p| p.parse_statement())?;
            let places = Places::of(&tokens, c.base());
            return Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, places)))));
        }
        _ => {
            let message = format!("access method \"{method}\" does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    let clauses = if c.is("with") { options(c)? } else { vec![] };
    c.end()?;
    table(c, (open, close), None, clauses)
}

/// `WITH (option = value, …)`
fn options(c: &mut Cursor<'_>) -> Result<Vec<Clause>> {
    c.expect("with")?;
    c.expect_token(&Token::LParen)?;
    let mut out = vec![];
    loop {
        let position = here(c);
        let name = c.identifier()?;
        c.expect_token(&Token::Eq)?;
        let value = match c.string() {
            Some(text) => text,
            None if c.is_number() => duration(c)?,
            None => c.identifier()?,
        };
        out.push(Clause { name, value: Written::Text(value), position });
        if !c.take_token(&Token::Comma) {
            break;
        }
    }
    c.expect_token(&Token::RParen)?;
    Ok(out)
}

/// One clause after the tags.
fn clause(c: &mut Cursor<'_>) -> Result<Clause> {
    let position = here(c);
    let text = |name: &str, text: String| Clause { name: name.into(), value: Written::Text(text), position };
    if c.take("retentions") {
        let clause = text("retention", duration(c)?);
        if c.peek().is_some_and(|t| t.token == Token::Comma) {
            return Err(Error::unsupported("RETENTIONS with down-sampling").at(position));
        }
        return Ok(clause);
    }
    if c.take_all(&["partition", "interval"]) {
        return Ok(text("partition_interval", duration(c)?));
    }
    if c.take("activetime") {
        return Ok(text("activetime", duration(c)?));
    }
    if c.take_all(&["dict", "encoding"]) {
        return Ok(text("dict encoding", String::new()));
    }
    if c.take("comment") {
        c.take_token(&Token::Eq);
        let value = c.string().ok_or_else(|| c.unexpected())?;
        return Ok(text("comment", value));
    }
    if c.take_all(&["with", "hash"]) {
        c.expect_token(&Token::LParen)?;
        let value = c.number().ok_or_else(|| c.unexpected())?;
        c.expect_token(&Token::RParen)?;
        return Ok(text("hash", value));
    }
    if c.is("with") {
        let mut all = options(c)?;
        c.end()?;
        return Ok(all.remove(0));
    }
    Err(c.unexpected())
}

/// A number with its unit (or without one), as written.
fn duration(c: &mut Cursor<'_>) -> Result<String> {
    let Some(number) = c.number() else { return Err(c.unexpected()) };
    let unit = match c.peek().map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => {
            c.at += 1;
            w.value.to_ascii_lowercase()
        }
        _ => String::new(),
    };
    Ok(format!("{number}{unit}"))
}

/// The tokens in the brackets that come next.
fn bracket<'a>(c: &mut Cursor<'a>) -> Result<&'a [Tok]> {
    c.expect_token(&Token::LParen)?;
    let inside = c.bracketed()?;
    if inside.is_empty() {
        c.at -= 1;
        return Err(c.unexpected());
    }
    Ok(inside)
}

/// `(name, …)`
fn names(c: &mut Cursor<'_>) -> Result<Vec<(String, Option<u32>)>> {
    c.expect_token(&Token::LParen)?;
    let mut out = vec![];
    loop {
        let at = here(c);
        out.push((c.identifier()?, at));
        if !c.take_token(&Token::Comma) {
            break;
        }
    }
    c.expect_token(&Token::RParen)?;
    Ok(out)
}

/// The position of the next token within the statement.
fn here(c: &Cursor<'_>) -> Option<u32> {
    c.peek().and_then(|t| position(t.start - c.base()))
}

/// Parses the columns, the tags' ones among them.
fn table(
    c: &Cursor<'_>,
    (open, close): (usize, usize),
    tags: Option<&[Tok]>,
    mut clauses: Vec<Clause>,
) -> Result<Kind> {
    let all = c.piece.tokens;
    let mut tokens = all[..close].to_vec();
    if let Some(tags) = tags {
        tokens.push(Tok { token: Token::Comma, ..all[close].clone() });
        tokens.extend_from_slice(tags);
    }
    tokens.push(all[close].clone());
    let statement = c.run(&tokens, |p| p.parse_statement())?;
    let Statement::CreateTable(table) = statement else { return Err(c.unexpected()) };
    let tag_columns = tags.map_or(0, top_level_commas);
    if let (Some(_), Some(first)) = (tags, table.columns.first()) {
        let name = fold_identifier(&first.name.value, first.name.quote_style.is_some());
        let position = all.get(open + 1).and_then(|t| position(t.start - c.base()));
        clauses.push(Clause { name: "time".into(), value: Written::Names(vec![(name, position)]), position });
    }
    let places = Places::of(&tokens, c.base());
    let own = SeriesStatement::Table { table: Box::new(table), tag_columns, clauses };
    Ok(Kind::Plan(Box::new(Ast::Series(Deep::new(own, places)))))
}

/// How many columns a list declares.
fn top_level_commas(tokens: &[Tok]) -> usize {
    let (mut depth, mut n) = (0, 1);
    for t in tokens {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => n += 1,
            _ => {}
        }
    }
    n
}

/// `CREATE TS DATABASE [IF NOT EXISTS] d [RETENTIONS dur] [PARTITION INTERVAL dur] [COMMENT [=] 'text']`
pub(super) fn create_database(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at = 3;
    let if_not_exists = c.take_all(&["if", "not", "exists"]);
    let name = c.identifier()?;
    let mut clauses = vec![];
    while c.peek().is_some() {
        if !["retentions", "partition", "comment"].iter().any(|w| c.is(w)) {
            return Err(c.unexpected());
        }
        clauses.push(clause(c)?);
    }
    let own = SeriesStatement::Database { name, if_not_exists, clauses };
    Ok(Kind::Plan(Box::new(Ast::Series(Deep::new(own, Places::default())))))
}

/// `ALTER TABLE t SET RETENTIONS [=] dur`; None for any other ALTER.
pub(super) fn alter_table(c: &mut Cursor<'_>) -> Result<Option<Kind>> {
    let mut ahead = c.clone();
    ahead.at = 2;
    ahead.take_all(&["if", "exists"]);
    let position = here(&ahead);
    let Ok(table) = ahead.name() else { return Ok(None) };
    if !c.is_nth(1, "table") || !ahead.take_all(&["set", "retentions"]) {
        return Ok(None);
    }
    c.at = ahead.at;
    let at = here(c);
    c.take_token(&Token::Eq);
    let clause = Clause { name: "retention".into(), value: Written::Text(duration(c)?), position: at };
    c.end()?;
    let own = SeriesStatement::Retention { table, position, clause };
    Ok(Some(Kind::Plan(Box::new(Ast::Series(Deep::new(own, Places::default()))))))
}
