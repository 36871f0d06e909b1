//! Round trips of every type through tokio-postgres and psycopg 3, and raw values in both formats against PostgreSQL.

use heddle_sql_tests::transcript::{Step, play};
use heddle_sql_tests::wire::build;
use heddle_sql_tests::{Judge, Report, Server, skip};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

/// A value as the bytes of the binary format, whatever its type.
#[derive(Debug, PartialEq, Clone)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

/// Type, and values as text in the form in which the server prints them.
const VALUES: &[(&str, &[&str])] = &[
    ("bool", &["t", "f"]),
    ("int2", &["0", "-32768", "32767"]),
    ("int4", &["0", "-2147483648", "2147483647"]),
    ("int8", &["0", "-9223372036854775808", "9223372036854775807"]),
    ("float4", &["0", "-0", "1.5", "3.4028235e+38", "1e-45", "NaN", "Infinity", "-Infinity"]),
    (
        "float8",
        &["0", "0.1", "-1.7976931348623157e+308", "5e-324", "NaN", "Infinity", "-Infinity", "1e+15", "123456789012345"],
    ),
    (
        "numeric",
        &[
            "0",
            "0.00",
            "1",
            "-1.50",
            "12345678901234567890.123456789",
            "0.0001",
            "10000",
            "100000000",
            "NaN",
            "Infinity",
            "-Infinity",
        ],
    ),
    ("numeric(6,2)", &["1.50", "-9999.99", "0.00"]),
    ("text", &["", "a", "zoë €", "tab\tnl\nback\\slash"]),
    ("varchar(5)", &["", "abcde"]),
    ("char(4)", &["ab  ", "abcd"]),
    ("bytea", &["\\x", "\\x00ff61"]),
    ("date", &["2000-01-01", "0001-01-01", "4713-01-01 BC", "9999-12-31", "infinity", "-infinity", "2024-02-29"]),
    ("time", &["00:00:00", "23:59:59.999999", "24:00:00", "12:30:00.5"]),
    (
        "timestamp",
        &["2000-01-01 00:00:00", "1969-12-31 23:59:59.999999", "0044-03-15 10:00:00 BC", "infinity", "-infinity"],
    ),
    ("timestamptz", &["2024-06-01 12:00:00+00", "1900-01-01 00:00:00.5+00", "infinity"]),
    ("interval", &["00:00:00", "1 year 2 mons 3 days 04:05:06.789", "-1 mons +2 days -03:00:00", "-00:00:00.000001"]),
    ("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]),
    ("json", &["{\"a\" : [1, 2,  null]}", "\"x\"", "1.0"]),
    ("jsonb", &["{\"a\": [1, 2.50, null], \"bb\": {}}", "\"x\"", "null"]),
    ("oid", &["0", "4294967295"]),
    ("name", &["a_name", ""]),
    ("\"char\"", &["x", ""]),
    ("regclass", &["pg_class"]),
    ("bool[]", &["{t,f,NULL}", "{}"]),
    ("int2[]", &["{1,2}"]),
    ("int4[]", &["{1,NULL,3}", "{}", "{{1,2},{3,4}}", "[0:1]={5,6}"]),
    ("int8[]", &["{9223372036854775807}"]),
    ("float4[]", &["{1.5,NaN}"]),
    ("float8[]", &["{0.1,Infinity}"]),
    ("numeric[]", &["{1.50,-2,NULL}"]),
    ("text[]", &["{a,\"\",\"NULL\",NULL,\"b c\",\"q\\\"x\",\"back\\\\\",\"{}\"}"]),
    ("varchar(5)[]", &["{abc}"]),
    ("char(3)[]", &["{\"a  \",abc}"]),
    ("bytea[]", &["{\"\\\\x00\",\"\\\\x\"}"]),
    ("date[]", &["{2024-01-01,infinity}"]),
    ("time[]", &["{01:02:03}"]),
    ("timestamp[]", &["{\"2024-01-01 00:00:00\"}"]),
    ("timestamptz[]", &["{\"2024-01-01 00:00:00+00\"}"]),
    ("interval[]", &["{\"1 day\",00:00:01}"]),
    ("uuid[]", &["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"]),
    ("json[]", &["{1,\"{\\\"a\\\":1}\"}"]),
    ("jsonb[]", &["{1,\"{\\\"a\\\": 1}\"}"]),
    ("oid[]", &["{1,2}"]),
    ("name[]", &["{a,b}"]),
];

async fn connect(port: u16) -> Client {
    let parameters = format!("host=127.0.0.1 port={port} user=postgres dbname=postgres options='-c TimeZone=UTC'");
    let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

fn first(messages: &[tokio_postgres::SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|m| match m {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    })
}

/// text -> server -> binary -> server -> text, through a table: every value comes back as it was.
#[tokio::test]
async fn every_type_round_trips_through_a_table_in_text_and_binary() {
    let server = Server::start();
    let client = connect(server.address().port()).await;
    let mut report = Report::default();
    for (i, (sql_type, values)) in VALUES.iter().enumerate() {
        if let Err(e) = client.batch_execute(&format!("CREATE TABLE t{i} (k int PRIMARY KEY, v {sql_type})")).await {
            report.check(&format!("CREATE TABLE with {sql_type}"), &format!("{e:?}"), "ok");
            continue;
        }
        for (k, text) in values.iter().enumerate() {
            let got = round_trip(&client, i, k as i32, text).await.unwrap_or_else(|e| format!("{e:?}"));
            report.check(&format!("{sql_type} {text:?}"), &got, text);
        }
        let null = client.query_one(&format!("INSERT INTO t{i} VALUES (-1, NULL) RETURNING v"), &[]).await;
        let null = null.map(|row| format!("{:?}", row.get::<_, Option<Raw>>(0)));
        report.check(&format!("{sql_type} NULL"), &null.unwrap_or_else(|e| format!("{e:?}")), "None");
    }
    report.finish();
}

async fn round_trip(client: &Client, table: usize, key: i32, text: &str) -> Result<String, tokio_postgres::Error> {
    let literal = text.replace('\'', "''");
    client.batch_execute(&format!("INSERT INTO t{table} VALUES ({key}, '{literal}')")).await?;
    let row = client.query_one(&format!("SELECT v FROM t{table} WHERE k = $1"), &[&key]).await?;
    let raw: Raw = row.get(0);
    let insert = format!("INSERT INTO t{table} VALUES ($1, $2)");
    client.execute(&insert, &[&(key + 1000), &raw]).await?;
    let again = client.query_one(&format!("SELECT v FROM t{table} WHERE k = $1"), &[&(key + 1000)]).await?;
    if again.get::<_, Raw>(0) != raw {
        return Ok(format!("binary changed: {raw:?}"));
    }
    let back = client.simple_query(&format!("SELECT v FROM t{table} WHERE k = {}", key + 1000)).await?;
    Ok(first(&back).unwrap_or_default())
}

/// The same values as raw bytes of both formats, next to PostgreSQL's, with RowDescription.
#[test]
fn raw_bytes_equal_postgresql_in_both_formats() {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let mut report = Report::default();
    let (mut ours, mut theirs) = (server.connect(), judge.connect());
    for conn in [&mut ours, &mut theirs] {
        conn.run("SET TimeZone = 'UTC'");
    }
    for (sql_type, values) in VALUES.iter().filter(|(t, _)| *t != "regclass") {
        for text in *values {
            let sql = format!("SELECT $1::{sql_type} AS v");
            let value: &[Option<&[u8]>] = &[Some(text.as_bytes())];
            let group = |format: u16| {
                Step::Send(
                    [
                        build::parse("", &sql, &[]),
                        build::describe(b'S', ""),
                        build::bind("", "", &[], value, &[format]),
                        build::describe(b'P', ""),
                        build::execute("", 0),
                        build::sync(),
                    ]
                    .concat(),
                )
            };
            let steps = [group(0), group(1)];
            let (a, b) = (play(&mut ours, &steps), play(&mut theirs, &steps));
            report.check(&format!("{sql_type} {text:?}"), &a, &b);
            if a.ends_with("closed") {
                ours = server.connect();
                ours.run("SET TimeZone = 'UTC'");
            }
        }
    }
    report.finish();
}

#[tokio::test]
async fn rust_values_through_tokio_postgres() {
    let server = Server::start();
    let client = connect(server.address().port()).await;
    let row = client
        .query_one(
            "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::timestamptz, \
             $10::oid, $11::int4[], $12::text[], $13::varchar, $14::\"char\"",
            &[
                &true, &-5_i16, &70_000_i32, &5_000_000_000_i64, &1.5_f32, &-0.1_f64, &"tëxt", &&b"\0\xff"[..],
                &(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)), &4_000_000_000_u32,
                &vec![Some(1), None, Some(3)], &vec!["a", ""], &"vc", &7_i8,
            ],
        )
        .await
        .expect("runs");
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), -5);
    assert_eq!(row.get::<_, i32>(2), 70_000);
    assert_eq!(row.get::<_, i64>(3), 5_000_000_000);
    assert_eq!((row.get::<_, f32>(4), row.get::<_, f64>(5)), (1.5, -0.1));
    assert_eq!(row.get::<_, String>(6), "tëxt");
    assert_eq!(row.get::<_, Vec<u8>>(7), b"\0\xff");
    assert_eq!(row.get::<_, SystemTime>(8), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert_eq!(row.get::<_, u32>(9), 4_000_000_000);
    assert_eq!(row.get::<_, Vec<Option<i32>>>(10), [Some(1), None, Some(3)]);
    assert_eq!(row.get::<_, Vec<String>>(11), ["a", ""]);
    assert_eq!((row.get::<_, String>(12), row.get::<_, i8>(13)), ("vc".to_owned(), 7));
}

#[tokio::test]
async fn tokio_postgres_transactions_portals_and_copy() {
    use std::pin::pin;
    let server = Server::start();
    let mut client = connect(server.address().port()).await;
    client.batch_execute("CREATE TABLE t (a int PRIMARY KEY, b text)").await.expect("runs");
    let copy = client.copy_in::<_, bytes::Bytes>("COPY t FROM STDIN").await.expect("copy");
    let mut copy = pin!(copy);
    tokio_util_send(copy.as_mut(), bytes::Bytes::from_static(b"1\tx\n2\ty\n3\tz\n")).await;
    assert_eq!(copy.finish().await.expect("finishes"), 3);
    let transaction = client.transaction().await.expect("begins");
    let portal = transaction.bind("SELECT a FROM t ORDER BY a", &[]).await.expect("binds");
    let part = transaction.query_portal(&portal, 2).await.expect("two rows");
    assert_eq!(part.iter().map(|r| r.get::<_, i32>(0)).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(transaction.query_portal(&portal, 2).await.expect("the rest").len(), 1);
    transaction.rollback().await.expect("rolls back");
    // Two queries at once on one connection are pipelined.
    let (x, y) = tokio::join!(client.query_one("SELECT 1::int4", &[]), client.query_one("SELECT 2::int4", &[]));
    assert_eq!((x.expect("one").get::<_, i32>(0), y.expect("two").get::<_, i32>(0)), (1, 2));
    let error = client.query_one("SELECT 1/$1::int4", &[&0_i32]).await.expect_err("division by zero");
    assert_eq!(error.code().map(|c| c.code()), Some("22012"));
}

/// `CopyInSink` is a `Sink`; this crate has no other use for the futures crate.
async fn tokio_util_send(mut sink: std::pin::Pin<&mut tokio_postgres::CopyInSink<bytes::Bytes>>, data: bytes::Bytes) {
    use futures::Sink as _;
    std::future::poll_fn(|cx| sink.as_mut().poll_ready(cx)).await.expect("ready");
    sink.start_send(data).expect("taken");
}

fn python() -> Option<PathBuf> {
    let given = std::env::var_os("HEDDLEDB_PYTHON").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache/heddledb/python/bin/python"));
    let found = given.or(home).filter(|p| p.exists());
    let usable =
        found.filter(|p| Command::new(p).args(["-c", "import psycopg"]).output().is_ok_and(|o| o.status.success()));
    if usable.is_none() {
        skip("no Python with psycopg 3 (HEDDLEDB_PYTHON or ~/.cache/heddledb/python)");
    }
    usable
}

#[test]
fn psycopg_round_trips() {
    let Some(python) = python() else { return };
    let server = Server::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/round_trips.py");
    let output = Command::new(python).arg(script).arg(server.address().port().to_string()).output().expect("runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}
