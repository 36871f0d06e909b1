//! A log record as the rest of the system sees it.

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

impl Kind {
    /// The kind with this number on disk.
    pub fn from_byte(b: u8) -> Option<Self> {
        Some(match b {
            1 => Self::Part,
            2 => Self::Commit,
            3 => Self::Abort,
            4 => Self::Checkpoint,
            5 => Self::Membership,
            6 => Self::Vote,
            7 => Self::TruncateAfter,
            8 => Self::PurgeUpto,
            _ => return None,
        })
    }
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

/// The group of a single node.
pub(crate) const GROUP: u32 = 0;
/// The term of a single node.
pub(crate) const TERM: Term = Term(1);
/// The payload of the Membership record: one node (u32), node 1 (u64), little endian.
pub(crate) const SELF_ALONE: &[u8] = &[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
