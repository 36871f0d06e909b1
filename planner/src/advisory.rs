//! Advisory locks: numbers that sessions lock by agreement, without any object behind them.
//!
//! One table per server, owned by the server, reached by the lock functions through [`crate::context::SessionInfo`]. A session holds a lock for
//! itself (until it unlocks or ends) or for its transaction; the same lock may be taken again, and counts. Waiting is asking again: there is
//! no queue and no search for deadlocks; cancel and `statement_timeout` end a wait.

use heddle_types::Oid;
use parking_lot::Mutex;
use std::collections::HashMap;

/// What is locked: a bigint, or two integers; the two kinds never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdvisoryKey {
    /// pg_advisory_lock(bigint)
    One(i64),
    /// pg_advisory_lock(integer, integer)
    Two(i32, i32),
}

/// A lock one session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisoryHold {
    /// The session
    pub pid: i32,
    /// ShareLock, or ExclusiveLock
    pub shared: bool,
    /// Times taken for the session
    session: u32,
    /// Times taken for its transaction
    transaction: u32,
}

/// Every advisory lock of a server.
#[derive(Debug, Default)]
pub struct AdvisoryLocks(Mutex<HashMap<(Oid, AdvisoryKey), Vec<AdvisoryHold>>>);

impl AdvisoryLocks {
    /// Takes the lock unless another session's hold conflicts.
    pub fn try_lock(&self, database: Oid, key: AdvisoryKey, pid: i32, shared: bool, transaction: bool) -> bool {
        let mut all = self.0.lock();
        let holds = all.entry((database, key)).or_default();
        if holds.iter().any(|h| h.pid != pid && !(h.shared && shared)) {
            return false;
        }
        let at = holds.iter().position(|h| h.pid == pid && h.shared == shared).unwrap_or_else(|| {
            holds.push(AdvisoryHold { pid, shared, session: 0, transaction: 0 });
            holds.len() - 1
        });
        let count = if transaction { &mut holds[at].transaction } else { &mut holds[at].session };
        *count = count.saturating_add(1);
        true
    }

    /// Gives a session's lock back once; false when it holds none.
    pub fn unlock(&self, database: Oid, key: AdvisoryKey, pid: i32, shared: bool) -> bool {
        let mut all = self.0.lock();
        let Some(holds) = all.get_mut(&(database, key)) else { return false };
        let mine = holds.iter_mut().find(|h| h.pid == pid && h.shared == shared && h.session > 0);
        let held = mine.map(|h| h.session -= 1).is_some();
        sweep(&mut all);
        held
    }

    /// The end of a transaction.
    pub fn end_transaction(&self, pid: i32) {
        self.end(pid, |h| h.transaction = 0);
    }

    /// pg_advisory_unlock_all, and DISCARD ALL.
    pub fn unlock_all(&self, pid: i32) {
        self.end(pid, |h| h.session = 0);
    }

    /// The end of a session.
    pub fn end_session(&self, pid: i32) {
        self.end(pid, |h| (h.session, h.transaction) = (0, 0));
    }

    fn end(&self, pid: i32, give_back: impl Fn(&mut AdvisoryHold)) {
        let mut all = self.0.lock();
        if all.is_empty() {
            return;
        }
        all.values_mut().flatten().filter(|h| h.pid == pid).for_each(give_back);
        sweep(&mut all);
    }

    /// What is held, for pg_locks.
    pub fn held(&self) -> Vec<(Oid, AdvisoryKey, AdvisoryHold)> {
        let all = self.0.lock();
        all.iter().flat_map(|((db, key), holds)| holds.iter().map(move |h| (*db, *key, *h))).collect()
    }
}

/// Drops holds that count nothing any more.
fn sweep(all: &mut HashMap<(Oid, AdvisoryKey), Vec<AdvisoryHold>>) {
    all.retain(|_, holds| {
        holds.retain(|h| h.session + h.transaction > 0);
        !holds.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_count_conflict_and_end() {
        let (locks, db, key) = (AdvisoryLocks::default(), Oid(5), AdvisoryKey::One(1));
        assert!(locks.try_lock(db, key, 1, false, false) && locks.try_lock(db, key, 1, false, true));
        assert!(!locks.try_lock(db, key, 2, true, false), "exclusive keeps others out");
        assert!(locks.try_lock(Oid(6), key, 2, false, false), "another database is another lock");
        assert!(locks.try_lock(db, AdvisoryKey::Two(0, 1), 2, false, false), "two integers are another lock");
        assert!(locks.unlock(db, key, 1, false) && !locks.unlock(db, key, 1, false));
        assert!(!locks.try_lock(db, key, 2, false, false), "the transaction's hold is left");
        locks.end_transaction(1);
        assert!(
            locks.try_lock(db, key, 2, true, false) && locks.try_lock(db, key, 3, true, false),
            "shared with shared"
        );
        locks.end_session(2);
        assert_eq!(locks.held().len(), 1);
    }
}
