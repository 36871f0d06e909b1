//! Large results leave as they are produced: the server's memory does not grow with them.

use heddle_sql_tests::Server;
use heddle_sql_tests::wire::{Conn, build};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROWS: u64 = 5_000_000;
/// Filling a table takes longer than reading it; buffered, these rows would still be far above the limit.
const TABLE_ROWS: u64 = 2_500_000;
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// Reads a whole result; returns its rows. Sleeps now and then in `slow` mode, so that back-pressure has to work.
fn drain(conn: &mut Conn, slow: bool) -> u64 {
    let mut rows = 0;
    loop {
        let m = conn.receive().expect("the server is there");
        match m.kind {
            b'D' => {
                rows += 1;
                if slow && rows % 500_000 == 0 {
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
            b'E' => panic!("{:?}", heddle_sql_tests::Fields::decode(&m.body)),
            b'Z' => return rows,
            _ => {}
        }
    }
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The largest growth of resident memory while `work` runs, in KiB.
fn growth(server: &Server, work: impl FnOnce()) -> u64 {
    let before = server.process().resident_kib();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(server.process().resident_kib());
                std::thread::sleep(Duration::from_millis(10));
            }
            peak
        });
        // Also when `work` panics: the scope waits for the watcher.
        let ended = SetWhenDropped(&done);
        work();
        drop(ended);
        watcher.join().expect("no panic").saturating_sub(before)
    })
}

#[test]
fn large_result_of_a_function_does_not_grow_the_server() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run("SELECT count(*) FROM generate_series(1, 100000)");
    let simple = format!("SELECT a, a * 2 AS b, 'some text ' || a FROM generate_series(1, {ROWS}) a");
    let grown = growth(&server, || {
        conn.send(&build::query(&simple)).expect("sent");
        assert_eq!(drain(&mut conn, true), ROWS);
    });
    assert!(grown < GROWTH_KIB_MAX, "simple protocol: grew by {grown} KiB");
    let extended =
        [build::parse("", &simple, &[]), build::bind("", "", &[], &[], &[1]), build::execute("", 0), build::sync()];
    let grown = growth(&server, || {
        conn.send(&extended.concat()).expect("sent");
        assert_eq!(drain(&mut conn, false), ROWS);
    });
    assert!(grown < GROWTH_KIB_MAX, "extended protocol: grew by {grown} KiB");
}

#[test]
fn large_table_and_copy_do_not_grow_the_server() {
    // Small memtables and cache: what is measured is the result's memory, not the tables'.
    let server =
        Server::start_with(&["--memtable-size", "8MB", "--cache-size", "16MB", "--unmerged-memory-max", "24MB"]);
    let mut conn = server.connect();
    conn.run("CREATE TABLE big (a int PRIMARY KEY, b text)");
    for part in 0..10 {
        let (from, to) = (part * TABLE_ROWS / 10 + 1, (part + 1) * TABLE_ROWS / 10);
        conn.run(&format!("INSERT INTO big SELECT a, 'value ' || a FROM generate_series({from}, {to}) a"));
    }
    conn.run("CHECKPOINT");
    conn.run("SELECT count(*) FROM big");
    let grown = growth(&server, || {
        conn.send(&build::query("SELECT * FROM big")).expect("sent");
        assert_eq!(drain(&mut conn, true), TABLE_ROWS);
    });
    assert!(grown < GROWTH_KIB_MAX, "SELECT: grew by {grown} KiB");
    let grown = growth(&server, || {
        conn.send(&build::query("COPY big TO STDOUT")).expect("sent");
        let mut bytes = 0;
        loop {
            let m = conn.receive().expect("the server is there");
            match m.kind {
                b'd' => bytes += m.body.len(),
                b'Z' => break,
                _ => {}
            }
        }
        assert!(bytes > 40_000_000, "{bytes}");
    });
    assert!(grown < GROWTH_KIB_MAX, "COPY TO: grew by {grown} KiB");
}

#[test]
fn a_client_that_stops_reading_stops_the_query() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run("SELECT 1");
    let grown = growth(&server, || {
        conn.send(&build::query("SELECT a, repeat('x', 100) FROM generate_series(1, 50000000) a")).expect("sent");
        std::thread::sleep(Duration::from_secs(2));
    });
    assert!(grown < GROWTH_KIB_MAX, "grew by {grown} KiB");
    conn.hang_up();
    assert_eq!(server.connect().value("SELECT 2"), "2");
}
