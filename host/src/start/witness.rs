//! The witness of a store: checking that the log extends it, and updating it after each commit.

use std::path::PathBuf;

use serde_json::json;

use super::{Start, StartChecks, StartError, WitnessError, WitnessFile};
use crate::code::Code;
use crate::ledger::{Event, Reason};
use crate::refusal::Refusal;
use crate::store::{Row, RowChange, RowKind, Witness, is_signed};
use signoff_core::log::checkpoint::Checkpoint;
use signoff_core::log::tree;

/// The id of the row that records the witness. The row has the path of its file.
pub const WITNESS_SETTING: &str = "witness";

/// A witness that a start will update.
pub(super) struct PendingWitness {
    file: WitnessFile,
    /// Whether the file must be created.
    is_new: bool,
    /// `Some` if a rollback of the store was accepted: the checkpoint of the witness, if known.
    pub(super) rolled_back: Option<Option<Checkpoint>>,
}

impl StartChecks {
    /// Blocks writes if the log records a witness, until the witness is updated or checked.
    pub(super) async fn close_for_a_witness(&self) {
        let refusal = match self.recorded_witness().await {
            Ok(None) => return,
            Ok(Some(_)) => Refusal::new(
                Code::STORE_UNAVAILABLE,
                "the audit log of this store records a witness, and this process does not update it",
            ),
            Err(refusal) => refusal,
        };
        self.ledger.gate().close(Reason::Witness, refusal);
    }

    /// Checks that the log extends its recorded witness, for a command that decides from the store
    /// without a server.
    ///
    /// # Errors
    ///
    /// [`StartError::Witness`], also if its file is missing, or if the store cannot be read.
    pub async fn check_recorded_witness(&self) -> Result<(), StartError> {
        self.recorded_witness_file().await?;
        self.ledger.gate().open(Reason::Witness);
        Ok(())
    }

    /// Checks and updates the recorded witness, for a command that changes the store without a
    /// server. Returns the function to call after each commit; `None` if the log records no
    /// witness.
    ///
    /// # Errors
    ///
    /// As [`Self::check_recorded_witness`].
    pub async fn attend_recorded_witness(&self) -> Result<Option<Witness>, StartError> {
        let Some(file) = self.recorded_witness_file().await? else { return Ok(None) };
        self.update_witness(PendingWitness { file, is_new: false, rolled_back: None })
            .await
            .map(Some)
    }

    /// Returns the file of the recorded witness after checking that the log extends it.
    pub(super) async fn recorded_witness_file(&self) -> Result<Option<WitnessFile>, StartError> {
        let Some(row) = self.recorded_witness().await? else { return Ok(None) };
        let file = WitnessFile::at(path_of(&row)?);
        if self.seen_by(&file)?.is_none() {
            return Err(file.lost().into());
        }
        self.extends(&file).await?;
        Ok(Some(file))
    }

    /// Returns the witness to update after a start, compared with the recorded one.
    ///
    /// Errors: [`StartError::NoWitness`], then [`StartError::Witness`].
    pub(super) async fn pending_witness(
        &self,
        start: &Start<'_>,
    ) -> Result<Option<PendingWitness>, StartError> {
        let known = self.recorded_witness().await?.is_some();
        let Some(file) = start.witness else {
            return if known { Err(StartError::NoWitness) } else { Ok(None) };
        };
        let seen = self.seen_by(file)?;
        let rolled_back = match (&seen, start.new_witness) {
            (Some(_), true) => return Err(file.exists().into()),
            // Without the witness a rollback cannot be detected.
            (None, false) if known => return Err(file.lost().into()),
            (None, true) if known && !start.accept.rollback => return Err(file.lost().into()),
            (None, false) => return Err(file.missing().into()),
            // A store from before its first witness records none: the operator says that it is old.
            (None, true) => (known || start.accept.rollback).then_some(None),
            (Some(_), false) => match self.extends(file).await {
                Err(WitnessError::RolledBack { .. }) if start.accept.rollback => Some(seen.clone()),
                extends => {
                    extends?;
                    None
                }
            },
        };
        Ok(Some(PendingWitness { file: file.clone(), is_new: seen.is_none(), rolled_back }))
    }

    /// Records the witness unless it is recorded with this path, and updates it to the current log.
    /// Returns the function to call after each commit.
    pub(super) async fn update_witness(
        &self,
        pending: PendingWitness,
    ) -> Result<Witness, StartError> {
        let PendingWitness { file, is_new, .. } = pending;
        // Created before it is recorded: if the start is interrupted in between, the next one finds
        // the file and continues.
        if is_new {
            drop(self.witness(&file).await?);
        }
        let known = self.recorded_witness().await?;
        let path = file.absolute()?;
        let value = json!({ "path": path }).to_string();
        self.ledger.gate().open(Reason::Witness);
        if known.as_ref().is_none_or(|row| row.value != value) {
            let prev = known.map_or(0, |row| row.entry);
            let id = WITNESS_SETTING.to_owned();
            let row = RowChange { kind: RowKind::Setting, id, value: Some(value), prev };
            self.record(Event::WitnessRecorded {}, vec![row]).await?;
        }
        Ok(self.witness(&file).await?)
    }

    async fn recorded_witness(&self) -> Result<Option<Row>, Refusal> {
        Ok(self.ledger.store().row(RowKind::Setting, WITNESS_SETTING).await?)
    }

    /// Returns the checkpoint of a witness; `None` if its file is missing or empty.
    fn seen_by(&self, file: &WitnessFile) -> Result<Option<Checkpoint>, WitnessError> {
        let trusted = self.audit.log_keys().map_err(|e| file.unusable(e))?;
        let trusted: Vec<_> = trusted.into_iter().map(|(_, key)| key).collect();
        file.last(&trusted)
    }

    /// Checks that the log extends the checkpoint of a witness. The proof is verified against the
    /// root computed from the log's entries, so that edited rows of the tree cannot make it valid.
    ///
    /// Errors: [`WitnessError`], also if the store cannot be read.
    async fn extends(&self, file: &WitnessFile) -> Result<(), WitnessError> {
        let Some(seen) = self.seen_by(file)? else { return Ok(()) };
        let head = self.ledger.head().await.map_err(|e| file.unusable(e))?;
        if head.entries < seen.size {
            return Err(file.rolled_back(format!(
                "it holds {} audit entries, the witness saw {}",
                head.entries, seen.size
            )));
        }
        let proof = self.audit.consistency(seen.size, Some(head.entries)).await;
        let proof = proof.map_err(|e| file.unusable(e))?;
        tree::check_consistency(seen.size, &seen.root, head.entries, &head.root, &proof.hashes)
            .map_err(|_| file.rolled_back(format!("its first {} entries differ", seen.size)))
    }

    /// Writes the current checkpoint to the file. Returns the function that writes later ones.
    async fn witness(&self, file: &WitnessFile) -> Result<Witness, WitnessError> {
        file.remove_drafts().map_err(|e| file.unusable(e))?;
        let target = file.clone();
        let mut witness: Witness = Box::new(move |head| {
            if !is_signed(head) {
                return Err("the head of the log is not signed by a log key".to_owned());
            }
            target.keep(head).map_err(|e| e.to_string())
        });
        let (_, head) = self.audit.checkpoint().await.map_err(|e| file.unusable(e))?;
        witness(&head).map_err(|e| file.unusable(e))?;
        Ok(witness)
    }
}

fn path_of(row: &Row) -> Result<PathBuf, Refusal> {
    let value: Option<serde_json::Value> = serde_json::from_str(&row.value).ok();
    let path = value.as_ref().and_then(|value| value.get("path")?.as_str());
    path.map(PathBuf::from).ok_or_else(|| {
        Refusal::new(Code::STORE_UNAVAILABLE, "the record of the witness cannot be read")
    })
}
