//! What a guarded function runs on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::DeserializeOwned;
use signoff_verify::Approver;

use super::trust::Proof;
use crate::error::Error;

/// One execution of an approved action. Clones are the same execution, so a caller can keep one to read
/// [`Self::reported`] afterwards.
#[derive(Clone)]
pub struct Execution(Arc<Inner>);

struct Inner {
    id: String,
    approval_id: String,
    proof: Proof,
    reported: AtomicBool,
}

impl Execution {
    pub(super) fn new(approval_id: &str, id: &str, proof: Proof) -> Self {
        Self(Arc::new(Inner {
            id: id.to_owned(),
            approval_id: approval_id.to_owned(),
            proof,
            reported: AtomicBool::new(false),
        }))
    }

    /// `exec_` and 26 characters.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The approval's id.
    pub fn approval_id(&self) -> &str {
        &self.0.approval_id
    }

    /// The approved context, parsed from its canonical text. A type with integers of 128 bits, or of
    /// 64, loses nothing; `serde_json::Value` makes a float of a larger integer.
    ///
    /// # Errors
    ///
    /// `context-invalid` if it is not a `T`.
    pub fn context<T: DeserializeOwned>(&self) -> Result<T, Error> {
        parse("context", self.context_text())
    }

    /// The approved context: canonical JSON.
    pub fn context_text(&self) -> &str {
        &self.0.proof.context
    }

    /// The approved plan, parsed as the context; `None` if none was approved.
    ///
    /// # Errors
    ///
    /// `context-invalid` if it is not a `T`.
    pub fn plan<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.plan_text().map(|text| parse("plan", text)).transpose()
    }

    /// The approved plan: canonical JSON; `None` if none was approved.
    pub fn plan_text(&self) -> Option<&str> {
        self.0.proof.plan.as_deref()
    }

    /// The approvers whose signatures were verified, sorted by name. Empty without pinned keys: then
    /// nothing proves who approved.
    pub fn approvers(&self) -> &[Approver] {
        &self.0.proof.approvers
    }

    /// Whether the server has recorded the outcome. False until the function has returned; false
    /// afterwards means that the report failed, and the server will show `unknown`.
    pub fn reported(&self) -> bool {
        self.0.reported.load(Ordering::Acquire)
    }

    pub(super) fn set_reported(&self) {
        self.0.reported.store(true, Ordering::Release);
    }
}

fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
        .map_err(|e| Error::local("context-invalid", format!("the approved {what}: {e}")))
}

/// Shows the ids alone.
impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Execution")
            .field("id", &self.0.id)
            .field("approval_id", &self.0.approval_id)
            .finish_non_exhaustive()
    }
}
