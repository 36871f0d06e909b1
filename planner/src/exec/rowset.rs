//! A handful of rows on their way between operators of ours: columns by id.
//!
//! A single row is kept as plain values, and expressions over it are computed as such: an array of one costs an allocation or
//! three, and a row that is read or changed by key would pass through a dozen of them.

use crate::bound::{ColId, Expr, SortKey};
use crate::context::EvalContext;
use crate::eval::{self, Columns, OneRow};
use crate::function::error::arrow_error;
use arrow::array::ArrayRef;
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use arrow::datatypes::{Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use heddle_types::{Datum, Error, PgType, Result};
use std::sync::Arc;

/// Columns by id, all `rows` long.
#[derive(Clone, Debug)]
pub(crate) struct RowSet {
    pub rows: usize,
    pub columns: Vec<(ColId, Column)>,
}

/// A column of a [`RowSet`].
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Array(ArrayRef),
    /// Of a set of one row.
    One(Datum, PgType),
}

impl Column {
    fn array(&self) -> Result<ArrayRef> {
        match self {
            Self::Array(a) => Ok(Arc::clone(a)),
            Self::One(value, ty) => heddle_types::arrow::repeat(value, *ty, 1),
        }
    }

    fn value(&self, ty: PgType, i: usize) -> Datum {
        match self {
            Self::Array(a) => heddle_types::arrow::datum_at(a, ty, i),
            Self::One(value, _) => value.clone(),
        }
    }

    fn slice(&self, offset: usize, len: usize) -> Result<Self> {
        match self {
            Self::Array(a) => Ok(Self::Array(a.slice(offset, len))),
            Self::One(..) if len == 1 => Ok(self.clone()),
            Self::One(_, ty) => heddle_types::arrow::column(&[], *ty).map(Self::Array),
        }
    }
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
            .map(|(id, ty)| Ok((*id, Column::Array(heddle_types::arrow::column(&[], *ty)?))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows: 0, columns })
    }

    /// Rows of datums, one per column of `output`.
    pub fn from_rows(output: &[(ColId, PgType)], rows: &[Vec<Datum>]) -> Result<Self> {
        if let [row] = rows {
            let one = |((id, ty), value): (&(ColId, PgType), &Datum)| (*id, Column::One(value.clone(), *ty));
            return Ok(Self { rows: 1, columns: output.iter().zip(row).map(one).collect() });
        }
        let mut columns = Vec::with_capacity(output.len());
        for (i, (id, ty)) in output.iter().enumerate() {
            let mut b = heddle_types::arrow::ColumnBuilder::new(*ty, rows.len());
            for row in rows {
                b.append(&row[i])?;
            }
            columns.push((*id, Column::Array(b.finish())));
        }
        Ok(Self { rows: rows.len(), columns })
    }

    /// The columns of a batch whose i-th column is `ids[i]`.
    pub fn from_batch(ids: &[ColId], batch: &RecordBatch) -> Self {
        let columns = ids.iter().copied().zip(batch.columns().iter().cloned().map(Column::Array)).collect();
        Self { rows: batch.num_rows(), columns }
    }

    fn find(&self, id: ColId) -> Option<&Column> {
        self.columns.iter().find(|(c, _)| *c == id).map(|(_, column)| column)
    }

    /// Is there a column under `id`?
    pub fn has(&self, id: ColId) -> bool {
        self.find(id).is_some()
    }

    /// The column under `id`, which the binder promised.
    pub fn require(&self, id: ColId) -> Result<ArrayRef> {
        self.find(id).ok_or_else(|| missing(id))?.array()
    }

    /// Row `i` of the column under `id`, which the binder promised.
    pub fn value(&self, id: ColId, ty: PgType, i: usize) -> Result<Datum> {
        Ok(self.find(id).ok_or_else(|| missing(id))?.value(ty, i))
    }

    /// Replaces or adds a column.
    pub fn set(&mut self, id: ColId, column: Column) {
        match self.columns.iter_mut().find(|(c, _)| *c == id) {
            Some(slot) => slot.1 = column,
            None => self.columns.push((id, column)),
        }
    }

    /// Evaluates an expression over the rows.
    pub fn eval(&self, expr: &Expr, ctx: &EvalContext) -> Result<Column> {
        if self.rows == 1 {
            return Ok(Column::One(self.eval_one(expr, ctx)?, expr.ty()));
        }
        let get = |id| self.require(id).ok();
        eval::eval(expr, &Columns { rows: self.rows, get: &get }, ctx).map(Column::Array)
    }

    /// Evaluates an expression over the only row.
    fn eval_one(&self, expr: &Expr, ctx: &EvalContext) -> Result<Datum> {
        let (value, array) = (|id, ty| self.find(id).map(|c| c.value(ty, 0)), |id| self.require(id).ok());
        eval::eval_one(expr, &OneRow { value: &value, array: &array }, ctx)
    }

    /// The rows for which the predicate is true.
    pub fn filter(self, predicate: &Expr, ctx: &EvalContext) -> Result<Self> {
        if self.rows == 1 {
            let keep = self.eval_one(predicate, ctx)? == Datum::Bool(true);
            return if keep { Ok(self) } else { self.slice(0, 0) };
        }
        let get = |id| self.require(id).ok();
        let keep = eval::filter(predicate, &Columns { rows: self.rows, get: &get }, ctx)?;
        let rows = keep.true_count();
        if rows == self.rows {
            return Ok(self);
        }
        let keep = |column: &Column| arrow::compute::filter(&column.array()?, &keep).map_err(arrow_error);
        let columns = self
            .columns
            .iter()
            .map(|(id, column)| Ok((*id, Column::Array(keep(column)?))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows, columns })
    }

    /// The rows in order of `keys`.
    pub fn sort(self, keys: &[SortKey], ctx: &EvalContext) -> Result<Self> {
        if self.rows < 2 {
            return Ok(self);
        }
        let column = |k: &SortKey| {
            let values = eval::comparable(&self.eval(&k.expr, ctx)?.array()?, k.expr.ty())?;
            let options = Some(SortOptions { descending: k.desc, nulls_first: k.nulls_first });
            Ok(SortColumn { values, options })
        };
        let columns = keys.iter().map(column).collect::<Result<Vec<_>>>()?;
        let order = lexsort_to_indices(&columns, None).map_err(arrow_error)?;
        let sorted = |column: &Column| take(&column.array()?, &order, None).map_err(arrow_error);
        let columns = self
            .columns
            .iter()
            .map(|(id, column)| Ok((*id, Column::Array(sorted(column)?))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows: self.rows, columns })
    }

    /// A part of the rows.
    pub fn slice(&self, offset: usize, len: usize) -> Result<Self> {
        let columns = self
            .columns
            .iter()
            .map(|(id, column)| Ok((*id, column.slice(offset, len)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows: len, columns })
    }

    /// A batch of the named columns, in that order (ids may repeat).
    pub fn batch(&self, ids: &[ColId]) -> Result<RecordBatch> {
        let arrays = ids.iter().map(|id| self.require(*id)).collect::<Result<Vec<_>>>()?;
        batch(arrays, self.rows)
    }
}

fn missing(id: ColId) -> Error {
    Error::internal(format!("column {} is missing", id.0))
}

/// A batch out of arrays; column names are their places.
pub(crate) fn batch(arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let fields: Vec<Field> =
        arrays.iter().enumerate().map(|(i, a)| Field::new(format!("o{i}"), a.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(arrow_error)
}
