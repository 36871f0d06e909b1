//! The tree of statements that we parse ourselves: ALTER, sequences, COMMENT. Expressions, types and column definitions in
//! them are sqlparser's.
//!
//! Made by [`super::alter`], [`super::sequence`] and [`super::comment`], read by the binder. Positions are 1-based
//! characters of the statement's text, as everywhere in [`super::Ast`].

use sqlparser::ast;

/// A dotted name, folded, and where it begins.
#[derive(Clone, Debug)]
pub struct Name {
    pub parts: Vec<String>,
    pub pos: Option<u32>,
}

/// One identifier, folded, and where it stands.
#[derive(Clone, Debug)]
pub struct Word {
    pub text: String,
    pub pos: Option<u32>,
}

/// What the word after ALTER or DROP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noun {
    Table,
    Index,
    View,
    Sequence,
}

impl Noun {
    /// In messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Index => "index",
            Self::View => "view",
            Self::Sequence => "sequence",
        }
    }
}

/// A statement of our own grammar.
#[derive(Clone, Debug)]
pub enum Own {
    /// ALTER TABLE, INDEX or VIEW with a list of actions
    Alter { noun: Noun, if_exists: bool, name: Name, actions: Vec<Action> },
    /// ALTER … RENAME
    Rename { noun: Noun, if_exists: bool, name: Name, part: Part, to: String },
    /// ALTER … SET SCHEMA
    SetSchema { noun: Noun, if_exists: bool, name: Name, schema: Word },
    /// ALTER SCHEMA … RENAME TO
    RenameSchema { name: Word, to: String },
    /// CREATE SEQUENCE
    CreateSequence { temporary: bool, if_not_exists: bool, name: Name, options: Vec<SequenceOption> },
    /// ALTER SEQUENCE with options
    AlterSequence { if_exists: bool, name: Name, options: Vec<SequenceOption> },
    /// DROP SEQUENCE
    DropSequence { names: Vec<Name>, if_exists: bool, cascade: bool },
    /// COMMENT ON; NULL removes it
    Comment { on: Commented, text: Option<String> },
}

/// What RENAME renames.
#[derive(Clone, Debug)]
pub enum Part {
    /// The relation itself
    Whole,
    /// A column of it
    Column(Word),
    /// A constraint of it
    Constraint(Word),
}

/// What a COMMENT is on.
#[derive(Clone, Debug)]
pub enum Commented {
    /// A table, view, index or sequence
    Relation(Noun, Name),
    /// relation.column
    Column(Name),
    /// A constraint of a table
    Constraint { name: Word, table: Name },
    /// A schema
    Schema(Word),
    /// A database
    Database(Word),
}

/// An action of ALTER TABLE.
#[derive(Clone, Debug)]
pub enum Action {
    /// ADD COLUMN
    AddColumn { if_not_exists: bool, column: Box<ast::ColumnDef>, pos: Option<u32> },
    /// DROP COLUMN
    DropColumn { if_exists: bool, name: Word, cascade: bool },
    /// ALTER COLUMN … SET DEFAULT (None: DROP DEFAULT)
    Default { column: Word, value: Option<Box<ast::Expr>> },
    /// ALTER COLUMN … SET NOT NULL / DROP NOT NULL
    NotNull { column: Word, set: bool },
    /// ALTER COLUMN … TYPE
    Type { column: Word, ty: Box<ast::DataType>, using: Option<Box<ast::Expr>> },
    /// ALTER COLUMN … ADD GENERATED … AS IDENTITY
    AddIdentity { column: Word, always: bool, options: Vec<SequenceOption> },
    /// ALTER COLUMN … SET GENERATED …, SET option, RESTART
    SetIdentity { column: Word, always: Option<bool>, options: Vec<SequenceOption> },
    /// ALTER COLUMN … DROP IDENTITY
    DropIdentity { column: Word, if_exists: bool },
    /// ALTER COLUMN … SET STATISTICS / STORAGE / (options): no effect here
    Tuning { column: Option<Word>, what: &'static str },
    /// SET (…) of the table
    Options { options: Vec<StorageOption> },
    /// ADD CONSTRAINT
    AddConstraint { constraint: Box<ast::TableConstraint>, not_valid: bool, pos: Option<u32> },
    /// DROP CONSTRAINT
    DropConstraint { if_exists: bool, name: Word, cascade: bool },
    /// VALIDATE CONSTRAINT
    Validate { name: Word },
    /// OWNER TO
    Owner(Word),
}

/// `[namespace.]name [= value]`
#[derive(Clone, Debug)]
pub struct StorageOption {
    pub namespace: Option<String>,
    pub name: String,
    pub value: Option<String>,
}

/// An option of a sequence and where it stands.
#[derive(Clone, Debug)]
pub struct SequenceOption {
    pub kind: SequenceSetting,
    pub pos: Option<u32>,
}

/// What an option of a sequence says.
#[derive(Clone, Debug)]
pub enum SequenceSetting {
    Type(Box<ast::DataType>),
    Increment(i64),
    Min(Option<i64>),
    Max(Option<i64>),
    Start(i64),
    Restart(Option<i64>),
    Cache(i64),
    Cycle(bool),
    /// None: OWNED BY NONE
    Owned(Option<Name>),
    /// SEQUENCE NAME, of identity columns
    Name(Name),
}
