//! The queue between appenders and the writer thread: assigns indexes and places, waits when it is full.
//!
//! Called by [`crate::Log`] (any thread) and by `writer` (the log thread). One short mutex orders everything: whoever holds it
//! gives the next index *and* claims the bytes it will lie in, so a record that has an index cannot meet a full disk.
//!
//! Two condition variables: `work` wakes the writer, `progress` wakes whoever waits for room, a spare segment or durability.
//!
//! Not here: bytes and files. `room` is arithmetic; `writer` puts the records exactly where it says.

use crate::error::{DiskError, terminating};
use crate::frame::frame_bytes;
use crate::record::{GROUP, Kind, Record, SELF_ALONE, TERM};
use crate::segment::{Folder, HEADER_BYTES, SPARES_MAX};
use crate::{FailStop, LogConfig};
use bytes::Bytes;
use heddle_env::Env;
use heddle_types::{Error, LogIndex, Result, SqlState};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::thread::ThreadId;

/// What appenders and the writer thread share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) work: Condvar,
    pub(crate) progress: Condvar,
    /// Never locked while `state` is held, nor while the sink runs.
    pub(crate) folder: Mutex<Folder>,
    fail_stop: FailStop,
    batch_bytes_max: u64,
    queue_bytes_max: u64,
    /// Bytes for records in a fresh segment.
    fresh_room: u64,
}

/// Is the log taking records?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    /// Nothing new; what is queued is still written.
    Closing,
    /// The thread has ended.
    Stopped,
}

/// A record with an index, and whether it is the first of a new segment.
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) rolls: bool,
}

/// Where the log ends.
pub(crate) struct State {
    pub(crate) status: Status,
    pub(crate) durable: u64,
    pub(crate) next_index: u64,
    queue: VecDeque<Entry>,
    queue_bytes: u64,
    /// Bytes left in the segment the next record goes to.
    room: u64,
    /// Spare segments that no queued record has claimed.
    spares: usize,
    /// Unclaimed spares that somebody waits for.
    wanted: usize,
    /// Reservations that met a full disk, and whether the last one did. Then only an appender in need asks again.
    refusals: u64,
    refused: Option<Error>,
    writer_idle: bool,
    membership_due: bool,
    writer: Option<ThreadId>,
}

/// What the writer does next.
pub(crate) enum Work {
    Batch,
    Reserve,
    Done,
}

/// What queueing a run would take.
#[derive(Default)]
struct Plan {
    bytes: u64,
    rolls: usize,
}

impl Shared {
    pub(crate) fn new(env: &Env, config: &LogConfig, fail_stop: FailStop) -> Self {
        Self {
            state: Mutex::new(State::new()),
            work: Condvar::new(),
            progress: Condvar::new(),
            folder: Mutex::new(Folder::new(env, config)),
            fail_stop,
            batch_bytes_max: config.batch_bytes_max as u64,
            queue_bytes_max: config.queue_bytes_max as u64,
            fresh_room: config.segment_bytes - HEADER_BYTES,
        }
    }

    /// Queues a run of records (`sizes` are those of their payloads), behind the Membership record if that is still due.
    ///
    /// Returns the index of the first, or the next index when the run is empty.
    pub(crate) fn enqueue(
        &self,
        sizes: impl Iterator<Item = usize> + Clone,
        records: impl Iterator<Item = (Kind, Bytes)>,
    ) -> Result<LogIndex> {
        let mut state = self.state.lock();
        let plan = self.admit(&mut state, sizes)?;
        state.spares -= plan.rolls;
        if std::mem::take(&mut state.membership_due) {
            state.push(Kind::Membership, Bytes::from_static(SELF_ALONE), self.fresh_room);
        }
        let first = LogIndex(state.next_index);
        for (kind, payload) in records {
            state.push(kind, payload, self.fresh_room);
        }
        if state.writer_idle {
            self.work.notify_one();
        }
        Ok(first)
    }

    /// Waits until the run fits into the queue and has its segments.
    fn admit(&self, state: &mut MutexGuard<'_, State>, sizes: impl Iterator<Item = usize> + Clone) -> Result<Plan> {
        loop {
            if state.status != Status::Running {
                return Err(terminating());
            }
            let plan = self.plan(state, sizes.clone())?;
            if state.queue_bytes > 0 && state.queue_bytes + plan.bytes > self.queue_bytes_max {
                self.check_not_writer(state)?;
                self.progress.wait(state);
            } else if plan.rolls > state.spares {
                self.wait_for_spares(state, plan.rolls)?;
            } else {
                return Ok(plan);
            }
        }
    }

    fn plan(&self, state: &State, sizes: impl Iterator<Item = usize>) -> Result<Plan> {
        let membership = state.membership_due.then_some(SELF_ALONE.len());
        let (mut plan, mut room) = (Plan::default(), state.room);
        for size in membership.into_iter().chain(sizes) {
            let bytes = frame_bytes(size);
            if bytes > self.fresh_room {
                let detail = format!("It takes {bytes} bytes, a segment has room for {}.", self.fresh_room);
                let error = Error::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "log record is larger than a log segment");
                return Err(error.detail(detail));
            }
            if bytes > room {
                plan.rolls += 1;
                room = self.fresh_room;
            }
            room -= bytes;
            plan.bytes += bytes;
        }
        Ok(plan)
    }

    /// Has the writer reserve segments, and waits for the outcome.
    fn wait_for_spares(&self, state: &mut MutexGuard<'_, State>, needed: usize) -> Result<()> {
        self.check_not_writer(state)?;
        let refusals = state.refusals;
        state.wanted = state.wanted.max(needed);
        state.refused = None;
        self.work.notify_one();
        while state.status == Status::Running && state.spares < needed {
            if state.refusals != refusals {
                return Err(state.refused.clone().unwrap_or_else(|| disk_full("the disk was full")));
            }
            self.progress.wait(state);
        }
        Ok(())
    }

    /// The sink must not wait for the thread it runs on.
    fn check_not_writer(&self, state: &State) -> Result<()> {
        if state.writer == Some(std::thread::current().id()) {
            return Err(Error::internal("the log's sink appended to the log and would wait for itself"));
        }
        Ok(())
    }

    /// Starts taking records behind what was recovered. Called once, by the log thread.
    pub(crate) fn begin(&self, next_index: u64, room: u64, spares: usize) {
        let mut state = self.state.lock();
        state.status = if state.status == Status::Closing { Status::Closing } else { Status::Running };
        state.next_index = next_index;
        state.durable = next_index - 1;
        state.room = room;
        state.spares = spares;
        state.writer = Some(std::thread::current().id());
    }

    /// Waits for something to do; fills `batch`. After a batch a due reservation goes first, so that neither starves.
    pub(crate) fn next_work(&self, batch: &mut Vec<Entry>, after_batch: bool) -> Work {
        let mut state = self.state.lock();
        loop {
            let reserve_due = state.spares < state.wanted.max(1) && state.refused.is_none();
            if state.status == Status::Running && reserve_due && (after_batch || state.queue.is_empty()) {
                return Work::Reserve;
            }
            if !state.queue.is_empty() {
                state.take_batch(batch, self.batch_bytes_max);
                self.progress.notify_all();
                return Work::Batch;
            }
            if state.status != Status::Running {
                return Work::Done;
            }
            state.writer_idle = true;
            self.work.wait(&mut state);
            state.writer_idle = false;
        }
    }

    /// One more spare is there.
    pub(crate) fn reserved(&self) {
        let mut state = self.state.lock();
        state.spares += 1;
        if state.spares >= state.wanted {
            state.wanted = 0;
        }
        self.progress.notify_all();
    }

    /// The disk is full: whoever needs a segment is told.
    pub(crate) fn refuse(&self, why: &DiskError) {
        let mut state = self.state.lock();
        state.refusals += 1;
        state.refused = Some(disk_full(&why.to_string()));
        state.wanted = 0;
        self.progress.notify_all();
    }

    pub(crate) fn made_durable(&self, index: LogIndex) {
        let mut state = self.state.lock();
        assert!(
            index.0 > state.durable && index.0 < state.next_index,
            "durable moves forward, within what was appended"
        );
        state.durable = index.0;
        self.progress.notify_all();
    }

    /// Takes nothing new from now on.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.status == Status::Running {
            state.status = Status::Closing;
        }
        self.work.notify_all();
        self.progress.notify_all();
    }

    /// The thread has ended; what is still queued will never be durable.
    pub(crate) fn stopped(&self) {
        let mut state = self.state.lock();
        state.status = Status::Stopped;
        self.progress.notify_all();
    }

    /// Ends the process; under a test's hook the log is dead afterwards.
    pub(crate) fn fatal(&self, what: &str) {
        (self.fail_stop)(what);
        let mut state = self.state.lock();
        state.status = Status::Stopped;
        state.queue.clear();
        self.work.notify_all();
        self.progress.notify_all();
    }

    pub(crate) fn purge_below(&self, index: LogIndex) -> Result<()> {
        let (limit, recycle) = {
            let state = self.state.lock();
            (index.0.min(state.durable + 1), SPARES_MAX.saturating_sub(state.spares))
        };
        let purged = self.folder.lock().purge_below(limit, recycle);
        match purged {
            Ok(recycled) => {
                let mut state = self.state.lock();
                state.spares += recycled;
                if recycled > 0 {
                    state.refused = None;
                    self.progress.notify_all();
                }
                Ok(())
            }
            Err(e) => {
                self.fatal(&format!("purging the log: {e}"));
                Err(Error::new(SqlState::IO_ERROR, e.to_string()))
            }
        }
    }
}

fn disk_full(why: &str) -> Error {
    Error::new(SqlState::DISK_FULL, why).hint("Check free disk space.")
}

impl State {
    fn new() -> Self {
        Self {
            status: Status::Running,
            durable: 0,
            next_index: 1,
            queue: VecDeque::new(),
            queue_bytes: 0,
            room: 0,
            spares: 0,
            wanted: 0,
            refusals: 0,
            refused: None,
            writer_idle: false,
            membership_due: true,
            writer: None,
        }
    }

    fn push(&mut self, kind: Kind, payload: Bytes, fresh_room: u64) {
        let bytes = frame_bytes(payload.len());
        let rolls = bytes > self.room;
        if rolls {
            self.room = fresh_room;
        }
        self.room -= bytes;
        self.queue_bytes += bytes;
        let record = Record { index: LogIndex(self.next_index), term: TERM, group: GROUP, kind, payload };
        self.next_index += 1;
        self.queue.push_back(Entry { record, rolls });
    }

    /// Moves queued records to `batch`: at least one, then as many as stay below `bytes_max`.
    fn take_batch(&mut self, batch: &mut Vec<Entry>, bytes_max: u64) {
        let mut taken = 0;
        while let Some(entry) = self.queue.front() {
            let bytes = frame_bytes(entry.record.payload.len());
            if taken > 0 && taken + bytes > bytes_max {
                break;
            }
            taken += bytes;
            batch.extend(self.queue.pop_front());
        }
        self.queue_bytes -= taken;
    }
}
