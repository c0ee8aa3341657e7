//! `signoff mcp tools` and `signoff mcp accept`: the texts of tools that may be called.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use signoff_core::deceptive::{in_lines, in_one_line};

use super::{PINS, server_name};
use crate::cli::approve::prompt;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{line, note, painted, plain, table};
use crate::cli::policy::lines::differing;
use crate::cli::tool_use::state_folder;
use crate::folder::Folder;
use crate::mcp::{Pins, Record, Texts, digest};

/// Longest part of a description in a table.
const DESCRIPTION_CHARS_MAX: usize = 60;

#[derive(Args)]
pub(in crate::cli) struct ToolsArgs {
    /// The server [default: all]
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    name: Option<String>,
    /// Show the whole text of each tool
    #[arg(long)]
    full: bool,
}

#[derive(Args)]
pub(in crate::cli) struct AcceptArgs {
    /// The server
    #[arg(long, value_name = "NAME", value_parser = server_name)]
    name: String,
    /// The tools [default: all that have changed]
    tools: Vec<String>,
    /// Accept them in this administrator's file, which is created if it is missing
    #[arg(long, value_name = "FILE")]
    pins: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
}

/// Lists what is known of the tools.
pub(super) fn list(args: &ToolsArgs, json: bool) -> Result<Exit, Failure> {
    let pins = Pins::new(state_folder(PINS)?, Vec::new());
    let servers = match &args.name {
        Some(name) => vec![name.clone()],
        None => pins.servers()?,
    };
    let mut rows = Vec::new();
    let mut items = Vec::new();
    for server in servers {
        let record = pins.load(&server).with_context(|| format!("the tools of `{server}`"))?;
        for (name, texts) in record.tools {
            let state = match (&texts.accepted[..], &texts.offered) {
                ([], _) => "not accepted",
                (_, Some(_)) => "changed",
                (_, None) => "accepted",
            };
            let text = texts.accepted.first().or(texts.offered.as_ref()).cloned();
            let text = text.unwrap_or_default();
            if json {
                items.push(json!({
                    "server": server, "tool": name, "state": state, "sha256": digest(&text),
                    "accepted": texts.accepted, "offered": texts.offered,
                }));
            } else if args.full {
                plain(&format!("{server} {} ({state})", in_one_line(&name)));
                plain(&in_lines(&pretty(&text)));
            }
            let digest: String = digest(&text).chars().take(12).collect();
            let name = in_one_line(&name);
            rows.push([server.clone(), name, state.to_owned(), digest, description(&text)]);
        }
    }
    if json {
        line(&json!({ "items": items }).to_string());
    } else if !args.full {
        table(["server", "tool", "state", "sha256", "description"], rows);
    }
    Ok(Exit::Done)
}

/// Shows what changed in tools, and accepts it.
pub(super) fn accept(args: &AcceptArgs) -> Result<Exit, Failure> {
    let server = args.name.as_str();
    let pins = Pins::new(state_folder(PINS)?, Vec::new());
    let seen = pins.load(server).with_context(|| format!("the tools of `{server}`"))?;
    let given = args.pins.as_deref().map(|path| given(path, server)).transpose()?;
    let mut chosen = Vec::new();
    for (name, texts) in &seen.tools {
        if !args.tools.is_empty() && !args.tools.contains(name) {
            continue;
        }
        let known = given.as_ref().map_or(Some(texts), |record| record.tools.get(name));
        let before = known.and_then(|texts| texts.accepted.first());
        // An administrator's file also takes what was accepted as it was first listed.
        let after = texts.offered.as_ref().or_else(|| given.as_ref().and(texts.accepted.first()));
        if let Some(after) = after.filter(|after| Some(*after) != before) {
            chosen.push((name.clone(), before.cloned(), after.clone()));
        }
    }
    if let Some(unknown) = args.tools.iter().find(|tool| !seen.tools.contains_key(*tool)) {
        let shown = in_one_line(unknown);
        return Err(Failure::usage(format!("the server `{server}` has not listed `{shown}`")));
    }
    if chosen.is_empty() {
        note(&format!("no tool of `{server}` has changed"));
        return Ok(Exit::Done);
    }
    for (name, before, after) in &chosen {
        show(name, before.as_deref(), after);
    }
    if !args.yes {
        let answer = prompt("Accept? Models read these texts as instructions. [y/N] ")?;
        let answer = answer.unwrap_or_default().to_ascii_lowercase();
        if !matches!(answer.as_str(), "y" | "yes") {
            note("nothing is accepted");
            return Ok(Exit::Refused);
        }
    }
    match (&args.pins, given) {
        (Some(path), Some(mut record)) => {
            for (name, _, after) in chosen {
                record.tools.insert(name, Texts { accepted: vec![after], offered: None });
            }
            let (folder, name) = Folder::of(path)?;
            write(&folder, &name, &record)?;
        }
        _ => {
            for (name, _, after) in &chosen {
                pins.accept(server, name, after).map_err(Failure::usage)?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Reads an administrator's file; an empty one if it is missing.
fn given(path: &Path, server: &str) -> Result<Record, Failure> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Record::empty(server)),
        _ => Ok(Record::of_file(path, server)?),
    }
}

fn write(folder: &Folder, name: &OsStr, record: &Record) -> Result<(), Failure> {
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    Ok(folder.replace(name, &text).context("the file cannot be written")?)
}

/// Shows what changes in a tool. The texts are a server's: nothing in them is hidden.
fn show(name: &str, before: Option<&str>, after: &str) {
    plain(&format!("tool {}", in_one_line(name)));
    let escaped = |text: &str| in_lines(&pretty(text));
    let (old, new) = match before {
        Some(before) if pretty(before) == pretty(after) => (in_lines(before), in_lines(after)),
        Some(before) => (escaped(before), escaped(after)),
        None => (String::new(), escaped(after)),
    };
    for change in differing(&old, &new) {
        painted(change.mark.style(), &change.text);
    }
    plain(&format!("sha256 {}", digest(after)));
}

/// Returns a tool's text in lines.
fn pretty(text: &str) -> String {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| text.to_owned())
}

fn description(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let words = value.get("description").and_then(Value::as_str).unwrap_or_default();
    in_one_line(&words.chars().take(DESCRIPTION_CHARS_MAX).collect::<String>())
}
