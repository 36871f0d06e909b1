//! Bad input: SQLSTATE, message, detail, position and object names equal PostgreSQL's.

use heddle_sql_tests::{Outcome, Server, table};

const SETUP: &str = "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL, c varchar(3), d numeric(4,2), e date, f int2, \
    g uuid, j jsonb, s text[], o bool, ts timestamptz, UNIQUE (b, c)); \
    INSERT INTO t VALUES (1, 'one', 'x', 1.5, '2024-01-01'), (2, 'two', NULL, NULL, NULL); \
    CREATE TABLE u (id int, t_a int, b text)";

fn form(outcome: &Outcome) -> String {
    match &outcome.error {
        Some(e) => e.full(),
        None => outcome.short(),
    }
}

#[test]
fn syntax_and_names() {
    table::compare(
        SETUP,
        "SELEC 1
        SELECT
        SELECT FROM
        SELECT 1 +
        SELECT 1 FROM
        SELECT (1
        SELECT 1)
        SELECT 'open
        SELECT \"open
        SELECT $1
        SELECT 1 2
        SELECT * FROM t WHERE
        SELECT * FROM t ORDER
        SELECT a b c FROM t
        INSERT t VALUES (1)
        INSERT INTO t
        UPDATE t
        DELETE t
        CREATE TABLE
        ~42601 CREATE TABLE x (a)
        DROP t
        FOO BAR
        SELECT /* open
        SELECT * FROM nope
        SELECT * FROM nope.t
        SELECT * FROM a.b.c
        SELECT nope FROM t
        SELECT t.nope FROM t
        SELECT x.a FROM t
        SELECT t.a FROM t AS x
        SELECT a FROM t, u WHERE b = 'x'
        SELECT * FROM t, t
        SELECT aa FROM t
        INSERT INTO nope VALUES (1)
        INSERT INTO t (nope) VALUES (1)
        INSERT INTO t (a, a) VALUES (1, 2)
        INSERT INTO t (a, b) VALUES (1)
        INSERT INTO t (a) VALUES (1, 2)
        INSERT INTO u VALUES (1, 2, 'x', 4)
        UPDATE nope SET a = 1
        UPDATE t SET nope = 1
        UPDATE t SET a = 1, a = 2
        UPDATE t SET a = nope
        DELETE FROM nope
        DELETE FROM t WHERE nope
        SELECT nope()
        SELECT nope(1, 'x', a) FROM t
        SELECT upper(1)
        SELECT abs('x', 1)
        SELECT substring()
        SELECT 1 + 'x'::text
        SELECT 'a'::text + 1
        SELECT true + 1
        SELECT - 'x'::text
        SELECT 1 = 'x'::text
        SELECT a = b FROM t
        SELECT a || 1 FROM t
        SELECT date '2024-01-01' + date '2024-01-01'
        SELECT 1::nope
        SELECT CAST(1 AS nope)
        SELECT 1::date
        SELECT true::date
        SELECT '1'::int::uuid
        SELECT 1 WHERE 1
        SELECT 1 WHERE 'x'
        SELECT 1 HAVING 1
        SELECT NOT 1
        SELECT 1 AND true
        SELECT CASE WHEN 1 THEN 2 END
        SELECT CASE WHEN true THEN 1 ELSE 'x' END
        SELECT CASE WHEN true THEN 1 ELSE true END
        SELECT COALESCE(1, 'x')
        SELECT COALESCE(1, true)
        SELECT 1 IN ('x')
        SELECT 1 IN (true)
        SELECT ARRAY[1, 'x']
        SELECT ARRAY[1, true]
        SELECT 1 UNION SELECT 'x'
        SELECT 1 UNION SELECT true
        SELECT 1, 2 UNION SELECT 1
        SELECT a FROM t ORDER BY 2
        SELECT a FROM t ORDER BY 0
        SELECT a FROM t ORDER BY 'x'
        SELECT a FROM t ORDER BY nope
        SELECT a FROM t UNION SELECT 1 ORDER BY b
        SELECT a FROM t GROUP BY 2
        SELECT a, count(*) FROM t
        SELECT b FROM t GROUP BY c
        SELECT count(*) FROM t WHERE count(*) > 1
        SELECT sum(count(*)) FROM t
        SELECT a FROM t GROUP BY count(*)
        SELECT sum(b) FROM t
        SELECT a FROM t WHERE row_number() OVER () = 1
        SELECT DISTINCT a FROM t ORDER BY b
        SELECT DISTINCT ON (a) a FROM t ORDER BY b
        SELECT * FROM t LIMIT 'x'
        SELECT * FROM t LIMIT -1
        SELECT * FROM t OFFSET -1
        SELECT * FROM t LIMIT a
        SELECT (SELECT a, b FROM t)
        SELECT (SELECT a FROM t)
        SELECT 1 IN (SELECT a, b FROM t)
        SELECT * FROM (SELECT 1)
        SELECT * FROM (SELECT 1) AS x(a, b)
        SELECT * FROM t JOIN u ON t.a
        SELECT * FROM t JOIN u USING (nope)
        SELECT * FROM t JOIN u USING (a)
        SELECT * FROM t JOIN u ON nope.a = 1
        SELECT * FROM t NATURAL JOIN nope
        WITH x AS (SELECT 1), x AS (SELECT 2) SELECT * FROM x
        WITH x(a, b) AS (SELECT 1) SELECT * FROM x
        VALUES (1), (1, 2)
        VALUES (1), ('x')
        SELECT *
        SELECT nope.* FROM t
        SELECT (1, 2) = (1, 2, 3)
        SELECT t.a.b FROM t
        EXPLAIN NOPE
        SELECT max(DISTINCT)
        SELECT count(DISTINCT *) FROM t
        SELECT * FROM generate_series()
        SELECT * FROM nope(1)
        SELECT extract(nope FROM now())
        SELECT date_trunc('nope', now())
        SELECT a FROM t FOR UPDATE OF nope
        SELECT count(*) FROM t FOR UPDATE
        SELECT a FROM t GROUP BY a FOR UPDATE
        SELECT DISTINCT a FROM t FOR UPDATE
        SELECT 1 UNION SELECT 2 FOR UPDATE",
        form,
    );
}

#[test]
fn values() {
    table::compare(
        SETUP,
        "SELECT 'x'::int
        SELECT ''::int
        SELECT '1.5'::int
        SELECT int 'x'
        SELECT '99999999999'::int
        SELECT '99999'::int2
        SELECT '9223372036854775808'::int8
        SELECT 2147483647 + 1
        SELECT -2147483648 - 1
        SELECT 2147483647 * 2
        SELECT 9223372036854775807 + 1
        SELECT 32767::int2 + 1::int2
        SELECT 100000::int2
        SELECT 3000000000::int4
        SELECT 1e10::int4
        SELECT 1e30::int8
        SELECT 'NaN'::float8::int
        SELECT abs((-2147483648)::int4)
        SELECT - (-9223372036854775808)::int8
        SELECT 1 / 0
        SELECT 1 % 0
        SELECT 1.0 / 0
        SELECT 1::float8 / 0
        SELECT mod(5, 0)
        SELECT 1e400::float8
        SELECT '1e400'::float8
        SELECT 1e300::float8 * 1e300::float8
        SELECT 1e39::float4
        SELECT sqrt(-1)
        SELECT ln(0)
        SELECT power(0, -1)
        SELECT 123.456::numeric(4,2)
        SELECT 'x'::numeric
        SELECT '1e200000'::numeric
        SELECT 'maybe'::bool
        SELECT 'x'::float8
        SELECT 'x'::date
        SELECT '2024-13-01'::date
        SELECT '2024-02-30'::date
        SELECT '2023-02-29'::date
        SELECT '10000000-01-01'::date
        SELECT '25:00:00'::time
        SELECT '12:60'::time
        SELECT '2024-01-01 25:00:00'::timestamp
        SELECT 'x'::timestamptz
        SELECT '2024-01-01 00:00:00 Nowhere/Land'::timestamptz
        SELECT 'x'::interval
        SELECT '1 foo'::interval
        SELECT '294277-01-01'::timestamp
        SELECT '2024-01-01'::timestamp + interval '300000 years'
        SELECT 'x'::uuid
        SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1'::uuid
        SELECT '{bad'::json
        SELECT ''::jsonb
        SELECT '{\"a\": 1,}'::jsonb
        SELECT '\\xzz'::bytea
        SELECT '\\x123'::bytea
        SELECT '{1,2'::int[]
        SELECT '1,2'::int[]
        SELECT '{1,x}'::int[]
        SELECT '{{1},{2,3}}'::int[]
        SELECT '[1:2]={1}'::int[]
        SELECT 'nope'::regclass
        SELECT '-1'::oid
        SELECT 'x'::oid
        SELECT 'abcd'::varchar(3)
        SELECT 'x' LIKE 'a\\'
        SELECT 'a' ~ '('
        SELECT substring('abc' FROM 1 FOR -1)
        SELECT repeat('x', -1)
        SELECT chr(0)
        SELECT generate_series(1, 10, 0)
        SELECT now() AT TIME ZONE 'Nowhere/Land'
        SELECT to_timestamp('x'::float8)
        SELECT make_date(2024, 13, 1)
        ~54000 SELECT lpad('x', 2000000000)
        ~42601 SELECT E'\\xff'
        ~42601 SELECT U&'\\zzzz'
        SELECT 1_000
        SELECT 0x1F
        SELECT 'a' 'b'",
        form,
    );
}

#[test]
fn constraints() {
    table::compare(
        SETUP,
        "INSERT INTO t (a, b) VALUES (1, 'dup')
        INSERT INTO t (a, b, c) VALUES (3, 'one', 'x')
        INSERT INTO t (a, b) VALUES (3, NULL)
        INSERT INTO t (a) VALUES (3)
        INSERT INTO t (b) VALUES ('no key')
        INSERT INTO t (a, b) VALUES (NULL, 'x')
        INSERT INTO t (a, b, c) VALUES (3, 'x', 'abcd')
        INSERT INTO t (a, b, c) VALUES (3, 'x', 'abc  ')
        INSERT INTO t (a, b, d) VALUES (3, 'x', 100)
        INSERT INTO t (a, b, d) VALUES (3, 'x', 99.999)
        INSERT INTO t (a, b, e) VALUES (3, 'x', '2024-13-01')
        INSERT INTO t (a, b, e) VALUES (3, 'x', 5)
        INSERT INTO t (a, b, f) VALUES (3, 'x', 40000)
        INSERT INTO t (a, b, g) VALUES (3, 'x', 'y')
        INSERT INTO t (a, b, j) VALUES (3, 'x', '{')
        INSERT INTO t (a, b, s) VALUES (3, 'x', 'y')
        INSERT INTO t (a, b, o) VALUES (3, 'x', 1)
        INSERT INTO t (a, b, o) VALUES (3, 'x', 'nope')
        INSERT INTO t (a, b, ts) VALUES (3, 'x', date '2024-01-01')
        INSERT INTO t (a, b) VALUES ('x', 'y')
        INSERT INTO t (a, b) VALUES (99999999999, 'y')
        INSERT INTO t (a, b) VALUES (1.5, 4)
        INSERT INTO t (a, b) VALUES (true, 'y')
        INSERT INTO t (a, b) SELECT 'x', 'y'
        INSERT INTO t (a, b) SELECT b, b FROM u
        INSERT INTO t (a, b) SELECT 1, 'again'
        INSERT INTO t (a, b) VALUES (10, 'p'), (10, 'q')
        UPDATE t SET a = 1 WHERE a = 2
        UPDATE t SET a = 7
        UPDATE t SET b = NULL WHERE a = 1
        UPDATE t SET a = NULL WHERE a = 1
        UPDATE t SET c = 'toolong' WHERE a = 1
        UPDATE t SET c = 5 WHERE a = 1
        UPDATE t SET e = 5 WHERE a = 1
        UPDATE t SET d = d * 1000 WHERE a = 1
        UPDATE t SET a = 'x'
        UPDATE t SET b = 'one', c = 'x' WHERE a = 2
        UPDATE t SET a = a + 1
        UPDATE t SET (a, b) = (1, 2, 3)
        UPDATE t SET a = DEFAULT WHERE a = 2
        INSERT INTO t (a, b) VALUES (2147483647 + 1, 'x')
        INSERT INTO t VALUES (3, 'long ' || repeat('y', 100), 'abcd')
        INSERT INTO u VALUES (NULL, NULL, NULL)
        SELECT a, b, c FROM t ORDER BY a",
        form,
    );
}

/// What the server does not do says so by name, with 0A000, and never with an internal error.
#[test]
fn unsupported_features_say_so() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    let mut wrong = vec![];
    for sql in [
        "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE EXTENSION nope",
        "CREATE RULE r AS ON INSERT TO t DO NOTHING",
        "CREATE PUBLICATION p FOR TABLE t",
        "CREATE OPERATOR + (LEFTARG = int, RIGHTARG = int, FUNCTION = f)",
        "CREATE TABLE x (a xml)",
        "CREATE TABLE x (a point)",
        "CREATE TABLE x (a money)",
        "CREATE TABLE x (a int) INHERITS (t)",
        "CREATE TABLE x (a int) PARTITION BY RANGE (a)",
        "CREATE UNLOGGED TABLE x (a int) TABLESPACE y",
        "LISTEN x",
        "NOTIFY x",
        "DO 'BEGIN END'",
        "CALL f()",
        "LOCK TABLE t IN NOPE MODE",
        "PREPARE TRANSACTION 'x'",
        "COPY t FROM '/etc/passwd'",
        "COPY t TO PROGRAM 'cat'",
        "COPY t TO STDOUT WITH (FORMAT binary)",
        "ALTER SYSTEM SET x = 1",
        "SECURITY LABEL ON TABLE t IS 'x'",
        "CLUSTER t",
        "REINDEX TABLE t",
        "GRANT SELECT ON t TO joe",
    ] {
        let outcome = conn.query(sql);
        let code = outcome.code().to_owned();
        let fine =
            ["ok", "0A000", "42601", "42704", "42883", "42501", "22023", "42P01", "58P01", "42809", "25001", "42710"];
        if outcome.lost.is_some() || !fine.contains(&code.as_str()) {
            wrong.push(format!("{sql}\n    {}", outcome.short()));
            if outcome.lost.is_some() {
                conn = server.connect();
            }
        }
        conn.query("ROLLBACK");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
