//! A server at work: what it is made of, how it starts and how it stops.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::api::{self, App, Hosts, Metrics};
use crate::cli::output;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::core_dump;
use crate::engine::{Allocation, Cache, Compiler, Loader};
use crate::keys::KeySource;
use crate::server::{self, Tls};
use crate::service::{self, Service};
use crate::store::Store;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::witness::{WitnessError, WitnessFile};

/// How often time's changes are stored.
const SWEEP: Duration = Duration::from_secs(1);

/// What a server is made of.
pub(in crate::cli) struct Setup<'a> {
    pub(in crate::cli) store: &'a Path,
    pub(in crate::cli) audience: &'a str,
    pub(in crate::cli) keys: Arc<KeySource>,
    pub(in crate::cli) config: Config,
    pub(in crate::cli) witness: Option<Witnessed>,
    pub(in crate::cli) tls: Option<Tls>,
}

/// A witness, and what to do with a store that does not extend it.
pub(in crate::cli) struct Witnessed {
    pub(super) file: WitnessFile,
    pub(super) accept_rollback: bool,
}

/// A server at work: the listener, the sweeper, the shadow, and the way to stop them.
pub(in crate::cli) struct Running {
    pub(in crate::cli) url: String,
    pub(super) tls: Option<Tls>,
    pub(super) service: Arc<Service>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    sweeper: tokio::task::JoinHandle<()>,
    shadow: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(in crate::cli) async fn start(setup: Setup<'_>, listener: TcpListener) -> Result<Self> {
        let mode = OpenMode::Create { audience: setup.audience.to_owned() };
        let store = Arc::new(RedbStore::open(
            setup.store,
            mode,
            CheckIntegrity::Yes,
            service::trust(&setup.keys),
        )?);
        let loader = Loader::with(Allocation::Pooled, Cache::of_user(), Compiler::Apart);
        let verifier = loader.embedded()?;
        loader.policies()?;
        // Not before: a pool opens a file of `/proc/self` that only root can open after this.
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
        if let Some(witnessed) = &setup.witness {
            attend(&service, &store, witnessed).await?;
        }
        service.recorded_keys().await?;
        let service = Arc::new(service);
        let (stop, stopping) = watch::channel(false);
        let metrics = Arc::<Metrics>::default();
        let router = api::router(App {
            service: Arc::clone(&service),
            metrics: Arc::clone(&metrics),
            stopping: stopping.clone(),
            hosts: Hosts::Loopback,
        });
        let scheme = if setup.tls.is_some() { "https" } else { "http" };
        Ok(Self {
            url: format!("{scheme}://{}", listener.local_addr()?),
            sweeper: tokio::spawn(sweep(Arc::clone(&service), stopping.clone())),
            shadow: tokio::spawn({
                let (service, stopping) = (Arc::clone(&service), stopping.clone());
                async move { service.shadow(stopping).await }
            }),
            server: tokio::spawn(server::serve(
                listener,
                setup.tls.clone(),
                router,
                metrics,
                stopping,
            )),
            tls: setup.tls,
            service,
            stop,
        })
    }

    /// Ends waits and streams, lets what was accepted finish, and closes the store.
    pub(in crate::cli) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.server.await;
        let _ = self.sweeper.await;
        let _ = self.shadow.await;
    }
}

/// Refuses a store that went back in time, and has every commit witnessed from now on.
async fn attend(service: &Service, store: &RedbStore, witnessed: &Witnessed) -> Result<()> {
    let Witnessed { file, accept_rollback } = witnessed;
    match service.extends(file).await {
        Err(WitnessError::RolledBack { .. }) if *accept_rollback => {
            let ended = service.accept_rollback(file).await?;
            output::note(&format!(
                "the store went back in time, and that was accepted: {ended} unfinished approvals expired; tokens that were made since are gone, and what was revoked since counts again: look at `signoff token list`, and at `signoff key list` if the keyring went back too"
            ));
        }
        extends => extends?,
    }
    store.watch_with(service.witness(file).await?);
    Ok(())
}

/// Stores what time does, once a second.
async fn sweep(service: Arc<Service>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        let failed = service.sweep().await.err();
        if failed.is_some() && failed != told {
            let why = failed.as_ref().map(ToString::to_string).unwrap_or_default();
            output::note(&format!("sweeping: {why}"));
        }
        told = failed;
    }
}
