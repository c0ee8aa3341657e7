//! The host's clock: whole unix seconds, floored. The verifier has none; it is told the time.

use std::fs;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Whole seconds since 1970-01-01T00:00:00Z. Whoever administers the machine can set it.
    fn now(&self) -> u64;

    /// Whole seconds since some moment before, by a clock that nobody can set. It may stand while the
    /// machine sleeps.
    fn elapsed(&self) -> u64;

    /// As [`Self::elapsed`], with the time that the machine sleeps, where it can be had. Costs a file.
    fn uptime(&self) -> Option<u64> {
        None
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands until it is moved, for tests.
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
    /// A clock that stands at a time.
    pub fn at(seconds: u64) -> Self {
        Self { now: AtomicU64::new(seconds), elapsed: AtomicU64::new(0) }
    }

    /// Lets time pass until then. A time before the last one is a clock that was set back.
    pub fn set(&self, seconds: u64) {
        let before = self.now.swap(seconds, Ordering::SeqCst);
        self.elapsed.fetch_add(seconds.saturating_sub(before), Ordering::SeqCst);
    }

    /// Sets it, as somebody sets a clock: no time passes.
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
