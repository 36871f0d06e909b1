//! pg_depend and pg_description: what belongs to what, and what is said about it.

use super::objects::attrdef_oid;
use super::{row, text};
use crate::context::EvalContext;
use crate::ddl::depend::{Edge, Link, Thing, edges};
use heddle_catalog::{Comment, Rule, TableDef};
use heddle_types::{Datum, Oid, Result};

const PG_CLASS: u32 = 1259;
const PG_ATTRDEF: u32 = 2604;
const PG_CONSTRAINT: u32 = 2606;
const PG_NAMESPACE: u32 = 2615;
const PG_REWRITE: u32 = 2618;
const PG_DATABASE: u32 = 1262;

/// (classid, objid, objsubid)
type Address = (u32, u32, i16);

fn address(thing: Thing) -> Address {
    match thing {
        Thing::Relation(oid) => (PG_CLASS, oid.0, 0),
        Thing::Column(oid, n) => (PG_CLASS, oid.0, n),
        Thing::Default(oid, n) => (PG_ATTRDEF, attrdef_oid(oid, n).0, 0),
        Thing::Constraint(_, oid) => (PG_CONSTRAINT, oid.0, 0),
    }
}

fn depend(who: Address, on: Address, kind: &str) -> Vec<Datum> {
    row(
        "pg_depend",
        &[
            ("classid", Datum::Oid(who.0)),
            ("objid", Datum::Oid(who.1)),
            ("objsubid", Datum::Int4(who.2.into())),
            ("refclassid", Datum::Oid(on.0)),
            ("refobjid", Datum::Oid(on.1)),
            ("refobjsubid", Datum::Int4(on.2.into())),
            ("deptype", text(kind)),
        ],
    )
}

/// The rewrite rule that PostgreSQL keeps a view's query in: pg_rewrite has no OIDs of its own here.
pub(super) fn rule_oid(view: Oid) -> Oid {
    Oid(0x4000_0000 | view.0)
}

pub(super) fn pg_depend(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let database = cx.session.database_oid;
    let mut rows = vec![];
    for Edge { who, on, link } in edges(&cx.catalog, database) {
        let kind = match link {
            Link::Normal => "n",
            Link::Auto => "a",
            Link::Internal => "i",
        };
        let who = match who {
            Thing::Relation(oid) if cx.catalog.view(oid).is_some() => (PG_REWRITE, rule_oid(oid).0, 0),
            who => address(who),
        };
        rows.push(depend(who, address(on), kind));
    }
    for view in cx.catalog.views(database) {
        let (rule, own) = ((PG_REWRITE, rule_oid(view.oid).0, 0), (PG_CLASS, view.oid.0, 0));
        rows.push(depend(rule, own, "i"));
        rows.push(depend(own, (PG_NAMESPACE, view.schema.0, 0), "n"));
    }
    for sequence in cx.catalog.sequences(database) {
        rows.push(depend((PG_CLASS, sequence.oid.0, 0), (PG_NAMESPACE, sequence.schema.0, 0), "n"));
    }
    for table in cx.catalog.tables(database) {
        rows.push(depend((PG_CLASS, table.oid.0, 0), (PG_NAMESPACE, table.schema.0, 0), "n"));
        own_parts(&table, &mut rows);
    }
    Ok(rows)
}

/// One rule per view: its query.
pub(super) fn pg_rewrite(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |v: std::sync::Arc<heddle_catalog::ViewDef>| {
        row(
            "pg_rewrite",
            &[
                ("oid", Datum::Oid(rule_oid(v.oid).0)),
                ("rulename", text("_RETURN")),
                ("ev_class", Datum::Oid(v.oid.0)),
                ("ev_type", text("1")),
                ("ev_enabled", text("O")),
                ("is_instead", Datum::Bool(true)),
            ],
        )
    };
    Ok(cx.catalog.views(cx.session.database_oid).into_iter().map(one).collect())
}

/// A table's defaults, constraints and indexes, which go with their columns.
fn own_parts(table: &TableDef, rows: &mut Vec<Vec<Datum>>) {
    let column = |n: i16| (PG_CLASS, table.oid.0, n);
    for c in table.columns.iter().filter(|c| c.default.is_some() && c.identity.is_none()) {
        rows.push(depend((PG_ATTRDEF, attrdef_oid(table.oid, c.attnum).0, 0), column(c.attnum), "a"));
    }
    for c in &table.constraints {
        let own = (PG_CONSTRAINT, c.oid.0, 0);
        for n in crate::bind::columns_of(&c.rule) {
            rows.push(depend(own, column(n), "a"));
            if matches!(c.rule, Rule::Check(_)) {
                rows.push(depend(own, column(n), "n"));
            }
        }
    }
    for index in &table.indexes {
        let own = (PG_CLASS, index.oid.0, 0);
        let whole = match index.constraint {
            Some(c) => {
                let constraint = (PG_CONSTRAINT, c.0, 0);
                rows.push(depend(own, constraint, "i"));
                constraint
            }
            None => own,
        };
        for c in &index.columns {
            rows.push(depend(whole, column(c.attnum), "a"));
        }
    }
}

pub(super) fn pg_description(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let mut rows = vec![];
    let database = cx.session.database_oid;
    let mut add = |class: u32, comments: &[Comment]| {
        rows.extend(comments.iter().map(|c| description(class, c)));
    };
    for s in cx.catalog.schemas(database) {
        add(PG_NAMESPACE, &s.comments);
    }
    for v in cx.catalog.views(database) {
        add(PG_CLASS, &v.comments);
    }
    for s in cx.catalog.sequences(database) {
        add(PG_CLASS, &s.comments);
    }
    for t in cx.catalog.tables(database) {
        let is_constraint = |c: &&Comment| {
            t.constraints.iter().any(|o| o.oid == c.on) || t.indexes.iter().any(|i| i.constraint == Some(c.on))
        };
        let (constraints, others): (Vec<&Comment>, Vec<&Comment>) = t.comments.iter().partition(is_constraint);
        add(PG_CONSTRAINT, &constraints.into_iter().cloned().collect::<Vec<_>>());
        add(PG_CLASS, &others.into_iter().cloned().collect::<Vec<_>>());
    }
    Ok(rows)
}

pub(super) fn pg_shdescription(cx: &EvalContext) -> Result<Vec<Vec<Datum>>> {
    let one = |c: &Comment| {
        row(
            "pg_shdescription",
            &[("objoid", Datum::Oid(c.on.0)), ("classoid", Datum::Oid(PG_DATABASE)), ("description", text(&c.text))],
        )
    };
    Ok(cx.catalog.databases().iter().flat_map(|d| d.comments.iter().map(one).collect::<Vec<_>>()).collect())
}

fn description(class: u32, c: &Comment) -> Vec<Datum> {
    row(
        "pg_description",
        &[
            ("objoid", Datum::Oid(c.on.0)),
            ("classoid", Datum::Oid(class)),
            ("objsubid", Datum::Int4(c.column.into())),
            ("description", text(&c.text)),
        ],
    )
}

/// A comment by object, class name (None: any) and column, for obj_description and its like.
pub(crate) fn comment_on(cx: &EvalContext, object: u32, class: Option<&str>, column: i32) -> Result<Option<String>> {
    let rows = if class == Some("pg_database") { pg_shdescription(cx)? } else { pg_description(cx)? };
    let class = match class {
        Some(name) => match super::lookup("pg_catalog", name) {
            Some(table) => Some(table.oid.0),
            None => return Ok(None),
        },
        None => None,
    };
    let shared = rows.first().is_some_and(|r| r.len() == 3);
    let found = rows.into_iter().find(|r| {
        let fits = class.is_none_or(|c| r[1] == Datum::Oid(c));
        r[0] == Datum::Oid(object) && fits && (shared || r[2] == Datum::Int4(column))
    });
    Ok(found.and_then(|r| match r.last() {
        Some(Datum::Text(t)) => Some(t.to_string()),
        _ => None,
    }))
}
