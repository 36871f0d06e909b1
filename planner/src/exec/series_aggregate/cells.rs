//! [`Cells`]: what is gathered about one field, group by group: only what some aggregate asks for.
//!
//! Rows come as *pieces*: neighbouring rows of one column that belong to one group. Of a piece, sum and extremes are computed in a
//! tight loop over the column's own values, and meet the group's cell once.

use crate::function::error::float_overflow;
use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use heddle_engines::point::blocks::{FieldSummary, Summary};
use heddle_types::{Class, Error, PgType, Result};
use std::fmt::Debug;
use std::ops::Range;

/// Neighbouring rows of one group.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub group: usize,
    pub rows: Range<usize>,
}

/// What is asked about a field. The count of its values always is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    pub sum: bool,
    pub min: bool,
    pub max: bool,
    pub first: bool,
    pub last: bool,
}

impl Need {
    /// Is it known of blocks?
    pub fn of_blocks(self) -> bool {
        !self.first && !self.last
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Cells {
    need: Need,
    /// Values that are not NULL.
    pub count: Vec<i64>,
    pub values: Values,
}

/// By the type of the field.
#[derive(Debug)]
pub(super) enum Values {
    /// int2, int4, int8
    Ints(Columns<i64>),
    /// float4, float8
    Floats(Columns<f64>),
    /// Others are only counted.
    Counted,
}

/// One entry per group in each vector that is needed. Where the count is 0, entries mean nothing.
#[derive(Debug, Default)]
pub(super) struct Columns<W: Wide> {
    pub sum: Vec<W::Sum>,
    pub min: Vec<W>,
    pub max: Vec<W>,
    /// With its time.
    pub first: Vec<(i64, W)>,
    pub last: Vec<(i64, W)>,
}

/// What is known of some values, at least one: a group, a piece or a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<W: Wide> {
    pub sum: W::Sum,
    pub min: W,
    pub max: W,
    pub first: (i64, W),
    pub last: (i64, W),
}

/// The wide form of a field's values.
pub(super) trait Wide: Copy + Default + Debug {
    type Sum: Copy + Default + Debug;
    /// PostgreSQL's order (NaN is greatest).
    fn less(self, other: Self) -> bool;
    /// # Errors
    /// `22003` when floats overflow.
    fn add(a: Self::Sum, b: Self::Sum) -> Result<Self::Sum>;
}

impl Wide for i64 {
    /// 2^63 rows of 2^64 fit.
    type Sum = i128;
    fn less(self, other: Self) -> bool {
        self < other
    }
    fn add(a: i128, b: i128) -> Result<i128> {
        Ok(a + b)
    }
}

impl Wide for f64 {
    type Sum = f64;
    fn less(self, other: Self) -> bool {
        self < other || (other.is_nan() && !self.is_nan())
    }
    fn add(a: f64, b: f64) -> Result<f64> {
        let sum = a + b;
        if sum.is_infinite() && a.is_finite() && b.is_finite() { Err(float_overflow()) } else { Ok(sum) }
    }
}

/// A field's own values.
trait Native<W: Wide>: Copy {
    fn wide(self) -> W;
    /// # Errors
    /// As [`Wide::add`].
    fn sum(values: &[Self]) -> Result<W::Sum>;
    /// Of at least one value.
    fn min(values: &[Self]) -> W;
    fn max(values: &[Self]) -> W;
}

macro_rules! small_int {
    ($($t:ty),*) => { $(impl Native<i64> for $t {
        fn wide(self) -> i64 {
            self.into()
        }
        fn sum(values: &[Self]) -> Result<i128> {
            // No batch has 2^31 rows.
            Ok(values.iter().map(|v| i64::from(*v)).sum::<i64>().into())
        }
        fn min(values: &[Self]) -> i64 {
            values.iter().fold(Self::MAX, |m, v| m.min(*v)).into()
        }
        fn max(values: &[Self]) -> i64 {
            values.iter().fold(Self::MIN, |m, v| m.max(*v)).into()
        }
    })* };
}
small_int!(i16, i32);

impl Native<i64> for i64 {
    fn wide(self) -> i64 {
        self
    }
    fn sum(values: &[Self]) -> Result<i128> {
        Ok(values.iter().map(|v| i128::from(*v)).sum())
    }
    fn min(values: &[Self]) -> i64 {
        values.iter().fold(Self::MAX, |m, v| m.min(*v))
    }
    fn max(values: &[Self]) -> i64 {
        values.iter().fold(Self::MIN, |m, v| m.max(*v))
    }
}

macro_rules! float {
    ($($t:ty),*) => { $(impl Native<f64> for $t {
        fn wide(self) -> f64 {
            self.into()
        }
        fn sum(values: &[Self]) -> Result<f64> {
            let sum = values.iter().fold(0.0, |sum, v| sum + f64::from(*v));
            // An infinity or NaN may have been there, or have come about: look again, step by step.
            if sum.is_finite() { Ok(sum) } else { values.iter().try_fold(0.0, |sum, v| f64::add(sum, (*v).into())) }
        }
        fn min(values: &[Self]) -> f64 {
            values.iter().fold(Self::NAN, |m, v| if *v < m || m.is_nan() { *v } else { m }).into()
        }
        fn max(values: &[Self]) -> f64 {
            values.iter().fold(Self::NEG_INFINITY, |m, v| if *v > m || v.is_nan() { *v } else { m }).into()
        }
    })* };
}
float!(f32, f64);

impl Cells {
    /// Of no group yet.
    pub fn new(ty: PgType, need: Need) -> Self {
        let values = match ty.class() {
            Class::Int2 | Class::Int4 | Class::Int8 => Values::Ints(Columns::default()),
            Class::Float4 | Class::Float8 => Values::Floats(Columns::default()),
            _ => Values::Counted,
        };
        Self { need, count: Vec::new(), values }
    }

    /// Makes room for `groups` groups.
    pub fn grow(&mut self, groups: usize) {
        self.count.resize(groups, 0);
        match &mut self.values {
            Values::Ints(columns) => columns.grow(groups, self.need),
            Values::Floats(columns) => columns.grow(groups, self.need),
            Values::Counted => {}
        }
    }

    /// Bytes per group.
    pub fn bytes(&self) -> usize {
        let Need { sum, min, max, first, last } = self.need;
        let plain = [sum, sum, min, max].iter().filter(|n| **n).count();
        8 * (1 + plain) + 16 * [first, last].iter().filter(|n| **n).count()
    }

    /// Adds pieces of a column of the field.
    ///
    /// # Errors
    /// `22003` when a sum of floats overflows.
    pub fn add(&mut self, column: &ArrayRef, times: &[i64], pieces: &[Piece]) -> Result<()> {
        let mut into = Adding { need: self.need, count: &mut self.count, times, pieces };
        match &mut self.values {
            Values::Counted => into.count(column),
            Values::Ints(columns) => match column.data_type() {
                arrow::datatypes::DataType::Int16 => into.column::<Int16Type, i64>(columns, column),
                arrow::datatypes::DataType::Int32 => into.column::<Int32Type, i64>(columns, column),
                _ => into.column::<Int64Type, i64>(columns, column),
            },
            Values::Floats(columns) => match column.data_type() {
                arrow::datatypes::DataType::Float32 => into.column::<Float32Type, f64>(columns, column),
                _ => into.column::<Float64Type, f64>(columns, column),
            },
        }
    }

    /// Adds what is known of a block, which is not where its first and last values are.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_summary(&mut self, group: usize, summary: &FieldSummary) -> Result<()> {
        let count = self.count[group];
        match (&mut self.values, summary.values) {
            (Values::Ints(ints), Some(Summary::Int { min, max, sum })) => {
                ints.meet(group, count, self.need, Known { sum, min, max, first: (0, 0), last: (0, 0) })?;
            }
            (Values::Floats(floats), Some(Summary::Float { min, max, sum })) => {
                if sum.is_infinite() && min.is_finite() && max.is_finite() && self.need.sum {
                    return Err(float_overflow());
                }
                floats.meet(group, count, self.need, Known { sum, min, max, first: (0, 0.0), last: (0, 0.0) })?;
            }
            _ => {}
        }
        self.count[group] += summary.count as i64;
        Ok(())
    }

    /// Adds what `other` has in group `from` to group `to`.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn merge(&mut self, to: usize, other: &Self, from: usize) -> Result<()> {
        let count = other.count[from];
        if count > 0 {
            match (&mut self.values, &other.values) {
                (Values::Ints(a), Values::Ints(b)) => a.meet(to, self.count[to], self.need, b.known(from))?,
                (Values::Floats(a), Values::Floats(b)) => a.meet(to, self.count[to], self.need, b.known(from))?,
                _ => {}
            }
        }
        self.count[to] += count;
        Ok(())
    }
}

impl<W: Wide> Columns<W> {
    fn grow(&mut self, groups: usize, need: Need) {
        fn room<T: Clone + Default>(column: &mut Vec<T>, groups: usize, needed: bool) {
            if needed {
                column.resize(groups, T::default());
            }
        }
        room(&mut self.sum, groups, need.sum);
        room(&mut self.min, groups, need.min);
        room(&mut self.max, groups, need.max);
        room(&mut self.first, groups, need.first);
        room(&mut self.last, groups, need.last);
    }

    fn known(&self, group: usize) -> Known<W> {
        fn of<T: Copy + Default>(column: &[T], group: usize) -> T {
            column.get(group).copied().unwrap_or_default()
        }
        Known {
            sum: of(&self.sum, group),
            min: of(&self.min, group),
            max: of(&self.max, group),
            first: of(&self.first, group),
            last: of(&self.last, group),
        }
    }

    /// Adds what is known of some values to a group that has `count` values so far.
    #[inline]
    fn meet(&mut self, group: usize, count: i64, need: Need, known: Known<W>) -> Result<()> {
        let is_first = count == 0;
        if need.sum {
            let sum = &mut self.sum[group];
            *sum = W::add(*sum, known.sum)?;
        }
        if need.min {
            let min = &mut self.min[group];
            if is_first || known.min.less(*min) {
                *min = known.min;
            }
        }
        if need.max {
            let max = &mut self.max[group];
            if is_first || max.less(known.max) {
                *max = known.max;
            }
        }
        if need.first {
            let first = &mut self.first[group];
            if is_first || known.first.0 < first.0 {
                *first = known.first;
            }
        }
        if need.last {
            let last = &mut self.last[group];
            if is_first || known.last.0 > last.0 {
                *last = known.last;
            }
        }
        Ok(())
    }
}

/// Pieces on their way into the cells of one field.
struct Adding<'a> {
    need: Need,
    count: &'a mut [i64],
    times: &'a [i64],
    pieces: &'a [Piece],
}

impl Adding<'_> {
    fn count(&mut self, column: &ArrayRef) -> Result<()> {
        let nulls = column.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        for Piece { group, rows } in self.pieces {
            let nulls = nulls.as_ref().map_or(0, |nulls| nulls.slice(rows.start, rows.len()).null_count());
            self.count[*group] += (rows.len() - nulls) as i64;
        }
        Ok(())
    }

    fn column<T, W>(&mut self, columns: &mut Columns<W>, column: &ArrayRef) -> Result<()>
    where
        T: ArrowPrimitiveType<Native: Native<W>>,
        W: Wide,
    {
        let unexpected = || Error::internal(format!("a field of an unexpected type: {}", column.data_type()));
        let array = column.as_primitive_opt::<T>().ok_or_else(unexpected)?;
        match array.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.dense(columns, array.values()),
            Some(nulls) => self.sparse(columns, array.values(), nulls),
        }
    }

    fn dense<N: Native<W>, W: Wide>(&mut self, columns: &mut Columns<W>, values: &[N]) -> Result<()> {
        for Piece { group, rows } in self.pieces {
            let values = &values[rows.clone()];
            let known = self.known(values, &self.times[rows.clone()])?;
            columns.meet(*group, self.count[*group], self.need, known)?;
            self.count[*group] += values.len() as i64;
        }
        Ok(())
    }

    /// Packs the values of a piece that are not NULL.
    fn sparse<N: Native<W>, W: Wide>(
        &mut self,
        columns: &mut Columns<W>,
        values: &[N],
        nulls: &NullBuffer,
    ) -> Result<()> {
        let (mut packed, mut times) = (Vec::new(), Vec::new());
        for Piece { group, rows } in self.pieces {
            packed.clear();
            times.clear();
            for row in nulls.slice(rows.start, rows.len()).valid_indices() {
                packed.push(values[rows.start + row]);
                times.push(self.times[rows.start + row]);
            }
            if packed.is_empty() {
                continue;
            }
            let known = self.known(&packed, &times)?;
            columns.meet(*group, self.count[*group], self.need, known)?;
            self.count[*group] += packed.len() as i64;
        }
        Ok(())
    }

    /// What is needed of at least one value.
    #[inline]
    fn known<N: Native<W>, W: Wide>(&self, values: &[N], times: &[i64]) -> Result<Known<W>> {
        let Need { sum, min, max, .. } = self.need;
        let last = values.len() - 1;
        Ok(Known {
            sum: if sum { N::sum(values)? } else { W::Sum::default() },
            min: if min { N::min(values) } else { W::default() },
            max: if max { N::max(values) } else { W::default() },
            first: (times[0], values[0].wide()),
            last: (times[last], values[last].wide()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::arrow::column;
    use heddle_types::{Datum, oid};

    const ALL: Need = Need { sum: true, min: true, max: true, first: true, last: true };

    fn pieces(ranges: &[(usize, Range<usize>)]) -> Vec<Piece> {
        ranges.iter().map(|(group, rows)| Piece { group: *group, rows: rows.clone() }).collect()
    }

    #[test]
    fn pieces_meet_in_their_groups_and_nulls_do_not_count() {
        let ty = PgType::new(oid::INT4);
        let values: Vec<Datum> =
            [3, -7, 5, i32::MAX, 9].iter().map(|v| if *v == 5 { Datum::Null } else { Datum::Int4(*v) }).collect();
        let array = column(&values, ty).expect("of the type");
        let mut cells = Cells::new(ty, ALL);
        cells.grow(3);
        cells.add(&array, &[10, 20, 30, 40, 50], &pieces(&[(0, 0..2), (1, 2..3), (0, 3..5)])).expect("it adds up");
        assert_eq!(cells.count, [4, 0, 0]);
        let Values::Ints(ints) = &cells.values else { panic!("{cells:?}") };
        let known = ints.known(0);
        assert_eq!((known.sum, known.min, known.max), (i128::from(i32::MAX) + 5, -7, i32::MAX.into()));
        assert_eq!((known.first, known.last), ((10, 3), (50, 9)));
        let mut whole = Cells::new(ty, ALL);
        whole.grow(1);
        whole.merge(0, &cells, 1).expect("nothing to add");
        whole.merge(0, &cells, 0).expect("it adds up");
        assert_eq!(whole.count, [4]);
        let Values::Ints(ints) = &whole.values else { panic!("{whole:?}") };
        assert_eq!((ints.min[0], ints.first[0]), (-7, (10, 3)));
    }

    #[test]
    fn nan_is_greatest_and_overflow_is_an_error() {
        let ty = PgType::new(oid::FLOAT8);
        let add = |values: &[f64]| {
            let values: Vec<Datum> = values.iter().map(|v| Datum::Float8(*v)).collect();
            let array = column(&values, ty).expect("of the type");
            let mut cells = Cells::new(ty, ALL);
            cells.grow(1);
            let times: Vec<i64> = (0..values.len() as i64).collect();
            cells.add(&array, &times, &pieces(&[(0, 0..1), (0, 1..values.len())])).map(|()| match cells.values {
                Values::Floats(floats) => floats.known(0),
                other => panic!("{other:?}"),
            })
        };
        let known = add(&[1.0, f64::NAN, -2.0]).expect("no overflow");
        assert!(known.min == -2.0 && known.max.is_nan() && known.sum.is_nan());
        assert!(add(&[f64::NAN, f64::NAN]).expect("no overflow").min.is_nan());
        assert_eq!(add(&[1.0, f64::INFINITY, -2.0]).expect("it was there").sum, f64::INFINITY);
        assert!(add(&[1.0, f64::MAX, f64::MAX]).is_err());
        assert!(add(&[f64::MAX, f64::MAX]).is_err());
    }
}
