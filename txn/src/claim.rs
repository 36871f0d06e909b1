//! Unique keys claimed in bulk: a COPY of millions of rows has one set of hashes per index instead of millions of locks.
//!
//! A claim becomes an ordinary lock the moment somebody else asks for it ([`crate::lock_table`] finds it here when a key is not in
//! the table); from then on queues, time-outs and the search for deadlocks know it. All or nothing: keys are claimed when nobody
//! holds, awaits or claims any of them, otherwise the caller locks them one by one, in its own order, as everybody does.
//!
//! Two keys with one hash are taken for the same; then somebody waits, or locks one by one, for nothing.
//!
//! Invariants
//! 1. Keys are claimed first and then looked for in the lock table; who locks looks here while it holds the shard. So of two that
//!    want one key at the same moment at least one sees the other.
//! 2. Claims are given up before the locks made of them.

use crate::lock::LockKey;
use crate::lock_table::LockOwner;
use foldhash::quality::RandomState;
use heddle_types::{Oid, TxnId};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// All claims.
#[derive(Default)]
pub(crate) struct Claims {
    hasher: RandomState,
    /// Length of `sets`: nearly always 0, and then nobody takes the mutex.
    active: AtomicUsize,
    sets: Mutex<Vec<ClaimSet>>,
}

/// What one transaction claimed of one index since one savepoint.
struct ClaimSet {
    txn: TxnId,
    owner: Weak<LockOwner>,
    index: Oid,
    /// The newest savepoint then; 0 = none.
    mark: u32,
    hashes: HashSet<u64, BuildHasherDefault<Same>>,
    /// Claims that somebody asked for: locks now.
    made: Vec<LockKey>,
}

/// Hashes hash to themselves.
#[derive(Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        debug_assert!(false, "only numbers come here");
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

impl Claims {
    /// Claims keys of `index`, which are different from each other, for `owner`. False, and nothing was done, when anybody
    /// claims one of them already, `owner` included.
    pub(crate) fn add(&self, owner: &Arc<LockOwner>, index: Oid, mark: u32, keys: &[&[u8]]) -> bool {
        let hashes: Vec<u64> = keys.iter().map(|key| self.hash(key)).collect();
        let mut sets = self.sets.lock();
        let claimed = |hash: &u64| sets.iter().any(|set| set.index == index && set.hashes.contains(hash));
        if hashes.iter().any(claimed) {
            return false;
        }
        let mine = |set: &ClaimSet| set.txn == owner.txn && set.index == index && set.mark == mark;
        let at = sets.iter().position(mine).unwrap_or_else(|| {
            let (txn, owner) = (owner.txn, Arc::downgrade(owner));
            sets.push(ClaimSet { txn, owner, index, mark, hashes: HashSet::default(), made: Vec::new() });
            self.active.store(sets.len(), Ordering::SeqCst);
            sets.len() - 1
        });
        sets[at].hashes.extend(hashes);
        true
    }

    /// Gives up keys just claimed. The locks that were made of them are the caller's to release.
    pub(crate) fn remove(&self, txn: TxnId, index: Oid, mark: u32, keys: &[&[u8]]) -> Vec<LockKey> {
        let mut sets = self.sets.lock();
        let Some(set) = sets.iter_mut().find(|s| s.txn == txn && s.index == index && s.mark == mark) else {
            return Vec::new();
        };
        for key in keys {
            set.hashes.remove(&self.hash(key));
        }
        let given_up =
            |lock: &mut LockKey| matches!(&*lock, LockKey::Unique(_, key) if keys.binary_search(&&key[..]).is_ok());
        set.made.extract_if(.., given_up).collect()
    }

    /// Gives up what was claimed since a savepoint. The locks that were made of it are the caller's to release.
    pub(crate) fn remove_since(&self, txn: TxnId, mark: u32) -> Vec<LockKey> {
        if self.active.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        let mut sets = self.sets.lock();
        let gone: Vec<ClaimSet> = sets.extract_if(.., |set| set.txn == txn && set.mark >= mark).collect();
        self.active.store(sets.len(), Ordering::SeqCst);
        drop(sets);
        gone.into_iter().flat_map(|set| set.made).collect()
    }

    /// Savepoints from `mark` on are forgotten: what was claimed since belongs to the one before, `outer`.
    pub(crate) fn release_savepoint(&self, txn: TxnId, mark: u32, outer: u32) {
        if self.active.load(Ordering::SeqCst) == 0 {
            return;
        }
        let mut sets = self.sets.lock();
        sets.iter_mut().filter(|set| set.txn == txn && set.mark >= mark).for_each(|set| set.mark = outer);
    }

    /// Who else claims `key`.
    pub(crate) fn holder(&self, txn: TxnId, key: &LockKey) -> Option<Weak<LockOwner>> {
        let LockKey::Unique(index, bytes) = key else { return None };
        if self.active.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let hash = self.hash(bytes);
        let sets = self.sets.lock();
        let set = sets.iter().find(|s| s.txn != txn && s.index == *index && s.hashes.contains(&hash));
        set.map(|set| Weak::clone(&set.owner))
    }

    /// Notes that a claim of `txn` becomes a lock. False when it is none any more.
    pub(crate) fn note_made(&self, txn: TxnId, key: &LockKey) -> bool {
        let LockKey::Unique(index, bytes) = key else { return false };
        let hash = self.hash(bytes);
        let mut sets = self.sets.lock();
        let set = sets.iter_mut().find(|s| s.txn == txn && s.index == *index && s.hashes.contains(&hash));
        set.map(|set| set.made.push(key.clone())).is_some()
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }
}
