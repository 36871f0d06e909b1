//! ALTER TABLE, INDEX, VIEW, SEQUENCE, SCHEMA: PostgreSQL's grammar, of which sqlparser has only parts.

use super::cursor::Cursor;
use super::own::{Action, Name, Noun, Own, Part, StorageOption, Word};
use super::scan::{Tok, position};
use super::utility::commas;
use super::{Ast, Deep, Kind, Places, sequence};
use heddle_types::Result;
use sqlparser::tokenizer::Token;

impl Cursor<'_> {
    /// Where the next token stands in the statement.
    pub(super) fn here(&self) -> Option<u32> {
        self.peek().and_then(|t| position(t.start - self.base()))
    }

    pub(super) fn word(&mut self) -> Result<Word> {
        let pos = self.here();
        Ok(Word { text: self.identifier()?, pos })
    }

    pub(super) fn dotted(&mut self) -> Result<Name> {
        let pos = self.here();
        Ok(Name { parts: self.name()?, pos })
    }

    /// `IF EXISTS`
    pub(super) fn if_exists(&mut self) -> bool {
        self.take_all(&["if", "exists"])
    }

    /// `CASCADE | RESTRICT`, if any.
    pub(super) fn cascade(&mut self) -> bool {
        let cascade = self.take("cascade");
        if !cascade {
            self.take("restrict");
        }
        cascade
    }

    /// The finished statement.
    pub(super) fn own(&self, own: Own) -> Result<Kind> {
        self.end()?;
        let places = Places::of(self.piece.tokens, self.base());
        Ok(Kind::Plan(Box::new(Ast::Own(Deep::new(own, places)))))
    }
}

/// ALTER …
pub(super) fn alter(c: &mut Cursor<'_>) -> Result<Kind> {
    if c.is_nth(1, "schema") {
        c.at += 2;
        let name = c.word()?;
        if c.take_all(&["owner", "to"]) {
            return Ok(Kind::Unsupported("ALTER SCHEMA OWNER TO".into()));
        }
        c.expect("rename")?;
        c.expect("to")?;
        let to = c.identifier()?;
        return c.own(Own::RenameSchema { name, to });
    }
    let noun = match () {
        () if c.is_nth(1, "table") => Noun::Table,
        () if c.is_nth(1, "index") => Noun::Index,
        () if c.is_nth(1, "view") => Noun::View,
        () if c.is_nth(1, "sequence") => Noun::Sequence,
        () => return Ok(Kind::Unsupported(super::utility::command_name(c))),
    };
    c.at += 2;
    let if_exists = c.if_exists();
    let only = noun == Noun::Table && c.take("only");
    let name = c.dotted()?;
    if noun == Noun::Table && !only {
        c.take_token(&Token::Mul);
    }
    if c.take("rename") {
        return rename(c, noun, if_exists, name);
    }
    if c.take_all(&["set", "schema"]) {
        let schema = c.word()?;
        return c.own(Own::SetSchema { noun, if_exists, name, schema });
    }
    if noun == Noun::Sequence && !c.is("owner") {
        let options = sequence::options(c)?;
        if options.is_empty() {
            return Err(c.unexpected());
        }
        return c.own(Own::AlterSequence { if_exists, name, options });
    }
    let mut actions = Vec::new();
    loop {
        actions.push(action(c)?);
        if !c.take_token(&Token::Comma) {
            break;
        }
    }
    c.own(Own::Alter { noun, if_exists, name, actions })
}

fn rename(c: &mut Cursor<'_>, noun: Noun, if_exists: bool, name: Name) -> Result<Kind> {
    let columns = matches!(noun, Noun::Table | Noun::View);
    let part = if c.take("to") {
        let to = c.identifier()?;
        return c.own(Own::Rename { noun, if_exists, name, part: Part::Whole, to });
    } else if noun == Noun::Table && c.is("constraint") && !c.is_nth(1, "to") {
        c.at += 1;
        Part::Constraint(c.word()?)
    } else if columns {
        if c.is("column") && !c.is_nth(1, "to") {
            c.at += 1;
        }
        Part::Column(c.word()?)
    } else {
        return Err(c.unexpected());
    };
    c.expect("to")?;
    let to = c.identifier()?;
    c.own(Own::Rename { noun, if_exists, name, part, to })
}

fn action(c: &mut Cursor<'_>) -> Result<Action> {
    let constraint = ["constraint", "check", "unique", "primary", "foreign", "exclude"];
    if c.take("add") {
        return if constraint.iter().any(|w| c.is(w)) { add_constraint(c) } else { add_column(c) };
    }
    if c.take("drop") {
        return drop(c);
    }
    if c.take("alter") {
        c.take("column");
        let column = c.word()?;
        return column_action(c, column);
    }
    if c.take("validate") {
        c.expect("constraint")?;
        return Ok(Action::Validate { name: c.word()? });
    }
    if c.take("owner") {
        c.expect("to")?;
        return Ok(Action::Owner(c.word()?));
    }
    if c.is("set") && c.peek_nth(1).is_some_and(|t| t.token == Token::LParen) {
        c.at += 1;
        return Ok(Action::Options { options: storage_options(c)? });
    }
    if c.is("reset") && c.peek_nth(1).is_some_and(|t| t.token == Token::LParen) {
        c.at += 1;
        return Ok(Action::Options { options: storage_options(c)? });
    }
    unsupported_action(c)
}

/// Actions PostgreSQL has and we do not.
fn unsupported_action(c: &Cursor<'_>) -> Result<Action> {
    let known = [
        "enable", "disable", "cluster", "set", "reset", "inherit", "no", "of", "not", "replica", "attach", "detach",
        "force",
    ];
    match known.iter().find(|w| c.is(w)) {
        Some(word) => Err(super::utility::unsupported(&format!("ALTER TABLE … {}", word.to_uppercase()))),
        None => Err(c.unexpected()),
    }
}

fn add_column(c: &mut Cursor<'_>) -> Result<Action> {
    c.take("column");
    let if_not_exists = c.take_all(&["if", "not", "exists"]);
    let pos = c.here();
    let tokens = clause(c);
    if tokens.is_empty() {
        return Err(c.unexpected());
    }
    let definition = super::table::definition(c, tokens)?;
    let column = Box::new(c.run(&definition, |p| p.parse_column_def())?);
    c.at += tokens.len();
    Ok(Action::AddColumn { if_not_exists, column, pos })
}

fn add_constraint(c: &mut Cursor<'_>) -> Result<Action> {
    let pos = c.here();
    let mut tokens = clause(c);
    let all = tokens.len();
    let ends = |tokens: &[Tok], words: &[&str]| {
        let from = tokens.len().saturating_sub(words.len());
        tokens.len() > words.len() && words.iter().zip(&tokens[from..]).all(|(w, t)| is(t, w))
    };
    let not_valid = ends(tokens, &["not", "valid"]);
    if not_valid {
        tokens = &tokens[..tokens.len() - 2];
    }
    let parsed = c.run(tokens, |p| p.parse_optional_table_constraint())?;
    let Some(constraint) = parsed else { return Err(c.unexpected()) };
    c.at += all;
    Ok(Action::AddConstraint { constraint: Box::new(constraint), not_valid, pos })
}

fn drop(c: &mut Cursor<'_>) -> Result<Action> {
    if c.is("constraint") {
        c.at += 1;
        let if_exists = c.if_exists();
        let name = c.word()?;
        return Ok(Action::DropConstraint { if_exists, name, cascade: c.cascade() });
    }
    c.take("column");
    let if_exists = c.if_exists();
    let name = c.word()?;
    Ok(Action::DropColumn { if_exists, name, cascade: c.cascade() })
}

fn column_action(c: &mut Cursor<'_>, column: Word) -> Result<Action> {
    if c.take_all(&["set", "default"]) {
        let tokens = clause(c);
        let value = expression(c, tokens)?;
        return Ok(Action::Default { column, value: Some(value) });
    }
    if c.take_all(&["drop", "default"]) {
        return Ok(Action::Default { column, value: None });
    }
    if c.take_all(&["set", "not", "null"]) {
        return Ok(Action::NotNull { column, set: true });
    }
    if c.take_all(&["drop", "not", "null"]) {
        return Ok(Action::NotNull { column, set: false });
    }
    if c.take_all(&["drop", "identity"]) {
        return Ok(Action::DropIdentity { column, if_exists: c.if_exists() });
    }
    if c.take_all(&["add", "generated"]) {
        let always = always(c)?;
        c.expect("as")?;
        c.expect("identity")?;
        let options = sequence::bracketed_options(c)?;
        return Ok(Action::AddIdentity { column, always, options });
    }
    if c.take("type") || c.take_all(&["set", "data", "type"]) {
        return column_type(c, column);
    }
    if c.is("restart") || (c.is("set") && !["statistics", "storage", "compression"].iter().any(|w| c.is_nth(1, w))) {
        if c.peek_nth(1).is_some_and(|t| t.token == Token::LParen) {
            c.at += 2;
            c.bracketed()?;
            return Ok(Action::Tuning { column: Some(column), what: "column options" });
        }
        return set_identity(c, column);
    }
    if c.take_all(&["set", "statistics"]) {
        c.number().ok_or_else(|| c.unexpected())?;
        return Ok(Action::Tuning { column: Some(column), what: "SET STATISTICS" });
    }
    if c.take_all(&["set", "storage"]) || c.take_all(&["set", "compression"]) {
        c.identifier()?;
        return Ok(Action::Tuning { column: Some(column), what: "SET STORAGE and SET COMPRESSION" });
    }
    Err(c.unexpected())
}

fn always(c: &mut Cursor<'_>) -> Result<bool> {
    if c.take("always") {
        return Ok(true);
    }
    c.expect("by")?;
    c.expect("default")?;
    Ok(false)
}

fn set_identity(c: &mut Cursor<'_>, column: Word) -> Result<Action> {
    let (mut kind, mut options) = (None, Vec::new());
    loop {
        if c.take_all(&["set", "generated"]) {
            kind = Some(always(c)?);
        } else if c.is("restart") {
            options.extend(sequence::option(c)?);
        } else if c.is("set") {
            c.at += 1;
            options.push(sequence::option(c)?.ok_or_else(|| c.unexpected())?);
        } else {
            return Ok(Action::SetIdentity { column, always: kind, options });
        }
    }
}

fn column_type(c: &mut Cursor<'_>, column: Word) -> Result<Action> {
    let tokens = clause(c);
    let using = tokens.iter().position(|t| is(t, "using"));
    let mut ty_tokens = &tokens[..using.unwrap_or(tokens.len())];
    if let Some(at) = ty_tokens.iter().position(|t| is(t, "collate")) {
        ty_tokens = &ty_tokens[..at];
    }
    if ty_tokens.is_empty() {
        return Err(c.unexpected());
    }
    let ty = Box::new(c.run(ty_tokens, |p| p.parse_data_type())?);
    let using = match using {
        Some(at) => {
            let mut after = c.clone();
            after.at += at + 1;
            Some(expression(&mut after, &tokens[at + 1..])?)
        }
        None => None,
    };
    c.at += tokens.len();
    Ok(Action::Type { column, ty, using })
}

/// Parses `tokens`, which come next, as an expression.
fn expression(c: &mut Cursor<'_>, tokens: &[Tok]) -> Result<Box<sqlparser::ast::Expr>> {
    if tokens.is_empty() {
        return Err(c.unexpected());
    }
    let value = c.run(tokens, |p| p.parse_expr())?;
    c.at += tokens.len();
    Ok(Box::new(value))
}

/// The tokens up to the comma that ends this action.
fn clause<'a>(c: &Cursor<'a>) -> &'a [Tok] {
    let rest = c.rest().tokens;
    commas(rest).first().copied().unwrap_or(&[])
}

fn is(tok: &Tok, word: &str) -> bool {
    matches!(&tok.token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// `(name [= value], …)`
pub(super) fn storage_options(c: &mut Cursor<'_>) -> Result<Vec<StorageOption>> {
    c.expect_token(&Token::LParen)?;
    let mut options = Vec::new();
    loop {
        let mut name = c.identifier()?;
        let mut namespace = None;
        if c.take_token(&Token::Period) {
            namespace = Some(std::mem::replace(&mut name, c.identifier()?));
        }
        let value = if c.take_token(&Token::Eq) {
            Some(match c.string().or_else(|| c.number()) {
                Some(value) => value,
                None => c.identifier()?,
            })
        } else {
            None
        };
        options.push(StorageOption { namespace, name, value });
        if !c.take_token(&Token::Comma) {
            break;
        }
    }
    c.expect_token(&Token::RParen)?;
    Ok(options)
}
