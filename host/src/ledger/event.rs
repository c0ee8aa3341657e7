//! The host's audit events: those that belong to no approval. The events of approvals are the
//! verifier's.

use serde::Serialize;
use serde_json::Value;

use super::Reply;
use crate::caller::Caller;
use crate::policy::{Decision, Requirement};
use crate::role::Role;
use crate::store::{Blob, Removed, RowChange, Scope};
use crate::verifier::Verifier;

/// An event of the host. Its entry has the name of the variant as the member `event`, next to the
/// other members.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event<'a> {
    KeyRecorded(KeyFields<'a>),
    TokenCreated(TokenFields<'a>),
    TokenRevoked(TokenFields<'a>),
    GuardrailsEvaluated(EvaluatedFields<'a>),
    GuardrailsReported {
        decisions: Vec<ReportedDecision<'a>>,
    },
    ShadowFlipped(FlipFields<'a>),
    ModulePushed {
        #[serde(flatten)]
        module: ModuleFields,
        bytes: u64,
    },
    ModuleActivated {
        #[serde(flatten)]
        module: ModuleFields,
        previous: Option<String>,
    },
    ModuleRolledBack {
        #[serde(flatten)]
        module: ModuleFields,
        previous: Option<String>,
        reason: &'a str,
    },
    ModuleShadowed(ModuleFields),
    ModuleUnshadowed(ModuleFields),
    ModuleRemoved(ModuleFields),
    ModuleRefused {
        #[serde(flatten)]
        module: ModuleFields,
        operation: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "is_zero")]
        dropped: u64,
    },
    RequestRefused {
        /// The method and route, as in the OpenAPI document.
        operation: &'a str,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        approval_id: Option<String>,
        #[serde(skip_serializing_if = "is_zero")]
        dropped: u64,
    },
    SettingsRecorded {
        digest: String,
        settings: Value,
        #[serde(skip_serializing_if = "<[String]>::is_empty")]
        accepted_weaker: &'a [String],
    },
    WitnessRecorded {},
    ApprovalsPruned {
        /// Approvals whose last change is older were removed.
        older_than_seconds: u64,
        approvals: usize,
    },
    BackupTaken {
        /// The audit entries in the copy, and their root.
        size: u64,
        root: String,
        bytes: u64,
    },
    RollbackAccepted {
        witnessed: Option<Witnessed>,
    },
    UnsignedAccepted {
        ended: usize,
    },
    ClockAccepted {
        last: String,
        now: String,
    },
    ClockRecorded {},
}

/// A key, as it is in the keyring now.
#[derive(Serialize)]
pub(crate) struct KeyFields<'a> {
    pub(crate) key_id: &'a str,
    pub(crate) algorithm: &'a str,
    pub(crate) status: &'a str,
    #[serde(rename = "use")]
    pub(crate) usage: &'a str,
    pub(crate) approver: Option<&'a str>,
    pub(crate) groups: &'a [String],
    pub(crate) fingerprint: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_key: Option<&'a str>,
}

/// A token, without anything secret.
#[derive(Serialize)]
pub(crate) struct TokenFields<'a> {
    pub(crate) token_id: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) roles: &'a [Role],
    pub(crate) agents: Option<&'a str>,
    pub(crate) expires_at: Option<String>,
}

/// An action that a policy evaluated; the verdict is a member of the entry.
#[derive(Serialize)]
pub(crate) struct EvaluatedFields<'a> {
    pub(crate) moment: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) action: &'a str,
    pub(crate) context_hash: &'a str,
    pub(crate) plan_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval_id: Option<String>,
}

/// A decision that an executor made in its own process, as it reports it.
#[derive(Serialize)]
pub(crate) struct ReportedDecision<'a> {
    pub(crate) id: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) action: &'a str,
    pub(crate) context_hash: &'a str,
    pub(crate) plan_hash: Option<&'a str>,
    pub(crate) decision: Decision,
    pub(crate) rule: Option<&'a str>,
    pub(crate) policy: &'a str,
    pub(crate) decided_at: &'a str,
}

/// An action on which the shadow differs from the effective verdict.
#[derive(Serialize)]
pub(crate) struct FlipFields<'a> {
    pub(crate) moment: &'a str,
    pub(crate) approval_id: Option<String>,
    pub(crate) agent: &'a str,
    pub(crate) action: &'a str,
    pub(crate) context_hash: &'a str,
    pub(crate) plan_hash: Option<&'a str>,
    pub(crate) active: Option<Answered<'a>>,
    pub(crate) shadow: Answered<'a>,
}

/// A policy's answer in a comparison.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answered<'a> {
    Verdict {
        policy: &'a str,
        decision: Decision,
        rule: Option<&'a str>,
        requirement: Option<&'a Requirement>,
        failed: &'a [String],
    },
    Failure {
        policy: &'a str,
        failure: String,
    },
}

/// A module or a slot, as far as known.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct ModuleFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) built_in: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_id: Option<String>,
    /// The digest of the signed manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) envelope: Option<String>,
}

/// The checkpoint of a witness that the store did not extend.
#[derive(Serialize)]
pub(crate) struct Witnessed {
    pub(crate) size: u64,
    pub(crate) root: String,
}

/// The verdict in an audit entry.
#[derive(Serialize)]
pub(crate) struct Guardrail<'a> {
    pub(crate) decision: Decision,
    pub(crate) rule: Option<&'a str>,
    pub(crate) policy: Option<&'a str>,
    pub(crate) failed: &'a [String],
}

/// The modules that decided a change, for its audit entry.
pub(crate) struct Deciders<'a> {
    pub(crate) verifier: &'a Verifier,
    /// The policy's verdict, if one was evaluated.
    pub(crate) guardrail: Option<Guardrail<'a>>,
}

/// An event of the host, with what is committed together with its entry.
pub(crate) struct Note<'a> {
    pub(super) event: Event<'a>,
    pub(super) removed: Vec<Removed>,
    pub(super) forgotten: Vec<Scope>,
    pub(super) rows: Vec<RowChange>,
    pub(super) blob: Option<Blob>,
    pub(super) guardrail: Option<Guardrail<'a>>,
    pub(super) answer: Option<Reply>,
}

impl<'a> Note<'a> {
    /// A note that changes no row.
    pub(crate) fn of(event: Event<'a>) -> Self {
        Self {
            event,
            removed: Vec::new(),
            forgotten: Vec::new(),
            rows: Vec::new(),
            blob: None,
            guardrail: None,
            answer: None,
        }
    }

    /// Adds rows that change.
    pub(crate) fn changing(self, rows: Vec<RowChange>) -> Self {
        Self { rows, ..self }
    }

    /// Adds approvals to remove, and stored answers to delete with them.
    pub(crate) fn removing(self, removed: Vec<Removed>, forgotten: Vec<Scope>) -> Self {
        Self { removed, forgotten, ..self }
    }

    /// Adds a module's bytes, to store or delete.
    pub(crate) fn with_blob(self, blob: Option<Blob>) -> Self {
        Self { blob, ..self }
    }

    /// Adds the policy's verdict.
    pub(crate) fn with_guardrail(self, guardrail: Guardrail<'a>) -> Self {
        Self { guardrail: Some(guardrail), ..self }
    }

    /// Adds the answer to the caller, which is stored for repeats of the request.
    pub(crate) fn answering(self, status: u16, body: String) -> Self {
        Self { answer: Some(Reply::new(status, body)), ..self }
    }
}

/// Returns the event of an entry, with its actor.
pub(super) fn entry_of(note: &Note<'_>, actor: &Caller) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        #[serde(flatten)]
        event: &'a Event<'a>,
        actor: &'a str,
    }
    json_text(&Line { event: &note.event, actor: actor.subject() })
}

/// Returns the host's members of an entry: the modules that decided, and the request id.
pub(super) fn host_members(by: &Deciders<'_>, caller: &Caller) -> String {
    #[derive(Serialize)]
    struct Members<'a> {
        verifier: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        guardrail: Option<&'a Guardrail<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    json_text(&Members {
        verifier: by.verifier.digest(),
        guardrail: by.guardrail.as_ref(),
        request_id: caller.request_id(),
    })
}

/// Serializes a value as JSON. Only for values that cannot fail to serialize.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::about;

    fn module() -> ModuleFields {
        ModuleFields {
            slot: Some("policy"),
            digest: Some("d1".to_owned()),
            ..ModuleFields::default()
        }
    }

    fn token() -> TokenFields<'static> {
        TokenFields { token_id: "tok", subject: "s", roles: &[], agents: None, expires_at: None }
    }

    /// One event of each kind. A new kind does not compile here until it has a line.
    fn each(after: Option<&Event<'_>>) -> Option<Event<'static>> {
        let answered = |policy| Answered::Failure { policy, failure: String::new() };
        Some(match after {
            None => Event::KeyRecorded(KeyFields {
                key_id: "k",
                algorithm: "ed25519",
                status: "active",
                usage: "approve",
                approver: None,
                groups: &[],
                fingerprint: "f",
                public_key: None,
            }),
            Some(Event::KeyRecorded(_)) => Event::TokenCreated(token()),
            Some(Event::TokenCreated(_)) => Event::TokenRevoked(token()),
            Some(Event::TokenRevoked(_)) => Event::GuardrailsEvaluated(EvaluatedFields {
                moment: "evaluate",
                agent: "a",
                action: "b",
                context_hash: "c",
                plan_hash: None,
                approval_id: None,
            }),
            Some(Event::GuardrailsEvaluated(_)) => {
                Event::GuardrailsReported { decisions: Vec::new() }
            }
            Some(Event::GuardrailsReported { .. }) => Event::ShadowFlipped(FlipFields {
                moment: "evaluate",
                approval_id: None,
                agent: "a",
                action: "b",
                context_hash: "c",
                plan_hash: None,
                active: None,
                shadow: answered("p"),
            }),
            Some(Event::ShadowFlipped(_)) => Event::ModulePushed { module: module(), bytes: 1 },
            Some(Event::ModulePushed { .. }) => {
                Event::ModuleActivated { module: module(), previous: None }
            }
            Some(Event::ModuleActivated { .. }) => {
                Event::ModuleRolledBack { module: module(), previous: None, reason: "r" }
            }
            Some(Event::ModuleRolledBack { .. }) => Event::ModuleShadowed(module()),
            Some(Event::ModuleShadowed(_)) => Event::ModuleUnshadowed(module()),
            Some(Event::ModuleUnshadowed(_)) => Event::ModuleRemoved(module()),
            Some(Event::ModuleRemoved(_)) => {
                Event::ModuleRefused { module: module(), operation: "o", code: "c", dropped: 1 }
            }
            Some(Event::ModuleRefused { .. }) => {
                Event::RequestRefused { operation: "o", code: "c", approval_id: None, dropped: 0 }
            }
            Some(Event::RequestRefused { .. }) => Event::SettingsRecorded {
                digest: String::new(),
                settings: Value::Null,
                accepted_weaker: &[],
            },
            Some(Event::SettingsRecorded { .. }) => Event::WitnessRecorded {},
            Some(Event::WitnessRecorded {}) => Event::RollbackAccepted { witnessed: None },
            Some(Event::RollbackAccepted { .. }) => {
                Event::ApprovalsPruned { older_than_seconds: 1, approvals: 1 }
            }
            Some(Event::ApprovalsPruned { .. }) => {
                Event::BackupTaken { size: 1, root: String::new(), bytes: 1 }
            }
            Some(Event::BackupTaken { .. }) => Event::UnsignedAccepted { ended: 0 },
            Some(Event::UnsignedAccepted { .. }) => {
                Event::ClockAccepted { last: String::new(), now: String::new() }
            }
            Some(Event::ClockAccepted { .. }) => Event::ClockRecorded {},
            Some(Event::ClockRecorded {}) => return None,
        })
    }

    #[test]
    fn every_event_has_a_subject_in_the_index() {
        let (mut last, mut count) = (None, 0);
        while let Some(event) = each(last.as_ref()) {
            let text = entry_of(&Note::of(event), &Caller::system());
            assert!(about::of_event(&text).is_some(), "{text}");
            last = each(last.as_ref());
            count += 1;
        }
        assert_eq!(count, 22);
    }
}
