//! The approvals that this process claimed: a server cannot show one of them again.

use std::collections::BTreeMap;
use std::sync::Mutex;

use signoff_verify::UnixSeconds;

use crate::clock;

/// The claimed ids, and when they expire.
static CLAIMED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// Adds an id. Returns false if it is there already, or if that is not known. Forgets ids whose approval
/// has expired.
pub(super) fn insert(id: &str, expires_at: &str) -> bool {
    let Ok(mut claimed) = CLAIMED.lock() else { return false };
    let oldest = clock::now().0.saturating_sub(clock::SKEW_SECONDS);
    claimed.retain(|_, expires_at| *expires_at >= oldest);
    let expires_at = UnixSeconds::parse(expires_at).map_or(u64::MAX, |time| time.0);
    if claimed.contains_key(id) {
        return false;
    }
    claimed.insert(id.to_owned(), expires_at);
    true
}

#[cfg(test)]
mod tests {
    use super::insert;

    #[test]
    fn an_id_is_claimed_once_until_it_expires() {
        assert!(insert("appr_a", "2999-01-01T00:00:00Z"));
        assert!(!insert("appr_a", "2999-01-01T00:00:00Z"));
        assert!(insert("appr_b", "no time"));
        assert!(!insert("appr_b", "2001-01-01T00:00:00Z"));
        assert!(insert("appr_c", "2001-01-01T00:00:00Z"));
        assert!(insert("appr_c", "2001-01-01T00:00:00Z"), "an expired id is forgotten");
    }
}
