//! The binder: AST + catalog -> bound tree, by PostgreSQL's rules.

use crate::bound::{Bound, Expr};
use crate::context::EvalContext;
use crate::parse::Ast;
use heddle_catalog::{StoredExpr, TableDef};
use heddle_types::{PgType, Result};
use std::sync::Arc;

/// Binds a statement. `declared` are the client's parameter types (OID 0 or 705 = infer); the result's `params` has every type.
///
/// # Errors
/// PostgreSQL's codes and wording with the position inside the statement's own text (1-based characters; the session adds the offset).
pub fn bind(_ast: &Ast, _declared: &[PgType], _ctx: &EvalContext) -> Result<Bound> { todo!() }

/// Binds EXECUTE's argument to the type of a parameter (assignment rules).
pub fn bind_argument(_ast: &Ast, _ty: PgType, _ctx: &EvalContext) -> Result<Expr> { todo!() }

/// Resolves a table name (search_path when unqualified): `42P01` as in queries.
pub fn resolve_table(_schema: Option<&str>, _name: &str, _ctx: &EvalContext) -> Result<Arc<TableDef>> { todo!() }

/// The default expression of a column, ready to evaluate.
pub fn stored_expr(_stored: &StoredExpr) -> Result<Expr> { todo!() }
