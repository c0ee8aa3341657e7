//! Core dumps: the memory of a process that holds keys goes into no file.

use std::io;

/// Lets the system write no core of this process, whatever ends it; another process of the same user
/// cannot read its memory either. What it starts is as before.
///
/// # Errors
///
/// What the system refuses.
#[cfg(target_os = "linux")]
pub(crate) fn forbid() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Only Linux has a switch of its own for that; elsewhere the limit of the shell counts.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forbid() -> io::Result<()> {
    Ok(())
}
