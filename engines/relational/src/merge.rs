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
    /// Where the next version goes, if that was found already.
    ahead: Option<Gap>,
    value: Vec<u8>,
}

/// Where versions go: into a leaf, or before all leaves of their storage.
struct Gap {
    /// Of the leaf, or the one that it will have.
    fence: Vec<u8>,
    /// The leaf; None when it is still to be made.
    leaf: Option<Vec<u8>>,
    /// The last key in it.
    last: Vec<u8>,
    end: End,
}

/// Where a gap ends. Only who has more for it than what is below its last key needs to know, and looks at the next leaf's page.
enum End {
    Unknown,
    /// At the next leaf.
    Fence(Vec<u8>),
    /// With the storage.
    Storage,
}

impl<'v, I: Iterator<Item = Version<'v>>> Writer<'v, I> {
    /// For versions in key order, one of each key.
    pub fn new(versions: I) -> Self {
        Self { versions: versions.peekable(), changes: Vec::new(), ahead: None, value: Vec::new() }
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
            let mut gap = match self.ahead.take() {
                Some(gap) => gap,
                None => Gap::find(leaves, storage, first.key())?,
            };
            let versions = self.take_versions(leaves, &mut gap, storage, bytes_max - bytes)?;
            bytes += self.write_gap(leaves, &gap, storage, &versions)?;
        }
        Ok(self.versions.peek().is_none())
    }

    /// Takes what belongs into the gap, the first version at least, but for what goes beyond `bytes_max`.
    fn take_versions(
        &mut self,
        leaves: &Leaves<'_>,
        gap: &mut Gap,
        storage: StorageId,
        bytes_max: usize,
    ) -> Result<Vec<Version<'v>>, redb::Error> {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some(version) = self.versions.peek()
            && version.storage() == storage
        {
            if !taken.is_empty() && !gap.surely_holds(version.key()) {
                if let End::Unknown = gap.end {
                    let other = Gap::find(leaves, storage, version.key())?;
                    if other.fence != gap.fence {
                        self.ahead = Some(other);
                        break;
                    }
                    gap.find_end(leaves, storage)?;
                }
                if !gap.ends_behind(version.key()) {
                    break;
                }
            }
            bytes += version.key().len() + version.row().map_or(0, <[u8]>::len);
            taken.extend(self.versions.next());
        }
        Ok(taken)
    }

    /// Writes the leaf with its changes; how many bytes of pages that changes, about.
    fn write_gap(
        &mut self,
        leaves: &mut Leaves<'_>,
        gap: &Gap,
        storage: StorageId,
        versions: &[Version<'v>],
    ) -> Result<usize, redb::Error> {
        let (rows, change) = gap.merged(versions).map_err(corrupted)?;
        note(&mut self.changes, storage, change);
        let cut = leaf::cut(&rows, gap.is_appended_to(&rows, versions));
        let Some((first, more)) = cut.split_first() else {
            if gap.leaf.is_some() {
                leaves.remove(&gap.fence[..])?;
            }
            return Ok(PAGE_BYTES);
        };
        leaf::encode(&rows[first.clone()], &mut self.value);
        leaves.insert(&gap.fence[..], &self.value[..])?;
        // New leaves in a row go through a cursor of redb, which packs them into pages without a search for each.
        if !more.is_empty() {
            let mut cursor = leaves.upper_bound_mut(Bound::Included(&gap.fence[..]))?;
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
    fn find(leaves: &Leaves<'_>, storage: StorageId, key: &[u8]) -> Result<Self, redb::Error> {
        let mut fence = Vec::with_capacity(FENCE_BYTES + key.len());
        base_key(&mut fence, storage, key);
        let mut cursor = leaves.upper_bound(Bound::Included(&fence[..]))?;
        // The first leaf of a storage takes all keys before the second.
        fence.truncate(FENCE_BYTES);
        match cursor.peek_prev()?.filter(|(before, _)| before.value().starts_with(&fence)) {
            Some((before, leaf)) => {
                let leaf = leaf.value().to_vec();
                let last = last_key(&leaf).map_err(corrupted)?.to_vec();
                Ok(Self { fence: before.value().to_vec(), leaf: Some(leaf), last, end: End::Unknown })
            }
            None => Ok(Self { fence, leaf: None, last: Vec::new(), end: End::Unknown }),
        }
    }

    fn find_end(&mut self, leaves: &Leaves<'_>, storage: StorageId) -> Result<(), redb::Error> {
        let mut cursor = leaves.upper_bound(Bound::Included(&self.fence[..]))?;
        let next = cursor.peek_next()?.filter(|(next, _)| next.value().starts_with(&storage.0.to_be_bytes()));
        self.end = next.map_or(End::Storage, |(next, _)| End::Fence(next.value().to_vec()));
        Ok(())
    }

    /// Is a key, above one that is here, not above the last one?
    fn surely_holds(&self, key: &[u8]) -> bool {
        self.leaf.is_some() && key <= &self.last[..]
    }

    /// Is a key, above one that is here, below the end?
    fn ends_behind(&self, key: &[u8]) -> bool {
        match &self.end {
            End::Unknown => false,
            End::Fence(fence) => key < storage_key(fence),
            End::Storage => true,
        }
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
    fn is_appended_to(&self, rows: &[LeafRow<'_>], versions: &[Version<'_>]) -> bool {
        let first = rows.len().checked_sub(versions.len()).and_then(|at| rows.get(at));
        let is_first = |row: &LeafRow<'_>| versions.first().is_some_and(|version| version.key() == row.key);
        matches!(self.end, End::Storage) && first.is_some_and(is_first)
    }
}

fn last_key(leaf: &[u8]) -> heddle_types::Result<&[u8]> {
    let leaf = Leaf::open(leaf)?;
    leaf.len().checked_sub(1).map_or(Ok(&[]), |last| leaf.key(last))
}

fn corrupted(e: heddle_types::Error) -> redb::Error {
    redb::Error::Corrupted(e.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_engines::RowChange;
    use heddle_env::Random;
    use heddle_env::random::SeededRandom;
    use redb::backends::InMemoryBackend;
    use redb::{Builder, Database, ReadableDatabase, TableDefinition};
    use std::collections::BTreeMap;

    const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("leaves");

    /// Rows by storage and key, with the index of their last write.
    type Model = BTreeMap<(u64, Vec<u8>), (u64, Vec<u8>)>;

    fn database() -> Database {
        let db = Builder::new().create_with_backend(InMemoryBackend::new()).expect("memory");
        let tx = db.begin_write().expect("memory");
        drop(tx.open_table(TABLE).expect("memory"));
        tx.commit().expect("memory");
        db
    }

    /// Merges changes in slices of `slice` bytes; by how much the rows are more.
    fn merge(db: &Database, index: u64, changes: Vec<RowChange>, slice: usize) -> i64 {
        let table = Arc::new(Memtable::default());
        table.apply(LogIndex(index), changes);
        let (sealed, mut more) = ([table], 0);
        let runs: Vec<_> = sealed.iter().map(|table| table.runs()).collect();
        let mut writer = Writer::new(newest_versions(&sealed, &runs));
        loop {
            let tx = db.begin_write().expect("memory");
            let is_done = writer.write(&mut tx.open_table(TABLE).expect("memory"), slice).expect("memory");
            tx.commit().expect("memory");
            more += writer.take_changes().iter().map(|(_, change)| change).sum::<i64>();
            if is_done {
                return more;
            }
        }
    }

    /// All rows; each lies between its leaf's fence and the next one. And bytes of leaves.
    fn rows(db: &Database) -> (Model, Vec<usize>) {
        let tx = db.begin_read().expect("memory");
        let table = tx.open_table(TABLE).expect("memory");
        let (mut model, mut bytes, mut before) = (Model::new(), Vec::new(), Vec::new());
        for entry in table.range::<&[u8]>(..).expect("memory") {
            let (fence, leaf) = entry.expect("memory");
            let (fence, leaf) = (fence.value(), leaf.value());
            bytes.push(fence.len() + leaf.len());
            let leaf = Leaf::open(leaf).expect("ours");
            let storage = StorageId(u64::from_be_bytes(*fence.first_chunk().expect("a storage")));
            assert!(before < fence.to_vec() && leaf.len() > 0);
            for row in (0..leaf.len()).map(|at| leaf.row(at).expect("ours")) {
                base_key(&mut before, storage, row.key);
                assert!(&before[..] >= fence);
                model.insert((storage.0, row.key.to_vec()), (row.index.0, row.row.to_vec()));
            }
        }
        (model, bytes)
    }

    #[test]
    fn leaves_have_the_rows_of_all_merges() {
        let (db, random, mut model) = (database(), SeededRandom::new(7), Model::new());
        for index in 1..60 {
            let mut changes = Vec::new();
            // Few or many, near each other or all over, of two storages; some rounds only remove.
            let (count, span) = (1 << (random.u64() % 9), 1 << (4 + random.u64() % 12));
            let start = random.u64() % 3000;
            for _ in 0..count {
                let (storage, n) = (1 + random.u64() % 2, start + random.u64() % span);
                let key = format!("{n:0width$}", width = 1 + (n % 12) as usize).into_bytes();
                if index % 7 == 0 || random.u64().is_multiple_of(4) {
                    model.remove(&(storage, key.clone()));
                    changes.push(RowChange::Delete { storage: StorageId(storage), key: key.into() });
                } else {
                    let row = vec![index as u8; (random.u64() % 300) as usize + usize::from(n % 97 == 0) * 5000];
                    model.insert((storage, key.clone()), (index, row.clone()));
                    changes.push(RowChange::Put { storage: StorageId(storage), key: key.into(), row: row.into() });
                }
            }
            let before = rows(&db).0.len() as i64;
            let more = merge(&db, index, changes, 1 + (random.u64() % 50_000) as usize);
            let (found, _) = rows(&db);
            assert!(found == model, "round {index}");
            assert_eq!(before + more, found.len() as i64);
        }
    }

    #[test]
    fn rows_added_at_the_end_fill_leaves() {
        let db = database();
        for index in 0..40u64 {
            let put = |n: u64| RowChange::Put {
                storage: StorageId(5),
                key: n.to_be_bytes().to_vec().into(),
                row: vec![1; 80].into(),
            };
            merge(&db, index + 1, (index * 100..index * 100 + 100).map(put).collect(), 64 << 10);
        }
        let (model, bytes) = rows(&db);
        assert_eq!(model.len(), 4000);
        assert!(bytes[..bytes.len() - 1].iter().all(|bytes| (3600..=4000).contains(bytes)), "{bytes:?}");
    }
}
