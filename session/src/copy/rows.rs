//! Rows of input as typed columns, and where in the input an error stands.

use super::binary::{Cursor, Tuple, Tuples};
use super::fields::Fields;
use super::lines::{Line, Lines, bad};
use super::options::{Header, Options};
use arrow::array::ArrayRef;
use heddle_catalog::TableDef;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::text::TextSettings;
use heddle_types::{Error, PgType, Result, binary, text};

/// When a batch is full.
struct Room {
    rows: usize,
    bytes: usize,
}

/// As in PostgreSQL: of a malformed line and a duplicate key the same one is reported.
const ROOM: Room = Room { rows: 1000, bytes: 65_535 };
/// Time series have no duplicate keys, and long blocks name each series once.
const SERIES_ROOM: Room = Room { rows: 8192, bytes: 1 << 20 };

/// The columns that are filled.
pub(crate) struct Target<'a> {
    pub table: &'a TableDef,
    pub columns: &'a [usize],
    pub settings: &'a TextSettings,
    builders: Vec<ColumnBuilder>,
    room: &'static Room,
}

impl<'a> Target<'a> {
    pub fn new(table: &'a TableDef, columns: &'a [usize], settings: &'a TextSettings) -> Self {
        let room = if table.series.is_some() { &SERIES_ROOM } else { &ROOM };
        let builders = columns.iter().map(|c| ColumnBuilder::new(table.columns[*c].ty, room.rows)).collect();
        Self { table, columns, settings, builders, room }
    }

    /// The first `rows` rows; the columns are empty again.
    pub fn finish(&mut self, rows: usize) -> Vec<ArrayRef> {
        self.builders.iter_mut().map(|b| b.finish().slice(0, rows)).collect()
    }

    fn name(&self, i: usize) -> &'a str {
        &self.table.columns[self.columns[i]].name
    }

    fn ty(&self, i: usize) -> PgType {
        self.table.columns[self.columns[i]].ty
    }

    /// CONTEXT of an error about a line.
    fn at(&self, line: u64) -> String {
        format!("COPY {}, line {line}", self.table.name)
    }
}

/// Input in one format.
pub(crate) trait Source {
    /// Adds a chunk.
    fn push(&mut self, chunk: &[u8], target: &Target<'_>) -> Result<()>;
    /// Appends the next whole row to the target; false when there is none (yet). Errors have their CONTEXT.
    fn row(&mut self, target: &mut Target<'_>, last: bool) -> Result<bool>;
    /// Rows since the batch began.
    fn rows(&self) -> usize;
    /// Bytes these rows took.
    fn bytes(&self) -> usize;
    /// CONTEXT of an error about a row of the batch; with its text where the format has one.
    fn place(&self, row: usize, text: bool, target: &Target<'_>) -> String;
    /// CONTEXT of an error between rows.
    fn waiting(&self, target: &Target<'_>) -> String;
    /// A new batch begins.
    fn begin(&mut self);

    /// Is it time to store the batch?
    fn full(&self, target: &Target<'_>) -> bool {
        self.rows() >= target.room.rows || self.bytes() >= target.room.bytes
    }
}

/// Text and csv.
pub(crate) struct TextRows<'a> {
    lines: Lines,
    fields: Fields<'a>,
    /// What is still to be done about the header.
    header: Header,
    null: &'a str,
    force_null: Vec<bool>,
    force_not_null: Vec<bool>,
    batch: Vec<Line>,
}

impl<'a> TextRows<'a> {
    pub fn new(options: &'a Options, force_null: Vec<bool>, force_not_null: Vec<bool>) -> Self {
        Self {
            lines: Lines::new(options),
            fields: Fields::new(options),
            header: options.header,
            null: &options.null,
            force_null,
            force_not_null,
            batch: vec![],
        }
    }

    fn whole(&self, line: Line, target: &Target<'_>) -> String {
        match line.text(&self.lines.buffer) {
            Ok(text) => whole(target, line.number, text),
            Err(_) => target.at(line.number),
        }
    }

    /// HEADER match; no line at all is an empty one.
    fn check_header(&mut self, line: Option<Line>, target: &Target<'_>) -> Result<()> {
        let (number, text) = match line {
            Some(line) => (line.number, line.text(&self.lines.buffer).map_err(|e| e.within(target.at(line.number)))?),
            None => (self.lines.number, ""),
        };
        compare_header(&mut self.fields, text, self.null, target).map_err(|e| e.within(whole(target, number, text)))
    }

    fn convert(&mut self, line: Line, target: &mut Target<'_>) -> Result<()> {
        let text = line.text(&self.lines.buffer).map_err(|e| e.within(target.at(line.number)))?;
        let columns = target.columns.len();
        let fault = |e: Error, target: &Target<'_>| e.within(whole(target, line.number, text));
        let extra = || bad("extra data after last expected column");
        if columns == 0 {
            return if text.is_empty() { Ok(()) } else { Err(fault(extra(), target)) };
        }
        self.fields.split(text).map_err(|e| fault(e, target))?;
        if self.fields.len() > columns {
            return Err(fault(extra(), target));
        }
        for i in 0..columns {
            if i == self.fields.len() {
                return Err(fault(bad(format!("missing data for column \"{}\"", target.name(i))), target));
            }
            let value = match self.fields.get(text, i) {
                None if self.force_not_null[i] => Some(self.null),
                Some(v) if self.force_null[i] && v == self.null => None,
                value => value,
            };
            let Some(value) = value else {
                target.builders[i].append_null();
                continue;
            };
            let ty = target.ty(i);
            text::parse_into(&mut target.builders[i], value, ty, target.settings).map_err(|e| {
                e.within(format!("{}, column {}: \"{}\"", target.at(line.number), target.name(i), shown(value)))
            })?;
        }
        Ok(())
    }
}

fn compare_header(fields: &mut Fields<'_>, text: &str, null: &str, target: &Target<'_>) -> Result<()> {
    fields.split(text)?;
    let (got, want) = (fields.len(), target.columns.len());
    if got != want {
        return Err(bad(format!("wrong number of fields in header line: got {got}, expected {want}")));
    }
    for i in 0..want {
        let (want, n) = (target.name(i), i + 1);
        let got = match fields.get(text, i) {
            Some(name) if name == want => continue,
            Some(name) => format!("\"{name}\""),
            None => format!("null value (\"{null}\")"),
        };
        return Err(bad(format!("column name mismatch in header line field {n}: got {got}, expected \"{want}\"")));
    }
    Ok(())
}

impl Source for TextRows<'_> {
    fn push(&mut self, chunk: &[u8], target: &Target<'_>) -> Result<()> {
        self.lines.push(chunk).map_err(|e| e.within(target.at(self.lines.number)))
    }

    fn row(&mut self, target: &mut Target<'_>, last: bool) -> Result<bool> {
        loop {
            let line = self.lines.next(last).map_err(|e| e.within(target.at(self.lines.number)))?;
            let Some(line) = line else {
                if last && self.header == Header::Match {
                    self.check_header(None, target)?;
                }
                return Ok(false);
            };
            match std::mem::replace(&mut self.header, Header::None) {
                Header::None => {
                    self.convert(line, target)?;
                    self.batch.push(line);
                    return Ok(true);
                }
                Header::Present => {}
                Header::Match => self.check_header(Some(line), target)?,
            }
        }
    }

    fn rows(&self) -> usize {
        self.batch.len()
    }

    fn bytes(&self) -> usize {
        self.lines.buffer.held()
    }

    fn place(&self, row: usize, text: bool, target: &Target<'_>) -> String {
        match self.batch.get(row) {
            Some(line) if text => self.whole(*line, target),
            Some(line) => target.at(line.number),
            None => self.waiting(target),
        }
    }

    fn waiting(&self, target: &Target<'_>) -> String {
        target.at(self.lines.number)
    }

    fn begin(&mut self) {
        self.batch.clear();
        self.lines.buffer.release();
    }
}

/// Binary.
#[derive(Default)]
pub(crate) struct BinaryRows {
    tuples: Tuples,
    /// Tuples of earlier batches, and of this one.
    before: u64,
    rows: usize,
}

impl BinaryRows {
    fn convert(&self, begin: usize, len: usize, target: &mut Target<'_>) -> Result<()> {
        let here = self.waiting(target);
        let tuple = self.tuples.buffer.kept(begin, len);
        let mut cursor = Cursor::new(tuple, target.columns.len()).map_err(|e| e.within(here))?;
        for i in 0..target.columns.len() {
            let ty = target.ty(i);
            let builder = &mut target.builders[i];
            let done = cursor.field().and_then(|value| match value {
                None => {
                    builder.append_null();
                    Ok(())
                }
                Some(bytes) => binary::decode_into(builder, bytes, ty),
            });
            done.map_err(|e| e.within(format!("{}, column {}", self.waiting(target), target.name(i))))?;
        }
        Ok(())
    }
}

impl Source for BinaryRows {
    fn push(&mut self, chunk: &[u8], target: &Target<'_>) -> Result<()> {
        self.tuples.push(chunk).map_err(|e| e.within(self.waiting(target)))
    }

    fn row(&mut self, target: &mut Target<'_>, last: bool) -> Result<bool> {
        if !self.tuples.header(last)? {
            return Ok(false);
        }
        match self.tuples.next(target.columns.len(), last).map_err(|e| e.within(self.waiting(target)))? {
            Tuple::Short | Tuple::End => Ok(false),
            Tuple::Here(len) => {
                let begin = self.tuples.buffer.take(len);
                self.convert(begin, len, target)?;
                self.rows += 1;
                Ok(true)
            }
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.tuples.buffer.held()
    }

    fn place(&self, row: usize, _: bool, target: &Target<'_>) -> String {
        target.at(self.before + row as u64 + 1)
    }

    fn waiting(&self, target: &Target<'_>) -> String {
        target.at(self.before + self.rows as u64 + 1)
    }

    fn begin(&mut self) {
        self.before += self.rows as u64;
        self.rows = 0;
        self.tuples.buffer.release();
    }
}

/// CONTEXT of an error about a whole line, with its text.
fn whole(target: &Target<'_>, line: u64, text: &str) -> String {
    format!("{}: \"{}\"", target.at(line), shown(text))
}

/// Input as an error shows it: cut at 100 bytes.
fn shown(text: &str) -> String {
    match text.len() {
        0..=100 => text.to_owned(),
        _ => format!("{}...", &text[..text.floor_char_boundary(100)]),
    }
}
