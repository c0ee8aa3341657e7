//! The stable codes, with the HTTP status and title of each. `wit/codes.md` is the same table for
//! people; a test holds the two together.

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
    ($($name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        impl Code {
            $(
                #[doc = $title]
                pub const $name: Self = Self { text: $text, status: $status, title: $title };
            )*

            /// Every code, in the order of `wit/codes.md`.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    REQUEST_INVALID = "request-invalid", 422, "Invalid request";
    CONTEXT_INVALID = "context-invalid", 422, "Invalid context";
    SIGNATURE_MALFORMED = "signature-malformed", 422, "Invalid signature format";
    STATEMENT_AMBIGUOUS = "statement-ambiguous", 422, "Ambiguous statement";
    LIMIT_EXCEEDED = "limit-exceeded", 422, "Limit exceeded";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "Expected application/json";
    UNAUTHENTICATED = "unauthenticated", 401, "Authentication required";
    FORBIDDEN = "forbidden", 403, "Not allowed";
    NOT_FOUND = "not-found", 404, "Approval not found";
    ALREADY_DECIDED = "already-decided", 409, "Approval already decided";
    ALREADY_VOTED = "already-voted", 409, "Already voted";
    NOT_APPROVED = "not-approved", 409, "Approval not in approved state";
    EXPIRED = "expired", 409, "Approval has expired";
    ALREADY_EXECUTED = "already-executed", 409, "Approval already executed";
    ALREADY_SETTLED = "already-settled", 409, "Approval already settled";
    ALREADY_ERASED = "already-erased", 409, "Approval already erased";
    NOT_FINAL = "not-final", 409, "Approval not final";
    SIGNATURE_INVALID = "signature-invalid", 403, "Invalid signature";
    KEY_UNKNOWN = "key-unknown", 403, "Unknown key";
    KEY_REVOKED = "key-revoked", 403, "Revoked key";
    KEY_NOT_YOURS = "key-not-yours", 403, "Key belongs to another approver";
    SELF_APPROVAL = "self-approval", 403, "Self-approval";
    APPROVER_NOT_ALLOWED = "approver-not-allowed", 403, "Approver not allowed";
    POLICY_DENIED = "policy-denied", 403, "Denied by policy";
    MODULE_INVALID = "module-invalid", 422, "Invalid module";
    MANIFEST_INVALID = "manifest-invalid", 422, "Invalid manifest";
    VERSION_NOT_NEWER = "version-not-newer", 409, "Module version is not newer";
    AUDIENCE_MISMATCH = "audience-mismatch", 403, "Audience doesn't match approval";
    REQUIREMENT_TOO_WEAK = "requirement-too-weak", 403, "Requirement is too weak";
    POLICY_MISMATCH = "policy-mismatch", 403, "Policy doesn't match approval";
    REQUEST_TOO_OLD = "request-too-old", 403, "Request is too old";
    AGENT_MISMATCH = "agent-mismatch", 403, "Agent/action doesn't match approval";
    ACTION_MISMATCH = "action-mismatch", 403, "Agent/action doesn't match approval";
    CONTEXT_MISMATCH = "context-mismatch", 403, "Execution context doesn't match approval";
    PLAN_MISMATCH = "plan-mismatch", 403, "Execution plan doesn't match approval";
    EXECUTION_MISMATCH = "execution-mismatch", 403, "Execution id doesn't match approval";
    RECEIPT_INVALID = "receipt-invalid", 422, "Invalid receipt";
    RECEIPT_UNTRUSTED = "receipt-untrusted", 403, "Receipt not vouched for";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused", 422, "Idempotency key reused with another body";
    RATE_LIMITED = "rate-limited", 429, "Too many requests";
    RECORD_UNREADABLE = "record-unreadable", 500, "Approval record unreadable";
    STORE_UNAVAILABLE = "store-unavailable", 503, "Store unavailable";
    STORE_TAMPERED = "store-tampered", 500, "Stored row does not match the log";
    KEYRING_UNAVAILABLE = "keyring-unavailable", 503, "Keyring unavailable";
    VERIFIER_TRAPPED = "verifier-trapped", 503, "Verifier failed";
    POLICY_TRAPPED = "policy-trapped", 503, "Policy failed";
    INTERNAL_ERROR = "internal-error", 500, "Internal error";
    CLOCK_BEHIND = "clock-behind", 503, "Clock is behind the store";
    CLOCK_AHEAD = "clock-ahead", 503, "Clock is ahead";
    SETTINGS_WEAKER = "settings-weaker", 503, "Settings are weaker than recorded";
}

impl Code {
    /// The code of a text. A verifier newer than this host may have others; what is not known is
    /// still a refusal, and answered with 403.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text == text)
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
