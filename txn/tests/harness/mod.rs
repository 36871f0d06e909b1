//! A manager over a real folder, and short words for what the tests do.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use heddle_engines::rows::RowBlockBuilder;
use heddle_engines::{KeyRange, RowReader};
use heddle_env::{Disk, Env, File, OpenMode, RealDisk};
use heddle_log::LogConfig;
use heddle_relational::RelationalConfig;
use heddle_timeseries::TimeseriesConfig;
use heddle_txn::{Isolation, ReadView, Transaction, TxnConfig, TxnManager};
use heddle_types::{Oid, StorageId};
use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

pub const T: StorageId = StorageId(20000);
pub const TABLE: Oid = Oid(20000);

/// Small sizes, so that rotation, merging and streaming happen.
pub fn config(dir: &Path) -> TxnConfig {
    TxnConfig {
        log: LogConfig {
            dir: dir.join("log"),
            segment_bytes: 4 << 20,
            batch_bytes_max: 1 << 20,
            queue_bytes_max: 8 << 20,
        },
        timeseries: TimeseriesConfig::new(dir.join("series"), 1 << 20),
        relational: RelationalConfig { dir: dir.join("rows"), memtable_bytes_max: 1 << 20, cache_bytes: 8 << 20 },
        stream_after_bytes: 1 << 20,
        write_set_bytes_max: 256 << 20,
        unmerged_bytes_max: 32 << 20,
    }
}

pub fn open(dir: &Path) -> Arc<TxnManager> {
    TxnManager::open(Env::real(), config(dir)).unwrap()
}

/// What is on disk now, as a power loss would leave it (everything acknowledged is synced). Copied again when maintenance wrote meanwhile: a copy
/// with files of two moments is nothing that a power loss leaves.
pub fn crash_copy(dir: &Path) -> tempfile::TempDir {
    loop {
        let (to, before) = (tempfile::tempdir().unwrap(), stamps(dir));
        if copy(dir, to.path()).is_ok() && stamps(dir) == before {
            return to;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Files with their lengths and times of the last write.
fn stamps(dir: &Path) -> Vec<(PathBuf, u64, i64, i64)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => out.extend(stamps(&path)),
            Ok(meta) => out.push((path, meta.len(), meta.mtime(), meta.mtime_nsec())),
            // Gone since it was listed.
            Err(_) => {}
        }
    }
    out.sort();
    out
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(tokio::task::LocalSet::new().run_until(future))
}

pub fn key(n: u64) -> Bytes {
    Bytes::copy_from_slice(&n.to_be_bytes())
}

pub fn begin(m: &Arc<TxnManager>) -> Arc<Transaction> {
    m.begin(Isolation::ReadCommitted, false)
}

pub fn put(t: &Transaction, n: u64, row: &str) {
    t.put(T, key(n), Bytes::copy_from_slice(row.as_bytes())).unwrap();
}

/// The same row under many keys, as one block.
pub fn put_block(t: &Transaction, keys: &BTreeSet<u64>, row: &str) {
    let mut block = RowBlockBuilder::default();
    keys.iter().for_each(|n| assert!(block.push(&key(*n), row.as_bytes())));
    t.put_rows(T, block.finish()).unwrap();
}

pub fn get(view: &ReadView, n: u64) -> Option<String> {
    view.get(T, &key(n)).unwrap().map(|r| String::from_utf8(r.row.to_vec()).unwrap())
}

/// All rows, walked in small batches, both ways, which must agree.
pub fn rows(view: &ReadView) -> Vec<(u64, String)> {
    let walk = |reverse| {
        let mut cursor = view.scan(T, KeyRange::all(), reverse).unwrap();
        let mut out = Vec::new();
        while cursor.next_batch(3, &mut out).unwrap() {}
        let row = |r: &heddle_engines::Row| {
            (u64::from_be_bytes(r.key[..].try_into().unwrap()), String::from_utf8(r.row.to_vec()).unwrap())
        };
        out.iter().map(row).collect::<Vec<_>>()
    };
    let (forward, mut backward) = (walk(false), walk(true));
    backward.reverse();
    assert_eq!(forward, backward);
    forward
}

pub fn committed(m: &Arc<TxnManager>) -> Vec<(u64, String)> {
    rows(&begin(m).statement())
}

pub fn pairs(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(n, s)| (*n, (*s).to_owned())).collect()
}

/// The machine's disk, whose log is durable only while the gate is open.
pub struct GatedDisk {
    inner: RealDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
pub struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        drop(self.opened.wait_while(self.closed.lock().unwrap(), |closed| *closed).unwrap());
    }
}

/// A manager whose log can be kept from becoming durable.
pub fn open_gated(dir: &Path) -> (Arc<TxnManager>, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let disk = GatedDisk { inner: RealDisk, gate: Arc::clone(&gate) };
    (TxnManager::open(Env::real().with_disk(Arc::new(disk)), config(dir)).unwrap(), gate)
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.inner.open(path, mode)?;
        let is_log = path.components().any(|c| c.as_os_str() == "log");
        Ok(if is_log { Arc::new(GatedFile { file, gate: Arc::clone(&self.gate) }) } else { file })
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        self.inner.exists(path)
    }
}

struct GatedFile {
    file: Arc<dyn File>,
    gate: Arc<Gate>,
}

impl File for GatedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
