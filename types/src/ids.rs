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

impl Oid {
    /// Objects below this belong to the system.
    pub const FIRST_USER: Oid = Oid(16384);
}
