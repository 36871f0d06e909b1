//! PostgreSQL's pgbench, unmodified: it fills its tables and runs its three scripts, and no money is lost.

use heddle_sql_tests::Server;
use std::process::Command;

/// Where Debian's postgresql-15 has it, or on the PATH.
fn pgbench() -> Option<Command> {
    let candidates = ["/usr/lib/postgresql/15/bin/pgbench", "pgbench"];
    let works = |path: &&&str| Command::new(path).arg("--version").output().is_ok_and(|o| o.status.success());
    candidates.iter().find(works).map(Command::new)
}

fn run(server: &Server, args: &[&str]) -> String {
    let address = server.address();
    let mut command = pgbench().expect("looked for before");
    command.args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-U", "postgres"]);
    let output = command.args(args).arg("postgres").output().expect("it starts");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "pgbench {args:?}\n{text}");
    text
}

#[test]
fn pgbench_runs_unmodified() {
    if pgbench().is_none() {
        println!("no pgbench here");
        return;
    }
    let server = Server::start();
    let mut conn = server.connect();
    let mut number = |sql: &str| -> i64 {
        let outcome = conn.query(sql);
        outcome.short().split_whitespace().find_map(|w| w.trim_matches(['(', ')', '|']).parse().ok()).expect("a number")
    };
    run(&server, &["-i", "-I", "dtgvpf"]);
    assert_eq!(number("SELECT count(*) FROM pgbench_accounts"), 100_000);
    run(&server, &["-i", "-I", "dtGvp"]);
    assert_eq!(number("SELECT count(*) FROM pgbench_accounts"), 100_000);
    for script in ["tpcb-like", "simple-update", "select-only"] {
        for mode in ["simple", "extended", "prepared"] {
            let text = run(&server, &["-n", "-b", script, "-M", mode, "-c", "2", "-t", "20"]);
            assert!(text.contains("actually processed: 40/40"), "{script} {mode}\n{text}");
        }
    }
    let history = number("SELECT sum(delta) FROM pgbench_history");
    assert_eq!(number("SELECT sum(abalance) FROM pgbench_accounts"), history);
    assert_eq!(number("SELECT count(*) FROM pgbench_history"), 240);
    assert_eq!(
        number("SELECT sum(bbalance) FROM pgbench_branches"),
        number("SELECT sum(tbalance) FROM pgbench_tellers")
    );
}
