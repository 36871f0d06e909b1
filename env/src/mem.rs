//! A disk in memory: for tests that need thousands of disks. Everything is durable at once; put a
//! [`crate::FaultDisk`] around it to lose what was not synced.

use crate::disk::{Disk, File, OpenMode};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A disk in memory.
#[derive(Default)]
pub struct MemDisk {
    tree: Mutex<Tree>,
}

#[derive(Default)]
struct Tree {
    files: BTreeMap<PathBuf, Arc<Node>>,
    dirs: BTreeSet<PathBuf>,
}

/// What a path names; lives on while a handle is open, like an inode.
#[derive(Default)]
struct Node {
    bytes: Mutex<Vec<u8>>,
    locked: AtomicBool,
}

impl MemDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Tree {
    fn has_dir(&self, dir: &Path) -> bool {
        dir.parent().is_none() || dir.as_os_str().is_empty() || self.dirs.contains(dir)
    }

    fn parent_exists(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(p) if !self.has_dir(p) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut tree = self.tree.lock();
        tree.parent_exists(path)?;
        if tree.dirs.contains(path) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let node = match (tree.files.get(path), mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), _) => Arc::clone(node),
            (None, OpenMode::Read | OpenMode::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                Arc::clone(tree.files.entry(path.to_owned()).or_default())
            }
        };
        Ok(Arc::new(MemFile { node, writable: mode != OpenMode::Read, holds_lock: AtomicBool::new(false) }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let tree = self.tree.lock();
        if !tree.has_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let all = tree.files.keys().chain(&tree.dirs);
        let mut names: Vec<PathBuf> =
            all.filter(|p| p.parent() == Some(dir)).filter_map(|p| p.file_name()).map(PathBuf::from).collect();
        names.sort();
        Ok(names)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        for d in dir.ancestors() {
            if tree.files.contains_key(d) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            if d.parent().is_some() && !d.as_os_str().is_empty() {
                tree.dirs.insert(d.to_owned());
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        tree.parent_exists(to)?;
        let node = tree.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        tree.files.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.tree.lock().files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut tree = self.tree.lock();
        if !tree.has_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        tree.files.retain(|p, _| !p.starts_with(dir));
        tree.dirs.retain(|p| !p.starts_with(dir));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.tree.lock().has_dir(dir) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn exists(&self, path: &Path) -> bool {
        let tree = self.tree.lock();
        tree.files.contains_key(path) || tree.has_dir(path)
    }
}

struct MemFile {
    node: Arc<Node>,
    writable: bool,
    holds_lock: AtomicBool,
}

impl MemFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        if *self.holds_lock.get_mut() {
            self.node.locked.store(false, Ordering::SeqCst);
        }
    }
}

fn to_usize(n: u64) -> io::Result<usize> {
    usize::try_from(n).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.node.bytes.lock();
        let from = to_usize(offset)?.min(bytes.len());
        let n = buf.len().min(bytes.len() - from);
        buf[..n].copy_from_slice(&bytes[from..from + n]);
        Ok(n)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut bytes = self.node.bytes.lock();
        let from = to_usize(offset)?;
        let end = from.checked_add(buf.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[from..end].copy_from_slice(buf);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.node.bytes.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.node.bytes.lock().resize(to_usize(len)?, 0);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut bytes = self.node.bytes.lock();
        let len = to_usize(len)?.max(bytes.len());
        bytes.resize(len, 0);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        if self.holds_lock.load(Ordering::SeqCst) {
            return Ok(true);
        }
        let got = !self.node.locked.swap(true, Ordering::SeqCst);
        self.holds_lock.store(got, Ordering::SeqCst);
        Ok(got)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What every disk must do. `root` exists and is empty.
    pub(crate) fn disk_contract(disk: &dyn Disk, root: &Path) {
        let dir = root.join("a/b");
        disk.create_dir_all(&dir).expect("create folders");
        disk.create_dir_all(&dir).expect("twice is fine");
        let f = dir.join("f");
        assert_eq!(disk.open(&f, OpenMode::Read).err().map(|e| e.kind()), Some(io::ErrorKind::NotFound));
        let h = disk.open(&f, OpenMode::CreateNew).expect("create");
        assert_eq!(disk.open(&f, OpenMode::CreateNew).err().map(|e| e.kind()), Some(io::ErrorKind::AlreadyExists));
        assert!(h.is_empty().expect("len"));
        h.write_all_at(b"hello", 3).expect("write");
        let mut buf = [9; 10];
        assert_eq!(h.read_at(&mut buf, 0).expect("read"), 8);
        assert_eq!(&buf[..8], b"\0\0\0hello");
        assert_eq!(h.read_at(&mut buf, 8).expect("read at end"), 0);
        assert_eq!(h.read_exact_at(&mut buf, 0).err().map(|e| e.kind()), Some(io::ErrorKind::UnexpectedEof));
        h.allocate(4096).expect("allocate");
        h.allocate(10).expect("never shrinks");
        assert_eq!(h.len().expect("len"), 4096);
        h.set_len(5).expect("truncate");
        h.sync_data().expect("sync");
        h.sync_all().expect("sync");
        assert!(disk.open(&f, OpenMode::Read).expect("open").write_all_at(b"x", 0).is_err());

        assert!(h.try_lock().expect("lock"));
        let other = disk.open(&f, OpenMode::Write).expect("open");
        assert!(!other.try_lock().expect("lock"));
        drop(h);
        assert!(other.try_lock().expect("freed with its handle"));

        let g = dir.join("g");
        disk.open(&g, OpenMode::Create).expect("create");
        disk.rename(&f, &g).expect("replaces");
        disk.sync_dir(&dir).expect("sync");
        assert_eq!(disk.list(&dir).expect("list"), [PathBuf::from("g")]);
        assert_eq!(disk.list(&root.join("a")).expect("list"), [PathBuf::from("b")]);
        assert_eq!(other.len().expect("handle follows the file"), 5);
        assert!(disk.exists(&g) && disk.exists(&dir) && !disk.exists(&f));
        disk.remove_file(&g).expect("remove");
        assert!(disk.remove_file(&g).is_err());
        disk.remove_dir_all(&root.join("a")).expect("remove");
        assert!(disk.list(&dir).is_err());
    }

    #[test]
    fn mem_disk_keeps_the_contract() {
        disk_contract(&MemDisk::new(), Path::new("/"));
    }
}
