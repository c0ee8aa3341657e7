//! The log of callers who were not authenticated: a line for each, but only so many.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use signoff_core::deceptive::in_one_line;

use super::{Connection, RequestId};
use crate::refusal::Refusal;

/// Lines that may follow each other at once.
const BURST: u32 = 20;
/// After this time another line may follow.
const REFILL: Duration = Duration::from_secs(1);

/// Limits the lines about callers who were not authenticated: one of them sends thousands of
/// requests a second.
#[derive(Debug, Default)]
pub(super) struct Denials(Mutex<Option<Rate>>);

#[derive(Debug)]
struct Rate {
    left: u32,
    since: Instant,
    unlogged: u64,
}

impl Denials {
    /// Logs one line with the address and, where it is known, the token's id.
    pub(super) fn log(
        &self,
        refusal: &Refusal,
        connection: Option<&Connection>,
        request_id: Option<&RequestId>,
        operation: &str,
    ) {
        let Some(unlogged) = self.admit(Instant::now()) else { return };
        let address = connection.and_then(|connection| connection.address());
        tracing::warn!(
            address = address.map(|address| address.to_string()).unwrap_or_default(),
            request_id = request_id.map(RequestId::as_str).unwrap_or_default(),
            operation,
            cause = in_one_line(&refusal.reason()),
            unlogged,
            "unauthenticated"
        );
    }

    /// Returns how many were not logged since the last line, if this one is logged.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut rate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = rate.get_or_insert(Rate { left: BURST, since: now, unlogged: 0 });
        let gained = now.duration_since(rate.since).as_secs() / REFILL.as_secs();
        if gained > 0 {
            let gained = u32::try_from(gained).unwrap_or(BURST).min(BURST);
            rate.left = rate.left.saturating_add(gained).min(BURST);
            rate.since = now;
        }
        if rate.left == 0 {
            rate.unlogged += 1;
            return None;
        }
        rate.left -= 1;
        Some(std::mem::take(&mut rate.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_logged() {
        let denials = Denials::default();
        let start = Instant::now();
        let logged = (0..5_000).filter(|_| denials.admit(start) == Some(0)).count();
        assert_eq!(logged, BURST as usize);
        assert_eq!(denials.admit(start + REFILL), Some(4_980));
        assert_eq!(denials.admit(start + REFILL), None);
        let after = start + REFILL * 1_000;
        assert_eq!((0..100).filter_map(|_| denials.admit(after)).count(), BURST as usize);
    }
}
