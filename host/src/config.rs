//! The settings of a deployment: an optional TOML file next to the store.
//!
//! ```toml
//! [signatures]
//! accept = ["v2"]               # accepted profiles; both by default
//!
//! [requirement]                 # the minimum for every request
//! threshold = 2
//! groups = { sre = 1 }
//!
//! [quotas]                      # of each requester
//! pending = 1000                # pending approvals
//! pending_bytes = 33554432      # of their contexts and plans
//!
//! [keys]                        # only in a file named by --config
//! command = ["vault", "kv", "get", "-field=keyring", "secret/signoff"]
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use signoff_core::requirement::PartialRequirement;

use crate::folder::is_mine_or_roots;

const FILE_BYTES_MAX: u64 = 64 << 10;
/// Largest quota of pending approvals.
const PENDING_MAX: usize = 100_000;
/// Smallest quota of bytes: a context and a plan of the largest size.
const PENDING_BYTES_MIN: u64 = 2 * signoff_core::context::BYTES_MAX as u64;

/// The settings of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The accepted signatures.
    pub signatures: Signatures,
    /// The minimum requirement of every approval.
    pub requirement: Floor,
    /// What one requester may have pending.
    pub quotas: Quotas,
    /// Sources of keys in addition to the environment and the keyring file.
    pub keys: KeyConfig,
}

/// The accepted signatures.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signatures {
    /// Names of profiles, at least one.
    pub accept: Vec<String>,
}

/// The minimum requirement of every approval; a request may require more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Floor {
    /// The number of approvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// The number of approvers per group.
    pub groups: BTreeMap<String, u32>,
}

/// What one requester may have pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quotas {
    /// The number of pending approvals, 1 to 100,000.
    pub pending: usize,
    /// The size of their contexts and plans in bytes, at least what one request may have.
    pub pending_bytes: u64,
}

/// Sources of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyConfig {
    /// A program and its arguments; it prints a keyring.
    pub command: Option<Vec<String>>,
}

/// Why settings cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("settings `{path}`: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// The reason.
        why: String,
    },
}

impl Default for Signatures {
    fn default() -> Self {
        Self { accept: vec!["v1".to_owned(), "v2".to_owned()] }
    }
}

impl Default for Quotas {
    fn default() -> Self {
        Self { pending: 1_000, pending_bytes: 32 << 20 }
    }
}

impl Config {
    /// Loads the settings of a file. Returns [`Default`] if no file is given and none is next to
    /// the store.
    ///
    /// # Errors
    ///
    /// A given file that does not exist; a file that is too large, is not TOML, has unknown
    /// settings, accepts no profile or an unknown one, has a requirement outside the limits of
    /// requests or one that the accepted profiles cannot meet, quotas out of range, or an empty
    /// command; a file with
    /// a command that was not given explicitly or that other users can change.
    pub fn load(given: Option<&Path>, store: &Path) -> Result<Self, ConfigError> {
        let path = given.map_or_else(|| beside(store), Path::to_owned);
        let unreadable =
            |why: String| ConfigError::Unreadable { path: path.display().to_string(), why };
        let meta = match fs::metadata(&path) {
            // A missing folder also means a missing store, for which the store has a better
            // message.
            Err(e) if is_absent(&e) && given.is_none() => {
                return Ok(Self::default());
            }
            Err(e) => return Err(unreadable(e.to_string())),
            // Reading a pipe would block until it is written to.
            Ok(meta) if !meta.is_file() => return Err(unreadable("it is not a file".to_owned())),
            Ok(meta) => meta,
        };
        if meta.len() > FILE_BYTES_MAX {
            return Err(unreadable(format!("it is larger than {FILE_BYTES_MAX} bytes")));
        }
        let (text, meta) = read(&path).map_err(|e| unreadable(e.to_string()))?;
        let config = Self::parse(&text).map_err(unreadable)?;
        if config.keys.command.is_some() && given.is_none() {
            let why = "keys.command runs with your privileges, so it is only accepted in a file named by --config or SIGNOFF_CONFIG";
            return Err(unreadable(why.to_owned()));
        }
        if config.keys.command.is_some() && others_change(&meta) {
            let why = "keys.command runs with your privileges, so the file must be owned by you or root and not writable by others: chmod go-w";
            return Err(unreadable(why.to_owned()));
        }
        Ok(config)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let accept = &config.signatures.accept;
        if accept.is_empty() {
            return Err("signatures.accept names no profile".to_owned());
        }
        if let Some(unknown) = accept.iter().find(|name| !["v1", "v2"].contains(&name.as_str())) {
            return Err(format!("signatures.accept: unknown profile `{unknown}`"));
        }
        let floor = config.requirement.requirement();
        // Checked here: otherwise every request would be refused, as if the request were wrong.
        let floor = floor.complete().map_err(|e| format!("requirement: {}", e.message))?;
        floor.can_be_met_by(accept.iter().map(String::as_str)).map_err(|e| {
            format!(
                "signatures.accept names only v1, which cannot meet the requirement: {}",
                e.message
            )
        })?;
        let Quotas { pending, pending_bytes } = config.quotas;
        if !(1..=PENDING_MAX).contains(&pending) {
            return Err(format!("quotas.pending is {pending}, expected 1 to {PENDING_MAX}"));
        }
        if pending_bytes < PENDING_BYTES_MIN {
            return Err(format!(
                "quotas.pending_bytes is {pending_bytes}, expected at least {PENDING_BYTES_MIN}, a context and a plan"
            ));
        }
        let no_program = |argv: &Vec<String>| argv.first().is_none_or(String::is_empty);
        if config.keys.command.as_ref().is_some_and(no_program) {
            return Err("keys.command names no program".to_owned());
        }
        Ok(config)
    }
}

impl Floor {
    /// Returns the floor as a requirement, which has the same limits.
    pub(crate) fn requirement(&self) -> PartialRequirement {
        let Self { threshold, groups } = self.clone();
        PartialRequirement { ttl_seconds: None, threshold, groups }
    }
}

/// Returns a file's text, and the metadata of the opened file.
fn read(path: &Path) -> io::Result<(String, Metadata)> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok((text, meta))
}

/// Returns whether other users can change a file.
fn others_change(meta: &Metadata) -> bool {
    !is_mine_or_roots(meta) || meta.mode() & 0o022 != 0
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns the default path of a store's settings: next to the store.
pub fn beside(store: &Path) -> PathBuf {
    store.with_extension("toml")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn unset_settings_take_their_defaults() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        let config = Config::parse(
            "[signatures]\naccept = [\"v2\"]\n[requirement]\nthreshold = 2\ngroups = { sre = 1 }",
        );
        let config = config.unwrap();
        assert_eq!(config.signatures.accept, ["v2"]);
        assert_eq!(config.requirement.threshold, Some(2));
        assert_eq!(config.requirement.groups.get("sre"), Some(&1));
    }

    #[test]
    fn a_command_requires_a_file_that_only_its_owner_can_write() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signoff.toml");
        let loaded = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Config::load(Some(&path), Path::new("signoff.redb"))
        };
        let command = "[keys]\ncommand = [\"touch\", \"ran\"]";
        for mode in [0o666, 0o620, 0o602] {
            let refused = loaded(command, mode).unwrap_err().to_string();
            assert!(refused.contains("keys.command") && refused.contains("chmod"), "{refused}");
            assert!(loaded("[requirement]\nthreshold = 2", mode).is_ok());
        }
        for mode in [0o644, 0o600] {
            assert!(loaded(command, mode).unwrap().keys.command.is_some());
        }
        // Settings found in a folder, such as a cloned repository, never run a command.
        let found = Config::load(None, &folder.path().join("signoff.redb"));
        assert!(found.unwrap_err().to_string().contains("--config"));
    }

    #[test]
    fn a_setting_that_means_nothing_is_refused() {
        let groups: Vec<String> = (0..17).map(|n| format!("g{n} = 1")).collect();
        let seventeen = format!("[requirement]\ngroups = {{ {} }}", groups.join(", "));
        for (text, says) in [
            ("[signatures]\naccept = []", "no profile"),
            ("[signatures]\naccept = [\"v3\"]", "`v3`"),
            ("[signature]\naccept = [\"v2\"]", "signature"),
            ("[requirement]\nthreshold = -1", "threshold"),
            ("[requirement]\nthreshold = 0", "threshold is 0"),
            ("[requirement]\ngroups = { \"\" = 1 }", "group is empty"),
            (seventeen.as_str(), "17 groups"),
            ("[requirement]\nthreshold = 17", "1 to 16"),
            ("[requirement]\ngroups = { sre = 0 }", "groups.sre is 0"),
            ("[requirement]\ngroups = { \"s re\" = 1 }", "`s re`"),
            ("[signatures]\naccept = [\"v1\"]\n[requirement]\nthreshold = 2", "only v1"),
            ("[keys]\ncommand = []", "no program"),
            ("[keys]\ncommand = [\"\"]", "no program"),
            ("accept", "TOML"),
        ] {
            let refused = Config::parse(text).unwrap_err();
            assert!(refused.contains(says), "{refused}");
        }
    }
}
