//! What can be locked and how: relations in PostgreSQL's eight modes, rows in four, unique keys and names exclusively.
//!
//! The conflict tables here are PostgreSQL's (lock.c, heapam.c). The table of held and awaited locks is in
//! [`crate::lock_table`].

use heddle_types::{Oid, TxnId};
use std::sync::Arc;

/// Relation lock modes with PostgreSQL's conflict table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are PostgreSQL's and say all there is")]
pub enum RelationLock {
    AccessShare = 1,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// Row lock modes with PostgreSQL's conflict table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are PostgreSQL's and say all there is")]
pub enum RowLock {
    KeyShare = 1,
    Share,
    NoKeyUpdate,
    Update,
}

/// What to do when the lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait in the queue (bounded by lock_timeout: `55P03`; deadlock: `40P01`).
    Block,
    /// `55P03` at once.
    NoWait,
    /// Answer [`Locked::Skipped`].
    Skip,
}

/// Outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// We hold it now (or held it before).
    Acquired {
        /// True when we had to wait: what we saw may have changed.
        waited: bool,
    },
    /// Somebody else holds it and [`Wait::Skip`] was asked for.
    Skipped,
}

/// A lockable thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LockKey {
    Relation(Oid),
    Row(Oid, Arc<[u8]>),
    Unique(Oid, Arc<[u8]>),
    Name(&'static str, Arc<[u8]>),
}

/// A lock mode of whatever kind, as its number: 1..=8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(u8);

/// A set of modes: bit `m - 1` for mode m.
pub(crate) type Modes = u8;

impl Mode {
    /// The only mode of unique keys and names.
    pub(crate) const EXCLUSIVE: Mode = Mode(1);

    pub(crate) fn bit(self) -> Modes {
        1 << (self.0 - 1)
    }
}

impl From<RelationLock> for Mode {
    fn from(mode: RelationLock) -> Self {
        Self(mode as u8)
    }
}

impl From<RowLock> for Mode {
    fn from(mode: RowLock) -> Self {
        Self(mode as u8)
    }
}

/// Which modes each relation mode conflicts with; lowest bit = AccessShare.
const RELATION_CONFLICTS: [Modes; 8] = [
    0b1000_0000, // AccessShare
    0b1100_0000, // RowShare
    0b1111_0000, // RowExclusive
    0b1111_1000, // ShareUpdateExclusive
    0b1110_1100, // Share
    0b1111_1100, // ShareRowExclusive
    0b1111_1110, // Exclusive
    0b1111_1111, // AccessExclusive
];

/// The same for rows; lowest bit = KeyShare.
const ROW_CONFLICTS: [Modes; 4] = [0b1000, 0b1100, 0b1110, 0b1111];

/// PostgreSQL's names of the relation modes.
const RELATION_NAMES: [&str; 8] = [
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
];

impl LockKey {
    /// The modes that `mode` conflicts with on this kind of thing.
    pub(crate) fn conflicts(&self, mode: Mode) -> Modes {
        let at = usize::from(mode.0 - 1);
        match self {
            Self::Relation(_) => RELATION_CONFLICTS[at],
            Self::Row(..) => ROW_CONFLICTS[at],
            Self::Unique(..) | Self::Name(..) => 1,
        }
    }

    /// Does holding `held` already keep out whatever `mode` keeps out? Then `mode` needs no lock of its own.
    pub(crate) fn covers(&self, held: Modes, mode: Mode) -> bool {
        let mut kept_out = 0;
        for m in 1..=8 {
            if held & Mode(m).bit() != 0 {
                kept_out |= self.conflicts(Mode(m));
            }
        }
        held != 0 && self.conflicts(mode) & !kept_out == 0
    }

    /// May it be released before the commit is visible ([`crate::in_flight`])?
    pub(crate) fn goes_early(&self) -> bool {
        matches!(self, Self::Row(..) | Self::Unique(..))
    }

    /// Is it a key of a unique index?
    pub(crate) fn is_unique(&self) -> bool {
        matches!(self, Self::Unique(..))
    }

    /// What a waiter waits for, in PostgreSQL's words: rows and keys are waited for through the transaction that holds them.
    pub(crate) fn describe(&self, mode: Mode, blocker: TxnId) -> String {
        match self {
            Self::Relation(oid) => format!("{} on relation {oid}", RELATION_NAMES[usize::from(mode.0 - 1)]),
            Self::Row(..) | Self::Unique(..) => format!("ShareLock on transaction {blocker}"),
            Self::Name(class, name) => format!("ExclusiveLock on {class} \"{}\"", String::from_utf8_lossy(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conflict_tables_are_symmetric() {
        for (key, modes) in [(LockKey::Relation(Oid(1)), 8), (LockKey::Row(Oid(1), Arc::from([])), 4)] {
            for a in 1..=modes {
                for b in 1..=modes {
                    let (a, b) = (Mode(a), Mode(b));
                    assert_eq!(key.conflicts(a) & b.bit() != 0, key.conflicts(b) & a.bit() != 0, "{key:?} {a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn covering_follows_the_conflict_table() {
        let relation = LockKey::Relation(Oid(1));
        let bit = |m: RelationLock| Mode::from(m).bit();
        assert!(relation.covers(bit(RelationLock::RowExclusive), RelationLock::AccessShare.into()));
        assert!(!relation.covers(bit(RelationLock::Share), RelationLock::RowExclusive.into()));
        assert!(!relation.covers(0, RelationLock::AccessShare.into()));
        assert!(LockKey::Row(Oid(1), Arc::from([])).covers(Mode::from(RowLock::Update).bit(), RowLock::Share.into()));
    }
}
