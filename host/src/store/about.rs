//! What an audit entry is about: the one thing that the index of entries finds it by.

use serde_json::Value;

use super::About;
use crate::id::ApprovalId;

/// What an entry is about; `None` for one that this host does not write.
pub(crate) fn of_entry(text: &str) -> Option<About> {
    let entry: Value = serde_json::from_str(text).ok()?;
    of_event(entry.get("event")?)
}

/// What an event is about; `None` for an event that this host does not write.
pub(crate) fn of_event(event: &Value) -> Option<About> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let named = |kind: &str, name: &str| text(name).map(|name| About::named(kind, name));
    match text("event")? {
        "key_recorded" => named("key", "key_id"),
        "token_created" | "token_revoked" => named("token", "token_id"),
        "module_pushed" | "module_removed" => named("module", "digest"),
        "module_activated" | "module_rolled_back" | "module_shadowed" | "module_unshadowed" => {
            named("slot", "slot")
        }
        // Not about the approval or slot: what is read of those must not grow by who is refused.
        "request_refused" | "module_refused" => named("subject", "actor"),
        "guardrails_evaluated" => named("agent", "agent"),
        "shadow_flipped" => {
            let candidate = event.get("shadow")?.get("policy")?.as_str()?;
            Some(About::named("shadow", candidate))
        }
        "rollback_accepted" | "settings_recorded" | "clock_recorded" | "clock_accepted"
        | "witness_recorded" | "unsigned_accepted" => Some(About::named("store", "store")),
        _ => approval(event),
    }
}

/// What an event of the verifier is about: its approval.
fn approval(event: &Value) -> Option<About> {
    let id = event.get("approval_id")?.as_str()?;
    ApprovalId::parse(id).map(About::approval)
}
