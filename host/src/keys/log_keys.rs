//! The log keys of the keyring, with which the store authenticates its log.

use std::sync::{Arc, Mutex, PoisonError};

use crate::keys::{KeyError, KeySource, Keys, LogPublic};
use crate::log_key::{LogKey, LogSigner, origin};
use crate::store::{LogKeys, Trust};

/// The current log keys of the key sources.
struct KeyringLogKeys {
    keys: Arc<KeySource>,
    /// The keys that were read last. They stay in use while the keyring cannot be read: nothing is
    /// decided then, but refusals are still recorded in the audit log.
    last: Mutex<Option<LogKeysRead>>,
}

/// The log keys as read at one time.
#[derive(Clone)]
struct LogKeysRead {
    keys: Keys,
    audience: String,
    trusted: Vec<LogKey>,
    signer: Option<Arc<LogSigner>>,
}

/// Returns the trust to open a store with: the log keys of these sources.
pub fn trust(keys: &Arc<KeySource>) -> Trust {
    let keys = Arc::clone(keys);
    Trust::new(Arc::new(KeyringLogKeys { keys, last: Mutex::new(None) }))
}

impl KeyringLogKeys {
    /// Returns the current keys; an empty set if no source has a key.
    fn current(&self) -> Result<Keys, String> {
        let keys = match self.keys.current() {
            // The sources may not have been read yet.
            Err(KeyError::None) => self.keys.load(),
            keys => keys,
        };
        match keys {
            Err(KeyError::None) => Ok(Keys::default()),
            keys => keys.map_err(|e| e.to_string()),
        }
    }

    fn read(&self, audience: &str) -> Result<LogKeysRead, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let of_audience = last.as_ref().filter(|read| read.audience == audience);
        let keys = match (self.current(), of_audience) {
            (Ok(keys), Some(read)) if read.keys.is(&keys) => return Ok(read.clone()),
            (Err(_), Some(read)) => return Ok(read.clone()),
            (keys, _) => keys?,
        };
        let read = LogKeysRead::of(keys, audience)?;
        *last = Some(read.clone());
        Ok(read)
    }
}

impl LogKeysRead {
    fn of(keys: Keys, audience: &str) -> Result<Self, String> {
        let name = origin(audience);
        let key = |public: LogPublic| {
            let key = LogKey::new(&name, &public.public_key);
            key.map_err(|e| format!("key `{}`: {e}", public.id))
        };
        let trusted = keys.log_public().into_iter().map(key).collect::<Result<_, _>>()?;
        let signer = match keys.log_key() {
            None => None,
            Some(key) => {
                let signer = LogSigner::new(audience, &key.signing_key().to_bytes());
                Some(Arc::new(signer.map_err(|e| e.to_string())?))
            }
        };
        Ok(Self { keys, audience: audience.to_owned(), trusted, signer })
    }
}

impl LogKeys for KeyringLogKeys {
    fn trusted(&self, audience: &str) -> Result<Vec<LogKey>, String> {
        Ok(self.read(audience)?.trusted)
    }

    fn signer(&self, audience: &str) -> Result<Option<Arc<LogSigner>>, String> {
        Ok(self.read(audience)?.signer)
    }
}
