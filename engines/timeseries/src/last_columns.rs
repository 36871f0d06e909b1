//! [`LastColumns`]: a segment's last row of every series, by columns. Segments never change, so it is found once; most of it
//! is in the block statistics, and only what is not (NULL, text, short blocks) is decoded.

use crate::segment::{Blocks, FieldStatistics, FieldValues, Segment, SeriesEntry};
use crate::shape::{Shape, damaged};
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use heddle_types::arrow::{column, datum_at};
use heddle_types::{Class, Datum, Error, PgType, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What is kept of a segment at most.
const BYTES_MAX: usize = 4 << 20;
/// Fewer series than this part of a segment's are read by themselves.
const SMALL_PART: usize = 8;

/// See the module.
#[derive(Default)]
pub struct LastColumns {
    /// By field; a row for each series of the segment.
    known: Mutex<BTreeMap<usize, ArrayRef>>,
}

impl LastColumns {
    /// The values of `fields` in the last rows of the series at `places`, which ascend.
    ///
    /// # Errors
    /// Those of reading the segment.
    pub fn get(
        &self,
        segment: &Arc<Segment>,
        shape: &Shape,
        fields: &[usize],
        places: &[usize],
    ) -> Result<Vec<ArrayRef>> {
        let known = self.known.lock().clone();
        let missing: Vec<usize> = fields.iter().copied().filter(|field| !known.contains_key(field)).collect();
        if !missing.is_empty() && places.len() * SMALL_PART < segment.series().len() {
            let rows: Vec<u64> = places.iter().map(|place| last_row(&segment.series()[*place])).collect();
            return read_rows(segment, shape, fields, &rows);
        }
        let found = last_columns(segment, shape, &missing)?;
        let all: BTreeMap<usize, ArrayRef> = known.into_iter().chain(missing.into_iter().zip(found)).collect();
        let places: UInt32Array = places.iter().map(|place| *place as u32).collect::<Vec<_>>().into();
        let columns = fields.iter().map(|field| take(&all[field], &places, None)).collect::<Result<_, _>>();
        self.keep(all);
        columns.map_err(|e| Error::internal(format!("last rows cannot be taken: {e}")))
    }

    /// Remembers what fits.
    fn keep(&self, all: BTreeMap<usize, ArrayRef>) {
        let mut bytes = 0;
        let fits = |(_, column): &(usize, ArrayRef)| {
            bytes += column.get_array_memory_size();
            bytes <= BYTES_MAX
        };
        *self.known.lock() = all.into_iter().take_while(fits).collect();
    }
}

fn last_row(entry: &SeriesEntry) -> u64 {
    entry.first_row + entry.rows - 1
}

/// The last row of every series.
fn last_columns(segment: &Arc<Segment>, shape: &Shape, fields: &[usize]) -> Result<Vec<ArrayRef>> {
    let entries = segment.series();
    let mut values: Vec<Vec<Option<Datum>>> = Vec::with_capacity(fields.len());
    for field in fields {
        let ty = shape.layout.fields[*field].ty;
        let blocks = segment.blocks();
        let value = match segment.statistics(*field, 0..blocks.len())? {
            None => vec![None; entries.len()],
            Some(known) => entries.iter().map(|entry| last_value(blocks, entry.blocks.end - 1, &known, ty)).collect(),
        };
        values.push(value);
    }
    let unknown: Vec<usize> =
        (0..entries.len()).filter(|place| values.iter().any(|values| values[*place].is_none())).collect();
    let rows: Vec<u64> = unknown.iter().map(|place| last_row(&entries[*place])).collect();
    let read = read_rows(segment, shape, fields, &rows)?;
    let mut columns = Vec::with_capacity(fields.len());
    for ((field, mut values), read) in fields.iter().zip(values).zip(read) {
        let ty = shape.layout.fields[*field].ty;
        for (row, place) in unknown.iter().enumerate() {
            values[*place] = Some(datum_at(&read, ty, row));
        }
        columns.push(column(&values.into_iter().flatten().collect::<Vec<_>>(), ty)?);
    }
    Ok(columns)
}

/// The last value of a block, as far as statistics know: that of a block without NULL.
fn last_value(blocks: &Blocks, block: usize, known: &FieldStatistics, ty: PgType) -> Option<Datum> {
    match (known.nulls[block], &known.values) {
        _ if !blocks.is_counted(block) => None,
        (nulls, _) if nulls == blocks.row_count(block) => Some(Datum::Null),
        (0, FieldValues::Ints(all)) => match ty.class() {
            Class::Int2 => all.last[block].try_into().ok().map(Datum::Int2),
            Class::Int4 => all.last[block].try_into().ok().map(Datum::Int4),
            _ => Some(Datum::Int8(all.last[block])),
        },
        (0, FieldValues::Floats(all)) => match ty.class() {
            Class::Float4 => Some(Datum::Float4(all.last[block] as f32)),
            _ => Some(Datum::Float8(all.last[block])),
        },
        _ => None,
    }
}

/// The values of `fields` in single `rows` of a segment, which ascend.
///
/// # Errors
/// Those of reading the segment.
pub fn read_rows(segment: &Arc<Segment>, shape: &Shape, fields: &[usize], rows: &[u64]) -> Result<Vec<ArrayRef>> {
    let known = segment.meta().fields;
    let stored: Vec<usize> = fields.iter().copied().filter(|field| *field < known).collect();
    let mut pieces: Vec<Vec<ArrayRef>> = vec![Vec::new(); stored.len()];
    if !stored.is_empty() && !rows.is_empty() {
        let ranges: Vec<Range<u64>> = rows.iter().map(|row| *row..row + 1).collect();
        let mut cursor = segment.scan(&stored, ranges, rows.len())?;
        while let Some(batch) = cursor.next_rows()? {
            pieces.iter_mut().zip(batch.fields).for_each(|(pieces, column)| pieces.push(column));
        }
    }
    let mut stored = pieces.into_iter();
    let column = |field: &usize| {
        let pieces = match *field < known && !rows.is_empty() {
            true => stored.next().ok_or_else(|| damaged("a segment has too few columns"))?,
            false => return shape.missing(*field, rows.len()),
        };
        let pieces: Vec<&dyn Array> = pieces.iter().map(|piece| &**piece).collect();
        concat(&pieces).map_err(|e| Error::internal(format!("rows of a segment do not fit together: {e}")))
    };
    fields.iter().map(column).collect()
}
