//! CREATE SEQUENCE, DROP SEQUENCE, and the options of sequences wherever they stand.

use super::Kind;
use super::cursor::Cursor;
use super::own::{Own, SequenceOption, SequenceSetting as S};
use heddle_types::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

/// `CREATE [TEMP] SEQUENCE [IF NOT EXISTS] name options`
pub(super) fn create(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    if c.take("unlogged") {
        return Ok(Kind::Unsupported("an unlogged sequence".into()));
    }
    let temporary = c.take("temp") || c.take("temporary");
    c.expect("sequence")?;
    let if_not_exists = c.take_all(&["if", "not", "exists"]);
    let name = c.dotted()?;
    let options = options(c)?;
    c.own(Own::CreateSequence { temporary, if_not_exists, name, options })
}

/// `DROP SEQUENCE [IF EXISTS] s, … [CASCADE]`
pub(super) fn drop(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 2;
    let if_exists = c.if_exists();
    let mut names = vec![c.dotted()?];
    while c.take_token(&Token::Comma) {
        names.push(c.dotted()?);
    }
    let cascade = c.cascade();
    c.own(Own::DropSequence { names, if_exists, cascade })
}

/// `( options )`, if any.
pub(super) fn bracketed_options(c: &mut Cursor<'_>) -> Result<Vec<SequenceOption>> {
    if !c.take_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let options = options(c)?;
    if options.is_empty() {
        return Err(c.unexpected());
    }
    c.expect_token(&Token::RParen)?;
    Ok(options)
}

/// Options up to something else.
pub(super) fn options(c: &mut Cursor<'_>) -> Result<Vec<SequenceOption>> {
    let mut all = Vec::new();
    while let Some(option) = option(c)? {
        all.push(option);
    }
    Ok(all)
}

/// One option, if one comes next.
pub(super) fn option(c: &mut Cursor<'_>) -> Result<Option<SequenceOption>> {
    let pos = c.here();
    let kind = if c.take("as") {
        let tokens = c.rest().tokens;
        let ty = c.run(&tokens[..tokens.len().min(1)], |p| p.parse_data_type())?;
        c.at += 1;
        S::Type(Box::new(ty))
    } else if c.take("increment") {
        c.take("by");
        S::Increment(integer(c)?)
    } else if c.take("minvalue") {
        S::Min(Some(integer(c)?))
    } else if c.take("maxvalue") {
        S::Max(Some(integer(c)?))
    } else if c.take_all(&["no", "minvalue"]) {
        S::Min(None)
    } else if c.take_all(&["no", "maxvalue"]) {
        S::Max(None)
    } else if c.take_all(&["no", "cycle"]) {
        S::Cycle(false)
    } else if c.take("cycle") {
        S::Cycle(true)
    } else if c.take("start") {
        c.take("with");
        S::Start(integer(c)?)
    } else if c.take("restart") {
        let with = c.take("with");
        S::Restart(if with || c.is_number() { Some(integer(c)?) } else { None })
    } else if c.take("cache") {
        S::Cache(integer(c)?)
    } else if c.take("owned") {
        c.expect("by")?;
        let name = c.dotted()?;
        S::Owned((name.parts != ["none"]).then_some(name))
    } else if c.is("sequence") && c.is_nth(1, "name") {
        c.at += 2;
        S::Name(c.dotted()?)
    } else {
        return Ok(None);
    };
    Ok(Some(SequenceOption { kind, pos }))
}

fn integer(c: &mut Cursor<'_>) -> Result<i64> {
    let (before, pos) = (c.clone(), c.here());
    let text = c.number().ok_or_else(|| before.unexpected())?;
    match text.parse() {
        Ok(n) => Ok(n),
        Err(_) if text.contains(['.', 'e', 'E']) => {
            Err(Error::new(SqlState::SYNTAX_ERROR, format!("invalid input syntax for type bigint: \"{text}\"")).at(pos))
        }
        Err(_) => {
            let message = format!("value \"{text}\" is out of range for type bigint");
            Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message))
        }
    }
}
