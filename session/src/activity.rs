//! What pg_stat_activity shows of a session. The session writes, everybody may read.
//!
//! It is written for every message, so that nothing is allocated or compared that need not be: states and times are plain stores, and
//! a prepared statement that runs again is known by its address.

use crate::prepared::Prepared;
use crate::session::{Session, Startup, Status};
use heddle_catalog::DatabaseDef;
use heddle_planner::Backend;
use heddle_types::TxnId;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};

/// Longest query text that is shown, in bytes: PostgreSQL's track_activity_query_size less its end.
const QUERY_BYTES_MAX: usize = 1023;
const NEVER: i64 = i64::MIN;

/// `state` by number.
const STATES: [&str; 4] = ["idle", "idle in transaction", "idle in transaction (aborted)", "active"];
const ACTIVE: u8 = 3;

/// See the module. Times are microseconds since 1970.
pub(crate) struct Activity {
    pub database: Arc<DatabaseDef>,
    user: String,
    client: Option<SocketAddr>,
    started_us: i64,
    application: Mutex<String>,
    state: AtomicU8,
    /// The transaction that runs or has run last: one that has ended neither waits for anybody nor is waited for.
    transaction: AtomicU64,
    transaction_us: AtomicI64,
    query_us: AtomicI64,
    changed_us: AtomicI64,
    query: Mutex<String>,
}

impl Activity {
    /// Of a session that begins.
    pub fn new(startup: &Startup, database: &Arc<DatabaseDef>, now_us: i64) -> Self {
        Self {
            database: Arc::clone(database),
            user: startup.user.clone(),
            client: startup.client,
            started_us: now_us,
            application: Mutex::default(),
            state: AtomicU8::new(0),
            transaction: AtomicU64::new(0),
            transaction_us: AtomicI64::new(NEVER),
            query_us: AtomicI64::new(NEVER),
            changed_us: AtomicI64::new(now_us),
            query: Mutex::default(),
        }
    }

    /// application_name has changed, or might have.
    pub fn set_application(&self, name: &str) {
        let mut application = self.application.lock();
        if *application != name {
            name.clone_into(&mut application);
        }
    }

    /// A transaction begins.
    pub fn set_transaction(&self, id: TxnId) {
        self.transaction.store(id.0, Ordering::Relaxed);
    }

    /// The transaction whose locks are the session's.
    pub fn transaction(&self) -> TxnId {
        TxnId(self.transaction.load(Ordering::Relaxed))
    }

    /// A command begins.
    fn active(&self, now_us: i64) {
        self.state.store(ACTIVE, Ordering::Relaxed);
        self.query_us.store(now_us, Ordering::Relaxed);
        self.changed_us.store(now_us, Ordering::Relaxed);
        if self.transaction_us.load(Ordering::Relaxed) == NEVER {
            self.transaction_us.store(now_us, Ordering::Relaxed);
        }
    }

    /// The client's turn.
    fn waits(&self, status: Status, now_us: i64) {
        let state = match status {
            Status::Idle => 0,
            Status::InBlock => 1,
            Status::Failed => 2,
        };
        self.state.store(state, Ordering::Relaxed);
        self.changed_us.store(now_us, Ordering::Relaxed);
        // A failed one has ended, as PostgreSQL sees it; only its block goes on.
        if status != Status::InBlock {
            self.transaction_us.store(NEVER, Ordering::Relaxed);
        }
    }

    fn set_query(&self, sql: &str) {
        let mut query = self.query.lock();
        query.clear();
        query.push_str(&sql[..sql.floor_char_boundary(QUERY_BYTES_MAX)]);
    }

    /// As of now. `lock` is what kind of lock it waits for, if it does.
    pub fn backend(&self, pid: i32, lock: Option<&'static str>) -> Backend {
        let time = |us: &AtomicI64| Some(us.load(Ordering::Relaxed)).filter(|us| *us != NEVER);
        let state = self.state.load(Ordering::Relaxed);
        Backend {
            pid,
            database: (self.database.oid, self.database.name.clone()),
            user: self.user.clone(),
            application: self.application.lock().clone(),
            client: self.client,
            started_us: self.started_us,
            transaction_us: time(&self.transaction_us),
            query_us: time(&self.query_us),
            changed_us: self.changed_us.load(Ordering::Relaxed),
            state: STATES[usize::from(state)],
            wait: if state == ACTIVE { lock.map(|event| ("Lock", event)) } else { Some(("Client", "ClientRead")) },
            query: self.query.lock().clone(),
        }
    }
}

impl Session {
    /// A command begins; [`Self::statement_us`] is its time.
    pub(crate) fn note_command(&self) {
        self.activity.active(self.statement_us);
    }

    /// The text that runs.
    pub(crate) fn note_query(&mut self, sql: &str) {
        self.noted = None;
        self.activity.set_query(sql);
    }

    /// The prepared statement that runs.
    pub(crate) fn note_prepared(&mut self, prepared: &Arc<Prepared>) {
        if !self.noted.as_ref().is_some_and(|noted| Arc::ptr_eq(noted, prepared)) {
            self.activity.set_query(prepared.source());
            self.noted = Some(Arc::clone(prepared));
        }
    }

    /// The client's turn.
    pub fn note_ready(&self) {
        self.activity.waits(self.status(), self.server.env.clock.now_us());
    }
}
