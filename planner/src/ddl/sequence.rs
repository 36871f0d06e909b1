//! CREATE, ALTER and DROP SEQUENCE. A sequence's definition is catalog, under the transaction; where it stands is not
//! ([`heddle_txn::Position`]), but RESTART swaps the state, so that it comes and goes with the transaction too.

use super::depend::{Thing, described, drop_dependents};
use super::table::lock_relation_name;
use super::{notice, temporary, transaction};
use crate::bound::{AlterSequence, CreateSequence};
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, Object, SequenceDef, SequenceOwner};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Result, SqlState};
use std::sync::Arc;

pub(super) async fn create_sequence(create: &CreateSequence, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let mut sequence = create.sequence.clone();
    sequence.schema = temporary::place(sequence.schema, ctx).await?;
    txn.lock_relation(sequence.schema, RelationLock::AccessShare, Wait::Block).await?;
    lock_relation_name(ctx, sequence.schema, &sequence.name).await?;
    let catalog = txn.catalog();
    if catalog.schema_by_oid(sequence.schema).is_none() {
        let text = format!("schema \"{}\" does not exist", create.schema_name);
        return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, text));
    }
    if catalog.relation(sequence.schema, &sequence.name).is_some() {
        let text = format!("relation \"{}\" already exists", sequence.name);
        if create.if_not_exists {
            notice(ctx, SqlState::DUPLICATE_TABLE, format!("{text}, skipping"));
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
    }
    sequence.oid = txn.manager().draw_oid().await?;
    sequence.state = txn.manager().draw_oid().await?;
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Sequence(sequence))])
}

/// The sequence as it begins anew at `first`.
pub(super) async fn restarted(sequence: &SequenceDef, first: i64, ctx: &EvalContext) -> Result<SequenceDef> {
    let state = transaction(ctx)?.manager().draw_oid().await?;
    Ok(SequenceDef { state, first, ..sequence.clone() })
}

pub(super) async fn alter_sequence(alter: &AlterSequence, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let now = txn.catalog().sequence(alter.sequence.oid).ok_or_else(|| missing(&alter.sequence.name))?;
    let sequence = match alter.restart {
        Some(first) => restarted(&alter.sequence, first, ctx).await?,
        None => {
            let position = txn.manager().sequence_position(&now)?;
            crate::bind::inside("RESTART", position.last, &alter.sequence)?;
            alter.sequence.clone()
        }
    };
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Sequence(sequence))])
}

fn missing(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_TABLE, format!("sequence \"{name}\" does not exist"))
}

pub(super) async fn drop_sequences(
    sequences: &[Arc<SequenceDef>],
    missing_names: &[String],
    cascade: bool,
    ctx: &EvalContext,
) -> Result<()> {
    for name in missing_names {
        notice(ctx, SqlState::SUCCESSFUL_COMPLETION, format!("sequence \"{name}\" does not exist, skipping"));
    }
    let txn = transaction(ctx)?;
    for s in sequences {
        txn.catalog().sequence(s.oid).ok_or_else(|| missing(&s.name))?;
    }
    for s in sequences {
        if let Some(owner) = s.owner.filter(|o| o.identity) {
            return Err(refuse_identity(s, owner, ctx)?);
        }
    }
    let roots: Vec<Thing> = sequences.iter().map(|s| Thing::Relation(s.oid)).collect();
    drop_dependents(&roots, cascade, ctx).await?;
    txn.edit_catalog(sequences.iter().map(|s| CatalogEdit::Delete(s.oid)).collect())
}

/// An identity's sequence goes with its column only.
fn refuse_identity(s: &SequenceDef, owner: SequenceOwner, ctx: &EvalContext) -> Result<Error> {
    let catalog = transaction(ctx)?.catalog();
    let name = described(Thing::Relation(s.oid), &catalog, ctx);
    let column = described(Thing::Column(owner.table, owner.attnum), &catalog, ctx);
    let text = format!("cannot drop {name} because {column} requires it");
    Ok(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text).hint(format!("You can drop {column} instead.")))
}
