//! How a segment's failures become the shared error: which file, and `XX001`, `53100` or `58030`.

use heddle_env::is_disk_full;
use heddle_types::{Error, SqlState};
use parquet::errors::ParquetError;
use std::io;
use std::path::Path;

/// `XX001`, naming the file.
pub(super) fn damaged(path: &Path, detail: impl Into<String>) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, format!("segment file \"{}\" is damaged", path.display()))
        .detail(detail)
        .hint("Restore this node's data folder from a replica or a backup.")
}

/// `0A000`: written by a newer version.
pub(super) fn too_new(path: &Path, version: u32) -> Error {
    let message = format!("version {version} of segment file \"{}\" is not supported", path.display());
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).hint("The file was written by a newer version.")
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

/// What the Parquet decoder stumbled over: our own error from below, or bytes that passed their checksums and are still wrong.
pub(super) fn decode_error(path: &Path, e: ParquetError) -> Error {
    match e {
        ParquetError::External(source) => match source.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => damaged(path, other.to_string()),
        },
        other => damaged(path, other.to_string()),
    }
}

/// What the Parquet writer stumbled over: the disk, or a bug.
pub(super) fn encode_error(path: &Path, e: ParquetError) -> Error {
    match e {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(io) => disk_error("write", path, &io),
            Err(other) => Error::internal(format!("segment file \"{}\": {other}", path.display())),
        },
        other => Error::internal(format!("segment file \"{}\": {other}", path.display())),
    }
}
