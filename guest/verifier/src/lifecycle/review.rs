//! `review`: validates an approval as a server shows it to an approver. Everything that can be
//! recomputed is recomputed, not taken from the server.

use std::borrow::Cow;

use serde::Deserialize;

use super::open::invalid;
use crate::approval::ApprovalView;
use crate::context;
use crate::operation::signing::Stated;
use crate::rejection::{Code, Rejection};
use crate::statement::StatementText;

/// The arguments of `lifecycle.review`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the parameters of the function in wit/lifecycle.wit")]
pub struct Review<'a> {
    #[serde(borrow)]
    pub approval: Cow<'a, str>,
    pub context: Cow<'a, str>,
    #[serde(default)]
    pub plan: Option<Cow<'a, str>>,
    pub decision: Cow<'a, str>,
    pub approver: Cow<'a, str>,
    pub key_id: Cow<'a, str>,
    pub comment: Cow<'a, str>,
}

impl Review<'_> {
    /// Returns the statement that a decision of the shown approval signs; see `lifecycle.review`
    /// in `wit/` for shapes and rejections.
    pub fn run(&self) -> Result<Stated, Rejection> {
        let shown = ApprovalView::read(&self.approval)?;
        let statement = StatementText {
            audience: shown.audience.to_string(),
            key_id: self.key_id.clone().into_owned(),
            approval_id: shown.id.to_string(),
            request_digest: shown.request_digest()?,
            expires_at: shown.expires_at.seconds(),
            decision: self.decision.clone().into_owned(),
            approver: self.approver.clone().into_owned(),
            comment: self.comment.clone().into_owned(),
        };
        statement.check()?;
        shown.has_context(&self.context)?;
        shown.has_plan(self.plan.as_deref())?;
        Ok(Stated { statement })
    }
}

impl ApprovalView<'_> {
    /// Rejections: 1. `context-invalid` 2. `context-mismatch`
    pub(crate) fn has_context(&self, context: &str) -> Result<(), Rejection> {
        let digest = context::digest(context).map_err(|e| invalid("context", &e))?;
        if digest == self.context_hash.as_str() {
            return Ok(());
        }
        Err(Rejection::new(
            Code::ContextMismatch,
            format!("the context has the digest {digest}, but {} is shown", self.context_hash),
        ))
    }

    /// Rejections: 1. `context-invalid` 2. `plan-mismatch`
    pub(crate) fn has_plan(&self, plan: Option<&str>) -> Result<(), Rejection> {
        let digest = plan.map(context::digest).transpose().map_err(|e| invalid("plan", &e))?;
        let why = match (&digest, &self.plan_hash) {
            (None, None) => return Ok(()),
            (Some(digest), Some(shown)) if digest == shown.as_str() => return Ok(()),
            (Some(digest), Some(shown)) => {
                format!("the plan has the digest {digest}, but {shown} is shown")
            }
            (Some(digest), None) => {
                format!("the plan has the digest {digest}, but no plan is shown")
            }
            (None, Some(shown)) => format!("no plan is given, but one of digest {shown} is shown"),
        };
        Err(Rejection::new(Code::PlanMismatch, why))
    }
}
