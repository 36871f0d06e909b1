//! pg_stat_activity, pg_cancel_backend, pg_terminate_backend, pg_blocking_pids: the same answers as PostgreSQL's. And sessions that wait
//! for each other's advisory locks, more of them than there are threads that own connections.

use heddle_sql_tests::outcome::row_text;
use heddle_sql_tests::wire::{Conn, build};
use heddle_sql_tests::{Judge, Outcome, Server, assert_same};
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

/// A session that is watched, and the one that watches.
struct Watch {
    watched: Conn,
    pid: String,
    other: Conn,
    told: String,
}

impl Watch {
    fn new(mut watched: Conn, other: Conn) -> Self {
        let pid = watched.value("SELECT pg_backend_pid()");
        Self { watched, pid, other, told: String::new() }
    }

    fn tell(&mut self, what: &str, answer: &Outcome) {
        let notices: String = answer.notices.iter().map(|n| format!(" {{{} {}}}", n.severity, n.short())).collect();
        writeln!(self.told, "{what}: {}{notices}", answer.short()).expect("a string takes it");
    }

    /// What the view says of the session.
    fn look(&mut self, after: &str) {
        let sql = format!(
            "SELECT datname, usename, usesysid, application_name, client_addr IS NOT NULL, client_port > 0, state, \
             wait_event_type, wait_event, query, backend_type, backend_start < query_start, \
             query_start <= state_change, xact_start <= query_start, xact_start IS NULL \
             FROM pg_stat_activity WHERE pid = {}",
            self.pid
        );
        // It has answered, but may not yet be seen to wait.
        let waits = format!("SELECT wait_event FROM pg_stat_activity WHERE pid = {}", self.pid);
        while self.other.value(&waits) != "ClientRead" {
            thread::sleep(Duration::from_millis(1));
        }
        let answer = self.other.query(&sql);
        self.tell(after, &answer);
    }

    fn run(&mut self, sql: &str) {
        let answer = self.watched.query(sql);
        self.tell(sql, &answer);
        self.look(sql);
    }

    fn run_other(&mut self, sql: &str) {
        let answer = self.other.query(&sql.replace("PID", &self.pid));
        self.tell(sql, &answer);
    }

    /// Begins a long statement, and waits until the other session sees it.
    fn begin(&mut self, sql: &str) {
        self.watched.send(&build::query(sql)).expect("sent");
        let seen = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND state = 'active' AND query = '{sql}'",
            self.pid
        );
        while self.other.value(&seen) != "1" {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Everything both servers are asked.
fn story(connect: &dyn Fn() -> Conn) -> String {
    let mut watch = Watch::new(connect(), connect());
    watch.run("SET application_name = 'watched'");
    watch.run("SELECT 1 AS one");
    watch.run("BEGIN");
    watch.run("SELECT 2 AS two; SELECT 3 AS three");
    watch.run("SELECT 1/0");
    watch.run("ROLLBACK");
    watch.run(&format!("SELECT '{}'", "x".repeat(2000)));
    let messages = [
        build::parse("named", "SELECT $1::int4 + 1", &[]),
        build::bind("", "named", &[], &[Some(b"41")], &[]),
        build::execute("", 0),
        build::sync(),
    ];
    watch.watched.send(&messages.concat()).expect("sent");
    watch.watched.until_ready();
    watch.run("SELECT 4 AS between");
    let messages = [build::bind("", "named", &[], &[Some(b"41")], &[]), build::execute("", 0), build::sync()];
    watch.watched.send(&messages.concat()).expect("sent");
    watch.watched.until_ready();
    watch.look("a prepared statement again");

    let long = "SELECT pg_sleep(60)";
    watch.begin(long);
    watch.run_other("SELECT pg_cancel_backend(PID)");
    let answer = watch.watched.outcome();
    watch.tell("canceled", &answer);
    watch.look("after the cancel");
    watch.begin(long);
    watch.run_other("SELECT pg_terminate_backend(PID, 5000)");
    let answer = watch.watched.outcome();
    watch.tell("terminated", &answer);
    watch.run_other("SELECT count(*) FROM pg_stat_activity WHERE pid = PID");
    for sql in [
        "SELECT pg_cancel_backend(2147483647)",
        "SELECT pg_terminate_backend(2147483647)",
        "SELECT pg_terminate_backend(2147483647, 10)",
        "SELECT pg_terminate_backend(pid => 2147483647, timeout => -1)",
        "SELECT pg_cancel_backend(NULL), pg_terminate_backend(NULL)",
    ] {
        watch.run_other(sql);
    }
    watch.told
}

#[test]
fn sessions_see_each_other_as_in_postgresql() {
    let Some(judge) = Judge::start() else { return };
    let server = Server::start();
    assert_same("activity", &story(&|| server.connect()), &story(&|| judge.connect()));
}

/// Statements that wait do so on no thread that owns connections: the holder of the lock may be on the same one.
#[test]
fn sessions_that_wait_leave_the_threads_to_others() {
    const SESSIONS: usize = 12;
    let server = Server::start();
    let mut holder = server.connect();
    holder.run("SELECT pg_advisory_lock(1)");
    let mut waiting: Vec<Conn> = (0..SESSIONS).map(|_| server.connect()).collect();
    for conn in &mut waiting {
        let sql = "SELECT pg_advisory_lock(1), pg_advisory_unlock(1)";
        conn.send(&build::query(sql)).expect("sent");
    }
    assert!(!waiting[0].answers_within(Duration::from_millis(200)), "the lock is taken");
    holder.wait_at_most(Duration::from_secs(20)).expect("a socket");
    assert_eq!(holder.value("SELECT pg_advisory_unlock(1)"), "t");
    for conn in &mut waiting {
        conn.wait_at_most(Duration::from_secs(20)).expect("a socket");
        assert_eq!(conn.outcome().code(), "ok");
    }
}

/// Sleeping takes no thread away from queries either.
#[test]
fn queries_run_while_sessions_sleep() {
    const SESSIONS: usize = 12;
    let server = Server::start();
    let mut other = server.connect();
    let mut sleeping: Vec<Conn> = (0..SESSIONS).map(|_| server.connect()).collect();
    sleeping.iter_mut().for_each(|conn| conn.send(&build::query("SELECT pg_sleep(3600)")).expect("sent"));
    other.wait_at_most(Duration::from_secs(20)).expect("a socket");
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(3600)'";
    while other.value(asleep) != SESSIONS.to_string() {
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(other.value("SELECT sum(n % 7) FROM generate_series(1, 700000) AS n"), "2100000");
    other.run("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'");
    for conn in &mut sleeping {
        assert_eq!(conn.outcome().code(), "57014");
    }
}

/// Sessions that get into each other's way, by their names.
const CROWD: [&str; 4] = ["holder", "first", "second", "third"];

/// [`CROWD`], and a session that looks at it.
struct Crowd {
    sessions: Vec<Conn>,
    pids: Vec<String>,
    other: Conn,
    told: String,
}

impl Crowd {
    fn new(connect: &dyn Fn() -> Conn) -> Self {
        let mut sessions: Vec<Conn> = CROWD.iter().map(|_| connect()).collect();
        let pids = sessions.iter_mut().map(|session| session.value("SELECT pg_backend_pid()")).collect();
        let mut other = connect();
        other.run("CREATE TABLE w (a int PRIMARY KEY, b int); INSERT INTO w VALUES (1, 1), (2, 2)");
        Self { sessions, pids, other, told: String::new() }
    }

    fn tell(&mut self, line: &str) {
        self.told.push_str(line);
        self.told.push('\n');
    }

    /// Gives the other session some time to see what a session waits for.
    fn wait_until(&mut self, i: usize, wait_event_type: &str) {
        let sql = format!("SELECT wait_event_type FROM pg_stat_activity WHERE pid = {}", self.pids[i]);
        let begin = Instant::now();
        while self.other.value(&sql) != wait_event_type && begin.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends a statement that has to wait.
    fn begin(&mut self, i: usize, sql: &str) {
        self.sessions[i].send(&build::query(sql)).expect("sent");
        self.wait_until(i, "Lock");
    }

    fn end(&mut self, i: usize) {
        let answer = self.sessions[i].outcome().short();
        self.tell(&format!("  {} got {answer}", CROWD[i]));
    }

    /// The names of sessions: `7` or `{7,8}`.
    fn names(&self, pids: &str) -> String {
        let pids: Vec<&str> = pids.trim_matches(['{', '}']).split(',').collect();
        let named = CROWD.iter().zip(&self.pids).filter(|(_, pid)| pids.contains(&pid.as_str()));
        named.map(|(name, _)| *name).collect::<Vec<_>>().join(" and ")
    }

    /// Rows whose last column says which sessions.
    fn look(&mut self, sql: &str) {
        for mut row in self.other.run(sql).rows().cloned().collect::<Vec<_>>() {
            let pids = row.pop().flatten().unwrap_or_default();
            let names = self.names(&pids);
            self.tell(&format!("  {} by {names}", row_text(&row)));
        }
    }

    /// What is seen of the first sessions.
    fn look_at(&mut self, count: usize) {
        for (i, name) in CROWD.iter().enumerate().take(count) {
            self.tell(&format!(" {name}"));
            let columns = "state, wait_event_type, wait_event, query, pg_blocking_pids(pid)";
            self.look(&format!("SELECT {columns} FROM pg_stat_activity WHERE pid = {}", self.pids[i]));
        }
        self.look(
            "SELECT mode, granted, waitstart IS NOT NULL, waitstart < clock_timestamp(), classid, objid, objsubid, pid \
             FROM pg_locks WHERE locktype = 'advisory' ORDER BY granted",
        );
    }

    /// The holder does something in a block, the others want what it has until it says `end`.
    fn meet(&mut self, held: &str, wanted: &[&str], end: &str) {
        self.tell(held);
        self.sessions[0].run("BEGIN");
        self.sessions[0].run(held);
        for (i, sql) in wanted.iter().enumerate() {
            self.begin(i + 1, sql);
        }
        self.wait_until(0, "Client");
        self.look_at(wanted.len() + 1);
        self.sessions[0].run(end);
        for i in 1..=wanted.len() {
            self.end(i);
        }
    }
}

/// Everything both servers are asked about waits.
fn waits(connect: &dyn Fn() -> Conn) -> String {
    let mut crowd = Crowd::new(connect);
    let update = "UPDATE w SET b = b + 1 WHERE a = 1";
    crowd.meet(update, &[update; 3], "COMMIT");
    crowd.meet(update, &["SELECT a FROM w WHERE a = 1 FOR SHARE"; 2], "ROLLBACK");
    crowd.meet("DELETE FROM w WHERE a = 2", &["SELECT a FROM w ORDER BY a FOR UPDATE"], "ROLLBACK");
    let insert = "INSERT INTO w VALUES (3, 3) ON CONFLICT DO NOTHING";
    crowd.meet(insert, &[insert; 2], "COMMIT");
    crowd.meet("LOCK TABLE w", &["SELECT count(*) FROM w", "SELECT a FROM w WHERE a = 1"], "COMMIT");
    let queue = ["BEGIN; LOCK TABLE w; COMMIT", "SELECT count(*) FROM w", "SELECT a FROM w WHERE a = 1"];
    crowd.meet("LOCK TABLE w IN ACCESS SHARE MODE", &queue, "COMMIT");
    crowd.meet("DROP TABLE w", &["SELECT count(*) FROM w"], "ROLLBACK");
    crowd.meet("CREATE TABLE n (a int)", &["CREATE TABLE n (a int)"], "ROLLBACK");
    crowd.meet("SELECT pg_advisory_xact_lock(7)", &["SELECT pg_advisory_lock(7)"], "COMMIT");
    crowd.sessions[1].run("SELECT pg_advisory_unlock(7)");
    let shared = "SELECT pg_advisory_xact_lock_shared(-1, 2)";
    crowd.meet(shared, &["SELECT pg_advisory_xact_lock(-1, 2)"], "COMMIT");

    crowd.sessions[0].run("BEGIN");
    crowd.sessions[0].run(update);
    crowd.begin(1, update);
    let cancel = format!("SELECT pg_cancel_backend({})", crowd.pids[1]);
    crowd.other.run(&cancel);
    crowd.end(1);
    crowd.wait_until(1, "Client");
    crowd.look_at(2);
    for sql in ["SELECT pg_blocking_pids(2147483647)", "SELECT pg_blocking_pids(NULL), pg_typeof(pg_blocking_pids(-1))"]
    {
        let answer = crowd.other.query(sql).short();
        crowd.tell(&answer);
    }
    crowd.told
}

#[test]
fn waits_for_locks_are_seen_as_in_postgresql() {
    let Some(judge) = Judge::start() else { return };
    let server = Server::start();
    assert_same("waits", &waits(&|| server.connect()), &waits(&|| judge.connect()));
}
