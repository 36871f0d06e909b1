//! Bound DDL: what CREATE TABLE makes, and what ALTER changes. Everything is decided here but OIDs, storages and names that
//! the server chooses: those are drawn under locks by [`crate::ddl`].

use super::Expr;
use heddle_catalog::{
    Action, ColumnDef, Identity, Initially, Relation, SchemaDef, SequenceDef, StoredExpr, TableDef, ViewDef,
};
use heddle_types::key::KeyOrder;
use heddle_types::{Notice, Oid};
use std::sync::Arc;

/// A CHECK constraint to be made.
#[derive(Clone, Debug)]
pub struct NewCheck {
    /// Name
    pub name: String,
    /// Condition over the row; columns are attribute numbers
    pub expr: StoredExpr,
    /// Checked against the rows that are there? (not NOT VALID)
    pub valid: bool,
}

/// A PRIMARY KEY or UNIQUE constraint to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its name, if given
    pub name: Option<String>,
    /// Indexes of the columns
    pub columns: Vec<usize>,
    /// PRIMARY KEY
    pub primary: bool,
    /// DEFERRABLE
    pub deferrable: Option<Initially>,
}

/// An index to be made with its table. Its name is chosen then.
#[derive(Clone, Debug)]
pub struct NewIndex {
    /// Index of the column and order, per key column
    pub columns: Vec<(usize, KeyOrder)>,
    /// UNIQUE
    pub unique: bool,
}

/// A part of a new table that gets a comment.
#[derive(Clone, Debug)]
pub enum CommentOn {
    /// A column, by index
    Column(usize),
    /// A CHECK constraint, by name
    Check(String),
    /// The index over these columns
    Index(Vec<(usize, KeyOrder)>),
}

/// A FOREIGN KEY constraint to be made.
#[derive(Clone, Debug)]
pub struct NewReference {
    /// Name
    pub name: String,
    /// Referencing columns, by attribute number
    pub columns: Vec<i16>,
    /// The referenced table; None: the table itself
    pub table: Option<Arc<TableDef>>,
    /// Referenced columns; None: those of the primary key
    pub referenced: Vec<i16>,
    /// MATCH FULL
    pub full: bool,
    /// ON DELETE
    pub on_delete: Action,
    /// ON UPDATE
    pub on_update: Action,
    /// DEFERRABLE
    pub deferrable: bool,
    /// INITIALLY DEFERRED
    pub deferred: bool,
    /// Checked against the rows that are there?
    pub valid: bool,
}

/// A sequence that comes with a column: serial or identity.
#[derive(Clone, Debug)]
pub struct NewSerial {
    /// Index of the column
    pub column: usize,
    /// identity; None for serial
    pub identity: Option<Identity>,
    /// Its name, if SEQUENCE NAME gave one
    pub name: Option<String>,
    /// Everything but OID, names, state and owner
    pub sequence: SequenceDef,
}

/// ALTER TABLE.
#[derive(Clone, Debug)]
pub struct AlterTable {
    /// As it is
    pub old: Arc<TableDef>,
    /// As it will be, without what is in `made` and without what is dropped
    pub table: TableDef,
    /// What is added, in CREATE TABLE's form
    pub made: super::CreateTable,
    /// New values of columns for every row, over the old row (columns are attribute numbers): a new storage
    pub values: Vec<(usize, Expr)>,
    /// Columns whose (volatile) default every row gets: a new storage
    pub fill: Vec<usize>,
    /// Columns that must hold no NULL from now on
    pub not_null: Vec<usize>,
    /// Constraints to check against the rows that are there
    pub validate: Vec<Oid>,
    /// Columns whose type changes
    pub retyped: Vec<i16>,
    /// Columns to drop: attribute number, CASCADE
    pub drop_columns: Vec<(i16, bool)>,
    /// Constraints to drop: OID, CASCADE
    pub drop_constraints: Vec<(Oid, bool)>,
    /// Sequences of dropped identities
    pub drop_sequences: Vec<Oid>,
    /// Sequences that change with their column
    pub sequences: Vec<SequenceDef>,
    /// NOTICEs in order
    pub notices: Vec<Notice>,
}

impl AlterTable {
    /// No change to `old` yet; `made` has its columns.
    pub fn new(old: Arc<TableDef>, made: super::CreateTable) -> Self {
        Self {
            table: (*old).clone(),
            old,
            made,
            values: vec![],
            fill: vec![],
            not_null: vec![],
            validate: vec![],
            retyped: vec![],
            drop_columns: vec![],
            drop_constraints: vec![],
            drop_sequences: vec![],
            sequences: vec![],
            notices: vec![],
        }
    }
}

/// ALTER … RENAME.
#[derive(Clone, Debug)]
pub enum Renamed {
    /// A relation
    Relation(Relation),
    /// A column of a table
    Column(Arc<TableDef>, i16),
    /// A column of a view, by place
    ViewColumn(Arc<ViewDef>, usize),
    /// A constraint of a table
    Constraint(Arc<TableDef>, Oid),
    /// A schema
    Schema(Arc<SchemaDef>),
}

/// COMMENT ON.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The object whose row has the comment
    pub object: Commented,
    /// objoid
    pub on: Oid,
    /// objsubid
    pub column: i16,
    /// None removes it
    pub text: Option<String>,
}

/// The object whose row has a comment.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the variants are the catalog's objects")]
pub enum Commented {
    Table(Oid),
    View(Oid),
    Sequence(Oid),
    Schema(Oid),
    Database(Oid),
}

/// CREATE SEQUENCE.
#[derive(Clone, Debug)]
pub struct CreateSequence {
    /// Its schema's name, for messages
    pub schema_name: String,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Everything but OID and state
    pub sequence: SequenceDef,
}

/// ALTER SEQUENCE.
#[derive(Clone, Debug)]
pub struct AlterSequence {
    /// As it will be; its state and first value are new when `restart`
    pub sequence: SequenceDef,
    /// The options that were given, to check them against where the sequence stands.
    pub restart: Option<i64>,
}

/// A table column as ALTER and CREATE make it.
pub fn column(attnum: i16, name: String, ty: heddle_types::PgType) -> ColumnDef {
    ColumnDef { attnum, name, ty, not_null: false, default: None, dropped: false, identity: None, missing: None }
}
