//! Block statistics as bytes. What is written are not the values but what is left when their neighbours are known: a block begins
//! about where the one before ended, its extremes are seldom far from its ends, and its sum is about that of a straight line
//! from first to last.

use super::blocks::Blocks;
use super::error::Malformed;
use super::packed_columns::{PAGE, put_columns, take_columns};
use super::statistics::{CHUNK_BLOCKS, FieldStatistics, FieldValues, Summaries, Summary, counted, is_float};
use super::varint::Input;
use heddle_types::PgType;
use std::ops::Range;

/// Columns of a chunk of integers.
const INT_COLUMNS: usize = 7;
/// Columns of a chunk of floats; NULLs are a column of integers before them.
const FLOAT_COLUMNS: usize = 5;

/// Appends a chunk of statistics of blocks that have so many `rows`; 0 = not counted.
pub fn encode(statistics: &FieldStatistics, rows: &[u32], out: &mut Vec<u8>) {
    let nulls = statistics.nulls.iter().map(|n| i64::from(*n)).collect();
    match &statistics.values {
        FieldValues::Ints(all) => {
            let counts = rows.iter().zip(&statistics.nulls).map(|(rows, nulls)| rows - nulls);
            put_columns(out, &differences(nulls, all, counts));
        }
        FieldValues::Floats(all) => {
            put_columns(out, &[nulls]);
            put_columns(out, &[&all.min, &all.max, &all.sum, &all.first, &all.last].map(Vec::clone));
        }
    }
}

/// What [`restore`] undoes. Everything wraps, sums at 128 bits; the upper half of what is left of a sum is nearly always 0.
fn differences(
    nulls: Vec<i64>,
    all: &Summaries<i64, i128>,
    counts: impl Iterator<Item = u32>,
) -> [Vec<i64>; INT_COLUMNS] {
    let mut out = [const { Vec::new() }; INT_COLUMNS];
    out[0] = nulls;
    let mut before = 0;
    for (n, count) in counts.enumerate() {
        // Pages are read alone.
        before = if n % PAGE == 0 { 0 } else { before };
        // Of a block without values nothing is known, so nothing changes.
        let (first, last) = if count == 0 { (before, before) } else { (all.first[n], all.last[n]) };
        let (min, max, sum) = if count == 0 { (before, before, 0) } else { (all.min[n], all.max[n], all.sum[n]) };
        let sum = sum.wrapping_sub(of_line(first, last, count));
        let row = [
            first.wrapping_sub(before),
            last.wrapping_sub(first),
            first.min(last).wrapping_sub(min),
            max.wrapping_sub(first.max(last)),
            sum as i64,
            (sum.wrapping_sub(i128::from(sum as i64)) >> 64) as i64,
        ];
        out[1..].iter_mut().zip(row).for_each(|(column, v)| column.push(v));
        before = last;
    }
    out
}

/// From what begins a page.
fn restore(
    [nulls, starts, rises, below, above, low, high]: [Vec<i64>; INT_COLUMNS],
    rows: impl Iterator<Item = u32>,
) -> Result<FieldStatistics, Malformed> {
    let mut all = Summaries::default();
    let nulls = null_counts(nulls)?;
    let mut before = 0i64;
    for (n, rows) in rows.enumerate() {
        before = if n % PAGE == 0 { 0 } else { before };
        let first = before.wrapping_add(starts[n]);
        let last = first.wrapping_add(rises[n]);
        let sum = (i128::from(high[n]) << 64).wrapping_add(i128::from(low[n]));
        all.push(Summary {
            min: first.min(last).wrapping_sub(below[n]),
            max: first.max(last).wrapping_add(above[n]),
            sum: sum.wrapping_add(of_line(first, last, rows.saturating_sub(nulls[n]))),
            first,
            last,
        });
        before = last;
    }
    Ok(FieldStatistics { nulls, values: FieldValues::Ints(all) })
}

fn null_counts(nulls: Vec<i64>) -> Result<Vec<u32>, Malformed> {
    let count = |n: i64| u32::try_from(n).map_err(|_| Malformed::new("a block has a wrong number of NULLs"));
    nulls.into_iter().map(count).collect()
}

/// About what `count` values add up to that go evenly from `first` to `last`.
fn of_line(first: i64, last: i64, count: u32) -> i128 {
    ((i128::from(first) + i128::from(last)) * i128::from(count)) >> 1
}

/// The statistics of one column as the sidecar keeps them.
pub struct StatisticsColumn {
    float: bool,
    /// Of [`CHUNK_BLOCKS`] blocks each; empty ones have no counted block.
    chunks: Vec<Vec<u8>>,
}

impl StatisticsColumn {
    /// Takes what a [`Gatherer`] wrote for a column of `ty` and so many blocks; `None` when the type has no statistics.
    pub fn decode(input: &mut Input<'_>, ty: PgType, blocks: usize) -> Result<Option<Self>, Malformed> {
        if !counted(ty) {
            return Ok(None);
        }
        let cut = || Malformed::new("block statistics are cut short");
        let mut chunks = Vec::new();
        for _ in 0..blocks.div_ceil(CHUNK_BLOCKS) {
            let n = input.count().ok_or_else(cut)?;
            chunks.push(input.take(n).ok_or_else(cut)?.to_vec());
        }
        Ok(Some(Self { float: is_float(ty), chunks }))
    }

    /// About the blocks numbered `wanted`, which are some of `blocks`.
    pub fn read(&self, blocks: &Blocks, wanted: Range<usize>) -> Result<FieldStatistics, Malformed> {
        let mut out = FieldStatistics::empty(self.float);
        let mut at = wanted.start;
        while at < wanted.end {
            let number = at / CHUNK_BLOCKS;
            let start = number * CHUNK_BLOCKS;
            let all = start..blocks.len().min(start + CHUNK_BLOCKS);
            let end = wanted.end.min(all.end);
            self.read_chunk(number, blocks, &all, at..end, &mut out)?;
            at = end;
        }
        Ok(out)
    }

    /// Appends what is known about `wanted`, some of the blocks `all` of a chunk.
    fn read_chunk(
        &self,
        number: usize,
        blocks: &Blocks,
        all: &Range<usize>,
        wanted: Range<usize>,
        out: &mut FieldStatistics,
    ) -> Result<(), Malformed> {
        let bytes = self.chunks.get(number).ok_or_else(|| Malformed::new("block statistics are missing"))?;
        if bytes.is_empty() {
            out.push_nothing(wanted.len());
            return Ok(());
        }
        let places = (wanted.start - all.start) / PAGE * PAGE..wanted.end - all.start;
        let skipped = wanted.start - all.start - places.start;
        let mut input = Input(bytes);
        let mut found = if self.float {
            let [nulls] = take_columns::<i64, 1>(&mut input, all.len())?.read(places.clone())?;
            let [min, max, sum, first, last] =
                take_columns::<f64, FLOAT_COLUMNS>(&mut input, all.len())?.read(places)?;
            let values = FieldValues::Floats(Summaries { min, max, sum, first, last });
            FieldStatistics { nulls: null_counts(nulls)?, values }
        } else {
            let columns = take_columns::<i64, INT_COLUMNS>(&mut input, all.len())?.read(places.clone())?;
            restore(columns, places.map(|n| blocks.row_count(all.start + n)))?
        };
        found.drop_first(skipped);
        out.append(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::statistics::Gatherer;
    use heddle_types::arrow::column;
    use heddle_types::{Datum, Oid, oid};

    /// Writes blocks, reads all their statistics, and each block's alone.
    fn round_trip(ty: Oid, values: &[Vec<Datum>]) -> (Blocks, FieldStatistics) {
        let ty = PgType::new(ty);
        let mut gatherer = Gatherer::new(ty).expect("a number");
        let mut blocks = Blocks::default();
        for values in values {
            let array = column(values, ty).expect("of the type");
            let (half, first) = (values.len() / 2, blocks.ends().last().copied().unwrap_or(0));
            let n = blocks.len();
            blocks.push(values.len() as u64, 0, 0);
            gatherer.add_blocks(&array.slice(0, half), first, &blocks, n..n);
            gatherer.add_blocks(&array.slice(half, values.len() - half), first + half as u64, &blocks, n..n + 1);
        }
        let bytes = gatherer.finish();
        let mut input = Input(&bytes);
        let column = StatisticsColumn::decode(&mut input, ty, blocks.len()).expect("ours").expect("a number");
        assert!(input.0.is_empty());
        let all = column.read(&blocks, 0..blocks.len()).expect("ours");
        let mut one_by_one = FieldStatistics::empty(is_float(ty));
        (0..blocks.len()).for_each(|n| one_by_one.append(column.read(&blocks, n..n + 1).expect("ours")));
        assert_eq!(format!("{one_by_one:?}"), format!("{all:?}"), "NaN is not NaN");
        (blocks, all)
    }

    #[test]
    fn integers_are_exact() {
        let extremes = (0..300).map(|n| Datum::Int8(if n % 2 == 0 { i64::MAX } else { i64::MIN })).collect();
        let highest = vec![Datum::Int8(i64::MAX); 1024];
        let with_nulls = (0..476).map(|n| if n % 3 == 0 { Datum::Null } else { Datum::Int8(n - 700) }).collect();
        let nothing = vec![Datum::Null; 256];
        let short = vec![Datum::Int8(1); 3];
        let (_, found) = round_trip(oid::INT8, &[extremes, highest, short, with_nulls, nothing]);
        let FieldValues::Ints(all) = &found.values else { panic!("{found:?}") };
        let (low, high) = (i64::MIN, i64::MAX);
        assert_eq!((found.nulls[0], all.min[0], all.max[0], all.sum[0]), (0, low, high, -150));
        assert_eq!((all.first[0], all.last[0]), (high, low));
        assert_eq!((all.sum[1], all.min[1]), (i128::from(high) * 1024, high));
        assert_eq!((found.nulls[3], all.min[3], all.max[3]), (159, -699, -225));
        assert_eq!(all.sum[3], (0..476).filter(|n| n % 3 != 0).map(|n| n - 700).sum());
        assert_eq!(found.nulls[4], 256);
    }

    #[test]
    fn many_blocks_come_back() {
        let block = |n: i64| (0..64).map(|i| Datum::Int4((n * 31 % 1000 + i) as i32)).collect();
        let (blocks, found) = round_trip(oid::INT4, &(0..9000).map(block).collect::<Vec<_>>());
        let FieldValues::Ints(all) = &found.values else { panic!("{found:?}") };
        for n in 0..blocks.len() {
            let first = n as i64 * 31 % 1000;
            assert_eq!((all.first[n], all.max[n], all.sum[n]), (first, first + 63, i128::from(first * 64 + 63 * 32)));
        }
    }

    #[test]
    fn floats_order_like_postgresql() {
        let values: Vec<Datum> =
            [1.5, f64::NAN, -2.0, f64::INFINITY].iter().cycle().take(256).map(|v| Datum::Float8(*v)).collect();
        let (_, found) = round_trip(oid::FLOAT8, &[values, vec![Datum::Null; 100], vec![Datum::Float8(0.1); 64]]);
        let FieldValues::Floats(all) = &found.values else { panic!("{found:?}") };
        assert!(all.min[0] == -2.0 && all.max[0].is_nan() && all.sum[0].is_nan());
        assert!(all.first[0] == 1.5 && all.last[0] == f64::INFINITY && found.nulls == [0, 100, 0]);
        assert_eq!(all.sum[2], (0..64).map(|_| 0.1).sum::<f64>());
        assert!(Gatherer::new(PgType::new(oid::TEXT)).is_none());
    }

    #[test]
    fn malformed_statistics_are_refused() {
        let mut blocks = Blocks::default();
        blocks.push(256, 0, 0);
        for bytes in [&[][..], &[3, 2, 2, 2], &[9; 10], &[0xff; 40]] {
            let column = StatisticsColumn::decode(&mut Input(bytes), PgType::new(oid::INT4), 1);
            assert!(column.and_then(|column| column.expect("a number").read(&blocks, 0..1)).is_err(), "{bytes:?}");
        }
    }
}
