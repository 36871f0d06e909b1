//! The only door to clock, randomness and disk. Everything that must be simulated or made to fail goes through here.
//!
//! [`Env`] bundles the three; [`Env::real`] is the machine; [`fault`] wraps a disk so that any call can fail, be cut
//! short or lose what was not synced.

pub mod clock;
pub mod disk;
pub mod fault;
pub mod random;

pub use clock::{Clock, SystemClock};
pub use disk::{Disk, File, OpenMode, RealDisk};
pub use random::{Random, SystemRandom};

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
}

/// Ends the process because going on would be a lie: a write or fsync failed after we promised durability.
///
/// Prints one line to stderr, runs no destructors. Restart recovers from the durable prefix.
pub fn fail_stop(what: &str) -> ! {
    tracing::error!(what, "stopping: the state on disk is uncertain, restart recovers from the durable prefix");
    eprintln!("FATAL: {what}; the process stops, restart recovers from the durable prefix");
    std::process::abort()
}
