//! The log: WAL, later Raft log, change feed and point-in-time source in one. One writer thread, segments of fixed size,
//! a checksum and a chain over every record. Commit order is log order.
//!
//! Called by `txn` (append, wait) and by its apply loop (the sink). Byte tables and the crash argument: docs/formats/log.md.
//!
//!   append (assigns the index, queues) -> batch written -> fdatasync -> `durable` moves -> sink gets the batch in order
//!
//! Invariants
//! 1. Batch n+1 is written only after n's fsync: whatever is readable after a crash is a prefix of whole batches.
//! 2. A record is given to the sink only when durable, in index order, exactly once per open.
//! 3. Any write or fsync error other than ENOSPC while reserving a new segment ends the process.
//! 4. A record that got an index has its place: room is claimed in `append`, so a full disk is refused before, never after.
//!
//! Where to read next: [`queue`](self) assigns indexes and places, `writer` writes batches, `segment` owns the folder,
//! `recover` reads it back, `frame` is the byte layout of a record.

mod error;
mod frame;
mod queue;
mod record;
mod recover;
mod segment;
mod writer;

pub use record::{Kind, Record};

use bytes::Bytes;
use error::{poisoned, terminating};
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, SqlState};
use parking_lot::Mutex;
use queue::Shared;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// How the log is laid out.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Folder of the segment files.
    pub dir: PathBuf,
    /// Size of a segment file in bytes (preallocated), a multiple of 4096, at least 8192. Existing segments keep theirs.
    pub segment_bytes: u64,
    /// Most bytes one batch may hold before it is written.
    pub batch_bytes_max: usize,
    /// Most bytes that may be queued before appenders wait.
    pub queue_bytes_max: usize,
}

impl LogConfig {
    /// The usual sizes: segments of 64 MiB, batches up to 4 MiB, 32 MiB queued.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), segment_bytes: 64 << 20, batch_bytes_max: 4 << 20, queue_bytes_max: 32 << 20 }
    }

    fn check(&self) -> Result<()> {
        if self.segment_bytes < 2 * segment::HEADER_BYTES
            || !self.segment_bytes.is_multiple_of(segment::HEADER_BYTES)
            || self.segment_bytes > u64::from(u32::MAX)
        {
            let message = format!("invalid log segment size: {} bytes", self.segment_bytes);
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .detail("The size must be a multiple of 4096, at least 8192 and below 4 GiB."));
        }
        Ok(())
    }
}

/// Gets every durable record once, in index order, on the log's own thread: first those replayed at open, then each batch after
/// its fsync. It may block (back-pressure), but must not append: the thread that would make room is the one it runs on. A panic
/// in it ends the process.
pub type Sink = Box<dyn FnMut(Vec<Record>) + Send>;

/// Ends the process, saying why ([`heddle_env::fail_stop`]). Tests pass one that notes the reason and returns; the log then is
/// as good as gone: every append fails, nothing more is written or given to the sink.
pub type FailStop = Arc<dyn Fn(&str) + Send + Sync>;

/// Where committed work is proposed. The single-node log implements it; Raft will.
pub trait Proposer: Send + Sync {
    /// Queues a record and returns its index. Indexes are dense. Blocks only while the queue is over its bound.
    ///
    /// # Errors
    /// `53100` when the disk is full and no segment can be reserved; `57P01` when the log is shutting down; `54000` when the
    /// record is larger than a segment.
    fn append(&self, kind: Kind, payload: Bytes) -> Result<LogIndex>;

    /// Queues several records as one run with consecutive indexes (nothing in between), returns the first index.
    ///
    /// All are queued or none. An empty run queues nothing and returns the next index.
    ///
    /// # Errors
    /// As [`Proposer::append`].
    fn append_all(&self, records: Vec<(Kind, Bytes)>) -> Result<LogIndex>;
}

/// The log of one node.
pub struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Log {
    /// Opens or creates the log, replays every intact record from `from` on into `sink`, then starts the writer thread, which
    /// makes a Membership record durable first. When the disk is full that record goes before the first one that fits.
    ///
    /// `from` 0 means whatever is still there.
    ///
    /// # Errors
    /// `XX001` when a bad record has a valid record of a later batch behind it (says file and offset), or when the log does
    /// not reach from `from` on; a torn tail is cut with a WARN. `0A000` for a newer format. `53100` and `58030` on I/O errors.
    pub fn open(env: Env, config: LogConfig, from: LogIndex, sink: Sink) -> Result<Arc<Log>> {
        Self::open_with(env, config, from, sink, Arc::new(|what| heddle_env::fail_stop(what)))
    }

    /// [`Log::open`] with another way to end the process, for tests.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub fn open_with(env: Env, config: LogConfig, from: LogIndex, sink: Sink, fail_stop: FailStop) -> Result<Arc<Log>> {
        config.check()?;
        let shared = Arc::new(Shared::new(&env, &config, fail_stop));
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("heddle-log".to_owned())
            .spawn(move || writer::thread_main(&for_thread, from, sink, &opened))
            .map_err(|e| Error::new(SqlState::OUT_OF_MEMORY, format!("could not start the log thread: {e}")))?;
        let log = Arc::new(Log { shared, thread: Mutex::new(Some(thread)) });
        is_open.recv().map_err(|_| poisoned())??;
        log.append_membership()?;
        Ok(log)
    }

    /// Highest index known durable.
    pub fn durable(&self) -> LogIndex {
        LogIndex(self.shared.state.lock().durable)
    }

    /// Waits until `index` is durable.
    ///
    /// # Errors
    /// `57P01` when the log stopped before.
    pub fn wait_durable(&self, index: LogIndex) -> Result<()> {
        self.shared.wait_durable(index)
    }

    /// Index the next record will get.
    pub fn next_index(&self) -> LogIndex {
        LogIndex(self.shared.state.lock().next_index)
    }

    /// First index still in the log (1 when never purged).
    pub fn first_index(&self) -> LogIndex {
        LogIndex(self.shared.folder.lock().first_index())
    }

    /// Forgets records below `index` by whole segments; their files are recycled. The segment being written stays, and what is
    /// not durable stays.
    ///
    /// # Errors
    /// `58030` when a file could not be moved away; the process ends then.
    pub fn purge_below(&self, index: LogIndex) -> Result<()> {
        self.shared.purge_below(index)
    }

    /// Bytes of log files on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.shared.folder.lock().disk_bytes()
    }

    /// Writes and syncs what is queued, hands it to the sink, stops the thread.
    pub fn shutdown(&self) {
        self.shared.close();
        let thread = self.thread.lock().take();
        if let Some(t) = thread.filter(|t| t.thread().id() != std::thread::current().id()) {
            // A panic on the thread was caught there and has ended the process, or was noted by the test's FailStop.
            let _ = t.join();
        }
    }

    /// The first record of every start: it aborts, for every reader, the write sets that were open.
    fn append_membership(&self) -> Result<()> {
        match self.shared.enqueue(std::iter::empty(), std::iter::empty()) {
            Ok(next) => self.shared.wait_durable(LogIndex(next.0 - 1)),
            Err(e) if e.code() == SqlState::DISK_FULL => {
                tracing::warn!(error = %e, "the log is open for reading; writes fail until there is room");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Proposer for Log {
    fn append(&self, kind: Kind, payload: Bytes) -> Result<LogIndex> {
        self.shared.enqueue(std::iter::once(payload.len()), std::iter::once((kind, payload)))
    }

    fn append_all(&self, records: Vec<(Kind, Bytes)>) -> Result<LogIndex> {
        if records.is_empty() {
            return Ok(self.next_index());
        }
        let sizes: Vec<usize> = records.iter().map(|(_, payload)| payload.len()).collect();
        self.shared.enqueue(sizes.iter().copied(), records.into_iter())
    }
}

impl Shared {
    fn wait_durable(&self, index: LogIndex) -> Result<()> {
        let mut state = self.state.lock();
        while state.durable < index.0 {
            if state.status == queue::Status::Stopped {
                return Err(terminating());
            }
            self.progress.wait(&mut state);
        }
        Ok(())
    }
}
