//! The base: everything merged, in redb. Owned by the maintenance thread alone.
//!
//! A merge commits rows in slices, the flushed index with the last one; after each this thread opens a read transaction and hands
//! it out as a [`BaseView`]. A crash in between leaves rows above the flushed index, which a replay writes once more, the same. Readers never touch redb's transaction tracker. Byte table of the tables:
//! docs/formats/base.md.

use crate::RelationalConfig;
use crate::backend::{Backend, Failure, Overlay, damaged, read_error};
use crate::block_file::BlockFile;
use crate::leaf::{self, Leaf, LeafRow};
use crate::memtable::Memtable;
use crate::merge::{Version, Writer, newest_versions};
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, SqlState, StorageId};
use redb::{
    AccessGuard, Builder, Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, StorageError,
    TableDefinition, WriteTransaction,
};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Fence -> leaf ([`crate::leaf`]). A fence is a storage (8 bytes, big endian) ++ a key or the beginning of one: the leaf's rows are not
/// below it, and below the next fence. That of a storage's first leaf is the storage alone.
const LEAVES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("leaves");
/// Bytes of a fence before the key.
pub const FENCE_BYTES: usize = 8;
/// Storages whose rows are not all removed yet: rows at or below the index are hidden.
const DROPS: TableDefinition<u64, u64> = TableDefinition::new("drops");
/// Rows of each storage in [`LEAVES`], exactly.
const COUNTS: TableDefinition<u64, u64> = TableDefinition::new("counts");
/// "flushed_index".
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const FLUSHED: &str = "flushed_index";
const FILE: &str = "rows.base";
const FILE_NEW: &str = "rows.base.new";
/// However small memtables are, a transaction of a merge changes more than a few pages.
const SLICE_BYTES_MIN: usize = 128 << 10;
/// Leaves looked at in one transaction while a dropped storage is removed.
const DROP_SLICE_LEAVES: usize = 1_000;
/// Page cache of the second redb that checks the file.
const VERIFY_CACHE_BYTES: usize = 8 << 20;

/// The base at one merge.
pub struct BaseView {
    /// Holds its read transaction.
    leaves: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Rows of these storages at or below the index are hidden.
    pub drops: Arc<BTreeMap<StorageId, LogIndex>>,
    /// Rows of each storage, those that drops hide included.
    pub counts: Arc<Counts>,
    /// Why reads fail, once they do.
    pub failure: Arc<Failure>,
    /// Another one after every change of rows, for [`crate::cache`].
    pub epoch: u32,
}

type Guard<'a> = AccessGuard<'a, &'static [u8]>;

impl BaseView {
    /// The leaf that has the row at `place`, if there is such a row.
    pub fn leaf(&self, place: &[u8]) -> Result<Option<Guard<'_>>> {
        Ok(self.leaf_before(place)?.map(|(_, leaf)| leaf))
    }

    /// All leaves that may have rows at `places`.
    pub fn leaves(&self, places: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Leaves> {
        let explain = |e| self.failure.explain(&e);
        // Rows from a place on may lie in a leaf whose fence is below it.
        let first = match places.0 {
            Bound::Included(place) | Bound::Excluded(place) => {
                self.leaf_before(place)?.map(|(fence, _)| fence.value().to_vec())
            }
            Bound::Unbounded => None,
        };
        let lower = first.as_deref().map_or(places.0, Bound::Included);
        self.leaves.range::<&[u8]>((lower, places.1)).map_err(explain)
    }

    /// The last leaf of the place's storage whose fence is not above it.
    fn leaf_before(&self, place: &[u8]) -> Result<Option<(Guard<'_>, Guard<'_>)>> {
        let explain = |e| self.failure.explain(&e);
        let mut cursor = self.leaves.upper_bound(Bound::Included(place)).map_err(explain)?;
        let found = cursor.peek_prev().map_err(explain)?;
        Ok(found.filter(|(fence, _)| fence.value().get(..FENCE_BYTES) == place.get(..FENCE_BYTES)))
    }
}

/// Fences and leaves.
pub type Leaves = redb::Range<'static, &'static [u8], &'static [u8]>;

/// Rows by storage; none of it: no entry.
pub type Counts = BTreeMap<StorageId, u64>;

/// The redb database.
pub struct Base {
    env: Env,
    path: PathBuf,
    cache_bytes: usize,
    /// Pages that one transaction of a merge may change, about.
    slice_bytes: usize,
    /// None only after it could not be opened again.
    open: Option<Open>,
    epoch: u32,
}

struct Open {
    db: Database,
    file: Arc<BlockFile>,
    failure: Arc<Failure>,
    drops: BTreeMap<StorageId, LogIndex>,
    counts: Arc<Counts>,
}

impl Base {
    /// Opens or creates the base. Returns the flushed index too.
    pub fn open(env: Env, config: &RelationalConfig) -> Result<(Self, LogIndex)> {
        let (dir, path) = (&config.dir, config.dir.join(FILE));
        if !env.disk.exists(&path) {
            create(&env, dir, &path).map_err(|e| create_error(&path, &e))??;
        }
        let (cache_bytes, slice_bytes) = (config.cache_bytes, config.memtable_bytes_max.max(SLICE_BYTES_MIN));
        let mut base = Self { env, path, cache_bytes, slice_bytes, open: None, epoch: 0 };
        let flushed = base.open_database()?;
        Ok((base, flushed))
    }

    fn open_database(&mut self) -> Result<LogIndex> {
        self.open = None;
        let file = BlockFile::open(&*self.env.disk, &self.path).map_err(|e| read_error(&self.path, &e))?;
        if file.is_empty() {
            // redb would take it for a new file and start over.
            return Err(damaged(format!("file \"{}\" is cut short", self.path.display())));
        }
        let file = Arc::new(file);
        let failure = Arc::new(Failure::default());
        let backend = Backend::new(Arc::clone(&file), Arc::clone(&failure));
        let db = open_redb(&self.path, &failure, self.cache_bytes, backend)?;
        let (flushed, drops) = read_state(&db).map_err(|e| explain(&failure, e))?;
        let counts = Arc::new(read_counts(&db).map_err(|e| explain(&failure, e))?);
        self.open = Some(Open { db, file, failure, drops, counts });
        Ok(flushed)
    }

    /// Opens the database again when a read failed: redb refuses everything after the first. True when it did.
    pub fn recover(&mut self) -> Result<bool> {
        if self.open.as_ref().is_some_and(|open| !open.failure.happened()) {
            return Ok(false);
        }
        tracing::warn!(path = %self.path.display(), "a read of the base failed, opening it again");
        self.open_database()?;
        Ok(true)
    }

    fn opened(&self) -> Result<&Open> {
        self.open.as_ref().ok_or_else(|| damaged(format!("file \"{}\" could not be opened again", self.path.display())))
    }

    /// The newest merged state.
    pub fn view(&self) -> Result<BaseView> {
        let open = self.opened()?;
        let explain = |e: redb::Error| explain(&open.failure, e);
        let tx = open.db.begin_read().map_err(|e| explain(e.into()))?;
        let leaves = tx.open_table(LEAVES).map_err(|e| explain(e.into()))?;
        Ok(BaseView {
            leaves,
            drops: Arc::new(open.drops.clone()),
            counts: Arc::clone(&open.counts),
            failure: Arc::clone(&open.failure),
            epoch: self.epoch,
        })
    }

    /// Merges memtables (oldest first), in slices, and makes `flushed` the flushed index with the last one. `publish` gets each
    /// state but the last: until then the memtables lie above it and say the same. These states have an epoch between that of the
    /// base before and that of the base after, at which nobody enters rows into the cache; what it has of rows that the memtables
    /// have not holds for them, too.
    pub fn merge(
        &mut self,
        sealed: &[Arc<Memtable>],
        flushed: LogIndex,
        mut publish: impl FnMut(BaseView),
    ) -> Result<()> {
        self.epoch += 1;
        let mut drops = self.opened()?.drops.clone();
        for (storage, index) in sealed.iter().flat_map(|table| table.drops()) {
            let entry = drops.entry(storage).or_default();
            *entry = index.max(*entry);
        }
        let runs: Vec<_> = sealed.iter().map(|table| table.runs()).collect();
        // What the base has of a dropped storage goes with its slices.
        let is_dropped = |v: &Version<'_>| drops.get(&v.storage()).is_some_and(|&index| v.index() <= index);
        let mut writer = Writer::new(newest_versions(sealed, &runs).filter(|v| !is_dropped(v)));
        loop {
            let open = self.opened()?;
            let slice = merge_slice(&open.db, &mut writer, self.slice_bytes, flushed, &drops, &open.counts);
            let (is_done, counts) = slice.map_err(|e| explain(&open.failure, e))?;
            self.set_counts(counts);
            if is_done {
                break;
            }
            publish(self.view()?);
        }
        drop(writer); // it looks at the drops
        self.set_drops(drops);
        self.epoch += 1;
        Ok(())
    }

    /// The dropped storage whose rows are removed next, if there is one.
    pub fn next_drop(&self) -> Option<StorageId> {
        self.open.as_ref().and_then(|open| open.drops.keys().next().copied())
    }

    /// Removes a slice of a dropped storage, starting at `from`. Returns where to go on; `None` when that storage is done.
    pub fn remove_slice(&mut self, from: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
        let open = self.opened()?;
        let Some((&storage, &index)) = open.drops.first_key_value() else { return Ok(None) };
        let slice = remove_slice(&open.db, storage, index, from, &open.counts);
        let (next, counts) = slice.map_err(|e| explain(&open.failure, e))?;
        let drops = open.drops.clone();
        self.set_counts(counts);
        if next.is_none() {
            let mut drops = drops;
            drops.remove(&storage);
            self.set_drops(drops);
        }
        self.epoch += 1;
        Ok(next)
    }

    fn set_counts(&mut self, counts: Counts) {
        if let Some(open) = &mut self.open {
            open.counts = Arc::new(counts);
        }
    }

    fn set_drops(&mut self, drops: BTreeMap<StorageId, LogIndex>) {
        if let Some(open) = &mut self.open {
            open.drops = drops;
        }
    }

    /// Checks every block. What a crash left torn in free blocks is no damage: when blocks are bad, a second redb walks the
    /// file from its root and meets exactly the blocks in use.
    pub fn verify(&self) -> Result<()> {
        let open = self.opened()?;
        let bad = open.file.scan().map_err(|e| read_error(&self.path, &e))?;
        if bad.is_empty() {
            return Ok(());
        }
        let failure = Arc::new(Failure::default());
        let backend = Backend::new(Arc::clone(&open.file), Arc::clone(&failure));
        let mut copy = open_redb(&self.path, &failure, VERIFY_CACHE_BYTES, Overlay::new(backend))?;
        match guarded(&self.path, || copy.check_integrity())? {
            Ok(true) => {
                tracing::info!(path = %self.path.display(), blocks = bad.len(), "free blocks are torn, which is harmless");
                Ok(())
            }
            Ok(false) => Err(damaged(format!("file \"{}\" is damaged", self.path.display()))),
            Err(e) => {
                let names: Vec<String> = bad.iter().take(20).map(|block| block.offset.to_string()).collect();
                let detail = format!("{} blocks do not verify, at offsets {}.", bad.len(), names.join(", "));
                Err(explain(&failure, e.into()).detail(detail))
            }
        }
    }
}

/// Makes the file under another name first: a crash in the middle leaves nothing that looks like a base.
fn create(env: &Env, dir: &Path, path: &Path) -> std::io::Result<Result<()>> {
    env.disk.create_dir_all(dir)?;
    let new = dir.join(FILE_NEW);
    if env.disk.exists(&new) {
        env.disk.remove_file(&new)?;
    }
    let file = Arc::new(BlockFile::create(&*env.disk, &new)?);
    let failure = Arc::new(Failure::default());
    let made = open_redb(&new, &failure, VERIFY_CACHE_BYTES, Backend::new(file, Arc::clone(&failure))).and_then(|db| {
        let nothing = &mut Writer::new(std::iter::empty());
        let slice = merge_slice(&db, nothing, 0, LogIndex(0), &BTreeMap::new(), &Counts::new());
        slice.map(drop).map_err(|e| explain(&failure, e))
    });
    if made.is_ok() {
        env.disk.rename(&new, path)?;
        env.disk.sync_dir(dir)?;
    }
    Ok(made)
}

fn create_error(path: &Path, e: &std::io::Error) -> Error {
    let code = match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => SqlState::DISK_FULL,
        _ => SqlState::IO_ERROR,
    };
    Error::new(code, format!("could not create file \"{}\": {e}", path.display()))
}

fn open_redb(path: &Path, failure: &Failure, cache: usize, backend: impl redb::StorageBackend) -> Result<Database> {
    let opened = guarded(path, || Builder::new().set_cache_size(cache).create_with_backend(backend))?;
    opened.map_err(|e| explain(failure, e.into()))
}

/// redb asserts about its header; what is on disk must not end the process.
fn guarded<T>(path: &Path, f: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| damaged(format!("file \"{}\" is damaged", path.display())))
}

/// What an error of redb means to a statement.
fn explain(failure: &Failure, e: redb::Error) -> Error {
    match e {
        redb::Error::Corrupted(what) => failure.explain(&StorageError::Corrupted(what)),
        redb::Error::Io(e) => failure.explain(&StorageError::Io(e)),
        redb::Error::PreviousIo => failure.explain(&StorageError::PreviousIo),
        redb::Error::DatabaseClosed => failure.explain(&StorageError::DatabaseClosed),
        _ if failure.happened() => failure.explain(&StorageError::PreviousIo),
        redb::Error::TableDoesNotExist(table) => damaged(format!("relational base has no table \"{table}\"")),
        other => Error::internal(format!("relational base: {other}")),
    }
}

fn read_state(db: &Database) -> Result<(LogIndex, BTreeMap<StorageId, LogIndex>), redb::Error> {
    let tx = db.begin_read()?;
    let flushed = tx.open_table(META)?.get(FLUSHED)?.map_or(0, |index| index.value());
    let mut drops = BTreeMap::new();
    for entry in tx.open_table(DROPS)?.range::<u64>(..)? {
        let (storage, index) = entry?;
        drops.insert(StorageId(storage.value()), LogIndex(index.value()));
    }
    Ok((LogIndex(flushed), drops))
}

fn read_counts(db: &Database) -> Result<Counts, redb::Error> {
    let mut counts = Counts::new();
    for entry in db.begin_read()?.open_table(COUNTS)?.range::<u64>(..)? {
        let (storage, rows) = entry?;
        counts.insert(StorageId(storage.value()), rows.value());
    }
    Ok(counts)
}

/// Makes the table say `after` where it says `before`.
fn write_counts(tx: &WriteTransaction, before: &Counts, after: &Counts) -> Result<(), redb::Error> {
    let mut table = tx.open_table(COUNTS)?;
    for (storage, rows) in after.iter().filter(|(storage, rows)| before.get(storage) != Some(rows)) {
        table.insert(storage.0, rows)?;
    }
    for storage in before.keys().filter(|storage| !after.contains_key(storage)) {
        table.remove(storage.0)?;
    }
    Ok(())
}

/// `counts` after as many rows came and went.
fn counted(counts: &Counts, changes: impl IntoIterator<Item = (StorageId, i64)>) -> Counts {
    let mut counts = counts.clone();
    for (storage, change) in changes {
        let rows = counts.entry(storage).or_default();
        *rows = rows.saturating_add_signed(change);
    }
    counts.retain(|_, rows| *rows > 0);
    counts
}

/// Two-phase commits with the allocator's state: opening after a kill walks nothing.
fn begin(db: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut tx = db.begin_write()?;
    tx.set_durability(Durability::Immediate)?;
    tx.set_quick_repair(true);
    Ok(tx)
}

/// Writes a slice; with the last one, the flushed index and drops. False: there are more. `counts` before it, and the counts after.
fn merge_slice<'v>(
    db: &Database,
    writer: &mut Writer<'v, impl Iterator<Item = Version<'v>>>,
    slice_bytes: usize,
    flushed: LogIndex,
    drops: &BTreeMap<StorageId, LogIndex>,
    counts: &Counts,
) -> Result<(bool, Counts), redb::Error> {
    let tx = begin(db)?;
    let is_done = writer.write(&mut tx.open_table(LEAVES)?, slice_bytes)?;
    let after = counted(counts, writer.take_changes());
    write_counts(&tx, counts, &after)?;
    if is_done {
        tx.open_table(META)?.insert(FLUSHED, flushed.0)?;
        let mut table = tx.open_table(DROPS)?;
        for (storage, index) in drops {
            table.insert(storage.0, index.0)?;
        }
    }
    tx.commit()?;
    Ok((is_done, after))
}

fn remove_slice(
    db: &Database,
    storage: StorageId,
    index: LogIndex,
    from: Option<Vec<u8>>,
    counts: &Counts,
) -> Result<(Option<Vec<u8>>, Counts), redb::Error> {
    let tx = begin(db)?;
    let next;
    let mut removed = 0;
    {
        let mut leaves = tx.open_table(LEAVES)?;
        let start = from.unwrap_or_else(|| storage.0.to_be_bytes().to_vec());
        let end = storage_end(storage);
        let upper = |end: &Option<Vec<u8>>| end.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(start.clone()), upper(&end));
        let slice_end = match leaves.range::<&[u8]>(borrowed(&range))?.nth(DROP_SLICE_LEAVES) {
            Some(entry) => Some(entry?.0.value().to_vec()),
            None => None,
        };
        let slice = (Bound::Included(start), upper(&slice_end.clone().or(end)));
        let mut thinned = Vec::new();
        let mut failed = None;
        leaves.retain_in::<&[u8], _>(borrowed(&slice), |fence, leaf| match newer(leaf, index) {
            Ok((rows, gone)) => {
                removed += gone as i64;
                if gone > 0 && !rows.is_empty() {
                    let mut leaf = Vec::new();
                    leaf::encode(&rows, &mut leaf);
                    thinned.push((fence.to_vec(), leaf));
                }
                !rows.is_empty()
            }
            Err(e) => {
                failed = Some(e);
                true
            }
        })?;
        if let Some(e) = failed {
            return Err(redb::Error::Corrupted(e.to_string()));
        }
        for (fence, leaf) in thinned {
            leaves.insert(&fence[..], &leaf[..])?;
        }
        if slice_end.is_none() {
            tx.open_table(DROPS)?.remove(storage.0)?;
        }
        next = slice_end;
    }
    let after = counted(counts, [(storage, -removed)]);
    write_counts(&tx, counts, &after)?;
    tx.commit()?;
    Ok((next, after))
}

/// The rows of a leaf above an index, and how many others it has.
fn newer(leaf: &[u8], index: LogIndex) -> Result<(Vec<LeafRow<'_>>, usize)> {
    let leaf = Leaf::open(leaf)?;
    let mut rows = (0..leaf.len()).map(|at| leaf.row(at)).collect::<Result<Vec<_>>>()?;
    rows.retain(|row| row.index > index);
    let gone = leaf.len() - rows.len();
    Ok((rows, gone))
}

fn borrowed(range: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (range.0.as_ref().map(|key| &key[..]), range.1.as_ref().map(|key| &key[..]))
}

/// Makes `place` the base's key of a row.
pub fn base_key(place: &mut Vec<u8>, storage: StorageId, key: &[u8]) {
    place.clear();
    place.extend_from_slice(&storage.0.to_be_bytes());
    place.extend_from_slice(key);
}

/// The first key after all of a storage; `None` after the last storage.
pub fn storage_end(storage: StorageId) -> Option<Vec<u8>> {
    storage.0.checked_add(1).map(|next| next.to_be_bytes().to_vec())
}

/// The key that is behind a fence's storage.
pub fn storage_key(fence: &[u8]) -> &[u8] {
    fence.get(FENCE_BYTES..).unwrap_or_default()
}
