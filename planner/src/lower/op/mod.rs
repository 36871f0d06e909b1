//! Operators DataFusion does not have: one logical node and one execution plan around an [`Op`].
//!
//! Every operator reads its input in one partition and keeps its order, so a Sort below stays where SQL put it.

mod apply;
mod counted;
mod cte;
mod project_set;

pub(super) use counted::{counts, needs_plan};
pub(super) use cte::{WorkHandle, WorkTable};

use super::cell::Cell;
use super::{df_schema, name};
use crate::bound::{ColId, LockTarget};
use crate::context::EvalContext;
use crate::exec::lock::lock_rows;
use crate::exec::rowset::RowSet;
use crate::exec::runtime::Engine;
use crate::exec::series_aggregate::SeriesAggregate;
use crate::function::{FuncId, to_df};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    Expr as Df, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgArray, PgType, Result};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A set-returning call over columns of the input.
pub(super) struct SetCall {
    pub func: FuncId,
    pub ret: PgType,
    /// Argument columns
    pub args: Vec<(ColId, PgType)>,
    pub columns: Vec<(ColId, PgType)>,
}

/// What a node does.
pub(super) enum Op {
    /// For each row: the inner plan under these outer values; without rows, one of NULLs if `outer`.
    Apply { inner: LogicalPlan, cells: Vec<Arc<Cell>>, outer: bool },
    /// Set-returning functions in lock-step.
    ProjectSet { calls: Vec<SetCall>, kept: Vec<ColId>, ordinality: bool, outer: bool, ctx: Arc<EvalContext> },
    /// Row locks.
    Lock {
        engine: Arc<Engine>,
        targets: Vec<LockTarget>,
        ctx: Arc<EvalContext>,
        view: Arc<ReadView>,
        wanted: Option<usize>,
    },
    /// LIMIT and OFFSET that a plan says.
    Counted { counts: LogicalPlan },
    /// WITH RECURSIVE.
    Recursive { first: LogicalPlan, step: LogicalPlan, working: Arc<WorkTable>, distinct: bool },
    /// A plan that runs once, whoever asks first.
    Shared { plan: LogicalPlan, rows: cte::SharedRows },
    /// Aggregates over the series of one table.
    SeriesAggregate { plan: Arc<SeriesAggregate>, engine: Arc<Engine>, ctx: Arc<EvalContext>, view: Arc<ReadView> },
    /// ARRAY(SELECT …): all rows into one array.
    CollectArray { element: PgType, array: PgType },
}

impl Op {
    /// Over an input whose columns it keeps.
    pub fn over(self, input: LogicalPlan) -> LogicalPlan {
        let schema = Arc::clone(input.schema());
        Node { op: Arc::new(self), input: Some(input), schema }.into_plan()
    }

    /// Over an input, with these output columns.
    pub fn with_schema(self, input: LogicalPlan, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        Ok(Node { op: Arc::new(self), input: Some(input), schema: df_schema(columns)? }.into_plan())
    }

    /// Without an input.
    pub fn leaf(self, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        Ok(Node { op: Arc::new(self), input: None, schema: df_schema(columns)? }.into_plan())
    }

    pub fn shared(plan: LogicalPlan, columns: &[(ColId, PgType)]) -> Result<LogicalPlan> {
        Self::Shared { plan, rows: Default::default() }.leaf(columns)
    }

    pub fn apply(left: LogicalPlan, inner: LogicalPlan, cells: Vec<Arc<Cell>>, outer: bool) -> Result<LogicalPlan> {
        let right = inner.schema().fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true)));
        let fields: Vec<_> = left.schema().fields().iter().cloned().chain(right).collect();
        let schema = datafusion::common::DFSchema::from_unqualified_fields(fields.into(), Default::default());
        let schema = Arc::new(schema.map_err(crate::function::from_df)?);
        Ok(Node { op: Arc::new(Self::Apply { inner, cells, outer }), input: Some(left), schema }.into_plan())
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Apply { outer: true, .. } => "Apply Left",
            Self::Apply { .. } => "Apply",
            Self::ProjectSet { .. } => "ProjectSet",
            Self::Lock { .. } => "LockRows",
            Self::Counted { .. } => "Limit",
            Self::Recursive { .. } => "Recursive Union",
            Self::Shared { .. } => "CTE Scan",
            Self::SeriesAggregate { .. } => "Series Aggregate",
            Self::CollectArray { .. } => "Aggregate",
        }
    }

    /// Plans that this operator runs itself.
    fn inner(&self) -> Vec<&LogicalPlan> {
        match self {
            Self::Apply { inner, .. } => vec![inner],
            Self::Counted { counts } => vec![counts],
            Self::Recursive { first, step, .. } => vec![first, step],
            Self::Shared { plan, .. } => vec![plan],
            _ => vec![],
        }
    }
}

/// The logical node. Two nodes are equal when they are the same operator over equal inputs.
struct Node {
    op: Arc<Op>,
    input: Option<LogicalPlan>,
    schema: DFSchemaRef,
}

impl Node {
    fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(self) })
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())
    }
}
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.op, &other.op) && self.input == other.input
    }
}
impl Eq for Node {}
impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.op).hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for Node {
    fn name(&self) -> &str {
        self.op.name()
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.input.iter().collect()
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Df> {
        vec![]
    }
    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        let all = || self.schema.fields().iter().map(|f| f.name().clone());
        match (&*self.op, &self.input) {
            // Conditions on the left side's columns may run before the inner plan.
            (Op::Apply { .. }, Some(input)) => {
                let left: Vec<&String> = input.schema().fields().iter().map(|f| f.name()).collect();
                all().filter(|n| !left.contains(&n)).collect()
            }
            _ => all().collect(),
        }
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())
    }
    fn with_exprs_and_inputs(&self, _: Vec<Df>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(Self { op: Arc::clone(&self.op), input: inputs.into_iter().next(), schema: Arc::clone(&self.schema) })
    }
}

/// Plans our nodes.
pub(super) struct OpPlanner;

#[async_trait]
impl ExtensionPlanner for OpPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        _: &datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext,
    ) -> DfResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<Node>() else { return Ok(None) };
        let mut inner = vec![];
        for plan in node.op.inner() {
            inner.push(planner.create_physical_plan(plan, session).await?);
        }
        let schema = Arc::clone(node.schema.inner());
        Ok(Some(Arc::new(OpExec::new(Arc::clone(&node.op), inputs.first().cloned(), inner, schema))))
    }
}

/// The execution plan.
#[derive(Debug)]
struct OpExec {
    op: OpRef,
    input: Option<Arc<dyn ExecutionPlan>>,
    inner: Vec<Arc<dyn ExecutionPlan>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

struct OpRef(Arc<Op>);

impl fmt::Debug for OpRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl OpExec {
    fn new(
        op: Arc<Op>,
        input: Option<Arc<dyn ExecutionPlan>>,
        inner: Vec<Arc<dyn ExecutionPlan>>,
        schema: SchemaRef,
    ) -> Self {
        // The input's columns come first, so its order is the output's.
        let keeps = matches!(&*op, Op::Apply { .. } | Op::Lock { .. } | Op::Counted { .. } | Op::ProjectSet { .. });
        let ordering = input.as_ref().filter(|_| keeps).and_then(|i| i.properties().output_ordering().cloned());
        let equivalence = match ordering {
            Some(o) => EquivalenceProperties::new_with_orderings(Arc::clone(&schema), [o]),
            None => EquivalenceProperties::new(Arc::clone(&schema)),
        };
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { op: OpRef(op), input, inner, schema, properties: Arc::new(properties) }
    }
}

impl DisplayAs for OpExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.op.0 {
            Op::SeriesAggregate { plan, ctx, view, .. } => match plan.explain(ctx, view) {
                Ok(node) => write!(f, "{node}"),
                Err(_) => f.write_str(self.op.0.name()),
            },
            op => f.write_str(op.name()),
        }
    }
}

impl ExecutionPlan for OpExec {
    fn name(&self) -> &str {
        "OpExec"
    }
    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.input.iter().collect()
    }
    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(self.input.iter().map(|_| Distribution::SinglePartition).collect())
    }
    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let order =
            |i: &Arc<dyn ExecutionPlan>| i.properties().output_ordering().cloned().map(OrderingRequirements::from);
        self.input.iter().map(order).collect()
    }
    fn maintains_input_order(&self) -> Vec<bool> {
        self.input.iter().map(|_| true).collect()
    }
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.input.iter().map(|_| false).collect()
    }
    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        Ok(Arc::new(Self::new(Arc::clone(&self.op.0), input, self.inner.clone(), Arc::clone(&self.schema))))
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let input = || match &self.input {
            Some(i) => i.execute(partition, Arc::clone(&context)),
            None => Err(DataFusionError::Internal("an operator lost its input".to_owned())),
        };
        let schema = Arc::clone(&self.schema);
        let op = Arc::clone(&self.op.0);
        let stream = match &*self.op.0 {
            Op::Apply { .. } => apply::stream(op, input()?, Arc::clone(&self.inner[0]), Arc::clone(&schema), context),
            Op::ProjectSet { .. } => project_set::stream(op, input()?, Arc::clone(&schema)),
            Op::Lock { .. } => lock(op, input()?, Arc::clone(&schema)),
            Op::Counted { .. } => counted::stream(input()?, Arc::clone(&self.inner[0]), context),
            Op::Recursive { .. } => cte::recursive(op, self.inner.clone(), Arc::clone(&schema), context),
            Op::Shared { .. } => cte::shared(op, Arc::clone(&self.inner[0]), context),
            Op::SeriesAggregate { .. } => series_aggregate(op, Arc::clone(&schema)),
            Op::CollectArray { element, array } => collect_array(*element, *array, input()?, Arc::clone(&schema)),
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// Batches of an operator.
type Batches = futures::stream::BoxStream<'static, DfResult<RecordBatch>>;

/// The column ids of a schema of ours.
fn ids(schema: &SchemaRef) -> Vec<ColId> {
    schema.fields().iter().map(|f| ColId(f.name()[1..].parse().unwrap_or(0))).collect()
}

/// Rows go through one at a time when a LIMIT above says how many are wanted: no row is locked that nobody gets.
fn lock(op: Arc<Op>, input: SendableRecordBatchStream, schema: SchemaRef) -> Batches {
    struct State {
        op: Arc<Op>,
        input: SendableRecordBatchStream,
        schema: SchemaRef,
        waiting: Option<RowSet>,
        given: usize,
    }
    let state = State { op, input, schema, waiting: None, given: 0 };
    futures::stream::try_unfold(state, |mut s| async move {
        let Op::Lock { engine, targets, ctx, view, wanted } = &*Arc::clone(&s.op) else {
            return Err(DataFusionError::Internal("not a lock".to_owned()));
        };
        loop {
            if wanted.is_some_and(|w| s.given >= w) {
                return Ok(None);
            }
            let rows = match s.waiting.take() {
                Some(rows) if rows.rows > 0 => rows,
                _ => match s.input.next().await {
                    Some(batch) => RowSet::from_batch(&ids(&s.schema), &batch?),
                    None => return Ok(None),
                },
            };
            let n = if wanted.is_some() { 1.min(rows.rows) } else { rows.rows };
            s.waiting = Some(rows.slice(n, rows.rows - n).map_err(to_df)?);
            let first = rows.slice(0, n).map_err(to_df)?;
            let locked = lock_rows(engine, targets, first, ctx, view).await.map_err(to_df)?;
            if locked.rows > 0 {
                s.given += locked.rows;
                let arrays = ids(&s.schema).iter().map(|id| locked.require(*id)).collect::<Result<Vec<_>>>();
                let batch = super::scan::to_batch(&s.schema, arrays.map_err(to_df)?, locked.rows).map_err(to_df)?;
                return Ok(Some((batch, s)));
            }
        }
    })
    .boxed()
}

fn series_aggregate(op: Arc<Op>, schema: SchemaRef) -> Batches {
    let whole = async move {
        let Op::SeriesAggregate { plan, engine, ctx, view } = &*op else {
            return Err(DataFusionError::Internal("not an aggregation over series".to_owned()));
        };
        let rows = plan.run(engine, ctx, view).await.map_err(to_df)?;
        let arrays = ids(&schema).iter().map(|id| rows.require(*id)).collect::<Result<Vec<_>>>().map_err(to_df)?;
        super::scan::to_batch(&schema, arrays, rows.rows).map_err(to_df)
    };
    futures::stream::once(whole).boxed()
}

fn collect_array(element: PgType, array: PgType, input: SendableRecordBatchStream, schema: SchemaRef) -> Batches {
    let whole = async move {
        if element.element().is_some() {
            return Err(to_df(Error::unsupported("ARRAY(SELECT …) of arrays")));
        }
        let mut input = input;
        let mut elements = vec![];
        while let Some(batch) = input.next().await {
            let batch = batch?;
            let column = batch.column(0);
            elements.extend((0..batch.num_rows()).map(|i| heddle_types::arrow::datum_at(column, element, i)));
        }
        let value = Datum::Array(Arc::new(PgArray::from_vec(element.oid, elements)));
        let column = heddle_types::arrow::repeat(&value, array, 1).map_err(to_df)?;
        super::scan::to_batch(&schema, vec![column], 1).map_err(to_df)
    };
    futures::stream::once(whole).boxed()
}

/// The place of a column in a schema of ours.
fn place(schema: &SchemaRef, id: ColId) -> DfResult<usize> {
    Ok(schema.index_of(&name(id))?)
}
