//! FROM: tables, sub-queries, CTEs, functions and joins to operators, and the names they make visible.

use super::names::{fold, parts, qualified, start};
use super::scope::{Clause, Found, Item, Namespace, ScopeColumn, find_relation, unknown_relation};
use super::{Binder, Typed};
use crate::bound::{Col, ColId, Expr, JoinKind, Rel, SetCall, TableScan};
use heddle_catalog::TableDef;
use heddle_txn::RelationLock;
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{
    self, JoinConstraint, JoinOperator, ObjectName, Spanned, TableAlias, TableFactor, TableWithJoins,
};
use std::sync::Arc;

/// A FROM item before it is joined.
pub(super) struct Bound {
    pub source: Source,
    pub names: Namespace,
    /// Uses columns of what stands before it, as Outer references.
    pub lateral: bool,
}

pub(super) enum Source {
    Rel(Rel),
    /// Set-returning calls; their arguments name earlier items as plain columns.
    Set {
        calls: Vec<SetCall>,
        ordinality: Option<ColId>,
    },
    /// One row with one value.
    Value(ColId, Expr),
}

/// FROM so far.
pub(super) struct From {
    pub rel: Rel,
    pub names: Namespace,
}

impl Binder<'_> {
    /// Binds a FROM clause (or DELETE's USING) after what `before` already shows.
    pub(super) fn from(&mut self, tables: &[TableWithJoins], before: From) -> Result<From> {
        self.within(Clause::From, |b| {
            let mut all = before;
            for t in tables {
                let item = b.joined(t, &all.names)?;
                all = b.combine(all, item, JoinKind::Inner, None)?;
            }
            b.level().names = Namespace::default();
            Ok(all)
        })
    }

    /// `a JOIN b … JOIN c …`; `outer` is what LATERAL items inside may see besides.
    fn joined(&mut self, t: &TableWithJoins, outer: &Namespace) -> Result<Bound> {
        let mut left = self.factor(&t.relation, outer)?;
        for join in &t.joins {
            let lateral = left.lateral;
            let rel = into_rel(left.source);
            let from = From { rel, names: left.names };
            let from = self.join(from, join, outer)?;
            left = Bound { source: Source::Rel(from.rel), names: from.names, lateral };
        }
        Ok(left)
    }

    fn join(&mut self, left: From, join: &ast::Join, outer: &Namespace) -> Result<From> {
        let (kind, constraint) = join_kind(&join.join_operator)?;
        let mut visible = outer.clone();
        visible.items.extend(left.names.items.clone());
        visible.columns.extend(left.names.columns.clone());
        let right = self.factor(&join.relation, &visible)?;
        if matches!(kind, JoinKind::Right | JoinKind::Full) && (right.lateral || uses_columns(&right.source)) {
            let message = "invalid reference to FROM-clause entry in a lateral item";
            return Err(Error::new(SqlState::UNDEFINED_TABLE, message)
                .detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."));
        }
        match constraint {
            JoinConstraint::None => self.combine(left, right, kind, None),
            JoinConstraint::On(e) => {
                let names = left.names.clone().join(right.names.clone(), alias_position(&join.relation))?;
                let on = self.join_condition(names, e)?;
                self.combine(left, right, kind, Some(on))
            }
            JoinConstraint::Using(names) => {
                let (names, alias) = using_alias(names);
                let columns = names
                    .iter()
                    .map(|n| Ok((parts(n)?.pop().unwrap_or_default(), start(n.span()))))
                    .collect::<Result<Vec<_>>>()?;
                let mut joined = self.join_using(left, right, kind, columns)?;
                if let Some((alias, pos)) = alias {
                    let shared = joined.names.columns[..names.len()].to_vec();
                    let columns = std::mem::take(&mut joined.names.columns);
                    let named = Namespace { items: vec![plain_item(alias, shared)], columns: Vec::new() };
                    joined.names = joined.names.join(named, pos)?;
                    joined.names.columns = columns;
                }
                Ok(joined)
            }
            JoinConstraint::Natural => {
                let shared = left
                    .names
                    .columns
                    .iter()
                    .filter(|l| right.names.columns.iter().any(|r| r.name == l.name))
                    .map(|l| (l.name.clone(), None))
                    .collect();
                self.join_using(left, right, kind, shared)
            }
        }
    }

    fn join_condition(&mut self, names: Namespace, e: &ast::Expr) -> Result<Expr> {
        let before = std::mem::replace(&mut self.level().names, names);
        let on = self.within(Clause::JoinOn, |b| b.condition(e, "JOIN/ON"));
        self.level().names = before;
        on
    }

    /// Joins an item to what stands before it.
    fn combine(&mut self, left: From, right: Bound, kind: JoinKind, on: Option<Expr>) -> Result<From> {
        let names = left.names.join(right.names, None)?;
        let rel = match right.source {
            Source::Rel(r) => join_rel(left.rel, r, kind, on, right.lateral),
            source if !uses_columns(&source) => join_rel(left.rel, into_rel(source), kind, on, right.lateral),
            source => {
                let produced: Vec<ColId> = output(&left.rel).iter().map(|c| c.id).collect();
                let local = used_columns(&source).iter().all(|id| produced.contains(id));
                match (kind, is_true(on.as_ref())) {
                    (JoinKind::Inner, _) if local => filtered(over(left.rel, source, false), on),
                    (JoinKind::Left, true) if local && matches!(source, Source::Set { .. }) => {
                        over(left.rel, source, true)
                    }
                    _ => join_rel(left.rel, into_rel(outer_source(source)), kind, on, true),
                }
            }
        };
        Ok(From { rel, names })
    }

    /// USING and NATURAL: equal columns become one.
    fn join_using(
        &mut self,
        left: From,
        right: Bound,
        kind: JoinKind,
        shared: Vec<(String, Option<u32>)>,
    ) -> Result<From> {
        let mut on = Vec::new();
        let mut merged: Vec<(ScopeColumn, Option<Expr>)> = Vec::new();
        for (name, pos) in &shared {
            let l = using_column(&left.names, name, "left")?;
            let r = using_column(&right.names, name, "right")?;
            let (x, y) = (column_expr(&l), column_expr(&r));
            on.push(self.operator("=", Typed::new(x.clone(), *pos), Typed::new(y.clone(), *pos), *pos)?.expr);
            merged.push(self.merge(l, r, kind)?);
        }
        let rest = |n: &Namespace| -> Vec<ScopeColumn> {
            n.columns.iter().filter(|c| !shared.iter().any(|(s, _)| *s == c.name)).cloned().collect()
        };
        let mut columns: Vec<ScopeColumn> = merged.iter().map(|(c, _)| c.clone()).collect();
        columns.extend(rest(&left.names));
        columns.extend(rest(&right.names));
        let computed: Vec<(ColId, Expr)> = merged.into_iter().filter_map(|(c, e)| Some((c.id, e?))).collect();
        let mut joined = self.combine(left, right, kind, super::walk::all_of(on))?;
        if !computed.is_empty() {
            joined.rel = extended(joined.rel, computed);
        }
        joined.names.columns = columns;
        Ok(joined)
    }

    /// The merged column: one side's where that is right, otherwise computed.
    fn merge(&mut self, l: ScopeColumn, r: ScopeColumn, kind: JoinKind) -> Result<(ScopeColumn, Option<Expr>)> {
        let (left, right) = (Typed::new(column_expr(&l), None), Typed::new(column_expr(&r), None));
        let (mut both, ty) = self.unify(vec![left, right], "JOIN/USING")?;
        let right = both.pop().expect("two columns").expr;
        let left = both.pop().expect("two columns").expr;
        let (kept, value) = match kind {
            JoinKind::Right => (&r, right),
            JoinKind::Full => (&l, Expr::Coalesce { args: vec![left, right], ty }),
            _ => (&l, left),
        };
        let table = String::new();
        if let Expr::Column { id, ty } = value {
            return Ok((ScopeColumn { id, ty, table: kept.table.clone(), ..kept.clone() }, None));
        }
        let id = self.new_column();
        Ok((ScopeColumn { name: l.name, id, ty, origin: None, table }, Some(value)))
    }

    fn factor(&mut self, t: &TableFactor, visible: &Namespace) -> Result<Bound> {
        match t {
            TableFactor::Table { name, alias, args: None, sample, with_ordinality: false, version: None, .. } => {
                let table = self.table(name, alias.as_ref())?;
                match sample {
                    None => Ok(table),
                    Some(
                        ast::TableSampleKind::BeforeTableAlias(sample) | ast::TableSampleKind::AfterTableAlias(sample),
                    ) => self.sampled(table, sample, start(name.span())),
                }
            }
            TableFactor::Table { name, args: Some(_), sample: Some(_), .. } => {
                Err(self.no_sample_here(start(name.span())))
            }
            TableFactor::Derived { subquery, sample: Some(_), .. } => Err(self.no_sample_here(start(subquery.span()))),
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.table_function(name, &args.args, *with_ordinality, alias.as_ref(), visible)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.table_function(name, args, *with_ordinality, alias.as_ref(), visible)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                self.unnest(array_exprs, *with_ordinality, alias.as_ref(), visible)
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                self.derived(*lateral, subquery, alias.as_ref(), visible)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut inner = self.joined(table_with_joins, visible)?;
                if let Some(alias) = alias {
                    let columns = std::mem::take(&mut inner.names.columns);
                    let item = aliased(plain_item(fold(&alias.name), columns), Some(alias))?;
                    inner.names = Namespace::of(item);
                }
                Ok(inner)
            }
            other => Err(Error::unsupported(format!("in FROM: {other}"))),
        }
    }

    fn table(&mut self, name: &ObjectName, alias: Option<&TableAlias>) -> Result<Bound> {
        let pos = start(name.span());
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        if schema.is_none()
            && let Some(at) = self.ctes.iter().rposition(|c| c.name == bare)
        {
            return self.cte(at, alias);
        }
        let (rel, item) = match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) => {
                self.refuse_foreign(&t)?;
                let locked = self.is_locked(alias.map_or_else(|| bare.clone(), |a| fold(&a.name)));
                self.lock(&t, if locked { RelationLock::RowShare } else { RelationLock::AccessShare });
                let (scan, item) = self.scan(&t, locked);
                (Rel::Table(scan), item)
            }
            Some(Found::System(t)) => {
                self.shows_inventory |= t.shows_inventory();
                let columns: Vec<(ColId, usize)> = (0..t.columns.len()).map(|i| (self.new_column(), i)).collect();
                let shown = columns
                    .iter()
                    .map(|(id, i)| ScopeColumn {
                        name: t.columns[*i].0.to_owned(),
                        id: *id,
                        ty: t.columns[*i].1,
                        origin: Some((t.oid, *i as i16 + 1)),
                        table: t.name.to_owned(),
                    })
                    .collect();
                let mut item = plain_item(t.name.to_owned(), shown);
                item.table_oid = Some(t.oid);
                item.schema = Some(t.schema.to_owned());
                (Rel::System { table: t, columns }, item)
            }
            Some(Found::Index(index)) => {
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot open relation \"{index}\""))
                    .detail("This operation is not supported for indexes.")
                    .at(pos));
            }
            Some(Found::Sequence(s)) => self.sequence_scan(&s),
            Some(Found::View(v)) => {
                let locked = self.is_locked(alias.map_or_else(|| bare.clone(), |a| fold(&a.name)));
                self.view_scan(&v, locked).map_err(|e| super::view::placed(e, pos))?
            }
            None => return Err(unknown_relation(schema.as_deref(), &bare).at(pos)),
        };
        Ok(Bound { source: Source::Rel(rel), names: Namespace::of(aliased(item, alias)?), lateral: false })
    }

    fn is_locked(&mut self, alias: String) -> bool {
        self.level().locked.as_ref().is_some_and(|names| names.is_empty() || names.contains(&alias))
    }

    /// A scan of all live columns and the item that shows them.
    pub(super) fn scan(&mut self, t: &Arc<TableDef>, identity: bool) -> (TableScan, Item) {
        let live = t.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        let columns: Vec<(ColId, usize)> = live.map(|(i, _)| (self.new_column(), i)).collect();
        let identity = identity.then(|| (self.new_column(), self.new_column()));
        let shown = columns
            .iter()
            .map(|(id, i)| ScopeColumn {
                name: t.columns[*i].name.clone(),
                id: *id,
                ty: t.columns[*i].ty,
                origin: Some((t.oid, t.columns[*i].attnum)),
                table: t.name.clone(),
            })
            .collect();
        let mut item = plain_item(t.name.clone(), shown);
        item.table = Some(t.clone());
        item.table_oid = Some(t.oid);
        item.schema = self.catalog().schema_by_oid(t.schema).map(|s| s.name.clone());
        (TableScan { table: t.clone(), columns, identity }, item)
    }

    fn cte(&mut self, at: usize, alias: Option<&TableAlias>) -> Result<Bound> {
        self.ctes[at].used += 1;
        let entry = self.ctes[at].clone();
        if !entry.readable {
            let message = format!("WITH query \"{}\" does not have a RETURNING clause", entry.name);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let columns: Vec<Col> = entry.columns.iter().map(|(_, ty)| Col { id: self.new_column(), ty: *ty }).collect();
        let shown = entry.columns.iter().zip(&columns).map(|((name, ty), c)| scope_column(name, c.id, *ty)).collect();
        let item = aliased(plain_item(entry.name, shown), alias)?;
        let rel = Rel::CteScan { cte: entry.id, columns };
        Ok(Bound { source: Source::Rel(rel), names: Namespace::of(item), lateral: false })
    }

    fn derived(
        &mut self,
        lateral: bool,
        q: &ast::Query,
        alias: Option<&TableAlias>,
        visible: &Namespace,
    ) -> Result<Bound> {
        let Some(alias) = alias else {
            let what = if matches!(q.body.as_ref(), ast::SetExpr::Values(_)) { "VALUES" } else { "subquery" };
            let example = if what == "VALUES" { "(VALUES ...)" } else { "(SELECT ...)" };
            return Err(Error::new(SqlState::SYNTAX_ERROR, format!("{what} in FROM must have an alias"))
                .hint(format!("For example, FROM {example} [AS] foo."))
                .at(self.places.opened(start(q.span()))));
        };
        let seen = if lateral { visible.clone() } else { Namespace::default() };
        let before = std::mem::replace(&mut self.level().names, seen);
        let mark = self.outer_used.len();
        let query = self.query(q);
        self.level().names = before;
        let query = query?;
        let ids = visible.ids();
        let uses_left = self.outer_used[mark..].iter().any(|id| ids.contains(id));
        // One id per visible column: `select a, a` has two columns here.
        let columns: Vec<ScopeColumn> = query
            .columns
            .iter()
            .map(|c| ScopeColumn { origin: c.origin, ..scope_column(&c.name, c.id, c.ty) })
            .collect();
        let item = aliased(plain_item(fold(&alias.name), columns), Some(alias))?;
        Ok(Bound { source: Source::Rel(query.rel), names: Namespace::of(item), lateral: uses_left })
    }

    pub(super) fn with_names<T>(&mut self, names: &Namespace, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.level().names, names.clone());
        let result = work(self);
        self.level().names = before;
        result
    }
}

pub(super) fn scope_column(name: &str, id: ColId, ty: PgType) -> ScopeColumn {
    ScopeColumn { name: name.to_owned(), id, ty, origin: None, table: String::new() }
}

pub(super) fn plain_item(alias: String, columns: Vec<ScopeColumn>) -> Item {
    let mut item = Item { alias, schema: None, table: None, table_oid: None, hidden_name: None, columns };
    for c in &mut item.columns {
        c.table = item.alias.clone();
    }
    item
}

/// Applies `AS alias (column, …)`.
pub(super) fn aliased(mut item: Item, alias: Option<&TableAlias>) -> Result<Item> {
    let Some(alias) = alias else { return Ok(item) };
    let pos = start(alias.name.span);
    let name = fold(&alias.name);
    if item.table_oid.is_some() && name != item.alias {
        item.hidden_name = Some(item.alias.clone());
    }
    if item.table_oid.is_some() {
        item.schema = None;
    }
    item.alias = name;
    if alias.columns.len() > item.columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            item.alias,
            item.columns.len(),
            alias.columns.len()
        );
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message));
    }
    for (column, new) in item.columns.iter_mut().zip(&alias.columns) {
        if new.data_type.is_some() {
            return Err(Error::unsupported("a column definition list").at(pos));
        }
        column.name = fold(&new.name);
    }
    for column in &mut item.columns {
        column.table = item.alias.clone();
    }
    Ok(item)
}

fn alias_position(t: &TableFactor) -> Option<u32> {
    match t {
        TableFactor::Table { name, .. } => start(name.span()),
        _ => None,
    }
}

fn column_expr(c: &ScopeColumn) -> Expr {
    Expr::Column { id: c.id, ty: c.ty }
}

/// The columns of USING, and the alias that travels behind them.
fn using_alias(names: &[ObjectName]) -> (&[ObjectName], Option<(String, Option<u32>)>) {
    let last = names.last().and_then(|n| n.0.first()).and_then(|p| p.as_ident());
    match last.and_then(|i| i.value.strip_prefix(crate::parse::JOIN_ALIAS)) {
        Some(alias) => (&names[..names.len() - 1], Some((alias.to_owned(), None))),
        None => (names, None),
    }
}

fn using_column(names: &Namespace, name: &str, side: &str) -> Result<ScopeColumn> {
    let mut found = names.columns.iter().filter(|c| c.name == name);
    match (found.next(), found.next()) {
        (Some(c), None) => Ok(c.clone()),
        (Some(_), Some(_)) => Err(Error::new(
            SqlState::AMBIGUOUS_COLUMN,
            format!("common column name \"{name}\" appears more than once in {side} table"),
        )),
        _ => Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
    }
}

fn join_kind(op: &JoinOperator) -> Result<(JoinKind, &JoinConstraint)> {
    Ok(match op {
        JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (JoinKind::Inner, c),
        JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (JoinKind::Left, c),
        JoinOperator::Right(c) | JoinOperator::RightOuter(c) => (JoinKind::Right, c),
        JoinOperator::FullOuter(c) => (JoinKind::Full, c),
        _ => return Err(Error::new(SqlState::SYNTAX_ERROR, "this kind of join is not PostgreSQL's")),
    })
}

fn is_true(on: Option<&Expr>) -> bool {
    on.is_none_or(|e| matches!(e, Expr::Literal { value: heddle_types::Datum::Bool(true), .. }))
}

fn join_rel(left: Rel, right: Rel, kind: JoinKind, on: Option<Expr>, lateral: bool) -> Rel {
    if matches!(left, Rel::Unit) && kind == JoinKind::Inner && on.is_none() && !lateral {
        return right;
    }
    let on = if is_true(on.as_ref()) { None } else { on };
    Rel::Join { left: Box::new(left), right: Box::new(right), kind, on, lateral }
}

fn filtered(input: Rel, predicate: Option<Expr>) -> Rel {
    match predicate {
        Some(p) if !is_true(Some(&p)) => Rel::Filter { input: Box::new(input), predicate: p },
        _ => input,
    }
}

fn into_rel(source: Source) -> Rel {
    match source {
        Source::Rel(r) => r,
        source => over(Rel::Unit, source, false),
    }
}

/// A function evaluated for each row of `input`.
fn over(input: Rel, source: Source, outer: bool) -> Rel {
    match source {
        Source::Set { calls, ordinality } => Rel::ProjectSet { input: Box::new(input), calls, ordinality, outer },
        Source::Value(id, e) => extended(input, vec![(id, e)]),
        Source::Rel(r) => r,
    }
}

/// The input's columns and some more.
pub(super) fn extended(input: Rel, more: Vec<(ColId, Expr)>) -> Rel {
    let mut exprs: Vec<(ColId, Expr)> =
        output(&input).into_iter().map(|c| (c.id, Expr::Column { id: c.id, ty: c.ty })).collect();
    exprs.extend(more);
    Rel::Project { input: Box::new(input), exprs }
}

fn source_exprs(source: &Source) -> Vec<&Expr> {
    match source {
        Source::Rel(_) => Vec::new(),
        Source::Set { calls, .. } => calls.iter().flat_map(|c| &c.call.args).collect(),
        Source::Value(_, e) => vec![e],
    }
}

fn used_columns(source: &Source) -> Vec<ColId> {
    source_exprs(source).into_iter().flat_map(super::walk::columns).collect()
}

fn uses_columns(source: &Source) -> bool {
    !used_columns(source).is_empty()
}

/// Arguments' columns as references to the left side of a lateral join.
fn outer_source(mut source: Source) -> Source {
    let mut to_outer = |e: &Expr| match e {
        Expr::Column { id, ty } => Some(Expr::Outer { id: *id, ty: *ty }),
        _ => None,
    };
    match &mut source {
        Source::Set { calls, .. } => {
            calls.iter_mut().flat_map(|c| &mut c.call.args).for_each(|e| super::walk::rewrite(e, &mut to_outer));
        }
        Source::Value(_, e) => super::walk::rewrite(e, &mut to_outer),
        Source::Rel(_) => {}
    }
    source
}

/// The columns an operator produces.
pub(super) fn output(rel: &Rel) -> Vec<Col> {
    let col = |(id, e): &(ColId, Expr)| Col { id: *id, ty: e.ty() };
    match rel {
        Rel::Unit => Vec::new(),
        Rel::Table(t) => {
            let mut all: Vec<Col> =
                t.columns.iter().map(|(id, i)| Col { id: *id, ty: t.table.columns[*i].ty }).collect();
            if let Some((key, version)) = t.identity {
                all.push(Col { id: key, ty: PgType::new(oid::BYTEA) });
                all.push(Col { id: version, ty: PgType::new(oid::INT8) });
            }
            all
        }
        Rel::System { table, columns } => {
            columns.iter().map(|(id, i)| Col { id: *id, ty: table.columns[*i].1 }).collect()
        }
        Rel::Values { columns, .. }
        | Rel::Rows { columns, .. }
        | Rel::SetOp { columns, .. }
        | Rel::CteScan { columns, .. } => columns.clone(),
        Rel::Filter { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Lock { input, .. } => output(input),
        Rel::Project { exprs, .. } => exprs.iter().map(col).collect(),
        Rel::Join { left, right, kind, .. } => {
            let mut all = output(left);
            if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                all.extend(output(right));
            }
            all
        }
        Rel::ProjectSet { input, calls, ordinality, .. } => {
            let mut all = output(input);
            all.extend(calls.iter().flat_map(|c| c.columns.clone()));
            all.extend(ordinality.map(|id| Col { id, ty: PgType::new(oid::INT8) }));
            all
        }
        Rel::Aggregate { groups, aggregates, grouping, .. } => {
            let mut all: Vec<Col> = groups.iter().map(col).collect();
            all.extend(aggregates.iter().map(|(id, a)| Col { id: *id, ty: a.ty }));
            all.extend(grouping.iter().map(|(id, _)| Col { id: *id, ty: PgType::new(oid::INT4) }));
            all
        }
        Rel::Window { input, calls } => {
            let mut all = output(input);
            all.extend(calls.iter().map(|(id, w)| Col { id: *id, ty: w.call.ty }));
            all
        }
        Rel::With { body, .. } => output(body),
    }
}
