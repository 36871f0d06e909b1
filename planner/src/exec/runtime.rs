//! The query runtime: own threads, memory pool and spill folder for DataFusion plans; streams with back-pressure to the caller.
//!
//! Invariants
//! 1. A result is never buffered: [`STREAM_BATCHES`] batches wait at most, then the plan waits.
//! 2. Dropping the stream aborts the plan's task at its next await.
//! 3. A panic inside a plan becomes an error of the statement, not a short result.

use super::RowStream;
use super::explain::Node;
use super::rowset::RowSet;
use crate::bound::{ColId, Expr, Rel};
use crate::context::EvalContext;
use crate::eval::visit;
use crate::function::from_df;
use crate::lower;
use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream::BoxStream;
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgType, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches that may wait for a slow reader.
const STREAM_BATCHES: usize = 2;
/// Plans are trees of recursive futures and visitors.
const STACK_BYTES: usize = 16 << 20;

/// Limits of the executor.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// Memory for all queries together, bytes
    pub memory_bytes_max: usize,
    /// Rows per batch
    pub batch_rows: usize,
    /// Parallelism of one query
    pub partitions: usize,
    /// Statements about one row by its key, and plain VALUES, run without DataFusion
    pub point_plans: bool,
    /// Folder for spilled runs
    pub spill_dir: std::path::PathBuf,
}

/// Shared by every running statement.
pub(crate) struct Engine {
    runtime: Option<Runtime>,
    handle: Handle,
    state: SessionState,
    partitions: usize,
    /// Samples of tables, for planning.
    pub statistics: Arc<lower::Statistics>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A runtime must not be waited for on another runtime's thread.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Rows for a data change.
pub(crate) enum Source {
    /// All of them, at once.
    Ready(Option<RowSet>),
    /// As a plan produces them.
    Stream(RowStream, Vec<ColId>),
}

impl Source {
    /// The next rows.
    pub async fn next(&mut self) -> Result<Option<RowSet>> {
        match self {
            Self::Ready(rows) => Ok(rows.take()),
            Self::Stream(stream, ids) => match stream.next().await {
                Some(batch) => Ok(Some(RowSet::from_batch(ids, &batch?))),
                None => Ok(None),
            },
        }
    }
}

impl Engine {
    pub fn start(config: ExecutorConfig) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.partitions.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .on_thread_start(heddle_env::background)
            .enable_all()
            .build()
            .map_err(|e| Error::internal(format!("cannot start query threads: {e}")))?;
        let env = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(config.memory_bytes_max)))
            .with_temp_file_path(&config.spill_dir)
            .build_arc()
            .map_err(from_df)?;
        let state = lower::session_state(&config, env);
        let partitions = config.partitions.max(1);
        Ok(Arc::new(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            state,
            partitions,
            statistics: Arc::default(),
        }))
    }

    /// The query threads.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Tasks that one query may split its work into.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Memory of all queries, for one that counts its own.
    pub fn reservation(&self, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).register(&self.state.runtime_env().memory_pool)
    }

    /// Runs `rel` on the query threads; the stream has the columns `ids`, in that order.
    pub fn stream(
        self: &Arc<Self>,
        rel: Rel,
        ids: Vec<ColId>,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<RowStream> {
        let (send, receive) = mpsc::channel(STREAM_BATCHES);
        let (engine, ctx, view) = (Arc::clone(self), Arc::clone(ctx), Arc::clone(view));
        let task = self.handle.spawn(async move {
            if let Err(e) = engine.drive(&rel, &ids, &ctx, &view, &send).await {
                // The reader may be gone: then nobody wants the error.
                let _ = send.send(Err(e)).await;
            }
        });
        Ok(Running { task, receive }.into_stream())
    }

    /// Calls `next` on the query threads until it has no more batches; the stream has what it gave.
    pub fn produce(
        self: &Arc<Self>,
        mut next: impl FnMut() -> Result<Option<RecordBatch>> + Send + 'static,
    ) -> RowStream {
        let (send, receive) = mpsc::channel(STREAM_BATCHES);
        let task = self.handle.spawn(async move {
            while let Some(batch) = next().transpose() {
                let failed = batch.is_err();
                // Where the task ends when the reader is gone.
                if send.send(batch).await.is_err() || failed {
                    return;
                }
                heddle_env::give_way();
                tokio::task::yield_now().await;
            }
        });
        Running { task, receive }.into_stream()
    }

    /// The rows of `rel`, all its columns.
    pub fn source(self: &Arc<Self>, rel: &Rel, ctx: &Arc<EvalContext>, view: &Arc<ReadView>) -> Result<Source> {
        let ids: Vec<ColId> = visit::output(rel).into_iter().map(|(id, _)| id).collect();
        Ok(Source::Stream(self.stream(rel.clone(), ids.clone(), ctx, view)?, ids))
    }

    async fn drive(
        self: &Arc<Self>,
        rel: &Rel,
        ids: &[ColId],
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
        send: &mpsc::Sender<Result<RecordBatch>>,
    ) -> Result<()> {
        let (plan, places) = self.physical(rel, ids, ctx, view).await?;
        let mut stream = self.rows_of(plan)?;
        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(from_df)?;
            let arrays = places.iter().map(|i| Arc::clone(batch.column(*i))).collect();
            let batch = super::rowset::batch(arrays, batch.num_rows())?;
            if send.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A plan's rows. The branches of a UNION ALL on top come one after the other, as in PostgreSQL, and the ranges of a table in key
    /// order; other partitions as they are ready.
    fn rows_of(
        &self,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<BoxStream<'static, datafusion::error::Result<RecordBatch>>> {
        let partitions = plan.properties().output_partitioning().partition_count();
        if partitions < 2 || !appends(&plan) {
            return Ok(execute_stream(plan, self.state.task_ctx()).map_err(from_df)?.boxed());
        }
        let context = self.state.task_ctx();
        if has_hash_join(&plan) {
            // Its partitions wait for each other before they give rows, so all must run.
            let part = |i| Ok(spawn_buffered(plan.execute(i, Arc::clone(&context))?, STREAM_BATCHES));
            let parts = (0..partitions).map(part).collect::<datafusion::error::Result<Vec<_>>>().map_err(from_df)?;
            return Ok(futures::stream::iter(parts).flatten().boxed());
        }
        let part = move |i| match plan.execute(i, Arc::clone(&context)) {
            Ok(stream) => stream.boxed(),
            Err(e) => futures::stream::once(async move { Err(e) }).boxed(),
        };
        Ok(futures::stream::iter(0..partitions).map(part).flatten().boxed())
    }

    async fn physical(
        self: &Arc<Self>,
        rel: &Rel,
        ids: &[ColId],
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<(Arc<dyn ExecutionPlan>, Vec<usize>)> {
        let planned = lower::plan(self, &self.state, rel, ids, ctx, view)?;
        let planner = self.state.query_planner();
        let plan = planner.create_physical_plan(&planned.plan, &self.state).await.map_err(from_df)?;
        Ok((plan, planned.places))
    }

    /// The plan for EXPLAIN, how long making it took, and running it if `run` says so: then its nodes tell what they did.
    pub async fn explain(
        self: &Arc<Self>,
        rel: Rel,
        run: bool,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<(Node, Duration, Option<Duration>)> {
        let (engine, ctx, view) = (Arc::clone(self), Arc::clone(ctx), Arc::clone(view));
        let ids: Vec<ColId> = visit::output(&rel).into_iter().map(|(id, _)| id).collect();
        let task = self.handle.spawn(async move {
            let clock = || ctx.env.clock.monotonic();
            let started = clock();
            let (plan, _) = engine.physical(&rel, &ids, &ctx, &view).await?;
            let planning = clock().saturating_sub(started);
            let mut names = super::explain::Names::of(&rel);
            if !run {
                return Ok((super::explain::nodes(&plan, &mut names, None), planning, None));
            }
            // Operators stamp their metrics with the wall clock.
            let micros = u64::try_from(ctx.env.clock.now_us()).unwrap_or(0);
            let (begun, started) = (SystemTime::UNIX_EPOCH + Duration::from_micros(micros), clock());
            let mut stream = execute_stream(Arc::clone(&plan), engine.state.task_ctx()).map_err(from_df)?;
            while let Some(batch) = stream.next().await {
                batch.map_err(from_df)?;
            }
            let executing = clock().saturating_sub(started);
            Ok((super::explain::nodes(&plan, &mut names, Some(begun)), planning, Some(executing)))
        });
        task.await.map_err(|e| Error::internal(format!("planning stopped: {e}")))?
    }

    /// Is a predicate true for the one row of `row`?
    pub async fn is_true(
        self: &Arc<Self>,
        predicate: &Expr,
        row: &RowSet,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<bool> {
        Ok(self.value(predicate, row, ctx, view).await? == Datum::Bool(true))
    }

    /// An expression over the one row of `row`; sub-queries run as a plan.
    pub async fn value(
        self: &Arc<Self>,
        expr: &Expr,
        row: &RowSet,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Datum> {
        let id = ColId(u32::MAX);
        let out = self.project(&[(id, expr.clone())], row, ctx, view).await?;
        out.value(id, expr.ty(), 0)
    }

    /// Expressions over rows in hand; sub-queries run as a plan over these rows.
    pub async fn project(
        self: &Arc<Self>,
        exprs: &[(ColId, Expr)],
        rows: &RowSet,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<RowSet> {
        if !exprs.iter().any(|(_, e)| visit::has_sub_query(e)) {
            return super::direct::project(rows, exprs, ctx);
        }
        let input = as_values(exprs, rows)?;
        let rel = Rel::Project { input: Box::new(input), exprs: exprs.to_vec() };
        let ids: Vec<ColId> = exprs.iter().map(|(id, _)| *id).collect();
        let mut stream = self.stream(rel, ids.clone(), ctx, view)?;
        let mut parts = vec![];
        while let Some(batch) = stream.next().await {
            parts.push(RowSet::from_batch(&ids, &batch?));
        }
        let shape = parts.first().cloned().ok_or_else(|| Error::internal("a projection lost its rows"))?;
        super::lock::concat(&shape, &parts)
    }
}

/// Is it a UNION ALL or a table, but for what does not change the order of rows?
fn appends(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.name() {
        "UnionExec" | "ScanExec" => true,
        "ProjectionExec" | "FilterExec" | "CooperativeExec" | "CoalesceBatchesExec" => {
            plan.children().first().is_some_and(|c| appends(c))
        }
        _ => false,
    }
}

fn has_hash_join(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<HashJoinExec>() || plan.children().into_iter().any(has_hash_join)
}

/// Rows in hand as VALUES, with the columns that `exprs` refer to.
fn as_values(exprs: &[(ColId, Expr)], rows: &RowSet) -> Result<Rel> {
    let mut used = std::collections::BTreeMap::new();
    for (_, e) in exprs {
        visit::columns(e, &mut used);
        visit::outers(e, &mut used);
    }
    let used: Vec<(ColId, PgType)> = used.into_iter().filter(|(id, _)| rows.has(*id)).collect();
    let arrays = used.iter().map(|(id, _)| rows.require(*id)).collect::<Result<Vec<_>>>()?;
    let literal = |i: usize| {
        let cell = |((_, ty), a): (&(ColId, PgType), &arrow::array::ArrayRef)| Expr::Literal {
            value: heddle_types::arrow::datum_at(a, *ty, i),
            ty: *ty,
        };
        used.iter().zip(&arrays).map(cell).collect()
    };
    let columns = used.iter().map(|(id, ty)| crate::bound::Col { id: *id, ty: *ty }).collect();
    Ok(Rel::Values { columns, rows: (0..rows.rows).map(literal).collect() })
}

/// A plan's task and the end of its channel.
struct Running {
    task: JoinHandle<()>,
    receive: mpsc::Receiver<Result<RecordBatch>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    fn into_stream(self) -> RowStream {
        futures::stream::unfold(Some(self), |running| async move {
            let mut running = running?;
            match running.receive.recv().await {
                Some(Ok(batch)) => Some((Ok(batch), Some(running))),
                Some(Err(e)) => Some((Err(e), None)),
                None => match (&mut running.task).await {
                    Ok(()) => None,
                    Err(e) => Some((Err(Error::internal(format!("the query's task failed: {e}"))), None)),
                },
            }
        })
        .boxed()
    }
}
