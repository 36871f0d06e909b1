//! [`View`]: one storage as one reader sees it, and the sources that a merge of one of its partitions has.

use crate::apart::Apart;
use crate::base::StorageBase;
use crate::blocks::{BlockFinder, Blocks, Overlaps};
use crate::bounds::Bounds;
use crate::chunk::Chunk;
use crate::chunk::OpenRows;
use crate::columns::{Columns, Gathered};
use crate::merge::{MergeOptions, Merger};
use crate::segment::Segment;
use crate::shape::Shape;
use crate::sieve::Sieve;
use crate::source::{Source, Visibility};
use crate::versions::Versions;
use bytes::Bytes;
use heddle_engines::point::blocks::BlockScan;
use heddle_engines::point::{OwnPoint, TIME_KEY_BYTES, split_point_key};
use heddle_types::{LogIndex, Result, StorageId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What to read of a storage.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Series and times.
    pub bounds: Bounds,
    /// Places in the layout.
    pub fields: Arc<[usize]>,
    /// How it is handed out.
    pub options: MergeOptions,
    /// May it come in any order?
    pub any_order: bool,
    /// Are whole blocks wanted as such?
    pub blocks: Option<BlockScan>,
    /// Tests the fields read, and says which of them are handed out; without it all are.
    pub sieve: Option<Arc<Sieve>>,
}

/// A chunk with the columns that are wanted.
pub struct Memory {
    /// The chunk, with all its columns.
    pub chunk: Arc<Chunk>,
    /// Those that are wanted.
    pub columns: Arc<Columns>,
}

/// See the module.
pub struct View {
    /// What points look like to the reader.
    pub shape: Arc<Shape>,
    fields: Arc<[usize]>,
    /// The transaction's own points.
    pub own: Option<Memory>,
    /// Newest first.
    pub memory: Vec<Memory>,
    /// None when a memtable dropped what was flushed.
    pub stored: Option<Arc<StorageBase>>,
    /// Which rows of `memory` count.
    pub visibility: Visibility,
    _versions: Arc<Versions>,
}

impl View {
    /// The points of `storage` at `at` that `wanted` asks for.
    ///
    /// # Errors
    /// `XX001` when `own` is malformed.
    pub fn open(
        versions: &Arc<Versions>,
        at: LogIndex,
        (storage, shape): (StorageId, Arc<Shape>),
        wanted: &Wanted,
        own: Vec<OwnPoint>,
    ) -> Result<Self> {
        let parts = versions.parts();
        let dropped = parts.dropped_at(storage, at);
        let mut view = Self {
            fields: Arc::clone(&wanted.fields),
            own: own_chunk(own, &shape, wanted)?,
            memory: Vec::new(),
            stored: parts.stored(storage).filter(|_| dropped == LogIndex(0)).cloned(),
            visibility: Visibility { at, dropped },
            shape,
            _versions: Arc::clone(versions),
        };
        for table in parts.memtables().filter_map(|memtable| memtable.table(storage)) {
            let (chunks, open) = {
                let rows = table.rows();
                (rows.chunks.clone(), rows.open.within(&wanted.bounds, at))
            };
            if !open.is_empty() {
                let chunk = open.freeze(&view.shape, &view.fields)?;
                view.memory.push(Memory::projected(chunk));
            }
            for chunk in chunks.into_iter().rev().filter(|chunk| chunk.lowest() <= at) {
                if chunk.sections.iter().any(|s| wanted.bounds.meets(s.min_us, s.max_us)) {
                    view.memory.push(Memory::project(chunk, &view.shape, &view.fields)?);
                }
            }
        }
        Ok(view)
    }

    /// Partitions that may have points within `bounds`, ascending.
    pub fn partitions(&self, bounds: &Bounds) -> Vec<i64> {
        let chunks = self.own.iter().chain(&self.memory).flat_map(|memory| &memory.chunk.sections);
        let sections = chunks.filter(|s| bounds.meets(s.min_us, s.max_us)).map(|section| section.partition);
        let mut partitions: BTreeSet<i64> = sections.collect();
        if bounds.from_us <= bounds.to_us {
            let number = |time| self.shape.layout.partition.number(time);
            let stored =
                self.stored.iter().flat_map(|s| s.partitions.range(number(bounds.from_us)..=number(bounds.to_us)));
            partitions.extend(stored.map(|(partition, _)| *partition));
        }
        partitions.into_iter().collect()
    }

    /// The merge of one partition.
    pub fn merge(&self, partition: i64, wanted: &Wanted) -> Result<Merge> {
        Ok(Merge::new(self.sources(partition, wanted, None)?, wanted))
    }

    /// The same, without the blocks that need not be read; and these.
    pub fn merge_beside_blocks(&self, partition: i64, wanted: &Wanted, scan: BlockScan) -> Result<(Merge, Blocks)> {
        let bounds = &wanted.bounds;
        let mut finder = BlockFinder::new(scan, &self.fields, bounds, self.overlaps(partition, bounds)?);
        let sources = self.sources(partition, wanted, Some(&mut finder))?;
        Ok((Merge::new(sources, wanted), finder.finish()))
    }

    fn overlaps(&self, partition: i64, bounds: &Bounds) -> Result<Overlaps> {
        let mut overlaps = Overlaps::default();
        let files = self.stored.as_ref().and_then(|stored| stored.partitions.get(&partition));
        // Blocks are found in segments alone.
        let Some(files) = files.filter(|files| !files.is_empty()) else { return Ok(overlaps) };
        for Memory { chunk, columns } in self.own.iter().chain(&self.memory) {
            for (series, rows) in chunk.section(partition).into_iter().flat_map(|s| chunk.within(s, bounds)) {
                overlaps.add(series, (columns.time[rows.start], columns.time[rows.end - 1]));
            }
        }
        for file in files {
            overlaps.add_segment(&file.open()?);
        }
        Ok(overlaps)
    }

    fn sources(
        &self,
        partition: i64,
        wanted: &Wanted,
        mut finder: Option<&mut BlockFinder<'_>>,
    ) -> Result<Vec<Source>> {
        let (bounds, options) = (&wanted.bounds, &wanted.options);
        let mut sources = Vec::new();
        if let Some(own) = &self.own {
            let section = own.chunk.section(partition);
            sources.extend(section.and_then(|s| Source::whole(&own.chunk, &own.columns, s, bounds)));
        }
        for memory in &self.memory {
            if let Some(section) = memory.chunk.section(partition) {
                sources.extend(Source::chunk(&memory.chunk, &memory.columns, section, bounds, self.visibility)?);
            }
        }
        let files = self.stored.as_ref().and_then(|stored| stored.partitions.get(&partition));
        for file in files.into_iter().flatten().rev() {
            let segment = file.open()?;
            sources.extend(Source::tombstones(segment.deletes(), segment.meta().sequence, bounds));
            let (fields, rows, finder) = (&self.fields, options.batch_rows, finder.as_deref_mut());
            sources.extend(Source::segment(&segment, &self.shape, fields, bounds, rows, finder)?);
        }
        Ok(sources)
    }

    /// The segment that alone has points or tombstones of a partition within `bounds`, if it is so.
    pub fn only_segment(&self, partition: i64, bounds: &Bounds) -> Result<Option<Arc<Segment>>> {
        for memory in self.own.iter().chain(&self.memory) {
            let section = memory.chunk.section(partition);
            if section.is_some_and(|section| memory.chunk.within(section, bounds).next().is_some()) {
                return Ok(None);
            }
        }
        let files = self.stored.as_ref().and_then(|stored| stored.partitions.get(&partition));
        let files = files.into_iter().flatten();
        let mut files = files.filter(|file| file.meta.deletes > 0 || bounds.meets(file.meta.min_us, file.meta.max_us));
        match (files.next(), files.next()) {
            (Some(file), None) if file.meta.deletes == 0 => file.open().map(Some),
            _ => Ok(None),
        }
    }

    /// Series keys with points within `bounds`, of the source that has most of them, and how many points each has.
    pub fn largest_source(&self, bounds: &Bounds) -> Result<Vec<(Bytes, u64)>> {
        let mut largest: (u64, Vec<(Bytes, u64)>) = (0, Vec::new());
        let files = self.stored.iter().flat_map(|stored| stored.segments());
        if let Some(file) = files.filter(|f| bounds.meets(f.meta.min_us, f.meta.max_us)).max_by_key(|f| f.meta.rows) {
            let segment = file.open()?;
            let entries = segment.series();
            let places = bounds.places(entries, |entry| &entry.key).into_iter().flatten();
            let found: Vec<(Bytes, u64)> = places.map(|at| (entries[at].key.clone(), entries[at].rows)).collect();
            largest = (found.iter().map(|(_, rows)| rows).sum(), found);
        }
        for memory in self.own.iter().chain(&self.memory) {
            for section in &memory.chunk.sections {
                let runs = || memory.chunk.within(section, bounds).map(|(series, rows)| (series, rows.len() as u64));
                let rows = runs().map(|(_, rows)| rows).sum();
                if rows > largest.0 {
                    largest = (rows, runs().map(|(series, rows)| (series.clone(), rows)).collect());
                }
            }
        }
        Ok(largest.1)
    }

    /// About how many points lie within the times of `bounds`.
    pub fn estimate_rows(&self, bounds: &Bounds) -> u64 {
        let files = self.stored.iter().flat_map(|stored| stored.segments());
        let files = files.filter(|f| bounds.meets(f.meta.min_us, f.meta.max_us)).map(|f| f.meta.rows);
        let chunks = self.own.iter().chain(&self.memory).map(|memory| memory.columns.rows() as u64);
        files.sum::<u64>() + chunks.sum::<u64>()
    }

    /// Series that may have points within `bounds`.
    pub fn series(&self, bounds: &Bounds) -> Result<BTreeSet<Bytes>> {
        let mut out = BTreeSet::new();
        for memory in self.own.iter().chain(&self.memory) {
            for section in &memory.chunk.sections {
                out.extend(memory.chunk.within(section, bounds).map(|(series, _)| series.clone()));
            }
        }
        for file in self.stored.iter().flat_map(|stored| stored.segments()) {
            let segment = file.open()?;
            let entries = segment.series();
            for at in bounds.places(entries, |entry| &entry.key).into_iter().flatten() {
                if bounds.meets(entries[at].min_us, entries[at].max_us) {
                    out.insert(entries[at].key.clone());
                }
            }
        }
        Ok(out)
    }
}

/// The rows of one partition: first those of chunks that stand apart, if any order will do, then the merge of the rest.
pub struct Merge {
    apart: Option<Apart>,
    rest: Merger,
}

impl Merge {
    fn new(mut sources: Vec<Source>, wanted: &Wanted) -> Self {
        let apart = wanted.any_order.then(|| Apart::take(&mut sources, &wanted.options));
        Self { apart, rest: Merger::new(sources, &wanted.bounds, &wanted.options) }
    }

    /// The next batch; `None` at the end.
    pub fn next_batch(&mut self) -> Result<Option<Gathered>> {
        if let Some(apart) = &mut self.apart {
            match apart.next_batch()? {
                None => self.apart = None,
                some => return Ok(some),
            }
        }
        self.rest.next_batch()
    }
}

impl Memory {
    fn project(chunk: Arc<Chunk>, shape: &Shape, fields: &[usize]) -> Result<Self> {
        let columns = &chunk.columns;
        let fields = shape.project(fields, &columns.fields, columns.rows())?;
        let columns = Columns {
            time: columns.time.clone(),
            fields,
            written: columns.written.clone(),
            deleted: columns.deleted.clone(),
        };
        Ok(Self { columns: Arc::new(columns), chunk })
    }

    /// A chunk that has only what is wanted.
    fn projected(chunk: Chunk) -> Self {
        Self { columns: Arc::new(chunk.columns.clone()), chunk: Arc::new(chunk) }
    }
}

fn own_chunk(own: Vec<OwnPoint>, shape: &Shape, wanted: &Wanted) -> Result<Option<Memory>> {
    let mut rows = OpenRows::default();
    for (key, row) in own {
        let (series, time_us) = split_point_key(&key)?;
        if wanted.bounds.has_time(time_us) && wanted.bounds.has_series(series) {
            rows.push(&key.slice(..key.len() - TIME_KEY_BYTES), time_us, LogIndex(0), row);
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(Memory::projected(rows.freeze(shape, &wanted.fields)?)))
}
