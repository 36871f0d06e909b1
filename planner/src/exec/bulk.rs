//! Rows in bulk that no INSERT made: COPY FROM and CREATE TABLE AS. Typed columns in, stored rows out.
//!
//! A batch is as long as its maker likes. Of several faults in one batch the first row's is reported, as if rows came one by
//! one: each takes its defaults, passes the filter, is checked. Duplicate keys are looked for after that, when the batch is
//! stored, as in PostgreSQL's COPY.

use super::reference::settle;
use super::write::TableWriter;
use crate::bound::{ColId, Expr, RowFilter};
use crate::context::EvalContext;
use crate::eval::visit::is_volatile;
use crate::eval::{self, Columns, eval_constant};
use crate::function::error::arrow_error;
use arrow::array::{Array, ArrayRef, BooleanArray};
use heddle_catalog::TableDef;
use heddle_types::arrow::{ColumnBuilder, datum_at, repeat};
use heddle_types::{Datum, Error, Result};
use std::sync::Arc;

/// After this many rows a bulk writer asks whether the engines keep up.
const THROTTLE_ROWS: usize = 4096;

/// An error and the row of the batch it is about.
pub type RowError = (usize, Error);

/// A running bulk insert.
pub struct BulkInsert {
    writer: TableWriter,
    columns: Vec<usize>,
    defaults: Vec<(usize, Expr)>,
    filter: Option<RowFilter>,
    since_throttle: usize,
}

/// A batch on its way: a column for each of the table's, and where it must stop.
struct Batch {
    rows: usize,
    columns: Vec<ArrayRef>,
    failed: Option<RowError>,
}

impl Batch {
    /// Nothing from row `at` on is stored.
    fn stop(&mut self, (at, e): RowError) {
        self.rows = at;
        self.columns.iter_mut().for_each(|c| *c = c.slice(0, at));
        self.failed = Some((at, e));
    }
}

impl BulkInsert {
    pub(crate) fn new(
        table: Arc<TableDef>,
        columns: Vec<usize>,
        filter: Option<RowFilter>,
        ctx: Arc<EvalContext>,
    ) -> Result<Self> {
        let mut defaults = vec![];
        for (i, column) in table.columns.iter().enumerate() {
            if let (false, false, Some(stored)) = (columns.contains(&i), column.dropped, &column.default) {
                defaults.push((i, crate::bind::stored_expr(stored)?));
            }
        }
        Ok(Self { writer: TableWriter::new(table, ctx)?, columns, defaults, filter, since_throttle: 0 })
    }

    /// Inserts `rows` rows, given as the columns named at the start, each of its column's type. Returns how many passed the
    /// filter.
    ///
    /// # Errors
    /// As INSERT, with the number of the row within this batch.
    pub async fn push(&mut self, columns: &[ArrayRef], rows: usize) -> std::result::Result<usize, RowError> {
        let mut batch = self.complete(columns, rows).map_err(|e| (0, e))?;
        let keep = self.filter(&mut batch);
        self.check_not_null(&batch, keep.as_ref())?;
        if let Some(failed) = batch.failed {
            return Err(failed);
        }
        let stored = self.store(&batch, keep.as_ref()).await?;
        self.since_throttle += stored;
        if self.since_throttle >= THROTTLE_ROWS {
            self.since_throttle = 0;
            let last = |e| (rows.saturating_sub(1), e);
            self.writer.txn.throttle().await.map_err(last)?;
            if !self.writer.refers_to_itself() {
                settle(&self.writer).await.map_err(last)?;
            }
        }
        Ok(stored)
    }

    /// Adds the columns that were not given.
    fn complete(&self, given: &[ArrayRef], rows: usize) -> Result<Batch> {
        let table = &self.writer.table;
        let mut batch = Batch { rows, columns: Vec::with_capacity(table.columns.len()), failed: None };
        for (i, column) in table.columns.iter().enumerate() {
            batch.columns.push(match self.columns.iter().position(|c| *c == i) {
                Some(at) => Arc::clone(&given[at]),
                None => match self.defaults.iter().find(|(d, _)| *d == i) {
                    Some((_, expr)) if !is_volatile(expr) => {
                        repeat(&eval_constant(expr, &self.writer.ctx)?, column.ty, rows)?
                    }
                    _ => repeat(&Datum::Null, column.ty, rows)?,
                },
            });
        }
        self.compute_defaults(&mut batch)?;
        Ok(batch)
    }

    /// Defaults that differ from row to row, in the order of the rows: they may count.
    fn compute_defaults(&self, batch: &mut Batch) -> Result<()> {
        let computed: Vec<&(usize, Expr)> = self.defaults.iter().filter(|(_, e)| is_volatile(e)).collect();
        if computed.is_empty() {
            return Ok(());
        }
        let ty = |i: usize| self.writer.table.columns[i].ty;
        let mut builders: Vec<ColumnBuilder> =
            computed.iter().map(|(i, _)| ColumnBuilder::new(ty(*i), batch.rows)).collect();
        let mut failed = None;
        'rows: for row in 0..batch.rows {
            for ((_, expr), builder) in computed.iter().zip(&mut builders) {
                let value = eval_constant(expr, &self.writer.ctx).and_then(|v| builder.append(&v));
                if let Err(e) = value {
                    failed = Some((row, e));
                    break 'rows;
                }
            }
        }
        for ((i, _), builder) in computed.iter().zip(&mut builders) {
            batch.columns[*i] = builder.finish();
        }
        if let Some(failed) = failed {
            batch.stop(failed);
        }
        Ok(())
    }

    /// Which rows are stored; None = all.
    fn filter(&self, batch: &mut Batch) -> Option<BooleanArray> {
        let filter = self.filter.as_ref()?;
        let evaluate = |from: usize, rows: usize| {
            let get = |id: ColId| {
                let (_, at) = filter.columns.iter().find(|(c, _)| *c == id)?;
                Some(batch.columns[*at].slice(from, rows))
            };
            eval::filter(&filter.predicate, &Columns { rows, get: &get }, &self.writer.ctx)
        };
        if let Ok(keep) = evaluate(0, batch.rows) {
            return Some(keep);
        }
        // Which row was it? All before it count.
        let mut keep = Vec::with_capacity(batch.rows);
        let mut failed = None;
        for row in 0..batch.rows {
            match evaluate(row, 1) {
                Ok(one) => keep.push(one.value(0)),
                Err(e) => {
                    failed = Some((row, e));
                    break;
                }
            }
        }
        if let Some(failed) = failed {
            batch.stop(failed);
        }
        Some(BooleanArray::from(keep))
    }

    fn check_not_null(&self, batch: &Batch, keep: Option<&BooleanArray>) -> std::result::Result<(), RowError> {
        let table = &self.writer.table;
        let watched: Vec<&ArrayRef> = (table.columns.iter().zip(&batch.columns))
            .filter(|(column, values)| column.not_null && !column.dropped && values.null_count() > 0)
            .map(|(_, values)| values)
            .collect();
        let bad = |row: &usize| watched.iter().any(|values| values.is_null(*row));
        match kept(batch, keep).find(bad) {
            Some(row) => self.writer.check_not_null(&self.values(batch, row)).map_err(|e| (row, e)),
            None => Ok(()),
        }
    }

    fn values(&self, batch: &Batch, row: usize) -> Vec<Datum> {
        let columns = self.writer.table.columns.iter().zip(&batch.columns);
        columns.map(|(column, values)| datum_at(values, column.ty, row)).collect()
    }

    async fn store(&self, batch: &Batch, keep: Option<&BooleanArray>) -> std::result::Result<usize, RowError> {
        let rows: Vec<usize> = kept(batch, keep).collect();
        if self.writer.takes_columns(rows.len()) {
            let columns = self.kept_columns(batch, keep).map_err(|e| (0, e))?;
            let stored = self.writer.insert_columns(&columns, rows.len()).await;
            stored.map_err(|(at, e)| (rows.get(at).copied().unwrap_or(at), e))?;
            return Ok(rows.len());
        }
        let mut values: Vec<Vec<Datum>> = rows.iter().map(|row| self.values(batch, *row)).collect();
        self.writer.prepare(&values).await.map_err(|e| (0, e))?;
        for (row, values) in rows.iter().zip(&mut values) {
            self.writer.insert(values).await.map_err(|e| (*row, e))?;
        }
        Ok(rows.len())
    }

    fn kept_columns(&self, batch: &Batch, keep: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(keep) = keep else { return Ok(batch.columns.clone()) };
        let kept = batch.columns.iter().map(|column| arrow::compute::filter(column, keep).map_err(arrow_error));
        kept.collect()
    }

    /// After the last batch: foreign keys are checked.
    ///
    /// # Errors
    /// `23503`
    pub async fn finish(&self) -> Result<()> {
        self.writer.finish();
        settle(&self.writer).await
    }
}

/// The rows that passed the filter.
fn kept(batch: &Batch, keep: Option<&BooleanArray>) -> impl Iterator<Item = usize> {
    (0..batch.rows).filter(move |row| keep.is_none_or(|k| k.value(*row)))
}
