//! `signoff mcp import`: the gate in front of the servers in the configuration of an MCP client.

mod entry;
mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use clap::{ArgMatches, Args};
use serde_json::{Value, json};
use similar::TextDiff;

use super::server_name;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{json_path, line, note, plain, safe};
use crate::cli::{Global, gate_options};
use crate::json_text::JsonText;
use entry::{Change, Gated};
use file::Configuration;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff mcp import ~/.cursor/mcp.json --dry-run
  signoff mcp import .mcp.json -- --trust /etc/signoff/approvers.json --audience prod
  signoff mcp import .vscode/mcp.json --undo

It takes `mcpServers` of Claude Desktop, Claude Code and Cursor, and `servers` of VS Code. Every other byte of the
file stays as it is, and --undo restores it. A server that the gate cannot stand in front of stops the import: name
it with --skip to leave it without the gate.")]
pub(in crate::cli) struct ImportArgs {
    /// The configuration of the client, JSON
    #[arg(value_name = "CLIENT_CONFIG")]
    file: PathBuf,
    /// Take the gate out again
    #[arg(long, conflicts_with_all = ["options", "skip"])]
    undo: bool,
    /// Show the change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// A server that stays without the gate; may be repeated
    #[arg(long, value_name = "NAME")]
    skip: Vec<String>,
    /// Options of `signoff mcp gate`
    #[arg(last = true, value_name = "OPTIONS")]
    options: Vec<String>,
}

/// What became of a server.
struct Server {
    name: String,
    /// The name in the gate's actions.
    gate: Option<String>,
    state: &'static str,
}

pub(super) fn run(
    args: &ImportArgs,
    global: &Global,
    matches: &ArgMatches,
    json: bool,
) -> Result<Exit, Failure> {
    let before = Configuration::read(&args.file)?;
    let (after, servers) = if args.undo {
        undone(&before)?
    } else {
        let options = gate_options::of_command_line(global, matches, &args.options)?;
        let trial = ["--name", "a"].map(str::to_owned).into_iter().chain(options.clone());
        gate_options::parse("mcp gate", trial.chain(["--", "true"].map(str::to_owned)))?;
        imported(&before, &options, &args.skip)?
    };
    serde_json::from_str::<Value>(&after).context("the configuration would not be valid JSON")?;
    let changed = after != before.text;
    if changed && !args.dry_run {
        before.replace(&after)?;
    }
    print(args, &before, &after, &servers, json);
    Ok(Exit::Done)
}

/// Returns the configuration with the gate in front of each server.
fn imported(
    before: &Configuration,
    options: &[String],
    skip: &[String],
) -> Result<(String, Vec<Server>), Failure> {
    let mut text = JsonText { text: before.text.clone() };
    let mut servers = Vec::new();
    // The names of the gate, with the servers that have them.
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let known = before.servers();
    for name in skip {
        if !known.iter().any(|(_, known)| known == name) {
            return Err(Failure::usage(format!("--skip: there is no server `{}`", safe(name))));
        }
    }
    for (table, name) in known {
        let value = before.entry(&text, &table, &name)?;
        if skip.contains(&name) {
            servers.push(Server { name, gate: None, state: "skipped" });
            continue;
        }
        if let Some(gated) = entry::gated(&text, &value) {
            let gate = gated.gate.clone().unwrap_or_else(|| name.clone());
            names.insert(gate.clone(), restored(gated, entry::source(&text, &value)));
            servers.push(Server { name, gate: Some(gate), state: "already" });
            continue;
        }
        let gate = gate_name(&name);
        let source = entry::source(&text, &value);
        if names.insert(gate.clone(), source.clone()).is_some_and(|other| other != source) {
            return Err(before.refused(&format!(
                "two servers would have the name `{gate}` in the policy's actions: rename one, or leave `{}` out with --skip",
                safe(&name)
            )));
        }
        let change = Change { gate: &gate, options };
        change.apply(&mut text, &value).map_err(|why| {
            before.refused(&format!(
                "the gate cannot stand in front of `{}`: {why}; leave it without the gate with --skip",
                safe(&name)
            ))
        })?;
        servers.push(Server { name, gate: Some(gate), state: "imported" });
    }
    Ok((text.text, servers))
}

/// Returns the configuration without the gate.
fn undone(before: &Configuration) -> Result<(String, Vec<Server>), Failure> {
    let mut text = JsonText { text: before.text.clone() };
    let mut servers = Vec::new();
    for (table, name) in before.servers() {
        let value = before.entry(&text, &table, &name)?;
        let Some(gated) = entry::gated(&text, &value) else { continue };
        let gate = gated.gate.clone();
        gated.undo(&mut text, &value).map_err(|why| {
            before.refused(&format!("the server `{}` cannot be restored: {why}", safe(&name)))
        })?;
        servers.push(Server { name, gate, state: "restored" });
    }
    Ok((text.text, servers))
}

/// Returns an entry without its gate, or as it is if that is not known.
fn restored(gated: Gated, source: String) -> String {
    let mut text = JsonText { text: source.clone() };
    let root = text.root();
    gated.undo(&mut text, &root).map_or(source, |()| text.text)
}

/// Returns the name of a server as it may stand in an action.
fn gate_name(name: &str) -> String {
    let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let mut fitting: String =
        name.chars().map(|char| if fits(char) { char } else { '-' }).collect();
    while server_name(&fitting).is_err() && fitting.pop().is_some() {}
    if fitting.is_empty() { "server".to_owned() } else { fitting }
}

fn print(args: &ImportArgs, before: &Configuration, after: &str, servers: &[Server], json: bool) {
    let changed = after != before.text;
    if json {
        let servers: Vec<Value> = servers
            .iter()
            .map(|one| json!({ "name": one.name, "gate": one.gate, "state": one.state }))
            .collect();
        let shown = json!({
            "file": json_path(&args.file), "changed": changed, "written": changed && !args.dry_run,
            "servers": servers,
        });
        return line(&shown.to_string());
    }
    if args.dry_run {
        let name = args.file.display().to_string();
        let diff = TextDiff::from_lines(&before.text, after);
        plain(diff.unified_diff().header(&name, &name).to_string().trim_end());
    } else {
        plain(&args.file.display().to_string());
    }
    for Server { name, gate, state } in servers {
        let gate = gate.as_deref().unwrap_or_default();
        note(&match *state {
            "imported" => {
                format!("`{name}` goes through the gate: its actions are `mcp:{gate}/TOOL`")
            }
            "already" => format!("`{name}` goes through the gate already, as `{gate}`"),
            "skipped" => format!("`{name}` stays WITHOUT the gate"),
            _ => format!("`{name}` is restored, without the gate"),
        });
    }
    match (changed, args.dry_run) {
        (false, _) => note("nothing changes"),
        (true, true) => note("nothing is written: --dry-run"),
        (true, false) => note("restart the client to use it"),
    }
}

impl Configuration {
    /// Refuses the file as it is.
    fn refused(&self, why: &str) -> Failure {
        Failure::Failed(anyhow!("`{}` is left as it is: {why}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    fn configuration(folder: &Path, text: &str) -> Result<Configuration> {
        let path = folder.join("mcp.json");
        std::fs::write(&path, text).unwrap();
        Configuration::read(&path)
    }

    const FILES: [&str; 8] = [
        // Claude Desktop
        "{\n  \"mcpServers\": {\n    \"files\": {\n      \"command\": \"npx\",\n      \"args\": [\n        \"-y\",\n        \"server\"\n      ],\n      \"env\": { \"A\": \"1\" }\n    }\n  },\n  \"theme\" : 1e3\n}\n",
        // Cursor
        "{\"mcpServers\":{\"a b\":{\"args\":[\"x\"],\"command\":\"caf\\u00e9\",\"future\":[1.0]},\"n\":{\"command\":\"run\"},\"e\":{\"command\":\"run\",\"args\":[ ]}}}",
        // VS Code
        "{\n\t\"inputs\": [],\n\t\"servers\": {\n\t\t\"web\": {\n\t\t\t\"type\": \"http\",\n\t\t\t\"url\": \"https://mcp.example/\",\n\t\t\t\"headers\": { \"Authorization\": \"Bearer ${input:token}\" },\n\t\t\t\"gallery\": true\n\t\t}\n\t}\n}\n",
        "{\"servers\":{\"web\":{\"url\":\"https://mcp.example/?a=b\"}}}",
        // Claude Code
        "{\"projects\": {\"/w\": {\"mcpServers\": {\"one\": {\"type\": \"stdio\", \"command\": \"one\", \"args\": []}}}}, \"mcpServers\": {}}",
        "{\n  \"mcp\": {\n    \"servers\": {\n      \"one\": {\n        \"command\": \"one\",\n        \"cwd\": \"/w\"\n      }\n    }\n  }\n}",
        "{\"mcpServers\":{\"x\":{\"command\":\"a\",\"env\":{}},\"y\":{ \"command\":\"a\", \"env\":{}},\"z\":{\"env\":{},\"command\":\"a\"}}}",
        "{\"mcpServers\":{\"x\":{\"env\":{},\"command\":\"--\",\"args\":[\"--\",\"--name=y\"]}}}",
    ];

    #[test]
    fn an_import_is_undone_byte_for_byte_and_repeated_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let options = ["--agent", "me"].map(str::to_owned);
        for text in FILES {
            let before = configuration(folder.path(), text).unwrap();
            let (after, servers) = imported(&before, &options, &[]).unwrap();
            assert!(servers.iter().all(|one| one.state == "imported"), "{text}");
            assert_ne!(after, text);
            let gated = configuration(folder.path(), &after).unwrap();
            for (table, name) in gated.servers() {
                let mut entry = &serde_json::from_str::<Value>(&after).unwrap();
                for part in table.iter().chain([&name]) {
                    entry = &entry[part.as_str()];
                }
                assert_eq!(entry["args"][1], "gate", "{after}");
                assert!(entry.get("url").is_none() && entry.get("headers").is_none(), "{after}");
            }
            let (again, servers) = imported(&gated, &options, &[]).unwrap();
            assert!(servers.iter().all(|one| one.state == "already"), "{text}");
            assert_eq!(again, after);
            let (undone, _) = undone(&gated).unwrap();
            assert_eq!(undone, text);
        }
    }

    #[test]
    fn the_command_of_a_server_follows_the_options() {
        let folder = tempfile::tempdir().unwrap();
        let before = configuration(folder.path(), FILES[1]).unwrap();
        let (after, _) = imported(&before, &["--agent".to_owned(), "me".to_owned()], &[]).unwrap();
        let after: Value = serde_json::from_str(&after).unwrap();
        let expected =
            json!(["mcp", "gate", "--name", "a-b", "--agent", "me", "--", "caf\u{e9}", "x"]);
        assert_eq!(after["mcpServers"]["a b"]["args"], expected);
        assert_eq!(after["mcpServers"]["a b"]["future"].to_string(), "[1.0]");
        let expected = json!(["mcp", "gate", "--name=n", "--agent", "me", "--", "run"]);
        assert_eq!(after["mcpServers"]["n"]["args"], expected);
    }

    #[test]
    fn a_server_that_the_gate_cannot_front_stops_the_import() {
        let folder = tempfile::tempdir().unwrap();
        for entry in [
            "{\"type\":\"sse\",\"url\":\"https://a/sse\"}",
            "{\"url\":\"https://a\",\"oauth\":{}}",
            "{\"url\":\"https://a\",\"headers\":{\"A\":1}}",
            "{\"url\":\"https://a\",\"command\":\"b\"}",
            "{\"command\":\"a\",\"args\":\"b\"}",
            "{\"command\":\"a\",\"args\":[1]}",
            "{\"command\":\"a\",\"type\":\"http\"}",
            "{\"command\":1}",
            "{}",
            "[]",
        ] {
            let text =
                format!("{{\"mcpServers\":{{\"good\":{{\"command\":\"g\"}},\"bad\":{entry}}}}}");
            let before = configuration(folder.path(), &text).unwrap();
            assert!(imported(&before, &[], &[]).is_err(), "{entry}");
            let (after, servers) = imported(&before, &[], &["bad".to_owned()]).unwrap();
            assert!(after.contains(entry), "{after}");
            assert_eq!(servers.iter().filter(|one| one.state == "skipped").count(), 1);
        }
        let same = "{\"mcpServers\":{\"a b\":{\"command\":\"g\"},\"a-b\":{\"command\":\"h\"}}}";
        let before = configuration(folder.path(), same).unwrap();
        assert!(imported(&before, &[], &[]).is_err());
    }

    #[test]
    fn an_entry_that_was_changed_since_is_not_restored() {
        let folder = tempfile::tempdir().unwrap();
        let before = configuration(folder.path(), FILES[2]).unwrap();
        let (after, _) = imported(&before, &[], &[]).unwrap();
        for (from, to) in
            [("\"gallery\": true", "\"gallery\": false"), ("SIGNOFF_MCP_ENTRY", "OTHER")]
        {
            let changed = configuration(folder.path(), &after.replace(from, to)).unwrap();
            assert!(undone(&changed).is_err(), "{from}");
        }
    }

    #[test]
    fn a_file_that_is_not_a_configuration_of_this_user_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "[]",
            "{}",
            "{\"mcpServers\":[]}",
            "{\"mcpServers\":{}, // comment\n}",
            "{\"mcpServers\":{},\"mcpServers\":{}}",
            "{\"mcpServers\":{\"a\":{\"command\":\"x\",\"command\":\"y\"}}}",
        ] {
            assert!(configuration(folder.path(), text).is_err(), "{text}");
        }
        let link = folder.path().join("link.json");
        configuration(folder.path(), FILES[0]).unwrap();
        std::os::unix::fs::symlink(folder.path().join("mcp.json"), &link).unwrap();
        let refused = Configuration::read(&link).map(drop).unwrap_err().to_string();
        assert!(refused.contains("is a link"), "{refused}");
        let read = configuration(folder.path(), FILES[0]).unwrap();
        std::fs::write(&read.path, FILES[1]).unwrap();
        assert!(read.replace("{}").unwrap_err().to_string().contains("changed meanwhile"));
    }
}
