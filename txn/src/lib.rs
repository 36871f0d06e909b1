//! Transactions: snapshots, private write sets, locks, the commit sequencer, the apply loop, the commit feed.
//!
//! Called by `planner` (reads, writes, locks) and `session` (begin, savepoints, commit). Calls the log through
//! `Proposer`, the engines through their contract, and publishes catalogs.
//!
//!   put/delete -> write set -> COMMIT: Parts + Commit proposed (the log assigns the index) -> durable -> apply (log order)
//!     -> catalog published, visible_index moves -> commit feed -> acknowledged
//!
//! Invariants
//! 1. The commit timestamp is the log index: there is no second order.
//! 2. visible_index never passes the oldest record that is not applied yet.
//! 3. Who gets a lock sees the newest version: relation locks and those of large sets go when the commit is visible, those of
//!    rows and unique keys when it is proposed, and its images lie ready for the next holder ([`in_flight`]).
//! 4. A snapshot is (Arc of parts, S, catalog) and is made only here.
//!
//! Where to read next: [`Transaction`] joins the parts; `write_set` and `overlay` are its private side, `apply`, `snapshot`
//! and `visible` the common one, `lock_table` who waits for whom, `waiting` what others see of that. Formats: docs/formats/write-set.md.

mod apply;
mod claim;
mod counter;
mod deadlock;
mod engines;
mod in_flight;
mod lock;
mod lock_table;
mod maintenance;
mod manager;
mod moved;
mod overlay;
mod payload;
mod retention;
mod sequence;
mod snapshot;
mod transaction;
mod visible;
mod waiting;
mod write_set;

pub use lock::{Locked, RelationLock, RowLock, Wait};
pub use manager::{CommitEvent, Counter, TxnConfig, TxnManager};
pub use overlay::ReadView;
pub use sequence::Position;
pub use transaction::{Isolation, Savepoint, Transaction};
pub use waiting::LockWait;

use heddle_types::{Error, Result, SqlState};
use std::thread::JoinHandle;

/// Starts a named thread.
fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|e| Error::new(SqlState::OUT_OF_MEMORY, format!("could not start thread {name}: {e}")))
}
