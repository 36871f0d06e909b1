//! Prepared statements: parsed once, bound and planned against a catalog, bound again when the catalog moved.

use crate::session::Session;
use heddle_catalog::CatalogSnapshot;
use heddle_planner::bound::{Bound, OutputColumn};
use heddle_planner::parse::{Kind, Parsed};
use heddle_planner::{EvalContext, Plan, bind};
use heddle_types::{Error, PgType, Result, SqlState, oid};
use parking_lot::Mutex;
use std::sync::Arc;

/// A prepared statement (protocol or SQL).
pub(crate) struct Prepared {
    /// None for an empty query.
    pub parsed: Option<Parsed>,
    /// The query string it was in, as others may see it; None where nobody does.
    source: Option<Arc<str>>,
    /// Parameter types the client declared.
    pub declared: Vec<PgType>,
    /// Parameter types as resolved.
    pub params: Vec<PgType>,
    /// What it returned when it was prepared; it must not change.
    pub columns: Option<Arc<[OutputColumn]>>,
    planned: Mutex<Option<Arc<Planned>>>,
}

/// A prepared statement under its name.
pub(crate) struct Named {
    pub prepared: Arc<Prepared>,
    /// By PREPARE
    pub from_sql: bool,
    /// When it got the name
    pub since_us: i64,
    /// How often it was bound or executed
    pub uses: i64,
}

/// A plan and what it depends on.
pub(crate) struct Planned {
    pub plan: Plan,
    pub catalog: Arc<CatalogSnapshot>,
    pub search_path: Vec<String>,
}

impl Planned {
    pub fn bound(&self) -> &Bound {
        &self.plan.bound
    }

    fn holds(&self, ctx: &EvalContext) -> bool {
        Arc::ptr_eq(&self.catalog, &ctx.catalog) && self.search_path == ctx.session.search_path
    }
}

/// Are these the same result columns, so that a client may keep its description?
fn same_columns(a: Option<&[OutputColumn]>, b: Option<&[OutputColumn]>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x.name == y.name && x.ty == y.ty),
        _ => false,
    }
}

pub(crate) fn no_statement(name: &str) -> Error {
    let what = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    Error::new(SqlState::INVALID_SQL_STATEMENT_NAME, what)
}

impl Prepared {
    /// The query string it was in.
    pub fn source(&self) -> &str {
        self.source.as_deref().unwrap_or_default()
    }

    /// Does it have a plan, unlike a utility statement?
    pub fn is_plan(&self) -> bool {
        self.parsed.as_ref().is_some_and(|p| matches!(p.kind, Kind::Plan(_)))
    }

    /// The plan, if the one at hand still holds.
    pub fn current(&self, session: &mut Session) -> Option<Arc<Planned>> {
        let planned = Arc::clone(self.planned.lock().as_ref()?);
        let holds = session.has_catalog(&planned.catalog) && planned.search_path == session.search_path();
        holds.then_some(planned)
    }

    /// The plan for the context's catalog: the cached one if it still holds, otherwise a new one.
    ///
    /// # Errors
    /// `0A000` `cached plan must not change result type`; whatever binding raises.
    pub fn plan(&self, session: &Session, ctx: &EvalContext) -> Result<Arc<Planned>> {
        if let Some(planned) = self.planned.lock().as_ref().filter(|p| p.holds(ctx)) {
            return Ok(Arc::clone(planned));
        }
        let Some(Parsed { kind: Kind::Plan(ast), offset, .. }) = &self.parsed else {
            return Err(Error::internal("a utility statement has no plan"));
        };
        let bound = bind::bind(ast, &self.declared, ctx).map_err(|e| e.shifted(*offset))?;
        if !same_columns(self.columns.as_deref(), bound.columns.as_deref()) {
            let e = Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cached plan must not change result type");
            return Err(e.routine("RevalidateCachedQuery"));
        }
        let plan = session.server.executor.plan(Arc::new(bound))?;
        let planned =
            Arc::new(Planned { plan, catalog: Arc::clone(&ctx.catalog), search_path: ctx.session.search_path.clone() });
        *self.planned.lock() = Some(Arc::clone(&planned));
        Ok(planned)
    }
}

impl Session {
    /// Prepares one statement: binds what can be bound so that parameters and columns can be described.
    pub(crate) fn prepare(
        &mut self,
        parsed: Option<Parsed>,
        declared: Vec<PgType>,
        source: Option<Arc<str>>,
    ) -> Result<Arc<Prepared>> {
        let mut prepared =
            Prepared { parsed, source, declared, params: vec![], columns: None, planned: Mutex::new(None) };
        let Some(parsed) = &prepared.parsed else { return Ok(Arc::new(prepared)) };
        match &parsed.kind {
            Kind::Plan(ast) => {
                let ctx = self.context(Arc::from([]))?;
                let bound = bind::bind(ast, &prepared.declared, &ctx).map_err(|e| e.shifted(parsed.offset))?;
                prepared.params = bound.params.clone();
                prepared.columns = bound.columns.clone().map(Arc::from);
                let plan = self.server.executor.plan(Arc::new(bound))?;
                let search_path = ctx.session.search_path.clone();
                let planned = Planned { plan, catalog: Arc::clone(&ctx.catalog), search_path };
                *prepared.planned.get_mut() = Some(Arc::new(planned));
            }
            Kind::Show { name } => prepared.columns = Some(self.show_columns(name.as_deref())?),
            Kind::Execute { name, .. } => prepared.columns = self.prepared_named(name)?.columns.clone(),
            Kind::Fetch { name, is_move: false, .. } => prepared.columns = self.cursor_columns(name)?,
            _ => {}
        }
        let unresolved = |t: &PgType| t.oid.0 == 0 || t.oid == oid::UNKNOWN;
        if prepared.params.is_empty() && !prepared.declared.is_empty() && !prepared.declared.iter().all(unresolved) {
            prepared.params = prepared.declared.clone();
        }
        Ok(Arc::new(prepared))
    }

    pub(crate) fn prepared_named(&self, name: &str) -> Result<&Arc<Prepared>> {
        self.prepared.get(name).map(|named| &named.prepared).ok_or_else(|| no_statement(name))
    }

    /// Stores under a name. `42P05` when a named one exists.
    pub(crate) fn store_prepared(&mut self, name: &str, prepared: Arc<Prepared>, from_sql: bool) -> Result<()> {
        if !name.is_empty() && self.prepared.contains(name) {
            let text = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(SqlState::DUPLICATE_PREPARED_STATEMENT, text));
        }
        self.prepared.insert(name, Named { prepared, from_sql, since_us: self.statement_us, uses: 0 });
        Ok(())
    }
}
