//! redb's door to the disk: a [`BlockFile`], remembering the first read that failed.
//!
//! redb latches the first error of its backend: everything later fails with "previous I/O error" until the database is
//! opened again. [`Failure`] keeps the first one, so that later statements name the bad block too.

use crate::block_file::{BLOCK, BlockFile, bad_block};
use heddle_types::{Error, SqlState};
use parking_lot::Mutex;
use redb::{StorageBackend, StorageError};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The first error of a backend.
#[derive(Default)]
pub struct Failure(Mutex<Option<Error>>);

impl Failure {
    /// Has the backend failed, so that redb refuses everything?
    pub fn happened(&self) -> bool {
        self.0.lock().is_some()
    }

    fn note(&self, path: &Path, e: &io::Error) {
        self.0.lock().get_or_insert_with(|| read_error(path, e));
    }

    /// What a statement is told.
    pub fn explain(&self, e: &StorageError) -> Error {
        if let Some(first) = &*self.0.lock() {
            return first.clone();
        }
        match e {
            StorageError::Corrupted(what) => damaged(format!("relational base is damaged: {what}")),
            StorageError::DatabaseClosed => Error::new(SqlState::ADMIN_SHUTDOWN, "relational base is closed"),
            other => Error::internal(format!("relational base: {other}")),
        }
    }
}

/// `XX001`, saying what to do.
pub fn damaged(message: impl Into<String>) -> Error {
    Error::new(SqlState::DATA_CORRUPTED, message).hint("Restore this node's data folder from a replica or a backup.")
}

/// `XX001` for a bad block, `0A000` for a file of another version, `58030` for a disk that does not answer.
pub fn read_error(path: &Path, e: &io::Error) -> Error {
    match bad_block(e) {
        Some(bad) => damaged(bad.to_string()),
        None if e.kind() == io::ErrorKind::InvalidData => damaged(e.to_string()),
        None if e.kind() == io::ErrorKind::Unsupported => Error::new(SqlState::FEATURE_NOT_SUPPORTED, e.to_string())
            .hint("Let the program that wrote it COPY the tables into files, and load these into a new data folder."),
        None if e.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(format!("file \"{}\" is cut short", path.display()))
        }
        None => Error::new(SqlState::IO_ERROR, format!("could not read file \"{}\": {e}", path.display())),
    }
}

/// What redb writes to and reads from.
pub struct Backend {
    file: Arc<BlockFile>,
    failure: Arc<Failure>,
}

impl Backend {
    /// A backend over `file` that notes its first error in `failure`.
    pub fn new(file: Arc<BlockFile>, failure: Arc<Failure>) -> Self {
        Self { file, failure }
    }

    fn noted<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|e| self.failure.note(self.file.path(), e))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({})", self.file.path().display())
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.noted(self.file.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noted(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noted(self.file.write(offset, data))
    }
}

/// A backend that reads the file and keeps writes to itself: lets a second redb check the first one's file.
pub struct Overlay {
    backend: Backend,
    state: Mutex<Written>,
}

/// The length, and the blocks that were written.
type Written = (u64, BTreeMap<u64, Box<[u8; BLOCK]>>);

impl Overlay {
    /// Over `backend`, which nobody may write meanwhile.
    pub fn new(backend: Backend) -> Self {
        let len = backend.file.len();
        Self { backend, state: Mutex::new((len, BTreeMap::new())) }
    }

    fn block(&self, state: &Written, number: u64) -> io::Result<Box<[u8; BLOCK]>> {
        if let Some(block) = state.1.get(&number) {
            return Ok(block.clone());
        }
        let mut block = Box::new([0; BLOCK]);
        if number * (BLOCK as u64) < self.backend.file.len() {
            self.backend.read(number * BLOCK as u64, &mut block[..])?;
        }
        Ok(block)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay({:?})", self.backend)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().0)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        let mut at = offset;
        let mut rest = out;
        while !rest.is_empty() {
            let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let here = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at_mut(here);
            now.copy_from_slice(&self.block(&state, number)?[within..within + here]);
            at += here as u64;
            rest = later;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state.lock().0 = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let (number, within) = (at / BLOCK as u64, (at % BLOCK as u64) as usize);
            let here = rest.len().min(BLOCK - within);
            let (now, later) = rest.split_at(here);
            let mut block = if here == BLOCK { Box::new([0; BLOCK]) } else { self.block(&state, number)? };
            block[within..within + here].copy_from_slice(now);
            state.1.insert(number, block);
            at += here as u64;
            rest = later;
        }
        Ok(())
    }
}
