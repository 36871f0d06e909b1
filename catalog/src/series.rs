//! How the columns of a time-series table are spread over its storages.

use crate::{Retention, SeriesDef, TableDef};
use heddle_engines::point::{NamedType, SeriesLayout};
use heddle_types::datetime::arith::add_timestamp;
use heddle_types::row::RowLayout;
use heddle_types::{Datum, Interval, StorageId};

/// What a column of a time-series table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesColumn {
    /// The time
    Time,
    /// A primary tag: its place in the series key.
    PrimaryTag(usize),
    /// Another tag: its place in the tags' tuple.
    Tag(usize),
    /// A field: its place in the point's tuple.
    Field(usize),
}

impl TableDef {
    /// What `columns[at]` is; None for a relational table.
    pub fn series_column(&self, at: usize) -> Option<SeriesColumn> {
        let series = self.series.as_ref()?;
        let attnum = self.columns[at].attnum;
        if attnum == series.time {
            return Some(SeriesColumn::Time);
        }
        let place = |list: &[i16]| list.iter().position(|a| *a == attnum);
        if let Some(tag) = place(&series.primary_tags) {
            return Some(SeriesColumn::PrimaryTag(tag));
        }
        if let Some(tag) = place(&series.tags) {
            return Some(SeriesColumn::Tag(tag));
        }
        let before = |i: &usize| *i < at && series.is_field(self.columns[*i].attnum);
        Some(SeriesColumn::Field((0..at).filter(before).count()))
    }

    /// Indexes into `columns` of the fields (dropped ones too), in the order of the point's tuple. Empty for a relational table.
    pub fn field_columns(&self) -> Vec<usize> {
        let Some(series) = &self.series else { return vec![] };
        (0..self.columns.len()).filter(|i| series.is_field(self.columns[*i].attnum)).collect()
    }

    /// What the time-series engine has to know of the table; None for a relational one.
    pub fn series_layout(&self) -> Option<SeriesLayout> {
        let series = self.series.as_ref()?;
        let named = |i: usize| NamedType { name: self.columns[i].name.clone(), ty: self.columns[i].ty };
        Some(SeriesLayout {
            tags: series.primary_tags.iter().map(|a| named(*a as usize - 1)).collect(),
            time: named(series.time as usize - 1),
            fields: self.field_columns().into_iter().map(named).collect(),
            partition: series.partition,
        })
    }

    /// The layout of the rows of [`SeriesDef::tags_storage`]; None for a relational table.
    pub fn tag_layout(&self) -> Option<RowLayout> {
        let series = self.series.as_ref()?;
        let types: Vec<_> = series.tags.iter().map(|a| self.columns[*a as usize - 1].ty).collect();
        let missing = vec![Datum::Null; types.len()];
        Some(RowLayout::new(types, missing))
    }

    /// Every storage it has: its own, its indexes', its tags'.
    pub fn storages(&self) -> impl Iterator<Item = StorageId> + '_ {
        let indexes = self.indexes.iter().filter_map(|i| i.storage);
        std::iter::once(self.storage).chain(indexes).chain(self.series.iter().map(|s| s.tags_storage))
    }
}

impl SeriesDef {
    fn is_field(&self, attnum: i16) -> bool {
        attnum != self.time && !self.primary_tags.contains(&attnum) && !self.tags.contains(&attnum)
    }
}

impl Retention {
    /// As an interval.
    pub fn interval(self) -> Interval {
        Interval::new(self.months, self.days, self.us)
    }

    /// The first time that is still kept at `now_us`: months and days are taken off the calendar in UTC. None where that
    /// lies before the calendar began: nothing has expired.
    pub fn cutoff_us(self, now_us: i64) -> Option<i64> {
        let back = self.interval().checked_neg().ok()?;
        add_timestamp(now_us, back).ok()
    }
}
