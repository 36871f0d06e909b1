//! Who waits for a lock and for whom, in PostgreSQL's words: behind pg_stat_activity and pg_blocking_pids.
//!
//! It is read from the list of waits and from the queues when somebody asks; who waits does nothing for it.

use crate::lock::LockKey;
use crate::lock_table::{Blocker, LockTable};
use heddle_types::TxnId;

/// A transaction that waits for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// Who waits
    pub txn: TxnId,
    /// wait_event
    pub event: &'static str,
    /// Whom it waits for, ascending; never empty
    pub blockers: Vec<TxnId>,
}

impl LockTable {
    /// Who waits now, in no order.
    pub(crate) fn waiting(&self) -> Vec<LockWait> {
        // The list's mutex is free again before the queues are read, which may be long.
        let waits = self.waits.lock().list();
        let wait = |(txn, key, ticket): (TxnId, LockKey, u64)| LockWait::of(txn, &key, self.blockers(&key, ticket));
        waits.into_iter().filter_map(wait).collect()
    }
}

impl LockWait {
    /// None when nobody is in the way any more.
    fn of(txn: TxnId, key: &LockKey, blockers: Vec<Blocker>) -> Option<Self> {
        // In PostgreSQL the first in a row's queue waits for the transaction that has the row, the others wait for the first: a lock
        // on the tuple is their queue. For keys and names there is none, everybody waits for the transaction.
        let behind = matches!(key, LockKey::Row(..)) && blockers.iter().any(|b| b.ahead.is_some());
        let event = match key {
            LockKey::Relation(_) => "relation",
            LockKey::Row(..) if behind => "tuple",
            LockKey::Row(..) | LockKey::Unique(..) | LockKey::Name(..) => "transactionid",
        };
        let shown = |b: &Blocker| matches!(key, LockKey::Relation(_)) || b.ahead.is_some() == behind;
        let mut blockers: Vec<TxnId> = blockers.into_iter().filter(shown).map(|b| b.txn).collect();
        blockers.sort_unstable();
        blockers.dedup();
        (!blockers.is_empty()).then_some(Self { txn, event, blockers })
    }
}
