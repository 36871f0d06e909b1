//! CREATE INDEX and DROP INDEX.
//!
//! An index is built inside the transaction that makes it: its table is locked against writers, every row of the newest state
//! gets its entry, and definition and entries commit together. Transactions with an older snapshot do not see the index at all.

use super::depend::{Thing, drop_dependents};
use super::{names, notice, transaction};
use crate::bound::CreateIndex;
use crate::context::EvalContext;
use crate::exec::{IndexBuild, TableWriter};
use heddle_catalog::{CatalogEdit, IndexColumn, IndexDef, IndexState, Object, TableDef};
use heddle_engines::{KeyRange, RowReader};
use heddle_types::{Error, Oid, Result, SqlState};
use std::sync::Arc;

/// Rows read at once while an index is built.
const BUILD_BATCH_ROWS: usize = 8192;

/// Makes an index and fills it. The table is locked (SHARE ROW EXCLUSIVE).
pub(super) async fn create_index(create: &CreateIndex, ctx: &Arc<EvalContext>) -> Result<()> {
    let txn = transaction(ctx)?;
    super::tell(&create.notices, ctx);
    let Some(name) = free_name(create, ctx).await? else { return Ok(()) };
    let mut table = current(create.table.oid, &create.table.name, ctx)?;
    let manager = txn.manager();
    let key = |(i, order): &(usize, _)| IndexColumn { attnum: table.columns[*i].attnum, order: *order };
    let index = IndexDef {
        oid: manager.draw_oid().await?,
        name,
        storage: Some(manager.draw_storage().await?),
        columns: create.columns.iter().map(key).collect(),
        unique: create.unique,
        primary: false,
        constraint: None,
        state: IndexState::Valid,
        deferrable: None,
    };
    table.indexes.push(index.clone());
    let table = Arc::new(table);
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Table((*table).clone()))])?;
    fill(table, &index, ctx).await
}

/// The new index's name, locked; None when it exists and IF NOT EXISTS was said.
async fn free_name(create: &CreateIndex, ctx: &EvalContext) -> Result<Option<String>> {
    let (txn, schema) = (transaction(ctx)?, create.table.schema);
    let taken = |n: &str| txn.catalog().relation(schema, n).is_some();
    let Some(name) = &create.name else {
        let columns = names::columns(create.columns.iter().map(|(i, _)| create.table.columns[*i].name.as_str()));
        loop {
            let name = names::choose(&create.table.name, Some(&columns), "idx", &taken);
            super::table::lock_relation_name(ctx, schema, &name).await?;
            if !taken(&name) {
                return Ok(Some(name));
            }
        }
    };
    super::table::lock_relation_name(ctx, schema, name).await?;
    if !taken(name) {
        return Ok(Some(name.clone()));
    }
    let text = format!("relation \"{name}\" already exists");
    if create.if_not_exists {
        notice(ctx, SqlState::DUPLICATE_TABLE, format!("{text}, skipping"));
        return Ok(None);
    }
    Err(Error::new(SqlState::DUPLICATE_TABLE, text))
}

/// The table as it is now, under our lock.
fn current(oid: Oid, name: &str, ctx: &EvalContext) -> Result<TableDef> {
    let gone = || Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"));
    transaction(ctx)?.catalog().table(oid).map(|t| (*t).clone()).ok_or_else(gone)
}

pub(super) async fn fill(table: Arc<TableDef>, index: &IndexDef, ctx: &Arc<EvalContext>) -> Result<()> {
    let writer = TableWriter::new(Arc::clone(&table), Arc::clone(ctx))?;
    let newest = writer.txn.newest();
    let mut cursor = newest.scan(table.storage, KeyRange::all(), false)?;
    let mut build = IndexBuild::new(&writer, index)?;
    loop {
        let more = cursor.visit(BUILD_BATCH_ROWS, &mut |key, _, row| build.add(key, row))?;
        build.write(!more, &*newest).await?;
        if !more {
            return Ok(());
        }
        if let Some(error) = ctx.interrupted() {
            return Err(error);
        }
        writer.txn.throttle().await?;
        tokio::task::yield_now().await;
    }
}

pub(super) async fn drop_indexes(
    indexes: &[(Arc<TableDef>, Oid)],
    missing: &[String],
    ctx: &EvalContext,
) -> Result<()> {
    for name in missing {
        notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("index \"{name}\" does not exist, skipping"));
    }
    for (table, oid) in indexes {
        let mut now = current(table.oid, &table.name, ctx)?;
        // The same index may be named twice.
        if !now.indexes.iter().any(|i| i.oid == *oid) {
            continue;
        }
        drop_dependents(&[Thing::Relation(*oid)], false, ctx).await?;
        now = current(table.oid, &table.name, ctx)?;
        let Some(at) = now.indexes.iter().position(|i| i.oid == *oid) else { continue };
        now.comments.retain(|c| c.on != *oid);
        let index = now.indexes.remove(at);
        let txn = transaction(ctx)?;
        txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(now))])?;
        if let Some(storage) = index.storage {
            txn.drop_storage(storage)?;
        }
    }
    Ok(())
}
