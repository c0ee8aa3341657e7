//! `signoff policy`: offline tools for policy authors. Only `diff` of what a server has needs a store or
//! server. Rules are parsed by the template in the rules runtime, not here.

mod build;
mod case;
mod check;
mod diff;
mod differs;
mod eval;
mod fmt;
mod include;
mod init;
mod inspect;
mod junit;
pub(super) mod lines;
mod local_policy;
mod members;
mod outline;
mod problems;
mod schema;
mod source;
mod stop;
mod test;
pub(in crate::cli) mod verdict;

use clap::Subcommand;

use super::exit::Failure;
use super::transport::Transport;
use super::{Exit, Global};

#[derive(Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Write a starter rules file
    Init(init::InitArgs),
    /// Write rules files in one layout
    Fmt(fmt::FmtArgs),
    /// Print the JSON Schema of rules files, for editors
    Schema(schema::SchemaArgs),
    /// Check rules files and report problems
    Check(check::CheckArgs),
    /// Run the tests of a rules file, and list rules that no test fires
    Test(test::TestArgs),
    /// Build a shippable module from a rules file
    Build(build::BuildArgs),
    /// Evaluate a policy for one action, and explain the verdict
    Eval(eval::EvalArgs),
    /// Show a module and its rules
    Inspect(inspect::InspectArgs),
    /// Compare two policies
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
        PolicyCommand::Fmt(args) => fmt::run(args, json),
        PolicyCommand::Schema(args) => schema::run(args, json),
        PolicyCommand::Check(args) => check::run(args, global),
        PolicyCommand::Test(args) => test::run(args, json),
        PolicyCommand::Build(args) => build::run(args, json),
        PolicyCommand::Eval(args) => eval::run(args, json),
        PolicyCommand::Inspect(args) => inspect::run(args, json),
        PolicyCommand::Diff(args) => diff::run(args, json, open),
    };
    stop::ended(ended)
}
