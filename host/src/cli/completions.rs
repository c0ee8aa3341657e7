//! `signoff completions`: prints a shell completion script.

use clap::Args;
use clap_complete::Shell;

use super::{Exit, exit::Failure};

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this signature")]
pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Exit, Failure> {
    clap_complete::generate(args.shell, command, "signoff", &mut std::io::stdout());
    Ok(Exit::Done)
}
