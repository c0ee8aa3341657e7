//! Selects the key, profile and approver for signing a decision on this machine.

use std::fmt;

use super::exit::Failure;
use super::transport::{Transport, call_verifier};
use crate::code::Code;
use crate::keys::{Keys, Signer};
use crate::refusal::Refusal;
use crate::verifier::{Key, Statement, Verifier};

/// The options of the command line. Unset fields are chosen from the keyring.
pub(super) struct SignerRequest<'a> {
    pub(super) approver: Option<&'a str>,
    pub(super) profile: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    /// Whether the approval accepts a `v1` signature: one approver and no groups.
    pub(super) v1_counts: bool,
}

/// The approver, and the key or signature.
pub(super) struct Signing {
    pub(super) approver: String,
    pub(super) profile: &'static str,
    key: Option<Signer>,
    /// The key id in a signature made elsewhere.
    key_id: String,
}

/// Why signing is not possible.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SigningError {
    /// The command line is incomplete.
    Usage(String),
    /// This machine has no suitable key.
    Key(String),
}

impl SignerRequest<'_> {
    /// Selects the key for these options.
    pub(super) fn resolve(&self, keys: &Keys) -> Result<Signing, SigningError> {
        let picked = self.key.map(|id| {
            let none = || {
                SigningError::Key(format!("this machine has no key `{id}` that can sign decisions"))
            };
            keys.signer(id).ok_or_else(none)
        });
        let picked = picked.transpose()?;
        let bound_to = picked.as_ref().and_then(|key| key.approver.clone());
        let approver = match (self.approver, bound_to) {
            (Some(approver), _) => approver.to_owned(),
            (None, Some(bound_to)) => bound_to,
            (None, None) => only_approver(keys)?,
        };
        if let Some(key) = picked {
            let profile = match self.profile {
                Some("v1") => "v1",
                Some(_) => "v2",
                None if key.approver.is_some() => "v2",
                None => "v1",
            };
            return Ok(Signing::here(approver, profile, key));
        }
        let v2 = || keys.to_sign_v2(&approver);
        let v1 = || keys.to_sign_v1().and_then(|key| keys.signer(&key.id));
        let (profile, key) = match self.profile {
            Some("v1") => ("v1", v1()),
            Some(_) => ("v2", v2()),
            None => match (v2(), self.v1_counts) {
                (None, true) => ("v1", v1()),
                (key, _) => ("v2", key),
            },
        };
        match key {
            Some(key) => Ok(Signing::here(approver, profile, key)),
            None if profile == "v1" => {
                Err(SigningError::Key("this machine has no active key that signs v1".to_owned()))
            }
            None => Err(SigningError::Key(format!(
                "this machine has no active key bound to `{approver}`, which v2 requires; create one with `signoff key generate --approver {approver}`"
            ))),
        }
    }
}

fn only_approver(keys: &Keys) -> Result<String, SigningError> {
    match keys.approvers().as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(SigningError::Usage(
            "--approver is required: no key of this machine is bound to an approver".to_owned(),
        )),
        many => Err(SigningError::Usage(format!(
            "--approver is required: keys of this machine are bound to {}",
            many.join(", ")
        ))),
    }
}

impl Signing {
    fn here(approver: String, profile: &'static str, key: Signer) -> Self {
        Self { approver, profile, key: Some(key), key_id: String::new() }
    }

    /// A signature that already exists. Its key id is known only from its format.
    pub(super) fn elsewhere(approver: String, signature: &str) -> Self {
        let rest = signature.strip_prefix("v2.");
        let key_id = rest.and_then(|rest| rest.split('.').next()).unwrap_or_default().to_owned();
        let profile = if rest.is_some() { "v2" } else { "v1" };
        Self { approver, profile, key: None, key_id }
    }

    /// Returns the key id in the statement, which is empty under `v1`.
    pub(super) fn key_id(&self) -> &str {
        match (&self.key, self.profile) {
            (Some(key), "v2") => &key.id,
            _ => &self.key_id,
        }
    }

    /// Returns the key's id, even if the statement does not contain it.
    pub(super) fn id_of_key(&self) -> &str {
        self.key.as_ref().map_or(self.key_id.as_str(), |key| &key.id)
    }

    /// Signs with the verifier of this process.
    pub(super) fn sign(
        &self,
        statement: &Statement,
        transport: &Transport,
    ) -> Result<String, Failure> {
        self.sign_by(statement, transport.verifier(), transport.json)
    }

    pub(super) fn sign_by(
        &self,
        statement: &Statement,
        verifier: &Verifier,
        json: bool,
    ) -> Result<String, Failure> {
        let no_key =
            || SigningError::Key("this machine has no key to sign with".to_owned()).failure(json);
        let key: &Key = self.key.as_ref().ok_or_else(no_key)?;
        call_verifier(json, || verifier.sign(statement, self.profile, key))
    }
}

impl fmt::Display for Signing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as {}", self.approver)?;
        match &self.key {
            Some(key) => write!(f, " with key {} ({})", key.id, self.profile),
            None => write!(f, " with the signature given ({})", self.profile),
        }
    }
}

impl SigningError {
    pub(super) fn failure(self, json: bool) -> Failure {
        match self {
            Self::Usage(message) => Failure::Usage(message),
            Self::Key(detail) => {
                let problem = Refusal::new(Code::KEY_UNKNOWN, detail).problem();
                Failure::Refused { problem, json }
            }
        }
    }
}
