//! Byte transcripts of the protocol's state rules (pg-clients.md §1.4 and §1.5), compared with PostgreSQL's.

use heddle_sql_tests::transcript::steps::{b, bt, cp, cs, data, done, dp, ds, e, fail, flush, p, q, s};
use heddle_sql_tests::transcript::{self, Script, Step};
use heddle_sql_tests::wire::build;

/// Errors at run time come from `1 / (a - a)`: PostgreSQL folds `1/0` while planning, before it sends RowDescription.
const SETUP: &str = "CREATE TABLE w (a int PRIMARY KEY, b text, v varchar(5)); \
    INSERT INTO w VALUES (1, 'one', 'x'), (2, 'two', NULL), (3, NULL, 'z'); CREATE TABLE log (a int PRIMARY KEY)";

/// Plays every script on both servers over the same tables.
fn compare(scripts: Vec<Script>) {
    transcript::compare(SETUP, &scripts);
}

#[test]
fn simple_query_strings() {
    compare(vec![
        ("one statement", vec![q("SELECT a, b FROM w ORDER BY a")]),
        ("empty", vec![q(""), q(";"), q("  ;; -- comment"), q("/* x */")]),
        (
            "several statements",
            vec![q("SELECT 1; SELECT 2 AS x; INSERT INTO log VALUES (100); SELECT count(*) FROM log")],
        ),
        ("empty statements between", vec![q("; SELECT 1;; SELECT 2;")]),
        (
            "syntax error runs nothing",
            vec![q("INSERT INTO log VALUES (1); SELEC 2"), q("SELECT * FROM log ORDER BY 1")],
        ),
        (
            "error undoes and skips",
            vec![q("INSERT INTO log VALUES (2); SELECT 1 / (a - a) FROM w; SELECT 3"), q("SELECT * FROM log")],
        ),
        (
            "BEGIN in a string stays open",
            vec![q("INSERT INTO log VALUES (3); BEGIN; INSERT INTO log VALUES (4)"), q("ROLLBACK")],
        ),
        ("after BEGIN in a string", vec![q("SELECT a FROM log ORDER BY a"), q("DELETE FROM log")]),
        (
            "COMMIT in a string",
            vec![q("BEGIN; INSERT INTO log VALUES (5); COMMIT; INSERT INTO log VALUES (6); SELECT 1 / (a - a) FROM w")],
        ),
        ("after COMMIT in a string", vec![q("SELECT a FROM log ORDER BY a"), q("DELETE FROM log")]),
        (
            "failed block",
            vec![q("BEGIN"), q("SELECT 1 / (a - a) FROM w"), q("SELECT 1"), q(""), q("COMMIT"), q("SELECT 1")],
        ),
        (
            "failed block in a string",
            vec![q("BEGIN; SELECT 1 / (a - a) FROM w; ROLLBACK"), q("SELECT 1; ROLLBACK; SELECT 2"), q("SELECT 3")],
        ),
        ("warnings", vec![q("COMMIT"), q("BEGIN"), q("BEGIN"), q("ROLLBACK"), q("ROLLBACK")]),
        ("zero columns", vec![q("SELECT FROM w"), q("SELECT")]),
        ("types are text", vec![q("SELECT 1::int2, 2::int8, 1.50::numeric(6,2), 'x'::varchar(7), 'y'::char(3), true")]),
        (
            "RETURNING",
            vec![q("INSERT INTO log VALUES (7), (8) RETURNING a, a + 1 AS b; DELETE FROM log WHERE a > 6 RETURNING *")],
        ),
        (
            "tags",
            vec![q("CREATE TABLE tg (a int); INSERT INTO tg VALUES (1), (2); UPDATE tg SET a = a; DELETE FROM tg; \
            TRUNCATE tg; DROP TABLE tg; SET application_name = 'x'; BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT")],
        ),
        ("CREATE DATABASE in a string", vec![q("SELECT 1; CREATE DATABASE nope"), q("BEGIN; CREATE DATABASE nope")]),
        (
            "a query destroys the unnamed statement",
            vec![p("", "SELECT 1"), s(), q("SELECT 2"), b("", ""), e("", 0), s()],
        ),
    ]);
}

/// The unnamed statement `sql` runs twice, then a named one is not there any more.
fn all_go_but_the_unnamed(sql: &str) -> Vec<Step> {
    vec![p("x", "SELECT 1"), p("", sql), b("", ""), e("", 0), s(), b("", ""), e("", 0), s(), b("", "x"), s()]
}

#[test]
fn statements_and_portals() {
    compare(vec![
        ("plain", vec![p("", "SELECT a, b, v FROM w ORDER BY a"), ds(""), b("", ""), dp(""), e("", 0), s()]),
        (
            "parameters",
            vec![p("x", "SELECT b FROM w WHERE a = $1 AND b = $2"), ds("x"), bt("", "x", &["1", "one"]), e("", 0), s()],
        ),
        ("duplicate statement", vec![p("x", "SELECT 1"), p("x", "SELECT 2"), s(), b("", "x"), e("", 0), s()]),
        ("unnamed statement replaced", vec![p("", "SELECT 1"), p("", "SELECT 2"), b("", ""), e("", 0), s()]),
        ("DEALLOCATE ALL leaves the unnamed statement", all_go_but_the_unnamed("DEALLOCATE ALL")),
        ("DISCARD ALL leaves the unnamed statement", all_go_but_the_unnamed("DISCARD ALL")),
        ("duplicate portal", vec![p("", "SELECT 1"), b("c", ""), b("c", ""), e("c", 0), s()]),
        (
            "unnamed portal replaced",
            vec![p("", "SELECT a FROM w ORDER BY a"), b("", ""), e("", 1), b("", ""), e("", 1), s()],
        ),
        ("unknown statement", vec![b("", "nope"), e("", 0), s(), ds("nope"), s(), ds(""), s(), b("", ""), s()]),
        ("unknown portal", vec![e("nope", 0), s(), dp("nope"), s(), e("", 0), s(), dp(""), s()]),
        ("close of nothing", vec![cs("nope"), cp("nope"), cs(""), cp(""), s()]),
        (
            "close and use",
            vec![p("x", "SELECT 1"), cs("x"), b("", "x"), s(), p("x", "SELECT 2"), b("", "x"), e("", 0), s()],
        ),
        (
            "close statement drops its portals",
            vec![q("BEGIN"), p("x", "SELECT a FROM w"), b("c", "x"), cs("x"), e("c", 0), s()],
        ),
        ("close portal", vec![q("BEGIN"), p("", "SELECT 1"), b("c", ""), cp("c"), e("c", 0), s()]),
        ("several commands", vec![p("", "SELECT 1; SELECT 2"), s()]),
        ("one command and semicolon", vec![p("", "SELECT 1;"), b("", ""), e("", 0), s()]),
        (
            "no command",
            vec![p("", ""), ds(""), b("", ""), dp(""), e("", 0), s(), p("", " ; "), b("", ""), e("", 0), s()],
        ),
        ("no rows", vec![p("", "INSERT INTO log VALUES (20)"), ds(""), b("", ""), dp(""), e("", 0), s()]),
        ("returning", vec![p("", "DELETE FROM log RETURNING a"), ds(""), b("", ""), dp(""), e("", 0), s()]),
        ("show", vec![p("", "SHOW standard_conforming_strings"), ds(""), b("", ""), e("", 0), s()]),
        ("syntax error", vec![p("", "SELEC 1"), b("", ""), e("", 0), s(), q("SELECT 1")]),
        ("unknown table", vec![p("", "SELECT * FROM nope"), s(), p("", "SELECT nope FROM w"), s()]),
        (
            "parameter count",
            vec![p("x", "SELECT $1::int + $2::int"), bt("", "x", &["1"]), s(), bt("", "x", &["1", "2"]), e("", 0), s()],
        ),
        ("bad value", vec![p("", "SELECT $1::int"), bt("", "", &["x"]), e("", 0), s()]),
        ("no type for a parameter", vec![p("", "SELECT $1 IS NULL"), s(), p("", "SELECT $2::int"), s()]),
        (
            "NULL parameter",
            vec![
                p("", "SELECT $1::int, $1 IS NULL"),
                Step::Send(build::bind("", "", &[], &[None], &[])),
                e("", 0),
                s(),
            ],
        ),
        (
            "binary parameter and result",
            vec![
                p("", "SELECT $1::int4 + 1, 'a'::text"),
                Step::Send(build::bind("", "", &[1], &[Some(&[0, 0, 0, 41])], &[1])),
                dp(""),
                e("", 0),
                s(),
            ],
        ),
        (
            "format per column",
            vec![
                p("", "SELECT 258::int4, 258::int4"),
                Step::Send(build::bind("", "", &[], &[], &[0, 1])),
                dp(""),
                e("", 0),
                s(),
            ],
        ),
        (
            "wrong number of formats",
            vec![p("", "SELECT 1, 2, 3"), Step::Send(build::bind("", "", &[], &[], &[0, 1])), e("", 0), s()],
        ),
        (
            "binary of the wrong length",
            vec![p("", "SELECT $1::int4"), Step::Send(build::bind("", "", &[1], &[Some(&[0, 1])], &[])), e("", 0), s()],
        ),
    ]);
}

#[test]
fn reads_by_key() {
    let by_key = "SELECT b, a FROM w WHERE a = $1";
    compare(vec![
        ("found, not there, NULL", {
            let get = |v: &str| vec![bt("", "x", &[v]), dp(""), e("", 0), s()];
            let null = vec![Step::Send(build::bind("", "x", &[], &[None], &[])), e("", 0), s()];
            [vec![p("x", by_key), ds("x")], get("1"), get("3"), get("9"), get("2147483648"), get("x"), null].concat()
        }),
        ("again before Sync", vec![p("", by_key), bt("", "", &["1"]), e("", 0), dp(""), e("", 0), s(), e("", 0), s()]),
        ("limit of one", vec![p("", by_key), bt("", "", &["1"]), e("", 1), e("", 1), s()]),
        ("Query instead of Sync", vec![p("", by_key), bt("c", "", &["1"]), e("c", 0), q("SELECT 1"), e("c", 0), s()]),
        (
            "one snapshot at repeatable read",
            vec![
                q("SET default_transaction_isolation TO 'repeatable read'"),
                p("", by_key),
                bt("", "", &["1"]),
                e("", 0),
                q("SHOW transaction_isolation"),
                s(),
            ],
        ),
        ("limit above", vec![p("", by_key), bt("", "", &["1"]), e("", 2), e("", 2), s()]),
        (
            "pipelined with writes",
            vec![
                p("g", by_key),
                bt("", "g", &["1"]),
                e("", 0),
                p("i", "INSERT INTO w VALUES ($1, 'new', NULL)"),
                bt("", "i", &["70"]),
                e("", 0),
                bt("", "g", &["70"]),
                e("", 0),
                bt("", "i", &["70"]),
                e("", 0),
                bt("", "g", &["1"]),
                e("", 0),
                s(),
                bt("", "g", &["70"]),
                e("", 0),
                s(),
            ],
        ),
        (
            "in a block",
            vec![
                q("BEGIN"),
                q("UPDATE w SET b = 'mine' WHERE a = 2"),
                p("", by_key),
                bt("", "", &["2"]),
                e("", 0),
                s(),
                q("SELECT b FROM w WHERE a = 2"),
                q("ROLLBACK"),
                q("SELECT b FROM w WHERE a = 2"),
            ],
        ),
        (
            "in a failed block",
            vec![
                q("SELECT b FROM w WHERE a = 1"),
                q("BEGIN"),
                q("SELECT nope"),
                q("SELECT b FROM w WHERE a = 1"),
                q("COMMIT"),
                q("SELECT b FROM w WHERE a = 1"),
            ],
        ),
        (
            "texts that differ in integers",
            vec![
                q("SELECT a, b FROM w WHERE a = 1;"),
                q("SELECT a, b FROM w WHERE a = 2;"),
                q("SELECT a, b FROM w WHERE a = -2;"),
                q("SELECT a, b FROM w WHERE a = 2147483648;"),
                q("SELECT a, b, 7, -7, 2.50 FROM w WHERE a = 3 LIMIT 1"),
                q("SELECT a, b, 8, -8, 2.51 FROM w WHERE a = 3 LIMIT 0"),
                q("SELECT a FROM w WHERE a = 1 ORDER BY 1"),
                q("SELECT a FROM w WHERE a = 1 ORDER BY 2"),
                q("SELECT a FROM w WHERE a = 1 LIMIT -1"),
                q("SELECT 1 / (a - 1) FROM w WHERE a = 1"),
                q("SELECT a + 2147483646 FROM w WHERE a = 1"),
                q("SELECT a + 2147483647 FROM w WHERE a = 1"),
                q("SELECT v::varchar(1), a FROM w WHERE a = 1"),
            ],
        ),
        (
            "writes that differ in integers",
            vec![
                q("INSERT INTO log VALUES (101), (102)"),
                q("INSERT INTO log VALUES (103), (104)"),
                q("INSERT INTO log VALUES (103), (105)"),
                q("UPDATE log SET a = a + 100 WHERE a = 101"),
                q("UPDATE log SET a = a + -100 WHERE a = 201 RETURNING a, a - 1"),
                q("UPDATE log SET a = a + 2147483647 WHERE a = 101"),
                q("DELETE FROM log WHERE a = 101"),
                q("DELETE FROM log WHERE a = 101"),
                q("SELECT count(*) FROM log WHERE a > 100"),
                q("DELETE FROM log WHERE a > 100"),
            ],
        ),
        (
            "the table changes under a text",
            vec![
                q("CREATE TABLE IF NOT EXISTS changing (k int PRIMARY KEY, x int)"),
                q("INSERT INTO changing VALUES (1, 10)"),
                q("SELECT * FROM changing WHERE k = 1"),
                q("DROP TABLE changing"),
                q("SELECT * FROM changing WHERE k = 1"),
                q("CREATE TABLE changing (k int PRIMARY KEY, x text, y int)"),
                q("INSERT INTO changing VALUES (1, 'ten', 11)"),
                q("SELECT * FROM changing WHERE k = 1"),
                q("BEGIN"),
                q("DROP TABLE changing"),
                q("SELECT * FROM changing WHERE k = 1"),
                q("ROLLBACK"),
                q("SELECT * FROM changing WHERE k = 1"),
                q("DROP TABLE changing"),
            ],
        ),
        (
            "transaction control again and again",
            vec![
                q("BEGIN"),
                q("BEGIN"),
                q("END"),
                q("END"),
                q("BEGIN;"),
                q("COMMIT;"),
                q("COMMIT;"),
                q("ROLLBACK"),
                q("ROLLBACK"),
                q("BEGIN ISOLATION LEVEL REPEATABLE READ"),
                q("SHOW transaction_isolation"),
                q("COMMIT"),
            ],
        ),
    ]);
}

#[test]
fn row_limits_and_portal_life() {
    let rows = "SELECT a FROM w ORDER BY a";
    compare(vec![
        ("limit below", vec![p("", rows), b("", ""), e("", 2), e("", 2), e("", 2), s()]),
        ("limit exact", vec![p("", rows), b("", ""), e("", 3), e("", 3), s()]),
        ("limit above", vec![p("", rows), b("", ""), e("", 4), e("", 0), s()]),
        ("no limit, again", vec![p("", rows), b("", ""), e("", 0), e("", 0), s()]),
        ("limit then all", vec![p("", rows), b("", ""), e("", 1), e("", 0), s()]),
        ("completed DML portal", vec![p("", "INSERT INTO log VALUES (30)"), b("c", ""), e("c", 0), e("c", 0), s()]),
        ("completed DML, unnamed", vec![p("", "DELETE FROM log"), b("", ""), e("", 1), e("", 1), s()]),
        (
            "limit and RETURNING",
            vec![
                p("", "INSERT INTO log VALUES (31), (32) RETURNING a"),
                b("", ""),
                e("", 1),
                e("", 0),
                s(),
                q("DELETE FROM log"),
            ],
        ),
        ("Sync outside a block drops portals", vec![p("x", rows), b("c", "x"), e("c", 1), s(), e("c", 1), s()]),
        (
            "Sync inside a block keeps them",
            vec![q("BEGIN"), p("x", rows), b("c", "x"), e("c", 1), s(), e("c", 1), s(), e("c", 0), s()],
        ),
        ("COMMIT drops them", vec![q("BEGIN"), p("x", rows), b("c", "x"), e("c", 1), s(), q("COMMIT"), e("c", 1), s()]),
        (
            "two portals in turn",
            vec![
                q("BEGIN"),
                p("x", rows),
                b("c", "x"),
                b("d", "x"),
                e("c", 1),
                e("d", 2),
                e("c", 1),
                e("d", 2),
                e("c", 2),
                s(),
            ],
        ),
        ("statements survive ROLLBACK", vec![q("BEGIN"), p("x", rows), s(), q("ROLLBACK"), b("", "x"), e("", 1), s()]),
        (
            "a query leaves named portals of a block",
            vec![q("BEGIN"), p("x", rows), b("c", "x"), e("c", 1), s(), q("SELECT 9"), e("c", 1), s()],
        ),
        (
            "DECLARE and portals share names",
            vec![
                q("BEGIN"),
                q("DECLARE c CURSOR FOR SELECT a FROM w ORDER BY a"),
                dp("c"),
                s(),
                q("FETCH 2 FROM c"),
                p("", rows),
                b("c", ""),
                s(),
            ],
        ),
        (
            "PREPARE and Parse share names",
            vec![
                q("PREPARE x AS SELECT 5 AS five"),
                b("", "x"),
                e("", 0),
                s(),
                p("y", "SELECT 6"),
                s(),
                q("EXECUTE y"),
                q("DEALLOCATE y"),
                b("", "y"),
                s(),
            ],
        ),
        ("DEALLOCATE ALL", vec![p("y", "SELECT 6"), s(), q("DEALLOCATE ALL"), ds("y"), s()]),
        (
            "changed result type",
            vec![
                q("CREATE TABLE ch (a int)"),
                p("x", "SELECT * FROM ch"),
                b("", "x"),
                e("", 0),
                s(),
                q("DROP TABLE ch; CREATE TABLE ch (a text)"),
                b("", "x"),
                e("", 0),
                s(),
                q("DROP TABLE ch"),
            ],
        ),
    ]);
}

#[test]
fn transactions_and_skipping() {
    compare(vec![
        (
            "error skips to Sync",
            vec![
                p("", "SELECT 1 / (a - a) FROM w"),
                b("", ""),
                e("", 0),
                p("", "SELECT 1"),
                b("", ""),
                e("", 0),
                s(),
                s(),
            ],
        ),
        ("lone Syncs", vec![s(), s(), s()]),
        (
            "a group is one transaction",
            vec![
                p("", "INSERT INTO log VALUES (40)"),
                b("", ""),
                e("", 0),
                p("", "SELECT 1 / (a - a) FROM w"),
                b("", ""),
                e("", 0),
                s(),
                q("SELECT * FROM log"),
            ],
        ),
        (
            "two groups are two",
            vec![
                p("", "INSERT INTO log VALUES (41)"),
                b("", ""),
                e("", 0),
                s(),
                p("", "SELECT 1 / (a - a) FROM w"),
                b("", ""),
                e("", 0),
                s(),
                q("SELECT * FROM log"),
                q("DELETE FROM log"),
            ],
        ),
        (
            "BEGIN in a group",
            vec![
                p("", "BEGIN"),
                b("", ""),
                e("", 0),
                p("", "INSERT INTO log VALUES (42)"),
                b("", ""),
                e("", 0),
                s(),
                q("ROLLBACK"),
                q("SELECT * FROM log"),
            ],
        ),
        (
            "COMMIT in a group",
            vec![
                p("", "BEGIN"),
                b("", ""),
                e("", 0),
                p("", "INSERT INTO log VALUES (43)"),
                b("", ""),
                e("", 0),
                p("", "COMMIT"),
                b("", ""),
                e("", 0),
                s(),
                q("SELECT * FROM log"),
                q("DELETE FROM log"),
            ],
        ),
        (
            "failed block",
            vec![
                q("BEGIN"),
                p("", "SELECT 1 / (a - a) FROM w"),
                b("", ""),
                e("", 0),
                s(),
                p("", "SELECT 1"),
                s(),
                p("", "ROLLBACK"),
                b("", ""),
                e("", 0),
                s(),
            ],
        ),
        (
            "Parse in a failed block",
            vec![q("BEGIN"), q("SELECT 1 / (a - a) FROM w"), p("", "COMMIT"), ds(""), b("", ""), e("", 0), s()],
        ),
        (
            "Bind of a known statement in a failed block",
            vec![
                p("x", "SELECT 1"),
                s(),
                q("BEGIN"),
                q("SELECT 1 / (a - a) FROM w"),
                b("", "x"),
                s(),
                ds("x"),
                s(),
                q("ROLLBACK"),
            ],
        ),
        (
            "Flush pushes",
            vec![
                p("x", "SELECT a FROM w ORDER BY a"),
                ds("x"),
                flush(),
                Step::Quiet,
                b("", "x"),
                e("", 2),
                flush(),
                Step::Quiet,
                e("", 2),
                flush(),
                Step::Quiet,
                s(),
            ],
        ),
        (
            "error is pushed at once",
            vec![p("x", "SELEC"), flush(), Step::Quiet, p("", "SELECT 1"), flush(), Step::Quiet, s()],
        ),
        ("Terminate while skipping", vec![p("", "SELEC"), Step::Send(build::message(b'X', &[]))]),
        (
            "CREATE DATABASE in a group",
            vec![
                p("", "INSERT INTO log VALUES (44)"),
                b("", ""),
                e("", 0),
                p("", "CREATE DATABASE nope2"),
                b("", ""),
                e("", 0),
                s(),
                q("DELETE FROM log"),
            ],
        ),
        (
            "savepoints",
            vec![
                q("BEGIN"),
                q("SAVEPOINT a"),
                q("SELECT 1 / (a - a) FROM w"),
                p("", "ROLLBACK TO a"),
                b("", ""),
                e("", 0),
                s(),
                q("SELECT 1"),
                q("COMMIT"),
            ],
        ),
        ("function call", vec![q("SELECT 1"), s()]),
    ]);
}

#[test]
fn copy_in_both_protocols() {
    compare(vec![
        (
            "in, simple",
            vec![
                q("COPY log FROM STDIN"),
                data("1\n2"),
                data("\n3\n"),
                done(),
                q("SELECT count(*), sum(a) FROM log"),
                q("DELETE FROM log"),
            ],
        ),
        ("in, last line without newline", vec![q("COPY log FROM STDIN"), data("1\n2"), done(), q("DELETE FROM log")]),
        ("in, end marker", vec![q("COPY log FROM STDIN"), data("1\n\\.\n"), done(), q("DELETE FROM log")]),
        ("in, nothing", vec![q("COPY log FROM STDIN"), done()]),
        ("in, fails", vec![q("COPY log FROM STDIN"), data("1\n"), fail("no more"), q("SELECT count(*) FROM log")]),
        ("in, bad line", vec![q("COPY log FROM STDIN"), data("1\nx\n3\n"), done(), q("SELECT count(*) FROM log")]),
        ("in, duplicate", vec![q("COPY log FROM STDIN"), data("1\n1\n"), done(), q("SELECT count(*) FROM log")]),
        ("in, other message", vec![q("COPY log FROM STDIN"), data("1\n"), q("SELECT 1")]),
        (
            "in, extended",
            vec![
                p("", "COPY log FROM STDIN"),
                ds(""),
                b("", ""),
                dp(""),
                e("", 0),
                data("7\n"),
                done(),
                s(),
                q("DELETE FROM log"),
            ],
        ),
        (
            "in, extended, Sync right after Execute",
            vec![
                p("", "COPY log FROM STDIN"),
                b("", ""),
                e("", 0),
                s(),
                data("8\n"),
                done(),
                s(),
                q("DELETE FROM log"),
            ],
        ),
        (
            "in, extended, bad line",
            vec![
                p("", "COPY log FROM STDIN"),
                b("", ""),
                e("", 0),
                data("x\n"),
                data("9\n"),
                done(),
                s(),
                q("SELECT count(*) FROM log"),
            ],
        ),
        (
            "in, extended, fails",
            vec![p("", "COPY log FROM STDIN"), b("", ""), e("", 0), data("5\n"), fail("stop"), s()],
        ),
        (
            "out, simple",
            vec![q("COPY w TO STDOUT"), q("COPY (SELECT b FROM w ORDER BY a) TO STDOUT WITH (FORMAT csv, HEADER)")],
        ),
        ("out, extended", vec![p("", "COPY w (a, v) TO STDOUT"), ds(""), b("", ""), e("", 0), s()]),
        (
            "in a string",
            vec![
                q(
                    "INSERT INTO log VALUES (1); COPY log FROM STDIN; SELECT count(*) FROM log; COPY log TO STDOUT; DELETE FROM log",
                ),
                data("2\n3\n"),
                done(),
            ],
        ),
        (
            "in a string, fails",
            vec![
                q("INSERT INTO log VALUES (1); COPY log FROM STDIN; SELECT 5"),
                data("x\n"),
                done(),
                q("SELECT count(*) FROM log"),
            ],
        ),
        ("stray copy messages", vec![data("1\n"), done(), fail("x"), q("SELECT 1")]),
    ]);
}
