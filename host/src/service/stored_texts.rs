//! How this host interprets the texts in its store, for tools that examine one.

use crate::modules::keeps_bytes;
use crate::store::{ANSWER_SECONDS, About, EntryInterpreter, about};

/// Margin for a server whose clock is ahead: it may already have deleted answers that are almost
/// old enough.
const ANSWER_MARGIN_SECONDS: u64 = 3_600;

/// The host's interpretation of the texts in its store.
#[derive(Clone, Copy, Debug)]
pub struct StoredTexts {
    /// The current time in unix seconds.
    pub now: u64,
}

impl EntryInterpreter for StoredTexts {
    fn about(&self, entry: &str) -> Option<About> {
        about::of_entry(entry)
    }

    fn keeps_bytes(&self, module: &str) -> bool {
        keeps_bytes(module)
    }

    fn answers_since(&self) -> u64 {
        self.now.saturating_sub(ANSWER_SECONDS - ANSWER_MARGIN_SECONDS)
    }
}
