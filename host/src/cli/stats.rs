//! `signoff stats`: counts approvals by status, and shows the approval rate. Too many rejections,
//! or none, indicate a problem in the process.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::transport::Transport;
use super::{Exit, exit::Failure, output};
use crate::store::Status;

pub(super) fn run(transport: &Transport) -> Result<Exit, Failure> {
    let metrics = transport.get("/metrics")?;
    let found: HashMap<&str, u64> = metrics.lines().filter_map(count).collect();
    let of = |status: &str| found.get(status).copied().unwrap_or(0);
    let counts = Status::ALL.map(|status| (status.as_str(), of(status.as_str())));
    let total: u64 = counts.iter().map(|(_, n)| n).sum();
    let (yes, no) = (of("approved") + of("executed"), of("rejected"));
    let rate = (yes + no > 0).then(|| yes * 100 / (yes + no));
    if transport.json {
        let by_status: Map<String, Value> =
            counts.iter().map(|(status, n)| ((*status).to_owned(), json!(n))).collect();
        output::line(
            &json!({ "total": total, "by_status": by_status, "approved_percent": rate })
                .to_string(),
        );
        return Ok(Exit::Done);
    }
    for (status, n) in &counts {
        output::line(&format!("{status:<12}{n}"));
    }
    output::line(&format!("{:<12}{total}", "total"));
    if let Some(rate) = rate {
        output::line(&format!("{rate}% of decided approvals were approved"));
    }
    Ok(Exit::Done)
}

/// `signoff_approvals{status="pending"} 3`
fn count(line: &str) -> Option<(&str, u64)> {
    let (status, n) = line.strip_prefix("signoff_approvals{status=\"")?.split_once("\"} ")?;
    Some((status, n.parse().ok()?))
}
