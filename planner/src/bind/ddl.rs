//! CREATE, DROP and TRUNCATE. Whether a name exists is decided again under locks by [`crate::ddl`].

use super::key::initially;
use super::like::Like;
use super::names::{fold, parts, qualified, start};
use super::scope::{Clause, Found, Level, creation_schema, find_relation, temporary_schema};
use super::{Binder, walk};
use crate::bound::{CreateTable, Ddl, Expr, NewKey, Query};
use heddle_catalog::{ColumnDef, OnCommit, StoredExpr, TableDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Oid, PgType, Result, Severity, SqlState, oid};
use sqlparser::ast::{self, ColumnOption, ObjectName, ObjectType, Spanned, Statement, TableConstraint};
use std::sync::Arc;

/// Most columns of a table.
const COLUMNS_MAX: usize = 1600;

impl Binder<'_> {
    pub(super) fn ddl(&mut self, s: &Statement) -> Result<Ddl> {
        match s {
            Statement::CreateTable(t) => self.create_table(t),
            Statement::Drop { object_type, if_exists, names, cascade, purge, .. } => match object_type {
                ObjectType::Table => self.drop_table(names, *if_exists, *cascade),
                ObjectType::Index => self.drop_index(names, *if_exists),
                ObjectType::View => self.drop_view(names, *if_exists, *cascade),
                ObjectType::Schema => drop_schema(names, *if_exists, *cascade),
                ObjectType::Database => match names.as_slice() {
                    [name] => Ok(Ddl::DropDatabase { name: single(name)?, if_exists: *if_exists, force: *purge }),
                    _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \",\"")),
                },
                other => Err(Error::unsupported(format!("DROP {other}"))),
            },
            Statement::CreateIndex(i) => self.create_index(i),
            Statement::CreateView(v) => self.create_view(v),
            Statement::Truncate(t) => self.truncate(t),
            Statement::CreateSchema { schema_name: ast::SchemaName::Simple(name), if_not_exists, .. } => {
                create_schema(name, *if_not_exists)
            }
            Statement::CreateSchema {
                schema_name: ast::SchemaName::NamedAuthorization(name, _),
                if_not_exists,
                ..
            } => create_schema(name, *if_not_exists),
            Statement::CreateSchema { .. } => Err(Error::unsupported("CREATE SCHEMA AUTHORIZATION without a name")),
            Statement::CreateDatabase { db_name, if_not_exists: false, .. } => {
                Ok(Ddl::CreateDatabase { name: single(db_name)?, if_not_exists: false, series: None })
            }
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                Err(Error::unsupported(words.join(" ")))
            }
        }
    }

    fn truncate(&mut self, t: &ast::Truncate) -> Result<Ddl> {
        let mut tables = Vec::new();
        for target in &t.table_names {
            tables.push(self.owned_table(&target.name)?.ok_or_else(|| {
                let name = target.name.to_string().replace('"', "");
                Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{name}\" does not exist"))
            })?);
        }
        Ok(Ddl::Truncate {
            tables,
            restart_identity: t.identity == Some(ast::TruncateIdentityOption::Restart),
            cascade: t.cascade == Some(ast::CascadeOption::Cascade),
        })
    }

    /// A table to drop or truncate, under its strongest lock.
    fn owned_table(&mut self, name: &ObjectName) -> Result<Option<Arc<TableDef>>> {
        let (schema, bare) = qualified(name, &self.ctx.session.database)?;
        match find_relation(self.ctx, schema.as_deref(), &bare) {
            Some(Found::Table(t)) => {
                self.lock(&t, RelationLock::AccessExclusive);
                Ok(Some(t))
            }
            Some(Found::System(t)) => Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", t.name),
            )),
            Some(Found::Index(index)) => {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{index}\" is not a table"))
                    .hint("Use DROP INDEX to remove an index."))
            }
            Some(Found::View(v)) => Err(super::view::not_a_table(&v).hint("Use DROP VIEW to remove a view.")),
            Some(Found::Sequence(s)) => {
                Err(super::sequence::not_a(&s, "table").hint("Use DROP SEQUENCE to remove a sequence."))
            }
            None => Ok(None),
        }
    }

    fn drop_table(&mut self, names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<Ddl> {
        let (mut tables, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            match self.owned_table(name)? {
                Some(t) => tables.push(t),
                None => {
                    let shown = parts(name)?.join(".");
                    let bare = parts(name)?.pop().unwrap_or_default();
                    let (schema, _) = qualified(name, &self.ctx.session.database)?;
                    if let (Some(s), false) = (&schema, if_exists)
                        && self.catalog().schema(self.ctx.session.database_oid, s).is_none()
                    {
                        return Err(Error::new(
                            SqlState::INVALID_SCHEMA_NAME,
                            format!("schema \"{s}\" does not exist"),
                        ));
                    }
                    if !if_exists {
                        return Err(Error::new(SqlState::UNDEFINED_TABLE, format!("table \"{bare}\" does not exist")));
                    }
                    let _ = shown;
                    missing.push(bare);
                }
            }
        }
        Ok(Ddl::DropTable { tables, missing, cascade })
    }

    fn create_table(&mut self, t: &ast::CreateTable) -> Result<Ddl> {
        refuse_options(t)?;
        self.refuse_relational()?;
        let (schema_name, name) = qualified(&t.name, &self.ctx.session.database)?;
        let chosen = if t.temporary { temporary_schema } else { creation_schema };
        let (schema, schema_name) = chosen(self.ctx, schema_name.as_deref()).map_err(|e| e.at(start(t.name.span())))?;
        let mut create = CreateTable::new(schema, schema_name, name);
        create.if_not_exists = t.if_not_exists;
        create.on_commit = self.on_commit(t.on_commit.as_ref(), schema)?;
        if let ast::CreateTableOptions::With(options) = &t.table_options {
            create.notices = super::storage::table_notices(&super::storage::parameters(options)?)?;
        }
        if t.global == Some(true) {
            let text = "GLOBAL is deprecated in temporary table creation";
            let pos = self.places.word_after(Some(1), "global");
            create.notices.insert(0, Error::notice(Severity::Warning, SqlState::WARNING, text).at(pos));
        }
        if let Some(q) = &t.query {
            let names: Vec<String> = t.columns.iter().map(|c| fold(&c.name)).collect();
            self.as_query(&mut create, q, &names, !t.copy_grants)?;
            return Ok(Ddl::CreateTable(Box::new(create)));
        }
        for column in &t.columns {
            match Like::of(column) {
                Some(like) => self.like_element(&mut create, &like)?,
                None => self.column_def(&mut create, column)?,
            }
        }
        for constraint in &t.constraints {
            self.table_key(&mut create, constraint)?;
        }
        check_keys(&mut create).map_err(|e| match e.code() {
            // Where the second one begins.
            SqlState::INVALID_TABLE_DEFINITION => {
                let first = self.places.word_after(start(t.name.span()), "primary");
                e.at(self.places.word_after(self.places.next(first), "primary"))
            }
            _ => e,
        })?;
        check_columns(&create)?;
        self.constraints(&mut create, None, &t.columns, &t.constraints, true)?;
        Ok(Ddl::CreateTable(Box::new(create)))
    }

    /// ON COMMIT of a table in `schema`.
    fn on_commit(&self, written: Option<&ast::OnCommit>, schema: Oid) -> Result<OnCommit> {
        let Some(written) = written else { return Ok(OnCommit::default()) };
        if !self.is_temporary(schema) {
            let message = "ON COMMIT can only be used on temporary tables";
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        Ok(match written {
            ast::OnCommit::PreserveRows => OnCommit::PreserveRows,
            ast::OnCommit::DeleteRows => OnCommit::DeleteRows,
            ast::OnCommit::Drop => OnCommit::Drop,
        })
    }

    /// SELECT … INTO t
    pub(super) fn select_into(&mut self, into: &ast::SelectInto, q: &ast::Query) -> Result<Ddl> {
        if into.unlogged {
            return Err(Error::unsupported("an unlogged table"));
        }
        self.refuse_relational()?;
        let (schema_name, name) = qualified(&into.name, &self.ctx.session.database)?;
        let chosen = if into.temporary { temporary_schema } else { creation_schema };
        let (schema, schema_name) = chosen(self.ctx, schema_name.as_deref())?;
        let mut create = CreateTable::new(schema, schema_name, name);
        self.as_query(&mut create, q, &[], true)?;
        Ok(Ddl::CreateTable(Box::new(create)))
    }

    fn as_query(&mut self, create: &mut CreateTable, q: &ast::Query, names: &[String], with_data: bool) -> Result<()> {
        let query: Query = self.query(q)?;
        if names.len() > query.columns.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "too many column names were specified"));
        }
        for (i, c) in query.columns.iter().enumerate() {
            let name = names.get(i).cloned().unwrap_or_else(|| c.name.clone());
            if c.ty.info().category == 'P' {
                let message = format!("column \"{name}\" has pseudo-type {}", c.ty.sql_name());
                return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
            }
            create.columns.push(column(create.columns.len(), name, c.ty));
        }
        check_columns(create)?;
        create.query = Some((query, with_data));
        Ok(())
    }

    pub(super) fn column_def(&mut self, create: &mut CreateTable, c: &ast::ColumnDef) -> Result<()> {
        let (name, pos) = (fold(&c.name), start(c.name.span));
        let serial = super::serial::serial_type(&c.data_type);
        let ty = match serial {
            Some(ty) => ty,
            None => super::types::resolve_type(&c.data_type).map_err(|e| e.at(self.places.next(pos)))?,
        };
        if ty.info().category == 'P' || ty.oid == oid::UNKNOWN {
            let message = format!("column \"{name}\" has pseudo-type {}", ty.sql_name());
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message).at(pos));
        }
        let at = create.columns.len();
        let mut def = column(at, name, ty);
        let mut nullable = false;
        let mut conflict = None;
        if serial.is_some() {
            super::serial::add_serial(create, &mut def)?;
        }
        for option in &c.options {
            let constraint = option.name.as_ref().map(fold);
            match &option.option {
                ColumnOption::Null => {
                    conflict = conflict.or(def.not_null.then_some("null"));
                    nullable = true;
                }
                ColumnOption::NotNull => {
                    conflict = conflict.or(nullable.then_some("not"));
                    def.not_null = true;
                }
                ColumnOption::Default(e) => {
                    self.refuse_second(create, &def, super::serial::Second::Default, pos)?;
                    def.default = self.default(e, &def)?;
                }
                ColumnOption::PrimaryKey(k) => {
                    let deferrable = initially(k.characteristics.as_ref())?;
                    create.keys.push(NewKey { name: constraint, columns: vec![at], primary: true, deferrable });
                }
                ColumnOption::Unique(u) => {
                    refuse_nulls(u)?;
                    let deferrable = initially(u.characteristics.as_ref())?;
                    create.keys.push(NewKey { name: constraint, columns: vec![at], primary: false, deferrable });
                }
                ColumnOption::Collation(name) => {
                    let value = super::Typed::new(super::call::null(ty), pos);
                    let _ = value;
                    let name = parts(name)?.pop().unwrap_or_default();
                    if !matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8") {
                        return Err(Error::unsupported(format!("collation \"{name}\"")).at(pos));
                    }
                }
                // Once all columns are known.
                ColumnOption::ForeignKey(_) | ColumnOption::Check(_) => {}
                ColumnOption::Generated { generation_expr: None, generated_as, sequence_options, .. } => {
                    self.refuse_second(create, &def, super::serial::Second::Identity, pos)?;
                    let options = sequence_options.as_deref().unwrap_or_default();
                    let always = *generated_as == ast::GeneratedAs::Always;
                    super::serial::add_identity(create, &mut def, always, options)?;
                }
                ColumnOption::Generated { .. } => return Err(Error::unsupported("a generated column").at(pos)),
                other => return Err(Error::unsupported(format!("column option {other}")).at(pos)),
            }
        }
        if let Some(word) = conflict {
            let pos = match word {
                "not" => self.places.word_after(pos, "not"),
                word => self
                    .places
                    .word_after(self.places.next(self.places.word_after(pos, "not")), word)
                    .and_then(|p| self.places.word_after(self.places.next(Some(p)), word)),
            };
            let message = format!(
                "conflicting NULL/NOT NULL declarations for column \"{}\" of table \"{}\"",
                def.name, create.name
            );
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        create.columns.push(def);
        Ok(())
    }

    /// A default in its stored form; NULL is no default.
    pub(super) fn default(&mut self, e: &ast::Expr, column: &ColumnDef) -> Result<Option<StoredExpr>> {
        self.levels.push(Level::new(Clause::Default));
        let bound = self.expr(e);
        self.levels.pop();
        let value = match bound {
            Err(err) if err.code() == SqlState::UNDEFINED_COLUMN || err.code() == SqlState::UNDEFINED_TABLE => {
                let message = "cannot use column reference in DEFAULT expression";
                return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(err.fields().position));
            }
            other => other?,
        };
        if walk::has_subquery(&value.expr) {
            let message = "cannot use subquery in DEFAULT expression";
            let pos = self.places.opened(value.pos);
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        let (source, pos) = (value.ty(), value.pos);
        let cast = self.coerce(value, column.ty, crate::function::CastContext::Assignment)?;
        let Some(value) = cast else {
            let message = format!(
                "column \"{}\" is of type {} but default expression is of type {}",
                column.name,
                PgType::new(column.ty.oid).sql_name(),
                source.sql_name()
            );
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                .hint("You will need to rewrite or cast the expression.")
                .at(pos));
        };
        if matches!(&value.expr, Expr::Literal { value, .. } if value.is_null()) {
            return Ok(None);
        }
        super::store_expr(&value.expr).map(Some)
    }
}

fn column(at: usize, name: String, ty: PgType) -> ColumnDef {
    let attnum = i16::try_from(at + 1).unwrap_or(i16::MAX);
    crate::bound::column(attnum, name, ty)
}

fn refuse_nulls(u: &ast::UniqueConstraint) -> Result<()> {
    match u.nulls_distinct {
        ast::NullsDistinctOption::NotDistinct => Err(Error::unsupported("UNIQUE NULLS NOT DISTINCT")),
        _ => Ok(()),
    }
}

/// One primary key at most; its columns are NOT NULL; equal keys are one.
pub(super) fn check_keys(create: &mut CreateTable) -> Result<()> {
    if create.keys.iter().filter(|k| k.primary).count() > 1 {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", create.name);
        return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
    }
    let mut kept: Vec<NewKey> = Vec::new();
    for key in std::mem::take(&mut create.keys) {
        let one = |k: &&mut NewKey| {
            let names = k.name == key.name || k.name.is_none() || key.name.is_none();
            names && k.columns == key.columns && k.deferrable == key.deferrable
        };
        if let Some(same) = kept.iter_mut().find(one) {
            same.primary |= key.primary;
            same.name = same.name.take().or(key.name);
        } else {
            kept.push(key);
        }
    }
    for at in kept.iter().filter(|k| k.primary).flat_map(|k| &k.columns) {
        create.columns[*at].not_null = true;
    }
    for at in kept.iter().flat_map(|k| &k.columns) {
        super::index::refuse_incomparable(create.columns[*at].ty)?;
    }
    create.keys = kept;
    Ok(())
}

pub(super) fn check_columns(create: &CreateTable) -> Result<()> {
    if create.columns.len() > COLUMNS_MAX {
        return Err(Error::new(SqlState::TOO_MANY_COLUMNS, "tables can have at most 1600 columns"));
    }
    let system = ["ctid", "xmin", "cmin", "xmax", "cmax", "tableoid"];
    for (i, c) in create.columns.iter().enumerate() {
        if create.columns[..i].iter().any(|o| o.name == c.name) {
            let message = format!("column \"{}\" specified more than once", c.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if system.contains(&c.name.as_str()) {
            let message = format!("column name \"{}\" conflicts with a system column name", c.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
    }
    Ok(())
}

pub(super) fn refuse_options(t: &ast::CreateTable) -> Result<()> {
    let what = if t.or_replace
        || t.external
        || t.transient
        || t.volatile
        || t.iceberg
        || t.dynamic
        || t.strict
        || t.without_rowid
    {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in CREATE TABLE").at(start(t.name.span())));
    } else if t.inherits.is_some() {
        "INHERITS"
    } else if t.like.is_some() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"LIKE\"").at(start(t.name.span())));
    } else if t.partition_by.is_some() || t.partition_of.is_some() {
        "a partitioned table"
    } else if !matches!(t.table_options, ast::CreateTableOptions::None | ast::CreateTableOptions::With(_)) {
        "CREATE TABLE with storage options"
    } else {
        return Ok(());
    };
    Err(Error::unsupported(what).at(start(t.name.span())))
}

fn single(name: &ObjectName) -> Result<String> {
    let mut all = parts(name)?;
    match all.len() {
        1 => Ok(all.remove(0)),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \".\"").at(start(name.span()))),
    }
}

fn create_schema(name: &ObjectName, if_not_exists: bool) -> Result<Ddl> {
    let name = single(name)?;
    if name.starts_with("pg_") {
        return Err(Error::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{name}\""))
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(Ddl::CreateSchema { name, if_not_exists })
}

fn drop_schema(names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<Ddl> {
    let names = names.iter().map(single).collect::<Result<_>>()?;
    Ok(Ddl::DropSchema { names, if_exists, cascade })
}

impl Binder<'_> {
    pub(super) fn table_key(&self, create: &mut CreateTable, constraint: &TableConstraint) -> Result<()> {
        let (name, columns, primary, characteristics) = match constraint {
            TableConstraint::PrimaryKey(k) => (&k.name, &k.columns, true, &k.characteristics),
            TableConstraint::Unique(k) => {
                refuse_nulls(k)?;
                (&k.name, &k.columns, false, &k.characteristics)
            }
            TableConstraint::ForeignKey(_) | TableConstraint::Check(_) => return Ok(()),
            other => return Err(Error::unsupported(format!("the constraint {other}"))),
        };
        let mut key: Vec<usize> = Vec::new();
        for c in columns {
            let ast::Expr::Identifier(ident) = &c.column.expr else {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("syntax error at or near \"{}\"", c.column.expr),
                ));
            };
            let column = fold(ident);
            let pos = start(ident.span);
            let pos = self.places.key_before(pos).or(pos);
            let at = create.columns.iter().position(|c| c.name == column).ok_or_else(|| {
                Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{column}\" named in key does not exist"))
                    .at(pos)
            })?;
            if key.contains(&at) {
                let what = if primary { "primary key" } else { "unique" };
                let message = format!("column \"{column}\" appears twice in {what} constraint");
                return Err(Error::new(SqlState::DUPLICATE_COLUMN, message).at(pos));
            }
            key.push(at);
        }
        let deferrable = initially(characteristics.as_ref())?;
        create.keys.push(NewKey { name: name.as_ref().map(fold), columns: key, primary, deferrable });
        Ok(())
    }
}
