//! The subject of an audit entry: the approval, key, token or other thing under which the index
//! lists the entry.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::About;
use crate::id::ApprovalId;

/// The members of an event that name its subject.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    actor: Option<&'a RawValue>,
    #[serde(borrow)]
    agent: Option<&'a RawValue>,
    #[serde(borrow)]
    approval_id: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    key_id: Option<&'a RawValue>,
    #[serde(borrow)]
    shadow: Option<&'a RawValue>,
    #[serde(borrow)]
    slot: Option<&'a RawValue>,
    #[serde(borrow)]
    token_id: Option<&'a RawValue>,
}

/// Returns the subject of an entry; `None` if this host does not write such an entry.
pub(crate) fn of_entry(text: &str) -> Option<About> {
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        event: &'a RawValue,
    }
    let entry: Entry<'_> = serde_json::from_str(text).ok()?;
    of_event(entry.event.get())
}

/// Returns the subject of an event; `None` if this host does not write such an event.
pub(crate) fn of_event(text: &str) -> Option<About> {
    let event: Event<'_> = serde_json::from_str(text).ok()?;
    let named = |kind: &str, name| Some(About::named(kind, &string(name)?));
    match &*event.event {
        "key_recorded" => named("key", event.key_id),
        "token_created" | "token_revoked" => named("token", event.token_id),
        "module_pushed" | "module_removed" => named("module", event.digest),
        "module_activated" | "module_rolled_back" | "module_shadowed" | "module_unshadowed" => {
            named("slot", event.slot)
        }
        // The caller, not the approval or slot: refused callers must not lengthen the lists of
        // entries about those.
        "request_refused" | "module_refused" | "guardrails_reported" => {
            named("subject", event.actor)
        }
        "guardrails_evaluated" => named("agent", event.agent),
        "shadow_flipped" => named("shadow", Some(policy_of(event.shadow?)?)),
        "approvals_pruned" | "backup_taken" | "rollback_accepted" | "settings_recorded"
        | "clock_recorded" | "clock_accepted" | "witness_recorded" | "unsigned_accepted" => {
            Some(About::named("store", "store"))
        }
        // A verifier event: its subject is its approval.
        _ => ApprovalId::parse(&string(event.approval_id)?).map(About::approval),
    }
}

/// The digest of the shadow policy whose verdict differed.
fn policy_of(shadow: &RawValue) -> Option<&RawValue> {
    #[derive(Deserialize)]
    struct Shadow<'a> {
        #[serde(borrow)]
        policy: &'a RawValue,
    }
    let shadow: Shadow<'_> = serde_json::from_str(shadow.get()).ok()?;
    Some(shadow.policy)
}

fn string(value: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str(value?.get()).ok()
}
