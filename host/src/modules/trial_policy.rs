//! The trial of a policy: it must describe itself and return a verdict.

use serde_json::Value;
use signoff_core::facts::Facts;

use crate::code::Code;
use crate::modules::{Manifest, all_listed};
use crate::policy::Attempt;
use crate::policy::Policy;
use crate::refusal::Refusal;

/// Maximum size of a description without rules.
const DESCRIPTION_BYTES_MAX: usize = 64 << 10;
/// Maximum size of a description with the text of a rules file.
const DESCRIPTION_WITH_RULES_BYTES_MAX: usize = 2 << 20;

/// Runs the trial.
///
/// Refusals: `module-invalid`; as [`all_listed`] for a description with facts that the manifest
/// does not list.
pub(super) fn try_out(policy: &Policy, manifest: &Manifest, now: u64) -> Result<(), Refusal> {
    let text = policy.describe().map_err(|e| invalid(format!("its description: {e}")))?;
    all_listed(manifest, &described(&text)?)?;
    let attempt = Attempt {
        agent: "signoff".to_owned(),
        action: "signoff.trial".to_owned(),
        context: "{}".to_owned(),
        plan: None,
        facts: Facts::of_request("signoff").to_text(),
        now,
    };
    let verdict = policy.evaluate(&attempt);
    verdict.map(drop).map_err(|e| invalid(format!("its verdict on an empty context: {e}")))
}

/// Parses a description: a JSON object with a name, within the size limit.
pub(super) fn described(text: &str) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_str(text)
        .map_err(|e| invalid(format!("its description is not JSON: {e}")))?;
    if value.get("name").and_then(Value::as_str).is_none() {
        return Err(invalid("its description is not a JSON object with a `name`".to_owned()));
    }
    let most = match value.get("rules") {
        Some(_) => DESCRIPTION_WITH_RULES_BYTES_MAX,
        None => DESCRIPTION_BYTES_MAX,
    };
    if text.len() > most {
        let bytes = text.len();
        return Err(invalid(format!("its description is {bytes} bytes, the limit is {most}")));
    }
    Ok(value)
}

fn invalid(why: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::MODULE_INVALID, format!("the policy failed its trial: {why}"))
}
