//! COPY's binary format: the header, the ends of tuples in input that comes in chunks, and tuples on their way out.
//!
//! | part | bytes |
//! |---|---|
//! | signature | `PGCOPY\n\377\r\n\0` |
//! | flags | u32; the upper half is critical, bit 16 was "with OIDs" |
//! | extension | u32 length, then that much to step over |
//! | tuple | i16 count of fields; per field i32 length (-1 = NULL), then the type's binary form |
//! | trailer | i16 -1 |

use super::buffer::Buffer;
use super::lines::bad;
use heddle_types::{Error, Result};

/// The first bytes.
pub(crate) const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// Signature, no flags, no extension.
pub(crate) const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// Ends the data.
pub(crate) const TRAILER: &[u8; 2] = b"\xff\xff";
const WITH_OIDS: u32 = 1 << 16;

/// A tuple that has arrived, or what keeps one from arriving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuple {
    /// More input is needed.
    Short,
    /// No more tuples.
    End,
    /// This many bytes hold it, or the beginning of a malformed one.
    Here(usize),
}

/// Finds tuples.
#[derive(Default)]
pub(crate) struct Tuples {
    pub buffer: Buffer,
    header: Header,
    ended: bool,
    /// How far the next tuple was looked at: fields and bytes.
    seen: (usize, usize),
}

/// How much of the header is still to come.
#[derive(Default)]
enum Header {
    #[default]
    Start,
    /// So many bytes of the extension.
    Extension(usize),
    Done,
}

impl Tuples {
    /// Adds a chunk.
    ///
    /// # Errors
    /// `22P04` for data after the trailer, `54000`.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.ended && !chunk.is_empty() {
            return Err(after_end());
        }
        self.buffer.push(chunk)
    }

    /// Reads the header; true once it is behind.
    ///
    /// # Errors
    /// `22P04` as PostgreSQL words it.
    pub fn header(&mut self, last: bool) -> Result<bool> {
        loop {
            match self.header {
                Header::Done => return Ok(true),
                Header::Extension(0) => {
                    self.header = Header::Done;
                    self.buffer.release();
                }
                Header::Extension(left) => {
                    let n = left.min(self.buffer.unread().len());
                    if n == 0 {
                        return short(last, "invalid COPY file header (wrong length)");
                    }
                    self.buffer.take(n);
                    self.buffer.release();
                    self.header = Header::Extension(left - n);
                }
                Header::Start => match self.start(last)? {
                    Some(extension) => self.header = Header::Extension(extension),
                    None => return Ok(false),
                },
            }
        }
    }

    /// Signature, flags and the length of the extension.
    fn start(&mut self, last: bool) -> Result<Option<usize>> {
        let input = self.buffer.unread();
        let word = |at: usize| input.get(at..at + 4).map(|b| u32::from_be_bytes(b.try_into().expect("four bytes")));
        let known = input.len().min(SIGNATURE.len());
        if input[..known] != SIGNATURE[..known] || (last && known < SIGNATURE.len()) {
            return Err(bad("COPY file signature not recognized"));
        }
        let Some(flags) = word(SIGNATURE.len()) else {
            return short(last, "invalid COPY file header (missing flags)").map(|_| None);
        };
        if flags & WITH_OIDS != 0 {
            return Err(bad("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(bad("unrecognized critical flags in COPY file header"));
        }
        let Some(length) = word(SIGNATURE.len() + 4) else {
            return short(last, "invalid COPY file header (missing length)").map(|_| None);
        };
        let length = usize::try_from(length as i32).map_err(|_| bad("invalid COPY file header (missing length)"))?;
        self.buffer.take(HEADER.len());
        Ok(Some(length))
    }

    /// Looks whether a whole tuple of `fields` fields is there. What is malformed counts as whole: reading it says what is wrong.
    ///
    /// # Errors
    /// `22P04` for data after the trailer.
    pub fn next(&mut self, fields: usize, last: bool) -> Result<Tuple> {
        let input = self.buffer.unread();
        let Some(count) = input.first_chunk::<2>().map(|b| i16::from_be_bytes(*b)) else {
            // PostgreSQL takes the end of input for the end of data, even in the middle of the count.
            return Ok(if last || self.ended { Tuple::End } else { Tuple::Short });
        };
        if count == -1 {
            self.ended = true;
            if input.len() > TRAILER.len() {
                return Err(after_end());
            }
            self.buffer.clear();
            return Ok(Tuple::End);
        }
        let (mut field, mut at) = (self.seen.0, self.seen.1.max(2));
        while usize::try_from(count) == Ok(fields) && field < fields {
            let length = input.get(at..at + 4).map(|b| i32::from_be_bytes(b.try_into().expect("four bytes")));
            match length {
                Some(n) if n < -1 => break,
                Some(n) if input.len() - at - 4 >= n.max(0) as usize => at += 4 + n.max(0) as usize,
                _ if last => {
                    at = input.len();
                    break;
                }
                _ => {
                    self.seen = (field, at);
                    return Ok(Tuple::Short);
                }
            }
            field += 1;
        }
        self.seen = (0, 0);
        Ok(Tuple::Here(if field < fields { input.len() } else { at }))
    }
}

fn after_end() -> Error {
    bad("received copy data after EOF marker")
}

/// Waits for more input, unless there is none.
fn short(last: bool, text: &str) -> Result<bool> {
    if last { Err(bad(text)) } else { Ok(false) }
}

/// Reads the fields of a tuple.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// The tuple's count of fields must be `expected`.
    ///
    /// # Errors
    /// `22P04`
    pub fn new(tuple: &'a [u8], expected: usize) -> Result<Self> {
        let (count, rest) = tuple.split_first_chunk::<2>().ok_or_else(eof)?;
        let count = i16::from_be_bytes(*count);
        if usize::try_from(count) == Ok(expected) {
            Ok(Self(rest))
        } else {
            Err(bad(format!("row field count is {count}, expected {expected}")))
        }
    }

    /// The next field; None is NULL.
    ///
    /// # Errors
    /// `22P04`
    pub fn field(&mut self) -> Result<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or_else(eof)?;
        self.0 = rest;
        let length = match i32::from_be_bytes(*length) {
            -1 => return Ok(None),
            n => usize::try_from(n).map_err(|_| bad("invalid field size"))?,
        };
        let (value, rest) = self.0.split_at_checked(length).ok_or_else(eof)?;
        self.0 = rest;
        Ok(Some(value))
    }
}

fn eof() -> Error {
    bad("unexpected EOF in COPY data")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = (fields.len() as i16).to_be_bytes().to_vec();
        for f in fields {
            out.extend(f.map_or(-1, |b| b.len() as i32).to_be_bytes());
            out.extend(f.unwrap_or_default());
        }
        out
    }

    /// Reads `input` in every chunk size: the tuples' fields, then the error if there is one.
    /// Rows of fields.
    type Rows = Vec<Vec<Option<Vec<u8>>>>;

    fn read(input: &[u8], fields: usize) -> (Rows, Option<String>) {
        let mut answers = (1..=input.len().max(1)).map(|chunk| {
            let mut tuples = Tuples::default();
            let mut out = vec![];
            let mut error = None;
            let pieces = input.chunks(chunk).map(|p| (p, false)).chain([(&[][..], true)]);
            for (piece, last) in pieces {
                if let Err(e) = one(&mut tuples, piece, last, fields, &mut out) {
                    error = Some(e.message().to_owned());
                    break;
                }
            }
            (out, error)
        });
        let first = answers.next().expect("one chunk size");
        assert!(answers.all(|a| a == first), "chunks must not matter");
        first
    }

    fn one(t: &mut Tuples, piece: &[u8], last: bool, n: usize, out: &mut Vec<Vec<Option<Vec<u8>>>>) -> Result<()> {
        t.push(piece)?;
        if !t.header(last)? {
            return Ok(());
        }
        while let Tuple::Here(len) = t.next(n, last)? {
            let begin = t.buffer.take(len);
            let mut cursor = Cursor::new(t.buffer.kept(begin, len), n)?;
            let row = (0..n).map(|_| Ok(cursor.field()?.map(<[u8]>::to_vec))).collect::<Result<_>>()?;
            out.push(row);
            t.buffer.release();
        }
        Ok(())
    }

    #[test]
    fn tuples_come_whole() {
        let mut input = b"PGCOPY\n\xff\r\n\0\0\0\0\x01\0\0\0\x03ext".to_vec();
        input.extend(tuple(&[Some(b"abc"), None]));
        input.extend(tuple(&[Some(b""), Some(b"defg")]));
        input.extend(TRAILER);
        let rows = vec![vec![Some(b"abc".to_vec()), None], vec![Some(vec![]), Some(b"defg".to_vec())]];
        assert_eq!(read(&input, 2), (rows, None));
    }

    #[test]
    fn malformed_input_is_named() {
        let message = |input: &[u8]| read(input, 1).1.unwrap_or_default();
        let with = |body: &[u8]| [HEADER, body].concat();
        assert_eq!(message(b"PGCOPX"), "COPY file signature not recognized");
        assert_eq!(message(b""), "COPY file signature not recognized");
        assert_eq!(message(b"PGCOPY\n\xff\r\n\0\0\0"), "invalid COPY file header (missing flags)");
        assert_eq!(message(b"PGCOPY\n\xff\r\n\0\0\x01\0\0"), "invalid COPY file header (WITH OIDS)");
        assert_eq!(message(b"PGCOPY\n\xff\r\n\0\0\x02\0\0"), "unrecognized critical flags in COPY file header");
        assert_eq!(message(&HEADER[..17]), "invalid COPY file header (missing length)");
        assert_eq!(message(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02x"), "invalid COPY file header (wrong length)");
        assert_eq!(message(&with(b"\0\x02")), "row field count is 2, expected 1");
        assert_eq!(message(&with(b"\0\x01\xff\xff\xff\xfe")), "invalid field size");
        assert_eq!(message(&with(b"\0\x01\0\0\0\x05abc")), "unexpected EOF in COPY data");
        assert_eq!(message(&with(b"\0\x01\0\0")), "unexpected EOF in COPY data");
        assert_eq!(message(&with(b"\xff\xffx")), "received copy data after EOF marker");
        assert_eq!(message(HEADER), "");
    }
}
