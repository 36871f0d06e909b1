//! [`Partial`]: the groups that one task has met, and their cells; fed with batches of points, merged with those of other tasks.

use super::SeriesAggregate;
use super::bucket::until;
use super::cells::{Cells, Piece};
use super::groups::Groups;
use crate::function::FixedBuckets;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use heddle_engines::point::PointBatch;
use heddle_engines::point::blocks::SeriesBlocks;
use heddle_txn::ReadView;
use heddle_types::Result;
use std::ops::Range;

/// See the module.
pub(super) struct Partial {
    pub groups: Groups,
    /// Points, by group.
    pub rows: Vec<i64>,
    /// First and last time, by group.
    pub times: Vec<(i64, i64)>,
    /// By field.
    pub cells: Vec<Cells>,
    bucket: Option<FixedBuckets>,
    pieces: Vec<Piece>,
}

impl Partial {
    /// Without groups.
    pub fn new(plan: &SeriesAggregate, bucket: Option<FixedBuckets>) -> Self {
        Self {
            groups: Groups::default(),
            rows: vec![],
            times: vec![],
            cells: plan.fields.iter().map(|f| Cells::new(f.ty, f.need)).collect(),
            bucket,
            pieces: vec![],
        }
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        let group: usize = self.cells.iter().map(Cells::bytes).sum::<usize>() + 24;
        self.groups.bytes() + self.groups.len() * group
    }

    /// Adds points of `plan`'s fields.
    ///
    /// # Errors
    /// `22003` when a sum of floats overflows, `22008` when a piece of time starts before all timestamps, what reading tags raises.
    pub fn add(&mut self, plan: &SeriesAggregate, points: &PointBatch, view: &ReadView) -> Result<()> {
        let times = points.time.as_primitive::<TimestampMicrosecondType>().values();
        self.pieces.clear();
        let mut start = 0;
        for (series, rows) in &points.series {
            let set = self.tag_set(plan, series, view)?;
            self.cut(set, times, start..start + rows)?;
            start += rows;
        }
        self.grow();
        let pieces = std::mem::take(&mut self.pieces);
        for Piece { group, rows } in &pieces {
            let (first, last) = (times[rows.start], times[rows.end - 1]);
            self.meet(*group, rows.len() as i64, first, last);
        }
        for (cells, column) in self.cells.iter_mut().zip(&points.fields) {
            cells.add(column, times, &pieces)?;
        }
        self.pieces = pieces;
        Ok(())
    }

    /// Adds blocks, each of which lies in one piece of time.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_blocks(&mut self, plan: &SeriesAggregate, known: &SeriesBlocks, view: &ReadView) -> Result<()> {
        let set = self.tag_set(plan, &known.series, view)?;
        let mut groups = Vec::with_capacity(known.blocks.len());
        for block in &known.blocks {
            let start = self.bucket.map_or(Ok(0), |bucket| bucket.start(block.first_us))?;
            groups.push(self.groups.group(set, start));
        }
        self.grow();
        for (group, block) in groups.iter().zip(&known.blocks) {
            self.meet(*group, block.rows as i64, block.first_us, block.last_us);
        }
        for (cells, summaries) in self.cells.iter_mut().zip(&known.fields) {
            groups.iter().zip(summaries).try_for_each(|(group, summary)| cells.add_summary(*group, summary))?;
        }
        Ok(())
    }

    fn tag_set(&mut self, plan: &SeriesAggregate, series: &Bytes, view: &ReadView) -> Result<u32> {
        match plan.tags.is_empty() {
            true => self.groups.tag_set_of(&Bytes::new(), || Ok(vec![])),
            false => self.groups.tag_set_of(series, || plan.tags_of(series, view)),
        }
    }

    /// Cuts a run of one series into pieces.
    fn cut(&mut self, set: u32, times: &[i64], mut run: Range<usize>) -> Result<()> {
        let Some(bucket) = self.bucket else {
            let group = self.groups.group(set, 0);
            self.pieces.push(Piece { group, rows: run });
            return Ok(());
        };
        while !run.is_empty() {
            let start = bucket.start(times[run.start])?;
            let rows = until(times, run.clone(), bucket.end(start));
            run.start = rows.end;
            let group = self.groups.group(set, start);
            self.pieces.push(Piece { group, rows });
        }
        Ok(())
    }

    /// Room for all groups.
    fn grow(&mut self) {
        let groups = self.groups.len();
        if groups > self.rows.len() {
            self.rows.resize(groups, 0);
            self.times.resize(groups, (i64::MAX, i64::MIN));
            self.cells.iter_mut().for_each(|cells| cells.grow(groups));
        }
    }

    fn meet(&mut self, group: usize, rows: i64, first: i64, last: i64) {
        self.rows[group] += rows;
        let times = &mut self.times[group];
        *times = (times.0.min(first), times.1.max(last));
    }

    /// Adds what another task found.
    ///
    /// # Errors
    /// `22003` when a sum of floats overflows.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let sets: Vec<u32> = other.groups.tag_sets().map(|tags| self.groups.tag_set(tags.to_vec())).collect();
        for from in 0..other.groups.len() {
            let (set, start) = other.groups.place(from);
            let to = self.groups.group(sets[set as usize], start);
            self.grow();
            let (first, last) = other.times[from];
            self.meet(to, other.rows[from], first, last);
            for (cells, theirs) in self.cells.iter_mut().zip(&other.cells) {
                cells.merge(to, theirs, from)?;
            }
        }
        Ok(())
    }

    /// The one group of an aggregation without GROUP BY, which is there without any point.
    pub fn ensure_group(&mut self) {
        if self.groups.len() == 0 {
            let set = self.groups.tag_set(vec![]);
            self.groups.group(set, 0);
            self.grow();
        }
    }
}
