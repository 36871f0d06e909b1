//! What exists: databases, schemas, tables, views, sequences, columns, indexes, constraints, comments. DDL is rows of system storages in the same
//! write set as data; a [`CatalogSnapshot`] is immutable and shared by Arc.
//!
//! Called by `txn` (decoding catalog rows at apply, overlays of a transaction's own DDL) and by `planner` (name lookups).
//! pg_catalog's tables are computed from a snapshot by the planner; nothing is kept in a side file.

mod edit;
mod object;
mod series;
mod snapshot;

pub use edit::{CatalogEdit, bootstrap, load};
pub use object::{
    Action, ColumnDef, Comment, ConstraintDef, DatabaseDef, ForeignKey, Identity, IndexColumn, IndexDef, IndexState,
    Initially, Object, OnCommit, Retention, Rule, SchemaDef, SequenceDef, SequenceOwner, SeriesDef, SeriesDefaults,
    StoredExpr, TableDef, ViewColumn, ViewDef,
};
pub use series::SeriesColumn;
pub use snapshot::{CatalogSnapshot, Relation, set_comment};

use heddle_types::{Oid, StorageId};

/// Storage of catalog rows: key (object OID), row = encoded [`Object`].
pub const CATALOG_STORAGE: StorageId = StorageId(1);
/// Storage of counters that are drawn through the log in blocks (OIDs, storage ids, row ids): key (class, id), row = next free value.
pub const COUNTER_STORAGE: StorageId = StorageId(2);
/// User storages start here.
pub const FIRST_USER_STORAGE: StorageId = StorageId(16384);

/// How the names of schemas for temporary objects begin; the session's number follows.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

/// Database `postgres`.
pub const POSTGRES_DB: Oid = Oid(5);
/// Schema pg_catalog, the same in every database.
pub const PG_CATALOG: Oid = Oid(11);
/// Schema public of database `postgres`; other databases draw their own.
pub const PUBLIC: Oid = Oid(2200);
/// Schema information_schema, the same in every database.
pub const INFORMATION_SCHEMA: Oid = Oid(13000);
/// The bootstrap superuser (role OIDs come with the roles issue).
pub const BOOTSTRAP_ROLE: Oid = Oid(10);
