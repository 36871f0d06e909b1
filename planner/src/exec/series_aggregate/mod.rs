//! Aggregates over the series of one time-series table, group by group of (piece of time, tags), without DataFusion.
//!
//! Called by [`super::direct`] when a statement is no more than that with simple stages on top, and by [`crate::lower`] as the
//! leaf of a larger plan.
//!
//!   bound aggregation -> [`recognise`] -> series and times ([`access`]) -> cursors -> per task [`partial`] -> merged -> [`result`]
//!
//! Points come as runs of one series in order of time. So a group is found once per piece of a run, not per row: the tags belong to
//! the series, and where a piece of time ends is searched for in the sorted times ([`bucket`]). What remains per value is a tight
//! loop ([`cells`]).
//!
//! Not here: pieces of time of several widths (months, days of zones with summer time), conditions on fields, DISTINCT, FILTER
//! and ORDER BY in calls, other aggregates than count, sum, avg, min, max, first and last. DataFusion answers those.

mod access;
mod bucket;
mod cells;
mod groups;
mod partial;
mod recognise;
mod result;

use super::explain::Node;
use super::rowset::RowSet;
use super::runtime::Engine;
use crate::bound::ColId;
use crate::context::EvalContext;
use crate::function::{FixedBuckets, from_df};
use crate::lower::series_access::{Selection, ranges};
use access::Access;
use bucket::Bucketing;
use bytes::Bytes;
use datafusion::execution::memory_pool::MemoryReservation;
use heddle_engines::KeyRange;
use heddle_engines::point::{PointCursor, PointScan};
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgType, Result, oid};
use partial::Partial;
use recognise::{Field, Key, Measure};
use std::sync::Arc;
use tokio::task::JoinSet;

/// The session setting that turns these plans off.
const SETTING: &str = "heddledb.series_plans";
/// So few series are read by one task.
const ONE_TASK_SERIES_MAX: usize = 16;
/// So many points are read on the caller's task before the query threads take over.
const HERE_ROWS_MAX: usize = 32 * 1024;
/// Points of a batch: a few columns of them fit into the second-level cache.
const BATCH_ROWS: usize = 8192;

/// See the module.
pub(crate) struct SeriesAggregate {
    access: Access,
    bucket: Option<Bucketing>,
    /// The grouped tags, as places in `table.columns`.
    tags: Vec<usize>,
    keys: Vec<(ColId, PgType, Key)>,
    calls: Vec<(ColId, PgType, Measure)>,
    fields: Vec<Field>,
}

impl SeriesAggregate {
    /// Can it run with these parameters and settings? Otherwise DataFusion's plan has to.
    pub fn applies(&self, ctx: &EvalContext) -> bool {
        let off = (ctx.session.setting)(SETTING).is_some_and(|value| value == "off");
        !off && self.bucket.as_ref().is_none_or(|bucket| bucket.fixed(ctx).is_some())
    }

    /// Its output: groups, then calls.
    pub fn output(&self) -> Vec<(ColId, PgType)> {
        let keys = self.keys.iter().map(|(id, ty, _)| (*id, *ty));
        keys.chain(self.calls.iter().map(|(id, ty, _)| (*id, *ty))).collect()
    }

    /// Runs it: few points on the caller's task, many on the query threads.
    ///
    /// # Errors
    /// `22003` on overflow, `53200` when the groups outgrow `query_memory`, `XX001` and `58030` from reading.
    pub async fn run(self: &Arc<Self>, engine: &Arc<Engine>, ctx: &EvalContext, view: &Arc<ReadView>) -> Result<RowSet> {
        let bucket = self.bucket.as_ref().and_then(|b| b.fixed(ctx));
        let task = |cursor| Task {
            plan: Arc::clone(self),
            view: Arc::clone(view),
            cursor,
            partial: Partial::new(self, bucket),
            memory: engine.reservation("series aggregate"),
        };
        let Some(selection) = self.access.select(ctx, view, false)? else {
            return self.rows(Partial::new(self, bucket));
        };
        let mut tasks: Vec<Task> = self.open(&selection, engine.partitions(), view)?.into_iter().map(task).collect();
        if let [only] = &mut tasks[..]
            && only.advance(HERE_ROWS_MAX)?
        {
            return self.rows(tasks.remove(0).partial);
        }
        let mut running = JoinSet::new();
        for task in tasks {
            running.spawn_on(task.run(), engine.handle());
        }
        let mut all: Option<Task> = None;
        while let Some(done) = running.join_next().await {
            let done = done.map_err(|e| Error::internal(format!("a task of an aggregation failed: {e}")))??;
            match &mut all {
                None => all = Some(done),
                Some(all) => all.take_over(&done)?,
            }
        }
        self.rows(all.map_or_else(|| Partial::new(self, bucket), |all| all.partial))
    }

    fn open(&self, selection: &Selection, tasks: usize, view: &ReadView) -> Result<Vec<Box<dyn PointCursor>>> {
        let few = selection.series.as_ref().is_some_and(|series| series.len() <= ONE_TASK_SERIES_MAX);
        let scan = PointScan {
            storage: self.access.scan.table.storage,
            layout: Arc::clone(&self.access.codec.layout),
            series: match &selection.series {
                Some(series) => ranges(selection, series),
                None => vec![KeyRange::all()],
            },
            from_us: selection.from_us,
            to_us: selection.to_us,
            fields: self.fields.iter().map(|f| f.place).collect(),
            versions: false,
            batch_rows: BATCH_ROWS,
            cursors: if few { 1 } else { tasks },
        };
        view.scan_points(&scan)
    }

    /// The grouped tags of a series.
    fn tags_of(&self, series: &Bytes, view: &ReadView) -> Result<Vec<Datum>> {
        let mut rows = self.access.tags(std::slice::from_ref(series), &self.tags, view)?;
        rows.pop().ok_or_else(|| Error::internal("a series without tags"))
    }

    /// What EXPLAIN shows.
    pub fn explain(&self, ctx: &EvalContext, view: &ReadView) -> Result<Node> {
        let table = &self.access.scan.table;
        let all = view.series(table.storage)?.len();
        let node = Node { relation: Some(table.name.clone()), ..Node::new("Series Aggregate") };
        let Some(selection) = self.access.select(ctx, view, true)? else {
            return Ok(node.with("Series", Some(format!("0 of {all}"))));
        };
        let shown = |us: i64| {
            heddle_types::text::to_string(&Datum::Timestamp(us), PgType::new(oid::TIMESTAMPTZ), &ctx.text)
        };
        let from = (selection.from_us > i64::MIN + 1).then(|| shown(selection.from_us));
        let to = (selection.to_us < i64::MAX - 1).then(|| shown(selection.to_us));
        let series = selection.series.as_ref().map_or(all, Vec::len);
        Ok(node.with("Series", Some(format!("{series} of {all}"))).with("From", from).with("To", to))
    }
}

/// One cursor's share of the work.
struct Task {
    plan: Arc<SeriesAggregate>,
    view: Arc<ReadView>,
    cursor: Box<dyn PointCursor>,
    partial: Partial,
    memory: MemoryReservation,
}

impl Task {
    /// Reads to the end.
    async fn run(mut self) -> Result<Self> {
        while !self.advance(1)? {
            // The runtime must get its turn although reading never waits: that is also where a cancel is noticed.
            tokio::task::yield_now().await;
        }
        Ok(self)
    }

    /// Reads `rows` points or a batch more; true at the end.
    fn advance(&mut self, rows: usize) -> Result<bool> {
        let mut read = 0;
        while read < rows {
            let Some(points) = self.cursor.next_batch()? else { return Ok(true) };
            read += points.rows();
            self.partial.add(&self.plan, &points, &self.view)?;
            self.account()?;
        }
        Ok(false)
    }

    fn take_over(&mut self, other: &Self) -> Result<()> {
        self.partial.merge(&other.partial)?;
        self.account()
    }

    fn account(&mut self) -> Result<()> {
        self.memory.try_resize(self.partial.bytes()).map_err(from_df)
    }
}
