//! What evaluation may look at besides its arguments.

use crate::advisory::AdvisoryLocks;
use crate::exec::Deferred;
use crate::function::SessionSequences;
use heddle_catalog::{CatalogSnapshot, TEMPORARY_PREFIX};
use heddle_env::Env;
use heddle_txn::Transaction;
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Error, Notice, Oid, Result, Severity, SqlState};
use parking_lot::Mutex;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name to value as SHOW prints it.
pub type GetSetting = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// (name, value, whether it ends with the transaction) to the value as SHOW prints it.
pub type SetSetting = Box<dyn Fn(&str, &str, bool) -> Result<String> + Send + Sync>;

/// (name, value as SHOW prints it, description)
pub type SettingRow = (String, String, String);

/// A session as pg_stat_activity shows it. Times are microseconds since 1970.
#[derive(Clone, Debug)]
pub struct Backend {
    /// pid
    pub pid: i32,
    /// datid and datname
    pub database: (Oid, String),
    /// usename
    pub user: String,
    /// application_name
    pub application: String,
    /// client_addr and client_port; None for a Unix socket.
    pub client: Option<SocketAddr>,
    /// backend_start
    pub started_us: i64,
    /// xact_start
    pub transaction_us: Option<i64>,
    /// query_start
    pub query_us: Option<i64>,
    /// state_change
    pub changed_us: i64,
    /// state
    pub state: &'static str,
    /// wait_event_type and wait_event
    pub wait: Option<(&'static str, &'static str)>,
    /// query
    pub query: String,
}

/// A prepared statement as pg_prepared_statements shows it.
#[derive(Clone, Debug)]
pub struct PreparedStatement {
    /// name
    pub name: String,
    /// statement
    pub text: String,
    /// prepare_time, microseconds since 1970
    pub prepared_us: i64,
    /// parameter_types
    pub parameters: Vec<Oid>,
    /// from_sql
    pub from_sql: bool,
    /// generic_plans: the one plan is for any values. There are no custom_plans.
    pub uses: i64,
}

/// A cursor, or a portal of the protocol, as pg_cursors shows it.
#[derive(Clone, Debug)]
pub struct OpenCursor {
    /// name
    pub name: String,
    /// statement
    pub text: String,
    /// is_holdable
    pub hold: bool,
    /// is_binary
    pub binary: bool,
    /// is_scrollable
    pub scroll: bool,
    /// creation_time, microseconds since 1970
    pub made_us: i64,
}

/// What a session has under names of its own.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// pg_prepared_statements
    pub statements: Vec<PreparedStatement>,
    /// pg_cursors
    pub cursors: Vec<OpenCursor>,
}

/// What pg_cancel_backend and pg_terminate_backend do.
#[derive(Clone, Copy, Debug)]
pub enum Signal {
    /// The running statement ends with 57014.
    Cancel,
    /// The session ends with 57P01.
    Terminate,
}

/// All sessions of a server.
pub trait Backends: Send + Sync {
    /// Those there are, by pid.
    fn list(&self) -> Vec<Backend>;
    /// False when there is no such session.
    fn signal(&self, pid: i32, signal: Signal) -> bool;
    /// Is there such a session?
    fn has(&self, pid: i32) -> bool;
    /// The sessions that keep this one from a lock it waits for, ascending.
    fn blocking(&self, pid: i32) -> Vec<i32>;
}

/// A server without sessions, for tests of what needs none.
pub struct Nobody;

impl Backends for Nobody {
    fn list(&self) -> Vec<Backend> {
        Vec::new()
    }

    fn signal(&self, _: i32, _: Signal) -> bool {
        false
    }

    fn has(&self, _: i32) -> bool {
        false
    }

    fn blocking(&self, _: i32) -> Vec<i32> {
        Vec::new()
    }
}

/// The error to raise when the session's statement was cancelled or timed out. Only [`EvalContext::interrupted`] asks: the statement
/// may have ended before, and the session be at its next one.
#[derive(Clone)]
pub struct Interrupts(Arc<dyn Fn() -> Option<Error> + Send + Sync>);

impl Interrupts {
    /// What `pending` says at any time.
    pub fn new(pending: impl Fn() -> Option<Error> + Send + Sync + 'static) -> Self {
        Self(Arc::new(pending))
    }
}

/// There are none.
impl Default for Interrupts {
    fn default() -> Self {
        Self::new(|| None)
    }
}

/// Facts about the session that functions and name resolution see. Immutable per statement.
pub struct SessionInfo {
    /// current_database()
    pub database: String,
    /// Its OID.
    pub database_oid: Oid,
    /// current_user
    pub user: String,
    /// session_user
    pub session_user: String,
    /// pg_backend_pid()
    pub pid: i32,
    /// search_path as written, `$user` included, without quotes, in order.
    pub search_path: Vec<String>,
    /// Answers current_setting(): None when unknown.
    pub setting: GetSetting,
    /// Applies set_config(name, value, is_local); returns the value as SHOW prints it.
    pub set_setting: SetSetting,
    /// Every setting for pg_settings and SHOW ALL: (name, value, description).
    pub settings: Box<dyn Fn() -> Vec<SettingRow> + Send + Sync>,
    /// Takes notices on their way to the client.
    pub notice: Box<dyn Fn(Notice) + Send + Sync>,
    /// What the session knows of sequences: currval, lastval, cached values.
    pub sequences: Arc<Mutex<SessionSequences>>,
    /// Checks that wait for the end of the transaction.
    pub deferred: Arc<Mutex<Deferred>>,
    /// What may end its statement: [`EvalContext::interrupted`].
    pub interrupts: Interrupts,
    /// All sessions of the server.
    pub backends: Arc<dyn Backends>,
    /// The server's advisory locks.
    pub advisory: Arc<AdvisoryLocks>,
    /// The session made temporary objects: its schema for them is searched, and emptied at its end.
    pub temporary: Arc<AtomicBool>,
}

/// A schema that names are looked up in.
pub struct Searched {
    /// Its name
    pub schema: String,
    /// search_path does not name it.
    pub implicit: bool,
}

impl SessionInfo {
    /// The name of the schema of this session's temporary objects.
    pub fn temporary_schema(&self) -> String {
        format!("{TEMPORARY_PREFIX}{}", self.pid)
    }

    /// The schema a name stands for: `pg_temp` is the session's own.
    pub fn schema_named<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if name == "pg_temp" { self.temporary_schema().into() } else { name.into() }
    }

    /// Schemas in search order: those for temporary objects and pg_catalog come first unless search_path names them.
    pub fn path(&self) -> Vec<Searched> {
        let named = self.search_path.iter().map(|s| s.replace("$user", &self.user));
        let mut path: Vec<Searched> =
            named.map(|s| Searched { schema: self.schema_named(&s).into_owned(), implicit: false }).collect();
        let mut first = vec!["pg_catalog".to_owned()];
        if self.temporary.load(Ordering::Relaxed) {
            first.push(self.temporary_schema());
        }
        for schema in first {
            if !path.iter().any(|s| s.schema == schema) {
                path.insert(0, Searched { schema, implicit: true });
            }
        }
        path
    }
}

/// Everything a kernel may need. One per statement execution.
pub struct EvalContext {
    /// Text forms (TimeZone, DateStyle …); `text.datetime.now` is the transaction's start.
    pub text: TextSettings,
    /// statement_timestamp(), microseconds since 1970.
    pub statement_us: i64,
    /// Parameter values.
    pub params: Arc<[Datum]>,
    /// The session.
    pub session: Arc<SessionInfo>,
    /// Clock and randomness.
    pub env: Env,
    /// The running transaction (None while binding constants).
    pub txn: Option<Arc<Transaction>>,
    /// What exists.
    pub catalog: Arc<CatalogSnapshot>,
    /// Nobody waits for the statement any more, while a kernel of it may still be at work.
    pub stopped: Arc<AtomicBool>,
    /// What the session had when the statement began, if it [shows](crate::bound::Bound::shows_inventory) that.
    pub inventory: Option<Arc<Inventory>>,
}

impl EvalContext {
    /// The same, but for what exists.
    pub fn at(&self, catalog: Arc<CatalogSnapshot>) -> Self {
        Self {
            text: self.text.clone(),
            statement_us: self.statement_us,
            params: Arc::clone(&self.params),
            session: Arc::clone(&self.session),
            env: self.env.clone(),
            txn: self.txn.clone(),
            catalog,
            stopped: Arc::clone(&self.stopped),
            inventory: self.inventory.clone(),
        }
    }

    /// The error to raise when the statement is to end; what takes long asks now and then.
    pub fn interrupted(&self) -> Option<Error> {
        if self.stopped.load(Ordering::Relaxed) {
            // The session may have gone on to its next statement, which nobody has cancelled.
            return Some(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
        }
        (self.session.interrupts.0)()
    }

    /// Sends the client a WARNING.
    pub(crate) fn warn(&self, text: String) {
        (self.session.notice)(Error::notice(Severity::Warning, SqlState::WARNING, text));
    }
}

/// Shows reg* values by the names they have in the context's catalog.
pub fn reg_names(ctx: Arc<EvalContext>) -> heddle_types::text::RegNames {
    heddle_types::text::RegNames(Arc::new(move |ty, value| {
        crate::function::reg_name(value, heddle_types::PgType::new(ty), &ctx).ok()
    }))
}
