//! Benchmarks: HeddleDB beside its peers on one machine, in one run. `cargo xtask bench NAME` builds and runs it.
//!
//! | module | subject |
//! |---|---|
//! | [`workloads`] | what is measured, a file for each |
//! | [`report`] | figures: samples, medians, ratios; as a table and as JSON |
//! | [`page`] | the tables in `docs/performance.md` |
//! | [`wire`] | HeddleDB and PostgreSQL, started fresh and spoken to over the wire |
//! | [`embedded`] | DuckDB and chdb, in a Python process |
//! | [`pgbench`] | runs PostgreSQL's pgbench and reads what it prints |
//! | [`count`] | system calls and allocations for each transaction |
//! | [`answers`] | are two answers the same? |
//! | [`proc`] | CPU time and memory of processes, size of folders |
//! | [`machine`] | what this ran on |
//!
//! What must hold: a figure is printed only when it was measured in this run, and a failure is printed as a failure. Peers take
//! turns (A B A B), so that what else the machine does hits them alike. Nothing but loopback is used, every peer has a temporary
//! folder of its own, and all of them end with this process.

mod answers;
mod count;
mod embedded;
mod machine;
mod page;
mod pgbench;
mod proc;
mod report;
mod wire;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use workloads::WORKLOADS;

/// What can go wrong, for people.
type Result<T, E = String> = std::result::Result<T, E>;

/// How a run is made.
#[derive(Debug)]
struct Options {
    /// Turns of each peer.
    rounds: usize,
    /// Length of one pgbench run, in seconds.
    seconds: u32,
    /// Small data and short runs: shows that the harness works. Never written to the page.
    quick: bool,
    /// Time-series workloads use relational tables in HeddleDB. Never written to the page.
    relational: bool,
    /// A Python with DuckDB and chdb.
    python: Option<PathBuf>,
    /// Write the tables into this page.
    page: Option<PathBuf>,
    /// Write the JSON here.
    json: PathBuf,
}

fn usage() -> String {
    let mut text = "usage: bench [--quick] [--relational] [--rounds N] [--seconds N] [--python FILE] [--page FILE] [--json DIR] NAME...\n\n".to_owned();
    for workload in WORKLOADS {
        text += &format!("  {:10} {}\n", workload.name, workload.about);
    }
    text + "  all        every one of them\n"
}

fn main() -> ExitCode {
    let (options, names) = match arguments(std::env::args().skip(1)) {
        Ok(given) => given,
        Err(why) => {
            eprint!("bench: {why}\n\n{}", usage());
            return ExitCode::from(2);
        }
    };
    let mut code = ExitCode::SUCCESS;
    for workload in WORKLOADS.iter().filter(|w| names.iter().any(|n| n == w.name || n == "all")) {
        if let Err(why) = run(workload, &options) {
            eprintln!("bench {}: FAILED: {why}", workload.name);
            code = ExitCode::FAILURE;
        }
    }
    code
}

fn run(workload: &workloads::Workload, options: &Options) -> Result<()> {
    eprintln!("== {}: {}", workload.name, workload.about);
    let machine = machine::look();
    let mut report = (workload.run)(options)?;
    report.conditions.extend(machine);
    report.conditions.push(format!(
        "{} rounds, peers taking turns; medians{}",
        options.rounds,
        if options.quick { "; QUICK: small data, short runs" } else { "" }
    ));
    println!("\n{}", report.table());
    let path = options.json.join(format!("{}.json", workload.name));
    std::fs::create_dir_all(&options.json).map_err(|e| format!("could not make {}: {e}", options.json.display()))?;
    std::fs::write(&path, report.json(workload.name))
        .map_err(|e| format!("could not write {}: {e}", path.display()))?;
    eprintln!("wrote {}", path.display());
    match &options.page {
        Some(page) if !options.quick && !options.relational => page::write(page, workload.name, &report.table()),
        _ => Ok(()),
    }
}

fn arguments(args: impl Iterator<Item = String>) -> Result<(Options, Vec<String>)> {
    let mut options = Options {
        rounds: 3,
        seconds: 5,
        quick: false,
        relational: false,
        python: None,
        page: None,
        json: PathBuf::from("target/bench"),
    };
    let mut names = vec![];
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        match arg.as_str() {
            "--quick" => (options.quick, options.rounds, options.seconds) = (true, 2, 1),
            "--relational" => options.relational = true,
            "--rounds" => options.rounds = number(&value()?)?.max(1) as usize,
            "--seconds" => options.seconds = number(&value()?)?.max(1),
            "--python" => options.python = Some(value()?.into()),
            "--page" => options.page = Some(value()?.into()),
            "--json" => options.json = value()?.into(),
            name if name == "all" || WORKLOADS.iter().any(|w| w.name == name) => names.push(arg),
            _ => return Err(format!("unknown argument \"{arg}\"")),
        }
    }
    if names.is_empty() { Err("which benchmark?".to_owned()) } else { Ok((options, names)) }
}

fn number(text: &str) -> Result<u32> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number"))
}
