//! The folder of segment files: their names, headers, the spare, recycling. Called by `recover` at open, afterwards by
//! `writer` (next segment, spare) and by purge, under one mutex that orders changes to the folder.
//!
//!   reserve_spare: create, allocate, fsync, fsync folder          (the only place where ENOSPC is an answer)
//!   start_segment: header into the spare, fsync, rename, fsync folder
//!   purge_below:   rename to a spare or remove, fsync folder, oldest first
//!
//! Invariants
//! 1. A file named `N.log` has a whole, synced header: the name comes after the fsync. So a bad header is damage, never a tear.
//! 2. Numbers are contiguous in every state a crash can leave.
//! 3. A recycled file is overwritten only after the rename that took its old name away is durable.

use crate::LogConfig;
use crate::error::{DiskError, OnFile, damaged, too_new};
use crate::frame::{u32_at, u64_at};
use heddle_env::{Disk, Env, File, OpenMode, Random};
use heddle_types::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The header has a block of its own: writing records never rewrites it.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// Spare files kept at most; what purge frees beyond that is removed.
pub(crate) const SPARES_MAX: usize = 2;
const MAGIC: &[u8; 8] = b"HEDDLLOG";
const VERSION: u32 = 1;
const HEADER_USED: usize = 64;

/// The first bytes of a segment file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    pub(crate) segment_bytes: u64,
    /// Index, batch and chain of the first record that was to go here.
    pub(crate) first_index: u64,
    pub(crate) first_batch: u64,
    pub(crate) chain: u32,
}

impl Header {
    /// What every checksum in this segment starts from.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.number.to_le_bytes()), &self.salt.to_le_bytes())
    }

    fn encode(&self) -> Vec<u8> {
        let mut b = Vec::with_capacity(HEADER_BYTES as usize);
        b.extend_from_slice(MAGIC);
        b.extend_from_slice(&VERSION.to_le_bytes());
        b.extend_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        for word in [self.number, self.salt, self.segment_bytes, self.first_index, self.first_batch] {
            b.extend_from_slice(&word.to_le_bytes());
        }
        b.extend_from_slice(&self.chain.to_le_bytes());
        b.extend_from_slice(&crc32c::crc32c(&b).to_le_bytes());
        debug_assert_eq!(b.len(), HEADER_USED);
        b.resize(HEADER_BYTES as usize, 0);
        b
    }

    fn decode(b: &[u8; HEADER_USED], path: &Path, number: u64) -> Result<Self> {
        if &b[..8] != MAGIC {
            return Err(damaged(path, 0, "This is not a log segment: its first bytes are wrong."));
        }
        if crc32c::crc32c(&b[..60]) != u32_at(b, 60) {
            return Err(damaged(path, 0, "The checksum of the segment header is wrong."));
        }
        if u32_at(b, 8) != VERSION || u64::from(u32_at(b, 12)) != HEADER_BYTES {
            return Err(too_new(path, 8, &format!("format version {}", u32_at(b, 8))));
        }
        let h = Self {
            number: u64_at(b, 16),
            salt: u64_at(b, 24),
            segment_bytes: u64_at(b, 32),
            first_index: u64_at(b, 40),
            first_batch: u64_at(b, 48),
            chain: u32_at(b, 56),
        };
        if h.number != number {
            return Err(damaged(path, 16, format!("The header says that this is segment {}.", h.number)));
        }
        Ok(h)
    }
}

/// A segment file.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
}

/// The folder. The last segment is the one being written.
pub(crate) struct Folder {
    disk: Arc<dyn Disk>,
    random: Arc<dyn Random>,
    dir: PathBuf,
    segment_bytes: u64,
    pub(crate) segments: Vec<Segment>,
    spares: Vec<PathBuf>,
    next_spare: u64,
}

/// A segment just begun.
pub(crate) struct Begun {
    pub(crate) file: Arc<dyn File>,
    pub(crate) path: PathBuf,
    pub(crate) header: Header,
}

fn segment_name(number: u64) -> String {
    format!("{number:020}.log")
}

fn parse_name(name: &Path, prefix: &str, suffix: &str) -> Option<u64> {
    let digits = name.to_str()?.strip_prefix(prefix)?.strip_suffix(suffix)?;
    if digits.len() == 20 { digits.parse().ok() } else { None }
}

impl Folder {
    /// A folder that has not been looked at yet.
    pub(crate) fn new(env: &Env, config: &LogConfig) -> Self {
        Self {
            disk: Arc::clone(&env.disk),
            random: Arc::clone(&env.random),
            dir: config.dir.clone(),
            segment_bytes: config.segment_bytes,
            segments: Vec::new(),
            spares: Vec::new(),
            next_spare: 1,
        }
    }

    /// Creates the folder if need be, reads all headers, keeps usable spares.
    pub(crate) fn load(&mut self) -> Result<()> {
        let dir = self.dir.clone();
        self.disk.create_dir_all(&dir).on("create", &dir)?;
        if let Some(parent) = dir.parent() {
            self.disk.sync_dir(parent).on("fsync", parent)?;
        }
        let mut spares = Vec::new();
        for name in self.disk.list(&dir).on("read", &dir)? {
            if let Some(number) = parse_name(&name, "", ".log") {
                self.load_segment(dir.join(&name), number)?;
            } else if let Some(n) = parse_name(&name, "spare-", ".tmp") {
                self.next_spare = self.next_spare.max(n + 1);
                spares.push(dir.join(&name));
            }
        }
        self.load_spares(spares)?;
        Ok(())
    }

    fn load_segment(&mut self, path: PathBuf, number: u64) -> Result<()> {
        if let Some(last) = self.segments.last()
            && last.header.number + 1 != number
        {
            let missing = self.dir.join(segment_name(last.header.number + 1));
            return Err(damaged(&missing, 0, "The file is missing, but later log segments exist."));
        }
        let file = self.disk.open(&path, OpenMode::Read).on("open", &path)?;
        let mut b = [0; HEADER_USED];
        match file.read_exact_at(&mut b, 0) {
            Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(damaged(&path, 0, "The file ends within its header."));
            }
            other => other.on("read", &path)?,
        }
        let header = Header::decode(&b, &path, number)?;
        if let Some(last) = self.segments.last()
            && (last.header.first_index > header.first_index || last.header.first_batch > header.first_batch)
        {
            return Err(damaged(&path, 40, "The segment begins before the one in front of it."));
        }
        self.segments.push(Segment { path, header });
        Ok(())
    }

    fn load_spares(&mut self, found: Vec<PathBuf>) -> Result<(), DiskError> {
        let mut removed = false;
        for path in found {
            if self.spares.len() < SPARES_MAX && self.is_whole(&path)? {
                self.spares.push(path);
            } else {
                self.disk.remove_file(&path).on("remove", &path)?;
                removed = true;
            }
        }
        if removed { self.sync_dir() } else { Ok(()) }
    }

    /// Has a spare found at open its full length and all of its blocks? It may be from a reservation cut short.
    fn is_whole(&self, path: &Path) -> Result<bool, DiskError> {
        let file = self.disk.open(path, OpenMode::Write).on("open", path)?;
        if file.len().on("stat", path)? != self.segment_bytes {
            return Ok(false);
        }
        match file.allocate(self.segment_bytes).and_then(|()| file.sync_all()).on("extend", path) {
            Err(e) if e.is_full() => Ok(false),
            other => other.map(|()| true),
        }
    }

    pub(crate) fn open(&self, segment: usize, mode: OpenMode) -> Result<Arc<dyn File>, DiskError> {
        let path = &self.segments[segment].path;
        self.disk.open(path, mode).on("open", path)
    }

    pub(crate) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// First index in the log.
    pub(crate) fn first_index(&self) -> u64 {
        self.segments.first().map_or(1, |s| s.header.first_index)
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        let segments: u64 = self.segments.iter().map(|s| s.header.segment_bytes).sum();
        segments + self.spares.len() as u64 * self.segment_bytes
    }

    /// Reserves the room of one more segment. On a full disk nothing stays behind.
    pub(crate) fn reserve_spare(&mut self) -> Result<(), DiskError> {
        let path = self.next_spare_path();
        let made = self.make_spare(&path);
        if made.is_err() && self.disk.exists(&path) {
            self.disk.remove_file(&path).on("remove", &path)?;
        }
        made?;
        self.spares.push(path);
        Ok(())
    }

    fn make_spare(&self, path: &Path) -> Result<(), DiskError> {
        let file = self.disk.open(path, OpenMode::CreateNew).on("create", path)?;
        file.allocate(self.segment_bytes).on("extend", path)?;
        file.sync_all().on("fsync", path)?;
        self.sync_dir()
    }

    fn next_spare_path(&mut self) -> PathBuf {
        self.next_spare += 1;
        self.dir.join(format!("spare-{:020}.tmp", self.next_spare - 1))
    }

    /// Turns a spare into the next segment, whose first record will have this index, batch and chain.
    ///
    /// The caller has claimed the spare and synced the segment before.
    pub(crate) fn start_segment(&mut self, index: u64, batch: u64, chain: u32) -> Result<Begun, DiskError> {
        let spare = self.spares.pop().expect("a spare was claimed before an index was given");
        let header = Header {
            number: self.segments.last().map_or(1, |s| s.header.number + 1),
            salt: self.random.u64(),
            segment_bytes: self.segment_bytes,
            first_index: index,
            first_batch: batch,
            chain,
        };
        let path = self.dir.join(segment_name(header.number));
        let file = self.disk.open(&spare, OpenMode::Write).on("open", &spare)?;
        file.write_all_at(&header.encode(), 0).on("write to", &spare)?;
        file.sync_all().on("fsync", &spare)?;
        self.disk.rename(&spare, &path).on("rename", &spare)?;
        self.sync_dir()?;
        self.segments.push(Segment { path: path.clone(), header });
        Ok(Begun { file, path, header })
    }

    /// Removes all segments behind the `keep`-th, the newest first. They are not recycled: a crash could bring back bytes.
    pub(crate) fn drop_segments_after(&mut self, keep: usize) -> Result<(), DiskError> {
        while self.segments.len() > keep + 1 {
            if let Some(s) = self.segments.pop() {
                self.disk.remove_file(&s.path).on("remove", &s.path)?;
                self.sync_dir()?;
            }
        }
        Ok(())
    }

    /// Takes away whole segments below `index`, keeping up to `recycle` of their files as spares. Returns how many.
    pub(crate) fn purge_below(&mut self, index: u64, recycle: usize) -> Result<usize, DiskError> {
        let mut recycled = 0;
        while self.segments.len() > 1 && self.segments[1].header.first_index <= index {
            let s = self.segments.remove(0);
            if recycled < recycle && s.header.segment_bytes == self.segment_bytes {
                let spare = self.next_spare_path();
                self.disk.rename(&s.path, &spare).on("rename", &s.path)?;
                self.sync_dir()?;
                self.spares.push(spare);
                recycled += 1;
            } else {
                self.disk.remove_file(&s.path).on("remove", &s.path)?;
                self.sync_dir()?;
            }
        }
        Ok(recycled)
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        self.disk.sync_dir(&self.dir).on("fsync", &self.dir)
    }
}
