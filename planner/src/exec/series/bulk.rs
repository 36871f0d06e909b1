//! Many points at once, as columns: what INSERT … SELECT, long VALUES and COPY write.
//!
//! Fields go into the block as they come; only primary tags, times and other tags are looked at, row by row.

use super::{Known, SeriesWriter, TableWriter};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use heddle_engines::block::PointBlock;
use heddle_types::arrow::{data_type, datum_at, is_null_at, text_at};
use heddle_types::key::{self, KeyOrder};
use heddle_types::{Class, Datum, Error, PgType, Result};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

/// Most rows of a block.
const BLOCK_ROWS_MAX: usize = 8192;

/// An error and the row it is about.
type RowError = (usize, Error);

/// Where the rows of a block belong.
struct Keyed {
    /// Series keys, each once.
    series: Vec<Bytes>,
    /// Per row its place in `series`.
    codes: Vec<u32>,
    time: Vec<i64>,
}

impl SeriesWriter {
    /// Stores rows given as one column for each of the table's. An error names the row.
    pub async fn insert_columns(
        &self,
        w: &TableWriter,
        columns: &[ArrayRef],
        rows: usize,
    ) -> std::result::Result<(), RowError> {
        for from in (0..rows).step_by(BLOCK_ROWS_MAX) {
            let n = BLOCK_ROWS_MAX.min(rows - from);
            let part: Vec<ArrayRef> = columns.iter().map(|c| c.slice(from, n)).collect();
            self.insert_block(w, &part, n).await.map_err(|(at, e)| (from + at, e))?;
        }
        Ok(())
    }

    async fn insert_block(
        &self,
        w: &TableWriter,
        columns: &[ArrayRef],
        rows: usize,
    ) -> std::result::Result<(), RowError> {
        let keyed = self.keyed(w, columns, rows)?;
        if self.codec.has_tags() {
            self.keep_tags_of(w, columns, &keyed).await.map_err(|e| (rows - 1, e))?;
        }
        if let Some(from) = self.shown_from {
            self.state.lock().expired += keyed.time.iter().filter(|t| **t < from).count() as u64;
        }
        let fields = self.codec.fields.iter().map(|i| self.field(columns, *i)).collect::<Result<Vec<_>>>();
        let fields = fields.map_err(|e| (0, e))?;
        let block = PointBlock { series: keyed.series, codes: keyed.codes.into(), time: keyed.time.into(), fields };
        w.txn.put_points(w.table.storage, &self.codec.layout, &block).map_err(|e| (rows - 1, e))
    }

    /// A field's column in its type's own form.
    fn field(&self, columns: &[ArrayRef], at: usize) -> Result<ArrayRef> {
        let wanted = data_type(self.codec.table.columns[at].ty);
        let array = &columns[at];
        if *array.data_type() == wanted {
            return Ok(array.clone());
        }
        arrow::compute::cast(array, &wanted).map_err(crate::function::error::arrow_error)
    }

    /// The series and time of each row, checked.
    fn keyed(&self, w: &TableWriter, columns: &[ArrayRef], rows: usize) -> std::result::Result<Keyed, RowError> {
        let table = &self.codec.table.columns;
        let required = |i: &usize| table[*i].not_null && !table[*i].dropped && columns[*i].logical_null_count() > 0;
        let suspects: Vec<usize> = (0..columns.len()).filter(required).collect();
        // Only a column that is NULL throughout, which fails below, has another form.
        let time = columns[self.codec.time].as_primitive_opt::<TimestampMicrosecondType>();
        let time = time.map_or_else(|| vec![0; rows], |t| t.values().to_vec());
        let mut out = Keyed { series: vec![], codes: Vec::with_capacity(rows), time };
        let mut places: HashMap<Bytes, u32> = HashMap::new();
        let mut key = Vec::new();
        for row in 0..rows {
            if suspects.iter().any(|i| is_null_at(&columns[*i], row)) {
                let values: Vec<Datum> = columns.iter().zip(table).map(|(a, c)| datum_at(a, c.ty, row)).collect();
                w.check_not_null(&values).map_err(|e| (row, e))?;
            }
            self.codec.check_time(out.time[row]).map_err(|e| (row, e))?;
            key.clear();
            for i in &self.codec.primary {
                encode(&mut key, &columns[*i], table[*i].ty, row);
            }
            // Rows of one series often come together.
            if let Some(last) = out.codes.last().filter(|c| out.series[**c as usize] == key[..]) {
                out.codes.push(*last);
                continue;
            }
            let code = match places.get(&key[..]) {
                Some(code) => *code,
                None => {
                    self.codec.check_key(&key).map_err(|e| (row, e))?;
                    let (code, series) = (out.series.len() as u32, Bytes::copy_from_slice(&key));
                    out.series.push(series.clone());
                    places.insert(series, code);
                    code
                }
            };
            out.codes.push(code);
        }
        Ok(out)
    }

    /// What [`SeriesWriter::keep_tags`] does, for a block.
    async fn keep_tags_of(&self, w: &TableWriter, columns: &[ArrayRef], keyed: &Keyed) -> Result<()> {
        let given: Vec<usize> = (0..self.codec.tags.len())
            .filter(|t| columns[self.codec.tags[*t]].logical_null_count() < keyed.codes.len())
            .collect();
        if given.is_empty() {
            return Ok(());
        }
        let column = |tag: usize| &columns[self.codec.tags[tag]];
        let gives = |row: usize| given.iter().any(|tag| !is_null_at(column(*tag), row));
        let mut fresh = BTreeMap::new();
        {
            let state = self.state.lock();
            for (row, code) in keyed.codes.iter().enumerate() {
                let series = &keyed.series[*code as usize];
                let undecided = match state.known.get(series) {
                    None => true,
                    Some(Known::Absent) => !state.locked.contains(series),
                    Some(Known::Row(_)) => false,
                };
                if undecided && gives(row) {
                    fresh.insert(series.clone(), true);
                }
            }
        }
        self.learn(w, fresh).await?;
        let types = &self.codec.tag_layout.types;
        let mut puts = vec![];
        let mut state = self.state.lock();
        for (row, code) in keyed.codes.iter().enumerate().filter(|(row, _)| gives(*row)) {
            let series = &keyed.series[*code as usize];
            if let Some(Known::Row(tags)) = state.known.get(series) {
                let other = |tag: &usize| {
                    !is_null_at(column(*tag), row) && !equals(column(*tag), types[*tag], row, &tags[*tag])
                };
                let differs = given.iter().any(other);
                state.kept += u64::from(differs);
                continue;
            }
            let tags: Vec<Datum> = (0..types.len()).map(|t| datum_at(column(t), types[t], row)).collect();
            puts.push((series.clone(), self.codec.tag_layout.encode(&tags)));
            state.known.insert(series.clone(), Known::Row(tags));
        }
        drop(state);
        for (series, row) in puts {
            w.txn.put(self.codec.tags_storage, series, row.into())?;
        }
        Ok(())
    }
}

/// One primary tag of a row onto a series key.
fn encode(key: &mut Vec<u8>, column: &ArrayRef, ty: PgType, row: usize) {
    if ty.class() == Class::Text && !is_null_at(column, row) {
        key::encode_text(key, text_at(column, row));
    } else {
        key::encode(key, &datum_at(column, ty, row), KeyOrder::default());
    }
}

fn equals(column: &ArrayRef, ty: PgType, row: usize, value: &Datum) -> bool {
    match value {
        Datum::Text(text) => text_at(column, row) == &**text,
        other => key::compare(&datum_at(column, ty, row), other) == Ordering::Equal,
    }
}
