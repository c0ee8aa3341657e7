//! The settings file of Claude Code: which entries are the gate's, and how they are added and removed.

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use signoff_core::object;

use super::shell;
use crate::folder::Folder;
use crate::json_text::JsonText;

/// The events of the gate, in the order in which they are written.
const EVENTS: [&str; 3] = ["PreToolUse", "PostToolUse", "PostToolUseFailure"];
/// The limit that Claude Code sets a hook, its own default in seconds.
pub(super) const HOOK_SECONDS: i64 = 600;
/// Attempts to change settings that other processes change meanwhile.
const ATTEMPTS_MAX: usize = 5;
const BYTES_MAX: u64 = 4 << 20;

/// The settings of Claude Code, which are valid.
pub(super) struct Settings {
    pub(super) text: String,
    value: Value,
}

impl Settings {
    /// Parses the text of a settings file; `None` if it is empty.
    fn parse(path: &Path, text: &str) -> Result<Option<Self>> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let refused = |why: String| anyhow!("`{}` is left as it is, because {why}", path.display());
        let value: Value = serde_json::from_str(text).map_err(|e| {
            refused(format!("it is not valid JSON: {}", object::redacted_message(&e)))
        })?;
        object::refuse_duplicate_members("it", text).map_err(|e| refused(e.message))?;
        let hooks = value.get("hooks");
        if hooks.is_some_and(|hooks| !hooks.is_object()) {
            return Err(refused("`hooks` is not an object".to_owned()));
        }
        for event in EVENTS {
            let list = hooks.and_then(|hooks| hooks.get(event));
            if list.is_some_and(|list| !list.is_array()) {
                return Err(refused(format!("`hooks.{event}` is not a list")));
            }
        }
        Ok(Some(Self { text: text.to_owned(), value }))
    }

    /// Returns the text without the entries of signoff, and without what would be empty then; and those
    /// entries that were written by hand.
    pub(super) fn without(&self) -> (String, Vec<String>) {
        let mut removed = Vec::new();
        let text = in_its_lines(&self.text, |text| {
            let mut json = JsonText { text: text.to_owned() };
            while let Some(entry) = remove_one(&mut json) {
                removed.extend(Some(entry).filter(|entry| !is_as_written(entry)));
            }
            Ok(json.text)
        });
        (text.unwrap_or_else(|_| self.text.clone()), removed)
    }

    /// Returns whether each event has this entry as the only one of signoff.
    pub(super) fn has_only(&self, entry: &Value) -> bool {
        EVENTS.iter().all(|event| {
            let list = self.value.get("hooks").and_then(|hooks| hooks.get(event));
            let list = list.and_then(Value::as_array).into_iter().flatten();
            let own: Vec<&Value> = list
                .filter(|entry| {
                    let handlers = entry.get("hooks").and_then(Value::as_array);
                    handlers.is_some_and(|all| all.iter().any(is_own))
                })
                .collect();
            own == [entry]
        })
    }
}

/// Returns whether a handler is the gate.
fn is_own(handler: &Value) -> bool {
    let command = handler.get("command").and_then(Value::as_str).unwrap_or_default();
    let Ok(commands) = shell::parse(command) else { return false };
    let [command] = commands.as_slice() else { return false };
    let program = command.words.first().map(Path::new).and_then(Path::file_name);
    let own = env::current_exe().ok();
    let own = own.as_deref().and_then(Path::file_name);
    let is_signoff = program.is_some_and(|name| name == "signoff" || Some(name) == own);
    is_signoff && command.words.windows(2).any(|pair| pair == ["hook", "claude"])
}

/// Returns whether an entry is one that `install` writes.
fn is_as_written(entry: &str) -> bool {
    let entry: Value = serde_json::from_str(entry).unwrap_or_default();
    let command = entry.pointer("/hooks/0/command").and_then(Value::as_str).unwrap_or_default();
    entry == written(command)
}

/// Returns the entry of an event.
pub(super) fn written(command: &str) -> Value {
    json!({
        "matcher": "*",
        "hooks": [{
            "type": "command",
            "command": command,
            "timeout": HOOK_SECONDS,
            "onFailure": "block",
        }],
    })
}

/// Changes a text, and keeps CRLF line ends.
pub(super) fn in_its_lines(
    text: &str,
    change: impl FnOnce(&str) -> Result<String>,
) -> Result<String> {
    let lines = text.matches('\n').count();
    if lines == 0 || text.matches("\r\n").count() < lines {
        return change(text);
    }
    Ok(change(&text.replace("\r\n", "\n"))?.replace('\n', "\r\n"))
}

/// Returns settings with an entry for each event.
pub(super) fn with(text: &str, entry: &Value) -> Result<String> {
    let mut json = JsonText { text: text.to_owned() };
    for event in EVENTS {
        let root = json.root();
        let hooks = json.member(&root, "hooks");
        let list = hooks.as_ref().and_then(|hooks| json.member(hooks, event));
        match (hooks, list) {
            (_, Some(list)) => json.append(&list, 3, None, entry),
            (Some(hooks), None) => json.append(&hooks, 2, Some(event), &json!([entry])),
            (None, None) => json.append(&root, 1, Some("hooks"), &json!({ event: [entry] })),
        }
    }
    serde_json::from_str::<Value>(&json.text).context("the settings would not be valid JSON")?;
    Ok(json.text)
}

/// Removes one entry of signoff. Returns its text, or that of its handler among others.
fn remove_one(json: &mut JsonText) -> Option<String> {
    let root = json.root();
    for event in EVENTS {
        let list = |json: &JsonText| {
            let hooks = json.member(&json.root(), "hooks")?;
            Some((json.member(&hooks, event)?, hooks))
        };
        let Some((entries, _)) = list(json) else { continue };
        for (index, entry) in json.parts(&entries).iter().enumerate() {
            if json.text.as_bytes().get(entry.value.start) != Some(&b'{') {
                continue;
            }
            let text =
                |json: &JsonText, at: &Range<usize>| json.text.get(at.clone()).map(str::to_owned);
            let Some(handlers) = json.member(&entry.value, "hooks") else { continue };
            if json.text.as_bytes().get(handlers.start) != Some(&b'[') {
                continue;
            }
            let handlers_parts = json.parts(&handlers);
            let own = handlers_parts.iter().position(|part| {
                let handler = text(json, &part.value).unwrap_or_default();
                serde_json::from_str(&handler).is_ok_and(|handler| is_own(&handler))
            });
            let Some(own) = own else { continue };
            if handlers_parts.len() > 1 {
                let removed = handlers_parts.get(own).and_then(|part| text(json, &part.value));
                json.remove(&handlers, own);
                return removed;
            }
            let removed = text(json, &entry.value);
            json.remove(&entries, index);
            let Some((entries, hooks)) = list(json) else { return removed };
            if json.is_empty(&entries) {
                remove_member(json, &hooks, event);
            }
            let hooks = json.member(&root, "hooks");
            if hooks.is_some_and(|hooks| json.is_empty(&hooks)) {
                let root = json.root();
                remove_member(json, &root, "hooks");
            }
            return removed;
        }
    }
    None
}

fn remove_member(json: &mut JsonText, object: &Range<usize>, name: &str) {
    let value = json.member(object, name);
    let index = json.parts(object).iter().position(|part| Some(&part.value) == value.as_ref());
    if let Some(index) = index {
        json.remove(object, index);
    }
}

/// Reads a settings file; `None` if there is none.
///
/// # Errors
///
/// A link leads nowhere, it is not a regular file, not text, or too large.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    let cannot = || format!("cannot read `{}`", path.display());
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let is_link = path.symlink_metadata().is_ok();
            ensure!(!is_link, "`{}` is a link that leads nowhere", path.display());
            return Ok(None);
        }
        Err(e) => return Err(e).with_context(cannot),
    };
    ensure!(meta.is_file(), "`{}` is not a regular file", path.display());
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text))
        .with_context(cannot)?;
    ensure!(text.len() as u64 <= BYTES_MAX, "`{}` is too large", path.display());
    Ok(Some(text))
}

/// Changes settings; `make` returns the new text and the entries that it removes. Returns whether they
/// changed, and those entries.
pub(super) fn change(
    path: &Path,
    project: bool,
    make: impl Fn(Option<&Settings>) -> Result<Option<(String, Vec<String>)>>,
) -> Result<(bool, Vec<String>)> {
    for _ in 0..ATTEMPTS_MAX {
        let found = read(path)?;
        let before =
            found.as_deref().map(|text| Settings::parse(path, text)).transpose()?.flatten();
        let Some((text, removed)) = make(before.as_ref())? else { return Ok((false, Vec::new())) };
        if write(path, &text, project, found.as_deref())? {
            return Ok((true, removed));
        }
    }
    bail!("`{}` is changed all the time; nothing was written", path.display())
}

/// Writes settings in place of earlier ones, with their mode. Behind a link, the file that it leads to
/// is replaced. Returns false if they are not what they were.
fn write(path: &Path, text: &str, project: bool, before: Option<&str>) -> Result<bool> {
    let written = || format!("cannot write `{}`", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(written)?;
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let (folder, name) = Folder::of(&real).with_context(written)?;
    let mode = if project { 0o644 } else { 0o600 };
    let mut draft = folder.draft(&name, mode).with_context(written)?;
    if let Ok((_, before)) = folder.read(&name) {
        ensure!(!before.permissions().readonly(), "`{}` is read-only", path.display());
        draft.resemble(&before).with_context(written)?;
    }
    draft.write_all(text.as_bytes()).with_context(written)?;
    // Before it is read again, because this takes most of the time.
    draft.file().and_then(|file| file.sync_all()).with_context(written)?;
    if read(path)?.as_deref() != before {
        return Ok(false);
    }
    match before {
        // A file that appears meanwhile is kept.
        None => match draft.create(&name) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
            created => created.with_context(written)?,
        },
        Some(_) => draft.replace(&name).with_context(written)?,
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn settings_that_changed_meanwhile_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.json");
        let now = || fs::read_to_string(&path).unwrap();
        assert!(write(&path, "1", true, None).unwrap());
        assert!(!write(&path, "2", true, None).unwrap());
        assert!(!write(&path, "2", true, Some("0")).unwrap());
        assert_eq!(now(), "1");
        assert!(write(&path, "2", true, Some("1")).unwrap());
        // Another process writes between the reading and the writing, once.
        fs::write(&path, "{}").unwrap();
        let is_first = std::cell::Cell::new(true);
        let entry = written("x");
        let changed = change(&path, true, |before| {
            if is_first.replace(false) {
                fs::write(&path, "{\"a\": 1}").unwrap();
            }
            Ok(Some((with(&before.unwrap().text, &entry)?, Vec::new())))
        });
        assert!(changed.unwrap().0);
        assert!(now().starts_with("{\"a\": 1") && now().contains("PreToolUse"), "{}", now());
        let always = change(&path, true, |before| {
            fs::write(&path, format!("{} ", before.unwrap().text)).unwrap();
            Ok(Some((String::new(), Vec::new())))
        });
        assert!(always.is_err());
    }
}
