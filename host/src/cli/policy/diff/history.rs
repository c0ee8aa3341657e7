//! Replays recorded approvals, page by page, newest first.

use super::super::stop::Stop;
use super::flip::{Comparison, NamedAttempt};
use crate::api::{RecordedAttempt, RecordedAttempts};
use crate::cli::progress::Progress;
use crate::cli::transport::Transport;
use crate::policy::Attempt;

/// The maximum page size of the route.
const PAGE: u64 = 200;

/// Evaluates at most `limit` approvals with both policies, each at the time it was requested.
/// Returns whether there are more.
pub(super) fn replay(
    comparison: &mut Comparison,
    transport: &Transport,
    limit: u64,
) -> Result<bool, Stop> {
    let mut progress = Progress::new("replayed", "approvals");
    let mut cursor: Option<String> = None;
    loop {
        let wanted = limit.saturating_sub(comparison.compared()).min(PAGE);
        let page = page(transport, wanted, cursor.as_deref())?;
        for item in page.items {
            let attempt = attempt(transport, &item)?;
            comparison.compare(&NamedAttempt { name: &item.id, attempt: &attempt });
            progress.report(comparison.compared());
        }
        match page.next_cursor {
            Some(next) if comparison.compared() < limit => cursor = Some(next),
            more => return Ok(more.is_some()),
        }
    }
}

fn page(
    transport: &Transport,
    wanted: u64,
    cursor: Option<&str>,
) -> Result<RecordedAttempts, Stop> {
    let mut path = format!("/api/v1/guardrails/attempts?limit={wanted}");
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    Ok(transport.parse(&transport.get(&path)?)?)
}

/// Returns what a policy is given for a recorded approval.
fn attempt(transport: &Transport, recorded: &RecordedAttempt) -> Result<Attempt, Stop> {
    let RecordedAttempt { agent, action, context, plan, facts, at, .. } = recorded;
    let time = chrono::DateTime::parse_from_rfc3339(at)?;
    let plan = plan.as_ref().map(|plan| plan.get()).filter(|plan| *plan != "null");
    Ok(Attempt {
        agent: agent.clone(),
        action: action.clone(),
        context: transport.canonical(context.get())?,
        plan: plan.map(|plan| transport.canonical(plan)).transpose()?,
        facts: facts.get().to_owned(),
        now: u64::try_from(time.timestamp()).unwrap_or_default(),
    })
}
