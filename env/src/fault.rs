//! A disk that misbehaves on demand: fails the n-th call of a kind with ENOSPC or EIO, tears writes, forgets unsynced bytes.
//!
//! Used by the tests of everything that writes files. Wraps any [`Disk`].
//!
//!   fail_nth / fail_from / tear_nth   script what goes wrong; every call is counted by [`Op`]
//!   track_unsynced, then power_cut    the inner disk is left as after a crash, this disk is dead (every call EIO)
//!
//! A power cut takes each unsynced write of each file for itself: dropped, kept, or kept in some sectors only. Unsynced
//! folder operations survive as a prefix of their order, as on a journaling file system. Synced bytes always survive;
//! `remove_dir_all` and `create_dir_all` count as durable at once.

use crate::disk::{Disk, File, OpenMode};
use crate::random::SeededRandom;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Kinds of calls, as the script names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// Opening or creating a file.
    Open,
    /// Reading bytes, or a length.
    Read,
    /// Writing bytes.
    Write,
    /// fsync or fdatasync of a file.
    Sync,
    /// Changing a file's length.
    SetLen,
    /// Reserving blocks.
    Allocate,
    /// Renaming a file.
    Rename,
    /// Removing a file or folder.
    Remove,
    /// Listing a folder.
    List,
    /// Creating folders.
    CreateDir,
    /// fsync of a folder.
    SyncDir,
    /// Taking a lock.
    Lock,
}

/// What a failing call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// ENOSPC.
    NoSpace,
    /// EIO.
    Io,
}

impl Fault {
    fn error(self) -> io::Error {
        let errno = match self {
            Self::NoSpace => rustix::io::Errno::NOSPC,
            Self::Io => rustix::io::Errno::IO,
        };
        errno.into()
    }
}

/// What a power cut does to the bytes and names that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it is gone.
    DropAll,
    /// All of it is there: the process was killed, the machine went on.
    KeepAll,
    /// Each piece is dropped, kept or torn, as the seed says.
    Random(u64),
}

/// The disk that misbehaves.
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    dead: bool,
    tracking: bool,
    calls: u64,
    calls_of: BTreeMap<Op, u64>,
    rules: Vec<Rule>,
    /// Which file a path names, so that unsynced bytes follow a rename.
    names: BTreeMap<PathBuf, FileId>,
    next_file: FileId,
    unsynced: BTreeMap<FileId, Unsynced>,
    folder_ops: Vec<FolderOp>,
}

type FileId = u64;

struct Rule {
    op: Option<Op>,
    skip: u64,
    times: u64,
    fault: Fault,
    keep_bytes: usize,
}

struct Unsynced {
    file: Arc<dyn File>,
    changes: Vec<Change>,
}

/// One unsynced change of a file, with what it replaced.
struct Change {
    offset: u64,
    old: Vec<u8>,
    old_len: u64,
    new: Vec<u8>,
    new_len: u64,
}

/// One unsynced change of a folder, with what undoes it.
enum FolderOp {
    Create { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf, replaced: Option<Vec<u8>> },
    Remove { path: PathBuf, bytes: Vec<u8> },
}

/// Disks tear writes at sector borders.
const SECTOR: u64 = 512;

impl FaultDisk {
    /// A disk that behaves like `inner` until told otherwise.
    pub fn new(inner: Arc<dyn Disk>) -> Arc<Self> {
        Arc::new(Self { inner, state: Arc::default() })
    }

    /// Remembers from now on what is not synced, for [`FaultDisk::power_cut`]. Files written before count as synced.
    pub fn track_unsynced(&self) {
        self.state.lock().tracking = true;
    }

    /// Fails the `n`-th call from now on (0 = the next) of kind `op` (any when `None`), once.
    pub fn fail_nth(&self, op: Option<Op>, n: u64, fault: Fault) {
        self.add(Rule { op, skip: n, times: 1, fault, keep_bytes: 0 });
    }

    /// Fails the `n`-th call of kind `op` and all that follow, until [`FaultDisk::clear`].
    pub fn fail_from(&self, op: Option<Op>, n: u64, fault: Fault) {
        self.add(Rule { op, skip: n, times: u64::MAX, fault, keep_bytes: 0 });
    }

    /// The `n`-th write from now on puts only its first `keep_bytes` bytes on disk and fails.
    pub fn tear_nth(&self, n: u64, keep_bytes: usize, fault: Fault) {
        self.add(Rule { op: Some(Op::Write), skip: n, times: 1, fault, keep_bytes });
    }

    /// Forgets the script.
    pub fn clear(&self) {
        self.state.lock().rules.clear();
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// Calls of one kind so far.
    pub fn calls_of(&self, op: Op) -> u64 {
        self.state.lock().calls_of.get(&op).copied().unwrap_or(0)
    }

    /// Cuts the power: every later call here fails, and the inner disk holds what a reboot would find.
    ///
    /// # Errors
    /// Those of the inner disk.
    pub fn power_cut(&self, cut: Cut) -> io::Result<()> {
        let mut state = self.state.lock();
        state.dead = true;
        let unsynced = std::mem::take(&mut state.unsynced);
        let ops = std::mem::take(&mut state.folder_ops);
        let seed = match cut {
            Cut::KeepAll => return Ok(()),
            Cut::DropAll => None,
            Cut::Random(seed) => Some(SeededRandom::new(seed)),
        };
        for file in unsynced.into_values() {
            file.cut(seed.as_ref())?;
        }
        let kept = seed.map_or(0, |r| r.below(ops.len() as u64 + 1) as usize);
        for op in ops.into_iter().skip(kept).rev() {
            op.undo(&*self.inner)?;
        }
        Ok(())
    }

    fn add(&self, rule: Rule) {
        self.state.lock().rules.push(rule);
    }

    /// The path's file as the inner disk holds it, or `None` when it is not there.
    fn contents(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        if !self.inner.exists(path) {
            return Ok(None);
        }
        let file = self.inner.open(path, OpenMode::Read)?;
        read_range(&*file, 0, file.len()?).map(Some)
    }
}

impl State {
    /// Counts the call and applies the script.
    fn enter(&mut self, op: Op) -> io::Result<()> {
        self.enter_torn(op).map_err(|(e, _)| e)
    }

    /// As [`State::enter`]; a failure says how many bytes of a write still reach the disk.
    fn enter_torn(&mut self, op: Op) -> Result<(), (io::Error, usize)> {
        if self.dead {
            return Err((Fault::Io.error(), 0));
        }
        self.calls += 1;
        *self.calls_of.entry(op).or_default() += 1;
        let mut hit = None;
        for rule in self.rules.iter_mut().filter(|r| r.op.is_none_or(|o| o == op) && r.times > 0) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else {
                rule.times = if rule.times == u64::MAX { u64::MAX } else { rule.times - 1 };
                hit = hit.or(Some((rule.fault.error(), rule.keep_bytes)));
            }
        }
        hit.map_or(Ok(()), Err)
    }

    fn file_id(&mut self, path: &Path) -> FileId {
        let next = &mut self.next_file;
        *self.names.entry(path.to_owned()).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    fn remember(&mut self, id: FileId, file: &Arc<dyn File>, change: Change) {
        let entry = self.unsynced.entry(id).or_insert_with(|| Unsynced { file: Arc::clone(file), changes: Vec::new() });
        entry.changes.push(change);
    }
}

impl Unsynced {
    /// Takes everything back to the last sync, then lets happen again what the seed lets survive.
    fn cut(self, seed: Option<&SeededRandom>) -> io::Result<()> {
        for c in self.changes.iter().rev() {
            self.file.write_all_at(&c.old, c.offset)?;
            self.file.set_len(c.old_len)?;
        }
        let Some(random) = seed else { return Ok(()) };
        for c in &self.changes {
            match random.below(4) {
                0 => {}
                1 => self.redo(c, &mut |_| true)?,
                2 => self.redo(c, &mut |_| random.below(2) == 0)?,
                _ => {
                    let end = c.offset + random.below(c.new.len() as u64 + 1);
                    self.redo(c, &mut |sector_start| sector_start < end)?;
                }
            }
        }
        Ok(())
    }

    /// Applies the sectors of a change that `survives` (asked with each sector's first byte) picks.
    fn redo(&self, c: &Change, survives: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        let len = self.file.len()?;
        if c.new_len > len || c.new.is_empty() {
            self.file.set_len(c.new_len)?;
        }
        let (mut at, end) = (c.offset, c.offset + c.new.len() as u64);
        while at < end {
            let stop = ((at / SECTOR + 1) * SECTOR).min(end);
            if survives(at) {
                self.file.write_all_at(&c.new[(at - c.offset) as usize..(stop - c.offset) as usize], at)?;
            }
            at = stop;
        }
        Ok(())
    }
}

impl FolderOp {
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::Create { path } | Self::Remove { path, .. } => path.parent(),
            Self::Rename { to, .. } => to.parent(),
        }
    }

    fn undo(self, disk: &dyn Disk) -> io::Result<()> {
        match self {
            Self::Create { path } => disk.remove_file(&path),
            Self::Remove { path, bytes } => restore(disk, &path, &bytes),
            Self::Rename { from, to, replaced } => {
                disk.rename(&to, &from)?;
                replaced.map_or(Ok(()), |bytes| restore(disk, &to, &bytes))
            }
        }
    }
}

fn restore(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.open(path, OpenMode::CreateNew)?;
    file.write_all_at(bytes, 0)?;
    file.sync_all()
}

/// The bytes of `[offset, end)` that exist.
fn read_range(file: &dyn File, offset: u64, end: u64) -> io::Result<Vec<u8>> {
    let end = end.min(file.len()?);
    let mut out = vec![0; end.saturating_sub(offset) as usize];
    file.read_exact_at(&mut out, offset)?;
    Ok(out)
}

impl Disk for FaultDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.state.lock();
        state.enter(Op::Open)?;
        let creates = !self.inner.exists(path);
        let inner = self.inner.open(path, mode)?;
        if state.tracking && creates {
            state.names.remove(path);
            state.folder_ops.push(FolderOp::Create { path: path.to_owned() });
        }
        let id = state.file_id(path);
        Ok(Arc::new(FaultFile { inner, id, state: Arc::clone(&self.state) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.state.lock().enter(Op::List)?;
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.state.lock().enter(Op::CreateDir)?;
        self.inner.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Op::Rename)?;
        let replaced = if state.tracking { self.contents(to)? } else { None };
        self.inner.rename(from, to)?;
        state.names.remove(to);
        if let Some(id) = state.names.remove(from) {
            state.names.insert(to.to_owned(), id);
        }
        if state.tracking {
            state.folder_ops.push(FolderOp::Rename { from: from.to_owned(), to: to.to_owned(), replaced });
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Op::Remove)?;
        let bytes = if state.tracking { self.contents(path)? } else { None };
        self.inner.remove_file(path)?;
        if let Some(id) = state.names.remove(path) {
            state.unsynced.remove(&id);
        }
        if let Some(bytes) = bytes {
            state.folder_ops.push(FolderOp::Remove { path: path.to_owned(), bytes });
        }
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Op::Remove)?;
        self.inner.remove_dir_all(dir)?;
        state.names.retain(|p, _| !p.starts_with(dir));
        state.folder_ops.retain(|op| op.dir().is_none_or(|d| !d.starts_with(dir)));
        let State { names, unsynced, .. } = &mut *state;
        unsynced.retain(|id, _| names.values().any(|n| n == id));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Op::SyncDir)?;
        self.inner.sync_dir(dir)?;
        state.folder_ops.retain(|op| op.dir() != Some(dir));
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
}

struct FaultFile {
    inner: Arc<dyn File>,
    id: FileId,
    state: Arc<Mutex<State>>,
}

impl FaultFile {
    fn sync(&self, run: impl FnOnce(&dyn File) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(Op::Sync)?;
        run(&*self.inner)?;
        state.unsynced.remove(&self.id);
        Ok(())
    }

    fn write(&self, state: &mut State, buf: &[u8], offset: u64) -> io::Result<()> {
        if state.tracking {
            let (old_len, end) = (self.inner.len()?, offset + buf.len() as u64);
            let old = read_range(&*self.inner, offset, end)?;
            let change = Change { offset, old, old_len, new: buf.to_vec(), new_len: old_len.max(end) };
            state.remember(self.id, &self.inner, change);
        }
        self.inner.write_all_at(buf, offset)
    }

    fn resize(&self, op: Op, new_len: impl FnOnce(u64) -> u64, run: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock();
        state.enter(op)?;
        if state.tracking {
            let old_len = self.inner.len()?;
            let new_len = new_len(old_len);
            let old = read_range(&*self.inner, new_len, old_len)?;
            let offset = new_len.min(old_len);
            state.remember(self.id, &self.inner, Change { offset, old, old_len, new: Vec::new(), new_len });
        }
        run()
    }
}

impl File for FaultFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.state.lock().enter(Op::Read)?;
        self.inner.read_at(buf, offset)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.enter_torn(Op::Write) {
            Ok(()) => self.write(&mut state, buf, offset),
            Err((e, keep)) => {
                if keep > 0 {
                    self.write(&mut state, &buf[..keep.min(buf.len())], offset)?;
                }
                Err(e)
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync(|f| f.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync(|f| f.sync_all())
    }

    fn len(&self) -> io::Result<u64> {
        self.state.lock().enter(Op::Read)?;
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.resize(Op::SetLen, |_| len, || self.inner.set_len(len))
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.resize(Op::Allocate, |old| old.max(len), || self.inner.allocate(len))
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.state.lock().enter(Op::Lock)?;
        self.inner.try_lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::is_disk_full;
    use crate::mem::MemDisk;
    use crate::mem::tests::disk_contract;

    fn tracked() -> (Arc<MemDisk>, Arc<FaultDisk>) {
        let mem = Arc::new(MemDisk::new());
        let disk = FaultDisk::new(mem.clone());
        disk.track_unsynced();
        (mem, disk)
    }

    fn read(disk: &dyn Disk, path: &str) -> Vec<u8> {
        let f = disk.open(Path::new(path), OpenMode::Read).expect("open");
        read_range(&*f, 0, u64::MAX).expect("read")
    }

    #[test]
    fn fault_disk_keeps_the_contract() {
        disk_contract(&*tracked().1, Path::new("/"));
    }

    #[test]
    fn script_hits_the_nth_call_of_its_kind() {
        let disk = FaultDisk::new(Arc::new(MemDisk::new()));
        let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
        disk.fail_nth(Some(Op::Write), 1, Fault::NoSpace);
        disk.fail_nth(Some(Op::Sync), 0, Fault::Io);
        f.write_all_at(b"a", 0).expect("first");
        assert!(is_disk_full(&f.write_all_at(b"b", 1).expect_err("second")));
        f.write_all_at(b"c", 1).expect("third");
        assert!(!is_disk_full(&f.sync_data().expect_err("sync")));
        f.sync_data().expect("once only");
        disk.fail_from(Some(Op::Allocate), 0, Fault::NoSpace);
        assert!(f.allocate(9).is_err() && f.allocate(9).is_err());
        disk.clear();
        f.allocate(9).expect("cleared");
        assert_eq!((disk.calls_of(Op::Write), disk.calls_of(Op::Sync)), (3, 2));
        assert_eq!(disk.calls(), 9);
    }

    #[test]
    fn torn_write_leaves_its_beginning() {
        let disk = FaultDisk::new(Arc::new(MemDisk::new()));
        let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
        disk.tear_nth(0, 3, Fault::Io);
        assert!(f.write_all_at(b"abcdef", 0).is_err());
        assert_eq!(read(&*disk, "/f"), b"abc");
    }

    #[test]
    fn power_cut_drops_what_was_not_synced() {
        let (mem, disk) = tracked();
        let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
        f.write_all_at(b"synced", 0).expect("write");
        f.sync_all().expect("sync");
        disk.sync_dir(Path::new("/")).expect("sync");
        f.write_all_at(b"SYNCED and more", 0).expect("write");
        f.set_len(2).expect("truncate");
        disk.open(Path::new("/g"), OpenMode::CreateNew).expect("open");
        disk.rename(Path::new("/g"), Path::new("/f")).expect("replace");
        disk.remove_file(Path::new("/f")).expect("remove");
        disk.power_cut(Cut::DropAll).expect("cut");
        assert!(f.write_all_at(b"x", 0).is_err() && disk.list(Path::new("/")).is_err());
        assert_eq!(mem.list(Path::new("/")).expect("list"), [PathBuf::from("f")]);
    }

    #[test]
    fn power_cut_undoes_bytes() {
        let (mem, disk) = tracked();
        let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
        f.write_all_at(b"synced", 0).expect("write");
        f.sync_all().expect("sync");
        disk.sync_dir(Path::new("/")).expect("sync");
        f.write_all_at(b"SYNCED and more", 0).expect("write");
        f.set_len(2).expect("truncate");
        f.allocate(100).expect("grow");
        disk.power_cut(Cut::DropAll).expect("cut");
        assert_eq!(read(&*mem, "/f"), b"synced");
    }

    #[test]
    fn power_cut_random_keeps_only_sectors_that_were_written() {
        let mut seen_torn = false;
        for seed in 0..200 {
            let (mem, disk) = tracked();
            let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
            f.write_all_at(&[1; 2048], 0).expect("write");
            f.sync_all().expect("sync");
            disk.sync_dir(Path::new("/")).expect("sync");
            f.write_all_at(&[2; 1536], 256).expect("write");
            disk.power_cut(Cut::Random(seed)).expect("cut");
            let now = read(&*mem, "/f");
            assert_eq!(now.len(), 2048);
            assert!(now[..256].iter().chain(&now[1792..]).all(|b| *b == 1));
            for sector in now.chunks(512) {
                let body = if sector.len() == 512 { &sector[256..300] } else { sector };
                assert!(body.windows(2).all(|w| w[0] == w[1]));
            }
            seen_torn |= now[300] != now[1024];
        }
        assert!(seen_torn);
    }

    #[test]
    fn power_cut_keep_all_is_a_kill() {
        let (mem, disk) = tracked();
        let f = disk.open(Path::new("/f"), OpenMode::CreateNew).expect("open");
        f.write_all_at(b"unsynced", 0).expect("write");
        disk.power_cut(Cut::KeepAll).expect("cut");
        assert_eq!(read(&*mem, "/f"), b"unsynced");
        assert!(f.sync_all().is_err());
    }
}
