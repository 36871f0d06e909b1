//! CREATE TABLE, DROP TABLE, TRUNCATE.

use super::{names, notice, series, transaction};
use crate::bound::CreateTable;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, IndexColumn, IndexDef, IndexState, Object, Relation, TableDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::key::KeyOrder;
use heddle_types::{Error, Oid, Result, SqlState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Makes the table; None when it exists and IF NOT EXISTS was said.
pub(crate) async fn create_table(create: &CreateTable, ctx: &EvalContext) -> Result<Option<Arc<TableDef>>> {
    let txn = transaction(ctx)?;
    // DROP SCHEMA takes the schema for itself: a table cannot slip into it meanwhile.
    txn.lock_relation(create.schema, RelationLock::AccessShare, Wait::Block).await?;
    lock_relation_name(ctx, create.schema, &create.name).await?;
    let catalog = txn.catalog();
    if catalog.schema_by_oid(create.schema).is_none() {
        let text = format!("schema \"{}\" does not exist", create.schema_name);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    }
    if catalog.relation(create.schema, &create.name).is_some() {
        let text = format!("relation \"{}\" already exists", create.name);
        if create.if_not_exists {
            notice(ctx, SqlState::DUPLICATE_TABLE, format!("{text}, skipping"));
            return Ok(None);
        }
        return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
    }
    let table = build(create, ctx, &catalog).await?;
    txn.lock_relation(table.oid, RelationLock::AccessExclusive, Wait::Block).await?;
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(table.clone()))])?;
    series::define(&table, ctx)?;
    Ok(Some(Arc::new(table)))
}

pub(super) async fn lock_relation_name(ctx: &EvalContext, schema: Oid, name: &str) -> Result<()> {
    let mut key = schema.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    transaction(ctx)?.lock_name("relation", &key).await?;
    Ok(())
}

async fn build(create: &CreateTable, ctx: &EvalContext, catalog: &CatalogSnapshot) -> Result<TableDef> {
    let manager = transaction(ctx)?.manager();
    let mut columns = create.columns.clone();
    for (i, column) in columns.iter_mut().enumerate() {
        column.attnum = i as i16 + 1;
        column.not_null |= create.keys.iter().any(|(_, key, primary)| *primary && key.contains(&i));
    }
    let mut table = TableDef {
        oid: manager.draw_oid().await?,
        schema: create.schema,
        database: ctx.session.database_oid,
        name: create.name.clone(),
        storage: series::draw(create.series.is_some(), manager).await?,
        columns,
        indexes: vec![],
        series: series::build(create, ctx).await?,
    };
    let mut used = BTreeSet::from([create.name.clone()]);
    // The primary key comes first, as in PostgreSQL.
    let mut keys: Vec<_> = create.keys.iter().collect();
    keys.sort_by_key(|(_, _, primary)| !*primary);
    for (name, key, primary) in keys {
        let name = index_name(create, name.as_deref(), key, *primary, &used, catalog)?;
        lock_relation_name(ctx, create.schema, &name).await?;
        if transaction(ctx)?.catalog().relation(create.schema, &name).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
        }
        used.insert(name.clone());
        let columns = key.iter().map(|i| IndexColumn { attnum: *i as i16 + 1, order: KeyOrder::default() }).collect();
        table.indexes.push(IndexDef {
            oid: manager.draw_oid().await?,
            name,
            storage: if *primary { None } else { Some(manager.draw_storage().await?) },
            columns,
            unique: true,
            primary: *primary,
            constraint: Some(manager.draw_oid().await?),
            state: IndexState::Valid,
        });
    }
    Ok(table)
}

fn index_name(
    create: &CreateTable,
    given: Option<&str>,
    key: &[usize],
    primary: bool,
    used: &BTreeSet<String>,
    catalog: &CatalogSnapshot,
) -> Result<String> {
    let taken = |n: &str| used.contains(n) || catalog.relation(create.schema, n).is_some();
    match given {
        Some(name) if taken(name) => {
            Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")))
        }
        Some(name) => Ok(name.to_owned()),
        None if primary => Ok(names::choose(&create.name, None, "pkey", &taken)),
        None => {
            let columns = names::columns(key.iter().map(|i| create.columns[*i].name.as_str()));
            Ok(names::choose(&create.name, Some(&columns), "key", &taken))
        }
    }
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
    super::view::drop_dependents(&tables.iter().map(|t| t.oid).collect::<Vec<_>>(), cascade, ctx).await?;
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
    txn.edit_catalog(vec![CatalogEdit::Delete(table.oid)])?;
    for storage in table.storages() {
        txn.drop_storage(storage)?;
    }
    Ok(())
}

pub(super) async fn truncate(tables: &[Arc<TableDef>], ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let mut done = BTreeSet::new();
    for table in tables.iter().filter(|t| done.insert(t.oid)) {
        let now = lock_table(table, ctx).await?.ok_or_else(|| missing_table(&table.name))?;
        let mut fresh = (*now).clone();
        fresh.storage = series::draw(fresh.series.is_some(), txn.manager()).await?;
        if let Some(series) = &mut fresh.series {
            series.tags_storage = txn.manager().draw_storage().await?;
        }
        for index in fresh.indexes.iter_mut().filter(|i| i.storage.is_some()) {
            index.storage = Some(txn.manager().draw_storage().await?);
        }
        series::define(&fresh, ctx)?;
        txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(fresh))])?;
        for storage in now.storages() {
            txn.drop_storage(storage)?;
        }
    }
    Ok(())
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
