//! How many rows a logical plan gives, about, and how many different values its columns have.
//!
//! Conditions on one table are tried on its sample, whatever they are. A join gives its inputs' product over the greater number of
//! different keys. Anything that is not known is a plain guess.

use super::scan::{Table, to_batch};
use arrow::array::AsArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, Expr as Df, Filter, LogicalPlan, Projection, TableScan};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use std::collections::HashMap;
use std::sync::Arc;

/// The part of rows that a condition keeps about which nothing is known.
const GUESS: f64 = 0.2;
/// Rows of what cannot say it.
const ROWS_GUESS: f64 = 1000.0;
/// Different values of a column about which nothing is known.
const DISTINCT_GUESS: f64 = 200.0;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    pub rows: f64,
    /// By name of the column.
    columns: HashMap<String, Distinct>,
}

/// Different values of a column, before conditions took rows away: those that join partners are found among.
#[derive(Clone, Debug)]
struct Distinct {
    values: f64,
    /// Columns of one source, whose combinations cannot be more than its rows.
    source: usize,
    source_rows: f64,
}

/// Rows of a table's sample that came through the conditions above it.
struct Sampled {
    batch: RecordBatch,
    /// Of how many in the sample.
    of: usize,
    /// In the table.
    rows: f64,
    /// What conditions keep that could not be tried.
    untried: f64,
}

/// Makes estimates for one statement.
pub(super) struct Estimator<'a> {
    state: &'a SessionState,
    sources: usize,
}

impl Estimate {
    fn guess() -> Self {
        Self { rows: ROWS_GUESS, columns: HashMap::new() }
    }

    /// Of as many rows, with the columns of all.
    fn with_rows(rows: f64, parts: [&Self; 2]) -> Self {
        let columns = parts.into_iter().flat_map(|p| p.columns.iter().map(|(n, d)| (n.clone(), d.clone()))).collect();
        Self { rows: rows.max(1.0), columns }
    }

    /// Different combinations of `keys`.
    fn combinations<'e>(&self, keys: impl IntoIterator<Item = &'e Df>) -> f64 {
        let mut sources: HashMap<Option<usize>, (f64, f64)> = HashMap::new();
        for key in keys {
            let known = key.column_refs().into_iter().next().and_then(|c| self.columns.get(&c.name));
            let (source, values, most) = match known {
                Some(d) => (Some(d.source), d.values, d.source_rows),
                None => (None, DISTINCT_GUESS.min(self.rows), f64::MAX),
            };
            let product = sources.entry(source).or_insert((1.0, most));
            product.0 *= values;
        }
        sources.into_values().map(|(product, most)| product.min(most)).product::<f64>().max(1.0)
    }

    /// After an inner join with `other`; `unknown` conditions more are not about equality.
    pub fn joined(&self, other: &Self, keys: &[(Df, Df)], unknown: usize) -> Self {
        let distinct = self.combinations(keys.iter().map(|k| &k.0)).max(other.combinations(keys.iter().map(|k| &k.1)));
        let kept = guessed(unknown);
        Self::with_rows(self.rows * other.rows / distinct * kept, [self, other])
    }

    /// Rows that have a partner in `other`, by its keys.
    pub fn matched(&self, other: &Self, keys: &[(Df, Df)]) -> f64 {
        let own = self.combinations(keys.iter().map(|k| &k.0));
        let theirs = other.combinations(keys.iter().map(|k| &k.1)).min(other.rows);
        self.rows * (theirs / own).min(1.0)
    }

    /// The same columns, other rows.
    pub fn scaled_to(&self, rows: f64) -> Self {
        Self { rows: rows.max(1.0), columns: self.columns.clone() }
    }

    /// Columns under the names that a projection gives them.
    pub fn projected(&self, projection: &Projection) -> Self {
        let renamed = projection.expr.iter().zip(projection.schema.fields()).filter_map(|(e, field)| {
            let known = self.columns.get(&plain(e)?.name)?;
            Some((field.name().clone(), known.clone()))
        });
        Self { rows: self.rows, columns: renamed.collect() }
    }
}

/// The part of rows that so many conditions keep about which nothing is known.
pub(super) fn guessed(conditions: usize) -> f64 {
    GUESS.powi(i32::try_from(conditions).unwrap_or(i32::MAX))
}

/// The column that an expression is, under whatever name.
pub(super) fn plain(e: &Df) -> Option<&Column> {
    match e {
        Df::Column(c) => Some(c),
        Df::Alias(alias) => plain(&alias.expr),
        _ => None,
    }
}

impl<'a> Estimator<'a> {
    pub fn new(state: &'a SessionState) -> Self {
        Self { state, sources: 0 }
    }

    /// Conditions and projections over a table of ours: what comes out, and the plan with the table knowing it.
    pub fn over_table(&mut self, plan: &LogicalPlan) -> Option<(LogicalPlan, Estimate)> {
        let sampled = self.sampled(plan)?;
        let found = sampled.batch.num_rows() as f64;
        let of = sampled.of.max(1) as f64;
        let mut estimate = self.columns(plan)?;
        // Less than one row of the sample can be anything below.
        let kept = if found > 0.0 { found / of } else { unseen(plan, &estimate).min(0.5 / of) };
        estimate.rows = (sampled.rows * kept * sampled.untried).max(1.0);
        Some((told(plan, &estimate)?, estimate))
    }

    fn sampled(&self, plan: &LogicalPlan) -> Option<Sampled> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scanned(scan),
            LogicalPlan::Filter(Filter { predicate, input, .. }) => {
                let mut sampled = self.sampled(input)?;
                for part in split_conjunction(predicate) {
                    self.try_condition(&mut sampled, part, input.schema());
                }
                Some(sampled)
            }
            LogicalPlan::Projection(p) => {
                let mut sampled = self.sampled(&p.input)?;
                let input = p.input.schema();
                let rows = sampled.batch.num_rows();
                let column = |e: &Df| self.physical(e, input)?.evaluate(&sampled.batch).ok()?.into_array(rows).ok();
                let arrays = p.expr.iter().map(column).collect::<Option<Vec<_>>>()?;
                sampled.batch = to_batch(&Arc::clone(p.schema.inner()), arrays, rows).ok()?;
                Some(sampled)
            }
            _ => None,
        }
    }

    fn scanned(&self, scan: &TableScan) -> Option<Sampled> {
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<Table>()?;
        let sample = table.sample().ok()?;
        let batch = table.sampled_columns(&sample).ok()?;
        let mut sampled = Sampled { of: batch.num_rows(), batch, rows: sample.rows as f64, untried: 1.0 };
        let schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &table.schema()).ok()?;
        for part in scan.filters.iter().flat_map(split_conjunction) {
            self.try_condition(&mut sampled, part, &schema);
        }
        if let Some(places) = &scan.projection {
            sampled.batch = sampled.batch.project(places).ok()?;
        }
        Some(sampled)
    }

    fn try_condition(&self, sampled: &mut Sampled, condition: &Df, schema: &DFSchema) {
        let tried = self.physical(condition, schema).and_then(|e| {
            let value = e.evaluate(&sampled.batch).ok()?.into_array(sampled.batch.num_rows()).ok()?;
            filter_record_batch(&sampled.batch, value.as_boolean_opt()?).ok()
        });
        match tried {
            Some(batch) => sampled.batch = batch,
            None => sampled.untried *= GUESS,
        }
    }

    /// An expression that may be computed for rows nobody asked for.
    fn physical(&self, e: &Df, schema: &DFSchema) -> Option<Arc<dyn PhysicalExpr>> {
        if e.is_volatile() {
            return None;
        }
        create_physical_expr(e, schema, self.state.execution_props(), &PhysicalPlanningContext::default()).ok()
    }

    /// Different values of the columns of a chain over a table; its rows are the table's.
    fn columns(&mut self, plan: &LogicalPlan) -> Option<Estimate> {
        match plan {
            LogicalPlan::Filter(f) => self.columns(&f.input),
            LogicalPlan::Projection(p) => Some(self.columns(&p.input)?.projected(p)),
            LogicalPlan::TableScan(scan) => {
                let provider = source_as_provider(&scan.source).ok()?;
                let table = provider.downcast_ref::<Table>()?;
                let sample = table.sample().ok()?;
                self.sources += 1;
                let (source, source_rows) = (self.sources, sample.rows as f64);
                let distinct = |name: &str| {
                    let values = table.distinct(&sample, name)?;
                    Some((name.to_owned(), Distinct { values, source, source_rows }))
                };
                let columns = scan.projected_schema.fields().iter().filter_map(|f| distinct(f.name())).collect();
                Some(Estimate { rows: source_rows, columns })
            }
            _ => None,
        }
    }

    /// Any other leaf.
    pub fn leaf(&mut self, plan: &LogicalPlan) -> Estimate {
        let LogicalPlan::TableScan(scan) = plan else { return Estimate::guess() };
        let provider = source_as_provider(&scan.source).ok();
        let points = provider.as_ref().and_then(|p| p.downcast_ref::<super::series::Points>()).map(|p| p.rows() as f64);
        let points = points.map(|rows| rows * guessed(scan.filters.len()));
        let rows = points.or_else(|| provider?.statistics()?.num_rows.get_value().map(|n| *n as f64));
        Estimate { rows: rows.unwrap_or(ROWS_GUESS).max(1.0), columns: HashMap::new() }
    }

    /// Groups.
    pub fn grouped(&mut self, aggregate: &Aggregate, input: &Estimate) -> Estimate {
        let groups = &aggregate.group_expr;
        if groups.is_empty() {
            return Estimate { rows: 1.0, columns: HashMap::new() };
        }
        let rows = input.combinations(groups).min(input.rows);
        self.sources += 1;
        let names = groups.iter().filter_map(|e| Some((e, plain(e)?.name.clone())));
        let columns = names.map(|(e, name)| {
            let values = input.combinations([e]).min(rows);
            (name, Distinct { values, source: self.sources, source_rows: rows })
        });
        Estimate { rows, columns: columns.collect() }
    }
}

/// The part of rows that conditions keep of which the sample has none: each that wants a column equal to something keeps one value of it.
fn unseen(plan: &LogicalPlan, estimate: &Estimate) -> f64 {
    let mut kept = 1.0;
    let mut at = plan;
    loop {
        let parts = match at {
            LogicalPlan::Filter(f) => split_conjunction(&f.predicate),
            LogicalPlan::TableScan(scan) => scan.filters.iter().flat_map(split_conjunction).collect(),
            _ => vec![],
        };
        let equal = parts.into_iter().filter(|e| {
            matches!(e, Df::BinaryExpr(b) if b.op == datafusion::logical_expr::Operator::Eq && e.column_refs().len() == 1)
        });
        // A condition may stand in the scan and above it.
        kept = equal.map(|e| 1.0 / estimate.combinations([e])).fold(kept, f64::min);
        match at {
            LogicalPlan::Filter(f) => at = &f.input,
            LogicalPlan::Projection(p) => at = &p.input,
            _ => return kept,
        }
    }
}

/// The same plan, whose table says `estimate` of itself: DataFusion's filters above it take nothing more away.
fn told(plan: &LogicalPlan, estimate: &Estimate) -> Option<LogicalPlan> {
    let LogicalPlan::TableScan(scan) = plan else {
        let inputs = plan.inputs().into_iter().map(|input| told(input, estimate)).collect::<Option<Vec<_>>>()?;
        return plan.with_new_exprs(plan.expressions(), inputs).ok();
    };
    let provider = source_as_provider(&scan.source).ok()?;
    let table = provider.downcast_ref::<Table>()?.with_rows(estimate.rows as usize);
    let source = datafusion::datasource::provider_as_source(Arc::new(table));
    Some(LogicalPlan::TableScan(TableScan { source, ..scan.clone() }))
}
