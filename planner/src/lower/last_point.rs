//! Last points ([`SeriesSelect`]) inside a larger query: in a sub-query, a CTE, a join.

use super::scan::{View, to_batch};
use super::{Lowerer, arrow_schema};
use crate::bound::{ColId, Rel};
use crate::context::EvalContext;
use crate::eval::visit;
use crate::exec::runtime::Engine;
use crate::exec::series_aggregate::series_plans;
use crate::exec::series_select::SeriesSelect;
use crate::function::to_df;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as Df, LogicalPlan, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use heddle_types::Result;
use std::fmt;
use std::sync::Arc;

impl Lowerer<'_> {
    /// `rel`, a DISTINCT ON, if it asks for last points.
    pub(super) fn last_points(&mut self, rel: &Rel) -> Result<Option<LogicalPlan>> {
        let Rel::Distinct { input, .. } = rel else { return Ok(None) };
        let Rel::Sort { keys, .. } = &**input else { return Ok(None) };
        let Some(select) = SeriesSelect::compile(rel).filter(|_| series_plans(self.ctx)) else { return Ok(None) };
        let output = visit::output(rel);
        let provider = LastPoints {
            source: Source {
                select,
                engine: Arc::clone(self.engine),
                ctx: Arc::clone(self.ctx),
                view: Arc::new(View(Arc::clone(self.view))),
                ids: output.iter().map(|(id, _)| *id).collect(),
            },
            schema: arrow_schema(&output),
        };
        let plan = self.provider(Arc::new(provider), &output)?;
        // They come in this order, but what stands above may only rely on a sort.
        self.sort(plan, keys).map(Some)
    }
}

/// What is read.
#[derive(Clone)]
struct Source {
    select: Arc<SeriesSelect>,
    engine: Arc<Engine>,
    ctx: Arc<EvalContext>,
    view: Arc<View>,
    ids: Vec<ColId>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "last points")
    }
}

#[derive(Debug)]
struct LastPoints {
    source: Source,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for LastPoints {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Df],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let places: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&places)?);
        let ids = places.iter().map(|place| self.source.ids[*place]).collect();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let source = Source { ids, ..self.source.clone() };
        Ok(Arc::new(LastPointExec { source, schema, properties: Arc::new(properties) }))
    }
}

/// Reads them.
#[derive(Debug)]
struct LastPointExec {
    source: Source,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for LastPointExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.source.select.scan_node(&self.source.ctx, &self.source.view.0).map_err(|_| fmt::Error)?;
        write!(f, "{node}")
    }
}

impl ExecutionPlan for LastPointExec {
    fn name(&self) -> &str {
        "LastPointExec"
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
        let (source, schema) = (self.source.clone(), Arc::clone(&self.schema));
        let rows = async move { source.select.run(&source.engine, &source.ids, &source.ctx, &source.view.0).await };
        let renamed = futures::stream::once(rows).try_flatten().map(move |batch| {
            let batch = batch.map_err(to_df)?;
            to_batch(&schema, batch.columns().to_vec(), batch.num_rows()).map_err(to_df)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), renamed)))
    }
}
