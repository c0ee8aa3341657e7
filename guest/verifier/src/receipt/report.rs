//! The report: what a receipt proves.

use std::collections::BTreeMap;

use serde::Serialize;
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::key::LogKey;

use super::approval::Approval;
use crate::lifecycle::Replay;
use crate::record::{Outcome, Status};
use crate::statement::{Decision, Profile};
use crate::time::UnixSeconds;

/// The answer of `receipt.verify`, as JSON: what a receipt proves.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/receipt.wit")]
pub struct Report {
    pub audience: String,
    pub approval_id: String,
    pub status: Status,
    pub agent: String,
    pub action: String,
    pub reason: Option<String>,
    pub requested_by: String,
    pub requested_at: UnixSeconds,
    pub expires_at: UnixSeconds,
    pub context_hash: String,
    pub plan_hash: Option<String>,
    pub request_digest: String,
    pub threshold: u32,
    pub groups: BTreeMap<String, u32>,
    pub requirement_met: bool,
    pub ballots: Vec<BallotReport>,
    pub execution: Option<ExecutionReport>,
    pub erased_at: Option<UnixSeconds>,
    pub entries: usize,
    pub checkpoint_size: u64,
    pub signer: Option<String>,
}

/// One ballot.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/receipt.wit")]
pub struct BallotReport {
    pub approver: String,
    pub decision: Decision,
    pub comment: Option<String>,
    pub at: UnixSeconds,
    pub profile: Profile,
    pub key_id: String,
    pub algorithm: &'static str,
    pub groups: Vec<String>,
    pub proof: Proof,
}

/// How far a ballot is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Its signature was verified with a key that the caller pinned.
    Pinned,
    /// Its signature was verified with a key that only the log names.
    Logged,
    /// Only the log says that it was verified: its secret is unavailable here, or its comment was
    /// erased.
    Attested,
}

/// The single use of the approval.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the members are explained in wit/receipt.wit")]
pub struct ExecutionReport {
    pub id: String,
    pub claimed_by: String,
    pub claimed_at: UnixSeconds,
    pub outcome: Outcome,
    pub settled_at: Option<UnixSeconds>,
}

/// The verified content of a receipt.
pub(super) struct Verified {
    pub(super) replay: Replay,
    pub(super) ballots: Vec<BallotReport>,
    pub(super) requirement_met: bool,
    pub(super) entries: usize,
    pub(super) checkpoint: Checkpoint,
    pub(super) signer: Option<LogKey>,
}

impl Report {
    pub(super) fn new(approval: Approval<'_>, verified: Verified) -> Self {
        let execution = verified.replay.execution().cloned();
        Self {
            audience: approval.audience.into_owned(),
            approval_id: approval.id.into_owned(),
            status: verified.replay.record().status,
            agent: approval.agent.into_owned(),
            action: approval.action.into_owned(),
            reason: approval.reason,
            requested_by: approval.requested_by.into_owned(),
            requested_at: approval.requested_at,
            expires_at: approval.expires_at,
            context_hash: approval.context_hash.into_owned(),
            plan_hash: approval.plan_hash,
            request_digest: approval.request_digest.into_owned(),
            threshold: approval.requirement.threshold,
            groups: approval.requirement.groups,
            requirement_met: verified.requirement_met,
            ballots: verified.ballots,
            execution: execution.map(|logged| ExecutionReport {
                id: logged.id,
                claimed_by: logged.claimed_by,
                claimed_at: logged.claimed_at,
                outcome: logged.outcome,
                settled_at: logged.settled_at,
            }),
            erased_at: approval.erased_at,
            entries: verified.entries,
            checkpoint_size: verified.checkpoint.size,
            signer: verified.signer.map(|key| key.to_string()),
        }
    }
}
