//! Tables of statements that run on our server and on the judge, answer by answer.

use crate::outcome::Outcome;
use crate::wire::Conn;
use crate::{Judge, Report, Server};

/// Runs `statements` (one per line; blank lines and lines that begin with `--` are left out) in one session on both servers
/// and compares `form` of the answers. `~CODE statement` marks what we do not have yet: our answer is that SQLSTATE, and as
/// soon as it equals PostgreSQL's that is fine too. A lost session is reopened, so that one crash does not hide the rest.
///
/// # Panics
/// When answers differ, all of them listed, or when `setup` fails.
pub fn compare(setup: &str, statements: &str, form: fn(&Outcome) -> String) {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let mut report = Report::default();
    let (mut ours, mut theirs) = (open(server.connect(), setup), open(judge.connect(), setup));
    let lines = statements.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("--"));
    for sql in lines {
        let (missing, sql) = match sql.strip_prefix('~').and_then(|rest| rest.split_once(' ')) {
            Some((code, sql)) => (Some(code), sql),
            None => (None, sql),
        };
        let (a, b) = (ours.query(sql), theirs.query(sql));
        if missing == Some(a.code()) {
            report.check(sql, a.code(), a.code());
        } else {
            report.check(sql, &form(&a), &form(&b));
        }
        if a.lost.is_some() {
            ours = server.connect();
        }
    }
    report.finish();
}

fn open(mut conn: Conn, setup: &str) -> Conn {
    if !setup.is_empty() {
        conn.run(setup);
    }
    conn
}
