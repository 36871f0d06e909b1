//! What a session knows about query texts.
//!
//! Of the simple protocol: statements that run by key, and transaction control. Texts are taken apart by [`Lifted`]; those that differ only in integers share a prepared statement. Parsing and binding
//! `SELECT abalance FROM pgbench_accounts WHERE aid = 7` takes ten times as long as running it, parsing BEGIN a hundred times.
//! Of the extended protocol: statements by the text of their Parse message, for clients that prepare anew each time they execute.
//!
//! Invariants
//! 1. A remembered statement runs only while its plan holds for the catalog and search_path of now; then it is what the text
//!    would be bound to. Otherwise the text is prepared again.
//! 2. Whatever is odd about a text (an error, a notice, a plan that is none by key) goes the ordinary way, so that only that way reports it.

use crate::prepared::Prepared;
use crate::session::Session;
use foldhash::fast::RandomState;
use heddle_planner::parse::{self, Kind, Lifted};
use heddle_types::{Datum, PgType, oid};
use std::collections::HashMap;
use std::sync::Arc;

/// Texts remembered per session; past that all are forgotten, which costs each of them one more parse.
const TEXTS_MAX: usize = 256;
/// The same for Parse messages, whose statements may be large.
const PARSED_MAX: usize = 64;
/// Longest text of a Parse message worth remembering.
const PARSED_BYTES_MAX: usize = 4096;
/// First words of statements that may run by key.
const BY_KEY: [&str; 4] = ["select", "insert", "update", "delete"];
/// First words of transaction control.
const CONTROL: [&str; 6] = ["begin", "start", "commit", "end", "rollback", "abort"];

/// By text.
type ByText<T> = HashMap<String, T, RandomState>;

/// The texts of one session.
#[derive(Default)]
pub(crate) struct Texts {
    /// None: the ordinary way.
    known: ByText<Option<Arc<Prepared>>>,
    lifted: Lifted,
    /// By the text of Parse.
    parsed: ByText<Arc<Prepared>>,
}

impl Session {
    /// What a Parse of this text and these types made before, if it still holds.
    pub(crate) fn parsed_before(&mut self, sql: &str, declared: &[PgType]) -> Option<Arc<Prepared>> {
        let prepared = self.texts.parsed.get(sql).filter(|p| p.declared == declared).cloned()?;
        prepared.current(self).is_some().then_some(prepared)
    }

    /// Notes what a Parse made.
    pub(crate) fn remember_parsed(&mut self, sql: &str, prepared: &Arc<Prepared>) {
        let quiet = prepared.parsed.as_ref().is_some_and(|p| p.notices.is_empty());
        // Text literals ('now', '1/2/2026') are bound by the moment and by settings; a dollar may begin one.
        let literal =
            sql.contains('\'') || sql.split('$').skip(1).any(|s| !s.starts_with(|c: char| c.is_ascii_digit()));
        if sql.len() > PARSED_BYTES_MAX || !prepared.is_plan() || !quiet || literal {
            return;
        }
        let parsed = &mut self.texts.parsed;
        if parsed.len() >= PARSED_MAX {
            parsed.clear();
        }
        parsed.insert(sql.to_owned(), Arc::clone(prepared));
    }

    /// The prepared statement and the parameters that a query text comes down to, if it is one to remember.
    pub(crate) fn remembered(&mut self, sql: &str) -> Option<(Arc<Prepared>, Vec<Datum>)> {
        let mut texts = std::mem::take(&mut self.texts);
        let found = texts.lifted.take(sql).then(|| self.find(&mut texts)).flatten();
        let values = || texts.lifted.values.iter().map(|v| Datum::Int4(*v)).collect();
        let found = found.map(|prepared| (prepared, values()));
        self.texts = texts;
        found
    }

    fn find(&mut self, texts: &mut Texts) -> Option<Arc<Prepared>> {
        let Texts { known, lifted, .. } = texts;
        match known.get(&lifted.key) {
            Some(None) => return None,
            Some(Some(prepared)) if !prepared.is_plan() || prepared.current(self).is_some() => {
                return Some(Arc::clone(prepared));
            }
            _ => {}
        }
        let prepared = self.prepare_text(lifted);
        if known.len() >= TEXTS_MAX {
            known.clear();
        }
        known.insert(lifted.key.clone(), prepared.clone());
        prepared
    }

    fn prepare_text(&mut self, lifted: &Lifted) -> Option<Arc<Prepared>> {
        let word = lifted.key.split(|c: char| !c.is_ascii_alphabetic()).next()?;
        let is_one_of = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(word));
        if !(is_one_of(&BY_KEY) || is_one_of(&CONTROL) && lifted.values.is_empty()) {
            return None;
        }
        let mut statements = parse::parse(&lifted.parameterised()).ok()?;
        let parsed = statements.pop().filter(|p| statements.is_empty() && p.notices.is_empty())?;
        let types = vec![PgType::new(oid::INT4); lifted.values.len()];
        let control = matches!(parsed.kind, Kind::Begin { .. } | Kind::Commit { .. } | Kind::Rollback { .. });
        let prepared = self.prepare(Some(parsed), types, None).ok()?;
        let known = control || prepared.current(self).is_some_and(|planned| planned.plan.is_by_key());
        known.then_some(prepared)
    }
}
