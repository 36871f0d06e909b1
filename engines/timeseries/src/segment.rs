//! Segments: immutable files of points, sorted by (series key, time). A segment is a data file with the columns, in pages, and a
//! sidecar with all that is known about them: checksums, where pages and series lie, block statistics, tombstones.
//!
//! Flushes and compactions write them ([`SegmentWriter`]); scans read them ([`Segment`]). Which segments exist says the
//! manifest. Byte tables and the crash argument: docs/formats/segment.md.
//!
//!   Points -> SegmentWriter -> NNNN.seg + NNNN.idx -> Segment -> SegmentCursor -> SegmentBatch

mod blob;
mod blocks;
mod checked;
mod coding;
mod column_reader;
mod columns;
mod cursor;
mod data_file;
mod decimals;
mod directory;
mod error;
mod items;
mod numbers;
mod packed_columns;
mod sidecar;
mod sidecar_builder;
mod statistics;
mod statistics_column;
mod step_code;
mod step_reader;
mod steps;
mod times;
mod tombstones;
mod varint;
mod writer;

pub use blocks::{Blocks, COUNTED_ROWS_MIN, ROWS_MAX as BLOCK_ROWS_MAX};
pub use columns::GROUP_ROWS;
pub use cursor::{SegmentBatch, SegmentCursor};
pub use statistics::{FieldStatistics, FieldValues, Summaries};
pub use tombstones::Tombstones;
pub use writer::SegmentWriter;

use bytes::Bytes;
use checked::CheckedFile;
use heddle_engines::point::SeriesLayout;
use heddle_env::Env;
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, LogIndex, Result, StorageId};
use serde::{Deserialize, Serialize};
use sidecar::Sidecar;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Number of a segment's files, unique within the engine's folder, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// Where the points lie.
    pub fn data_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:04}.seg", self.0))
    }

    /// Where the sidecar lies.
    pub fn sidecar_path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:04}.idx", self.0))
    }

    /// The number in a file's name, of either file.
    pub fn from_file_name(name: &Path) -> Option<Self> {
        // "parquet" was the data file of version 1.
        let known = matches!(name.extension()?.to_str()?, "seg" | "idx" | "parquet");
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
    /// Length of the data file.
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
    for path in [id.sidecar_path(dir), id.data_path(dir)] {
        match env.disk.remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error::disk_error("remove", &path, &e)),
            _ => {}
        }
    }
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
    /// Numbers of its blocks in [`Segment::blocks`].
    pub blocks: Range<usize>,
}

/// An open segment.
pub struct Segment {
    env: Env,
    meta: SegmentMeta,
    layout: Arc<SeriesLayout>,
    sidecar: Sidecar,
    sidecar_path: PathBuf,
    file: CheckedFile,
}

impl Segment {
    /// Opens a segment: reads and verifies its sidecar. `layout` is the storage's newest one.
    ///
    /// # Errors
    /// `XX001` when a file is missing, cut or damaged (names it), `0A000` when another version wrote it, `58030` on read errors.
    pub fn open(env: &Env, dir: &Path, meta: SegmentMeta, layout: Arc<SeriesLayout>) -> Result<Arc<Self>> {
        let sidecar_path = meta.id.sidecar_path(dir);
        let mut sidecar = Sidecar::read(&*env.disk, &sidecar_path, &meta, &layout)?;
        let checksums = std::mem::take(&mut sidecar.checksums);
        let file = CheckedFile::open(&*env.disk, meta.id.data_path(dir), checksums)?;
        Ok(Arc::new(Self { env: env.clone(), meta, layout, sidecar, sidecar_path, file }))
    }

    /// What the manifest says about it.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Its series in key order.
    pub fn series(&self) -> &[SeriesEntry] {
        &self.sidecar.series
    }

    /// Its tombstones: points that are gone from segments with a lower sequence.
    pub fn deletes(&self) -> &Tombstones {
        &self.sidecar.deletes
    }

    /// Place of a series in [`Self::series`].
    pub fn find(&self, series: &[u8]) -> Option<usize> {
        self.series().binary_search_by(|entry| entry.key[..].cmp(series)).ok()
    }

    /// Rows of the series at place `entry` that may lie in `[from_us, to_us]`: all that do, and less than a block more at
    /// either end. Empty when none can.
    pub fn rows_between(&self, entry: usize, from_us: i64, to_us: i64) -> Range<u64> {
        self.sidecar.rows_between(entry, from_us, to_us)
    }

    /// Its blocks: runs of rows of one series that end with hours and days where they can, the unit of statistics.
    pub fn blocks(&self) -> &Blocks {
        &self.sidecar.blocks
    }

    /// Has `field` statistics? Not in all blocks.
    pub fn has_statistics(&self, field: usize) -> bool {
        matches!(self.sidecar.statistics.get(field), Some(Some(_)))
    }

    /// What is known about `field` in the blocks with these numbers, which are there: column by column, one entry per block. `None`
    /// for fields without statistics (other types than integers and floats, younger ones than the segment).
    ///
    /// # Errors
    /// `XX001` when they cannot be read.
    pub fn statistics(&self, field: usize, blocks: Range<usize>) -> Result<Option<FieldStatistics>> {
        let Some(Some(column)) = self.sidecar.statistics.get(field) else { return Ok(None) };
        error::guarded(&self.sidecar_path, || Ok(Some(column.read(&self.sidecar.blocks, blocks)?)))
    }

    /// Reads `ranges` of rows (ascending, disjoint) in batches of at most `batch_rows` contiguous rows, with the layout's
    /// `fields` in that order. A field that is younger than the segment is all NULL.
    ///
    /// # Errors
    /// As [`SegmentCursor::next_batch`].
    pub fn scan(
        self: &Arc<Self>,
        fields: &[usize],
        ranges: Vec<Range<u64>>,
        batch_rows: usize,
    ) -> Result<SegmentCursor> {
        cursor::check_ranges(self.meta.rows, &ranges)?;
        Ok(SegmentCursor::new(Arc::clone(self), fields, ranges, batch_rows))
    }

    /// All fields of the point of `series` at `time_us`.
    ///
    /// # Errors
    /// As [`SegmentCursor::next_batch`].
    pub fn get(self: &Arc<Self>, series: &[u8], time_us: i64) -> Result<Option<Vec<Datum>>> {
        let Some(entry) = self.find(series) else { return Ok(None) };
        let rows = self.rows_between(entry, time_us, time_us);
        if rows.is_empty() {
            return Ok(None);
        }
        let Some(row) = self.find_time(rows, time_us)? else { return Ok(None) };
        let row = row..row + 1;
        let fields: Vec<usize> = (0..self.layout.fields.len()).collect();
        let batch = self.scan(&fields, vec![row], 1)?.next_batch()?;
        let values = |batch: SegmentBatch| {
            let columns = batch.fields.iter().zip(&self.layout.fields);
            columns.map(|(column, field)| datum_at(column, field.ty, 0)).collect()
        };
        Ok(batch.map(values))
    }

    /// The row among `rows` (of one series) that has this time.
    fn find_time(self: &Arc<Self>, rows: Range<u64>, time_us: i64) -> Result<Option<u64>> {
        let mut cursor = self.scan(&[], vec![rows], BLOCK_ROWS_MAX as usize)?;
        while let Some(batch) = cursor.next_batch()? {
            if let Ok(place) = batch.time.values().binary_search(&time_us) {
                return Ok(Some(batch.first_row + place as u64));
            }
        }
        Ok(None)
    }

    /// Reads both files and checks every checksum.
    ///
    /// # Errors
    /// `XX001` on a mismatch (names the file), `58030` on read errors.
    pub fn verify(&self) -> Result<()> {
        Sidecar::verify(&*self.env.disk, &self.sidecar_path, &self.meta)?;
        self.file.verify()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_hold_their_number() {
        for id in [SegmentId(0), SegmentId(7), SegmentId(123_456)] {
            for path in [id.data_path(Path::new("/d")), id.sidecar_path(Path::new("/d"))] {
                assert_eq!(SegmentId::from_file_name(Path::new(path.file_name().expect("it has one"))), Some(id));
            }
        }
        for name in ["manifest", "0001.tmp", "x.idx", "+1.idx", ".parquet"] {
            assert_eq!(SegmentId::from_file_name(Path::new(name)), None, "{name}");
        }
    }
}
