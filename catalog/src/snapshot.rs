//! One immutable view of everything that exists.

use crate::{CatalogEdit, DatabaseDef, IndexDef, SchemaDef, TableDef};
use heddle_types::{LogIndex, Oid};
use std::sync::Arc;

/// What a name in a schema stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    /// A table
    Table(Arc<TableDef>),
    /// An index and its table
    Index(Arc<TableDef>, usize),
}

/// Everything that exists as of one log index (plus, inside a transaction, its own DDL).
#[derive(Clone, Debug, Default)]
pub struct CatalogSnapshot {
    _todo: (),
}

impl CatalogSnapshot {
    /// Log index from which this state holds.
    pub fn from_index(&self) -> LogIndex { todo!() }
    /// A new snapshot with `edits` applied, valid from `from`.
    pub fn with(&self, _edits: &[CatalogEdit], _from: LogIndex) -> CatalogSnapshot { todo!() }
    /// Database by name.
    pub fn database(&self, _name: &str) -> Option<Arc<DatabaseDef>> { todo!() }
    /// All databases, by OID.
    pub fn databases(&self) -> Vec<Arc<DatabaseDef>> { todo!() }
    /// Schema of a database by name (pg_catalog and information_schema exist in each).
    pub fn schema(&self, _database: Oid, _name: &str) -> Option<Arc<SchemaDef>> { todo!() }
    /// Schema by OID.
    pub fn schema_by_oid(&self, _oid: Oid) -> Option<Arc<SchemaDef>> { todo!() }
    /// Schemas of a database, system ones included, by OID.
    pub fn schemas(&self, _database: Oid) -> Vec<Arc<SchemaDef>> { todo!() }
    /// Relation by name.
    pub fn relation(&self, _schema: Oid, _name: &str) -> Option<Relation> { todo!() }
    /// Table by OID.
    pub fn table(&self, _oid: Oid) -> Option<Arc<TableDef>> { todo!() }
    /// Tables of a database, by OID.
    pub fn tables(&self, _database: Oid) -> Vec<Arc<TableDef>> { todo!() }
    /// Does the schema hold any relation?
    pub fn schema_is_empty(&self, _schema: Oid) -> bool { todo!() }
}

impl TableDef {
    /// The primary key's index.
    pub fn primary_key(&self) -> Option<&IndexDef> {
        self.indexes.iter().find(|i| i.primary)
    }
    /// Column by name, dropped ones excluded: position in `columns`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| !c.dropped && c.name == name)
    }
    /// The layout of its stored tuples.
    pub fn layout(&self) -> heddle_types::row::RowLayout { todo!() }
}
