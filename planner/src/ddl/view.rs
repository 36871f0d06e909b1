//! CREATE VIEW and DROP VIEW.

use super::depend::{Thing, drop_dependents};
use super::table::lock_relation_name;
use super::{notice, temporary, transaction};
use crate::bound::CreateView;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, Relation, ViewDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, SqlState};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) async fn create_view(create: &CreateView, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    super::tell(&create.notices, ctx);
    let schema = temporary::place(create.schema, ctx).await?;
    lock_relation_name(ctx, schema, &create.name).await?;
    let catalog = txn.catalog();
    if catalog.schema_by_oid(schema).is_none() {
        let text = format!("schema \"{}\" does not exist", create.schema_name);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    }
    let mut comments = Vec::new();
    let oid = match catalog.relation(schema, &create.name) {
        None => txn.manager().draw_oid().await?,
        Some(Relation::View(v)) if create.or_replace => {
            txn.lock_relation(v.oid, RelationLock::AccessExclusive, Wait::Block).await?;
            let now = txn.catalog();
            let old = now.view(v.oid).ok_or_else(|| missing_view(&create.name))?;
            check_replacement(&old, create, &now)?;
            comments.clone_from(&old.comments);
            v.oid
        }
        Some(_) if create.or_replace => {
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a view", create.name)));
        }
        Some(_) => {
            let text = format!("relation \"{}\" already exists", create.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
        }
    };
    txn.lock_relation(oid, RelationLock::AccessExclusive, Wait::Block).await?;
    let view = ViewDef {
        oid,
        schema,
        database: ctx.session.database_oid,
        name: create.name.clone(),
        columns: create.columns.clone(),
        query: create.query.clone(),
        search_path: create.search_path.clone(),
        depends: create.depends.clone(),
        uses: create.uses.clone(),
        comments,
    };
    txn.edit_catalog(vec![CatalogEdit::Put(Object::View(view))])
}

fn missing_view(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("view \"{name}\" does not exist"))
}

/// Other views may use the old columns, so they stay.
fn check_replacement(old: &ViewDef, new: &CreateView, catalog: &CatalogSnapshot) -> Result<()> {
    let refuse = |text: String| Error::new(SqlState::INVALID_TABLE_DEFINITION, text);
    if new.columns.len() < old.columns.len() {
        return Err(refuse("cannot drop columns from view".into()));
    }
    for (a, b) in old.columns.iter().zip(&new.columns) {
        if a.name != b.name {
            let text = format!("cannot change name of view column \"{}\" to \"{}\"", a.name, b.name);
            return Err(
                refuse(text).hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.")
            );
        }
        if a.ty != b.ty {
            let (from, to) = (a.ty.sql_name(), b.ty.sql_name());
            return Err(refuse(format!("cannot change data type of view column \"{}\" from {from} to {to}", a.name)));
        }
    }
    if uses(&new.depends, old.oid, catalog) {
        let text = format!("infinite recursion detected in rules for relation \"{}\"", old.name);
        return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, text));
    }
    Ok(())
}

/// Does any of `relations` use `view`, through however many views?
fn uses(relations: &[Oid], view: Oid, catalog: &CatalogSnapshot) -> bool {
    let (mut seen, mut ahead) = (BTreeSet::new(), relations.to_vec());
    while let Some(oid) = ahead.pop() {
        if oid == view {
            return true;
        }
        if seen.insert(oid) {
            ahead.extend(catalog.view(oid).iter().flat_map(|v| v.depends.clone()));
        }
    }
    false
}

pub(super) async fn drop_views(
    views: &[Arc<ViewDef>],
    missing: &[String],
    cascade: bool,
    ctx: &EvalContext,
) -> Result<()> {
    for name in missing {
        notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("view \"{name}\" does not exist, skipping"));
    }
    let txn = transaction(ctx)?;
    for view in views {
        txn.lock_relation(view.oid, RelationLock::AccessExclusive, Wait::Block).await?;
        if txn.catalog().view(view.oid).is_none() {
            return Err(missing_view(&view.name));
        }
    }
    let oids: Vec<Oid> = views.iter().map(|v| v.oid).collect();
    let roots: Vec<Thing> = oids.iter().map(|o| Thing::Relation(*o)).collect();
    drop_dependents(&roots, cascade, ctx).await?;
    // The same view may be named twice.
    let once: BTreeSet<Oid> = oids.into_iter().collect();
    txn.edit_catalog(once.into_iter().map(CatalogEdit::Delete).collect())
}
