//! A log record.

use bytes::Bytes;
use heddle_types::{LogIndex, Term};

/// What a record is. An unknown kind on disk is refused, never skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A piece of a write set. No effect before its Commit.
    Part = 1,
    /// Makes a write set take effect.
    Commit = 2,
    /// Gives up an open write set.
    Abort = 3,
    /// A recovery point was written.
    Checkpoint = 4,
    /// First record of a log and of every start: names the node set; aborts all open write sets.
    Membership = 5,
    /// Reserved for Raft.
    Vote = 6,
    /// Reserved for Raft.
    TruncateAfter = 7,
    /// Everything below is gone.
    PurgeUpto = 8,
}

/// A durable record as the sink gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place.
    pub index: LogIndex,
    /// Term in which it was proposed.
    pub term: Term,
    /// Consensus group; 0 until there are shards.
    pub group: u32,
    /// What it is.
    pub kind: Kind,
    /// Contents, at most 1 MiB + overhead for Parts.
    pub payload: Bytes,
}
