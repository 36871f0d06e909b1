//! Sessions that meet: the same script on our server and on PostgreSQL gives the same transcript, waiting included.
//!
//! Scripts are named after anomalies; those that PostgreSQL's levels allow are asserted as allowed by that comparison.

use heddle_sql_tests::{Judge, Server, assert_same, script};

const SETUP: &str = "CREATE TABLE acc (id int PRIMARY KEY, v int, note text); \
    INSERT INTO acc VALUES (1, 100, 'a'), (2, 200, 'b'), (3, 300, 'c'); \
    CREATE TABLE uniq (k int PRIMARY KEY, u text UNIQUE)";

/// The same rows as points here and as rows there.
const POINTS: [&str; 2] = [
    "CREATE TABLE acc (at timestamptz, v int) TAGS (id int, note text) PRIMARY TAGS (id)",
    "CREATE TABLE acc (at timestamptz, v int, id int, note text, PRIMARY KEY (id, at))",
];
const POINT_ROWS: &str =
    "INSERT INTO acc VALUES ('2026-01-01', 100, 1, 'a'), ('2026-01-02', 200, 2, 'b'), ('2026-01-03', 300, 3, 'c')";

/// Plays each script on fresh tables on both servers.
fn compare(scripts: &[(&str, &str)]) {
    compare_with([SETUP, SETUP], scripts);
}

/// Plays each script on tables made by the first setup here, by the second on PostgreSQL.
fn compare_with(setups: [&str; 2], scripts: &[(&str, &str)]) {
    let server = Server::start();
    let Some(judge) = Judge::start() else { return };
    let (mut a, mut b) = (server.connect(), judge.connect());
    let mut wrong = vec![];
    for (name, text) in scripts {
        a.run(setups[0]);
        b.run(setups[1]);
        // The two wait side by side.
        let (ours, theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| script::run(|| server.connect(), text));
            let theirs = script::run(|| judge.connect(), text);
            (ours.join().unwrap_or_else(|_| "the script stopped".to_owned()), theirs)
        });
        for conn in [&mut a, &mut b] {
            conn.query("DROP TABLE IF EXISTS acc, uniq, extra");
        }
        if ours != theirs {
            wrong.push(
                std::panic::catch_unwind(|| assert_same(name, &ours, &theirs)).err().map_or_else(String::new, text_of),
            );
        }
    }
    assert!(wrong.is_empty(), "{} of {} scripts differ\n{}", wrong.len(), scripts.len(), wrong.join("\n"));
}

fn text_of(panic: Box<dyn std::any::Any + Send>) -> String {
    panic.downcast::<String>().map_or_else(|_| "?".to_owned(), |text| *text)
}

/// Such reads take no lock of their own where nobody could tell.
#[test]
fn reads_by_key_meet_locks_and_ddl() {
    compare(&[
        (
            "a read by key waits for ACCESS EXCLUSIVE",
            "s2: SELECT v FROM acc WHERE id = 1
             s1: BEGIN
             s1: LOCK TABLE acc IN ACCESS EXCLUSIVE MODE
             s2: SELECT v FROM acc WHERE id = 1
             s1: UPDATE acc SET v = 5 WHERE id = 1
             s1: COMMIT
             s2: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "a read by key behind one who waits for ACCESS EXCLUSIVE",
            "s1: BEGIN
             s1: SELECT v FROM acc WHERE id = 1
             s2: BEGIN
             s2: LOCK TABLE acc IN ACCESS EXCLUSIVE MODE
             s3: SELECT v FROM acc WHERE id = 1
             s1: COMMIT
             s2: COMMIT",
        ),
        (
            "a read by key passes weaker locks",
            "s1: BEGIN
             s1: LOCK TABLE acc IN EXCLUSIVE MODE
             s2: SELECT v FROM acc WHERE id = 1
             s1: COMMIT",
        ),
        (
            "a read by key waits for TRUNCATE",
            "s1: BEGIN
             s1: TRUNCATE acc
             s2: SELECT v FROM acc WHERE id = 1
             s1: COMMIT
             s2: SELECT v FROM acc WHERE id = 2",
        ),
        (
            "a read by key waits for a DROP that is undone",
            "s1: BEGIN
             s1: DROP TABLE acc
             s2: SELECT v FROM acc WHERE id = 1
             s1: ROLLBACK
             s2: SELECT v FROM acc WHERE id = 2",
        ),
    ]);
}

#[test]
fn anomalies_at_read_committed() {
    compare(&[
        (
            "dirty read",
            "s1: BEGIN
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: SELECT v FROM acc WHERE id = 1
             s1: ROLLBACK
             s2: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "non-repeatable read is allowed",
            "s1: BEGIN
             s1: SELECT v FROM acc WHERE id = 1
             s2: UPDATE acc SET v = 7 WHERE id = 1
             s1: SELECT v FROM acc WHERE id = 1
             s1: COMMIT",
        ),
        (
            "lost update is prevented by re-reading",
            "s1: BEGIN
             s2: BEGIN
             s1: UPDATE acc SET v = v + 10 WHERE id = 1
             s2: UPDATE acc SET v = v + 5 WHERE id = 1
             s1: COMMIT
             s2: COMMIT
             s1: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "waiting update evaluates WHERE again",
            "s1: BEGIN
             s1: UPDATE acc SET v = 999, note = 'z' WHERE id = 2
             s2: UPDATE acc SET note = 'hit' WHERE v = 200
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "waiting update matches the new row",
            "s1: BEGIN
             s1: UPDATE acc SET v = v + 1
             s2: UPDATE acc SET note = note || '!' WHERE v > 100 RETURNING id, v, note
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "waiting update of a deleted row",
            "s1: BEGIN
             s1: DELETE FROM acc WHERE id = 3
             s2: UPDATE acc SET v = 1 WHERE id = 3
             s1: COMMIT
             s2: SELECT count(*) FROM acc",
        ),
        (
            "waiting delete, first rolls back",
            "s1: BEGIN
             s1: UPDATE acc SET v = 1 WHERE id = 3
             s2: DELETE FROM acc WHERE v = 300 RETURNING id
             s1: ROLLBACK
             s2: SELECT count(*) FROM acc",
        ),
        (
            "key changes under a waiter",
            "s1: BEGIN
             s1: UPDATE acc SET id = 30 WHERE id = 3
             s2: UPDATE acc SET v = v + 1 WHERE v = 300
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "one statement, one snapshot",
            "s1: BEGIN
             s1: INSERT INTO acc VALUES (4, 400, 'd')
             s2: SELECT count(*), sum(v) FROM acc
             s1: COMMIT
             s2: SELECT count(*), sum(v) FROM acc",
        ),
        (
            "savepoint gives its row lock back",
            "s1: BEGIN
             s1: SAVEPOINT a
             s1: UPDATE acc SET v = 1 WHERE id = 1
             s1: ROLLBACK TO a
             s2: UPDATE acc SET v = 2 WHERE id = 1
             s1: COMMIT
             s1: SELECT v FROM acc WHERE id = 1",
        ),
    ]);
}

#[test]
fn anomalies_at_repeatable_read() {
    compare(&[
        (
            "read skew is prevented",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT v FROM acc WHERE id = 1
             s2: BEGIN
             s2: UPDATE acc SET v = v - 50 WHERE id = 1
             s2: UPDATE acc SET v = v + 50 WHERE id = 2
             s2: COMMIT
             s1: SELECT v FROM acc WHERE id = 2
             s1: SELECT sum(v) FROM acc
             s1: COMMIT
             s1: SELECT v FROM acc WHERE id = 2",
        ),
        (
            "write skew is allowed",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT sum(v) FROM acc
             s2: SELECT sum(v) FROM acc
             s1: UPDATE acc SET v = v - 100 WHERE id = 1
             s2: UPDATE acc SET v = v - 100 WHERE id = 2
             s1: COMMIT
             s2: COMMIT
             s1: SELECT id, v FROM acc ORDER BY id",
        ),
        (
            "lost update is refused",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT v FROM acc WHERE id = 1
             s2: UPDATE acc SET v = 1 WHERE id = 1
             s1: UPDATE acc SET v = 2 WHERE id = 1
             s1: SELECT 1
             s1: ROLLBACK
             s1: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "waiting writer is refused after the commit",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT 1
             s2: SELECT count(*) FROM acc
             s1: UPDATE acc SET v = 1 WHERE id = 1
             s2: UPDATE acc SET v = 2 WHERE id = 1
             s1: COMMIT
             s2: ROLLBACK",
        ),
        (
            "waiting writer goes on after the rollback",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: SELECT count(*) FROM acc
             s1: UPDATE acc SET v = 1 WHERE id = 1
             s2: UPDATE acc SET v = 2 WHERE id = 1
             s1: ROLLBACK
             s2: COMMIT
             s1: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "delete of a changed row is refused",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT count(*) FROM acc
             s2: DELETE FROM acc WHERE id = 2
             s1: DELETE FROM acc WHERE id = 2
             s1: ROLLBACK",
        ),
        (
            "phantoms are not seen",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT count(*) FROM acc WHERE v > 100
             s2: INSERT INTO acc VALUES (9, 900, 'i')
             s1: SELECT count(*) FROM acc WHERE v > 100
             s1: UPDATE acc SET v = v WHERE id = 9
             s1: COMMIT
             s1: SELECT count(*) FROM acc WHERE v > 100",
        ),
        (
            "locking a changed row is refused",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT 1
             s1: SELECT count(*) FROM acc
             s2: UPDATE acc SET v = 5 WHERE id = 1
             s1: SELECT v FROM acc WHERE id = 1 FOR UPDATE
             s1: ROLLBACK",
        ),
        (
            "own changes are seen",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: INSERT INTO acc VALUES (5, 5, 'e')
             s1: UPDATE acc SET v = v + 1 WHERE id IN (1, 5)
             s1: SELECT id, v FROM acc ORDER BY id
             s2: SELECT id, v FROM acc ORDER BY id
             s1: COMMIT
             s2: SELECT id, v FROM acc ORDER BY id",
        ),
        (
            "the snapshot begins with the first statement",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: UPDATE acc SET v = 11 WHERE id = 1
             s1: SELECT v FROM acc WHERE id = 1
             s2: UPDATE acc SET v = 12 WHERE id = 1
             s1: SELECT v FROM acc WHERE id = 1
             s1: COMMIT",
        ),
    ]);
}

#[test]
fn row_locks() {
    compare(&[
        (
            "FOR UPDATE waits, NOWAIT fails, SKIP LOCKED skips",
            "s1: BEGIN
             s1: SELECT * FROM acc WHERE id = 1 FOR UPDATE
             s2: SELECT * FROM acc WHERE id = 1 FOR UPDATE NOWAIT
             s2: SELECT * FROM acc ORDER BY id FOR UPDATE SKIP LOCKED
             s2: SELECT v FROM acc WHERE id = 1 FOR UPDATE
             s1: UPDATE acc SET v = 101 WHERE id = 1
             s1: COMMIT",
        ),
        (
            "FOR SHARE goes with FOR SHARE, not with UPDATE",
            "s1: BEGIN
             s1: SELECT v FROM acc WHERE id = 1 FOR SHARE
             s2: BEGIN
             s2: SELECT v FROM acc WHERE id = 1 FOR SHARE
             s3: UPDATE acc SET v = 0 WHERE id = 1
             s1: COMMIT
             s2: COMMIT
             s3: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "plain readers never wait",
            "s1: BEGIN
             s1: SELECT v FROM acc FOR UPDATE
             s2: SELECT sum(v) FROM acc
             s1: ROLLBACK",
        ),
        (
            "FOR UPDATE re-evaluates its WHERE",
            "s1: BEGIN
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: SELECT id, v FROM acc WHERE v >= 100 ORDER BY id FOR UPDATE
             s1: COMMIT",
        ),
        (
            "a queue: three take turns",
            "s1: BEGIN
             s1: SELECT 1 FROM acc WHERE id = 1 FOR UPDATE
             s2: UPDATE acc SET v = v * 2 WHERE id = 1
             s3: UPDATE acc SET v = v + 1 WHERE id = 1
             s1: COMMIT
             s1: SELECT v FROM acc WHERE id = 1",
        ),
        (
            "lock_timeout",
            "s1: BEGIN
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: SET lock_timeout = '50ms'
             s2: UPDATE acc SET v = 1 WHERE id = 1
             s1: ROLLBACK",
        ),
        (
            "statement_timeout while waiting",
            "s1: BEGIN
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: SET statement_timeout = '50ms'
             s2: UPDATE acc SET v = 1 WHERE id = 1
             s1: ROLLBACK",
        ),
    ]);
}

#[test]
fn unique_keys() {
    compare(&[
        (
            "same key waits and fails after the commit",
            "s1: BEGIN
             s1: INSERT INTO uniq VALUES (1, 'a')
             s2: INSERT INTO uniq VALUES (1, 'b')
             s1: COMMIT
             s2: SELECT * FROM uniq",
        ),
        (
            "same key goes on after the rollback",
            "s1: BEGIN
             s1: INSERT INTO uniq VALUES (1, 'a')
             s2: INSERT INTO uniq VALUES (1, 'b')
             s1: ROLLBACK
             s2: SELECT * FROM uniq",
        ),
        (
            "secondary key",
            "s1: BEGIN
             s1: INSERT INTO uniq VALUES (1, 'a')
             s2: INSERT INTO uniq VALUES (2, 'a')
             s1: COMMIT
             s2: INSERT INTO uniq VALUES (3, NULL), (4, NULL)
             s2: SELECT * FROM uniq ORDER BY k",
        ),
        (
            "a key is free once its delete is committed",
            "s1: INSERT INTO uniq VALUES (1, 'a')
             s1: BEGIN
             s1: DELETE FROM uniq WHERE k = 1
             s2: INSERT INTO uniq VALUES (1, 'new')
             s1: COMMIT
             s2: SELECT * FROM uniq",
        ),
        (
            "an unseen key is a duplicate at REPEATABLE READ too",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT count(*) FROM uniq
             s2: INSERT INTO uniq VALUES (1, 'a')
             s1: INSERT INTO uniq VALUES (1, 'b')
             s1: ROLLBACK",
        ),
    ]);
}

#[test]
fn ddl_against_readers() {
    compare(&[
        (
            "DROP waits for a reader",
            "s1: BEGIN
             s1: SELECT count(*) FROM acc
             s2: DROP TABLE acc
             s3: SELECT 1
             s1: COMMIT
             s1: SELECT count(*) FROM acc",
        ),
        (
            "readers queue behind a waiting DROP",
            "s1: BEGIN
             s1: SELECT count(*) FROM acc
             s2: BEGIN
             s2: DROP TABLE acc
             s3: SELECT count(*) FROM acc
             s1: COMMIT
             s2: ROLLBACK",
        ),
        (
            "an uncommitted table is not there for others",
            "s1: BEGIN
             s1: CREATE TABLE extra (a int)
             s1: INSERT INTO extra VALUES (1)
             s2: SELECT * FROM extra
             s1: COMMIT
             s2: SELECT * FROM extra",
        ),
        (
            "a rolled back DROP leaves the table",
            "s1: BEGIN
             s1: DROP TABLE acc
             s1: SELECT * FROM acc
             s1: ROLLBACK
             s2: SELECT count(*) FROM acc",
        ),
        (
            "TRUNCATE waits for a reader and hides nothing before it commits",
            "s1: BEGIN
             s1: SELECT count(*) FROM acc
             s2: TRUNCATE acc
             s1: SELECT count(*) FROM acc
             s1: COMMIT
             s2: SELECT count(*) FROM acc",
        ),
        (
            "a rolled back TRUNCATE",
            "s1: BEGIN
             s1: TRUNCATE acc
             s1: SELECT count(*) FROM acc
             s1: ROLLBACK
             s1: SELECT count(*) FROM acc",
        ),
        (
            "two creators of one name",
            "s1: BEGIN
             s1: CREATE TABLE extra (a int)
             s2: CREATE TABLE IF NOT EXISTS other (a int)
             s2: DROP TABLE other
             s1: COMMIT
             s2: CREATE TABLE extra (a int)",
        ),
        (
            "a table dropped since is gone at REPEATABLE READ too",
            "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
             s1: SELECT 1 FROM uniq
             s2: DROP TABLE acc
             s1: SELECT count(*) FROM acc
             s1: ROLLBACK",
        ),
    ]);
}

/// Whom the detector picks is its own choice, and differs from PostgreSQL's: exactly one session gets 40P01, the other goes on.
#[test]
fn deadlock_ends_one_session() {
    let server = Server::start();
    server.connect().run(SETUP);
    let mut first = server.connect();
    let mut second = server.connect();
    first.run("BEGIN; UPDATE acc SET v = v + 1 WHERE id = 1");
    second.run("BEGIN; UPDATE acc SET v = v + 1 WHERE id = 2");
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| {
            let outcome = first.query("UPDATE acc SET v = v + 1 WHERE id = 2");
            first.query("COMMIT");
            outcome
        });
        let b = second.query("UPDATE acc SET v = v + 1 WHERE id = 1");
        second.query("COMMIT");
        (a.join().expect("no panic"), b)
    });
    let mut codes = [a.code(), b.code()];
    codes.sort_unstable();
    assert_eq!(codes, ["40P01", "ok"], "{} / {}", a.short(), b.short());
    let error = a.error.or(b.error).expect("one failed");
    assert_eq!(error.message, "deadlock detected");
    assert!(error.detail.is_some_and(|d| d.contains("waits for")), "the detail names who waits for whom");
    assert_eq!(server.connect().value("SELECT sum(v) FROM acc"), "602");
}

#[test]
fn points_keep_the_rules_of_rows() {
    let [ours, theirs] = POINTS.map(|table| format!("{table}; {POINT_ROWS}"));
    compare_with(
        [&ours, &theirs],
        &[
            (
                "dirty read",
                "s1: BEGIN
                 s1: UPDATE acc SET v = 0 WHERE id = 1
                 s1: INSERT INTO acc VALUES ('2026-02-01', 1, 1, 'a')
                 s2: SELECT v FROM acc WHERE id = 1
                 s1: ROLLBACK
                 s2: SELECT v FROM acc WHERE id = 1",
            ),
            (
                "lost update is prevented by re-reading",
                "s1: BEGIN
                 s2: BEGIN
                 s1: UPDATE acc SET v = v + 10 WHERE id = 1
                 s2: UPDATE acc SET v = v + 5 WHERE id = 1
                 s1: COMMIT
                 s2: COMMIT
                 s1: SELECT v FROM acc WHERE id = 1",
            ),
            (
                "waiting update evaluates WHERE again",
                "s1: BEGIN
                 s1: UPDATE acc SET v = 999 WHERE id = 2
                 s2: UPDATE acc SET v = -1 WHERE v = 200
                 s1: COMMIT
                 s2: SELECT id, v FROM acc ORDER BY id",
            ),
            (
                "waiting update finds the tag changed",
                "s1: BEGIN
                 s1: UPDATE acc SET note = 'z', v = v + 1 WHERE id = 2
                 s2: UPDATE acc SET v = -1 WHERE note = 'b'
                 s1: COMMIT
                 s2: SELECT id, v, note FROM acc ORDER BY id",
            ),
            (
                "tags computed from themselves are not lost",
                "s1: BEGIN
                 s2: BEGIN
                 s1: UPDATE acc SET note = note || 'x' WHERE id = 1
                 s2: UPDATE acc SET note = note || 'y' WHERE id = 1
                 s1: COMMIT
                 s2: COMMIT
                 s1: SELECT note FROM acc WHERE id = 1",
            ),
            (
                "waiting delete finds the point gone",
                "s1: BEGIN
                 s1: DELETE FROM acc WHERE id = 3
                 s2: DELETE FROM acc WHERE v = 300
                 s1: COMMIT
                 s2: SELECT count(*) FROM acc",
            ),
            (
                "waiting update follows a moved point",
                "s1: BEGIN
                 s1: UPDATE acc SET at = '2027-01-01' WHERE id = 1
                 s2: UPDATE acc SET v = 5 WHERE id = 1
                 s1: COMMIT
                 s2: SELECT at, v FROM acc WHERE id = 1",
            ),
            (
                "first updater wins at repeatable read",
                "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
                 s1: SELECT v FROM acc WHERE id = 1
                 s2: UPDATE acc SET v = 7 WHERE id = 1
                 s1: SELECT v FROM acc WHERE id = 1
                 s1: UPDATE acc SET v = v + 1 WHERE id = 1
                 s1: ROLLBACK",
            ),
            (
                "a deleted point at repeatable read",
                "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
                 s1: SELECT v FROM acc WHERE id = 1
                 s2: DELETE FROM acc WHERE id = 1
                 s1: DELETE FROM acc WHERE id = 1
                 s1: ROLLBACK",
            ),
            (
                "the snapshot stays at repeatable read",
                "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
                 s1: SELECT count(*), sum(v) FROM acc
                 s2: INSERT INTO acc VALUES ('2026-05-01', 5, 1, 'a')
                 s2: UPDATE acc SET v = 0 WHERE id = 2
                 s1: SELECT count(*), sum(v) FROM acc
                 s1: UPDATE acc SET v = 1 WHERE id = 3
                 s1: COMMIT
                 s1: SELECT count(*), sum(v) FROM acc",
            ),
            (
                "a checkpoint changes nothing at repeatable read",
                "s1: BEGIN ISOLATION LEVEL REPEATABLE READ
                 s1: SELECT v FROM acc WHERE id = 1
                 s2: CHECKPOINT
                 s1: UPDATE acc SET v = v + 1 WHERE id = 1
                 s1: COMMIT
                 s1: SELECT v FROM acc WHERE id = 1",
            ),
            (
                "points are locked for update",
                "s1: BEGIN
                 s1: SELECT v FROM acc WHERE id = 1 FOR UPDATE
                 s2: SELECT v FROM acc WHERE id = 1 FOR UPDATE NOWAIT
                 s2: SELECT v FROM acc ORDER BY id FOR UPDATE SKIP LOCKED
                 s1: COMMIT",
            ),
        ],
    );
}

/// A row that MERGE would change is looked at again when another transaction changed it first.
#[test]
fn merge_meets_changes() {
    compare(&[
        (
            "the newest version is updated",
            "s1: BEGIN
             s1: UPDATE acc SET v = v + 10 WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1, 5), (9, 9)) x (i, d) ON id = i WHEN MATCHED THEN UPDATE SET v = v + d WHEN NOT MATCHED THEN INSERT VALUES (i, d, 'new')
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "WHEN conditions are asked again",
            "s1: BEGIN
             s1: UPDATE acc SET v = 500 WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1)) x (i) ON id = i WHEN MATCHED AND v = 100 THEN DELETE WHEN MATCHED AND v = 500 THEN UPDATE SET note = 'kept'
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "a deleted row is not matched any more",
            "s1: BEGIN
             s1: DELETE FROM acc WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1)) x (i) ON id = i WHEN MATCHED THEN UPDATE SET v = 0 WHEN NOT MATCHED THEN INSERT VALUES (i, -1, 'again')
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "a row that ON does not hold for any more is not matched",
            "s1: BEGIN
             s1: UPDATE acc SET v = 999 WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1)) x (i) ON id = i AND v < 150 WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (i + 100, 0, 'other')
             s1: COMMIT
             s2: SELECT * FROM acc ORDER BY id",
        ),
        (
            "DO NOTHING does not wait",
            "s1: BEGIN
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1)) x (i) ON id = i WHEN MATCHED THEN DO NOTHING
             s1: COMMIT",
        ),
        (
            "two that insert one key",
            "s1: BEGIN
             s1: MERGE INTO acc USING (VALUES (7)) x (i) ON id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 1, 'a')
             s2: MERGE INTO acc USING (VALUES (7)) x (i) ON id = i WHEN NOT MATCHED THEN INSERT VALUES (i, 2, 'b')
             s1: COMMIT",
        ),
        (
            "REPEATABLE READ does not go on with a changed row",
            "s1: BEGIN
             s2: BEGIN ISOLATION LEVEL REPEATABLE READ
             s2: SELECT v FROM acc WHERE id = 1
             s1: UPDATE acc SET v = 0 WHERE id = 1
             s2: MERGE INTO acc USING (VALUES (1)) x (i) ON id = i WHEN MATCHED THEN UPDATE SET v = 1
             s1: COMMIT
             s2: ROLLBACK",
        ),
    ]);
}

#[test]
fn deferrable_keys_wait_for_each_other() {
    let setup = "CREATE TABLE acc (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v int UNIQUE DEFERRABLE); \
        INSERT INTO acc VALUES (1, 1), (2, 2)";
    compare_with(
        [setup, setup],
        &[
            (
                "the second to commit a key fails",
                "s1: BEGIN
             s2: BEGIN
             s1: INSERT INTO acc VALUES (5, 5)
             s2: INSERT INTO acc VALUES (5, 6)
             s1: COMMIT
             s2: COMMIT
             s1: SELECT * FROM acc ORDER BY v",
            ),
            (
                "a key that is taken back is free",
                "s1: BEGIN
             s2: BEGIN
             s1: INSERT INTO acc VALUES (5, 5)
             s1: ROLLBACK
             s2: INSERT INTO acc VALUES (5, 6)
             s2: COMMIT
             s1: SELECT * FROM acc ORDER BY v",
            ),
        ],
    );
}

/// Each session has temporary tables of its own.
#[test]
fn temporary_tables_of_two_sessions() {
    compare(&[
        (
            "one name, two tables",
            "s1: CREATE TEMP TABLE acc (id int, w text)
             s1: INSERT INTO acc VALUES (1, 'mine')
             s2: SELECT * FROM acc ORDER BY id
             s2: CREATE TEMP TABLE acc (id int) ON COMMIT DELETE ROWS
             s2: BEGIN
             s2: INSERT INTO acc VALUES (7)
             s2: SELECT * FROM acc
             s1: SELECT * FROM acc
             s2: COMMIT
             s2: SELECT * FROM acc
             s1: DROP TABLE acc
             s1: SELECT * FROM acc ORDER BY id
             s2: SELECT * FROM acc
             s2: DROP TABLE acc",
        ),
        (
            "DISCARD touches the own ones only",
            "s1: CREATE TEMP TABLE extra (a int)
             s2: CREATE TEMP TABLE extra (a int)
             s1: DISCARD TEMP
             s1: SELECT * FROM extra
             s2: SELECT * FROM extra",
        ),
    ]);
}
