//! The apply side: durable records in, engine state, catalogs and visible_index out.
//!
//! The log's sink hands over each durable batch ([`spawn`]). A small batch that finds nothing queued is applied right on
//! the log's thread: that costs less than a wake-up. Everything else goes over a bounded channel to the apply thread, so
//! that the log goes on writing meanwhile.
//!
//! Invariants
//! 1. Records are applied in index order, one at a time, under the applier's mutex; whoever holds it is *between entries*.
//! 2. For an entry, in this order: catalog published, engines applied, visible_index moved, feed, seal.
//! 3. Apply reads no clock, no randomness and no engine state: a record has the same effect on every replica.
//!
//! Failure: an unreadable record is refused at open (`XX001`); later it ends the process. A panic ends it, too.

use crate::CommitEvent;
use crate::engines::{Engines, Mark};
use crate::maintenance::Maintenance;
use crate::payload::{self, Commit, Part, damaged};
use crate::snapshot::Catalogs;
use crate::visible::Visible;
use bytes::Bytes;
use heddle_catalog::CatalogEdit;
use heddle_engines::{RowChange, change};
use heddle_log::{Kind, Record, Sink};
use heddle_types::{Error, LogIndex, Result};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::broadcast;

/// Batches that may wait for the apply thread before the log's thread does.
const QUEUE_BATCHES: usize = 64;
/// A batch up to this size is applied on the log's thread.
const INLINE_RECORDS_MAX: usize = 64;
const INLINE_BYTES_MAX: usize = 128 << 10;
/// Records applied before those who wait for them are woken.
const WAKE_EVERY: usize = 64;
/// Commits a feed receiver may lag before it loses its place.
const FEED_EVENTS: usize = 1024;

/// The state that apply moves and everybody reads.
pub(crate) struct Applied {
    pub engines: Engines,
    pub visible: Visible,
    pub catalogs: Catalogs,
    pub feed: broadcast::Sender<CommitEvent>,
    pub maintenance: Maintenance,
    /// Why replay failed.
    failure: Mutex<Option<Error>>,
    /// Replay is over: catalogs are kept up to date, errors end the process.
    live: AtomicBool,
    applier: Mutex<Applier>,
}

/// What only the holder of the mutex may touch.
#[derive(Default)]
struct Applier {
    /// Write sets whose Commit has not come yet, by their first index.
    open: BTreeMap<LogIndex, StagedSet>,
    /// Applied sets that other commits interleaved with: index of the Commit -> of the first Part. Until the Commit is
    /// flushed, replay needs their Parts.
    interleaved: BTreeMap<LogIndex, LogIndex>,
    /// The parts seen last: others mean that something was sealed.
    parts_seen: Option<Mark>,
}

impl Applied {
    pub(crate) fn new(engines: Engines, maintenance: Maintenance) -> Arc<Self> {
        let visible = Visible::new(engines.flushed_index());
        Arc::new(Self {
            engines,
            visible,
            catalogs: Catalogs::default(),
            feed: broadcast::channel(FEED_EVENTS).0,
            maintenance,
            failure: Mutex::default(),
            live: AtomicBool::new(false),
            applier: Mutex::default(),
        })
    }

    /// Why replay failed, if it did.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().clone()
    }

    /// Replay is over; `load` makes the first catalog, with nothing applied meanwhile.
    pub(crate) fn go_live(&self, load: impl FnOnce() -> Result<heddle_catalog::CatalogSnapshot>) -> Result<()> {
        let _between_entries = self.applier.lock();
        self.catalogs.publish(Arc::new(load()?), self.visible.get());
        self.live.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Seals the memtables between two entries. Returns the index up to which everything is sealed then.
    pub(crate) fn seal(&self) -> LogIndex {
        let _between_entries = self.applier.lock();
        self.engines.seal(true);
        self.visible.get()
    }

    /// The first record at or below `flushed` that replay would still need: of a set that is open, or whose Commit is not flushed.
    pub(crate) fn needed_from(&self, flushed: LogIndex) -> Option<LogIndex> {
        self.applier.lock().needed_from(flushed)
    }

    fn apply_batch(&self, records: Vec<Record>) {
        for (n, record) in records.into_iter().enumerate() {
            if n % WAKE_EVERY == WAKE_EVERY - 1 {
                self.visible.wake();
            }
            let live = self.live.load(Ordering::SeqCst);
            if !live {
                if self.failure.lock().is_some() {
                    return;
                }
                // During replay nobody else holds writers back.
                self.maintenance.hold_back(&self.engines);
            }
            if let Err(error) = self.apply(record) {
                if live {
                    heddle_env::fail_stop(&format!("a durable record cannot be applied: {error}"));
                }
                *self.failure.lock() = Some(error);
                self.visible.close();
                return;
            }
        }
        self.visible.wake();
    }

    fn apply(&self, record: Record) -> Result<()> {
        let mut applier = self.applier.lock();
        let index = record.index;
        let changes = match record.kind {
            Kind::Part => applier.stage(record, self.engines.flushed_index()).map(|()| None)?,
            Kind::Commit => applier.commit(record, self.engines.flushed_index())?,
            Kind::Abort => {
                applier.open.remove(&payload::decode_abort(record.payload, index)?);
                None
            }
            // Every start and, later, every election: whoever was writing is gone.
            Kind::Membership => {
                applier.open.clear();
                None
            }
            Kind::Checkpoint => None,
            Kind::Vote | Kind::TruncateAfter | Kind::PurgeUpto => {
                return Err(damaged(&format!("log record {index} is of a reserved kind")));
            }
        };
        let event = match changes {
            Some(changes) => self.take_effect(index, changes)?,
            None => None,
        };
        if index > self.visible.get() {
            self.visible.advance(index);
        }
        if let Some(event) = event {
            // No receiver is no error.
            let _ = self.feed.send(event);
        }
        self.engines.seal(false);
        if applier.saw_other(&self.engines) {
            self.maintenance.wake();
        }
        Ok(())
    }

    /// Publishes the catalog and applies to the engines. The event, if somebody listens.
    fn take_effect(&self, index: LogIndex, changes: Vec<RowChange>) -> Result<Option<CommitEvent>> {
        // What is visible already is in the catalog that was loaded.
        if self.live.load(Ordering::SeqCst) && index > self.visible.get() {
            let mut edits = Vec::new();
            for change in &changes {
                edits.extend(CatalogEdit::from_change(change)?);
            }
            if !edits.is_empty() {
                let newest = self.catalogs.newest().unwrap_or_default();
                self.catalogs.publish(Arc::new(newest.with(&edits, index)), self.visible.get());
            }
        }
        let event = (self.feed.receiver_count() > 0).then(|| CommitEvent { index, changes: changes.as_slice().into() });
        self.engines.apply(index, changes);
        Ok(event)
    }
}

impl Applier {
    /// See [`Applied::needed_from`].
    fn needed_from(&mut self, flushed: LogIndex) -> Option<LogIndex> {
        self.interleaved = self.interleaved.split_off(&flushed.next());
        let committed = self.interleaved.values().min().copied();
        self.open.keys().next().copied().into_iter().chain(committed).min()
    }

    /// Are these other parts than last time? Notes them.
    fn saw_other(&mut self, engines: &Engines) -> bool {
        let now = engines.versions();
        if self.parts_seen.as_ref().is_some_and(|seen| seen.is(&now)) {
            return false;
        }
        self.parts_seen = Some(now.mark());
        true
    }

    /// Takes a Part in. One whose set began below the log's start is left alone: its Commit tells whether that is right.
    fn stage(&mut self, record: Record, flushed: LogIndex) -> Result<()> {
        let index = record.index;
        let part = Part::decode(record.payload, index)?;
        if part.set == index {
            self.open.insert(index, StagedSet::default());
        }
        match self.open.get_mut(&part.set) {
            Some(set) => set.add(part),
            None if part.set <= flushed => Ok(()),
            None => Err(damaged(&format!("log record {index} belongs to a write set that is not open"))),
        }
    }

    /// The changes of the set this record commits; `None` when the engines have them already and the Parts are purged.
    fn commit(&mut self, record: Record, flushed: LogIndex) -> Result<Option<Vec<RowChange>>> {
        let index = record.index;
        let (set, commit) = Commit::decode(record.payload, index)?;
        match self.open.remove(&set) {
            Some(staged) => {
                if set.0 + u64::from(commit.parts) != index.0 && index > flushed {
                    self.interleaved.insert(index, set);
                }
                staged.finish(&commit, index).map(Some)
            }
            None if index <= flushed => Ok(None),
            None => Err(damaged(&format!("log record {index} commits a write set whose parts are missing"))),
        }
    }
}

/// A write set whose Parts have come, decoded, without effect yet.
#[derive(Default)]
struct StagedSet {
    parts: u32,
    chain: u32,
    next_change: u64,
    runs: Vec<Vec<RowChange>>,
    /// Pieces of a change that is larger than a Part.
    fragments: Vec<u8>,
}

impl StagedSet {
    fn add(&mut self, part: Part) -> Result<()> {
        if part.ordinal != self.parts || part.first_change != self.next_change {
            return Err(damaged("the parts of a write set are not in order"));
        }
        self.parts += 1;
        self.chain = crc32c::crc32c_append(self.chain, &part.body);
        let body = if part.fragment {
            self.fragments.extend_from_slice(&part.body);
            if !part.fragment_last {
                return Ok(());
            }
            Bytes::from(std::mem::take(&mut self.fragments))
        } else if self.fragments.is_empty() {
            part.body
        } else {
            return Err(damaged("a change in pieces lacks its last piece"));
        };
        let run = change::decode_all(&body)?;
        self.next_change += run.len() as u64;
        self.runs.push(run);
        Ok(())
    }

    fn finish(mut self, commit: &Commit, index: LogIndex) -> Result<Vec<RowChange>> {
        if (self.parts, self.chain) != (commit.parts, commit.chain) || !self.fragments.is_empty() {
            return Err(damaged(&format!("log record {index} commits other parts than there are")));
        }
        if commit.dead.is_empty() && self.runs.len() == 1 {
            return Ok(self.runs.pop().unwrap_or_default());
        }
        let total = usize::try_from(self.next_change).expect("the changes are in memory");
        let mut changes = Vec::with_capacity(total);
        for (number, change) in (0..).zip(self.runs.into_iter().flatten()) {
            if !is_dead(&commit.dead, number) {
                changes.push(change);
            }
        }
        Ok(changes)
    }
}

/// `dead` is ascending and disjoint.
fn is_dead(dead: &[Range<u64>], number: u64) -> bool {
    let at = dead.partition_point(|range| range.end <= number);
    dead.get(at).is_some_and(|range| range.contains(&number))
}

enum Message {
    Batch(Vec<Record>),
    Stop,
}

/// The apply thread, to be stopped after the log.
pub(crate) struct ApplyThread {
    sender: SyncSender<Message>,
    thread: JoinHandle<()>,
}

impl ApplyThread {
    /// Stops it when everything it was given is applied.
    pub(crate) fn stop(self) {
        // A thread that is gone has ended the process.
        let _ = self.sender.send(Message::Stop);
        let _ = self.thread.join();
    }
}

/// Starts the apply thread; the sink is for the log.
pub(crate) fn spawn(applied: Arc<Applied>) -> Result<(Sink, ApplyThread)> {
    let (sender, receiver) = sync_channel(QUEUE_BATCHES);
    let queued = Arc::new(AtomicUsize::new(0));
    let thread = {
        let (applied, queued) = (Arc::clone(&applied), Arc::clone(&queued));
        crate::spawn_thread("heddle-apply", move || run(&applied, &queued, &receiver))?
    };
    let to_thread = sender.clone();
    let sink: Sink = Box::new(move |records| {
        // Only this closure queues, so nothing can come between the look and the work.
        if queued.load(Ordering::SeqCst) == 0 && is_small(&records) {
            return guarded(|| applied.apply_batch(records));
        }
        queued.fetch_add(1, Ordering::SeqCst);
        // Blocks while the thread is behind. It goes away only after the log.
        let _ = to_thread.send(Message::Batch(records));
    });
    Ok((sink, ApplyThread { sender, thread }))
}

fn run(applied: &Applied, queued: &AtomicUsize, receiver: &Receiver<Message>) {
    while let Ok(Message::Batch(records)) = receiver.recv() {
        guarded(|| applied.apply_batch(records));
        queued.fetch_sub(1, Ordering::SeqCst);
    }
    applied.visible.close();
}

fn is_small(records: &[Record]) -> bool {
    let bytes = || records.iter().map(|r| r.payload.len()).sum::<usize>();
    records.len() <= INLINE_RECORDS_MAX && bytes() <= INLINE_BYTES_MAX
}

/// A panic here leaves engines and visible_index in an unknown state: the process ends.
pub(crate) fn guarded(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        heddle_env::fail_stop("panic on an apply or maintenance thread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{PartBuilder, SetRef, encode_abort};
    use heddle_types::{StorageId, Term};

    fn change(n: u8) -> RowChange {
        RowChange::Delete { storage: StorageId(7), key: Bytes::copy_from_slice(&[n]) }
    }

    fn record(index: u64, kind: Kind, payload: Bytes) -> Record {
        Record { index: LogIndex(index), term: Term(1), group: 0, kind, payload }
    }

    /// A Part of the set that begins at `set`, with changes numbered from `first`.
    fn part(index: u64, set: u64, ordinal: u32, first: u64, changes: &[u8], chain: &mut u32) -> Record {
        let mut builder = PartBuilder::new(first);
        changes.iter().for_each(|n| builder.push(&change(*n)));
        let body = builder.finish().pop().expect("one part");
        record(index, Kind::Part, body.finish(SetRef::At(LogIndex(set)), ordinal, chain))
    }

    fn commit(index: u64, set: u64, parts: u32, chain: u32, dead: Vec<Range<u64>>) -> Record {
        record(index, Kind::Commit, Commit { parts, chain, dead }.encode(SetRef::At(LogIndex(set))))
    }

    const NOTHING_FLUSHED: LogIndex = LogIndex(0);

    #[test]
    fn interleaved_sets_take_effect_with_their_commits() {
        let (mut applier, mut a, mut b) = (Applier::default(), 0, 0);
        for record in [
            part(5, 5, 0, 0, &[1, 2, 3], &mut a),
            part(6, 6, 0, 0, &[10], &mut b),
            part(7, 5, 1, 3, &[4, 5], &mut a),
            part(8, 6, 1, 1, &[11, 12], &mut b),
        ] {
            applier.stage(record, NOTHING_FLUSHED).unwrap();
        }
        assert_eq!(applier.open.keys().next(), Some(&LogIndex(5)));
        let set =
            applier.commit(commit(9, 6, 2, b, std::iter::once(1..2).collect()), NOTHING_FLUSHED).unwrap().unwrap();
        assert_eq!(set, [10, 12].map(change));
        let set = applier.commit(commit(10, 5, 2, a, vec![0..1, 2..4]), NOTHING_FLUSHED).unwrap().unwrap();
        assert_eq!(set, [2, 5].map(change));
        assert!(applier.open.is_empty());
    }

    #[test]
    fn parts_are_needed_until_their_commit_is_flushed() {
        let (mut applier, mut a, mut b) = (Applier::default(), 0, 0);
        applier.stage(part(5, 5, 0, 0, &[1], &mut a), NOTHING_FLUSHED).unwrap();
        applier.stage(part(6, 6, 0, 0, &[10], &mut b), NOTHING_FLUSHED).unwrap();
        applier.commit(commit(7, 6, 1, b, vec![]), NOTHING_FLUSHED).unwrap().unwrap();
        assert_eq!(applier.needed_from(LogIndex(4)), Some(LogIndex(5)));
        // A merge of what was sealed after 7 ends only when 8 is applied, which is in no base yet.
        applier.commit(commit(8, 5, 1, a, vec![]), NOTHING_FLUSHED).unwrap().unwrap();
        assert_eq!(applier.needed_from(LogIndex(7)), Some(LogIndex(5)), "replay from 8 on needs part 5");
        assert_eq!(applier.needed_from(LogIndex(8)), None);
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let refused = |records: Vec<Record>| {
            let mut applier = Applier::default();
            let outcome = records.into_iter().try_for_each(|r| match r.kind {
                Kind::Part => applier.stage(r, LogIndex(3)),
                _ => applier.commit(r, LogIndex(3)).map(|_| ()),
            });
            outcome.is_err_and(|e| e.code().0 == "XX001")
        };
        let (mut chain, mut other) = (0, 0);
        let first = part(5, 5, 0, 0, &[1], &mut chain);
        let second = part(6, 5, 1, 1, &[2], &mut chain);
        let gap = part(6, 5, 1, 2, &[2], &mut other);
        assert!(!refused(vec![first.clone(), second.clone(), commit(7, 5, 2, chain, vec![])]));
        assert!(refused(vec![first.clone(), commit(7, 5, 2, chain, vec![])]), "a part is missing");
        assert!(refused(vec![first.clone(), second, commit(7, 5, 2, chain ^ 1, vec![])]), "another chain");
        assert!(refused(vec![first, gap]), "a change is missing");
        assert!(refused(vec![part(6, 5, 1, 1, &[2], &mut other)]), "its set is not open");
        assert!(refused(vec![commit(7, 5, 1, 0, vec![])]), "no parts at all");
        assert!(!refused(vec![part(3, 2, 1, 1, &[2], &mut other), commit(3, 2, 2, 0, vec![])]), "flushed and purged");
    }

    #[test]
    fn records_move_visible_and_abort_open_sets() {
        let model = || Arc::new(heddle_engines::model::ModelEngine::new());
        let applied = Applied::new(Engines { rows: model(), points: model() }, Maintenance::new(usize::MAX));
        let mut chain = 0;
        applied.apply(part(1, 1, 0, 0, &[1], &mut chain)).unwrap();
        applied.apply(part(2, 2, 0, 0, &[1], &mut chain)).unwrap();
        assert_eq!((applied.visible.get(), applied.needed_from(LogIndex(0))), (LogIndex(2), Some(LogIndex(1))));
        applied.apply(record(3, Kind::Abort, encode_abort(LogIndex(1)))).unwrap();
        assert_eq!(applied.needed_from(LogIndex(0)), Some(LogIndex(2)));
        applied.apply(record(4, Kind::Membership, Bytes::new())).unwrap();
        assert_eq!((applied.visible.get(), applied.needed_from(LogIndex(0))), (LogIndex(4), None));
        assert!(applied.apply(record(5, Kind::Vote, Bytes::new())).is_err(), "reserved for Raft");
    }
}
