//! The codes that each operation may answer with. The check of recorded answers
//! (`tests/openapi/answers.py`) fails for a code that is not declared here.

use std::collections::BTreeMap;

use crate::api::authzen;
use crate::api::routes::{Access, Route};
use crate::code::Code;

/// The codes of an operation by HTTP status.
pub(super) type Refusals = BTreeMap<u16, Vec<Code>>;

/// What of a call can be refused before its handler decides.
#[derive(Clone, Copy)]
pub(super) struct Takes {
    /// A JSON body.
    pub(super) body: bool,
    /// An idempotency key.
    pub(super) key: bool,
    /// Query parameters or headers of its own.
    pub(super) query: bool,
}

/// Returns the codes of an operation.
pub(super) fn of(route: &Route, operation: &str, takes: Takes) -> Refusals {
    let mut refusals = Refusals::new();
    let is_authzen = route.path.starts_with("/access/");
    let mut add = |status: u16, code: Code| {
        let is_usual = status == code.status && is_authzen;
        let status = if is_usual { authzen::status_of(code) } else { status };
        let codes = refusals.entry(status).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    };
    add(400, Code::REQUEST_INVALID);
    let mut codes = vec![Code::FORBIDDEN, Code::RATE_LIMITED, Code::INTERNAL_ERROR];
    if route.access != Access::Everyone {
        // Each refuses a query that it does not know.
        codes.extend([Code::UNAUTHENTICATED, Code::REQUEST_INVALID]);
    }
    if route.access != Access::Everyone || operation == "get_readiness" {
        codes.extend([Code::RECORD_UNREADABLE, Code::STORE_TAMPERED]);
        codes.extend(UNAVAILABLE);
    }
    if route.path.contains('{') {
        codes.push(Code::NOT_FOUND);
    }
    if takes.body {
        add(413, Code::LIMIT_EXCEEDED);
        codes.push(Code::UNSUPPORTED_MEDIA_TYPE);
    }
    if takes.body || takes.query {
        codes.extend([Code::REQUEST_INVALID, Code::LIMIT_EXCEEDED]);
    }
    if takes.key {
        codes.push(Code::IDEMPOTENCY_KEY_REUSED);
    }
    codes.extend(own(operation));
    codes.into_iter().for_each(|code| add(code.status, code));
    refusals
}

/// Failures that pass, or that an operator ends.
const UNAVAILABLE: [Code; 7] = [
    Code::STORE_UNAVAILABLE,
    Code::KEYRING_UNAVAILABLE,
    Code::VERIFIER_TRAPPED,
    Code::POLICY_TRAPPED,
    Code::CLOCK_BEHIND,
    Code::CLOCK_AHEAD,
    Code::SETTINGS_WEAKER,
];

/// Codes of one operation beyond those of every call of its kind.
fn own(operation: &str) -> Vec<Code> {
    match operation {
        "request_approval" => {
            vec![Code::CONTEXT_INVALID, Code::POLICY_DENIED, Code::REQUIREMENT_UNMEETABLE]
        }
        "approve" | "reject" => [&SIGNATURE[..], &DECISION].concat(),
        "verify_approval" => vec![Code::CONTEXT_INVALID],
        "execute_approval" => [&SIGNATURE[..], &CLAIM].concat(),
        "report_outcome" => {
            vec![Code::EXECUTION_MISMATCH, Code::ALREADY_SETTLED, Code::ALREADY_ERASED]
        }
        "withdraw_approval" => vec![Code::EXPIRED, Code::ALREADY_DECIDED, Code::ALREADY_EXECUTED],
        "erase_approval" => vec![Code::NOT_FINAL, Code::ALREADY_ERASED],
        "prune_approvals" => vec![Code::LIMIT_EXCEEDED],
        "extend_approval" => {
            vec![
                Code::EXPIRED,
                Code::ALREADY_DECIDED,
                Code::ALREADY_EXECUTED,
                Code::ALREADY_VOTED,
                Code::SELF_APPROVAL,
            ]
        }
        "get_signing_payload" => vec![Code::STATEMENT_AMBIGUOUS],
        "get_checkpoint" | "get_audit_proof" => vec![Code::NOT_FOUND],
        "evaluate_action" | "evaluate_access" | "evaluate_accesses" => vec![Code::CONTEXT_INVALID],
        "submit_access_request" => vec![
            Code::CONTEXT_INVALID,
            Code::POLICY_DENIED,
            Code::REQUEST_TOO_OLD,
            Code::REQUIREMENT_UNMEETABLE,
        ],
        "cancel_access_request" => {
            vec![Code::EXPIRED, Code::ALREADY_DECIDED, Code::ALREADY_EXECUTED]
        }
        "push_module" => [&SIGNER[..], &MODULE, &[Code::VERSION_NOT_NEWER]].concat(),
        "activate_module" => {
            let unmet = [Code::VERSION_NOT_NEWER, Code::REQUIREMENT_UNMEETABLE];
            [&SIGNER[..], &MODULE, &unmet].concat()
        }
        "shadow_module" | "rollback_module" => [&SIGNER[..], &MODULE].concat(),
        _ => Vec::new(),
    }
}

const SIGNATURE: [Code; 7] = [
    Code::SIGNATURE_MALFORMED,
    Code::STATEMENT_AMBIGUOUS,
    Code::SIGNATURE_INVALID,
    Code::KEY_UNKNOWN,
    Code::KEY_REVOKED,
    Code::KEY_NOT_YOURS,
    Code::APPROVER_NOT_ALLOWED,
];

const DECISION: [Code; 4] =
    [Code::SELF_APPROVAL, Code::EXPIRED, Code::ALREADY_DECIDED, Code::ALREADY_VOTED];

const CLAIM: [Code; 9] = [
    Code::CONTEXT_INVALID,
    Code::AGENT_MISMATCH,
    Code::ACTION_MISMATCH,
    Code::CONTEXT_MISMATCH,
    Code::PLAN_MISMATCH,
    Code::POLICY_DENIED,
    Code::NOT_APPROVED,
    Code::EXPIRED,
    Code::ALREADY_EXECUTED,
];

/// The signer of a module.
const SIGNER: [Code; 5] = [
    Code::MANIFEST_INVALID,
    Code::SIGNATURE_INVALID,
    Code::KEY_UNKNOWN,
    Code::KEY_REVOKED,
    Code::KEY_NOT_YOURS,
];

const MODULE: [Code; 2] = [Code::MODULE_INVALID, Code::AUDIENCE_MISMATCH];
