//! Identifiers and positions. A position in the log is not a count and not a table; each has its own type.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// A place in the log. Indexes are dense and start at 1; 0 means "before everything".
    LogIndex(u64)
);
id!(
    /// A Raft term. A single node lives in term 1.
    Term(u64)
);
id!(
    /// What a table or index is stored under (PostgreSQL's relfilenode). Never reused; TRUNCATE draws a new one.
    StorageId(u64)
);
id!(
    /// A PostgreSQL object identifier. User objects are at or above 16384.
    Oid(u32)
);
id!(
    /// A transaction while it runs: names lock holders and answers `txid_current()`. Not durable, not an order.
    TxnId(u64)
);

impl LogIndex {
    /// The index after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl StorageId {
    /// Storages of the time-series engine have this bit: which engine a change belongs to is seen from its storage.
    const SERIES: u64 = 1 << 31;

    /// The time-series storage with this drawn number.
    ///
    /// # Panics
    /// When two thousand million storages have been drawn.
    pub fn series(drawn: StorageId) -> Self {
        assert!(drawn.0 < Self::SERIES, "storage ids are used up");
        Self(drawn.0 | Self::SERIES)
    }

    /// Does it belong to the time-series engine?
    pub fn is_series(self) -> bool {
        self.0 & Self::SERIES != 0
    }
}

impl Oid {
    /// Objects below this belong to the system.
    pub const FIRST_USER: Oid = Oid(16384);
}
