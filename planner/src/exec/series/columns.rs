//! Points as columns of a table: the tags of each series spread over its points.

use super::SeriesCodec;
use crate::bound::TableScan;
use crate::function::error::arrow_error;
use arrow::array::{ArrayRef, Int64Array, UInt32Array};
use bytes::Bytes;
use heddle_catalog::SeriesColumn;
use heddle_engines::RowReader;
use heddle_engines::point::{PointBatch, point_key};
use heddle_txn::ReadView;
use heddle_types::arrow::{ColumnBuilder, datum_at};
use heddle_types::{Datum, PgType, Result, oid};
use std::collections::HashMap;
use std::sync::Arc;

/// Makes the output columns of one scan out of its points.
pub(crate) struct PointColumns {
    scan: TableScan,
    codec: SeriesCodec,
    view: Arc<ReadView>,
    /// Output columns: places in the scan's columns, after those the key and the version index.
    places: Vec<usize>,
    /// The output's tags of the series seen so far.
    tags: HashMap<Bytes, Arc<Vec<Datum>>>,
}

impl PointColumns {
    /// For these output columns of `scan`.
    pub fn new(scan: TableScan, codec: SeriesCodec, view: Arc<ReadView>, places: Vec<usize>) -> Self {
        Self { scan, codec, view, places, tags: HashMap::new() }
    }

    /// Are versions of points in the output?
    pub fn has_versions(&self) -> bool {
        self.places.contains(&(self.scan.columns.len() + 1))
    }

    /// The fields read, ascending.
    pub fn fields(&self) -> Vec<usize> {
        let field = |p: &usize| match self.kind(*p)? {
            SeriesColumn::Field(at) => Some(at),
            _ => None,
        };
        let mut out: Vec<usize> = self.places.iter().filter_map(field).collect();
        out.sort_unstable();
        out.dedup();
        out
    }

    /// What output place `p` is; None for the identity columns.
    fn kind(&self, p: usize) -> Option<SeriesColumn> {
        self.scan.table.series_column(self.scan.columns.get(p)?.1)
    }

    /// The output's columns for a batch of points that has [`Self::fields`].
    pub fn arrays(&mut self, points: &PointBatch) -> Result<Vec<ArrayRef>> {
        let fields = self.fields();
        let columns = self.scan.columns.len();
        let mut spread = Spread::default();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.places.len());
        for at in 0..self.places.len() {
            let place = self.places[at];
            arrays.push(match self.kind(place) {
                Some(SeriesColumn::Time) => Arc::clone(&points.time),
                Some(SeriesColumn::Field(field)) => {
                    let at = fields.binary_search(&field).expect("every field of the output was asked for");
                    Arc::clone(&points.fields[at])
                }
                Some(SeriesColumn::PrimaryTag(_) | SeriesColumn::Tag(_)) => {
                    let column = self.scan.columns[place].1;
                    let rows = self.tag_rows(points, &mut spread)?;
                    let tag = self.tag_columns().iter().position(|c| *c == column).expect("it is one of them");
                    spread_tag(&rows, tag, self.scan.table.columns[column].ty, spread.indices(points))?
                }
                None if place == columns => keys(points)?,
                None => versions(points)?,
            });
        }
        Ok(arrays)
    }

    /// The tags in the output, as places in the table's columns.
    fn tag_columns(&self) -> Vec<usize> {
        let tag = |p: &&usize| matches!(self.kind(**p), Some(SeriesColumn::PrimaryTag(_) | SeriesColumn::Tag(_)));
        self.places.iter().filter(tag).map(|p| self.scan.columns[*p].1).collect()
    }

    /// The output's tags per run of the batch.
    fn tag_rows(&mut self, points: &PointBatch, spread: &mut Spread) -> Result<Vec<Arc<Vec<Datum>>>> {
        if let Some(rows) = &spread.rows {
            return Ok(rows.clone());
        }
        let columns = self.tag_columns();
        let stored = columns.iter().any(|c| self.codec.is_tag(*c));
        let mut rows = Vec::with_capacity(points.series.len());
        for (series, _) in &points.series {
            if let Some(known) = self.tags.get(series) {
                rows.push(Arc::clone(known));
                continue;
            }
            let row = if stored { self.view.get(self.codec.tags_storage, series)? } else { None };
            let row = Arc::new(self.codec.tags_at(series, row.as_ref().map(|r| &r.row[..]), &columns)?);
            self.tags.insert(series.clone(), Arc::clone(&row));
            rows.push(row);
        }
        spread.rows = Some(rows.clone());
        Ok(rows)
    }
}

/// What the tag columns of one batch share.
#[derive(Default)]
struct Spread {
    rows: Option<Vec<Arc<Vec<Datum>>>>,
    indices: Option<UInt32Array>,
}

impl Spread {
    /// For each point the number of its run.
    fn indices(&mut self, points: &PointBatch) -> &UInt32Array {
        self.indices.get_or_insert_with(|| {
            let mut out = Vec::with_capacity(points.rows());
            for (run, (_, n)) in points.series.iter().enumerate() {
                out.extend(std::iter::repeat_n(run as u32, *n));
            }
            out.into()
        })
    }
}

/// A tag's values per run, repeated for the points of each.
fn spread_tag(rows: &[Arc<Vec<Datum>>], tag: usize, ty: PgType, indices: &UInt32Array) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(ty, rows.len());
    for row in rows {
        builder.append(&row[tag])?;
    }
    arrow::compute::take(&builder.finish(), indices, None).map_err(arrow_error)
}

fn keys(points: &PointBatch) -> Result<ArrayRef> {
    let mut builder = ColumnBuilder::new(PgType::new(oid::BYTEA), points.rows());
    let mut at = 0;
    for (series, n) in &points.series {
        for _ in 0..*n {
            let Datum::Timestamp(us) = datum_at(&points.time, PgType::new(oid::TIMESTAMPTZ), at) else {
                return Err(heddle_types::Error::internal("a point without a time"));
            };
            builder.append(&Datum::Bytea(Arc::from(&point_key(series, us)[..])))?;
            at += 1;
        }
    }
    Ok(builder.finish())
}

fn versions(points: &PointBatch) -> Result<ArrayRef> {
    let versions = points.versions.as_ref();
    let versions = versions.ok_or_else(|| heddle_types::Error::internal("the versions of points are missing"))?;
    Ok(Arc::new(versions.values().iter().map(|v| *v as i64).collect::<Int64Array>()))
}
