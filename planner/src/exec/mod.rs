//! Runs bound statements.

use crate::bound::Bound;
use crate::context::EvalContext;
use arrow::record_batch::RecordBatch;
use futures::stream::BoxStream;
use heddle_types::Result;
use std::sync::Arc;

/// Rows in the order of `Bound::columns`; Arrow forms per `heddle_types::arrow`.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// What a statement gave.
pub enum Outcome {
    /// Rows of a query; dropping the stream cancels it.
    Rows(RowStream),
    /// DML: how many rows, and RETURNING's rows if asked for (all changes are made before the first batch comes).
    Changed { rows: u64, returning: Option<Vec<RecordBatch>> },
    /// DDL; CREATE TABLE AS reports its rows.
    Done { rows: Option<u64> },
}

/// A statement ready to run with any parameter values: a point plan, or what DataFusion needs.
pub struct Plan {
    /// What it came from
    pub bound: Arc<Bound>,
    // private: the point plan or lowered form
}

/// Memory pools, query runtime, limits: one per server.
pub struct Executor {
    _todo: (),
}

/// Limits of the executor.
#[derive(Clone, Debug)]
pub struct ExecutorConfig {
    /// Memory for all queries together, bytes
    pub memory_bytes_max: usize,
    /// Rows per batch
    pub batch_rows: usize,
    /// Parallelism of one query
    pub partitions: usize,
    /// Folder for spilled runs
    pub spill_dir: std::path::PathBuf,
}

impl Executor {
    /// Starts the query runtime (own threads).
    pub fn new(_config: ExecutorConfig) -> Result<Self> { todo!() }
    /// Plans a bound statement. Point plans are recognised here; EXPLAIN shows which.
    pub fn plan(&self, _bound: Arc<Bound>) -> Result<Plan> { todo!() }
    /// Runs a plan. Relation locks are already held and `ctx.txn` has begun its statement with `view`.
    pub async fn run(&self, _plan: &Plan, _ctx: Arc<EvalContext>, _view: Arc<heddle_txn::ReadView>) -> Result<Outcome> { todo!() }
    /// Inserts rows that did not come from SQL (COPY FROM): `columns[i]` is the index into `table.columns` of the i-th value of each row, already of the column's type.
    /// Defaults, NOT NULL, keys and indexes are handled as for INSERT.
    pub fn bulk_insert(&self, _table: Arc<heddle_catalog::TableDef>, _columns: Vec<usize>, _ctx: Arc<EvalContext>) -> Result<BulkInsert> { todo!() }
}

/// A running bulk insert.
pub struct BulkInsert {
    _todo: (),
}

impl BulkInsert {
    /// Inserts a batch of rows (each with one datum per column given at the start). On error `row_of_error` tells which row of this batch.
    pub async fn push(&mut self, _rows: Vec<Vec<heddle_types::Datum>>) -> std::result::Result<(), (usize, heddle_types::Error)> { todo!() }
}
