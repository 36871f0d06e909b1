//! Aggregates as DataFusion UDAFs with PostgreSQL's result types and semantics.
//!
//! An aggregate is an [`Agg`]: a small state with update, merge and result. Two adapters serve DataFusion: [`Groups`] (one
//! vector of states, the fast path of GROUP BY) and [`Single`]. DISTINCT, ORDER BY inside the call and moving window frames
//! go through [`collected`], which keeps the rows and replays them.
//!
//! Invariant: merging partial states in any order gives the result of one pass (floats up to rounding).

mod boolean;
mod collect;
mod collected;
mod count;
mod edge;
mod minmax;
mod regression;
mod stats;
mod sum;

use super::error::to_df;
use super::{CallTypes, Registry};
use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use heddle_types::arrow::{ColumnBuilder, data_type, repeat};
use heddle_types::{Datum, Error, PgType, Result};
use std::fmt::Debug;
use std::sync::Arc;

/// The types of one aggregate call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Types {
    /// Arguments
    pub(super) args: Vec<PgType>,
    /// Result
    pub(super) ret: PgType,
}

/// The state of one group.
pub(super) trait Agg: Default + Send + Sync + Debug + 'static {
    /// The argument columns, downcast once per batch.
    type Args<'a>;
    /// Rows whose first argument is NULL are skipped.
    const STRICT: bool = true;
    /// The result depends on the order of rows.
    const ORDERED: bool = false;
    /// Downcasts.
    fn open<'a>(t: &'a Types, args: &'a [ArrayRef]) -> Result<Self::Args<'a>>;
    /// Takes row `i`.
    fn update(&mut self, args: &Self::Args<'_>, i: usize) -> Result<()>;
    /// Types of the partial state's columns.
    fn state_types(t: &Types) -> Vec<PgType>;
    /// The partial state.
    fn state(&self, t: &Types) -> Result<Vec<Datum>>;
    /// Adds row `i` of partial states.
    fn merge(&mut self, t: &Types, states: &[ArrayRef], i: usize) -> Result<()>;
    /// The final value.
    fn result(&self, t: &Types) -> Result<Datum>;
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// A function that makes accumulators; one per [`Agg`] type.
pub(super) trait Maker: Send + Sync + Debug {
    fn single(&self, t: Types) -> Box<dyn Accumulator>;
    fn groups(&self, t: Types) -> Box<dyn GroupsAccumulator>;
    fn state_types(&self, t: &Types) -> Vec<PgType>;
    fn ordered(&self) -> bool;
}

#[derive(Debug)]
struct Of<A>(std::marker::PhantomData<fn() -> A>);

impl<A: Agg> Maker for Of<A> {
    fn single(&self, t: Types) -> Box<dyn Accumulator> {
        Box::new(Single::<A> { t, state: A::default() })
    }
    fn groups(&self, t: Types) -> Box<dyn GroupsAccumulator> {
        Box::new(Groups::<A> { t, states: Vec::new() })
    }
    fn state_types(&self, t: &Types) -> Vec<PgType> {
        A::state_types(t)
    }
    fn ordered(&self) -> bool {
        A::ORDERED
    }
}

/// The UDAF for resolved types.
pub(super) fn udaf<A: Agg>(name: &'static str, types: &CallTypes<'_>) -> Result<Arc<AggregateUDF>> {
    let types = Types { args: types.args.to_vec(), ret: types.ret };
    let maker: Arc<dyn Maker> = Arc::new(Of::<A>(std::marker::PhantomData));
    Ok(Arc::new(AggregateUDF::new_from_impl(PgAggregate {
        name,
        types,
        maker,
        signature: Signature::variadic_any(Volatility::Immutable),
    })))
}

/// Registers an [`Agg`] under signatures.
macro_rules! agg {
    ($r:expr, $name:literal, $ty:ty, $($sig:literal),+) => {{
        fn factory(t: &$crate::function::CallTypes<'_>) -> heddle_types::Result<std::sync::Arc<datafusion::logical_expr::AggregateUDF>> {
            $crate::function::aggregate::udaf::<$ty>($name, t)
        }
        $( $r.aggregate($sig, factory); )+
    }};
}
use agg;

/// One aggregate call as DataFusion sees it.
#[derive(Debug)]
struct PgAggregate {
    name: &'static str,
    types: Types,
    maker: Arc<dyn Maker>,
    signature: Signature,
}

impl PartialEq for PgAggregate {
    fn eq(&self, o: &Self) -> bool {
        self.name == o.name && self.types == o.types
    }
}
impl Eq for PgAggregate {}
impl std::hash::Hash for PgAggregate {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        (self.name, &self.types).hash(h);
    }
}

impl PgAggregate {
    fn needs_rows(&self, args: &AccumulatorArgs<'_>) -> bool {
        self.must_collect(args.is_distinct, !args.order_bys.is_empty())
    }
    fn must_collect(&self, distinct: bool, ordered: bool) -> bool {
        (distinct && !matches!(self.name, "min" | "max")) || (ordered && self.maker.ordered())
    }
    fn collected(&self, args: &AccumulatorArgs<'_>) -> collected::Collected {
        let ordered = self.maker.ordered();
        let order = if ordered { args.order_bys.iter().map(|o| o.options).collect() } else { vec![] };
        let mut columns: Vec<DataType> = args.expr_fields.iter().map(|f| f.data_type().clone()).collect();
        if ordered {
            columns.extend(args.order_bys.iter().map(|o| o.expr.data_type(args.schema).unwrap_or(DataType::Null)));
        }
        collected::Collected::new(self.types.clone(), self.maker.clone(), columns, args.is_distinct, order)
    }
}

impl AggregateUDFImpl for PgAggregate {
    fn name(&self) -> &str {
        self.name
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(data_type(self.types.ret))
    }
    fn is_nullable(&self) -> bool {
        self.name != "count"
    }
    fn default_value(&self, data_type: &DataType) -> DfResult<ScalarValue> {
        if self.name == "count" { Ok(ScalarValue::Int64(Some(0))) } else { ScalarValue::try_from(data_type) }
    }
    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        if self.needs_rows(&args) {
            return Ok(Box::new(self.collected(&args)));
        }
        Ok(self.maker.single(self.types.clone()))
    }
    fn create_sliding_accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(self.collected(&args)))
    }
    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        if self.must_collect(args.is_distinct, !args.ordering_fields.is_empty()) {
            let mut columns: Vec<DataType> = args.input_fields.iter().map(|f| f.data_type().clone()).collect();
            if self.maker.ordered() {
                columns.extend(args.ordering_fields.iter().map(|f| f.data_type().clone()));
            }
            return Ok(collected::state_fields(args.name, &columns));
        }
        let field = |(i, t): (usize, PgType)| Arc::new(Field::new(format!("{}[{i}]", args.name), data_type(t), true));
        Ok(self.maker.state_types(&self.types).into_iter().enumerate().map(field).collect())
    }
    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !self.needs_rows(&args)
    }
    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok(self.maker.groups(self.types.clone()))
    }
    /// The rows are sorted here in any case; an ordered input only makes that cheaper.
    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> DfResult<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(self.maker.ordered().then_some(self as Arc<dyn AggregateUDFImpl>))
    }
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        if self.maker.ordered() {
            AggregateOrderSensitivity::SoftRequirement
        } else {
            AggregateOrderSensitivity::Insensitive
        }
    }
    fn reverse_expr(&self) -> ReversedUDAF {
        if self.maker.ordered() { ReversedUDAF::NotSupported } else { ReversedUDAF::Identical }
    }
    fn coerce_types(&self, arg_types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }
}

/// A value as DataFusion's scalar.
pub(super) fn scalar(v: &Datum, ty: PgType) -> DfResult<ScalarValue> {
    let column = repeat(v, ty, 1).map_err(to_df)?;
    ScalarValue::try_from_array(&column, 0)
}

/// Is the row to be skipped: first argument NULL for strict aggregates?
fn skips<A: Agg>(args: &[ArrayRef]) -> Option<arrow::buffer::NullBuffer> {
    if A::STRICT { args.first().and_then(|a| a.logical_nulls()) } else { None }
}

/// One state.
#[derive(Debug)]
struct Single<A> {
    t: Types,
    state: A,
}

impl<A: Agg> Accumulator for Single<A> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let n = values.first().map_or(0, Array::len);
        let nulls = skips::<A>(values);
        let args = A::open(&self.t, values).map_err(to_df)?;
        for i in 0..n {
            if nulls.as_ref().is_none_or(|b| b.is_valid(i)) {
                self.state.update(&args, i).map_err(to_df)?;
            }
        }
        Ok(())
    }
    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        scalar(&self.state.result(&self.t).map_err(to_df)?, self.t.ret)
    }
    fn size(&self) -> usize {
        size_of_val(self) + self.state.heap_bytes()
    }
    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let values = self.state.state(&self.t).map_err(to_df)?;
        A::state_types(&self.t).into_iter().zip(&values).map(|(t, v)| scalar(v, t)).collect()
    }
    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        for i in 0..states.first().map_or(0, Array::len) {
            self.state.merge(&self.t, states, i).map_err(to_df)?;
        }
        Ok(())
    }
}

/// A vector of states, by group.
struct Groups<A> {
    t: Types,
    states: Vec<A>,
}

impl<A: Agg> Groups<A> {
    fn states_to_columns(t: &Types, states: &[A]) -> Result<Vec<ArrayRef>> {
        let mut out: Vec<ColumnBuilder> =
            A::state_types(t).into_iter().map(|ty| ColumnBuilder::new(ty, states.len())).collect();
        for s in states {
            for (b, v) in out.iter_mut().zip(s.state(t)?) {
                b.append(&v)?;
            }
        }
        Ok(out.iter_mut().map(ColumnBuilder::finish).collect())
    }
}

impl<A: Agg> GroupsAccumulator for Groups<A> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DfResult<()> {
        self.states.resize_with(total, A::default);
        let nulls = skips::<A>(values);
        let args = A::open(&self.t, values).map_err(to_df)?;
        for (i, g) in groups.iter().enumerate() {
            let wanted = filter.is_none_or(|f| f.is_valid(i) && f.value(i));
            if wanted && nulls.as_ref().is_none_or(|b| b.is_valid(i)) {
                self.states[*g].update(&args, i).map_err(to_df)?;
            }
        }
        Ok(())
    }
    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let states = emit_to.take_needed(&mut self.states);
        let mut out = ColumnBuilder::new(self.t.ret, states.len());
        for s in &states {
            s.result(&self.t).and_then(|v| out.append(&v)).map_err(to_df)?;
        }
        Ok(out.finish())
    }
    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let states = emit_to.take_needed(&mut self.states);
        Self::states_to_columns(&self.t, &states).map_err(to_df)
    }
    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> DfResult<()> {
        self.states.resize_with(total, A::default);
        for (i, g) in groups.iter().enumerate() {
            self.states[*g].merge(&self.t, values, i).map_err(to_df)?;
        }
        Ok(())
    }
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DfResult<Vec<ArrayRef>> {
        let n = values.first().map_or(0, Array::len);
        let mut one = Groups::<A> { t: self.t.clone(), states: Vec::new() };
        let groups: Vec<usize> = (0..n).collect();
        one.update_batch(values, &groups, filter, n)?;
        one.state(EmitTo::All)
    }
    fn size(&self) -> usize {
        self.states.capacity() * size_of::<A>() + self.states.iter().map(Agg::heap_bytes).sum::<usize>()
    }
}

/// A fresh state of one of our aggregates, for callers that feed it themselves.
pub(super) fn accumulator(udaf: &AggregateUDF) -> Result<Box<dyn Accumulator>> {
    let any: &dyn std::any::Any = udaf.inner().as_ref();
    match any.downcast_ref::<PgAggregate>() {
        Some(a) => Ok(a.maker.single(a.types.clone())),
        None => Err(Error::internal(format!("{} is not an aggregate of ours", udaf.name()))),
    }
}

/// Downcast of the first argument.
pub(super) fn first(args: &[ArrayRef]) -> Result<&ArrayRef> {
    args.first().ok_or_else(|| Error::internal("aggregate without arguments"))
}

pub(super) fn register(r: &mut Registry) {
    count::register(r);
    edge::register(r);
    sum::register(r);
    minmax::register(r);
    boolean::register(r);
    stats::register(r);
    regression::register(r);
    collect::register(r);
}
