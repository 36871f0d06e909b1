//! UPDATE and DELETE: candidates come from a plan, each is locked, re-read when it changed, and written.
//!
//! READ COMMITTED's rule: a row that another transaction changed since the snapshot is taken at its newest version if the
//! bound WHERE still holds there; columns of FROM tables keep the values the plan gave. REPEATABLE READ answers 40001.

use super::lock::{identity, replace};
use super::reference::settle;
use super::returning::Returned;
use super::rowset::RowSet;
use super::runtime::{Engine, Source};
use super::write::{Current, Fate, TableWriter, lock_newest};
use crate::bound::{ColId, Delete, Expr, Rel, TableScan, Update};
use crate::context::EvalContext;
use crate::eval::visit;
use bytes::Bytes;
use heddle_txn::{ReadView, RowLock, Wait};
use heddle_types::{Datum, Result};
use std::collections::HashSet;
use std::sync::Arc;

/// Ids of computed SET values: far above what the binder gives out.
const SET_IDS: u32 = 0xf000_0000;
const THROTTLE_ROWS: u64 = 4096;

/// The plan that finds an UPDATE's candidates and their new values.
pub(crate) fn update_input(update: &Update) -> Rel {
    let mut exprs: Vec<(ColId, Expr)> =
        visit::output(&update.input).into_iter().map(|(id, ty)| (id, Expr::Column { id, ty })).collect();
    for (n, (_, expr)) in update.set.iter().enumerate() {
        exprs.push((set_id(n), expr.clone()));
    }
    Rel::Project { input: Box::new(update.input.clone()), exprs }
}

fn set_id(n: usize) -> ColId {
    ColId(SET_IDS + n as u32)
}

/// What UPDATE and DELETE have in common.
struct Change<'a> {
    engine: &'a Arc<Engine>,
    writer: TableWriter,
    target: &'a TableScan,
    filter: Option<&'a Expr>,
    ctx: &'a Arc<EvalContext>,
    view: &'a Arc<ReadView>,
    mode: RowLock,
    /// Keys this command already wrote: a row is changed once.
    done: HashSet<Bytes>,
}

/// A candidate that is ours now.
struct Held {
    row: RowSet,
    current: Current,
    changed: bool,
}

impl Change<'_> {
    /// Locks candidate `i`; None when it is gone, does not match any more, or was already changed by this command.
    async fn hold(&mut self, rows: &RowSet, i: usize) -> Result<Option<Held>> {
        let mut row = rows.slice(i, 1)?;
        let Some((key, seen)) = identity(self.target, &row, 0)? else { return Ok(None) };
        if self.done.contains(&key) {
            return Ok(None);
        }
        let fate = lock_newest(&self.writer, &key, seen, self.view, self.mode, Wait::Block).await?;
        match fate {
            Fate::Gone => Ok(None),
            Fate::Same(current) => Ok(Some(Held { row, current, changed: false })),
            Fate::Newer(current) => {
                if self.done.contains(&current.key) {
                    return Ok(None);
                }
                replace(self.target, &mut row, &current);
                let keep = match self.filter {
                    Some(p) => self.engine.is_true(p, &row, self.ctx, self.view).await?,
                    None => true,
                };
                Ok(keep.then_some(Held { row, current, changed: true }))
            }
        }
    }
}

/// Runs an UPDATE: how many rows changed.
pub(crate) async fn update(
    engine: &Arc<Engine>,
    update: &Update,
    mut source: Source,
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
    returned: &mut Option<Returned<'_>>,
) -> Result<u64> {
    let writer = TableWriter::new(Arc::clone(&update.target.table), Arc::clone(ctx))?;
    let mode = writer.update_lock(update.set.iter().map(|(i, _)| *i));
    let filter = update.filter.as_ref();
    let mut change = Change { engine, writer, target: &update.target, filter, ctx, view, mode, done: HashSet::new() };
    let mut count = 0;
    while let Some(rows) = source.next().await? {
        for i in 0..rows.rows {
            let Some(held) = change.hold(&rows, i).await? else { continue };
            let mut new = new_values(&change, update, &held).await?;
            let key = change.writer.update(&held.current, &mut new).await?;
            change.done.insert(held.current.key.clone());
            change.done.insert(key);
            count += 1;
            if let Some(r) = returned.as_mut() {
                r.push(&new, Some(&held.row));
            }
            if count % THROTTLE_ROWS == 0 {
                change.writer.txn.throttle().await?;
            }
        }
    }
    change.writer.finish();
    settle(&change.writer).await?;
    Ok(count)
}

async fn new_values(change: &Change<'_>, update: &Update, held: &Held) -> Result<Vec<Datum>> {
    let mut new = held.current.values.clone();
    for (n, (i, expr)) in update.set.iter().enumerate() {
        new[*i] = if held.changed {
            change.engine.value(expr, &held.row, change.ctx, change.view).await?
        } else {
            held.row.value(set_id(n), update.target.table.columns[*i].ty, 0)?
        };
    }
    Ok(new)
}

/// Runs a DELETE: how many rows are gone.
pub(crate) async fn delete(
    engine: &Arc<Engine>,
    delete: &Delete,
    mut source: Source,
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
    returned: &mut Option<Returned<'_>>,
) -> Result<u64> {
    let writer = TableWriter::new(Arc::clone(&delete.target.table), Arc::clone(ctx))?;
    let filter = delete.filter.as_ref();
    let mut change = Change {
        engine,
        writer,
        target: &delete.target,
        filter,
        ctx,
        view,
        mode: RowLock::Update,
        done: HashSet::new(),
    };
    let mut count = 0;
    while let Some(rows) = source.next().await? {
        for i in 0..rows.rows {
            let Some(held) = change.hold(&rows, i).await? else { continue };
            change.writer.delete(&held.current)?;
            change.done.insert(held.current.key.clone());
            count += 1;
            if let Some(r) = returned.as_mut() {
                r.push(&held.current.values, Some(&held.row));
            }
            if count % THROTTLE_ROWS == 0 {
                change.writer.txn.throttle().await?;
            }
        }
    }
    settle(&change.writer).await?;
    Ok(count)
}
