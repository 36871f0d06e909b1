//! [`Reader`]: point reads, and the doors to scans by columns ([`crate::scan`]) and by rows ([`crate::rows`]).

use crate::base::StorageBase;
use crate::bounds::Bounds;
use crate::chunk::Chunk;
use crate::last;
use crate::memtable::Table;
use crate::merge::{MergeOptions, gallop};
use crate::rows::RowScan;
use crate::scan;
use crate::shape::Shape;
use crate::sieve::Sieve;
use crate::versions::Versions;
use crate::view::{View, Wanted};
use bytes::Bytes;
use heddle_engines::point::last::of_cursors;
use heddle_engines::point::{OwnPoint, PointBatch, PointCursor, PointReader, PointScan, split_point_key};
use heddle_engines::{KeyRange, Row, RowCursor, RowReader};
use heddle_types::{LogIndex, Result, StorageId};
use std::sync::Arc;

/// See the module.
pub struct Reader {
    versions: Arc<Versions>,
    index: LogIndex,
}

impl Reader {
    /// A reader that sees changes at or below `index`.
    pub fn new(versions: Arc<Versions>, index: LogIndex) -> Self {
        Self { versions, index }
    }

    /// What a scan looks at.
    fn view(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<(View, Wanted)> {
        let sieve = Sieve::of(scan);
        let wanted = Wanted {
            bounds: Bounds { series: scan.series.clone(), from_us: scan.from_us, to_us: scan.to_us },
            fields: sieve.as_ref().map_or_else(|| scan.fields.as_slice().into(), |sieve| Arc::clone(&sieve.fields)),
            options: MergeOptions {
                batch_rows: scan.batch_rows,
                written: scan.versions,
                deletes: false,
                all_cores: false,
            },
            any_order: scan.any_order,
            blocks: scan.blocks,
            sieve,
        };
        let shape = Shape::new(Arc::clone(&scan.layout));
        let view = View::open(&self.versions, self.index, (scan.storage, shape), &wanted, own)?;
        Ok((view, wanted))
    }

    fn stored_visible(&self, storage: StorageId) -> Option<&Arc<StorageBase>> {
        let parts = self.versions.parts();
        parts.stored(storage).filter(|_| parts.dropped_at(storage, self.index) == LogIndex(0))
    }
}

/// A version of a point: its index and row; no row = deleted.
type Version = (LogIndex, Option<Bytes>);

/// The newest version of a point in a table at or below `at`.
fn find_in_table(
    table: &Table,
    shape: &Shape,
    (partition, series, time_us): (i64, &[u8], i64),
    at: LogIndex,
) -> Option<Version> {
    let chunks: Vec<Arc<Chunk>> = {
        let rows = table.rows();
        if let Some(version) = rows.open.find(series, time_us, at) {
            return Some(version);
        }
        rows.chunks.clone()
    };
    chunks.iter().rev().find_map(|chunk| {
        let row = chunk.find(partition, series, time_us, at)?;
        let columns = &chunk.columns;
        let tuple = (!columns.is_deleted(row)).then(|| shape.row(&columns.fields, row).into());
        Some((columns.written.index(row), tuple))
    })
}

fn find_in_segments(
    stored: &StorageBase,
    shape: &Shape,
    (partition, series, time_us): (i64, &[u8], i64),
) -> Result<Option<Version>> {
    let files = stored.partitions.get(&partition);
    for file in files.into_iter().flatten().rev() {
        if file.meta.deletes == 0 && !(file.meta.min_us..=file.meta.max_us).contains(&time_us) {
            continue;
        }
        let segment = file.open()?;
        if segment.deletes().contains(series, time_us) {
            return Ok(None);
        }
        if let Some(values) = segment.get(series, time_us)? {
            return Ok(Some((file.meta.sequence, Some(shape.encode(values).into()))));
        }
    }
    Ok(None)
}

/// Adds to `all`, which is sorted, those of `keys`, which are too, that it does not have. They mostly are the ones of the part before.
fn add_sorted<'a>(all: &mut Vec<Bytes>, keys: impl Iterator<Item = &'a Bytes>) {
    let (mut at, mut new) = (0, Vec::new());
    for key in keys {
        at += gallop(&all[at..], |known| known < key);
        if all.get(at) != Some(key) {
            new.push(key.clone());
        }
    }
    if !new.is_empty() {
        all.append(&mut new);
        all.sort();
    }
}

impl RowReader for Reader {
    fn get(&self, storage: StorageId, key: &[u8]) -> Result<Option<Row>> {
        let parts = self.versions.parts();
        let Some(shape) = parts.shape(storage) else { return Ok(None) };
        let (series, time_us) = split_point_key(key)?;
        let point = (shape.layout.partition.number(time_us), series, time_us);
        let tables = parts.memtables().filter_map(|memtable| memtable.table(storage));
        let newest = tables.into_iter().find_map(|table| find_in_table(&table, &shape, point, self.index));
        let dropped = parts.dropped_at(storage, self.index);
        let version = match (newest, parts.stored(storage)) {
            (Some(version), _) => Some(version).filter(|(index, _)| *index > dropped),
            (None, Some(stored)) if dropped == LogIndex(0) => find_in_segments(stored, &shape, point)?,
            _ => None,
        };
        Ok(version.and_then(|(index, row)| Some(Row { key: Bytes::copy_from_slice(key), index, row: row? })))
    }

    fn scan(&self, storage: StorageId, range: KeyRange, reverse: bool) -> Result<Box<dyn RowCursor>> {
        Ok(Box::new(RowScan::open(&self.versions, self.index, storage, range, reverse)?))
    }

    fn estimate_rows(&self, storage: StorageId) -> u64 {
        let tables = self.versions.parts().memtables().filter_map(|memtable| memtable.table(storage));
        let in_memory = tables.map(|table| {
            let rows = table.rows();
            rows.open.len() + rows.chunks.iter().map(|chunk| chunk.columns.rows()).sum::<usize>()
        });
        let stored = self.stored_visible(storage).into_iter().flat_map(|stored| stored.segments());
        in_memory.sum::<usize>() as u64 + stored.map(|file| file.meta.rows).sum::<u64>()
    }
}

impl PointReader for Reader {
    fn scan_points(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<Vec<Box<dyn PointCursor>>> {
        let (view, wanted) = self.view(scan, own)?;
        scan::open(view, wanted, scan.cursors)
    }

    fn last_points(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<Vec<PointBatch>> {
        let (view, mut wanted) = self.view(scan, own)?;
        wanted.any_order = false;
        match wanted.sieve {
            None => last::last_points(&view, &wanted),
            Some(_) => of_cursors(scan::open(view, wanted, 1)?),
        }
    }

    fn series(&self, storage: StorageId) -> Result<Vec<Bytes>> {
        let mut all = Vec::new();
        for table in self.versions.parts().memtables().filter_map(|memtable| memtable.table(storage)) {
            let (chunks, open) = {
                let rows = table.rows();
                (rows.chunks.clone(), rows.open.series().to_vec())
            };
            all.extend(open);
            all.sort();
            all.dedup();
            for chunk in chunks {
                chunk.sections.iter().for_each(|section| {
                    add_sorted(&mut all, chunk.runs[section.runs.clone()].iter().map(|run| &run.series));
                });
            }
        }
        for file in self.stored_visible(storage).into_iter().flat_map(|stored| stored.segments()) {
            add_sorted(&mut all, file.open()?.series().iter().map(|entry| &entry.key));
        }
        Ok(all)
    }

    fn time_range(&self, storage: StorageId) -> Option<(i64, i64)> {
        let tables = self.versions.parts().memtables().filter_map(|memtable| memtable.table(storage));
        let in_memory = tables.flat_map(|table| {
            let rows = table.rows();
            let chunks = rows.chunks.iter().map(|chunk| chunk.time_range());
            chunks.chain([rows.open.time_range()]).collect::<Vec<_>>()
        });
        let stored = self.stored_visible(storage).into_iter().flat_map(|stored| stored.segments());
        let all = in_memory.chain(stored.map(|file| (file.meta.min_us, file.meta.max_us)));
        Some(all.fold((i64::MAX, i64::MIN), |(min, max), (first, last)| (min.min(first), max.max(last))))
    }

    fn disk_bytes(&self, storage: StorageId) -> u64 {
        let stored = self.versions.parts().stored(storage).into_iter().flat_map(|stored| stored.segments());
        stored.map(|file| file.disk_bytes()).sum()
    }
}
