//! Columnar scans: partition by partition, each a merge of its sources. Several cursors share one view and have series of
//! their own.

use crate::blocks::Blocks;
use crate::bounds::Bounds;
use crate::columns::Gathered;
use crate::sifted::Sifted;
use crate::view::{Merge, View, Wanted};
use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::DataType;
use bytes::Bytes;
use heddle_engines::point::{PointBatch, PointCursor, Points};
use heddle_types::Result;
use heddle_types::arrow::data_type;
use std::sync::Arc;
use std::vec::IntoIter;

/// Opens up to `cursors` cursors over what `wanted` asks for, each with series of its own.
pub fn open(view: View, wanted: Wanted, cursors: usize) -> Result<Vec<Box<dyn PointCursor>>> {
    let view = Arc::new(view);
    let batches = view.estimate_rows(&wanted.bounds) / wanted.options.batch_rows.max(1) as u64;
    let cursors = cursors.min(batches as usize + 1);
    let bounds = match cursors {
        0 | 1 => vec![wanted.bounds.clone()],
        _ => split(&wanted.bounds, &view.largest_source(&wanted.bounds)?, cursors),
    };
    let open = |bounds| Cursor::new(Arc::clone(&view), Wanted { bounds, ..wanted.clone() });
    Ok(bounds.into_iter().map(|bounds| Box::new(open(bounds)) as Box<dyn PointCursor>).collect())
}

/// Bounds of up to `n` cursors with about equally many points.
fn split(bounds: &Bounds, series: &[(Bytes, u64)], n: usize) -> Vec<Bounds> {
    let total: u64 = series.iter().map(|(_, rows)| rows).sum();
    let mut borders: Vec<Bytes> = Vec::new();
    let mut sum = 0;
    for (key, rows) in series {
        if sum * n as u64 > total * (borders.len() as u64 + 1) - 1 && borders.len() + 1 < n {
            borders.push(key.clone());
        }
        sum += rows;
    }
    let lower = std::iter::once(None).chain(borders.iter().map(Some));
    let upper = borders.iter().map(Some).chain(std::iter::once(None));
    let mut parts: Vec<Bounds> = lower.zip(upper).map(|(lower, upper)| bounds.between(lower, upper)).collect();
    parts.retain(|part| !part.series.is_empty());
    if parts.is_empty() { vec![bounds.clone()] } else { parts }
}

/// Walks the points of one view.
pub struct Cursor {
    view: Arc<View>,
    wanted: Wanted,
    partitions: IntoIter<i64>,
    rows: Option<Rows>,
    /// Of the same partition, not handed out yet.
    blocks: Option<Blocks>,
}

/// The points of one partition.
enum Rows {
    Merged(Box<Merge>),
    /// Of one segment, with nothing to merge.
    Sifted(Sifted),
}

impl Cursor {
    /// A cursor over what `wanted` asks for, which the view was opened for.
    pub fn new(view: Arc<View>, wanted: Wanted) -> Self {
        let partitions = view.partitions(&wanted.bounds).into_iter();
        Self { view, wanted, partitions, rows: None, blocks: None }
    }

    /// The same, last partition first; within a partition the order is the same.
    pub fn last_partition_first(view: Arc<View>, wanted: Wanted) -> Self {
        let mut partitions = view.partitions(&wanted.bounds);
        partitions.reverse();
        Self { view, wanted, partitions: partitions.into_iter(), rows: None, blocks: None }
    }

    /// The next batch of the partition; `None` at its end, `Some` of the next call is of the next partition.
    fn next_of_partition(&mut self) -> Result<Option<Gathered>> {
        let Some(rows) = &mut self.rows else { return Ok(None) };
        let sieve = self.wanted.sieve.as_ref();
        let batch = loop {
            let merged = match rows {
                Rows::Sifted(sifted) => break sifted.next_batch()?,
                Rows::Merged(merge) => merge.next_batch()?,
            };
            match (merged, sieve) {
                (Some(merged), Some(sieve)) => match sieve.sift(merged)? {
                    None => {}
                    some => break some,
                },
                (merged, _) => break merged,
            }
        };
        if batch.is_none() {
            self.rows = None;
        }
        Ok(batch)
    }

    /// Opens the next partition; false at the end.
    fn open_partition(&mut self) -> Result<bool> {
        let Some(partition) = self.partitions.next() else { return Ok(false) };
        self.rows = Some(match self.wanted.blocks {
            // Blocks are asked for without conditions on fields.
            Some(scan) if self.wanted.sieve.is_none() => {
                let (merge, blocks) = self.view.merge_beside_blocks(partition, &self.wanted, scan)?;
                self.blocks = Some(blocks);
                Rows::Merged(Box::new(merge))
            }
            _ => self.rows_of(partition)?,
        });
        Ok(true)
    }

    fn rows_of(&self, partition: i64) -> Result<Rows> {
        let (bounds, options) = (&self.wanted.bounds, &self.wanted.options);
        if let Some(sieve) = &self.wanted.sieve
            && let Some(segment) = self.view.only_segment(partition, bounds)?
        {
            let (shape, sieve) = (Arc::clone(&self.view.shape), Arc::clone(sieve));
            return Sifted::open(segment, shape, sieve, bounds, options.batch_rows, options.written).map(Rows::Sifted);
        }
        self.view.merge(partition, &self.wanted).map(|merge| Rows::Merged(Box::new(merge)))
    }

    /// All batches of the next partition that has any; `None` at the end.
    pub fn next_partition(&mut self) -> Result<Option<Vec<PointBatch>>> {
        while self.open_partition()? {
            let mut batches = Vec::new();
            while let Some(batch) = self.next_of_partition()? {
                batches.push(self.batch(batch));
            }
            if !batches.is_empty() {
                return Ok(Some(batches));
            }
        }
        Ok(None)
    }

    fn batch(&self, rows: Gathered) -> PointBatch {
        let versions = rows.written.map(|written| UInt64Array::new(written, None));
        let zone = match data_type(self.view.shape.layout.time.ty) {
            DataType::Timestamp(_, zone) => zone,
            _ => None,
        };
        let time: ArrayRef = Arc::new(TimestampMicrosecondArray::new(rows.time, None).with_timezone_opt(zone));
        debug_assert_eq!(time.len(), rows.series.iter().map(|(_, n)| n).sum::<usize>());
        PointBatch { series: rows.series, time, versions, fields: rows.fields }
    }
}

impl PointCursor for Cursor {
    fn next_batch(&mut self) -> Result<Option<PointBatch>> {
        loop {
            if let Some(batch) = self.next_of_partition()? {
                return Ok(Some(self.batch(batch)));
            }
            if !self.open_partition()? {
                return Ok(None);
            }
        }
    }

    fn next_points(&mut self) -> Result<Option<Points>> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                if let Some(series) = blocks.next_series()? {
                    return Ok(Some(Points::Blocks(series)));
                }
                self.blocks = None;
            }
            if let Some(batch) = self.next_of_partition()? {
                return Ok(Some(Points::Rows(self.batch(batch))));
            }
            if !self.open_partition()? {
                return Ok(None);
            }
        }
    }
}
