//! This machine's clock.

use std::time::SystemTime;

use signoff_verify::UnixSeconds;

/// How far the server's clock may be from this one.
pub(crate) const SKEW_SECONDS: u64 = 60;

/// Returns the time.
pub(crate) fn now() -> UnixSeconds {
    SystemTime::now().into()
}

/// Returns whether a moment, as the API shows it, is past, even for a clock that is behind. A text that
/// is no moment never is.
pub(crate) fn is_past(moment: &str) -> bool {
    UnixSeconds::parse(moment).is_some_and(|moment| now().0 > moment.0.saturating_add(SKEW_SECONDS))
}
