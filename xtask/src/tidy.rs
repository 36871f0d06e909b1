//! Rules about the source that no compiler checks: layering, who may know which foreign vocabulary, who may touch the machine.
//!
//! Each exception stands in a table here with its reason.

use crate::Outcome;
use crate::process::cargo;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A crate uses only crates of lower rows.
const ROWS: [(&str, u32); 21] = [
    ("heddle-types", 0),
    ("heddle-fleet", 0),
    ("heddle-env", 1),
    ("heddle-log", 2),
    ("heddle-engines", 2),
    ("heddle-catalog", 3),
    ("heddle-relational", 3),
    ("heddle-timeseries", 3),
    ("heddle-replication", 3),
    ("heddle-txn", 4),
    ("heddle-planner", 5),
    ("heddle-live", 6),
    ("heddle-session", 7),
    ("heddle-pg-frontend", 8),
    ("heddle-http-frontend", 8),
    ("heddle-kv-frontend", 8),
    ("heddle-server", 9),
    ("heddle-sql-tests", 10),
    ("heddle-sim", 10),
    // Measures what sql-tests knows how to start and to talk to.
    ("heddle-bench", 11),
    // Starts the others' binaries, links none of them.
    ("xtask", 0),
];

/// Foreign vocabularies and the one crate that speaks each.
const HOMES: [(&str, &str); 9] = [
    ("datafusion", "heddle-planner"),
    ("sqlparser", "heddle-planner"),
    ("pgwire", "heddle-pg-frontend"),
    ("socket2", "heddle-pg-frontend"),
    ("redb", "heddle-relational"),
    ("openraft", "heddle-replication"),
    ("pco", "heddle-timeseries"),
    ("getrandom", "heddle-env"),
    ("tpchgen", "heddle-bench"),
];

/// What only `env` may use, so that tests can simulate and break it.
const MACHINE: [&str; 5] = ["std::fs", "tokio::fs", "SystemTime", "Instant::now", "getrandom::"];

/// Exceptions: (path prefix, word, why).
const ALLOWED: [(&str, &str, &str); 6] = [
    ("env/", "", "it is the door itself"),
    ("xtask/", "", "a developer's tool, no part of the server"),
    ("bench/", "", "measures the server from outside"),
    ("sql-tests/", "", "drives the server from outside, as a client and as a test"),
    (
        "planner/src/exec/",
        "SystemTime",
        "the type of the times in DataFusion's metrics; the clock is env's all the same",
    ),
    ("server/src/sources.rs", "std::fs", "reads the configuration file before there is an Env"),
];

/// Checks everything; the error lists every finding.
pub fn run(root: &Path) -> Outcome {
    let mut findings = vec![];
    check_crates(&metadata()?, &mut findings);
    check_sources(root, &mut findings)?;
    if findings.is_empty() {
        return Ok(());
    }
    Err(format!("tidy found {}:\n  {}", findings.len(), findings.join("\n  ")))
}

fn metadata() -> Result<Value, String> {
    let text = cargo(&["metadata", "--format-version", "1", "--no-deps"]).output()?;
    serde_json::from_str(&text).map_err(|e| format!("cargo metadata is not JSON: {e}"))
}

fn check_crates(metadata: &Value, findings: &mut Vec<String>) {
    for package in list(metadata, "packages") {
        let name = text(package, "name");
        let Some(row) = row(name) else {
            findings.push(format!("crate {name} has no row in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in list(package, "dependencies") {
            let (used, test_only) = (text(dependency, "name"), text(dependency, "kind") == "dev");
            check_layer((name, row), used, findings);
            check_home(name, used, test_only, findings);
        }
    }
}

fn check_layer((name, own): (&str, u32), used: &str, findings: &mut Vec<String>) {
    // A crate may name itself to turn a feature on for its tests.
    if let Some(other) = row(used).filter(|other| used != name && *other >= own) {
        findings.push(format!("{name} (row {own}) uses {used} (row {other}): a crate uses only lower rows"));
    }
}

fn check_home(name: &str, used: &str, test_only: bool, findings: &mut Vec<String>) {
    let knows = |(word, _): &&(&str, &str)| used == *word || used.starts_with(&format!("{word}-"));
    if let Some((word, home)) = HOMES.iter().find(knows).filter(|(_, home)| *home != name && !test_only) {
        findings.push(format!("{name} uses {used}: only {home} knows {word}"));
    }
}

fn row(name: &str) -> Option<u32> {
    ROWS.iter().find(|(n, _)| *n == name).map(|(_, row)| *row)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn check_sources(root: &Path, findings: &mut Vec<String>) -> Outcome {
    let mut files = vec![];
    collect(root, &mut files).map_err(|e| format!("could not read the source tree: {e}"))?;
    files.sort();
    for path in files {
        let source = std::fs::read_to_string(&path).map_err(|e| format!("could not read {}: {e}", path.display()))?;
        let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().into_owned();
        check_source(&name, &source, findings);
    }
    Ok(())
}

/// Rust files outside of tests, benches and what cargo builds.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let (path, kind) = entry.and_then(|e| Ok((e.path(), e.file_type()?)))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let skipped = name.starts_with('.') || ["target", "tests", "benches", "examples"].contains(&&*name);
        if kind.is_dir() && !skipped {
            collect(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn check_source(name: &str, source: &str, findings: &mut Vec<String>) {
    // Unit tests stand at the end of a file or in a file of their own.
    if name.ends_with("/tests.rs") {
        return;
    }
    let lines = source.lines().zip(1..).take_while(|(line, _)| line.trim() != "#[cfg(test)]");
    for (line, number) in lines {
        let code = line.split("//").next().unwrap_or_default();
        for word in used_words(code) {
            if !ALLOWED.iter().any(|(prefix, allowed, _)| name.starts_with(prefix) && word.starts_with(allowed)) {
                findings
                    .push(format!("{name}:{number}: {word} belongs to env (or into the table of exceptions in xtask)"));
            }
        }
    }
}

fn used_words(code: &str) -> Vec<&'static str> {
    let grouped = |word: &str| {
        let listed = code
            .trim_start()
            .strip_prefix("use std::{")
            .is_some_and(|rest| rest.split(|c: char| !c.is_alphanumeric()).any(|part| part == "fs"));
        word == "std::fs" && listed
    };
    // tokio's own clock follows its pausable test time.
    let ours = code.replace("tokio::time::Instant::now", "");
    MACHINE.into_iter().filter(|word| ours.contains(word) || grouped(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn crates(name: &str, dependencies: &[(&str, Value)]) -> Vec<String> {
        let dependencies: Vec<Value> = dependencies.iter().map(|(n, kind)| json!({"name": n, "kind": kind})).collect();
        let mut findings = vec![];
        let metadata = json!({"packages": [{"name": name, "dependencies": dependencies}]});
        check_crates(&metadata, &mut findings);
        findings
    }

    fn source(name: &str, text: &str) -> usize {
        let mut findings = vec![];
        check_source(name, text, &mut findings);
        findings.len()
    }

    #[test]
    fn layering_upward_is_found() {
        assert!(crates("heddle-txn", &[("heddle-log", Value::Null), ("bytes", Value::Null)]).is_empty());
        assert_eq!(crates("heddle-txn", &[("heddle-planner", Value::Null)]).len(), 1);
        assert_eq!(crates("heddle-pg-frontend", &[("heddle-http-frontend", Value::Null)]).len(), 1);
        assert!(crates("heddle-engines", &[("heddle-engines", json!("dev"))]).is_empty());
        assert_eq!(crates("heddle-new", &[]).len(), 1);
    }

    #[test]
    fn foreign_vocabulary_outside_its_home_is_found() {
        assert!(crates("heddle-planner", &[("datafusion", Value::Null)]).is_empty());
        assert_eq!(crates("heddle-session", &[("datafusion-common", Value::Null)]).len(), 1);
        assert_eq!(crates("heddle-server", &[("redb", Value::Null)]).len(), 1);
        assert!(crates("heddle-sql-tests", &[("pgwire", json!("dev"))]).is_empty());
    }

    #[test]
    fn machine_outside_env_is_found() {
        assert_eq!(source("txn/src/a.rs", "use std::fs;\n"), 1);
        assert_eq!(source("txn/src/a.rs", "use std::{fs, io};\n"), 1);
        assert_eq!(source("txn/src/a.rs", "let t = SystemTime::now();\n"), 1);
        assert_eq!(
            source("txn/src/a.rs", "// std::fs\nlet t = tokio::time::Instant::now();\n#[cfg(test)]\nuse std::fs;\n"),
            0
        );
        assert_eq!(source("env/src/real.rs", "use std::fs;\n"), 0);
        assert_eq!(source("server/src/sources.rs", "std::fs::read(p); SystemTime::now();\n"), 1);
    }
}
