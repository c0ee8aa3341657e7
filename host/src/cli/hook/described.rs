//! The context of a tool's use: its input as it is, the folder, and what helps an approver to read it.

use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::change;
use super::event::{Event, Harness};
use super::shell::{self, Simple};
use crate::cli::run::plan::find_program;

/// Describes a use of a tool. Returns the context, JSON. `nonce` makes the context one of a certain
/// request where the coding agent gives the use no id.
///
/// # Errors
///
/// A file that the tool changes cannot be read or shown.
pub(super) fn describe(event: &Event, harness: Harness, nonce: Option<&str>) -> Result<String> {
    // Of duplicate members this has the last; the verifier refuses them in the context.
    let input: Value = serde_json::from_str(event.input.get())?;
    let mut members = change::describe(event, harness, &input)?;
    if is_shell(&event.tool) {
        members.extend(commands(&input, &event.folder));
    }
    members.insert("folder".to_owned(), event.folder.to_string_lossy().into());
    members.insert("session".to_owned(), event.session.clone().into());
    match (nonce, &event.tool_use) {
        (Some(nonce), _) => members.insert("nonce".to_owned(), nonce.into()),
        (None, tool_use) => members.insert("tool_use".to_owned(), json!(tool_use)),
    };
    let rest = Value::Object(members).to_string();
    Ok(format!("{{\"input\":{},{}", event.input.get(), rest.trim_start_matches('{')))
}

fn is_shell(tool: &str) -> bool {
    matches!(tool, "Bash" | "bash")
}

/// Returns the commands of a shell's input.
fn commands(input: &Value, folder: &Path) -> Map<String, Value> {
    let line = input.get("command").and_then(Value::as_str);
    let parsed = line.ok_or("the input has no `command`").and_then(shell::parse);
    let members = match parsed {
        Ok(commands) => {
            let commands: Vec<Value> = commands.iter().map(|one| shown(one, folder)).collect();
            json!({ "parsed": true, "commands": commands })
        }
        Err(why) => json!({ "parsed": false, "unparsed": why }),
    };
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn shown(command: &Simple, folder: &Path) -> Value {
    let mut shown = Map::new();
    shown.insert("words".to_owned(), json!(command.words));
    let name = command.words.first().map(String::as_str).unwrap_or_default();
    let is_known =
        !(command.is_builtin() || command.moved && name.contains('/') && !name.starts_with('/'));
    let program = is_known.then(|| find_program(name, folder)).flatten();
    shown.insert(
        "program".to_owned(),
        json!(program.map(|path| path.to_string_lossy().into_owned())),
    );
    if command.is_builtin() {
        shown.insert("builtin".to_owned(), true.into());
    }
    if !command.assignments.is_empty() {
        shown.insert("assignments".to_owned(), json!(command.assignments));
    }
    if !command.redirections.is_empty() {
        let all: Vec<Value> = command
            .redirections
            .iter()
            .map(|(operator, target)| json!({ "operator": operator, "target": target }))
            .collect();
        shown.insert("redirections".to_owned(), all.into());
    }
    if let Some(after) = command.after {
        shown.insert("after".to_owned(), after.into());
    }
    if command.depth > 0 {
        shown.insert("subshell".to_owned(), command.depth.into());
    }
    if command.patterns {
        shown.insert("patterns".to_owned(), true.into());
    }
    Value::Object(shown)
}
