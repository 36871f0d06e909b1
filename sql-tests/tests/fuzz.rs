//! A short run of the differential fuzzer; `cargo xtask fuzz` runs longer ones.

use heddle_sql_tests::{Judge, Server, fuzz};

#[test]
fn random_queries_give_postgresql_s_answers() {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let found = fuzz::run(&mut server.connect(), &mut judge.connect(), 20_241_127, 500, 5);
    let report: Vec<String> = found.iter().map(fuzz::Difference::text).collect();
    assert!(found.is_empty(), "{} differences\n{}", found.len(), report.join("\n"));
}
