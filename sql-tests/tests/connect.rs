//! Connecting, and what a bad client can do to others: nothing.

use heddle_sql_tests::wire::{Conn, ServerError, build};
use heddle_sql_tests::{Fields, Report, Server, psql};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

fn refusal(result: Result<Conn, ServerError>) -> Fields {
    match result {
        Err(ServerError::Refused(fields)) => fields,
        Err(ServerError::Io(e)) => panic!("closed without an answer: {e}"),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn psql_connects_simple_and_extended() {
    if !psql::available() {
        return;
    }
    let server = Server::start();
    let folder = server.folder().to_owned();
    let script = "SELECT 1 + 1 AS two, 'x'::text;\nCREATE TABLE t (a int PRIMARY KEY, b text);\n\
        INSERT INTO t VALUES (1, 'a'), (2, NULL);\nSELECT * FROM t ORDER BY a;\n\
        SELECT b FROM t WHERE a = $1 \\bind 1 \\g\n\\echo done :ROW_COUNT\n";
    // \bind came with psql 16.
    let has_bind = psql::run(server.address(), "postgres", "SELECT $1::int \\bind 1 \\g\n", &folder).code == Some(0);
    let script = if has_bind { script.to_owned() } else { script.replace("$1 \\bind 1 \\g", "1;") };
    assert_eq!(psql::ok(server.address(), &script, &folder), "2|x\n1|a\n2|\na\ndone 1\n");
    let failed = psql::run(server.address(), "postgres", "SELECT 1/0;", &folder);
    assert_eq!(failed.code, Some(3));
    assert!(failed.err.contains("ERROR:  division by zero"), "{}", failed.err);
    let caret = psql::run(server.address(), "postgres", "SELECT nope FROM t;", &folder);
    assert!(caret.err.contains("LINE 1: SELECT nope FROM t;"), "{}", caret.err);
}

#[test]
fn encryption_requests_are_answered_n_in_any_order() {
    let server = Server::start();
    for codes in [&[80_877_103_u32][..], &[80_877_104], &[80_877_104, 80_877_103], &[80_877_103, 80_877_104]] {
        let mut conn = Conn::raw(server.address()).expect("connects");
        for code in codes {
            conn.send(&build::request(*code)).expect("sent");
            assert_eq!(conn.receive_byte().expect("one byte"), b'N');
        }
        conn.send(&build::startup(&[("user", "u"), ("database", "postgres")])).expect("sent");
        let kinds: Vec<_> = conn.until_ready().iter().map(|m| char::from(m.kind)).collect();
        assert_eq!((kinds.first(), kinds.last()), (Some(&'R'), Some(&'Z')), "{kinds:?}");
        assert_eq!(conn.value("SELECT 7"), "7");
    }
}

#[test]
fn startup_parameters() {
    let server = Server::start();
    let open = |parameters: &[(&str, &str)]| Conn::open(server.address(), parameters);
    let unknown = refusal(open(&[("user", "postgres"), ("database", "nope")]));
    assert_eq!(unknown.short(), "3D000 database \"nope\" does not exist");
    assert_eq!(unknown.severity, "FATAL");
    let no_user = refusal(open(&[("database", "postgres")]));
    assert_eq!(no_user.code, "28000");
    let setting = refusal(open(&[("user", "u"), ("database", "postgres"), ("no_such_setting", "1")]));
    assert_eq!(setting.short(), "42704 unrecognized configuration parameter \"no_such_setting\"");

    let parameters = [
        ("user", "joe"),
        ("database", "postgres"),
        ("application_name", "my app"),
        ("client_encoding", "'utf-8'"),
        ("TimeZone", "Europe/Berlin"),
        ("options", "-c statement_timeout=5s --search_path=a\\ b -c my.own=1"),
    ];
    let mut conn = open(&parameters).unwrap_or_else(|e| panic!("{e:?}"));
    for (query, expected) in [
        ("SHOW application_name", "my app"),
        ("SHOW client_encoding", "UTF8"),
        ("SHOW TimeZone", "Europe/Berlin"),
        ("SHOW statement_timeout", "5s"),
        ("SHOW my.own", "1"),
        ("SELECT current_user", "joe"),
        ("SELECT current_database()", "postgres"),
    ] {
        assert_eq!(conn.value(query), expected, "{query}");
    }
    // The database's name defaults to the user's.
    assert_eq!(refusal(open(&[("user", "joe")])).code, "3D000");
    assert!(open(&[("user", "postgres")]).is_ok());
}

#[test]
fn unknown_protocol_versions() {
    let server = Server::start();
    let mut conn = Conn::raw(server.address()).expect("connects");
    conn.send(&[&8_u32.to_be_bytes()[..], &(2_u32 << 16).to_be_bytes()].concat()).expect("sent");
    let m = conn.receive().expect("an error");
    assert_eq!((m.kind, Fields::decode(&m.body).code.as_str()), (b'E', "0A000"));
    // A later minor version and an unknown protocol option are negotiated.
    let mut startup = build::startup(&[("user", "u"), ("database", "postgres"), ("_pq_.shiny", "1")]);
    startup[4..8].copy_from_slice(&196_617_u32.to_be_bytes());
    let mut conn = Conn::raw(server.address()).expect("connects");
    conn.send(&startup).expect("sent");
    let kinds: Vec<_> = conn.until_ready().iter().map(|m| m.kind).collect();
    assert_eq!(kinds.first(), Some(&b'v'), "{kinds:?}");
    assert_eq!(kinds.last(), Some(&b'Z'));
}

#[test]
fn parameter_status_at_connect_and_on_change() {
    let server = Server::start();
    let mut conn = server.connect();
    let value = |conn: &Conn, name: &str| conn.parameters.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    for (name, expected) in [
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, MDY"),
        ("default_transaction_read_only", "off"),
        ("in_hot_standby", "off"),
        ("integer_datetimes", "on"),
        ("IntervalStyle", "postgres"),
        ("is_superuser", "on"),
        ("server_encoding", "UTF8"),
        ("session_authorization", "postgres"),
        ("standard_conforming_strings", "on"),
        ("application_name", ""),
    ] {
        assert_eq!(value(&conn, name).as_deref(), Some(expected), "{name}");
    }
    assert!(value(&conn, "server_version").is_some_and(|v| v.starts_with("15.")));
    assert!(value(&conn, "TimeZone").is_some());
    assert!(conn.value("SELECT version()").starts_with("PostgreSQL 15."));

    let changes = |conn: &mut Conn, sql: &str| {
        let before = conn.parameters.len();
        conn.query(sql);
        conn.parameters[before..].iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        changes(&mut conn, "SET TimeZone = 'Asia/Tokyo'; SET application_name = 'a'"),
        "TimeZone=Asia/Tokyo application_name=a"
    );
    assert_eq!(changes(&mut conn, "BEGIN; SET application_name = 'b'"), "application_name=b");
    assert_eq!(changes(&mut conn, "ROLLBACK"), "application_name=a");
    assert_eq!(changes(&mut conn, "BEGIN; SET LOCAL application_name = 'c'"), "application_name=c");
    assert_eq!(changes(&mut conn, "COMMIT"), "application_name=a");
    assert_eq!(changes(&mut conn, "SELECT set_config('application_name', 'd', false)"), "application_name=d");
    assert_eq!(changes(&mut conn, "RESET application_name"), "application_name=");
    assert_eq!(changes(&mut conn, "SET work_mem = '5MB'"), "");
}

#[test]
fn cancel_stops_a_query_and_leaves_the_session() {
    let server = Server::start();
    let mut conn = server.connect();
    let mut other = server.connect();
    other.run("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    other.run("BEGIN; UPDATE t SET a = 2");
    let mut report = Report::default();
    for sql in [
        "SELECT pg_sleep(20)",
        "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b WHERE (a + b) % 7 = 3",
        "UPDATE t SET a = 3",
    ] {
        conn.send(&build::query(sql)).expect("sent");
        assert!(!conn.answers_within(Duration::from_millis(300)), "{sql} ended too early: {}", conn.outcome().short());
        let begin = Instant::now();
        conn.cancel();
        let outcome = conn.outcome();
        let seconds = begin.elapsed().as_secs();
        report.check(
            sql,
            &format!("{}, {seconds} s", outcome.short()),
            "ERROR 57014 canceling statement due to user request, 0 s",
        );
        assert_eq!(conn.value("SELECT 1"), "1");
    }
    report.finish();
    // While rows are being sent.
    conn.send(&build::query("SELECT a FROM generate_series(1, 50000000) a")).expect("sent");
    assert!(conn.answers_within(Duration::from_secs(30)));
    conn.cancel();
    assert_eq!(conn.outcome().code(), "57014");
    // A wrong secret does nothing.
    let secret = std::mem::replace(&mut conn.secret, vec![1, 2, 3, 4]);
    conn.send(&build::query("SELECT pg_sleep(0.5)")).expect("sent");
    conn.cancel();
    assert_eq!(conn.outcome().code(), "ok");
    conn.secret = secret;
}

#[test]
fn a_malformed_frame_closes_that_connection_only() {
    let server = Server::start();
    let mut bystander = server.connect();
    bystander.run("CREATE TABLE t (a int); BEGIN; INSERT INTO t VALUES (1)");
    let bad: [(&str, Vec<u8>); 8] = [
        ("unknown type", build::message(b'y', b"what")),
        ("length below 4", vec![b'Q', 0, 0, 0, 3]),
        ("huge length", vec![b'Q', 0x7f, 0xff, 0xff, 0xff, b'S']),
        ("Query without its zero", build::message(b'Q', b"SELECT 1")),
        ("Query not UTF-8", build::message(b'Q', b"SELECT '\xff\xfe'\0")),
        ("Bind cut short", build::message(b'B', b"\0\0\0\x01")),
        ("Parse with a wrong count", build::message(b'P', b"\0SELECT 1\0\0\x09")),
        ("Execute cut short", build::message(b'E', b"\0\0")),
    ];
    for (name, bytes) in &bad {
        let mut conn = server.connect();
        conn.send(bytes).expect("sent");
        let _ = conn.send(&build::sync());
        let answers = conn.until_ready();
        let error = answers.iter().find(|m| m.kind == b'E').map(|m| Fields::decode(&m.body));
        let error = error.unwrap_or_else(|| panic!("{name}: no error, got {answers:?}"));
        if *name == "Query not UTF-8" {
            // A bad value, not a bad frame: PostgreSQL keeps the connection.
            assert_eq!(error.code, "22021", "{name}");
            continue;
        }
        assert_eq!(error.code, "08P01", "{name}: {}", error.short());
        assert_eq!(error.severity, "FATAL", "{name}");
        assert!(conn.receive().is_err_and(|e| e.kind() != ErrorKind::WouldBlock), "{name}: still open");
    }
    let mut garbage = Conn::raw(server.address()).expect("connects");
    garbage.send(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    while garbage.receive_byte().is_ok() {}
    drop(Conn::raw(server.address()).expect("a probe that says nothing"));
    assert_eq!(bystander.value("SELECT count(*) FROM t"), "1");
    bystander.run("COMMIT");
}

#[test]
fn too_deep_statements_are_refused_and_the_server_lives() {
    let server = Server::start();
    let parentheses = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
    let terms: Vec<_> = (0..100_000).map(|i| format!("a = {i}")).collect();
    let disjunction = format!("SELECT * FROM (VALUES (1)) t(a) WHERE {}", terms.join(" OR "));
    let nots = format!("SELECT {} true", "NOT ".repeat(50_000));
    let nested = format!("{}SELECT 1{}", "SELECT (".repeat(5_000), ")".repeat(5_000));
    let signs = format!("SELECT {}1", "- ".repeat(50_000));
    let arrays = format!("SELECT {}1{}", "ARRAY[".repeat(20_000), "]".repeat(20_000));
    let text = format!("SELECT '{}1{}'::jsonb", "[".repeat(200_000), "]".repeat(200_000));
    for (name, sql) in [
        ("parentheses", &parentheses),
        ("OR terms", &disjunction),
        ("NOT", &nots),
        ("sub-queries", &nested),
        ("signs", &signs),
        ("arrays", &arrays),
        ("json", &text),
    ] {
        let mut conn = server.connect();
        assert_eq!(conn.fails(sql), "54001", "{name}");
        assert_eq!(conn.value("SELECT 1"), "1", "{name}");
        conn.send(&[build::parse("", sql, &[]), build::sync()].concat()).expect("sent");
        let error = conn.until_ready().into_iter().find(|m| m.kind == b'E').map(|m| Fields::decode(&m.body).code);
        assert!(name == "json" || error.as_deref() == Some("54001"), "{name} by Parse: {error:?}");
    }
    assert_eq!(server.connect().value("SELECT 1"), "1");
}

#[test]
fn a_client_that_goes_away_is_cleaned_up() {
    let server = Server::start();
    let mut holder = server.connect();
    holder.run("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    holder.run("BEGIN; UPDATE t SET a = 5");
    holder.hang_up();
    // Its lock goes with it.
    let begin = Instant::now();
    assert_eq!(server.connect().run("UPDATE t SET a = a + 1 RETURNING a").short(), "(2) UPDATE 1");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}
