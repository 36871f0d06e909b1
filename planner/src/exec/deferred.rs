//! Constraints whose checks wait for the end of the transaction: which do (DEFERRABLE, SET CONSTRAINTS), and what waits.
//!
//! Kept by the session for its transaction. What was noted under a savepoint that was rolled back is harmless: every debt
//! is paid against the newest rows, and rows that are as they were owe nothing.

use super::reference::{Debt, Settling};
use crate::context::EvalContext;
use heddle_catalog::{CatalogSnapshot, Initially, Rule};
use heddle_types::{Error, Oid, Result, SqlState};
use std::collections::HashMap;
use std::sync::Arc;

/// What a transaction has put off.
#[derive(Default)]
pub struct Deferred {
    /// SET CONSTRAINTS ALL
    all: Option<bool>,
    /// SET CONSTRAINTS name, by constraint
    named: HashMap<Oid, bool>,
    debts: Vec<Debt>,
}

impl Deferred {
    /// Does this constraint wait?
    pub(crate) fn waits(&self, constraint: Oid, deferrable: Option<Initially>) -> bool {
        let waits =
            |initially| self.named.get(&constraint).copied().or(self.all).unwrap_or(initially == Initially::Deferred);
        deferrable.is_some_and(waits)
    }

    pub(crate) fn put_off(&mut self, debt: Debt) {
        self.debts.push(debt);
    }

    /// Is there nothing to pay?
    pub fn is_empty(&self) -> bool {
        self.debts.is_empty()
    }

    /// The transaction is over.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Pays everything that was put off (before COMMIT).
///
/// # Errors
/// `23503`, `23505`
pub async fn settle_deferred(ctx: EvalContext) -> Result<()> {
    let debts = std::mem::take(&mut ctx.session.deferred.lock().debts);
    if debts.is_empty() {
        return Ok(());
    }
    let txn = ctx.txn.clone().ok_or_else(|| Error::internal("checks need a transaction"))?;
    let newest = Arc::clone(txn.newest().catalog());
    Settling::at_end(Arc::new(ctx.at(newest)), debts).pay_all().await
}

/// SET CONSTRAINTS; without names ALL. Whatever does not wait any more is to be settled next.
///
/// # Errors
/// `42704`, `42809`
pub fn set_constraints(names: &[Vec<String>], deferred: bool, ctx: &EvalContext) -> Result<()> {
    let mut state = ctx.session.deferred.lock();
    if names.is_empty() {
        (state.all, state.named) = (Some(deferred), HashMap::new());
        return Ok(());
    }
    for name in names {
        for constraint in named(name, deferred, ctx)? {
            state.named.insert(constraint, deferred);
        }
    }
    Ok(())
}

/// The constraints of that name in the first schema of the search path that has one.
fn named(name: &[String], deferred: bool, ctx: &EvalContext) -> Result<Vec<Oid>> {
    let (bare, schema) = name.split_last().ok_or_else(|| Error::internal("a constraint without a name"))?;
    let schemas = match schema.last() {
        Some(schema) => vec![schema.clone()],
        None => ctx.session.search_path.iter().map(|s| s.replace("$user", &ctx.session.user)).collect(),
    };
    for schema in schemas {
        let found = in_schema(&ctx.catalog, &schema, bare, ctx);
        if deferred && found.iter().any(|(_, deferrable)| !deferrable) {
            let text = format!("constraint \"{bare}\" is not deferrable");
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, text));
        }
        if !found.is_empty() {
            return Ok(found.into_iter().map(|(oid, _)| oid).collect());
        }
    }
    Err(Error::new(SqlState::UNDEFINED_OBJECT, format!("constraint \"{}\" does not exist", name.join("."))))
}

/// Constraints by name: OID and whether they can wait.
fn in_schema(catalog: &CatalogSnapshot, schema: &str, name: &str, ctx: &EvalContext) -> Vec<(Oid, bool)> {
    let Some(schema) = catalog.schema(ctx.session.database_oid, schema) else { return Vec::new() };
    let mut found = Vec::new();
    for table in catalog.tables(ctx.session.database_oid).iter().filter(|t| t.schema == schema.oid) {
        for c in table.constraints.iter().filter(|c| c.name == name) {
            found.push((c.oid, matches!(&c.rule, Rule::References(f) if f.deferrable)));
        }
        let keys = table.indexes.iter().filter(|i| i.name == name);
        found.extend(keys.filter_map(|i| Some((i.constraint?, i.deferrable.is_some()))));
    }
    found
}
