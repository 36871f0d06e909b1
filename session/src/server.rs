//! What all sessions share: the database, the executor, the list of who is connected.

use crate::activity::Activity;
use crate::settings::ServerSetting;
use heddle_env::Env;
use heddle_planner::advisory::AdvisoryLocks;
use heddle_planner::{Backend, Backends, Executor, Signal};
use heddle_txn::TxnManager;
use heddle_types::{Error, Oid, Result, SqlState, TxnId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use tokio::sync::Notify;

/// Bounds and settings of the server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most sessions at once (`53300`).
    pub max_connections: usize,
    /// What the server was started with, for SHOW.
    pub settings: Arc<[ServerSetting]>,
}

/// One per data folder.
pub struct Server {
    /// Transactions
    pub txns: Arc<TxnManager>,
    /// Query execution
    pub executor: Arc<Executor>,
    /// Clock, randomness, disk
    pub env: Env,
    /// Options
    pub options: ServerOptions,
    /// Locks without objects, by agreement of sessions
    pub(crate) advisory: Arc<AdvisoryLocks>,
    sessions: Mutex<BTreeMap<i32, Registered>>,
    next_pid: AtomicI32,
    closing: AtomicBool,
}

struct Registered {
    secret: u32,
    canceller: Arc<Canceller>,
    activity: Arc<Activity>,
}

/// Interrupts one session from outside.
#[derive(Default)]
pub struct Canceller {
    cancel: AtomicBool,
    terminate: AtomicBool,
    wake: Notify,
    /// When statement_timeout strikes.
    deadline: Mutex<Option<tokio::time::Instant>>,
}

impl Canceller {
    /// CancelRequest or pg_cancel_backend(): the running statement ends with 57014.
    pub fn cancel(&self) {
        self.cancel.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// Shutdown or pg_terminate_backend(): the session ends with 57P01.
    pub fn terminate(&self) {
        self.terminate.store(true, Ordering::Release);
        self.wake.notify_waiters();
    }

    /// A new statement begins: a cancel that came while the session was idle is forgotten.
    pub(crate) fn arm(&self) {
        self.cancel.store(false, Ordering::Release);
    }

    /// When statement_timeout strikes; None never.
    pub(crate) fn set_deadline(&self, deadline: Option<tokio::time::Instant>) {
        *self.deadline.lock() = deadline;
    }

    /// What to raise now, if somebody has interrupted or time is up.
    pub(crate) fn pending(&self) -> Option<Error> {
        if self.terminate.load(Ordering::Acquire) {
            let text = "terminating connection due to administrator command";
            return Some(Error::new(SqlState::ADMIN_SHUTDOWN, text).fatal());
        }
        let canceled = || Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request");
        if self.cancel.load(Ordering::Acquire) {
            return Some(canceled());
        }
        let late = self.deadline.lock().is_some_and(|d| tokio::time::Instant::now() >= d);
        late.then(|| Error::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout"))
    }

    /// Resolves with the error to raise once somebody interrupts.
    pub async fn interrupted(&self) -> Error {
        loop {
            let wake = self.wake.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            if let Some(e) = self.pending() {
                return e;
            }
            wake.await;
        }
    }

    /// Resolves when the session must end; cancels are ignored (for idle sessions).
    pub async fn terminated(&self) -> Error {
        loop {
            let wake = self.wake.notified();
            tokio::pin!(wake);
            wake.as_mut().enable();
            if self.terminate.load(Ordering::Acquire) {
                return self.pending().expect("terminate is pending");
            }
            wake.await;
        }
    }
}

impl Server {
    /// A server over an open database.
    pub fn new(txns: Arc<TxnManager>, executor: Arc<Executor>, env: Env, options: ServerOptions) -> Arc<Self> {
        Arc::new(Self {
            txns,
            executor,
            env,
            options,
            advisory: Arc::default(),
            sessions: Mutex::default(),
            next_pid: AtomicI32::new(1),
            closing: AtomicBool::new(false),
        })
    }

    /// Registers a session: (pid, secret, canceller). `53300`, `57P03`.
    pub(crate) fn register(&self, activity: &Arc<Activity>) -> Result<(i32, u32, Arc<Canceller>)> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::new(SqlState::CANNOT_CONNECT_NOW, "the database system is shutting down").fatal());
        }
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.options.max_connections {
            return Err(Error::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already").fatal());
        }
        let pid = self.free_pid(&sessions);
        let secret = self.env.random.u64() as u32;
        let canceller = Arc::new(Canceller::default());
        let activity = Arc::clone(activity);
        sessions.insert(pid, Registered { secret, canceller: Arc::clone(&canceller), activity });
        Ok((pid, secret, canceller))
    }

    fn free_pid(&self, sessions: &BTreeMap<i32, Registered>) -> i32 {
        loop {
            let pid = self.next_pid.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if pid != 0 && !sessions.contains_key(&pid) {
                return pid;
            }
        }
    }

    pub(crate) fn unregister(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    /// CancelRequest; a wrong key is ignored.
    pub fn cancel(&self, pid: i32, secret: u32) {
        if let Some(s) = self.sessions.lock().get(&pid).filter(|s| s.secret == secret) {
            s.canceller.cancel();
        }
    }

    /// How many sessions are connected.
    pub fn session_count(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Is a database used by another session than `pid`?
    pub(crate) fn database_in_use(&self, database: Oid, pid: i32) -> bool {
        self.sessions.lock().iter().any(|(p, s)| *p != pid && s.activity.database.oid == database)
    }

    /// Refuses new sessions and ends the present ones (57P01).
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        for s in self.sessions.lock().values() {
            s.canceller.terminate();
        }
    }
}

impl Backends for Server {
    fn list(&self) -> Vec<Backend> {
        let locks: HashMap<TxnId, &'static str> =
            self.txns.lock_waits().into_iter().map(|w| (w.txn, w.event)).collect();
        let advisory = self.advisory.waits();
        let sessions = self.sessions.lock();
        let one = |(pid, session): (&i32, &Registered)| {
            let activity = &session.activity;
            let lock = locks.get(&activity.transaction()).copied();
            let is_advisory = advisory.iter().any(|(wait, _)| wait.pid == *pid);
            activity.backend(*pid, lock.or(is_advisory.then_some("advisory")))
        };
        sessions.iter().map(one).collect()
    }

    fn signal(&self, pid: i32, signal: Signal) -> bool {
        let sessions = self.sessions.lock();
        let Some(session) = sessions.get(&pid) else { return false };
        match signal {
            Signal::Cancel => session.canceller.cancel(),
            Signal::Terminate => session.canceller.terminate(),
        }
        true
    }

    fn has(&self, pid: i32) -> bool {
        self.sessions.lock().contains_key(&pid)
    }

    fn blocking(&self, pid: i32) -> Vec<i32> {
        let (locks, advisory) = (self.txns.lock_waits(), self.advisory.waits());
        let sessions = self.sessions.lock();
        let Some(waiter) = sessions.get(&pid).map(|session| session.activity.transaction()) else { return Vec::new() };
        let session_of =
            |txn: &TxnId| sessions.iter().find(|(_, s)| s.activity.transaction() == *txn).map(|(pid, _)| *pid);
        let txns = locks.iter().filter(|wait| wait.txn == waiter).flat_map(|wait| &wait.blockers);
        let holders = advisory.iter().filter(|(wait, _)| wait.pid == pid).flat_map(|(_, pids)| pids);
        let mut pids: Vec<i32> = txns.filter_map(session_of).chain(holders.copied()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}
