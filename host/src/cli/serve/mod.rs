//! `signoff serve`: serves the HTTP API over a store file.

mod announce;
mod certificates;
mod events;
mod health;
mod opening;
mod running;
mod service_manager;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use self::opening::KeyringFile;
use self::service_manager::ServiceManager;
use self::signals::Files;
use super::transport::{AUDIENCE_DEFAULT, Target};
use super::{Exit, Global, exit::Failure};
use crate::server::{self, Exposure, ListenAddress, Tls};
use crate::settings::Listener;
use crate::start::Accepted;
use crate::start::WitnessFile;
use crate::store::redb::{CheckIntegrity, OpenMode, RedbStore};
use crate::store::{StoreError, Trust};

pub(super) use self::opening::{Opened, not_lost};
pub(super) use self::running::{Running, Setup, StartArgs};
pub(super) use self::signals::interruption;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ServeArgs {
    /// The address to listen on, or unix:PATH for a socket that only this user can connect to; may be
    /// repeated. Addresses other than loopback require tokens, TLS (or --behind-proxy) and a log key
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8787")]
    listen: Vec<ListenAddress>,
    /// The TLS certificate, PEM, followed by its issuers; SIGHUP reloads it
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM, mode 0600
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A reverse proxy terminates TLS in front of this server; requires tokens even on loopback
    #[arg(long)]
    behind_proxy: bool,
    /// The deployment's name, used if the store is created now
    #[arg(long, default_value = AUDIENCE_DEFAULT)]
    audience: String,
    /// Create a missing store even though the keyring has a log key
    #[arg(long)]
    create_store: bool,
    /// Keep the last checkpoint of the audit log in this file, outside the store; a store that does
    /// not extend it does not start. Once used, it is required at every start
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// Create the first witness of this store
    #[arg(long, requires = "witness")]
    new_witness: bool,
    /// Accept a store that does not extend its witness, and expire every unfinished approval
    #[arg(long, requires = "witness")]
    accept_rollback: bool,
    /// Accept a store whose head is not signed by a log key even though the keyring has one, and
    /// expire every unfinished approval
    #[arg(long)]
    accept_unsigned: bool,
    /// Accept settings that are weaker than the recorded ones; the error message shows their digest
    #[arg(long, value_name = "DIGEST")]
    accept_weaker_settings: Option<String>,
    /// Accept a clock more than 30 days after the last audit entry; expires unfinished approvals
    #[arg(long)]
    accept_clock: bool,
    /// Do not print a line per event
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "Examples:
  signoff serve
  signoff serve --listen 127.0.0.1:8787 --listen unix:/run/user/1000/signoff.sock
  signoff serve --listen 0.0.0.0:8443 --tls-cert tls.pem --tls-key tls.key
  signoff serve --witness /mnt/other/checkpoint --new-witness   # the first start with a witness
  signoff serve --witness /mnt/other/checkpoint                 # every later one
  signoff serve --witness /mnt/other/checkpoint --accept-rollback   # after a restore from a backup

What is accepted at a start (--new-witness, --accept-…) is recorded in the audit log.";

pub(super) fn run(args: &ServeArgs, global: &Global, target: &Target) -> Result<Exit, Failure> {
    let Target::Store(store) = target else {
        return Err(Failure::usage(
            "serve works on a store file: leave out --server, and unset SIGNOFF_SERVER",
        ));
    };
    log_to_stderr(global.json);
    let manager = ServiceManager::of_environment();
    let config = global.config()?;
    let keys = global.key_source(&config);
    // Before anything is created: a server cannot run without keys.
    keys.load()?;
    let tls = args.tls()?;
    let witness = args.witness.as_ref().map(WitnessFile::at);
    let keyring = global.keyring();
    let keyring = KeyringFile { path: &keyring, has_command: config.keys.command.is_some() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let trust = args.trust(&keys)?;
        let mut exposure = args.exposure(store, trust.clone()).await?;
        args.listen.iter().try_for_each(|address| exposure.allows(address))?;
        let opened = args.open(store, &keys, &keyring, trust).await?;
        exposure.unauthenticated = opened.unauthenticated.is_some();
        let mut listeners = Vec::new();
        for address in &args.listen {
            listeners.push(server::bind(address, exposure).await?);
        }
        // Before the address is printed: a caller that knows it may stop the server right away.
        let interruption = interruption()?;
        let start = args.started(exposure, witness.as_ref());
        let setup = Setup { opened, keys, config, start, tls };
        let running = Running::start(setup, listeners).await?;
        let certificates = running.certificates.clone();
        let service = Arc::clone(&running.service);
        let health = health::report(manager.clone(), Arc::clone(&service), running.url.clone());
        signals::on_hangup(Files { certificates, service, manager: manager.clone() })?;
        running.announce(global.json, store).await;
        manager.ready().await;
        tokio::spawn(health);
        if !args.quiet {
            tokio::spawn(events::print(Arc::clone(&running.service), global.json));
        }
        interruption.await;
        manager.stopping().await;
        running.stop().await;
        Ok(Exit::Done)
    })
}

/// Writes one line for each failure of the server to stderr; JSON with `--json`.
fn log_to_stderr(json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        // A log that cannot be written must not end a request: the default is to panic.
        .log_internal_errors(false)
        .with_ansi(false);
    // A second server of one process, as in a test, has the first one's.
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.try_init() };
}

impl ServeArgs {
    /// Returns the protections of this server. Whether tokens are required is read from the store.
    async fn exposure(&self, store: &Path, trust: Trust) -> Result<Exposure> {
        let tokens = (self.behind_proxy || !self.is_local())
            && match RedbStore::open(store, OpenMode::Read, CheckIntegrity::No, trust) {
                Err(StoreError::Missing(_)) => false,
                store => crate::identity::tokens_required(&store?).await?,
            };
        let tls = self.tls_cert.is_some();
        Ok(Exposure { tokens, tls, behind_proxy: self.behind_proxy, unauthenticated: false })
    }

    /// Returns whether only this machine reaches the server.
    fn is_local(&self) -> bool {
        self.listen.iter().all(ListenAddress::is_local)
    }

    /// Returns the arguments of the start.
    fn started<'a>(&self, exposure: Exposure, witness: Option<&'a WitnessFile>) -> StartArgs<'a> {
        StartArgs {
            listener: Listener {
                loopback: self.is_local(),
                tls: exposure.tls,
                behind_proxy: exposure.behind_proxy,
            },
            witness,
            new_witness: self.new_witness,
            accept: Accepted {
                rollback: self.accept_rollback,
                clock: self.accept_clock,
                weaker_settings: self.accept_weaker_settings.clone(),
            },
        }
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
