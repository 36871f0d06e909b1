//! The time-series side of CREATE TABLE, TRUNCATE and ALTER TABLE.
//!
//! Invariant: a time-series storage is defined in the write set that makes it, before any point of it.

use super::table::lock_table;
use super::{notice, transaction};
use crate::bound::CreateTable;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, Object, Retention, SeriesDef, TableDef};
use heddle_txn::TxnManager;
use heddle_types::{Error, Result, SqlState, StorageId};
use std::sync::Arc;

/// A new storage of the engine that the table belongs to.
pub(super) async fn draw(series: bool, manager: &Arc<TxnManager>) -> Result<StorageId> {
    let drawn = manager.draw_storage().await?;
    Ok(if series { StorageId::series(drawn) } else { drawn })
}

/// The definition of a new table's time-series side.
pub(super) async fn build(create: &CreateTable, ctx: &EvalContext) -> Result<Option<SeriesDef>> {
    let Some(series) = &create.series else { return Ok(None) };
    for what in &series.ignored {
        notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("{what} has no effect"));
    }
    let attnum = |i: &usize| *i as i16 + 1;
    Ok(Some(SeriesDef {
        time: attnum(&series.time),
        primary_tags: series.primary_tags.iter().map(attnum).collect(),
        tags: series.tags.iter().map(attnum).collect(),
        tags_storage: transaction(ctx)?.manager().draw_storage().await?,
        retention: series.retention,
        partition: series.partition,
    }))
}

/// Tells the engine what a table's points look like; nothing for a relational table.
pub(super) fn define(table: &TableDef, ctx: &EvalContext) -> Result<()> {
    match table.series_layout() {
        Some(layout) => transaction(ctx)?.define_series(table.storage, &layout),
        None => Ok(()),
    }
}

pub(super) async fn set_retention(table: &TableDef, retention: Option<Retention>, ctx: &EvalContext) -> Result<()> {
    let gone = || Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", table.name));
    let mut now = (*lock_table(table, ctx).await?.ok_or_else(gone)?).clone();
    if let Some(series) = &mut now.series {
        series.retention = retention;
    }
    transaction(ctx)?.edit_catalog(vec![CatalogEdit::Put(Object::Table(now))])
}
