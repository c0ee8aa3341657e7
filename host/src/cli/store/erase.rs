//! `signoff store erase`: erases the texts of final approvals, then compacts the file.

use clap::Args;
use serde_json::json;

use super::super::output;
use super::super::transport::{Access, Transport};
use super::super::{Exit, exit::Failure};
use super::compact;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct EraseArgs {
    /// The approvals' ids, or unique prefixes of them
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
}

const EXAMPLES: &str = "Examples:
  signoff store erase appr_01k7r0000000000000000000a0
  signoff store erase --server https://signoff.example $(cat ids-of-the-person)

Only final approvals: rejected, expired, withdrawn, or executed with an outcome. Context, plan, reasons,
comments and detail are gone from the store and its file; agent, action, names of people and digests stay.
Not reached: backups, exported receipts and archives, what clients kept, and blocks of the disk that the
file system has freed. Several ids share one compaction.";

pub(super) fn run(args: &EraseArgs, transport: &Transport) -> Result<Exit, Failure> {
    let (mut erased, mut failed) = (Vec::new(), None);
    for id in &args.ids {
        match erase(id, transport) {
            Ok(id) => erased.push(id),
            Err(failure) => {
                failed = Some(failure);
                break;
            }
        }
    }
    // Also after a failure: what was erased must not stay in the file.
    let compacted = match (erased.is_empty(), failed) {
        (true, Some(failure)) => return Err(failure),
        (_, failed) => {
            let compacted = compact::compact(transport)?;
            if let Some(failure) = failed {
                for id in &erased {
                    output::note(&format!("erased {id}"));
                }
                return Err(failure);
            }
            compacted
        }
    };
    if transport.json {
        output::line(&json!({ "erased": erased, "compacted": compacted }).to_string());
        return Ok(Exit::Done);
    }
    for id in &erased {
        output::line(&format!("erased {id}"));
    }
    output::line(&compact::words(&compacted));
    Ok(Exit::Done)
}

fn erase(id: &str, transport: &Transport) -> Result<String, Failure> {
    let id = transport.resolve(id)?;
    let path = format!("/api/v1/approvals/{id}/erase");
    let answer = transport.post(&path, "{}".to_owned(), Access::Write)?;
    transport.approval_of(&id, &answer)?;
    Ok(id)
}
