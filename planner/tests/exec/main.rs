//! Statements against a real data folder.

mod harness;

use harness::{Db, block_on, error_text};
use heddle_txn::Isolation;
use heddle_types::Datum;
use std::sync::Arc;

const SETUP: &str = "
    create table t (id int primary key, name text, price numeric(10,2), n int);
    insert into t values (1, 'one', 1.50, 10), (2, 'two', 2.5, 20), (3, 'three', null, 10), (4, null, 1.5, null);
    create table u (id int, t_id int, v text);
    insert into u values (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, null, 'd'), (5, 9, 'e');
";

async fn db() -> Db {
    let db = Db::open();
    db.setup(SETUP).await;
    db
}

#[test]
fn selects() {
    block_on(async {
        let db = db().await;
        db.check("select 1, 'x', null::int, 1.5 + 1", "1|x|∅|2.5").await;
        db.check("select * from t where id = 2", "2|two|2.50|20").await;
        db.check("select name from t where id = 7", "").await;
        db.check("select id from t order by id desc", "4\n3\n2\n1").await;
        db.check("select id from t where n = 10 order by id", "1\n3").await;
        db.check("select id, price from t where price = 1.5 order by 1", "1|1.50\n4|1.50").await;
        db.check("select id from t where id in (1, 3) order by id", "1\n3").await;
        db.check("select id from t where id between 2 and 3 order by id", "2\n3").await;
        db.check("select count(*), count(n), sum(n), max(price) from t", "4|3|40|2.50").await;
        db.check("select n, count(*) from t group by n order by n", "10|2\n20|1\n∅|1").await;
        db.check("select price, count(*) from t group by price order by price", "1.50|2\n2.50|1\n∅|1").await;
        db.check("select distinct price from t order by 1 desc", "∅\n2.50\n1.50").await;
        db.check("select id from t order by price nulls first, id limit 2 offset 1", "1\n4").await;
        db.check("select id from t where n <> 0 and 100 / n > 5 order by id", "1\n3").await;
        db.check("values (1, 'a'), (2, 'b')", "1|a\n2|b").await;
        db.check("select id from t limit -1", "2201W: LIMIT must not be negative").await;
        db.check("select 1 / 0", "22012: division by zero").await;
        db.check("select case when id = 1 then 0 else 10 / (id - 1) end from t order by id", "0\n10\n5\n3").await;
    });
}

#[test]
fn joins_and_set_operations() {
    block_on(async {
        let db = db().await;
        db.check("select t.id, u.v from t join u on u.t_id = t.id order by 1, 2", "1|a\n1|b\n2|c").await;
        db.check("select t.id, u.v from t left join u on u.t_id = t.id order by 1, 2", "1|a\n1|b\n2|c\n3|∅\n4|∅").await;
        db.check("select u.v, t.id from t right join u on u.t_id = t.id order by 1", "a|1\nb|1\nc|2\nd|∅\ne|∅").await;
        db.check("select count(*) from t full join u on u.t_id = t.id", "7").await;
        db.check("select count(*) from t, u", "20").await;
        db.check("select a.id, b.id from t a join t b on a.price = b.price and a.id < b.id", "1|4").await;
        db.check("select 1 union select 1 union all select 2 order by 1", "1\n2").await;
        db.check("select n from t union select 1 order by 1", "1\n10\n20\n∅").await;
        db.check("select n from t intersect select 10", "10").await;
        db.check("select n from t except select 10 order by 1", "20\n∅").await;
        db.check("select n from t except all select 10 order by 1", "10\n20\n∅").await;
        db.check("select id, x from t, lateral (select v as x from u where u.t_id = t.id order by v desc limit 1) s order by id", "1|b\n2|c").await;
        db.check("select id, x from t left join lateral (select v as x from u where u.t_id = t.id order by v limit 1) s on true order by id", "1|a\n2|c\n3|∅\n4|∅").await;
    });
}

#[test]
fn sub_queries() {
    block_on(async {
        let db = db().await;
        db.check("select id from t where exists (select 1 from u where u.t_id = t.id) order by id", "1\n2").await;
        db.check("select id from t where not exists (select 1 from u where u.t_id = t.id) order by id", "3\n4").await;
        db.check("select id from t where id in (select t_id from u) order by id", "1\n2").await;
        db.check("select id from t where id not in (select t_id from u) order by id", "").await;
        db.check("select id from t where id not in (select t_id from u where t_id is not null) order by id", "3\n4")
            .await;
        db.check("select id, id in (select t_id from u) from t order by id", "1|t\n2|t\n3|∅\n4|∅").await;
        db.check("select id, (select count(*) from u where u.t_id = t.id) from t order by id", "1|2\n2|1\n3|0\n4|0")
            .await;
        db.check("select id, (select max(v) from u where u.t_id = t.id) from t order by id", "1|b\n2|c\n3|∅\n4|∅")
            .await;
        db.check(
            "select id, (select v from u where u.t_id = t.id and u.v > 'a') from t order by id",
            "1|b\n2|c\n3|∅\n4|∅",
        )
        .await;
        db.check("select (select id from t)", "21000: more than one row returned by a subquery used as an expression")
            .await;
        db.check("select id from t where price = (select max(price) from t)", "2").await;
        db.check("select id from t where n > all (select 15) order by id", "2").await;
        db.check("select id from t where n < any (select u.id * 5 from u where u.t_id = t.id) order by id", "").await;
        db.check(
            "select id, array(select v from u where u.t_id = t.id order by v desc) from t order by id",
            "1|{b,a}\n2|{c}\n3|{}\n4|{}",
        )
        .await;
        db.check("select id, exists (select 1 from u where u.t_id = t.id and u.v = (select max(v) from u x where x.t_id = t.id)) from t order by id", "1|t\n2|t\n3|f\n4|f").await;
        db.check("select (select (select t.id + u.id from u where u.id = 1)) from t order by 1", "2\n3\n4\n5").await;
    });
}

#[test]
fn ctes_windows_sets() {
    block_on(async {
        let db = db().await;
        db.check(
            "with a as (select id from t where id < 3) select x.id, y.id from a x, a y order by 1, 2",
            "1|1\n1|2\n2|1\n2|2",
        )
        .await;
        db.check(
            "with recursive r(i) as (select 1 union all select i + 1 from r where i < 5) select sum(i) from r",
            "15",
        )
        .await;
        db.check(
            "with recursive r(i) as (select 1 union select i % 3 + 1 from r) select i from r order by i",
            "1\n2\n3",
        )
        .await;
        db.check("with recursive r(i) as (select 1 union all select i + 1 from r) select i from r limit 3", "1\n2\n3")
            .await;
        db.check("select generate_series(1, 3)", "1\n2\n3").await;
        db.check("select * from generate_series(1, 3) with ordinality as g(a, b)", "1|1\n2|2\n3|3").await;
        db.check("select t.id, g from t, generate_series(1, t.id) g where t.id < 3 order by 1, 2", "1|1\n2|1\n2|2")
            .await;
        db.check("select distinct on (n) n, id from t order by n, id desc", "10|3\n20|2\n∅|4").await;
        db.check("select n, count(*) from t group by rollup (n) order by 1, 2", "10|2\n20|1\n∅|1\n∅|4").await;
        db.check(
            "select n, grouping(n), count(*) from t group by grouping sets ((n), ()) order by 2, 1",
            "10|0|2\n20|0|1\n∅|0|1\n∅|1|4",
        )
        .await;
        db.check("select id from t order by n fetch first 1 rows with ties", "1\n3").await;
        db.check(
            "select string_agg(name, ',' order by id desc), array_agg(distinct n) from t",
            "three,two,one|{10,20,NULL}",
        )
        .await;
        db.check("select array_agg(id) from (select id from t order by id desc) s", "{4,3,2,1}").await;
        db.check("select n, count(*) filter (where id > 1) from t group by n having count(*) > 1", "10|1").await;
        db.check("select count(distinct price) from t", "2").await;
        db.check("select count(*) from generate_series(1, 100000)", "100000").await;
    });
}

#[test]
fn windows() {
    block_on(async {
        let db = db().await;
        db.check("select id, sum(n) over (order by id) from t order by id", "1|10\n2|30\n3|40\n4|40").await;
        db.check(
            "select id, sum(n) over (order by id rows between 1 preceding and current row) from t order by id",
            "1|10\n2|30\n3|30\n4|10",
        )
        .await;
        db.check(
            "select id, sum(id) over (order by id range between 1 preceding and 1 following) from t order by id",
            "1|3\n2|6\n3|9\n4|7",
        )
        .await;
        db.check("select id, count(*) over () from t order by id limit 1", "1|4").await;
        db.check(
            "select id, avg(price) over (partition by n) from t order by id",
            "1|1.50000000000000000000\n2|2.5000000000000000\n3|1.50000000000000000000\n4|1.50000000000000000000",
        )
        .await;
        db.check("select id, row_number() over (order by id desc) from t order by id", "1|4\n2|3\n3|2\n4|1").await;
        db.check(
            "select id, rank() over (partition by n order by price) from t where n is not null order by id",
            "1|1\n2|1\n3|2",
        )
        .await;
    });
}

#[test]
fn inserts() {
    block_on(async {
        let db = db().await;
        db.check(
            "insert into t values (1, 'x', 1, 1)",
            "23505: duplicate key value violates unique constraint \"t_pkey\" / Key (id)=(1) already exists.",
        )
        .await;
        db.check("insert into t values (null, 'x', 1, 1)", "23502: null value in column \"id\" of relation \"t\" violates not-null constraint / Failing row contains (null, x, 1.00, 1).").await;
        db.check("insert into t (id, name) values (5, 'five') returning id, price, name", "5|∅|five").await;
        db.check("insert into t select id + 10, name from t where id < 3 returning id", "11\n12").await;
        db.check("insert into t values (5, 'FIVE') on conflict do nothing", "#0").await;
        db.check("insert into t values (5, 'FIVE'), (6, 'six') on conflict (id) do update set name = excluded.name || t.name returning *", "5|FIVEfive|∅|∅\n6|six|∅|∅").await;
        db.check(
            "insert into t values (7, 'a'), (7, 'b') on conflict (id) do update set name = 'z'",
            "21000: ON CONFLICT DO UPDATE command cannot affect row a second time",
        )
        .await;
        db.check("select count(*) from t", "8").await;
        db.setup("create table k (a int default 3 + 4, b text unique, primary key (a));\n").await;
        db.check("insert into k default values returning a, b", "7|∅").await;
        db.check("insert into k values (1, 'x'), (2, null), (3, null)", "#3").await;
        db.check(
            "insert into k values (4, 'x')",
            "23505: duplicate key value violates unique constraint \"k_b_key\" / Key (b)=(x) already exists.",
        )
        .await;
        db.check("select a from k where b = 'x'", "1").await;
        let plan = "Index Scan using k_b_key on k\nIndex Cond: (b = 'x'::text)\nExecution: point plan";
        db.check("explain select a from k where b = 'x'", plan).await;
        db.check("update k set b = 'y' where a = 1", "#1").await;
        db.check("select a from k where b = 'x'", "").await;
        db.check("insert into k values (4, 'x')", "#1").await;
        db.check("delete from k where b = 'y' returning a", "1").await;
        db.check("insert into k values (1, 'y') returning a", "1").await;
    });
}

#[test]
fn updates_and_deletes() {
    block_on(async {
        let db = db().await;
        db.check("update t set n = n + 1 where id = 1 returning n", "11").await;
        db.check("update t set n = 0", "#4").await;
        db.check("update t set id = id + 100 where id < 3 returning id", "101\n102").await;
        db.check("select id from t order by id", "3\n4\n101\n102").await;
        db.check("update t set name = u.v from u where u.id = t.id and t.id = 3 returning t.id, u.v, name", "3|c|c")
            .await;
        db.check("update t set n = (select max(id) from u) where id = 3 returning n", "5").await;
        db.check("delete from t using u where u.id = t.id", "#2").await;
        db.check("delete from u where t_id in (select 1)", "#2").await;
        db.check("delete from t", "#2").await;
        db.check("select count(*) from t", "0").await;
        db.setup("insert into t select g, 'n' || g from generate_series(1, 3000) g;\n").await;
        db.check("select count(*), sum(id) from t", "3000|4501500").await;
        db.check(
            "update t set id = id + 1",
            "23505: duplicate key value violates unique constraint \"t_pkey\" / Key (id)=(2) already exists.",
        )
        .await;
        db.check("select count(*), min(id) from t where id > 2990", "10|2991").await;
    });
}

#[test]
fn ddl() {
    block_on(async {
        let db = db().await;
        db.check("create table t (a int)", "42P07: relation \"t\" already exists").await;
        db.check("create table if not exists t (a int)", "").await;
        assert_eq!(db.notices.lock().last().unwrap(), "relation \"t\" already exists, skipping");
        db.check("create table c as select id, name from t where id < 3", "#2").await;
        db.check("select * from c order by id", "1|one\n2|two").await;
        db.check("truncate c", "").await;
        db.check("select count(*) from c", "0").await;
        db.check("drop table c", "").await;
        db.check("create schema s", "").await;
        db.check("create table s.x (a int primary key)", "").await;
        db.check(
            "drop schema s",
            "2BP01: cannot drop schema s because other objects depend on it / table s.x depends on schema s",
        )
        .await;
        db.check("drop schema s cascade", "").await;
        assert_eq!(db.notices.lock().last().unwrap(), "drop cascades to table s.x");
        db.check("create database d", "").await;
        db.check("create database d", "42P04: database \"d\" already exists").await;
        db.check("drop database d", "").await;
        db.check("drop database d", "3D000: database \"d\" does not exist").await;
    });
}

#[test]
fn explain_shapes() {
    block_on(async {
        let db = db().await;
        let plan = "Index Scan using t_pkey on t\nIndex Cond: (id = 1)\nExecution: point plan";
        db.check("explain select * from t where id = 1", plan).await;
        let plan = db.rows("explain select * from t where id > 1 and id < 3 order by id").await;
        assert!(plan.contains("Index Scan using t_pkey on t"), "{plan}");
        assert!(!plan.contains("Sort"), "{plan}");
        let plan = db.rows("explain select * from t join u on t.id = u.t_id where t.n = 3").await;
        assert!(plan.contains("Hash Join"), "{plan}");
        let plan = db.rows("explain update t set n = 1 where id = 1").await;
        let head = "Update on t\n  ->  Index Scan using t_pkey on t\n        Index Cond: (id = 1)\n";
        assert_eq!(plan, format!("{head}Execution: point plan"));
    });
}

#[test]
fn parameters_and_point_reads() {
    block_on(async {
        let db = db().await;
        let txn = db.begin(Isolation::ReadCommitted);
        let rows = db.run(&txn, "select name from t where id = $1", vec![Datum::Int4(2)]).await.unwrap();
        assert_eq!(rows, ["two"]);
        let rows = db.run(&txn, "select id from t where n = $1 order by 1", vec![Datum::Int4(10)]).await.unwrap();
        assert_eq!(rows, ["1", "3"]);
        let rows = db.run(&txn, "select id from t where id = any($1)", vec![ints(&[1, 4])]).await.unwrap();
        assert_eq!(rows, ["1", "4"]);
    });
}

fn ints(v: &[i32]) -> Datum {
    let elements = v.iter().map(|i| Datum::Int4(*i)).collect();
    Datum::Array(Arc::new(heddle_types::PgArray::from_vec(heddle_types::oid::INT4, elements)))
}

#[test]
fn read_committed_rechecks_changed_rows() {
    block_on(async {
        let db = Arc::new(db().await);
        let a = db.begin(Isolation::ReadCommitted);
        db.run(&a, "update t set n = 99 where id = 1", vec![]).await.unwrap();
        let b = db.begin(Isolation::ReadCommitted);
        let waiting = db.run(&b, "update t set n = n + 1 where n = 10 returning id, n", vec![]);
        let commit = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            a.commit().await.unwrap();
        };
        let (rows, ()) = tokio::join!(waiting, commit);
        assert_eq!(rows.unwrap(), ["3|11"]);
        b.commit().await.unwrap();
    });
}

#[test]
fn repeatable_read_refuses_changed_rows() {
    block_on(async {
        let db = db().await;
        let b = db.begin(Isolation::RepeatableRead);
        db.run(&b, "select count(*) from t", vec![]).await.unwrap();
        db.check("update t set n = 5 where id = 1", "#1").await;
        let e = db.run(&b, "update t set n = 6 where id = 1", vec![]).await.unwrap_err();
        assert_eq!(error_text(&e), "40001: could not serialize access due to concurrent update");
    });
}

#[test]
fn row_locks() {
    block_on(async {
        let db = db().await;
        let a = db.begin(Isolation::ReadCommitted);
        let rows = db.run(&a, "select id from t order by id limit 1 for update", vec![]).await.unwrap();
        assert_eq!(rows, ["1"]);
        db.check(
            "select id from t where id = 1 for update nowait",
            "55P03: could not obtain lock on row in relation \"t\"",
        )
        .await;
        db.check("select id from t order by id limit 2 for update skip locked", "2\n3").await;
        a.commit().await.unwrap();
        db.check("select id from t where id = 1 for update nowait", "1").await;
    });
}

#[test]
fn odd_types_and_shapes() {
    block_on(async {
        let db = db().await;
        db.setup("
            create table f (x float8, y numeric, b smallint, c bigint, d text[]);
            insert into f values (0.0, 1, 1, 1, '{a,b}'), ('-0', 1.0, 2, 2, '{a}'), ('NaN', 2, 3, 300, null), ('NaN', null, null, null, '{a,b}');
        ").await;
        db.check("select x, count(*) from f group by x order by x", "0|2\nNaN|2").await;
        db.check("select y, count(*) from f group by y order by y", "1|2\n2|1\n∅|1").await;
        db.check("select d, count(*) from f group by d order by d", "{a}|1\n{a,b}|2\n∅|1").await;
        db.check("select count(*) from f a join f b on a.x = b.x", "8").await;
        db.check("select count(*) from f a join f b on a.b = b.c", "2").await;
        db.check("select count(*) from f where x = 'NaN'", "2").await;
        db.check("select t.id from t join f on f.c = t.id order by 1", "1\n2").await;
        db.check("select id from t where id = 2::bigint", "2").await;
        db.check("select id from t where id = 3000000000", "").await;
        let plan = "Index Scan using t_pkey on t\nIndex Cond: (id = '2'::bigint)\nExecution: point plan";
        db.check("explain select id from t where id = 2::bigint", plan).await;
        db.check("select y from f where y > 1 union select 2 order by 1", "2").await;
        db.check("select distinct d from f where d is not null order by d", "{a}\n{a,b}").await;
        db.check("select b is not distinct from null from f order by b", "f\nf\nf\nt").await;
        db.check("select id from t where (id = 1 or id = 2 or n = 10) and name like 't%' order by id", "2\n3").await;
        db.check("select id from t where row(id, n) in (select 1, 10)", "1").await;
        db.check("select id from t where (id, n) not in (select 1, 10) order by 1", "2\n3\n4").await;
        db.check("select relname from pg_class where relname = 't'", "t").await;
        db.check("select count(*) from (select 1 from t offset 1) s", "3").await;
        db.check("select count(*) from t where false", "0").await;
        db.check("select sum(id) from t where false", "∅").await;
        db.check("select 1 where exists (select 1 from t where id > 3)", "1").await;
        db.check(
            "select (select v from u where id = (select min(id) from u where t_id = t.id)) from t order by id",
            "a\nc\n∅\n∅",
        )
        .await;
        db.check(
            "select t.id, s.c from t, lateral (select count(*) c from u where u.t_id <= t.id) s order by 1",
            "1|2\n2|3\n3|3\n4|3",
        )
        .await;
        db.check("select id, (select count(*) from u where u.id > t.id) from t order by 1", "1|4\n2|3\n3|2\n4|1").await;
        db.check(
            "select coalesce((select v from u where u.t_id = t.id limit 1), '-') from t order by id",
            "a\nc\n-\n-",
        )
        .await;
        db.check("select array_agg(x order by x) from (select distinct n % 3 as x from t) s", "{1,2,NULL}").await;
    });
}

#[test]
fn dml_breadth() {
    block_on(async {
        let db = db().await;
        db.check("insert into u values (9, 9, 'q')", "#1").await;
        db.check("insert into t values (1) on conflict (id) do update set n = (select max(id) from u) where t.n = 10 returning n", "9").await;
        db.check("insert into t values (1) on conflict (id) do update set n = 1 where t.n = 10 returning n", "").await;
        db.check("update u set v = v || '!' where t_id = 1", "#2").await;
        db.check("select v from u where t_id = 1 order by v", "a!\nb!").await;
        db.check(
            "update t set id = 2 where id = 1",
            "23505: duplicate key value violates unique constraint \"t_pkey\" / Key (id)=(2) already exists.",
        )
        .await;
        db.check("update t set id = null where id = 1", "23502: null value in column \"id\" of relation \"t\" violates not-null constraint / Failing row contains (null, one, 1.50, 9).").await;
        db.check("update u set id = 0 from t where t.id < 3 and u.t_id < 5", "#3").await;
        db.check("insert into t select id + 1000 from t", "#4").await;
        db.check("with d as (select 1 as x) select x from d", "1").await;
        db.check("select u.id, t.id from u left join t on t.id = u.t_id and u.v = 'c' where t.id is not null for update of u", "0|2").await;
        let json = db.rows("explain (format json) select * from t where id = 1").await;
        assert!(json.contains(r#""Index Name": "t_pkey""#), "{json}");
        let e = db.txns.begin(Isolation::ReadCommitted, true);
        let e = db.run(&e, "delete from t", vec![]).await.unwrap_err();
        assert_eq!(error_text(&e), "25006: cannot execute DELETE in a read-only transaction");
    });
}

#[test]
fn recheck_with_a_sub_query_and_moved_keys() {
    block_on(async {
        let db = db().await;
        let a = db.begin(Isolation::ReadCommitted);
        db.run(&a, "update t set id = 50, n = 20 where id = 1", vec![]).await.unwrap();
        let b = db.begin(Isolation::ReadCommitted);
        let sql = "update t set n = n + (select min(id) from u) where n in (select 10 union select 20) returning id, n";
        let waiting = db.run(&b, sql, vec![]);
        let commit = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            a.commit().await.unwrap();
        };
        let (rows, ()) = tokio::join!(waiting, commit);
        let mut rows = rows.unwrap();
        rows.sort();
        assert_eq!(rows, ["2|21", "3|11", "50|21"]);
    });
}

#[test]
fn concurrent_inserts_of_one_key_wait() {
    block_on(async {
        let db = db().await;
        for commit in [true, false] {
            let a = db.begin(Isolation::ReadCommitted);
            db.run(&a, "insert into t values (77)", vec![]).await.unwrap();
            let b = db.begin(Isolation::ReadCommitted);
            let waiting = db.run(&b, "insert into t values (77)", vec![]);
            let end = async {
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                match commit {
                    true => drop(a.commit().await.unwrap()),
                    false => a.rollback(),
                }
            };
            let (rows, ()) = tokio::join!(waiting, end);
            assert_eq!(rows.is_err(), commit);
            b.rollback();
            db.setup("delete from t where id = 77;\n").await;
        }
    });
}

#[test]
fn results_stream_and_cancel_by_drop() {
    block_on(async {
        let db = db().await;
        db.check(
            "select count(*) from (select a, b from generate_series(1, 1000) a, generate_series(1, 300) b) s",
            "300000",
        )
        .await;
        let started = std::time::Instant::now();
        let txn = db.begin(Isolation::ReadCommitted);
        let endless =
            db.run(&txn, "with recursive r(i) as (select 1 union all select 1 from r) select count(*) from r", vec![]);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(200), endless).await.is_err());
        let endless = db.run(&txn, "select count(*) from generate_series(1, 10000000000) a", vec![]);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(200), endless).await.is_err());
        drop(db);
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    });
}
