//! GROUP BY, grouping sets, DISTINCT, DISTINCT ON, WITH TIES.

use super::expr::key;
use super::{Lowerer, build, column, name, plan_ids, setop};
use crate::bound::{AggregateCall, ColId, Expr, Rel, SortKey};
use crate::eval::visit;
use crate::function::{self, CallTypes, Kind, from_df};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::{Expr as Df, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFunctionDefinition};
use datafusion::prelude::lit;
use heddle_types::arrow::native_order;
use heddle_types::{Error, PgType, Result};
use std::sync::Arc;

/// The argument of all the calls, if they are DISTINCT calls of it and nothing else, whose result depends on no order.
fn distinct_argument(aggregates: &[(ColId, AggregateCall)]) -> Option<&Expr> {
    let argument = aggregates.first()?.1.args.first()?;
    let text = format!("{argument:?}");
    let suits = |(_, call): &(ColId, AggregateCall)| {
        let sensitive = function::by_id(call.func).is_none_or(|f| ORDER_SENSITIVE.contains(&f.name));
        let same = matches!(&call.args[..], [arg] if format!("{arg:?}") == text);
        call.distinct && same && call.order.is_empty() && call.filter.is_none() && !sensitive
    };
    let plain = !visit::is_volatile(argument) && !visit::has_sub_query(argument);
    (plain && aggregates.iter().all(suits)).then_some(argument)
}

/// Aggregates whose result follows the input's order when the call names none.
const ORDER_SENSITIVE: &[&str] = &[
    "array_agg",
    "string_agg",
    "json_agg",
    "heddle_json_agg_rows",
    "jsonb_agg",
    "json_object_agg",
    "jsonb_object_agg",
    "xmlagg",
];

impl Lowerer<'_> {
    pub(super) fn aggregate(
        &mut self,
        input: &Rel,
        groups: &[(ColId, Expr)],
        sets: &[Vec<usize>],
        aggregates: &[(ColId, AggregateCall)],
        grouping: &[(ColId, Vec<usize>)],
    ) -> Result<LogicalPlan> {
        let order = order_of(input);
        let plain = sets.is_empty() || (sets.len() == 1 && sets[0].len() == groups.len());
        if plain && grouping.is_empty() {
            let plan = self.rel(input)?;
            return self.grouped(plan, groups, aggregates, &order);
        }
        let sets = if sets.is_empty() { vec![(0..groups.len()).collect()] } else { sets.to_vec() };
        let mut parts = vec![];
        for set in &sets {
            let plan = self.rel(input)?;
            parts.push(Arc::new(self.one_set(plan, groups, set, aggregates, grouping, &order)?));
        }
        setop::union(parts)
    }

    /// One grouping set: its groups, NULL for the others, and what GROUPING() says.
    fn one_set(
        &mut self,
        plan: LogicalPlan,
        groups: &[(ColId, Expr)],
        set: &[usize],
        aggregates: &[(ColId, AggregateCall)],
        grouping: &[(ColId, Vec<usize>)],
        order: &[SortKey],
    ) -> Result<LogicalPlan> {
        let mine: Vec<(ColId, Expr)> =
            groups.iter().enumerate().filter(|(i, _)| set.contains(i)).map(|(_, g)| g.clone()).collect();
        let plan = self.grouped(plan, &mine, aggregates, order)?;
        let mut out = vec![];
        for (i, (id, e)) in groups.iter().enumerate() {
            out.push(match set.contains(&i) {
                true => column(*id),
                false => super::expr::literal(&heddle_types::Datum::Null, e.ty())?.alias(name(*id)),
            });
        }
        out.extend(aggregates.iter().map(|(id, _)| column(*id)));
        for (id, args) in grouping {
            let bits = args.iter().fold(0i32, |bits, g| (bits << 1) | i32::from(!set.contains(g)));
            out.push(lit(bits).alias(name(*id)));
        }
        build(LogicalPlanBuilder::from(plan).project(out))
    }

    /// A plain GROUP BY: group columns, then aggregates.
    fn grouped(
        &mut self,
        mut plan: LogicalPlan,
        groups: &[(ColId, Expr)],
        aggregates: &[(ColId, AggregateCall)],
        order: &[SortKey],
    ) -> Result<LogicalPlan> {
        if let Some(argument) = distinct_argument(aggregates) {
            return self.grouped_distinct(plan, groups, aggregates, argument, order);
        }
        let mut below = vec![];
        let mut keys = vec![];
        let mut outputs = vec![];
        for (id, e) in groups {
            let e = self.hoist(&mut plan, e)?;
            let df = self.expr(&e)?;
            let value = self.fresh();
            below.push(df.clone().alias(name(value)));
            if native_order(e.ty()) {
                keys.push(column(value));
                outputs.push((*id, value));
            } else {
                let k = self.fresh();
                below.push(key(df, e.ty()).alias(name(k)));
                keys.push(column(k));
                outputs.push((*id, *id));
            }
        }
        let mut calls = vec![];
        for ((id, _), (output, value)) in groups.iter().zip(&outputs) {
            if output == value {
                // Equal values may differ in form (1.0 and 1.00): the first stands for all.
                let at = groups.iter().position(|(g, _)| g == id).expect("a group");
                let carried = carried_name(&below, at, &outputs);
                calls.push(first_value_udaf().call(vec![Df::Column(carried)]).alias(name(*id)));
            }
        }
        for (id, call) in aggregates {
            let ordered = self.with_order(call, order, &plan);
            calls.push(self.aggregate_call(&mut plan, &ordered, &mut below)?.alias(name(*id)));
        }
        if below.is_empty() {
            below.push(lit(1i64).alias(name(self.fresh())));
        }
        let projected = build(LogicalPlanBuilder::from(plan).project(below))?;
        if keys.is_empty() && calls.is_empty() {
            // GROUP BY () without aggregates: one row.
            return Ok(super::relation::unit());
        }
        let grouped = build(LogicalPlanBuilder::from(projected).aggregate(keys, calls))?;
        let mut out: Vec<Df> = outputs
            .iter()
            .map(|(id, value)| if id == value { column(*id) } else { column(*value).alias(name(*id)) })
            .collect();
        out.extend(aggregates.iter().map(|(id, _)| column(*id)));
        build(LogicalPlanBuilder::from(grouped).project(out))
    }

    /// DISTINCT calls over one argument: its values in each group once, and plain calls over those.
    fn grouped_distinct(
        &mut self,
        plan: LogicalPlan,
        groups: &[(ColId, Expr)],
        aggregates: &[(ColId, AggregateCall)],
        argument: &Expr,
        order: &[SortKey],
    ) -> Result<LogicalPlan> {
        let ty = argument.ty();
        let value = self.fresh();
        let mut all = groups.to_vec();
        all.push((value, argument.clone()));
        let values = self.grouped(plan, &all, &[], order)?;
        let column = |id: ColId, ty: PgType| Expr::Column { id, ty };
        let groups: Vec<_> = groups.iter().map(|(id, e)| (*id, column(*id, e.ty()))).collect();
        let plain = |(id, call): &(ColId, AggregateCall)| {
            (*id, AggregateCall { args: vec![column(value, ty)], distinct: false, ..call.clone() })
        };
        let aggregates: Vec<_> = aggregates.iter().map(plain).collect();
        self.grouped(values, &groups, &aggregates, order)
    }

    /// The input's order for a call that depends on it and names none.
    fn with_order(&self, call: &AggregateCall, order: &[SortKey], plan: &LogicalPlan) -> AggregateCall {
        let mut call = call.clone();
        let sensitive = function::by_id(call.func).is_some_and(|f| ORDER_SENSITIVE.contains(&f.name));
        let ids = plan_ids(plan);
        let visible = |k: &SortKey| {
            let mut used = Default::default();
            visit::columns(&k.expr, &mut used);
            used.keys().all(|c| ids.contains(c)) && !visit::has_sub_query(&k.expr)
        };
        if sensitive && call.order.is_empty() && !call.distinct && order.iter().all(visible) {
            call.order = order.to_vec();
        }
        call
    }

    fn aggregate_call(&mut self, plan: &mut LogicalPlan, call: &AggregateCall, below: &mut Vec<Df>) -> Result<Df> {
        let mut lowered = |l: &mut Self, e: &Expr, by_key: bool| -> Result<Df> {
            let e = l.hoist(plan, e)?;
            let df = l.expr(&e)?;
            let df = if by_key { key(df, e.ty()) } else { df };
            let id = l.fresh();
            below.push(df.alias(name(id)));
            Ok(column(id))
        };
        let mut args = call.args.iter().map(|e| lowered(self, e, false)).collect::<Result<Vec<_>>>()?;
        if args.is_empty() {
            args.push(lit(1i64));
        }
        let filter = match &call.filter {
            Some(f) => Some(Box::new(lowered(self, f, false)?)),
            None => None,
        };
        let mut order = vec![];
        for k in &call.order {
            let e = lowered(self, &k.expr, true)?;
            order.push(datafusion::logical_expr::expr::Sort::new(e, !k.desc, k.nulls_first));
        }
        let udaf = udaf(call)?;
        Ok(Df::AggregateFunction(AggregateFunction::new_udf(udaf, args, call.distinct, filter, order, None)))
    }

    /// SELECT DISTINCT.
    pub(super) fn distinct(&mut self, input: &Rel) -> Result<LogicalPlan> {
        let plan = self.rel(input)?;
        self.distinct_plan(plan, &visit::output(input))
    }

    /// The distinct rows of a plan with these columns.
    pub(super) fn distinct_plan(&mut self, plan: LogicalPlan, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        if columns.is_empty() {
            return build(LogicalPlanBuilder::from(plan).limit(0, Some(1)));
        }
        let groups: Vec<(ColId, Expr)> =
            columns.iter().map(|(id, ty)| (*id, Expr::Column { id: *id, ty: *ty })).collect();
        self.grouped(plan, &groups, &[], &[])
    }

    /// DISTINCT ON: the first row per key in the input's order.
    pub(super) fn distinct_on(&mut self, input: &Rel, on: &[Expr]) -> Result<LogicalPlan> {
        let order = match input {
            Rel::Sort { keys, .. } => keys.clone(),
            _ => vec![],
        };
        let below = match input {
            Rel::Sort { input, .. } => input,
            other => other,
        };
        let mut plan = self.rel(below)?;
        let before = plan_ids(&plan);
        let mut partition = vec![];
        for e in on {
            let e = self.hoist(&mut plan, e)?;
            partition.push(key(self.expr(&e)?, e.ty()));
        }
        let row = self.fresh();
        let (plan, order) = self.numbered(plan, partition, &order, row, "row_number")?;
        let plan = build(LogicalPlanBuilder::from(plan).filter(column(row).eq(lit(1u64))))?;
        let plan = match order.is_empty() {
            true => plan,
            false => build(LogicalPlanBuilder::from(plan).sort(order))?,
        };
        self.only(plan, before)
    }

    /// FETCH FIRST … WITH TIES: rows up to `skip + take` and those that sort equal to the last of them.
    pub(super) fn limit_with_ties(&mut self, input: &Rel, skip: usize, take: usize) -> Result<LogicalPlan> {
        let Rel::Sort { input, keys } = input else {
            return Err(Error::new(
                heddle_types::SqlState::SYNTAX_ERROR,
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        };
        let plan = self.rel(input)?;
        let before = plan_ids(&plan);
        let (row, rank) = (self.fresh(), self.fresh());
        let (plan, _) = self.numbered(plan, vec![], keys, row, "row_number")?;
        let (plan, order) = self.numbered(plan, vec![], keys, rank, "rank")?;
        let (skip, last) = (skip as u64, skip.saturating_add(take) as u64);
        let wanted = column(row).gt(lit(skip)).and(column(rank).lt_eq(lit(last)));
        let wanted = if take == 0 { lit(false) } else { wanted };
        let plan = build(LogicalPlanBuilder::from(plan).filter(wanted))?;
        let plan = build(LogicalPlanBuilder::from(plan).sort(order))?;
        self.only(plan, before)
    }

    /// Adds row_number() or rank(); answers the lowered order too.
    pub(super) fn numbered(
        &mut self,
        mut plan: LogicalPlan,
        partition: Vec<Df>,
        order: &[SortKey],
        id: ColId,
        which: &str,
    ) -> Result<(LogicalPlan, Vec<datafusion::logical_expr::SortExpr>)> {
        let mut sorts = vec![];
        for k in order {
            let e = self.hoist(&mut plan, &k.expr)?;
            sorts.push(self.sort_key(&SortKey { expr: e, ..k.clone() })?);
        }
        let udf = match which {
            "rank" => datafusion::functions_window::rank::rank_udwf(),
            _ => datafusion::functions_window::row_number::row_number_udwf(),
        };
        let mut call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(udf), vec![]);
        call.params.partition_by = partition;
        call.params.order_by = sorts.clone();
        call.params.window_frame = WindowFrame::new(Some(true));
        if sorts.is_empty() {
            call.params.window_frame = WindowFrame::new(None);
        }
        let e = Df::WindowFunction(Box::new(call)).alias(name(id));
        let plan =
            LogicalPlanBuilder::from(plan).window(vec![e]).and_then(LogicalPlanBuilder::build).map_err(from_df)?;
        Ok((plan, sorts))
    }
}

/// The column below that holds group `at` in its own form.
fn carried_name(below: &[Df], at: usize, outputs: &[(ColId, ColId)]) -> datafusion::common::Column {
    // Each earlier group put one column below, or two when it needs a key.
    let place = outputs[..at].iter().map(|(id, v)| if id == v { 2 } else { 1 }).sum::<usize>();
    match &below[place] {
        Df::Alias(a) => datafusion::common::Column::new_unqualified(a.name.clone()),
        other => datafusion::common::Column::new_unqualified(other.schema_name().to_string()),
    }
}

/// The DataFusion aggregate of a call.
pub(super) fn udaf(call: &AggregateCall) -> Result<Arc<datafusion::logical_expr::AggregateUDF>> {
    let f = function::by_id(call.func)
        .ok_or_else(|| Error::internal(format!("function with OID {} does not exist", call.func.0)))?;
    let Kind::Aggregate(factory) = f.kind else {
        return Err(Error::internal(format!("function {} is not an aggregate", f.name)));
    };
    let types: Vec<PgType> = call.args.iter().map(Expr::ty).collect();
    factory(&CallTypes { args: &types, ret: call.ty })
}

/// The order in which a relation's rows come, as far as it says.
fn order_of(rel: &Rel) -> Vec<SortKey> {
    match rel {
        Rel::Sort { keys, .. } => keys.clone(),
        Rel::Filter { input, .. } | Rel::Project { input, .. } | Rel::Limit { input, .. } => order_of(input),
        _ => vec![],
    }
}
