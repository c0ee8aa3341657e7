//! The settings that affect trust, recorded in the audit log at each start, and their comparison.
//!
//! Each setting is a named JSON value:
//!
//! | name | value | weaker is |
//! | --- | --- | --- |
//! | `signatures.accept` | names of profiles | a profile that is weaker than all previous ones |
//! | `requirement.threshold` | number of approvers | fewer |
//! | `requirement.groups` | number of approvers per group | fewer of a group, or a missing group |
//! | `listener` | class of address, TLS, a proxy in front | any change |
//!
//! A recorded setting that is now unset is weaker, and so is any change of a setting unknown to
//! this version.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Config;

const ACCEPT: &str = "signatures.accept";
const THRESHOLD: &str = "requirement.threshold";
const GROUPS: &str = "requirement.groups";
const LISTENER: &str = "listener";

/// Profiles, from weakest to strongest.
const PROFILES: [&str; 2] = ["v1", "v2"];

/// The settings that affect trust.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Value>);

/// The properties of a server's listener that affect trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whether only this machine can connect.
    pub loopback: bool,
    /// Whether the server terminates TLS.
    pub tls: bool,
    /// Whether a proxy terminates TLS in front of the server.
    pub behind_proxy: bool,
}

impl Settings {
    /// Extracts the settings from a settings file.
    pub fn of(config: &Config) -> Self {
        let mut accept = config.signatures.accept.clone();
        accept.sort_unstable();
        accept.dedup();
        let floor = &config.requirement;
        let set = [
            (ACCEPT, json!(accept)),
            (THRESHOLD, json!(floor.threshold.unwrap_or(1))),
            (GROUPS, json!(floor.groups)),
        ];
        Self(set.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// Adds the listener.
    pub fn listening(mut self, listener: Listener) -> Self {
        let Listener { loopback, tls, behind_proxy } = listener;
        let address = if loopback { "loopback" } else { "other" };
        let value = json!({ "address": address, "tls": tls, "behind_proxy": behind_proxy });
        self.0.insert(LISTENER.to_owned(), value);
        self
    }

    /// Removes the listener, for comparison with a process that does not listen.
    pub(crate) fn without_listener(mut self) -> Self {
        self.0.remove(LISTENER);
        self
    }

    /// Returns whether the server terminates TLS.
    pub(crate) fn terminates_tls(&self) -> bool {
        self.0.get(LISTENER).is_some_and(|listener| listener["tls"] == true)
    }

    pub(crate) fn from_values(values: BTreeMap<String, Value>) -> Self {
        Self(values)
    }

    /// Returns every setting with its name, in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the names of the settings that differ from the recorded ones.
    pub(crate) fn changed<'a>(&'a self, recorded: &'a Self) -> impl Iterator<Item = &'a str> {
        let names =
            self.0.keys().chain(recorded.0.keys().filter(|name| !self.0.contains_key(*name)));
        names.filter(|name| self.0.get(*name) != recorded.0.get(*name)).map(String::as_str)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns all settings as one JSON object.
    pub fn to_json(&self) -> Value {
        json!(self.0)
    }

    /// Returns the SHA-256 of the settings, lower-case hex, by which an operator accepts them.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.to_json().to_string()))
    }

    /// Returns a message for each setting that is weaker than recorded.
    pub fn weaker(&self, recorded: &Self) -> Vec<String> {
        let weaker = |(name, old): (&String, &Value)| {
            let new = self.0.get(name);
            if new.is_some_and(|new| new == old || !is_weaker(name, old, new)) {
                return None;
            }
            let new = new.map_or_else(|| "unset".to_owned(), Value::to_string);
            Some(format!("{name} was {old} and is {new}"))
        };
        recorded.0.iter().filter_map(weaker).collect()
    }
}

/// Returns whether a changed setting is weaker than before. Values that cannot be compared count as
/// weaker.
fn is_weaker(name: &str, old: &Value, new: &Value) -> bool {
    match name {
        ACCEPT => weakest(new).zip(weakest(old)).is_none_or(|(new, old)| new < old),
        THRESHOLD => new.as_u64().zip(old.as_u64()).is_none_or(|(new, old)| new < old),
        GROUPS => new.as_object().zip(old.as_object()).is_none_or(|(new, old)| {
            old.iter().any(|(group, minimum)| {
                let now = new.get(group).and_then(Value::as_u64);
                now.zip(minimum.as_u64()).is_none_or(|(now, before)| now < before)
            })
        }),
        _ => true,
    }
}

/// Returns the rank of the weakest profile; `None` if one is unknown.
fn weakest(accept: &Value) -> Option<usize> {
    let place = |name: &Value| {
        let name = name.as_str()?;
        PROFILES.iter().position(|profile| *profile == name)
    };
    let places: Option<Vec<usize>> = accept.as_array()?.iter().map(place).collect();
    places?.into_iter().min()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on may stop")]
mod tests {
    use super::*;

    fn of(accept: &[&str], threshold: Option<u32>, groups: &[(&str, u32)]) -> Settings {
        let mut config = Config::default();
        config.signatures.accept = accept.iter().map(|name| (*name).to_owned()).collect();
        config.requirement.threshold = threshold;
        config.requirement.groups =
            groups.iter().map(|(group, n)| ((*group).to_owned(), *n)).collect();
        Settings::of(&config)
    }

    /// The recorded settings, the current ones, and the names of those that are weaker.
    #[test]
    fn each_setting_has_an_order() {
        let both: &[&str] = &["v1", "v2"];
        for (recorded, set, weaker) in [
            (of(both, None, &[]), of(both, None, &[]), &[][..]),
            (of(both, None, &[]), of(&["v2", "v1", "v2"], Some(1), &[]), &[]),
            (of(both, None, &[]), of(&["v2"], Some(2), &[("sre", 1)]), &[]),
            (of(&["v1"], None, &[]), of(both, None, &[]), &[]),
            (of(&["v1"], None, &[]), of(&["v2"], None, &[]), &[]),
            (of(&["v2"], None, &[]), of(both, None, &[]), &[ACCEPT]),
            (of(&["v2"], None, &[]), of(&["v1"], None, &[]), &[ACCEPT]),
            (of(both, Some(2), &[]), of(both, None, &[]), &[THRESHOLD]),
            (of(both, Some(3), &[]), of(both, Some(2), &[]), &[THRESHOLD]),
            (of(both, None, &[("sre", 2)]), of(both, None, &[("sre", 3), ("a", 1)]), &[]),
            (of(both, None, &[("sre", 2)]), of(both, None, &[("sre", 1)]), &[GROUPS]),
            (of(both, None, &[("sre", 1)]), of(both, None, &[("ops", 9)]), &[GROUPS]),
            (of(&["v2"], Some(2), &[("a", 1)]), of(both, None, &[]), &[GROUPS, THRESHOLD, ACCEPT]),
        ] {
            let found = set.weaker(&recorded);
            let names: Vec<&str> = found.iter().filter_map(|why| why.split(' ').next()).collect();
            assert_eq!(names, weaker, "{recorded:?} {set:?}");
        }
    }

    #[test]
    fn any_change_of_the_listener_is_weaker() {
        let plain = Listener { loopback: true, tls: false, behind_proxy: false };
        let base = || Settings::of(&Config::default());
        let recorded = base().listening(plain);
        assert!(base().listening(plain).weaker(&recorded).is_empty());
        for other in [
            Listener { loopback: false, ..plain },
            Listener { tls: true, ..plain },
            Listener { behind_proxy: true, ..plain },
        ] {
            let weaker = base().listening(other).weaker(&recorded);
            assert!(weaker.len() == 1 && weaker.iter().all(|why| why.starts_with(LISTENER)));
        }
        assert_eq!(base().weaker(&recorded).len(), 1, "one that does not listen");
        assert!(base().weaker(&recorded.without_listener()).is_empty());
    }

    #[test]
    fn a_changed_unknown_setting_is_weaker() {
        let recorded = |value: &str| {
            let mut values = Settings::of(&Config::default()).0;
            values.insert("origins".to_owned(), json!(value));
            Settings(values)
        };
        let weaker = Settings::of(&Config::default()).weaker(&recorded("a"));
        assert_eq!(weaker, ["origins was \"a\" and is unset"]);
        assert_eq!(recorded("b").weaker(&recorded("a")).len(), 1);
        assert!(recorded("a").weaker(&recorded("a")).is_empty());
        for malformed in [json!(null), json!("2"), json!(["v9"]), json!([1]), json!({ "sre": "1" })]
        {
            for name in [ACCEPT, THRESHOLD, GROUPS] {
                let mut values = Settings::of(&Config::default()).0;
                values.insert(name.to_owned(), malformed.clone());
                let weaker = Settings::of(&Config::default()).weaker(&Settings(values));
                assert_eq!(weaker.len(), 1, "{name} {malformed}");
            }
        }
    }

    #[test]
    fn the_digest_is_of_all_of_them() {
        let digests = [
            of(&["v2"], None, &[]).digest(),
            of(&["v1", "v2"], None, &[]).digest(),
            of(&["v2"], Some(2), &[]).digest(),
            of(&["v2"], None, &[("sre", 1)]).digest(),
        ];
        for (at, digest) in digests.iter().enumerate() {
            assert_eq!(digest.len(), 64);
            assert!(!digests.iter().skip(at + 1).any(|other| other == digest));
        }
        assert_eq!(of(&["v2"], Some(1), &[]).digest(), of(&["v2", "v2"], None, &[]).digest());
    }
}
