//! WITH queries that change data: each runs to its end, then the next, then the statement that reads the rows they returned.
//!
//! All of them read the same view, so none sees what another wrote: rows go from one to the next through RETURNING only.

use super::{Executor, Outcome, Shape};
use crate::bound::{Change, Col, ColId, Cte, CteId, OutputColumn, Query, Rel, Statement};
use crate::context::EvalContext;
use arrow::record_batch::RecordBatch;
use heddle_txn::ReadView;
use heddle_types::{PgType, Result};
use std::sync::Arc;

/// Ids of the columns of returned rows: apart from the binder's, SET's and lowering's.
const ROW_IDS: u32 = 0xe000_0000;

/// What a change returned.
struct Returned {
    cte: CteId,
    columns: Vec<PgType>,
    batches: Arc<Vec<RecordBatch>>,
}

impl Executor {
    pub(super) async fn with(
        &self,
        changes: &[Change],
        inner: &Statement,
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Outcome> {
        let mut returned = vec![];
        for change in changes {
            let batches = match self.over(&change.statement, &returned, ctx, view).await? {
                Outcome::Changed { returning, .. } => returning.unwrap_or_default(),
                _ => vec![],
            };
            let columns = change.columns.clone();
            returned.push(Returned { cte: change.cte, columns, batches: Arc::new(batches) });
        }
        self.over(inner, &returned, ctx, view).await
    }

    /// Runs a statement that may read what changes returned.
    async fn over(
        &self,
        statement: &Statement,
        returned: &[Returned],
        ctx: &Arc<EvalContext>,
        view: &Arc<ReadView>,
    ) -> Result<Outcome> {
        let statement = reading(statement, returned);
        let shape = Shape::of(&statement, self.point_plans);
        Box::pin(self.perform(&statement, &shape, ctx, view)).await
    }
}

/// The statement with the returned rows as WITH queries of its own.
fn reading(statement: &Statement, returned: &[Returned]) -> Statement {
    let mut statement = statement.clone();
    let slot = match &mut statement {
        Statement::Query(q) => &mut q.rel,
        Statement::Insert(i) => &mut i.source.rel,
        Statement::Update(u) => &mut u.input,
        Statement::Delete(d) => &mut d.input,
        Statement::Merge(m) => &mut m.input,
        _ => return statement,
    };
    let body = Box::new(std::mem::replace(slot, Rel::Unit));
    *slot = Rel::With { ctes: returned.iter().map(rows).collect(), body };
    statement
}

fn rows(returned: &Returned) -> Cte {
    let columns: Vec<Col> =
        returned.columns.iter().enumerate().map(|(i, ty)| Col { id: ColId(ROW_IDS + i as u32), ty: *ty }).collect();
    let shown = columns.iter().map(|c| OutputColumn { id: c.id, name: String::new(), ty: c.ty, origin: None });
    let query = Query { columns: shown.collect(), rel: Rel::Rows { columns, batches: Arc::clone(&returned.batches) } };
    Cte { id: returned.cte, query: Box::new(query), recursive: None }
}

/// An example of the statement for EXPLAIN: as it would read no rows.
pub(super) fn without_rows(changes: &[Change], inner: &Statement) -> Statement {
    let none = |c: &Change| Returned { cte: c.cte, columns: c.columns.clone(), batches: Arc::default() };
    reading(inner, &changes.iter().map(none).collect::<Vec<_>>())
}
