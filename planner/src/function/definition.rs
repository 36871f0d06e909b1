//! pg_get_*def, pg_get_expr, pg_get_function_*: what catalog objects would be written as, printed from the catalog.

use super::kernel::{k, nulls};
use super::{CallTypes, FuncId, Function, Kind, Registry, Volatility, reg};
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::syscat;
use arrow::array::ArrayRef;
use heddle_catalog::{IndexDef, Initially, Relation, StoredExpr, TableDef};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use std::sync::Arc;

fn null(_: &EvalContext, ty: &CallTypes<'_>, _: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    Ok(nulls(ty.ret, n))
}

/// pg_get_expr: the text of a stored expression over the columns of `relation`.
fn expr(cx: &EvalContext, node: &str, relation: u32, pretty: bool) -> Result<Option<String>> {
    let mut stored = crate::bind::stored_expr(&StoredExpr(node.to_owned()))?;
    // Relations are shown by the names they have now.
    crate::bind::rewrite(&mut stored, &mut |e| match e {
        Expr::Literal { value: Datum::Oid(o), ty } if ty.oid == oid::REGCLASS => {
            let name = reg::class_name(*o, cx)?;
            Some(Expr::Literal { value: Datum::text(name), ty: *ty })
        }
        _ => None,
    });
    let table = cx.catalog.table(Oid(relation));
    Ok(Some(syscat::deparse::over_table(&stored, table.as_deref(), pretty)))
}

fn index(cx: &EvalContext, o: u32) -> Option<(Arc<TableDef>, usize)> {
    match cx.catalog.relation_by_oid(Oid(o)) {
        Some(Relation::Index(table, i)) => Some((table, i)),
        _ => None,
    }
}

/// pg_get_indexdef; `column` 0 asks for the whole statement, n for the n-th key.
fn index_definition(cx: &EvalContext, o: u32, column: i32, pretty: bool) -> Option<String> {
    let (table, i) = index(cx, o)?;
    let index = &table.indexes[i];
    if column == 0 {
        return Some(syscat::index_definition(cx, &table, index, pretty));
    }
    let key = usize::try_from(column - 1).ok().and_then(|n| index.columns.get(n));
    Some(key.map_or_else(String::new, |c| reg::quote_ident(&table.columns[c.attnum as usize - 1].name)))
}

fn constraint(cx: &EvalContext, o: u32, pretty: bool) -> Result<Option<String>> {
    for table in cx.catalog.tables(cx.session.database_oid) {
        if let Some(index) = table.indexes.iter().find(|i| i.constraint == Some(Oid(o))) {
            return Ok(Some(key_constraint(&table, index)));
        }
        if let Some(c) = table.constraints.iter().find(|c| c.oid == Oid(o)) {
            return syscat::constraints::definition(cx, &table, c, pretty).map(Some);
        }
    }
    Err(Error::new(SqlState::INTERNAL_ERROR, format!("cache lookup failed for constraint {o}")))
}

fn key_constraint(table: &TableDef, index: &IndexDef) -> String {
    let name = |c: &heddle_catalog::IndexColumn| reg::quote_ident(&table.columns[c.attnum as usize - 1].name);
    let columns: Vec<String> = index.columns.iter().map(name).collect();
    let kind = if index.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let deferral = match index.deferrable {
        None => "",
        Some(Initially::Immediate) => " DEFERRABLE",
        Some(Initially::Deferred) => " DEFERRABLE INITIALLY DEFERRED",
    };
    format!("{kind} ({}){deferral}", columns.join(", "))
}

fn view(cx: &EvalContext, o: u32) -> Option<String> {
    cx.catalog.view(Oid(o)).map(|v| syscat::view_definition(&v))
}

fn view_by_name(cx: &EvalContext, name: &str) -> Result<Option<String>> {
    let oid = reg::parse(name, PgType::new(oid::REGCLASS), cx)?;
    Ok(oid.as_i64().and_then(|o| view(cx, o as u32)))
}

fn function(o: u32) -> Option<&'static Function> {
    super::by_id(FuncId(o))
}

/// `VARIADIC "any"`, `days integer DEFAULT 0`, `OUT key text`.
fn arguments(f: &Function, identity: bool) -> String {
    let required = f.args.len() - f.defaults.len();
    let one = |(i, ty): (usize, &Oid)| {
        let name = f.arg_names.get(i).filter(|n| !n.is_empty());
        let name = name.map_or_else(String::new, |n| format!("{} ", reg::quote_ident(n)));
        let variadic = if f.variadic.0 != 0 && i + 1 == f.args.len() { "VARIADIC " } else { "" };
        let default = match i.checked_sub(required).and_then(|d| f.defaults.get(d)) {
            Some(text) if !identity => format!(" DEFAULT {}", default_text(text, *ty)),
            _ => String::new(),
        };
        format!("{variadic}{name}{}{default}", PgType::new(*ty).sql_name())
    };
    let mut all: Vec<String> = f.args.iter().enumerate().map(one).collect();
    if let (Kind::Set(_, columns), false) = (f.kind, identity) {
        let out = |(name, ty): &(&str, Oid)| format!("OUT {} {}", reg::quote_ident(name), PgType::new(*ty).sql_name());
        all.extend(columns.iter().map(out));
    }
    all.join(", ")
}

fn default_text(text: &str, ty: Oid) -> String {
    let plain = text.parse::<f64>().is_ok() || matches!(text, "true" | "false");
    if plain { text.to_owned() } else { format!("{}::{}", syscat::deparse::quoted(text), PgType::new(ty).sql_name()) }
}

fn result(f: &Function) -> String {
    let ty = match f.kind {
        Kind::Set(_, [_, _, ..]) => "record".to_owned(),
        _ => PgType::new(f.ret).sql_name(),
    };
    if matches!(f.kind, Kind::Set(..)) { format!("SETOF {ty}") } else { ty }
}

fn statement(f: &Function) -> Result<String> {
    if matches!(f.kind, Kind::Aggregate(_)) {
        return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is an aggregate function", f.name)));
    }
    let mut traits = String::new();
    if let Kind::Window(_) = f.kind {
        traits.push_str(" WINDOW");
    }
    traits.push_str(match f.volatility {
        Volatility::Immutable => " IMMUTABLE",
        Volatility::Stable => " STABLE",
        Volatility::Volatile => "",
    });
    traits.push_str(" PARALLEL SAFE");
    if f.strict {
        traits.push_str(" STRICT");
    }
    let name = reg::quote_ident(f.name);
    Ok(format!(
        "CREATE OR REPLACE FUNCTION pg_catalog.{name}({})\n RETURNS {}\n LANGUAGE internal\n{traits}\nAS $function${}$function$\n",
        arguments(f, false),
        result(f),
        f.name
    ))
}

pub(super) fn register(r: &mut Registry) {
    expressions(r);
    relations(r);
    functions(r);
}

fn expressions(r: &mut Registry) {
    r.scalar(
        "pg_get_expr(pg_node_tree,oid)",
        k!(cx, _ty; |node: &str, rel: u32| -> Option<String> { expr(cx, node, rel, false) }),
    );
    r.scalar(
        "pg_get_expr(pg_node_tree,oid,bool)",
        k!(cx, _ty; |node: &str, rel: u32, pretty: bool| -> Option<String> { expr(cx, node, rel, pretty) }),
    );
}

fn relations(r: &mut Registry) {
    r.scalar("pg_get_indexdef(oid)", k!(cx, _ty; |o: u32| -> Option<String> = index_definition(cx, o, 0, false)));
    r.scalar(
        "pg_get_indexdef(oid,int4,bool)",
        k!(cx, _ty; |o: u32, column: i32, pretty: bool| -> Option<String> = index_definition(cx, o, column, pretty)),
    );
    r.scalar("pg_get_constraintdef(oid)", k!(cx, _ty; |o: u32| -> Option<String> { constraint(cx, o, false) }));
    r.scalar(
        "pg_get_constraintdef(oid,bool)",
        k!(cx, _ty; |o: u32, pretty: bool| -> Option<String> { constraint(cx, o, pretty) }),
    );
    r.scalar("pg_get_viewdef(oid)", k!(cx, _ty; |o: u32| -> Option<String> = view(cx, o)));
    r.scalar("pg_get_viewdef(oid,bool)", k!(cx, _ty; |o: u32, pretty: bool| -> Option<String> = view(cx, o)));
    r.scalar("pg_get_viewdef(oid,int4)", k!(cx, _ty; |o: u32, wrap: i32| -> Option<String> = view(cx, o)));
    r.scalar("pg_get_viewdef(text)", k!(cx, _ty; |n: &str| -> Option<String> { view_by_name(cx, n) }));
    r.scalar(
        "pg_get_viewdef(text,bool)",
        k!(cx, _ty; |n: &str, pretty: bool| -> Option<String> { view_by_name(cx, n) }),
    );
    // There are no triggers, partitions, extended statistics and no rules but those of views.
    r.scalars(
        &[
            "pg_get_triggerdef(oid)",
            "pg_get_triggerdef(oid,bool)",
            "pg_get_partkeydef(oid)",
            "pg_get_statisticsobjdef_columns(oid)",
            "pg_get_function_sqlbody(oid)",
            "pg_get_ruledef(oid)",
            "pg_get_ruledef(oid,bool)",
        ],
        null,
    );
}

fn functions(r: &mut Registry) {
    r.scalar(
        "pg_get_function_arguments(oid)",
        k!(|o: u32| -> Option<String> = function(o).map(|f| arguments(f, false))),
    );
    r.scalar(
        "pg_get_function_identity_arguments(oid)",
        k!(|o: u32| -> Option<String> = function(o).map(|f| arguments(f, true))),
    );
    r.scalar("pg_get_function_result(oid)", k!(|o: u32| -> Option<String> = function(o).map(result)));
    r.scalar("pg_get_functiondef(oid)", k!(|o: u32| -> Option<String> { function(o).map(statement).transpose() }));
    r.scalar(
        "oidvectortypes(oidvector)",
        k!(|types: heddle_types::PgArray| -> String {
            let name = |d: &heddle_types::Datum| PgType::new(Oid(d.as_i64().unwrap_or(0) as u32)).sql_name();
            Ok(types.elements.iter().map(name).collect::<Vec<_>>().join(", "))
        }),
    );
}
