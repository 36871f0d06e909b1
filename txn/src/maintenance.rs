//! Maintenance: one thread that merges sealed memtables, purges the log, writes checkpoints, retries Aborts and compacts.
//!
//! Woken by apply (something was sealed), by writers that are held back, and by [`crate::TxnManager::checkpoint`].
//! The log is purged below min(flushed index of the engine, first Part of every write set that is open or whose Commit is
//! not flushed); a set whose first Part is not applied yet lies above visible_index and so above both.

use crate::apply::{Applied, guarded};
use crate::engines::Engines;
use crate::payload::{PartBuilder, encode_abort, encode_checkpoint, propose_run};
use crate::retention::Retention;
use bytes::Bytes;
use heddle_catalog::COUNTER_STORAGE;
use heddle_engines::RowChange;
use heddle_env::Clock;
use heddle_log::{Kind, Log, Proposer};
use heddle_types::{Error, LogIndex, Result, SqlState};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How long a writer that is held back sleeps at most before it looks again.
const HOLD_BACK_MAX: Duration = Duration::from_millis(100);
/// How often the thread looks by itself: for an Abort that could not be written, and for a log that grew without anything
/// being sealed (sets that streamed and rolled back).
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A log above this is merged and purged even if no memtable is full: it bounds the time of a recovery.
const LOG_BYTES_MAX: u64 = 1 << 30;

/// The key of no counter: deleting it changes nothing.
const NO_COUNTER: &[u8] = &[0];

type Answer = oneshot::Sender<Result<()>>;

#[derive(Default)]
struct Requests {
    wake: bool,
    stop: bool,
    checkpoints: Vec<Answer>,
    /// Open sets whose Abort record could not be appended (disk full).
    aborts: Vec<LogIndex>,
}

/// The door to the maintenance thread.
pub(crate) struct Maintenance {
    unmerged_bytes_max: usize,
    requests: Mutex<Requests>,
    wanted: Condvar,
    merged: Condvar,
    merged_tasks: Notify,
    log: OnceLock<Arc<Log>>,
}

impl Maintenance {
    pub(crate) fn new(unmerged_bytes_max: usize) -> Self {
        Self {
            unmerged_bytes_max,
            requests: Mutex::default(),
            wanted: Condvar::new(),
            merged: Condvar::new(),
            merged_tasks: Notify::new(),
            log: OnceLock::new(),
        }
    }

    /// From now on there is a log to purge.
    pub(crate) fn set_log(&self, log: Arc<Log>) {
        let _ = self.log.set(log);
    }

    /// There may be something to merge.
    pub(crate) fn wake(&self) {
        self.requests.lock().wake = true;
        self.wanted.notify_one();
    }

    /// Asks for a checkpoint.
    pub(crate) fn checkpoint(&self) -> oneshot::Receiver<Result<()>> {
        let (answer, receiver) = oneshot::channel();
        {
            let mut requests = self.requests.lock();
            if requests.stop {
                let _ = answer.send(Err(stopping()));
            } else {
                requests.checkpoints.push(answer);
            }
        }
        self.wanted.notify_one();
        receiver
    }

    /// Writes the Abort of an open set later.
    pub(crate) fn abort_later(&self, set: LogIndex) {
        self.requests.lock().aborts.push(set);
        self.wanted.notify_one();
    }

    /// Blocks the calling thread while too much is unmerged.
    pub(crate) fn hold_back(&self, engines: &Engines) {
        while engines.unmerged_bytes() > self.unmerged_bytes_max {
            self.wake();
            let mut requests = self.requests.lock();
            if requests.stop {
                return;
            }
            self.merged.wait_for(&mut requests, HOLD_BACK_MAX);
        }
    }

    /// Waits while too much is unmerged.
    pub(crate) async fn throttle(&self, engines: &Engines) -> Result<()> {
        while engines.unmerged_bytes() > self.unmerged_bytes_max {
            let merged = self.merged_tasks.notified();
            if self.requests.lock().stop {
                return Err(stopping());
            }
            self.wake();
            // On time-out we look again: the thread may have merged between the look and the wait.
            let _ = tokio::time::timeout(HOLD_BACK_MAX, merged).await;
        }
        Ok(())
    }

    /// Makes the thread end after what it does now.
    pub(crate) fn stop(&self) {
        let mut requests = self.requests.lock();
        requests.stop = true;
        for answer in requests.checkpoints.drain(..) {
            let _ = answer.send(Err(stopping()));
        }
        self.wanted.notify_one();
        self.merged.notify_all();
        self.merged_tasks.notify_waiters();
    }
}

/// Starts the thread.
pub(crate) fn spawn(applied: Arc<Applied>, clock: Arc<dyn Clock>) -> Result<JoinHandle<()>> {
    crate::spawn_thread("heddle-maintenance", move || guarded(|| run(&applied, Retention::new(clock))))
}

fn run(applied: &Applied, mut retention: Retention) {
    let me = &applied.maintenance;
    loop {
        let (checkpoints, aborts) = {
            let mut requests = me.requests.lock();
            while !(requests.wake || requests.stop || !requests.checkpoints.is_empty()) {
                if me.wanted.wait_for(&mut requests, LOOK_EVERY).timed_out()
                    && (!requests.aborts.is_empty() || log_is_large(me) || retention.is_due())
                {
                    break;
                }
            }
            if requests.stop {
                return;
            }
            requests.wake = false;
            (std::mem::take(&mut requests.checkpoints), std::mem::take(&mut requests.aborts))
        };
        aborts.into_iter().for_each(|set| retry_abort(me, set));
        if let Some(log) = me.log.get().filter(|_| log_is_large(me))
            && let Err(error) = step_past_aborted(applied, log)
        {
            tracing::warn!(%error, "the log is large and could not be shortened; it is tried again");
        }
        if let Some(log) = me.log.get().filter(|_| retention.is_due() || !checkpoints.is_empty())
            && let Err(error) = retention.run(applied, log)
        {
            tracing::warn!(%error, "expired partitions could not be dropped; it is tried again");
        }
        if applied.engines.unmerged_bytes() > me.unmerged_bytes_max || log_is_large(me) {
            // The memtable that is still being filled may be all there is.
            applied.seal();
        }
        merge(applied);
        if !checkpoints.is_empty() {
            let outcome = checkpoint(applied);
            for answer in checkpoints {
                let _ = answer.send(outcome.clone());
            }
        }
        // Nobody waits for it: what is asked for meanwhile comes between two shares.
        if applied.engines.compact() {
            me.wake();
        }
    }
}

fn log_is_large(me: &Maintenance) -> bool {
    me.log.get().is_some_and(|log| log.disk_bytes() > LOG_BYTES_MAX)
}

fn merge(applied: &Applied) {
    let visible = applied.visible.get();
    match applied.engines.merge(visible) {
        Ok(flushed) => purge(applied, flushed),
        Err(error) => heddle_env::fail_stop(&format!("a merge failed: {error}")),
    }
    applied.maintenance.merged.notify_all();
    applied.maintenance.merged_tasks.notify_waiters();
}

/// Only commits move the flushed index. Where nothing but aborted sets lies above it, commits a change without effect, so that the
/// log can let go of them. A full disk says so here; the log stays as it is then.
fn step_past_aborted(applied: &Applied, log: &Log) -> Result<()> {
    if applied.engines.unmerged_bytes() > 0 || applied.engines.flushed_index() >= applied.visible.get() {
        return Ok(());
    }
    let mut builder = PartBuilder::new(0);
    builder.push(&RowChange::Delete { storage: COUNTER_STORAGE, key: Bytes::from_static(NO_COUNTER) });
    let index = propose_run(log, builder.finish(), Vec::new())?;
    if applied.visible.wait_blocking(index) { Ok(()) } else { Err(stopping()) }
}

fn purge(applied: &Applied, flushed: LogIndex) {
    let Some(log) = applied.maintenance.log.get() else { return };
    let below = applied.needed_from(flushed).map_or(flushed.next(), |set| set.min(flushed.next()));
    if below > log.first_index()
        && let Err(error) = log.purge_below(below)
    {
        tracing::warn!(%error, below = below.0, "the log could not be purged; it is tried again after the next merge");
    }
}

/// Everything visible now goes into the bases, a Checkpoint record says so, and the log lets go of it.
fn checkpoint(applied: &Applied) -> Result<()> {
    let log = applied.maintenance.log.get().ok_or_else(stopping)?;
    step_past_aborted(applied, log)?;
    applied.seal();
    merge(applied);
    let flushed = applied.engines.flushed_index();
    let index = log.append(Kind::Checkpoint, encode_checkpoint(flushed))?;
    if !applied.visible.wait_blocking(index) {
        return Err(stopping());
    }
    purge(applied, flushed);
    tracing::info!(flushed = flushed.0, first = log.first_index().0, log_bytes = log.disk_bytes(), "checkpoint");
    Ok(())
}

fn retry_abort(me: &Maintenance, set: LogIndex) {
    let appended = me.log.get().map(|log| log.append(Kind::Abort, encode_abort(set)));
    if !matches!(appended, Some(Ok(_))) {
        me.requests.lock().aborts.push(set);
    }
}

pub(crate) fn stopping() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "the database system is shutting down")
}
