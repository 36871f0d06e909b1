//! COPY in binary format: bytes equal PostgreSQL's, every type comes back, malformed input is named.

use super::{SETUP, compare_in, form};
use heddle_sql_tests::{Judge, Report, Server};

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Every type with values at its edges.
const TYPES: &[(&str, &str)] = &[
    ("bool", "true"),
    ("int2", "-32768"),
    ("int4", "2147483647"),
    ("int8", "-9223372036854775808"),
    ("float4", "'-1.5e-30'"),
    ("float8", "'NaN'"),
    ("float8", "'-Infinity'"),
    ("numeric", "12345678901234567890.000012345"),
    ("numeric", "'NaN'"),
    ("numeric", "'-Infinity'"),
    ("numeric", "0.00"),
    ("numeric(8,2)", "-1234.5"),
    ("text", "'zo\u{eb} \u{20ac} \u{1f600}'"),
    ("text", "''"),
    ("varchar(5)", "'abc'"),
    ("char(5)", "'ab'"),
    ("name", "'a_name'"),
    ("\"char\"", "'x'"),
    ("bytea", r"'\x00ff'"),
    ("date", "'2024-02-29'"),
    ("date", "'infinity'"),
    ("date", "'0044-03-15 BC'"),
    ("time", "'23:59:59.999999'"),
    ("time", "'24:00'"),
    ("timestamp", "'1999-12-31 23:59:59.123456'"),
    ("timestamp", "'-infinity'"),
    ("timestamptz", "'2024-07-01 12:00+02'"),
    ("interval", "'1 year 2 mons -3 days 04:05:06.7'"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("oid", "4294967295"),
    ("json", r#"'{"b": 1, "a":[1, 2.50]}'"#),
    ("jsonb", r#"'{"b": 1, "a":[1, 2.50]}'"#),
    ("int4[]", "'{{1,NULL},{3,4}}'"),
    ("int4[]", "'{}'"),
    ("int8[]", "'[5:6]={1,2}'"),
    ("text[]", r#"'{a,"",NULL,"NULL","q\"uo"}'"#),
    ("numeric[]", "'{1.50,-2}'"),
    ("timestamptz[]", "'{2024-01-01 00:00:00+00}'"),
    ("jsonb[]", r#"ARRAY['{"a":1}'::jsonb]"#),
];

#[test]
fn every_type_round_trips_between_servers() {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let (mut a, mut b) = (server.connect(), judge.connect());
    let mut report = Report::default();
    for (i, (ty, value)) in TYPES.iter().enumerate() {
        let make = format!(
            "SET TimeZone = 'UTC'; CREATE TABLE t{i} (k int, v {ty}); INSERT INTO t{i} VALUES (1, {value}), (2, NULL)"
        );
        let subject = format!("{ty} {value}");
        a.run(&make);
        b.run(&make);
        let out = format!("COPY t{i} TO STDOUT (FORMAT binary)");
        let (x, y) = (a.run(&out).copied, b.run(&out).copied);
        report.check(&subject, &x.escape_ascii().to_string(), &y.escape_ascii().to_string());
        let into = format!("COPY t{i} FROM STDIN (FORMAT binary)");
        for piece in [1 << 20, 1] {
            let (x, y) = (a.copy_in(&into, &y, piece), b.copy_in(&into, &x, piece));
            report.check(&subject, &form(&x), &form(&y));
        }
        let rows = format!("SELECT k, v::text, count(*) FROM t{i} GROUP BY k, v::text ORDER BY k");
        report.check(&subject, &a.query(&rows).short(), &b.query(&rows).short());
    }
    report.finish();
}

#[test]
fn malformed_input() {
    let with = |body: &[u8]| [HEADER, body].concat();
    let (c, ty) = ("COPY c (a, b) FROM STDIN (FORMAT binary)", "COPY ty (i) FROM STDIN (FORMAT binary)");
    let whole = b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x01x";
    let column = |name: &'static str| match name {
        "t" => "COPY ty (t) FROM STDIN (FORMAT binary)",
        "o" => "COPY ty (o) FROM STDIN (FORMAT binary)",
        "n" => "COPY ty (n) FROM STDIN (FORMAT binary)",
        "j" => "COPY ty (j) FROM STDIN (FORMAT binary)",
        "u" => "COPY ty (u) FROM STDIN (FORMAT binary)",
        _ => "COPY ty (r) FROM STDIN (FORMAT binary)",
    };
    compare_in(&[
        (c, b"".to_vec()),
        (c, b"PGCOP".to_vec()),
        (c, b"1\tx\n".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\x01\0\0\0\0\0\0".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\x80\0\0\0\0\0\0\0".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0\0\x07\0\0\0\0\xff\xff".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0\0\0\xff\xff\xff\xff".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x05abc".to_vec()),
        (c, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x03abc\xff\xff".to_vec()),
        (c, with(b"")),
        (c, with(b"\xff\xff")),
        (c, with(b"\xff")),
        (c, with(b"\xff\xffmore")),
        (c, with(whole)),
        (c, with(&[whole.as_slice(), b"\0"].concat())),
        (c, with(&[whole.as_slice(), b"\xff\xff"].concat())),
        (c, with(&[whole.as_slice(), whole, b"\xff\xffx"].concat())),
        (c, with(&[whole.as_slice(), b"\0\x01\0\0\0\x04\0\0\0\x07"].concat())),
        (c, with(b"\xff\xfe")),
        (c, with(b"\0\0")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x05xy")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xfe")),
        (c, with(b"\0\x02\0\0\0\x03\0\0\0\0\0\0\x01x")),
        (c, with(b"\0\x02\0\0\0\x05\0\0\0\0\x07\0\0\0\x01x")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x02x\0")),
        (c, with(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x02x\xff")),
        (c, with(b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff")),
        (ty, with(b"\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x01")),
        (ty, with(b"\0\x01\0\0\0\x04\0\0\0\x01")),
        (ty, with(b"\0\x01\0\0\0\0")),
        (column("t"), with(b"\0\x01\0\0\0\x08\x7f\0\0\0\0\0\0\0")),
        (column("o"), with(b"\0\x01\0\0\0\x01\x02")),
        (column("n"), with(b"\0\x01\0\0\0\x08\0\x01\0\0\x12\x34\0\0")),
        (column("n"), with(b"\0\x01\0\0\0\x0a\0\x01\0\0\0\0\0\0\x27\x10")),
        (column("n"), with(b"\0\x01\0\0\0\x0a\0\x01\0\x02\0\0\0\0\0\x01")),
        (column("j"), with(b"\0\x01\0\0\0\x03\x02{}")),
        (column("j"), with(b"\0\x01\0\0\0\x03\x01{x")),
        (column("u"), with(b"\0\x01\0\0\0\x03abc")),
        (column("r"), with(b"\0\x01\0\0\0\x0c\0\0\0\x07\0\0\0\0\0\0\0\x17")),
        (column("r"), with(b"\0\x01\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\x14")),
        (column("r"), with(b"\0\x01\0\0\0\x14\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x02\0\0\0\x01")),
        ("COPY k FROM STDIN (FORMAT binary)", with(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x06toobig")),
        ("COPY k FROM STDIN (FORMAT binary)", with(b"\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff")),
        ("COPY k FROM STDIN (FORMAT binary)", with(&[whole.as_slice(), whole, b"\xff\xff"].concat())),
        ("COPY c (a, b) FROM STDIN (FORMAT binary) WHERE a > 7", with(whole)),
        ("COPY BINARY c (a, b) FROM STDIN", with(whole)),
        ("COPY c (a, b) FROM STDIN BINARY", with(whole)),
        ("COPY z FROM STDIN BINARY", with(b"\0\0\0\0\xff\xff")),
    ]);
}

#[test]
fn formats_are_announced_and_messages_are_rows() {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let [ours, theirs] = [server.connect(), judge.connect()].map(|mut conn| {
        conn.run(SETUP);
        conn.run("INSERT INTO c VALUES (1, 'x'), (2, NULL)");
        let mut all = vec![];
        for sql in [
            "COPY (SELECT a, b FROM c ORDER BY a) TO STDOUT (FORMAT binary)",
            "COPY (SELECT a FROM c WHERE false) TO STDOUT (FORMAT binary)",
            "COPY (SELECT a, b FROM c ORDER BY a) TO STDOUT",
            "COPY z TO STDOUT BINARY",
        ] {
            conn.send(&heddle_sql_tests::wire::build::query(sql)).expect("sent");
            let shown =
                |m: &heddle_sql_tests::wire::Message| format!("{} {}", char::from(m.kind), m.body.escape_ascii());
            all.extend(conn.until_ready().iter().map(shown));
        }
        for sql in ["COPY c (a, b) FROM STDIN (FORMAT binary)", "COPY c (a) FROM STDIN", "COPY z FROM STDIN BINARY"] {
            conn.send(&heddle_sql_tests::wire::build::query(sql)).expect("sent");
            let m = conn.receive().expect("an answer");
            all.push(format!("{} {}", char::from(m.kind), m.body.escape_ascii()));
            conn.send(&heddle_sql_tests::wire::build::message(b'f', b"\0")).expect("sent");
            conn.until_ready();
        }
        all
    });
    let mut report = Report::default();
    for (ours, theirs) in ours.iter().zip(&theirs) {
        report.check("message", ours, theirs);
    }
    assert_eq!(ours.len(), theirs.len());
    report.finish();
}
