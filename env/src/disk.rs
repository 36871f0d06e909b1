//! What a disk and a file are. [`crate::RealDisk`], [`crate::MemDisk`] and [`crate::FaultDisk`] implement them.
//!
//! Errors are `std::io::Error` with the machine's error number, so that callers tell a full disk ([`is_disk_full`])
//! from a broken one.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Read only; the file exists.
    Read,
    /// Read and write; the file exists.
    Write,
    /// Read and write; the file must not exist.
    CreateNew,
    /// Read and write; created when absent.
    Create,
}

/// A disk. Paths are ordinary; tests put a fault layer in between.
pub trait Disk: Send + Sync {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Names (without the folder's own path) of files and folders in a folder, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Creates a folder and its parents.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Atomically replaces `to` by `from`. Durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with everything in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Does the path exist?
    fn exists(&self, path: &Path) -> bool;
}

/// An open file. Positioned reads and writes only, so that it can be shared.
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf` at `offset`.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// fdatasync.
    fn sync_data(&self) -> io::Result<()>;
    /// fsync.
    fn sync_all(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Is it empty?
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Truncates or extends (sparse).
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves disk blocks for `[0, len)` and makes the file at least that long, so that later writes there cannot meet ENOSPC.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// The first place at or behind `from` that may hold something else than zeroes; None when there is none.
    ///
    /// What was reserved and never written need not be read to know that.
    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        Ok((from < self.len()?).then_some(from))
    }
    /// Takes an exclusive advisory lock that dies with this handle; false when another holds it.
    fn try_lock(&self) -> io::Result<bool>;
    /// Reads exactly `buf.len()` bytes.
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            match self.read_at(buf, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }
}

/// Does the error say that there is no room left (ENOSPC, or the user's quota)?
pub fn is_disk_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
