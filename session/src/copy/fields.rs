//! Takes a line apart into fields: PostgreSQL's CopyReadAttributesText and CopyReadAttributesCSV.
//!
//! A field without escapes and quotes is a part of the line; others are written out once, into one buffer for the whole line.

use super::lines::bad;
use super::options::{Format, Options};
use heddle_types::Result;
use heddle_types::text::check_utf8;
use std::ops::Range;

/// Where a field's text is.
#[derive(Clone, Debug)]
enum Place {
    Null,
    Line(Range<usize>),
    Unescaped(Range<usize>),
}

/// The fields of one line; kept from line to line so that its memory is.
pub(crate) struct Fields<'a> {
    options: &'a Options,
    places: Vec<Place>,
    unescaped: Vec<u8>,
}

impl<'a> Fields<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, places: vec![], unescaped: vec![] }
    }

    /// How many fields the line has.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Field `i` of the line that was split; None is NULL.
    pub fn get<'b>(&'b self, line: &'b str, i: usize) -> Option<&'b str> {
        match &self.places[i] {
            Place::Null => None,
            Place::Line(range) => Some(&line[range.clone()]),
            Place::Unescaped(range) => {
                Some(std::str::from_utf8(&self.unescaped[range.clone()]).expect("checked when it was written"))
            }
        }
    }

    /// Splits a line.
    ///
    /// # Errors
    /// `22021` for escapes that make no text, `22P04` for quotes that do not end.
    pub fn split(&mut self, line: &str) -> Result<()> {
        self.places.clear();
        self.unescaped.clear();
        match self.options.format {
            Format::Csv => self.split_csv(line.as_bytes()),
            _ => self.split_text(line.as_bytes()),
        }
    }

    fn split_text(&mut self, line: &[u8]) -> Result<()> {
        let delimiter = self.options.delimiter;
        let mut at = 0;
        loop {
            let begin = at;
            at = skip(line, at, delimiter, b'\\');
            if line.get(at) == Some(&b'\\') {
                at = self.unescape(line, begin, at)?;
            } else {
                self.plain(line, begin..at);
            }
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    /// A field that is as it stands in the line.
    fn plain(&mut self, line: &[u8], range: Range<usize>) {
        let null = line[range.clone()] == *self.options.null.as_bytes();
        self.places.push(if null { Place::Null } else { Place::Line(range) });
    }

    /// A field with backslashes from `first` on; returns where it ends.
    fn unescape(&mut self, line: &[u8], begin: usize, first: usize) -> Result<usize> {
        let from = self.unescaped.len();
        self.unescaped.extend_from_slice(&line[begin..first]);
        let mut at = first;
        // A backslash that nothing follows is no part of the field.
        let mut end = first;
        while at < line.len() && line[at] != self.options.delimiter {
            if line[at] != b'\\' {
                self.unescaped.push(line[at]);
                at += 1;
            } else if at + 1 < line.len() {
                at = escape(line, at + 1, &mut self.unescaped);
            } else {
                at += 1;
                break;
            }
            end = at;
        }
        if line[begin..end] == *self.options.null.as_bytes() {
            self.places.push(Place::Null);
        } else {
            check_utf8(&self.unescaped[from..])?;
            self.places.push(Place::Unescaped(from..self.unescaped.len()));
        }
        Ok(at)
    }

    fn split_csv(&mut self, line: &[u8]) -> Result<()> {
        let Options { delimiter, quote, .. } = *self.options;
        let mut at = 0;
        loop {
            let begin = at;
            at = skip(line, at, delimiter, quote);
            if line.get(at) == Some(&quote) {
                at = self.unquote(line, begin, at)?;
            } else {
                self.plain(line, begin..at);
            }
            if at >= line.len() {
                return Ok(());
            }
            at += 1;
        }
    }

    /// A field with quotes from `first` on; returns where it ends. It is never NULL.
    fn unquote(&mut self, line: &[u8], begin: usize, first: usize) -> Result<usize> {
        let Options { delimiter, quote, escape, .. } = *self.options;
        // The usual one is quoted as a whole and holds no quotes.
        if begin == first
            && let Some(len) = memchr::memchr2(quote, escape, &line[first + 1..])
            && line[first + 1 + len] == quote
            && line.get(first + len + 2).is_none_or(|next| *next == delimiter)
        {
            self.places.push(Place::Line(first + 1..first + 1 + len));
            return Ok(first + len + 2);
        }
        let from = self.unescaped.len();
        self.unescaped.extend_from_slice(&line[begin..first]);
        let mut at = first;
        while at < line.len() && line[at] != delimiter {
            if line[at] == quote {
                at = self.quoted(line, at + 1)?;
            } else {
                self.unescaped.push(line[at]);
                at += 1;
            }
        }
        self.places.push(Place::Unescaped(from..self.unescaped.len()));
        Ok(at)
    }

    /// What stands between quotes; returns the place after the closing one.
    fn quoted(&mut self, line: &[u8], mut at: usize) -> Result<usize> {
        let Options { quote, escape, .. } = *self.options;
        while at < line.len() {
            let (c, next) = (line[at], line.get(at + 1));
            at += 1;
            if c == escape
                && let Some(next) = next.filter(|n| **n == escape || **n == quote)
            {
                self.unescaped.push(*next);
                at += 1;
            } else if c == quote {
                return Ok(at);
            } else {
                self.unescaped.push(c);
            }
        }
        Err(bad("unterminated CSV quoted field"))
    }
}

/// The first place from `at` on that holds one of two bytes, or the end. Fields are short: a call into vector code costs more.
fn skip(line: &[u8], at: usize, a: u8, b: u8) -> usize {
    line[at..].iter().position(|c| *c == a || *c == b).map_or(line.len(), |n| at + n)
}

/// Writes what the escape means whose letter is at `at`; returns the place after it.
fn escape(line: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let digits = |from: usize, most: usize, radix: u32| {
        line[from..]
            .iter()
            .take(most)
            .map_while(|b| char::from(*b).to_digit(radix))
            .fold((0, 0), |(n, v), digit| (n + 1, v * radix + digit))
    };
    let letter = line[at];
    let (len, byte) = match letter {
        b'b' => (1, 8),
        b'f' => (1, 12),
        b'n' => (1, b'\n'),
        b'r' => (1, b'\r'),
        b't' => (1, b'\t'),
        b'v' => (1, 11),
        b'0'..=b'7' => {
            let (n, value) = digits(at, 3, 8);
            (n, value as u8)
        }
        b'x' => match digits(at + 1, 2, 16) {
            (0, _) => (1, b'x'),
            (n, value) => (1 + n, value as u8),
        },
        other => (1, other),
    };
    out.push(byte);
    at + len
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::lines::Lines;
    use heddle_planner::parse::{Copy, CopyOption, CopyValue};

    fn options(format: &str) -> Options {
        let option = CopyOption { name: "format".into(), value: CopyValue::Text(format.into()), position: None };
        let (columns, options) = (vec![], vec![option]);
        let copy =
            Copy { table: None, columns, query: None, from: true, file: None, options, filter: None, position: None };
        Options::parse(&copy).unwrap()
    }

    type Rows = Vec<(u64, Vec<Option<String>>)>;

    fn read(options: &Options, input: &[u8], chunk: usize) -> (Rows, Option<String>) {
        let (mut lines, mut fields) = (Lines::new(options), Fields::new(options));
        let mut rows = vec![];
        let pieces = input.chunks(chunk).map(|p| (p, false)).chain([(&[][..], true)]);
        for (piece, last) in pieces {
            lines.push(piece).unwrap();
            loop {
                let line = match lines.next(last) {
                    Ok(None) => break,
                    Ok(Some(line)) => line,
                    Err(e) => return (rows, Some(format!("{}: {}", lines.number, e.message()))),
                };
                let text = match line.text(&lines.buffer).and_then(|text| fields.split(text).map(|()| text)) {
                    Ok(text) => text,
                    Err(e) => return (rows, Some(format!("{}: {}", line.number, e.message()))),
                };
                let row = (0..fields.len()).map(|i| fields.get(text, i).map(str::to_owned)).collect();
                rows.push((line.number, row));
            }
            lines.buffer.release();
        }
        (rows, None)
    }

    /// Feeds `input` in every chunk size and expects the same lines, shown as `number:field|field`, NULL as `~`.
    fn check(format: &str, input: &str, expected: &str) {
        let options = options(format);
        for chunk in 1..=input.len().max(1) {
            let (rows, error) = read(&options, input.as_bytes(), chunk);
            let show = |(number, row): &(u64, Vec<Option<String>>)| {
                let fields: Vec<&str> = row.iter().map(|f| f.as_deref().unwrap_or("~")).collect();
                format!("{number}:{}", fields.join("|"))
            };
            let shown: Vec<String> = rows.iter().map(show).chain(error.map(|e| format!("error {e}"))).collect();
            assert_eq!(shown.join(" "), expected, "{input:?} in chunks of {chunk}");
        }
    }

    #[test]
    fn text_lines() {
        check("text", "1\ta\n2\t\\N\n", "1:1|a 2:2|~");
        check("text", "1\ta\r\n2\t\r\n", "1:1|a 2:2|");
        check("text", "1\ra\r", "1:1 2:a");
        check("text", "a\\nb\\\\\\x41\\101\\q\t\\\tx\n", "1:a\nb\\AAq|\tx");
        check("text", "1\n2", "1:1 2:2");
        check("text", "1\n\\.\nrest", "1:1");
        check("text", "1\nx\\.\nrest", "1:1 2:x");
        check("text", "a\\\nb\n", "1:a\nb");
        check("text", "a\\", "1:a");
        check("text", "1\r\n2\n", "1:1 error 2: literal newline found in data");
        check("text", "1\n2\r\n", "1:1 error 2: literal carriage return found in data");
        check("text", "1\n\\.x\n", "1:1 error 2: end-of-copy marker corrupt");
        check("text", "1\n\\.", "1:1 error 2: end-of-copy marker corrupt");
        check("text", "1\r\n\\.\n", "1:1 error 2: end-of-copy marker does not match previous newline style");
        check("text", "1\n\\xff\n", "1:1 error 2: invalid byte sequence for encoding \"UTF8\": 0xff");
    }

    #[test]
    fn csv_lines() {
        check("csv", "1,,\"\"\n", "1:1|~|");
        check("csv", "1,\"a\nb\"\r\n2,\"c\"\r\n", "1:1|a\nb 2:2|c");
        check("csv", "1,\"x \"\"y\"\"\",z\n", "1:1|x \"y\"|z");
        check("csv", "1,a\"b,c\"d\n", "1:1|ab,cd");
        check("csv", "x\n\"a\nb\"\nz\n", "1:x 3:a\nb 4:z");
        check("csv", "\\.\nrest", "");
        check("csv", "\\.x,1\n\\.", "1:\\.x|1 2:\\.");
        check("csv", "1,\"open\n2", "error 1: unterminated CSV quoted field");
        check("csv", "1\n2\r\n", "1:1 error 2: unquoted carriage return found in data");
        check("csv", "", "");
    }

    #[test]
    fn csv_escape_that_is_not_the_quote() {
        let options = Options { escape: b'\\', ..options("csv") };
        for chunk in 1..12 {
            let (rows, error) = read(&options, b"\"a\\\"b\\\\\",\\n\n\"\\c\"\n", chunk);
            assert_eq!(error, None);
            let texts: Vec<Vec<&str>> =
                rows.iter().map(|(_, r)| r.iter().map(|f| f.as_deref().unwrap()).collect()).collect();
            assert_eq!(texts, [vec!["a\"b\\", "\\n"], vec!["\\c"]], "chunks of {chunk}");
        }
    }

    #[test]
    fn bad_bytes_are_found_in_their_line() {
        for chunk in 1..8 {
            let (rows, error) = read(&options("text"), b"ok\nb\xc3\x28\n", chunk);
            assert_eq!(rows.len(), 1);
            assert_eq!(error.as_deref(), Some("2: invalid byte sequence for encoding \"UTF8\": 0xc3 0x28"));
        }
    }
}
