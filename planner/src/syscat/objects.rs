//! What users made: databases, schemas, tables, columns, indexes, constraints, defaults.

use super::{all, row, text, type_len, vector};
use crate::context::EvalContext;
use crate::function::quote_ident as quoted;
use heddle_catalog::{BOOTSTRAP_ROLE, ColumnDef, Identity, IndexDef, IndexState, PG_CATALOG, Rule, TableDef};
use heddle_engines::RowReader;
use heddle_types::{Datum, Oid, PgArray, Result, StorageId, oid};
use std::sync::Arc;

const OWNER: Datum = Datum::Oid(BOOTSTRAP_ROLE.0);

fn tables(cx: &EvalContext) -> Vec<Arc<TableDef>> {
    cx.catalog.tables(cx.session.database_oid)
}

fn schema_name(cx: &EvalContext, schema: Oid) -> Datum {
    cx.catalog.schema_by_oid(schema).map_or(Datum::Null, |s| text(&s.name))
}

pub(super) fn pg_database(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |db: Arc<heddle_catalog::DatabaseDef>| {
        row(
            "pg_database",
            &[
                ("oid", Datum::Oid(db.oid.0)),
                ("datname", text(&db.name)),
                ("datdba", OWNER),
                ("encoding", Datum::Int4(6)),
                ("datlocprovider", text("c")),
                ("datallowconn", Datum::Bool(true)),
                ("datconnlimit", Datum::Int4(-1)),
                ("dattablespace", Datum::Oid(1663)),
                ("datcollate", text("C.UTF-8")),
                ("datctype", text("C.UTF-8")),
            ],
        )
    };
    Ok(cx.catalog.databases().into_iter().map(one).collect())
}

pub(super) fn pg_namespace(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |s: Arc<heddle_catalog::SchemaDef>| {
        row("pg_namespace", &[("oid", Datum::Oid(s.oid.0)), ("nspname", text(&s.name)), ("nspowner", OWNER)])
    };
    Ok(cx.catalog.schemas(cx.session.database_oid).into_iter().map(one).collect())
}

/// Rows as far as they are merged; -1 as for a table that was never analyzed.
fn reltuples(cx: &EvalContext, storage: StorageId) -> (&'static str, Datum) {
    let rows = cx.txn.as_ref().map_or(0, |txn| txn.statement().estimate_rows(storage));
    ("reltuples", Datum::Float4(if rows == 0 { -1.0 } else { rows as f32 }))
}

/// What pg_class says of every relation alike.
fn class(cx: &EvalContext, oid: Oid, name: &str, schema: Oid, kind: &str, natts: usize) -> Vec<(&'static str, Datum)> {
    vec![
        ("oid", Datum::Oid(oid.0)),
        ("relname", text(name)),
        ("relnamespace", Datum::Oid(schema.0)),
        ("relowner", OWNER),
        ("reltuples", Datum::Float4(-1.0)),
        ("relpersistence", text(if cx.catalog.is_temporary(schema) { "t" } else { "p" })),
        ("relkind", text(kind)),
        ("relnatts", Datum::Int2(natts as i16)),
        ("relispopulated", Datum::Bool(true)),
        ("relreplident", text(if kind == "r" { "d" } else { "n" })),
    ]
}

pub(super) fn pg_class(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in all() {
        let schema = if t.schema == "pg_catalog" { PG_CATALOG } else { heddle_catalog::INFORMATION_SCHEMA };
        let kind = if t.is_view() { "v" } else { "r" };
        rows.push(row("pg_class", &class(cx, t.oid, t.name, schema, kind, t.columns.len())));
    }
    for t in tables(cx) {
        let mut values = class(cx, t.oid, &t.name, t.schema, "r", t.columns.len());
        values.push(("relam", Datum::Oid(2)));
        values.push(("relfilenode", Datum::Oid(t.storage.0 as u32)));
        values.push(reltuples(cx, t.storage));
        values.push(("relhasindex", Datum::Bool(!t.indexes.is_empty())));
        if let Some(series) = &t.series {
            values.push(("reloptions", super::series::options(&t, series)));
        }
        let checks = t.constraints.iter().filter(|c| matches!(c.rule, Rule::Check(_))).count();
        values.push(("relchecks", Datum::Int2(checks as i16)));
        let referenced = !cx.catalog.referencing(t.oid).is_empty() || checks < t.constraints.len();
        values.push(("relhastriggers", Datum::Bool(referenced)));
        rows.push(row("pg_class", &values));
        for i in &t.indexes {
            let mut values = class(cx, i.oid, &i.name, t.schema, "i", i.columns.len());
            values.push(("relam", Datum::Oid(403)));
            let storage = i.storage.unwrap_or(t.storage);
            values.push(("relfilenode", Datum::Oid(storage.0 as u32)));
            values.push(reltuples(cx, storage));
            rows.push(row("pg_class", &values));
        }
    }
    for s in cx.catalog.sequences(cx.session.database_oid) {
        let mut values = class(cx, s.oid, &s.name, s.schema, "S", super::sequences::COLUMNS.len());
        values.push(("relfilenode", Datum::Oid(s.state.0)));
        rows.push(row("pg_class", &values));
    }
    for v in cx.catalog.views(cx.session.database_oid) {
        let mut values = class(cx, v.oid, &v.name, v.schema, "v", v.columns.len());
        values.push(("relhasrules", Datum::Bool(true)));
        rows.push(row("pg_class", &values));
    }
    Ok(rows)
}

fn attribute(relation: Oid, attnum: usize, name: &str, ty: heddle_types::PgType) -> Vec<(&'static str, Datum)> {
    let (len, by_value, align, storage) = type_len(ty.oid);
    let dims = i32::from(ty.element().is_some());
    let collation = if matches!(ty.info().category, 'S') { 100 } else { 0 };
    vec![
        ("attrelid", Datum::Oid(relation.0)),
        ("attname", text(name)),
        ("atttypid", Datum::Oid(ty.oid.0)),
        ("attstattarget", Datum::Int4(-1)),
        ("attlen", Datum::Int2(len)),
        ("attnum", Datum::Int2(attnum as i16)),
        ("attndims", Datum::Int4(dims)),
        ("attcacheoff", Datum::Int4(-1)),
        ("atttypmod", Datum::Int4(ty.typmod)),
        ("attbyval", Datum::Bool(by_value)),
        ("attalign", text(align.to_string())),
        ("attstorage", text(storage.to_string())),
        ("attcompression", text("")),
        ("attidentity", text("")),
        ("attgenerated", text("")),
        ("attislocal", Datum::Bool(true)),
        ("attcollation", Datum::Oid(collation)),
    ]
}

fn identity(c: &ColumnDef) -> Datum {
    text(match c.identity {
        Some(Identity::Always) => "a",
        Some(Identity::ByDefault) => "d",
        None => "",
    })
}

pub(super) fn pg_attribute(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in all() {
        for (i, (name, ty)) in t.columns.iter().enumerate() {
            rows.push(row("pg_attribute", &attribute(t.oid, i + 1, name, *ty)));
        }
    }
    for t in tables(cx) {
        for c in &t.columns {
            let mut values = attribute(t.oid, c.attnum as usize, &c.name, c.ty);
            values.push(("attnotnull", Datum::Bool(c.not_null)));
            values.push(("atthasdef", Datum::Bool(c.default.is_some() && c.identity.is_none())));
            values.push(("atthasmissing", Datum::Bool(c.missing.is_some())));
            values.push(("attidentity", identity(c)));
            if c.dropped {
                values.push(("atttypid", Datum::Oid(0)));
            }
            values.push(("attisdropped", Datum::Bool(c.dropped)));
            rows.push(row("pg_attribute", &values));
        }
        for i in &t.indexes {
            for (n, key) in i.columns.iter().enumerate() {
                let c = &t.columns[key.attnum as usize - 1];
                rows.push(row("pg_attribute", &attribute(i.oid, n + 1, &c.name, c.ty)));
            }
        }
    }
    for s in cx.catalog.sequences(cx.session.database_oid) {
        for (i, (name, ty)) in super::sequences::COLUMNS.iter().enumerate() {
            let mut values = attribute(s.oid, i + 1, name, *ty);
            values.push(("attnotnull", Datum::Bool(true)));
            rows.push(row("pg_attribute", &values));
        }
    }
    for v in cx.catalog.views(cx.session.database_oid) {
        for (i, c) in v.columns.iter().enumerate() {
            rows.push(row("pg_attribute", &attribute(v.oid, i + 1, &c.name, c.ty)));
        }
    }
    Ok(rows)
}

/// pg_attrdef has no OIDs of its own here: one is derived from table and column, above every object drawn.
pub(super) fn attrdef_oid(table: Oid, attnum: i16) -> Oid {
    Oid(0x8000_0000 | (table.0 << 11 ^ attnum as u32) & 0x7fff_ffff)
}

pub(super) fn pg_attrdef(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in tables(cx) {
        for c in t.columns.iter().filter(|c| !c.dropped && c.identity.is_none()) {
            if let Some(default) = &c.default {
                rows.push(row(
                    "pg_attrdef",
                    &[
                        ("oid", Datum::Oid(attrdef_oid(t.oid, c.attnum).0)),
                        ("adrelid", Datum::Oid(t.oid.0)),
                        ("adnum", Datum::Int2(c.attnum)),
                        ("adbin", text(&default.0)),
                    ],
                ));
            }
        }
    }
    Ok(rows)
}

fn keys(index: &IndexDef) -> Datum {
    vector(oid::INT2, index.columns.iter().map(|c| Datum::Int2(c.attnum)).collect())
}

pub(super) fn pg_index(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in tables(cx) {
        for i in &t.indexes {
            let n = i.columns.len();
            let zeros = |elem, zero: Datum| vector(elem, vec![zero; n]);
            let options =
                i.columns.iter().map(|c| Datum::Int2(i16::from(c.order.desc) | i16::from(c.order.nulls_first) << 1));
            rows.push(row(
                "pg_index",
                &[
                    ("indexrelid", Datum::Oid(i.oid.0)),
                    ("indrelid", Datum::Oid(t.oid.0)),
                    ("indnatts", Datum::Int2(n as i16)),
                    ("indnkeyatts", Datum::Int2(n as i16)),
                    ("indisunique", Datum::Bool(i.unique)),
                    ("indisprimary", Datum::Bool(i.primary)),
                    ("indimmediate", Datum::Bool(i.deferrable.is_none())),
                    ("indisvalid", Datum::Bool(i.state == IndexState::Valid)),
                    ("indisready", Datum::Bool(true)),
                    ("indislive", Datum::Bool(true)),
                    ("indkey", keys(i)),
                    ("indcollation", zeros(oid::OID, Datum::Oid(0))),
                    ("indclass", zeros(oid::OID, Datum::Oid(0))),
                    ("indoption", vector(oid::INT2, options.collect())),
                ],
            ));
        }
    }
    Ok(rows)
}

pub(super) fn pg_constraint(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in tables(cx) {
        rows.extend(super::constraints::rows(cx, &t));
        for i in &t.indexes {
            let Some(constraint) = i.constraint else { continue };
            let columns = i.columns.iter().map(|c| Datum::Int2(c.attnum)).collect();
            rows.push(row(
                "pg_constraint",
                &[
                    ("oid", Datum::Oid(constraint.0)),
                    ("conname", text(&i.name)),
                    ("connamespace", Datum::Oid(t.schema.0)),
                    ("contype", text(if i.primary { "p" } else { "u" })),
                    ("condeferrable", Datum::Bool(i.deferrable.is_some())),
                    ("condeferred", Datum::Bool(i.deferrable == Some(heddle_catalog::Initially::Deferred))),
                    ("convalidated", Datum::Bool(true)),
                    ("conrelid", Datum::Oid(t.oid.0)),
                    ("conindid", Datum::Oid(i.oid.0)),
                    ("confupdtype", text(" ")),
                    ("confdeltype", text(" ")),
                    ("confmatchtype", text(" ")),
                    ("conislocal", Datum::Bool(true)),
                    ("connoinherit", Datum::Bool(true)),
                    ("conkey", Datum::Array(Arc::new(PgArray::from_vec(oid::INT2, columns)))),
                ],
            ));
        }
    }
    Ok(rows)
}

pub(super) fn pg_tables(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |schema: Datum, name: &str, indexed: bool| {
        row(
            "pg_tables",
            &[
                ("schemaname", schema),
                ("tablename", text(name)),
                ("tableowner", text(&cx.session.user)),
                ("hasindexes", Datum::Bool(indexed)),
            ],
        )
    };
    let system = all().iter().filter(|t| t.schema == "pg_catalog").map(|t| one(text(t.schema), t.name, false));
    let users = tables(cx);
    let users = users.iter().map(|t| one(schema_name(cx, t.schema), &t.name, !t.indexes.is_empty()));
    Ok(system.chain(users).collect())
}

pub(super) fn pg_indexes(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    for t in tables(cx) {
        for i in &t.indexes {
            rows.push(row(
                "pg_indexes",
                &[
                    ("schemaname", schema_name(cx, t.schema)),
                    ("tablename", text(&t.name)),
                    ("indexname", text(&i.name)),
                    ("indexdef", text(index_definition(cx, &t, i, false))),
                ],
            ));
        }
    }
    Ok(rows)
}

/// `CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a, b DESC)`, as pg_get_indexdef prints it (`pretty`: the schema only where it is needed).
pub(crate) fn index_definition(cx: &EvalContext, table: &TableDef, index: &IndexDef, pretty: bool) -> String {
    let column = |c: &heddle_catalog::IndexColumn| {
        let name = quoted(&table.columns[c.attnum as usize - 1].name);
        let order = match (c.order.desc, c.order.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        format!("{name}{order}")
    };
    let columns: Vec<String> = index.columns.iter().map(column).collect();
    let relation = match cx.catalog.schema_by_oid(table.schema) {
        Some(schema) if !pretty => format!("{}.{}", quoted(&schema.name), quoted(&table.name)),
        _ => crate::function::class_name(table.oid, cx).unwrap_or_else(|| quoted(&table.name)),
    };
    let unique = if index.unique { "UNIQUE " } else { "" };
    format!("CREATE {unique}INDEX {} ON {relation} USING btree ({})", quoted(&index.name), columns.join(", "))
}
