//! The model as a time-series engine: a columnar scan walks rows, one by one.

use super::{ModelEngine, ModelReader, ModelVersions};
use crate::point::{
    OwnPoint, PointBatch, PointCursor, PointEngine, PointReader, PointScan, PointVersions, SeriesLayout,
    split_point_key,
};
use crate::{KeyRange, RowReader};
use arrow::array::UInt64Array;
use bytes::Bytes;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Datum, LogIndex, Result, StorageId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl PointEngine for ModelEngine {
    fn point_versions(&self) -> Arc<dyn PointVersions> {
        Arc::<ModelVersions>::clone(&self.versions)
    }
}

impl PointVersions for ModelVersions {
    fn point_reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn PointReader> {
        Arc::new(ModelReader { state: Arc::clone(&self.0), index })
    }
}

/// Index of the last write and the row.
type Point = (LogIndex, Bytes);

impl PointReader for ModelReader {
    fn scan_points(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<Vec<Box<dyn PointCursor>>> {
        let layout = &scan.layout;
        let mut points = self.all(scan.storage)?;
        for (key, row) in own {
            match row {
                Some(row) => points.insert(key, (LogIndex(0), row)),
                None => points.remove(&key),
            };
        }
        // By partition, then by key.
        let mut sorted = Vec::new();
        for (key, point) in points {
            let (series, time) = split_point_key(&key)?;
            let within =
                (scan.from_us..=scan.to_us).contains(&time) && scan.series.iter().any(|range| range.contains(series));
            if within && fulfils(layout, scan, &point.1)? {
                sorted.push(((layout.partition.number(time), key.clone()), time, point));
            }
        }
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let batches = sorted.chunks(scan.batch_rows.max(1));
        let batches = batches.map(|rows| batch(layout, scan, rows)).collect::<Result<Vec<_>>>()?;
        Ok(vec![Box::new(ModelCursor(batches.into_iter()))])
    }

    fn series(&self, storage: StorageId) -> Result<Vec<Bytes>> {
        let keys = self.all(storage)?.into_keys();
        let series: Result<BTreeSet<Bytes>> =
            keys.map(|key| Ok(Bytes::copy_from_slice(split_point_key(&key)?.0))).collect();
        Ok(series?.into_iter().collect())
    }

    fn disk_bytes(&self, _storage: StorageId) -> u64 {
        0
    }
}

impl ModelReader {
    fn all(&self, storage: StorageId) -> Result<BTreeMap<Bytes, Point>> {
        let mut rows = Vec::new();
        let mut cursor = self.scan(storage, KeyRange::all(), false)?;
        while cursor.next_batch(1024, &mut rows)? {}
        Ok(rows.into_iter().map(|row| (row.key, (row.index, row.row))).collect())
    }
}

fn fulfils(layout: &SeriesLayout, scan: &PointScan, row: &[u8]) -> Result<bool> {
    let tuple = layout.row_layout();
    for condition in &scan.conditions {
        let mut value = ColumnBuilder::new(layout.fields[condition.field].ty, 1);
        tuple.decode_into(row, &[condition.field], std::slice::from_mut(&mut value))?;
        if !condition.test.holds(&value.finish())?.value(0) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn batch(layout: &SeriesLayout, scan: &PointScan, rows: &[((i64, Bytes), i64, Point)]) -> Result<PointBatch> {
    let tuple = layout.row_layout();
    let mut series: Vec<(Bytes, usize)> = Vec::new();
    let mut time = ColumnBuilder::new(layout.time.ty, rows.len());
    let mut fields: Vec<_> = scan.fields.iter().map(|f| ColumnBuilder::new(layout.fields[*f].ty, rows.len())).collect();
    for ((_, key), at, (_, row)) in rows {
        let (of, _) = split_point_key(key)?;
        match series.last_mut() {
            Some((last, n)) if last == of => *n += 1,
            _ => series.push((Bytes::copy_from_slice(of), 1)),
        }
        time.append(&Datum::Timestamp(*at))?;
        tuple.decode_into(row, &scan.fields, &mut fields)?;
    }
    let versions = scan.versions.then(|| rows.iter().map(|(_, _, (index, _))| index.0).collect::<UInt64Array>());
    let fields = fields.iter_mut().map(ColumnBuilder::finish).collect();
    Ok(PointBatch { series, time: time.finish(), versions, fields })
}

struct ModelCursor(std::vec::IntoIter<PointBatch>);

impl PointCursor for ModelCursor {
    fn next_batch(&mut self) -> Result<Option<PointBatch>> {
        Ok(self.0.next())
    }
}
