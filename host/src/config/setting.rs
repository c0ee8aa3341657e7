//! The table of settings: the one place from which the flags of `signoff serve`, the environment, the
//! settings file, `signoff config` and the reference page come.

use super::value::Value;

/// Largest quota of pending approvals.
const PENDING_MAX: u64 = 100_000;
/// Smallest quota of bytes: a context and a plan of the largest size.
const PENDING_BYTES_MIN: u64 = 2 * signoff_core::context::BYTES_MAX as u64;
/// Most approvers that a requirement can name, the limit of requests.
const APPROVERS_MAX: u64 = 16;

/// A setting of a deployment.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the settings file: the table, a dot, and the key.
    pub name: &'static str,
    /// The flag, without its dashes.
    pub flag: Option<Flag>,
    /// The environment variable.
    pub variable: Option<&'static str>,
    /// The type of its value.
    pub kind: Kind,
    /// The default, as a variable would hold it; `None` if the setting is unset by default.
    pub default: Option<&'static str>,
    /// An example for files.
    pub example: &'static str,
    /// When a change takes effect.
    pub applies: Applies,
    /// Whether the audit log records it, so that a start with a weaker value is refused.
    pub recorded: bool,
    /// Whether it is accepted only in a file that the user names. Files that are merely found, for
    /// example in a cloned repository, must not choose them.
    pub named_file_only: bool,
    /// What it means, one sentence without a full stop.
    pub about: &'static str,
}

/// A flag of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// The long name.
    pub long: &'static str,
    /// The short name.
    pub short: Option<char>,
    /// Whether every command has it, and not `serve` alone.
    pub global: bool,
}

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Addresses to listen on, at least one.
    Addresses,
    /// A file. In a settings file, a relative path is relative to the settings file.
    Path,
    /// On or off.
    Switch,
    /// 1 to 128 printable ASCII characters.
    Name,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// At least one of these words.
    SomeOf(&'static [&'static str]),
    /// A number in a range; both ends belong to it.
    Number {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A number of approvers for each group.
    Groups,
    /// A program and its arguments, which may be secret.
    Program,
}

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// At a restart. A reload takes the contents of the files that settings name, not the settings.
    Restart,
    /// The path at a restart; what the file contains also at SIGHUP.
    ContentsAtHangup,
    /// The path at a restart; what the file contains at the next call.
    ContentsAtOnce,
    /// The program at a restart; it runs again at SIGHUP.
    RunsAtHangup,
}

impl Applies {
    /// Returns how the reference page says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::ContentsAtHangup => "restart; the file itself is read again at SIGHUP",
            Self::ContentsAtOnce => "restart; the file itself is read again when it changes",
            Self::RunsAtHangup => "restart; the program runs again at SIGHUP",
        }
    }
}

const fn flag(long: &'static str) -> Option<Flag> {
    Some(Flag { long, short: None, global: false })
}

const fn global(long: &'static str) -> Option<Flag> {
    Some(Flag { long, short: None, global: true })
}

const BASE: Setting = Setting {
    name: "",
    flag: None,
    variable: None,
    kind: Kind::Switch,
    default: None,
    example: "",
    applies: Applies::Restart,
    recorded: false,
    named_file_only: false,
    about: "",
};

/// Every setting, in the order of the reference page.
pub static SETTINGS: &[Setting] = &[
    Setting {
        name: "server.listen",
        flag: flag("listen"),
        variable: Some("SIGNOFF_LISTEN"),
        kind: Kind::Addresses,
        default: Some("127.0.0.1:8787"),
        example: "[\"127.0.0.1:8787\", \"unix:/run/signoff/signoff.sock\"]",
        recorded: true,
        about: "The address to listen on: 127.0.0.1:8787, localhost:8787, :8443 for every address of this machine, or unix:PATH for a socket that only this user can connect to; may be repeated. Addresses other than loopback require tokens, TLS (or --behind-proxy) and a log key",
        ..BASE
    },
    Setting {
        name: "server.behind_proxy",
        flag: flag("behind-proxy"),
        variable: Some("SIGNOFF_BEHIND_PROXY"),
        default: Some("false"),
        example: "true",
        recorded: true,
        about: "A reverse proxy terminates TLS in front of this server; requires tokens even on loopback",
        ..BASE
    },
    Setting {
        name: "server.audience",
        flag: flag("audience"),
        variable: Some("SIGNOFF_AUDIENCE"),
        kind: Kind::Name,
        default: Some("default"),
        example: "\"prod\"",
        about: "The deployment's name, used if the store is created now; a store keeps the name that it was created with",
        ..BASE
    },
    Setting {
        name: "tls.cert",
        flag: flag("tls-cert"),
        variable: Some("SIGNOFF_TLS_CERT"),
        kind: Kind::Path,
        example: "\"tls.pem\"",
        applies: Applies::ContentsAtHangup,
        recorded: true,
        about: "The TLS certificate, PEM, followed by its issuers; SIGHUP reloads it",
        ..BASE
    },
    Setting {
        name: "tls.key",
        flag: flag("tls-key"),
        variable: Some("SIGNOFF_TLS_KEY"),
        kind: Kind::Path,
        example: "\"tls.key\"",
        applies: Applies::ContentsAtHangup,
        about: "The certificate's private key, PEM, mode 0600",
        ..BASE
    },
    Setting {
        name: "witness.file",
        flag: flag("witness"),
        variable: Some("SIGNOFF_WITNESS"),
        kind: Kind::Path,
        example: "\"/mnt/other/checkpoint\"",
        recorded: true,
        about: "Keep the last checkpoint of the audit log in this file, outside the store; a store that does not extend it does not start. Once used, it is required at every start",
        ..BASE
    },
    Setting {
        name: "log.format",
        flag: flag("log-format"),
        variable: Some("SIGNOFF_LOG_FORMAT"),
        kind: Kind::OneOf(&["text", "json"]),
        example: "\"json\"",
        about: "The format of the log on standard error; unset, it is text, and JSON with --json",
        ..BASE
    },
    Setting {
        name: "log.level",
        flag: flag("log-level"),
        variable: Some("SIGNOFF_LOG_LEVEL"),
        kind: Kind::OneOf(&["error", "warn", "info", "debug"]),
        default: Some("info"),
        example: "\"warn\"",
        about: "The least severe lines of the log; `info` has a line per request, `debug` also those of probes",
        ..BASE
    },
    Setting {
        name: "log.no_events",
        flag: flag("no-events"),
        variable: Some("SIGNOFF_NO_EVENTS"),
        default: Some("false"),
        example: "true",
        about: "Do not print audit entries on standard output",
        ..BASE
    },
    Setting {
        name: "log.quiet",
        flag: Some(Flag { long: "quiet", short: Some('q'), global: false }),
        variable: Some("SIGNOFF_QUIET"),
        default: Some("false"),
        example: "true",
        about: "Print warnings and errors only: no audit entries, and no start lines except that of --json",
        ..BASE
    },
    Setting {
        name: "signatures.accept",
        kind: Kind::SomeOf(&["v1", "v2"]),
        default: Some("v1,v2"),
        example: "[\"v2\"]",
        recorded: true,
        about: "The accepted profiles of signatures; `v1` does not cover the action or the context",
        ..BASE
    },
    Setting {
        name: "requirement.threshold",
        kind: Kind::Number { min: 1, max: APPROVERS_MAX },
        example: "2",
        recorded: true,
        about: "The minimum number of approvers of every approval; a request may require more",
        ..BASE
    },
    Setting {
        name: "requirement.groups",
        kind: Kind::Groups,
        example: "{ sre = 1 }",
        recorded: true,
        about: "The minimum number of approvers of each group, for every approval",
        ..BASE
    },
    Setting {
        name: "quotas.pending",
        kind: Kind::Number { min: 1, max: PENDING_MAX },
        default: Some("1000"),
        example: "1000",
        about: "The number of pending approvals that one requester may have",
        ..BASE
    },
    Setting {
        name: "quotas.pending_bytes",
        kind: Kind::Number { min: PENDING_BYTES_MIN, max: u64::MAX >> 1 },
        default: Some("33554432"),
        example: "33554432",
        about: "The bytes of their contexts and plans; the minimum is one context and one plan of the largest size",
        ..BASE
    },
    Setting {
        name: "store.file",
        flag: global("store"),
        variable: Some("SIGNOFF_STORE"),
        kind: Kind::Path,
        default: Some("./signoff.redb"),
        example: "\"/var/lib/signoff/signoff.redb\"",
        named_file_only: true,
        about: "The store file",
        ..BASE
    },
    Setting {
        name: "keys.file",
        flag: global("keyring"),
        variable: Some("SIGNOFF_KEYRING"),
        kind: Kind::Path,
        example: "\"/var/lib/signoff/signoff.keys.json\"",
        applies: Applies::ContentsAtOnce,
        named_file_only: true,
        about: "The keyring file; by default next to the store, with the suffix `.keys.json`",
        ..BASE
    },
    Setting {
        name: "keys.command",
        kind: Kind::Program,
        example: "[\"/usr/bin/vault\", \"kv\", \"get\", \"-field=keyring\", \"secret/signoff\"]",
        applies: Applies::RunsAtHangup,
        named_file_only: true,
        about: "A program and its arguments that print a keyring, in addition to the other keys; it runs in the server's working directory",
        ..BASE
    },
];

/// Flags of `serve` that no file and no variable can hold: each accepts once what every other start
/// must refuse.
pub const ONCE: [&str; 7] = [
    "create-store",
    "new-witness",
    "accept-rollback",
    "keep-token",
    "accept-unsigned",
    "accept-weaker-settings",
    "accept-clock",
];

impl Setting {
    /// Returns the setting of a name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// Returns the name's table.
    pub fn table(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(table, _)| table)
    }

    /// Returns the name within its table.
    pub fn key(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, key)| key)
    }

    /// Returns the default value.
    pub fn default_value(&self) -> Option<Value> {
        // A test parses every default.
        Value::of_text(self.kind, self.default?.as_ref()).ok()
    }
}

impl Kind {
    /// Returns what is expected, for messages: `a number from 1 to 16`.
    pub fn expected(self) -> String {
        match self {
            Self::Addresses => "a list of addresses, such as `[\"127.0.0.1:8787\"]`".to_owned(),
            Self::Path => "the path of a file, a string".to_owned(),
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Name => "1 to 128 printable ASCII characters without spaces".to_owned(),
            Self::OneOf(words) => format!("one of {}", quoted(words)),
            Self::SomeOf(words) => format!("a list of {}", quoted(words)),
            Self::Number { min, max } if max == u64::MAX >> 1 => {
                format!("a number of at least {min}")
            }
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Groups => {
                "a table of groups with 1 to 16 approvers each, such as `{ sre = 1 }`".to_owned()
            }
            Self::Program => {
                "a list of a program and its arguments, such as `[\"/usr/bin/vault\", \"read\"]`"
                    .to_owned()
            }
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_kind() {
        for setting in SETTINGS {
            assert_eq!(setting.default.is_some(), setting.default_value().is_some(), "{setting:?}");
        }
    }

    #[test]
    fn names_flags_and_variables_follow_one_pattern() {
        for setting in SETTINGS {
            assert_eq!(Setting::named(setting.name).map(|found| found.name), Some(setting.name));
            assert!(!setting.table().is_empty() && !setting.key().contains('.'), "{setting:?}");
            assert!(setting.variable.is_none_or(|name| name.starts_with("SIGNOFF_")));
            // A flag without a variable could not be set under a service manager.
            assert_eq!(setting.flag.is_some(), setting.variable.is_some(), "{setting:?}");
            assert!(!setting.about.is_empty() && !setting.about.ends_with('.'), "{setting:?}");
        }
    }
}
