//! The base: segments per storage and partition, immutable; and [`SegmentFile`], one segment of it with the end of its files.

use crate::last_columns::LastColumns;
use crate::segment::{Segment, SegmentId, SegmentMeta};
use crate::shape::Shape;
use crate::versions::Garbage;
use heddle_engines::point::SeriesLayout;
use heddle_env::Env;
use heddle_types::{Error, Result, StorageId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// Everything that was flushed.
#[derive(Clone, Default)]
pub struct Base {
    /// By storage.
    pub storages: BTreeMap<StorageId, Arc<StorageBase>>,
}

/// What was flushed of one storage.
#[derive(Clone)]
pub struct StorageBase {
    /// Its newest layout that was flushed.
    pub shape: Arc<Shape>,
    /// Points before it may be gone.
    pub expired_us: i64,
    /// Segments by partition, oldest first. No list is empty.
    pub partitions: BTreeMap<i64, Vec<Arc<SegmentFile>>>,
}

impl Base {
    /// All segments.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<SegmentFile>> {
        self.storages.values().flat_map(|storage| storage.segments())
    }

    /// Segments of a partition, oldest first.
    pub fn partition(&self, storage: StorageId, partition: i64) -> &[Arc<SegmentFile>] {
        self.storages.get(&storage).and_then(|s| s.partitions.get(&partition)).map_or(&[], |files| files)
    }
}

impl StorageBase {
    /// One without segments.
    pub fn new(shape: Arc<Shape>) -> Self {
        Self { shape, expired_us: i64::MIN, partitions: BTreeMap::new() }
    }

    /// All segments.
    pub fn segments(&self) -> impl Iterator<Item = &Arc<SegmentFile>> {
        self.partitions.values().flatten()
    }

    /// Lets go of partitions that end at or before `before_us`.
    pub fn expire(&mut self, before_us: i64) {
        self.expired_us = self.expired_us.max(before_us);
        let interval = self.shape.layout.partition;
        self.partitions.retain(|partition, _| interval.start(partition.saturating_add(1)) > before_us);
    }
}

/// A segment of the base. It is opened by the first one who needs it, so that a damaged file is an error of its table alone.
pub struct SegmentFile {
    /// What the manifest says about it.
    pub meta: SegmentMeta,
    env: Env,
    dir: PathBuf,
    layout: Arc<SeriesLayout>,
    opened: Mutex<Option<Arc<Segment>>>,
    /// Its last rows, as far as somebody asked.
    pub last: LastColumns,
    /// No manifest refers to it any more.
    doomed: AtomicBool,
    reaper: Sender<Garbage>,
}

/// Where segments lie and who removes their files.
#[derive(Clone)]
pub struct Place {
    /// The disk.
    pub env: Env,
    /// The engine's folder.
    pub dir: PathBuf,
    /// Takes what nobody needs any more.
    pub reaper: Sender<Garbage>,
}

impl SegmentFile {
    /// The segment that `meta` describes.
    pub fn new(place: &Place, meta: SegmentMeta, layout: &Arc<SeriesLayout>) -> Arc<Self> {
        Arc::new(Self {
            meta,
            env: place.env.clone(),
            dir: place.dir.clone(),
            layout: Arc::clone(layout),
            opened: Mutex::default(),
            last: LastColumns::default(),
            doomed: AtomicBool::new(false),
            reaper: place.reaper.clone(),
        })
    }

    /// The open segment.
    ///
    /// # Errors
    /// `XX001` when a file is missing or damaged, `58030` on read errors; the next call tries again.
    pub fn open(&self) -> Result<Arc<Segment>> {
        let mut opened = self.opened.lock();
        if let Some(segment) = &*opened {
            return Ok(Arc::clone(segment));
        }
        let segment = Segment::open(&self.env, &self.dir, self.meta.clone(), Arc::clone(&self.layout))?;
        Ok(Arc::clone(opened.insert(segment)))
    }

    /// Its number.
    pub fn id(&self) -> SegmentId {
        self.meta.id
    }

    /// Bytes of its files.
    pub fn disk_bytes(&self) -> u64 {
        self.meta.file_bytes + self.meta.sidecar_bytes
    }

    /// Lets its files go when the last one who holds it is gone.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    /// Reads everything and checks it.
    pub fn verify(&self) -> Result<(), Error> {
        self.open()?.verify()
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire) {
            // Nobody listens when the engine is gone: then the next open removes them.
            let _ = self.reaper.send(Garbage::Segment(self.meta.id));
        }
    }
}
