//! Every bound of a rules file and of an evaluation. Passing one is an error with a position.

pub use signoff_core::context::{BYTES_MAX as JSON_BYTES_MAX, DEPTH_MAX as JSON_DEPTH_MAX};
pub use signoff_core::limits::{
    FAILED_MAX, GROUPS_MAX, IDENTIFIER_BYTES_MAX, NAME_BYTES_MAX,
    TEXT_BYTES_MAX as REASON_BYTES_MAX, THRESHOLD_MAX, TTL_SECONDS_MAX,
};

/// A rules file, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Rules in a file.
pub const RULES_MAX: usize = 10_000;
/// Tests in a file, or in a file of tests.
pub const TESTS_MAX: usize = 10_000;
/// Problems that one load reports; the rest would be noise.
pub const PROBLEMS_MAX: usize = 100;
/// Globs of one `agent` or `action`.
pub const GLOBS_MAX: usize = 64;
/// Named ttl classes of a file.
pub const TTL_CLASSES_MAX: usize = 64;
/// A ttl over this is warned about: a day is the longest class of the runbook.
pub const TTL_SECONDS_USUAL: i64 = 86_400;
/// A condition, in bytes.
pub const WHEN_BYTES_MAX: usize = 4 << 10;
/// How deep brackets, calls and signs of a condition may nest: the parser recurses, and this many levels fit
/// a third of the stack that the build gives the policy.
pub const WHEN_NESTING_MAX: usize = 32;
/// How deep a parsed condition may be: chains of operators nest too. The interpreter recurses, and
/// this many levels fit a third of the stack.
pub const WHEN_DEPTH_MAX: usize = 96;
/// How much memory a compiled regular expression may take.
pub const REGEX_BYTES_MAX: usize = 256 << 10;
/// Placeholders of one reason.
pub const PLACEHOLDERS_MAX: usize = 64;
/// The facts of an attempt, in bytes: the bound of `wit/policy.wit`.
pub const FACTS_BYTES_MAX: usize = 16 << 10;
