//! COPY: the relations it may name, and its WHERE.

use super::scope::{Clause, Found, Level, Namespace, find_relation, unknown_relation};
use super::{Binder, resolve_table};
use crate::bound::RowFilter;
use crate::context::EvalContext;
use crate::parse::{Ast, on_large_stack};
use heddle_catalog::TableDef;
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

/// The table that COPY FROM fills.
///
/// # Errors
/// `42P01`; `42809` for a relation that is no table, `42501` for a system catalog.
pub fn copy_target(schema: Option<&str>, name: &str, ctx: &EvalContext) -> Result<Arc<TableDef>> {
    if let Some(Found::View(v)) = find_relation(ctx, schema, name) {
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot copy to view \"{}\"", v.name))
            .hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger."));
    }
    resolve_table(schema, name, ctx)
}

/// The columns of the relation that COPY TO reads.
///
/// # Errors
/// `42P01`; `42809` for a relation that is no table.
pub fn copy_source(schema: Option<&str>, name: &str, ctx: &EvalContext) -> Result<Vec<String>> {
    let view = |name: &str| {
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot copy from view \"{name}\""))
            .hint("Try the COPY (SELECT ...) TO variant."))
    };
    match find_relation(ctx, schema, name) {
        Some(Found::Table(t)) => Ok(t.columns.iter().filter(|c| !c.dropped).map(|c| c.name.clone()).collect()),
        Some(Found::System(t)) if t.is_view() => view(t.name),
        Some(Found::System(t)) => Ok(t.columns.iter().map(|(name, _)| (*name).to_owned()).collect()),
        Some(Found::View(v)) => view(&v.name),
        Some(Found::Index(_)) => resolve_table(schema, name, ctx).map(|_| vec![]),
        None => Err(unknown_relation(schema, name)),
    }
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
