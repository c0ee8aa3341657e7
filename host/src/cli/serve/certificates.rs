//! Reports why clients refuse the certificates of a server: at the start, at a reload, and when it happens.

use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use signoff_core::deceptive::in_one_line;

use crate::api::{CertificateTimes, Metrics};
use crate::clock::{Clock, SystemClock};
use crate::server::{CertificateProblem, Tls, ValidityPeriod};

/// The certificates of a running server.
pub(super) struct Certificates {
    tls: Tls,
    metrics: Arc<Metrics>,
    /// The problems at the last check.
    reported: Mutex<Vec<CertificateProblem>>,
}

impl Certificates {
    /// Reports the problems of certificates that were just loaded.
    pub(super) fn loaded(tls: Tls, metrics: Arc<Metrics>) -> Self {
        let this = Self { tls, metrics, reported: Mutex::default() };
        let mut reported = this.reported.lock().unwrap_or_else(PoisonError::into_inner);
        this.measure();
        this.report_others_than(&mut reported);
        drop(reported);
        this
    }

    pub(super) fn fingerprint(&self) -> String {
        self.tls.fingerprint()
    }

    /// Reloads the certificates and reports the result, with all their problems; malformed ones leave
    /// the old ones in use.
    pub(super) fn reload(&self) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, fingerprint) = (self.tls.reload(), self.tls.fingerprint());
        match result {
            Ok(()) => tracing::info!(fingerprint, "TLS certificate reloaded"),
            Err(e) => tracing::error!(
                cause = in_one_line(&e.to_string()),
                fingerprint,
                "TLS certificate not reloaded; still using the old one"
            ),
        }
        self.measure();
        reported.clear();
        self.report_others_than(&mut reported);
    }

    /// Reports problems that the last check did not find, such as an expiry. Skipped during a reload,
    /// which reports all of them.
    pub(super) fn report_new(&self) {
        match self.reported.try_lock() {
            Ok(mut reported) => self.report_others_than(&mut reported),
            Err(TryLockError::Poisoned(reported)) => {
                self.report_others_than(&mut reported.into_inner());
            }
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn report_others_than(&self, reported: &mut Vec<CertificateProblem>) {
        let problems = self.tls.chain().problems(SystemClock.now());
        for problem in problems.iter().filter(|problem| !reported.contains(problem)) {
            let file = self.tls.certificate_file().display();
            tracing::warn!(
                file = in_one_line(&file.to_string()),
                problem = problem.to_string(),
                fix = problem.fix(),
                "TLS certificate problem"
            );
        }
        *reported = problems;
    }

    fn measure(&self) {
        let chain = self.tls.chain();
        let times = chain.periods().map(|(place, period)| {
            let ValidityPeriod { not_before, not_after } = period;
            CertificateTimes { place, not_before, not_after }
        });
        self.metrics.set_certificates(&times.collect::<Vec<_>>(), chain.names().map(<[_]>::len));
    }
}
