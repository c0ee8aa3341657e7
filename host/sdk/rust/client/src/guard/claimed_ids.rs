//! The approvals that this process claimed: a server cannot show one of them again.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use signoff_verify::UnixSeconds;

use crate::clock;

/// The longest lifetime of an approval that a server accepts.
const LIFETIME_SECONDS_MAX: u64 = 7 * 24 * 3600;
/// An id is kept that much longer, because clocks differ.
const GRACE_SECONDS: u64 = 300;

/// The claimed ids, and when they may be forgotten.
static CLAIMED: Mutex<BTreeMap<String, Instant>> = Mutex::new(BTreeMap::new());

/// Adds an id. Returns false if it is there already, or if that is not known. Forgets the ids whose
/// approval cannot be claimed any more.
pub(super) fn insert(id: &str, expires_at: &str) -> bool {
    let Ok(mut claimed) = CLAIMED.lock() else { return false };
    let left = UnixSeconds::parse(expires_at)
        .map_or(LIFETIME_SECONDS_MAX, |time| time.0.saturating_sub(clock::now().0));
    add(&mut claimed, id, left, Instant::now())
}

/// Adds an id whose approval can be claimed for `left` more seconds. They are counted by the monotonic
/// clock, so that a change of the system's time forgets no id.
fn add(claimed: &mut BTreeMap<String, Instant>, id: &str, left: u64, now: Instant) -> bool {
    claimed.retain(|_, deadline| *deadline >= now);
    if claimed.contains_key(id) {
        return false;
    }
    let kept = Duration::from_secs(left.min(LIFETIME_SECONDS_MAX) + GRACE_SECONDS);
    claimed.insert(id.to_owned(), now + kept);
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::{add, insert};

    #[test]
    fn an_id_is_claimed_once_whatever_its_expiry() {
        for (id, expires_at) in
            [("a", "2999-01-01T00:00:00Z"), ("b", "no time"), ("c", "2001-01-01T00:00:00Z")]
        {
            assert!(insert(id, expires_at));
            assert!(!insert(id, "2999-01-01T00:00:00Z"));
            assert!(!insert(id, "2001-01-01T00:00:00Z"));
        }
    }

    #[test]
    fn an_id_is_kept_for_its_lifetime_and_the_grace() {
        let start = Instant::now();
        for (left, kept) in [(0, 300), (3600, 3900), (u64::MAX, 7 * 24 * 3600 + 300)] {
            let mut claimed = BTreeMap::new();
            assert!(add(&mut claimed, "a", left, start) && add(&mut claimed, "b", left, start));
            let end = start + Duration::from_secs(kept);
            assert!(!add(&mut claimed, "a", 0, start));
            assert!(!add(&mut claimed, "a", 0, end), "{left}");
            assert!(add(&mut claimed, "a", 0, end + Duration::from_nanos(1)), "{left}");
            assert_eq!(claimed.len(), 1, "the other one is forgotten too");
        }
    }
}
