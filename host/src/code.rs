//! The stable codes, with the HTTP status and title of each. `wit/codes.md` is the same table for
//! people; a test compares the two.

use signoff_core::codes;

/// One code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code itself.
    pub text: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// Its title, the same for each use.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:ident, $status:literal, $title:literal;)*) => {
        impl Code {
            $(
                #[doc = $title]
                pub const $name: Self = Self {
                    text: codes::Code::$code.as_str(),
                    status: $status,
                    title: $title,
                };
            )*

            /// Every code, in the order of `wit/codes.md`.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    REQUEST_INVALID = RequestInvalid, 422, "Invalid request";
    CONTEXT_INVALID = ContextInvalid, 422, "Invalid context";
    SIGNATURE_MALFORMED = SignatureMalformed, 422, "Invalid signature format";
    STATEMENT_AMBIGUOUS = StatementAmbiguous, 422, "Ambiguous statement";
    LIMIT_EXCEEDED = LimitExceeded, 422, "Limit exceeded";
    UNSUPPORTED_MEDIA_TYPE = UnsupportedMediaType, 415, "Expected application/json";
    UNAUTHENTICATED = Unauthenticated, 401, "Authentication required";
    FORBIDDEN = Forbidden, 403, "Not allowed";
    NOT_FOUND = NotFound, 404, "Approval not found";
    ALREADY_DECIDED = AlreadyDecided, 409, "Approval already decided";
    ALREADY_VOTED = AlreadyVoted, 409, "Already voted";
    NOT_APPROVED = NotApproved, 409, "Approval not in approved state";
    EXPIRED = Expired, 409, "Approval has expired";
    ALREADY_EXECUTED = AlreadyExecuted, 409, "Approval already executed";
    ALREADY_SETTLED = AlreadySettled, 409, "Approval already settled";
    ALREADY_ERASED = AlreadyErased, 409, "Approval already erased";
    NOT_FINAL = NotFinal, 409, "Approval not final";
    SIGNATURE_INVALID = SignatureInvalid, 403, "Invalid signature";
    KEY_UNKNOWN = KeyUnknown, 403, "Unknown key";
    KEY_REVOKED = KeyRevoked, 403, "Revoked key";
    KEY_NOT_YOURS = KeyNotYours, 403, "Key belongs to another approver";
    SELF_APPROVAL = SelfApproval, 403, "Self-approval";
    APPROVER_NOT_ALLOWED = ApproverNotAllowed, 403, "Approver not allowed";
    POLICY_DENIED = PolicyDenied, 403, "Denied by policy";
    MODULE_INVALID = ModuleInvalid, 422, "Invalid module";
    MANIFEST_INVALID = ManifestInvalid, 422, "Invalid manifest";
    VERSION_NOT_NEWER = VersionNotNewer, 409, "Module version is not newer";
    AUDIENCE_MISMATCH = AudienceMismatch, 403, "Audience doesn't match approval";
    REQUIREMENT_TOO_WEAK = RequirementTooWeak, 403, "Requirement is too weak";
    REQUIREMENT_UNMEETABLE = RequirementUnmeetable, 409, "Nobody can meet the requirement";
    POLICY_MISMATCH = PolicyMismatch, 403, "Policy doesn't match approval";
    REQUEST_TOO_OLD = RequestTooOld, 403, "Request is too old";
    AGENT_MISMATCH = AgentMismatch, 403, "Agent/action doesn't match approval";
    ACTION_MISMATCH = ActionMismatch, 403, "Agent/action doesn't match approval";
    CONTEXT_MISMATCH = ContextMismatch, 403, "Execution context doesn't match approval";
    PLAN_MISMATCH = PlanMismatch, 403, "Execution plan doesn't match approval";
    EXECUTION_MISMATCH = ExecutionMismatch, 403, "Execution id doesn't match approval";
    RECEIPT_INVALID = ReceiptInvalid, 422, "Invalid receipt";
    RECEIPT_UNTRUSTED = ReceiptUntrusted, 403, "Receipt not vouched for";
    IDEMPOTENCY_KEY_REUSED = IdempotencyKeyReused, 422, "Idempotency key reused with another body";
    RATE_LIMITED = RateLimited, 429, "Too many requests";
    RECORD_UNREADABLE = RecordUnreadable, 500, "Approval record unreadable";
    STORE_UNAVAILABLE = StoreUnavailable, 503, "Store unavailable";
    STORE_TAMPERED = StoreTampered, 500, "Stored row does not match the log";
    KEYRING_UNAVAILABLE = KeyringUnavailable, 503, "Keyring unavailable";
    VERIFIER_TRAPPED = VerifierTrapped, 503, "Verifier failed";
    POLICY_TRAPPED = PolicyTrapped, 503, "Policy failed";
    INTERNAL_ERROR = InternalError, 500, "Internal error";
    CLOCK_BEHIND = ClockBehind, 503, "Clock is behind the store";
    CLOCK_AHEAD = ClockAhead, 503, "Clock is ahead";
    SETTINGS_WEAKER = SettingsWeaker, 503, "Settings are weaker than recorded";
}

impl Code {
    /// Returns the code with this text; `None` if it is unknown, because a verifier newer than this
    /// host may have other codes. [`Refusal`](crate::refusal::Refusal) answers an unknown code with
    /// status 403.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text == text)
    }

    /// Returns whether the refusal of a change with this code is recorded in the audit log: a status of
    /// 403 or 409, or an unusable signature or receipt. Malformed requests are not recorded.
    pub(crate) fn concerns_trust(self) -> bool {
        let of_proofs =
            [Self::SIGNATURE_MALFORMED, Self::STATEMENT_AMBIGUOUS, Self::RECEIPT_INVALID];
        matches!(self.status, 403 | 409) || of_proofs.contains(&self)
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    /// `wit/codes.md` is the same table.
    #[test]
    fn the_table_for_people_is_this_table() {
        let rows: Vec<Vec<&str>> = include_str!("../../wit/codes.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let listed: Vec<(String, String, &str)> = rows
            .iter()
            .filter_map(|row| match row.as_slice() {
                [_, code, status, title, ..] => {
                    Some((code.trim_matches('`').to_owned(), (*status).to_owned(), *title))
                }
                _ => None,
            })
            .collect();
        let known: Vec<(String, String, &str)> = Code::ALL
            .iter()
            .map(|code| (code.text.to_owned(), code.status.to_string(), code.title))
            .collect();
        assert_eq!(listed, known);
    }
}
