//! SIGKILL while eight clients commit transfers: nothing acknowledged is lost, nothing is half there.
//!
//! Each client writes its transfers (two accounts, a row in `transfers` and two points of the time series `moves`, one
//! transaction) with ids of its own and notes the ids it got an acknowledgement for; one more client loads blocks of rows by COPY. After each
//! kill and restart the invariants hold; a transfer without acknowledgement may be there or not, but then as a whole. Before each
//! transfer its id is drawn from one hot row, whose lock changes hands before the disk has what its last holder wrote.

use heddle_sql_tests::Server;
use heddle_sql_tests::wire::{Conn, ServerError};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 40;
const BALANCE: u64 = 1000;
const CLIENTS: u64 = 8;
const ROUNDS: u64 = 200;

/// Deterministic and different per client and round.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Commits transfers until the server is gone; returns the acknowledged ids and the number of the next one.
fn client(address: SocketAddr, me: u64, round: u64, first: u64, stop: &AtomicBool) -> (Vec<u64>, u64) {
    let mut acknowledged = vec![];
    let mut next = first;
    let Ok(mut conn) = open(address) else { return (acknowledged, next) };
    let mut random = Lcg(me * 1_000_003 + round);
    while !stop.load(Ordering::Relaxed) {
        let from = random.below(ACCOUNTS);
        let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
        // In key order: otherwise most of the time would go into deadlocks.
        let (low, high, sign) = if from < to { (from, to, "-") } else { (to, from, "+") };
        let amount = random.below(50) + 1;
        let other = if sign == "-" { "+" } else { "-" };
        let id = me * 10_000_000 + next;
        next += 1;
        let sql = format!(
            "BEGIN; UPDATE accounts SET balance = balance {sign} {amount} WHERE id = {low}; \
             UPDATE accounts SET balance = balance {other} {amount} WHERE id = {high}; \
             INSERT INTO transfers VALUES ({id}, {from}, {to}, {amount}); \
             INSERT INTO moves (ts, account, transfer, amount) VALUES \
               ({at}, {from}, {id}, -{amount}), ({at}, {to}, {id}, {amount}); COMMIT",
            at = format_args!("timestamptz '2026-01-01Z' + {id} * interval '1 ms'"),
        );
        let draw = format!("BEGIN; UPDATE hot SET n = n + 1 WHERE id = 1; INSERT INTO draws VALUES ({id}); COMMIT");
        let mut outcome = conn.query(&draw);
        if outcome.lost.is_none() && outcome.error.is_none() {
            outcome = conn.query(&sql);
        }
        let committed = outcome.results.last().is_some_and(|r| r.tag == "COMMIT");
        if committed && outcome.results.len() > 4 {
            acknowledged.push(id);
        }
        match (&outcome.lost, &outcome.error) {
            (Some(_), _) => break,
            (None, Some(e)) if e.severity == "FATAL" => break,
            (None, Some(e)) => panic!("transfer failed: {}", e.full()),
            (None, None) => {}
        }
    }
    (acknowledged, next)
}

/// Rows of a load.
const LOAD_ROWS: u64 = 2000;

/// Loads blocks of rows, one load after another and out of key order, until the server is gone; the loads before the last two are
/// deleted. Returns the last load that was acknowledged.
fn loader(address: SocketAddr, last: u64, stop: &AtomicBool) -> u64 {
    let mut acknowledged = last;
    let Ok(mut conn) = open(address) else { return acknowledged };
    // One that was not acknowledged may be there.
    conn.query(&format!("DELETE FROM loads WHERE load > {last}"));
    let mut next = last + 1;
    while !stop.load(Ordering::Relaxed) {
        let rows: String =
            (0..LOAD_ROWS).map(|i| format!("{next}\t{}\tload {next}\n", (i * 7919) % LOAD_ROWS)).collect();
        conn.query(&format!("DELETE FROM loads WHERE load < {next} - 1"));
        let outcome = conn.copy_in("COPY loads FROM STDIN", rows.as_bytes(), 10_000);
        if outcome.results.last().is_some_and(|r| r.tag == format!("COPY {LOAD_ROWS}")) {
            acknowledged = next;
        }
        if outcome.lost.is_some() || outcome.error.is_some() {
            break;
        }
        next += 1;
    }
    acknowledged
}

/// The last acknowledged load is there, and every load as a whole, by table and by index.
fn check_loads(conn: &mut Conn, last: u64, round: u64) {
    let half = format!("SELECT count(*) FROM (SELECT count(*) AS n FROM loads GROUP BY load) l WHERE n <> {LOAD_ROWS}");
    assert_eq!(conn.value(&half), "0", "round {round}: a load in part");
    for load in [last, last + 1] {
        let table = conn.value(&format!("SELECT count(*) FROM loads WHERE load = {load}"));
        let index = conn.value(&format!("SELECT count(*) FROM loads WHERE text = 'load {load}'"));
        assert_eq!(table, index, "round {round}: load {load}");
        assert!(load > last || last == 0 || table == LOAD_ROWS.to_string(), "round {round}: load {load} is gone");
    }
}

fn open(address: SocketAddr) -> Result<Conn, ServerError> {
    Conn::open(address, &[("user", "postgres"), ("database", "postgres")])
}

/// Balances follow from the transfers, all of them, and every acknowledged one is there.
fn check(conn: &mut Conn, acknowledged: &BTreeSet<u64>, round: u64) {
    let total = conn.value("SELECT sum(balance) FROM accounts");
    assert_eq!(total, (ACCOUNTS * BALANCE).to_string(), "round {round}: money was made or lost");
    let there: BTreeSet<u64> = conn
        .run("SELECT id FROM transfers")
        .rows()
        .map(|r| r[0].as_deref().and_then(|v| v.parse().ok()).expect("a number"))
        .collect();
    let missing: Vec<_> = acknowledged.difference(&there).take(5).collect();
    assert!(missing.is_empty(), "round {round}: acknowledged transfers are gone: {missing:?}");
    let half = conn.value(
        "SELECT count(*) FROM accounts a WHERE a.balance <> 1000 \
           - coalesce((SELECT sum(amount) FROM transfers t WHERE t.source = a.id), 0) \
           + coalesce((SELECT sum(amount) FROM transfers t WHERE t.target = a.id), 0)",
    );
    assert_eq!(half, "0", "round {round}: balances do not follow from the transfers");
    // Rows and points come and go together.
    let torn = conn.value(
        "SELECT count(*) FROM transfers t FULL JOIN \
           (SELECT transfer, count(*) AS n, min(amount) AS low, max(amount) AS high FROM moves GROUP BY transfer) m \
           ON m.transfer = t.id \
         WHERE t.id IS NULL OR m.transfer IS NULL OR m.n <> 2 OR m.low <> -t.amount OR m.high <> t.amount",
    );
    assert_eq!(torn, "0", "round {round}: a transfer without its points, or points without their transfer");
    let lost = conn.value("SELECT count(*) - (SELECT n FROM hot) FROM draws");
    assert_eq!(lost, "0", "round {round}: the hot row lost a change");
    let undrawn = conn.value("SELECT count(*) FROM transfers WHERE id NOT IN (SELECT id FROM draws)");
    assert_eq!(undrawn, "0", "round {round}: an acknowledged draw is gone");
}

#[test]
fn kill_loop_loses_nothing_acknowledged() {
    let mut server = Server::start_with(&["--log-segment-size", "4MB", "--memtable-size", "256kB"]);
    let mut conn = server.connect();
    conn.run(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL); \
         CREATE TABLE transfers (id int PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount int NOT NULL); \
         CREATE TABLE moves (ts timestamptz NOT NULL, transfer int NOT NULL, amount int NOT NULL) \
           TAGS (account int NOT NULL) PRIMARY TAGS (account) PARTITION INTERVAL 1d; \
         CREATE TABLE hot (id int PRIMARY KEY, n int NOT NULL); INSERT INTO hot VALUES (1, 0); \
         CREATE TABLE draws (id int PRIMARY KEY); \
         CREATE TABLE loads (load int, at int, text text, PRIMARY KEY (load, at)); CREATE INDEX ON loads (text)",
    );
    conn.run(&format!("INSERT INTO accounts SELECT a, {BALANCE} FROM generate_series(0, {}) a", ACCOUNTS - 1));
    drop(conn);
    let begin = Instant::now();
    let mut acknowledged = BTreeSet::new();
    let mut next = vec![0; CLIENTS as usize];
    let mut last_load = 0;
    let mut random = Lcg(42);
    for round in 0..ROUNDS {
        let address = server.address();
        let stop = AtomicBool::new(false);
        let pause = Duration::from_millis(20 + random.below(180));
        std::thread::scope(|scope| {
            let clients: Vec<_> = next
                .iter()
                .enumerate()
                .map(|(me, first)| {
                    let (stop, first) = (&stop, *first);
                    scope.spawn(move || client(address, me as u64, round, first, stop))
                })
                .collect();
            let (stop_loads, last) = (&stop, last_load);
            let loads = scope.spawn(move || loader(address, last, stop_loads));
            std::thread::sleep(pause);
            server.kill();
            stop.store(true, Ordering::Relaxed);
            last_load = loads.join().expect("the loader failed");
            for (me, client) in clients.into_iter().enumerate() {
                let (ids, n) = client.join().expect("a client failed");
                acknowledged.extend(ids);
                next[me] = n;
            }
        });
        server.restart();
        check_loads(&mut server.connect(), last_load, round);
        // Every tenth round in full: the check itself reads all transfers.
        if round % 10 == 9 || round < 5 {
            check(&mut server.connect(), &acknowledged, round);
        } else {
            let total = server.connect().value("SELECT sum(balance) FROM accounts");
            assert_eq!(total, (ACCOUNTS * BALANCE).to_string(), "round {round}: money was made or lost");
        }
    }
    check(&mut server.connect(), &acknowledged, ROUNDS);
    let seconds = begin.elapsed().as_secs_f32();
    eprintln!("kill loop: {ROUNDS} rounds, {} acknowledged transfers, {seconds:.1} s", acknowledged.len());
    assert!(acknowledged.len() as u64 > ROUNDS * 5, "too little was done for the test to mean anything");
    assert!(seconds < 120.0, "the rounds took {seconds} s");
}
