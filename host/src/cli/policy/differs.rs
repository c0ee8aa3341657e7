//! How a verdict differs from what a test expects.

use serde::Serialize;

use crate::policy::{Requirement, TestedCase};

/// Returns a message for each unmet expectation. Of a requirement only the parts that the test names
/// are compared; one without parts is compared as a whole.
pub(super) fn differs(case: &TestedCase) -> Vec<String> {
    let TestedCase { expected, got, .. } = case;
    let mut parts = vec![
        ("decision", Some(expected.decision.to_string()), Some(got.decision.to_string())),
        ("rule", expected.rule.clone(), got.rule.clone()),
    ];
    match (&expected.requirement, &got.requirement) {
        (Some(wanted), Some(got)) if *wanted != Requirement::default() => {
            let ttl = |of: &Requirement| of.ttl_seconds.map(|ttl| ttl.to_string());
            let threshold = |of: &Requirement| of.threshold.map(|threshold| threshold.to_string());
            let groups = |of: &Requirement| (!of.groups.is_empty()).then(|| json(&of.groups));
            parts.extend([
                ("requirement.ttl_seconds", ttl(wanted), ttl(got)),
                ("requirement.threshold", threshold(wanted), threshold(got)),
                ("requirement.groups", groups(wanted), groups(got)),
            ]);
        }
        (wanted, got) => {
            parts.push(("requirement", wanted.as_ref().map(json), got.as_ref().map(json)));
        }
    }
    parts.push(("reason", expected.reason.clone(), got.reason.clone()));
    parts.into_iter().filter_map(|(name, wanted, got)| part(name, wanted, got)).collect()
}

fn part(name: &str, wanted: Option<String>, got: Option<String>) -> Option<String> {
    let wanted = wanted.filter(|wanted| Some(wanted) != got.as_ref())?;
    let got = got.map_or_else(|| "none".to_owned(), |got| format!("`{got}`"));
    Some(format!("{name}: expected `{wanted}`, got {got}"))
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
