//! The requirement in the answer of an evaluation.

use signoff_core::requirement::Requirement;

use super::Guardrails;
use crate::policy::Verdict;
use crate::refusal::Refusal;

impl Guardrails {
    /// Returns the stricter value of settings and verdict for each member, or the default. The
    /// verifier computes the same for each request.
    ///
    /// Refusals: 1. `limit-exceeded`: more than 16 groups together 2. `request-invalid`: no
    /// accepted profile can meet the requirement.
    pub(crate) fn required(&self, verdict: &Verdict) -> Result<Requirement, Refusal> {
        let from_policy = verdict.requirement.clone().unwrap_or_default();
        let required = from_policy.stricter(&self.floor.requirement()).complete()?;
        required.can_be_met_by(self.accept.iter().map(String::as_str))?;
        Ok(required)
    }
}
