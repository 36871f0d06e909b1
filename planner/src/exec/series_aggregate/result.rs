//! The columns of the groups: PostgreSQL's values and types of what the cells hold.

use super::SeriesAggregate;
use super::cells::{Cells, Values};
use super::partial::Partial;
use super::recognise::{Key, Measure};
use crate::bound::ColId;
use crate::exec::rowset::{Column, RowSet};
use crate::function::error::{float_overflow, out_of_range};
use heddle_engines::parallel;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Class, Datum, Error, Numeric, PgType, Result};

/// Fewer values are made sooner than threads are started: an average takes a tenth of a microsecond.
const PARALLEL_VALUES_MIN: usize = 8 << 10;

impl SeriesAggregate {
    /// All groups, in the order in which they were met.
    pub(super) fn rows(&self, mut all: Partial) -> Result<RowSet> {
        if self.keys.is_empty() {
            all.ensure_group();
        }
        let groups = all.groups.len();
        let mut columns = Vec::with_capacity(self.keys.len() + self.calls.len());
        let tag_sets: Vec<&[Datum]> = all.groups.tag_sets().collect();
        for (id, ty, key) in &self.keys {
            let mut out = ColumnBuilder::new(*ty, groups);
            for (set, start) in (0..groups).map(|group| all.groups.place(group)) {
                match key {
                    Key::Bucket => out.append(&Datum::Timestamp(start))?,
                    Key::Tag(at) => out.append(&tag_sets[set as usize][*at])?,
                }
            }
            columns.push((*id, Column::Array(out.finish())));
        }
        let column = |(id, ty, measure): &(ColId, PgType, Measure)| {
            let mut out = ColumnBuilder::new(*ty, groups);
            (0..groups).try_for_each(|group| out.append(&value(&all, *measure, *ty, group)?))?;
            Ok((*id, Column::Array(out.finish())))
        };
        let calls: Vec<Result<(ColId, Column)>> = match groups * self.calls.len() >= PARALLEL_VALUES_MIN {
            true => parallel::map(self.calls.iter().collect(), column),
            false => self.calls.iter().map(column).collect(),
        };
        for call in calls {
            columns.push(call?);
        }
        Ok(RowSet { rows: groups, columns })
    }
}

fn value(all: &Partial, measure: Measure, ty: PgType, group: usize) -> Result<Datum> {
    let (first, last) = all.times[group];
    match measure {
        Measure::Rows => Ok(Datum::Int8(all.rows[group])),
        Measure::FirstTime | Measure::LastTime if all.rows[group] == 0 => Ok(Datum::Null),
        Measure::FirstTime => Ok(Datum::Timestamp(first)),
        Measure::LastTime => Ok(Datum::Timestamp(last)),
        Measure::Count(at) => Ok(Datum::Int8(all.cells[at].count[group])),
        Measure::Sum(at) => field_value(&all.cells[at], measure, ty, group),
        Measure::Avg(at) | Measure::Min(at) | Measure::Max(at) => field_value(&all.cells[at], measure, ty, group),
        Measure::First(at) | Measure::Last(at) => field_value(&all.cells[at], measure, ty, group),
    }
}

fn field_value(cells: &Cells, measure: Measure, ty: PgType, group: usize) -> Result<Datum> {
    let count = cells.count[group];
    if count == 0 {
        return Ok(Datum::Null);
    }
    match &cells.values {
        Values::Ints(ints) => match measure {
            Measure::Sum(_) => int_sum(ints.sum[group], ty),
            Measure::Avg(_) => {
                let sum = Numeric::from_parts(ints.sum[group], 0);
                sum.div(&Numeric::from_i64(count)).map(Datum::Numeric)
            }
            Measure::Min(_) => int(ints.min[group], ty),
            Measure::Max(_) => int(ints.max[group], ty),
            Measure::First(_) => int(ints.first[group].1, ty),
            _ => int(ints.last[group].1, ty),
        },
        Values::Floats(floats) => match measure {
            Measure::Sum(_) => float_sum(floats.sum[group], ty),
            Measure::Avg(_) => Ok(Datum::Float8(floats.sum[group] / count as f64)),
            Measure::Min(_) => Ok(float(floats.min[group], ty)),
            Measure::Max(_) => Ok(float(floats.max[group], ty)),
            Measure::First(_) => Ok(float(floats.first[group].1, ty)),
            _ => Ok(float(floats.last[group].1, ty)),
        },
        Values::Counted => Err(Error::internal("a field without number was to be computed with")),
    }
}

/// sum(int2) and sum(int4) are bigint, sum(int8) is numeric.
fn int_sum(sum: i128, ty: PgType) -> Result<Datum> {
    match ty.class() {
        Class::Int8 => i64::try_from(sum).map(Datum::Int8).map_err(|_| out_of_range("bigint")),
        _ => Ok(Datum::Numeric(Numeric::from_parts(sum, 0))),
    }
}

fn int(v: i64, ty: PgType) -> Result<Datum> {
    let wrong = |_| Error::internal("an integer left the range of its field");
    match ty.class() {
        Class::Int2 => v.try_into().map(Datum::Int2).map_err(wrong),
        Class::Int4 => v.try_into().map(Datum::Int4).map_err(wrong),
        _ => Ok(Datum::Int8(v)),
    }
}

/// sum(float4) is float4, though it is added up as float8.
fn float_sum(sum: f64, ty: PgType) -> Result<Datum> {
    let value = float(sum, ty);
    match value {
        Datum::Float4(v) if v.is_infinite() && sum.is_finite() => Err(float_overflow()),
        value => Ok(value),
    }
}

fn float(v: f64, ty: PgType) -> Datum {
    match ty.class() {
        Class::Float4 => Datum::Float4(v as f32),
        _ => Datum::Float8(v),
    }
}
