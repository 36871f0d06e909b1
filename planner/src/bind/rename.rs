//! ALTER … RENAME, ALTER … SET SCHEMA, COMMENT ON: which object is meant.

use super::Binder;
use super::alter::lookup;
use super::scope::{Found, find_relation, unknown_relation};
use crate::bound::{Comment, Commented, Ddl, Renamed};
use crate::parse::own::{self, Name, Noun, Part, Word};
use heddle_catalog::{Relation, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Oid, Result, Severity, SqlState};
use std::sync::Arc;

impl Binder<'_> {
    pub(super) fn rename(&mut self, noun: Noun, if_exists: bool, name: &Name, part: &Part, to: &str) -> Result<Ddl> {
        let tag = alter_tag(noun);
        let Some(relation) = self.altered(noun, name, if_exists, true)? else {
            let notice = format!("relation \"{}\" does not exist, skipping", name.parts.join("."));
            return Ok(Ddl::Nothing { tag, notices: vec![super::storage::note(notice)] });
        };
        let what = match (part, relation) {
            (Part::Whole, relation) => {
                self.lock_relation(&relation, RelationLock::AccessExclusive);
                Renamed::Relation(relation)
            }
            (Part::Column(column), relation) => {
                self.lock_relation(&relation, RelationLock::AccessExclusive);
                column_of(relation, column)?
            }
            (Part::Constraint(constraint), Relation::Table(t)) => {
                self.lock(&t, RelationLock::AccessExclusive);
                let oid = constraint_of(&t, &constraint.text)?;
                Renamed::Constraint(t, oid)
            }
            (Part::Constraint(_), relation) => return Err(wrong_kind(relation.name(), Noun::Table)),
        };
        Ok(Ddl::Rename { what, to: to.to_owned(), tag })
    }

    pub(super) fn set_schema(&mut self, noun: Noun, if_exists: bool, name: &Name, schema: &Word) -> Result<Ddl> {
        let tag = alter_tag(noun);
        let Some(relation) = self.altered(noun, name, if_exists, true)? else {
            let notice = format!("relation \"{}\" does not exist, skipping", name.parts.join("."));
            return Ok(Ddl::Nothing { tag, notices: vec![super::storage::note(notice)] });
        };
        if let Relation::Sequence(s) = &relation
            && let Some(owner) = s.owner
        {
            let table = self.catalog().table(owner.table).map_or_else(String::new, |t| t.name.clone());
            let text = "cannot move an owned sequence into another schema";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                .detail(format!("Sequence \"{}\" is linked to table \"{table}\".", s.name)));
        }
        if let Relation::Index(..) = &relation {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot change schema of index \"{}\"", relation.name()),
            )
            .hint("Change the schema of the table instead."));
        }
        let (schema, _) = super::scope::creation_schema(self.ctx, Some(&schema.text))?;
        self.lock_relation(&relation, RelationLock::AccessExclusive);
        Ok(Ddl::SetSchema { relation, schema, tag })
    }

    pub(super) fn rename_schema(&mut self, name: &Word, to: &str) -> Result<Ddl> {
        let found = self.catalog().schema(self.ctx.session.database_oid, &name.text);
        let missing = || Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{}\" does not exist", name.text));
        let schema = found.ok_or_else(missing)?;
        if to.starts_with("pg_") {
            return Err(Error::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{to}\""))
                .detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        self.lock_oid(schema.oid, RelationLock::AccessExclusive);
        Ok(Ddl::Rename { what: Renamed::Schema(schema), to: to.to_owned(), tag: "ALTER SCHEMA" })
    }

    pub(super) fn comment(&mut self, on: &own::Commented, text: Option<String>) -> Result<Ddl> {
        let database = self.ctx.session.database_oid;
        let (object, on, column) = match on {
            own::Commented::Relation(noun, name) => {
                let relation =
                    self.altered(*noun, name, false, false)?.ok_or_else(|| Error::internal("a relation is missing"))?;
                self.lock_relation(&relation, RelationLock::ShareUpdateExclusive);
                (holder(&relation), relation.oid(), 0)
            }
            own::Commented::Column(name) => self.commented_column(name)?,
            own::Commented::Constraint { name, table } => {
                let Some(Relation::Table(t)) = self.altered(Noun::Table, table, false, false)? else {
                    return Err(wrong_kind(&table.parts.join("."), Noun::Table));
                };
                self.lock(&t, RelationLock::ShareUpdateExclusive);
                let missing = || {
                    let text = format!("constraint \"{}\" for table \"{}\" does not exist", name.text, t.name);
                    Error::new(SqlState::UNDEFINED_OBJECT, text)
                };
                let oid = constraint_of(&t, &name.text).map_err(|_| missing())?;
                (Commented::Table(t.oid), oid, 0)
            }
            own::Commented::Schema(name) => {
                let missing =
                    || Error::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{}\" does not exist", name.text));
                let schema = self.catalog().schema(database, &name.text).ok_or_else(missing)?;
                self.lock_oid(schema.oid, RelationLock::ShareUpdateExclusive);
                (Commented::Schema(schema.oid), schema.oid, 0)
            }
            own::Commented::Database(name) => {
                let Some(db) = self.catalog().database(&name.text) else {
                    // A dump that is restored under another name must go through.
                    let text = format!("database \"{}\" does not exist", name.text);
                    let warning = Error::notice(Severity::Warning, SqlState::INVALID_CATALOG_NAME, text);
                    return Ok(Ddl::Nothing { tag: "COMMENT", notices: vec![warning] });
                };
                self.lock_oid(db.oid, RelationLock::ShareUpdateExclusive);
                (Commented::Database(db.oid), db.oid, 0)
            }
        };
        Ok(Ddl::Comment(Comment { object, on, column, text }))
    }

    fn commented_column(&mut self, name: &Name) -> Result<(Commented, Oid, i16)> {
        let Some((column, relation)) = name.parts.split_last().filter(|(_, r)| !r.is_empty()) else {
            let text = "column name must be qualified";
            return Err(Error::new(SqlState::SYNTAX_ERROR, text));
        };
        let relation = Name { parts: relation.to_vec(), pos: name.pos };
        let (schema, bare) = lookup(&relation, &self.ctx.session.database)?;
        let missing = |relation: &str| {
            let text = format!("column \"{column}\" of relation \"{relation}\" does not exist");
            Error::new(SqlState::UNDEFINED_COLUMN, text)
        };
        match self.found(schema.as_deref(), &bare)? {
            Some(Relation::Table(t)) => {
                self.lock(&t, RelationLock::ShareUpdateExclusive);
                let at = t.column(column).ok_or_else(|| missing(&t.name))?;
                Ok((Commented::Table(t.oid), t.oid, t.columns[at].attnum))
            }
            Some(Relation::View(v)) => {
                self.lock_oid(v.oid, RelationLock::ShareUpdateExclusive);
                let at = v.columns.iter().position(|c| c.name == *column).ok_or_else(|| missing(&v.name))?;
                Ok((Commented::View(v.oid), v.oid, i16::try_from(at + 1).unwrap_or(i16::MAX)))
            }
            Some(other) => {
                let text = format!("cannot set comment on relation \"{}\"", other.name());
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text))
            }
            None => Err(unknown_relation(schema.as_deref(), &bare)),
        }
    }

    /// A relation of ours by name.
    ///
    /// # Errors
    /// `42501` for system catalogs.
    pub(super) fn found(&mut self, schema: Option<&str>, name: &str) -> Result<Option<Relation>> {
        Ok(match find_relation(self.ctx, schema, name) {
            Some(Found::Table(t)) => Some(Relation::Table(t)),
            Some(Found::View(v)) => Some(Relation::View(v)),
            Some(Found::Sequence(s)) => Some(Relation::Sequence(s)),
            Some(Found::Index(_)) => {
                let (table, at) = self.found_index(schema, name)?;
                Some(Relation::Index(table, at))
            }
            Some(Found::System(t)) => {
                let text = format!("permission denied: \"{}\" is a system catalog", t.name);
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
            }
            None => None,
        })
    }

    /// The relation an ALTER or COMMENT names; `any` when the kind need not be the one it says.
    fn altered(&mut self, noun: Noun, name: &Name, if_exists: bool, any: bool) -> Result<Option<Relation>> {
        let (schema, bare) = lookup(name, &self.ctx.session.database)?;
        let Some(relation) = self.found(schema.as_deref(), &bare)? else {
            return if if_exists { Ok(None) } else { Err(unknown_relation(schema.as_deref(), &bare)) };
        };
        let fits = match (noun, &relation) {
            (Noun::Table, Relation::Table(_)) | (Noun::View, Relation::View(_)) => true,
            (Noun::Index, Relation::Index(..)) | (Noun::Sequence, Relation::Sequence(_)) => true,
            // ALTER TABLE renames and moves anything, ALTER INDEX renames tables too.
            (Noun::Table, _) | (Noun::Index, Relation::Table(_)) => any,
            _ => false,
        };
        if fits { Ok(Some(relation)) } else { Err(wrong_kind(&bare, noun)) }
    }

    fn lock_relation(&mut self, relation: &Relation, mode: RelationLock) {
        match relation {
            Relation::Table(t) | Relation::Index(t, _) => self.lock(t, mode),
            Relation::View(v) => self.lock_view(v, mode),
            Relation::Sequence(s) => self.lock_oid(s.oid, mode),
        }
    }
}

/// The object whose row has a relation's comment.
fn holder(relation: &Relation) -> Commented {
    match relation {
        Relation::Table(t) | Relation::Index(t, _) => Commented::Table(t.oid),
        Relation::View(v) => Commented::View(v.oid),
        Relation::Sequence(s) => Commented::Sequence(s.oid),
    }
}

fn column_of(relation: Relation, column: &Word) -> Result<Renamed> {
    let missing = || Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", column.text));
    match relation {
        Relation::Table(t) if t.series.is_some() => {
            Err(Error::unsupported("renaming a column of a time-series table").at(column.pos))
        }
        Relation::Table(t) => {
            let at = t.column(&column.text).ok_or_else(missing)?;
            let attnum = t.columns[at].attnum;
            Ok(Renamed::Column(t, attnum))
        }
        Relation::View(v) => {
            let at = v.columns.iter().position(|c| c.name == column.text).ok_or_else(missing)?;
            Ok(Renamed::ViewColumn(v, at))
        }
        other => Err(wrong_kind(other.name(), Noun::Table)),
    }
}

fn constraint_of(table: &Arc<TableDef>, name: &str) -> Result<Oid> {
    let index = table.indexes.iter().find(|i| i.name == name).and_then(|i| i.constraint);
    let other = || table.constraints.iter().find(|c| c.name == name).map(|c| c.oid);
    index.or_else(other).ok_or_else(|| {
        let text = format!("constraint \"{name}\" for table \"{}\" does not exist", table.name);
        Error::new(SqlState::UNDEFINED_OBJECT, text)
    })
}

fn wrong_kind(name: &str, noun: Noun) -> Error {
    let article = if noun == Noun::Index { "an" } else { "a" };
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not {article} {}", noun.word()))
}

fn alter_tag(noun: Noun) -> &'static str {
    match noun {
        Noun::Table => "ALTER TABLE",
        Noun::Index => "ALTER INDEX",
        Noun::View => "ALTER VIEW",
        Noun::Sequence => "ALTER SEQUENCE",
    }
}
