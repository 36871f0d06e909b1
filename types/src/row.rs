//! How a tuple lies on disk: {format u8, natts varint, null bitmap, values}. Values follow the column types, which the
//! row does not repeat. A row with fewer attributes than the layout was written before ADD COLUMN: the missing values
//! come from the layout, so that nothing is rewritten. Byte table in docs/formats/row.md.

use crate::{Datum, PgType, Result};
use std::sync::Arc;

/// The columns of a relation's tuples, by attribute number (dropped ones keep their place and encode as NULL).
#[derive(Clone, Debug)]
pub struct RowLayout {
    /// Type per attribute.
    pub types: Arc<[PgType]>,
    /// What a row that lacks the attribute reads as (PostgreSQL's attmissingval).
    pub missing: Arc<[Datum]>,
}

impl RowLayout {
    /// A layout; `missing` has one entry per type.
    pub fn new(_types: Vec<PgType>, _missing: Vec<Datum>) -> Self { todo!() }
    /// Encodes one value per attribute.
    pub fn encode(&self, _values: &[Datum]) -> Vec<u8> { todo!() }
    /// Decodes all attributes. `XX001` on malformed bytes.
    pub fn decode(&self, _row: &[u8]) -> Result<Vec<Datum>> { todo!() }
    /// Decodes straight into Arrow builders: `columns[i]` is the attribute (0-based) that goes to `builders[i]`.
    pub fn decode_into(&self, _row: &[u8], _columns: &[usize], _builders: &mut [crate::arrow::ColumnBuilder]) -> Result<()> { todo!() }
}
