//! UNION, INTERSECT, EXCEPT.

use super::expr::key;
use super::relation::join;
use super::{Lowerer, build, column};
use crate::bound::{Col, ColId, Query, SetOpKind};
use crate::function::from_df;
use datafusion::common::JoinType;
use datafusion::logical_expr::{Expr as Df, LogicalPlan, LogicalPlanBuilder, Union};
use heddle_types::{PgType, Result};
use std::sync::Arc;

impl Lowerer<'_> {
    pub(super) fn set_op(
        &mut self,
        kind: SetOpKind,
        all: bool,
        left: &Query,
        right: &Query,
        columns: &[Col],
    ) -> Result<LogicalPlan> {
        let output: Vec<(ColId, PgType)> = columns.iter().map(|c| (c.id, c.ty)).collect();
        let l = self.query_as(left, &output)?;
        if kind == SetOpKind::Union {
            let r = self.query_as(right, &output)?;
            let both = union(vec![Arc::new(l), Arc::new(r)])?;
            return if all { Ok(both) } else { self.distinct_plan(both, &output) };
        }
        // The right side under names of its own: both sides meet in a join.
        let theirs: Vec<(ColId, PgType)> = output.iter().map(|(_, ty)| (self.fresh(), *ty)).collect();
        let r = self.query_as(right, &theirs)?;
        let (l, r, pairs) = match all {
            false => (self.distinct_plan(l, &output)?, self.distinct_plan(r, &theirs)?, vec![]),
            true => self.with_copies(l, r, &output, &theirs)?,
        };
        let kind = if kind == SetOpKind::Intersect { JoinType::LeftSemi } else { JoinType::LeftAnti };
        let mut equal: Vec<(Df, Df)> =
            output.iter().zip(&theirs).map(|((a, ty), (b, _))| (key(column(*a), *ty), key(column(*b), *ty))).collect();
        equal.extend(pairs);
        let joined = join(l, r, kind, vec![], equal)?;
        self.only(joined, output.into_iter().map(|(id, _)| id))
    }

    /// ALL: the n-th copy of a row on one side meets the n-th copy on the other.
    #[expect(clippy::type_complexity, reason = "a pair used by one caller")]
    fn with_copies(
        &mut self,
        left: LogicalPlan,
        right: LogicalPlan,
        output: &[(ColId, PgType)],
        theirs: &[(ColId, PgType)],
    ) -> Result<(LogicalPlan, LogicalPlan, Vec<(Df, Df)>)> {
        let (a, b) = (self.fresh(), self.fresh());
        let keys = |c: &[(ColId, PgType)]| c.iter().map(|(id, ty)| key(column(*id), *ty)).collect::<Vec<_>>();
        let (l, _) = self.numbered(left, keys(output), &[], a, "row_number")?;
        let (r, _) = self.numbered(right, keys(theirs), &[], b, "row_number")?;
        Ok((l, r, vec![(column(a), column(b))]))
    }
}

/// UNION ALL of plans with the same column names.
pub(super) fn union(mut parts: Vec<Arc<LogicalPlan>>) -> Result<LogicalPlan> {
    if parts.len() == 1 {
        return Ok(Arc::unwrap_or_clone(parts.pop().expect("one part")));
    }
    let plan = LogicalPlan::Union(Union::try_new(parts).map_err(from_df)?);
    build(Ok(LogicalPlanBuilder::from(plan)))
}
