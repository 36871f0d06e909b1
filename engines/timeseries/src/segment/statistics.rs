//! Block statistics: count, minimum, maximum, sum, first and last value of each number column, per block of a series.
//!
//! The writer gathers them ([`ColumnStatistics`]), the sidecar keeps them encoded ([`StatisticsColumn`]), aggregates over whole
//! blocks may be answered from them. Columns of other types have none, and neither have blocks of fewer than [`ROWS_MIN`] rows,
//! which are read as quickly and would cost more than their rows.

use super::varint::{Input, put, put_signed};
use arrow::array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type};
use arrow::array::{Array, ArrayRef, AsArray};
use heddle_types::key::compare_floats;
use heddle_types::{Class, PgType};
use std::ops::Range;
use std::sync::OnceLock;

/// Rows of a block: a run of rows of one series, counted from its first one. Only its last block may be shorter.
pub const BLOCK_ROWS: u64 = 1024;
/// Shorter blocks have no statistics.
pub const ROWS_MIN: u64 = 256;

/// What is known about a column of a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockStatistics {
    /// Values that are not NULL.
    pub count: u64,
    /// About those; `None` when there are none.
    pub values: Option<Summary>,
}

/// The values that are not NULL. First and last are those of the lowest and highest time that has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Summary {
    /// int2, int4, int8
    Int {
        /// Minimum.
        min: i64,
        /// Maximum.
        max: i64,
        /// Exact.
        sum: i128,
        /// First.
        first: i64,
        /// Last.
        last: i64,
    },
    /// float4, float8; order as in PostgreSQL (NaN is greatest)
    Float {
        /// Minimum.
        min: f64,
        /// Maximum.
        max: f64,
        /// In row order.
        sum: f64,
        /// First.
        first: f64,
        /// Last.
        last: f64,
    },
}

/// Do columns of this type have statistics?
pub fn counted(ty: PgType) -> bool {
    matches!(ty.class(), Class::Int2 | Class::Int4 | Class::Int8 | Class::Float4 | Class::Float8)
}

/// Gathers the statistics of one column, series by series.
pub struct ColumnStatistics {
    class: Class,
    /// Of the block that is not complete.
    count: u64,
    values: Option<Summary>,
    /// Encoded blocks.
    pub bytes: Vec<u8>,
}

impl ColumnStatistics {
    /// For a column of `ty`; `None` when its type has none.
    pub fn new(ty: PgType) -> Option<Self> {
        counted(ty).then(|| Self { class: ty.class(), count: 0, values: None, bytes: Vec::new() })
    }

    /// Adds rows to the current block.
    pub fn add(&mut self, column: &ArrayRef, rows: Range<usize>) {
        match self.class {
            Class::Int2 => self.add_ints::<Int16Type>(column, rows),
            Class::Int4 => self.add_ints::<Int32Type>(column, rows),
            Class::Int8 => self.add_ints::<Int64Type>(column, rows),
            Class::Float4 => self.add_floats::<Float32Type>(column, rows),
            _ => self.add_floats::<Float64Type>(column, rows),
        }
    }

    fn add_ints<T: ArrowPrimitiveType<Native: Into<i64>>>(&mut self, column: &ArrayRef, rows: Range<usize>) {
        each::<T>(column, rows, |v| {
            let v: i64 = v.into();
            self.count += 1;
            match &mut self.values {
                Some(Summary::Int { min, max, sum, last, .. }) => {
                    (*min, *max, *sum, *last) = ((*min).min(v), (*max).max(v), *sum + i128::from(v), v);
                }
                values => *values = Some(Summary::Int { min: v, max: v, sum: v.into(), first: v, last: v }),
            }
        });
    }

    fn add_floats<T: ArrowPrimitiveType<Native: Into<f64>>>(&mut self, column: &ArrayRef, rows: Range<usize>) {
        each::<T>(column, rows, |v| {
            let v: f64 = v.into();
            self.count += 1;
            match &mut self.values {
                Some(Summary::Float { min, max, sum, last, .. }) => {
                    *min = if compare_floats(v, *min).is_lt() { v } else { *min };
                    *max = if compare_floats(v, *max).is_gt() { v } else { *max };
                    (*sum, *last) = (*sum + v, v);
                }
                values => *values = Some(Summary::Float { min: v, max: v, sum: v, first: v, last: v }),
            }
        });
    }

    /// Ends the block, which has `rows` rows.
    pub fn end_block(&mut self, rows: u64) {
        let (count, values) = (std::mem::take(&mut self.count), self.values.take());
        if rows < ROWS_MIN {
            return;
        }
        put(&mut self.bytes, (rows - count).into());
        match values {
            None => {}
            Some(Summary::Int { min, max, sum, first, last }) => {
                let base = i128::from(first);
                put_signed(&mut self.bytes, base);
                put_signed(&mut self.bytes, i128::from(last) - base);
                put(&mut self.bytes, (base - i128::from(min)) as u128);
                put(&mut self.bytes, (i128::from(max) - base) as u128);
                put_signed(&mut self.bytes, sum - base * i128::from(count));
            }
            Some(Summary::Float { min, max, sum, first, last }) => {
                [min, max, sum, first, last].iter().for_each(|v| self.bytes.extend_from_slice(&v.to_le_bytes()));
            }
        }
    }
}

/// Calls `f` for each value in `rows` that is not NULL.
fn each<T: ArrowPrimitiveType>(column: &ArrayRef, rows: Range<usize>, mut f: impl FnMut(T::Native)) {
    let column = column.as_primitive::<T>();
    let values = &column.values()[rows.clone()];
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => values.iter().for_each(|v| f(*v)),
        Some(nulls) => rows.zip(values).filter(|(i, _)| nulls.is_valid(*i)).for_each(|(_, v)| f(*v)),
    }
}

/// The statistics of one column as the sidecar keeps them.
pub struct StatisticsColumn {
    float: bool,
    bytes: Vec<u8>,
    /// Where each series begins; found when first asked for.
    starts: OnceLock<Option<Vec<u32>>>,
}

impl StatisticsColumn {
    /// Over what [`ColumnStatistics`] wrote for a column of `ty`.
    pub fn new(ty: PgType, bytes: Vec<u8>) -> Self {
        let float = matches!(ty.class(), Class::Float4 | Class::Float8);
        Self { float, bytes, starts: OnceLock::new() }
    }

    /// The blocks of series number `entry`, of which all have `rows` rows: `None` for those without statistics.
    ///
    /// An outer `None` means malformed bytes.
    pub fn blocks(&self, rows: &[u64], entry: usize) -> Option<Vec<Option<BlockStatistics>>> {
        let starts = self.starts.get_or_init(|| self.find_starts(rows)).as_ref()?;
        let mut input = Input(self.bytes.get(*starts.get(entry)? as usize..)?);
        block_rows(*rows.get(entry)?).map(|rows| self.block(&mut input, rows)).collect()
    }

    fn find_starts(&self, rows: &[u64]) -> Option<Vec<u32>> {
        let mut input = Input(&self.bytes);
        let mut starts = Vec::with_capacity(rows.len());
        for rows in rows {
            starts.push(u32::try_from(self.bytes.len() - input.0.len()).ok()?);
            for rows in block_rows(*rows) {
                self.block(&mut input, rows)?;
            }
        }
        input.0.is_empty().then_some(starts)
    }

    fn block(&self, input: &mut Input<'_>, rows: u64) -> Option<Option<BlockStatistics>> {
        if rows < ROWS_MIN {
            return Some(None);
        }
        let count = rows.checked_sub(input.u64()?)?;
        let values = match (count, self.float) {
            (0, _) => None,
            (_, true) => Some(float_summary(input)?),
            (_, false) => Some(int_summary(input, count)?),
        };
        Some(Some(BlockStatistics { count, values }))
    }
}

/// Rows of each block of a series of `rows` rows.
pub fn block_rows(rows: u64) -> impl Iterator<Item = u64> {
    (0..rows.div_ceil(BLOCK_ROWS)).map(move |block| BLOCK_ROWS.min(rows - block * BLOCK_ROWS))
}

fn int_summary(input: &mut Input<'_>, count: u64) -> Option<Summary> {
    let first = input.i64()?;
    let base = i128::from(first);
    let fits = |v: Option<i128>| i64::try_from(v?).ok();
    let last = fits(base.checked_add(input.wide_signed()?))?;
    let min = fits(base.checked_sub_unsigned(input.wide()?))?;
    let max = fits(base.checked_add_unsigned(input.wide()?))?;
    let sum = input.wide_signed()?.checked_add(base * i128::from(count))?;
    Some(Summary::Int { min, max, sum, first, last })
}

fn float_summary(input: &mut Input<'_>) -> Option<Summary> {
    let [min, max, sum, first, last] = [input.f64()?, input.f64()?, input.f64()?, input.f64()?, input.f64()?];
    Some(Summary::Float { min, max, sum, first, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_types::arrow::column;
    use heddle_types::oid;
    use heddle_types::{Datum, Oid};

    /// Writes series of these lengths, reads all their blocks.
    fn round_trip(ty: Oid, series: &[Vec<Datum>]) -> Vec<Vec<Option<BlockStatistics>>> {
        let ty = PgType::new(ty);
        let mut writer = ColumnStatistics::new(ty).expect("a number");
        for values in series {
            for block in values.chunks(BLOCK_ROWS as usize) {
                let array = column(block, ty).expect("of the type");
                let half = block.len() / 2;
                writer.add(&array, 0..half);
                writer.add(&array, half..block.len());
                writer.end_block(block.len() as u64);
            }
        }
        let rows: Vec<u64> = series.iter().map(|values| values.len() as u64).collect();
        let column = StatisticsColumn::new(ty, writer.bytes);
        (0..series.len()).rev().map(|entry| column.blocks(&rows, entry).expect("well formed")).rev().collect()
    }

    #[test]
    fn integers_are_exact() {
        let extremes = (0..300).map(|n| Datum::Int8(if n % 2 == 0 { i64::MAX } else { i64::MIN })).collect();
        let with_nulls = (0..1500).map(|n| if n % 3 == 0 { Datum::Null } else { Datum::Int8(n - 700) }).collect();
        let nothing = vec![Datum::Null; 256];
        let blocks = round_trip(oid::INT8, &[extremes, vec![Datum::Int8(1); 3], with_nulls, nothing]);
        let (min, max) = (i64::MIN, i64::MAX);
        let extremes = Summary::Int { min, max, sum: -150, first: max, last: min };
        assert_eq!(blocks[0], [Some(BlockStatistics { count: 300, values: Some(extremes) })]);
        assert_eq!(blocks[1], [None], "too few rows");
        let second = (1024..1500).filter(|n| n % 3 != 0).map(|n| n - 700).collect::<Vec<i64>>();
        let (first, last) = (second[0], second[second.len() - 1]);
        let summary = Summary::Int { min: first, max: last, sum: second.iter().sum::<i64>().into(), first, last };
        assert_eq!(blocks[2][1], Some(BlockStatistics { count: second.len() as u64, values: Some(summary) }));
        assert_eq!(blocks[3], [Some(BlockStatistics { count: 0, values: None })]);
    }

    #[test]
    fn floats_order_like_postgresql() {
        let values: Vec<Datum> =
            [1.5, f64::NAN, -2.0, f64::INFINITY].iter().cycle().take(256).map(|v| Datum::Float8(*v)).collect();
        let blocks = round_trip(oid::FLOAT8, &[values]);
        let Some(BlockStatistics { count: 256, values: Some(Summary::Float { min, max, sum, first, last }) }) =
            blocks[0][0]
        else {
            panic!("{blocks:?}")
        };
        assert!(min == -2.0 && max.is_nan() && sum.is_nan() && first == 1.5 && last == f64::INFINITY);
        assert!(ColumnStatistics::new(PgType::new(oid::TEXT)).is_none());
    }

    #[test]
    fn malformed_statistics_are_refused() {
        for bytes in [&[][..], &[0], &[0, 2, 2, 2, 2, 2, 9], &[0xff; 40]] {
            let column = StatisticsColumn::new(PgType::new(oid::INT4), bytes.to_vec());
            assert!(column.blocks(&[256], 0).is_none(), "{bytes:?}");
        }
    }
}
