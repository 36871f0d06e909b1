//! Schemas and databases.

use super::depend::{Link, Thing, described, lock_dependents, refusal, remove, tell_cascade};
use super::table::{drop_contained, tables_of};
use super::{notice, transaction};
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, DatabaseDef, Object, SchemaDef, SeriesDefaults};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, SqlState};

pub(super) async fn lock_schema_name(ctx: &EvalContext, name: &str) -> Result<()> {
    let mut key = ctx.session.database_oid.0.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    transaction(ctx)?.lock_name("schema", &key).await?;
    Ok(())
}

pub(super) async fn create_schema(name: &str, if_not_exists: bool, ctx: &EvalContext) -> Result<()> {
    if name.starts_with("pg_") {
        return Err(Error::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{name}\""))
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    let txn = transaction(ctx)?;
    lock_schema_name(ctx, name).await?;
    if txn.catalog().schema(ctx.session.database_oid, name).is_some() {
        let text = format!("schema \"{name}\" already exists");
        if if_not_exists {
            notice(ctx, SqlState::DUPLICATE_SCHEMA, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_SCHEMA, text));
    }
    let oid = txn.manager().draw_oid().await?;
    let schema = SchemaDef { oid, database: ctx.session.database_oid, name: name.to_owned(), comments: vec![] };
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Schema(schema))])
}

pub(super) async fn drop_schemas(names: &[String], if_exists: bool, cascade: bool, ctx: &EvalContext) -> Result<()> {
    for name in names {
        lock_schema_name(ctx, name).await?;
        let Some(schema) = transaction(ctx)?.catalog().schema(ctx.session.database_oid, name) else {
            let text = format!("schema \"{name}\" does not exist");
            if if_exists {
                notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("{text}, skipping"));
                continue;
            }
            return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
        };
        drop_schema(&schema, cascade, ctx).await?;
    }
    Ok(())
}

async fn drop_schema(schema: &SchemaDef, cascade: bool, ctx: &EvalContext) -> Result<()> {
    if schema.oid < Oid(2200) || schema.database == Oid(0) {
        let text = format!("cannot drop schema {} because it is required by the database system", schema.name);
        return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text));
    }
    let txn = transaction(ctx)?;
    txn.lock_relation(schema.oid, RelationLock::AccessExclusive, Wait::Block).await?;
    let inside = contents(schema, &txn.catalog(), ctx);
    for thing in &inside {
        if let Thing::Relation(oid) = thing {
            txn.lock_relation(*oid, RelationLock::AccessExclusive, Wait::Block).await?;
        }
    }
    // Views, defaults and foreign keys of other schemas may use what is here.
    let users = lock_dependents(&inside, ctx).await?;
    let now = txn.catalog();
    let name = |t: Thing| described(t, &now, ctx);
    let told = users.iter().filter(|(_, _, link)| *link == Link::Normal);
    if !inside.is_empty() && !cascade {
        let text = format!("cannot drop schema {} because other objects depend on it", schema.name);
        let own = inside.iter().map(|t| format!("{} depends on schema {}", name(*t), schema.name));
        return Err(refusal(
            text,
            own.chain(told.map(|(who, on, _)| format!("{} depends on {}", name(*who), name(*on)))),
        ));
    }
    tell_cascade(inside.iter().copied().chain(told.map(|(who, _, _)| *who)).map(name).collect(), ctx);
    remove(users.iter().map(|(who, _, _)| *who), ctx)?;
    for thing in &inside {
        match *thing {
            Thing::Relation(oid) => match now.table(oid) {
                Some(table) => drop_contained(&table, ctx).await?,
                None => txn.edit_catalog(vec![CatalogEdit::Delete(oid)])?,
            },
            _ => return Err(Error::internal("a schema holds relations only")),
        }
    }
    txn.edit_catalog(vec![CatalogEdit::Delete(schema.oid)])
}

/// The relations of a schema but for those that go with another one: tables, views, sequences.
fn contents(schema: &SchemaDef, catalog: &CatalogSnapshot, ctx: &EvalContext) -> Vec<Thing> {
    let database = ctx.session.database_oid;
    let tables = tables_of(catalog, database, schema.oid).into_iter().map(|t| t.oid);
    let views = catalog.views(database).into_iter().filter(|v| v.schema == schema.oid).map(|v| v.oid);
    let free = catalog.sequences(database).into_iter().filter(|s| s.schema == schema.oid && s.owner.is_none());
    tables.chain(views).chain(free.map(|s| s.oid)).map(Thing::Relation).collect()
}

pub(super) async fn create_database(
    name: &str,
    if_not_exists: bool,
    series: Option<SeriesDefaults>,
    ctx: &EvalContext,
) -> Result<()> {
    let txn = transaction(ctx)?;
    txn.lock_name("database", name.as_bytes()).await?;
    if txn.catalog().database(name).is_some() {
        let text = format!("database \"{name}\" already exists");
        if if_not_exists {
            notice(ctx, SqlState::DUPLICATE_DATABASE, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_DATABASE, text));
    }
    let database =
        DatabaseDef { oid: txn.manager().draw_oid().await?, name: name.to_owned(), series, comments: vec![] };
    let public = SchemaDef {
        oid: txn.manager().draw_oid().await?,
        database: database.oid,
        name: "public".to_owned(),
        comments: vec![],
    };
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Database(database)), CatalogEdit::Put(Object::Schema(public))])
}

pub(super) async fn drop_database(name: &str, if_exists: bool, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    txn.lock_name("database", name.as_bytes()).await?;
    let catalog = txn.catalog();
    let Some(database) = catalog.database(name) else {
        let text = format!("database \"{name}\" does not exist");
        if if_exists {
            notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::INVALID_CATALOG_NAME, text));
    };
    if database.oid == ctx.session.database_oid {
        return Err(Error::new(SqlState::OBJECT_IN_USE, "cannot drop the currently open database"));
    }
    let views = catalog.views(database.oid).into_iter().map(|v| v.oid);
    let sequences = catalog.sequences(database.oid).into_iter().map(|s| s.oid);
    txn.edit_catalog(views.chain(sequences).map(CatalogEdit::Delete).collect())?;
    for table in catalog.tables(database.oid) {
        drop_contained(&table, ctx).await?;
    }
    let mut edits: Vec<CatalogEdit> = catalog
        .schemas(database.oid)
        .iter()
        .filter(|s| s.database == database.oid)
        .map(|s| CatalogEdit::Delete(s.oid))
        .collect();
    edits.push(CatalogEdit::Delete(database.oid));
    txn.edit_catalog(edits)
}
