//! Catalog changes as rows, and the way back.

use crate::{CatalogSnapshot, Object};
use heddle_engines::{RowChange, RowReader};
use heddle_types::{Oid, Result};

/// One DDL effect.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogEdit {
    /// Create or replace the object.
    Put(Object),
    /// Remove the object with this OID.
    Delete(Oid),
}

impl CatalogEdit {
    /// As a row change on [`crate::CATALOG_STORAGE`].
    pub fn to_change(&self) -> RowChange { todo!() }
    /// The edit in a change, when it concerns the catalog. `XX001` on malformed bytes.
    pub fn from_change(_change: &RowChange) -> Result<Option<CatalogEdit>> { todo!() }
}

/// The edits that make an empty folder a usable one: database postgres, its schema public, system schemas.
pub fn bootstrap() -> Vec<CatalogEdit> { todo!() }

/// Reads the whole catalog.
pub fn load(_reader: &dyn RowReader) -> Result<CatalogSnapshot> { todo!() }
