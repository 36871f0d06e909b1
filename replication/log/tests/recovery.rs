//! What recovery makes of every kind of damage: cut, refuse, or go on.

mod harness;

use bytes::Bytes;
use harness::{HEADER, Machine, Node, check_dense, config, frames};
use heddle_env::Cut;
use heddle_log::{Kind, Log, Proposer};
use heddle_types::{LogIndex, SqlState};
use std::sync::Arc;

/// A log of one segment: Membership and `n` records, each a batch of its own.
fn one_segment(n: usize) -> Machine {
    let m = Machine::new(1);
    let node = m.open();
    for i in 0..n {
        node.put(20 + i * 7, i as u8 + 1);
    }
    node.log.shutdown();
    m
}

#[test]
fn open_empty_then_reopen_replays_all() {
    let m = one_segment(5);
    let seen = m.replay().expect("open");
    assert_eq!(seen.len(), 6);
    check_dense(&seen, 1);
    assert_eq!(seen[0].kind, Kind::Membership);
    assert_eq!((seen[3].kind, seen[3].payload.clone()), (Kind::Part, Bytes::from(vec![3; 34])));
    assert_eq!((seen[3].term.0, seen[3].group), (1, 0));
    assert_eq!(m.replay().expect("open").len(), 7, "the Membership record of the last start");
    assert_eq!(m.spares(), 1);
}

#[test]
fn replay_starts_at_from_and_refuses_gaps() {
    let m = one_segment(5);
    let node = m.try_open(m.fault_disk(), LogIndex(4)).expect("open");
    check_dense(&node.seen.lock(), 4);
    assert_eq!(node.log.next_index(), LogIndex(8));
    node.log.shutdown();
    let code = |from| m.copy().try_open(m.copy().fault_disk(), LogIndex(from)).err().map(|e| e.code());
    assert_eq!(code(9), Some(SqlState::DATA_CORRUPTED), "beyond the end");
    let fresh = Machine::new(2);
    let gone = fresh.try_open(fresh.fault_disk(), LogIndex(5)).err().map(|e| e.code());
    assert_eq!(gone, Some(SqlState::DATA_CORRUPTED), "the folder was emptied");
}

/// Cuts (as zeroes, as rubbish, as end of file) at every byte of the last three batches.
#[test]
fn cut_at_every_byte_of_the_last_batches() {
    let m = one_segment(6);
    let path = &m.segments()[0];
    let whole = m.read(path);
    let f = frames(&whole);
    let (first, end) = (f[f.len() - 3].0, f[f.len() - 1].0 + f[f.len() - 1].1);
    for cut in first..=end {
        for how in 0..3 {
            let copy = m.copy();
            let mut bytes = whole.clone();
            match how {
                0 => bytes[cut..].fill(0),
                1 => bytes[cut..].iter_mut().enumerate().for_each(|(i, b)| *b = (i * 37 + cut) as u8 | 1),
                _ => bytes.truncate(cut),
            }
            copy.write(path, &bytes);
            let whole_frames = f.iter().filter(|(at, size)| at + size <= cut).count();
            // Zeroes for zeroes change nothing; a cut within the last padding is one within its record.
            let unchanged =
                f.iter().filter(|(at, size)| bytes.get(*at..at + size) == whole.get(*at..at + size)).count();
            let seen = copy.replay().expect("a torn tail is no damage");
            assert_eq!(seen.len(), whole_frames.max(unchanged), "cut {cut} how {how}");
            check_dense(&seen, 1);
            assert_eq!(copy.replay().expect("again").len(), seen.len() + 1);
        }
    }
}

/// Each bit of each byte of a record in the middle: refused, with file and offset. In the last record: cut.
#[test]
fn flip_every_field() {
    let m = one_segment(4);
    let path = m.segments()[0].clone();
    let whole = m.read(&path);
    let f = frames(&whole);
    for (which, &(at, size)) in f.iter().enumerate() {
        for (byte, old) in whole.iter().enumerate().skip(at).take(size) {
            let copy = m.copy();
            copy.poke(&path, byte, &[old ^ (1 << (byte % 8))]);
            let result = copy.replay();
            // The last record's batch has none behind it; the one before has: it was synced.
            if which + 1 < f.len() {
                let e = result.expect_err("damage");
                // A later batch must lie behind; for the record before the last that is the last one.
                assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "record {which} byte {byte}");
                assert!(e.message().contains(path.to_str().expect("utf-8")), "{e}");
                assert!(e.message().contains(&format!("offset {at}")), "{e}");
            } else {
                check_dense(&result.expect("torn"), 1);
            }
        }
    }
}

#[test]
fn flip_every_header_byte_is_refused() {
    let m = one_segment(2);
    let path = m.segments()[0].clone();
    let whole = m.read(&path);
    for (byte, old) in whole.iter().enumerate().take(64) {
        let copy = m.copy();
        copy.poke(&path, byte, &[old ^ 4]);
        assert_eq!(copy.replay().expect_err("damage").code(), SqlState::DATA_CORRUPTED, "byte {byte}");
    }
}

#[test]
fn unknown_version_kind_and_flags_are_refused() {
    let m = one_segment(2);
    let path = m.segments()[0].clone();
    let whole = m.read(&path);
    let seed = crc32c::crc32c_append(crc32c::crc32c(&whole[16..24]), &whole[24..32]);
    let (at, size) = frames(&whole)[1];
    for (field, value) in [(4, 99), (4, 0), (5, 3), (6, 1)] {
        let mut frame = whole[at..at + size].to_vec();
        frame[field] = value;
        let crc = crc32c::crc32c_append(seed, &frame[..size - 4]);
        frame[size - 4..].copy_from_slice(&crc.to_le_bytes());
        let copy = m.copy();
        copy.poke(&path, at, &frame);
        assert_eq!(copy.replay().expect_err("newer").code(), SqlState::FEATURE_NOT_SUPPORTED, "{field} {value}");
    }
    let mut header = whole[..64].to_vec();
    header[8] = 2;
    let crc = crc32c::crc32c(&header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    let copy = m.copy();
    copy.poke(&path, 0, &header);
    assert_eq!(copy.replay().expect_err("newer").code(), SqlState::FEATURE_NOT_SUPPORTED);
}

/// Several segments, some recycled: the bytes behind the end are whole, plausible records of an earlier life.
fn recycled() -> (Machine, Node) {
    let m = Machine::new(3);
    let node = m.open();
    for i in 0..60 {
        let index = node.put(400, i);
        if i % 10 == 9 {
            node.log.purge_below(index).expect("purge");
            assert!(m.spares() <= 3);
        }
    }
    (m, node)
}

#[test]
fn recycled_space_never_verifies() {
    let (m, node) = recycled();
    let (first, next) = (node.log.first_index(), node.log.next_index());
    node.crash(Cut::KeepAll);
    let last = m.segments().pop().expect("segments");
    assert!(first > LogIndex(1) && m.read(&last).iter().skip(7000).any(|b| *b != 0), "old bytes are there");
    let node = m.try_open(m.fault_disk(), first).expect("open");
    check_dense(&node.seen.lock(), first.0);
    assert_eq!(node.log.next_index(), next.next());
    assert_eq!(
        m.try_open(m.fault_disk(), LogIndex(1)).err().map(|e| e.code()),
        Some(SqlState::DATA_CORRUPTED),
        "what was purged cannot be replayed"
    );
}

/// Old frames of another segment copied behind the end, also with indexes and batches ahead of the end.
#[test]
fn plausible_records_of_another_segment_are_ignored() {
    let m = Machine::new(4);
    let node = m.open();
    for i in 0..12 {
        node.put(600, i);
    }
    node.log.shutdown();
    let segments = m.segments();
    assert!(segments.len() >= 2);
    let (a, b) = (m.read(&segments[0]), m.read(&segments[1]));
    // The second segment's records, which are ahead of the first's, at the end of the first alone.
    let copy = m.copy();
    for s in &segments[1..] {
        heddle_env::Disk::remove_file(&*copy.mem, s).expect("remove");
    }
    let f = frames(&a);
    let keep = f.len() - 3;
    let mut bytes = a.clone();
    let at = f[keep].0;
    let room = bytes.len() - at;
    bytes[at..].copy_from_slice(&b[HEADER..HEADER + room]);
    copy.write(&segments[0], &bytes);
    assert_eq!(copy.replay().expect("torn").len(), keep);
}

#[test]
fn bad_record_with_later_batch_in_a_later_segment_is_refused() {
    let m = Machine::new(5);
    let node = m.open();
    for i in 0..16 {
        node.put(600, i);
    }
    node.log.shutdown();
    let segments = m.segments();
    let (at, _) = frames(&m.read(&segments[0])).pop().expect("records");
    m.poke(&segments[0], at + 50, &[0xEE]);
    let e = m.replay().expect_err("damage");
    assert_eq!(e.code(), SqlState::DATA_CORRUPTED);
    assert!(e.message().contains(&format!("offset {at}")), "{e}");
    // A whole segment gone.
    heddle_env::Disk::remove_file(&*m.mem, &segments[1]).expect("remove");
    assert_eq!(m.replay().expect_err("gap").code(), SqlState::DATA_CORRUPTED);
}

/// One batch over several segments, cut at every eighth byte: all of it or none.
#[test]
fn batch_across_segments_is_all_or_nothing() {
    let m = Machine::new(6);
    let node = m.open();
    let before = node.put(10, 1);
    // Held in the sink's place: queue everything as one run below the batch bound.
    let log = big_batches(&m, node);
    let run = (0..9u8).map(|i| (Kind::Part, Bytes::from(vec![i; 1000]))).collect();
    let first = log.append_all(run).expect("append");
    log.wait_durable(LogIndex(first.0 + 8)).expect("durable");
    log.shutdown();
    let segments = m.segments();
    assert!(segments.len() >= 3);
    for (s, path) in segments.iter().enumerate() {
        let whole = m.read(path);
        let (last, size) = frames(&whole).pop().expect("records");
        let from = if s == 0 { frames(&whole)[3].0 } else { HEADER };
        for cut in (from..last + size).step_by(8) {
            let copy = m.copy();
            let mut bytes = whole.clone();
            bytes[cut..].fill(0);
            copy.write(path, &bytes);
            let seen = copy.replay().expect("torn");
            assert_eq!(seen.last().map(|r| r.index), Some(LogIndex(first.0 - 1)), "segment {s} cut {cut}");
            assert!(seen.len() as u64 > before.0);
            assert_eq!(copy.segments().len(), 1);
        }
    }
}

fn big_batches(m: &Machine, node: Node) -> Arc<Log> {
    node.log.shutdown();
    let config = heddle_log::LogConfig { batch_bytes_max: 1 << 20, queue_bytes_max: 1 << 20, ..config() };
    Log::open(m.env.clone(), config, LogIndex(0), Box::new(|_| {})).expect("open")
}

/// What recovery cut stays away, even when the next batch ends just where old bytes begin.
#[test]
fn cut_tail_is_not_resurrected() {
    let m = one_segment(6);
    let path = m.segments()[0].clone();
    let f = frames(&m.read(&path));
    let (at, _) = f[f.len() - 1];
    m.poke(&path, at + 45, &[0xEE]);
    assert_eq!(m.replay().expect("torn").len(), f.len() - 1);
    let bytes = m.read(&path);
    let (last, size) = frames(&bytes).pop().expect("records");
    assert!(bytes[last + size..].iter().all(|b| *b == 0));
}

#[test]
fn purge_by_whole_segments_bounds_the_disk() {
    let (m, node) = recycled();
    let next = node.log.next_index();
    node.log.purge_below(LogIndex(u64::MAX)).expect("purge");
    assert_eq!(m.segments().len(), 1, "the one being written stays");
    assert!(m.spares() <= 3 && node.log.disk_bytes() <= 4 * harness::SEGMENT);
    assert!(node.log.first_index() < next && node.log.next_index() == next);
    node.put(100, 7);
    node.log.shutdown();
    assert!(node.stops.lock().is_empty());
}

#[test]
fn record_larger_than_a_segment_is_refused() {
    let m = Machine::new(7);
    let node = m.open();
    assert_eq!(node.append(5000, 1).expect_err("too large").code(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    let room = 4096 - 44;
    assert_eq!(node.append(room + 1, 1).expect_err("too large").code(), SqlState::PROGRAM_LIMIT_EXCEEDED);
    let i = node.put(room, 1);
    assert_eq!(i, LogIndex(2), "a refused record takes no index");
}

#[test]
fn appenders_wait_at_the_bound_and_lose_nothing() {
    let m = Machine::new(8);
    let node = m.open();
    std::thread::scope(|s| {
        for t in 0..4u8 {
            let node = &node;
            s.spawn(move || (0..200).for_each(|_| assert!(node.append(300, t).is_ok())));
        }
    });
    node.log.shutdown();
    assert_eq!(node.append(1, 1).expect_err("closed").code(), SqlState::ADMIN_SHUTDOWN);
    check_dense(&node.seen.lock(), 1);
    assert_eq!(node.seen.lock().len(), 801);
    assert_eq!(m.replay().expect("open").len(), 801);
}

#[test]
fn a_panicking_sink_ends_the_process() {
    let m = Machine::new(9);
    let stops: Arc<parking_lot::Mutex<Vec<String>>> = Arc::default();
    let s = stops.clone();
    let log = Log::open_with(
        m.env.clone(),
        config(),
        LogIndex(0),
        Box::new(|r| assert!(r[0].index < LogIndex(2), "the sink's own fault")),
        Arc::new(move |what| s.lock().push(what.to_owned())),
    )
    .expect("open");
    log.append(Kind::Commit, Bytes::new()).expect("append");
    while stops.lock().is_empty() {
        std::thread::yield_now();
    }
    assert!(stops.lock()[0].contains("panicked"));
}
