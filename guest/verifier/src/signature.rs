//! Signatures: made here, verified here, and nowhere else.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::key::{Key, KeyEntry, KeyStatus, Keyring};
use crate::name::KeyId;
use crate::record::Requirement;
use crate::rejection::{Code, Rejection};
use crate::statement::{Profile, Statement, StatementText};

/// The proof that a signature was verified. Only this file can make one.
#[derive(Debug)]
pub struct SignatureValid {
    key_id: KeyId,
    profile: Profile,
}

/// A signature whose form has been read: 32 bytes of HMAC-SHA256 (`v1`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature([u8; 32]);

/// The profiles that count in a call.
#[derive(Clone, Debug)]
pub struct Accepted(Vec<Profile>);

/// Signs a statement: 64 lower-case hex characters under `v1`.
///
/// Rejections: 1. `request-invalid` or `limit-exceeded` for the profile or a field of the statement
/// 2. `statement-ambiguous` 3. `request-invalid` for a key out of its form, of another use, or bound
/// to an approver 4. `key-revoked` for a key that is not active.
pub fn sign(statement: &StatementText, profile: &str, key: &KeyEntry) -> Result<String, Rejection> {
    let profile = Profile::read(profile)?;
    let message = Statement::read(statement)?.message(profile)?;
    let key = Key::read(key)?;
    if !key.serves_v1() {
        return Err(Rejection::request(format!(
            "key `{}` cannot sign v1: its use must be `approve` and it must be bound to no approver",
            key.id
        )));
    }
    if key.status != KeyStatus::Active {
        return Err(revoked(&key.id, "is not active and signs nothing"));
    }
    Ok(hex::encode(mac(&key, &message)?.finalize().into_bytes()))
}

/// Verifies a new signature against every key that could have made it.
///
/// Rejections: 1. `statement-ambiguous` 2. `signature-malformed` 3. `key-unknown` 4. `key-revoked`
/// 5. `signature-invalid`
pub fn verify(
    statement: &Statement,
    signature: &str,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let profile = Profile::V1;
    let message = statement.message(profile)?;
    let signature = Signature::read(signature, accepted)?;
    let mut candidates = keys.iter().filter(|key| key.serves_v1()).peekable();
    if candidates.peek().is_none() {
        return Err(Rejection::new(Code::KeyUnknown, "no key can verify a v1 signature"));
    }
    let mut made_by = None;
    for key in candidates {
        if signature.is_by(key, &message)? {
            // One secret may stand under two ids: where either is revoked, the secret is.
            let valid = accept(key, profile)?;
            made_by.get_or_insert(valid);
        }
    }
    made_by.ok_or_else(mismatch)
}

/// Verifies a stored signature with the key that its ballot names, and only with that key.
///
/// Rejections: 1. `statement-ambiguous` 2. `signature-malformed` 3. `key-unknown` 4. `key-revoked`
/// 5. `signature-invalid`
pub fn verify_again(
    statement: &Statement,
    signature: &str,
    key_id: &KeyId,
    keys: &Keyring,
    accepted: &Accepted,
) -> Result<SignatureValid, Rejection> {
    let profile = Profile::V1;
    let message = statement.message(profile)?;
    let signature = Signature::read(signature, accepted)?;
    let key = keys.find(key_id).filter(|key| key.serves_v1()).ok_or_else(|| {
        Rejection::new(
            Code::KeyUnknown,
            format!("the ballot's key `{key_id}` is not in the keyring"),
        )
    })?;
    if signature.is_by(key, &message)? {
        return accept(key, profile);
    }
    Err(mismatch())
}

impl SignatureValid {
    /// The key that made the signature.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// The profile it was made under.
    pub fn profile(&self) -> Profile {
        self.profile
    }
}

impl Signature {
    /// Reads a signature's text.
    ///
    /// Rejections: `signature-malformed` for any other length, case or alphabet, or where no profile
    /// that counts has this form.
    pub fn read(text: &str, accepted: &Accepted) -> Result<Self, Rejection> {
        let malformed = |message| Err(Rejection::new(Code::SignatureMalformed, message));
        if !accepted.has(Profile::V1) {
            return malformed("v1 signatures do not count here".to_owned());
        }
        if text.len() != 64 {
            return malformed(format!(
                "expected 64 lower-case hex characters, found {} bytes",
                text.len()
            ));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            match pair {
                [high, low] if let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) => {
                    *byte = high << 4 | low;
                }
                _ => {
                    return malformed(
                        "expected 64 lower-case hex characters, found others".to_owned(),
                    );
                }
            }
        }
        Ok(Self(bytes))
    }

    fn is_by(&self, key: &Key, message: &str) -> Result<bool, Rejection> {
        // `verify_slice` compares in constant time.
        Ok(mac(key, message)?.verify_slice(&self.0).is_ok())
    }
}

impl Accepted {
    /// Reads the names of the profiles that count.
    ///
    /// Rejections: `request-invalid` for an unknown one, or for none at all.
    pub fn read<S: AsRef<str>>(names: &[S]) -> Result<Self, Rejection> {
        if names.is_empty() {
            return Err(Rejection::request("accept names no profile"));
        }
        let profiles = names.iter().map(|name| Profile::read(name.as_ref()));
        profiles.collect::<Result<_, _>>().map(Self)
    }

    /// Those that count towards a requirement: `v1` names no key and covers no action, so only
    /// where one approver is asked for and no group.
    pub fn under(&self, requirement: &Requirement) -> Self {
        let single = requirement.threshold == 1 && requirement.groups.is_empty();
        let counts = |profile: &Profile| match profile {
            Profile::V1 => single,
        };
        Self(self.0.iter().copied().filter(counts).collect())
    }

    /// Whether a profile counts.
    pub fn has(&self, profile: Profile) -> bool {
        self.0.contains(&profile)
    }

    /// Whether no signature at all can count.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The value of a lower-case hex character.
fn nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn accept(key: &Key, profile: Profile) -> Result<SignatureValid, Rejection> {
    if key.status == KeyStatus::Revoked {
        return Err(revoked(&key.id, "made this signature and is revoked"));
    }
    Ok(SignatureValid { key_id: key.id.clone(), profile })
}

fn mac(key: &Key, message: &str) -> Result<Hmac<Sha256>, Rejection> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key.material)
        .map_err(|_| Rejection::request(format!("key `{}` has no usable material", key.id)))?;
    mac.update(message.as_bytes());
    Ok(mac)
}

fn revoked(id: &KeyId, what: &str) -> Rejection {
    Rejection::new(Code::KeyRevoked, format!("key `{id}` {what}"))
}

fn mismatch() -> Rejection {
    Rejection::new(
        Code::SignatureInvalid,
        "the signature does not match id, decision, approver, expiry and key",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn only_64_lower_case_hex_characters_are_a_signature() {
        let accepted = Accepted::read(&["v1"]).unwrap();
        let right = "00ff10a9".repeat(8);
        let read = Signature::read(&right, &accepted).unwrap();
        assert_eq!(read.0.as_slice(), hex::decode(&right).unwrap());
        for place in 0..64 {
            for wrong in ["A", "F", "g", "/", ":", "`", " ", "\0"] {
                let mut text = right.clone();
                text.replace_range(place..=place, wrong);
                let refused = Signature::read(&text, &accepted).unwrap_err();
                assert_eq!(refused.code, Code::SignatureMalformed, "{text}");
            }
        }
        for wrong in
            [&right[..62], &right[..63], &format!("{right}0"), &format!("{}é", &right[..62]), ""]
        {
            assert!(Signature::read(wrong, &accepted).is_err(), "{wrong}");
        }
    }
}
