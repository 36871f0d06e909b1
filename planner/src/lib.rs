//! From SQL text to rows: parse -> bind -> {point plan | DataFusion plan} -> run.
//!
//! Called by `session`. The only crate that knows sqlparser and DataFusion. The bound tree ([`bound`]) is ours: typed with
//! PostgreSQL's types, by object id and column id, serialisable; everything after binding works on it.
//!
//! | module | from -> to |
//! |---|---|
//! | [`parse`] | text -> [`parse::Parsed`] statements (guards against depth and width) |
//! | [`bind`] | AST + catalog -> [`bound::Bound`]; PostgreSQL's resolution rules, parameter types |
//! | [`function`] | tables of functions, operators, casts, aggregates and their Arrow kernels |
//! | [`eval`] | bound expression + columns -> column (point plans, EvalPlanQual, defaults, constants) |
//! | [`lower`] | bound tree -> DataFusion plan |
//! | [`exec`] | runs plans: scans, DML under locks, point plans |
//! | [`ddl`] | bound DDL -> catalog edits |
//! | [`advisory`] | locks without objects |
//! | [`syscat`] | pg_catalog and information_schema, computed from the catalog snapshot |

pub mod advisory;
pub mod bind;
pub mod bound;
pub mod context;
pub mod ddl;
pub mod eval;
pub mod exec;
pub mod function;
pub mod lower;
pub mod parse;
pub mod syscat;

pub use context::{
    Backend, Backends, EvalContext, Interrupts, Inventory, OpenCursor, PreparedStatement, SessionInfo, Signal,
    reg_names,
};
pub use exec::{Executor, Outcome, Plan, PointRead, RowStream};
