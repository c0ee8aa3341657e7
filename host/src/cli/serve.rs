//! `signoff serve`: the HTTP API over a store file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
use crate::server::{self, Exposure, Tls};
use crate::service::Service;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};

/// How often time's changes are stored.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct ServeArgs {
    /// The address to listen on; another than loopback needs tokens and an encrypted way
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// The certificate to speak TLS with, PEM, its issuers after it; SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A reverse proxy terminates TLS in front of this server
    #[arg(long)]
    behind_proxy: bool,
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
    let tls = args.tls()?;
    let exposure = Exposure { tokens: false, tls: tls.is_some(), behind_proxy: args.behind_proxy };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = server::bind(args.listen, exposure).await?;
        // Before the address is told: whoever knows it may also end the server.
        let interruption = interruption()?;
        on_hangup(Files { tls: tls.clone() })?;
        let running = Running::start(store, &args.audience, keys, listener, tls).await?;
        running.announce(global.json, store);
        if !args.quiet {
            tokio::spawn(tell(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

impl ServeArgs {
    fn tls(&self) -> Result<Option<Tls>, Failure> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(Tls::load(certificate, key)?)),
            (Some(_), None) => Err(Failure::usage(
                "--tls-cert needs --tls-key: give the file of the certificate's private key",
            )),
            (None, Some(_)) => Err(Failure::usage(
                "--tls-key needs --tls-cert: give the file of the key's certificate",
            )),
        }
    }
}

/// A server at work: the listener, the sweeper, and the way to stop them.
pub(super) struct Running {
    pub(super) url: String,
    tls: Option<Tls>,
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
        tls: Option<Tls>,
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
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self {
            url: format!("{scheme}://{}", listener.local_addr()?),
            sweeper: tokio::spawn(sweep(Arc::clone(&service), stopping.clone())),
            server: tokio::spawn(server::serve(listener, tls.clone(), router, metrics, stopping)),
            tls,
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
            let facts = json!({
                "url": self.url,
                "store": store,
                "keys": keys,
                "verifier": verifier,
                "certificate": self.tls.as_ref().map(Tls::fingerprint),
            });
            output::line(&facts.to_string());
            return;
        }
        output::line(&format!("signoff serves {}", self.url));
        output::line(&format!("store     {}", store.display()));
        output::line(&format!("keys      {}", keys.join(", ")));
        output::line(&format!("verifier  {verifier}"));
        if let Some(tls) = &self.tls {
            // What to try depends on who issued the certificate, and for which name.
            output::line(&format!("TLS       certificate {}", tls.fingerprint()));
            return;
        }
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

/// What a server reads from files again when it is told to.
struct Files {
    tls: Option<Tls>,
}

impl Files {
    /// Reads everything again and says what came of it; what is broken stays as it was.
    fn read_again(&self) {
        match self.tls.as_ref().map(|tls| (tls, tls.reload())) {
            None => {}
            Some((tls, Ok(()))) => {
                output::note(&format!("TLS certificate read again: {}", tls.fingerprint()));
            }
            Some((tls, Err(e))) => {
                output::note(&format!("{e}; the certificate {} stays", tls.fingerprint()));
            }
        }
    }
}

/// Watches for SIGHUP from now on, and reads files again at each.
fn on_hangup(files: Files) -> Result<()> {
    let mut hangups = signal(SignalKind::hangup()).context("cannot watch for SIGHUP")?;
    let files = Arc::new(files);
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            let files = Arc::clone(&files);
            // One after the other: two at a time could leave the older of two certificates.
            let _ = tokio::task::spawn_blocking(move || files.read_again()).await;
        }
    });
    Ok(())
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
