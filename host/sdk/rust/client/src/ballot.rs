//! A decision of an approver, signed elsewhere.

use serde::Serialize;
use signoff_verify::Decision;

use crate::action::to_json;
use crate::error::Error;

/// An approver's signed decision.
#[derive(Clone, Debug, Serialize)]
pub struct Ballot {
    decision: Decision,
    signature: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    approver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

impl Ballot {
    /// A decision and its signature, as [`signoff_verify::Verifier::sign`] returns it.
    pub fn new(decision: Decision, signature: impl Into<String>) -> Self {
        Self { decision, signature: signature.into(), approver: None, comment: None }
    }

    /// Names the approver; without it, it is the token's subject.
    #[must_use]
    pub fn approver(mut self, approver: impl Into<String>) -> Self {
        self.approver = Some(approver.into());
        self
    }

    /// Sets the comment, which a `v2` signature covers; at most 4 KiB.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    pub(crate) fn body(&self) -> Result<String, Error> {
        to_json(self)
    }
}
