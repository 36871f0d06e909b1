//! Bound DDL to catalog edits under locks.
//!
//! Every name a statement makes or removes is locked until the end of the transaction, then looked up in the newest catalog
//! (READ COMMITTED's view; the transaction's own DDL included): two sessions cannot both decide that a name is free.

mod alter;
mod build;
mod comment;
mod database;
pub(crate) mod depend;
mod index;
pub(crate) mod names;
mod rename;
mod sequence;
mod series;
mod table;
pub mod temporary;
mod view;
mod view_text;

use crate::bound::Ddl;
use crate::context::EvalContext;
use heddle_txn::Transaction;
use heddle_types::{Error, Notice, Result, Severity, SqlState};
use std::sync::Arc;

pub(crate) use table::create_table;

/// Carries out `ddl` inside `ctx.txn`. Names are locked, existence is checked against the newest catalog under the lock.
/// The rows of CREATE TABLE AS are the executor's business.
///
/// # Errors
/// `42P07`, `42P06`, `42P04`, `3F000`, `3D000`, `42P01` with notices for IF [NOT] EXISTS; `2BP01` without CASCADE; `55006` for a database in use.
pub async fn execute(ddl: &Ddl, ctx: &Arc<EvalContext>) -> Result<()> {
    match ddl {
        Ddl::CreateTable(create) => create_table(create, ctx).await.map(|_| ()),
        Ddl::DropTable { tables, missing, cascade } => table::drop_tables(tables, missing, *cascade, ctx).await,
        Ddl::CreateIndex(create) => index::create_index(create, ctx).await,
        Ddl::DropIndex { indexes, missing } => index::drop_indexes(indexes, missing, ctx).await,
        Ddl::CreateView(create) => view::create_view(create, ctx).await,
        Ddl::DropView { views, missing, cascade } => view::drop_views(views, missing, *cascade, ctx).await,
        Ddl::SetRetention { table, retention } => series::set_retention(table, *retention, ctx).await,
        Ddl::Truncate { tables, restart_identity, cascade } => {
            table::truncate(tables, *restart_identity, *cascade, ctx).await
        }
        Ddl::CreateSchema { name, if_not_exists } => database::create_schema(name, *if_not_exists, ctx).await,
        Ddl::DropSchema { names, if_exists, cascade } => database::drop_schemas(names, *if_exists, *cascade, ctx).await,
        Ddl::CreateDatabase { name, if_not_exists, series } => {
            database::create_database(name, *if_not_exists, *series, ctx).await
        }
        Ddl::DropDatabase { name, if_exists, .. } => database::drop_database(name, *if_exists, ctx).await,
        Ddl::AlterTable(alter) => alter::alter_table(alter, ctx).await,
        Ddl::Rename { what, to, .. } => rename::rename(what, to, ctx).await,
        Ddl::SetSchema { relation, schema, .. } => rename::set_schema(relation, *schema, ctx).await,
        Ddl::CreateSequence(create) => sequence::create_sequence(create, ctx).await,
        Ddl::AlterSequence(alter) => sequence::alter_sequence(alter, ctx).await,
        Ddl::DropSequence { sequences, missing, cascade } => {
            sequence::drop_sequences(sequences, missing, *cascade, ctx).await
        }
        Ddl::Comment(comment) => comment::comment(comment, ctx),
        Ddl::Nothing { notices, .. } => {
            tell(notices, ctx);
            Ok(())
        }
    }
}

fn transaction(ctx: &EvalContext) -> Result<&Arc<Transaction>> {
    ctx.txn.as_ref().ok_or_else(|| Error::internal("DDL needs a transaction"))
}

/// NOTICEs that were worded when the statement was bound.
fn tell(notices: &[Notice], ctx: &EvalContext) {
    for notice in notices {
        (ctx.session.notice)(notice.clone());
    }
}

fn notice(ctx: &EvalContext, code: SqlState, text: String) {
    (ctx.session.notice)(Error::notice(Severity::Notice, code, text));
}
