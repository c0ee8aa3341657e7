//! `signoff module`: signs modules, ships them to a server, and shows the active ones. `sign` works
//! offline; `ship` changes the registry, `show` reads it.

mod export;
mod ship;
mod show;
mod sign;

pub(super) use export::{PolicyRole, policy_of};

use std::io::{IsTerminal, stderr};

use clap::Subcommand;
use serde::Deserialize;

use super::transport::Transport;
use super::{Exit, Global, exit::Failure, output};
use crate::refusal::Missing;

#[derive(Subcommand)]
pub(super) enum ModuleCommand {
    /// Sign a module's manifest with a key of this machine's keyring
    Sign(sign::SignArgs),
    /// Send a module and its signed manifest to the server; activate it separately
    Push(ship::PushArgs),
    /// List slots and stored modules
    List,
    /// Show one module: its manifest, signer and activations
    Inspect(show::DigestArgs),
    /// Activate a module; later calls use it
    Activate(ship::DigestArgs),
    /// Evaluate a policy in addition to the active one, without effect
    Shadow(ship::DigestArgs),
    /// Stop shadowing
    Unshadow(ship::SlotArgs),
    /// Activate a previously active module again
    Rollback(ship::RollbackArgs),
    /// List evaluations for which the shadow's verdict differs
    Flips(show::FlipsArgs),
    /// Remove an unused module
    Remove(ship::DigestArgs),
    /// Write a module to a file, for other runtimes
    Export(export::ExportArgs),
}

/// A module in a list.
#[derive(Clone, Debug, Deserialize)]
struct Listed {
    slot: String,
    digest: String,
    name: String,
    #[serde(default)]
    version: Option<u64>,
    #[serde(default)]
    key_id: Option<String>,
    /// `ok`, or the code of the reason why its signer is not valid.
    #[serde(default)]
    signer: Option<String>,
    bytes: u64,
    state: String,
}

/// A slot in a list.
#[derive(Clone, Debug, Deserialize)]
struct SlotListed {
    slot: String,
    active: Option<String>,
    shadow: Option<String>,
    failing: Option<String>,
    #[serde(default)]
    unmeetable: Vec<String>,
}

#[derive(Deserialize)]
struct List {
    slots: Vec<SlotListed>,
    items: Vec<Listed>,
}

pub(super) fn run(
    command: &ModuleCommand,
    global: &Global,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    match command {
        ModuleCommand::Sign(args) => sign::run(args, global),
        ModuleCommand::Push(args) => ship::push(args, &open()?),
        ModuleCommand::List => show::list(global, open),
        ModuleCommand::Inspect(args) => show::inspect(args, &open()?),
        ModuleCommand::Activate(args) => ship::activate(args, &open()?),
        ModuleCommand::Shadow(args) => ship::shadow(args, &open()?),
        ModuleCommand::Unshadow(args) => ship::unshadow(args, &open()?),
        ModuleCommand::Rollback(args) => ship::rollback(args, &open()?),
        ModuleCommand::Flips(args) => show::flips(args, &open()?),
        ModuleCommand::Remove(args) => ship::remove(args, &open()?),
        ModuleCommand::Export(args) => export::export(args, global, open),
    }
}

fn listed(transport: &Transport) -> Result<List, Failure> {
    transport.parse(&transport.get("/api/v1/modules")?)
}

/// Resolves a unique prefix of a digest.
fn resolved(transport: &Transport, prefix: &str) -> Result<String, Failure> {
    if prefix.len() == 64 {
        return Ok(prefix.to_owned());
    }
    let list = listed(transport)?;
    let mut matching = list.items.iter().filter(|module| module.digest.starts_with(prefix));
    match (matching.next(), matching.next()) {
        (Some(one), None) if !prefix.is_empty() => Ok(one.digest.clone()),
        (None, _) => {
            let detail = format!("no module's digest begins with `{prefix}`");
            Err(transport.missing(Missing::Module, detail))
        }
        _ => Err(Failure::usage(format!("more than one module's digest begins with `{prefix}`"))),
    }
}

/// Prints a progress message, if a terminal shows it.
fn working(what: &str) {
    if stderr().is_terminal() {
        output::note(what);
    }
}
