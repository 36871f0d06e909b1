//! The sidecar: what we know about a segment beside its data file. Byte table in docs/formats/segment.md.
//!
//! [`Sidecar`] is the file read back, whole and checked, kept in memory while the segment is open. Block statistics stay encoded.
//! [`super::sidecar_builder`] writes it.

use super::blocks::Blocks;
use super::checked::{BLOCK, Checksums};
use super::columns::type_codes;
use super::data_file::{PCO_ALONE, VERSION};
use super::directory::Directory;
use super::error::{Malformed, damaged, guarded, other_version, read_error};
use super::statistics_column::StatisticsColumn;
use super::varint::Input;
use super::{SegmentId, SegmentMeta, SeriesEntry, Tombstones};
use bytes::Bytes;
use heddle_engines::point::SeriesLayout;
use heddle_env::{Disk, OpenMode};
use heddle_types::{LogIndex, Result, StorageId};
use std::ops::Range;
use std::path::Path;

pub(super) const MAGIC: &[u8; 8] = b"HEDLSEGI";
/// Magic, version, and the checksum at the end.
const FRAME_BYTES: usize = 8 + 4 + 4;

/// See the module.
pub struct Sidecar {
    /// Of both files.
    pub version: u32,
    /// Of the data file.
    pub checksums: Checksums,
    /// Where its pages lie.
    pub directory: Directory,
    /// In key order.
    pub series: Vec<SeriesEntry>,
    /// Of all series.
    pub blocks: Blocks,
    /// Per field of the segment; `None` for types without statistics.
    pub statistics: Vec<Option<StatisticsColumn>>,
    /// Tombstones.
    pub deletes: Tombstones,
}

impl Sidecar {
    /// Reads and checks the file, which must be that of `meta`.
    ///
    /// # Errors
    /// `XX001` when it is missing, damaged or another segment's, `0A000` when another version wrote it, `58030` on read errors.
    pub fn read(disk: &dyn Disk, path: &Path, meta: &SegmentMeta, layout: &SeriesLayout) -> Result<Self> {
        let (bytes, version) = read_checked(disk, path, meta.sidecar_bytes)?;
        let mut input = Input(&bytes[MAGIC.len() + 4..bytes.len() - 4]);
        let found = take_meta(&mut input).ok_or_else(|| damaged(path, "It is malformed."))?;
        let expected = SegmentMeta { min_us: 0, max_us: 0, deletes: 0, sidecar_bytes: 0, ..meta.clone() };
        if found != expected {
            return Err(damaged(path, "It belongs to another segment."));
        }
        guarded(path, || Ok(Self::decode(&mut input, version, meta, layout)?))
    }

    /// Reads the file again and compares its checksum.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn verify(disk: &dyn Disk, path: &Path, meta: &SegmentMeta) -> Result<()> {
        read_checked(disk, path, meta.sidecar_bytes).map(drop)
    }

    fn decode(
        input: &mut Input<'_>,
        version: u32,
        meta: &SegmentMeta,
        layout: &SeriesLayout,
    ) -> Result<Self, Malformed> {
        let cut = || Malformed::new("it is cut short");
        if input.take(1 + meta.fields) != Some(&type_codes(layout, meta.fields)) {
            return Err(Malformed::new("its columns are not those of its table"));
        }
        let checksums = take_checksums(input, meta.file_bytes).ok_or_else(cut)?;
        let fields = layout.fields.get(..meta.fields).ok_or_else(|| Malformed::new("it has too many fields"))?;
        let directory = Directory::decode(input, meta)?;
        let blocks = input.u64().filter(|n| *n <= meta.rows).ok_or_else(cut)? as usize;
        let blocks = Blocks::decode(input, blocks)?;
        let series = take_series(input, &blocks)?;
        let statistics = fields.iter().map(|field| StatisticsColumn::decode(input, field.ty, blocks.len()));
        let statistics = statistics.collect::<Result<_, _>>()?;
        let deletes = take_deletes(input).ok_or_else(cut)?;
        let rows = blocks.ends().last().copied().unwrap_or(0);
        if rows != meta.rows || deletes.len() as u64 != meta.deletes || !input.0.is_empty() {
            return Err(Malformed::new("it has other points or deletes than the segment"));
        }
        Ok(Self { version, checksums, directory, series, blocks, statistics, deletes })
    }

    /// Rows of series number `entry` that may lie in `[from_us, to_us]`.
    pub fn rows_between(&self, entry: usize, from_us: i64, to_us: i64) -> Range<u64> {
        let series = &self.series[entry];
        let blocks = series.blocks.clone();
        let first = blocks.start + self.blocks.last_us()[blocks.clone()].partition_point(|last| *last < from_us);
        let end = blocks.start + self.blocks.first_us()[blocks].partition_point(|first| *first <= to_us);
        if first >= end {
            return series.first_row..series.first_row;
        }
        self.blocks.rows(first).start..self.blocks.rows(end - 1).end
    }
}

fn take_checksums(input: &mut Input<'_>, len: u64) -> Option<Checksums> {
    let blocks = usize::try_from(len.div_ceil(BLOCK as u64)).ok()?;
    let (words, _) = input.take(blocks.checked_mul(4)?)?.as_chunks::<4>();
    Some(Checksums { len, blocks: words.iter().map(|word| u32::from_le_bytes(*word)).collect() })
}

/// The file's bytes and version; they have room for the frame, and the right checksum and magic.
fn read_checked(disk: &dyn Disk, path: &Path, expected: u64) -> Result<(Vec<u8>, u32)> {
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
        Some(version @ (VERSION | PCO_ALONE)) => Ok((bytes, version)),
        other => Err(other_version(path, other.unwrap_or(0), VERSION)),
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

/// The series, which have all `blocks` between them.
fn take_series(input: &mut Input<'_>, blocks: &Blocks) -> Result<Vec<SeriesEntry>, Malformed> {
    let wrong = || Malformed::new("its series do not have its blocks");
    let n = input.count().ok_or_else(wrong)?;
    let mut series: Vec<SeriesEntry> = Vec::with_capacity(n);
    // All keys lie in one buffer.
    let (mut keys, mut ends, mut before) = (Vec::new(), Vec::with_capacity(n), 0..0);
    for _ in 0..n {
        before = input.key(&mut keys, before).ok_or_else(wrong)?;
        ends.push(before.end);
        let start = series.last().map_or(0, |last| last.blocks.end);
        let n = input.u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).ok_or_else(wrong)?;
        let of = start..start.checked_add(n).filter(|end| *end <= blocks.len()).ok_or_else(wrong)?;
        let rows = blocks.rows(of.start).start..blocks.rows(of.end - 1).end;
        if !of.clone().skip(1).all(|n| blocks.last_us()[n - 1] < blocks.first_us()[n]) {
            return Err(Malformed::new("blocks of a series are not in order"));
        }
        series.push(SeriesEntry {
            key: Bytes::new(),
            first_row: rows.start,
            rows: rows.end - rows.start,
            min_us: blocks.first_us()[of.start],
            max_us: blocks.last_us()[of.end - 1],
            blocks: of,
        });
    }
    if series.last().map_or(0, |last| last.blocks.end) != blocks.len() {
        return Err(wrong());
    }
    let keys = Bytes::from(keys);
    let mut start = 0;
    for (entry, end) in series.iter_mut().zip(ends) {
        entry.key = keys.slice(start..end);
        start = end;
    }
    Ok(series)
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
