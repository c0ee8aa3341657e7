//! `signoff key import`: adds the entry of a key that was made on another machine.
//!
//! The operator says whose key it is and what it may sign. An entry that says otherwise is refused:
//! whoever made the file could name another approver, a group, or a slot.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::approve::prompt;
use super::super::exit::Failure;
use super::super::screen::Screen;
use super::super::{Exit, output};
use super::{slots, summary, usage};
use crate::keys::{
    self, Approver, Binding, Group, Imported, Incoming, KeyDescription, KeyError, Keyring, Usage,
};

/// Maximum size of a text to import: a whole keyring.
const IMPORT_BYTES_MAX: u64 = 2 << 20;

#[derive(Args)]
#[command(after_help = "Examples:
  signoff key import ann.json --approver ann@company.com --group sre
  signoff key import team.json --use module --slot policy
  signoff key import old-server/signoff.keys.json --all --with-private")]
pub(in super::super) struct ImportArgs {
    /// A file, `-` for standard input, or JSON text: an entry, or with --all a list of entries or a
    /// keyring
    source: String,
    /// The approver whose key it is; an entry that names another one is refused
    #[arg(long, value_name = "NAME", value_parser = Approver::parse)]
    approver: Option<Approver>,
    /// A group that the approver decides for; may be repeated. An entry that names other groups is
    /// refused
    #[arg(long = "group", value_name = "GROUP", value_parser = Group::parse)]
    groups: Vec<Group>,
    /// What it may sign: ballots (approve), audit checkpoints (log) or modules (module)
    #[arg(long = "use", value_name = "USE", default_value = "approve", value_parser = usage)]
    usage: Usage,
    /// A slot that it signs modules for; may be repeated
    #[arg(long = "slot", value_name = "SLOT", value_parser = ["policy", "verifier"], conflicts_with = "groups")]
    slots: Vec<String>,
    /// Import every entry, with the approvers, groups and uses that the file names: for a keyring of
    /// your own
    #[arg(long, conflicts_with_all = ["approver", "groups", "usage", "slots"])]
    all: bool,
    /// Import the private half too, to sign on this machine
    #[arg(long)]
    with_private: bool,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

/// What an import does to one key.
#[derive(PartialEq, Eq)]
struct Import {
    result: Imported,
    before: Option<KeyDescription>,
    after: KeyDescription,
}

pub(super) fn run(args: &ImportArgs, path: &Path, json: bool) -> Result<Exit, Failure> {
    let incoming = incoming(args)?;
    let planned = apply(&mut Keyring::read(path)?.unwrap_or_default(), &incoming)?;
    if !args.yes && planned.iter().any(|import| import.result != Imported::Already) {
        if args.source == "-" || !stdin().is_terminal() {
            return Err(Failure::usage("--yes is required without a terminal"));
        }
        if !confirmed(&planned)? {
            output::note("nothing was imported");
            return Ok(Exit::Failed);
        }
    }
    let done = keys::edit(path, |keyring| {
        let done = apply(keyring, &incoming)?;
        if done == planned { Ok(done) } else { Err(KeyError::Changed) }
    })?;
    if json {
        let items = done
            .iter()
            .map(|Import { result, after, .. }| json!({ "result": result.word(), "key": after }));
        let items: Vec<Value> = items.collect();
        output::line(&json!({ "items": items, "keyring": output::json_path(path) }).to_string());
        return Ok(Exit::Done);
    }
    for Import { result, after, .. } in &done {
        output::line(&format!("{} {}", result.word(), summary(after)));
    }
    Ok(Exit::Done)
}

/// Returns the command with which the operator imports an entry.
pub(super) fn command(entry: &str, key: &KeyDescription) -> String {
    let mut command = format!("signoff key import {}", output::shell_word(entry));
    let mut add = |flag: &str, value: &str| {
        command.push_str(&format!(" --{flag} {}", output::shell_word(value)));
    };
    if let Some(approver) = &key.approver {
        add("approver", approver);
    }
    let is_module = key.usage == Usage::Module.as_str();
    if key.usage != Usage::Approve.as_str() {
        add("use", &key.usage);
    }
    for group in &key.groups {
        add(if is_module { "slot" } else { "group" }, group);
    }
    command
}

fn incoming(args: &ImportArgs) -> Result<Vec<Incoming>, Failure> {
    let inline = args.source.trim_start().starts_with(['{', '[']);
    let text =
        if inline { Zeroizing::new(args.source.clone().into_bytes()) } else { read(&args.source)? };
    match (args.usage, args.slots.is_empty()) {
        (Usage::Module, true) => {
            return Err(Failure::usage("--use module needs --slot policy or --slot verifier"));
        }
        (Usage::Approve | Usage::Log, false) => {
            return Err(Failure::usage("--slot goes with --use module"));
        }
        _ => {}
    }
    let incoming = if args.all {
        Incoming::all(&text, args.with_private)?
    } else {
        let groups = [args.groups.clone(), slots(&args.slots)?].concat();
        let binding = Binding { usage: args.usage, approver: args.approver.clone(), groups };
        vec![Incoming::one(&text, &binding, args.with_private)?]
    };
    if inline && incoming.iter().any(Incoming::is_secret) {
        return Err(Failure::usage(
            "arguments are visible to other processes: pass a secret in a file, or as `-` on standard input",
        ));
    }
    Ok(incoming)
}

fn apply(keyring: &mut Keyring, incoming: &[Incoming]) -> Result<Vec<Import>, KeyError> {
    let imports = incoming.iter().map(|incoming| {
        let id = incoming.described().id;
        let stored = |keyring: &Keyring| keyring.described().find(|(key, _)| key.id == id);
        let before = stored(keyring).map(|(key, _)| key);
        let result = keyring.import(incoming.clone())?;
        // As it is stored: an import does not bring back a key that is revoked.
        let after = stored(keyring).map_or_else(|| incoming.described(), |(key, _)| key);
        Ok(Import { result, before, after })
    });
    imports.collect()
}

/// Shows what an import changes, and asks.
fn confirmed(planned: &[Import]) -> Result<bool, Failure> {
    let mut screen = Screen::of_messages();
    for Import { result, before, after } in planned {
        screen.heading("Key to import");
        screen.field("id", &after.id);
        screen.field(
            "result",
            match result {
                Imported::Added => "a new key",
                Imported::Updated => "changes a key that is here",
                Imported::Already => "changes nothing",
            },
        );
        screen.field("use", &after.usage);
        screen.field("approver", after.approver.as_deref().unwrap_or("nobody"));
        screen.field("groups", &groups(after));
        if let Some(before) = before.as_ref().filter(|before| before.groups != after.groups) {
            screen.field("groups now", &groups(before));
        }
        screen.field("status", &after.status);
        screen.field("algorithm", &after.algorithm);
        screen.field("fingerprint", &after.fingerprint);
    }
    screen.print_messages();
    let question = "Compare the fingerprint with its owner's. Import? [y/N] ";
    let answer = prompt(question)?.unwrap_or_default();
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn groups(key: &KeyDescription) -> String {
    if key.groups.is_empty() { "none".to_owned() } else { key.groups.join(", ") }
}

/// Reads a file, or standard input.
fn read(source: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let input: Box<dyn Read> = if source == "-" {
        Box::new(stdin())
    } else {
        Box::new(File::open(source).with_context(|| format!("`{source}`"))?)
    };
    let mut text = Zeroizing::new(Vec::new());
    input.take(IMPORT_BYTES_MAX + 1).read_to_end(&mut text)?;
    if u64::try_from(text.len())? > IMPORT_BYTES_MAX {
        return Err(anyhow!("`{source}` is longer than {IMPORT_BYTES_MAX} bytes").into());
    }
    Ok(text)
}

impl Imported {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Already => "unchanged",
        }
    }
}
