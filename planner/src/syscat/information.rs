//! information_schema.

use super::{all, row, text};
use crate::context::EvalContext;
use heddle_catalog::{INFORMATION_SCHEMA, PG_CATALOG, TableDef};
use heddle_types::{Datum, Oid, PgType, Result, oid};
use std::sync::Arc;

pub(super) fn database(cx: &EvalContext) -> Datum {
    text(&cx.session.database)
}

/// The session's tables: those that other sessions keep for themselves are not shown.
fn tables_here(cx: &EvalContext) -> Vec<Arc<TableDef>> {
    let own = cx.session.temporary_schema();
    let foreign = |s: Oid| cx.catalog.schema_by_oid(s).is_some_and(|s| s.is_temporary() && s.name != own);
    let mut tables = cx.catalog.tables(cx.session.database_oid);
    tables.retain(|t| !foreign(t.schema));
    tables
}

pub(super) fn schema(cx: &EvalContext, oid: Oid) -> Datum {
    cx.catalog.schema_by_oid(oid).map_or(Datum::Null, |s| text(&s.name))
}

pub(super) fn information_schema_catalog_name(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    Ok(vec![row("information_schema_catalog_name", &[("catalog_name", database(cx))])])
}

pub(super) fn schemata(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |name: &str| {
        row(
            "schemata",
            &[("catalog_name", database(cx)), ("schema_name", text(name)), ("schema_owner", text(&cx.session.user))],
        )
    };
    Ok(cx.catalog.schemas(cx.session.database_oid).iter().map(|s| one(&s.name)).collect())
}

pub(super) fn tables(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |schema: Datum, name: &str, kind: &str, insertable: &str| {
        row(
            "tables",
            &[
                ("table_catalog", database(cx)),
                ("table_schema", schema),
                ("table_name", text(name)),
                ("table_type", text(kind)),
                ("is_insertable_into", text(insertable)),
                ("is_typed", text("NO")),
            ],
        )
    };
    let kind = |s: &str| if s == "pg_catalog" { "BASE TABLE" } else { "VIEW" };
    let system = all().iter().map(|t| one(text(t.schema), t.name, kind(t.schema), "NO"));
    let users = tables_here(cx);
    let kind = |s| if cx.catalog.is_temporary(s) { "LOCAL TEMPORARY" } else { "BASE TABLE" };
    let users = users.iter().map(|t| one(schema(cx, t.schema), &t.name, kind(t.schema), "YES"));
    let views = cx.catalog.views(cx.session.database_oid);
    let views = views.iter().map(|v| one(schema(cx, v.schema), &v.name, "VIEW", "NO"));
    Ok(system.chain(users).chain(views).collect())
}

/// (precision, radix, scale) of number types.
fn numeric(ty: PgType) -> (Datum, Datum, Datum) {
    let int = |bits| (Datum::Int4(bits), Datum::Int4(2), Datum::Int4(0));
    match ty.oid {
        oid::INT2 => int(16),
        oid::INT4 => int(32),
        oid::INT8 => int(64),
        oid::FLOAT4 => (Datum::Int4(24), Datum::Int4(2), Datum::Null),
        oid::FLOAT8 => (Datum::Int4(53), Datum::Int4(2), Datum::Null),
        oid::NUMERIC => match ty.numeric_precision() {
            Some((p, s)) => (Datum::Int4(p.into()), Datum::Int4(10), Datum::Int4(s.into())),
            None => (Datum::Null, Datum::Int4(10), Datum::Null),
        },
        _ => (Datum::Null, Datum::Null, Datum::Null),
    }
}

fn character_length(ty: PgType) -> (Datum, Datum) {
    match ty.oid {
        oid::VARCHAR | oid::BPCHAR if ty.typmod > 4 => (Datum::Int4(ty.typmod - 4), Datum::Int4((ty.typmod - 4) * 4)),
        oid::TEXT | oid::VARCHAR => (Datum::Null, Datum::Int4(1 << 30)),
        _ => (Datum::Null, Datum::Null),
    }
}

fn datetime_precision(ty: PgType) -> Datum {
    match ty.oid {
        oid::DATE => Datum::Int4(0),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ if ty.typmod >= 0 => Datum::Int4(ty.typmod),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => Datum::Int4(6),
        _ => Datum::Null,
    }
}

fn column(
    cx: &EvalContext,
    schema: Datum,
    table: &str,
    at: usize,
    name: &str,
    ty: PgType,
) -> Vec<(&'static str, Datum)> {
    let (precision, radix, scale) = numeric(ty);
    let (length, octets) = character_length(ty);
    let plain = PgType::new(ty.oid);
    let data_type = if ty.element().is_some() { "ARRAY".to_owned() } else { plain.sql_name() };
    vec![
        ("table_catalog", database(cx)),
        ("table_schema", schema),
        ("table_name", text(table)),
        ("column_name", text(name)),
        ("ordinal_position", Datum::Int4(at as i32)),
        ("is_nullable", text("YES")),
        ("data_type", text(data_type)),
        ("character_maximum_length", length),
        ("character_octet_length", octets),
        ("numeric_precision", precision),
        ("numeric_precision_radix", radix),
        ("numeric_scale", scale),
        ("datetime_precision", datetime_precision(ty)),
        ("interval_precision", Datum::Null),
        ("maximum_cardinality", Datum::Null),
        ("udt_catalog", database(cx)),
        ("udt_schema", text("pg_catalog")),
        ("udt_name", text(ty.info().name)),
        ("dtd_identifier", text(at.to_string())),
        ("is_self_referencing", text("NO")),
        ("is_identity", text("NO")),
        ("is_generated", text("NEVER")),
        ("is_updatable", text("YES")),
    ]
}

pub(super) fn columns(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in all() {
        let schema_oid = if t.schema == "pg_catalog" { PG_CATALOG } else { INFORMATION_SCHEMA };
        for (i, (name, ty)) in t.columns.iter().enumerate() {
            rows.push(row("columns", &column(cx, schema(cx, schema_oid), t.name, i + 1, name, *ty)));
        }
    }
    for t in tables_here(cx) {
        for c in t.columns.iter().filter(|c| !c.dropped) {
            let mut values = column(cx, schema(cx, t.schema), &t.name, c.attnum as usize, &c.name, c.ty);
            if c.not_null {
                values.push(("is_nullable", text("NO")));
            }
            if let Some(identity) = c.identity {
                let always = identity == heddle_catalog::Identity::Always;
                values.push(("is_identity", text("YES")));
                values.push(("identity_generation", text(if always { "ALWAYS" } else { "BY DEFAULT" })));
            }
            rows.push(row("columns", &values));
        }
    }
    for v in cx.catalog.views(cx.session.database_oid) {
        for (i, c) in v.columns.iter().enumerate() {
            let mut values = column(cx, schema(cx, v.schema), &v.name, i + 1, &c.name, c.ty);
            values.push(("is_updatable", text("NO")));
            rows.push(row("columns", &values));
        }
    }
    Ok(rows)
}

pub(super) fn table_constraints(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let yes_no = |yes| text(if yes { "YES" } else { "NO" });
    let mut rows = vec![];
    for t in tables_here(cx) {
        rows.extend(super::keys::table_constraints(cx, &t));
        for i in t.indexes.iter().filter(|i| i.constraint.is_some()) {
            rows.push(row(
                "table_constraints",
                &[
                    ("constraint_catalog", database(cx)),
                    ("constraint_schema", schema(cx, t.schema)),
                    ("constraint_name", text(&i.name)),
                    ("table_catalog", database(cx)),
                    ("table_schema", schema(cx, t.schema)),
                    ("table_name", text(&t.name)),
                    ("constraint_type", text(if i.primary { "PRIMARY KEY" } else { "UNIQUE" })),
                    ("is_deferrable", yes_no(i.deferrable.is_some())),
                    ("initially_deferred", yes_no(i.deferrable == Some(heddle_catalog::Initially::Deferred))),
                    ("enforced", text("YES")),
                    ("nulls_distinct", text("YES")),
                ],
            ));
        }
    }
    Ok(rows)
}

pub(super) fn key_column_usage(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in tables_here(cx) {
        rows.extend(super::keys::key_columns(cx, &t));
        for i in t.indexes.iter().filter(|i| i.constraint.is_some()) {
            for (n, key) in i.columns.iter().enumerate() {
                rows.push(row(
                    "key_column_usage",
                    &[
                        ("constraint_catalog", database(cx)),
                        ("constraint_schema", schema(cx, t.schema)),
                        ("constraint_name", text(&i.name)),
                        ("table_catalog", database(cx)),
                        ("table_schema", schema(cx, t.schema)),
                        ("table_name", text(&t.name)),
                        ("column_name", text(&t.columns[key.attnum as usize - 1].name)),
                        ("ordinal_position", Datum::Int4(n as i32 + 1)),
                        ("position_in_unique_constraint", Datum::Null),
                    ],
                ));
            }
        }
    }
    Ok(rows)
}
