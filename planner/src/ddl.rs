//! Bound DDL to catalog edits under locks.
//!
//! Called by [`crate::exec`]. Object names are locked before they are looked up in the newest catalog, so that two sessions cannot both
//! create one; relations that are dropped or truncated are already locked in ACCESS EXCLUSIVE mode (`Bound::locks`).

use crate::bound::{CreateTable, Ddl};
use crate::context::EvalContext;
use heddle_catalog::{
    CatalogEdit, CatalogSnapshot, DatabaseDef, IndexColumn, IndexDef, IndexState, Object, SchemaDef, TableDef,
};
use heddle_txn::Transaction;
use heddle_types::{Error, Oid, Result, Severity, SqlState, key::KeyOrder};
use std::sync::Arc;

/// Longest identifier in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Carries out `ddl` inside `ctx.txn`. CREATE TABLE AS only creates the table here; filling it is the executor's.
///
/// # Errors
/// `42P07`, `42P06`, `42P04`, `3F000`, `3D000`, `42P01` with notices for IF [NOT] EXISTS; `2BP01` without CASCADE.
pub async fn execute(ddl: &Ddl, ctx: &EvalContext) -> Result<()> {
    match ddl {
        Ddl::CreateTable(create) => create_table(create, ctx).await.map(|_| ()),
        Ddl::DropTable { tables, missing, .. } => {
            for name in missing {
                notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("table \"{name}\" does not exist, skipping"));
            }
            tables.iter().try_for_each(|t| drop_table(t, txn(ctx)?))
        }
        Ddl::Truncate { tables, .. } => {
            for table in tables {
                truncate(table, ctx).await?;
            }
            Ok(())
        }
        Ddl::CreateSchema { name, if_not_exists } => create_schema(name, *if_not_exists, ctx).await,
        Ddl::DropSchema { names, if_exists, cascade } => {
            for name in names {
                drop_schema(name, *if_exists, *cascade, ctx).await?;
            }
            Ok(())
        }
        Ddl::CreateDatabase { name } => create_database(name, ctx).await,
        Ddl::DropDatabase { name, if_exists, .. } => drop_database(name, *if_exists, ctx).await,
    }
}

fn txn(ctx: &EvalContext) -> Result<&Arc<Transaction>> {
    ctx.txn.as_ref().ok_or_else(|| Error::internal("DDL outside of a transaction"))
}

fn newest(txn: &Arc<Transaction>) -> Arc<CatalogSnapshot> {
    Arc::clone(txn.newest().catalog())
}

fn notice(ctx: &EvalContext, code: SqlState, text: String) {
    (ctx.session.notice)(Error::notice(Severity::Notice, code, text));
}

/// Relation names are unique per schema, whatever the relation is.
async fn lock_relation_name(txn: &Transaction, schema: Oid, name: &str) -> Result<()> {
    let mut key = schema.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    txn.lock_name("relation", &key).await.map(|_| ())
}

/// Creates a table; None when it exists and IF NOT EXISTS was said.
pub async fn create_table(create: &CreateTable, ctx: &EvalContext) -> Result<Option<Arc<TableDef>>> {
    let txn = txn(ctx)?;
    lock_relation_name(txn, create.schema, &create.name).await?;
    let catalog = newest(txn);
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
    let manager = Arc::clone(txn.manager());
    let mut table = TableDef {
        oid: manager.draw_oid().await?,
        schema: create.schema,
        database: ctx.session.database_oid,
        name: create.name.clone(),
        storage: manager.draw_storage().await?,
        columns: create.columns.clone(),
        indexes: vec![],
    };
    for (name, columns, primary) in &create.keys {
        add_key(&mut table, name.as_deref(), columns, *primary, &catalog, txn).await?;
    }
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(table.clone()))])?;
    Ok(Some(newest(txn).table(table.oid).unwrap_or_else(|| Arc::new(table))))
}

/// Adds PRIMARY KEY or UNIQUE to a table in the making.
async fn add_key(
    table: &mut TableDef,
    name: Option<&str>,
    columns: &[usize],
    primary: bool,
    catalog: &CatalogSnapshot,
    txn: &Arc<Transaction>,
) -> Result<()> {
    let taken = |n: &str, t: &TableDef| {
        n == t.name || t.indexes.iter().any(|i| i.name == n) || catalog.relation(t.schema, n).is_some()
    };
    let name = match name {
        Some(given) if taken(given, table) => {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{given}\" already exists")));
        }
        Some(given) => given.to_owned(),
        None => {
            let names: Vec<&str> = columns.iter().map(|c| table.columns[*c].name.as_str()).collect();
            let (middle, label) = if primary { (String::new(), "pkey") } else { (names.join("_"), "key") };
            choose_name(&table.name, &middle, label, |n| taken(n, table))
        }
    };
    lock_relation_name(txn, table.schema, &name).await?;
    let manager = txn.manager();
    if primary {
        columns.iter().for_each(|c| table.columns[*c].not_null = true);
    }
    let key_column = |c: &usize| IndexColumn { attnum: table.columns[*c].attnum, order: KeyOrder::default() };
    let index = IndexDef {
        oid: manager.draw_oid().await?,
        name,
        storage: if primary { None } else { Some(manager.draw_storage().await?) },
        columns: columns.iter().map(key_column).collect(),
        unique: true,
        primary,
        constraint: Some(manager.draw_oid().await?),
        state: IndexState::Valid,
    };
    table.indexes.push(index);
    Ok(())
}

/// `table_columns_label`, shortened to 63 bytes by cutting the longer part, numbered when taken (PostgreSQL's ChooseRelationName).
fn choose_name(table: &str, middle: &str, label: &str, taken: impl Fn(&str) -> bool) -> String {
    (0u32..)
        .map(|n| {
            let label = if n == 0 { label.to_owned() } else { format!("{label}{n}") };
            let separators = 1 + usize::from(!middle.is_empty());
            let (mut a, mut b) = (table.to_owned(), middle.to_owned());
            while a.len() + b.len() + label.len() + separators > NAME_BYTES_MAX {
                if a.len() > b.len() { a.pop() } else { b.pop() };
            }
            if b.is_empty() { format!("{a}_{label}") } else { format!("{a}_{b}_{label}") }
        })
        .find(|name| !taken(name))
        .expect("there are more numbers than relations")
}

fn drop_table(table: &TableDef, txn: &Arc<Transaction>) -> Result<()> {
    txn.edit_catalog(vec![CatalogEdit::Delete(table.oid)])?;
    drop_storages(table, txn)
}

fn drop_storages(table: &TableDef, txn: &Arc<Transaction>) -> Result<()> {
    txn.drop_storage(table.storage)?;
    table.indexes.iter().filter_map(|i| i.storage).try_for_each(|s| txn.drop_storage(s))
}

/// Gives the table and its indexes new, empty storages.
async fn truncate(table: &Arc<TableDef>, ctx: &EvalContext) -> Result<()> {
    let txn = txn(ctx)?;
    let manager = Arc::clone(txn.manager());
    let current = newest(txn).table(table.oid).unwrap_or_else(|| Arc::clone(table));
    let mut fresh = (*current).clone();
    fresh.storage = manager.draw_storage().await?;
    for index in &mut fresh.indexes {
        if index.storage.is_some() {
            index.storage = Some(manager.draw_storage().await?);
        }
    }
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(fresh))])?;
    drop_storages(&current, txn)
}

async fn lock_schema_name(ctx: &EvalContext, name: &str) -> Result<()> {
    let mut key = ctx.session.database_oid.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    txn(ctx)?.lock_name("schema", &key).await.map(|_| ())
}

async fn create_schema(name: &str, if_not_exists: bool, ctx: &EvalContext) -> Result<()> {
    if name.starts_with("pg_") {
        let e = Error::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{name}\""));
        return Err(e.detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    let txn = txn(ctx)?;
    lock_schema_name(ctx, name).await?;
    if newest(txn).schema(ctx.session.database_oid, name).is_some() {
        let text = format!("schema \"{name}\" already exists");
        if if_not_exists {
            notice(ctx, SqlState::DUPLICATE_SCHEMA, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_SCHEMA, text));
    }
    let oid = txn.manager().draw_oid().await?;
    let schema = SchemaDef { oid, database: ctx.session.database_oid, name: name.to_owned() };
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Schema(schema))])
}

async fn drop_schema(name: &str, if_exists: bool, cascade: bool, ctx: &EvalContext) -> Result<()> {
    let txn = txn(ctx)?;
    lock_schema_name(ctx, name).await?;
    let catalog = newest(txn);
    let Some(schema) = catalog.schema(ctx.session.database_oid, name) else {
        let text = format!("schema \"{name}\" does not exist");
        if if_exists {
            notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    };
    if schema.oid == heddle_catalog::PG_CATALOG || schema.oid == heddle_catalog::INFORMATION_SCHEMA {
        let text = format!("cannot drop schema {name} because it is required by the database system");
        return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text));
    }
    let tables: Vec<_> =
        catalog.tables(ctx.session.database_oid).into_iter().filter(|t| t.schema == schema.oid).collect();
    if !tables.is_empty() && !cascade {
        let lines: Vec<String> =
            tables.iter().map(|t| format!("table {name}.{} depends on schema {name}", t.name)).collect();
        let text = format!("cannot drop schema {name} because other objects depend on it");
        return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
            .detail(lines.join("\n"))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for table in &tables {
        txn.lock_relation(table.oid, heddle_txn::RelationLock::AccessExclusive, heddle_txn::Wait::Block).await?;
        drop_table(table, txn)?;
    }
    match &tables[..] {
        [] => {}
        [one] => notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("drop cascades to table {name}.{}", one.name)),
        many => {
            let lines: Vec<String> = many.iter().map(|t| format!("drop cascades to table {name}.{}", t.name)).collect();
            let text = format!("drop cascades to {} other objects", many.len());
            let n = Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text).detail(lines.join("\n"));
            (ctx.session.notice)(n);
        }
    }
    txn.edit_catalog(vec![CatalogEdit::Delete(schema.oid)])
}

async fn create_database(name: &str, ctx: &EvalContext) -> Result<()> {
    let txn = txn(ctx)?;
    txn.lock_name("database", name.as_bytes()).await?;
    if newest(txn).database(name).is_some() {
        let text = format!("database \"{name}\" already exists");
        return Err(Error::new(SqlState::DUPLICATE_DATABASE, text));
    }
    let manager = Arc::clone(txn.manager());
    let database = DatabaseDef { oid: manager.draw_oid().await?, name: name.to_owned() };
    let public = SchemaDef { oid: manager.draw_oid().await?, database: database.oid, name: "public".to_owned() };
    txn.edit_catalog(vec![
        CatalogEdit::Put(Object::Database(database)),
        CatalogEdit::Put(Object::Schema(public)),
    ])
}

async fn drop_database(name: &str, if_exists: bool, ctx: &EvalContext) -> Result<()> {
    let txn = txn(ctx)?;
    txn.lock_name("database", name.as_bytes()).await?;
    let catalog = newest(txn);
    let Some(database) = catalog.database(name) else {
        let text = format!("database \"{name}\" does not exist");
        if if_exists {
            notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::INVALID_CATALOG_NAME, text));
    };
    for table in catalog.tables(database.oid) {
        drop_table(&table, txn)?;
    }
    let own = |s: &&Arc<SchemaDef>| s.database == database.oid;
    let schemas = catalog.schemas(database.oid);
    let mut edits: Vec<_> = schemas.iter().filter(own).map(|s| CatalogEdit::Delete(s.oid)).collect();
    edits.push(CatalogEdit::Delete(database.oid));
    txn.edit_catalog(edits)
}

#[cfg(test)]
mod tests {
    use super::choose_name;

    #[test]
    fn names_are_postgresqls() {
        assert_eq!(choose_name("t", "", "pkey", |_| false), "t_pkey");
        assert_eq!(choose_name("t", "a_b", "key", |n| n == "t_a_b_key"), "t_a_b_key1");
        let long = "x".repeat(70);
        assert_eq!(choose_name(&long[..63], "", "pkey", |_| false).len(), 63);
    }
}
