//! How often a request calls the verifier, and how many texts it parses.

use super::*;
use crate::guardrails::Action;
use crate::policy::{Limits, Policy};
use crate::policy::{Template, build_with};
use crate::verifier::Work;

/// Denies the action `forbidden` and requires approval for the rest.
const RULES: &str = r#"
format = 1
name = "careful"
default = "require_approval"

[[rule]]
id = "no"
action = "forbidden"
verdict = "deny"
"#;

impl Bench {
    async fn under_a_policy() -> Self {
        let bench = Self::new().await;
        // Loads the slot before it is changed by hand.
        bench.service.modules.policy_slot().await.unwrap();
        let built = {
            let template = Template::new(loader().cache()).unwrap();
            build_with(&template, RULES).unwrap()
        };
        let policy =
            Policy::load_by(&loader(), &built.wasm, &built.digest, Limits::default()).unwrap();
        bench.service.modules.set_policy(policy);
        bench
    }

    /// Returns the calls and texts of `work`.
    async fn taken(&self, work: impl Future<Output = ()>) -> (u64, u64) {
        let before = self.service.verifier.current().work();
        work.await;
        let Work { calls, texts } = self.service.verifier.current().work();
        (calls - before.calls, texts - before.texts)
    }

    async fn requested(&self, plan: Option<&str>) {
        let request = NewApproval { plan: plan.map(str::to_owned), ..new(600) };
        self.service.approvals.request(&Caller::local(), request, None).await.unwrap();
    }

    async fn denied(&self) {
        let request = NewApproval { action: "forbidden".to_owned(), ..new(600) };
        let refused = self.service.approvals.request(&Caller::local(), request, None).await;
        assert_eq!(refused.unwrap_err().code, Code::POLICY_DENIED);
    }

    async fn evaluated(&self, action: &str) {
        let action = Action {
            agent: "inbox_triage".to_owned(),
            action: action.to_owned(),
            context: new(1).context.into(),
            plan: None,
        };
        self.service.guardrails.evaluate(&Caller::local(), action, None).await.unwrap();
    }

    async fn claimed(&self, id: Option<ApprovalId>) {
        self.service.approvals.claim(&Caller::local(), id, claim(30), None).await.unwrap();
    }
}

#[tokio::test]
async fn without_a_policy_each_request_calls_the_verifier_once() {
    let bench = Bench::new().await;
    assert_eq!(bench.taken(bench.requested(None)).await, (1, 1));
    assert_eq!(bench.taken(bench.requested(Some("{}"))).await, (1, 2));
    assert_eq!(bench.taken(bench.evaluated("quarantine")).await, (1, 1));
    let (id, approval) = bench.request(600).await;
    let ballot = bench.ballot(&approval);
    let decided = async {
        bench.service.approvals.decide(&Caller::local(), id, &ballot, None).await.unwrap();
    };
    assert_eq!(bench.taken(decided).await, (1, 0));
    assert_eq!(bench.taken(bench.claimed(id)).await, (1, 1));
}

#[tokio::test]
async fn under_a_policy_an_action_is_read_once_and_opened_once() {
    let bench = Bench::under_a_policy().await;
    assert_eq!(bench.taken(bench.requested(None)).await, (2, 2));
    assert_eq!(bench.taken(bench.requested(Some("{}"))).await, (3, 4));
    assert_eq!(bench.taken(bench.evaluated("quarantine")).await, (1, 1));
    assert_eq!(bench.taken(bench.evaluated("forbidden")).await, (1, 1));
    assert_eq!(bench.taken(bench.denied()).await, (1, 1));
    let id = bench.approved(600).await;
    assert_eq!(bench.taken(bench.claimed(id)).await, (1, 1));
}
