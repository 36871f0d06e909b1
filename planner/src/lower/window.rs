//! Window functions.

use super::aggregate::udaf;
use super::expr::{key, scalar};
use super::{Lowerer, build, column as column_of, name};
use crate::bound::{ColId, Expr, Frame, FrameBound, FrameUnits, Rel, SortKey, WindowCall};
use crate::eval::eval_constant;
use crate::function::{self, CallTypes, Kind};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr as Df, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use heddle_types::arrow::native_order;
use heddle_types::{Datum, Error, PgType, Result, SqlState};

impl Lowerer<'_> {
    pub(super) fn window(&mut self, input: &Rel, calls: &[(ColId, WindowCall)]) -> Result<LogicalPlan> {
        let mut plan = self.rel(input)?;
        let mut lowered = vec![];
        for (id, call) in calls {
            lowered.push((*id, self.window_call(&mut plan, call)?));
        }
        plan = self.computed_partitions(plan, &mut lowered)?;
        // One operator per window; DataFusion sorts once where several agree.
        let mut groups: Vec<(Df, Vec<Df>)> = vec![];
        for (id, e) in lowered {
            let named = e.clone().alias(name(id));
            match groups.iter_mut().find(|(first, _)| same_window(first, &e)) {
                Some((_, members)) => members.push(named),
                None => groups.push((e, vec![named])),
            }
        }
        for (_, members) in groups {
            plan = build(LogicalPlanBuilder::from(plan).window(members))?;
        }
        Ok(plan)
    }

    /// What PARTITION BY computes becomes a column first: DataFusion does not see that a sort by a comparison serves the window.
    fn computed_partitions(&mut self, plan: LogicalPlan, calls: &mut [(ColId, Df)]) -> Result<LogicalPlan> {
        let mut computed: Vec<(Df, Df)> = vec![];
        for (_, call) in calls {
            let Df::WindowFunction(call) = call else { continue };
            for by in &mut call.params.partition_by {
                if matches!(by, Df::Column(_)) {
                    continue;
                }
                let known = computed.iter().find(|(e, _)| e == by).map(|(_, column)| column.clone());
                let column = known.unwrap_or_else(|| column_of(self.fresh()));
                let e = std::mem::replace(by, column.clone());
                if !computed.iter().any(|(_, c)| *c == column) {
                    computed.push((e, column));
                }
            }
        }
        if computed.is_empty() {
            return Ok(plan);
        }
        let mut all: Vec<Df> = plan.schema().columns().into_iter().map(Df::Column).collect();
        for (e, column) in computed {
            let Df::Column(column) = column else { continue };
            all.push(e.alias(column.name));
        }
        build(LogicalPlanBuilder::from(plan).project(all))
    }

    fn window_call(&mut self, plan: &mut LogicalPlan, w: &WindowCall) -> Result<Df> {
        if self.needs_framing(w)? {
            return self.framed_call(plan, w);
        }
        let mut args = vec![];
        for e in &w.call.args {
            let e = self.hoist(plan, e)?;
            args.push(self.expr(&e)?);
        }
        let definition = definition(w)?;
        if args.is_empty() && matches!(definition, WindowFunctionDefinition::AggregateUDF(_)) {
            args.push(datafusion::prelude::lit(1i64));
        }
        if w.call.distinct {
            return Err(Error::unsupported("DISTINCT for window functions"));
        }
        if !w.call.order.is_empty() {
            return Err(Error::unsupported("aggregate ORDER BY for window functions"));
        }
        let mut call = WindowFunction::new(definition, args);
        for e in &w.partition {
            let e = self.hoist(plan, e)?;
            let df = self.expr(&e)?;
            call.params.partition_by.push(key(df, e.ty()));
        }
        let by_value = matches!(w.frame.units, FrameUnits::Range)
            && [&w.frame.start, &w.frame.end]
                .iter()
                .any(|b| matches!(b, FrameBound::Preceding(_) | FrameBound::Following(_)));
        for k in &w.order {
            let e = self.hoist(plan, &k.expr)?;
            let k = SortKey { expr: e, ..k.clone() };
            if by_value && !is_plain_number(k.expr.ty()) {
                let text = format!("RANGE with offset PRECEDING/FOLLOWING for column type {}", k.expr.ty().sql_name());
                return Err(Error::unsupported(text));
            }
            let mut sort = self.sort_key(&k)?;
            if by_value && !native_order(k.expr.ty()) {
                sort.expr = self.expr(&k.expr)?;
            }
            call.params.order_by.push(sort);
        }
        if let Some(f) = &w.call.filter {
            let f = self.hoist(plan, f)?;
            call.params.filter = Some(Box::new(self.expr(&f)?));
        }
        let order_ty = w.order.first().map(|k| k.expr.ty());
        call.params.window_frame = self.frame(&w.frame, order_ty)?;
        Ok(Df::WindowFunction(Box::new(call)))
    }

    fn frame(&mut self, frame: &Frame, order: Option<PgType>) -> Result<WindowFrame> {
        let (units, mut start, mut end) = match frame.units {
            FrameUnits::Rows => (WindowFrameUnits::Rows, None, None),
            FrameUnits::Range => (WindowFrameUnits::Range, order, order),
            FrameUnits::Groups => (WindowFrameUnits::Groups, None, None),
        };
        // Without ORDER BY all rows are peers: RANGE … CURRENT ROW is the whole partition.
        if frame.units == FrameUnits::Range && order.is_none() {
            (start, end) = (None, None);
            let whole = |b: &FrameBound| !matches!(b, FrameBound::Preceding(_) | FrameBound::Following(_));
            if whole(&frame.start) && whole(&frame.end) {
                return Ok(WindowFrame::new_bounds(
                    WindowFrameUnits::Rows,
                    WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                    WindowFrameBound::Following(ScalarValue::UInt64(None)),
                ));
            }
        }
        let start = self.bound(&frame.start, frame.units, start, "starting")?;
        let end = self.bound(&frame.end, frame.units, end, "ending")?;
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    fn bound(
        &mut self,
        b: &FrameBound,
        units: FrameUnits,
        order: Option<PgType>,
        which: &str,
    ) -> Result<WindowFrameBound> {
        let none = || match units {
            FrameUnits::Range => ScalarValue::Null,
            _ => ScalarValue::UInt64(None),
        };
        Ok(match b {
            FrameBound::UnboundedPreceding => WindowFrameBound::Preceding(none()),
            FrameBound::UnboundedFollowing => WindowFrameBound::Following(none()),
            FrameBound::CurrentRow => WindowFrameBound::CurrentRow,
            FrameBound::Preceding(e) => WindowFrameBound::Preceding(self.offset(e, units, order, which)?),
            FrameBound::Following(e) => WindowFrameBound::Following(self.offset(e, units, order, which)?),
        })
    }

    pub(super) fn offset(
        &mut self,
        e: &Expr,
        units: FrameUnits,
        order: Option<PgType>,
        which: &str,
    ) -> Result<ScalarValue> {
        let value = eval_constant(e, self.ctx)?;
        let refuse = |what: &str| {
            let code = if what == "null" { SqlState::NULL_VALUE_NOT_ALLOWED } else { SqlState("22013") };
            Err(Error::new(code, format!("frame {which} offset must not be {what}")))
        };
        if value.is_null() {
            return refuse("null");
        }
        if units == FrameUnits::Range {
            let negative = match &value {
                Datum::Float4(v) => *v < 0.0,
                Datum::Float8(v) => *v < 0.0,
                other => other.as_i64().is_some_and(|v| v < 0),
            };
            if negative {
                return Err(Error::new(SqlState("22013"), "invalid preceding or following size in window function"));
            }
            let ty = order.unwrap_or(e.ty());
            let s = scalar(&value, e.ty())?;
            return s.cast_to(&heddle_types::arrow::data_type(ty)).map_err(function::from_df);
        }
        match value.as_i64().map(u64::try_from) {
            Some(Ok(n)) => Ok(ScalarValue::UInt64(Some(n))),
            _ => refuse("negative"),
        }
    }
}

/// Do two window calls share PARTITION BY and ORDER BY?
fn same_window(a: &Df, b: &Df) -> bool {
    match (a, b) {
        (Df::WindowFunction(a), Df::WindowFunction(b)) => {
            a.params.partition_by == b.params.partition_by && a.params.order_by == b.params.order_by
        }
        _ => false,
    }
}

pub(super) fn is_plain_number(ty: PgType) -> bool {
    use heddle_types::oid;
    matches!(ty.oid, oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8)
}

fn definition(w: &WindowCall) -> Result<WindowFunctionDefinition> {
    let f = function::by_id(w.call.func)
        .ok_or_else(|| Error::internal(format!("function with OID {} does not exist", w.call.func.0)))?;
    match f.kind {
        Kind::Aggregate(_) => Ok(WindowFunctionDefinition::AggregateUDF(udaf(&w.call)?)),
        Kind::Window(factory) => {
            let types: Vec<PgType> = w.call.args.iter().map(Expr::ty).collect();
            Ok(WindowFunctionDefinition::WindowUDF(factory(&CallTypes { args: &types, ret: w.call.ty })?))
        }
        _ => Err(Error::internal(format!("function {} is not a window function", f.name))),
    }
}
