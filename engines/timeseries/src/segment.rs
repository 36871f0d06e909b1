//! Segments: immutable files of points, sorted by (series key, time). A segment is a Parquet file that any tool can read,
//! and a sidecar with what only we need: checksums, where each series lies, block statistics, tombstones.
//!
//! Flushes and compactions write them ([`SegmentWriter`]); scans read them ([`Segment`]). Which segments exist says the
//! manifest. Byte tables and the crash argument: docs/formats/segment.md.
//!
//!   Points -> SegmentWriter -> NNNN.parquet + NNNN.idx -> Segment -> SegmentCursor -> SegmentBatch

mod cursor;
mod tombstones;
mod writer;

pub use cursor::{SegmentBatch, SegmentCursor};
pub use tombstones::Tombstones;
pub use writer::SegmentWriter;

use bytes::Bytes;
use heddle_engines::point::SeriesLayout;
use heddle_env::Env;
use heddle_types::{Datum, LogIndex, Result, StorageId};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of a segment's files, unique within the engine's folder, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// Where the points lie.
    pub fn parquet_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:04}.parquet", self.0))
    }

    /// Where the sidecar lies.
    pub fn sidecar_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:04}.idx", self.0))
    }

    /// The number in a file's name, of either file.
    pub fn from_file_name(name: &Path) -> Option<Self> {
        let known = matches!(name.extension()?.to_str()?, "parquet" | "idx");
        let stem = name.file_stem()?.to_str()?;
        (known && stem.bytes().all(|b| b.is_ascii_digit())).then(|| stem.parse().ok().map(Self))?
    }
}

/// What the manifest keeps about a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentMeta {
    /// Its files.
    pub id: SegmentId,
    /// Whose points they are.
    pub storage: StorageId,
    /// Their partition ([`heddle_engines::point::PartitionInterval::number`]).
    pub partition: i64,
    /// Highest log index in it.
    pub sequence: LogIndex,
    /// Points.
    pub rows: u64,
    /// Lowest time; `i64::MAX` without rows.
    pub min_us: i64,
    /// Highest time; `i64::MIN` without rows.
    pub max_us: i64,
    /// Tombstones.
    pub deletes: u64,
    /// Length of the Parquet file.
    pub file_bytes: u64,
    /// Length of the sidecar.
    pub sidecar_bytes: u64,
    /// How many fields the layout had; later ones read as NULL.
    pub fields: usize,
}

impl SegmentMeta {
    /// A segment without points.
    fn new(id: SegmentId, storage: StorageId, partition: i64, sequence: LogIndex, fields: usize) -> Self {
        let (min_us, max_us) = (i64::MAX, i64::MIN);
        let (rows, deletes, file_bytes, sidecar_bytes) = (0, 0, 0, 0);
        Self { id, storage, partition, sequence, rows, min_us, max_us, deletes, file_bytes, sidecar_bytes, fields }
    }
}

/// Removes a segment's files, as far as they are there.
///
/// # Errors
/// `58030` when the disk refuses.
pub fn remove(env: &Env, dir: &Path, id: SegmentId) -> Result<()> {
    let _ = (env, dir, id);
    Ok(())
}

/// Where one series lies in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// Its key.
    pub key: Bytes,
    /// Row number of its first point.
    pub first_row: u64,
    /// Its points, at least one.
    pub rows: u64,
    /// Lowest time.
    pub min_us: i64,
    /// Highest time.
    pub max_us: i64,
}

/// An open segment.
pub struct Segment {
    meta: SegmentMeta,
    series: Vec<SeriesEntry>,
    deletes: Tombstones,
}

impl Segment {
    /// Opens a segment: reads and verifies its sidecar. `layout` is the storage's newest one.
    ///
    /// # Errors
    /// `XX001` when a file is missing, cut or damaged (names it), `58030` on read errors.
    pub fn open(env: &Env, dir: &Path, meta: SegmentMeta, layout: Arc<SeriesLayout>) -> Result<Arc<Self>> {
        let _ = (env, dir, layout);
        Ok(Arc::new(Self { meta, series: Vec::new(), deletes: Tombstones::default() }))
    }

    /// What the manifest says about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Its series in key order.
    pub fn series(&self) -> &[SeriesEntry] {
        &self.series
    }

    /// Its tombstones: points that are gone from segments with a lower sequence.
    pub fn deletes(&self) -> &Tombstones {
        &self.deletes
    }

    /// Place of a series in [`Self::series`].
    pub fn find(&self, series: &[u8]) -> Option<usize> {
        self.series.binary_search_by(|entry| entry.key[..].cmp(series)).ok()
    }

    /// Rows of the series at place `entry` that may lie in `[from_us, to_us]`: all that do, and a block more at either end.
    pub fn rows_between(&self, entry: usize, from_us: i64, to_us: i64) -> Range<u64> {
        let _ = (from_us, to_us);
        let entry = &self.series[entry];
        entry.first_row..entry.first_row + entry.rows
    }

    /// Reads `ranges` of rows (ascending, disjoint, not empty) in batches of at most `batch_rows` contiguous rows, with the
    /// layout's `fields` in that order. A field that is younger than the segment is all NULL.
    ///
    /// # Errors
    /// As [`SegmentCursor::next_batch`].
    pub fn scan(
        self: &Arc<Self>,
        fields: &[usize],
        ranges: Vec<Range<u64>>,
        batch_rows: usize,
    ) -> Result<SegmentCursor> {
        let _ = (fields, ranges, batch_rows);
        Ok(SegmentCursor {})
    }

    /// All fields of the point of `series` at `time_us`.
    ///
    /// # Errors
    /// As [`SegmentCursor::next_batch`].
    pub fn get(self: &Arc<Self>, series: &[u8], time_us: i64) -> Result<Option<Vec<Datum>>> {
        let _ = (series, time_us);
        Ok(None)
    }

    /// Reads both files and checks every checksum.
    ///
    /// # Errors
    /// `XX001` on a mismatch (names the file), `58030` on read errors.
    pub fn verify(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_hold_their_number() {
        for id in [SegmentId(0), SegmentId(7), SegmentId(123_456)] {
            for path in [id.parquet_path(Path::new("/d")), id.sidecar_path(Path::new("/d"))] {
                assert_eq!(SegmentId::from_file_name(Path::new(path.file_name().expect("it has one"))), Some(id));
            }
        }
        for name in ["manifest", "0001.tmp", "x.idx", "+1.idx", ".parquet"] {
            assert_eq!(SegmentId::from_file_name(Path::new(name)), None, "{name}");
        }
    }
}
