//! What the engine does when the disk is full, broken, cut off or damaged.

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use heddle_engines::point::{NamedType, PartitionInterval, PointEngine, PointScan, SeriesLayout, point_key};
use heddle_engines::{KeyRange, RowChange};
use heddle_env::{Cut, Disk, Env, Fault, FaultDisk, File, MemDisk, Op, OpenMode, RealDisk};
use heddle_timeseries::compact::Policy;
use heddle_timeseries::{TimeseriesConfig, open};
use heddle_types::{Datum, LogIndex, PgType, Result, SqlState, StorageId, key, oid};
use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STORAGES: [StorageId; 2] = [StorageId(1 << 31 | 1), StorageId(1 << 31 | 2)];
/// Rounds of writing and flushing; the last one finds several segments to compact.
const ROUNDS: u64 = 4;
/// What a child process is told: the folder, and the call that fails.
const CHILD: (&str, &str) = ("HEDDLE_FAULT_DIR", "HEDDLE_FAULT_CALL");

fn layout() -> SeriesLayout {
    let named = |name: &str, ty| NamedType { name: name.into(), ty: PgType::new(ty) };
    SeriesLayout {
        tags: vec![named("host", oid::TEXT)],
        time: named("ts", oid::TIMESTAMPTZ),
        fields: vec![named("v", oid::INT8)],
        partition: PartitionInterval::Micros(1000),
    }
}

fn start(disk: Arc<dyn Disk>, dir: &Path) -> Result<Arc<dyn PointEngine>> {
    let mut config = TimeseriesConfig::new(dir.to_owned(), 1 << 20);
    config.idle = Policy { files_min: 3, ratio: 8 };
    open(Env { disk, ..Env::real() }, config)
}

fn series(host: u64) -> Bytes {
    let mut out = Vec::new();
    key::encode(&mut out, &Datum::Text(format!("host{host:03}").into()), key::KeyOrder::default());
    out.into()
}

/// Points of a round: new ones, overwritten ones, deleted ones.
fn changes(round: u64) -> Vec<RowChange> {
    let mut out = Vec::new();
    for storage in STORAGES {
        if round == 1 {
            out.push(RowChange::DefineSeries { storage, layout: layout().encode() });
        }
        for n in 0..60u64 {
            let key = point_key(&series(n % 3), ((n * 31 + round * 7) % 90) as i64 * 20);
            let row = layout().row_layout().encode(&[Datum::Int8((round * 1000 + n) as i64)]).into();
            out.push(match (n + round) % 5 {
                0 => RowChange::Delete { storage, key },
                _ => RowChange::Put { storage, key, row },
            });
        }
    }
    out
}

type Points = BTreeMap<(StorageId, Bytes, i64), i64>;

fn truth(rounds: u64) -> Points {
    let mut points = Points::new();
    let place = |storage: StorageId, key: &Bytes| {
        let (series, time) = heddle_engines::point::split_point_key(key).expect("a key");
        (storage, Bytes::copy_from_slice(series), time)
    };
    for round in 1..=rounds {
        for change in changes(round) {
            match change {
                RowChange::Put { storage, key, row } => {
                    let Datum::Int8(v) = layout().row_layout().decode(&row).expect("a tuple")[0] else { panic!() };
                    points.insert(place(storage, &key), v);
                }
                RowChange::Delete { storage, key } => drop(points.remove(&place(storage, &key))),
                _ => {}
            }
        }
    }
    points
}

fn points_of(engine: &dyn PointEngine, storage: StorageId) -> Result<Points> {
    let scan = PointScan {
        storage,
        layout: Arc::new(layout()),
        series: vec![KeyRange::all()],
        from_us: i64::MIN,
        to_us: i64::MAX,
        fields: vec![0],
        conditions: Vec::new(),
        versions: false,
        batch_rows: 50,
        any_order: false,
        blocks: None,
        cursors: 1,
    };
    let mut points = Points::new();
    let reader = engine.point_versions().point_reader(LogIndex(u64::MAX));
    for mut cursor in reader.scan_points(&scan, Vec::new())? {
        while let Some(batch) = cursor.next_batch()? {
            let mut at = 0;
            for (series, rows) in batch.series {
                for i in at..at + rows {
                    let time = batch.time.as_primitive::<TimestampMicrosecondType>().value(i);
                    let v = batch.fields[0].as_primitive::<Int64Type>().value(i);
                    assert!(points.insert((storage, series.clone(), time), v).is_none(), "no point twice");
                }
                at += rows;
            }
        }
    }
    Ok(points)
}

fn points(engine: &dyn PointEngine) -> Result<Points> {
    let mut all = Points::new();
    for storage in STORAGES {
        all.extend(points_of(engine, storage)?);
    }
    Ok(all)
}

/// Writes and flushes rounds from the first that the engine does not have.
fn run_rounds(engine: &dyn PointEngine) {
    for round in engine.flushed_index().0 + 1..=ROUNDS {
        run_round(engine, round);
    }
}

fn run_round(engine: &dyn PointEngine, round: u64) {
    engine.apply(LogIndex(round), changes(round));
    engine.seal(true);
    assert_eq!(engine.merge(LogIndex(round)).expect("it waits or stops"), LogIndex(round));
    while engine.compact() {}
}

/// Opens what is left, finds a whole state, and goes on from there.
fn check_recovery(disk: Arc<dyn Disk>, dir: &Path, what: &str) {
    let engine = start(Arc::clone(&disk), dir).unwrap_or_else(|e| panic!("{what}: {e}"));
    let flushed = engine.flushed_index();
    assert_eq!(
        points(&*engine).unwrap_or_default(),
        if flushed.0 == 0 { Points::new() } else { truth(flushed.0) },
        "{what}"
    );
    run_rounds(&*engine);
    assert_eq!(points(&*engine).expect("a healthy disk"), truth(ROUNDS), "{what}: goes on");
    engine.verify().unwrap_or_else(|e| panic!("{what}: {e}"));
    drop(engine);
    let engine = start(disk, dir).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(points(&*engine).expect("a healthy disk"), truth(ROUNDS), "{what}: again");
}

/// Calls that the rounds make of a disk.
fn calls_of_rounds() -> u64 {
    let disk = FaultDisk::new(Arc::new(MemDisk::new()));
    let engine = start(disk.clone(), Path::new("/d")).expect("a healthy disk");
    let before = disk.calls();
    run_rounds(&*engine);
    disk.calls() - before
}

#[test]
fn disk_full_makes_flushes_wait() {
    for op in [Op::Open, Op::Write, Op::Sync, Op::SetLen, Op::Rename, Op::SyncDir] {
        for n in [0, 1, 2, 4, 7, 12, 20] {
            let inner = Arc::new(MemDisk::new());
            let disk = FaultDisk::new(inner.clone());
            let engine = start(disk.clone(), Path::new("/d")).expect("a healthy disk");
            disk.fail_nth(Some(op), n, Fault::NoSpace);
            run_rounds(&*engine);
            disk.clear();
            assert_eq!(points(&*engine).expect("a healthy disk"), truth(ROUNDS), "{op:?} {n}");
            drop(engine);
            check_recovery(inner, Path::new("/d"), &format!("{op:?} {n}"));
        }
    }
}

/// Cuts the power before the n-th call and unwinds, as if the machine were gone.
struct CutDisk {
    disk: Arc<FaultDisk>,
    left: Arc<AtomicU64>,
    cut: Cut,
}

#[derive(Clone)]
struct Fuse {
    disk: Arc<FaultDisk>,
    left: Arc<AtomicU64>,
    cut: Cut,
}

impl Fuse {
    fn burn(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.disk.power_cut(self.cut).expect("the inner disk is healthy");
            std::panic::resume_unwind(Box::new("power cut"));
        }
    }
}

impl CutDisk {
    fn fuse(&self) -> Fuse {
        Fuse { disk: self.disk.clone(), left: self.left.clone(), cut: self.cut }
    }

    fn burn(&self) {
        self.fuse().burn();
    }
}

impl Disk for CutDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.burn();
        Ok(Arc::new(CutFile { inner: self.disk.open(path, mode)?, fuse: self.fuse() }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.burn();
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        // Not counted: the reaper removes files whenever it runs.
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.burn();
        self.disk.sync_dir(dir)
    }
    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }
}

struct CutFile {
    inner: Arc<dyn File>,
    fuse: Fuse,
}

impl File for CutFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.inner.read_at(buf, offset)
    }
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.fuse.burn();
        self.inner.write_all_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.fuse.burn();
        self.inner.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.fuse.burn();
        self.inner.sync_all()
    }
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fuse.burn();
        self.inner.set_len(len)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.fuse.burn();
        self.inner.allocate(len)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.inner.try_lock()
    }
}

#[test]
fn power_cut_anywhere_leaves_a_whole_state() {
    let mut flushed = std::collections::BTreeSet::new();
    let mut n = 1;
    loop {
        let mut was_cut = false;
        for cut in [Cut::KeepAll, Cut::DropAll, Cut::Random(n), Cut::Random(n * 7919)] {
            let inner = Arc::new(MemDisk::new());
            drop(start(inner.clone(), Path::new("/d")).expect("a healthy disk"));
            let fault = FaultDisk::new(inner.clone());
            fault.track_unsynced();
            let left = Arc::new(AtomicU64::new(n));
            let disk = Arc::new(CutDisk { disk: fault.clone(), left: left.clone(), cut });
            let mut reported = LogIndex(0);
            let run = || {
                let engine = start(disk, Path::new("/d")).expect("a healthy disk");
                for round in 1..=ROUNDS {
                    run_round(&*engine, round);
                    reported = engine.flushed_index();
                }
            };
            was_cut |= catch_unwind(AssertUnwindSafe(run)).is_err();
            let engine = start(inner.clone(), Path::new("/d")).unwrap_or_else(|e| panic!("{n} {cut:?}: {e}"));
            assert!(engine.flushed_index() >= reported, "{n} {cut:?}: a flush that was reported is gone");
            flushed.insert(engine.flushed_index());
            drop(engine);
            check_recovery(inner, Path::new("/d"), &format!("cut {n} {cut:?}"));
        }
        if !was_cut {
            break;
        }
        n += 1;
    }
    assert_eq!(flushed.len() as u64, ROUNDS + 1, "cuts before, between and after all flushes: {flushed:?}");
}

#[test]
fn broken_disk_ends_the_process_and_loses_nothing() {
    let calls = calls_of_rounds();
    let mut ended = 0;
    for n in (0..calls).step_by(7) {
        let dir = tempfile::tempdir().expect("a folder");
        drop(start(Arc::new(RealDisk), dir.path()).expect("a healthy disk"));
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["child_with_a_broken_disk", "--exact", "--ignored", "--nocapture"])
            .envs([(CHILD.0, dir.path().as_os_str().to_owned()), (CHILD.1, n.to_string().into())])
            .output()
            .expect("a child");
        let text = String::from_utf8_lossy(&child.stderr).into_owned();
        ended += u64::from(!child.status.success());
        assert!(child.status.success() || text.contains("FATAL: "), "call {n}: {text}");
        check_recovery(Arc::new(RealDisk), dir.path(), &format!("call {n}"));
    }
    assert!(ended > calls / 7 / 3, "{ended} of {calls} / 7 calls were writes");
}

#[test]
#[ignore = "run by broken_disk_ends_the_process_and_loses_nothing"]
fn child_with_a_broken_disk() {
    let (Ok(dir), Ok(call)) = (std::env::var(CHILD.0), std::env::var(CHILD.1)) else { return };
    let disk = FaultDisk::new(Arc::new(RealDisk));
    let engine = start(disk.clone(), Path::new(&dir)).expect("a healthy disk");
    disk.fail_nth(None, call.parse().expect("a number"), Fault::Io);
    run_rounds(&*engine);
}

#[test]
fn read_error_is_58030_and_passes() {
    let disk = FaultDisk::new(Arc::new(MemDisk::new()));
    let engine = start(disk.clone(), Path::new("/d")).expect("a healthy disk");
    run_rounds(&*engine);
    drop(engine);
    let engine = start(disk.clone(), Path::new("/d")).expect("a healthy disk");
    disk.fail_from(Some(Op::Read), 0, Fault::Io);
    assert_eq!(points(&*engine).expect_err("the disk is broken").code(), SqlState::IO_ERROR);
    disk.clear();
    assert_eq!(points(&*engine).expect("it is healthy again"), truth(ROUNDS));
    disk.fail_from(Some(Op::Read), 0, Fault::Io);
    assert_eq!(points(&*engine).expect_err("the disk is broken").code(), SqlState::IO_ERROR);
    disk.clear();
    assert_eq!(points(&*engine).expect("it is healthy again"), truth(ROUNDS));
}

fn read_file(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).expect("it is there");
    let mut bytes = vec![0; file.len().expect("a length") as usize];
    file.read_exact_at(&mut bytes, 0).expect("it is readable");
    bytes
}

fn write_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path, OpenMode::Create).expect("it can be made");
    file.set_len(bytes.len() as u64).expect("room");
    file.write_all_at(bytes, 0).expect("room");
}

#[test]
fn manifest_damaged_is_xx001_and_names_the_file() {
    let (disk, dir) = (Arc::new(MemDisk::new()), Path::new("/d"));
    let engine = start(disk.clone(), dir).expect("a healthy disk");
    run_rounds(&*engine);
    drop(engine);
    let path = dir.join("MANIFEST");
    let sound = read_file(&*disk, &path);
    let refused = |what: String| {
        let e = start(disk.clone(), dir).err().unwrap_or_else(|| panic!("{what}: opened"));
        assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "{what}: {e}");
        assert!(e.message().contains("MANIFEST"), "{what}: {e}");
    };
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        write_file(&*disk, &path, &bytes);
        refused(format!("byte {at} flipped"));
        write_file(&*disk, &path, &sound[..at]);
        refused(format!("cut to {at}"));
    }
    write_file(&*disk, &path, &[&sound[..], b"x"].concat());
    refused("longer".to_owned());
    disk.remove_file(&path).expect("it is there");
    refused("missing".to_owned());
    write_file(&*disk, &path, &sound);
    assert_eq!(points(&*start(disk.clone(), dir).expect("whole again")).expect("whole"), truth(ROUNDS));
    let mut newer = sound[..sound.len() - 4].to_vec();
    newer[8] = 9;
    newer.extend_from_slice(&crc32c::crc32c(&newer).to_le_bytes());
    write_file(&*disk, &path, &newer);
    assert_eq!(start(disk, dir).err().map(|e| e.code()), Some(SqlState::FEATURE_NOT_SUPPORTED));
}

#[test]
fn segment_damaged_leaves_other_tables_answering() {
    let (disk, dir) = (Arc::new(MemDisk::new()), Path::new("/d"));
    let engine = start(disk.clone(), dir).expect("a healthy disk");
    run_rounds(&*engine);
    drop(engine);
    // Opening removes what compaction left behind, if nobody has come to it yet.
    drop(start(disk.clone(), dir).expect("a healthy disk"));
    let names = disk.list(dir).expect("a folder");
    let segments: Vec<&PathBuf> = names.iter().filter(|name| name.extension().is_some()).collect();
    assert!(segments.len() >= 4, "{names:?}");
    let of = |storage: StorageId, all: &Points| -> Points {
        all.iter().filter(|(place, _)| place.0 == storage).map(|(place, v)| (place.clone(), *v)).collect()
    };
    let mut found = 0;
    for name in &segments {
        let path = dir.join(name);
        let sound = read_file(&*disk, &path);
        let mut bytes = sound.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 16;
        for bytes in [Some(&bytes[..]), Some(&sound[..middle]), None] {
            match bytes {
                Some(bytes) => write_file(&*disk, &path, bytes),
                None => disk.remove_file(&path).expect("it is there"),
            }
            let engine = start(disk.clone(), dir).expect("the engine opens");
            let answers = STORAGES.map(|storage| points_of(&*engine, storage).map(|points| (storage, points)));
            let broken: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
            // What no scan reads (statistics) only verify finds.
            assert!(broken.len() <= 1, "{} damages one table at most", name.display());
            for e in &broken {
                found += 1;
                assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
                assert!(e.message().contains(&*name.to_string_lossy()), "{e}");
            }
            for (storage, points) in answers.iter().flatten() {
                assert_eq!(*points, of(*storage, &truth(ROUNDS)));
            }
            let e = engine.verify().expect_err("it is damaged");
            assert!(e.message().contains(&*name.to_string_lossy()), "{e}");
        }
        write_file(&*disk, &path, &sound);
    }
    assert!(found > 2 * segments.len(), "{found} damages of {} files were met by scans", segments.len());
    let engine = start(disk, dir).expect("whole again");
    assert_eq!(points(&*engine).expect("whole"), truth(ROUNDS));
}

#[test]
fn damaged_segments_do_not_stop_flushes_and_compactions_of_others() {
    let (disk, dir) = (Arc::new(MemDisk::new()), Path::new("/d"));
    let engine = start(disk.clone(), dir).expect("a healthy disk");
    engine.apply(LogIndex(1), changes(1));
    engine.seal(true);
    engine.merge(LogIndex(1)).expect("a healthy disk");
    drop(engine);
    let names = disk.list(dir).expect("a folder");
    let first = names.iter().find(|name| name.extension().is_some_and(|e| e == "seg")).expect("a segment");
    let path = dir.join(first);
    let mut bytes = read_file(&*disk, &path);
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    write_file(&*disk, &path, &bytes);
    let engine = start(disk.clone(), dir).expect("the engine opens");
    run_rounds(&*engine);
    let answers = STORAGES.map(|storage| points_of(&*engine, storage));
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    drop(engine);
    let engine = start(disk, dir).expect("the engine opens");
    assert_eq!(engine.flushed_index(), LogIndex(ROUNDS));
}
