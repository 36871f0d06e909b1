//! Aggregates over series give what the same rows in a relational table give, with and without block statistics and with the
//! general plan: in memory, flushed, compacted, with late points, deletes, own writes, old snapshots and added fields.

use heddle_sql_tests::{Conn, Server};

/// Time `i` of a series: 360 of them an hour, as many as a block that ends with the hour; the first hour is in another partition.
const TS: &str = "timestamptz '2025-12-31 23:00+00' + i * interval '10 s'";

/// How series plans may be set.
const WAYS: &[(&str, &str)] = &[("on", "on"), ("on", "off"), ("off", "on")];

/// What is asked; `{t}` is the table.
const QUERIES: &[&str] = &[
    "SELECT time_bucket('1 hour', ts) AS t, host, avg(a), sum(a), min(a), max(a), count(a), count(*) FROM {t} GROUP BY t, host ORDER BY t, host",
    "SELECT time_bucket('1 hour', ts) AS t, host, avg(b), sum(b), min(b), max(b), count(b) FROM {t} GROUP BY t, host ORDER BY t, host",
    "SELECT time_bucket('1 hour', ts) AS t, sum(i8), avg(i8), max(i2), min(i2), sum(i2), sum(f4), avg(f4), max(f4) FROM {t} GROUP BY t ORDER BY t",
    "SELECT time_bucket('1 hour', ts) AS t, max(a) FROM {t} WHERE ts >= '2026-01-01 01:00+00' AND ts < '2026-01-01 04:00+00' GROUP BY t ORDER BY t",
    "SELECT time_bucket('1 hour', ts) AS t, max(a), count(*) FROM {t} WHERE ts > '2026-01-01 00:10+00' AND ts <= '2026-01-01 03:59:45+00' GROUP BY t ORDER BY t",
    "SELECT time_bucket('7 minutes', ts, timestamptz '2026-01-01 00:03+00') AS t, host, dc, count(*), sum(a) FROM {t} GROUP BY 1, dc, host ORDER BY t, host, dc",
    "SELECT time_bucket(ts, '90m') AS t, region, count(*), min(b) FROM {t} GROUP BY 1, 2 ORDER BY t, region",
    "SELECT date_trunc('minute', ts) AS t, max(a) FROM {t} WHERE host = 'h1' AND dc = 1 AND ts BETWEEN '2026-01-01 02:00+00' AND '2026-01-01 03:00+00' GROUP BY t ORDER BY t",
    "SELECT date_trunc('day', ts), count(*), sum(i8) FROM {t} GROUP BY 1",
    "SELECT date_trunc('week', ts), region, avg(a) FROM {t} GROUP BY 1, 2 ORDER BY region",
    "SELECT date_trunc('month', ts), avg(a) FROM {t} GROUP BY 1",
    "SELECT host, first(a, ts), last(a, ts), first(b, ts), last(i2, ts), min(ts), max(ts) FROM {t} GROUP BY host, dc ORDER BY host, dc",
    "SELECT time_bucket('1 hour', ts) AS t, host, last(b, ts), count(c) FROM {t} GROUP BY t, host, dc ORDER BY t, host, dc",
    "SELECT count(*), count(a), sum(a), avg(b), min(f4), max(i8), count(c), min(ts), max(ts) FROM {t}",
    "SELECT count(*), sum(a) FROM {t}",
    "SELECT count(*), sum(a), min(a) FROM {t} WHERE host = 'nobody'",
    "SELECT sum(a), max(b) FROM {t} WHERE host IN ('h1', 'h3', 'h9') AND dc = 1",
    "SELECT sum(a), max(b) FROM {t} WHERE host = ANY ('{h1,h2,NULL}') AND dc IN (0, 1) AND ts < '2026-01-01 02:00+00'",
    "SELECT host, sum(a) FROM {t} WHERE region = 'eu' OR dc = 0 GROUP BY host ORDER BY host",
    "SELECT host, sum(a) FROM {t} WHERE NOT region = 'eu' AND host > 'h1' GROUP BY host ORDER BY host",
    "SELECT region, count(*) FROM {t} WHERE region IS NULL GROUP BY region",
    "SELECT time_bucket('1 minute', ts) AS t, max(a) AS m FROM {t} WHERE ts < '2026-01-01 05:00+00' GROUP BY t ORDER BY t DESC LIMIT 5",
    "SELECT time_bucket('1 hour', ts) AS t, host, sum(a) FROM {t} GROUP BY t, host ORDER BY t DESC, host LIMIT 7 OFFSET 2",
    "SELECT time_bucket('1 hour', ts) AS t, sum(a) FROM {t} GROUP BY t HAVING count(*) > 1500 ORDER BY t DESC LIMIT 3",
    "SELECT host || '-' || dc, round(avg(a), 3) * 2, sum(a) FILTER (WHERE a > 5), count(DISTINCT a) FROM {t} GROUP BY host, dc ORDER BY 1",
    "SELECT upper(host), max(x) - min(x) FROM (SELECT host, dc, time_bucket('1 hour', ts) AS t, avg(a) AS x FROM {t} GROUP BY 1, 2, 3) q GROUP BY 1 ORDER BY 1",
    "SELECT r.host, q.n FROM (SELECT host, count(*) AS n FROM {t} GROUP BY host) q JOIN (SELECT DISTINCT host FROM {t}) r USING (host) ORDER BY 1, 2",
    "SELECT host, (SELECT count(*) FROM {t} i WHERE i.host = o.host AND i.ts < '2026-01-01 01:00+00') FROM {t} o GROUP BY host ORDER BY host",
    "SELECT count(*), avg(a) FROM {t} WHERE a > 50 AND ts < '2026-01-01 03:00+00'",
];

/// More, once field `d` is there.
const ADDED: &[&str] = &[
    "SELECT time_bucket('1 hour', ts) AS t, host, sum(d), count(d), max(a) FROM {t} GROUP BY t, host, dc ORDER BY t, host, dc",
    "SELECT count(*), count(d), avg(d) FROM {t}",
];

const VALUES: &str = "(i * 7 + h * 31) % 101, CASE WHEN i % 970 = 5 THEN 'NaN' WHEN i % 13 = 0 THEN NULL ELSE (i % 128) / 64.0 END, \
     CASE WHEN i % 11 = 0 THEN NULL ELSE 'c' || i % 23 END, i % 1000 - 500, i::int8 * 3611686018427387, (i % 64) / 8.0";
const FIELDS: &str = "a, b, c, i2, i8, f4";

fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<Option<String>>> {
    let outcome = conn.query(sql);
    assert!(outcome.error.is_none(), "{sql}: {}", outcome.short());
    outcome.rows().cloned().collect()
}

fn run(conn: &mut Conn, sql: &str) {
    rows(conn, sql);
}

fn both(conn: &mut Conn, sql: &str) {
    run(conn, &sql.replace("{t}", "s"));
    run(conn, &sql.replace("{t}", "r"));
}

/// Asks both tables, the series in every way.
fn check(conn: &mut Conn, state: &str, queries: &[&str]) {
    for query in queries {
        // Without ORDER BY rows come in any order.
        let answer = |conn: &mut Conn, table: &str| {
            let mut found = rows(conn, &query.replace("{t}", table));
            if !query.contains("ORDER BY") {
                found.sort();
            }
            found
        };
        let plain = answer(conn, "r");
        for (plans, statistics) in WAYS {
            run(conn, &format!("SET heddledb.series_plans = {plans}"));
            run(conn, &format!("SET heddledb.block_statistics = {statistics}"));
            let ours = answer(conn, "s");
            assert!(
                ours == plain,
                "{state}, series plans {plans}, statistics {statistics}: {query}\n{} rows instead of {}\n{ours:?}\n{plain:?}",
                ours.len(),
                plain.len()
            );
        }
    }
}

/// Writes the same points into both tables.
fn put(conn: &mut Conn, (from, to): (i64, i64), hosts: (i64, i64), salt: i64) {
    let values = VALUES.replacen('(', &format!("{salt} + ("), 1);
    let select = format!(
        "SELECT {TS}, {values}, 'h' || h, h % 2, CASE WHEN h < 3 THEN 'eu' WHEN h < 5 THEN 'us' END \
         FROM generate_series({from}, {to}) i, generate_series({}, {}) h",
        hosts.0, hosts.1
    );
    run(conn, &format!("INSERT INTO s (ts, {FIELDS}, host, dc, region) {select}"));
    let set: Vec<String> = FIELDS.split(", ").map(|c| format!("{c} = excluded.{c}")).collect();
    let set = set.join(", ");
    run(
        conn,
        &format!(
            "INSERT INTO r (ts, {FIELDS}, host, dc, region) {select} ON CONFLICT (host, dc, ts) DO UPDATE SET {set}"
        ),
    );
}

fn tables(conn: &mut Conn) {
    run(conn, "SET TimeZone = 'UTC'");
    let columns = "ts timestamptz NOT NULL, a int, b float8, c text, i2 int2, i8 int8, f4 float4";
    run(
        conn,
        &format!(
            "CREATE TABLE s ({columns}) TAGS (host text NOT NULL, dc int NOT NULL, region text) PRIMARY TAGS (host, dc) PARTITION INTERVAL 1d"
        ),
    );
    run(conn, &format!("CREATE TABLE r ({columns}, host text, dc int, region text, PRIMARY KEY (host, dc, ts))"));
}

#[test]
fn aggregates_over_series_are_those_of_rows() {
    let server = Server::start();
    let mut conn = server.connect();
    tables(&mut conn);
    check(&mut conn, "empty", QUERIES);
    put(&mut conn, (0, 2159), (1, 5), 0);
    check(&mut conn, "in memory", QUERIES);
    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "flushed", QUERIES);

    let mut old = server.connect();
    run(&mut old, "SET TimeZone = 'UTC'");
    run(&mut old, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let before = rows(&mut old, &QUERIES[0].replace("{t}", "s"));

    put(&mut conn, (2160, 2300), (2, 4), 0);
    put(&mut conn, (400, 420), (1, 2), 1000);
    both(&mut conn, "DELETE FROM {t} WHERE host = 'h3' AND ts = '2026-01-01 01:30+00'");
    both(&mut conn, "DELETE FROM {t} WHERE host = 'h5' AND ts < '2026-01-01 02:00+00'");
    check(&mut conn, "late points and deletes in memory", QUERIES);

    run(&mut conn, "BEGIN");
    put(&mut conn, (1000, 1010), (1, 6), 5000);
    both(&mut conn, "DELETE FROM {t} WHERE host = 'h2' AND ts >= '2026-01-01 04:00+00'");
    both(&mut conn, "UPDATE {t} SET a = -77 WHERE host = 'h1' AND ts < '2026-01-01 00:05+00'");
    check(&mut conn, "own writes", QUERIES);
    run(&mut conn, "ROLLBACK");
    check(&mut conn, "rolled back", QUERIES);

    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "flushed again", QUERIES);
    assert_eq!(rows(&mut old, &QUERIES[0].replace("{t}", "s")), before, "an old snapshot");
    // ALTER TABLE would wait for its lock.
    run(&mut old, "COMMIT");
    both(&mut conn, "ALTER TABLE {t} ADD COLUMN d float8");
    both(&mut conn, "UPDATE {t} SET d = 2.5 WHERE host = 'h4'");
    check(&mut conn, "a field added", ADDED);
    for round in 0..4 {
        put(&mut conn, (round * 500, round * 500 + 40), (1, 3), round);
        run(&mut conn, "CHECKPOINT");
    }
    check(&mut conn, "compacted", QUERIES);
    check(&mut conn, "compacted with the field", ADDED);
}

/// A prepared statement's plan is made once, its bounds, tags and width of pieces are parameters.
#[test]
fn parameters_are_bounds_tags_and_widths() {
    let server = Server::start();
    let mut conn = server.connect();
    tables(&mut conn);
    put(&mut conn, (0, 1000), (1, 3), 0);
    for table in ["s", "r"] {
        run(
            &mut conn,
            &format!(
                "PREPARE {table}_by (interval, timestamptz, text[], int) AS SELECT time_bucket($1, ts) AS t, host, max(a) FROM {table} \
                 WHERE ts >= $2 AND host = ANY ($3) AND dc = $4 GROUP BY t, host ORDER BY t DESC, host LIMIT $4 + 6"
            ),
        );
    }
    for arguments in [
        "'1 hour', '2026-01-01', '{h1,h3}', 1",
        "'10 minutes', '2026-01-01 01:00+00', '{h1,h2}', 0",
        "'1 month', '2026-01-01 01:00+00', '{h1,h2}', 1",
        "'1 day', NULL, '{h1}', 1",
        "'1 day', '2026-01-01', NULL, 1",
    ] {
        let mut ask = |table: &str| rows(&mut conn, &format!("EXECUTE {table}_by ({arguments})"));
        assert_eq!(ask("s"), ask("r"), "{arguments}");
    }
    assert!(conn.fails("EXECUTE s_by ('-1 hour', '2026-01-01', '{h1}', 1)").contains("22023"));
}

/// Zones in which hours and days are not those of UTC.
#[test]
fn pieces_of_time_follow_the_zone() {
    let server = Server::start();
    let mut conn = server.connect();
    tables(&mut conn);
    put(&mut conn, (0, 2159), (1, 2), 0);
    run(&mut conn, "CHECKPOINT");
    for zone in ["UTC", "+05:30", "Asia/Kolkata", "America/New_York", "Europe/Berlin"] {
        run(&mut conn, &format!("SET TimeZone = '{zone}'"));
        for piece in
            ["date_trunc('hour', ts)", "date_trunc('day', ts)", "time_bucket(ts, '1d')", "time_bucket('1 day', ts)"]
        {
            let query = format!("SELECT {piece} AS t, count(*), sum(a) FROM {{t}} GROUP BY t ORDER BY t");
            check(&mut conn, zone, &[&query]);
        }
    }
}
