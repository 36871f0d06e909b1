//! RETURNING: collects the affected rows, then computes the output.

use super::lock::concat;
use super::rowset::{Column, RowSet};
use super::runtime::Engine;
use crate::bound::{ColId, Expr, Returning};
use crate::context::EvalContext;
use arrow::record_batch::RecordBatch;
use heddle_catalog::TableDef;
use heddle_txn::ReadView;
use heddle_types::{Datum, Result};
use std::sync::Arc;

/// Rows per computed batch.
const BATCH_ROWS: usize = 1024;

/// Affected rows of one statement.
pub(crate) struct Returned<'a> {
    spec: &'a Returning,
    table: &'a TableDef,
    rows: Vec<RowSet>,
}

impl<'a> Returned<'a> {
    pub fn new(spec: &'a Returning, table: &'a TableDef) -> Self {
        Self { spec, table, rows: vec![] }
    }

    /// Adds an affected row; `input` has the other columns of an UPDATE's or DELETE's source.
    pub fn push(&mut self, values: &[Datum], input: Option<&RowSet>) {
        let mut row = input.cloned().unwrap_or_else(RowSet::unit);
        for (id, i) in &self.spec.row {
            row.set(*id, Column::One(values[*i].clone(), self.table.columns[*i].ty));
        }
        self.rows.push(row);
    }

    /// The output.
    pub async fn finish(
        self,
        engine: &Arc<Engine>,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Vec<RecordBatch>> {
        let exprs: Vec<(ColId, Expr)> =
            self.spec.exprs.iter().enumerate().map(|(i, e)| (ColId(u32::MAX - i as u32), e.clone())).collect();
        let ids: Vec<ColId> = exprs.iter().map(|(id, _)| *id).collect();
        let mut out = vec![];
        for chunk in self.rows.chunks(BATCH_ROWS) {
            let rows = concat(&chunk[0], chunk)?;
            out.push(engine.project(&exprs, &rows, ctx, view).await?.batch(&ids)?);
        }
        Ok(out)
    }
}
