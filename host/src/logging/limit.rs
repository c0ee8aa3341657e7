//! A limit for lines that anybody on the network can cause: so many at once, then one a second.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::rate::Rate;

/// The limit of one kind of line. A flood of them must not fill the disk.
#[derive(Debug)]
pub(crate) struct Limited {
    start: Instant,
    rate: Mutex<Rate>,
}

impl Default for Limited {
    fn default() -> Self {
        Self { start: Instant::now(), rate: Mutex::new(Rate::new(0)) }
    }
}

impl Limited {
    /// Returns the number of lines left out since the last one that was not, or `None` if this one is
    /// left out too.
    pub(crate) fn take(&self) -> Option<u64> {
        let now = self.start.elapsed().as_secs();
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}
