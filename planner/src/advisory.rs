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

impl AdvisoryHold {
    fn keeps_out(&self, pid: i32, shared: bool) -> bool {
        self.pid != pid && !(self.shared && shared)
    }
}

/// A lock one session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdvisoryWait {
    /// Of which database
    pub database: Oid,
    /// What is locked
    pub key: AdvisoryKey,
    /// The session
    pub pid: i32,
    /// ShareLock, or ExclusiveLock
    pub shared: bool,
    /// Since when, microseconds since 1970
    pub since_us: i64,
}

/// Every advisory lock of a server, and who waits for one: for others to see, there is no queue.
#[derive(Debug, Default)]
pub struct AdvisoryLocks(Mutex<Table>);

type Holds = HashMap<(Oid, AdvisoryKey), Vec<AdvisoryHold>>;

#[derive(Debug, Default)]
struct Table {
    held: Holds,
    waits: Vec<AdvisoryWait>,
}

/// A wait that others see until this is dropped.
#[derive(Debug)]
#[must_use = "without it the wait is over"]
pub struct Noted<'a> {
    locks: &'a AdvisoryLocks,
    wait: AdvisoryWait,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        let mut all = self.locks.0.lock();
        if let Some(at) = all.waits.iter().position(|wait| *wait == self.wait) {
            all.waits.swap_remove(at);
        }
    }
}

impl AdvisoryLocks {
    /// Takes the lock unless another session's hold conflicts.
    pub fn try_lock(&self, database: Oid, key: AdvisoryKey, pid: i32, shared: bool, transaction: bool) -> bool {
        let mut all = self.0.lock();
        let holds = all.held.entry((database, key)).or_default();
        if holds.iter().any(|h| h.keeps_out(pid, shared)) {
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
        let Some(holds) = all.held.get_mut(&(database, key)) else { return false };
        let mine = holds.iter_mut().find(|h| h.pid == pid && h.shared == shared && h.session > 0);
        let held = mine.map(|h| h.session -= 1).is_some();
        sweep(&mut all.held);
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
        if all.held.is_empty() {
            return;
        }
        all.held.values_mut().flatten().filter(|h| h.pid == pid).for_each(give_back);
        sweep(&mut all.held);
    }

    /// What is held, for pg_locks.
    pub fn held(&self) -> Vec<(Oid, AdvisoryKey, AdvisoryHold)> {
        let all = self.0.lock();
        all.held.iter().flat_map(|((db, key), holds)| holds.iter().map(move |h| (*db, *key, *h))).collect()
    }

    /// Shows others that a session waits.
    pub fn note(&self, wait: AdvisoryWait) -> Noted<'_> {
        self.0.lock().waits.push(wait);
        Noted { locks: self, wait }
    }

    /// Who waits, and which sessions are in the way. Where none is any more, the wait is about to end and left out.
    pub fn waits(&self) -> Vec<(AdvisoryWait, Vec<i32>)> {
        let all = self.0.lock();
        let blocked = |wait: &AdvisoryWait| {
            let holds = all.held.get(&(wait.database, wait.key))?;
            let in_the_way = holds.iter().filter(|h| h.keeps_out(wait.pid, wait.shared));
            let pids: Vec<i32> = in_the_way.map(|h| h.pid).collect();
            (!pids.is_empty()).then_some((*wait, pids))
        };
        all.waits.iter().filter_map(blocked).collect()
    }
}

/// Drops holds that count nothing any more.
fn sweep(held: &mut Holds) {
    held.retain(|_, holds| {
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

    #[test]
    fn waits_are_seen_while_somebody_is_in_the_way() {
        let (locks, database, key) = (AdvisoryLocks::default(), Oid(5), AdvisoryKey::One(1));
        assert!(locks.try_lock(database, key, 1, true, false) && locks.try_lock(database, key, 2, true, false));
        let exclusive = AdvisoryWait { database, key, pid: 1, shared: false, since_us: 7 };
        let noted = locks.note(exclusive);
        let shared = locks.note(AdvisoryWait { database, key, pid: 3, shared: true, since_us: 8 });
        assert_eq!(locks.waits(), [(exclusive, vec![2])]);
        drop(shared);
        locks.end_session(2);
        assert!(locks.waits().is_empty(), "it may have the lock now");
        assert!(locks.try_lock(database, key, 4, true, false));
        assert_eq!(locks.waits().len(), 1);
        drop(noted);
        assert!(locks.waits().is_empty());
    }
}
