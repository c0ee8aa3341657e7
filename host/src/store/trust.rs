//! Which keys authenticate the head of a log, and which key signs the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log_key::{LogKey, LogSigner, origin};
use crate::store::StoreError;
use signoff_core::log::checkpoint::{self, Checkpoint, CheckpointError};

/// The current log keys of a deployment.
pub trait LogKeys: Send + Sync {
    /// Returns every key trusted to sign this audience's log. Empty if the keyring has no log key.
    ///
    /// # Errors
    ///
    /// The reason, if the keys cannot be read.
    fn trusted(&self, audience: &str) -> Result<Vec<LogKey>, String>;

    /// Returns the active key that signs, if its private half is available.
    ///
    /// # Errors
    ///
    /// The reason, if the keys cannot be read.
    fn signer(&self, audience: &str) -> Result<Option<Arc<LogSigner>>, String>;
}

/// An empty set of log keys: heads are not signed, and rows are not authenticated.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLogKeys;

impl LogKeys for NoLogKeys {
    fn trusted(&self, _: &str) -> Result<Vec<LogKey>, String> {
        Ok(Vec::new())
    }

    fn signer(&self, _: &str) -> Result<Option<Arc<LogSigner>>, String> {
        Ok(None)
    }
}

/// Log keys to verify a store with. They sign nothing.
#[derive(Clone, Debug, Default)]
pub struct GivenLogKeys(pub Vec<LogKey>);

impl LogKeys for GivenLogKeys {
    fn trusted(&self, _: &str) -> Result<Vec<LogKey>, String> {
        Ok(self.0.clone())
    }

    fn signer(&self, _: &str) -> Result<Option<Arc<LogSigner>>, String> {
        Ok(None)
    }
}

/// The trust settings of an open store: the log keys, and whether to accept a head that none of
/// them signed.
#[derive(Clone)]
pub struct Trust {
    keys: Arc<dyn LogKeys>,
    accept_unsigned: bool,
    /// Whether heads stay unsigned even though there is a key.
    holds_back: Arc<AtomicBool>,
    /// Whether a trusted key signed a head that was read or written. If so, every later head is
    /// signed.
    is_signing: Arc<AtomicBool>,
}

impl Trust {
    /// Accepts only a head that one of these keys signed; if there is no key, only an unsigned
    /// head.
    pub fn new(keys: Arc<dyn LogKeys>) -> Self {
        Self {
            keys,
            accept_unsigned: false,
            holds_back: Arc::default(),
            is_signing: Arc::default(),
        }
    }

    /// Trust without log keys.
    pub fn none() -> Self {
        Self::new(Arc::new(NoLogKeys))
    }

    /// Also accepts an unsigned head, or one signed by a key that is no longer trusted. The
    /// operator vouches for the store's history.
    pub fn accepting_unsigned(self) -> Self {
        Self { accept_unsigned: true, ..self }
    }

    /// As [`Self::accepting_unsigned`], and signs no head before [`Self::sign_from_now_on`]: if the
    /// steps required before that fail, the store has to be accepted again.
    pub fn accepting_unsigned_for_now(self) -> Self {
        Self { accept_unsigned: true, holds_back: Arc::new(AtomicBool::new(true)), ..self }
    }

    /// Starts signing heads.
    pub fn sign_from_now_on(&self) {
        self.holds_back.store(false, Ordering::Release);
    }

    /// Returns whether heads stay unsigned for now.
    pub fn is_holding_back(&self) -> bool {
        self.holds_back.load(Ordering::Acquire)
    }

    /// Reads the stored head of an audience's log.
    ///
    /// Errors, in this order: [`StoreError::Unsigned`] if the keys cannot be read;
    /// [`StoreError::Untrusted`] for a text that is not a head, a head of another log, a signed
    /// head without a trusted signature, and an unsigned head if there is a log key.
    pub(crate) fn read_head(&self, head: &str, audience: &str) -> Result<Checkpoint, StoreError> {
        let untrusted = |why: String| StoreError::Untrusted(why);
        let trusted = self.keys.trusted(audience).map_err(StoreError::Unsigned)?;
        let unreadable = |e: CheckpointError| untrusted(format!("its head: {e}"));
        let checkpoint = match (is_signed(head), trusted.is_empty()) {
            (true, _) if self.accept_unsigned => {
                Checkpoint::unverified(head).map_err(unreadable)?
            }
            (true, false) => {
                let opened = checkpoint::open(head, &trusted).map_err(unreadable)?;
                self.is_signing.store(true, Ordering::Release);
                opened.checkpoint
            }
            (true, true) => {
                Checkpoint::unverified(head).map_err(unreadable)?;
                return Err(untrusted(
                    "its head is signed, and the keyring has no log key to verify it with; use the keyring that belongs to this store".to_owned(),
                ));
            }
            (false, false) if !self.accept_unsigned => {
                return Err(untrusted(
                    "its head is not signed, and the keyring has a log key; `signoff serve --accept-unsigned` signs a store that was written without one".to_owned(),
                ));
            }
            (false, _) => Checkpoint::from_text(head).map_err(unreadable)?,
        };
        let expected = origin(audience);
        if checkpoint.origin != expected {
            return Err(untrusted(format!(
                "its head names the log `{}`, expected `{expected}` from its audience",
                checkpoint.origin
            )));
        }
        Ok(checkpoint)
    }

    /// Returns the text of a head, signed if there is a log key.
    ///
    /// Errors: [`StoreError::Unsigned`] if the keys cannot be read, no log key is active, or the
    /// log is signed and the keyring no longer has a log key.
    pub(crate) fn write_head(
        &self,
        checkpoint: &Checkpoint,
        audience: &str,
    ) -> Result<String, StoreError> {
        match self.signer(audience)? {
            Some(signer) => {
                self.is_signing.store(true, Ordering::Release);
                Ok(signer.sign(checkpoint))
            }
            None => Ok(checkpoint.text()),
        }
    }

    /// Returns the key that signs now; `None` if the keyring has no log key or signing is held
    /// back.
    pub(crate) fn signer(&self, audience: &str) -> Result<Option<Arc<LogSigner>>, StoreError> {
        if self.is_holding_back() {
            return Ok(None);
        }
        let signer = self.keys.signer(audience).map_err(StoreError::Unsigned)?;
        let why = match &signer {
            Some(_) => return Ok(signer),
            None if !self.trusted(audience)?.is_empty() => {
                "no log key of the keyring is active; create one with `signoff key generate --use log`"
            }
            None if self.is_signing.load(Ordering::Acquire) => {
                "the log is signed, and the keyring has no log key any more; restore the keyring"
            }
            None => return Ok(None),
        };
        Err(StoreError::Unsigned(why.to_owned()))
    }

    pub(crate) fn trusted(&self, audience: &str) -> Result<Vec<LogKey>, StoreError> {
        self.keys.trusted(audience).map_err(StoreError::Unsigned)
    }
}

/// Returns whether the text of a head is a signed note.
pub(crate) fn is_signed(head: &str) -> bool {
    head.contains("\n\n")
}
