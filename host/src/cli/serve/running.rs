//! A running server: its parts, start and shutdown.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use signoff_core::deceptive::in_one_line;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::Opened;
use super::certificates::Certificates;
use crate::api::{self, App, Metrics, Origin};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::core_dump;
use crate::engine::{Allocation, Cache, Compiler, Loader};
use crate::keys::{KeySource, variable_with_newline};
use crate::server::{self, Tls};
use crate::service::Service;
use crate::settings::Listener;
use crate::start::WitnessFile;
use crate::start::{Accepted, Start, Started};
use crate::store::Store;
use crate::verifier::Verifier;

/// Interval of the expiry sweep.
const SWEEP: Duration = Duration::from_secs(1);
/// Ballots by lost keys that are named at a start.
const LOST_KEYS_SHOWN: usize = 10;

/// The parts of a server.
pub(in crate::cli) struct Setup<'a> {
    pub(in crate::cli) opened: Opened,
    pub(in crate::cli) keys: Arc<KeySource>,
    pub(in crate::cli) config: Config,
    pub(in crate::cli) start: StartArgs<'a>,
    pub(in crate::cli) tls: Option<Tls>,
}

/// The arguments of a start.
pub(in crate::cli) struct StartArgs<'a> {
    pub(in crate::cli) listener: Listener,
    pub(in crate::cli) witness: Option<&'a WitnessFile>,
    pub(in crate::cli) new_witness: bool,
    pub(in crate::cli) accept: Accepted,
}

/// A running server: the listener, the sweeper and the shadow, and a handle to stop them.
pub(in crate::cli) struct Running {
    pub(in crate::cli) url: String,
    /// Where else clients reach it.
    pub(super) further: Vec<String>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) service: Arc<Service>,
    /// Why rows are not authenticated, if they are not.
    pub(super) unauthenticated: Option<String>,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    sweeper: tokio::task::JoinHandle<()>,
    shadow: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(in crate::cli) async fn start(
        setup: Setup<'_>,
        listeners: Vec<server::Listener>,
    ) -> Result<Self> {
        let Opened { store, trust, unauthenticated } = setup.opened;
        let loader = Loader::with(Allocation::Pooled, Cache::of_user(), Compiler::Apart);
        let verifier = Verifier::embedded(loader.allocation(), loader.cache())?;
        loader.policies()?;
        // Not earlier: a pool opens a file in `/proc/self` that only root can open after this.
        core_dump::forbid().context("cannot keep this process from dumping core")?;
        let service = Service::new(
            Arc::clone(&store) as Arc<dyn Store>,
            verifier,
            loader,
            setup.keys,
            Arc::new(SystemClock),
            setup.config,
        )
        .await?;
        let StartArgs { listener: listens, witness, new_witness, accept } = setup.start;
        let start = Start { listener: listens, witness, new_witness, accept, trust: &trust };
        let started = service.start.start(start).await?;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            audience = in_one_line(service.ledger.audience()),
            entries = store.head().await?.entries,
            settings = started.settings,
            behind_proxy = listens.behind_proxy,
            "started"
        );
        report_start(&started);
        let metrics = Arc::<Metrics>::default();
        if let Some(witness) = started.witness {
            let entries = store.head().await?.entries;
            store.watch_with(metrics.watching(entries, witness));
        }
        report_lost_keys(&service).await;
        let service = Arc::new(service);
        let (stop, stopping) = watch::channel(false);
        let certificates = setup.tls.clone().map(|tls| {
            let metrics = Arc::clone(&metrics);
            Arc::new(Certificates::loaded(tls, metrics))
        });
        let app =
            App::new(Arc::clone(&service), Arc::clone(&metrics), stopping.clone(), Origin::Network);
        let is_encrypted = setup.tls.is_some() || listens.behind_proxy;
        let app = app.behind_proxy(listens.behind_proxy).encrypted(is_encrypted);
        let router = api::router(app);
        let urls = listeners.iter().map(|listener| listener.url(setup.tls.is_some()));
        let mut urls = urls.collect::<std::io::Result<Vec<_>>>()?.into_iter();
        Ok(Self {
            url: urls.next().context("no address to listen on")?,
            further: urls.collect(),
            sweeper: tokio::spawn(sweep(
                Arc::clone(&service),
                certificates.clone(),
                stopping.clone(),
            )),
            shadow: tokio::spawn({
                let (service, stopping) = (Arc::clone(&service), stopping.clone());
                async move { service.guardrails.compare(stopping).await }
            }),
            server: tokio::spawn(server::serve(
                listeners,
                setup.tls,
                router,
                Arc::clone(&metrics),
                stopping,
            )),
            metrics,
            certificates,
            unauthenticated,
            service,
            stop,
        })
    }

    /// Logs that it accepts calls, and what it serves.
    pub(super) async fn log_ready(&self) {
        let listeners: Vec<&str> =
            [&self.url].into_iter().chain(&self.further).map(String::as_str).collect();
        let verifier = self.service.verifier.current();
        let policy = self.service.modules.policy_slot().await.ok();
        let keys = self.service.keys.current().unwrap_or_default();
        tracing::info!(
            listeners = in_one_line(&listeners.join(",")),
            verifier = verifier.digest(),
            policy = policy.as_ref().and_then(|slot| slot.active.digest()),
            log_key = keys.log_key().map(|key| key.id().to_owned()),
            certificate = self.certificates.as_ref().map(|of| of.fingerprint()),
            "ready"
        );
        if let Some(why) = &self.unauthenticated {
            tracing::warn!(cause = in_one_line(why), "rows of the store are not authenticated");
        }
    }

    /// Ends waits and streams, finishes accepted requests, and closes the store. `cause` is logged.
    pub(in crate::cli) async fn stop(self, cause: &str) {
        tracing::info!(
            signal = cause,
            connections = self.metrics.connections(),
            requests = self.metrics.in_flight(),
            "stopping"
        );
        self.stop.send_replace(true);
        let _ = self.server.await;
        let _ = self.sweeper.await;
        let _ = self.shadow.await;
    }
}

/// Reports what the operator should know about a start.
fn report_start(started: &Started) {
    if let Some(ended) = started.ended_by_clock {
        accepted(&format!(
            "a clock far ahead of the last audit entry was accepted: {ended} unfinished approvals expired"
        ));
    }
    if let Some(ended) = started.ended_by_rollback {
        accepted(&format!(
            "a rolled-back store was accepted: {ended} unfinished approvals expired, and {} tokens were revoked; create new ones with `signoff token create` (on the store file if no admin's token is left: stop the server, then start it as usual). If the keyring was rolled back too, check `signoff key list`",
            started.revoked_by_rollback
        ));
    }
    if let Some(ended) = started.ended_unsigned {
        accepted(&format!(
            "an unsigned store was accepted: {ended} unfinished approvals expired; check `signoff token list`"
        ));
    }
    if !started.weaker_settings.is_empty() {
        accepted(&format!(
            "weaker settings were accepted and recorded in the audit log: {}",
            started.weaker_settings.join("; ")
        ));
    }
    if let Some(why) = &started.clock_behind {
        tracing::error!(cause = in_one_line(why), "nothing can be written");
    }
}

fn accepted(detail: &str) {
    tracing::warn!(detail = in_one_line(detail), "started with an exception");
}

/// Reports secrets that rarely are meant so, and approvals that can no longer be claimed.
async fn report_lost_keys(service: &Service) {
    if let Some(name) = variable_with_newline() {
        let detail = format!("{name} ends with a line feed, which is part of the secret");
        tracing::warn!(detail, "suspect secret");
    }
    let lost = service.approvals.with_lost_keys().await.unwrap_or_default();
    for lost in lost.iter().take(LOST_KEYS_SHOWN) {
        tracing::warn!(detail = in_one_line(&lost.to_string()), "ballot by a lost key");
    }
    if lost.len() > LOST_KEYS_SHOWN {
        let detail =
            format!("{} ballots are by lost keys; `signoff doctor` has more of them", lost.len());
        tracing::warn!(detail, "ballots by lost keys");
    }
}

/// Stores due expiries and reports certificates that expire, once a second.
async fn sweep(
    service: Arc<Service>,
    certificates: Option<Arc<Certificates>>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Some(certificates) = &certificates {
            certificates.report_new();
        }
        let failed = service.sweep().await.err();
        let code = failed.as_ref().map(|refusal| refusal.code);
        // Once per cause, compared by code: the message may contain a number of seconds.
        if let Some(refusal) = failed.filter(|_| code != reported) {
            let cause = in_one_line(&refusal.to_string());
            tracing::error!(code = refusal.code.text, cause, "expiry sweep failed");
        }
        reported = code;
    }
}
