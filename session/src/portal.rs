//! Portals: a statement with its parameters, and how far its rows have been fetched.

use crate::cursor::CursorOptions;
use crate::prepared::Prepared;
use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use heddle_planner::RowStream;
use heddle_planner::bound::OutputColumn;
use heddle_types::Datum;
use std::borrow::Cow;
use std::sync::Arc;

/// How an Execute ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// CommandComplete with this tag.
    Complete(Cow<'static, str>),
    /// PortalSuspended.
    Suspended,
    /// EmptyQueryResponse.
    Empty,
}

/// A portal (or SQL cursor: they share the namespace).
pub(crate) struct Portal {
    pub prepared: Arc<Prepared>,
    /// Gone when it has started.
    pub params: Vec<Datum>,
    pub formats: Vec<i16>,
    pub state: State,
    /// The newest savepoint when it was made or started; 0 = none. ROLLBACK TO that one or an older one ends it.
    pub mark: u32,
    /// Of DECLARE. FETCH of a BINARY cursor by the simple protocol is binary too.
    pub options: CursorOptions,
    /// WITH HOLD, and the transaction that declared it committed.
    pub settled: bool,
    /// When it was made; None for those that the simple protocol runs its statements in, which nobody sees.
    pub made_us: Option<i64>,
}

/// How far a portal has come.
pub(crate) enum State {
    /// Not started.
    Ready,
    /// Rows are flowing.
    Rows(Rows),
    /// Rows of a cursor that can go back, or that outlives its transaction.
    Kept(Kept),
    /// Done. A query answers further Executes with no rows, anything else is `55000`.
    Finished {
        /// It was a query
        query: bool,
    },
}

/// Rows that were kept, and those still to come.
pub(crate) struct Kept {
    pub rest: Option<Rows>,
    pub batches: Vec<RecordBatch>,
    /// Rows in `batches`.
    pub total: usize,
    /// Bytes of `batches`.
    pub bytes: usize,
    /// The row the cursor stands on, from 1; 0 before the first, one more than there are after the last.
    pub at: usize,
    /// It may go back.
    pub scroll: bool,
}

impl Kept {
    /// Before the first of `rows`.
    pub fn new(rows: Rows, scroll: bool) -> Self {
        Self { rest: Some(rows), batches: vec![], total: 0, bytes: 0, at: 0, scroll }
    }
}

/// Rows on their way.
pub(crate) struct Rows {
    pub columns: Arc<[OutputColumn]>,
    pub stream: RowStream,
    /// The batch in hand and the next row in it.
    pub current: Option<(RecordBatch, usize)>,
    pub tag: Tag,
    /// The row a cursor stands on, for FETCH 0.
    pub row: Option<RecordBatch>,
}

impl Rows {
    /// Rows from the start of `stream`, which may be polled past its end from now on.
    pub fn new(columns: Arc<[OutputColumn]>, stream: RowStream, tag: Tag) -> Self {
        Self { columns, stream: stream.fuse().boxed(), current: None, tag, row: None }
    }
}

/// A command tag in the making.
#[derive(Clone, Debug)]
pub(crate) enum Tag {
    /// As it is.
    Fixed(String),
    /// Followed by the rows of this Execute: SELECT, INSERT 0 … RETURNING.
    Counted(&'static str),
}

impl Tag {
    pub fn finish(&self, rows: u64) -> String {
        match self {
            Self::Fixed(tag) => tag.clone(),
            Self::Counted(word) => format!("{word} {rows}"),
        }
    }
}

impl Portal {
    pub fn new(prepared: Arc<Prepared>, params: Vec<Datum>, formats: Vec<i16>) -> Self {
        Self {
            prepared,
            params,
            formats,
            state: State::Ready,
            mark: 0,
            options: CursorOptions::default(),
            settled: false,
            made_us: None,
        }
    }

    /// What its rows look like.
    pub fn columns(&self) -> Option<Arc<[OutputColumn]>> {
        self.prepared.columns.clone()
    }
}
