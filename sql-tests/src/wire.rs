//! A raw client of the PostgreSQL protocol: builds any message, reads any answer, hides nothing.
//!
//! It is deliberately independent of the server's own codec. Blocking, one socket per session.

use crate::outcome::{Column, Fields, Outcome, ResultSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer.
pub const ANSWER: Duration = Duration::from_secs(120);

/// Why a session did not open.
#[derive(Debug)]
pub enum ServerError {
    /// The server's ErrorResponse.
    Refused(Fields),
    /// The socket.
    Io(io::Error),
}

impl From<io::Error> for ServerError {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Type byte.
    pub kind: u8,
    /// Without the length.
    pub body: Vec<u8>,
}

/// Bytes read at once. A client that reads little at a time costs a benchmark more than what it measures.
const READ_BYTES: usize = 256 << 10;

/// A session.
#[derive(Debug)]
pub struct Conn {
    stream: BufReader<TcpStream>,
    /// ParameterStatus in order of arrival.
    pub parameters: Vec<(String, String)>,
    /// From BackendKeyData.
    pub process_id: u32,
    /// From BackendKeyData.
    pub secret: Vec<u8>,
}

/// Builders of client messages.
pub mod build {
    /// A message with its length.
    pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind];
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    fn text(out: &mut Vec<u8>, s: &str) {
        out.extend_from_slice(s.as_bytes());
        out.push(0);
    }

    /// StartupMessage, protocol 3.0.
    pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (name, value) in parameters {
            text(&mut body, name);
            text(&mut body, value);
        }
        body.push(0);
        let mut out = (body.len() as u32 + 4).to_be_bytes().to_vec();
        out.extend(body);
        out
    }

    /// SSLRequest, GSSENCRequest: a length and a code.
    pub fn request(code: u32) -> Vec<u8> {
        [8_u32.to_be_bytes(), code.to_be_bytes()].concat()
    }

    /// CancelRequest.
    pub fn cancel(process_id: u32, secret: &[u8]) -> Vec<u8> {
        let mut out = (12 + secret.len() as u32).to_be_bytes().to_vec();
        out.extend(80_877_102_u32.to_be_bytes());
        out.extend(process_id.to_be_bytes());
        out.extend_from_slice(secret);
        out
    }

    /// Query
    pub fn query(sql: &str) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, sql);
        message(b'Q', &body)
    }

    /// Parse
    pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, name);
        text(&mut body, sql);
        body.extend((types.len() as u16).to_be_bytes());
        types.iter().for_each(|t| body.extend(t.to_be_bytes()));
        message(b'P', &body)
    }

    /// Bind with raw parameters.
    pub fn bind(
        portal: &str,
        statement: &str,
        formats: &[u16],
        parameters: &[Option<&[u8]>],
        results: &[u16],
    ) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, portal);
        text(&mut body, statement);
        body.extend((formats.len() as u16).to_be_bytes());
        formats.iter().for_each(|f| body.extend(f.to_be_bytes()));
        body.extend((parameters.len() as u16).to_be_bytes());
        for p in parameters {
            match p {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(value) => {
                    body.extend((value.len() as u32).to_be_bytes());
                    body.extend_from_slice(value);
                }
            }
        }
        body.extend((results.len() as u16).to_be_bytes());
        results.iter().for_each(|f| body.extend(f.to_be_bytes()));
        message(b'B', &body)
    }

    fn target(kind: u8, what: u8, name: &str) -> Vec<u8> {
        let mut body = vec![what];
        text(&mut body, name);
        message(kind, &body)
    }

    /// Describe; `what` is `S` or `P`.
    pub fn describe(what: u8, name: &str) -> Vec<u8> {
        target(b'D', what, name)
    }

    /// Close; `what` is `S` or `P`.
    pub fn close(what: u8, name: &str) -> Vec<u8> {
        target(b'C', what, name)
    }

    /// Execute
    pub fn execute(portal: &str, rows: u32) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, portal);
        body.extend(rows.to_be_bytes());
        message(b'E', &body)
    }

    /// CopyFail
    pub fn copy_fail(reason: &str) -> Vec<u8> {
        let mut body = vec![];
        text(&mut body, reason);
        message(b'f', &body)
    }

    /// Sync
    pub fn sync() -> Vec<u8> {
        message(b'S', &[])
    }
}

impl Conn {
    /// Connects and reads up to the first ReadyForQuery.
    ///
    /// # Errors
    /// The server's refusal or the socket's error.
    pub fn open(address: SocketAddr, parameters: &[(&str, &str)]) -> Result<Self, ServerError> {
        let mut conn = Self::raw(address)?;
        conn.send(&build::startup(parameters))?;
        loop {
            let m = conn.receive()?;
            match m.kind {
                b'E' => return Err(ServerError::Refused(Fields::decode(&m.body))),
                b'Z' => return Ok(conn),
                b'K' => {
                    conn.process_id = u32::from_be_bytes(m.body[..4].try_into().expect("four bytes"));
                    conn.secret = m.body[4..].to_vec();
                }
                _ => {}
            }
        }
    }

    /// A socket on which nothing was said yet.
    ///
    /// # Errors
    /// The socket's.
    pub fn raw(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER))?;
        let stream = BufReader::with_capacity(READ_BYTES, stream);
        Ok(Self { stream, parameters: vec![], process_id: 0, secret: vec![] })
    }

    /// Waits this long for an answer instead of [`ANSWER`].
    ///
    /// # Errors
    /// The socket's.
    pub fn wait_at_most(&self, wait: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(wait))
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// The socket's.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// One byte outside of any message (the answer to SSLRequest).
    ///
    /// # Errors
    /// The socket's.
    pub fn receive_byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// The next message; ParameterStatus is noted as well.
    ///
    /// # Errors
    /// The socket's; `UnexpectedEof` when the server closed.
    pub fn receive(&mut self) -> io::Result<Message> {
        let (kind, length) = self.head()?;
        let message = Message { kind, body: self.body(length)? };
        if message.kind == b'S' {
            let mut parts = message.body.split(|b| *b == 0).map(|s| String::from_utf8_lossy(s).into_owned());
            let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            self.parameters.push((name, value));
        }
        Ok(message)
    }

    /// Kind and length (without the kind) of the next message.
    fn head(&mut self) -> io::Result<(u8, usize)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes"));
        Ok((head[0], length as usize))
    }

    fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length.saturating_sub(4)];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    /// Reads the rest of a message and forgets it.
    fn pass(&mut self, length: usize) -> io::Result<()> {
        let mut left = length.saturating_sub(4);
        while left > 0 {
            let some = self.stream.fill_buf()?.len().min(left);
            if some == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.stream.consume(some);
            left -= some;
        }
        Ok(())
    }

    /// Is anything there within `wait`?
    pub fn answers_within(&mut self, wait: Duration) -> bool {
        if !self.stream.buffer().is_empty() {
            return true;
        }
        // A zero timeout is refused by the standard library.
        let _ = self.stream.get_ref().set_read_timeout(Some(wait.max(Duration::from_millis(1))));
        let got = self.stream.fill_buf().map(<[u8]>::len);
        let _ = self.stream.get_ref().set_read_timeout(Some(ANSWER));
        !got.is_err_and(|e| matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
    }

    /// Reads up to and including the next ReadyForQuery (or the end of the connection).
    pub fn until_ready(&mut self) -> Vec<Message> {
        let mut out = vec![];
        while let Ok(m) = self.receive() {
            let last = m.kind == b'Z';
            out.push(m);
            if last {
                break;
            }
        }
        out
    }

    /// Reads to ReadyForQuery without looking at any row: how many there were, and the first error.
    ///
    /// # Errors
    /// The socket's.
    pub fn drain(&mut self) -> io::Result<(u64, Option<Fields>)> {
        let (mut rows, mut error) = (0, None);
        loop {
            let (kind, length) = self.head()?;
            match kind {
                b'E' if error.is_none() => error = Some(Fields::decode(&self.body(length)?)),
                _ => self.pass(length)?,
            }
            rows += u64::from(kind == b'D');
            if kind == b'Z' {
                return Ok((rows, error));
            }
        }
    }

    /// Runs a simple Query.
    pub fn query(&mut self, sql: &str) -> Outcome {
        if let Err(e) = self.send(&build::query(sql)) {
            return Outcome { lost: Some(e.to_string()), ..Outcome::default() };
        }
        self.outcome()
    }

    /// Reads the answer to a simple Query.
    pub fn outcome(&mut self) -> Outcome {
        let mut out = Outcome::default();
        let mut columns: Option<Vec<Column>> = None;
        let mut rows = vec![];
        loop {
            let m = match self.receive() {
                Ok(m) => m,
                Err(e) => {
                    out.lost = Some(e.to_string());
                    return out;
                }
            };
            match m.kind {
                b'T' => columns = Some(Column::decode_all(&m.body)),
                b'D' => rows.push(decode_row(&m.body)),
                b'd' => out.copied.extend_from_slice(&m.body),
                b'C' => {
                    let tag = String::from_utf8_lossy(m.body.strip_suffix(&[0]).unwrap_or(&m.body)).into_owned();
                    out.results.push(ResultSet { columns: columns.take(), rows: std::mem::take(&mut rows), tag });
                }
                b'I' => out.results.push(ResultSet { columns: None, rows: vec![], tag: String::new() }),
                b'E' => {
                    out.error = Some(Fields::decode(&m.body));
                    out.partial = std::mem::take(&mut rows).len();
                }
                b'N' => out.notices.push(Fields::decode(&m.body)),
                b'G' => return out,
                b'Z' => {
                    out.status = m.body.first().copied().unwrap_or(0);
                    return out;
                }
                _ => {}
            }
        }
    }

    /// Runs statements that must succeed.
    ///
    /// # Panics
    /// When one fails.
    pub fn run(&mut self, sql: &str) -> Outcome {
        let outcome = self.query(sql);
        assert!(outcome.lost.is_none() && outcome.error.is_none(), "{sql}\n  {}", outcome.short());
        outcome
    }

    /// The first column of the first row of a query that must succeed; NULL is `NULL`.
    ///
    /// # Panics
    /// When it fails or has no row.
    pub fn value(&mut self, sql: &str) -> String {
        let outcome = self.run(sql);
        let row = outcome.results.iter().rev().find_map(|r| r.rows.first()).unwrap_or_else(|| panic!("no row: {sql}"));
        row.first().cloned().flatten().unwrap_or_else(|| "NULL".to_owned())
    }

    /// The SQLSTATE of a statement that must fail.
    ///
    /// # Panics
    /// When it succeeds or the connection is lost.
    pub fn fails(&mut self, sql: &str) -> String {
        let outcome = self.query(sql);
        assert!(outcome.lost.is_none(), "{sql}: connection lost");
        outcome.error.unwrap_or_else(|| panic!("no error: {sql}")).code
    }

    /// `COPY … FROM STDIN`: sends `data` in pieces of `piece` bytes.
    pub fn copy_in(&mut self, sql: &str, data: &[u8], piece: usize) -> Outcome {
        let first = self.query(sql);
        if first.error.is_some() || first.lost.is_some() {
            return first;
        }
        for chunk in data.chunks(piece.max(1)) {
            if self.send(&build::message(b'd', chunk)).is_err() {
                break;
            }
        }
        let _ = self.send(&build::message(b'c', &[]));
        self.outcome()
    }

    /// Sends CancelRequest for this session over a connection of its own.
    ///
    /// # Panics
    /// When the server is gone.
    pub fn cancel(&self) {
        let address = self.stream.get_ref().peer_addr().expect("connected");
        let mut conn = Self::raw(address).expect("the server listens");
        conn.send(&build::cancel(self.process_id, &self.secret)).expect("sent");
        // The server closes without an answer.
        let _ = conn.receive_byte();
    }

    /// Closes the writing side, as a client that goes away.
    pub fn hang_up(self) {
        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Both);
    }
}

/// The values of a DataRow as text; not UTF-8 becomes hex.
pub fn decode_row(body: &[u8]) -> Vec<Option<String>> {
    let mut at = 2;
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut out = vec![];
    for _ in 0..count {
        let length = i32::from_be_bytes(body[at..at + 4].try_into().expect("four bytes"));
        at += 4;
        if length < 0 {
            out.push(None);
            continue;
        }
        let bytes = &body[at..at + length as usize];
        at += length as usize;
        out.push(Some(match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => text.to_owned(),
            _ => bytes.iter().fold("0x".to_owned(), |s, b| s + &format!("{b:02x}")),
        }));
    }
    out
}
