//! Runs the differential fuzzer against a server and a PostgreSQL 15 of its own.
//!
//!   fuzz [SEED] [N] [MOST]
//!
//! SEED (default 1) decides everything; N queries (default 10,000); stops after MOST differences (default 20). Each difference is printed in
//! its smallest form with the statements that make its tables. Exit code 1 when there is any.

use heddle_sql_tests::{Judge, Server, fuzz};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| match args.get(at).map(|a| a.parse()) {
        None => Some(default),
        Some(parsed) => parsed.ok(),
    };
    let (Some(seed), Some(queries), Some(most)) = (number(0, 1), number(1, 10_000), number(2, 20)) else {
        eprintln!("usage: fuzz [SEED] [N] [MOST]");
        return ExitCode::from(2);
    };
    let Some(judge) = Judge::start() else { return ExitCode::from(2) };
    let server = Server::start();
    let found = fuzz::run(&mut server.connect(), &mut judge.connect(), seed, queries as usize, most as usize);
    for difference in &found {
        println!("{}", difference.text());
    }
    println!("fuzz: seed {seed}, {queries} queries, {} differences", found.len());
    if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
