//! In which order tables are joined, and which side of a join is the hash table.
//!
//! DataFusion joins inner joins as they are written. Here each group of them is taken apart and put together again, so that all joins together
//! give the fewest rows (dynamic programming over sets of inputs); of many inputs, the pair first that leaves the fewest (greedy operator
//! ordering). The smaller side stands left, where DataFusion builds the hash table. Other joins keep their place and may change sides. Plans of
//! small tables stay as they are written.

use super::estimate::{Estimate, Estimator, guessed, plain};
use super::scan::Table;
use crate::function::from_df;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::datasource::source_as_provider;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::logical_plan::{Join, JoinConstraint, Projection};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr as Df, Filter, LogicalPlan, Operator, binary_expr};
use datafusion::optimizer::{Optimizer, optimize_projections, push_down_filter};
use heddle_types::Result;
use std::borrow::Cow;
use std::sync::Arc;

/// Rows of a table from which on it is worth while.
const ROWS_MIN: u64 = 4_096;
/// Inputs of a group that are put in order; they are bits of a number.
const LEAVES_MAX: usize = 32;

/// Inputs of a group of which all orders are looked at.
const EXACT_MAX: usize = 8;

type DfResult<T> = datafusion::error::Result<T>;

/// An optimised plan with better joins.
pub(super) fn improve(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    if !is_worth_it(&plan) {
        return Ok(plan);
    }
    let mut order = Order { estimator: Estimator::new(state) };
    let (plan, _) = order.visit(plan).map_err(from_df)?;
    let tidy = Optimizer::with_rules(vec![
        Arc::new(push_down_filter::PushDownFilter::new()),
        Arc::new(optimize_projections::OptimizeProjections::new()),
    ]);
    tidy.optimize(plan, state, |_, _| {}).map_err(from_df)
}

/// Is there a join, and a table that is not small?
fn is_worth_it(plan: &LogicalPlan) -> bool {
    let (mut joins, mut large) = (false, false);
    // It stops by itself at the end: the closure gives no error.
    let _ = plan.apply(|node| {
        match node {
            LogicalPlan::Join(_) => joins = true,
            LogicalPlan::TableScan(scan) => large |= size(scan) >= ROWS_MIN,
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    joins && large
}

fn size(scan: &datafusion::logical_expr::TableScan) -> u64 {
    let Ok(provider) = source_as_provider(&scan.source) else { return 0 };
    match provider.downcast_ref::<Table>() {
        Some(table) => table.size(),
        None => provider.downcast_ref::<super::series::Points>().map_or(0, super::series::Points::rows),
    }
}

struct Order<'a> {
    estimator: Estimator<'a>,
}

impl Order<'_> {
    fn visit(&mut self, plan: LogicalPlan) -> DfResult<(LogicalPlan, Estimate)> {
        stacker::maybe_grow(256 * 1024, 4 << 20, || self.visit_inner(plan))
    }

    fn visit_inner(&mut self, plan: LogicalPlan) -> DfResult<(LogicalPlan, Estimate)> {
        if let Some(found) = self.estimator.over_table(&plan) {
            return Ok(found);
        }
        if let LogicalPlan::Join(join) = plan {
            return if is_inner(&join) { self.inner(join) } else { self.other(join) };
        }
        let mut inputs = vec![];
        let plan = plan.map_children(|child| {
            let (child, estimate) = self.visit(child)?;
            inputs.push(estimate);
            Ok(Transformed::yes(child))
        })?;
        let plan = plan.data;
        let first = inputs.first();
        let estimate = match (&plan, first) {
            (LogicalPlan::Projection(p), Some(input)) => input.projected(p),
            (LogicalPlan::Filter(f), Some(input)) => {
                input.scaled_to(input.rows * guessed(split_conjunction(&f.predicate).len()))
            }
            (LogicalPlan::Aggregate(a), Some(input)) => self.estimator.grouped(a, input),
            (LogicalPlan::Union(_), Some(input)) => input.scaled_to(inputs.iter().map(|e| e.rows).sum()),
            (_, Some(input)) => input.clone(),
            (leaf, None) => self.estimator.leaf(leaf),
        };
        Ok((plan, estimate))
    }

    /// A join that is not inner: its sides may change places.
    fn other(&mut self, join: Join) -> DfResult<(LogicalPlan, Estimate)> {
        let schema = Arc::clone(&join.schema);
        let (left, l) = self.visit(Arc::unwrap_or_clone(join.left))?;
        let (right, r) = self.visit(Arc::unwrap_or_clone(join.right))?;
        let turned: Vec<(Df, Df)> = join.on.iter().map(|(a, b)| (b.clone(), a.clone())).collect();
        let inner = || l.joined(&r, &join.on, usize::from(join.filter.is_some()));
        let estimate = match join.join_type {
            JoinType::LeftSemi => l.scaled_to(l.matched(&r, &join.on)),
            JoinType::LeftAnti => l.scaled_to(l.rows - l.matched(&r, &join.on)),
            JoinType::RightSemi => r.scaled_to(r.matched(&l, &turned)),
            JoinType::RightAnti => r.scaled_to(r.rows - r.matched(&l, &turned)),
            JoinType::Left => inner().scaled_to(inner().rows.max(l.rows)),
            JoinType::Right => inner().scaled_to(inner().rows.max(r.rows)),
            JoinType::Full => inner().scaled_to(inner().rows.max(l.rows).max(r.rows)),
            _ => inner(),
        };
        let swap = join.join_type.supports_swap() && !join.null_aware && l.rows > r.rows && !join.on.is_empty();
        let (kind, on) = if swap { (join.join_type.swap(), turned) } else { (join.join_type, join.on) };
        let (left, right) = if swap { (right, left) } else { (left, right) };
        let (left, right) = (Arc::new(left), Arc::new(right));
        let constraint = JoinConstraint::On;
        let join = Join::try_new(left, right, on, join.filter, kind, constraint, join.null_equality, join.null_aware)?;
        Ok((shaped(LogicalPlan::Join(join), &schema), estimate))
    }

    /// A group of inner joins.
    fn inner(&mut self, join: Join) -> DfResult<(LogicalPlan, Estimate)> {
        let schema = Arc::clone(&join.schema);
        let mut group = Group::default();
        group.take_apart(LogicalPlan::Join(join.clone()));
        if group.leaves.len() > LEAVES_MAX || !group.is_clear() {
            return self.as_written(join);
        }
        let mut sets = vec![];
        for (n, leaf) in std::mem::take(&mut group.leaves).into_iter().enumerate() {
            let (plan, estimate) = self.visit(leaf)?;
            sets.push(Set { mask: 1 << n, plan, estimate });
        }
        let joined = group.put_together(sets)?;
        Ok((shaped(joined.plan, &schema), joined.estimate))
    }

    /// Inner joins that cannot be taken apart.
    fn as_written(&mut self, join: Join) -> DfResult<(LogicalPlan, Estimate)> {
        let (left, l) = self.visit(Arc::unwrap_or_clone(join.left))?;
        let (right, r) = self.visit(Arc::unwrap_or_clone(join.right))?;
        let estimate = l.joined(&r, &join.on, usize::from(join.filter.is_some()));
        let join = Join { left: Arc::new(left), right: Arc::new(right), ..join };
        Ok((LogicalPlan::Join(join), estimate))
    }
}

fn is_inner(join: &Join) -> bool {
    join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNothing && !join.null_aware
}

/// The plan with the columns of `schema`, in that order.
fn shaped(plan: LogicalPlan, schema: &Arc<DFSchema>) -> LogicalPlan {
    if plan.schema() == schema {
        return plan;
    }
    LogicalPlan::Projection(Projection::new_from_schema(Arc::new(plan), Arc::clone(schema)))
}

/// What is joined so far.
struct Set {
    /// Its leaves.
    mask: u32,
    plan: LogicalPlan,
    estimate: Estimate,
}

/// Leaves that are joined, before there is a plan.
#[derive(Clone)]
struct Partial<'e> {
    mask: u32,
    estimate: Cow<'e, Estimate>,
}

/// An order of joins.
enum Tree {
    /// The leaf's mask.
    Leaf(u32),
    Join(Box<Tree>, Box<Tree>),
}

fn tree(sets: &[Set], splits: &[Option<(f64, usize)>], whole: usize) -> Tree {
    match splits[whole] {
        Some((_, part)) if part > 0 => {
            Tree::Join(Box::new(tree(sets, splits, part)), Box::new(tree(sets, splits, whole ^ part)))
        }
        _ => Tree::Leaf(sets[whole.trailing_zeros() as usize].mask),
    }
}

/// An expression and the leaves that it takes columns from.
#[derive(Clone)]
struct Placed {
    expr: Df,
    mask: u32,
}

/// Inner joins taken apart.
#[derive(Default)]
struct Group {
    leaves: Vec<LogicalPlan>,
    /// Expressions over one leaf each, all equal in the result.
    classes: Vec<Vec<Placed>>,
    /// Equal pairs with a side over several leaves.
    wide: Vec<(Placed, Placed)>,
    filters: Vec<Placed>,
    pairs: Vec<(Df, Df)>,
    conditions: Vec<Df>,
}

impl Group {
    fn take_apart(&mut self, plan: LogicalPlan) {
        match plan {
            LogicalPlan::Join(join) if is_inner(&join) => {
                self.pairs.extend(join.on);
                self.conditions.extend(join.filter.map(split_conjunction_owned).unwrap_or_default());
                self.take_apart(Arc::unwrap_or_clone(join.left));
                self.take_apart(Arc::unwrap_or_clone(join.right));
            }
            // Between two joins it only leaves columns out.
            LogicalPlan::Projection(p) if is_choice(&p) && matches!(&*p.input, LogicalPlan::Join(j) if is_inner(j)) => {
                self.take_apart(Arc::unwrap_or_clone(p.input));
            }
            leaf => self.leaves.push(leaf),
        }
    }

    /// Gives every condition its place. False: one refers to what no leaf has, or must not move.
    fn is_clear(&mut self) -> bool {
        for (l, r) in std::mem::take(&mut self.pairs) {
            let (Some(l), Some(r)) = (self.place(l), self.place(r)) else { return false };
            match (l.mask.is_power_of_two(), r.mask.is_power_of_two()) {
                (true, true) => self.equal(l, r),
                _ if l.mask & r.mask == 0 => self.wide.push((l, r)),
                _ => self.conditions.push(binary_expr(l.expr, Operator::Eq, r.expr)),
            }
        }
        for condition in std::mem::take(&mut self.conditions) {
            let Some(placed) = self.place(condition) else { return false };
            self.filters.push(placed);
        }
        true
    }

    fn place(&self, expr: Df) -> Option<Placed> {
        let mut mask = 0;
        for column in expr.column_refs() {
            mask |= 1 << self.leaves.iter().position(|leaf| leaf.schema().has_column(column))?;
        }
        (mask != 0 && !expr.is_volatile()).then_some(Placed { expr, mask })
    }

    /// Two expressions are equal, and so is all that equals one of them.
    fn equal(&mut self, l: Placed, r: Placed) {
        let mut class = vec![];
        for member in [l, r] {
            match self.classes.iter().position(|c| c.iter().any(|m| m.expr == member.expr)) {
                Some(at) => class.extend(self.classes.swap_remove(at)),
                None if class.iter().any(|m: &Placed| m.expr == member.expr) => {}
                None => class.push(member),
            }
        }
        self.classes.push(class);
    }

    fn put_together(&self, sets: Vec<Set>) -> DfResult<Set> {
        let mut sets = sets.into_iter().map(|set| self.narrowed(set)).collect::<DfResult<Vec<_>>>()?;
        if let Some(tree) = self.exact(&sets) {
            return self.build(&tree, &mut sets);
        }
        while sets.len() > 1 {
            let (a, b) = self.best(&sets);
            let (b, a) = (sets.remove(b), sets.remove(a));
            sets.push(self.join(a, b)?);
        }
        sets.pop().ok_or_else(|| datafusion::error::DataFusionError::Internal("joins without inputs".to_owned()))
    }

    /// A leaf, with what is said about it alone: expressions of it that equal the same thing equal each other.
    fn narrowed(&self, mut set: Set) -> DfResult<Set> {
        let mut own: Vec<Df> = self.filters.iter().filter(|f| f.mask == set.mask).map(|f| f.expr.clone()).collect();
        for class in &self.classes {
            let members: Vec<&Df> = class.iter().filter(|m| m.mask == set.mask).map(|m| &m.expr).collect();
            own.extend(members.windows(2).map(|w| binary_expr(w[0].clone(), Operator::Eq, w[1].clone())));
        }
        if let Some(predicate) = conjunction(own) {
            set.plan = LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(set.plan))?);
        }
        Ok(set)
    }

    /// The order in which all joins together give the fewest rows; None for too many inputs, or where some have no key in common
    /// with the others. `sets` are the leaves.
    fn exact(&self, sets: &[Set]) -> Option<Tree> {
        if !(3..=EXACT_MAX).contains(&sets.len()) {
            return None;
        }
        let all = (1_usize << sets.len()) - 1;
        // By the leaves in a set: what is known of it, then the rows of its joins and a part of it, for the best way to split it.
        let mut sums: Vec<Option<Partial<'_>>> = vec![None; all + 1];
        let mut splits: Vec<Option<(f64, usize)>> = vec![None; all + 1];
        for (n, set) in sets.iter().enumerate() {
            sums[1 << n] = Some(Partial { mask: set.mask, estimate: Cow::Borrowed(&set.estimate) });
            splits[1 << n] = Some((0.0, 0));
        }
        for whole in (1..=all).filter(|whole| !whole.is_power_of_two()) {
            let mut part = (whole - 1) & whole;
            // Of the two parts, the one with the higher last leaf is always the greater number.
            while part > whole ^ part {
                let rest = whole ^ part;
                if let (Some((a, _)), Some((b, _))) = (splits[part], splits[rest])
                    && let (Some(l), Some(r)) = (&sums[part], &sums[rest])
                    && self.has_key(l.mask, r.mask)
                {
                    if sums[whole].is_none() {
                        sums[whole] = Some(self.joined(l, r));
                    }
                    let rows = a + b + sums[whole].as_ref().map_or(0.0, |sum| sum.estimate.rows);
                    if splits[whole].is_none_or(|(least, _)| rows < least) {
                        splits[whole] = Some((rows, part));
                    }
                }
                part = (part - 1) & whole;
            }
        }
        splits[all]?;
        Some(tree(sets, &splits, all))
    }

    fn joined<'e>(&self, l: &Partial<'_>, r: &Partial<'_>) -> Partial<'e> {
        let conditions = self.conditions_of(l.mask, r.mask).count();
        let estimate = l.estimate.joined(&r.estimate, &self.keys(l.mask, r.mask), conditions);
        Partial { mask: l.mask | r.mask, estimate: Cow::Owned(estimate) }
    }

    /// Does a class, or a wide pair, have something on both sides?
    fn has_key(&self, l: u32, r: u32) -> bool {
        let class = |c: &Vec<Placed>| c.iter().any(|m| m.mask & l != 0) && c.iter().any(|m| m.mask & r != 0);
        self.classes.iter().any(class) || !self.keys(l, r).is_empty()
    }

    fn build(&self, tree: &Tree, sets: &mut Vec<Set>) -> DfResult<Set> {
        match tree {
            Tree::Leaf(mask) => {
                let at = sets.iter().position(|s| s.mask == *mask).expect("each leaf stands in the tree once");
                Ok(sets.swap_remove(at))
            }
            Tree::Join(l, r) => {
                let (l, r) = (self.build(l, sets)?, self.build(r, sets)?);
                self.join(l, r)
            }
        }
    }

    /// The places of the two sets to join next, ascending: those with a common key that leave the fewest rows.
    fn best(&self, sets: &[Set]) -> (usize, usize) {
        let mut best = ((true, f64::MAX, f64::MAX), (0, 1));
        for b in 1..sets.len() {
            for a in 0..b {
                let (l, r) = (&sets[a], &sets[b]);
                let keys = self.keys(l.mask, r.mask);
                let conditions = self.conditions_of(l.mask, r.mask).count();
                let rows = l.estimate.joined(&r.estimate, &keys, conditions).rows;
                let rank = (keys.is_empty(), rows, l.estimate.rows + r.estimate.rows);
                if rank < best.0 {
                    best = (rank, (a, b));
                }
            }
        }
        best.1
    }

    /// Equal pairs between two sets, one of each class.
    fn keys(&self, l: u32, r: u32) -> Vec<(Df, Df)> {
        let of = |class: &[Placed], set: u32| class.iter().find(|m| m.mask & set != 0).map(|m| m.expr.clone());
        let mut keys: Vec<_> = self.classes.iter().filter_map(|c| Some((of(c, l)?, of(c, r)?))).collect();
        for (a, b) in &self.wide {
            let within = |p: &Placed, set: u32| p.mask & !set == 0;
            if within(a, l) && within(b, r) {
                keys.push((a.expr.clone(), b.expr.clone()));
            } else if within(b, l) && within(a, r) {
                keys.push((b.expr.clone(), a.expr.clone()));
            }
        }
        keys
    }

    /// Conditions that a join of the two can test first.
    fn conditions_of(&self, l: u32, r: u32) -> impl Iterator<Item = Df> + '_ {
        let first = move |mask: u32| mask & !(l | r) == 0 && mask & !l != 0 && mask & !r != 0;
        let wide = self.wide.iter().filter(move |(a, b)| {
            let split = (a.mask & !l == 0 && b.mask & !r == 0) || (b.mask & !l == 0 && a.mask & !r == 0);
            first(a.mask | b.mask) && !split
        });
        let wide = wide.map(|(a, b)| binary_expr(a.expr.clone(), Operator::Eq, b.expr.clone()));
        self.filters.iter().filter(move |f| first(f.mask)).map(|f| f.expr.clone()).chain(wide)
    }

    fn join(&self, a: Set, b: Set) -> DfResult<Set> {
        let (l, r) = if b.estimate.rows < a.estimate.rows { (b, a) } else { (a, b) };
        let keys = self.keys(l.mask, r.mask);
        let conditions: Vec<Df> = self.conditions_of(l.mask, r.mask).collect();
        let estimate = l.estimate.joined(&r.estimate, &keys, conditions.len());
        let (kind, constraint, equality) = (JoinType::Inner, JoinConstraint::On, NullEquality::NullEqualsNothing);
        let (left, right) = (Arc::new(l.plan), Arc::new(r.plan));
        let join = Join::try_new(left, right, keys, conjunction(conditions), kind, constraint, equality, false)?;
        Ok(Set { mask: l.mask | r.mask, plan: LogicalPlan::Join(join), estimate })
    }
}

/// Does it give columns of its input under their own names, and nothing else?
fn is_choice(p: &Projection) -> bool {
    let own = |(e, (qualifier, field)): (
        &Df,
        (Option<&datafusion::common::TableReference>, &Arc<arrow::datatypes::Field>),
    )| { matches!(e, Df::Column(c) if c.name == *field.name() && c.relation.as_ref() == qualifier) };
    p.expr.iter().zip(p.schema.iter()).all(own) && p.expr.iter().all(|e| plain(e).is_some())
}
