//! One server in the configuration of a client, as it is and with the gate in front of it.

use std::ops::Range;

use anyhow::Context;
use serde_json::Value;

use crate::cli::gate_options;
use crate::cli::mcp::http::ENTRY;
use crate::json_text::JsonText;

/// Types of servers over Streamable HTTP.
const HTTP: [&str; 4] = ["http", "streamable-http", "streamableHttp", "streamable_http"];
/// Members of a server over HTTP that the client would act on, and the gate does not.
const NOT_KEPT: [&str; 4] = ["oauth", "auth", "headersHelper", "authProviderType"];
/// Members that are replaced in the entry of a server over HTTP.
const REPLACED: [&str; 3] = ["type", "url", "headers"];
/// Members that stand in their place.
const OF_GATE: [&str; 4] = ["type", "command", "args", "env"];

/// The gate in front of a server.
pub(super) struct Change<'a> {
    /// The name of the server in actions.
    pub(super) gate: &'a str,
    /// Options of the gate.
    pub(super) options: &'a [String],
}

/// A server that has the gate.
pub(super) struct Gated {
    /// The name of the server in actions.
    pub(super) gate: Option<String>,
    arguments: Vec<String>,
}

/// Returns the text of an entry.
pub(super) fn source(text: &JsonText, entry: &Range<usize>) -> String {
    text.text.get(entry.clone()).unwrap_or_default().to_owned()
}

fn value(text: &JsonText, entry: &Range<usize>) -> Value {
    serde_json::from_str(&source(text, entry)).unwrap_or_default()
}

/// Returns the strings of a list.
fn strings(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns the gate of an entry, if it has one.
pub(super) fn gated(text: &JsonText, entry: &Range<usize>) -> Option<Gated> {
    let value = value(text, entry);
    let command = value.get("command")?.as_str()?;
    let arguments = strings(value.get("args")?)?;
    let is_gate = arguments.starts_with(&["mcp".to_owned(), "gate".to_owned()]);
    if !is_gate || !gate_options::is_program(command) {
        return None;
    }
    let own = arguments.split(|one| one == "--").next().unwrap_or_default();
    let after = own.iter().skip_while(|one| *one != "--name").nth(1).cloned();
    let gate =
        after.or_else(|| own.iter().find_map(|one| Some(one.strip_prefix("--name=")?.to_owned())));
    Some(Gated { gate, arguments })
}

impl Change<'_> {
    /// Puts the gate in front of a server.
    ///
    /// # Errors
    ///
    /// The entry is not one of a command or of an address of Streamable HTTP.
    pub(super) fn apply(&self, text: &mut JsonText, entry: &Range<usize>) -> Result<(), String> {
        let value = value(text, entry);
        let object = value.as_object().ok_or("its entry is not an object")?;
        let program = gate_options::program().map_err(|e| e.to_string())?;
        match (object.get("command"), object.get("url")) {
            (Some(_), Some(_)) => Err("it has both `command` and `url`".to_owned()),
            (Some(Value::String(_)), None) => {
                let kind = object.get("type").map_or(Some("stdio"), Value::as_str);
                if kind != Some("stdio") {
                    return Err("its `type` is not `stdio`".to_owned());
                }
                self.in_front_of_command(text, entry, &program)
            }
            (None, Some(Value::String(url))) => {
                match object.get("type") {
                    None => {}
                    Some(Value::String(kind)) if HTTP.contains(&kind.as_str()) => {}
                    Some(_) => return Err("its `type` is not Streamable HTTP".to_owned()),
                }
                if let Some(name) = NOT_KEPT.iter().find(|name| object.contains_key(**name)) {
                    return Err(format!("the gate does not sign in as `{name}` says"));
                }
                let headers = object.get("headers").map(Value::as_object);
                if headers
                    .is_some_and(|all| all.is_none_or(|all| !all.values().all(Value::is_string)))
                {
                    return Err("its `headers` are not strings".to_owned());
                }
                let members = ["command", "args", "env"];
                if let Some(name) = members.iter().find(|name| object.contains_key(**name)) {
                    return Err(format!("it has both `url` and `{name}`"));
                }
                self.in_front_of_address(text, entry, &program, url);
                Ok(())
            }
            _ => Err("it has neither `command` nor `url`".to_owned()),
        }
    }

    /// Returns the arguments before those of the server.
    fn arguments(&self, name: &[String]) -> Vec<String> {
        let gate = ["mcp", "gate"].map(str::to_owned);
        gate.into_iter().chain(name.iter().cloned()).chain(self.options.iter().cloned()).collect()
    }

    /// Inserts the gate before the command. What is inserted is one piece, so that it can be removed again
    /// without a trace.
    fn in_front_of_command(
        &self,
        text: &mut JsonText,
        entry: &Range<usize>,
        program: &str,
    ) -> Result<(), String> {
        let command = text.member(entry, "command").ok_or("it has no `command`")?;
        let written = source(text, &command);
        let join = |all: &[String], separator: &str| {
            let quoted = all.iter().map(|one| quoted(one));
            let quoted = quoted.chain(["\"--\"".to_owned(), written.clone()]);
            quoted.collect::<Vec<_>>().join(separator)
        };
        let Some(list) = text.member(entry, "args") else {
            // `--name=NAME` in one word says that there was no `args`.
            let all = self.arguments(&[format!("--name={}", self.gate)]);
            let before = blanks_before(text, entry, "command");
            let members = format!("{},{before}\"args\": [{}]", quoted(program), join(&all, ", "));
            text.text.replace_range(command, &members);
            return Ok(());
        };
        if strings(&value(text, &list)).is_none() {
            return Err("its `args` are not strings".to_owned());
        }
        let all = self.arguments(&["--name".to_owned(), self.gate.to_owned()]);
        let parts = text.parts(&list);
        let first = parts.first().map_or(list.start + 1, |part| part.value.start);
        let blanks = text.text.get(list.start + 1..first).unwrap_or_default();
        let separator = match blanks.contains('\n') {
            true => format!(",{blanks}"),
            false => ", ".to_owned(),
        };
        let after = if parts.is_empty() { "" } else { separator.as_str() };
        let inserted = format!("{}{after}", join(&all, &separator));
        // The later one first, because a change moves what follows.
        if list.start > command.start {
            text.text.insert_str(first, &inserted);
            text.text.replace_range(command, &quoted(program));
        } else {
            text.text.replace_range(command, &quoted(program));
            text.text.insert_str(first, &inserted);
        }
        Ok(())
    }

    /// Replaces an entry with an address by one with a command. The old one is in its environment.
    fn in_front_of_address(
        &self,
        text: &mut JsonText,
        entry: &Range<usize>,
        program: &str,
        url: &str,
    ) {
        let mut arguments = self.arguments(&["--name".to_owned(), self.gate.to_owned()]);
        arguments.extend(["--upstream".to_owned(), url.to_owned()]);
        let arguments: Vec<String> = arguments.iter().map(|one| quoted(one)).collect();
        let old = source(text, entry);
        let mut members = Vec::new();
        if text.member(entry, "type").is_some() {
            members.push("\"type\": \"stdio\"".to_owned());
        }
        members.push(format!("\"command\": {}", quoted(program)));
        members.push(format!("\"args\": [{}]", arguments.join(", ")));
        members.push(format!("\"env\": {{{}: {}}}", quoted(ENTRY), quoted(&old)));
        for (name, value) in kept(text, entry, &REPLACED) {
            members.push(format!("{}: {value}", quoted(&name)));
        }
        let parts = text.parts(entry);
        let first =
            parts.first().and_then(|part| part.name.as_ref()).map_or(entry.end, |n| n.start);
        let last = parts.last().map_or(entry.start + 1, |part| part.value.end);
        let before = text.text.get(entry.start + 1..first).unwrap_or_default();
        let after = text.text.get(last..entry.end.saturating_sub(1)).unwrap_or_default();
        let separator = if before.is_empty() { ", ".to_owned() } else { format!(",{before}") };
        let new = format!("{{{before}{}{after}}}", members.join(&separator));
        text.text.replace_range(entry.clone(), &new);
    }
}

impl Gated {
    /// Takes the gate out again.
    ///
    /// # Errors
    ///
    /// The entry was changed so that what was before is not known.
    pub(super) fn undo(self, text: &mut JsonText, entry: &Range<usize>) -> Result<(), String> {
        match self.arguments.iter().position(|one| one == "--") {
            Some(end) => self.without_command(text, entry, end),
            None => without_address(text, entry),
        }
        .map_err(|e| format!("{e:#}"))
    }

    fn without_command(
        &self,
        text: &mut JsonText,
        entry: &Range<usize>,
        end: usize,
    ) -> anyhow::Result<()> {
        let list = text.member(entry, "args").context("it has no `args`")?;
        let parts = text.parts(&list);
        let command = parts.get(end + 1).context("the gate has no command")?;
        let written = source(text, &command.value);
        let had_none = parts.len() == end + 2
            && self.arguments.iter().take(end).any(|one| one.starts_with("--name="));
        // The later one first, because a change moves what follows.
        let place = text.member(entry, "command").context("it has no `command`")?;
        let first = parts.first().map_or(command.value.start, |part| part.value.start);
        let rest = parts.get(end + 2).map_or(command.value.end, |part| part.value.start);
        let remove = |text: &mut JsonText| {
            let index = text.parts(entry).iter().position(|part| part.value == list);
            match index.filter(|_| had_none) {
                Some(index) => text.remove(entry, index),
                None => text.text.replace_range(first..rest, ""),
            }
        };
        if list.start > place.start {
            remove(text);
            text.text.replace_range(place, &written);
        } else {
            text.text.replace_range(place, &written);
            remove(text);
        }
        Ok(())
    }
}

fn without_address(text: &mut JsonText, entry: &Range<usize>) -> anyhow::Result<()> {
    let value = value(text, entry);
    let env = value.get("env").and_then(Value::as_object);
    let old = env.filter(|env| env.len() == 1).and_then(|env| env.get(ENTRY)?.as_str());
    let old = old.with_context(|| format!("`env` is not {ENTRY} alone"))?.to_owned();
    let before = JsonText { text: old };
    serde_json::from_str::<serde_json::Map<String, Value>>(&before.text)
        .with_context(|| format!("{ENTRY} is not an entry"))?;
    if kept(&before, &before.root(), &REPLACED) != kept(text, entry, &OF_GATE) {
        anyhow::bail!("it was changed since the import; change it by hand");
    }
    text.text.replace_range(entry.clone(), &before.text);
    Ok(())
}

/// Returns the members of an entry but some, with their texts.
fn kept(text: &JsonText, entry: &Range<usize>, without: &[&str]) -> Vec<(String, String)> {
    let parts = text.parts(entry).into_iter();
    let named = parts.filter_map(|part| {
        let name: String = serde_json::from_str(text.text.get(part.name?)?).ok()?;
        Some((name, source(text, &part.value)))
    });
    named.filter(|(name, _)| !without.contains(&name.as_str())).collect()
}

/// Returns the blanks before a member.
fn blanks_before(text: &JsonText, entry: &Range<usize>, name: &str) -> String {
    let value = text.member(entry, name);
    let part = text.parts(entry).into_iter().find(|part| Some(&part.value) == value.as_ref());
    let start = part.and_then(|part| part.name).map_or(entry.start, |name| name.start);
    let before = text.text.get(entry.start..start).unwrap_or_default();
    let blanks = before.trim_end_matches([' ', '\t', '\r', '\n']).len();
    before.get(blanks..).unwrap_or_default().to_owned()
}
