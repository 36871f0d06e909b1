//! The data folder: who may use it and which format it has.
//!
//! ```text
//! DIR/HEDDLEDB     format version, text with a checksum; written once, last
//! DIR/lock         locked while a server runs; holds its process id for the message
//! DIR/log/         segments of the log
//! DIR/relational/  base of the row engine
//! DIR/timeseries/  segments and manifest of the time-series engine
//! DIR/tmp/         spilled query data, emptied at every start
//! ```
//!
//! Invariants
//! 1. Nothing but `lock` is touched before the lock is held.
//! 2. A folder without `HEDDLEDB` is taken only when it holds nothing of anybody's: it is empty, or a start was cut short while
//!    it made the folder. `HEDDLEDB` is renamed into place after the sub-folders exist, so its presence says they do.

use heddle_env::{Disk, File, OpenMode, is_disk_full};
use heddle_types::{Error, Result, SqlState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const VERSION_FILE: &str = "HEDDLEDB";
const VERSION_FILE_NEW: &str = "HEDDLEDB.new";
const LOCK_FILE: &str = "lock";
const FOLDERS: [&str; 4] = ["log", "relational", "timeseries", "tmp"];
/// Raised when an older server could not read what a newer one writes.
const FORMAT: u32 = 1;
const VERSION_FILE_BYTES_MAX: u64 = 4096;

/// An open, locked data folder; the lock goes with it.
pub struct DataFolder {
    path: PathBuf,
    _lock: Arc<dyn File>,
}

impl DataFolder {
    /// Opens or creates the folder and locks it.
    ///
    /// # Errors
    /// `55006` when another server uses it, `55000` when it is not a data folder, `0A000` for a newer format, `XX001` when the
    /// version file is damaged, `58030` and `53100` from the disk.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let folder = Opening { disk, path };
        folder.io("create", path, disk.create_dir_all(path))?;
        let names = folder.io("list", path, disk.list(path))?;
        let exists = names.iter().any(|n| n.as_os_str() == VERSION_FILE);
        if !exists {
            folder.check_unused(&names)?;
        }
        let lock = folder.lock()?;
        // Somebody may have created it between the listing and the lock.
        if disk.exists(&path.join(VERSION_FILE)) {
            folder.check_format()?;
        } else {
            folder.create()?;
        }
        folder.empty_tmp()?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Folder of the log's segments.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Folder of the row engine.
    pub fn relational(&self) -> PathBuf {
        self.path.join("relational")
    }

    /// The time-series engine's.
    pub fn timeseries(&self) -> PathBuf {
        self.path.join("timeseries")
    }

    /// Folder for spilled query data.
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }
}

struct Opening<'a> {
    disk: &'a dyn Disk,
    path: &'a Path,
}

impl Opening<'_> {
    fn io<T>(&self, verb: &str, path: &Path, result: io::Result<T>) -> Result<T> {
        result.map_err(|e| {
            let code = if is_disk_full(&e) { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
            Error::new(code, format!("could not {verb} \"{}\": {e}", path.display()))
        })
    }

    fn check_unused(&self, names: &[PathBuf]) -> Result<()> {
        let ours = |n: &&PathBuf| {
            let n = n.to_str().unwrap_or("");
            n == LOCK_FILE || n == VERSION_FILE_NEW || n == "lost+found"
        };
        // Sub-folders may be left of a cut-short creation, but then they are empty.
        let empty = |n: &&PathBuf| {
            FOLDERS.iter().any(|f| n.as_os_str() == *f)
                && self.disk.list(&self.path.join(n)).is_ok_and(|inside| inside.is_empty())
        };
        match names.iter().find(|n| !ours(n) && !empty(n)) {
            None => Ok(()),
            Some(name) => {
                let text = format!("\"{}\" is not empty and is not a HeddleDB data folder", self.path.display());
                let detail = format!("It holds \"{}\", but no file {VERSION_FILE}.", name.display());
                Err(Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text).detail(detail))
            }
        }
    }

    fn lock(&self) -> Result<Arc<dyn File>> {
        let path = self.path.join(LOCK_FILE);
        let file = self.io("open", &path, self.disk.open(&path, OpenMode::Create))?;
        if !self.io("lock", &path, file.try_lock())? {
            return Err(self.in_use(&*file));
        }
        let id = format!("{}\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.write_all_at(id.as_bytes(), 0));
        self.io("write", &path, written)?;
        Ok(file)
    }

    fn in_use(&self, lock: &dyn File) -> Error {
        let text = format!("data folder \"{}\" is in use by another HeddleDB server", self.path.display());
        let mut bytes = [0; 32];
        let holder = lock.read_at(&mut bytes, 0).ok().and_then(|n| std::str::from_utf8(&bytes[..n]).ok());
        let error = Error::new(SqlState::OBJECT_IN_USE, text);
        match holder.and_then(|text| text.trim().parse::<u32>().ok()) {
            Some(id) => error.detail(format!("The process id of that server is {id}.")),
            None => error,
        }
    }

    fn create(&self) -> Result<()> {
        for name in FOLDERS {
            let path = self.path.join(name);
            self.io("create", &path, self.disk.create_dir_all(&path))?;
        }
        let (new, path) = (self.path.join(VERSION_FILE_NEW), self.path.join(VERSION_FILE));
        let file = self.io("create", &new, self.disk.open(&new, OpenMode::Create))?;
        let text = version_text();
        let written =
            file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0)).and_then(|()| file.sync_all());
        self.io("write", &new, written)?;
        self.io("rename", &new, self.disk.rename(&new, &path))?;
        self.io("sync", self.path, self.disk.sync_dir(self.path))?;
        // The folder's own entry: a power loss must not take the whole database with it.
        let parent = self.path.parent().unwrap_or(Path::new("."));
        self.io("sync", parent, self.disk.sync_dir(parent))
    }

    fn check_format(&self) -> Result<()> {
        let path = self.path.join(VERSION_FILE);
        let file = self.io("open", &path, self.disk.open(&path, OpenMode::Read))?;
        let len = self.io("read", &path, file.len())?.min(VERSION_FILE_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(len).expect("a few kB")];
        self.io("read", &path, file.read_exact_at(&mut bytes, 0))?;
        match parse_version(&bytes) {
            Some(FORMAT) => Ok(()),
            Some(other) => {
                let text = format!("data folder \"{}\" has format {other}", self.path.display());
                Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                    .detail(format!("This version of HeddleDB reads format {FORMAT}.")))
            }
            None => {
                let text = format!("version file \"{}\" is damaged", path.display());
                Err(Error::new(SqlState::DATA_CORRUPTED, text))
            }
        }
    }

    fn empty_tmp(&self) -> Result<()> {
        let tmp = self.path.join("tmp");
        if self.disk.exists(&tmp) {
            self.io("empty", &tmp, self.disk.remove_dir_all(&tmp))?;
        }
        self.io("create", &tmp, self.disk.create_dir_all(&tmp))
    }
}

fn version_text() -> String {
    let body = format!("HeddleDB data folder\nformat {FORMAT}\n");
    format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))
}

/// The format; nothing when the checksum or the shape is wrong.
fn parse_version(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (body, checksum) = text.split_at(text.find("crc32c ")?);
    let checksum = checksum.strip_prefix("crc32c ")?.strip_suffix('\n')?;
    if checksum.len() != 8 || u32::from_str_radix(checksum, 16).ok()? != crc32c::crc32c(body.as_bytes()) {
        return None;
    }
    body.strip_prefix("HeddleDB data folder\nformat ")?.strip_suffix('\n')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_env::RealDisk;

    fn code(path: &Path) -> SqlState {
        DataFolder::open(&RealDisk, path).map(|_| ()).unwrap_err().code()
    }

    #[test]
    fn created_reopened_and_locked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let folder = DataFolder::open(&RealDisk, &path).unwrap();
        std::fs::write(folder.tmp().join("left"), b"x").unwrap();
        let error = DataFolder::open(&RealDisk, &path).map(|_| ()).unwrap_err();
        assert!(error.message().ends_with("is in use by another HeddleDB server"));
        assert!(error.fields().detail.as_ref().unwrap().contains(&std::process::id().to_string()));
        drop(folder);
        let folder = DataFolder::open(&RealDisk, &path).unwrap();
        assert!(std::fs::read_dir(folder.tmp()).unwrap().next().is_none());
    }

    #[test]
    fn version_file_bytes_flipped_are_found() {
        let text = version_text().into_bytes();
        assert_eq!(parse_version(&text), Some(FORMAT));
        for i in 0..text.len() {
            let mut bad = text.clone();
            bad[i] ^= 1;
            assert_eq!(parse_version(&bad), None, "byte {i}");
            assert_eq!(parse_version(&text[..i]), None, "cut at {i}");
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(VERSION_FILE), b"HeddleDB data folder\n").unwrap();
        assert_eq!(code(dir.path()), SqlState::DATA_CORRUPTED);
    }

    #[test]
    fn newer_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let body = "HeddleDB data folder\nformat 2\n";
        let text = format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()));
        std::fs::write(dir.path().join(VERSION_FILE), text).unwrap();
        assert_eq!(code(dir.path()), SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn foreign_folder_is_refused_untouched_and_cut_short_creation_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("letter.txt"), b"dear").unwrap();
        assert_eq!(code(dir.path()), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        std::fs::write(dir.path().join(VERSION_FILE_NEW), b"Hed").unwrap();
        DataFolder::open(&RealDisk, dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(VERSION_FILE)).unwrap();
        std::fs::write(dir.path().join("log/segment"), b"x").unwrap();
        assert_eq!(code(dir.path()), SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    }
}
