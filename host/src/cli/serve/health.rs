//! Watches whether a server can decide, and tells its service manager.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::service_manager::ServiceManager;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::service::Service;

/// Interval of the checks, if the watchdog is not faster.
const PERIOD: Duration = Duration::from_secs(5);
/// A shorter one would measure nothing else than itself.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// Checks readiness again and again: reports each change, and answers the watchdog. Returns at once
/// without a service manager.
///
/// The watchdog is not answered while a check does not end, or while one fails for a reason that ends
/// with the process. Otherwise it is: a restart would fix nothing and would end the waits of callers.
pub(super) async fn report(manager: ServiceManager, service: Arc<Service>, url: String) {
    if !manager.is_there() {
        return;
    }
    let mut ticks = interval(period(manager.watchdog()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = None;
    loop {
        ticks.tick().await;
        let refusal = service.ready().await.err();
        let code = refusal.as_ref().map(|refusal| refusal.code);
        if reported != Some(code) {
            manager.status(&described(refusal.as_ref(), &url)).await;
            reported = Some(code);
        }
        if manager.watchdog().is_some() && !code.is_some_and(a_restart_helps) {
            manager.alive().await;
        }
    }
}

/// Returns half of what the watchdog waits for, as `sd_watchdog_enabled(3)` recommends.
fn period(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(PERIOD, |limit| (limit / 2).clamp(PERIOD_MIN, PERIOD))
}

fn described(refusal: Option<&Refusal>, url: &str) -> String {
    match refusal {
        None => format!("ready on {url}"),
        Some(refusal) => format!("not ready: {}", refusal.without_cause()),
    }
}

/// Returns whether a new process is without this failure. A store that failed to write, for example on
/// a full disk, refuses writes until it is opened again. Keys, settings, the policy and the clock are
/// the same after a restart; a wrong clock must not be accepted by one.
fn a_restart_helps(code: Code) -> bool {
    code == Code::STORE_UNAVAILABLE || code == Code::VERIFIER_TRAPPED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_twice_as_fast_as_the_watchdog_within_limits() {
        assert_eq!(period(None), PERIOD);
        assert_eq!(period(Some(Duration::from_secs(60))), PERIOD);
        assert_eq!(period(Some(Duration::from_secs(2))), Duration::from_secs(1));
        assert_eq!(period(Some(Duration::from_micros(1))), PERIOD_MIN);
        assert_eq!(period(Some(Duration::MAX)), PERIOD);
    }
}
