//! The lock table: relations in PostgreSQL's eight modes, rows in four, unique keys. Queues are fair, waits are futures,
//! deadlocks are found when a wait begins.

/// Relation lock modes with PostgreSQL's conflict table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
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
#[allow(missing_docs)]
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
