//! `signoff completions`: prints a shell completion script.

use clap::Args;
use clap_complete::Shell;

use super::{Exit, exit::Failure, output};

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Exit, Failure> {
    // Into memory first: the generator panics if its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "signoff", &mut script);
    output::styled_line(String::from_utf8(script)?.trim_end());
    Ok(Exit::Done)
}
