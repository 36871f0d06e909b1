//! nextval, currval, setval, lastval. Values are drawn outside of the transaction ([`heddle_txn::TxnManager::sequence_draw`]);
//! what a session drew last, and what CACHE drew ahead for it, is the session's ([`SessionSequences`]).

use super::kernel::k;
use super::{Registry, reg};
use crate::context::EvalContext;
use heddle_catalog::{Relation, SequenceDef};
use heddle_txn::{Position, Transaction};
use heddle_types::{Error, Oid, Result, SqlState};
use std::collections::HashMap;
use std::sync::Arc;

/// Sequences a session has used.
#[derive(Debug, Default)]
pub struct SessionSequences {
    used: HashMap<Oid, Used>,
    /// lastval()'s
    latest: Option<Oid>,
}

/// One of them.
#[derive(Debug)]
struct Used {
    /// The state the values came from: RESTART makes cached ones worthless.
    state: Oid,
    last: i64,
    increment: i64,
    /// How many cached values follow `last`.
    left: u64,
}

fn transaction(cx: &EvalContext) -> Result<&Arc<Transaction>> {
    cx.txn.as_ref().ok_or_else(|| Error::internal("a sequence needs a transaction"))
}

/// The sequence as it is now, our own DDL included.
fn sequence(oid: u32, cx: &EvalContext) -> Result<Arc<SequenceDef>> {
    let catalog = transaction(cx)?.catalog();
    match catalog.relation_by_oid(Oid(oid)) {
        Some(Relation::Sequence(s)) => Ok(s),
        Some(other) => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a sequence", other.name()))),
        None => Err(Error::new(SqlState::UNDEFINED_TABLE, format!("could not open relation with OID {oid}"))),
    }
}

fn refuse_read_only(cx: &EvalContext, what: &str) -> Result<()> {
    if transaction(cx)?.read_only() {
        let text = format!("cannot execute {what}() in a read-only transaction");
        return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, text));
    }
    Ok(())
}

fn nextval(oid: u32, cx: &EvalContext) -> Result<i64> {
    let s = sequence(oid, cx)?;
    refuse_read_only(cx, "nextval")?;
    let mut session = cx.session.sequences.lock();
    session.latest = Some(s.oid);
    if let Some(used) = session.used.get_mut(&s.oid)
        && used.left > 0
        && (used.state, used.increment) == (s.state, s.increment)
    {
        used.left -= 1;
        used.last += used.increment;
        return Ok(used.last);
    }
    let cache = s.cache.unsigned_abs();
    let Some((first, count)) = transaction(cx)?.manager().sequence_draw(&s, cache)? else {
        let (word, bound) = if s.increment > 0 { ("maximum", s.max) } else { ("minimum", s.min) };
        let text = format!("nextval: reached {word} value of sequence \"{}\" ({bound})", s.name);
        return Err(Error::new(SqlState::SEQUENCE_GENERATOR_LIMIT_EXCEEDED, text));
    };
    session.used.insert(s.oid, Used { state: s.state, last: first, increment: s.increment, left: count - 1 });
    Ok(first)
}

fn currval(oid: u32, cx: &EvalContext) -> Result<i64> {
    let s = sequence(oid, cx)?;
    let session = cx.session.sequences.lock();
    session.used.get(&s.oid).map(|u| u.last).ok_or_else(|| {
        let text = format!("currval of sequence \"{}\" is not yet defined in this session", s.name);
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
    })
}

fn lastval(cx: &EvalContext) -> Result<i64> {
    let session = cx.session.sequences.lock();
    let exists = |oid: &Oid| transaction(cx).is_ok_and(|t| t.catalog().sequence(*oid).is_some());
    let latest = session.latest.filter(exists).and_then(|oid| session.used.get(&oid));
    latest.map(|u| u.last).ok_or_else(|| {
        let text = "lastval is not yet defined in this session";
        Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
    })
}

fn setval(oid: u32, value: i64, called: bool, cx: &EvalContext) -> Result<i64> {
    let s = sequence(oid, cx)?;
    refuse_read_only(cx, "setval")?;
    if value < s.min || value > s.max {
        let text = format!("setval: value {value} is out of bounds for sequence \"{}\" ({}..{})", s.name, s.min, s.max);
        return Err(Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text));
    }
    transaction(cx)?.manager().sequence_set(&s, Position { last: value, called })?;
    let mut session = cx.session.sequences.lock();
    match session.used.get_mut(&s.oid) {
        // currval follows only when the value counts as given out; cached values are forgotten in any case.
        Some(used) => {
            used.left = 0;
            if called {
                used.last = value;
            }
        }
        None if called => {
            session.used.insert(s.oid, Used { state: s.state, last: value, increment: s.increment, left: 0 });
        }
        None => {}
    }
    Ok(value)
}

/// Where a sequence stands, for its relation and pg_sequences.
pub(crate) fn position(s: &SequenceDef, cx: &EvalContext) -> Result<Position> {
    transaction(cx)?.manager().sequence_position(s)
}

fn last_value(oid: u32, cx: &EvalContext) -> Result<Option<i64>> {
    let p = position(&*sequence(oid, cx)?, cx)?;
    Ok(p.called.then_some(p.last))
}

/// The sequence that belongs to a column, as `schema.name`.
fn serial_sequence(table: &str, column: &str, cx: &EvalContext) -> Result<Option<String>> {
    let missing = || {
        let name = reg::split_name(table).map_or_else(|_| table.to_owned(), |p| p.join("."));
        Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
    };
    let oid = reg::find_relation(table, cx)?.ok_or_else(missing)?;
    let no_column = |name: &str| {
        let text = format!("column \"{column}\" of relation \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_COLUMN, text)
    };
    let Some(Relation::Table(t)) = cx.catalog.relation_by_oid(Oid(oid)) else { return Err(no_column(table)) };
    let at = t.column(column).ok_or_else(|| no_column(&t.name))?;
    let attnum = t.columns[at].attnum;
    let owned = cx.catalog.owned_sequences(t.oid).into_iter().find(|s| s.owner.is_some_and(|o| o.attnum == attnum));
    Ok(owned.map(|s| {
        let schema = cx.catalog.schema_by_oid(s.schema).map_or_else(String::new, |s| s.name.clone());
        format!("{}.{}", reg::quote_ident(&schema), reg::quote_ident(&s.name))
    }))
}

pub(super) fn register(r: &mut Registry) {
    r.scalar("nextval(regclass)", k!(cx, _ty; |s: u32| -> i64 { nextval(s, cx) }));
    r.scalar("currval(regclass)", k!(cx, _ty; |s: u32| -> i64 { currval(s, cx) }));
    r.scalar("lastval()", k!(cx, _ty; || -> i64 { lastval(cx) }));
    r.scalar("setval(regclass,int8)", k!(cx, _ty; |s: u32, v: i64| -> i64 { setval(s, v, true, cx) }));
    r.scalar(
        "setval(regclass,int8,bool)",
        k!(cx, _ty; |s: u32, v: i64, called: bool| -> i64 { setval(s, v, called, cx) }),
    );
    r.scalar("pg_sequence_last_value(regclass)", k!(cx, _ty; |s: u32| -> Option<i64> { last_value(s, cx) }));
    r.scalar(
        "pg_get_serial_sequence(text,text)",
        k!(cx, _ty; |t: &str, c: &str| -> Option<String> { serial_sequence(t, c, cx) }),
    );
    r.scalar("heddle_sequence_last(oid)", k!(cx, _ty; |s: u32| -> i64 { Ok(position(&*sequence(s, cx)?, cx)?.last) }));
    r.scalar(
        "heddle_sequence_called(oid)",
        k!(cx, _ty; |s: u32| -> bool { Ok(position(&*sequence(s, cx)?, cx)?.called) }),
    );
}
