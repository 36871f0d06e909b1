//! INSERT, UPDATE, DELETE.

use super::from::From;
use super::names::{fold, qualified, start};
use super::scope::{Clause, Found, Item, Level, Namespace, find_relation, unknown_relation};
use super::select::Output;
use super::updatable::{self, Target, Through};
use super::{Binder, Typed, walk};
use crate::bound::{
    Col, ColId, ConflictUpdate, Delete, Expr, Insert, OnConflict, OutputColumn, Query, Rel, Returning, Statement,
    TableScan, Update,
};
use heddle_catalog::{ColumnDef, Identity, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, PgType, Result, SqlState};
use sqlparser::ast::{
    self, AssignmentTarget, ConflictTarget, ObjectName, OnConflictAction, OnInsert, SetExpr, Spanned, TableFactor,
    TableObject, TableWithJoins,
};
use std::sync::Arc;

type Bound = (Statement, Option<Vec<OutputColumn>>);

/// OVERRIDING { SYSTEM | USER } VALUE
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overriding {
    System,
    User,
}

impl Overriding {
    /// The parser keeps it as the priority, which PostgreSQL does not have.
    fn of(i: &ast::Insert) -> Option<Self> {
        match i.priority {
            Some(ast::MysqlInsertPriority::HighPriority) => Some(Self::System),
            Some(_) => Some(Self::User),
            None => None,
        }
    }
}

/// `428C9` for a value that an UPDATE gives to a GENERATED ALWAYS column.
fn refuse_always(column: &ColumnDef) -> Result<()> {
    if column.identity != Some(Identity::Always) {
        return Ok(());
    }
    let name = &column.name;
    Err(Error::new(SqlState::GENERATED_ALWAYS, format!("column \"{name}\" can only be updated to DEFAULT"))
        .detail(format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS.")))
}

impl Binder<'_> {
    /// Does an identity column take its next value although the INSERT gives one?
    ///
    /// # Errors
    /// `428C9` for a GENERATED ALWAYS column without OVERRIDING.
    fn ignores_value(&self, column: &ColumnDef) -> Result<bool> {
        match (column.identity, self.overriding) {
            (Some(_), Some(Overriding::User)) => Ok(true),
            (Some(Identity::Always), None) => {
                let name = &column.name;
                let text = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
                Err(Error::new(SqlState::GENERATED_ALWAYS, text)
                    .detail(format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS."))
                    .hint("Use OVERRIDING SYSTEM VALUE to override."))
            }
            _ => Ok(false),
        }
    }

    /// The table a DML statement changes.
    pub(super) fn target(&mut self, name: &ObjectName) -> Result<Arc<TableDef>> {
        let pos = start(name.span());
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) => {
                self.refuse_foreign(&t)?;
                self.lock(&t, RelationLock::RowExclusive);
                Ok(t)
            }
            Some(Found::System(t)) => {
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, format!("permission denied for table {}", t.name)))
            }
            Some(Found::Index(index)) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot open relation \"{index}\""))
                    .detail("This operation is not supported for indexes.")
                    .at(pos))
            }
            Some(Found::View(v)) => Err(super::view::not_updatable(&v)),
            Some(Found::Sequence(s)) => {
                let text = format!("cannot change sequence \"{}\"", s.name);
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text))
            }
            None => Err(unknown_relation(schema.as_deref(), &bare).at(pos)),
        }
    }

    pub(super) fn insert(&mut self, i: &ast::Insert) -> Result<Bound> {
        let TableObject::TableName(name) = &i.table else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT needs a table"));
        };
        if i.or.is_some()
            || i.overwrite
            || i.replace_into
            || i.ignore
            || i.partitioned.is_some()
            || !i.assignments.is_empty()
        {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in INSERT").at(start(i.insert_token.0.span)));
        }
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        let target = match self.named_view(schema.as_deref(), &bare) {
            Some(view) => self.through(&view).map_err(|e| super::view::placed(e, None))?.target,
            None => Target::table(self.target(name)?),
        };
        updatable::refuse_clauses(&target, i)?;
        self.overriding = Overriding::of(i);
        let listed = match &target.view {
            Some(places) if i.columns.is_empty() => places.clone(),
            _ => self.insert_columns(&target.named, &i.columns)?,
        };
        let (source, columns) = match &i.source {
            None => (Query { rel: Rel::Unit, columns: Vec::new() }, Vec::new()),
            Some(q) => self.insert_source(q, &target.named, listed, &i.columns)?,
        };
        let defaults = self.defaults(&target.named, &columns)?;
        let table = target.table;
        let alias = i.table_alias.as_ref().map_or_else(|| table.name.clone(), |a| fold(&a.alias));
        let on_conflict = match &i.on {
            None => None,
            Some(OnInsert::OnConflict(c)) => Some(self.on_conflict(c, &table, &alias)?),
            Some(_) => return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"duplicate\"")),
        };
        let returning = match &i.returning {
            None => None,
            Some(items) => {
                let (scan, mut item) = self.scan(&table, false);
                rename(&mut item, &alias);
                Some(self.returning(items, Namespace::of(item), scan.columns)?)
            }
        };
        let shown = returning.as_ref().map(|r| r.columns.clone());
        Ok((Statement::Insert(Insert { table, columns, source, defaults, returning, on_conflict }), shown))
    }

    /// Indexes into `table.columns` in the order of the column list.
    pub(super) fn insert_columns(&mut self, table: &TableDef, names: &[ObjectName]) -> Result<Vec<usize>> {
        if names.is_empty() {
            return Ok(table.columns.iter().enumerate().filter(|(_, c)| !c.dropped).map(|(i, _)| i).collect());
        }
        let mut listed = Vec::new();
        for name in names {
            let at = column_index(table, name)?;
            if listed.contains(&at) {
                let message = format!("column \"{}\" specified more than once", table.columns[at].name);
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(start(name.span())));
            }
            listed.push(at);
        }
        Ok(listed)
    }

    fn insert_source(
        &mut self,
        q: &ast::Query,
        table: &TableDef,
        listed: Vec<usize>,
        names: &[ObjectName],
    ) -> Result<(Query, Vec<(usize, ColId)>)> {
        let explicit = !names.is_empty();
        let plain = q.with.is_none() && q.order_by.is_none() && q.limit_clause.is_none() && q.fetch.is_none();
        if let (SetExpr::Values(v), true) = (q.body.as_ref(), plain) {
            return self.insert_values(v, table, listed, names);
        }
        let query = self.query_raw(q, true)?;
        let places = super::names::output_positions(&q.body);
        let listed = check_width(query.columns.len(), listed, explicit, (start(q.span()), names))?;
        self.insert_query(query, table, listed, &places)
    }

    /// INSERT … SELECT, and CREATE TABLE AS: assignment casts over the query's columns.
    fn insert_query(
        &mut self,
        query: Query,
        table: &TableDef,
        listed: Vec<usize>,
        places: &[Option<u32>],
    ) -> Result<(Query, Vec<(usize, ColId)>)> {
        let types: Vec<PgType> = query
            .columns
            .iter()
            .zip(&listed)
            .map(
                |(c, at)| {
                    if c.ty.oid == heddle_types::oid::UNKNOWN { PgType::new(table.columns[*at].ty.oid) } else { c.ty }
                },
            )
            .collect();
        let query = self.cast_columns(query, &types, "INSERT", places)?;
        let (mut exprs, mut columns) = (Vec::new(), Vec::new());
        let mut shown = Vec::new();
        for (i, (c, at)) in query.columns.iter().zip(&listed).enumerate() {
            let column = &table.columns[*at];
            if self.ignores_value(column)? {
                continue;
            }
            let pos = places.get(i).copied().flatten();
            let value = Typed::new(Expr::Column { id: c.id, ty: c.ty }, pos);
            let e = self.assign(value, &column.name, column.ty)?;
            let id = self.new_column();
            exprs.push((id, e));
            columns.push((*at, id));
            shown.push(OutputColumn { id, name: column.name.clone(), ty: column.ty, origin: None });
        }
        let rel = Rel::Project { input: Box::new(query.rel), exprs };
        Ok((Query { rel, columns: shown }, columns))
    }

    fn insert_values(
        &mut self,
        v: &ast::Values,
        table: &TableDef,
        listed: Vec<usize>,
        names: &[ObjectName],
    ) -> Result<(Query, Vec<(usize, ColId)>)> {
        let explicit = !names.is_empty();
        let width = v.rows.first().map_or(0, |r| r.content.len());
        let first = v.rows.first().and_then(|r| r.content.get(listed.len().min(r.content.len().saturating_sub(1))));
        let listed = check_width(width, listed, explicit, (first.and_then(|e| start(e.span())), names))?;
        let mut rows = Vec::with_capacity(v.rows.len());
        self.levels.push(Level::new(Clause::Values));
        let result: Result<()> = v.rows.iter().try_for_each(|r| {
            if r.content.len() != width {
                let pos = r.content.first().and_then(|e| start(e.span()));
                return Err(Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length").at(pos));
            }
            rows.push(self.insert_row(&r.content, table, &listed)?);
            Ok(())
        });
        self.levels.pop();
        result?;
        let columns: Vec<Col> =
            listed.iter().map(|at| Col { id: self.new_column(), ty: table.columns[*at].ty }).collect();
        let shown = listed
            .iter()
            .zip(&columns)
            .map(|(at, c)| OutputColumn { id: c.id, name: table.columns[*at].name.clone(), ty: c.ty, origin: None })
            .collect();
        let pairs = listed.iter().zip(&columns).map(|(at, c)| (*at, c.id)).collect();
        Ok((Query { rel: Rel::Values { columns, rows }, columns: shown }, pairs))
    }

    pub(super) fn insert_row(&mut self, row: &[ast::Expr], table: &TableDef, listed: &[usize]) -> Result<Vec<Expr>> {
        let mut values = Vec::with_capacity(row.len());
        for (e, at) in row.iter().zip(listed) {
            let column = &table.columns[*at];
            values.push(if is_default(e) || self.ignores_value(column)? {
                self.default_value(table, *at)?
            } else {
                let value = self.expr(e)?;
                self.assign(value, &column.name, column.ty)?
            });
        }
        Ok(values)
    }

    fn default_value(&mut self, table: &TableDef, at: usize) -> Result<Expr> {
        match &table.columns[at].default {
            Some(stored) => super::stored_expr(stored),
            None => Ok(super::call::null(table.columns[at].ty)),
        }
    }

    pub(super) fn defaults(&mut self, table: &TableDef, given: &[(usize, ColId)]) -> Result<Vec<(usize, Expr)>> {
        let missing = |(i, c): &(usize, &heddle_catalog::ColumnDef)| {
            !c.dropped && c.default.is_some() && !given.iter().any(|(g, _)| g == i)
        };
        let all: Vec<usize> = table.columns.iter().enumerate().filter(missing).map(|(i, _)| i).collect();
        all.into_iter().map(|i| Ok((i, self.default_value(table, i)?))).collect()
    }

    fn on_conflict(&mut self, c: &ast::OnConflict, table: &Arc<TableDef>, alias: &str) -> Result<OnConflict> {
        let index = match &c.conflict_target {
            None => None,
            Some(ConflictTarget::Columns(names)) => Some(arbiter(table, names)?),
            Some(ConflictTarget::OnConstraint(name)) => {
                let (_, bare) = qualified(name, &self.ctx.session.database)?;
                let found = table.indexes.iter().find(|i| i.name == bare && i.constraint.is_some());
                let message = || format!("constraint \"{bare}\" for table \"{}\" does not exist", table.name);
                Some(found.ok_or_else(|| Error::new(SqlState::UNDEFINED_OBJECT, message()))?.oid)
            }
        };
        let update = match &c.action {
            OnConflictAction::DoNothing => None,
            OnConflictAction::DoUpdate(u) => {
                if index.is_none() {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                    return Err(
                        Error::new(SqlState::SYNTAX_ERROR, message).hint("For example, ON CONFLICT (column_name).")
                    );
                }
                Some(self.conflict_update(u, table, alias)?)
            }
        };
        Ok(OnConflict { index, update })
    }

    fn conflict_update(&mut self, u: &ast::DoUpdate, table: &Arc<TableDef>, alias: &str) -> Result<ConflictUpdate> {
        let (existing, mut item) = self.scan(table, false);
        rename(&mut item, alias);
        let (excluded, mut proposed) = self.scan(table, false);
        rename(&mut proposed, "excluded");
        let mut names = Namespace::of(item);
        // Bare names mean the existing row; excluded's are reached by its name.
        names.items.push(proposed);
        let mut level = Level::new(Clause::Update);
        level.names = names;
        self.levels.push(level);
        let bound = self.assignments(&u.assignments, table).and_then(|set| {
            let filter = match &u.selection {
                Some(e) => Some(self.within(Clause::Where, |b| b.condition(e, "WHERE"))?),
                None => None,
            };
            Ok((set, filter))
        });
        self.levels.pop();
        let (set, filter) = bound?;
        Ok(ConflictUpdate { existing: existing.columns, excluded: excluded.columns, set, filter })
    }

    /// SET (a, b) = (x, y), ROW(x, y)
    fn row_assignments<'e>(
        &self,
        names: &'e [ObjectName],
        value: &'e ast::Expr,
    ) -> Result<Vec<(&'e ObjectName, &'e ast::Expr)>> {
        let one = || (names.len() == 1).then(|| vec![value]);
        let Some(values) = super::expr::row_elements(value).or_else(one) else {
            let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(start(value.span())));
        };
        if values.len() != names.len() {
            let message = "number of columns does not match number of values";
            let pos = self.places.opened(start(value.span()));
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        Ok(names.iter().zip(values).collect())
    }

    /// SET (a, b) = (SELECT …)
    fn assignments_from(
        &mut self,
        names: &[ObjectName],
        q: &ast::Query,
        table: &TableDef,
        set: &mut Vec<(usize, Expr)>,
    ) -> Result<()> {
        let fields = self.subquery_fields(q, names.len())?;
        for (name, value) in names.iter().zip(fields) {
            let at = assigned(table, name, set)?;
            let column = &table.columns[at];
            let value = self.assign(value, &column.name, column.ty)?;
            set.push((at, value));
        }
        Ok(())
    }

    /// SET a = …, (b, c) = (…)
    pub(super) fn assignments(
        &mut self,
        assignments: &[ast::Assignment],
        table: &TableDef,
    ) -> Result<Vec<(usize, Expr)>> {
        let mut set: Vec<(usize, Expr)> = Vec::new();
        for a in assignments {
            let pairs: Vec<(&ObjectName, &ast::Expr)> = match (&a.target, super::expr::unnested(&a.value)) {
                (AssignmentTarget::ColumnName(name), _) => vec![(name, &a.value)],
                (AssignmentTarget::Tuple(names), ast::Expr::Subquery(q)) => {
                    self.assignments_from(names, q, table, &mut set)?;
                    continue;
                }
                (AssignmentTarget::Tuple(names), _) => self.row_assignments(names, &a.value)?,
            };
            for (name, value) in pairs {
                let at = assigned(table, name, &set)?;
                let column = &table.columns[at];
                let e = if is_default(value) {
                    self.default_value(table, at)?
                } else {
                    refuse_always(column)?;
                    let value = self.expr(value)?;
                    self.assign(value, &column.name, column.ty)?
                };
                set.push((at, e));
            }
        }
        Ok(set)
    }

    /// Scan of a DML target and the item that shows it.
    fn target_scan(&mut self, t: &TableWithJoins) -> Result<Through> {
        let TableFactor::Table { name, alias, args: None, sample, .. } = &t.relation else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "the target must be a table"));
        };
        if sample.is_some() {
            return Err(self.no_sample_here(start(name.span())));
        }
        if !t.joins.is_empty() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "the target must be one table").at(start(name.span())));
        }
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        let mut through = match self.named_view(schema.as_deref(), &bare) {
            Some(view) => self.through(&view).map_err(|e| super::view::placed(e, None))?,
            None => {
                let table = self.target(name)?;
                let (scan, item) = self.scan(&table, true);
                Through { target: Target::table(table), scan, item, filter: None }
            }
        };
        through.item = super::from::aliased(through.item, alias.as_ref())?;
        Ok(through)
    }

    pub(super) fn update(&mut self, u: &ast::Update) -> Result<Bound> {
        if u.or.is_some() || !u.order_by.is_empty() || u.limit.is_some() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in UPDATE").at(start(u.update_token.0.span)));
        }
        let from: &[TableWithJoins] = match &u.from {
            None => &[],
            Some(ast::UpdateTableFromKind::AfterSet(t)) => t,
            Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"from\""));
            }
        };
        let Through { target: Target { named, .. }, scan: target, item, filter: given } = self.target_scan(&u.table)?;
        self.levels.push(Level::new(Clause::Update));
        let bound =
            self.changed_rows(&target, item, from, (given, u.selection.as_ref())).and_then(|(input, filter)| {
                let set = self.assignments(&u.assignments, &named)?;
                let returning = self.dml_returning(u.returning.as_deref(), &target)?;
                Ok((input, filter, set, returning))
            });
        self.levels.pop();
        let (input, filter, set, returning) = bound?;
        let shown = returning.as_ref().map(|r| r.columns.clone());
        Ok((Statement::Update(Update { target, input, filter, set, returning }), shown))
    }

    pub(super) fn delete(&mut self, d: &ast::Delete) -> Result<Bound> {
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &d.from;
        let ([only], true) = (tables.as_slice(), d.tables.is_empty() && d.order_by.is_empty() && d.limit.is_none())
        else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in DELETE").at(start(d.delete_token.0.span)));
        };
        let Through { scan: target, item, filter: given, .. } = self.target_scan(only)?;
        self.levels.push(Level::new(Clause::Update));
        let using = d.using.as_deref().unwrap_or_default();
        let bound =
            self.changed_rows(&target, item, using, (given, d.selection.as_ref())).and_then(|(input, filter)| {
                let returning = self.dml_returning(d.returning.as_deref(), &target)?;
                Ok((input, filter, returning))
            });
        self.levels.pop();
        let (input, filter, returning) = bound?;
        let shown = returning.as_ref().map(|r| r.columns.clone());
        Ok((Statement::Delete(Delete { target, input, filter, returning }), shown))
    }

    /// Target joined with FROM or USING and filtered (by a view's condition and the statement's); the level then shows all of them.
    fn changed_rows(
        &mut self,
        target: &TableScan,
        item: Item,
        from: &[TableWithJoins],
        (given, condition): (Option<Expr>, Option<&ast::Expr>),
    ) -> Result<(Rel, Option<Expr>)> {
        let alone = From { rel: Rel::Table(target.clone()), names: Namespace::of(item) };
        let all = if from.is_empty() { alone } else { self.joined_target(from, alone)? };
        self.level().names = all.names;
        let filter = match condition {
            Some(e) => Some(self.within(Clause::Where, |b| b.condition(e, "WHERE"))?),
            None => None,
        };
        let filter = super::walk::all_of(given.into_iter().chain(filter).collect());
        let input = match &filter {
            Some(predicate) => Rel::Filter { input: Box::new(all.rel), predicate: predicate.clone() },
            None => all.rel,
        };
        Ok((input, filter))
    }

    /// FROM's own items cannot see the target.
    fn joined_target(&mut self, from: &[TableWithJoins], target: From) -> Result<From> {
        let others = self.from(from, From { rel: Rel::Unit, names: Namespace::default() })?;
        let names = target.names.join(others.names, None)?;
        let rel = Rel::Join {
            left: Box::new(target.rel),
            right: Box::new(others.rel),
            kind: crate::bound::JoinKind::Inner,
            on: None,
            lateral: false,
        };
        Ok(From { rel, names })
    }

    fn dml_returning(&mut self, items: Option<&[ast::SelectItem]>, target: &TableScan) -> Result<Option<Returning>> {
        let Some(items) = items else { return Ok(None) };
        let names = self.level().names.clone();
        self.returning(items, names, target.columns.clone()).map(Some)
    }

    fn returning(
        &mut self,
        items: &[ast::SelectItem],
        names: Namespace,
        row: Vec<(ColId, usize)>,
    ) -> Result<Returning> {
        let mut level = Level::new(Clause::Returning);
        level.names = names;
        self.levels.push(level);
        let bound = self.select_list(items).and_then(|outputs| {
            let settled =
                outputs.into_iter().map(|o| Ok(Output { value: self.resolve_unknown(o.value)?, name: o.name }));
            let outputs = settled.collect::<Result<Vec<_>>>()?;
            let exprs: Vec<Expr> = outputs.iter().map(|o| o.value.expr.clone()).collect();
            let (_, columns) = self.projection(outputs);
            Ok((exprs, columns))
        });
        self.levels.pop();
        let (exprs, columns) = bound?;
        if exprs.iter().any(walk::has_subquery) {
            return Err(Error::unsupported("a sub-query in RETURNING"));
        }
        Ok(Returning { row, exprs, columns })
    }
}

fn rename(item: &mut Item, alias: &str) {
    if item.alias != alias {
        item.hidden_name = Some(std::mem::replace(&mut item.alias, alias.to_owned()));
        item.schema = None;
    }
    for c in &mut item.columns {
        c.table = item.alias.clone();
    }
}

fn is_default(e: &ast::Expr) -> bool {
    matches!(e, ast::Expr::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}

fn column_index(table: &TableDef, name: &ObjectName) -> Result<usize> {
    let pos = start(name.span());
    let mut all = super::names::parts(name)?;
    let column = all.pop().unwrap_or_default();
    if !all.is_empty() {
        // `SET t.a = 1` means field a of a composite column t.
        let message = format!("column \"{}\" of relation \"{}\" does not exist", all[0], table.name);
        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(pos));
    }
    table.column(&column).ok_or_else(|| {
        let message = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
        Error::new(SqlState::UNDEFINED_COLUMN, message).at(pos)
    })
}

/// The column a SET names, which no assignment before it named.
fn assigned(table: &TableDef, name: &ObjectName, set: &[(usize, Expr)]) -> Result<usize> {
    let at = column_index(table, name)?;
    if set.iter().any(|(known, _)| *known == at) {
        let message = format!("multiple assignments to same column \"{}\"", table.columns[at].name);
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    Ok(at)
}

/// With a column list all columns must be given; without one the first ones may be.
pub(super) fn check_width(
    given: usize,
    mut listed: Vec<usize>,
    explicit: bool,
    (pos, names): (Option<u32>, &[ObjectName]),
) -> Result<Vec<usize>> {
    if given > listed.len() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more expressions than target columns").at(pos));
    }
    if given < listed.len() && explicit {
        let pos = names.get(given).and_then(|n| start(n.span()));
        return Err(Error::new(SqlState::SYNTAX_ERROR, "INSERT has more target columns than expressions").at(pos));
    }
    listed.truncate(given);
    Ok(listed)
}

/// The unique index over exactly these columns.
fn arbiter(table: &TableDef, names: &[ast::Ident]) -> Result<heddle_types::Oid> {
    let mut wanted = Vec::new();
    for name in names {
        let column = fold(name);
        let at = table.column(&column).ok_or_else(|| {
            Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{column}\" does not exist")).at(start(name.span))
        })?;
        wanted.push(table.columns[at].attnum);
    }
    let fits = |i: &&heddle_catalog::IndexDef| {
        i.unique
            && i.columns.iter().all(|c| wanted.contains(&c.attnum))
            && wanted.iter().all(|w| i.columns.iter().any(|c| c.attnum == *w))
    };
    let found = table.indexes.iter().filter(fits).max_by_key(|i| i.immediate());
    found.map(|i| i.oid).ok_or_else(|| {
        let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
        Error::new(SqlState::INVALID_COLUMN_REFERENCE, message)
    })
}
