//! [`SegmentWriter`]: points in, a segment's two files out.
//!
//! The Parquet file goes first and is synced, then the sidecar with its checksums. Neither is found by anyone before the
//! manifest names the segment, so a crash leaves files that nobody refers to.

use super::checked::{CheckedWriter, Checksums};
use super::columns::{self, PAGE_ROWS};
use super::encodings::SAMPLE_ROWS;
use super::error::{disk_error, encode_error};
use super::sidecar::SidecarBuilder;
use super::{SegmentId, SegmentMeta};
use crate::points::Points;
use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use heddle_engines::point::SeriesLayout;
use heddle_env::{Env, OpenMode};
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Error, LogIndex, Result, StorageId, key};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use std::path::{Path, PathBuf};

/// Rows handed to the encoder at a time: whole pages, so that the pages of all columns hold the same rows.
const CHUNK_ROWS: usize = 8 * PAGE_ROWS;

/// Bytes that wait for a full chunk at most. Columns of long values are encoded without one: joined they could outgrow what an
/// Arrow array can hold.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Writes one segment. Dropped before [`Self::finish`] is done, it removes what it wrote.
pub struct SegmentWriter {
    env: Env,
    dir: PathBuf,
    meta: SegmentMeta,
    layout: SeriesLayout,
    schema: SchemaRef,
    sidecar: SidecarBuilder,
    encoder: Encoder,
    /// Rows that do not fill a chunk yet.
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    unfinished: Unfinished,
}

/// The Parquet file: encodings are chosen when its first rows are there.
enum Encoder {
    Waiting(CheckedWriter),
    Open(Box<ArrowWriter<CheckedWriter>>),
    /// Only after an error.
    Broken,
}

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
        let path = id.parquet_path(dir);
        let file = env.disk.open(&path, OpenMode::CreateNew).map_err(|e| disk_error("create", &path, &e))?;
        let unfinished = Unfinished { env: env.clone(), paths: vec![path.clone()] };
        let meta = SegmentMeta::new(id, storage, partition, sequence, layout.fields.len());
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            meta,
            layout: layout.clone(),
            schema: columns::schema(layout),
            sidecar: SidecarBuilder::new(layout),
            encoder: Encoder::Waiting(CheckedWriter::new(file)),
            waiting: Vec::new(),
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
        let batch = self.batch(points)?;
        self.sidecar.add(points)?;
        let bytes = bytes_of(&batch);
        if !self.waiting.is_empty() && self.waiting_bytes + bytes > WAITING_BYTES_MAX {
            self.encode(1)?;
        }
        self.waiting.push(batch);
        self.waiting_bytes += bytes;
        self.encode(CHUNK_ROWS)
    }

    /// The rows as the file has them: with the tags' values.
    fn batch(&self, points: &Points) -> Result<RecordBatch> {
        let mut columns = self.tag_columns(points)?;
        let zone = match self.schema.field(columns::time_column(&self.layout)).data_type() {
            arrow::datatypes::DataType::Timestamp(_, zone) => zone.clone(),
            _ => return Err(Error::internal("the time column of a segment is not a timestamp")),
        };
        let time = TimestampMicrosecondArray::from(points.time.clone()).with_timezone_opt(zone);
        columns.push(std::sync::Arc::new(time));
        columns.extend(points.fields.iter().cloned());
        RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|e| Error::internal(format!("points for a segment do not fit their layout: {e}")))
    }

    fn tag_columns(&self, points: &Points) -> Result<Vec<ArrayRef>> {
        let n = points.series.len();
        let mut builders: Vec<_> = self.layout.tags.iter().map(|tag| ColumnBuilder::new(tag.ty, n)).collect();
        for (key, _) in &points.series {
            let mut rest = &key[..];
            for (tag, builder) in self.layout.tags.iter().zip(&mut builders) {
                builder.append(&key::decode(&mut rest, tag.ty.class())?)?;
            }
        }
        let runs = points.series.iter().enumerate();
        let rows: UInt32Array = runs.flat_map(|(n, (_, rows))| std::iter::repeat_n(n as u32, *rows)).collect();
        let mut repeat = |builder: &mut ColumnBuilder| {
            take(&builder.finish(), &rows, None).map_err(|e| Error::internal(format!("tags of a segment: {e}")))
        };
        builders.iter_mut().map(&mut repeat).collect()
    }

    /// Adds a tombstone above all others: the point is gone from segments with a lower sequence.
    ///
    /// # Errors
    /// `XX000` when it is not in order.
    pub fn delete(&mut self, series: &Bytes, time_us: i64) -> Result<()> {
        self.sidecar.delete(series, time_us)
    }

    /// Encodes what waits, chunk by chunk, while there are at least `rows` (not 0) of it.
    fn encode(&mut self, rows: usize) -> Result<()> {
        let waiting: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
        if waiting < rows {
            return Ok(());
        }
        let path = self.meta.id.parquet_path(&self.dir);
        let all = match &self.waiting[..] {
            [one] => one.clone(),
            many => concat_batches(&self.schema, many)
                .map_err(|e| Error::internal(format!("points for a segment do not fit together: {e}")))?,
        };
        let mut at = 0;
        while waiting - at >= rows {
            let n = CHUNK_ROWS.min(waiting - at);
            let chunk = all.slice(at, n);
            self.encoder(Some(&chunk))?.write(&chunk).map_err(|e| encode_error(&path, e))?;
            at += n;
        }
        self.waiting.clear();
        if at < waiting {
            self.waiting.push(all.slice(at, waiting - at));
        }
        self.waiting_bytes = self.waiting.iter().map(bytes_of).sum();
        Ok(())
    }

    /// The encoder; the first call decides how it encodes.
    fn encoder(&mut self, first: Option<&RecordBatch>) -> Result<&mut ArrowWriter<CheckedWriter>> {
        self.encoder = match std::mem::replace(&mut self.encoder, Encoder::Broken) {
            Encoder::Waiting(file) => Encoder::Open(Box::new(self.open_encoder(file, first)?)),
            other => other,
        };
        match &mut self.encoder {
            Encoder::Open(encoder) => Ok(encoder),
            _ => Err(Error::internal("the writer of a segment failed before")),
        }
    }

    fn open_encoder(&self, file: CheckedWriter, first: Option<&RecordBatch>) -> Result<ArrowWriter<CheckedWriter>> {
        let sample = first.map(|rows| rows.slice(0, rows.num_rows().min(SAMPLE_ROWS)));
        let properties = columns::properties(&self.layout, &self.schema, &self.meta, sample.as_ref());
        // Parquet's own types say all that Arrow's schema would.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        ArrowWriter::try_new_with_options(file, self.schema.clone(), options)
            .map_err(|e| encode_error(&self.meta.id.parquet_path(&self.dir), e))
    }

    /// Completes both files and syncs them. Their names are durable only after [`heddle_env::Disk::sync_dir`] of the folder.
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn finish(mut self) -> Result<SegmentMeta> {
        let (parquet, sidecar) = (self.meta.id.parquet_path(&self.dir), self.meta.id.sidecar_path(&self.dir));
        self.encode(1)?;
        self.encoder(None)?;
        let checksums = complete(self.encoder, &parquet)?;
        self.unfinished.paths.push(sidecar.clone());
        let mut meta = self.meta;
        self.sidecar.write(&*self.env.disk, &sidecar, &mut meta, &checksums)?;
        self.unfinished.paths.clear();
        Ok(meta)
    }
}

/// Memory that the rows themselves take, without what their buffers hold besides.
fn bytes_of(rows: &RecordBatch) -> usize {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// Writes the footer, syncs the file.
fn complete(encoder: Encoder, path: &Path) -> Result<Checksums> {
    let Encoder::Open(encoder) = encoder else { return Err(Error::internal("a segment's file is not open")) };
    let file = encoder.into_inner().map_err(|e| encode_error(path, e))?;
    file.finish().map_err(|e| disk_error("write", path, &e))
}
