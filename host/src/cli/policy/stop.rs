//! Early exit of a policy subcommand.

use crate::cli::Exit;
use crate::cli::exit::Failure;

/// Why a subcommand stops.
#[derive(Debug)]
pub(super) enum Stop {
    /// The problem was already reported, with its location in the file.
    Reported(Exit),
    /// The failure is not reported yet.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Converts an early exit to the result of the command.
pub(super) fn ended(ended: Result<Exit, Stop>) -> Result<Exit, Failure> {
    ended.or_else(|stop| match stop {
        Stop::Reported(exit) => Ok(exit),
        Stop::Failed(failure) => Err(failure),
    })
}
