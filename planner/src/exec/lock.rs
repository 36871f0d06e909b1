//! Row locks of SELECT … FOR UPDATE/SHARE: rows are locked as they come out, changed ones are read again and re-checked.

use super::rowset::{Column, RowSet};
use super::runtime::Engine;
use super::write::{Current, Fate, TableWriter, lock_newest};
use crate::bound::{LockTarget, TableScan};
use crate::context::EvalContext;
use arrow::array::Array;
use bytes::Bytes;
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgType, Result, oid};
use std::sync::Arc;

/// The (key, version index) of a scan's row `i`; None for the NULL side of an outer join.
pub(crate) fn identity(scan: &TableScan, rows: &RowSet, i: usize) -> Result<Option<(Bytes, u64)>> {
    let (key_id, index_id) = scan.identity.ok_or_else(|| Error::internal("a scan to lock has no identity"))?;
    let key = match rows.value(key_id, PgType::new(oid::BYTEA), i)? {
        Datum::Null => return Ok(None),
        Datum::Bytea(key) => key,
        _ => return Err(Error::internal("a storage key is not bytea")),
    };
    let index = rows.value(index_id, PgType::new(oid::INT8), i)?;
    Ok(Some((Bytes::copy_from_slice(&key), index.as_i64().unwrap_or(0) as u64)))
}

/// Puts the newest version of the scan's row into a one-row set.
pub(crate) fn replace(scan: &TableScan, row: &mut RowSet, current: &Current) {
    for (id, i) in &scan.columns {
        row.set(*id, Column::One(current.values[*i].clone(), scan.table.columns[*i].ty));
    }
    if let Some((key, index)) = scan.identity {
        let bytes = Datum::Bytea(Arc::from(&current.key[..]));
        row.set(key, Column::One(bytes, PgType::new(oid::BYTEA)));
        let version = Datum::Int8(current.index as i64);
        row.set(index, Column::One(version, PgType::new(oid::INT8)));
    }
}

/// Locks every row for every target. Rows that are gone, skipped or no longer match are left out.
pub(crate) async fn lock_rows(
    engine: &Arc<Engine>,
    targets: &[LockTarget],
    mut rows: RowSet,
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
) -> Result<RowSet> {
    for target in targets {
        let writer = TableWriter::new(Arc::clone(&target.scan.table), Arc::clone(ctx))?;
        let mut out: Vec<RowSet> = vec![];
        let mut changed = false;
        for i in 0..rows.rows {
            let row = rows.slice(i, 1)?;
            let Some((key, seen)) = identity(&target.scan, &row, 0)? else {
                out.push(row);
                continue;
            };
            match lock_newest(&writer, &key, seen, view, target.mode, target.wait).await? {
                Fate::Same(_) => out.push(row),
                Fate::Gone => changed = true,
                Fate::Newer(current) => {
                    changed = true;
                    let mut row = row;
                    replace(&target.scan, &mut row, &current);
                    let keep = match &target.recheck {
                        Some(p) => engine.is_true(p, &row, ctx, view).await?,
                        None => true,
                    };
                    if keep {
                        out.push(row);
                    }
                }
            }
        }
        if changed {
            rows = concat(&rows, &out)?;
        }
    }
    Ok(rows)
}

/// Rows one below the other; `shape` gives the columns when there are none.
pub(crate) fn concat(shape: &RowSet, parts: &[RowSet]) -> Result<RowSet> {
    match parts {
        [] => return shape.slice(0, 0),
        [one] => return Ok(one.clone()),
        _ => {}
    }
    let columns = shape
        .columns
        .iter()
        .map(|(id, _)| {
            let arrays = parts.iter().map(|p| p.require(*id)).collect::<Result<Vec<_>>>()?;
            let refs: Vec<&dyn Array> = arrays.iter().map(|a| a.as_ref()).collect();
            let column = arrow::compute::concat(&refs).map_err(crate::function::error::arrow_error)?;
            Ok((*id, Column::Array(column)))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RowSet { rows: parts.iter().map(|p| p.rows).sum(), columns })
}
