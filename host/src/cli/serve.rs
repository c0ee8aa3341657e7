//! `signoff serve`: the HTTP API over a store file.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::transport::{AUDIENCE_DEFAULT, Target};
use super::{Exit, Global, exit::Failure, output};
use crate::api::{self, App, Hosts, Metrics};
use crate::clock::SystemClock;
use crate::engine::{Allocation, Cache, Verifier};
use crate::keys::Keys;
use crate::server;
use crate::service::Service;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};

/// How often time's changes are stored.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address to listen on; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// The deployment's name, if the store is made now
    #[arg(long, default_value = AUDIENCE_DEFAULT)]
    audience: String,
    /// Print no line an event
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage("serve works on a store file; it takes no --server"));
    };
    let keys = Keys::load(&global.keyring())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = server::bind(args.listen).await?;
        // Before the address is told: whoever knows it may also end the server.
        let interruption = interruption()?;
        let running = Running::start(store, &args.audience, keys, listener).await?;
        running.announce(global.json, store);
        if !args.quiet {
            tokio::spawn(tell(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

/// A server at work: the listener, the sweeper, and the way to stop them.
pub(super) struct Running {
    pub(super) url: String,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    sweeper: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(super) async fn start(
        path: &Path,
        audience: &str,
        keys: Keys,
        listener: TcpListener,
    ) -> Result<Self> {
        let mode = OpenMode::Create { audience: audience.to_owned() };
        let store = RedbStore::open(path, mode, CheckIntegrity::Yes)?;
        let verifier = Verifier::embedded(Allocation::Pooled, &Cache::of_user())?;
        let service = Service::new(Arc::new(store), verifier, keys, Arc::new(SystemClock)).await?;
        let service = Arc::new(service);
        let (stop, stopping) = watch::channel(false);
        let metrics = Arc::<Metrics>::default();
        let router = api::router(App {
            service: Arc::clone(&service),
            metrics: Arc::clone(&metrics),
            stopping: stopping.clone(),
            hosts: Hosts::Loopback,
        });
        Ok(Self {
            url: format!("http://{}", listener.local_addr()?),
            sweeper: tokio::spawn(sweep(Arc::clone(&service), stopping.clone())),
            server: tokio::spawn(server::serve(listener, router, metrics, stopping)),
            service,
            stop,
        })
    }

    /// Ends waits and streams, lets what was accepted finish, and closes the store.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.server.await;
        let _ = self.sweeper.await;
    }

    fn announce(&self, json: bool, store: &Path) {
        let keys: Vec<&str> = self.service.keys().ids().collect();
        let verifier = self.service.verifier().digest();
        if json {
            let facts =
                json!({ "url": self.url, "store": store, "keys": keys, "verifier": verifier });
            output::line(&facts.to_string());
            return;
        }
        output::line(&format!("signoff serves {}", self.url));
        output::line(&format!("store     {}", store.display()));
        output::line(&format!("keys      {}", keys.join(", ")));
        output::line(&format!("verifier  {verifier}"));
        output::line(&format!(
            "try       curl -s {}/api/v1/approvals -H 'Content-Type: application/json' -d '{{\"agent\":\"demo\",\"action\":\"deploy\",\"context\":{{\"version\":\"1.2.3\"}},\"reason\":\"try it\"}}'",
            self.url
        ));
    }
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

/// Prints a line an audit entry, as long as somebody reads.
async fn tell(service: Arc<Service>, json: bool) {
    #[derive(Deserialize)]
    struct Told {
        event: String,
        at: String,
        approval_id: String,
        agent: String,
        action: String,
        to: String,
        actor: Option<String>,
    }
    let mut newest = service.watchers().of_entries();
    let mut after = *newest.borrow_and_update();
    while newest.changed().await.is_ok() {
        newest.borrow_and_update();
        while let Ok(entries) = service.entries(after, 256).await {
            let Some(last) = entries.last() else { break };
            after = last.number;
            for entry in &entries {
                let line = if json {
                    format!("{{\"number\":{},\"entry\":{}}}", entry.number, entry.text)
                } else if let Ok(told) = serde_json::from_str::<Told>(&entry.text) {
                    let by = told.actor.map(|actor| format!(" by {actor}")).unwrap_or_default();
                    format!(
                        "{} {} {} {}/{} {}{by}",
                        told.at, told.event, told.approval_id, told.agent, told.action, told.to
                    )
                } else {
                    continue;
                };
                if !output::told(&line) {
                    return;
                }
            }
        }
    }
}

/// Watches for SIGINT and SIGTERM from now on, and resolves at the first.
pub(super) fn interruption() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
