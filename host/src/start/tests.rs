//! The checks of a start on a temporary store, with a manual clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::{Accepted, Start, StartError, Started};
use crate::approvals::NewApproval;
use crate::caller::Caller;
use crate::clock::ManualClock;
use crate::code::Code;
use crate::config::Config;
use crate::engine::{Allocation, Cache, Loader};
use crate::id::ApprovalId;
use crate::keys::trust;
use crate::keys::{KeySource, Keys, make_keyring};
use crate::service::Service;
use crate::settings::Listener;
use crate::start::{WitnessError, WitnessFile};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, Trust, WithTexts};
use crate::verifier::Verifier;

const NOW: u64 = 1_760_697_000;
const DAY: u64 = 86_400;
const LISTENER: Listener = Listener { loopback: true, tls: false, behind_proxy: false };

/// A folder with a store and a keyring.
struct Deployment {
    folder: tempfile::TempDir,
    keys: Arc<KeySource>,
}

/// A service over its store, before or after its start.
struct Opened {
    service: Service,
    clock: Arc<ManualClock>,
    trust: Trust,
    store: Arc<RedbStore>,
}

impl Deployment {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keys.json");
        make_keyring(&keyring).unwrap();
        let keys = Arc::new(KeySource::fixed(Keys::load(&keyring).unwrap()));
        Self { folder, keys }
    }

    fn witness(&self) -> WitnessFile {
        WitnessFile::at(self.folder.path().join("witness"))
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.redb")
    }

    async fn open(&self, now: u64) -> Opened {
        self.open_with(now, trust(&self.keys)).await
    }

    async fn open_with(&self, now: u64, trust: Trust) -> Opened {
        let clock = Arc::new(ManualClock::at(now));
        let mode = OpenMode::Create { audience: "tests".to_owned() };
        let store = RedbStore::open(&self.path(), mode, CheckIntegrity::No, trust.clone());
        let store = Arc::new(store.unwrap());
        let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-cache");
        let loader = Loader::new(Allocation::OnDemand, Cache::at(cache));
        let service = Service::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Verifier::embedded(loader.allocation(), loader.cache()).unwrap(),
            loader,
            Arc::clone(&self.keys),
            clock.clone(),
            Config::default(),
        );
        Opened { service: service.await.unwrap(), clock, trust, store }
    }

    /// Starts once at a time, and requests an approval.
    async fn used(&self, now: u64) -> Option<ApprovalId> {
        let opened = self.open(now).await;
        opened.start(Accepted::default()).await.unwrap();
        let id = opened.request().await;
        opened.store.close();
        id
    }
}

impl Opened {
    async fn start(&self, accept: Accepted) -> Result<Started, StartError> {
        self.start_with(None, false, accept).await
    }

    async fn start_with(
        &self,
        witness: Option<&WitnessFile>,
        new_witness: bool,
        accept: Accepted,
    ) -> Result<Started, StartError> {
        let trust = &self.trust;
        self.service
            .start
            .start(Start { listener: LISTENER, witness, new_witness, accept, trust })
            .await
    }

    async fn request(&self) -> Option<ApprovalId> {
        let new = NewApproval {
            agent: "inbox_triage".to_owned(),
            action: "quarantine".to_owned(),
            context: "{}".to_owned(),
            plan: None,
            reason: None,
            expires_in_seconds: Some(7 * 86_400),
            requirement: None,
        };
        let reply = self.service.approvals.request(&Caller::local(), new, None).await.unwrap();
        let approval: Value = serde_json::from_str(&reply.body).unwrap();
        ApprovalId::parse(approval["id"].as_str().unwrap())
    }

    async fn refused(&self) -> Code {
        self.service.ledger.now_to_write().unwrap_err().code
    }

    /// The events of the log, in order.
    async fn events(&self) -> Vec<String> {
        let entries = self.store.entries(0, 1_000).await.unwrap();
        let event = |text: &str| {
            let entry: Value = serde_json::from_str(text).unwrap();
            entry["event"]["event"].as_str().unwrap().to_owned()
        };
        entries.iter().map(|entry| event(&entry.text)).collect()
    }
}

#[tokio::test]
async fn a_clock_that_gains_on_the_monotonic_clock_stops_writes_until_it_is_corrected() {
    let deployment = Deployment::new();
    let opened = deployment.open(NOW).await;
    opened.start(Accepted::default()).await.unwrap();
    // Both clocks advance together, even by days.
    opened.clock.set(NOW + 10 * DAY);
    opened.request().await;
    opened.clock.jump(NOW + 10 * DAY + 60);
    opened.request().await;
    opened.clock.jump(NOW + 10 * DAY + 61);
    assert_eq!(opened.refused().await, Code::CLOCK_AHEAD);
    assert_eq!(opened.service.ready().await.unwrap_err().code, Code::CLOCK_AHEAD);
    assert_eq!(opened.service.sweep().await.unwrap_err().code, Code::CLOCK_AHEAD);
    opened.clock.jump(NOW + 10 * DAY + 60);
    opened.request().await;
    // Small steps add up.
    for step in 1..=6 {
        opened.clock.jump(NOW + 10 * DAY + 60 + step * 10);
    }
    assert_eq!(opened.refused().await, Code::CLOCK_AHEAD);
}

#[tokio::test]
async fn a_running_server_records_the_time_once_a_day() {
    let deployment = Deployment::new();
    let opened = deployment.open(NOW).await;
    opened.start(Accepted::default()).await.unwrap();
    let before = opened.events().await.len();
    opened.clock.set(NOW + DAY - 1);
    opened.service.sweep().await.unwrap();
    assert_eq!(opened.events().await.len(), before);
    opened.clock.set(NOW + DAY);
    for _ in 0..3 {
        opened.service.sweep().await.unwrap();
    }
    assert_eq!(opened.events().await[before..], ["clock_recorded"]);
    // So a server that runs for months never needs a confirmed clock.
    for day in 2..=65 {
        opened.clock.set(NOW + day * DAY);
        opened.service.sweep().await.unwrap();
    }
    assert_eq!(opened.events().await.len(), before + 65);
    assert!(opened.service.ledger.now_to_write().is_ok());
}

#[tokio::test]
async fn a_start_long_after_the_last_entry_is_refused_and_writes_nothing() {
    let deployment = Deployment::new();
    deployment.used(NOW).await;
    let opened = deployment.open(NOW + 30 * DAY).await;
    opened.start(Accepted::default()).await.unwrap();
    opened.store.close();
    let opened = deployment.open(NOW + 30 * DAY + 1).await;
    let before = opened.events().await;
    assert!(matches!(opened.start(Accepted::default()).await, Err(StartError::Clock(_))));
    assert_eq!(opened.refused().await, Code::CLOCK_AHEAD);
    assert_eq!(opened.events().await, before);
    opened.start(Accepted { clock: true, ..Accepted::default() }).await.unwrap();
    assert_eq!(opened.events().await[before.len()..], ["clock_accepted", "approval_expired"]);
    assert!(opened.service.ledger.now_to_write().is_ok());
}

/// The last entry signs the head, so an interrupted start must be accepted again.
#[tokio::test]
async fn an_unsigned_store_is_signed_after_all_its_approvals_ended() {
    let deployment = Deployment::new();
    let opened = deployment.open_with(NOW, Trust::none()).await;
    let id = opened.request().await;
    opened.store.close();
    let for_now = || trust(&deployment.keys).accepting_unsigned_for_now();
    let opened = deployment.open_with(NOW, for_now()).await;
    opened.service.approvals.end_unfinished().await.unwrap();
    assert!(!opened.store.head().await.unwrap().signed, "cut short here");
    opened.store.close();
    let opened = deployment.open_with(NOW, for_now()).await;
    let started = opened.start(Accepted::default()).await.unwrap();
    assert_eq!(started.ended_unsigned, Some(0));
    assert!(opened.store.head().await.unwrap().signed);
    assert_eq!(opened.events().await.last().unwrap(), "unsigned_accepted");
    let shown = opened.service.approvals.show(id, WithTexts::No).await.unwrap();
    assert!(shown.contains("\"status\":\"expired\""), "{shown}");
}

#[tokio::test]
async fn a_service_without_a_start_writes_nothing_without_the_witness() {
    let deployment = Deployment::new();
    let file = deployment.witness();
    let opened = deployment.open(NOW).await;
    let missing = opened.start_with(Some(&file), false, Accepted::default()).await;
    assert!(matches!(missing, Err(StartError::Witness(WitnessError::Missing { .. }))));
    assert!(opened.events().await.is_empty());
    let started = opened.start_with(Some(&file), true, Accepted::default()).await.unwrap();
    assert!(started.witness.is_some());
    opened.store.close();
    let opened = deployment.open(NOW).await;
    assert_eq!(opened.refused().await, Code::STORE_UNAVAILABLE);
    assert!(matches!(opened.start(Accepted::default()).await, Err(StartError::NoWitness)));
    assert_eq!(opened.refused().await, Code::STORE_UNAVAILABLE);
    assert!(opened.service.start.attend_recorded_witness().await.unwrap().is_some());
    opened.request().await;
}
