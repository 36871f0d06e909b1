//! sqllogictest files: parser, runner over the simple protocol, comparison.
//!
//! The format is the one of `../shared/conformance/README.md`: `statement ok`, `statement error CODE`, `query TYPES SORT`
//! with an optional `nosort`, `rowsort` or `valuesort`; `#` comments; values compared as text with NULL and `(empty)`.
//! A parser of our own, because errors are matched by SQLSTATE, which the `sqllogictest` crate can only match as part of a
//! message.

use crate::wire::Conn;
use std::path::Path;

/// How results are ordered before they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// As they come.
    None,
    /// By row.
    Rows,
    /// Every value is a line of its own.
    Values,
}

/// What a record expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Success, whatever is returned.
    Ok,
    /// Failure with a SQLSTATE; without one any failure.
    Error(Option<String>),
    /// Rows.
    Rows {
        /// Number of columns.
        columns: usize,
        /// Order
        sort: Sort,
        /// Lines as in the file.
        lines: Vec<String>,
    },
}

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Line of its first word.
    pub line: usize,
    /// Statement
    pub sql: String,
    /// Expected
    pub expect: Expect,
}

/// A parsed file.
#[derive(Debug, Default)]
pub struct Script {
    /// Records in order.
    pub records: Vec<Record>,
    /// Marked `# postgres`: PostgreSQL must give the same answers.
    pub postgres: bool,
}

/// A record that failed, or could not be run.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Line in the file.
    pub line: usize,
    /// Statement
    pub sql: String,
    /// Expected and got.
    pub cause: String,
}

/// The result of a file.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records as expected.
    pub passed: usize,
    /// Records that differed.
    pub failures: Vec<Failure>,
    /// Records that were not run, because the connection or the database was gone.
    pub skipped: usize,
}

/// Parses a file.
///
/// # Errors
/// A line that is no record.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut script = Script::default();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if line.trim() == "# postgres" {
            script.postgres = true;
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let mut sql = vec![];
        let mut answer = None;
        while let Some((_, line)) = lines.next_if(|(_, l)| !l.trim().is_empty()) {
            match (&mut answer, line) {
                (None, "----") => answer = Some(vec![]),
                (None, line) => sql.push(line),
                (Some(lines), line) => lines.push(line.to_owned()),
            }
        }
        let expect = match words[..] {
            ["statement", "ok"] => Expect::Ok,
            ["statement", "error"] => Expect::Error(None),
            ["statement", "error", code] => Expect::Error(Some(code.to_owned())),
            ["query", "error", code] => Expect::Error(Some(code.to_owned())),
            ["query", types, ref sort @ ..] => Expect::Rows {
                columns: types.len(),
                sort: match sort.first() {
                    None | Some(&"nosort") => Sort::None,
                    Some(&"rowsort") => Sort::Rows,
                    Some(&"valuesort") => Sort::Values,
                    Some(other) => return Err(format!("line {}: unknown order {other}", at + 1)),
                },
                lines: answer.unwrap_or_default(),
            },
            _ => return Err(format!("line {}: no record: {line}", at + 1)),
        };
        script.records.push(Record { line: at + 1, sql: sql.join("\n"), expect });
    }
    Ok(script)
}

/// Reads and parses a file.
///
/// # Errors
/// Unreadable or malformed.
pub fn load(path: &Path) -> Result<Script, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    parse(&text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Runs a script; `connect` opens (and reopens, when the connection is lost) a session in its database.
pub fn run(script: &Script, mut connect: impl FnMut() -> Option<Conn>) -> Tally {
    let mut tally = Tally::default();
    let mut conn = connect();
    for record in &script.records {
        if conn.is_none() {
            conn = connect();
        }
        let Some(session) = &mut conn else {
            tally.skipped += 1;
            continue;
        };
        let outcome = session.query(&record.sql);
        let cause = match &outcome.lost {
            Some(e) => Some(format!("connection lost: {e}")),
            None => verdict(&record.expect, &outcome).err(),
        };
        if outcome.lost.is_some() {
            conn = None;
        }
        match cause {
            None => tally.passed += 1,
            Some(cause) => tally.failures.push(Failure { line: record.line, sql: record.sql.clone(), cause }),
        }
    }
    tally
}

fn verdict(expect: &Expect, outcome: &crate::Outcome) -> Result<(), String> {
    match (expect, &outcome.error) {
        (Expect::Ok, None) => Ok(()),
        (Expect::Error(None), Some(_)) => Ok(()),
        (Expect::Error(Some(code)), Some(e)) if e.code == *code => Ok(()),
        (Expect::Error(code), Some(e)) => Err(format!("expected {}, got {}", code.as_deref().unwrap_or("?"), e.full())),
        (Expect::Error(code), None) => {
            Err(format!("expected {}, got {}", code.as_deref().unwrap_or("an error"), outcome.short()))
        }
        (_, Some(e)) => Err(format!("failed: {}", e.full())),
        (Expect::Rows { columns, sort, lines }, None) => compare(*columns, *sort, lines, outcome),
    }
}

fn compare(columns: usize, sort: Sort, expected: &[String], outcome: &crate::Outcome) -> Result<(), String> {
    let width = outcome.results.iter().rev().find_map(|r| r.columns.as_ref()).map_or(0, Vec::len);
    // The corpus gives empty results one column, whatever they have.
    if width != columns && !(expected.is_empty() && outcome.rows().next().is_none()) {
        return Err(format!("expected {columns} columns, got {width}"));
    }
    let mut expected: Vec<_> = expected.iter().map(|l| normal(l)).collect();
    let mut actual = actual_lines(sort, outcome);
    if sort != Sort::None {
        expected.sort_unstable();
        actual.sort_unstable();
    }
    if expected == actual {
        return Ok(());
    }
    let (missing, extra) = (difference(&expected, &actual), difference(&actual, &expected));
    let count = format!("expected {} lines, got {}", expected.len(), actual.len());
    Err(format!("{count}; only expected: {missing}; only got: {extra}"))
}

fn actual_lines(sort: Sort, outcome: &crate::Outcome) -> Vec<String> {
    let value = |v: &Option<String>| match v.as_deref() {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(v) => v.to_owned(),
    };
    match sort {
        Sort::Values => outcome.rows().flatten().map(|v| normal(&value(v))).collect(),
        _ => outcome.rows().map(|r| normal(&r.iter().map(value).collect::<Vec<_>>().join(" "))).collect(),
    }
}

/// Runs of white space count as one: the files separate columns by a blank.
fn normal(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn difference(a: &[String], b: &[String]) -> String {
    const SHOWN: usize = 4;
    let only: Vec<_> = a.iter().filter(|l| !b.contains(l)).map(|l| format!("[{l}]")).take(SHOWN).collect();
    match only.is_empty() {
        true => "nothing (order or number differs)".to_owned(),
        false => only.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_records() {
        let text = "# postgres\n\nstatement ok\nCREATE TABLE t(a int)\n\nstatement error 42P01\nSELECT\n1\n\n\
                    query TT rowsort\nSELECT 1, 2\n----\n1 2\n\nquery T valuesort\nSELECT 1\n----\n";
        let script = parse(text).unwrap();
        assert!(script.postgres);
        assert_eq!(script.records.len(), 4);
        assert_eq!(script.records[1].expect, Expect::Error(Some("42P01".to_owned())));
        assert_eq!(script.records[1].sql, "SELECT\n1");
        let rows = Expect::Rows { columns: 2, sort: Sort::Rows, lines: vec!["1 2".to_owned()] };
        assert_eq!(script.records[2].expect, rows);
        assert_eq!(script.records[3].line, 15);
        assert!(parse("nonsense here\n").is_err());
    }
}
