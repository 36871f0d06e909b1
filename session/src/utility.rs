//! Statements that need no plan: transaction control, settings, prepared statements, CHECKPOINT, LOCK TABLE. Cursors: [`crate::cursor`].

use crate::client::Client;
use crate::cursor::{CursorOptions, no_cursor};
use crate::portal::Rows;
use crate::prepared::Prepared;
use crate::run::{text_column, text_rows};
use crate::session::Session;
use crate::settings::{self, Domain};
use heddle_planner::bound::OutputColumn;
use heddle_planner::function::SessionSequences;
use heddle_planner::parse::{Ast, Kind, Maintenance, Parsed, TransactionMode};
use heddle_planner::{bind, eval};
use heddle_txn::{Isolation, RelationLock, Wait};
use heddle_types::{Datum, Error, Result, Severity, SqlState};
use std::sync::Arc;

impl Session {
    /// Runs a utility statement and answers its tag.
    pub(crate) async fn utility<C: Client>(&mut self, parsed: &Parsed, client: &mut C) -> Result<String> {
        let tag = match &parsed.kind {
            Kind::Begin { tag, mode } => {
                self.begin(*mode)?;
                *tag
            }
            Kind::Commit { chain } => return Ok(self.commit(*chain).await?.to_owned()),
            Kind::Rollback { chain } => {
                self.rollback(*chain)?;
                "ROLLBACK"
            }
            Kind::Savepoint(name) => {
                self.savepoint(name)?;
                "SAVEPOINT"
            }
            Kind::Release(name) => {
                self.release(name)?;
                "RELEASE"
            }
            Kind::RollbackTo(name) => {
                self.rollback_to(name)?;
                "ROLLBACK"
            }
            Kind::SetTransaction { session: true, mode } => {
                self.set_characteristics(*mode)?;
                "SET"
            }
            Kind::SetTransaction { session: false, mode } => {
                self.set_transaction_statement(*mode)?;
                "SET"
            }
            Kind::Set { local, name, value } => {
                self.set(*local, name, value.as_deref())?;
                "SET"
            }
            Kind::Reset { name } => {
                match name {
                    Some(name) => self.settings.lock().reset(name, false)?,
                    None => self.settings.lock().reset_all(),
                }
                "RESET"
            }
            Kind::Discard(what) => {
                self.discard(what)?;
                return Ok(format!("DISCARD {what}"));
            }
            Kind::Prepare { name, types, statement, source } => {
                let source = Some(Arc::clone(source));
                let prepared = self.prepare(Some((**statement).clone()), types.clone(), source)?;
                self.store_prepared(name, prepared, true)?;
                "PREPARE"
            }
            Kind::Deallocate { name: Some(name) } => {
                self.prepared_named(name)?;
                self.prepared.remove(name);
                "DEALLOCATE"
            }
            Kind::Deallocate { name: None } => {
                self.prepared.clear_named();
                "DEALLOCATE ALL"
            }
            Kind::Declare { name, hold, binary, scroll, query, source } => {
                let options = CursorOptions { hold: *hold, binary: *binary, scroll: *scroll == Some(true) };
                // Large and seldom: a connection that waits for its client would have room for it.
                Box::pin(self.declare(name, options, query, source, client)).await?;
                "DECLARE CURSOR"
            }
            Kind::CloseCursor { name: Some(name) } => {
                self.portals.remove(name).ok_or_else(|| no_cursor(name))?;
                "CLOSE CURSOR"
            }
            Kind::CloseCursor { name: None } => {
                self.portals.clear();
                "CLOSE CURSOR ALL"
            }
            Kind::Checkpoint => {
                let txns = Arc::clone(&self.server.txns);
                self.interrupt().guard(client, txns.checkpoint()).await?;
                "CHECKPOINT"
            }
            Kind::LockTable { tables, mode, nowait } => {
                self.lock_tables(tables, *mode, *nowait, client).await?;
                "LOCK TABLE"
            }
            Kind::SetConstraints { names, deferred } => {
                self.set_constraints(names, *deferred).await?;
                "SET CONSTRAINTS"
            }
            Kind::Maintenance(m) => {
                self.maintain(m)?;
                m.tag
            }
            Kind::Unsupported(what) => return Err(Error::unsupported(what)),
            Kind::Plan(_) | Kind::Execute { .. } | Kind::Show { .. } | Kind::Fetch { .. } | Kind::Copy(_) => {
                return Err(Error::internal("not a utility statement"));
            }
        };
        Ok(tag.to_owned())
    }

    /// VACUUM and ANALYZE: rows have no dead versions, and what plans know of a table is a sample that the next one takes again.
    fn maintain(&mut self, m: &Maintenance) -> Result<()> {
        if m.tag == "VACUUM" {
            self.refuse_in_block("VACUUM")?;
        }
        self.transaction()?;
        let ctx = self.context(Arc::from([]))?;
        if m.tables.is_empty() {
            self.server.executor.forget_samples(None);
        }
        for (name, columns) in &m.tables {
            let (table, schema) = name.split_last().ok_or_else(|| Error::internal("a table without a name"))?;
            match bind::resolve_table(schema.last().map(String::as_str), table, &ctx) {
                Ok(t) => {
                    check_columns(&t, columns)?;
                    self.server.executor.forget_samples(Some(t.storage));
                }
                Err(e) if e.code() == SqlState::INSUFFICIENT_PRIVILEGE => {}
                Err(e) if e.code() == SqlState::WRONG_OBJECT_TYPE => {
                    let verb = m.tag.to_lowercase();
                    let text = format!("skipping \"{table}\" --- cannot {verb} non-tables or special system tables");
                    self.push_notice(Error::notice(Severity::Warning, SqlState::WARNING, text));
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn set_characteristics(&mut self, mode: TransactionMode) -> Result<()> {
        let mut settings = self.settings.lock();
        if mode.serializable {
            settings.set("default_transaction_isolation", "serializable", false)?;
        }
        if let Some(level) = mode.isolation {
            let name = match level {
                Isolation::ReadCommitted => "read committed",
                Isolation::RepeatableRead => "repeatable read",
            };
            settings.set("default_transaction_isolation", name, false)?;
        }
        if let Some(ro) = mode.read_only {
            settings.set("default_transaction_read_only", if ro { "on" } else { "off" }, false)?;
        }
        Ok(())
    }

    fn set(&mut self, local: bool, name: &str, value: Option<&[String]>) -> Result<()> {
        if local && self.block == crate::session::Block::None && !self.multi_statement {
            let text = "SET LOCAL can only be used in transaction blocks";
            self.push_notice(Error::notice(Severity::Warning, SqlState::NO_ACTIVE_SQL_TRANSACTION, text));
        }
        // A SET outside a block is its own transaction; inside one it is undone with it.
        self.transaction()?;
        let Some(items) = value else { return self.settings.lock().reset(name, local) };
        if let Some(mode) = transaction_setting(name, items)? {
            return self.set_transaction(mode);
        }
        let domain = settings::find(name).map(|d| d.domain);
        let joined = match domain {
            Some(Domain::NameList) => settings::join_names(items),
            _ => items.join(", "),
        };
        self.settings.lock().set(name, &joined, local)
    }

    fn discard(&mut self, what: &str) -> Result<()> {
        if what == "ALL" {
            self.refuse_in_block("DISCARD ALL")?;
            self.portals.clear();
            self.prepared.clear_named();
            self.server.advisory.unlock_all(self.pid);
            self.settings.lock().reset_all();
        }
        if matches!(what, "ALL" | "TEMP") {
            self.discard_temporary()?;
        }
        if matches!(what, "ALL" | "SEQUENCES") {
            *self.sequences.lock() = SessionSequences::default();
        }
        Ok(())
    }

    pub(crate) fn show_columns(&self, name: Option<&str>) -> Result<Arc<[OutputColumn]>> {
        Ok(match name {
            Some(name) => Arc::from([text_column(&self.settings.lock().show(name)?.0)]),
            None => Arc::from(["name", "setting", "description"].map(text_column)),
        })
    }

    pub(crate) fn show(&mut self, name: Option<&str>) -> Result<Rows> {
        let columns = self.show_columns(name)?;
        let settings = self.settings.lock();
        let data = match name {
            Some(name) => vec![vec![settings.show(name)?.1]],
            None => settings.all().into_iter().map(|(n, v, d)| vec![n, v, d]).collect(),
        };
        text_rows(columns, data, "SHOW")
    }

    /// EXECUTE's arguments, converted to the parameters' types.
    pub(crate) fn execute_arguments(&mut self, target: &Prepared, name: &str, args: &[Ast]) -> Result<Vec<Datum>> {
        if args.len() != target.params.len() {
            let text = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", target.params.len(), args.len());
            return Err(Error::new(SqlState::SYNTAX_ERROR, text).detail(detail));
        }
        let ctx = self.context(Arc::from([]))?;
        let value = |(ast, ty): (&Ast, &_)| eval::eval_constant(&bind::bind_argument(ast, *ty, &ctx)?, &ctx);
        args.iter().zip(&target.params).map(value).collect()
    }

    async fn lock_tables<C: Client>(
        &mut self,
        tables: &[Vec<String>],
        mode: RelationLock,
        nowait: bool,
        client: &mut C,
    ) -> Result<()> {
        if self.status() != crate::Status::InBlock {
            let text = "LOCK TABLE can only be used in transaction blocks";
            return Err(Error::new(SqlState::NO_ACTIVE_SQL_TRANSACTION, text));
        }
        let txn = self.transaction()?;
        let wait = if nowait { Wait::NoWait } else { Wait::Block };
        for name in tables {
            let ctx = self.context(Arc::from([]))?;
            let (table, schema) = name.split_last().ok_or_else(|| Error::internal("LOCK TABLE without a name"))?;
            let table = bind::resolve_table(schema.last().map(String::as_str), table, &ctx)?;
            let lock = txn.lock_relation(table.oid, mode, wait);
            self.interrupt().guard(client, lock).await.map_err(|e| match e.code() {
                SqlState::LOCK_NOT_AVAILABLE if nowait => {
                    Error::new(e.code(), format!("could not obtain lock on relation \"{}\"", table.name))
                }
                _ => e,
            })?;
        }
        Ok(())
    }
}

/// The columns of an ANALYZE must be there, each once.
fn check_columns(table: &heddle_catalog::TableDef, columns: &[String]) -> Result<()> {
    for (i, name) in columns.iter().enumerate() {
        if table.column(name).is_none() {
            let text = format!("column \"{name}\" of relation \"{}\" does not exist", table.name);
            return Err(Error::new(SqlState::UNDEFINED_COLUMN, text));
        }
        if columns[..i].contains(name) {
            let text = format!("column \"{name}\" of relation \"{}\" appears more than once", table.name);
            return Err(Error::new(SqlState::DUPLICATE_COLUMN, text));
        }
    }
    Ok(())
}
/// `SET transaction_isolation = …` is SET TRANSACTION under another name.
fn transaction_setting(name: &str, items: &[String]) -> Result<Option<TransactionMode>> {
    let value = items.join(" ").to_ascii_lowercase();
    let mut mode = TransactionMode::default();
    if name.eq_ignore_ascii_case("transaction_isolation") {
        match value.as_str() {
            "read committed" | "read uncommitted" => mode.isolation = Some(Isolation::ReadCommitted),
            "repeatable read" => mode.isolation = Some(Isolation::RepeatableRead),
            "serializable" => mode.serializable = true,
            _ => {
                let text = format!("invalid value for parameter \"transaction_isolation\": \"{value}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, text));
            }
        }
    } else if name.eq_ignore_ascii_case("transaction_read_only") {
        mode.read_only = Some(matches!(value.as_str(), "on" | "true" | "1" | "yes"));
    } else {
        return Ok(None);
    }
    Ok(Some(mode))
}
