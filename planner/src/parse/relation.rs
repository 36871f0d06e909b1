//! Statements about indexes, views and triggers: what sqlparser reads differently from PostgreSQL is settled on the tokens.

use super::cursor::Cursor;
use super::{Ast, Deep, Kind, Maintenance, Places, rewrite};
use heddle_types::Result;
use sqlparser::ast::Statement;
use sqlparser::tokenizer::Token;

/// `CREATE [OR REPLACE] VIEW v [(column, …)] AS query`; the query's text travels as `comment`, after its place in the statement
/// (`20:SELECT …`).
pub(super) fn create_view(c: &mut Cursor<'_>) -> Result<Kind> {
    let tokens = c.piece.tokens;
    let word = |i: usize| match tokens.get(i).map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => w.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    if (0..4).any(|i| word(i) == "recursive") {
        return Ok(Kind::Unsupported("CREATE RECURSIVE VIEW".into()));
    }
    if tokens.len() > 2 && word(tokens.len() - 2) == "check" && word(tokens.len() - 1) == "option" {
        return Ok(Kind::Unsupported("CREATE VIEW WITH CHECK OPTION".into()));
    }
    let rewritten = rewrite::rewrite(tokens);
    let mut statement = c.run(&rewritten, |p| p.parse_statement())?;
    let places = Places::of(&rewritten, c.base());
    let query = (0..tokens.len()).find(|i| word(*i) == "as").and_then(|i| tokens.get(i + 1));
    if let Some(merge) = query.filter(|t| matches!(&t.token, Token::Word(w) if w.value.eq_ignore_ascii_case("merge"))) {
        return Err(c.source.syntax_error(Some(merge)));
    }
    if let (Statement::CreateView(view), Some(first), Some(last)) = (&mut statement, query, tokens.last()) {
        let text = c.source.slice(first.start, last.end);
        view.comment = Some(format!("{}:{text}", first.start - c.base()));
    }
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, places)))))
}

/// `DROP INDEX [CONCURRENTLY] [IF EXISTS] i, …`: taken like one without CONCURRENTLY.
pub(super) fn drop_index(c: &mut Cursor<'_>) -> Result<Kind> {
    let mut tokens = c.piece.tokens.to_vec();
    if c.is_nth(2, "concurrently") {
        tokens.remove(2);
    }
    let statement = c.run(&tokens, |p| p.parse_statement())?;
    Ok(Kind::Plan(Box::new(Ast::Statement(Deep::new(statement, Places::default())))))
}

/// `REINDEX [(option, …)] {INDEX | TABLE | SCHEMA | DATABASE | SYSTEM} [CONCURRENTLY] name`: entries are written with their
/// rows in one commit, so there is nothing to rebuild.
pub(super) fn reindex(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    if c.take_token(&Token::LParen) {
        c.bracketed()?;
    }
    let kinds = ["index", "table", "schema", "database", "system"];
    if !kinds.iter().any(|k| c.take(k)) {
        return Err(c.unexpected());
    }
    c.take("concurrently");
    c.name()?;
    c.end()?;
    Ok(Kind::Maintenance(Maintenance { tag: "REINDEX", tables: vec![] }))
}

/// CREATE TRIGGER: read far enough to tell PostgreSQL's grammar from others, then `0A000`.
pub(super) fn create_trigger(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    c.take_all(&["or", "replace"]);
    c.take("constraint");
    c.expect("trigger")?;
    c.identifier()?;
    if !(c.take("before") || c.take("after")) {
        c.expect("instead")?;
        c.expect("of")?;
    }
    loop {
        let update = c.take("update");
        if !update && !["insert", "delete", "truncate"].iter().any(|w| c.take(w)) {
            return Err(c.unexpected());
        }
        if update && c.take("of") {
            c.identifier()?;
            while c.take_token(&Token::Comma) {
                c.identifier()?;
            }
        }
        if !c.take("or") {
            break;
        }
    }
    c.expect("on")?;
    c.name()?;
    if c.take("for") {
        c.take("each");
        if !(c.take("row") || c.take("statement")) {
            return Err(c.unexpected());
        }
    }
    let next = ["from", "not", "deferrable", "initially", "referencing", "when", "execute"];
    if !next.iter().any(|w| c.is(w)) {
        return Err(c.unexpected());
    }
    Ok(Kind::Unsupported("CREATE TRIGGER".into()))
}

/// DROP TRIGGER: as [`create_trigger`].
pub(super) fn drop_trigger(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 2;
    c.take_all(&["if", "exists"]);
    c.identifier()?;
    c.expect("on")?;
    c.name()?;
    let _ = c.take("cascade") || c.take("restrict");
    c.end()?;
    Ok(Kind::Unsupported("DROP TRIGGER".into()))
}
