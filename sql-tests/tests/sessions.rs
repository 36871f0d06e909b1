//! Settings, savepoints, the failed state, prepared statements of SQL, cursors: the same answers as PostgreSQL's.

use heddle_sql_tests::{Outcome, table};

/// Answers with notices, without column types.
fn form(outcome: &Outcome) -> String {
    let notices: String = outcome.notices.iter().map(|n| format!(" {{{} {}}}", n.severity, n.short())).collect();
    format!("{} [{}]{notices}", outcome.short(), char::from(outcome.status))
}

#[test]
fn settings() {
    table::compare(
        "",
        "SET statement_timeout = '30s'
        SHOW statement_timeout
        SET statement_timeout TO 1500
        SHOW statement_timeout
        SET statement_timeout = DEFAULT
        SHOW statement_timeout
        SET lock_timeout = '5min'
        SHOW lock_timeout
        SET lock_timeout = 'x'
        SET lock_timeout = -1
        SET no_such = 1
        SHOW no_such
        SET my.own = 'hello'
        SHOW my.own
        SHOW my.other
        SELECT current_setting('my.own'), current_setting('my.other', true)
        SELECT current_setting('nope')
        SELECT set_config('my.own', 'two', false)
        SHOW my.own
        BEGIN
        SET my.own = 'three'
        ROLLBACK
        SHOW my.own
        BEGIN
        SET LOCAL my.own = 'four'
        SHOW my.own
        COMMIT
        SHOW my.own
        BEGIN
        SET my.own = 'five'
        SAVEPOINT a
        SET my.own = 'six'
        ROLLBACK TO a
        SHOW my.own
        COMMIT
        SHOW my.own
        SET LOCAL my.own = 'seven'
        SET TIME ZONE 'Asia/Tokyo'
        SHOW TimeZone
        SHOW TIME ZONE
        SELECT '2024-01-01 00:00:00+00'::timestamptz
        SET TIME ZONE 'Nowhere/Land'
        SET TimeZone = 'utc'
        SHOW timezone
        SET DateStyle = 'ISO, DMY'
        SHOW datestyle
        SELECT '03/04/2024'::date
        RESET datestyle
        SHOW DateStyle
        SET IntervalStyle = 'iso_8601'
        SELECT interval '1 year 2 days 03:04:05'
        RESET ALL
        SHOW IntervalStyle
        SET client_encoding = 'nope'
        SET standard_conforming_strings = maybe
        SET search_path = a, \"B c\", public
        SHOW search_path
        SET default_transaction_isolation = 'repeatable read'
        SHOW transaction_isolation
        RESET default_transaction_isolation
        SHOW transaction_isolation
        SET server_version = '1'
        SHOW server_encoding
        SHOW max_identifier_length
        SET application_name = ''
        DISCARD ALL
        BEGIN
        DISCARD ALL
        ROLLBACK
        SET extra_float_digits = 0
        SELECT 0.1::float8 + 0.2::float8, 1e20::float8, 1.5::float4
        SET extra_float_digits = 99
        RESET extra_float_digits
        SET bytea_output = 'escape'
        SELECT '\\x01ff41'::bytea",
        form,
    );
}

#[test]
fn transactions_and_savepoints() {
    table::compare(
        "CREATE TABLE t (a int PRIMARY KEY)",
        "BEGIN
        INSERT INTO t VALUES (1)
        SAVEPOINT a
        INSERT INTO t VALUES (2)
        SAVEPOINT b
        INSERT INTO t VALUES (1)
        SELECT 1
        SAVEPOINT c
        ROLLBACK TO SAVEPOINT b
        INSERT INTO t VALUES (3)
        RELEASE a
        ROLLBACK TO b
        ROLLBACK
        SELECT * FROM t
        BEGIN
        SAVEPOINT a
        INSERT INTO t VALUES (1)
        SAVEPOINT a
        INSERT INTO t VALUES (2)
        ROLLBACK TO a
        ROLLBACK TO a
        RELEASE a
        ROLLBACK TO a
        SELECT * FROM t
        COMMIT
        SELECT * FROM t
        SAVEPOINT x
        RELEASE x
        ROLLBACK TO x
        COMMIT
        END
        ABORT
        START TRANSACTION
        BEGIN
        COMMIT WORK
        BEGIN; SELECT 1/0
        SELECT 1
        COMMIT
        SELECT 1
        BEGIN ISOLATION LEVEL REPEATABLE READ
        SHOW transaction_isolation
        SET TRANSACTION ISOLATION LEVEL READ COMMITTED
        SHOW transaction_isolation
        SELECT count(*) FROM t
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
        ROLLBACK
        BEGIN READ ONLY
        SELECT count(*) FROM t
        INSERT INTO t VALUES (99)
        ROLLBACK
        BEGIN; SET TRANSACTION READ ONLY; CREATE TABLE nope (a int)
        ROLLBACK
        SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
        BEGIN
        COMMIT AND CHAIN
        INSERT INTO t VALUES (50)
        ROLLBACK AND CHAIN
        ROLLBACK
        SELECT * FROM t ORDER BY a
        COMMIT AND CHAIN
        ~0A000 BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE; ROLLBACK
        BEGIN
        DELETE FROM t
        SAVEPOINT s
        INSERT INTO t VALUES (1), (2)
        ROLLBACK TO s
        SELECT count(*) FROM t
        INSERT INTO t VALUES (2)
        COMMIT
        SELECT * FROM t",
        form,
    );
}

#[test]
fn prepared_statements_of_sql() {
    table::compare(
        "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "PREPARE s AS SELECT b FROM t WHERE a = $1
        EXECUTE s(1)
        EXECUTE s(1 + 1)
        EXECUTE s('2')
        EXECUTE s
        EXECUTE s(1, 2)
        EXECUTE s('x')
        PREPARE s AS SELECT 1
        PREPARE i (int, text) AS INSERT INTO t VALUES ($1, $2) RETURNING *
        EXECUTE i(3, 'z')
        EXECUTE i(3, 'z')
        EXECUTE i(NULL, 'z')
        EXECUTE i(4, NULL)
        PREPARE bad AS SELECT nope
        PREPARE bad (nope) AS SELECT 1
        EXECUTE bad
        DEALLOCATE s
        EXECUTE s(1)
        DEALLOCATE s
        DEALLOCATE PREPARE i
        PREPARE a AS SELECT 1
        PREPARE b AS SELECT 2
        DEALLOCATE ALL
        EXECUTE a
        BEGIN
        PREPARE p AS SELECT 42
        ROLLBACK
        EXECUTE p
        PREPARE v AS VALUES (1), (2)
        EXECUTE v
        PREPARE u AS UPDATE t SET b = $2 WHERE a = $1
        EXECUTE u(1, 'changed')
        SELECT * FROM t ORDER BY a
        PREPARE d AS DELETE FROM t WHERE a > $1
        EXECUTE d(1)
        PREPARE l AS SELECT a FROM generate_series(1, 5) a LIMIT $1
        EXECUTE l(2)",
        form,
    );
}

#[test]
fn cursors() {
    table::compare(
        "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 10)",
        "DECLARE c CURSOR FOR SELECT 1
        BEGIN
        DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a
        FETCH c
        FETCH 2 FROM c
        FETCH FORWARD 3 FROM c
        FETCH NEXT IN c
        FETCH ALL FROM c
        FETCH c
        CLOSE c
        FETCH c
        ROLLBACK
        BEGIN
        DECLARE c NO SCROLL CURSOR FOR SELECT a FROM t ORDER BY a
        DECLARE c CURSOR FOR SELECT 2
        ROLLBACK
        BEGIN
        DECLARE a CURSOR FOR SELECT a FROM t ORDER BY a
        DECLARE b CURSOR FOR SELECT a FROM t ORDER BY a DESC
        FETCH a
        FETCH b
        MOVE 2 FROM a
        FETCH a
        CLOSE ALL
        FETCH a
        COMMIT
        CLOSE nope
        ~0A000 DECLARE h CURSOR WITH HOLD FOR SELECT a FROM t WHERE a < 4 ORDER BY a
        ~34000 FETCH 2 FROM h
        ~34000 CLOSE h
        BEGIN
        DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a
        DELETE FROM t
        FETCH 2 FROM c
        ROLLBACK
        BEGIN
        SAVEPOINT s
        DECLARE c CURSOR FOR SELECT a FROM t ORDER BY a
        ROLLBACK TO s
        FETCH c
        COMMIT",
        form,
    );
}
