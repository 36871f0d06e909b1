//! Time. [`SystemClock`] in production, [`ManualClock`] where a test or a simulation decides what time it is.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01 UTC.
    fn now_us(&self) -> i64;
    /// Time since the clock was made; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's clock.
pub struct SystemClock(Instant);

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let d = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A clock that stands still until it is moved.
pub struct ManualClock {
    wall_us: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl ManualClock {
    /// A clock showing `now_us` microseconds since 1970-01-01 UTC.
    pub fn new(now_us: i64) -> Self {
        Self { wall_us: AtomicI64::new(now_us), monotonic_ns: AtomicU64::new(0) }
    }

    /// Moves both times forward.
    pub fn advance(&self, by: Duration) {
        self.wall_us.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.monotonic_ns.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock, backwards too, as an administrator may. Monotonic time stays.
    pub fn set_wall_us(&self, now_us: i64) {
        self.wall_us.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_us(&self) -> i64 {
        self.wall_us.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_told() {
        let c = ManualClock::new(5);
        assert_eq!((c.now_us(), c.monotonic()), (5, Duration::ZERO));
        c.advance(Duration::from_micros(7));
        assert_eq!((c.now_us(), c.monotonic()), (12, Duration::from_micros(7)));
        c.set_wall_us(1);
        assert_eq!((c.now_us(), c.monotonic()), (1, Duration::from_micros(7)));
    }

    #[test]
    fn system_clock_is_after_2020_and_never_goes_back() {
        let c = SystemClock::new();
        assert!(c.now_us() > 1_577_836_800_000_000);
        let a = c.monotonic();
        assert!(c.monotonic() >= a);
    }
}
