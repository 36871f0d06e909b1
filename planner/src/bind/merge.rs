//! MERGE: the source joined with the target, and which WHEN clause takes which row.

use super::dml::Overriding;
use super::from::{From, extended};
use super::names::{fold, qualified, start};
use super::scope::{Clause, Item, Level, Namespace};
use super::{Binder, Typed};
use crate::bound::{Assigned, ColId, Expr, JoinKind, Merge, MergeAction, Rel, Statement, TableScan, When};
use crate::parse::{MERGE_DEFAULTS, MERGE_NOTHING, MERGE_SYSTEM, MERGE_USER};
use heddle_catalog::TableDef;
use heddle_types::{Datum, Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, AssignmentTarget, MergeClauseKind, MergeInsertKind, Spanned, TableFactor, TableWithJoins};
use std::sync::Arc;

impl Binder<'_> {
    pub(super) fn merge_statement(&mut self, m: &ast::Merge) -> Result<Statement> {
        let (scan, item) = self.merge_target(&m.table)?;
        self.levels.push(Level::new(Clause::Update));
        let bound = self.merge_rows(m, scan, item);
        self.levels.pop();
        bound.map(Statement::Merge)
    }

    fn merge_target(&mut self, t: &TableFactor) -> Result<(TableScan, Item)> {
        let TableFactor::Table { name, alias, args: None, sample, .. } = t else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "the target must be a table"));
        };
        if sample.is_some() {
            return Err(self.no_sample_here(start(name.span())));
        }
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        if self.named_view(schema.as_deref(), &bare).is_some() {
            let message = format!("cannot execute MERGE on relation \"{bare}\"");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
                .detail("This operation is not supported for views."));
        }
        let table = self.target(name)?;
        let (scan, item) = self.scan(&table, true);
        Ok((scan, super::from::aliased(item, alias.as_ref())?))
    }

    fn merge_rows(&mut self, m: &ast::Merge, target: TableScan, item: Item) -> Result<Merge> {
        self.level().barred = vec![item.clone()];
        let source = TableWithJoins { relation: m.source.clone(), joins: Vec::new() };
        let source = self.from(&[source], From { rel: Rel::Unit, names: Namespace::default() })?;
        if let [only] = &source.names.items[..]
            && only.alias == item.alias
        {
            let message = format!("name \"{}\" specified more than once", item.alias);
            return Err(Error::new(SqlState::DUPLICATE_ALIAS, message)
                .detail("The name is used both as MERGE target table and data source."));
        }
        let barred = std::mem::take(&mut self.level().barred);
        let both = Namespace::of(item).join(source.names.clone(), None)?;
        self.level().names = both.clone();
        let on = self.within(Clause::JoinOn, |b| b.condition(&m.on, "JOIN/ON"))?;
        let mut whens = Vec::new();
        for clause in &m.clauses {
            let matched = clause.clause_kind == MergeClauseKind::Matched;
            self.level().names = if matched { both.clone() } else { source.names.clone() };
            self.level().barred = if matched { Vec::new() } else { barred.clone() };
            whens.push(self.when(clause, matched, &target.table)?);
        }
        refuse_unreachable(&whens)?;
        let inserts = whens.iter().any(|w| matches!(w.action, MergeAction::Insert { .. }));
        let kind = if inserts { JoinKind::Left } else { JoinKind::Inner };
        let (left, right) = (Box::new(source.rel), Box::new(Rel::Table(target.clone())));
        let joined = Rel::Join { left, right, kind, on: Some(on.clone()), lateral: false };
        let (input, choice) = self.merge_input(joined, &target, &whens)?;
        Ok(Merge { target, input, on, choice, whens })
    }

    /// `joined` with the number of the clause that takes the row and the values of its action.
    fn merge_input(&mut self, joined: Rel, target: &TableScan, whens: &[When]) -> Result<(Rel, ColId)> {
        let (key, _) = target.identity.ok_or_else(|| Error::internal("a MERGE target has an identity"))?;
        let missing = || Expr::IsNull(Box::new(Expr::Column { id: key, ty: PgType::new(oid::BYTEA) }));
        let int4 = PgType::new(oid::INT4);
        let number = |n: usize| Expr::Literal { value: Datum::Int4(n as i32), ty: int4 };
        let branches = whens.iter().enumerate().map(|(n, when)| {
            let side = if when.matched { super::expr::not(missing()) } else { missing() };
            let all = super::walk::all_of([side].into_iter().chain(when.condition.clone()).collect());
            (all.unwrap_or_else(missing), number(n))
        });
        let nobody = Box::new(super::call::null(int4));
        let chosen = Expr::Case { branches: branches.collect(), otherwise: nobody, ty: int4 };
        let choice = self.new_column();
        let input = extended(joined, vec![(choice, chosen)]);
        let mut values = Vec::new();
        for (n, when) in whens.iter().enumerate() {
            let column = Typed::new(Expr::Column { id: choice, ty: int4 }, None);
            let taken = self.operator("=", column, Typed::new(number(n), None), None)?.expr;
            for a in when.action.assigned() {
                let ty = a.value.ty();
                let otherwise = Box::new(super::call::null(ty));
                values.push((a.id, Expr::Case { branches: vec![(taken.clone(), a.value.clone())], otherwise, ty }));
            }
        }
        Ok((if values.is_empty() { input } else { extended(input, values) }, choice))
    }

    fn when(&mut self, clause: &ast::MergeClause, matched: bool, table: &Arc<TableDef>) -> Result<When> {
        let condition = match &clause.predicate {
            Some(e) => Some(self.within(Clause::MergeWhen, |b| b.condition(e, "WHEN"))?),
            None => None,
        };
        let action = match &clause.action {
            ast::MergeAction::Delete { .. } => MergeAction::Delete,
            ast::MergeAction::Update(u) if is_nothing(u) => MergeAction::Nothing,
            ast::MergeAction::Update(u) => {
                let set = self.assignments(&u.assignments, table)?;
                MergeAction::Update(set.into_iter().map(|(column, value)| self.assigned(column, value)).collect())
            }
            ast::MergeAction::Insert(i) => self.merge_insert(i, table)?,
        };
        Ok(When { matched, condition, action })
    }

    fn assigned(&mut self, column: usize, value: Expr) -> Assigned {
        Assigned { column, id: self.new_column(), value }
    }

    fn merge_insert(&mut self, i: &ast::MergeInsertExpr, table: &Arc<TableDef>) -> Result<MergeAction> {
        let mark = i.columns.first().and_then(|c| c.0.first()).and_then(|p| p.as_ident()).map(|i| i.value.as_str());
        let (overriding, names) = match mark {
            Some(MERGE_NOTHING) => return Ok(MergeAction::Nothing),
            Some(MERGE_DEFAULTS) => {
                return Ok(MergeAction::Insert { values: Vec::new(), defaults: self.defaults(table, &[])? });
            }
            Some(MERGE_SYSTEM) => (Some(Overriding::System), &i.columns[1..]),
            Some(MERGE_USER) => (Some(Overriding::User), &i.columns[1..]),
            _ => (None, &i.columns[..]),
        };
        let MergeInsertKind::Values(ast::Values { rows, .. }) = &i.kind else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"row\""));
        };
        let row = rows.first().map_or(&[][..], |r| &r.content[..]);
        let listed = self.insert_columns(table, names)?;
        let surplus = row.get(listed.len().min(row.len().saturating_sub(1))).and_then(|e| start(e.span()));
        let listed = super::dml::check_width(row.len(), listed, !names.is_empty(), (surplus, names))?;
        self.overriding = overriding;
        let values = self.within(Clause::Values, |b| b.insert_row(row, table, &listed));
        self.overriding = None;
        let values: Vec<Assigned> = listed.into_iter().zip(values?).map(|(c, v)| self.assigned(c, v)).collect();
        let given: Vec<(usize, ColId)> = values.iter().map(|a| (a.column, a.id)).collect();
        Ok(MergeAction::Insert { defaults: self.defaults(table, &given)?, values })
    }
}

/// DO NOTHING
fn is_nothing(u: &ast::MergeUpdateExpr) -> bool {
    matches!(&u.assignments[..], [a] if matches!(&a.target, AssignmentTarget::ColumnName(n)
        if n.0.first().and_then(|p| p.as_ident()).is_some_and(|i| fold(i) == MERGE_NOTHING)))
}

fn refuse_unreachable(whens: &[When]) -> Result<()> {
    for matched in [true, false] {
        let mut side = whens.iter().filter(|w| w.matched == matched).skip_while(|w| w.condition.is_some());
        if side.nth(1).is_some() {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
    }
    Ok(())
}
