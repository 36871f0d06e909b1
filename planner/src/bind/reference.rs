//! FOREIGN KEY constraints of table definitions: which columns refer to which key of which table.

use super::Binder;
use super::names::{fold, qualified, start};
use super::scope::{Found, find_relation, unknown_relation};
use crate::bound::{CreateTable, NewReference};
use crate::ddl::names;
use heddle_catalog::{Action, ColumnDef, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, ConstraintReferenceMatchKind, ForeignKeyConstraint, Ident, ReferentialAction, Spanned};
use std::sync::Arc;

impl Binder<'_> {
    /// A FOREIGN KEY; `column` is the one whose REFERENCES it is.
    pub(super) fn foreign_key(
        &mut self,
        made: &mut CreateTable,
        table: Option<&TableDef>,
        name: Option<String>,
        f: &ForeignKeyConstraint,
        column: Option<&Ident>,
        valid: bool,
    ) -> Result<()> {
        let (deferrable, deferred) = self.deferral(f)?;
        let target = self.referenced_table(made, table, f)?;
        let idents: Vec<&Ident> = column.map_or_else(|| f.columns.iter().collect(), |c| vec![c]);
        let columns = found_columns(&idents, &made.columns)?;
        let (target_name, target_columns) = match &target {
            Some(t) => (t.name.clone(), t.columns.clone()),
            None => (made.name.clone(), made.columns.clone()),
        };
        let keys = unique_keys(made, table, target.as_deref());
        let cannot_wait = |kind: &str| {
            let text = format!("cannot use a deferrable {kind} for referenced table \"{target_name}\"");
            Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
        };
        let referenced = if f.referred_columns.is_empty() {
            let primary = keys.iter().find(|k| k.primary).ok_or_else(|| {
                let text = format!("there is no primary key for referenced table \"{target_name}\"");
                Error::new(SqlState::UNDEFINED_OBJECT, text)
            })?;
            if !primary.immediate {
                return Err(cannot_wait("primary key"));
            }
            primary.columns.clone()
        } else {
            found_columns(&f.referred_columns.iter().collect::<Vec<_>>(), &target_columns)?
        };
        if columns.len() != referenced.len() {
            let text = "number of referencing and referenced columns for foreign key disagree";
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, text));
        }
        if (1..referenced.len()).any(|i| referenced[..i].contains(&referenced[i])) {
            let text = "foreign key referenced-columns list must not contain duplicates";
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, text));
        }
        let mut fitting = keys.iter().filter(|k| same_set(&k.columns, &referenced)).peekable();
        if fitting.peek().is_none() {
            let text =
                format!("there is no unique constraint matching given keys for referenced table \"{target_name}\"");
            return Err(Error::new(SqlState::INVALID_FOREIGN_KEY, text));
        }
        if !fitting.any(|k| k.immediate) {
            return Err(cannot_wait("unique constraint"));
        }
        let shown = names::columns(columns.iter().map(|n| made.columns[*n as usize - 1].name.as_str()));
        let name = self.constraint_name(made, table, name, Some(&shown), "fkey")?;
        for (from, to) in columns.iter().zip(&referenced) {
            let (from, to) = (&made.columns[*from as usize - 1], &target_columns[*to as usize - 1]);
            check_types(&name, from, to)?;
        }
        made.references.push(NewReference {
            name,
            columns,
            table: target,
            referenced,
            full: f.match_kind == Some(ConstraintReferenceMatchKind::Full),
            on_delete: action(f.on_delete.as_ref()),
            on_update: action(f.on_update.as_ref()),
            deferrable,
            deferred,
            valid,
        });
        Ok(())
    }

    /// The table a foreign key refers to, locked; None: the one that is made or altered.
    fn referenced_table(
        &mut self,
        made: &CreateTable,
        table: Option<&TableDef>,
        f: &ForeignKeyConstraint,
    ) -> Result<Option<Arc<TableDef>>> {
        let (schema, bare) = qualified(&f.foreign_table, &self.ctx.session.database)?;
        let own = bare == made.name && schema.as_ref().is_none_or(|s| *s == made.schema_name);
        match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) if table.is_some_and(|own| own.oid == t.oid) => Ok(None),
            _ if table.is_none() && own => Ok(None),
            Some(Found::Table(t)) if t.series.is_some() => {
                Err(Error::unsupported("a foreign key to a time-series table").at(start(f.foreign_table.span())))
            }
            Some(Found::Table(t)) => {
                let ours = self.is_temporary(made.schema);
                if ours != self.is_temporary(t.schema) {
                    let kind = if ours { "temporary" } else { "permanent" };
                    let text = format!("constraints on {kind} tables may reference only {kind} tables");
                    return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, text));
                }
                self.lock(&t, RelationLock::ShareRowExclusive);
                Ok(Some(t))
            }
            Some(Found::System(t)) => {
                let text = format!("permission denied: \"{}\" is a system catalog", t.name);
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text))
            }
            Some(_) => {
                let text = format!("referenced relation \"{bare}\" is not a table");
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text))
            }
            None => Err(unknown_relation(schema.as_deref(), &bare)),
        }
    }
}

/// Attribute numbers of named columns.
fn found_columns(idents: &[&Ident], columns: &[ColumnDef]) -> Result<Vec<i16>> {
    let one = |i: &&Ident| {
        let name = fold(i);
        columns.iter().find(|c| !c.dropped && c.name == name).map(|c| c.attnum).ok_or_else(|| {
            let text = format!("column \"{name}\" referenced in foreign key constraint does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, text)
        })
    };
    idents.iter().map(one).collect()
}

/// A unique key of the referenced table.
struct UniqueKey {
    columns: Vec<i16>,
    primary: bool,
    /// Not deferrable
    immediate: bool,
}

fn unique_keys(made: &CreateTable, table: Option<&TableDef>, target: Option<&TableDef>) -> Vec<UniqueKey> {
    let existing = target.or(table);
    let mut keys: Vec<UniqueKey> = existing
        .iter()
        .flat_map(|t| &t.indexes)
        .filter(|i| i.unique)
        .map(|i| UniqueKey {
            columns: i.columns.iter().map(|c| c.attnum).collect(),
            primary: i.primary,
            immediate: i.immediate(),
        })
        .collect();
    if target.is_none() {
        let attnum = |at: &usize| made.columns[*at].attnum;
        keys.extend(made.keys.iter().map(|k| UniqueKey {
            columns: k.columns.iter().map(attnum).collect(),
            primary: k.primary,
            immediate: k.deferrable.is_none(),
        }));
    }
    keys
}

fn same_set(a: &[i16], b: &[i16]) -> bool {
    let sorted = |v: &[i16]| {
        let mut v = v.to_vec();
        v.sort_unstable();
        v
    };
    sorted(a) == sorted(b)
}

fn is_integer(ty: PgType) -> bool {
    [oid::INT2, oid::INT4, oid::INT8].contains(&ty.oid)
}

/// Values of both columns must be comparable as they are stored, or be integers.
fn check_types(constraint: &str, from: &ColumnDef, to: &ColumnDef) -> Result<()> {
    let strings = |t: PgType| t.oid == oid::TEXT || t.oid == oid::VARCHAR;
    if from.ty.oid == to.ty.oid || (strings(from.ty) && strings(to.ty)) || (is_integer(from.ty) && is_integer(to.ty)) {
        return Ok(());
    }
    let implicit = |a: PgType, b: PgType| {
        crate::function::cast(a.oid, b.oid).is_some_and(|c| c.context == crate::function::CastContext::Implicit)
    };
    if implicit(from.ty, to.ty) || implicit(to.ty, from.ty) {
        let what = format!("a foreign key from type {} to type {}", from.ty.sql_name(), to.ty.sql_name());
        return Err(Error::unsupported(what));
    }
    let text = format!("foreign key constraint \"{constraint}\" cannot be implemented");
    Err(Error::new(SqlState::DATATYPE_MISMATCH, text).detail(format!(
        "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
        from.name,
        to.name,
        from.ty.sql_name(),
        to.ty.sql_name()
    )))
}

fn action(a: Option<&ReferentialAction>) -> Action {
    match a {
        None | Some(ReferentialAction::NoAction) => Action::NoAction,
        Some(ReferentialAction::Restrict) => Action::Restrict,
        Some(ReferentialAction::Cascade) => Action::Cascade,
        Some(ReferentialAction::SetNull) => Action::SetNull,
        Some(ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

impl Binder<'_> {
    /// (DEFERRABLE, INITIALLY DEFERRED)
    fn deferral(&self, f: &ForeignKeyConstraint) -> Result<(bool, bool)> {
        if f.match_kind == Some(ConstraintReferenceMatchKind::Partial) {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "MATCH PARTIAL not yet implemented"));
        }
        let Some(c) = &f.characteristics else { return Ok((false, false)) };
        let deferred = c.initially == Some(ast::DeferrableInitial::Deferred);
        if deferred && c.deferrable == Some(false) {
            let text = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
            let pos = self.places.word_after(start(f.foreign_table.span()), "initially");
            return Err(Error::new(SqlState::SYNTAX_ERROR, text).at(pos));
        }
        Ok((deferred || c.deferrable == Some(true), deferred))
    }
}
