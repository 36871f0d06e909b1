//! TABLESAMPLE: a condition on the storage key of a scan. SYSTEM draws rows as BERNOULLI does: there are no pages to draw.

use super::from::{Bound, Source};
use super::{Binder, Typed};
use crate::bound::{Call, Expr, Rel};
use crate::function::{SAMPLED, sample_fraction};
use heddle_types::{Datum, Error, PgType, Result, SqlState, oid};
use sqlparser::ast::{self, TableSampleMethod};

impl Binder<'_> {
    /// The sampled rows of a table in FROM that stands at `pos`.
    pub(super) fn sampled(&mut self, mut from: Bound, sample: &ast::TableSample, pos: Option<u32>) -> Result<Bound> {
        let Source::Rel(Rel::Table(mut scan)) = from.source else {
            let message = "TABLESAMPLE clause can only be applied to tables and materialized views";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos));
        };
        let (percent, seed) = self.sample_arguments(sample)?;
        let identity = *scan.identity.get_or_insert_with(|| (self.new_column(), self.new_column()));
        // Each TABLESAMPLE without REPEATABLE draws for itself.
        let salt = if sample.seed.is_some() { 0 } else { identity.0.0 as i32 };
        let key = Expr::Column { id: identity.0, ty: PgType::new(oid::BYTEA) };
        let salt = Expr::Literal { value: Datum::Int4(salt), ty: PgType::new(oid::INT4) };
        let predicate =
            Expr::Call(Call { func: SAMPLED, args: vec![key, percent, seed, salt], ty: PgType::new(oid::BOOL) });
        from.source = Source::Rel(Rel::Filter { input: Box::new(Rel::Table(scan)), predicate });
        Ok(from)
    }

    /// The grammar has TABLESAMPLE after tables in FROM only; sqlparser takes it after more. `pos` is before it.
    pub(super) fn no_sample_here(&self, pos: Option<u32>) -> Error {
        let pos = self.places.word_after(pos, "tablesample");
        Error::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"tablesample\"").at(pos)
    }

    fn sample_arguments(&mut self, sample: &ast::TableSample) -> Result<(Expr, Expr)> {
        let syntax =
            |near: &str| Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{near}\"")));
        let method = match &sample.name {
            Some(TableSampleMethod::Bernoulli | TableSampleMethod::System) => None,
            Some(TableSampleMethod::Row) => Some("row".to_owned()),
            Some(TableSampleMethod::Block) => Some("block".to_owned()),
            None => match sample.quantity.as_ref().map(|q| &q.value) {
                Some(ast::Expr::Function(f)) => Some(super::names::parts(&f.name)?.pop().unwrap_or_default()),
                _ => return syntax("tablesample"),
            },
        };
        if let Some(method) = method {
            let message = format!("tablesample method {method} does not exist");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
        let Some(quantity) = sample.quantity.as_ref().filter(|q| q.parenthesized && q.unit.is_none()) else {
            return syntax("tablesample");
        };
        if sample.offset.is_some() {
            // The parser takes the query's OFFSET for the sample's.
            return Err(Error::unsupported("OFFSET right after TABLESAMPLE").hint("Put LIMIT ALL before it."));
        }
        let percent = self.expr(&quantity.value)?;
        let percent = self.must_be(percent, oid::FLOAT4, "TABLESAMPLE")?;
        if let Expr::Literal { value, .. } = &percent.expr {
            sample_fraction(match value {
                Datum::Float4(p) => Some(*p),
                _ => None,
            })?;
        }
        let seed = match &sample.seed {
            None => Typed::new(super::call::null(PgType::new(oid::FLOAT8)), None),
            Some(seed) => {
                let seed = self.expr(&ast::Expr::Value(seed.value.clone()))?;
                self.must_be(seed, oid::FLOAT8, "REPEATABLE")?
            }
        };
        Ok((percent.expr, seed.expr))
    }
}
