//! ENOSPC and EIO at every call: 53100, an error from open, or the end of the process. Never a lie.

mod harness;

use harness::{Machine, Node, check_dense};
use heddle_env::{Cut, Fault, FaultDisk, Op};
use heddle_log::{Log, Record};
use heddle_types::{LogIndex, Result, SqlState};
use parking_lot::Mutex;
use std::sync::Arc;

type Seen = Arc<Mutex<Vec<Record>>>;

/// What a client believes: (index, first byte, length) of each record it saw durable.
#[derive(Default)]
struct Client {
    acknowledged: Vec<(LogIndex, u8, usize)>,
    purged_below: u64,
}

impl Client {
    /// Appends with rollover, purges, restarts. Stops at the first error, as a process would.
    fn run(&mut self, m: &Machine, disk: &Arc<FaultDisk>, seen: &Seen, stops: &Arc<Mutex<Vec<String>>>) -> Result<()> {
        for round in 0..2u8 {
            let from = LogIndex(self.purged_below);
            seen.lock().clear();
            let node = m.try_open_noting(disk.clone(), from, seen.clone(), stops.clone())?;
            self.round(&node, round)?;
            node.log.shutdown();
        }
        Ok(())
    }

    fn round(&mut self, node: &Node, round: u8) -> Result<()> {
        for i in 0..9u8 {
            let (byte, len) = (round * 100 + i, 700 + i as usize * 13);
            let index = match node.append(len, byte) {
                Err(e) if e.code() == SqlState::DISK_FULL => continue,
                other => other?,
            };
            node.log.wait_durable(index)?;
            self.acknowledged.push((index, byte, len));
        }
        let limit = LogIndex(node.log.durable().0 - 1);
        // Asked for, so gone as far as we are concerned, even if it fails half-way.
        self.purged_below = limit.0;
        node.log.purge_below(limit)?;
        self.purged_below = node.log.first_index().0;
        Ok(())
    }

    fn check(&self, records: &[Record]) {
        let first = records.first().map_or(1, |r| r.index.0);
        check_dense(records, first);
        for &(index, byte, len) in self.acknowledged.iter().filter(|(i, ..)| i.0 >= self.purged_below.max(first)) {
            let r = records.get((index.0 - first) as usize).unwrap_or_else(|| panic!("{index} was acknowledged"));
            assert!(r.payload.len() == len && r.payload.iter().all(|b| *b == byte), "{index} has other contents");
        }
    }
}

fn experiment(n: u64, fault: Fault, tear: Option<usize>, cut: Cut) -> bool {
    let m = Machine::new(n);
    let disk = m.fault_disk();
    match tear {
        Some(keep) => disk.tear_nth(n, keep, fault),
        None => disk.fail_nth(None, n, fault),
    }
    let (seen, stops) = (Seen::default(), Arc::default());
    let mut client = Client::default();
    let result = client.run(&m, &disk, &seen, &stops);
    let ended = !stops.lock().is_empty();
    if let Err(e) = &result {
        let code = e.code();
        let known = [SqlState::DISK_FULL, SqlState::IO_ERROR, SqlState::ADMIN_SHUTDOWN].contains(&code);
        assert!(known, "call {n} {fault:?}: {e}");
        assert!(ended || code != SqlState::ADMIN_SHUTDOWN, "stopped without saying why");
    }
    let hit = result.is_err() || ended;
    disk.power_cut(cut).expect("cut");
    let node =
        m.try_open(m.fault_disk(), LogIndex(client.purged_below)).unwrap_or_else(|e| panic!("{n} {fault:?}: {e}"));
    client.check(&node.seen.lock());
    node.log.shutdown();
    hit
}

fn cuts(n: u64) -> [Cut; 3] {
    [Cut::KeepAll, Cut::DropAll, Cut::Random(n)]
}

#[test]
fn every_call_fails_once() {
    let m = Machine::new(0);
    let disk = m.fault_disk();
    Client::default().run(&m, &disk, &Seen::default(), &Arc::default()).expect("no fault");
    let calls = disk.calls() + 5;
    assert!(calls > 100, "{calls}");
    for n in 0..calls {
        for fault in [Fault::NoSpace, Fault::Io] {
            for cut in cuts(n) {
                experiment(n, fault, None, cut);
            }
        }
    }
}

#[test]
fn every_write_is_torn_once() {
    let mut hits = 0;
    for n in 0..40 {
        for keep in [1, 39, 44, 300, 512, 4000] {
            for cut in cuts(n) {
                hits += u32::from(experiment(n, Fault::Io, Some(keep), cut));
            }
        }
    }
    assert!(hits > 300, "{hits}");
}

/// Allocate is called for reservations only; the other calls of a reservation fail in `every_call_fails_once`.
#[test]
fn disk_full_is_53100_and_heals() {
    let m = Machine::new(11);
    let node = m.open();
    node.disk.fail_from(Some(Op::Allocate), 0, Fault::NoSpace);
    let mut last = LogIndex(0);
    let error = loop {
        match node.append(900, 1) {
            Ok(i) => last = i,
            Err(e) => break e,
        }
    };
    assert_eq!(error.code(), SqlState::DISK_FULL, "{error}");
    node.log.wait_durable(last).expect("what has an index becomes durable");
    assert_eq!(node.append(900, 1).expect_err("still full").code(), SqlState::DISK_FULL);
    assert!(node.append(1, 1).is_ok(), "what fits goes on");
    node.disk.clear();
    let i = node.append(900, 2).expect("there is room again");
    node.log.wait_durable(i).expect("durable");
    assert_eq!(i.0, last.0 + 2, "refused records took no index");
    assert!(node.stops.lock().is_empty());
    node.log.shutdown();
    check_dense(&m.replay().expect("open"), 1);
}

/// The process ends between write and fsync, the next one finds the batch in the page cache and gives it out; then the power
/// fails. What was given out must still be there.
#[test]
fn what_recovery_gives_out_survives_a_power_cut() {
    for records in [1, 3, 9] {
        let m = Machine::new(13);
        let disk = m.fault_disk();
        let first = m.try_open(disk.clone(), LogIndex(0)).expect("open");
        while first.log.disk_bytes() < 2 * harness::SEGMENT {
            std::thread::yield_now();
        }
        disk.fail_nth(Some(Op::Sync), 0, Fault::Io);
        for i in 0..records {
            // The log may be dead already: the fault is in one of these.
            let _ = first.append(300, i);
        }
        first.log.shutdown();
        assert_eq!(first.stops.lock().len(), 1, "a failed fsync ends the process");
        assert_eq!(first.log.durable(), LogIndex(1), "only the Membership record was acknowledged");
        // The power fails the moment the sink has the batch, before the next fsync could cover for a missing one.
        let given_out = Seen::default();
        let (seen, cut) = (given_out.clone(), disk.clone());
        let sink = Box::new(move |records: Vec<Record>| {
            let has_batch = records.iter().any(|r| r.index > LogIndex(1));
            seen.lock().extend(records);
            if has_batch {
                cut.power_cut(Cut::DropAll).expect("cut");
            }
        });
        let second =
            Log::open_with(m.env.with_disk(disk), harness::config(), LogIndex(0), sink, Arc::new(|_: &str| {}));
        assert!(second.is_err(), "the Membership record cannot be written any more");
        let given_out = given_out.lock().clone();
        assert!(given_out.len() > 1, "the page cache had the batch");
        let after = m.replay().expect("open");
        assert_eq!(after[..given_out.len()], given_out);
    }
}

#[test]
fn a_full_disk_at_start_still_reads() {
    let m = Machine::new(12);
    let node = m.open();
    // 4096 bytes a segment: leave less than a Membership record.
    let used = node.put(4096 - 56 - 44, 1);
    node.log.shutdown();
    // Without the spare, and without room for another.
    for name in heddle_env::Disk::list(&*m.mem, "/log".as_ref()).expect("list") {
        if name.extension().is_some_and(|e| e == "tmp") {
            heddle_env::Disk::remove_file(&*m.mem, &std::path::Path::new("/log").join(name)).expect("remove");
        }
    }
    let disk = m.fault_disk();
    disk.fail_from(Some(Op::Allocate), 1, Fault::NoSpace);
    let node = m.try_open(disk, LogIndex(0)).expect("open");
    assert_eq!(node.log.next_index(), used.next(), "no Membership record yet");
    assert_eq!(node.append(8, 1).expect_err("full").code(), SqlState::DISK_FULL);
    node.disk.clear();
    let i = node.append(8, 1).expect("room");
    node.log.wait_durable(i).expect("durable");
    assert_eq!(i.0, used.0 + 2, "the Membership record went first");
    node.log.shutdown();
}
