//! Interface `signing`: the statement of a decision, its message, its signature, and verification.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use signoff_core::base64;

use crate::key::{KeyEntry, Keyring};
use crate::object::{object, objects};
use crate::record::Record;
use crate::rejection::Rejection;
use crate::signature::{self, Accepted};
use crate::statement::{Profile, Statement, StatementText};

/// The arguments of `signing.payload`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/signing.wit")]
pub struct Payload<'a> {
    #[serde(deserialize_with = "object")]
    pub statement: StatementText,
    #[serde(borrow)]
    pub profile: Cow<'a, str>,
}

/// The exact bytes to sign.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the fields of `message` in wit/signing.wit")]
pub struct Message {
    pub profile: &'static str,
    pub base64url: String,
    pub text: Option<String>,
}

impl Payload<'_> {
    /// Returns the message of the profile for the statement.
    ///
    /// Rejections: as `signing.payload` in `wit/`.
    pub fn run(&self) -> Result<Message, Rejection> {
        let profile = Profile::read(&self.profile)?;
        let message = Statement::read(&self.statement, profile)?.message()?;
        Ok(Message {
            profile: profile.as_str(),
            base64url: base64::encode_url(&message),
            text: match profile {
                Profile::V1 => String::from_utf8(message).ok(),
                Profile::V2 => None,
            },
        })
    }
}

/// The arguments of `signing.sign`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/signing.wit")]
pub struct Sign<'a> {
    #[serde(deserialize_with = "object")]
    pub statement: StatementText,
    #[serde(borrow)]
    pub profile: Cow<'a, str>,
    #[serde(deserialize_with = "object")]
    pub key: KeyEntry,
}

/// The answer of `signing.sign`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Signed {
    pub signature: String,
}

impl Sign<'_> {
    /// Returns the signature of the statement.
    ///
    /// Rejections: as `signing.sign` in `wit/`.
    pub fn run(&self) -> Result<Signed, Rejection> {
        let signature = signature::sign(&self.statement, &self.profile, &self.key)?;
        Ok(Signed { signature })
    }
}

/// The arguments of `signing.verify`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/signing.wit")]
pub struct Verify<'a> {
    #[serde(deserialize_with = "object")]
    pub statement: StatementText,
    #[serde(borrow)]
    pub signature: Cow<'a, str>,
    #[serde(deserialize_with = "objects")]
    pub keys: Vec<KeyEntry>,
    pub accept: Vec<String>,
}

/// The answer of `signing.verify`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Verified {
    pub key_id: String,
}

impl Verify<'_> {
    /// Verifies the signature and returns the id of the key that made it.
    ///
    /// Rejections: as `signing.verify` in `wit/`.
    pub fn run(&self) -> Result<Verified, Rejection> {
        let keys = Keyring::read(&self.keys)?;
        let accepted = Accepted::read(&self.accept)?;
        let statement = Statement::read(&self.statement, accepted.profile_of(&self.signature))?;
        let proof = signature::verify(&statement, &self.signature, &keys, &accepted)?;
        Ok(Verified { key_id: proof.key_id().to_string() })
    }
}

/// The arguments of `signing.statement`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/signing.wit")]
pub struct StatementOf<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(default)]
    pub approval: Option<Cow<'a, str>>,
    pub decision: Cow<'a, str>,
    pub approver: Cow<'a, str>,
    pub key_id: Cow<'a, str>,
    pub comment: Cow<'a, str>,
}

/// The answer of `signing.statement` and `lifecycle.review`.
#[derive(Debug, Serialize)]
#[allow(missing_docs, reason = "the name says it")]
pub struct Stated {
    pub statement: StatementText,
}

impl StatementOf<'_> {
    /// Returns the statement that a decision of the approval signs.
    ///
    /// Rejections: as `signing.statement` in `wit/`.
    pub fn run(&self) -> Result<Stated, Rejection> {
        let record = Record::read(&self.id, self.approval.as_deref())?;
        let statement = record.statement(
            &record.request_digest()?,
            &self.decision,
            &self.approver,
            &self.key_id,
            &self.comment,
        );
        statement.check()?;
        Ok(Stated { statement })
    }
}
