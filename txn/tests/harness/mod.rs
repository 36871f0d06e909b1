//! A manager over a real folder, and short words for what the tests do.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use heddle_engines::{KeyRange, RowReader};
use heddle_env::Env;
use heddle_log::LogConfig;
use heddle_relational::RelationalConfig;
use heddle_timeseries::TimeseriesConfig;
use heddle_txn::{Isolation, ReadView, Transaction, TxnConfig, TxnManager};
use heddle_types::{Oid, StorageId};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

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

/// What is on disk now, as a power loss would leave it (everything acknowledged is synced).
pub fn crash_copy(dir: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(dir, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
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
