//! Runs EXPLAIN: plans the statement, executes it under ANALYZE, and reports.

use super::direct::Direct;
use super::explain::{Actual, Names, Node, Report};
use super::series_aggregate::series_plans;
use super::{Executor, Outcome, Shape, with};
use crate::bound::{ExplainOptions, Rel, Statement};
use crate::context::EvalContext;
use futures::StreamExt;
use heddle_txn::ReadView;
use heddle_types::{Error, Result};
use std::sync::Arc;
use std::time::Duration;

impl Executor {
    /// The text of EXPLAIN for `inner`.
    pub(super) async fn explain(
        &self,
        inner: &Statement,
        shape: &Shape,
        options: &ExplainOptions,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<String> {
        if let Statement::With { changes, inner: reader } = inner {
            return self.explain_with(inner, &with::without_rows(changes, reader), options, ctx, view).await;
        }
        let clock = || ctx.env.clock.monotonic();
        let (rel, direct, head) = parts(inner, shape)?;
        let begun = clock();
        let ready = |(plan, execution)| Report { plan, execution, planning: Duration::ZERO, executing: None };
        let series = match shape {
            Shape::Query { series, .. } => series.as_ref().filter(|_| series_plans(ctx)),
            _ => None,
        };
        let mut report = match (direct.filter(|d| d.applies(ctx)), series) {
            (Some(direct), _) => ready(direct.explain(&Names::of(&rel), ctx, view)?),
            (None, Some(series)) => ready((series.describe(ctx, view)?, "series plan")),
            (None, None) => {
                let run = options.analyze && head.is_none();
                let (plan, planning, executing) = self.engine.explain(rel, run, ctx, view).await?;
                Report { plan, execution: VECTORISED, planning, executing }
            }
        };
        if direct_or_dml(&report, head.as_ref(), options) {
            report.planning = clock().saturating_sub(begun);
            let started = clock();
            let rows = self.count(inner, shape, ctx, view).await?;
            let executing = clock().saturating_sub(started);
            report.executing = Some(executing);
            let top = Actual { time: Some((Duration::ZERO, executing)), rows };
            match head {
                None => report.plan.actual = Some(top),
                Some(head) => report.plan = Node { actual: Some(top), children: vec![report.plan], ..head },
            }
        } else if let Some(head) = head {
            report.plan = Node { children: vec![report.plan], ..head };
        }
        if options.verbose
            && let Statement::Query(q) = inner
        {
            let names: Vec<&str> = q.columns.iter().map(|c| c.name.as_str()).collect();
            report.plan.properties.insert(0, ("Output", names.join(", ")));
        }
        Ok(report.print(options))
    }

    /// The plan of the statement that reads what changes return; under ANALYZE all of them run.
    async fn explain_with(
        &self,
        whole: &Statement,
        reader: &Statement,
        options: &ExplainOptions,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<String> {
        let shape = Shape::of(reader, self.point_plans);
        let plain = ExplainOptions { analyze: false, ..*options };
        let text = Box::pin(self.explain(reader, &shape, &plain, ctx, view)).await?;
        if options.analyze {
            self.count(whole, &Shape::With, ctx, view).await?;
        }
        Ok(text)
    }

    /// Runs a statement for EXPLAIN ANALYZE: how many rows it gave or changed.
    async fn count(
        &self,
        inner: &Statement,
        shape: &Shape,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<u64> {
        match Box::pin(self.perform(inner, shape, ctx, view)).await? {
            Outcome::Changed { rows, .. } => Ok(rows),
            Outcome::Rows(mut stream) => {
                let mut n = 0;
                while let Some(batch) = stream.next().await {
                    n += batch?.num_rows() as u64;
                }
                Ok(n)
            }
            Outcome::Done { .. } => Ok(0),
        }
    }
}

/// A plan of DataFusion's.
const VECTORISED: &str = "vectorised plan";

/// Must the statement be run apart from its plan, to know what it did?
fn direct_or_dml(report: &Report, head: Option<&Node>, options: &ExplainOptions) -> bool {
    options.analyze && (head.is_some() || report.execution != VECTORISED)
}

/// The rows a statement works on, its point plan if it has one, and the node on top of a change.
fn parts<'a>(inner: &Statement, shape: &'a Shape) -> Result<(Rel, Option<&'a Direct>, Option<Node>)> {
    let (rel, direct, head) = match (inner, shape) {
        (Statement::Query(q), Shape::Query { direct, .. }) => (q.rel.clone(), direct, None),
        (Statement::Insert(i), Shape::Dml { input, direct }) => (input.clone(), direct, Some(("Insert", &i.table))),
        (Statement::Update(u), Shape::Dml { input, direct }) => {
            (input.clone(), direct, Some(("Update", &u.target.table)))
        }
        (Statement::Delete(d), Shape::Dml { input, direct }) => {
            (input.clone(), direct, Some(("Delete", &d.target.table)))
        }
        (Statement::Merge(m), Shape::Dml { input, direct }) => {
            (input.clone(), direct, Some(("Merge", &m.target.table)))
        }
        _ => return Err(Error::unsupported("EXPLAIN of this statement")),
    };
    let head = head.map(|(word, table)| Node { relation: Some(table.name.clone()), ..Node::new(word) });
    Ok((rel, direct.as_ref(), head))
}
