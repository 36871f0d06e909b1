//! The time-series engine: columnar memtables over columnar segments, one set of them per time partition.
//!
//!   apply -> active memtable --seal--> sealed memtables --flush--> segments --compaction--> fewer segments
//!
//! `txn` opens it and calls it through [`PointEngine`]. In memory: [`memtable`] and [`chunk`]. On disk: [`segment`] (files),
//! [`base`] (which there are), [`manifest`] (the same, durable). Reading and rewriting are one merge of sorted sources:
//! [`source`], [`merge`], [`columns`]. Readers: [`versions`] (what they hold), [`reader`], [`view`], [`scan`], [`rows`].
//! Formats: docs/formats/segment.md, docs/formats/manifest.md.
//!
//! Locks: `upkeep` before `publish`. Readers take neither. `publish` is held for pointer work only.

mod apart;
pub mod base;
pub mod blocks;
mod bounds;
pub mod chunk;
pub mod columns;
pub mod compact;
mod disk;
pub mod flush;
pub mod last;
mod last_columns;
pub mod manifest;
pub mod memtable;
pub mod merge;
pub mod points;
pub mod reader;
pub mod rows;
pub mod scan;
pub mod segment;
pub mod shape;
pub mod sieve;
pub mod sifted;
pub mod source;
pub mod versions;
pub mod view;

use crate::base::{Base, Place};
use crate::compact::{Job, Policy, Step};
use crate::flush::SegmentIds;
use crate::manifest::Manifest;
use crate::memtable::Memtable;
use crate::segment::SegmentId;
use crate::shape::Shape;
use crate::versions::{Parts, Versions};
use arc_swap::ArcSwap;
use heddle_engines::point::{PointEngine, PointVersions};
use heddle_engines::{RowChange, RowEngine, RowVersions};
use heddle_env::{Env, fail_stop};
use heddle_types::{Error, LogIndex, Result, SqlState, StorageId};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of what one call compacts, this part is done before it looks whether a flush is due.
const COMPACT_BEFORE_FLUSH: usize = 4;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct TimeseriesConfig {
    /// Folder of segments and manifest.
    pub dir: PathBuf,
    /// A memtable is sealed above this many bytes.
    pub memtable_bytes_max: usize,
    /// Rows that a memtable collects before it turns them into columns.
    pub chunk_rows: usize,
    /// Rows that one call of [`RowEngine::compact`] reads at most; the next one goes on.
    pub compaction_rows: usize,
    /// When segments are compacted while points come in.
    pub busy: Policy,
    /// When segments are compacted once everything is flushed.
    pub idle: Policy,
}

impl TimeseriesConfig {
    /// The usual sizes.
    pub fn new(dir: PathBuf, memtable_bytes_max: usize) -> Self {
        let (busy, idle) = (Policy::BUSY, Policy::IDLE);
        Self { dir, memtable_bytes_max, chunk_rows: 8 << 10, compaction_rows: 1 << 20, busy, idle }
    }
}

/// Opens or creates the engine. One at a time per folder: the caller holds the data folder's lock.
///
/// # Errors
/// `XX001` when the manifest is damaged, `53100` when there is no room to create it, `58030` when the disk does not answer.
pub fn open(env: Env, config: TimeseriesConfig) -> Result<Arc<dyn PointEngine>> {
    let reaper = versions::spawn_reaper(env.clone(), config.dir.clone())?;
    let place = Place { env, dir: config.dir.clone(), reaper: reaper.clone() };
    let manifest = Manifest::open(&place)?;
    let parts =
        Parts { active: Arc::new(Memtable::new(config.chunk_rows)), sealed: Vec::new(), base: Arc::new(manifest.base) };
    let ids = SegmentIds(manifest.next_segment);
    Ok(Arc::new(Timeseries {
        place,
        versions: ArcSwap::from_pointee(Versions::new(parts, reaper)),
        publish: Mutex::new(()),
        upkeep: Mutex::new(Upkeep { ids, job: None, unreadable: BTreeSet::new() }),
        flushed: AtomicU64::new(manifest.flushed.0),
        config,
    }))
}

struct Timeseries {
    place: Place,
    versions: ArcSwap<Versions>,
    /// Held while `versions` is replaced: the apply loop seals while the maintenance thread flushes.
    publish: Mutex<()>,
    upkeep: Mutex<Upkeep>,
    flushed: AtomicU64,
    config: TimeseriesConfig,
}

/// What only maintenance touches.
struct Upkeep {
    ids: SegmentIds,
    /// A compaction that was interrupted.
    job: Option<Job>,
    /// Segments that could not be read: they are not compacted until the next start.
    unreadable: BTreeSet<SegmentId>,
}

impl Timeseries {
    fn replace(&self, change: impl FnOnce(&mut Parts)) {
        let _one = self.publish.lock();
        let old = self.versions.load_full();
        let mut parts = old.parts().clone();
        change(&mut parts);
        self.versions.store(Arc::new(old.with(parts)));
    }

    fn base(&self) -> Arc<Base> {
        Arc::clone(&self.versions.load().parts().base)
    }

    /// The oldest sealed memtable, if it may be flushed.
    fn ready(&self, visible: LogIndex) -> Option<Arc<Memtable>> {
        let versions = self.versions.load();
        versions.parts().sealed.last().filter(|table| table.highest() <= visible).cloned()
    }

    /// Makes `base` the state on disk, then the one that readers see, without `flushed_tables` of the oldest memtables.
    fn publish(&self, upkeep: &Upkeep, base: Base, flushed: LogIndex, flushed_tables: usize) {
        let manifest = Manifest { flushed, next_segment: upkeep.ids.0, base };
        manifest.write(&self.place);
        let (old, new) = (self.base(), Arc::new(manifest.base));
        self.replace(|parts| {
            parts.sealed.truncate(parts.sealed.len() - flushed_tables);
            parts.base = Arc::clone(&new);
        });
        self.flushed.store(flushed.0, Ordering::Release);
        let kept: BTreeSet<SegmentId> = new.segments().map(|file| file.id()).collect();
        old.segments().filter(|file| !kept.contains(&file.id())).for_each(|file| file.doom());
    }

    fn flush_ready(&self, upkeep: &mut Upkeep, visible: LogIndex) -> Result<()> {
        while let Some(table) = self.ready(visible) {
            let base = flush::flush(&self.place, &self.base(), &table, &mut upkeep.ids)?;
            self.publish(upkeep, base, table.highest().max(self.flushed_index()), 1);
        }
        let is_empty = {
            let versions = self.versions.load();
            versions.parts().sealed.is_empty() && versions.parts().active.is_empty()
        };
        // Every entry up to `visible` was applied before, and none of them left anything to flush.
        if is_empty && visible > self.flushed_index() {
            self.note_flushed(upkeep, visible);
        }
        Ok(())
    }

    /// Nothing up to `visible` had to be flushed. Readers keep their parts: other ones would wake maintenance, which would come
    /// here again, and every commit to a row table would end in a manifest of its own.
    fn note_flushed(&self, upkeep: &Upkeep, visible: LogIndex) {
        let manifest = Manifest { flushed: visible, next_segment: upkeep.ids.0, base: (*self.base()).clone() };
        manifest.write(&self.place);
        self.flushed.store(visible.0, Ordering::Release);
    }

    /// Compacts until nothing is due, a flush is, or this call has done its share. False when nothing is due, or has to wait.
    fn compact_share(&self, upkeep: &mut Upkeep) -> bool {
        let mut done = 0;
        while done < self.config.compaction_rows {
            let (is_idle, flush_is_due) = {
                let versions = self.versions.load();
                (versions.parts().memtables().all(|table| table.is_empty()), !versions.parts().sealed.is_empty())
            };
            if flush_is_due && done >= self.config.compaction_rows / COMPACT_BEFORE_FLUSH {
                return true;
            }
            let policy = if is_idle { self.config.idle } else { self.config.busy };
            let Some(job) = self.job(upkeep, policy) else { return false };
            match self.step(upkeep, job) {
                Some(rows) => done += rows,
                None => return false,
            }
        }
        true
    }

    /// The compaction that was interrupted, or the next one.
    fn job(&self, upkeep: &mut Upkeep, policy: Policy) -> Option<Job> {
        let base = self.base();
        if let Some(job) = upkeep.job.take().filter(|job| job.is_current(&base)) {
            return Some(job);
        }
        loop {
            match Job::choose(&self.place, &base, policy, &upkeep.unreadable, &mut upkeep.ids)? {
                Ok(job) => return Some(job),
                Err((inputs, error)) => leave_alone(upkeep, inputs, &error),
            }
        }
    }

    /// One batch of a compaction, or its end. The rows that were read; `None` when the disk is full.
    fn step(&self, upkeep: &mut Upkeep, mut job: Job) -> Option<usize> {
        let rows = match job.read() {
            Ok(rows) => rows,
            Err(error) => {
                leave_alone(upkeep, job.input_ids(), &error);
                return Some(0);
            }
        };
        let written = job.write(rows).and_then(|step| match step {
            Step::Rows(rows) => {
                upkeep.job = Some(job);
                Ok(rows)
            }
            Step::End => {
                let (base, _inputs) = job.finish(&self.place, &self.base())?;
                self.publish(upkeep, base, self.flushed_index(), 0);
                Ok(0)
            }
        });
        match written {
            Ok(rows) => Some(rows),
            Err(error) if error.code() == SqlState::DISK_FULL => {
                tracing::warn!(%error, "a compaction needs more room than the disk has; it is tried again later");
                None
            }
            Err(error) => fail_stop(&format!("could not write a compacted segment: {error}")),
        }
    }
}

/// Damaged data is an error of the statements that read it, not of the engine.
fn leave_alone(upkeep: &mut Upkeep, inputs: Vec<SegmentId>, error: &Error) {
    tracing::error!(%error, "segments cannot be compacted");
    upkeep.unreadable.extend(inputs);
}

impl RowEngine for Timeseries {
    fn versions(&self) -> Arc<dyn RowVersions> {
        self.versions.load_full()
    }

    fn apply(&self, index: LogIndex, changes: Vec<RowChange>) {
        if index > self.flushed_index() {
            let versions = self.versions.load();
            let shape_of = |storage: StorageId| -> Option<Arc<Shape>> { versions.parts().shape(storage) };
            versions.parts().active.apply(index, changes, shape_of);
        }
    }

    fn unmerged_bytes(&self) -> usize {
        self.versions.load().parts().memtables().map(|table| table.bytes()).sum()
    }

    fn seal(&self, force: bool) -> bool {
        let versions = self.versions.load();
        let active = &versions.parts().active;
        let has_entries = active.highest() > LogIndex(0);
        let due = active.bytes() > self.config.memtable_bytes_max || (force && has_entries);
        if due {
            active.freeze(|storage| versions.parts().shape(storage));
            self.replace(|parts| {
                let next = Arc::new(parts.active.successor());
                parts.sealed.insert(0, std::mem::replace(&mut parts.active, next));
            });
        }
        due
    }

    fn merge(&self, visible: LogIndex) -> Result<LogIndex> {
        let mut upkeep = self.upkeep.lock();
        self.flush_ready(&mut upkeep, visible)?;
        Ok(self.flushed_index())
    }

    fn compact(&self) -> bool {
        self.compact_share(&mut self.upkeep.lock())
    }

    fn flushed_index(&self) -> LogIndex {
        LogIndex(self.flushed.load(Ordering::Acquire))
    }

    fn verify(&self) -> Result<()> {
        let broken: Vec<Error> = self.base().segments().filter_map(|file| file.verify().err()).collect();
        let Some(first) = broken.first().cloned() else { return Ok(()) };
        let all: Vec<&str> = broken.iter().map(|e| e.message()).collect();
        Err(first.detail(format!("{} segments are damaged: {}.", all.len(), all.join("; "))))
    }
}

impl PointEngine for Timeseries {
    fn point_versions(&self) -> Arc<dyn PointVersions> {
        self.versions.load_full()
    }
}
