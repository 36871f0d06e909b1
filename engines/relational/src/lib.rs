//! The relational row engine: memtables (crossbeam-skiplist) over a redb base.
//!
//!   apply -> active memtable --seal--> sealed memtables --merge--> base (redb transactions, the last one with the flushed index)
//!
//! `txn` opens it and calls it through [`RowEngine`]. Parts: [`memtable`], [`base`] (redb), [`leaf`] (rows in redb's values), [`merge`],
//! [`block_file`] (checksums under redb), [`cache`] (rows read lately), [`versions`] (what readers hold), [`cursor`] (scans). Formats: docs/formats/base.md.
//!
//! Locks: `base` before `publish`. Readers take neither. `publish` is held for pointer work only.

pub mod backend;
pub mod base;
pub mod block_file;
pub mod cache;
pub mod cursor;
pub mod filter;
mod leaf;
pub mod memtable;
mod merge;
pub mod versions;

use crate::base::{Base, BaseView};
use crate::cache::RowCache;
use crate::filter::KeyHash;
use crate::memtable::Memtable;
use crate::versions::{Glance, Parts, Versions};
use arc_swap::ArcSwap;
use heddle_engines::{RowChange, RowEngine, RowGlance, RowVersions};
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, StorageId};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

/// Memtables merged in one transaction at most.
const MERGE_TABLES_MAX: usize = 16;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct RelationalConfig {
    /// Folder of the base file.
    pub dir: PathBuf,
    /// A memtable is sealed above this many bytes; a merge commits about as often.
    pub memtable_bytes_max: usize,
    /// Caches of the base in bytes: a sixth for rows read by key, the rest for redb's pages.
    pub cache_bytes: usize,
}

/// Opens or creates the engine. One at a time per folder: the caller holds the data folder's lock.
///
/// # Errors
/// `XX001` when the base is damaged, `53100` when there is no room to create it, `58030` when the disk does not answer.
pub fn open(env: Env, config: RelationalConfig) -> Result<Arc<dyn RowEngine>> {
    let row_cache_bytes = config.cache_bytes / 6;
    let (base, flushed) =
        Base::open(env, &RelationalConfig { cache_bytes: config.cache_bytes - row_cache_bytes, ..config.clone() })?;
    let (reaper, garbage) = mpsc::channel::<Parts>();
    std::thread::Builder::new()
        .name("row-reaper".into())
        .spawn(move || garbage.into_iter().for_each(drop))
        .map_err(|e| Error::internal(format!("could not start the reaper thread: {e}")))?;
    let cache = Arc::new(RowCache::new(row_cache_bytes));
    let parts = Parts { active: Arc::default(), sealed: Vec::new(), base: Arc::new(base.view()?), cache };
    Ok(Arc::new(Relational {
        versions: ArcSwap::from_pointee(Versions::new(parts, reaper)),
        publish: Mutex::new(()),
        base: Mutex::new(base),
        flushed: AtomicU64::new(flushed.0),
        memtable_bytes_max: config.memtable_bytes_max,
    }))
}

struct Relational {
    versions: ArcSwap<Versions>,
    /// Held while `versions` is replaced: the apply loop seals while the maintenance thread merges.
    publish: Mutex<()>,
    base: Mutex<Base>,
    flushed: AtomicU64,
    memtable_bytes_max: usize,
}

impl Relational {
    fn replace(&self, change: impl FnOnce(&mut Parts)) {
        let _one = self.publish.lock();
        let old = self.versions.load_full();
        let mut parts = old.parts().clone();
        change(&mut parts);
        self.versions.store(Arc::new(old.with(parts)));
    }

    /// Sealed memtables that may be merged, oldest first.
    fn ready(&self, visible: LogIndex) -> Vec<Arc<Memtable>> {
        let versions = self.versions.load();
        let oldest_first = versions.parts().sealed.iter().rev();
        oldest_first.take_while(|table| table.highest() <= visible).take(MERGE_TABLES_MAX).cloned().collect()
    }

    fn merge_ready(&self, base: &mut Base, ready: &[Arc<Memtable>], highest: LogIndex) -> Result<()> {
        base.merge(ready, highest, |view| self.replace(|parts| parts.base = Arc::new(view)))?;
        let view = self.next_view(base, |storage, key| {
            let hash = KeyHash::of(storage, key);
            ready.iter().any(|table| table.may_have(hash))
        })?;
        self.replace(|parts| {
            parts.sealed.truncate(parts.sealed.len() - ready.len());
            parts.base = view;
        });
        self.flushed.store(highest.0, Ordering::Release);
        Ok(())
    }

    /// The base after a change of the rows that `changed` names (and perhaps others), which the cache has then forgotten.
    fn next_view(&self, base: &Base, changed: impl Fn(StorageId, &[u8]) -> bool) -> Result<Arc<BaseView>> {
        let view = base.view()?;
        self.versions.load().parts().cache.advance(view.epoch, changed);
        Ok(Arc::new(view))
    }

    /// Frees dropped storages, a slice per transaction, so that neither dirty pages nor commits grow with their size.
    fn remove_dropped(&self, base: &mut Base) -> Result<()> {
        while let Some(dropped) = base.next_drop() {
            let mut from = None;
            loop {
                from = base.remove_slice(from)?;
                let view = self.next_view(base, |storage, _| storage == dropped)?;
                self.replace(|parts| parts.base = view);
                if from.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl RowEngine for Relational {
    fn versions(&self) -> Arc<dyn RowVersions> {
        self.versions.load_full()
    }

    /// Counts no references: every reader on every core would change the same count.
    fn glance(&self, visible: &dyn Fn() -> LogIndex, read: &mut dyn FnMut(&dyn RowGlance)) {
        loop {
            let versions = self.versions.load();
            let index = visible();
            if Arc::ptr_eq(&versions, &self.versions.load()) {
                return read(&Glance { parts: versions.parts(), index });
            }
        }
    }

    fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        if index > self.flushed_index() {
            self.versions.load().parts().active.apply(index, changes);
        }
    }

    fn unmerged_bytes(&self) -> usize {
        self.versions.load().parts().memtables().map(|table| table.bytes()).sum()
    }

    fn seal(&self, force: bool) -> bool {
        let active = Arc::clone(&self.versions.load().parts().active);
        let has_entries = active.highest() > LogIndex(0);
        let due = active.bytes() > self.memtable_bytes_max || (force && has_entries);
        if due {
            self.replace(|parts| {
                let active = std::mem::take(&mut parts.active);
                parts.sealed.insert(0, active);
            });
        }
        due
    }

    fn merge(&self, visible: LogIndex) -> Result<LogIndex> {
        let mut base = self.base.lock();
        if base.recover()? {
            let view = Arc::new(base.view()?);
            self.replace(|parts| parts.base = view);
        }
        loop {
            let ready = self.ready(visible);
            let Some(newest) = ready.last() else { break };
            self.merge_ready(&mut base, &ready, newest.highest())?;
        }
        self.remove_dropped(&mut base)?;
        Ok(self.flushed_index())
    }

    fn flushed_index(&self) -> LogIndex {
        LogIndex(self.flushed.load(Ordering::Acquire))
    }

    fn verify(&self) -> Result<()> {
        self.base.lock().verify()
    }
}
