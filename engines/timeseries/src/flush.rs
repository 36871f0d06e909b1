//! A flush: what a sealed memtable says becomes a new base, one segment for each (storage, partition) it has points of.
//!
//! The newest version of each point goes into its segment. A tombstone goes along only where an older segment may have the
//! point. Dropped storages and partitions that have expired leave the base.

use crate::base::{Base, Place, SegmentFile, StorageBase};
use crate::bounds::Bounds;
use crate::chunk::Chunk;
use crate::columns::{Columns, Gathered};
use crate::disk::persist_segment;
use crate::memtable::{Memtable, Table};
use crate::merge::{MergeOptions, Merger};
use crate::points::Points;
use crate::segment::{SegmentId, SegmentMeta, SegmentWriter};
use crate::shape::Shape;
use crate::source::{Source, Visibility};
use bytes::Bytes;
use heddle_types::{LogIndex, Result, StorageId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Rows that go to a segment writer at once.
pub const WRITE_ROWS: usize = 16 << 10;

/// Numbers of new segments.
pub struct SegmentIds(pub u64);

impl SegmentIds {
    /// The next one.
    pub fn draw(&mut self) -> SegmentId {
        self.0 += 1;
        SegmentId(self.0 - 1)
    }
}

/// Writes `table` out. Returns the base that has it, which no manifest refers to yet.
///
/// # Errors
/// `XX000` when its columns do not fit together. Those of the disk make it wait or end the process.
pub fn flush(place: &Place, base: &Base, table: &Memtable, ids: &mut SegmentIds) -> Result<Base> {
    let changes = table.changes();
    let mut new = base.clone();
    for storage in changes.drops.keys() {
        new.storages.remove(storage);
    }
    let dropped = |storage| changes.drops.get(storage).copied().unwrap_or_default();
    for (storage, (defined, shape)) in &changes.layouts {
        if *defined >= dropped(storage) {
            edit(&mut new, *storage, shape, |stored| stored.shape = Arc::clone(shape));
        }
    }
    for (storage, before_us) in &changes.expired {
        if let Some(stored) = new.storages.get_mut(storage) {
            Arc::make_mut(stored).expire(*before_us);
        }
    }
    for (storage, points) in &changes.points {
        // A storage that is gone has no points that anybody could see.
        let Some(stored) = new.storages.get(storage).cloned() else { continue };
        let visibility = Visibility { at: LogIndex(u64::MAX), dropped: dropped(storage) };
        let memory = Memory::new(points, &stored, visibility)?;
        for partition in memory.partitions() {
            let older = stored.partitions.get(&partition).map_or(&[][..], |files| files);
            let target = Target { place, storage: *storage, partition, sequence: table.highest() };
            let written =
                persist_segment("could not flush points", || memory.write(&target, ids.draw(), partition, older));
            if let Some(meta) = written {
                let file = SegmentFile::new(place, meta, &stored.shape.layout);
                let shape = &stored.shape;
                edit(&mut new, *storage, shape, |s| s.partitions.entry(partition).or_default().push(file));
            }
        }
    }
    Ok(new)
}

fn edit(base: &mut Base, storage: StorageId, shape: &Arc<Shape>, change: impl FnOnce(&mut StorageBase)) {
    let stored = base.storages.entry(storage).or_insert_with(|| Arc::new(StorageBase::new(Arc::clone(shape))));
    change(Arc::make_mut(stored));
}

/// The chunks of a table, newest first.
struct Memory {
    shape: Arc<Shape>,
    chunks: Vec<(Arc<Chunk>, Arc<Columns>)>,
    bounds: Bounds,
    visibility: Visibility,
}

impl Memory {
    fn new(table: &Table, stored: &StorageBase, visibility: Visibility) -> Result<Self> {
        let shape = Arc::clone(&stored.shape);
        let with_all_fields = |chunk: &Arc<Chunk>| {
            let columns = &chunk.columns;
            let fields = shape.project(&shape.fields, &columns.fields, columns.rows())?;
            Ok((Arc::clone(chunk), Arc::new(Columns { fields, ..columns.clone() })))
        };
        let chunks = table.rows().chunks.iter().rev().map(with_all_fields).collect::<Result<_>>()?;
        Ok(Self { chunks, shape, bounds: Bounds { from_us: stored.expired_us, ..Bounds::all() }, visibility })
    }

    fn partitions(&self) -> BTreeSet<i64> {
        let sections = self.chunks.iter().flat_map(|(chunk, _)| &chunk.sections);
        sections.filter(|s| self.bounds.meets(s.min_us, s.max_us)).map(|section| section.partition).collect()
    }

    fn merger(&self, partition: i64) -> Result<Merger> {
        let mut sources = Vec::new();
        for (chunk, columns) in &self.chunks {
            if let Some(section) = chunk.section(partition) {
                sources.extend(Source::chunk(chunk, columns, section, &self.bounds, self.visibility)?);
            }
        }
        let options = MergeOptions { batch_rows: WRITE_ROWS, written: false, deletes: true, all_cores: true };
        Ok(Merger::new(sources, &self.bounds, &options))
    }

    fn write(
        &self,
        target: &Target<'_>,
        id: SegmentId,
        partition: i64,
        older: &[Arc<SegmentFile>],
    ) -> Result<Option<SegmentMeta>> {
        let mut merger = self.merger(partition)?;
        let mut output = Output::new(target, id, &self.shape);
        while let Some(rows) = merger.next_batch()? {
            output.push(rows)?;
            output.delete(merger.take_deletes(), older)?;
        }
        output.delete(merger.take_deletes(), older)?;
        output.finish()
    }
}

/// What a new segment is.
#[derive(Clone)]
pub struct Target<'a> {
    /// Where.
    pub place: &'a Place,
    /// Whose points.
    pub storage: StorageId,
    /// Of which time.
    pub partition: i64,
    /// Highest log index in it.
    pub sequence: LogIndex,
}

/// A segment being written; its files are made for the first thing that goes in.
pub struct Output {
    place: Place,
    id: SegmentId,
    storage: StorageId,
    partition: i64,
    sequence: LogIndex,
    shape: Arc<Shape>,
    writer: Option<SegmentWriter>,
}

impl Output {
    /// Nothing yet.
    pub fn new(target: &Target<'_>, id: SegmentId, shape: &Arc<Shape>) -> Self {
        let Target { place, storage, partition, sequence } = target.clone();
        Self { place: place.clone(), id, storage, partition, sequence, shape: Arc::clone(shape), writer: None }
    }

    fn writer(&mut self) -> Result<&mut SegmentWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let Place { env, dir, .. } = &self.place;
                let layout = &self.shape.layout;
                SegmentWriter::create(env, dir, self.id, self.storage, self.partition, self.sequence, layout)?
            }
        };
        Ok(self.writer.insert(writer))
    }

    /// Appends points.
    pub fn push(&mut self, rows: Gathered) -> Result<()> {
        let points = Points { series: rows.series, time: rows.time.to_vec(), fields: rows.fields };
        self.writer()?.push(&points)
    }

    /// Appends those of `deletes` that may hide a point of `older` segments.
    pub fn delete(&mut self, deletes: Vec<(Bytes, i64)>, older: &[Arc<SegmentFile>]) -> Result<()> {
        for (series, time_us) in deletes {
            if older.iter().any(|file| may_have(file, &series, time_us)) {
                self.writer()?.delete(&series, time_us)?;
            }
        }
        Ok(())
    }

    /// Completes the segment; `None` when nothing went in.
    pub fn finish(self) -> Result<Option<SegmentMeta>> {
        self.writer.map(SegmentWriter::finish).transpose()
    }
}

/// May the segment have the point? A damaged one may have any.
fn may_have(file: &SegmentFile, series: &[u8], time_us: i64) -> bool {
    if !(file.meta.min_us..=file.meta.max_us).contains(&time_us) {
        return false;
    }
    file.open().map_or(true, |segment| {
        let entry = segment.find(series).map(|at| &segment.series()[at]);
        entry.is_some_and(|entry| (entry.min_us..=entry.max_us).contains(&time_us))
    })
}
