//! Aggregates over the series of one time-series table, group by group of (piece of time, tags), without DataFusion.
//!
//! Called by [`super::direct`] when a statement is no more than that with simple stages on top, and by [`crate::lower`] as the
//! leaf of a larger plan.
//!
//!   bound aggregation -> [`recognise`] -> series and times ([`access`]) -> cursors ([`run`]) -> per task [`partial`] -> merged -> [`result`]
//!
//! Points come as runs of one series in order of time. So a group is found once per piece of a run, not per row: the tags belong to
//! the series, and where a piece of time ends is searched for in the sorted times ([`bucket`]). What remains per value is a tight
//! loop ([`cells`]).
//!
//! Not here: pieces of time of several widths (months, days of zones with summer time), conditions on fields, DISTINCT, FILTER
//! and ORDER BY in calls, other aggregates than count, sum, avg, min, max, first and last. DataFusion answers those.

pub(crate) mod access;
mod bucket;
mod cells;
mod groups;
mod partial;
mod recognise;
mod result;
mod run;

use super::explain::Node;
use super::limits;
use super::rowset::RowSet;
use super::runtime::Engine;
use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use access::Access;
use bucket::Bucketing;
use bytes::Bytes;
use heddle_engines::point::blocks::BlockScan;
use heddle_txn::ReadView;
use heddle_types::{Datum, Error, PgType, Result, oid};
use partial::Partial;
use recognise::{Field, Key, Measure};
use run::Run;
use std::sync::Arc;

/// The session setting that turns these plans off.
const SETTING: &str = "heddledb.series_plans";
/// The one that makes them read every point.
const STATISTICS_SETTING: &str = "heddledb.block_statistics";
/// See the module.
pub(crate) struct SeriesAggregate {
    access: Access,
    bucket: Option<Bucketing>,
    /// The grouped tags, as places in `table.columns`.
    tags: Vec<usize>,
    keys: Vec<(ColId, PgType, Key)>,
    calls: Vec<(ColId, PgType, Measure)>,
    fields: Vec<Field>,
    /// LIMIT and OFFSET over ORDER BY the piece of time, newest first.
    newest: Option<(Expr, Option<Expr>)>,
}

impl SeriesAggregate {
    /// Can it run with these parameters and settings? Otherwise DataFusion's plan has to.
    pub fn applies(&self, ctx: &EvalContext) -> bool {
        series_plans(ctx) && self.bucket.as_ref().is_none_or(|bucket| bucket.fixed(ctx).is_some())
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
    pub async fn run(
        self: &Arc<Self>,
        engine: &Arc<Engine>,
        ctx: &EvalContext,
        view: &Arc<ReadView>,
    ) -> Result<RowSet> {
        let bucket = self.bucket.as_ref().and_then(|b| b.fixed(ctx));
        let groups = match self.access.select(ctx, view, false)? {
            Some(selection) => {
                let blocks = self.blocks(ctx).then(|| BlockScan { pieces: bucket.map(|b| b.pieces()) });
                Run::new(self, engine, view, selection, bucket, blocks).groups(self.newest_groups(ctx)?).await?
            }
            None => Partial::new(self, bucket),
        };
        self.rows(groups)
    }

    /// May statistics stand for points?
    fn blocks(&self, ctx: &EvalContext) -> bool {
        self.asks_of_blocks() && is_on(STATISTICS_SETTING, ctx)
    }

    /// The number of groups that are enough, if those with the newest pieces of time are.
    fn newest_groups(&self, ctx: &EvalContext) -> Result<Option<usize>> {
        let Some((limit, offset)) = &self.newest else { return Ok(None) };
        let (skip, take) = limits(Some(limit), offset.as_ref(), ctx)?;
        Ok(take.map(|take| take.saturating_add(skip)))
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
        let shown =
            |us: i64| heddle_types::text::to_string(&Datum::Timestamp(us), PgType::new(oid::TIMESTAMPTZ), &ctx.text);
        let from = (selection.from_us > i64::MIN + 1).then(|| shown(selection.from_us));
        let to = (selection.to_us < i64::MAX - 1).then(|| shown(selection.to_us));
        let series = selection.series.as_ref().map_or(all, Vec::len);
        let statistics = self.blocks(ctx).then(|| "of whole blocks".to_owned());
        let node = node.with("Series", Some(format!("{series} of {all}"))).with("From", from).with("To", to);
        Ok(node.with("Statistics", statistics))
    }
}

/// May reads of series have plans of their own?
pub(crate) fn series_plans(ctx: &EvalContext) -> bool {
    is_on(SETTING, ctx)
}

fn is_on(setting: &str, ctx: &EvalContext) -> bool {
    (ctx.session.setting)(setting).is_none_or(|value| value != "off")
}
