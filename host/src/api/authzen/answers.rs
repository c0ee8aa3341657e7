//! The bodies of answers, in the words of AuthZEN and its profile.

use serde::Serialize;
use utoipa::ToSchema;

use super::base::Base;
use super::refused::status_of;
use crate::authzen::{Decided, Execution, NextAction, Requestable, Ruling, Task, TaskStatus};
use crate::refusal::Refusal;

/// Seconds after which a pending approval is asked for again.
const RETRY_SECONDS: u32 = 5;

/// The decision on a question.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessDecision {
    /// Whether the subject may do it, now and once.
    pub decision: bool,
    /// The circumstances; absent if the policy allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<DecisionContext>,
}

/// The decisions on several questions.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessDecisions {
    /// The decisions, in the order of the questions. A semantic other than `execute_all` may leave out
    /// the last ones.
    pub evaluations: Vec<AccessDecision>,
}

/// The circumstances of a decision.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct DecisionContext {
    /// The id of the evaluation: `eval_` and the number of its audit entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_id: Option<String>,
    /// When it was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub evaluated_at: Option<String>,
    /// Why it is denied: `approval_required`, `policy_denied`, or the profile's reason why the approval
    /// does not permit it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it: `request`, `retry` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_action: Option<String>,
    /// Seconds, with `retry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// Where an approval can be requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_request: Option<AccessRequest>,
    /// The approval that permits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<AccessApproval>,
    /// The execution that this decision started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution: Option<AccessExecution>,
    /// Why one question of several was not evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<AccessError>,
}

/// Where an approval can be requested.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = RequestableDenial)]
pub struct AccessRequest {
    /// The endpoint.
    #[schema(format = "uri")]
    pub endpoint: String,
    /// Until when.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// What to show to people.
    pub display: Display,
}

/// What to show to people.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AccessDisplay)]
pub struct Display {
    /// A title.
    pub title: String,
    /// The policy's reason.
    pub description: String,
}

/// An approval.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessApproval {
    /// `appr_` and 26 characters.
    pub id: String,
    /// When it was approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub approved_at: Option<String>,
    /// When it expires.
    #[schema(format = DateTime)]
    pub approved_until: String,
    /// The receipt of the approval. Absent without a log key, or if it is larger than 1 MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// An execution.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessExecution {
    /// `exec_` and 26 characters.
    pub id: String,
    /// Where to report the outcome: `{"execution_id": …, "outcome": "succeeded"}`.
    #[schema(format = "uri")]
    pub outcome_endpoint: String,
    /// When the outcome becomes `unknown` unless it is reported.
    #[schema(format = DateTime)]
    pub lease_expires_at: String,
}

/// Why a question was not evaluated.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessError {
    /// The status that the question would get by itself.
    pub status: u16,
    /// The code.
    pub code: String,
    /// The reason.
    pub message: String,
}

/// An access request and, once it is approved, its result.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessTask {
    /// The request.
    pub task: AccessTaskState,
    /// The result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<AccessResult>,
}

/// The state of an access request.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessTaskState {
    /// The id: that of the approval.
    pub id: String,
    /// `pending`, `approved`, `denied`, `expired` or `cancelled`. All but `pending` are final.
    pub status: String,
    /// Where to get it again.
    #[schema(format = "uri")]
    pub status_endpoint: String,
    /// When the approval expires.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// The next step, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<TaskProgress>,
    /// Related URLs, while it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<TaskLinks>,
}

/// Each approver is a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AccessTaskProgress)]
pub struct TaskProgress {
    /// Counted from 1.
    pub current_step: u32,
    /// The number of approvers that are required.
    pub total_steps: u32,
}

/// Related URLs.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AccessTaskLinks)]
pub struct TaskLinks {
    /// Where to cancel it.
    #[schema(format = "uri")]
    pub cancel: String,
}

/// What an approved request leads to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AccessResult {
    /// `reevaluate`: evaluate again with the approval.
    pub mode: String,
    /// The approval.
    pub approval: AccessApproval,
}

impl AccessDecision {
    /// Returns the answer to a question.
    pub(super) fn of(decided: Decided, base: &Base) -> Self {
        let Decided { id, at, message, ruling, .. } = decided;
        let evaluated = DecisionContext {
            evaluation_id: Some(id.to_string()),
            evaluated_at: Some(at),
            ..DecisionContext::default()
        };
        let denied = |reason: &str, message: String| DecisionContext {
            reason: Some(reason.to_owned()),
            message: Some(message),
            ..evaluated.clone()
        };
        match ruling {
            Ruling::Allowed => Self { decision: true, context: None },
            Ruling::Claimed(execution) => Self::executing(evaluated, execution, base),
            Ruling::Denied => {
                let next_action = Some(NextAction::None.as_str().to_owned());
                let context = DecisionContext { next_action, ..denied("policy_denied", message) };
                Self { decision: false, context: Some(context) }
            }
            Ruling::Requestable(requestable) => {
                let access_request = requestable.map(|r| AccessRequest::of(r, &message, base));
                let context = denied("approval_required", message);
                let context = DecisionContext { access_request, ..context };
                Self { decision: false, context: Some(context) }
            }
            Ruling::Refused(refused, requestable) => {
                let next = match refused.reason.next_action() {
                    NextAction::Request if requestable.is_none() => NextAction::None,
                    next => next,
                };
                let requestable = requestable.filter(|_| next == NextAction::Request);
                let context = DecisionContext {
                    next_action: Some(next.as_str().to_owned()),
                    retry_after: (next == NextAction::Retry).then_some(RETRY_SECONDS),
                    access_request: requestable.map(|r| AccessRequest::of(r, &message, base)),
                    ..denied(refused.reason.as_str(), refused.message)
                };
                Self { decision: false, context: Some(context) }
            }
        }
    }

    fn executing(evaluated: DecisionContext, execution: Execution, base: &Base) -> Self {
        let Execution { approval, approved_until, id, lease_expires_at } = execution;
        let outcome_endpoint = base.url(&format!("/api/v1/approvals/{approval}/outcome"));
        let approval = AccessApproval {
            id: approval.to_string(),
            approved_at: None,
            approved_until,
            state: None,
        };
        let execution = AccessExecution { id, outcome_endpoint, lease_expires_at };
        let context =
            DecisionContext { approval: Some(approval), execution: Some(execution), ..evaluated };
        Self { decision: true, context: Some(context) }
    }

    /// Returns the answer to a question, one of several, that was not evaluated.
    pub(super) fn failed(refusal: &Refusal) -> Self {
        let error = AccessError {
            status: status_of(refusal.code),
            code: refusal.code.text.to_owned(),
            message: refusal.detail.clone(),
        };
        let context = DecisionContext { error: Some(error), ..DecisionContext::default() };
        Self { decision: false, context: Some(context) }
    }
}

impl AccessRequest {
    fn of(requestable: Requestable, message: &str, base: &Base) -> Self {
        Self {
            endpoint: base.url("/access/v1/requests"),
            expires_at: requestable.expires_at,
            display: Display {
                title: "Request an approval".to_owned(),
                description: message.to_owned(),
            },
        }
    }
}

impl AccessTask {
    /// Returns a task as the profile shows it.
    pub(super) fn of(task: Task, base: &Base) -> Self {
        let Task { id, status, expires_at, threshold, approvals, granted } = task;
        let is_pending = status == TaskStatus::Pending;
        let status_endpoint = base.task(id);
        let result = granted.map(|granted| AccessResult {
            mode: "reevaluate".to_owned(),
            approval: AccessApproval {
                id: id.to_string(),
                approved_at: Some(granted.approved_at),
                approved_until: expires_at.clone(),
                state: granted.state,
            },
        });
        let progress = TaskProgress {
            current_step: approvals.saturating_add(1).min(threshold),
            total_steps: threshold,
        };
        let links = TaskLinks { cancel: format!("{status_endpoint}/cancel") };
        let task = AccessTaskState {
            id: id.to_string(),
            status: status.as_str().to_owned(),
            status_endpoint,
            expires_at,
            progress: is_pending.then_some(progress),
            links: is_pending.then_some(links),
        };
        Self { task, result }
    }
}
