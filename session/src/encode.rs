//! Large results: their DataRows are made on the query threads, a few pieces ahead of the socket, which has enough to do with
//! sending them. Measured with TSBS high-cpu-all (21 MB): docs/performance.md.

use crate::client::RowEncoder;
use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt, stream};
use heddle_planner::Executor;
use heddle_types::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// A result is large if a batch has as many rows; fewer are made sooner than handed over.
pub(crate) const LARGE_ROWS: usize = 1024;
/// Of Arrow data in a piece, about. Text takes up to a few times as much.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that are made or wait while one is sent.
const PIECES_AHEAD: usize = 3;

/// DataRows of a piece.
pub(crate) struct Encoded {
    pub messages: Vec<u8>,
    pub rows: usize,
}

/// Makes messages out of batches.
pub(crate) struct Encoding {
    executor: Arc<Executor>,
    encoder: RowEncoder,
    /// Memory of messages that were sent.
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Encoding {
    pub fn new(executor: &Arc<Executor>, encoder: RowEncoder) -> Self {
        Self { executor: Arc::clone(executor), encoder, spare: Arc::default() }
    }

    /// The messages of all batches, in order.
    pub fn run<'a>(
        &'a self,
        batches: impl Stream<Item = Result<RecordBatch>> + 'a,
    ) -> impl Stream<Item = Result<Encoded>> + 'a {
        let pieces = batches.flat_map(|batch| match batch {
            Ok(batch) => stream::iter(pieces(&batch)).map(Ok).left_stream(),
            Err(e) => stream::iter([Err(e)]).right_stream(),
        });
        pieces.map(|piece| self.encode(piece)).buffered(PIECES_AHEAD)
    }

    /// Begins at once; the future waits for it.
    fn encode(&self, piece: Result<RecordBatch>) -> impl Future<Output = Result<Encoded>> + use<> {
        let (encoder, spare) = (Arc::clone(&self.encoder), Arc::clone(&self.spare));
        let job = piece.map(|piece| {
            self.executor.compute(move || {
                let mut messages = spare.lock().pop().unwrap_or_default();
                encoder(&piece, &mut messages);
                Encoded { messages, rows: piece.num_rows() }
            })
        });
        async { job?.await.map_err(|e| Error::internal(format!("writing rows failed: {e}"))) }
    }

    /// Takes back what was sent.
    pub fn sent(&self, mut encoded: Encoded) {
        encoded.messages.clear();
        self.spare.lock().push(encoded.messages);
    }
}

/// A batch in slices of about [`PIECE_BYTES`].
fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let of = |array: &arrow::array::ArrayRef| array.to_data().get_slice_memory_size().unwrap_or(PIECE_BYTES);
    let bytes: usize = batch.columns().iter().map(of).sum();
    let count = bytes.div_ceil(PIECE_BYTES).clamp(1, batch.num_rows().max(1));
    let rows = batch.num_rows().div_ceil(count).max(1);
    let starts = (0..batch.num_rows()).step_by(rows);
    starts.map(|start| batch.slice(start, rows.min(batch.num_rows() - start))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};

    #[test]
    fn pieces_hold_every_row_once_however_long_rows_are() {
        for (rows, length) in [(0, 1), (1, 1 << 20), (5000, 10), (1000, 5000), (3, 1 << 20)] {
            let text = "x".repeat(length);
            let array = StringArray::from_iter_values((0..rows).map(|i| format!("{i}{text}")));
            let batch = RecordBatch::try_from_iter([("a", Arc::new(array.clone()) as ArrayRef)]).unwrap();
            let pieces = pieces(&batch);
            let found: Vec<String> = pieces
                .iter()
                .flat_map(|p| p.column(0).as_any().downcast_ref::<StringArray>().unwrap().iter().flatten())
                .map(str::to_owned)
                .collect();
            assert!(found.iter().map(String::as_str).eq(array.iter().flatten()));
            assert!(
                pieces.len() >= (rows * length / PIECE_BYTES / 2).min(rows),
                "{rows} rows of {length}: {}",
                pieces.len()
            );
        }
    }
}
