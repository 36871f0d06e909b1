//! pg_catalog and information_schema: tables computed from the catalog snapshot on demand, with PostgreSQL 15's columns and stable OIDs.

use crate::context::EvalContext;
use heddle_types::{Datum, Oid, PgType, Result};

/// A computed table.
pub struct SystemTable {
    /// OID in pg_class
    pub oid: Oid,
    /// pg_catalog or information_schema
    pub schema: &'static str,
    /// relname
    pub name: &'static str,
    /// Columns
    pub columns: &'static [(&'static str, PgType)],
    /// All rows, one datum per column.
    pub rows: fn(&EvalContext) -> Result<Vec<Vec<Datum>>>,
}

impl std::fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// The table of that name.
pub fn lookup(_schema: &str, _name: &str) -> Option<&'static SystemTable> {
    None
}
