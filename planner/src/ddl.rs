//! Bound DDL to catalog edits under locks.

use crate::bound::Ddl;
use crate::context::EvalContext;
use heddle_types::Result;

/// Carries out `ddl` inside `ctx.txn`. Names are locked, existence is checked against the newest catalog under the lock.
///
/// # Errors
/// `42P07`, `42P06`, `42P04`, `3F000`, `3D000`, `42P01` with notices for IF [NOT] EXISTS; `2BP01` without CASCADE; `55006` for a database in use.
pub async fn execute(_ddl: &Ddl, _ctx: &EvalContext) -> Result<()> { todo!() }
