//! CREATE VIEW, DROP VIEW, and what depends on a dropped relation.
//!
//! Invariant: a transaction that makes a view holds ACCESS SHARE on what the view uses, and one that drops a relation holds
//! ACCESS EXCLUSIVE on it before it looks for views: neither can overlook the other.

use super::table::lock_relation_name;
use super::{notice, transaction};
use crate::bound::CreateView;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, Relation, ViewDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, Severity, SqlState};
use std::collections::BTreeSet;
use std::sync::Arc;

/// DETAIL lists at most this many dependent objects, as PostgreSQL's does for the client.
const DETAIL_OBJECTS_MAX: usize = 100;

pub(super) async fn create_view(create: &CreateView, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    lock_relation_name(ctx, create.schema, &create.name).await?;
    let catalog = txn.catalog();
    if catalog.schema_by_oid(create.schema).is_none() {
        let text = format!("schema \"{}\" does not exist", create.schema_name);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    }
    let oid = match catalog.relation(create.schema, &create.name) {
        None => txn.manager().draw_oid().await?,
        Some(Relation::View(v)) if create.or_replace => {
            txn.lock_relation(v.oid, RelationLock::AccessExclusive, Wait::Block).await?;
            let now = txn.catalog();
            let old = now.view(v.oid).ok_or_else(|| missing_view(&create.name))?;
            check_replacement(&old, create, &now)?;
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
        schema: create.schema,
        database: ctx.session.database_oid,
        name: create.name.clone(),
        columns: create.columns.clone(),
        query: create.query.clone(),
        search_path: create.search_path.clone(),
        depends: create.depends.clone(),
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
    let users = dependents(&[old.oid], catalog, old.database);
    if new.depends.contains(&old.oid) || users.iter().any(|(v, _)| new.depends.contains(&v.oid)) {
        let text = format!("infinite recursion detected in rules for relation \"{}\"", old.name);
        return Err(Error::new(SqlState::INVALID_OBJECT_DEFINITION, text));
    }
    // Their text may say `*`, which PostgreSQL fixes when a view is made and we do when it is used.
    if new.columns.len() > old.columns.len() && !users.is_empty() {
        return Err(Error::unsupported("adding columns to a view that other views use"));
    }
    Ok(())
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
    drop_dependents(&oids, cascade, ctx).await?;
    // The same view may be named twice.
    let once: BTreeSet<Oid> = oids.into_iter().collect();
    txn.edit_catalog(once.into_iter().map(CatalogEdit::Delete).collect())
}

/// Drops the views that use any of `dropped` (which the caller holds and drops next), and tells the client.
///
/// # Errors
/// `2BP01` when there are some and CASCADE was not said.
pub(super) async fn drop_dependents(dropped: &[Oid], cascade: bool, ctx: &EvalContext) -> Result<()> {
    let views = lock_dependents(dropped, cascade, ctx).await?;
    let catalog = transaction(ctx)?.catalog();
    let name = |oid: Oid| described(oid, &catalog, ctx);
    if views.is_empty() {
        return Ok(());
    }
    if !cascade {
        let line = |(v, on): &(Arc<ViewDef>, Oid)| format!("{} depends on {}", name(v.oid), name(*on));
        let text = match dropped {
            [one] => format!("cannot drop {} because other objects depend on it", name(*one)),
            _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
        };
        return Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
            .detail(lines(views.iter().map(line)))
            .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    tell_cascade(views.iter().map(|(v, _)| name(v.oid)).collect(), ctx);
    delete_views(views.iter().map(|(v, _)| v.oid), ctx)
}

/// The views that use any of `dropped`; with `lock`, held exclusively (looking again until no new one appeared).
pub(super) async fn lock_dependents(
    dropped: &[Oid],
    lock: bool,
    ctx: &EvalContext,
) -> Result<Vec<(Arc<ViewDef>, Oid)>> {
    let txn = transaction(ctx)?;
    let mut held = BTreeSet::new();
    loop {
        let views = dependents(dropped, &txn.catalog(), ctx.session.database_oid);
        let fresh: Vec<Oid> = views.iter().map(|(v, _)| v.oid).filter(|o| !held.contains(o)).collect();
        if fresh.is_empty() || !lock {
            return Ok(views);
        }
        for oid in fresh {
            txn.lock_relation(oid, RelationLock::AccessExclusive, Wait::Block).await?;
            held.insert(oid);
        }
    }
}

pub(super) fn delete_views(views: impl Iterator<Item = Oid>, ctx: &EvalContext) -> Result<()> {
    transaction(ctx)?.edit_catalog(views.map(CatalogEdit::Delete).collect())
}

/// Views that use one of `roots`, each followed by those that use it, with what it uses. None of `roots` is among them.
fn dependents(roots: &[Oid], catalog: &CatalogSnapshot, database: Oid) -> Vec<(Arc<ViewDef>, Oid)> {
    let views = catalog.views(database);
    let mut seen: BTreeSet<Oid> = roots.iter().copied().collect();
    let mut out = Vec::new();
    // Depth first without recursion: chains of views can be long. The last root comes first, as PostgreSQL reports them.
    let users = |of: Oid| views.iter().filter(move |v| v.depends.contains(&of)).rev().map(move |v| (Arc::clone(v), of));
    let mut stack: Vec<(Arc<ViewDef>, Oid)> = roots.iter().flat_map(|r| users(*r)).collect();
    while let Some((view, on)) = stack.pop() {
        if seen.insert(view.oid) {
            stack.extend(users(view.oid));
            out.push((view, on));
        }
    }
    out
}

/// `NOTICE: drop cascades to …`
pub(super) fn tell_cascade(names: Vec<String>, ctx: &EvalContext) {
    let note = |text: String| Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text);
    let line = |n: &String| format!("drop cascades to {n}");
    (ctx.session.notice)(match names.as_slice() {
        [] => return,
        [one] => note(line(one)),
        many => note(format!("drop cascades to {} other objects", many.len())).detail(lines(many.iter().map(line))),
    });
}

/// Lines of a DETAIL; what is too much for the client is counted.
pub(super) fn lines(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    if all.len() > DETAIL_OBJECTS_MAX {
        let rest = all.len() - DETAIL_OBJECTS_MAX;
        all.truncate(DETAIL_OBJECTS_MAX);
        all.push(format!("and {rest} other objects (see server log for list)"));
    }
    all.join("\n")
}

/// A relation as dependency messages name it: `view v`, qualified unless the search path finds it.
pub(super) fn described(oid: Oid, catalog: &CatalogSnapshot, ctx: &EvalContext) -> String {
    let (kind, schema, name) = match catalog.relation_by_oid(oid) {
        Some(Relation::Table(t)) => ("table", t.schema, t.name.clone()),
        Some(Relation::Index(t, i)) => ("index", t.schema, t.indexes[i].name.clone()),
        Some(Relation::View(v)) => ("view", v.schema, v.name.clone()),
        None => return format!("relation {}", oid.0),
    };
    match catalog.schema_by_oid(schema) {
        Some(s) if !ctx.session.search_path.contains(&s.name) => format!("{kind} {}.{name}", s.name),
        _ => format!("{kind} {name}"),
    }
}
