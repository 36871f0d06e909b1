//! COPY in text and csv, both directions, compared with PostgreSQL; errors name line and column; a bad line undoes all.

use heddle_sql_tests::wire::build;
use heddle_sql_tests::{Judge, Outcome, Report, Server};

const SETUP: &str = "CREATE TABLE c (a int, b text, d date DEFAULT '2020-01-02'); \
    CREATE TABLE k (a int PRIMARY KEY, b varchar(5) NOT NULL); \
    CREATE TABLE ty (i int8, f float8, n numeric(8,2), t timestamptz, y bytea, o bool, j jsonb, u uuid, r int[])";

fn form(outcome: &Outcome) -> String {
    format!("{} [{}]", outcome.full(), char::from(outcome.status))
}

/// Each case: COPY statement, data. After each, the table's rows are compared and removed.
fn compare_in(cases: &[(&str, &str)]) {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let (mut a, mut b) = (server.connect(), judge.connect());
    a.run(SETUP);
    b.run(SETUP);
    let mut report = Report::default();
    for (sql, data) in cases {
        // In one piece, and byte by byte: chunks may be cut anywhere.
        for piece in [1 << 20, 1] {
            let (x, y) = (a.copy_in(sql, data.as_bytes(), piece), b.copy_in(sql, data.as_bytes(), piece));
            let subject = format!("{sql} <- {data:?} in pieces of {piece}");
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

#[test]
fn copy_from_text() {
    compare_in(&[
        ("COPY c FROM STDIN", "1\tone\t2024-01-01\n2\t\\N\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\\tb\\nc\\\\d\\b\\f\\v\\r\t2024-01-01\n"),
        ("COPY c FROM STDIN", "1\t\\101\\x42\\x4a\t\\N\n"),
        ("COPY c FROM STDIN", "1\tzoë €\t\\N\r\n2\tb\t\\N\r\n"),
        ("COPY c (b, a) FROM STDIN", "x\t1\ny\t2\n"),
        ("COPY c FROM STDIN WITH (DELIMITER '|', NULL '')", "1|x|2024-05-06\n2||\n"),
        ("COPY c FROM STDIN DELIMITER ',' NULL 'nil'", "1,nil,nil\n"),
        ("COPY c FROM STDIN", "1\t\t\\N\n"),
        ("COPY c FROM STDIN (HEADER)", "a\tb\td\n1\tx\t\\N\n"),
        ("COPY c FROM STDIN (HEADER match)", "a\tnope\td\n1\tx\t\\N\n"),
        ("COPY c FROM STDIN", ""),
        ("COPY c FROM STDIN", "1\tx\t\\N\n\\.\nignored"),
        (
            "COPY ty FROM STDIN",
            "1\t1.5\t2.345\t2024-01-01 00:00:00+02\t\\\\x01ff\tt\t{\"a\": 1}\t\
          a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\t{1,NULL,3}\n",
        ),
    ]);
}

#[test]
fn copy_from_csv() {
    compare_in(&[
        ("COPY c FROM STDIN CSV", "1,one,2024-01-01\n2,,\n3,\"\",2024-01-03\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER)", "a,b,d\n1,\"x, y\",\n2,\"say \"\"hi\"\"\",\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv)", "1,\"two\nlines\",2024-01-01\r\n2,b,2024-01-02\r\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, NULL 'NA')", "1,NA,NA\n2,\"NA\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, DELIMITER ';', QUOTE '''', NULL 'x')", "1;'a;b''c';x\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, ESCAPE '\\')", "1,\"a\\\"b\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, FORCE_NULL (b), FORCE_NOT_NULL (d))", "1,\"\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH CSV HEADER DELIMITER AS ';' NULL AS '-'", "a;b;d\n1;-;-\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER match)", "a,b,d\n1,x,2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER match)", "a,b\n1,x\n"),
        ("COPY c FROM STDIN CSV", "1,\"open\n"),
        ("COPY c FROM STDIN CSV", "1,a\"b\"c,2024-01-01\n"),
        ("COPY c FROM STDIN CSV", "\n"),
    ]);
}

#[test]
fn copy_errors_name_line_and_column() {
    compare_in(&[
        ("COPY c FROM STDIN", "1\ta\t2024-01-01\nx\tb\t2024-01-01\n3\tc\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\t2024-13-01\n"),
        ("COPY c FROM STDIN", "99999999999\ta\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\n"),
        ("COPY c FROM STDIN", "1\ta\t\\N\textra\n"),
        ("COPY c FROM STDIN CSV", "1,a\n"),
        ("COPY c FROM STDIN CSV", "1,a,2024-01-01,4\n"),
        ("COPY c FROM STDIN CSV HEADER", "a,b,d\n1,x,2024-01-01\n2,y,bad\n"),
        ("COPY k FROM STDIN", "1\ta\n1\tb\n"),
        ("COPY k FROM STDIN", "1\t\\N\n"),
        ("COPY k FROM STDIN", "\\N\ta\n"),
        ("COPY k FROM STDIN", "1\tabcdef\n"),
        ("COPY k (a) FROM STDIN", "1\n"),
        ("COPY c FROM STDIN", "1\ta\\0b\t\\N\n"),
        ("COPY nope FROM STDIN", ""),
        ("COPY c (nope) FROM STDIN", ""),
        ("COPY c (a, a) FROM STDIN", ""),
        ("COPY c FROM STDIN WITH (FORMAT xml)", ""),
        ("COPY c FROM STDIN WITH (NOPE 1)", ""),
        ("COPY c FROM STDIN WITH (DELIMITER 'ab')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, QUOTE 'xy')", ""),
        ("COPY c FROM STDIN WITH (QUOTE '\"')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, DELIMITER '\"')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, FORMAT text)", ""),
        ("COPY c FROM STDIN WITH (DELIMITER E'\\n')", ""),
        ("COPY (SELECT 1) FROM STDIN", ""),
        ("COPY ty FROM STDIN", "1\tx\t1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tmaybe\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1234567.1\t\\N\t\\N\tt\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t{bad\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t1\tnot-a-uuid\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t1\t\\N\t{1,2\n"),
    ]);
}

#[test]
fn copy_to() {
    let setup = format!(
        "{SETUP}; INSERT INTO c VALUES (1, E'tab\\there', '2024-01-01'), (2, NULL, NULL), (3, '', '2024-01-03'), \
         (4, E'back\\\\slash \"quote\" new\\nline, comma', NULL), (5, '\\N', NULL), (6, '\\.', NULL); \
         INSERT INTO ty VALUES (1, 0.1, 12.5, '2024-01-01 00:00:00+00', '\\x00ff', true, '{{\"b\":1,\"a\":[1, 2]}}', \
         'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{{1,NULL}}')"
    );
    heddle_sql_tests::table::compare(
        &format!("SET TimeZone = 'UTC'; {setup}"),
        "COPY c TO STDOUT
        COPY c (b) TO STDOUT
        COPY c (b, a) TO STDOUT WITH (DELIMITER '|', NULL 'nil')
        COPY c TO STDOUT WITH (HEADER)
        COPY c TO STDOUT CSV
        COPY c TO STDOUT WITH (FORMAT csv, HEADER, NULL 'NA')
        COPY c TO STDOUT WITH (FORMAT csv, DELIMITER ';', QUOTE '''')
        COPY c TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)
        COPY c TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (a, d))
        COPY ty TO STDOUT
        COPY ty TO STDOUT CSV HEADER
        COPY (SELECT a, b FROM c WHERE a < 3 ORDER BY a DESC) TO STDOUT
        COPY (SELECT count(*) FROM c) TO STDOUT WITH CSV HEADER
        COPY (VALUES (1, 'x'), (2, NULL)) TO STDOUT
        COPY (SELECT a FROM c WHERE false) TO STDOUT CSV HEADER
        COPY (DELETE FROM c WHERE a = 6 RETURNING a) TO STDOUT
        COPY nope TO STDOUT
        COPY c (nope) TO STDOUT
        COPY (SELECT nope) TO STDOUT
        COPY (SELECT 1/0) TO STDOUT
        COPY c TO STDOUT WITH (FORMAT csv, DELIMITER 'xx')
        COPY c TO STDOUT WITH (FORCE_QUOTE *)",
        form,
    );
}

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
