//! CREATE TABLE, DROP TABLE, TRUNCATE.

use super::depend::{Thing, drop_dependents};
use super::{notice, series, temporary, transaction};
use crate::bound::CreateTable;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, Relation, SequenceDef, TableDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, SqlState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes the table; None when it exists and IF NOT EXISTS was said.
pub(crate) async fn create_table(create: &CreateTable, ctx: &EvalContext) -> Result<Option<Arc<TableDef>>> {
    let txn = transaction(ctx)?;
    let schema = temporary::place(create.schema, ctx).await?;
    // DROP SCHEMA takes the schema for itself: a table cannot slip into it meanwhile.
    txn.lock_relation(schema, RelationLock::AccessShare, Wait::Block).await?;
    lock_relation_name(ctx, schema, &create.name).await?;
    let catalog = txn.catalog();
    if catalog.schema_by_oid(schema).is_none() {
        let text = format!("schema \"{}\" does not exist", create.schema_name);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    }
    if catalog.relation(schema, &create.name).is_some() {
        let text = format!("relation \"{}\" already exists", create.name);
        if create.if_not_exists {
            notice(ctx, SqlState::DUPLICATE_TABLE, format!("{text}, skipping"));
            return Ok(None);
        }
        return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
    }
    super::tell(&create.notices, ctx);
    let (table, sequences) = build(create, schema, ctx).await?;
    txn.lock_relation(table.oid, RelationLock::AccessExclusive, Wait::Block).await?;
    let mut edits: Vec<_> = sequences.into_iter().map(|s| CatalogEdit::Put(Object::Sequence(s))).collect();
    edits.push(CatalogEdit::Put(Object::Table(table.clone())));
    txn.edit_catalog(edits)?;
    series::define(&table, ctx)?;
    Ok(Some(Arc::new(table)))
}

pub(super) async fn lock_relation_name(ctx: &EvalContext, schema: Oid, name: &str) -> Result<()> {
    let mut key = schema.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    transaction(ctx)?.lock_name("relation", &key).await?;
    Ok(())
}

async fn build(create: &CreateTable, schema: Oid, ctx: &EvalContext) -> Result<(TableDef, Vec<SequenceDef>)> {
    let manager = transaction(ctx)?.manager();
    let mut table = TableDef {
        oid: manager.draw_oid().await?,
        schema,
        database: ctx.session.database_oid,
        name: create.name.clone(),
        storage: series::draw(create.series.is_some(), manager).await?,
        columns: create.columns.clone(),
        indexes: vec![],
        series: series::build(create, ctx).await?,
        constraints: vec![],
        comments: vec![],
        on_commit: create.on_commit,
    };
    let sequences = super::build::add(&mut table, create, ctx).await?;
    Ok((table, sequences))
}

/// Locks a table against everybody and reads it again; None when it is gone.
pub(super) async fn lock_table(table: &TableDef, ctx: &EvalContext) -> Result<Option<Arc<TableDef>>> {
    let txn = transaction(ctx)?;
    txn.lock_relation(table.oid, RelationLock::AccessExclusive, Wait::Block).await?;
    Ok(txn.catalog().table(table.oid))
}

fn missing_table(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("table \"{name}\" does not exist"))
}

pub(super) async fn drop_tables(
    tables: &[Arc<TableDef>],
    missing: &[String],
    cascade: bool,
    ctx: &EvalContext,
) -> Result<()> {
    for name in missing {
        notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("table \"{name}\" does not exist, skipping"));
    }
    for table in tables {
        lock_table(table, ctx).await?.ok_or_else(|| missing_table(&table.name))?;
    }
    let roots: Vec<Thing> = tables.iter().map(|t| Thing::Relation(t.oid)).collect();
    drop_dependents(&roots, cascade, ctx).await?;
    for table in tables {
        // The same table may be named twice.
        if let Some(now) = lock_table(table, ctx).await? {
            drop_table(&now, ctx)?;
        }
    }
    Ok(())
}

/// Removes a table that is locked against everybody.
pub(super) fn drop_table(table: &TableDef, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let owned = txn.catalog().owned_sequences(table.oid);
    let gone = owned.iter().map(|s| s.oid).chain([table.oid]);
    txn.edit_catalog(gone.map(CatalogEdit::Delete).collect())?;
    for storage in table.storages() {
        txn.drop_storage(storage)?;
    }
    Ok(())
}

pub(super) async fn truncate(tables: &[Arc<TableDef>], restart: bool, cascade: bool, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let tables = &with_referencing(tables, cascade, ctx).await?;
    let mut done = BTreeSet::new();
    for table in tables.iter().filter(|t| done.insert(t.oid)) {
        let now = lock_table(table, ctx).await?.ok_or_else(|| missing_table(&table.name))?;
        let mut fresh = (*now).clone();
        super::build::new_storages(&mut fresh, ctx).await?;
        series::define(&fresh, ctx)?;
        let mut edits = vec![CatalogEdit::Put(Object::Table(fresh))];
        for sequence in txn.catalog().owned_sequences(now.oid).iter().filter(|_| restart) {
            edits.push(CatalogEdit::Put(Object::Sequence(
                super::sequence::restarted(sequence, sequence.start, ctx).await?,
            )));
        }
        txn.edit_catalog(edits)?;
        for storage in now.storages() {
            txn.drop_storage(storage)?;
        }
    }
    Ok(())
}

/// The tables to truncate together: those that refer to one of them must be among them.
///
/// # Errors
/// `0A000` when one is not and CASCADE was not said.
async fn with_referencing(tables: &[Arc<TableDef>], cascade: bool, ctx: &EvalContext) -> Result<Vec<Arc<TableDef>>> {
    let txn = transaction(ctx)?;
    let mut all = tables.to_vec();
    let mut at = 0;
    while let Some(table) = all.get(at).cloned() {
        at += 1;
        lock_table(&table, ctx).await?;
        for other in txn.catalog().referencing(table.oid) {
            if all.iter().any(|t| t.oid == other.oid) {
                continue;
            }
            if !cascade {
                let text = "cannot truncate a table referenced in a foreign key constraint";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                    .detail(format!("Table \"{}\" references \"{}\".", other.name, table.name))
                    .hint(format!(
                        "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                        other.name
                    )));
            }
            notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("truncate cascades to table \"{}\"", other.name));
            all.push(other);
        }
    }
    Ok(all)
}

/// The tables of a schema.
pub(super) fn tables_of(catalog: &CatalogSnapshot, database: Oid, schema: Oid) -> Vec<Arc<TableDef>> {
    let mut tables: Vec<_> = catalog.tables(database).into_iter().filter(|t| t.schema == schema).collect();
    tables.retain(|t| matches!(catalog.relation(schema, &t.name), Some(Relation::Table(_))));
    tables
}

/// Locks and drops a table on behalf of its schema or database.
pub(super) async fn drop_contained(table: &TableDef, ctx: &EvalContext) -> Result<()> {
    match lock_table(table, ctx).await? {
        Some(now) => drop_table(&now, ctx),
        None => Ok(()),
    }
}
