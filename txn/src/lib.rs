//! Transactions: snapshots, private write sets, locks, the commit sequencer, the apply loop, the commit feed.
//!
//! Called by `planner` (reads, writes, locks) and `session` (begin, savepoints, commit). Calls the log through
//! `Proposer`, the engines through their contract, and publishes catalogs.
//!
//!   put/delete -> write set -> COMMIT: Parts + Commit proposed (the log assigns the index) -> durable -> apply (log order)
//!     -> catalog published, visible_index moves -> commit feed -> acknowledged, locks released
//!
//! Invariants
//! 1. The commit timestamp is the log index: there is no second order.
//! 2. visible_index never passes the oldest record that is not applied yet.
//! 3. Locks are released only after visible_index has reached the commit, so who gets the lock sees the newest row.
//! 4. A snapshot is (Arc of parts, S, catalog) and is made only here.

mod apply;
mod lock;
mod manager;
mod transaction;
mod write_set;

pub use lock::{Locked, RelationLock, RowLock, Wait};
pub use manager::{CommitEvent, Counter, TxnConfig, TxnManager};
pub use transaction::{Isolation, ReadView, Savepoint, Transaction};
