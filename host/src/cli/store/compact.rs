//! `signoff store compact`: rewrites the store's file without unused space.

use clap::Args;

use super::super::output;
use super::super::transport::{Access, Transport};
use super::super::{Exit, exit::Failure};
use crate::api::CompactedShown;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct CompactArgs {}

const EXAMPLES: &str = "Examples:
  signoff store compact --server https://signoff.example
  signoff store compact --store /var/lib/signoff/signoff.redb   # no server runs

The new file replaces the old one in one step; a crash leaves one of the two. Reads go on, changes wait
until it is written. It needs as much free disk as the store has rows. A server does it by itself soon
after an erasure or a pruning.";

pub(super) fn run(transport: &Transport) -> Result<Exit, Failure> {
    let compacted = compact(transport)?;
    if transport.json {
        output::line(&serde_json::to_string(&compacted)?);
    } else {
        output::line(&words(&compacted));
    }
    Ok(Exit::Done)
}

pub(super) fn compact(transport: &Transport) -> Result<CompactedShown, Failure> {
    let answer = transport.post("/api/v1/store/compact", "{}".to_owned(), Access::Write)?;
    transport.parse(&answer)
}

pub(super) fn words(compacted: &CompactedShown) -> String {
    let CompactedShown { bytes_before, bytes_after } = compacted;
    format!("compacted the store from {bytes_before} to {bytes_after} bytes of disk space")
}
