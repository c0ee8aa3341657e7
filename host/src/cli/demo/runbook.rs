//! The first part: the approval workflows runbook, over real HTTP with real signatures.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Narration;
use crate::api::{Approval, List, Problem};
use crate::cli::exit::Failure;
use crate::cli::transport::{Access, Transport, call_verifier};
use crate::verifier::{Key, Statement};

pub(super) const APPROVER: &str = "user@company.com";
const CONTEXT: &str =
    r#"{"file": "config/production.yaml", "changes_count": 1500, "risk_score": 85}"#;
/// The same file, with one more change.
const OTHER_CONTEXT: &str =
    r#"{"file": "config/production.yaml", "changes_count": 1501, "risk_score": 85}"#;
/// The same context as [`CONTEXT`], written by another program.
const SAME_CONTEXT: &str =
    r#"{"risk_score":85,"changes_count":1500,"file":"config\/production.yaml"}"#;

/// The runbook's workflow, under `v1` and without tokens.
pub(super) struct Story<'a> {
    narration: &'a mut Narration,
    transport: &'a Transport,
    key: &'a Key,
    /// Approvals by id, with their expected final status.
    expected: Vec<(String, &'static str)>,
}

/// Runs this part over a server, and checks it.
pub(super) fn run(
    narration: &mut Narration,
    transport: &Transport,
    key: &Key,
) -> Result<(), Failure> {
    let mut story = Story { narration, transport, key, expected: Vec::new() };
    story.run()?;
    story.check()
}

impl Story<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let first = self.approved_and_executed()?;
        self.expected.push((first, "executed"));
        let second = self.rejected()?;
        self.expected.push((second, "rejected"));
        let third = self.expired()?;
        self.expected.push((third, "expired"));
        Ok(())
    }

    fn approved_and_executed(&mut self) -> Result<String, Failure> {
        self.narration
            .title("An agent requests an approval. It wants to apply a large change to production, and waits.");
        let body = format!(
            r#"{{"agent":"knowledge_update","action":"apply","context":{CONTEXT},"reason":"Large configuration change for production deployment"}}"#
        );
        let requested = self.post("/api/v1/approvals", body)?;
        let requested = self.approval(requested, "pending")?;
        let path = format!("/api/v1/approvals/{}", requested.id);
        self.narration.say(&format!(
            "the approval will be bound to the context digest {}",
            requested.context_hash
        ));

        self.narration.title("Tampering: the signature of a rejection is sent with an approval.");
        let rejection = self.sign(&requested, "rejected")?;
        let refused =
            self.post(&format!("{path}/approve"), ballot("approved", &rejection, None))?;
        self.refused(refused, "signature-invalid");

        self.narration.title("A person reviews exactly what will run, and signs it.");
        let signature = self.sign(&requested, "approved")?;
        let message = self.get(&format!("{path}/payload?decision=approved&approver={APPROVER}"))?;
        let message: Value = self.transport.parse(&message)?;
        self.narration.say(&format!(
            "signs  {}",
            message.get("message").and_then(Value::as_str).unwrap_or_default()
        ));
        let body = ballot("approved", &signature, Some("Reviewed changes - looks safe"));
        let approved = self.post(&format!("{path}/approve"), body)?;
        self.approval(approved, "approved")?;

        self.narration.title("The executor verifies before it acts.");
        let body = json!({ "signature": signature }).to_string();
        let verified = self.post(&format!("{path}/verify"), body)?;
        self.valid(verified)?;

        self.narration.title(
            "The agent tries to run it on another context: one change more than was approved.",
        );
        let refused = self.post(&format!("{path}/execute"), claim("apply", OTHER_CONTEXT))?;
        self.refused(refused, "context-mismatch");

        self.narration.title("It tries another action with the same approval.");
        let refused = self.post(&format!("{path}/execute"), claim("delete", CONTEXT))?;
        self.refused(refused, "action-mismatch");

        self.narration.title(
            "It runs what was approved. Serialized by another program, it is still the same context.",
        );
        let executed = self.post(&format!("{path}/execute"), claim("apply", SAME_CONTEXT))?;
        let executed = self.approval(executed, "executed")?;
        let execution = executed.execution.map(|execution| execution.id).unwrap_or_default();

        self.narration.title("It tries to run it again: an approval can be used only once.");
        let refused = self.post(&format!("{path}/execute"), claim("apply", CONTEXT))?;
        self.refused(refused, "already-executed");

        self.narration.title("It reports the outcome.");
        let body = json!({ "execution_id": execution, "outcome": "succeeded" }).to_string();
        let settled = self.post(&format!("{path}/outcome"), body)?;
        self.approval(settled, "executed")?;
        Ok(requested.id)
    }

    fn rejected(&mut self) -> Result<String, Failure> {
        self.narration.title("A second request. The reviewer rejects it, and that is final.");
        let body = r#"{"agent":"inbox_triage","action":"quarantine","context":{"email_id":"email_123","risk_score":92},"reason":"High-risk email quarantine","expires_in_seconds":7200}"#;
        let requested = self.post("/api/v1/approvals", body.to_owned())?;
        let requested = self.approval(requested, "pending")?;
        let path = format!("/api/v1/approvals/{}", requested.id);
        let signature = self.sign(&requested, "rejected")?;
        let body = ballot("rejected", &signature, Some("Sender is known"));
        let rejected = self.post(&format!("{path}/approve"), body)?;
        self.approval(rejected, "rejected")?;
        let signature = self.sign(&requested, "approved")?;
        let refused =
            self.post(&format!("{path}/approve"), ballot("approved", &signature, None))?;
        self.refused(refused, "already-decided");
        Ok(requested.id)
    }

    fn expired(&mut self) -> Result<String, Failure> {
        self.narration.title("A third request expires after one second without a decision.");
        let body = r#"{"agent":"knowledge_update","action":"apply","context":{},"reason":"Emergency override","expires_in_seconds":1}"#;
        let requested = self.post("/api/v1/approvals", body.to_owned())?;
        let requested = self.approval(requested, "pending")?;
        let path = format!("/api/v1/approvals/{}", requested.id);
        let waited = self.get(&format!("{path}?wait=30&while=pending"))?;
        self.approval(Ok(waited), "expired")?;
        let signature = self.sign(&requested, "approved")?;
        let refused =
            self.post(&format!("{path}/approve"), ballot("approved", &signature, None))?;
        self.refused(refused, "expired");
        Ok(requested.id)
    }

    /// Reads everything back and compares it with the expected results.
    fn check(&mut self) -> Result<(), Failure> {
        self.narration.title("Check everything by reading it back from the store:");
        // Listing by status first stores due expiries, so that the audit log below has them.
        self.get("/api/v1/approvals?status=expired")?;
        let list: List = self.transport.parse(&self.get("/api/v1/approvals")?)?;
        for (id, status) in std::mem::take(&mut self.expected) {
            let found = list.items.iter().find(|item| item.id == id);
            let found = found.map_or("missing", |item| item.status.as_str());
            self.narration.compare(&format!("{id} is {status}"), found == status);
        }
        #[derive(Deserialize)]
        struct Audit {
            items: Vec<Item>,
        }
        #[derive(Deserialize)]
        struct Item {
            entry: Entry,
        }
        #[derive(Deserialize)]
        struct Entry {
            event: Event,
        }
        #[derive(Deserialize)]
        struct Event {
            event: String,
        }
        let audit: Audit = self.transport.parse(&self.get("/api/v1/audit")?)?;
        let events: Vec<&str> =
            audit.items.iter().map(|item| item.entry.event.event.as_str()).collect();
        let expected = [
            // Recorded at the start.
            "settings_recorded",
            "key_recorded",
            "approval_requested",
            "approval_decided",
            "approval_claimed",
            "execution_settled",
            "approval_requested",
            "approval_decided",
            "approval_requested",
            "approval_expired",
        ];
        self.narration.compare(
            &format!(
                "the audit log has one entry each for the settings, the key and every change, {} in all, and none for refusals",
                expected.len()
            ),
            events == expected,
        );
        Ok(())
    }

    fn get(&self, path: &str) -> Result<String, Failure> {
        self.narration.say(&format!("GET {path}"));
        self.transport.get(path)
    }

    /// Posts and prints the request; a refusal is a result here.
    fn post(&self, path: &str, body: String) -> Result<Result<String, Problem>, Failure> {
        self.narration.say(&format!("POST {path}"));
        self.narration.say(&format!("     {body}"));
        match self.transport.post(path, body, Access::Write) {
            Ok(answer) => Ok(Ok(answer)),
            Err(Failure::Refused { problem, .. }) => Ok(Err(problem)),
            Err(failure) => Err(failure),
        }
    }

    fn approval(
        &mut self,
        answer: Result<String, Problem>,
        status: &str,
    ) -> Result<Approval, Failure> {
        let answer = answer.map_err(|problem| Failure::Refused { problem, json: false })?;
        let approval: Approval = self.transport.parse(&answer)?;
        let outcome =
            approval.execution.as_ref().map(|e| format!(", {}", e.outcome)).unwrap_or_default();
        self.narration.compare(
            &format!("{} {}{outcome}", approval.id, approval.status),
            approval.status == status,
        );
        Ok(approval)
    }

    fn refused(&mut self, answer: Result<String, Problem>, code: &str) {
        match answer {
            Err(problem) => {
                let what = format!(
                    "{} {}: {} ({})",
                    problem.status, problem.title, problem.detail, problem.code
                );
                self.narration.compare(&what, problem.code == code);
            }
            Ok(answer) => self.narration.compare(&format!("not refused: {answer}"), false),
        }
    }

    fn valid(&mut self, answer: Result<String, Problem>) -> Result<(), Failure> {
        let answer = answer.map_err(|problem| Failure::Refused { problem, json: false })?;
        let verification: crate::api::Verification = self.transport.parse(&answer)?;
        self.narration
            .compare(&format!("{{\"valid\":{}}}", verification.valid), verification.valid);
        Ok(())
    }

    fn sign(&self, approval: &Approval, decision: &str) -> Result<String, Failure> {
        let statement = Statement {
            audience: String::new(),
            key_id: String::new(),
            approval_id: approval.id.clone(),
            request_digest: String::new(),
            expires_at: crate::cli::sign::unix_seconds(&approval.expires_at)?,
            decision: decision.to_owned(),
            approver: APPROVER.to_owned(),
            comment: String::new(),
        };
        call_verifier(false, || self.transport.verifier().sign(&statement, "v1", self.key))
    }
}

fn ballot(decision: &str, signature: &str, comment: Option<&str>) -> String {
    json!({ "decision": decision, "approver": APPROVER, "comment": comment, "signature": signature })
        .to_string()
}

fn claim(action: &str, context: &str) -> String {
    format!(r#"{{"agent":"knowledge_update","action":"{action}","context":{context}}}"#)
}
