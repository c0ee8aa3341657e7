//! The AuthZEN interface of the service: what a policy enforcement point asks is evaluated by the
//! guardrails, requested as an ordinary approval, and claimed when it asks again with the approval.
//!
//! The rules are elsewhere: the policy decides an evaluation, the verifier a receipt and a claim.
//! This module translates between the words of the two protocols. `docs/gates/authzen.md` has the
//! mapping, for people.

mod denial;
mod evaluate;
mod question;
mod refused;
mod request;
mod task;

use std::sync::Arc;

use crate::approvals::Approvals;
use crate::audit::AuditLog;
use crate::guardrails::Guardrails;
use crate::ledger::{Ledger, Refusals};
use crate::verifier::ActiveVerifier;

pub use denial::{EvaluationId, Unrequestable};
pub use evaluate::{Decided, Execution, Presented, Requestable, Ruling};
pub use question::Question;
pub use refused::{NextAction, ReapprovalReason, Refused};
pub use request::Submission;
pub use task::{Granted, Task, TaskStatus};

/// Evaluations, access requests and their tasks.
pub struct AuthZen {
    ledger: Arc<Ledger>,
    verifier: Arc<ActiveVerifier>,
    guardrails: Arc<Guardrails>,
    approvals: Arc<Approvals>,
    audit: Arc<AuditLog>,
    refusals: Arc<Refusals>,
}

impl AuthZen {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        verifier: Arc<ActiveVerifier>,
        guardrails: Arc<Guardrails>,
        approvals: Arc<Approvals>,
        audit: Arc<AuditLog>,
        refusals: Arc<Refusals>,
    ) -> Self {
        Self { ledger, verifier, guardrails, approvals, audit, refusals }
    }
}
