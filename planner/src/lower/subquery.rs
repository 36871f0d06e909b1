//! Sub-queries in expressions.
//!
//! `hoist` adds a sub-query's value to the plan as a column and answers the expression over it. Correlated ones become joins where
//! that is plainly right (EXISTS, IN and NOT IN as conjuncts; an aggregate over equality); everything else goes through Apply,
//! which runs the inner plan per distinct outer row. NOT IN keeps SQL's NULL rules by counting the NULLs of the list.

use super::cell::Scope;
use super::expr::is_equality;
use super::op::Op;
use super::relation::join;
use super::udf::{Body, Function};
use super::{Lowerer, build, column, name, plan_ids};
use crate::bound::{Call, ColId, Expr, JoinKind, Query, Rel};
use crate::eval::visit;
use crate::function::{self, FuncId};
use datafusion::common::JoinType;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::{Expr as Df, LogicalPlan, LogicalPlanBuilder, when};
use datafusion::prelude::lit;
use heddle_types::{Datum, PgType, Result, oid};
use std::collections::{BTreeMap, BTreeSet};

type Ids = BTreeSet<ColId>;

impl Lowerer<'_> {
    /// The expression with every sub-query replaced by a column that is added to `plan`.
    pub(super) fn hoist(&mut self, plan: &mut LogicalPlan, e: &Expr) -> Result<Expr> {
        let mut e = e.clone();
        if visit::has_sub_query(&e) {
            self.hoist_in(plan, &mut e)?;
        }
        Ok(e)
    }

    fn hoist_in(&mut self, plan: &mut LogicalPlan, e: &mut Expr) -> Result<()> {
        let mut result = Ok(());
        visit::children_mut(e, &mut |c| {
            if result.is_ok() {
                result = self.hoist_in(plan, c);
            }
        });
        result?;
        let replaced = match &*e {
            Expr::Scalar { query, ty } => self.scalar(plan, query, *ty)?,
            Expr::Exists { query } => self.exists(plan, query)?,
            Expr::ArrayQuery { query, ty } => self.array(plan, query, *ty)?,
            Expr::Quantified { exprs, query, ops, all, negated } => {
                let value = self.quantified(plan, exprs, query, ops, *all)?;
                if *negated { Expr::Not(Box::new(value)) } else { value }
            }
            _ => return Ok(()),
        };
        *e = replaced;
        Ok(())
    }

    /// A conjunct with sub-queries: a semi or anti join if it is plainly one.
    pub(super) fn filter_sub_query(&mut self, plan: LogicalPlan, part: &Expr) -> Result<LogicalPlan> {
        let joined = match part {
            Expr::Exists { query } => self.semi(&plan, query, &[], JoinType::LeftSemi)?,
            Expr::Not(e) => match &**e {
                Expr::Exists { query } => self.semi(&plan, query, &[], JoinType::LeftAnti)?,
                Expr::Quantified { exprs, query, ops, all: false, negated: false } => {
                    self.not_in(&plan, exprs, query, ops)?
                }
                _ => None,
            },
            Expr::Quantified { exprs, query, ops, all: false, negated: true } => {
                self.not_in(&plan, exprs, query, ops)?
            }
            Expr::Quantified { exprs, query, ops, all: false, negated: false }
                if !exprs.iter().any(visit::has_sub_query) =>
            {
                let pairs: Vec<_> =
                    exprs.iter().zip(&query.columns).zip(ops).map(|((e, c), op)| pair(*op, e, c.id, c.ty)).collect();
                if ops.iter().all(|op| is_equality(*op)) || pairs.len() == 1 {
                    self.semi(&plan, query, &pairs, JoinType::LeftSemi)?
                } else {
                    None
                }
            }
            _ => None,
        };
        if let Some(joined) = joined {
            return Ok(joined);
        }
        let before = plan_ids(&plan);
        let mut plan = plan;
        let e = self.hoist(&mut plan, part)?;
        let parts = self.conjuncts(&e)?;
        let plan = self.filter_df(plan, parts)?;
        self.only(plan, before)
    }

    fn semi(
        &mut self,
        plan: &LogicalPlan,
        query: &Query,
        pairs: &[Expr],
        kind: JoinType,
    ) -> Result<Option<LogicalPlan>> {
        let left: Ids = plan_ids(plan).into_iter().collect();
        let Some((core, mut conditions)) = pull_up(&query.rel, &left, true) else { return Ok(None) };
        conditions.extend(pairs.iter().cloned());
        let right = self.rel(&core)?;
        let parts = match visit::conjunction(conditions) {
            Some(c) => self.conjuncts(&c)?,
            None => vec![],
        };
        Ok(Some(join(plan.clone(), right, kind, parts, vec![])?))
    }

    /// Joins a row source that may refer to the plan's columns as Outer.
    fn attach(
        &mut self,
        plan: LogicalPlan,
        kind: JoinType,
        inner: impl FnOnce(&mut Self) -> Result<LogicalPlan>,
    ) -> Result<LogicalPlan> {
        let number = self.fresh().0;
        let columns: Ids = plan_ids(&plan).into_iter().collect();
        self.scopes.push(Scope { number, columns, used: BTreeMap::new() });
        let inner = inner(self);
        let scope = self.scopes.pop().expect("pushed above");
        let inner = inner?;
        if scope.used.is_empty() {
            return join(plan, inner, kind, vec![], vec![]);
        }
        let inner = self.finish(inner)?;
        Op::apply(plan, inner, scope.used.into_values().collect(), kind == JoinType::Left)
    }

    /// LATERAL.
    pub(super) fn lateral(
        &mut self,
        left: &Rel,
        right: &Rel,
        kind: JoinKind,
        on: Option<&Expr>,
    ) -> Result<LogicalPlan> {
        let plan = self.rel(left)?;
        let ids: Ids = plan_ids(&plan).into_iter().collect();
        match kind {
            JoinKind::Inner => {
                let joined = self.attach(plan, JoinType::Inner, |l| l.rel(right))?;
                match on {
                    Some(on) => self.filter(joined, on),
                    None => Ok(joined),
                }
            }
            JoinKind::Left => self.attach(plan, JoinType::Left, |l| {
                let plan = l.rel(right)?;
                match on {
                    Some(on) => {
                        let mut on = on.clone();
                        to_outer(&mut on, &ids);
                        l.filter(plan, &on)
                    }
                    None => Ok(plan),
                }
            }),
            _ => Err(heddle_types::Error::unsupported("LATERAL in this kind of join")),
        }
    }

    fn scalar(&mut self, plan: &mut LogicalPlan, query: &Query, ty: PgType) -> Result<Expr> {
        if let Some(value) = self.scalar_aggregate(plan, query)? {
            return Ok(value);
        }
        let id = self.fresh();
        let value = query.columns[0].id;
        *plan = self.attach(plan.clone(), JoinType::Inner, |l| {
            let inner = l.rel(&query.rel)?;
            if yields_one_row(&query.rel) {
                return build(LogicalPlanBuilder::from(inner).project([column(value).alias(name(id))]));
            }
            let (n, v) = (l.fresh(), l.fresh());
            let limited = build(LogicalPlanBuilder::from(inner).limit(0, Some(2)))?;
            let aggregates = [
                count_udaf().call(vec![lit(1i64)]).alias(name(n)),
                first_value_udaf().call(vec![column(value)]).alias(name(v)),
            ];
            let one = build(LogicalPlanBuilder::from(limited).aggregate(Vec::<Df>::new(), aggregates))?;
            let checked = Function::call(Body::SingleRow, vec![column(n), column(v)]);
            build(LogicalPlanBuilder::from(one).project([checked.alias(name(id))]))
        })?;
        Ok(Expr::Column { id, ty })
    }

    /// `(SELECT f(agg(…)) FROM … WHERE inner = outer)`: grouped by the inner side and joined.
    fn scalar_aggregate(&mut self, plan: &mut LogicalPlan, query: &Query) -> Result<Option<Expr>> {
        let left: Ids = plan_ids(plan).into_iter().collect();
        let Some(found) = CorrelatedAggregate::find(query, &left) else { return Ok(None) };
        let mut groups = vec![];
        let mut conditions = vec![];
        for (call, inner_side) in &found.equalities {
            let id = self.fresh();
            let inner = call.args[*inner_side].clone();
            let mut call = call.clone();
            call.args[*inner_side] = Expr::Column { id, ty: inner.ty() };
            groups.push((id, inner));
            conditions.push(Expr::Call(call));
        }
        let sets = vec![(0..groups.len()).collect()];
        let grouped = Rel::Aggregate {
            input: Box::new(found.input),
            groups,
            sets,
            aggregates: found.aggregates,
            grouping: vec![],
        };
        let right = self.rel(&grouped)?;
        let condition = visit::conjunction(conditions).expect("a correlated aggregate has an equality");
        let parts = self.conjuncts(&condition)?;
        *plan = join(plan.clone(), right, JoinType::Left, parts, vec![])?;
        Ok(Some(found.value))
    }

    fn exists(&mut self, plan: &mut LogicalPlan, query: &Query) -> Result<Expr> {
        let id = self.fresh();
        *plan = self.attach(plan.clone(), JoinType::Inner, |l| {
            let inner = l.rel(&query.rel)?;
            let n = l.fresh();
            let limited = build(LogicalPlanBuilder::from(inner).limit(0, Some(1)))?;
            let count = count_udaf().call(vec![lit(1i64)]).alias(name(n));
            let one = build(LogicalPlanBuilder::from(limited).aggregate(Vec::<Df>::new(), [count]))?;
            build(LogicalPlanBuilder::from(one).project([column(n).gt(lit(0i64)).alias(name(id))]))
        })?;
        Ok(Expr::Column { id, ty: PgType::new(oid::BOOL) })
    }

    fn array(&mut self, plan: &mut LogicalPlan, query: &Query, ty: PgType) -> Result<Expr> {
        let id = self.fresh();
        let value = query.columns[0].clone();
        *plan = self.attach(plan.clone(), JoinType::Inner, |l| {
            let inner = l.rel(&query.rel)?;
            let inner = l.only(inner, [value.id])?;
            Op::CollectArray { element: value.ty, array: ty }.with_schema(inner, &[(id, ty)])
        })?;
        Ok(Expr::Column { id, ty })
    }

    fn quantified(
        &mut self,
        plan: &mut LogicalPlan,
        exprs: &[Expr],
        query: &Query,
        ops: &[FuncId],
        all: bool,
    ) -> Result<Expr> {
        let mut outers = BTreeMap::new();
        visit::rel_outers(&query.rel, &mut outers);
        if let ([x], [op], false, true) = (exprs, ops, all, outers.is_empty())
            && is_equality(*op)
        {
            return self.marked(plan, x, query, *op);
        }
        let left: Ids = plan_ids(plan).into_iter().collect();
        let parts: Vec<Expr> = exprs
            .iter()
            .zip(&query.columns)
            .zip(ops)
            .map(|((e, c), op)| {
                let mut e = e.clone();
                to_outer(&mut e, &left);
                pair(*op, &e, c.id, c.ty)
            })
            .collect();
        // A row differs when one of its columns does.
        let unequal = ops.iter().all(|op| {
            matches!(function::by_id(*op).map(|f| f.kind), Some(function::Kind::Compare(function::Comparison::Ne, _)))
        });
        let test = match parts.len() {
            1 => parts.into_iter().next().expect("one"),
            _ if unequal => Expr::Or(parts),
            _ => Expr::And(parts),
        };
        let id = self.fresh();
        *plan = self.attach(plan.clone(), JoinType::Inner, |l| {
            let inner = l.rel(&query.rel)?;
            let p = l.fresh();
            let inner = l.project(inner, &[(p, test)])?;
            l.fold(inner, p, id, all)
        })?;
        Ok(Expr::Column { id, ty: PgType::new(oid::BOOL) })
    }

    /// One row: ANY (or ALL) of a boolean column, three-valued.
    fn fold(&mut self, plan: LogicalPlan, p: ColId, id: ColId, all: bool) -> Result<LogicalPlan> {
        let (hits, nulls) = (self.fresh(), self.fresh());
        let deciding = if all { column(p).is_false() } else { column(p).is_true() };
        let count = |c: Df| -> Result<Df> {
            let one = when(c, lit(1i64)).end().map_err(function::from_df)?;
            Ok(count_udaf().call(vec![one]))
        };
        let aggregates = [count(deciding)?.alias(name(hits)), count(column(p).is_null())?.alias(name(nulls))];
        let one = build(LogicalPlanBuilder::from(plan).aggregate(Vec::<Df>::new(), aggregates))?;
        let value = when(column(hits).gt(lit(0i64)), lit(!all))
            .when(column(nulls).gt(lit(0i64)), lit(datafusion::common::ScalarValue::Boolean(None)))
            .otherwise(lit(all))
            .map_err(function::from_df)?;
        build(LogicalPlanBuilder::from(one).project([value.alias(name(id))]))
    }

    /// `x NOT IN (SELECT y …)`, uncorrelated, as a conjunct: an anti join with the list as the hash table. It lets through what
    /// no value of the list equals; of that, NULLs only if the list is empty, and nothing if it has a NULL.
    fn not_in(
        &mut self,
        plan: &LogicalPlan,
        exprs: &[Expr],
        query: &Query,
        ops: &[FuncId],
    ) -> Result<Option<LogicalPlan>> {
        let mut outers = BTreeMap::new();
        visit::rel_outers(&query.rel, &mut outers);
        let ([x], [op], true) = (exprs, ops, outers.is_empty()) else { return Ok(None) };
        if !is_equality(*op) || visit::has_sub_query(x) || visit::is_volatile(x) {
            return Ok(None);
        }
        let before = plan_ids(plan);
        let list = self.list(query)?;
        let parts = self.conjuncts(&pair(*op, x, list.y, list.ty))?;
        let others = join(list.known, plan.clone(), JoinType::RightAnti, parts, vec![])?;
        let counted = join(list.counts, others, JoinType::Inner, vec![], vec![])?;
        let complete = column(list.values).eq(column(list.n));
        let passes = column(list.n).eq(lit(0i64)).or(self.expr(x)?.is_not_null().and(complete));
        let passing = build(LogicalPlanBuilder::from(counted).filter(passes))?;
        self.only(passing, before).map(Some)
    }

    /// An uncorrelated list of values, computed once.
    fn list(&mut self, query: &Query) -> Result<List> {
        let (y, n, values, ty) = (self.fresh(), self.fresh(), self.fresh(), query.columns[0].ty);
        let list = self.query_as(query, &[(y, ty)])?;
        let list = self.finish(list)?;
        let list = Op::shared(list, &[(y, ty)])?;
        let counts =
            [count_udaf().call(vec![lit(1i64)]).alias(name(n)), count_udaf().call(vec![column(y)]).alias(name(values))];
        let counts = build(LogicalPlanBuilder::from(list.clone()).aggregate(Vec::<Df>::new(), counts))?;
        let known = build(LogicalPlanBuilder::from(list).filter(column(y).is_not_null()))?;
        Ok(List { known, y, ty, counts, n, values })
    }

    /// `x = ANY (SELECT y …)`, uncorrelated, as a value: an outer join with the distinct list, and its counts. The list is the hash
    /// table; the plan's rows pass by.
    fn marked(&mut self, plan: &mut LogicalPlan, x: &Expr, query: &Query, op: FuncId) -> Result<Expr> {
        let (flag, mark) = (self.fresh(), self.fresh());
        let List { known, y, ty, counts, n, values } = self.list(query)?;
        let distinct = self.distinct_plan(known, &[(y, ty)])?;
        let distinct = build(LogicalPlanBuilder::from(distinct).project([column(y), lit(true).alias(name(flag))]))?;
        let condition = pair(op, x, y, ty);
        let parts = self.conjuncts(&condition)?;
        let joined = join(distinct, plan.clone(), JoinType::Right, parts, vec![])?;
        let joined = join(counts, joined, JoinType::Inner, vec![], vec![])?;
        let left = self.expr(x)?;
        let unknown = left.is_null().or(column(values).lt(column(n)));
        let value = when(column(n).eq(lit(0i64)), lit(false))
            .when(column(flag).is_true(), lit(true))
            .when(unknown, lit(datafusion::common::ScalarValue::Boolean(None)))
            .otherwise(lit(false))
            .map_err(function::from_df)?;
        *plan = self.extend(joined, vec![(mark, value)])?;
        Ok(Expr::Column { id: mark, ty: PgType::new(oid::BOOL) })
    }
}

/// The list of IN.
struct List {
    /// Its values without NULLs.
    known: LogicalPlan,
    y: ColId,
    ty: PgType,
    /// One row: how many there are, and how many are no NULL.
    counts: LogicalPlan,
    n: ColId,
    values: ColId,
}

fn pair(op: FuncId, left: &Expr, id: ColId, ty: PgType) -> Expr {
    Expr::Call(Call { func: op, args: vec![left.clone(), Expr::Column { id, ty }], ty: PgType::new(oid::BOOL) })
}

/// Exactly one row whatever the data: an aggregate without groups.
fn yields_one_row(rel: &Rel) -> bool {
    match rel {
        Rel::Project { input, .. } => yields_one_row(input),
        Rel::Aggregate { groups, sets, .. } => groups.is_empty() && sets.len() <= 1,
        Rel::Unit => true,
        _ => false,
    }
}

/// Columns of an enclosing row become outer references.
fn to_outer(e: &mut Expr, ids: &Ids) {
    if let Expr::Column { id, ty } = e
        && ids.contains(id)
    {
        *e = Expr::Outer { id: *id, ty: *ty };
        return;
    }
    visit::children_mut(e, &mut |c| to_outer(c, ids));
}

/// Outer references to these columns become columns: their row is joined now.
fn to_column(e: &mut Expr, ids: &Ids) {
    if let Expr::Outer { id, ty } = e
        && ids.contains(id)
    {
        *e = Expr::Column { id: *id, ty: *ty };
        return;
    }
    visit::children_mut(e, &mut |c| to_column(c, ids));
}

fn refers(e: &Expr, ids: &Ids) -> bool {
    let mut outers = BTreeMap::new();
    visit::outers(e, &mut outers);
    outers.keys().any(|id| ids.contains(id))
}

fn rel_refers(rel: &Rel, ids: &Ids) -> bool {
    let mut outers = BTreeMap::new();
    visit::rel_outers(rel, &mut outers);
    outers.keys().any(|id| ids.contains(id))
}

/// The relation without its correlated conjuncts, and these with outer references as columns. Every column they use is in the
/// relation's output. `semi`: only the existence of rows matters, so duplicates and order do not.
fn pull_up(rel: &Rel, left: &Ids, semi: bool) -> Option<(Rel, Vec<Expr>)> {
    if !rel_refers(rel, left) {
        return Some((rel.clone(), vec![]));
    }
    match rel {
        Rel::Project { input, exprs } => {
            if exprs.iter().any(|(_, e)| refers(e, left)) {
                return None;
            }
            let (input, conditions) = pull_up(input, left, semi)?;
            let mut exprs = exprs.clone();
            let mut used = BTreeMap::new();
            conditions.iter().for_each(|c| visit::columns(c, &mut used));
            for (id, ty) in used.into_iter().filter(|(id, _)| !left.contains(id)) {
                match exprs.iter().find(|(i, _)| *i == id) {
                    Some((_, Expr::Column { id: same, .. })) if *same == id => {}
                    Some(_) => return None,
                    None => exprs.push((id, Expr::Column { id, ty })),
                }
            }
            Some((Rel::Project { input: Box::new(input), exprs }, conditions))
        }
        Rel::Filter { input, predicate } => {
            let (mut conditions, rest) = split(predicate, left)?;
            let (input, more) = pull_up(input, left, semi)?;
            conditions.extend(more);
            let rel = match visit::conjunction(rest) {
                Some(predicate) => Rel::Filter { input: Box::new(input), predicate },
                None => input,
            };
            Some((rel, conditions))
        }
        Rel::Join { left: l, right: r, kind: JoinKind::Inner, on, lateral: false } => {
            let (mut conditions, rest) = match on {
                Some(on) => split(on, left)?,
                None => (vec![], vec![]),
            };
            let (l, more) = pull_up(l, left, semi)?;
            conditions.extend(more);
            let (r, more) = pull_up(r, left, semi)?;
            conditions.extend(more);
            let rel = Rel::Join {
                left: Box::new(l),
                right: Box::new(r),
                kind: JoinKind::Inner,
                on: visit::conjunction(rest),
                lateral: false,
            };
            Some((rel, conditions))
        }
        Rel::Distinct { input, on: None } | Rel::Sort { input, .. } if semi => pull_up(input, left, semi),
        _ => None,
    }
}

/// (correlated conjuncts, the others).
fn split(predicate: &Expr, left: &Ids) -> Option<(Vec<Expr>, Vec<Expr>)> {
    let (mut correlated, mut rest) = (vec![], vec![]);
    for part in visit::conjuncts(predicate) {
        if !refers(part, left) {
            rest.push(part.clone());
            continue;
        }
        if visit::has_sub_query(part) || visit::is_volatile(part) {
            return None;
        }
        let mut part = part.clone();
        to_column(&mut part, left);
        correlated.push(part);
    }
    Some((correlated, rest))
}

/// A scalar sub-query that is an aggregate correlated by equality.
struct CorrelatedAggregate {
    input: Rel,
    aggregates: Vec<(ColId, crate::bound::AggregateCall)>,
    /// (equality, which argument is the inner side)
    equalities: Vec<(Call, usize)>,
    /// The sub-query's value over the joined row.
    value: Expr,
}

impl CorrelatedAggregate {
    fn find(query: &Query, left: &Ids) -> Option<Self> {
        let output = query.columns.first()?;
        let (aggregate, mut value) = match &query.rel {
            Rel::Project { input, exprs } => {
                (&**input, exprs.iter().find(|(id, _)| *id == output.id).map(|(_, e)| e.clone())?)
            }
            other => (other, Expr::Column { id: output.id, ty: output.ty }),
        };
        let Rel::Aggregate { input, groups, sets, aggregates, grouping } = aggregate else { return None };
        if !groups.is_empty() || sets.len() > 1 || !grouping.is_empty() || visit::has_sub_query(&value) {
            return None;
        }
        let mut calls = aggregates.iter().flat_map(|(_, a)| a.args.iter().chain(&a.filter));
        if calls.any(|e| refers(e, left)) || visit::is_volatile(&value) {
            return None;
        }
        let (input, conditions) = pull_up(input, left, false)?;
        let equalities: Vec<(Call, usize)> = conditions.iter().map(|c| equality(c, left)).collect::<Option<_>>()?;
        if equalities.is_empty() {
            return None;
        }
        to_column(&mut value, left);
        for (id, a) in aggregates {
            if function::by_id(a.func).is_some_and(|f| matches!(f.name, "count" | "regr_count")) {
                zero_for_null(&mut value, *id, a.ty);
            }
        }
        Some(Self { input, aggregates: aggregates.clone(), equalities, value })
    }
}

/// count() over no rows is 0, but the left join gives NULL.
fn zero_for_null(e: &mut Expr, id: ColId, ty: PgType) {
    if matches!(e, Expr::Column { id: c, .. } if *c == id) {
        let zero = Expr::Literal { value: Datum::Int8(0), ty };
        *e = Expr::Coalesce { args: vec![e.clone(), zero], ty };
        return;
    }
    visit::children_mut(e, &mut |c| zero_for_null(c, id, ty));
}

/// `inner = outer` (either way round).
fn equality(e: &Expr, left: &Ids) -> Option<(Call, usize)> {
    let Expr::Call(call) = e else { return None };
    if call.args.len() != 2 || !is_equality(call.func) {
        return None;
    }
    let side = |e: &Expr| {
        let mut used = BTreeMap::new();
        visit::columns(e, &mut used);
        let outer = used.keys().filter(|id| left.contains(id)).count();
        (outer, used.len() - outer)
    };
    match (side(&call.args[0]), side(&call.args[1])) {
        ((0, 1..), (1.., 0)) => Some((call.clone(), 0)),
        ((1.., 0), (0, 1..)) => Some((call.clone(), 1)),
        _ => None,
    }
}
