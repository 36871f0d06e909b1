//! [`FieldCondition`]: what a scan of points may test by itself, so that rows that fail are never built.
//!
//! A condition is exact: a scan gives the points that fulfil all its conditions and no others, so nobody tests them again.
//! Values compare as in PostgreSQL (NaN is equal to itself and above everything else); NULL fulfils [`FieldTest::Null`] alone.

use arrow::array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::DataType;
use heddle_types::key::compare_floats;
use heddle_types::{Class, Error, PgType, Result};
use std::cmp::Ordering;
use std::fmt;

/// A test of one field of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldCondition {
    /// Place in [`crate::point::SeriesLayout::fields`].
    pub field: usize,
    /// What must hold.
    pub test: FieldTest,
}

/// What must hold of a field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FieldTest {
    /// IS NULL
    Null,
    /// IS NOT NULL
    NotNull,
    /// int2, int4, int8
    Int(Comparison, i64),
    /// float4, float8
    Float(Comparison, f64),
}

/// How a value compares with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

impl Comparison {
    /// Does it hold for a value that is `order` of the constant?
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }

    /// May it hold for a value between `min` and `max`, which are so placed to the constant?
    pub fn may_hold(self, min: Ordering, max: Ordering) -> bool {
        match self {
            Self::Less => min.is_lt(),
            Self::LessOrEqual => min.is_le(),
            Self::Equal => min.is_le() && max.is_ge(),
            Self::NotEqual => min.is_ne() || max.is_ne(),
            Self::GreaterOrEqual => max.is_ge(),
            Self::Greater => max.is_gt(),
        }
    }

    /// The same with its sides exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Greater => Self::Less,
            same => same,
        }
    }
}

/// As SQL says it, behind the field's name.
impl fmt::Display for FieldTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "IS NULL"),
            Self::NotNull => write!(f, "IS NOT NULL"),
            Self::Int(comparison, value) => write!(f, "{comparison} {value}"),
            Self::Float(comparison, value) if value.is_nan() => write!(f, "{comparison} 'NaN'"),
            Self::Float(comparison, value) => write!(f, "{comparison} '{value}'"),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">",
        })
    }
}

impl FieldTest {
    /// May fields of this type be tested so?
    pub fn suits(&self, ty: PgType) -> bool {
        match self {
            Self::Null | Self::NotNull => true,
            Self::Int(..) => matches!(ty.class(), Class::Int2 | Class::Int4 | Class::Int8),
            Self::Float(..) => matches!(ty.class(), Class::Float4 | Class::Float8),
        }
    }

    /// The values for which it holds.
    ///
    /// # Errors
    /// `XX000` when the column is of a type that it does not suit.
    pub fn holds(&self, column: &ArrayRef) -> Result<BooleanBuffer> {
        match *self {
            Self::Null => Ok(!&valid(column)),
            Self::NotNull => Ok(valid(column)),
            Self::Int(comparison, value) => match column.data_type() {
                DataType::Int16 => Ok(compare::<Int16Type>(column, comparison, |v| i64::from(v).cmp(&value))),
                DataType::Int32 => Ok(compare::<Int32Type>(column, comparison, |v| i64::from(v).cmp(&value))),
                DataType::Int64 => Ok(compare::<Int64Type>(column, comparison, |v| v.cmp(&value))),
                other => Err(unsuited(other)),
            },
            Self::Float(comparison, value) => match column.data_type() {
                DataType::Float32 => {
                    Ok(compare::<Float32Type>(column, comparison, |v| compare_floats(v.into(), value)))
                }
                DataType::Float64 => Ok(compare::<Float64Type>(column, comparison, |v| compare_floats(v, value))),
                other => Err(unsuited(other)),
            },
        }
    }
}

/// The rows for which all of `conditions` hold; `column` gives the values of a field.
///
/// # Errors
/// As [`FieldTest::holds`].
pub fn all_hold<'a>(
    conditions: &[FieldCondition],
    rows: usize,
    column: impl Fn(usize) -> &'a ArrayRef,
) -> Result<BooleanBuffer> {
    let mut all = BooleanBuffer::new_set(rows);
    for condition in conditions {
        all = &all & &condition.test.holds(column(condition.field))?;
    }
    Ok(all)
}

fn unsuited(ty: &DataType) -> Error {
    Error::internal(format!("a field of type {ty} is tested as another one"))
}

fn valid(column: &ArrayRef) -> BooleanBuffer {
    match column.logical_nulls() {
        Some(nulls) => nulls.inner().clone(),
        None => BooleanBuffer::new_set(column.len()),
    }
}

fn compare<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    comparison: Comparison,
    order: impl Fn(T::Native) -> Ordering,
) -> BooleanBuffer {
    let column = column.as_primitive::<T>();
    let values = column.values();
    // One loop for each comparison: the compiler makes it a few instructions for many values.
    let collect = |holds: &dyn Fn(usize) -> bool| BooleanBuffer::collect_bool(values.len(), holds);
    let holds = match comparison {
        Comparison::Less => BooleanBuffer::collect_bool(values.len(), |i| order(values[i]).is_lt()),
        Comparison::Greater => BooleanBuffer::collect_bool(values.len(), |i| order(values[i]).is_gt()),
        other => collect(&|i| other.holds(order(values[i]))),
    };
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        Some(nulls) => &holds & nulls.inner(),
        None => holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, Int32Array};
    use std::sync::Arc;

    fn held(test: FieldTest, column: ArrayRef) -> Vec<usize> {
        test.holds(&column).expect("it suits").set_indices().collect()
    }

    #[test]
    fn integers_compare_beyond_their_width() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(-3), None, Some(7), Some(i32::MAX)]));
        let test = |c, v| held(FieldTest::Int(c, v), Arc::clone(&column));
        assert_eq!(test(Comparison::Greater, 7), [3]);
        assert_eq!(test(Comparison::GreaterOrEqual, 7), [2, 3]);
        assert_eq!(test(Comparison::NotEqual, 7), [0, 3]);
        assert_eq!(test(Comparison::Less, i64::MAX), [0, 2, 3]);
        assert_eq!(test(Comparison::Equal, i64::from(i32::MAX) + 1), [0usize; 0]);
        assert_eq!(held(FieldTest::Null, Arc::clone(&column)), [1]);
        assert_eq!(held(FieldTest::NotNull, column), [0, 2, 3]);
    }

    #[test]
    fn floats_order_like_postgresql() {
        let values = vec![Some(f64::NAN), Some(-0.0), None, Some(f64::INFINITY), Some(-1.0)];
        let column: ArrayRef = Arc::new(Float64Array::from(values));
        let test = |c, v| held(FieldTest::Float(c, v), Arc::clone(&column));
        assert_eq!(test(Comparison::Greater, f64::INFINITY), [0]);
        assert_eq!(test(Comparison::Equal, f64::NAN), [0]);
        assert_eq!(test(Comparison::Less, f64::NAN), [1, 3, 4]);
        assert_eq!(test(Comparison::Equal, 0.0), [1]);
        assert_eq!(test(Comparison::LessOrEqual, 0.0), [1, 4]);
    }

    #[test]
    fn bounds_prune_no_more_than_they_may() {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        for comparison in [Less, LessOrEqual, Equal, NotEqual, GreaterOrEqual, Greater] {
            for (min, max) in [(1, 1), (1, 3), (2, 2), (2, 3), (3, 3)] {
                let any = (min..=max).any(|v: i32| comparison.holds(v.cmp(&2)));
                assert_eq!(comparison.may_hold(min.cmp(&2), max.cmp(&2)), any, "{comparison:?} {min}..={max}");
            }
        }
    }
}
