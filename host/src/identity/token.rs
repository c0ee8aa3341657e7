//! Tokens: `sgnt_`, 64 hex characters of randomness, 8 of a checksum.
//!
//! The prefix and the checksum let a scanner recognize a leaked token offline: `sgnt_[0-9a-f]{72}`,
//! where the last 8 characters are the start of the SHA-256 of the preceding ones. Only the SHA-256
//! of a token is ever stored.

use std::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The prefix of every token.
pub const PREFIX: &str = "sgnt_";
const RANDOM_BYTES: usize = 32;
const CHECKSUM_CHARS: usize = 8;

/// A token. It is wiped on drop, and `Debug` does not show it.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Generates a token of 256 random bits.
    pub fn generate() -> Self {
        let random = Zeroizing::new(rand::random::<[u8; RANDOM_BYTES]>());
        let mut text = Zeroizing::new(format!("{PREFIX}{}", hex::encode(*random)));
        let sum = checksum(&text);
        text.push_str(&sum);
        Self(text)
    }

    /// Parses a token; `None` for malformed text or a wrong checksum.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let digits = text.strip_prefix(PREFIX)?;
        if digits.len() != 2 * RANDOM_BYTES + CHECKSUM_CHARS || !digits.bytes().all(fits) {
            return None;
        }
        let (before, sum) = text.split_at_checked(text.len() - CHECKSUM_CHARS)?;
        (checksum(before) == sum).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Returns the token's text, for its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns its SHA-256 in hex, the only part that is stored.
    pub fn hash(&self) -> String {
        hex::encode(Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn checksum(text: &str) -> String {
    hex::encode(Sha256::digest(text)).chars().take(CHECKSUM_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_no_other_text_is_one() {
        let token = Token::generate();
        let text = token.expose().to_owned();
        assert_eq!(text.len(), 77);
        assert_eq!(Token::parse(&text).map(|read| read.hash()), Some(token.hash()));
        assert!(!format!("{token:?}").contains(&text[5..20]));
        for place in 0..text.len() {
            for other in ["0", "f", "g", "A", " "] {
                let mut changed = text.clone();
                changed.replace_range(place..=place, other);
                assert!(changed == text || Token::parse(&changed).is_none(), "{changed}");
            }
        }
        for changed in [&text[1..], &text[..76], &format!("{text}0"), &text.to_uppercase(), ""] {
            assert!(Token::parse(changed).is_none(), "{changed}");
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        let hashes: std::collections::HashSet<String> =
            (0..1_000).map(|_| Token::generate().hash()).collect();
        assert_eq!(hashes.len(), 1_000);
    }
}
