//! The log keys of a keyring, for the store that they authenticate.

use std::sync::{Arc, Mutex, PoisonError};

use crate::audit::log_key::{LogKey, LogSigner, origin};
use crate::keys::{KeyError, KeySource, Keys};
use crate::store::{LogKeys, Trust};

/// The log keys of the sources of keys, as they are now.
struct KeyringLogKeys {
    keys: Arc<KeySource>,
    /// The signer of these keys. It also signs while the keyring cannot be read: what is refused then is
    /// still kept in the audit.
    signer: Mutex<Option<(Keys, Option<Arc<LogSigner>>)>>,
}

/// What a store is opened with: the log keys of these sources.
pub fn trust(keys: &Arc<KeySource>) -> Trust {
    let keys = Arc::clone(keys);
    Trust::new(Arc::new(KeyringLogKeys { keys, signer: Mutex::new(None) }))
}

impl KeyringLogKeys {
    /// The keys now; none where no source has a key.
    fn current(&self) -> Result<Keys, String> {
        let keys = match self.keys.current() {
            // They may not have been read yet.
            Err(KeyError::None) => self.keys.load(),
            keys => keys,
        };
        match keys {
            Err(KeyError::None) => Ok(Keys::default()),
            keys => keys.map_err(|e| e.to_string()),
        }
    }
}

impl LogKeys for KeyringLogKeys {
    fn trusted(&self, audience: &str) -> Result<Vec<LogKey>, String> {
        let name = origin(audience);
        let key = |public: crate::keys::LogPublic| {
            let key = LogKey::new(&name, &public.public_key);
            key.map_err(|e| format!("key `{}`: {e}", public.id))
        };
        self.current()?.log_public().into_iter().map(key).collect()
    }

    fn signer(&self, audience: &str) -> Result<Option<Arc<LogSigner>>, String> {
        let mut kept = self.signer.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = match (self.current(), kept.as_ref()) {
            (Ok(keys), _) => keys,
            (Err(_), Some((_, signer @ Some(_)))) => return Ok(signer.clone()),
            (Err(why), _) => return Err(why),
        };
        if let Some((_, signer)) = kept.as_ref().filter(|(of, _)| of.is(&keys)) {
            return Ok(signer.clone());
        }
        let signer = match keys.log_key() {
            None => None,
            Some(key) => {
                let signer = LogSigner::new(audience, &key.signing_key().to_bytes());
                Some(Arc::new(signer.map_err(|e| e.to_string())?))
            }
        };
        *kept = Some((keys, signer.clone()));
        Ok(signer)
    }
}
