//! CREATE INDEX and DROP INDEX. Names are decided again under locks by [`crate::ddl`].

use super::Binder;
use super::names::{fold, parts, qualified, start};
use super::scope::{Found, find_relation, unknown_relation};
use crate::bound::{CreateIndex, Ddl};
use heddle_catalog::{Relation, TableDef};
use heddle_txn::RelationLock;
use heddle_types::key::KeyOrder;
use heddle_types::{Error, PgType, Result, SqlState};
use sqlparser::ast::{self, ObjectName, Spanned};
use std::sync::Arc;

/// Most key columns of an index (INDEX_MAX_KEYS).
const KEY_COLUMNS_MAX: usize = 32;

impl Binder<'_> {
    pub(super) fn create_index(&mut self, i: &ast::CreateIndex) -> Result<Ddl> {
        refuse_options(i)?;
        let table = self.indexed_table(&i.table_name)?;
        let name = match &i.name {
            Some(name) => Some(index_name(name)?),
            None if i.if_not_exists => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"ON\""));
            }
            None => None,
        };
        if i.columns.len() > KEY_COLUMNS_MAX {
            let message = format!("cannot use more than {KEY_COLUMNS_MAX} columns in an index");
            return Err(Error::new(SqlState::TOO_MANY_COLUMNS, message));
        }
        let columns = i.columns.iter().map(|c| key_column(&table, c)).collect::<Result<_>>()?;
        Ok(Ddl::CreateIndex(CreateIndex {
            table,
            name,
            if_not_exists: i.if_not_exists,
            unique: i.unique,
            concurrently: i.concurrently,
            columns,
            notices: super::storage::index_notices(&super::storage::index_parameters(&i.with)?)?,
        }))
    }

    /// The table, locked against writers and against other DDL: PostgreSQL takes SHARE, which lets a second CREATE INDEX
    /// run beside it; here both would write the same catalog row.
    fn indexed_table(&mut self, name: &ObjectName) -> Result<Arc<TableDef>> {
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        let wrong = |name: &str, kind: &str| {
            Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("cannot create index on relation \"{name}\""))
                .detail(format!("This operation is not supported for {kind}.")))
        };
        match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) if t.series.is_some() => Err(Error::unsupported("an index on a time-series table")),
            Some(Found::Table(t)) => {
                self.lock(&t, RelationLock::ShareRowExclusive);
                Ok(t)
            }
            Some(Found::System(t)) => {
                let message = format!("permission denied: \"{}\" is a system catalog", t.name);
                Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, message))
            }
            Some(Found::Index(index)) => wrong(&index, "indexes"),
            Some(Found::View(v)) => wrong(&v.name, "views"),
            Some(Found::Sequence(s)) => wrong(&s.name, "sequences"),
            None => Err(unknown_relation(schema.as_deref(), &bare)),
        }
    }

    pub(super) fn drop_index(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Ddl> {
        let (mut indexes, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let (schema, bare) = qualified(name, &self.ctx.session.database)?;
            let wrong = |name: &str, kind: &str| {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not an index"))
                    .hint(format!("Use DROP {kind} to remove a {}.", kind.to_lowercase())))
            };
            match find_relation(self.ctx, schema.as_deref(), &bare) {
                Some(Found::Index(_)) => {
                    let (table, at) = self.found_index(schema.as_deref(), &bare)?;
                    refuse_constraint(&table, at)?;
                    self.lock(&table, RelationLock::AccessExclusive);
                    let oid = table.indexes[at].oid;
                    indexes.push((table, oid));
                }
                Some(Found::Table(t)) => return wrong(&t.name, "TABLE"),
                Some(Found::View(v)) => return wrong(&v.name, "VIEW"),
                Some(Found::Sequence(s)) => return wrong(&s.name, "SEQUENCE"),
                Some(Found::System(t)) => return wrong(t.name, "TABLE"),
                None => {
                    missing.push(self.missing(
                        schema.as_deref(),
                        &bare,
                        "index",
                        SqlState::UNDEFINED_OBJECT,
                        if_exists,
                    )?);
                }
            }
        }
        Ok(Ddl::DropIndex { indexes, missing })
    }

    pub(super) fn found_index(&self, schema: Option<&str>, name: &str) -> Result<(Arc<TableDef>, usize)> {
        let path = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => super::scope::search_path(self.ctx),
        };
        let found = path.iter().find_map(|s| {
            let schema = self.catalog().schema(self.ctx.session.database_oid, s)?;
            match self.catalog().relation(schema.oid, name)? {
                Relation::Index(t, at) => Some((t, at)),
                _ => None,
            }
        });
        found.ok_or_else(|| Error::internal("an index that was just found is gone"))
    }

    /// The name for the notice of IF EXISTS about an object that is not there.
    ///
    /// # Errors
    /// `code` without IF EXISTS, or `3F000` when it is the schema that is missing.
    pub(super) fn missing(
        &self,
        schema: Option<&str>,
        name: &str,
        kind: &str,
        code: SqlState,
        if_exists: bool,
    ) -> Result<String> {
        if if_exists {
            return Ok(name.to_owned());
        }
        if let Some(s) = schema
            && self.catalog().schema(self.ctx.session.database_oid, s).is_none()
        {
            return Err(Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{s}\" does not exist")));
        }
        let full = schema.map_or_else(|| name.to_owned(), |s| format!("{s}.{name}"));
        Err(Error::new(code, format!("{kind} \"{full}\" does not exist")))
    }
}

fn index_name(name: &ObjectName) -> Result<String> {
    let mut all = parts(name)?;
    match (all.pop(), all.is_empty()) {
        (Some(name), true) => Ok(name),
        // An index goes where its table is.
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \".\"").at(start(name.span()))),
    }
}

fn key_column(table: &TableDef, c: &ast::IndexColumn) -> Result<(usize, KeyOrder)> {
    let ast::Expr::Identifier(ident) = &c.column.expr else {
        return Err(Error::unsupported("an index on an expression"));
    };
    let name = fold(ident);
    let missing = || Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"));
    let at = table.column(&name).ok_or_else(missing)?;
    let ty = table.columns[at].ty;
    if let Some(class) = &c.operator_class {
        operator_class(class, ty)?;
    }
    refuse_incomparable(ty)?;
    let desc = c.column.options.asc == Some(false);
    Ok((at, KeyOrder { desc, nulls_first: c.column.options.nulls_first.unwrap_or(desc) }))
}

/// Text compares by bytes here (collation C), so the pattern classes are the default ones.
fn operator_class(name: &ObjectName, ty: PgType) -> Result<()> {
    let class = parts(name)?.pop().unwrap_or_default();
    let default = format!("{}_ops", ty.info().name);
    let patterns = ["text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops", "text_ops", "varchar_ops"];
    if class == default || (super::coerce::is_string(ty.oid) && patterns.contains(&class.as_str())) {
        return Ok(());
    }
    Err(Error::unsupported(format!("operator class \"{class}\"")).at(start(name.span())))
}

/// `42704` for types that have no order, so that nothing can be a key of them.
pub(super) fn refuse_incomparable(ty: PgType) -> Result<()> {
    let comparable = crate::function::comparison(ty.oid, crate::function::Comparison::Eq).is_some()
        || super::coerce::is_string(ty.oid)
        || super::coerce::element_of(ty.oid).is_some();
    if comparable {
        return Ok(());
    }
    let message = format!("data type {} has no default operator class for access method \"btree\"", ty.sql_name());
    Err(Error::new(SqlState::UNDEFINED_OBJECT, message)
        .hint("You must specify an operator class for the index or define a default operator class for the data type."))
}

fn refuse_constraint(table: &TableDef, at: usize) -> Result<()> {
    let index = &table.indexes[at];
    if index.constraint.is_none() {
        return Ok(());
    }
    let (index, table) = (&index.name, &table.name);
    let message = format!("cannot drop index {index} because constraint {index} on table {table} requires it");
    Err(Error::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, message)
        .hint(format!("You can drop constraint {index} on table {table} instead.")))
}

fn refuse_options(i: &ast::CreateIndex) -> Result<()> {
    let what = if !i.include.is_empty() {
        "CREATE INDEX with INCLUDE".to_owned()
    } else if i.nulls_distinct == Some(false) {
        "UNIQUE NULLS NOT DISTINCT".to_owned()
    } else if i.predicate.is_some() {
        "a partial index".to_owned()
    } else if !i.index_options.is_empty() || !i.alter_options.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in CREATE INDEX"));
    } else {
        match i.using.as_ref().map(|u| u.to_string().to_ascii_lowercase()) {
            None => return Ok(()),
            Some(method) if method == "btree" => return Ok(()),
            Some(method) if matches!(method.as_str(), "hash" | "gin" | "gist" | "spgist" | "brin") => {
                format!("access method \"{method}\"")
            }
            Some(method) => {
                let message = format!("access method \"{method}\" does not exist");
                return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
            }
        }
    };
    Err(Error::unsupported(what).at(start(i.table_name.span())))
}
