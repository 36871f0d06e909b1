//! VACUUM and ANALYZE: the grammar and the options PostgreSQL knows. What they would do happens by itself here (merges) or
//! is not needed (statistics), so only names and options are checked.

use super::cursor::Cursor;
use super::scan::Tok;
use super::utility::commas;
use super::{Kind, Maintenance};
use heddle_types::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

const VACUUM_OPTIONS: &[&str] = &[
    "verbose",
    "skip_locked",
    "analyze",
    "freeze",
    "full",
    "disable_page_skipping",
    "index_cleanup",
    "process_toast",
    "truncate",
    "parallel",
];
const ANALYZE_OPTIONS: &[&str] = &["verbose", "skip_locked"];

/// `VACUUM | ANALYZE [(option, …)] [table [(column, …)], …]`
pub(super) fn maintenance(c: &mut Cursor<'_>) -> Result<Kind> {
    let tag = if c.is("vacuum") { "VACUUM" } else { "ANALYZE" };
    c.at += 1;
    let mut analyze = tag == "ANALYZE";
    if c.take_token(&Token::LParen) {
        analyze |= options(c, tag)?;
    } else if tag == "VACUUM" {
        c.take("full");
        c.take("freeze");
        c.take("verbose");
        analyze |= c.take("analyze") || c.take("analyse");
    } else {
        c.take("verbose");
    }
    let mut tables = Vec::new();
    while c.peek().is_some() {
        let name = c.name()?;
        let mut columns = Vec::new();
        if c.take_token(&Token::LParen) {
            columns.push(c.identifier()?);
            while c.take_token(&Token::Comma) {
                columns.push(c.identifier()?);
            }
            c.expect_token(&Token::RParen)?;
        }
        if !columns.is_empty() && !analyze {
            let message = "ANALYZE option must be specified when a column list is provided";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        tables.push((name, columns));
        if !c.take_token(&Token::Comma) {
            break;
        }
        if c.peek().is_none() {
            return Err(c.unexpected());
        }
    }
    c.end()?;
    Ok(Kind::Maintenance(Maintenance { tag, tables }))
}

/// Checks the option list; does it ask for ANALYZE?
fn options(c: &mut Cursor<'_>, tag: &str) -> Result<bool> {
    let known = if tag == "VACUUM" { VACUUM_OPTIONS } else { ANALYZE_OPTIONS };
    let mut analyze = false;
    for option in commas(c.bracketed()?) {
        let word = |t: Option<&Tok>| match t.map(|t| &t.token) {
            Some(Token::Word(w)) => w.value.to_ascii_lowercase(),
            Some(Token::Number(n, _)) => n.clone(),
            _ => String::new(),
        };
        let name = match word(option.first()).as_str() {
            "analyse" => "analyze".to_owned(),
            name => name.to_owned(),
        };
        if !known.contains(&name.as_str()) {
            let message = format!("unrecognized {tag} option \"{name}\"");
            let pos = option.first().and_then(|t| super::scan::position(t.start));
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        let value = word(option.get(1));
        analyze |= name == "analyze" && !matches!(value.as_str(), "false" | "off" | "0");
    }
    Ok(analyze)
}
