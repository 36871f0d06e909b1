//! The manifest: which segments exist, what the storages look like, and up to which log entry all of that is complete.
//!
//! One small file, written anew for every edit and renamed over the old one: an edit is there or not, and there is no log of
//! edits to replay. Byte table and crash argument: docs/formats/manifest.md.

use crate::base::{Base, Place, SegmentFile, StorageBase};
use crate::disk::persist;
use crate::segment::{SegmentId, SegmentMeta};
use crate::shape::{Shape, damaged};
use heddle_engines::point::SeriesLayout;
use heddle_env::{File, OpenMode};
use heddle_types::{Error, LogIndex, Result, SqlState, StorageId};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file's name.
const FILE: &str = "MANIFEST";
/// What it is called until it is whole.
const FILE_NEW: &str = "MANIFEST.new";
const MAGIC: &[u8; 8] = b"HEDLMANI";
const VERSION: u32 = 1;
/// Magic, version, length of the body.
const HEAD: usize = 8 + 4 + 8;
const CHECKSUM: usize = 4;

/// What the file says.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    flushed: LogIndex,
    next_segment: u64,
    storages: Vec<Storage>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Storage {
    storage: StorageId,
    layout: SeriesLayout,
    expired_us: i64,
    /// By partition, oldest first.
    segments: Vec<SegmentMeta>,
}

/// A state of the engine on disk.
#[derive(Clone, Default)]
pub struct Manifest {
    /// Everything at or below is in the segments.
    pub flushed: LogIndex,
    /// The next segment's number.
    pub next_segment: u64,
    /// The segments.
    pub base: Base,
}

impl Manifest {
    /// Reads the manifest, or makes an empty one in a folder without segments. Removes files that it does not refer to.
    ///
    /// # Errors
    /// `XX001` when it is damaged, or missing although there are segments; `0A000` for another version; `53100` and `58030` as the disk says.
    pub fn open(place: &Place) -> Result<Self> {
        let (disk, dir) = (&*place.env.disk, &place.dir);
        let failed = |e| disk_error("could not open folder", dir, &e);
        disk.create_dir_all(dir).map_err(failed)?;
        let names = disk.list(dir).map_err(failed)?;
        let path = dir.join(FILE);
        if !disk.exists(&path) {
            if names.iter().any(|name| SegmentId::from_file_name(name).is_some()) {
                return Err(damaged(format!("file \"{}\" is missing", path.display())));
            }
            let empty = Self { next_segment: 1, ..Self::default() };
            empty.write_once(place).map_err(|e| disk_error("could not create file", &path, &e))?;
            return Ok(empty);
        }
        let manifest = Self::read(place, &path)?;
        manifest.remove_others(place, &names);
        Ok(manifest)
    }

    fn read(place: &Place, path: &Path) -> Result<Self> {
        let failed = |e| disk_error("could not read file", path, &e);
        let file = place.env.disk.open(path, OpenMode::Read).map_err(failed)?;
        let bytes = read_all(&*file).map_err(failed)?;
        let body = decode(&bytes, path)?;
        let storage = |stored: Storage| {
            let mut storage = StorageBase::new(Shape::new(stored.layout));
            storage.expired_us = stored.expired_us;
            for meta in stored.segments {
                let file = SegmentFile::new(place, meta, &storage.shape.layout);
                storage.partitions.entry(file.meta.partition).or_default().push(file);
            }
            (stored.storage, Arc::new(storage))
        };
        let base = Base { storages: body.storages.into_iter().map(storage).collect() };
        Ok(Self { flushed: body.flushed, next_segment: body.next_segment, base })
    }

    /// What a flush or compaction left that did not get as far as its edit.
    fn remove_others(&self, place: &Place, names: &[PathBuf]) {
        let known: std::collections::BTreeSet<SegmentId> = self.base.segments().map(|file| file.id()).collect();
        for name in names {
            let is_unknown = SegmentId::from_file_name(name).is_some_and(|id| !known.contains(&id));
            if (is_unknown || name == Path::new(FILE_NEW))
                && let Err(error) = place.env.disk.remove_file(&place.dir.join(name))
            {
                tracing::warn!(%error, name = %name.display(), "a file that nobody needs stays");
            }
        }
    }

    /// Writes it in place of the last one. Durable when it returns; a full disk makes it wait, any other error ends the process.
    pub fn write(&self, place: &Place) {
        persist("could not write the manifest", || self.write_once(place));
    }

    fn write_once(&self, place: &Place) -> std::io::Result<()> {
        let (disk, dir) = (&*place.env.disk, &place.dir);
        let new = dir.join(FILE_NEW);
        let file = disk.open(&new, OpenMode::Create)?;
        let bytes = self.encode();
        file.set_len(bytes.len() as u64)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_all()?;
        // The names of new segments are durable before the manifest that refers to them.
        disk.sync_dir(dir)?;
        disk.rename(&new, &dir.join(FILE))?;
        disk.sync_dir(dir)
    }

    fn encode(&self) -> Vec<u8> {
        let storage = |(id, stored): (&StorageId, &Arc<StorageBase>)| Storage {
            storage: *id,
            layout: (*stored.shape.layout).clone(),
            expired_us: stored.expired_us,
            segments: stored.segments().map(|file| file.meta.clone()).collect(),
        };
        let storages = self.base.storages.iter().map(storage).collect();
        let body = Body { flushed: self.flushed, next_segment: self.next_segment, storages };
        let body = serde_json::to_vec(&body).expect("a manifest has string keys only");
        let mut out = Vec::with_capacity(HEAD + body.len() + CHECKSUM);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }
}

fn decode(bytes: &[u8], path: &Path) -> Result<Body> {
    let bad = |what: &str| damaged(format!("file \"{}\" is damaged: {what}", path.display()));
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or_else(|| bad("it is cut short"))?;
    if crc32c::crc32c(content).to_le_bytes() != *checksum {
        return Err(bad("its checksum is wrong"));
    }
    let (magic, rest) = content.split_first_chunk::<8>().ok_or_else(|| bad("it is cut short"))?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(|| bad("it is cut short"))?;
    let (length, body) = rest.split_first_chunk::<8>().ok_or_else(|| bad("it is cut short"))?;
    if magic != MAGIC || u64::from_le_bytes(*length) != body.len() as u64 {
        return Err(bad("it is no manifest"));
    }
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Error::unsupported(format!("format {version} of file \"{}\"", path.display())));
    }
    serde_json::from_slice(body).map_err(|e| bad(&e.to_string()))
}

fn read_all(file: &dyn File) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn disk_error(what: &str, path: &Path, e: &std::io::Error) -> Error {
    let code = if heddle_env::is_disk_full(e) { SqlState::DISK_FULL } else { SqlState::IO_ERROR };
    Error::new(code, format!("{what} \"{}\": {e}", path.display()))
}
