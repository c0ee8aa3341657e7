//! Exit codes of commands, and printing of failures.

use std::process::ExitCode;

use super::output::{line, note};
use crate::api::Problem;
use crate::refusal::Refusal;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success; for `verify` and `wait`: valid, approved.
    Done,
    /// Failed: the store, the server, the verifier, a file.
    Failed,
    /// The command line is wrong.
    Usage,
    /// Refused, with a code.
    Refused,
    /// Still pending.
    Pending,
    /// The exit code of the command that `run` ran, or 125.
    Run(u8),
}

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The verifier or the service refused.
    Refused {
        /// The refusal.
        problem: Problem,
        /// Whether to print it as JSON.
        json: bool,
    },
    /// Anything else.
    Failed(anyhow::Error),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Pending => 4,
            Exit::Run(code) => code,
        })
    }
}

impl Failure {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    /// Makes the failure of a refusal by this program itself.
    pub(super) fn refused(refusal: &Refusal, json: bool) -> Self {
        Self::Refused { problem: refusal.problem(), json }
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Refused { problem, .. } if problem.status < 500 => Exit::Refused,
            Self::Refused { .. } | Self::Failed(_) => Exit::Failed,
        }
    }

    /// Returns whether the fault is of the server or the way to it, so that another attempt may succeed.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Usage(_) => false,
            Self::Refused { problem, .. } => problem.status >= 500 || problem.status == 429,
            Self::Failed(_) => true,
        }
    }

    /// Returns the failure in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Usage(message) => message.clone(),
            Self::Refused { problem, .. } => problem.detail.clone(),
            Self::Failed(error) => format!("{error:#}"),
        }
    }

    /// Prints the failure to standard error; a refusal under `--json` is a result and goes to
    /// standard output.
    pub(super) fn print(&self) {
        match self {
            Self::Usage(message) => note(&format!("{message}\n\nFor more, try '--help'.")),
            Self::Refused { problem, json: true } => {
                line(&serde_json::to_string(problem).unwrap_or_default());
            }
            Self::Refused { problem, json: false } => {
                let Problem { title, detail, code, .. } = problem;
                note(&format!("{title}: {detail} ({code})"));
            }
            Self::Failed(error) => note(&format!("{error:#}")),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
