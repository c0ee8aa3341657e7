//! Limits on sizes, counts and durations.

/// Longest agent, action, approver or subject, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 128;
/// Longest name of a key, a module or a rules file, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest reason, comment or detail, in bytes.
pub const TEXT_BYTES_MAX: usize = 4 << 10;
/// Longest time to live: a week.
pub const TTL_SECONDS_MAX: u64 = 604_800;
/// Default time to live of a request (the runbook's hour).
pub const TTL_SECONDS_DEFAULT: u64 = 3_600;
/// Longest lease of an execution: a day.
pub const LEASE_SECONDS_MAX: u64 = 86_400;
/// Default lease of a claim.
pub const LEASE_SECONDS_DEFAULT: u64 = 300;
/// Most approvers that a requirement can demand.
pub const THRESHOLD_MAX: u32 = 16;
/// Most groups that a requirement can name.
pub const GROUPS_MAX: usize = 16;
/// Shortest HMAC key: the output length of SHA-256 (RFC 2104, section 3).
pub const HMAC_KEY_BYTES_MIN: usize = 32;
/// Longest HMAC key, far above any useful length.
pub const HMAC_KEY_BYTES_MAX: usize = 4 << 10;
/// Length of an Ed25519 public key, and of a private seed (RFC 8032, section 5.1.5).
pub const ED25519_KEY_BYTES: usize = 32;
/// Most ballots of one approval: twice the largest threshold.
pub const BALLOTS_MAX: usize = 32;
/// Most keys in one call.
pub const KEYS_MAX: usize = 4_096;
/// Most policies that an executor can name.
pub const POLICIES_MAX: usize = 64;
/// Maximum difference between the clocks of a requester's server and an executor: five minutes.
pub const CLOCK_SKEW_SECONDS: u64 = 300;
/// Most failed rules that a verdict names.
pub const FAILED_MAX: usize = 16;
/// Longest event (a request, a ballot, a claim, ...), in bytes of JSON.
pub const EVENT_BYTES_MAX: usize = 64 << 10;
/// Longest record, in bytes of JSON: enough for 32 ballots with comments escaped to twice their
/// size.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Longest approval as a server shows it, in bytes of JSON: the record's fields, and a context and
/// a plan of 1 MiB each.
pub const VIEW_BYTES_MAX: usize = 4 << 20;
/// Longest request on the wire, in bytes: a context and a plan of 1 MiB each, escaped as strings.
pub const WIRE_BYTES_MAX: usize = 16 << 20;
/// Longest receipt, in bytes: at most 4 MiB for the approval, the rest for entries and their
/// proofs.
pub const RECEIPT_BYTES_MAX: usize = 16 << 20;
/// Most entries of one receipt: the changes of an approval and of its ballots' keys.
pub const RECEIPT_ENTRIES_MAX: usize = 4_096;
/// Most log keys in one call.
pub const LOG_KEYS_MAX: usize = 64;
/// Longest log key as text, in bytes: a name of 512 bytes, its hash and the key.
pub const LOG_KEY_BYTES_MAX: usize = 1 << 10;
