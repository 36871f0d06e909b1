//! Bound relational operators.

use super::{Call, Expr};
use crate::function::FuncId;
use arrow::record_batch::RecordBatch;
use heddle_catalog::TableDef;
use heddle_txn::{RowLock, Wait};
use heddle_types::{Oid, PgType};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A column, unique within a bound statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColId(pub u32);

/// A column an operator produces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Col {
    /// Its id
    pub id: ColId,
    /// Its type
    pub ty: PgType,
}

/// A query with its output: the columns a client sees, in order (ids may repeat: `select a, a`).
#[derive(Clone, Debug)]
pub struct Query {
    /// How rows are made.
    pub rel: Rel,
    /// What is shown of them.
    pub columns: Vec<OutputColumn>,
}

/// One visible output column.
#[derive(Clone, Debug)]
pub struct OutputColumn {
    /// Which column of `rel`.
    pub id: ColId,
    /// RowDescription name
    pub name: String,
    /// Type
    pub ty: PgType,
    /// (table OID, attnum) when it is a plain column reference
    pub origin: Option<(Oid, i16)>,
}

/// A relational operator. Each produces exactly the columns its comment says.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the sentence of each variant names its fields")]
pub enum Rel {
    /// One row without columns.
    Unit,
    /// Scan of a table: `columns` = (id, index into `table.columns`).
    Table(TableScan),
    /// Scan of a computed system table: `columns` = (id, index into its columns).
    System { table: &'static crate::syscat::SystemTable, columns: Vec<(ColId, usize)> },
    /// Rows of expressions (which may refer to outer columns only). Produces `columns`.
    Values { columns: Vec<Col>, rows: Vec<Vec<Expr>> },
    /// Rows that are there already: those that a WITH query returned. Produces `columns`, by position.
    Rows { columns: Vec<Col>, batches: Arc<Vec<RecordBatch>> },
    /// Rows for which `predicate` is true. Produces the input's columns.
    Filter { input: Box<Rel>, predicate: Expr },
    /// Produces exactly `exprs`' ids (pass-through columns are `Expr::Column` with the same id).
    Project { input: Box<Rel>, exprs: Vec<(ColId, Expr)> },
    /// Produces both sides' columns (Semi and Anti: the left's). When `lateral`, `right` may use Outer references to `left`.
    Join { left: Box<Rel>, right: Box<Rel>, kind: JoinKind, on: Option<Expr>, lateral: bool },
    /// Set-returning functions called per input row, in lock-step (shorter ones give NULLs). Produces the input's columns, each
    /// call's columns and `ordinality` (int8 from 1). `FROM f(x)` is this over Unit or, lateral, over the left side; `outer` keeps rows without results.
    ProjectSet { input: Box<Rel>, calls: Vec<SetCall>, ordinality: Option<ColId>, outer: bool },
    /// Produces group columns, then aggregates. `sets`: indexes into `groups` per grouping set; plain GROUP BY has one set with all.
    /// Without groups: one row always. `grouping` = (id, argument indexes) for GROUPING().
    Aggregate {
        input: Box<Rel>,
        groups: Vec<(ColId, Expr)>,
        sets: Vec<Vec<usize>>,
        aggregates: Vec<(ColId, AggregateCall)>,
        grouping: Vec<(ColId, Vec<usize>)>,
    },
    /// Produces the input's columns and the windows'.
    Window { input: Box<Rel>, calls: Vec<(ColId, WindowCall)> },
    /// SELECT DISTINCT over `columns` (all the input's columns when empty) or DISTINCT ON: keeps the first row per `on` in input order. Produces the input's columns.
    Distinct { input: Box<Rel>, on: Option<Vec<Expr>> },
    /// Produces the input's columns in order of `keys`.
    Sort { input: Box<Rel>, keys: Vec<SortKey> },
    /// LIMIT/OFFSET: int8 expressions over parameters and constants; NULL means none. Negative: `2201W`/`2201X`.
    Limit { input: Box<Rel>, limit: Option<Expr>, offset: Option<Expr>, with_ties: bool },
    /// UNION/INTERSECT/EXCEPT by position; both sides already cast to the types of `columns`. Produces `columns`.
    SetOp { kind: SetOpKind, all: bool, left: Box<Query>, right: Box<Query>, columns: Vec<Col> },
    /// WITH: `ctes` are visible in `body` (and in later ones) through CteScan. Produces the body's columns.
    With { ctes: Vec<Cte>, body: Box<Rel> },
    /// Reads a CTE (or the working table of a recursive one): `columns` renames by position.
    CteScan { cte: CteId, columns: Vec<Col> },
    /// SELECT … FOR UPDATE/SHARE: rows of the named scans are locked as they come out; changed rows are re-read and `recheck`ed.
    Lock { input: Box<Rel>, targets: Vec<LockTarget> },
}

/// A base table scan.
#[derive(Clone)]
pub struct TableScan {
    /// The table as the catalog had it at bind time.
    pub table: Arc<TableDef>,
    /// (id, index into `table.columns`)
    pub columns: Vec<(ColId, usize)>,
    /// For DML and row locks: the ids under which the storage key (bytea) and the version's log index (int8; 0 = own write) come out.
    pub identity: Option<(ColId, ColId)>,
}

/// By OID and attribute numbers: `scan 16400 [ColId(1):1 ColId(2):2 ]`. The binder's view_meaning reads this form.
impl std::fmt::Debug for TableScan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "scan {} [", self.table.oid.0)?;
        for (id, at) in &self.columns {
            write!(f, "{id:?}:{} ", self.table.columns[*at].attnum)?;
        }
        write!(f, "]{}", if self.identity.is_some() { " with identity" } else { "" })
    }
}

/// CTE number, unique within a bound statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CteId(pub u32);

/// A common table expression.
#[derive(Clone, Debug)]
pub struct Cte {
    /// Number
    pub id: CteId,
    /// The query; for a recursive one the non-recursive term.
    pub query: Box<Query>,
    /// The recursive term and whether it is UNION ALL.
    pub recursive: Option<(Box<Query>, bool)>,
}

/// Join kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Semi,
    Anti,
}

/// Set operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum SetOpKind {
    Union,
    Intersect,
    Except,
}

/// ORDER BY item.
#[derive(Clone, Debug)]
pub struct SortKey {
    /// By what
    pub expr: Expr,
    /// DESC
    pub desc: bool,
    /// NULLS FIRST (PostgreSQL's default: last for ASC, first for DESC)
    pub nulls_first: bool,
}

/// A set-returning call.
#[derive(Clone, Debug)]
pub struct SetCall {
    /// The function and its arguments over the input (or Outer) columns.
    pub call: Call,
    /// What it produces.
    pub columns: Vec<Col>,
}

/// An aggregate call.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// Which
    pub func: FuncId,
    /// Arguments (none for count(*))
    pub args: Vec<Expr>,
    /// Result type
    pub ty: PgType,
    /// DISTINCT
    pub distinct: bool,
    /// ORDER BY inside the call
    pub order: Vec<SortKey>,
    /// FILTER (WHERE …)
    pub filter: Option<Expr>,
}

/// A window call; `call.func` is a window function or an aggregate.
#[derive(Clone, Debug)]
pub struct WindowCall {
    /// The call
    pub call: AggregateCall,
    /// PARTITION BY
    pub partition: Vec<Expr>,
    /// ORDER BY
    pub order: Vec<SortKey>,
    /// Frame
    pub frame: Frame,
}

/// A window frame.
#[derive(Clone, Debug)]
pub struct Frame {
    /// ROWS, RANGE or GROUPS
    pub units: FrameUnits,
    /// Start
    pub start: FrameBound,
    /// End
    pub end: FrameBound,
    /// EXCLUDE
    pub exclude: Exclude,
    /// RANGE with offsets: the values behind the bounds.
    pub keyed: Option<Keyed>,
}

/// RANGE with offsets: rows from where the key of ORDER BY reaches `start` to where it passes `end`.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The key of ORDER BY
    pub key: Expr,
    /// The key with the offset, of the same type
    pub start: Option<Expr>,
    /// The same for the end
    pub end: Option<Expr>,
}

/// What a frame leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Exclude {
    /// Nothing
    NoOthers,
    /// The row itself
    CurrentRow,
    /// The row and its peers
    Group,
    /// The row's peers
    Ties,
}

/// Frame units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum FrameUnits {
    Rows,
    Range,
    Groups,
}

/// Frame bound.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the variants are the standard's own words")]
pub enum FrameBound {
    UnboundedPreceding,
    Preceding(Expr),
    CurrentRow,
    Following(Expr),
    UnboundedFollowing,
}

/// One table to lock rows of.
#[derive(Clone, Debug)]
pub struct LockTarget {
    /// The scan whose rows are locked, as it stands in the input (same ids).
    pub scan: TableScan,
    /// The scan's own conjuncts of WHERE, to re-check on the newest row.
    pub recheck: Option<Expr>,
    /// Strength
    pub mode: RowLock,
    /// NOWAIT / SKIP LOCKED
    pub wait: Wait,
}
