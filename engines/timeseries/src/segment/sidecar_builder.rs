//! Gathers and writes a segment's sidecar, except for what the columns' own gatherers know.

use super::blocks::{self, Blocks};
use super::checked::Checksums;
use super::data_file::VERSION;
use super::directory::Directory;
use super::error::disk_error;
use super::sidecar::MAGIC;
use super::statistics::Gatherer;
use super::varint::{put, put_key, put_signed};
use super::{SegmentMeta, SeriesEntry, Tombstones};
use crate::points::Points;
use bytes::Bytes;
use heddle_env::{Disk, OpenMode};
use heddle_types::{Error, Result};
use std::path::Path;

/// See the module.
#[derive(Default)]
pub struct SidecarBuilder {
    series: Vec<SeriesEntry>,
    /// Complete ones.
    blocks: Blocks,
    /// The last block, which may go on.
    open: OpenBlock,
    deletes: Tombstones,
    rows: u64,
}

#[derive(Default)]
struct OpenBlock {
    rows: u64,
    first_us: i64,
    last_us: i64,
}

impl SidecarBuilder {
    /// Adds points.
    ///
    /// # Errors
    /// `XX000` when they are not in order.
    pub fn add(&mut self, points: &Points) -> Result<()> {
        let mut at = 0;
        for (key, rows) in &points.series {
            let run = at..at + rows;
            at = run.end;
            let Some(time) = points.time.get(run).filter(|time| !time.is_empty()) else {
                return Err(unordered());
            };
            self.enter(key, time)?;
            self.add_run(time);
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
            self.end_block();
            let (first_row, min_us) = (self.rows, time[0]);
            let blocks = self.blocks.len()..self.blocks.len();
            self.series.push(SeriesEntry { key: key.clone(), first_row, rows: 0, min_us, max_us: min_us, blocks });
        }
        Ok(())
    }

    /// Adds rows of the last series, hour by hour.
    fn add_run(&mut self, mut time: &[i64]) {
        let entry = self.series.last_mut().expect("it was entered");
        entry.rows += time.len() as u64;
        entry.max_us = time[time.len() - 1];
        self.rows += time.len() as u64;
        while !time.is_empty() {
            if blocks::ends(self.open.rows, self.open.last_us, time[0]) {
                self.end_block();
            }
            let n = blocks::within_hour(time).min((blocks::ROWS_MAX - self.open.rows) as usize);
            if self.open.rows == 0 {
                self.open.first_us = time[0];
            }
            self.open.rows += n as u64;
            self.open.last_us = time[n - 1];
            time = &time[n..];
        }
    }

    fn end_block(&mut self) {
        let OpenBlock { rows, first_us, last_us } = std::mem::take(&mut self.open);
        if rows > 0 {
            self.blocks.push(rows, first_us, last_us);
            self.series.last_mut().expect("it has rows").blocks.end = self.blocks.len();
        }
    }

    /// Blocks that are complete: how the last one ends is known when the next row is there, or none.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    /// No more points come.
    pub fn end(&mut self) {
        self.end_block();
    }

    /// Adds a tombstone.
    ///
    /// # Errors
    /// `XX000` when it is not above all others.
    pub fn delete(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        self.deletes.push(series, time_us)
    }

    /// Writes and syncs the file, after [`Self::end`]; completes `meta`.
    ///
    /// # Errors
    /// `53100` when the disk is full, `58030` for other failures of it.
    pub fn write(self, disk: &dyn Disk, path: &Path, meta: &mut SegmentMeta, data: Data) -> Result<()> {
        meta.rows = self.rows;
        meta.min_us = self.series.iter().map(|entry| entry.min_us).min().unwrap_or(i64::MAX);
        meta.max_us = self.series.iter().map(|entry| entry.max_us).max().unwrap_or(i64::MIN);
        meta.deletes = self.deletes.len() as u64;
        meta.file_bytes = data.checksums.len;
        let bytes = self.encode(meta, data);
        meta.sidecar_bytes = bytes.len() as u64;
        let file = disk.open(path, OpenMode::CreateNew).map_err(|e| disk_error("create", path, &e))?;
        file.write_all_at(&bytes, 0).map_err(|e| disk_error("write", path, &e))?;
        file.sync_all().map_err(|e| disk_error("sync", path, &e))
    }

    fn encode(&self, meta: &SegmentMeta, data: Data) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        put_meta(&mut out, meta);
        out.extend_from_slice(&data.types);
        data.checksums.blocks.iter().for_each(|block| out.extend_from_slice(&block.to_le_bytes()));
        data.directory.encode(&mut out);
        put(&mut out, self.blocks.len() as u128);
        self.blocks.encode(&mut out);
        self.put_series(&mut out);
        data.statistics.into_iter().flatten().for_each(|field| out.extend_from_slice(&field.finish()));
        put_deletes(&mut out, &self.deletes);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    fn put_series(&self, out: &mut Vec<u8>) {
        put(out, self.series.len() as u128);
        let mut before: &[u8] = &[];
        for entry in &self.series {
            put_key(out, before, &entry.key);
            put(out, entry.blocks.len() as u128);
            before = &entry.key;
        }
    }
}

/// What the sidecar keeps about a data file.
pub struct Data {
    /// Codes of time and fields.
    pub types: Vec<u8>,
    /// Of its bytes.
    pub checksums: Checksums,
    /// Where its pages lie.
    pub directory: Directory,
    /// Per field; `None` for types without statistics.
    pub statistics: Vec<Option<Gatherer>>,
}

fn unordered() -> Error {
    Error::internal("points for a segment are not in order")
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
        times.windows(2).for_each(|pair| put(out, pair[0].abs_diff(pair[1]).into()));
        before = key;
    }
}
