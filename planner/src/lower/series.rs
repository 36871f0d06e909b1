//! Time-series tables as DataFusion sees them: columnar points with their series' tags spread over the rows.
//!
//! Order: the engine's cursors give partition after partition, so only the scan of one series is in order (by time).
//! Parallelism: each partition of the plan reads series of its own.

use super::scan::{View, to_batch};
use super::series_access::{Access, Selection, Use, ranges, usefulness};
use super::{arrow_schema, name};
use crate::bound::{ColId, TableScan};
use crate::context::EvalContext;
use crate::exec::series::{PointColumns, SeriesCodec};
use crate::function::to_df;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as Df, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use heddle_engines::point::{PointCursor, PointScan, SeriesLayout};
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::ReadView;
use heddle_types::{Datum, PgType, Result, oid};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Smaller tables are read by one task.
const PARALLEL_POINTS_MIN: u64 = 200_000;

/// A time-series table under a snapshot.
#[derive(Debug)]
pub(super) struct Points {
    scan: TableScan,
    codec: SeriesCodec,
    view: Arc<View>,
    now_us: i64,
    ctx: Context,
    schema: SchemaRef,
}

/// The statement's context, for EXPLAIN's times.
#[derive(Clone)]
struct Context(Arc<EvalContext>);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context")
    }
}

impl Points {
    /// For a time-series table; None for another.
    pub fn new(
        scan: &TableScan,
        view: &Arc<ReadView>,
        ctx: &Arc<EvalContext>,
        columns: &[(ColId, PgType)],
    ) -> Option<Self> {
        Some(Self {
            codec: SeriesCodec::of(&scan.table)?,
            scan: scan.clone(),
            view: Arc::new(View(Arc::clone(view))),
            now_us: ctx.statement_us,
            ctx: Context(Arc::clone(ctx)),
            schema: arrow_schema(columns),
        })
    }
}

impl Points {
    /// Points of the whole table, about.
    pub fn rows(&self) -> u64 {
        self.view.0.estimate_rows(self.scan.table.storage)
    }
}

#[async_trait]
impl TableProvider for Points {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    fn supports_filters_pushdown(&self, filters: &[&Df]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |f: &&Df| match usefulness(&self.scan, f) {
            Use::No => TableProviderFilterPushDown::Unsupported,
            Use::Narrows => TableProviderFilterPushDown::Inexact,
            Use::Complete => TableProviderFilterPushDown::Exact,
        };
        Ok(filters.iter().map(support).collect())
    }
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Df],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let access = Access::new(&self.scan, self.codec.clone(), filters, self.now_us, state)?;
        let places: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&places)?);
        let complete = filters.iter().all(|f| usefulness(&self.scan, f) == Use::Complete);
        let limit = limit.filter(|_| complete);
        let large = self.rows() >= PARALLEL_POINTS_MIN;
        let tasks = match large && !access.is_single() && limit.is_none() {
            true => state.config().target_partitions().max(1),
            false => 1,
        };
        let properties = Arc::new(properties(&self.scan, access.is_single(), tasks, &schema));
        Ok(Arc::new(SeriesScanExec {
            scan: self.scan.clone(),
            codec: self.codec.clone(),
            view: Arc::clone(&self.view),
            ctx: self.ctx.clone(),
            access,
            places,
            tasks,
            limit,
            schema,
            properties,
        }))
    }
}

/// The points of one series come in order of time.
fn properties(scan: &TableScan, single: bool, tasks: usize, schema: &SchemaRef) -> PlanProperties {
    let column = |at: usize| -> Option<PhysicalSortExpr> {
        let id = scan.columns.iter().find(|(_, c)| *c == at).map(|(id, _)| name(*id))?;
        let place = schema.index_of(&id).ok()?;
        let expr: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(&id, place));
        Some(PhysicalSortExpr::new(expr, SortOptions { descending: false, nulls_first: false }))
    };
    let key: Vec<usize> =
        scan.table.primary_key().into_iter().flat_map(|k| &k.columns).map(|c| c.attnum as usize - 1).collect();
    let mut orderings: Vec<Vec<PhysicalSortExpr>> = vec![];
    if let (true, Some(time)) = (single, key.last()) {
        orderings.extend(column(*time).map(|t| vec![t]));
        orderings.extend(key.iter().map(|at| column(*at)).collect::<Option<Vec<_>>>());
    }
    let equivalence = match orderings.is_empty() {
        true => EquivalenceProperties::new(Arc::clone(schema)),
        false => EquivalenceProperties::new_with_orderings(Arc::clone(schema), orderings),
    };
    let tasks = Partitioning::UnknownPartitioning(tasks);
    PlanProperties::new(equivalence, tasks, EmissionType::Incremental, Boundedness::Bounded)
}

/// Reads points of one table.
#[derive(Debug)]
struct SeriesScanExec {
    scan: TableScan,
    codec: SeriesCodec,
    view: Arc<View>,
    ctx: Context,
    access: Access,
    /// Output columns as places in the provider's schema: the scan's columns, then key and version index.
    places: Vec<usize>,
    tasks: usize,
    limit: Option<usize>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for SeriesScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Series Scan on {}", self.scan.table.name)?;
        let (table, view) = (&self.scan, &self.view.0);
        let all = view.series(table.table.storage).map_or(0, |s| s.len());
        match self.access.select(table, view, true) {
            // Its conditions need an outer row.
            Err(_) => write!(f, "\nSeries: of {all}, by the outer row"),
            Ok(None) => write!(f, "\nSeries: 0 of {all}"),
            Ok(Some(selection)) => {
                write!(f, "\nSeries: {} of {all}", selection.series.as_ref().map_or(all, Vec::len))?;
                let ty = PgType::new(oid::TIMESTAMPTZ);
                let shown = |us: i64| heddle_types::text::to_string(&Datum::Timestamp(us), ty, &self.ctx.0.text);
                if selection.from_us > i64::MIN + 1 {
                    write!(f, "\nFrom: {}", shown(selection.from_us))?;
                }
                if selection.to_us < i64::MAX - 1 {
                    write!(f, "\nTo: {}", shown(selection.to_us))?;
                }
                if !selection.conditions.is_empty() {
                    write!(f, "\nField Cond: {}", self.access.shown_conditions(table, &selection))?;
                }
                Ok(())
            }
        }
    }
}

impl ExecutionPlan for SeriesScanExec {
    fn name(&self) -> &str {
        "SeriesScanExec"
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
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let (scan, codec, view) = (self.scan.clone(), self.codec.clone(), Arc::clone(&self.view.0));
        let reader = Reader {
            columns: PointColumns::new(scan, codec, view, self.places.clone()),
            scan: self.scan.clone(),
            layout: Arc::clone(&self.codec.layout),
            view: Arc::clone(&self.view.0),
            schema: Arc::clone(&self.schema),
            cursors: None,
            left: self.limit.unwrap_or(usize::MAX),
            batch_rows: context.session_config().batch_size(),
            any_order: !self.access.is_single(),
        };
        let (access, task) = (self.access.clone(), (partition, self.tasks));
        let stream = futures::stream::unfold(Some(reader), move |reader| {
            let access = access.clone();
            async move {
                let mut reader = reader?;
                // The runtime must get its turn although reading never waits: that is also where a cancel is noticed.
                heddle_env::give_way();
                tokio::task::yield_now().await;
                match reader.next(&access, task) {
                    Ok(Some(batch)) => Some((Ok(batch), Some(reader))),
                    Ok(None) => None,
                    Err(e) => Some((Err(to_df(e)), None)),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }
}

/// Walks the cursors.
struct Reader {
    scan: TableScan,
    layout: Arc<SeriesLayout>,
    view: Arc<ReadView>,
    schema: SchemaRef,
    columns: PointColumns,
    /// None before the first batch.
    cursors: Option<VecDeque<Box<dyn PointCursor>>>,
    left: usize,
    batch_rows: usize,
    /// More than one series is read, whose order nobody relies on.
    any_order: bool,
}

impl Reader {
    fn next(&mut self, access: &Access, task: (usize, usize)) -> Result<Option<RecordBatch>> {
        if self.cursors.is_none() {
            self.cursors = Some(self.open(access, task)?);
        }
        while self.left > 0 {
            let cursors = self.cursors.get_or_insert_default();
            let Some(cursor) = cursors.front_mut() else { return Ok(None) };
            match cursor.next_batch()? {
                Some(points) => {
                    let batch = to_batch(&self.schema, self.columns.arrays(&points)?, points.rows())?;
                    let rows = batch.num_rows().min(self.left);
                    self.left -= rows;
                    return Ok(Some(batch.slice(0, rows)));
                }
                None => drop(cursors.pop_front()),
            }
        }
        Ok(None)
    }

    /// Opens this task's share.
    fn open(&self, access: &Access, (task, tasks): (usize, usize)) -> Result<VecDeque<Box<dyn PointCursor>>> {
        let Some(selection) = access.select(&self.scan, &self.view, tasks > 1)? else { return Ok(VecDeque::new()) };
        let series = match &selection.series {
            None => vec![KeyRange::all()],
            Some(all) => {
                let share = |n: usize| all.len() * n / tasks;
                ranges(&selection, &all[share(task)..share(task + 1)])
            }
        };
        if series.is_empty() {
            return Ok(VecDeque::new());
        }
        let scan = self.point_scan(&selection, series);
        Ok(self.view.scan_points(&scan)?.into())
    }

    fn point_scan(&self, selection: &Selection, series: Vec<KeyRange>) -> PointScan {
        PointScan {
            storage: self.scan.table.storage,
            layout: Arc::clone(&self.layout),
            series,
            from_us: selection.from_us,
            to_us: selection.to_us,
            fields: self.columns.fields(),
            conditions: selection.conditions.clone(),
            versions: self.columns.has_versions(),
            batch_rows: self.batch_rows.min(self.left),
            any_order: self.any_order,
            blocks: None,
            cursors: 1,
        }
    }
}
