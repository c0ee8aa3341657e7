//! `signoff compile-module`: what this executable runs itself as, to compile a module apart. Nobody
//! else's command: it takes a module on standard input and answers machine code.

use clap::Args;

use super::Exit;
use crate::engine::{Settings, compile_here};

#[derive(Args)]
pub(super) struct CompileArgs {
    /// For which engine
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
