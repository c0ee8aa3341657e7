//! `signoff audit export`: the log up to its newest checkpoint, as a file.

use std::io::Write;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::super::destination::Destination;
use super::super::progress::Progress;
use super::super::transport::Transport;
use super::super::{Exit, exit::Failure, output, trust};
use super::{PAGE, checkpoint, page};
use crate::audit;
use crate::audit::export::Writer;
use crate::audit::log_key::audience;

#[derive(Args)]
pub(in super::super) struct ExportArgs {
    /// Where to; standard output if left out
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: Destination,
}

/// The checkpoint first, then the entries that it covers: a server that goes on writing changes
/// neither. A file is there only once it verifies.
pub(super) fn run(args: &ExportArgs, transport: &Transport) -> Result<Exit, Failure> {
    let (note, newest) = checkpoint::newest(transport)?;
    audit::checkpoint::open(&note, &trust::named(transport)?)
        .context("the log's own checkpoint does not verify against the log's own keys")?;
    let audience = audience(&newest.origin)
        .ok_or_else(|| anyhow!("`{}` is no log of signoff", newest.origin))?;
    let mut out = args.output.create()?;
    let mut writer = Writer::new(&mut out, &audience, newest.size)?;
    copy(transport, &mut writer, newest.size)?;
    writer.finish(Some(&note)).context("the server's log does not verify")?;
    out.keep()?;
    if args.output.is_file() {
        tell(transport, &args.output, newest.size);
    }
    Ok(Exit::Done)
}

fn copy(transport: &Transport, writer: &mut Writer<impl Write>, size: u64) -> Result<(), Failure> {
    let mut progress = Progress::new("exported", "entries");
    while writer.written() < size {
        let page = page(transport, writer.written(), PAGE.min(size - writer.written()))?;
        if page.items.is_empty() {
            let found = writer.written();
            Err(anyhow!("the server has {found} entries, and its checkpoint covers {size}"))?;
        }
        for item in &page.items {
            let expected = writer.written() + 1;
            if item.number != expected {
                Err(anyhow!("the server sent entry {} where {expected} was due", item.number))?;
            }
            writer.entry(item.entry.get())?;
        }
        progress.tell(writer.written());
    }
    Ok(())
}

fn tell(transport: &Transport, output: &Destination, entries: u64) {
    if transport.json {
        output::line(&json!({ "file": output.to_string(), "entries": entries }).to_string());
    } else {
        output::line(&format!("wrote {entries} entries to {output}"));
    }
}
