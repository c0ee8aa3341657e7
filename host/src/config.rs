//! The settings of a deployment: a TOML file beside the store, where there is one.
//!
//! ```toml
//! [signatures]
//! accept = ["v2"]               # which profiles count; both if left out
//!
//! [requirement]                 # no request asks for less
//! threshold = 2
//! groups = { sre = 1 }
//!
//! [keys]
//! command = ["vault", "kv", "get", "-field=keyring", "secret/signoff"]
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const FILE_BYTES_MAX: u64 = 64 << 10;
/// Most approvers, groups, and approvers of one group, as the verifier has it.
const COUNT_MAX: u32 = 16;
/// Longest name of a group, as the verifier has it.
const NAME_BYTES_MAX: usize = 128;

/// What a deployment is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Which signatures count.
    pub signatures: Signatures,
    /// What every approval takes at least.
    pub requirement: Floor,
    /// Where keys come from beside the environment and the keyring file.
    pub keys: KeyConfig,
}

/// Which signatures count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Signatures {
    /// Names of profiles, at least one.
    pub accept: Vec<String>,
}

/// What every approval takes at least; a request may ask for more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Floor {
    /// How many approvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// How many of each group.
    pub groups: BTreeMap<String, u32>,
}

/// Where keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyConfig {
    /// A program and its arguments; it prints a keyring.
    pub command: Option<Vec<String>>,
}

/// Why settings cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("settings `{path}`: {why}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Default for Signatures {
    fn default() -> Self {
        Self { accept: vec!["v1".to_owned(), "v2".to_owned()] }
    }
}

impl Config {
    /// The settings of a file; those of [`Default`] where none is given and none is beside the store.
    ///
    /// # Errors
    ///
    /// A file that is given and is not there; one that is too large, no TOML, has unknown settings,
    /// accepts no profile or an unknown one, or asks for what no request can.
    pub fn load(given: Option<&Path>, store: &Path) -> Result<Self, ConfigError> {
        let path = given.map_or_else(|| beside(store), Path::to_owned);
        let unreadable =
            |why: String| ConfigError::Unreadable { path: path.display().to_string(), why };
        let text = match fs::metadata(&path) {
            // Without a folder there is no store either, and that is told better by the store.
            Err(e) if is_absent(&e) && given.is_none() => {
                return Ok(Self::default());
            }
            Err(e) => return Err(unreadable(e.to_string())),
            // Reading a pipe would wait for its other end.
            Ok(meta) if !meta.is_file() => return Err(unreadable("it is no file".to_owned())),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(unreadable(format!("it is larger than {FILE_BYTES_MAX} bytes")));
            }
            Ok(_) => fs::read_to_string(&path).map_err(|e| unreadable(e.to_string()))?,
        };
        Self::parse(&text).map_err(unreadable)
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
        config.requirement.check()?;
        if !accept.iter().any(|name| name == "v2") && config.requirement.takes_v2() {
            return Err(
                "signatures.accept names only v1, which cannot meet the requirement: it counts where one approver and no group is asked for"
                    .to_owned(),
            );
        }
        if config
            .keys
            .command
            .as_ref()
            .is_some_and(|argv| argv.first().is_none_or(String::is_empty))
        {
            return Err("keys.command names no program".to_owned());
        }
        Ok(config)
    }
}

impl Floor {
    /// Whether a request may ask for as much; else nobody could ask for anything.
    fn check(&self) -> Result<(), String> {
        let count = |what: &str, n: u32| match n {
            1..=COUNT_MAX => Ok(()),
            _ => Err(format!("requirement.{what} is {n}, it must be 1 to {COUNT_MAX}")),
        };
        self.threshold.map_or(Ok(()), |threshold| count("threshold", threshold))?;
        if self.groups.len() > COUNT_MAX as usize {
            let many = self.groups.len();
            return Err(format!("requirement.groups has {many} groups, the limit is {COUNT_MAX}"));
        }
        for (group, minimum) in &self.groups {
            let named = (1..=NAME_BYTES_MAX).contains(&group.len());
            if !named || !group.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(format!(
                    "requirement.groups: `{}` must be 1 to {NAME_BYTES_MAX} printable ASCII characters without spaces",
                    group.escape_debug()
                ));
            }
            count(&format!("groups.{group}"), *minimum)?;
        }
        Ok(())
    }

    /// Whether only `v2` signatures can meet it.
    fn takes_v2(&self) -> bool {
        self.threshold.is_some_and(|threshold| threshold > 1) || !self.groups.is_empty()
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Where the settings of a store are, if nothing else is said.
pub fn beside(store: &Path) -> PathBuf {
    store.with_extension("toml")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_the_default() {
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
    fn a_setting_that_means_nothing_is_refused() {
        for (text, says) in [
            ("[signatures]\naccept = []", "no profile"),
            ("[signatures]\naccept = [\"v3\"]", "`v3`"),
            ("[signature]\naccept = [\"v2\"]", "signature"),
            ("[requirement]\nthreshold = -1", "threshold"),
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
