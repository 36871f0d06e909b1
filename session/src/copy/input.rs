//! COPY FROM STDIN.

use super::copy_columns;
use super::options::{Format, Header, Options};
use super::reader::{Field, Reader};
use crate::client::{Client, CopyFormatCodes};
use crate::run::refuse_overtaken;
use crate::session::{Session, invalid_utf8};
use heddle_catalog::TableDef;
use heddle_planner::EvalContext;
use heddle_planner::bind;
use heddle_planner::exec::BulkInsert;
use heddle_planner::parse::Copy;
use heddle_txn::{RelationLock, Wait};
use heddle_types::text::TextSettings;
use heddle_types::{Datum, Error, Result, SqlState, text};
use std::sync::Arc;

/// Rows converted before they are handed to the engine.
const BATCH_ROWS: usize = 1024;

impl Session {
    pub(super) async fn copy_from<C: Client>(&mut self, copy: &Copy, options: &Options, client: &mut C) -> Result<u64> {
        let txn = self.transaction()?;
        if txn.read_only() {
            let text = "cannot execute COPY FROM in a read-only transaction";
            return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, text));
        }
        let (schema, name) = copy.table.as_ref().ok_or_else(|| Error::internal("COPY FROM without a table"))?;
        let mut ctx = self.context(Arc::from([]))?;
        let resolve = |ctx: &EvalContext| bind::resolve_table(schema.as_deref(), name, ctx);
        let interrupt = self.interrupt();
        let mut locked = None;
        // Until the name means, under the lock, the table that is locked.
        let table = loop {
            let table = resolve(&ctx)?;
            if locked == Some(table.oid) {
                break table;
            }
            interrupt.guard(client, txn.lock_relation(table.oid, RelationLock::RowExclusive, Wait::Block)).await?;
            locked = Some(table.oid);
            ctx.catalog = Arc::clone(txn.statement().catalog());
        };
        refuse_overtaken(&txn, table.oid, RelationLock::RowExclusive)?;
        let ctx = Arc::new(ctx);
        let columns = copy_columns(&table, &copy.columns)?;
        let bulk = self.server.executor.bulk_insert(Arc::clone(&table), columns.clone(), Arc::clone(&ctx))?;
        client.copy_in(CopyFormatCodes { overall: 0, columns: columns.len() }).await?;
        let mut load = Load {
            table: &table,
            columns,
            options,
            text: &ctx.text,
            reader: Reader::new(options),
            bulk,
            batch: vec![],
            lines: vec![],
            rows: 0,
            header_done: options.header == Header::None,
        };
        // COPY waits for its client: statement_timeout and cancel act between chunks and inside inserts.
        loop {
            let chunk = {
                let canceller = self.canceller();
                tokio::select! {
                    biased;
                    chunk = client.copy_data() => chunk?,
                    e = canceller.interrupted() => return Err(e),
                }
            };
            let last = chunk.is_none();
            if let Some(bytes) = &chunk {
                load.reader.push(bytes).map_err(|e| load.located(e))?;
            }
            interrupt.guard(client, load.drain(last)).await?;
            if last {
                return Ok(load.rows);
            }
        }
    }
}

struct Load<'a> {
    table: &'a TableDef,
    columns: Vec<usize>,
    options: &'a Options,
    text: &'a TextSettings,
    reader: Reader<'a>,
    bulk: BulkInsert,
    batch: Vec<Vec<Datum>>,
    /// Line number and text per row of `batch`, for errors that come when it is inserted.
    lines: Vec<(u64, Vec<u8>)>,
    rows: u64,
    header_done: bool,
}

impl Load<'_> {
    fn located(&self, e: Error) -> Error {
        e.context(place(&self.table.name, self.reader.line, self.reader.pending()))
    }

    /// Converts every whole record that has arrived; at the end the rest.
    async fn drain(&mut self, last: bool) -> Result<()> {
        loop {
            let record = self.reader.record(last).map_err(|e| self.located(e))?;
            let Some(record) = record else { break };
            if !self.header_done {
                self.header_done = true;
                self.check_header(&record)?;
                continue;
            }
            let row = self.convert(&record)?;
            self.batch.push(row);
            self.lines.push((self.reader.line, record));
            if self.batch.len() >= BATCH_ROWS {
                self.flush().await?;
            }
        }
        if last {
            self.flush().await?;
            self.bulk.finish().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.batch);
        let lines = std::mem::take(&mut self.lines);
        self.rows += batch.len() as u64;
        self.bulk.push(batch).await.map_err(|(row, e)| {
            let (line, text) = lines.get(row).map_or((self.reader.line, &[][..]), |(n, text)| (*n, text));
            // A duplicate key is found when buffered rows are flushed: PostgreSQL has the text no more then.
            match e.code() {
                SqlState::UNIQUE_VIOLATION => e.context(format!("COPY {}, line {line}", self.table.name)),
                _ => e.context(place(&self.table.name, line, text)),
            }
        })
    }

    fn check_header(&self, record: &[u8]) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        let fields = self.reader.fields(record)?;
        let context = || place(&self.table.name, self.reader.line, record);
        let bad = |text: String| Err(Error::new(SqlState::BAD_COPY_FILE_FORMAT, text).context(context()));
        if fields.len() != self.columns.len() {
            let (got, want) = (fields.len(), self.columns.len());
            return bad(format!("wrong number of fields in header line: got {got}, expected {want}"));
        }
        for (i, (field, column)) in fields.iter().zip(&self.columns).enumerate() {
            let want = &self.table.columns[*column].name;
            let got = field.as_deref().map(String::from_utf8_lossy);
            if got.as_deref() != Some(want) {
                let shown = got.map_or("NULL".to_owned(), |g| format!("\"{g}\""));
                return bad(format!(
                    "column name mismatch in header line field {}: got {shown}, expected \"{want}\"",
                    i + 1
                ));
            }
        }
        Ok(())
    }

    fn fields(&self, record: &[u8]) -> Result<Vec<Field>> {
        let forced = !self.options.force_null.is_empty() || !self.options.force_not_null.is_empty();
        if self.options.format == Format::Text || !forced {
            return self.reader.fields(record);
        }
        let named = |list: &[String], i: usize| {
            let name = self.columns.get(i).map(|c| self.table.columns[*c].name.as_str());
            list.iter().any(|n| n == "*" || Some(n.as_str()) == name)
        };
        let null = self.options.null.as_bytes();
        let field = |(i, f): (usize, super::reader::CsvField)| {
            let is_null_text = f.bytes == null;
            let is_null =
                if f.quoted { named(&self.options.force_null, i) } else { !named(&self.options.force_not_null, i) };
            (!(is_null_text && is_null)).then_some(f.bytes)
        };
        Ok(self.reader.csv_fields(record).into_iter().enumerate().map(field).collect())
    }

    fn convert(&self, record: &[u8]) -> Result<Vec<Datum>> {
        let fields = self.fields(record).map_err(|e| self.located(e))?;
        let context = || place(&self.table.name, self.reader.line, record);
        let bad = |text: String| Error::new(SqlState::BAD_COPY_FILE_FORMAT, text).context(context());
        if fields.len() < self.columns.len() && !(self.columns.len() == 1 && fields.is_empty()) {
            let missing = &self.table.columns[self.columns[fields.len()]].name;
            return Err(bad(format!("missing data for column \"{missing}\"")));
        }
        if fields.len() > self.columns.len() && !(self.columns.is_empty() && record.is_empty()) {
            return Err(bad("extra data after last expected column".to_owned()));
        }
        if fields.iter().flatten().any(|f| f.contains(&0)) {
            let text = "invalid byte sequence for encoding \"UTF8\": 0x00";
            return Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, text).context(context()));
        }
        self.columns.iter().zip(&fields).map(|(c, f)| self.value(*c, f)).collect()
    }

    fn value(&self, column: usize, field: &Field) -> Result<Datum> {
        let Some(bytes) = field else { return Ok(Datum::Null) };
        let column = &self.table.columns[column];
        let parsed = std::str::from_utf8(bytes)
            .map_err(|_| invalid_utf8(bytes))
            .and_then(|s| text::parse(s, column.ty, self.text));
        parsed.map_err(|e| {
            let (table, line, shown) = (&self.table.name, self.reader.line, shown(bytes));
            let here = format!("COPY {table}, line {line}, column {}: \"{shown}\"", column.name);
            let context = e.fields().context.as_ref().map_or(here.clone(), |inner| format!("{inner}\n{here}"));
            e.context(context)
        })
    }
}

/// Input as an error shows it: cut at 100 characters.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

/// CONTEXT of an error that concerns a whole line.
fn place(table: &str, line: u64, record: &[u8]) -> String {
    format!("COPY {table}, line {line}: \"{}\"", shown(record))
}
