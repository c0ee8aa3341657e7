//! How far long work has come, for a person who watches.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Work that is done before this needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on a terminal that is written over; nothing elsewhere.
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

    /// So many are done.
    pub(super) fn tell(&mut self, done: u64) {
        if self.shows && self.since.elapsed() > PATIENCE {
            self.shown = true;
            let _ = write!(stderr(), "\r{} {done} {} …", self.what, self.unit);
        }
    }
}

/// The line is wiped: what comes next is the answer.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
