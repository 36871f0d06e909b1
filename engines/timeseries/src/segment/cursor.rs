//! [`SegmentCursor`]: rows of a segment, decoded batch by batch.

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use heddle_types::Result;

/// Contiguous rows of a segment.
#[derive(Clone, Debug)]
pub struct SegmentBatch {
    /// Row number of the first one.
    pub first_row: u64,
    /// Times, with the zone of the layout's type; `values()` are the microseconds, without a copy.
    pub time: TimestampMicrosecondArray,
    /// The fields asked for.
    pub fields: Vec<ArrayRef>,
}

impl SegmentBatch {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}

/// Walks rows of a segment, ascending.
pub struct SegmentCursor {}

impl SegmentCursor {
    /// The next batch, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch (names the file), `58030` on read errors.
    pub fn next_batch(&mut self) -> Result<Option<SegmentBatch>> {
        Ok(None)
    }
}
