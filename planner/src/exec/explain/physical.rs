//! A DataFusion plan as EXPLAIN's nodes. Operators that only move batches are left out, the two halves of a split aggregation are one node,
//! and a filter is a property of what it filters, as in PostgreSQL.

use super::names::{Names, column, columns};
use super::{Actual, Node};
use datafusion::common::JoinType;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The nodes of a plan; `begun` when it has run.
pub(crate) fn nodes(plan: &Arc<dyn ExecutionPlan>, names: &mut Names, begun: Option<SystemTime>) -> Node {
    learn(plan, names);
    node(plan, names, begun)
}

/// Names for columns that lowering added: the projections below say what they are.
fn learn(plan: &Arc<dyn ExecutionPlan>, names: &mut Names) {
    plan.children().into_iter().for_each(|c| learn(c, names));
    let Some(projection) = plan.downcast_ref::<ProjectionExec>() else { return };
    for e in projection.expr() {
        if let (Some(id), Some(text)) = (column(&e.alias), names.translate(&unwrapped(&e.expr.to_string()))) {
            names.add(id, text);
        }
    }
}

/// Without the call that makes a sort key.
fn unwrapped(text: &str) -> String {
    match text.strip_prefix("sort_key(").and_then(|t| t.strip_suffix(')')) {
        Some(inner) => inner.to_owned(),
        None => text.to_owned(),
    }
}

/// One node without its children.
struct One<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for One<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}

fn children(plan: &Arc<dyn ExecutionPlan>, names: &Names, begun: Option<SystemTime>) -> Vec<Node> {
    plan.children().into_iter().map(|c| node(c, names, begun)).collect()
}

fn node(plan: &Arc<dyn ExecutionPlan>, names: &Names, begun: Option<SystemTime>) -> Node {
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return filtered(plan, filter, names, begun);
    }
    if let (Some(below), true) = (plan.children().first(), is_mover(plan.as_ref())) {
        return node(below, names, begun);
    }
    let mut made = described(plan, names);
    let below = match plan.downcast_ref::<AggregateExec>() {
        Some(a) if !matches!(a.mode(), AggregateMode::Partial) => first_half(plan).unwrap_or_else(|| Arc::clone(plan)),
        _ => Arc::clone(plan),
    };
    made.children = children(&below, names, begun);
    made.actual = begun.and_then(|b| actual(plan.as_ref(), b));
    made
}

/// The partial aggregation below a final one.
fn first_half(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let mut below = Arc::clone(plan.children().first()?);
    while is_mover(below.as_ref()) {
        let next = Arc::clone(below.children().first()?);
        below = next;
    }
    let partial = below.downcast_ref::<AggregateExec>().is_some_and(|a| matches!(a.mode(), AggregateMode::Partial));
    partial.then_some(below)
}

fn is_mover(plan: &dyn ExecutionPlan) -> bool {
    matches!(
        plan.name(),
        "CoalesceBatchesExec"
            | "CoalescePartitionsExec"
            | "CooperativeExec"
            | "RepartitionExec"
            | "ProjectionExec"
            | "BufferExec"
            | "SortPreservingMergeExec"
    )
}

fn filtered(plan: &Arc<dyn ExecutionPlan>, filter: &FilterExec, names: &Names, begun: Option<SystemTime>) -> Node {
    let text = filter.predicate().to_string();
    let Some(input) = plan.children().first().map(|c| node(c, names, begun)) else { return Node::new("Filter") };
    let removed = |kept: &Actual, of: &Node| of.actual.map(|a| a.rows.saturating_sub(kept.rows).to_string());
    let kept = begun.and_then(|b| actual(plan.as_ref(), b));
    let removed = kept.as_ref().and_then(|k| removed(k, &input));
    // A scan tests some conditions itself: what it shows of them is part of the whole.
    let tested: Vec<_> = columns(&text).into_iter().chain(input.tested.iter().copied()).collect();
    let condition = names.conditions_over(&tested).or_else(|| names.translate(&text));
    let mut out = input.without("Filter").with("Filter", condition).with("Rows Removed by Filter", removed);
    out.actual = kept.or(out.actual);
    out
}

fn described(plan: &Arc<dyn ExecutionPlan>, names: &Names) -> Node {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let pair = |(a, b): &(_, _)| Some(format!("({} = {})", key(names, a)?, key(names, b)?));
        let on = join.on().iter().map(pair).collect::<Option<Vec<_>>>().map(|v| v.join(" AND "));
        return Node::new(join_kind("Hash", *join.join_type())).with("Hash Cond", on);
    }
    if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        return Node::new(join_kind("Nested Loop", *join.join_type()));
    }
    if let Some(a) = plan.downcast_ref::<AggregateExec>() {
        let keys = a.group_expr().expr();
        let kind = if keys.is_empty() { "Aggregate" } else { "HashAggregate" };
        let keys: Option<Vec<String>> = keys.iter().map(|(e, _)| key(names, e)).collect();
        return Node::new(kind).with("Group Key", keys.filter(|k| !k.is_empty()).map(|k| k.join(", ")));
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let keys: Option<Vec<String>> = sort.expr().iter().map(|k| sort_key(names, &k.to_string())).collect();
        return Node::new("Sort").with("Sort Key", keys.map(|k| k.join(", ")));
    }
    let text = One(plan.as_ref()).to_string();
    match plan.name() {
        "ScanExec" => scan(&text, names),
        "SeriesScanExec" | "LastPointExec" => Node::parse(&text),
        "OpExec" => Node::parse(&text),
        "CrossJoinExec" => Node::new("Nested Loop"),
        "SortMergeJoinExec" => Node::new("Merge Join"),
        "GlobalLimitExec" | "LocalLimitExec" => Node::new("Limit"),
        "UnionExec" | "InterleaveExec" => Node::new("Append"),
        "WindowAggExec" | "BoundedWindowAggExec" => Node::new("WindowAgg"),
        "PlaceholderRowExec" | "EmptyExec" => Node::new("Result"),
        "DataSourceExec" => Node::new("Values Scan"),
        other => Node::new(other),
    }
}

/// A scan of rows: itself, and the columns it tests on a line of their own.
fn scan(text: &str, names: &Names) -> Node {
    let (title, tested) = text.split_once("\nTested: ").unwrap_or((text, ""));
    let tested = columns(tested);
    let condition = names.conditions_over(&tested);
    Node { tested, ..Node::scan(title) }.with("Filter", condition)
}

fn key(names: &Names, e: &impl fmt::Display) -> Option<String> {
    names.translate(&unwrapped(&e.to_string()))
}

/// `c2@0 ASC NULLS LAST` as SQL says it, without what is the default.
fn sort_key(names: &Names, text: &str) -> Option<String> {
    let (e, order) = match text.split_once(" ASC") {
        Some((e, " NULLS LAST")) => (e, ""),
        Some((e, _)) => (e, " NULLS FIRST"),
        None => match text.split_once(" DESC")? {
            (e, " NULLS LAST") => (e, " DESC NULLS LAST"),
            (e, _) => (e, " DESC"),
        },
    };
    Some(format!("{}{order}", names.translate(&unwrapped(e))?))
}

/// `Hash Join`, `Hash Left Join`, `Nested Loop`, `Nested Loop Left Join`
fn join_kind(how: &str, kind: JoinType) -> String {
    let word = match kind {
        JoinType::Inner => return if how == "Hash" { "Hash Join".to_owned() } else { how.to_owned() },
        JoinType::Left => "Left",
        JoinType::Right => "Right",
        JoinType::Full => "Full",
        JoinType::LeftSemi | JoinType::RightSemi => "Semi",
        JoinType::LeftAnti | JoinType::RightAnti => "Anti",
        JoinType::LeftMark | JoinType::RightMark => "Mark",
    };
    format!("{how} {word} Join")
}

/// Rows and times, as far as the operator counts them; its partitions together.
fn actual(plan: &dyn ExecutionPlan, begun: SystemTime) -> Option<Actual> {
    let metrics = plan.metrics()?;
    let rows = metrics.output_rows()?;
    let (mut first, mut last) = (None::<Duration>, None::<Duration>);
    for metric in metrics.iter() {
        let since = |t: &datafusion::physical_plan::metrics::Timestamp| {
            t.value().and_then(|at| SystemTime::from(at).duration_since(begun).ok())
        };
        match metric.value() {
            MetricValue::StartTimestamp(t) => {
                let at = since(t);
                first = [first, at].into_iter().flatten().min();
            }
            MetricValue::EndTimestamp(t) => last = last.max(since(t)),
            _ => {}
        }
    }
    Some(Actual { time: first.zip(last), rows: rows as u64 })
}
