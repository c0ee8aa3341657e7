//! `signoff audit checkpoint` and `signoff audit key`: the checkpoint to keep, and the keys to
//! trust.

use anyhow::Context;
use serde_json::json;

use super::super::transport::Transport;
use super::super::{Exit, exit::Failure, output, trust};
use signoff_core::log::checkpoint::Checkpoint;

/// Returns the newest signed checkpoint.
pub(super) fn newest(transport: &Transport) -> Result<(String, Checkpoint), Failure> {
    // The signed text ends with a line feed, which the transport trims.
    let note = transport.get("/api/v1/audit/checkpoint")? + "\n";
    let checkpoint = Checkpoint::unverified(&note).context("the checkpoint of the log")?;
    Ok((note, checkpoint))
}

pub(super) fn print(transport: &Transport) -> Result<Exit, Failure> {
    let (note, checkpoint) = newest(transport)?;
    if transport.json {
        let Checkpoint { origin, size, root } = checkpoint;
        let root = hex::encode(root);
        output::line(
            &json!({ "checkpoint": note, "origin": origin, "size": size, "root": root })
                .to_string(),
        );
    } else {
        output::plain(note.trim_end());
    }
    Ok(Exit::Done)
}

pub(super) fn keys(transport: &Transport) -> Result<Exit, Failure> {
    if transport.json {
        output::line(&transport.get("/api/v1/audit/keys")?);
        return Ok(Exit::Done);
    }
    let keys = trust::named(transport)?;
    if keys.is_empty() {
        output::note("no key signs this log; create one with `signoff key generate --use log`");
    }
    for key in keys {
        output::line(&key.to_string());
    }
    Ok(Exit::Done)
}
