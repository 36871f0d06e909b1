//! COPY: the relations it may name, and its WHERE.

use super::scope::{Clause, Found, Level, Namespace, find_relation, unknown_relation};
use super::{Binder, resolve_table};
use crate::bound::RowFilter;
use crate::context::EvalContext;
use crate::parse::{Ast, on_large_stack};
use heddle_catalog::TableDef;
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

/// What COPY TO reads.
pub struct CopySource {
    /// Schema, if one was named, and name
    pub name: (Option<String>, String),
    /// Its columns
    pub columns: Vec<String>,
    /// A view is read by a query only.
    pub is_view: bool,
}

/// The table that COPY FROM fills.
///
/// # Errors
/// `42P01`, `3F000`; `42809` for a relation that is no table, `42501` for a system catalog.
pub fn copy_target(name: &[String], ctx: &EvalContext) -> Result<Arc<TableDef>> {
    let (schema, name) = split(name, ctx)?;
    match find(schema, name, ctx)? {
        Found::Table(t) => Ok(t),
        Found::View(v) => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot copy to view \"{}\"", v.name))
            .hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger.")),
        Found::Sequence(s) => {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot copy to sequence \"{}\"", s.name)))
        }
        _ => resolve_table(schema, name, ctx),
    }
}

/// The relation that COPY TO reads.
///
/// # Errors
/// `42P01`, `3F000`; `42809` for an index.
pub fn copy_source(name: &[String], ctx: &EvalContext) -> Result<CopySource> {
    let (schema, name) = split(name, ctx)?;
    let (columns, is_view) = match find(schema, name, ctx)? {
        Found::Table(t) => (t.columns.iter().filter(|c| !c.dropped).map(|c| c.name.clone()).collect(), false),
        Found::System(t) => (t.columns.iter().map(|(name, _)| (*name).to_owned()).collect(), t.is_view()),
        Found::View(v) => (v.columns.iter().map(|c| c.name.clone()).collect(), true),
        Found::Index(name) => return Err(is_index(&name)),
        Found::Sequence(s) => {
            let text = format!("cannot copy from sequence \"{}\"", s.name);
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
    };
    Ok(CopySource { name: (schema.map(str::to_owned), name.to_owned()), columns, is_view })
}

/// (schema, name) of a dotted name.
fn split<'n>(name: &'n [String], ctx: &EvalContext) -> Result<(Option<&'n str>, &'n str)> {
    match name {
        [database, schema, name] if *database != ctx.session.database => {
            let message = format!("cross-database references are not implemented: \"{database}.{schema}.{name}\"");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message))
        }
        [.., schema, name] => Ok((Some(schema), name)),
        [name] => Ok((None, name)),
        [] => Err(Error::internal("an empty name")),
    }
}

fn find(schema: Option<&str>, name: &str, ctx: &EvalContext) -> Result<Found> {
    match (find_relation(ctx, schema, name), schema) {
        (Some(Found::Index(name)), _) => Err(is_index(&name)),
        (Some(found), _) => Ok(found),
        (None, Some(s)) if ctx.catalog.schema(ctx.session.database_oid, s).is_none() => {
            Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{s}\" does not exist")))
        }
        (None, _) => Err(unknown_relation(schema, name)),
    }
}

fn is_index(name: &str) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is an index"))
}

/// Binds WHERE of COPY FROM over the columns of `table`.
///
/// # Errors
/// As WHERE; `0A000` for sub-queries, `42P02` for parameters.
pub fn copy_filter(ast: &Ast, table: &Arc<TableDef>, ctx: &EvalContext) -> Result<RowFilter> {
    let Ast::Expr(expr) = ast else {
        return Err(Error::internal("a statement is not an expression"));
    };
    on_large_stack(|| {
        let mut binder = Binder::new(&[], ctx);
        binder.places = expr.places();
        let (scan, item) = binder.scan(table, false);
        binder.levels.push(Level { names: Namespace::of(item), ..Level::new(Clause::CopyWhere) });
        let predicate = binder.condition(expr, "WHERE")?;
        Ok(RowFilter { predicate, columns: scan.columns })
    })
}
