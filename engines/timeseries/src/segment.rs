//! Segments: immutable files of points, sorted by (series key, time). A segment is a Parquet file that any tool can read,
//! and a sidecar with what only we need: checksums, where each series lies, block statistics, tombstones.
//!
//! Flushes and compactions write them ([`SegmentWriter`]); scans read them ([`Segment`]). Which segments exist says the
//! manifest. Byte tables and the crash argument: docs/formats/segment.md.
//!
//!   Points -> SegmentWriter -> NNNN.parquet + NNNN.idx -> Segment -> SegmentCursor -> SegmentBatch

mod checked;
mod columns;
mod cursor;
mod encodings;
mod error;
mod group;
mod sidecar;
mod statistics;
mod tombstones;
mod varint;
mod writer;

pub use cursor::{SegmentBatch, SegmentCursor};
pub use statistics::{BLOCK_ROWS, BlockStatistics, Summary};
pub use tombstones::Tombstones;
pub use writer::SegmentWriter;

use bytes::Bytes;
use checked::CheckedFile;
use heddle_engines::point::SeriesLayout;
use heddle_env::Env;
use heddle_types::arrow::datum_at;
use heddle_types::{Datum, LogIndex, Result, StorageId};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetStatisticsPolicy};
use serde::{Deserialize, Serialize};
use sidecar::Sidecar;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

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
    for path in [id.sidecar_path(dir), id.parquet_path(dir)] {
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
}

/// An open segment.
pub struct Segment {
    env: Env,
    meta: SegmentMeta,
    layout: Arc<SeriesLayout>,
    sidecar: Sidecar,
    sidecar_path: PathBuf,
    file: CheckedFile,
    /// The Parquet file's footer, once it was needed.
    metadata: OnceLock<ArrowReaderMetadata>,
}

impl Segment {
    /// Opens a segment: reads and verifies its sidecar. `layout` is the storage's newest one.
    ///
    /// # Errors
    /// `XX001` when a file is missing, cut or damaged (names it), `0A000` when a newer version wrote it, `58030` on read errors.
    pub fn open(env: &Env, dir: &Path, meta: SegmentMeta, layout: Arc<SeriesLayout>) -> Result<Arc<Self>> {
        let sidecar_path = meta.id.sidecar_path(dir);
        let mut sidecar = Sidecar::read(&*env.disk, &sidecar_path, &meta, &layout)?;
        let checksums = std::mem::take(&mut sidecar.parquet);
        let file = CheckedFile::open(&*env.disk, meta.id.parquet_path(dir), checksums)?;
        Ok(Arc::new(Self { env: env.clone(), meta, layout, sidecar, sidecar_path, file, metadata: OnceLock::new() }))
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

    /// First times of the blocks of the series at place `entry`: block `n` has its rows from `n` * [`BLOCK_ROWS`] on.
    pub fn block_starts(&self, entry: usize) -> &[i64] {
        self.sidecar.block_starts(entry)
    }

    /// What is known about `field` in each block of the series at place `entry`: `None` for short blocks, and for all blocks
    /// of fields without statistics (other types than integers and floats, younger ones than the segment).
    ///
    /// # Errors
    /// `XX001` when they cannot be read.
    pub fn statistics(&self, entry: usize, field: usize) -> Result<Vec<Option<BlockStatistics>>> {
        if field >= self.meta.fields || !statistics::counted(self.layout.fields[field].ty) {
            return Ok(vec![None; self.block_starts(entry).len()]);
        }
        let malformed = || error::damaged(&self.sidecar_path, "Its block statistics are malformed.");
        self.sidecar.statistics(entry, field).ok_or_else(malformed)
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
        SegmentCursor::open(Arc::clone(self), fields, ranges, batch_rows)
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
        let mut cursor = self.scan(&[], vec![rows], BLOCK_ROWS as usize)?;
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

    /// The Parquet file's footer and offset index.
    fn metadata(&self) -> Result<&ArrowReaderMetadata> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        // Statistics and column index are for other tools.
        let options = ArrowReaderOptions::new()
            .with_offset_index_policy(PageIndexPolicy::Required)
            .with_column_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        let path = self.file.path();
        let metadata = ArrowReaderMetadata::load(&self.file, options).map_err(|e| error::decode_error(path, e))?;
        if !columns::fits(metadata.schema(), &self.layout, self.meta.fields) {
            return Err(error::damaged(path, "Its columns are not those of its table."));
        }
        Ok(self.metadata.get_or_init(|| metadata))
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
