//! Expressions: AST to bound tree, node by node.

use super::coerce::{common_type, element_of, literal};
use super::names::start;
use super::record::Row;
use super::scope::Clause;
use super::{Binder, Typed};
use crate::bound::Expr;
use crate::function::CastContext;
use heddle_types::{Datum, Error, Numeric, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator, Value};

/// Stack kept free before a nested expression, and the size of the next piece.
const RED_ZONE: usize = 512 << 10;
const STACK: usize = 8 << 20;

pub(super) fn boolean(expr: Expr, pos: Option<u32>) -> Typed {
    Typed::new(expr, pos)
}

pub(super) fn not(e: Expr) -> Expr {
    Expr::Not(Box::new(e))
}

/// The expression inside brackets.
pub(super) fn unnested(mut e: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = e {
        e = inner;
    }
    e
}

/// Whole rows as pairs of their fields.
fn by_field(pairs: Vec<(Typed, Typed)>) -> Vec<(Typed, Typed)> {
    let mut out = Vec::new();
    for (a, b) in pairs {
        match (Row::of(&a.expr), Row::of(&b.expr)) {
            (Some(x), Some(y)) if x.fields.len() == y.fields.len() => {
                let field = |e: &Expr, pos| Typed::new(e.clone(), pos);
                out.extend(x.fields.iter().zip(y.fields).map(|(p, q)| (field(p, a.pos), field(q, b.pos))));
            }
            _ => out.push((a, b)),
        }
    }
    out
}

/// Elements of `(a, b)` or `ROW(a, b)`.
pub(super) fn row_elements(e: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match unnested(e) {
        ast::Expr::Tuple(v) => Some(v.iter().collect()),
        ast::Expr::Function(f) if f.name.to_string().eq_ignore_ascii_case("row") => match &f.args {
            ast::FunctionArguments::List(l) => l
                .args
                .iter()
                .map(|a| match a {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e)) => Some(e),
                    _ => None,
                })
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

impl Binder<'_> {
    /// Binds an expression; unknown literals stay unknown.
    pub(super) fn expr(&mut self, e: &ast::Expr) -> Result<Typed> {
        stacker::maybe_grow(RED_ZONE, STACK, || self.expr_inner(e))
    }

    /// Binds a condition of `construct` (`WHERE`).
    pub(super) fn condition(&mut self, e: &ast::Expr, construct: &str) -> Result<Expr> {
        let value = self.expr(e)?;
        Ok(self.boolean(value, construct)?.expr)
    }

    fn expr_inner(&mut self, e: &ast::Expr) -> Result<Typed> {
        use ast::Expr as A;
        match e {
            A::Nested(e) => self.expr(e),
            A::Identifier(i) if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default") => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "DEFAULT is not allowed in this context").at(start(i.span)))
            }
            A::Identifier(i) => match value_word(i) {
                Some(function) => self.scalar_call(function, Vec::new(), start(i.span)),
                None => self.column(i),
            },
            A::CompoundIdentifier(parts) => self.compound(parts),
            A::Value(v) => self.value(v),
            A::BinaryOp { left, op, right } => self.binary(left, op, right),
            A::UnaryOp { op, expr } => self.unary(op, expr),
            A::Cast { kind: ast::CastKind::Cast | ast::CastKind::DoubleColon, expr, data_type, .. } => {
                self.cast_expr(expr, data_type)
            }
            A::TypedString(t) => self.typed_string(t),
            A::Interval(i) => self.interval(i),
            A::IsNull(e) => self.is_null(e, false),
            A::IsNotNull(e) => self.is_null(e, true),
            A::IsTrue(e) => self.is_bool(e, Some(true), false, "IS TRUE"),
            A::IsNotTrue(e) => self.is_bool(e, Some(true), true, "IS NOT TRUE"),
            A::IsFalse(e) => self.is_bool(e, Some(false), false, "IS FALSE"),
            A::IsNotFalse(e) => self.is_bool(e, Some(false), true, "IS NOT FALSE"),
            A::IsUnknown(e) => self.is_bool(e, None, false, "IS UNKNOWN"),
            A::IsNotUnknown(e) => self.is_bool(e, None, true, "IS NOT UNKNOWN"),
            A::IsDistinctFrom(a, b) => self.distinct(a, b, true),
            A::IsNotDistinctFrom(a, b) => self.distinct(a, b, false),
            A::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            A::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated),
            A::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            A::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(if *negated { "!~~" } else { "~~" }, expr, pattern, escape_char.as_ref())
            }
            A::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(if *negated { "!~~*" } else { "~~*" }, expr, pattern, escape_char.as_ref())
            }
            A::Like { negated, any: true, expr, pattern, escape_char: None } => {
                self.quantified(expr, if *negated { "!~~" } else { "~~" }, pattern, false)
            }
            A::ILike { negated, any: true, expr, pattern, escape_char: None } => {
                self.quantified(expr, if *negated { "!~~*" } else { "~~*" }, pattern, false)
            }
            A::SimilarTo { negated, expr, pattern, escape_char } => {
                self.similar(*negated, expr, pattern, escape_char.as_ref())
            }
            A::AnyOp { left, compare_op, right, .. } => self.quantified(left, &compare_op.to_string(), right, false),
            A::AllOp { left, compare_op, right } => self.quantified(left, &compare_op.to_string(), right, true),
            A::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), start(e.span()))
            }
            A::Array(a) => self.array(a, None),
            A::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            A::Function(f) => self.function(f),
            A::Exists { subquery, negated } => self.exists(subquery, *negated),
            A::Subquery(q) => self.scalar_subquery(q),
            A::Collate { expr, collation } => self.collate(expr, collation),
            A::Tuple(elements) => self.row_value(elements.iter().collect(), start(e.span())),
            A::QualifiedWildcard(name, _) => self.qualified_row(name),
            A::AtTimeZone { .. }
            | A::Extract { .. }
            | A::Ceil { .. }
            | A::Floor { .. }
            | A::Position { .. }
            | A::Substring { .. }
            | A::Trim { .. }
            | A::Overlay { .. } => self.special(e),
            other => {
                Err(Error::unsupported(format!("this expression: {}", shorten(&other.to_string()))).at(start(e.span())))
            }
        }
    }

    fn value(&mut self, v: &ast::ValueWithSpan) -> Result<Typed> {
        let pos = start(v.span);
        let expr = match &v.value {
            Value::Number(text, _) => number(text).map_err(|e| e.at(pos))?,
            Value::Null => literal(Datum::Null, oid::UNKNOWN),
            Value::Boolean(b) => literal(Datum::Bool(*b), oid::BOOL),
            Value::Placeholder(name) => self.placeholder(name).map_err(|e| e.at(pos))?,
            other => match string_constant(other) {
                Some(text) if text.contains('\0') => {
                    return Err(Error::new(
                        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                        "invalid byte sequence for encoding \"UTF8\": 0x00",
                    ));
                }
                Some(text) => literal(Datum::text(text), oid::UNKNOWN),
                None => return Err(Error::unsupported(format!("the literal {other}")).at(pos)),
            },
        };
        Ok(Typed::new(expr, pos))
    }

    fn placeholder(&mut self, name: &str) -> Result<Expr> {
        let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        match number {
            // COPY has no parameters.
            Some(n) if (1..=65_535).contains(&n) && self.level().clause != Clause::CopyWhere => {
                let ty = self.param(n - 1).unwrap_or(PgType::new(oid::UNKNOWN));
                Ok(Expr::Param { index: n - 1, ty })
            }
            Some(_) => Err(Error::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))),
            None => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{name}\""))),
        }
    }

    fn binary(&mut self, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr) -> Result<Typed> {
        match op {
            BinaryOperator::And => return self.chain(left, right, true),
            BinaryOperator::Or => return self.chain(left, right, false),
            BinaryOperator::Overlaps => return self.overlaps(left, right),
            _ => {}
        }
        let name = operator_name(op);
        if row_elements(left).is_some() || row_elements(right).is_some() {
            let pos = self.after(left);
            let width = row_elements(left).or_else(|| row_elements(right)).map_or(0, |r| r.len());
            if let (Some(a), Some(b)) = (self.row_fields(left, width)?, self.row_fields(right, width)?) {
                return self.row_comparison(a, &name, b, pos);
            }
        }
        let a = self.expr(left)?;
        let b = self.expr(right)?;
        let pos = self.after(left);
        if let (Some(x), Some(y)) = (Row::of(&a.expr), Row::of(&b.expr)) {
            let fields = |r: Row<'_>, pos| r.fields.iter().map(|f| Typed::new(f.clone(), pos)).collect();
            return self.row_comparison(fields(x, a.pos), &name, fields(y, b.pos), pos);
        }
        // `x = NULL` keeps its meaning; nothing to rewrite (transform_null_equals is off).
        self.operator(&name, a, b, pos)
    }

    /// AND or OR: a chain of any length becomes one node.
    fn chain(&mut self, left: &ast::Expr, right: &ast::Expr, and: bool) -> Result<Typed> {
        let wanted = if and { BinaryOperator::And } else { BinaryOperator::Or };
        let mut operands = vec![right];
        let mut rest = left;
        while let ast::Expr::BinaryOp { left, op, right } = rest {
            if *op != wanted {
                break;
            }
            operands.push(right);
            rest = left;
        }
        operands.push(rest);
        let name = if and { "AND" } else { "OR" };
        let mut parts = Vec::with_capacity(operands.len());
        let mut pos = None;
        for e in operands.into_iter().rev() {
            let value = self.expr(e)?;
            pos = pos.or(value.pos);
            parts.push(self.boolean(value, name)?.expr);
        }
        Ok(boolean(if and { Expr::And(parts) } else { Expr::Or(parts) }, pos))
    }

    fn unary(&mut self, op: &UnaryOperator, e: &ast::Expr) -> Result<Typed> {
        let pos = start(e.span()).map(|p| self.places.prefix(Some(p)).unwrap_or(p.saturating_sub(1).max(1)));
        match op {
            UnaryOperator::Not => {
                let value = self.expr(e)?;
                let value = self.boolean(value, "NOT")?;
                Ok(boolean(not(value.expr), pos))
            }
            UnaryOperator::Minus => {
                if let ast::Expr::Value(ast::ValueWithSpan { value: Value::Number(text, _), .. }) = e {
                    return Ok(Typed::new(number(&format!("-{text}")).map_err(|e| e.at(pos))?, pos));
                }
                let value = self.expr(e)?;
                self.prefix_operator("-", value, pos)
            }
            UnaryOperator::PGPostfixFactorial => Err(Error::unsupported("the operator !").at(pos)),
            other => {
                let name = match other {
                    UnaryOperator::Plus => "+".to_owned(),
                    UnaryOperator::BitwiseNot => "~".to_owned(),
                    other => other.to_string(),
                };
                let value = self.expr(e)?;
                self.prefix_operator(&name, value, pos)
            }
        }
    }

    fn cast_expr(&mut self, e: &ast::Expr, data_type: &ast::DataType) -> Result<Typed> {
        let pos = start(e.span());
        let target = super::types::resolve_type(data_type).map_err(|err| err.at(self.after(e)))?;
        // ARRAY[]::int[] and ARRAY['1']::int[] bind their elements to the target's.
        if let (ast::Expr::Array(a), Some(_)) = (unnested(e), target.element()) {
            return self.array(a, Some(target));
        }
        let value = self.expr(e)?;
        let at = value.pos;
        let mut value = self.cast(value, target, self.after(e))?;
        value.pos = at.or(pos);
        Ok(value)
    }

    fn typed_string(&mut self, t: &ast::TypedString) -> Result<Typed> {
        let target = super::types::resolve_type(&t.data_type).map_err(|e| e.at(start(t.value.span)))?;
        let value = self.value(&t.value)?;
        self.cast(value, target, None)
    }

    fn interval(&mut self, i: &ast::Interval) -> Result<Typed> {
        let target = super::special::interval_type(i)?;
        let value = self.expr(&i.value)?;
        if !matches!(value.expr, Expr::Literal { value: Datum::Text(_), .. }) {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"interval\"").at(value.pos));
        }
        self.cast(value, target, None)
    }

    fn is_null(&mut self, e: &ast::Expr, negated: bool) -> Result<Typed> {
        if let Some(elements) = row_elements(e) {
            // A row is NULL when all its fields are, NOT NULL when none is.
            let mut parts = Vec::new();
            for e in elements {
                parts.push(self.is_null(e, negated)?.expr);
            }
            let pos = start(e.span());
            return Ok(boolean(super::walk::all_of(parts).unwrap_or(literal(Datum::Bool(true), oid::BOOL)), pos));
        }
        let value = self.expr(e)?;
        let pos = value.pos;
        if let Some(row) = Row::of(&value.expr) {
            let test = |e: &Expr| Expr::IsNull(Box::new(e.clone()));
            let parts = row.fields.iter().map(|e| if negated { not(test(e)) } else { test(e) }).collect();
            return Ok(boolean(super::walk::all_of(parts).unwrap_or(literal(Datum::Bool(true), oid::BOOL)), pos));
        }
        if let (Expr::Param { index, .. }, true) = (&value.expr, value.is_unknown()) {
            self.untyped_uses.push((*index, pos));
            return Ok(boolean(Expr::IsNull(Box::new(value.expr)), pos));
        }
        let value = self.resolve_unknown(value)?;
        let test = Expr::IsNull(Box::new(value.expr));
        Ok(boolean(if negated { not(test) } else { test }, pos))
    }

    fn is_bool(&mut self, e: &ast::Expr, wanted: Option<bool>, negated: bool, construct: &str) -> Result<Typed> {
        let value = self.expr(e)?;
        let value = self.boolean(value, construct)?;
        let pos = value.pos;
        let test = match wanted {
            None => Expr::IsNull(Box::new(value.expr)),
            Some(b) => Expr::NotDistinct(Box::new(value.expr), Box::new(literal(Datum::Bool(b), oid::BOOL))),
        };
        Ok(boolean(if negated { not(test) } else { test }, pos))
    }

    fn distinct(&mut self, a: &ast::Expr, b: &ast::Expr, negated: bool) -> Result<Typed> {
        let pos = self.after(a);
        let mut pairs = Vec::new();
        match (row_elements(a), row_elements(b)) {
            (Some(x), Some(y)) => {
                for (a, b) in self.paired(x, y, pos)? {
                    pairs.push((self.expr(a)?, self.expr(b)?));
                }
            }
            _ => pairs.push((self.expr(a)?, self.expr(b)?)),
        }
        let mut parts = Vec::new();
        for (a, b) in by_field(pairs) {
            // Resolving `=` finds both the error and the common type.
            let op = self.resolve_operator("=", a.oid(), b.oid(), pos)?;
            let common = self.comparison_type(op.left, op.right);
            let (x, y) = (self.coerce_implicit(a, common)?, self.coerce_implicit(b, common)?);
            parts.push(Expr::NotDistinct(Box::new(x.expr), Box::new(y.expr)));
        }
        let test = super::walk::all_of(parts).expect("at least one pair");
        Ok(boolean(if negated { not(test) } else { test }, pos))
    }

    /// One type for both sides of a cross-type equality.
    fn comparison_type(&self, left: PgType, right: PgType) -> PgType {
        common_type(&[(left, None), (right, None)]).unwrap_or(left)
    }

    fn paired<'e>(
        &self,
        x: Vec<&'e ast::Expr>,
        y: Vec<&'e ast::Expr>,
        pos: Option<u32>,
    ) -> Result<Vec<(&'e ast::Expr, &'e ast::Expr)>> {
        if x.len() != y.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions").at(pos));
        }
        if x.is_empty() {
            let message = "cannot compare rows of zero length";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        Ok(x.into_iter().zip(y).collect())
    }

    fn row_comparison(&mut self, left: Vec<Typed>, name: &str, right: Vec<Typed>, pos: Option<u32>) -> Result<Typed> {
        if left.len() != right.len() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "unequal number of entries in row expressions").at(pos));
        }
        let pairs: Vec<(Typed, Typed)> = left.into_iter().zip(right).collect();
        match name {
            "=" | "<>" => {
                let mut parts = Vec::new();
                for (a, b) in pairs {
                    parts.push(self.operator(name, a, b, pos)?.expr);
                }
                let single = parts.len() == 1;
                let test = match (name, single) {
                    (_, true) => parts.remove(0),
                    ("=", _) => Expr::And(parts),
                    _ => Expr::Or(parts),
                };
                Ok(boolean(test, pos))
            }
            "<" | "<=" | ">" | ">=" => self.row_order(pairs, name, pos),
            _ => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("could not determine interpretation of row comparison operator {name}"),
            )
            .at(pos)),
        }
    }

    /// The fields of one side of a comparison of rows.
    fn row_fields(&mut self, e: &ast::Expr, width: usize) -> Result<Option<Vec<Typed>>> {
        if let Some(elements) = row_elements(e) {
            return elements.into_iter().map(|e| self.expr(e)).collect::<Result<Vec<_>>>().map(Some);
        }
        if let ast::Expr::Subquery(q) = unnested(e) {
            return self.subquery_fields(q, width).map(Some);
        }
        let value = self.expr(e)?;
        let fields = Row::of(&value.expr).map(|r| r.fields.iter().map(|f| Typed::new(f.clone(), value.pos)).collect());
        Ok(fields)
    }

    /// (a, b) < (c, d): a < c OR (a = c AND b < d); the last pair takes the operator as written.
    fn row_order(&mut self, pairs: Vec<(Typed, Typed)>, name: &str, pos: Option<u32>) -> Result<Typed> {
        let strict = &name[..1];
        let mut test: Option<Expr> = None;
        let count = pairs.len();
        for (i, (x, y)) in pairs.into_iter().enumerate().rev() {
            let last = i + 1 == count;
            let order = self.operator(if last { name } else { strict }, x.clone(), y.clone(), pos)?.expr;
            test = Some(match test {
                None => order,
                Some(rest) => {
                    let equal = self.operator("=", x, y, pos)?.expr;
                    Expr::Or(vec![order, Expr::And(vec![equal, rest])])
                }
            });
        }
        Ok(boolean(test.expect("at least one pair"), pos))
    }

    fn in_list(&mut self, e: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let pos = self.after(e);
        if row_elements(e).is_some() {
            return self.row_in_list(e, list, negated);
        }
        let left = self.expr(e)?;
        let at = left.pos;
        let items = list.iter().map(|i| self.expr(i)).collect::<Result<Vec<_>>>()?;
        let types: Vec<_> = std::iter::once(&left).chain(&items).map(|v| (v.ty(), v.pos)).collect();
        // The list alone decides its type when it can; the operator then relates it to the left side.
        let test = match common_type(&types) {
            Ok(common) => {
                let op = self.resolve_operator("=", left.oid(), common.oid, pos)?;
                let (left_ty, item_ty) = (op.left, op.right);
                let expr = Box::new(self.operand(left, left_ty)?);
                let list = items
                    .into_iter()
                    .map(|v| {
                        let v = self.coerce_implicit(v, common)?;
                        self.operand(v, item_ty)
                    })
                    .collect::<Result<Vec<_>>>()?;
                match <[Expr; 1]>::try_from(list) {
                    Ok([single]) => {
                        let call = crate::bound::Call { func: op.func, args: vec![*expr, single], ty: op.ty };
                        Expr::Call(call)
                    }
                    Err(list) => Expr::InList { expr, list, equals: op.func },
                }
            }
            Err(_) => {
                let mut parts = Vec::new();
                for item in items {
                    parts.push(self.operator("=", left.clone(), item, pos)?.expr);
                }
                if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) }
            }
        };
        Ok(boolean(if negated { not(test) } else { test }, at))
    }

    fn row_in_list(&mut self, e: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let (pos, width) = (self.after(e), row_elements(e).map_or(0, |r| r.len()));
        let mut parts = Vec::new();
        for item in list {
            let Some((left, right)) = self.row_fields(e, width)?.zip(self.row_fields(item, width)?) else {
                let message = "unequal number of entries in row expressions";
                return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(start(item.span())));
            };
            parts.push(self.row_comparison(left, "=", right, pos)?.expr);
        }
        let test = if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts) };
        Ok(boolean(if negated { not(test) } else { test }, start(e.span())))
    }

    fn between(&mut self, e: &ast::Expr, negated: bool, low: &ast::Expr, high: &ast::Expr) -> Result<Typed> {
        let pos = self.after(e);
        let symmetric = super::special::without_symmetric(low);
        let low = symmetric.as_ref().unwrap_or(low);
        let test = self.between_once(e, low, high, pos)?;
        let test = match symmetric {
            Some(_) => Expr::Or(vec![test, self.between_once(e, high, low, pos)?]),
            None => test,
        };
        Ok(boolean(if negated { not(test) } else { test }, pos))
    }

    fn between_once(&mut self, e: &ast::Expr, low: &ast::Expr, high: &ast::Expr, pos: Option<u32>) -> Result<Expr> {
        if let Some(width) = row_elements(e).map(|r| r.len()) {
            let mut parts = Vec::new();
            for (name, bound) in [(">=", low), ("<=", high)] {
                let Some((left, right)) = self.row_fields(e, width)?.zip(self.row_fields(bound, width)?) else {
                    let message = "unequal number of entries in row expressions";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
                };
                parts.push(self.row_comparison(left, name, right, pos)?.expr);
            }
            return Ok(Expr::And(parts));
        }
        let value = self.expr(e)?;
        let low = self.expr(low)?;
        let from = self.operator(">=", value.clone(), low, pos)?.expr;
        // A parameter may have got its type from the first comparison.
        let value = if value.is_unknown() { self.expr(e)? } else { value };
        let high = self.expr(high)?;
        let to = self.operator("<=", value, high, pos)?.expr;
        Ok(Expr::And(vec![from, to]))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
        pos: Option<u32>,
    ) -> Result<Typed> {
        let operand = match operand {
            Some(e) => {
                let value = self.expr(e)?;
                Some(self.resolve_unknown(value)?)
            }
            None => None,
        };
        let (mut tests, mut results) = (Vec::new(), Vec::new());
        for when in conditions {
            let condition = self.expr(&when.condition)?;
            let at = condition.pos;
            let test = match &operand {
                Some(operand) => self.operator("=", operand.clone(), condition, at)?,
                None => condition,
            };
            tests.push(self.boolean(test, "CASE/WHEN")?.expr);
            results.push(self.expr(&when.result)?);
        }
        let default = match otherwise {
            Some(e) => self.expr(e)?,
            None => Typed::new(literal(Datum::Null, oid::UNKNOWN), None),
        };
        // PostgreSQL looks at ELSE first.
        let mut all = vec![default];
        all.extend(results);
        let (mut all, ty) = self.unify(all, "CASE")?;
        let results = all.split_off(1);
        let otherwise = Box::new(all.pop().expect("ELSE is first").expr);
        let branches: Vec<_> = tests.into_iter().zip(results.into_iter().map(|r| r.expr)).collect();
        super::constant::check_case(&branches, &otherwise, self.ctx)?;
        Ok(Typed::new(Expr::Case { branches, otherwise, ty }, pos))
    }

    /// ARRAY[…]; nested constructors and array-valued elements make more dimensions.
    fn array(&mut self, a: &ast::Array, target: Option<PgType>) -> Result<Typed> {
        let pos = a.elem.first().and_then(|e| start(e.span()));
        if !a.named {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"[\"").at(pos));
        }
        if let Some(target) = target {
            return self.array_of(a, target);
        }
        if a.elem.is_empty() {
            return Err(Error::new(SqlState::INDETERMINATE_DATATYPE, "cannot determine type of empty array")
                .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
                .at(pos));
        }
        let elements = a
            .elem
            .iter()
            .map(|e| match e {
                ast::Expr::Array(inner) if !inner.named => {
                    self.array(&ast::Array { named: true, elem: inner.elem.clone() }, None)
                }
                e => self.expr(e),
            })
            .collect::<Result<Vec<_>>>()?;
        let (elements, ty) = self.unify(elements, "ARRAY")?;
        let ty = array_type(ty, pos)?;
        Ok(Typed::new(Expr::Array { elements: elements.into_iter().map(|e| e.expr).collect(), ty }, pos))
    }

    fn array_of(&mut self, a: &ast::Array, target: PgType) -> Result<Typed> {
        let elem = target.element().expect("an array type");
        let mut elements = Vec::new();
        for e in &a.elem {
            let nested = match unnested(e) {
                ast::Expr::Array(inner) => Some(inner),
                _ => None,
            };
            elements.push(match nested {
                Some(inner) => {
                    let inner = ast::Array { named: true, elem: inner.elem.clone() };
                    self.array_of(&inner, target)?.expr
                }
                None => {
                    let value = self.expr(e)?;
                    let to = if element_of(value.oid()).is_some() { target } else { elem };
                    self.cast(value, to, None)?.expr
                }
            });
        }
        let pos = a.elem.first().and_then(|e| start(e.span()));
        Ok(Typed::new(Expr::Array { elements, ty: target }, pos))
    }

    fn collate(&mut self, e: &ast::Expr, collation: &ast::ObjectName) -> Result<Typed> {
        let value = self.expr(e)?;
        let value = self.resolve_unknown(value)?;
        let pos = self.after(e);
        let name = super::names::parts(collation)?.pop().unwrap_or_default();
        if !super::coerce::is_string(value.oid()) {
            let message = format!("collations are not supported by type {}", value.ty().sql_name());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(pos));
        }
        match name.as_str() {
            // The default order is byte order.
            "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8" => Ok(value),
            _ if name.contains(['_', '-']) => {
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, format!("collation \"{name}\" is not supported"))
                    .at(pos))
            }
            _ => {
                let message = format!("collation \"{name}\" for encoding \"UTF8\" does not exist");
                Err(Error::new(SqlState::UNDEFINED_OBJECT, message).at(pos))
            }
        }
    }

    /// Binds an expression that must not see any column, for LIMIT.
    pub(super) fn limit_expr(&mut self, e: &ast::Expr, construct: &str) -> Result<Option<Expr>> {
        if matches!(unnested(e), ast::Expr::Identifier(i) if i.value.eq_ignore_ascii_case("all")) {
            return Ok(None);
        }
        self.within(Clause::Limit, |b| {
            let value = b.expr(e)?;
            // Those of this very query; a sub-query has them as outer ones.
            let here = b.level().names.ids();
            let mut outer = std::collections::BTreeMap::new();
            crate::eval::visit::outers(&value.expr, &mut outer);
            let uses_columns = super::walk::any(&value.expr, &mut |e| matches!(e, Expr::Column { .. }))
                || outer.keys().any(|id| here.contains(id));
            if uses_columns {
                let message = format!("argument of {construct} must not contain variables");
                return Err(Error::new(SqlState::INVALID_COLUMN_REFERENCE, message).at(value.pos));
            }
            Ok(Some(b.must_be(value, oid::INT8, construct)?.expr))
        })
    }

    /// Assigns to a column: an assignment cast, with PostgreSQL's message when there is none.
    ///
    /// # Errors
    /// `42804`
    pub(super) fn assign(&mut self, value: Typed, name: &str, ty: PgType) -> Result<Expr> {
        let (source, pos) = (value.ty(), value.pos);
        match self.coerce(value, ty, CastContext::Assignment)? {
            Some(v) => Ok(v.expr),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{name}\" is of type {} but expression is of type {}",
                    PgType::new(ty.oid).sql_name(),
                    PgType::new(source.oid).sql_name()
                ),
            )
            .hint("You will need to rewrite or cast the expression.")
            .at(pos)),
        }
    }
}

/// The array over an element type; an array of arrays is the same array with one more dimension.
pub(super) fn array_type(elem: PgType, pos: Option<u32>) -> Result<PgType> {
    if elem.element().is_some() {
        return Ok(elem);
    }
    elem.array().ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("could not find array type for data type {}", elem.sql_name()))
            .at(pos)
    })
}

/// The function behind a reserved word that sqlparser reads as a column.
fn value_word(i: &ast::Ident) -> Option<&'static str> {
    let words = [
        ("current_schema", "current_schema"),
        ("current_catalog", "current_database"),
        ("current_role", "current_user"),
    ];
    let same = |(w, _): &&(&str, &str)| i.quote_style.is_none() && i.value.eq_ignore_ascii_case(w);
    words.iter().find(same).map(|(_, function)| *function)
}

/// The name under which an operator is looked up.
pub(super) fn operator_name(op: &BinaryOperator) -> String {
    match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        BinaryOperator::NotEq => "<>".into(),
        other => match other.to_string() {
            s if s == "!=" => "<>".into(),
            s => s,
        },
    }
}

/// int4, int8 or numeric, by size and form.
fn number(text: &str) -> Result<Expr> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.starts_with("0x") || digits.starts_with("0X") || digits.contains('_') {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("trailing junk after numeric literal at or near \"{text}\""),
        ));
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(v) = text.parse::<i32>() {
            return Ok(literal(Datum::Int4(v), oid::INT4));
        }
        if let Ok(v) = text.parse::<i64>() {
            return Ok(literal(Datum::Int8(v), oid::INT8));
        }
    }
    Ok(literal(Datum::Numeric(Numeric::parse(text)?), oid::NUMERIC))
}

fn string_constant(v: &Value) -> Option<String> {
    match v {
        Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) | Value::UnicodeStringLiteral(s) => {
            Some(s.clone())
        }
        Value::NationalStringLiteral(s) => Some(s.clone()),
        Value::DollarQuotedString(d) => Some(d.value.clone()),
        _ => None,
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}
