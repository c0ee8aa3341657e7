//! The task of an access request: an approval as the profile shows it.

use serde::Deserialize;

use super::AuthZen;
use crate::caller::Caller;
use crate::code::Code;
use crate::id::ApprovalId;
use crate::ledger::Idempotency;
use crate::refusal::Refusal;
use crate::store::WithTexts;

/// Largest receipt that is handed out, as a JSON string. A re-evaluation brings it back beside the
/// context, and both must fit into one request. The approval of a larger one is found by its id alone.
const STATE_BYTES_MAX: usize = 1 << 20;

/// The task of an access request.
#[derive(Clone, Debug)]
pub struct Task {
    /// The approval.
    pub id: ApprovalId,
    /// Its status, in the profile's words.
    pub status: TaskStatus,
    /// When the approval expires.
    pub expires_at: String,
    /// The required number of approvers.
    pub threshold: u32,
    /// The approvers who approved so far.
    pub approvals: u32,
    /// What was granted, if it was approved.
    pub granted: Option<Granted>,
}

/// What a task that was approved grants.
#[derive(Clone, Debug)]
pub struct Granted {
    /// When it was approved.
    pub approved_at: String,
    /// The receipt; `None` without a log key, or if it is too large to be sent back.
    pub state: Option<String>,
}

/// The profile's statuses that a task here can have. A status other than `pending` is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It waits for approvers.
    Pending,
    /// It was approved; it may be used, withdrawn or expired by now.
    Approved,
    /// An approver rejected it.
    Denied,
    /// It expired before it was decided.
    Expired,
    /// It was withdrawn before it was decided.
    Cancelled,
}

/// The members of an approval's view that are used here.
#[derive(Deserialize)]
struct Shown {
    id: String,
    status: String,
    approved_at: Option<String>,
    expires_at: String,
    requirement: Required,
    ballots: Vec<Voted>,
}

#[derive(Deserialize)]
struct Required {
    threshold: u32,
}

#[derive(Deserialize)]
struct Voted {
    decision: String,
}

impl TaskStatus {
    /// Returns the profile's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the status of an approval. A task ends once: what was approved stays so, whatever
    /// becomes of the approval.
    fn of(status: &str, was_approved: bool) -> Option<Self> {
        Some(match (status, was_approved) {
            (_, true) => Self::Approved,
            ("pending", false) => Self::Pending,
            ("rejected", false) => Self::Denied,
            ("expired", false) => Self::Expired,
            ("withdrawn", false) => Self::Cancelled,
            _ => return None,
        })
    }
}

impl Task {
    /// Reads the task from an approval's view.
    ///
    /// # Errors
    ///
    /// `internal-error`.
    pub fn of(view: &str) -> Result<Self, Refusal> {
        let shown: Shown = serde_json::from_str(view).map_err(Refusal::internal)?;
        let unknown = || Refusal::internal("an approval has an unknown id or status");
        let status = TaskStatus::of(&shown.status, shown.approved_at.is_some());
        let approvals = shown.ballots.iter().filter(|ballot| ballot.decision == "approved").count();
        Ok(Self {
            id: ApprovalId::parse(&shown.id).ok_or_else(unknown)?,
            status: status.ok_or_else(unknown)?,
            expires_at: shown.expires_at,
            threshold: shown.requirement.threshold,
            approvals: u32::try_from(approvals).unwrap_or(u32::MAX),
            granted: shown.approved_at.map(|approved_at| Granted { approved_at, state: None }),
        })
    }
}

impl AuthZen {
    /// Returns the task of an access request.
    ///
    /// # Errors
    ///
    /// `not-found`, also for an approval that the caller may not read; as `AuditLog::receipt`.
    pub async fn task(&self, caller: &Caller, id: Option<ApprovalId>) -> Result<Task, Refusal> {
        self.approvals.readable(caller, id).await?;
        let mut task = Task::of(&self.approvals.show(id, WithTexts::No).await?)?;
        if let Some(granted) = &mut task.granted {
            granted.state = self.state(id).await?;
        }
        Ok(task)
    }

    /// Withdraws an approval that is pending.
    ///
    /// # Errors
    ///
    /// As `Approvals::withdraw_pending`: `already-decided` for a task that has ended.
    pub async fn cancel(
        &self,
        caller: &Caller,
        id: Option<ApprovalId>,
        idempotency: Option<&Idempotency>,
    ) -> Result<(Task, bool), Refusal> {
        let reply = self.approvals.withdraw_pending(caller, id, idempotency).await?;
        let task = Task::of(&reply.body)?;
        Ok((task, reply.replayed))
    }

    /// Returns the receipt of an approval, if it can be sent back.
    async fn state(&self, id: Option<ApprovalId>) -> Result<Option<String>, Refusal> {
        let receipt = match self.audit.receipt(id).await {
            Ok(receipt) => receipt,
            // Without a log key, or with more entries than a receipt can have.
            Err(refusal) if [Code::NOT_FOUND, Code::LIMIT_EXCEEDED].contains(&refusal.code) => {
                return Ok(None);
            }
            Err(refusal) => return Err(refusal),
        };
        let bytes = serde_json::to_string(&receipt).map_or(usize::MAX, |text| text.len());
        Ok(Some(receipt).filter(|_| bytes <= STATE_BYTES_MAX))
    }
}
