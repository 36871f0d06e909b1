//! Newest points: of each wanted series the last one a reader sees, without reading the others.
//!
//! Partition by partition, newest first: every source says what its last row of a series is (a memtable has it in hand, a
//! segment's sidecar knows it), the highest time wins, of equal ones the newest source. Rows of segments come from
//! [`crate::last_columns`]. When a tombstone wins, that series is merged in that partition as a scan would do.

use crate::base::SegmentFile;
use crate::bounds::Bounds;
use crate::columns::{Columns, Written};
use crate::last_columns::read_rows;
use crate::merge::MergeOptions;
use crate::segment::{BLOCK_ROWS_MAX, Segment};
use crate::view::{Memory, View, Wanted};
use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray, UInt64Array};
use arrow::compute::interleave;
use arrow::datatypes::DataType;
use bytes::Bytes;
use heddle_engines::KeyRange;
use heddle_engines::point::PointBatch;
use heddle_types::arrow::data_type;
use heddle_types::{Error, Result};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Bound, Range};
use std::sync::Arc;

/// The last points of the series that `wanted` asks for, for which `view` was opened.
pub fn last_points(view: &View, wanted: &Wanted) -> Result<Vec<PointBatch>> {
    let mut search = Search { view, wanted, parts: Vec::new(), found: BTreeMap::new() };
    let series_max = single_series(&wanted.bounds);
    for partition in view.partitions(&wanted.bounds).into_iter().rev() {
        if series_max == Some(search.found.len()) {
            break;
        }
        search.look_into(partition)?;
    }
    Ok(search.finish()?.into_iter().collect())
}

/// How many series `bounds` are about, when each is named.
fn single_series(bounds: &Bounds) -> Option<usize> {
    let named =
        |range: &KeyRange| matches!((&range.lower, &range.upper), (Bound::Included(a), Bound::Included(b)) if a == b);
    bounds.series.iter().all(named).then_some(bounds.series.len())
}

struct Search<'a> {
    view: &'a View,
    wanted: &'a Wanted,
    /// Rows that were fetched.
    parts: Vec<Columns>,
    /// Where in `parts` the last point of a series is.
    found: BTreeMap<Bytes, (usize, usize)>,
}

/// Where rows of a partition lie.
enum Source<'a> {
    Memory(&'a Memory),
    Segment(&'a SegmentFile, Arc<Segment>),
    Tombstones,
}

/// The last row of a series in one source.
#[derive(Clone, Copy)]
struct Candidate {
    time: i64,
    source: usize,
    row: u64,
    /// The series' number in a segment, if `row` is the last one there.
    last_of: Option<usize>,
    deleted: bool,
}

/// The best candidates of one partition.
struct Candidates<'a> {
    /// Newest first.
    sources: Vec<Source<'a>>,
    best: BTreeMap<Bytes, Candidate>,
}

impl Candidates<'_> {
    /// Sources offer newest first: of equal times the first one stays.
    fn offer(&mut self, series: &Bytes, candidate: Candidate) {
        match self.best.entry(series.clone()) {
            Entry::Vacant(free) => drop(free.insert(candidate)),
            Entry::Occupied(mut best) if best.get().time < candidate.time => drop(best.insert(candidate)),
            Entry::Occupied(_) => {}
        }
    }
}

impl<'a> Search<'a> {
    /// Finds the last points that lie in a partition, of series that have none in a later one.
    fn look_into(&mut self, partition: i64) -> Result<()> {
        let mut candidates = Candidates { sources: Vec::new(), best: BTreeMap::new() };
        let view = self.view;
        for (is_own, memory) in view.own.iter().map(|own| (true, own)).chain(view.memory.iter().map(|m| (false, m))) {
            self.offer_memory(&mut candidates, partition, memory, is_own);
        }
        let files = view.stored.as_ref().and_then(|stored| stored.partitions.get(&partition));
        for file in files.into_iter().flatten().rev() {
            self.offer_segment(&mut candidates, file)?;
        }
        let mut by_source: Vec<Vec<(Bytes, Candidate)>> = candidates.sources.iter().map(|_| Vec::new()).collect();
        let mut deleted = Vec::new();
        for (series, candidate) in candidates.best {
            match candidate.deleted {
                true => deleted.push(series),
                false => by_source[candidate.source].push((series, candidate)),
            }
        }
        for (source, chosen) in candidates.sources.iter().zip(by_source).filter(|(_, chosen)| !chosen.is_empty()) {
            let columns = self.fetch(source, &chosen)?;
            let part = self.parts.len();
            self.parts.push(columns);
            self.found.extend(chosen.into_iter().enumerate().map(|(row, (series, _))| (series, (part, row))));
        }
        if deleted.is_empty() { Ok(()) } else { self.merge(partition, deleted) }
    }

    fn offer_memory(&self, to: &mut Candidates<'a>, partition: i64, memory: &'a Memory, is_own: bool) {
        let chunk = &memory.chunk;
        let Some(section) = chunk.section(partition) else { return };
        let source = to.sources.len();
        to.sources.push(Source::Memory(memory));
        for run in chunk.runs_within(section, &self.wanted.bounds) {
            let row = match is_own {
                true => run.rows.clone().next_back(),
                false => chunk.last_visible(&run, self.view.visibility),
            };
            let Some(row) = row.filter(|_| !self.found.contains_key(&run.series)) else { continue };
            let deleted = memory.columns.is_deleted(row);
            let time = memory.columns.time[row];
            to.offer(&run.series, Candidate { time, source, row: row as u64, last_of: None, deleted });
        }
    }

    fn offer_segment(&self, to: &mut Candidates<'a>, file: &'a SegmentFile) -> Result<()> {
        let bounds = &self.wanted.bounds;
        if file.meta.deletes == 0 && !bounds.meets(file.meta.min_us, file.meta.max_us) {
            return Ok(());
        }
        let segment = file.open()?;
        self.offer_tombstones(to, &segment);
        let source = to.sources.len();
        to.sources.push(Source::Segment(file, Arc::clone(&segment)));
        let entries = segment.series();
        let mut cut = Vec::new();
        for place in bounds.places(entries, |entry| &entry.key).into_iter().flatten() {
            let entry = &entries[place];
            if !bounds.meets(entry.min_us, entry.max_us) || self.found.contains_key(&entry.key) {
                continue;
            }
            if entry.max_us > bounds.to_us {
                cut.push((place, entry.blocks.clone()));
                continue;
            }
            let row = entry.first_row + entry.rows - 1;
            let candidate = Candidate { time: entry.max_us, source, row, last_of: Some(place), deleted: false };
            to.offer(&entry.key, candidate);
        }
        self.offer_within(to, &segment, source, cut)
    }

    /// Looks for the last row within the times in the blocks of series that go on after them.
    fn offer_within(
        &self,
        to: &mut Candidates<'a>,
        segment: &Arc<Segment>,
        source: usize,
        series: Vec<(usize, Range<usize>)>,
    ) -> Result<()> {
        let (bounds, blocks) = (&self.wanted.bounds, segment.blocks());
        let mut opened: Vec<(usize, Range<u64>)> = Vec::new();
        for (place, all) in series {
            let begun = blocks.first_us()[all.clone()].partition_point(|first| *first <= bounds.to_us);
            let Some(block) = (all.start + begun).checked_sub(1).filter(|_| begun > 0) else { continue };
            let (time, rows) = (blocks.last_us()[block], blocks.rows(block));
            if time > bounds.to_us {
                opened.push((place, rows));
            } else if time >= bounds.from_us {
                let candidate = Candidate { time, source, row: rows.end - 1, last_of: None, deleted: false };
                to.offer(&segment.series()[place].key, candidate);
            }
        }
        if opened.is_empty() {
            return Ok(());
        }
        let ranges = opened.iter().map(|(_, rows)| rows.clone()).collect();
        let mut cursor = segment.scan(&[], ranges, BLOCK_ROWS_MAX as usize)?;
        let mut at = 0;
        while let Some(batch) = cursor.next_batch()? {
            while opened[at].1.end <= batch.first_row {
                at += 1;
            }
            let times = batch.time.values();
            let within = times.partition_point(|time| *time <= bounds.to_us);
            if let Some(row) = within.checked_sub(1).filter(|row| times[*row] >= bounds.from_us) {
                let (time, row) = (times[row], batch.first_row + row as u64);
                let series = &segment.series()[opened[at].0].key;
                to.offer(series, Candidate { time, source, row, last_of: None, deleted: false });
            }
        }
        Ok(())
    }

    fn offer_tombstones(&self, to: &mut Candidates<'a>, segment: &Segment) {
        let bounds = &self.wanted.bounds;
        let source = to.sources.len();
        to.sources.push(Source::Tombstones);
        for (series, times) in segment.deletes().iter().filter(|(series, _)| bounds.has_series(series)) {
            let last = times.iter().rev().find(|time| **time <= bounds.to_us).filter(|time| **time >= bounds.from_us);
            if let Some(time) = last.filter(|_| !self.found.contains_key(series)) {
                to.offer(series, Candidate { time: *time, source, row: 0, last_of: None, deleted: true });
            }
        }
    }

    /// The rows that were chosen of a source.
    fn fetch(&self, source: &Source<'_>, chosen: &[(Bytes, Candidate)]) -> Result<Columns> {
        match source {
            Source::Tombstones => Err(Error::internal("a tombstone has no row")),
            Source::Memory(memory) => {
                let rows: Vec<u32> = chosen.iter().map(|(_, candidate)| candidate.row as u32).collect();
                memory.columns.take(&rows)
            }
            Source::Segment(file, segment) => {
                let (shape, fields) = (&self.view.shape, &self.wanted.fields[..]);
                let places: Option<Vec<usize>> = chosen.iter().map(|(_, candidate)| candidate.last_of).collect();
                let fields = match places {
                    Some(places) => file.last.get(segment, shape, fields, &places)?,
                    None => {
                        let rows: Vec<u64> = chosen.iter().map(|(_, candidate)| candidate.row).collect();
                        read_rows(segment, shape, fields, &rows)?
                    }
                };
                let time = chosen.iter().map(|(_, candidate)| candidate.time).collect();
                Ok(Columns { time, fields, written: Written::At(segment.meta().sequence), deleted: None })
            }
        }
    }

    /// The last points of `series`, whose newest rows in a partition are tombstones, as a scan of it finds them.
    fn merge(&mut self, partition: i64, series: Vec<Bytes>) -> Result<()> {
        let one = |key: Bytes| KeyRange { lower: Bound::Included(key.clone()), upper: Bound::Included(key) };
        let bounds = Bounds { series: series.into_iter().map(one).collect(), ..self.wanted.bounds };
        let options = MergeOptions { written: true, deletes: false, ..self.wanted.options };
        let wanted = Wanted { bounds, options, any_order: false, ..self.wanted.clone() };
        let mut merge = self.view.merge(partition, &wanted)?;
        while let Some(rows) = merge.next_batch()? {
            let mut ends = Vec::new();
            let mut end = 0;
            for (series, n) in rows.series {
                end += n;
                self.found.insert(series, (self.parts.len(), ends.len()));
                ends.push(end as u32 - 1); // a batch's worth
            }
            let written = Written::Each(rows.written.unwrap_or_default());
            self.parts.push(Columns { time: rows.time, fields: rows.fields, written, deleted: None }.take(&ends)?);
        }
        Ok(())
    }

    /// What was found as one batch, in series order.
    fn finish(self) -> Result<Option<PointBatch>> {
        if self.found.is_empty() {
            return Ok(None);
        }
        let places: Vec<(usize, usize)> = self.found.values().copied().collect();
        let field = |at: usize| -> Result<ArrayRef> {
            let arrays: Vec<&dyn Array> = self.parts.iter().map(|part| &*part.fields[at]).collect();
            interleave(&arrays, &places)
                .map_err(|e| Error::internal(format!("columns of points do not fit together: {e}")))
        };
        let zone = match data_type(self.view.shape.layout.time.ty) {
            DataType::Timestamp(_, zone) => zone,
            _ => None,
        };
        let time: Vec<i64> = places.iter().map(|(part, row)| self.parts[*part].time[*row]).collect();
        let written = || places.iter().map(|(part, row)| self.parts[*part].written.index(*row).0);
        Ok(Some(PointBatch {
            time: Arc::new(TimestampMicrosecondArray::from(time).with_timezone_opt(zone)),
            versions: self.wanted.options.written.then(|| written().collect::<UInt64Array>()),
            fields: (0..self.wanted.fields.len()).map(field).collect::<Result<_>>()?,
            series: self.found.into_keys().map(|series| (series, 1)).collect(),
        }))
    }
}
