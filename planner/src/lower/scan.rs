//! Tables as DataFusion sees them: our row storage under a snapshot, computed system tables, working tables.

use super::lookup::{self, Found};
use super::range::{self, Access};
use super::row_filter::{self, RowFilter, Sieve};
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
use bytes::Bytes;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::common::Statistics as StatisticsOf;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr as Df, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use heddle_engines::{KeyRange, RowCursor, RowReader};
use heddle_txn::ReadView;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::row::RowLayout;
use heddle_types::{Datum, LogIndex, PgType, Result, StorageId, oid};
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
        let support = |f: &&Df| {
            if row_filter::is_row_filter(&self.scan, f) {
                TableProviderFilterPushDown::Exact
            } else if range::is_usable(&self.scan, f) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
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
        let places: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        // A comparison that was promised to be tested here may have been simplified to something else since.
        let others: Vec<Df> = filters.iter().filter(|f| !row_filter::is_row_filter(&self.scan, f)).cloned().collect();
        if others.is_empty() {
            return Ok(Arc::new(self.plan(state, places, filters, limit)?));
        }
        let mut wider = places.clone();
        for column in others.iter().flat_map(Df::column_refs) {
            let place = self.schema.index_of(&column.name)?;
            if !wider.contains(&place) {
                wider.push(place);
            }
        }
        let scan = Arc::new(self.plan(state, wider, filters, None)?);
        filtered(state, scan, others, places.len())
    }
}

impl Table {
    /// A scan that gives these columns of rows that pass the filters it can test.
    fn plan(
        &self,
        state: &dyn Session,
        places: Vec<usize>,
        filters: &[Df],
        limit: Option<usize>,
    ) -> DfResult<ScanExec> {
        let physical = range::physical_free(state);
        let access = range::choose(&self.scan, filters, &physical)?;
        let tests = filters.iter().map(|f| RowFilter::of(&self.scan, f, &physical)).collect::<DfResult<Vec<_>>>()?;
        let schema = Arc::new(self.schema.project(&places)?);
        let parts = if access.narrows() || limit.is_some() { 1 } else { state.config().target_partitions() };
        let shares = match parts {
            1 => vec![],
            n => split::split(&self.view.0, self.scan.table.storage, n).map_err(to_df)?,
        };
        let properties = properties(&self.scan, &access, shares.len().max(1), &schema);
        Ok(ScanExec {
            scan: self.scan.clone(),
            view: Arc::clone(&self.view),
            places,
            access,
            filters: tests.into_iter().flatten().collect(),
            dynamic: vec![],
            shares,
            limit,
            statistics: Arc::new(self.statistics_of(&schema)),
            schema,
            properties: Arc::new(properties),
        })
    }
}

/// The first columns of a scan's rows for which conditions hold.
fn filtered(
    state: &dyn Session,
    scan: Arc<dyn ExecutionPlan>,
    conditions: Vec<Df>,
    columns: usize,
) -> DfResult<Arc<dyn ExecutionPlan>> {
    let schema = scan.schema();
    let all = conjunction(conditions).ok_or_else(|| DataFusionError::Internal("no condition".to_owned()))?;
    let predicate = state.create_physical_expr(all, &DFSchema::try_from(Arc::clone(&schema))?)?;
    let kept = Arc::new(FilterExec::try_new(predicate, scan)?);
    if columns == schema.fields().len() {
        return Ok(kept);
    }
    let column = |at: usize| {
        let name = schema.field(at).name();
        (Arc::new(PhysicalColumn::new(name, at)) as Arc<dyn PhysicalExpr>, name.clone())
    };
    Ok(Arc::new(ProjectionExec::try_new((0..columns).map(column).collect::<Vec<_>>(), kept)?))
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
#[derive(Clone, Debug)]
struct ScanExec {
    scan: TableScan,
    view: Arc<View>,
    /// Output columns as places in the provider's schema: the scan's columns, then key and version index.
    places: Vec<usize>,
    access: Access,
    /// What rows are tested for.
    filters: Vec<RowFilter>,
    /// What joins above will know of the rows they want.
    dynamic: Vec<Arc<dyn PhysicalExpr>>,
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
            Some(i) => write!(f, "Index Scan using {} on {}", table.indexes[i].name, table.name)?,
            None => write!(f, "Seq Scan on {}", table.name)?,
        }
        // For EXPLAIN, which knows what is said of these columns.
        let tested = self.filters.iter().flat_map(RowFilter::columns);
        let id = |column: usize| self.scan.columns.iter().find(|(_, c)| *c == column).map(|(id, _)| name(*id));
        let tested: Vec<String> = tested.filter_map(id).collect();
        if tested.is_empty() { Ok(()) } else { write!(f, "\nTested: {}", tested.join(" ")) }
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
    /// A join looks here whether anybody wants to know its keys.
    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        for e in &self.dynamic {
            if f(e)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
    /// Takes the filters that joins fill in. They are tested above as before.
    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> DfResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let mut dynamic: Vec<_> = result.parent_filters.iter().map(|f| Arc::clone(&f.filter)).collect();
        dynamic.retain(lookup::is_dynamic);
        let tested_above = FilterPushdownPropagation::all_unsupported(result);
        let reads_all = !self.access.narrows() && self.limit.is_none();
        if phase != FilterPushdownPhase::Post || dynamic.is_empty() || !reads_all {
            return Ok(tested_above);
        }
        dynamic.splice(0..0, self.dynamic.iter().cloned());
        Ok(tested_above.with_updated_node(Arc::new(Self { dynamic, ..self.clone() })))
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
        let Some(source) = self.source(ranges).map_err(to_df)? else {
            return Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema))));
        };
        let reader = Reader {
            source,
            batch: Batch::new(self, context.session_config().batch_size()),
            left: self.limit.unwrap_or(usize::MAX),
            batch_rows: context.session_config().batch_size(),
        };
        let stream = futures::stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            loop {
                match reader.next() {
                    // The runtime must get its turn although reading never waits: that is also where a cancel is noticed.
                    Ok(Next::Nothing) => tokio::task::yield_now().await,
                    Ok(Next::Rows(batch)) => {
                        tokio::task::yield_now().await;
                        return Some((Ok(batch), Some(reader)));
                    }
                    Ok(Next::End) => return None,
                    Err(e) => return Some((Err(to_df(e)), None)),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }
}

impl ScanExec {
    /// What a partition reads; None when no row can pass the tests.
    fn source(&self, ranges: Vec<KeyRange>) -> Result<Option<Source>> {
        let table = &self.scan.table;
        let sieve = Sieve::new(&self.filters, &self.attributes(), |a| table.columns[a].ty.class())?;
        let lookup = (!self.dynamic.is_empty()).then(|| Lookup {
            scan: self.scan.clone(),
            filters: self.dynamic.clone(),
            parts: self.shares.len().max(1),
        });
        Ok(sieve.map(|sieve| Source {
            view: Arc::clone(&self.view.0),
            lookup,
            keys: VecDeque::new(),
            table: table.storage,
            secondary: self.access.index.and_then(|i| table.indexes[i].storage),
            layout: table.layout(),
            sieve,
            ranges: ranges.into(),
            cursor: None,
        }))
    }

    /// The columns it gives, as attributes of a row.
    fn attributes(&self) -> Vec<usize> {
        let n = self.scan.columns.len();
        self.places.iter().filter(|p| **p < n).map(|p| self.scan.columns[*p].1).collect()
    }
}

/// Rows looked at before the runtime gets its turn.
const LOOK_ROWS_MAX: usize = 65_536;

/// A row that is looked up by its key costs as much as so many that are read in order.
const LOOKUP_ROWS: usize = 16;

/// Walks the ranges and gives batches.
struct Reader {
    source: Source,
    batch: Batch,
    left: usize,
    batch_rows: usize,
}

/// Rows, about a tenth of a millisecond of them, after which others may have the core.
const GIVE_WAY_ROWS: usize = 512;

/// What [`Reader::next`] comes back with.
enum Next {
    Rows(RecordBatch),
    /// Many rows were looked at and none passed.
    Nothing,
    End,
}

impl Reader {
    fn next(&mut self) -> Result<Next> {
        let want = self.batch_rows.min(self.left);
        let mut looked = 0;
        let mut ended = want == 0;
        while !ended && looked < LOOK_ROWS_MAX {
            let room = want - self.batch.rows;
            // An almost full batch is not worth many visits to few rows each.
            if room == 0 || (room < want / 8 && self.left > want) {
                break;
            }
            match self.source.visit(room, &mut self.batch)? {
                Some(seen) => looked += seen,
                None => ended = true,
            }
        }
        if self.batch.rows == 0 {
            return Ok(if ended { Next::End } else { Next::Nothing });
        }
        self.left -= self.batch.rows.min(self.left);
        self.batch.finish().map(Next::Rows)
    }
}

/// The rows of the ranges that pass the tests.
struct Source {
    view: Arc<ReadView>,
    table: StorageId,
    /// The index whose entries are read instead of the table.
    secondary: Option<StorageId>,
    layout: RowLayout,
    sieve: Sieve,
    ranges: VecDeque<KeyRange>,
    cursor: Option<Box<dyn RowCursor>>,
    /// To be asked before the first row is read.
    lookup: Option<Lookup>,
    /// Rows to be fetched by their keys.
    keys: VecDeque<Bytes>,
}

/// What is needed to look rows up instead of reading them all.
struct Lookup {
    scan: TableScan,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    parts: usize,
}

impl Source {
    /// By now the joins above know which rows they want.
    fn begin(&mut self, lookup: &Lookup) -> Result<()> {
        let [within] = self.ranges.make_contiguous() else { return Ok(()) };
        match lookup::find(&lookup.scan, &lookup.filters, &self.view, within, lookup.parts)? {
            Found::Ranges(ranges) => self.ranges = ranges.into(),
            Found::Keys(keys) => (self.ranges, self.keys) = (VecDeque::new(), keys.into()),
            Found::Tested(tests) => {
                tests.into_iter().for_each(|(attribute, test)| self.sieve.require(attribute, test));
            }
        }
        Ok(())
    }

    /// Fetches rows by their keys.
    fn fetch(&mut self, keys: impl Iterator<Item = Bytes>, batch: &mut Batch) -> Result<()> {
        for key in keys {
            if let Some(row) = self.view.get(self.table, &key)?
                && self.sieve.passes(&self.layout, &row.row)?
            {
                batch.push(&self.layout, &self.sieve, &row.key, row.index, &row.row)?;
            }
        }
        Ok(())
    }

    /// Looks at up to `max` rows, of which those that pass go into `batch`. What that cost, in rows that are read in order; None at the
    /// end.
    fn visit(&mut self, max: usize, batch: &mut Batch) -> Result<Option<usize>> {
        if let Some(lookup) = self.lookup.take() {
            self.begin(&lookup)?;
        }
        if !self.keys.is_empty() {
            let keys: Vec<Bytes> = self.keys.drain(..max.min(self.keys.len())).collect();
            let looked = keys.len() * LOOKUP_ROWS;
            self.fetch(keys.into_iter(), batch)?;
            return Ok(Some(looked));
        }
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            None => match self.ranges.pop_front() {
                Some(range) => {
                    self.cursor.insert(self.view.scan(self.secondary.unwrap_or(self.table), range, false)?)
                }
                None => return Ok(None),
            },
        };
        let (layout, sieve) = (&self.layout, &mut self.sieve);
        let mut seen = 0;
        let mut entries: Vec<Bytes> = vec![];
        let more = cursor.visit(max, &mut |key, index, row| {
            seen += 1;
            if seen % GIVE_WAY_ROWS == 0 {
                heddle_env::give_way();
            }
            if self.secondary.is_some() {
                entries.push(Bytes::copy_from_slice(row));
                return Ok(());
            }
            match sieve.passes(layout, row)? {
                true => batch.push(layout, sieve, key, index, row),
                false => Ok(()),
            }
        })?;
        if !more {
            self.cursor = None;
        }
        // An index's values are keys of the table.
        let cost = if self.secondary.is_some() { LOOKUP_ROWS } else { 1 };
        self.fetch(entries.into_iter(), batch)?;
        Ok(Some(seen * cost))
    }
}

/// A batch in the making.
struct Batch {
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    /// The row's key, and the index of its last write: where they are among the output's columns.
    system: Vec<(usize, System)>,
    rows: usize,
    capacity: usize,
}

enum System {
    Key(ColumnBuilder),
    Version(ColumnBuilder),
}

impl Batch {
    fn new(scan: &ScanExec, capacity: usize) -> Self {
        let n = scan.scan.columns.len();
        let system = |(at, place): (usize, &usize)| match place.checked_sub(n)? {
            0 => Some((at, System::Key(ColumnBuilder::new(PgType::new(oid::BYTEA), 0)))),
            _ => Some((at, System::Version(ColumnBuilder::new(PgType::new(oid::INT8), 0)))),
        };
        let system = scan.places.iter().enumerate().filter_map(system).collect();
        let ty = |a: usize| scan.scan.table.columns[a].ty;
        let builders = scan.attributes().into_iter().map(|a| ColumnBuilder::new(ty(a), capacity)).collect();
        Self { schema: Arc::clone(&scan.schema), builders, system, rows: 0, capacity }
    }

    /// Adds a row that has just passed the sieve.
    #[inline]
    fn push(&mut self, layout: &RowLayout, sieve: &Sieve, key: &[u8], index: LogIndex, row: &[u8]) -> Result<()> {
        for ((attribute, place), builder) in sieve.places().zip(&mut self.builders) {
            layout.append(row, attribute, place, builder)?;
        }
        for (_, column) in &mut self.system {
            match column {
                System::Key(b) => b.append(&Datum::Bytea(Arc::from(key)))?,
                System::Version(b) => b.append(&Datum::Int8(index.0 as i64))?,
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// The batch; the next one begins.
    fn finish(&mut self) -> Result<RecordBatch> {
        let mut arrays: Vec<ArrayRef> = self.builders.iter_mut().map(|b| b.finish_with(self.capacity)).collect();
        for (at, column) in &mut self.system {
            let (System::Key(b) | System::Version(b)) = column;
            arrays.insert(*at, b.finish());
        }
        to_batch(&self.schema, arrays, std::mem::take(&mut self.rows))
    }
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
