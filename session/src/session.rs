//! One session: who is connected, to what, and the protocol's verbs.

use crate::activity::Activity;
use crate::client::Client;
use crate::names::Names;
use crate::portal::{Completion, Portal, State};
use crate::prepared::{Named, Prepared, no_statement};
use crate::run::no_parameter;
use crate::server::{Canceller, Server};
use crate::settings::Settings;
use crate::texts::Texts;
use crate::transaction::NamedSavepoint;
use bytes::Bytes;
use heddle_catalog::{CatalogSnapshot, DatabaseDef};
use heddle_planner::bound::OutputColumn;
use heddle_planner::exec::{Deferred, PointScratch};
use heddle_planner::function::SessionSequences;
use heddle_planner::parse::{self, Kind, Parsed};
use heddle_planner::{Backends, EvalContext, Interrupts, SessionInfo};
use heddle_txn::Transaction;
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Error, Notice, PgType, Result, Severity, SqlState, binary, oid, text};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What a client says when it connects.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    /// user
    pub user: String,
    /// database; the user's name when absent
    pub database: Option<String>,
    /// Everything else, `options` already taken apart
    pub parameters: Vec<(String, String)>,
    /// Where it connects from; None for a Unix socket.
    pub client: Option<SocketAddr>,
}

/// ReadyForQuery's byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `I`
    Idle,
    /// `T`
    InBlock,
    /// `E`
    Failed,
}

/// Where the session stands between statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// No transaction.
    None,
    /// One that ends with the query string or at Sync.
    Implicit,
    /// BEGIN was said.
    Explicit,
    /// BEGIN was said and something failed since.
    Failed,
}

/// What Describe answers.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Parameter types (statements only)
    pub params: &'a [PgType],
    /// Result columns; None = NoData
    pub columns: Option<&'a [OutputColumn]>,
    /// Result formats (portals; all text for statements)
    pub formats: &'a [i16],
}

/// One connection's session.
pub struct Session {
    pub(crate) server: Arc<Server>,
    pub(crate) settings: Arc<Mutex<Settings>>,
    /// That of the settings, looked at for every message.
    generation: Arc<AtomicU64>,
    pub(crate) notices: Arc<Mutex<Vec<Notice>>>,
    pub(crate) sequences: Arc<Mutex<SessionSequences>>,
    pub(crate) deferred: Arc<Mutex<Deferred>>,
    pub(crate) temporary: Arc<AtomicBool>,
    pub(crate) database: Arc<DatabaseDef>,
    pub(crate) user: String,
    pub(crate) pid: i32,
    secret: u32,
    pub(crate) canceller: Arc<Canceller>,
    pub(crate) activity: Arc<Activity>,
    /// Whose text is in there, if it is that of a prepared statement.
    pub(crate) noted: Option<Arc<Prepared>>,
    pub(crate) block: Block,
    pub(crate) txn: Option<Arc<Transaction>>,
    pub(crate) txn_start_us: i64,
    pub(crate) statement_us: i64,
    pub(crate) savepoints: Vec<NamedSavepoint>,
    pub(crate) prepared: Names<Named>,
    pub(crate) portals: Names<Portal>,
    /// More than one statement in the query string, or in the pipeline since the last Sync.
    pub(crate) multi_statement: bool,
    /// Since the last Sync a portal has been executed.
    pub(crate) pipelined: bool,
    pub(crate) deadline: Option<tokio::time::Instant>,
    cached: Option<Cached>,
    pub(crate) texts: Texts,
    pub(crate) point: PointScratch,
    reported: BTreeMap<&'static str, String>,
    reported_generation: u64,
}

impl Cached {
    /// Facts for functions and name resolution.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }
}

/// What is derived from the settings, until they change.
pub(crate) struct Cached {
    generation: u64,
    info: Arc<SessionInfo>,
    /// `now` is filled in when it is asked for.
    text: TextSettings,
    min_severity: u8,
    statement_timeout: Duration,
    pub lock_timeout: Duration,
    /// default_transaction_isolation
    pub isolation: String,
    /// default_transaction_read_only
    pub read_only: bool,
    idle_timeout: Duration,
    idle_in_transaction_timeout: Duration,
}

fn severity_rank(s: Severity) -> u8 {
    match s {
        Severity::Debug => 0,
        Severity::Notice => 2,
        Severity::Warning => 3,
        Severity::Error | Severity::Fatal => 4,
    }
}

fn min_severity(setting: &str) -> u8 {
    match setting {
        "log" => 1,
        "notice" => 2,
        "warning" => 3,
        "error" => 4,
        _ => 0,
    }
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// FATAL `28000` without a user, `3D000` for an unknown database, `42704`/`22023` for bad parameters, `53300`, `57P03`.
    pub fn connect(server: &Arc<Server>, startup: Startup) -> Result<Self> {
        if startup.user.is_empty() {
            let text = "no PostgreSQL user name specified in startup packet";
            return Err(Error::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, text).fatal());
        }
        let name = startup.database.clone().filter(|d| !d.is_empty()).unwrap_or_else(|| startup.user.clone());
        let database = server.txns.catalog().database(&name).ok_or_else(|| {
            Error::new(SqlState::INVALID_CATALOG_NAME, format!("database \"{name}\" does not exist")).fatal()
        })?;
        let mut settings = Settings::new(Arc::clone(&server.options.settings), &startup.user);
        for (name, value) in &startup.parameters {
            settings.startup(name, value).map_err(Error::fatal)?;
        }
        let activity = Arc::new(Activity::new(&startup, &database, server.env.clock.now_us()));
        let (pid, secret, canceller) = server.register(&activity)?;
        Ok(Self {
            server: Arc::clone(server),
            generation: settings.generation(),
            settings: Arc::new(Mutex::new(settings)),
            notices: Arc::default(),
            sequences: Arc::default(),
            deferred: Arc::default(),
            temporary: Arc::default(),
            database,
            user: startup.user,
            pid,
            secret,
            canceller,
            activity,
            noted: None,
            block: Block::None,
            txn: None,
            txn_start_us: 0,
            statement_us: 0,
            savepoints: vec![],
            prepared: Names::default(),
            portals: Names::default(),
            multi_statement: false,
            pipelined: false,
            deadline: None,
            cached: None,
            texts: Texts::default(),
            point: PointScratch::default(),
            reported: BTreeMap::new(),
            reported_generation: 0,
        })
    }

    /// (pid, secret) for BackendKeyData.
    pub fn key(&self) -> (i32, u32) {
        (self.pid, self.secret)
    }

    /// For ending the session from outside.
    pub fn canceller(&self) -> Arc<Canceller> {
        Arc::clone(&self.canceller)
    }

    /// How long this session may idle now, and the error that ends it then.
    pub fn idle_limit(&mut self) -> Option<(Duration, Error)> {
        let idle = self.status() == Status::Idle;
        let cached = self.cached();
        let after = if idle { cached.idle_timeout } else { cached.idle_in_transaction_timeout };
        let (code, text) = match idle {
            true => (SqlState::IDLE_SESSION_TIMEOUT, "terminating connection due to idle-session timeout"),
            false => {
                (SqlState::IDLE_IN_TRANSACTION_TIMEOUT, "terminating connection due to idle-in-transaction timeout")
            }
        };
        (!after.is_zero()).then(|| (after, Error::new(code, text).fatal()))
    }

    /// Sends settings that changed and notices that gathered. Call before CommandComplete, ReadyForQuery and ErrorResponse.
    pub fn flush_side<C: Client>(&mut self, client: &mut C) {
        let notices = std::mem::take(&mut *self.notices.lock());
        if !notices.is_empty() {
            let min = self.cached().min_severity;
            for n in notices.iter().filter(|n| severity_rank(n.fields().severity) >= min) {
                client.notice(n);
            }
        }
        let generation = self.generation.load(Ordering::Relaxed);
        if generation == self.reported_generation {
            return;
        }
        self.reported_generation = generation;
        let settings = self.settings.lock();
        for (name, value) in settings.reported() {
            if self.reported.get(name) != Some(&value) {
                client.parameter(name, &value);
                self.reported.insert(name, value);
            }
        }
    }

    pub(crate) fn push_notice(&self, notice: Notice) {
        self.notices.lock().push(notice);
    }

    /// What the settings come down to now.
    pub(crate) fn cached(&mut self) -> &mut Cached {
        let generation = self.generation.load(Ordering::Relaxed);
        if self.cached.as_ref().is_none_or(|c| c.generation != generation) {
            self.cached = Some(self.derive(generation));
        }
        self.cached.as_mut().expect("just derived")
    }

    fn derive(&self, generation: u64) -> Cached {
        let settings = self.settings.lock();
        let (for_get, for_set, for_all) =
            (Arc::clone(&self.settings), Arc::clone(&self.settings), Arc::clone(&self.settings));
        let notices = Arc::clone(&self.notices);
        let canceller = Arc::clone(&self.canceller);
        let info = SessionInfo {
            database: self.database.name.clone(),
            database_oid: self.database.oid,
            user: self.user.clone(),
            session_user: self.user.clone(),
            pid: self.pid,
            search_path: settings.search_path(),
            setting: Box::new(move |name| for_get.lock().show(name).ok().map(|(_, v)| v)),
            set_setting: Box::new(move |name, value, local| {
                let mut s = for_set.lock();
                s.set(name, value, local)?;
                s.show(name).map(|(_, v)| v)
            }),
            settings: Box::new(move || for_all.lock().all()),
            notice: Box::new(move |n| notices.lock().push(n)),
            sequences: Arc::clone(&self.sequences),
            deferred: Arc::clone(&self.deferred),
            interrupts: Interrupts::new(move || canceller.pending()),
            backends: Arc::clone(&self.server) as Arc<dyn Backends>,
            advisory: Arc::clone(&self.server.advisory),
            temporary: Arc::clone(&self.temporary),
        };
        self.activity.set_application(&settings.get("application_name").unwrap_or_default());
        let min = settings.get("client_min_messages").unwrap_or_default();
        let duration = |name| Duration::from_millis(settings.int(name).unsigned_abs());
        Cached {
            generation,
            info: Arc::new(info),
            text: settings.text(0),
            min_severity: min_severity(&min),
            statement_timeout: duration("statement_timeout"),
            lock_timeout: duration("lock_timeout"),
            isolation: settings.get("default_transaction_isolation").unwrap_or_default(),
            read_only: settings.is_on("default_transaction_read_only"),
            idle_timeout: duration("idle_session_timeout"),
            idle_in_transaction_timeout: duration("idle_in_transaction_session_timeout"),
        }
    }

    /// Text forms as of now.
    pub(crate) fn text(&mut self) -> &TextSettings {
        let now = if self.txn.is_some() { self.txn_start_us } else { self.statement_us };
        let text = &mut self.cached().text;
        text.datetime.now = now;
        text
    }

    /// Text forms for these columns: reg* types show names, which takes a look into the catalog.
    pub(crate) fn text_for(&mut self, columns: &[OutputColumn]) -> Result<TextSettings> {
        let mut text = self.text().clone();
        if columns.iter().any(|c| c.ty.element().unwrap_or(c.ty).is_reg()) {
            text.reg_names = Some(heddle_planner::reg_names(Arc::new(self.context(Arc::from([]))?)));
        }
        Ok(text)
    }

    /// What evaluation may look at, as of now.
    pub(crate) fn context(&mut self, params: Arc<[Datum]>) -> Result<EvalContext> {
        Ok(EvalContext {
            text: self.text().clone(),
            statement_us: self.statement_us,
            params,
            session: Arc::clone(&self.cached().info),
            env: self.server.env.clone(),
            txn: self.txn.clone(),
            catalog: self.catalog(),
            stopped: Arc::default(),
            inventory: None,
        })
    }

    pub(crate) fn search_path(&mut self) -> &[String] {
        &self.cached().info.search_path
    }

    /// The catalog that the next statement is bound against.
    pub(crate) fn catalog(&self) -> Arc<CatalogSnapshot> {
        match &self.txn {
            Some(txn) => txn.catalog(),
            None => self.server.txns.catalog(),
        }
    }

    /// Is it [`Self::catalog`]?
    pub(crate) fn has_catalog(&self, catalog: &Arc<CatalogSnapshot>) -> bool {
        match &self.txn {
            Some(txn) => Arc::ptr_eq(&txn.catalog(), catalog),
            None => self.server.txns.is_newest(catalog),
        }
    }

    /// A command from the client begins: time is taken, old cancels are forgotten, statement_timeout starts.
    pub(crate) fn start_command(&mut self) {
        self.canceller.arm();
        self.statement_us = self.server.env.clock.now_us();
        self.note_command();
        self.start_timeout();
    }

    /// statement_timeout counts from here: from the message or, in a query string, from each statement.
    fn start_timeout(&mut self) {
        let timeout = self.cached().statement_timeout;
        let deadline = (!timeout.is_zero()).then(|| tokio::time::Instant::now() + timeout);
        if deadline != self.deadline {
            self.deadline = deadline;
            self.canceller.set_deadline(deadline);
        }
    }

    /// Runs a query string of the simple protocol and sends everything but the error and ReadyForQuery.
    ///
    /// # Errors
    /// The statement's error; the transaction is already failed or rolled back then.
    pub async fn simple_query<C: Client>(&mut self, sql: &str, client: &mut C) -> Result<()> {
        self.prepared.remove("");
        self.portals.remove("");
        self.start_command();
        self.note_query(sql);
        self.pipelined = false;
        let result = self.query_string(sql, client).await;
        self.multi_statement = false;
        match result {
            Ok(()) => self.end_implicit().await,
            Err(e) => {
                let e = self.durable(e).await;
                self.fail();
                Err(e)
            }
        }
    }

    async fn query_string<C: Client>(&mut self, sql: &str, client: &mut C) -> Result<()> {
        if let Some((prepared, params)) = self.remembered(sql) {
            self.multi_statement = false;
            if let Some(parsed) = &prepared.parsed {
                self.check_allowed(&parsed.kind)?;
            }
            return self.run_simple(Portal::new(prepared, params, vec![0]), true, client).await;
        }
        let statements = parse::parse(sql)?;
        if statements.is_empty() {
            client.empty();
            return Ok(());
        }
        for notice in statements.iter().flat_map(|p| &p.notices) {
            self.push_notice(notice.clone());
        }
        self.multi_statement = statements.len() > 1;
        let count = statements.len();
        for (i, parsed) in statements.into_iter().enumerate() {
            self.simple_statement(parsed, i + 1 == count, client).await?;
        }
        Ok(())
    }

    async fn simple_statement<C: Client>(&mut self, parsed: Parsed, last: bool, client: &mut C) -> Result<()> {
        self.check_allowed(&parsed.kind)?;
        self.start_timeout();
        let binary = match &parsed.kind {
            Kind::Fetch { name, .. } => self.portals.get(name).is_some_and(|p| p.options.binary),
            _ => false,
        };
        let first = parsed.first_parameter();
        let prepared = match (self.prepare(Some(parsed), vec![], None), first) {
            (Err(e), Some(first)) if e.code() == SqlState::INDETERMINATE_DATATYPE => return Err(no_parameter(first)),
            (Ok(prepared), Some(first)) if !prepared.params.is_empty() => return Err(no_parameter(first)),
            (prepared, _) => prepared?,
        };
        self.run_simple(Portal::new(prepared, vec![], vec![i16::from(binary)]), last, client).await
    }

    /// Runs a statement of the simple protocol.
    async fn run_simple<C: Client>(&mut self, mut portal: Portal, last: bool, client: &mut C) -> Result<()> {
        if let Some(columns) = portal.columns() {
            client.describe(&columns, &portal.formats);
        }
        let quick = self.read_point(&portal.prepared, &portal.params, &portal.formats, client)?;
        let completion = match quick {
            Some(completion) => completion,
            None => self.run_portal("", &mut portal, u64::MAX, client).await?,
        };
        drop(portal);
        if last && self.block == Block::Implicit {
            self.commit_now().await?;
        }
        self.flush_side(client);
        if let Completion::Complete(tag) = completion {
            client.complete(&tag);
        }
        Ok(())
    }

    /// Commits an implicit transaction that is still open.
    async fn end_implicit(&mut self) -> Result<()> {
        if self.block == Block::Implicit || (self.block == Block::None && self.txn.is_some()) {
            return self.commit_now().await;
        }
        if self.block == Block::None {
            // A read by key leaves its portal without a transaction that would end it.
            self.portals.retain(|p| p.options.hold);
        }
        Ok(())
    }

    fn check_allowed(&self, kind: &Kind) -> Result<()> {
        match kind {
            Kind::Commit { .. } | Kind::Rollback { .. } | Kind::RollbackTo(_) => Ok(()),
            _ => self.refuse_if_failed(),
        }
    }

    /// Parse. Types with OID 0 are inferred.
    ///
    /// # Errors
    /// `42601` for more than one statement, `42P05`, `25P02`, whatever binding raises.
    pub fn parse(&mut self, name: &str, sql: &str, declared: Vec<PgType>) -> Result<()> {
        self.start_command();
        self.note_query(sql);
        if let Some(prepared) = self.parsed_before(sql, &declared) {
            self.refuse_if_failed()?;
            return self.store_prepared(name, prepared, false);
        }
        let mut statements = parse::parse(sql)?;
        if statements.len() > 1 {
            let text = "cannot insert multiple commands into a prepared statement";
            return Err(Error::new(SqlState::SYNTAX_ERROR, text));
        }
        let parsed = statements.pop();
        if let Some(p) = &parsed {
            for notice in &p.notices {
                self.push_notice(notice.clone());
            }
            self.check_allowed(&p.kind)?;
        }
        let prepared = self.prepare(parsed, declared, Some(sql.into()))?;
        self.remember_parsed(sql, &prepared);
        self.store_prepared(name, prepared, false)
    }

    /// Bind.
    ///
    /// # Errors
    /// `26000`, `42P03`, `08P01` for wrong counts, `22P02`/`22P03` for bad values, `25P02`.
    pub fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        formats: &[i16],
        values: &[Option<Bytes>],
        results: Vec<i16>,
    ) -> Result<()> {
        self.start_command();
        let named = self.prepared.get_mut(statement).ok_or_else(|| no_statement(statement))?;
        // Counted while it is at hand: looked up again are only those that fail, which PostgreSQL does not count.
        named.uses += 1;
        let prepared = Arc::clone(&named.prepared);
        let bound = self.make_portal(portal, (statement, prepared), formats, values, results);
        if bound.is_err()
            && let Some(named) = self.prepared.get_mut(statement)
        {
            named.uses -= 1;
        }
        bound
    }

    fn make_portal(
        &mut self,
        portal: &str,
        (statement, prepared): (&str, Arc<Prepared>),
        formats: &[i16],
        values: &[Option<Bytes>],
        results: Vec<i16>,
    ) -> Result<()> {
        self.note_prepared(&prepared);
        if let Some(p) = &prepared.parsed {
            self.check_allowed(&p.kind)?;
        }
        if !portal.is_empty() && self.portals.contains(portal) {
            return Err(Error::new(SqlState::DUPLICATE_CURSOR, format!("cursor \"{portal}\" already exists")));
        }
        let expected = prepared.params.len();
        if values.len() != expected {
            let text = format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {expected}",
                values.len()
            );
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, text));
        }
        if formats.len() > 1 && formats.len() != values.len() {
            let text = format!("bind message has {} parameter formats but {} parameters", formats.len(), values.len());
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, text));
        }
        let columns = prepared.columns.as_ref().map_or(0, |c| c.len());
        if results.len() > 1 && results.len() != columns {
            let text = format!("bind message has {} result formats but query has {columns} columns", results.len());
            return Err(Error::new(SqlState::PROTOCOL_VIOLATION, text));
        }
        if prepared.is_plan() && prepared.current(self).is_none() {
            let ctx = self.context(Arc::from([]))?;
            prepared.plan(self, &ctx)?;
        }
        let text = self.text();
        let mut params = Vec::with_capacity(values.len());
        for (i, (value, ty)) in values.iter().zip(&prepared.params).enumerate() {
            let format = *formats.get(i).or(formats.first()).unwrap_or(&0);
            params.push(parameter(value.as_deref(), *ty, format, text).map_err(|e| {
                let place =
                    if portal.is_empty() { "unnamed portal".to_owned() } else { format!("portal \"{portal}\"") };
                e.context(format!("{place} parameter ${}", i + 1))
            })?);
        }
        let mut made = Portal::new(prepared, params, results);
        made.mark = self.newest_mark();
        made.made_us = Some(self.statement_us);
        self.portals.insert(portal, made);
        Ok(())
    }

    /// Describe a statement. `26000`.
    pub fn describe_statement(&self, name: &str) -> Result<Description<'_>> {
        let p = self.prepared_named(name)?;
        if p.columns.is_some() {
            self.refuse_if_failed()?;
        }
        Ok(Description { params: &p.params, columns: p.columns.as_deref(), formats: &[] })
    }

    /// Describe a portal. `34000`.
    pub fn describe_portal(&self, name: &str) -> Result<Description<'_>> {
        let p = self.portals.get(name).ok_or_else(|| no_portal(name))?;
        Ok(Description { params: &[], columns: p.prepared.columns.as_deref(), formats: &p.formats })
    }

    /// Execute: sends at most `max_rows` rows (0 = all); the caller sends the completion.
    ///
    /// # Errors
    /// `34000`, `55000`, `25P02`, whatever execution raises.
    pub async fn execute<C: Client>(&mut self, name: &str, max_rows: u32, client: &mut C) -> Result<Completion> {
        self.start_command();
        // Before it is taken out: a portal that is refused in a failed block may go on after ROLLBACK TO.
        if self.block == Block::Failed
            && let Some(p) = &self.portals.get(name).ok_or_else(|| no_portal(name))?.prepared.parsed
        {
            self.check_allowed(&p.kind)?;
        }
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        self.note_prepared(&portal.prepared);
        let max = if max_rows == 0 { u64::MAX } else { max_rows.into() };
        let quick = if max > 1 && matches!(portal.state, State::Ready) {
            self.read_point(&portal.prepared, &portal.params, &portal.formats, client)?
        } else {
            None
        };
        let completion = match quick {
            Some(completion) => {
                portal.state = State::Finished { query: true };
                self.portals.insert(name, portal);
                completion
            }
            None => {
                let completion = match self.run_portal(name, &mut portal, max, client).await {
                    Ok(completion) => completion,
                    Err(e) => return Err(self.durable(e).await),
                };
                if self.txn.is_some() {
                    self.portals.insert(name, portal);
                }
                completion
            }
        };
        self.multi_statement = true;
        self.pipelined = true;
        Ok(completion)
    }

    /// Close a statement. Closing what is not there is no error.
    pub fn close_statement(&mut self, name: &str) {
        self.prepared.remove(name);
    }

    /// Close a portal.
    pub fn close_portal(&mut self, name: &str) {
        self.portals.remove(name);
    }

    /// Sync: ends the implicit transaction (commit), with it every portal.
    pub async fn sync(&mut self) -> Result<()> {
        self.multi_statement = false;
        self.pipelined = false;
        if self.block == Block::None || self.block == Block::Implicit {
            self.portals.retain(|p| p.options.hold);
        }
        let result = self.end_implicit().await;
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// An error outside of execute (parse, bind, describe, protocol) fails the transaction too.
    pub fn fail_transaction(&mut self) {
        self.fail();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.portals.clear();
        if let Some(txn) = self.txn.take() {
            txn.rollback();
        }
        self.server.advisory.end_session(self.pid);
        self.server.unregister(self.pid);
    }
}

pub(crate) fn no_portal(name: &str) -> Error {
    Error::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

/// One Bind value.
fn parameter(value: Option<&[u8]>, ty: PgType, format: i16, settings: &TextSettings) -> Result<Datum> {
    let Some(bytes) = value else { return Ok(Datum::Null) };
    match format {
        0 => {
            let s = text::check_utf8(bytes)?;
            let ty = if ty.oid == oid::UNKNOWN { PgType::new(oid::TEXT) } else { ty };
            text::parse(s, ty, settings)
        }
        1 => binary::decode(bytes, ty),
        other => Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, format!("unsupported format code: {other}"))),
    }
}
