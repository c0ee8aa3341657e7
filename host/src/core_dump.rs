//! Disables core dumps: the memory of a process that holds keys must not be written to a file.

use std::io;

/// Prevents core dumps of this process; other processes of the same user cannot read its memory
/// either. Child processes are not affected.
///
/// # Errors
///
/// A system error.
#[cfg(target_os = "linux")]
pub(crate) fn forbid() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Only Linux supports this per process; on other systems the limit of the shell applies.
#[cfg(not(target_os = "linux"))]
pub(crate) fn forbid() -> io::Result<()> {
    Ok(())
}
