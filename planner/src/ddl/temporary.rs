//! Temporary tables, views and sequences. They live in a schema of their session's own, `pg_temp_` and its number, which is made with
//! the first of them, and are logged like others. The session drops them when it ends, the server drops what is left when it starts.

use super::depend::{Thing, drop_dependents};
use super::table::{drop_table, tables_of, truncate};
use super::transaction;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, Object, OnCommit, SchemaDef, TableDef};
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::Transaction;
use heddle_types::{Oid, Result};
use std::sync::Arc;

/// Where a bound statement makes temporary objects while the session has no schema for them yet.
pub(crate) const TO_BE_MADE: Oid = Oid(0);

/// The schema to make an object in: `schema`, or the session's own, made now.
pub(super) async fn place(schema: Oid, ctx: &EvalContext) -> Result<Oid> {
    if schema != TO_BE_MADE {
        return Ok(schema);
    }
    let name = ctx.session.temporary_schema();
    super::database::lock_schema_name(ctx, &name).await?;
    let (txn, database) = (transaction(ctx)?, ctx.session.database_oid);
    if let Some(there) = txn.catalog().schema(database, &name) {
        return Ok(there.oid);
    }
    let oid = txn.manager().draw_oid().await?;
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Schema(SchemaDef { oid, database, name, comments: vec![] }))])?;
    ctx.session.temporary.store(true, std::sync::atomic::Ordering::Relaxed);
    Ok(oid)
}

/// What ON COMMIT says of the session's temporary tables, at the end of the transaction in `ctx`.
///
/// # Errors
/// `0A000` when a table that keeps its rows refers to one that loses them.
pub async fn before_commit(ctx: &EvalContext) -> Result<()> {
    let (txn, database) = (transaction(ctx)?, ctx.session.database_oid);
    let catalog = txn.catalog();
    let Some(schema) = catalog.schema(database, &ctx.session.temporary_schema()) else { return Ok(()) };
    if txn.read_only() {
        return Ok(());
    }
    let tables = tables_of(&catalog, database, schema.oid);
    let emptied: Vec<Arc<TableDef>> = tables.iter().filter(|t| t.on_commit == OnCommit::DeleteRows).cloned().collect();
    let filled = emptied.iter().map(|t| has_rows(t, txn)).collect::<Result<Vec<bool>>>()?;
    if filled.contains(&true) {
        // All of them: they may refer to each other.
        truncate(&emptied, false, false, ctx).await?;
    }
    for table in tables.iter().filter(|t| t.on_commit == OnCommit::Drop) {
        drop_dependents(&[Thing::Relation(table.oid)], true, ctx).await?;
        if let Some(now) = txn.catalog().table(table.oid) {
            drop_table(&now, ctx)?;
        }
    }
    Ok(())
}

fn has_rows(table: &TableDef, txn: &Arc<Transaction>) -> Result<bool> {
    let newest = txn.newest();
    let mut rows = Vec::new();
    newest.scan(table.storage, KeyRange::all(), false)?.next_batch(1, &mut rows)?;
    Ok(!rows.is_empty())
}

/// Drops a schema of temporary objects with everything in it.
///
/// # Errors
/// Those of the write set.
pub fn clear(schema: &SchemaDef, txn: &Transaction) -> Result<()> {
    let catalog = txn.catalog();
    let mut edits = vec![CatalogEdit::Delete(schema.oid)];
    for table in catalog.tables(schema.database).iter().filter(|t| t.schema == schema.oid) {
        edits.push(CatalogEdit::Delete(table.oid));
        for storage in table.storages() {
            txn.drop_storage(storage)?;
        }
    }
    let views = catalog.views(schema.database).into_iter().filter(|v| v.schema == schema.oid).map(|v| v.oid);
    let sequences = catalog.sequences(schema.database).into_iter().filter(|s| s.schema == schema.oid).map(|s| s.oid);
    edits.extend(views.chain(sequences).map(CatalogEdit::Delete));
    txn.edit_catalog(edits)
}
