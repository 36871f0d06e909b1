//! The objects of the catalog, as they are stored: one row each, written by DDL, read by everybody.

use heddle_engines::point::PartitionInterval;
use heddle_types::key::KeyOrder;
use heddle_types::{Oid, PgType, StorageId};
use serde::{Deserialize, Serialize};

/// Any catalog object. One row each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Object {
    /// A database
    Database(DatabaseDef),
    /// A schema
    Schema(SchemaDef),
    /// A table with its columns, indexes and constraints
    Table(TableDef),
    /// A view
    View(ViewDef),
}

impl Object {
    /// Its OID: unique across all kinds.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Database(d) => d.oid,
            Self::Schema(s) => s.oid,
            Self::Table(t) => t.oid,
            Self::View(v) => v.oid,
        }
    }
}

/// pg_database
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseDef {
    /// OID
    pub oid: Oid,
    /// datname
    pub name: String,
    /// What its time-series tables inherit; None = a database of relational tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesDefaults>,
}

/// Defaults of the tables of a time-series database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesDefaults {
    /// [`SeriesDef::retention`]
    pub retention: Option<Retention>,
    /// [`SeriesDef::partition`]; None = ten days
    pub partition: Option<PartitionInterval>,
}

/// pg_namespace
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SchemaDef {
    /// OID
    pub oid: Oid,
    /// The database it is in; 0 = in every one (system schemas).
    pub database: Oid,
    /// nspname
    pub name: String,
}

/// pg_class + pg_attribute + pg_index of one table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableDef {
    /// OID, stable for life
    pub oid: Oid,
    /// pg_namespace OID
    pub schema: Oid,
    /// The database it is in.
    pub database: Oid,
    /// relname
    pub name: String,
    /// Where its rows are. TRUNCATE swaps it.
    pub storage: StorageId,
    /// By attribute number: `columns[i].attnum == i + 1`; dropped ones stay in place.
    pub columns: Vec<ColumnDef>,
    /// Indexes; the primary key (if any) has `storage: None`: the table itself is ordered by it. Without a primary key
    /// the storage key is a hidden row id (int8).
    pub indexes: Vec<IndexDef>,
    /// What makes it a time-series table; None = relational.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesDef>,
}

/// A time-series table's own side. Its primary key is (primary tags, time), its storage is the time-series engine's.
///
/// Invariant: every column is the time, a primary tag, a tag, or else a field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesDef {
    /// attnum of the time column
    pub time: i16,
    /// attnums of the primary tags, in key order
    pub primary_tags: Vec<i16>,
    /// attnums of the other tags
    pub tags: Vec<i16>,
    /// Relational storage of the other tags: key = series key, row = tuple of `tags`, in that order. A series whose other
    /// tags were never given has no row.
    pub tags_storage: StorageId,
    /// Points older than this are not shown, and dropped in time; None = kept for ever.
    pub retention: Option<Retention>,
    /// Span of time whose points lie together
    pub partition: PartitionInterval,
}

/// How long points are kept: an interval in PostgreSQL's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Calendar months
    pub months: i32,
    /// Days
    pub days: i32,
    /// Microseconds
    pub us: i64,
}

/// A view: its query as text, bound again at each use under the search path it was made with.
///
/// Invariant: nothing in `depends` is dropped or changes its columns while the view exists, so that the text keeps its meaning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewDef {
    /// OID, stable for life (CREATE OR REPLACE keeps it)
    pub oid: Oid,
    /// pg_namespace OID
    pub schema: Oid,
    /// The database it is in.
    pub database: Oid,
    /// relname
    pub name: String,
    /// Columns in order
    pub columns: Vec<ViewColumn>,
    /// The query as written.
    pub query: String,
    /// Schemas in search order when it was made, `$user` replaced.
    pub search_path: Vec<String>,
    /// Tables and views the query reads, ascending.
    pub depends: Vec<Oid>,
}

/// A column of a view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ViewColumn {
    /// attname
    pub name: String,
    /// Type with modifier
    pub ty: PgType,
}

/// pg_attribute
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDef {
    /// 1-based, never reused
    pub attnum: i16,
    /// attname
    pub name: String,
    /// Type with modifier
    pub ty: PgType,
    /// attnotnull
    pub not_null: bool,
    /// pg_attrdef
    pub default: Option<StoredExpr>,
    /// attisdropped
    pub dropped: bool,
}

/// An expression kept in the catalog: the planner's bound tree (its own encoding) and nothing else; text is printed from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoredExpr(pub String);

/// pg_index (+ pg_constraint for primary keys and UNIQUE)
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexDef {
    /// OID of the index relation
    pub oid: Oid,
    /// relname
    pub name: String,
    /// Own storage: key = columns (+ the table key when not unique or a column is NULL), row = table key. None for the primary key.
    pub storage: Option<StorageId>,
    /// Key columns
    pub columns: Vec<IndexColumn>,
    /// indisunique
    pub unique: bool,
    /// indisprimary
    pub primary: bool,
    /// OID of the pg_constraint row when it backs PRIMARY KEY or UNIQUE
    pub constraint: Option<Oid>,
    /// Usable?
    pub state: IndexState,
}

/// A key column of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// Table column
    pub attnum: i16,
    /// Direction
    pub order: KeyOrder,
}

/// Life of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Written, not read yet.
    WriteOnly,
    /// Complete.
    Valid,
}
