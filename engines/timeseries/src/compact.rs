//! Compaction: neighbouring segments of one partition become one.
//!
//! Which ones: from the newest segment back, as long as the next older one is not much larger than all of them together; when
//! that makes enough of them, they are merged. So a point is written again only into a segment that is a multiple of the one it
//! lay in, and a partition has few segments. When nothing is written any more, two are enough, and the older one may be larger.
//!
//! A [`Job`] goes forward batch by batch, so that a flush that becomes due never waits for it. Tombstones are dropped where no
//! older segment is left.

use crate::base::{Base, Place, SegmentFile};
use crate::bounds::Bounds;
use crate::columns::Gathered;
use crate::flush::{Output, SegmentIds, Target, WRITE_ROWS};
use crate::merge::{MergeOptions, Merger};
use crate::segment::{SegmentId, SegmentMeta};
use crate::shape::Shape;
use crate::source::Source;
use heddle_types::{LogIndex, Result, StorageId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A segment does not grow above this many points by compaction.
const SEGMENT_ROWS_MAX: u64 = 64 << 20;
/// Rows that a source of a compaction decodes at once.
const READ_ROWS: usize = 8 << 10;

/// When segments are merged.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// At least so many at once.
    pub files_min: usize,
    /// The next older segment is taken along when it has at most so many times the points of those taken already.
    pub ratio: u64,
}

impl Policy {
    /// While points come in.
    pub const BUSY: Self = Self { files_min: 4, ratio: 1 };
    /// When everything is flushed.
    pub const IDLE: Self = Self { files_min: 2, ratio: 8 };

    /// How many of the newest segments to merge, given their points, oldest first; 0 = leave them.
    fn choose(self, rows: &[u64]) -> usize {
        let mut sum = 0u64;
        let mut taken = 0;
        for &n in rows.iter().rev() {
            if taken > 0 && (n > sum.saturating_mul(self.ratio) || sum + n > SEGMENT_ROWS_MAX) {
                break;
            }
            sum += n;
            taken += 1;
        }
        if taken >= self.files_min { taken } else { 0 }
    }
}

/// A compaction under way.
pub struct Job {
    storage: StorageId,
    partition: i64,
    /// Oldest first.
    inputs: Vec<Arc<SegmentFile>>,
    /// Segments that are older than the inputs.
    older: Vec<Arc<SegmentFile>>,
    shape: Arc<Shape>,
    merger: Merger,
    output: Output,
}

/// What a step of a [`Job`] met.
pub enum Step {
    /// So many rows were read; there may be more.
    Rows(usize),
    /// All are read.
    End,
}

impl Job {
    /// The next compaction that is due. Partitions with an `unreadable` segment are left alone.
    ///
    /// # Errors
    /// Those of reading, with the segments that were to be merged.
    pub fn choose(
        place: &Place,
        base: &Base,
        policy: Policy,
        unreadable: &BTreeSet<SegmentId>,
        ids: &mut SegmentIds,
    ) -> Option<Result<Self, (Vec<SegmentId>, heddle_types::Error)>> {
        for (storage, stored) in &base.storages {
            for (partition, files) in &stored.partitions {
                let rows: Vec<u64> = files.iter().map(|file| file.meta.rows + file.meta.deletes).collect();
                let taken = policy.choose(&rows);
                if taken == 0 || files.iter().any(|file| unreadable.contains(&file.id())) {
                    continue;
                }
                let (older, inputs) = files.split_at(files.len() - taken);
                let bounds = Bounds { from_us: stored.expired_us, ..Bounds::all() };
                let merger = merger(inputs, &stored.shape, &bounds);
                let sequence = inputs.last().map_or(LogIndex(0), |file| file.meta.sequence);
                let target = Target { place, storage: *storage, partition: *partition, sequence };
                return Some(match merger {
                    Ok(merger) => Ok(Self {
                        storage: *storage,
                        partition: *partition,
                        inputs: inputs.to_vec(),
                        older: older.to_vec(),
                        shape: Arc::clone(&stored.shape),
                        merger,
                        output: Output::new(&target, ids.draw(), &stored.shape),
                    }),
                    Err(e) => Err((inputs.iter().map(|file| file.id()).collect(), e)),
                });
            }
        }
        None
    }

    /// The segments it merges.
    pub fn input_ids(&self) -> Vec<SegmentId> {
        self.inputs.iter().map(|file| file.id()).collect()
    }

    /// Are all inputs still in the base? Not when their storage was dropped or their partition expired.
    pub fn is_current(&self, base: &Base) -> bool {
        let files = base.partition(self.storage, self.partition);
        self.inputs.iter().all(|input| files.iter().any(|file| Arc::ptr_eq(file, input)))
    }

    /// Reads the next batch.
    ///
    /// # Errors
    /// Those of reading.
    pub fn read(&mut self) -> Result<Option<Gathered>> {
        self.merger.next_batch()
    }

    /// Writes what [`Self::read`] gave.
    ///
    /// # Errors
    /// Those of writing: `53100`, `58030`.
    pub fn write(&mut self, rows: Option<Gathered>) -> Result<Step> {
        let deletes = self.merger.take_deletes();
        let step = match rows {
            Some(rows) => {
                let n = rows.time.len() + deletes.len();
                self.output.push(rows)?;
                Step::Rows(n)
            }
            None => Step::End,
        };
        self.output.delete(deletes, &self.older)?;
        Ok(step)
    }

    /// Completes the new segment and puts it into the base in place of the inputs. Returns the base and the inputs.
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub fn finish(self, place: &Place, base: &Base) -> Result<(Base, Vec<Arc<SegmentFile>>)> {
        let meta: Option<SegmentMeta> = self.output.finish()?;
        let new = meta.map(|meta| SegmentFile::new(place, meta, &self.shape.layout));
        let mut base = base.clone();
        if let Some(stored) = base.storages.get_mut(&self.storage) {
            let partitions = &mut Arc::make_mut(stored).partitions;
            let files = partitions.entry(self.partition).or_default();
            let is_input = |file: &Arc<SegmentFile>| self.inputs.iter().any(|input| Arc::ptr_eq(input, file));
            let at = files.iter().position(is_input).unwrap_or(files.len());
            files.retain(|file| !is_input(file));
            files.splice(at..at, new);
            if files.is_empty() {
                partitions.remove(&self.partition);
            }
        }
        Ok((base, self.inputs))
    }
}

fn merger(inputs: &[Arc<SegmentFile>], shape: &Arc<Shape>, bounds: &Bounds) -> Result<Merger> {
    let fields: Arc<[usize]> = shape.fields.as_slice().into();
    let mut sources = Vec::new();
    for file in inputs.iter().rev() {
        let segment = file.open()?;
        sources.extend(Source::tombstones(segment.deletes(), segment.meta().sequence, bounds));
        sources.extend(Source::segment(&segment, shape, &fields, bounds, READ_ROWS, None)?);
    }
    let options = MergeOptions { batch_rows: WRITE_ROWS, written: false, deletes: true, all_cores: true };
    Ok(Merger::new(sources, bounds, &options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_partitions_have_few_segments_and_rewrite_little() {
        let mut rows: Vec<u64> = Vec::new();
        let mut rewritten = 0;
        for _ in 0..4095 {
            rows.push(100);
            let taken = Policy::BUSY.choose(&rows);
            let sum: u64 = rows.drain(rows.len() - taken..).sum();
            if taken > 0 {
                rewritten += sum;
                rows.push(sum);
            }
            assert!(rows.len() <= 3 + 12, "{rows:?}");
        }
        assert!(rewritten <= 409_500 * 12, "each point at most once per doubling: {rewritten}");
        let taken = Policy::IDLE.choose(&rows);
        assert_eq!(taken, rows.len(), "{rows:?}");
    }

    #[test]
    fn idle_checkpoints_leave_a_large_segment_alone() {
        assert_eq!(Policy::IDLE.choose(&[1000, 10]), 0);
        assert_eq!(Policy::IDLE.choose(&[1000, 10, 10]), 2);
        assert_eq!(Policy::IDLE.choose(&[80, 10]), 2);
        assert_eq!(Policy::IDLE.choose(&[5]), 0);
        assert_eq!(Policy::IDLE.choose(&[SEGMENT_ROWS_MAX, SEGMENT_ROWS_MAX]), 0);
    }
}
