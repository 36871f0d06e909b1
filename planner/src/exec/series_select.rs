//! Selects that a time-series table answers without a plan: points of named series in a range of time, either way, and the
//! last point of each series. What a dashboard asks over and over: compiled once with its statement, parameters are bounds.
//!
//!   [LIMIT] [DISTINCT ON (primary tags)] [ORDER BY] columns [WHERE about tags and time] time-series table
//!
//! WHERE must be answered completely by the choice of series and times ([`Access`]); anything else is DataFusion's. The first
//! batches are made on the caller's task; what is longer goes on on the query threads.

mod backwards;
mod compile;

use super::explain::Node;
use super::rowset::{Column, RowSet};
use super::runtime::Engine;
use super::series::PointColumns;
use super::series_aggregate::access::Access;
use super::{RowStream, direct};
use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use crate::function::error::arrow_error;
use crate::lower::series_access::{Selection, ranges};
use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take};
use arrow::record_batch::RecordBatch;
use backwards::Backwards;
use futures::StreamExt;
use heddle_engines::KeyRange;
use heddle_engines::point::{PointBatch, PointCursor, PointScan};
use heddle_txn::ReadView;
use heddle_types::{Datum, PgType, Result, oid};
use std::collections::VecDeque;
use std::sync::Arc;

/// Rows of a batch.
const BATCH_ROWS: usize = 8192;

/// See the module.
pub(crate) struct SeriesSelect {
    access: Access,
    /// Places in the scan's columns that are read.
    places: Vec<usize>,
    /// What is made of them, step by step.
    projections: Vec<Vec<(ColId, Expr)>>,
    kind: Kind,
    limit: Option<Expr>,
    offset: Option<Expr>,
}

/// Which points.
enum Kind {
    /// All; of one series in order of time.
    Rows { descending: bool },
    /// The newest one of each series, in the order of their keys, or in this one.
    Last { order: Vec<(ColId, SortOptions)> },
}

impl SeriesSelect {
    /// Its rows, of which `ids` are the columns.
    pub async fn run(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        ids: &[ColId],
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<RowStream> {
        let (skip, take) = direct::limits(self.limit.as_ref(), self.offset.as_ref(), ctx)?;
        let left = take.unwrap_or(usize::MAX);
        let Some(selected) = self.access.select(ctx, view, false)? else {
            return Ok(futures::stream::empty().boxed());
        };
        let columns = PointColumns::new(
            self.access.scan.clone(),
            self.access.codec.clone(),
            Arc::clone(view),
            self.places.clone(),
        );
        let select = Arc::clone(self);
        let (ctx, view, ids) = (Arc::clone(ctx), Arc::clone(view), ids.to_vec());
        let is_short = self.access.names_series();
        let mut rows = Rows { select, ctx, view, ids, columns, selected, source: None, skip, left };
        if !is_short {
            return Ok(engine.produce(move || rows.next()));
        }
        let Some(first) = rows.next()? else { return Ok(futures::stream::empty().boxed()) };
        match rows.next()? {
            None => Ok(futures::stream::iter([Ok(first)]).boxed()),
            Some(second) => {
                let rest = engine.produce(move || rows.next());
                Ok(futures::stream::iter([Ok(first), Ok(second)]).chain(rest).boxed())
            }
        }
    }

    /// What EXPLAIN says of it.
    pub fn describe(&self, ctx: &EvalContext, view: &ReadView) -> Result<Node> {
        let over = |kind: &str, node| Node { children: vec![node], ..Node::new(kind) };
        let mut node = self.scan_node(ctx, view)?;
        if matches!(&self.kind, Kind::Last { order } if !order.is_empty()) {
            node = over("Sort", node);
        }
        Ok(if self.limit.is_some() || self.offset.is_some() { over("Limit", node) } else { node })
    }

    /// The same of the scan alone.
    pub fn scan_node(&self, ctx: &EvalContext, view: &ReadView) -> Result<Node> {
        let table = &self.access.scan.table;
        let kind = match &self.kind {
            Kind::Rows { descending: false } => "Series Scan",
            Kind::Rows { descending: true } => "Series Scan Backward",
            Kind::Last { .. } => "Series Last Point Scan",
        };
        let all = view.series(table.storage)?.len();
        let selected = self.access.select(ctx, view, false)?;
        let chosen = selected.as_ref().map_or(0, |s| s.series.as_ref().map_or(all, Vec::len));
        let shown =
            |us: i64| heddle_types::text::to_string(&Datum::Timestamp(us), PgType::new(oid::TIMESTAMPTZ), &ctx.text);
        let from = selected.as_ref().map(|s| s.from_us).filter(|us| *us > i64::MIN + 1).map(shown);
        let to = selected.as_ref().map(|s| s.to_us).filter(|us| *us < i64::MAX - 1).map(shown);
        let node = Node { relation: Some(table.name.clone()), ..Node::new(kind) };
        Ok(node.with("Series", Some(format!("{chosen} of {all}"))).with("From", from).with("To", to))
    }
}

/// Rows on their way.
struct Rows {
    select: Arc<SeriesSelect>,
    ctx: Arc<EvalContext>,
    view: Arc<ReadView>,
    ids: Vec<ColId>,
    columns: PointColumns,
    selected: Selection,
    /// None before the first batch.
    source: Option<Source>,
    skip: usize,
    left: usize,
}

/// Where points come from.
enum Source {
    Ready(VecDeque<PointBatch>),
    Forwards(VecDeque<Box<dyn PointCursor>>),
    Backwards(Backwards),
}

impl Rows {
    /// The next batch, never an empty one; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.left > 0 {
            let source = match self.source.take() {
                Some(source) => source,
                None => self.open()?,
            };
            let Some(points) = self.source.insert(source).next()? else { return Ok(None) };
            let rows = self.rows(&points)?;
            let skipped = self.skip.min(rows.rows);
            self.skip -= skipped;
            let taken = self.left.min(rows.rows - skipped);
            self.left -= taken;
            if taken > 0 {
                return self.project(rows.slice(skipped, taken)?).map(Some);
            }
        }
        Ok(None)
    }

    fn open(&self) -> Result<Source> {
        let scan = self.point_scan();
        let last = |scan: &PointScan| self.view.last_points(scan).map(|batches| Source::Ready(batches.into()));
        Ok(match &self.select.kind {
            Kind::Last { order } if order.is_empty() => last(&scan)?,
            Kind::Last { .. } => {
                let all = self.view.last_points(&scan)?;
                let one = if all.is_empty() { VecDeque::new() } else { [PointBatch::concat(&all)?].into() };
                Source::Ready(one)
            }
            // Of one series, the newest point.
            Kind::Rows { descending: true } if self.skip == 0 && self.left == 1 => last(&scan)?,
            Kind::Rows { descending: true } => Source::Backwards(Backwards::new(Arc::clone(&self.view), scan)),
            Kind::Rows { descending: false } => Source::Forwards(self.view.scan_points(&scan)?.into()),
        })
    }

    fn point_scan(&self) -> PointScan {
        PointScan {
            storage: self.select.access.scan.table.storage,
            layout: Arc::clone(&self.select.access.codec.layout),
            series: match &self.selected.series {
                Some(series) => ranges(&self.selected, series),
                None => vec![KeyRange::all()],
            },
            from_us: self.selected.from_us,
            to_us: self.selected.to_us,
            fields: self.columns.fields(),
            conditions: Vec::new(),
            versions: false,
            blocks: None,
            batch_rows: BATCH_ROWS.min(self.left.saturating_add(self.skip)),
            any_order: false,
            cursors: 1,
        }
    }

    /// The scan's columns; sorted, when all come at once and in another order.
    fn rows(&mut self, points: &PointBatch) -> Result<RowSet> {
        let arrays = self.columns.arrays(points)?;
        let ids = self.select.places.iter().map(|place| self.select.access.scan.columns[*place].0);
        let rows = RowSet { rows: points.rows(), columns: ids.zip(arrays.into_iter().map(Column::Array)).collect() };
        match &self.select.kind {
            Kind::Last { order } if !order.is_empty() => sorted(&rows, order),
            _ => Ok(rows),
        }
    }

    fn project(&self, mut rows: RowSet) -> Result<RecordBatch> {
        for exprs in &self.select.projections {
            rows = direct::project(&rows, exprs, &self.ctx)?;
        }
        rows.batch(&self.ids)
    }
}

impl Source {
    fn next(&mut self) -> Result<Option<PointBatch>> {
        match self {
            Self::Ready(batches) => Ok(batches.pop_front()),
            Self::Backwards(backwards) => backwards.next(),
            Self::Forwards(cursors) => {
                while let Some(cursor) = cursors.front_mut() {
                    match cursor.next_batch()? {
                        None => drop(cursors.pop_front()),
                        some => return Ok(some),
                    }
                }
                Ok(None)
            }
        }
    }
}

fn sorted(rows: &RowSet, order: &[(ColId, SortOptions)]) -> Result<RowSet> {
    let key =
        |(id, options): &(ColId, SortOptions)| Ok(SortColumn { values: rows.require(*id)?, options: Some(*options) });
    let keys = order.iter().map(key).collect::<Result<Vec<_>>>()?;
    let places = lexsort_to_indices(&keys, None).map_err(arrow_error)?;
    let column = |(id, _): &(ColId, Column)| {
        let values = take(&rows.require(*id)?, &places, None).map_err(arrow_error)?;
        Ok((*id, Column::Array(values)))
    };
    Ok(RowSet { rows: rows.rows, columns: rows.columns.iter().map(column).collect::<Result<_>>()? })
}
