//! psql's backslash commands, sent by the real psql to our server and to PostgreSQL 15 over the same schema: the output is the same, but for
//! sizes and for PostgreSQL's own objects, which are never listed here.

use heddle_sql_tests::psql::available;
use heddle_sql_tests::{Judge, Server, assert_same};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const SCHEMA: &str = "
CREATE SCHEMA shop;
CREATE TABLE shop.customer (id int PRIMARY KEY, name text NOT NULL DEFAULT 'nobody', email varchar(80) UNIQUE, born date,
  score numeric(8,2), tags text[], made timestamptz DEFAULT now(), code char(3), flags \"char\", big int8,
  js jsonb, ts0 timestamp(3));
CREATE INDEX customer_name_idx ON shop.customer (name DESC, born);
CREATE TABLE orders (cust int, line int, what text, PRIMARY KEY (cust, line));
CREATE UNIQUE INDEX orders_what ON orders (what);
CREATE TABLE plain (a int DEFAULT -5, \"Odd Name\" text, n int4 DEFAULT 7, b bool DEFAULT true);
CREATE VIEW shop.v AS SELECT id, name FROM shop.customer WHERE id > 3;
CREATE VIEW vo AS SELECT cust, count(*) AS n FROM orders GROUP BY cust;
";

/// One command a line, each in a psql of its own. `+` forms that print sizes and definitions of views are compared in parts elsewhere.
const COMMANDS: &str = r"
\d
\d shop.customer
\d orders
\d plain
\d+ plain
\d+ shop.customer
\d shop.v
\d vo
\d shop.customer_name_idx
\d+ shop.customer_name_idx
\d orders_pkey
\d orders_what
\d shop.*
\d nosuch
\dt
\dt shop.*
\dt nosuch
\di
\di shop.*
\dv
\dv shop.*
\dm
\ds
\dE
\dn shop
\df
\df abs
\df shop.*
\dg
\du
\dT
\dp
\dp shop.*
\z plain
\db
\dd
\dD
\ddp
\des
\det
\deu
\dew
\dP
\drds
\dRp
\dRs
\dX
\dy
\x \\ \dt
\x \\ \d plain
SELECT 1 AS one, 'x' AS two, now() \gdesc
SELECT id, name, tags, score FROM shop.customer \gdesc
";

fn psql(address: SocketAddr, command: &str) -> String {
    let port = address.port().to_string();
    let mut psql = Command::new("psql");
    psql.args(["-X", "-h", "127.0.0.1", "-U", "postgres", "-d", "meta", "-p", &port, "-f", "-"]);
    psql.env("LC_ALL", "C.UTF-8").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = psql.spawn().expect("psql starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    std::io::Write::write_all(&mut stdin, format!("{command}\n").as_bytes()).expect("psql reads");
    drop(stdin);
    let output = child.wait_with_output().expect("psql ends");
    let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn all(address: SocketAddr) -> String {
    let commands = COMMANDS.lines().map(str::trim).filter(|l| !l.is_empty());
    commands.map(|c| format!("=== {c}\n{}", psql(address, c))).collect()
}

#[test]
fn backslash_commands_print_what_postgresql_prints() {
    let server = Server::start();
    let (true, Some(judge)) = (available(), Judge::start()) else { return };
    server.connect().run("CREATE DATABASE meta");
    judge.connect().run("CREATE DATABASE meta");
    server.try_connect("meta").expect("the new database").run(SCHEMA);
    judge.try_connect("meta").expect("the new database").run(SCHEMA);
    assert_same("psql", &all(server.address()), &all(judge.address()));
}
