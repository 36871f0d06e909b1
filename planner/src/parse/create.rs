//! CREATE TABLE … AS, CREATE DATABASE and DROP DATABASE where sqlparser lacks PostgreSQL's options.
//!
//! Called by [`super::utility`]; the tree itself still comes from sqlparser.

use super::cursor::Cursor;
use super::rewrite::{is, quoted, words};
use super::scan::Tok;
use super::{Ast, Deep, Kind, Places, like, rewrite, table};
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;

/// The type of a column of CREATE TABLE AS, which has none.
const NO_TYPE: &str = "\0none";

/// CREATE TABLE; `AS … WITH NO DATA` travels as `copy_grants`, which PostgreSQL does not have.
pub(super) fn create_table(c: &mut Cursor<'_>) -> Result<Kind> {
    if let Some(kind) = super::series::create_table(c)? {
        return Ok(kind);
    }
    let n = c.piece.tokens.len();
    let ends =
        |words: &[&str]| n > words.len() && words.iter().enumerate().all(|(i, w)| c.is_nth(n - words.len() + i, w));
    let (cut, empty) = if ends(&["with", "no", "data"]) {
        (3, true)
    } else if ends(&["with", "data"]) {
        (2, false)
    } else {
        (0, false)
    };
    let tokens = as_query(c, rewrite::rewrite(&c.piece.tokens[..n - cut]))?;
    let tokens = like::elements(c, &tokens)?;
    let tokens = table::definition(c, &tokens)?;
    let mut statement = c.run(&tokens, |p| p.parse_statement())?;
    match &mut statement {
        _ if cut == 0 => {}
        Statement::CreateTable(t) if t.query.is_some() => t.copy_grants = empty,
        _ => {
            c.at = n - cut;
            return Err(c.unexpected());
        }
    }
    let places = Places::of(&tokens, c.base());
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, places)))))
}

/// CREATE TABLE … AS: names of columns get [`NO_TYPE`] for a type, `USING heap` and `TABLESPACE pg_default` go, `AS TABLE t` becomes a
/// SELECT.
fn as_query(c: &Cursor<'_>, mut tokens: Vec<Tok>) -> Result<Vec<Tok>> {
    let Some(query) = top_level(&tokens, "as").filter(|i| *i + 1 < tokens.len()) else { return Ok(tokens) };
    if is(&tokens, query + 1, "table") {
        let select = words("SELECT * FROM", &tokens[query + 1]);
        tokens.splice(query + 1..query + 2, select);
    }
    for (word, default, what) in [("using", "heap", "access method"), ("tablespace", "pg_default", "tablespace")] {
        let Some(at) = top_level(&tokens, word).filter(|i| *i < query) else { continue };
        if !is(&tokens, at + 1, default) {
            let name = c.source.slice(tokens[at + 1].start, tokens[at + 1].end);
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("{what} \"{name}\" does not exist")));
        }
        tokens.drain(at..at + 2);
    }
    let Some(open) = tokens.iter().position(|t| t.token == Token::LParen) else { return Ok(tokens) };
    let names = tokens[open + 1..].iter().take_while(|t| matches!(t.token, Token::Word(_) | Token::Comma)).count();
    let listed = |i: usize| matches!(tokens[i].token, Token::Word(_)) == ((i - open) % 2 == 1);
    let close = open + names + 1;
    if top_level(&tokens, "as").is_some_and(|i| i > close) && names % 2 == 1 && (open + 1..close).all(listed) {
        for at in (open + 1..close).step_by(2).rev() {
            let none = quoted(NO_TYPE, &tokens[at]);
            tokens.insert(at + 1, none);
        }
    }
    Ok(tokens)
}

/// The first such word that stands in no brackets.
fn top_level(tokens: &[Tok], word: &str) -> Option<usize> {
    let mut depth = 0usize;
    (0..tokens.len()).find(|i| {
        match tokens[*i].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => return depth == 0 && is(tokens, *i, word),
        }
        false
    })
}

/// `CREATE DATABASE x [[WITH] option [=] value …]`: options that change nothing here are taken, others are `0A000`.
pub(super) fn create_database(c: &mut Cursor<'_>) -> Result<Kind> {
    let all = c.piece.tokens;
    c.at = 2;
    c.identifier()?;
    let named = c.at;
    c.take("with");
    while c.peek().is_some() {
        let mut option = c.identifier()?;
        if option == "connection" && c.take("limit") {
            option = "connection limit".into();
        }
        c.take_token(&Token::Eq);
        let value = match c.string().or_else(|| c.number()) {
            Some(v) => v,
            None => c.identifier()?,
        };
        let harmless = match option.as_str() {
            "encoding" => matches!(value.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode" | "default"),
            "template" => matches!(value.as_str(), "template0" | "template1" | "default"),
            "owner" => true,
            "connection limit" => value == "-1",
            "allow_connections" => value == "true" || value == "default",
            "is_template" => value == "false" || value == "default",
            // Text is compared by bytes, whatever the name for it.
            "locale" | "lc_collate" | "lc_ctype" => {
                matches!(value.to_ascii_lowercase().as_str(), "c" | "posix" | "c.utf-8" | "c.utf8" | "default")
            }
            "tablespace" => matches!(value.as_str(), "pg_default" | "default"),
            _ => value == "default",
        };
        if !harmless {
            return Ok(Kind::Unsupported(format!("CREATE DATABASE with {} = {value}", option.to_uppercase())));
        }
    }
    let statement = c.run(&all[..named], |p| p.parse_statement())?;
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, Places::default())))))
}

/// `DROP DATABASE [IF EXISTS] x [[WITH] (FORCE)]`; FORCE travels as `purge`.
pub(super) fn drop_database(c: &mut Cursor<'_>) -> Result<Kind> {
    let all = c.piece.tokens;
    c.at = 2;
    c.take_all(&["if", "exists"]);
    c.identifier()?;
    let named = c.at;
    c.take("with");
    let mut force = false;
    if c.take_token(&Token::LParen) {
        c.expect("force")?;
        c.expect_token(&Token::RParen)?;
        force = true;
    }
    c.end()?;
    let mut statement = c.run(&all[..named], |p| p.parse_statement())?;
    if let Statement::Drop { purge, .. } = &mut statement {
        *purge = force;
    }
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, Places::default())))))
}
