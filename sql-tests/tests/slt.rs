//! Runs `slt/` against the server; files marked `# postgres` against PostgreSQL 15 as well.
//!
//! The conformance corpus is larger and has a program of its own (`slt`).

use heddle_sql_tests::wire::Conn;
use heddle_sql_tests::{Judge, Server, slt};
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("slt")];
    let mut out = vec![];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
            let path = entry.path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "slt") => out.push(path),
                false => {}
            }
        }
    }
    out.sort();
    assert!(!out.is_empty(), "no file found");
    out
}

fn run(admin: &mut Conn, open: impl Fn(&str) -> Option<Conn>, only_marked: bool) {
    let mut wrong = vec![];
    for (i, path) in files().iter().enumerate() {
        let script = slt::load(path).unwrap_or_else(|e| panic!("{e}"));
        if only_marked && !script.postgres {
            continue;
        }
        let database = format!("slt_{i}");
        admin.run(&format!("CREATE DATABASE {database}"));
        let tally = slt::run(&script, || open(&database));
        for f in &tally.failures {
            wrong.push(format!("{}:{}\n  {}\n  {}", path.display(), f.line, f.sql, f.cause));
        }
        assert_eq!(tally.skipped, 0, "{}: connection lost", path.display());
    }
    assert!(wrong.is_empty(), "{} records failed\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn slt_files_pass_on_the_server() {
    let server = Server::start();
    run(&mut server.connect(), |database| server.try_connect(database).ok(), false);
}

#[test]
fn slt_files_marked_postgres_pass_on_postgresql() {
    let Some(judge) = Judge::start() else { return };
    run(&mut judge.connect(), |database| judge.try_connect(database).ok(), true);
}
