//! Runs sqllogictest files against the server (default) or PostgreSQL 15 (`--postgres`).
//!
//!   slt [--postgres] [--partitions N] [--no-point-plans] [--jobs N] [--failures FILE] [--conformance | --own] [FILTER]
//!
//! Files: `../shared/conformance/sqllogictest` and `sql-tests/slt`, each in a database of its own. FILTER is a part of the
//! path. `--partitions` and `--no-point-plans` start the server with these settings: the answers must be the same. `--postgres` takes only files marked `# postgres` of our own, and all of the corpus. Prints one line per file and
//! the sums per folder; failing records with their cause go into FILE (default `slt-failures.txt` in the system's temporary
//! folder). Records that could not be run count as failures. Exit code 1 when there is any.

use heddle_sql_tests::slt::{self, Tally};
use heddle_sql_tests::wire::Conn;
use heddle_sql_tests::{Judge, Server, shared};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

struct Options {
    postgres: bool,
    flags: Vec<String>,
    jobs: usize,
    failures: PathBuf,
    corpus: bool,
    own: bool,
    filter: String,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(e) => {
            eprintln!("slt: {e}");
            return ExitCode::from(2);
        }
    };
    let files = files(&options);
    if files.is_empty() {
        eprintln!("slt: no file matches");
        return ExitCode::from(2);
    }
    if options.postgres {
        return match Judge::start() {
            Some(judge) => run_all(&options, files, judge.address()),
            None => ExitCode::from(2),
        };
    }
    let server = Server::start_with(&options.flags.iter().map(String::as_str).collect::<Vec<_>>());
    run_all(&options, files, server.address())
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let failures = std::env::temp_dir().join("slt-failures.txt");
    let mut o =
        Options { postgres: false, flags: vec![], jobs: 2, failures, corpus: true, own: true, filter: String::new() };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--postgres" => o.postgres = true,
            "--no-point-plans" => o.flags.push("--disable-point-plans".to_owned()),
            "--partitions" => {
                let n = args.next().filter(|n| n.parse::<usize>().is_ok_and(|n| n > 0));
                o.flags.push(format!("--query-threads={}", n.ok_or("--partitions needs a number")?));
            }
            "--conformance" => o.own = false,
            "--own" => o.corpus = false,
            "--jobs" => {
                let jobs = args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                o.jobs = jobs.ok_or("--jobs needs a number")?;
            }
            "--failures" => o.failures = args.next().ok_or("--failures needs a file")?.into(),
            flag if flag.starts_with("--") => return Err(format!("unknown flag {flag}")),
            filter => o.filter = filter.to_owned(),
        }
    }
    Ok(o)
}

/// Name for the report, and path.
fn files(options: &Options) -> VecDeque<(String, PathBuf)> {
    let mut out = vec![];
    if options.corpus {
        match shared() {
            Some(shared) => collect(&shared.join("conformance/sqllogictest"), "conformance", &mut out),
            None => heddle_sql_tests::skip("../shared is absent, so the conformance corpus is not run"),
        }
    }
    if options.own {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("slt"), "slt", &mut out);
    }
    let marked = |name: &str, path: &Path| {
        !options.postgres || name.starts_with("conformance") || slt::load(path).is_ok_and(|s| s.postgres)
    };
    out.retain(|(name, path)| name.contains(&options.filter) && marked(name, path));
    out.sort();
    out.into()
}

fn collect(folder: &Path, name: &str, out: &mut Vec<(String, PathBuf)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()));
        if path.is_dir() {
            collect(&path, &name, out);
        } else if path.extension().is_some_and(|e| e == "slt") {
            out.push((name, path));
        }
    }
}

fn run_all(options: &Options, files: VecDeque<(String, PathBuf)>, address: SocketAddr) -> ExitCode {
    let total = files.len();
    let queue = Mutex::new(files);
    let done: Mutex<BTreeMap<String, Tally>> = Mutex::new(BTreeMap::new());
    let next = || queue.lock().expect("no holder panics").pop_front();
    std::thread::scope(|scope| {
        for worker in 0..options.jobs {
            let (next, done) = (&next, &done);
            scope.spawn(move || {
                while let Some((name, path)) = next() {
                    let begin = Instant::now();
                    let tally = run_file(&path, address, &format!("slt_{worker}"));
                    let (passed, failed, skipped) = (tally.passed, tally.failures.len(), tally.skipped);
                    let seconds = begin.elapsed().as_secs_f32();
                    println!("{name}: {passed} passed, {failed} failed, {skipped} skipped, {seconds:.1} s");
                    done.lock().expect("no holder panics").insert(name, tally);
                }
            });
        }
    });
    let done = done.into_inner().expect("no holder panics");
    summary(options, total, &done)
}

fn run_file(path: &Path, address: SocketAddr, database: &str) -> Tally {
    let broken = |cause: String| {
        let failure = slt::Failure { line: 0, sql: String::new(), cause };
        Tally { passed: 0, failures: vec![failure], skipped: 0 }
    };
    let script = match slt::load(path) {
        Ok(script) => script,
        Err(e) => return broken(e),
    };
    let open = |database: &str| Conn::open(address, &[("user", "postgres"), ("database", database)]);
    let prepared = open("postgres").map_err(|e| format!("{e:?}")).and_then(|mut admin| {
        // The leftover of a run that lost its server.
        admin.query(&format!("DROP DATABASE IF EXISTS {database}"));
        let created = admin.query(&format!("CREATE DATABASE {database}"));
        if created.code() == "ok" && created.lost.is_none() { Ok(admin) } else { Err(created.short()) }
    });
    let mut admin = match prepared {
        Ok(admin) => admin,
        Err(e) => {
            let mut tally = broken(format!("no database for the file: {e}"));
            tally.skipped = script.records.len();
            return tally;
        }
    };
    let tally = slt::run(&script, || open(database).ok());
    admin.query(&format!("DROP DATABASE {database}"));
    tally
}

fn summary(options: &Options, total: usize, done: &BTreeMap<String, Tally>) -> ExitCode {
    let mut folders: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    let mut file = std::fs::File::create(&options.failures).expect("the file for failures can be written");
    for (name, tally) in done {
        let folder = name.rsplit_once('/').map_or("", |(f, _)| f);
        let sums = folders.entry(folder).or_default();
        *sums = (sums.0 + tally.passed, sums.1 + tally.failures.len(), sums.2 + tally.skipped);
        for f in &tally.failures {
            let sql = f.sql.replace('\n', " ");
            let _ = writeln!(file, "{name}:{}\n  {sql}\n  {}", f.line, f.cause);
        }
        if tally.skipped > 0 {
            let _ = writeln!(file, "{name}\n  {} records not run: connection or database lost", tally.skipped);
        }
    }
    let (mut passed, mut failed) = (0, 0);
    for (folder, (p, f, s)) in folders {
        println!("{folder}: {p} passed, {f} failed, {s} skipped (count as failed)");
        passed += p;
        failed += f + s;
    }
    println!("slt: {total} files, {} records, {passed} passed, {failed} failed", passed + failed);
    if failed > 0 {
        println!("failing records: {}", options.failures.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
