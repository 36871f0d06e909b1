//! CHECK and FOREIGN KEY constraints in pg_constraint.

use super::{deparse, row, text};
use crate::context::EvalContext;
use crate::function::{class_name, quote_ident};
use heddle_catalog::{Action, ConstraintDef, ForeignKey, Rule, TableDef};
use heddle_types::{Datum, Oid, PgArray, Result, oid};
use std::sync::Arc;

fn numbers(all: &[i16]) -> Datum {
    Datum::Array(Arc::new(PgArray::from_vec(oid::INT2, all.iter().map(|n| Datum::Int2(*n)).collect())))
}

fn action(a: Action) -> Datum {
    text(match a {
        Action::NoAction => "a",
        Action::Restrict => "r",
        Action::Cascade => "c",
        Action::SetNull => "n",
        Action::SetDefault => "d",
    })
}

/// The = operator of a type's own order, for conpfeqop and its like.
fn equals(ty: Oid) -> Datum {
    Datum::Oid(super::routines::operator_oid("=", ty, ty).unwrap_or(0))
}

/// The rows of a table's constraints.
pub(super) fn rows(cx: &EvalContext, table: &TableDef) -> Vec<Vec<Datum>> {
    table.constraints.iter().map(|c| one(cx, table, c)).collect()
}

/// The constraint as pg_get_constraintdef prints it.
pub(crate) fn definition(cx: &EvalContext, table: &TableDef, c: &ConstraintDef, pretty: bool) -> Result<String> {
    let mut out = match &c.rule {
        Rule::Check(stored) => {
            let expr = crate::bind::stored_expr(stored)?;
            format!("CHECK ({})", deparse::over_table(&expr, Some(table), pretty))
        }
        Rule::References(f) => foreign_key(cx, table, f),
    };
    if !c.valid {
        out.push_str(" NOT VALID");
    }
    Ok(out)
}

fn foreign_key(cx: &EvalContext, table: &TableDef, f: &ForeignKey) -> String {
    let names = |t: &TableDef, all: &[i16]| {
        let name = |n: &i16| quote_ident(&t.columns[*n as usize - 1].name);
        all.iter().map(name).collect::<Vec<_>>().join(", ")
    };
    let target = cx.catalog.table(f.table);
    let referenced = target.as_ref().map_or_else(String::new, |t| names(t, &f.referenced));
    let name = class_name(f.table, cx).unwrap_or_default();
    let mut out = format!("FOREIGN KEY ({}) REFERENCES {name}({referenced})", names(table, &f.columns));
    if f.full {
        out.push_str(" MATCH FULL");
    }
    for (what, action) in [("UPDATE", f.on_update), ("DELETE", f.on_delete)] {
        if action != Action::NoAction {
            out.push_str(&format!(" ON {what} {}", super::keys::rule(action)));
        }
    }
    if f.deferrable {
        out.push_str(if f.deferred { " DEFERRABLE INITIALLY DEFERRED" } else { " DEFERRABLE" });
    }
    out
}

fn one(cx: &EvalContext, table: &TableDef, c: &ConstraintDef) -> Vec<Datum> {
    let mut values = vec![
        ("oid", Datum::Oid(c.oid.0)),
        ("conname", text(&c.name)),
        ("connamespace", Datum::Oid(table.schema.0)),
        ("convalidated", Datum::Bool(c.valid)),
        ("conrelid", Datum::Oid(table.oid.0)),
        ("conislocal", Datum::Bool(true)),
        ("conkey", numbers(&crate::bind::columns_of(&c.rule))),
    ];
    match &c.rule {
        Rule::Check(stored) => values.extend([
            ("contype", text("c")),
            ("confupdtype", text(" ")),
            ("confdeltype", text(" ")),
            ("confmatchtype", text(" ")),
            ("conbin", text(&stored.0)),
        ]),
        Rule::References(f) => {
            let referenced = cx.catalog.table(f.table);
            let ty = |n: &i16| referenced.as_ref().map_or(Oid(0), |t| t.columns[*n as usize - 1].ty.oid);
            let operators: Vec<Datum> = f.referenced.iter().map(|n| equals(ty(n))).collect();
            let operators = Datum::Array(Arc::new(PgArray::from_vec(oid::OID, operators)));
            values.extend([
                ("contype", text("f")),
                ("condeferrable", Datum::Bool(f.deferrable)),
                ("condeferred", Datum::Bool(f.deferred)),
                ("connoinherit", Datum::Bool(true)),
                ("conindid", Datum::Oid(f.index.0)),
                ("confrelid", Datum::Oid(f.table.0)),
                ("confupdtype", action(f.on_update)),
                ("confdeltype", action(f.on_delete)),
                ("confmatchtype", text(if f.full { "f" } else { "s" })),
                ("conkey", numbers(&f.columns)),
                ("confkey", numbers(&f.referenced)),
                ("conpfeqop", operators.clone()),
                ("conppeqop", operators.clone()),
                ("conffeqop", operators),
            ]);
        }
    }
    row("pg_constraint", &values)
}
