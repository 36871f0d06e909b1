//! [`SegmentWriter`]: points in, a segment's two files out.

use super::{SegmentId, SegmentMeta};
use crate::points::Points;
use bytes::Bytes;
use heddle_engines::point::SeriesLayout;
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, StorageId};
use std::path::Path;

/// Writes one segment. Dropped before [`Self::finish`] is done, it removes what it wrote.
pub struct SegmentWriter {
    meta: SegmentMeta,
}

impl SegmentWriter {
    /// Creates the segment's files, which must not exist, in `dir`.
    ///
    /// # Errors
    /// `53100` when the disk is full, `58030` for other failures of it.
    pub fn create(
        env: &Env,
        dir: &Path,
        id: SegmentId,
        storage: StorageId,
        partition: i64,
        sequence: LogIndex,
        layout: &SeriesLayout,
    ) -> Result<Self> {
        let _ = (env, dir);
        Ok(Self { meta: SegmentMeta::new(id, storage, partition, sequence, layout.fields.len()) })
    }

    /// Appends points that lie above all that were pushed before; a series may go on from one call to the next.
    ///
    /// # Errors
    /// `XX000` when they are not in order or do not have the layout's columns; those of [`Self::create`].
    pub fn push(&mut self, points: &Points) -> Result<()> {
        self.meta.rows += points.rows() as u64;
        Err(Error::internal("segments are not written yet"))
    }

    /// Adds a tombstone above all others: the point is gone from segments with a lower sequence.
    ///
    /// # Errors
    /// `XX000` when it is not in order.
    pub fn delete(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        let _ = (series, time_us);
        Err(Error::internal("segments are not written yet"))
    }

    /// Completes both files and syncs them. Their names are durable only after [`heddle_env::Disk::sync_dir`] of the folder.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn finish(self) -> Result<SegmentMeta> {
        Ok(self.meta)
    }
}
