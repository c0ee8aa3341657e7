//! A settings file: TOML whose names and values are those of the table of settings.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Problem};
use super::setting::{ONCE, SETTINGS, Setting};
use super::value::Value;
use super::{Config, Floor};
use crate::folder::is_mine_or_roots;

const FILE_BYTES_MAX: u64 = 64 << 10;
/// How alike two names are if one was probably meant as the other; the value that clap uses for flags.
const ALIKE: f64 = 0.8;

/// The settings of a file, all of them valid; empty if there is no file.
#[derive(Clone, Debug, Default)]
pub struct SettingsFile {
    path: Option<PathBuf>,
    values: BTreeMap<&'static str, Placed>,
}

/// A value and its place in the file.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The value.
    pub value: Value,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl SettingsFile {
    /// Loads the settings of a file. It is empty if no file is given and none is next to the store.
    ///
    /// # Errors
    ///
    /// 1. [`ConfigError::Unreadable`]: a given file that does not exist, one that is not a regular
    ///    file, is too large or is not UTF-8 2. [`ConfigError::Invalid`] with every fault: it is not
    ///    TOML, has unknown names or values of another type or range, a requirement that the accepted
    ///    profiles cannot meet, or settings that only a file named by `--config` may have; a program
    ///    in a file that other users can change
    pub fn load(given: Option<&Path>, store: &Path) -> Result<Self, ConfigError> {
        let path = given.map_or_else(|| super::beside(store), Path::to_owned);
        let unreadable =
            |why: String| ConfigError::Unreadable { path: path.display().to_string(), why };
        match fs::metadata(&path) {
            // A missing folder also means a missing store, for which the store has a better
            // message.
            Err(e) if is_absent(&e) && given.is_none() && fs::symlink_metadata(&path).is_err() => {
                return Ok(Self::default());
            }
            Err(e) => return Err(unreadable(e.to_string())),
            // Reading a pipe would block until it is written to.
            Ok(meta) if !meta.is_file() => return Err(unreadable("it is not a file".to_owned())),
            Ok(meta) if meta.len() > FILE_BYTES_MAX => {
                return Err(unreadable(format!("it is larger than {FILE_BYTES_MAX} bytes")));
            }
            Ok(_) => {}
        }
        let (text, meta) = read(&path).map_err(|e| unreadable(e.to_string()))?;
        // `./tls.pem` is `tls.pem`.
        let folder = path.parent().filter(|folder| *folder != Path::new("."));
        let folder = folder.unwrap_or(Path::new(""));
        let mut reading = Reading::new(&text, folder);
        reading.document();
        reading.restricted(given.is_some(), &meta);
        if reading.problems.is_empty() {
            return Ok(Self { values: reading.values, path: Some(path) });
        }
        reading.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(ConfigError::Invalid { path: path.display().to_string(), problems: reading.problems })
    }

    /// Reads settings from a text, as a file that the user named and that only they can write.
    ///
    /// # Errors
    ///
    /// Every fault, in the order of the text.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Vec<Problem>> {
        let mut reading = Reading::new(text, folder);
        reading.document();
        if reading.problems.is_empty() {
            return Ok(Self { path: None, values: reading.values });
        }
        reading.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(reading.problems)
    }

    /// Returns the file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns a setting's value and place, if the file has it.
    pub fn get(&self, name: &str) -> Option<&Placed> {
        self.values.get(name)
    }

    /// Returns the path that the file names for a setting.
    pub fn path_of(&self, name: &str) -> Option<&Path> {
        match &self.get(name)?.value {
            Value::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the settings that the service needs; unset ones have their defaults.
    pub fn config(&self) -> Config {
        config(&self.values)
    }
}

/// Makes the settings of the service.
fn config(values: &BTreeMap<&'static str, Placed>) -> Config {
    let mut config = Config::default();
    for (name, placed) in values {
        match (*name, placed.value.clone()) {
            ("signatures.accept", Value::List(accept)) => config.signatures.accept = accept,
            ("requirement.threshold", Value::Number(threshold)) => {
                config.requirement.threshold = u32::try_from(threshold).ok();
            }
            ("requirement.groups", Value::Groups(groups)) => config.requirement.groups = groups,
            ("quotas.pending", Value::Number(pending)) => {
                config.quotas.pending = usize::try_from(pending).unwrap_or(usize::MAX);
            }
            ("quotas.pending_bytes", Value::Number(bytes)) => config.quotas.pending_bytes = bytes,
            ("keys.command", Value::List(argv)) => config.keys.command = Some(argv),
            _ => {}
        }
    }
    config
}

/// A text that is being read.
struct Reading<'a> {
    text: &'a str,
    folder: &'a Path,
    values: BTreeMap<&'static str, Placed>,
    problems: Vec<Problem>,
}

impl<'a> Reading<'a> {
    fn new(text: &'a str, folder: &'a Path) -> Self {
        Self { text, folder, values: BTreeMap::new(), problems: Vec::new() }
    }

    fn problem(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.problems.push(Problem::at(self.text, span.start, message));
    }

    fn document(&mut self) {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            // Of the text only a repeated name is quoted: a value may be secret.
            let name =
                self.text.get(span.clone()).filter(|_| error.message().contains("duplicate"));
            let name = name.map(|name| format!(" `{name}`")).unwrap_or_default();
            self.problem(&span, format!("not TOML: {}{name}", error.message()));
        }
        if !errors.is_empty() {
            // What was recovered could only cause further messages.
            return;
        }
        for (table, value) in document.get_ref() {
            match value.get_ref() {
                DeValue::Table(settings) if is_table(table.get_ref()) => {
                    self.table(table.get_ref(), settings);
                }
                _ => {
                    let message = outside_of_tables(table.get_ref());
                    self.problem(&table.span(), message);
                }
            }
        }
        self.agree();
    }

    fn table(&mut self, table: &str, settings: &DeTable<'_>) {
        for (key, value) in settings {
            let name = format!("{table}.{}", key.get_ref());
            match Setting::named(&name) {
                Some(setting) => self.value(setting, value),
                None => self.problem(&key.span(), unknown(table, key.get_ref())),
            }
        }
    }

    fn value(&mut self, setting: &'static Setting, value: &Spanned<DeValue<'_>>) {
        let span = value.span();
        match Value::of_toml(setting.kind, value.get_ref(), self.folder) {
            Ok(value) => {
                let Problem { line, column, .. } = Problem::at(self.text, span.start, "");
                self.values.insert(setting.name, Placed { value, line, column });
            }
            Err(why) => self.problem(&span, format!("{} {why}", setting.name)),
        }
    }

    /// Checks the settings that must agree with each other. Here, not at a request: every request
    /// would be refused, as if the request were wrong.
    fn agree(&mut self) {
        let config = config(&self.values);
        let wrong = match config.requirement.requirement().complete() {
            Err(e) => Some(("requirement.groups", format!("requirement: {}", e.message))),
            Ok(floor) => {
                let accept = config.signatures.accept.iter().map(String::as_str);
                floor.can_be_met_by(accept).err().map(|e| {
                    let why = format!(
                        "signatures.accept names only v1, which cannot meet the requirement: {}",
                        e.message
                    );
                    ("signatures.accept", why)
                })
            }
        };
        if let Some((name, message)) = wrong {
            self.report_at(name, message);
        }
    }

    /// Checks what only some files may have.
    fn restricted(&mut self, is_named: bool, meta: &Metadata) {
        let restricted: Vec<&Setting> = SETTINGS
            .iter()
            .filter(|setting| setting.named_file_only && self.values.contains_key(setting.name))
            .collect();
        for setting in restricted {
            let name = setting.name;
            if !is_named {
                let why =
                    if name == "keys.command" { " runs with your privileges, so it" } else { "" };
                self.report_at(
                    name,
                    format!(
                        "{name}{why} is only accepted in a file named by --config or SIGNOFF_CONFIG"
                    ),
                );
            } else if name == "keys.command" && others_change(meta) {
                self.report_at(name, "keys.command runs with your privileges, so the file must be owned by you or root and not writable by others: chmod go-w");
            }
        }
    }

    fn report_at(&mut self, name: &str, message: impl Into<String>) {
        let (line, column) = self.values.get(name).map_or((1, 1), |at| (at.line, at.column));
        self.problems.push(Problem { line, column, message: message.into() });
    }
}

fn is_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.table() == name)
}

/// Words for a name at the top of a file that is not a table of settings.
fn outside_of_tables(name: &str) -> String {
    if is_table(name) {
        return format!("`{name}` is a table: write `[{name}]`, and its settings below");
    }
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.key() == name) {
        let Setting { name: full, .. } = setting;
        let table = setting.table();
        return format!("`{name}` is outside of a table: {full} goes below `[{table}]`");
    }
    if let Some(once) = only_once(name) {
        return once;
    }
    let mut tables: Vec<&str> = SETTINGS.iter().map(Setting::table).collect();
    tables.dedup();
    match alike(name, tables.iter().copied()) {
        Some(meant) => format!("unknown table `{name}`, did you mean `{meant}`?"),
        None => format!("unknown table `{name}`, expected {}", tables.join(", ")),
    }
}

/// Words for a name that a table of settings does not have.
fn unknown(table: &str, key: &str) -> String {
    if let Some(once) = only_once(key) {
        return once;
    }
    let keys = || {
        let of_table = SETTINGS.iter().filter(|setting| setting.table() == table);
        of_table.map(Setting::key)
    };
    if let Some(meant) = alike(key, keys()) {
        return format!("unknown setting `{table}.{key}`, did you mean `{table}.{meant}`?");
    }
    let elsewhere = SETTINGS.iter().find(|setting| setting.key() == key);
    if let Some(setting) = elsewhere {
        return format!("unknown setting `{table}.{key}`, did you mean `{}`?", setting.name);
    }
    let keys: Vec<&str> = keys().collect();
    format!("unknown setting `{table}.{key}`, expected {}", keys.join(", "))
}

/// Says why a flag that accepts something once is no setting.
fn only_once(name: &str) -> Option<String> {
    let flag = name.replace('_', "-");
    let flag = ONCE.iter().find(|once| **once == flag)?;
    Some(format!(
        "`{name}` is not a setting: it would weaken every start; give --{flag} to the one `signoff serve` that needs it"
    ))
}

fn alike<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = others.map(|other| (strsim::jaro_winkler(name, other), other));
    let close = close.filter(|(likeness, _)| *likeness > ALIKE);
    close.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, other)| other)
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

impl Floor {
    /// Returns the floor as a requirement, which has the same limits.
    pub(crate) fn requirement(&self) -> signoff_core::requirement::PartialRequirement {
        let Self { threshold, groups } = self.clone();
        signoff_core::requirement::PartialRequirement { ttl_seconds: None, threshold, groups }
    }
}
