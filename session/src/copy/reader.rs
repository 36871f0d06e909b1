//! Cuts COPY input into records, whatever the chunk boundaries, and records into fields.
//!
//! One machine per format; both see bytes, since every special character is ASCII and UTF-8 never contains ASCII inside a
//! character. A record's memory is bounded by [`RECORD_BYTES_MAX`].

use super::options::{Format, Options};
use heddle_types::{Error, Result, SqlState};

/// Longest record.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 30;

/// One field before conversion: None = NULL.
pub(crate) type Field = Option<Vec<u8>>;

/// Splits input into records and fields.
pub(crate) struct Reader<'a> {
    options: &'a Options,
    buffer: Vec<u8>,
    /// Start of the unread part of `buffer`.
    start: usize,
    /// How far `buffer` was searched for the end of the record, and the quote state there.
    scanned: usize,
    in_quotes: bool,
    /// Lines read so far, as PostgreSQL counts them (newlines inside quotes count).
    pub line: u64,
    /// `\.` was seen.
    pub ended: bool,
}

impl<'a> Reader<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, buffer: vec![], start: 0, scanned: 0, in_quotes: false, line: 0, ended: false }
    }

    /// Adds a chunk.
    pub fn push(&mut self, chunk: &[u8]) -> Result<()> {
        if self.ended {
            // What follows `\.` is read and forgotten.
            self.buffer = vec![];
            (self.start, self.scanned) = (0, 0);
            return Ok(());
        }
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        if self.buffer.len() + chunk.len() > RECORD_BYTES_MAX {
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "COPY line is too long"));
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// What has arrived and is not a record yet.
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The next whole record without its line end; at the end of input (`last`) also an unterminated one.
    pub fn record(&mut self, last: bool) -> Result<Option<Vec<u8>>> {
        if self.ended {
            return Ok(None);
        }
        let end = match self.options.format {
            Format::Text => self.text_end(),
            Format::Csv => self.csv_end(),
        };
        let (content, next) = match end {
            Some(at) => (at, at + 1),
            None if last && self.start < self.buffer.len() => {
                if self.in_quotes {
                    let e = Error::new(SqlState::BAD_COPY_FILE_FORMAT, "unterminated CSV quoted field");
                    return Err(e);
                }
                (self.buffer.len(), self.buffer.len())
            }
            None => return Ok(None),
        };
        let mut record = self.buffer[self.start..content].to_vec();
        if record.last() == Some(&b'\r') {
            record.pop();
        }
        self.start = next;
        self.scanned = next;
        self.in_quotes = false;
        self.line += 1;
        if record == b"\\." {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(record))
    }

    /// Text: a newline ends the record unless a backslash stands before it.
    fn text_end(&mut self) -> Option<usize> {
        let mut at = self.scanned;
        while at < self.buffer.len() {
            match self.buffer[at] {
                b'\\' if at + 1 >= self.buffer.len() => break,
                // `\.` ends the input also when its newline follows directly; a backslash-newline is data.
                b'\\' => at += 2,
                b'\n' => return Some(at),
                _ => at += 1,
            }
        }
        self.scanned = at;
        None
    }

    /// CSV: a newline ends the record outside quotes.
    fn csv_end(&mut self) -> Option<usize> {
        let (quote, escape) = (self.options.quote, self.options.escape);
        let mut at = self.scanned;
        while at < self.buffer.len() {
            let b = self.buffer[at];
            if self.in_quotes && escape != quote && b == escape {
                if at + 1 >= self.buffer.len() {
                    break;
                }
                at += if matches!(self.buffer[at + 1], c if c == quote || c == escape) { 2 } else { 1 };
                continue;
            }
            if b == quote {
                self.in_quotes = !self.in_quotes;
            } else if b == b'\n' {
                if !self.in_quotes {
                    return Some(at);
                }
                self.line += 1;
            }
            at += 1;
        }
        self.scanned = at;
        None
    }

    /// The fields of a record.
    pub fn fields(&self, record: &[u8]) -> Result<Vec<Field>> {
        match self.options.format {
            Format::Text => text_fields(record, self.options),
            Format::Csv => {
                Ok(csv_fields(record, self.options).into_iter().map(|f| f.value(&self.options.null)).collect())
            }
        }
    }

    /// CSV fields with what FORCE_NULL and FORCE_NOT_NULL need to know.
    pub fn csv_fields(&self, record: &[u8]) -> Vec<CsvField> {
        csv_fields(record, self.options)
    }
}

fn text_fields(record: &[u8], options: &Options) -> Result<Vec<Field>> {
    let mut fields = vec![];
    let mut at = 0;
    loop {
        let begin = at;
        let mut value = vec![];
        while at < record.len() && record[at] != options.delimiter {
            if record[at] == b'\\' && at + 1 < record.len() {
                at = unescape(record, at + 1, &mut value);
            } else {
                value.push(record[at]);
                at += 1;
            }
        }
        let raw = &record[begin..at];
        fields.push((raw != options.null.as_bytes()).then_some(value));
        if at >= record.len() {
            return Ok(fields);
        }
        at += 1;
    }
}

/// Decodes the escape whose letter is at `at`; returns the position after it.
fn unescape(record: &[u8], at: usize, out: &mut Vec<u8>) -> usize {
    let octal = |b: u8| (b'0'..=b'7').contains(&b);
    let c = record[at];
    match c {
        b'b' => out.push(8),
        b'f' => out.push(12),
        b'n' => out.push(b'\n'),
        b'r' => out.push(b'\r'),
        b't' => out.push(b'\t'),
        b'v' => out.push(11),
        b'0'..=b'7' => {
            let digits = record[at..].iter().take(3).take_while(|b| octal(**b)).count();
            let value = record[at..at + digits].iter().fold(0u32, |v, b| v * 8 + u32::from(b - b'0'));
            out.push((value & 0xff) as u8);
            return at + digits;
        }
        b'x' => {
            let digits = record[at + 1..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
            if digits == 0 {
                out.push(b'x');
            } else {
                let hex = |b: &u8| (*b as char).to_digit(16).expect("a hex digit");
                let value = record[at + 1..at + 1 + digits].iter().fold(0, |v, b| v * 16 + hex(b));
                out.push(value as u8);
            }
            return at + 1 + digits;
        }
        other => out.push(other),
    }
    at + 1
}

/// A CSV field and whether any part of it was quoted.
pub(crate) struct CsvField {
    pub bytes: Vec<u8>,
    pub quoted: bool,
}

impl CsvField {
    /// NULL is the unquoted NULL string.
    pub fn value(self, null: &str) -> Field {
        (self.quoted || self.bytes != null.as_bytes()).then_some(self.bytes)
    }
}

fn csv_fields(record: &[u8], options: &Options) -> Vec<CsvField> {
    let mut fields = vec![];
    let mut field = CsvField { bytes: vec![], quoted: false };
    let mut in_quotes = false;
    let mut at = 0;
    while at < record.len() {
        let b = record[at];
        if in_quotes {
            let next = record.get(at + 1).copied();
            if b == options.escape && next.is_some_and(|n| n == options.escape || n == options.quote) {
                field.bytes.push(record[at + 1]);
                at += 1;
            } else if b == options.quote {
                in_quotes = false;
            } else {
                field.bytes.push(b);
            }
        } else if b == options.quote {
            in_quotes = true;
            field.quoted = true;
        } else if b == options.delimiter {
            fields.push(std::mem::replace(&mut field, CsvField { bytes: vec![], quoted: false }));
        } else {
            field.bytes.push(b);
        }
        at += 1;
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_planner::parse::{Copy, CopyOption};

    fn options(csv: bool) -> Options {
        let format = CopyOption { name: "format".to_owned(), value: "csv".to_owned(), position: None };
        let options = if csv { vec![format] } else { vec![] };
        let copy = Copy { table: None, columns: vec![], query: None, from: true, file: None, options, position: None };
        Options::parse(&copy).unwrap()
    }

    /// Feeds `input` in every chunk size and expects the same records.
    fn check(csv: bool, input: &str, expected: &[&[Option<&str>]]) {
        let options = options(csv);
        for chunk in 1..=input.len().max(1) {
            let mut reader = Reader::new(&options);
            let mut got: Vec<Vec<Field>> = vec![];
            for piece in input.as_bytes().chunks(chunk) {
                reader.push(piece).unwrap();
                while let Some(r) = reader.record(false).unwrap() {
                    got.push(reader.fields(&r).unwrap());
                }
            }
            while let Some(r) = reader.record(true).unwrap() {
                got.push(reader.fields(&r).unwrap());
            }
            let want: Vec<Vec<Field>> =
                expected.iter().map(|r| r.iter().map(|f| f.map(|s| s.as_bytes().to_vec())).collect()).collect();
            assert_eq!(got, want, "chunks of {chunk}");
        }
    }

    #[test]
    fn text_escapes_nulls_and_chunks() {
        check(
            false,
            "a\t\\N\tb\\tc\\n\\101\\x41\n\\\\N\t\t\n",
            &[&[Some("a"), None, Some("b\tc\nAA")], &[Some("\\N"), Some(""), Some("")]],
        );
    }

    #[test]
    fn text_end_marker_stops() {
        check(false, "1\n\\.\n2\n", &[&[Some("1")]]);
    }

    #[test]
    fn input_after_the_end_marker_takes_no_memory() {
        let options = options(false);
        let mut reader = Reader::new(&options);
        reader.push(b"1\n\\.\n").unwrap();
        while reader.record(false).unwrap().is_some() {}
        for _ in 0..100 {
            reader.push(&[b'x'; 1000]).unwrap();
            assert_eq!(reader.record(false).unwrap(), None);
        }
        assert!(reader.ended && reader.buffer.is_empty());
    }

    #[test]
    fn csv_quotes_newlines_and_nulls() {
        check(
            true,
            "a,,\"\",\"b\"\"c\"\r\n\"x\ny\",1\n",
            &[&[Some("a"), None, Some(""), Some("b\"c")], &[Some("x\ny"), Some("1")]],
        );
    }

    #[test]
    fn last_line_without_newline_counts() {
        check(true, "1,2", &[&[Some("1"), Some("2")]]);
    }
}
