//! `signoff policy init`: writes a starter rules file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::stop::Stop;
use crate::cli::{Exit, output};

/// The runbook's thresholds and times, with tests.
pub(super) const STARTER: &str = include_str!("starter.toml");

#[derive(Args)]
pub(in crate::cli) struct InitArgs {
    /// The output file
    #[arg(value_name = "FILE", default_value = "policy.toml")]
    file: PathBuf,
}

pub(super) fn run(args: &InitArgs, json: bool) -> Result<Exit, Stop> {
    let file = args.file.display();
    let made = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let mut out = made.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => anyhow!("`{file}` already exists"),
        _ => anyhow!(e).context(format!("cannot write `{file}`")),
    })?;
    out.write_all(STARTER.as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("cannot write `{file}`"))?;
    if json {
        output::line(&json!({ "file": args.file }).to_string());
        return Ok(Exit::Done);
    }
    output::plain(&format!("created {file}"));
    output::line("next:");
    for step in ["check", "test", "build"] {
        output::plain(&format!("  signoff policy {step} {file}"));
    }
    Ok(Exit::Done)
}
