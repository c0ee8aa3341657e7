//! `signoff show`: shows one approval.

use clap::Args;

use super::transport::Transport;
use super::{Exit, exit::Failure, output};

#[derive(Args)]
pub(super) struct ShowArgs {
    /// The approval's id, or a unique prefix of it
    id: String,
    /// Show long values whole
    #[arg(long)]
    full: bool,
}

pub(super) fn run(args: &ShowArgs, transport: &Transport) -> Result<Exit, Failure> {
    let id = transport.resolve(&args.id)?;
    let answer = transport.get(&format!("/api/v1/approvals/{id}"))?;
    let approval = transport.approval_of(&id, &answer)?;
    if transport.json {
        output::line(&answer);
    } else {
        output::approval(&approval, args.full);
    }
    Ok(Exit::Done)
}
