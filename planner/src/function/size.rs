//! Sizes: pg_relation_size and its relatives, pg_size_pretty, pg_size_bytes, pg_column_size.
//!
//! Relations are measured by reading them: the bytes of keys and rows as they are kept, without the engine's own overhead. That costs as
//! much as a scan. Of time-series tables the files are measured.

use super::error::invalid;
use super::kernel::k;
use super::{CallTypes, Registry};
use crate::context::EvalContext;
use arrow::array::{ArrayRef, Int32Array};
use heddle_catalog::{Relation, TableDef};
use heddle_engines::{KeyRange, RowReader};
use heddle_types::arrow::{datum_at, is_null_at};
use heddle_types::{Class, Datum, Error, Numeric, Oid, PgType, Result, SqlState, StorageId};
use std::sync::Arc;

/// Rows read at a time.
const BATCH: usize = 1024;

fn storage_bytes(cx: &EvalContext, storage: StorageId) -> Result<i64> {
    let Some(txn) = &cx.txn else { return Ok(0) };
    if storage.is_series() {
        return Ok(i64::try_from(txn.statement().disk_bytes(storage)).unwrap_or(i64::MAX));
    }
    let mut cursor = txn.statement().scan(storage, KeyRange::all(), false)?;
    let (mut rows, mut bytes) = (Vec::with_capacity(BATCH), 0);
    loop {
        let more = cursor.next_batch(BATCH, &mut rows)?;
        bytes += rows.drain(..).map(|r| r.key.len() + r.row.len()).sum::<usize>();
        if let Some(e) = cx.interrupted() {
            return Err(e);
        }
        if !more {
            return Ok(bytes as i64);
        }
    }
}

fn indexes_bytes(cx: &EvalContext, table: &TableDef) -> Result<i64> {
    table.indexes.iter().filter_map(|i| i.storage).map(|s| storage_bytes(cx, s)).sum()
}

/// Which parts of a relation are asked for.
#[derive(Clone, Copy)]
enum Part {
    Own,
    Indexes,
    Total,
}

/// NULL for an OID without a relation.
fn relation(cx: &EvalContext, o: u32, part: Part) -> Result<Option<i64>> {
    match cx.catalog.relation_by_oid(Oid(o)) {
        Some(Relation::Table(t)) => Ok(Some(match part {
            Part::Own => storage_bytes(cx, t.storage)?,
            Part::Indexes => indexes_bytes(cx, &t)?,
            Part::Total => storage_bytes(cx, t.storage)? + indexes_bytes(cx, &t)?,
        })),
        // The primary key is the table's own order: it takes no room besides it.
        Some(Relation::Index(t, i)) => match (t.indexes[i].storage, part) {
            (Some(s), Part::Own | Part::Total) => storage_bytes(cx, s).map(Some),
            _ => Ok(Some(0)),
        },
        Some(_) => Ok(Some(0)),
        None => Ok(crate::syscat::by_oid(Oid(o)).map(|_| 0)),
    }
}

fn database(cx: &EvalContext, database: Oid) -> Result<i64> {
    cx.catalog.tables(database).iter().map(|t| Ok(storage_bytes(cx, t.storage)? + indexes_bytes(cx, t)?)).sum()
}

fn database_named(cx: &EvalContext, name: &str) -> Result<i64> {
    let missing = || Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist"));
    database(cx, cx.catalog.database(name).ok_or_else(missing)?.oid)
}

/// Steps of 1024, a unit is left behind at ten of the next one.
const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

fn pretty(size: i128) -> String {
    let (negative, mut size, mut unit) = (size < 0, size.abs(), 0);
    if size < 10 * 1024 {
        return format!("{}{size} bytes", if negative { "-" } else { "" });
    }
    // One bit more than the unit needs, for rounding at the end.
    size >>= 9;
    unit += 1;
    while size >= 20 * 1024 - 1 && unit + 1 < UNITS.len() {
        size >>= 10;
        unit += 1;
    }
    let size = (size + 1) / 2;
    format!("{}{size} {}", if negative { "-" } else { "" }, UNITS[unit])
}

fn pretty_numeric(n: &Numeric) -> Result<String> {
    if n.abs() < Numeric::from(10 * 1024_i64) {
        return Ok(format!("{} bytes", n.format()));
    }
    let whole = n.trunc(0).to_i128();
    whole.map(pretty).ok_or_else(|| Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))
}

/// `1.5 GB`, `200kB`, `17`
fn bytes(text: &str) -> Result<i64> {
    let wrong = || invalid(format!("invalid size: \"{text}\""));
    let trimmed = text.trim();
    let digits = |s: &str| s.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(s.len());
    let mut end = digits(trimmed);
    // An exponent, but not the E of a unit.
    if let Some(power) = trimmed[end..].strip_prefix(['e', 'E']).filter(|p| digits(p) > 0) {
        end += 1 + digits(power);
    }
    let (number, unit) = trimmed.split_at(end);
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim();
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "bytes" | "b" => 0,
        "kb" => 1,
        "mb" => 2,
        "gb" => 3,
        "tb" => 4,
        "pb" => 5,
        _ => {
            return Err(wrong()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    Ok((number * 1024_f64.powi(power)) as i64)
}

/// Bytes a value takes by itself.
fn value_bytes(value: &Datum, ty: PgType) -> usize {
    match ty.class() {
        Class::Text | Class::Bytea | Class::Array | Class::Numeric => match value {
            Datum::Text(s) => s.len() + 1,
            Datum::Bytea(b) => b.len() + 1,
            value => heddle_types::key::encode_row([value]).len(),
        },
        _ => usize::try_from(ty.info().len).unwrap_or(0),
    }
}

fn column_size(_: &EvalContext, ty: &CallTypes<'_>, args: &[ArrayRef], n: usize) -> Result<ArrayRef> {
    let one = |i: usize| {
        (!is_null_at(&args[0], i)).then(|| value_bytes(&datum_at(&args[0], ty.args[0], i), ty.args[0]) as i32)
    };
    Ok(Arc::new((0..n).map(one).collect::<Int32Array>()))
}

pub(super) fn register(r: &mut Registry) {
    r.scalars(
        &["pg_relation_size(regclass)", "pg_table_size(regclass)"],
        k!(cx, _ty; |o: u32| -> Option<i64> { relation(cx, o, Part::Own) }),
    );
    r.scalar(
        "pg_relation_size(regclass,text)",
        k!(cx, _ty; |o: u32, fork: &str| -> Option<i64> {
            match fork {
                "main" => relation(cx, o, Part::Own),
                "fsm" | "vm" | "init" => Ok(Some(0)),
                _ => Err(invalid("invalid fork name")
                    .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\".")),
            }
        }),
    );
    r.scalar("pg_indexes_size(regclass)", k!(cx, _ty; |o: u32| -> Option<i64> { relation(cx, o, Part::Indexes) }));
    r.scalar("pg_total_relation_size(regclass)", k!(cx, _ty; |o: u32| -> Option<i64> { relation(cx, o, Part::Total) }));
    r.scalar("pg_database_size(oid)", k!(cx, _ty; |o: u32| -> i64 { database(cx, Oid(o)) }));
    r.scalar("pg_database_size(name)", k!(cx, _ty; |name: &str| -> i64 { database_named(cx, name) }));
    r.scalar("pg_size_pretty(int8)", k!(|size: i64| -> String = pretty(size.into())));
    r.scalar("pg_size_pretty(numeric)", k!(|size: Numeric| -> String { pretty_numeric(&size) }));
    r.scalar("pg_size_bytes(text)", k!(|text: &str| -> i64 { bytes(text) }));
    r.scalar("pg_column_size(any)", column_size);
}
