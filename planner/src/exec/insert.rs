//! INSERT and ON CONFLICT.

use super::lock::replace;
use super::reference::settle;
use super::returning::Returned;
use super::rowset::{Column, RowSet};
use super::runtime::{Engine, Source};
use super::write::{Fate, TableWriter, concurrent, lock_newest};
use crate::bound::{ColId, ConflictUpdate, Expr, Insert, OnConflict, TableScan};
use crate::context::EvalContext;
use crate::eval::eval_constant;
use crate::eval::visit::is_volatile;
use arrow::array::ArrayRef;
use bytes::Bytes;
use heddle_catalog::TableDef;
use heddle_engines::RowReader;
use heddle_txn::{Isolation, ReadView, Wait};
use heddle_types::arrow::{ColumnBuilder, repeat};
use heddle_types::{Datum, Error, PgType, Result, SqlState};
use std::collections::HashSet;
use std::sync::Arc;

/// After this many rows a bulk writer asks whether the engines keep up.
const THROTTLE_ROWS: usize = 4096;

/// Runs an INSERT: how many rows it made or changed.
pub(crate) async fn insert(
    engine: &Arc<Engine>,
    insert: &Insert,
    mut source: Source,
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
    returned: &mut Option<Returned<'_>>,
) -> Result<u64> {
    let writer = TableWriter::new(Arc::clone(&insert.table), Arc::clone(ctx))?;
    let filler = Filler::new(&insert.table, &insert.columns, &insert.defaults);
    let mut conflicts = insert.on_conflict.as_ref().map(|c| Conflicts::new(engine, &writer, c, view));
    let (mut count, mut since_throttle) = (0, 0);
    while let Some(rows) = source.next().await? {
        if conflicts.is_none() && returned.is_none() && writer.takes_columns(rows.rows) && filler.goes_by_columns() {
            let columns = filler.all_columns(&filler.columns(&rows)?, rows.rows, ctx)?;
            writer.insert_columns(&columns, rows.rows).await.map_err(|(_, e)| e)?;
            count += rows.rows as u64;
        } else {
            let batch = (0..rows.rows).map(|i| filler.row(&rows, i, ctx)).collect::<Result<Vec<_>>>()?;
            writer.prepare(&batch).await?;
            for mut values in batch {
                let stored = match &mut conflicts {
                    None => {
                        writer.insert(&mut values).await?;
                        Some(values)
                    }
                    Some(c) => c.insert(values).await?,
                };
                if let Some(values) = stored {
                    count += 1;
                    if let Some(r) = returned.as_mut() {
                        r.push(&values, None);
                    }
                }
            }
        }
        since_throttle += rows.rows;
        if since_throttle >= THROTTLE_ROWS {
            since_throttle = 0;
            writer.txn.throttle().await?;
            if !writer.refers_to_itself() {
                settle(&writer).await?;
            }
        }
    }
    writer.finish();
    settle(&writer).await?;
    Ok(count)
}

/// Turns source rows into full table rows.
struct Filler<'a> {
    table: &'a TableDef,
    columns: &'a [(usize, ColId)],
    defaults: &'a [(usize, Expr)],
}

impl<'a> Filler<'a> {
    fn new(table: &'a TableDef, columns: &'a [(usize, ColId)], defaults: &'a [(usize, Expr)]) -> Self {
        Self { table, columns, defaults }
    }

    /// May defaults be computed column by column? Several that count, maybe together, must go row by row.
    fn goes_by_columns(&self) -> bool {
        self.defaults.iter().filter(|(_, e)| is_volatile(e)).count() <= 1
    }

    fn columns(&self, rows: &RowSet) -> Result<Vec<(usize, PgType, ArrayRef)>> {
        self.columns.iter().map(|(i, id)| Ok((*i, self.table.columns[*i].ty, rows.require(*id)?))).collect()
    }

    /// A column for each of the table's.
    fn all_columns(
        &self,
        given: &[(usize, PgType, ArrayRef)],
        rows: usize,
        ctx: &EvalContext,
    ) -> Result<Vec<ArrayRef>> {
        let mut out = Vec::with_capacity(self.table.columns.len());
        for (i, column) in self.table.columns.iter().enumerate() {
            if let Some((_, _, array)) = given.iter().find(|(g, _, _)| *g == i) {
                out.push(Arc::clone(array));
                continue;
            }
            out.push(match self.defaults.iter().find(|(d, _)| *d == i) {
                None => repeat(&Datum::Null, column.ty, rows)?,
                Some((_, expr)) if !is_volatile(expr) => repeat(&eval_constant(expr, ctx)?, column.ty, rows)?,
                Some((_, expr)) => {
                    let mut builder = ColumnBuilder::new(column.ty, rows);
                    for _ in 0..rows {
                        builder.append(&eval_constant(expr, ctx)?)?;
                    }
                    builder.finish()
                }
            });
        }
        Ok(out)
    }

    fn row(&self, rows: &RowSet, at: usize, ctx: &EvalContext) -> Result<Vec<Datum>> {
        let mut values = vec![Datum::Null; self.table.columns.len()];
        for (i, id) in self.columns {
            values[*i] = rows.value(*id, self.table.columns[*i].ty, at)?;
        }
        fill_defaults(&mut values, self.defaults, ctx)?;
        Ok(values)
    }
}

fn fill_defaults(values: &mut [Datum], defaults: &[(usize, Expr)], ctx: &EvalContext) -> Result<()> {
    for (i, expr) in defaults {
        values[*i] = eval_constant(expr, ctx)?;
    }
    Ok(())
}

/// ON CONFLICT of one statement.
struct Conflicts<'a> {
    engine: &'a Arc<Engine>,
    writer: &'a TableWriter,
    rule: &'a OnConflict,
    view: &'a Arc<ReadView>,
    /// Keys this command inserted or updated: a second hit is an error.
    touched: HashSet<Bytes>,
}

impl<'a> Conflicts<'a> {
    fn new(engine: &'a Arc<Engine>, writer: &'a TableWriter, rule: &'a OnConflict, view: &'a Arc<ReadView>) -> Self {
        Self { engine, writer, rule, view, touched: HashSet::new() }
    }

    /// The row as it is stored now, None when nothing was done.
    async fn insert(&mut self, mut values: Vec<Datum>) -> Result<Option<Vec<Datum>>> {
        loop {
            let Some(key) = self.writer.conflict(self.rule.index, &values).await? else {
                let key = self.writer.insert(&mut values).await?;
                self.touched.insert(key);
                return Ok(Some(values));
            };
            let Some(update) = &self.rule.update else {
                self.check_visible(&key)?;
                return Ok(None);
            };
            if self.touched.contains(&key) {
                let text = "ON CONFLICT DO UPDATE command cannot affect row a second time";
                return Err(Error::new(SqlState::CARDINALITY_VIOLATION, text).hint(
                    "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
                ));
            }
            let mode = self.writer.update_lock(update.set.iter().map(|(i, _)| *i));
            let seen = self.view.get(self.writer.table.storage, &key)?.map_or(u64::MAX, |r| r.index.0);
            match lock_newest(self.writer, &key, seen, self.view, mode, Wait::Block).await? {
                Fate::Gone => {}
                Fate::Same(current) | Fate::Newer(current) => {
                    let Some(mut new) = self.proposed(update, &current, &values).await? else { return Ok(None) };
                    let key = self.writer.update(&current, &mut new).await?;
                    self.touched.insert(key);
                    return Ok(Some(new));
                }
            }
        }
    }

    /// DO NOTHING at REPEATABLE READ: the row in the way must be one the snapshot sees.
    fn check_visible(&self, key: &[u8]) -> Result<()> {
        if self.writer.txn.isolation() == Isolation::RepeatableRead
            && !self.touched.contains(key)
            && self.view.get(self.writer.table.storage, key)?.is_none()
        {
            return Err(concurrent("update"));
        }
        Ok(())
    }

    /// DO UPDATE SET over the existing and the proposed row; None when WHERE says no.
    async fn proposed(
        &self,
        update: &ConflictUpdate,
        current: &super::write::Current,
        values: &[Datum],
    ) -> Result<Option<Vec<Datum>>> {
        let table = &self.writer.table;
        let mut row = RowSet::unit();
        let existing = TableScan { table: Arc::clone(table), columns: update.existing.clone(), identity: None };
        replace(&existing, &mut row, current);
        for (id, i) in &update.excluded {
            row.set(*id, Column::One(values[*i].clone(), table.columns[*i].ty));
        }
        let ctx = &self.writer.ctx;
        if let Some(filter) = &update.filter
            && !self.engine.is_true(filter, &row, ctx, self.view).await?
        {
            return Ok(None);
        }
        let mut new = current.values.clone();
        for (i, expr) in &update.set {
            new[*i] = self.engine.value(expr, &row, ctx, self.view).await?;
        }
        Ok(Some(new))
    }
}
