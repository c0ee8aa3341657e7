//! Limits of rules files and evaluations. Exceeding one in a file is an error with a position.

pub use signoff_core::context::{BYTES_MAX as JSON_BYTES_MAX, DEPTH_MAX as JSON_DEPTH_MAX};
pub use signoff_core::limits::{
    FAILED_MAX, GROUPS_MAX, IDENTIFIER_BYTES_MAX, NAME_BYTES_MAX,
    TEXT_BYTES_MAX as REASON_BYTES_MAX, THRESHOLD_MAX, TTL_SECONDS_MAX,
};

/// Maximum size of a rules file with the files that it includes, in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;
/// Maximum number of rules in a file.
pub const RULES_MAX: usize = 10_000;
/// Maximum number of tests in a rules file or a test file.
pub const TESTS_MAX: usize = 10_000;
/// Maximum number of requirements that a description lists.
pub const REQUIREMENTS_MAX: usize = 64;
/// Maximum number of problems that one load reports; more would be noise.
pub const PROBLEMS_MAX: usize = 100;
/// Maximum number of globs of one `agent` or `action`.
pub const GLOBS_MAX: usize = 64;
/// Maximum number of named ttl classes in a file.
pub const TTL_CLASSES_MAX: usize = 64;
/// Longest ttl without a warning: a day, the longest class of the runbook.
pub const TTL_SECONDS_USUAL: i64 = 86_400;
/// Maximum size of a condition, in bytes.
pub const WHEN_BYTES_MAX: usize = 4 << 10;
/// Maximum nesting of brackets, calls and signs in a condition. The parser recurses, and this many
/// levels use a third of the stack that the build gives the policy.
pub const WHEN_NESTING_MAX: usize = 32;
/// Maximum depth of a parsed condition; chains of operators nest too. The interpreter recurses, and
/// this many levels use a third of the stack.
pub const WHEN_DEPTH_MAX: usize = 96;
/// Maximum memory of a compiled regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 256 << 10;
/// Maximum number of placeholders in a reason.
pub const PLACEHOLDERS_MAX: usize = 64;
/// Maximum size of an attempt's facts, in bytes, as in `wit/policy.wit`.
pub const FACTS_BYTES_MAX: usize = 16 << 10;
/// Maximum number of files that a rules file includes.
pub const INCLUDES_MAX: usize = 16;
/// Maximum length of the path of an included file, in bytes.
pub const INCLUDE_PATH_BYTES_MAX: usize = 255;
/// Maximum number of named values, in all files together.
pub const CONSTS_MAX: usize = 1_000;
/// Maximum size of all named values as JSON, in bytes.
pub const CONST_BYTES_MAX: usize = 256 << 10;
/// Maximum number of context schemas of a file.
pub const SCHEMAS_MAX: usize = 256;
/// Maximum number of members that the schemas of a file declare, in all levels together.
pub const SCHEMA_MEMBERS_MAX: usize = 10_000;
/// Maximum nesting of a context schema.
pub const SCHEMA_DEPTH_MAX: usize = 16;
