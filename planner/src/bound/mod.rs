//! The bound tree: what a statement means once every name, type and operator is resolved.
//!
//! Columns are known by [`ColId`], unique within one bound statement (sub-queries included), never by name: joins cannot
//! collide, a correlated reference is simply an id that an outer query produces. Types are PostgreSQL's. All implicit casts are
//! explicit here. The tree is serialisable (defaults and views are stored as bound trees).

mod ddl;
mod expr;
mod rel;
mod statement;

pub use ddl::*;
pub use expr::*;
pub use rel::*;
pub use statement::*;
