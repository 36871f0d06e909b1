//! [`SegmentWriter`]: points in, a segment's two files out.
//!
//! Rows wait until they fill a group, whose columns are then encoded side by side, with their statistics. The data file goes first
//! and is synced, then the sidecar with its checksums. Neither is found by anyone before the manifest names the segment, so a
//! crash leaves files that nobody refers to.

use super::checked::CheckedWriter;
use super::columns::{self, GROUP_ROWS};
use super::data_file;
use super::directory::Directory;
use super::error::disk_error;
use super::numbers::Packed;
use super::sidecar_builder::{Data, SidecarBuilder};
use super::statistics::Gatherer;
use super::{SegmentId, SegmentMeta};
use crate::points::Points;
use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow::compute::concat;
use bytes::Bytes;
use heddle_engines::parallel;
use heddle_engines::point::{NamedType, SeriesLayout};
use heddle_env::{Env, OpenMode};
use heddle_types::arrow::data_type;
use heddle_types::{Error, LogIndex, Result, StorageId};
use std::collections::VecDeque;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that wait for a full group at most. Columns of long values are encoded without one: joined they could outgrow what an
/// Arrow array can hold.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Writes one segment. Dropped before [`Self::finish`] is done, it removes what it wrote.
pub struct SegmentWriter {
    env: Env,
    dir: PathBuf,
    meta: SegmentMeta,
    layout: SeriesLayout,
    sidecar: SidecarBuilder,
    file: CheckedWriter,
    directory: Directory,
    /// Per field.
    statistics: Vec<Option<Gatherer>>,
    /// Blocks that `statistics` know.
    blocks: usize,
    /// Rows that do not fill a group yet.
    waiting: VecDeque<Rows>,
    waiting_rows: usize,
    waiting_bytes: usize,
    unfinished: Unfinished,
}

/// Some rows: their times, then the fields.
type Rows = Vec<ArrayRef>;

/// Removes the files of a segment that was not finished.
struct Unfinished {
    env: Env,
    paths: Vec<PathBuf>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.paths {
            // What cannot be removed now is removed at the next start: the manifest does not know it.
            let _ = self.env.disk.remove_file(path);
        }
    }
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
        let path = id.data_path(dir);
        let file = env.disk.open(&path, OpenMode::CreateNew).map_err(|e| disk_error("create", &path, &e))?;
        let unfinished = Unfinished { env: env.clone(), paths: vec![path.clone()] };
        let mut file = CheckedWriter::new(file);
        file.write_all(&data_file::header()).map_err(|e| disk_error("write", &path, &e))?;
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            meta: SegmentMeta::new(id, storage, partition, sequence, layout.fields.len()),
            layout: layout.clone(),
            sidecar: SidecarBuilder::default(),
            file,
            directory: Directory::default(),
            statistics: layout.fields.iter().map(|field| Gatherer::new(field.ty)).collect(),
            blocks: 0,
            waiting: VecDeque::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            unfinished,
        })
    }

    /// Appends points that lie above all that were pushed before; a series may go on from one call to the next.
    ///
    /// # Errors
    /// `XX000` when they are not in order or do not have the layout's columns; those of [`Self::create`].
    pub fn push(&mut self, points: &Points) -> Result<()> {
        if points.rows() == 0 {
            return Ok(());
        }
        let rows = self.rows(points)?;
        let bytes = bytes_of(&rows);
        if self.waiting_rows > 0 && self.waiting_bytes + bytes > WAITING_BYTES_MAX {
            self.encode(1)?;
        }
        self.sidecar.add(points)?;
        self.waiting.push_back(rows);
        self.waiting_rows += points.rows();
        self.waiting_bytes += bytes;
        self.encode(GROUP_ROWS)
    }

    fn rows(&self, points: &Points) -> Result<Rows> {
        let fits = |(field, column): (&NamedType, &ArrayRef)| {
            column.len() == points.time.len() && *column.data_type() == data_type(field.ty)
        };
        let fields = &self.layout.fields;
        if points.fields.len() != fields.len() || !fields.iter().zip(&points.fields).all(fits) {
            return Err(Error::internal("points for a segment do not fit their layout"));
        }
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(points.time.clone()));
        Ok([time].into_iter().chain(points.fields.iter().cloned()).collect())
    }

    /// Adds a tombstone above all others: the point is gone from segments with a lower sequence.
    ///
    /// # Errors
    /// `XX000` when it is not in order.
    pub fn delete(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        self.sidecar.delete(series, time_us)
    }

    /// Encodes what waits, group by group, while there are at least `rows` (not 0) of it.
    fn encode(&mut self, rows: usize) -> Result<()> {
        while self.waiting_rows >= rows {
            let group = self.take_group();
            self.encode_group(group)?;
        }
        Ok(())
    }

    /// The first rows that wait, at most a group of them.
    fn take_group(&mut self) -> Vec<Rows> {
        let mut left = GROUP_ROWS;
        let mut group = Vec::new();
        while left > 0
            && let Some(mut rows) = self.waiting.pop_front()
        {
            let n = rows[0].len();
            if n > left {
                self.waiting.push_front(rows.iter().map(|column| column.slice(left, n - left)).collect());
                rows = rows.iter().map(|column| column.slice(0, left)).collect();
            }
            left -= n.min(left);
            group.push(rows);
        }
        self.waiting_rows -= GROUP_ROWS - left;
        self.waiting_bytes = self.waiting.iter().map(bytes_of).sum();
        group
    }

    fn encode_group(&mut self, group: Vec<Rows>) -> Result<()> {
        let first = self.directory.groups().last().map_or(0, |group| group.rows.end);
        let rows: usize = group.iter().map(|rows| rows[0].len()).sum();
        let blocks = self.blocks_in(first + rows as u64);
        let sidecar = &self.sidecar;
        let mut gatherers = self.statistics.iter_mut().map(Option::as_mut);
        let columns = (0..=self.layout.fields.len()).map(|column| {
            let parts: Vec<ArrayRef> = group.iter().map(|rows| Arc::clone(&rows[column])).collect();
            (parts, if column == 0 { None } else { gatherers.next().flatten() }, column == 0)
        });
        let encode = |(parts, gatherer, is_time): (Vec<ArrayRef>, Option<&mut Gatherer>, bool)| -> Result<Packed> {
            let parts: Vec<&dyn Array> = parts.iter().map(|part| &**part).collect();
            let column = concat(&parts).map_err(|e| Error::internal(format!("points for a segment: {e}")))?;
            if let Some(gatherer) = gatherer {
                gatherer.add_blocks(&column, first, sidecar.blocks(), blocks.clone());
            }
            Ok(if is_time { columns::encode_times(&column) } else { columns::encode(&column) })
        };
        let packed = parallel::map(columns.collect(), encode).into_iter().collect::<Result<Vec<_>>>()?;
        self.blocks = blocks.end;
        self.write_group(rows as u64, &packed)
    }

    /// Numbers of the complete blocks that the gatherers do not know and that end at or before `row`.
    fn blocks_in(&self, row: u64) -> Range<usize> {
        let ends = &self.sidecar.blocks().ends()[self.blocks..];
        self.blocks..self.blocks + ends.partition_point(|end| *end <= row)
    }

    fn write_group(&mut self, rows: u64, columns: &[Packed]) -> Result<()> {
        let mut lengths = Vec::with_capacity(columns.len());
        for column in columns {
            let parts = || [&column.head].into_iter().chain(&column.pages);
            let length = |part: &Vec<u8>| u32::try_from(part.len());
            let too_long = |_| Error::internal("a page of a segment is too long");
            lengths.push(parts().map(length).collect::<Result<Vec<u32>, _>>().map_err(too_long)?);
            for part in parts() {
                self.file.write_all(part).map_err(|e| disk_error("write", &self.meta.id.data_path(&self.dir), &e))?;
            }
        }
        let path = self.meta.id.data_path(&self.dir);
        self.directory.push(rows, &lengths).map_err(|malformed| malformed.in_file(&path))
    }

    /// Completes both files and syncs them. Their names are durable only after [`heddle_env::Disk::sync_dir`] of the folder.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn finish(mut self) -> Result<SegmentMeta> {
        let (data, sidecar) = (self.meta.id.data_path(&self.dir), self.meta.id.sidecar_path(&self.dir));
        self.sidecar.end();
        self.encode(1)?;
        self.end_blocks();
        let checksums = self.file.finish().map_err(|e| disk_error("write", &data, &e))?;
        self.unfinished.paths.push(sidecar.clone());
        let mut meta = self.meta;
        let types = columns::type_codes(&self.layout, self.layout.fields.len());
        let data = Data { types, checksums, directory: self.directory, statistics: self.statistics };
        self.sidecar.write(&*self.env.disk, &sidecar, &mut meta, data)?;
        self.unfinished.paths.clear();
        Ok(meta)
    }

    /// The last block ends where no row follows, which may be after its last row was encoded.
    fn end_blocks(&mut self) {
        for block in self.blocks..self.sidecar.blocks().len() {
            let rows = self.sidecar.blocks().row_count(block);
            self.statistics.iter_mut().flatten().for_each(|statistics| statistics.end_block(rows));
        }
    }
}

/// Memory that the rows themselves take, without what their buffers hold besides.
fn bytes_of(rows: &Rows) -> usize {
    rows.iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}
