//! A handful of rows on their way between operators of ours: columns by id.

use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use crate::eval::{self, Columns};
use crate::function::error::arrow_error;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heddle_types::{Datum, Error, PgType, Result};
use std::sync::Arc;

/// Columns by id, all `rows` long.
#[derive(Clone, Debug)]
pub(crate) struct RowSet {
    pub rows: usize,
    pub columns: Vec<(ColId, ArrayRef)>,
}

impl RowSet {
    /// One row without columns.
    pub fn unit() -> Self {
        Self { rows: 1, columns: vec![] }
    }

    /// No row: every column of `output`, empty.
    pub fn empty(output: &[(ColId, PgType)]) -> Result<Self> {
        let columns = output
            .iter()
            .map(|(id, ty)| Ok((*id, heddle_types::arrow::column(&[], *ty)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows: 0, columns })
    }

    /// Rows of datums, one per column of `output`.
    pub fn from_rows(output: &[(ColId, PgType)], rows: &[Vec<Datum>]) -> Result<Self> {
        let mut columns = Vec::with_capacity(output.len());
        for (i, (id, ty)) in output.iter().enumerate() {
            let mut b = heddle_types::arrow::ColumnBuilder::new(*ty, rows.len());
            for row in rows {
                b.append(&row[i])?;
            }
            columns.push((*id, b.finish()));
        }
        Ok(Self { rows: rows.len(), columns })
    }

    /// The columns of a batch whose i-th column is `ids[i]`.
    pub fn from_batch(ids: &[ColId], batch: &RecordBatch) -> Self {
        let columns = ids.iter().copied().zip(batch.columns().iter().cloned()).collect();
        Self { rows: batch.num_rows(), columns }
    }

    /// The column under `id`.
    pub fn get(&self, id: ColId) -> Option<ArrayRef> {
        self.columns.iter().find(|(c, _)| *c == id).map(|(_, a)| Arc::clone(a))
    }

    /// The column under `id`, which the binder promised.
    pub fn require(&self, id: ColId) -> Result<ArrayRef> {
        self.get(id).ok_or_else(|| Error::internal(format!("column {} is missing", id.0)))
    }

    /// Replaces or adds a column.
    pub fn set(&mut self, id: ColId, array: ArrayRef) {
        match self.columns.iter_mut().find(|(c, _)| *c == id) {
            Some(slot) => slot.1 = array,
            None => self.columns.push((id, array)),
        }
    }

    /// Evaluates an expression over the rows.
    pub fn eval(&self, expr: &Expr, ctx: &EvalContext) -> Result<ArrayRef> {
        eval::eval(expr, &Columns { rows: self.rows, get: &|id| self.get(id) }, ctx)
    }

    /// The rows for which the predicate is true.
    pub fn filter(&self, predicate: &Expr, ctx: &EvalContext) -> Result<Self> {
        let keep = eval::filter(predicate, &Columns { rows: self.rows, get: &|id| self.get(id) }, ctx)?;
        self.keep(&keep)
    }

    /// The rows with a true bit.
    pub fn keep(&self, keep: &BooleanArray) -> Result<Self> {
        let rows = keep.true_count();
        if rows == self.rows {
            return Ok(self.clone());
        }
        let columns = self
            .columns
            .iter()
            .map(|(id, a)| Ok((*id, arrow::compute::filter(a, keep).map_err(arrow_error)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows, columns })
    }

    /// A part of the rows.
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        let columns = self.columns.iter().map(|(id, a)| (*id, a.slice(offset, len))).collect();
        Self { rows: len, columns }
    }

    /// A batch of the named columns, in that order (ids may repeat).
    pub fn batch(&self, ids: &[ColId]) -> Result<RecordBatch> {
        let arrays = ids.iter().map(|id| self.require(*id)).collect::<Result<Vec<_>>>()?;
        batch(arrays, self.rows)
    }
}

/// A batch out of arrays; column names are their places.
pub(crate) fn batch(arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        arrays.iter().enumerate().map(|(i, a)| Field::new(format!("o{i}"), a.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(arrow_error)
}
