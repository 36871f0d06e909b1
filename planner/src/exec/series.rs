//! Rows of time-series tables: how they are taken apart into points and tags, and how statements write them.
//!
//!   row = primary tags + time (the point's key), fields (the point's tuple), other tags (one row per series elsewhere)
//!
//! Called by [`super::write::TableWriter`] for tables of this kind, by [`super::direct`] and [`crate::lower`] to read them.
//!
//! Rules
//! 1. A point inserted again replaces the one before: nothing is read and nothing locked per row.
//! 2. The other tags of a series are what its first INSERT with tags said, until an UPDATE changes them. They are decided
//!    under a lock on the series.
//! 3. Whether a point changed since a snapshot is seen from its contents: a segment keeps no version per point.

mod bulk;
mod columns;

pub(crate) use columns::PointColumns;

use super::write::{Current, TableWriter};
use bytes::Bytes;
use heddle_catalog::{SeriesColumn, SeriesDef, TableDef};
use heddle_engines::RowReader;
use heddle_engines::point::{SeriesLayout, point_key, split_point_key};
use heddle_txn::ReadView;
use heddle_types::datetime::is_valid_timestamp;
use heddle_types::key::{self, KEY_BYTES_MAX};
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Error, Result, Severity, SqlState, StorageId};
use parking_lot::Mutex;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Series whose tags a statement remembers; beyond that it looks them up again.
const KNOWN_SERIES_MAX: usize = 1 << 20;

/// The keys of all series whose primary tags have these values, which are given tag by tag; ascending. No series has a tag that is NULL.
pub(crate) fn series_keys(tags: impl IntoIterator<Item = Vec<Datum>>) -> Vec<Bytes> {
    let mut keys = vec![vec![]];
    for values in tags {
        let longer = |value: &Datum| {
            let encoded = key::encode_row([value]);
            keys.iter().map(move |key: &Vec<u8>| [&key[..], &encoded].concat()).collect::<Vec<_>>()
        };
        keys = values.iter().filter(|value| !value.is_null()).flat_map(longer).collect();
    }
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(Bytes::from).collect()
}

/// Takes rows of a time-series table apart and puts them together.
#[derive(Clone, Debug)]
pub(crate) struct SeriesCodec {
    table: Arc<TableDef>,
    pub layout: Arc<SeriesLayout>,
    pub tags_storage: StorageId,
    /// Places in `table.columns`
    time: usize,
    primary: Vec<usize>,
    tags: Vec<usize>,
    fields: Vec<usize>,
    field_layout: RowLayout,
    tag_layout: RowLayout,
}

impl SeriesCodec {
    /// For a time-series table; None for another.
    pub fn of(table: &Arc<TableDef>) -> Option<Self> {
        let series = table.series.as_ref()?;
        let place = |attnum: &i16| *attnum as usize - 1;
        let layout = Arc::new(table.series_layout()?);
        Some(Self {
            table: Arc::clone(table),
            tags_storage: series.tags_storage,
            time: place(&series.time),
            primary: series.primary_tags.iter().map(place).collect(),
            tags: series.tags.iter().map(place).collect(),
            fields: table.field_columns(),
            field_layout: layout.row_layout(),
            layout,
            tag_layout: table.tag_layout()?,
        })
    }

    /// The key of the series a row belongs to.
    fn series_key(&self, values: &[Datum]) -> Result<Vec<u8>> {
        let key = key::encode_row(self.primary.iter().map(|i| &values[*i]));
        self.check_key(&key)?;
        Ok(key)
    }

    /// `54000` when a series key is too long.
    fn check_key(&self, key: &[u8]) -> Result<()> {
        if key.len() > KEY_BYTES_MAX {
            let text = format!(
                "the primary tags of a row of table \"{}\" take {} bytes, the maximum is {KEY_BYTES_MAX}",
                self.table.name,
                key.len()
            );
            return Err(Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, text));
        }
        Ok(())
    }

    fn time_of(&self, values: &[Datum]) -> Result<i64> {
        match values[self.time] {
            Datum::Timestamp(us) => self.check_time(us),
            _ => Err(Error::internal("the time of a point is not a timestamp")),
        }
    }

    /// `22008` for what is no time of a point.
    fn check_time(&self, us: i64) -> Result<i64> {
        if is_valid_timestamp(us) {
            return Ok(us);
        }
        let text = format!("timestamp out of range for time-series table \"{}\"", self.table.name);
        Err(Error::new(SqlState::DATETIME_FIELD_OVERFLOW, text))
    }

    fn tuple(&self, values: &[Datum]) -> Bytes {
        let fields: Vec<Datum> = self.fields.iter().map(|i| values[*i].clone()).collect();
        self.field_layout.encode(&fields).into()
    }

    fn tags_of(&self, values: &[Datum]) -> Vec<Datum> {
        self.tags.iter().map(|i| values[*i].clone()).collect()
    }

    /// The row of a point; `tags` is the row of its series, if it has one.
    pub fn row(&self, key: &[u8], tuple: &[u8], tags: Option<&[u8]>) -> Result<Vec<Datum>> {
        let mut values = vec![Datum::Null; self.table.columns.len()];
        let (series, time) = split_point_key(key)?;
        values[self.time] = Datum::Timestamp(time);
        self.put_primary(series, &mut values)?;
        for (i, value) in self.fields.iter().zip(self.field_layout.decode(tuple)?) {
            values[*i] = value;
        }
        self.put_tags(tags, &mut values)?;
        Ok(values)
    }

    /// The tags of a series that lie in `columns` (places in the table's); `tags` is the series' row, if it has one.
    pub fn tags_at(&self, mut series: &[u8], tags: Option<&[u8]>, columns: &[usize]) -> Result<Vec<Datum>> {
        let mut primary = Vec::with_capacity(self.primary.len());
        for i in &self.primary {
            primary.push(key::decode(&mut series, self.table.columns[*i].ty.class())?);
        }
        let tags = tags.map(|row| self.tag_layout.decode(row)).transpose()?;
        let value = |column: &usize| match self.primary.iter().position(|i| i == column) {
            Some(at) => primary[at].clone(),
            None => {
                let at = self.tags.iter().position(|i| i == column);
                at.and_then(|at| tags.as_ref().map(|t| t[at].clone())).unwrap_or(Datum::Null)
            }
        };
        Ok(columns.iter().map(value).collect())
    }

    fn put_primary(&self, mut series: &[u8], values: &mut [Datum]) -> Result<()> {
        for i in &self.primary {
            values[*i] = key::decode(&mut series, self.table.columns[*i].ty.class())?;
        }
        Ok(())
    }

    fn put_tags(&self, tags: Option<&[u8]>, values: &mut [Datum]) -> Result<()> {
        let Some(row) = tags else { return Ok(()) };
        for (i, value) in self.tags.iter().zip(self.tag_layout.decode(row)?) {
            values[*i] = value;
        }
        Ok(())
    }

    /// Does the column lie in the series' own row?
    pub fn is_tag(&self, column: usize) -> bool {
        matches!(self.table.series_column(column), Some(SeriesColumn::Tag(_)))
    }

    fn has_tags(&self) -> bool {
        !self.tags.is_empty()
    }
}

/// The first time that is shown to a statement that began at `now_us`; None without a retention.
pub(crate) fn shown_from(series: &SeriesDef, now_us: i64) -> Option<i64> {
    series.retention?.cutoff_us(now_us)
}

/// Writes rows of one time-series table within one statement.
pub(crate) struct SeriesWriter {
    codec: SeriesCodec,
    shown_from: Option<i64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: HashMap<Bytes, Known>,
    /// Series that this statement holds the lock of.
    locked: HashSet<Bytes>,
    /// Tags that this statement's UPDATE gave a series.
    updated: HashMap<Bytes, Vec<Datum>>,
    /// This statement's UPDATE changes tags.
    updates_tags: bool,
    /// Rows whose tags were not those of their series.
    kept: u64,
    /// Rows that nobody will see.
    expired: u64,
}

/// The stored tags of a series.
#[derive(Clone)]
enum Known {
    Row(Vec<Datum>),
    Absent,
}

/// What is to be done about the tags of a row.
enum Settled {
    Nothing,
    Put(Bytes),
    /// The series must be learned first.
    Unknown,
}

impl SeriesWriter {
    /// For a time-series table; None for another.
    pub fn of(table: &Arc<TableDef>, now_us: i64) -> Option<Self> {
        let codec = SeriesCodec::of(table)?;
        let shown_from = table.series.as_ref().and_then(|s| shown_from(s, now_us));
        Some(Self { codec, shown_from, state: Mutex::default() })
    }

    /// Looks up the series of a batch that are new to the statement, in their order: two loads that meet wait for each other
    /// instead of dying in a deadlock.
    pub async fn prepare(&self, w: &TableWriter, rows: &[Vec<Datum>]) -> Result<()> {
        if !self.codec.has_tags() {
            return Ok(());
        }
        let mut fresh = BTreeMap::new();
        for row in rows {
            let series = self.codec.series_key(row)?;
            if !self.state.lock().known.contains_key(&series[..]) {
                *fresh.entry(Bytes::from(series)).or_insert(false) |= self.gives_tags(row);
            }
        }
        self.learn(w, fresh).await
    }

    /// Stores a row as a point. Its tags become what is stored.
    pub async fn insert(&self, w: &TableWriter, values: &mut [Datum]) -> Result<Bytes> {
        let (key, series) = self.key_of(values)?;
        self.keep_tags(w, &series, values).await?;
        w.txn.put(w.table.storage, key.clone(), self.codec.tuple(values))?;
        Ok(key)
    }

    /// Replaces `old` by `new`: the point, the series' tags, or the point's place.
    pub async fn update(&self, w: &TableWriter, old: &Current, new: &mut [Datum]) -> Result<Bytes> {
        let (key, series) = self.key_of(new)?;
        let (old_series, _) = split_point_key(&old.key)?;
        let tags_change = !same(&self.codec.tags_of(new), &self.codec.tags_of(&old.values));
        if key != old.key {
            w.refuse_occupied(&key, new).await?;
        }
        if series != old_series {
            self.keep_tags(w, &series, new).await?;
        } else if tags_change {
            self.set_tags(w, &series, new).await?;
        }
        if key != old.key {
            w.txn.delete(w.table.storage, old.key.clone())?;
            w.txn.note_key_change(w.table.oid, old.key.clone(), key.clone());
        }
        let (before, after) = (self.codec.tuple(&old.values), self.codec.tuple(new));
        if key != old.key || before != after {
            w.txn.put(w.table.storage, key.clone(), after)?;
        }
        Ok(key)
    }

    /// Is the point young enough to be shown?
    pub fn shows(&self, key: &[u8]) -> Result<bool> {
        let (_, time) = split_point_key(key)?;
        Ok(self.shown_from.is_none_or(|from| time >= from))
    }

    /// The newest version of a point.
    pub fn current(&self, w: &TableWriter, key: &[u8]) -> Result<Option<Current>> {
        let newest = w.txn.newest();
        let Some(point) = newest.get(w.table.storage, key)? else { return Ok(None) };
        let mut values = self.codec.row(key, &point.row, None)?;
        if self.codec.has_tags() {
            let (series, _) = split_point_key(key)?;
            if let Known::Row(tags) = self.newest_tags(&*newest, series)? {
                self.put_tags(&tags, &mut values);
            }
        }
        // Asked after the reads: they find what has become visible since the newest state was taken.
        let state = w.txn.manager().visible().max(newest.index());
        Ok(Some(Current { key: point.key, index: point.index.0, values, state }))
    }

    /// Is the point, with its series' tags, what `view` sees?
    pub fn unchanged(&self, w: &TableWriter, current: &Current, view: &ReadView) -> Result<bool> {
        // Nobody committed anything: what this command itself wrote, its callers know.
        if current.state == view.index() && w.txn.depends_on() <= view.index() {
            return Ok(true);
        }
        let Some(seen) = view.get(w.table.storage, &current.key)? else { return Ok(false) };
        let (series, _) = split_point_key(&current.key)?;
        let tags = match self.codec.has_tags() {
            true => view.get(self.codec.tags_storage, series)?,
            false => None,
        };
        let values = self.codec.row(&current.key, &seen.row, tags.as_ref().map(|t| &t.row[..]))?;
        Ok(self.codec.tuple(&values) == self.codec.tuple(&current.values)
            && same(&self.codec.tags_of(&values), &self.codec.tags_of(&current.values)))
    }

    /// An UPDATE will set these columns.
    pub fn will_set(&self, mut columns: impl Iterator<Item = usize>) {
        self.state.lock().updates_tags = columns.any(|c| self.codec.is_tag(c));
    }

    /// Before a point is read that an UPDATE of tags will change: its series is locked first.
    pub async fn lock(&self, w: &TableWriter, key: &[u8]) -> Result<()> {
        if self.state.lock().updates_tags {
            self.lock_series(w, split_point_key(key)?.0).await?;
        }
        Ok(())
    }

    /// Tells what the statement did not do.
    pub fn finish(&self, w: &TableWriter) {
        let state = self.state.lock();
        let rows = |n: u64| if n == 1 { "1 row".to_owned() } else { format!("{n} rows") };
        let tell = |text: String| Error::notice(Severity::Notice, SqlState::SUCCESSFUL_COMPLETION, text);
        if state.kept > 0 {
            let text = format!("{} gave other tags than their series has: the stored ones stay", rows(state.kept));
            (w.ctx.session.notice)(tell(text).hint("UPDATE changes the tags of a series."));
        }
        if state.expired > 0 {
            let (table, n) = (&w.table.name, rows(state.expired));
            (w.ctx.session.notice)(tell(format!("table \"{table}\" does not show {n} older than its retention")));
        }
    }

    /// The keys of a row's point and series.
    fn key_of(&self, values: &[Datum]) -> Result<(Bytes, Vec<u8>)> {
        let time = self.codec.time_of(values)?;
        let series = self.codec.series_key(values)?;
        if self.shown_from.is_some_and(|from| time < from) {
            self.state.lock().expired += 1;
        }
        Ok((point_key(&series, time), series))
    }

    fn gives_tags(&self, values: &[Datum]) -> bool {
        self.codec.tags.iter().any(|i| !values[*i].is_null())
    }

    fn put_tags(&self, tags: &[Datum], values: &mut [Datum]) {
        for (i, tag) in self.codec.tags.iter().zip(tags) {
            values[*i] = tag.clone();
        }
    }

    /// Rule 2 for a row: stores its tags when the series has none, takes over the stored ones otherwise.
    async fn keep_tags(&self, w: &TableWriter, series: &[u8], values: &mut [Datum]) -> Result<()> {
        while self.codec.has_tags() {
            let settled = self.settle(&mut self.state.lock(), series, values);
            match settled {
                Settled::Nothing => break,
                Settled::Put(row) => {
                    return w.txn.put(self.codec.tags_storage, Bytes::copy_from_slice(series), row);
                }
                Settled::Unknown => {
                    let gives = self.gives_tags(values);
                    self.learn(w, BTreeMap::from([(Bytes::copy_from_slice(series), gives)])).await?;
                }
            }
        }
        Ok(())
    }

    fn settle(&self, state: &mut State, series: &[u8], values: &mut [Datum]) -> Settled {
        let gives = self.gives_tags(values);
        match state.known.get(series) {
            None => Settled::Unknown,
            Some(Known::Absent) if !gives => Settled::Nothing,
            Some(Known::Absent) if !state.locked.contains(series) => Settled::Unknown,
            Some(Known::Absent) => {
                let tags = self.codec.tags_of(values);
                let row = self.codec.tag_layout.encode(&tags);
                state.known.insert(Bytes::copy_from_slice(series), Known::Row(tags));
                Settled::Put(row.into())
            }
            Some(Known::Row(tags)) => {
                let mut differs = false;
                for (i, tag) in self.codec.tags.iter().zip(tags) {
                    differs |= !values[*i].is_null() && key::compare(&values[*i], tag) != Ordering::Equal;
                    values[*i].clone_from(tag);
                }
                state.kept += u64::from(differs);
                Settled::Nothing
            }
        }
    }

    /// Finds the stored tags of series; those that have none and are given some now are locked first.
    async fn learn(&self, w: &TableWriter, series: BTreeMap<Bytes, bool>) -> Result<()> {
        let mut undecided = vec![];
        {
            let newest = w.txn.newest();
            let mut state = self.state.lock();
            // What a block needs is learned in one call and must stay until it is written.
            if state.known.len() > KNOWN_SERIES_MAX {
                state.known.clear();
            }
            for (key, gives) in series {
                let known = self.stored(&*newest, &key)?;
                match known {
                    Known::Absent if gives && !state.locked.contains(&key) => undecided.push(key),
                    known => drop(state.known.insert(key, known)),
                }
            }
        }
        for key in &undecided {
            self.lock_series(w, key).await?;
        }
        if undecided.is_empty() {
            return Ok(());
        }
        let newest = w.txn.newest();
        for key in undecided {
            let known = self.stored(&*newest, &key)?;
            self.state.lock().known.insert(key, known);
        }
        Ok(())
    }

    async fn lock_series(&self, w: &TableWriter, series: &[u8]) -> Result<()> {
        if self.state.lock().locked.contains(series) {
            return Ok(());
        }
        w.txn.lock_key(w.table.oid, series).await?;
        self.state.lock().locked.insert(Bytes::copy_from_slice(series));
        Ok(())
    }

    /// UPDATE's new tags of a series, which is locked.
    async fn set_tags(&self, w: &TableWriter, series: &[u8], values: &[Datum]) -> Result<()> {
        let tags = self.codec.tags_of(values);
        if let Some(before) = self.state.lock().updated.get(series) {
            if same(before, &tags) {
                return Ok(());
            }
            let text = "UPDATE gives the tags of one series different values";
            return Err(Error::new(SqlState::CARDINALITY_VIOLATION, text)
                .hint("Tags belong to the series: all its points have the same."));
        }
        self.lock_series(w, series).await?;
        let series = Bytes::copy_from_slice(series);
        w.txn.put(self.codec.tags_storage, series.clone(), self.codec.tag_layout.encode(&tags).into())?;
        self.state.lock().updated.insert(series, tags);
        Ok(())
    }

    /// The newest tags of a series as this statement found them when it first asked.
    fn newest_tags(&self, newest: &dyn RowReader, series: &[u8]) -> Result<Known> {
        let known = self.state.lock().known.get(series).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let known = self.stored(newest, series)?;
        let mut state = self.state.lock();
        if state.known.len() >= KNOWN_SERIES_MAX {
            state.known.clear();
        }
        state.known.insert(Bytes::copy_from_slice(series), known.clone());
        Ok(known)
    }

    fn stored(&self, newest: &dyn RowReader, series: &[u8]) -> Result<Known> {
        Ok(match newest.get(self.codec.tags_storage, series)? {
            Some(row) => Known::Row(self.codec.tag_layout.decode(&row.row)?),
            None => Known::Absent,
        })
    }
}

fn same(a: &[Datum], b: &[Datum]) -> bool {
    a.iter().zip(b).all(|(a, b)| key::compare(a, b) == Ordering::Equal)
}
