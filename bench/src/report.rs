//! Figures: what was measured for each peer, as a Markdown table and as JSON.

use crate::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Who was measured; the order is that of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// This project.
    Heddle,
    /// PostgreSQL 15.
    Postgres,
    /// DuckDB, in a Python process.
    Duck,
    /// ClickHouse as a library, in a Python process.
    Chdb,
}

impl Peer {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Heddle => "HeddleDB",
            Self::Postgres => "PostgreSQL 15",
            Self::Duck => "DuckDB",
            Self::Chdb => "chdb",
        }
    }
}

/// A measured value, or why there is none.
pub type Sample = Result<f64>;

/// One line of the table.
#[derive(Debug)]
pub struct Figure {
    /// Its subject.
    pub what: String,
    /// Unit of the samples.
    pub unit: &'static str,
    /// By peer, in the order in which they were taken.
    pub samples: BTreeMap<Peer, Vec<Sample>>,
}

impl Figure {
    /// The median of a peer's samples.
    ///
    /// # Errors
    /// The first failure: a figure with a failed sample is a failed figure.
    pub fn median(&self, peer: Peer) -> Option<Sample> {
        let samples = self.samples.get(&peer)?;
        let values: Result<Vec<f64>> = samples.iter().cloned().collect();
        Some(values.and_then(median))
    }
}

fn median(mut values: Vec<f64>) -> Sample {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => Err("not measured".to_owned()),
        n if n % 2 == 1 => Ok(values[n / 2]),
        n => Ok((values[n / 2 - 1] + values[n / 2]) / 2.0),
    }
}

/// Everything one workload measured.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines in order.
    pub figures: Vec<Figure>,
    /// What a reader must know: sizes, durability, machine, commit.
    pub conditions: Vec<String>,
}

impl Report {
    /// Adds a sample to the line with this subject and unit, which is made when it is new.
    pub fn add(&mut self, what: &str, unit: &'static str, peer: Peer, sample: Sample) {
        match &sample {
            Ok(value) => eprintln!("   {what}: {} {} {unit}", peer.name(), digits(*value)),
            Err(why) => eprintln!("   {what}: {} FAILED: {why}", peer.name()),
        }
        let place = self.figures.iter().position(|f| f.what == what && f.unit == unit).unwrap_or_else(|| {
            self.figures.push(Figure { what: what.to_owned(), unit, samples: BTreeMap::new() });
            self.figures.len() - 1
        });
        self.figures[place].samples.entry(peer).or_default().push(sample);
    }

    /// The median of a line's samples of a peer.
    ///
    /// # Errors
    /// A failed sample, or that there is none.
    pub fn median(&self, what: &str, peer: Peer) -> Sample {
        let figure = self.figures.iter().find(|f| f.what == what);
        figure.and_then(|f| f.median(peer)).unwrap_or_else(|| Err("not measured".to_owned()))
    }

    /// Adds a sentence to the conditions.
    pub fn note(&mut self, text: impl Into<String>) {
        self.conditions.push(text.into());
    }

    fn peers(&self) -> Vec<Peer> {
        let mut peers: Vec<Peer> = self.figures.iter().flat_map(|f| f.samples.keys().copied()).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Markdown: a line for each figure, a column for each peer, and how many times its value ours is.
    pub fn table(&self) -> String {
        let peers = self.peers();
        let mut text = "| what | unit |".to_owned();
        let mut rule = "|---|---|".to_owned();
        for peer in &peers {
            text += &format!(" {} |", peer.name());
            rule += "--:|";
            if *peer != Peer::Heddle {
                text += " ours / it |";
                rule += "--:|";
            }
        }
        let mut failures = vec![];
        text += &format!("\n{rule}\n");
        for figure in &self.figures {
            put(&mut text, &format!("| {} | {} |", figure.what, figure.unit));
            for peer in &peers {
                put(&mut text, &cells(figure, *peer, &mut failures));
            }
            text.push('\n');
        }
        text.push('\n');
        for line in failures.iter().map(|f| format!("Failed: {f}")).chain(self.conditions.iter().cloned()) {
            put(&mut text, &format!("- {line}\n"));
        }
        text
    }

    /// All samples.
    pub fn json(&self, name: &str) -> String {
        let sample = |s: &Sample| match s {
            Ok(value) => json!(value),
            Err(why) => json!({ "failed": why }),
        };
        let figure = |f: &Figure| {
            let samples = f.samples.iter().map(|(p, s)| (p.name().to_owned(), s.iter().map(sample).collect()));
            json!({ "what": f.what, "unit": f.unit, "samples": samples.collect::<serde_json::Map<String, Value>>() })
        };
        let figures: Vec<Value> = self.figures.iter().map(figure).collect();
        format!("{:#}\n", json!({ "workload": name, "conditions": self.conditions, "figures": figures }))
    }
}

/// A peer's cells: the median and, for others, our ratio to it.
fn cells(figure: &Figure, peer: Peer, failures: &mut Vec<String>) -> String {
    let ratio = match (figure.median(Peer::Heddle), figure.median(peer)) {
        (Some(Ok(ours)), Some(Ok(theirs))) if theirs > 0.0 => format!(" {:.2} |", ours / theirs),
        _ => " |".to_owned(),
    };
    let value = match figure.median(peer) {
        Some(Ok(value)) => digits(value),
        Some(Err(why)) => {
            let line = format!("{}, {}: {why}", figure.what, peer.name());
            // Lines that share a subject, as throughput and CPU do, fail together.
            if !failures.contains(&line) {
                failures.push(line);
            }
            "failed".to_owned()
        }
        None => String::new(),
    };
    if peer == Peer::Heddle { format!(" {value} |") } else { format!(" {value} |{ratio}") }
}

/// Three digits that matter.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    if decimals > 0 { text } else { grouped(&text) }
}

/// `1234567` as `1,234,567`.
fn grouped(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(c);
    }
    out
}

fn put(text: &mut String, more: &str) {
    text.write_str(more).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_medians_ratios_and_failures() {
        let mut report = Report::default();
        for value in [3.0, 1.0, 2.0] {
            report.add("select", "TPS", Peer::Heddle, Ok(value * 1000.0));
            report.add("select", "TPS", Peer::Postgres, Ok(value * 500.0));
        }
        report.add("copy", "s", Peer::Heddle, Err("0A000 no".to_owned()));
        report.add("copy", "s", Peer::Heddle, Ok(1.0));
        report.add("copy", "s", Peer::Postgres, Ok(0.25));
        report.note("16 clients");
        let expected = "\
| what | unit | HeddleDB | PostgreSQL 15 | ours / it |
|---|---|--:|--:|--:|
| select | TPS | 2,000 | 1,000 | 2.00 |
| copy | s | failed | 0.250 | |

- Failed: copy, HeddleDB: 0A000 no
- 16 clients
";
        assert_eq!(report.table(), expected);
        assert!(report.json("x").contains("\"failed\": \"0A000 no\""));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(digits(1_234_567.8), "1,234,568");
        assert_eq!((digits(-1234.0), digits(0.1234), digits(12.34)), ("-1,234".into(), "0.123".into(), "12.3".into()));
    }
}
