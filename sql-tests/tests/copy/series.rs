//! COPY into and out of time-series tables.

use heddle_sql_tests::Server;

const SETUP: &str = "SET TimeZone = 'UTC'; CREATE TABLE s (ts timestamptz NOT NULL, v int, w float8) TAGS (host text NOT NULL, region text) \
    PRIMARY TAGS (host) PARTITION INTERVAL 1d";

#[test]
fn points_come_in_every_format() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    let hosts = 50;
    let csv: String = (0..20_000)
        .map(|i| {
            let (day, second) = (1 + i / 10_000, (i / hosts) % 200);
            format!("2024-01-{day:02} 00:{:02}:{:02}+00,{i},{}.5,h{},r\n", second / 60, second % 60, i % 7, i % hosts)
        })
        .collect();
    assert_eq!(conn.copy_in("COPY s FROM STDIN CSV", csv.as_bytes(), 4099).results[0].tag, "COPY 20000");
    let sums = "SELECT count(*), count(DISTINCT host), sum(v), sum(w), min(ts), max(ts), max(region) FROM s";
    let expected = conn.run(sums).short();
    assert!(expected.starts_with("(20000,50,199990000,"), "{expected}");
    // The same points again do not double, whatever the format.
    let binary = conn.run("COPY s TO STDOUT (FORMAT binary)").copied;
    assert_eq!(conn.copy_in("COPY s FROM STDIN (FORMAT binary)", &binary, 65_536).results[0].tag, "COPY 20000");
    let text = conn.run("COPY s TO STDOUT").copied;
    assert_eq!(conn.copy_in("COPY s FROM STDIN", &text, 777).results[0].tag, "COPY 20000");
    assert_eq!(conn.run(sums).short(), expected);
    conn.run("CHECKPOINT");
    assert_eq!(conn.run(sums).short(), expected);
    let kept =
        conn.copy_in("COPY s (host, ts, v) FROM STDIN CSV WHERE v % 2 = 1", b"x,2024-02-01,1\nx,2024-02-02,2\n", 9);
    assert_eq!(kept.results[0].tag, "COPY 1");
    assert_eq!(conn.value("SELECT v || ',' || ts::date FROM s WHERE host = 'x'"), "1,2024-02-01");
}

#[test]
fn a_bad_point_undoes_all() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    let good: String = (0..9000).map(|i| format!("2024-01-01 00:00:{:02},{i},0,h{i},r\n", i % 60)).collect();
    for (last, code, context) in [
        ("2024-01-01,x,0,h,r\n", "22P02", "COPY s, line 9001, column v: \"x\""),
        ("2024-13-01,1,0,h,r\n", "22008", "COPY s, line 9001, column ts: \"2024-13-01\""),
        ("2024-01-01,1,0,,r\n", "23502", "COPY s, line 9001: \"2024-01-01,1,0,,r\""),
        ("2024-01-01,1,0,h\n", "22P04", "COPY s, line 9001: \"2024-01-01,1,0,h\""),
    ] {
        let outcome = conn.copy_in("COPY s FROM STDIN CSV", format!("{good}{last}").as_bytes(), 65_536);
        let error = outcome.error.expect("the last line is bad");
        assert_eq!((error.code.as_str(), error.context.as_deref()), (code, Some(context)));
    }
    assert_eq!(conn.value("SELECT count(*) FROM s"), "0");
}
