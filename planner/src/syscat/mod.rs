//! pg_catalog and information_schema: tables computed from the catalog snapshot on demand, with PostgreSQL 15's columns and stable OIDs.
//!
//! Called by the binder (lookup) and by scans (rows). Nothing is stored: every row follows from the [`heddle_catalog::CatalogSnapshot`],
//! from the function and type tables, or from the session.

mod columns;
pub(crate) mod constraints;
pub(crate) mod deparse;
pub(crate) mod depends;
mod information;
mod keys;
mod objects;
mod routines;
mod sequences;
mod series;
mod server;
mod views;

pub(crate) use objects::index_definition;
pub(crate) use views::definition as view_definition;

use crate::context::EvalContext;
use heddle_types::{Datum, Oid, PgArray, PgType, Result, TypeInfo, oid};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// A computed table.
pub struct SystemTable {
    /// OID in pg_class
    pub oid: Oid,
    /// pg_catalog or information_schema
    pub schema: &'static str,
    /// relname
    pub name: &'static str,
    /// Columns
    pub columns: &'static [(&'static str, PgType)],
    /// All rows, one datum per column.
    pub rows: fn(&EvalContext) -> Result<Vec<Vec<Datum>>>,
}

impl SystemTable {
    /// Does it show what the session has under names of its own ([`crate::context::Inventory`])?
    pub fn shows_inventory(&self) -> bool {
        matches!(self.name, "pg_prepared_statements" | "pg_cursors")
    }

    /// Is it a view in PostgreSQL, and so in pg_class?
    pub fn is_view(&self) -> bool {
        self.schema != "pg_catalog"
    }
}

impl std::fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

static BY_NAME: LazyLock<HashMap<(&'static str, &'static str), &'static SystemTable>> =
    LazyLock::new(|| columns::TABLES.iter().map(|t| ((t.schema, t.name), t)).collect());

/// The table of that name.
pub fn lookup(schema: &str, name: &str) -> Option<&'static SystemTable> {
    // The map's keys are static; a borrowed pair finds them by value.
    BY_NAME.get(&(schema, name)).copied()
}

/// Every computed table.
pub fn all() -> &'static [SystemTable] {
    columns::TABLES
}

/// The computed table with this OID.
pub fn by_oid(oid: Oid) -> Option<&'static SystemTable> {
    columns::TABLES.iter().find(|t| t.oid == oid)
}

/// Builds one row by column name; what is not named takes its type's empty value (false, 0, NULL for text and arrays).
fn row(table: &str, values: &[(&str, Datum)]) -> Vec<Datum> {
    let table = lookup("pg_catalog", table).or_else(|| lookup("information_schema", table)).expect("a table of ours");
    let mut row: Vec<Datum> = table.columns.iter().map(|(_, ty)| empty(*ty)).collect();
    for (name, value) in values {
        let at = table.columns.iter().position(|(n, _)| n == name);
        row[at.unwrap_or_else(|| panic!("{table:?} has no column {name}"))] = value.clone();
    }
    row
}

fn empty(ty: PgType) -> Datum {
    match ty.oid {
        oid::BOOL => Datum::Bool(false),
        oid::INT2 => Datum::Int2(0),
        oid::INT4 => Datum::Int4(0),
        oid::INT8 => Datum::Int8(0),
        oid::FLOAT4 => Datum::Float4(0.0),
        oid::OID | oid::REGPROC | oid::XID | oid::REGTYPE => Datum::Oid(0),
        _ => Datum::Null,
    }
}

fn text(s: impl AsRef<str>) -> Datum {
    Datum::text(s.as_ref())
}

fn oids(elem: Oid, values: impl IntoIterator<Item = Oid>) -> Datum {
    Datum::Array(Arc::new(PgArray::from_vec(elem, values.into_iter().map(|o| Datum::Oid(o.0)).collect())))
}

/// An int2vector or oidvector: lower bound 0, one dimension even when empty.
fn vector(elem: Oid, values: Vec<Datum>) -> Datum {
    let dims = vec![(values.len() as i32, 0)];
    Datum::Array(Arc::new(PgArray { elem, dims, elements: values }))
}

fn type_len(ty: Oid) -> (i16, bool, char, char) {
    let len = TypeInfo::by_oid(ty).map_or(-1, |t| t.len);
    let by_value = matches!(len, 1 | 2 | 4 | 8);
    let align = match (len, ty) {
        (1, _) | (_, oid::NAME | oid::UUID | oid::UNKNOWN) => 'c',
        (2, _) => 's',
        (8 | 16, _) => 'd',
        _ => 'i',
    };
    let storage = match ty {
        oid::NUMERIC => 'm',
        _ if len == -1 => 'x',
        _ => 'p',
    };
    (len, by_value, align, storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_oids_are_unique() {
        assert_eq!(BY_NAME.len(), all().len());
        let oids: std::collections::BTreeSet<Oid> = all().iter().map(|t| t.oid).collect();
        assert_eq!(oids.len(), all().len());
        assert!(lookup("pg_catalog", "pg_class").is_some_and(|t| t.oid == Oid(1259)));
    }
}
