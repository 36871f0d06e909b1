//! What planning knows about relational tables: how many rows, and a sample of them, which answers everything else.
//!
//! A sample is some neighbouring rows from each of many places of the key range. It is taken when a plan first wants it, and again when the
//! number of rows has changed much or it is old. Any snapshot's rows will do: wrong numbers make a plan slower, not wrong.

use super::split;
use arrow::record_batch::RecordBatch;
use heddle_catalog::TableDef;
use heddle_engines::{KeyRange, Row, RowReader};
use heddle_txn::ReadView;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Result, StorageId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Places that are read, and rows at each.
const PLACES: usize = 64;
const ROWS_AT_PLACE: usize = 32;
/// A sample is taken again after this long.
const AGE_MAX: Duration = Duration::from_secs(300);
/// Tables whose samples are kept.
const TABLES_MAX: usize = 512;

/// Samples by storage.
#[derive(Default)]
pub(crate) struct Statistics {
    tables: Mutex<HashMap<StorageId, Arc<Sample>>>,
}

/// Rows of a table, and what follows from them.
pub(super) struct Sample {
    /// Rows of the whole table, about.
    pub rows: u64,
    /// Neighbouring rows, place by place; all rows of a small table, in one.
    places: Vec<Vec<Row>>,
    taken: Duration,
    /// Different values of columns of the whole table, by place in the table.
    distinct: Mutex<HashMap<usize, f64>>,
}

impl Statistics {
    /// The sample of `table`, a new one if it must be.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    pub(super) fn sample(&self, table: &TableDef, view: &ReadView, now: Duration) -> Result<Arc<Sample>> {
        let rows = view.estimate_rows(table.storage);
        let known = self.tables.lock().get(&table.storage).cloned();
        if let Some(sample) = known.filter(|s| s.holds(rows, now)) {
            return Ok(sample);
        }
        let places = read(view, table.storage)?;
        let read = places.iter().map(|rows| rows.len() as u64).sum();
        let sample = Arc::new(Sample { rows: rows.max(read), places, taken: now, distinct: Mutex::default() });
        let mut tables = self.tables.lock();
        if tables.len() >= TABLES_MAX {
            tables.clear();
        }
        tables.insert(table.storage, Arc::clone(&sample));
        Ok(sample)
    }
}

impl Statistics {
    /// Forgets the sample of one table, or all.
    pub(crate) fn forget(&self, table: Option<StorageId>) {
        let mut tables = self.tables.lock();
        match table {
            Some(table) => drop(tables.remove(&table)),
            None => tables.clear(),
        }
    }
}

impl Sample {
    fn holds(&self, rows: u64, now: Duration) -> bool {
        let size = self.places.iter().map(|rows| rows.len() as u64).sum::<u64>();
        let (few, many) = (self.rows - self.rows / 5, self.rows + self.rows / 5);
        now.saturating_sub(self.taken) < AGE_MAX && ((few..=many).contains(&rows) || rows < size.min(self.rows))
    }

    /// Columns of the sampled rows, by their places in the table.
    pub fn columns(&self, table: &TableDef, columns: &[usize]) -> Result<RecordBatch> {
        let count = self.places.iter().map(Vec::len).sum();
        let layout = table.layout();
        let mut builders: Vec<ColumnBuilder> =
            columns.iter().map(|c| ColumnBuilder::new(table.columns[*c].ty, count)).collect();
        if !columns.is_empty() {
            for row in self.places.iter().flatten() {
                layout.decode_into(&row.row, columns, &mut builders)?;
            }
        }
        crate::exec::rowset::batch(builders.iter_mut().map(ColumnBuilder::finish).collect(), count)
    }

    /// About how many different values a column of the whole table has.
    pub fn distinct(&self, table: &TableDef, column: usize) -> Result<f64> {
        if let Some(known) = self.distinct.lock().get(&column) {
            return Ok(*known);
        }
        let key_of = |i: &heddle_catalog::IndexDef| match &i.columns[..] {
            [only] => usize::from(only.attnum as u16).checked_sub(1),
            _ => None,
        };
        let is_unique = table.indexes.iter().any(|i| i.unique && key_of(i) == Some(column));
        let distinct = if is_unique { self.rows as f64 } else { self.count_distinct(table, column)? };
        self.distinct.lock().insert(column, distinct);
        Ok(distinct)
    }

    fn count_distinct(&self, table: &TableDef, column: usize) -> Result<f64> {
        let batch = self.columns(table, &[column])?;
        let array = batch.column(0);
        let text = arrow::row::RowConverter::new(vec![arrow::row::SortField::new(array.data_type().clone())])
            .and_then(|converter| converter.convert_columns(&[Arc::clone(array)]))
            .map_err(crate::function::error::arrow_error)?;
        let mut at = 0;
        let mut places: Vec<Vec<_>> = Vec::with_capacity(self.places.len());
        for rows in &self.places {
            let valid = (at..at + rows.len()).filter(|i| array.is_valid(*i));
            places.push(valid.map(|i| text.row(i)).collect());
            at += rows.len();
        }
        Ok(estimate_distinct(&places, self.rows))
    }
}

/// Different values of a whole table of `rows`, from those at some places. Neighbours are often alike, so what is counted is not rows but
/// values at places: the estimator Duj1 of Haas and Stokes, which PostgreSQL uses over rows.
fn estimate_distinct<T: Hash + Eq>(places: &[Vec<T>], rows: u64) -> f64 {
    let mut found: HashMap<&T, (u32, usize)> = HashMap::new();
    let mut seen = 0.0;
    for (n, place) in places.iter().enumerate() {
        for value in place {
            let (times, last) = found.entry(value).or_insert((0, usize::MAX));
            if *last != n {
                (*times, *last) = (*times + 1, n);
                seen += 1.0;
            }
        }
    }
    let read = places.iter().map(Vec::len).sum::<usize>();
    let (distinct, once) = (found.len() as f64, found.values().filter(|(times, _)| *times == 1).count() as f64);
    if read as u64 >= rows || distinct == 0.0 {
        return distinct.max(1.0);
    }
    let all = rows as f64 * seen / read as f64;
    (seen * distinct / (seen - once + once * seen / all)).clamp(distinct, rows as f64)
}

/// Rows from all over the storage.
fn read(view: &ReadView, storage: StorageId) -> Result<Vec<Vec<Row>>> {
    let (ranges, most) = match split::places(view, storage, PLACES)? {
        Some(ranges) => (ranges, ROWS_AT_PLACE),
        None => (vec![KeyRange::all()], usize::MAX),
    };
    let mut out = Vec::with_capacity(ranges.len());
    for range in ranges {
        let mut rows = vec![];
        let mut cursor = view.scan(storage, range, false)?;
        while rows.len() < most && cursor.next_batch((most - rows.len()).min(1024), &mut rows)? {}
        out.push(rows);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::estimate_distinct;

    /// `blocks` places of 32 rows out of a table of a million.
    fn places(blocks: u64, value: impl Fn(u64) -> u64) -> Vec<Vec<u64>> {
        (0..blocks).map(|b| (0..32).map(|i| value(b * 15_625 + i)).collect()).collect()
    }

    fn near(found: f64, wanted: f64) {
        assert!((wanted / 1.5..wanted * 1.5).contains(&found), "{found} instead of about {wanted}");
    }

    #[test]
    fn distinct_values_of_keys_of_neighbours_and_of_few() {
        near(estimate_distinct(&places(64, |row| row), 1_000_000), 1_000_000.0);
        // Each value four times, one after the other.
        near(estimate_distinct(&places(64, |row| row / 4), 1_000_000), 250_000.0);
        near(estimate_distinct(&places(64, |row| row % 7), 1_000_000), 7.0);
        // A thousand values anywhere.
        let mixed = |row: u64| (row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % 1000;
        near(estimate_distinct(&places(64, mixed), 1_000_000), 1000.0);
        // All of a small table.
        assert_eq!(estimate_distinct(&[vec![1, 1, 2]], 3), 2.0);
        assert_eq!(estimate_distinct::<u64>(&[vec![]], 0), 1.0);
    }
}
