//! A log on a disk in memory that can be killed or lose power, and byte surgery on its files.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use heddle_env::{Cut, Disk, Env, FaultDisk, MemDisk, OpenMode};
use heddle_log::{FailStop, Kind, Log, LogConfig, Record};
use heddle_types::{LogIndex, Result};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub const SEGMENT: u64 = 8192;
pub const HEADER: usize = 4096;

/// The machine: a disk that outlives its logs.
#[derive(Clone)]
pub struct Machine {
    pub mem: Arc<MemDisk>,
    pub env: Env,
}

/// A running log and all it told us.
pub struct Node {
    pub disk: Arc<FaultDisk>,
    pub log: Arc<Log>,
    pub seen: Arc<Mutex<Vec<Record>>>,
    pub stops: Arc<Mutex<Vec<String>>>,
}

pub fn config() -> LogConfig {
    LogConfig { dir: "/log".into(), segment_bytes: SEGMENT, batch_bytes_max: 2048, queue_bytes_max: 4096 }
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let mem = Arc::new(MemDisk::new());
        Self { env: Env::in_memory(seed).with_disk(mem.clone()), mem }
    }

    /// A deep copy of all files: each experiment gets its own.
    pub fn copy(&self) -> Self {
        let to = Self { mem: Arc::new(MemDisk::new()), env: self.env.clone() };
        to.mem.create_dir_all(Path::new("/log")).expect("folder");
        for name in self.mem.list(Path::new("/log")).expect("list") {
            let path = Path::new("/log").join(name);
            to.write(&path, &self.read(&path));
        }
        Self { env: to.env.with_disk(to.mem.clone()), ..to }
    }

    pub fn read(&self, path: &Path) -> Vec<u8> {
        let f = self.mem.open(path, OpenMode::Read).expect("open");
        let mut b = vec![0; f.len().expect("len") as usize];
        f.read_exact_at(&mut b, 0).expect("read");
        b
    }

    pub fn write(&self, path: &Path, bytes: &[u8]) {
        let f = self.mem.open(path, OpenMode::Create).expect("open");
        f.set_len(bytes.len() as u64).expect("truncate");
        f.write_all_at(bytes, 0).expect("write");
    }

    pub fn poke(&self, path: &Path, offset: usize, bytes: &[u8]) {
        self.mem.open(path, OpenMode::Write).expect("open").write_all_at(bytes, offset as u64).expect("write");
    }

    pub fn segments(&self) -> Vec<PathBuf> {
        let names = self.mem.list(Path::new("/log")).expect("list");
        names.iter().filter(|n| n.extension().is_some_and(|e| e == "log")).map(|n| Path::new("/log").join(n)).collect()
    }

    pub fn spares(&self) -> usize {
        self.mem.list(Path::new("/log")).expect("list").len() - self.segments().len()
    }

    /// A tracked fault disk over this machine's.
    pub fn fault_disk(&self) -> Arc<FaultDisk> {
        let disk = FaultDisk::new(self.mem.clone());
        disk.track_unsynced();
        disk
    }

    pub fn open(&self) -> Node {
        self.try_open(self.fault_disk(), LogIndex(0)).expect("open")
    }

    pub fn try_open(&self, disk: Arc<FaultDisk>, from: LogIndex) -> Result<Node> {
        self.try_open_noting(disk, from, Arc::default(), Arc::default())
    }

    /// As `try_open`; what was seen survives a failing open.
    pub fn try_open_noting(
        &self,
        disk: Arc<FaultDisk>,
        from: LogIndex,
        seen: Arc<Mutex<Vec<Record>>>,
        stops: Arc<Mutex<Vec<String>>>,
    ) -> Result<Node> {
        let (s, t) = (seen.clone(), stops.clone());
        let fail_stop: FailStop = Arc::new(move |what| t.lock().push(what.to_owned()));
        let sink = Box::new(move |records: Vec<Record>| s.lock().extend(records));
        let log = Log::open_with(self.env.with_disk(disk.clone()), config(), from, sink, fail_stop)?;
        // Durable comes before the sink's turn: wait for that too, so that tests see the Membership record.
        while seen.lock().last().is_some_and(|r| r.index < log.durable()) || seen.lock().is_empty() {
            std::thread::yield_now();
        }
        Ok(Node { disk, log, seen, stops })
    }

    /// Opens, returns what was replayed (without the new Membership record).
    pub fn replay(&self) -> Result<Vec<Record>> {
        let node = self.try_open(self.fault_disk(), LogIndex(0))?;
        node.log.shutdown();
        let mut seen = std::mem::take(&mut *node.seen.lock());
        assert_eq!(seen.pop().map(|r| r.kind), Some(Kind::Membership));
        Ok(seen)
    }
}

impl Node {
    pub fn append(&self, n: usize, byte: u8) -> Result<LogIndex> {
        use heddle_log::Proposer;
        self.log.append(Kind::Part, Bytes::from(vec![byte; n]))
    }

    /// Appends and waits: a batch of its own.
    pub fn put(&self, n: usize, byte: u8) -> LogIndex {
        let i = self.append(n, byte).expect("append");
        self.log.wait_durable(i).expect("durable");
        i
    }

    /// Ends the process without ceremony.
    pub fn crash(self, cut: Cut) {
        self.disk.power_cut(cut).expect("cut");
        self.log.shutdown();
    }
}

/// Dense, from `first` on.
pub fn check_dense(records: &[Record], first: u64) {
    for (i, r) in records.iter().enumerate() {
        assert_eq!(r.index, LogIndex(first + i as u64));
    }
}

/// Offset and size of every frame in a segment's bytes, from its length fields alone.
pub fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut out, mut at) = (Vec::new(), HEADER);
    while at + 48 <= bytes.len() && bytes[at + 4] != 0 {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")) as usize;
        let size = (len + 44).next_multiple_of(8);
        if at + size > bytes.len() {
            break;
        }
        out.push((at, size));
        at += size;
    }
    out
}
