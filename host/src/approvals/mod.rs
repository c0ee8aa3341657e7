//! Approvals: their operations, reads and expiry. Each operation builds an event for the verifier
//! and stores the resulting transition; the order of refusals is that of `wit/lifecycle.wit`.

mod attempts;
mod change;
mod cursor;
mod decide;
mod difference;
mod erase;
mod execute;
mod expire;
mod quota;
mod read;
mod request;
mod timing;
mod view;

use std::sync::Arc;

use self::cursor::Cursors;
use self::quota::Quotas;
use crate::config::{Config, Floor};
use crate::guardrails::Guardrails;
use crate::id::{ApprovalId, IdMaker};
use crate::keys::RecordedKeys;
use crate::ledger::Ledger;
use crate::refusal::Refusal;
use crate::store::{Stored, WithTexts};
use crate::verifier::ActiveVerifier;

pub use decide::Ballot;
pub use execute::{Attempt, Claim, Outcome};
pub use read::{Filter, LostKey, Page, PayloadQuery};
pub use request::NewApproval;
pub use timing::{Decided, DecisionTimes};

/// The approvals of a store.
pub struct Approvals {
    ledger: Arc<Ledger>,
    keys: Arc<RecordedKeys>,
    verifier: Arc<ActiveVerifier>,
    guardrails: Arc<Guardrails>,
    ids: IdMaker,
    cursors: Cursors,
    /// The accepted signature profiles.
    accept: Arc<[String]>,
    /// The minimum requirement of every approval.
    floor: Floor,
    quotas: Quotas,
    decision_times: DecisionTimes,
}

impl Approvals {
    pub(crate) fn new(
        ledger: Arc<Ledger>,
        keys: Arc<RecordedKeys>,
        verifier: Arc<ActiveVerifier>,
        guardrails: Arc<Guardrails>,
        config: &Config,
    ) -> Self {
        Self {
            ledger,
            keys,
            verifier,
            guardrails,
            ids: IdMaker::default(),
            cursors: Cursors::new(),
            accept: config.signatures.accept.clone().into(),
            floor: config.requirement.clone(),
            quotas: Quotas::new(config.quotas),
            decision_times: timing::none(),
        }
    }

    /// Returns the accepted signature profiles.
    pub fn accepted(&self) -> &[String] {
        &self.accept
    }

    /// Loads an approval without its texts; `None` for a malformed id, too.
    async fn load(&self, id: Option<ApprovalId>) -> Result<Option<Stored>, Refusal> {
        let Some(id) = id else { return Ok(None) };
        Ok(self.ledger.store().load(&id, WithTexts::No).await?)
    }
}

/// Returns the id as text for the verifier; empty for a malformed id, which matches no approval.
fn text_of(id: Option<ApprovalId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
