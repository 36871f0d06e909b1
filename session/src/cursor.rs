//! SQL cursors: DECLARE, FETCH, MOVE.
//!
//! A plain cursor is a portal that streams forward. SCROLL and WITH HOLD cursors keep the rows that came out ([`Kept`]), so that they can be
//! given again; a WITH HOLD cursor takes all of them at DECLARE and outlives its transaction.

use crate::client::Client;
use crate::inventory::Running;
use crate::portal::{Kept, Portal, Rows, State, Tag};
use crate::session::Session;
use arrow::array::UInt64Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use futures::{StreamExt, stream};
use heddle_planner::bound::OutputColumn;
use heddle_planner::parse::{FetchDirection, Parsed};
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

/// Most bytes that one cursor keeps.
const KEPT_BYTES_MAX: usize = 1 << 30;

/// What DECLARE asked for.
#[derive(Clone, Copy, Default)]
pub(crate) struct CursorOptions {
    /// WITH HOLD
    pub hold: bool,
    /// BINARY
    pub binary: bool,
    /// SCROLL
    pub scroll: bool,
}

pub(crate) fn no_cursor(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
}

fn forward_only() -> Error {
    let e = Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward");
    e.hint("Declare it with SCROLL option to enable backward scan.")
}

/// Where a FETCH goes in rows 1 to `total`; 0 is before the first, `total + 1` after the last.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    /// Rows given, in order.
    rows: Vec<usize>,
    /// The position afterwards.
    at: usize,
}

/// The way of a direction from `at`. Only what `needs` asks for must be known of the rows ahead.
fn way(direction: FetchDirection, at: usize, total: usize) -> Way {
    let one = |to: i64| match usize::try_from(to) {
        Ok(row) if row >= 1 && row <= total => Way { rows: vec![row], at: row },
        Ok(row) if row > total => Way { rows: vec![], at: total + 1 },
        _ => Way { rows: vec![], at: 0 },
    };
    let count = |n: Option<u64>| n.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    match direction {
        FetchDirection::Forward(Some(0)) | FetchDirection::Backward(Some(0)) | FetchDirection::Relative(0) => {
            let on = (1..=total).contains(&at);
            Way { rows: if on { vec![at] } else { vec![] }, at }
        }
        FetchDirection::Forward(n) => {
            let last = at.saturating_add(count(n)).min(total + 1);
            Way { rows: (at + 1..=last.min(total)).collect(), at: last.max(at) }
        }
        FetchDirection::Backward(n) => {
            let first = at.saturating_sub(count(n));
            Way { rows: (first.max(1)..at).rev().collect(), at: first }
        }
        FetchDirection::Absolute(n) if n < 0 => one(total as i64 + 1 + n),
        FetchDirection::Absolute(n) => one(n),
        FetchDirection::Relative(n) => one(at as i64 + n),
    }
}

/// How many rows must be known before the way can be found; None for all.
fn needs(direction: FetchDirection, at: usize) -> Option<usize> {
    let ahead = |n: u64| at.saturating_add(usize::try_from(n).unwrap_or(usize::MAX));
    match direction {
        FetchDirection::Forward(None) => None,
        FetchDirection::Forward(Some(n)) => Some(ahead(n)),
        FetchDirection::Backward(_) => Some(at),
        FetchDirection::Absolute(n) => usize::try_from(n).ok(),
        FetchDirection::Relative(n) => Some(u64::try_from(n).map_or(at, ahead)),
    }
}

impl Session {
    /// DECLARE of `query` in the query string `source`.
    pub(crate) async fn declare<C: Client>(
        &mut self,
        name: &str,
        options: CursorOptions,
        query: &Parsed,
        source: &Arc<str>,
        client: &mut C,
    ) -> Result<()> {
        if !options.hold && self.status() != crate::Status::InBlock {
            let text = "DECLARE CURSOR can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text));
        }
        if self.portals.contains(name) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{name}\" already exists")));
        }
        let prepared = self.prepare(Some(query.clone()), vec![], Some(Arc::clone(source)))?;
        if prepared.columns.is_none() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "DECLARE CURSOR needs a query"));
        }
        let mut portal = Portal::new(Arc::clone(&prepared), vec![], vec![i16::from(options.binary)]);
        portal.options = options;
        portal.made_us = Some(self.statement_us);
        portal.mark = self.newest_mark();
        let running = Running { name, portal: &portal };
        let (outcome, planned) = self.execute_plan(&prepared, Arc::from([]), running, client).await?;
        let heddle_planner::Outcome::Rows(stream) = outcome else {
            return Err(Error::unsupported("DECLARE CURSOR of a data-modifying statement"));
        };
        let columns = planned.bound().columns.clone().unwrap_or_default().into();
        let rows = Rows::new(columns, stream, Tag::Counted("SELECT"));
        portal.state = if options.hold || options.scroll {
            let mut kept = Kept::new(rows, options.scroll);
            if options.hold {
                self.keep(&mut kept, None, client).await?;
            }
            State::Kept(kept)
        } else {
            State::Rows(rows)
        };
        self.portals.insert(name, portal);
        Ok(())
    }

    pub(crate) fn cursor_columns(&self, name: &str) -> Result<Option<Arc<[OutputColumn]>>> {
        Ok(self.portals.get(name).ok_or_else(|| no_cursor(name))?.columns())
    }

    /// Ends the portals of a transaction. Cursors WITH HOLD stay when it committed, or when they are older than it.
    pub(crate) fn end_portals(&mut self, committed: bool) {
        self.portals.retain(|p| p.options.hold && (committed || p.settled));
        for portal in self.portals.values_mut() {
            (portal.settled, portal.mark) = (true, 0);
        }
    }

    /// FETCH: rows to send; MOVE: only the tag.
    pub(crate) async fn fetch<C: Client>(
        &mut self,
        name: &str,
        direction: FetchDirection,
        is_move: bool,
        client: &mut C,
    ) -> Result<(Option<Rows>, String)> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_cursor(name))?;
        let fetched = match &mut portal.state {
            State::Kept(kept) => self.fetch_kept(kept, direction, client).await,
            _ => self.fetch_forward(&mut portal, direction, is_move, client).await,
        };
        let columns = portal.columns().unwrap_or_else(|| Arc::from([]));
        self.portals.insert(name, portal);
        let batches = match fetched? {
            Fetched::Batches(batches) => batches,
            Fetched::Rest(rows) => return Ok((Some(rows), String::new())),
        };
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if is_move {
            return Ok((None, format!("MOVE {count}")));
        }
        let stream = stream::iter(batches.into_iter().map(Ok)).boxed();
        let tag = Tag::Fixed(format!("FETCH {count}"));
        Ok((Some(Rows::new(columns, stream, tag)), String::new()))
    }

    async fn fetch_forward<C: Client>(
        &self,
        portal: &mut Portal,
        direction: FetchDirection,
        is_move: bool,
        client: &mut C,
    ) -> Result<Fetched> {
        let max = match direction {
            FetchDirection::Relative(0) | FetchDirection::Backward(Some(0)) => 0,
            FetchDirection::Forward(None) => u64::MAX,
            FetchDirection::Forward(Some(n)) => n,
            FetchDirection::Relative(1) => 1,
            _ => return Err(forward_only()),
        };
        if max == u64::MAX && !is_move && matches!(portal.state, State::Rows(_)) {
            // All that is left: the rows flow as those of a query do, and the cursor stands at its end.
            let state = std::mem::replace(&mut portal.state, State::Finished { query: true });
            let State::Rows(mut rows) = state else { return Err(Error::internal("a cursor changed its state")) };
            rows.tag = Tag::Counted("FETCH");
            return Ok(Fetched::Rest(rows));
        }
        Ok(Fetched::Batches(match &mut portal.state {
            State::Rows(rows) if max == 0 => rows.row.iter().cloned().collect(),
            State::Rows(rows) => {
                let batches = self.take_rows(rows, max, client).await?;
                let taken: u64 = batches.iter().map(|b| b.num_rows() as u64).sum();
                let last = batches.iter().rfind(|b| b.num_rows() > 0);
                // Past the last row there is none to stand on.
                rows.row = last.filter(|_| taken == max).map(|b| b.slice(b.num_rows() - 1, 1));
                batches
            }
            _ => vec![],
        }))
    }

    async fn fetch_kept<C: Client>(
        &self,
        kept: &mut Kept,
        direction: FetchDirection,
        client: &mut C,
    ) -> Result<Fetched> {
        self.keep(kept, needs(direction, kept.at), client).await?;
        let way = way(direction, kept.at, kept.total);
        if !kept.scroll && way.at < kept.at {
            return Err(forward_only());
        }
        kept.at = way.at;
        Ok(Fetched::Batches(chosen(kept, &way.rows)?))
    }

    /// Pulls rows until `wanted` are kept, or all of them.
    async fn keep<C: Client>(&self, kept: &mut Kept, wanted: Option<usize>, client: &mut C) -> Result<()> {
        while let Some(rows) = &mut kept.rest {
            let missing = match wanted {
                Some(n) if n <= kept.total => return Ok(()),
                Some(n) => (n - kept.total) as u64,
                None => u64::MAX,
            };
            let batches = self.take_rows(rows, missing, client).await?;
            let came: usize = batches.iter().map(RecordBatch::num_rows).sum();
            if (came as u64) < missing {
                kept.rest = None;
            }
            kept.total += came;
            kept.bytes += batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
            kept.batches.extend(batches);
            if kept.bytes > KEPT_BYTES_MAX {
                let text = "the rows of a SCROLL or WITH HOLD cursor take too much memory";
                return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text)
                    .detail(format!("A cursor keeps at most {KEPT_BYTES_MAX} bytes.")));
            }
        }
        Ok(())
    }
}

/// What a FETCH gives.
enum Fetched {
    Batches(Vec<RecordBatch>),
    /// Everything that is left, as it comes.
    Rest(Rows),
}

/// Rows by number, from 1, in the order given.
fn chosen(kept: &mut Kept, rows: &[usize]) -> Result<Vec<RecordBatch>> {
    let Some(first) = kept.batches.first() else { return Ok(vec![]) };
    let failed = |e: arrow::error::ArrowError| Error::internal(e.to_string());
    if kept.batches.len() > 1 {
        let whole = concat_batches(&first.schema(), &kept.batches).map_err(failed)?;
        kept.batches = vec![whole];
    }
    let indexes = UInt64Array::from_iter_values(rows.iter().map(|r| *r as u64 - 1));
    Ok(vec![take_record_batch(&kept.batches[0], &indexes).map_err(failed)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use FetchDirection::{Absolute, Backward, Forward, Relative};

    #[test]
    fn ways_are_postgresql_s() {
        let check = |direction, at, rows: &[usize], to| {
            assert_eq!(way(direction, at, 5), Way { rows: rows.to_vec(), at: to }, "{direction:?} from {at}");
        };
        check(Forward(Some(2)), 0, &[1, 2], 2);
        check(Forward(Some(2)), 4, &[5], 6);
        check(Forward(None), 2, &[3, 4, 5], 6);
        check(Forward(Some(1)), 6, &[], 6);
        check(Backward(Some(1)), 6, &[5], 5);
        check(Backward(None), 6, &[5, 4, 3, 2, 1], 0);
        check(Backward(Some(9)), 3, &[2, 1], 0);
        check(Absolute(-1), 0, &[5], 5);
        check(Absolute(-9), 3, &[], 0);
        check(Absolute(9), 3, &[], 6);
        check(Absolute(0), 3, &[], 0);
        check(Relative(-1), 3, &[2], 2);
        check(Relative(0), 3, &[3], 3);
        check(Forward(Some(0)), 0, &[], 0);
    }
}
