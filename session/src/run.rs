//! Running portals: plans under locks and a fresh snapshot, rows to the client, interrupts honoured everywhere.

use crate::client::Client;
use crate::encode::{Encoding, LARGE_ROWS};
use crate::inventory::Running;
use crate::portal::{Completion, Portal, Rows, State, Tag};
use crate::prepared::{Planned, Prepared};
use crate::server::Canceller;
use crate::session::Session;
use arrow::array::{ArrayRef, StringArray};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use futures::{StreamExt, stream};
use heddle_planner::bound::{ColId, Ddl, OutputColumn, Statement};
use heddle_planner::parse::Kind;
use heddle_planner::{EvalContext, Outcome, RowStream};
use heddle_txn::{RelationLock, Transaction, Wait};
use heddle_types::{Datum, Error, Oid, PgType, Result, SqlState, oid};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::Instant;

/// How often a statement may be bound again because DDL overtook it before it gives up.
const REBIND_MAX: usize = 16;

/// DROP DATABASE looks this often, with this pause, whether others have left.
const DROP_DATABASE_LOOKS: usize = 50;
const DROP_DATABASE_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// What may stop a statement from outside.
#[derive(Clone)]
pub(crate) struct Interrupt {
    canceller: Arc<Canceller>,
    deadline: Option<Instant>,
}

impl Interrupt {
    /// Runs `work` unless somebody cancels, time runs out or the client goes away first. Dropping `work` is the cancel.
    pub async fn guard<T, C: Client>(&self, client: &mut C, work: impl Future<Output = Result<T>>) -> Result<T> {
        // First: a plan that is quicker than its client is always ready, and below nobody would look.
        if let Some(e) = self.due() {
            return Err(e);
        }
        tokio::select! {
            biased;
            r = work => r,
            e = self.canceller.interrupted() => Err(e),
            () = until(self.deadline) => Err(self.due().unwrap_or_else(|| Error::internal("a deadline came early"))),
            () = client.closed() => Err(Error::new(SqlState("08006"), "connection to client lost").fatal()),
        }
    }

    /// Waits for something from the client, which can then not be asked at the same time whether it is still there.
    pub async fn wait<T>(&self, message: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            r = message => r,
            e = self.canceller.interrupted() => Err(e),
            () = until(self.deadline) => Err(self.due().unwrap_or_else(|| Error::internal("a deadline came early"))),
        }
    }

    /// The error to raise now, if there is one.
    pub fn due(&self) -> Option<Error> {
        self.canceller.pending()
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(d) => tokio::time::sleep_until(d).await,
        None => std::future::pending().await,
    }
}

impl Session {
    pub(crate) fn interrupt(&self) -> Interrupt {
        Interrupt { canceller: Arc::clone(&self.canceller), deadline: self.deadline }
    }

    /// Starts or continues a portal and sends at most `max` rows.
    pub(crate) async fn run_portal<C: Client>(
        &mut self,
        name: &str,
        portal: &mut Portal,
        max: u64,
        client: &mut C,
    ) -> Result<Completion> {
        match &portal.state {
            State::Ready => {
                portal.mark = self.newest_mark();
                if let Some(done) = self.start(name, portal, client).await? {
                    portal.state = State::Finished { query: false };
                    return Ok(done);
                }
            }
            State::Rows(_) => {}
            State::Kept(_) => {
                return Err(Error::unsupported("Execute of a cursor that was declared SCROLL or WITH HOLD"));
            }
            State::Finished { query: true } => return Ok(Completion::Complete("SELECT 0".into())),
            State::Finished { query: false } => {
                let text = format!("portal \"{name}\" cannot be run");
                return Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text));
            }
        }
        self.send_rows(portal, max, client).await
    }

    /// Begins execution. Answers the completion of statements without rows; otherwise the portal has rows now.
    async fn start<C: Client>(
        &mut self,
        portal_name: &str,
        portal: &mut Portal,
        client: &mut C,
    ) -> Result<Option<Completion>> {
        let prepared = Arc::clone(&portal.prepared);
        let Some(parsed) = &prepared.parsed else { return Ok(Some(Completion::Empty)) };
        match &parsed.kind {
            Kind::Plan(_) => self.start_plan(portal_name, portal, prepared, client).await,
            Kind::Execute { name, args } => {
                let target = Arc::clone(self.prepared_named(name)?);
                let params = self.execute_arguments(&target, name, args).map_err(|e| e.shifted(parsed.offset))?;
                if target.is_plan() {
                    if let Some(named) = self.prepared.get_mut(name) {
                        named.uses += 1;
                    }
                    portal.params = params;
                    return self.start_plan(portal_name, portal, target, client).await;
                }
                Err(Error::unsupported("EXECUTE of a utility statement"))
            }
            Kind::Show { name } => {
                portal.state = State::Rows(self.show(name.as_deref())?);
                Ok(None)
            }
            Kind::Fetch { name, direction, is_move } => {
                let (rows, tag) = self.fetch(name, *direction, *is_move, client).await?;
                match rows {
                    Some(rows) => portal.state = State::Rows(rows),
                    None => return Ok(Some(Completion::Complete(tag.into()))),
                }
                Ok(None)
            }
            Kind::Copy(copy) => {
                if let Some(first) = parsed.first_parameter() {
                    return Err(no_parameter(first));
                }
                let running = Running { name: portal_name, portal };
                let tag = Box::pin(self.copy(copy, running, client)).await.map_err(|e| e.shifted(parsed.offset))?;
                Ok(Some(Completion::Complete(tag.into())))
            }
            _ => Ok(Some(Completion::Complete(self.utility(parsed, client).await?.into()))),
        }
    }

    async fn start_plan<C: Client>(
        &mut self,
        portal_name: &str,
        portal: &mut Portal,
        prepared: Arc<Prepared>,
        client: &mut C,
    ) -> Result<Option<Completion>> {
        let params = std::mem::take(&mut portal.params).into();
        let running = Running { name: portal_name, portal };
        let (outcome, planned) = self.execute_plan(&prepared, params, running, client).await?;
        let statement = &planned.bound().statement;
        let tag = match outcome {
            Outcome::Rows(stream) => {
                let explain = matches!(statement, Statement::Explain { .. });
                let tag = if explain { Tag::Fixed("EXPLAIN".to_owned()) } else { Tag::Counted("SELECT") };
                portal.state = State::Rows(rows(&planned, stream, tag)?);
                return Ok(None);
            }
            Outcome::Changed { rows: count, returning } => {
                let word = dml_word(statement);
                if let Some(batches) = returning {
                    let stream = stream::iter(batches.into_iter().map(Ok)).boxed();
                    portal.state = State::Rows(rows(&planned, stream, Tag::Counted(word))?);
                    return Ok(None);
                }
                format!("{word} {count}")
            }
            Outcome::Done { rows: Some(n) } => match statement {
                Statement::Ddl(Ddl::CreateTable(c)) if matches!(c.query, Some((_, false))) => {
                    ddl_tag(statement).to_owned()
                }
                _ => format!("SELECT {n}"),
            },
            Outcome::Done { rows: None } => ddl_tag(statement).to_owned(),
        };
        Ok(Some(Completion::Complete(tag.into())))
    }

    /// Locks, snapshot, and off it goes. When DDL changed a table between binding and its lock, binds again.
    pub(crate) async fn execute_plan<C: Client>(
        &mut self,
        prepared: &Prepared,
        params: Arc<[Datum]>,
        running: Running<'_>,
        client: &mut C,
    ) -> Result<(Outcome, Arc<Planned>)> {
        let interrupt = self.interrupt();
        let txn = self.transaction()?;
        for _ in 0..REBIND_MAX {
            let ctx = self.context(Arc::clone(&params))?;
            let planned = prepared.plan(self, &ctx)?;
            interrupt.guard(client, self.check_database_ddl(&planned.bound().statement)).await?;
            for (oid, mode) in &planned.bound().locks {
                interrupt.guard(client, txn.lock_relation(*oid, *mode, Wait::Block)).await?;
            }
            if planned.plan.reads_view() {
                interrupt.guard(client, txn.settled()).await?;
            }
            let view = txn.statement();
            let current = |t: &Arc<heddle_catalog::TableDef>| {
                view.catalog().table(t.oid).is_some_and(|now| Arc::ptr_eq(&now, t) || *now == **t)
            };
            let current_view =
                |v: &Arc<heddle_catalog::ViewDef>| view.catalog().view(v.oid).is_some_and(|now| *now == **v);
            if planned.bound().tables.iter().all(current) && planned.bound().views.iter().all(current_view) {
                for (oid, mode) in &planned.bound().locks {
                    refuse_overtaken(&txn, *oid, *mode)?;
                }
                let inventory = planned.bound().shows_inventory.then(|| Arc::new(self.inventory(running)));
                let ctx = Arc::new(EvalContext { catalog: Arc::clone(view.catalog()), inventory, ..ctx });
                // On the heap: a connection that waits for its client would have room for a running plan, and a move of it costs more.
                let work = Box::pin(async {
                    let abandoned = Abandoned(Some(Arc::clone(&ctx.stopped)));
                    let outcome = self.server.executor.run(&planned.plan, Arc::clone(&ctx), view).await?;
                    let outcome = settle(outcome, &txn, &planned.bound().locks).await?;
                    Ok(abandoned.unless_over(outcome))
                });
                return Ok((interrupt.guard(client, work).await?, planned));
            }
        }
        Err(Error::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent DDL"))
    }

    async fn check_database_ddl(&self, statement: &Statement) -> Result<()> {
        match statement {
            Statement::Ddl(Ddl::CreateDatabase { .. }) => self.refuse_in_block("CREATE DATABASE"),
            Statement::Ddl(Ddl::CreateIndex(i)) if i.concurrently => self.refuse_in_block("CREATE INDEX CONCURRENTLY"),
            Statement::Ddl(Ddl::DropDatabase { name, .. }) => {
                self.refuse_in_block("DROP DATABASE")?;
                let in_use = |text: String| Err(Error::new(SqlState::OBJECT_IN_USE, text));
                if *name == self.database.name {
                    return in_use("cannot drop the currently open database".to_owned());
                }
                let Some(db) = self.server.txns.catalog().database(name) else { return Ok(()) };
                // Sessions that are just ending get the time PostgreSQL gives them.
                for _ in 0..DROP_DATABASE_LOOKS {
                    if !self.server.database_in_use(db.oid, self.pid) {
                        return Ok(());
                    }
                    tokio::time::sleep(DROP_DATABASE_PAUSE).await;
                }
                in_use(format!("database \"{name}\" is being accessed by other users"))
            }
            _ => Ok(()),
        }
    }

    async fn send_rows<C: Client>(&mut self, portal: &mut Portal, max: u64, client: &mut C) -> Result<Completion> {
        let interrupt = self.interrupt();
        let State::Rows(rows) = &mut portal.state else { return Err(Error::internal("portal has no rows")) };
        let text = self.text_for(&rows.columns)?;
        let mut sent = 0;
        while sent < max {
            let Some((batch, at)) = next_batch(rows, &interrupt, client).await? else {
                let tag = rows.tag.finish(sent);
                portal.state = State::Finished { query: true };
                return Ok(Completion::Complete(tag.into()));
            };
            if max == u64::MAX && batch.num_rows() >= LARGE_ROWS {
                rows.current = Some((batch, at));
                let encoder = client.encoder(Arc::clone(&rows.columns), portal.formats.clone(), text);
                sent += send_all(rows, Encoding::new(&self.server.executor, encoder), &interrupt, client).await?;
                let tag = rows.tag.finish(sent);
                portal.state = State::Finished { query: true };
                return Ok(Completion::Complete(tag.into()));
            }
            let n = (max - sent).min((batch.num_rows() - at) as u64) as usize;
            let send = at..at + n;
            // The send itself is interrupted by its own socket, not by cancel: a half-sent row would break the protocol.
            client.rows(&rows.columns, &portal.formats, &batch, send, &text).await?;
            sent += n as u64;
            if at + n < batch.num_rows() {
                rows.current = Some((batch, at + n));
            }
        }
        Ok(Completion::Suspended)
    }

    /// Takes up to `max` rows out of a running portal without sending them (FETCH, MOVE).
    pub(crate) async fn take_rows<C: Client>(
        &self,
        rows: &mut Rows,
        max: u64,
        client: &mut C,
    ) -> Result<Vec<RecordBatch>> {
        let interrupt = self.interrupt();
        let mut taken = vec![];
        let mut left = max;
        while left > 0 {
            let Some((batch, at)) = next_batch(rows, &interrupt, client).await? else { break };
            let n = left.min((batch.num_rows() - at) as u64) as usize;
            taken.push(batch.slice(at, n));
            left -= n as u64;
            if at + n < batch.num_rows() {
                rows.current = Some((batch, at + n));
            }
        }
        Ok(taken)
    }
}

/// Tells a statement's kernels that nobody waits for them any more, unless it is over.
struct Abandoned(Option<Arc<AtomicBool>>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(stopped) = &self.0 {
            stopped.store(true, Ordering::Relaxed);
        }
    }
}

impl Abandoned {
    /// Rows are over when the last one has come, anything else is now.
    fn unless_over(mut self, outcome: Outcome) -> Outcome {
        let Outcome::Rows(stream) = outcome else {
            self.0 = None;
            return outcome;
        };
        let rows = stream::unfold((stream, self), |(mut stream, mut abandoned)| async {
            let next = stream.next().await;
            if next.is_none() {
                abandoned.0 = None;
            }
            next.map(|batch| (batch, (stream, abandoned)))
        });
        Outcome::Rows(rows.boxed())
    }
}

/// Sends the rest of a large result; how many rows that was.
async fn send_all<C: Client>(
    rows: &mut Rows,
    encoding: Encoding,
    interrupt: &Interrupt,
    client: &mut C,
) -> Result<u64> {
    let first = rows.current.take().map(|(batch, at)| Ok(batch.slice(at, batch.num_rows() - at)));
    let pieces = encoding.run(stream::iter(first).chain(&mut rows.stream));
    let mut pieces = std::pin::pin!(pieces);
    let mut sent = 0;
    while let Some(piece) = interrupt.guard(client, async { pieces.next().await.transpose() }).await? {
        // As above: no interrupt within a row.
        client.encoded(&piece.messages).await?;
        sent += piece.rows as u64;
        encoding.sent(piece);
    }
    Ok(sent)
}

/// Holds rows back until everything they came from is durable. Only under a lock is something read that is not yet.
async fn settle(outcome: Outcome, txn: &Arc<Transaction>, locks: &[(Oid, RelationLock)]) -> Result<Outcome> {
    match outcome {
        Outcome::Changed { returning: Some(_), .. } => {
            txn.settled().await?;
            Ok(outcome)
        }
        Outcome::Rows(stream) if locks.iter().any(|(_, mode)| *mode > RelationLock::AccessShare) => {
            let txn = Arc::clone(txn);
            let settled = stream.then(move |batch| {
                let txn = Arc::clone(&txn);
                async move {
                    txn.settled().await?;
                    batch
                }
            });
            Ok(Outcome::Rows(settled.boxed()))
        }
        other => Ok(other),
    }
}

/// `42P01` for a table dropped since our REPEATABLE READ snapshot; `40001` for a write to a table that DDL of another transaction changed after our REPEATABLE READ snapshot: the rows would go
/// into a storage that is gone, or lack index entries. Call with the lock held.
pub(crate) fn refuse_overtaken(txn: &Transaction, table: Oid, mode: RelationLock) -> Result<()> {
    if !txn.overtaken(table) {
        return Ok(());
    }
    let newest = txn.manager().catalog();
    if let (None, Some(gone)) = (newest.table(table), txn.catalog().table(table)) {
        // Even a snapshot that still has its rows: a dropped table is gone for everybody, as in PostgreSQL.
        return Err(Error::new(SqlState::UNDEFINED_TABLE, format!("relation \"{}\" does not exist", gone.name)));
    }
    if mode >= RelationLock::RowExclusive {
        return Err(Error::new(SqlState::SERIALIZATION_FAILURE, "could not serialize access due to concurrent DDL"));
    }
    Ok(())
}

/// The batch in hand, or the next one that is not empty.
async fn next_batch<C: Client>(
    rows: &mut Rows,
    interrupt: &Interrupt,
    client: &mut C,
) -> Result<Option<(RecordBatch, usize)>> {
    if let Some(current) = rows.current.take() {
        return Ok(Some(current));
    }
    loop {
        let next = async { rows.stream.next().await.transpose() };
        match interrupt.guard(client, next).await? {
            None => return Ok(None),
            Some(batch) if batch.num_rows() == 0 => {}
            Some(batch) => return Ok(Some((batch, 0))),
        }
    }
}

fn rows(planned: &Planned, stream: RowStream, tag: Tag) -> Result<Rows> {
    let columns =
        planned.bound().columns.clone().ok_or_else(|| Error::internal("rows from a statement without columns"))?;
    Ok(Rows::new(columns.into(), stream, tag))
}

/// `42P02`: nobody gives it a value.
pub(crate) fn no_parameter((name, position): (String, Option<u32>)) -> Error {
    Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}")).at(position)
}

/// A text column of a utility's answer.
pub(crate) fn text_column(name: &str) -> OutputColumn {
    OutputColumn { id: ColId(0), name: name.to_owned(), ty: PgType::new(oid::TEXT), origin: None }
}

/// Rows of text, for utilities.
pub(crate) fn text_rows(columns: Arc<[OutputColumn]>, data: Vec<Vec<String>>, tag: &str) -> Result<Rows> {
    use arrow::datatypes::{DataType, Field, Schema};
    let fields: Vec<Field> = (0..columns.len()).map(|i| Field::new(format!("c{i}"), DataType::Utf8, true)).collect();
    let arrays: Vec<ArrayRef> = (0..columns.len())
        .map(|c| Arc::new(StringArray::from_iter_values(data.iter().map(|row| row[c].as_str()))) as ArrayRef)
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(data.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|e| Error::internal(e.to_string()))?;
    let stream = stream::iter([Ok(batch)]).boxed();
    Ok(Rows::new(columns, stream, Tag::Fixed(tag.to_owned())))
}

fn dml_word(statement: &Statement) -> &'static str {
    match statement {
        Statement::Insert(_) => "INSERT 0",
        Statement::Update(_) => "UPDATE",
        Statement::Delete(_) => "DELETE",
        Statement::Merge(_) => "MERGE",
        Statement::With { inner, .. } => dml_word(inner),
        _ => "SELECT",
    }
}

fn ddl_tag(statement: &Statement) -> &'static str {
    match statement {
        Statement::Ddl(ddl) => ddl.tag(),
        _ => "SELECT 0",
    }
}
