//! `signoff hash`: the digest of a context.

use clap::Args;
use serde_json::json;

use super::transport::asked;
use super::{Exit, Global, context, exit::Failure, output};
use crate::engine::{Allocation, Cache, Verifier};

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
    let (name, answer) = asked(global.json, || {
        verifier.call(|i| {
            let context = i.exports.signoff_approval_context();
            Ok(if args.canonical {
                context.call_canonicalize(&mut i.store, &text)?.map(|answer| ("canonical", answer))
            } else {
                context.call_digest(&mut i.store, &text)?.map(|answer| ("digest", answer))
            })
        })
    })?;
    if global.json {
        output::line(&json!({ name: answer }).to_string());
    } else {
        output::line(&answer);
    }
    Ok(Exit::Done)
}
