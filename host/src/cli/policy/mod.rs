//! `signoff policy`: what a policy team does at its desk. Nothing here needs a server, but for the
//! history that `diff` replays. No rule is read here either: the template at the bench does that.

mod build;
mod case;
mod check;
mod diff;
mod eval;
mod init;
mod inspect;
mod judge;
mod outline;
mod problems;
mod source;
mod stop;
mod test;
mod verdict;

use clap::Subcommand;

use super::exit::Failure;
use super::transport::Transport;
use super::{Exit, Global};

#[derive(Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Write a rules file to begin with
    Init(init::InitArgs),
    /// Tell what is wrong with rules files
    Check(check::CheckArgs),
    /// Run the tests of a rules file, and tell which rules none of them fires
    Test(test::TestArgs),
    /// Make a module of a rules file: what ships
    Build(build::BuildArgs),
    /// Ask a policy about one action, and tell why it answers so
    Eval(eval::EvalArgs),
    /// Tell what a module is, and give its rules back
    Inspect(inspect::InspectArgs),
    /// Tell what changes from one policy to another
    Diff(diff::DiffArgs),
}

pub(super) fn run(
    command: &PolicyCommand,
    global: &Global,
    open: impl Fn() -> Result<Transport, Failure>,
) -> Result<Exit, Failure> {
    let json = global.json;
    let ended = match command {
        PolicyCommand::Init(args) => init::run(args, json),
        PolicyCommand::Check(args) => check::run(args, json),
        PolicyCommand::Test(args) => test::run(args, json),
        PolicyCommand::Build(args) => build::run(args, json),
        PolicyCommand::Eval(args) => eval::run(args, json),
        PolicyCommand::Inspect(args) => inspect::run(args, json),
        PolicyCommand::Diff(args) => diff::run(args, json, open),
    };
    stop::ended(ended)
}
