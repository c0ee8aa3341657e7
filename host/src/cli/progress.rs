//! Progress of long operations, for a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Shorter operations show no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on a terminal that is overwritten; prints nothing elsewhere.
pub(super) struct Progress {
    what: &'static str,
    unit: &'static str,
    since: Instant,
    shows: bool,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, since: Instant::now(), shows: stderr().is_terminal(), shown: false }
    }

    /// Reports the number of items done.
    pub(super) fn report(&mut self, done: u64) {
        if self.shows && self.since.elapsed() > PATIENCE {
            self.shown = true;
            let _ = write!(stderr(), "\r{} {done} {} …", self.what, self.unit);
        }
    }
}

/// Clears the line before the result is printed.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
