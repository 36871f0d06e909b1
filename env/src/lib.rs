//! The only door to clock, randomness and disk. Everything that must be simulated or made to fail goes through here.
//!
//! [`Env`] bundles the three. [`Env::real`] is the machine; [`Env::in_memory`] is a deterministic one for tests: a
//! [`MemDisk`], a [`ManualClock`], a [`SeededRandom`]. [`fault::FaultDisk`] wraps any disk so that any call can fail, be
//! cut short, or lose what was not synced.
//!
//! Called by every crate that opens a file, asks the time or draws a random number. Nothing above uses `std::fs`.

pub mod clock;
pub mod disk;
pub mod fault;
pub mod mem;
pub mod random;
mod real;
mod thread;

pub use clock::{Clock, ManualClock, SystemClock};
pub use disk::{Disk, File, OpenMode, is_disk_full};
pub use fault::{Cut, Fault, FaultDisk, Op};
pub use mem::MemDisk;
pub use random::{Random, SeededRandom, SystemRandom};
pub use real::RealDisk;
pub use thread::{background, give_way, short_slices};

use std::sync::Arc;

/// Clock, randomness and disk, passed to whoever needs them.
#[derive(Clone)]
pub struct Env {
    /// Files and folders.
    pub disk: Arc<dyn Disk>,
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Random bytes.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The machine's own clock, randomness and disk.
    pub fn real() -> Self {
        Self { disk: Arc::new(RealDisk), clock: Arc::new(SystemClock::new()), random: Arc::new(SystemRandom) }
    }

    /// An empty disk in memory, a clock that moves when told, randomness from `seed`.
    pub fn in_memory(seed: u64) -> Self {
        Self {
            disk: Arc::new(MemDisk::new()),
            clock: Arc::new(ManualClock::new(0)),
            random: Arc::new(SeededRandom::new(seed)),
        }
    }

    /// The same clock and randomness over another disk, e.g. a [`FaultDisk`] around this one's.
    pub fn with_disk(&self, disk: Arc<dyn Disk>) -> Self {
        Self { disk, ..self.clone() }
    }
}

/// Ends the process because going on would be a lie: a write or fsync failed after we promised durability.
///
/// Prints one line to stderr, runs no destructors. Restart recovers from the durable prefix.
pub fn fail_stop(what: &str) -> ! {
    tracing::error!(what, "stopping: the state on disk is uncertain, restart recovers from the durable prefix");
    eprintln!("FATAL: {what}; the process stops, restart recovers from the durable prefix");
    std::process::abort()
}
