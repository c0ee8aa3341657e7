//! What an approval takes, as an evaluation answers it.

use std::collections::BTreeMap;

use serde::Serialize;
use signoff_core::limits::TTL_SECONDS_DEFAULT;

use super::super::Service;
use crate::code::Code;
use crate::engine::Verdict;
use crate::refusal::Refusal;

/// What an approval takes, each part set. The verifier works it out again for each request.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Required {
    ttl_seconds: u64,
    threshold: u32,
    groups: BTreeMap<String, u32>,
}

impl Service {
    /// The strictest of the settings and the verdict, in each part, and the defaults for the rest.
    ///
    /// Refusals: `request-invalid`: no accepted profile can meet it.
    pub(super) fn required(&self, verdict: &Verdict) -> Result<Required, Refusal> {
        let floor = &self.config.requirement;
        let asked = verdict.requirement.clone().unwrap_or_default();
        let mut groups = floor.groups.clone();
        for (group, minimum) in asked.groups {
            let ours = groups.entry(group).or_default();
            *ours = (*ours).max(minimum);
        }
        let required = Required {
            ttl_seconds: asked.ttl_seconds.unwrap_or(TTL_SECONDS_DEFAULT),
            threshold: asked.threshold.max(floor.threshold).unwrap_or(1),
            groups,
        };
        let takes_v1 = required.threshold == 1 && required.groups.is_empty();
        if !takes_v1 && !self.accept.iter().any(|profile| profile == "v2") {
            return Err(Refusal::new(
                Code::REQUEST_INVALID,
                "v1 signatures count only where threshold is 1 and no group is asked",
            ));
        }
        Ok(required)
    }
}
