//! The `signoff` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    signoff::cli::main().into()
}
