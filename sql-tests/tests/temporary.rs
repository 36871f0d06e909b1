//! Temporary tables and the end of their session, orderly or not. What they do while it lasts is in `slt/ddl/temporary.slt` and
//! `isolation.rs`.

use heddle_sql_tests::Server;
use heddle_sql_tests::wire::Conn;
use std::time::{Duration, Instant};

const LEFT: &str = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'";
const SCHEMAS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp\\_%'";

fn fill(conn: &mut Conn) {
    conn.run("CREATE TABLE IF NOT EXISTS perm (id int PRIMARY KEY)");
    conn.run("CREATE TEMP TABLE t (id int PRIMARY KEY, v text UNIQUE, s serial)");
    conn.run("INSERT INTO t (id, v) SELECT n, n::text FROM generate_series(1, 1000) n");
    conn.run("CREATE TEMP VIEW v AS SELECT * FROM t");
    conn.run("CREATE TEMP SEQUENCE q");
    conn.run("CREATE TEMP TABLE perm (a int)");
}

#[test]
fn gone_with_the_session() {
    let server = Server::start();
    let mut other = server.connect();
    for orderly in [true, false] {
        let mut conn = server.connect();
        fill(&mut conn);
        if !orderly {
            conn.run("BEGIN");
            conn.run("INSERT INTO perm VALUES (1)");
        }
        assert_ne!(other.value(LEFT), "0");
        assert_eq!(other.fails("SELECT * FROM t"), "42P01");
        assert_eq!(other.value("SELECT count(*) FROM perm"), "0");
        conn.hang_up();
        let until = Instant::now() + Duration::from_secs(20);
        while other.value(LEFT) != "0" && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(other.value(LEFT), "0");
        assert_eq!(other.value(SCHEMAS), "0");
    }
}

#[test]
fn gone_after_a_crash() {
    let mut server = Server::start();
    let mut conn = server.connect();
    fill(&mut conn);
    conn.run("CHECKPOINT");
    conn.run("CREATE TEMP TABLE later (a int) ON COMMIT DELETE ROWS");
    server.kill();
    server.restart();
    let mut conn = server.connect();
    assert_eq!(conn.value(LEFT), "0");
    assert_eq!(conn.value(SCHEMAS), "0");
    assert_eq!(conn.fails("SELECT * FROM t"), "42P01");
    conn.run("INSERT INTO perm VALUES (1)");
    // The number of the first session is given out again: its schema is a new one.
    fill(&mut conn);
    assert_eq!(conn.value("SELECT count(*) FROM t"), "1000");
    assert_eq!(conn.value("SELECT count(*) FROM public.perm"), "1");
}

#[test]
fn another_session_cannot_read_them() {
    let server = Server::start();
    let (mut a, mut b) = (server.connect(), server.connect());
    a.run("CREATE TEMP TABLE t (a int)");
    let schema = a.value("SELECT pg_my_temp_schema()::regnamespace::text");
    assert_eq!(b.fails(&format!("SELECT * FROM {schema}.t")), "0A000");
    assert_eq!(b.fails(&format!("INSERT INTO {schema}.t VALUES (1)")), "0A000");
    assert_eq!(b.fails(&format!("CREATE TABLE {schema}.u (a int)")), "42P16");
    // A view over a temporary table is a temporary one.
    a.run("CREATE VIEW v AS SELECT * FROM t");
    assert_eq!(b.fails("SELECT * FROM v"), "42P01");
    assert_eq!(a.value("SELECT count(*) FROM v"), "0");
}
