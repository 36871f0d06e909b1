//! What readers see: the parts of the engine at one moment.
//!
//! [`Versions`] is replaced by seal, flush and compaction, never by a commit. Whoever drops the last handle of one pays
//! nothing: parts, and the files of segments that only they still needed, go to the reaper thread.

use crate::base::{Base, StorageBase};
use crate::memtable::Memtable;
use crate::reader::Reader;
use crate::segment::{self, SegmentId};
use crate::shape::Shape;
use heddle_engines::point::{PointReader, PointVersions};
use heddle_engines::{RowReader, RowVersions};
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, StorageId};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};

/// The parts, newest first.
#[derive(Clone)]
pub struct Parts {
    /// Takes inserts.
    pub active: Arc<Memtable>,
    /// Newest first.
    pub sealed: Vec<Arc<Memtable>>,
    /// Everything older.
    pub base: Arc<Base>,
}

impl Parts {
    /// Active and sealed memtables, newest first.
    pub fn memtables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.sealed)
    }

    /// The newest shape of a storage.
    pub fn shape(&self, storage: StorageId) -> Option<Arc<Shape>> {
        let newer = self.memtables().find_map(|table| table.layout(storage));
        newer.or_else(|| self.stored(storage).map(|stored| Arc::clone(&stored.shape)))
    }

    /// What was flushed of a storage.
    pub fn stored(&self, storage: StorageId) -> Option<&Arc<StorageBase>> {
        self.base.storages.get(&storage)
    }

    /// Rows of `storage` written at or below the answer are hidden from a reader at `at`. When it is not 0, that is all that was flushed.
    pub fn dropped_at(&self, storage: StorageId, at: LogIndex) -> LogIndex {
        self.memtables().map(|table| table.dropped_at(storage, at)).max().unwrap_or_default()
    }
}

/// What the reaper thread ends.
pub enum Garbage {
    /// Parts that nobody reads any more.
    Parts(Parts),
    /// A segment that no manifest and no reader refers to.
    Segment(SegmentId),
}

/// Starts the reaper of an engine in `dir`. It ends with the last sender.
pub fn spawn_reaper(env: Env, dir: PathBuf) -> Result<Sender<Garbage>> {
    let (reaper, garbage) = mpsc::channel::<Garbage>();
    let run = move || {
        for item in garbage {
            match item {
                Garbage::Parts(parts) => drop(parts),
                Garbage::Segment(id) => {
                    if let Err(error) = segment::remove(&env, &dir, id) {
                        tracing::warn!(%error, segment = id.0, "an old segment stays until the next start");
                    }
                }
            }
        }
    };
    let spawned = std::thread::Builder::new().name("series-reaper".into()).spawn(run);
    spawned.map_err(|e| Error::internal(format!("could not start the reaper thread: {e}")))?;
    Ok(reaper)
}

/// See the module.
pub struct Versions {
    /// None only while dropped.
    parts: Option<Parts>,
    reaper: Sender<Garbage>,
}

impl Versions {
    /// Parts whose end is left to `reaper`.
    pub fn new(parts: Parts, reaper: Sender<Garbage>) -> Self {
        Self { parts: Some(parts), reaper }
    }

    /// The parts.
    pub fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("taken only by drop")
    }

    /// Other parts with the same reaper.
    pub fn with(&self, parts: Parts) -> Self {
        Self::new(parts, self.reaper.clone())
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            let _ = self.reaper.send(Garbage::Parts(parts));
        }
    }
}

impl RowVersions for Versions {
    fn reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn RowReader> {
        Arc::new(Reader::new(self, index))
    }
}

impl PointVersions for Versions {
    fn point_reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn PointReader> {
        Arc::new(Reader::new(self, index))
    }
}
