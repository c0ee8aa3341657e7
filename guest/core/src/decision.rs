//! An approver's decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rejection::Rejection;

/// An approver's decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The approver approves the request.
    Approved,
    /// The approver rejects the request.
    Rejected,
}

impl Decision {
    /// Parses a decision.
    ///
    /// Rejections: `request-invalid`.
    pub fn read(text: &str) -> Result<Self, Rejection> {
        match text {
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            _ => Err(Rejection::request("decision must be `approved` or `rejected`")),
        }
    }

    /// Returns the decision as written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
