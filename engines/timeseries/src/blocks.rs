//! Blocks that need not be read: which ones of a segment's series may be given by their statistics, and those statistics.
//!
//! A block may when it lies within the wanted times and one piece of them, has statistics for every wanted field, and nothing else
//! has points or tombstones of its series at its times. Everything else of the run is left to the merge.

use crate::bounds::Bounds;
use crate::segment::{FieldStatistics, FieldValues, Segment, SegmentId};
use crate::shape::damaged;
use bytes::Bytes;
use heddle_engines::point::blocks::{Block, BlockScan, FieldSummary, SeriesBlocks, Summary};
use heddle_types::Result;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Blocks whose statistics are decoded together.
const WINDOW_BLOCKS: usize = 4096;

/// First and last time of something.
pub type Extent = (i64, i64);

/// Times at which parts other than segments have rows of a series, and the segments of the partition.
#[derive(Default)]
pub struct Overlaps {
    /// Of memtables, own writes and tombstones.
    extents: HashMap<Bytes, Vec<Extent>>,
    segments: Vec<Arc<Segment>>,
}

impl Overlaps {
    /// Adds rows of a part that is no segment.
    pub fn add(&mut self, series: &Bytes, extent: Extent) {
        self.extents.entry(series.clone()).or_default().push(extent);
    }

    /// Adds a segment; its tombstones too.
    pub fn add_segment(&mut self, segment: &Arc<Segment>) {
        for (series, times) in segment.deletes().iter() {
            if let (Some(first), Some(last)) = (times.first(), times.last()) {
                self.add(series, (*first, *last));
            }
        }
        self.segments.push(Arc::clone(segment));
    }

    /// Has nothing but segment `id` anything of `series` within these times?
    fn is_alone(&self, id: SegmentId, series: &Bytes, (first, last): Extent) -> bool {
        let apart = |(min, max): Extent| max < first || min > last;
        let other = |segment: &&Arc<Segment>| {
            let meta = segment.meta();
            meta.id != id && !apart((meta.min_us, meta.max_us))
        };
        self.extents.get(series).is_none_or(|extents| extents.iter().all(|extent| apart(*extent)))
            && self.segments.iter().filter(other).all(|segment| {
                segment.find(series).is_none_or(|at| {
                    let entry = &segment.series()[at];
                    apart((entry.min_us, entry.max_us))
                })
            })
    }
}

/// Looks for blocks in the segments of one partition.
pub struct BlockFinder<'a> {
    scan: BlockScan,
    fields: &'a [usize],
    bounds: &'a Bounds,
    overlaps: Overlaps,
    found: Vec<Whole>,
}

/// Blocks of one series that are given as such.
struct Whole {
    segment: Arc<Segment>,
    entry: usize,
    /// Numbers in [`Segment::blocks`], ascending.
    blocks: Vec<usize>,
}

impl<'a> BlockFinder<'a> {
    /// Within `bounds`, where the partition's parts are `overlaps`.
    pub fn new(scan: BlockScan, fields: &'a [usize], bounds: &'a Bounds, overlaps: Overlaps) -> Self {
        Self { scan, fields, bounds, overlaps, found: Vec::new() }
    }

    /// Takes blocks out of `rows` of the series at place `entry`; what is left of them, ascending.
    pub fn take(&mut self, segment: &Arc<Segment>, entry: usize, rows: Range<u64>) -> Vec<Range<u64>> {
        let counted = |field: &usize| segment.has_statistics(*field);
        if !self.fields.iter().all(counted) {
            return vec![rows];
        }
        let mut left: Vec<Range<u64>> = Vec::new();
        let mut whole = Vec::new();
        let blocks = segment.blocks();
        for number in segment.series()[entry].blocks.clone() {
            let block = blocks.rows(number);
            let part = block.start.max(rows.start)..block.end.min(rows.end);
            if part.is_empty() {
                continue;
            }
            if part == block && self.is_whole(segment, entry, number) {
                whole.push(number);
                continue;
            }
            match left.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => left.push(part),
            }
        }
        if !whole.is_empty() {
            self.found.push(Whole { segment: Arc::clone(segment), entry, blocks: whole });
        }
        left
    }

    fn is_whole(&self, segment: &Segment, entry: usize, number: usize) -> bool {
        let blocks = segment.blocks();
        let (first, last) = (blocks.first_us()[number], blocks.last_us()[number]);
        blocks.is_counted(number)
            && self.bounds.from_us <= first
            && last <= self.bounds.to_us
            && self.scan.pieces.is_none_or(|pieces| pieces.hold(first, last))
            && self.overlaps.is_alone(segment.meta().id, &segment.series()[entry].key, (first, last))
    }

    /// What was taken out.
    pub fn finish(self) -> Blocks {
        Blocks { fields: self.fields.into(), found: self.found.into(), window: None }
    }
}

/// Blocks of one partition, series by series of each segment. Statistics are decoded as they are asked for, of many series at once:
/// they lie there in pages of many blocks.
pub struct Blocks {
    fields: Arc<[usize]>,
    found: VecDeque<Whole>,
    window: Option<Window>,
}

/// Statistics of neighbouring blocks of a segment.
struct Window {
    segment: SegmentId,
    blocks: Range<usize>,
    fields: Vec<FieldStatistics>,
}

impl Blocks {
    /// The next series' blocks.
    ///
    /// # Errors
    /// `XX001` when statistics cannot be read.
    pub fn next_series(&mut self) -> Result<Option<SeriesBlocks>> {
        let Some(whole) = self.found.pop_front() else { return Ok(None) };
        let window = match self.window.take().filter(|window| window.holds(&whole)) {
            Some(window) => window,
            None => self.read(&whole)?,
        };
        let known = window.give(&whole);
        self.window = Some(window);
        Ok(Some(known))
    }

    /// Reads statistics from the blocks of `whole` on, as far as they are asked for.
    fn read(&self, whole: &Whole) -> Result<Window> {
        let segment = &whole.segment;
        let mut blocks = whole.span();
        let here = |next: &&Whole| next.segment.meta().id == segment.meta().id;
        for next in self.found.iter().take_while(here) {
            let span = next.span();
            if span.end - blocks.start > WINDOW_BLOCKS {
                break;
            }
            blocks.end = span.end;
        }
        let missing = || damaged(format!("segment {} lacks statistics", segment.meta().id.0));
        let field = |field: &usize| segment.statistics(*field, blocks.clone())?.ok_or_else(missing);
        let fields = self.fields.iter().map(field).collect::<Result<_>>()?;
        Ok(Window { segment: segment.meta().id, blocks, fields })
    }
}

impl Whole {
    /// From its first block to its last one.
    fn span(&self) -> Range<usize> {
        self.blocks[0]..self.blocks[self.blocks.len() - 1] + 1
    }
}

impl Window {
    fn holds(&self, whole: &Whole) -> bool {
        let span = whole.span();
        self.segment == whole.segment.meta().id && self.blocks.start <= span.start && span.end <= self.blocks.end
    }

    fn give(&self, whole: &Whole) -> SeriesBlocks {
        let blocks = whole.segment.blocks();
        let block = |number: &usize| Block {
            first_us: blocks.first_us()[*number],
            last_us: blocks.last_us()[*number],
            rows: blocks.row_count(*number).into(),
        };
        let summaries = |field: &FieldStatistics| {
            let summary = |number: &usize| summary(field, number - self.blocks.start, blocks.row_count(*number));
            whole.blocks.iter().map(summary).collect()
        };
        SeriesBlocks {
            series: whole.segment.series()[whole.entry].key.clone(),
            blocks: whole.blocks.iter().map(block).collect(),
            fields: self.fields.iter().map(summaries).collect(),
        }
    }
}

fn summary(field: &FieldStatistics, at: usize, rows: u32) -> FieldSummary {
    let count = rows.saturating_sub(field.nulls[at]);
    let values = (count > 0).then(|| match &field.values {
        FieldValues::Ints(all) => Summary::Int { min: all.min[at], max: all.max[at], sum: all.sum[at] },
        FieldValues::Floats(all) => Summary::Float { min: all.min[at], max: all.max[at], sum: all.sum[at] },
    });
    FieldSummary { count: count.into(), values }
}
