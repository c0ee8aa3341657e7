//! The public key of a log, which verifies its checkpoints, and its text form.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::base64;
use crate::ed25519::{KEY_BYTES, PublicKey};

/// C2SP signed notes: signature type byte of Ed25519.
const ED25519: u8 = 1;
/// An audience has at most 128 bytes, and up to three times that when each byte is escaped.
const NAME_BYTES_MAX: usize = 512;

/// Returns a log's name in its checkpoints: `signoff/` and the audience. A key name in a signed
/// note cannot contain `+`, so `+` is escaped as `%2B`, and `%` as `%25`.
pub fn origin(audience: &str) -> String {
    format!("signoff/{}", audience.replace('%', "%25").replace('+', "%2B"))
}

/// Returns the audience of a log's name; the inverse of [`origin`].
pub fn audience(name: &str) -> Option<String> {
    let escaped = name.strip_prefix("signoff/")?;
    let audience = escaped.replace("%2B", "+").replace("%25", "%");
    (origin(&audience) == name).then_some(audience)
}

/// The public key of a log. Its text form is the verifier key of C2SP signed notes,
/// `name+hash8+base64`.
///
/// ```
/// use signoff_core::log::key::LogKey;
///
/// let text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
/// let key: LogKey = text.parse()?;
/// assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", text));
/// # Ok::<(), signoff_core::log::key::LogKeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKey {
    name: String,
    id: [u8; 4],
    public: PublicKey,
}

/// Why a text or key bytes are not a log key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKeyError {
    /// Not of the form `name+hash8+base64`.
    Form,
    /// The name is empty, too long, or has characters that a key name in a note cannot have.
    Name,
    /// The key's type is not Ed25519, or its length is wrong.
    Algorithm,
    /// The hash does not match the key: a typing error, or two keys mixed up.
    Hash,
    /// Not the canonical encoding of a curve point, or a key under which anyone can sign.
    Unsound,
}

impl fmt::Display for LogKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "a log key is written `name+hash+key`, as `signoff audit key` prints it",
            Self::Name => {
                "a log key's name is 1 to 512 bytes without spaces, control characters and `+`"
            }
            Self::Algorithm => "the log key is not an Ed25519 key",
            Self::Hash => "the log key's hash is not that of its name and key",
            Self::Unsound => "the log key is not a sound Ed25519 key",
        })
    }
}

impl std::error::Error for LogKeyError {}

impl LogKey {
    /// Creates the key of the log with this name ([`origin`]) from its 32 bytes.
    ///
    /// # Errors
    ///
    /// [`LogKeyError::Name`], [`LogKeyError::Unsound`].
    pub fn new(name: &str, public: &[u8; KEY_BYTES]) -> Result<Self, LogKeyError> {
        if !is_name(name) {
            return Err(LogKeyError::Name);
        }
        let public = PublicKey::decode(public).map_err(|_| LogKeyError::Unsound)?;
        Ok(Self { name: name.to_owned(), id: id(name, &public), public })
    }

    /// The log's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id: four bytes that, with the name, identify the key that signed.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Returns the same key under another name. A note that it signs under that name is not a
    /// checkpoint of its log.
    ///
    /// # Errors
    ///
    /// [`LogKeyError::Name`].
    pub fn named(&self, name: &str) -> Result<Self, LogKeyError> {
        Self::new(name, self.public.as_bytes())
    }

    /// Returns whether this key made a signature over a text.
    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let signature = signature.try_into();
        signature.is_ok_and(|signature| self.public.verifies(text.as_bytes(), signature))
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[ED25519], self.public.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), base64::encode(&key))
    }
}

impl FromStr for LogKey {
    type Err = LogKeyError;

    /// Parses the text form.
    ///
    /// # Errors
    ///
    /// [`LogKeyError`], in the order of its variants.
    fn from_str(text: &str) -> Result<Self, LogKeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(LogKeyError::Form);
        };
        let key = base64::decode(key).ok_or(LogKeyError::Form)?;
        if !is_name(name) {
            return Err(LogKeyError::Name);
        }
        let Some((&ED25519, Ok(public))) = key.split_first().map(|(t, k)| (t, k.try_into())) else {
            return Err(LogKeyError::Algorithm);
        };
        let key = Self::new(name, public)?;
        // Compared as text, so that upper case, a sign or a missing zero is refused.
        if hex::encode(key.id) == hash { Ok(key) } else { Err(LogKeyError::Hash) }
    }
}

/// Returns whether a text can be a key name in a signed note.
pub fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && !text.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

fn id(name: &str, public: &PublicKey) -> [u8; 4] {
    let hash = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', ED25519])
        .chain_update(public.as_bytes())
        .finalize();
    let [a, b, c, d, ..]: [u8; 32] = hash.into();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the example in the documentation of Go's note package.
    const PUBLISHED: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn a_published_key_is_read_and_written_back() {
        let key: LogKey = PUBLISHED.parse().unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.id(), [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!(key.to_string(), PUBLISHED);
    }

    #[test]
    fn every_changed_character_of_a_key_is_refused() {
        for (at, was) in PUBLISHED.char_indices() {
            for other in
                ['A', 'b', '0', '9', '+', '/', '=', ' ', '\n'].iter().filter(|c| **c != was)
            {
                let mut text = PUBLISHED.to_owned();
                text.replace_range(at..=at, &other.to_string());
                assert!(text.parse::<LogKey>().is_err(), "{text}");
            }
        }
        for cut in 0..PUBLISHED.len() {
            PUBLISHED[..cut].parse::<LogKey>().unwrap_err();
            PUBLISHED[cut + 1..].parse::<LogKey>().unwrap_err();
        }
    }

    #[test]
    fn a_key_under_which_anybody_can_sign_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        for weak in [[0; 32], neutral] {
            assert_eq!(LogKey::new("log", &weak), Err(LogKeyError::Unsound));
        }
        let no_point = [2; 32];
        assert_eq!(LogKey::new("log", &no_point), Err(LogKeyError::Unsound));
    }

    #[test]
    fn every_audience_has_a_name_of_its_own_that_a_note_can_hold() {
        assert_eq!(origin("default"), "signoff/default");
        assert_eq!(origin("a+b"), "signoff/a%2Bb");
        assert_ne!(origin("a%2Bb"), origin("a+b"));
        let all: String = ('!'..='~').collect();
        for name in ["default", "a+b", "a%2Bb", "%252B", "%+%25", &all] {
            assert_eq!(audience(&origin(name)).as_deref(), Some(name));
        }
        for foreign in ["signoff", "other/default", "signoff/a+b", "signoff/%2b", "signoff/100%"] {
            assert_eq!(audience(foreign), None);
        }
        assert!(is_name(&origin(&all)));
        for hopeless in ["two words", "two\nlines", "\u{a0}", "\u{7f}"] {
            assert!(!is_name(&origin(hopeless)), "{hopeless:?}");
            assert_eq!(LogKey::new(hopeless, &[1; 32]), Err(LogKeyError::Name));
        }
    }
}
