//! The settings in force, and where each comes from: the command line, the environment, the file, or
//! the default, in this order of precedence.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::{Placed, SettingsFile};
use super::setting::{SETTINGS, Setting};
use super::value::Value;
use crate::keys::keyring_beside;

/// Values of flags and variables, by the setting's name.
pub type Given = BTreeMap<&'static str, (Value, Source)>;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    CommandLine,
    /// A variable.
    Environment,
    /// The settings file.
    File {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The default.
    Default,
}

/// The settings in force.
#[derive(Clone, Debug)]
pub struct Effective(BTreeMap<&'static str, (Option<Value>, Source)>);

impl Effective {
    /// Combines what was given with a settings file.
    pub fn of(given: &Given, file: &SettingsFile) -> Self {
        let of = |setting: &'static Setting| {
            let from_file = || {
                let Placed { value, line, column } = file.get(setting.name)?.clone();
                Some((value, Source::File { line, column }))
            };
            match given.get(setting.name).cloned().or_else(from_file) {
                Some((value, source)) => (setting.name, (Some(value), source)),
                None => (setting.name, (setting.default_value(), Source::Default)),
            }
        };
        let mut values: BTreeMap<_, _> = SETTINGS.iter().map(of).collect();
        // The default of the keyring depends on the store.
        let keyring = match values.get("store.file") {
            Some((Some(Value::Path(store)), _)) => Some(Value::Path(keyring_beside(store))),
            _ => None,
        };
        if let Some((value @ None, _)) = values.get_mut("keys.file") {
            *value = keyring;
        }
        Self(values)
    }

    /// Returns every setting with its value, `None` if it is unset, and its source.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, Option<&Value>, Source)> {
        SETTINGS.iter().filter_map(|setting| {
            let (value, source) = self.0.get(setting.name)?;
            Some((setting, value.as_ref(), *source))
        })
    }

    /// Returns the source of a setting.
    pub fn source(&self, name: &str) -> Source {
        self.0.get(name).map_or(Source::Default, |(_, source)| *source)
    }

    /// Returns the path of a setting, if it is set.
    pub fn path(&self, name: &str) -> Option<&Path> {
        match self.value(name)? {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns whether a setting is on.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Switch(true)))
    }

    /// Returns the words of a setting, none if it is unset.
    pub fn words(&self, name: &str) -> &[String] {
        match self.value(name) {
            Some(Value::List(words)) => words,
            Some(Value::Word(word)) => std::slice::from_ref(word),
            _ => &[],
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.0.as_ref()
    }
}
