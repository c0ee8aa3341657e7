//! The context of a tool's use: its input as it is, the folder, and what helps an approver to read it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::{Access, access};
use serde_json::{Map, Value, json};

use super::change;
use super::event::{Event, Harness};
use super::shell::{self, Simple};
use crate::cli::run::plan::is_program;

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

/// Returns the path of the program that a shell finds. Without the folder, nothing is known that depends on
/// it: a relative name, and what follows a relative or empty entry of `PATH`.
fn program(name: &str, paths: &OsStr, folder: Option<&Path>) -> Option<PathBuf> {
    if name.contains('/') {
        let path = Path::new(name);
        let path = if path.is_absolute() { path.to_owned() } else { folder?.join(path) };
        return Some(path).filter(|path| is_executable(path));
    }
    if name.is_empty() {
        return None;
    }
    for entry in env::split_paths(paths) {
        let entry = if entry.is_absolute() { entry } else { folder?.join(entry) };
        let path = entry.join(name);
        if is_executable(&path) {
            return Some(path);
        }
    }
    None
}

/// Returns whether this user may execute a file: a shell takes the next one otherwise.
fn is_executable(path: &Path) -> bool {
    is_program(path) && access(path, Access::EXEC_OK).is_ok()
}

fn shown(command: &Simple, folder: &Path) -> Value {
    let mut shown = Map::new();
    shown.insert("words".to_owned(), json!(command.words));
    let name = command.words.first().map(String::as_str).unwrap_or_default();
    let folder = (!command.moved).then_some(folder);
    let paths = env::var_os("PATH").unwrap_or_default();
    let program = if command.is_builtin() { None } else { program(name, &paths, folder) };
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_program_is_the_one_that_a_shell_finds() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        for name in ["tool", "sub/tool", "abs/tool", "abs/other"] {
            fs::create_dir_all(here.join(name).parent().unwrap()).unwrap();
            fs::write(here.join(name), "").unwrap();
            fs::set_permissions(here.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let abs = here.join("abs").to_str().unwrap().to_owned();
        for (paths, name, found, moved) in [
            (abs.clone(), "tool", Some("abs/tool"), Some("abs/tool")),
            (format!("sub:{abs}"), "tool", Some("sub/tool"), None),
            (format!(":{abs}"), "tool", Some("tool"), None),
            (format!(".:{abs}"), "tool", Some("tool"), None),
            (format!("{abs}:sub"), "tool", Some("abs/tool"), Some("abs/tool")),
            (format!("sub:{abs}"), "other", Some("abs/other"), None),
            (abs.clone(), "./tool", Some("tool"), None),
            (abs, "none", None, None),
        ] {
            let shown = |folder| program(name, OsStr::new(&paths), folder);
            let real = |path: Option<&str>| path.map(|path| here.join(path));
            let same = |path: Option<PathBuf>| path.map(|path| path.canonicalize().unwrap());
            assert_eq!(same(shown(Some(here))), same(real(found)), "{paths} {name}");
            assert_eq!(same(shown(None)), same(real(moved)), "{paths} {name}");
            let mut bash = std::process::Command::new("/bin/bash");
            bash.args(["--norc", "--noprofile", "-c", &format!("type -P {name}")]);
            let ran = bash.current_dir(here).env("PATH", &paths).output().unwrap();
            let text = String::from_utf8(ran.stdout).unwrap();
            let text = Some(text.trim_end()).filter(|text| !text.is_empty());
            assert_eq!(same(real(text)), same(real(found)), "{paths} {name}");
        }
    }
}
