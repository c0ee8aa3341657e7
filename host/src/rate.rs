//! A rate limit: some events at once, then one a second. It counts what it drops.

/// Events that may follow each other at once.
const BURST: u64 = 20;

/// The state of one rate limit. Times are in seconds, of any clock that only advances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    left: u64,
    at: u64,
    /// Events dropped since the last one that was not.
    dropped: u64,
}

impl Rate {
    pub(crate) fn new(now: u64) -> Self {
        Self { left: BURST, at: now, dropped: 0 }
    }

    /// Takes one unit. Returns the number of events dropped since the last one that was not, or `None`
    /// if this one is dropped too.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        let regained = now.saturating_sub(self.at);
        self.left = self.left.saturating_add(regained).min(BURST);
        self.at = self.at.max(now);
        if self.left == 0 {
            self.dropped += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_burst_and_then_one_a_second() {
        let mut rate = Rate::new(1_000);
        let kept = |rate: &mut Rate, now| (0..100).filter(|_| rate.take(now).is_some()).count();
        assert_eq!(kept(&mut rate, 1_000), 20);
        assert_eq!(kept(&mut rate, 1_000), 0);
        assert_eq!(rate.take(1_001), Some(180), "what was dropped is counted");
        assert_eq!(rate.take(1_001), None);
        // A clock that was set back gives nothing.
        assert_eq!(rate.take(5), None);
        assert_eq!(kept(&mut rate, 9_000), 20);
    }
}
