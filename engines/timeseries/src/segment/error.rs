//! How a segment's failures become the shared error: which file, and `XX001`, `53100` or `58030`.

use arrow::error::ArrowError;
use heddle_env::is_disk_full;
use heddle_types::{Error, SqlState};
use pco::errors::PcoError;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// `XX001`, naming the file.
pub(super) fn damaged(path: &Path, detail: impl Into<String>) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, format!("segment file \"{}\" is damaged", path.display()))
        .detail(detail)
        .hint("Restore this node's data folder from a replica or a backup.")
}

/// `0A000`: written by another version than ours, which is `known`.
pub(super) fn other_version(path: &Path, version: u32, known: u32) -> Error {
    let message = format!("version {version} of segment file \"{}\" is not supported", path.display());
    let age = if version < known { "an older" } else { "a newer" };
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint(format!("The file was written by {age} version."))
}

/// What a failed open or read says: a file that is gone or ends early is damage.
pub(super) fn read_error(path: &Path, e: &io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => damaged(path, "The file is missing."),
        io::ErrorKind::UnexpectedEof => damaged(path, "The file is cut short."),
        _ => disk_error("read", path, e),
    }
}

/// `53100` for a full disk, else `58030`.
pub(super) fn disk_error(verb: &str, path: &Path, e: &io::Error) -> Error {
    let message = format!("could not {verb} file \"{}\": {e}", path.display());
    if is_disk_full(e) {
        return Error::new(SqlState::DISK_FULL, message).hint("Check free disk space.");
    }
    Error::new(SqlState::IO_ERROR, message)
}

/// Bytes that passed their checksum and still make no sense.
#[derive(Debug)]
pub(super) struct Malformed(String);

impl Malformed {
    /// What is wrong with them.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// As `XX001`, naming the file.
    pub fn in_file(self, path: &Path) -> Error {
        damaged(path, format!("It is malformed: {}.", self.0))
    }
}

impl From<PcoError> for Malformed {
    fn from(e: PcoError) -> Self {
        Self(e.message)
    }
}

impl From<ArrowError> for Malformed {
    fn from(e: ArrowError) -> Self {
        Self(e.to_string())
    }
}

/// What a step of decoding stumbles over.
pub(super) enum Failure {
    Read(Error),
    Malformed(Malformed),
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Runs a step of decoding bytes of the file at `path`. They passed their checksums; if a decoder still panics over them, that is one
/// statement's error.
pub(super) fn guarded<T>(path: &Path, step: impl FnOnce() -> Result<T, Failure>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Read(error))) => Err(error),
        Ok(Err(Failure::Malformed(malformed))) => Err(malformed.in_file(path)),
        Err(_) => Err(damaged(path, "The decoder gave up.")),
    }
}
