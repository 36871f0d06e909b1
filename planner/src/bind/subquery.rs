//! Sub-queries inside expressions.

use super::call::type_name;
use super::expr::{not, row_elements};
use super::names::start;
use super::scope::Clause;
use super::{Binder, Typed};
use crate::bound::{ColId, Expr, Query, Rel};
use heddle_types::{Error, PgType, Result, SqlState};
use sqlparser::ast::{self, Spanned};

impl Binder<'_> {
    /// Clauses that are evaluated without a plan have no sub-queries.
    fn refuse_subquery(&mut self, pos: Option<u32>) -> Result<()> {
        if self.level().clause != Clause::CopyWhere {
            return Ok(());
        }
        let text = "cannot use subquery in COPY FROM WHERE condition";
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text).at(pos))
    }

    pub(super) fn exists(&mut self, q: &ast::Query, negated: bool) -> Result<Typed> {
        let pos = start(q.span());
        self.refuse_subquery(self.places.prefix(pos))?;
        let query = Box::new(self.query(q)?);
        let test = Expr::Exists { query };
        Ok(Typed::new(if negated { not(test) } else { test }, pos))
    }

    pub(super) fn scalar_subquery(&mut self, q: &ast::Query) -> Result<Typed> {
        let pos = self.places.opened(start(q.span()));
        self.refuse_subquery(pos)?;
        let query = self.query(q)?;
        let ty = one_column(&query, pos)?;
        Ok(Typed::new(Expr::Scalar { query: Box::new(query), ty }, pos))
    }

    /// The columns of a sub-query that gives one row, each as a scalar sub-query.
    pub(super) fn subquery_fields(&mut self, q: &ast::Query, width: usize) -> Result<Vec<Typed>> {
        let pos = self.places.opened(start(q.span()));
        let mut fields = Vec::with_capacity(width);
        for i in 0..width {
            let query = self.query(q)?;
            if query.columns.len() != width {
                let many = if query.columns.len() > width { "many" } else { "few" };
                return Err(Error::new(SqlState::SYNTAX_ERROR, format!("subquery has too {many} columns")).at(pos));
            }
            let column = query.columns[i].clone();
            let ty = column.ty;
            let query = Box::new(Query { rel: query.rel, columns: vec![column] });
            fields.push(Typed::new(Expr::Scalar { query, ty }, pos));
        }
        Ok(fields)
    }

    /// ARRAY(SELECT …)
    pub(super) fn array_subquery(&mut self, q: &ast::Query, pos: Option<u32>) -> Result<Typed> {
        self.refuse_subquery(pos)?;
        let query = self.query(q)?;
        let ty = super::expr::array_type(one_column(&query, pos)?, pos)?;
        Ok(Typed::new(Expr::ArrayQuery { query: Box::new(query), ty }, pos))
    }

    pub(super) fn in_subquery(&mut self, e: &ast::Expr, q: &ast::Query, negated: bool) -> Result<Typed> {
        self.pairs(e, "=", q, false, negated)
    }

    pub(super) fn quantified_subquery(&mut self, e: &ast::Expr, op: &str, q: &ast::Query, all: bool) -> Result<Typed> {
        self.pairs(e, op, q, all, false)
    }

    fn pairs(&mut self, e: &ast::Expr, op: &str, q: &ast::Query, all: bool, negated: bool) -> Result<Typed> {
        let (at, pos) = (start(e.span()), self.after(e));
        self.refuse_subquery(pos)?;
        let left = match row_elements(e) {
            Some(parts) => parts,
            None => vec![e],
        };
        if left.len() > 1 && op != "=" {
            return Err(Error::unsupported(format!("row {op} ANY/ALL (sub-query)")).at(pos));
        }
        let query = self.query(q)?;
        if query.columns.len() != left.len() {
            let many = if query.columns.len() > left.len() { "many" } else { "few" };
            return Err(Error::new(SqlState::SYNTAX_ERROR, format!("subquery has too {many} columns")).at(pos));
        }
        let (mut exprs, mut ops, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for (e, column) in left.into_iter().zip(&query.columns) {
            if let ast::Expr::Value(v) = e
                && let ast::Value::HexStringLiteral(_) = v.value
            {
                let of = type_name(column.ty.oid);
                let text = format!("operator does not exist: bit {op} {of}");
                return Err(Error::new(SqlState::UNDEFINED_FUNCTION, text).at(pos));
            }
            let value = self.expr(e)?;
            let resolved = self.resolve_operator(op, value.oid(), column.ty.oid, pos)?;
            exprs.push(self.operand(value, resolved.left)?);
            ops.push(resolved.func);
            types.push(resolved.right);
        }
        let query = Box::new(self.convert_columns(query, &types)?);
        Ok(Typed::new(Expr::Quantified { exprs, query, ops, all, negated }, at))
    }

    /// Casts the output columns of a query to these types (modifiers apart) where their form differs.
    pub(super) fn convert_columns(&mut self, query: Query, types: &[PgType]) -> Result<Query> {
        let mut exprs: Vec<(ColId, Expr)> = Vec::new();
        let mut columns = query.columns;
        let mut changed = false;
        for (column, ty) in columns.iter_mut().zip(types) {
            let value = Typed::new(Expr::Column { id: column.id, ty: column.ty }, None);
            let value = self.operand(value, *ty)?;
            if let Expr::Column { id, .. } = value {
                if !exprs.iter().any(|(known, _)| *known == id) {
                    exprs.push((id, value));
                }
                continue;
            }
            changed = true;
            column.id = self.new_column();
            column.ty = value.ty();
            column.origin = None;
            exprs.push((column.id, value));
        }
        let rel = if changed { Rel::Project { input: Box::new(query.rel), exprs } } else { query.rel };
        Ok(Query { rel, columns })
    }
}

fn one_column(query: &Query, pos: Option<u32>) -> Result<PgType> {
    match query.columns.as_slice() {
        [one] => Ok(one.ty),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, "subquery must return only one column").at(pos)),
    }
}
