//! [`Points`]: a run of points by columns, as memtables hand them to flushes and compactions to segment writers.

use arrow::array::ArrayRef;
use bytes::Bytes;

/// Points of one storage in (series key, time) order, at most one per (series, time).
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// Series keys with the number of following rows that belong to each, in row order; no series twice, none without rows.
    pub series: Vec<(Bytes, usize)>,
    /// Times in microseconds.
    pub time: Vec<i64>,
    /// One column per field of the layout, in the Arrow form of [`heddle_types::arrow`].
    pub fields: Vec<ArrayRef>,
}

impl Points {
    /// How many points.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}
