//! [`Shape`]: a storage's layout with what is derived from it once.

use arrow::array::{ArrayRef, new_null_array};
use heddle_engines::point::SeriesLayout;
use heddle_types::arrow::{data_type, datum_at};
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Error, Result, SqlState};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Shape {
    /// As it was defined.
    pub layout: Arc<SeriesLayout>,
    /// How tuples of fields are encoded.
    pub tuple: RowLayout,
    /// Every field.
    pub fields: Vec<usize>,
}

impl Shape {
    /// The shape of a layout.
    pub fn new(layout: impl Into<Arc<SeriesLayout>>) -> Arc<Self> {
        let layout = layout.into();
        let (tuple, fields) = (layout.row_layout(), (0..layout.fields.len()).collect());
        Arc::new(Self { layout, tuple, fields })
    }

    /// The columns of `fields`, in that order, of rows that were written with the first `columns.len()` fields.
    ///
    /// # Errors
    /// `XX000` for a field that the layout does not have.
    pub fn project(&self, fields: &[usize], columns: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>> {
        let column = |field: &usize| match columns.get(*field) {
            Some(column) => Ok(Arc::clone(column)),
            None => self.missing(*field, rows),
        };
        fields.iter().map(column).collect()
    }

    /// What rows read as that were written before the field came.
    pub fn missing(&self, field: usize, rows: usize) -> Result<ArrayRef> {
        let unknown = || Error::internal(format!("time-series layout has no field {field}"));
        let field = self.layout.fields.get(field).ok_or_else(unknown)?;
        Ok(new_null_array(&data_type(field.ty), rows))
    }

    /// The tuple of row `i` of columns that hold all fields, or the first of them.
    pub fn row(&self, columns: &[ArrayRef], i: usize) -> Vec<u8> {
        let known = columns.iter().zip(&self.layout.fields).map(|(column, field)| datum_at(column, field.ty, i));
        self.encode(known.collect())
    }

    /// The tuple of these values, of all fields or the first of them.
    pub fn encode(&self, mut values: Vec<Datum>) -> Vec<u8> {
        values.resize(self.fields.len(), Datum::Null);
        self.tuple.encode(&values)
    }
}

/// `XX001`, saying what to do.
pub fn damaged(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, message).hint("Restore this node's data folder from a replica or a backup.")
}
