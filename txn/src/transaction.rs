//! One transaction: what a session holds between BEGIN and COMMIT.

use crate::{Locked, RelationLock, RowLock, TxnManager, Wait};
use bytes::Bytes;
use heddle_catalog::{CatalogEdit, CatalogSnapshot};
use heddle_engines::{KeyRange, Row, RowCursor, RowReader};
use heddle_types::{LogIndex, Oid, Result, StorageId, TxnId};
use std::sync::Arc;
use std::time::Duration;

/// Isolation levels we honour. SERIALIZABLE is `0A000` until SSI comes; READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A snapshot per statement.
    ReadCommitted,
    /// One snapshot, first updater wins.
    RepeatableRead,
}

/// A mark to roll back to. Locks taken since are kept until the end, as a wider guarantee than PostgreSQL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(pub u32);

/// A transaction. Shared with the operators that work for it; writes come from one of them at a time.
pub struct Transaction {
    _todo: (),
}

impl Transaction {
    /// For locks and txid_current().
    pub fn id(&self) -> TxnId { todo!() }
    /// Its manager.
    pub fn manager(&self) -> &Arc<TxnManager> { todo!() }
    /// Its level.
    pub fn isolation(&self) -> Isolation { todo!() }
    /// Refuses writes with `25006`?
    pub fn read_only(&self) -> bool { todo!() }
    /// SET TRANSACTION before the first statement. `25001` afterwards (`SET TRANSACTION ISOLATION LEVEL must be called before any query`).
    pub fn set_mode(&self, _isolation: Option<Isolation>, _read_only: Option<bool>) -> Result<()> { todo!() }
    /// lock_timeout; zero = none.
    pub fn set_lock_timeout(&self, _timeout: Duration) { todo!() }
    /// Begins a statement: bumps the command id and, at READ COMMITTED, takes a new snapshot. The view sees the snapshot and this
    /// transaction's writes of earlier commands (not those of the statement itself).
    pub fn statement(self: &Arc<Self>) -> Arc<ReadView> { todo!() }
    /// The newest committed state plus all of this transaction's writes, for checks under locks (unique keys, changed rows).
    pub fn newest(self: &Arc<Self>) -> Arc<ReadView> { todo!() }
    /// The catalog this transaction sees now: newest (READ COMMITTED) or the snapshot's, with its own DDL.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> { todo!() }
    /// Adds DDL to the write set and the overlay.
    pub fn edit_catalog(&self, _edits: Vec<CatalogEdit>) -> Result<()> { todo!() }
    /// Frees a storage at commit.
    pub fn drop_storage(&self, _storage: StorageId) -> Result<()> { todo!() }
    /// Locks a relation until the end of the transaction.
    pub async fn lock_relation(&self, _oid: Oid, _mode: RelationLock, _wait: Wait) -> Result<Locked> { todo!() }
    /// Locks a row by its storage key. Errors `40P01`, `55P03` (`could not obtain lock on row in relation "x"` is worded by the caller).
    pub async fn lock_row(&self, _table: Oid, _key: &[u8], _mode: RowLock, _wait: Wait) -> Result<Locked> { todo!() }
    /// Locks a unique key exclusively: (index, key) must not be inserted by two transactions at once.
    pub async fn lock_key(&self, _index: Oid, _key: &[u8]) -> Result<Locked> { todo!() }
    /// Locks a name or number that is neither (object names during DDL: class + bytes).
    pub async fn lock_name(&self, _class: &'static str, _name: &[u8]) -> Result<Locked> { todo!() }
    /// Inserts or replaces a row. `25006`, `54000`, `53100`.
    pub fn put(&self, _storage: StorageId, _key: Bytes, _row: Bytes) -> Result<()> { todo!() }
    /// Deletes a row.
    pub fn delete(&self, _storage: StorageId, _key: Bytes) -> Result<()> { todo!() }
    /// Remembers that an UPDATE moved a row to another key, so that a waiter on the old key finds it.
    pub fn note_key_change(&self, _table: Oid, _old: Bytes, _new: Bytes) { todo!() }
    /// Where a committed UPDATE after `since` moved the row of `old`, if it did.
    pub fn moved_to(&self, _table: Oid, _old: &[u8], _since: LogIndex) -> Option<Bytes> { todo!() }
    /// Marks the present state.
    pub fn savepoint(&self) -> Savepoint { todo!() }
    /// Undoes everything since the mark (the mark stays).
    pub fn rollback_to(&self, _savepoint: Savepoint) { todo!() }
    /// Waits while the engines are too far behind; call now and then from bulk writers.
    pub async fn throttle(&self) -> Result<()> { todo!() }
    /// Makes it durable and visible. Returns its index, None when nothing was written. Releases locks.
    pub async fn commit(&self) -> Result<Option<LogIndex>> { todo!() }
    /// Forgets it. Releases locks. Dropping an open transaction does the same.
    pub fn rollback(&self) { todo!() }
}

/// What one statement sees.
pub struct ReadView {
    _todo: (),
}

impl ReadView {
    /// Its snapshot's index: a row with a higher one changed since.
    pub fn index(&self) -> LogIndex { todo!() }
    /// Its catalog (own DDL included).
    pub fn catalog(&self) -> &Arc<CatalogSnapshot> { todo!() }
}

impl RowReader for ReadView {
    fn get(&self, _storage: StorageId, _key: &[u8]) -> Result<Option<Row>> { todo!() }
    fn scan(&self, _storage: StorageId, _range: KeyRange, _reverse: bool) -> Result<Box<dyn RowCursor>> { todo!() }
}
