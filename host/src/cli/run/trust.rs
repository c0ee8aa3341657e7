//! What `signoff run` and `signoff hook` believe before the claim: the server's word, or signatures of keys that the
//! caller pinned.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Approval;
use crate::cli::exit::Failure;
use crate::cli::output::note;
use crate::cli::transport::{Transport, call_verifier};
use crate::clock::{Clock, SystemClock};
use crate::keys::Keys;
use crate::verifier::{Accepted, ApprovalArgs};

/// How much the clocks of server and executor may differ.
const SKEW_SECONDS: u64 = 60;

/// The members of what is proven that are noted.
#[derive(Deserialize)]
struct Proven {
    approvers: Vec<ProvenApprover>,
}

#[derive(Deserialize)]
struct ProvenApprover {
    approver: String,
}

/// The executor's own expectations.
pub(in crate::cli) struct Pinned {
    keys: Keys,
    audience: String,
    /// The minimum requirement, JSON.
    floor: String,
    requested_after: u64,
}

impl Pinned {
    /// Loads the trusted keys, before anything is requested. `requested` is the time of a request that
    /// was made earlier, by this machine's clock.
    pub(in crate::cli) fn load(
        keyring: &Path,
        audience: &str,
        requirement: &Value,
        requested: Option<u64>,
    ) -> Result<Self, Failure> {
        let requested = requested.unwrap_or_else(|| SystemClock.now());
        Ok(Self {
            keys: Keys::of_file(keyring)?,
            audience: audience.to_owned(),
            floor: requirement.to_string(),
            requested_after: requested.saturating_sub(SKEW_SECONDS),
        })
    }

    /// Verifies the approval with these keys: nothing of the result relies on the server's word.
    ///
    /// # Errors
    ///
    /// As `approval.verify` in `wit/`.
    pub(in crate::cli) fn verify(
        &self,
        transport: &Transport,
        id: &str,
        attempt: &Value,
    ) -> Result<(), Failure> {
        let shown = transport.get_to_act(&format!("/api/v1/approvals/{id}"))?;
        let attempt = attempt.to_string();
        let args = ApprovalArgs {
            approval: &shown,
            id,
            audience: &self.audience,
            attempt: &attempt,
            accepted: Accepted { keys: self.keys.entries(), profiles: &["v2".to_owned()] },
            now: SystemClock.now(),
            requested_after: Some(self.requested_after),
            floor: Some(&self.floor),
        };
        let verifier = transport.verifier();
        let proven = call_verifier(transport.json, || verifier.verify_approval(&args))?;
        let proven: Proven = serde_json::from_str(&proven)?;
        let names: Vec<&str> = proven.approvers.iter().map(|one| one.approver.as_str()).collect();
        note(&format!("{id} is signed by {}, verified with the keys given", names.join(", ")));
        Ok(())
    }
}

/// Notes what the server says of an approval.
pub(in crate::cli) fn note_unverified(approval: &Approval) {
    let approvers: Vec<&str> = approval
        .ballots
        .iter()
        .filter(|ballot| ballot.decision == "approved")
        .map(|ballot| ballot.approver.as_str())
        .collect();
    let by = approvers.join(", ");
    note(&format!("the server says {} is approved by {by}; verify it with --trust", approval.id));
}

/// Returns the attempt, JSON, with the texts that were requested.
pub(in crate::cli) fn attempt(
    agent: &str,
    action: &str,
    context: &str,
    plan: Option<&str>,
) -> Value {
    json!({ "agent": agent, "action": action, "context": context, "plan": plan })
}

/// A keyring of trusted approvers.
#[derive(clap::Args, Clone, Debug)]
pub(in crate::cli) struct TrustOptions {
    /// Verify the approval with the approvers' keys in this keyring before the claim; without it the
    /// server's word counts. --threshold and --group are then the minimum, whatever the server shows
    #[arg(long, value_name = "KEYRING", requires = "audience")]
    pub(in crate::cli) trust: Option<PathBuf>,
    /// The deployment that the approval must be of
    #[arg(long, value_name = "NAME", requires = "trust")]
    pub(in crate::cli) audience: Option<String>,
}
