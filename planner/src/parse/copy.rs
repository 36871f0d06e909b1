//! COPY, in the option syntax of today (`WITH (FORMAT csv, …)`) and of before 9.0 (`CSV HEADER DELIMITER ','`).

use super::cursor::Cursor;
use super::scan::position;
use super::utility::unsupported;
use super::{Ast, Deep, Kind, rewrite};
use heddle_types::{Error, Result, SqlState};
use sqlparser::tokenizer::Token;

/// COPY as written.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The relation's dotted name, at most database, schema and name; None for COPY (query) TO
    pub table: Option<Vec<String>>,
    /// Columns as written; empty = all
    pub columns: Vec<String>,
    /// COPY (query) TO
    pub query: Option<Box<Ast>>,
    /// FROM?
    pub from: bool,
    /// A file name; None is STDIN or STDOUT
    pub file: Option<String>,
    /// Options in the order written
    pub options: Vec<CopyOption>,
    /// WHERE of COPY FROM, an expression
    pub filter: Option<Ast>,
    /// Position of the table name (1-based characters)
    pub position: Option<u32>,
}

/// An option of COPY as written.
#[derive(Clone, Debug)]
pub struct CopyOption {
    /// Lower-case name
    pub name: String,
    /// What it is set to
    pub value: CopyValue,
    /// Where it stands (1-based characters)
    pub position: Option<u32>,
}

/// The value of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyValue {
    /// Nothing was written
    None,
    /// A word, string or number
    Text(String),
    /// `*`
    Star,
    /// `(a, b)`
    List(Vec<String>),
}

/// How a query in brackets can begin.
const QUERIES: [&str; 7] = ["select", "values", "with", "table", "insert", "update", "delete"];

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
        filter: None,
        position: None,
    };
    let at = here(c);
    if c.take("binary") {
        copy.options.push(option(("format".into(), text("binary")), at));
    }
    if c.take_token(&Token::LParen) {
        // PostgreSQL's PreparableStmt: nothing else may stand here.
        if c.is("merge") {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "MERGE not supported in COPY"));
        }
        if !QUERIES.iter().any(|word| c.is(word)) && c.peek().is_none_or(|t| t.token != Token::LParen) {
            return Err(c.unexpected());
        }
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
    let name = c.name()?;
    if name.len() > 3 {
        let message = format!("improper qualified name (too many dotted names): {}", name.join("."));
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(copy.position));
    }
    copy.table = Some(name);
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
        copy.options.push(option(("delimiter".into(), CopyValue::Text(value)), at));
    }
    c.take("with");
    if c.take_token(&Token::LParen) {
        loop {
            let at = here(c);
            let read = new_option(c)?;
            copy.options.push(option(read, at));
            if !c.take_token(&Token::Comma) {
                break;
            }
        }
        c.expect_token(&Token::RParen)?;
    } else {
        while c.peek().is_some() && !c.is("where") {
            let at = here(c);
            let read = old_option(c)?;
            copy.options.push(option(read, at));
        }
    }
    copy_filter(c, copy)
}

fn copy_filter(c: &mut Cursor<'_>, copy: &mut Copy) -> Result<()> {
    let at = here(c);
    if copy.query.is_some() || !c.take("where") {
        return Ok(());
    }
    let tokens = c.rest().tokens;
    if tokens.is_empty() {
        return Err(c.unexpected());
    }
    copy.filter = Some(c.expression(tokens)?);
    c.at += tokens.len();
    if !copy.from {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "WHERE clause not allowed with COPY TO").at(at));
    }
    Ok(())
}

/// Position of the next token in the statement.
fn here(c: &Cursor<'_>) -> Option<u32> {
    c.peek().and_then(|t| position(t.start - c.base()))
}

type Read = (String, CopyValue);

fn option((name, value): Read, position: Option<u32>) -> CopyOption {
    CopyOption { name, value, position }
}

fn text(word: &str) -> CopyValue {
    CopyValue::Text(word.to_owned())
}

fn new_option(c: &mut Cursor<'_>) -> Result<Read> {
    let name = c.identifier()?;
    let value = if c.peek().is_none_or(|t| matches!(t.token, Token::Comma | Token::RParen)) {
        CopyValue::None
    } else if c.take_token(&Token::Mul) {
        CopyValue::Star
    } else if c.take_token(&Token::LParen) {
        let mut items = vec![word(c)?];
        while c.take_token(&Token::Comma) {
            items.push(word(c)?);
        }
        c.expect_token(&Token::RParen)?;
        CopyValue::List(items)
    } else if let Some(number) = c.number() {
        CopyValue::Text(number)
    } else {
        CopyValue::Text(word(c)?)
    };
    Ok((name, value))
}

fn word(c: &mut Cursor<'_>) -> Result<String> {
    match c.string() {
        Some(s) => Ok(s),
        None => c.identifier(),
    }
}

/// The options of before 9.0: words, what they set, and to what.
const OLD_WORDS: [(&str, &str, &str); 4] = [
    ("binary", "format", "binary"),
    ("csv", "format", "csv"),
    ("header", "header", "true"),
    ("freeze", "freeze", "true"),
];
const OLD_STRINGS: [&str; 5] = ["delimiter", "null", "quote", "escape", "encoding"];
const OLD_LISTS: [(&[&str], &str); 3] = [
    (&["force", "quote"], "force_quote"),
    (&["force", "null"], "force_null"),
    (&["force", "not", "null"], "force_not_null"),
];

fn old_option(c: &mut Cursor<'_>) -> Result<Read> {
    if let Some((_, name, value)) = OLD_WORDS.iter().find(|(word, ..)| c.take(word)) {
        return Ok(((*name).into(), text(value)));
    }
    if let Some(name) = OLD_STRINGS.iter().find(|word| c.take(word)) {
        // ENCODING alone knows no AS.
        if *name != "encoding" {
            c.take("as");
        }
        return Ok(((*name).into(), CopyValue::Text(c.string().ok_or_else(|| c.unexpected())?)));
    }
    let Some((_, name)) = OLD_LISTS.iter().find(|(words, _)| c.take_all(words)) else {
        return Err(c.unexpected());
    };
    if c.take_token(&Token::Mul) {
        return Ok(((*name).into(), CopyValue::Star));
    }
    let mut columns = vec![c.identifier()?];
    while c.take_token(&Token::Comma) {
        columns.push(c.identifier()?);
    }
    Ok(((*name).into(), CopyValue::List(columns)))
}
