//! `signoff hash`: prints the digest of a context.

use clap::Args;
use serde_json::json;

use super::transport::call_verifier;
use super::{Exit, Global, context, exit::Failure, output};
use crate::engine::{Allocation, Cache};
use crate::verifier::Verifier;

#[derive(Args)]
pub(super) struct HashArgs {
    /// A file with a JSON object, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: String,
    /// Print the canonical form instead
    #[arg(long)]
    canonical: bool,
}

pub(super) fn run(args: &HashArgs, global: &Global) -> Result<Exit, Failure> {
    let text = context::file(&args.file)?;
    let verifier = Verifier::embedded(Allocation::OnDemand, &Cache::of_user())?;
    let (name, answer) = call_verifier(global.json, || {
        if args.canonical {
            verifier.canonicalize(&text).map(|answer| ("canonical", answer))
        } else {
            verifier.digest_of(&text).map(|answer| ("digest", answer))
        }
    })?;
    if global.json {
        output::line(&json!({ name: answer }).to_string());
    } else {
        output::line(&answer);
    }
    Ok(Exit::Done)
}
