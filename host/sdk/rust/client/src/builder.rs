//! The settings of a client.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use signoff_verify::{Floor, Keyring, Profile, Verifier};

use crate::client::Client;
use crate::error::Error;
use crate::guard::Trust;
use crate::settings::Settings;
use crate::transport::Transport;

/// The default time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The settings of a [`Client`]: [`Self::url`], [`Self::token`], [`Self::ca`], [`Self::keys_file`] and
/// [`Self::audience`], if unset, come from `SIGNOFF_SERVER`, `SIGNOFF_TOKEN`, `SIGNOFF_CA`,
/// `SIGNOFF_KEYS` and `SIGNOFF_AUDIENCE`, then from `client.json` in the user's home, which `signoff
/// login` writes.
#[derive(Default)]
#[must_use]
pub struct ClientBuilder {
    settings: Settings,
    only_arguments: bool,
    insecure_http: bool,
    timeout: Option<Duration>,
    verifier: Option<Arc<Verifier>>,
    keys: Option<Keyring>,
    without_keys: bool,
    own: Own,
}

/// What an executor requires of an approval.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) floor: Option<Floor>,
    pub(crate) accept: Option<Vec<Profile>>,
    pub(crate) policies: Option<Vec<String>>,
    pub(crate) allow_hmac: bool,
}

impl ClientBuilder {
    /// Sets the server: `http://…`, `https://…` or `unix:PATH`.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.settings.url = Some(url.into());
        self
    }

    /// Sets the token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = Some(token.into());
        self
    }

    /// Sets a PEM file of certificate authorities, in addition to the machine's.
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.ca = Some(file.into());
        self
    }

    /// Pins the approvers' keys: a guard verifies offline.
    pub fn keys(mut self, keys: Keyring) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Pins the approvers' keys of a file, as `signoff key list --json` or `signoff key generate`
    /// prints them.
    pub fn keys_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.settings.keys = Some(file.into());
        self
    }

    /// Pins no keys, even if the environment or the home names some: a guard trusts the server.
    pub fn without_keys(mut self) -> Self {
        self.without_keys = true;
        self
    }

    /// Sets the deployment that the executor works for. Required with keys.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.settings.audience = Some(audience.into());
        self
    }

    /// Sets the weakest requirement that a guard accepts, whatever the server shows. A guard requests
    /// it too, where its [`crate::Action`] requires less.
    pub fn floor(mut self, floor: Floor) -> Self {
        self.own.floor = Some(floor);
        self
    }

    /// Sets the accepted profiles; `v2` alone if unset. `v1` covers neither action nor context: who
    /// accepts it trusts the server for them.
    pub fn accept(mut self, profiles: impl IntoIterator<Item = Profile>) -> Self {
        self.own.accept = Some(profiles.into_iter().collect());
        self
    }

    /// Requires that one of these policies, given by digest, set the requirement; at most 64.
    pub fn policies<D: Into<String>>(mut self, digests: impl IntoIterator<Item = D>) -> Self {
        self.own.policies = Some(digests.into_iter().map(Into::into).collect());
        self
    }

    /// Counts keys with the algorithm `hmac-sha256`. Whoever can verify with such a key can also sign,
    /// so they are ignored by default.
    pub fn allow_hmac(mut self, allow: bool) -> Self {
        self.own.allow_hmac = allow;
        self
    }

    /// Allows to send the token over plain HTTP to another machine: the connection is encrypted
    /// otherwise, for example by a VPN.
    pub fn insecure_http(mut self, allow: bool) -> Self {
        self.insecure_http = allow;
        self
    }

    /// Sets the time limit of each call, over all its tries; 30 s if unset.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Verifies with this verifier, such as one in a component
    /// (`signoff_verify::Verifier::from_component`), instead of ordinary Rust.
    pub fn verifier(mut self, verifier: impl Into<Arc<Verifier>>) -> Self {
        self.verifier = Some(verifier.into());
        self
    }

    /// Ignores the environment and the user's home.
    pub fn only_arguments(mut self) -> Self {
        self.only_arguments = true;
        self
    }

    /// Makes the client. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: a malformed home file, or one that others can read; no server; a malformed
    /// address; a token that would be sent in the clear, or a malformed one; unreadable authorities or
    /// keys; keys without an audience; a floor, profiles, policies or allowed HMAC keys without
    /// keys, because nothing would enforce them.
    pub fn build(self) -> Result<Client, Error> {
        let settings = if self.only_arguments { self.settings } else { self.settings.filled()? };
        let url = settings.url.ok_or_else(|| {
            Error::invalid("no server: set its URL, SIGNOFF_SERVER, or run `signoff login`")
        })?;
        let transport = Transport::new(
            &url,
            settings.token.as_deref(),
            settings.ca.as_deref(),
            self.insecure_http,
        )?;
        let keys = match (self.without_keys, self.keys, settings.keys) {
            (true, ..) => None,
            (false, Some(keys), _) => Some(keys),
            (false, None, file) => file.as_deref().map(read).transpose()?,
        };
        let trust = Trust::new(keys, settings.audience, self.own)?;
        Ok(Client {
            transport: Arc::new(transport),
            timeout: self.timeout.unwrap_or(TIMEOUT),
            verifier: self.verifier.unwrap_or_default(),
            trust: Arc::new(trust),
        })
    }
}

fn read(file: &Path) -> Result<Keyring, Error> {
    let wrong = |why: String| Error::invalid(format!("`{}`: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    Keyring::from_json(&text).map_err(|e| wrong(e.message().to_owned()))
}

/// Without the token and the keys.
impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientBuilder").field("url", &self.settings.url).finish_non_exhaustive()
    }
}
