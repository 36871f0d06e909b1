//! What a broken disk does to segments: damage names the file, a failed write leaves nothing, a failed read is an error.

use super::*;
use heddle_env::fault::{Fault, FaultDisk, Op};
use heddle_env::{Disk, OpenMode};
use heddle_types::{Error, SqlState};
use std::path::PathBuf;

/// A small segment with everything in it.
fn small(env: &Env, layout: &SeriesLayout) -> (SegmentMeta, Model) {
    let model = model(layout, [1, 2], 20, 60);
    let mut writer = writer(env, layout).expect("a healthy disk");
    writer.push(&points(layout, &model)).expect("a healthy disk");
    writer.delete(&series(9), 5).expect("ascending");
    (writer.finish().expect("a healthy disk"), model)
}

fn bytes(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).expect("it is there");
    let mut out = vec![0; file.len().expect("a healthy disk") as usize];
    file.read_exact_at(&mut out, 0).expect("a healthy disk");
    out
}

/// Opens, reads and looks up; the first error.
fn use_all(env: &Env, layout: &SeriesLayout, meta: &SegmentMeta) -> Result<Model> {
    let segment = open(env, layout, meta)?;
    segment.get(&series(1), 1_000_060)?;
    read(&segment, layout)
}

fn assert_damaged(e: &Error, path: &Path) {
    assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "{e}");
    assert!(e.message().contains(path.to_str().expect("ASCII")), "{e}");
}

fn files() -> [PathBuf; 2] {
    [SegmentId(7).data_path(dir()), SegmentId(7).sidecar_path(dir())]
}

#[test]
fn flipped_bytes_are_noticed() {
    let (env, layout) = (env(), layout(&[PgType::new(oid::INT4), PgType::new(oid::TEXT)]));
    let (meta, model) = small(&env, &layout);
    for path in files() {
        let good = bytes(&*env.disk, &path);
        let file = env.disk.open(&path, OpenMode::Write).expect("it is there");
        let early = open(&env, &layout, &meta).expect("as written");
        for at in 0..good.len() {
            file.write_all_at(&[good[at] ^ (1 << (at % 8))], at as u64).expect("a healthy disk");
            assert_damaged(&use_all(&env, &layout, &meta).expect_err("flipped"), &path);
            assert_damaged(&early.verify().expect_err("flipped"), &path);
            file.write_all_at(&good[at..=at], at as u64).expect("a healthy disk");
        }
        assert_eq!(use_all(&env, &layout, &meta).expect("as written"), model);
    }
}

#[test]
fn damage_after_the_first_read_is_noticed() {
    let (env, layout) = (env(), layout(&[PgType::new(oid::INT4)]));
    let (meta, model) = small(&env, &layout);
    let segment = open(&env, &layout, &meta).expect("as written");
    assert_eq!(read(&segment, &layout).expect("as written"), model);
    let [path, _] = files();
    env.disk.open(&path, OpenMode::Write).expect("it is there").write_all_at(&[0xff; 4], 9).expect("a healthy disk");
    assert_damaged(&read(&segment, &layout).expect_err("overwritten"), &path);
}

#[test]
fn cut_and_missing_files_are_noticed() {
    let (env, layout) = (env(), layout(&[PgType::new(oid::INT4)]));
    let (meta, _) = small(&env, &layout);
    for path in files() {
        let good = bytes(&*env.disk, &path);
        let file = env.disk.open(&path, OpenMode::Write).expect("it is there");
        let early = open(&env, &layout, &meta).expect("as written");
        for len in (0..good.len()).chain([good.len() + 1]) {
            file.set_len(len as u64).expect("a healthy disk");
            assert_damaged(&use_all(&env, &layout, &meta).expect_err("cut"), &path);
            assert_damaged(&early.verify().expect_err("cut"), &path);
            file.set_len(0).and_then(|()| file.write_all_at(&good, 0)).expect("a healthy disk");
        }
        env.disk.remove_file(&path).expect("a healthy disk");
        assert_damaged(&use_all(&env, &layout, &meta).expect_err("missing"), &path);
        let file = env.disk.open(&path, OpenMode::CreateNew).expect("it is gone");
        file.write_all_at(&good, 0).expect("a healthy disk");
    }
}

#[test]
fn other_versions_are_refused() {
    let (env, layout) = (env(), layout(&[PgType::new(oid::INT4)]));
    let (meta, _) = small(&env, &layout);
    let [_, sidecar] = files();
    let mut content = bytes(&*env.disk, &sidecar);
    content.truncate(content.len() - 4);
    for version in [1, 4] {
        content[8] = version;
        let checksum = crc32c::crc32c(&content).to_le_bytes();
        let file = env.disk.open(&sidecar, OpenMode::Write).expect("it is there");
        file.write_all_at(&[&content[..], &checksum].concat(), 0).expect("a healthy disk");
        let e = use_all(&env, &layout, &meta).expect_err("another version");
        assert_eq!(e.code(), SqlState::FEATURE_NOT_SUPPORTED, "{e}");
    }
}

#[test]
fn another_segments_files_are_noticed() {
    let (env, layout) = (env(), layout(&[PgType::new(oid::INT4)]));
    let (meta, _) = small(&env, &layout);
    let [_, sidecar] = files();
    let other = SegmentMeta { storage: StorageId(1), ..meta.clone() };
    assert_damaged(&use_all(&env, &layout, &other).expect_err("another storage"), &sidecar);
    for ty in [oid::TEXT, oid::INT8, oid::OID] {
        let layout = self::layout(&[PgType::new(ty)]);
        assert_damaged(&use_all(&env, &layout, &meta).expect_err("another layout"), &sidecar);
    }
}

#[test]
fn failed_writes_leave_nothing() {
    let layout = layout(&TYPES);
    let model = model(&layout, [1, 2], 200, 60);
    for (fault, code) in [(Fault::NoSpace, SqlState::DISK_FULL), (Fault::Io, SqlState::IO_ERROR)] {
        let mut failed = 0;
        for n in 0.. {
            let env = env();
            let disk = FaultDisk::new(env.disk.clone());
            disk.fail_nth(None, n, fault);
            match write(&env.with_disk(disk.clone()), &layout, &model, 100) {
                Ok(meta) => {
                    let read = read(&open(&env, &layout, &meta).expect("as written"), &layout);
                    assert_eq!(read.expect("as written"), model);
                    break;
                }
                Err(e) => {
                    assert_eq!(e.code(), code, "{e}");
                    assert!(env.disk.list(dir()).expect("a folder").is_empty(), "call {n}: {e}");
                }
            }
            failed += 1;
        }
        assert!(failed >= 6, "two files are created, written and synced");
    }
}

#[test]
fn failed_reads_are_errors() {
    let (env, layout) = (env(), layout(&TYPES));
    let (meta, model) = small(&env, &layout);
    let mut failed = 0;
    for n in 0.. {
        let disk = FaultDisk::new(env.disk.clone());
        disk.fail_nth(None, n, Fault::Io);
        let result = use_all(&env.with_disk(disk.clone()), &layout, &meta);
        if disk.calls() <= n {
            assert_eq!(result.expect("nothing failed"), model);
            break;
        }
        assert_eq!(result.expect_err("a call failed").code(), SqlState::IO_ERROR);
        failed += 1;
    }
    assert!(failed >= 6, "two files are opened, measured and read");
    let disk = FaultDisk::new(env.disk.clone());
    let segment = open(&env.with_disk(disk.clone()), &layout, &meta).expect("as written");
    disk.fail_nth(Some(Op::Read), 0, Fault::Io);
    assert_eq!(read(&segment, &layout).expect_err("failed").code(), SqlState::IO_ERROR);
    assert_eq!(read(&segment, &layout).expect("once only"), model);
}

#[test]
fn files_are_removed() {
    let (env, layout) = (env(), layout(&[]));
    small(&env, &layout);
    assert!(writer(&env, &layout).is_err(), "an existing segment is not written over");
    for _ in 0..2 {
        heddle_timeseries::segment::remove(&env, dir(), SegmentId(7)).expect("there or not");
        assert!(env.disk.list(dir()).expect("a folder").is_empty());
    }
}
