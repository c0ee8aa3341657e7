//! Statements: what an approver signs, and the message of each profile.

use serde::{Deserialize, Serialize};
pub use signoff_core::decision::Decision;

use crate::name::{Digest, Identifier, KeyId, Text};
use crate::pae;
use crate::rejection::{Code, Rejection};
use crate::time::UnixSeconds;

/// A statement as passed by the host, not yet validated. Profile `v1` does not cover `audience`,
/// `key_id`, `request_digest` and `comment`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the fields of `statement` in wit/types.wit")]
pub struct StatementText {
    pub audience: String,
    pub key_id: String,
    pub approval_id: String,
    pub request_digest: String,
    pub expires_at: u64,
    pub decision: String,
    pub approver: String,
    pub comment: String,
}

/// A statement whose fields are validated, as far as its profile covers them.
#[derive(Debug)]
pub struct Statement {
    pub(crate) approval_id: Identifier,
    pub(crate) decision: Decision,
    pub(crate) approver: Identifier,
    pub(crate) expires_at: UnixSeconds,
    /// The fields that only `v2` covers.
    pub(crate) scope: Option<Scope>,
}

/// The fields that `v2` added: they bind a statement to one deployment, key and request.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) audience: Identifier,
    pub(crate) key_id: KeyId,
    pub(crate) request_digest: Digest,
    pub(crate) comment: Text,
}

/// A way to turn a statement into the bytes to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The runbook's: `{id}:{decision}:{approver}:{expires_at}` under HMAC-SHA256.
    V1,
    /// Every field, each length-prefixed, under HMAC-SHA256 or Ed25519.
    V2,
}

impl StatementText {
    /// Checks the form of every field. The key id is empty under `v1`, which names no key.
    ///
    /// Rejections: `request-invalid`, `limit-exceeded`.
    pub(crate) fn check(&self) -> Result<(), Rejection> {
        let profile = if self.key_id.is_empty() { Profile::V1 } else { Profile::V2 };
        Statement::read(self, profile)?;
        Text::new("comment", self.comment.as_str())?;
        Ok(())
    }
}

impl Statement {
    /// Validates the fields of a statement that a profile covers.
    ///
    /// Rejections: `request-invalid` or `limit-exceeded` for a malformed field.
    pub fn read(text: &StatementText, profile: Profile) -> Result<Self, Rejection> {
        Ok(Self {
            approval_id: Identifier::new("approval_id", text.approval_id.as_str())?,
            decision: Decision::read(&text.decision)?,
            approver: Identifier::new("approver", text.approver.as_str())?,
            expires_at: UnixSeconds::new(text.expires_at)?,
            scope: match profile {
                Profile::V1 => None,
                Profile::V2 => Some(Scope::read(text)?),
            },
        })
    }

    /// Returns the exact bytes to sign.
    ///
    /// Rejections: `statement-ambiguous` for a `:` in the approval id or the approver (`v1`), with
    /// which two different statements would share one message.
    pub fn message(&self) -> Result<Vec<u8>, Rejection> {
        match &self.scope {
            None => self.v1_message().map(String::into_bytes),
            Some(scope) => Ok(self.v2_message(scope)),
        }
    }

    fn v1_message(&self) -> Result<String, Rejection> {
        let (id, approver) = (&self.approval_id, &self.approver);
        for (field, text) in [("approval id", id), ("approver", approver)] {
            if text.as_str().contains(':') {
                return Err(Rejection::new(
                    Code::StatementAmbiguous,
                    format!(
                        "{field} `{text}` contains `:`, which separates the fields of a v1 message"
                    ),
                ));
            }
        }
        let expires_at = self.expires_at.isoformat();
        let fields = [id.as_str(), self.decision.as_str(), approver.as_str(), &expires_at];
        Ok(fields.join(":"))
    }

    fn v2_message(&self, scope: &Scope) -> Vec<u8> {
        let expires_at = self.expires_at.rfc3339();
        let pieces = [
            "signoff/v2",
            scope.audience.as_str(),
            scope.key_id.as_str(),
            self.approval_id.as_str(),
            scope.request_digest.as_str(),
            &expires_at,
            self.decision.as_str(),
            self.approver.as_str(),
            scope.comment.as_str(),
        ];
        pae::encode(&pieces.map(str::as_bytes))
    }
}

impl Scope {
    fn read(text: &StatementText) -> Result<Self, Rejection> {
        Ok(Self {
            audience: Identifier::new("audience", text.audience.as_str())?,
            key_id: KeyId::new(text.key_id.as_str())?,
            request_digest: Digest::new("request_digest", text.request_digest.as_str())?,
            comment: Text::new("comment", text.comment.as_str())?,
        })
    }
}

impl Profile {
    /// Every profile that this verifier knows.
    pub const ALL: &[Self] = &[Self::V1, Self::V2];

    /// Parses a profile's name.
    ///
    /// Rejections: `request-invalid`.
    pub fn read(text: &str) -> Result<Self, Rejection> {
        Self::ALL.iter().find(|profile| profile.as_str() == text).copied().ok_or_else(|| {
            Rejection::request(format!(
                "unknown profile `{}`, expected `v1` or `v2`",
                text.escape_debug()
            ))
        })
    }

    /// Returns the profile's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}
