//! Reads of time series that have a short way of their own (last points, raw selects, conditions on fields below the merge) give
//! what the same rows in a relational table give: in memory, flushed, compacted, with late points, deletes, own writes, old
//! snapshots, NULLs and added fields.

use heddle_sql_tests::{Conn, Server};

/// Time `i` of a series.
const TS: &str = "timestamptz '2026-01-01 00:00+00' + i * interval '10 s'";

/// What is asked; `{t}` is the table.
const QUERIES: &[&str] = &[
    "SELECT DISTINCT ON (host, dc) host, dc, ts, a, b, c FROM {t} ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (dc, host) c, ts AS at, host AS h FROM {t} ORDER BY dc DESC, host, ts DESC",
    "SELECT DISTINCT ON (host, dc) ts, a, b FROM {t} WHERE ts < '2026-01-01 02:17:05+00' ORDER BY host, dc, ts DESC LIMIT 3 OFFSET 1",
    "SELECT DISTINCT ON (host, dc) ts, a FROM {t} WHERE ts BETWEEN '2026-01-01 01:00+00' AND '2026-01-01 01:00:09+00' ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (host, dc) host, ts, c FROM {t} WHERE host IN ('h1', 'h3', 'h9') ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (host, dc) host, ts, c FROM {t} WHERE dc = 1 AND host <> 'h1' ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (host, dc) host, ts, c FROM {t} WHERE region = 'eu' AND host > 'h1' ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (host, dc) host, ts, a FROM {t} WHERE a > 50 ORDER BY host, dc, ts DESC",
    "SELECT DISTINCT ON (host) host, ts, a FROM {t} ORDER BY host, ts DESC",
    "SELECT DISTINCT ON (host, dc) host, ts, a FROM {t} ORDER BY host, dc, ts",
    "SELECT count(*), sum(a), min(ts) FROM (SELECT DISTINCT ON (host, dc) * FROM {t} ORDER BY host, dc, ts DESC) q WHERE q.ts < '2026-01-01 05:00+00' AND a >= 0",
    "WITH l AS (SELECT DISTINCT ON (host, dc) host, dc, ts FROM {t} ORDER BY host, dc, ts DESC) SELECT l.host, t.a FROM l JOIN {t} t USING (host, dc, ts) ORDER BY l.host, t.a",
    "SELECT ts, a, c FROM {t} WHERE host = 'h1' AND dc = 1 ORDER BY ts DESC LIMIT 5 OFFSET 2",
    "SELECT ts, a, region FROM {t} WHERE host = 'h1' AND dc = 1 AND ts < '2026-01-01 03:00+00' ORDER BY ts DESC LIMIT 1",
    "SELECT ts, a FROM {t} WHERE host = 'h2' AND dc = 0 ORDER BY ts DESC",
    "SELECT ts, a + 1, upper(c) FROM {t} WHERE host = 'h2' AND dc = 0 AND ts >= '2026-01-01 01:00+00' AND ts < '2026-01-01 02:00+00' ORDER BY ts",
    "SELECT * FROM {t} WHERE host = 'h4' AND dc = 0 AND ts > '2026-01-01 05:00+00' ORDER BY host, ts LIMIT 20",
    "SELECT ts, a FROM {t} WHERE host = 'h4' AND dc = 0 ORDER BY ts LIMIT 0",
    "SELECT ts, a FROM {t} WHERE host = 'h7' AND dc = 0 ORDER BY ts DESC",
    "SELECT ts, host, a, b FROM {t} WHERE host = ANY ('{h1,h2}') AND dc IN (0, 1) AND ts < '2026-01-01 00:20+00'",
    "SELECT ts, host, a, b, c FROM {t} WHERE a > 97",
    "SELECT ts, host, c FROM {t} WHERE a <= 3 AND b IS NULL",
    "SELECT ts, host, a, b FROM {t} WHERE b >= 'NaN'",
    "SELECT ts, host, b FROM {t} WHERE b < 0.05 AND ts > '2026-01-01 02:00+00'",
    "SELECT count(*), sum(a) FROM {t} WHERE a <> 4 AND host = 'h1'",
    "SELECT count(*), count(c) FROM {t} WHERE c IS NULL",
    "SELECT ts, a FROM {t} WHERE a BETWEEN 10 AND 11 AND 90 > a AND c IS NOT NULL",
    "SELECT ts, a FROM {t} WHERE a > 3000000000 OR a = 17",
    "SELECT ts, a FROM {t} WHERE a = 17::bigint AND b > (SELECT 0.9)",
    "SELECT count(*) FROM {t} WHERE a > NULL",
    "SELECT ts, a FROM {t} WHERE a >= 99 ORDER BY ts, a LIMIT 7",
];

/// More, once field `d` is there.
const ADDED: &[&str] = &[
    "SELECT DISTINCT ON (host, dc) host, dc, ts, d, a FROM {t} ORDER BY host, dc, ts DESC",
    "SELECT ts, host, d FROM {t} WHERE d > 3",
    "SELECT count(*) FROM {t} WHERE d IS NULL AND a > 10",
    "SELECT ts, d FROM {t} WHERE host = 'h3' AND dc = 1 ORDER BY ts DESC LIMIT 9",
];

fn rows(conn: &mut Conn, sql: &str) -> Vec<Vec<Option<String>>> {
    let outcome = conn.query(sql);
    assert!(outcome.error.is_none(), "{sql}: {}", outcome.short());
    let mut rows: Vec<_> = outcome.rows().cloned().collect();
    if !sql.contains("ORDER BY") && !sql.starts_with("EXECUTE") {
        rows.sort();
    }
    rows
}

fn check(conn: &mut Conn, state: &str, queries: &[&str]) {
    for query in queries {
        let (ours, plain) = (rows(conn, &query.replace("{t}", "s")), rows(conn, &query.replace("{t}", "r")));
        assert!(ours == plain, "{state}: {query}\n{} rows instead of {}\n{ours:?}\n{plain:?}", ours.len(), plain.len());
    }
}

fn run(conn: &mut Conn, sql: &str) {
    let outcome = conn.query(sql);
    assert!(outcome.error.is_none(), "{sql}: {}", outcome.short());
}

/// Writes the same points into both tables: `i` and `h` from ranges, `values` over them.
fn put(conn: &mut Conn, (from, to): (i64, i64), hosts: (i64, i64), columns: &str, values: &str) {
    let select = format!(
        "SELECT {TS}, {values}, 'h' || h, h % 2, CASE WHEN h < 3 THEN 'eu' ELSE 'us' END \
         FROM generate_series({from}, {to}) i, generate_series({}, {}) h",
        hosts.0, hosts.1
    );
    run(conn, &format!("INSERT INTO s (ts, {columns}, host, dc, region) {select}"));
    let set: Vec<String> = columns.split(", ").map(|c| format!("{c} = excluded.{c}")).collect();
    run(
        conn,
        &format!(
            "INSERT INTO r (ts, {columns}, host, dc, region) {select} ON CONFLICT (host, dc, ts) DO UPDATE SET {}",
            set.join(", ")
        ),
    );
}

fn both(conn: &mut Conn, sql: &str) {
    run(conn, &sql.replace("{t}", "s"));
    run(conn, &sql.replace("{t}", "r"));
}

const SOME: &str = "(i * 7 + h * 31) % 101, CASE WHEN i % 97 = 5 THEN 'NaN' WHEN i % 13 = 0 THEN NULL ELSE (i % 100) / 100.0 END, \
                    CASE WHEN i % 11 = 0 THEN NULL ELSE 'c' || i % 23 END";

#[test]
fn short_ways_give_what_relational_rows_give() {
    let server = Server::start();
    let mut conn = server.connect();
    run(&mut conn, "SET TimeZone = 'UTC'");
    let columns = "ts timestamptz NOT NULL, a int, b float8, c text";
    run(
        &mut conn,
        &format!(
            "CREATE TABLE s ({columns}) TAGS (host text NOT NULL, dc int NOT NULL, region text) PRIMARY TAGS (host, dc) PARTITION INTERVAL 1d"
        ),
    );
    run(&mut conn, &format!("CREATE TABLE r ({columns}, host text, dc int, region text, PRIMARY KEY (host, dc, ts))"));
    check(&mut conn, "empty", QUERIES);
    put(&mut conn, (0, 1999), (1, 5), "a, b, c", SOME);
    check(&mut conn, "in memory", QUERIES);
    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "flushed", QUERIES);
    put(&mut conn, (2000, 2100), (2, 4), "a, b, c", SOME);
    check(&mut conn, "a tail in memory", QUERIES);

    // Late points replace ones that fulfil conditions by ones that do not, and the other way round.
    put(&mut conn, (300, 700), (1, 3), "a, b, c", "0, 5.0, 'late'");
    put(&mut conn, (1500, 1600), (1, 5), "a, b, c", "100, 'NaN', NULL");
    check(&mut conn, "late points", QUERIES);
    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "late points flushed", QUERIES);

    both(&mut conn, "DELETE FROM {t} WHERE ts >= '2026-01-01 05:00+00' AND host IN ('h2', 'h4')");
    both(&mut conn, "DELETE FROM {t} WHERE host = 'h5'");
    both(&mut conn, "DELETE FROM {t} WHERE a > 98 AND dc = 1");
    check(&mut conn, "deletes", QUERIES);
    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "deletes flushed", QUERIES);

    own_writes(&mut conn);
    old_snapshot(&server, &mut conn);

    both(&mut conn, "ALTER TABLE {t} ADD COLUMN d int");
    check(&mut conn, "an added field", ADDED);
    // All fields: a point is replaced as a whole.
    put(
        &mut conn,
        (1990, 2300),
        (1, 3),
        "a, b, c, d",
        "i % 50, 0.5, 'd', CASE WHEN i % 5 = 0 THEN NULL ELSE i % 7 END",
    );
    check(&mut conn, "an added field in memory", ADDED);
    run(&mut conn, "CHECKPOINT");
    check(&mut conn, "an added field flushed", ADDED);
    check(&mut conn, "everything", QUERIES);
    prepared(&mut conn);
}

fn own_writes(conn: &mut Conn) {
    run(conn, "BEGIN");
    put(conn, (2050, 2200), (1, 2), "a, b, c", SOME);
    put(conn, (100, 150), (3, 6), "a, b, c", "99, NULL, 'own'");
    both(conn, "DELETE FROM {t} WHERE host = 'h3' AND ts > '2026-01-01 04:00+00'");
    check(conn, "own writes", QUERIES);
    run(conn, "ROLLBACK");
    check(conn, "rolled back", QUERIES);
}

fn old_snapshot(server: &Server, conn: &mut Conn) {
    let mut reader = server.connect();
    run(&mut reader, "SET TimeZone = 'UTC'");
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    let before: Vec<_> = QUERIES.iter().map(|query| rows(&mut reader, &query.replace("{t}", "s"))).collect();
    put(conn, (2200, 2250), (1, 6), "a, b, c", SOME);
    put(conn, (0, 1000), (1, 2), "a, b, c", "99, 0.01, 'new'");
    both(conn, "DELETE FROM {t} WHERE host = 'h4'");
    let same = |reader: &mut Conn, state: &str| {
        for (query, before) in QUERIES.iter().zip(&before) {
            assert!(rows(reader, &query.replace("{t}", "s")) == *before, "{state}: {query}");
        }
        check(reader, state, QUERIES);
    };
    same(&mut reader, "an old snapshot");
    run(conn, "CHECKPOINT");
    same(&mut reader, "an old snapshot after a checkpoint");
    run(&mut reader, "COMMIT");
    check(&mut reader, "a new snapshot", QUERIES);
}

fn prepared(conn: &mut Conn) {
    let select =
        "SELECT ts, a, c FROM {t} WHERE host = $1 AND dc = $2 AND ts >= $3 AND ts < $4 ORDER BY ts DESC LIMIT $5";
    for table in ["s", "r"] {
        run(
            conn,
            &format!(
                "PREPARE raw_{table} (text, int, timestamptz, timestamptz, int) AS {}",
                select.replace("{t}", table)
            ),
        );
    }
    let arguments = [
        "'h1', 1, '2026-01-01', '2026-01-02', NULL",
        "'h1', 1, '2026-01-01 01:00', '2026-01-01 01:10', 10",
        "'h1', 1, NULL, '2026-01-02', 10",
        "NULL, 1, '2026-01-01', '2026-01-02', 10",
        "'h2', 0, '2026-01-01', '2026-01-02', 3",
        "'h2', 0, '-infinity', 'infinity', 1",
    ];
    for arguments in arguments {
        let (ours, plain) =
            (rows(conn, &format!("EXECUTE raw_s ({arguments})")), rows(conn, &format!("EXECUTE raw_r ({arguments})")));
        assert!(ours == plain, "{arguments}");
    }
}
