//! CREATE TABLE … AS, CREATE DATABASE and DROP DATABASE where sqlparser lacks PostgreSQL's options.
//!
//! Called by [`super::utility`]; the tree itself still comes from sqlparser.

use super::cursor::Cursor;
use super::{Ast, Deep, Kind, Places, like, rewrite, table};
use heddle_types::Result;
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;

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
    let tokens = like::elements(c, &rewrite::rewrite(&c.piece.tokens[..n - cut]))?;
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
