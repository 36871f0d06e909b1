//! One transaction: what a session holds between BEGIN and COMMIT.
//!
//! It joins the parts: a snapshot ([`crate::snapshot`]), the private write set ([`crate::write_set`]), the locks
//! ([`crate::lock_table`]), and the way into the log.
//!
//! Life: `Active` -> `Committing(index)` when the Commit is proposed -> `Done` when it is visible and the locks are gone.
//! A commit whose future is dropped happens all the same; its locks then go when the index is visible. Those on rows and unique
//! keys go when the Commit is proposed, if they can ([`crate::in_flight`]).
//! Mutexes: `state` before `writes`; neither is held across an `.await`.

use crate::in_flight::{self, InFlightSet};
use crate::lock::{LockKey, Mode};
use crate::lock_table::LockOwner;
use crate::maintenance::stopping;
use crate::overlay::{Newest, ReadView};
use crate::payload::{SetRef, encode_abort};
use crate::snapshot::Snapshot;
use crate::write_set::WriteSet;
use crate::{Counter, Locked, RelationLock, RowLock, TxnManager, Wait};
use bytes::Bytes;
use heddle_catalog::{COUNTER_STORAGE, CatalogEdit, CatalogSnapshot, Object};
use heddle_engines::block::PointBlock;
use heddle_engines::point::SeriesLayout;
use heddle_engines::rows::RowBlock;
use heddle_engines::{KeyRange, RowChange, RowReader};
use heddle_log::{Kind, Proposer};
use heddle_types::{Error, LogIndex, Oid, Result, SqlState, StorageId, TxnId};
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Isolation levels we honour. SERIALIZABLE is `0A000` until SSI comes; READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// A snapshot per statement.
    ReadCommitted,
    /// One snapshot, first updater wins.
    RepeatableRead,
}

/// A mark to roll back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Savepoint(pub u32);

/// A transaction. Shared with the operators that work for it; writes come from one of them at a time.
pub struct Transaction {
    manager: Arc<TxnManager>,
    owner: Arc<LockOwner>,
    writes: Arc<RwLock<WriteSet>>,
    state: Mutex<State>,
    lock_timeout_us: AtomicU64,
    /// The highest index it read of what may not be visible yet.
    depends: Arc<AtomicU64>,
}

struct State {
    phase: Phase,
    isolation: Isolation,
    read_only: bool,
    /// The first statement has begun.
    started: bool,
    /// REPEATABLE READ's.
    snapshot: Option<Snapshot>,
    /// Index of the first streamed Part.
    set: Option<LogIndex>,
    overlay: Option<OverlayCatalog>,
    /// While it is `Committing`.
    images: Option<InFlightSet>,
}

/// A catalog with this transaction's DDL, and what it was made of.
struct OverlayCatalog {
    base: Arc<CatalogSnapshot>,
    generation: u64,
    catalog: Arc<CatalogSnapshot>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Active,
    Committing(LogIndex),
    Done,
}

/// From-indexes of overlay catalogs: each its own, from the top down, so that no cache takes one for another.
static NEXT_OVERLAY: AtomicU64 = AtomicU64::new(u64::MAX);

impl Transaction {
    pub(crate) fn new(manager: Arc<TxnManager>, owner: Arc<LockOwner>, isolation: Isolation, read_only: bool) -> Self {
        let state = State {
            phase: Phase::Active,
            isolation,
            read_only,
            started: false,
            snapshot: None,
            set: None,
            overlay: None,
            images: None,
        };
        let (state, lock_timeout_us) = (Mutex::new(state), AtomicU64::new(0));
        Self { manager, owner, writes: Arc::default(), state, lock_timeout_us, depends: Arc::default() }
    }

    /// For locks and txid_current().
    pub fn id(&self) -> TxnId {
        self.owner.txn
    }

    /// Its manager.
    pub fn manager(&self) -> &Arc<TxnManager> {
        &self.manager
    }

    /// Its level.
    pub fn isolation(&self) -> Isolation {
        self.state.lock().isolation
    }

    /// Refuses writes with `25006`?
    pub fn read_only(&self) -> bool {
        self.state.lock().read_only
    }

    /// SET TRANSACTION before the first statement.
    ///
    /// # Errors
    /// `25001` when a statement has begun and the level, or read-only to read-write, would change.
    pub fn set_mode(&self, isolation: Option<Isolation>, read_only: Option<bool>) -> Result<()> {
        let mut state = self.state.lock();
        let too_late = |message| Err(Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message));
        if let Some(isolation) = isolation
            && isolation != state.isolation
            && state.started
        {
            return too_late("SET TRANSACTION ISOLATION LEVEL must be called before any query");
        }
        if read_only == Some(false) && state.read_only && state.started {
            return too_late("transaction read-write mode must be set before any query");
        }
        state.isolation = isolation.unwrap_or(state.isolation);
        state.read_only = read_only.unwrap_or(state.read_only);
        Ok(())
    }

    /// lock_timeout; zero = none.
    pub fn set_lock_timeout(&self, timeout: Duration) {
        self.lock_timeout_us.store(u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Begins a statement: bumps the command id and, at READ COMMITTED, takes a new snapshot. The view sees the snapshot and this
    /// transaction's writes of earlier commands (not those of the statement itself).
    pub fn statement(self: &Arc<Self>) -> Arc<ReadView> {
        let mut state = self.state.lock();
        state.started = true;
        let snapshot = match state.isolation {
            Isolation::ReadCommitted => self.manager.snapshot(),
            Isolation::RepeatableRead => state.snapshot.get_or_insert_with(|| self.manager.snapshot()).clone(),
        };
        let command = self.writes.write().begin_command();
        let catalog = self.with_own_ddl(&mut state, &snapshot.catalog);
        Arc::new(ReadView::new(snapshot, Arc::clone(&self.writes), command, catalog))
    }

    /// The newest committed state plus all of this transaction's writes, for checks under locks (unique keys, changed rows).
    /// A get sees what is committed but not visible yet, too; for scans await [`Self::everything_visible`] before.
    pub fn newest(self: &Arc<Self>) -> Arc<ReadView> {
        let snapshot = self.manager.snapshot();
        let catalog = self.with_own_ddl(&mut self.state.lock(), &snapshot.catalog);
        let newest = Newest { manager: Arc::clone(&self.manager), depends: Arc::clone(&self.depends) };
        Arc::new(ReadView::newest(newest, snapshot, Arc::clone(&self.writes), catalog))
    }

    /// The highest index it read of what was not visible then; 0 when there was none.
    pub fn depends_on(&self) -> LogIndex {
        LogIndex(self.depends.load(Ordering::Relaxed))
    }

    /// Waits until everything it has read is visible, and so durable: before a client is told of it, and before a statement
    /// that reads.
    ///
    /// # Errors
    /// `57P01` while shutting down.
    pub async fn settled(&self) -> Result<()> {
        if self.manager.applied.visible.wait(self.depends_on()).await { Ok(()) } else { Err(stopping()) }
    }

    /// Waits until everything is visible whose locks may have gone to us: before a scan of [`Self::newest`].
    ///
    /// # Errors
    /// `57P01` while shutting down.
    pub async fn everything_visible(&self) -> Result<()> {
        let proposed = LogIndex(self.manager.log.next_index().0 - 1);
        if self.manager.applied.visible.wait(proposed).await { Ok(()) } else { Err(stopping()) }
    }

    /// The catalog this transaction sees now: newest (READ COMMITTED) or the snapshot's, with its own DDL.
    ///
    /// With own DDL its from-index is above any log index and different for every state, so it never fits a cache's key.
    pub fn catalog(&self) -> Arc<CatalogSnapshot> {
        let mut state = self.state.lock();
        let base = match &state.snapshot {
            Some(snapshot) => Arc::clone(&snapshot.catalog),
            None => self.manager.catalog(),
        };
        self.with_own_ddl(&mut state, &base)
    }

    /// Has another transaction changed or dropped this table since our snapshot (REPEATABLE READ)? What we bind then is the old
    /// table: writing to it would write to a storage that is gone. Ask under a lock that keeps DDL out.
    pub fn overtaken(&self, table: Oid) -> bool {
        let Some(seen) = self.state.lock().snapshot.as_ref().map(|s| s.catalog.table(table)) else { return false };
        seen != self.manager.catalog().table(table)
    }

    /// Adds DDL to the write set and the overlay.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn edit_catalog(&self, edits: Vec<CatalogEdit>) -> Result<()> {
        let before = self.catalog();
        let mut state = self.writable()?;
        let bytes_max = self.manager.config.write_set_bytes_max;
        let mut writes = self.writes.write();
        for edit in edits {
            // A dropped table's row ids are drawn no more.
            if let CatalogEdit::Delete(oid) = edit
                && before.table(oid).is_some()
            {
                let key = Counter::RowId(oid).key();
                writes.write(RowChange::Delete { storage: COUNTER_STORAGE, key }, bytes_max)?;
            }
            // Nor is a sequence's old position needed, when the sequence goes or begins anew.
            if let Some(state) = left_state(&before, &edit) {
                let key = crate::sequence::key(state);
                writes.write(RowChange::Delete { storage: COUNTER_STORAGE, key }, bytes_max)?;
            }
            writes.edit(edit, bytes_max)?;
        }
        self.stream(&mut state, &mut writes)
    }

    /// Frees a storage at commit.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn drop_storage(&self, storage: StorageId) -> Result<()> {
        self.write(RowChange::DropStorage { storage })
    }

    /// Says what the points of a time-series storage look like; before the first of them.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn define_series(&self, storage: StorageId, layout: &SeriesLayout) -> Result<()> {
        self.write(RowChange::DefineSeries { storage, layout: layout.encode() })
    }

    /// Inserts or replaces many points of a time-series storage; the later row of two with one key counts.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn put_points(&self, storage: StorageId, layout: &Arc<SeriesLayout>, block: &PointBlock) -> Result<()> {
        let mut state = self.writable()?;
        let mut writes = self.writes.write();
        writes.write_points(storage, layout, block.encode(), self.manager.config.write_set_bytes_max)?;
        self.stream(&mut state, &mut writes)
    }

    /// Inserts or replaces many rows.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn put_rows(&self, storage: StorageId, block: RowBlock) -> Result<()> {
        let mut state = self.writable()?;
        let mut writes = self.writes.write();
        writes.write_rows(storage, block, self.manager.config.write_set_bytes_max)?;
        self.stream(&mut state, &mut writes)
    }

    /// Locks unique keys of `index`, ascending, all at once, for rows that are to be inserted: true when all are free, so that
    /// nobody has or wants one of them and no row lies under one in `storage`, committed or by this transaction. Otherwise
    /// nothing is locked, and the caller goes on key by key.
    ///
    /// # Errors
    /// `XX001` on a checksum mismatch, `58030` on read errors.
    pub fn claim_keys(&self, index: Oid, storage: StorageId, keys: &[&[u8]]) -> Result<bool> {
        if keys.is_empty() {
            return Ok(true);
        }
        if !self.owner.claim(index, keys)? {
            return Ok(false);
        }
        let is_free = !self.writes.read().has_any_single(storage, keys) && self.none_committed(storage, keys)?;
        if !is_free {
            self.owner.unclaim(index, keys);
        }
        Ok(is_free)
    }

    /// Gives up keys that [`Self::claim_keys`] has just claimed, before any of their rows was put.
    pub fn unclaim_keys(&self, index: Oid, keys: &[&[u8]]) {
        self.owner.unclaim(index, keys);
    }

    /// Has none of `keys`, ascending, a row in the newest committed state?
    fn none_committed(&self, storage: StorageId, keys: &[&[u8]]) -> Result<bool> {
        // Looked at before the snapshot is taken: what is gone by then is visible in it.
        if self.manager.in_flight.has_any(storage, keys) {
            return Ok(false);
        }
        let reader = self.manager.snapshot().reader;
        let mut last = Vec::new();
        reader.scan(storage, KeyRange::all(), true)?.next_batch(1, &mut last)?;
        let Some(last) = last.first() else { return Ok(true) };
        // Keys that grow are all above it.
        for key in keys.iter().take_while(|key| ***key <= last.key[..]) {
            if reader.get(storage, key)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Locks a relation until the end of the transaction (or a rollback to a savepoint set before).
    ///
    /// # Errors
    /// `40P01`, `55P03`.
    pub async fn lock_relation(&self, oid: Oid, mode: RelationLock, wait: Wait) -> Result<Locked> {
        self.lock(LockKey::Relation(oid), mode.into(), wait).await
    }

    /// Locks a row by its storage key. Errors `40P01`, `55P03` (`could not obtain lock on row in relation "x"` is worded by the caller).
    ///
    /// # Errors
    /// `40P01`, `55P03`.
    pub async fn lock_row(&self, table: Oid, key: &[u8], mode: RowLock, wait: Wait) -> Result<Locked> {
        self.lock(LockKey::Row(table, key.into()), mode.into(), wait).await
    }

    /// Locks a unique key exclusively: (index, key) must not be inserted by two transactions at once.
    ///
    /// # Errors
    /// `40P01`, `55P03`.
    pub async fn lock_key(&self, index: Oid, key: &[u8]) -> Result<Locked> {
        self.lock(LockKey::Unique(index, key.into()), Mode::EXCLUSIVE, Wait::Block).await
    }

    /// Locks a name or number that is neither (object names during DDL: class + bytes).
    ///
    /// # Errors
    /// `40P01`, `55P03`.
    pub async fn lock_name(&self, class: &'static str, name: &[u8]) -> Result<Locked> {
        self.lock(LockKey::Name(class, name.into()), Mode::EXCLUSIVE, Wait::Block).await
    }

    /// Inserts or replaces a row.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn put(&self, storage: StorageId, key: Bytes, row: Bytes) -> Result<()> {
        self.write(RowChange::Put { storage, key, row })
    }

    /// Deletes a row.
    ///
    /// # Errors
    /// `25006`, `54000`, `53100`.
    pub fn delete(&self, storage: StorageId, key: Bytes) -> Result<()> {
        self.write(RowChange::Delete { storage, key })
    }

    /// Remembers that an UPDATE moved a row to another key, so that a waiter on the old key finds it.
    pub fn note_key_change(&self, table: Oid, old: Bytes, new: Bytes) {
        self.writes.write().note_key_change(table, old, new);
    }

    /// Where a committed UPDATE after `since` moved the row of `old`, if it did.
    pub fn moved_to(&self, table: Oid, old: &[u8], since: LogIndex) -> Option<Bytes> {
        self.manager.moved.follow(table, old, since)
    }

    /// Marks the present state.
    pub fn savepoint(&self) -> Savepoint {
        let id = self.writes.write().savepoint();
        self.owner.savepoint(id);
        Savepoint(id)
    }

    /// Undoes everything since the mark and gives up the locks taken since (the mark stays). No statement may run meanwhile.
    pub fn rollback_to(&self, savepoint: Savepoint) {
        let known = self.writes.write().rollback_to(savepoint.0);
        debug_assert!(known, "a savepoint that was released or undone cannot be rolled back to");
        // Only now: who gets these locks must not meet our writes.
        self.owner.rollback_to(savepoint.0);
    }

    /// Forgets the mark and those after it; what was done since stays, and takes less memory from now on.
    pub fn release(&self, savepoint: Savepoint) {
        self.writes.write().release(savepoint.0);
        self.owner.release_savepoint(savepoint.0);
    }

    /// Waits while the engines are too far behind; call now and then from bulk writers.
    ///
    /// # Errors
    /// `57P01` while shutting down.
    pub async fn throttle(&self) -> Result<()> {
        self.manager.applied.maintenance.throttle(&self.manager.applied.engines).await
    }

    /// Makes it durable and visible. Returns its index, None when nothing was written; then what it read is visible. Releases
    /// locks.
    ///
    /// # Errors
    /// `53100` and `54000`: rolled back. `57P01`: not proposed, rolled back. `08007`: the server stops and the outcome is unknown.
    pub async fn commit(&self) -> Result<Option<LogIndex>> {
        if self.writes.read().has_effect() {
            self.throttle().await?;
        }
        let index = match self.propose() {
            Ok(Some(index)) => index,
            Ok(None) => {
                self.rollback();
                return self.settled().await.map(|()| None);
            }
            Err(error) => {
                self.rollback();
                return Err(error);
            }
        };
        let visible = self.manager.applied.visible.wait(index).await;
        self.finish();
        if visible {
            return Ok(Some(index));
        }
        let message = "the outcome of the transaction is unknown: the server is stopping";
        Err(Error::new(SqlState::TRANSACTION_RESOLUTION_UNKNOWN, message))
    }

    /// Forgets it. Releases locks. Dropping an open transaction does the same.
    pub fn rollback(&self) {
        let (phase, set, images) = {
            let mut state = self.state.lock();
            (std::mem::replace(&mut state.phase, Phase::Done), state.set.take(), state.images.take())
        };
        match phase {
            Phase::Done => return,
            // Too late: it happens. Who waits for its locks sees it.
            Phase::Committing(index) => self.manager.applied.visible.release_at(index, &self.owner, images),
            Phase::Active => {
                if let Some(set) = set {
                    self.abort_set(set);
                }
                self.owner.release_all();
            }
        }
        *self.writes.write() = WriteSet::default();
    }

    async fn lock(&self, key: LockKey, mode: Mode, wait: Wait) -> Result<Locked> {
        let timeout = Duration::from_micros(self.lock_timeout_us.load(Ordering::Relaxed));
        self.owner.acquire(key, mode, wait, timeout).await
    }

    fn write(&self, change: RowChange) -> Result<()> {
        let mut state = self.writable()?;
        let mut writes = self.writes.write();
        writes.write(change, self.manager.config.write_set_bytes_max)?;
        self.stream(&mut state, &mut writes)
    }

    /// The state, when it is one that can write.
    fn writable(&self) -> Result<parking_lot::MutexGuard<'_, State>> {
        let state = self.state.lock();
        if state.phase != Phase::Active {
            return Err(Error::new(SqlState::IN_FAILED_SQL_TRANSACTION, "the transaction has already ended"));
        }
        if state.read_only {
            let message = "cannot write in a read-only transaction";
            return Err(Error::new(SqlState::READ_ONLY_SQL_TRANSACTION, message));
        }
        Ok(state)
    }

    /// Sends what is pending into the log as Parts, once the set is large. All of it or, on an error, none.
    fn stream(&self, state: &mut State, writes: &mut WriteSet) -> Result<()> {
        if !writes.wants_streaming(self.manager.config.stream_after_bytes) {
            return Ok(());
        }
        let (mut parts, mut chain, mut run) = (writes.streamed.parts, writes.streamed.chain, Vec::new());
        for body in writes.pending_parts() {
            let set = state.set.map_or(SetRef::Back(parts.into()), SetRef::At);
            run.push((Kind::Part, body.finish(set, parts, &mut chain)));
            parts += 1;
        }
        let first = self.manager.log.append_all(run)?;
        state.set.get_or_insert(first);
        (writes.streamed.parts, writes.streamed.chain) = (parts, chain);
        writes.note_streamed();
        Ok(())
    }

    /// Proposes the Commit and gives up the locks that can go early. `None` when there is nothing to commit.
    fn propose(&self) -> Result<Option<LogIndex>> {
        let mut state = self.state.lock();
        match state.phase {
            Phase::Active => {}
            Phase::Committing(index) => return Ok(Some(index)),
            Phase::Done => return Ok(None),
        }
        let mut writes = self.writes.write();
        if !writes.has_effect() {
            return Ok(None);
        }
        let index = match state.set {
            None => self.manager.propose_run(writes.compact_parts(), Vec::new())?,
            Some(set) => self.propose_rest(set, &writes)?,
        };
        state.phase = Phase::Committing(index);
        for moved in writes.take_key_changes() {
            self.manager.moved.note(index, moved.table, moved.old, moved.new);
        }
        if let Some(rows) = writes.final_rows(in_flight::CHANGES_MAX) {
            state.images = Some(self.manager.in_flight.enter(index, rows));
            self.owner.release_early();
        }
        Ok(Some(index))
    }

    /// The last Parts and the Commit of a set that has been streamed.
    fn propose_rest(&self, set: LogIndex, writes: &WriteSet) -> Result<LogIndex> {
        let (mut parts, mut chain, mut run) = (writes.streamed.parts, writes.streamed.chain, Vec::new());
        for body in writes.pending_parts() {
            run.push((Kind::Part, body.finish(SetRef::At(set), parts, &mut chain)));
            parts += 1;
        }
        let commit = writes.commit(parts, chain)?;
        run.push((Kind::Commit, commit.encode(SetRef::At(set))));
        let before_commit = run.len() as u64 - 1;
        let first = self.manager.log.append_all(run)?;
        Ok(LogIndex(first.0 + before_commit))
    }

    /// The commit is visible (or never will be).
    fn finish(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Done {
            return;
        }
        state.phase = Phase::Done;
        let images = state.images.take();
        drop(state);
        drop(images);
        self.owner.release_all();
        let writes = std::mem::take(&mut *self.writes.write());
        drop(writes);
    }

    fn abort_set(&self, set: LogIndex) {
        match self.manager.log.append(Kind::Abort, encode_abort(set)) {
            Ok(_) => {}
            // The next start aborts it.
            Err(error) if error.code() == stopping().code() => {}
            Err(error) => {
                tracing::warn!(%error, set = set.0, "an Abort could not be written; it is tried again");
                self.manager.applied.maintenance.abort_later(set);
            }
        }
    }

    fn with_own_ddl(&self, state: &mut State, base: &Arc<CatalogSnapshot>) -> Arc<CatalogSnapshot> {
        let writes = self.writes.read();
        if !writes.has_edits() {
            return Arc::clone(base);
        }
        let generation = writes.edit_generation();
        if let Some(overlay) = &state.overlay
            && Arc::ptr_eq(&overlay.base, base)
            && overlay.generation == generation
        {
            return Arc::clone(&overlay.catalog);
        }
        let from = LogIndex(NEXT_OVERLAY.fetch_sub(1, Ordering::Relaxed));
        let catalog = Arc::new(base.with(&writes.edits(), from));
        state.overlay = Some(OverlayCatalog { base: Arc::clone(base), generation, catalog: Arc::clone(&catalog) });
        catalog
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.rollback();
    }
}

/// The position that a sequence has no more once `edit` is made.
fn left_state(before: &CatalogSnapshot, edit: &CatalogEdit) -> Option<Oid> {
    let (oid, kept) = match edit {
        CatalogEdit::Delete(oid) => (*oid, None),
        CatalogEdit::Put(Object::Sequence(s)) => (s.oid, Some(s.state)),
        CatalogEdit::Put(_) => return None,
    };
    let state = before.sequence(oid)?.state;
    (kept != Some(state)).then_some(state)
}
