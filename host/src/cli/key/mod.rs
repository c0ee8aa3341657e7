//! `signoff key`: manages the keyring file of this machine, a server's or an approver's.

mod import;

use std::io::{IsTerminal, stdin};
use std::path::Path;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::approve::prompt;
use super::screen::Screen;
use super::transport::Transport;
use super::{Exit, Global, exit::Failure, output};
use crate::keys::{
    self, Approver, Changed, Group, KeyDescription, KeyError, KeyId, Keyring, NewKey, Status, Usage,
};

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Generate a key, and print its public entry for the server's operator
    Generate(GenerateArgs),
    /// Import the entry of a key from another machine
    Import(import::ImportArgs),
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

/// Returns whether a command lists keys, as a server does for its own.
pub(super) fn is_list(command: &KeyCommand) -> bool {
    matches!(command, KeyCommand::List)
}

pub(super) fn run(command: &KeyCommand, global: &Global) -> Result<Exit, Failure> {
    let path = global.keyring();
    match command {
        KeyCommand::Generate(args) => generate(args, &path, global.json),
        KeyCommand::Import(args) => import::run(args, &path, global.json),
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
    let import = entry.as_deref().map(|entry| import::command(entry, &key));
    if json {
        let entry: Option<Value> = entry.as_deref().map(serde_json::from_str).transpose()?;
        let made = json!({ "key": key, "entry": entry, "import": import, "keyring": output::json_path(path) });
        output::line(&made.to_string());
        return Ok(Exit::Done);
    }
    output::line(&format!("created {} in {}", summary(&key), path.display()));
    match (entry, import) {
        (Some(entry), Some(import)) => {
            output::line("its public entry, which contains no secret:");
            output::line(&entry);
            output::line("on the server's machine, whoever knows you imports it:");
            output::line(&format!("  {import}"));
        }
        _ => output::line(
            "signer and verifier share this secret: transfer the keyring's entry to the verifier over a private channel",
        ),
    }
    Ok(Exit::Done)
}

/// A key, and whether this machine has its private half; `None` for a key of a server.
type Listed = (KeyDescription, Option<bool>);

fn list(path: &Path, json: bool) -> Result<Exit, Failure> {
    let keyring = existing(path)?;
    let keys: Vec<Listed> = keyring.described().map(|(key, signs)| (key, Some(signs))).collect();
    print_list(&keys, json, &json!({ "keyring": output::json_path(path) }));
    if let Ok(Some((variable, _))) = keys::secret_of_environment() {
        output::note(&format!(
            "{variable} holds a further key, which is not in the keyring; both count"
        ));
    }
    Ok(Exit::Done)
}

/// Prints keys. `about` has the other members of the JSON object.
fn print_list(keys: &[Listed], json: bool, about: &Value) {
    if json {
        let items: Vec<Value> = keys.iter().map(|(key, signs)| with_signs(key, *signs)).collect();
        let mut list = about.clone();
        if let Some(members) = list.as_object_mut() {
            members.insert("items".to_owned(), items.into());
        }
        return output::line(&list.to_string());
    }
    let rows = keys.iter().map(|(key, signs)| {
        let here = signs.map_or("-", |signs| if signs { "private" } else { "public" });
        let or_none = |text: &str| if text.is_empty() { "-" } else { text }.to_owned();
        [
            key.id.clone(),
            key.status.clone(),
            key.usage.clone(),
            key.algorithm.clone(),
            or_none(key.approver.as_deref().unwrap_or_default()),
            or_none(&key.groups.join(",")),
            here.to_owned(),
            key.fingerprint.clone(),
        ]
    });
    const HEAD: [&str; 8] =
        ["ID", "STATUS", "USE", "ALGORITHM", "APPROVER", "GROUPS", "HERE", "FINGERPRINT"];
    output::table(HEAD, rows.collect::<Vec<_>>());
}

fn show(id: &str, path: &Path, json: bool) -> Result<Exit, Failure> {
    let keyring = existing(path)?;
    let (key, signs) = known(&keyring, id)?;
    let entry = keyring.public_entry(&key.id);
    print_key(&(key, Some(signs)), entry.as_deref(), json)
}

fn print_key((key, signs): &Listed, entry: Option<&str>, json: bool) -> Result<Exit, Failure> {
    if json {
        let mut shown = with_signs(key, *signs);
        if let (Some(fields), Some(_)) = (shown.as_object_mut(), signs) {
            let entry = entry.map(serde_json::from_str::<Value>).transpose()?;
            fields.insert("entry".to_owned(), json!(entry));
        }
        output::line(&shown.to_string());
        return Ok(Exit::Done);
    }
    let mut screen = Screen::new();
    screen.field("id", &key.id);
    screen.field("status", &key.status);
    screen.field("use", &key.usage);
    screen.field("algorithm", &key.algorithm);
    screen.field("approver", key.approver.as_deref().unwrap_or("nobody"));
    if !key.groups.is_empty() {
        screen.field("groups", &key.groups.join(", "));
    }
    screen.field("fingerprint", &key.fingerprint);
    if let Some(signs) = signs {
        screen.field("private half", if *signs { "here" } else { "not here" });
    }
    screen.field_of("public key", key.public_key.as_deref().filter(|_| signs.is_none()));
    screen.print();
    if let Some(entry) = entry {
        output::line(&format!("{:<13}{entry}", "entry"));
    }
    Ok(Exit::Done)
}

/// Reads the keys of a server. Its keyring is changed on its own machine.
pub(super) fn run_on_server(command: &KeyCommand, transport: &Transport) -> Result<Exit, Failure> {
    let id = match command {
        KeyCommand::List => None,
        KeyCommand::Show(args) => Some(&args.id),
        _ => {
            return Err(Failure::usage(
                "a server's keyring is changed on its own machine; leave out --server to change the keyring of this one",
            ));
        }
    };
    #[derive(Deserialize)]
    struct AllKeys {
        items: Vec<KeyDescription>,
    }
    let AllKeys { items } = transport.parse(&transport.get("/api/v1/keys")?)?;
    let mut keys = items.into_iter().map(|key| (key, None));
    match id {
        None => {
            print_list(&keys.collect::<Vec<_>>(), transport.json, &json!({}));
            Ok(Exit::Done)
        }
        Some(id) => {
            let found = keys.find(|(key, _)| key.id == *id);
            let found = found.ok_or_else(|| anyhow!("no key of the server has the id `{id}`"))?;
            print_key(&found, None, transport.json)
        }
    }
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
        let answer = prompt(&question)?.unwrap_or_default();
        if !matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
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

fn with_signs(key: &KeyDescription, signs: Option<bool>) -> Value {
    let mut value = json!(key);
    if let (Some(fields), Some(signs)) = (value.as_object_mut(), signs) {
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
