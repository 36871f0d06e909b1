//! Newest points out of a scan that has all of them: what an engine does that has no shorter way.

use super::{PointBatch, PointCursor};
use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::UInt64Type;
use arrow::error::ArrowError;
use bytes::Bytes;
use heddle_types::{Error, Result};
use std::collections::BTreeMap;

/// The newest point of each series that the cursors give, in series order.
///
/// # Errors
/// Those of the cursors.
pub fn of_cursors(cursors: Vec<Box<dyn PointCursor>>) -> Result<Vec<PointBatch>> {
    let mut newest: BTreeMap<Bytes, PointBatch> = BTreeMap::new();
    for mut cursor in cursors {
        while let Some(batch) = cursor.next_batch()? {
            let mut end = 0;
            for (series, rows) in &batch.series {
                end += rows;
                // Partitions ascend, and within one the times of a series do.
                newest.insert(series.clone(), batch.point(series, end - 1).map_err(failed)?);
            }
        }
    }
    let parts: Vec<PointBatch> = newest.into_values().collect();
    if parts.is_empty() { Ok(Vec::new()) } else { PointBatch::concat(&parts).map(|batch| vec![batch]) }
}

impl PointBatch {
    /// A copy of one point, which is of `series`.
    fn point(&self, series: &Bytes, row: usize) -> Result<Self, ArrowError> {
        let row = UInt32Array::from(vec![row as u32]); // a batch's worth
        let one = |column: &dyn Array| take(column, &row, None);
        let versions = self.versions.as_ref().map(|versions| one(versions)).transpose()?;
        Ok(Self {
            series: vec![(series.clone(), 1)],
            time: one(&self.time)?,
            versions: versions.map(|versions| versions.as_primitive::<UInt64Type>().clone()),
            fields: self.fields.iter().map(|field| one(field)).collect::<Result<_, _>>()?,
        })
    }

    /// The points of `parts`, of which there is at least one, one after the other.
    ///
    /// # Errors
    /// `XX000` when their columns are not alike.
    pub fn concat(parts: &[Self]) -> Result<Self> {
        let column = |of: &dyn Fn(&Self) -> ArrayRef| {
            let columns: Vec<ArrayRef> = parts.iter().map(of).collect();
            let columns: Vec<&dyn Array> = columns.iter().map(|column| &**column).collect();
            concat(&columns).map_err(failed)
        };
        let versions: Option<Vec<&dyn Array>> =
            parts.iter().map(|part| part.versions.as_ref().map(|versions| versions as &dyn Array)).collect();
        let versions = versions.map(|versions| concat(&versions).map_err(failed)).transpose()?;
        let fields = 0..parts.first().map_or(0, |part| part.fields.len());
        Ok(Self {
            series: parts.iter().flat_map(|part| part.series.iter().cloned()).collect(),
            time: column(&|part| part.time.clone())?,
            versions: versions.map(|versions| versions.as_primitive::<UInt64Type>().clone()),
            fields: fields.map(|f| column(&|part| part.fields[f].clone())).collect::<Result<_>>()?,
        })
    }
}

fn failed(e: ArrowError) -> Error {
    Error::internal(format!("columns of points do not fit together: {e}"))
}
