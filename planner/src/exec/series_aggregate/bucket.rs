//! Pieces of time: which call of GROUP BY cuts them, and where they lie in a sorted column of times.

use crate::bound::{Call, Expr};
use crate::context::EvalContext;
use crate::eval::{eval_constant, visit};
use crate::function::{self, FixedBuckets};
use heddle_types::{Datum, PgType, Result, oid};
use std::ops::Range;

/// A call that cuts time at the column that is its argument `time`.
pub(super) struct Bucketing {
    name: &'static str,
    /// The call's other arguments, in order.
    others: Vec<Expr>,
    /// The time column has a zone.
    zoned: bool,
}

impl Bucketing {
    /// `time_bucket` or `date_trunc` of the time column, which `is_time` knows.
    pub fn compile(call: &Call, is_time: impl Fn(&Expr) -> bool) -> Option<Self> {
        let f = function::by_id(call.func).filter(|f| matches!(f.name, "time_bucket" | "date_trunc"))?;
        let at = call.args.iter().position(&is_time)?;
        let others: Vec<Expr> =
            call.args.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, e)| e.clone()).collect();
        let zoned = call.args[at].ty().oid == oid::TIMESTAMPTZ;
        let known = others.iter().all(visit::is_constant) && !(f.name == "date_trunc" && others.len() > 1);
        known.then_some(Self { name: f.name, others, zoned })
    }

    /// The pieces, when all are of one width; otherwise (months, days of a zone with summer time, mistakes) None.
    pub fn fixed(&self, ctx: &EvalContext) -> Option<FixedBuckets> {
        let values: Vec<Datum> = self.others.iter().map(|e| eval_constant(e, ctx)).collect::<Result<_>>().ok()?;
        let zone = self.zoned.then_some(&ctx.text.datetime.zone);
        FixedBuckets::of(self.name, &values, zone)
    }
}

/// The type that a bucket's column has.
pub(super) fn is_bucket_type(ty: PgType) -> bool {
    matches!(ty.oid, oid::TIMESTAMP | oid::TIMESTAMPTZ)
}

/// The rows of `times` (ascending) within `rows` that lie below `end`.
pub(super) fn until(times: &[i64], rows: Range<usize>, end: i64) -> Range<usize> {
    // Points often come at a steady pace: a piece is as long as the one before, give or take one. So look close by first.
    let mut step = 1;
    let mut low = rows.start;
    while low + step <= rows.end && times[low + step - 1] < end {
        low += step;
        step *= 2;
    }
    let high = rows.end.min(low + step);
    rows.start..low + times[low..high].partition_point(|t| *t < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_is_partition_point() {
        let times: Vec<i64> = (0..100).map(|n| n * 3 - 150).collect();
        for start in [0, 1, 50, 99, 100] {
            for end in -160..160 {
                let expected = start.max(times.partition_point(|t| *t < end));
                assert_eq!(until(&times, start..100, end), start..expected, "{start} {end}");
            }
        }
    }
}
