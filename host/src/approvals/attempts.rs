//! What a policy is given for recorded approvals, so that another policy can be compared on them.

use serde::Deserialize;
use serde_json::json;
use signoff_core::facts::Facts;

use super::{Approvals, Filter, Page};
use crate::caller::Caller;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::role::Role;
use crate::store::WithTexts;

/// A page ends after the approval with which its contexts and plans exceed this size: each may have
/// 2 MiB.
const PAGE_BYTES: u64 = 8 << 20;

/// The members of a listed approval that are part of its attempt.
#[derive(Deserialize)]
struct Listed {
    id: String,
    agent: String,
    action: String,
    requested_by: String,
    requested_at: String,
    erased_at: Option<String>,
}

impl Approvals {
    /// Returns the attempts of recorded approvals, newest first: what a policy is given to evaluate a
    /// request, and nothing that came of it. The role `policy` reads all of them, other callers those
    /// of the approvals that they may read. Erased approvals are left out.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn attempts(
        &self,
        caller: &Caller,
        limit: usize,
        cursor: Option<String>,
    ) -> Result<Page, Refusal> {
        let everyone = Caller::local();
        let reader = if caller.has(Role::Policy) { &everyone } else { caller };
        let filter = Filter { limit, cursor, ..Filter::default() };
        let page = self.list(reader, &filter).await?;
        let (mut items, mut bytes) = (Vec::new(), 0);
        for (number, item) in page.items.iter().enumerate() {
            let listed: Listed = serde_json::from_str(item).map_err(Refusal::internal)?;
            let Some(id) = ApprovalId::parse(&listed.id) else { continue };
            if listed.erased_at.is_some() {
                continue;
            }
            let stored = self.ledger.store().load(&id, WithTexts::Yes).await?;
            let Some(texts) = stored.and_then(|stored| stored.texts) else { continue };
            bytes += texts.bytes();
            items.push(attempt(&listed, &texts.context, texts.plan.as_deref()));
            if bytes > PAGE_BYTES && number + 1 < page.items.len() {
                return Ok(Page { items, next_cursor: Some(self.cursors.after(id, reader)) });
            }
        }
        Ok(Page { items, next_cursor: page.next_cursor })
    }
}

fn attempt(listed: &Listed, context: &str, plan: Option<&str>) -> String {
    let Listed { id, agent, action, requested_by, requested_at, .. } = listed;
    let facts = Facts::of_request(requested_by).to_text();
    format!(
        "{{\"id\":{},\"agent\":{},\"action\":{},\"context\":{context},\"plan\":{},\"facts\":{facts},\"at\":{}}}",
        json!(id),
        json!(agent),
        json!(action),
        plan.unwrap_or("null"),
        json!(requested_at)
    )
}
