//! The contract of the time-series engine: points are rows of a [`crate::RowEngine`] whose keys and rows have a known
//! shape, so that write sets, locks, overlays and the log treat them like any row; and they can be read by columns.
//!
//! A *series* is what one set of primary-tag values identifies. Its identity everywhere is its **series key**: the
//! memcomparable encoding of those values ([`heddle_types::key`]). There are no series numbers to hand out, so two
//! transactions that meet a new series at the same time agree about it without a lock.
//!
//!   key of a point = series key, then the time as one more ascending key column (marker and 8 bytes: [`TIME_KEY_BYTES`])
//!   row of a point = tuple ([`heddle_types::row::RowLayout`]) of the fields alone; tags that are not primary lie in a
//!                    relational storage of their own, one row per series
//!
//! Which engine a change belongs to is seen from its storage id: [`StorageId::is_series`].

use crate::condition::FieldCondition;
use crate::{KeyRange, RowEngine, RowReader, RowVersions};
use arrow::array::{ArrayRef, UInt64Array};
use bytes::Bytes;
use heddle_types::datetime::{DAY_US, civil_from_days, days_from_civil};
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Error, LogIndex, PgType, Result, SqlState, StorageId, key};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub mod blocks;
pub mod last;

/// January 1970, counted in months from year 0.
const EPOCH_MONTH: i64 = 1970 * 12;
/// More months than a timestamp reaches.
const MONTHS_MAX: i64 = 12 * 400_000;

/// Bytes of the time at the end of a point's key.
pub const TIME_KEY_BYTES: usize = 9;

/// A named column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedType {
    /// Its name when the layout was defined: what other tools see in segment files. Later renames do not reach it.
    pub name: String,
    /// Its type.
    pub ty: PgType,
}

/// What the points of one storage look like. Travels in the log ([`crate::RowChange::DefineSeries`]) before the first point.
///
/// A later definition of the same storage may add fields at the end; everything else stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeriesLayout {
    /// Primary tags, in key order.
    pub tags: Vec<NamedType>,
    /// The time column: timestamp or timestamptz.
    pub time: NamedType,
    /// Fields in the order of the stored tuple. Dropped ones keep their place.
    pub fields: Vec<NamedType>,
    /// The span of time whose points lie together.
    pub partition: PartitionInterval,
}

/// Length of a time partition: calendar months, or microseconds. Partitions are aligned to 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionInterval {
    /// Calendar months, at least one.
    Months(u32),
    /// Microseconds, at least one.
    Micros(i64),
}

impl SeriesLayout {
    /// As it lies in the log and in manifests.
    pub fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("a layout has string keys only").into()
    }

    /// Reads [`Self::encode`].
    ///
    /// # Errors
    /// `XX001` on malformed bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| {
            Error::new(SqlState::DATA_CORRUPTED, "a time-series layout cannot be read").detail(e.to_string())
        })
    }

    /// The layout of the stored tuples.
    pub fn row_layout(&self) -> RowLayout {
        let types: Vec<PgType> = self.fields.iter().map(|f| f.ty).collect();
        let missing = vec![Datum::Null; types.len()];
        RowLayout::new(types, missing)
    }
}

impl PartitionInterval {
    /// Ten days.
    pub const DEFAULT: Self = Self::Micros(10 * 86_400_000_000);

    /// Number of the partition a time falls into. Grows with time.
    pub fn number(self, time_us: i64) -> i64 {
        match self {
            Self::Micros(length) => time_us.div_euclid(length),
            Self::Months(length) => {
                let (year, month, _) = civil_from_days(time_us.div_euclid(DAY_US));
                (year * 12 + i64::from(month) - 1 - EPOCH_MONTH).div_euclid(i64::from(length))
            }
        }
    }

    /// First time of partition `number`; saturates at the ends of the type.
    pub fn start(self, number: i64) -> i64 {
        match self {
            Self::Micros(length) => number.saturating_mul(length),
            Self::Months(length) => {
                let month = number.saturating_mul(i64::from(length)).clamp(-MONTHS_MAX, MONTHS_MAX) + EPOCH_MONTH;
                let first = days_from_civil(month.div_euclid(12), month.rem_euclid(12) as u32 + 1, 1);
                first.saturating_mul(DAY_US)
            }
        }
    }
}

/// The key of the point of a series at a time.
pub fn point_key(series: &[u8], time_us: i64) -> Bytes {
    let mut out = Vec::with_capacity(series.len() + TIME_KEY_BYTES);
    out.extend_from_slice(series);
    key::encode(&mut out, &Datum::Timestamp(time_us), key::KeyOrder::default());
    out.into()
}

/// The series key and the time in a point's key.
///
/// # Errors
/// `XX001` when it is too short to be one.
pub fn split_point_key(key: &[u8]) -> Result<(&[u8], i64)> {
    let malformed = || Error::new(SqlState::DATA_CORRUPTED, "the key of a point is malformed");
    let at = key.len().checked_sub(TIME_KEY_BYTES).ok_or_else(malformed)?;
    let (series, time) = key.split_at(at);
    let bytes: [u8; 8] = time[1..].try_into().map_err(|_| malformed())?;
    Ok((series, (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64))
}

/// Which points a columnar scan reads, and what of them.
#[derive(Clone, Debug)]
pub struct PointScan {
    /// Where. One that the engine has not heard of (made by this very transaction) has own points only.
    pub storage: StorageId,
    /// What its points look like to the reader: fields that are newer than a point read as NULL.
    pub layout: Arc<SeriesLayout>,
    /// Series whose key lies in one of these; ascending and disjoint. One series = both bounds included.
    pub series: Vec<KeyRange>,
    /// First time, included.
    pub from_us: i64,
    /// Last time, included.
    pub to_us: i64,
    /// Places in [`SeriesLayout::fields`], ascending, each once.
    pub fields: Vec<usize>,
    /// What a point must fulfil, all of it.
    pub conditions: Vec<FieldCondition>,
    /// Is [`PointBatch::versions`] wanted?
    pub versions: bool,
    /// Most rows of a batch.
    pub batch_rows: usize,
    /// May points come in any order, one series several times in a batch? Otherwise each partition is in the order of series and times.
    pub any_order: bool,
    /// Are blocks that are known without being read wanted as such ([`PointCursor::next_points`])?
    pub blocks: Option<blocks::BlockScan>,
    /// In how many cursors to split the work at most: each gets series of its own.
    pub cursors: usize,
}

/// Points by columns.
#[derive(Clone, Debug)]
pub struct PointBatch {
    /// Series keys with the number of following rows that belong to each, in row order.
    pub series: Vec<(Bytes, usize)>,
    /// Times, in the Arrow form of the layout's time type.
    pub time: ArrayRef,
    /// Log index of each point's last write, 0 = the reader's own; of a point in a segment: the segment's sequence.
    pub versions: Option<UInt64Array>,
    /// The fields asked for.
    pub fields: Vec<ArrayRef>,
}

impl PointBatch {
    /// How many points.
    pub fn rows(&self) -> usize {
        self.time.len()
    }
}

/// What [`PointCursor::next_points`] gives.
#[derive(Clone, Debug)]
pub enum Points {
    /// Rows.
    Rows(PointBatch),
    /// Blocks of one series.
    Blocks(blocks::SeriesBlocks),
}

/// Walks points. Order: ascending by partition, then series key, then time.
pub trait PointCursor: Send {
    /// The next batch, never an empty one; `None` at the end.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch (names the file), `58030` on read errors.
    fn next_batch(&mut self) -> Result<Option<PointBatch>>;

    /// For scans that want blocks: the next batch or the next blocks. Blocks come in no order; their points are in no batch.
    ///
    /// # Errors
    /// As [`Self::next_batch`].
    fn next_points(&mut self) -> Result<Option<Points>> {
        Ok(self.next_batch()?.map(Points::Rows))
    }
}

/// A transaction's own write to a point: its key and row, `None` = deleted.
pub type OwnPoint = (Bytes, Option<Bytes>);

/// Reads points at one moment.
pub trait PointReader: RowReader {
    /// Opens a scan with a transaction's `own` points (ascending by key) on top; own points outside of the scan's bounds
    /// are ignored. At least one cursor.
    ///
    /// # Errors
    /// As [`PointCursor::next_batch`].
    fn scan_points(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<Vec<Box<dyn PointCursor>>>;

    /// The newest point of each series that `scan` would give, in series order; batches are of any size.
    ///
    /// # Errors
    /// As [`PointCursor::next_batch`].
    fn last_points(&self, scan: &PointScan, own: Vec<OwnPoint>) -> Result<Vec<PointBatch>> {
        last::of_cursors(self.scan_points(scan, own)?)
    }

    /// Keys of the series that may have points here, ascending; a superset (deleted points count until they are compacted away).
    ///
    /// # Errors
    /// As [`PointCursor::next_batch`].
    fn series(&self, storage: StorageId) -> Result<Vec<Bytes>>;

    /// Times between which all points of a storage lie, both included (none do: the first is above the last); None when that is
    /// not known at once.
    fn time_range(&self, _storage: StorageId) -> Option<(i64, i64)> {
        None
    }

    /// Bytes of segment files of a storage.
    fn disk_bytes(&self, storage: StorageId) -> u64;
}

/// An immutable set of parts of the time-series engine.
pub trait PointVersions: RowVersions {
    /// A reader that sees changes at or below `index`.
    fn point_reader(self: Arc<Self>, index: LogIndex) -> Arc<dyn PointReader>;
}

/// The time-series engine. What [`RowEngine`] calls a merge is a flush (and what compaction it makes due) here.
pub trait PointEngine: RowEngine {
    /// Current parts: the same object that [`RowEngine::versions`] gives.
    fn point_versions(&self) -> Arc<dyn PointVersions>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn point_key_splits_again() {
        for time in [i64::MIN, -1, 0, 1, i64::MAX] {
            let key = point_key(b"series", time);
            assert_eq!(split_point_key(&key).expect("it is one"), (&b"series"[..], time));
        }
        assert!(point_key(b"s", -1) < point_key(b"s", 1), "keys are in time order");
        assert_eq!(split_point_key(b"short").expect_err("too short").code(), SqlState::DATA_CORRUPTED);
    }

    #[test]
    fn partitions_cover_time_without_gaps() {
        let day = 86_400_000_000;
        for interval in [PartitionInterval::DEFAULT, PartitionInterval::Months(1), PartitionInterval::Months(12)] {
            for time in [-400 * day, -1, 0, 1, 59 * day, 20_000 * day + 7] {
                let number = interval.number(time);
                assert!(interval.start(number) <= time && time < interval.start(number + 1), "{interval:?} {time}");
                assert_eq!(interval.number(interval.start(number)), number);
                assert_eq!(interval.number(interval.start(number + 1) - 1), number);
            }
        }
    }
}
