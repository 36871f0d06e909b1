//! INSERT, UPDATE and DELETE inside WITH: they run before the statement that reads what they return.

use super::Binder;
use super::scope::CteEntry;
use super::setop::cte_columns;
use crate::bound::{Change, Cte, OutputColumn, Statement};
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::{self, SetExpr};

/// Does the WITH query change data?
pub(super) fn modifies(q: &ast::Query) -> bool {
    matches!(q.body.as_ref(), SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_))
}

pub(super) fn below_the_top() -> Error {
    let message = "WITH clause containing a data-modifying statement must be at the top level";
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

impl Binder<'_> {
    /// Binds a statement with the changes its WITH makes.
    pub(super) fn whole_statement(&mut self, s: &ast::Statement) -> Result<(Statement, Option<Vec<OutputColumn>>)> {
        let (statement, columns) = self.statement(s)?;
        let changes = std::mem::take(&mut self.changes);
        if changes.is_empty() {
            return Ok((statement, columns));
        }
        match statement {
            Statement::Ddl(_) => Err(below_the_top()),
            inner => Ok((Statement::With { changes, inner: Box::new(inner) }, columns)),
        }
    }

    /// Binds a data-modifying WITH query; `before` are the plain ones ahead of it, which it may read.
    pub(super) fn cte_change(
        &mut self,
        cte: &ast::Cte,
        name: &str,
        before: &[Cte],
        top: bool,
        pos: Option<u32>,
    ) -> Result<CteEntry> {
        if !top {
            return Err(below_the_top().at(pos));
        }
        let id = self.new_cte();
        self.cte_depth += 1;
        let bound = self.query_statement(&cte.query);
        self.cte_depth -= 1;
        let (mut statement, columns) = bound?;
        self.put_under(&mut statement, before.to_vec())?;
        let shown = columns.as_deref().unwrap_or(&[]);
        let entry = CteEntry {
            name: name.to_owned(),
            id,
            columns: cte_columns(shown, cte, name, pos)?,
            readable: columns.is_some(),
            used: 0,
        };
        let columns = shown.iter().map(|c| c.ty).collect();
        self.changes.push(Change { cte: id, columns, statement });
        Ok(entry)
    }
}
