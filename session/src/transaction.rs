//! Transaction control of a session: implicit and explicit transactions, savepoints, the failed state.

use crate::session::{Block, Session, Status};
use heddle_planner::exec;
use heddle_planner::parse::TransactionMode;
use heddle_txn::{Isolation, Savepoint, Transaction};
use heddle_types::{Error, Notice, Result, Severity, SqlState};
use std::sync::Arc;

/// A named savepoint.
pub(crate) struct NamedSavepoint {
    pub name: String,
    pub mark: Savepoint,
}

fn warning(code: SqlState, text: &str) -> Notice {
    Error::notice(Severity::Warning, code, text)
}

fn level_name(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
    }
}

fn serializable_unsupported() -> Error {
    Error::unsupported("transaction isolation level SERIALIZABLE").hint("Use REPEATABLE READ and explicit locks.")
}

impl Session {
    /// Where ReadyForQuery says we are.
    pub fn status(&self) -> Status {
        match self.block {
            Block::None | Block::Implicit => Status::Idle,
            Block::Explicit => Status::InBlock,
            Block::Failed => Status::Failed,
        }
    }

    /// The running transaction, begun now if there is none.
    pub(crate) fn transaction(&mut self) -> Result<Arc<Transaction>> {
        if let Some(txn) = &self.txn {
            return Ok(Arc::clone(txn));
        }
        self.begin_with(TransactionMode::default())?;
        if self.block == Block::None {
            self.block = Block::Implicit;
        }
        Ok(Arc::clone(self.txn.as_ref().expect("just begun")))
    }

    fn begin_with(&mut self, mode: TransactionMode) -> Result<()> {
        let cached = self.cached();
        let read_only = mode.read_only.unwrap_or(cached.read_only);
        let lock_timeout = cached.lock_timeout;
        let isolation = match (mode.isolation, mode.serializable, cached.isolation.as_str()) {
            (_, true, _) | (None, _, "serializable") => return Err(serializable_unsupported()),
            (Some(level), _, _) => level,
            (None, _, "repeatable read") => Isolation::RepeatableRead,
            _ => Isolation::ReadCommitted,
        };
        let txn = self.server.txns.begin(isolation, read_only);
        txn.set_lock_timeout(lock_timeout);
        self.activity.set_transaction(txn.id());
        self.txn = Some(txn);
        self.txn_start_us = self.server.env.clock.now_us();
        let mut settings = self.settings.lock();
        settings.begin();
        settings.transaction_mode(Some((level_name(isolation), read_only)));
        Ok(())
    }

    /// BEGIN.
    pub(crate) fn begin(&mut self, mode: TransactionMode) -> Result<()> {
        match self.block {
            Block::Explicit => {
                self.push_notice(warning(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "there is already a transaction in progress",
                ));
                self.set_transaction(mode)?;
            }
            _ if self.txn.is_some() => {
                self.set_transaction(mode)?;
                self.block = Block::Explicit;
            }
            _ => {
                self.begin_with(mode)?;
                self.block = Block::Explicit;
            }
        }
        Ok(())
    }

    /// COMMIT. Answers the tag: a failed block ends with ROLLBACK.
    pub(crate) async fn commit(&mut self, chain: bool) -> Result<&'static str> {
        match self.block {
            Block::Failed => {
                self.rollback(chain)?;
                return Ok("ROLLBACK");
            }
            Block::Explicit => {
                let mode = self.chained_mode();
                self.commit_now().await?;
                if chain {
                    self.begin(mode)?;
                }
            }
            _ => {
                self.refuse_chain(chain, "COMMIT")?;
                self.push_notice(warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress"));
                self.commit_now().await?;
            }
        }
        Ok("COMMIT")
    }

    /// ROLLBACK.
    pub(crate) fn rollback(&mut self, chain: bool) -> Result<()> {
        match self.block {
            Block::Explicit | Block::Failed => {
                let mode = self.chained_mode();
                self.end_rolled_back();
                if chain {
                    self.begin(mode)?;
                }
            }
            _ => {
                self.refuse_chain(chain, "ROLLBACK")?;
                self.push_notice(warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, "there is no transaction in progress"));
                self.end_rolled_back();
            }
        }
        Ok(())
    }

    fn refuse_chain(&self, chain: bool, what: &str) -> Result<()> {
        if chain { Err(self.block_only(&format!("{what} AND CHAIN"))) } else { Ok(()) }
    }

    /// The mode of the running transaction, which a failed one has too when its transaction is gone already.
    fn chained_mode(&self) -> TransactionMode {
        let mode = self.settings.lock().running_mode();
        let level = |(name, _): (&str, bool)| {
            [Isolation::ReadCommitted, Isolation::RepeatableRead].into_iter().find(|l| level_name(*l) == name)
        };
        TransactionMode { isolation: mode.and_then(level), read_only: mode.map(|(_, ro)| ro), serializable: false }
    }

    fn block_only(&self, what: &str) -> Error {
        Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, format!("{what} can only be used in transaction blocks"))
    }

    /// Commits whatever runs; on error everything is rolled back.
    pub(crate) async fn commit_now(&mut self) -> Result<()> {
        self.portals.retain(|p| p.options.hold);
        let mut settled = self.settle_deferred().await;
        if settled.is_ok() {
            settled = self.settle_temporary().await;
        }
        if let Err(e) = settled {
            let e = self.durable(e).await;
            self.end_rolled_back();
            return Err(e);
        }
        let result = match self.txn.take() {
            Some(txn) => txn.commit().await.map(|_| ()),
            None => Ok(()),
        };
        self.end_portals(result.is_ok());
        self.finish_block(result.is_ok());
        result
    }

    /// Rolls everything back and leaves the block.
    pub(crate) fn end_rolled_back(&mut self) {
        self.end_portals(false);
        if let Some(txn) = self.txn.take() {
            txn.rollback();
        }
        self.finish_block(false);
    }

    /// Checks what waited for the end of the transaction.
    async fn settle_deferred(&mut self) -> Result<()> {
        if self.deferred.lock().is_empty() {
            return Ok(());
        }
        let ctx = self.context(Arc::from([]))?;
        exec::settle_deferred(ctx).await
    }

    /// SET CONSTRAINTS.
    pub(crate) async fn set_constraints(&mut self, names: &[Vec<String>], deferred: bool) -> Result<()> {
        if matches!(self.block, Block::None | Block::Implicit) && !self.multi_statement {
            let text = "SET CONSTRAINTS can only be used in transaction blocks";
            self.push_notice(warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, text));
        }
        self.transaction()?;
        let ctx = self.context(Arc::from([]))?;
        exec::set_constraints(names, deferred, &ctx)?;
        if deferred { Ok(()) } else { exec::settle_deferred(ctx).await }
    }

    fn finish_block(&mut self, committed: bool) {
        self.savepoints.clear();
        self.deferred.lock().clear();
        self.block = Block::None;
        self.server.advisory.end_transaction(self.pid);
        self.settings.lock().end(committed);
    }

    /// An error that may come from rows that are committed but not durable yet: given out when they are.
    pub(crate) async fn durable(&self, error: Error) -> Error {
        match &self.txn {
            Some(txn) => txn.settled().await.err().unwrap_or(error),
            None => error,
        }
    }

    /// An error was raised: implicit transactions end, explicit ones fail.
    pub(crate) fn fail(&mut self) {
        match self.block {
            Block::None | Block::Implicit => self.end_rolled_back(),
            Block::Explicit => {
                self.block = Block::Failed;
                // Portals older than the newest savepoint outlive a ROLLBACK TO it.
                let mark = self.newest_mark();
                self.portals.retain(|p| p.settled || p.mark < mark);
                if self.savepoints.is_empty()
                    && let Some(txn) = self.txn.take()
                {
                    txn.rollback();
                }
            }
            Block::Failed => {}
        }
    }

    /// Only COMMIT, ROLLBACK and ROLLBACK TO may run in a failed block.
    pub(crate) fn refuse_if_failed(&self) -> Result<()> {
        if self.block != Block::Failed {
            return Ok(());
        }
        Err(Error::new(
            SqlState::IN_FAILED_SQL_TRANSACTION,
            "current transaction is aborted, commands ignored until end of transaction block",
        ))
    }

    /// `25001` for statements that cannot run in a block.
    pub(crate) fn refuse_in_block(&self, what: &str) -> Result<()> {
        if matches!(self.block, Block::Explicit | Block::Failed) || self.multi_statement {
            let text = match self.block {
                Block::None | Block::Implicit if self.pipelined => {
                    format!("{what} cannot be executed within a pipeline")
                }
                _ => format!("{what} cannot run inside a transaction block"),
            };
            return Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, text));
        }
        Ok(())
    }

    /// SAVEPOINT.
    pub(crate) fn savepoint(&mut self, name: &str) -> Result<()> {
        if self.block != Block::Explicit {
            return Err(self.block_only("SAVEPOINT"));
        }
        let mark = self.transaction()?.savepoint();
        self.settings.lock().savepoint(mark.0);
        self.savepoints.push(NamedSavepoint { name: name.to_owned(), mark });
        Ok(())
    }

    fn find_savepoint(&self, name: &str, what: &str) -> Result<usize> {
        if !matches!(self.block, Block::Explicit | Block::Failed) {
            return Err(self.block_only(what));
        }
        self.savepoints.iter().rposition(|s| s.name == name).ok_or_else(|| {
            Error::new(SqlState::INVALID_SAVEPOINT_SPECIFICATION, format!("savepoint \"{name}\" does not exist"))
        })
    }

    /// RELEASE.
    pub(crate) fn release(&mut self, name: &str) -> Result<()> {
        let at = self.find_savepoint(name, "RELEASE SAVEPOINT")?;
        let mark = self.savepoints[at].mark;
        self.savepoints.truncate(at);
        self.transaction()?.release(mark);
        self.settings.lock().release(mark.0);
        Ok(())
    }

    /// The newest savepoint's mark; 0 when there is none.
    pub(crate) fn newest_mark(&self) -> u32 {
        self.savepoints.last().map_or(0, |s| s.mark.0)
    }

    /// ROLLBACK TO.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<()> {
        let at = self.find_savepoint(name, "ROLLBACK TO SAVEPOINT")?;
        self.savepoints.truncate(at + 1);
        let mark = self.savepoints[at].mark;
        self.portals.retain(|p| p.settled || p.mark < mark.0);
        self.transaction()?.rollback_to(mark);
        self.settings.lock().rollback_to(mark.0);
        self.block = Block::Explicit;
        Ok(())
    }

    /// SET TRANSACTION and the options of BEGIN inside a block.
    pub(crate) fn set_transaction(&mut self, mode: TransactionMode) -> Result<()> {
        if mode.serializable {
            return Err(serializable_unsupported());
        }
        if mode.isolation.is_none() && mode.read_only.is_none() {
            return Ok(());
        }
        let txn = self.transaction()?;
        txn.set_mode(mode.isolation, mode.read_only)?;
        self.settings.lock().transaction_mode(Some((level_name(txn.isolation()), txn.read_only())));
        Ok(())
    }

    /// SET TRANSACTION as a statement: outside a block it has no effect and says so.
    pub(crate) fn set_transaction_statement(&mut self, mode: TransactionMode) -> Result<()> {
        if matches!(self.block, Block::None | Block::Implicit) && !self.multi_statement {
            let text = "SET TRANSACTION can only be used in transaction blocks";
            self.push_notice(warning(SqlState::NO_ACTIVE_SQL_TRANSACTION, text));
        }
        self.set_transaction(mode)
    }
}
