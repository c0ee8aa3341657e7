//! The `signoff` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// glibc's allocator takes a fifth of the time of an evaluation under load.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    signoff::cli::main().into()
}
