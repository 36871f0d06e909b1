//! Parts of a condition that are one value for the whole statement are computed once, before it runs. What is left is what scans and
//! joins recognise: a column compared with a constant.

use crate::bound::{Call, Expr};
use crate::context::EvalContext;
use crate::eval::{eval_constant, visit};
use crate::function::{self, Comparison, by_id};
use heddle_types::datetime::DAY_US;
use heddle_types::{Datum, oid};

/// The expression with constant calls and parameters as literals. A call that fails stays: it fails when a row comes to it.
pub(super) fn folded(e: &Expr, ctx: &EvalContext) -> Expr {
    let mut e = e.clone();
    fold(&mut e, ctx);
    e
}

fn fold(e: &mut Expr, ctx: &EvalContext) {
    visit::children_mut(e, &mut |c| fold(c, ctx));
    let constant = match &*e {
        Expr::Param { .. } => true,
        Expr::Call(call) => call.args.iter().all(is_literal) && visit::is_constant(e),
        _ => false,
    };
    if constant {
        if let Ok(value) = eval_constant(e, ctx) {
            *e = Expr::Literal { value, ty: e.ty() };
        }
        return;
    }
    let dates = match &*e {
        Expr::Call(call) => as_dates(call),
        _ => None,
    };
    if let Some(dates) = dates {
        *e = dates;
    }
}

fn is_literal(e: &Expr) -> bool {
    matches!(e, Expr::Literal { .. })
}

/// A date compared with a constant timestamp, which is what `date '1998-12-01' - interval '90' day` is, as a comparison of dates.
fn as_dates(call: &Call) -> Option<Expr> {
    let [a, b] = &call.args[..] else { return None };
    let name = by_id(call.func)?.name;
    let (date, us, comparison) = match (a, b) {
        (date, Expr::Literal { value: Datum::Timestamp(us), .. }) => {
            (date, *us, comparison(name.strip_prefix("date_")?.strip_suffix("_timestamp")?)?)
        }
        (Expr::Literal { value: Datum::Timestamp(us), .. }, date) => {
            (date, *us, comparison(name.strip_prefix("timestamp_")?.strip_suffix("_date")?)?.swapped())
        }
        _ => return None,
    };
    let (day, is_midnight) = match us {
        i64::MIN => (i32::MIN, true),
        i64::MAX => (i32::MAX, true),
        us => (i32::try_from(us.div_euclid(DAY_US)).ok()?, us.rem_euclid(DAY_US) == 0),
    };
    let comparison = match comparison {
        same if is_midnight => same,
        // Later on that day: the day itself lies before.
        Comparison::Lt | Comparison::Le => Comparison::Le,
        Comparison::Gt | Comparison::Ge => Comparison::Gt,
        Comparison::Eq | Comparison::Ne => return None,
    };
    let day = Expr::Literal { value: Datum::Date(day), ty: heddle_types::PgType::new(oid::DATE) };
    let func = function::comparison(oid::DATE, comparison)?;
    Some(Expr::Call(Call { func, args: vec![date.clone(), day], ty: call.ty }))
}

fn comparison(word: &str) -> Option<Comparison> {
    Some(match word {
        "eq" => Comparison::Eq,
        "ne" => Comparison::Ne,
        "lt" => Comparison::Lt,
        "le" => Comparison::Le,
        "gt" => Comparison::Gt,
        "ge" => Comparison::Ge,
        _ => return None,
    })
}
