//! COPY as a conversation: large, atomic, broken off, in transactions, by psql.

use super::{SETUP, form};
use heddle_sql_tests::wire::build;
use heddle_sql_tests::{Judge, Report, Server, psql};

#[test]
fn copy_is_atomic_and_one_row_per_message() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    let mut rows = String::new();
    for i in 0..200_000 {
        rows.push_str(&format!("{i}\tv{}\n", i % 1000));
    }
    let bad = format!("{rows}oops\tx\n");
    let outcome = conn.copy_in("COPY k FROM STDIN", bad.as_bytes(), 65_536);
    let error = outcome.error.expect("the last line is bad");
    assert_eq!(error.short(), "22P02 invalid input syntax for type integer: \"oops\"");
    assert_eq!(error.context.as_deref(), Some("COPY k, line 200001, column a: \"oops\""));
    assert_eq!(conn.value("SELECT count(*) FROM k"), "0");
    assert_eq!(conn.copy_in("COPY k FROM STDIN", rows.as_bytes(), 8191).results[0].tag, "COPY 200000");
    assert_eq!(conn.value("SELECT count(*) FROM k"), "200000");
    conn.send(&build::query("COPY (SELECT * FROM k ORDER BY a LIMIT 100) TO STDOUT")).expect("sent");
    let messages = conn.until_ready();
    let pieces: Vec<_> = messages.iter().filter(|m| m.kind == b'd').collect();
    assert_eq!(pieces.len(), 100);
    assert!(pieces.iter().all(|m| m.body.ends_with(b"\n")));
    // A client that goes away in the middle leaves nothing behind.
    let mut gone = server.connect();
    gone.query("COPY c (a) FROM STDIN");
    gone.send(&build::message(b'd', b"1\n2\n")).expect("sent");
    gone.hang_up();
    assert_eq!(conn.value("SELECT count(*) FROM c"), "0");
}

const PAUSE: std::time::Duration = std::time::Duration::from_millis(300);

#[test]
fn copy_is_broken_off() {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let [ours, theirs] = [server.connect(), judge.connect()].map(|mut conn| {
        conn.run(SETUP);
        let mut answers = vec![];
        // CopyFail, in and outside of a block.
        for block in ["", "BEGIN"] {
            conn.query(block);
            conn.query("COPY c (a) FROM STDIN");
            conn.send(&build::message(b'd', b"1\n2\n3")).expect("sent");
            conn.send(&build::message(b'f', b"enough\0")).expect("sent");
            answers.push(form(&conn.outcome()));
            answers.push(form(&conn.query("SELECT count(*) FROM c")));
            conn.query("ROLLBACK");
        }
        // Cancel while the server waits; PostgreSQL notices when the next row comes, and its CONTEXT shows that row.
        conn.query("COPY c (a) FROM STDIN CSV");
        conn.send(&build::message(b'd', b"1\n2\n")).expect("sent");
        std::thread::sleep(PAUSE);
        conn.cancel();
        std::thread::sleep(PAUSE);
        conn.send(&build::message(b'd', b"3\n")).expect("sent");
        answers.push(conn.outcome().short());
        // statement_timeout, the same.
        conn.run("SET statement_timeout = 300");
        conn.query("COPY c (a) FROM STDIN");
        std::thread::sleep(2 * PAUSE);
        conn.send(&build::message(b'd', b"1\n")).expect("sent");
        answers.push(conn.outcome().short());
        conn.run("RESET statement_timeout");
        answers.push(conn.value("SELECT count(*) FROM c"));
        answers
    });
    let mut report = Report::default();
    for (i, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        report.check(&format!("answer {i}"), ours, theirs);
    }
    report.finish();
}

#[test]
fn copy_in_transactions() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    conn.run("CREATE TABLE g (id int, at timestamptz DEFAULT now(), x float8 DEFAULT random())");
    conn.run("BEGIN; INSERT INTO k VALUES (1, 'one')");
    assert_eq!(conn.copy_in("COPY k FROM STDIN", b"2\ttwo\n3\tthree\n", 99).results[0].tag, "COPY 2");
    assert_eq!(conn.value("SELECT count(*) FROM k"), "3");
    conn.run("SAVEPOINT s");
    assert_eq!(conn.copy_in("COPY k FROM STDIN", b"3\tagain\n", 99).code(), "23505");
    conn.run("ROLLBACK TO s");
    assert_eq!(conn.copy_in("COPY k FROM STDIN", b"4\tfour\n", 99).results[0].tag, "COPY 1");
    conn.run("COMMIT");
    assert_eq!(conn.value("SELECT string_agg(b, ',' ORDER BY a) FROM k"), "one,two,three,four");
    assert_eq!(conn.copy_in("COPY g (id) FROM STDIN", b"1\n2\n3\n", 1).results[0].tag, "COPY 3");
    assert_eq!(conn.value("SELECT count(DISTINCT x) || ',' || count(DISTINCT at) FROM g"), "3,1");
    let (mut reader, mut writer) = (server.connect(), server.connect());
    writer.query("COPY k FROM STDIN");
    writer.send(&build::message(b'd', b"9\tnine\n")).expect("sent");
    assert_eq!(reader.value("SELECT count(*) FROM k"), "4", "what is not committed is not seen");
    writer.send(&build::message(b'c', b"")).expect("sent");
    assert!(writer.outcome().error.is_none());
    assert_eq!(reader.value("SELECT count(*) FROM k"), "5");
}

#[test]
fn psql_copies_files() {
    if !psql::available() {
        return;
    }
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a folder");
    let csv = "a,b\n1,\"x,\"\"y\"\"\"\n2,\"two\nlines\"\n3,\n";
    std::fs::write(folder.path().join("in.csv"), csv).expect("written");
    let script = r"
        CREATE TABLE p (a int PRIMARY KEY, b text);
        CREATE TABLE q (a int, b text);
        \copy p FROM 'in.csv' WITH (FORMAT csv, HEADER match)
        \copy p TO 'out.txt'
        \copy q FROM 'out.txt'
        \copy p TO 'out.bin' (FORMAT binary)
        \copy q FROM 'out.bin' (FORMAT binary)
        \copy (SELECT * FROM p ORDER BY a) TO 'out.csv' CSV HEADER
        \copy q FROM 'out.csv' CSV HEADER WHERE a > 1
        SELECT a, count(*), count(DISTINCT b) FROM q GROUP BY a ORDER BY a;
        COPY p (a) FROM STDIN;
7
8
\.
        SELECT count(*) FROM p;";
    let out = psql::ok(server.address(), script, folder.path());
    assert_eq!(out, "1|2|1\n2|3|1\n3|3|0\n5\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("out.csv")).expect("written"), csv);
}
