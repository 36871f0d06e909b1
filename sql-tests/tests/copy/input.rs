//! COPY FROM in text and csv: what the lines mean, what is wrong with them, WHERE.

use super::compare_in;

#[test]
fn copy_from_text() {
    compare_in(&[
        ("COPY c FROM STDIN", "1\tone\t2024-01-01\n2\t\\N\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\\tb\\nc\\\\d\\b\\f\\v\\r\t2024-01-01\n"),
        ("COPY c FROM STDIN", "1\t\\101\\x42\\x4a\t\\N\n"),
        ("COPY c FROM STDIN", "1\tzoë €\t\\N\r\n2\tb\t\\N\r\n"),
        ("COPY c (b, a) FROM STDIN", "x\t1\ny\t2\n"),
        ("COPY c FROM STDIN WITH (DELIMITER '|', NULL '')", "1|x|2024-05-06\n2||\n"),
        ("COPY c FROM STDIN DELIMITER ',' NULL 'nil'", "1,nil,nil\n"),
        ("COPY c FROM STDIN", "1\t\t\\N\n"),
        ("COPY c FROM STDIN (HEADER)", "a\tb\td\n1\tx\t\\N\n"),
        ("COPY c FROM STDIN (HEADER match)", "a\tnope\td\n1\tx\t\\N\n"),
        ("COPY c FROM STDIN", ""),
        ("COPY c FROM STDIN", "1\tx\t\\N\n\\.\nignored"),
        (
            "COPY ty FROM STDIN",
            "1\t1.5\t2.345\t2024-01-01 00:00:00+02\t\\\\x01ff\tt\t{\"a\": 1}\t\
          a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\t{1,NULL,3}\n",
        ),
    ]);
}

#[test]
fn copy_from_csv() {
    compare_in(&[
        ("COPY c FROM STDIN CSV", "1,one,2024-01-01\n2,,\n3,\"\",2024-01-03\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER)", "a,b,d\n1,\"x, y\",\n2,\"say \"\"hi\"\"\",\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv)", "1,\"two\nlines\",2024-01-01\r\n2,b,2024-01-02\r\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, NULL 'NA')", "1,NA,NA\n2,\"NA\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, DELIMITER ';', QUOTE '''', NULL 'x')", "1;'a;b''c';x\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, ESCAPE '\\')", "1,\"a\\\"b\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, FORCE_NULL (b), FORCE_NOT_NULL (d))", "1,\"\",2024-01-01\n"),
        ("COPY c FROM STDIN WITH CSV HEADER DELIMITER AS ';' NULL AS '-'", "a;b;d\n1;-;-\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER match)", "a,b,d\n1,x,2024-01-01\n"),
        ("COPY c FROM STDIN WITH (FORMAT csv, HEADER match)", "a,b\n1,x\n"),
        ("COPY c FROM STDIN CSV", "1,\"open\n"),
        ("COPY c FROM STDIN CSV", "1,a\"b\"c,2024-01-01\n"),
        ("COPY c FROM STDIN CSV", "\n"),
    ]);
}

#[test]
fn copy_errors_name_line_and_column() {
    compare_in(&[
        ("COPY c FROM STDIN", "1\ta\t2024-01-01\nx\tb\t2024-01-01\n3\tc\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\t2024-13-01\n"),
        ("COPY c FROM STDIN", "99999999999\ta\t\\N\n"),
        ("COPY c FROM STDIN", "1\ta\n"),
        ("COPY c FROM STDIN", "1\ta\t\\N\textra\n"),
        ("COPY c FROM STDIN CSV", "1,a\n"),
        ("COPY c FROM STDIN CSV", "1,a,2024-01-01,4\n"),
        ("COPY c FROM STDIN CSV HEADER", "a,b,d\n1,x,2024-01-01\n2,y,bad\n"),
        ("COPY k FROM STDIN", "1\ta\n1\tb\n"),
        ("COPY k FROM STDIN", "1\t\\N\n"),
        ("COPY k FROM STDIN", "\\N\ta\n"),
        ("COPY k FROM STDIN", "1\tabcdef\n"),
        ("COPY k (a) FROM STDIN", "1\n"),
        ("COPY c FROM STDIN", "1\ta\\0b\t\\N\n"),
        ("COPY nope FROM STDIN", ""),
        ("COPY c (nope) FROM STDIN", ""),
        ("COPY c (a, a) FROM STDIN", ""),
        ("COPY c FROM STDIN WITH (FORMAT xml)", ""),
        ("COPY c FROM STDIN WITH (NOPE 1)", ""),
        ("COPY c FROM STDIN WITH (DELIMITER 'ab')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, QUOTE 'xy')", ""),
        ("COPY c FROM STDIN WITH (QUOTE '\"')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, DELIMITER '\"')", ""),
        ("COPY c FROM STDIN WITH (FORMAT csv, FORMAT text)", ""),
        ("COPY c FROM STDIN WITH (DELIMITER E'\\n')", ""),
        ("COPY (SELECT 1) FROM STDIN", ""),
        ("COPY ty FROM STDIN", "1\tx\t1\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tmaybe\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1234567.1\t\\N\t\\N\tt\t\\N\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t{bad\t\\N\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t1\tnot-a-uuid\t\\N\n"),
        ("COPY ty FROM STDIN", "1\t1\t1\t\\N\t\\N\tt\t1\t\\N\t{1,2\n"),
    ]);
}

#[test]
fn line_ends() {
    compare_in(&[
        ("COPY c (a, b) FROM STDIN", "1\ta\r2\tb\r"),
        ("COPY c (a, b) FROM STDIN", "1\ta\r\n2\tb\n"),
        ("COPY c (a, b) FROM STDIN", "1\ta\r\n2\tb\rc\r\n"),
        ("COPY c (a, b) FROM STDIN", "1\ta\n2\tb\r\n"),
        ("COPY c (a, b) FROM STDIN", "1\ta\r2\tb\n"),
        ("COPY c (a, b) FROM STDIN", "1\ta\r"),
        ("COPY c (a, b) FROM STDIN", "1\ta\r\n2\tb\r"),
        ("COPY c (a, b) FROM STDIN", "1\ta\\\nb\n2\t\\\r\n"),
        ("COPY c (a, b) FROM STDIN", "1\ta\\"),
        ("COPY c (a, b) FROM STDIN", "1\ta\\\n"),
        ("COPY c (b) FROM STDIN", "\n\n\nx"),
        ("COPY c (a, b) FROM STDIN CSV", "1,a\r\n2,b\n"),
        ("COPY c (a, b) FROM STDIN CSV", "1,a\n2,b\r\n"),
        ("COPY c (a, b) FROM STDIN CSV", "1,a\n2,\"b\r\n\"\nx,y\n"),
        ("COPY c (a, b) FROM STDIN CSV", "1,\"a\nb\"\n2,\"\n\n\"\nx,y\n"),
        ("COPY c (a, b) FROM STDIN CSV", "1,\"a\r\nb\"\r\n2,\"\r\n\r\n\"\r\nx,y\r\n"),
        ("COPY c (a, b) FROM STDIN CSV", "1,\"a\n\nb\n2,c\n"),
        ("COPY c (b) FROM STDIN CSV", "a\n\n\"\"\n"),
    ]);
}

#[test]
fn end_markers() {
    compare_in(&[
        ("COPY c (a) FROM STDIN", "1\n\\.\n2\n"),
        ("COPY c (a) FROM STDIN", "1\n\\."),
        ("COPY c (a) FROM STDIN", "1\n\\.x\n"),
        ("COPY c (a) FROM STDIN", "1\n2\\.\n3\n"),
        ("COPY c (a) FROM STDIN", "1\r\n\\.\n"),
        ("COPY c (a) FROM STDIN", "1\r\n\\.\r\n2\r\n"),
        ("COPY c (a) FROM STDIN", "1\r\n\\.\rx"),
        ("COPY c (a) FROM STDIN", "1\n\\.\r\n"),
        ("COPY c (a) FROM STDIN", "1\r\\.\n"),
        ("COPY c (a) FROM STDIN", "\\.\r\nx"),
        ("COPY c (b) FROM STDIN", "\\\\.\n"),
        ("COPY c (b) FROM STDIN CSV", "a\n\\.\nb\n"),
        ("COPY c (b) FROM STDIN CSV", "a\n\\."),
        ("COPY c (b) FROM STDIN CSV", "a\n\\.b\nc\n"),
        ("COPY c (b) FROM STDIN CSV", "a\r\n\\.\nc\r\n"),
        ("COPY c (b) FROM STDIN CSV", "a\n\\.\r\nc\n"),
        ("COPY c (b) FROM STDIN CSV", "a\nx\\.\nc\n"),
        ("COPY c (b) FROM STDIN CSV", "a\n\"\\.\"\nc\n"),
    ]);
}

#[test]
fn encodings() {
    compare_in(&[
        ("COPY c (b) FROM STDIN", b"ok\nb\xff\n".as_slice()),
        ("COPY c (b) FROM STDIN", b"ok\nb\xc3(\nrest\n"),
        ("COPY c (b) FROM STDIN", b"ok\nb\xe2\x82"),
        ("COPY c (b) FROM STDIN", b"a\0b\n"),
        ("COPY c (b) FROM STDIN", b"a\\xe2\\x82\\xac\n"),
        ("COPY c (b) FROM STDIN", b"ok\na\\xe2\\x82\n"),
        ("COPY c (b) FROM STDIN", b"a\\000\n"),
        ("COPY c (b) FROM STDIN", b"\\xffx\\.\n"),
        ("COPY c (a) FROM STDIN", b"x\n\xff\n"),
        ("COPY c (b) FROM STDIN", b"ok\n\\.\n\xff\xff\n"),
        ("COPY c (b) FROM STDIN CSV", b"ok\n\"b\xff\"\n"),
        ("COPY c (b) FROM STDIN (FORMAT csv, ENCODING 'utf-8')", "zo\u{eb}\n".as_bytes()),
        ("COPY c (b) FROM STDIN ENCODING 'unicode'", "zo\u{eb}\n".as_bytes()),
    ]);
}

#[test]
fn odd_escapes_and_quotes() {
    compare_in(&[
        ("COPY c (b, a) FROM STDIN", "\\N\t\\N\n\\\\N\t1\nN\t2\n\\n\t3\n\\N \t4\n"),
        ("COPY c (b) FROM STDIN", "\\1\\12\\123\\1234\\x\\x4\\x41\\x411\\xg\\q\\\t\n"),
        ("COPY c (b, a) FROM STDIN (DELIMITER '|')", "a\\|b|1\n\\||2\n"),
        ("COPY c (b, a) FROM STDIN (NULL 'x\\y')", "x\\y\t1\n"),
        ("COPY c (b, a) FROM STDIN (NULL '')", "\t1\n\\\t\t2\n"),
        ("COPY c (b, a) FROM STDIN CSV", "a \"b\" c,1\n\"a\"\"b\",2\n\"\"\"\",3\n\"a\"b,4\n"),
        ("COPY c (b, a) FROM STDIN CSV QUOTE '''' ESCAPE '\\'", "'a\\'b',1\n'a\\\\',2\n'a\\b',3\n'a''b',4\na\\b,5\n"),
        ("COPY c (b, a) FROM STDIN CSV ESCAPE '\\'", "\"a\\"),
        ("COPY c (b, a) FROM STDIN CSV ESCAPE '\\'", "\"a\\\"\n,1\n\",1\n"),
        ("COPY c (b, a) FROM STDIN CSV NULL 'NULL'", "NULL,1\n\"NULL\",2\n,3\n\"NUL\"L,4\n"),
        ("COPY c (b, a) FROM STDIN CSV FORCE NULL b FORCE NOT NULL a", "\"\",1\n"),
        ("COPY c (b, a) FROM STDIN CSV FORCE NOT NULL a, b", ",\n"),
        ("COPY c (b, a) FROM STDIN CSV NULL 'x' FORCE NULL a, b", "\"x\",\"x\"\nx,x\n"),
        ("COPY c (b, a) FROM STDIN CSV", "a,1,\n"),
        ("COPY c (b, a) FROM STDIN CSV", "a\n"),
    ]);
}

#[test]
fn first_fault_wins() {
    let long = "x".repeat(150);
    let wide = "\u{20ac}".repeat(40);
    let many = |n: usize, bad: &str| {
        let rows: String = (0..n).map(|i| format!("{i}\tv\n")).collect();
        format!("{rows}0\tdup\n{bad}")
    };
    compare_in(&[
        ("COPY k FROM STDIN", "1\ta\n2\t\\N\nx\ty\n".to_owned()),
        ("COPY k FROM STDIN", "1\ta\n1\tb\nx\ty\n".to_owned()),
        ("COPY k FROM STDIN", "1\ta\n1\tb\n3\t\\N\n".to_owned()),
        ("COPY k FROM STDIN", "x\n".to_owned()),
        ("COPY k FROM STDIN", "1\ttoolong\t3\n".to_owned()),
        ("COPY k FROM STDIN", many(998, "x\ty\n")),
        ("COPY k FROM STDIN", many(999, "x\ty\n")),
        ("COPY k FROM STDIN", many(1500, "x\ty\n")),
        ("COPY c (a) FROM STDIN", format!("{long}\n")),
        ("COPY c (a) FROM STDIN", format!("{wide}\n")),
        ("COPY c (a) FROM STDIN", format!("1\t{long}\n")),
        ("COPY c (a) FROM STDIN CSV", format!("1,\"{wide}\n{long}\"\n")),
    ]);
}

#[test]
fn headers() {
    compare_in(&[
        ("COPY c (a, b) FROM STDIN (HEADER match)", "a\tb\n1\tx\n"),
        ("COPY c (a, b) FROM STDIN (HEADER match)", "a\t\\N\n1\tx\n"),
        ("COPY c (a, b) FROM STDIN (HEADER match)", "a\n1\tx\n"),
        ("COPY c (a, b) FROM STDIN (HEADER match)", "a\tb\tc\n"),
        ("COPY c (a, b) FROM STDIN (HEADER match)", "A\tb\n"),
        ("COPY c (a, b) FROM STDIN (HEADER match)", ""),
        ("COPY c (a, b) FROM STDIN (HEADER match)", "a\tb"),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER match)", "a,\n1,x\n"),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER match)", "\"a\",\"b\"\n1,x\n"),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER)", ""),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER)", "\"any\nthing\n1,x\n"),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER 0)", "1,x\n"),
        ("COPY c (a, b) FROM STDIN (FORMAT csv, HEADER)", "a,b\n\\.\n1,x\n"),
    ]);
}

#[test]
fn where_clause() {
    compare_in(&[
        ("COPY c FROM STDIN WHERE a > 1", "1\ta\t\\N\n2\tb\t\\N\n\\N\tc\t\\N\n3\td\t\\N\n"),
        ("COPY c FROM STDIN CSV WHERE b LIKE 'x%' AND c.a IS NOT NULL", "1,xa,\n2,b,\n,xc,\n3,xd,\n"),
        ("COPY c (a) FROM STDIN WHERE d = '2020-01-02'", "1\n2\n"),
        ("COPY c (a) FROM STDIN WHERE d > '2020-01-02'", "1\n2\n"),
        ("COPY c (a) FROM STDIN WHERE 10 / a > 1", "1\n2\n0\n3\n"),
        ("COPY c (a) FROM STDIN WHERE 10 / a > 1", "1\n0\nx\n"),
        ("COPY c (a) FROM STDIN WHERE false", "1\nx\n"),
        ("COPY k FROM STDIN WHERE b <> 'no'", "1\tyes\n1\tno\n"),
        ("COPY k FROM STDIN WHERE b IS NOT NULL", "1\tyes\n2\t\\N\n"),
        ("COPY c FROM STDIN WHERE nope = 1", ""),
        ("COPY c FROM STDIN WHERE a", ""),
        ("COPY c FROM STDIN WHERE k.a = 1", ""),
        ("COPY c FROM STDIN WHERE a IN (SELECT 1)", ""),
        ("COPY c FROM STDIN WHERE EXISTS (SELECT 1)", ""),
        ("COPY c FROM STDIN WHERE a = (SELECT 1)", ""),
        ("COPY c FROM STDIN WHERE a = ANY (SELECT 1)", ""),
        ("COPY c FROM STDIN WHERE a = ANY (ARRAY(SELECT 1))", ""),
        ("COPY c FROM STDIN WHERE sum(a) > 1", ""),
        ("COPY c FROM STDIN WHERE row_number() OVER () > 1", ""),
        ("COPY c FROM STDIN WHERE generate_series(1, 2) > 1", ""),
        ("COPY c FROM STDIN WHERE a = $1", ""),
        ("COPY c FROM STDIN WHERE", ""),
        ("COPY c FROM STDIN WHERE a >", ""),
        ("COPY c FROM STDIN WHERE a > 1 CSV", ""),
        ("COPY c TO STDOUT WHERE a > 1", ""),
    ]);
}
