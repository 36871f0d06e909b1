//! ALTER … RENAME and ALTER … SET SCHEMA. What is renamed is locked exclusively, its new name too.

use super::database::lock_schema_name;
use super::table::lock_relation_name;
use super::transaction;
use super::view_text::{Names, with_views};
use crate::bound::Renamed;
use crate::context::EvalContext;
use heddle_catalog::{CatalogEdit, CatalogSnapshot, Object, Relation, SchemaDef, TableDef};
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Oid, Result, SqlState};

pub(super) async fn rename(what: &Renamed, to: &str, ctx: &EvalContext) -> Result<()> {
    match what {
        Renamed::Relation(relation) => rename_relation(relation, to, ctx).await,
        Renamed::Column(table, attnum) => rename_column(table, *attnum, to, ctx).await,
        Renamed::ViewColumn(view, at) => {
            let txn = transaction(ctx)?;
            let mut view = (*txn.catalog().view(view.oid).ok_or_else(gone)?).clone();
            if view.columns.iter().any(|c| c.name == to) {
                return Err(duplicate_column(to, &view.name));
            }
            let old = std::mem::replace(&mut view.columns[*at].name, to.to_owned());
            let edits = vec![CatalogEdit::Put(Object::View(view.clone()))];
            txn.edit_catalog(with_views(edits, &[view.oid], Names::Renamed { old: &old, new: to }, ctx).await?)
        }
        Renamed::Constraint(table, oid) => rename_constraint(table, *oid, to, ctx).await,
        Renamed::Schema(schema) => rename_schema(schema, to, ctx).await,
    }
}

fn gone() -> Error {
    Error::internal("an object is gone though it is locked")
}

fn duplicate_column(name: &str, relation: &str) -> Error {
    Error::new(SqlState::DUPLICATE_COLUMN, format!("column \"{name}\" of relation \"{relation}\" already exists"))
}

/// Locks a relation's new name and makes sure that it is free.
async fn claim(schema: Oid, name: &str, ctx: &EvalContext) -> Result<()> {
    lock_relation_name(ctx, schema, name).await?;
    if transaction(ctx)?.catalog().relation(schema, name).is_some() {
        return Err(Error::new(SqlState::DUPLICATE_TABLE, format!("relation \"{name}\" already exists")));
    }
    Ok(())
}

async fn rename_relation(relation: &Relation, to: &str, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    claim(relation.schema(), to, ctx).await?;
    let catalog = txn.catalog();
    let object = match catalog.relation_by_oid(relation.oid()).ok_or_else(gone)? {
        Relation::Table(t) => Object::Table(TableDef { name: to.to_owned(), ..(*t).clone() }),
        Relation::Index(t, at) => {
            let mut table = (*t).clone();
            table.indexes[at].name = to.to_owned();
            Object::Table(table)
        }
        Relation::View(v) => Object::View(heddle_catalog::ViewDef { name: to.to_owned(), ..(*v).clone() }),
        Relation::Sequence(s) => Object::Sequence(heddle_catalog::SequenceDef { name: to.to_owned(), ..(*s).clone() }),
    };
    let edits = vec![CatalogEdit::Put(object)];
    txn.edit_catalog(with_views(edits, &[relation.oid()], Names::Renamed { old: relation.name(), new: to }, ctx).await?)
}

async fn rename_column(table: &TableDef, attnum: i16, to: &str, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let mut table = (*txn.catalog().table(table.oid).ok_or_else(gone)?).clone();
    if table.column(to).is_some() {
        return Err(duplicate_column(to, &table.name));
    }
    if ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"].contains(&to) {
        let text = format!("column name \"{to}\" conflicts with a system column name");
        return Err(Error::new(SqlState::DUPLICATE_COLUMN, text));
    }
    let column = table.columns.iter_mut().find(|c| c.attnum == attnum).ok_or_else(gone)?;
    let old = std::mem::replace(&mut column.name, to.to_owned());
    let oid = table.oid;
    let edits = vec![CatalogEdit::Put(Object::Table(table))];
    txn.edit_catalog(with_views(edits, &[oid], Names::Renamed { old: &old, new: to }, ctx).await?)
}

async fn rename_constraint(table: &TableDef, oid: Oid, to: &str, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    let mut table = (*txn.catalog().table(table.oid).ok_or_else(gone)?).clone();
    let taken = table.constraints.iter().any(|c| c.name == to)
        || table.indexes.iter().any(|i| i.constraint.is_some() && i.name == to);
    if taken {
        let text = format!("constraint \"{to}\" for relation \"{}\" already exists", table.name);
        return Err(Error::new(SqlState::DUPLICATE_OBJECT, text));
    }
    if let Some(index) = table.indexes.iter_mut().find(|i| i.constraint == Some(oid)) {
        claim(table.schema, to, ctx).await?;
        to.clone_into(&mut index.name);
    } else {
        let constraint = table.constraints.iter_mut().find(|c| c.oid == oid).ok_or_else(gone)?;
        to.clone_into(&mut constraint.name);
    }
    txn.edit_catalog(vec![CatalogEdit::Put(Object::Table(table))])
}

async fn rename_schema(schema: &SchemaDef, to: &str, ctx: &EvalContext) -> Result<()> {
    let txn = transaction(ctx)?;
    lock_schema_name(ctx, to).await?;
    let catalog = txn.catalog();
    if catalog.schema(ctx.session.database_oid, to).is_some() {
        return Err(Error::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{to}\" already exists")));
    }
    let now = catalog.schema_by_oid(schema.oid).ok_or_else(gone)?;
    if now.database != ctx.session.database_oid {
        let text = format!("permission denied: \"{}\" is a system schema", now.name);
        return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
    }
    let renamed = SchemaDef { name: to.to_owned(), ..(*now).clone() };
    let edits = vec![CatalogEdit::Put(Object::Schema(renamed))];
    // Any view may look into it, or have it in its search path.
    let everything = relations_in(schema.oid, &catalog, ctx);
    txn.edit_catalog(with_views(edits, &everything, Names::Renamed { old: &now.name, new: to }, ctx).await?)
}

pub(super) async fn set_schema(relation: &Relation, schema: Oid, ctx: &EvalContext) -> Result<()> {
    if relation.schema() == schema {
        return Ok(());
    }
    let txn = transaction(ctx)?;
    txn.lock_relation(schema, RelationLock::AccessShare, Wait::Block).await?;
    let catalog = txn.catalog();
    let target = catalog.schema_by_oid(schema).ok_or_else(gone)?;
    if target.is_temporary() || catalog.is_temporary(relation.schema()) {
        let text = "cannot move objects into or out of temporary schemas";
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    for name in moving(relation, &catalog) {
        lock_relation_name(ctx, schema, &name).await?;
        if txn.catalog().relation(schema, &name).is_some() {
            let text = format!("relation \"{name}\" already exists in schema \"{}\"", target.name);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, text));
        }
    }
    let mut edits = Vec::new();
    match catalog.relation_by_oid(relation.oid()).ok_or_else(gone)? {
        Relation::Table(t) => {
            for s in catalog.owned_sequences(t.oid) {
                edits.push(Object::Sequence(heddle_catalog::SequenceDef { schema, ..(*s).clone() }));
            }
            edits.push(Object::Table(TableDef { schema, ..(*t).clone() }));
        }
        Relation::View(v) => edits.push(Object::View(heddle_catalog::ViewDef { schema, ..(*v).clone() })),
        Relation::Sequence(s) => edits.push(Object::Sequence(heddle_catalog::SequenceDef { schema, ..(*s).clone() })),
        Relation::Index(..) => return Err(gone()),
    }
    let edits = edits.into_iter().map(CatalogEdit::Put).collect();
    txn.edit_catalog(with_views(edits, &[relation.oid()], Names::Moved { schema: &target.name }, ctx).await?)
}

fn relations_in(schema: Oid, catalog: &CatalogSnapshot, ctx: &EvalContext) -> Vec<Oid> {
    let database = ctx.session.database_oid;
    let tables = catalog.tables(database).into_iter().filter(|t| t.schema == schema).map(|t| t.oid);
    let views = catalog.views(database).into_iter().filter(|v| v.schema == schema).map(|v| v.oid);
    let sequences = catalog.sequences(database).into_iter().filter(|s| s.schema == schema).map(|s| s.oid);
    tables.chain(views).chain(sequences).collect()
}

/// The names that come into the other schema.
fn moving(relation: &Relation, catalog: &CatalogSnapshot) -> Vec<String> {
    let mut names = vec![relation.name().to_owned()];
    if let Relation::Table(t) = relation {
        names.extend(t.indexes.iter().map(|i| i.name.clone()));
        names.extend(catalog.owned_sequences(t.oid).iter().map(|s| s.name.clone()));
    }
    names
}
