//! Window calls over frames that DataFusion has not. The evaluator gets a whole partition, finds the rows of each row's frame, and evaluates the
//! call over exactly those: as costly as the frames are long, unless a frame is the one before it or grows from it.

use super::aggregate;
use super::error::{arrow_error, to_df};
use super::kernel::cast_array;
use crate::bound::{Exclude, FrameUnits};
use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, UInt32Array, make_comparator, new_null_array};
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use heddle_types::arrow::data_type;
use heddle_types::{Error, PgType, Result, SqlState};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// What is computed over a frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FramedCall {
    Aggregate(Arc<AggregateUDF>),
    /// first_value, last_value, nth_value
    Pick(&'static str),
}

/// An end of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FramedBound {
    Unbounded,
    Current,
    /// So many rows or groups
    Before(u64),
    After(u64),
    /// RANGE: where the key reaches the bound's value
    Key,
}

/// A call, its frame, and how its arguments lie: the call's own (`args`), the filter, `order` keys, then for RANGE the key and its two bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Framed {
    pub call: FramedCall,
    pub ret: PgType,
    pub args: usize,
    pub order: usize,
    pub desc: bool,
    pub units: FrameUnits,
    pub start: FramedBound,
    pub end: FramedBound,
    pub exclude: Exclude,
}

impl Framed {
    pub fn udf(self) -> WindowUDF {
        WindowUDF::new_from_impl(FramedUdf { framed: self, signature: Signature::variadic_any(Volatility::Immutable) })
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct FramedUdf {
    framed: Framed,
    signature: Signature,
}

impl WindowUDFImpl for FramedUdf {
    fn name(&self) -> &str {
        "framed"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> DfResult<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator { framed: self.framed.clone() }))
    }
    fn field(&self, args: WindowUDFFieldArgs) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), data_type(self.framed.ret), true)))
    }
    fn coerce_types(&self, arg_types: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }
}

#[derive(Debug)]
struct Evaluator {
    framed: Framed,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], num_rows: usize) -> DfResult<ArrayRef> {
        let partition = Partition::new(&self.framed, values, num_rows).map_err(to_df)?;
        match &self.framed.call {
            FramedCall::Aggregate(udaf) => partition.aggregate(udaf),
            FramedCall::Pick(name) => partition.pick(name).map_err(to_df),
        }
    }
}

/// A partition in order.
struct Partition<'a> {
    f: &'a Framed,
    values: &'a [ArrayRef],
    n: usize,
    /// The peers of each row.
    peers: Vec<Range<usize>>,
    /// The number of each row's group of peers, and the groups.
    group: Vec<usize>,
    groups: Vec<Range<usize>>,
}

impl<'a> Partition<'a> {
    fn new(f: &'a Framed, values: &'a [ArrayRef], n: usize) -> Result<Self> {
        let keys = &values[f.args + 1..f.args + 1 + f.order];
        let compare = keys
            .iter()
            .map(|k| make_comparator(k, k, SortOptions::default()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(arrow_error)?;
        let same = |a: usize, b: usize| compare.iter().all(|c| c(a, b) == Ordering::Equal);
        let mut groups: Vec<Range<usize>> = vec![];
        for i in 0..n {
            match groups.last_mut() {
                Some(g) if same(g.start, i) => g.end = i + 1,
                _ => groups.push(i..i + 1),
            }
        }
        let group: Vec<usize> = groups.iter().enumerate().flat_map(|(g, r)| r.clone().map(move |_| g)).collect();
        let peers = group.iter().map(|g| groups[*g].clone()).collect();
        Ok(Self { f, values, n, peers, group, groups })
    }

    /// The frame of each row, before EXCLUDE.
    fn frames(&self) -> Result<Vec<Range<usize>>> {
        let keyed = match self.f.units {
            FrameUnits::Range => Some(self.keyed()?),
            _ => None,
        };
        let one = |i: usize| {
            let (start, end) = match &keyed {
                Some(k) => k[i],
                None => (self.start(i), self.end(i)),
            };
            let (start, end) = (start.min(self.n), end.min(self.n));
            start..end.max(start)
        };
        Ok((0..self.n).map(one).collect())
    }

    fn start(&self, i: usize) -> usize {
        let rows = self.f.units == FrameUnits::Rows;
        let group = |g: usize| self.groups.get(g).map_or(self.n, |r| r.start);
        match self.f.start {
            FramedBound::Unbounded => 0,
            FramedBound::Current | FramedBound::Key if rows => i,
            FramedBound::Current | FramedBound::Key => self.peers[i].start,
            FramedBound::Before(k) if rows => i.saturating_sub(k as usize),
            FramedBound::After(k) if rows => i.saturating_add(k as usize),
            FramedBound::Before(k) => group(self.group[i].saturating_sub(k as usize)),
            FramedBound::After(k) => group(self.group[i].saturating_add(k as usize)),
        }
    }

    /// One past the last row.
    fn end(&self, i: usize) -> usize {
        let rows = self.f.units == FrameUnits::Rows;
        let group = |g: usize| self.groups.get(g).map_or(self.n, |r| r.end);
        match self.f.end {
            FramedBound::Unbounded => self.n,
            FramedBound::Current | FramedBound::Key if rows => i + 1,
            FramedBound::Current | FramedBound::Key => self.peers[i].end,
            FramedBound::Before(k) if rows => (i + 1).saturating_sub(k as usize),
            FramedBound::After(k) if rows => (i + 1).saturating_add(k as usize),
            FramedBound::Before(k) => match self.group[i].checked_sub(k as usize) {
                Some(g) => group(g),
                None => 0,
            },
            FramedBound::After(k) => group(self.group[i].saturating_add(k as usize)),
        }
    }

    /// RANGE: by the key's value where a bound has an offset; rows without a key see their peers.
    fn keyed(&self) -> Result<Vec<(usize, usize)>> {
        let plain = |i: usize| (self.start(i), self.end(i));
        let Some([key, start, end]) =
            self.values.get(self.f.args + 1 + self.f.order..).and_then(|v| v.first_chunk::<3>())
        else {
            return Ok((0..self.n).map(plain).collect());
        };
        let against = |bound: &ArrayRef| make_comparator(key, bound, SortOptions::default()).map_err(arrow_error);
        let (from, to) = (against(start)?, against(end)?);
        let present: Vec<usize> = (0..self.n).filter(|i| key.is_valid(*i)).collect();
        let (low, high) = (present.first().copied().unwrap_or(0), present.last().map_or(0, |l| l + 1));
        let directed = |o: Ordering| if self.f.desc { o.reverse() } else { o };
        // The first row that is not before the bound: rows with a key stand together, in order.
        let search = |before: &dyn Fn(usize) -> bool| {
            let (mut a, mut b) = (low, high);
            while a < b {
                let middle = a + (b - a) / 2;
                if before(middle) { a = middle + 1 } else { b = middle }
            }
            a
        };
        let one = |i: usize| {
            if key.is_null(i) {
                return plain(i);
            }
            let s = match self.f.start {
                FramedBound::Key => search(&|r| directed(from(r, i)) == Ordering::Less),
                _ => self.start(i),
            };
            let e = match self.f.end {
                FramedBound::Key => search(&|r| directed(to(r, i)) != Ordering::Greater),
                _ => self.end(i),
            };
            (s, e)
        };
        Ok((0..self.n).map(one).collect())
    }

    /// The rows of a frame.
    fn rows(&self, i: usize, frame: &Range<usize>) -> Vec<u32> {
        let peers = &self.peers[i];
        let kept = |r: &usize| match self.f.exclude {
            Exclude::NoOthers => true,
            Exclude::CurrentRow => *r != i,
            Exclude::Group => !peers.contains(r),
            Exclude::Ties => *r == i || !peers.contains(r),
        };
        frame.clone().filter(kept).map(|r| r as u32).collect()
    }

    fn aggregate(&self, udaf: &AggregateUDF) -> DfResult<ArrayRef> {
        let filter = cast_array::<BooleanArray>(&self.values[self.f.args]).map_err(to_df)?;
        let mut out: Vec<ScalarValue> = Vec::with_capacity(self.n);
        let mut last: Option<(Vec<u32>, Box<dyn Accumulator>)> = None;
        for (i, frame) in self.frames().map_err(to_df)?.iter().enumerate() {
            let mut rows = self.rows(i, frame);
            rows.retain(|r| filter.is_valid(*r as usize) && filter.value(*r as usize));
            let (known, mut state) = match last.take() {
                Some((before, state)) if rows.starts_with(&before) => (before.len(), state),
                _ => (0, aggregate::accumulator(udaf).map_err(to_df)?),
            };
            if rows.len() > known {
                let wanted = UInt32Array::from(rows[known..].to_vec());
                let args = &self.values[..self.f.args];
                let args = args.iter().map(|a| take(a, &wanted, None)).collect::<std::result::Result<Vec<_>, _>>()?;
                state.update_batch(&args)?;
            }
            out.push(state.evaluate()?);
            last = Some((rows, state));
        }
        ScalarValue::iter_to_array(out)
    }

    /// first_value, last_value, nth_value.
    fn pick(&self, name: &str) -> Result<ArrayRef> {
        let column = &self.values[0];
        let null = new_null_array(column.data_type(), 1);
        let mut at = Vec::with_capacity(self.n);
        for (i, frame) in self.frames()?.iter().enumerate() {
            let rows = self.rows(i, frame);
            let row = match name {
                "first_value" => rows.first(),
                "last_value" => rows.last(),
                _ => self.nth(i, &rows)?,
            };
            at.push(row.map_or((1, 0), |r| (0, *r as usize)));
        }
        interleave(&[column.as_ref(), null.as_ref()], &at).map_err(arrow_error)
    }

    fn nth<'r>(&self, i: usize, rows: &'r [u32]) -> Result<Option<&'r u32>> {
        let counts = cast_array::<Int32Array>(&self.values[1])?;
        if counts.is_null(i) {
            return Ok(None);
        }
        match counts.value(i) {
            n if n <= 0 => Err(Error::new(SqlState("22016"), "argument of nth_value must be greater than zero")),
            n => Ok(rows.get(n as usize - 1)),
        }
    }
}
