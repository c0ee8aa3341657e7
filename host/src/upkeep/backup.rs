//! Backups of a running store: a copy of one commit, recorded in the audit log before it leaves.

use std::fs::File;

use tokio::sync::OwnedSemaphorePermit;

use super::Upkeep;
use crate::caller::Caller;
use crate::code::Code;
use crate::ledger::{Event, Note};
use crate::refusal::Refusal;
use crate::store::Copied;

/// A copy of the store. Nobody else gets one until it is dropped.
#[derive(Debug)]
pub struct Backup {
    /// The file, from its start. It has no name.
    pub file: File,
    /// Its size.
    pub bytes: u64,
    /// The number of audit entries in it.
    pub entries: u64,
    _alone: OwnedSemaphorePermit,
}

impl Upkeep {
    /// Copies the store as of its last commit to a file without a name next to it, and records that.
    /// Changes and reads go on meanwhile.
    ///
    /// # Errors
    ///
    /// `rate-limited` while another backup is made or read; the errors of every change.
    pub async fn backup(&self, caller: &Caller) -> Result<Backup, Refusal> {
        let alone = self.backups.clone().try_acquire_owned().map_err(|_| {
            Refusal::new(Code::RATE_LIMITED, "another backup is running; retry when it has ended")
        })?;
        self.ledger.now_to_write()?;
        let copied = self.ledger.store().copy().await;
        let Copied { file, bytes, entries, root } = copied.map_err(Refusal::of_copy)?;
        let event = Event::BackupTaken { size: entries, root: hex::encode(root), bytes };
        self.ledger.note(caller, Note::of(event), None).await?;
        Ok(Backup { file, bytes, entries, _alone: alone })
    }
}
