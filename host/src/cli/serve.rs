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
use crate::config::Config;
use crate::core_dump;
use crate::engine::{Allocation, Cache, Compiler, Loader};
use crate::keys::KeySource;
use crate::server::{self, Exposure, Tls};
use crate::service::{self, Active, Service};
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{Store, StoreError, Trust};
use crate::verifier::Verifier;
use crate::witness::{WitnessError, WitnessFile};

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
    /// A reverse proxy terminates TLS in front of this server; needs tokens, also on loopback
    #[arg(long)]
    behind_proxy: bool,
    /// The deployment's name, if the store is made now
    #[arg(long, default_value = AUDIENCE_DEFAULT)]
    audience: String,
    /// Keep the last checkpoint of the audit in this file, outside the store: a store that does not
    /// extend it does not start
    #[arg(long, value_name = "PATH")]
    witness: Option<PathBuf>,
    /// Start with a store that does not extend its witness, and expire every unfinished approval
    #[arg(long, requires = "witness")]
    accept_rollback: bool,
    /// Print no line an event
    #[arg(long, short)]
    quiet: bool,
}

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage("serve works on a store file; it takes no --server"));
    };
    let config = global.config()?;
    let keys = global.key_source(&config);
    // Before anything is made: a server without keys is none.
    keys.load()?;
    let tls = args.tls()?;
    let witness = args.witness.as_ref().map(|path| Witnessed {
        file: WitnessFile::at(path),
        accept_rollback: args.accept_rollback,
    });
    let audience = &args.audience;
    let trust = service::trust(&keys);
    let setup = Setup { store, audience, keys, config, witness, tls: tls.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = server::bind(args.listen, args.exposure(store, trust).await?).await?;
        // Before the address is told: whoever knows it may also end the server.
        let interruption = interruption()?;
        let running = Running::start(setup, listener).await?;
        on_hangup(Files { tls, service: Arc::clone(&running.service) })?;
        running.announce(global.json, store).await;
        if !args.quiet {
            tokio::spawn(tell(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

/// What a server is made of.
pub(super) struct Setup<'a> {
    pub(super) store: &'a Path,
    pub(super) audience: &'a str,
    pub(super) keys: Arc<KeySource>,
    pub(super) config: Config,
    pub(super) witness: Option<Witnessed>,
    pub(super) tls: Option<Tls>,
}

/// A witness, and what to do with a store that does not extend it.
pub(super) struct Witnessed {
    file: WitnessFile,
    accept_rollback: bool,
}

impl ServeArgs {
    /// What makes it safe to listen elsewhere than on loopback. Whether tokens are required only
    /// the store knows.
    async fn exposure(&self, store: &Path, trust: Trust) -> Result<Exposure> {
        let tokens = (self.behind_proxy || !self.listen.ip().is_loopback())
            && match RedbStore::open(store, OpenMode::Read, CheckIntegrity::No, trust) {
                Err(StoreError::Missing(_)) => false,
                store => service::tokens_required(&store?).await?,
            };
        let tls = self.tls_cert.is_some();
        Ok(Exposure { tokens, tls, behind_proxy: self.behind_proxy })
    }

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

/// A server at work: the listener, the sweeper, the shadow, and the way to stop them.
pub(super) struct Running {
    pub(super) url: String,
    tls: Option<Tls>,
    service: Arc<Service>,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
    sweeper: tokio::task::JoinHandle<()>,
    shadow: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(super) async fn start(setup: Setup<'_>, listener: TcpListener) -> Result<Self> {
        let mode = OpenMode::Create { audience: setup.audience.to_owned() };
        let store = Arc::new(RedbStore::open(
            setup.store,
            mode,
            CheckIntegrity::Yes,
            service::trust(&setup.keys),
        )?);
        let loader = Loader::with(Allocation::Pooled, Cache::of_user(), Compiler::Apart);
        let verifier = Verifier::embedded(loader.allocation(), loader.cache())?;
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
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.server.await;
        let _ = self.sweeper.await;
        let _ = self.shadow.await;
    }

    async fn announce(&self, json: bool, store: &Path) {
        let keys = self.service.keys().unwrap_or_default();
        let keys: Vec<&str> = keys.ids().collect();
        let verifier = self.service.verifier();
        let verifier = verifier.digest();
        let policy = self.service.policy_slot().await.map(|slot| slot.active);
        if json {
            let facts = json!({
                "url": self.url,
                "store": store,
                "keys": keys,
                "verifier": verifier,
                "policy": policy.as_ref().ok().and_then(Active::digest),
                "certificate": self.tls.as_ref().map(Tls::fingerprint),
            });
            output::line(&facts.to_string());
            return;
        }
        output::line(&format!("signoff serves {}", self.url));
        output::line(&format!("store     {}", store.display()));
        output::line(&format!("keys      {}", keys.join(", ")));
        output::line(&format!("verifier  {verifier}"));
        output::line(&format!(
            "policy    {}",
            policy.as_ref().map_or_else(ToString::to_string, told)
        ));
        if let Some(tls) = &self.tls {
            // What to try depends on who issued the certificate, and for which name.
            output::line(&format!("TLS       certificate {}", tls.fingerprint()));
            return;
        }
        let token = match self.service.tokens_required().await {
            Ok(true) => "-H \"Authorization: Bearer $SIGNOFF_TOKEN\" ",
            _ => "",
        };
        output::line(&format!(
            "try       curl -s {}/api/v1/approvals {token}-H 'Content-Type: application/json' -d '{{\"agent\":\"demo\",\"action\":\"deploy\",\"context\":{{\"version\":\"1.2.3\"}},\"reason\":\"try it\"}}'",
            self.url
        ));
    }
}

/// What decides about actions, in one line.
fn told(policy: &Active) -> String {
    match policy {
        Active::Empty => "none: every action requires approval".to_owned(),
        Active::Policy(policy) => policy.digest().to_owned(),
        Active::Broken { digest, why } => format!("{digest} answers nothing: {why}"),
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

/// What a line tells of an audit entry.
#[derive(Deserialize)]
struct Told {
    at: String,
    event: ToldEvent,
}

#[derive(Deserialize)]
struct ToldEvent {
    event: String,
    approval_id: Option<String>,
    agent: Option<String>,
    action: Option<String>,
    to: Option<String>,
    key_id: Option<String>,
    token_id: Option<String>,
    code: Option<String>,
    actor: Option<String>,
}

impl Told {
    fn line(self) -> String {
        let event = self.event;
        let names =
            event.agent.zip(event.action).map(|(agent, action)| format!("{agent}/{action}"));
        let parts = [event.approval_id, event.key_id, event.token_id, names, event.to, event.code];
        let told: Vec<String> = parts.into_iter().flatten().collect();
        let by = event.actor.map(|actor| format!(" by {actor}")).unwrap_or_default();
        format!("{} {} {}{by}", self.at, event.event, told.join(" "))
    }
}

/// Prints a line an audit entry, as long as somebody reads.
async fn tell(service: Arc<Service>, json: bool) {
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
                    told.line()
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
    service: Arc<Service>,
}

impl Files {
    /// Reads keys again and says what came of it. Keys that cannot be read decide nothing until they
    /// can be.
    async fn read_keys_again(&self) {
        match self.service.reload_keys().await {
            Ok(()) => output::note("keys read again"),
            Err(refusal) => {
                output::note(&format!("{refusal}; nothing is decided until this is mended"));
            }
        }
    }

    /// Reads the certificate again and says what came of it; a broken one leaves the old.
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
            let certificates = Arc::clone(&files);
            let _ = tokio::task::spawn_blocking(move || certificates.read_again()).await;
            files.read_keys_again().await;
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
