//! Files whose every 4 KiB have a CRC32C. [`CheckedWriter`] computes them, [`CheckedFile`] believes no byte without.
//!
//! The checksums themselves are kept by the sidecar ([`super::sidecar`]), which has one of its own.
//!
//! Every read is checked, those of blocks that were read before too: a CRC32C costs a tenth of the copy from the page
//! cache, and what the cache dropped may come back from the disk as something else.

use super::error::{damaged, read_error};
use bytes::Bytes;
use heddle_env::{Disk, File, OpenMode};
use heddle_types::Result;
use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes under one checksum: what is read at least.
pub const BLOCK: usize = 4 << 10;
/// Blocks written at a time, and most that are read into memory that is kept.
const RUN_BLOCKS: usize = 256;

thread_local! {
    /// A run of blocks that are checked before what was asked for is copied out.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes a new file from front to end.
pub struct CheckedWriter {
    file: Arc<dyn File>,
    /// What is not written yet: less than a run.
    buffer: Vec<u8>,
    written: u64,
    checksums: Vec<u32>,
}

/// Length and checksums of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// Bytes.
    pub len: u64,
    /// One per block; the last block may be short.
    pub blocks: Vec<u32>,
}

impl CheckedWriter {
    /// Writes to `file`, which is empty.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, buffer: Vec::with_capacity(RUN_BLOCKS * BLOCK), written: 0, checksums: Vec::new() }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, self.written)?;
        self.written += self.buffer.len() as u64;
        self.checksums.extend(self.buffer.chunks(BLOCK).map(crc32c::crc32c));
        self.buffer.clear();
        Ok(())
    }

    /// Writes the rest and syncs.
    pub fn finish(mut self) -> io::Result<Checksums> {
        self.write_buffer()?;
        self.file.sync_all()?;
        Ok(Checksums { len: self.written, blocks: self.checksums })
    }
}

impl Write for CheckedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(RUN_BLOCKS * BLOCK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..n]);
        if self.buffer.len() == RUN_BLOCKS * BLOCK {
            self.write_buffer()?;
        }
        Ok(n)
    }

    /// Nothing: only whole blocks have a checksum, so the rest waits for [`CheckedWriter::finish`].
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is read through its checksums.
pub struct CheckedFile {
    file: Arc<dyn File>,
    path: PathBuf,
    checksums: Checksums,
}

impl CheckedFile {
    /// Opens a file that must have the length that `checksums` say.
    pub fn open(disk: &dyn Disk, path: PathBuf, checksums: Checksums) -> Result<Self> {
        let file = disk.open(&path, OpenMode::Read).map_err(|e| read_error(&path, &e))?;
        let this = Self { file, path, checksums };
        this.check_len()?;
        Ok(this)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn check_len(&self) -> Result<()> {
        let (len, expected) = (self.file.len().map_err(|e| read_error(&self.path, &e))?, self.checksums.len);
        if len == expected {
            return Ok(());
        }
        Err(damaged(&self.path, format!("It has {len} bytes, {expected} were written.")))
    }

    /// The bytes of `range`.
    pub fn read(&self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.checksums.len {
            return Err(damaged(&self.path, "It refers to bytes past its end."));
        }
        let blocks = range.start / BLOCK as u64..range.end.div_ceil(BLOCK as u64);
        let start = blocks.start * BLOCK as u64;
        let wanted = (range.start - start) as usize..(range.end - start) as usize;
        if blocks.end - blocks.start > RUN_BLOCKS as u64 {
            let mut bytes = vec![0; self.bytes_of(&blocks)];
            self.read_blocks(blocks, &mut bytes)?;
            return Ok(Bytes::from(bytes).slice(wanted));
        }
        // Little of the blocks is wanted: fresh memory for them would cost more than to copy that.
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(RUN_BLOCKS * BLOCK, 0);
            let bytes = &mut scratch[..self.bytes_of(&blocks)];
            self.read_blocks(blocks, bytes)?;
            Ok(Bytes::copy_from_slice(&bytes[wanted]))
        })
    }

    /// Reads what covers `ranges` (any order), each block once: ascending runs.
    pub fn read_runs(&self, ranges: &[Range<u64>]) -> Result<Vec<(Range<u64>, Bytes)>> {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut runs: Vec<Range<u64>> = Vec::new();
        for next in ranges {
            match runs.last_mut() {
                Some(run) if next.start / BLOCK as u64 <= run.end.div_ceil(BLOCK as u64) => {
                    run.end = run.end.max(next.end);
                }
                _ => runs.push(next),
            }
        }
        runs.into_iter().map(|run| Ok((run.clone(), self.read(run)?))).collect()
    }

    /// Reads and checks everything.
    pub fn verify(&self) -> Result<()> {
        self.check_len()?;
        let step = (RUN_BLOCKS * BLOCK) as u64;
        let mut starts = (0..self.checksums.len).step_by(step as usize);
        starts.try_for_each(|start| self.read(start..self.checksums.len.min(start + step)).map(drop))
    }

    fn bytes_of(&self, blocks: &Range<u64>) -> usize {
        let end = (blocks.end * BLOCK as u64).min(self.checksums.len);
        (end - blocks.start * BLOCK as u64) as usize
    }

    fn read_blocks(&self, blocks: Range<u64>, bytes: &mut [u8]) -> Result<()> {
        let start = blocks.start * BLOCK as u64;
        self.file.read_exact_at(bytes, start).map_err(|e| read_error(&self.path, &e))?;
        let expected = self.checksums.blocks.iter().skip(blocks.start as usize);
        for (n, (block, expected)) in bytes.chunks(BLOCK).zip(expected).enumerate() {
            if crc32c::crc32c(block) != *expected {
                let offset = start + (n * BLOCK) as u64;
                return Err(damaged(&self.path, format!("The checksum of the block at offset {offset} is wrong.")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_env::MemDisk;
    use heddle_types::SqlState;

    fn written(bytes: &[u8]) -> (MemDisk, Checksums) {
        let disk = MemDisk::new();
        let mut writer = CheckedWriter::new(disk.open(Path::new("/f"), OpenMode::CreateNew).expect("new"));
        bytes.chunks(100_001).try_for_each(|piece| writer.write_all(piece)).expect("a healthy disk");
        let checksums = writer.finish().expect("a healthy disk");
        (disk, checksums)
    }

    #[test]
    fn ranges_come_back() {
        for len in [0, 1, BLOCK, BLOCK + 1, 17 * BLOCK, (2 * RUN_BLOCKS + 9) * BLOCK + 77] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
            let (disk, checksums) = written(&bytes);
            assert_eq!((checksums.len, checksums.blocks.len()), (len as u64, len.div_ceil(BLOCK)));
            let file = CheckedFile::open(&disk, "/f".into(), checksums).expect("as written");
            file.verify().expect("as written");
            for (from, to) in [(0, len), (len / 3, len / 2), (len, len), (len.saturating_sub(3), len)] {
                let range = from as u64..to as u64;
                assert_eq!(file.read(range.clone()).expect("in it"), bytes[from..to]);
                for (run, read) in file.read_runs(&[range.clone(), range]).expect("in it") {
                    assert_eq!(read, bytes[run.start as usize..run.end as usize]);
                }
            }
            assert!(file.read(0..len as u64 + 1).is_err());
        }
    }

    #[test]
    fn runs_read_a_block_once() {
        let (disk, checksums) = written(&vec![7; 10 * BLOCK]);
        let file = CheckedFile::open(&disk, "/f".into(), checksums).expect("as written");
        let block = BLOCK as u64;
        let ranges =
            [9 * block..9 * block + 1, 7..10, 5..block + 1, 3 * block..3 * block + 5, 2 * block - 1..2 * block];
        let runs: Vec<_> = file.read_runs(&ranges).expect("in it").into_iter().map(|run| run.0).collect();
        assert_eq!(runs, [5..2 * block, 3 * block..3 * block + 5, 9 * block..9 * block + 1]);
    }

    #[test]
    fn changed_bytes_are_noticed_after_the_open() {
        let (disk, checksums) = written(&vec![7; 3 * BLOCK]);
        let file = CheckedFile::open(&disk, "/f".into(), checksums).expect("as written");
        file.read(0..10).expect("still good");
        let raw = disk.open(Path::new("/f"), OpenMode::Write).expect("it is there");
        raw.write_all_at(&[8], 5).expect("a healthy disk");
        assert_eq!(file.read(0..1).expect_err("changed").code(), SqlState::DATA_CORRUPTED);
        file.read(BLOCK as u64..BLOCK as u64 + 1).expect("another block");
        raw.set_len(BLOCK as u64 + 7).expect("a healthy disk");
        assert_eq!(file.read(BLOCK as u64..BLOCK as u64 + 1).expect_err("cut").code(), SqlState::DATA_CORRUPTED);
        assert!(file.verify().is_err());
    }
}
