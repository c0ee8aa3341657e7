//! `signoff audit export`: writes the log up to its newest checkpoint to a file.

use std::io::Write;

use anyhow::{Context, anyhow};
use clap::Args;
use serde_json::json;

use super::super::destination::Destination;
use super::super::progress::Progress;
use super::super::transport::Transport;
use super::super::{Exit, exit::Failure, output, trust};
use super::{PAGE, checkpoint, page};
use crate::audit::export::Writer;
use crate::log_key::audience;
use signoff_core::log::checkpoint::open;

#[derive(Args)]
pub(in super::super) struct ExportArgs {
    /// The output file, or - for standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: Destination,
}

/// Fetches the checkpoint first, then the entries it covers, so that concurrent writes do not
/// matter. The file is only created once it verifies.
pub(super) fn run(args: &ExportArgs, transport: &Transport) -> Result<Exit, Failure> {
    let (note, newest) = checkpoint::newest(transport)?;
    open(&note, &trust::named(transport)?)
        .context("the log's own checkpoint does not verify against the log's own keys")?;
    let audience = audience(&newest.origin)
        .ok_or_else(|| anyhow!("`{}` is not a signoff log", newest.origin))?;
    let mut out = args.output.create_private()?;
    let mut writer = Writer::new(&mut out, &audience, newest.size)?;
    copy(transport, &mut writer, newest.size)?;
    writer.finish(Some(&note)).context("the server's log does not verify")?;
    out.keep()?;
    if args.output.is_file() {
        report(transport, &args.output, newest.size);
    }
    Ok(Exit::Done)
}

fn copy(transport: &Transport, writer: &mut Writer<impl Write>, size: u64) -> Result<(), Failure> {
    let mut progress = Progress::new("exported", "entries");
    while writer.written() < size {
        let page = page(transport, writer.written(), PAGE.min(size - writer.written()))?;
        if page.items.is_empty() {
            let found = writer.written();
            Err(anyhow!("the server returned {found} entries, but its checkpoint covers {size}"))?;
        }
        for item in &page.items {
            let expected = writer.written() + 1;
            if item.number != expected {
                Err(anyhow!("the server sent entry {}, expected {expected}", item.number))?;
            }
            writer.entry(item.entry.get())?;
        }
        progress.report(writer.written());
    }
    Ok(())
}

fn report(transport: &Transport, output: &Destination, entries: u64) {
    if transport.json {
        output::line(&json!({ "file": output.to_string(), "entries": entries }).to_string());
    } else {
        output::line(&format!("wrote {entries} entries to {output}"));
    }
}
