//! What single actions of ALTER TABLE do to a table's definition, when they run, and which locks they need.
//!
//! Called by [`super::alter`], which binds the expressions in them.

use super::names::fold;
use super::{Binder, ddl, sequence, storage};
use crate::bound::{AlterTable, CreateTable, Ddl};
use crate::parse::own::{Action, SequenceOption, Word};
use heddle_catalog::{Identity, Rule, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Result, SqlState};
use sqlparser::ast::{self, TableConstraint};
use std::sync::Arc;

/// The table's definition on its way to the new one.
pub(super) struct Change {
    pub alter: AlterTable,
}

impl Change {
    pub(super) fn new(table: &Arc<TableDef>, ctx: &crate::context::EvalContext) -> Self {
        let schema_name = ctx.catalog.schema_by_oid(table.schema).map_or_else(String::new, |s| s.name.clone());
        let mut made = CreateTable::new(table.schema, schema_name, table.name.clone());
        made.columns = table.columns.clone();
        Self { alter: AlterTable::new(Arc::clone(table), made) }
    }

    /// Index of a live column.
    pub(super) fn at(&self, column: &Word) -> Result<usize> {
        let alter = &self.alter;
        let found = alter.made.columns.iter().position(|c| !c.dropped && c.name == column.text);
        found.ok_or_else(|| {
            if ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"].contains(&column.text.as_str()) {
                let text = format!("cannot alter system column \"{}\"", column.text);
                return Error::new(SqlState::FEATURE_NOT_SUPPORTED, text);
            }
            self.no_column(&column.text)
        })
    }

    fn no_column(&self, name: &str) -> Error {
        let text = format!("column \"{name}\" of relation \"{}\" does not exist", self.alter.table.name);
        Error::new(SqlState::UNDEFINED_COLUMN, text)
    }

    /// A column named in ADD PRIMARY KEY: it must be there before anything else is asked.
    pub(super) fn key_column(&self, e: &ast::Expr) -> Result<()> {
        let ast::Expr::Identifier(ident) = e else { return Ok(()) };
        self.at(&Word { text: fold(ident), pos: None }).map(|_| ())
    }

    pub(super) fn identity_at(&self, column: &Word) -> Result<usize> {
        let at = self.at(column)?;
        if self.alter.made.columns[at].identity.is_some() {
            return Ok(at);
        }
        let (name, table) = (&column.text, &self.alter.table.name);
        let text = format!("column \"{name}\" of relation \"{table}\" is not an identity column");
        Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text))
    }

    pub(super) fn drop_column(&mut self, if_exists: bool, name: &Word, cascade: bool) -> Result<()> {
        let at = match self.at(name) {
            Ok(at) => at,
            Err(e) if if_exists && e.code() == SqlState::UNDEFINED_COLUMN => {
                self.alter.notices.push(storage::note(format!("{}, skipping", e.message())));
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        let attnum = self.alter.made.columns[at].attnum;
        self.alter.drop_columns.push((attnum, cascade));
        let def = &mut self.alter.made.columns[at];
        def.name = format!("........pg.dropped.{attnum}........");
        (def.dropped, def.not_null, def.default, def.identity) = (true, false, None, None);
        let table = &mut self.alter.table;
        table.indexes.retain(|i| i.columns.iter().all(|c| c.attnum != attnum));
        // Indexes and constraints over the column go with it, and what is said about them.
        table.constraints.retain(|c| !super::constraint::columns_of(&c.rule).contains(&attnum));
        Ok(())
    }

    pub(super) fn set_not_null(&mut self, column: &Word) -> Result<()> {
        let at = self.at(column)?;
        let def = &mut self.alter.made.columns[at];
        if !std::mem::replace(&mut def.not_null, true) {
            self.alter.not_null.push(at);
        }
        Ok(())
    }

    pub(super) fn drop_not_null(&mut self, column: &Word) -> Result<()> {
        let at = self.at(column)?;
        let def = &mut self.alter.made.columns[at];
        if def.identity.is_some() {
            let text =
                format!("column \"{}\" of relation \"{}\" is an identity column", def.name, self.alter.table.name);
            return Err(Error::new(SqlState::SYNTAX_ERROR, text));
        }
        let key = self.alter.table.primary_key().is_some_and(|k| k.columns.iter().any(|c| c.attnum == def.attnum));
        if key {
            let text = format!("column \"{}\" is in a primary key", def.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, text));
        }
        def.not_null = false;
        Ok(())
    }

    pub(super) fn add_identity(&mut self, column: &Word, always: bool, options: &[SequenceOption]) -> Result<()> {
        let at = self.at(column)?;
        let def = &self.alter.made.columns[at];
        let (name, table) = (&def.name, &self.alter.table.name);
        let refuse = |text: String| Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        if !def.not_null {
            return refuse(format!(
                "column \"{name}\" of relation \"{table}\" must be declared NOT NULL before identity can be added"
            ));
        }
        if def.identity.is_some() {
            return refuse(format!("column \"{name}\" of relation \"{table}\" is already an identity column"));
        }
        if def.default.is_some() {
            return refuse(format!("column \"{name}\" of relation \"{table}\" already has a default value"));
        }
        let identity = if always { Identity::Always } else { Identity::ByDefault };
        let (sequence, name) = sequence::of_column(def.ty.oid, options, true)?;
        self.alter.made.serials.push(crate::bound::NewSerial { column: at, identity: Some(identity), name, sequence });
        Ok(())
    }

    pub(super) fn drop_constraint(&mut self, if_exists: bool, name: &Word, cascade: bool) -> Result<()> {
        let table = &mut self.alter.table;
        let index = table.indexes.iter().position(|i| i.constraint.is_some() && i.name == name.text);
        if let Some(at) = index {
            let index = table.indexes.remove(at);
            self.alter.drop_constraints.extend(index.constraint.map(|oid| (oid, cascade)));
            return Ok(());
        }
        if let Some(at) = table.constraints.iter().position(|c| c.name == name.text) {
            table.constraints.remove(at);
            return Ok(());
        }
        let text = format!("constraint \"{}\" of relation \"{}\" does not exist", name.text, table.name);
        if if_exists {
            self.alter.notices.push(storage::note(text + ", skipping"));
            return Ok(());
        }
        Err(Error::new(SqlState::UNDEFINED_OBJECT, text))
    }

    pub(super) fn validate(&mut self, name: &Word) -> Result<()> {
        let table = &mut self.alter.table;
        if let Some(c) = table.constraints.iter_mut().find(|c| c.name == name.text) {
            if !std::mem::replace(&mut c.valid, true) {
                self.alter.validate.push(c.oid);
            }
            return Ok(());
        }
        let (name, indexes, table) = (&name.text, &table.indexes, &table.name);
        if indexes.iter().any(|i| i.constraint.is_some() && i.name == *name) {
            let text =
                format!("constraint \"{name}\" of relation \"{table}\" is not a foreign key or check constraint");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
        let text = format!("constraint \"{name}\" of relation \"{table}\" does not exist");
        Err(Error::new(SqlState::UNDEFINED_OBJECT, text))
    }

    /// Constraints are kept bound to types, so that those of their columns stay.
    pub(super) fn refuse_uses(&self, attnum: i16, what: &str) -> Result<()> {
        let uses = |r: &Rule| super::constraint::columns_of(r).contains(&attnum);
        match self.alter.table.constraints.iter().find(|c| uses(&c.rule)) {
            Some(c) => Err(Error::unsupported(format!("{what} that constraint \"{}\" uses", c.name))),
            None => Ok(()),
        }
    }

    pub(super) fn finish(mut self, binder: &mut Binder<'_>) -> Result<Ddl> {
        let alter = &mut self.alter;
        if alter.made.keys.iter().any(|k| k.primary) && alter.table.primary_key().is_some() {
            let text = format!("multiple primary keys for table \"{}\" are not allowed", alter.table.name);
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, text));
        }
        let before: Vec<bool> = alter.made.columns.iter().map(|c| c.not_null).collect();
        ddl::check_keys(&mut alter.made)?;
        for (at, column) in alter.made.columns.iter().enumerate() {
            if column.not_null && !before[at] {
                alter.not_null.push(at);
            }
        }
        alter.table.columns = alter.made.columns.clone();
        for reference in &alter.made.references {
            if let Some(table) = &reference.table {
                binder.lock(table, RelationLock::ShareRowExclusive);
            }
        }
        Ok(Ddl::AlterTable(Box::new(self.alter)))
    }
}

/// When an action runs (PostgreSQL's AlterTablePass).
pub(super) fn pass(action: &Action) -> u8 {
    match action {
        Action::DropColumn { .. } | Action::DropConstraint { .. } | Action::DropIdentity { .. } => 0,
        Action::NotNull { set: false, .. } | Action::Default { value: None, .. } => 0,
        Action::Type { .. } => 1,
        Action::AddColumn { .. } => 4,
        Action::NotNull { set: true, .. } | Action::SetIdentity { .. } => 6,
        Action::AddConstraint { constraint, .. } => match **constraint {
            TableConstraint::PrimaryKey(_)
            | TableConstraint::Unique(_)
            | TableConstraint::PrimaryKeyUsingIndex(_)
            | TableConstraint::UniqueUsingIndex(_) => 7,
            _ => 9,
        },
        Action::Default { .. } | Action::AddIdentity { .. } => 9,
        Action::Validate { .. } | Action::Tuning { .. } | Action::Options { .. } | Action::Owner(_) => 10,
    }
}

/// The lock an action needs.
pub(super) fn lock_of(action: &Action) -> RelationLock {
    match action {
        Action::Validate { .. } | Action::Tuning { .. } | Action::Options { .. } => RelationLock::ShareUpdateExclusive,
        Action::AddConstraint { constraint, .. } if matches!(**constraint, TableConstraint::ForeignKey(_)) => {
            RelationLock::ShareRowExclusive
        }
        _ => RelationLock::AccessExclusive,
    }
}

/// The action's name in `ALTER action … cannot be performed`.
pub(super) fn action_name(action: &Action) -> &'static str {
    match action {
        Action::AddColumn { .. } => "ADD COLUMN",
        Action::DropColumn { .. } => "DROP COLUMN",
        Action::Default { .. } => "ALTER COLUMN ... SET DEFAULT",
        Action::NotNull { set: true, .. } => "ALTER COLUMN ... SET NOT NULL",
        Action::NotNull { set: false, .. } => "ALTER COLUMN ... DROP NOT NULL",
        Action::Type { .. } => "ALTER COLUMN ... SET DATA TYPE",
        Action::AddIdentity { .. } => "ALTER COLUMN ... ADD IDENTITY",
        Action::SetIdentity { .. } => "ALTER COLUMN ... SET",
        Action::DropIdentity { .. } => "ALTER COLUMN ... DROP IDENTITY",
        Action::Tuning { .. } => "ALTER COLUMN ... SET",
        Action::Options { .. } => "SET",
        Action::AddConstraint { .. } => "ADD CONSTRAINT",
        Action::DropConstraint { .. } => "DROP CONSTRAINT",
        Action::Validate { .. } => "VALIDATE CONSTRAINT",
        Action::Owner(_) => "OWNER TO",
    }
}
