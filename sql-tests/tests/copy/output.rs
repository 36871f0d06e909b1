//! COPY TO in text and csv.

use super::{SETUP, form};
use heddle_sql_tests::table;

#[test]
fn copy_to() {
    let setup = format!(
        "{SETUP}; INSERT INTO c VALUES (1, E'tab\\there', '2024-01-01'), (2, NULL, NULL), (3, '', '2024-01-03'), \
         (4, E'back\\\\slash \"quote\" new\\nline, comma', NULL), (5, '\\N', NULL), (6, '\\.', NULL); \
         INSERT INTO ty VALUES (1, 0.1, 12.5, '2024-01-01 00:00:00+00', '\\x00ff', true, '{{\"b\":1,\"a\":[1, 2]}}', \
         'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', '{{1,NULL}}')"
    );
    table::compare(
        &setup,
        "COPY c TO STDOUT
        COPY c (b) TO STDOUT
        COPY c (b, a) TO STDOUT WITH (DELIMITER '|', NULL 'nil')
        COPY c TO STDOUT WITH (HEADER)
        COPY c TO STDOUT CSV
        COPY c TO STDOUT WITH (FORMAT csv, HEADER, NULL 'NA')
        COPY c TO STDOUT WITH (FORMAT csv, DELIMITER ';', QUOTE '''')
        COPY c TO STDOUT WITH (FORMAT csv, FORCE_QUOTE *)
        COPY c TO STDOUT WITH (FORMAT csv, FORCE_QUOTE (a, d))
        COPY ty TO STDOUT
        COPY ty TO STDOUT CSV HEADER
        COPY (SELECT a, b FROM c WHERE a < 3 ORDER BY a DESC) TO STDOUT
        COPY (SELECT count(*) FROM c) TO STDOUT WITH CSV HEADER
        COPY (VALUES (1, 'x'), (2, NULL)) TO STDOUT
        COPY (SELECT a FROM c WHERE false) TO STDOUT CSV HEADER
        COPY (DELETE FROM c WHERE a = 6 RETURNING a) TO STDOUT
        COPY nope TO STDOUT
        COPY c (nope) TO STDOUT
        COPY (SELECT nope) TO STDOUT
        COPY (SELECT 1/0) TO STDOUT
        COPY c TO STDOUT WITH (FORMAT csv, DELIMITER 'xx')
        COPY c TO STDOUT WITH (FORCE_QUOTE *)",
        form,
    );
}

#[test]
fn copy_to_of_changes() {
    table::compare(
        SETUP,
        "COPY (INSERT INTO k VALUES (1, 'a'), (2, 'b') RETURNING a, b || '!' AS shout) TO STDOUT CSV HEADER
        COPY (UPDATE k SET b = 'c' WHERE a = 2 RETURNING *) TO STDOUT
        COPY (WITH w AS (SELECT 1 AS one) SELECT * FROM w, k ORDER BY a) TO STDOUT
        COPY (DELETE FROM k RETURNING k.a) TO STDOUT
        COPY (DELETE FROM k RETURNING k.a) TO STDOUT
        COPY (SELECT a AS \"A b\", a AS \"x,y\" FROM k) TO STDOUT CSV HEADER
        COPY (TABLE k) TO STDOUT
        COPY (SELECT) TO STDOUT
        COPY z TO STDOUT
        COPY (SELECT '\\.' AS x) TO STDOUT CSV
        COPY (SELECT '\\.' AS x, 1) TO STDOUT CSV
        COPY (SELECT 'a''b\"c' AS x, 'a\\b') TO STDOUT CSV QUOTE '''' ESCAPE '\\'
        COPY (SELECT E'\\x01\\x08\\x0b\\x0c\\x7f') TO STDOUT
        COPY (SELECT 'a|b', '|', '') TO STDOUT DELIMITER '|'
        COPY (SELECT '-', NULL) TO STDOUT CSV NULL '-'
        COPY (SELECT '', NULL) TO STDOUT CSV
        COPY (SELECT 1 AS \"h\\t\", E'a\\tb') TO STDOUT (HEADER)
        COPY (SELECT NULL, 1) TO STDOUT CSV FORCE QUOTE *
        COPY (SELECT NULL AS a, 1 AS b, 2 AS c) TO STDOUT CSV FORCE QUOTE a, c
        COPY (VALUES (1, 2) ORDER BY 1) TO STDOUT
        COPY (SELECT 1 / (3 - g) FROM generate_series(3, 5) g) TO STDOUT",
        form,
    );
}
