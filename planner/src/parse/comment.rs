//! COMMENT ON.

use super::Kind;
use super::cursor::Cursor;
use super::own::{Commented, Noun, Own};
use heddle_types::Result;

/// Objects PostgreSQL can comment on and we do not have.
const UNSUPPORTED: &[&str] = &[
    "access",
    "aggregate",
    "cast",
    "collation",
    "conversion",
    "domain",
    "event",
    "extension",
    "foreign",
    "function",
    "language",
    "large",
    "materialized",
    "operator",
    "policy",
    "procedural",
    "procedure",
    "publication",
    "role",
    "routine",
    "rule",
    "server",
    "statistics",
    "subscription",
    "tablespace",
    "text",
    "transform",
    "trigger",
    "type",
];

/// `COMMENT ON what IS 'text' | NULL`
pub(super) fn comment(c: &mut Cursor<'_>) -> Result<Kind> {
    c.at += 1;
    c.expect("on")?;
    let relation = [("table", Noun::Table), ("view", Noun::View), ("index", Noun::Index), ("sequence", Noun::Sequence)];
    let on = if let Some((_, noun)) = relation.iter().find(|(word, _)| c.take(word)) {
        Commented::Relation(*noun, c.dotted()?)
    } else if c.take("column") {
        Commented::Column(c.dotted()?)
    } else if c.take("schema") {
        Commented::Schema(c.word()?)
    } else if c.take("database") {
        Commented::Database(c.word()?)
    } else if c.take("constraint") {
        let name = c.word()?;
        c.expect("on")?;
        if c.is("domain") && !c.is_nth(1, "is") {
            return Ok(Kind::Unsupported("COMMENT ON CONSTRAINT … ON DOMAIN".into()));
        }
        Commented::Constraint { name, table: c.dotted()? }
    } else if let Some(word) = UNSUPPORTED.iter().find(|w| c.is(w)) {
        return Ok(Kind::Unsupported(format!("COMMENT ON {}", word.to_uppercase())));
    } else {
        return Err(c.unexpected());
    };
    c.expect("is")?;
    let text = if c.take("null") {
        None
    } else {
        let before = c.clone();
        Some(c.string().ok_or_else(|| before.unexpected())?)
    };
    // An empty comment is none, as in PostgreSQL.
    c.own(Own::Comment { on, text: text.filter(|t| !t.is_empty()) })
}
