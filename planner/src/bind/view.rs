//! Views: CREATE VIEW, DROP VIEW, and a view's query where FROM names it.
//!
//! A view is kept as text. It is bound again at each use, by a binder of its own that sees the search path the view was made
//! with, sees no parameters and no outer names, and whose columns are numbered on from the statement's.

use super::Binder;
use super::from::{plain_item, scope_column};
use super::names::{fold, qualified, start};
use super::scope::{Found, Item, ScopeColumn, creation_schema, find_relation, search_path, temporary_schema};
use crate::bound::{CreateView, Ddl, Query, Rel};
use crate::context::{EvalContext, SessionInfo};
use crate::parse::{self, Ast, Kind, on_large_stack};
use heddle_catalog::{ViewColumn, ViewDef};
use heddle_txn::RelationLock;
use heddle_types::{Error, Oid, PgType, Result, Severity, SqlState};
use sqlparser::ast::{self, ObjectName, Spanned};
use std::sync::Arc;

/// Views inside views: each level binds on its own stack.
const VIEW_DEPTH_MAX: u32 = 64;

/// `42809`: a table is needed.
pub(super) fn not_a_table(view: &ViewDef) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{}\" is not a table", view.name))
}

/// Views cannot be written to yet.
pub(super) fn not_updatable(view: &ViewDef) -> Error {
    Error::unsupported(format!("changing rows through a view (\"{}\")", view.name))
}

/// An error from inside a view's text: its position means nothing to the client, who named the view at `pos`.
pub(super) fn placed(e: Error, pos: Option<u32>) -> Error {
    if e.fields().position.is_none() {
        return e.at(pos);
    }
    Error::new(e.code(), e.message()).at(pos)
}

impl Binder<'_> {
    /// A view in FROM: its query, shown under its name with its columns.
    pub(super) fn view_scan(&mut self, view: &Arc<ViewDef>, row_locks: bool) -> Result<(Rel, Item)> {
        if row_locks {
            return Err(Error::unsupported("FOR UPDATE or FOR SHARE of a view"));
        }
        self.lock_view(view, RelationLock::AccessShare);
        let query = self.expand(view)?;
        let shown = view.columns.iter().zip(&query.columns).enumerate().map(|(i, (column, c))| ScopeColumn {
            origin: i16::try_from(i + 1).ok().map(|attnum| (view.oid, attnum)),
            ..scope_column(&column.name, c.id, c.ty)
        });
        let mut item = plain_item(view.name.clone(), shown.collect());
        item.table_oid = Some(view.oid);
        item.schema = self.catalog().schema_by_oid(view.schema).map(|s| s.name.clone());
        Ok((query.rel, item))
    }

    pub(super) fn lock_view(&mut self, view: &Arc<ViewDef>, mode: RelationLock) {
        match self.locks.iter_mut().find(|(o, _)| *o == view.oid) {
            Some((_, held)) => *held = (*held).max(mode),
            None => self.locks.push((view.oid, mode)),
        }
        self.direct.push(view.oid);
        if !self.views.iter().any(|v| v.oid == view.oid) {
            self.views.push(Arc::clone(view));
        }
    }

    pub(super) fn expand(&mut self, view: &ViewDef) -> Result<Query> {
        if self.view_depth >= VIEW_DEPTH_MAX {
            return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
                .hint(format!("Views may use views to a depth of {VIEW_DEPTH_MAX}.")));
        }
        let ctx = under_search_path(self.ctx, view.search_path.clone());
        let ast = parse_query(&view.query)?;
        let Ast::Statement(statement) = &ast else { return Err(not_a_query()) };
        let ast::Statement::Query(q) = &**statement else { return Err(not_a_query()) };
        let mut inner = Binder::new(&[], &ctx);
        (inner.next_column, inner.next_cte) = (self.next_column, self.next_cte);
        inner.view_depth = self.view_depth + 1;
        let query = on_large_stack(|| inner.query(q))?;
        (self.next_column, self.next_cte) = (inner.next_column, inner.next_cte);
        if inner.used_relations() != view.depends {
            let message = format!("view \"{}\" whose relations are hidden by newer ones in its search path", view.name);
            return Err(Error::unsupported(message));
        }
        let same = |(column, c): (&ViewColumn, &crate::bound::OutputColumn)| column.ty == c.ty;
        if query.columns.len() != view.columns.len() || !view.columns.iter().zip(&query.columns).all(same) {
            return Err(Error::internal(format!(
                "the query of view \"{}\" gives other columns than it had",
                view.name
            )));
        }
        for table in &inner.tables {
            if !self.tables.iter().any(|t| t.oid == table.oid) {
                self.tables.push(Arc::clone(table));
            }
        }
        self.shows_inventory |= inner.shows_inventory;
        for used in &inner.views {
            if !self.views.iter().any(|v| v.oid == used.oid) {
                self.views.push(Arc::clone(used));
            }
        }
        for (oid, mode) in &inner.locks {
            match self.locks.iter_mut().find(|(o, _)| o == oid) {
                Some((_, held)) => *held = (*held).max(*mode),
                None => self.locks.push((*oid, *mode)),
            }
        }
        Ok(query)
    }

    /// What the statement itself names, not what views in it use: ascending.
    fn used_relations(&self) -> Vec<Oid> {
        let mut used = self.direct.clone();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// The columns of those relations that it uses: ascending.
    fn used_columns(&self) -> Vec<(Oid, i16)> {
        self.used.iter().filter(|(oid, _)| self.direct.contains(oid)).copied().collect()
    }

    pub(super) fn create_view(&mut self, v: &ast::CreateView) -> Result<Ddl> {
        refuse_options(v)?;
        let pos = start(v.name.span());
        let (schema_name, name) = qualified(&v.name, &self.ctx.session.database)?;
        let query = self.query(&v.query)?;
        if let Some(n) = (!self.params.is_empty()).then_some(1) {
            return Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${n}")));
        }
        let columns = view_columns(&query, v)?;
        // The parser keeps the query's text here.
        let text = v.comment.as_ref().and_then(|c| c.split_once(':'));
        let (offset, text) = text.ok_or_else(|| Error::internal("CREATE VIEW without its text"))?;
        let offset = offset.parse().map_err(|_| Error::internal("CREATE VIEW without its place"))?;
        // A star means the columns of today.
        let text = parse::expand_stars(text, offset, &self.stars)?;
        let depends = self.used_relations();
        let on_temporary =
            |oid: &Oid| self.catalog().relation_by_oid(*oid).is_some_and(|r| self.catalog().is_temporary(r.schema()));
        let mut notices = Vec::new();
        let mut temporary = v.temporary;
        if !temporary && depends.iter().any(on_temporary) {
            temporary = true;
            let text = format!("view \"{name}\" will be a temporary view");
            notices.push(Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text));
        }
        let chosen = if temporary { temporary_schema } else { creation_schema };
        let placed = |e: Error| if notices.is_empty() { e.at(pos) } else { e };
        let (schema, schema_name) = chosen(self.ctx, schema_name.as_deref()).map_err(placed)?;
        let mut path = search_path(self.ctx);
        if !self.is_temporary(schema) {
            path.retain(|s| *s != self.ctx.session.temporary_schema());
        }
        Ok(Ddl::CreateView(CreateView {
            schema,
            schema_name,
            name,
            or_replace: v.or_replace,
            columns,
            query: text,
            search_path: path,
            depends,
            uses: self.used_columns(),
            notices,
        }))
    }

    pub(super) fn drop_view(&mut self, names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<Ddl> {
        let (mut views, mut missing) = (Vec::new(), Vec::new());
        for name in names {
            let (schema, bare) = qualified(name, &self.ctx.session.database)?;
            let wrong = |name: &str, hint: &str| {
                Err(Error::new(SqlState::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a view")).hint(hint))
            };
            match find_relation(self.ctx, schema.as_deref(), &bare) {
                Some(Found::View(v)) => {
                    self.lock_view(&v, RelationLock::AccessExclusive);
                    views.push(v);
                }
                Some(Found::Table(t)) => return wrong(&t.name, "Use DROP TABLE to remove a table."),
                Some(Found::System(t)) => return wrong(t.name, "Use DROP TABLE to remove a table."),
                Some(Found::Index(i)) => return wrong(&i, "Use DROP INDEX to remove an index."),
                Some(Found::Sequence(s)) => return wrong(&s.name, "Use DROP SEQUENCE to remove a sequence."),
                None => {
                    missing.push(self.missing(
                        schema.as_deref(),
                        &bare,
                        "view",
                        SqlState::UNDEFINED_TABLE,
                        if_exists,
                    )?);
                }
            }
        }
        Ok(Ddl::DropView { views, missing, cascade })
    }
}

fn view_columns(query: &Query, v: &ast::CreateView) -> Result<Vec<ViewColumn>> {
    if v.columns.len() > query.columns.len() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "CREATE VIEW specifies more column names than columns"));
    }
    let mut columns: Vec<ViewColumn> = Vec::new();
    for (i, c) in query.columns.iter().enumerate() {
        let name = v.columns.get(i).map_or_else(|| c.name.clone(), |given| fold(&given.name));
        if columns.iter().any(|o| o.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, message));
        }
        if c.ty.info().category == 'P' {
            let message = format!("column \"{name}\" has pseudo-type {}", PgType::new(c.ty.oid).sql_name());
            return Err(Error::new(SqlState::INVALID_TABLE_DEFINITION, message));
        }
        columns.push(ViewColumn { name, ty: c.ty });
    }
    Ok(columns)
}

fn refuse_options(v: &ast::CreateView) -> Result<()> {
    let what = if v.materialized {
        "a materialized view"
    } else if v.options != ast::CreateTableOptions::None {
        "CREATE VIEW with options"
    } else if v.if_not_exists || v.columns.iter().any(|c| c.data_type.is_some() || c.options.is_some()) {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in CREATE VIEW").at(start(v.name.span())));
    } else {
        return Ok(());
    };
    Err(Error::unsupported(what))
}

fn not_a_query() -> Error {
    Error::new(SqlState::DATA_CORRUPTED, "the text of a view is not a query")
}

fn parse_query(text: &str) -> Result<Ast> {
    let mut parsed = parse::parse(text)?;
    match (parsed.pop().map(|p| p.kind), parsed.is_empty()) {
        (Some(Kind::Plan(ast)), true) => Ok(*ast),
        _ => Err(not_a_query()),
    }
}

/// The same context with another search path and without parameters.
fn under_search_path(ctx: &EvalContext, search_path: Vec<String>) -> EvalContext {
    let outer = &ctx.session;
    let (a, b, c, d) = (Arc::clone(outer), Arc::clone(outer), Arc::clone(outer), Arc::clone(outer));
    let session = SessionInfo {
        database: outer.database.clone(),
        database_oid: outer.database_oid,
        user: outer.user.clone(),
        session_user: outer.session_user.clone(),
        pid: outer.pid,
        search_path,
        setting: Box::new(move |name| (a.setting)(name)),
        set_setting: Box::new(move |name, value, local| (b.set_setting)(name, value, local)),
        settings: Box::new(move || (c.settings)()),
        notice: Box::new(move |notice| (d.notice)(notice)),
        deferred: Arc::clone(&outer.deferred),
        sequences: Arc::clone(&outer.sequences),
        interrupts: outer.interrupts.clone(),
        backends: Arc::clone(&outer.backends),
        advisory: Arc::clone(&outer.advisory),
        // A view finds what it found when it was made: only a temporary one names this schema.
        temporary: Arc::default(),
    };
    EvalContext {
        text: ctx.text.clone(),
        statement_us: ctx.statement_us,
        params: Arc::from([]),
        session: Arc::new(session),
        env: ctx.env.clone(),
        txn: ctx.txn.clone(),
        catalog: Arc::clone(&ctx.catalog),
        stopped: Arc::clone(&ctx.stopped),
        inventory: ctx.inventory.clone(),
    }
}
