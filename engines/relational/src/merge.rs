//! A merge: the newest version of every key of the sealed memtables, in key order, into redb's table.
//!
//! It is written in slices, each a transaction of redb. redb copies the pages it changes, and what it frees can be used again one
//! transaction later: in one piece, random updates of a whole table would double the file.
//!
//! Rows that follow each other where the base has none go through a cursor of redb, which packs them into full pages: loading a
//! table costs a fraction of as many inserts, and takes no more room than it needs. Where old and new keys mix, the cursor is
//! tried ever more seldom.

use crate::base::base_key;
use crate::memtable::{Memtable, RunMap, VersionKey};
use bytes::Bytes;
use crossbeam_skiplist::map;
use heddle_engines::run::Run;
use heddle_types::{LogIndex, StorageId};
use redb::{CursorError, Table};
use std::cmp::Ordering;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

/// New rows in a row after which the cursor is tried.
const STREAK_MIN: usize = 16;
/// The same after many vain trials.
const STREAK_MAX: usize = 1 << 14;

/// What a change of a row costs that lies anywhere.
const PAGE_BYTES: usize = 4096;

type Rows<'a> = Table<'a, &'static [u8], &'static [u8]>;

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
    /// New rows that came one after another, and how many of them it takes to try the cursor.
    streak: usize,
    needed: usize,
    place: Vec<u8>,
    value: Vec<u8>,
    /// By how much the numbers of rows of storages have changed.
    changes: Vec<(StorageId, i64)>,
}

impl<'v, I: Iterator<Item = Version<'v>>> Writer<'v, I> {
    /// For versions in key order, one of each key.
    pub fn new(versions: I) -> Self {
        let (place, value, changes) = (Vec::new(), Vec::new(), Vec::new());
        Self { versions: versions.peekable(), streak: 0, needed: STREAK_MIN, place, value, changes }
    }

    /// By how much the numbers of rows of storages changed since the last call.
    pub fn take_changes(&mut self) -> Vec<(StorageId, i64)> {
        std::mem::take(&mut self.changes)
    }

    /// Writes a slice, about `bytes_max` bytes of changed pages. False: there are more.
    pub fn write(&mut self, rows: &mut Rows<'_>, bytes_max: usize) -> Result<bool, redb::Error> {
        let mut bytes = 0;
        while bytes < bytes_max {
            let Some(version) = self.versions.next() else { return Ok(true) };
            self.write_one(rows, &version)?;
            bytes += PAGE_BYTES;
            if self.streak >= self.needed {
                let (written, more) = self.write_gap(rows, bytes_max)?;
                bytes += more;
                self.streak = 0;
                self.needed = if written < self.needed { STREAK_MAX.min(self.needed * 2) } else { STREAK_MIN };
            }
        }
        Ok(self.versions.peek().is_none())
    }

    fn write_one(&mut self, rows: &mut Rows<'_>, version: &Version<'_>) -> Result<(), redb::Error> {
        base_key(&mut self.place, version.storage(), version.key());
        let change = match version.row() {
            Some(row) => {
                base_value(&mut self.value, version.index(), row);
                i64::from(rows.insert(&self.place[..], &self.value[..])?.is_none())
            }
            None => -i64::from(rows.remove(&self.place[..])?.is_some()),
        };
        note(&mut self.changes, version.storage(), change);
        self.streak = if change > 0 { self.streak + 1 } else { 0 };
        Ok(())
    }

    /// Writes the rows that belong between the last key written and the next one that the base has, through a cursor: how many they
    /// were, and their bytes.
    fn write_gap(&mut self, rows: &mut Rows<'_>, bytes_max: usize) -> Result<(usize, usize), redb::Error> {
        let Self { versions, place, value, changes, .. } = self;
        let mut cursor = rows.upper_bound_mut(Bound::Included(&place[..]))?;
        let (mut written, mut bytes) = (0, 0);
        while bytes < bytes_max
            && let Some((version, row)) = versions.peek().and_then(|v| v.row().map(|row| (v, row)))
        {
            base_key(place, version.storage(), version.key());
            base_value(value, version.index(), row);
            match cursor.insert_before(&place[..], &value[..]) {
                Ok(()) => {}
                Err(CursorError::UnorderedKey) => break,
                Err(e) => return Err(e.into()),
            }
            note(changes, version.storage(), 1);
            written += 1;
            bytes += place.len() + value.len();
            versions.next();
        }
        cursor.close()?;
        Ok((written, bytes))
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

/// Makes `value` the base's value of a row.
fn base_value(value: &mut Vec<u8>, index: LogIndex, row: &[u8]) {
    value.clear();
    value.extend_from_slice(&index.0.to_le_bytes());
    value.extend_from_slice(row);
}
