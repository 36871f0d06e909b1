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
    /// A sequence
    Sequence(SequenceDef),
}

impl Object {
    /// Its OID: unique across all kinds.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Database(d) => d.oid,
            Self::Schema(s) => s.oid,
            Self::Table(t) => t.oid,
            Self::View(v) => v.oid,
            Self::Sequence(s) => s.oid,
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
    /// On the database itself
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
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
    /// On the schema itself
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
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
    /// Indexes; a primary key with `storage: None` is what the table itself is ordered by. Without such a one the storage key
    /// is a hidden row id (int8).
    pub indexes: Vec<IndexDef>,
    /// What makes it a time-series table; None = relational.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<SeriesDef>,
    /// CHECK and FOREIGN KEY constraints; PRIMARY KEY and UNIQUE are their indexes'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub constraints: Vec<ConstraintDef>,
    /// On the table, its columns, indexes and constraints
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// Of a temporary table
    #[serde(default, skip_serializing_if = "OnCommit::is_default")]
    pub on_commit: OnCommit,
}

/// What the end of a transaction does to a temporary table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCommit {
    /// Nothing
    #[default]
    PreserveRows,
    /// Empties it
    DeleteRows,
    /// Drops it
    Drop,
}

impl OnCommit {
    fn is_default(&self) -> bool {
        *self == Self::PreserveRows
    }
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
    /// Columns of them that it uses, ascending
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<(Oid, i16)>,
    /// On the view and its columns
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
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
    /// attidentity: the default is drawn from a sequence of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// What rows written before the column was added read as: text form under default settings; None is NULL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// attidentity
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// GENERATED ALWAYS
    Always,
    /// GENERATED BY DEFAULT
    ByDefault,
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
    /// Own storage: key = columns (+ the table key when not [`IndexDef::immediate`] or a column is NULL), row = table key.
    /// None for a primary key that the table itself is ordered by.
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
    /// DEFERRABLE: two rows may have one key for a while; None = at no time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferrable: Option<Initially>,
}

/// When a deferrable key is checked, unless SET CONSTRAINTS says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Initially {
    /// At the end of a statement
    Immediate,
    /// At the end of the transaction
    Deferred,
}

/// A key column of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// Table column
    pub attnum: i16,
    /// Direction
    pub order: KeyOrder,
}

/// pg_constraint, but for PRIMARY KEY and UNIQUE
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConstraintDef {
    /// OID
    pub oid: Oid,
    /// conname
    pub name: String,
    /// convalidated: do the rows that were there before hold it too?
    pub valid: bool,
    /// What must hold
    pub rule: Rule,
}

/// What a constraint demands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// The expression over the row is true or NULL. Columns in it are attribute numbers.
    Check(StoredExpr),
    /// The referencing columns are NULL or the key of a row of another table.
    References(ForeignKey),
}

/// The foreign half of pg_constraint
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// conkey
    pub columns: Vec<i16>,
    /// confrelid
    pub table: Oid,
    /// confkey
    pub referenced: Vec<i16>,
    /// The unique index of `table` that has exactly these columns (conindid)
    pub index: Oid,
    /// MATCH FULL: all columns are NULL or none is
    pub full: bool,
    /// ON DELETE
    pub on_delete: Action,
    /// ON UPDATE
    pub on_update: Action,
    /// condeferrable
    #[serde(default)]
    pub deferrable: bool,
    /// condeferred: INITIALLY DEFERRED
    #[serde(default)]
    pub deferred: bool,
}

/// What happens to referencing rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum Action {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// pg_sequence. Where it stands is a counter of its own (`txn::sequence`), under `state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SequenceDef {
    /// OID, stable for life
    pub oid: Oid,
    /// pg_namespace OID
    pub schema: Oid,
    /// The database it is in.
    pub database: Oid,
    /// relname
    pub name: String,
    /// Under which its position is kept (like relfilenode). RESTART swaps it.
    pub state: Oid,
    /// The first value of `state`
    pub first: i64,
    /// seqtypid: int2, int4 or int8
    pub ty: Oid,
    /// seqstart
    pub start: i64,
    /// seqincrement
    pub increment: i64,
    /// seqmin
    pub min: i64,
    /// seqmax
    pub max: i64,
    /// seqcache: how many values a session takes at once
    pub cache: i64,
    /// seqcycle
    pub cycle: bool,
    /// The column it goes with
    pub owner: Option<SequenceOwner>,
    /// On the sequence itself
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
}

/// The column a sequence belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceOwner {
    /// Table
    pub table: Oid,
    /// Column
    pub attnum: i16,
    /// The column's identity, not only owned by it
    pub identity: bool,
}

/// pg_description
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// objoid: the object itself, or an index or constraint of it
    pub on: Oid,
    /// objsubid: the column, 0 for none
    pub column: i16,
    /// description
    pub text: String,
}

/// Life of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Written, not read yet.
    WriteOnly,
    /// Complete.
    Valid,
}
