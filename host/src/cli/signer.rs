//! Which key of this machine signs a decision, under which profile, and for whom.

use std::fmt;

use super::exit::Failure;
use super::transport::{Transport, asked};
use crate::code::Code;
use crate::keys::{Keys, Signer};
use crate::refusal::Refusal;
use crate::verifier::{Key, Statement, Verifier};

/// What the command line asks for; what is none is picked.
pub(super) struct Wish<'a> {
    pub(super) approver: Option<&'a str>,
    pub(super) profile: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    /// Whether a `v1` signature counts for the approval: one approver, of no group.
    pub(super) v1_counts: bool,
}

/// Who signs, and with what.
pub(super) struct Signing {
    pub(super) approver: String,
    pub(super) profile: &'static str,
    key: Option<Signer>,
    /// Of a signature that was made elsewhere.
    key_id: String,
}

/// Why nobody signs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum No {
    /// The command line says too little.
    Usage(String),
    /// This machine has no key for it.
    Key(String),
}

impl Wish<'_> {
    /// The key for a wish.
    pub(super) fn granted(&self, keys: &Keys) -> Result<Signing, No> {
        let picked = self.key.map(|id| {
            let none = || No::Key(format!("no key `{id}` of this machine can sign decisions"));
            keys.signer(id).ok_or_else(none)
        });
        let picked = picked.transpose()?;
        let bound_to = picked.as_ref().and_then(|key| key.approver.clone());
        let approver = match (self.approver, bound_to) {
            (Some(approver), _) => approver.to_owned(),
            (None, Some(bound_to)) => bound_to,
            (None, None) => the_only_approver(keys)?,
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
                Err(No::Key("no active key of this machine signs v1".to_owned()))
            }
            None => Err(No::Key(format!(
                "no active key of this machine is bound to `{approver}`, as v2 needs; `signoff key generate --approver {approver}` makes one"
            ))),
        }
    }
}

fn the_only_approver(keys: &Keys) -> Result<String, No> {
    match keys.approvers().as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(No::Usage(
            "--approver is needed: no key of this machine is bound to anybody".to_owned(),
        )),
        many => Err(No::Usage(format!(
            "--approver is needed: keys of this machine are bound to {}",
            many.join(", ")
        ))),
    }
}

impl Signing {
    fn here(approver: String, profile: &'static str, key: Signer) -> Self {
        Self { approver, profile, key: Some(key), key_id: String::new() }
    }

    /// A signature that already exists. Only its form tells of which key it is.
    pub(super) fn elsewhere(approver: String, signature: &str) -> Self {
        let rest = signature.strip_prefix("v2.");
        let key_id = rest.and_then(|rest| rest.split('.').next()).unwrap_or_default().to_owned();
        let profile = if rest.is_some() { "v2" } else { "v1" };
        Self { approver, profile, key: None, key_id }
    }

    /// The key as the statement names it: `v1` names none.
    pub(super) fn key_id(&self) -> &str {
        match (&self.key, self.profile) {
            (Some(key), "v2") => &key.id,
            _ => &self.key_id,
        }
    }

    /// The key's id, whether or not the statement names it.
    pub(super) fn id_of_key(&self) -> &str {
        self.key.as_ref().map_or(self.key_id.as_str(), |key| &key.id)
    }

    /// Signs with this process's verifier.
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
        let no_key = || No::Key("no key of this machine signs".to_owned()).failure(json);
        let key: &Key = self.key.as_ref().ok_or_else(no_key)?;
        asked(json, || verifier.sign(statement, self.profile, key))
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

impl No {
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
