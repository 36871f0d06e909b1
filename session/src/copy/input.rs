//! COPY FROM STDIN: chunks from the client in, batches of typed columns out to the engine.

use super::options::{Format, Options};
use super::rows::{BinaryRows, Source, Target, TextRows};
use super::{copy_columns, forced_columns};
use crate::client::{Client, CopyFormatCodes};
use crate::run::{Interrupt, refuse_overtaken};
use crate::session::Session;
use heddle_catalog::TableDef;
use heddle_planner::EvalContext;
use heddle_planner::bind;
use heddle_planner::exec::BulkInsert;
use heddle_planner::parse::Copy;
use heddle_txn::{RelationLock, Wait};
use heddle_types::{Error, Result, Severity, SqlState};
use std::sync::Arc;

impl Session {
    pub(super) async fn copy_from<C: Client>(&mut self, copy: &Copy, client: &mut C) -> Result<u64> {
        let (table, ctx) = self.copy_target(copy, client).await?;
        let filter = copy.filter.as_ref().map(|f| bind::copy_filter(f, &table, &ctx)).transpose()?;
        let columns = copy_columns(&table, &copy.columns)?;
        if ctx.txn.as_ref().is_some_and(|t| t.read_only()) {
            let text = "cannot execute COPY FROM in a read-only transaction";
            return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, text));
        }
        let options = Options::parse(copy)?;
        let names: Vec<&str> = columns.iter().map(|c| table.columns[*c].name.as_str()).collect();
        let all: Vec<String> = table.columns.iter().filter(|c| !c.dropped).map(|c| c.name.clone()).collect();
        let forced = |f, option| forced_columns(f, option, Some((&table.name, &all)), &names);
        let force_not_null = forced(&options.force_not_null, "FORCE_NOT_NULL")?;
        let force_null = forced(&options.force_null, "FORCE_NULL")?;
        if options.freeze {
            self.push_notice(no_freeze());
        }
        let executor = &self.server.executor;
        let bulk = executor.bulk_insert(Arc::clone(&table), columns.clone(), filter, Arc::clone(&ctx))?;
        let overall = u8::from(options.format == Format::Binary);
        client.copy_in(CopyFormatCodes { overall, columns: columns.len() }).await?;
        let target = Target::new(&table, &columns, &ctx.text);
        let interrupt = self.interrupt();
        match options.format {
            Format::Binary => {
                Load { source: BinaryRows::default(), target, bulk, rows: 0, interrupt }.run(client).await
            }
            Format::Text | Format::Csv => {
                let source = TextRows::new(&options, force_null, force_not_null);
                Load { source, target, bulk, rows: 0, interrupt }.run(client).await
            }
        }
    }

    /// The table, locked, and what to evaluate its defaults with.
    async fn copy_target<C: Client>(
        &mut self,
        copy: &Copy,
        client: &mut C,
    ) -> Result<(Arc<TableDef>, Arc<EvalContext>)> {
        let txn = self.transaction()?;
        let name = copy.table.as_ref().ok_or_else(|| Error::internal("COPY FROM without a table"))?;
        let mut ctx = self.context(Arc::from([]))?;
        let interrupt = self.interrupt();
        let mut locked = None;
        // Until the name means, under the lock, the table that is locked.
        loop {
            let table = bind::copy_target(name, &ctx)?;
            if locked == Some(table.oid) {
                refuse_overtaken(&txn, table.oid, RelationLock::RowExclusive)?;
                return Ok((table, Arc::new(ctx)));
            }
            interrupt.guard(client, txn.lock_relation(table.oid, RelationLock::RowExclusive, Wait::Block)).await?;
            locked = Some(table.oid);
            ctx.catalog = Arc::clone(txn.statement().catalog());
        }
    }
}

fn no_freeze() -> Error {
    let text = "FREEZE has no effect: rows have no age here that could be frozen";
    Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text)
}

/// A running COPY FROM.
struct Load<'a, S> {
    source: S,
    target: Target<'a>,
    bulk: BulkInsert,
    rows: u64,
    interrupt: Interrupt,
}

impl<S: Source> Load<'_, S> {
    async fn run<C: Client>(mut self, client: &mut C) -> Result<u64> {
        let interrupt = self.interrupt.clone();
        loop {
            let chunk =
                interrupt.wait(client.copy_data()).await.map_err(|e| e.within(self.source.waiting(&self.target)))?;
            let last = chunk.is_none();
            self.source.push(chunk.as_deref().unwrap_or_default(), &self.target)?;
            interrupt.guard(client, self.drain(last)).await?;
            if last {
                interrupt.guard(client, self.bulk.finish()).await?;
                return Ok(self.rows);
            }
        }
    }

    /// Takes every whole row that has arrived; at the end the rest.
    async fn drain(&mut self, last: bool) -> Result<()> {
        loop {
            match self.source.row(&mut self.target, last) {
                Ok(true) if self.source.full(&self.target) => {
                    self.store().await?;
                    if let Some(e) = self.interrupt.due() {
                        return Err(e.within(self.source.waiting(&self.target)));
                    }
                }
                Ok(true) => {}
                Ok(false) if last => return self.store().await,
                Ok(false) => return Ok(()),
                Err(e) => return Err(self.first_fault(e).await),
            }
        }
    }

    async fn store(&mut self) -> Result<()> {
        let rows = self.source.rows();
        if rows > 0 {
            let columns = self.target.finish(rows);
            let stored = self.bulk.push(&columns, rows).await.map_err(|(row, e)| {
                // A duplicate key is found when rows are stored together: PostgreSQL has their text no more then.
                let text = e.code() != SqlState::UNIQUE_VIOLATION;
                let place = self.source.place(row, text, &self.target);
                e.within(place)
            })?;
            self.rows += stored as u64;
        }
        self.source.begin();
        Ok(())
    }

    /// A malformed row, or what is wrong with one before it. Duplicate keys are not looked for before the batch is full.
    async fn first_fault(&mut self, e: Error) -> Error {
        match self.store().await {
            Err(earlier) if earlier.code() != SqlState::UNIQUE_VIOLATION => earlier,
            _ => e,
        }
    }
}
