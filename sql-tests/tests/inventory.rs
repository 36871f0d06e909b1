//! pg_prepared_statements and pg_cursors: what a session has under names, the same as in PostgreSQL.

use heddle_sql_tests::transcript::compare;
use heddle_sql_tests::transcript::steps::{b, bt, cp, cs, e, p, q, s};

/// PostgreSQL makes plans for the values at hand at first, we make one for all: their sum is how often a statement ran.
const STATEMENTS: &str = "SELECT name, statement, parameter_types, from_sql, generic_plans + custom_plans AS plans, \
    prepare_time <= clock_timestamp() AS prepared FROM pg_prepared_statements ORDER BY name";

const CURSORS: &str = "SELECT name, statement, is_holdable, is_binary, is_scrollable, \
    creation_time <= clock_timestamp() AS made FROM pg_cursors ORDER BY name";

#[test]
fn prepared_statements() {
    compare(
        "",
        &[
            (
                "PREPARE",
                vec![
                    q("PREPARE a AS SELECT 1; PREPARE b(int, text) AS SELECT $1, $2"),
                    q(STATEMENTS),
                    q("EXECUTE a; EXECUTE b(1, 'x'); EXECUTE a"),
                    q(STATEMENTS),
                    q("DEALLOCATE a"),
                    q(" /* why */ PREPARE c(timestamptz, int[]) AS SELECT $1, $2 ; "),
                    q(STATEMENTS),
                    q("DEALLOCATE ALL"),
                    q(STATEMENTS),
                ],
            ),
            ("PREPARE that is undone stays", vec![q("BEGIN; PREPARE a AS SELECT 1; ROLLBACK"), q(STATEMENTS)]),
            (
                "Parse",
                vec![
                    p("n", "  SELECT $1::int4 + $2 ; "),
                    p("", "SELECT 5"),
                    p("e", " -- nothing"),
                    p("u", "BEGIN ; "),
                    s(),
                    q(STATEMENTS),
                    bt("", "n", &["1", "2"]),
                    e("", 0),
                    b("", "e"),
                    e("", 0),
                    s(),
                    bt("", "n", &["3", "4"]),
                    s(),
                    q(STATEMENTS),
                    bt("", "n", &["x", "1"]),
                    s(),
                    q(STATEMENTS),
                    cs("n"),
                    s(),
                    q(STATEMENTS),
                ],
            ),
            (
                "one text under two names",
                vec![
                    p("m", "SELECT $1::int4"),
                    p("n", "SELECT $1::int4"),
                    bt("", "n", &["1"]),
                    e("", 0),
                    s(),
                    q(STATEMENTS),
                ],
            ),
            (
                "the statement that looks",
                vec![
                    p("m", STATEMENTS),
                    b("", "m"),
                    e("", 0),
                    s(),
                    p("", STATEMENTS),
                    b("", ""),
                    e("", 0),
                    b("", "m"),
                    e("", 0),
                    s(),
                ],
            ),
            (
                "by the protocol and by SQL",
                vec![
                    q("PREPARE a(int) AS SELECT $1 + 1"),
                    bt("", "a", &["1"]),
                    e("", 0),
                    p("m", "SELECT 1 + $1::int8"),
                    p("x", " PREPARE y AS SELECT 2 ; "),
                    b("", "x"),
                    e("", 0),
                    s(),
                    q("EXECUTE m(2); EXECUTE a(3)"),
                    q(STATEMENTS),
                ],
            ),
            (
                "seen through a view, and kept",
                vec![
                    q("CREATE TEMP VIEW own AS SELECT name, from_sql FROM pg_prepared_statements"),
                    q("PREPARE p AS SELECT * FROM own"),
                    q("EXECUTE p"),
                    q("CREATE TEMP TABLE kept AS SELECT * FROM own"),
                    q("INSERT INTO kept SELECT name, NOT from_sql FROM own"),
                    q("SELECT * FROM kept ORDER BY name, from_sql"),
                    q("SELECT count(*) FROM own a, own b, pg_prepared_statements c"),
                    q("COPY (SELECT name FROM own) TO STDOUT"),
                ],
            ),
            (
                "DISCARD ALL",
                vec![
                    q("PREPARE a AS SELECT 1"),
                    q("DECLARE h CURSOR WITH HOLD FOR SELECT 1"),
                    q(CURSORS),
                    q("DISCARD ALL"),
                    q(STATEMENTS),
                    q(CURSORS),
                ],
            ),
        ],
    );
}

#[test]
fn cursors_and_portals() {
    compare(
        "",
        &[
            (
                "DECLARE",
                vec![
                    q("BEGIN; DECLARE c CURSOR FOR SELECT 1; DECLARE s SCROLL CURSOR FOR SELECT 2; \
                        DECLARE n NO SCROLL CURSOR WITH HOLD FOR SELECT 3"),
                    q(CURSORS),
                    q(" DECLARE bin BINARY INSENSITIVE CURSOR FOR VALUES (1) ; "),
                    q(CURSORS),
                    q("FETCH 2 FROM c; CLOSE s"),
                    q(CURSORS),
                    q("COMMIT"),
                    q(CURSORS),
                    q("FETCH 1 FROM n"),
                    q("CLOSE ALL"),
                    q(CURSORS),
                ],
            ),
            (
                "DECLARE that is undone",
                vec![
                    q("BEGIN; DECLARE a CURSOR FOR SELECT 1; SAVEPOINT x; DECLARE b CURSOR FOR SELECT 2"),
                    q(CURSORS),
                    q("ROLLBACK TO x"),
                    q(CURSORS),
                    q("ROLLBACK"),
                    q(CURSORS),
                ],
            ),
            (
                "a cursor sees itself",
                vec![
                    q("BEGIN; DECLARE me NO SCROLL CURSOR FOR SELECT name, is_scrollable FROM pg_cursors"),
                    q("FETCH ALL FROM me"),
                    q("COMMIT"),
                    q("DECLARE me SCROLL CURSOR WITH HOLD FOR SELECT name, is_holdable FROM pg_cursors"),
                    q("FETCH ALL FROM me"),
                ],
            ),
            (
                "portals",
                vec![
                    q("BEGIN"),
                    p("g", " SELECT generate_series(1, $1::int4) ; "),
                    bt("po", "g", &["5"]),
                    e("po", 2),
                    s(),
                    q(CURSORS),
                    bt("po2", "g", &["5"]),
                    bt("", "g", &["5"]),
                    p("k", CURSORS),
                    b("x", "k"),
                    e("x", 0),
                    s(),
                    q(CURSORS),
                    e("po", 0),
                    s(),
                    q(CURSORS),
                    cp("po2"),
                    s(),
                    q("CLOSE po"),
                    q(CURSORS),
                    q("COMMIT"),
                    q(CURSORS),
                ],
            ),
            (
                "portals of a pipeline",
                vec![p("k", CURSORS), b("", "k"), e("", 0), b("pp", "k"), e("pp", 0), b("", "k"), e("", 0), s()],
            ),
            (
                "EXECUTE",
                vec![
                    q(&format!("PREPARE k AS {CURSORS}")),
                    q("EXECUTE k"),
                    p("", " EXECUTE k ;"),
                    b("", ""),
                    e("", 0),
                    s(),
                    b("pp", "k"),
                    e("pp", 0),
                    s(),
                ],
            ),
            (
                "DECLARE and COPY in the extended protocol",
                vec![
                    p("", "DECLARE h CURSOR WITH HOLD FOR SELECT 1 "),
                    b("", ""),
                    e("", 0),
                    p("", CURSORS),
                    b("", ""),
                    e("", 0),
                    s(),
                    p("", "COPY (SELECT name, statement FROM pg_cursors ORDER BY name) TO STDOUT"),
                    b("", ""),
                    e("", 0),
                    s(),
                ],
            ),
        ],
    );
}

#[test]
fn texts_are_as_they_came() {
    let own = " SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() ; ";
    let prepare = format!("PREPARE a AS {own}");
    compare(
        "",
        &[("pg_stat_activity", vec![p("", own), b("", ""), e("", 0), s(), q(&prepare), b("", "a"), e("", 0), s()])],
    );
}
