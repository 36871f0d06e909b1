//! LIMIT and OFFSET by sub-queries or outer columns: a plan of one row says how many, then rows go through.

use super::Batches;
use crate::bound::{Expr, Rel};
use crate::exec::row_limits;
use crate::function::to_df;
use datafusion::error::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{collect, reset_plan_states};
use futures::StreamExt;
use heddle_types::{Datum, PgType, oid};
use std::sync::Arc;

/// Does LIMIT or OFFSET have to be computed by a plan?
pub(in crate::lower) fn needs_plan(e: Option<&Expr>) -> bool {
    let open = |e: &Expr| matches!(e, Expr::Outer { .. });
    e.is_some_and(|e| crate::eval::visit::has_sub_query(e) || crate::eval::visit::any(e, &open))
}

/// One row with LIMIT and OFFSET, under ids that `Rel::Limit` cannot have below it.
pub(in crate::lower) fn counts(limit: Option<&Expr>, offset: Option<&Expr>) -> Rel {
    let ty = PgType::new(oid::INT8);
    let given = |e: Option<&Expr>| e.cloned().unwrap_or(Expr::Literal { value: Datum::Null, ty });
    let ids = [crate::bound::ColId(u32::MAX - 1), crate::bound::ColId(u32::MAX)];
    Rel::Project { input: Box::new(Rel::Unit), exprs: ids.into_iter().zip([given(limit), given(offset)]).collect() }
}

pub(super) fn stream(
    input: SendableRecordBatchStream,
    counts: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> Batches {
    let start = async move {
        let (skip, take) = read(counts, context).await?;
        Ok(rows(input, skip, take))
    };
    futures::stream::once(start)
        .map(|started: DfResult<Batches>| match started {
            Ok(rows) => rows,
            Err(e) => futures::stream::once(async move { Err(e) }).boxed(),
        })
        .flatten()
        .boxed()
}

/// (rows to skip, rows to give)
async fn read(counts: Arc<dyn ExecutionPlan>, context: Arc<TaskContext>) -> DfResult<(usize, Option<usize>)> {
    let batches = collect(reset_plan_states(counts)?, context).await?;
    let value = |column: usize| match batches.iter().find(|b| b.num_rows() > 0) {
        Some(b) => heddle_types::arrow::datum_at(b.column(column), PgType::new(oid::INT8), 0),
        None => Datum::Null,
    };
    row_limits(&value(0), &value(1)).map_err(to_df)
}

fn rows(input: SendableRecordBatchStream, skip: usize, take: Option<usize>) -> Batches {
    futures::stream::try_unfold((input, skip, take), |(mut input, mut skip, take)| async move {
        loop {
            if take == Some(0) {
                return Ok(None);
            }
            let Some(batch) = input.next().await.transpose()? else { return Ok(None) };
            let passed = skip.min(batch.num_rows());
            skip -= passed;
            let n = (batch.num_rows() - passed).min(take.unwrap_or(usize::MAX));
            if n > 0 {
                return Ok(Some((batch.slice(passed, n), (input, skip, take.map(|t| t - n)))));
            }
        }
    })
    .boxed()
}
