//! The log: WAL, later Raft log, change feed and point-in-time source in one. One writer thread, segments of fixed size,
//! a checksum and a chain over every record. Commit order is log order.
//!
//! Called by `txn` (append, wait) and by its apply loop (the sink). Byte tables and the crash argument: docs/formats/log.md.
//!
//!   append (assigns the index, queues) -> batch written -> fdatasync -> sink gets the batch in order -> `durable` moves
//!
//! Invariants
//! 1. Batch n+1 is written only after n's fsync: whatever is readable after a crash is a prefix.
//! 2. A record is given to the sink only when durable, in index order, exactly once per open.
//! 3. Any write or fsync error other than ENOSPC while reserving a new segment ends the process.

mod record;

pub use record::{Kind, Record};

use bytes::Bytes;
use heddle_env::Env;
use heddle_types::{LogIndex, Result};
use std::path::PathBuf;
use std::sync::Arc;

/// How the log is laid out.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Folder of the segment files.
    pub dir: PathBuf,
    /// Size of a segment file in bytes (preallocated).
    pub segment_bytes: u64,
    /// Most bytes one batch may hold before it is written.
    pub batch_bytes_max: usize,
    /// Most bytes that may be queued before appenders wait.
    pub queue_bytes_max: usize,
}

/// Gets every durable record once, in index order, on the log's own thread: first those replayed at open, then each batch after
/// its fsync. It may block (back-pressure). A panic in it ends the process.
pub type Sink = Box<dyn FnMut(Vec<Record>) + Send>;

/// Where committed work is proposed. The single-node log implements it; Raft will.
pub trait Proposer: Send + Sync {
    /// Queues a record and returns its index. Indexes are dense. Blocks only while the queue is over its bound.
    ///
    /// # Errors
    /// `53100` when the disk is full and no segment can be reserved; `57P01` when the log is shutting down.
    fn append(&self, kind: Kind, payload: Bytes) -> Result<LogIndex>;

    /// Queues several records as one run with consecutive indexes (nothing in between), returns the first index.
    fn append_all(&self, records: Vec<(Kind, Bytes)>) -> Result<LogIndex>;
}

/// The log of one node.
pub struct Log {
    _todo: (),
}

impl Log {
    /// Opens or creates the log, replays every intact record from `from` on into `sink`, then starts the writer thread.
    ///
    /// # Errors
    /// `XX001` when a bad record has a valid record of a later batch behind it (says file and offset); a torn tail is cut with a WARN. `58030` on I/O errors.
    pub fn open(_env: Env, _config: LogConfig, _from: LogIndex, _sink: Sink) -> Result<Arc<Log>> { todo!() }
    /// Highest index known durable.
    pub fn durable(&self) -> LogIndex { todo!() }
    /// Index the next record will get.
    pub fn next_index(&self) -> LogIndex { todo!() }
    /// First index still in the log (1 when never purged).
    pub fn first_index(&self) -> LogIndex { todo!() }
    /// Forgets records below `index` by whole segments; their files are recycled.
    pub fn purge_below(&self, _index: LogIndex) -> Result<()> { todo!() }
    /// Bytes of log files on disk.
    pub fn disk_bytes(&self) -> u64 { todo!() }
    /// Writes and syncs what is queued, hands it to the sink, stops the thread.
    pub fn shutdown(&self) { todo!() }
}

impl Proposer for Log {
    fn append(&self, _kind: Kind, _payload: Bytes) -> Result<LogIndex> { todo!() }
    fn append_all(&self, _records: Vec<(Kind, Bytes)>) -> Result<LogIndex> { todo!() }
}
