//! `signoff policy init`: writes a starter rules file.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::schema;
use super::stop::Stop;
use crate::cli::destination::Destination;
use crate::cli::{Exit, output};

/// The runbook's thresholds and times, with tests.
pub(super) const STARTER: &str = include_str!("starter.toml");

#[derive(Args)]
#[command(
    after_help = "Examples:\n  signoff policy init\n  signoff policy init mail.toml --schema"
)]
pub(in crate::cli) struct InitArgs {
    /// The output file
    #[arg(value_name = "FILE", default_value = "policy.toml")]
    file: PathBuf,
    /// Also write the JSON Schema of rules files beside it, signoff.schema.json, and name it in the
    /// file, for editors with taplo
    #[arg(long)]
    schema: bool,
}

pub(super) fn run(args: &InitArgs, json: bool) -> Result<Exit, Stop> {
    let file = args.file.display();
    let starter = match args.schema {
        true => format!("#:schema ./{}\n\n{STARTER}", schema::FILE_NAME),
        false => STARTER.to_owned(),
    };
    let made = OpenOptions::new().write(true).create_new(true).open(&args.file);
    let mut out = made.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => anyhow!("`{file}` already exists"),
        _ => anyhow!(e).context(format!("cannot write `{file}`")),
    })?;
    out.write_all(starter.as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("cannot write `{file}`"))?;
    let schema = args.schema.then(|| args.file.with_file_name(schema::FILE_NAME));
    if let Some(schema) = &schema {
        // Made by this program in any version: an older one is replaced.
        let mut draft = Destination::to(schema.clone()).create()?;
        draft.write_all(schema::SCHEMA.as_bytes())?;
        draft.keep()?;
    }
    if json {
        let mut created = json!({ "file": output::json_path(&args.file) });
        if let (Some(schema), Some(members)) = (schema, created.as_object_mut()) {
            members.insert("schema".to_owned(), json!(output::json_path(&schema)));
        }
        output::line(&created.to_string());
        return Ok(Exit::Done);
    }
    output::plain(&format!("created {file}"));
    if let Some(schema) = schema {
        output::plain(&format!("created {}", schema.display()));
    }
    output::line("next:");
    for step in ["check", "test", "build"] {
        output::plain(&format!("  signoff policy {step} {file}"));
    }
    Ok(Exit::Done)
}
