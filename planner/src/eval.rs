//! Evaluates bound expressions over columns without DataFusion: point plans, EvalPlanQual, defaults, constant folding.

use crate::bound::{ColId, Expr};
use crate::context::EvalContext;
use arrow::array::ArrayRef;
use heddle_types::{Datum, Result};

/// Columns by id, all `rows` long.
pub struct Columns<'a> {
    /// Number of rows
    pub rows: usize,
    /// Finds a column
    pub get: &'a dyn Fn(ColId) -> Option<ArrayRef>,
}

/// Evaluates `expr`. Sub-queries are not possible here (`XX000`): plans that need them go through DataFusion.
pub fn eval(_expr: &Expr, _columns: &Columns<'_>, _ctx: &EvalContext) -> Result<ArrayRef> { todo!() }

/// Evaluates an expression without columns.
pub fn eval_constant(_expr: &Expr, _ctx: &EvalContext) -> Result<Datum> { todo!() }

/// The rows for which a predicate is true (NULL counts as false).
pub fn filter(_predicate: &Expr, _columns: &Columns<'_>, _ctx: &EvalContext) -> Result<arrow::array::BooleanArray> { todo!() }
