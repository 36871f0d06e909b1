//! COPY's options and relations, right and wrong.

use super::{SETUP, compare_in, form};

#[test]
fn spellings() {
    compare_in(&[
        (
            "COPY c FROM STDIN WITH CSV HEADER DELIMITER AS '|' NULL AS '-' QUOTE AS '~' ESCAPE AS '!'",
            "x\n1|~a!~b~|-\n",
        ),
        ("COPY c FROM STDIN USING DELIMITERS ';'", "1;a;\\N\n"),
        ("COPY c FROM STDIN DELIMITERS ';' NULL '-'", "1;a;-\n"),
        ("COPY c FROM STDIN WITH DELIMITER ';' CSV", "1;a;\n"),
        ("COPY c FROM STDOUT (FORMAT 'csv', DELIMITER E'\\t')", "1\ta\t\n"),
        ("COPY c FROM STDIN (FORMAT CSV, HEADER FALSE)", "1,a,\n"),
        ("COPY c FROM STDIN (\"format\" csv, header off)", "1,a,\n"),
        ("COPY c FROM STDIN (FORMAT csv, NULL 5)", "1,a,5\n"),
        ("COPY c FROM STDIN (FORMAT text, HEADER 1)", "x\n1\ta\t\\N\n"),
        ("COPY c FROM STDIN (FORMAT csv, FORCE_NULL (\"b\", 'd'))", "1,\"\",\"\"\n"),
        ("COPY public.c (a) FROM STDIN", "1\n"),
        ("COPY postgres.public.c (a) FROM STDIN", "1\n"),
        ("COPY v FROM STDIN", ""),
        ("COPY z FROM STDIN", "\n\n"),
        ("COPY z FROM STDIN", "x\n"),
        ("COPY z FROM STDIN CSV", "\n"),
    ]);
}

#[test]
fn refusals() {
    heddle_sql_tests::table::compare(
        SETUP,
        "COPY v TO STDOUT
        COPY v (nope) TO STDOUT
        COPY information_schema.tables TO STDOUT
        COPY c TO STDOUT (FORMAT binary, HEADER)
        COPY c TO STDOUT (FORMAT binary, NULL 'x')
        COPY c TO STDOUT (FORMAT binary, DELIMITER 'x')
        COPY c TO STDOUT (FORMAT binary, QUOTE 'x')
        COPY c FROM STDIN (FORCE_QUOTE *)
        COPY c FROM STDIN (FORMAT csv, FORCE_QUOTE *)
        COPY c TO STDOUT (FORMAT csv, FORCE_NULL (a))
        COPY c TO STDOUT (FORMAT csv, FORCE_NOT_NULL (a))
        COPY c TO STDOUT (FORCE_NULL (a))
        COPY c TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))
        COPY (SELECT 1 AS x) TO STDOUT (FORMAT csv, FORCE_QUOTE (zz))
        COPY c (a) TO STDOUT (FORMAT csv, FORCE_QUOTE (b))
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NULL (b))
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (b))
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NOT_NULL (a, a))
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NULL 'a')
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NULL a)
        COPY c (a) FROM STDIN (FORMAT csv, FORCE_NULL)
        COPY c FROM STDIN (DELIMITER '|', NULL 'a|b')
        COPY c FROM STDIN (FORMAT csv, NULL 'a\"b')
        COPY c FROM STDIN (NULL E'a\\nb')
        COPY c FROM STDIN (ENCODING 'nope')
        COPY c FROM STDIN (FORMAT csv, ENCODING 5)
        COPY c FROM STDIN (DEFAULT 'x')
        COPY c TO STDOUT (FREEZE 2)
        COPY c TO STDOUT (FREEZE)
        COPY c TO STDOUT (HEADER 2)
        COPY c TO STDOUT (HEADER match)
        COPY c FROM STDIN (HEADER 'maybe')
        COPY c TO STDOUT (FORMAT)
        COPY c TO STDOUT (NULL)
        COPY c TO STDOUT (DELIMITER)
        COPY c TO STDOUT (DELIMITER '')
        COPY c TO STDOUT (DELIMITER '.')
        COPY c TO STDOUT (DELIMITER 'x')
        COPY c TO STDOUT (DELIMITER '5')
        COPY c TO STDOUT (DELIMITER E'\\r')
        COPY c TO STDOUT (DELIMITER '\u{e9}')
        COPY c TO STDOUT (FORMAT (a, b))
        COPY c TO STDOUT (FORMAT *)
        COPY c TO STDOUT (ESCAPE 'x')
        COPY c TO STDOUT (FORMAT csv, ESCAPE 'xy')
        COPY c TO STDOUT (FORMAT csv, QUOTE '')
        COPY c TO STDOUT (FORMAT csv, QUOTE ',')
        COPY c TO STDOUT (\"Format\" csv)
        COPY c TO STDOUT CSV CSV
        COPY c TO STDOUT CSV BINARY
        COPY BINARY c TO STDOUT CSV
        COPY c TO STDOUT DELIMITER
        COPY c TO STDOUT HEADER MATCH
        COPY c TO STDOUT ENCODING AS 'utf8'
        COPY c TO STDOUT ()
        COPY c TO STDOUT (HEADER,)
        COPY c TO STDOUT (HEADER) CSV
        COPY c TO
        COPY c
        COPY c () TO STDOUT
        COPY c (a,) TO STDOUT
        COPY (SELECT 1) TO STDOUT WHERE true
        COPY (CREATE TABLE x (a int)) TO STDOUT
        COPY (SHOW ALL) TO STDOUT
        COPY (DELETE FROM c) TO STDOUT
        COPY (INSERT INTO c VALUES (1)) TO STDOUT
        COPY (UPDATE c SET a = 1) TO STDOUT
        COPY (SELECT 1) FROM STDIN
        COPY (SELECT $1) TO STDOUT
        COPY nope FROM STDIN (nope)
        COPY nope TO STDOUT (nope)
        COPY c (nope) FROM STDIN (nope)
        COPY c (nope) TO STDOUT (nope)
        COPY (SELECT nope) TO STDOUT (nope)
        COPY c (nope) FROM STDIN WHERE a
        COPY c (tableoid) FROM STDIN
        COPY c_nope.c FROM STDIN
        COPY k_pkey TO STDOUT
        COPY k_pkey FROM STDIN
        COPY other.public.c FROM STDIN
        BEGIN READ ONLY
        COPY c FROM STDIN (nope)
        ROLLBACK",
        form,
    );
}

/// What PostgreSQL has and we say that we have not; and where we are more generous.
#[test]
fn ours_alone() {
    let server = heddle_sql_tests::Server::start();
    let mut conn = server.connect();
    conn.run(SETUP);
    assert_eq!(conn.fails("COPY c TO STDOUT (ENCODING 'latin1')"), "0A000");
    assert_eq!(conn.fails("COPY c FROM STDIN ENCODING 'SJIS'"), "0A000");
    assert_eq!(conn.fails("COPY c FROM PROGRAM 'true'"), "0A000");
    assert_eq!(conn.fails("COPY c FROM '/etc/passwd'"), "42501");
    assert_eq!(conn.fails("COPY pg_class FROM STDIN"), "42501");
    let all = conn.copy_in("COPY c FROM STDIN (FORMAT csv, FORCE_NULL *)", b"\"\",\"\",\"\"\n", 99);
    assert_eq!(all.results[0].tag, "COPY 1");
    assert_eq!(conn.value("SELECT count(*) FROM c WHERE a IS NULL AND b IS NULL AND d IS NULL"), "1");
    let frozen = conn.copy_in("COPY c FROM STDIN (FREEZE)", b"1\tx\t\\N\n", 99);
    assert_eq!(frozen.results[0].tag, "COPY 1");
    assert_eq!(frozen.notices.len(), 1, "an option without effect says so");
    assert!(conn.run("COPY pg_namespace TO STDOUT").copied.starts_with(b"11\tpg_catalog"));
}
