//! ALTER TABLE: each action changes a copy of the table's definition, in PostgreSQL's order of passes. What that means for
//! rows, storages and dependent objects is settled by [`crate::ddl`] from the difference.

use super::change::{Change, action_name, lock_of, pass};
use super::names::fold;
use super::scope::{Found, find_relation};
use super::{Binder, Typed, ddl, sequence, storage, walk};
use crate::bound::{Ddl, Expr};
use crate::function::CastContext;
use crate::parse::own::{Action, Name, Noun, Own, SequenceOption, StorageOption, Word};
use heddle_catalog::{Identity, Rule, TableDef};
use heddle_txn::RelationLock;
use heddle_types::text::{self, TextSettings};
use heddle_types::{Error, PgType, Result, Severity, SqlState};
use sqlparser::ast::{self, TableConstraint};
use std::sync::Arc;

/// (schema, name) of a dotted name.
pub(super) fn lookup(name: &Name, database: &str) -> Result<(Option<String>, String)> {
    match name.parts.as_slice() {
        [name] => Ok((None, name.clone())),
        [schema, name] => Ok((Some(schema.clone()), name.clone())),
        [db, schema, name] if db == database => Ok((Some(schema.clone()), name.clone())),
        [_, _, _] => {
            let message = format!("cross-database references are not implemented: \"{}\"", name.parts.join("."));
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(name.pos))
        }
        parts => {
            let message = format!("improper relation name (too many dotted names): {}", parts.join("."));
            Err(Error::new(SqlState::SYNTAX_ERROR, message).at(name.pos))
        }
    }
}

impl Binder<'_> {
    /// A statement of our own grammar.
    pub(super) fn own(&mut self, own: &Own) -> Result<Ddl> {
        match own {
            Own::Alter { noun, if_exists, name, actions } => self.alter(*noun, *if_exists, name, actions),
            Own::Rename { noun, if_exists, name, part, to } => self.rename(*noun, *if_exists, name, part, to),
            Own::SetSchema { noun, if_exists, name, schema } => self.set_schema(*noun, *if_exists, name, schema),
            Own::RenameSchema { name, to } => self.rename_schema(name, to),
            Own::CreateSequence { temporary, if_not_exists, name, options } => {
                self.create_sequence(*temporary, *if_not_exists, name, options)
            }
            Own::AlterSequence { if_exists, name, options } => self.alter_sequence(*if_exists, name, options),
            Own::DropSequence { names, if_exists, cascade } => self.drop_sequence(names, *if_exists, *cascade),
            Own::Comment { on, text } => self.comment(on, text.clone()),
        }
    }

    /// Remembers a lock on something that is no table.
    pub(super) fn lock_oid(&mut self, oid: heddle_types::Oid, mode: RelationLock) {
        match self.locks.iter_mut().find(|(o, _)| *o == oid) {
            Some((_, held)) => *held = (*held).max(mode),
            None => self.locks.push((oid, mode)),
        }
    }

    fn alter(&mut self, noun: Noun, if_exists: bool, name: &Name, actions: &[Action]) -> Result<Ddl> {
        let (schema, bare) = lookup(name, &self.ctx.session.database)?;
        let tag = match noun {
            Noun::Table => "ALTER TABLE",
            Noun::Index => "ALTER INDEX",
            Noun::View => "ALTER VIEW",
            Noun::Sequence => "ALTER SEQUENCE",
        };
        let missing = || format!("relation \"{}\" does not exist", name.parts.join("."));
        let table = match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) if noun == Noun::Table => t,
            Some(Found::Table(t)) => {
                let text = format!("\"{}\" is not {} {}", t.name, article(noun), noun.word());
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text));
            }
            Some(Found::System(t)) => {
                let text = format!("permission denied: \"{}\" is a system catalog", t.name);
                return Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
            }
            Some(other) => return self.alter_other(tag, &other, actions),
            None if if_exists => {
                return Ok(Ddl::Nothing { tag, notices: vec![storage::note(missing() + ", skipping")] });
            }
            None => return Err(Error::new(SqlState::UNDEFINED_TABLE, missing())),
        };
        if table.series.is_some() {
            actions.iter().try_for_each(|a| super::series_alter::refuse(&table, a)).map_err(|e| e.at(name.pos))?;
        }
        self.lock(&table, actions.iter().map(lock_of).max().unwrap_or(RelationLock::AccessExclusive));
        let mut change = Change::new(&table, self.ctx);
        let mut ordered: Vec<&Action> = actions.iter().collect();
        ordered.sort_by_key(|a| pass(a));
        for action in ordered {
            self.alter_action(&mut change, action).map_err(|e| unplaced(action, e))?;
        }
        change.finish(self)
    }

    /// Actions on indexes, views and sequences: those that change nothing here.
    fn alter_other(&self, tag: &'static str, found: &Found, actions: &[Action]) -> Result<Ddl> {
        let (name, kinds) = match found {
            Found::Index(name) => (name.as_str(), "indexes"),
            Found::View(v) => (v.name.as_str(), "views"),
            Found::Sequence(s) => (s.name.as_str(), "sequences"),
            Found::Table(_) | Found::System(_) => return Err(Error::internal("a table is altered elsewhere")),
        };
        let mut notices = Vec::new();
        for action in actions {
            match action {
                Action::Owner(role) => self.check_owner(role)?,
                Action::Options { options } if matches!(found, Found::Index(_)) => {
                    notices.extend(storage::index_notices(&parameters(options))?);
                }
                Action::Default { .. } if matches!(found, Found::View(_)) => {
                    return Err(Error::unsupported("a default of a view's column"));
                }
                other => {
                    let action = action_name(other);
                    let text = format!("ALTER action {action} cannot be performed on relation \"{name}\"");
                    return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text)
                        .detail(format!("This operation is not supported for {kinds}.")));
                }
            }
        }
        Ok(Ddl::Nothing { tag, notices })
    }

    /// There is one role.
    fn check_owner(&self, role: &Word) -> Result<()> {
        let known = ["current_user", "session_user", "current_role"];
        if role.text == self.ctx.session.user || known.contains(&role.text.as_str()) {
            return Ok(());
        }
        Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{}\" does not exist", role.text)))
    }

    fn alter_action(&mut self, change: &mut Change, action: &Action) -> Result<()> {
        match action {
            Action::AddColumn { if_not_exists, column, pos: _ } => self.add_column(change, *if_not_exists, column),
            Action::DropColumn { if_exists, name, cascade } => change.drop_column(*if_exists, name, *cascade),
            Action::Default { column, value } => self.alter_default(change, column, value.as_deref()),
            Action::NotNull { column, set: true } => change.set_not_null(column),
            Action::NotNull { column, set: false } => change.drop_not_null(column),
            Action::Type { column, ty, using } => self.alter_type(change, column, ty, using.as_deref()),
            Action::AddIdentity { column, always, options } => change.add_identity(column, *always, options),
            Action::SetIdentity { column, always, options } => self.set_identity(change, column, *always, options),
            Action::DropIdentity { column, if_exists } => self.drop_identity(change, column, *if_exists),
            Action::Tuning { column, what } => {
                column.as_ref().map(|c| change.at(c)).transpose()?;
                change.alter.notices.push(storage::note(format!("{what} of a column has no effect")));
                Ok(())
            }
            Action::Options { options } => {
                let notices = storage::table_notices(&parameters(options))?;
                change.alter.notices.extend(notices);
                Ok(())
            }
            Action::AddConstraint { constraint, not_valid, pos } => {
                let using = matches!(
                    **constraint,
                    TableConstraint::PrimaryKeyUsingIndex(_) | TableConstraint::UniqueUsingIndex(_)
                );
                self.add_constraint(change, constraint, *not_valid).map_err(|e| match e.fields().position {
                    None if using || e.code() == SqlState::FEATURE_NOT_SUPPORTED => e.at(*pos),
                    _ => e,
                })
            }
            Action::DropConstraint { if_exists, name, cascade } => change.drop_constraint(*if_exists, name, *cascade),
            Action::Validate { name } => change.validate(name),
            Action::Owner(role) => self.check_owner(role),
        }
    }

    fn add_column(&mut self, change: &mut Change, if_not_exists: bool, column: &ast::ColumnDef) -> Result<()> {
        let name = fold(&column.name);
        let alter = &mut change.alter;
        if alter.made.columns.iter().any(|c| !c.dropped && c.name == name) {
            let text = format!("column \"{name}\" of relation \"{}\" already exists", alter.table.name);
            if if_not_exists {
                let text = text + ", skipping";
                alter.notices.push(Error::notice(Severity::Notice, SqlState::DUPLICATE_COLUMN, text));
                return Ok(());
            }
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, text));
        }
        let at = alter.made.columns.len();
        self.column_def(&mut alter.made, column)?;
        ddl::check_columns(&alter.made)?;
        let def = &alter.made.columns[at];
        let volatile = match &def.default {
            Some(stored) => crate::eval::visit::is_volatile(&super::stored_expr(stored)?),
            None => alter.made.serials.iter().any(|s| s.column == at),
        };
        if volatile {
            alter.fill.push(at);
        }
        if def.not_null {
            alter.not_null.push(at);
        }
        self.constraints(&mut alter.made, Some(&alter.table), std::slice::from_ref(column), &[], true)
    }

    fn alter_default(&mut self, change: &mut Change, column: &Word, value: Option<&ast::Expr>) -> Result<()> {
        let at = change.at(column)?;
        let def = &change.alter.made.columns[at];
        if def.identity.is_some() {
            let text =
                format!("column \"{}\" of relation \"{}\" is an identity column", def.name, change.alter.table.name);
            let e = Error::new(SqlState::SYNTAX_ERROR, text);
            return Err(match value {
                None => e.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."),
                Some(_) => e,
            });
        }
        let default = match value {
            Some(e) => self.default(e, &def.clone())?,
            None => None,
        };
        change.alter.made.columns[at].default = default;
        Ok(())
    }

    fn alter_type(
        &mut self,
        change: &mut Change,
        column: &Word,
        ty: &ast::DataType,
        using: Option<&ast::Expr>,
    ) -> Result<()> {
        let at = change.at(column)?;
        let ty = super::types::resolve_type(ty)?;
        let old = change.alter.made.columns[at].clone();
        change.refuse_uses(old.attnum, "altering the type of a column")?;
        self.refuse_referenced(&change.alter.old, old.attnum)?;
        let refuse = |what: &str, hint: String| {
            let text = format!("{what}column \"{}\" cannot be cast automatically to type {}", old.name, ty.sql_name());
            Err(Error::new(SqlState::DATATYPE_MISMATCH, text).hint(hint))
        };
        let value = match using {
            None => Typed::new(Expr::Column { id: crate::bound::ColId(old.attnum as u32), ty: old.ty }, None),
            Some(e) => self.over_row(&change.alter.old, super::scope::Clause::Using, |b| b.expr(e))?,
        };
        let Some(cast) = self.coerce(value, ty, CastContext::Assignment)? else {
            return match using {
                None => {
                    refuse("", format!("You might need to specify \"USING {}::{}\".", quoted(&old.name), ty.sql_name()))
                }
                Some(_) => refuse("result of USING clause for ", "You might need to add an explicit cast.".to_owned()),
            };
        };
        if walk::has_subquery(&cast.expr) {
            let text = "cannot use subquery in transform expression";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text).at(self.places.opened(cast.pos)));
        }
        let default = self.recast_default(&old, ty)?;
        let def = &mut change.alter.made.columns[at];
        (def.ty, def.default) = (ty, default);
        let same = matches!(&cast.expr, Expr::Column { id, .. } if id.0 == old.attnum as u32);
        if !(same && old.ty.class() == ty.class()) {
            change.alter.values.push((at, cast.expr));
        }
        change.alter.retyped.push(old.attnum);
        if let Some(Some(mut sequence)) = old.identity.map(|_| self.identity_sequence(&change.alter.old, old.attnum)) {
            let option =
                SequenceOption { kind: crate::parse::own::SequenceSetting::Type(Box::new(data_type(ty)?)), pos: None };
            sequence::alter_identity(&mut sequence, &[option])?;
            change.alter.sequences.push(sequence);
        }
        Ok(())
    }

    fn refuse_referenced(&self, table: &TableDef, attnum: i16) -> Result<()> {
        let refers = |c: &heddle_catalog::ConstraintDef| match &c.rule {
            Rule::References(f) => f.table == table.oid && f.referenced.contains(&attnum),
            Rule::Check(_) => false,
        };
        for other in self.catalog().referencing(table.oid) {
            if let Some(c) = other.constraints.iter().find(|c| refers(c)) {
                let what = format!("altering the type of a column that constraint \"{}\" refers to", c.name);
                return Err(Error::unsupported(what));
            }
        }
        Ok(())
    }

    fn recast_default(
        &mut self,
        old: &heddle_catalog::ColumnDef,
        ty: PgType,
    ) -> Result<Option<heddle_catalog::StoredExpr>> {
        let Some(stored) = &old.default else { return Ok(None) };
        if old.identity.is_some() {
            return Ok(old.default.clone());
        }
        let value = super::stored_expr(stored)?;
        // A constant that an earlier change of type made another one: its text is what was meant.
        let again = match &value {
            Expr::Literal { value, ty: from } => {
                let settings = TextSettings::default();
                let parsed = text::parse(&text::to_string(value, *from, &settings), ty, &settings).ok();
                parsed.map(|value| Expr::Literal { value, ty })
            }
            _ => None,
        };
        let cast = self.coerce(Typed::new(value, None), ty, CastContext::Assignment)?.map(|v| v.expr);
        match cast.or(again) {
            Some(expr) => super::store_expr(&expr).map(Some),
            None => {
                let text = format!(
                    "default for column \"{}\" cannot be cast automatically to type {}",
                    old.name,
                    ty.sql_name()
                );
                Err(Error::new(SqlState::DATATYPE_MISMATCH, text))
            }
        }
    }

    fn add_constraint(&mut self, change: &mut Change, constraint: &TableConstraint, not_valid: bool) -> Result<()> {
        let alter = &mut change.alter;
        match constraint {
            TableConstraint::Check(_) | TableConstraint::ForeignKey(_) => {
                let one = std::slice::from_ref(constraint);
                self.constraints(&mut alter.made, Some(&alter.table), &[], one, !not_valid)
            }
            _ if not_valid => {
                let word = if matches!(constraint, TableConstraint::PrimaryKey(_)) { "PRIMARY KEY" } else { "UNIQUE" };
                let text = format!("{word} constraints cannot be marked NOT VALID");
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text))
            }
            TableConstraint::PrimaryKeyUsingIndex(c) => self.using_index(change, c, true),
            TableConstraint::UniqueUsingIndex(c) => self.using_index(change, c, false),
            _ => {
                if let TableConstraint::PrimaryKey(k) = constraint {
                    for c in &k.columns {
                        change.key_column(&c.column.expr)?;
                    }
                }
                self.table_key(&mut change.alter.made, constraint)
            }
        }
    }

    /// The sequence behind an identity column.
    fn identity_sequence(&self, table: &TableDef, attnum: i16) -> Option<heddle_catalog::SequenceDef> {
        let own = |s: &&Arc<heddle_catalog::SequenceDef>| s.owner.is_some_and(|o| o.attnum == attnum && o.identity);
        self.catalog().owned_sequences(table.oid).iter().find(own).map(|s| (**s).clone())
    }

    fn set_identity(
        &mut self,
        change: &mut Change,
        column: &Word,
        always: Option<bool>,
        options: &[SequenceOption],
    ) -> Result<()> {
        let at = change.identity_at(column)?;
        let def = &mut change.alter.made.columns[at];
        if let Some(always) = always {
            def.identity = Some(if always { Identity::Always } else { Identity::ByDefault });
        }
        if options.is_empty() {
            return Ok(());
        }
        let attnum = def.attnum;
        let missing = || Error::internal("an identity column has no sequence");
        let mut sequence = self.identity_sequence(&change.alter.old, attnum).ok_or_else(missing)?;
        if let Some(n) = sequence::alter_identity(&mut sequence, options)? {
            // A new state begins there.
            (sequence.first, sequence.state) = (n, heddle_types::Oid(0));
        }
        self.lock_oid(sequence.oid, RelationLock::ShareRowExclusive);
        change.alter.sequences.push(sequence);
        Ok(())
    }

    fn drop_identity(&mut self, change: &mut Change, column: &Word, if_exists: bool) -> Result<()> {
        let at = change.at(column)?;
        let def = &mut change.alter.made.columns[at];
        if def.identity.is_none() {
            let text = format!(
                "column \"{}\" of relation \"{}\" is not an identity column",
                def.name, change.alter.table.name
            );
            if if_exists {
                change.alter.notices.push(storage::note(text + ", skipping"));
                return Ok(());
            }
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        }
        (def.identity, def.default) = (None, None);
        let attnum = def.attnum;
        if let Some(sequence) = self.identity_sequence(&change.alter.old, attnum) {
            self.lock_oid(sequence.oid, RelationLock::AccessExclusive);
            change.alter.drop_sequences.push(sequence.oid);
        }
        Ok(())
    }
}

/// PostgreSQL analyses defaults and checks of ALTER TABLE when their text is no longer at hand.
fn unplaced(action: &Action, e: Error) -> Error {
    let places = match action {
        Action::AddColumn { .. } | Action::Default { .. } => false,
        Action::AddConstraint { constraint, .. } => !matches!(**constraint, TableConstraint::Check(_)),
        _ => true,
    };
    // A type that does not exist has its place still.
    if places || e.code() == SqlState::UNDEFINED_OBJECT { e } else { e.unplaced() }
}

fn parameters(options: &[StorageOption]) -> Vec<storage::Parameter> {
    let name = |o: &StorageOption| match &o.namespace {
        Some(namespace) => format!("{namespace}.{}", o.name),
        None => o.name.clone(),
    };
    options.iter().map(|o| (name(o), o.value.clone())).collect()
}

fn data_type(ty: PgType) -> Result<ast::DataType> {
    use heddle_types::oid;
    match ty.oid {
        oid::INT2 => Ok(ast::DataType::SmallInt(None)),
        oid::INT4 => Ok(ast::DataType::Integer(None)),
        oid::INT8 => Ok(ast::DataType::BigInt(None)),
        _ => {
            let text = "identity column type must be smallint, integer, or bigint";
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text))
        }
    }
}

fn quoted(name: &str) -> String {
    crate::function::quote_ident(name)
}

fn article(noun: Noun) -> &'static str {
    if noun == Noun::Index { "an" } else { "a" }
}
