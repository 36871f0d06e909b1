//! CREATE, DROP, TRUNCATE, schemas, databases, inside and outside of transactions.

use heddle_sql_tests::{Outcome, Server, table};

fn form(outcome: &Outcome) -> String {
    let notices: String = outcome.notices.iter().map(|n| format!(" {{{} {}}}", n.severity, n.short())).collect();
    match &outcome.error {
        Some(e) => format!("ERROR {} [{}]{notices}", e.full(), char::from(outcome.status)),
        None => format!("{} [{}]{notices}", outcome.short(), char::from(outcome.status)),
    }
}

#[test]
fn tables() {
    table::compare(
        "",
        "CREATE TABLE t (a int PRIMARY KEY, b text NOT NULL DEFAULT 'none', c numeric(6,2) UNIQUE)
        CREATE TABLE t (a int)
        CREATE TABLE IF NOT EXISTS t (a int)
        INSERT INTO t (a) VALUES (1)
        INSERT INTO t VALUES (2, DEFAULT, 1.005), (3, 'x', 1.0)
        INSERT INTO t VALUES (4, 'y', 1.00)
        INSERT INTO t VALUES (1, 'z')
        INSERT INTO t VALUES (5, NULL)
        INSERT INTO t VALUES (NULL, 'x')
        INSERT INTO t DEFAULT VALUES
        SELECT * FROM t ORDER BY a
        CREATE TABLE nokey (a int, b text)
        INSERT INTO nokey VALUES (1, 'x'), (1, 'x'), (NULL, NULL)
        SELECT * FROM nokey ORDER BY a
        DELETE FROM nokey WHERE a = 1
        CREATE TABLE two (a int, b text, PRIMARY KEY (a, b), UNIQUE (b))
        INSERT INTO two VALUES (1, 'x'), (1, 'y')
        INSERT INTO two VALUES (1, 'x')
        INSERT INTO two VALUES (2, 'x')
        INSERT INTO two (a) VALUES (3)
        CREATE TABLE named (a int CONSTRAINT mykey PRIMARY KEY, b int CONSTRAINT myuniq UNIQUE)
        INSERT INTO named VALUES (1, 1)
        INSERT INTO named VALUES (1, 2)
        INSERT INTO named VALUES (2, 1)
        CREATE TABLE nulls (a int UNIQUE)
        INSERT INTO nulls VALUES (NULL), (NULL), (1)
        CREATE TABLE d (a int DEFAULT 1 + 1, b timestamptz DEFAULT now(), c text DEFAULT upper('x'), e int[] DEFAULT '{1,2}')
        INSERT INTO d DEFAULT VALUES
        SELECT a, b IS NOT NULL, c, e FROM d
        CREATE TABLE e ()
        SELECT * FROM e
        CREATE TABLE bad (a int, a text)
        CREATE TABLE bad (a nope)
        CREATE TABLE bad (a int PRIMARY KEY, b int PRIMARY KEY)
        CREATE TABLE bad (a int, PRIMARY KEY (b))
        CREATE TABLE bad (a int, UNIQUE (a, a))
        CREATE TABLE bad (a int DEFAULT 'x')
        CREATE TABLE bad (a varchar(0))
        CREATE TABLE bad (a numeric(2000))
        CREATE TABLE bad (a int DEFAULT b, b int)
        CREATE TABLE bad (a int DEFAULT (SELECT 1))
        CREATE TABLE bad (a int NULL NOT NULL)
        CREATE TABLE s.bad (a int)
        CREATE TABLE bad (
        CREATE TABLE bad (a char, b char(3), c varchar, d numeric, e numeric(5), f timestamp(3), g text[], h int[][])
        INSERT INTO bad VALUES ('x', 'a', 'long', 1.50, 12345.6, '2024-01-01 00:00:00.123456', '{a,b}', '{{1,2},{3,4}}')
        SELECT * FROM bad
        INSERT INTO bad (a) VALUES ('xy')
        INSERT INTO bad (b) VALUES ('abcd')
        INSERT INTO bad (b) VALUES ('abc   ')
        INSERT INTO bad (e) VALUES (123456)
        DROP TABLE nope
        DROP TABLE IF EXISTS nope, nope2
        DROP TABLE t, two
        SELECT * FROM t
        DROP TABLE named, nope
        SELECT count(*) FROM named
        DROP TABLE pg_class
        CREATE TABLE \"Mixed Case\" (\"A b\" int, \"select\" int)
        INSERT INTO \"Mixed Case\" VALUES (1, 2)
        SELECT \"A b\", \"select\" FROM \"Mixed Case\"
        SELECT * FROM mixed_case
        CREATE TABLE a23456789012345678901234567890123456789012345678901234567890123456789 (a int)
        DROP TABLE a23456789012345678901234567890123456789012345678901234567890123456789",
        form,
    );
}

#[test]
fn schemas_and_search_path() {
    table::compare(
        "",
        "CREATE SCHEMA s
        CREATE SCHEMA s
        CREATE SCHEMA IF NOT EXISTS s
        CREATE TABLE s.t (a int)
        CREATE TABLE t (a text)
        INSERT INTO s.t VALUES (1)
        INSERT INTO t VALUES ('public')
        SELECT * FROM t
        SET search_path = s, public
        SELECT * FROM t
        SELECT * FROM public.t
        SELECT current_schema()
        CREATE TABLE u (a int)
        DROP TABLE s.u
        SET search_path = nope
        SELECT * FROM t
        CREATE TABLE u (a int)
        SELECT current_schema()
        RESET search_path
        DROP SCHEMA s
        DROP SCHEMA s CASCADE
        SELECT * FROM s.t
        DROP SCHEMA s
        DROP SCHEMA IF EXISTS s
        SELECT * FROM nope.t
        SELECT * FROM other.public.t
        SELECT * FROM postgres.public.t
        CREATE SCHEMA pg_mine
        BEGIN
        CREATE SCHEMA x
        CREATE TABLE x.y (a int)
        INSERT INTO x.y VALUES (1)
        SELECT * FROM x.y
        ROLLBACK
        SELECT * FROM x.y",
        form,
    );
}

#[test]
fn ddl_in_transactions() {
    table::compare(
        "CREATE TABLE keep (a int PRIMARY KEY, b text); INSERT INTO keep VALUES (1, 'one'), (2, 'two')",
        "BEGIN
        CREATE TABLE t (a int PRIMARY KEY)
        INSERT INTO t VALUES (1)
        SELECT * FROM t
        ROLLBACK
        SELECT * FROM t
        BEGIN
        DROP TABLE keep
        CREATE TABLE keep (x text)
        INSERT INTO keep VALUES ('new')
        SELECT * FROM keep
        ROLLBACK
        SELECT * FROM keep ORDER BY a
        BEGIN
        SAVEPOINT a
        CREATE TABLE s1 (a int)
        ROLLBACK TO a
        SELECT * FROM s1
        ROLLBACK
        BEGIN
        SAVEPOINT a
        CREATE TABLE s1 (a int)
        INSERT INTO s1 VALUES (1)
        RELEASE a
        COMMIT
        SELECT * FROM s1
        BEGIN
        TRUNCATE keep
        SELECT count(*) FROM keep
        INSERT INTO keep VALUES (1, 'again')
        SELECT * FROM keep
        ROLLBACK
        SELECT * FROM keep ORDER BY a
        TRUNCATE keep, s1
        SELECT count(*) FROM keep
        INSERT INTO keep VALUES (1, 'back')
        SELECT * FROM keep
        TRUNCATE nope
        TRUNCATE TABLE ONLY keep RESTART IDENTITY
        BEGIN
        DROP TABLE s1
        COMMIT
        SELECT * FROM s1
        BEGIN
        INSERT INTO keep VALUES (7, 'before')
        TRUNCATE keep
        INSERT INTO keep VALUES (7, 'after')
        SAVEPOINT a
        TRUNCATE keep
        ROLLBACK TO a
        COMMIT
        SELECT * FROM keep",
        form,
    );
}

#[test]
fn databases() {
    let server = Server::start();
    let mut conn = server.connect();
    conn.run("CREATE DATABASE one");
    assert_eq!(conn.query("CREATE DATABASE one").short(), "ERROR 42P04 database \"one\" already exists");
    conn.run("BEGIN");
    let outcome = conn.query("CREATE DATABASE two");
    assert_eq!(outcome.short(), "ERROR 25001 CREATE DATABASE cannot run inside a transaction block");
    conn.run("ROLLBACK");
    assert_eq!(conn.fails("BEGIN; DROP DATABASE one"), "25001");
    conn.run("ROLLBACK");
    conn.run("CREATE TABLE only_here (a int)");
    let mut inside = server.try_connect("one").expect("the database exists");
    assert_eq!(inside.fails("SELECT * FROM only_here"), "42P01");
    inside.run("CREATE TABLE only_here (b text); INSERT INTO only_here VALUES ('one')");
    assert_eq!(inside.value("SELECT b FROM only_here"), "one");
    assert_eq!(inside.value("SELECT current_database()"), "one");
    assert_eq!(conn.value("SELECT count(*) FROM only_here"), "0");
    assert_eq!(conn.query("DROP DATABASE one").code(), "55006");
    assert_eq!(inside.query("DROP DATABASE one").short(), "ERROR 55006 cannot drop the currently open database");
    assert_eq!(conn.fails("DROP DATABASE nope"), "3D000");
    let notice = conn.run("DROP DATABASE IF EXISTS nope").notices;
    assert_eq!(notice[0].message, "database \"nope\" does not exist, skipping");
    drop(inside);
    // The session's end takes a moment to be seen.
    let gone = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        conn.query("DROP DATABASE one").code() == "ok"
    });
    assert!(gone, "{}", conn.query("DROP DATABASE one").short());
    assert!(server.try_connect("one").is_err());
}

#[test]
fn schema_survives_kill() {
    let mut server = Server::start();
    let mut conn = server.connect();
    conn.run("CREATE DATABASE other");
    conn.run("CREATE SCHEMA s; CREATE TABLE s.t (a int PRIMARY KEY, b text UNIQUE DEFAULT 'd'); INSERT INTO s.t VALUES (1, DEFAULT), (2, 'x')");
    conn.fails("INSERT INTO s.t VALUES (1)");
    conn.run("CREATE TABLE gone (a int); INSERT INTO gone VALUES (1); DROP TABLE gone");
    conn.run("CREATE TABLE cut (a int); INSERT INTO cut VALUES (1), (2); TRUNCATE cut; INSERT INTO cut VALUES (3)");
    conn.run("BEGIN; CREATE TABLE unfinished (a int); INSERT INTO s.t VALUES (3, 'unfinished')");
    for checkpoint in [false, true, true] {
        if checkpoint {
            server.connect().run("CHECKPOINT");
        }
        server.kill();
        server.restart();
        let mut conn = server.connect();
        assert_eq!(conn.run("SELECT * FROM s.t ORDER BY a").short(), "(1,d) (2,x) SELECT 2");
        assert_eq!(conn.fails("SELECT * FROM gone"), "42P01");
        assert_eq!(conn.fails("SELECT * FROM unfinished"), "42P01");
        assert_eq!(conn.run("SELECT * FROM cut").short(), "(3) SELECT 1");
        let duplicate = conn.query("INSERT INTO s.t VALUES (9, 'x')").error.expect("a duplicate").full();
        assert_eq!(
            duplicate,
            "23505 duplicate key value violates unique constraint \"t_b_key\" | detail: Key (b)=(x) already exists. \
             | s=s t=t n=t_b_key"
        );
        assert!(server.try_connect("other").is_ok());
    }
}
