//! Views are kept as text, so a change of what they use must leave the text's meaning alone. Every view that uses a changed
//! relation is bound before and after: what it means is compared as a whole ([`crate::bind::view_meaning`]). Where a rename
//! is the cause, the text is changed along; a text that would mean something else is refused, never kept.

use super::transaction;
use crate::bind;
use crate::context::EvalContext;
use crate::parse;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, ViewDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result};
use std::sync::Arc;

/// What happened to the names a text may hold.
#[derive(Clone, Copy)]
pub(super) enum Names<'a> {
    /// Nothing
    Same,
    /// An object has another name
    Renamed { old: &'a str, new: &'a str },
    /// A relation is in another schema
    Moved { schema: &'a str },
}

/// `edits`, and those of the views that use one of `relations`.
///
/// # Errors
/// `0A000` when a view would change its meaning.
pub(super) async fn with_views(
    mut edits: Vec<CatalogEdit>,
    relations: &[Oid],
    names: Names<'_>,
    ctx: &EvalContext,
) -> Result<Vec<CatalogEdit>> {
    let txn = transaction(ctx)?;
    let before = txn.catalog();
    let users: Vec<Arc<ViewDef>> = users(&before, relations, ctx);
    for view in &users {
        txn.lock_relation(view.oid, RelationLock::AccessExclusive, Wait::Block).await?;
    }
    if users.is_empty() {
        return Ok(edits);
    }
    let old = ctx.at(Arc::clone(&before));
    let new = ctx.at(Arc::new(before.with(&edits, before.from_index())));
    for view in users {
        let meaning = bind::view_meaning(&view, &old)?;
        let means = |text: &ViewDef| bind::view_meaning(text, &new).is_ok_and(|m| m == meaning);
        let found = candidates(&view, names).into_iter().find(means).ok_or_else(|| {
            Error::unsupported(format!("a change that view \"{}\" would have to be written anew for", view.name))
        })?;
        if found != *view {
            edits.push(CatalogEdit::Put(Object::View(found)));
        }
    }
    Ok(edits)
}

fn users(catalog: &CatalogSnapshot, relations: &[Oid], ctx: &EvalContext) -> Vec<Arc<ViewDef>> {
    let mut views = catalog.views(ctx.session.database_oid);
    views.retain(|v| v.depends.iter().any(|d| relations.contains(d)));
    views
}

/// The view as it is, and as it could be: with the new name wherever the old one stands, or looking into the other schema.
fn candidates(view: &ViewDef, names: Names<'_>) -> Vec<ViewDef> {
    let mut all = vec![view.clone()];
    match names {
        Names::Same => {}
        Names::Renamed { old, new } => {
            let path = |s: &String| if s == old { new.to_owned() } else { s.clone() };
            let search_path: Vec<String> = view.search_path.iter().map(path).collect();
            all.push(ViewDef { search_path: search_path.clone(), ..view.clone() });
            if let Ok(query) = parse::rename(&view.query, old, new) {
                all.push(ViewDef { query, search_path, ..view.clone() });
            }
        }
        Names::Moved { schema } => {
            let (mut last, mut first) = (view.clone(), view.clone());
            last.search_path.push(schema.to_owned());
            first.search_path.insert(0, schema.to_owned());
            all.extend([last, first]);
        }
    }
    all
}
