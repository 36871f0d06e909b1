//! Window calls whose frames DataFusion has not: EXCLUDE, RANGE with offsets over dates, timestamps, numerics and intervals, frames that end
//! before they begin. The whole partition goes to [`crate::function::Framed`].

use super::Lowerer;
use super::aggregate::udaf;
use super::expr::key;
use super::window::is_plain_number;
use crate::bound::{Exclude, Expr, FrameBound, FrameUnits, WindowCall};
use crate::function::{self, Framed, FramedBound, FramedCall, Kind};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr as Df, LogicalPlan, WindowFrame, WindowFunctionDefinition};
use datafusion::prelude::lit;
use heddle_types::{Error, Result};
use std::sync::Arc;

impl Lowerer<'_> {
    /// Does the call look at its frame, and is the frame one of ours?
    pub(super) fn needs_framing(&mut self, w: &WindowCall) -> Result<bool> {
        let f = &w.frame;
        let looks = function::by_id(w.call.func).is_some_and(|f| {
            matches!(f.kind, Kind::Aggregate(_)) || matches!(f.name, "first_value" | "last_value" | "nth_value")
        });
        if !looks {
            return Ok(false);
        }
        let special = f.keyed.as_ref().is_some_and(|k| !is_plain_number(k.key.ty()));
        Ok(f.exclude != Exclude::NoOthers || special || self.is_reversed(w)?)
    }

    /// `BETWEEN 2 FOLLOWING AND 1 FOLLOWING`: a frame without rows.
    fn is_reversed(&mut self, w: &WindowCall) -> Result<bool> {
        let f = &w.frame;
        let (start, end, before) = match (&f.start, &f.end) {
            (FrameBound::Preceding(a), FrameBound::Preceding(b)) => (a, b, true),
            (FrameBound::Following(a), FrameBound::Following(b)) => (a, b, false),
            _ => return Ok(false),
        };
        if f.units == FrameUnits::Range {
            let value = |e: &Expr| crate::eval::eval_constant(e, self.ctx);
            let order = heddle_types::key::compare(&value(start)?, &value(end)?);
            return Ok(if before { order.is_lt() } else { order.is_gt() });
        }
        let (a, b) = (self.row_count(start, f.units, "starting")?, self.row_count(end, f.units, "ending")?);
        Ok(if before { a < b } else { a > b })
    }

    fn row_count(&mut self, e: &Expr, units: FrameUnits, which: &str) -> Result<u64> {
        match self.offset(e, units, None, which)? {
            ScalarValue::UInt64(Some(n)) => Ok(n),
            _ => Err(Error::internal("a frame offset is not a count")),
        }
    }

    fn framed_bound(&mut self, b: &FrameBound, units: FrameUnits, which: &str) -> Result<FramedBound> {
        Ok(match (b, units) {
            (FrameBound::UnboundedPreceding | FrameBound::UnboundedFollowing, _) => FramedBound::Unbounded,
            (FrameBound::CurrentRow, _) => FramedBound::Current,
            (FrameBound::Preceding(e) | FrameBound::Following(e), FrameUnits::Range) => {
                self.checked_range_offset(e)?;
                FramedBound::Key
            }
            (FrameBound::Preceding(e), _) => FramedBound::Before(self.row_count(e, units, which)?),
            (FrameBound::Following(e), _) => FramedBound::After(self.row_count(e, units, which)?),
        })
    }

    /// NULL and negative offsets are refused before anything runs.
    fn checked_range_offset(&mut self, e: &Expr) -> Result<()> {
        use heddle_types::{Datum, SqlState};
        let value = crate::eval::eval_constant(e, self.ctx)?;
        let negative = match &value {
            Datum::Null => {
                let text = "frame starting offset must not be null";
                return Err(Error::new(SqlState::NULL_VALUE_NOT_ALLOWED, text));
            }
            Datum::Interval(i) => i.total_us() < 0,
            Datum::Numeric(n) => *n < heddle_types::Numeric::ZERO,
            Datum::Float4(v) => *v < 0.0,
            Datum::Float8(v) => *v < 0.0,
            other => other.as_i64().is_some_and(|v| v < 0),
        };
        if negative {
            return Err(Error::new(SqlState("22013"), "invalid preceding or following size in window function"));
        }
        Ok(())
    }

    /// Arguments: the call's, the filter, the keys of ORDER BY, and for RANGE the key and its bounds.
    pub(super) fn framed_call(&mut self, plan: &mut LogicalPlan, w: &WindowCall) -> Result<Df> {
        let mut args = vec![];
        for e in &w.call.args {
            let e = self.hoist(plan, e)?;
            args.push(self.expr(&e)?);
        }
        if args.is_empty() {
            args.push(lit(1i64));
        }
        let call_args = args.len();
        args.push(match &w.call.filter {
            Some(f) => {
                let f = self.hoist(plan, f)?;
                self.expr(&f)?
            }
            None => lit(true),
        });
        let mut order_by = vec![];
        for k in &w.order {
            let e = self.hoist(plan, &k.expr)?;
            let sort = self.sort_key(&crate::bound::SortKey { expr: e, ..k.clone() })?;
            args.push(sort.expr.clone());
            order_by.push(sort);
        }
        if let Some(keyed) = &w.frame.keyed {
            let none = || Expr::Literal { value: heddle_types::Datum::Null, ty: keyed.key.ty() };
            for e in [Some(&keyed.key), keyed.start.as_ref(), keyed.end.as_ref()] {
                let e = self.hoist(plan, &e.cloned().unwrap_or_else(none))?;
                args.push(key(self.expr(&e)?, keyed.key.ty()));
            }
        }
        let f = function::by_id(w.call.func).ok_or_else(|| Error::internal("a window call of no function"))?;
        let call = match f.kind {
            Kind::Aggregate(_) => FramedCall::Aggregate(udaf(&w.call)?),
            _ => FramedCall::Pick(f.name),
        };
        let framed = Framed {
            call,
            ret: w.call.ty,
            args: call_args,
            order: w.order.len(),
            desc: w.order.first().is_some_and(|k| k.desc),
            units: w.frame.units,
            start: self.framed_bound(&w.frame.start, w.frame.units, "starting")?,
            end: self.framed_bound(&w.frame.end, w.frame.units, "ending")?,
            exclude: w.frame.exclude,
        };
        let mut call = WindowFunction::new(WindowFunctionDefinition::WindowUDF(Arc::new(framed.udf())), args);
        for e in &w.partition {
            let e = self.hoist(plan, e)?;
            let df = self.expr(&e)?;
            call.params.partition_by.push(key(df, e.ty()));
        }
        call.params.window_frame = WindowFrame::new(if order_by.is_empty() { None } else { Some(true) });
        call.params.order_by = order_by;
        Ok(Df::WindowFunction(Box::new(call)))
    }
}
