//! Temporary objects of a session, and those that a crash left behind.

use crate::server::Server;
use crate::session::Session;
use heddle_planner::ddl::temporary;
use heddle_txn::Isolation;
use heddle_types::Result;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Session {
    /// Ends the session: what runs is rolled back, temporary objects are dropped.
    pub async fn end(mut self) {
        self.portals.clear();
        self.end_rolled_back();
        if let Err(error) = self.drop_temporary().await {
            tracing::warn!(%error, "temporary objects stay until the next start");
        }
    }

    async fn drop_temporary(&self) -> Result<()> {
        if !self.temporary.load(Ordering::Relaxed) {
            return Ok(());
        }
        let txn = self.server.txns.begin(Isolation::ReadCommitted, false);
        let name = format!("{}{}", heddle_catalog::TEMPORARY_PREFIX, self.pid);
        if let Some(schema) = txn.catalog().schema(self.database.oid, &name) {
            temporary::clear(&schema, &txn)?;
        }
        txn.commit().await.map(|_| ())
    }

    /// DISCARD TEMP, inside the running transaction.
    pub(crate) fn discard_temporary(&mut self) -> Result<()> {
        if !self.temporary.load(Ordering::Relaxed) {
            return Ok(());
        }
        let txn = self.transaction()?;
        let name = self.cached().info().temporary_schema();
        match txn.catalog().schema(self.database.oid, &name) {
            Some(schema) => temporary::clear(&schema, &txn),
            None => Ok(()),
        }
    }

    /// ON COMMIT of temporary tables.
    pub(crate) async fn settle_temporary(&mut self) -> Result<()> {
        if self.txn.is_none() || !self.temporary.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ctx = self.context(Arc::from([]))?;
        temporary::before_commit(&ctx).await
    }
}

impl Server {
    /// Drops what sessions left behind that did not end in order. Call before the first session.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn drop_temporary(&self) -> Result<()> {
        let left = self.txns.catalog().temporary_schemas();
        if left.is_empty() {
            return Ok(());
        }
        let txn = self.txns.begin(Isolation::ReadCommitted, false);
        for schema in &left {
            temporary::clear(schema, &txn)?;
        }
        txn.commit().await?;
        tracing::info!(schemas = left.len(), "dropped temporary objects of an earlier run");
        Ok(())
    }
}
