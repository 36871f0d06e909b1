//! Window frames: bounds and their offsets, and for RANGE the values that the bounds stand for.

use super::Binder;
use super::call::type_name;
use crate::bound::{Exclude, Expr, Frame, FrameBound, FrameUnits, Keyed, SortKey};
use crate::function::CastContext;
use crate::parse::{EXCLUDE_GROUP, EXCLUDE_ROW, EXCLUDE_TIES};
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, WindowFrameBound, WindowFrameUnits};

/// The EXCLUDE that the parser put before PARTITION BY's expressions, and those.
pub(super) fn exclusion(partition: &[ast::Expr]) -> (Exclude, &[ast::Expr]) {
    let Some((ast::Expr::Identifier(first), rest)) = partition.split_first() else {
        return (Exclude::NoOthers, partition);
    };
    match first.value.as_str() {
        EXCLUDE_ROW => (Exclude::CurrentRow, rest),
        EXCLUDE_GROUP => (Exclude::Group, rest),
        EXCLUDE_TIES => (Exclude::Ties, rest),
        _ => (Exclude::NoOthers, partition),
    }
}

impl Binder<'_> {
    pub(super) fn frame(&mut self, f: &ast::WindowFrame, order: &[SortKey]) -> Result<Frame> {
        let units = match f.units {
            WindowFrameUnits::Rows => FrameUnits::Rows,
            WindowFrameUnits::Range => FrameUnits::Range,
            WindowFrameUnits::Groups => FrameUnits::Groups,
        };
        let wrong = |what: &str| Err(Error::new(SqlState::WINDOWING_ERROR, what));
        if units == FrameUnits::Groups && order.is_empty() {
            return wrong("GROUPS mode requires an ORDER BY clause");
        }
        if matches!(f.start_bound, WindowFrameBound::Following(None)) {
            return wrong("frame start cannot be UNBOUNDED FOLLOWING");
        }
        if matches!(f.end_bound, Some(WindowFrameBound::Preceding(None))) {
            return wrong("frame end cannot be UNBOUNDED PRECEDING");
        }
        if matches!(f.start_bound, WindowFrameBound::CurrentRow)
            && matches!(f.end_bound, Some(WindowFrameBound::Preceding(_)))
        {
            return wrong("frame starting from current row cannot have preceding rows");
        }
        if matches!(f.start_bound, WindowFrameBound::Following(_))
            && !matches!(f.end_bound, Some(WindowFrameBound::Following(_)))
        {
            return wrong("frame starting from following row cannot have preceding rows");
        }
        let start = self.frame_bound(&f.start_bound, units, order)?;
        let end = match &f.end_bound {
            Some(b) => self.frame_bound(b, units, order)?,
            None => FrameBound::CurrentRow,
        };
        let keyed = if units == FrameUnits::Range { self.keyed(&start, &end, order)? } else { None };
        Ok(Frame { units, start, end, exclude: Exclude::NoOthers, keyed })
    }

    fn frame_bound(&mut self, b: &WindowFrameBound, units: FrameUnits, order: &[SortKey]) -> Result<FrameBound> {
        Ok(match b {
            WindowFrameBound::CurrentRow => FrameBound::CurrentRow,
            WindowFrameBound::Preceding(None) => FrameBound::UnboundedPreceding,
            WindowFrameBound::Following(None) => FrameBound::UnboundedFollowing,
            WindowFrameBound::Preceding(Some(e)) => FrameBound::Preceding(self.frame_offset(e, units, order)?),
            WindowFrameBound::Following(Some(e)) => FrameBound::Following(self.frame_offset(e, units, order)?),
        })
    }

    fn frame_offset(&mut self, e: &ast::Expr, units: FrameUnits, order: &[SortKey]) -> Result<Expr> {
        let value = self.expr(e)?;
        let construct = match units {
            FrameUnits::Rows => "ROWS",
            FrameUnits::Groups => "GROUPS",
            FrameUnits::Range => {
                let [key] = order else {
                    let message = "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column";
                    return Err(Error::new(SqlState::WINDOWING_ERROR, message).at(value.pos));
                };
                let key = key.expr.ty();
                let target = if super::coerce::category(key.oid) == 'D' {
                    PgType::new(oid::INTERVAL)
                } else {
                    PgType::new(key.oid)
                };
                let (source, pos) = (value.ty(), value.pos);
                return match self.coerce(value, target, CastContext::Implicit)? {
                    Some(v) => Ok(v.expr),
                    None => Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
                            key.sql_name(),
                            source.sql_name()
                        ),
                    )
                    .at(pos)),
                };
            }
        };
        Ok(self.must_be(value, oid::INT8, construct)?.expr)
    }

    /// For RANGE with offsets: the key of ORDER BY and, of the same type, what it is compared with at each end.
    fn keyed(&mut self, start: &FrameBound, end: &FrameBound, order: &[SortKey]) -> Result<Option<Keyed>> {
        let offset = |b: &FrameBound| matches!(b, FrameBound::Preceding(_) | FrameBound::Following(_));
        let [key] = order else { return Ok(None) };
        if !offset(start) && !offset(end) {
            return Ok(None);
        }
        if key.expr.ty().oid == oid::TIME {
            // Times of day wrap around at midnight; the frame must not.
            return Err(Error::unsupported(
                "RANGE with offset PRECEDING/FOLLOWING for column type time without time zone",
            ));
        }
        let mut bound = |b: &FrameBound| -> Result<Option<Expr>> {
            let (e, before) = match b {
                FrameBound::Preceding(e) => (e, true),
                FrameBound::Following(e) => (e, false),
                _ => return Ok(None),
            };
            let name = if before == key.desc { "+" } else { "-" };
            let (left, right) = (super::Typed::new(key.expr.clone(), None), super::Typed::new(e.clone(), None));
            let unfit = |_| {
                let (key, offset) = (type_name(key.expr.ty().oid), type_name(e.ty().oid));
                let message = format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {key} and offset type {offset}"
                );
                Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
            };
            Ok(Some(self.operator(name, left, right, None).map_err(unfit)?.expr))
        };
        let (start, end) = (bound(start)?, bound(end)?);
        let ty = start.as_ref().or(end.as_ref()).map_or(key.expr.ty(), Expr::ty);
        let key = self.coerce_implicit(super::Typed::new(key.expr.clone(), None), PgType::new(ty.oid))?.expr;
        Ok(Some(Keyed { key, start, end }))
    }
}
