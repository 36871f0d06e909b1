//! The harness itself: a short run beside PostgreSQL, and what it says when something cannot be measured.

use heddle_sql_tests::Judge;
use heddle_sql_tests::server::binary;
use std::process::{Command, Output};

fn bench(args: &[&str]) -> (Output, tempfile::TempDir) {
    let json = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.arg("--quick").arg("--json").arg(json.path()).args(args);
    (command.env("HEDDLEDB_BIN", binary()).output().unwrap(), json)
}

#[test]
fn idle_is_measured_for_both_servers() {
    // Says SKIPPED when there is no PostgreSQL.
    let Some(judge) = Judge::start() else { return };
    drop(judge);
    let (done, json) = bench(&["idle"]);
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(out.contains("| 50 idle connections | MiB |") && out.contains("PostgreSQL 15"), "{out}");
    assert!(out.contains("QUICK"), "{out}");
    assert!(!out.contains("failed"), "{out}");
    let text = std::fs::read_to_string(json.path().join("idle.json")).unwrap();
    assert_eq!(text.matches("\"HeddleDB\": [").count(), 4, "{text}");
}

#[test]
fn what_cannot_be_measured_fails() {
    // There is no Python, hence no DuckDB to compare answers with.
    let (done, _json) = bench(&["tpch"]);
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("FAILED: there is no Python"));
    assert_eq!(Command::new(env!("CARGO_BIN_EXE_bench")).arg("nonsense").output().unwrap().status.code(), Some(2));
}
