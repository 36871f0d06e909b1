//! CHECK and FOREIGN KEY constraints of table definitions.
//!
//! A check is stored bound; its columns are attribute numbers, so that renaming a column does not concern it.

use super::from::{plain_item, scope_column};
use super::names::fold;
use super::scope::{Clause, Level, Namespace};
use super::{Binder, Typed, walk};
use crate::bound::{ColId, CreateTable, Expr, NewCheck};
use crate::ddl::names;
use heddle_catalog::{Rule, TableDef};
use heddle_types::{Error, Oid, Result, SqlState};
use sqlparser::ast::{self, ColumnOption, TableConstraint};

/// The columns of its own table that a rule speaks of, ascending.
pub(crate) fn columns_of(rule: &Rule) -> Vec<i16> {
    match rule {
        Rule::References(f) => {
            let mut all = f.columns.clone();
            all.sort_unstable();
            all
        }
        Rule::Check(stored) => match super::stored_expr(stored) {
            Ok(expr) => attnums(&expr),
            Err(_) => Vec::new(),
        },
    }
}

fn attnums(expr: &Expr) -> Vec<i16> {
    let mut all: Vec<i16> = walk::columns(expr).into_iter().filter_map(|id| i16::try_from(id.0).ok()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

impl Binder<'_> {
    /// Binds something over the row of a table: its columns are attribute numbers.
    pub(super) fn over_row<T>(
        &mut self,
        table: &TableDef,
        clause: Clause,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.over_columns(&table.name, &table.columns, clause, work)
    }

    fn over_columns<T>(
        &mut self,
        name: &str,
        columns: &[heddle_catalog::ColumnDef],
        clause: Clause,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let live = columns.iter().filter(|c| !c.dropped);
        let shown = live.map(|c| scope_column(&c.name, ColId(c.attnum as u32), c.ty)).collect();
        let mut level = Level::new(clause);
        level.names = Namespace::of(plain_item(name.to_owned(), shown));
        self.levels.push(level);
        let result = work(self);
        self.levels.pop();
        result
    }

    /// The CHECK and FOREIGN KEY constraints of new columns and of a table, once its columns are known. `table` is the table
    /// as it is, for ALTER.
    pub(super) fn constraints(
        &mut self,
        made: &mut CreateTable,
        table: Option<&TableDef>,
        columns: &[ast::ColumnDef],
        constraints: &[TableConstraint],
        valid: bool,
    ) -> Result<()> {
        for column in columns {
            for option in &column.options {
                let name = option.name.as_ref().map(fold);
                match &option.option {
                    ColumnOption::Check(c) => self.check(made, table, name, &c.expr, valid)?,
                    ColumnOption::ForeignKey(f) => self.foreign_key(made, table, name, f, Some(&column.name), valid)?,
                    _ => {}
                }
            }
        }
        for constraint in constraints {
            match constraint {
                TableConstraint::Check(c) => self.check(made, table, c.name.as_ref().map(fold), &c.expr, valid)?,
                TableConstraint::ForeignKey(f) => {
                    self.foreign_key(made, table, f.name.as_ref().map(fold), f, None, valid)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        made: &mut CreateTable,
        table: Option<&TableDef>,
        name: Option<String>,
        e: &ast::Expr,
        valid: bool,
    ) -> Result<()> {
        let (relation, columns) = (made.name.clone(), made.columns.clone());
        let expr = self.over_columns(&relation, &columns, Clause::Check, |b| {
            let value = b.expr(e)?;
            if walk::has_subquery(&value.expr) {
                let text = "cannot use subquery in check constraint";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text).at(value.pos));
            }
            let value = Typed { pos: b.places.inside(value.pos), ..value };
            let Typed { expr, .. } = b.boolean(value, "CHECK")?;
            Ok(expr)
        })?;
        let used = attnums(&expr);
        let column = match used.as_slice() {
            [one] => Some(columns[*one as usize - 1].name.clone()),
            _ => None,
        };
        let name = self.constraint_name(made, table, name, column.as_deref(), "check")?;
        made.checks.push(NewCheck { name, expr: super::store_expr(&expr)?, valid });
        Ok(())
    }

    /// The given name, if the table has no other constraint like that; otherwise PostgreSQL's choice.
    pub(super) fn constraint_name(
        &self,
        made: &CreateTable,
        table: Option<&TableDef>,
        given: Option<String>,
        column: Option<&str>,
        label: &str,
    ) -> Result<String> {
        let new = |n: &str| made.checks.iter().any(|c| c.name == n) || made.references.iter().any(|r| r.name == n);
        let old = |n: &str| table.is_some_and(|t| has_constraint(t, n));
        match given {
            Some(name) if table.is_none() && made.checks.iter().any(|c| c.name == name) => {
                let text = format!("check constraint \"{name}\" already exists");
                Err(Error::new(SqlState::DUPLICATE_OBJECT, text))
            }
            Some(name) if new(&name) || old(&name) => {
                let text = format!("constraint \"{name}\" for relation \"{}\" already exists", made.name);
                Err(Error::new(SqlState::DUPLICATE_OBJECT, text))
            }
            Some(name) => Ok(name),
            None => {
                let taken = |n: &str| new(n) || old(n) || self.constraint_in(made.schema, n);
                Ok(names::choose(&made.name, column, label, &taken))
            }
        }
    }

    fn constraint_in(&self, schema: Oid, name: &str) -> bool {
        let tables = self.catalog().tables(self.ctx.session.database_oid);
        tables.iter().any(|t| t.schema == schema && has_constraint(t, name))
    }
}

fn has_constraint(table: &TableDef, name: &str) -> bool {
    table.constraints.iter().any(|c| c.name == name)
        || table.indexes.iter().any(|i| i.constraint.is_some() && i.name == name)
}
