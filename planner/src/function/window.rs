//! Window functions with PostgreSQL's result types. The lowering wraps them into DataFusion's window nodes; aggregates used as window
//! functions do not come here.
//!
//! Every evaluator works on one whole partition; those that look at the frame are asked row by row.

use super::error::to_df;
use super::kernel::ToCol;
use super::{CallTypes, Registry, WindowFactory};
use arrow::array::{Array, ArrayRef, Int32Array, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, TypeSignature, Volatility, WindowUDF, WindowUDFImpl};
use heddle_types::arrow::data_type;
use heddle_types::{Error, PgType, Result, SqlState};
use std::ops::Range;
use std::sync::Arc;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Func {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    First,
    Last,
    Nth,
}

impl Func {
    fn name(self) -> &'static str {
        match self {
            Self::RowNumber => "row_number",
            Self::Rank => "rank",
            Self::DenseRank => "dense_rank",
            Self::PercentRank => "percent_rank",
            Self::CumeDist => "cume_dist",
            Self::Ntile => "ntile",
            Self::Lag => "lag",
            Self::Lead => "lead",
            Self::First => "first_value",
            Self::Last => "last_value",
            Self::Nth => "nth_value",
        }
    }

    fn ranks(self) -> bool {
        matches!(self, Self::Rank | Self::DenseRank | Self::PercentRank | Self::CumeDist)
    }

    fn framed(self) -> bool {
        matches!(self, Self::First | Self::Last | Self::Nth)
    }
}

/// One window call as DataFusion sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PgWindow {
    func: Func,
    ret: PgType,
    signature: Signature,
}

impl WindowUDFImpl for PgWindow {
    fn name(&self) -> &str {
        self.func.name()
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> DfResult<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { func: self.func, ret: self.ret, current: 0 }))
    }
    fn field(&self, args: WindowUDFFieldArgs) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), data_type(self.ret), true)))
    }
    fn coerce_types(&self, arg_types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }
}

/// Evaluates one partition.
#[derive(Debug)]
struct Evaluator {
    func: Func,
    ret: PgType,
    /// The row the next call of `evaluate` is for: without bounded execution a new evaluator sees a partition's rows in order.
    current: usize,
}

impl PartitionEvaluator for Evaluator {
    fn uses_window_frame(&self) -> bool {
        self.func.framed()
    }
    fn include_rank(&self) -> bool {
        self.func.ranks()
    }
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> DfResult<ArrayRef> {
        match self.func {
            Func::RowNumber => whole(self.ret, num_rows, |i| i as i64 + 1),
            Func::Ntile => ntile(values, self.ret, num_rows),
            _ => shifted(values, num_rows, self.func == Func::Lead),
        }
        .map_err(to_df)
    }
    fn evaluate_all_with_rank(&self, num_rows: usize, peers: &[Range<usize>]) -> DfResult<ArrayRef> {
        ranks(self.func, self.ret, num_rows, peers).map_err(to_df)
    }
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> DfResult<ScalarValue> {
        let column = argument(values, 0).map_err(to_df)?;
        let row = self.row(values, range).map_err(to_df)?;
        self.current += 1;
        match row {
            Some(i) => ScalarValue::try_from_array(column, i),
            None => ScalarValue::try_from(column.data_type()),
        }
    }
}

impl Evaluator {
    /// The row of the frame to take the value from.
    fn row(&self, values: &[ArrayRef], range: &Range<usize>) -> Result<Option<usize>> {
        Ok(match self.func {
            Func::Nth => nth(values, self.current, range)?,
            _ if range.is_empty() => None,
            Func::First => Some(range.start),
            _ => Some(range.end - 1),
        })
    }
}

fn argument(values: &[ArrayRef], i: usize) -> Result<&ArrayRef> {
    values.get(i).ok_or_else(|| Error::internal("window function called with too few arguments"))
}

/// A column of bigint made row by row.
fn whole(ret: PgType, n: usize, value: impl Fn(usize) -> i64) -> Result<ArrayRef> {
    let mut out = <i64 as ToCol>::builder(n, ret);
    for i in 0..n {
        <i64 as ToCol>::push(&mut out, value(i))?;
    }
    Ok(<i64 as ToCol>::finish(out))
}

/// The functions over groups of peers.
fn ranks(func: Func, ret: PgType, n: usize, peers: &[Range<usize>]) -> Result<ArrayRef> {
    if matches!(func, Func::Rank | Func::DenseRank) {
        let mut out = <i64 as ToCol>::builder(n, ret);
        for (group, range) in peers.iter().enumerate() {
            let rank = if func == Func::Rank { range.start } else { group } as i64 + 1;
            for _ in range.clone() {
                <i64 as ToCol>::push(&mut out, rank)?;
            }
        }
        return Ok(<i64 as ToCol>::finish(out));
    }
    let mut out = <f64 as ToCol>::builder(n, ret);
    for range in peers {
        let v = match func {
            Func::CumeDist => range.end as f64 / n as f64,
            _ if n <= 1 => 0.0,
            _ => range.start as f64 / (n - 1) as f64,
        };
        for _ in range.clone() {
            <f64 as ToCol>::push(&mut out, v)?;
        }
    }
    Ok(<f64 as ToCol>::finish(out))
}

/// ntile: the count is that of the partition's first row; NULL there gives NULL until the first row that has one.
fn ntile(values: &[ArrayRef], ret: PgType, n: usize) -> Result<ArrayRef> {
    let counts = super::kernel::cast_array::<Int32Array>(argument(values, 0)?)?;
    let mut out = <i32 as ToCol>::builder(n, ret);
    let first = (0..n).find(|i| counts.is_valid(*i)).unwrap_or(n);
    for _ in 0..first {
        <i32 as ToCol>::null(&mut out);
    }
    if first < n {
        let buckets = counts.value(first);
        if buckets <= 0 {
            return Err(Error::new(SqlState("22014"), "argument of ntile must be greater than zero"));
        }
        let (small, extra) = (n / buckets as usize, n % buckets as usize);
        let wide_rows = extra * (small + 1);
        for i in 0..n - first {
            let bucket = if i < wide_rows { i / (small + 1) } else { extra + (i - wide_rows) / small };
            <i32 as ToCol>::push(&mut out, bucket as i32 + 1)?;
        }
    }
    Ok(<i32 as ToCol>::finish(out))
}

/// lag and lead: the value some rows away, else the default of the current row.
fn shifted(values: &[ArrayRef], n: usize, forward: bool) -> Result<ArrayRef> {
    let column = argument(values, 0)?;
    let offsets = match values.get(1) {
        Some(a) => Some(super::kernel::cast_array::<Int32Array>(a)?),
        None => None,
    };
    let null = new_null_array(column.data_type(), 1);
    let default = values.get(2);
    let sources: Vec<&dyn Array> =
        [Some(column), Some(&null), default].into_iter().flatten().map(|a| a.as_ref()).collect();
    let mut at = Vec::with_capacity(n);
    for i in 0..n {
        let offset = match offsets {
            None => Some(1),
            Some(o) => o.is_valid(i).then(|| i64::from(o.value(i))),
        };
        at.push(match offset {
            // An unknown distance leads nowhere: not even to the default.
            None => (1, 0),
            Some(d) => {
                let target = if forward { i as i64 + d } else { i as i64 - d };
                match usize::try_from(target) {
                    Ok(t) if t < n => (0, t),
                    _ if default.is_some() => (2, i),
                    _ => (1, 0),
                }
            }
        });
    }
    interleave(&sources, &at).map_err(super::error::arrow_error)
}

/// nth_value with the count of the current row.
fn nth(values: &[ArrayRef], current: usize, range: &Range<usize>) -> Result<Option<usize>> {
    let counts = super::kernel::cast_array::<Int32Array>(argument(values, 1)?)?;
    if counts.is_null(current) {
        return Ok(None);
    }
    match counts.value(current) {
        n if n <= 0 => Err(Error::new(SqlState("22016"), "argument of nth_value must be greater than zero")),
        n => Ok(Some(range.start + n as usize - 1).filter(|i| *i < range.end)),
    }
}

macro_rules! factory {
    ($func:ident) => {{
        fn make(t: &CallTypes<'_>) -> Result<Arc<WindowUDF>> {
            let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
            let signature = Signature::one_of(any, Volatility::Immutable);
            Ok(Arc::new(WindowUDF::new_from_impl(PgWindow { func: Func::$func, ret: t.ret, signature })))
        }
        make as WindowFactory
    }};
}

pub(super) fn register(r: &mut Registry) {
    r.window("row_number()", factory!(RowNumber));
    r.window("rank()", factory!(Rank));
    r.window("dense_rank()", factory!(DenseRank));
    r.window("percent_rank()", factory!(PercentRank));
    r.window("cume_dist()", factory!(CumeDist));
    r.window("ntile(int4)", factory!(Ntile));
    for sig in ["lag(anyelement)", "lag(anyelement,int4)", "lag(anycompatible,int4,anycompatible)"] {
        r.window(sig, factory!(Lag));
    }
    for sig in ["lead(anyelement)", "lead(anyelement,int4)", "lead(anycompatible,int4,anycompatible)"] {
        r.window(sig, factory!(Lead));
    }
    r.window("first_value(anyelement)", factory!(First));
    r.window("last_value(anyelement)", factory!(Last));
    r.window("nth_value(anyelement,int4)", factory!(Nth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int64Array};
    use heddle_types::oid;

    fn ints(a: &ArrayRef) -> Vec<Option<i64>> {
        a.as_any().downcast_ref::<Int64Array>().unwrap().iter().collect()
    }

    #[test]
    fn ranks_of_peers() {
        let peers = [0..2, 2..3, 3..5];
        let int8 = PgType::new(oid::INT8);
        let rank = |f| ints(&ranks(f, int8, 5, &peers).unwrap()).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(rank(Func::Rank), [1, 1, 3, 4, 4]);
        assert_eq!(rank(Func::DenseRank), [1, 1, 2, 3, 3]);
        let share = ranks(Func::CumeDist, PgType::new(oid::FLOAT8), 5, &peers).unwrap();
        let share = share.as_any().downcast_ref::<Float64Array>().unwrap().values().to_vec();
        assert_eq!(share, [0.4, 0.4, 0.6, 1.0, 1.0]);
    }

    #[test]
    fn ntile_gives_the_first_buckets_one_more() {
        let counts: ArrayRef = Arc::new(Int32Array::from(vec![4; 10]));
        let out = ntile(&[counts], PgType::new(oid::INT4), 10).unwrap();
        let out = out.as_any().downcast_ref::<Int32Array>().unwrap().values().to_vec();
        assert_eq!(out, [1, 1, 1, 2, 2, 2, 3, 3, 4, 4]);
        let zero: ArrayRef = Arc::new(Int32Array::from(vec![0]));
        assert_eq!(
            ntile(&[zero], PgType::new(oid::INT4), 1).unwrap_err().message(),
            "argument of ntile must be greater than zero"
        );
    }

    #[test]
    fn lag_takes_the_default_of_its_own_row() {
        let v: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let d: ArrayRef = Arc::new(Int64Array::from(vec![-1, -2, -3]));
        let o: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(-1)]));
        assert_eq!(ints(&shifted(&[v.clone(), o.clone(), d], 3, false).unwrap()), [Some(-1), None, Some(-3)]);
        assert_eq!(ints(&shifted(&[v.clone(), o], 3, true).unwrap()), [Some(2), None, Some(2)]);
        assert_eq!(ints(&shifted(&[v], 3, true).unwrap()), [Some(2), Some(3), None]);
    }
}
