//! Bound tree to DataFusion plan.
//!
//! Called by `exec` when a statement runs: parameters are values by then. Every column is named after its [`ColId`] (`c12`), without a
//! qualifier, so DataFusion's names never collide. Types agree already, so DataFusion's type coercion is not installed.
//!
//! | module | subject |
//! |---|---|
//! | [`expr`], [`udf`] | scalar expressions: native forms where Arrow means the same, one function around our evaluator otherwise |
//! | [`subquery`] | sub-queries to joins, or to Apply |
//! | [`relation`], [`aggregate`], [`window`], [`setop`] | operators |
//! | [`scan`], [`range`], [`row_filter`], [`split`], [`lookup`] | tables: key ranges from conjuncts, rows tested as they are stored, a range for each core, rows looked up for a join, rows to batches |
//! | [`constant`], [`nulls`], [`factor`] | conditions made simpler: what is one value for the whole statement, what NULLs decide, what all branches of an OR say |
//! | [`statistics`], [`estimate`], [`join_order`] | samples of tables, rows of plans, the order and sides of joins |
//! | [`op`] | operators DataFusion has not: Apply, ProjectSet, Lock, recursive and shared CTEs, ARRAY(SELECT) |
//!
//! Types whose PostgreSQL equality is not Arrow's compare, group, join and sort by their sort key (`heddle_types::arrow::sort_key`).

mod aggregate;
mod cell;
mod constant;
mod estimate;
mod expr;
mod factor;
mod field_filter;
mod framed;
mod join_order;
mod last_point;
mod lookup;
mod nulls;
mod op;
mod range;
mod relation;
mod row_filter;
mod scan;
mod series;
pub(crate) mod series_access;
mod setop;
mod split;
mod statistics;
mod subquery;
mod udf;
mod window;

use crate::bound::{ColId, Cte, CteId, Rel};
use crate::context::EvalContext;
use crate::exec::runtime::{Engine, ExecutorConfig};
use crate::function::from_df;
use cell::{Cell, Scope};
use datafusion::common::{Column, DFSchema, DFSchemaRef};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr as Df, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::OptimizerRule;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion::prelude::SessionConfig;
use heddle_txn::ReadView;
use heddle_types::{Error, PgType, Result};
pub(crate) use statistics::Statistics;
use std::collections::HashMap;
use std::sync::Arc;

/// A logical plan, optimised, and where the wanted columns lie in its output.
pub(crate) struct Planned {
    pub plan: LogicalPlan,
    pub places: Vec<usize>,
}

/// Plans `rel` for the wanted columns.
pub(crate) fn plan(
    engine: &Arc<Engine>,
    state: &SessionState,
    rel: &Rel,
    ids: &[ColId],
    ctx: &Arc<EvalContext>,
    view: &Arc<ReadView>,
) -> Result<Planned> {
    let mut lowerer = Lowerer::new(engine, state, ctx, view);
    let lowered = lowerer.rel(rel)?;
    let mut wanted: Vec<ColId> = vec![];
    for id in ids {
        if !wanted.contains(id) {
            wanted.push(*id);
        }
    }
    let plan = LogicalPlanBuilder::from(lowered)
        .project(wanted.iter().map(|id| column(*id)))
        .and_then(LogicalPlanBuilder::build)
        .map_err(from_df)?;
    let plan = lowerer.finish(plan)?;
    let place = |id: &ColId| wanted.iter().position(|w| w == id).expect("every wanted id was added");
    Ok(Planned { plan, places: ids.iter().map(place).collect() })
}

/// Memory of the rows whose keys a join names to the other side.
const JOIN_KEYS_BYTES_MAX: usize = 16 << 20;

/// The session every plan is made in: our rules, our planner, our limits.
pub(crate) fn session_state(config: &ExecutorConfig, env: Arc<RuntimeEnv>) -> SessionState {
    let mut session =
        SessionConfig::new().with_target_partitions(config.partitions.max(1)).with_batch_size(config.batch_rows.max(1));
    session.options_mut().optimizer.skip_failed_rules = false;
    session.options_mut().execution.collect_statistics = false;
    // Joins name their keys to scans, which may look them up.
    session.options_mut().optimizer.hash_join_inlist_pushdown_max_distinct_values = lookup::KEYS_MAX;
    session.options_mut().optimizer.hash_join_inlist_pushdown_max_size = JOIN_KEYS_BYTES_MAX;
    // `join_order` has chosen the sides; filters take nothing from what a table says it gives through them.
    session.options_mut().optimizer.join_reordering = false;
    session.options_mut().optimizer.default_filter_selectivity = 100;
    SessionStateBuilder::new()
        .with_config(session)
        .with_runtime_env(env)
        .with_analyzer_rules(vec![])
        .with_optimizer_rules(rules())
        .with_physical_optimizer_rules(physical_rules())
        .with_query_planner(Arc::new(Planner))
        .build()
}

/// The optimizer rules we want. Left out: those about sub-queries (done here already), type coercion, unions to filters, and
/// single-distinct rewriting (it knows nothing of sort keys).
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    use datafusion::optimizer as o;
    vec![
        Arc::new(o::optimize_unions::OptimizeUnions::new()),
        Arc::new(o::simplify_expressions::SimplifyExpressions::new()),
        Arc::new(o::eliminate_join::EliminateJoin::new()),
        Arc::new(o::extract_equijoin_predicate::ExtractEquijoinPredicate::new()),
        Arc::new(o::eliminate_duplicated_expr::EliminateDuplicatedExpr::new()),
        Arc::new(o::eliminate_filter::EliminateFilter::new()),
        Arc::new(o::eliminate_cross_join::EliminateCrossJoin::new()),
        Arc::new(o::eliminate_limit::EliminateLimit::new()),
        Arc::new(o::propagate_empty_relation::PropagateEmptyRelation::new()),
        Arc::new(o::eliminate_outer_join::EliminateOuterJoin::new()),
        Arc::new(o::push_down_limit::PushDownLimit::new()),
        Arc::new(o::push_down_filter::PushDownFilter::new()),
        Arc::new(o::common_subexpr_eliminate::CommonSubexprEliminate::new()),
        Arc::new(o::optimize_projections::OptimizeProjections::new()),
    ]
}

/// DataFusion's physical rules but one: our aggregates sort for themselves and know no lighter form for sorted input.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|r| r.name() != "OptimizeAggregateOrder");
    rules
}

/// DataFusion's planner with our operators.
#[derive(Debug)]
struct Planner;

#[async_trait::async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        session: &dyn datafusion::catalog::Session,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(op::OpPlanner)]);
        planner.create_physical_plan(plan, session).await
    }
}

/// Lowers one statement.
pub(crate) struct Lowerer<'a> {
    engine: &'a Arc<Engine>,
    state: &'a SessionState,
    ctx: &'a Arc<EvalContext>,
    view: &'a Arc<ReadView>,
    /// Enclosing rows whose columns may be referred to as Outer, innermost last.
    scopes: Vec<Scope>,
    /// Every cell of the statement by placeholder.
    cells: HashMap<String, Arc<Cell>>,
    ctes: HashMap<CteId, Vec<CteEntry>>,
    next: u32,
}

/// What a CteScan reads.
#[derive(Clone)]
enum CteEntry {
    /// The query again, at each reference.
    Inline(Arc<Cte>),
    /// Computed once.
    Shared(LogicalPlan, Vec<(ColId, PgType)>),
    /// The working table of the recursion that is being lowered.
    Working(Arc<op::WorkTable>),
}

/// Names for columns that only lowering makes.
const FIRST_FRESH: u32 = 0x8000_0000;

impl<'a> Lowerer<'a> {
    fn new(
        engine: &'a Arc<Engine>,
        state: &'a SessionState,
        ctx: &'a Arc<EvalContext>,
        view: &'a Arc<ReadView>,
    ) -> Self {
        Self {
            engine,
            state,
            ctx,
            view,
            scopes: vec![],
            cells: HashMap::new(),
            ctes: HashMap::new(),
            next: FIRST_FRESH,
        }
    }

    /// A column id that nobody uses.
    fn fresh(&mut self) -> ColId {
        self.next += 1;
        ColId(self.next)
    }

    /// Optimises a complete plan and gives outer references their cells.
    fn finish(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let optimized = self.state.optimize(&plan).map_err(from_df)?;
        let optimized = join_order::improve(optimized, self.state)?;
        cell::bind(optimized, &self.cells).map_err(from_df)
    }
}

/// The name of a column.
fn name(id: ColId) -> String {
    format!("c{}", id.0)
}

/// A reference to a column.
fn column(id: ColId) -> Df {
    Df::Column(Column::new_unqualified(name(id)))
}

/// The schema of unqualified, nullable columns.
fn df_schema(columns: &[(ColId, PgType)]) -> Result<DFSchemaRef> {
    let schema = arrow_schema(columns);
    Ok(Arc::new(DFSchema::try_from(schema).map_err(from_df)?))
}

fn arrow_schema(columns: &[(ColId, PgType)]) -> arrow::datatypes::SchemaRef {
    let field =
        |(id, ty): &(ColId, PgType)| arrow::datatypes::Field::new(name(*id), heddle_types::arrow::data_type(*ty), true);
    Arc::new(arrow::datatypes::Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

/// The columns of a plan, as ids.
fn plan_ids(plan: &LogicalPlan) -> Vec<ColId> {
    plan.schema().fields().iter().filter_map(|f| f.name().strip_prefix('c')?.parse().ok().map(ColId)).collect()
}

fn build(builder: datafusion::error::Result<LogicalPlanBuilder>) -> Result<LogicalPlan> {
    builder.and_then(LogicalPlanBuilder::build).map_err(from_df)
}

fn internal(text: &str) -> Error {
    Error::internal(text)
}
