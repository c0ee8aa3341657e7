//! The story that the log tells of an approval, and whether the approval is as it tells.

use super::ReceiptError;
use super::entry::ApprovalEntry;
use super::shown::Shown;

/// A step of the approval, with its number in the log.
pub(super) type Step = (u64, Box<ApprovalEntry>);

/// What the steps come to.
pub(super) struct Story<'a> {
    pub(super) status: &'a str,
    expires_at: &'a str,
    /// The steps that are ballots.
    pub(super) ballots: Vec<&'a Step>,
    claim: Option<&'a Step>,
    /// The last step that told of the outcome.
    outcome: Option<&'a Step>,
    withdrawal: Option<&'a Step>,
}

/// Follows the steps of one approval: the first requests it, each goes on from where the one before
/// it ended, none is earlier in time, and all are about what is shown.
pub(super) fn follow<'a>(steps: &'a [Step], shown: &Shown) -> Result<Story<'a>, ReceiptError> {
    let [(number, first), ..] = steps else {
        return Err(ReceiptError::approval("no entry tells of it"));
    };
    requested(*number, first, shown)?;
    let mut story = Story {
        status: "",
        expires_at: first.expires_at.as_deref().unwrap_or_default(),
        ballots: Vec::new(),
        claim: None,
        outcome: None,
        withdrawal: None,
    };
    let mut at = "";
    for step in steps {
        let (number, entry) = step;
        is_about(*number, entry, shown)?;
        let from = entry.from.as_deref();
        let goes_on = from.unwrap_or_default() == story.status && entry.at.as_str() >= at;
        if !goes_on || !is_step(&entry.event, from, &entry.to) {
            return Err(ReceiptError::entry(
                *number,
                format!("`{}` does not follow from the entries before it", entry.event),
            ));
        }
        match entry.event.as_str() {
            "approval_decided" => story.ballots.push(step),
            "approval_extended" => {
                story.expires_at = entry.expires_at.as_deref().unwrap_or_default();
            }
            "approval_claimed" => story.claim = Some(step),
            "execution_settled" | "execution_unknown" => story.outcome = Some(step),
            "approval_withdrawn" => story.withdrawal = Some(step),
            _ => {}
        }
        (story.status, at) = (&entry.to, &entry.at);
    }
    Ok(story)
}

/// Whether the approval is as the story tells.
pub(super) fn agrees(story: &Story<'_>, shown: &Shown) -> Result<(), ReceiptError> {
    told("status", Some(&shown.status), Some(story.status))?;
    told("expires_at", Some(&shown.expires_at), Some(story.expires_at))?;
    if shown.ballots.len() != story.ballots.len() {
        let (shown, logged) = (shown.ballots.len(), story.ballots.len());
        return Err(ReceiptError::approval(format!("it has {shown} ballots, the log {logged}")));
    }
    let by = |step: Option<&Step>| step.and_then(|(_, entry)| entry.actor.clone());
    let at = |step: Option<&Step>| step.map(|(_, entry)| entry.at.clone());
    let withdrawn = (shown.withdrawn_at.as_deref(), shown.withdrawn_by.as_deref());
    told("withdrawn_at", withdrawn.0, at(story.withdrawal).as_deref())?;
    told("withdrawn_by", withdrawn.1, by(story.withdrawal).as_deref())?;
    let execution = shown.execution.as_ref();
    let id = story.claim.and_then(|(_, claim)| claim.execution_id.as_deref());
    told("execution.id", execution.map(|e| e.id.as_str()), id)?;
    let Some(execution) = execution else { return Ok(()) };
    told("execution.claimed_by", Some(&execution.claimed_by), by(story.claim).as_deref())?;
    told("execution.claimed_at", Some(&execution.claimed_at), at(story.claim).as_deref())?;
    let last = story.outcome.or(story.claim).map(|(_, entry)| entry);
    told("execution.id", last.and_then(|e| e.execution_id.as_deref()), id)?;
    told("execution.outcome", Some(&execution.outcome), last.and_then(|e| e.outcome.as_deref()))?;
    let settled = story.outcome.filter(|(_, entry)| entry.event == "execution_settled");
    told("execution.settled_at", execution.settled_at.as_deref(), at(settled).as_deref())?;
    let late = settled.and_then(|(_, entry)| entry.late).unwrap_or(false);
    if execution.late == late {
        return Ok(());
    }
    Err(ReceiptError::approval(format!(
        "execution.late is {}, the log says {late}",
        execution.late
    )))
}

/// The first step.
fn requested(number: u64, entry: &ApprovalEntry, shown: &Shown) -> Result<(), ReceiptError> {
    if entry.event != "approval_requested" {
        return Err(ReceiptError::entry(number, "the first entry is not the request"));
    }
    told("requested_by", Some(&shown.requested_by), entry.actor.as_deref())?;
    told("requested_at", Some(&shown.requested_at), Some(&entry.at))
}

/// Whether an entry is about the approval that is shown.
fn is_about(number: u64, entry: &ApprovalEntry, shown: &Shown) -> Result<(), ReceiptError> {
    let same = [
        ("approval_id", Some(&entry.approval_id), Some(&shown.id)),
        ("agent", Some(&entry.agent), Some(&shown.agent)),
        ("action", Some(&entry.action), Some(&shown.action)),
        ("context_hash", Some(&entry.context_hash), Some(&shown.context_hash)),
        ("plan_hash", entry.plan_hash.as_ref(), shown.plan_hash.as_ref()),
        ("request_digest", Some(&entry.request_digest), Some(&shown.request_digest)),
    ];
    match same.into_iter().find(|(_, logged, shown)| logged != shown) {
        None => Ok(()),
        Some((name, ..)) => {
            Err(ReceiptError::entry(number, format!("its {name} is not the approval's")))
        }
    }
}

fn told(name: &str, shown: Option<&str>, logged: Option<&str>) -> Result<(), ReceiptError> {
    if shown == logged {
        return Ok(());
    }
    let (shown, logged) = (shown.unwrap_or("null"), logged.unwrap_or("null"));
    Err(ReceiptError::approval(format!("{name} is `{shown}`, the log says `{logged}`")))
}

/// The verifier's transitions, as its entries tell them.
fn is_step(event: &str, from: Option<&str>, to: &str) -> bool {
    let unfinished = matches!(from, Some("pending" | "approved"));
    match event {
        "approval_requested" => from.is_none() && to == "pending",
        "approval_decided" => {
            from == Some("pending") && matches!(to, "pending" | "approved" | "rejected")
        }
        "approval_extended" => from == Some("pending") && to == "pending",
        "approval_claimed" => from == Some("approved") && to == "executed",
        "execution_settled" | "execution_unknown" => from == Some("executed") && to == "executed",
        "approval_expired" | "approval_voided" => unfinished && to == "expired",
        "approval_withdrawn" => unfinished && to == "withdrawn",
        _ => false,
    }
}
