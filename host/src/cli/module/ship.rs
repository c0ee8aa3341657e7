//! Commands that change the registry: push, activate, shadow, roll back, remove.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use signoff_core::base64;

use super::super::exit::Failure;
use super::super::transport::{Access, Transport};
use super::super::{Exit, output};
use super::sign::{beside, read};
use super::{Listed, SlotListed, resolved, working};
use crate::modules::Envelope;

#[derive(Args)]
pub(in super::super) struct PushArgs {
    /// The component
    file: PathBuf,
    /// Its signed manifest [default: FILE.dsse.json]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Activate it immediately
    #[arg(long)]
    activate: bool,
}

#[derive(Args)]
pub(in super::super) struct DigestArgs {
    /// The module's digest, or a unique prefix of it
    digest: String,
}

#[derive(Args)]
pub(in super::super) struct SlotArgs {
    /// The slot
    #[arg(value_parser = ["policy"], default_value = "policy")]
    slot: String,
}

#[derive(Args)]
pub(in super::super) struct RollbackArgs {
    /// The slot
    #[arg(value_parser = ["policy", "verifier"])]
    slot: String,
    /// The reason, for the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The digest of a previously active module, or a unique prefix of it [default: the module
    /// before the active one]
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
}

pub(super) fn push(args: &PushArgs, transport: &Transport) -> Result<Exit, Failure> {
    let wasm = read(&args.file)?;
    let path = args.manifest.clone().unwrap_or_else(|| beside(&args.file));
    let manifest = fs::read_to_string(&path).with_context(|| {
        format!("cannot read `{}`; create it with `signoff module sign`", path.display())
    })?;
    // Sent in its canonical form.
    let envelope = Envelope::parse(&manifest)
        .map_err(|rejection| Failure::refused(&rejection.into(), transport.json))?;
    let wasm = base64::encode(&wasm);
    let body = format!("{{\"manifest\":{},\"wasm\":\"{wasm}\"}}", envelope.to_text());
    working("sending, compiling and checking the module");
    let answer = transport.post("/api/v1/modules", body, Access::Create)?;
    let module: Listed = transport.parse(&answer)?;
    if args.activate {
        return changed(transport, &format!("{}/activate", module.digest), "{}".to_owned());
    }
    if transport.json {
        output::line(&answer);
    } else {
        output::plain(&module.digest);
        let version = module.version.unwrap_or_default();
        output::note(&format!("stored {} version {version} for slot {}", module.name, module.slot));
    }
    Ok(Exit::Done)
}

pub(super) fn activate(args: &DigestArgs, transport: &Transport) -> Result<Exit, Failure> {
    let digest = resolved(transport, &args.digest)?;
    working("checking the module");
    changed(transport, &format!("{digest}/activate"), "{}".to_owned())
}

pub(super) fn shadow(args: &DigestArgs, transport: &Transport) -> Result<Exit, Failure> {
    let digest = resolved(transport, &args.digest)?;
    changed(transport, &format!("{digest}/shadow"), "{}".to_owned())
}

pub(super) fn unshadow(args: &SlotArgs, transport: &Transport) -> Result<Exit, Failure> {
    changed(transport, &format!("{}/unshadow", args.slot), "{}".to_owned())
}

pub(super) fn rollback(args: &RollbackArgs, transport: &Transport) -> Result<Exit, Failure> {
    let to = args.to.as_deref().map(|to| resolved(transport, to)).transpose()?;
    let body = json!({ "reason": args.reason, "to": to });
    working("checking the module");
    changed(transport, &format!("{}/rollback", args.slot), body.to_string())
}

pub(super) fn remove(args: &DigestArgs, transport: &Transport) -> Result<Exit, Failure> {
    let digest = resolved(transport, &args.digest)?;
    let path = format!("/api/v1/modules/{digest}/remove");
    let answer = transport.post(&path, "{}".to_owned(), Access::Write)?;
    if transport.json {
        output::line(&answer);
    } else {
        output::line(&format!("{digest} removed"));
    }
    Ok(Exit::Done)
}

/// Changes a slot and prints the active module.
fn changed(transport: &Transport, path: &str, body: String) -> Result<Exit, Failure> {
    let answer = transport.post(&format!("/api/v1/modules/{path}"), body, Access::Write)?;
    if transport.json {
        output::line(&answer);
        return Ok(Exit::Done);
    }
    let slot: SlotListed = transport.parse(&answer)?;
    let active = slot.active.as_deref().unwrap_or("nothing");
    output::plain(&format!("{}\t{active}", slot.slot));
    if let Some(shadow) = &slot.shadow {
        output::plain(&format!("{} shadow\t{shadow}", slot.slot));
    }
    for short in &slot.unmeetable {
        output::note(&format!("{short}: its requests are refused until more approvers have keys"));
    }
    if let Some(why) = &slot.failing {
        output::note(&format!("slot {} fails every call: {why}", slot.slot));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}
