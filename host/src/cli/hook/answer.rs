//! The answers of a gate, in the form of each coding agent. Where no answer can be given, the exit code 2
//! with a sentence on standard error blocks the tool in all of them.

use std::io::{self, Write, stdout};

use rustix::fs::{fstat, stat};
use serde_json::json;
use signoff_core::deceptive::in_one_line;

use super::event::Harness;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::note;

/// Longest reason in an answer: comments and rules have limits of their own.
const REASON_CHARS_MAX: usize = 2_000;

/// What a gate answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The tool runs, without another question.
    Allow(String),
    /// The gate has no objection; the coding agent's own permissions apply.
    Pass,
    /// The tool does not run.
    Deny(String),
    /// The coding agent stops, and asks again when its session is resumed.
    Defer(String),
}

impl Verdict {
    /// The name of the verdict.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Pass => "pass",
            Self::Deny(_) => "deny",
            Self::Defer(_) => "defer",
        }
    }

    /// Returns what is printed; empty means nothing.
    pub(super) fn text(&self, harness: Harness) -> String {
        let (decision, reason) = match self {
            Self::Pass => return String::new(),
            // Codex takes a tool's permission from its own settings, and `allow` for a fault.
            Self::Allow(_) if harness == Harness::Codex => return String::new(),
            Self::Allow(reason) => ("allow", reason),
            Self::Deny(reason) => ("deny", reason),
            Self::Defer(reason) => ("defer", reason),
        };
        let reason = shown(reason);
        match harness {
            Harness::Claude | Harness::Codex => json!({ "hookSpecificOutput": {
                "hookEventName": "PreToolUse",
                "permissionDecision": decision,
                "permissionDecisionReason": reason,
            } }),
            Harness::Copilot => {
                json!({ "permissionDecision": decision, "permissionDecisionReason": reason })
            }
        }
        .to_string()
    }

    /// Prints the verdict. The exit code is 2 if it cannot be printed.
    pub(super) fn print(&self, harness: Harness) -> Result<Exit, Exit> {
        let text = self.text(harness);
        if text.is_empty() {
            return Ok(Exit::Done);
        }
        match print(&text) {
            Ok(()) => Ok(Exit::Done),
            Err(e) => {
                note(&format!("the tool does not run: the answer cannot be written: {e}"));
                if let Self::Deny(reason) = self {
                    note(&shown(reason));
                }
                Err(Exit::Usage)
            }
        }
    }
}

/// Writes an answer to standard output.
fn print(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    // A closed standard output is `/dev/null` in a Rust program, and an answer there is none.
    if let (Ok(out), Ok(null)) = (fstat(&out), stat("/dev/null"))
        && (out.st_dev, out.st_ino) == (null.st_dev, null.st_ino)
    {
        return Err(io::Error::other("standard output is closed or /dev/null"));
    }
    writeln!(out, "{text}")?;
    out.flush()
}

/// Returns a text that others wrote, as it may be shown to a model or in a terminal.
fn shown(text: &str) -> String {
    in_one_line(&text.chars().take(REASON_CHARS_MAX).collect::<String>())
}

/// Blocks a tool after a failure.
pub(super) fn block(failure: &Failure) -> Exit {
    let words = match failure {
        Failure::Refused { problem, .. } => {
            format!("{}: {} ({})", problem.title, problem.detail, problem.code)
        }
        other => other.words(),
    };
    block_with(&words)
}

/// Blocks a tool for a reason.
pub(super) fn block_with(why: &str) -> Exit {
    note(&format!("the tool does not run: {}", shown(why)));
    Exit::Usage
}
