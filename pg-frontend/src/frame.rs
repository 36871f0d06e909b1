//! Frontend messages, taken from bytes with every length checked.

use bytes::{Buf, Bytes, BytesMut};
use heddle_types::{Error, Result, SqlState};

/// Largest frame after authentication, as in PostgreSQL.
pub const FRAME_BYTES_MAX: usize = 0x3fff_ffff;
/// Largest startup packet.
pub const STARTUP_BYTES_MAX: usize = 10_000;

/// What is described or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `S`
    Statement,
    /// `P`
    Portal,
}

/// Text of a message, where it lies in the frame. UTF-8.
#[derive(Clone, Debug, PartialEq)]
pub struct Text(Bytes);

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked when it was taken")
    }
}

#[cfg(test)]
impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

/// A message from the client.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the protocol's own words")]
pub enum Message {
    Query { sql: Text },
    Parse { name: Text, sql: Text, types: Vec<u32> },
    Bind { portal: Text, statement: Text, formats: Vec<i16>, values: Vec<Option<Bytes>>, results: Vec<i16> },
    Describe { target: Target, name: Text },
    Execute { portal: Text, max_rows: i32 },
    Close { target: Target, name: Text },
    Flush,
    Sync,
    FunctionCall,
    CopyData(Bytes),
    CopyDone,
    CopyFail { reason: Text },
    Password,
    Terminate,
}

fn violation(text: impl Into<String>) -> Error {
    Error::new(SqlState::PROTOCOL_VIOLATION, text).fatal()
}

/// Takes one message off the front of `input`; None when it is not complete yet.
///
/// # Errors
/// FATAL `08P01`: the connection cannot go on. `22021` (an ordinary error) for text that is not UTF-8.
pub fn take(input: &mut BytesMut) -> Result<Option<Message>> {
    let Some(header) = input.first_chunk::<5>() else { return Ok(None) };
    let kind = header[0];
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if !is_known(kind) {
        return Err(violation(format!("invalid frontend message type {kind}")));
    }
    if !(4..=FRAME_BYTES_MAX).contains(&length) {
        return Err(violation("invalid message length"));
    }
    if input.len() < length + 1 {
        // Room for the rest at once, but never more than what a peer has to send to claim it: growth stays proportional.
        let missing = length + 1 - input.len();
        input.reserve(missing.min(1 << 20));
        return Ok(None);
    }
    let mut body = input.split_to(length + 1).freeze();
    body.advance(5);
    Body(body).message(kind).map(Some)
}

fn is_known(kind: u8) -> bool {
    b"QPBDECHSFdcfpX".contains(&kind)
}

struct Body(Bytes);

impl Body {
    fn message(mut self, kind: u8) -> Result<Message> {
        let message = match kind {
            b'Q' => Message::Query { sql: self.string()? },
            b'P' => {
                let (name, sql) = (self.string()?, self.string()?);
                let n = self.count()?;
                Message::Parse { name, sql, types: self.many(n, |b| b.u32())? }
            }
            b'B' => self.bind()?,
            b'D' | b'C' => {
                let target = self.target()?;
                let name = self.string()?;
                if kind == b'D' { Message::Describe { target, name } } else { Message::Close { target, name } }
            }
            b'E' => Message::Execute { portal: self.string()?, max_rows: self.u32()? as i32 },
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => return Ok(Message::Terminate),
            b'd' => return Ok(Message::CopyData(self.0)),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail { reason: self.string()? },
            b'F' => return Ok(Message::FunctionCall),
            _ => return Ok(Message::Password),
        };
        if self.0.has_remaining() { Err(violation("invalid message format")) } else { Ok(message) }
    }

    fn bind(&mut self) -> Result<Message> {
        let (portal, statement) = (self.string()?, self.string()?);
        let n = self.count()?;
        let formats = self.many(n, |b| b.i16())?;
        let n = self.count()?;
        let values = self.many(n, |b| b.value())?;
        let n = self.count()?;
        let results = self.many(n, |b| b.i16())?;
        Ok(Message::Bind { portal, statement, formats, values, results })
    }

    fn many<T>(&mut self, n: usize, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        // No reservation by a claimed count: the vector grows with what is really there.
        let mut items = Vec::with_capacity(n.min(self.0.remaining()));
        for _ in 0..n {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn need(&self, n: usize) -> Result<()> {
        if self.0.remaining() < n { Err(violation("insufficient data left in message")) } else { Ok(()) }
    }

    fn count(&mut self) -> Result<usize> {
        self.need(2)?;
        Ok(usize::from(self.0.get_u16()))
    }

    fn i16(&mut self) -> Result<i16> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    fn u32(&mut self) -> Result<u32> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn value(&mut self) -> Result<Option<Bytes>> {
        match self.u32()? as i32 {
            -1 => Ok(None),
            n if n < 0 => Err(violation("invalid message format")),
            n => {
                self.need(n as usize)?;
                Ok(Some(self.0.split_to(n as usize)))
            }
        }
    }

    fn target(&mut self) -> Result<Target> {
        self.need(1)?;
        match self.0.get_u8() {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            other => Err(violation(format!("invalid message subtype {other}"))),
        }
    }

    /// A NUL-terminated string.
    fn string(&mut self) -> Result<Text> {
        let end = self.0.iter().position(|b| *b == 0).ok_or_else(|| violation("invalid string in message"))?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        match std::str::from_utf8(&bytes) {
            Ok(_) => Ok(Text(bytes)),
            Err(e) => {
                let at = e.valid_up_to();
                let shown = format!("0x{:02x}", bytes[at]);
                let text = format!("invalid byte sequence for encoding \"UTF8\": {shown}");
                Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, body: &[u8]) -> BytesMut {
        let mut b = BytesMut::new();
        b.extend_from_slice(&[kind]);
        b.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        b.extend_from_slice(body);
        b
    }

    #[test]
    fn query_whole_and_in_pieces() {
        let whole = frame(b'Q', b"select 1\0");
        for cut in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..cut]);
            assert_eq!(take(&mut part).unwrap(), None);
            part.extend_from_slice(&whole[cut..]);
            assert_eq!(take(&mut part).unwrap(), Some(Message::Query { sql: "select 1".into() }));
            assert!(part.is_empty());
        }
    }

    #[test]
    fn malformed_is_08p01_and_never_panics() {
        let code = |mut b: BytesMut| take(&mut b).unwrap_err().code();
        assert_eq!(code(BytesMut::from(&b"Q\0\0\0\x03"[..])), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(BytesMut::from(&b"Q\xff\xff\xff\xff"[..])), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(BytesMut::from(&b"?\0\0\0\x04"[..])), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(frame(b'Q', b"select 1")), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(frame(b'Q', b"a\0b\0")), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(frame(b'B', b"\0\0\xff\xff")), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(frame(b'B', b"\0\0\0\0\0\x01\0\0\0\x09x")), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(code(frame(b'Q', b"\xff\0")), SqlState::CHARACTER_NOT_IN_REPERTOIRE);
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut bytes = BytesMut::new();
            for _ in 0..40 {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                bytes.extend_from_slice(&[(seed & 0x3f) as u8]);
            }
            let kinds = b"QPBDECHSFdcfpX";
            bytes[0] = kinds[(seed % kinds.len() as u64) as usize];
            bytes[1..5].copy_from_slice(&35u32.to_be_bytes());
            let _ = take(&mut bytes);
        }
    }
}
