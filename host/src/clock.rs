//! The host's clock: whole unix seconds, floored. The verifier has none; it is told the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Whole seconds since 1970-01-01T00:00:00Z. Whoever administers the machine can set it.
    fn now(&self) -> u64;

    /// Whole seconds since some moment before, by a clock that nobody can set. It also counts while the
    /// machine sleeps.
    fn elapsed(&self) -> u64;
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

/// Linux leaves the time that a machine sleeps out of its monotonic clock.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ELAPSED: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const ELAPSED: ClockId = ClockId::Monotonic;

impl Clock for SystemClock {
    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(clock_gettime(ELAPSED).tv_sec).unwrap_or_default()
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
