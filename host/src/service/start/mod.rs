//! The rules of a start: what a server is held to before it answers anybody.
//!
//! First everything is checked, and a start that is refused has written nothing. What an operator accepts
//! is then recorded in the audit log, in this order: the clock, the settings, a rollback, the keys, a store
//! without a signed head, the witness.

mod clock;
mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod unfinished;
mod witness;

use std::path::PathBuf;

use serde_json::json;

use self::witness::ToAttend;
pub use self::witness::WITNESS_SETTING;
pub(super) use self::witness::signer;
use super::Service;
use super::caller::Caller;
use super::gate::Reason;
use super::note::Note;
use crate::code::Code;
use crate::refusal::Refusal;
use crate::settings::Listener;
use crate::store::{RowChange, Trust, Witness};
use crate::witness::{WitnessError, WitnessFile};

/// How a server is started.
pub struct Start<'a> {
    /// Where it listens.
    pub listener: Listener,
    /// The file that keeps the last checkpoint.
    pub witness: Option<&'a WitnessFile>,
    /// Whether to make that file: it is the first witness of this store.
    pub new_witness: bool,
    /// What the operator accepts.
    pub accept: Accepted,
    /// What the store was opened with. Where it signs no head yet, it does so once every unfinished
    /// approval has ended.
    pub trust: &'a Trust,
}

/// What an operator accepts.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// That the store does not extend its witness.
    pub rollback: bool,
    /// That the clock is right, long after the last entry.
    pub clock: bool,
    /// The digest of settings that are weaker than the recorded ones.
    pub weaker_settings: Option<String>,
}

/// What a start did.
#[derive(Default)]
pub struct Started {
    /// Approvals that ended because a rollback was accepted.
    pub ended_by_rollback: Option<usize>,
    /// Approvals that ended because a store without a signed head was accepted.
    pub ended_unsigned: Option<usize>,
    /// Phrases for the settings that are weaker than those of before, which was accepted.
    pub weaker_settings: Vec<String>,
    /// What to tell of a clock that is behind the last entry: nothing is written until it is past that.
    pub clock_behind: Option<String>,
    /// What is told of each later commit.
    pub witness: Option<Witness>,
}

/// How a store stands to what a start is held to, for who looks at it without starting.
pub struct Standing {
    /// The file of the witness that the log knows, where the log extends it.
    pub witness: Result<Option<PathBuf>, StartError>,
    /// Whether every key is what the audit has seen of it, or new.
    pub keys: Result<(), Refusal>,
    /// Whether no setting is weaker than recorded.
    pub settings: Result<(), Refusal>,
    /// Whether the clock is neither behind the log nor long after it.
    pub clock: Result<(), String>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The clock is long after the last entry.
    #[error("{0}")]
    Clock(String),
    /// The settings are weaker than those that the log has.
    #[error(
        "the settings are weaker than those that the audit log has: {}; if that is meant, start with `--accept-weaker-settings {digest}`{}",
        weaker.join("; "),
        if *other { " (the digest that was given is of others)" } else { "" }
    )]
    WeakerSettings {
        /// A phrase for each setting.
        weaker: Vec<String>,
        /// The digest of the settings as they are now.
        digest: String,
        /// Whether another digest was given.
        other: bool,
    },
    /// The log knows a witness, and none is given.
    #[error(
        "the audit log of this store knows a witness, so it starts only with `--witness FILE`; where that file is lost, `--new-witness` and `--accept-rollback` make a new one and expire every unfinished approval"
    )]
    NoWitness,
    /// The witness cannot be used, or the store does not extend it.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// A change was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Service {
    /// Closes what only a start settles.
    pub(super) async fn close_until_started(&self) {
        self.close_for_weaker_settings().await;
        self.close_for_a_witness().await;
    }

    /// Starts as a server: checks every rule of a start, and records what is new or accepted.
    ///
    /// # Errors
    ///
    /// [`StartError`], in the order of its variants.
    pub async fn start(&self, start: Start<'_>) -> Result<Started, StartError> {
        match self.start_checked(start).await {
            Err(StartError::Refused(refusal)) if refusal.code == Code::CLOCK_BEHIND => {
                let why = self.told_clock_behind();
                Err(why.map_or(StartError::Refused(refusal), StartError::Clock))
            }
            started => started,
        }
    }

    async fn start_checked(&self, start: Start<'_>) -> Result<Started, StartError> {
        let gap = self.gap_to_accept(start.accept.clock)?;
        let settings = self.settings_to_record(&start).await?;
        let witness = self.witness_to_attend(&start).await?;
        let signed = self.store.head().await.map_err(Refusal::from)?.signed;

        if witness.is_some() {
            // It is told of all that a start records once that is done.
            self.gate.open(Reason::Witness);
        }
        if let Some(gap) = gap {
            self.record_accepted_clock(gap).await?;
        }
        let weaker_settings = self.record_settings(settings).await?;
        let mut started = Started { weaker_settings, ..Started::default() };
        if let Some(ToAttend { rolled_back: Some(seen), .. }) = &witness {
            started.ended_by_rollback = Some(self.accept_rollback(seen.as_ref()).await?);
        }
        self.recorded_keys().await?;
        if !signed && start.trust.is_holding_back() {
            started.ended_unsigned = Some(self.accept_unsigned(start.trust).await?);
        }
        if let Some(witness) = witness {
            started.witness = Some(self.attend(witness).await?);
        }
        started.clock_behind = self.told_clock_behind();
        Ok(started)
    }

    /// How the store stands to what a start is held to. Writes nothing.
    pub async fn standing(&self) -> Standing {
        let witness = self.recorded_witness_file().await;
        let wrong = self.told_clock_behind().or_else(|| self.time.gap());
        Standing {
            witness: witness.map(|file| file.map(|file| file.path().to_owned())),
            keys: self.checked_keys().await.map(drop),
            settings: self.settings_suffice().await,
            clock: wrong.map_or(Ok(()), Err),
        }
    }

    /// Ends what is unfinished in a store whose head nobody signed, signs from then on, and records it:
    /// last, so that a start which is cut short has to be accepted again.
    async fn accept_unsigned(&self, trust: &Trust) -> Result<usize, Refusal> {
        let ended = self.end_unfinished().await?;
        trust.sign_from_now_on();
        self.record_start("unsigned_accepted", Vec::new(), json!({ "ended": ended })).await?;
        Ok(ended)
    }

    /// Records an event of the host's own.
    async fn record_start(
        &self,
        event: &'static str,
        rows: Vec<RowChange>,
        fields: serde_json::Value,
    ) -> Result<(), Refusal> {
        let fields = fields.to_string();
        let note = Note { event, rows, fields, guardrail: None, answer: None };
        self.keep_note(&Caller::system(), note, None, self.now_to_write()?).await.map(drop)
    }
}
