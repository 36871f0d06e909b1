//! Constants that PostgreSQL works out before it runs a query: what fails there fails although no row comes to it.

use super::coerce::is_immutable;
use super::walk;
use crate::bound::Expr;
use crate::context::EvalContext;
use crate::eval::eval_constant;
use heddle_types::{Datum, Result};

/// The constants in a CASE, as far as the tests that are constants leave them.
///
/// # Errors
/// Those of the constants: `22012`, `22003`, …
pub(super) fn check_case(branches: &[(Expr, Expr)], otherwise: &Expr, ctx: &EvalContext) -> Result<()> {
    for (test, result) in branches {
        let known = if is_constant(test) { Some(eval_constant(test, ctx)?) } else { None };
        match known {
            Some(Datum::Bool(true)) => return check(result, ctx),
            Some(_) => {}
            None => {
                check(test, ctx)?;
                check(result, ctx)?;
            }
        }
    }
    check(otherwise, ctx)
}

fn check(e: &Expr, ctx: &EvalContext) -> Result<()> {
    match e {
        Expr::Literal { .. } => Ok(()),
        _ if is_constant(e) => eval_constant(e, ctx).map(drop),
        // A CASE was looked at when it was bound; of these the first parts may decide.
        Expr::Case { .. } | Expr::And(_) | Expr::Or(_) | Expr::Coalesce { .. } => Ok(()),
        _ => walk::children(e).into_iter().try_for_each(|c| check(c, ctx)),
    }
}

fn is_constant(e: &Expr) -> bool {
    !walk::any(e, &mut |e| match e {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Param { .. } => true,
        Expr::Call(c) => !is_immutable(c.func),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } | Expr::Quantified { .. } => true,
        _ => false,
    })
}
