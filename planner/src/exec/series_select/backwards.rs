//! One series from its newest point backwards: windows of time that end at the newest point not read yet. A window grows
//! until it has enough points, so that a few of them cost little and many are read in large pieces.

use crate::function::error::arrow_error;
use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::TimestampMicrosecondType;
use heddle_engines::point::{PointBatch, PointScan};
use heddle_txn::ReadView;
use heddle_types::Result;
use std::sync::Arc;

/// Length of the first window.
const FIRST_US: i64 = 60_000_000;
/// A window grows by this factor while it has fewer points than [`ENOUGH_ROWS`], and shrinks by it when it has far more.
const FACTOR: i64 = 4;
const ENOUGH_ROWS: usize = 4096;
/// Points of a window, which are all in memory.
const ROWS_MAX: usize = 64 << 10;

/// See the module.
pub(super) struct Backwards {
    view: Arc<ReadView>,
    /// What is left to read.
    scan: PointScan,
    window_us: i64,
    /// Points of the present window, ascending; the last batch comes first.
    batches: Vec<PointBatch>,
}

impl Backwards {
    /// The points of `scan`, which is about one series.
    pub fn new(view: Arc<ReadView>, scan: PointScan) -> Self {
        Self { view, scan, window_us: FIRST_US, batches: vec![] }
    }

    /// The next points, newest first; `None` at the end.
    pub fn next(&mut self) -> Result<Option<PointBatch>> {
        loop {
            if let Some(batch) = self.batches.pop() {
                return reversed(&batch).map(Some);
            }
            if !self.read_window()? {
                return Ok(None);
            }
        }
    }

    /// Reads a window; false when nothing is left.
    fn read_window(&mut self) -> Result<bool> {
        if self.scan.from_us > self.scan.to_us {
            return Ok(false);
        }
        let Some(newest) = self.newest()? else { return Ok(false) };
        loop {
            let from_us = newest.saturating_sub(self.window_us).max(self.scan.from_us);
            let window = PointScan { from_us, to_us: newest, ..self.scan.clone() };
            let mut rows = 0;
            for mut cursor in self.view.scan_points(&window)? {
                while let Some(batch) = cursor.next_batch()?.filter(|_| rows < ROWS_MAX) {
                    rows += batch.rows();
                    self.batches.push(batch);
                }
            }
            if rows >= ROWS_MAX && self.window_us > 1 {
                self.window_us = (self.window_us / FACTOR).max(1);
                self.batches.clear();
                continue;
            }
            if rows < ENOUGH_ROWS {
                self.window_us = self.window_us.saturating_mul(FACTOR);
            }
            self.scan.to_us = from_us.saturating_sub(1);
            return Ok(true);
        }
    }

    /// The time of the newest point that was not read yet.
    fn newest(&self) -> Result<Option<i64>> {
        let times = PointScan { fields: vec![], ..self.scan.clone() };
        let last = self.view.last_points(&times)?;
        Ok(last.last().map(|batch| batch.time.as_primitive::<TimestampMicrosecondType>().value(batch.rows() - 1)))
    }
}

fn reversed(batch: &PointBatch) -> Result<PointBatch> {
    let places: UInt32Array = (0..batch.rows() as u32).rev().collect::<Vec<_>>().into();
    let turned = |column: &ArrayRef| take(column, &places, None).map_err(arrow_error);
    Ok(PointBatch {
        series: batch.series.clone(),
        time: turned(&batch.time)?,
        versions: None,
        fields: batch.fields.iter().map(turned).collect::<Result<_>>()?,
    })
}
