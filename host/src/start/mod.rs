//! The checks of a start, which a server must pass before it answers requests.
//!
//! All checks run first, so a refused start adds nothing to the log. Then the start records what is new or
//! what the operator accepts in the audit log, in this order: the clock, the settings, a rollback,
//! the keys, a store without a signed head, the witness.

mod clock;
mod settings;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;
mod witness;
mod witness_file;

use std::path::PathBuf;
use std::sync::Arc;

use self::witness::PendingWitness;
pub use self::witness::WITNESS_SETTING;
pub use self::witness_file::{WitnessError, WitnessFile};
use crate::approvals::Approvals;
use crate::audit::AuditLog;
use crate::caller::Caller;
use crate::code::Code;
use crate::config::Config;
use crate::identity;
use crate::keys::RecordedKeys;
use crate::ledger::{Event, Ledger, Note, Reason, Witnessed};
use crate::refusal::Refusal;
use crate::settings::{Listener, Settings};
use crate::store::{RowChange, Trust, Witness};
use signoff_core::log::checkpoint::Checkpoint;

/// The options of a start.
pub struct Start<'a> {
    /// The address that the server listens on.
    pub listener: Listener,
    /// The witness: the file with the last checkpoint.
    pub witness: Option<&'a WitnessFile>,
    /// Whether to create that file as a new witness of this store.
    pub new_witness: bool,
    /// What the operator accepts.
    pub accept: Accepted,
    /// The trust that the store was opened with. If it does not sign heads yet, it starts to after
    /// every unfinished approval has ended.
    pub trust: &'a Trust,
}

/// The findings that an operator accepts.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// A store that does not extend its witness, or a restored one that gets a new witness.
    pub rollback: bool,
    /// The id of the token that stays in force after an accepted rollback; every other token is
    /// revoked.
    pub keep_token: Option<String>,
    /// A clock that is far ahead of the last entry.
    pub clock: bool,
    /// The digest of settings that are weaker than the recorded ones.
    pub weaker_settings: Option<String>,
}

/// The result of a start.
#[derive(Default)]
pub struct Started {
    /// Approvals that ended because a clock far ahead of the last entry was accepted.
    pub ended_by_clock: Option<usize>,
    /// Approvals that ended because a rollback was accepted.
    pub ended_by_rollback: Option<usize>,
    /// Tokens that were revoked because a rollback was accepted.
    pub revoked_by_rollback: usize,
    /// Approvals that ended because a store without a signed head was accepted.
    pub ended_unsigned: Option<usize>,
    /// The digest of the settings that are in force now.
    pub settings: String,
    /// Phrases for the settings that are weaker than the recorded ones, and accepted.
    pub weaker_settings: Vec<String>,
    /// The message if the clock is behind the last entry: nothing is written until it has passed
    /// that.
    pub clock_behind: Option<String>,
    /// The function to call after each commit.
    pub witness: Option<Witness>,
}

/// The results of the checks of a start, without a start.
pub struct Standing {
    /// The file of the recorded witness, if the log extends it.
    pub witness: Result<Option<PathBuf>, StartError>,
    /// Whether every key agrees with the audit log, or is new.
    pub keys: Result<(), Refusal>,
    /// Whether no setting is weaker than recorded.
    pub settings: Result<(), Refusal>,
    /// Whether the clock is neither behind the log nor far ahead of it.
    pub clock: Result<(), String>,
    /// Whether the server terminated TLS at its last start.
    pub tls: bool,
}

/// Why a start is refused.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The clock is far ahead of the last entry, or behind it.
    #[error("{0}")]
    Clock(String),
    /// The settings are weaker than the recorded ones.
    #[error(
        "the settings are weaker than those recorded in the audit log: {}; to accept them, start with `--accept-weaker-settings {digest}`{}",
        weaker.join("; "),
        if *other { " (the given digest is that of other settings)" } else { "" }
    )]
    WeakerSettings {
        /// A phrase for each setting.
        weaker: Vec<String>,
        /// The digest of the settings as they are now.
        digest: String,
        /// Whether another digest was given.
        other: bool,
    },
    /// The log records a witness, and none is given.
    #[error(
        "the audit log of this store records a witness, so a start requires `--witness FILE`; if that file is lost, `--new-witness` and `--accept-rollback` create a new one and expire every unfinished approval"
    )]
    NoWitness,
    /// The witness cannot be used, or the store does not extend it.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// The token to keep is not in force.
    #[error(
        "--keep-token `{0}`: this store has no such token in force; `signoff token list` lists its tokens, and without --keep-token every token is revoked"
    )]
    KeepToken(String),
    /// A change or a read of the store was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// The checks of a start over a store.
pub struct StartChecks {
    ledger: Arc<Ledger>,
    keys: Arc<RecordedKeys>,
    approvals: Arc<Approvals>,
    audit: Arc<AuditLog>,
    /// The settings of this process, without the listener.
    settings: Settings,
}

impl StartChecks {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        keys: Arc<RecordedKeys>,
        approvals: Arc<Approvals>,
        audit: Arc<AuditLog>,
        config: &Config,
    ) -> Self {
        Self { ledger, keys, approvals, audit, settings: Settings::of(config) }
    }

    /// Blocks writes for each check that only a start can complete.
    pub(crate) async fn close_until_started(&self) {
        self.close_for_weaker_settings().await;
        self.close_for_a_witness().await;
    }

    /// Starts as a server: runs all checks, and records what is new or accepted.
    ///
    /// # Errors
    ///
    /// [`StartError`], in the order of its variants.
    pub async fn start(&self, start: Start<'_>) -> Result<Started, StartError> {
        match self.start_checked(start).await {
            Err(StartError::Refused(refusal)) if refusal.code == Code::CLOCK_BEHIND => {
                let why = self.clock_behind_message();
                Err(why.map_or(StartError::Refused(refusal), StartError::Clock))
            }
            started => started,
        }
    }

    async fn start_checked(&self, start: Start<'_>) -> Result<Started, StartError> {
        let gap = self.gap_to_accept(start.accept.clock)?;
        let settings = self.settings_to_record(&start).await?;
        let witness = self.pending_witness(&start).await?;
        let rolled_back = witness.as_ref().is_some_and(|witness| witness.rolled_back.is_some());
        if let Some(id) = start.accept.keep_token.as_deref().filter(|_| rolled_back)
            && !identity::is_in_force(&self.ledger, id).await?
        {
            return Err(StartError::KeepToken(id.to_owned()));
        }
        self.keys.checked().await?;
        let signed = self.ledger.store().head().await.map_err(Refusal::from)?.signed;

        if witness.is_some() {
            // It is updated after everything is recorded.
            self.ledger.gate().open(Reason::Witness);
        }
        let mut started = Started { settings: settings.digest(), ..Started::default() };
        if let Some(gap) = gap {
            started.ended_by_clock = Some(self.accept_clock(gap).await?);
        }
        started.weaker_settings = self.record_settings(settings).await?;
        if let Some(PendingWitness { rolled_back: Some(seen), .. }) = &witness {
            started.ended_by_rollback = Some(self.accept_rollback(seen.as_ref()).await?);
            let kept = start.accept.keep_token.as_deref();
            started.revoked_by_rollback = identity::revoke_all_but(&self.ledger, kept).await?;
        }
        self.keys.recorded().await?;
        if !signed && start.trust.is_holding_back() {
            started.ended_unsigned = Some(self.accept_unsigned(start.trust).await?);
        }
        if let Some(witness) = witness {
            started.witness = Some(self.update_witness(witness).await?);
        }
        started.clock_behind = self.clock_behind_message();
        Ok(started)
    }

    /// Runs the checks of a start. Writes nothing.
    pub async fn standing(&self) -> Standing {
        let witness = self.recorded_witness_file().await;
        let wrong = self.clock_behind_message().or_else(|| self.ledger.time().gap());
        Standing {
            witness: witness.map(|file| file.map(|file| file.path().to_owned())),
            keys: self.keys.checked().await.map(drop),
            settings: self.settings_suffice().await,
            clock: wrong.map_or(Ok(()), Err),
            tls: self.recorded_tls().await,
        }
    }

    /// Ends every unfinished approval of a store with an unsigned head, starts to sign heads, and
    /// records that: last, so that an interrupted start must be accepted again. Returns how many
    /// approvals ended.
    async fn accept_unsigned(&self, trust: &Trust) -> Result<usize, Refusal> {
        let ended = self.approvals.end_unfinished().await?;
        trust.sign_from_now_on();
        self.record(Event::UnsignedAccepted { ended }, Vec::new()).await?;
        Ok(ended)
    }

    /// Records an accepted rollback and ends every unfinished approval. Returns how many there
    /// were.
    ///
    /// Errors: the errors of every change; approvals that ended before stay ended.
    async fn accept_rollback(&self, seen: Option<&Checkpoint>) -> Result<usize, Refusal> {
        let witnessed =
            seen.map(|seen| Witnessed { size: seen.size, root: hex::encode(seen.root) });
        self.record(Event::RollbackAccepted { witnessed }, Vec::new()).await?;
        self.approvals.end_unfinished().await
    }

    /// Records an event of a start.
    async fn record(&self, event: Event<'_>, rows: Vec<RowChange>) -> Result<(), Refusal> {
        let note = Note::of(event).changing(rows);
        self.ledger.note(&Caller::system(), note, None).await.map(drop)
    }
}
