//! Binding against an in-memory catalog: result types, names, parameters and errors as PostgreSQL 15 answers them.

use heddle_catalog::{
    CatalogEdit, CatalogSnapshot, ColumnDef, IndexColumn, IndexDef, IndexState, Object, POSTGRES_DB, PUBLIC, TableDef,
    bootstrap,
};
use heddle_env::Env;
use heddle_planner::bound::Bound;
use heddle_planner::parse::{Ast, Kind, parse};
use heddle_planner::{EvalContext, SessionInfo, bind};
use heddle_types::text::TextSettings;
use heddle_types::{LogIndex, Oid, PgType, Result, StorageId, oid};
use std::sync::Arc;

fn column(attnum: i16, name: &str, ty: PgType, not_null: bool) -> ColumnDef {
    ColumnDef { attnum, name: name.into(), ty, not_null, default: None, dropped: false, identity: None, missing: None }
}

fn table(oid_: u32, name: &str, columns: Vec<ColumnDef>) -> Object {
    let key = IndexDef {
        oid: Oid(oid_ + 1),
        name: format!("{name}_pkey"),
        storage: None,
        columns: vec![IndexColumn { attnum: 1, order: Default::default() }],
        unique: true,
        primary: true,
        constraint: Some(Oid(oid_ + 2)),
        state: IndexState::Valid,
        deferrable: None,
    };
    Object::Table(TableDef {
        oid: Oid(oid_),
        schema: PUBLIC,
        database: POSTGRES_DB,
        name: name.into(),
        storage: StorageId(u64::from(oid_)),
        columns,
        indexes: vec![key],
        series: None,
        constraints: vec![],
        comments: vec![],
        on_commit: heddle_catalog::OnCommit::PreserveRows,
    })
}

fn context() -> EvalContext {
    let mut edits = bootstrap();
    let t = vec![
        column(1, "id", PgType::new(oid::INT8), true),
        column(2, "name", PgType::with_typmod(oid::VARCHAR, 14), false),
        column(3, "price", PgType::with_typmod(oid::NUMERIC, ((10 << 16) | 2) + 4), false),
        column(4, "at", PgType::new(oid::TIMESTAMPTZ), false),
        column(5, "n", PgType::new(oid::INT4), false),
        column(6, "tags", PgType::new(oid::TEXT_ARRAY), false),
    ];
    let u = vec![column(1, "id", PgType::new(oid::INT4), true), column(2, "t_id", PgType::new(oid::INT8), false)];
    edits.push(CatalogEdit::Put(table(20_000, "t", t)));
    edits.push(CatalogEdit::Put(table(20_010, "u", u)));
    let catalog = CatalogSnapshot::default().with(&edits, LogIndex(1));
    let session = SessionInfo {
        database: "postgres".into(),
        database_oid: POSTGRES_DB,
        user: "postgres".into(),
        session_user: "postgres".into(),
        pid: 1,
        search_path: vec!["$user".into(), "public".into()],
        setting: Box::new(|_| None),
        set_setting: Box::new(|_, v, _| Ok(v.to_owned())),
        settings: Box::new(Vec::new),
        notice: Box::new(|_| {}),
        deferred: Default::default(),
        sequences: Default::default(),
        interrupts: Default::default(),
        backends: Arc::new(heddle_planner::context::Nobody),
        advisory: Default::default(),
        temporary: Default::default(),
    };
    EvalContext {
        text: TextSettings::default(),
        statement_us: 0,
        params: Arc::from(vec![]),
        session: Arc::new(session),
        env: Env::in_memory(1),
        txn: None,
        catalog: Arc::new(catalog),
        stopped: Default::default(),
        inventory: None,
    }
}

fn ast(sql: &str) -> Result<Box<Ast>> {
    let mut all = parse(sql)?;
    match all.remove(0).kind {
        Kind::Plan(ast) => Ok(ast),
        other => panic!("not a plan: {other:?}"),
    }
}

fn bound(sql: &str) -> Result<Bound> {
    bind::bind(&*ast(sql)?, &[], &context())
}

/// `name:type name:type | param types`, or the error: `code position message`.
fn describe(sql: &str) -> String {
    match bound(sql) {
        Ok(b) => {
            let columns: Vec<String> =
                b.columns.unwrap_or_default().iter().map(|c| format!("{}:{}", c.name, c.ty.sql_name())).collect();
            let params: Vec<String> = b.params.iter().map(|p| p.sql_name()).collect();
            if params.is_empty() { columns.join(" ") } else { format!("{} | {}", columns.join(" "), params.join(" ")) }
        }
        Err(e) => format!("{} {} {}", e.code(), e.fields().position.unwrap_or(0), e.message()),
    }
}

#[track_caller]
fn check(sql: &str, expected: &str) {
    assert_eq!(describe(sql), expected, "{sql}");
}

#[test]
fn literals_and_names() {
    check(
        "select 1, 2147483648, -2147483648, 1.5, 'a', null, true",
        "?column?:integer ?column?:bigint ?column?:integer ?column?:numeric ?column?:text ?column?:text ?column?:boolean",
    );
    check(
        "select '1'+1 as x, 5::int8, date '2024-01-01', interval '1' day",
        "x:integer int8:bigint date:date interval:interval",
    );
    check(
        "select case when true then '1' else 2 end, coalesce(null, 1.5), array[1,2]",
        "case:integer coalesce:numeric array:integer[]",
    );
    check("values (1, 'a'), (2.5, 'b')", "column1:numeric column2:text");
    check("select 1 union select 2.5", "?column?:numeric");
}

#[test]
fn columns_and_tables() {
    check(
        "select * from t",
        "id:bigint name:character varying(10) price:numeric(10,2) at:timestamp with time zone n:integer tags:text[]",
    );
    check("select t.id, x.id from t join u x on x.t_id = t.id where t.id = 5", "id:bigint id:integer");
    check("select id from t join u using (id)", "id:bigint");
    check("select count(*), sum(n), max(name), avg(price) from t", "count:bigint sum:bigint max:text avg:numeric");
    check("select name, count(*) from t group by id", "name:character varying(10) count:bigint");
    check("select (select max(id) from u where u.t_id = t.id), exists (select 1) from t", "max:integer exists:boolean");
    check("with a as (select id from t) select * from a order by 1 limit 3", "id:bigint");
    check("with recursive r(i) as (select 1 union all select i + 1 from r where i < 5) select * from r", "i:integer");
    check("select g from generate_series(1, 3) g", "g:integer");
    check("select row_number() over (partition by n order by id) from t", "row_number:bigint");
    check("select tags[1], id in (1, 2) from t", "tags:text ?column?:boolean");
    check(
        "select * from t where id = any($1) and name like $2 limit $3",
        "id:bigint name:character varying(10) price:numeric(10,2) at:timestamp with time zone n:integer tags:text[] | bigint[] text bigint",
    );
}

#[test]
fn parameters() {
    check("select $1", "?column?:text | text");
    check("select $1 + 1", "?column?:integer | integer");
    check("insert into t (id, name) values ($1, $2) returning id", "id:bigint | bigint character varying");
    check("update t set n = $1 where id = $2", " | integer bigint");
    check("select $1 is null", "42P18 0 could not determine data type of parameter $1");
    check("select $2::int", "42P18 0 could not determine data type of parameter $1");
    check("select $1::int, $1::text", "int4:integer text:text | integer");
}

#[test]
fn errors() {
    check("select nme from t", "42703 8 column \"nme\" does not exist");
    check("select * from nope", "42P01 15 relation \"nope\" does not exist");
    check("select x.id from t", "42P01 8 missing FROM-clause entry for table \"x\"");
    check("select 1 where 1", "42804 16 argument of WHERE must be type boolean, not type integer");
    check("select id from t, u", "42702 8 column reference \"id\" is ambiguous");
    check(
        "select name, count(*) from t group by n",
        "42803 8 column \"t.name\" must appear in the GROUP BY clause or be used in an aggregate function",
    );
    check("select 1 from t where count(*) > 1", "42803 23 aggregate functions are not allowed in WHERE");
    check("select id from t order by 3", "42P10 27 ORDER BY position 3 is not in select list");
    check("select foo(1, 'a')", "42883 8 function foo(integer, unknown) does not exist");
    check("select true + 1", "42883 13 operator does not exist: boolean + integer");
    check("select true::date", "42846 12 cannot cast type boolean to date");
    check("select 'x'::int", "22P02 8 invalid input syntax for type integer: \"x\"");
    check("insert into t (id, nope) values (1, 2)", "42703 20 column \"nope\" of relation \"t\" does not exist");
    check("insert into u values (true)", "42804 23 column \"id\" is of type integer but expression is of type boolean");
    check(
        "select distinct name from t order by id",
        "42P10 38 for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    );
}

#[test]
fn syntax_errors() {
    let fails = |sql: &str| {
        parse(sql)
            .map(|_| String::new())
            .unwrap_or_else(|e| format!("{} {} {}", e.code(), e.fields().position.unwrap_or(0), e.message()))
    };
    assert_eq!(fails("selec 1"), "42601 1 syntax error at or near \"selec\"");
    assert_eq!(fails("select 1 from"), "42601 14 syntax error at end of input");
    assert_eq!(fails("select 'abc"), "42601 8 unterminated quoted string at or near \"'abc\"");
    assert_eq!(
        fails(&format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000))),
        "54001 0 stack depth limit exceeded"
    );
    assert_eq!(
        fails(&format!("select 1 where true{}", " or true".repeat(100_000))),
        "54001 0 statement is too complex"
    );
    assert!(parse(&format!("select 1 where true{}", " or true".repeat(10_000))).is_ok());
    assert!(parse(" ; -- nothing\n;").expect("empty").is_empty());
    assert_eq!(parse("begin; select 1; commit").expect("three").len(), 3);
}

#[test]
fn long_chains_bind() {
    let sql = format!("select 1 where 1 = 2{}", " or 1 = 2".repeat(5_000));
    assert!(bound(&sql).is_ok());
}

#[test]
fn create_table_defaults_round_trip() {
    check(
        "create table x (id int8 primary key, a text default 'q', b timestamptz default now(), c numeric(10,2) default 1 + 2, unique (a, b))",
        "",
    );
    check(
        "create table x (id serial default 4)",
        "42601 0 multiple default values specified for column \"id\" of table \"x\"",
    );
}
