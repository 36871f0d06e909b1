//! Rows on their way out: lines of text or csv, or binary tuples.

use super::binary;
use super::options::{Format, Header, Options};
use arrow::record_batch::RecordBatch;
use heddle_planner::bound::OutputColumn;
use heddle_types::text::TextSettings;
use heddle_types::{binary as wire, text};

/// Formats rows, each as one message.
pub(crate) struct Writer<'a> {
    columns: &'a [OutputColumn],
    options: &'a Options,
    settings: &'a TextSettings,
    force_quote: Vec<bool>,
    /// The row in the making. The binary header waits here for the first one, as in PostgreSQL: some readers want them together.
    row: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub fn new(
        columns: &'a [OutputColumn],
        options: &'a Options,
        settings: &'a TextSettings,
        force_quote: Vec<bool>,
    ) -> Self {
        let row = if options.format == Format::Binary { binary::HEADER.to_vec() } else { vec![] };
        Self { columns, options, settings, force_quote, row, value: vec![] }
    }

    /// What comes before the rows, if anything.
    pub fn header(&mut self) -> Option<&[u8]> {
        if self.options.header == Header::None {
            return None;
        }
        self.row.clear();
        for (i, column) in self.columns.iter().enumerate() {
            self.value.clear();
            self.value.extend_from_slice(column.name.as_bytes());
            self.field(i, false);
        }
        self.row.push(b'\n');
        Some(&self.row)
    }

    /// A row. The message is to be forgotten with [`Writer::sent`].
    pub fn row(&mut self, batch: &RecordBatch, row: usize) -> &[u8] {
        match self.options.format {
            Format::Binary => self.tuple(batch, row),
            Format::Text | Format::Csv => self.line(batch, row),
        }
        &self.row
    }

    /// What comes after the rows, if anything.
    pub fn trailer(&mut self) -> Option<&[u8]> {
        if self.options.format != Format::Binary {
            return None;
        }
        self.row.extend_from_slice(binary::TRAILER);
        Some(&self.row)
    }

    /// The row was sent.
    pub fn sent(&mut self) {
        self.row.clear();
    }

    fn tuple(&mut self, batch: &RecordBatch, row: usize) {
        self.row.extend_from_slice(&(self.columns.len() as i16).to_be_bytes());
        for (i, column) in self.columns.iter().enumerate() {
            let array = batch.column(i);
            if array.is_null(row) {
                self.row.extend_from_slice(&(-1i32).to_be_bytes());
                continue;
            }
            let at = self.row.len();
            self.row.extend_from_slice(&[0; 4]);
            wire::encode_at(&mut self.row, array, row, column.ty);
            let length = (self.row.len() - at - 4) as i32;
            self.row[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
    }

    fn line(&mut self, batch: &RecordBatch, row: usize) {
        for (i, column) in self.columns.iter().enumerate() {
            let array = batch.column(i);
            if array.is_null(row) {
                self.separate(i);
                self.row.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            self.value.clear();
            text::format_at(&mut self.value, array, row, column.ty, self.settings);
            self.field(i, self.force_quote[i]);
        }
        self.row.push(b'\n');
    }

    fn separate(&mut self, i: usize) {
        if i > 0 {
            self.row.push(self.options.delimiter);
        }
    }

    /// Appends `self.value` as field `i`.
    fn field(&mut self, i: usize, force_quote: bool) {
        self.separate(i);
        match self.options.format {
            Format::Csv => self.csv_field(force_quote),
            _ => escape_text(&mut self.row, &self.value, self.options.delimiter),
        }
    }

    fn csv_field(&mut self, force_quote: bool) {
        let Options { quote, escape, delimiter, .. } = *self.options;
        let special = |b: &u8| *b == delimiter || *b == quote || matches!(b, b'\n' | b'\r');
        let lone_end = self.columns.len() == 1 && self.value == b"\\.";
        let quoting =
            force_quote || lone_end || self.value == self.options.null.as_bytes() || self.value.iter().any(special);
        if !quoting {
            self.row.extend_from_slice(&self.value);
            return;
        }
        self.row.push(quote);
        for b in &self.value {
            if *b == quote || *b == escape {
                self.row.push(escape);
            }
            self.row.push(*b);
        }
        self.row.push(quote);
    }
}

fn escape_text(out: &mut Vec<u8>, value: &[u8], delimiter: u8) {
    let mut plain = 0;
    for (at, &b) in value.iter().enumerate() {
        let letter = match b {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            _ if b == delimiter || b == b'\\' => b,
            _ => continue,
        };
        out.extend_from_slice(&value[plain..at]);
        out.extend_from_slice(&[b'\\', letter]);
        plain = at + 1;
    }
    out.extend_from_slice(&value[plain..]);
}
