//! visible_index: moved by apply alone, read by every snapshot, waited for by commits.
//!
//! Waiters are keyed by the index they wait for. Moving it wakes nobody: [`Visible::wake`] does, once for a batch of records.
//! Waking a thread is a system call, and mostly many waiters of few threads are done at once: of each thread one is woken,
//! who wakes the others.

use crate::in_flight::InFlightSet;
use crate::lock_table::LockOwner;
use heddle_types::LogIndex;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use tokio::sync::oneshot;

/// What to do once an index is visible.
enum Waiter {
    Task(ThreadId, oneshot::Sender<Others>),
    Thread(mpsc::SyncSender<()>),
    /// A commit whose caller went away: its locks are kept until now, and its images.
    Release(Arc<LockOwner>, Option<InFlightSet>),
}

impl Waiter {
    /// Dropping a sender tells its receiver.
    fn give_up(self) {
        if let Self::Release(owner, _images) = self {
            owner.release_all();
        }
    }
}

/// Tasks of one thread that are woken when this is dropped: by the first of them or, if it is gone, by who sent it.
#[derive(Default)]
struct Others(Vec<oneshot::Sender<Others>>);

impl Drop for Others {
    fn drop(&mut self) {
        // A receiver that went away needs no waking.
        self.0.drain(..).for_each(|task| drop(task.send(Self::default())));
    }
}

/// The newest visible index.
pub(crate) struct Visible {
    index: AtomicU64,
    /// `None`: apply has stopped, nothing will move any more.
    waiters: Mutex<Option<BTreeMap<LogIndex, Vec<Waiter>>>>,
}

impl Visible {
    /// At an index that needs no log.
    pub(crate) fn new(index: LogIndex) -> Self {
        Self { index: AtomicU64::new(index.0), waiters: Mutex::new(Some(BTreeMap::new())) }
    }

    pub(crate) fn get(&self) -> LogIndex {
        LogIndex(self.index.load(Ordering::SeqCst))
    }

    /// Moves it. Called by apply alone, which calls [`Self::wake`] after a few.
    pub(crate) fn advance(&self, to: LogIndex) {
        debug_assert!(to >= self.get(), "visible_index only grows");
        self.index.store(to.0, Ordering::SeqCst);
    }

    /// Wakes who waited for what is visible now.
    pub(crate) fn wake(&self) {
        let to = self.get();
        let done = {
            let mut waiters = self.waiters.lock();
            let Some(waiters) = waiters.as_mut() else { return };
            match waiters.first_key_value() {
                Some((first, _)) if *first <= to => {
                    let rest = waiters.split_off(&to.next());
                    std::mem::replace(waiters, rest)
                }
                _ => return,
            }
        };
        let mut threads: Vec<(ThreadId, Vec<oneshot::Sender<Others>>)> = Vec::new();
        for waiter in done.into_values().flatten() {
            match waiter {
                Waiter::Task(thread, task) => match threads.iter_mut().find(|(t, _)| *t == thread) {
                    Some((_, tasks)) => tasks.push(task),
                    None => threads.push((thread, vec![task])),
                },
                Waiter::Thread(sender) => drop(sender.try_send(())),
                released => released.give_up(),
            }
        }
        for (_, mut tasks) in threads {
            if let Some(first) = tasks.pop() {
                drop(first.send(Others(tasks)));
            }
        }
    }

    /// Waits until `index` is visible. False when that will never be: apply has stopped.
    pub(crate) async fn wait(&self, index: LogIndex) -> bool {
        if self.get() >= index {
            return true;
        }
        let (sender, receiver) = oneshot::channel();
        self.register(index, Waiter::Task(thread::current().id(), sender)) || receiver.await.is_ok()
    }

    /// Waits on a thread of its own.
    pub(crate) fn wait_blocking(&self, index: LogIndex) -> bool {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.register(index, Waiter::Thread(sender)) || receiver.recv().is_ok()
    }

    /// Releases the locks of `owner` and drops the images of its commit once `index` is visible.
    pub(crate) fn release_at(&self, index: LogIndex, owner: &Arc<LockOwner>, images: Option<InFlightSet>) {
        if self.register(index, Waiter::Release(Arc::clone(owner), images)) {
            owner.release_all();
        }
    }

    /// Apply has stopped: waits that are not over end with false.
    pub(crate) fn close(&self) {
        let waiters = self.waiters.lock().take().unwrap_or_default();
        waiters.into_values().flatten().for_each(Waiter::give_up);
    }

    /// True when it is visible already (and the waiter was not kept).
    fn register(&self, index: LogIndex, waiter: Waiter) -> bool {
        if self.get() >= index {
            return true;
        }
        let mut waiters = self.waiters.lock();
        // Again under the lock: `advance` stores first and takes the lock then.
        if self.get() >= index {
            return true;
        }
        match waiters.as_mut() {
            Some(waiters) => waiters.entry(index).or_default().push(waiter),
            None => waiter.give_up(),
        }
        false
    }
}
