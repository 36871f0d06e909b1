//! The machine's disk: `std::fs`, and rustix for what std lacks (fallocate, flock).

use crate::disk::{Disk, File, OpenMode};
use rustix::fs::{FallocateFlags, FlockOperation, SeekFrom, fallocate, flock, seek};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The machine's disk.
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
            OpenMode::Create => options.write(true).create(true).truncate(false),
        };
        Ok(Arc::new(RealFile(options.open(path)?)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(PathBuf::from(entry?.file_name()));
        }
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

struct RealFile(fs::File);

/// How much zeroes are written at a time where the file system cannot reserve blocks.
const ZERO_CHUNK: usize = 256 << 10;

impl RealFile {
    /// For file systems without fallocate: writes zeroes from the present end on. Never touches existing bytes.
    fn extend_with_zeroes(&self, len: u64) -> io::Result<()> {
        let zeroes = vec![0; ZERO_CHUNK];
        let mut at = self.len()?;
        while at < len {
            let n = (len - at).min(ZERO_CHUNK as u64) as usize;
            self.0.write_all_at(&zeroes[..n], at)?;
            at += n as u64;
        }
        Ok(())
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match self.0.read_at(buf, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        loop {
            match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.extend_with_zeroes(len),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        match seek(&self.0, SeekFrom::Data(from)) {
            Ok(at) => Ok(Some(at)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((from < self.len()?).then_some(from)),
            Err(e) => Err(e.into()),
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        match flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::tests::disk_contract;

    #[test]
    fn real_disk_keeps_the_contract() {
        let dir = tempfile::tempdir().expect("temporary folder");
        disk_contract(&RealDisk, dir.path());
    }

    #[test]
    fn next_data_skips_nothing_written() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let f = RealDisk.open(&dir.path().join("f"), OpenMode::CreateNew).expect("open");
        f.allocate(1 << 20).expect("allocate");
        f.write_all_at(&[1], 700_000).expect("write");
        let mut at = 0;
        while let Some(next) = f.next_data(at).expect("seek") {
            assert!(next <= 700_000, "{next} is behind the byte");
            let mut byte = [0];
            f.read_exact_at(&mut byte, next).expect("read");
            if byte == [1] {
                return;
            }
            at = next + 1;
        }
        panic!("the byte was not found");
    }

    #[test]
    fn zero_fill_keeps_existing_bytes() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let f =
            fs::OpenOptions::new().read(true).write(true).create_new(true).open(dir.path().join("f")).expect("open");
        let f = RealFile(f);
        f.write_all_at(b"abc", 0).expect("write");
        f.extend_with_zeroes(600_000).expect("extend");
        let mut b = [1; 4];
        f.read_exact_at(&mut b, 0).expect("read");
        assert_eq!((&b, f.len().expect("len")), (b"abc\0", 600_000));
    }
}
