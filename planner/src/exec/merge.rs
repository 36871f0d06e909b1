//! MERGE: each row of the source meets its target row, if there is one, and the plan says which WHEN clause takes it.
//!
//! The choice was made on the snapshot. A target row that changed since is read again under its lock: while ON still holds there,
//! the WHEN MATCHED clauses are asked anew, otherwise (or when it is gone) those of WHEN NOT MATCHED. REPEATABLE READ answers
//! 40001. A row that nothing is done to is not locked.

use super::lock::{identity, replace};
use super::reference::settle;
use super::rowset::RowSet;
use super::runtime::{Engine, Source};
use super::write::{Current, Fate, TableWriter, lock_newest};
use crate::bound::{Assigned, Expr, Merge, MergeAction, When};
use crate::context::EvalContext;
use crate::eval::eval_constant;
use bytes::Bytes;
use heddle_txn::{ReadView, RowLock, Wait};
use heddle_types::{Datum, Error, PgType, Result, SqlState, oid};
use std::collections::HashSet;
use std::sync::Arc;

const THROTTLE_ROWS: u64 = 4096;

/// Runs a MERGE: how many rows it inserted, updated and deleted.
pub(crate) async fn merge(
    engine: &Arc<Engine>,
    merge: &Merge,
    mut source: Source,
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
) -> Result<u64> {
    let writer = TableWriter::new(Arc::clone(&merge.target.table), Arc::clone(ctx))?;
    let modes = merge.whens.iter().map(|w| lock_mode(&writer, w)).collect();
    // Says for the whole statement which columns change.
    let _ = writer.update_lock(merge.whens.iter().flat_map(updated));
    let mut merging = Merging { engine, merge, writer, ctx, view, modes, done: HashSet::new() };
    let mut count = 0;
    while let Some(rows) = source.next().await? {
        let chosen = (0..rows.rows).map(|i| merging.chosen(&rows, i)).collect::<Result<Vec<_>>>()?;
        let mut inserts = merging.proposed(&rows, &chosen).await?.into_iter();
        for (i, n) in chosen.into_iter().enumerate() {
            let Some(n) = n else { continue };
            let changed = match merge.whens[n].action {
                MergeAction::Nothing => false,
                MergeAction::Insert { .. } => merging.insert(inserts.next().unwrap_or_default()).await?,
                MergeAction::Update(_) | MergeAction::Delete => merging.change(&rows, i, n).await?,
            };
            count += u64::from(changed);
            if changed && count % THROTTLE_ROWS == 0 {
                merging.writer.txn.throttle().await?;
            }
        }
    }
    merging.writer.finish();
    settle(&merging.writer).await?;
    Ok(count)
}

fn updated(when: &When) -> impl Iterator<Item = usize> + Clone {
    let set: &[Assigned] = match &when.action {
        MergeAction::Update(set) => set,
        _ => &[],
    };
    set.iter().map(|a| a.column)
}

fn lock_mode(writer: &TableWriter, when: &When) -> RowLock {
    match when.action {
        MergeAction::Update(_) => writer.update_lock(updated(when)),
        _ => RowLock::Update,
    }
}

struct Merging<'a> {
    engine: &'a Arc<Engine>,
    merge: &'a Merge,
    writer: TableWriter,
    ctx: &'a Arc<EvalContext>,
    view: &'a Arc<ReadView>,
    /// The row lock that each clause takes
    modes: Vec<RowLock>,
    /// Keys of target rows that this command changed: a second change is an error.
    done: HashSet<Bytes>,
}

impl Merging<'_> {
    /// The clause that takes row `i`.
    fn chosen(&self, rows: &RowSet, i: usize) -> Result<Option<usize>> {
        let n = rows.value(self.merge.choice, PgType::new(oid::INT4), i)?;
        Ok(n.as_i64().map(|n| n as usize))
    }

    /// The rows to insert, in order; the writer is ready for them.
    async fn proposed(&self, rows: &RowSet, chosen: &[Option<usize>]) -> Result<Vec<Vec<Datum>>> {
        let mut out = Vec::new();
        for (i, n) in chosen.iter().enumerate() {
            if let Some(MergeAction::Insert { values, defaults }) = n.map(|n| &self.merge.whens[n].action) {
                let mut row = self.defaults(defaults)?;
                for a in values {
                    row[a.column] = rows.value(a.id, a.value.ty(), i)?;
                }
                out.push(row);
            }
        }
        self.writer.prepare(&out).await?;
        Ok(out)
    }

    fn defaults(&self, defaults: &[(usize, Expr)]) -> Result<Vec<Datum>> {
        let mut row = vec![Datum::Null; self.writer.table.columns.len()];
        for (i, e) in defaults {
            row[*i] = eval_constant(e, self.ctx)?;
        }
        Ok(row)
    }

    async fn insert(&self, mut values: Vec<Datum>) -> Result<bool> {
        self.writer.insert(&mut values).await?;
        Ok(true)
    }

    /// Updates or deletes the target row that row `i` was joined with, as clause `n` says.
    async fn change(&mut self, rows: &RowSet, i: usize, n: usize) -> Result<bool> {
        let row = rows.slice(i, 1)?;
        let Some((key, seen)) = identity(&self.merge.target, &row, 0)? else {
            return Err(Error::internal("a matched row of MERGE has no key"));
        };
        self.refuse_twice(&key)?;
        match lock_newest(&self.writer, &key, seen, self.view, self.modes[n], Wait::Block).await? {
            Fate::Same(current) => {
                let mut new = current.values.clone();
                if let MergeAction::Update(set) = &self.merge.whens[n].action {
                    for a in set {
                        new[a.column] = row.value(a.id, a.value.ty(), 0)?;
                    }
                }
                self.write(n, &current, new).await
            }
            Fate::Newer(current) => {
                self.refuse_twice(&current.key)?;
                self.again(row, Some(current)).await
            }
            Fate::Gone => self.again(row, None).await,
        }
    }

    fn refuse_twice(&self, key: &Bytes) -> Result<()> {
        if !self.done.contains(key) {
            return Ok(());
        }
        Err(Error::new(SqlState::CARDINALITY_VIOLATION, "MERGE command cannot affect row a second time")
            .hint("Ensure that not more than one source row matches any one target row."))
    }

    async fn write(&mut self, n: usize, current: &Current, mut new: Vec<Datum>) -> Result<bool> {
        match self.merge.whens[n].action {
            MergeAction::Update(_) => {
                let key = self.writer.update(current, &mut new).await?;
                self.done.insert(key);
            }
            _ => self.writer.delete(current)?,
        }
        self.done.insert(current.key.clone());
        Ok(true)
    }

    /// Chooses again for a row whose target changed since the snapshot, or is gone.
    async fn again(&mut self, mut row: RowSet, current: Option<Current>) -> Result<bool> {
        let matched = match &current {
            Some(current) => {
                replace(&self.merge.target, &mut row, current);
                self.engine.is_true(&self.merge.on, &row, self.ctx, self.view).await?
            }
            None => false,
        };
        let Some(n) = self.first(matched, &row).await? else { return Ok(false) };
        match (&self.merge.whens[n].action, current) {
            (MergeAction::Insert { values, defaults }, _) => {
                let mut new = self.defaults(defaults)?;
                self.assign(values, &row, &mut new).await?;
                self.writer.prepare(std::slice::from_ref(&new)).await?;
                self.insert(new).await
            }
            (MergeAction::Update(set), Some(current)) => {
                let mut new = current.values.clone();
                self.assign(set, &row, &mut new).await?;
                self.lock(n, &current).await?;
                self.write(n, &current, new).await
            }
            (MergeAction::Delete, Some(current)) => {
                self.lock(n, &current).await?;
                self.write(n, &current, Vec::new()).await
            }
            _ => Ok(false),
        }
    }

    /// The first clause of a side whose condition the row holds.
    async fn first(&self, matched: bool, row: &RowSet) -> Result<Option<usize>> {
        for (n, when) in self.merge.whens.iter().enumerate().filter(|(_, w)| w.matched == matched) {
            let holds = match &when.condition {
                Some(e) => self.engine.is_true(e, row, self.ctx, self.view).await?,
                None => true,
            };
            if holds {
                return Ok(Some(n));
            }
        }
        Ok(None)
    }

    async fn assign(&self, set: &[Assigned], row: &RowSet, new: &mut [Datum]) -> Result<()> {
        for a in set {
            new[a.column] = self.engine.value(&a.value, row, self.ctx, self.view).await?;
        }
        Ok(())
    }

    /// The lock of clause `n`, which may be stronger than the one of the clause that was chosen first.
    async fn lock(&self, n: usize, current: &Current) -> Result<()> {
        self.writer.txn.lock_row(self.writer.table.oid, &current.key, self.modes[n], Wait::Block).await.map(|_| ())
    }
}
