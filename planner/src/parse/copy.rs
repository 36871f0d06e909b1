//! COPY, in the option syntax of today (`WITH (FORMAT csv, …)`) and of before 9.0 (`CSV HEADER DELIMITER ','`).

use super::cursor::Cursor;
use super::scan::position;
use super::utility::{commas, unsupported};
use super::{Ast, Copy, CopyOption, Deep, Kind, rewrite};
use heddle_types::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

/// Parses COPY.
pub(super) fn copy(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    let mut copy = Copy {
        table: None,
        columns: Vec::new(),
        query: None,
        from: false,
        file: None,
        options: Vec::new(),
        position: None,
    };
    let at = here(c);
    if c.take("binary") {
        copy.options.push(option(("format".into(), "binary".into()), at));
    }
    if c.take_token(&Token::LParen) {
        let tokens = rewrite::rewrite(c.bracketed()?);
        let places = super::Places::of(&tokens, c.base());
        copy.query = Some(Box::new(Ast::Statement(Deep::new(c.run(&tokens, |p| p.parse_statement())?, places))));
        c.expect("to")?;
    } else {
        copy_table(c, &mut copy)?;
    }
    copy_file(c, &mut copy)?;
    copy_options(c, &mut copy)?;
    c.end()?;
    Ok(Kind::Copy(Box::new(copy)))
}

fn copy_table(c: &mut Cursor<'_>, copy: &mut Copy) -> Result<()> {
    copy.position = here(c);
    let mut name = c.name()?;
    let table = name.pop().expect("a name has a part");
    if name.len() > 1 {
        let full = format!("{}.{table}", name.join("."));
        let message = format!("cross-database references are not implemented: \"{full}\"");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(copy.position));
    }
    copy.table = Some((name.pop(), table));
    if c.take_token(&Token::LParen) {
        loop {
            copy.columns.push(c.identifier()?);
            if !c.take_token(&Token::Comma) {
                break;
            }
        }
        c.expect_token(&Token::RParen)?;
    }
    copy.from = c.take("from");
    if copy.from { Ok(()) } else { c.expect("to") }
}

fn copy_file(c: &mut Cursor<'_>, copy: &mut Copy) -> Result<()> {
    if c.take("stdin") || c.take("stdout") {
        return Ok(());
    }
    if c.take("program") {
        return Err(unsupported("COPY with PROGRAM"));
    }
    copy.file = Some(c.string().ok_or_else(|| c.unexpected())?);
    Ok(())
}

fn copy_options(c: &mut Cursor<'_>, copy: &mut Copy) -> Result<()> {
    // The oldest form: [USING] DELIMITERS 'x'
    c.take("using");
    let at = here(c);
    if c.take("delimiters") {
        let value = c.string().ok_or_else(|| c.unexpected())?;
        copy.options.push(option(("delimiter".into(), value), at));
    }
    c.take("with");
    if c.take_token(&Token::LParen) {
        let base = c.base();
        let list = c.bracketed()?;
        for part in commas(list) {
            let mut inner = c.clone();
            inner.piece.tokens = part;
            inner.at = 0;
            let at = within(&inner, base);
            let read = new_option(&mut inner)?;
            inner.end()?;
            copy.options.push(option(read, at));
        }
    } else {
        while c.peek().is_some() && !c.is("where") {
            let at = here(c);
            let read = old_option(c)?;
            copy.options.push(option(read, at));
        }
    }
    if c.is("where") {
        return Err(unsupported("COPY FROM with WHERE"));
    }
    Ok(())
}

/// Position of the next token in the statement.
fn here(c: &Cursor<'_>) -> Option<u32> {
    within(c, c.base())
}

/// Position of the next token in the statement that begins at `base`.
fn within(c: &Cursor<'_>, base: usize) -> Option<u32> {
    c.peek().and_then(|t| position(t.start - base))
}

fn option((name, value): (String, String), position: Option<u32>) -> CopyOption {
    CopyOption { name, value, position }
}

fn new_option(c: &mut Cursor<'_>) -> Result<(String, String)> {
    let name = c.identifier()?.to_ascii_lowercase();
    let value = if c.peek().is_none() {
        "true".to_owned()
    } else if c.take_token(&Token::Mul) {
        "*".to_owned()
    } else if c.take_token(&Token::LParen) {
        let mut columns = Vec::new();
        for part in commas(c.bracketed()?) {
            let mut inner = c.clone();
            (inner.piece.tokens, inner.at) = (part, 0);
            columns.push(inner.identifier()?);
            inner.end()?;
        }
        columns.join(",")
    } else {
        match c.string().or_else(|| c.number()) {
            Some(v) => v,
            None => c.identifier()?,
        }
    };
    Ok((name, value))
}

fn old_option(c: &mut Cursor<'_>) -> Result<(String, String)> {
    let plain = [
        ("binary", "format", "binary"),
        ("csv", "format", "csv"),
        ("header", "header", "true"),
        ("freeze", "freeze", "true"),
    ];
    for (word, name, value) in plain {
        if c.take(word) {
            return Ok((name.into(), value.into()));
        }
    }
    for (word, name) in [
        ("delimiter", "delimiter"),
        ("null", "null"),
        ("quote", "quote"),
        ("escape", "escape"),
        ("encoding", "encoding"),
    ] {
        if c.take(word) {
            c.take("as");
            return Ok((name.into(), c.string().ok_or_else(|| c.unexpected())?));
        }
    }
    for (words, name) in [
        (["force", "quote"].as_slice(), "force_quote"),
        (&["force", "null"], "force_null"),
        (&["force", "not", "null"], "force_not_null"),
    ] {
        if c.take_all(words) {
            if c.take_token(&Token::Mul) {
                return Ok((name.into(), "*".into()));
            }
            let mut columns = vec![c.identifier()?];
            while c.take_token(&Token::Comma) {
                columns.push(c.identifier()?);
            }
            return Ok((name.into(), columns.join(",")));
        }
    }
    Err(c.unexpected())
}
