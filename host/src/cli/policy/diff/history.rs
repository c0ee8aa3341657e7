//! Replays recorded approvals, page by page, newest first.

use signoff_core::facts::Facts;

use super::super::stop::Stop;
use super::flip::{Comparison, NamedAttempt};
use crate::api::{Approval, List};
use crate::cli::progress::Progress;
use crate::cli::transport::Transport;
use crate::policy::Attempt;

/// The maximum page size of the list.
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
        for item in &page.items {
            let attempt = attempt(transport, &item.id)?;
            comparison.compare(&NamedAttempt { name: &item.id, attempt: &attempt });
            progress.report(comparison.compared());
        }
        match page.next_cursor {
            Some(next) if comparison.compared() < limit => cursor = Some(next),
            more => return Ok(more.is_some()),
        }
    }
}

fn page(transport: &Transport, wanted: u64, cursor: Option<&str>) -> Result<List, Stop> {
    let mut path = format!("/api/v1/approvals?limit={wanted}");
    if let Some(cursor) = cursor {
        path.push_str(&format!("&cursor={cursor}"));
    }
    Ok(transport.parse(&transport.get(&path)?)?)
}

/// Returns the attempt for which an approval was requested.
fn attempt(transport: &Transport, id: &str) -> Result<Attempt, Stop> {
    let approval = transport.approval(id)?;
    let Approval { agent, action, context, plan, requested_by, requested_at, .. } = approval;
    let context = context.map_or_else(|| "{}".to_owned(), |context| context.get().to_owned());
    let plan = plan.map(|plan| plan.get().to_owned()).filter(|plan| plan != "null");
    let time = chrono::DateTime::parse_from_rfc3339(&requested_at)?;
    Ok(Attempt {
        agent,
        action,
        context: transport.canonical(&context)?,
        plan: plan.map(|plan| transport.canonical(&plan)).transpose()?,
        facts: Facts::of_request(&requested_by).to_text(),
        now: u64::try_from(time.timestamp()).unwrap_or_default(),
    })
}
