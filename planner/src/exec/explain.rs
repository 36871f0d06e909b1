//! EXPLAIN's text: our plan in the shape PostgreSQL users read.

use super::RowStream;
use arrow::array::{ArrayRef, StringArray};
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan};
use futures::StreamExt;
use heddle_types::Result;
use std::fmt;
use std::sync::Arc;

/// Lines of a plan: (depth, text).
pub(crate) type Lines = Vec<(usize, String)>;

/// The lines of a direct plan: a point read of (index, table), or rows of expressions.
pub(crate) fn direct(point: Option<(String, String)>) -> Lines {
    vec![(
        0,
        point.map_or_else(|| "Result".to_owned(), |(index, table)| format!("Index Scan using {index} on {table}")),
    )]
}

/// Puts a head line over a plan.
pub(crate) fn under(lines: &mut Lines, head: Option<String>) {
    if let Some(head) = head {
        lines.iter_mut().for_each(|l| l.0 += 1);
        lines.insert(0, (0, head));
    }
}

/// The lines of a DataFusion plan.
pub(crate) fn physical(plan: &Arc<dyn ExecutionPlan>) -> Lines {
    let mut out = vec![];
    walk(plan, 0, &mut out);
    out
}

fn walk(plan: &Arc<dyn ExecutionPlan>, depth: usize, out: &mut Lines) {
    let below = match node(plan.name(), &One(plan.as_ref()).to_string()) {
        Some(text) => {
            out.push((depth, text));
            depth + 1
        }
        None => depth,
    };
    plan.children().into_iter().for_each(|c| walk(c, below, out));
}

/// One node without its children.
struct One<'a>(&'a dyn ExecutionPlan);

impl fmt::Display for One<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(DisplayFormatType::Default, f)
    }
}

/// PostgreSQL's word for an operator; None for those that only move batches.
fn node(name: &str, text: &str) -> Option<String> {
    let detail = || text.split_once(": ").map_or("", |(_, d)| d);
    let word = match name {
        "CoalesceBatchesExec"
        | "CoalescePartitionsExec"
        | "CooperativeExec"
        | "RepartitionExec"
        | "ProjectionExec"
        | "BufferExec" => return None,
        "ScanExec" | "SeriesScanExec" => return Some(text.to_owned()),
        "FilterExec" => "Filter",
        "HashJoinExec" => "Hash Join",
        "NestedLoopJoinExec" | "CrossJoinExec" => "Nested Loop",
        "SortMergeJoinExec" => "Merge Join",
        "AggregateExec" => "Aggregate",
        "SortExec" => "Sort",
        "SortPreservingMergeExec" => "Gather Merge",
        "GlobalLimitExec" | "LocalLimitExec" => "Limit",
        "UnionExec" | "InterleaveExec" => "Append",
        "WindowAggExec" | "BoundedWindowAggExec" => "WindowAgg",
        "PlaceholderRowExec" | "EmptyExec" => return Some("Result".to_owned()),
        "OpExec" => return Some(text.to_owned()),
        "DataSourceExec" => "Values Scan",
        other => other,
    };
    let detail = detail();
    Some(if detail.is_empty() { word.to_owned() } else { format!("{word}  ({detail})") })
}

/// PostgreSQL's indentation.
pub(crate) fn text(lines: &Lines) -> String {
    let line = |(depth, text): &(usize, String)| match depth {
        0 => text.clone(),
        d => format!("{}->  {text}", " ".repeat(2 + (d - 1) * 6)),
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// EXPLAIN (FORMAT JSON).
pub(crate) fn json(lines: &Lines) -> String {
    fn node(lines: &Lines, at: &mut usize) -> serde_json::Value {
        let (depth, text) = &lines[*at];
        *at += 1;
        let mut object = serde_json::Map::new();
        object.insert("Node Type".to_owned(), serde_json::Value::String(text.clone()));
        let mut children = vec![];
        while *at < lines.len() && lines[*at].0 > *depth {
            children.push(node(lines, at));
        }
        if !children.is_empty() {
            object.insert("Plans".to_owned(), serde_json::Value::Array(children));
        }
        serde_json::Value::Object(object)
    }
    let mut at = 0;
    let mut plans = vec![];
    while at < lines.len() {
        plans.push(serde_json::json!({ "Plan": node(lines, &mut at) }));
    }
    serde_json::to_string_pretty(&serde_json::Value::Array(plans)).expect("maps with string keys serialise")
}

/// One text row per line (JSON: one row).
pub(crate) fn rows(text: String) -> Result<RowStream> {
    let lines: Vec<&str> = if text.starts_with('[') { vec![text.as_str()] } else { text.lines().collect() };
    let n = lines.len();
    let array: ArrayRef = Arc::new(StringArray::from(lines));
    let batch = super::rowset::batch(vec![array], n)?;
    Ok(futures::stream::iter([Ok(batch)]).boxed())
}
