//! What CREATE TABLE and ALTER TABLE add to a table: keys with their indexes, checks, foreign keys, sequences of columns.
//! Names that nobody gave are chosen here, under locks; OIDs and storages are drawn.

use super::names;
use super::table::lock_relation_name;
use super::transaction;
use crate::bind;
use crate::bound::{Call, CommentOn, CreateTable, Expr, NewIndex, NewKey, NewReference, NewSerial};
use crate::context::EvalContext;
use crate::function;
use heddle_catalog::{
    ConstraintDef, ForeignKey, IndexColumn, IndexDef, IndexState, Rule, SequenceDef, SequenceOwner, StoredExpr,
    TableDef, set_comment,
};
use heddle_types::key::KeyOrder;
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use std::collections::BTreeSet;

/// Adds all of it; the sequences are yet to be put into the catalog.
pub(super) async fn add(table: &mut TableDef, made: &CreateTable, ctx: &EvalContext) -> Result<Vec<SequenceDef>> {
    let mut used = BTreeSet::from([table.name.clone()]);
    let mut sequences = Vec::new();
    for serial in &made.serials {
        sequences.push(add_serial(table, serial, &mut used, ctx).await?);
    }
    // The primary key comes first, as in PostgreSQL.
    let mut keys: Vec<_> = made.keys.iter().collect();
    keys.sort_by_key(|k| !k.primary);
    for key in keys {
        add_key(table, key, &mut used, ctx).await?;
    }
    for index in &made.indexes {
        add_index(table, index, &mut used, ctx).await?;
    }
    let manager = transaction(ctx)?.manager();
    for check in &made.checks {
        let rule = Rule::Check(check.expr.clone());
        let oid = manager.draw_oid().await?;
        table.constraints.push(ConstraintDef { oid, name: check.name.clone(), valid: check.valid, rule });
    }
    for reference in &made.references {
        let oid = manager.draw_oid().await?;
        let rule = Rule::References(foreign_key(reference, table)?);
        table.constraints.push(ConstraintDef { oid, name: reference.name.clone(), valid: reference.valid, rule });
    }
    comments(table, &made.comments);
    Ok(sequences)
}

/// Comments on parts that were just made.
fn comments(table: &mut TableDef, comments: &[(CommentOn, String)]) {
    for (on, text) in comments {
        let found = match on {
            CommentOn::Column(i) => Some((table.oid, table.columns[*i].attnum)),
            CommentOn::Check(name) => table.constraints.iter().find(|c| c.name == *name).map(|c| (c.oid, 0)),
            CommentOn::Index(columns) => {
                let key: Vec<_> = columns.iter().map(|c| key_column(table, c)).collect();
                table.indexes.iter().find(|i| i.columns == key).map(|i| (i.oid, 0))
            }
        };
        if let Some((on, column)) = found {
            set_comment(&mut table.comments, on, column, Some(text.clone()));
        }
    }
}

fn key_column(table: &TableDef, (i, order): &(usize, KeyOrder)) -> IndexColumn {
    IndexColumn { attnum: table.columns[*i].attnum, order: *order }
}

/// Gives the table and its indexes new, empty storages. Rows put there lack nothing.
pub(super) async fn new_storages(table: &mut TableDef, ctx: &EvalContext) -> Result<()> {
    let manager = transaction(ctx)?.manager();
    table.storage = super::series::draw(table.series.is_some(), manager).await?;
    for index in &mut table.indexes {
        if index.storage.is_some() {
            index.storage = Some(manager.draw_storage().await?);
        }
    }
    if let Some(series) = &mut table.series {
        series.tags_storage = manager.draw_storage().await?;
    }
    for column in &mut table.columns {
        column.missing = None;
    }
    Ok(())
}

async fn add_key(table: &mut TableDef, key: &NewKey, used: &mut BTreeSet<String>, ctx: &EvalContext) -> Result<()> {
    let NewKey { name: given, columns, primary, deferrable } = key;
    let shown = names::columns(columns.iter().map(|i| table.columns[*i].name.as_str()));
    let (middle, label) = if *primary { (None, "pkey") } else { (Some(shown.as_str()), "key") };
    let name = match given {
        Some(name) => claim(table.schema, name, used, ctx).await?,
        None => choose(table, middle, label, used, ctx).await?,
    };
    let manager = transaction(ctx)?.manager();
    for i in columns.iter().filter(|_| *primary) {
        table.columns[*i].not_null = true;
    }
    let column = |i: &usize| IndexColumn { attnum: table.columns[*i].attnum, order: KeyOrder::default() };
    let index = IndexDef {
        oid: manager.draw_oid().await?,
        name,
        storage: if *primary && deferrable.is_none() { None } else { Some(manager.draw_storage().await?) },
        columns: columns.iter().map(column).collect(),
        unique: true,
        primary: *primary,
        constraint: Some(manager.draw_oid().await?),
        state: IndexState::Valid,
        deferrable: *deferrable,
    };
    let at = if *primary { 0 } else { table.indexes.len() };
    table.indexes.insert(at, index);
    Ok(())
}

async fn add_index(
    table: &mut TableDef,
    made: &NewIndex,
    used: &mut BTreeSet<String>,
    ctx: &EvalContext,
) -> Result<()> {
    let shown = names::columns(made.columns.iter().map(|(i, _)| table.columns[*i].name.as_str()));
    let name = choose(table, Some(&shown), "idx", used, ctx).await?;
    let manager = transaction(ctx)?.manager();
    table.indexes.push(IndexDef {
        oid: manager.draw_oid().await?,
        name,
        storage: Some(manager.draw_storage().await?),
        columns: made.columns.iter().map(|c| key_column(table, c)).collect(),
        unique: made.unique,
        primary: false,
        constraint: None,
        state: IndexState::Valid,
        deferrable: None,
    });
    Ok(())
}

/// A name that was given: locked, and free.
async fn claim(schema: Oid, name: &str, used: &mut BTreeSet<String>, ctx: &EvalContext) -> Result<String> {
    lock_relation_name(ctx, schema, name).await?;
    if !used.insert(name.to_owned()) || transaction(ctx)?.catalog().relation(schema, name).is_some() {
        return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
    }
    Ok(name.to_owned())
}

/// A name of our choice: locked, and free.
pub(super) async fn choose(
    table: &TableDef,
    middle: Option<&str>,
    label: &str,
    used: &mut BTreeSet<String>,
    ctx: &EvalContext,
) -> Result<String> {
    loop {
        let catalog = transaction(ctx)?.catalog();
        let taken = |n: &str| used.contains(n) || catalog.relation(table.schema, n).is_some();
        let name = names::choose(&table.name, middle, label, &taken);
        lock_relation_name(ctx, table.schema, &name).await?;
        if transaction(ctx)?.catalog().relation(table.schema, &name).is_none() {
            used.insert(name.clone());
            return Ok(name);
        }
    }
}

async fn add_serial(
    table: &mut TableDef,
    serial: &NewSerial,
    used: &mut BTreeSet<String>,
    ctx: &EvalContext,
) -> Result<SequenceDef> {
    let column = table.columns[serial.column].name.clone();
    let name = match &serial.name {
        Some(name) => claim(table.schema, name, used, ctx).await?,
        None => choose(table, Some(&column), "seq", used, ctx).await?,
    };
    let manager = transaction(ctx)?.manager();
    let def = &mut table.columns[serial.column];
    let owner = SequenceOwner { table: table.oid, attnum: def.attnum, identity: serial.identity.is_some() };
    let sequence = SequenceDef {
        oid: manager.draw_oid().await?,
        state: manager.draw_oid().await?,
        schema: table.schema,
        database: table.database,
        name,
        owner: Some(owner),
        ..serial.sequence.clone()
    };
    def.default = Some(next_of(sequence.oid, def.ty)?);
    (def.identity, def.not_null) = (serial.identity, true);
    Ok(sequence)
}

/// `nextval('sequence')` as a column of type `ty` takes it.
fn next_of(sequence: Oid, ty: PgType) -> Result<StoredExpr> {
    let which = Expr::Literal { value: Datum::Oid(sequence.0), ty: PgType::new(oid::REGCLASS) };
    let mut value = Expr::Call(Call { func: function::NEXTVAL, args: vec![which], ty: PgType::new(oid::INT8) });
    if let Some(func) = function::cast(oid::INT8, ty.oid).and_then(|c| c.func) {
        value = Expr::Call(Call { func, args: vec![value], ty });
    }
    bind::store_expr(&value)
}

/// The key a reference is to, now that the referenced table has its index.
fn foreign_key(reference: &NewReference, table: &TableDef) -> Result<ForeignKey> {
    let target = reference.table.as_deref().unwrap_or(table);
    let same = |i: &&IndexDef| {
        let mut key: Vec<i16> = i.columns.iter().map(|c| c.attnum).collect();
        let mut wanted = reference.referenced.clone();
        key.sort_unstable();
        wanted.sort_unstable();
        i.immediate() && key == wanted
    };
    let index = target.indexes.iter().find(same).ok_or_else(|| {
        let text =
            format!("there is no unique constraint matching given keys for referenced table \"{}\"", target.name);
        Error::new(SqlState::INVALID_FOREIGN_KEY, text)
    })?;
    Ok(ForeignKey {
        columns: reference.columns.clone(),
        table: target.oid,
        referenced: reference.referenced.clone(),
        index: index.oid,
        full: reference.full,
        on_delete: reference.on_delete,
        on_update: reference.on_update,
        deferrable: reference.deferrable,
        deferred: reference.deferred,
    })
}
