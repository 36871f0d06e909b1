//! Socket and buffers of one connection, and how a session talks to it.

use crate::frame::{self, Message};
use crate::socket::Socket;
use crate::spare;
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, Bytes, BytesMut};
use heddle_session::{Client, CopyFormatCodes, OutputColumn, RowEncoder};
use heddle_types::text::{Cells, DataRows, TextSettings};
use heddle_types::{Datum, Error, Notice, Result, SqlState, binary, text};
use pgwire::messages::Message as Encode;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::response::{EmptyQueryResponse, ErrorResponse, NoticeResponse};
use pgwire::messages::startup::ParameterStatus;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Output is flushed when it passes this many bytes.
const OUTPUT_FLUSH_BYTES: usize = 64 << 10;
/// Buffers above this are given back once drained.
const BUFFER_KEEP_BYTES: usize = 256 << 10;
/// Room for the next read of messages, and for the first answers.
const READ_BYTES: usize = 8 << 10;
/// Room for the next read of COPY data.
const COPY_READ_BYTES: usize = 64 << 10;
/// How often a busy connection looks whether its peer, having sent more input, hung up.
const HANGUP_POLL: Duration = Duration::from_millis(500);

/// One connection's socket and buffers.
pub(crate) struct Wire {
    socket: Socket,
    pub input: BytesMut,
    pub output: BytesMut,
    /// Rows on their way into the output, or one value on its way into a row.
    scratch: Vec<u8>,
    /// The client broke off a COPY with another message: what it will send next cannot be told.
    pub lost_sync: bool,
}

/// The peer is gone: nobody is there to be told.
pub(crate) fn lost(e: &io::Error) -> Error {
    Error::new(SqlState("08006"), format!("connection to client lost: {e}")).fatal()
}

impl Wire {
    pub fn new(socket: Socket) -> Self {
        Self { socket, input: BytesMut::new(), output: BytesMut::new(), scratch: Vec::new(), lost_sync: false }
    }

    /// Where the client connects from; None for a Unix socket.
    pub fn client(&self) -> Option<SocketAddr> {
        self.socket.peer()
    }

    /// Reads more input; false at the end of the stream. Cancel-safe. Whoever waits long has no buffers.
    pub async fn fill(&mut self) -> io::Result<bool> {
        if self.input.is_empty() && self.output.is_empty() {
            spare::give(std::mem::take(&mut self.input));
            spare::give(std::mem::take(&mut self.output));
            self.socket.readable().await?;
            (self.input, self.output) = (spare::take(), spare::take());
        }
        self.read(READ_BYTES).await
    }

    async fn read(&mut self, room: usize) -> io::Result<bool> {
        self.input.reserve(room);
        Ok(self.socket.read_buf(&mut self.input).await? > 0)
    }

    /// Sends everything. Not cancel-safe: a half-sent frame would break the protocol, so nothing may select over it.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.socket.write_all(&self.output).await?;
        if self.output.capacity() > BUFFER_KEEP_BYTES {
            self.output = BytesMut::with_capacity(READ_BYTES);
        } else {
            self.output.clear();
        }
        if self.scratch.is_empty() && self.scratch.capacity() > BUFFER_KEEP_BYTES {
            self.scratch = Vec::new();
        }
        Ok(())
    }

    async fn flush_if_full(&mut self) -> Result<()> {
        if self.output.len() < OUTPUT_FLUSH_BYTES {
            return Ok(());
        }
        self.flush().await.map_err(|e| lost(&e))
    }

    /// Whole messages.
    async fn put_messages(&mut self, messages: &[u8]) -> Result<()> {
        if messages.len() >= OUTPUT_FLUSH_BYTES {
            // They need not be copied to be sent.
            self.flush().await.map_err(|e| lost(&e))?;
            return self.socket.write_all(messages).await.map_err(|e| lost(&e));
        }
        self.output.put_slice(messages);
        self.flush_if_full().await
    }

    /// Fills in the length of the message that began at `start`.
    fn end_message(&mut self, start: usize) {
        let length = (self.output.len() - start - 1) as u32;
        self.output[start + 1..start + 5].copy_from_slice(&length.to_be_bytes());
    }

    /// Appends a message.
    pub fn put(&mut self, message: &impl Encode) {
        message.encode(&mut self.output).expect("our own messages are within the protocol's limits");
    }

    /// RowDescription. By hand: pgwire's form of it wants a copy of every name.
    pub fn row_description(&mut self, columns: &[OutputColumn], formats: &[i16]) {
        let start = self.output.len();
        self.output.put_slice(&[b'T', 0, 0, 0, 0]);
        self.output.put_u16(columns.len() as u16);
        for (i, column) in columns.iter().enumerate() {
            let (table, attnum) = column.origin.map_or((0, 0), |(t, a)| (t.0, a));
            // An unknown literal leaves as text, as PostgreSQL sends it.
            let (oid, size) = match column.ty.oid {
                heddle_types::oid::UNKNOWN => (heddle_types::oid::TEXT.0, -1),
                other => (other.0, column.ty.info().len),
            };
            self.output.put_slice(column.name.as_bytes());
            self.output.put_u8(0);
            self.output.put_u32(table);
            self.output.put_i16(attnum);
            self.output.put_u32(oid);
            self.output.put_i16(size);
            self.output.put_i32(column.ty.typmod);
            self.output.put_i16(format_of(formats, i));
        }
        self.end_message(start);
    }

    /// ErrorResponse.
    pub fn error(&mut self, e: &Error) {
        let message = ErrorResponse::new(fields(e));
        self.put(&message);
    }

    /// ReadyForQuery.
    pub fn ready(&mut self, status: u8) {
        self.output.put_slice(&[b'Z', 0, 0, 0, 5, status]);
    }

    /// A message without a body.
    pub fn bare(&mut self, kind: u8) {
        self.output.put_slice(&[kind, 0, 0, 0, 4]);
    }
}

/// The fields of ErrorResponse and NoticeResponse in PostgreSQL's order.
fn fields(e: &Error) -> Vec<(u8, String)> {
    let f = e.fields();
    let severity = f.severity.as_str().to_owned();
    let mut out = vec![
        (b'S', severity.clone()),
        (b'V', severity),
        (b'C', f.code.0.to_owned()),
        (b'M', f.message.replace('\0', "")),
    ];
    let mut add = |k: u8, v: &Option<String>| {
        if let Some(v) = v {
            out.push((k, v.replace('\0', "")));
        }
    };
    add(b'D', &f.detail);
    add(b'H', &f.hint);
    add(b'P', &f.position.map(|p| p.to_string()));
    add(b'W', &f.context);
    add(b's', &f.schema);
    add(b't', &f.table);
    add(b'c', &f.column);
    add(b'd', &f.datatype);
    add(b'n', &f.constraint);
    add(b'R', &f.routine.map(str::to_owned));
    out
}

/// The format of result column `i`: none given = text, one = for all.
fn format_of(formats: &[i16], i: usize) -> i16 {
    formats.get(i).or(formats.first()).copied().unwrap_or(0)
}

/// Appends DataRows until they take `bytes_max`; the first row that is still to come.
fn append_rows(
    out: &mut Vec<u8>,
    columns: &[OutputColumn],
    formats: &[i16],
    batch: &RecordBatch,
    range: Range<usize>,
    settings: &TextSettings,
    bytes_max: usize,
) -> usize {
    let cells = columns.iter().zip(batch.columns()).enumerate();
    let cells = cells.map(|(i, (column, array))| Cells::new(array, column.ty, format_of(formats, i) != 0, settings));
    DataRows::new(cells.collect()).append(out, range, settings, bytes_max)
}

impl Client for Wire {
    fn describe(&mut self, columns: &[OutputColumn], formats: &[i16]) {
        self.row_description(columns, formats);
    }

    async fn rows(
        &mut self,
        columns: &[OutputColumn],
        formats: &[i16],
        batch: &RecordBatch,
        range: Range<usize>,
        settings: &TextSettings,
    ) -> Result<()> {
        let mut rows = std::mem::take(&mut self.scratch);
        let (mut begin, end) = (range.start, range.end);
        while begin < end {
            rows.clear();
            begin = append_rows(&mut rows, columns, formats, batch, begin..end, settings, OUTPUT_FLUSH_BYTES);
            self.put_messages(&rows).await?;
        }
        rows.clear();
        self.scratch = rows;
        Ok(())
    }

    fn encoder(&self, columns: Arc<[OutputColumn]>, formats: Vec<i16>, settings: TextSettings) -> RowEncoder {
        Arc::new(move |batch, out| {
            append_rows(out, &columns, &formats, batch, 0..batch.num_rows(), &settings, usize::MAX);
        })
    }

    async fn encoded(&mut self, rows: &[u8]) -> Result<()> {
        self.put_messages(rows).await
    }

    fn row(&mut self, columns: &[OutputColumn], formats: &[i16], values: &[Datum], settings: &TextSettings) {
        let start = self.output.len();
        self.output.put_slice(&[b'D', 0, 0, 0, 0]);
        self.output.put_u16(columns.len() as u16);
        for (i, (column, value)) in columns.iter().zip(values).enumerate() {
            if value.is_null() {
                self.output.put_i32(-1);
                continue;
            }
            self.scratch.clear();
            match format_of(formats, i) {
                0 => text::format(&mut self.scratch, value, column.ty, settings),
                _ => binary::encode(&mut self.scratch, value, column.ty),
            }
            self.output.put_i32(self.scratch.len() as i32);
            self.output.put_slice(&self.scratch);
        }
        self.scratch.clear();
        self.end_message(start);
    }

    fn complete(&mut self, tag: &str) {
        let start = self.output.len();
        self.output.put_slice(&[b'C', 0, 0, 0, 0]);
        self.output.put_slice(tag.as_bytes());
        self.output.put_u8(0);
        self.end_message(start);
    }

    fn empty(&mut self) {
        self.put(&EmptyQueryResponse::new());
    }

    fn notice(&mut self, notice: &Notice) {
        let message = NoticeResponse::new(fields(notice));
        self.put(&message);
    }

    fn parameter(&mut self, name: &str, value: &str) {
        self.put(&ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    async fn copy_in(&mut self, codes: CopyFormatCodes) -> Result<()> {
        let format = i16::from(codes.overall);
        let columns = codes.columns as i16;
        self.put(&CopyInResponse::new(codes.overall as i8, columns, vec![format; codes.columns]));
        self.flush().await.map_err(|e| lost(&e))
    }

    async fn copy_data(&mut self) -> Result<Option<Bytes>> {
        loop {
            let kind = self.input.first().copied().unwrap_or_default();
            match frame::take(&mut self.input)? {
                Some(Message::CopyData(data)) => return Ok(Some(data)),
                Some(Message::CopyDone) => return Ok(None),
                Some(Message::CopyFail { reason }) => {
                    return Err(Error::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {}", &*reason)));
                }
                Some(Message::Flush | Message::Sync) => {}
                Some(_) => {
                    self.lost_sync = true;
                    let text = format!("unexpected message type 0x{kind:02X} during COPY from stdin");
                    return Err(Error::new(SqlState::PROTOCOL_VIOLATION, text));
                }
                None => {
                    if !self.read(COPY_READ_BYTES).await.map_err(|e| lost(&e))? {
                        return Err(lost(&io::ErrorKind::UnexpectedEof.into()));
                    }
                }
            }
        }
    }

    fn copy_out(&mut self, codes: CopyFormatCodes) {
        let format = i16::from(codes.overall);
        let columns = codes.columns as i16;
        self.put(&CopyOutResponse::new(codes.overall as i8, columns, vec![format; codes.columns]));
    }

    async fn copy_row(&mut self, row: &[u8]) -> Result<()> {
        self.output.put_u8(b'd');
        self.output.put_u32(row.len() as u32 + 4);
        self.output.put_slice(row);
        self.flush_if_full().await
    }

    fn copy_done(&mut self) {
        self.put(&CopyDone::new());
    }

    async fn closed(&mut self) {
        loop {
            match self.socket.peek().await {
                Ok(0) | Err(_) => return,
                Ok(_) => tokio::time::sleep(HANGUP_POLL).await,
            }
        }
    }
}
