//! Tables as DataFusion sees them: our row storage under a snapshot, computed system tables, working tables.

use super::range::{self, Access};
use super::split;
use super::statistics::{Sample, Statistics};
use super::{arrow_schema, name};
use crate::bound::{ColId, TableScan};
use crate::context::EvalContext;
use crate::function::to_df;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics as StatisticsOf;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr as Df, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use heddle_engines::{KeyRange, Row, RowCursor, RowReader};
use heddle_txn::ReadView;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::row::RowLayout;
use heddle_types::{Datum, PgType, Result, oid};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A table under a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Table {
    scan: TableScan,
    view: Arc<View>,
    schema: SchemaRef,
    known: Known,
    /// Rows that come through the conditions on it, about; None where no join asked.
    rows: Option<usize>,
}

/// Where samples are, and what time it is, with the Debug that DataFusion asks for.
#[derive(Clone)]
pub(super) struct Known {
    pub statistics: Arc<Statistics>,
    pub now: Duration,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "statistics")
    }
}

/// ReadView, with the Debug that DataFusion asks for.
pub(super) struct View(pub Arc<ReadView>);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot")
    }
}

impl Table {
    pub fn new(scan: TableScan, view: Arc<ReadView>, columns: &[(ColId, PgType)], known: Known) -> Self {
        Self { scan, view: Arc::new(View(view)), schema: arrow_schema(columns), known, rows: None }
    }

    /// The same table, about which this number of rows is known.
    pub fn with_rows(&self, rows: usize) -> Self {
        Self { rows: Some(rows), ..self.clone() }
    }

    /// Rows of the whole table, about.
    pub fn size(&self) -> u64 {
        self.view.0.estimate_rows(self.scan.table.storage)
    }

    /// Some of its rows.
    pub fn sample(&self) -> Result<Arc<Sample>> {
        self.known.statistics.sample(&self.scan.table, &self.view.0, self.known.now)
    }

    /// Sampled rows with the table's schema; key and version index are NULL.
    pub fn sampled_columns(&self, sample: &Sample) -> Result<RecordBatch> {
        let columns: Vec<usize> = self.scan.columns.iter().map(|(_, at)| *at).collect();
        let batch = sample.columns(&self.scan.table, &columns)?;
        let identity = self.schema.fields().iter().skip(columns.len());
        let identity = identity.map(|f| arrow::array::new_null_array(f.data_type(), batch.num_rows()));
        let arrays = batch.columns().iter().cloned().chain(identity).collect();
        to_batch(&self.schema, arrays, batch.num_rows())
    }

    /// Different values of a column, about.
    pub fn distinct(&self, sample: &Sample, column: &str) -> Option<f64> {
        let (_, at) = self.scan.columns.iter().find(|(id, _)| name(*id) == column)?;
        sample.distinct(&self.scan.table, *at).ok()
    }

    /// For DataFusion, which decides by it whether a hash table is built once or by parts.
    fn statistics_of(&self, schema: &SchemaRef) -> StatisticsOf {
        let mut statistics = StatisticsOf::new_unknown(schema);
        let Some((rows, sample)) = self.rows.and_then(|rows| Some((rows, self.sample().ok()?))) else {
            return statistics;
        };
        statistics.num_rows = Precision::Inexact(rows);
        for (column, field) in statistics.column_statistics.iter_mut().zip(schema.fields()) {
            if let Some(values) = self.distinct(&sample, field.name()) {
                column.distinct_count = Precision::Inexact(values as usize);
            }
        }
        statistics
    }
}

#[async_trait]
impl TableProvider for Table {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
    fn table_type(&self) -> TableType {
        TableType::Base
    }
    fn supports_filters_pushdown(&self, filters: &[&Df]) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |f: &&Df| match range::is_usable(&self.scan, f) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
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
        let access = range::choose(&self.scan, filters, &range::physical_free(state))?;
        let places: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&places)?);
        let limit = if filters.is_empty() { limit } else { None };
        let parts = if access.narrows() || limit.is_some() { 1 } else { state.config().target_partitions() };
        let shares = match parts {
            1 => vec![],
            n => split::split(&self.view.0, self.scan.table.storage, n).map_err(to_df)?,
        };
        let properties = properties(&self.scan, &access, shares.len().max(1), &schema);
        Ok(Arc::new(ScanExec {
            scan: self.scan.clone(),
            view: Arc::clone(&self.view),
            places,
            access,
            shares,
            limit,
            statistics: Arc::new(self.statistics_of(&schema)),
            schema,
            properties: Arc::new(properties),
        }))
    }
}

/// Each partition is in key order where Arrow's order is the key's.
fn properties(scan: &TableScan, access: &Access, tasks: usize, schema: &SchemaRef) -> PlanProperties {
    let index = match access.index {
        Some(i) => Some(&scan.table.indexes[i]),
        None => scan.table.clustered_key(),
    };
    let mut order = vec![];
    for column in index.map_or(&[][..], |i| &i.columns) {
        let i = column.attnum as usize - 1;
        let id = scan.columns.iter().find(|(_, c)| *c == i).map(|(id, _)| name(*id));
        let at = id.and_then(|n| schema.index_of(&n).ok().map(|at| (n, at)));
        match at {
            Some((n, at)) if heddle_types::arrow::native_order(scan.table.columns[i].ty) => {
                let options = arrow::compute::SortOptions {
                    descending: column.order.desc,
                    nulls_first: column.order.nulls_first,
                };
                let expr: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(&n, at));
                order.push(PhysicalSortExpr::new(expr, options));
            }
            _ => break,
        }
    }
    let equivalence = match order.is_empty() {
        true => EquivalenceProperties::new(Arc::clone(schema)),
        false => EquivalenceProperties::new_with_orderings(Arc::clone(schema), [order]),
    };
    let tasks = Partitioning::UnknownPartitioning(tasks);
    PlanProperties::new(equivalence, tasks, EmissionType::Incremental, Boundedness::Bounded)
}

/// Reads rows of one table.
#[derive(Debug)]
struct ScanExec {
    scan: TableScan,
    view: Arc<View>,
    /// Output columns as places in the provider's schema: the scan's columns, then key and version index.
    places: Vec<usize>,
    access: Access,
    /// What each partition reads of a whole large table; empty for one partition that reads what `access` says.
    shares: Vec<KeyRange>,
    limit: Option<usize>,
    statistics: Arc<StatisticsOf>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.scan.table;
        match self.access.index.filter(|_| self.access.narrows()) {
            Some(i) => write!(f, "Index Scan using {} on {}", table.indexes[i].name, table.name),
            None => write!(f, "Seq Scan on {}", table.name),
        }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
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
    fn statistics_from_inputs(&self, _: &[Arc<StatisticsOf>], args: &StatisticsArgs) -> DfResult<Arc<StatisticsOf>> {
        let parts = self.shares.len().max(1);
        if args.partition().is_none() || parts == 1 {
            return Ok(Arc::clone(&self.statistics));
        }
        let rows = self.statistics.num_rows.with_estimated_selectivity(1.0 / parts as f64);
        Ok(Arc::new(StatisticsOf { num_rows: rows, ..StatisticsOf::clone(&self.statistics) }))
    }
    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let ranges = match self.shares.get(partition) {
            Some(share) => vec![share.clone()],
            None => self.access.ranges()?,
        };
        let reader = Reader {
            scan: self.scan.clone(),
            view: Arc::clone(&self.view.0),
            layout: self.scan.table.layout(),
            places: self.places.clone(),
            schema: Arc::clone(&self.schema),
            ranges: ranges.into(),
            secondary: self.access.index.and_then(|i| self.scan.table.indexes[i].storage),
            cursor: None,
            left: self.limit.unwrap_or(usize::MAX),
            batch_rows: context.session_config().batch_size(),
            rows: vec![],
        };
        let stream = futures::stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next() {
                Ok(Some(batch)) => Some((Ok(batch), Some(reader))),
                Ok(None) => None,
                Err(e) => Some((Err(to_df(e)), None)),
            }
        });
        // The runtime must get its turn although reading never waits: that is also where a cancel is noticed.
        let stream = futures::StreamExt::then(stream, |batch| async move {
            tokio::task::yield_now().await;
            batch
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }
}

/// Walks the ranges.
struct Reader {
    scan: TableScan,
    view: Arc<ReadView>,
    layout: RowLayout,
    places: Vec<usize>,
    schema: SchemaRef,
    ranges: VecDeque<KeyRange>,
    secondary: Option<heddle_types::StorageId>,
    cursor: Option<Box<dyn RowCursor>>,
    left: usize,
    batch_rows: usize,
    rows: Vec<Row>,
}

impl Reader {
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        let storage = self.secondary.unwrap_or(self.scan.table.storage);
        self.rows.clear();
        let want = self.batch_rows.min(self.left);
        while self.rows.len() < want {
            let cursor = match &mut self.cursor {
                Some(c) => c,
                None => match self.ranges.pop_front() {
                    Some(range) => self.cursor.insert(self.view.scan(storage, range, false)?),
                    None => break,
                },
            };
            if !cursor.next_batch(want - self.rows.len(), &mut self.rows)? {
                self.cursor = None;
            }
        }
        if self.rows.is_empty() {
            return Ok(None);
        }
        self.left -= self.rows.len().min(self.left);
        let mut rows = std::mem::take(&mut self.rows);
        if self.secondary.is_some() {
            rows = self.fetch(rows)?;
        }
        let batch = self.decode(&rows)?;
        self.rows = rows;
        Ok(Some(batch))
    }

    /// The table rows behind index entries.
    fn fetch(&self, entries: Vec<Row>) -> Result<Vec<Row>> {
        let mut out = Vec::with_capacity(entries.len());
        for entry in entries {
            out.extend(self.view.get(self.scan.table.storage, &entry.row)?);
        }
        Ok(out)
    }

    fn decode(&self, rows: &[Row]) -> Result<RecordBatch> {
        let n = self.scan.columns.len();
        let attributes: Vec<usize> = self.places.iter().filter(|p| **p < n).map(|p| self.scan.columns[*p].1).collect();
        let ty = |i: &usize| self.scan.table.columns[*i].ty;
        let mut builders: Vec<ColumnBuilder> =
            attributes.iter().map(|i| ColumnBuilder::new(ty(i), rows.len())).collect();
        if !attributes.is_empty() {
            for row in rows {
                self.layout.decode_into(&row.row, &attributes, &mut builders)?;
            }
        }
        let mut decoded = builders.iter_mut().map(ColumnBuilder::finish);
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.places.len());
        for place in &self.places {
            arrays.push(match place.checked_sub(n) {
                None => decoded.next().expect("one builder per attribute"),
                Some(0) => keys(rows)?,
                Some(_) => versions(rows)?,
            });
        }
        to_batch(&self.schema, arrays, rows.len())
    }
}

fn keys(rows: &[Row]) -> Result<ArrayRef> {
    let mut b = ColumnBuilder::new(PgType::new(oid::BYTEA), rows.len());
    for row in rows {
        b.append(&Datum::Bytea(Arc::from(&row.key[..])))?;
    }
    Ok(b.finish())
}

fn versions(rows: &[Row]) -> Result<ArrayRef> {
    let mut b = ColumnBuilder::new(PgType::new(oid::INT8), rows.len());
    for row in rows {
        b.append(&Datum::Int8(row.index.0 as i64))?;
    }
    Ok(b.finish())
}

/// A batch with an explicit row count, for scans without columns.
pub(super) fn to_batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options).map_err(crate::function::error::arrow_error)
}

/// The rows of a system table as one batch.
pub(super) fn system(
    table: &crate::syscat::SystemTable,
    columns: &[(ColId, usize)],
    ctx: &EvalContext,
) -> Result<(SchemaRef, RecordBatch)> {
    let typed: Vec<(ColId, PgType)> = columns.iter().map(|(id, i)| (*id, table.columns[*i].1)).collect();
    let schema = arrow_schema(&typed);
    let rows = (table.rows)(ctx)?;
    let mut arrays = vec![];
    for (_, i) in columns {
        let mut b = ColumnBuilder::new(table.columns[*i].1, rows.len());
        for row in &rows {
            b.append(&row[*i])?;
        }
        arrays.push(b.finish());
    }
    let batch = to_batch(&schema, arrays, rows.len())?;
    Ok((schema, batch))
}
