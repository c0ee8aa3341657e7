//! The settings of a deployment. `setting` is the table of all of them; `file` reads them from the
//! TOML file next to the store or named by `--config`, `effective` puts flags and variables before it.
//!
//! ```toml
//! [server]
//! listen = ["0.0.0.0:8443"]
//!
//! [tls]
//! cert = "tls.pem"              # relative to this file
//! key = "tls.key"
//!
//! [signatures]
//! accept = ["v2"]               # accepted profiles; both by default
//!
//! [requirement]                 # the minimum for every request
//! threshold = 2
//! groups = { sre = 1 }
//! ```

mod effective;
mod file;
mod problem;
#[cfg(test)]
mod reference;
mod setting;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use effective::{Effective, Given, Source};
pub use file::{Placed, SettingsFile};
pub use problem::{ConfigError, Problem};
pub use setting::{Applies, Flag, Kind, ONCE, SETTINGS, Setting};
pub use value::Value;

/// The settings that the service needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// Names of profiles, at least one.
    pub accept: Vec<String>,
}

/// The minimum requirement of every approval; a request may require more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Floor {
    /// The number of approvers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    /// The number of approvers per group.
    pub groups: BTreeMap<String, u32>,
}

/// What one requester may have pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// The number of pending approvals, 1 to 100,000.
    pub pending: usize,
    /// The size of their contexts and plans in bytes, at least what one request may have.
    pub pending_bytes: u64,
}

/// Sources of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyConfig {
    /// A program and its arguments; it prints a keyring.
    pub command: Option<Vec<String>>,
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

/// Returns the default path of a store's settings: next to the store.
pub fn beside(store: &Path) -> PathBuf {
    store.with_extension("toml")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use std::fs;

    use super::*;

    fn config(text: &str) -> Config {
        SettingsFile::parse(text, Path::new("")).unwrap().config()
    }

    fn problems(text: &str) -> Vec<String> {
        let problems = SettingsFile::parse(text, Path::new("")).map(|_| ()).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unset_settings_take_their_defaults() {
        assert_eq!(config(""), Config::default());
        let config = config(
            "[signatures]\naccept = [\"v2\"]\n[requirement]\nthreshold = 2\ngroups = { sre = 1 }",
        );
        assert_eq!(config.signatures.accept, ["v2"]);
        assert_eq!(config.requirement.threshold, Some(2));
        assert_eq!(config.requirement.groups.get("sre"), Some(&1));
    }

    /// The defaults of the table and those of the service are one.
    #[test]
    fn the_table_has_the_defaults_of_the_service() {
        let written: Vec<String> = ["signatures.accept", "quotas.pending", "quotas.pending_bytes"]
            .iter()
            .map(|name| {
                let setting = Setting::named(name).unwrap();
                let value = setting.default_value().unwrap().to_json(setting.kind);
                format!("[{}]\n{} = {value}\n", setting.table(), setting.key())
            })
            .collect();
        for text in written {
            assert_eq!(config(&text), Config::default(), "{text}");
        }
    }

    #[test]
    fn a_command_requires_a_named_file_that_only_its_owner_can_write() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signoff.toml");
        let loaded = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            SettingsFile::load(Some(&path), Path::new("signoff.redb"))
        };
        let command = "[keys]\ncommand = [\"touch\", \"ran\"]";
        for mode in [0o666, 0o620, 0o602] {
            let refused = loaded(command, mode).unwrap_err().to_string();
            assert!(refused.contains("keys.command") && refused.contains("chmod"), "{refused}");
            assert!(loaded("[requirement]\nthreshold = 2", mode).is_ok());
        }
        for mode in [0o644, 0o600] {
            assert!(loaded(command, mode).unwrap().config().keys.command.is_some());
        }
        // Settings found in a folder, such as a cloned repository, neither run a command nor choose
        // another store or keyring.
        for text in [command, "[store]\nfile = \"a\"", "[keys]\nfile = \"a\""] {
            assert!(loaded(text, 0o600).is_ok());
            let found = SettingsFile::load(None, &folder.path().join("signoff.redb"));
            assert!(found.unwrap_err().to_string().contains("--config"));
        }
    }

    #[test]
    fn a_setting_that_means_nothing_is_refused() {
        let groups: Vec<String> = (0..17).map(|n| format!("g{n} = 1")).collect();
        let seventeen = format!("[requirement]\ngroups = {{ {} }}", groups.join(", "));
        for (text, says) in [
            ("[signatures]\naccept = []", "2:10: signatures.accept names no profile"),
            ("[signatures]\naccept = [\"v3\"]", "`v3`"),
            (
                "[signature]\naccept = [\"v2\"]",
                "1:2: unknown table `signature`, did you mean `signatures`?",
            ),
            (
                "[signatures]\naccepts = [\"v2\"]",
                "2:1: unknown setting `signatures.accepts`, did you mean `signatures.accept`?",
            ),
            ("[server]\nthreshold = 1", "did you mean `requirement.threshold`?"),
            ("[server]\nxyz = 1", "expected listen, behind_proxy, audience"),
            ("accept = [\"v2\"]", "below `[signatures]`"),
            ("signatures = [\"v2\"]", "is a table"),
            ("[requirement]\nthreshold = -1", "threshold is -1"),
            ("[requirement]\nthreshold = 0", "threshold is 0"),
            ("[requirement]\nthreshold = \"2\"", "is a string, expected a number from 1 to 16"),
            (
                "[requirement]\nthreshold = 99999999999999999999",
                "threshold is 99999999999999999999",
            ),
            ("[requirement]\ngroups = { \"\" = 1 }", "group is empty"),
            (seventeen.as_str(), "17 groups"),
            ("[requirement]\nthreshold = 17", "1 to 16"),
            ("[requirement]\ngroups = { sre = 0 }", "groups.sre is 0"),
            ("[requirement]\ngroups = { \"s re\" = 1 }", "`s re`"),
            (
                "[signatures]\naccept = [\"v1\"]\n[requirement]\nthreshold = 2",
                "2:10: signatures.accept names only v1",
            ),
            ("[keys]\ncommand = []", "no program"),
            ("[keys]\ncommand = [\"\"]", "no program"),
            ("[tls]\ncert = \"\"", "tls.cert is empty"),
            ("[server]\nlisten = []", "server.listen is empty"),
            ("[server]\nlisten = [\"8443\"]", "port without an address"),
            ("[server]\nbehind_proxy = \"yes\"", "expected `true` or `false`"),
            ("[server]\naudience = \"a b\"", "server.audience is `a b`"),
            ("accept", "TOML"),
        ] {
            let refused = problems(text);
            assert!(
                refused.len() == 1 && refused.iter().all(|why| why.contains(says)),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn every_problem_is_reported_in_the_order_of_the_file() {
        let found = problems("[tls]\ncert = 1\n[zzz]\n[log]\nquiet = 2\ncolour = true\n");
        let places: Vec<&str> = found.iter().filter_map(|why| why.split(": ").next()).collect();
        assert_eq!(places, ["2:8", "3:2", "5:9", "6:1"]);
    }

    /// What a start accepts once would weaken every start if a file could hold it.
    #[test]
    fn no_file_accepts_what_a_start_accepts_once() {
        for flag in ONCE {
            let name = flag.replace('-', "_");
            for text in [format!("{name} = true"), format!("[server]\n{name} = true")] {
                let refused = problems(&text);
                let says = format!("give --{flag} to the one");
                assert!(
                    refused.len() == 1 && refused.iter().all(|why| why.contains(&says)),
                    "{refused:?}"
                );
            }
            assert!(SETTINGS.iter().all(|setting| setting.flag.is_none_or(|of| of.long != flag)));
        }
    }

    #[test]
    fn no_message_repeats_a_secret_of_a_command() {
        for text in [
            "[keys]\ncommand = [\"vault\", \"hunter2\", 1]",
            "[keys]\ncommand = \"hunter2\"",
            "[keys]\ncommand = [\"vault\", \"hunter2\\q\"]",
            "[keys]\ncommand = [\"vault\", \"hunter2]",
            "[keys]\ncommand = [vault, hunter2]",
        ] {
            assert!(problems(text).iter().all(|why| !why.contains("hunter2")), "{text}");
        }
        let kind = Setting::named("keys.command").unwrap().kind;
        let value = Value::List(vec!["vault".to_owned(), "hunter2".to_owned()]);
        assert_eq!(value.shown(kind), "vault (and 1 hidden)");
        assert!(!value.to_json(kind).to_string().contains("hunter2"));
    }

    #[test]
    fn a_relative_path_is_relative_to_the_file() {
        let file = SettingsFile::parse(
            "[tls]\ncert = \"tls.pem\"\nkey = \"/abs/tls.key\"",
            Path::new("/etc/signoff"),
        );
        let file = file.unwrap();
        assert_eq!(file.path_of("tls.cert"), Some(Path::new("/etc/signoff/tls.pem")));
        assert_eq!(file.path_of("tls.key"), Some(Path::new("/abs/tls.key")));
        let text = "[server]\nlisten = [\"unix:a.sock\", \"unix:/b.sock\", \"localhost:1\"]";
        let file = SettingsFile::parse(text, Path::new("/etc/signoff")).unwrap();
        let listen = Effective::of(&Given::new(), &file);
        let expected = ["unix:/etc/signoff/a.sock", "unix:/b.sock", "localhost:1"];
        assert_eq!(listen.words("server.listen"), expected);
    }

    #[test]
    fn flags_precede_variables_and_these_the_file() {
        let file = SettingsFile::parse(
            "[server]\naudience = \"file\"\n[log]\nquiet = true",
            Path::new(""),
        );
        let file = file.unwrap();
        let word = |word: &str| Value::Word(word.to_owned());
        let mut given = Given::new();
        let audience = |given: &Given| {
            let effective = Effective::of(given, &file);
            (effective.words("server.audience").to_vec(), effective.source("server.audience"))
        };
        let at = Source::File { line: 2, column: 12 };
        assert_eq!(audience(&given), (vec!["file".to_owned()], at));
        given.insert("server.audience", (word("given"), Source::Environment));
        assert_eq!(audience(&given), (vec!["given".to_owned()], Source::Environment));
        given.insert("log.quiet", (Value::Switch(false), Source::CommandLine));
        let effective = Effective::of(&given, &file);
        assert!(!effective.is_on("log.quiet"));
        assert_eq!(effective.source("tls.cert"), Source::Default);
        assert_eq!(effective.path("tls.cert"), None);
    }
}
