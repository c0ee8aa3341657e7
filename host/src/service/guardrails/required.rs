//! What an approval takes, as an evaluation answers it.

use signoff_core::requirement::Requirement;

use super::super::Service;
use crate::code::Code;
use crate::engine::Verdict;
use crate::refusal::Refusal;

impl Service {
    /// The strictest of the settings and the verdict, in each part, and the defaults for the rest. The
    /// verifier works it out again for each request.
    ///
    /// Refusals: 1. `limit-exceeded`: the groups of both are more than 16 2. `request-invalid`: no accepted
    /// profile can meet it.
    pub(super) fn required(&self, verdict: &Verdict) -> Result<Requirement, Refusal> {
        let asked = verdict.requirement.clone().unwrap_or_default();
        let required = asked.stricter(&self.config.requirement.requirement()).complete()?;
        if !required.takes_v1() && !self.accept.iter().any(|profile| profile == "v2") {
            return Err(Refusal::new(
                Code::REQUEST_INVALID,
                "v1 signatures count only where threshold is 1 and no group is asked",
            ));
        }
        Ok(required)
    }
}
