//! Ordered-set aggregates: `percentile_cont(f) WITHIN GROUP (ORDER BY x)` is a function of `f` and of the sorted values that are not NULL,
//! so it is bound as a call over `array_agg(x ORDER BY x) FILTER (WHERE x IS NOT NULL)`.

use super::names::start;
use super::window::sort_key;
use super::{Binder, Typed};
use crate::bound::{AggregateCall, Call, Expr};
use crate::function;
use heddle_types::{Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{Function, Spanned};

/// What follows the sorted values.
enum Kind {
    /// Interpolates: float8 or interval
    Continuous,
    /// The first value at or past the fraction
    Discrete,
    /// The most frequent value
    Mode,
}

impl Binder<'_> {
    /// Binds `name(…) WITHIN GROUP (ORDER BY …)`.
    ///
    /// # Errors
    /// `42883` for what is no ordered-set aggregate, `0A000` for hypothetical-set ones.
    pub(super) fn ordered_set(&mut self, f: &Function, name: &str) -> Result<Typed> {
        let pos = start(f.name.span());
        let (kind, kernel) = match name {
            "percentile_cont" => (Kind::Continuous, "heddle_percentile_cont"),
            "percentile_disc" => (Kind::Discrete, "heddle_percentile_disc"),
            "mode" => (Kind::Mode, "heddle_mode"),
            "rank" | "dense_rank" | "percent_rank" | "cume_dist" => {
                return Err(Error::unsupported(format!("hypothetical-set aggregate {name}")).at(pos));
            }
            _ => {
                let message = format!("{name} is not an ordered-set aggregate, so it cannot have WITHIN GROUP");
                return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(pos));
            }
        };
        if f.over.is_some() {
            let message = format!("OVER is not supported for ordered-set aggregate {name}");
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        }
        self.aggregate_place(pos)?;
        let direct = self.arguments(f)?.args;
        let wanted = usize::from(!matches!(kind, Kind::Mode));
        if direct.len() != wanted || f.within_group.len() != 1 {
            let message = format!("function {name} does not exist with these arguments");
            return Err(Error::new(SqlState::UNDEFINED_FUNCTION, message).at(pos));
        }
        let values = self.sorted_values(f, &kind, pos)?;
        let mut args = direct;
        args.push(values);
        self.scalar_call(kernel, args, pos)
    }

    /// `array_agg(x ORDER BY x) FILTER (WHERE x IS NOT NULL AND …)`
    fn sorted_values(&mut self, f: &Function, kind: &Kind, pos: Option<u32>) -> Result<Typed> {
        let key = &f.within_group[0];
        let (value, filter) = self.in_aggregate(|b| {
            let value = b.expr(&key.expr)?;
            let value = b.resolve_unknown(value)?;
            let value = match kind {
                Kind::Continuous if value.oid() != oid::INTERVAL => {
                    b.coerce_implicit(value, PgType::new(oid::FLOAT8))?
                }
                _ => value,
            };
            b.ordering(&value)?;
            let filter = f.filter.as_ref().map(|e| b.condition(e, "FILTER")).transpose()?;
            Ok((value, filter))
        })?;
        let present = super::expr::not(Expr::IsNull(Box::new(value.expr.clone())));
        let filter = match filter {
            Some(f) => Expr::And(vec![f, present]),
            None => present,
        };
        let resolved = self.resolve_function("array_agg", vec![value.clone()], &[], pos)?;
        debug_assert!(matches!(resolved.function.kind, function::Kind::Aggregate(_)));
        let call = Call { func: resolved.function.id, args: resolved.args, ty: resolved.ty };
        let call = AggregateCall {
            func: call.func,
            args: call.args,
            ty: call.ty,
            distinct: false,
            order: vec![sort_key(value.expr, &key.options)],
            filter: Some(filter),
        };
        self.aggregate(call, pos)
    }
}
