//! The stable codes of `wit/codes.md`. The host assigns their HTTP statuses and titles.

macro_rules! codes {
    ($($variant:ident = $text:literal $by:ident,)*) => {
        /// A stable code that names the rule behind a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is its code, explained in wit/codes.md")]
        pub enum Code { $($variant,)* }

        impl Code {
            /// Every code, in the order of `wit/codes.md`.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the code as text.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Returns whether the verifier raises this code; the host raises every code.
            pub const fn is_raised_by_verifier(self) -> bool {
                match self { $(Self::$variant => codes!(@$by),)* }
            }
        }
    };
    (@verifier) => { true };
    (@host) => { false };
}

codes! {
    RequestInvalid = "request-invalid" verifier,
    ContextInvalid = "context-invalid" verifier,
    SignatureMalformed = "signature-malformed" verifier,
    StatementAmbiguous = "statement-ambiguous" verifier,
    LimitExceeded = "limit-exceeded" verifier,
    UnsupportedMediaType = "unsupported-media-type" host,
    Unauthenticated = "unauthenticated" host,
    Forbidden = "forbidden" verifier,
    NotFound = "not-found" verifier,
    AlreadyDecided = "already-decided" verifier,
    AlreadyVoted = "already-voted" verifier,
    NotApproved = "not-approved" verifier,
    Expired = "expired" verifier,
    AlreadyExecuted = "already-executed" verifier,
    AlreadySettled = "already-settled" verifier,
    AlreadyErased = "already-erased" verifier,
    NotFinal = "not-final" verifier,
    SignatureInvalid = "signature-invalid" verifier,
    KeyUnknown = "key-unknown" verifier,
    KeyRevoked = "key-revoked" verifier,
    KeyNotYours = "key-not-yours" verifier,
    SelfApproval = "self-approval" verifier,
    ApproverNotAllowed = "approver-not-allowed" verifier,
    PolicyDenied = "policy-denied" host,
    ModuleInvalid = "module-invalid" host,
    ManifestInvalid = "manifest-invalid" verifier,
    VersionNotNewer = "version-not-newer" host,
    AudienceMismatch = "audience-mismatch" verifier,
    RequirementTooWeak = "requirement-too-weak" verifier,
    RequirementUnmeetable = "requirement-unmeetable" host,
    PolicyMismatch = "policy-mismatch" verifier,
    RequestTooOld = "request-too-old" verifier,
    AgentMismatch = "agent-mismatch" verifier,
    ActionMismatch = "action-mismatch" verifier,
    ContextMismatch = "context-mismatch" verifier,
    PlanMismatch = "plan-mismatch" verifier,
    ExecutionMismatch = "execution-mismatch" verifier,
    ReceiptInvalid = "receipt-invalid" verifier,
    ReceiptUntrusted = "receipt-untrusted" verifier,
    IdempotencyKeyReused = "idempotency-key-reused" host,
    RateLimited = "rate-limited" host,
    RecordUnreadable = "record-unreadable" verifier,
    StoreUnavailable = "store-unavailable" host,
    StoreTampered = "store-tampered" host,
    KeyringUnavailable = "keyring-unavailable" host,
    VerifierTrapped = "verifier-trapped" host,
    PolicyTrapped = "policy-trapped" host,
    InternalError = "internal-error" verifier,
    ClockBehind = "clock-behind" host,
    ClockAhead = "clock-ahead" host,
    SettingsWeaker = "settings-weaker" host,
}

impl Code {
    /// Parses a code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|code| code.as_str() == text).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn the_codes_are_those_of_the_table_in_its_order() {
        let rows = include_str!("../../../wit/codes.md").lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            match cells.as_slice() {
                ["", code, _, _, by, ""] if code.starts_with('`') => {
                    Some((code.trim_matches('`'), *by == "v"))
                }
                _ => None,
            }
        });
        let codes = Code::ALL.iter().map(|code| (code.as_str(), code.is_raised_by_verifier()));
        assert_eq!(codes.collect::<Vec<_>>(), rows.collect::<Vec<_>>());
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
        assert_eq!(Code::parse("Expired"), None);
    }
}
