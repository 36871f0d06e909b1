//! COPY FROM STDIN.

use super::copy_columns;
use super::options::{Format, Header, Options};
use super::reader::{Field, Reader};
use crate::client::{Client, CopyFormatCodes};
use crate::session::{Session, invalid_utf8};
use heddle_catalog::TableDef;
use heddle_planner::bind;
use heddle_planner::exec::BulkInsert;
use heddle_planner::parse::Copy;
use heddle_planner::EvalContext;
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
        let ctx = self.context(Arc::from([]))?;
        let resolve = |ctx: &EvalContext| bind::resolve_table(schema.as_deref(), name, ctx).map_err(|e| e.at(copy.position));
        let table = resolve(&ctx)?;
        let interrupt = self.interrupt();
        interrupt.guard(client, txn.lock_relation(table.oid, RelationLock::RowExclusive, Wait::Block)).await?;
        let view = txn.statement();
        let ctx = Arc::new(EvalContext { catalog: Arc::clone(view.catalog()), ..ctx });
        let table = resolve(&ctx)?;
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
    /// Line number per row of `batch`.
    lines: Vec<u64>,
    rows: u64,
    header_done: bool,
}

impl Load<'_> {
    fn located(&self, e: Error) -> Error {
        e.context(format!("COPY {}, line {}", self.table.name, self.reader.line))
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
            self.lines.push(self.reader.line);
            if self.batch.len() >= BATCH_ROWS {
                self.flush().await?;
            }
        }
        if last {
            self.flush().await?;
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
            let line = lines.get(row).copied().unwrap_or(self.reader.line);
            e.context(format!("COPY {}, line {line}", self.table.name))
        })
    }

    fn check_header(&self, record: &[u8]) -> Result<()> {
        if self.options.header != Header::Match {
            return Ok(());
        }
        let fields = self.reader.fields(record)?;
        let bad = |text: String| Err(self.located(Error::new(SqlState::BAD_COPY_FILE_FORMAT, text)));
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
            let is_null = if f.quoted { named(&self.options.force_null, i) } else { !named(&self.options.force_not_null, i) };
            (!(is_null_text && is_null)).then_some(f.bytes)
        };
        Ok(self.reader.csv_fields(record).into_iter().enumerate().map(field).collect())
    }

    fn convert(&self, record: &[u8]) -> Result<Vec<Datum>> {
        let fields = self.fields(record).map_err(|e| self.located(e))?;
        let bad = |text: String| {
            let shown = String::from_utf8_lossy(record);
            let shown: String = shown.chars().take(100).collect();
            let place = format!("COPY {}, line {}: \"{shown}\"", self.table.name, self.reader.line);
            Error::new(SqlState::BAD_COPY_FILE_FORMAT, text).context(place)
        };
        if fields.len() < self.columns.len() && !(self.columns.len() == 1 && fields.is_empty()) {
            let missing = &self.table.columns[self.columns[fields.len()]].name;
            return Err(bad(format!("missing data for column \"{missing}\"")));
        }
        if fields.len() > self.columns.len() && !(self.columns.is_empty() && record.is_empty()) {
            return Err(bad("extra data after last expected column".to_owned()));
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
            let shown: String = String::from_utf8_lossy(bytes).chars().take(100).collect();
            let (table, line) = (&self.table.name, self.reader.line);
            e.context(format!("COPY {table}, line {line}, column {}: \"{shown}\"", column.name))
        })
    }
}
