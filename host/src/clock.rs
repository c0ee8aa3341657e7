//! The host's clock: whole unix seconds, rounded down. The verifier has no clock; the time is an
//! argument.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + 'static {
    /// Returns whole seconds since 1970-01-01T00:00:00Z. An administrator can set this clock.
    fn now(&self) -> u64;

    /// Returns whole seconds since a fixed earlier moment, by a clock that cannot be set. It may
    /// pause while the machine sleeps.
    fn elapsed(&self) -> u64;

    /// As [`Self::elapsed`], including the time that the machine sleeps, if available. Reads a
    /// file.
    fn uptime(&self) -> Option<u64> {
        None
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that only moves when set, for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicU64,
    elapsed: AtomicU64,
}

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn elapsed(&self) -> u64 {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        FIRST.get_or_init(Instant::now).elapsed().as_secs()
    }

    /// Linux: the first number of `/proc/uptime`, `12345.67 …`.
    fn uptime(&self) -> Option<u64> {
        let text = fs::read_to_string("/proc/uptime").ok()?;
        text.split('.').next()?.parse().ok()
    }
}

impl ManualClock {
    /// A clock that shows a given time.
    pub fn at(seconds: u64) -> Self {
        Self { now: AtomicU64::new(seconds), elapsed: AtomicU64::new(0) }
    }

    /// Moves the clock to a time. A later time also adds the difference to the elapsed time; an
    /// earlier one only sets the clock back.
    pub fn set(&self, seconds: u64) {
        let before = self.now.swap(seconds, Ordering::SeqCst);
        self.elapsed.fetch_add(seconds.saturating_sub(before), Ordering::SeqCst);
    }

    /// Sets the clock without letting time pass.
    pub fn jump(&self, seconds: u64) {
        self.now.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> u64 {
        self.elapsed.load(Ordering::SeqCst)
    }
}
