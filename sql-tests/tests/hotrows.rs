//! Many sessions on few rows, whose locks change hands before the disk has what their last holder wrote: no change is lost, no
//! key is there twice, no reference points nowhere, and a session sees what the rows it got came from.

use heddle_sql_tests::Server;
use heddle_sql_tests::wire::Conn;
use std::thread;

const ROUNDS: u32 = 300;

/// Runs `work` in sessions of their own at the same time.
fn together(server: &Server, sessions: u32, work: impl Fn(u32, &mut Conn) + Sync) {
    thread::scope(|scope| {
        for me in 0..sessions {
            let work = &work;
            scope.spawn(move || work(me, &mut server.connect()));
        }
    });
}

/// The SQLSTATE of a statement that may fail.
fn outcome(conn: &mut Conn, sql: &str) -> Option<String> {
    let error = conn.query(sql).error?;
    conn.query("ROLLBACK");
    Some(error.code)
}

#[test]
fn counters_are_drawn_once() {
    let server = Server::start();
    server.connect().run("CREATE TABLE hot (id int PRIMARY KEY, n int); INSERT INTO hot VALUES (1, 0)");
    server.connect().run("CREATE TABLE drawn (n int PRIMARY KEY)");
    together(&server, 8, |_, conn| {
        for _ in 0..ROUNDS {
            let n = conn.value("UPDATE hot SET n = n + 1 WHERE id = 1 RETURNING n");
            conn.run(&format!("INSERT INTO drawn VALUES ({n})"));
        }
    });
    let mut conn = server.connect();
    assert_eq!(conn.value("SELECT n FROM hot"), (8 * ROUNDS).to_string());
    assert_eq!(conn.value("SELECT count(*) FROM drawn"), (8 * ROUNDS).to_string());
}

#[test]
fn statement_after_a_hot_row_sees_what_came_with_it() {
    let server = Server::start();
    server.connect().run(
        "CREATE TABLE hot (id int PRIMARY KEY, n int); INSERT INTO hot VALUES (1, 0); CREATE TABLE log (n int PRIMARY KEY)",
    );
    together(&server, 6, |_, conn| {
        for _ in 0..ROUNDS {
            conn.run("BEGIN");
            let n = conn.value("UPDATE hot SET n = n + 1 WHERE id = 1 RETURNING n");
            // Every holder before us wrote its row in the same transaction.
            assert_eq!(conn.value("SELECT count(*) + 1 FROM log"), n);
            conn.run(&format!("INSERT INTO log VALUES ({n}); COMMIT"));
        }
    });
}

#[test]
fn keys_are_unique_and_references_hold() {
    let server = Server::start();
    server.connect().run(
        "CREATE TABLE parent (id int PRIMARY KEY, u int UNIQUE); \
         CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent)",
    );
    together(&server, 8, |me, conn| {
        for round in 0..ROUNDS {
            let (key, id) = (round % 3, me * ROUNDS + round);
            let (sql, expected) = match me % 4 {
                0 | 1 => (format!("INSERT INTO parent VALUES ({key}, {key})"), "23505"),
                2 => (format!("INSERT INTO child VALUES ({id}, {key})"), "23503"),
                _ => (
                    format!(
                        "BEGIN; DELETE FROM child WHERE parent = {key}; DELETE FROM parent WHERE id = {key}; COMMIT"
                    ),
                    "23503",
                ),
            };
            let code = outcome(conn, &sql);
            assert!(
                code.is_none() || code.as_deref() == Some(expected) || code.as_deref() == Some("40P01"),
                "{sql}: {code:?}"
            );
        }
    });
    let mut conn = server.connect();
    assert_eq!(conn.value("SELECT count(*) FROM child WHERE parent NOT IN (SELECT id FROM parent)"), "0");
    assert_eq!(conn.value("SELECT count(*) - count(DISTINCT u) FROM parent"), "0");
}

#[test]
fn repeatable_read_refuses_rows_that_are_not_durable_yet() {
    let server = Server::start();
    server.connect().run("CREATE TABLE hot (id int PRIMARY KEY, n int); INSERT INTO hot VALUES (1, 0)");
    let done = std::sync::atomic::AtomicU32::new(0);
    together(&server, 6, |_, conn| {
        for _ in 0..ROUNDS {
            let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE hot SET n = n + 1 WHERE id = 1; COMMIT";
            match outcome(conn, sql).as_deref() {
                None => drop(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
                Some(code) => assert_eq!(code, "40001"),
            }
        }
    });
    assert_eq!(server.connect().value("SELECT n FROM hot"), done.into_inner().to_string());
}

#[test]
fn tags_and_fields_computed_from_themselves_lose_nothing() {
    const ROUNDS: usize = 60;
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(
        "CREATE TABLE cells (at timestamptz NOT NULL, n int) TAGS (id int NOT NULL, note text) PRIMARY TAGS (id); \
         INSERT INTO cells VALUES ('2026-01-01', 0, 1, '')",
    );
    together(&server, 6, |me, conn| {
        for _ in 0..ROUNDS {
            let set = if me % 2 == 0 { "note = note || 'x'" } else { "n = n + 1" };
            assert_eq!(conn.query(&format!("UPDATE cells SET {set} WHERE id = 1")).short(), "UPDATE 1");
        }
    });
    let expected = (3 * ROUNDS).to_string();
    assert_eq!(conn.value("SELECT length(note) FROM cells"), expected);
    assert_eq!(conn.value("SELECT n FROM cells"), expected);
}
