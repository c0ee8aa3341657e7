//! `signoff compile-module`: the subcommand with which this executable runs itself to compile a
//! module in a separate process. For internal use only: reads a module from standard input and
//! writes machine code.

use clap::Args;

use super::Exit;
use crate::engine::{Settings, compile_here};

#[derive(Args)]
pub(super) struct CompileArgs {
    /// The engine to compile for
    #[arg(value_parser = ["policy", "verifier"])]
    settings: String,
}

pub(super) fn run(args: &CompileArgs) -> Exit {
    let settings = match args.settings.as_str() {
        "verifier" => Settings::Verifier,
        _ => Settings::Policy,
    };
    Exit::Run(compile_here(settings))
}
