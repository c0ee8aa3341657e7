//! The private key of a log, which signs its checkpoints. The public key and its text format are in
//! [`signoff_core::log::key`].

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
pub use signoff_core::log::key::{LogKey, LogKeyError, audience, origin};
use zeroize::Zeroizing;

use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::note;

/// Signs a log's checkpoints.
///
/// ```
/// use signoff_core::log::checkpoint::{Checkpoint, open};
/// use signoff::log_key::LogSigner;
/// use signoff_core::log::tree::{Frontier, leaf};
///
/// let mut tree = Frontier::new();
/// tree.add(leaf(b"{}"));
/// let signer = LogSigner::new("default", &[7; 32])?;
/// let checkpoint = Checkpoint::of(&tree, signer.key().name());
/// let note = signer.sign(&checkpoint);
/// assert_eq!(open(&note, &[signer.key().clone()])?.checkpoint, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LogSigner {
    key: LogKey,
    secret: SigningKey,
}

impl LogSigner {
    /// Makes the signer of a deployment's log from the 32-byte seed of its Ed25519 key.
    ///
    /// # Errors
    ///
    /// [`LogKeyError::Name`] if the deployment's name cannot be part of a log's name.
    pub fn new(audience: &str, seed: &[u8; 32]) -> Result<Self, LogKeyError> {
        let seed = Zeroizing::new(*seed);
        let secret = SigningKey::from_bytes(&seed);
        let key = LogKey::new(&origin(audience), secret.verifying_key().as_bytes())?;
        Ok(Self { key, secret })
    }

    /// Returns the public key.
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Returns the same key under another name.
    ///
    /// # Errors
    ///
    /// [`LogKeyError::Name`].
    pub(crate) fn named(&self, name: &str) -> Result<Self, LogKeyError> {
        Ok(Self { key: self.key.named(name)?, secret: self.secret.clone() })
    }

    /// Returns a checkpoint as a note that this key signed.
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        self.note(&checkpoint.text())
    }

    /// Returns a text, which ends with a line feed, as a note that this key signed.
    pub(crate) fn note(&self, text: &str) -> String {
        note::signed(text, &self.key, &self.secret.sign(text.as_bytes()).to_bytes())
    }
}

/// Omits the seed.
impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSigner").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_note_can_hold_has_no_signer() {
        for hopeless in ["two words", "two\nlines", "\u{a0}", "\u{7f}"] {
            assert!(LogSigner::new(hopeless, &[1; 32]).is_err(), "{hopeless:?}");
        }
    }

    #[test]
    fn a_signer_does_not_show_its_seed() {
        let signer = LogSigner::new("default", &[42; 32]).unwrap();
        let shown = format!("{signer:?}");
        assert!(!shown.contains("42, 42"), "{shown}");
        assert!(!shown.contains(&hex::encode([42; 32])), "{shown}");
    }
}
