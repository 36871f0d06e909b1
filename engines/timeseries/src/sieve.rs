//! [`Sieve`]: a scan's conditions on fields, tested on rows that are merged already. Below the merge they would bring back
//! points that were overwritten by ones that fail; [`crate::sifted`] tests there, where nothing is merged.

use crate::columns::Gathered;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, ScalarBuffer};
use arrow::compute::FilterBuilder;
use arrow::error::ArrowError;
use bytes::Bytes;
use heddle_engines::condition::{FieldCondition, all_hold};
use heddle_engines::point::PointScan;
use heddle_types::{Error, Result};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub struct Sieve {
    /// What must hold.
    pub conditions: Vec<FieldCondition>,
    /// Fields that are read, ascending: those shown and those tested.
    pub fields: Arc<[usize]>,
    /// Places in `fields` of those that are handed out.
    pub shown: Vec<usize>,
}

impl Sieve {
    /// For the conditions of `scan`; none without any.
    pub fn of(scan: &PointScan) -> Option<Arc<Self>> {
        if scan.conditions.is_empty() {
            return None;
        }
        let mut fields: Vec<usize> = scan.conditions.iter().map(|c| c.field).chain(scan.fields.clone()).collect();
        fields.sort_unstable();
        fields.dedup();
        let shown = scan.fields.iter().filter_map(|field| fields.binary_search(field).ok()).collect();
        Some(Arc::new(Self { conditions: scan.conditions.clone(), fields: fields.into(), shown }))
    }

    /// The rows of a merged batch that fulfil the conditions, with the fields shown; `None` when no row does.
    pub fn sift(&self, rows: Gathered) -> Result<Option<Gathered>> {
        let column = |field| &rows.fields[self.place(field)];
        let keep = all_hold(&self.conditions, rows.time.len(), column)?;
        let shown: Vec<ArrayRef> = self.shown.iter().map(|place| Arc::clone(&rows.fields[*place])).collect();
        kept(Gathered { fields: shown, ..rows }, &keep)
    }

    /// Where in [`Self::fields`] a field is that was asked for.
    pub fn place(&self, field: usize) -> usize {
        self.fields.binary_search(&field).expect("every field that is tested is read")
    }
}

/// Those of `rows` that are to be kept; `None` when none is.
pub fn kept(rows: Gathered, keep: &BooleanBuffer) -> Result<Option<Gathered>> {
    match keep.count_set_bits() {
        0 => return Ok(None),
        all if all == keep.len() => return Ok(Some(rows)),
        _ => {}
    }
    let mask = BooleanArray::new(keep.clone(), None);
    let filter = FilterBuilder::new(&mask).optimize().build();
    let fields = rows.fields.iter().map(|field| filter.filter(field)).collect::<Result<_, _>>().map_err(failed)?;
    Ok(Some(Gathered {
        series: series(rows.series, keep),
        time: picked(&rows.time, keep),
        fields,
        written: rows.written.map(|written| picked(&written, keep)),
    }))
}

fn series(all: Vec<(Bytes, usize)>, keep: &BooleanBuffer) -> Vec<(Bytes, usize)> {
    let mut at = 0;
    let kept = all.into_iter().map(|(key, rows)| {
        at += rows;
        (key, keep.slice(at - rows, rows).count_set_bits())
    });
    kept.filter(|(_, rows)| *rows > 0).collect()
}

fn picked<T: arrow::datatypes::ArrowNativeType>(values: &ScalarBuffer<T>, keep: &BooleanBuffer) -> ScalarBuffer<T> {
    let mut out = Vec::with_capacity(keep.count_set_bits());
    keep.set_slices().for_each(|(start, end)| out.extend_from_slice(&values[start..end]));
    out.into()
}

fn failed(e: ArrowError) -> Error {
    Error::internal(format!("points cannot be filtered: {e}"))
}
