//! Bound statements.

use super::{
    AlterSequence, AlterTable, ColId, Comment, CommentOn, CreateSequence, CteId, Expr, NewCheck, NewIndex, NewKey,
    NewReference, NewSerial, OutputColumn, Query, Rel, Renamed, TableScan,
};
use heddle_catalog::{ColumnDef, OnCommit, Retention, SeriesDefaults, TableDef, ViewColumn, ViewDef};
use heddle_engines::point::PartitionInterval;
use heddle_txn::RelationLock;
use heddle_types::key::KeyOrder;
use heddle_types::{LogIndex, Notice, Oid, PgType};
use std::sync::Arc;

/// A statement after binding.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What to do
    pub statement: Statement,
    /// Type of `$1…`
    pub params: Vec<PgType>,
    /// What a client sees; None when the statement returns no rows.
    pub columns: Option<Vec<OutputColumn>>,
    /// Relation locks to take before the snapshot.
    pub locks: Vec<(Oid, RelationLock)>,
    /// from_index of the catalog it was bound against: bind again when a locked relation changed since.
    pub catalog: LogIndex,
    /// Tables as they were at bind time, for that comparison.
    pub tables: Vec<Arc<TableDef>>,
    /// Views that were expanded or are dropped, for the same comparison.
    pub views: Vec<Arc<ViewDef>>,
    /// It reads pg_prepared_statements or pg_cursors: its context needs an [`crate::context::Inventory`].
    pub shows_inventory: bool,
}

/// What to do.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the sentence of each variant names its fields")]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH
    Query(Query),
    /// INSERT
    Insert(Insert),
    /// UPDATE
    Update(Update),
    /// DELETE
    Delete(Delete),
    /// MERGE
    Merge(Merge),
    /// WITH queries that change data, in order, and what reads their RETURNING rows
    With { changes: Vec<Change>, inner: Box<Statement> },
    /// EXPLAIN [ANALYZE] of another statement
    Explain { inner: Box<Statement>, options: ExplainOptions },
    /// Everything that changes the catalog
    Ddl(Ddl),
}

/// What EXPLAIN shows.
#[derive(Clone, Copy, Debug)]
pub struct ExplainOptions {
    /// Runs the statement and shows what its operators did
    pub analyze: bool,
    /// Shows the output columns
    pub verbose: bool,
    /// Shows times under ANALYZE
    pub timing: bool,
    /// Shows the times of planning and execution; None = with ANALYZE
    pub summary: Option<bool>,
    /// JSON instead of text
    pub json: bool,
}

/// INSERT, UPDATE or DELETE inside WITH. It runs whether or not it is read; nothing in the statement sees what it wrote, but for the rows it returns.
#[derive(Clone, Debug)]
pub struct Change {
    /// Under which number CteScan reads its rows
    pub cte: CteId,
    /// What RETURNING gives, by position
    pub columns: Vec<PgType>,
    /// The statement
    pub statement: Statement,
}

/// INSERT. `source` produces one column per entry of `columns`, already cast (assignment) to the column's type.
#[derive(Clone, Debug)]
pub struct Insert {
    /// Target
    pub table: Arc<TableDef>,
    /// Rows to insert, by id in the order of all live columns: (index into table.columns, id in source). Columns not listed take `defaults`.
    pub columns: Vec<(usize, ColId)>,
    /// Rows
    pub source: Query,
    /// Default per column index not in `columns` (absent = NULL).
    pub defaults: Vec<(usize, Expr)>,
    /// RETURNING over the stored row
    pub returning: Option<Returning>,
    /// ON CONFLICT
    pub on_conflict: Option<OnConflict>,
}

/// The rows of a table's values that COPY FROM keeps.
#[derive(Clone, Debug)]
pub struct RowFilter {
    /// True for those rows
    pub predicate: Expr,
    /// Which column of the table it sees under which id
    pub columns: Vec<(ColId, usize)>,
}

/// ON CONFLICT.
#[derive(Clone, Debug)]
pub struct OnConflict {
    /// The arbiter index, None for DO NOTHING without target (any unique index).
    pub index: Option<Oid>,
    /// DO UPDATE SET: expressions over `existing` (the row there) and `excluded`; None = DO NOTHING.
    pub update: Option<ConflictUpdate>,
}

/// DO UPDATE.
#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    /// Ids of the existing row's columns
    pub existing: Vec<(ColId, usize)>,
    /// Ids of the proposed row's columns
    pub excluded: Vec<(ColId, usize)>,
    /// (index into table.columns, new value)
    pub set: Vec<(usize, Expr)>,
    /// WHERE
    pub filter: Option<Expr>,
}

/// UPDATE. `input` produces the target scan's columns (all live columns) and identity, joined with FROM, filtered by WHERE.
#[derive(Clone, Debug)]
pub struct Update {
    /// Target (as it stands inside `input`, same ids)
    pub target: TableScan,
    /// Candidate rows
    pub input: Rel,
    /// The whole bound WHERE, evaluated again on the newest row when the target row changed (FROM columns keep their values).
    pub filter: Option<Expr>,
    /// (index into table.columns, new value over `input`'s columns)
    pub set: Vec<(usize, Expr)>,
    /// RETURNING over `returning.row` = the new row
    pub returning: Option<Returning>,
}

/// DELETE. Same shape as [`Update`].
#[derive(Clone, Debug)]
pub struct Delete {
    /// Target
    pub target: TableScan,
    /// Candidate rows
    pub input: Rel,
    /// WHERE
    pub filter: Option<Expr>,
    /// RETURNING over the old row
    pub returning: Option<Returning>,
}

/// MERGE. `input` produces the source's columns, the target scan's (NULL where nothing matches; identity too), `choice` and the
/// values of every action.
#[derive(Clone, Debug)]
pub struct Merge {
    /// Target (as it stands inside `input`, same ids)
    pub target: TableScan,
    /// The source's rows, joined
    pub input: Rel,
    /// ON, evaluated again on the newest row when the target row changed
    pub on: Expr,
    /// Which of `whens` takes the row (int4, from 0); NULL = none
    pub choice: ColId,
    /// The WHEN clauses in order
    pub whens: Vec<When>,
}

/// A WHEN clause of MERGE.
#[derive(Clone, Debug)]
pub struct When {
    /// WHEN MATCHED, otherwise WHEN NOT MATCHED
    pub matched: bool,
    /// AND …
    pub condition: Option<Expr>,
    /// THEN …
    pub action: MergeAction,
}

/// What a WHEN clause does.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the sentence of each variant names its fields")]
pub enum MergeAction {
    /// DO NOTHING
    Nothing,
    /// DELETE
    Delete,
    /// UPDATE SET
    Update(Vec<Assigned>),
    /// INSERT: the given values, and defaults per column index (absent = NULL)
    Insert { values: Vec<Assigned>, defaults: Vec<(usize, Expr)> },
}

impl MergeAction {
    /// The values it computes.
    pub fn assigned(&self) -> &[Assigned] {
        match self {
            Self::Nothing | Self::Delete => &[],
            Self::Update(values) | Self::Insert { values, .. } => values,
        }
    }

    /// The same as expressions, to change them.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let assigned: &mut [Assigned] = match self {
            Self::Nothing | Self::Delete => &mut [],
            Self::Update(values) | Self::Insert { values, .. } => values,
        };
        assigned.iter_mut().map(|a| &mut a.value)
    }
}

/// A value for a column.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Index into table.columns
    pub column: usize,
    /// Under which id the plan gives it
    pub id: ColId,
    /// What it is, to compute it again
    pub value: Expr,
}

/// RETURNING: expressions over the affected row (ids in `row`) and, for UPDATE/DELETE, the other columns of `input`.
#[derive(Clone, Debug)]
pub struct Returning {
    /// (id, index into table.columns): under which ids the affected row's columns are known. For UPDATE/DELETE these are the target scan's ids.
    pub row: Vec<(ColId, usize)>,
    /// Output expressions
    pub exprs: Vec<Expr>,
    /// Output columns (ids unused)
    pub columns: Vec<OutputColumn>,
}

/// Statements that change the catalog.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the sentence of each variant names its fields")]
pub enum Ddl {
    /// CREATE TABLE
    CreateTable(Box<CreateTable>),
    /// DROP TABLE; `missing` are notices of IF EXISTS
    DropTable { tables: Vec<Arc<TableDef>>, missing: Vec<String>, cascade: bool },
    /// CREATE INDEX
    CreateIndex(CreateIndex),
    /// DROP INDEX: each index with its table; `missing` as above
    DropIndex { indexes: Vec<(Arc<TableDef>, Oid)>, missing: Vec<String> },
    /// CREATE VIEW
    CreateView(CreateView),
    /// DROP VIEW; `missing` as above
    DropView { views: Vec<Arc<ViewDef>>, missing: Vec<String>, cascade: bool },
    /// ALTER TABLE … SET RETENTIONS
    SetRetention { table: Arc<TableDef>, retention: Option<Retention> },
    /// TRUNCATE
    Truncate { tables: Vec<Arc<TableDef>>, restart_identity: bool, cascade: bool },
    /// CREATE SCHEMA
    CreateSchema { name: String, if_not_exists: bool },
    /// DROP SCHEMA
    DropSchema { names: Vec<String>, if_exists: bool, cascade: bool },
    /// CREATE [TS] DATABASE; `series` makes its tables time-series tables.
    CreateDatabase { name: String, if_not_exists: bool, series: Option<SeriesDefaults> },
    /// DROP DATABASE
    DropDatabase { name: String, if_exists: bool, force: bool },
    /// ALTER TABLE
    AlterTable(Box<AlterTable>),
    /// ALTER … RENAME; `tag` names the kind of object
    Rename { what: Renamed, to: String, tag: &'static str },
    /// ALTER … SET SCHEMA: the relation and its new schema
    SetSchema { relation: heddle_catalog::Relation, schema: Oid, tag: &'static str },
    /// CREATE SEQUENCE
    CreateSequence(Box<CreateSequence>),
    /// ALTER SEQUENCE
    AlterSequence(Box<AlterSequence>),
    /// DROP SEQUENCE
    DropSequence { sequences: Vec<Arc<heddle_catalog::SequenceDef>>, missing: Vec<String>, cascade: bool },
    /// COMMENT ON
    Comment(Comment),
    /// Something that needs no change (IF EXISTS of what is not there); NOTICEs say why.
    Nothing { tag: &'static str, notices: Vec<Notice> },
}

impl Ddl {
    /// The command tag without a count, which also names the command in messages.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::CreateTable(c) if c.query.is_some() => "CREATE TABLE AS",
            Self::CreateTable(_) => "CREATE TABLE",
            Self::DropTable { .. } => "DROP TABLE",
            Self::CreateIndex(_) => "CREATE INDEX",
            Self::DropIndex { .. } => "DROP INDEX",
            Self::CreateView(_) => "CREATE VIEW",
            Self::DropView { .. } => "DROP VIEW",
            Self::SetRetention { .. } => "ALTER TABLE",
            Self::Truncate { .. } => "TRUNCATE TABLE",
            Self::CreateSchema { .. } => "CREATE SCHEMA",
            Self::DropSchema { .. } => "DROP SCHEMA",
            Self::CreateDatabase { .. } => "CREATE DATABASE",
            Self::DropDatabase { .. } => "DROP DATABASE",
            Self::AlterTable(_) => "ALTER TABLE",
            Self::CreateSequence(_) => "CREATE SEQUENCE",
            Self::AlterSequence(_) => "ALTER SEQUENCE",
            Self::DropSequence { .. } => "DROP SEQUENCE",
            Self::Comment(_) => "COMMENT",
            Self::Rename { tag, .. } | Self::SetSchema { tag, .. } | Self::Nothing { tag, .. } => tag,
        }
    }
}

/// CREATE TABLE.
#[derive(Clone, Debug)]
pub struct CreateTable {
    /// Schema; 0 = the session's for temporary objects, to be made
    pub schema: Oid,
    /// Its name, for messages
    pub schema_name: String,
    /// Name
    pub name: String,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Columns
    pub columns: Vec<ColumnDef>,
    /// PRIMARY KEY and UNIQUE constraints
    pub keys: Vec<NewKey>,
    /// Indexes that LIKE copies
    pub indexes: Vec<NewIndex>,
    /// Comments that LIKE copies
    pub comments: Vec<(CommentOn, String)>,
    /// CHECK constraints
    pub checks: Vec<NewCheck>,
    /// FOREIGN KEY constraints
    pub references: Vec<NewReference>,
    /// serial and identity columns
    pub serials: Vec<NewSerial>,
    /// NOTICEs in order
    pub notices: Vec<Notice>,
    /// ON COMMIT of a temporary table
    pub on_commit: OnCommit,
    /// CREATE TABLE AS: the query (columns follow from it); `with_data` false for WITH NO DATA.
    pub query: Option<(Query, bool)>,
    /// What makes it a time-series table; its primary key is among `keys`.
    pub series: Option<CreateSeries>,
}

/// The time-series side of CREATE TABLE. Columns are indexes into [`CreateTable::columns`].
#[derive(Clone, Debug)]
pub struct CreateSeries {
    /// The time
    pub time: usize,
    /// Primary tags, in key order
    pub primary_tags: Vec<usize>,
    /// The other tags
    pub tags: Vec<usize>,
    /// How long points are shown
    pub retention: Option<Retention>,
    /// Span of time whose points lie together
    pub partition: PartitionInterval,
    /// Clauses of other systems that have no effect here: a NOTICE each.
    pub ignored: Vec<String>,
}

impl CreateTable {
    /// A table without anything.
    pub fn new(schema: Oid, schema_name: String, name: String) -> Self {
        Self {
            schema,
            schema_name,
            name,
            if_not_exists: false,
            columns: Vec::new(),
            keys: Vec::new(),
            indexes: Vec::new(),
            comments: Vec::new(),
            checks: Vec::new(),
            references: Vec::new(),
            serials: Vec::new(),
            notices: Vec::new(),
            on_commit: OnCommit::default(),
            query: None,
            series: None,
        }
    }
}

/// CREATE INDEX.
#[derive(Clone, Debug)]
pub struct CreateIndex {
    /// The table, locked
    pub table: Arc<TableDef>,
    /// Name, if given
    pub name: Option<String>,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// UNIQUE
    pub unique: bool,
    /// CONCURRENTLY: not inside a transaction block
    pub concurrently: bool,
    /// Index into `table.columns` and order, per key column
    pub columns: Vec<(usize, KeyOrder)>,
    /// NOTICEs in order
    pub notices: Vec<Notice>,
}

/// CREATE VIEW.
#[derive(Clone, Debug)]
pub struct CreateView {
    /// Schema; 0 = the session's for temporary objects, to be made
    pub schema: Oid,
    /// Its name, for messages
    pub schema_name: String,
    /// Name
    pub name: String,
    /// OR REPLACE
    pub or_replace: bool,
    /// Columns
    pub columns: Vec<ViewColumn>,
    /// The query as written
    pub query: String,
    /// Schemas in search order
    pub search_path: Vec<String>,
    /// Tables and views the query reads, ascending
    pub depends: Vec<Oid>,
    /// Columns of them that it uses, ascending
    pub uses: Vec<(Oid, i16)>,
    /// NOTICEs in order
    pub notices: Vec<Notice>,
}
