//! How this crate's failures become the shared error: which file, which operation, 53100 or 58030.

use heddle_env::is_disk_full;
use heddle_types::{Error, SqlState};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A call to the disk that failed. Inside the crate its holder decides whether that is an answer or the end.
#[derive(Debug)]
pub(crate) struct DiskError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn is_full(&self) -> bool {
        is_disk_full(&self.source)
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not {} file \"{}\": {}", self.verb, self.path.display(), self.source)
    }
}

impl From<DiskError> for Error {
    fn from(e: DiskError) -> Self {
        if e.is_full() {
            return Error::new(SqlState::DISK_FULL, e.to_string()).hint("Check free disk space.");
        }
        Error::new(SqlState::IO_ERROR, e.to_string())
    }
}

/// Says what was tried on which file.
pub(crate) trait OnFile<T> {
    fn on(self, verb: &'static str, path: &Path) -> Result<T, DiskError>;
}

impl<T> OnFile<T> for io::Result<T> {
    fn on(self, verb: &'static str, path: &Path) -> Result<T, DiskError> {
        self.map_err(|source| DiskError { verb, path: path.to_owned(), source })
    }
}

/// `XX001` with file and offset.
pub(crate) fn damaged(path: &Path, offset: u64, detail: impl Into<String>) -> Error {
    let message = format!("log file \"{}\" is damaged at offset {offset}", path.display());
    Error::new(SqlState::DATA_CORRUPTED, message).detail(detail)
}

/// `0A000`: something in the log that only a newer version knows.
pub(crate) fn too_new(path: &Path, offset: u64, what: &str) -> Error {
    let message = format!("{what} in log file \"{}\" at offset {offset} is not supported", path.display());
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("The log was written by a newer version.")
}

/// `57P01`: the log takes nothing more.
pub(crate) fn terminating() -> Error {
    Error::new(SqlState::ADMIN_SHUTDOWN, "the log is shutting down")
}

/// The log thread ended before the log was open; only a test's FailStop lets anyone see this.
pub(crate) fn poisoned() -> Error {
    Error::internal("the log thread ended while the log was being opened")
}
