//! Looking into bound expressions and relations: which columns they use, whether they hold sub-queries or volatile calls.

use crate::bound::{ColId, Expr, FrameBound, JoinKind, Query, Rel, WindowCall};
use crate::function::{self, Kind, Volatility};
use heddle_types::PgType;
use std::collections::BTreeMap;

/// Calls `f` on the direct sub-expressions (not into sub-queries).
pub fn children<'a>(expr: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    match expr {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Param { .. } | Expr::Literal { .. } => {}
        Expr::Call(c) => c.args.iter().for_each(f),
        Expr::And(l) | Expr::Or(l) => l.iter().for_each(f),
        Expr::Not(e) | Expr::IsNull(e) => f(e),
        Expr::NotDistinct(a, b) => {
            f(a);
            f(b);
        }
        Expr::Case { branches, otherwise, .. } => {
            for (c, r) in branches {
                f(c);
                f(r);
            }
            f(otherwise);
        }
        Expr::Coalesce { args, .. } => args.iter().for_each(f),
        Expr::InList { expr, list, .. } => {
            f(expr);
            list.iter().for_each(f);
        }
        Expr::AnyArray { expr, array, .. } => {
            f(expr);
            f(array);
        }
        Expr::Array { elements, .. } => elements.iter().for_each(f),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } => {}
        Expr::Quantified { exprs, .. } => exprs.iter().for_each(f),
    }
}

/// Calls `f` on the direct sub-expressions, to change them.
pub fn children_mut(expr: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match expr {
        Expr::Column { .. } | Expr::Outer { .. } | Expr::Param { .. } | Expr::Literal { .. } => {}
        Expr::Call(c) => c.args.iter_mut().for_each(f),
        Expr::And(l) | Expr::Or(l) => l.iter_mut().for_each(f),
        Expr::Not(e) | Expr::IsNull(e) => f(e),
        Expr::NotDistinct(a, b) => {
            f(a);
            f(b);
        }
        Expr::Case { branches, otherwise, .. } => {
            for (c, r) in branches {
                f(c);
                f(r);
            }
            f(otherwise);
        }
        Expr::Coalesce { args, .. } => args.iter_mut().for_each(f),
        Expr::InList { expr, list, .. } => {
            f(expr);
            list.iter_mut().for_each(f);
        }
        Expr::AnyArray { expr, array, .. } => {
            f(expr);
            f(array);
        }
        Expr::Array { elements, .. } => elements.iter_mut().for_each(f),
        Expr::Scalar { .. } | Expr::Exists { .. } | Expr::ArrayQuery { .. } => {}
        Expr::Quantified { exprs, .. } => exprs.iter_mut().for_each(f),
    }
}

/// The sub-query of this very node.
pub fn sub_query(expr: &Expr) -> Option<&Query> {
    match expr {
        Expr::Scalar { query, .. } | Expr::Exists { query } | Expr::ArrayQuery { query, .. } => Some(query),
        Expr::Quantified { query, .. } => Some(query),
        _ => None,
    }
}

/// The sub-query of this very node, to change it.
pub fn sub_query_mut(expr: &mut Expr) -> Option<&mut Query> {
    match expr {
        Expr::Scalar { query, .. } | Expr::Exists { query } | Expr::ArrayQuery { query, .. } => Some(query),
        Expr::Quantified { query, .. } => Some(query),
        _ => None,
    }
}

/// Is any node of `expr` (sub-queries excluded) such that `f` holds?
pub fn any(expr: &Expr, f: &dyn Fn(&Expr) -> bool) -> bool {
    if f(expr) {
        return true;
    }
    let mut found = false;
    children(expr, &mut |e| found = found || any(e, f));
    found
}

/// Does it hold a sub-query?
pub fn has_sub_query(expr: &Expr) -> bool {
    any(expr, &|e| sub_query(e).is_some())
}

/// Does it call a volatile function?
pub fn is_volatile(expr: &Expr) -> bool {
    any(expr, &|e| match e {
        Expr::Call(c) => function::by_id(c.func).is_none_or(|f| f.volatility == Volatility::Volatile),
        _ => false,
    })
}

/// Can it not raise an error for any row? Comparisons, logic, columns and constants cannot.
pub fn is_safe(expr: &Expr) -> bool {
    !any(expr, &|e| match e {
        Expr::Call(c) => !function::by_id(c.func).is_some_and(|f| matches!(f.kind, Kind::Compare(..))),
        Expr::AnyArray { .. } | Expr::Array { .. } => true,
        e => sub_query(e).is_some(),
    })
}

/// Depends on no row and no sub-query, and always has one value within the statement.
pub fn is_constant(expr: &Expr) -> bool {
    !is_volatile(expr)
        && !any(expr, &|e| matches!(e, Expr::Column { .. } | Expr::Outer { .. }) || sub_query(e).is_some())
}

/// Columns of the operator's input it uses (not those of sub-queries).
pub fn columns(expr: &Expr, out: &mut BTreeMap<ColId, PgType>) {
    if let Expr::Column { id, ty } = expr {
        out.insert(*id, *ty);
    }
    children(expr, &mut |e| columns(e, out));
}

/// Outer references in it, sub-queries included (whatever level they mean).
pub fn outers(expr: &Expr, out: &mut BTreeMap<ColId, PgType>) {
    if let Expr::Outer { id, ty } = expr {
        out.insert(*id, *ty);
    }
    if let Some(q) = sub_query(expr) {
        rel_outers(&q.rel, out);
    }
    children(expr, &mut |e| outers(e, out));
}

/// Outer references anywhere in `rel`, those of nested queries included.
pub fn rel_outers(rel: &Rel, out: &mut BTreeMap<ColId, PgType>) {
    rel_exprs(rel, &mut |e| outers(e, out));
    rel_inputs(rel, &mut |r| rel_outers(r, out));
}

/// The AND-ed parts of a predicate.
pub fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    fn walk<'a>(e: &'a Expr, out: &mut Vec<&'a Expr>) {
        match e {
            Expr::And(list) => list.iter().for_each(|e| walk(e, out)),
            e => out.push(e),
        }
    }
    let mut out = vec![];
    walk(expr, &mut out);
    out
}

/// ANDs parts together; none is true.
pub fn conjunction(mut parts: Vec<Expr>) -> Option<Expr> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Expr::And(parts)),
    }
}

fn window_exprs<'a>(w: &'a WindowCall, f: &mut dyn FnMut(&'a Expr)) {
    w.call.args.iter().chain(&w.partition).chain(&w.call.filter).for_each(&mut *f);
    w.order.iter().chain(&w.call.order).for_each(|k| f(&k.expr));
    for b in [&w.frame.start, &w.frame.end] {
        if let FrameBound::Preceding(e) | FrameBound::Following(e) = b {
            f(e);
        }
    }
}

/// Calls `f` on the expressions of this very operator.
pub fn rel_exprs<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Expr)) {
    match rel {
        Rel::Values { rows, .. } => rows.iter().flatten().for_each(f),
        Rel::Filter { predicate, .. } => f(predicate),
        Rel::Project { exprs, .. } => exprs.iter().for_each(|(_, e)| f(e)),
        Rel::Join { on, .. } => on.iter().for_each(f),
        Rel::ProjectSet { calls, .. } => calls.iter().flat_map(|c| &c.call.args).for_each(f),
        Rel::Aggregate { groups, aggregates, .. } => {
            groups.iter().for_each(|(_, e)| f(e));
            for (_, a) in aggregates {
                a.args.iter().chain(&a.filter).for_each(&mut *f);
                a.order.iter().for_each(|k| f(&k.expr));
            }
        }
        Rel::Window { calls, .. } => calls.iter().for_each(|(_, w)| window_exprs(w, f)),
        Rel::Distinct { on, .. } => on.iter().flatten().for_each(f),
        Rel::Sort { keys, .. } => keys.iter().for_each(|k| f(&k.expr)),
        Rel::Limit { limit, offset, .. } => limit.iter().chain(offset).for_each(f),
        Rel::Lock { targets, .. } => targets.iter().filter_map(|t| t.recheck.as_ref()).for_each(f),
        Rel::Unit
        | Rel::Table(_)
        | Rel::System { .. }
        | Rel::Rows { .. }
        | Rel::SetOp { .. }
        | Rel::With { .. }
        | Rel::CteScan { .. } => {}
    }
}

/// Calls `f` on the inputs of this very operator.
pub fn rel_inputs<'a>(rel: &'a Rel, f: &mut dyn FnMut(&'a Rel)) {
    match rel {
        Rel::Unit
        | Rel::Table(_)
        | Rel::System { .. }
        | Rel::Values { .. }
        | Rel::Rows { .. }
        | Rel::CteScan { .. } => {}
        Rel::Filter { input, .. }
        | Rel::Project { input, .. }
        | Rel::ProjectSet { input, .. }
        | Rel::Aggregate { input, .. }
        | Rel::Window { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Lock { input, .. } => f(input),
        Rel::Join { left, right, .. } => {
            f(left);
            f(right);
        }
        Rel::SetOp { left, right, .. } => {
            f(&left.rel);
            f(&right.rel);
        }
        Rel::With { ctes, body } => {
            for cte in ctes {
                f(&cte.query.rel);
                if let Some((q, _)) = &cte.recursive {
                    f(&q.rel);
                }
            }
            f(body);
        }
    }
}

/// The columns a relation produces, in order.
pub fn output(rel: &Rel) -> Vec<(ColId, PgType)> {
    use heddle_types::oid;
    match rel {
        Rel::Unit => vec![],
        Rel::Table(scan) => {
            let mut out: Vec<_> = scan.columns.iter().map(|(id, i)| (*id, scan.table.columns[*i].ty)).collect();
            if let Some((key, index)) = scan.identity {
                out.extend([(key, PgType::new(oid::BYTEA)), (index, PgType::new(oid::INT8))]);
            }
            out
        }
        Rel::System { table, columns } => columns.iter().map(|(id, i)| (*id, table.columns[*i].1)).collect(),
        Rel::Values { columns, .. }
        | Rel::Rows { columns, .. }
        | Rel::SetOp { columns, .. }
        | Rel::CteScan { columns, .. } => columns.iter().map(|c| (c.id, c.ty)).collect(),
        Rel::Filter { input, .. }
        | Rel::Distinct { input, .. }
        | Rel::Sort { input, .. }
        | Rel::Limit { input, .. }
        | Rel::Lock { input, .. } => output(input),
        Rel::Project { exprs, .. } => exprs.iter().map(|(id, e)| (*id, e.ty())).collect(),
        Rel::Join { left, right, kind, .. } => {
            let mut out = output(left);
            if !matches!(kind, JoinKind::Semi | JoinKind::Anti) {
                out.extend(output(right));
            }
            out
        }
        Rel::ProjectSet { input, calls, ordinality, .. } => {
            let mut out = output(input);
            out.extend(calls.iter().flat_map(|c| &c.columns).map(|c| (c.id, c.ty)));
            out.extend(ordinality.map(|id| (id, PgType::new(oid::INT8))));
            out
        }
        Rel::Aggregate { groups, aggregates, grouping, .. } => {
            let mut out: Vec<_> = groups.iter().map(|(id, e)| (*id, e.ty())).collect();
            out.extend(aggregates.iter().map(|(id, a)| (*id, a.ty)));
            out.extend(grouping.iter().map(|(id, _)| (*id, PgType::new(oid::INT4))));
            out
        }
        Rel::Window { input, calls } => {
            let mut out = output(input);
            out.extend(calls.iter().map(|(id, w)| (*id, w.call.ty)));
            out
        }
        Rel::With { body, .. } => output(body),
    }
}
