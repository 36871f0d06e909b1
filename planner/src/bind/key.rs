//! Deferral of PRIMARY KEY and UNIQUE, and ADD CONSTRAINT … USING INDEX.

use super::change::Change;
use super::names::fold;
use super::{Binder, storage};
use heddle_catalog::Initially;
use heddle_types::key::KeyOrder;
use heddle_types::{Error, Oid, Result, SqlState};
use sqlparser::ast::{ConstraintCharacteristics, ConstraintUsingIndex, DeferrableInitial};

/// When a key is checked: None for one that cannot wait.
pub(super) fn initially(c: Option<&ConstraintCharacteristics>) -> Result<Option<Initially>> {
    let Some(c) = c else { return Ok(None) };
    match (c.deferrable, c.initially == Some(DeferrableInitial::Deferred)) {
        (Some(false), true) => {
            let text = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            Err(Error::new(SqlState::SYNTAX_ERROR, text))
        }
        (_, true) => Ok(Some(Initially::Deferred)),
        (Some(true), false) => Ok(Some(Initially::Immediate)),
        _ => Ok(None),
    }
}

impl Binder<'_> {
    /// Makes a unique index of the table a constraint. It keeps its entries, unless they become deferrable, which have another form.
    pub(super) fn using_index(&self, change: &mut Change, c: &ConstraintUsingIndex, primary: bool) -> Result<()> {
        let deferrable = initially(c.characteristics.as_ref())?;
        let alter = &mut change.alter;
        let name = fold(&c.index_name);
        let unfit = |text: String, code: SqlState| {
            Error::new(code, text).detail("Cannot create a primary key or unique constraint using such an index.")
        };
        let Some(at) = alter.table.indexes.iter().position(|i| i.name == name) else {
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("index \"{name}\" does not exist")));
        };
        let index = &mut alter.table.indexes[at];
        if index.constraint.is_some() {
            let text = format!("index \"{name}\" is already associated with a constraint");
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        }
        if !index.unique {
            return Err(unfit(format!("\"{name}\" is not a unique index"), SqlState::WRONG_OBJECT_TYPE));
        }
        if let Some(n) = index.columns.iter().position(|c| c.order != KeyOrder::default()) {
            let text = format!("index \"{name}\" column number {} does not have default sorting behavior", n + 1);
            return Err(unfit(text, SqlState::WRONG_OBJECT_TYPE));
        }
        if primary && alter.old.primary_key().is_some() {
            let text = format!("multiple primary keys for table \"{}\" are not allowed", alter.old.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, text));
        }
        if let Some(given) = c.name.as_ref().map(fold).filter(|given| *given != name) {
            let text = format!("ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{name}\" to \"{given}\"");
            alter.notices.push(storage::note(text));
            index.name = given;
        }
        // OIDs are drawn when it is done.
        (index.constraint, index.primary, index.deferrable) = (Some(Oid(0)), primary, deferrable);
        for column in index.columns.iter().filter(|_| primary) {
            let at = column.attnum as usize - 1;
            if !std::mem::replace(&mut alter.made.columns[at].not_null, true) {
                alter.not_null.push(at);
            }
        }
        Ok(())
    }
}
