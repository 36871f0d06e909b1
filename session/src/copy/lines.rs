//! Cuts text and csv input into lines, whatever the chunk boundaries: PostgreSQL's CopyReadLineText.
//!
//! Sees bytes, since every special character is ASCII and UTF-8 has no ASCII inside a character. The first line decides how
//! all lines end (LF, CR or CRLF). A line is given out once it is whole and its ending is known.

use super::buffer::Buffer;
use super::options::{Format, Options};
use heddle_types::text::check_utf8;
use heddle_types::{Error, Result, SqlState};

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Lf,
    Cr,
    CrLf,
}

/// A line without its ending, as a place in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub number: u64,
    begin: usize,
    len: usize,
}

impl Line {
    /// Its text, until the buffer lets go of it.
    ///
    /// # Errors
    /// `22021`
    pub fn text(self, buffer: &Buffer) -> Result<&str> {
        check_utf8(buffer.kept(self.begin, self.len))
    }
}

/// What the scan of a line came to.
enum Cut {
    /// Content and ending, in bytes.
    Line(usize, usize),
    /// `\.` after so many bytes of content.
    End(usize),
    /// More input is needed.
    Short,
}

/// Cuts lines.
pub(crate) struct Lines {
    pub buffer: Buffer,
    csv: bool,
    quote: u8,
    /// Escape inside quotes, when it is not the quote itself.
    escape: Option<u8>,
    ending: Option<Ending>,
    /// How much of the unread bytes was scanned, and the csv state there.
    scanned: usize,
    in_quotes: bool,
    /// Number of the line that is being read, as PostgreSQL counts: newlines inside quotes count.
    pub number: u64,
    ended: bool,
}

impl Lines {
    pub fn new(options: &Options) -> Self {
        Self {
            buffer: Buffer::default(),
            csv: options.format == Format::Csv,
            quote: options.quote,
            escape: (options.escape != options.quote).then_some(options.escape),
            ending: None,
            scanned: 0,
            in_quotes: false,
            number: 1,
            ended: false,
        }
    }

    /// Adds a chunk; what follows `\.` is forgotten.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.ended { Ok(()) } else { self.buffer.push(chunk) }
    }

    /// The next whole line; at the end of input (`last`) also an unterminated one.
    ///
    /// # Errors
    /// `22P04` for mixed line ends and misplaced end markers; `22021` when bad bytes stand before them.
    pub fn next(&mut self, last: bool) -> Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        let (content, ending) = match self.cut(last) {
            Ok(Cut::Line(content, ending)) => (content, ending),
            Ok(Cut::Short) if !last => return Ok(None),
            Ok(Cut::Short) => self.end(self.buffer.unread().len()),
            Ok(Cut::End(content)) => self.end(content),
            Err(e) => {
                // Bad bytes before the fault come first.
                check_utf8(&self.buffer.unread()[..self.scanned])?;
                return Err(e);
            }
        };
        if self.ended && content == 0 {
            return Ok(None);
        }
        let line = Line { number: self.number, begin: self.buffer.take(content + ending), len: content };
        (self.scanned, self.in_quotes) = (0, false);
        self.number += 1;
        Ok(Some(line))
    }

    fn end(&mut self, content: usize) -> (usize, usize) {
        self.ended = true;
        (content, 0)
    }

    fn cut(&mut self, last: bool) -> Result<Cut> {
        if self.csv { self.cut_csv(last) } else { self.cut_text(last) }
    }

    /// Text: an end of line counts unless a backslash stands before it.
    fn cut_text(&mut self, last: bool) -> Result<Cut> {
        loop {
            let input = &self.buffer.unread()[self.scanned..];
            let Some(found) = memchr::memchr3(b'\n', b'\r', b'\\', input) else {
                self.scanned += input.len();
                return Ok(Cut::Short);
            };
            self.scanned += found;
            if input[found] != b'\\' {
                return self.line_end(last);
            }
            match input.get(found + 1) {
                None => return Ok(Cut::Short),
                Some(b'.') => {
                    return Ok(self.end_marker(last)?.map_or(Cut::Short, |_| Cut::End(self.scanned)));
                }
                Some(_) => self.scanned += 2,
            }
        }
    }

    /// CSV: an end of line counts outside quotes; `\.` counts alone on its line.
    fn cut_csv(&mut self, last: bool) -> Result<Cut> {
        if self.scanned == 0 && self.buffer.unread().first() == Some(&b'\\') {
            match self.end_marker(last)? {
                None => return Ok(Cut::Short),
                Some(true) => return Ok(Cut::End(0)),
                Some(false) => {}
            }
        }
        loop {
            let input = &self.buffer.unread()[self.scanned..];
            // Inside quotes only the kind of newline that ends lines is counted.
            let counted = if self.ending == Some(Ending::Lf) { b'\n' } else { b'\r' };
            let found = match self.in_quotes {
                false => memchr::memchr3(b'\n', b'\r', self.quote, input),
                true => memchr::memchr3(self.quote, self.escape.unwrap_or(self.quote), counted, input),
            };
            let Some(found) = found else {
                self.scanned += input.len();
                return Ok(Cut::Short);
            };
            self.scanned += found;
            let c = input[found];
            if c == self.quote {
                self.in_quotes = !self.in_quotes;
                self.scanned += 1;
            } else if !self.in_quotes {
                return self.line_end(last);
            } else if Some(c) == self.escape {
                match input.get(found + 1) {
                    None => return Ok(Cut::Short),
                    Some(next) => self.scanned += 1 + usize::from(*next == self.quote || *next == c),
                }
            } else {
                self.number += 1;
                self.scanned += 1;
            }
        }
    }

    /// The end of line at `scanned`.
    fn line_end(&mut self, last: bool) -> Result<Cut> {
        let (at, input) = (self.scanned, self.buffer.unread());
        let (ending, len) = match (input[at], self.ending, input.get(at + 1)) {
            (b'\n', None | Some(Ending::Lf), _) => (Ending::Lf, 1),
            (b'\n', ..) => return Err(self.stray("newline", 'n')),
            (_, Some(Ending::Cr), _) => (Ending::Cr, 1),
            (_, None | Some(Ending::CrLf), None) if !last => return Ok(Cut::Short),
            (_, None | Some(Ending::CrLf), Some(b'\n')) => (Ending::CrLf, 2),
            (_, None, _) => (Ending::Cr, 1),
            _ => return Err(self.stray("carriage return", 'r')),
        };
        self.ending = Some(ending);
        Ok(Cut::Line(at, len))
    }

    fn stray(&self, what: &str, letter: char) -> Error {
        let (how, hint) = match self.csv {
            false => ("literal", format!("Use \"\\{letter}\" to represent {what}.")),
            true => ("unquoted", format!("Use quoted CSV field to represent {what}.")),
        };
        bad(format!("{how} {what} found in data")).hint(hint)
    }

    /// Is the `\.` at `scanned` the end of the data? None when that cannot be told yet. In text it must be, in csv it may be a
    /// value.
    fn end_marker(&self, last: bool) -> Result<Option<bool>> {
        const STYLE: &str = "end-of-copy marker does not match previous newline style";
        let refuse = |text: &str| if self.csv { Ok(Some(false)) } else { Err(bad(text)) };
        let input = &self.buffer.unread()[self.scanned..];
        let byte = |i: usize| input.get(i).copied().or(last.then_some(0));
        let mut at = 1;
        match byte(at) {
            None => return Ok(None),
            Some(b'.') => at += 1,
            Some(_) => return Ok(Some(false)),
        }
        if self.ending == Some(Ending::CrLf) {
            match byte(at) {
                None => return Ok(None),
                Some(b'\r') => at += 1,
                Some(b'\n') => return refuse(STYLE),
                Some(_) => return refuse("end-of-copy marker corrupt"),
            }
        }
        match (byte(at), self.ending) {
            (None, _) => Ok(None),
            (Some(b'\n'), Some(Ending::Cr)) | (Some(b'\r'), Some(Ending::Lf | Ending::CrLf)) => Err(bad(STYLE)),
            (Some(b'\n' | b'\r'), _) => Ok(Some(true)),
            _ => refuse("end-of-copy marker corrupt"),
        }
    }
}

/// `22P04`
pub(crate) fn bad(text: impl Into<String>) -> Error {
    Error::new(SqlState::BAD_COPY_FILE_FORMAT, text)
}
