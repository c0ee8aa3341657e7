//! `signoff policy schema`: the JSON Schema of rules files.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::stop::Stop;
use crate::cli::destination::Destination;
use crate::cli::{Exit, output};

/// Draft 4, the one that editors of TOML know best.
pub(super) const SCHEMA: &str = include_str!("rules.schema.json");

/// The name of the schema beside rules files.
pub(super) const FILE_NAME: &str = "signoff.schema.json";

#[derive(Args)]
#[command(
    after_help = "With the schema an editor completes, describes and checks the members of a rules file. Editors with taplo, such as VS Code with \
Even Better TOML, read its path from a comment in the first line of the rules file, `#:schema ./signoff.schema.json`. `signoff policy init --schema` \
writes both files. The schema is draft 4. `signoff policy check` finds more, such as mistakes in conditions.\n\n\
Examples:\n  \
signoff policy schema -o signoff.schema.json\n  \
taplo lint --schema \"file://$PWD/signoff.schema.json\" mail.toml"
)]
pub(in crate::cli) struct SchemaArgs {
    /// The output file, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: Destination,
}

pub(super) fn run(args: &SchemaArgs, json: bool) -> Result<Exit, Stop> {
    let mut draft = args.output.create()?;
    draft.write_all(SCHEMA.as_bytes())?;
    draft.keep()?;
    if args.output.is_file() {
        if json {
            output::line(&json!({ "file": args.output.to_string() }).to_string());
        } else {
            output::plain(&format!("created {}", args.output));
        }
    }
    Ok(Exit::Done)
}
