//! The transaction manager: owns visible_index, the catalog list, the lock table, counters, maintenance.

use crate::{Isolation, Transaction};
use heddle_catalog::CatalogSnapshot;
use heddle_engines::RowChange;
use heddle_env::Env;
use heddle_log::LogConfig;
use heddle_relational::RelationalConfig;
use heddle_types::{LogIndex, Oid, Result, StorageId};
use std::sync::Arc;

/// Bounds and sizes.
#[derive(Clone, Debug)]
pub struct TxnConfig {
    /// The log.
    pub log: LogConfig,
    /// The row engine.
    pub relational: RelationalConfig,
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
    /// Its changes, in order.
    pub changes: Arc<[RowChange]>,
}

/// One per data folder.
pub struct TxnManager {
    _todo: (),
}

impl TxnManager {
    /// Opens engines and log, replays, bootstraps an empty folder, starts apply and maintenance threads.
    pub fn open(_env: Env, _config: TxnConfig) -> Result<Arc<Self>> { todo!() }
    /// Starts a transaction. Cheap: nothing is drawn or logged until it writes.
    pub fn begin(self: &Arc<Self>, _isolation: Isolation, _read_only: bool) -> Arc<Transaction> { todo!() }
    /// The newest visible catalog.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> { todo!() }
    /// The newest visible index.
    pub fn visible(&self) -> LogIndex { todo!() }
    /// The next value of a counter; may commit a block (durable before its first value is used).
    pub async fn draw(&self, _counter: Counter) -> Result<u64> { todo!() }
    /// A new OID.
    pub async fn draw_oid(&self) -> Result<Oid> { Ok(Oid(u32::try_from(self.draw(Counter::Oid).await?).expect("OIDs are 32 bits"))) }
    /// A new storage id.
    pub async fn draw_storage(&self) -> Result<StorageId> { Ok(StorageId(self.draw(Counter::Storage).await?)) }
    /// `n` consecutive values, the first is returned.
    pub async fn draw_many(&self, _counter: Counter, _n: u64) -> Result<u64> { todo!() }
    /// Flushes every engine up to now, writes a Checkpoint record and purges the log.
    pub async fn checkpoint(&self) -> Result<()> { todo!() }
    /// Every committed write set from now on; a receiver that lags loses its place and is told so.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<CommitEvent> { todo!() }
    /// Stops threads after everything queued is durable and applied.
    pub fn shutdown(&self) { todo!() }
}
