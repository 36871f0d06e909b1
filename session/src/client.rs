//! What a session needs from the connection it works for.

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use heddle_planner::bound::OutputColumn;
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Notice, Result};
use std::sync::Arc;

/// Appends the DataRows of a batch, on whatever thread.
pub type RowEncoder = Arc<dyn Fn(&RecordBatch, &mut Vec<u8>) + Send + Sync>;

/// Formats announced in CopyInResponse and CopyOutResponse: 0 text, 1 binary, one per column.
#[derive(Clone, Debug)]
pub struct CopyFormatCodes {
    /// Overall format
    pub overall: u8,
    /// Number of columns, all in the overall format
    pub columns: usize,
}

/// A connection. Methods that may meet a full send buffer are async: awaiting them is the back-pressure.
///
/// Errors are the connection's (`08006`-like, session over) or the client's (CopyFail).
#[expect(async_fn_in_trait, reason = "sessions live on one thread; no Send bound is wanted")]
pub trait Client {
    /// RowDescription.
    fn describe(&mut self, columns: &[OutputColumn], formats: &[i16]);
    /// DataRows for rows `[from, to)` of `batch`.
    async fn rows(
        &mut self,
        columns: &[OutputColumn],
        formats: &[i16],
        batch: &RecordBatch,
        range: std::ops::Range<usize>,
        text: &TextSettings,
    ) -> Result<()>;
    /// What makes DataRows for it elsewhere, for [`Client::encoded`].
    fn encoder(&self, columns: Arc<[OutputColumn]>, formats: Vec<i16>, text: TextSettings) -> RowEncoder;
    /// DataRows that its encoder made.
    async fn encoded(&mut self, rows: &[u8]) -> Result<()>;
    /// One DataRow of values, one per column.
    fn row(&mut self, columns: &[OutputColumn], formats: &[i16], values: &[Datum], text: &TextSettings);
    /// CommandComplete.
    fn complete(&mut self, tag: &str);
    /// EmptyQueryResponse.
    fn empty(&mut self);
    /// NoticeResponse.
    fn notice(&mut self, notice: &Notice);
    /// ParameterStatus.
    fn parameter(&mut self, name: &str, value: &str);
    /// CopyInResponse, flushed.
    async fn copy_in(&mut self, codes: CopyFormatCodes) -> Result<()>;
    /// The next CopyData; None at CopyDone. `57014` at CopyFail, `08P01` for any other message.
    async fn copy_data(&mut self) -> Result<Option<Bytes>>;
    /// CopyOutResponse.
    fn copy_out(&mut self, codes: CopyFormatCodes);
    /// One row as one CopyData.
    async fn copy_row(&mut self, row: &[u8]) -> Result<()>;
    /// CopyDone.
    fn copy_done(&mut self);
    /// Resolves when the peer is gone; never otherwise. Must be cancel-safe and must not consume input.
    async fn closed(&mut self);
}
