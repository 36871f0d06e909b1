//! Schemas and databases.

use super::table::{drop_contained, tables_of};
use super::view::{delete_views, described, lines, lock_dependents, tell_cascade};
use super::{notice, transaction};
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, DatabaseDef, Object, SchemaDef, SeriesDefaults};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, SqlState};

async fn lock_schema_name(ctx: &EvalContext, name: &str) -> Result<()> {
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
    let schema = SchemaDef { oid, database: ctx.session.database_oid, name: name.to_owned() };
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
    let catalog = txn.catalog();
    let tables = tables_of(&catalog, ctx.session.database_oid, schema.oid);
    let views: Vec<_> =
        catalog.views(ctx.session.database_oid).into_iter().filter(|v| v.schema == schema.oid).collect();
    let inside: Vec<Oid> = tables.iter().map(|t| t.oid).chain(views.iter().map(|v| v.oid)).collect();
    if !inside.is_empty() && !cascade {
        return Err(not_empty(schema, &inside, ctx).await?);
    }
    for oid in &inside {
        txn.lock_relation(*oid, RelationLock::AccessExclusive, Wait::Block).await?;
    }
    // Views of other schemas may use what is here.
    let users = lock_dependents(&inside, true, ctx).await?;
    let now = txn.catalog();
    let gone: Vec<Oid> = inside.iter().copied().chain(users.iter().map(|(v, _)| v.oid)).collect();
    tell_cascade(gone.iter().map(|oid| described(*oid, &now, ctx)).collect(), ctx);
    delete_views(gone.iter().copied().filter(|oid| now.view(*oid).is_some()), ctx)?;
    for table in &tables {
        drop_contained(table, ctx).await?;
    }
    txn.edit_catalog(vec![CatalogEdit::Delete(schema.oid)])
}

async fn not_empty(schema: &SchemaDef, inside: &[Oid], ctx: &EvalContext) -> Result<Error> {
    let catalog = transaction(ctx)?.catalog();
    let depends = |oid: &Oid| format!("{} depends on schema {}", described(*oid, &catalog, ctx), schema.name);
    let text = format!("cannot drop schema {} because other objects depend on it", schema.name);
    let users = lock_dependents(inside, false, ctx).await?;
    let uses = |(v, on): &(std::sync::Arc<heddle_catalog::ViewDef>, Oid)| {
        format!("{} depends on {}", described(v.oid, &catalog, ctx), described(*on, &catalog, ctx))
    };
    Ok(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
        .detail(lines(inside.iter().map(depends).chain(users.iter().map(uses))))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."))
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
    let database = DatabaseDef { oid: txn.manager().draw_oid().await?, name: name.to_owned(), series };
    let public = SchemaDef { oid: txn.manager().draw_oid().await?, database: database.oid, name: "public".to_owned() };
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
    delete_views(catalog.views(database.oid).iter().map(|v| v.oid), ctx)?;
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
