//! The accepted texts of tools: a private file for each server.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use super::tools::{Listed, TOOLS_MAX};
use crate::folder::Folder;

const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is known of a server's tools.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    format: u32,
    /// The name of the server.
    pub(crate) server: String,
    /// The tools by their names.
    pub(crate) tools: BTreeMap<String, Texts>,
}

/// The texts of one tool.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Texts {
    /// Each of them may be called.
    pub(crate) accepted: Vec<String>,
    /// What the server listed instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offered: Option<String>,
}

/// What is known of one text of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// It is accepted.
    Accepted,
    /// Another text is.
    Changed,
    /// No text of this tool is.
    Unknown,
}

/// The files.
pub(crate) struct Pins {
    folder: Folder,
    /// The administrator's file of each server that has one; for the others, the first text of a tool is
    /// accepted.
    given: BTreeMap<String, Record>,
}

impl Pins {
    /// Uses the files of a folder. Of a server with an administrator's file, only what it accepts may be
    /// called.
    pub(crate) fn new(folder: Folder, given: Vec<Record>) -> Self {
        let given = given.into_iter().map(|record| (record.server.clone(), record)).collect();
        Self { folder, given }
    }

    /// Takes what a server listed. Returns what is known of each text.
    ///
    /// # Errors
    ///
    /// The files cannot be read or written.
    pub(super) fn take(&self, server: &str, page: &[Listed]) -> Result<Vec<Pinned>, String> {
        self.updated(server, |record| page.iter().map(|tool| self.take_one(record, tool)).collect())
            .map_err(|e| format!("the accepted tools cannot be read or recorded: {e:#}"))
    }

    fn take_one(&self, record: &mut Record, tool: &Listed) -> Pinned {
        let is_full = record.tools.len() >= TOOLS_MAX;
        let known = record.tools.get(&tool.name);
        if let Some(given) = self.given.get(&record.server) {
            let given = given.tools.get(&tool.name);
            if given.is_some_and(|given| given.accepted.contains(&tool.text)) {
                return Pinned::Accepted;
            }
            let pinned = given.map_or(Pinned::Unknown, |_| Pinned::Changed);
            if known.is_some() || !is_full {
                let texts = record.tools.entry(tool.name.clone()).or_default();
                texts.offered = Some(tool.text.clone());
            }
            return pinned;
        }
        match known {
            Some(texts) if texts.accepted.contains(&tool.text) => Pinned::Accepted,
            Some(texts) if !texts.accepted.is_empty() => {
                let texts = record.tools.entry(tool.name.clone()).or_default();
                texts.offered = Some(tool.text.clone());
                Pinned::Changed
            }
            None if is_full => Pinned::Unknown,
            _ => {
                note(&record.server, &tool.name);
                let texts = Texts { accepted: vec![tool.text.clone()], offered: None };
                record.tools.insert(tool.name.clone(), texts);
                Pinned::Accepted
            }
        }
    }

    /// Returns the accepted texts of a tool.
    pub(super) fn accepted(&self, server: &str, tool: &str) -> Vec<String> {
        let own = self.load(server).ok();
        let record = self.given.get(server).or(own.as_ref());
        let texts = record.and_then(|record| record.tools.get(tool));
        texts.map(|texts| texts.accepted.clone()).unwrap_or_default()
    }

    /// Accepts a text of a tool in the place of the others.
    pub(crate) fn accept(&self, server: &str, tool: &str, text: &str) -> Result<(), String> {
        if self.given.contains_key(server) {
            return Err("only the administrator changes the file of --pins".to_owned());
        }
        self.updated(server, |record| {
            let texts = Texts { accepted: vec![text.to_owned()], offered: None };
            record.tools.insert(tool.to_owned(), texts);
        })
        .map_err(|e| format!("{e:#}"))
    }

    /// Changes a record. Two processes do so one after the other.
    pub(crate) fn updated<T>(
        &self,
        server: &str,
        change: impl FnOnce(&mut Record) -> T,
    ) -> Result<T> {
        let _lock = self.folder.lock().context("the state folder cannot be locked")?;
        let before = self.load(server)?;
        let mut record = before.clone();
        let done = change(&mut record);
        if record != before {
            let text = serde_json::to_vec(&record)?;
            self.folder.replace(&file_name(server), &text).context("it cannot be written")?;
        }
        Ok(done)
    }

    /// Returns what is known of a server.
    pub(crate) fn load(&self, server: &str) -> Result<Record> {
        match self.folder.read(&file_name(server)) {
            Ok((file, _)) => parse(file, server),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Record::empty(server)),
            Err(e) => Err(e).context("it cannot be read"),
        }
    }

    /// Returns the names of the servers that are known.
    pub(crate) fn servers(&self) -> io::Result<Vec<String>> {
        let is_record = |name: &OsStr| name.to_str().is_some_and(|name| name.ends_with(SUFFIX));
        let files = self.folder.files(is_record)?.into_iter();
        let name = |name: OsString| Some(name.to_str()?.strip_suffix(SUFFIX)?.to_owned());
        let mut names: Vec<String> = files.filter_map(|(file, _)| name(file)).collect();
        names.sort();
        Ok(names)
    }
}

const SUFFIX: &str = ".json";

fn file_name(server: &str) -> OsString {
    format!("{server}{SUFFIX}").into()
}

impl Record {
    /// Returns the record of a server of which nothing is known.
    pub(crate) fn empty(server: &str) -> Self {
        Self { format: FORMAT, server: server.to_owned(), tools: BTreeMap::new() }
    }

    /// Reads an administrator's file.
    pub(crate) fn of_file(path: &Path, server: &str) -> Result<Self> {
        let named = || format!("`{}`", path.display());
        parse(std::fs::File::open(path).with_context(named)?, server).with_context(named)
    }
}

fn parse(file: impl Read, server: &str) -> Result<Record> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    let record: Record =
        serde_json::from_str(&text).map_err(|e| anyhow!("it is malformed: {e}"))?;
    ensure!(record.format == FORMAT, "it is of another version of signoff");
    ensure!(record.server == server, "it is about another server, `{}`", record.server);
    Ok(record)
}

fn note(server: &str, tool: &str) {
    super::session::note(&format!("the tool `{tool}` of `{server}` is new, and accepted as it is"));
}
