//! Relational operators.

use super::expr::{balanced, key};
use super::op::{self, Op, WorkHandle, WorkTable};
use super::{CteEntry, Lowerer, build, column, internal, name, scan};
use crate::bound::{ColId, Cte, Expr, JoinKind, Query, Rel, SortKey};
use crate::eval::visit;
use crate::exec::series_aggregate::SeriesAggregate;
use crate::function::from_df;
use arrow::record_batch::RecordBatch;
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::expr::Sort as DfSort;
use datafusion::logical_expr::logical_plan::{EmptyRelation, Join, JoinConstraint};
use datafusion::logical_expr::{Expr as Df, LogicalPlan, LogicalPlanBuilder, Operator};
use heddle_types::{PgType, Result};
use std::sync::Arc;

impl Lowerer<'_> {
    /// Lowers an operator with its inputs.
    pub(super) fn rel(&mut self, rel: &Rel) -> Result<LogicalPlan> {
        stacker::maybe_grow(256 * 1024, 4 << 20, || self.rel_inner(rel))
    }

    fn rel_inner(&mut self, rel: &Rel) -> Result<LogicalPlan> {
        match rel {
            Rel::Unit => Ok(unit()),
            Rel::Table(table) => self.table(table, rel),
            Rel::System { table, columns } => {
                let (schema, batch) = scan::system(table, columns, self.ctx)?;
                let provider = MemTable::try_new(schema, vec![vec![batch]]).map_err(from_df)?;
                self.provider(Arc::new(provider), &visit::output(rel))
            }
            Rel::Values { columns, rows } => self.values(columns, rows),
            Rel::Filter { input, predicate } => {
                let plan = self.rel(input)?;
                self.filter(plan, predicate)
            }
            Rel::Project { input, exprs } => {
                let plan = self.rel(input)?;
                self.project(plan, exprs)
            }
            Rel::Join { left, right, kind, on, lateral } => self.join(left, right, *kind, on.as_ref(), *lateral),
            Rel::ProjectSet { input, calls, ordinality, outer } => {
                self.project_set(rel, input, calls, ordinality.is_some(), *outer)
            }
            Rel::Aggregate { input, groups, sets, aggregates, grouping } => {
                if let Some(plan) = SeriesAggregate::compile(rel).filter(|plan| plan.applies(self.ctx)) {
                    return self.series_aggregate(plan);
                }
                self.aggregate(input, groups, sets, aggregates, grouping)
            }
            Rel::Window { input, calls } => self.window(input, calls),
            Rel::Distinct { input, on } => match on {
                None => self.distinct(input),
                Some(on) => match self.last_points(rel)? {
                    Some(plan) => Ok(plan),
                    None => self.distinct_on(input, on),
                },
            },
            Rel::Sort { input, keys } => {
                let plan = self.rel(input)?;
                self.sort(plan, keys)
            }
            Rel::Limit { input, limit, offset, with_ties } => {
                self.limit(input, limit.as_ref(), offset.as_ref(), *with_ties)
            }
            Rel::SetOp { kind, all, left, right, columns } => self.set_op(*kind, *all, left, right, columns),
            Rel::With { ctes, body } => self.with(ctes, body),
            Rel::CteScan { cte, columns } => {
                let columns: Vec<_> = columns.iter().map(|c| (c.id, c.ty)).collect();
                let entry = self.ctes.get(cte).and_then(|stack| stack.last()).cloned();
                self.cte_scan(entry.ok_or_else(|| internal("a CTE is not in scope"))?, &columns)
            }
            Rel::Rows { columns, batches } => self.rows(columns, batches),
            Rel::Lock { input, targets } => self.lock(input, targets, None),
        }
    }

    fn table(&mut self, table: &crate::bound::TableScan, rel: &Rel) -> Result<LogicalPlan> {
        let output = visit::output(rel);
        if let Some(points) = super::series::Points::new(table, self.view, self.ctx, &output) {
            return self.provider(Arc::new(points), &output);
        }
        let (statistics, now) = (Arc::clone(&self.engine.statistics), self.ctx.env.clock.monotonic());
        let known = scan::Known { statistics, now };
        self.provider(Arc::new(scan::Table::new(table.clone(), Arc::clone(self.view), &output, known)), &output)
    }

    /// A provider's columns under unqualified names.
    pub(super) fn provider(
        &mut self,
        provider: Arc<dyn datafusion::catalog::TableProvider>,
        output: &[(ColId, PgType)],
    ) -> Result<LogicalPlan> {
        let table = format!("t{}", self.fresh().0);
        let builder = LogicalPlanBuilder::scan(table.as_str(), provider_as_source(provider), None).map_err(from_df)?;
        if output.is_empty() {
            return builder.build().map_err(from_df);
        }
        let qualified = |(id, _): &(ColId, PgType)| {
            let c = datafusion::common::Column::new(Some(table.as_str()), name(*id));
            Df::Column(c).alias(name(*id))
        };
        build(builder.project(output.iter().map(qualified)))
    }

    /// Rows that are there already.
    fn rows(&mut self, columns: &[crate::bound::Col], batches: &[RecordBatch]) -> Result<LogicalPlan> {
        let output: Vec<(ColId, PgType)> = columns.iter().map(|c| (c.id, c.ty)).collect();
        let schema = super::arrow_schema(&output);
        let named = |b: &RecordBatch| scan::to_batch(&schema, b.columns().to_vec(), b.num_rows());
        let batches = batches.iter().map(named).collect::<Result<Vec<_>>>()?;
        let provider = MemTable::try_new(Arc::clone(&schema), vec![batches]).map_err(from_df)?;
        self.provider(Arc::new(provider), &output)
    }

    /// VALUES: a row at a time over one row, put together by UNION ALL only where expressions need it.
    fn values(&mut self, columns: &[crate::bound::Col], rows: &[Vec<Expr>]) -> Result<LogicalPlan> {
        let output: Vec<(ColId, PgType)> = columns.iter().map(|c| (c.id, c.ty)).collect();
        if rows.iter().flatten().all(visit::is_constant) {
            let data = rows
                .iter()
                .map(|r| r.iter().map(|e| crate::eval::eval_constant(e, self.ctx)).collect::<Result<Vec<_>>>())
                .collect::<Result<Vec<_>>>()?;
            let set = crate::exec::rowset::RowSet::from_rows(&output, &data)?;
            let schema = super::arrow_schema(&output);
            let arrays = output.iter().map(|(id, _)| set.require(*id)).collect::<Result<Vec<_>>>()?;
            let batch = scan::to_batch(&schema, arrays, set.rows)?;
            let provider = MemTable::try_new(schema, vec![vec![batch]]).map_err(from_df)?;
            return self.provider(Arc::new(provider), &output);
        }
        let mut parts = vec![];
        for row in rows {
            let exprs: Vec<(ColId, Expr)> = columns.iter().zip(row).map(|(c, e)| (c.id, e.clone())).collect();
            parts.push(Arc::new(self.project(unit(), &exprs)?));
        }
        super::setop::union(parts)
    }

    /// Rows for which the predicate is true.
    pub(super) fn filter(&mut self, mut plan: LogicalPlan, predicate: &Expr) -> Result<LogicalPlan> {
        let predicate = super::nulls::condition(&super::constant::folded(predicate, self.ctx));
        let predicate = super::factor::factored(predicate);
        let parts = visit::conjuncts(&predicate);
        let (with, plain): (Vec<&Expr>, Vec<&Expr>) = parts.into_iter().partition(|e| visit::has_sub_query(e));
        if let Some(all) = visit::conjunction(plain.into_iter().cloned().collect()) {
            let parts = self.conjuncts(&all)?;
            plan = self.filter_df(plan, parts)?;
        }
        for part in with {
            plan = self.filter_sub_query(plan, part)?;
        }
        Ok(plan)
    }

    pub(super) fn filter_df(&mut self, plan: LogicalPlan, parts: Vec<Df>) -> Result<LogicalPlan> {
        match balanced(parts, Operator::And) {
            Some(p) => build(LogicalPlanBuilder::from(plan).filter(p)),
            None => Ok(plan),
        }
    }

    /// Exactly these columns.
    pub(super) fn project(&mut self, mut plan: LogicalPlan, exprs: &[(ColId, Expr)]) -> Result<LogicalPlan> {
        let mut out = Vec::with_capacity(exprs.len());
        for (id, e) in exprs {
            let e = self.hoist(&mut plan, e)?;
            let df = self.expr(&e)?;
            out.push(match &df {
                Df::Column(c) if c.name == name(*id) => df,
                _ => df.alias(name(*id)),
            });
        }
        if out.is_empty() {
            // A row without columns is still a row; DataFusion wants a column, which nobody looks at.
            let id = self.fresh();
            out.push(datafusion::prelude::lit(0i32).alias(name(id)));
        }
        build(LogicalPlanBuilder::from(plan).project(out))
    }

    /// The plan's columns and more.
    pub(super) fn extend(&mut self, plan: LogicalPlan, more: Vec<(ColId, Df)>) -> Result<LogicalPlan> {
        let kept = plan.schema().columns().into_iter().map(Df::Column).collect::<Vec<_>>();
        let more = more.into_iter().map(|(id, e)| e.alias(name(id)));
        build(LogicalPlanBuilder::from(plan).project(kept.into_iter().chain(more)))
    }

    /// Only these columns.
    pub(super) fn only(&mut self, plan: LogicalPlan, ids: impl IntoIterator<Item = ColId>) -> Result<LogicalPlan> {
        build(LogicalPlanBuilder::from(plan).project(ids.into_iter().map(column)))
    }

    fn join(
        &mut self,
        left: &Rel,
        right: &Rel,
        kind: JoinKind,
        on: Option<&Expr>,
        lateral: bool,
    ) -> Result<LogicalPlan> {
        let nested = on.is_some_and(visit::has_sub_query);
        if lateral || (nested && kind == JoinKind::Left) {
            return self.lateral(left, right, kind, on);
        }
        if nested {
            return match (kind, on) {
                (JoinKind::Inner, Some(on)) => {
                    let plan = self.join(left, right, kind, None, false)?;
                    self.filter(plan, on)
                }
                (JoinKind::Right, on) => self.lateral(right, left, JoinKind::Left, on),
                _ => Err(heddle_types::Error::unsupported("a sub-query in the condition of this kind of join")),
            };
        }
        let (l, r) = (self.rel(left)?, self.rel(right)?);
        let parts = match on {
            Some(on) => self.conjuncts(on)?,
            None => vec![],
        };
        let kind = match kind {
            JoinKind::Inner => JoinType::Inner,
            JoinKind::Left => JoinType::Left,
            JoinKind::Right => JoinType::Right,
            JoinKind::Full => JoinType::Full,
            JoinKind::Semi => JoinType::LeftSemi,
            JoinKind::Anti => JoinType::LeftAnti,
        };
        join(l, r, kind, parts, vec![])
    }

    /// ORDER BY.
    pub(super) fn sort(&mut self, mut plan: LogicalPlan, keys: &[SortKey]) -> Result<LogicalPlan> {
        let before = super::plan_ids(&plan);
        let mut order = vec![];
        for k in keys {
            let e = self.hoist(&mut plan, &k.expr)?;
            order.push(self.sort_key(&SortKey { expr: e, ..k.clone() })?);
        }
        let hoisted = super::plan_ids(&plan).len() != before.len();
        let sorted = build(LogicalPlanBuilder::from(plan).sort(order))?;
        if hoisted { self.only(sorted, before) } else { Ok(sorted) }
    }

    pub(super) fn sort_key(&mut self, k: &SortKey) -> Result<DfSort> {
        let df = self.expr(&k.expr)?;
        Ok(DfSort::new(key(df, k.expr.ty()), !k.desc, k.nulls_first))
    }

    fn limit(
        &mut self,
        input: &Rel,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        with_ties: bool,
    ) -> Result<LogicalPlan> {
        if op::needs_plan(limit) || op::needs_plan(offset) {
            return self.counted(input, limit, offset, with_ties);
        }
        let (skip, take) = crate::exec::limits(limit, offset, self.ctx)?;
        if with_ties && let Some(take) = take {
            return self.limit_with_ties(input, skip, take);
        }
        let wanted = take.map(|t| t.saturating_add(skip));
        let plan = self.limited_input(input, wanted)?;
        build(LogicalPlanBuilder::from(plan).limit(skip, take))
    }

    /// LIMIT and OFFSET that have to be computed by a plan.
    fn counted(
        &mut self,
        input: &Rel,
        limit: Option<&Expr>,
        offset: Option<&Expr>,
        with_ties: bool,
    ) -> Result<LogicalPlan> {
        if with_ties {
            return Err(heddle_types::Error::unsupported("a sub-query in FETCH … WITH TIES"));
        }
        let locks = |r: &Rel| matches!(r, Rel::Lock { .. });
        if locks(input) || matches!(input, Rel::Project { input: below, .. } if locks(below)) {
            return Err(heddle_types::Error::unsupported("a sub-query in LIMIT of a query that locks rows"));
        }
        let plan = self.rel(input)?;
        let counts = self.rel(&op::counts(limit, offset))?;
        let counts = self.finish(counts)?;
        Ok(Op::Counted { counts }.over(plan))
    }

    /// The input of a LIMIT: row locks below must not run ahead of what is wanted.
    fn limited_input(&mut self, input: &Rel, wanted: Option<usize>) -> Result<LogicalPlan> {
        match input {
            Rel::Lock { input, targets } => self.lock(input, targets, wanted),
            Rel::Project { input: below, exprs } if matches!(**below, Rel::Lock { .. }) => {
                let plan = self.limited_input(below, wanted)?;
                self.project(plan, exprs)
            }
            other => self.rel(other),
        }
    }

    fn lock(
        &mut self,
        input: &Rel,
        targets: &[crate::bound::LockTarget],
        wanted: Option<usize>,
    ) -> Result<LogicalPlan> {
        let plan = self.rel(input)?;
        let op = Op::Lock {
            engine: Arc::clone(self.engine),
            targets: targets.to_vec(),
            ctx: Arc::clone(self.ctx),
            view: Arc::clone(self.view),
            wanted,
        };
        Ok(op.over(plan))
    }

    fn series_aggregate(&mut self, plan: SeriesAggregate) -> Result<LogicalPlan> {
        let columns = plan.output();
        let (engine, ctx, view) = (Arc::clone(self.engine), Arc::clone(self.ctx), Arc::clone(self.view));
        Op::SeriesAggregate { plan: Arc::new(plan), engine, ctx, view }.leaf(&columns)
    }

    fn project_set(
        &mut self,
        rel: &Rel,
        input: &Rel,
        calls: &[crate::bound::SetCall],
        ordinality: bool,
        outer: bool,
    ) -> Result<LogicalPlan> {
        let mut plan = self.rel(input)?;
        let ids = super::plan_ids(&plan);
        let mut arguments = vec![];
        let mut set_calls = vec![];
        for call in calls {
            let mut args = vec![];
            for arg in &call.call.args {
                let id = self.fresh();
                let e = self.hoist(&mut plan, arg)?;
                arguments.push((id, self.expr(&e)?));
                args.push((id, arg.ty()));
            }
            set_calls.push(super::op::SetCall {
                func: call.call.func,
                ret: call.call.ty,
                args,
                columns: call.columns.iter().map(|c| (c.id, c.ty)).collect(),
            });
        }
        let kept: Vec<(ColId, Df)> = ids.iter().map(|id| (*id, column(*id))).collect();
        let all = kept.into_iter().map(|(_, e)| e).chain(arguments.into_iter().map(|(id, e)| e.alias(name(id))));
        let plan = build(LogicalPlanBuilder::from(plan).project(all))?;
        let output = visit::output(rel);
        let op = Op::ProjectSet { calls: set_calls, kept: ids.clone(), ordinality, outer, ctx: Arc::clone(self.ctx) };
        // Columns of the input that only lowering added stay out of the way.
        let mut columns: Vec<(ColId, PgType)> = vec![];
        let types = visit::output(input);
        for id in ids {
            if let Some(c) = types.iter().find(|(i, _)| *i == id) {
                columns.push(*c);
            }
        }
        columns.extend(output.iter().skip(types.len()));
        op.with_schema(plan, &columns)
    }

    fn with(&mut self, ctes: &[Cte], body: &Rel) -> Result<LogicalPlan> {
        for (i, cte) in ctes.iter().enumerate() {
            let mut references = 0;
            ctes[i + 1..].iter().for_each(|c| {
                references += count_scans(&c.query.rel, cte.id);
                references += c.recursive.as_ref().map_or(0, |(q, _)| count_scans(&q.rel, cte.id));
            });
            references += count_scans(body, cte.id);
            let entry = self.cte(cte, references)?;
            self.ctes.entry(cte.id).or_default().push(entry);
        }
        let plan = self.rel(body);
        for cte in ctes {
            if let Some(stack) = self.ctes.get_mut(&cte.id) {
                stack.pop();
            }
        }
        plan
    }

    /// Once used, or dependent on an outer row: in place. Otherwise computed once.
    fn cte(&mut self, cte: &Cte, references: usize) -> Result<CteEntry> {
        let mut outers = Default::default();
        visit::rel_outers(&cte.query.rel, &mut outers);
        if let Some((q, _)) = &cte.recursive {
            visit::rel_outers(&q.rel, &mut outers);
        }
        if references < 2 || !outers.is_empty() {
            return Ok(CteEntry::Inline(Arc::new(cte.clone())));
        }
        let columns = self.cte_columns(cte);
        let plan = self.cte_plan(cte, &columns)?;
        let plan = self.finish(plan)?;
        Ok(CteEntry::Shared(Op::shared(plan, &columns)?, columns))
    }

    /// Fresh names for a CTE's output, by position.
    fn cte_columns(&mut self, cte: &Cte) -> Vec<(ColId, PgType)> {
        cte.query.columns.iter().map(|c| (self.fresh(), c.ty)).collect()
    }

    fn cte_scan(&mut self, entry: CteEntry, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        let (plan, inner) = match entry {
            CteEntry::Inline(cte) => return self.cte_plan(&cte, columns),
            CteEntry::Shared(plan, inner) => (plan, inner),
            CteEntry::Working(table) => {
                let inner = table.columns.clone();
                (self.provider(Arc::new(WorkHandle(table)), &inner)?, inner)
            }
        };
        let renamed = inner.iter().zip(columns).map(|((from, _), (to, _))| column(*from).alias(name(*to)));
        if columns.is_empty() {
            return Ok(plan);
        }
        build(LogicalPlanBuilder::from(plan).project(renamed.collect::<Vec<_>>()))
    }

    fn cte_plan(&mut self, cte: &Cte, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        let Some((recursive, union_all)) = &cte.recursive else {
            return self.query_as(&cte.query, columns);
        };
        let working = WorkTable::new(self.cte_columns(cte));
        let inner = working.columns.clone();
        let first = self.query_as(&cte.query, &inner)?;
        self.ctes.entry(cte.id).or_default().push(CteEntry::Working(Arc::clone(&working)));
        let step = self.query_as(recursive, &inner);
        if let Some(stack) = self.ctes.get_mut(&cte.id) {
            stack.pop();
        }
        let (first, step) = (self.finish(first)?, self.finish(step?)?);
        let plan = Op::Recursive { first, step, working, distinct: !*union_all }.leaf(&inner)?;
        let renamed = inner.iter().zip(columns).map(|((from, _), (to, _))| column(*from).alias(name(*to)));
        build(LogicalPlanBuilder::from(plan).project(renamed.collect::<Vec<_>>()))
    }

    /// A query's visible columns under new names, by position.
    pub(super) fn query_as(&mut self, query: &Query, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        let plan = self.rel(&query.rel)?;
        let exprs = query.columns.iter().zip(columns).map(|(c, (id, _))| column(c.id).alias(name(*id)));
        if columns.is_empty() {
            return Ok(plan);
        }
        build(LogicalPlanBuilder::from(plan).project(exprs.collect::<Vec<_>>()))
    }
}

/// How often a CTE is read below `rel`, sub-queries included.
fn count_scans(rel: &Rel, id: crate::bound::CteId) -> usize {
    fn in_expr(e: &Expr, id: crate::bound::CteId, n: &mut usize) {
        if let Some(q) = visit::sub_query(e) {
            *n += count_scans(&q.rel, id);
        }
        visit::children(e, &mut |c| in_expr(c, id, n));
    }
    let mut n = usize::from(matches!(rel, Rel::CteScan { cte, .. } if *cte == id));
    visit::rel_exprs(rel, &mut |e| in_expr(e, id, &mut n));
    visit::rel_inputs(rel, &mut |r| n += count_scans(r, id));
    n
}

/// One row without columns.
pub(super) fn unit() -> LogicalPlan {
    let schema = Arc::new(datafusion::common::DFSchema::empty());
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, schema })
}

/// A join with conditions; `nulls_equal` pairs match NULL with NULL.
pub(super) fn join(
    left: LogicalPlan,
    right: LogicalPlan,
    kind: JoinType,
    mut conditions: Vec<Df>,
    nulls_equal: Vec<(Df, Df)>,
) -> Result<LogicalPlan> {
    let equality = if nulls_equal.is_empty() { NullEquality::NullEqualsNothing } else { NullEquality::NullEqualsNull };
    let inner = kind == JoinType::Inner && nulls_equal.is_empty();
    let above = if inner { std::mem::take(&mut conditions) } else { vec![] };
    let filter = balanced(conditions, Operator::And);
    let constraint = JoinConstraint::On;
    let (left, right) = (Arc::new(left), Arc::new(right));
    let join = Join::try_new(left, right, nulls_equal, filter, kind, constraint, equality, false).map_err(from_df)?;
    let plan = LogicalPlan::Join(join);
    // Conditions of an inner join stand above it: DataFusion pushes each to where it belongs.
    match balanced(above, Operator::And) {
        Some(p) => build(LogicalPlanBuilder::from(plan).filter(p)),
        None => Ok(plan),
    }
}
