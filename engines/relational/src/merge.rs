//! A merge: the newest version of every key of the sealed memtables, in key order, into redb's table.
//!
//! It is written in slices, each a transaction of redb. redb copies the pages it changes, and what it frees can be used again one
//! transaction later: in one piece, random updates of a whole table would double the file.
//!
//! What belongs between two fences is merged into the leaf there, and what comes out is cut into leaves again.

use crate::base::{FENCE_BYTES, base_key, storage_key};
use crate::leaf::{self, Leaf, LeafRow};
use crate::memtable::{Memtable, RunMap, VersionKey};
use bytes::Bytes;
use crossbeam_skiplist::map;
use heddle_engines::run::Run;
use heddle_types::{LogIndex, StorageId};
use redb::{CursorError, ReadableTable, Table};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// What a leaf takes.
const PAGE_BYTES: usize = 4096;

type Leaves<'a> = Table<'a, &'static [u8], &'static [u8]>;

/// A version in a memtable.
#[derive(Clone)]
pub(crate) enum Version<'a> {
    Single(map::Entry<'a, VersionKey, Option<Bytes>>),
    Bulk { storage: StorageId, run: &'a Run, at: usize },
}

impl Version<'_> {
    /// Which table or index.
    pub fn storage(&self) -> StorageId {
        match self {
            Self::Single(entry) => entry.key().storage,
            Self::Bulk { storage, .. } => *storage,
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Single(entry) => &entry.key().key,
            Self::Bulk { run, at, .. } => run.at(*at).key,
        }
    }

    /// Of the entry that wrote it.
    pub fn index(&self) -> LogIndex {
        match self {
            Self::Single(entry) => entry.key().index.0,
            Self::Bulk { run, at, .. } => LogIndex(run.at(*at).tag),
        }
    }

    /// None for a tombstone.
    fn row(&self) -> Option<&[u8]> {
        match self {
            Self::Single(entry) => entry.value().as_deref(),
            Self::Bulk { run, at, .. } => Some(run.at(*at).row),
        }
    }

    fn has_key_of(&self, other: &Self) -> bool {
        self.storage() == other.storage() && self.key() == other.key()
    }

    /// By storage and key, then the newest first.
    fn order(&self, other: &Self) -> Ordering {
        (self.storage(), self.key()).cmp(&(other.storage(), other.key())).then_with(|| other.index().cmp(&self.index()))
    }
}

/// The newest version of every key in any of `sealed`, in key order. `runs` are theirs.
pub(crate) fn newest_versions<'a>(
    sealed: &'a [Arc<Memtable>],
    runs: &'a [Option<Arc<RunMap>>],
) -> impl Iterator<Item = Version<'a>> {
    let mut sources = Vec::new();
    for (table, runs) in sealed.iter().zip(runs) {
        // Before its runs: of two versions with one index it has the one that counts.
        sources.push(Source::List(table.rows().iter()));
        for (storage, runs) in runs.iter().flat_map(|runs| runs.iter()) {
            sources.extend(runs.iter().map(|run| Source::Run { storage: *storage, run, next: 0 }));
        }
    }
    let mut merged = Merged { sources: sources.into_iter().map(Iterator::peekable).collect(), leader: None };
    let mut last: Option<Version<'a>> = None;
    std::iter::from_fn(move || {
        loop {
            let version = merged.pop()?;
            if !last.as_ref().is_some_and(|last| last.has_key_of(&version)) {
                last = Some(version.clone());
                return Some(version);
            }
        }
    })
}

/// The versions of one skip list or run.
enum Source<'a> {
    List(map::Iter<'a, VersionKey, Option<Bytes>>),
    Run { storage: StorageId, run: &'a Run, next: usize },
}

impl<'a> Iterator for Source<'a> {
    type Item = Version<'a>;

    fn next(&mut self) -> Option<Version<'a>> {
        match self {
            Self::List(entries) => entries.next().map(Version::Single),
            Self::Run { storage, run, next } => {
                let at = *next;
                *next += 1;
                (at < run.len()).then_some(Version::Bulk { storage: *storage, run, at })
            }
        }
    }
}

/// All sources together.
struct Merged<'a> {
    sources: Vec<Peekable<Source<'a>>>,
    /// The source that came first last time, and the first version of all others: until then the leader is asked alone.
    leader: Option<(usize, Option<Version<'a>>)>,
}

impl<'a> Merged<'a> {
    fn pop(&mut self) -> Option<Version<'a>> {
        if let Some((n, rival)) = &self.leader {
            let ahead = |version: &Version<'a>| rival.as_ref().is_none_or(|rival| version.order(rival).is_lt());
            if let Some(version) = self.sources[*n].next_if(ahead) {
                return Some(version);
            }
        }
        let mut heads: Vec<(usize, Version<'a>)> = Vec::with_capacity(self.sources.len());
        for (n, source) in self.sources.iter_mut().enumerate() {
            heads.extend(source.peek().map(|version| (n, version.clone())));
        }
        // Stable: of equals the one of the first source comes first.
        heads.sort_by(|a, b| a.1.order(&b.1));
        let mut heads = heads.into_iter();
        let (n, version) = heads.next()?;
        self.sources[n].next();
        self.leader = Some((n, heads.next().map(|(_, rival)| rival)));
        Some(version)
    }
}

/// Versions on their way into the base.
pub(crate) struct Writer<'v, I: Iterator<Item = Version<'v>>> {
    versions: Peekable<I>,
    /// By how much the numbers of rows of storages have changed.
    changes: Vec<(StorageId, i64)>,
    gap: Gap,
    value: Vec<u8>,
}

/// Where versions go: into a leaf, or before all leaves of their storage.
#[derive(Default)]
struct Gap {
    /// Of the leaf, or the one that it will have.
    fence: Vec<u8>,
    /// The leaf; None when it is still to be made.
    leaf: Option<Vec<u8>>,
    /// Fence of the storage's next leaf.
    next: Option<Vec<u8>>,
}

impl<'v, I: Iterator<Item = Version<'v>>> Writer<'v, I> {
    /// For versions in key order, one of each key.
    pub fn new(versions: I) -> Self {
        Self { versions: versions.peekable(), changes: Vec::new(), gap: Gap::default(), value: Vec::new() }
    }

    /// By how much the numbers of rows of storages changed since the last call.
    pub fn take_changes(&mut self) -> Vec<(StorageId, i64)> {
        std::mem::take(&mut self.changes)
    }

    /// Writes a slice, about `bytes_max` bytes of changed pages. False: there are more.
    pub fn write(&mut self, leaves: &mut Leaves<'_>, bytes_max: usize) -> Result<bool, redb::Error> {
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(first) = self.versions.peek()
        {
            let storage = first.storage();
            self.gap.find(leaves, storage, first.key())?;
            let versions = self.take_versions(storage, bytes_max - bytes);
            bytes += self.write_gap(leaves, storage, &versions)?;
        }
        Ok(self.versions.peek().is_none())
    }

    /// Takes what belongs into the gap, but for what goes beyond `bytes_max`.
    fn take_versions(&mut self, storage: StorageId, bytes_max: usize) -> Vec<Version<'v>> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        let is_here = |v: &Version<'v>| {
            v.storage() == storage && self.gap.next.as_ref().is_none_or(|next| v.key() < storage_key(next))
        };
        while bytes < bytes_max
            && let Some(version) = self.versions.next_if(is_here)
        {
            bytes += version.key().len() + version.row().map_or(0, <[u8]>::len);
            taken.push(version);
        }
        taken
    }

    /// Writes the leaf with its changes; how many bytes of pages that changes, about.
    fn write_gap(
        &mut self,
        leaves: &mut Leaves<'_>,
        storage: StorageId,
        versions: &[Version<'v>],
    ) -> Result<usize, redb::Error> {
        let (rows, change) = self.gap.merged(versions).map_err(|e| redb::Error::Corrupted(e.to_string()))?;
        note(&mut self.changes, storage, change);
        let cut = leaf::cut(&rows, self.gap.appends(&rows, versions));
        let Some((first, more)) = cut.split_first() else {
            if self.gap.leaf.is_some() {
                leaves.remove(&self.gap.fence[..])?;
            }
            return Ok(PAGE_BYTES);
        };
        leaf::encode(&rows[first.clone()], &mut self.value);
        leaves.insert(&self.gap.fence[..], &self.value[..])?;
        // New leaves in a row go through a cursor of redb, which packs them into pages without a search for each.
        if !more.is_empty() {
            let mut cursor = leaves.upper_bound_mut(Bound::Included(&self.gap.fence[..]))?;
            let mut fence = Vec::new();
            for next in more {
                set_fence(&mut fence, storage, rows[next.start - 1].key, rows[next.start].key);
                leaf::encode(&rows[next.clone()], &mut self.value);
                cursor.insert_before(&fence[..], &self.value[..]).map_err(unordered)?;
            }
            cursor.close()?;
        }
        Ok(cut.len() * PAGE_BYTES)
    }
}

impl Gap {
    /// The gap for a key.
    fn find(&mut self, leaves: &Leaves<'_>, storage: StorageId, key: &[u8]) -> Result<(), redb::Error> {
        base_key(&mut self.fence, storage, key);
        let mut cursor = leaves.upper_bound(Bound::Included(&self.fence[..]))?;
        let of_storage = |fence: &[u8]| fence.starts_with(&storage.0.to_be_bytes());
        self.next = cursor.peek_next()?.map(|(fence, _)| fence.value().to_vec()).filter(|fence| of_storage(fence));
        self.leaf = None;
        // The first leaf of a storage takes all keys before the second.
        self.fence.truncate(FENCE_BYTES);
        if let Some((fence, leaf)) = cursor.peek_prev()?
            && of_storage(fence.value())
        {
            self.fence.clear();
            self.fence.extend_from_slice(fence.value());
            self.leaf = Some(leaf.value().to_vec());
        }
        Ok(())
    }

    /// The leaf's rows with `versions`, and by how much they are more.
    fn merged<'a>(&'a self, versions: &'a [Version<'_>]) -> heddle_types::Result<(Vec<LeafRow<'a>>, i64)> {
        let old = self.leaf.as_deref().map(Leaf::open).transpose()?;
        let count = old.map_or(0, |old| old.len());
        let row = |at: usize| old.filter(|_| at < count).map(|old| old.row(at)).transpose();
        let mut rows = Vec::with_capacity(count + versions.len());
        let (mut at, mut change) = (0, 0);
        for version in versions {
            let key = version.key();
            while let Some(before) = row(at)?.filter(|row| row.key < key) {
                rows.push(before);
                at += 1;
            }
            let is_old = row(at)?.is_some_and(|row| row.key == key);
            at += usize::from(is_old);
            let new = version.row().map(|row| LeafRow { key, index: version.index(), row });
            change += i64::from(new.is_some()) - i64::from(is_old);
            rows.extend(new);
        }
        while let Some(after) = row(at)? {
            rows.push(after);
            at += 1;
        }
        Ok((rows, change))
    }

    /// Do all of `versions` come behind everything that the storage had? More will come there, and nothing in between.
    fn appends(&self, rows: &[LeafRow<'_>], versions: &[Version<'_>]) -> bool {
        let first = rows.len().checked_sub(versions.len()).and_then(|at| rows.get(at));
        self.next.is_none() && first.is_some_and(|first| versions.first().is_some_and(|v| v.key() == first.key))
    }
}

/// Makes `fence` the shortest one between two keys.
fn set_fence(fence: &mut Vec<u8>, storage: StorageId, before: &[u8], first: &[u8]) {
    let same = before.iter().zip(first).take_while(|(a, b)| a == b).count();
    base_key(fence, storage, &first[..first.len().min(same + 1)]);
}

/// Fences and versions are in order.
fn unordered(e: CursorError) -> redb::Error {
    match e {
        CursorError::UnorderedKey => redb::Error::Corrupted("leaves are not in order".into()),
        other => other.into(),
    }
}

/// Adds a change of the number of rows; versions of one storage follow each other.
fn note(changes: &mut Vec<(StorageId, i64)>, storage: StorageId, change: i64) {
    match changes.last_mut() {
        Some((last, sum)) if *last == storage => *sum += change,
        _ if change != 0 => changes.push((storage, change)),
        _ => {}
    }
}
