//! How a command on a rules file ends before its end.

use crate::cli::Exit;
use crate::cli::exit::Failure;

/// Why nothing more is done.
#[derive(Debug)]
pub(super) enum Stop {
    /// What is wrong has been told, at its place in the file.
    Told(Exit),
    /// What is wrong is still to be told.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What was told already needs no more words.
pub(super) fn ended(ended: Result<Exit, Stop>) -> Result<Exit, Failure> {
    ended.or_else(|stop| match stop {
        Stop::Told(exit) => Ok(exit),
        Stop::Failed(failure) => Err(failure),
    })
}
