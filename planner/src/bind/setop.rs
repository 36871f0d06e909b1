//! Whole queries: WITH, set operations, VALUES, ORDER BY over their output, LIMIT.

use super::names::{fold, output_positions, start};
use super::scope::{Clause, CteEntry, Level};
use super::select::{Around, Output, ordinal};
use super::window::sort_key;
use super::{Binder, Typed};
use crate::bound::{Col, ColId, Cte, Expr, OutputColumn, Query, Rel, SetOpKind, SortKey};
use crate::function::CastContext;
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, LimitClause, OrderByKind, SetExpr, SetOperator, SetQuantifier, Spanned};

/// Where the CTE of a recursive query may still be replaced.
struct Recursive {
    entry: CteEntry,
    all: bool,
}

impl Binder<'_> {
    /// Binds a query; unknown columns become text.
    pub(super) fn query(&mut self, q: &ast::Query) -> Result<Query> {
        let query = self.query_raw(q, false)?;
        self.settle(query)
    }

    /// Binds a query whose unknown columns the caller settles.
    pub(super) fn query_raw(&mut self, q: &ast::Query, keep_unknown: bool) -> Result<Query> {
        stacker::maybe_grow(1 << 20, 8 << 20, || self.query_inner(q, keep_unknown))
    }

    fn query_inner(&mut self, q: &ast::Query, keep_unknown: bool) -> Result<Query> {
        refuse_foreign(q)?;
        let before = self.ctes.len();
        let ctes = match &q.with {
            Some(with) => self.ctes(with)?,
            None => Vec::new(),
        };
        let order_by = order_expressions(q)?;
        let query = self.body(&q.body, order_by, &q.locks, keep_unknown);
        let query = query.and_then(|query| self.limited(query, q));
        self.ctes.truncate(before);
        let query = query?;
        if ctes.is_empty() {
            return Ok(query);
        }
        Ok(Query { rel: Rel::With { ctes, body: Box::new(query.rel) }, columns: query.columns })
    }

    fn body(
        &mut self,
        body: &SetExpr,
        order_by: &[ast::OrderByExpr],
        locks: &[ast::LockClause],
        keep_unknown: bool,
    ) -> Result<Query> {
        if let SetExpr::Select(s) = body {
            return self.select(s, Around { order_by, locks, keep_unknown });
        }
        if let Some(clause) = locks.first() {
            let what = if matches!(body, SetExpr::Values(_)) {
                "cannot be applied to VALUES"
            } else {
                "is not allowed with UNION/INTERSECT/EXCEPT"
            };
            let message = format!("{} {what}", super::select::lock_phrase(clause));
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let keep = keep_unknown && order_by.is_empty();
        let mut query = self.set_expr(body, keep)?;
        if !keep {
            query = self.settle(query)?;
        }
        self.ordered(query, order_by)
    }

    fn set_expr(&mut self, body: &SetExpr, keep_unknown: bool) -> Result<Query> {
        stacker::maybe_grow(1 << 20, 8 << 20, || match body {
            SetExpr::Select(s) => self.select(s, Around { keep_unknown, ..Around::default() }),
            SetExpr::Query(q) => self.query_raw(q, keep_unknown),
            SetExpr::Values(v) => self.values(v),
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let l = self.set_expr(left, true)?;
                let r = self.set_expr(right, true)?;
                self.set_operation(l, *op, *set_quantifier, r, right)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(super::with::below_the_top())
            }
            SetExpr::Table(_) => Err(Error::unsupported("TABLE here")),
        })
    }

    fn set_operation(
        &mut self,
        left: Query,
        op: SetOperator,
        quantifier: SetQuantifier,
        right: Query,
        ast: &SetExpr,
    ) -> Result<Query> {
        let (kind, word) = match op {
            SetOperator::Union => (SetOpKind::Union, "UNION"),
            SetOperator::Intersect => (SetOpKind::Intersect, "INTERSECT"),
            SetOperator::Except => (SetOpKind::Except, "EXCEPT"),
            SetOperator::Minus => return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"minus\"")),
        };
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::None | SetQuantifier::Distinct => false,
            other => return Err(Error::new(SqlState::SYNTAX_ERROR, format!("{word} {other} is not PostgreSQL's"))),
        };
        let places = output_positions(ast);
        let pos = places.first().copied().unwrap_or_else(|| start(ast.span()));
        if left.columns.len() != right.columns.len() {
            let message = format!("each {word} query must have the same number of columns");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        let mut types = Vec::new();
        for (i, (l, r)) in left.columns.iter().zip(&right.columns).enumerate() {
            let pos = places.get(i).copied().unwrap_or(pos);
            let common = super::coerce::common_type(&[(l.ty, None), (r.ty, None)]).map_err(|(a, b, _)| {
                let message = format!("{word} types {} and {} cannot be matched", a.sql_name(), b.sql_name());
                Error::new(SqlState::DATATYPE_MISMATCH, message).at(pos)
            })?;
            if !all {
                self.equality(&Typed::new(Expr::Column { id: l.id, ty: common }, pos))?;
            }
            types.push(common);
        }
        let left = self.cast_columns(left, &types, word, &[])?;
        let right = self.cast_columns(right, &types, word, &places)?;
        let columns: Vec<Col> = types.iter().map(|ty| Col { id: self.new_column(), ty: *ty }).collect();
        let shown = left
            .columns
            .iter()
            .zip(&columns)
            .map(|(c, col)| OutputColumn { id: col.id, name: c.name.clone(), ty: col.ty, origin: None })
            .collect();
        let rel = Rel::SetOp { kind, all, left: Box::new(left), right: Box::new(right), columns };
        Ok(Query { rel, columns: shown })
    }

    fn values(&mut self, v: &ast::Values) -> Result<Query> {
        let rows: Vec<&Vec<ast::Expr>> = v.rows.iter().map(|r| &r.content).collect();
        self.levels.push(Level::new(Clause::Values));
        let result = rows.iter().map(|r| r.iter().map(|e| self.expr(e)).collect()).collect::<Result<Vec<Vec<Typed>>>>();
        self.levels.pop();
        let result = result?;
        let width = result.first().map_or(0, Vec::len);
        if let Some(bad) = result.iter().find(|r| r.len() != width) {
            let pos = bad.first().and_then(|v| v.pos);
            return Err(Error::new(SqlState::SYNTAX_ERROR, "VALUES lists must all be the same length").at(pos));
        }
        self.values_rows(result)
    }

    /// Rows to a Values operator: each column gets one type.
    fn values_rows(&mut self, rows: Vec<Vec<Typed>>) -> Result<Query> {
        let width = rows.first().map_or(0, Vec::len);
        let count = rows.len();
        let mut lists: Vec<Vec<Typed>> = (0..width).map(|_| Vec::with_capacity(count)).collect();
        for row in rows {
            for (list, value) in lists.iter_mut().zip(row) {
                list.push(value);
            }
        }
        let (mut columns, mut out) = (Vec::new(), vec![Vec::with_capacity(width); count]);
        for list in lists {
            let (list, ty) = if list.iter().all(Typed::is_unknown) {
                (list, PgType::new(oid::UNKNOWN))
            } else {
                self.unify(list, "VALUES")?
            };
            columns.push(Col { id: self.new_column(), ty });
            for (row, value) in out.iter_mut().zip(list) {
                row.push(value.expr);
            }
        }
        let name =
            |(i, c): (usize, &Col)| OutputColumn { id: c.id, name: format!("column{}", i + 1), ty: c.ty, origin: None };
        let shown = columns.iter().enumerate().map(name).collect();
        Ok(Query { rel: Rel::Values { columns, rows: out }, columns: shown })
    }

    /// Unknown columns become text.
    pub(super) fn settle(&mut self, query: Query) -> Result<Query> {
        if query.columns.iter().all(|c| c.ty.oid != oid::UNKNOWN) {
            return Ok(query);
        }
        let text = |c: &OutputColumn| if c.ty.oid == oid::UNKNOWN { PgType::new(oid::TEXT) } else { c.ty };
        let types: Vec<PgType> = query.columns.iter().map(text).collect();
        self.cast_columns(query, &types, "SELECT", &[])
    }

    /// Converts a query's columns implicitly; unknown literals are read where they stand.
    pub(super) fn cast_columns(
        &mut self,
        mut query: Query,
        types: &[PgType],
        construct: &str,
        places: &[Option<u32>],
    ) -> Result<Query> {
        let place = |i: usize, e: Error| match (e.fields().position, places.get(i)) {
            (None, Some(pos)) => e.at(*pos),
            _ => e,
        };
        for (i, ty) in types.iter().enumerate() {
            let column = &query.columns[i];
            if column.ty.oid == oid::UNKNOWN {
                let id = column.id;
                self.settle_column(&mut query.rel, id, *ty).map_err(|e| place(i, e))?;
                for c in query.columns.iter_mut().filter(|c| c.id == id && c.ty.oid == oid::UNKNOWN) {
                    c.ty = *ty;
                }
            }
        }
        let mut exprs: Vec<(ColId, Expr)> = Vec::new();
        let mut changed = false;
        for (i, (column, ty)) in query.columns.iter_mut().zip(types).enumerate() {
            let value = Expr::Column { id: column.id, ty: column.ty };
            let source = column.ty;
            let cast = self.coerce(Typed::new(value, None), *ty, CastContext::Implicit)?.ok_or_else(|| {
                let (s, t) = (source.sql_name(), ty.sql_name());
                place(i, Error::new(SqlState::CANNOT_COERCE, format!("{construct} could not convert type {s} to {t}")))
            })?;
            if let Expr::Column { id, .. } = cast.expr {
                // The same form under another name needs no operator.
                column.ty = *ty;
                if !exprs.iter().any(|(known, _)| *known == id) {
                    exprs.push((id, Expr::Column { id, ty: source }));
                }
                continue;
            }
            changed = true;
            column.id = self.new_column();
            column.ty = *ty;
            column.origin = None;
            exprs.push((column.id, cast.expr));
        }
        if changed {
            // Sort columns that are not shown may be lost: nothing above needs them.
            query.rel = Rel::Project { input: Box::new(query.rel), exprs };
        }
        Ok(query)
    }

    /// Gives the expression behind an unknown column a type.
    fn settle_column(&mut self, rel: &mut Rel, id: ColId, ty: PgType) -> Result<()> {
        let settle = |b: &mut Self, e: &mut Expr| -> Result<()> {
            if e.ty().oid == oid::UNKNOWN {
                let value = Typed::new(e.clone(), None);
                if let Some(v) = b.coerce(value, ty, CastContext::Implicit)? {
                    *e = v.expr;
                }
            }
            Ok(())
        };
        match rel {
            Rel::Project { exprs, .. } if exprs.iter().any(|(c, e)| *c == id && !matches!(e, Expr::Column { .. })) => {
                for (_, e) in exprs.iter_mut().filter(|(c, _)| *c == id) {
                    settle(self, e)?;
                }
                Ok(())
            }
            Rel::Project { input, exprs } => {
                let mut from = Vec::new();
                for (c, e) in exprs.iter_mut() {
                    if let (true, Expr::Column { id: inner, ty: t }) = (*c == id, e) {
                        *t = ty;
                        from.push(*inner);
                    }
                }
                from.into_iter().try_for_each(|inner| self.settle_column(input, inner, ty))
            }
            Rel::Values { columns, rows } => {
                let Some(at) = columns.iter().position(|c| c.id == id) else { return Ok(()) };
                columns[at].ty = ty;
                rows.iter_mut().try_for_each(|r| settle(self, &mut r[at]))
            }
            Rel::Filter { input, .. }
            | Rel::Sort { input, .. }
            | Rel::Limit { input, .. }
            | Rel::Distinct { input, .. }
            | Rel::Lock { input, .. } => self.settle_column(input, id, ty),
            Rel::With { body, .. } => self.settle_column(body, id, ty),
            _ => Ok(()),
        }
    }

    /// ORDER BY of a query that is no plain SELECT: output names and ordinals only.
    fn ordered(&mut self, query: Query, order_by: &[ast::OrderByExpr]) -> Result<Query> {
        if order_by.is_empty() {
            return Ok(query);
        }
        let outputs: Vec<Output> = query
            .columns
            .iter()
            .map(|c| Output { name: c.name.clone(), value: Typed::new(Expr::Column { id: c.id, ty: c.ty }, None) })
            .collect();
        let mut keys: Vec<SortKey> = Vec::new();
        for o in order_by {
            let pos = start(o.expr.span());
            let value = match (ordinal(&o.expr, &outputs, "ORDER BY")?, &o.expr) {
                (Some(v), _) => v,
                (None, ast::Expr::Identifier(i)) => match outputs.iter().find(|c| c.name == fold(i)) {
                    Some(c) => c.value.clone(),
                    None => {
                        let message = format!("column \"{}\" does not exist", fold(i));
                        return Err(Error::new(SqlState::UNDEFINED_COLUMN, message).at(pos));
                    }
                },
                (None, e) => self.values_order(&query.rel, &outputs, e, pos)?,
            };
            self.ordering(&value)?;
            keys.push(sort_key(value.expr, &o.options));
        }
        Ok(Query { rel: Rel::Sort { input: Box::new(query.rel), keys }, columns: query.columns })
    }

    /// VALUES may be ordered by any expression over its columns; set operations may not.
    fn values_order(&mut self, rel: &Rel, outputs: &[Output], e: &ast::Expr, pos: Option<u32>) -> Result<Typed> {
        if !matches!(rel, Rel::Values { .. }) {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                .detail("Only result column names can be used, not expressions or functions.")
                .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                .at(pos));
        }
        let mut level = Level::new(Clause::Values);
        let columns = outputs.iter().filter_map(|o| match o.value.expr {
            Expr::Column { id, ty } => Some(super::from::scope_column(&o.name, id, ty)),
            _ => None,
        });
        level.names.columns = columns.collect();
        self.levels.push(level);
        let value = self.expr(e).and_then(|v| self.resolve_unknown(v));
        self.levels.pop();
        value
    }

    /// LIMIT, OFFSET, FETCH.
    fn limited(&mut self, query: Query, q: &ast::Query) -> Result<Query> {
        let (limit, offset) = match &q.limit_clause {
            None => (None, None),
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                (limit.as_ref(), offset.as_ref().map(|o| &o.value))
            }
            Some(_) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "LIMIT #,# syntax is not supported")
                    .hint("Use separate LIMIT and OFFSET clauses."));
            }
        };
        let with_ties = q.fetch.as_ref().is_some_and(|f| f.with_ties);
        if limit.is_none() && offset.is_none() && q.fetch.is_none() {
            return Ok(query);
        }
        let mut level = Level::new(Clause::Limit);
        if matches!(q.body.as_ref(), SetExpr::Select(_)) {
            // Columns are in sight, though none may be used.
            level.names = std::mem::take(&mut self.shown);
        }
        self.levels.push(level);
        let bound = self.limit_parts(limit, offset, q.fetch.as_ref());
        self.levels.pop();
        let (limit, offset) = bound?;
        if with_ties && !matches!(query.rel, Rel::Sort { .. }) {
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        let rel = Rel::Limit { input: Box::new(query.rel), limit, offset, with_ties };
        Ok(Query { rel, columns: query.columns })
    }

    fn limit_parts(
        &mut self,
        limit: Option<&ast::Expr>,
        offset: Option<&ast::Expr>,
        fetch: Option<&ast::Fetch>,
    ) -> Result<(Option<Expr>, Option<Expr>)> {
        let mut count = match limit {
            Some(e) => self.limit_expr(e, "LIMIT")?,
            None => None,
        };
        if let Some(fetch) = fetch {
            if fetch.percent {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"percent\""));
            }
            count = match &fetch.quantity {
                Some(e) => self.limit_expr(e, "LIMIT")?,
                None => Some(super::coerce::literal(heddle_types::Datum::Int8(1), oid::INT8)),
            };
        }
        let offset = match offset {
            Some(e) => self.limit_expr(e, "OFFSET")?,
            None => None,
        };
        Ok((count, offset))
    }

    /// WITH: each query sees those before it; with RECURSIVE also itself.
    pub(super) fn ctes(&mut self, with: &ast::With) -> Result<Vec<Cte>> {
        let first = self.ctes.len();
        let top = self.levels.is_empty() && self.cte_depth == 0;
        let mut ctes = Vec::new();
        for cte in &with.cte_tables {
            let (name, pos) = (fold(&cte.alias.name), start(cte.alias.name.span));
            if self.ctes[first..].iter().any(|c| c.name == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(Error::new(SqlState::DUPLICATE_ALIAS, message).at(pos));
            }
            // A WITH query sees no columns of the query it stands in while FROM is bound, but outer levels as any sub-query.
            if super::with::modifies(&cte.query) {
                let entry = self.cte_change(cte, &name, &ctes, top, pos)?;
                self.ctes.push(entry);
                continue;
            }
            self.cte_depth += 1;
            let bound = self.cte_query(cte, &name, with.recursive, pos);
            self.cte_depth -= 1;
            let (bound, entry) = bound?;
            self.ctes.push(entry);
            ctes.push(bound);
        }
        Ok(ctes)
    }

    fn cte_query(&mut self, cte: &ast::Cte, name: &str, recursive: bool, pos: Option<u32>) -> Result<(Cte, CteEntry)> {
        let id = self.new_cte();
        if let (true, SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right }) =
            (recursive, cte.query.body.as_ref())
        {
            let base = self.set_expr(left, true)?;
            let base = self.settle(base)?;
            let entry = CteEntry {
                name: name.to_owned(),
                id,
                columns: cte_columns(&base.columns, cte, name, pos)?,
                readable: true,
                used: 0,
            };
            let all = *set_quantifier == SetQuantifier::All;
            if let Some(result) = self.recursive_term(cte, base, Recursive { entry, all }, right)? {
                return Ok(result);
            }
        }
        let query = self.query(&cte.query)?;
        let columns = cte_columns(&query.columns, cte, name, pos)?;
        let entry = CteEntry { name: name.to_owned(), id, columns, readable: true, used: 0 };
        Ok((Cte { id, query: Box::new(query), recursive: None }, entry))
    }

    /// Binds the second term; `None` when it does not refer to the CTE at all.
    fn recursive_term(
        &mut self,
        cte: &ast::Cte,
        base: Query,
        r: Recursive,
        right: &SetExpr,
    ) -> Result<Option<(Cte, CteEntry)>> {
        self.ctes.push(r.entry.clone());
        let term = self.set_expr(right, true);
        let entry = self.ctes.pop().expect("pushed above");
        let term = term?;
        if entry.used == 0 {
            return Ok(None);
        }
        if cte.query.order_by.is_some() || cte.query.limit_clause.is_some() {
            let what = if cte.query.order_by.is_some() { "ORDER BY" } else { "LIMIT" };
            let message = format!("{what} in a recursive query is not implemented");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let name = &r.entry.name;
        if term.columns.len() != base.columns.len() {
            let message = "each UNION query must have the same number of columns";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message));
        }
        for (i, (b, t)) in base.columns.iter().zip(&term.columns).enumerate() {
            let common = super::coerce::common_type(&[(b.ty, None), (t.ty, None)]).map_err(|(a, b, _)| {
                let message = format!("UNION types {} and {} cannot be matched", a.sql_name(), b.sql_name());
                Error::new(SqlState::DATATYPE_MISMATCH, message)
            })?;
            if common.oid != b.ty.oid {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    i + 1,
                    b.ty.sql_name(),
                    common.sql_name()
                );
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                    .hint("Cast the output of the non-recursive term to the correct type."));
            }
        }
        let types: Vec<PgType> = base.columns.iter().map(|c| c.ty).collect();
        let term = self.cast_columns(term, &types, "UNION", &[])?;
        let bound = Cte { id: entry.id, query: Box::new(base), recursive: Some((Box::new(term), r.all)) };
        Ok(Some((bound, CteEntry { used: 0, ..entry })))
    }
}

pub(super) fn cte_columns(
    columns: &[OutputColumn],
    cte: &ast::Cte,
    name: &str,
    pos: Option<u32>,
) -> Result<Vec<(String, PgType)>> {
    let aliases = &cte.alias.columns;
    if aliases.len() > columns.len() {
        let message = format!(
            "WITH query \"{name}\" has {} columns available but {} columns specified",
            columns.len(),
            aliases.len()
        );
        return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(pos));
    }
    let named =
        |(i, c): (usize, &OutputColumn)| (aliases.get(i).map_or_else(|| c.name.clone(), |a| fold(&a.name)), c.ty);
    Ok(columns.iter().enumerate().map(named).collect())
}

fn order_expressions(q: &ast::Query) -> Result<&[ast::OrderByExpr]> {
    match &q.order_by {
        None => Ok(&[]),
        Some(o) => match &o.kind {
            OrderByKind::Expressions(e) if o.interpolate.is_none() && e.iter().all(|o| o.with_fill.is_none()) => Ok(e),
            _ => Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error in ORDER BY")),
        },
    }
}

fn refuse_foreign(q: &ast::Query) -> Result<()> {
    if q.for_clause.is_some() || q.settings.is_some() || q.format_clause.is_some() || !q.pipe_operators.is_empty() {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at end of query"));
    }
    Ok(())
}
