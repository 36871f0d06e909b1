//! INSERT, UPDATE and DELETE through a view that is a plain selection from one table: the statement is bound to the table, with
//! the view's names and the view's WHERE.

use super::Binder;
use super::scope::{Found, Item, find_relation};
use super::walk;
use crate::bound::{ColId, Expr, Rel, TableScan};
use heddle_catalog::{TableDef, ViewDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Result};
use std::sync::Arc;

/// What a DML statement changes.
pub(super) struct Target {
    /// The table that is written.
    pub table: Arc<TableDef>,
    /// The same with the names one can use: through a view its columns', and no name for hidden ones.
    pub named: Arc<TableDef>,
    /// Through a view: places in `table.columns` of the view's columns.
    pub view: Option<Vec<usize>>,
}

impl Target {
    /// A table under its own name.
    pub fn table(table: Arc<TableDef>) -> Self {
        Self { named: Arc::clone(&table), table, view: None }
    }
}

/// A view as rows of its table.
pub(super) struct Through {
    pub target: Target,
    pub scan: TableScan,
    pub item: Item,
    /// The view's WHERE
    pub filter: Option<Expr>,
}

impl Binder<'_> {
    /// The view of that name, if it is one.
    pub(super) fn named_view(&self, schema: Option<&str>, name: &str) -> Option<Arc<ViewDef>> {
        if schema.is_none() && self.ctes.iter().any(|c| c.name == name) {
            return None;
        }
        match find_relation(self.ctx, schema, name) {
            Some(Found::View(v)) => Some(v),
            _ => None,
        }
    }

    /// Looks through a view to its table.
    ///
    /// # Errors
    /// `0A000` when it is more than a selection from one table.
    pub(super) fn through(&mut self, view: &Arc<ViewDef>) -> Result<Through> {
        let (rel, mut item) = self.view_scan(view, false)?;
        let refuse = || super::view::not_updatable(view);
        let (mut scan, filter) = selection(rel).ok_or_else(refuse)?;
        let place = |id: ColId| scan.columns.iter().find(|(c, _)| *c == id).map(|(_, i)| *i);
        let shown = item.columns.iter().map(|c| place(c.id)).collect::<Option<Vec<usize>>>().ok_or_else(refuse)?;
        let twice = (1..shown.len()).any(|i| shown[..i].contains(&shown[i]));
        let foreign = filter.as_ref().is_some_and(|f| walk::columns(f).into_iter().any(|id| place(id).is_none()));
        if twice || foreign {
            return Err(refuse());
        }
        let mut named = (*scan.table).clone();
        named.name.clone_from(&view.name);
        named.columns.iter_mut().for_each(|c| c.name.clear());
        for (column, at) in view.columns.iter().zip(&shown) {
            named.columns[*at].name.clone_from(&column.name);
        }
        let table = Arc::clone(&scan.table);
        self.lock(&table, RelationLock::RowExclusive);
        scan.identity = Some((self.new_column(), self.new_column()));
        item.table = None;
        let target = Target { table, named: Arc::new(named), view: Some(shown) };
        Ok(Through { target, scan, item, filter })
    }
}

/// `rel` as a scan and a condition on it.
fn selection(rel: Rel) -> Option<(TableScan, Option<Expr>)> {
    match rel {
        Rel::Table(scan) => Some((scan, None)),
        Rel::Project { input, exprs } => {
            // Only columns as they are: a computed one has an id that the scan does not produce.
            let plain = exprs.iter().all(|(id, e)| !matches!(e, Expr::Column { id: from, .. } if from != id));
            if plain { selection(*input) } else { None }
        }
        Rel::Filter { input, predicate } => {
            let (scan, inner) = selection(*input)?;
            Some((scan, walk::all_of(inner.into_iter().chain([predicate]).collect())))
        }
        _ => None,
    }
}

/// INSERT's further clauses are bound to the table's own names.
pub(super) fn refuse_clauses(target: &Target, i: &sqlparser::ast::Insert) -> Result<()> {
    let what = match (&i.on, &i.returning) {
        (Some(_), _) => "ON CONFLICT",
        (None, Some(_)) => "RETURNING",
        (None, None) => return Ok(()),
    };
    match target.view {
        Some(_) => Err(Error::unsupported(format!("INSERT … {what} through a view"))),
        None => Ok(()),
    }
}
