//! Reads: one approval, lists, payloads.

use serde::Deserialize;
use serde_json::json;

use super::view::{shown, with_members};
use super::{Approvals, text_of};
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::refusal::Refusal;
use crate::store::{About, Query, Status, Stored, WithTexts};
use crate::verifier::{Approval, DecisionArgs, Verifier, View};

/// Maximum reads of the store for one page: each one may find approvals that the caller may not
/// read.
const LOOKS_MAX: usize = 20;
/// Approvals per page of a search.
const PAGE_MAX: usize = 200;
/// Pages of each status that are searched for lost keys.
const PAGES_OF_LOST_MAX: usize = 25;

/// Which approvals to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only ids with this prefix. Disables all other filters.
    pub prefix: Option<String>,
    /// Only this effective status.
    pub status: Option<Status>,
    /// Only this agent.
    pub agent: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// The page size, 1 to 200.
    pub limit: usize,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// An approval with a ballot that no longer counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostKey {
    /// The approval.
    pub approval_id: String,
    /// The key of the ballot, which is not in the keyring.
    pub key_id: String,
}

impl std::fmt::Display for LostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { approval_id, key_id } = self;
        write!(
            f,
            "a ballot of {approval_id} is by key `{key_id}`, which is not in the keyring, and does not count"
        )
    }
}

#[derive(Deserialize)]
struct Voted {
    id: String,
    ballots: Vec<VotedBy>,
}

#[derive(Deserialize)]
struct VotedBy {
    key_id: String,
}

/// A page of approvals, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// Each approval, JSON, without context and plan.
    pub items: Vec<String>,
    /// The cursor of the next page; `None` after the last.
    pub next_cursor: Option<String>,
}

/// A decision whose payload is requested.
#[derive(Clone, Debug)]
pub struct PayloadQuery {
    /// `approved` or `rejected`.
    pub decision: String,
    /// The approver.
    pub approver: String,
    /// The profile of the signature.
    pub profile: String,
    /// The id of the signing key; not part of a `v1` payload.
    pub key: String,
    /// The comment; not part of a `v1` payload.
    pub comment: String,
}

impl Approvals {
    /// Checks that a caller may read an approval. Fails with `not-found` otherwise, so that the
    /// existence of the approval is not revealed.
    ///
    /// # Errors
    ///
    /// `not-found`, `store-unavailable`, `verifier-trapped`.
    pub async fn readable(&self, caller: &Caller, id: Option<ApprovalId>) -> Result<(), Refusal> {
        if caller.reads_all() {
            return Ok(());
        }
        let stored = self.load(id).await?;
        let stored = stored.ok_or_else(not_found)?;
        if caller.reads_agent(&stored.summary.agent)
            || self
                .view(&self.verifier.current(), Some(&stored))
                .is_ok_and(|view| requested(caller, &view.view))
        {
            return Ok(());
        }
        Err(not_found())
    }

    /// Returns one approval with its effective status.
    ///
    /// # Errors
    ///
    /// `not-found`, `store-unavailable`, `verifier-trapped`.
    pub async fn show(&self, id: Option<ApprovalId>, texts: WithTexts) -> Result<String, Refusal> {
        let stored = match id {
            Some(id) => self.ledger.store().load(&id, texts).await?,
            None => None,
        };
        let verifier = self.verifier.current();
        let view = self.view(&verifier, stored.as_ref())?;
        let found = stored.and_then(|stored| stored.texts);
        let shown = shown(&verifier, &view.view, found.as_ref());
        Ok(match (texts, found) {
            // Erased.
            (WithTexts::Yes, None) => {
                with_members(&shown, &[("context", "null"), ("plan", "null")])
            }
            _ => shown,
        })
    }

    /// Returns the effective status of an approval, and the seconds until it expires.
    ///
    /// # Errors
    ///
    /// As [`Self::show`].
    pub async fn status(&self, id: Option<ApprovalId>) -> Result<(String, u64), Refusal> {
        let stored = self.load(id).await?;
        let summary = self.view(&self.verifier.current(), stored.as_ref())?.summary;
        Ok((summary.status, summary.expires_at.saturating_sub(self.ledger.now())))
    }

    /// Lists approvals that the caller may read, newest first, each with its effective status. A
    /// page may be shorter than its limit without being the last.
    ///
    /// # Errors
    ///
    /// `request-invalid` for a malformed cursor; `store-unavailable`, `verifier-trapped`.
    pub async fn list(&self, caller: &Caller, filter: &Filter) -> Result<Page, Refusal> {
        if let Some(prefix) = &filter.prefix {
            return self.list_prefix(caller, prefix, filter.limit).await;
        }
        if filter.status.is_some() {
            // Brings the index by status up to date, if the store can be written.
            self.expire_before_reading().await;
        }
        let cursor = filter.cursor.as_ref().map(|cursor| {
            self.cursors.read(cursor, caller).ok_or_else(|| {
                Refusal::new(
                    Code::REQUEST_INVALID,
                    "malformed `cursor`; expected `next_cursor` of the previous page, or none to start again",
                )
            })
        });
        self.page(caller, filter, cursor.transpose()?, None).await
    }

    /// Lists the approvals that are older than `before`, down to the id `lowest`.
    async fn page(
        &self,
        caller: &Caller,
        filter: &Filter,
        mut before: Option<ApprovalId>,
        lowest: Option<ApprovalId>,
    ) -> Result<Page, Refusal> {
        let verifier = self.verifier.current();
        let mut items = Vec::new();
        let next_after =
            |before: Option<ApprovalId>| before.map(|id| self.cursors.after(id, caller));
        // Only rows that the caller may read are looked at: what stops the search, and how many pages
        // there are, would tell of others.
        let agent = filter.agent.as_deref().or(caller.only_agent());
        if agent.is_some_and(|agent| !caller.reads_all() && !caller.acts_for(agent)) {
            return Ok(Page { items, next_cursor: None });
        }
        for _ in 0..LOOKS_MAX {
            let query = Query {
                status: filter.status,
                agent: agent.map(str::to_owned),
                action: filter.action.clone(),
                before,
                limit: filter.limit + 1,
            };
            let stored = self.ledger.store().list(&query).await?;
            let exhausted = stored.len() <= filter.limit;
            for stored in &stored {
                if lowest.is_some_and(|lowest| stored.summary.id < lowest) {
                    return Ok(Page { items, next_cursor: None });
                }
                if items.len() == filter.limit {
                    return Ok(Page { items, next_cursor: next_after(before) });
                }
                // A page may take thousands of calls of the verifier.
                tokio::task::yield_now().await;
                before = Some(stored.summary.id);
                let view = self.view(&verifier, Some(stored))?;
                let wanted =
                    filter.status.is_none_or(|status| status.as_str() == view.summary.status);
                let readable =
                    caller.reads_agent(&stored.summary.agent) || requested(caller, &view.view);
                if wanted && readable {
                    items.push(shown(&verifier, &view.view, None));
                }
            }
            if exhausted {
                return Ok(Page { items, next_cursor: None });
            }
        }
        Ok(Page { items, next_cursor: next_after(before) })
    }

    /// Returns the unfinished approvals with a ballot whose key is not in the keyring, among the newest
    /// of each status: such a ballot no longer counts.
    ///
    /// # Errors
    ///
    /// As [`Self::list`]; `keyring-unavailable`.
    pub async fn with_lost_keys(&self) -> Result<Vec<LostKey>, Refusal> {
        let keys = self.keys.current()?;
        let mut lost = Vec::new();
        for status in [Status::Pending, Status::Approved] {
            let mut filter = Filter { status: Some(status), limit: PAGE_MAX, ..Filter::default() };
            for _ in 0..PAGES_OF_LOST_MAX {
                let page = self.list(&Caller::local(), &filter).await?;
                for item in &page.items {
                    let Voted { id, ballots } =
                        serde_json::from_str(item).map_err(Refusal::internal)?;
                    let gone = |voted: &VotedBy| keys.ids().all(|key| key != voted.key_id);
                    let gone = ballots.into_iter().filter(gone);
                    lost.extend(
                        gone.map(|by| LostKey { approval_id: id.clone(), key_id: by.key_id }),
                    );
                }
                filter.cursor = page.next_cursor;
                if filter.cursor.is_none() {
                    break;
                }
            }
        }
        Ok(lost)
    }

    /// Lists the approvals whose id begins with a prefix, among those that the caller may read.
    async fn list_prefix(
        &self,
        caller: &Caller,
        prefix: &str,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let mut items = Vec::new();
        if !caller.reads_all() {
            let Some((lowest, highest)) = ApprovalId::prefix_range(prefix) else {
                return Ok(Page { items, next_cursor: None });
            };
            let before = highest.to_u128().checked_add(1).map(ApprovalId::from_u128);
            let filter = Filter { limit, ..Filter::default() };
            let page = self.page(caller, &filter, before, Some(lowest)).await?;
            return Ok(Page { next_cursor: None, ..page });
        }
        for id in self.ledger.store().with_prefix(prefix, limit).await? {
            tokio::task::yield_now().await;
            items.push(self.show(Some(id), WithTexts::No).await?);
        }
        Ok(Page { items, next_cursor: None })
    }

    /// Returns the exact message that a decision signs, as JSON: `{profile, message, base64url}`.
    ///
    /// # Errors
    ///
    /// `not-found`, then as `signing.payload` in `wit/`.
    pub async fn payload(
        &self,
        id: Option<ApprovalId>,
        query: PayloadQuery,
    ) -> Result<String, Refusal> {
        let stored = self.load(id).await?;
        let PayloadQuery { decision, approver, profile, key, comment } = &query;
        let record = stored.as_ref().map(|stored| stored.record.as_str());
        let args = DecisionArgs { decision, approver, key_id: key, comment };
        let verifier = self.verifier.current();
        let statement = verifier.statement(Approval { id: &text_of(id), record }, &args)?;
        let message = verifier.payload(&statement, profile)?;
        Ok(json!({
            "profile": message.profile,
            "message": message.text,
            "base64url": message.base64url,
        })
        .to_string())
    }

    /// Returns why an approval is not found, for a caller who may read all: if the log has entries about
    /// it, it was pruned.
    pub(crate) async fn not_found_because(&self, id: Option<ApprovalId>) -> Refusal {
        let Some(id) = id else { return not_found() };
        let entries = self.ledger.store().entries_about(About::approval(id), 0, 1).await;
        if entries.is_ok_and(|entries| !entries.is_empty()) {
            return Refusal::new(
                Code::NOT_FOUND,
                "the approval was pruned; its receipt is in the archive, if one was written, and its entries are in the audit log",
            );
        }
        not_found()
    }

    fn view(&self, verifier: &Verifier, stored: Option<&Stored>) -> Result<View, Refusal> {
        let stored = stored.ok_or_else(not_found)?;
        let id = stored.summary.id.to_string();
        let approval = Approval { id: &id, record: Some(&stored.record) };
        Ok(verifier.show(approval, self.ledger.now())?)
    }
}

fn not_found() -> Refusal {
    Refusal::new(Code::NOT_FOUND, "no such approval")
}

/// Returns whether the caller is the requester in a view.
fn requested(caller: &Caller, view: &str) -> bool {
    #[derive(Deserialize)]
    struct Requested {
        requested_by: String,
    }
    serde_json::from_str::<Requested>(view).is_ok_and(|view| caller.requested(&view.requested_by))
}
