//! The sidecar: what we know about a segment beside its Parquet file. Byte table in docs/formats/segment.md.
//!
//! [`SidecarBuilder`] sees the points as the writer does; [`Sidecar`] is the file read back, whole and checked, kept in memory
//! while the segment is open.

use super::checked::Checksums;
use super::error::{damaged, disk_error, read_error, too_new};
use super::statistics::{BLOCK_ROWS, BlockStatistics, ColumnStatistics, StatisticsColumn};
use super::varint::{Input, put, put_key, put_signed};
use super::{SegmentId, SegmentMeta, SeriesEntry, Tombstones};
use crate::points::Points;
use bytes::Bytes;
use heddle_engines::point::SeriesLayout;
use heddle_env::{Disk, OpenMode};
use heddle_types::{Error, LogIndex, Result, StorageId};
use std::ops::Range;
use std::path::Path;

const MAGIC: &[u8; 8] = b"HEDLSEGI";
const VERSION: u32 = 1;
/// Magic, version, and the checksum at the end.
const FRAME_BYTES: usize = 8 + 4 + 4;

/// Gathers the sidecar of a segment that is being written.
pub struct SidecarBuilder {
    series: Vec<SeriesEntry>,
    /// First time of each block of each series.
    block_starts: Vec<i64>,
    /// Per field.
    statistics: Vec<Option<ColumnStatistics>>,
    deletes: Tombstones,
    rows: u64,
}

impl SidecarBuilder {
    /// For points of `layout`.
    pub fn new(layout: &SeriesLayout) -> Self {
        let statistics = layout.fields.iter().map(|field| ColumnStatistics::new(field.ty)).collect();
        let (series, block_starts, deletes) = (Vec::new(), Vec::new(), Tombstones::default());
        Self { series, block_starts, statistics, deletes, rows: 0 }
    }

    /// Adds points, whose columns are the layout's.
    ///
    /// # Errors
    /// `XX000` when they are not in order.
    pub fn add(&mut self, points: &Points) -> Result<()> {
        let mut at = 0;
        for (key, rows) in &points.series {
            let run = at..at + rows;
            at = run.end;
            let Some(time) = points.time.get(run.clone()).filter(|time| !time.is_empty()) else {
                return Err(unordered());
            };
            self.enter(key, time)?;
            self.add_run(points, run);
        }
        if at == points.time.len() { Ok(()) } else { Err(unordered()) }
    }

    /// Goes on with the series `key`, or begins it.
    fn enter(&mut self, key: &Bytes, time: &[i64]) -> Result<()> {
        let last = self.series.last();
        let goes_on = last.is_some_and(|last| last.key == *key);
        let above = last.is_none_or(|last| if goes_on { last.max_us < time[0] } else { last.key < *key });
        if !above || !time.is_sorted_by(|a, b| a < b) {
            return Err(unordered());
        }
        if !goes_on {
            self.end_series();
            let (first_row, min_us) = (self.rows, time[0]);
            self.series.push(SeriesEntry { key: key.clone(), first_row, rows: 0, min_us, max_us: min_us });
        }
        Ok(())
    }

    /// Adds rows of the last series.
    fn add_run(&mut self, points: &Points, mut run: Range<usize>) {
        let entry = self.series.last_mut().expect("it was entered");
        entry.max_us = points.time[run.end - 1];
        self.rows += run.len() as u64;
        while !run.is_empty() {
            let in_block = entry.rows % BLOCK_ROWS;
            if in_block == 0 {
                self.block_starts.push(points.time[run.start]);
            }
            let n = ((BLOCK_ROWS - in_block) as usize).min(run.len());
            let piece = run.start..run.start + n;
            entry.rows += n as u64;
            let complete = entry.rows.is_multiple_of(BLOCK_ROWS);
            for (statistics, column) in self.statistics.iter_mut().zip(&points.fields) {
                let Some(statistics) = statistics else { continue };
                statistics.add(column, piece.clone());
                if complete {
                    statistics.end_block(BLOCK_ROWS);
                }
            }
            run.start += n;
        }
    }

    fn end_series(&mut self) {
        let rest = self.series.last().map_or(0, |entry| entry.rows % BLOCK_ROWS);
        if rest > 0 {
            self.statistics.iter_mut().flatten().for_each(|statistics| statistics.end_block(rest));
        }
    }

    /// Adds a tombstone.
    ///
    /// # Errors
    /// `XX000` when it is not above all others.
    pub fn delete(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        self.deletes.push(series, time_us)
    }

    /// Writes and syncs the file, beside a Parquet file with these checksums; completes `meta`.
    pub fn write(mut self, disk: &dyn Disk, path: &Path, meta: &mut SegmentMeta, parquet: &Checksums) -> Result<()> {
        self.end_series();
        meta.rows = self.rows;
        meta.min_us = self.series.iter().map(|entry| entry.min_us).min().unwrap_or(i64::MAX);
        meta.max_us = self.series.iter().map(|entry| entry.max_us).max().unwrap_or(i64::MIN);
        meta.deletes = self.deletes.len() as u64;
        meta.file_bytes = parquet.len;
        let bytes = self.encode(meta, parquet);
        meta.sidecar_bytes = bytes.len() as u64;
        let file = disk.open(path, OpenMode::CreateNew).map_err(|e| disk_error("create", path, &e))?;
        file.write_all_at(&bytes, 0).map_err(|e| disk_error("write", path, &e))?;
        file.sync_all().map_err(|e| disk_error("sync", path, &e))
    }

    fn encode(&self, meta: &SegmentMeta, parquet: &Checksums) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        put_meta(&mut out, meta);
        parquet.blocks.iter().for_each(|block| out.extend_from_slice(&block.to_le_bytes()));
        self.put_series(&mut out);
        for statistics in &self.statistics {
            let bytes = statistics.as_ref().map_or(&[][..], |statistics| &statistics.bytes);
            put(&mut out, bytes.len() as u128);
            out.extend_from_slice(bytes);
        }
        put_deletes(&mut out, &self.deletes);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn put_series(&self, out: &mut Vec<u8>) {
        put(out, self.series.len() as u128);
        let mut starts = self.block_starts.iter();
        let (mut before, mut before_us): (&[u8], i64) = (&[], 0);
        for entry in &self.series {
            put_key(out, before, &entry.key);
            put(out, entry.rows.into());
            put_signed(out, i128::from(entry.min_us) - i128::from(before_us));
            put(out, apart(entry.min_us, entry.max_us));
            let blocks = entry.rows.div_ceil(BLOCK_ROWS) as usize;
            let starts: Vec<i64> = starts.by_ref().take(blocks).copied().collect();
            starts.windows(2).for_each(|pair| put(out, apart(pair[0], pair[1])));
            (before, before_us) = (&entry.key, entry.min_us);
        }
    }
}

fn unordered() -> Error {
    Error::internal("points for a segment are not in order")
}

/// Microseconds from `a` up to `b`.
fn apart(a: i64, b: i64) -> u128 {
    b.abs_diff(a).into()
}

fn put_meta(out: &mut Vec<u8>, meta: &SegmentMeta) {
    for v in [meta.id.0, meta.storage.0, meta.sequence.0, meta.rows, meta.fields as u64, meta.file_bytes] {
        put(out, v.into());
    }
    put_signed(out, meta.partition.into());
}

fn put_deletes(out: &mut Vec<u8>, deletes: &Tombstones) {
    put(out, deletes.iter().count() as u128);
    let mut before: &[u8] = &[];
    for (key, times) in deletes.iter() {
        put_key(out, before, key);
        put(out, times.len() as u128);
        put_signed(out, times[0].into());
        times.windows(2).for_each(|pair| put(out, apart(pair[0], pair[1])));
        before = key;
    }
}

/// A sidecar in memory.
pub struct Sidecar {
    /// Of the Parquet file.
    pub parquet: Checksums,
    /// In key order.
    pub series: Vec<SeriesEntry>,
    /// Tombstones.
    pub deletes: Tombstones,
    /// First time of each block of each series.
    block_starts: Vec<i64>,
    /// Place in `block_starts` of each series' first block.
    first_blocks: Vec<usize>,
    /// Per field of the segment.
    statistics: Vec<StatisticsColumn>,
    /// Rows of each series: what `statistics` are read with.
    rows: Vec<u64>,
}

impl Sidecar {
    /// Reads and checks the file, which must be that of `meta`.
    ///
    /// # Errors
    /// `XX001` when it is missing, damaged or another segment's, `0A000` when a newer version wrote it, `58030` on read errors.
    pub fn read(disk: &dyn Disk, path: &Path, meta: &SegmentMeta, layout: &SeriesLayout) -> Result<Self> {
        let bytes = read_checked(disk, path, meta.sidecar_bytes)?;
        let mut input = Input(&bytes[MAGIC.len() + 4..bytes.len() - 4]);
        let malformed = || damaged(path, "It is malformed.");
        let found = take_meta(&mut input).ok_or_else(malformed)?;
        let expected = SegmentMeta { min_us: 0, max_us: 0, deletes: 0, sidecar_bytes: 0, ..meta.clone() };
        if found != expected {
            return Err(damaged(path, "It belongs to another segment."));
        }
        let this = Self::decode(&mut input, meta, layout).filter(|_| input.0.is_empty()).ok_or_else(malformed)?;
        let rows: u64 = this.rows.iter().sum();
        if rows == meta.rows && this.deletes.len() as u64 == meta.deletes { Ok(this) } else { Err(malformed()) }
    }

    /// Reads the file again and compares its checksum.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn verify(disk: &dyn Disk, path: &Path, meta: &SegmentMeta) -> Result<()> {
        read_checked(disk, path, meta.sidecar_bytes).map(drop)
    }

    fn decode(input: &mut Input<'_>, meta: &SegmentMeta, layout: &SeriesLayout) -> Option<Self> {
        let blocks = (meta.file_bytes.div_ceil(super::checked::BLOCK as u64)) as usize;
        let (words, _) = input.take(blocks.checked_mul(4)?)?.as_chunks::<4>();
        let parquet =
            Checksums { len: meta.file_bytes, blocks: words.iter().map(|word| u32::from_le_bytes(*word)).collect() };
        let (series, block_starts, first_blocks) = take_series(input)?;
        let mut statistics = Vec::new();
        for field in layout.fields.get(..meta.fields)? {
            let n = input.count()?;
            statistics.push(StatisticsColumn::new(field.ty, input.take(n)?.to_vec()));
        }
        let deletes = take_deletes(input)?;
        let rows = series.iter().map(|entry| entry.rows).collect();
        Some(Self { parquet, series, deletes, block_starts, first_blocks, statistics, rows })
    }

    /// Rows of series number `entry` that may lie in `[from_us, to_us]`.
    pub fn rows_between(&self, entry: usize, from_us: i64, to_us: i64) -> Range<u64> {
        let series = &self.series[entry];
        let empty = series.first_row..series.first_row;
        if from_us > series.max_us || to_us < series.min_us || from_us > to_us {
            return empty;
        }
        let starts = self.block_starts(entry);
        // The block before the first one that starts above `from_us` may reach into the range.
        let first = starts.partition_point(|start| *start <= from_us).saturating_sub(1) as u64;
        let end = starts.partition_point(|start| *start <= to_us) as u64;
        let row = |block: u64| series.first_row + (block * BLOCK_ROWS).min(series.rows);
        row(first)..row(end)
    }

    /// First times of the blocks of series number `entry`.
    pub fn block_starts(&self, entry: usize) -> &[i64] {
        let first = self.first_blocks[entry];
        &self.block_starts[first..first + self.rows[entry].div_ceil(BLOCK_ROWS) as usize]
    }

    /// Statistics of `field` for each block of series number `entry`; `None` = malformed, which the checksum excludes.
    pub fn statistics(&self, entry: usize, field: usize) -> Option<Vec<Option<BlockStatistics>>> {
        self.statistics.get(field)?.blocks(&self.rows, entry)
    }
}

/// The file's bytes; they have room for the frame, and the right checksum, magic and version.
fn read_checked(disk: &dyn Disk, path: &Path, expected: u64) -> Result<Vec<u8>> {
    let read = |e: std::io::Error| read_error(path, &e);
    let file = disk.open(path, OpenMode::Read).map_err(read)?;
    let len = file.len().map_err(read)?;
    if len != expected || len < FRAME_BYTES as u64 {
        return Err(damaged(path, format!("It has {len} bytes, {expected} were written.")));
    }
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(&mut bytes, 0).map_err(read)?;
    let (body, checksum) = bytes.split_at(bytes.len() - 4);
    if crc32c::crc32c(body).to_le_bytes() != checksum {
        return Err(damaged(path, "Its checksum is wrong."));
    }
    let mut header = Input(body);
    if header.take(MAGIC.len()) != Some(MAGIC) {
        return Err(damaged(path, "It is not a sidecar."));
    }
    match header.u32() {
        Some(VERSION) => Ok(bytes),
        other => Err(too_new(path, other.unwrap_or(0))),
    }
}

/// What [`put_meta`] wrote; the rest is 0.
fn take_meta(input: &mut Input<'_>) -> Option<SegmentMeta> {
    let (id, storage, sequence) = (SegmentId(input.u64()?), StorageId(input.u64()?), LogIndex(input.u64()?));
    let (rows, fields, file_bytes) = (input.u64()?, input.u64()? as usize, input.u64()?);
    let partition = input.i64()?;
    let (min_us, max_us, deletes, sidecar_bytes) = (0, 0, 0, 0);
    Some(SegmentMeta {
        id,
        storage,
        partition,
        sequence,
        rows,
        min_us,
        max_us,
        deletes,
        file_bytes,
        sidecar_bytes,
        fields,
    })
}

/// Entries, first times of blocks, and where each entry's begin.
type Series = (Vec<SeriesEntry>, Vec<i64>, Vec<usize>);

fn take_series(input: &mut Input<'_>) -> Option<Series> {
    let n = input.count()?;
    let (mut series, mut starts, mut first_blocks) = (Vec::with_capacity(n), Vec::new(), Vec::with_capacity(n));
    // All keys lie in one buffer.
    let (mut keys, mut ends) = (Vec::new(), Vec::with_capacity(n));
    let (mut before, mut before_us, mut first_row) = (0..0, 0i64, 0u64);
    for _ in 0..n {
        before = input.key(&mut keys, before)?;
        ends.push(before.end);
        let rows = input.u64().filter(|rows| *rows > 0)?;
        let min_us = add(before_us, input.wide_signed()?)?;
        let max_us = add(min_us, input.wide()?.try_into().ok()?)?;
        first_blocks.push(starts.len());
        starts.push(min_us);
        for _ in 1..rows.div_ceil(BLOCK_ROWS) {
            starts.push(add(*starts.last()?, input.wide()?.try_into().ok()?)?);
        }
        series.push(SeriesEntry { key: Bytes::new(), first_row, rows, min_us, max_us });
        first_row = first_row.checked_add(rows)?;
        before_us = min_us;
    }
    let keys = Bytes::from(keys);
    let mut start = 0;
    for (entry, end) in series.iter_mut().zip(ends) {
        entry.key = keys.slice(start..end);
        start = end;
    }
    Some((series, starts, first_blocks))
}

fn take_deletes(input: &mut Input<'_>) -> Option<Tombstones> {
    let mut deletes = Tombstones::default();
    let (mut keys, mut before) = (Vec::new(), 0..0);
    for _ in 0..input.count()? {
        before = input.key(&mut keys, before)?;
        let key = Bytes::copy_from_slice(&keys[before.clone()]);
        let n = input.count()?;
        let mut time = input.i64()?;
        deletes.push(&key, time).ok()?;
        for _ in 1..n {
            time = add(time, input.wide()?.try_into().ok()?)?;
            deletes.push(&key, time).ok()?;
        }
    }
    Some(deletes)
}

fn add(time_us: i64, delta: i128) -> Option<i64> {
    i128::from(time_us).checked_add(delta)?.try_into().ok()
}
