//! ALTER TABLE: from the difference of two definitions to catalog edits, new storages and checks of the rows that are there.
//!
//!   dependents of what goes -> OIDs, names, storages -> catalog edit -> rows rebuilt, or verified and new indexes filled
//!
//! A new storage is filled when rows change their form (types, volatile defaults) or their key (PRIMARY KEY added or
//! dropped); everything else leaves the rows alone. Definition and rows commit together. The table is held exclusively.

use super::build::{self, new_storages};
use super::depend::{Thing, drop_dependents};
use super::table::lock_relation_name;
use super::view_text::{Names, with_views};
use super::{index, series, tell, transaction};
use crate::bound::{AlterTable, ColId, Expr};
use crate::context::EvalContext;
use crate::eval::{self, Columns, eval_constant};
use crate::exec::{TableWriter, reference};
use arrow::array::ArrayRef;
use heddle_catalog::{CatalogEdit, ConstraintDef, ForeignKey, Object, Rule, SequenceDef, TableDef};
use heddle_engines::{KeyRange, RowReader};
use heddle_types::arrow::ColumnBuilder;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Datum, Error, Oid, Result, SqlState, StorageId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows read at once.
const BATCH_ROWS: usize = 1024;

pub(super) async fn alter_table(alter: &AlterTable, ctx: &Arc<EvalContext>) -> Result<()> {
    let txn = transaction(ctx)?;
    tell(&alter.notices, ctx);
    drop_parts(alter, ctx).await?;
    let mut table = alter.table.clone();
    keep_removed(&mut table, alter, ctx)?;
    let sequences = build::add(&mut table, &alter.made, ctx).await?;
    for at in alter.old.columns.len()..table.columns.len() {
        set_missing(&mut table, at, alter, ctx)?;
    }
    attach_indexes(&mut table, alter, ctx).await?;
    let rebuild = rebuilds(alter, &table);
    if rebuild {
        new_storages(&mut table, ctx).await?;
    }
    forget_comments(&mut table);
    let mut edits = sequence_edits(alter, sequences, ctx).await?;
    edits.push(CatalogEdit::Put(Object::Table(table.clone())));
    txn.edit_catalog(with_views(edits, &[table.oid], Names::Same, ctx).await?)?;
    if table.columns.len() > alter.old.columns.len() {
        series::define(&table, ctx)?;
    }
    let table = Arc::new(table);
    // Defaults and checks may use what this statement has just made.
    let ctx = &Arc::new(ctx.at(txn.catalog()));
    if rebuild {
        Rebuild { alter, ctx, writer: TableWriter::new(Arc::clone(&table), Arc::clone(ctx))? }.run().await?;
    } else {
        verify(alter, &table, ctx).await?;
        let old: BTreeSet<_> = alter.old.indexes.iter().map(|i| i.storage).collect();
        for fresh in table.indexes.iter().filter(|i| !old.contains(&i.storage)) {
            index::fill(Arc::clone(&table), fresh, ctx).await?;
        }
    }
    let kept: BTreeSet<StorageId> = table.storages().collect();
    for gone in alter.old.storages().filter(|s| !kept.contains(s)) {
        txn.drop_storage(gone)?;
    }
    Ok(())
}

/// Indexes that become constraints (USING INDEX): OIDs, new names, and new storages where the form of the entries changes.
async fn attach_indexes(table: &mut TableDef, alter: &AlterTable, ctx: &EvalContext) -> Result<()> {
    let manager = transaction(ctx)?.manager();
    let schema = table.schema;
    for index in table.indexes.iter_mut().filter(|i| i.constraint == Some(Oid(0))) {
        index.constraint = Some(manager.draw_oid().await?);
        if index.deferrable.is_some() {
            index.storage = Some(manager.draw_storage().await?);
        }
        if alter.old.indexes.iter().any(|o| o.oid == index.oid && o.name == index.name) {
            continue;
        }
        lock_relation_name(ctx, schema, &index.name).await?;
        if transaction(ctx)?.catalog().relation(schema, &index.name).is_some() {
            let text = format!("relation \"{}\" already exists", index.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
        }
    }
    Ok(())
}

/// Drops or refuses what depends on the columns, constraints and types that change.
async fn drop_parts(alter: &AlterTable, ctx: &EvalContext) -> Result<()> {
    let oid = alter.old.oid;
    for (attnum, cascade) in &alter.drop_columns {
        drop_dependents(&[Thing::Column(oid, *attnum)], *cascade, ctx).await?;
    }
    for (constraint, cascade) in &alter.drop_constraints {
        drop_dependents(&[Thing::Constraint(oid, *constraint)], *cascade, ctx).await?;
    }
    let catalog = transaction(ctx)?.catalog();
    for view in catalog.views(ctx.session.database_oid) {
        if let Some((_, n)) = view.uses.iter().find(|(o, n)| *o == oid && alter.retyped.contains(n)) {
            let column = &alter.old.columns[*n as usize - 1].name;
            let text = "cannot alter type of a column used by a view or rule";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                .detail(format!("rule _RETURN on view {} depends on column \"{column}\"", view.name)));
        }
    }
    Ok(())
}

/// What CASCADE took from this very table stays away: foreign keys to itself, defaults from a sequence that is gone.
fn keep_removed(table: &mut TableDef, alter: &AlterTable, ctx: &EvalContext) -> Result<()> {
    let gone = || Error::internal("a table is gone though it is locked");
    let now = transaction(ctx)?.catalog().table(table.oid).ok_or_else(gone)?;
    table.constraints.retain(|c| now.constraints.iter().any(|o| o.oid == c.oid));
    for (at, old) in alter.old.columns.iter().enumerate() {
        if old.default.is_some() && now.columns[at].default.is_none() && table.columns[at].default == old.default {
            table.columns[at].default = None;
        }
    }
    Ok(())
}

/// Must the rows move to a new storage?
fn rebuilds(alter: &AlterTable, table: &TableDef) -> bool {
    let key = |t: &TableDef| t.clustered_key().map(|k| k.oid);
    !alter.values.is_empty() || !alter.fill.is_empty() || key(&alter.old) != key(table)
}

/// A new column's constant default is what the rows that lack it read as.
fn set_missing(table: &mut TableDef, at: usize, alter: &AlterTable, ctx: &EvalContext) -> Result<()> {
    if alter.fill.contains(&at) {
        return Ok(());
    }
    let column = &mut table.columns[at];
    let Some(default) = &column.default else { return Ok(()) };
    let value = eval_constant(&crate::bind::stored_expr(default)?, ctx)?;
    column.missing = (!value.is_null()).then(|| text::to_string(&value, column.ty, &TextSettings::default()));
    Ok(())
}

/// Comments on columns, indexes and constraints that are gone go too.
fn forget_comments(table: &mut TableDef) {
    let mut there: BTreeSet<Oid> = table.constraints.iter().map(|c| c.oid).collect();
    there.extend(table.indexes.iter().flat_map(|i| [Some(i.oid), i.constraint]).flatten());
    let dropped: BTreeSet<i16> = table.columns.iter().filter(|c| c.dropped).map(|c| c.attnum).collect();
    let own = table.oid;
    table.comments.retain(|c| if c.on == own { !dropped.contains(&c.column) } else { there.contains(&c.on) });
}

async fn sequence_edits(alter: &AlterTable, new: Vec<SequenceDef>, ctx: &EvalContext) -> Result<Vec<CatalogEdit>> {
    let manager = transaction(ctx)?.manager();
    let mut edits: Vec<CatalogEdit> = alter.drop_sequences.iter().map(|oid| CatalogEdit::Delete(*oid)).collect();
    for sequence in &alter.sequences {
        let mut sequence = sequence.clone();
        if sequence.state == Oid(0) {
            sequence.state = manager.draw_oid().await?;
        }
        edits.push(CatalogEdit::Put(Object::Sequence(sequence)));
    }
    edits.extend(new.into_iter().map(|s| CatalogEdit::Put(Object::Sequence(s))));
    Ok(edits)
}

/// Is this a constraint that the rows must hold from now on?
fn wanted(alter: &AlterTable, c: &ConstraintDef) -> bool {
    c.valid && (!alter.old.constraints.iter().any(|o| o.oid == c.oid) || alter.validate.contains(&c.oid))
}

/// The foreign keys that the rows must hold from now on.
fn wanted_keys(alter: &AlterTable, table: &TableDef) -> Vec<(String, ForeignKey)> {
    let key = |c: &ConstraintDef| match &c.rule {
        Rule::References(f) if wanted(alter, c) => Some((c.name.clone(), f.clone())),
        _ => None,
    };
    table.constraints.iter().filter_map(key).collect()
}

/// Names of the checks that the rows must hold from now on.
fn wanted_checks(alter: &AlterTable, table: &TableDef) -> Vec<String> {
    let new = |c: &&ConstraintDef| matches!(c.rule, Rule::Check(_)) && wanted(alter, c);
    table.constraints.iter().filter(new).map(|c| c.name.clone()).collect()
}

/// Checks the rows that stay where they are.
async fn verify(alter: &AlterTable, table: &Arc<TableDef>, ctx: &Arc<EvalContext>) -> Result<()> {
    let checks = wanted_checks(alter, table);
    // What rows without the column read as is no NULL.
    let null = |at: &&usize| !(**at >= alter.old.columns.len() && table.columns[**at].missing.is_some());
    let not_null: Vec<usize> = alter.not_null.iter().filter(null).copied().collect();
    let keys = wanted_keys(alter, table);
    if checks.is_empty() && not_null.is_empty() && keys.is_empty() {
        return Ok(());
    }
    let writer = TableWriter::new(Arc::clone(table), Arc::clone(ctx))?;
    let mut references = reference::Settling::over(&writer);
    let newest = writer.txn.newest();
    let mut cursor = newest.scan(table.storage, KeyRange::all(), false)?;
    let mut rows = Vec::new();
    loop {
        let more = cursor.next_batch(BATCH_ROWS, &mut rows)?;
        for row in rows.drain(..) {
            let Some(values) = writer.stored(&row)? else { continue };
            writer.verify(&values, &not_null, &checks)?;
            for (name, key) in &keys {
                references.verify(&writer.table, name, key, &values).await?;
            }
        }
        if !more {
            return Ok(());
        }
        interrupted(ctx)?;
        tokio::task::yield_now().await;
    }
}

fn interrupted(ctx: &EvalContext) -> Result<()> {
    ctx.interrupted().map_or(Ok(()), Err)
}

/// Fills the new storages.
struct Rebuild<'a> {
    alter: &'a AlterTable,
    ctx: &'a Arc<EvalContext>,
    writer: TableWriter,
}

impl Rebuild<'_> {
    async fn run(&self) -> Result<()> {
        let checks = wanted_checks(self.alter, &self.writer.table);
        let keys = wanted_keys(self.alter, &self.writer.table);
        let mut references = reference::Settling::over(&self.writer);
        let defaults = self.defaults()?;
        let layout = self.alter.old.layout();
        let newest = self.writer.txn.newest();
        let mut cursor = newest.scan(self.alter.old.storage, KeyRange::all(), false)?;
        let mut rows = Vec::new();
        loop {
            let more = cursor.next_batch(BATCH_ROWS, &mut rows)?;
            let types = self.writer.table.columns.iter().map(|c| c.ty);
            let mut columns: Vec<ColumnBuilder> = types.map(|ty| ColumnBuilder::new(ty, rows.len())).collect();
            for row in &rows {
                let values = self.row(&layout.decode(&row.row)?, &defaults)?;
                self.writer.verify(&values, &self.alter.not_null, &checks)?;
                columns.iter_mut().zip(&values).try_for_each(|(column, value)| column.append(value))?;
                for (name, key) in &keys {
                    references.verify(&self.writer.table, name, key, &values).await?;
                }
            }
            let columns: Vec<ArrayRef> = columns.iter_mut().map(ColumnBuilder::finish).collect();
            self.writer.rebuild_columns(&columns, rows.len(), &*newest).await?;
            rows.clear();
            if !more {
                break;
            }
            interrupted(self.ctx)?;
            self.writer.txn.throttle().await?;
        }
        Ok(())
    }

    /// Defaults of the new columns; those that are the same for every row are constants.
    fn defaults(&self) -> Result<Vec<(usize, Expr)>> {
        let columns = self.writer.table.columns.iter().enumerate();
        let new = columns.filter(|(at, _)| *at >= self.alter.old.columns.len() || self.alter.fill.contains(at));
        let mut defaults = Vec::new();
        for (at, column) in new {
            let Some(stored) = &column.default else { continue };
            let mut value = crate::bind::stored_expr(stored)?;
            if !self.alter.fill.contains(&at) {
                value = Expr::Literal { value: eval_constant(&value, self.ctx)?, ty: column.ty };
            }
            defaults.push((at, value));
        }
        Ok(defaults)
    }

    /// A row's new values.
    fn row(&self, old: &[Datum], defaults: &[(usize, Expr)]) -> Result<Vec<Datum>> {
        let mut values = old.to_vec();
        values.resize(self.writer.table.columns.len(), Datum::Null);
        let column = |id: ColId| {
            let at = (id.0 as usize).checked_sub(1)?;
            heddle_types::arrow::column(&old[at..=at], self.alter.old.columns[at].ty).ok()
        };
        for (at, expr) in &self.alter.values {
            let array = eval::eval(expr, &Columns { rows: 1, get: &column }, self.ctx)?;
            values[*at] = heddle_types::arrow::datum_at(&array, self.writer.table.columns[*at].ty, 0);
        }
        for (at, expr) in defaults {
            values[*at] = eval_constant(expr, self.ctx)?;
        }
        for (at, column) in self.writer.table.columns.iter().enumerate() {
            if column.dropped {
                values[at] = Datum::Null;
            }
        }
        if values.len() != self.writer.table.columns.len() {
            return Err(Error::internal("a rebuilt row has another width than its table"));
        }
        Ok(values)
    }
}
