//! What NULL constants make of a condition, decided before rows are read as PostgreSQL's planner does: a strict call with a NULL
//! argument is NULL and its other arguments are not evaluated, so `a * b < NULL` cannot overflow.

use crate::bound::Expr;
use crate::eval::visit;
use crate::function::{Kind, by_id};
use heddle_types::{Datum, PgType, oid};

/// A WHERE condition, where NULL is as good as false.
pub(super) fn condition(e: &Expr) -> Expr {
    let mut e = e.clone();
    fold(&mut e);
    qualify(e)
}

fn is_null(e: &Expr) -> bool {
    matches!(e, Expr::Literal { value: Datum::Null, .. })
}

fn boolean(value: Datum) -> Expr {
    Expr::Literal { value, ty: PgType::new(oid::BOOL) }
}

fn is_false(e: &Expr) -> bool {
    matches!(e, Expr::Literal { value: Datum::Null | Datum::Bool(false), .. })
}

/// Strict calls with a NULL argument become NULL, from the inside out.
fn fold(e: &mut Expr) {
    visit::children_mut(e, &mut fold);
    let null = match e {
        Expr::Call(c) if c.args.iter().any(is_null) && is_strict_scalar(c.func) => {
            Expr::Literal { value: Datum::Null, ty: c.ty }
        }
        Expr::Not(inner) if is_null(inner) => boolean(Datum::Null),
        Expr::And(list) | Expr::Or(list) if list.iter().all(is_null) => boolean(Datum::Null),
        _ => return,
    };
    *e = null;
}

fn is_strict_scalar(func: crate::function::FuncId) -> bool {
    by_id(func).is_some_and(|f| f.strict && matches!(f.kind, Kind::Compare(..) | Kind::Scalar(_)))
}

/// Drops what cannot make the condition true.
fn qualify(e: Expr) -> Expr {
    match e {
        Expr::Not(inner) => match *inner {
            Expr::And(list) => qualify(Expr::Or(list.into_iter().map(negated).collect())),
            Expr::Or(list) => qualify(Expr::And(list.into_iter().map(negated).collect())),
            Expr::Not(inner) => qualify(*inner),
            other => Expr::Not(Box::new(other)),
        },
        Expr::And(list) => {
            let list: Vec<Expr> = list.into_iter().map(qualify).collect();
            if list.iter().any(is_false) { boolean(Datum::Bool(false)) } else { Expr::And(list) }
        }
        Expr::Or(list) => {
            let mut list: Vec<Expr> = list.into_iter().map(qualify).filter(|e| !is_false(e)).collect();
            match (list.len(), list.pop()) {
                (1, Some(only)) => only,
                (_, None) => boolean(Datum::Bool(false)),
                (_, Some(last)) => {
                    list.push(last);
                    Expr::Or(list)
                }
            }
        }
        e if is_null(&e) => boolean(Datum::Bool(false)),
        e => e,
    }
}

/// NOT e; NOT NULL is NULL.
fn negated(e: Expr) -> Expr {
    if is_null(&e) { e } else { Expr::Not(Box::new(e)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bound::ColId;

    #[test]
    fn null_parts_of_a_condition_vanish() {
        let (null, column) = (boolean(Datum::Null), Expr::Column { id: ColId(1), ty: PgType::new(oid::BOOL) });
        assert!(is_false(&condition(&Expr::And(vec![null.clone(), column.clone()]))));
        assert!(matches!(condition(&Expr::Or(vec![null.clone(), column.clone()])), Expr::Column { .. }));
        assert!(matches!(condition(&Expr::Not(Box::new(Expr::And(vec![null.clone(), column])))), Expr::Not(_)));
        assert!(is_false(&condition(&Expr::Not(Box::new(null)))));
    }
}
