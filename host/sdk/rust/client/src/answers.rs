//! The other answers: verdicts, checks, keys.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::approval::{Approval, member, object, text};
use crate::error::Error;

/// The policy's verdict on an action.
#[derive(Clone, Debug)]
pub struct Evaluation {
    text: String,
    shown: Verdict,
}

#[derive(Clone, Debug, Deserialize)]
struct Verdict {
    decision: Decision,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    rule: Option<String>,
}

/// A policy's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// The action may run.
    Allow,
    /// The action must not run.
    Deny,
    /// The action may run once it is approved.
    RequireApproval,
}

impl Evaluation {
    pub(crate) fn read(body: Vec<u8>) -> Result<Self, Error> {
        let text = text(body)?;
        Ok(Self { shown: object(&text)?, text })
    }

    /// The answer as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The decision.
    pub fn decision(&self) -> Decision {
        self.shown.decision
    }

    /// The reason, for people.
    pub fn reason(&self) -> &str {
        &self.shown.reason
    }

    /// The rule that decided; `None` if no rule did.
    pub fn rule(&self) -> Option<&str> {
        self.shown.rule.as_deref()
    }

    /// Reads any member by its name; `None` if it is absent or null.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] if it has another type.
    pub fn member<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        member(&self.text, name)
    }
}

/// Whether an executor may proceed now, by the server's word.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// Whether the approval is approved, unused, and matches the action.
    pub valid: bool,
    /// Whether the signature is that of a stored ballot and verifies.
    pub signature_valid: bool,
    /// The code of the reason if not valid.
    pub code: Option<String>,
    /// The reason if not valid.
    pub detail: Option<String>,
    /// The approval if valid.
    pub approval: Option<Approval>,
}

impl Verification {
    pub(crate) fn read(body: Vec<u8>, id: &str) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Shown {
            valid: bool,
            signature_valid: bool,
            #[serde(default)]
            code: Option<String>,
            #[serde(default)]
            detail: Option<String>,
            #[serde(default)]
            approval: Option<Box<RawValue>>,
        }
        let text = text(body)?;
        let shown: Shown = object(&text)?;
        let approval = shown.approval.map(|approval| {
            let text: Box<str> = approval.into();
            Approval::read(text.into_string().into_bytes(), Some(id))
        });
        Ok(Self {
            valid: shown.valid,
            signature_valid: shown.signature_valid,
            code: shown.code,
            detail: shown.detail,
            approval: approval.transpose()?,
        })
    }
}
