//! `signoff store`: erasure, pruning and compaction.

mod archive;
mod compact;
mod erase;
mod prune;

use clap::Subcommand;

use super::transport::Transport;
use super::{Exit, exit::Failure};

#[derive(Subcommand)]
pub(super) enum StoreCommand {
    /// Erase the texts of final approvals: context, plan, reasons, comments; their digests stay
    Erase(erase::EraseArgs),
    /// Remove final approvals whose last change is old; their entries stay in the audit log
    Prune(prune::PruneArgs),
    /// Rewrite the store's file without unused space
    Compact(compact::CompactArgs),
}

pub(super) fn run(command: &StoreCommand, transport: &Transport) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Erase(args) => erase::run(args, transport),
        StoreCommand::Prune(args) => prune::run(args, transport),
        StoreCommand::Compact(_) => compact::run(transport),
    }
}
