//! Checks of the server's TLS certificates: their validity periods and names.

use std::path::Path;

use super::Finding;
use crate::cli::output;
use crate::clock::{Clock, SystemClock};
use crate::ledger::rfc3339;
use crate::server::{CertificateProblem, Chain, read_chain};

/// Names of a certificate that are shown.
const NAMES_SHOWN: usize = 5;

/// Checks the certificates of a file, as `serve` does when it loads them.
pub(in crate::cli) fn look(file: &Path) -> Vec<Finding> {
    let shown = file.display();
    let chain = match read_chain(file) {
        Ok(certificates) => Chain::of(&certificates),
        Err(why) => {
            return vec![
                Finding::bad("TLS", format!("`{shown}`: {why}"))
                    .fixed_by("put the file back, or correct `cert` under `[tls]` or --tls-cert"),
            ];
        }
    };
    let problems = chain.problems(SystemClock.now());
    if problems.is_empty() {
        return vec![Finding::ok("TLS", format!("`{shown}` is {}", validity(&chain)))];
    }
    let finding = |problem: &CertificateProblem| {
        let found = format!("`{shown}`: {problem}");
        match problem.is_refused() {
            true => Finding::bad("TLS", found).fixed_by(problem.fix()),
            false => Finding::weak("TLS", found, problem.fix()),
        }
    };
    problems.iter().map(finding).collect()
}

/// Describes how long every certificate is valid, and the names of the server's own.
fn validity(chain: &Chain) -> String {
    let ends = chain.periods().map(|(_, period)| period.not_after).min().unwrap_or_default();
    let names = chain.names().unwrap_or_default();
    let mut shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMES_SHOWN {
        shown = format!("{shown} and {}", output::count(names.len() - NAMES_SHOWN, "more name"));
    }
    format!("valid until {} for {shown}", rfc3339(ends))
}
