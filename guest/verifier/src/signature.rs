//! Signatures: the only code that makes or verifies them.

use signoff_core::{base64, hex};

use crate::key::{Algorithm, Key, KeyEntry, KeyStatus, KeyUse, Keyring};
use crate::name::KeyId;
use crate::record::{Ballot, Requirement};
use crate::rejection::{Code, Rejection};
use crate::statement::{Profile, Scope, Statement, StatementText};
use crate::{ed25519, mac};

/// Prefix of a `v2` signature's text.
const V2_PREFIX: &str = "v2.";

/// Proof that a signature was verified. Only this file can construct one.
#[derive(Debug)]
pub struct SignatureValid {
    key_id: KeyId,
    profile: Profile,
}

/// A well-formed `v1` signature: 32 bytes of HMAC-SHA256.
#[derive(Clone, Debug, PartialEq, Eq)]
struct V1([u8; 32]);

/// A well-formed `v2` signature: the key it names, and 32 or 64 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct V2 {
    key_id: KeyId,
    bytes: Vec<u8>,
}

/// The profiles that count in a call.
#[derive(Clone, Debug)]
pub struct Accepted(Vec<Profile>);

/// Signs a statement. Returns 64 lower-case hex characters under `v1`, `v2.{key id}.{base64url}`
/// under `v2`. The material of an Ed25519 key is its private seed here.
///
/// Rejections: 1. `request-invalid` or `limit-exceeded` for the profile or a field of the statement
/// 2. `statement-ambiguous` 3. `request-invalid` for a malformed key, one that cannot sign the
/// profile, or (`v2`) one that the statement does not name 4. `key-revoked` for a key that is not
/// active 5. `key-not-yours` for a key that is not bound to the statement's approver (`v2`).
pub fn sign(statement: &StatementText, profile: &str, key: &KeyEntry) -> Result<String, Rejection> {
    let profile = Profile::read(profile)?;
    let statement = Statement::read(statement, profile)?;
    let message = statement.message()?;
    let key = Key::read(key)?;
    if !key.can_sign(profile) {
        return Err(cannot_sign(&key, profile));
    }
    if let Some(scope) = statement.scope.as_ref().filter(|scope| scope.key_id != key.id) {
        return Err(Rejection::request(format!(
            "the statement names the key `{}`, but `{}` was given to sign it",
            scope.key_id, key.id
        )));
    }
    if key.status != KeyStatus::Active {
        return Err(revoked(&key.id, "is not active and cannot sign"));
    }
    if profile == Profile::V2 {
        check_bound_to(&key, statement.approver.as_str())?;
    }
    let bytes = signed(&key, &message)?;
    Ok(match profile {
        Profile::V1 => hex::encode(&bytes),
        Profile::V2 => {
            format!("{V2_PREFIX}{}.{}", key.id, base64::encode_url(&bytes))
        }
    })
}

/// Verifies a signature: under `v1` against every key that could have made it, under `v2` against
/// the key that it names.
///
/// Rejections: 1. `statement-ambiguous` 2. `signature-malformed` 3. `key-unknown` 4. `key-revoked`
/// 5. `key-not-yours` (`v2`) 6. `signature-invalid`. Under `v1`, which names no key, `key-revoked`
/// is returned only if the revoked key made the signature.
pub fn verify(
    statement: &Statement,
    signature: &str,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let message = statement.message()?;
    if let Some(scope) = &statement.scope {
        return verify_v2(statement, scope, &message, signature, keys, accepted);
    }
    let signature = V1::read(signature, accepted)?;
    let mut candidates = keys.iter().filter(|key| key.can_sign(Profile::V1)).peekable();
    if candidates.peek().is_none() {
        return Err(Rejection::new(Code::KeyUnknown, "no key can verify a v1 signature"));
    }
    let made_by = candidates.find(|key| signature.is_by(key, &message));
    accept(made_by.ok_or_else(|| mismatch(Profile::V1))?, keys, Profile::V1)
}

/// Verifies a stored signature with the key that its ballot names, and only with that key.
///
/// Rejections: as [`verify`].
pub fn verify_again(
    statement: &Statement,
    signature: &str,
    key_id: &KeyId,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let message = statement.message()?;
    if let Some(scope) = &statement.scope {
        return verify_v2(statement, scope, &message, signature, keys, accepted);
    }
    let signature = V1::read(signature, accepted)?;
    let key = find(keys, key_id, Profile::V1)?;
    if signature.is_by(key, &message) {
        return accept(key, keys, Profile::V1);
    }
    Err(mismatch(Profile::V1))
}

/// Returns the key that could have made a stored signature, without verifying it: for keys whose
/// secret is unavailable.
///
/// Rejections: 1. `signature-malformed` 2. `signature-invalid` if the form is that of another
/// profile or key 3. `key-unknown` 4. `key-revoked` 5. `key-not-yours` (`v2`)
pub(crate) fn attribute<'k>(
    ballot: &Ballot,
    keys: &'k Keyring,
    accepted: &Accepted,
) -> Result<&'k Key, Rejection> {
    if !accepted.has(ballot.profile) {
        let profile = ballot.profile.as_str();
        return Err(malformed(format!("{profile} signatures do not count here")));
    }
    check_form(&ballot.signature, accepted)?;
    let (profile, named) = form(&ballot.signature, accepted)?;
    let key_id = KeyId::new(ballot.key_id.as_str())?;
    if profile != ballot.profile || named.is_some_and(|named| named != key_id) {
        return Err(mismatch(ballot.profile));
    }
    let key = find(keys, &key_id, profile)?;
    accept(key, keys, profile)?;
    if profile == Profile::V2 {
        check_bound_to(key, &ballot.approver)?;
    }
    Ok(key)
}

fn verify_v2(
    statement: &Statement,
    scope: &Scope,
    message: &[u8],
    signature: &str,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let signature = V2::read(signature, accepted)?;
    let key = find(keys, &signature.key_id, Profile::V2)?;
    let valid = accept(key, keys, Profile::V2)?;
    check_bound_to(key, statement.approver.as_str())?;
    if scope.key_id == signature.key_id && signature.is_by(key, message) {
        return Ok(valid);
    }
    Err(mismatch(Profile::V2))
}

/// Returns the profile whose form a signature's text has, among the profiles that count, and the id
/// of the key that it names.
///
/// Rejections: `signature-malformed` for a malformed `v2` text. A `v1` text names no key and is not
/// parsed here.
pub fn form(text: &str, accepted: &Accepted) -> Result<(Profile, Option<KeyId>), Rejection> {
    match accepted.profile_of(text) {
        Profile::V1 => Ok((Profile::V1, None)),
        Profile::V2 => Ok((Profile::V2, Some(V2::read(text, accepted)?.key_id))),
    }
}

/// Checks that a text has the form of a signature of a profile that counts.
///
/// Rejections: `signature-malformed`.
pub fn check_form(text: &str, accepted: &Accepted) -> Result<(), Rejection> {
    match accepted.profile_of(text) {
        Profile::V1 => V1::read(text, accepted).map(drop),
        Profile::V2 => V2::read(text, accepted).map(drop),
    }
}

impl SignatureValid {
    /// The key that made the signature.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The profile under which it was made.
    pub fn profile(&self) -> Profile {
        self.profile
    }
}

impl V1 {
    /// Parses a signature's text.
    ///
    /// Rejections: `signature-malformed` for any other length, case or alphabet, or if `v1` does
    /// not count.
    fn read(text: &str, accepted: &Accepted) -> Result<Self, Rejection> {
        if !accepted.has(Profile::V1) {
            return Err(malformed("v1 signatures do not count here"));
        }
        if text.len() != 64 {
            return Err(malformed(format!(
                "expected 64 lower-case hex characters, found {} bytes",
                text.len()
            )));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            match pair {
                [high, low] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                    *byte = high << 4 | low;
                }
                _ => return Err(malformed("expected 64 lower-case hex characters")),
            }
        }
        Ok(Self(bytes))
    }

    fn is_by(&self, key: &Key, message: &[u8]) -> bool {
        key.bytes().is_some_and(|secret| mac::verify(secret, message, &self.0))
    }
}

impl V2 {
    /// Parses a signature's text.
    ///
    /// Rejections: `signature-malformed` for anything but `v2.`, a key id, a dot and the canonical
    /// base64url of 32 or 64 bytes, or if `v2` does not count.
    fn read(text: &str, accepted: &Accepted) -> Result<Self, Rejection> {
        if !accepted.has(Profile::V2) {
            return Err(malformed("v2 signatures do not count here"));
        }
        let parts = text.strip_prefix(V2_PREFIX).and_then(|rest| rest.split_once('.'));
        let (key_id, encoded) =
            parts.ok_or_else(|| malformed("expected `v2.{key id}.{base64url}`"))?;
        let key_id = KeyId::new(key_id)
            .map_err(|e| malformed(format!("in `v2.{{key id}}.…`: {}", e.message)))?;
        // 32 bytes are 43 characters and 64 bytes are 86, so a longer text is never decoded.
        let bytes = match encoded.len() {
            43 | 86 => base64::decode_url(encoded),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| {
            malformed("expected 32 or 64 bytes in base64url without padding after the key id")
        })?;
        Ok(Self { key_id, bytes })
    }

    /// Returns `false` for a length that the key's algorithm does not have.
    fn is_by(&self, key: &Key, message: &[u8]) -> bool {
        let Some(material) = key.bytes() else {
            return false;
        };
        match key.algorithm {
            Algorithm::HmacSha256 => mac::verify(material, message, &self.bytes),
            Algorithm::Ed25519 => {
                let public_key = material.try_into();
                let signature = self.bytes.as_slice().try_into();
                matches!((public_key, signature), (Ok(public_key), Ok(signature))
                    if ed25519::verify(public_key, message, signature))
            }
        }
    }
}

impl Accepted {
    /// Parses the names of the profiles that count.
    ///
    /// Rejections: `request-invalid` for an unknown name, or for an empty list.
    pub fn read<S: AsRef<str>>(names: &[S]) -> Result<Self, Rejection> {
        if names.is_empty() {
            return Err(Rejection::request("accept names no profile"));
        }
        let profiles = names.iter().map(|name| Profile::read(name.as_ref()));
        profiles.collect::<Result<_, _>>().map(Self)
    }

    /// Every profile.
    pub(crate) fn all() -> Self {
        Self(Profile::ALL.to_vec())
    }

    /// Returns the names of the profiles.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|profile| profile.as_str())
    }

    /// Returns the profiles that count towards a requirement.
    pub fn under(&self, requirement: &Requirement) -> Self {
        let counts = |profile: &Profile| match profile {
            Profile::V1 => requirement.takes_v1(),
            Profile::V2 => true,
        };
        Self(self.0.iter().copied().filter(counts).collect())
    }

    /// Returns the profile whose form a text has or should have. No text has both forms.
    pub fn profile_of(&self, text: &str) -> Profile {
        match (self.has(Profile::V1), self.has(Profile::V2)) {
            (true, true) if text.starts_with(V2_PREFIX) => Profile::V2,
            (false, true) => Profile::V2,
            _ => Profile::V1,
        }
    }

    /// Returns whether a profile counts.
    pub fn has(&self, profile: Profile) -> bool {
        self.0.contains(&profile)
    }

    /// Returns whether no profile counts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns the value of a lower-case hex character.
fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn signed(key: &Key, message: &[u8]) -> Result<Vec<u8>, Rejection> {
    let bytes = key.bytes().and_then(|material| match key.algorithm {
        Algorithm::HmacSha256 => mac::sign(material, message).map(Vec::from),
        // The seed is borrowed from the material, which is wiped on drop; no copy is made here.
        Algorithm::Ed25519 => {
            <&[u8; 32]>::try_from(material).ok().map(|seed| ed25519::sign(seed, message).to_vec())
        }
    });
    bytes.ok_or_else(|| Rejection::request(format!("key `{}` has no usable material", key.id)))
}

/// Returns the key with an id if it can make signatures of the profile.
///
/// Rejections: `key-unknown`.
fn find<'k>(keys: &'k Keyring, id: &KeyId, profile: Profile) -> Result<&'k Key, Rejection> {
    keys.find(id).filter(|key| key.can_sign(profile)).ok_or_else(|| {
        Rejection::new(
            Code::KeyUnknown,
            format!(
                "no key `{id}` that verifies {} signatures is in the keyring",
                profile.as_str()
            ),
        )
    })
}

/// Accepts a key whose material is not revoked.
///
/// Rejections: `key-revoked`, also where the same material is revoked under another id.
fn accept(key: &Key, keys: &Keyring, profile: Profile) -> Result<SignatureValid, Rejection> {
    if let Some(twin) = keys.revoked(key) {
        return Err(revoked(&twin.id, "is revoked, and its material made the signature"));
    }
    Ok(SignatureValid { key_id: key.id.clone(), profile })
}

/// Rejections: `key-not-yours`.
fn check_bound_to(key: &Key, approver: &str) -> Result<(), Rejection> {
    if key.is_of(approver) {
        return Ok(());
    }
    let whose = match &key.approver {
        Some(bound) => format!("is bound to `{bound}`"),
        None => "is bound to no approver".to_owned(),
    };
    Err(Rejection::new(
        Code::KeyNotYours,
        format!("key `{}` {whose} and cannot sign for `{approver}`", key.id),
    ))
}

fn cannot_sign(key: &Key, profile: Profile) -> Rejection {
    let needs = match profile {
        Profile::V1 if key.usage == KeyUse::Approve => {
            "it must be `hmac-sha256` and bound to no approver"
        }
        _ => "its use must be `approve`",
    };
    Rejection::request(format!("key `{}` cannot sign {}: {needs}", key.id, profile.as_str()))
}

fn malformed(message: impl Into<String>) -> Rejection {
    Rejection::new(Code::SignatureMalformed, message)
}

fn revoked(id: &KeyId, what: &str) -> Rejection {
    Rejection::new(Code::KeyRevoked, format!("key `{id}` {what}"))
}

fn mismatch(profile: Profile) -> Rejection {
    let covered = match profile {
        Profile::V1 => "id, decision, approver, expiry and key",
        Profile::V2 => "audience, key, id, request digest, expiry, decision, approver and comment",
    };
    Rejection::new(Code::SignatureInvalid, format!("the signature does not match {covered}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_hex_characters_are_a_signature() {
        let accepted = Accepted::read(&["v1"]).unwrap();
        let right = "00ff10a9".repeat(8);
        let read = V1::read(&right, &accepted).unwrap();
        assert_eq!(read.0.as_slice(), ::hex::decode(&right).unwrap());
        for place in 0..64 {
            for wrong in ["A", "F", "g", "/", ":", "`", " ", "\0"] {
                let mut text = right.clone();
                text.replace_range(place..=place, wrong);
                let refused = V1::read(&text, &accepted).unwrap_err();
                assert_eq!(refused.code, Code::SignatureMalformed, "{text}");
            }
        }
        for wrong in
            [&right[..62], &right[..63], &format!("{right}0"), &format!("{}é", &right[..62]), ""]
        {
            assert!(V1::read(wrong, &accepted).is_err(), "{wrong}");
        }
    }
}
