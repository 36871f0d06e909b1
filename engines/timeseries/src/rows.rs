//! [`RowScan`]: points as rows in key order, either way.
//!
//! Keys are in order of (series, time) while columns come partition by partition, so series are read one after the other: for
//! each a columnar scan of it alone. Backwards, the columns of one series in one partition are held at a time.

use crate::bounds::{Bounds, series_of_keys, times_of_keys};
use crate::merge::MergeOptions;
use crate::scan::Cursor;
use crate::shape::Shape;
use crate::versions::Versions;
use crate::view::{View, Wanted};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use heddle_engines::point::{PointBatch, PointCursor, point_key};
use heddle_engines::{KeyRange, Row, RowCursor};
use heddle_types::{LogIndex, Result, StorageId};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a batch of columns.
const BATCH_ROWS: usize = 1024;

/// See the module.
pub struct RowScan {
    /// None when the storage is not known here: no rows.
    view: Option<Arc<View>>,
    range: KeyRange,
    reverse: bool,
    wanted: Wanted,
    /// What is not opened yet, in the order of the scan.
    series: VecDeque<Bytes>,
    current: Option<Cursor>,
    /// Rows of these come next, from the front.
    batches: VecDeque<Rows>,
}

/// A batch of one series and what is left of it.
struct Rows {
    batch: PointBatch,
    left: std::ops::Range<usize>,
}

impl RowScan {
    /// Opens a scan of the rows of `storage` with keys in `range`, as of `at`.
    pub fn open(
        versions: &Arc<Versions>,
        at: LogIndex,
        storage: StorageId,
        range: KeyRange,
        reverse: bool,
    ) -> Result<Self> {
        let shape = versions.parts().shape(storage);
        let series = if range.is_empty() { Vec::new() } else { series_of_keys(&range) };
        let wanted = Wanted {
            bounds: Bounds { series, ..Bounds::all() },
            fields: shape.iter().flat_map(|shape| shape.fields.clone()).collect(),
            options: MergeOptions { batch_rows: BATCH_ROWS, written: true, deletes: false, all_cores: false },
            any_order: false,
            blocks: None,
            sieve: None,
        };
        let view = match shape {
            Some(shape) => Some(Arc::new(View::open(versions, at, (storage, shape), &wanted, Vec::new())?)),
            None => None,
        };
        let mut series = VecDeque::new();
        for key in
            view.iter().map(|view| view.series(&wanted.bounds)).collect::<Result<Vec<_>>>()?.into_iter().flatten()
        {
            if reverse {
                series.push_front(key);
            } else {
                series.push_back(key);
            }
        }
        Ok(Self { view, range, reverse, wanted, series, current: None, batches: VecDeque::new() })
    }

    /// Makes sure that a batch with rows is at the front; false at the end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            while let Some(rows) = self.batches.front() {
                if !rows.left.is_empty() {
                    return Ok(true);
                }
                self.batches.pop_front();
            }
            if !self.read()? && !self.open_series() {
                return Ok(false);
            }
        }
    }

    /// Reads on in the current series; false at its end.
    fn read(&mut self) -> Result<bool> {
        let Some(cursor) = &mut self.current else { return Ok(false) };
        let batches = match self.reverse {
            true => cursor.next_partition()?.unwrap_or_default(),
            false => cursor.next_batch()?.into_iter().collect(),
        };
        if batches.is_empty() {
            self.current = None;
            return Ok(false);
        }
        for batch in batches {
            let left = 0..batch.rows();
            let rows = Rows { batch, left };
            if self.reverse {
                self.batches.push_front(rows);
            } else {
                self.batches.push_back(rows);
            }
        }
        Ok(true)
    }

    /// Opens the next series; false when none is left.
    fn open_series(&mut self) -> bool {
        let Some(view) = &self.view else { return false };
        while let Some(series) = self.series.pop_front() {
            let Some((from_us, to_us)) = times_of_keys(&self.range, &series) else { continue };
            let wanted = Wanted { bounds: Bounds::one(&series, from_us, to_us), ..self.wanted.clone() };
            let view = Arc::clone(view);
            self.current = Some(match self.reverse {
                true => Cursor::last_partition_first(view, wanted),
                false => Cursor::new(view, wanted),
            });
            return true;
        }
        false
    }
}

impl RowCursor for RowScan {
    fn next_batch(&mut self, max: usize, out: &mut Vec<Row>) -> Result<bool> {
        let goal = out.len() + max;
        while out.len() < goal && self.fill()? {
            let Some(view) = &self.view else { break };
            let Some(rows) = self.batches.front_mut() else { break };
            while out.len() < goal {
                let next = if self.reverse { rows.left.next_back() } else { rows.left.next() };
                let Some(i) = next else { break };
                out.push(row(&view.shape, &rows.batch, i));
            }
        }
        self.fill()
    }
}

fn row(shape: &Shape, batch: &PointBatch, i: usize) -> Row {
    // A batch of a scan of one series has one series.
    let series = &batch.series[0].0;
    let time_us = batch.time.as_primitive::<TimestampMicrosecondType>().value(i);
    let index = LogIndex(batch.versions.as_ref().map_or(0, |versions| versions.value(i)));
    Row { key: point_key(series, time_us), index, row: shape.row(&batch.fields, i).into() }
}
