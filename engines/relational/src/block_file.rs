//! The base's file: redb's bytes with a CRC32C for every 4 KiB block, checked on every read.
//!
//! Used by [`crate::backend`], which shows it to redb. Byte tables and the crash argument are in docs/formats/base.md.
//!
//!   physical: | file header | slot A | slot B | spare | CRCs of group 0 | 1024 blocks | CRCs of group 1 | 1024 blocks | ...
//!
//! Invariants
//! 1. A block and its checksum are made durable by the same sync; between two syncs they may disagree after a crash.
//!    redb writes in place only block 0; every other block it writes is one that no durable commit refers to, so what a
//!    crash leaves torn is never read again before it is written again.
//! 2. Block 0 lives in two slots. The one that was synced last is never written: a torn write loses only the newer image.
//! 3. A full disk makes writers wait; any other failed write or sync ends the process. Neither reaches redb.

use heddle_env::{Disk, File, OpenMode, fail_stop};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Bytes of a block, and of everything that is laid out here.
pub const BLOCK: usize = 4096;
/// Blocks covered by one block of checksums: 4 bytes each.
const GROUP: u64 = (BLOCK / 4) as u64;
/// File header, two slots, one spare.
const PREFIX: u64 = 4 * BLOCK as u64;
/// Bytes of block 0 that a slot holds: the rest of the slot is its sequence number and checksum.
const IMAGE: usize = BLOCK - SLOT_HEAD;
const SLOT_HEAD: usize = 16;
const MAGIC: &[u8; 8] = b"HEDLBASE";
const VERSION: u32 = 2;
/// How long to wait before a write to a full disk is tried again.
const FULL_DISK_RETRY: Duration = Duration::from_millis(100);

/// A block whose bytes are not what was written.
#[derive(Debug, Clone)]
pub struct BadBlock {
    /// The file.
    pub path: PathBuf,
    /// Offset of the block in the physical file.
    pub offset: u64,
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checksum mismatch in file \"{}\" at offset {}", self.path.display(), self.offset)
    }
}

impl std::error::Error for BadBlock {}

/// Checksums of one group; 0 means never written, so all bytes are zero.
struct Group([AtomicU32; GROUP as usize]);

/// Block 0 and where it is.
struct FirstBlock {
    image: Box<[u8; IMAGE]>,
    sequence: u64,
    /// The slot written last.
    slot: u64,
    /// Is that slot durable?
    synced: bool,
}

/// A checksummed file of blocks.
pub struct BlockFile {
    file: Arc<dyn File>,
    path: PathBuf,
    first: Mutex<FirstBlock>,
    /// Loaded when first needed; 0.1 % of the file.
    groups: RwLock<Vec<OnceLock<Arc<Group>>>>,
    /// Groups whose checksums are newer in memory than in the file.
    dirty: Mutex<BTreeSet<u64>>,
    /// Logical length in blocks.
    blocks: RwLock<u64>,
}

impl BlockFile {
    /// Makes an empty file, which must not exist.
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::CreateNew)?;
        let this = Self::with(file, path, FirstBlock::empty(), 0);
        this.persist("create", || this.file.set_len(PREFIX));
        this.persist("write", || this.file.write_all_at(&file_header(), 0));
        this.sync();
        Ok(this)
    }

    /// Opens what [`Self::create`] and later writes left.
    ///
    /// # Errors
    /// [`BadBlock`] inside `InvalidData` when header or both slots are damaged.
    pub fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path, OpenMode::Write)?;
        // What the last process left in the page cache becomes durable first: slots are trusted below.
        file.sync_data()?;
        let bad = |offset| invalid(BadBlock { path: path.to_owned(), offset });
        let len = file.len()?;
        if len < PREFIX {
            return Err(bad(0));
        }
        let mut header = vec![0; BLOCK];
        file.read_exact_at(&mut header, 0)?;
        check_file_header(&header).map_err(|what| what.map_or_else(|| bad(0), |what| named(path, &what)))?;
        let slots = [read_slot(&*file, 0)?, read_slot(&*file, 1)?];
        let newest = slots.into_iter().flatten().max_by_key(|first| first.sequence).ok_or_else(|| bad(BLOCK as u64))?;
        let physical = (len - PREFIX) / BLOCK as u64;
        let groups = physical.div_ceil(GROUP + 1);
        Ok(Self::with(file, path, newest, physical - groups))
    }

    fn with(file: Arc<dyn File>, path: &Path, first: FirstBlock, blocks: u64) -> Self {
        let groups = (0..blocks.div_ceil(GROUP)).map(|_| OnceLock::new()).collect();
        Self {
            file,
            path: path.to_owned(),
            first: Mutex::new(first),
            groups: RwLock::new(groups),
            dirty: Mutex::default(),
            blocks: RwLock::new(blocks),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Logical length in bytes.
    pub fn len(&self) -> u64 {
        *self.blocks.read() * BLOCK as u64
    }

    /// Has it no blocks at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads and verifies. Outside block 0, whole blocks only.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset + out.len() as u64 > self.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if offset < BLOCK as u64 {
            return self.read_first(offset as usize, out);
        }
        let mut block = whole_blocks(offset, out.len())?;
        let mut rest = out;
        while !rest.is_empty() {
            let run = run_in_group(block, rest.len());
            let (now, later) = rest.split_at_mut(run * BLOCK);
            self.file.read_exact_at(now, physical(block))?;
            let group = self.group(block / GROUP)?;
            for (n, bytes) in (block..).zip(now.chunks_exact(BLOCK)) {
                self.check(&group, n, bytes)?;
            }
            block += run as u64;
            rest = later;
        }
        Ok(())
    }

    fn read_first(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let mut bytes = [0; BLOCK];
        bytes[..IMAGE].copy_from_slice(&self.first.lock().image[..]);
        let here = out.len().min(BLOCK - offset);
        let (now, later) = out.split_at_mut(here);
        now.copy_from_slice(&bytes[offset..offset + here]);
        if later.is_empty() { Ok(()) } else { self.read(BLOCK as u64, later) }
    }

    fn check(&self, group: &Group, block: u64, bytes: &[u8]) -> io::Result<()> {
        let stored = group.0[(block % GROUP) as usize].load(Ordering::Acquire);
        let good = if stored == 0 { bytes.iter().all(|&b| b == 0) } else { stored == checksum(block, bytes) };
        if good { Ok(()) } else { Err(invalid(BadBlock { path: self.path.clone(), offset: physical(block) })) }
    }

    fn group(&self, number: u64) -> io::Result<Arc<Group>> {
        let groups = self.groups.read();
        let slot = groups.get(number as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        if let Some(group) = slot.get() {
            return Ok(Arc::clone(group));
        }
        let mut bytes = vec![0; BLOCK];
        self.file.read_exact_at(&mut bytes, physical_group(number))?;
        let (words, _) = bytes.as_chunks::<4>();
        let group = Group(std::array::from_fn(|n| AtomicU32::new(u32::from_le_bytes(words[n]))));
        Ok(Arc::clone(slot.get_or_init(|| Arc::new(group))))
    }

    /// Writes; durable after [`Self::sync`]. Outside block 0, whole blocks only.
    pub fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset + data.len() as u64 > self.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write past the end"));
        }
        if offset < BLOCK as u64 {
            return self.write_first(offset as usize, data);
        }
        let mut block = whole_blocks(offset, data.len())?;
        let mut rest = data;
        while !rest.is_empty() {
            let run = run_in_group(block, rest.len());
            let (now, later) = rest.split_at(run * BLOCK);
            let group = self.group(block / GROUP)?;
            self.persist("write", || self.file.write_all_at(now, physical(block)));
            for (n, bytes) in (block..).zip(now.chunks_exact(BLOCK)) {
                group.0[(n % GROUP) as usize].store(checksum(n, bytes), Ordering::Release);
            }
            self.dirty.lock().insert(block / GROUP);
            block += run as u64;
            rest = later;
        }
        Ok(())
    }

    fn write_first(&self, offset: usize, data: &[u8]) -> io::Result<()> {
        if offset + data.len() > IMAGE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "write past what a slot holds"));
        }
        let mut first = self.first.lock();
        first.image[offset..offset + data.len()].copy_from_slice(data);
        first.sequence += 1;
        if first.synced {
            first.slot = 1 - first.slot;
            first.synced = false;
        }
        let bytes = first.encode();
        self.persist("write", || self.file.write_all_at(&bytes, physical_slot(first.slot)));
        Ok(())
    }

    /// Changes the length, which is whole blocks. New blocks are zero.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        let new = whole_blocks(0, usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?)
            .map(|_| len / BLOCK as u64)?;
        let mut blocks = self.blocks.write();
        if new < *blocks {
            self.forget_checksums(new)?;
        }
        self.persist("resize", || self.file.set_len(physical_len(new)));
        self.groups.write().resize_with(new.div_ceil(GROUP) as usize, OnceLock::new);
        *blocks = new;
        Ok(())
    }

    /// Blocks from `from` on are about to go: should they come back, they are zero.
    fn forget_checksums(&self, from: u64) -> io::Result<()> {
        let mut dirty = self.dirty.lock();
        if !from.is_multiple_of(GROUP) {
            let group = self.group(from / GROUP)?;
            group.0[(from % GROUP) as usize..].iter().for_each(|entry| entry.store(0, Ordering::Release));
            dirty.insert(from / GROUP);
        }
        dirty.retain(|&group| group < from.div_ceil(GROUP));
        Ok(())
    }

    /// Makes everything written so far durable, checksums and blocks alike.
    pub fn sync(&self) {
        let sequence = self.first.lock().sequence;
        let dirty = std::mem::take(&mut *self.dirty.lock());
        for number in dirty {
            let Some(group) = self.groups.read().get(number as usize).and_then(|slot| slot.get().cloned()) else {
                continue;
            };
            let bytes: Vec<u8> = group.0.iter().flat_map(|e| e.load(Ordering::Acquire).to_le_bytes()).collect();
            self.persist("write", || self.file.write_all_at(&bytes, physical_group(number)));
        }
        if let Err(e) = self.file.sync_data() {
            self.stop("sync", &e);
        }
        let mut first = self.first.lock();
        first.synced |= first.sequence == sequence;
    }

    /// Every block that does not verify. Free blocks that a crash tore are among them.
    pub fn scan(&self) -> io::Result<Vec<BadBlock>> {
        let mut bad = Vec::new();
        let mut bytes = vec![0; BLOCK];
        let mut block = 1;
        while block * (BLOCK as u64) < self.len() {
            if let Err(e) = self.read(block * BLOCK as u64, &mut bytes) {
                match bad_block(&e) {
                    Some(b) => bad.push(b.clone()),
                    None if e.kind() == io::ErrorKind::UnexpectedEof => break, // it shrank meanwhile
                    None => return Err(e),
                }
            }
            block += 1;
        }
        Ok(bad)
    }

    /// Retries `write` while the disk is full.
    fn persist(&self, what: &str, mut write: impl FnMut() -> io::Result<()>) {
        let mut waited = false;
        while let Err(e) = write() {
            if !matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
                self.stop(what, &e);
            }
            if !waited {
                tracing::warn!(path = %self.path.display(), error = %e, "disk is full, the merge waits");
            }
            waited = true;
            std::thread::sleep(FULL_DISK_RETRY);
        }
        if waited {
            tracing::info!(path = %self.path.display(), "disk has room again");
        }
    }

    fn stop(&self, what: &str, e: &io::Error) -> ! {
        fail_stop(&format!("could not {what} file \"{}\": {e}", self.path.display()))
    }
}

impl FirstBlock {
    fn empty() -> Self {
        Self { image: Box::new([0; IMAGE]), sequence: 0, slot: 0, synced: true }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[SLOT_HEAD..].copy_from_slice(&self.image[..]);
        let crc = slot_checksum(&bytes);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }
}

/// The slot, unless a crash tore it or it was never written.
fn read_slot(file: &dyn File, slot: u64) -> io::Result<Option<FirstBlock>> {
    let mut bytes = vec![0; BLOCK];
    file.read_exact_at(&mut bytes, physical_slot(slot))?;
    let sequence = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"));
    let stored = u32::from_le_bytes(bytes[8..12].try_into().expect("4 bytes"));
    if sequence == 0 || stored != slot_checksum(&bytes) {
        return Ok(None);
    }
    let mut image = Box::new([0; IMAGE]);
    image.copy_from_slice(&bytes[SLOT_HEAD..]);
    Ok(Some(FirstBlock { image, sequence, slot, synced: true }))
}

fn slot_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &bytes[SLOT_HEAD..])
}

fn file_header() -> Vec<u8> {
    let mut bytes = vec![0; BLOCK];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&(BLOCK as u32).to_le_bytes());
    bytes[16..20].copy_from_slice(&(GROUP as u32).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// `Err(None)` when damaged, `Err(Some(why))` when sound but not ours to read.
fn check_file_header(bytes: &[u8]) -> Result<(), Option<String>> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    if bytes[..8] != MAGIC[..] || word(20) != crc32c::crc32c(&bytes[..20]) {
        return Err(None);
    }
    if word(8) != VERSION || word(12) != BLOCK as u32 || word(16) != GROUP as u32 {
        return Err(Some(format!("has format version {}, this program reads version {VERSION}", word(8))));
    }
    Ok(())
}

/// The block number is part of it, so that a block written to the wrong place is noticed. Never 0.
fn checksum(block: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block.to_le_bytes()), bytes).max(1)
}

fn physical_slot(slot: u64) -> u64 {
    (1 + slot) * BLOCK as u64
}

fn physical_group(group: u64) -> u64 {
    PREFIX + group * (GROUP + 1) * BLOCK as u64
}

fn physical(block: u64) -> u64 {
    physical_group(block / GROUP) + (1 + block % GROUP) * BLOCK as u64
}

fn physical_len(blocks: u64) -> u64 {
    PREFIX + (blocks + blocks.div_ceil(GROUP)) * BLOCK as u64
}

/// Number of the first block.
fn whole_blocks(offset: u64, len: usize) -> io::Result<u64> {
    if !offset.is_multiple_of(BLOCK as u64) || !len.is_multiple_of(BLOCK) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not whole blocks"));
    }
    Ok(offset / BLOCK as u64)
}

/// How many blocks from `block` on lie side by side in the file.
fn run_in_group(block: u64, bytes: usize) -> usize {
    (bytes / BLOCK).min((GROUP - block % GROUP) as usize)
}

fn invalid(bad: BadBlock) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, bad)
}

fn named(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("file \"{}\" {what}", path.display()))
}

/// The bad block inside an error of ours.
pub fn bad_block(e: &io::Error) -> Option<&BadBlock> {
    e.get_ref()?.downcast_ref()
}
