//! Sequences: CREATE, ALTER, DROP, and the sequences of serial and identity columns.

use super::Binder;
use super::alter::lookup;
use super::from::{plain_item, scope_column};
use super::scope::{Found, Item, creation_schema, temporary_schema};
use crate::bound::{AlterSequence, Call, CreateSequence, Ddl, Expr, Rel};
use crate::function;
use crate::parse::own::{Name, SequenceOption, SequenceSetting as S};
use heddle_catalog::{SequenceDef, SequenceOwner};
use heddle_txn::RelationLock;
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use sqlparser::ast;
use std::sync::Arc;

fn invalid(text: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, text.into())
}

fn range(ty: Oid) -> (i64, i64) {
    match ty {
        oid::INT2 => (i16::MIN.into(), i16::MAX.into()),
        oid::INT4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// A sequence of `ty` with every default, not yet anywhere.
fn plain(ty: Oid) -> SequenceDef {
    SequenceDef {
        oid: Oid(0),
        schema: Oid(0),
        database: Oid(0),
        name: String::new(),
        state: Oid(0),
        first: 1,
        ty,
        start: 1,
        increment: 1,
        min: 1,
        max: range(ty).1,
        cache: 1,
        cycle: false,
        owner: None,
        comments: vec![],
    }
}

/// The options that shape a sequence, each at most once.
#[derive(Default)]
struct Given {
    ty: Option<Oid>,
    increment: Option<i64>,
    min: Option<Option<i64>>,
    max: Option<Option<i64>>,
    start: Option<i64>,
    restart: Option<Option<i64>>,
    cache: Option<i64>,
    cycle: Option<bool>,
    owned: Option<Option<Name>>,
    name: Option<Name>,
}

impl Given {
    fn read(options: &[SequenceOption]) -> Result<Self> {
        let mut given = Self::default();
        for o in options {
            let again = || Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options").at(o.pos);
            let once = match &o.kind {
                S::Type(ty) => given.ty.replace(super::types::resolve_type(ty)?.oid).is_none(),
                S::Increment(n) => given.increment.replace(*n).is_none(),
                S::Min(n) => given.min.replace(*n).is_none(),
                S::Max(n) => given.max.replace(*n).is_none(),
                S::Start(n) => given.start.replace(*n).is_none(),
                S::Restart(n) => given.restart.replace(*n).is_none(),
                S::Cache(n) => given.cache.replace(*n).is_none(),
                S::Cycle(on) => given.cycle.replace(*on).is_none(),
                S::Owned(name) => given.owned.replace(name.clone()).is_none(),
                S::Name(name) => given.name.replace(name.clone()).is_none(),
            };
            if !once {
                return Err(again());
            }
        }
        Ok(given)
    }

    /// Applies the options as PostgreSQL's init_params does; `new` for CREATE.
    fn apply(&self, s: &mut SequenceDef, new: bool, identity: bool) -> Result<()> {
        if let Some(ty) = self.ty {
            if ![oid::INT2, oid::INT4, oid::INT8].contains(&ty) {
                let whose = if identity { "identity column" } else { "sequence" };
                return Err(invalid(format!("{whose} type must be smallint, integer, or bigint")));
            }
            let (low, high) = range(s.ty);
            if !new && s.max == high {
                s.max = range(ty).1;
            }
            if !new && s.min == low {
                s.min = range(ty).0;
            }
            s.ty = ty;
        }
        if let Some(n) = self.increment {
            if n == 0 {
                return Err(invalid("INCREMENT must not be zero"));
            }
            s.increment = n;
        }
        let (low, high) = range(s.ty);
        let up = s.increment > 0;
        match self.max {
            Some(Some(n)) => s.max = n,
            Some(None) => s.max = if up { high } else { -1 },
            None if new => s.max = if up { high } else { -1 },
            None => {}
        }
        match self.min {
            Some(Some(n)) => s.min = n,
            Some(None) => s.min = if up { 1 } else { low },
            None if new => s.min = if up { 1 } else { low },
            None => {}
        }
        let ty = PgType::new(s.ty).sql_name();
        for (word, n) in [("MAXVALUE", s.max), ("MINVALUE", s.min)] {
            if n < low || n > high {
                return Err(invalid(format!("{word} ({n}) is out of range for sequence data type {ty}")));
            }
        }
        if s.min >= s.max {
            return Err(invalid(format!("MINVALUE ({}) must be less than MAXVALUE ({})", s.min, s.max)));
        }
        s.cycle = self.cycle.unwrap_or(s.cycle);
        match self.start {
            Some(n) => s.start = n,
            None if new => s.start = if up { s.min } else { s.max },
            None => {}
        }
        inside("START", s.start, s)?;
        if let Some(n) = self.cache {
            if n <= 0 {
                return Err(invalid(format!("CACHE ({n}) must be greater than zero")));
            }
            s.cache = n;
        }
        Ok(())
    }
}

/// `22023` unless the value lies between the sequence's bounds.
pub(crate) fn inside(word: &str, n: i64, s: &SequenceDef) -> Result<()> {
    if n < s.min {
        return Err(invalid(format!("{word} value ({n}) cannot be less than MINVALUE ({})", s.min)));
    }
    if n > s.max {
        return Err(invalid(format!("{word} value ({n}) cannot be greater than MAXVALUE ({})", s.max)));
    }
    Ok(())
}

/// The sequence of an identity or serial column of type `ty`, and the name it was given.
pub(super) fn of_column(ty: Oid, options: &[SequenceOption], identity: bool) -> Result<(SequenceDef, Option<String>)> {
    if ![oid::INT2, oid::INT4, oid::INT8].contains(&ty) && identity {
        return Err(invalid("identity column type must be smallint, integer, or bigint"));
    }
    let given = Given::read(options)?;
    let mut sequence = plain(ty);
    given.apply(&mut sequence, true, identity)?;
    sequence.first = sequence.start;
    let name = given.name.and_then(|n| n.parts.last().cloned());
    Ok((sequence, name))
}

/// Changes an identity's sequence; answers RESTART's value.
pub(super) fn alter_identity(sequence: &mut SequenceDef, options: &[SequenceOption]) -> Result<Option<i64>> {
    let given = Given::read(options)?;
    given.apply(sequence, false, true)?;
    restarted(&given, sequence)
}

fn restarted(given: &Given, sequence: &SequenceDef) -> Result<Option<i64>> {
    let restart = given.restart.map(|n| n.unwrap_or(sequence.start));
    if let Some(n) = restart {
        inside("RESTART", n, sequence)?;
    }
    Ok(restart)
}

/// sqlparser's options of an identity column.
pub(super) fn identity_options(options: &[ast::SequenceOptions]) -> Result<Vec<SequenceOption>> {
    let number = |e: &ast::Expr| {
        e.to_string().parse::<i64>().map_err(|_| {
            let message = format!("value \"{e}\" is out of range for type bigint");
            Error::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
        })
    };
    let optional = |e: &Option<ast::Expr>| e.as_ref().map(number).transpose();
    let one = |o: &ast::SequenceOptions| {
        use ast::SequenceOptions as A;
        let kind = match o {
            A::IncrementBy(e, _) => S::Increment(number(e)?),
            A::MinValue(e) => S::Min(optional(e)?),
            A::MaxValue(e) => S::Max(optional(e)?),
            A::StartWith(e, _) => S::Start(number(e)?),
            A::Cache(e) => S::Cache(number(e)?),
            A::Cycle(no) => S::Cycle(!*no),
        };
        Ok(SequenceOption { kind, pos: None })
    };
    options.iter().map(one).collect()
}

/// `42809`
pub(super) fn not_a(s: &SequenceDef, kind: &str) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a {kind}", s.name))
}

impl Binder<'_> {
    /// A sequence in FROM: one row that says where it stands.
    pub(super) fn sequence_scan(&mut self, s: &SequenceDef) -> (Rel, Item) {
        self.direct.push(s.oid);
        self.lock_oid(s.oid, RelationLock::AccessShare);
        let which = Expr::Literal { value: Datum::Oid(s.oid.0), ty: PgType::new(oid::OID) };
        let call = |func, ty| Expr::Call(Call { func, args: vec![which.clone()], ty: PgType::new(ty) });
        let columns = [
            ("last_value", call(function::SEQUENCE_LAST, oid::INT8)),
            // Blocks of values are the server's business here.
            ("log_cnt", Expr::Literal { value: Datum::Int8(0), ty: PgType::new(oid::INT8) }),
            ("is_called", call(function::SEQUENCE_CALLED, oid::BOOL)),
        ];
        let (mut exprs, mut shown) = (Vec::new(), Vec::new());
        for (name, value) in columns {
            let id = self.new_column();
            shown.push(scope_column(name, id, value.ty()));
            exprs.push((id, value));
        }
        let mut item = plain_item(s.name.clone(), shown);
        item.table_oid = Some(s.oid);
        item.schema = self.catalog().schema_by_oid(s.schema).map(|s| s.name.clone());
        (Rel::Project { input: Box::new(Rel::Unit), exprs }, item)
    }

    pub(super) fn create_sequence(
        &mut self,
        temporary: bool,
        if_not_exists: bool,
        name: &Name,
        options: &[SequenceOption],
    ) -> Result<Ddl> {
        let (schema, bare) = lookup(name, &self.ctx.session.database)?;
        let chosen = if temporary { temporary_schema } else { creation_schema };
        let (schema, schema_name) = chosen(self.ctx, schema.as_deref()).map_err(|e| e.at(name.pos))?;
        let given = Given::read(options)?;
        let mut sequence = plain(oid::INT8);
        given.apply(&mut sequence, true, false)?;
        if let Some(Some(n)) = given.restart {
            inside("RESTART", n, &sequence)?;
        }
        sequence.first = given.restart.flatten().unwrap_or(sequence.start);
        (sequence.schema, sequence.database, sequence.name) = (schema, self.ctx.session.database_oid, bare);
        sequence.owner = self.sequence_owner(&given, &sequence, None)?;
        Ok(Ddl::CreateSequence(Box::new(CreateSequence { schema_name, if_not_exists, sequence })))
    }

    pub(super) fn alter_sequence(&mut self, if_exists: bool, name: &Name, options: &[SequenceOption]) -> Result<Ddl> {
        let Some(old) = self.found_sequence(name, if_exists)? else {
            let notice = format!("relation \"{}\" does not exist, skipping", name.parts.join("."));
            return Ok(Ddl::Nothing { tag: "ALTER SEQUENCE", notices: vec![super::storage::note(notice)] });
        };
        self.lock_oid(old.oid, RelationLock::ShareRowExclusive);
        let given = Given::read(options)?;
        let mut sequence = (*old).clone();
        given.apply(&mut sequence, false, false)?;
        let restart = restarted(&given, &sequence)?;
        if given.owned.is_some() {
            sequence.owner = self.sequence_owner(&given, &sequence, Some(&old))?;
        }
        Ok(Ddl::AlterSequence(Box::new(AlterSequence { sequence, restart })))
    }

    pub(super) fn drop_sequence(&mut self, names: &[Name], if_exists: bool, cascade: bool) -> Result<Ddl> {
        let (mut sequences, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let (schema, bare) = lookup(name, &self.ctx.session.database)?;
            match self.found_sequence_or(name, |kind| match kind {
                "index" => "Use DROP INDEX to remove an index.",
                "view" => "Use DROP VIEW to remove a view.",
                _ => "Use DROP TABLE to remove a table.",
            })? {
                Some(s) => {
                    self.lock_oid(s.oid, RelationLock::AccessExclusive);
                    sequences.push(s);
                }
                None => missing.push(self.missing(
                    schema.as_deref(),
                    &bare,
                    "sequence",
                    SqlState::UNDEFINED_TABLE,
                    if_exists,
                )?),
            }
        }
        Ok(Ddl::DropSequence { sequences, missing, cascade })
    }

    /// The sequence of that name; None when it is not there and need not be.
    pub(super) fn found_sequence(&mut self, name: &Name, if_exists: bool) -> Result<Option<Arc<SequenceDef>>> {
        let found = self.found_sequence_or(name, |_| "")?;
        if found.is_none() && !if_exists {
            let text = format!("relation \"{}\" does not exist", name.parts.join("."));
            return Err(Error::new(SqlState::UNDEFINED_TABLE, text));
        }
        Ok(found)
    }

    /// `42809` with a hint, by the kind of what was found instead.
    fn found_sequence_or(&self, name: &Name, hint: impl Fn(&str) -> &'static str) -> Result<Option<Arc<SequenceDef>>> {
        let (schema, bare) = lookup(name, &self.ctx.session.database)?;
        let kind = match super::scope::find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Sequence(s)) => return Ok(Some(s)),
            None => return Ok(None),
            Some(Found::Index(_)) => "index",
            Some(Found::View(_)) => "view",
            Some(_) => "table",
        };
        let e = Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{bare}\" is not a sequence"));
        Err(match hint(kind) {
            "" => e,
            hint => e.hint(hint),
        })
    }

    /// OWNED BY's column.
    fn sequence_owner(
        &mut self,
        given: &Given,
        s: &SequenceDef,
        old: Option<&SequenceDef>,
    ) -> Result<Option<SequenceOwner>> {
        if old.is_some_and(|o| o.owner.is_some_and(|o| o.identity)) {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot change ownership of identity sequence"));
        }
        let Some(Some(name)) = &given.owned else { return Ok(None) };
        let Some((column, table)) = name.parts.split_last().filter(|(_, table)| !table.is_empty()) else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        };
        let table = Name { parts: table.to_vec(), pos: name.pos };
        let (schema, bare) = lookup(&table, &self.ctx.session.database)?;
        let table = super::resolve_table(schema.as_deref(), &bare, self.ctx)?;
        self.lock(&table, RelationLock::AccessShare);
        if table.schema != s.schema {
            let text = "sequence must be in same schema as table it is linked to";
            return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
        }
        let at = table.column(column).ok_or_else(|| {
            let text = format!("column \"{column}\" of relation \"{}\" does not exist", table.name);
            Error::new(SqlState::UNDEFINED_COLUMN, text)
        })?;
        Ok(Some(SequenceOwner { table: table.oid, attnum: table.columns[at].attnum, identity: false }))
    }
}
