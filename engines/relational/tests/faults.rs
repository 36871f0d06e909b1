//! What the base does when the disk is torn, damaged or full.

use bytes::Bytes;
use heddle_engines::{KeyRange, Row, RowChange, RowEngine};
use heddle_env::fault::{Fault, FaultDisk, Op};
use heddle_env::random::SeededRandom;
use heddle_env::{Disk, Env, File, OpenMode, Random, RealDisk};
use heddle_relational::{RelationalConfig, open};
use heddle_types::{LogIndex, Result, SqlState, StorageId};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROUNDS: u64 = 6;
const KEYS: u64 = 400;

fn config(dir: &Path) -> RelationalConfig {
    RelationalConfig { dir: dir.to_owned(), memtable_bytes_max: 1 << 20, cache_bytes: 64 << 10 }
}

fn start(disk: Arc<dyn Disk>, dir: &Path) -> Result<Arc<dyn RowEngine>> {
    open(Env { disk, ..Env::real() }, config(dir))
}

fn merge_round(engine: &dyn RowEngine, round: u64) {
    let storage = StorageId(1);
    let changes = (0..KEYS).filter(|key| (key * 7 + round).is_multiple_of(3)).map(|n| {
        let key = Bytes::copy_from_slice(&n.to_be_bytes());
        match (n + round) % 4 {
            0 => RowChange::Delete { storage, key },
            _ => RowChange::Put { storage, key, row: Bytes::from(vec![round as u8; 100 + n as usize]) },
        }
    });
    engine.apply(LogIndex(round), changes.collect());
    engine.seal(true);
    assert_eq!(engine.merge(LogIndex(round)).unwrap(), LogIndex(round));
}

fn rows(engine: &dyn RowEngine, at: LogIndex) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let reader = engine.versions().reader(at);
    let mut cursor = reader.scan(StorageId(1), KeyRange::all(), false)?;
    while cursor.next_batch(1000, &mut rows)? {}
    Ok(rows)
}

#[derive(Clone)]
enum Event {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    Merged(u64),
}

/// Records what happens to the one file that is opened.
#[derive(Clone)]
struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Disk for Recorder {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(Recorded { inner: RealDisk.open(path, mode)?, events: Arc::clone(&self.0) }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        RealDisk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }
}

struct Recorded {
    inner: Arc<dyn File>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl File for Recorded {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.events.lock().push(Event::Write(offset, buf.to_vec()));
        self.inner.write_all_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()?;
        self.events.lock().push(Event::Sync);
        Ok(())
    }
    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.events.lock().push(Event::SetLen(len));
        self.inner.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }
}

/// What the disk may hold after a crash at `cut`: everything synced, and of the rest whatever the seed says, by sectors.
fn crash_image(base: &[u8], events: &[Event], random: &SeededRandom) -> Vec<u8> {
    let synced = events.iter().rposition(|e| matches!(e, Event::Sync)).unwrap_or(0);
    let mut image = base.to_vec();
    for (n, event) in events.iter().enumerate() {
        match event {
            Event::SetLen(len) => image.resize(*len as usize, 0),
            Event::Write(offset, data) => {
                let whole = n <= synced || random.u64().is_multiple_of(3);
                for (at, sector) in (*offset as usize..).step_by(512).zip(data.chunks(512)) {
                    if at + sector.len() <= image.len() && (whole || random.u64().is_multiple_of(2)) {
                        image[at..at + sector.len()].copy_from_slice(sector);
                    }
                }
            }
            Event::Sync | Event::Merged(_) => {}
        }
    }
    image
}

#[test]
fn crash_anywhere_leaves_a_whole_merge() {
    crash_anywhere(1 << 20);
}

#[test]
fn crash_between_slices_of_a_merge_is_mended_by_replay() {
    crash_anywhere(SLICED);
}

/// A merge is written in three slices or so.
const SLICED: usize = 256 << 10;

fn crash_anywhere(memtable_bytes_max: usize) {
    let start = |disk: Arc<dyn Disk>, dir: &Path| {
        open(Env { disk, ..Env::real() }, RelationalConfig { memtable_bytes_max, ..config(dir) })
    };
    let dir = tempfile::tempdir().unwrap();
    drop(start(Arc::new(RealDisk), dir.path()).unwrap());
    let file = dir.path().join("rows.base");
    let base = std::fs::read(&file).unwrap();
    let recorder = Recorder(Arc::default());
    let engine = start(Arc::new(recorder.clone()), dir.path()).unwrap();
    let mut truth = vec![Vec::new()];
    for round in 1..=ROUNDS {
        merge_round(&*engine, round);
        recorder.0.lock().push(Event::Merged(round));
        truth.push(rows(&*engine, LogIndex(round)).unwrap());
    }
    drop(engine);
    let events = recorder.0.lock().clone();
    let mut states = std::collections::BTreeSet::new();
    for cut in (1..=events.len()).rev() {
        let random = SeededRandom::new(cut as u64);
        std::fs::write(&file, crash_image(&base, &events[..cut], &random)).unwrap();
        let engine = start(Arc::new(RealDisk), dir.path()).unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        let flushed = engine.flushed_index();
        let promised = events[..cut].iter().rev().find_map(|e| if let Event::Merged(n) = e { Some(*n) } else { None });
        assert!(flushed >= LogIndex(promised.unwrap_or(0)), "cut {cut}: a merge that was reported is gone");
        // Of a merge in slices some rows may be there already: they come once more, from the log.
        let whole = memtable_bytes_max != SLICED;
        assert!(
            !whole || rows(&*engine, flushed).unwrap() == truth[flushed.0 as usize],
            "cut {cut}: wrong rows at {flushed}"
        );
        engine.verify().unwrap_or_else(|e| panic!("cut {cut}: {e}"));
        if flushed.0 < ROUNDS {
            merge_round(&*engine, flushed.0 + 1);
            assert!(rows(&*engine, flushed.next()).unwrap() == truth[flushed.0 as usize + 1], "cut {cut}: goes on");
        }
        states.insert(flushed);
    }
    assert_eq!(states.len() as u64, ROUNDS + 1, "cuts before, between and after all merges");
}

#[test]
fn block_damaged_is_xx001_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(Arc::new(RealDisk), dir.path()).unwrap();
    (1..=ROUNDS).for_each(|round| merge_round(&*engine, round));
    engine.verify().unwrap();
    drop(engine);
    let file = dir.path().join("rows.base");
    let sound = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for block in 0..sound.len() / 4096 {
        let mut bytes = sound.clone();
        bytes[block * 4096 + 77] ^= 4;
        std::fs::write(&file, &bytes).unwrap();
        let result = start(Arc::new(RealDisk), dir.path()).and_then(|engine| {
            let read = rows(&*engine, LogIndex(ROUNDS));
            engine.verify().and(read)
        });
        if let Err(e) = result {
            refused += 1;
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "block {block}: {e}");
            assert!(e.message().contains("rows.base"), "block {block}: {e}");
        }
    }
    assert!(refused > 10, "only {refused} blocks mattered");
    for cut in [0, 100, 4096, 20_000, sound.len() / 2, sound.len() - 4096, sound.len() - 1] {
        std::fs::write(&file, &sound[..cut]).unwrap();
        if let Err(e) = start(Arc::new(RealDisk), dir.path()) {
            assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "cut at {cut}: {e}");
        }
    }
}

#[test]
fn disk_full_makes_the_merge_wait() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(Arc::new(RealDisk));
    let engine = start(disk.clone(), dir.path()).unwrap();
    disk.fail_nth(Some(Op::Write), 1, Fault::NoSpace);
    disk.fail_nth(Some(Op::Write), 4, Fault::NoSpace);
    (1..=ROUNDS).for_each(|round| merge_round(&*engine, round));
    let before = rows(&*engine, LogIndex(ROUNDS)).unwrap();
    drop(engine);
    let engine = start(Arc::new(RealDisk), dir.path()).unwrap();
    assert!(rows(&*engine, LogIndex(ROUNDS)).unwrap() == before);
    engine.verify().unwrap();
}

#[test]
fn read_error_heals_with_the_next_merge() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultDisk::new(Arc::new(RealDisk));
    let engine = start(disk.clone(), dir.path()).unwrap();
    (1..=3).for_each(|round| merge_round(&*engine, round));
    drop(engine);
    let engine = start(disk.clone(), dir.path()).unwrap();
    disk.fail_from(Some(Op::Read), 0, Fault::Io);
    let e = rows(&*engine, LogIndex(3)).unwrap_err();
    assert_eq!(e.code(), SqlState::IO_ERROR);
    disk.clear();
    assert_eq!(rows(&*engine, LogIndex(3)).unwrap_err().code(), SqlState::IO_ERROR, "redb refuses until opened again");
    engine.merge(LogIndex(3)).unwrap();
    assert!(!rows(&*engine, LogIndex(3)).unwrap().is_empty());
}

#[test]
fn another_version_is_0a000_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(start(Arc::new(RealDisk), dir.path()).unwrap());
    let file = RealDisk.open(&dir.path().join("rows.base"), OpenMode::Write).unwrap();
    let mut header = [0; 24];
    file.read_exact_at(&mut header, 0).unwrap();
    header[8..12].copy_from_slice(&1u32.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..20]);
    header[20..].copy_from_slice(&checksum.to_le_bytes());
    file.write_all_at(&header, 0).unwrap();
    let e = start(Arc::new(RealDisk), dir.path()).map(drop).unwrap_err();
    assert_eq!(e.code(), SqlState::FEATURE_NOT_SUPPORTED);
    assert!(e.to_string().contains("version 1") && e.fields().hint.is_some(), "{e}");
}
