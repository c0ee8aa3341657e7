//! Why an approval does not permit a re-evaluation, and what to do next, in the profile's words.

use crate::code::Code;

/// The profile's reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReapprovalReason {
    /// It is no longer valid: expired, withdrawn, already used, or its keys no longer count.
    ApprovalExpired,
    /// It is for something else.
    OutOfScope,
    /// Its approvers have not decided yet.
    GrantPending,
    /// The policy denies the action now.
    PolicyDenied,
    /// It cannot be found or verified.
    ApprovalUnverifiable,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Submit a new access request.
    Request,
    /// Evaluate the same again, later.
    Retry,
    /// Nothing: it will not help.
    None,
}

/// An approval that does not permit a re-evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The profile's reason.
    pub reason: ReapprovalReason,
    /// The refusal's sentence, for people.
    pub message: String,
}

impl ReapprovalReason {
    /// Returns the profile's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApprovalExpired => "approval_expired",
            Self::OutOfScope => "out_of_scope",
            Self::GrantPending => "grant_pending",
            Self::PolicyDenied => "policy_denied",
            Self::ApprovalUnverifiable => "approval_unverifiable",
        }
    }

    /// Returns what to do next: the profile's default.
    pub fn next_action(self) -> NextAction {
        match self {
            Self::ApprovalExpired | Self::OutOfScope => NextAction::Request,
            Self::GrantPending => NextAction::Retry,
            Self::PolicyDenied | Self::ApprovalUnverifiable => NextAction::None,
        }
    }

    /// Returns the reason behind a refused claim; `None` if the refusal is an error of the call
    /// rather than a verdict. `status` is the approval's.
    pub(super) fn of(code: Code, status: Option<&str>) -> Option<Self> {
        Some(match code {
            Code::NOT_APPROVED => match status {
                Some("pending") => Self::GrantPending,
                Some("rejected") => Self::ApprovalUnverifiable,
                _ => Self::ApprovalExpired,
            },
            Code::EXPIRED
            | Code::ALREADY_EXECUTED
            | Code::ALREADY_ERASED
            | Code::KEY_UNKNOWN
            | Code::KEY_REVOKED
            | Code::KEY_NOT_YOURS
            | Code::APPROVER_NOT_ALLOWED => Self::ApprovalExpired,
            Code::AGENT_MISMATCH
            | Code::ACTION_MISMATCH
            | Code::CONTEXT_MISMATCH
            | Code::PLAN_MISMATCH => Self::OutOfScope,
            Code::POLICY_DENIED => Self::PolicyDenied,
            Code::NOT_FOUND
            | Code::AUDIENCE_MISMATCH
            | Code::SIGNATURE_INVALID
            | Code::RECEIPT_INVALID
            | Code::RECEIPT_UNTRUSTED => Self::ApprovalUnverifiable,
            _ => return None,
        })
    }
}

impl NextAction {
    /// Returns the profile's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Retry => "retry",
            Self::None => "none",
        }
    }
}
