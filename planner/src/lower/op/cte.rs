//! CTEs that are computed once, and recursion over a working table.

use super::super::arrow_schema;
use super::super::scan::to_batch;
use super::{Batches, Op};
use crate::bound::ColId;
use crate::function::to_df;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as Df, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, reset_plan_states};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream};
use futures::StreamExt;
use heddle_types::{PgType, key};
use parking_lot::Mutex;
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Rows of a shared CTE, once somebody computed them; the reservation is given back with the last reader.
#[derive(Default)]
pub(in crate::lower) struct SharedRows(OnceCell<(Vec<RecordBatch>, MemoryReservation)>);

pub(super) fn shared(op: Arc<Op>, inner: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> Batches {
    let rows = async move {
        let Op::Shared { rows, .. } = &*op else {
            return Err(DataFusionError::Internal("not a shared plan".to_owned()));
        };
        let (batches, _) = rows.0.get_or_try_init(|| materialize(inner, context)).await?;
        Ok(batches.clone())
    };
    futures::stream::once(rows)
        .map(|r| match r {
            Ok(batches) => futures::stream::iter(batches.into_iter().map(Ok)).boxed(),
            Err(e) => futures::stream::once(async move { Err(e) }).boxed(),
        })
        .flatten()
        .boxed()
}

async fn materialize(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> DfResult<(Vec<RecordBatch>, MemoryReservation)> {
    let reservation = MemoryConsumer::new("CTE").register(context.memory_pool());
    let mut stream = execute_stream(plan, context)?;
    let mut out = vec![];
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        reservation.try_grow(batch.get_array_memory_size())?;
        out.push(batch);
    }
    Ok((out, reservation))
}

/// What a recursive term reads: the rows of the step before.
pub(in crate::lower) struct WorkTable {
    pub columns: Vec<(ColId, PgType)>,
    schema: SchemaRef,
    rows: Mutex<Vec<RecordBatch>>,
}

impl WorkTable {
    pub fn new(columns: Vec<(ColId, PgType)>) -> Arc<Self> {
        Arc::new(Self { schema: arrow_schema(&columns), columns, rows: Mutex::default() })
    }
}

impl fmt::Debug for WorkTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkTable Scan")
    }
}

/// A handle that can hand itself to the plan.
#[derive(Debug)]
pub(in crate::lower) struct WorkHandle(pub Arc<WorkTable>);

#[async_trait]
impl TableProvider for WorkHandle {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::Temporary
    }
    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Df],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let places = projection.cloned().unwrap_or_else(|| (0..self.0.columns.len()).collect());
        let schema = Arc::new(self.0.schema.project(&places)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(WorkExec { table: Arc::clone(&self.0), places, schema, properties: Arc::new(properties) }))
    }
}

#[derive(Debug)]
struct WorkExec {
    table: Arc<WorkTable>,
    places: Vec<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for WorkExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkTable Scan")
    }
}

impl ExecutionPlan for WorkExec {
    fn name(&self) -> &str {
        "OpExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }
    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let rows = self.table.rows.lock().clone();
        let (places, schema) = (self.places.clone(), Arc::clone(&self.schema));
        let project = move |batch: RecordBatch| {
            let arrays: Vec<ArrayRef> = places.iter().map(|p| Arc::clone(batch.column(*p))).collect();
            to_batch(&schema, arrays, batch.num_rows()).map_err(to_df)
        };
        let stream = futures::stream::iter(rows.into_iter().map(project));
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }
}

struct Recursion {
    op: Arc<Op>,
    step: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
    running: SendableRecordBatchStream,
    /// What the present step gave so far.
    gathered: Vec<RecordBatch>,
    seen: HashSet<Vec<u8>>,
    reservation: MemoryReservation,
    ready: VecDeque<RecordBatch>,
}

/// First term, then the recursive term over what the step before gave, until a step gives nothing. Streams.
pub(super) fn recursive(
    op: Arc<Op>,
    inner: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    context: Arc<TaskContext>,
) -> Batches {
    let start = async move {
        let reservation = MemoryConsumer::new("WITH RECURSIVE").register(context.memory_pool());
        let running = execute_stream(reset_plan_states(Arc::clone(&inner[0]))?, Arc::clone(&context))?;
        Ok::<_, DataFusionError>(Recursion {
            op,
            step: Arc::clone(&inner[1]),
            schema,
            context,
            running,
            gathered: vec![],
            seen: HashSet::new(),
            reservation,
            ready: VecDeque::new(),
        })
    };
    futures::stream::once(start)
        .map(|r| match r {
            Ok(state) => {
                futures::stream::try_unfold(state, |mut s| async move { Ok(s.next().await?.map(|batch| (batch, s))) })
                    .boxed()
            }
            Err(e) => futures::stream::once(async move { Err(e) }).boxed(),
        })
        .flatten()
        .boxed()
}

impl Recursion {
    async fn next(&mut self) -> DfResult<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            tokio::task::yield_now().await;
            match self.running.next().await {
                Some(batch) => self.take(batch?)?,
                None if self.gathered.is_empty() => return Ok(None),
                None => self.step_on()?,
            }
        }
    }

    fn take(&mut self, batch: RecordBatch) -> DfResult<()> {
        let batch = self.fresh(batch)?;
        if batch.num_rows() > 0 {
            self.reservation.try_grow(batch.get_array_memory_size())?;
            self.gathered.push(batch.clone());
            self.ready.push_back(batch);
        }
        Ok(())
    }

    fn step_on(&mut self) -> DfResult<()> {
        let Op::Recursive { working, .. } = &*self.op else {
            return Err(DataFusionError::Internal("not a recursion".to_owned()));
        };
        *working.rows.lock() = std::mem::take(&mut self.gathered);
        self.reservation.free();
        let plan = reset_plan_states(Arc::clone(&self.step))?;
        self.running = execute_stream(plan, Arc::clone(&self.context))?;
        Ok(())
    }

    /// UNION: rows that no step gave before.
    fn fresh(&mut self, batch: RecordBatch) -> DfResult<RecordBatch> {
        let Op::Recursive { working, distinct, .. } = &*self.op else {
            return Err(DataFusionError::Internal("not a recursion".to_owned()));
        };
        // Both terms name and mark their columns differently; the output has one schema.
        let batch = to_batch(&self.schema, batch.columns().to_vec(), batch.num_rows()).map_err(to_df)?;
        if !*distinct {
            return Ok(batch);
        }
        let mut keep = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let values: Vec<_> = working
                .columns
                .iter()
                .zip(batch.columns())
                .map(|((_, ty), a)| heddle_types::arrow::datum_at(a, *ty, row))
                .collect();
            keep.push(self.seen.insert(key::encode_row(&values)));
        }
        Ok(filter_record_batch(&batch, &BooleanArray::from(keep))?)
    }
}
