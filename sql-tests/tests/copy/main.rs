//! COPY in text, csv and binary, both directions, compared with PostgreSQL; errors name line and column; a bad line undoes all.

mod binary;
mod bulk;
mod input;
mod options;
mod output;
mod series;
mod stream;

use heddle_sql_tests::{Judge, Outcome, Report, Server};

const SETUP: &str = "SET TimeZone = 'UTC'; CREATE TABLE c (a int, b text, d date DEFAULT '2020-01-02'); \
    CREATE TABLE k (a int PRIMARY KEY, b varchar(5) NOT NULL); CREATE TABLE z (); \
    CREATE TABLE ty (i int8, f float8, n numeric(8,2), t timestamptz, y bytea, o bool, j jsonb, u uuid, r int[]); \
    CREATE VIEW v AS SELECT a, b FROM c";

fn form(outcome: &Outcome) -> String {
    format!("{} [{}]", outcome.full(), char::from(outcome.status))
}

/// Each case: COPY statement, data. After each, the tables' rows are compared and removed.
fn compare_in<D: AsRef<[u8]>>(cases: &[(&str, D)]) {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let (mut a, mut b) = (server.connect(), judge.connect());
    a.run(SETUP);
    b.run(SETUP);
    let mut report = Report::default();
    for (sql, data) in cases {
        let data = data.as_ref();
        // In one piece, and byte by byte: chunks may be cut anywhere.
        for piece in [1 << 20, 1] {
            let (x, y) = (a.copy_in(sql, data, piece), b.copy_in(sql, data, piece));
            let subject = format!("{sql} <- \"{}\" in pieces of {piece}", data.escape_ascii());
            report.check(&subject, &form(&x), &form(&y));
            for table in ["c", "k", "ty"] {
                let rows = format!("SELECT * FROM {table} ORDER BY 1, 2; DELETE FROM {table}");
                let (x, y) = (a.query(&rows), b.query(&rows));
                report.check(&format!("{subject}, then {table}"), &x.short(), &y.short());
            }
            if x.lost.is_some() {
                a = server.connect();
            }
        }
    }
    report.finish();
}
