//! SQL's special forms as calls of PostgreSQL's functions: EXTRACT, TRIM, AT TIME ZONE, LIKE … ESCAPE, subscripts.

use super::coerce::{element_of, literal};
use super::expr::{operator_name, unnested};
use super::names::{fold, start};
use super::{Binder, Typed};
use crate::bound::{Call, Expr};
use crate::function;
use heddle_types::{Datum, Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, AccessExpr, Spanned, Subscript, TrimWhereField, UnaryOperator};

impl Binder<'_> {
    /// A special form that is a plain call.
    pub(super) fn special(&mut self, e: &ast::Expr) -> Result<Typed> {
        use ast::Expr as A;
        let pos = start(e.span());
        match e {
            A::AtTimeZone { timestamp, time_zone } => {
                let at = self.after(timestamp);
                let value = self.expr(timestamp)?;
                let zone = self.expr(time_zone)?;
                self.scalar_call("timezone", vec![zone, value], at)
            }
            A::Extract { field, expr, .. } => {
                let name = match field {
                    ast::DateTimeField::Custom(i) => fold(i),
                    other => other.to_string().to_lowercase(),
                };
                let field = Typed::new(literal(Datum::text(name), oid::TEXT), pos);
                let value = self.expr(expr)?;
                self.scalar_call("extract", vec![field, value], pos)
            }
            A::Ceil { expr, field } => self.rounding("ceil", expr, field, pos),
            A::Floor { expr, field } => self.rounding("floor", expr, field, pos),
            A::Position { expr, r#in } => {
                let part = self.expr(expr)?;
                let whole = self.expr(r#in)?;
                self.scalar_call("position", vec![whole, part], pos)
            }
            A::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                let mut args = vec![self.expr(expr)?];
                match (substring_from, substring_for) {
                    (None, Some(_)) => args.push(super::call::int4(1)),
                    (Some(from), _) => args.push(self.expr(from)?),
                    (None, None) => {}
                }
                if let Some(length) = substring_for {
                    args.push(self.expr(length)?);
                }
                self.scalar_call(if *shorthand { "substr" } else { "substring" }, args, pos)
            }
            A::Trim { expr, trim_where, trim_what, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.expr(expr)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(what)?);
                }
                for more in trim_characters.iter().flatten() {
                    args.push(self.expr(more)?);
                }
                self.scalar_call(name, args, pos)
            }
            A::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args = vec![self.expr(expr)?, self.expr(overlay_what)?, self.expr(overlay_from)?];
                if let Some(length) = overlay_for {
                    args.push(self.expr(length)?);
                }
                self.scalar_call("overlay", args, pos)
            }
            other => Err(Error::internal(format!("not a special form: {other}"))),
        }
    }

    fn rounding(&mut self, name: &str, e: &ast::Expr, field: &ast::CeilFloorKind, pos: Option<u32>) -> Result<Typed> {
        match field {
            ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) => {
                let value = self.expr(e)?;
                self.scalar_call(name, vec![value], pos)
            }
            _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{name} takes one argument")).at(pos)),
        }
    }

    /// LIKE and ILIKE; an ESCAPE rewrites the pattern to the default escape.
    pub(super) fn like(
        &mut self,
        name: &str,
        e: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
    ) -> Result<Typed> {
        let pos = self.after(e);
        if let Some((array, all)) = quantified_pattern(pattern) {
            return self.quantified(e, name, array, all);
        }
        let value = self.expr(e)?;
        let mut pattern = self.expr(pattern)?;
        if let Some(escape) = escape {
            let escape = self.expr(&ast::Expr::Value(escape.clone()))?;
            pattern = self.scalar_call("like_escape", vec![pattern, escape], pos)?;
        }
        self.operator(name, value, pattern, pos)
    }

    pub(super) fn similar(
        &mut self,
        negated: bool,
        e: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
    ) -> Result<Typed> {
        let pos = self.after(e);
        let value = self.expr(e)?;
        let mut args = vec![self.expr(pattern)?];
        if let Some(escape) = escape {
            args.push(self.expr(&ast::Expr::Value(escape.clone()))?);
        }
        let pattern = self.scalar_call("similar_to_escape", args, pos)?;
        self.operator(if negated { "!~" } else { "~" }, value, pattern, pos)
    }

    /// `(a, b) OVERLAPS (c, d)`
    pub(super) fn overlaps(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<Typed> {
        let pos = self.after(left);
        let (Some(x), Some(y)) = (super::expr::row_elements(left), super::expr::row_elements(right)) else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"overlaps\"").at(pos));
        };
        if x.len() != 2 || y.len() != 2 {
            let side = if x.len() == 2 { "right" } else { "left" };
            let message = format!("wrong number of parameters on {side} side of OVERLAPS expression");
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(pos));
        }
        let args = x.into_iter().chain(y).map(|e| self.expr(e)).collect::<Result<Vec<_>>>()?;
        self.scalar_call("overlaps", args, pos)
    }

    /// `op ANY (…)` and `op ALL (…)` over an array or a sub-query.
    pub(super) fn quantified(&mut self, left: &ast::Expr, op: &str, right: &ast::Expr, all: bool) -> Result<Typed> {
        let op = if op == "!=" { "<>" } else { op };
        if let ast::Expr::Subquery(q) = unnested(right) {
            return self.quantified_subquery(left, op, q, all);
        }
        let pos = self.after(left);
        let value = self.expr(left)?;
        let array = self.expr(right)?;
        let at = value.pos;
        let element = match element_of(array.oid()) {
            Some(e) => e,
            None if array.is_unknown() => oid::UNKNOWN,
            None => {
                let message = "op ANY/ALL (array) requires array on right side";
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos));
            }
        };
        let resolved = self.resolve_operator(op, value.oid(), element, pos)?;
        if resolved.ty.oid != oid::BOOL {
            let message = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos));
        }
        let expr = Box::new(self.operand(value, resolved.left)?);
        let array_ty = super::expr::array_type(PgType::new(resolved.right.oid), pos)?;
        let array = Box::new(self.operand(array, array_ty)?);
        Ok(Typed::new(Expr::AnyArray { expr, array, op: resolved.func, all }, at))
    }

    /// `a[1]`, `a[1:2]`, `(x).f`
    pub(super) fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> Result<Typed> {
        let pos = start(root.span());
        let mut value = self.expr(root)?;
        let mut chain = chain;
        while let [AccessExpr::Dot(ast::Expr::Identifier(name)), rest @ ..] = chain {
            value = self.row_field(&value, &fold(name), pos)?;
            chain = rest;
        }
        if chain.is_empty() {
            return Ok(value);
        }
        let subscripts = chain
            .iter()
            .map(|a| match a {
                AccessExpr::Subscript(s) => Ok(s),
                AccessExpr::Dot(_) => Err(Error::unsupported("a field of a composite value").at(pos)),
            })
            .collect::<Result<Vec<_>>>()?;
        if value.oid() == oid::JSONB {
            return self.jsonb_subscripts(value, &subscripts);
        }
        let Some(element) = element_of(value.oid()) else {
            let message =
                format!("cannot subscript type {} because it does not support subscripting", value.ty().sql_name());
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(pos));
        };
        let slice = subscripts.iter().any(|s| matches!(s, Subscript::Slice { .. }));
        let mut args = vec![value.expr];
        for s in subscripts {
            self.subscript(s, slice, &mut args)?;
        }
        let ty = args[0].ty();
        let (name, ty) = if slice {
            ("heddle_array_slice", ty)
        } else {
            ("heddle_array_get", PgType::with_typmod(element, ty.typmod))
        };
        let function = function::by_name(name).first().ok_or_else(|| Error::unsupported("an array subscript"))?;
        Ok(Typed::new(Expr::Call(Call { func: function.id, args, ty }), pos))
    }

    /// Pushes one index, or lower and upper bound (the extreme int4 = open; a NULL makes the result NULL) when any subscript is a slice.
    fn subscript(&mut self, s: &Subscript, slice: bool, args: &mut Vec<Expr>) -> Result<()> {
        match s {
            Subscript::Index { index } if slice => {
                // In a slice a lone index n means 1:n.
                args.push(super::call::int4(1).expr);
                args.push(self.index(index)?);
            }
            Subscript::Index { index } => args.push(self.index(index)?),
            Subscript::Slice { lower_bound, upper_bound, .. } => {
                for (bound, open) in [(lower_bound, i32::MIN), (upper_bound, i32::MAX)] {
                    args.push(match bound {
                        Some(e) => self.index(e)?,
                        None => super::call::int4(open).expr,
                    });
                }
            }
        }
        Ok(())
    }

    fn index(&mut self, e: &ast::Expr) -> Result<Expr> {
        let value = self.expr(e)?;
        let (source, pos) = (value.ty(), value.pos);
        match self.coerce(value, PgType::new(oid::INT4), function::CastContext::Assignment)? {
            Some(v) if source.oid == oid::UNKNOWN || !super::coerce::is_string(source.oid) => Ok(v.expr),
            _ => Err(Error::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer").at(pos)),
        }
    }

    /// jsonb subscripts are `->` by text or by integer.
    fn jsonb_subscripts(&mut self, value: Typed, subscripts: &[&Subscript]) -> Result<Typed> {
        let mut value = value;
        for s in subscripts {
            let Subscript::Index { index } = s else {
                let message = "jsonb subscript does not support slices";
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, message).at(value.pos));
            };
            let key = self.expr(index)?;
            let pos = key.pos;
            value = self.operator("->", value, key, pos)?;
        }
        Ok(value)
    }
}

/// `LIKE ANY (array)`: the pattern then is the call `ANY(…)`.
fn quantified_pattern(pattern: &ast::Expr) -> Option<(&ast::Expr, bool)> {
    let ast::Expr::Function(f) = pattern else { return None };
    let all = match f.name.to_string().to_ascii_lowercase().as_str() {
        "any" | "some" => false,
        "all" => true,
        _ => return None,
    };
    match &f.args {
        ast::FunctionArguments::List(l) => match l.args.as_slice() {
            [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e))] => Some((e, all)),
            _ => None,
        },
        _ => None,
    }
}

/// The low bound of BETWEEN SYMMETRIC without the mark that the parser put before it.
pub(super) fn without_symmetric(low: &ast::Expr) -> Option<ast::Expr> {
    match low {
        ast::Expr::UnaryOp { op: UnaryOperator::AtDashAt, expr } => Some((**expr).clone()),
        ast::Expr::BinaryOp { left, op, right } => {
            let left = Box::new(without_symmetric(left)?);
            let _ = operator_name(op);
            Some(ast::Expr::BinaryOp { left, op: op.clone(), right: right.clone() })
        }
        ast::Expr::Cast { kind, expr, data_type, array, format } => Some(ast::Expr::Cast {
            kind: kind.clone(),
            expr: Box::new(without_symmetric(expr)?),
            data_type: data_type.clone(),
            array: *array,
            format: format.clone(),
        }),
        _ => None,
    }
}

/// The type of `interval '…' year to month` and friends.
pub(super) fn interval_type(i: &ast::Interval) -> Result<PgType> {
    use ast::DateTimeField as D;
    use ast::IntervalFields as F;
    let fields = match (&i.leading_field, &i.last_field) {
        (None, _) => None,
        (Some(a), last) => Some(match (a, last) {
            (D::Year | D::Years, None) => F::Year,
            (D::Month | D::Months, None) => F::Month,
            (D::Day | D::Days, None) => F::Day,
            (D::Hour | D::Hours, None) => F::Hour,
            (D::Minute | D::Minutes, None) => F::Minute,
            (D::Second | D::Seconds, None) => F::Second,
            (D::Year, Some(D::Month)) => F::YearToMonth,
            (D::Day, Some(D::Hour)) => F::DayToHour,
            (D::Day, Some(D::Minute)) => F::DayToMinute,
            (D::Day, Some(D::Second)) => F::DayToSecond,
            (D::Hour, Some(D::Minute)) => F::HourToMinute,
            (D::Hour, Some(D::Second)) => F::HourToSecond,
            (D::Minute, Some(D::Second)) => F::MinuteToSecond,
            (a, _) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{a}\"")));
            }
        }),
    };
    Ok(super::types::interval_type(fields, i.fractional_seconds_precision.or(i.leading_precision)))
}
