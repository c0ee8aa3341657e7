//! How far a long check or export has come, for a person who watches.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Work that is done before this needs no progress.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on a terminal that is written over; nothing elsewhere.
pub(super) struct Progress {
    what: &'static str,
    since: Instant,
    shows: bool,
    shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, since: Instant::now(), shows: stderr().is_terminal(), shown: false }
    }

    /// So many entries are done.
    pub(super) fn tell(&mut self, entries: u64) {
        if self.shows && self.since.elapsed() > PATIENCE {
            self.shown = true;
            let _ = write!(stderr(), "\r{} {entries} entries …", self.what);
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
