//! The rules, in plain Rust without WebAssembly.
//!
//! A rule that does not apply returns `None`. The strictest verdict wins: deny, then require_approval,
//! then allow. A value that cannot be read never leads to `allow`: a risk score that is not a number is
//! an error, the policy traps, and the host refuses.

use serde::{Deserialize, Serialize};
use serde_json::Number;

/// More changes of production than this require two approvers.
const CHANGES_MAX: f64 = 1000.0;
/// From this risk on, a quarantine requires approval.
const RISK_MIN: f64 = 70.0;

/// From the mildest to the strictest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allow,
    RequireApproval,
    Deny,
}

#[derive(Serialize)]
pub struct Verdict {
    pub decision: Decision,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requirement: Option<Requirement>,
}

/// The requirement of an approval.
#[derive(Serialize)]
pub struct Requirement {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
    pub ttl_seconds: u64,
}

/// The members of the context that the rules read. A member of another type is an error.
#[derive(Deserialize)]
struct Facts {
    #[serde(default)]
    environment: String,
    #[serde(default)]
    file: String,
    changes_count: Option<Number>,
    risk_score: Option<Number>,
}

type Rule = fn(&str, &Facts) -> Result<Option<Verdict>, String>;

const RULES: [Rule; 3] = [no_deletes_of_production, large_changes_of_production, quarantine];

/// Returns the verdict on an action; `context` is a JSON object.
pub fn decide(action: &str, context: &str) -> Result<Verdict, String> {
    let facts: Facts = serde_json::from_str(context).map_err(|e| e.to_string())?;
    let mut strictest: Option<Verdict> = None;
    for rule in RULES {
        if let Some(verdict) = rule(action, &facts)?
            && strictest.as_ref().is_none_or(|found| found.decision < verdict.decision)
        {
            strictest = Some(verdict);
        }
    }
    Ok(strictest.unwrap_or_else(|| Verdict {
        decision: Decision::RequireApproval,
        rule: None,
        reason: Some("no rule says otherwise".to_owned()),
        requirement: None,
    }))
}

fn no_deletes_of_production(action: &str, facts: &Facts) -> Result<Option<Verdict>, String> {
    Ok((action == "delete" && facts.in_production()).then(|| Verdict {
        decision: Decision::Deny,
        rule: Some("no-deletes-of-production"),
        reason: Some("nothing of production is deleted by an agent".to_owned()),
        requirement: None,
    }))
}

fn large_changes_of_production(action: &str, facts: &Facts) -> Result<Option<Verdict>, String> {
    if action != "apply" || !facts.in_production() {
        return Ok(None);
    }
    let (changes, shown) = number(facts.changes_count.as_ref(), "changes_count")?;
    Ok((changes > CHANGES_MAX).then(|| Verdict {
        decision: Decision::RequireApproval,
        rule: Some("large-changes-of-production"),
        reason: Some(format!("{shown} changes of production are more than {CHANGES_MAX}")),
        requirement: Some(Requirement { threshold: Some(2), ttl_seconds: 3600 }),
    }))
}

fn quarantine(action: &str, facts: &Facts) -> Result<Option<Verdict>, String> {
    if action != "quarantine" {
        return Ok(None);
    }
    let (risk, shown) = number(facts.risk_score.as_ref(), "risk_score")?;
    Ok(Some(if risk < RISK_MIN {
        Verdict {
            decision: Decision::Allow,
            rule: Some("harmless-quarantine"),
            reason: None,
            requirement: None,
        }
    } else {
        Verdict {
            decision: Decision::RequireApproval,
            rule: Some("risky-quarantine"),
            reason: Some(format!("risk score {shown} is {RISK_MIN} or more")),
            requirement: Some(Requirement { threshold: None, ttl_seconds: 1800 }),
        }
    }))
}

impl Facts {
    fn in_production(&self) -> bool {
        self.environment == "production" || self.file.contains("production")
    }
}

/// Returns a required number, and the number as written in the context.
fn number<'f>(number: Option<&'f Number>, name: &str) -> Result<(f64, &'f Number), String> {
    let number = number.ok_or_else(|| format!("`{name}` is missing"))?;
    let value = number.as_f64().ok_or_else(|| format!("`{name}` is too large"))?;
    Ok((value, number))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn cases() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../cases.json")).unwrap();
        for case in cases {
            let action = case["action"].as_str().unwrap();
            let verdict = super::decide(action, &case["context"].to_string());
            let said = verdict.map(|verdict| serde_json::to_value(verdict).unwrap());
            match case.get("verdict") {
                Some(expected) => assert_eq!(said.as_ref(), Ok(expected), "{case}"),
                None => assert!(said.is_err(), "{case}"),
            }
        }
    }
}
