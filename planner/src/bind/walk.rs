//! Walks over bound expressions: children, rewriting, equality.

use crate::bound::{Call, ColId, Expr, Query};
use heddle_types::Datum;

/// The direct sub-expressions (not those inside sub-queries).
pub(super) fn children(e: &Expr) -> Vec<&Expr> {
    match e {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Param { .. } | Expr::Literal { .. } => Vec::new(),
        Expr::Call(c) => c.args.iter().collect(),
        Expr::And(v) | Expr::Or(v) | Expr::Coalesce { args: v, .. } | Expr::Array { elements: v, .. } => {
            v.iter().collect()
        }
        Expr::Not(e) | Expr::IsNull(e) => vec![e],
        Expr::NotDistinct(a, b) => vec![a, b],
        Expr::Case { branches, otherwise, .. } => {
            branches.iter().flat_map(|(c, r)| [c, r]).chain([otherwise.as_ref()]).collect()
        }
        Expr::InList { expr, list, .. } => std::iter::once(expr.as_ref()).chain(list).collect(),
        Expr::AnyArray { expr, array, .. } => vec![expr, array],
        Expr::Quantified { exprs, .. } => exprs.iter().collect(),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } => Vec::new(),
    }
}

/// The same, to change them.
pub(super) fn children_mut(e: &mut Expr) -> Vec<&mut Expr> {
    match e {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Param { .. } | Expr::Literal { .. } => Vec::new(),
        Expr::Call(c) => c.args.iter_mut().collect(),
        Expr::And(v) | Expr::Or(v) | Expr::Coalesce { args: v, .. } | Expr::Array { elements: v, .. } => {
            v.iter_mut().collect()
        }
        Expr::Not(e) | Expr::IsNull(e) => vec![e],
        Expr::NotDistinct(a, b) => vec![a, b],
        Expr::Case { branches, otherwise, .. } => {
            branches.iter_mut().flat_map(|(c, r)| [c, r]).chain([otherwise.as_mut()]).collect()
        }
        Expr::InList { expr, list, .. } => std::iter::once(expr.as_mut()).chain(list).collect(),
        Expr::AnyArray { expr, array, .. } => vec![expr, array],
        Expr::Quantified { exprs, .. } => exprs.iter_mut().collect(),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } => Vec::new(),
    }
}

/// Does any part satisfy `test`?
pub(super) fn any(e: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
    test(e) || children(e).into_iter().any(|c| any(c, test))
}

/// Replaces parts from the top down: where `replace` answers, its value stands and is not looked into.
pub(crate) fn rewrite(e: &mut Expr, replace: &mut dyn FnMut(&Expr) -> Option<Expr>) {
    if let Some(new) = replace(e) {
        *e = new;
        return;
    }
    for child in children_mut(e) {
        rewrite(child, replace);
    }
}

/// Does it hold a sub-query?
pub(super) fn has_subquery(e: &Expr) -> bool {
    any(e, &mut |e| {
        matches!(e, Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } | Expr::Quantified { .. })
    })
}

/// The columns of this level it uses.
pub(super) fn columns(e: &Expr) -> Vec<ColId> {
    let mut ids = Vec::new();
    any(e, &mut |e| {
        if let Expr::Column { id, .. } = e {
            ids.push(*id);
        }
        false
    });
    ids
}

/// Equal trees mean equal values for one row (PostgreSQL's equal()). Sub-queries are equal to copies of themselves only.
pub(super) fn same(a: &Expr, b: &Expr) -> bool {
    let alike = match (a, b) {
        (Expr::Column { id: x, .. }, Expr::Column { id: y, .. }) => x == y,
        (Expr::Outer { id: x, .. }, Expr::Outer { id: y, .. }) => x == y,
        (Expr::Param { index: x, .. }, Expr::Param { index: y, .. }) => x == y,
        (Expr::Literal { value: x, ty: s }, Expr::Literal { value: y, ty: t }) => {
            s == t && (x == y || is_nan(x) && is_nan(y))
        }
        (Expr::Call(x), Expr::Call(y)) => same_head(x, y),
        (Expr::And(_), Expr::And(_)) | (Expr::Or(_), Expr::Or(_)) | (Expr::Not(_), Expr::Not(_)) => true,
        (Expr::IsNull(_), Expr::IsNull(_)) | (Expr::NotDistinct(..), Expr::NotDistinct(..)) => true,
        (Expr::Case { ty: s, .. }, Expr::Case { ty: t, .. }) => s == t,
        (Expr::Coalesce { ty: s, .. }, Expr::Coalesce { ty: t, .. }) => s == t,
        (Expr::Array { ty: s, .. }, Expr::Array { ty: t, .. }) => s == t,
        (Expr::InList { equals: x, .. }, Expr::InList { equals: y, .. }) => x == y,
        // Column ids are unique in a statement: the same outputs mean copies of one sub-query.
        (Expr::Scalar { query: x, .. }, Expr::Scalar { query: y, .. })
        | (Expr::ArrayQuery { query: x, .. }, Expr::ArrayQuery { query: y, .. })
        | (Expr::Exists { query: x }, Expr::Exists { query: y }) => copies(x, y),
        (
            Expr::Quantified { query: x, ops: s, all: p, negated: m, .. },
            Expr::Quantified { query: y, ops: t, all: q, negated: n, .. },
        ) => copies(x, y) && (s, p, m) == (t, q, n),
        (Expr::AnyArray { op: x, all: p, .. }, Expr::AnyArray { op: y, all: q, .. }) => x == y && p == q,
        _ => false,
    };
    let (x, y) = (children(a), children(b));
    alike && x.len() == y.len() && x.iter().zip(&y).all(|(p, q)| same(p, q))
}

fn is_nan(value: &Datum) -> bool {
    match value {
        Datum::Float4(v) => v.is_nan(),
        Datum::Float8(v) => v.is_nan(),
        _ => false,
    }
}

fn copies(x: &Query, y: &Query) -> bool {
    !x.columns.is_empty() && x.columns.iter().map(|c| c.id).eq(y.columns.iter().map(|c| c.id))
}

fn same_head(x: &Call, y: &Call) -> bool {
    x.func == y.func && x.ty == y.ty
}

/// Conjuncts of a condition, flat.
pub(super) fn conjuncts(e: Expr, out: &mut Vec<Expr>) {
    match e {
        Expr::And(parts) => parts.into_iter().for_each(|p| conjuncts(p, out)),
        other => out.push(other),
    }
}

/// AND of several conditions; `None` when there are none.
pub(super) fn all_of(mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 | 1 => parts.pop(),
        _ => Some(Expr::And(parts)),
    }
}
