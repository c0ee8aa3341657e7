//! `signoff module`: the verifier's digest, description and bytes.

use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::transport::asked;
use super::{Exit, Global, exit::Failure, output};
use crate::engine::{
    Allocation, Cache, VERIFIER, VERIFIER_DIGEST, Verifier, digest, verifier_core,
};

#[derive(Subcommand)]
pub(super) enum ModuleCommand {
    /// List the modules that serve
    List,
    /// Write a module to a file, for other runtimes
    Export(ExportArgs),
}

#[derive(Args)]
pub(super) struct ExportArgs {
    /// Which one
    slot: Slot,
    /// The core module, for runtimes without components
    #[arg(long)]
    core: bool,
    /// Where to, or - for standard output
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// A place that a module serves in.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Slot {
    Verifier,
}

pub(super) fn run(command: &ModuleCommand, global: &Global) -> Result<Exit, Failure> {
    match command {
        ModuleCommand::List => list(global),
        ModuleCommand::Export(args) => export(args, global),
    }
}

fn list(global: &Global) -> Result<Exit, Failure> {
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let description =
        asked(global.json, || verifier.call(|i| Ok(Ok(i.exports.call_describe(&mut i.store)?))))?;
    let description: Value = serde_json::from_str(&description)?;
    if global.json {
        let module = json!({ "slot": "verifier", "digest": VERIFIER_DIGEST, "bytes": VERIFIER.len(), "describe": description });
        output::line(&json!({ "items": [module] }).to_string());
    } else {
        let version = description.get("version").and_then(Value::as_str).unwrap_or_default();
        output::line(&format!("verifier\t{version}\t{VERIFIER_DIGEST}\tbuilt in"));
    }
    Ok(Exit::Done)
}

fn export(args: &ExportArgs, global: &Global) -> Result<Exit, Failure> {
    let Slot::Verifier = args.slot;
    let bytes = if args.core { verifier_core() } else { VERIFIER };
    if args.output.as_os_str() == "-" {
        if stdout().is_terminal() {
            return Err(Failure::usage("a module is no text; give a file, or a pipe"));
        }
        stdout().write_all(bytes)?;
        return Ok(Exit::Done);
    }
    std::fs::write(&args.output, bytes)
        .with_context(|| format!("cannot write `{}`", args.output.display()))?;
    let digest = digest(bytes);
    if global.json {
        output::line(&json!({ "slot": "verifier", "core": args.core, "digest": digest, "bytes": bytes.len() }).to_string());
    } else {
        output::line(&digest);
    }
    Ok(Exit::Done)
}
