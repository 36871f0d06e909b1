//! The recent-key ring: where committed UPDATEs moved rows to, so that a waiter on the old key finds the row.
//!
//! Filled at commit, before the locks go, read by who got a lock after waiting. Bounded: a waiter that looks for
//! something older sees the row as deleted.

use bytes::Bytes;
use heddle_types::{LogIndex, Oid};
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Moves remembered.
const MOVES_MAX: usize = 4096;

struct Move {
    index: LogIndex,
    table: Oid,
    old: Bytes,
    new: Bytes,
}

/// The ring.
#[derive(Default)]
pub(crate) struct MovedKeys(Mutex<VecDeque<Move>>);

impl MovedKeys {
    pub(crate) fn note(&self, index: LogIndex, table: Oid, old: Bytes, new: Bytes) {
        let mut ring = self.0.lock();
        if ring.len() == MOVES_MAX {
            ring.pop_front();
        }
        ring.push_back(Move { index, table, old, new });
    }

    /// Follows the row of `old` through moves committed after `since`.
    pub(crate) fn follow(&self, table: Oid, old: &[u8], since: LogIndex) -> Option<Bytes> {
        let ring = self.0.lock();
        let mut at: Option<Bytes> = None;
        // Moves of one row are in order: the row's lock ordered their commits.
        for m in ring.iter().filter(|m| m.table == table && m.index > since) {
            if m.old == at.as_deref().unwrap_or(old) {
                at = Some(m.new.clone());
            }
        }
        at
    }
}
