//! Scalar expressions.
//!
//! Comparisons over types that Arrow orders as PostgreSQL does, logic, constants and columns become native, so that join keys,
//! pruning and sorting see them; of other types, comparisons of sort keys. Everything else is one function around our evaluator,
//! which keeps laziness (CASE, AND) and every type's own rules in one place.

use super::udf::{Body, Function, sort_key};
use super::{Lowerer, column};
use crate::bound::{Call, ColId, Expr};
use crate::eval::{eval_constant, visit};
use crate::function::{self, Comparison, Kind, from_df};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr as Df, Operator};
use heddle_types::arrow::{data_type, native_order, repeat};
use heddle_types::{Datum, Error, PgType, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longer OR and IN lists go to the evaluator: DataFusion's trees are recursive.
const LIST_MAX: usize = 256;

/// A value as DataFusion's constant.
pub(super) fn scalar(value: &Datum, ty: PgType) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&repeat(value, ty, 1)?, 0).map_err(from_df)
}

/// A constant.
pub(super) fn literal(value: &Datum, ty: PgType) -> Result<Df> {
    Ok(Df::Literal(scalar(value, ty)?, None))
}

/// An expression as a key: equal and ordered exactly as PostgreSQL's values.
pub(super) fn key(e: Df, ty: PgType) -> Df {
    if native_order(ty) { e } else { sort_key(e, ty) }
}

impl Lowerer<'_> {
    /// Lowers an expression without sub-queries.
    pub(super) fn expr(&mut self, e: &Expr) -> Result<Df> {
        match self.native(e)? {
            Some(df) => Ok(df),
            None => self.evaluated(e),
        }
    }

    /// The expression inside one function around the evaluator.
    fn evaluated(&mut self, e: &Expr) -> Result<Df> {
        let mut columns = BTreeMap::new();
        visit::columns(e, &mut columns);
        let mut args: Vec<Df> = columns.keys().map(|id| column(*id)).collect();
        let mut ids: Vec<ColId> = columns.into_keys().collect();
        let mut outers = BTreeMap::new();
        visit::outers(e, &mut outers);
        for (id, ty) in outers {
            args.push(self.outer(id, ty)?);
            ids.push(id);
        }
        Ok(Function::call(Body::Bound { expr: e.clone(), ids, ctx: Arc::clone(self.ctx) }, args))
    }

    /// The placeholder of an outer reference.
    pub(super) fn outer(&mut self, id: ColId, ty: PgType) -> Result<Df> {
        let scope = self.scopes.iter_mut().rev().find(|s| s.columns.contains(&id));
        let scope = scope.ok_or_else(|| Error::internal(format!("outer column {} is not in scope", id.0)))?;
        let (df, key, cell) = scope.refer(id, ty);
        self.cells.insert(key, cell);
        Ok(df)
    }

    /// The native form, if it means the same.
    fn native(&mut self, e: &Expr) -> Result<Option<Df>> {
        Ok(match e {
            Expr::Column { id, .. } => Some(column(*id)),
            Expr::Outer { id, ty } => Some(self.outer(*id, *ty)?),
            Expr::Literal { value, ty } => Some(literal(value, *ty)?),
            Expr::Param { ty, .. } => Some(literal(&eval_constant(e, self.ctx)?, *ty)?),
            Expr::Call(call) => self.native_call(call)?,
            Expr::And(list) => self.junction(list, Operator::And)?,
            Expr::Or(list) => self.junction(list, Operator::Or)?,
            Expr::Not(e) => self.native(e)?.map(|e| Df::Not(Box::new(e))),
            Expr::IsNull(e) => self.native(e)?.map(|e| Df::IsNull(Box::new(e))),
            Expr::NotDistinct(a, b) => self.comparison(a, b, Operator::IsNotDistinctFrom)?,
            Expr::InList { expr, list, equals } if is_equality(*equals) => self.in_list(expr, list)?,
            Expr::AnyArray { expr, array, op, all: false } if is_equality(*op) => self.any_array(expr, array)?,
            _ => None,
        })
    }

    fn junction(&mut self, list: &[Expr], op: Operator) -> Result<Option<Df>> {
        // DataFusion may evaluate every part for every row.
        if list.len() > LIST_MAX || !list.iter().all(visit::is_safe) {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(list.len());
        for part in list {
            match self.native(part)? {
                Some(p) => parts.push(p),
                None => return Ok(None),
            }
        }
        Ok(balanced(parts, op))
    }

    fn native_call(&mut self, call: &Call) -> Result<Option<Df>> {
        if let [arg] = &call.args[..] {
            return Ok(match is_widening(call) {
                true => self.native(arg)?.map(|e| Df::Cast(Cast::new(Box::new(e), data_type(call.ty)))),
                false => None,
            });
        }
        let ([a, b], Some(op)) = (&call.args[..], compare_operator(call.func)) else { return Ok(None) };
        self.comparison(a, b, op)
    }

    fn comparison(&mut self, a: &Expr, b: &Expr, op: Operator) -> Result<Option<Df>> {
        let (ta, tb) = (a.ty(), b.ty());
        let (Some(mut x), Some(mut y)) = (self.operand(a)?, self.operand(b)?) else { return Ok(None) };
        if data_type(ta) != data_type(tb) {
            let Some(wide) = wider(ta, tb) else { return Ok(None) };
            for (e, ty) in [(&mut x, ta), (&mut y, tb)] {
                if data_type(ty) != data_type(wide) {
                    *e = Df::Cast(Cast::new(Box::new(e.clone()), data_type(wide)));
                }
            }
        } else if native_order(ta) != native_order(tb) || ((!native_order(ta)) && ta.class() != tb.class()) {
            return Ok(None);
        } else if !native_order(ta) {
            (x, y) = (sort_key(x, ta), sort_key(y, tb));
        }
        Ok(Some(Df::BinaryExpr(BinaryExpr::new(Box::new(x), op, Box::new(y)))))
    }

    /// A side of a comparison: native, or evaluated when that cannot fail later than it should (it is one value per row anyway).
    fn operand(&mut self, e: &Expr) -> Result<Option<Df>> {
        match self.native(e)? {
            Some(df) => Ok(Some(df)),
            None => Ok(Some(self.evaluated(e)?)),
        }
    }

    fn in_list(&mut self, expr: &Expr, list: &[Expr]) -> Result<Option<Df>> {
        let same = list.iter().all(|e| data_type(e.ty()) == data_type(expr.ty()));
        if list.len() > LIST_MAX || !same || !native_order(expr.ty()) || !list.iter().all(visit::is_constant) {
            return Ok(None);
        }
        let Some(left) = self.native(expr)? else { return Ok(None) };
        let ty = expr.ty();
        let items = list.iter().map(|e| literal(&eval_constant(e, self.ctx)?, ty)).collect::<Result<Vec<_>>>()?;
        Ok(Some(Df::InList(InList::new(Box::new(left), items, false))))
    }

    fn any_array(&mut self, expr: &Expr, array: &Expr) -> Result<Option<Df>> {
        let Some(elem) = array.ty().element() else { return Ok(None) };
        if !visit::is_constant(array) || data_type(elem) != data_type(expr.ty()) || !native_order(elem) {
            return Ok(None);
        }
        let (Datum::Array(values), Some(left)) = (eval_constant(array, self.ctx)?, self.native(expr)?) else {
            return Ok(None);
        };
        if values.elements.is_empty() || values.elements.len() > LIST_MAX {
            return Ok(None);
        }
        let items = values.elements.iter().map(|v| literal(v, elem)).collect::<Result<Vec<_>>>()?;
        Ok(Some(Df::InList(InList::new(Box::new(left), items, false))))
    }

    /// The conjuncts of a predicate, each fit to be moved on its own: one that may raise an error carries the comparisons
    /// before it as a guard, so that moving it below them is harmless.
    pub(super) fn conjuncts(&mut self, predicate: &Expr) -> Result<Vec<Df>> {
        let mut out = vec![];
        let mut safe: Vec<&Expr> = vec![];
        let predicate = super::constant::folded(predicate, self.ctx);
        for part in visit::conjuncts(&predicate) {
            if visit::is_safe(part) {
                out.push(self.expr(part)?);
                safe.push(part);
                continue;
            }
            let mut mine = BTreeMap::new();
            visit::columns(part, &mut mine);
            let mut guarded: Vec<Expr> = safe
                .iter()
                .filter(|g| {
                    let mut theirs = BTreeMap::new();
                    visit::columns(g, &mut theirs);
                    theirs.keys().all(|c| mine.contains_key(c))
                })
                .map(|g| (*g).clone())
                .collect();
            if guarded.is_empty() {
                out.push(self.expr(part)?);
            } else {
                guarded.push(part.clone());
                out.push(self.evaluated(&Expr::And(guarded))?);
            }
        }
        Ok(out)
    }
}

/// A balanced tree: deep ones overflow stacks.
pub(super) fn balanced(mut parts: Vec<Df>, op: Operator) -> Option<Df> {
    match parts.len() {
        0 | 1 => parts.pop(),
        n => {
            let right = parts.split_off(n / 2);
            let (l, r) = (balanced(parts, op)?, balanced(right, op)?);
            Some(Df::BinaryExpr(BinaryExpr::new(Box::new(l), op, Box::new(r))))
        }
    }
}

fn compare_operator(func: function::FuncId) -> Option<Operator> {
    match function::by_id(func)?.kind {
        Kind::Compare(c, _) => Some(match c {
            Comparison::Eq => Operator::Eq,
            Comparison::Ne => Operator::NotEq,
            Comparison::Lt => Operator::Lt,
            Comparison::Le => Operator::LtEq,
            Comparison::Gt => Operator::Gt,
            Comparison::Ge => Operator::GtEq,
        }),
        _ => None,
    }
}

pub(super) fn is_equality(func: function::FuncId) -> bool {
    compare_operator(func) == Some(Operator::Eq)
}

fn integer_width(ty: PgType) -> Option<u8> {
    use heddle_types::oid;
    match ty.oid {
        oid::INT2 => Some(2),
        oid::INT4 => Some(4),
        oid::INT8 => Some(8),
        _ => None,
    }
}

/// The wider of two integer types.
fn wider(a: PgType, b: PgType) -> Option<PgType> {
    Some(if integer_width(a)? >= integer_width(b)? { a } else { b })
}

fn is_widening(call: &Call) -> bool {
    let from = call.args[0].ty();
    match (integer_width(from), integer_width(call.ty)) {
        (Some(a), Some(b)) if a < b => function::cast(from.oid, call.ty.oid).is_some_and(|c| c.func == Some(call.func)),
        _ => false,
    }
}
