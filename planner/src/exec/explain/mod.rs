//! EXPLAIN: our plan in the shape PostgreSQL users and their tools read.
//!
//! A plan is a tree of [`Node`]s: a point plan or a series plan makes one or two, a DataFusion plan is translated by [`physical`]. There is no cost model, so
//! no costs are shown; the line `Execution` says which way the statement goes.

mod names;
mod physical;

pub(crate) use names::Names;
pub(crate) use physical::nodes;

use super::RowStream;
use crate::bound::{ColId, ExplainOptions};
use arrow::array::{ArrayRef, StringArray};
use futures::StreamExt;
use heddle_types::Result;
use serde_json::{Map, Value, json};
use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// What a node did under ANALYZE.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actual {
    /// From the start of the statement until the operator began, and until it ended.
    pub time: Option<(Duration, Duration)>,
    /// Rows it gave.
    pub rows: u64,
}

/// An operator of a plan.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// `Seq Scan`
    pub kind: String,
    /// The index a scan uses.
    pub index: Option<String>,
    /// The table it reads or changes.
    pub relation: Option<String>,
    /// `Filter`, `Sort Key` and so on.
    pub properties: Vec<(&'static str, String)>,
    /// Columns that a scan tests itself.
    pub tested: Vec<ColId>,
    pub actual: Option<Actual>,
    pub children: Vec<Node>,
}

impl Node {
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Reads `Index Scan using i on t` and `Seq Scan on t`, as scans describe themselves.
    pub fn scan(text: &str) -> Self {
        let (text, relation) = match text.split_once(" on ") {
            Some((head, relation)) => (head, Some(relation.to_owned())),
            None => (text, None),
        };
        match text.split_once(" using ") {
            Some((kind, index)) => Self { index: Some(index.to_owned()), relation, ..Self::new(kind) },
            None => Self { relation, ..Self::new(text) },
        }
    }

    /// Reads `Series Scan on t` and a line for each property below it, as operators of ours describe themselves.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let mut node = Self::scan(lines.next().unwrap_or_default());
        for (name, value) in lines.filter_map(|l| l.split_once(": ")) {
            let known = ["Series", "From", "To", "Field Cond", "Statistics"].into_iter().find(|k| *k == name);
            node.properties.extend(known.map(|k| (k, value.to_owned())));
        }
        node
    }

    pub fn with(mut self, name: &'static str, value: Option<String>) -> Self {
        self.properties.extend(value.map(|v| (name, v)));
        self
    }

    pub fn without(mut self, name: &'static str) -> Self {
        self.properties.retain(|(n, _)| *n != name);
        self
    }

    fn title(&self) -> String {
        let index = self.index.as_ref().map_or_else(String::new, |i| format!(" using {i}"));
        let relation = self.relation.as_ref().map_or_else(String::new, |r| format!(" on {r}"));
        format!("{}{index}{relation}", self.kind)
    }
}

/// What [`Node::parse`] reads.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title())?;
        self.properties.iter().try_for_each(|(name, value)| write!(f, "\n{name}: {value}"))
    }
}

/// A plan and what is known of the statement as a whole.
pub(crate) struct Report {
    pub plan: Node,
    /// `point plan`, `series plan`, `vectorised plan`
    pub execution: &'static str,
    pub planning: Duration,
    /// Under ANALYZE.
    pub executing: Option<Duration>,
}

fn ms(d: Duration) -> f64 {
    d.as_secs_f64() * 1000.0
}

impl Report {
    /// The text of the chosen format.
    pub fn print(&self, options: &ExplainOptions) -> String {
        if options.json { self.json(options) } else { self.text(options) }
    }

    fn text(&self, options: &ExplainOptions) -> String {
        let mut out = String::new();
        text_node(&self.plan, 0, options, &mut out);
        let _ = writeln!(out, "Execution: {}", self.execution);
        if options.summary.unwrap_or(options.analyze) {
            let _ = writeln!(out, "Planning Time: {:.3} ms", ms(self.planning));
            if let Some(executing) = self.executing {
                let _ = writeln!(out, "Execution Time: {:.3} ms", ms(executing));
            }
        }
        out
    }

    fn json(&self, options: &ExplainOptions) -> String {
        let mut whole = Map::new();
        whole.insert("Plan".to_owned(), json_node(&self.plan, None, options));
        whole.insert("Execution".to_owned(), json!(self.execution));
        if options.summary.unwrap_or(options.analyze) {
            whole.insert("Planning Time".to_owned(), json!(rounded(ms(self.planning))));
            if let Some(executing) = self.executing {
                whole.insert("Execution Time".to_owned(), json!(rounded(ms(executing))));
            }
        }
        serde_json::to_string_pretty(&json!([whole])).expect("maps with string keys serialise")
    }
}

fn rounded(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

/// PostgreSQL's indentation: six columns a level, properties under their node.
fn text_node(node: &Node, depth: usize, options: &ExplainOptions, out: &mut String) {
    let indent = if depth == 0 { String::new() } else { format!("{}->  ", " ".repeat(depth * 6 - 4)) };
    let actual = match node.actual {
        None => String::new(),
        Some(Actual { time: Some((begin, end)), rows }) if options.timing => {
            format!(" (actual time={:.3}..{:.3} rows={rows} loops=1)", ms(begin), ms(end))
        }
        Some(Actual { rows, .. }) => format!(" (actual rows={rows} loops=1)"),
    };
    let _ = writeln!(out, "{indent}{}{actual}", node.title());
    for (name, value) in &node.properties {
        let _ = writeln!(out, "{}{name}: {value}", " ".repeat(depth * 6 + 2));
    }
    for child in &node.children {
        text_node(child, depth + 1, options, out);
    }
}

/// Properties that are lists in JSON.
const LISTS: &[&str] = &["Output", "Sort Key", "Group Key"];

fn json_node(node: &Node, parent: Option<&'static str>, options: &ExplainOptions) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    match node.kind.as_str() {
        word @ ("Insert" | "Update" | "Delete" | "Merge") => {
            put("Node Type", json!("ModifyTable"));
            put("Operation", json!(word));
        }
        kind => {
            put("Node Type", json!(kind));
        }
    }
    if let Some(parent) = parent {
        put("Parent Relationship", json!(parent));
    }
    put("Parallel Aware", json!(false));
    put("Async Capable", json!(false));
    if let Some(index) = &node.index {
        put("Index Name", json!(index));
    }
    if let Some(relation) = &node.relation {
        put("Relation Name", json!(relation));
        put("Alias", json!(relation));
    }
    if let Some(actual) = node.actual {
        if let (Some((begin, end)), true) = (actual.time, options.timing) {
            put("Actual Startup Time", json!(rounded(ms(begin))));
            put("Actual Total Time", json!(rounded(ms(end))));
        }
        put("Actual Rows", json!(actual.rows));
        put("Actual Loops", json!(1));
    }
    for (name, value) in &node.properties {
        let value = if LISTS.contains(name) { json!(value.split(", ").collect::<Vec<_>>()) } else { json!(value) };
        put(name, value);
    }
    if !node.children.is_empty() {
        let relationship = |i: usize| if i == 0 { "Outer" } else { "Inner" };
        let plans = node.children.iter().enumerate().map(|(i, c)| json_node(c, Some(relationship(i)), options));
        put("Plans", plans.collect());
    }
    Value::Object(object)
}

/// One text row per line (JSON: one row).
pub(crate) fn rows(text: String) -> Result<RowStream> {
    let lines: Vec<&str> = if text.starts_with('[') { vec![text.as_str()] } else { text.lines().collect() };
    let n = lines.len();
    let array: ArrayRef = Arc::new(StringArray::from(lines));
    let batch = super::rowset::batch(vec![array], n)?;
    Ok(futures::stream::iter([Ok(batch)]).boxed())
}
