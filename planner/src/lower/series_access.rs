//! What a scan of a time-series table has to read: conjuncts about time become bounds, conjuncts about tags a set of series.
//!
//! Everything is evaluated when the scan starts, so that outer references and constants are treated alike. A set of series comes
//! from complete primary tags (direct keys) or from the list of all series, over which the conjuncts run.

use super::field_filter::{FieldFilter, is_field_filter};
use super::range::{self, Condition, Operand, POINTS_MAX};
use super::{arrow_schema, name};
use crate::bound::{ColId, TableScan};
use crate::exec::series::{SeriesCodec, series_keys, shown_from};
use crate::function::from_df;
use arrow::array::{ArrayRef, BooleanArray};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::{Expr as Df, Operator};
use datafusion::physical_expr::PhysicalExpr;
use heddle_catalog::SeriesColumn;
use heddle_engines::condition::FieldCondition;
use heddle_engines::{KeyRange, RowReader};
use heddle_txn::ReadView;
use heddle_types::arrow::ColumnBuilder;
use heddle_types::{Datum, PgType, Result};
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

/// From so many series on their tags are read by one scan.
const TAGS_SCAN_MIN: usize = 256;
/// Rows of a scan of tags read at once.
const TAGS_BATCH_ROWS: usize = 1024;

/// How well a conjunct is answered by the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    No,
    /// Narrows; to be applied again above.
    Narrows,
    /// Nothing is left to do.
    Complete,
}

/// What `filter` is good for.
pub(super) fn usefulness(scan: &TableScan, filter: &Df) -> Use {
    if filter.is_volatile() || filter.column_refs().is_empty() {
        return Use::No;
    }
    if time_bound(scan, filter).is_some() {
        return Use::Complete;
    }
    if tag_columns(scan, filter).is_some() {
        return if is_plain(filter) { Use::Complete } else { Use::Narrows };
    }
    if is_field_filter(scan, filter) {
        return Use::Complete;
    }
    if time_list(scan, filter).is_some() { Use::Narrows } else { Use::No }
}

/// Cannot raise an error: comparisons, logic, columns, constants.
fn is_plain(filter: &Df) -> bool {
    let mut plain = true;
    let _ = filter.apply(|e| {
        plain &= matches!(
            e,
            Df::Column(_)
                | Df::Literal(..)
                | Df::BinaryExpr(_)
                | Df::Not(_)
                | Df::IsNull(_)
                | Df::IsNotNull(_)
                | Df::InList(_)
                | Df::Between(_)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    plain
}

/// `time op value`, alone.
fn time_bound(scan: &TableScan, filter: &Df) -> Option<Condition> {
    let Df::BinaryExpr(b) = filter else { return None };
    if matches!(b.op, Operator::And | Operator::Or) {
        return None;
    }
    range::conditions(scan, filter).pop().filter(|c| is_time(scan, c) && c.values.len() == 1)
}

/// `time IN (…)`, or the same as ORs.
fn time_list(scan: &TableScan, filter: &Df) -> Option<Condition> {
    let mut all = range::conditions(scan, filter);
    let one = all.pop().filter(|c| all.is_empty() && is_time(scan, c) && c.op == Operator::Eq)?;
    Some(one)
}

fn is_time(scan: &TableScan, c: &Condition) -> bool {
    !c.keyed && scan.table.series_column(c.column) == Some(SeriesColumn::Time)
}

/// The tags a conjunct is about: (id, place in `table.columns`); None when it needs anything else.
fn tag_columns(scan: &TableScan, filter: &Df) -> Option<Vec<(ColId, usize)>> {
    let refs = filter.column_refs();
    let tag = |c: &&datafusion::common::Column| {
        let (id, i) = scan.columns.iter().find(|(id, _)| name(*id) == c.name)?;
        let kind = scan.table.series_column(*i);
        matches!(kind, Some(SeriesColumn::PrimaryTag(_) | SeriesColumn::Tag(_))).then_some((*id, *i))
    };
    refs.iter().map(tag).collect()
}

/// Conjuncts made ready.
#[derive(Clone, Debug)]
pub(super) struct Access {
    codec: SeriesCodec,
    /// `time op value`
    bounds: Vec<(Operator, Vec<Operand>)>,
    /// Values per primary tag, when each has some.
    keys: Option<Vec<Vec<Operand>>>,
    filters: Vec<TagFilter>,
    /// What the engine tests.
    fields: Vec<FieldFilter>,
    shown_from: Option<i64>,
}

/// A conjunct about tags.
#[derive(Clone, Debug)]
struct TagFilter {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns `expr` works on, in its schema's order.
    columns: Vec<(ColId, usize)>,
    /// The plan filters again above.
    repeated: bool,
}

/// What to read.
pub(crate) struct Selection {
    /// None = every series; ascending.
    pub series: Option<Vec<Bytes>>,
    /// All series there are, when they had to be listed.
    pub all: Option<Vec<Bytes>>,
    pub from_us: i64,
    pub to_us: i64,
    /// What the engine tests of each point.
    pub conditions: Vec<FieldCondition>,
}

impl Access {
    pub fn new(
        scan: &TableScan,
        codec: SeriesCodec,
        filters: &[Df],
        now_us: i64,
        session: &dyn Session,
    ) -> DfResult<Self> {
        let free = range::physical_free(session);
        let operand = |c: &Condition, e: &Df| {
            let ty = scan.table.columns[c.column].ty;
            Ok::<_, datafusion::error::DataFusionError>(Operand { expr: free(e)?, keyed: false, ty })
        };
        let mut bounds = vec![];
        let mut tags = vec![];
        let mut fields = vec![];
        for filter in filters {
            if let Some(c) = time_bound(scan, filter).or_else(|| time_list(scan, filter)) {
                bounds.push((c.op, c.values.iter().map(|e| operand(&c, e)).collect::<DfResult<_>>()?));
            } else if let Some(columns) = tag_columns(scan, filter) {
                let typed: Vec<(ColId, PgType)> =
                    columns.iter().map(|(id, i)| (*id, scan.table.columns[*i].ty)).collect();
                let schema = DFSchema::try_from(arrow_schema(&typed))?;
                let expr = session.create_physical_expr(filter.clone(), &schema)?;
                tags.push(TagFilter { expr, columns, repeated: !is_plain(filter) });
            } else {
                fields.extend(FieldFilter::new(scan, filter, &free)?);
            }
        }
        let conditions: Vec<Condition> = filters.iter().flat_map(|f| range::conditions(scan, f)).collect();
        let series = scan.table.series.as_ref();
        let mut keys = Some(vec![]);
        let mut points = 1;
        for attnum in series.map_or(&[][..], |s| &s.primary_tags) {
            let column = *attnum as usize - 1;
            let equal = conditions.iter().filter(|c| c.column == column && c.op == Operator::Eq && !c.keyed);
            let Some(c) = equal.min_by_key(|c| c.values.len()).filter(|c| points * c.values.len() <= POINTS_MAX) else {
                keys = None;
                break;
            };
            points *= c.values.len();
            let values = c.values.iter().map(|e| operand(c, e)).collect::<DfResult<Vec<_>>>()?;
            if let Some(keys) = &mut keys {
                keys.push(values);
            }
        }
        let shown_from = series.and_then(|s| shown_from(s, now_us));
        Ok(Self { codec, bounds, keys, filters: tags, fields, shown_from })
    }

    /// Will it read one series at most?
    pub fn is_single(&self) -> bool {
        self.keys.as_ref().is_some_and(|k| k.iter().all(|values| values.len() == 1))
    }

    /// Decides what to read; None when no point can match. `list` asks for the list of series in any case.
    pub fn select(&self, table: &TableScan, view: &ReadView, list: bool) -> Result<Option<Selection>> {
        let Some((from_us, to_us)) = self.times()? else { return Ok(None) };
        let conditions = self.fields.iter().map(FieldFilter::condition).collect::<Result<Option<Vec<_>>>>()?;
        let Some(conditions) = conditions else { return Ok(None) };
        let (candidates, all) = match &self.keys {
            Some(keys) => (Some(direct(keys)?), None),
            None if self.filters.is_empty() && !list => (None, None),
            None => {
                let all = view.series(table.table.storage)?;
                (Some(all.clone()), Some(all))
            }
        };
        let series = match candidates {
            Some(series) => Some(self.matching(table, view, series)?),
            None => None,
        };
        if series.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        Ok(Some(Selection { series, all, from_us, to_us, conditions }))
    }

    /// What the engine tests of each point, for EXPLAIN.
    pub fn shown_conditions(&self, table: &TableScan, selection: &Selection) -> String {
        let shown = |(filter, condition): (&FieldFilter, &FieldCondition)| {
            let column = &table.table.columns[filter.column];
            format!("({} {})", crate::function::quote_ident(&column.name), condition.test)
        };
        let all: Vec<String> = self.fields.iter().zip(&selection.conditions).map(shown).collect();
        if all.len() == 1 { all.concat() } else { format!("({})", all.join(" AND ")) }
    }

    /// First and last time, both included.
    fn times(&self) -> Result<Option<(i64, i64)>> {
        // Points are never at an infinity.
        let (mut from, mut to) = (self.shown_from.unwrap_or(i64::MIN + 1), i64::MAX - 1);
        for (op, values) in &self.bounds {
            let mut times = vec![];
            for value in values {
                if let Datum::Timestamp(us) = value.value().map_err(from_df)? {
                    times.push(us);
                }
            }
            let (Some(first), Some(last)) = (times.iter().min().copied(), times.iter().max().copied()) else {
                return Ok(None);
            };
            match op {
                Operator::Gt => from = from.max(first.saturating_add(1)),
                Operator::GtEq => from = from.max(first),
                Operator::Lt => to = to.min(first.saturating_sub(1)),
                Operator::LtEq => to = to.min(first),
                _ => (from, to) = (from.max(first), to.min(last)),
            }
        }
        Ok((from <= to).then_some((from, to)))
    }

    /// The series for which the conjuncts hold.
    fn matching(&self, table: &TableScan, view: &ReadView, mut series: Vec<Bytes>) -> Result<Vec<Bytes>> {
        if self.filters.is_empty() || series.is_empty() {
            return Ok(series);
        }
        let other = self.filters.iter().flat_map(|f| &f.columns).any(|(_, i)| self.codec.is_tag(*i));
        let tags = if other { Tags::read(&self.codec, view, &series)? } else { Tags::default() };
        for filter in &self.filters {
            match self.holds(table, filter, &series, &tags) {
                Ok(keep) => {
                    let mut keep = keep.iter();
                    series.retain(|_| keep.next().flatten() == Some(true));
                }
                // It fails for a series that may have no point here: rows will tell.
                Err(_) if filter.repeated => {}
                Err(e) => return Err(e),
            }
        }
        Ok(series)
    }

    fn holds(&self, table: &TableScan, filter: &TagFilter, series: &[Bytes], tags: &Tags) -> Result<BooleanArray> {
        let columns = &table.table.columns;
        let mut builders: Vec<ColumnBuilder> =
            filter.columns.iter().map(|(_, i)| ColumnBuilder::new(columns[*i].ty, series.len())).collect();
        let places: Vec<usize> = filter.columns.iter().map(|(_, i)| *i).collect();
        for key in series {
            let row = self.codec.tags_at(key, tags.row(key), &places)?;
            for (value, builder) in row.iter().zip(&mut builders) {
                builder.append(value)?;
            }
        }
        let typed: Vec<(ColId, PgType)> = filter.columns.iter().map(|(id, i)| (*id, columns[*i].ty)).collect();
        let arrays: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(series.len()));
        let batch = RecordBatch::try_new_with_options(arrow_schema(&typed), arrays, &options)
            .map_err(crate::function::error::arrow_error)?;
        let value = filter.expr.evaluate(&batch).and_then(|v| v.into_array(series.len())).map_err(from_df)?;
        let bools = value.as_any().downcast_ref::<BooleanArray>().cloned();
        bools.ok_or_else(|| heddle_types::Error::internal("a predicate is not boolean"))
    }
}

/// The keys that the values give, ascending.
fn direct(values: &[Vec<Operand>]) -> Result<Vec<Bytes>> {
    let evaluated = |column: &Vec<Operand>| column.iter().map(Operand::value).collect::<DfResult<Vec<Datum>>>();
    let tags = values.iter().map(evaluated).collect::<DfResult<Vec<_>>>().map_err(from_df)?;
    Ok(series_keys(tags))
}

/// Rows of the other tags by series.
#[derive(Default)]
pub(crate) struct Tags(HashMap<Bytes, Bytes>);

impl Tags {
    /// The row of a series, if it has one.
    pub fn row(&self, series: &Bytes) -> Option<&[u8]> {
        self.0.get(series).map(|row| &row[..])
    }

    pub fn read(codec: &SeriesCodec, view: &ReadView, series: &[Bytes]) -> Result<Self> {
        let mut out = HashMap::new();
        if series.len() < TAGS_SCAN_MIN {
            for key in series {
                if let Some(row) = view.get(codec.tags_storage, key)? {
                    out.insert(row.key, row.row);
                }
            }
            return Ok(Self(out));
        }
        let mut cursor = view.scan(codec.tags_storage, KeyRange::all(), false)?;
        let mut rows = vec![];
        loop {
            let more = cursor.next_batch(TAGS_BATCH_ROWS, &mut rows)?;
            out.extend(rows.drain(..).map(|r| (r.key, r.row)));
            if !more {
                return Ok(Self(out));
            }
        }
    }
}

/// Ranges that hold exactly these series: neighbours in the list of all are one range.
pub(crate) fn ranges(selection: &Selection, wanted: &[Bytes]) -> Vec<KeyRange> {
    let one = |from: &Bytes, to: &Bytes| KeyRange {
        lower: Bound::Included(from.clone()),
        upper: Bound::Included(to.clone()),
    };
    let Some(all) = &selection.all else { return wanted.iter().map(|k| one(k, k)).collect() };
    let mut out = vec![];
    let mut at = 0;
    while at < wanted.len() {
        let first = at;
        let mut place = all.partition_point(|k| k < &wanted[at]);
        while at + 1 < wanted.len() && all.get(place + 1) == Some(&wanted[at + 1]) {
            (at, place) = (at + 1, place + 1);
        }
        out.push(one(&wanted[first], &wanted[at]));
        at += 1;
    }
    out
}
