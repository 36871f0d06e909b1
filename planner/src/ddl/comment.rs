//! COMMENT ON: a comment is part of its object's row and goes with it.

use super::transaction;
use crate::bound::{Comment, Commented};
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, Object, set_comment};
use heddle_types::{Error, Result};

pub(super) fn comment(comment: &Comment, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let catalog = txn.catalog();
    let gone = || Error::internal("the object of a comment is gone though it is locked");
    let object = match comment.object {
        Commented::Table(oid) => catalog.table(oid).map(|t| Object::Table((*t).clone())),
        Commented::View(oid) => catalog.view(oid).map(|v| Object::View((*v).clone())),
        Commented::Sequence(oid) => catalog.sequence(oid).map(|s| Object::Sequence((*s).clone())),
        Commented::Schema(oid) => catalog.schema_by_oid(oid).map(|s| Object::Schema((*s).clone())),
        Commented::Database(oid) => catalog.database_by_oid(oid).map(|d| Object::Database((*d).clone())),
    };
    let mut object = object.ok_or_else(gone)?;
    let comments = match &mut object {
        Object::Table(t) => &mut t.comments,
        Object::View(v) => &mut v.comments,
        Object::Sequence(s) => &mut s.comments,
        Object::Schema(s) => &mut s.comments,
        Object::Database(d) => &mut d.comments,
    };
    set_comment(comments, comment.on, comment.column, comment.text.clone());
    txn.edit_catalog(vec![CatalogEdit::Put(object)])
}
