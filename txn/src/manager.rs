//! The transaction manager: owns the log, the applied state, the lock table, counters and the maintenance thread.
//!
//! `server` opens it, `session` begins transactions, `planner` draws identifiers.
//!
//!   open: engine -> apply and maintenance threads -> log replays into them -> catalog loaded -> bootstrap when it is empty
//!   shutdown: maintenance told to stop -> log (everything queued is durable) -> apply (everything durable is visible)

use crate::apply::{self, Applied, ApplyThread};
use crate::counter::Counters;
use crate::engines::Engines;
use crate::in_flight::InFlight;
use crate::lock::LockKey;
use crate::lock_table::{LockOwner, LockTable};
use crate::maintenance::{self, Maintenance, stopping};
use crate::moved::MovedKeys;
use crate::payload::{PartBody, PartBuilder, damaged, propose_run};
use crate::sequence::Sequences;
use crate::snapshot::{self, Snapshot};
use crate::{Isolation, LockWait, RelationLock, Transaction};
use heddle_catalog::{CatalogEdit, CatalogSnapshot};
use heddle_engines::{RowChange, RowGlance};
use heddle_env::Env;
use heddle_log::{Log, LogConfig};
use heddle_relational::RelationalConfig;
use heddle_timeseries::TimeseriesConfig;
use heddle_types::{LogIndex, Oid, Result, StorageId, TxnId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Bounds and sizes.
#[derive(Clone, Debug)]
pub struct TxnConfig {
    /// The log.
    pub log: LogConfig,
    /// The row engine.
    pub relational: RelationalConfig,
    /// The time-series engine.
    pub timeseries: TimeseriesConfig,
    /// A write set streams Parts once it passes this many bytes.
    pub stream_after_bytes: usize,
    /// A write set above this many bytes is `54000`.
    pub write_set_bytes_max: usize,
    /// Writers wait while more unmerged memtable bytes than this exist.
    pub unmerged_bytes_max: usize,
}

/// A counter drawn through the log in blocks; values are unique for ever, gaps are fine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Object identifiers.
    Oid,
    /// Storage identifiers.
    Storage,
    /// Hidden row ids of one table.
    RowId(Oid),
}

/// What the commit feed carries: one committed write set.
#[derive(Clone, Debug)]
pub struct CommitEvent {
    /// Its index.
    pub index: LogIndex,
    /// Its changes, in order. A key may come more than once; the last one counts.
    pub changes: Arc<[RowChange]>,
}

/// One per data folder.
pub struct TxnManager {
    pub(crate) config: TxnConfig,
    pub(crate) applied: Arc<Applied>,
    pub(crate) log: Arc<Log>,
    pub(crate) moved: MovedKeys,
    pub(crate) in_flight: Arc<InFlight>,
    locks: Arc<LockTable>,
    counters: Counters,
    pub(crate) sequences: Sequences,
    next_txn: AtomicU64,
    threads: Mutex<Option<(ApplyThread, JoinHandle<()>)>>,
}

impl TxnManager {
    /// Opens engines and log, replays, bootstraps an empty folder, starts apply and maintenance threads.
    ///
    /// # Errors
    /// `XX001` when log or base are damaged or do not fit together, `53100` and `58030` from the disk.
    pub fn open(env: Env, config: TxnConfig) -> Result<Arc<Self>> {
        let engines = Engines {
            rows: heddle_relational::open(env.clone(), config.relational.clone())?,
            points: heddle_timeseries::open(env.clone(), config.timeseries.clone())?,
        };
        let applied = Applied::new(engines, Maintenance::new(config.unmerged_bytes_max));
        let (sink, apply_thread) = apply::spawn(Arc::clone(&applied))?;
        let maintenance_thread = maintenance::spawn(Arc::clone(&applied), Arc::clone(&env.clock))?;
        let threads = (apply_thread, maintenance_thread);
        // From the log's beginning, not from the flushed index: a write set that commits above it may begin below it.
        let log = match Log::open(env, config.log.clone(), LogIndex(0), sink) {
            Ok(log) => log,
            Err(error) => {
                stop_threads(&applied, threads);
                return Err(error);
            }
        };
        applied.maintenance.set_log(Arc::clone(&log));
        let manager = Arc::new(Self {
            config,
            applied,
            log,
            moved: MovedKeys::default(),
            in_flight: Arc::default(),
            locks: Arc::new(LockTable::new()),
            counters: Counters::default(),
            sequences: Sequences::default(),
            next_txn: AtomicU64::new(1),
            threads: Mutex::new(Some(threads)),
        });
        manager.finish_replay()?;
        manager.bootstrap()?;
        Ok(manager)
    }

    /// Starts a transaction. Cheap: nothing is drawn or logged until it writes.
    pub fn begin(self: &Arc<Self>, isolation: Isolation, read_only: bool) -> Arc<Transaction> {
        let id = TxnId(self.next_txn.fetch_add(1, Ordering::Relaxed));
        let owner = LockOwner::new(id, Arc::clone(&self.locks));
        Arc::new(Transaction::new(Arc::clone(self), owner, isolation, read_only))
    }

    /// Calls `read` with a view of now without a transaction, for a statement that was bound against `catalog`, reads rows of one
    /// relation and ends at once. None when that catalog is no longer the newest, or when somebody holds or awaits ACCESS
    /// EXCLUSIVE on the relation, which such a statement would have to wait for. A lock of its own it needs not: it would be
    /// gone before anybody could run into it.
    pub fn glance<T>(
        &self,
        relation: Oid,
        catalog: &Arc<CatalogSnapshot>,
        read: impl FnOnce(&dyn RowGlance) -> T,
    ) -> Option<T> {
        // Looked at before the view is taken: a commit is visible before its relation locks go.
        if self.locks.is_contested(&LockKey::Relation(relation), RelationLock::AccessShare.into()) {
            return None;
        }
        let (mut read, mut answer) = (Some(read), None);
        self.applied.engines.rows.glance(&|| self.applied.visible.get(), &mut |view| {
            if self.applied.catalogs.holds(catalog, view.index()) {
                answer = read.take().map(|read| read(view));
            }
        });
        answer
    }

    /// Who waits for a lock now.
    pub fn lock_waits(&self) -> Vec<LockWait> {
        self.locks.waiting()
    }

    /// Is this the newest visible catalog?
    pub fn is_newest(&self, catalog: &Arc<CatalogSnapshot>) -> bool {
        self.applied.catalogs.holds(catalog, self.applied.visible.get())
    }

    /// The newest visible catalog.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> {
        snapshot::catalog(&self.applied.catalogs, &self.applied.visible)
    }

    /// The newest visible index.
    pub fn visible(&self) -> LogIndex {
        self.applied.visible.get()
    }

    /// The next value of a counter; may commit a block (durable before its first value is used).
    ///
    /// # Errors
    /// `54000` when the counter is used up, `53100` on a full disk.
    pub async fn draw(&self, counter: Counter) -> Result<u64> {
        self.draw_many(counter, 1).await
    }

    /// A new OID.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub async fn draw_oid(&self) -> Result<Oid> {
        Ok(Oid(u32::try_from(self.draw(Counter::Oid).await?).expect("OIDs are 32 bits")))
    }

    /// A new storage id.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub async fn draw_storage(&self) -> Result<StorageId> {
        Ok(StorageId(self.draw(Counter::Storage).await?))
    }

    /// `n` consecutive values, the first is returned.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub async fn draw_many(&self, counter: Counter, n: u64) -> Result<u64> {
        let cell = self.counters.cell(counter);
        loop {
            if let Some(first) = cell.take(n) {
                return Ok(first);
            }
            let _one_at_a_time = cell.refill.lock().await;
            // Somebody may have filled it while we waited.
            if let Some(first) = cell.take(n) {
                return Ok(first);
            }
            let (block, change) = cell.plan(counter, n, &self.snapshot().reader)?;
            let index = self.propose(&[change])?;
            if !self.applied.visible.wait(index).await {
                return Err(stopping());
            }
            cell.fill(&block);
        }
    }

    /// Flushes every engine up to now, writes a Checkpoint record and purges the log.
    ///
    /// # Errors
    /// `53100` on a full disk, `57P01` while shutting down.
    pub async fn checkpoint(&self) -> Result<()> {
        self.applied.maintenance.checkpoint().await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Every committed write set from now on; a receiver that lags loses its place and is told so.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<CommitEvent> {
        self.applied.feed.subscribe()
    }

    /// Checks every checksum of the engines' bases.
    ///
    /// # Errors
    /// `XX001` naming what is broken.
    pub fn verify(&self) -> Result<()> {
        self.applied.engines.verify()
    }

    /// Stops threads after everything queued is durable and applied.
    pub fn shutdown(&self) {
        let Some(threads) = self.threads.lock().take() else { return };
        self.log.shutdown();
        stop_threads(&self.applied, threads);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        snapshot::take(&self.applied.engines, &self.applied.catalogs, &self.applied.visible)
    }

    /// Proposes a small write set of its own; its index.
    pub(crate) fn propose(&self, changes: &[RowChange]) -> Result<LogIndex> {
        let mut builder = PartBuilder::new(0);
        changes.iter().for_each(|change| builder.push(change));
        self.propose_run(builder.finish(), Vec::new())
    }

    /// Proposes a whole write set as one run of records; the index of its Commit.
    pub(crate) fn propose_run(&self, bodies: Vec<PartBody>, dead: Vec<std::ops::Range<u64>>) -> Result<LogIndex> {
        propose_run(&*self.log, bodies, dead)
    }

    /// Waits for the replay to be applied, checks that log and base fit, loads the catalog.
    fn finish_replay(&self) -> Result<()> {
        let last = LogIndex(self.log.next_index().0 - 1);
        let newest = self.applied.engines.newest_flushed_index();
        if last < newest {
            let detail = format!("The log ends at {last}, an engine's base is at {newest}.");
            return Err(damaged("the log ends before the base").detail(detail));
        }
        let (first, flushed) = (self.log.first_index(), self.applied.engines.flushed_index());
        if first > flushed.next() {
            let detail = format!("The log begins at {first}, an engine's base is at {flushed}.");
            return Err(damaged("log records between the base and the log are missing").detail(detail));
        }
        if !self.applied.visible.wait_blocking(last) {
            return Err(self.applied.failure().unwrap_or_else(stopping));
        }
        self.applied.go_live(|| heddle_catalog::load(&self.snapshot().reader))
    }

    /// An empty folder becomes a usable one.
    fn bootstrap(&self) -> Result<()> {
        if !self.catalog().databases().is_empty() {
            return Ok(());
        }
        let changes: Vec<RowChange> = heddle_catalog::bootstrap().iter().map(CatalogEdit::to_change).collect();
        let index = self.propose(&changes)?;
        if self.applied.visible.wait_blocking(index) { Ok(()) } else { Err(stopping()) }
    }
}

impl Drop for TxnManager {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn stop_threads(applied: &Applied, (apply, maintenance): (ApplyThread, JoinHandle<()>)) {
    // First: replay may be held back by what maintenance does.
    apply.stop();
    applied.maintenance.stop();
    // Its panics have ended the process already.
    let _ = maintenance.join();
}
