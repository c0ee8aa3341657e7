//! Values of settings, read from a word (a flag or a variable) or from TOML.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::json;
use signoff_core::name::Identifier;
use toml::de::DeValue;

use super::setting::Kind;
use crate::endpoint::{Endpoint, UNIX_SCHEME};

/// A value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Addresses`], [`Kind::SomeOf`] and [`Kind::Program`].
    List(Vec<String>),
    /// Of [`Kind::Path`].
    Path(PathBuf),
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Name`] and [`Kind::OneOf`].
    Word(String),
    /// Of [`Kind::Number`].
    Number(u64),
    /// Of [`Kind::Groups`].
    Groups(BTreeMap<String, u32>),
}

impl Value {
    /// Reads a word. A list is separated by commas, so its elements cannot contain any.
    ///
    /// # Errors
    ///
    /// Why the word is not a value of the kind, as a predicate that follows the setting's name.
    pub fn of_text(kind: Kind, text: &OsStr) -> Result<Self, String> {
        if kind == Kind::Path {
            return path(Path::new(text));
        }
        let text = text.to_str().ok_or("is not UTF-8")?;
        let list = || text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
        match kind {
            Kind::Addresses | Kind::SomeOf(_) => Self::of_list(kind, list()),
            Kind::Number { .. } => {
                let number = text.parse().map_err(|_| wrong(kind, &format!("`{text}`")))?;
                Self::of_number(kind, number)
            }
            Kind::Switch => match text {
                "true" | "1" | "yes" | "on" => Ok(Self::Switch(true)),
                "false" | "0" | "no" | "off" => Ok(Self::Switch(false)),
                _ => Err(wrong(kind, &format!("`{text}`"))),
            },
            Kind::Name | Kind::OneOf(_) => Self::of_word(kind, text),
            // Settings of these kinds have neither flag nor variable, and their texts may be secret.
            Kind::Path | Kind::Groups | Kind::Program => Err(wrong(kind, "a word")),
        }
    }

    /// Reads the words of a repeated flag, one element each.
    ///
    /// # Errors
    ///
    /// As [`Self::of_text`].
    pub fn of_words(kind: Kind, words: Vec<String>) -> Result<Self, String> {
        Self::of_list(kind, words)
    }

    /// Reads a value of a settings file, whose folder is given.
    ///
    /// # Errors
    ///
    /// Why it is not a value of the kind, as a predicate that follows the setting's name. It does not
    /// repeat texts of a [`Kind::Program`].
    pub(super) fn of_toml(kind: Kind, value: &DeValue<'_>, folder: &Path) -> Result<Self, String> {
        let other = || wrong(kind, &format!("a {}", word_for(value)));
        match (kind, value) {
            (Kind::Path, DeValue::String(text)) => {
                path(&folder.join(text.as_ref())).and_then(|value| {
                    if text.is_empty() { Err(wrong(kind, "empty")) } else { Ok(value) }
                })
            }
            (Kind::Switch, DeValue::Boolean(on)) => Ok(Self::Switch(*on)),
            (Kind::Name | Kind::OneOf(_), DeValue::String(word)) => Self::of_word(kind, word),
            (Kind::Number { .. }, DeValue::Integer(number)) => {
                let read = u64::from_str_radix(number.as_str(), number.radix());
                Self::of_number(kind, read.map_err(|_| wrong(kind, &number.to_string()))?)
            }
            (Kind::Addresses | Kind::SomeOf(_) | Kind::Program, DeValue::Array(items)) => {
                let words = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(word) if kind == Kind::Addresses => Ok(placed(word, folder)),
                    DeValue::String(word) => Ok(word.to_string()),
                    item => Err(wrong(kind, &format!("a list with a {}", word_for(item)))),
                });
                Self::of_list(kind, words.collect::<Result<_, _>>()?)
            }
            (Kind::Groups, DeValue::Table(groups)) => {
                let group = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    let members = match value.get_ref() {
                        DeValue::Integer(number) => {
                            u32::from_str_radix(number.as_str(), number.radix()).ok()
                        }
                        _ => None,
                    };
                    let members = members.ok_or_else(|| {
                        format!("has no number from 1 to 16 for the group `{name}`")
                    })?;
                    Ok::<_, String>((name.to_string(), members))
                };
                Ok(Self::Groups(groups.iter().map(group).collect::<Result<_, _>>()?))
            }
            _ => Err(other()),
        }
    }

    fn of_list(kind: Kind, words: Vec<String>) -> Result<Self, String> {
        match kind {
            Kind::Addresses => {
                if words.is_empty() {
                    return Err(wrong(kind, "empty"));
                }
                for word in &words {
                    word.parse::<Endpoint>().map_err(|why| format!("cannot be `{word}`: {why}"))?;
                }
            }
            Kind::SomeOf(known) => {
                if words.is_empty() {
                    return Err("names no profile".to_owned());
                }
                if let Some(word) = words.iter().find(|word| !known.contains(&word.as_str())) {
                    return Err(format!(
                        "has the unknown profile `{word}`, expected {}",
                        kind.expected()
                    ));
                }
            }
            _ if words.first().is_none_or(String::is_empty) => {
                return Err("names no program".to_owned());
            }
            _ => {}
        }
        Ok(Self::List(words))
    }

    fn of_number(kind: Kind, number: u64) -> Result<Self, String> {
        match kind {
            Kind::Number { min, max } if !(min..=max).contains(&number) => {
                Err(wrong(kind, &number.to_string()))
            }
            _ => Ok(Self::Number(number)),
        }
    }

    fn of_word(kind: Kind, word: &str) -> Result<Self, String> {
        let fits = match kind {
            Kind::OneOf(words) => words.contains(&word),
            _ => Identifier::fits(word),
        };
        if fits { Ok(Self::Word(word.to_owned())) } else { Err(wrong(kind, &format!("`{word}`"))) }
    }

    /// Returns the value for people. The arguments of a program are not shown: they may be secret.
    pub fn shown(&self, kind: Kind) -> String {
        match self {
            Self::List(words) if kind == Kind::Program => match words.as_slice() {
                [] => String::new(),
                [program] => program.clone(),
                [program, hidden @ ..] => format!("{program} (and {} hidden)", hidden.len()),
            },
            Self::List(words) => words.join(", "),
            Self::Path(path) => path.display().to_string(),
            Self::Switch(on) => on.to_string(),
            Self::Word(word) => word.clone(),
            Self::Number(number) => number.to_string(),
            Self::Groups(groups) => groups
                .iter()
                .map(|(name, n)| format!("{name} = {n}"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    /// Returns the value as JSON, without what [`Self::shown`] hides.
    pub fn to_json(&self, kind: Kind) -> serde_json::Value {
        match self {
            Self::List(_) if kind == Kind::Program => json!(self.shown(kind)),
            Self::List(words) => json!(words),
            Self::Path(path) => json!(path.to_string_lossy()),
            Self::Switch(on) => json!(on),
            Self::Word(word) => json!(word),
            Self::Number(number) => json!(number),
            Self::Groups(groups) => json!(groups),
        }
    }
}

/// Places the path of a Unix socket in a folder; other addresses stay as they are.
fn placed(address: &str, folder: &Path) -> String {
    match address.strip_prefix(UNIX_SCHEME).filter(|path| !path.is_empty()) {
        Some(path) => format!("{UNIX_SCHEME}{}", folder.join(path).display()),
        None => address.to_owned(),
    }
}

fn path(path: &Path) -> Result<Value, String> {
    if path.as_os_str().is_empty() {
        return Err("is empty, expected the path of a file".to_owned());
    }
    Ok(Value::Path(path.to_owned()))
}

fn wrong(kind: Kind, found: &str) -> String {
    format!("is {found}, expected {}", kind.expected())
}

fn word_for(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "number",
        DeValue::Float(_) => "number with a fraction",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "list",
        DeValue::Table(_) => "table",
    }
}
