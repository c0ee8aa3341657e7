//! `signoff key`: manages the keyring file of this machine, a server's or an approver's.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::approve::prompt;
use super::{Exit, Global, exit::Failure, output};
use crate::keys::{
    self, Approver, Changed, Group, Imported, Incoming, KeyDescription, KeyError, KeyId, Keyring,
    NewKey, Status, Usage,
};

/// Maximum size of a text to import: a whole keyring.
const IMPORT_BYTES_MAX: u64 = 2 << 20;

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Generate a key, and print its public entry for the server's operator
    Generate(GenerateArgs),
    /// Import entries from another machine
    Import(ImportArgs),
    /// List the keys, without secrets
    List,
    /// Show one key, without its secret
    Show(IdArgs),
    /// Change a key from `verify-only` to `active`, so that it can sign
    Promote(IdArgs),
    /// Change a key from `active` to `verify-only`: its signatures stay valid, but it signs no more
    Retire(IdArgs),
    /// Revoke a key permanently; its earlier signatures become invalid too
    Revoke(RevokeArgs),
}

#[derive(Args)]
pub(super) struct GenerateArgs {
    /// The key's id, `[a-z0-9_-]{1,64}` [default: derived from the key]
    #[arg(long, value_parser = key_id)]
    id: Option<KeyId>,
    /// The approver whose decisions it signs
    #[arg(long, value_name = "NAME", value_parser = Approver::parse)]
    approver: Option<Approver>,
    /// A group that the approver decides for; may be repeated
    #[arg(long = "group", value_name = "GROUP", value_parser = Group::parse)]
    groups: Vec<Group>,
    /// A slot that it signs modules for; may be repeated
    #[arg(long = "slot", value_name = "SLOT", value_parser = ["policy", "verifier"])]
    slots: Vec<String>,
    /// What it signs: ballots (approve), audit checkpoints (log) or modules (module)
    #[arg(long = "use", value_name = "USE", default_value = "approve", value_parser = usage)]
    usage: Usage,
    /// The algorithm [default: hmac-sha256 for a ballot key without an approver, else ed25519]
    #[arg(long, value_parser = ["ed25519", "hmac-sha256"])]
    algorithm: Option<String>,
    /// Start as `verify-only` until every verifier has the key, then run `signoff key promote`
    #[arg(long, default_value = "active", value_parser = new_status)]
    status: Status,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// A file, `-` for standard input, or JSON text: an entry, a list of entries, or a keyring
    source: String,
    /// Bind it to this approver, overriding the entry
    #[arg(long, value_name = "NAME", value_parser = Approver::parse)]
    approver: Option<Approver>,
    /// Its groups, overriding the entry; may be repeated
    #[arg(long = "group", value_name = "GROUP", value_parser = Group::parse)]
    groups: Vec<Group>,
    /// The slots that it signs modules for, overriding the entry; may be repeated
    #[arg(long = "slot", value_name = "SLOT", value_parser = ["policy", "verifier"], conflicts_with = "groups")]
    slots: Vec<String>,
    /// Import the private half too, to sign on this machine
    #[arg(long)]
    with_private: bool,
}

#[derive(Args)]
pub(super) struct IdArgs {
    /// The key's id
    id: String,
}

#[derive(Args)]
pub(super) struct RevokeArgs {
    /// The key's id
    id: String,
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(command: &KeyCommand, global: &Global) -> Result<Exit, Failure> {
    let path = global.keyring();
    match command {
        KeyCommand::Generate(args) => generate(args, &path, global.json),
        KeyCommand::Import(args) => import(args, &path, global.json),
        KeyCommand::List => list(&path, global.json),
        KeyCommand::Show(args) => show(&args.id, &path, global.json),
        KeyCommand::Promote(args) => {
            change(&args.id, &path, global.json, "active", Keyring::promote)
        }
        KeyCommand::Retire(args) => {
            change(&args.id, &path, global.json, "verify-only", Keyring::retire)
        }
        KeyCommand::Revoke(args) => revoke(args, &path, global.json),
    }
}

fn generate(args: &GenerateArgs, path: &Path, json: bool) -> Result<Exit, Failure> {
    let slots = slots(&args.slots)?;
    match (args.usage, slots.as_slice(), args.groups.as_slice()) {
        (Usage::Module, [], []) => {
            return Err(Failure::usage("a module key needs --slot policy or --slot verifier"));
        }
        (Usage::Approve | Usage::Log, [_, ..], _) => {
            return Err(Failure::usage("--slot goes with --use module"));
        }
        _ => {}
    }
    let new = NewKey {
        id: args.id.clone(),
        algorithm: args.algorithm.as_deref().map(|algorithm| match algorithm {
            "ed25519" => "ed25519",
            _ => "hmac-sha256",
        }),
        usage: Some(args.usage),
        status: Some(args.status),
        approver: args.approver.clone(),
        groups: [args.groups.clone(), slots].concat(),
    };
    let (key, entry) = keys::edit(path, |keyring| {
        let key = keyring.generate(new)?;
        let entry = keyring.public_entry(&key.id);
        Ok((key, entry))
    })?;
    let import = entry.as_deref().map(|entry| format!("signoff key import {}", quoted(entry)));
    if json {
        let entry: Option<Value> = entry.as_deref().map(serde_json::from_str).transpose()?;
        let made = json!({ "key": key, "entry": entry, "import": import, "keyring": path });
        output::line(&made.to_string());
        return Ok(Exit::Done);
    }
    output::line(&format!("created {} in {}", summary(&key), path.display()));
    match (entry, import) {
        (Some(entry), Some(import)) => {
            output::line("its public entry, which contains no secret:");
            output::line(&entry);
            output::line("import it on the server's machine:");
            output::line(&format!("  {import}"));
        }
        _ => output::line(
            "signer and verifier share this secret: transfer the keyring's entry to the verifier over a private channel",
        ),
    }
    Ok(Exit::Done)
}

fn import(args: &ImportArgs, path: &Path, json: bool) -> Result<Exit, Failure> {
    let inline = args.source.trim_start().starts_with(['{', '[']);
    let text =
        if inline { Zeroizing::new(args.source.clone().into_bytes()) } else { read(&args.source)? };
    let groups = [args.groups.clone(), slots(&args.slots)?].concat();
    let incoming = Incoming::parse(&text, args.approver.as_ref(), &groups, args.with_private)?;
    if !args.slots.is_empty()
        && incoming.iter().any(|incoming| incoming.described().usage != "module")
    {
        return Err(Failure::usage("--slot goes with keys of use `module`"));
    }
    if inline && incoming.iter().any(Incoming::is_secret) {
        return Err(Failure::usage(
            "arguments are visible to other processes: pass a secret in a file, or as `-` on standard input",
        ));
    }
    let done = keys::edit(path, |keyring| {
        let taken = incoming.into_iter().map(|incoming| {
            let key = incoming.described();
            Ok((keyring.import(incoming)?, key))
        });
        taken.collect::<Result<Vec<_>, KeyError>>()
    })?;
    if json {
        let items: Vec<Value> = done
            .iter()
            .map(|(imported, key)| json!({ "result": imported.word(), "key": key }))
            .collect();
        output::line(&json!({ "items": items, "keyring": path }).to_string());
        return Ok(Exit::Done);
    }
    for (imported, key) in &done {
        output::line(&format!("{} {}", imported.word(), summary(key)));
    }
    Ok(Exit::Done)
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

fn list(path: &Path, json: bool) -> Result<Exit, Failure> {
    let keyring = existing(path)?;
    let keys = keyring.described();
    if json {
        let items: Vec<Value> = keys.map(|(key, signs)| with_signs(&key, signs)).collect();
        output::line(&json!({ "items": items, "keyring": path }).to_string());
        return Ok(Exit::Done);
    }
    let keys = keys.map(|(key, signs)| {
        let private = if signs { "private" } else { "public" };
        let approver = key.approver.unwrap_or_else(|| "-".to_owned());
        let groups = if key.groups.is_empty() { "-".to_owned() } else { key.groups.join(",") };
        [
            key.id,
            key.status,
            key.usage,
            key.algorithm,
            approver,
            groups,
            private.to_owned(),
            key.fingerprint,
        ]
    });
    const HEAD: [&str; 8] =
        ["ID", "STATUS", "USE", "ALGORITHM", "APPROVER", "GROUPS", "HERE", "FINGERPRINT"];
    output::table(HEAD, keys.collect::<Vec<_>>());
    Ok(Exit::Done)
}

fn show(id: &str, path: &Path, json: bool) -> Result<Exit, Failure> {
    let keyring = existing(path)?;
    let (key, signs) = known(&keyring, id)?;
    let entry = keyring.public_entry(&key.id);
    if json {
        let mut shown = with_signs(&key, signs);
        if let Some(fields) = shown.as_object_mut() {
            let entry = entry.as_deref().map(serde_json::from_str::<Value>).transpose()?;
            fields.insert("entry".to_owned(), json!(entry));
        }
        output::line(&shown.to_string());
        return Ok(Exit::Done);
    }
    let field = |name: &str, value: &str| output::line(&format!("{name:<13}{value}"));
    field("id", &key.id);
    field("status", &key.status);
    field("use", &key.usage);
    field("algorithm", &key.algorithm);
    field("approver", key.approver.as_deref().unwrap_or("nobody"));
    if !key.groups.is_empty() {
        field("groups", &key.groups.join(", "));
    }
    field("fingerprint", &key.fingerprint);
    field("private half", if signs { "here" } else { "not here" });
    if let Some(entry) = entry {
        field("entry", &entry);
    }
    Ok(Exit::Done)
}

fn revoke(args: &RevokeArgs, path: &Path, json: bool) -> Result<Exit, Failure> {
    let (key, _) = known(&existing(path)?, &args.id)?;
    if !args.yes && key.status != Status::Revoked.as_str() {
        if !stdin().is_terminal() {
            return Err(Failure::usage("--yes is required without a terminal"));
        }
        let question = format!(
            "Revoke {}? Its signatures become invalid, and this cannot be undone. [y/N] ",
            summary(&key)
        );
        if !matches!(prompt(&question)?.to_ascii_lowercase().as_str(), "y" | "yes") {
            output::note("nothing was revoked");
            return Ok(Exit::Failed);
        }
    }
    change(&args.id, path, json, "revoked", Keyring::revoke)
}

/// Changes the status of one key and prints the result.
fn change(
    id: &str,
    path: &Path,
    json: bool,
    status: &str,
    change: impl FnOnce(&mut Keyring, &str) -> Result<Changed, KeyError>,
) -> Result<Exit, Failure> {
    existing(path)?;
    let changed = keys::edit(path, |keyring| change(keyring, id))?;
    if json {
        let output = json!({ "id": id, "status": status, "changed": changed == Changed::Done });
        output::line(&output.to_string());
        return Ok(Exit::Done);
    }
    output::line(&match changed {
        Changed::Done => format!("key {id} is now {status}"),
        Changed::Already => format!("key {id} is already {status}"),
    });
    Ok(Exit::Done)
}

fn existing(path: &Path) -> Result<Keyring, Failure> {
    let keyring = Keyring::read(path)?;
    keyring.ok_or_else(|| {
        anyhow!("no keyring at `{}`; create one with `signoff key generate`", path.display()).into()
    })
}

fn known(keyring: &Keyring, id: &str) -> Result<(KeyDescription, bool), Failure> {
    let found = keyring.described().find(|(key, _)| key.id == id);
    found.ok_or_else(|| anyhow!("no key of this keyring has the id `{id}`").into())
}

fn with_signs(key: &KeyDescription, signs: bool) -> Value {
    let mut value = json!(key);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("private".to_owned(), json!(signs));
    }
    value
}

/// Formats a key in one line.
fn summary(key: &KeyDescription) -> String {
    let KeyDescription { id, algorithm, status, usage, fingerprint, .. } = key;
    let bound = key.approver.as_ref().map(|approver| format!(", approver {approver}"));
    let groups = (!key.groups.is_empty()).then(|| format!(", groups {}", key.groups.join(" ")));
    format!(
        "key {id} ({algorithm}, {usage}, {status}{}{}, fingerprint {fingerprint})",
        bound.unwrap_or_default(),
        groups.unwrap_or_default()
    )
}

/// Quotes a text as one shell word.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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

/// Converts slots to the groups of a module key.
fn slots(names: &[String]) -> Result<Vec<Group>, Failure> {
    names.iter().map(|name| Group::parse(name).map_err(Failure::usage)).collect()
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::new(text).map_err(|_| "expected `[a-z0-9_-]{1,64}`".to_owned())
}

fn usage(text: &str) -> Result<Usage, String> {
    [Usage::Approve, Usage::Log, Usage::Module]
        .into_iter()
        .find(|usage| usage.as_str() == text)
        .ok_or_else(|| "expected `approve`, `log` or `module`".to_owned())
}

fn new_status(text: &str) -> Result<Status, String> {
    [Status::Active, Status::VerifyOnly]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| "expected `active` or `verify-only`".to_owned())
}
