//! The service with a manual clock and failing stores.

mod calls;

use std::collections::HashSet;
use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::Service;
use crate::approvals::{Approvals, Attempt, Ballot, Claim, Filter, NewApproval, Outcome};
use crate::audit::receipt::Report;
use crate::caller::{Caller, Holder};
use crate::clock::ManualClock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::{Allocation, Cache, Loader};
use crate::id::ApprovalId;
use crate::keys::{KeySource, Keys, RecordedKeys, make_keyring, trust};
use crate::ledger::Refused;
use crate::role::Role;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{
    About, Answer, Base, Change, Commit, Compacted, Copied, Entry, Head, Observer, Query, Row,
    RowKind, Scope, Status, Store, StoreError, Stored, Version, WithTexts,
};
use crate::verifier::{Accepted, ReceiptArgs, Statement, Verifier};
use signoff_core::log::tree::Hash;

const NOW: u64 = 1_760_697_000;

/// A service on a temporary store with a manual clock.
struct Bench {
    service: Service,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self::over(|store| store).await
    }

    async fn over(wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mode = OpenMode::Create { audience: "tests".to_owned() };
        let path = folder.path().join("store.redb");
        let clock = Arc::new(ManualClock::at(NOW));
        // A secret and a log key.
        let keyring = folder.path().join("keys.json");
        make_keyring(&keyring).unwrap();
        let keys = Arc::new(KeySource::fixed(Keys::load(&keyring).unwrap()));
        let store = RedbStore::open(&path, mode, CheckIntegrity::No, trust(&keys)).unwrap();
        let service = Service::new(
            wrap(Arc::new(store)),
            verifier(),
            loader(),
            keys,
            clock.clone(),
            Config::default(),
        );
        Self { service: service.await.unwrap(), clock, _folder: folder }
    }

    async fn request(&self, ttl: i64) -> (Option<ApprovalId>, Value) {
        let reply = self.service.approvals.request(&Caller::local(), new(ttl), None).await.unwrap();
        let approval: Value = serde_json::from_str(&reply.body).unwrap();
        (ApprovalId::parse(approval["id"].as_str().unwrap()), approval)
    }

    async fn approved(&self, ttl: i64) -> Option<ApprovalId> {
        let (id, approval) = self.request(ttl).await;
        let ballot = self.ballot(&approval);
        self.service.approvals.decide(&Caller::local(), id, &ballot, None).await.unwrap();
        id
    }

    fn ballot(&self, approval: &Value) -> Ballot {
        let expires_at = approval["expires_at"].as_str().unwrap();
        let expires_at = chrono::DateTime::parse_from_rfc3339(expires_at).unwrap().timestamp();
        let statement = Statement {
            audience: String::new(),
            key_id: String::new(),
            approval_id: approval["id"].as_str().unwrap().to_owned(),
            request_digest: String::new(),
            expires_at: u64::try_from(expires_at).unwrap(),
            decision: "approved".to_owned(),
            approver: "u@c.com".to_owned(),
            comment: String::new(),
        };
        let key = self.service.keys.current().unwrap().to_sign_v1().unwrap().clone();
        let signed = self.service.verifier.current().sign(&statement, "v1", &key);
        Ballot {
            decision: statement.decision,
            approver: Some(statement.approver),
            comment: None,
            signature: signed.unwrap(),
        }
    }

    async fn status(&self, id: Option<ApprovalId>) -> String {
        self.service.approvals.status(id).await.unwrap().0
    }
}

fn verifier() -> Verifier {
    let loader = loader();
    Verifier::embedded(loader.allocation(), loader.cache()).unwrap()
}

fn loader() -> Loader {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-cache");
    Loader::new(Allocation::OnDemand, Cache::at(cache))
}

fn new(ttl: i64) -> NewApproval {
    NewApproval {
        agent: "inbox_triage".to_owned(),
        action: "quarantine".to_owned(),
        context: r#"{"email_id":"email_123"}"#.to_owned(),
        plan: None,
        reason: None,
        expires_in_seconds: Some(ttl),
        requirement: None,
    }
}

fn claim(lease: i64) -> Claim {
    let NewApproval { agent, action, context, plan, .. } = new(1);
    Claim { agent, action, context, plan, lease_seconds: Some(lease) }
}

#[tokio::test]
async fn an_approval_expires_in_the_second_of_its_expiry() {
    let bench = Bench::new().await;
    let (id, approval) = bench.request(60).await;
    bench.clock.set(NOW + 59);
    assert_eq!(bench.status(id).await, "pending");
    bench.clock.set(NOW + 60);
    assert_eq!(bench.status(id).await, "expired");
    let refused =
        bench.service.approvals.decide(&Caller::local(), id, &bench.ballot(&approval), None).await;
    assert_eq!(refused.unwrap_err().code, Code::EXPIRED);
    assert_eq!(bench.service.sweep().await.unwrap(), 1);
    assert_eq!(bench.service.sweep().await.unwrap(), 0);
}

/// A claim that read the clock a second earlier then conflicts with the stored expiry, so that no
/// caller gets `expired` while another one executes.
#[tokio::test]
async fn a_late_claim_stores_the_expiry() {
    let bench = Bench::new().await;
    let (id, approval) = bench.request(60).await;
    bench
        .service
        .approvals
        .decide(&Caller::local(), id, &bench.ballot(&approval), None)
        .await
        .unwrap();
    bench.clock.set(NOW + 60);
    let refused = bench.service.approvals.claim(&Caller::local(), id, claim(60), None).await;
    assert_eq!(refused.unwrap_err().code, Code::EXPIRED);
    assert_eq!(bench.service.sweep().await.unwrap(), 0, "it is stored already");
    assert_eq!(bench.status(id).await, "expired");
}

#[tokio::test]
async fn a_list_by_status_expires_due_approvals_first() {
    let bench = Bench::new().await;
    let (short, _) = bench.request(10).await;
    let (long, _) = bench.request(100).await;
    bench.clock.set(NOW + 10);
    let ids = async |status| {
        let filter = Filter { status: Some(status), limit: 10, ..Filter::default() };
        bench.service.approvals.list(&Caller::local(), &filter).await.unwrap().items.join(" ")
    };
    let pending = ids(Status::Pending).await;
    assert!(
        pending.contains(&long.unwrap().to_string())
            && !pending.contains(&short.unwrap().to_string())
    );
    assert!(ids(Status::Expired).await.contains(&short.unwrap().to_string()));
}

#[tokio::test]
async fn an_expired_lease_makes_the_outcome_unknown_and_a_late_report_settles_it_once() {
    let bench = Bench::new().await;
    let id = bench.approved(600).await;
    let claimed =
        bench.service.approvals.claim(&Caller::local(), id, claim(30), None).await.unwrap();
    let claimed: Value = serde_json::from_str(&claimed.body).unwrap();
    bench.clock.set(NOW + 30);
    assert_eq!(bench.service.sweep().await.unwrap(), 1);
    let shown: Value =
        serde_json::from_str(&bench.service.approvals.show(id, WithTexts::No).await.unwrap())
            .unwrap();
    assert_eq!(shown["execution"]["outcome"], "unknown");
    let outcome = |outcome: &str| Outcome {
        execution_id: claimed["execution"]["id"].as_str().unwrap().to_owned(),
        outcome: outcome.to_owned(),
        detail: None,
    };
    let settle =
        async |o| bench.service.approvals.settle(&Caller::local(), id, &outcome(o), None).await;
    let settled: Value = serde_json::from_str(&settle("failed").await.unwrap().body).unwrap();
    assert_eq!(
        (&settled["execution"]["outcome"], &settled["execution"]["late"]),
        (&"failed".into(), &true.into())
    );
    assert!(settle("failed").await.is_ok());
    assert_eq!(settle("succeeded").await.unwrap_err().code, Code::ALREADY_SETTLED);
}

#[tokio::test]
async fn a_clock_behind_the_store_stops_writes_and_revives_nothing() {
    let bench = Bench::new().await;
    let (id, _) = bench.request(60).await;
    bench.clock.set(NOW + 100);
    bench.request(60).await;
    bench.clock.set(NOW + 40);
    assert_eq!(bench.status(id).await, "expired", "time was seen to be past the expiry");
    assert!(bench.service.approvals.request(&Caller::local(), new(60), None).await.is_ok());
    bench.clock.set(NOW + 39);
    let refused = bench.service.approvals.request(&Caller::local(), new(60), None).await;
    assert_eq!(refused.unwrap_err().code, Code::CLOCK_BEHIND);
    assert_eq!(bench.service.ready().await.unwrap_err().code, Code::CLOCK_BEHIND);
}

#[tokio::test]
async fn a_change_that_loses_a_race_is_retried() {
    let bench = Bench::over(|inner| {
        Arc::new(Double { inner, fault: Fault::Conflicts(AtomicUsize::new(0)) })
    })
    .await;
    let id = bench.approved(600).await;
    assert_eq!(bench.status(id).await, "approved");
    assert_eq!(
        bench.service.ledger.head().await.unwrap().entries,
        4,
        "one entry per change and key, none per conflict"
    );
}

/// A handler ends with its connection, but the store commits what it was given, and those who wait for
/// the change learn of it.
#[tokio::test]
async fn those_who_wait_learn_of_a_change_whose_caller_has_gone() {
    let bench = Bench::new().await;
    let (id, approval) = bench.request(60).await;
    let mut watch = bench.service.ledger.watchers().of_approval(id.unwrap());
    let (caller, ballot) = (Caller::local(), bench.ballot(&approval));
    let mut gone = Box::pin(bench.service.approvals.decide(&caller, id, &ballot, None));
    let is_pending = poll_fn(|context| Poll::Ready(gone.as_mut().poll(context).is_pending()));
    assert!(is_pending.await, "the store has it, and did not answer yet");
    drop(gone);
    // Without an end the test would wait for ever, if nobody is told.
    let told = tokio::time::timeout(Duration::from_secs(120), watch.changed()).await;
    assert!(told.is_ok());
    assert_eq!(bench.status(id).await, "approved");
}

#[tokio::test]
async fn a_failing_store_refuses_everything() {
    let bench = Bench::over(|inner| Arc::new(Double { inner, fault: Fault::Stopped })).await;
    let refused =
        bench.service.approvals.request(&Caller::local(), new(60), None).await.unwrap_err();
    assert_eq!(refused.code, Code::STORE_UNAVAILABLE);
    assert_eq!(refused.retry_after_seconds(), Some(1));
    let id = ApprovalId::from_u128(1);
    let gone = bench.service.approvals.check(&Caller::local(), Some(id), Attempt::default()).await;
    assert_eq!(gone.unwrap_err().code, Code::NOT_FOUND);
}

#[tokio::test]
async fn a_verifier_without_keys_refuses() {
    let bench = Bench::new().await;
    let (id, approval) = bench.request(60).await;
    let ballot = bench.ballot(&approval);
    let Service { ledger, verifier, guardrails, .. } = bench.service;
    let keys = RecordedKeys::new(ledger.clone(), Arc::new(KeySource::fixed(Keys::default())));
    let keyless = Approvals::new(ledger, Arc::new(keys), verifier, guardrails, &Config::default());
    let refused = keyless.decide(&Caller::local(), id, &ballot, None).await;
    assert_eq!(refused.unwrap_err().code, Code::KEY_UNKNOWN);
}

#[tokio::test]
async fn refusals_about_an_approval_do_not_fill_its_receipt() {
    let bench = Bench::new().await;
    let id = bench.approved(600).await;
    for person in 0..51 {
        let subject = format!("mallory-{person}");
        let holder =
            Holder { token_id: String::new(), subject, roles: vec![Role::Requester], agents: None };
        let caller = Caller::holding(holder);
        let refused = Refused { operation: "POST /x", approval: id, code: Code::FORBIDDEN };
        let refusals = (0..20).map(|_| bench.service.refusals.record(&caller, refused));
        futures_util::future::join_all(refusals).await.into_iter().for_each(|kept| kept.unwrap());
    }
    let entries = bench.service.ledger.head().await.unwrap().entries;
    assert!(entries > 1_020, "{entries}");
    let receipt = bench.service.audit.receipt(id).await.unwrap();
    assert!(receipt.contains("approval_decided") && !receipt.contains("mallory"), "{receipt}");
}

#[tokio::test]
async fn a_receipt_verifies_for_any_context() {
    let bench = Bench::new().await;
    let long = "9".repeat(4_300);
    for number in ["1", "0.1", "-0.0", "1e-320", "18446744073709551616", &long] {
        let context = format!(r#"{{"number": {number}, "deep": [[[{{"also": {number}}}]]]}}"#);
        let request = NewApproval { context, ..new(600) };
        let reply = bench.service.approvals.request(&Caller::local(), request, None).await.unwrap();
        let id = reply.body.split('"').find_map(ApprovalId::parse);
        let receipt = bench.service.audit.receipt(id).await.unwrap();
        let profiles = ["v1", "v2"].map(str::to_owned);
        let args = ReceiptArgs {
            receipt: &receipt,
            log_keys: &[],
            id: None,
            audience: None,
            accepted: Accepted { keys: &[], profiles: &profiles },
            checkpoint: None,
            consistency: &[],
        };
        let verified = Report::of(&bench.service.verifier.current(), &args);
        assert!(verified.is_ok(), "{number}: {verified:?}");
    }
}

/// A store whose commits fail.
struct Double {
    inner: Arc<dyn Store>,
    fault: Fault,
}

enum Fault {
    /// Every other commit conflicts.
    Conflicts(AtomicUsize),
    /// Every commit fails.
    Stopped,
}

#[async_trait]
impl Store for Double {
    async fn commit(&self, change: Change) -> Result<Commit, StoreError> {
        let new = !matches!(&change.approval, Some(Version { base: Base::Entry(_), .. }));
        match &self.fault {
            Fault::Stopped => Err(StoreError::Stopped("no space left on device".to_owned())),
            Fault::Conflicts(count) if !new && count.fetch_add(1, Ordering::SeqCst) % 2 == 0 => {
                Ok(Commit::Conflict)
            }
            Fault::Conflicts(_) => self.inner.commit(change).await,
        }
    }

    async fn load(&self, id: &ApprovalId, texts: WithTexts) -> Result<Option<Stored>, StoreError> {
        self.inner.load(id, texts).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Stored>, StoreError> {
        self.inner.list(query).await
    }

    async fn due(&self, now: u64, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.inner.due(now, limit).await
    }

    async fn with_prefix(&self, prefix: &str, limit: usize) -> Result<Vec<ApprovalId>, StoreError> {
        self.inner.with_prefix(prefix, limit).await
    }

    async fn entries(&self, after: u64, limit: usize) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries(after, limit).await
    }

    async fn entries_about(
        &self,
        about: About,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.inner.entries_about(about, after, limit).await
    }

    async fn hashes(&self, positions: &[u64]) -> Result<Vec<Hash>, StoreError> {
        self.inner.hashes(positions).await
    }

    async fn approvals(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        self.inner.approvals(after, limit).await
    }

    async fn unfinished(
        &self,
        after: Option<ApprovalId>,
        limit: usize,
    ) -> Result<Vec<ApprovalId>, StoreError> {
        self.inner.unfinished(after, limit).await
    }

    async fn pending_among(&self, ids: &[ApprovalId]) -> Result<HashSet<ApprovalId>, StoreError> {
        self.inner.pending_among(ids).await
    }

    async fn row(&self, kind: RowKind, id: &str) -> Result<Option<Row>, StoreError> {
        self.inner.row(kind, id).await
    }

    async fn row_ids(
        &self,
        kind: RowKind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.row_ids(kind, after, limit).await
    }

    async fn blob(&self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.blob(digest).await
    }

    async fn answer(&self, scope: &Scope) -> Result<Option<Answer>, StoreError> {
        self.inner.answer(scope).await
    }

    async fn forget_answers(&self, before: u64, limit: usize) -> Result<usize, StoreError> {
        self.inner.forget_answers(before, limit).await
    }

    fn observe(&self, observer: Observer) {
        self.inner.observe(observer);
    }

    async fn copy(&self) -> Result<Copied, StoreError> {
        self.inner.copy().await
    }

    async fn compact(&self) -> Result<Compacted, StoreError> {
        self.inner.compact().await
    }

    fn owes_compaction(&self) -> bool {
        self.inner.owes_compaction()
    }

    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await
    }
}

/// The last connections are for admins and health checks.
#[tokio::test]
async fn over_a_reserved_connection_only_admins_call() {
    use axum::body::Body;
    use axum::http::{Request, header};
    use tower::ServiceExt;

    use crate::api::{App, Connection, Origin};

    let bench = Bench::new().await;
    let token = async |subject: &str, role| {
        let new = crate::identity::NewToken {
            subject: subject.to_owned(),
            roles: vec![role],
            agents: None,
            expires_in_seconds: None,
        };
        let made = bench.service.tokens.create(&Caller::system(), new, None).await.unwrap();
        let made: Value = serde_json::from_str(&made.body).unwrap();
        made["token"].as_str().unwrap().to_owned()
    };
    let admin = token("admin@company.com", Role::Admin).await;
    let auditor = token("auditor@company.com", Role::Auditor).await;
    let (_stop, stopping) = tokio::sync::watch::channel(false);
    let service = Arc::new(bench.service);
    let router = crate::api::router(App::new(service, Arc::default(), stopping, Origin::Network));
    let status = async |path: &str, token: Option<&str>, is_reserved| {
        let mut request = Request::get(path).header(header::HOST, "localhost");
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(Connection::new(None, is_reserved));
        let answer = router.clone().oneshot(request).await.unwrap();
        (answer.status().as_u16(), answer.headers().get(header::CONNECTION).is_some())
    };
    let keys = "/api/v1/keys";
    assert_eq!(status(keys, Some(&auditor), false).await, (200, false));
    assert_eq!(status(keys, Some(&auditor), true).await, (429, true));
    assert_eq!(status(keys, Some(&admin), true).await, (200, false));
    assert_eq!(status("/healthz", None, true).await, (200, false));
    assert_eq!(status(keys, None, true).await, (401, false));
}
