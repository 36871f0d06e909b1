//! COPY TO STDOUT: a query whose rows become lines, one CopyData each.

use super::copy_columns;
use super::options::{Format, Header, Options};
use crate::client::{Client, CopyFormatCodes};
use crate::portal::Rows;
use crate::portal::Tag;
use crate::session::Session;
use arrow::record_batch::RecordBatch;
use heddle_planner::Outcome;
use heddle_planner::bind;
use heddle_planner::bound::OutputColumn;
use heddle_planner::parse::{self, Copy, Kind, Parsed};
use heddle_types::text::TextSettings;
use heddle_types::{Error, Result, SqlState, text};
use std::sync::Arc;

impl Session {
    pub(super) async fn copy_to<C: Client>(&mut self, copy: &Copy, options: &Options, client: &mut C) -> Result<u64> {
        let parsed = self.copy_query(copy)?;
        let prepared = self.prepare(Some(parsed), vec![])?;
        let (outcome, planned) = self.execute_plan(&prepared, Arc::from([]), client).await?;
        let columns: Arc<[OutputColumn]> = planned.bound().columns.clone().unwrap_or_default().into();
        let stream = match outcome {
            Outcome::Rows(stream) => stream,
            Outcome::Changed { returning: Some(batches), .. } => {
                futures::StreamExt::boxed(futures::stream::iter(batches.into_iter().map(Ok)))
            }
            _ => return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause")),
        };
        let mut rows = Rows::new(Arc::clone(&columns), stream, Tag::Counted("COPY"));
        let settings = self.text_for(&columns)?;
        client.copy_out(CopyFormatCodes { overall: 0, columns: columns.len() });
        let mut writer = Writer::new(&columns, options, &settings);
        if options.header != Header::None {
            client.copy_row(writer.header()).await?;
        }
        let mut count = 0;
        loop {
            let batches = self.take_rows(&mut rows, BATCH_ROWS, client).await?;
            if batches.is_empty() {
                client.copy_done();
                return Ok(count);
            }
            for batch in &batches {
                for row in 0..batch.num_rows() {
                    client.copy_row(writer.row(batch, row)).await?;
                }
                count += batch.num_rows() as u64;
            }
        }
    }

    /// The query behind COPY: the one given, or SELECT of the named columns.
    fn copy_query(&mut self, copy: &Copy) -> Result<Parsed> {
        if let Some(query) = &copy.query {
            return Ok(Parsed { kind: Kind::Plan(query.clone()), sql: String::new(), offset: 0, notices: Vec::new() });
        }
        let (schema, name) = copy.table.as_ref().ok_or_else(|| Error::internal("COPY TO without a table"))?;
        let ctx = self.context(Arc::from([]))?;
        let table = bind::resolve_table(schema.as_deref(), name, &ctx)?;
        let columns = copy_columns(&table, &copy.columns)?;
        let list: Vec<String> = columns.iter().map(|c| quoted(&table.columns[*c].name)).collect();
        let schema = schema.as_ref().map_or(String::new(), |s| format!("{}.", quoted(s)));
        let sql = format!("SELECT {} FROM {schema}{}", list.join(", "), quoted(name));
        parse::parse(&sql)?.pop().ok_or_else(|| Error::internal("COPY TO made no query"))
    }
}

/// Rows pulled at a time.
const BATCH_ROWS: u64 = 8192;

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Formats rows as lines.
struct Writer<'a> {
    columns: &'a [OutputColumn],
    options: &'a Options,
    settings: &'a TextSettings,
    force_quote: Vec<bool>,
    line: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(columns: &'a [OutputColumn], options: &'a Options, settings: &'a TextSettings) -> Self {
        let forced = |c: &OutputColumn| options.force_quote.iter().any(|n| n == "*" || *n == c.name);
        let force_quote = columns.iter().map(forced).collect();
        Self { columns, options, settings, force_quote, line: vec![], value: vec![] }
    }

    fn header(&mut self) -> &[u8] {
        self.line.clear();
        for (i, column) in self.columns.iter().enumerate() {
            self.value.clear();
            self.value.extend_from_slice(column.name.as_bytes());
            self.field(i, false);
        }
        self.line.push(b'\n');
        &self.line
    }

    fn row(&mut self, batch: &RecordBatch, row: usize) -> &[u8] {
        self.line.clear();
        for (i, column) in self.columns.iter().enumerate() {
            let array = batch.column(i);
            if array.is_null(row) {
                self.separate(i);
                self.line.extend_from_slice(self.options.null.as_bytes());
                continue;
            }
            self.value.clear();
            text::format_at(&mut self.value, array, row, column.ty, self.settings);
            self.field(i, self.force_quote[i]);
        }
        self.line.push(b'\n');
        &self.line
    }

    fn separate(&mut self, i: usize) {
        if i > 0 {
            self.line.push(self.options.delimiter);
        }
    }

    /// Appends `self.value` as field `i`.
    fn field(&mut self, i: usize, force_quote: bool) {
        self.separate(i);
        match self.options.format {
            Format::Text => escape_text(&mut self.line, &self.value, self.options.delimiter),
            Format::Csv => self.csv_field(force_quote),
        }
    }

    fn csv_field(&mut self, force_quote: bool) {
        let Options { quote, escape, delimiter, .. } = *self.options;
        let special = |b: &u8| *b == delimiter || *b == quote || matches!(b, b'\n' | b'\r');
        let lone_end = self.columns.len() == 1 && self.value == b"\\.";
        let quoting =
            force_quote || lone_end || self.value == self.options.null.as_bytes() || self.value.iter().any(special);
        if !quoting {
            self.line.extend_from_slice(&self.value);
            return;
        }
        self.line.push(quote);
        for b in &self.value {
            if *b == quote || *b == escape {
                self.line.push(escape);
            }
            self.line.push(*b);
        }
        self.line.push(quote);
    }
}

fn escape_text(out: &mut Vec<u8>, value: &[u8], delimiter: u8) {
    for &b in value {
        let letter = match b {
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            11 => b'v',
            b'\\' => b'\\',
            _ if b == delimiter => b,
            _ => {
                out.push(b);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', letter]);
    }
}
