//! The output of an evaluation.

use serde::Serialize;
pub use signoff_core::requirement::PartialRequirement as Requirement;
pub use signoff_core::verdict::Decision;

/// The verdict on one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether the action may run.
    pub decision: Decision,
    /// The rule that decided; `None` if the default did.
    pub rule: Option<String>,
    /// The reason, for people.
    pub reason: Option<String>,
    /// Only with [`Decision::RequireApproval`].
    pub requirement: Option<Requirement>,
    /// The rules that concern the attempt and whose condition could not be evaluated: the first 16
    /// ids, in file order.
    pub failed: Vec<String>,
}
