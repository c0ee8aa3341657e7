//! What an approver decides.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rejection::Rejection;

/// What an approver says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may run.
    Approved,
    /// It must not run.
    Rejected,
}

impl Decision {
    /// Reads a decision.
    ///
    /// Rejections: `request-invalid`.
    pub fn read(text: &str) -> Result<Self, Rejection> {
        match text {
            "approved" => Ok(Self::Approved),
            "rejected" => Ok(Self::Rejected),
            _ => Err(Rejection::request("decision must be `approved` or `rejected`")),
        }
    }

    /// The decision as it is written.
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
