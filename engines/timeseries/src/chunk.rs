//! A memtable's rows. [`OpenRows`] takes them as they come, raw; when it is full it is frozen into a [`Chunk`]: columns in
//! the order (partition, series key, time, log order), so that a chunk is read like a segment.
//!
//! A chunk keeps every version of a point, oldest first. Which one a reader sees depends on its index.

use crate::bounds::Bounds;
use crate::columns::{Columns, Written};
use crate::shape::Shape;
use crate::source::Visibility;
use bytes::Bytes;
use heddle_engines::block::PointBlock;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{LogIndex, Result};
use std::collections::HashMap;
use std::ops::Range;

/// Bytes of raw rows above which they are frozen, however few.
const CHUNK_BYTES: usize = 1 << 20;
/// What a raw row takes beside its bytes.
const OPEN_ROW_BYTES: usize = 64;
/// What a run of a series takes beside its key.
const RUN_BYTES: usize = std::mem::size_of::<Run>();

/// Rows in the order of arrival, which is log order.
#[derive(Default)]
pub struct OpenRows {
    keys: Vec<Bytes>,
    codes: HashMap<Bytes, u32>,
    series: Vec<u32>,
    time: Vec<i64>,
    written: Vec<LogIndex>,
    /// None = deleted.
    rows: Vec<Option<Bytes>>,
    bytes: usize,
}

impl OpenRows {
    /// Appends a row; `None` deletes the point.
    pub fn push(&mut self, series: &Bytes, time_us: i64, written: LogIndex, row: Option<Bytes>) {
        self.bytes += OPEN_ROW_BYTES + row.as_ref().map_or(0, Bytes::len);
        let code = self.code(series);
        self.series.push(code);
        self.time.push(time_us);
        self.written.push(written);
        self.rows.push(row);
    }

    fn code(&mut self, series: &Bytes) -> u32 {
        // Rows of one series often come together.
        if let Some(&last) = self.series.last().filter(|last| self.keys[**last as usize] == series) {
            return last;
        }
        if let Some(&code) = self.codes.get(series) {
            return code;
        }
        let code = self.keys.len() as u32; // at most one a row
        self.bytes += 2 * RUN_BYTES + series.len();
        self.keys.push(series.clone());
        self.codes.insert(series.clone(), code);
        code
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Lowest and highest time; the other way round without rows.
    pub fn time_range(&self) -> (i64, i64) {
        self.time.iter().fold((i64::MAX, i64::MIN), |(min, max), time| (min.min(*time), max.max(*time)))
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.time.is_empty()
    }

    /// Time to freeze them?
    pub fn is_full(&self, rows_max: usize) -> bool {
        self.len() >= rows_max || self.bytes >= CHUNK_BYTES
    }

    /// What they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Series keys, in no order.
    pub fn series(&self) -> &[Bytes] {
        &self.keys
    }

    /// The newest version at or below `at`: its index and row.
    pub fn find(&self, series: &[u8], time_us: i64, at: LogIndex) -> Option<(LogIndex, Option<Bytes>)> {
        let &code = self.codes.get(series)?;
        let row = (0..self.len())
            .rev()
            .find(|&i| self.series[i] == code && self.time[i] == time_us && self.written[i] <= at)?;
        Some((self.written[row], self.rows[row].clone()))
    }

    /// The rows within `bounds` that a reader at `at` may see.
    pub fn within(&self, bounds: &Bounds, at: LogIndex) -> Self {
        let wanted: Vec<bool> = self.keys.iter().map(|key| bounds.has_series(key)).collect();
        let mut out = Self::default();
        for i in 0..self.len() {
            let code = self.series[i] as usize;
            if wanted[code] && self.written[i] <= at && bounds.has_time(self.time[i]) {
                out.push(&self.keys[code], self.time[i], self.written[i], self.rows[i].clone());
            }
        }
        out
    }

    /// Decodes `fields` and sorts.
    ///
    /// # Errors
    /// `XX001` when a row is not one of this shape.
    pub fn freeze(&self, shape: &Shape, fields: &[usize]) -> Result<Chunk> {
        let (order, keys) = sort(shape, &self.keys, &self.series, &self.time);
        let mut builders: Vec<ColumnBuilder> =
            fields.iter().map(|f| ColumnBuilder::new(shape.layout.fields[*f].ty, self.len())).collect();
        for place in &order {
            match &self.rows[place.row as usize] {
                Some(row) => shape.tuple.decode_into(row, fields, &mut builders)?,
                None => builders.iter_mut().for_each(ColumnBuilder::append_null),
            }
        }
        let row = |place: &Place| place.row as usize;
        let has_deletes = self.rows.iter().any(Option::is_none);
        let columns = Columns {
            time: order.iter().map(|place| place.time).collect(),
            fields: builders.iter_mut().map(ColumnBuilder::finish).collect(),
            written: Written::Each(order.iter().map(|place| self.written[row(place)].0).collect()),
            deleted: has_deletes.then(|| order.iter().map(|place| self.rows[row(place)].is_none()).collect()),
        };
        Ok(Chunk::new(columns, &order, &keys))
    }
}

/// The order in which rows of these series and times lie in a chunk, and the keys in the order of their ranks.
fn sort(shape: &Shape, keys: &[Bytes], series: &[u32], time: &[i64]) -> (Vec<Place>, Vec<Bytes>) {
    let (ranks, keys) = sorted_keys(keys);
    let place = |row: usize| Place {
        partition: shape.layout.partition.number(time[row]),
        rank: ranks[series[row] as usize],
        time: time[row],
        row: row as u32, // a chunk's worth
    };
    let mut order: Vec<Place> = (0..time.len()).map(place).collect();
    order.sort_unstable();
    (order, keys)
}

/// The place of each key among all, and the keys in that order. A copy: what came belongs to a larger buffer.
fn sorted_keys(keys: &[Bytes]) -> (Vec<u32>, Vec<Bytes>) {
    let mut sorted: Vec<u32> = (0..keys.len() as u32).collect();
    sorted.sort_unstable_by(|a, b| keys[*a as usize].cmp(&keys[*b as usize]));
    let mut ranks = vec![0; sorted.len()];
    let all: Bytes = sorted.iter().flat_map(|code| &keys[*code as usize][..]).copied().collect();
    let mut at = 0;
    let in_order = sorted.iter().zip(0..).map(|(&code, rank)| {
        ranks[code as usize] = rank;
        let start = at;
        at += keys[code as usize].len();
        all.slice(start..at)
    });
    let in_order = in_order.collect();
    (ranks, in_order)
}

/// Where a row comes in a chunk.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    partition: i64,
    rank: u32,
    time: i64,
    row: u32,
}

/// Rows of one series within one section.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its key.
    pub series: Bytes,
    /// Its rows, by time.
    pub rows: Range<usize>,
}

/// Rows of one partition within a chunk.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which.
    pub partition: i64,
    /// Runs, by series key.
    pub runs: Range<usize>,
    /// Lowest time.
    pub min_us: i64,
    /// Highest time.
    pub max_us: i64,
}

/// See the module.
#[derive(Debug)]
pub struct Chunk {
    /// By partition.
    pub sections: Vec<Section>,
    /// Of all sections.
    pub runs: Vec<Run>,
    /// All rows.
    pub columns: Columns,
    /// Is no point in it twice?
    distinct: bool,
    /// Index of the first and last entry that wrote into it.
    written: (LogIndex, LogIndex),
    bytes: usize,
}

impl Chunk {
    /// A block of points, all written by one entry. One that is older than the shape lacks the last fields.
    ///
    /// # Errors
    /// `XX000` when its columns do not fit together.
    pub fn from_block(block: &PointBlock, written: LogIndex, shape: &Shape) -> Result<Self> {
        let (order, keys) = sort(shape, &block.series, &block.codes, &block.time);
        let rows: Vec<u32> = order.iter().map(|place| place.row).collect();
        let fields = shape.project(&shape.fields, &block.fields, block.rows())?;
        let arrived = Columns { time: block.time.clone(), fields, written: Written::At(written), deleted: None };
        Ok(Self::new(arrived.take(&rows)?, &order, &keys))
    }

    /// A chunk of sorted rows; ranks are places in `keys`.
    fn new(columns: Columns, order: &[Place], keys: &[Bytes]) -> Self {
        let (mut sections, mut runs): (Vec<Section>, Vec<Run>) = (Vec::new(), Vec::new());
        let mut last = None;
        let mut distinct = true;
        for (row, &Place { partition, rank, time, .. }) in order.iter().enumerate() {
            if sections.last().is_none_or(|section| section.partition != partition) {
                sections.push(Section { partition, runs: runs.len()..runs.len(), min_us: time, max_us: time });
                last = None;
            }
            let section = sections.last_mut().expect("just pushed");
            (section.min_us, section.max_us) = (section.min_us.min(time), section.max_us.max(time));
            match runs.last_mut() {
                Some(run) if last == Some(rank) => {
                    distinct &= columns.time[row - 1] != time;
                    run.rows.end = row + 1;
                }
                _ => runs.push(Run { series: keys[rank as usize].clone(), rows: row..row + 1 }),
            }
            section.runs.end = runs.len();
            last = Some(rank);
        }
        let indexes = (0..columns.rows()).map(|row| columns.written.index(row));
        let written = (indexes.clone().min().unwrap_or_default(), indexes.max().unwrap_or_default());
        let keys: usize = keys.iter().map(Bytes::len).sum();
        let bytes = columns.bytes() + keys + runs.len() * RUN_BYTES;
        Self { sections, runs, columns, distinct, written, bytes }
    }

    /// What it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lowest and highest time.
    pub fn time_range(&self) -> (i64, i64) {
        self.sections.iter().fold((i64::MAX, i64::MIN), |(min, max), s| (min.min(s.min_us), max.max(s.max_us)))
    }

    /// Index of its first entry.
    pub fn lowest(&self) -> LogIndex {
        self.written.0
    }

    /// Rows of one partition.
    pub fn section(&self, partition: i64) -> Option<&Section> {
        let at = self.sections.binary_search_by_key(&partition, |section| section.partition).ok()?;
        Some(&self.sections[at])
    }

    /// Row of the newest version of a point at or below `at`.
    pub fn find(&self, partition: i64, series: &[u8], time_us: i64, at: LogIndex) -> Option<usize> {
        let section = self.section(partition).filter(|s| s.min_us <= time_us && time_us <= s.max_us)?;
        let runs = &self.runs[section.runs.clone()];
        let run = &runs[runs.binary_search_by(|run| run.series[..].cmp(series)).ok()?];
        let times = &self.columns.time[run.rows.clone()];
        let first = times.partition_point(|&time| time < time_us);
        let same = times[first..].iter().take_while(|&&time| time == time_us).count();
        let versions = run.rows.start + first..run.rows.start + first + same;
        versions.rev().find(|&row| self.columns.written.index(row) <= at)
    }

    /// The runs of a section within `bounds`; none is empty.
    pub fn runs_within(&self, section: &Section, bounds: &Bounds) -> Vec<Run> {
        self.within(section, bounds).map(|(series, rows)| Run { series: series.clone(), rows }).collect()
    }

    /// The same, without copies of the keys: they are counted for all threads in one place.
    pub fn within<'a>(
        &'a self,
        section: &'a Section,
        bounds: &Bounds,
    ) -> impl Iterator<Item = (&'a Bytes, Range<usize>)> + use<'a> {
        let (from_us, to_us) = (bounds.from_us, bounds.to_us);
        let runs = &self.runs[section.runs.clone()];
        let places = match bounds.meets(section.min_us, section.max_us) {
            true => bounds.places(runs, |run| &run.series),
            false => Vec::new(),
        };
        let all_times = from_us <= section.min_us && section.max_us <= to_us;
        places.into_iter().flatten().filter_map(move |at| {
            let run = &runs[at];
            if all_times {
                return Some((&run.series, run.rows.clone()));
            }
            let times = &self.columns.time[run.rows.clone()];
            let start = run.rows.start + times.partition_point(|&time| time < from_us);
            let end = run.rows.start + times.partition_point(|&time| time <= to_us);
            (start < end).then_some((&run.series, start..end))
        })
    }

    /// Does a reader at `at` see every row, when what was written up to `dropped` is hidden?
    pub fn is_all_visible(&self, at: LogIndex, dropped: LogIndex) -> bool {
        self.distinct && self.written.0 > dropped && self.written.1 <= at
    }

    /// The last row of `run` that a reader sees, be it a tombstone.
    pub fn last_visible(&self, run: &Run, visibility: Visibility) -> Option<usize> {
        let seen = |row: &usize| {
            let index = self.columns.written.index(*row);
            visibility.dropped < index && index <= visibility.at
        };
        run.rows.clone().rev().find(seen)
    }

    /// The rows of `run` that a reader at `at` sees: the newest version of each point (tombstones too), when what was written
    /// up to `dropped` is hidden.
    pub fn visible_rows(&self, run: &Run, at: LogIndex, dropped: LogIndex, out: &mut Vec<u32>) {
        let mut rows = run.rows.clone().filter(|&row| self.columns.written.index(row) <= at).peekable();
        while let Some(row) = rows.next() {
            let time = self.columns.time[row];
            let is_newest = rows.peek().is_none_or(|&next| self.columns.time[next] != time);
            if is_newest && self.columns.written.index(row) > dropped {
                out.push(row as u32); // a chunk's worth
            }
        }
    }
}
