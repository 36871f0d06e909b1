//! Runs bound statements.
//!
//! Called by `session`. Row sources are [`direct`] plans where a unique key or VALUES allows it, otherwise DataFusion plans made
//! by [`crate::lower`] that run on the executor's own threads ([`runtime`]). Changes are written by [`write`] on the caller's task.
//!
//! Not here: relation locks and the choice of the snapshot (session, before [`Executor::run`]).

mod block;
mod bulk;
mod deferred;
mod direct;
pub(crate) mod explain;
mod explained;
mod index_build;
mod insert;
pub(crate) mod lock;
mod merge;
mod modify;
mod point;
pub(crate) mod reference;
mod returning;
pub(crate) mod rowset;
pub(crate) mod runtime;
pub(crate) mod series;
pub(crate) mod series_aggregate;
pub(crate) mod series_select;
mod with;
mod write;

pub use bulk::{BulkInsert, RowError};
pub use deferred::{Deferred, set_constraints, settle_deferred};
pub(crate) use direct::{limits, row_limits};
pub(crate) use index_build::IndexBuild;
pub use point::{PointRead, PointScratch};
pub use runtime::ExecutorConfig;
pub(crate) use write::TableWriter;

use crate::bound::{Bound, ColId, Ddl, OutputColumn, Query, Returning, RowFilter, Statement};
use crate::context::EvalContext;
use arrow::record_batch::RecordBatch;
use direct::Direct;
use futures::StreamExt;
use futures::stream::BoxStream;
use heddle_catalog::TableDef;
use heddle_txn::ReadView;
use heddle_types::{Error, Result, SqlState};
use returning::Returned;
use runtime::{Engine, Source};
use series_aggregate::series_plans;
use series_select::SeriesSelect;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// Rows in the order of `Bound::columns`; Arrow forms per `heddle_types::arrow`.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// What a statement gave.
pub enum Outcome {
    /// Rows of a query; dropping the stream cancels it.
    Rows(RowStream),
    /// DML: how many rows, and RETURNING's rows if asked for (all changes are made before the first batch comes).
    Changed {
        /// Rows inserted, updated or deleted
        rows: u64,
        /// RETURNING
        returning: Option<Vec<RecordBatch>>,
    },
    /// DDL; CREATE TABLE AS reports its rows.
    Done {
        /// Rows of CREATE TABLE AS
        rows: Option<u64>,
    },
}

/// A statement ready to run with any parameter values: a point plan, or what DataFusion needs.
pub struct Plan {
    /// What it came from
    pub bound: Arc<Bound>,
    shape: Shape,
}

impl Plan {
    /// Does it find its rows by a complete unique key, or take them from VALUES? Such plans are short enough that making them
    /// is most of the work.
    pub fn is_by_key(&self) -> bool {
        match &self.shape {
            Shape::Query { direct: Some(direct), .. } => direct.describe().is_some(),
            Shape::Dml { direct, .. } => direct.is_some(),
            _ => false,
        }
    }

    /// Does it read what its view shows? INSERT of VALUES does not: its checks ask the newest state, under locks.
    pub fn reads_view(&self) -> bool {
        match (&self.shape, &self.bound.statement) {
            (Shape::Dml { direct: Some(direct), .. }, Statement::Insert(i)) => {
                i.on_conflict.is_some()
                    || !matches!(direct.source, direct::Source::Unit | direct::Source::Values { .. })
            }
            _ => true,
        }
    }

    /// The read of one row by key that the statement is, if it is no more than that.
    pub fn point_read(&self) -> Option<&PointRead> {
        match &self.shape {
            Shape::Query { point, .. } => point.as_ref(),
            _ => None,
        }
    }
}

/// How a statement runs.
enum Shape {
    Query { direct: Option<Direct>, point: Option<PointRead>, series: Option<Arc<SeriesSelect>> },
    Dml { input: crate::bound::Rel, direct: Option<Direct> },
    With,
    Explain(Box<Shape>),
    Ddl,
}

impl Shape {
    fn of(statement: &Statement, point_plans: bool) -> Self {
        match statement {
            Statement::Query(q) => {
                let direct = Direct::compile(&q.rel).filter(|_| point_plans);
                let point = direct.as_ref().and_then(|d| PointRead::compile(d, &q.columns));
                let series = if point_plans && direct.is_none() { SeriesSelect::compile(&q.rel) } else { None };
                Self::Query { direct, point, series }
            }
            Statement::Insert(i) => Self::dml(i.source.rel.clone(), point_plans),
            Statement::Update(u) => Self::dml(modify::update_input(u), point_plans),
            Statement::Delete(d) => Self::dml(d.input.clone(), point_plans),
            Statement::Merge(m) => Self::dml(m.input.clone(), point_plans),
            Statement::With { .. } => Self::With,
            Statement::Explain { inner, .. } => Self::Explain(Box::new(Self::of(inner, point_plans))),
            Statement::Ddl(_) => Self::Ddl,
        }
    }

    fn dml(input: crate::bound::Rel, point_plans: bool) -> Self {
        Self::Dml { direct: Direct::compile(&input).filter(|_| point_plans), input }
    }
}

/// Memory pools, query runtime, limits: one per server.
pub struct Executor {
    engine: Arc<Engine>,
    point_plans: bool,
}

impl Executor {
    /// Starts the query runtime (own threads).
    ///
    /// # Errors
    /// When threads or the spill folder cannot be made.
    pub fn new(config: ExecutorConfig) -> Result<Self> {
        Ok(Self { point_plans: config.point_plans, engine: Engine::start(config)? })
    }

    /// Plans a bound statement. Point plans are recognised here; EXPLAIN shows which.
    ///
    /// # Errors
    /// None today; plans that depend on parameter values are made when they run.
    pub fn plan(&self, bound: Arc<Bound>) -> Result<Plan> {
        Ok(Plan { shape: Shape::of(&bound.statement, self.point_plans), bound })
    }

    /// The next plan that needs to know about a table, or about any, samples it again.
    pub fn forget_samples(&self, table: Option<heddle_types::StorageId>) {
        self.engine.statistics.forget(table);
    }

    /// Runs something on the query threads.
    pub fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.engine.handle().spawn(async { work() })
    }

    /// Runs a plan. Relation locks are already held and `ctx.txn` has begun its statement with `view`.
    ///
    /// # Errors
    /// Whatever the statement raises; errors after the first batch come through the stream.
    pub async fn run(&self, plan: &Plan, ctx: Arc<EvalContext>, view: Arc<ReadView>) -> Result<Outcome> {
        self.perform(&plan.bound.statement, &plan.shape, &ctx, &view).await
    }

    async fn perform(
        &self,
        statement: &Statement,
        shape: &Shape,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Outcome> {
        match (statement, shape) {
            (Statement::Query(q), Shape::Query { series: Some(series), .. }) if series_plans(ctx) => {
                let ids = output_ids(&q.columns);
                Ok(Outcome::Rows(series.run(&self.engine, &ids, ctx, view).await?))
            }
            (Statement::Query(q), Shape::Query { direct, .. }) => {
                Ok(Outcome::Rows(self.query(q, direct.as_ref(), ctx, view).await?))
            }
            (Statement::With { changes, inner }, _) => self.with(changes, inner, ctx, view).await,
            (Statement::Explain { inner, options }, Shape::Explain(shape)) => {
                let text = self.explain(inner, shape, options, ctx, view).await?;
                Ok(Outcome::Rows(explain::rows(text)?))
            }
            (Statement::Ddl(ddl), _) => self.ddl(ddl, ctx, view).await,
            (statement, Shape::Dml { input, direct }) => {
                self.change(statement, input, direct.as_ref(), ctx, view).await
            }
            _ => Err(Error::internal("a plan does not fit its statement")),
        }
    }

    /// Inserts rows that did not come from SQL (COPY FROM): `columns[i]` is the index into `table.columns` of the i-th column
    /// pushed, already of the column's type. Defaults, NOT NULL, keys and indexes are handled as for INSERT; rows that do not
    /// pass `filter` are left out.
    ///
    /// # Errors
    /// When a default cannot be read, or without a transaction.
    pub fn bulk_insert(
        &self,
        table: Arc<TableDef>,
        columns: Vec<usize>,
        filter: Option<RowFilter>,
        ctx: Arc<EvalContext>,
    ) -> Result<BulkInsert> {
        BulkInsert::new(table, columns, filter, ctx)
    }

    async fn query(
        &self,
        query: &Query,
        direct: Option<&Direct>,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<RowStream> {
        let ids = output_ids(&query.columns);
        match direct.filter(|d| d.applies(ctx)) {
            Some(d) => {
                let batch = d.run(&self.engine, ctx, view).await?.batch(&ids)?;
                Ok(futures::stream::iter([Ok(batch)]).boxed())
            }
            None => self.engine.stream(query.rel.clone(), ids, ctx, view),
        }
    }

    async fn source(
        &self,
        input: &crate::bound::Rel,
        direct: Option<&Direct>,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Source> {
        match direct.filter(|d| d.applies(ctx)) {
            Some(d) => Ok(Source::Ready(Some(d.run(&self.engine, ctx, view).await?))),
            None => self.engine.source(input, ctx, view),
        }
    }

    async fn change(
        &self,
        statement: &Statement,
        input: &crate::bound::Rel,
        direct: Option<&Direct>,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Outcome> {
        refuse_read_only(ctx, statement)?;
        let source = self.source(input, direct, ctx, view).await?;
        let mut returned = returning(statement).map(|(spec, table)| Returned::new(spec, table));
        let rows = match statement {
            Statement::Insert(i) => insert::insert(&self.engine, i, source, ctx, view, &mut returned).await?,
            Statement::Update(u) => modify::update(&self.engine, u, source, ctx, view, &mut returned).await?,
            Statement::Delete(d) => modify::delete(&self.engine, d, source, ctx, view, &mut returned).await?,
            Statement::Merge(m) => merge::merge(&self.engine, m, source, ctx, view).await?,
            _ => return Err(Error::internal("not a data change")),
        };
        let returning = match returned {
            Some(r) => Some(r.finish(&self.engine, ctx, view).await?),
            None => None,
        };
        Ok(Outcome::Changed { rows, returning })
    }

    async fn ddl(&self, ddl: &Ddl, ctx: &Arc<EvalContext>, view: &Arc<ReadView>) -> Result<Outcome> {
        if ctx.txn.as_ref().is_some_and(|t| t.read_only()) {
            return Err(read_only(ddl.tag()));
        }
        let Ddl::CreateTable(create) = ddl else {
            crate::ddl::execute(ddl, ctx).await?;
            return Ok(Outcome::Done { rows: None });
        };
        let created = crate::ddl::create_table(create, ctx).await?;
        let Some((query, with_data)) = &create.query else { return Ok(Outcome::Done { rows: None }) };
        let rows = match created {
            Some(table) if *with_data => self.fill(table, query, ctx, view).await?,
            Some(_) => 0,
            None => return Ok(Outcome::Done { rows: None }),
        };
        Ok(Outcome::Done { rows: Some(rows) })
    }

    /// CREATE TABLE AS: the query's rows into the new table.
    async fn fill(
        &self,
        table: Arc<TableDef>,
        query: &Query,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<u64> {
        let columns: Vec<usize> = (0..table.columns.len()).collect();
        let mut bulk = BulkInsert::new(table, columns, None, Arc::clone(ctx))?;
        let mut stream = self.query(query, Direct::compile(&query.rel).as_ref(), ctx, view).await?;
        let mut count = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            count += bulk.push(batch.columns(), batch.num_rows()).await.map_err(|(_, e)| e)? as u64;
        }
        bulk.finish().await?;
        Ok(count)
    }
}

fn output_ids(columns: &[OutputColumn]) -> Vec<ColId> {
    columns.iter().map(|c| c.id).collect()
}

fn returning(statement: &Statement) -> Option<(&Returning, &TableDef)> {
    match statement {
        Statement::Insert(i) => i.returning.as_ref().map(|r| (r, &*i.table)),
        Statement::Update(u) => u.returning.as_ref().map(|r| (r, &*u.target.table)),
        Statement::Delete(d) => d.returning.as_ref().map(|r| (r, &*d.target.table)),
        _ => None,
    }
}

fn refuse_read_only(ctx: &EvalContext, statement: &Statement) -> Result<()> {
    let word = match statement {
        Statement::Insert(_) => "INSERT",
        Statement::Update(_) => "UPDATE",
        Statement::Merge(_) => "MERGE",
        _ => "DELETE",
    };
    if ctx.txn.as_ref().is_some_and(|t| t.read_only()) { Err(read_only(word)) } else { Ok(()) }
}

fn read_only(word: &str) -> Error {
    let text = format!("cannot execute {word} in a read-only transaction");
    Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, text)
}
