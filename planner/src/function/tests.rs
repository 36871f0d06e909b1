//! Expressions against PostgreSQL 15's answers, captured from a server: type, value or SQLSTATE with message.
//!
//! `tests/*.txt` hold lines `expression TAB type TAB =value|NULL` or `expression TAB error TAB !code message`, and for set-returning
//! functions `set1 f(args) TAB set TAB row;row` (`set2`: two columns, joined by `|`). Backslash and line feed are escaped.
//! `known_differences.txt` is not run: what we do not do as PostgreSQL yet.

use crate::bound::{Bound, Expr, Rel, Statement};
use crate::eval::{Columns, eval};
use crate::function::{self, CallTypes, Kind};
use crate::parse::{self, parse};
use crate::{EvalContext, SessionInfo, bind};
use arrow::array::Array;
use heddle_catalog::{CatalogSnapshot, POSTGRES_DB, bootstrap};
use heddle_env::Env;
use heddle_types::arrow::datum_at;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, Error, LogIndex, PgType, Result};
use std::sync::Arc;

pub(super) fn context() -> EvalContext {
    let catalog = CatalogSnapshot::default().with(&bootstrap(), LogIndex(1));
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
        backends: Arc::new(crate::context::Nobody),
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

fn bound(sql: &str, cx: &EvalContext) -> Result<Bound> {
    match parse(sql)?.remove(0).kind {
        parse::Kind::Plan(ast) => bind::bind(&ast, &[], cx),
        _ => Err(Error::internal("not a plan")),
    }
}

fn escaped(s: &str) -> String {
    s.replace('\\', "\\\\").replace('\n', "\\n")
}

fn show(v: &Datum, ty: PgType, cx: &EvalContext) -> Result<String> {
    Ok(match v {
        Datum::Null => "NULL".into(),
        Datum::Bool(b) => if *b { "=t" } else { "=f" }.into(),
        Datum::Text(_) => format!("={}", escaped(&text::to_string(v, ty, &cx.text))),
        _ => format!("={}", escaped(&super::cast::to_text(v, ty, cx)?)),
    })
}

fn scalar(expr: &str, cx: &EvalContext) -> Result<String> {
    let bound = bound(&format!("select {expr}"), cx)?;
    let exprs = select_list(&bound)?;
    let column = eval(&exprs[0], &Columns { rows: 1, get: &|_| None }, cx)?;
    let ty = bound.columns.as_ref().expect("a select has columns")[0].ty;
    // pg_typeof shows no modifier.
    Ok(format!("{}\t{}", PgType::new(ty.oid).sql_name(), show(&datum_at(&column, ty, 0), ty, cx)?))
}

/// The expressions of a SELECT without FROM, in output order.
fn select_list(bound: &Bound) -> Result<Vec<Expr>> {
    let Statement::Query(query) = &bound.statement else { return Err(Error::internal("not a query")) };
    let Rel::Project { exprs, .. } = &query.rel else { return Err(Error::internal("not a plain select list")) };
    let find = |id| exprs.iter().find(|e| e.0 == id).map(|e| e.1.clone());
    query.columns.iter().map(|c| find(c.id).ok_or_else(|| Error::internal("no such column"))).collect()
}

/// Calls a set-returning function: `name(args)`.
fn rows(call: &str, width: usize, cx: &EvalContext) -> Result<String> {
    let (name, args) = call.split_once('(').expect("a call");
    let bound = bound(&format!("select {}", &args[..args.len() - 1]), cx)?;
    let exprs = select_list(&bound)?;
    let types: Vec<PgType> = exprs.iter().map(Expr::ty).collect();
    let f = function::by_name(name)
        .iter()
        .find(|f| {
            f.args.len() == types.len() && f.args.iter().zip(&types).all(|(a, t)| *a == t.oid || t.element().is_some())
        })
        .ok_or_else(|| Error::internal(format!("no function {name}")))?;
    let Kind::Set(kernel, _) = f.kind else { return Err(Error::internal("not set-returning")) };
    let args = exprs.iter().map(|e| eval(e, &Columns { rows: 1, get: &|_| None }, cx)).collect::<Result<Vec<_>>>()?;
    let mut lines = Vec::new();
    let ret = PgType::new(if f.ret == heddle_types::oid::RECORD { heddle_types::oid::TEXT } else { f.ret });
    let ret = if ret.oid == heddle_types::oid::ANYELEMENT { types[0].element().unwrap_or(ret) } else { ret };
    kernel(cx, &CallTypes { args: &types, ret }, &args, &mut |columns| {
        assert_eq!(columns.len(), width, "{call}");
        for i in 0..columns[0].len() {
            let cells = columns.iter().map(|c| match datum_at(c, ret, i) {
                Datum::Null => Ok("NULL".to_owned()),
                v => super::cast::to_text(&v, ret, cx),
            });
            lines.push(cells.collect::<Result<Vec<_>>>()?.join("|"));
        }
        Ok(true)
    })?;
    Ok(format!("set\t{}", lines.join(";")))
}

fn answer(expr: &str, cx: &EvalContext) -> String {
    let result = match (expr.strip_prefix("set1 "), expr.strip_prefix("set2 ")) {
        (Some(call), _) => rows(call, 1, cx),
        (_, Some(call)) => rows(call, 2, cx),
        _ => scalar(expr, cx),
    };
    result.unwrap_or_else(|e| format!("error\t!{} {}", e.code(), escaped(e.message())))
}

fn run(file: &str) {
    let cx = context();
    let mut wrong = Vec::new();
    let mut total = 0;
    for line in file.lines() {
        let Some((expr, expected)) = line.split_once('\t') else { continue };
        total += 1;
        let got = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(expr, &cx)))
            .unwrap_or_else(|_| "panic".to_owned());
        if got != expected {
            wrong.push(format!("{expr}\n    want {expected}\n    got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {total} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn arrays_and_json_as_postgres() {
    run(include_str!("tests/arrays_json.txt"));
}

#[test]
fn everything_else_as_postgres() {
    run(include_str!("tests/general.txt"));
}
