//! CHECK and FOREIGN KEY constraints in information_schema.

use super::information::{database, schema};
use super::{row, text};
use crate::context::EvalContext;
use heddle_catalog::{Action, ForeignKey, Rule, TableDef};
use heddle_types::{Datum, Result};

/// The rows of table_constraints for a table's constraints that no index stands for.
pub(super) fn table_constraints(cx: &EvalContext, t: &TableDef) -> Vec<Vec<Datum>> {
    let one = |c: &heddle_catalog::ConstraintDef| {
        let yes_no = |yes| text(if yes { "YES" } else { "NO" });
        let (kind, deferrable, deferred) = match &c.rule {
            Rule::Check(_) => ("CHECK", false, false),
            Rule::References(f) => ("FOREIGN KEY", f.deferrable, f.deferred),
        };
        row(
            "table_constraints",
            &[
                ("constraint_catalog", database(cx)),
                ("constraint_schema", schema(cx, t.schema)),
                ("constraint_name", text(&c.name)),
                ("table_catalog", database(cx)),
                ("table_schema", schema(cx, t.schema)),
                ("table_name", text(&t.name)),
                ("constraint_type", text(kind)),
                ("is_deferrable", yes_no(deferrable)),
                ("initially_deferred", yes_no(deferred)),
                ("enforced", text("YES")),
            ],
        )
    };
    t.constraints.iter().map(one).collect()
}

/// The rows of key_column_usage for a table's foreign keys.
pub(super) fn key_columns(cx: &EvalContext, t: &TableDef) -> Vec<Vec<Datum>> {
    let mut rows = vec![];
    for (name, f) in foreign_keys(t) {
        let target = cx.catalog.table(f.table);
        let index = target.as_ref().and_then(|t| t.indexes.iter().find(|i| i.oid == f.index));
        for (n, attnum) in f.columns.iter().enumerate() {
            let place = index.and_then(|i| i.columns.iter().position(|c| c.attnum == f.referenced[n]));
            rows.push(row(
                "key_column_usage",
                &[
                    ("constraint_catalog", database(cx)),
                    ("constraint_schema", schema(cx, t.schema)),
                    ("constraint_name", text(name)),
                    ("table_catalog", database(cx)),
                    ("table_schema", schema(cx, t.schema)),
                    ("table_name", text(&t.name)),
                    ("column_name", text(&t.columns[*attnum as usize - 1].name)),
                    ("ordinal_position", Datum::Int4(n as i32 + 1)),
                    ("position_in_unique_constraint", place.map_or(Datum::Null, |p| Datum::Int4(p as i32 + 1))),
                ],
            ));
        }
    }
    rows
}

pub(super) fn referential_constraints(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in cx.catalog.tables(cx.session.database_oid) {
        for (name, f) in foreign_keys(&t) {
            let target = cx.catalog.table(f.table);
            let index = target.as_ref().and_then(|t| t.indexes.iter().find(|i| i.oid == f.index));
            // A plain unique index is no constraint.
            let key = index.filter(|i| i.constraint.is_some());
            let known = |value: Datum| if key.is_some() { value } else { Datum::Null };
            rows.push(row(
                "referential_constraints",
                &[
                    ("constraint_catalog", database(cx)),
                    ("constraint_schema", schema(cx, t.schema)),
                    ("constraint_name", text(name)),
                    ("unique_constraint_catalog", known(database(cx))),
                    ("unique_constraint_schema", known(target.as_ref().map_or(Datum::Null, |t| schema(cx, t.schema)))),
                    ("unique_constraint_name", key.map_or(Datum::Null, |i| text(&i.name))),
                    ("match_option", text(if f.full { "FULL" } else { "NONE" })),
                    ("update_rule", text(rule(f.on_update))),
                    ("delete_rule", text(rule(f.on_delete))),
                ],
            ));
        }
    }
    Ok(rows)
}

pub(super) fn check_constraints(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in cx.catalog.tables(cx.session.database_oid) {
        for c in t.constraints.iter().filter(|c| matches!(c.rule, Rule::Check(_))) {
            let definition = super::constraints::definition(cx, &t, c, false)?;
            let clause = definition.strip_prefix("CHECK ").unwrap_or(&definition);
            rows.push(row(
                "check_constraints",
                &[
                    ("constraint_catalog", database(cx)),
                    ("constraint_schema", schema(cx, t.schema)),
                    ("constraint_name", text(&c.name)),
                    ("check_clause", text(clause)),
                ],
            ));
        }
    }
    Ok(rows)
}

fn foreign_keys(t: &TableDef) -> impl Iterator<Item = (&str, &ForeignKey)> {
    t.constraints.iter().filter_map(|c| match &c.rule {
        Rule::References(f) => Some((c.name.as_str(), f)),
        Rule::Check(_) => None,
    })
}

pub(super) fn rule(a: Action) -> &'static str {
    match a {
        Action::NoAction => "NO ACTION",
        Action::Restrict => "RESTRICT",
        Action::Cascade => "CASCADE",
        Action::SetNull => "SET NULL",
        Action::SetDefault => "SET DEFAULT",
    }
}
